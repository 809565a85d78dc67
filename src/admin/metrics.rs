//! Metrics over HTTP in Prometheus' text format. What is counted stands where it happens, through the
//! `metrics` facade; `docs/metrics.md` lists it. No label ever holds a value or a key.

use std::net::SocketAddr;
use std::pin::Pin;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder};

/// Upper bounds of the buckets of `sealwire_kms_call_seconds`. A statement waits for KMS 5 seconds at most.
const KMS_SECONDS: &[f64] = &[0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// Serves requests until it is dropped.
pub type Server = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Binds the address and starts counting; the answer must be run for requests to be answered. To be called
/// once, within a runtime, before anything is counted.
///
/// # Errors
/// The address cannot be listened on.
pub fn start(listen: SocketAddr) -> Result<Server, MetricsError> {
    let (recorder, server) = PrometheusBuilder::new()
        .with_http_listener(listen)
        .set_buckets_for_metric(Matcher::Full("sealwire_kms_call_seconds".into()), KMS_SECONDS)
        .and_then(PrometheusBuilder::build)
        .map_err(|error| MetricsError { listen, error })?;
    describe(&recorder);
    // Only a second recorder is refused, and there is none.
    let _ = metrics::set_global_recorder(recorder);
    tracing::info!("metrics on http://{listen}/metrics");
    Ok(Box::pin(async move {
        if server.await.is_err() {
            tracing::error!("metrics are no longer served");
        }
    }))
}

fn describe(recorder: &impl metrics::Recorder) {
    metrics::with_local_recorder(recorder, || {
        metrics::describe_counter!("sealwire_kms_calls_total", "Calls to AWS KMS");
        metrics::describe_histogram!(
            "sealwire_kms_call_seconds",
            metrics::Unit::Seconds,
            "How long KMS took to answer"
        );
        metrics::describe_counter!("sealwire_data_key_loads_total", "Keys taken from the vault and unwrapped");
        metrics::describe_gauge!("sealwire_data_keys_cached", "Unwrapped keys in memory");
    });
}

/// The address of `metrics.listen` is taken or not this machine's.
#[derive(Debug, thiserror::Error)]
#[error("metrics cannot be served on {listen}: {error}")]
pub struct MetricsError {
    listen: SocketAddr,
    error: BuildError,
}
