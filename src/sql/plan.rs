//! What the analyser decides about one packet of SQL text.

use std::ops::Range;
use std::sync::Arc;

use crate::catalog::{ProtectedColumn, Snapshot};
use crate::config::TableName;
use crate::seal::types::Rules;
use crate::seal::versions::{Form, KeyVersions};
use crate::seal::{Plaintext, Row};
use crate::sql::charset::Legacy;
use crate::sql::load_data::LoadPlan;
use crate::sql::refusal::Refusal;

/// What a statement's meaning depends on besides its text.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    pub catalog: &'a Snapshot,
    /// The session's current schema.
    pub schema: Option<&'a str>,
    pub sql_mode: SqlMode,
    pub character_set_client: Charset,
    pub character_set_connection: Charset,
    pub protocol: Protocol,
    /// CLIENT_MULTI_STATEMENTS is on.
    pub multi_statements: bool,
    /// Under which versions of their keys the values of searchable columns are sealed.
    pub versions: &'a KeyVersions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// COM_QUERY: a `?` is a syntax error.
    Text,
    /// COM_STMT_PREPARE.
    Prepared,
}

/// The flags of `sql_mode` that change what a statement means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SqlMode {
    pub ansi_quotes: bool,
    pub no_backslash_escapes: bool,
    pub pipes_as_concat: bool,
    pub high_not_precedence: bool,
    pub ignore_space: bool,
    pub strict_trans_tables: bool,
    pub strict_all_tables: bool,
    pub no_auto_value_on_zero: bool,
    pub no_zero_date: bool,
    pub no_zero_in_date: bool,
    pub allow_invalid_dates: bool,
    /// MySQL: fractions of a second are cut, not rounded.
    pub time_truncate_fractional: bool,
    /// MariaDB: fractions of a second are rounded, not cut.
    pub time_round_fractional: bool,
    /// MariaDB's `EMPTY_STRING_IS_NULL`, Oracle mode and others under which nothing protected is analysed.
    pub unsupported: bool,
}

/// A session character set. Everything else is refused on protected tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Charset {
    Ascii,
    Latin1,
    Utf8mb3,
    Utf8mb4,
    /// No conversion: `SET NAMES binary`, and `character_set_results` that is NULL.
    Binary,
    /// One that is proven code by code against the servers.
    Legacy(Legacy),
    /// Known to the server, not to us.
    Other,
}

/// The analyser's answer to one packet.
pub enum Outcome {
    /// Nothing protected is touched: forward the bytes.
    Pass(Pass),
    /// Understood, and touches protected tables.
    Plan(Plan),
    /// Must not run.
    Refuse(Refusal),
    /// These tables must be looked up first; then ask again.
    NeedTables(Vec<TableName>),
}

/// What to do around a statement that is forwarded untouched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pass {
    /// DDL: what is known of the schema is stale once the server answered.
    pub invalidates_catalog: bool,
    /// `SHOW WARNINGS` and the like, whose rows may quote a sealed value.
    pub scrub_rows: bool,
    /// A procedure that the configuration allows: its rows may hold sealed values, which nobody may get.
    pub refuse_sealed: bool,
}

/// A packet that runs with changes.
#[derive(Default)]
pub struct Plan {
    /// Replacements in the original text, sorted, not overlapping.
    pub edits: Vec<Edit>,
    /// One entry per `?` in order of appearance.
    pub params: Vec<ParamRole>,
    /// One entry per statement of the packet, in order.
    pub statements: Vec<StatementPlan>,
    pub invalidates_catalog: bool,
}

pub struct StatementPlan {
    /// For the log and for metrics: `SELECT`, `INSERT` …
    pub verb: &'static str,
    pub result: ResultRoles,
}

pub enum ResultRoles {
    /// The statement returns no rows, or none that hold protected values: relay as they are.
    Plain,
    /// One role per result column.
    Columns(Vec<ResultColumn>),
    /// LOAD DATA LOCAL: how the file that the server asks for is sealed on its way.
    Load(Arc<LoadPlan>),
}

pub struct ResultColumn {
    /// The column's name or alias as the analyser derives it, to compare with the metadata; `None`
    /// where the server makes the name up from an expression.
    pub name: Option<String>,
    /// The protected column whose sealed value arrives here.
    pub open: Option<Arc<ProtectedColumn>>,
    /// The result columns that hold what the value is bound to, where its column has `bind`.
    pub bound: Vec<usize>,
    /// The proxy asks for it, behind all others, to tell rows apart; the client does not see it.
    pub hidden: bool,
}

/// A replacement of `span` (which may be empty: an insertion) in the original text.
pub struct Edit {
    pub span: Range<usize>,
    pub pieces: Vec<Piece>,
}

pub enum Piece {
    Text(String),
    /// The sealed form of `value`, written as a literal: `'…'` for text, `x'…'` for binary columns.
    Seal(SealedLiteral),
}

pub struct SealedLiteral {
    pub column: Arc<ProtectedColumn>,
    pub value: Plaintext,
    /// What of the sealed value is written.
    pub form: Form,
    /// The row of the statement as MySQL counts it in 1406, from 1; or [`COMPARED`].
    pub row: u32,
    /// What the value is bound to, where its column has `bind`.
    pub bound: Option<Row>,
}

/// Stands for the row of a value that is compared with a column's values, and not stored: however long it
/// is, the column need not hold it.
pub const COMPARED: u32 = 0;

#[derive(Clone)]
pub enum ParamRole {
    Plain,
    Seal(SealParam),
}

impl ParamRole {
    /// The role of a placeholder whose values are sealed.
    pub fn sealed(&self) -> Option<&SealParam> {
        match self {
            ParamRole::Plain => None,
            ParamRole::Seal(param) => Some(param),
        }
    }
}

#[derive(Clone)]
pub struct SealParam {
    pub column: Arc<ProtectedColumn>,
    /// As [`SealedLiteral::row`].
    pub row: u32,
    pub null: NullPolicy,
    /// What of the sealed value is sent.
    pub form: Form,
    /// How values are converted to the column's declared type, if it has one.
    pub rules: Option<Rules>,
    /// What the value is bound to, where its column has `bind`: a part for each column there.
    pub bound: Vec<RowPart>,
}

/// What tells a row apart, of which there may be several.
#[derive(Clone)]
pub enum RowPart {
    /// The column's value, in the one form of its type.
    Known(Vec<u8>),
    /// It is bound to the placeholder of this index, and read as if the role were the placeholder's.
    Param(usize, Box<SealParam>),
}

/// What a bound NULL becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NullPolicy {
    /// Stays NULL: the column takes it, or the server itself refuses it.
    Keep,
    /// The server would coerce it to `''` and store that raw: seal `''` instead.
    SealEmpty,
}
