//! What the vault says of the versions of data keys, as the analyser needs it. A rotation counts on it: a version
//! is pending for `kms.cache.ttl` before anything is sealed with it, and no statement is planned on a picture half
//! as old as that.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use mysql_async::prelude::Queryable;

use super::cache::{millis, now};
use super::error::KeyError;
use super::store::{Store, connection, failure, missing, quoted};
#[cfg(test)]
use super::vault::VaultRow;
use super::vault::{PURPOSE_DATA, STATE_RETIRED, STATE_SHREDDED};
use super::{Inner, Keys};
use crate::config::{Provider, Search, TableName};
use crate::seal::versions::KeyVersions;

/// The picture is taken anew after this part of the time-to-live, and of no use after that.
const FRESH: u64 = 4;
const USABLE: u64 = 2;
/// How long a statement waits for the vault.
const WAIT: Duration = Duration::from_secs(5);

/// The last picture.
#[derive(Default)]
pub struct Picture {
    seen: ArcSwapOption<Seen>,
    /// Held by the one who takes the next.
    taking: tokio::sync::Mutex<()>,
}

struct Seen {
    /// When it was asked for, in milliseconds of [`now`].
    asked: u64,
    versions: Arc<KeyVersions>,
}

impl Keys {
    /// The live versions of all tables, read again when what is known is too old. Unknown, if the vault cannot be
    /// read; nothing at all where no column is searchable.
    pub async fn versions_now(&self) -> Arc<KeyVersions> {
        let inner = &self.inner;
        let mut columns = inner.config.tables.values().flat_map(|table| table.columns.values());
        if inner.config.kms.provider == Provider::None || columns.all(|column| column.search == Search::None) {
            return Arc::new(KeyVersions::default());
        }
        if let Some(versions) = inner.seen(FRESH) {
            return versions;
        }
        // One asks; who can do with what there is does not wait.
        let taking = match (inner.picture.taking.try_lock(), inner.seen(USABLE)) {
            (Ok(taking), _) => taking,
            (Err(_), Some(versions)) => return versions,
            (Err(_), None) => inner.picture.taking.lock().await,
        };
        let versions = match inner.seen(FRESH) {
            Some(versions) => versions,
            None => inner.take_picture().await,
        };
        drop(taking);
        versions
    }
}

impl Inner {
    /// The last picture, unless it is older than that part of the time-to-live.
    fn seen(&self, part: u64) -> Option<Arc<KeyVersions>> {
        let seen = self.picture.seen.load();
        let young = |seen: &&Arc<Seen>| now().saturating_sub(seen.asked) < millis(self.config.kms.cache.ttl) / part;
        seen.as_ref().filter(young).map(|seen| seen.versions.clone())
    }

    async fn take_picture(&self) -> Arc<KeyVersions> {
        let asked = now();
        let store = self.envelope.store.clone();
        let reading = self.envelope.runner.run(async move { store.live().await });
        match tokio::time::timeout(WAIT, reading).await {
            Ok(Some(Ok(live))) => {
                let versions = Arc::new(KeyVersions::new(live));
                self.picture.seen.store(Some(Arc::new(Seen { asked, versions: versions.clone() })));
                versions
            }
            outcome => {
                if let Ok(Some(Err(error))) = outcome {
                    tracing::warn!(%error, "the versions of the data keys cannot be read from the vault");
                }
                self.seen(USABLE).unwrap_or_else(|| Arc::new(KeyVersions::unknown()))
            }
        }
    }
}

impl Store {
    /// Scope and id of every data key that values may be sealed with.
    pub async fn live(&self) -> Result<Vec<(String, u32)>, KeyError> {
        match self {
            Self::Sql { control, table, .. } => {
                let sql = format!(
                    "SELECT scope, id FROM {} WHERE purpose = '{PURPOSE_DATA}' \
                     AND state NOT IN ('{STATE_RETIRED}', '{STATE_SHREDDED}')",
                    quoted(table)
                );
                let mut conn = connection(control).await?;
                match conn.query(sql).await {
                    Ok(rows) => Ok(rows),
                    Err(error) if missing(&error) => Ok(Vec::new()),
                    Err(error) => Err(failure(error)),
                }
            }
            #[cfg(test)]
            Self::Memory(rows) => {
                let live = |row: &&VaultRow| {
                    row.purpose == PURPOSE_DATA && row.state != STATE_RETIRED && row.state != STATE_SHREDDED
                };
                Ok(rows.lock().unwrap().iter().filter(live).map(|row| (row.scope.clone(), row.id)).collect())
            }
        }
    }

    /// A unique key or foreign key over one of `columns` of `table`, which compares whole values.
    pub async fn key_over(&self, table: &TableName, columns: &[String]) -> Result<Option<String>, KeyError> {
        match self {
            Self::Sql { data, .. } => {
                let mut conn = connection(data).await?;
                let sql = "SELECT LOWER(COLUMN_NAME), CONCAT('the unique key ', INDEX_NAME) \
                           FROM information_schema.STATISTICS \
                           WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND NON_UNIQUE = 0 AND COLUMN_NAME IS NOT NULL \
                           UNION ALL SELECT LOWER(COLUMN_NAME), CONCAT('the foreign key ', CONSTRAINT_NAME) \
                           FROM information_schema.KEY_COLUMN_USAGE \
                           WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND REFERENCED_TABLE_NAME IS NOT NULL \
                           UNION ALL SELECT LOWER(REFERENCED_COLUMN_NAME), \
                           CONCAT('the foreign key ', CONSTRAINT_NAME, ' of ', TABLE_NAME) \
                           FROM information_schema.KEY_COLUMN_USAGE \
                           WHERE REFERENCED_TABLE_SCHEMA = ? AND REFERENCED_TABLE_NAME = ?";
                let (schema, name) = (&table.schema, &table.table);
                let found: Vec<(String, String)> =
                    conn.exec(sql, (schema, name, schema, name, schema, name)).await.map_err(failure)?;
                let over = |column: &str| columns.iter().any(|c| c.to_lowercase() == column);
                Ok(found.into_iter().find(|(column, _)| over(column)).map(|(_, key)| key))
            }
            #[cfg(test)]
            Self::Memory(_) => Ok(None),
        }
    }
}
