//! Data keys of tables: found in the cache, loaded from the vault and unwrapped by KMS, or made at the
//! first seal of a table. One load of a key is in flight at a time; whoever else needs it waits for it.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::cache::{Advice, Cache, TableKey, Unwrapped, Which};
use super::context::EncryptionContext;
use super::error::KeyError;
use super::plaintexts::Denials;
use super::provider::{KmsError, Provider, Runner};
use super::store::Store;
use super::vault::{self, PURPOSE_DATA, PURPOSE_SEARCH, STATE_ACTIVE, STATE_RETIRED, STATE_SHREDDED, VaultRow};
use super::vouch::Vouching;
use crate::config::TableName;
use crate::seal::DataKey;

/// How long the outcome of a load answers others, so that a failing KMS is not asked by every value.
const SHARED_FOR: Duration = Duration::from_secs(1);
/// How long a statement waits for the refresh of a key that it has; then the cached one serves.
const REFRESH_WAIT: Duration = Duration::from_secs(1);
/// How often keys that are too old for anyone are looked for, at most and at least.
const SWEEP: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Rounds of "somebody else was first" before giving up.
const ATTEMPTS: u32 = 5;

pub struct Envelope {
    pub(super) provider: Provider,
    pub(super) store: Store,
    pub(super) runner: Runner,
    pub(super) cache: Cache,
    /// Outcomes only; the keys themselves are in `cache`.
    loads: moka::future::Cache<Which, Result<(), KeyError>>,
    static_pairs: BTreeMap<String, String>,
    denials: Denials,
    pub(super) vouching: Vouching,
}

/// Where the values of a scope are, for the search for values without a key.
#[derive(Clone)]
pub struct Place {
    pub table: TableName,
    pub columns: Vec<String>,
}

impl Envelope {
    pub fn new(
        provider: Provider,
        store: Store,
        runner: Runner,
        cache: Cache,
        static_pairs: BTreeMap<String, String>,
        denials: Denials,
    ) -> Self {
        let loads = moka::future::Cache::builder().max_capacity(10_000).time_to_live(SHARED_FOR).build();
        Self { provider, store, runner, cache, loads, static_pairs, denials, vouching: Vouching::default() }
    }

    /// The key, cached or not. `place` is needed for [`Which::Active`] and [`Which::Search`].
    pub async fn key(self: &Arc<Self>, which: Which, place: Option<Place>) -> Result<Arc<TableKey>, KeyError> {
        match self.cache.advise(&which) {
            Advice::Use(key) => Ok(key),
            Advice::UseAndRefresh(key) => {
                let this = self.clone();
                tokio::spawn(async move { this.load(which, place).await });
                Ok(key)
            }
            Advice::RefreshFirst(stale) => {
                let (this, wanted) = (self.clone(), which.clone());
                let load = tokio::spawn(async move { this.load(wanted, place).await });
                match tokio::time::timeout(REFRESH_WAIT, load).await {
                    Ok(Ok(Ok(()))) => self.loaded(&which),
                    Ok(Ok(Err(error))) if error.purges() => Err(error),
                    Ok(Ok(Err(error))) => {
                        tracing::warn!(%error, "a data key could not be refreshed; the cached one serves on");
                        Ok(stale)
                    }
                    // KMS hangs, or the runtime is shutting down. The load goes on without us.
                    _ => {
                        tracing::warn!(
                            table = which.table(),
                            "refreshing a data key takes long; the cached one serves on"
                        );
                        self.cache.failed(&which);
                        Ok(stale)
                    }
                }
            }
            Advice::Load => {
                self.cache.sweep();
                self.load(which.clone(), place).await?;
                self.loaded(&which)
            }
        }
    }

    /// Asks the vault and KMS anew, whatever is cached.
    pub async fn refresh(self: &Arc<Self>, which: Which) -> Result<(), KeyError> {
        self.load(which, None).await
    }

