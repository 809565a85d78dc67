//! Stored values on their way to being plaintext, handed out in their order while KMS is still at work on
//! later ones.

use tokio::sync::mpsc;

use super::error::KeyError;
use super::{Keys, Memo, Placed};
use crate::config::KmsMode;
use crate::seal::Plaintext;

/// What [`Keys::open`] answers.
pub struct Opened {
    keys: Keys,
    values: std::vec::IntoIter<Value>,
    /// Of the direct ones.
    direct: mpsc::Receiver<Result<Plaintext, KeyError>>,
}

enum Value {
    Known(Result<Plaintext, KeyError>),
    /// Its key is to be loaded; the ones behind it will find it loaded.
    Envelope(Placed<Vec<u8>>),
    Direct,
}

impl Opened {
    pub(super) fn begin(keys: &Keys, values: Vec<Placed<Vec<u8>>>, memo: &Memo) -> Self {
        let mut direct = Vec::new();
        let values: Vec<Value> = values
            .into_iter()
            .map(|placed| match keys.open_now(&placed.column, placed.row.as_ref(), &placed.value) {
                Some(known) => Value::Known(known),
                None if placed.column.mode == KmsMode::Direct
                    || keys.inner.direct.is_foreign(&placed.column, &placed.value) =>
                {
                    direct.push((placed.column, placed.value));
                    Value::Direct
                }
                None => Value::Envelope(placed),
            })
            .collect();
        Self { keys: keys.clone(), values: values.into_iter(), direct: keys.inner.direct.open(direct, memo) }
    }

    /// Whether the next value is still with KMS.
    pub fn must_wait(&self) -> bool {
        matches!(self.values.as_slice().first(), Some(Value::Direct)) && self.direct.is_empty()
    }

    /// The next value; `None` after the last.
    pub async fn next(&mut self) -> Option<Result<Plaintext, KeyError>> {
        Some(match self.values.next()? {
            Value::Known(known) => known,
            Value::Envelope(Placed { column, row, value }) => {
                self.keys.open_envelope(&column, row.as_ref(), &value).await
            }
            Value::Direct => self.direct.recv().await.unwrap_or(Err(KeyError::ShuttingDown)),
        })
    }
}
