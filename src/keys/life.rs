//! What `sealwire keys` does to the vault over the years: a new version of a data key, another KMS key around
//! it, its retirement and its end. Every change is made to a row that was verified, and only while the row is
//! still as it was read.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use super::envelope::Envelope;
use super::error::KeyError;
use super::providers::aws::same_key;
use super::vault::{
    PURPOSE_DATA, STATE_ACTIVE, STATE_PENDING, STATE_RETIRED, STATE_SHREDDED, STATE_SUPERSEDED, VaultRow,
};
use super::vouch::NOTICED;
use super::{Inner, Keys};

use crate::config::{KmsMode, Search, TableName};
use crate::seal::DataKey;

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum LifeError {
    #[error("{}: {error}", error.sw_code())]
    Keys {
        #[from]
        error: KeyError,
    },
    #[error("{0}")]
    Refused(String),
}

/// One row of the vault, for people.
#[derive(Clone, Debug)]
pub struct KeyVersion {
    pub id: u32,
    /// `schema.table`.
    pub scope: String,
    /// `data` or `search`.
    pub purpose: String,
    pub version: u32,
    pub state: String,
    /// The KMS key that wrapped it, as the row says.
    pub kms_key: String,
    /// UTC.
    pub created_at: String,
    /// Why it cannot be used: KMS does not unwrap it, or the row was changed.
    pub problem: Option<KeyError>,
    /// How many values of the configured columns are sealed with it, where that was asked for.
    pub values: Option<u64>,
}

/// What [`Keys::rewrap`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rewrapped {
    pub rewrapped: usize,
    /// The KMS key of their table had wrapped them already.
    pub untouched: usize,
}

impl Keys {
    /// Every row of the vault, each unwrapped and verified. `count` reads the protected tables too.
    pub async fn versions(&self, count: bool) -> Result<Vec<KeyVersion>, LifeError> {
        self.live(move |inner| async move {
            let envelope = &inner.envelope;
            let mut versions = Vec::new();
            for row in envelope.store.all().await? {
                let problem = envelope.unwrap(&row, &row.scope, &row.purpose).await.err();
                let values = if count && row.purpose == PURPOSE_DATA {
                    Some(inner.count(&row.scope, row.id).await?)
                } else {
                    None
                };
                versions.push(KeyVersion {
                    id: row.id,
                    scope: row.scope,
                    purpose: row.purpose,
                    version: row.version,
                    state: row.state,
                    kms_key: row.kms_key,
                    created_at: row.created_at,
                    problem,
                    values,
                });
            }
            Ok(versions)
        })
        .await
    }

    /// Makes the next version of the data key of `scope`, pending; or finds the one that is pending already.
    /// Answers its number. To be activated when every proxy has had `kms.cache.ttl` to see it.
    pub async fn begin_rotation(&self, scope: &str) -> Result<u32, LifeError> {
        let scope = scope.to_owned();
        self.live(move |inner| async move { inner.make_pending(&scope).await }).await
    }

    /// Lets the pending version seal, and the one before only open. Answers its number.
    pub async fn activate(&self, scope: &str) -> Result<u32, LifeError> {
        let scope = scope.to_owned();
        self.live(move |inner| async move { inner.activate_pending(&scope).await }).await
    }

