//! A value and where it belongs: its column, and its row where the column binds values to theirs.

use std::sync::Arc;

use crate::catalog::ProtectedColumn;
use crate::seal::Row;

/// `value` is plaintext on its way into the column, or the stored form that was found in it.
pub struct Placed<T> {
    pub column: Arc<ProtectedColumn>,
    /// `None` in columns without `bind`.
    pub row: Option<Row>,
    pub value: T,
}

impl<T> From<(Arc<ProtectedColumn>, T)> for Placed<T> {
    fn from((column, value): (Arc<ProtectedColumn>, T)) -> Self {
        Self { column, row: None, value }
    }
}
