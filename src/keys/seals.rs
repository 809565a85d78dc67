//! The count of values sealed with AES-256-GCM, in a table beside the vault. Who reserves when is in
//! [`super::budget`].

#[cfg(test)]
use std::collections::BTreeMap;
#[cfg(test)]
use std::sync::Mutex;

use mysql_async::prelude::Queryable;

use super::error::KeyError;
use super::store::{Store, connection, failure, missing, quoted};
use crate::config::seals_table;

impl Store {
    /// Reserves `block` seals of the data key `id`, behind the `known` that were reserved before: what all proxies
    /// have reserved now, or `None` where that would be more than `most`. One statement, so that no two get the
    /// same.
    pub async fn reserve_seals(&self, id: u32, known: u64, block: u64, most: u64) -> Result<Option<u64>, KeyError> {
        match self {
            Self::Sql { control, table, .. } => {
                let mut conn = connection(control).await?;
                let table = quoted(&seals_table(table));
                let update = format!(
                    "UPDATE {table} SET reserved = LAST_INSERT_ID(GREATEST(reserved, ?) + ?) \
                     WHERE id = ? AND GREATEST(reserved, ?) <= ?"
                );
                let values = (known, block, id, known, most.saturating_sub(block));
                match conn.exec_drop(&update, values).await {
                    Ok(()) if conn.affected_rows() == 1 => return Ok(conn.last_insert_id()),
                    Ok(()) => {}
                    // A vault that never counted.
                    Err(error) if missing(&error) => {
                        conn.query_drop(seals_definition(&table)).await.map_err(failure)?;
                    }
                    Err(error) => return Err(failure(error)),
                }
                // Spent, or this is the first.
                conn.exec_drop(format!("INSERT IGNORE INTO {table} (id, reserved) VALUES (?, 0)"), (id,))
                    .await
                    .map_err(failure)?;
                conn.exec_drop(&update, values).await.map_err(failure)?;
                Ok(if conn.affected_rows() == 1 { conn.last_insert_id() } else { None })
            }
            #[cfg(test)]
            Self::Memory(rows) => {
                let _together = rows.lock().unwrap();
                let mut counts = SEALS.lock().unwrap();
                let reserved = counts.entry(id).or_insert(0);
                *reserved = known.max(*reserved);
                if *reserved > most.saturating_sub(block) {
                    return Ok(None);
                }
                *reserved += block;
                Ok(Some(*reserved))
            }
        }
    }
}

/// The vault in memory's counts; ids are random.
#[cfg(test)]
pub static SEALS: Mutex<BTreeMap<u32, u64>> = Mutex::new(BTreeMap::new());

fn seals_definition(table: &str) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {table} (
  id INT UNSIGNED NOT NULL PRIMARY KEY,
  reserved BIGINT UNSIGNED NOT NULL
) ENGINE=InnoDB COMMENT='How many values each data key of Sealwire may have sealed with AES-256-GCM'"
    )
}
