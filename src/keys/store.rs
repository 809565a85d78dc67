//! The vault as a table of the backend, read and written over the control link. Nothing here is trusted:
//! [`super::vault`] checks what was read.

use std::collections::BTreeMap;
#[cfg(test)]
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use mysql_async::prelude::*;
use mysql_async::{Conn, Row, Transaction, TxOpts, Value};

use super::context::EncryptionContext;
use super::error::KeyError;
use super::vault::{PURPOSE_SEARCH, VaultRow};
use crate::config::TableName;
use crate::control::Control;
use crate::seal::GUARD_PATTERN;

const ER_BAD_DB: u16 = 1049;
const ER_DUP_ENTRY: u16 = 1062;
const ER_NO_SUCH_TABLE: u16 = 1146;
const ER_LOCK_WAIT_TIMEOUT: u16 = 1205;
const ER_LOCK_DEADLOCK: u16 = 1213;

pub(super) const COLUMNS: &str = "id, scope, purpose, version, state, kms_key, CAST(context AS CHAR), wrapped, mac, \
                       DATE_FORMAT(created_at, '%Y-%m-%d %H:%i:%s')";

#[derive(Clone)]
pub enum Store {
    Sql {
        /// To the vault's server.
        control: Control,
        /// To the server of the tables.
        data: Control,
        table: TableName,
    },
    #[cfg(test)]
    Memory(Arc<Mutex<Vec<VaultRow>>>),
}

/// A row that was inserted but not committed; dropped, it is rolled back.
pub enum Pending {
    Sql(Transaction<'static>, String),
    #[cfg(test)]
    Memory(Arc<Mutex<Vec<VaultRow>>>),
}

impl Store {
    /// The rows of a scope, newest version first. A vault that does not exist holds none.
    pub async fn rows(&self, scope: &str, purpose: &str) -> Result<Vec<VaultRow>, KeyError> {
        match self {
            Self::Sql { control, table, .. } => {
                let sql = format!(
                    "SELECT {COLUMNS} FROM {} WHERE scope = ? AND purpose = ? ORDER BY version DESC",
                    quoted(table)
                );
                select(control, &sql, (scope, purpose)).await
            }
            #[cfg(test)]
            Self::Memory(rows) => {
                let mut found: Vec<VaultRow> = rows.lock().unwrap().clone();
                found.retain(|row| row.scope == scope && row.purpose == purpose);
                found.sort_by_key(|row| std::cmp::Reverse(row.version));
                Ok(found)
            }
        }
    }

    /// Every row, by scope, purpose and version.
    pub async fn all(&self) -> Result<Vec<VaultRow>, KeyError> {
        match self {
            Self::Sql { control, table, .. } => {
                let sql = format!("SELECT {COLUMNS} FROM {} ORDER BY scope, purpose, version", quoted(table));
                select(control, &sql, ()).await
            }
            #[cfg(test)]
            Self::Memory(rows) => Ok(rows.lock().unwrap().clone()),
        }
    }

    /// Writes state, KMS key, wrapped key and MAC of rows, all or none. False if one of them is no longer as
    /// it was read: the first of each pair.
    pub async fn replace(&self, changes: &[(VaultRow, VaultRow)]) -> Result<bool, KeyError> {
        match self {
            Self::Sql { control, table, .. } => {
                let mut transaction = control.pool().start_transaction(TxOpts::default()).await.map_err(failure)?;
                let sql = format!(
                    "UPDATE {} SET state = ?, kms_key = ?, wrapped = ?, mac = ? WHERE id = ? AND mac = ? AND state = ?",
                    quoted(table)
                );
                for (old, new) in changes {
                    let values = (&new.state, &new.kms_key, &new.wrapped, &new.mac, old.id, &old.mac, &old.state);
                    transaction.exec_drop(&sql, values).await.map_err(failure)?;
                    if transaction.affected_rows() != 1 {
                        transaction.rollback().await.map_err(failure)?;
                        return Ok(false);
                    }
                }
                transaction.commit().await.map_err(failure)?;
                Ok(true)
            }
            #[cfg(test)]
            Self::Memory(rows) => {
                let mut rows = rows.lock().unwrap();
                for (old, new) in changes {
                    rows.iter_mut().filter(|row| *row == old).for_each(|row| *row = new.clone());
                }
                Ok(true)
            }
        }
    }

