//! End-to-end tests: the real binary between a real client and real servers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::disallowed_methods
)]

#[path = "../support/mod.rs"]
mod support;

mod attributes;
mod authentication;
mod binding;
mod capabilities;
mod carriers;
mod catalog;
mod change_user;
mod charset_tables;
mod charsets;
mod check;
mod checklist;
mod commands;
mod compression;
mod corpus;
mod crash;
mod credentials;
mod crossing;
mod cursors;
mod direct;
mod endings;
mod explain;
mod failover;
mod fingerprints;
mod greetings;
mod infile;
mod keylife;
mod keys;
mod kms;
mod large;
mod legs;
mod limits;
mod memory;
mod metrics;
mod mixed;
mod mock;
mod modes;
mod outages;
mod own_key;
mod parameters;
mod prepared;
mod proxy_protocol;
mod recover;
mod refusal;
mod regions;
mod relay;
mod renamed;
mod rotation;
mod rows;
mod sealing;
mod searching;
mod secrets;
mod servers;
mod side_doors;
mod tampering;
mod tampering_direct;
mod tls;
mod tracking;
mod types;
mod untracked;
mod vault;
mod vault_server;
mod width;
