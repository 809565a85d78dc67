//! What the proxy knows of the backend's schema. [`snapshot`] is the data, pure and shared with
//! `sql`; fetching it, keeping it fresh and judging it is beside it.
//!
//! A refresh runs every half `catalog.max_age`, so that [`Catalog::current`] is normally never older
//! than `max_age`; what must not be older asks [`Catalog::fresh`].
mod alter;
pub(crate) mod bind;
mod build;
mod column;
mod facts;
mod grants;
pub mod inspect;
pub mod offline;
mod read;
pub mod snapshot;
pub mod verify;
mod watch;
pub mod width;

pub use snapshot::*;
pub use width::{alter_hint, guard_sql};

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use mysql_async::Conn;

use crate::config::{Config, TableName};
use crate::control::Control;
use facts::{Facts, Objects};

/// Tables kept up to date because a statement asked for them. Beyond it the set starts anew; who needs
/// a table asks again.
const MAX_ASKED: usize = 4096;

/// The background refresh rests this many times as long as it took: on MariaDB a pass takes longer the
/// more tables the server has, since its list of views and triggers is read from one file a table.
const RESTRAINT: u32 = 4;

/// How long one refresh may take before it counts as failed.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(15);

/// The catalog: cheap to clone, shared by every worker.
#[derive(Clone)]
pub struct Catalog {
    inner: Arc<Inner>,
}

/// Why the catalog could not be read. Statements on protected tables are refused meanwhile.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CatalogError {
    #[error("the control link cannot reach the server to read its schema: {0}")]
    Unreachable(String),
    #[error("the server refuses to show its schema to the control account: {0}")]
    Refused(String),
    #[error("reading the server's schema took longer than {0:?}")]
    Timeout(Duration),
    #[error("{0} (see `sealwire check`)")]
    Unfit(String),
    #[error("the proxy is shutting down")]
    ShuttingDown,
}

struct Inner {
    config: Arc<Config>,
    control: Control,
    state: ArcSwap<State>,
    /// Tables to look up beside the protected ones and the watched views.
    asked: Mutex<BTreeSet<TableName>>,
    /// Snapshots read before this moment are stale, whatever their age.
    invalid_before: Mutex<Instant>,
    /// Held by the one refresh in flight.
    reader: tokio::sync::Mutex<Reader>,
}

/// The latest snapshot and when the refresh that read or confirmed it began.
struct State {
    snapshot: Arc<Snapshot>,
    began: Instant,
}

#[derive(Default)]
struct Reader {
    /// A connection of the catalog's own; `None` until used and after a failure.
    link: Option<(Conn, read::Server)>,
    /// What the current snapshot was made of.
    facts: Option<Facts>,
    /// When the latest attempt began, and its error.
    failed: Option<(Instant, CatalogError)>,
}

impl Catalog {
    /// As [`Catalog::open`], for a proxy that is to serve.
    ///
    /// # Errors
    /// The schema could not be read, or a protected column has a type that holds no sealed values.
    pub async fn start(config: Arc<Config>, control: Control) -> Result<Self, CatalogError> {
        let catalog = Self::open(config.clone(), control).await?;
        let unfit = verify::fatal(&catalog.current(), &config);
        if unfit.is_empty() {
            return Ok(catalog);
        }
        Err(CatalogError::Unfit(unfit.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))
    }

    /// Reads the schema a first time and keeps it fresh from then on.
    ///
    /// # Errors
    /// The schema could not be read.
    pub async fn open(config: Arc<Config>, control: Control) -> Result<Self, CatalogError> {
        let (settings, link) = (config.clone(), control.clone());
        let first = control.run(async move {
            let mut reader = Reader::default();
            let began = Instant::now();
            let snapshot = reader.refresh(&settings, &link, &BTreeSet::new(), None).await?;
            Ok((reader, State { snapshot, began }))
        });
        let (reader, state) = first.await.unwrap_or(Err(CatalogError::ShuttingDown))?;
        let began = state.began;
        let inner = Arc::new(Inner {
            config,
            control: control.clone(),
            state: ArcSwap::from_pointee(state),
            asked: Mutex::default(),
            invalid_before: Mutex::new(began),
            reader: tokio::sync::Mutex::new(reader),
        });
        control.spawn(keep_fresh(Arc::downgrade(&inner)));
        Ok(Self { inner })
    }

