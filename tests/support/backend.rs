//! The servers under test and their accounts.

use std::path::PathBuf;
use std::sync::LazyLock;

use serde::Deserialize;

/// A server that tests run against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Server {
    MariaDb1011,
    MariaDb118,
    MySql97,
}

/// One running server, shared by all tests.
#[derive(Clone, Debug)]
pub struct Backend {
    pub server: Server,
    pub host: String,
    pub port: u16,
    pub socket: PathBuf,
    pub data: PathBuf,
    pub general_log: PathBuf,
    pub binlog: PathBuf,
    pub error_log: PathBuf,
    pub tls: PathBuf,
}

/// A user that `servers.sh` created; `app…` accounts may do everything in schemas named `t_…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    pub user: &'static str,
    pub password: &'static str,
}

impl Account {
    /// Every privilege, no password; also over the unix socket.
    pub const ROOT: Self = Self { user: "root", password: "" };
    /// The proxy's control account: every privilege.
    pub const CONTROL: Self = Self { user: "sealwire", password: "control-secret" };
    /// The server's default plugin: `mysql_native_password` or `caching_sha2_password`.
    pub const APP: Self = Self { user: "app", password: "app-secret" };
    pub const EMPTY: Self = Self { user: "app_empty", password: "" };
    /// REQUIRE SSL.
    pub const TLS: Self = Self { user: "app_tls", password: "tls-secret" };
    /// REQUIRE X509.
    pub const X509: Self = Self { user: "app_x509", password: "x509-secret" };
    /// MariaDB only.
    pub const NATIVE: Self = Self { user: "app_native", password: "native-secret" };
    /// MariaDB only.
    pub const ED25519: Self = Self { user: "app_ed25519", password: "ed25519-secret" };
    /// MariaDB 11.8 only.
    pub const PARSEC: Self = Self { user: "app_parsec", password: "parsec-secret" };
    /// MySQL only: `caching_sha2_password`.
    pub const SHA2: Self = Self { user: "app_sha2", password: "sha2-secret" };
    /// MySQL only: `sha256_password`.
    pub const SHA256: Self = Self { user: "app_sha256", password: "sha256-secret" };
}

#[derive(Deserialize)]
pub(super) struct Servers {
    mariadb: Option<Address>,
    mariadb118: Option<Address>,
    mysql: Option<Address>,
    pub(super) moto: Option<Moto>,
}

#[derive(Deserialize)]
struct Address {
    host: String,
    port: u16,
    socket: PathBuf,
    data: PathBuf,
    general_log: PathBuf,
    binlog: PathBuf,
    error_log: PathBuf,
    tls: PathBuf,
}

#[derive(Deserialize)]
pub(super) struct Moto {
    pub(super) endpoint: String,
}

pub(super) static SERVERS: LazyLock<Servers> = LazyLock::new(|| match std::env::var_os("SEALWIRE_TEST_SERVERS") {
    Some(path) => {
        let text = std::fs::read_to_string(&path).expect("SEALWIRE_TEST_SERVERS names a readable file");
        serde_json::from_str(&text).expect("SEALWIRE_TEST_SERVERS names a file in the documented form")
    }
    None => Servers { mariadb: None, mariadb118: None, mysql: None, moto: None },
});

/// Notes that a test is skipped, or fails it when every server is required.
pub fn missing(what: &str) {
    assert!(
        std::env::var_os("SEALWIRE_TEST_REQUIRE").is_none_or(|value| value.is_empty() || value == "0"),
        "{what} is not running: use `make test`, or tests/support/servers.sh run COMMAND"
    );
    eprintln!("skipped: {what} is not running");
}

impl Servers {
    pub(super) fn backend(&self, server: Server) -> Option<Backend> {
        let address = match server {
            Server::MariaDb1011 => self.mariadb.as_ref(),
            Server::MariaDb118 => self.mariadb118.as_ref(),
            Server::MySql97 => self.mysql.as_ref(),
        }?;
        Some(Backend {
            server,
            host: address.host.clone(),
            port: address.port,
            socket: address.socket.clone(),
            data: address.data.clone(),
            general_log: address.general_log.clone(),
            binlog: address.binlog.clone(),
            error_log: address.error_log.clone(),
            tls: address.tls.clone(),
        })
    }
}

impl Backend {
    /// The running server, or `None` when the test is to be skipped.
    pub fn get(server: Server) -> Option<Self> {
        let backend = SERVERS.backend(server);
        if backend.is_none() {
            missing(&format!("{server:?}"));
        }
        backend
    }

    pub fn is_mariadb(&self) -> bool {
        self.server != Server::MySql97
    }

    /// The certificate authority that signed every certificate in the tests.
    pub fn ca(&self) -> PathBuf {
        self.tls.join("ca.pem")
    }
}
