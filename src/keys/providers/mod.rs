//! One file per KMS.

pub mod aws;
pub mod local;