    fn loaded(&self, which: &Which) -> Result<Arc<TableKey>, KeyError> {
        match self.cache.advise(which) {
            Advice::Use(key) | Advice::UseAndRefresh(key) | Advice::RefreshFirst(key) => Ok(key),
            // Purged between the load and now, by a denial of another load.
            Advice::Load => Err(KmsError::Unavailable("the key was withdrawn while it was loaded".into()).into()),
        }
    }

    /// Boxed without its type: what is below is deeper than the compiler follows.
    fn load(
        self: &Arc<Self>,
        which: Which,
        place: Option<Place>,
    ) -> Pin<Box<dyn Future<Output = Result<(), KeyError>> + Send>> {
        let this = self.clone();
        Box::pin(async move { this.load_once(which, place).await })
    }

    async fn load_once(self: &Arc<Self>, which: Which, place: Option<Place>) -> Result<(), KeyError> {
        let this = self.clone();
        let wanted = which.clone();
        let started = async {
            let run = async move {
                let outcome = this.fetch(&wanted, place).await;
                match &outcome {
                    Ok(unwrapped) => this.cache.put(&wanted, unwrapped.clone()),
                    // It seals no longer, and opens what it has sealed.
                    Err(KeyError::KeyGone { .. }) => {}
                    Err(error) if error.purges() => {
                        this.cache.purge(&wanted);
                        tracing::warn!(table = wanted.table(), %error, "a data key must not be used any longer");
                        if matches!(error, KeyError::Kms(KmsError::Denied { .. })) {
                            this.denials.note();
                            this.cache.suspect_all();
                        }
                    }
                    Err(_) => this.cache.failed(&wanted),
                }
                // Only of rows that there are: anybody can write a value that names any id.
                let id = match (&outcome, &wanted) {
                    (Ok(Unwrapped { id, .. }), _) => id.to_string(),
                    (
                        Err(KeyError::Kms(_) | KeyError::VaultRow { .. } | KeyError::Retired { .. }),
                        Which::Id(_, id),
                    ) => id.to_string(),
                    _ => String::new(),
                };
                let labels = [
                    ("table", wanted.table().to_owned()),
                    ("key", id),
                    ("purpose", wanted.purpose().to_owned()),
                    ("outcome", outcome.as_ref().map_or_else(KeyError::sw_code, |_| "ok").to_owned()),
                ];
                metrics::counter!("sealwire_data_key_loads_total", &labels).increment(1);
                this.count();
                outcome.map(|_| ())
            };
            self.runner.run(run).await.unwrap_or(Err(KeyError::ShuttingDown))
        };
        let outcome = self.loads.get_with(which.clone(), started).await;
        if outcome.is_ok() {
            self.loads.invalidate(&which).await;
        }
        outcome
    }