    /// How many values of `columns` of `table` are sealed with the data key `id`. Reads the whole table.
    pub async fn count_sealed_with(&self, table: &TableName, columns: &[String], id: u32) -> Result<u64, KeyError> {
        match self {
            Self::Sql { data, .. } => {
                let mut conn = connection(data).await?;
                let counts: Vec<String> = types(&mut conn, table, columns)
                    .await?
                    .iter()
                    .filter_map(|(name, data_type)| sealed_with(&quote(name), data_type, id))
                    .map(|condition| format!("COALESCE(SUM({condition}), 0)"))
                    .collect();
                if counts.is_empty() {
                    return Ok(0);
                }
                let sql = format!("SELECT CAST({} AS UNSIGNED) FROM {}", counts.join(" + "), quoted(table));
                Ok(conn.query_first(sql).await.map_err(failure)?.unwrap_or(0))
            }
            #[cfg(test)]
            Self::Memory(_) => Ok(0),
        }
    }

    pub async fn row(&self, id: u32) -> Result<Option<VaultRow>, KeyError> {
        match self {
            Self::Sql { control, table, .. } => {
                let sql = format!("SELECT {COLUMNS} FROM {} WHERE id = ?", quoted(table));
                Ok(select(control, &sql, (id,)).await?.pop())
            }
            #[cfg(test)]
            Self::Memory(rows) => Ok(rows.lock().unwrap().iter().find(|row| row.id == id).cloned()),
        }
    }

    /// How many rows there are; `None`: there is no vault yet.
    pub async fn count(&self) -> Result<Option<u64>, KeyError> {
        match self {
            Self::Sql { control, table, .. } => {
                let mut conn = connection(control).await?;
                match conn.query_first::<u64, _>(format!("SELECT COUNT(*) FROM {}", quoted(table))).await {
                    Ok(count) => Ok(count),
                    Err(error) if missing(&error) => Ok(None),
                    Err(error) => Err(failure(error)),
                }
            }
            #[cfg(test)]
            Self::Memory(rows) => Ok(Some(rows.lock().unwrap().len() as u64)),
        }
    }

    /// Makes schema and table where they are missing. Needs CREATE only then.
    pub async fn create(&self) -> Result<(), KeyError> {
        if self.count().await?.is_some() {
            return Ok(());
        }
        match self {
            Self::Sql { control, table, .. } => {
                let mut conn = connection(control).await?;
                let schema = quote(&table.schema);
                let found: Option<u8> = conn
                    .exec_first("SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?", (&table.schema,))
                    .await
                    .map_err(failure)?;
                if found.is_none() {
                    conn.query_drop(format!("CREATE DATABASE IF NOT EXISTS {schema}")).await.map_err(failure)?;
                }
                conn.query_drop(table_definition(table)).await.map_err(failure)
            }
            #[cfg(test)]
            Self::Memory(_) => Ok(()),
        }
    }

    /// Inserts `row` and leaves the transaction open. `None`: another row has its id, or its scope,
    /// purpose and version; waits for one that is not committed yet.
    pub async fn insert(&self, row: &VaultRow) -> Result<Option<Pending>, KeyError> {
        match self {
            Self::Sql { control, table, .. } => {
                let mut transaction = control.pool().start_transaction(TxOpts::default()).await.map_err(failure)?;
                let sql = format!(
                    "INSERT INTO {} (id, scope, purpose, version, state, kms_key, context, wrapped, mac, created_at) \
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?, '', ?)",
                    quoted(table)
                );
                let context =
                    serde_json::to_string(row.context.pairs()).map_err(|error| unusable(&error.to_string()))?;
                let values: Vec<Value> = vec![
                    row.id.into(),
                    (&row.scope).into(),
                    (&row.purpose).into(),
                    row.version.into(),
                    (&row.state).into(),
                    (&row.kms_key).into(),
                    context.into(),
                    (&row.wrapped).into(),
                    (&row.created_at).into(),
                ];
                match transaction.exec_drop(sql, values).await {
                    Ok(()) => {
                        let sql = format!("UPDATE {} SET mac = ? WHERE id = {}", quoted(table), row.id);
                        Ok(Some(Pending::Sql(transaction, sql)))
                    }
                    Err(error) if lost_the_race(&error) => {
                        let _ = transaction.rollback().await;
                        Ok(None)
                    }
                    Err(error) => Err(failure(error)),
                }
            }
            #[cfg(test)]
            Self::Memory(rows) => {
                let taken = |other: &VaultRow| {
                    other.id == row.id
                        || (&other.scope, &other.purpose, other.version) == (&row.scope, &row.purpose, row.version)
                };
                let mut rows_now = rows.lock().unwrap();
                if rows_now.iter().any(taken) {
                    return Ok(None);
                }
                rows_now.push(row.clone());
                Ok(Some(Pending::Memory(rows.clone())))
            }
        }
    }

