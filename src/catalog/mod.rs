//! What the proxy knows of the backend's schema. [`snapshot`] is the data, pure and shared with
//! `sql`; fetching and refreshing it is beside it.
pub mod snapshot;
pub use snapshot::*;

use std::sync::Arc;

use crate::config::TableName;

/// The border that `session` sees. Bodies to come with the room.
#[derive(Clone)]
pub struct Catalog;

/// Why the catalog could not be read. To be replaced by the room's own enumeration.
#[derive(Debug, thiserror::Error)]
#[error("the catalog is not there yet")]
pub struct CatalogError;

impl Catalog {
    /// The latest snapshot of whatever age, for the prefilter. Starts a refresh in the background when
    /// it is older than half of `catalog.max_age`.
    pub fn current(&self) -> Arc<Snapshot> {
        unimplemented!("the catalog room")
    }

    /// A snapshot no older than `catalog.max_age`; waits for a refresh otherwise.
    pub async fn fresh(&self) -> Result<Arc<Snapshot>, CatalogError> {
        Err(CatalogError)
    }

    /// A snapshot read after this call began.
    pub async fn refresh(&self) -> Result<Arc<Snapshot>, CatalogError> {
        Err(CatalogError)
    }

    /// Looks further tables up; afterwards the snapshot holds each of them, found or not.
    pub async fn ensure(&self, _names: &[TableName]) -> Result<Arc<Snapshot>, CatalogError> {
        Err(CatalogError)
    }

    /// DDL went through: the next caller of `fresh` gets a snapshot read after now.
    pub fn invalidate(&self) {}
}
pub mod width {
    pub fn alter_hint(_: &super::Table, _: &super::Column, _: u64) -> String {
        String::new()
    }
}
impl CatalogError {
    pub fn is_unreachable(&self) -> bool {
        true
    }
}
impl Catalog {
    pub async fn start(_: Arc<crate::config::Config>, _: crate::control::Control) -> Result<Self, CatalogError> {
        Err(CatalogError)
    }
}
