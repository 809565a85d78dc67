//! Columns with a declared type on the wire: their definitions, their values in both protocols, and
//! parameters bound to them.

mod definition;
mod param;
mod value;

pub use definition::restore;
pub use param::input;
pub use value::put;
