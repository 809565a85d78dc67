//! Statement analysis: text and a catalog snapshot in, a plan or a refusal out. Pure: no sockets,
//! no clock, no keys.
#[allow(dead_code)]
pub(crate) mod dml;
pub mod lex;
pub mod plan;
pub mod refusal;
pub use plan::*;
pub use refusal::{Refusal, RefusalCode};
