//! Data keys: where they come from, how long they are kept, and what seals and opens with them. This
//! file is the border that `session` sees.

mod budget;
mod cache;
pub mod context;
mod direct;
mod envelope;
pub mod error;
mod flights;
pub mod life;
mod lookup;
mod opened;
mod placed;
mod plaintexts;
pub mod provider;
pub mod providers;
mod report;
mod seals;
mod store;
#[cfg(test)]
mod tests;
mod vault;
mod versions;
mod vouch;

use std::sync::Arc;
use std::time::Duration;

pub use direct::Memo;
pub use error::{Fault, KeyError};
pub use opened::Opened;
pub use placed::Placed;
pub use report::KeysReport;
pub use vouch::{Destination, Identity};

use self::cache::{Cache, Which};
use self::direct::{Direct, label};
use self::envelope::{Envelope, Place};
use self::plaintexts::Denials;
use self::provider::{Provider, Runner};
use self::store::Store;
use crate::catalog::ProtectedColumn;
use crate::config::{Cipher, Config, KmsMode, Search};
use crate::control::{Control, ControlError};
use crate::seal::{Plaintext, Row, SealError, Sealed, format};

/// How often opened values are looked at, at least and at most.
const SWEEP: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));

/// Seals and opens. Cheap to clone; clones share the cache.
#[derive(Clone)]
pub struct Keys {
    inner: Arc<Inner>,
}

struct Inner {
    config: Arc<Config>,
    envelope: Arc<Envelope>,
    direct: Direct,
    picture: versions::Picture,
}

impl Keys {
    /// Checks the configuration and opens the local keyring (making it at first use). Calls neither KMS
    /// nor the server: [`Keys::check`] does. KMS and the vault are reached from the control runtime.
    pub fn start(config: &Arc<Config>, control: Control) -> Result<Self, KeyError> {
        let vault = match &config.vault_server {
            None => control.clone(),
            Some(server) => Control::to(server).map_err(|error| KeyError::Vault {
                detail: format!("{error} (vault_server)"),
                retryable: matches!(error, ControlError::Unreachable { .. } | ControlError::Timeout { .. }),
            })?,
        };
        let store = Store::Sql { control: vault, data: control.clone(), table: config.vault.clone() };
        let keys = Self::with(config, store, Runner::Control(control))?;
        keys.inner.envelope.start_sweeping(config.kms.cache.max_stale);
        keys.start_sweeping();
        Ok(keys)
    }

    fn with(config: &Arc<Config>, store: Store, runner: Runner) -> Result<Self, KeyError> {
        context::validate(config)?;
        let kms = &config.kms;
        let provider = Provider::start(config)?;
        let cache = Cache::new(kms.cache.ttl, kms.cache.max_stale);
        let denials = Denials::default();
        let direct = Direct::new(provider.clone(), runner.clone(), kms, denials.clone());
        let envelope = Envelope::new(provider, store, runner, cache, kms.encryption_context.clone(), denials);
        Ok(Self {
            inner: Arc::new(Inner {
                config: config.clone(),
                envelope: Arc::new(envelope),
                direct,
                picture: versions::Picture::default(),
            }),
        })
    }

    /// Seals a batch, order kept. The answer is the stored form: base64 text for text columns (ASCII),
    /// bytes for binary ones. All or nothing.
    pub async fn seal(&self, values: Vec<impl Into<Placed<Plaintext>>>) -> Result<Vec<Vec<u8>>, KeyError> {
        self.seal_placed(values.into_iter().map(Into::into).collect()).await
    }

    async fn seal_placed(&self, values: Vec<Placed<Plaintext>>) -> Result<Vec<Vec<u8>>, KeyError> {
        let mut out: Vec<Option<Vec<u8>>> = Vec::with_capacity(values.len());
        let (mut places, mut waiting) = (Vec::new(), Vec::new());
        for (at, Placed { column, row, value }) in values.into_iter().enumerate() {
            out.push(match self.seal_now(&column, row.as_ref(), &value) {
                Some(sealed) => Some(sealed?),
                None if column.mode == KmsMode::Direct => {
                    places.push(at);
                    waiting.push((column, value));
                    None
                }
                None => {
                    let envelope = &self.inner.envelope;
                    let (table, place) = (&column.scope.table, self.place(&column));
                    let search = if column.search == Search::Exact {
                        Some(envelope.key(Which::Search(table.clone()), Some(place.clone())).await?)
                    } else {
                        None
                    };
                    let mut key = envelope.key(Which::Active(table.clone()), Some(place)).await?;
                    if column.cipher == Cipher::Gcm {
                        key = self.inner.take_seal(table, key).await?;
                    }
                    Some(seal_with(&key, search.as_deref(), &column, row.as_ref(), &value)?)
                }
            });
        }
        let mut sealed = self.inner.direct.seal(waiting);
        for at in places {
            let value = sealed.recv().await.ok_or(KeyError::ShuttingDown)??;
            if let Some(place) = out.get_mut(at) {
                *place = Some(value);
            }
        }
        out.into_iter().collect::<Option<Vec<_>>>().ok_or(KeyError::ShuttingDown)
    }

