//! One client connection, from accept to close.
//!
//! [`listen`] accepts, [`connect`] carries both legs through the handshake, [`authenticate`] relays the
//! password exchange, [`command`] serves one command at a time, [`relay`] carries responses back.
//! [`protect`] plans and seals a statement, [`prepared`] does so for prepared ones, [`rows`] opens results.

pub mod authenticate;
pub mod command;
pub mod connect;
pub mod error;
pub mod leg;
pub mod listen;
pub mod prepared;
pub mod protect;
pub mod relay;
pub mod rows;
pub mod scrub;
pub mod state;
pub mod stream;
pub mod tls;

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::sync::CancellationToken;

use crate::catalog::Catalog;
use crate::config::Config;
use crate::keys::Keys;
use crate::sql::Prefilter;
use crate::wire::auth::{RsaError, RsaKeyPair};

/// What all sessions share.
pub struct Shared {
    pub config: Arc<Config>,
    pub catalog: Catalog,
    pub keys: Keys,
    pub acceptor: Option<TlsAcceptor>,
    pub connector: Option<TlsConnector>,
    /// Cancelled when the proxy shuts down.
    pub shutdown: CancellationToken,
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

    /// The prefilter of the latest snapshot, and that snapshot's generation.
    pub fn prefilter(&self) -> Arc<(u64, Prefilter)> {
        let snapshot = self.catalog.current();
        if let Some(kept) = self.prefilter.load_full().filter(|kept| kept.0 == snapshot.generation) {
            return kept;
        }
        let made = Arc::new((snapshot.generation, Prefilter::new(&snapshot)));
        self.prefilter.store(Some(made.clone()));
        made
    }
}
