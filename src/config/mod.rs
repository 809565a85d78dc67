//! The YAML configuration: its model in [`model`], its loading and validation beside it.
//!
//! [`Config::load`] reports everything wrong in a file at once, each with file, line, column, the
//! offending line and a hint. Nothing here talks to a server or to KMS: that is `check`'s work.
mod error;
mod interpolate;
mod kms;
mod load;
pub mod model;
mod reader;
mod tables;
mod tree;
mod values;

pub use error::{ConfigErrors, Problem};
pub use model::*;
pub use reader::Keys;

/// Every section of the configuration and the keys it knows, for the tests that hold the annotated
/// sample and the JSON Schema against the loader.
pub fn known_keys() -> Vec<Keys> {
    let mut all = load::SECTIONS.to_vec();
    all.extend_from_slice(kms::SECTIONS);
    all.extend_from_slice(tables::SECTIONS);
    all
}

#[cfg(test)]
mod tests;
