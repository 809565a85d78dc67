//! One client connection, from accept to close.
//!
//! [`listen`] accepts, [`connect`] carries both legs through the handshake, [`authenticate`] relays the
//! password exchange, [`command`] serves one command at a time, [`relay`] carries responses back.
//! [`protect`] plans and seals a statement, [`prepared`] does so for prepared ones and [`bound`] for their
//! parameters, [`rows`] opens results.

pub mod authenticate;
mod bound;
pub mod command;
pub mod compressed;
pub mod connect;
pub mod error;
mod infile;
pub mod leg;
pub mod listen;
pub mod prepared;
pub mod protect;
pub mod proxy_protocol;
pub mod relay;
pub mod replicate;
pub mod row;
mod rows;
pub mod scrub;
pub mod state;
pub mod stream;
pub mod tls;
mod typed;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::sync::CancellationToken;

use crate::catalog::Catalog;
use crate::config::Config;
use crate::keys::Keys;
use crate::sql::Prefilter;
use crate::wire::auth::{RsaError, RsaKeyPair};

/// How long a statement that may be unprotected waits for a catalog that does not answer.
const PREFILTER_PATIENCE: Duration = Duration::from_millis(250);

/// What all sessions share.
pub struct Shared {
    pub config: Arc<Config>,
    pub catalog: Catalog,
    pub keys: Keys,
    pub acceptor: Option<TlsAcceptor>,
    pub connector: Option<TlsConnector>,
    /// Cancelled when the proxy shuts down.
    pub shutdown: CancellationToken,
    /// Cancelled when `shutdown_grace` is over, too: sessions in a transaction end as well.
    pub deadline: CancellationToken,
    rsa: OnceLock<RsaKeyPair>,
    prefilter: ArcSwapOption<(u64, Prefilter)>,
}

impl Shared {
    pub fn new(config: Arc<Config>, catalog: Catalog, keys: Keys) -> Result<Self, tls::TlsError> {
        Ok(Self {
            acceptor: tls::acceptor(&config.tls)?,
            connector: tls::connector(&config.backend.tls)?,
            config,
            catalog,
            keys,
            shutdown: CancellationToken::new(),
            deadline: CancellationToken::new(),
            rsa: OnceLock::new(),
            prefilter: ArcSwapOption::empty(),
        })
    }

    /// The proxy's own RSA key: made when a client first needs it, one a process.
    pub fn rsa(&self) -> Result<&RsaKeyPair, RsaError> {
        if self.rsa.get().is_none() {
            // Two sessions may both make one; the first one set is kept.
            let _ = self.rsa.set(RsaKeyPair::generate()?);
        }
        self.rsa.get().ok_or(RsaError::Generate)
    }

    /// The prefilter of a snapshot no older than `catalog.max_age`, and that snapshot's generation. While
    /// the catalog cannot be read, the latest one serves: what it does not know of cannot be protected
    /// by waiting, and statements that it does know of are refused for want of a fresh one.
    pub async fn prefilter(&self) -> Arc<(u64, Prefilter)> {
        let snapshot = match self.catalog.recent() {
            Some(snapshot) => snapshot,
            None => match timeout(PREFILTER_PATIENCE, self.catalog.fresh()).await {
                Ok(Ok(snapshot)) => snapshot,
                _ => self.catalog.current(),
            },
        };
        if let Some(kept) = self.prefilter.load_full().filter(|kept| kept.0 == snapshot.generation) {
            return kept;
        }
        let made = Arc::new((snapshot.generation, Prefilter::new(&snapshot)));
        self.prefilter.store(Some(made.clone()));
        made
    }
}
