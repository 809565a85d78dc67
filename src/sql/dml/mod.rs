//! Planning of data manipulation: names, lineage, what to seal and what to open.
//!
//! * [`scope`], [`tables`]: which table and column a name means.
//! * [`expr`], [`function`], [`query`]: what an expression or query carries ([`value`]).
//! * [`row`]: the rows that values are bound to.
//! * [`keyed`]: where a table's key makes duplicates certain.
//! * [`insert`], [`update`], [`assign`], [`constant`]: what is written, and how it is sealed.
//! * [`why`]: the refusals.
mod assign;
mod compare;
mod constant;
mod expr;
mod function;
mod insert;
mod keyed;
mod planner;
mod query;
mod row;
mod scope;
mod source;
mod tables;
mod tags;
#[cfg(test)]
mod tests;
mod typed;
mod update;
mod value;
mod why;

use std::sync::Arc;

pub use row::{EXACT_IN_A_DOUBLE, row_value};
use sqlparser::ast::{Query, SetExpr, Statement};

use self::planner::Planner;
use self::source::Source;
use self::value::Outputs;
use super::dialect;
use super::guard;
use super::lex::{LexMode, StatementText, lex, statements};
use super::plan::{Charset, Context, Edit, ParamRole, Protocol, ResultColumn, ResultRoles, SqlMode};
use super::refusal::{Refusal, RefusalCode};
use crate::config::TableName;

/// What one statement becomes.
pub(crate) struct DmlPlan {
    pub verb: &'static str,
    /// In the text of the whole packet, sorted, not overlapping; an insertion may stand right before
    /// a replacement.
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
pub(crate) fn plan(statement: &StatementText<'_>, ctx: &Context<'_>) -> Result<DmlPlan, DmlError> {
    if ctx.sql_mode.unsupported {
        return Err(Refusal::new(RefusalCode::UnsupportedSqlMode, "the session's sql_mode", None).into());
    }
    if ctx.character_set_client == Charset::Other {
        return Err(Refusal::new(RefusalCode::CharacterSet, "character_set_client", None).into());
    }
    let parsed = dialect::parse(statement)?;
    guard::check_literals(statement, &parsed.statement)?;
    let source = Source::new(statement, ctx.character_set_client, parsed.spans);
    if ctx.protocol == Protocol::Text && source.placeholder_count() > 0 {
        return Err(why::not_understood("a placeholder outside of a prepared statement").into());
    }
    let mut planner = Planner::new(ctx, source, parsed.ignore);
    let result = planner.statement(&parsed.statement);
    // What is not known yet may be the cause of any refusal.
    if !planner.need.is_empty() {
        return Err(DmlError::NeedTables(planner.need));
    }
    let (verb, outputs) = result?;
    let edits = planner.finish()?;
    Ok(DmlPlan { verb, edits, params: planner.params, result: roles(outputs)? })
}

fn roles(outputs: Outputs) -> Result<ResultRoles, Refusal> {
    let Some(column) = outputs.first_sealed().cloned() else {
        return Ok(ResultRoles::Plain);
    };
    if outputs.unknown {
        return Err(why::unknown_star(&column));
    }
    let mut columns = Vec::with_capacity(outputs.columns.len());
    for output in outputs.columns {
        let open = output.value.sealed().map(Arc::clone);
        let bound = match (&open, output.row) {
            (Some(column), None) if !column.bind.is_empty() => return Err(why::row_not_read(column)),
            (_, row) => row.unwrap_or_default(),
        };
        columns.push(ResultColumn { name: output.name, open, bound, hidden: output.hidden });
    }
    Ok(ResultRoles::Columns(columns))
}

impl Planner<'_> {
    fn statement(&mut self, statement: &Statement) -> Result<(&'static str, Outputs), Refusal> {
        match statement {
            Statement::Query(query) => self.top_query(query),
            Statement::Insert(insert) => {
                Ok((if insert.replace_into { "REPLACE" } else { "INSERT" }, self.insert(insert)?))
            }
            Statement::Update(update) => Ok(("UPDATE", self.update(update)?)),
            Statement::Delete(delete) => Ok(("DELETE", self.delete(delete)?)),
            _ => Err(why::not_understood("this kind of statement")),
        }
    }

    /// A query, or `WITH … UPDATE` and `WITH … DELETE`.
    fn top_query(&mut self, query: &Query) -> Result<(&'static str, Outputs), Refusal> {
        match &*query.body {
            SetExpr::Update(Statement::Update(update)) => {
                self.with_only(query)?;
                Ok(("UPDATE", self.update(update)?))
            }
            SetExpr::Delete(Statement::Delete(delete)) => {
                self.with_only(query)?;
                Ok(("DELETE", self.delete(delete)?))
            }
            _ => {
                self.outermost = true;
                Ok(("SELECT", self.query(query, None)?))
            }
        }
    }

    fn with_only(&mut self, query: &Query) -> Result<(), Refusal> {
        if query.order_by.is_some() || query.limit_clause.is_some() || query.fetch.is_some() || !query.locks.is_empty()
        {
            return Err(why::not_understood("this kind of statement"));
        }
        match &query.with {
            Some(with) => self.with(with, None),
            None => Ok(()),
        }
    }
}

/// The column names of a query in a view's definition, where a name is the query's to give; `None` if the
/// query is not understood or a table of it is not known.
pub(crate) fn names_of(definition: &str, ctx: &Context<'_>) -> Option<Vec<Option<String>>> {
    let text = definition.as_bytes();
    let mode = LexMode { sql_mode: SqlMode::default(), version: ctx.catalog.version, charset: Charset::Utf8mb4 };
    let tokens = lex(text, mode).ok()?;
    let found = statements(text, &tokens, mode);
    let [statement] = found.as_slice() else { return None };
    let parsed = dialect::parse(statement).ok()?;
    let Statement::Query(query) = &parsed.statement else { return None };
    let mut planner = Planner::new(ctx, Source::new(statement, Charset::Utf8mb4, parsed.spans), false);
    let outputs = planner.query(query, None).ok()?;
    if outputs.unknown || !planner.need.is_empty() {
        return None;
    }
    Some(outputs.columns.into_iter().map(|output| output.name).collect())
}

/// A view's stored definition. It is UTF-8 and independent of the session's sql_mode.
fn parse_view(definition: &str, ctx: &Context<'_>) -> Option<Box<Query>> {
    let text = definition.as_bytes();
    let mode = LexMode { sql_mode: SqlMode::default(), version: ctx.catalog.version, charset: Charset::Utf8mb4 };
    let tokens = lex(text, mode).ok()?;
    let found = statements(text, &tokens, mode);
    let [statement] = found.as_slice() else {
        return None;
    };
    match dialect::parse(statement).ok()?.statement {
        Statement::Query(query) => Some(query),
        _ => None,
    }
}
