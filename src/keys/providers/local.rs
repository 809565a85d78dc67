//! A keyring file instead of a KMS, for development and the demo: 256-bit master keys that wrap with
//! AES-256-GCM under the encryption context. Whoever reads the file reads everything.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::keys::context::EncryptionContext;
use crate::keys::provider::{KmsError, WrappedKey};
use crate::seal::Plaintext;
use crate::seal::derive::push_field;
use crate::seal::direct::{MAX_BLOB, MAX_PLAINTEXT};

/// The first byte of a blob.
const BLOB_VERSION: u8 = 1;
const ID_LEN: usize = 16;
const NONCE_LEN: usize = 12;
/// A keyring is small; a longer file is something else.
const MAX_FILE: u64 = 1 << 20;

/// The file's content. `current` wraps; every key unwraps.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyringFile {
    version: u32,
    current: String,
    keys: Vec<KeyringEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyringEntry {
    /// 32 hexadecimal digits.
    id: String,
    /// 32 bytes in base64.
    key: String,
}

impl Drop for KeyringEntry {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

struct MasterKey {
    id: [u8; ID_LEN],
    key: LessSafeKey,
}

struct Keyring {
    current: MasterKey,
    others: Vec<MasterKey>,
}

#[derive(Clone)]
pub struct LocalProvider(Arc<Keyring>);

impl LocalProvider {
    /// Opens the keyring; makes one with a new key if there is no file. Refuses a file that others may
    /// read or that belongs to another user.
    pub fn open_or_create(path: &Path) -> Result<Self, KmsError> {
        match File::open(path) {
            Ok(file) => Self::read(path, file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create(path).map_err(|error| fail(path, &format!("cannot be created: {error}")))?;
                let file = File::open(path).map_err(|error| fail(path, &format!("cannot be opened: {error}")))?;
                Self::read(path, file)
            }
            Err(error) => Err(fail(path, &format!("cannot be opened: {error}"))),
        }
    }

    fn read(path: &Path, mut file: File) -> Result<Self, KmsError> {
        let metadata = file.metadata().map_err(|error| fail(path, &error.to_string()))?;
        if !metadata.is_file() {
            return Err(fail(path, "is not a regular file"));
        }
        if metadata.mode() & 0o077 != 0 {
            return Err(fail(path, "can be read by others; run chmod 600 on it"));
        }
        let user = rustix::process::geteuid().as_raw();
        if metadata.uid() != user {
            return Err(fail(path, &format!("belongs to user {}, but the proxy runs as user {user}", metadata.uid())));
        }
        if metadata.len() > MAX_FILE {
            return Err(fail(path, "is too long for a keyring"));
        }
        let mut text = Zeroizing::new(Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0)));
        file.read_to_end(&mut text).map_err(|error| fail(path, &format!("cannot be read: {error}")))?;
        // The parser's own message could quote the file.
        let parsed: KeyringFile =
            serde_json::from_slice(&text).map_err(|error| fail(path, &format!("is damaged, line {}", error.line())))?;
        if parsed.version != 1 {
            return Err(fail(path, "was written by another version"));
        }
        let mut current = None;
        let mut others = Vec::new();
        for entry in &parsed.keys {
            let key = master_key(entry).ok_or_else(|| fail(path, "holds a damaged key"))?;
            if entry.id == parsed.current {
                current = Some(key);
            } else {
                others.push(key);
            }
        }
        let current = current.ok_or_else(|| fail(path, "does not hold its current key"))?;
        Ok(Self(Arc::new(Keyring { current, others })))
    }

    /// Stands where a KMS key's ARN would.
    pub fn key_name(&self) -> String {
        name(&self.0.current.id)
    }

    pub fn generate_data_key_without_plaintext(&self, context: &EncryptionContext) -> Result<WrappedKey, KmsError> {
        let mut key = Zeroizing::new([0; 32]);
        random(key.as_mut_slice())?;
        Ok(WrappedKey { kms_key: self.key_name(), blob: self.encrypt(context, key.as_slice())? })
    }

    /// The same limits as KMS, so that development meets them first.
    pub fn encrypt(&self, context: &EncryptionContext, value: &[u8]) -> Result<Vec<u8>, KmsError> {
        if value.is_empty() || value.len() > MAX_PLAINTEXT {
            return Err(KmsError::Rejected { code: "ValidationException".into() });
        }
        let master = &self.0.current;
        let mut nonce = [0; NONCE_LEN];
        random(&mut nonce)?;
        let mut text = Zeroizing::new(value.to_vec());
        let tag = master
            .key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(aad(&master.id, context)),
                text.as_mut_slice(),
            )
            .map_err(|_| KmsError::Rejected { code: "Encrypt".into() })?;
        let mut blob = vec![BLOB_VERSION];
        blob.extend(master.id);
        blob.extend(nonce);
        blob.extend(text.as_slice());
        blob.extend(tag.as_ref());
        Ok(blob)
    }

    pub fn decrypt(&self, context: &EncryptionContext, blob: &[u8]) -> Result<Plaintext, KmsError> {
        let split = || {
            let (version, rest) = blob.split_first()?;
            let (id, rest) = rest.split_first_chunk::<ID_LEN>()?;
            let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>()?;
            (*version == BLOB_VERSION && blob.len() <= MAX_BLOB).then_some((id, nonce, body))
        };
        let (id, nonce, body) = split().ok_or(KmsError::InvalidCiphertext)?;
        let ring = &self.0;
        let master = std::iter::once(&ring.current).chain(&ring.others).find(|key| key.id == *id);
        let master = master.ok_or(KmsError::WrongKey)?;
        let mut body = Zeroizing::new(body.to_vec());
        let opened = master
            .key
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(aad(id, context)), body.as_mut_slice())
            .map_err(|_| KmsError::InvalidCiphertext)?;
        Ok(Plaintext::new(opened.to_vec()))
    }
}

