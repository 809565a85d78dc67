//! `sealwire run`: load, build, announce, serve until a signal, drain.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use super::{Exit, Failure};
use crate::admin::metrics;
use crate::catalog::Catalog;
use crate::config::Config;
use crate::control::{Control, ControlError};
use crate::keys::Keys;
use crate::seal::module;
use crate::session::Shared;
use crate::session::listen::Listeners;

/// Between two tries to reach the database at start.
const RETRY: Duration = Duration::from_secs(2);

/// Runs the proxy. Returns when a signal ended it, or when it could not start.
pub fn run(path: &Path) -> Result<Exit, Failure> {
    let config = Arc::new(Config::load(path)?);
    allow_many_files();
    let module = module::mode().map_err(|reason| Failure::Input(reason.into()))?;
    info!("cryptography by {module}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // A port that is taken should be known before the database is waited for.
    let listeners = Listeners::bind(&config.listen, config.workers)?;
    let metrics = config.metrics.map(|listen| runtime.block_on(async { metrics::start(listen) })).transpose()?;
    let control = connect(&config, &runtime)?;
    let catalog = runtime.block_on(Catalog::start(config.clone(), control.clone()))?;
    let keys = loop {
        match Keys::start(&config, control.clone()) {
            Err(error) if error.retryable() => {
                warn!("waiting for the vault: {error}");
                runtime.block_on(async { tokio::time::sleep(RETRY).await });
            }
            started => break started?,
        }
    };
    runtime.block_on(keys.refuse_unfit_key())?;
    let shared = Arc::new(Shared::new(config, catalog, keys)?);
    let stop = shared.shutdown.clone();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            runtime.block_on(async {
                if let Some(metrics) = metrics {
                    tokio::spawn(metrics);
                }
                tokio::select! {
                    () = terminated() => info!("shutting down: no new connections, idle ones are closed"),
                    () = stop.cancelled() => {}
                }
                stop.cancel();
            });
        });
        let served = listeners.serve(&shared);
        shared.shutdown.cancel();
        served
    })?;
    Ok(Exit::Fine)
}

/// Connections this many at once should not run into a limit that nobody chose: each takes two files.
const FEW_FILES: u64 = 4096;

/// Raises the soft limit of open files to the hard one, as servers with many connections do.
fn allow_many_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        warn!("the limit of open files stays at {:?}: {error}", limit.current);
    }
    if let Some(files) = getrlimit(Resource::Nofile).current.filter(|files| *files < FEW_FILES) {
        warn!("only {files} files may be open, two for each connection: raise the limit (ulimit -n, LimitNOFILE=)");
    }
}

/// A database that is not up yet is waited for: containers start in any order.
fn connect(config: &Config, runtime: &Runtime) -> Result<Control, Failure> {
    loop {
        match Control::start(config) {
            Err(error @ (ControlError::Unreachable { .. } | ControlError::Timeout { .. })) => {
                warn!("waiting for the database: {error}");
                // The timer wants the runtime's context from its making on.
                runtime.block_on(async { tokio::time::sleep(RETRY).await });
            }
            other => return Ok(other?),
        }
    }
}

async fn terminated() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
