//! End-to-end tests: the real binary between a real client and real servers.

#[path = "../support/mod.rs"]
mod support;

mod relay;
mod servers;
