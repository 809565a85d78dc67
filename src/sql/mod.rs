//! Statement analysis: text and a catalog snapshot in, a plan or a refusal out. Pure: no sockets,
//! no clock, no keys.
//!
//! * [`analyse`]: the entry; [`prefilter`]: whether to come here at all.
//! * [`lex`], [`literal`], [`charset`]: the text; [`dialect`], `normalise`: the parser; [`guard`]: what it may not get wrong.
//! * `classify`, `ddl`, `alter`: what is not DML; `dml`: what is.
//! * [`plan`]: the answer; [`splice`]: the answer applied; [`refusal`]: why not.
mod alter;
pub mod analyse;
pub mod charset;
mod classify;
pub(crate) mod ddl;
pub mod dialect;
pub(crate) mod dml;
pub mod guard;
pub mod lex;
pub mod literal;
pub(crate) mod live;
pub mod load_data;
pub mod load_rows;
pub mod misfit;
mod normalise;
pub mod plan;
pub mod prefilter;
pub mod refusal;
pub mod splice;
// Tests may: clippy knows them by `cfg(test)` alone.
#[cfg(any(test, fuzzing))]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
pub mod testing;
#[cfg(test)]
mod tests;
pub use analyse::analyse;
pub use dml::{EXACT_IN_A_DOUBLE, row_value};
pub use plan::*;
pub use prefilter::Prefilter;
pub use refusal::{Refusal, RefusalCode};
pub use splice::splice;
