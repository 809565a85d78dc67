//! The Python of the KMS emulator's virtual environment, which has PyPI's `boto3` and `cryptography`.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::backend::missing;

/// A script of the repository, to be run with credentials for moto; `None` when the test is to be skipped.
pub fn python(script: &str) -> Option<Command> {
    let cache = std::env::var_os("SEALWIRE_CACHE").map(PathBuf::from).or_else(|| {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        Some(cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?.join("sealwire"))
    });
    let python = cache.map(|cache| cache.join("moto/bin/python")).filter(|python| python.exists());
    let Some(python) = python else {
        missing("the emulator's Python");
        return None;
    };
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(script));
    command
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_DEFAULT_REGION", "eu-central-1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("PYTHONDONTWRITEBYTECODE", "1");
    if let Some(moto) = &super::backend::SERVERS.moto {
        command.env("AWS_ENDPOINT_URL_KMS", &moto.endpoint);
    }
    Some(command)
}