    /// Wraps the data keys of `scope`, or all, with the KMS key of their table where another wrapped them: `kms.key` or
    /// one of `kms.previous`. Each is unwrapped once, to verify it and for the row's MAC.
    pub async fn rewrap(&self, scope: Option<&str>) -> Result<Rewrapped, LifeError> {
        let scope = scope.map(str::to_owned);
        self.live(move |inner| async move {
            let envelope = &inner.envelope;
            let mut current: BTreeMap<String, String> = BTreeMap::new();
            let mut done = Rewrapped::default();
            let mut rows = envelope.store.all().await?;
            rows.retain(|row| row.state != STATE_SHREDDED && scope.as_ref().is_none_or(|scope| *scope == row.scope));
            if rows.is_empty() {
                return Err(refused("the vault holds no such data key".into()));
            }
            for row in rows {
                let wanted = match current.entry(row.scope.clone()) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(unknown) => {
                        let described = envelope.provider.describe(Some(&row.scope)).await.map_err(KeyError::from)?;
                        unknown.insert(described.key)
                    }
                };
                if same_key(&row.kms_key, wanted) {
                    done.untouched = done.untouched.saturating_add(1);
                    continue;
                }
                let wrapped = envelope.provider.re_encrypt(&row.context, &row.wrapped).await.map_err(KeyError::from)?;
                let mut new = VaultRow { kms_key: wrapped.kms_key, wrapped: wrapped.blob, ..row.clone() };
                let key = envelope.decrypt(&new).await?;
                // The row is genuine, and what was wrapped anew is the very key that authenticates it.
                row.verify(&key)?;
                new.mac = new.mac_with(&key)?;
                envelope.replace(&[(row, new)]).await?;
                done.rewrapped = done.rewrapped.saturating_add(1);
            }
            Ok(done)
        })
        .await
    }

    /// Ends the use of a superseded version that no value is sealed with any longer. The wrapped key stays,
    /// for old backups. Takes some seconds.
    pub async fn retire(&self, scope: &str, version: u32) -> Result<(), LifeError> {
        let scope = scope.to_owned();
        self.live(move |inner| async move {
            let (row, key) = inner.version(&scope, version).await?;
            if row.state != STATE_SUPERSEDED {
                return Err(refused(format!(
                    "version {version} of {scope} is {}: only a superseded version can be retired; rotate first",
                    row.state
                )));
            }
            let still = |count: u64| {
                refused(format!(
                    "{count} values of {scope} are still sealed with version {version}; write them again, so that \
                     they are sealed with the active version"
                ))
            };
            // Counted at once, and again when a proxy that had not noticed the newer version has.
            for wait in [Duration::ZERO, NOTICED] {
                tokio::time::sleep(wait).await;
                match inner.count(&scope, row.id).await? {
                    0 => {}
                    count => return Err(still(count)),
                }
            }
            let retired = with_state(&row, &key, STATE_RETIRED)?;
            inner.envelope.replace(&[(row.clone(), retired.clone())]).await?;
            // A transaction that ended meanwhile may have brought one.
            match inner.count(&scope, row.id).await? {
                0 => Ok(()),
                count => {
                    inner.envelope.replace(&[(retired, row)]).await?;
                    Err(still(count))
                }
            }
        })
        .await
    }

    /// Lets a retired version open again.
    pub async fn unretire(&self, scope: &str, version: u32) -> Result<(), LifeError> {
        let scope = scope.to_owned();
        self.live(move |inner| async move {
            let (row, key) = inner.version(&scope, version).await?;
            if row.state != STATE_RETIRED {
                return Err(refused(format!("version {version} of {scope} is {}, not retired", row.state)));
            }
            inner.envelope.replace(&[(row.clone(), with_state(&row, &key, STATE_SUPERSEDED)?)]).await
        })
        .await
    }

    /// Destroys every wrapped key of `scope` in the vault, search keys too. Answers how many. Asks nothing of
    /// KMS, so that it works when the KMS key is gone.
    pub async fn shred(&self, scope: &str) -> Result<usize, LifeError> {
        let scope = scope.to_owned();
        self.live(move |inner| async move {
            let mut rows = inner.envelope.store.all().await?;
            rows.retain(|row| row.scope == scope && row.state != STATE_SHREDDED);
            if rows.is_empty() {
                return Err(refused(format!("the vault holds no data key of {scope}")));
            }
            let shredded = |row: VaultRow| {
                let new =
                    VaultRow { state: STATE_SHREDDED.into(), wrapped: Vec::new(), mac: Vec::new(), ..row.clone() };
                (row, new)
            };
            let changes: Vec<_> = rows.into_iter().map(shredded).collect();
            inner.envelope.replace(&changes).await?;
            Ok(changes.len())
        })
        .await
    }

    async fn live<T, F>(&self, work: impl FnOnce(Arc<Inner>) -> F) -> Result<T, LifeError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, LifeError>> + Send + 'static,
    {
        let work = work(self.inner.clone());
        self.inner.envelope.runner.run(work).await.unwrap_or(Err(KeyError::ShuttingDown.into()))
    }
}

impl Inner {
    /// The configured tables whose values are sealed under `scope`, with their enveloped columns.
    fn tables(&self, scope: &str) -> Vec<(TableName, Vec<String>)> {
        let sealed_as = |(name, _): &(&TableName, &crate::config::TableConfig)| {
            self.config.tables.get(*name).and_then(|table| table.sealed_as.as_ref()).unwrap_or(name).to_string()
                == scope
        };
        let tables = self.config.tables.iter().filter(sealed_as);
        tables
            .map(|(name, table)| {
                let mode = self.config.kms.mode;
                let columns =
                    table.columns.iter().filter(|(_, column)| column.mode.unwrap_or(mode) == KmsMode::Envelope);
                (name.clone(), columns.map(|(name, _)| name.clone()).collect())
            })
            .collect()
    }