    /// The latest snapshot of whatever age, for the prefilter; normally no older than
    /// `catalog.max_age`. Never waits.
    pub fn current(&self) -> Arc<Snapshot> {
        self.inner.state.load().snapshot.clone()
    }

    /// The latest snapshot if it is no older than `catalog.max_age`. Never waits.
    pub fn recent(&self) -> Option<Arc<Snapshot>> {
        let state = self.inner.state.load();
        (state.began >= self.inner.oldest_allowed()).then(|| state.snapshot.clone())
    }

    /// A snapshot no older than `catalog.max_age`; waits for a refresh otherwise.
    ///
    /// # Errors
    /// The schema could not be read in time.
    pub async fn fresh(&self) -> Result<Arc<Snapshot>, CatalogError> {
        match self.recent() {
            Some(snapshot) => Ok(snapshot),
            None => self.since(self.inner.oldest_allowed(), Vec::new()).await,
        }
    }

    /// A snapshot read after this call began.
    ///
    /// # Errors
    /// The schema could not be read.
    pub async fn refresh(&self) -> Result<Arc<Snapshot>, CatalogError> {
        self.since(Instant::now(), Vec::new()).await
    }

    /// Looks further tables up; afterwards the snapshot holds each of them, found or not.
    ///
    /// # Errors
    /// The schema could not be read.
    pub async fn ensure(&self, names: &[TableName]) -> Result<Arc<Snapshot>, CatalogError> {
        let snapshot = self.fresh().await?;
        if names.iter().all(|name| snapshot.table(name).is_some()) {
            return Ok(snapshot);
        }
        self.since(Instant::now(), names.to_vec()).await
    }

    /// The server's `max_allowed_packet` as of now, in bytes; `None` where it does not answer.
    pub async fn max_allowed_packet(&self) -> Option<usize> {
        let link = self.inner.control.clone();
        let asked = self.inner.control.run(async move {
            let mut conn = link.pool().get_conn().await.ok()?;
            read::max_allowed_packet(&mut conn).await.ok()?
        });
        asked.await.flatten()
    }

