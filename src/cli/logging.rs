//! The log, on standard error. `SEALWIRE_LOG` chooses how much, in the syntax of `tracing_subscriber`'s `EnvFilter`.

use std::io::IsTerminal;

use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Starts logging. To be called once.
pub fn start() {
    let chosen = EnvFilter::try_from_env("SEALWIRE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let output = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_filter(chosen.and(filter_fn(carries_no_values)));
    tracing_subscriber::registry().with(output).init();
}

/// Whatever is chosen, dependencies are not heard below INFO: sqlparser logs the literals that it parses.
fn carries_no_values(metadata: &Metadata<'_>) -> bool {
    let ours = metadata.target().split("::").next() == Some("sealwire");
    ours || *metadata.level() <= Level::INFO
}