    /// As [`Keys::begin_rotation`].
    pub(super) async fn make_pending(&self, scope: &str) -> Result<u32, LifeError> {
        self.rotatable(scope).await?;
        let envelope = &self.envelope;
        // Made here, or by another that is first: what counts is what the vault then holds.
        for _ in 0..2 {
            let rows = envelope.verified(scope).await?;
            let Some((newest, _)) = rows.first() else {
                return Err(refused(format!("{scope} has no data key yet; the first sealed value makes it")));
            };
            if newest.state == STATE_PENDING {
                return Ok(newest.version);
            }
            let next = newest.version.checked_add(1).ok_or_else(|| refused("no version is left".into()))?;
            envelope.make(scope, PURPOSE_DATA, next, STATE_PENDING).await?;
        }
        Err(refused("another rotation is at work; try again".into()))
    }

    /// As [`Keys::activate`].
    pub(super) async fn activate_pending(&self, scope: &str) -> Result<u32, LifeError> {
        self.rotatable(scope).await?;
        let rows = self.envelope.verified(scope).await?;
        let Some((newest, key)) = rows.first().filter(|(row, _)| row.state == STATE_PENDING) else {
            return Err(refused(format!("no version of {scope} is pending")));
        };
        // The old one first: between the two nothing would seal, but they are one transaction.
        let mut changes = Vec::new();
        for (row, key) in rows.iter().filter(|(row, _)| row.state == STATE_ACTIVE) {
            changes.push((row.clone(), with_state(row, key, STATE_SUPERSEDED)?));
        }
        changes.push((newest.clone(), with_state(newest, key, STATE_ACTIVE)?));
        self.envelope.replace(&changes).await?;
        Ok(newest.version)
    }

    /// Whether a second version can live beside the first.
    async fn rotatable(&self, scope: &str) -> Result<(), LifeError> {
        let tables = self.tables(scope);
        if tables.is_empty() {
            return Err(refused(format!("no table of the configuration is sealed as {scope}")));
        }
        for (name, _) in &tables {
            let columns = self.config.tables.get(name).into_iter().flat_map(|table| &table.columns);
            let searchable = columns.filter(|(_, column)| column.search != Search::None);
            let searchable: Vec<String> = searchable.map(|(column, _)| column.clone()).collect();
            if searchable.is_empty() {
                continue;
            }
            if let Some(key) = self.envelope.store.key_over(name, &searchable).await? {
                return Err(refused(format!(
                    "{name} has {key} over a searchable column: two versions seal equal values differently, so that the \
                     key would not hold; drop it for the time of the rotation, until the version before is retired"
                )));
            }
        }
        Ok(())
    }

    async fn count(&self, scope: &str, id: u32) -> Result<u64, LifeError> {
        let mut count = 0u64;
        for (name, columns) in self.tables(scope) {
            count = count.saturating_add(self.envelope.store.count_sealed_with(&name, &columns, id).await?);
        }
        Ok(count)
    }

    async fn version(&self, scope: &str, version: u32) -> Result<(VaultRow, DataKey), LifeError> {
        if self.tables(scope).is_empty() {
            return Err(refused(format!(
                "no table of the configuration is sealed as {scope}, so its values cannot be counted"
            )));
        }
        let rows = self.envelope.verified(scope).await?;
        let found = rows.into_iter().find(|(row, _)| row.version == version);
        found.ok_or_else(|| refused(format!("the vault holds no version {version} of {scope}")))
    }
}

impl Envelope {
    /// The data keys of a scope, newest first, each unwrapped and verified.
    async fn verified(&self, scope: &str) -> Result<Vec<(VaultRow, DataKey)>, LifeError> {
        let mut verified = Vec::new();
        for row in self.store.rows(scope, PURPOSE_DATA).await? {
            let unwrapped = self.unwrap(&row, scope, PURPOSE_DATA).await?;
            verified.push((row, unwrapped.key));
        }
        Ok(verified)
    }

    async fn replace(&self, changes: &[(VaultRow, VaultRow)]) -> Result<(), LifeError> {
        if self.store.replace(changes).await? {
            Ok(())
        } else {
            Err(refused("the vault changed meanwhile; nothing was done, try again".into()))
        }
    }
}

fn with_state(row: &VaultRow, key: &DataKey, state: &str) -> Result<VaultRow, KeyError> {
    let mut new = VaultRow { state: state.to_owned(), ..row.clone() };
    new.mac = new.mac_with(key)?;
    Ok(new)
}

fn refused(reason: String) -> LifeError {
    LifeError::Refused(reason)
}
