//! Whether a key that is about to seal is in the vault of the server that the value goes to. After a failover
//! that lost the vault's newest row, or a restore from a backup, it is not: a value sealed with it could be
//! opened by nobody. So the row is read again for every connection to the server, after it was made and from
//! that very server, and every few seconds after that.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::cache::{Which, now};
use super::envelope::{Envelope, Place};
use super::error::KeyError;
use super::vault::VaultRow;

/// How long a row that was seen counts as there, in milliseconds.
const SEEN_FOR: u64 = 5000;
/// After so long no proxy that reaches the vault seals with a version that was superseded.
pub(super) const NOTICED: Duration = Duration::from_millis(SEEN_FOR + 1000);
/// Rounds of "the vault has changed" before giving up.
const ATTEMPTS: usize = 5;
/// Servers that are remembered for a key, those seen last.
const SERVERS: usize = 32;

/// The server that a session's values go to.
#[derive(Clone, Debug)]
pub struct Destination {
    /// What tells it from others; `None`: the vault's rows may be looked up on another.
    pub identity: Option<Identity>,
    /// When the connection was there already, in milliseconds of [`now`].
    since: u64,
}

/// System variables and their values on one server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    pub variables: &'static [&'static str],
    /// Joined by line feeds.
    pub values: String,
}

impl Destination {
    /// Of a connection that is there already.
    pub fn connected(identity: Option<Identity>) -> Self {
        Self { identity, since: now() }
    }
}

/// The row of a key that seals, and where and when it was seen.
struct Known {
    row: VaultRow,
    seen: Mutex<Vec<(Option<Identity>, u64)>>,
    /// One reader at a time: who waited mostly finds that the row was seen meanwhile.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Seen,
    /// On that server and since the connection was made, but a while ago.
    SeenLongAgo,
    NotSeen,
}

impl Known {
    fn standing(&self, to: &Destination) -> Standing {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let at = seen.iter().filter(|(identity, at)| *identity == to.identity && *at > to.since).map(|(_, at)| *at);
        match at.max() {
            None => Standing::NotSeen,
            Some(at) if now().saturating_sub(at) < SEEN_FOR => Standing::Seen,
            Some(_) => Standing::SeenLongAgo,
        }
    }

    fn saw(&self, identity: &Option<Identity>, at: u64) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|(other, _)| other != identity);
        if seen.len() >= SERVERS {
            seen.remove(0);
        }
        seen.push((identity.clone(), at));
    }
}

#[derive(Default)]
pub struct Vouching {
    known: Mutex<HashMap<Which, Arc<Known>>>,
    /// Rows that were there and are gone, until they are back.
    gone: Mutex<HashMap<Which, VaultRow>>,
}

impl Vouching {
    fn known(&self, which: &Which) -> Option<Arc<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(which).cloned()
    }

    fn gone(&self, which: &Which) -> Option<VaultRow> {
        self.gone.lock().unwrap_or_else(PoisonError::into_inner).get(which).cloned()
    }
}

impl Envelope {
    /// Takes note of the rows that the vault holds for `which`, before one of them is chosen. Error: the one that
    /// sealed until now is not among them.
    pub(super) fn expect_among(&self, which: &Which, rows: &[VaultRow]) -> Result<(), KeyError> {
        match self.vouching.gone(which).or_else(|| Some(self.vouching.known(which)?.row.clone())) {
            Some(row) if !rows.iter().any(|other| other.id == row.id) => Err(self.lost(which, &row)),
            _ => Ok(()),
        }
    }

    /// Takes note of the row whose key seals from now on.
    pub(super) fn chosen(&self, which: Which, row: &VaultRow) {
        self.vouching.gone.lock().unwrap_or_else(PoisonError::into_inner).remove(&which);
        let mut known = self.vouching.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.get(&which).is_none_or(|known| known.row != *row) {
            let row = Known { row: row.clone(), seen: Mutex::default(), reading: tokio::sync::Mutex::default() };
            known.insert(which, Arc::new(row));
        }
    }

    /// Whether the row whose key seals for `which` is the one with that id.
    pub(super) fn seals_with(&self, which: &Which, id: u32) -> bool {
        self.vouching.known(which).is_some_and(|known| known.row.id == id)
    }

    /// Makes sure that the key that seals for `which` is in the vault of the server `to`, loading or making it if
    /// need be.
    pub async fn vouch(self: &Arc<Self>, which: Which, place: Place, to: &Destination) -> Result<(), KeyError> {
        for _ in 0..ATTEMPTS {
            if let Some(row) = self.vouching.gone(&which) {
                if self.look(row.id, to).await?.is_none() {
                    return Err(gone(&which, &row));
                }
                tracing::info!(table = which.table(), id = row.id, "a data key is back in the vault");
                self.vouching.gone.lock().unwrap_or_else(PoisonError::into_inner).remove(&which);
            }
            self.key(which.clone(), Some(place.clone())).await?;
            let Some(known) = self.vouching.known(&which) else { continue };
            if known.standing(to) == Standing::Seen {
                return Ok(());
            }
            let turn = known.reading.lock().await;
            let standing = known.standing(to);
            if standing == Standing::Seen {
                return Ok(());
            }
            let started = now();
            match self.look(known.row.id, to).await {
                Ok(Some(row)) if row == known.row => {
                    known.saw(&to.identity, started);
                    return Ok(());
                }
                Ok(Some(_)) => {
                    drop(turn);
                    // Rotated, rewrapped or tampered with: loading tells.
                    self.refresh(which.clone()).await?;
                }
                Ok(None) => return Err(self.lost(&which, &known.row)),
                // As when KMS is away: the connection is to the server on which the row was seen.
                Err(error) if standing == Standing::SeenLongAgo && error.retryable() => {
                    tracing::warn!(%error, "the vault cannot be read; the data key serves on");
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Err(KeyError::Vault { detail: "its rows keep changing".into(), retryable: true })
    }

    async fn look(self: &Arc<Self>, id: u32, to: &Destination) -> Result<Option<VaultRow>, KeyError> {
        let (this, identity) = (self.clone(), to.identity.clone());
        let run = async move { this.store.row_at(id, identity.as_ref()).await };
        self.runner.run(run).await.unwrap_or(Err(KeyError::ShuttingDown))
    }

    fn lost(&self, which: &Which, row: &VaultRow) -> KeyError {
        let first = {
            let mut gone = self.vouching.gone.lock().unwrap_or_else(PoisonError::into_inner);
            gone.insert(which.clone(), row.clone()).is_none()
        };
        self.vouching.known.lock().unwrap_or_else(PoisonError::into_inner).remove(which);
        self.cache.stop_sealing(which);
        if first {
            // The wrapped key is no secret, and this may be the last copy of it.
            tracing::error!(
                table = which.table(),
                id = row.id,
                statement = self.store.insert_statement(row),
                "the data key that sealed until now is no longer in the vault: nothing is sealed with it; \
                 the statement puts it back"
            );
        }
        gone(which, row)
    }
}

fn gone(which: &Which, row: &VaultRow) -> KeyError {
    KeyError::KeyGone { table: which.table().to_owned(), id: row.id }
}
