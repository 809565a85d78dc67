//! One file per KMS.

pub mod aws;
mod connect;
pub mod local;
mod regions;
pub mod rights;
