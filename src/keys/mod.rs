//! Data keys: where they come from, how long they are kept, and what seals and opens with them.

use std::sync::Arc;

use crate::catalog::ProtectedColumn;
use crate::seal::Plaintext;

/// The border that `session` sees. Bodies to come with the room.
#[derive(Clone)]
pub struct Keys;

/// Why a value could not be sealed or opened. To be replaced by the room's own enumeration.
#[derive(Debug, thiserror::Error)]
#[error("keys are not there yet")]
pub struct KeyError;

impl Keys {
    /// Seals a batch, order kept. The answer is the stored form: base64 text for text columns (ASCII),
    /// bytes for binary ones. All or nothing.
    pub async fn seal(&self, _values: Vec<(Arc<ProtectedColumn>, Plaintext)>) -> Result<Vec<Vec<u8>>, KeyError> {
        Err(KeyError)
    }

    /// Opens a batch of stored values, order kept. A value that is not sealed is an error.
    pub async fn open(&self, _values: Vec<(Arc<ProtectedColumn>, Vec<u8>)>) -> Result<Vec<Plaintext>, KeyError> {
        Err(KeyError)
    }

    /// Opens one value without waiting, if its key is at hand. `None`: use [`Keys::open`].
    pub fn open_now(&self, _column: &ProtectedColumn, _stored: &[u8]) -> Option<Result<Plaintext, KeyError>> {
        None
    }
}
