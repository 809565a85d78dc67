//! The rows of one refresh, still raw. Two equal sets of facts make the same snapshot, so comparing
//! them is how a refresh finds that nothing changed.

use crate::catalog::ServerVersion;
use crate::config::TableName;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub version: ServerVersion,
    pub lower_case_table_names: u8,
    /// Tables that were asked for, whether found or not.
    pub asked: Vec<TableName>,
    pub objects: Objects,
    pub tables: Vec<TableRow>,
    pub columns: Vec<ColumnRow>,
    pub index_parts: Vec<IndexRow>,
    /// Tables of a remote or merging engine and their SHOW CREATE TABLE, where such an engine is on.
    pub indirect: Vec<IndirectRow>,
}

/// What can lead to a protected table without naming it, from all schemas but the server's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Objects {
    pub views: Vec<ViewRow>,
    pub triggers: Vec<TriggerRow>,
    pub routines: Vec<RoutineRow>,
    pub foreign_keys: Vec<ForeignKeyRow>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ViewRow {
    pub name: TableName,
    /// `None`: the control user may not see it.
    pub definition: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TriggerRow {
    pub table: TableName,
    pub name: String,
    pub body: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RoutineRow {
    pub schema: String,
    pub name: String,
    /// `None`: the control user may not see it.
    pub body: Option<String>,
}

/// One column of a foreign key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ForeignKeyRow {
    pub child: TableName,
    pub name: String,
    pub column: String,
    pub parent: TableName,
    pub parent_column: String,
    pub on_update: String,
}

impl ForeignKeyRow {
    /// An update of the parent puts a value into the child.
    pub fn writes(&self) -> bool {
        matches!(self.on_update.to_ascii_uppercase().as_str(), "CASCADE" | "SET DEFAULT")
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TableRow {
    pub name: TableName,
    /// `BASE TABLE`, `VIEW`, `SYSTEM VERSIONED`, `SEQUENCE` …
    pub kind: String,
    pub engine: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ColumnRow {
    pub table: TableName,
    pub name: String,
    pub data_type: String,
    pub column_type: String,
    pub characters: Option<u64>,
    pub octets: Option<u64>,
    pub charset: Option<String>,
    pub collation: Option<String>,
    pub nullable: bool,
    pub default: Option<String>,
    pub extra: String,
    pub generation: Option<String>,
    pub comment: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IndexRow {
    pub table: TableName,
    pub index: String,
    pub unique: bool,
    pub column: String,
    pub prefix: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct IndirectRow {
    pub name: TableName,
    pub engine: String,
    /// `None`: could not be read.
    pub create: Option<String>,
}
