//! Planning of data manipulation: names, lineage, what to seal and what to open.

use super::lex::StatementText;
use super::plan::{Context, Edit, ParamRole, ResultRoles};
use super::refusal::{Refusal, RefusalCode};
use crate::config::TableName;

/// What one statement becomes.
pub(crate) struct DmlPlan {
    pub verb: &'static str,
    /// In the text of the whole packet, sorted, not overlapping.
    pub edits: Vec<Edit>,
    /// One per `?` of this statement, in order.
    pub params: Vec<ParamRole>,
    pub result: ResultRoles,
}

/// Why there is no plan.
#[derive(Debug)]
pub(crate) enum DmlError {
    Refusal(Refusal),
    /// These tables must be looked up first.
    NeedTables(Vec<TableName>),
}

impl From<Refusal> for DmlError {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

/// Plans one DML statement that mentions a watched name.
pub(crate) fn plan(statement: &StatementText<'_>, _ctx: &Context<'_>) -> Result<DmlPlan, DmlError> {
    Err(Refusal::new(RefusalCode::NotUnderstood, "not analysed", Some(statement.span.clone())).into())
}
