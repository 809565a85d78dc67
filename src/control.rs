//! The control link: the proxy's own connections to the server, for the catalog, the vault and bulk
//! work, on a runtime of its own so that it never competes with the relay.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{ClientIdentity, Conn, DriverError, Opts, OptsBuilder, Pool, PoolConstraints, PoolOpts, SslOpts};

use crate::config::{Backend, BackendAddress, BackendTlsMode, Config};

/// What every connection of the link says before anything else, so that no server default decides
/// how a statement of the proxy's own is read.
const SETUP: &str = "SET NAMES utf8mb4, \
    SESSION sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION', \
    SESSION autocommit = 1, SESSION time_zone = '+00:00', SESSION sql_quote_show_create = 1";

/// Connections kept and allowed at once. The catalog holds one; the vault is rarely asked.
const MIN_CONNECTIONS: usize = 1;
const MAX_CONNECTIONS: usize = 8;

/// A pool of connections and the runtime they live on. Cheap to clone; the runtime ends with the
/// last clone.
#[derive(Clone)]
pub struct Control {
    pool: Pool,
    runtime: tokio::runtime::Handle,
    _alive: Arc<tokio::sync::oneshot::Sender<()>>,
}

/// Why the control link cannot work. Messages name the account and the address, never the password.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error("cannot start the control runtime: {0}")]
    Runtime(#[source] std::io::Error),
    #[error("cannot reach the database server at {address}: {reason}")]
    Unreachable { address: String, reason: String },
    #[error("the database server at {address} does not answer within {timeout:?} (backend.connect_timeout)")]
    Timeout { address: String, timeout: Duration },
    #[error("the server at {address} refuses the control account '{user}': {reason} (see backend.control)")]
    AccessDenied { address: String, user: String, reason: String },
    #[error("the server at {address} does not offer TLS, but backend.tls.mode is {mode}")]
    NoTls { address: String, mode: &'static str },
    #[error("TLS with the server at {address} failed: {reason}")]
    Tls { address: String, reason: String },
    #[error("the server at {address} answers {reason}")]
    Server { address: String, reason: String },
}

impl Control {
    /// Starts the runtime on a thread of its own and proves that a connection works.
    ///
    /// # Errors
    /// The server is unreachable, refuses the account, or TLS cannot be had as configured.
    /// `preferred` settles here for the life of the link whether the server offers TLS.
    pub fn start(config: &Config) -> Result<Self, ControlError> {
        Self::to(&config.backend)
    }

    /// As [`Control::start`], to any server; on a runtime of its own, too.
    ///
    /// # Errors
    /// As there.
    pub fn to(backend: &Backend) -> Result<Self, ControlError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .thread_name("control")
            .build()
            .map_err(ControlError::Runtime)?;
        let handle = runtime.handle().clone();
        let (alive, ended) = tokio::sync::oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("control".into())
            .spawn(move || {
                let _ = runtime.block_on(ended);
                runtime.shutdown_timeout(Duration::from_secs(1));
            })
            .map_err(ControlError::Runtime)?;
        let backend = backend.clone();
        let (send, receive) = std::sync::mpsc::sync_channel(1);
        handle.spawn(async move {
            let _ = send.send(settle(&backend).await);
        });
        let opts =
            receive.recv().map_err(|_| ControlError::Runtime(std::io::Error::other("the control thread ended")))??;
        let pool = {
            let _context = handle.enter();
            Pool::new(opts)
        };
        Ok(Self { pool, runtime: handle, _alive: Arc::new(alive) })
    }

    /// Connections to the server, set to utf8mb4, UTC, strict mode and autocommit. To be used within
    /// [`Control::run`].
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Runs `future` on the control runtime; awaited from any other runtime. `None` if it was
    /// cancelled because the runtime is shutting down.
    pub async fn run<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> Option<T> {
        self.runtime.spawn(future).await.ok()
    }

    /// Leaves `future` running on the control runtime.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        drop(self.runtime.spawn(future));
    }

    /// Runs `future` on the control runtime and blocks the calling thread for it: for the start of
    /// the program and for subcommands, never within a runtime's task.
    pub fn block_on<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let (send, receive) = std::sync::mpsc::sync_channel(1);
        self.runtime.spawn(async move {
            let _ = send.send(future.await);
        });
        receive.recv().ok()
    }
}

/// Connects once and answers the options that worked.
async fn settle(backend: &Backend) -> Result<Opts, ControlError> {
    let mode = backend.tls.mode;
    let opts = options(backend, mode != BackendTlsMode::Disabled, None);
    let error = match probe(backend, &opts).await {
        Ok(()) => return Ok(opts),
        Err(Failure::Mine(error)) => return Err(error),
        Err(Failure::Driver(error)) => error,
    };
    let no_tls = matches!(&error, mysql_async::Error::Driver(DriverError::NoClientSslFlagFromServer));
    let retry = if no_tls && mode == BackendTlsMode::Preferred {
        Some(options(backend, false, None))
    } else if mode == BackendTlsMode::VerifyCa {
        // The driver recognises a wrong host name by a text that this rustls no longer writes; the
        // chain is verified before the name, so any name of the certificate's own will do.
        presented_name(&error).map(|name| options(backend, true, Some(name)))
    } else {
        None
    };
    let Some(opts) = retry else { return Err(explain(backend, error)) };
    match probe(backend, &opts).await {
        Ok(()) => Ok(opts),
        Err(Failure::Mine(error)) => Err(error),
        Err(Failure::Driver(error)) => Err(explain(backend, error)),
    }
}

enum Failure {
    Mine(ControlError),
    Driver(mysql_async::Error),
}

