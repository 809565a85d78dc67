//! End-to-end tests: the real binary between a real client and real servers.

#[path = "../support/mod.rs"]
mod support;

mod crash;
mod kms;
mod refusal;
mod relay;
mod sealing;
mod servers;
mod tls;
mod width;