fn aad(id: &[u8], context: &EncryptionContext) -> Vec<u8> {
    let mut aad = Vec::new();
    push_field(&mut aad, b"sealwire/v1/keyring");
    push_field(&mut aad, id);
    push_field(&mut aad, &context.canonical());
    aad
}

fn master_key(entry: &KeyringEntry) -> Option<MasterKey> {
    let id = u128::from_str_radix(&entry.id, 16).ok().filter(|_| entry.id.len() == 32)?.to_be_bytes();
    let bytes = Zeroizing::new(STANDARD.decode(&entry.key).ok()?);
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &bytes).ok()?);
    Some(MasterKey { id, key })
}

fn name(id: &[u8; ID_LEN]) -> String {
    format!("local/{:032x}", u128::from_be_bytes(*id))
}

fn random(out: &mut [u8]) -> Result<(), KmsError> {
    aws_lc_rs::rand::fill(out).map_err(|_| KmsError::Keyring("no random numbers".into()))
}

/// Writes a new keyring beside `path` and links it into place, so that a half-written file is never seen
/// and of two proxies that start at once the first one's keyring stays.
fn create(path: &Path) -> io::Result<()> {
    let mut key = Zeroizing::new([0; 32]);
    let mut id = [0; ID_LEN];
    let failed = |_| io::Error::other("no random numbers");
    aws_lc_rs::rand::fill(key.as_mut_slice()).map_err(failed)?;
    aws_lc_rs::rand::fill(&mut id).map_err(failed)?;
    let id = format!("{:032x}", u128::from_be_bytes(id));
    let entry = KeyringEntry { id: id.clone(), key: STANDARD.encode(key.as_slice()) };
    let content = KeyringFile { version: 1, current: id.clone(), keys: vec![entry] };
    let text = Zeroizing::new(serde_json::to_vec_pretty(&content)?);

    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{id}.new"));
    let temporary = Path::new(&temporary);
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary)?;
        file.write_all(&text)?;
        file.sync_all()?;
        match std::fs::hard_link(temporary, path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    })();
    let removed = std::fs::remove_file(temporary);
    written?;
    removed?;
    File::open(folder)?.sync_all()
}

fn fail(path: &Path, what: &str) -> KmsError {
    KmsError::Keyring(format!("{} {what}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn context(table: &str) -> EncryptionContext {
        EncryptionContext::direct(table, &BTreeMap::new())
    }

    #[test]
    fn a_new_keyring_is_private_and_reads_what_it_wrote_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("below/keyring.json");
        let first = LocalProvider::open_or_create(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        let blob = first.encrypt(&context("a.b"), b"value").unwrap();
        let second = LocalProvider::open_or_create(&path).unwrap();
        assert_eq!(second.decrypt(&context("a.b"), &blob).unwrap().expose(), b"value");
    }

    #[test]
    fn keyrings_made_at_the_same_time_are_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keyring.json");
        let names: Vec<String> = std::thread::scope(|scope| {
            let handles: Vec<_> =
                (0..8).map(|_| scope.spawn(|| LocalProvider::open_or_create(&path).unwrap().key_name())).collect();
            handles.into_iter().map(|handle| handle.join().unwrap()).collect()
        });
        assert!(names.iter().all(|name| *name == names[0]));
    }

    #[test]
    fn a_keyring_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keyring.json");
        LocalProvider::open_or_create(&path).unwrap();
        for mode in [0o640, 0o604, 0o620] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let error = LocalProvider::open_or_create(&path).err().unwrap().to_string();
            assert!(error.contains("chmod 600"), "{error}");
        }
    }

    #[test]
    fn a_damaged_keyring_is_refused_and_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keyring.json");
        for text in ["", "{}", r#"{"version":1,"current":"x","keys":[]}"#] {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
            assert!(LocalProvider::open_or_create(&path).is_err(), "{text}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn another_context_or_keyring_does_not_decrypt() {
        let folder = tempfile::tempdir().unwrap();
        let one = LocalProvider::open_or_create(&folder.path().join("1")).unwrap();
        let two = LocalProvider::open_or_create(&folder.path().join("2")).unwrap();
        let blob = one.encrypt(&context("a.b"), b"value").unwrap();
        assert_eq!(one.decrypt(&context("a.c"), &blob).err(), Some(KmsError::InvalidCiphertext));
        assert_eq!(two.decrypt(&context("a.b"), &blob).err(), Some(KmsError::WrongKey));
        assert!(one.encrypt(&context("a.b"), b"").is_err());
        assert!(one.encrypt(&context("a.b"), &[0; 4097]).is_err());
    }
}
