//! What the end-to-end tests share: real servers, a schema and a proxy of its own for each test, and a
//! search of everything a server writes for values it must never see.
//!
//! `servers.sh` starts the servers and names a JSON file in `SEALWIRE_TEST_SERVERS`:
//!
//! ```json
//! { "mariadb": { "host": "127.0.0.1", "port": 1, "socket": "…", "data": "…", "general_log": "…",
//!                "binlog": "…", "error_log": "…", "tls": "…" },
//!   "mariadb118": { … },
//!   "mysql":   { … },
//!   "moto":    { "endpoint": "http://127.0.0.1:1" } }
//! ```
//!
//! `data` and `binlog` are folders; `tls` is a folder with `ca.pem`, `server.pem`, `server-key.pem` (for
//! 127.0.0.1 and localhost), `client.pem` and `client-key.pem`. A test whose server is not there is skipped
//! with a note, or fails when `SEALWIRE_TEST_REQUIRE=1`.
#![allow(dead_code, unused_imports)]

mod backend;
mod canary;
mod client;
pub mod compressing;
mod kms;
mod login;
mod private;
pub mod process_memory;
mod proxy;
mod python;
pub mod raw;
mod schema;
pub mod scrape;
mod stage;
pub mod stand_in;

pub use backend::{Account, Backend, Server, missing};
pub use canary::{assert_no_plaintext, search};
pub use client::{Answer, Metadata, answer, code, connect, opts, text_rows};
pub use kms::{kms_client, moto_endpoint, moto_key};
pub use login::{Login, Wire};
pub use private::PrivateServer;
pub use proxy::{Kms, Proxy, ProxyBuilder, sealed_and_plain};
pub use python::python;
pub use raw::{Raw, caps};
pub use schema::Schema;
pub use stage::{Act, Stage};
pub use stand_in::{StandIn, kms_scene};

/// Runs each test on every server: `async fn name(backend: Backend) { … }` becomes the tests
/// `name::mariadb_10_11`, `name::mariadb_11_8` and `name::mysql_9_7`.
#[macro_export]
macro_rules! on_every_server {
    ($($(#[$attribute:meta])* async fn $name:ident($backend:ident: Backend) $body:block)*) => {$(
        $(#[$attribute])*
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            async fn body($backend: $crate::support::Backend) $body

            #[tokio::test]
            async fn mariadb_10_11() {
                if let Some(backend) = $crate::support::Backend::get($crate::support::Server::MariaDb1011) {
                    body(backend).await;
                }
            }

            #[tokio::test]
            async fn mariadb_11_8() {
                if let Some(backend) = $crate::support::Backend::get($crate::support::Server::MariaDb118) {
                    body(backend).await;
                }
            }

            #[tokio::test]
            async fn mysql_9_7() {
                if let Some(backend) = $crate::support::Backend::get($crate::support::Server::MySql97) {
                    body(backend).await;
                }
            }
        }
    )*};
}