    /// DDL went through: the next caller of `fresh` gets a snapshot read after now.
    pub fn invalidate(&self) {
        *self.inner.invalid_before.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    async fn since(&self, moment: Instant, names: Vec<TableName>) -> Result<Arc<Snapshot>, CatalogError> {
        let inner = self.inner.clone();
        // A task of its own: a caller that goes away must not leave half a refresh behind.
        let run = self.inner.control.run(async move { inner.since(moment, &names).await });
        run.await.unwrap_or(Err(CatalogError::ShuttingDown))
    }
}

impl Inner {
    fn oldest_allowed(&self) -> Instant {
        let now = Instant::now();
        let by_age = now.checked_sub(self.config.catalog.max_age).unwrap_or(now);
        by_age.max(*self.invalid_before.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A snapshot whose reading began at `moment` or later and which holds `names`: one read by
    /// another caller meanwhile, or a new one.
    async fn since(&self, moment: Instant, names: &[TableName]) -> Result<Arc<Snapshot>, CatalogError> {
        let mut reader = self.reader.lock().await;
        let state = self.state.load_full();
        if state.began >= moment && names.iter().all(|name| state.snapshot.table(name).is_some()) {
            return Ok(state.snapshot.clone());
        }
        if let Some((attempt, error)) = &reader.failed
            && *attempt >= moment
        {
            return Err(error.clone());
        }
        let asked = {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            if asked.len().saturating_add(names.len()) > MAX_ASKED {
                asked.clear();
            }
            asked.extend(names.iter().cloned());
            asked.clone()
        };
        let began = Instant::now();
        let refresh = reader.refresh(&self.config, &self.control, &asked, Some(&state.snapshot));
        let result = match tokio::time::timeout(REFRESH_TIMEOUT, refresh).await {
            Ok(result) => result,
            Err(_) => Err(CatalogError::Timeout(REFRESH_TIMEOUT)),
        };
        match result {
            Ok(snapshot) => {
                if reader.failed.take().is_some() {
                    tracing::info!("the server's schema can be read again");
                }
                self.state.store(Arc::new(State { snapshot: snapshot.clone(), began }));
                Ok(snapshot)
            }
            Err(error) => {
                if reader.failed.is_none() {
                    tracing::warn!(%error, "the server's schema cannot be read; protected tables are refused until it can");
                }
                reader.link = None;
                reader.failed = Some((began, error.clone()));
                Err(error)
            }
        }
    }
}

/// Refreshes every half `max_age` until the catalog is gone.
async fn keep_fresh(inner: Weak<Inner>) {
    let mut took = Duration::ZERO;
    loop {
        let Some(pause) = inner.upgrade().map(|inner| inner.config.catalog.max_age / 2) else { return };
        let pause = pause.max(took.saturating_mul(RESTRAINT));
        tokio::time::sleep(pause).await;
        let Some(inner) = inner.upgrade() else { return };
        // A failure is logged where it happens, and tried again after the pause.
        let began = Instant::now();
        let _ = inner.since(began, &[]).await;
        took = began.elapsed();
    }
}

impl Reader {
    /// One pass. Answers `last` itself when nothing changed.
    async fn refresh(
        &mut self,
        config: &Config,
        control: &Control,
        asked: &BTreeSet<TableName>,
        last: Option<&Arc<Snapshot>>,
    ) -> Result<Arc<Snapshot>, CatalogError> {
        let kept = self.link.is_some();
        let result = match self.pass(config, control, asked, last).await {
            // The server closes connections that idle or that someone kills: worth one new one.
            Err(error) if error.is_fatal() && kept => {
                self.link = None;
                self.pass(config, control, asked, last).await
            }
            result => result,
        };
        result.map_err(CatalogError::from)
    }

    async fn pass(
        &mut self,
        config: &Config,
        control: &Control,
        asked: &BTreeSet<TableName>,
        last: Option<&Arc<Snapshot>>,
    ) -> mysql_async::Result<Arc<Snapshot>> {
        if self.link.is_none() {
            let mut conn = control.pool().get_conn().await?;
            let server = read::server(&mut conn).await?;
            self.link = Some((conn, server));
        }
        let Some((conn, server)) = self.link.as_mut() else {
            return Err(mysql_async::DriverError::ConnectionClosed.into());
        };
        let protected = build::protected_names(config);
        let mut facts = Facts {
            version: server.version,
            lower_case_table_names: server.lower_case_table_names,
            asked: Vec::new(),
            objects: Objects::default(),
            tables: Vec::new(),
            columns: Vec::new(),
            index_parts: Vec::new(),
            indirect: Vec::new(),
        };
        let names: Vec<TableName> = config.tables.keys().cloned().collect();
        facts.objects = read::objects(conn, &names).await?;
        let mut watch = watch::watch(&protected, &config.allow_routines, &facts.objects, &facts.indirect);
        loop {
            let wanted: BTreeSet<TableName> = names.iter().chain(asked).chain(&watch.views).cloned().collect();
            facts.asked = wanted.into_iter().collect();
            let found = read::tables(conn, *server, &facts.asked).await?;
            (facts.tables, facts.columns, facts.index_parts) = (found.tables, found.columns, found.index_parts);
            // Only tables of MyISAM can be under a MERGE table.
            let merging = facts
                .tables
                .iter()
                .any(|table| table.engine.as_deref().is_some_and(|engine| engine.eq_ignore_ascii_case("MyISAM")));
            if !(found.remote_engines || merging) || !facts.indirect.is_empty() {
                break;
            }
            facts.indirect = read::indirect(conn).await?;
            let again = watch::watch(&protected, &config.allow_routines, &facts.objects, &facts.indirect);
            let settled = again.views == watch.views;
            watch = again;
            if settled || facts.indirect.is_empty() {
                break;
            }
        }
        if let (Some(last), Some(old)) = (last, &self.facts)
            && *old == facts
        {
            return Ok(last.clone());
        }
        let generation = last.map_or(1, |last| last.generation.saturating_add(1));
        let snapshot = Arc::new(build::build(config, &facts, watch, generation));
        self.facts = Some(facts);
        Ok(snapshot)
    }
}

impl CatalogError {
    /// The server cannot be reached, so a retry can help; otherwise it answered with a refusal.
    pub fn is_unreachable(&self) -> bool {
        !matches!(self, Self::Refused(_) | Self::Unfit(_))
    }
}

impl From<mysql_async::Error> for CatalogError {
    fn from(error: mysql_async::Error) -> Self {
        match error {
            mysql_async::Error::Server(error) => Self::Refused(error.to_string()),
            other => Self::Unreachable(other.to_string()),
        }
    }
}
