//! Statement analysis: text and a catalog snapshot in, a plan or a refusal out. Pure: no sockets,
//! no clock, no keys.
pub mod analyse;
pub mod charset;
pub(crate) mod classify;
pub mod dialect;
pub(crate) mod dml;
pub mod guard;
pub mod lex;
pub mod literal;
mod normalise;
pub mod plan;
pub mod prefilter;
pub mod refusal;
pub mod splice;
#[cfg(test)]
pub(crate) mod testing;
pub use analyse::analyse;
pub use plan::*;
pub use prefilter::Prefilter;
pub use refusal::{Refusal, RefusalCode};
pub use splice::splice;
