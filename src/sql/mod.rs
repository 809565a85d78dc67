//! Statement analysis: text and a catalog snapshot in, a plan or a refusal out. Pure: no sockets,
//! no clock, no keys.
pub mod plan;
pub use plan::*;
