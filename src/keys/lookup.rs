//! One row of the vault on one server, and the statement that would put it back there.

use mysql_async::Row;
use mysql_async::prelude::*;

use super::error::KeyError;
use super::store::{COLUMNS, Store, connection, failure, missing, parse, quoted, unusable};
use super::vault::VaultRow;
use super::vouch::Identity;

/// Connections that are tried for one to a given server: more than are kept.
const CONNECTIONS: usize = 10;

impl Store {
    /// The row as the server with that identity has it, whatever connections are at hand. Error: no connection to
    /// that server could be had.
    pub async fn row_at(&self, id: u32, server: Option<&Identity>) -> Result<Option<VaultRow>, KeyError> {
        match self {
            Self::Sql { control, table, .. } => {
                let sql = format!("SELECT {COLUMNS} FROM {} WHERE id = ?", quoted(table));
                for _ in 0..CONNECTIONS {
                    let mut conn = connection(control).await?;
                    if let Some(server) = server {
                        let variables: Vec<String> = server.variables.iter().map(|name| format!("@@{name}")).collect();
                        let values = format!("SELECT CONCAT_WS('\n', {})", variables.join(", "));
                        let here: Option<String> = conn.query_first(values).await.map_err(failure)?;
                        if here.as_ref() != Some(&server.values) {
                            // It was made before a failover, or there are several servers.
                            let _ = conn.disconnect().await;
                            continue;
                        }
                    }
                    return match conn.exec_first::<Row, _, _>(&sql, (id,)).await {
                        Ok(row) => {
                            row.map(|row| parse(row).ok_or_else(|| unusable("a row cannot be read"))).transpose()
                        }
                        Err(error) if missing(&error) => Ok(None),
                        Err(error) => Err(failure(error)),
                    };
                }
                Err(KeyError::OtherServer)
            }
            #[cfg(test)]
            Self::Memory(rows) => match server {
                Some(server) if server.values != "memory" => Err(KeyError::OtherServer),
                _ => Ok(rows.lock().unwrap().iter().find(|row| row.id == id).cloned()),
            },
        }
    }

    /// The statement that writes `row` as it is.
    pub fn insert_statement(&self, row: &VaultRow) -> String {
        let table = match self {
            Self::Sql { table, .. } => quoted(table),
            #[cfg(test)]
            Self::Memory(_) => "memory".into(),
        };
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let text = |text: &str| format!("CONVERT(x'{}' USING utf8mb4)", hex(text.as_bytes()));
        let context = serde_json::to_string(row.context.pairs()).unwrap_or_default();
        format!(
            "INSERT INTO {table} (id, scope, purpose, version, state, kms_key, context, wrapped, mac, created_at) VALUES \
             ({}, {}, '{}', {}, '{}', {}, {}, x'{}', x'{}', '{}')",
            row.id,
            text(&row.scope),
            row.purpose,
            row.version,
            row.state,
            text(&row.kms_key),
            text(&context),
            hex(&row.wrapped),
            hex(&row.mac),
            row.created_at
        )
    }
}
