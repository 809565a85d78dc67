//! What operators see of a running proxy. Health, audit log and status page are to come.

pub mod metrics;