    /// Whether one of `columns` of `table` holds a value that looks sealed, and needs a key of `purpose` to
    /// be. Reads the whole table when none does.
    pub async fn holds_sealed(&self, table: &TableName, columns: &[String], purpose: &str) -> Result<bool, KeyError> {
        match self {
            Self::Sql { data, .. } => {
                let mut conn = connection(data).await?;
                let conditions: Vec<String> = types(&mut conn, table, columns)
                    .await?
                    .iter()
                    .filter_map(|(name, data_type)| looks_sealed(&quote(name), data_type, purpose))
                    .collect();
                if conditions.is_empty() {
                    return Ok(false);
                }
                let sql = format!("SELECT 1 FROM {} WHERE {} LIMIT 1", quoted(table), conditions.join(" OR "));
                Ok(conn.query_first::<u8, _>(sql).await.map_err(failure)?.is_some())
            }
            #[cfg(test)]
            Self::Memory(_) => {
                Ok(table.schema == "sealed" || (purpose == PURPOSE_SEARCH && table.schema == "searched"))
            }
        }
    }
}

impl Pending {
    /// Puts the MAC into the row and commits it.
    pub async fn commit(self, id: u32, mac: Vec<u8>) -> Result<(), KeyError> {
        match self {
            Self::Sql(mut transaction, sql) => {
                transaction.exec_drop(sql, (mac,)).await.map_err(failure)?;
                transaction.commit().await.map_err(failure)
            }
            #[cfg(test)]
            Self::Memory(rows) => {
                rows.lock().unwrap().iter_mut().filter(|row| row.id == id).for_each(|row| row.mac = mac.clone());
                Ok(())
            }
        }
        .map(|()| tracing::debug!(id, "data key committed"))
    }
}

fn table_definition(table: &TableName) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {} (
  id INT UNSIGNED NOT NULL PRIMARY KEY,
  scope VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  purpose VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  version INT UNSIGNED NOT NULL,
  state VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  kms_key VARCHAR(512) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  context JSON NOT NULL,
  wrapped VARBINARY(6144) NOT NULL,
  mac VARBINARY(32) NOT NULL,
  created_at DATETIME NOT NULL,
  UNIQUE KEY scope_purpose_version (scope, purpose, version)
) ENGINE=InnoDB COMMENT='Wrapped data keys of Sealwire: values cannot be opened without these rows'",
        quoted(table)
    )
}

/// Those of `columns` that `table` has, with their types.
async fn types(conn: &mut Conn, table: &TableName, columns: &[String]) -> Result<Vec<(String, String)>, KeyError> {
    let mut known: Vec<(String, String)> = conn
        .exec(
            "SELECT COLUMN_NAME, DATA_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?",
            (&table.schema, &table.table),
        )
        .await
        .map_err(failure)?;
    known.retain(|(name, _)| columns.iter().any(|column| column.to_lowercase() == name.to_lowercase()));
    Ok(known)
}

