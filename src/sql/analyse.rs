//! The entry: one packet of SQL in, an outcome out.

use super::charset::decode_to_utf8;
use super::classify::{Class, classify};
use super::dml::{self, DmlError};
use super::lex::{LexMode, StatementText, Token, TokenKind, lex, statements};
use super::literal;
use super::plan::{Charset, Context, Outcome, Pass, Plan, ResultRoles, StatementPlan};
use super::refusal::{Refusal, RefusalCode};
use crate::config::TableName;

/// Decides about a packet that the prefilter could not pass.
pub fn analyse(text: &[u8], ctx: &Context<'_>) -> Outcome {
    let mode = LexMode::of(ctx);
    let tokens = match lex(text, mode) {
        Ok(tokens) => tokens,
        // The prefilter saw a watched word in it, and where that stands cannot be told.
        Err(error) => {
            let end = text.len();
            let span = Some(error.offset.min(end)..end);
            return Outcome::Refuse(Refusal::new(RefusalCode::MalformedText, error.kind.to_string(), span));
        }
    };
    let packet = statements(text, &tokens, mode);
    let mut merged = Merged::default();
    for statement in &packet {
        match analyse_statement(statement, ctx) {
            Ok(One::Pass(pass)) => merged.pass(pass),
            Ok(One::Plan(plan)) => merged.plan(plan),
            Err(DmlError::Refusal(refusal)) => return Outcome::Refuse(refusal),
            Err(DmlError::NeedTables(names)) => merged.need.extend(names),
        }
    }
    if !merged.need.is_empty() {
        return Outcome::NeedTables(merged.need);
    }
    if !merged.protected {
        return Outcome::Pass(merged.pass);
    }
    if packet.len() > 1
        && let Some(statement) = packet.iter().find(|statement| !may_share_a_packet(statement))
    {
        return Outcome::Refuse(Refusal::new(
            RefusalCode::MixedPacket,
            "a statement on a protected table shares its packet with one that may change what it means",
            Some(statement.span.clone()),
        ));
    }
    Outcome::Plan(merged.plan)
}

enum One {
    Pass(Pass),
    Plan(dml::DmlPlan),
}

fn analyse_statement(statement: &StatementText<'_>, ctx: &Context<'_>) -> Result<One, DmlError> {
    match classify(statement, ctx) {
        Class::Pass(pass) => Ok(One::Pass(pass)),
        Class::Refuse(refusal) => Err(refusal.into()),
        Class::NeedTables(names) => Err(DmlError::NeedTables(names)),
        Class::Dml if !mentions(statement, ctx) => Ok(One::Pass(Pass::default())),
        Class::Dml => plan(statement, ctx).map(One::Plan),
        Class::Explain(_) if !mentions(statement, ctx) => Ok(One::Pass(Pass::default())),
        Class::Explain(inner) => {
            let tokens = statement.tokens.get(inner..).unwrap_or_default();
            let start = tokens.first().map_or(statement.span.end, |token| token.start());
            let inner = StatementText { tokens, span: start..statement.span.end, ..statement.clone() };
            // What comes back is the server's plan, not the table's rows.
            let plan = plan(&inner, ctx)?;
            Ok(One::Plan(dml::DmlPlan { verb: "EXPLAIN", result: ResultRoles::Plain, ..plan }))
        }
    }
}

fn plan(statement: &StatementText<'_>, ctx: &Context<'_>) -> Result<dml::DmlPlan, DmlError> {
    if ctx.sql_mode.unsupported {
        let message = "the session's sql_mode changes what statements and values mean";
        return Err(Refusal::new(RefusalCode::UnsupportedSqlMode, message, Some(statement.span.clone())).into());
    }
    if ctx.character_set_client == Charset::Other {
        let message = "character_set_client of the session is not supported on protected tables";
        return Err(Refusal::new(RefusalCode::CharacterSet, message, Some(statement.span.clone())).into());
    }
    dml::plan(statement, ctx)
}

/// Whether an identifier of the statement is a watched name. Strings are values here: the side doors
/// that take a name as a string are classified before.
pub(crate) fn mentions(statement: &StatementText<'_>, ctx: &Context<'_>) -> bool {
    statement.live().any(|token| watched(token, statement.text, ctx))
}

pub(crate) fn watched(token: Token, text: &[u8], ctx: &Context<'_>) -> bool {
    if !matches!(token.kind, TokenKind::Word | TokenKind::QuotedIdent) {
        return false;
    }
    let name = identifier(token, text, ctx.character_set_client);
    ctx.catalog.watched.contains_key(&name.to_lowercase())
}

/// An identifier token's name, quotes resolved.
pub(crate) fn identifier(token: Token, text: &[u8], charset: Charset) -> String {
    let unquoted = literal::identifier(token.text(text));
    match decode_to_utf8(&unquoted, charset) {
        Some(utf8) => String::from_utf8_lossy(&utf8).into_owned(),
        None => String::from_utf8_lossy(&unquoted).into_owned(),
    }
}

/// Statements that leave session state and schema as they are.
fn may_share_a_packet(statement: &StatementText<'_>) -> bool {
    let first = statement.live().find(|token| !token.is_operator(statement.text, "("));
    let Some(first) = first else { return true };
    [
        "SELECT",
        "INSERT",
        "REPLACE",
        "UPDATE",
        "DELETE",
        "WITH",
        "VALUES",
        "TABLE",
        "SHOW",
        "EXPLAIN",
        "DESCRIBE",
        "DESC",
        "START",
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT",
        "RELEASE",
    ]
    .iter()
    .any(|word| first.is_word(statement.text, word))
}

/// The packet's plan as it grows.
#[derive(Default)]
struct Merged {
    plan: Plan,
    pass: Pass,
    protected: bool,
    need: Vec<TableName>,
}

impl Merged {
    fn pass(&mut self, pass: Pass) {
        self.pass.invalidates_catalog |= pass.invalidates_catalog;
        self.pass.scrub_rows |= pass.scrub_rows;
        self.plan.invalidates_catalog |= pass.invalidates_catalog;
        self.plan.statements.push(StatementPlan { verb: "", result: ResultRoles::Plain });
    }

    fn plan(&mut self, plan: dml::DmlPlan) {
        self.protected = true;
        self.plan.edits.extend(plan.edits);
        self.plan.params.extend(plan.params);
        self.plan.statements.push(StatementPlan { verb: plan.verb, result: plan.result });
    }
}
