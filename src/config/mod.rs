//! The YAML configuration: its model here and in [`model`], its loading and validation beside it.
pub mod model;
pub use model::*;
