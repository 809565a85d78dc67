//! A server for one test alone, which may change what is global in it, stop it and kill it.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::backend::Servers;
use super::{Backend, Server};

/// Stopped, and its files removed, when it is dropped; at the latest with the shared servers.
pub struct PrivateServer {
    folder: PathBuf,
    pub backend: Backend,
}

static NEXT: AtomicU32 = AtomicU32::new(0);

impl PrivateServer {
    /// A server as the shared ones are, of the same kind as `server`; takes some seconds to start.
    pub fn start(server: Server) -> Self {
        Self::start_with(server, "")
    }

    /// With further options, separated by spaces.
    pub fn start_with(server: Server, options: &str) -> Self {
        let shared = std::env::var_os("SEALWIRE_TEST_SERVERS").expect("called where shared servers run");
        let shared = PathBuf::from(shared);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = shared.with_file_name(format!("private-{}-{number}", std::process::id()));
        let name = match server {
            Server::MariaDb1011 => "mariadb",
            Server::MariaDb118 => "mariadb118",
            Server::MySql97 => "mysql",
        };
        let mut start = script(&folder, "start");
        start.env("SEALWIRE_TEST_ONLY", name).env("SEALWIRE_TEST_OPTIONS", options);
        assert!(start.status().unwrap().success(), "{server:?}");
        let servers: Servers =
            serde_json::from_str(&std::fs::read_to_string(folder.join("servers.json")).unwrap()).unwrap();
        Self { folder, backend: servers.backend(server).expect("it was started") }
    }
}

impl Drop for PrivateServer {
    fn drop(&mut self) {
        let _ = script(&self.folder, "stop").status();
    }
}

fn script(folder: &std::path::Path, verb: &str) -> Command {
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/servers.sh"));
    command.arg(verb).arg(folder).stdin(Stdio::null()).stdout(Stdio::null());
    command
}
