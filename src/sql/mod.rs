//! Statement analysis: text and a catalog snapshot in, a plan or a refusal out. Pure: no sockets,
//! no clock, no keys.
pub mod charset;
pub mod dialect;
#[allow(dead_code)]
pub(crate) mod dml;
pub mod guard;
pub mod lex;
pub mod literal;
mod normalise;
pub mod plan;
pub mod refusal;
pub mod splice;
pub use plan::*;
pub use refusal::{Refusal, RefusalCode};