    /// Drops keys that are too old for anyone, now and then, for as long as anybody holds this. Without it an
    /// idle proxy would keep them in memory.
    pub fn start_sweeping(self: &Arc<Self>, max_stale: Duration) {
        let this = Arc::downgrade(self);
        let every = (max_stale / 4).clamp(SWEEP.0, SWEEP.1);
        self.runner.spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                let Some(this) = this.upgrade() else { return };
                this.cache.sweep();
                this.count();
            }
        });
    }

    fn count(&self) {
        let keys = u32::try_from(self.cache.len()).unwrap_or(u32::MAX);
        metrics::gauge!("sealwire_data_keys_cached").set(f64::from(keys));
    }

    async fn fetch(&self, which: &Which, place: Option<Place>) -> Result<Unwrapped, KeyError> {
        match which {
            Which::Id(table, id) => {
                let not_there = || KeyError::NotInVault { table: table.clone(), id: *id };
                let row = self.store.row(*id).await?.ok_or_else(not_there)?;
                if row.scope != *table {
                    return Err(KeyError::OtherTable { table: table.clone(), id: *id });
                }
                let unwrapped = self.unwrap(&row, table, PURPOSE_DATA).await?;
                if row.state == STATE_RETIRED {
                    return Err(KeyError::Retired { table: table.clone(), id: *id });
                }
                Ok(unwrapped)
            }
            Which::Active(table) => self.newest(table, PURPOSE_DATA, place).await,
            Which::Search(table) => self.newest(table, PURPOSE_SEARCH, place).await,
        }
    }

    /// The newest active key of `table` for `purpose`, made if there is none at all.
    async fn newest(&self, table: &str, purpose: &str, place: Option<Place>) -> Result<Unwrapped, KeyError> {
        for _ in 0..ATTEMPTS {
            let rows = self.store.rows(table, purpose).await?;
            let which = match purpose {
                PURPOSE_SEARCH => Which::Search(table.to_owned()),
                _ => Which::Active(table.to_owned()),
            };
            self.expect_among(&which, &rows)?;
            for row in &rows {
                // Newer rows are unwrapped too: a state that somebody changed must not go unnoticed.
                let unwrapped = self.unwrap(row, table, purpose).await?;
                if row.state == STATE_ACTIVE {
                    self.chosen(which, row);
                    return Ok(unwrapped);
                }
            }
            if !rows.is_empty() {
                return Err(KeyError::NoActiveKey { table: table.to_owned() });
            }
            if let Some(place) = &place
                && self.store.holds_sealed(&place.table, &place.columns, purpose).await?
            {
                // Another proxy may have made the key and used it since the rows were read.
                if self.store.rows(table, purpose).await?.is_empty() {
                    return Err(KeyError::VaultLost { table: table.to_owned() });
                }
                continue;
            }
            self.make(table, purpose, 1, STATE_ACTIVE).await?;
            // Made or lost to another proxy: only what the vault now holds is used.
        }
        Err(KeyError::Vault { detail: format!("no data key could be made for {table}"), retryable: true })
    }

    /// Makes a data key and commits it, unless another proxy is first. The key is unwrapped once, for the
    /// MAC, while the row is locked and nobody else sees it.
    pub(super) async fn make(&self, table: &str, purpose: &str, version: u32, state: &str) -> Result<(), KeyError> {
        self.store.create().await?;
        let id = random_id()?;
        let context = EncryptionContext::data_key(table, id, &self.static_pairs);
        let wrapped = self.provider.generate_data_key_without_plaintext(&context).await?;
        let row = VaultRow {
            id,
            scope: table.to_owned(),
            purpose: purpose.to_owned(),
            version,
            state: state.to_owned(),
            kms_key: wrapped.kms_key,
            context,
            wrapped: wrapped.blob,
            created_at: vault::now(),
            mac: Vec::new(),
        };
        let Some(pending) = self.store.insert(&row).await? else { return Ok(()) };
        let key = self.decrypt(&row).await?;
        pending.commit(id, row.mac_with(&key)?).await?;
        tracing::info!(table, id, purpose, version, "made a data key");
        Ok(())
    }

    pub(super) async fn unwrap(&self, row: &VaultRow, table: &str, purpose: &str) -> Result<Unwrapped, KeyError> {
        if row.state == STATE_SHREDDED {
            return Err(KeyError::Shredded { table: table.to_owned() });
        }
        if !row.belongs_to(table, purpose) {
            return Err(KeyError::VaultRow { id: row.id });
        }
        let key = self.decrypt(row).await?;
        row.verify(&key)?;
        Ok(Unwrapped { id: row.id, version: row.version, key })
    }

    pub(super) async fn decrypt(&self, row: &VaultRow) -> Result<DataKey, KeyError> {
        let plaintext = self.provider.decrypt(&row.context, &row.wrapped).await.map_err(|error| match error {
            KmsError::InvalidCiphertext => KeyError::VaultRow { id: row.id },
            error => error.into(),
        })?;
        DataKey::new(plaintext.expose()).ok_or(KeyError::VaultRow { id: row.id })
    }
}

/// 1 to 2³¹ − 1: the upper half is the format's flag for padding.
fn random_id() -> Result<u32, KeyError> {
    loop {
        let mut bytes = [0; 4];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| KmsError::Rejected { code: "no random numbers".into() })?;
        let id = u32::from_be_bytes(bytes) & !crate::seal::format::PADDED;
        if id != 0 {
            return Ok(id);
        }
    }
}