async fn probe(backend: &Backend, opts: &Opts) -> Result<(), Failure> {
    let timeout = backend.connect_timeout;
    let connect = async {
        let mut conn = Conn::new(opts.clone()).await?;
        conn.ping().await?;
        conn.disconnect().await
    };
    match tokio::time::timeout(timeout, connect).await {
        Ok(result) => result.map_err(Failure::Driver),
        Err(_) => Err(Failure::Mine(ControlError::Timeout { address: address(backend), timeout })),
    }
}

fn options(backend: &Backend, tls: bool, name: Option<String>) -> Opts {
    let constraints = PoolConstraints::new(MIN_CONNECTIONS, MAX_CONNECTIONS).unwrap_or_default();
    let pool = PoolOpts::default().with_constraints(constraints).with_inactive_connection_ttl(Duration::from_secs(60));
    let builder = OptsBuilder::default()
        .user(Some(backend.control.user.clone()))
        .pass(Some(backend.control.password.expose()))
        .prefer_socket(false)
        .tcp_nodelay(true)
        .tcp_keepalive(Some(Duration::from_secs(30)))
        .connect_attribute("program_name", "sealwire")
        .connect_attribute("_client_version", env!("CARGO_PKG_VERSION"))
        .pool_opts(pool)
        .setup(vec![SETUP]);
    let builder = match &backend.address {
        BackendAddress::Tcp(host, port) => builder.ip_or_hostname(host.clone()).tcp_port(*port),
        BackendAddress::Unix(path) => builder.socket(Some(path.to_string_lossy().into_owned())),
    };
    let builder = builder.ssl_opts(tls.then(|| ssl(backend, name)));
    builder.into()
}

fn ssl(backend: &Backend, name: Option<String>) -> SslOpts {
    let tls = &backend.tls;
    let verified = matches!(tls.mode, BackendTlsMode::VerifyCa | BackendTlsMode::VerifyIdentity);
    let mut ssl = SslOpts::default()
        .with_danger_accept_invalid_certs(!verified)
        .with_danger_skip_domain_validation(tls.mode != BackendTlsMode::VerifyIdentity);
    if verified {
        // Without this a public authority could vouch for the server beside the configured one.
        ssl = ssl.with_disable_built_in_roots(true);
        if let Some(ca) = &tls.ca {
            ssl = ssl.with_root_certs(vec![ca.clone().into()]);
        }
    }
    if let (Some(cert), Some(key)) = (&tls.cert, &tls.key) {
        ssl = ssl.with_client_identity(Some(ClientIdentity::new(cert.clone().into(), key.clone().into())));
    }
    match name {
        Some(name) => ssl.with_danger_tls_hostname_override(Some(name)),
        None => ssl,
    }
}

fn address(backend: &Backend) -> String {
    match &backend.address {
        BackendAddress::Tcp(host, port) => format!("{host}:{port}"),
        BackendAddress::Unix(path) => format!("unix:{}", path.display()),
    }
}

fn explain(backend: &Backend, error: mysql_async::Error) -> ControlError {
    use mysql_async::{Error, IoError};
    let address = address(backend);
    match error {
        Error::Driver(DriverError::NoClientSslFlagFromServer) => {
            let mode = match backend.tls.mode {
                BackendTlsMode::VerifyCa => "verify-ca",
                BackendTlsMode::VerifyIdentity => "verify-identity",
                _ => "required",
            };
            ControlError::NoTls { address, mode }
        }
        // 1045 access denied, 1698 access denied without password, 1130 host not allowed, 1251 and 2059 plugins
        Error::Server(error) if matches!(error.code, 1045 | 1698 | 1130 | 1251 | 2059 | 1862 | 3118) => {
            ControlError::AccessDenied { address, user: backend.control.user.clone(), reason: error.to_string() }
        }
        Error::Server(error) => ControlError::Server { address, reason: error.to_string() },
        Error::Io(IoError::Tls(error)) => ControlError::Tls { address, reason: error.to_string() },
        Error::Io(IoError::Io(error)) if names_tls(&error) => {
            let mut reason = error.to_string();
            if backend.tls.mode == BackendTlsMode::VerifyCa && reason.contains("not valid for any names") {
                reason += NO_NAMES;
            }
            ControlError::Tls { address, reason }
        }
        Error::Io(IoError::Io(error)) => ControlError::Unreachable { address, reason: error.to_string() },
        other => ControlError::Unreachable { address, reason: other.to_string() },
    }
}

/// MySQL's automatically made certificates have none; the library's verifier wants one even where none is compared.
const NO_NAMES: &str = "; give the server a certificate with a subjectAltName (with verify-ca any name will do), which \
                        the certificates that servers make by themselves do not have";

fn rustls_error(error: &std::io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref::<rustls::Error>()
}

fn names_tls(error: &std::io::Error) -> bool {
    rustls_error(error).is_some()
}

/// A DNS name or address out of the certificate that was refused for its name only.
fn presented_name(error: &mysql_async::Error) -> Option<String> {
    use mysql_async::{Error, IoError};
    let Error::Io(IoError::Io(error)) = error else { return None };
    let Some(rustls::Error::InvalidCertificate(rustls::CertificateError::NotValidForNameContext { presented, .. })) =
        rustls_error(error)
    else {
        return None;
    };
    presented.iter().find_map(|name| {
        let name = name.split_once('(').map_or(name.as_str(), |(_, inner)| inner.trim_end_matches(')'));
        let name = name.trim_matches('"').replace("*.", "any.");
        rustls::pki_types::ServerName::try_from(name.clone()).is_ok().then_some(name)
    })
}