/// The condition under which a value of a column of that type is sealed with the data key `id`, padded or
/// not. In the text form the id's 32 bits are the 21st to 25th character and the first two bits of the 26th.
fn sealed_with(column: &str, data_type: &str, id: u32) -> Option<String> {
    let ids = [id, id | crate::seal::format::PADDED];
    match data_type.to_ascii_lowercase().as_str() {
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => {
            let prefix = |id: u32| {
                let text = |rest: u8| STANDARD_NO_PAD.encode([&id.to_be_bytes()[..], &[rest, 0]].concat());
                // The next byte's upper four bits share the 26th character.
                let last: String = (0..16u8).filter_map(|four| text(four << 4).chars().nth(5)).collect();
                let first: String = text(0).chars().take(5).map(|c| format!("[{c}]")).collect();
                format!("{first}[{last}]")
            };
            let either = ids.map(prefix).join("|");
            Some(format!("{column} REGEXP '(?-i)^pQ.{{18}}({either})'"))
        }
        "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => {
            let [plain, padded] = ids.map(|id| format!("x'{id:08x}'"));
            Some(format!("(SUBSTRING({column}, 1, 1) = x'a5' AND SUBSTRING({column}, 16, 4) IN ({plain}, {padded}))"))
        }
        _ => None,
    }
}

/// The condition under which a column of that type looks sealed; `None`: it cannot hold sealed values.
fn looks_sealed(column: &str, data_type: &str, purpose: &str) -> Option<String> {
    let search_only = purpose == PURPOSE_SEARCH;
    match data_type.to_ascii_lowercase().as_str() {
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => {
            let searchable = if search_only { format!(" AND {column} REGEXP '(?-i)^pQI'") } else { String::new() };
            Some(format!("({column} REGEXP '{GUARD_PATTERN}'{searchable})"))
        }
        "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => {
            let algorithms = if search_only { "x'a502'" } else { "x'a501', x'a502', x'a503'" };
            Some(format!("(SUBSTRING({column}, 1, 2) IN ({algorithms}) AND LENGTH({column}) >= 35)"))
        }
        _ => None,
    }
}

pub(super) async fn connection(control: &Control) -> Result<Conn, KeyError> {
    control.pool().get_conn().await.map_err(failure)
}

async fn select(
    control: &Control,
    sql: &str,
    params: impl Into<mysql_async::Params> + Send,
) -> Result<Vec<VaultRow>, KeyError> {
    let mut conn = connection(control).await?;
    match conn.exec::<Row, _, _>(sql, params.into()).await {
        Ok(rows) => rows.into_iter().map(|row| parse(row).ok_or_else(|| unusable("a row cannot be read"))).collect(),
        Err(error) if missing(&error) => Ok(Vec::new()),
        Err(error) => Err(failure(error)),
    }
}

pub(super) fn parse(mut row: Row) -> Option<VaultRow> {
    fn take<T: FromValue>(row: &mut Row, at: usize) -> Option<T> {
        row.take_opt(at)?.ok()
    }
    let context: String = take(&mut row, 6)?;
    let pairs: BTreeMap<String, String> = serde_json::from_str(&context).ok()?;
    Some(VaultRow {
        id: take(&mut row, 0)?,
        scope: take(&mut row, 1)?,
        purpose: take(&mut row, 2)?,
        version: take(&mut row, 3)?,
        state: take(&mut row, 4)?,
        kms_key: take(&mut row, 5)?,
        context: EncryptionContext::new(pairs),
        wrapped: take(&mut row, 7)?,
        mac: take(&mut row, 8)?,
        created_at: take(&mut row, 9)?,
    })
}

fn quote(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

pub(super) fn quoted(table: &TableName) -> String {
    format!("{}.{}", quote(&table.schema), quote(&table.table))
}

fn server_code(error: &mysql_async::Error) -> Option<u16> {
    match error {
        mysql_async::Error::Server(error) => Some(error.code),
        _ => None,
    }
}

pub(super) fn missing(error: &mysql_async::Error) -> bool {
    matches!(server_code(error), Some(ER_BAD_DB | ER_NO_SUCH_TABLE))
}

/// Duplicates, and what a lock or a cluster's certification says instead.
fn lost_the_race(error: &mysql_async::Error) -> bool {
    matches!(server_code(error), Some(ER_DUP_ENTRY | ER_LOCK_WAIT_TIMEOUT | ER_LOCK_DEADLOCK))
}

/// The server's message names tables and accounts; the values bound here are not secret.
pub(super) fn failure(error: mysql_async::Error) -> KeyError {
    let retryable = !matches!(error, mysql_async::Error::Server(_));
    KeyError::Vault { detail: error.to_string(), retryable }
}

pub(super) fn unusable(detail: &str) -> KeyError {
    KeyError::Vault { detail: detail.into(), retryable: false }
}
