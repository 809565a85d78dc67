//! Sealwire: a MySQL wire-protocol proxy that seals (encrypts) designated columns on the way into
//! the database and opens (decrypts) them on the way out.
//!
//! # Layout
//!
//! * [`cli`]: one file per subcommand of the `sealwire` binary.
//! * [`config`]: the YAML model and its validation; errors carry file, line, column and a hint.
//! * [`wire`]: the MySQL protocol, synchronous, without I/O and without policy.
//! * [`sql`]: statement analysis, pure: text and a catalog snapshot in, a plan or a refusal out.
//! * [`catalog`]: what the proxy knows of the backend's schema, and how it stays fresh.
//! * [`control`]: the proxy's own connections to the server.
//! * [`seal`]: one value: the sealed format, the cipher, the golden vectors.
//! * [`keys`]: data keys: the vault, the cache, and the KMS providers.
//! * [`session`]: one client connection: accept, TLS, authentication, command loop, response relay.
//! * [`admin`]: metrics, health, audit log (to come).
//! * [`bulk`]: work over existing rows: migrate, rotate, restore (to come).
//!
//! Arrows point one way: `cli -> session, bulk, admin -> sql, catalog, keys -> seal, wire`.
//! `wire`, `sql` and `seal` know no runtime, no sockets and no clock.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss))]

pub mod admin;
pub mod bulk;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod control;
pub mod keys;
pub mod seal;
pub mod session;
pub mod sql;
pub mod wire;