    /// Makes sure that what seals values of `columns` is in the vault of the server that they go to. To be asked
    /// before [`Keys::seal`], by every connection.
    pub async fn vouch(
        &self,
        columns: impl Iterator<Item = &ProtectedColumn>,
        to: &Destination,
    ) -> Result<(), KeyError> {
        let envelope = &self.inner.envelope;
        if matches!(envelope.provider, Provider::None) {
            return Ok(());
        }
        let mut done: Vec<Which> = Vec::new();
        let mut outcome = Ok(());
        for column in columns.filter(|column| column.mode == KmsMode::Envelope) {
            let table = &column.scope.table;
            let search = (column.search == Search::Exact).then(|| Which::Search(table.clone()));
            for which in [Some(Which::Active(table.clone())), search].into_iter().flatten() {
                if !done.contains(&which) {
                    match envelope.vouch(which.clone(), self.place(column), to).await {
                        // What else is gone is to be in the log, too.
                        Err(error @ KeyError::KeyGone { .. }) => outcome = outcome.and(Err(error)),
                        vouched => vouched?,
                    }
                    done.push(which);
                }
            }
        }
        outcome
    }

    /// Whether the key `id` is the one that seals values of `table` now, as [`Keys::vouch`] found. What was sealed
    /// with another may be stored no more: its version may be retired, and nobody counts what is not stored yet.
    pub fn seals_with(&self, table: &str, id: u32) -> bool {
        let envelope = &self.inner.envelope;
        matches!(envelope.provider, Provider::None) || envelope.seals_with(&Which::Active(table.to_owned()), id)
    }

    /// Whether the vault's rows must be looked up on the very server that values go to.
    pub fn compares_servers(&self) -> bool {
        let config = &self.inner.config;
        config.kms.provider != crate::config::Provider::None
            && !config.backend.multi_primary
            && config.vault_server.is_none()
    }

    /// What one result remembers of its values.
    pub fn memo(&self) -> Memo {
        self.inner.direct.memo()
    }

    /// Opens stored values one after the other, order kept; KMS opens several at once. A value that is not
    /// sealed is an error, which leaves those before it alone.
    pub fn open(&self, values: Vec<impl Into<Placed<Vec<u8>>>>, memo: &Memo) -> Opened {
        Opened::begin(self, values.into_iter().map(Into::into).collect(), memo)
    }

