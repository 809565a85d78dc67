//! An immutable picture of the backend's schema, as one refresh found it.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::{Cipher, EmptyPolicy, KmsMode, Search, TableName};
use crate::seal::types::{Content, LogicalType};
use crate::seal::{Plaintext, Scope};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerFlavor {
    MariaDb,
    MySql,
}

/// Flavor and version, `80036` for 8.0.36, `101106` for 10.11.6 (as in executable comments).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerVersion {
    pub flavor: ServerFlavor,
    pub number: u32,
}

/// Everything a plan may depend on. Replaced whole by each refresh that found a change.
#[derive(Debug)]
pub struct Snapshot {
    /// Grows with every change seen; a plan made on an older generation is made again.
    pub generation: u64,
    pub version: ServerVersion,
    /// The server's `lower_case_table_names`: 0 compares exactly, 1 and 2 without case.
    pub lower_case_table_names: u8,
    /// Tables and views that were looked up, found or not, under their key (see [`Snapshot::key`]).
    pub tables: HashMap<TableName, Option<Arc<Table>>>,
    /// Names, in lower case and without schema, that make a statement interesting: protected tables,
    /// views over them, routines that touch them, carriers. Bare names, so that a hit is never missed.
    pub watched: HashMap<String, Watched>,
    /// Stored procedures and functions: schema and name in lower case.
    pub routines: HashMap<(String, String), Routine>,
    /// Schemas that hold a protected table (as spelled by the server).
    pub protected_schemas: Vec<String>,
    /// Configured tables or columns that are not there: table, and what is missing.
    pub missing: HashMap<TableName, String>,
}

/// Why a bare name is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watched {
    Protected,
    /// A view whose definition mentions a watched name.
    View,
    /// A procedure or function whose body mentions a watched name, uses dynamic SQL or cannot be read.
    Routine,
    /// A table through which a statement writes or reads a protected one without naming it; the reason.
    Carrier(String),
}

#[derive(Clone, Debug, Default)]
pub struct Routine {
    /// Mentions a watched name, directly or through another routine.
    pub touches: bool,
    /// Uses PREPARE, EXECUTE or another statement whose text is not known.
    pub dynamic: bool,
    /// The control user could not read the body.
    pub unreadable: bool,
    /// The configuration allows it by name, and it leaves session tracking alone.
    pub allowed: bool,
}

#[derive(Debug)]
pub struct Table {
    /// As the server spells it.
    pub name: TableName,
    pub kind: TableKind,
    /// In ordinal order. Filled for views too.
    pub columns: Vec<Column>,
    pub indexes: Vec<Index>,
    /// Names of triggers on this table.
    pub triggers: Vec<String>,
    pub engine: Option<String>,
    /// Named in the configuration.
    pub protected: bool,
    /// The configuration's `allow_ddl`.
    pub allow_ddl: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableKind {
    Base,
    /// A view and its stored SELECT, if the control user may see it.
    View {
        definition: Option<String>,
    },
    /// Sequences, system views and whatever else the server lists.
    Other,
}

#[derive(Clone, Debug)]
pub struct Index {
    pub name: String,
    pub unique: bool,
    /// Column names and the prefix length in characters, if the index takes only a prefix.
    pub columns: Vec<(String, Option<u64>)>,
}

#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    /// `DATA_TYPE`, lower case: `varchar`, `text`, `int` …
    pub data_type: String,
    /// `COLUMN_TYPE`: `varchar(191)`, `int(10) unsigned` …
    pub column_type: String,
    pub charset: Option<String>,
    pub collation: Option<String>,
    pub width: Width,
    pub nullable: bool,
    pub default: ColumnDefault,
    pub auto_increment: bool,
    /// A generated column's expression.
    pub generated: Option<String>,
    /// Not part of `*`.
    pub invisible: bool,
    pub comment: String,
    pub protected: Option<Arc<ProtectedColumn>>,
    /// Values of protected columns are bound to what it holds.
    pub bound: bool,
}

/// How much a column holds. The unit is what the server counts: characters for `CHAR` and
/// `VARCHAR`, bytes for binary types and for `TEXT` of every size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    Characters(u64),
    Bytes(u64),
    /// Not a string type.
    None,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnDefault {
    /// No DEFAULT clause and NOT NULL.
    None,
    Null,
    /// A constant, as text.
    Literal(String),
    /// An expression such as `uuid()` or `CURRENT_TIMESTAMP`.
    Expression(String),
}

/// A column named in the configuration, found in the catalog.
#[derive(Clone, Debug)]
pub struct ProtectedColumn {
    /// As the server spells them.
    pub table: TableName,
    pub name: String,
    /// What the value is bound to: sealed-as names.
    pub scope: Scope,
    pub mode: KmsMode,
    pub physical: Physical,
    /// The server's name of the column's character set, `binary` for bytes.
    pub charset: String,
    pub width: Width,
    pub empty: EmptyPolicy,
    pub pad: Option<u32>,
    pub nullable: bool,
    /// How the server may compare the stored values.
    pub search: Search,
    pub cipher: Cipher,
    /// The declared type, if the configuration has one.
    pub logical: Option<LogicalType>,
    /// The columns that tell the row apart which a value is bound to, in the order of the configuration. Each is
    /// described as if it were protected itself, with the type that it has.
    pub bind: Vec<Arc<ProtectedColumn>>,
}

impl ProtectedColumn {
    /// Whether the plaintext is characters or bytes: after the declared type, or else the stored column.
    pub fn content(&self) -> Physical {
        match self.logical.as_ref().map(LogicalType::content) {
            None => self.physical,
            Some(Content::Bytes) => Physical::Binary,
            Some(Content::Characters | Content::Ascii) => Physical::Text,
        }
    }

    /// What the server puts where the column gets nothing: `''`, or the declared type's zero.
    pub fn implicit_default(&self) -> Plaintext {
        Plaintext::new(self.logical.as_ref().map(LogicalType::implicit_default).unwrap_or_default())
    }

    /// Equal values have equal stored forms.
    pub fn searchable(&self) -> bool {
        self.search != Search::None
    }
}

/// Whether the stored form is the text or the bytes of a sealed value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Physical {
    Text,
    Binary,
}

impl Snapshot {
    /// The form under which `tables` keeps a name: folded to lower case unless the server compares exactly.
    pub fn key(&self, name: &TableName) -> TableName {
        if self.lower_case_table_names == 0 {
            name.clone()
        } else {
            TableName::new(name.schema.to_lowercase(), name.table.to_lowercase())
        }
    }

    /// `None`: never looked up (ask the catalog for it). `Some(None)`: the server has no such table.
    pub fn table(&self, name: &TableName) -> Option<Option<&Arc<Table>>> {
        self.tables.get(&self.key(name)).map(Option::as_ref)
    }
}

impl Table {
    /// Column names never distinguish case.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name.eq_ignore_ascii_case(name) || c.name.to_lowercase() == name.to_lowercase())
    }
}
