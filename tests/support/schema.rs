//! A schema of its own for each test, dropped after it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use super::{Account, Backend, client};

/// Schemas with unique names: an empty one for the test's tables, one that the proxy makes for its vault,
/// and one with a protected table that the test has nothing to do with.
pub struct Schema {
    pub backend: Backend,
    /// `t_…`, utf8mb4.
    pub name: String,
}

static NEXT: AtomicU32 = AtomicU32::new(0);

impl Schema {
    pub async fn create(backend: &Backend) -> Self {
        let name = format!("t_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let schema = Self { backend: backend.clone(), name };
        let mut conn = client::connect(schema.backend_opts(Account::ROOT).db_name(None::<String>)).await;
        let name = &schema.name;
        for statement in [
            format!("DROP SCHEMA IF EXISTS {name}"),
            format!("DROP SCHEMA IF EXISTS {}", schema.vault_schema()),
            format!("DROP SCHEMA IF EXISTS {}", schema.other_schema()),
            format!("CREATE SCHEMA {name} DEFAULT CHARACTER SET utf8mb4"),
            format!("CREATE SCHEMA {}", schema.other_schema()),
            format!("CREATE TABLE {}.elsewhere (hidden varchar(191))", schema.other_schema()),
        ] {
            conn.query_drop(statement).await.expect("the test's schema is created");
        }
        conn.disconnect().await.expect("the connection ends");
        schema
    }

    /// The schema that holds this test's vault table, `data_keys`.
    pub fn vault_schema(&self) -> String {
        format!("{}_vault", self.name)
    }

    /// The schema that holds the table `elsewhere` with the column `hidden`.
    pub fn other_schema(&self) -> String {
        format!("{}_other", self.name)
    }

    /// Options for a direct connection to the server, in this schema.
    pub fn backend_opts(&self, account: Account) -> mysql_async::OptsBuilder {
        client::opts(&self.backend.host, self.backend.port, account, Some(&self.name))
    }

    /// A direct connection to the server as root, in this schema: what the database really holds.
    pub async fn direct(&self) -> Conn {
        client::connect(self.backend_opts(Account::ROOT)).await
    }

    /// A direct connection to the server as the application's account.
    pub async fn direct_app(&self) -> Conn {
        client::connect(self.backend_opts(Account::APP)).await
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let opts = self.backend_opts(Account::ROOT).db_name(None::<String>);
        let statements = [
            "SET SESSION lock_wait_timeout = 5".to_owned(),
            format!("DROP SCHEMA IF EXISTS {}", self.name),
            format!("DROP SCHEMA IF EXISTS {}", self.vault_schema()),
            format!("DROP SCHEMA IF EXISTS {}", self.other_schema()),
        ];
        let work = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime
                .block_on(async {
                    let drop_all = async {
                        let mut conn = Conn::new(opts).await?;
                        for statement in statements {
                            conn.query_drop(statement).await?;
                        }
                        conn.disconnect().await
                    };
                    tokio::time::timeout(Duration::from_secs(15), drop_all).await
                })?
                .map_err(std::io::Error::other)
        });
        // A schema that stays behind harms no other test: its name is unique.
        if !matches!(work.join(), Ok(Ok(()))) {
            eprintln!("schema {} was not dropped", self.name);
        }
    }
}
