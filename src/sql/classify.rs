//! What kind of statement it is, and the verdict on everything that is not DML.

use super::lex::StatementText;
use super::plan::{Context, Pass};
use super::refusal::Refusal;
use crate::config::TableName;

/// The verdict on one statement.
#[allow(dead_code)]
pub(crate) enum Class {
    /// For `dml`, if it mentions a watched name.
    Dml,
    Pass(Pass),
    Refuse(Refusal),
    NeedTables(Vec<TableName>),
    /// EXPLAIN of a DML statement that begins at this token.
    Explain(usize),
}

pub(crate) fn classify(_statement: &StatementText<'_>, _ctx: &Context<'_>) -> Class {
    Class::Dml
}
