//! Nonces from values: what makes equal values of a searchable column seal alike, and nothing else. The
//! search key is not the key that seals, so that replacing the latter leaves the nonces as they are.

use aws_lc_rs::hmac;

use super::format::{ALG_SIV_SEARCH, MAX_SEARCH_VERSION, NONCE_LEN};
use super::{DataKey, Plaintext, Scope, SealError, derive};

/// The search key of one column under one search key of its table. Never printed; wiped by the library.
pub struct SearchKey {
    key: hmac::Key,
    version: u8,
}

impl SearchKey {
    /// Derives the search key of `scope` from the table's search key, whose version the vault tells.
    ///
    /// # Errors
    /// [`SealError::UnknownSearchVersion`] unless `version` is 1 to 63.
    pub fn derive(search_key: &DataKey, version: u32, scope: &Scope) -> Result<Self, SealError> {
        let version = u8::try_from(version).unwrap_or(u8::MAX);
        if version == 0 || version > MAX_SEARCH_VERSION {
            return Err(SealError::UnknownSearchVersion(version));
        }
        let bytes = search_key.derive(&derive::info(derive::PURPOSE_SEARCH, ALG_SIV_SEARCH, scope))?;
        Ok(Self { key: hmac::Key::new(hmac::HMAC_SHA256, bytes.as_slice()), version })
    }

    /// 1 to 63.
    pub fn version(&self) -> u8 {
        self.version
    }

    /// The first 12 bytes of HMAC-SHA-256 of the value.
    pub fn nonce(&self, value: &Plaintext) -> [u8; NONCE_LEN] {
        let mut nonce = [0; NONCE_LEN];
        nonce.iter_mut().zip(hmac::sign(&self.key, value.expose()).as_ref()).for_each(|(to, from)| *to = *from);
        nonce
    }
}