    /// Wipes opened values when their time is over, for as long as anybody holds this.
    fn start_sweeping(&self) {
        let Some(ttl) = self.inner.direct.cached_for() else { return };
        let this = Arc::downgrade(&self.inner);
        let every = (ttl / 4).clamp(SWEEP.0, SWEEP.1);
        self.inner.envelope.runner.spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                let Some(this) = this.upgrade() else { return };
                this.direct.sweep();
            }
        });
    }

    /// Seals one value without waiting, if its key is at hand. `None`: use [`Keys::seal`].
    pub fn seal_now(
        &self,
        column: &ProtectedColumn,
        row: Option<&Row>,
        value: &Plaintext,
    ) -> Option<Result<Vec<u8>, KeyError>> {
        if matches!(self.inner.envelope.provider, Provider::None) {
            return Some(Ok(value.expose().to_vec()));
        }
        match column.mode {
            KmsMode::Direct => Direct::seal_now(column, value),
            KmsMode::Envelope => {
                let cache = &self.inner.envelope.cache;
                let search = match column.search {
                    Search::Exact => Some(cache.search_now(&column.scope.table)?),
                    Search::None => None,
                };
                let key = cache.active_now(&column.scope.table)?;
                if column.cipher == Cipher::Gcm && !key.allowance().take() {
                    return None;
                }
                Some(seal_with(&key, search.as_deref(), column, row, value))
            }
        }
    }

    /// Opens one value without waiting, if its key is at hand. `None`: use [`Keys::open`].
    pub fn open_now(
        &self,
        column: &ProtectedColumn,
        row: Option<&Row>,
        stored: &[u8],
    ) -> Option<Result<Plaintext, KeyError>> {
        if matches!(self.inner.envelope.provider, Provider::None) {
            return Some(Ok(Plaintext::new(stored.to_vec())));
        }
        if column.mode == KmsMode::Direct {
            return Direct::open_now(column, stored);
        }
        let fail = |error| Some(Err(KeyError::opening(label(column), error)));
        let bytes = match format::decode_stored(stored, column.physical) {
            Ok(bytes) => bytes,
            Err(SealError::NotSealed) if self.inner.direct.is_foreign(column, stored) => return None,
            Err(error) => return fail(error),
        };
        let sealed = match Sealed::parse(&bytes) {
            Ok(sealed) => sealed,
            Err(SealError::NotSealed) if self.inner.direct.is_foreign(column, stored) => return None,
            Err(error) => return fail(error),
        };
        let key = self.inner.envelope.cache.id_now(&column.scope.table, sealed.header.key_id)?;
        Some(open_with(&key, column, row, &sealed))
    }

    async fn open_envelope(
        &self,
        column: &ProtectedColumn,
        row: Option<&Row>,
        stored: &[u8],
    ) -> Result<Plaintext, KeyError> {
        let fail = |error| KeyError::opening(label(column), error);
        let bytes = format::decode_stored(stored, column.physical).map_err(fail)?;
        let sealed = Sealed::parse(&bytes).map_err(fail)?;
        let which = Which::Id(column.scope.table.clone(), sealed.header.key_id);
        let key = self.inner.envelope.key(which, None).await.map_err(|error| match error {
            KeyError::OtherTable { .. } => KeyError::WrongPlace { column: label(column) },
            error => error,
        })?;
        open_with(&key, column, row, &sealed)
    }

    /// Where values of the column's table that were sealed before would be found.
    fn place(&self, column: &ProtectedColumn) -> Place {
        let kms_mode = self.inner.config.kms.mode;
        let mut columns = vec![column.name.clone()];
        if let Some(table) = self.inner.config.tables.get(&column.table) {
            let enveloped = table.columns.iter().filter(|(_, c)| c.mode.unwrap_or(kms_mode) == KmsMode::Envelope);
            columns.extend(enveloped.map(|(name, _)| name.clone()));
        }
        Place { table: column.table.clone(), columns }
    }
}

/// `search`: the key that makes nonces, for a searchable column. For AES-256-GCM a seal was taken before.
fn seal_with(
    key: &cache::TableKey,
    search: Option<&cache::TableKey>,
    column: &ProtectedColumn,
    row: Option<&Row>,
    value: &Plaintext,
) -> Result<Vec<u8>, KeyError> {
    row_of(column, row)
        .and_then(|row| {
            let key = key.column(&column.scope)?;
            match search {
                Some(search) => key.seal_searchable(&*search.search(&column.scope)?, value, column.physical),
                None if column.cipher == Cipher::Gcm => key.seal_gcm(value, column.pad, row, column.physical),
                None => key.seal(value, column.pad, row, column.physical),
            }
        })
        .map_err(|reason| KeyError::CannotSeal { column: label(column), reason })
}

fn open_with(
    key: &cache::TableKey,
    column: &ProtectedColumn,
    row: Option<&Row>,
    sealed: &Sealed<'_>,
) -> Result<Plaintext, KeyError> {
    row_of(column, row)
        .and_then(|row| key.column(&column.scope)?.open(sealed, row))
        .map_err(|error| KeyError::opening(label(column), error))
}

/// The row that values of `column` are bound to, which must be known where it has `bind`.
fn row_of<'r>(column: &ProtectedColumn, row: Option<&'r Row>) -> Result<Option<&'r Row>, SealError> {
    match (column.bind.is_empty(), row) {
        (true, _) => Ok(None),
        (false, Some(row)) => Ok(Some(row)),
        (false, None) => Err(SealError::NotBound),
    }
}
