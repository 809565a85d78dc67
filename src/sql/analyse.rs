//! The entry: one packet of SQL text in, what to do with it out.

use super::classify::{Decision, classify, is_compound};
use super::ddl;
use super::dml::{self, DmlError, DmlPlan};
use super::lex::{LexError, LexMode, StatementText, Token, TokenKind, lex, statements};
use super::live::{Live, mentions_raw};
use super::plan::{Charset, Context, Outcome, ParamRole, Pass, Plan, ResultRoles, StatementPlan};
use super::prefilter::FILE_NAME;
use super::refusal::{Refusal, RefusalCode};

/// Analyses the text of a COM_QUERY or COM_STMT_PREPARE. Meant to run on a large stack.
pub fn analyse(text: &[u8], ctx: &Context<'_>) -> Outcome {
    // A trail byte may be a quote or a backslash: where tokens end cannot be told.
    if ctx.character_set_client == Charset::Other && !text.is_ascii() {
        return opaque(text, ctx);
    }
    let mode = LexMode::of(ctx);
    let tokens = match lex(text, mode) {
        Ok(tokens) => tokens,
        Err(error) => return malformed(text, error, ctx),
    };
    let all = statements(text, &tokens, mode);
    let mut packet = Packet::default();
    for (n, statement) in all.iter().enumerate() {
        // The body of a routine or compound statement has delimiters of its own: it takes the rest.
        if n + 1 < all.len() && has_body(&Live::new(statement, ctx)) {
            let from = tokens.partition_point(|t| t.start() < statement.span.start);
            let rest = StatementText {
                text,
                tokens: tokens.get(from..).unwrap_or_default(),
                span: statement.span.start..text.len(),
                mode,
            };
            packet.add_with_body(&rest, ctx);
            break;
        }
        packet.add(statement, ctx);
        if packet.refusal.is_some() {
            break;
        }
    }
    packet.outcome()
}

/// Refused if it could touch anything protected under another reading; the server's own syntax error
/// otherwise.
fn malformed(text: &[u8], error: LexError, ctx: &Context<'_>) -> Outcome {
    if may_touch(text, ctx) {
        return Outcome::Refuse(Refusal::new(
            RefusalCode::MalformedText,
            error.kind.to_string(),
            Some(error.offset..text.len()),
        ));
    }
    Outcome::Pass(Pass { invalidates_catalog: true, scrub_rows: true, ..Pass::default() })
}

fn opaque(text: &[u8], ctx: &Context<'_>) -> Outcome {
    if may_touch(text, ctx) {
        return Outcome::Refuse(Refusal::new(RefusalCode::CharacterSet, "the session's character_set_client", None));
    }
    Outcome::Pass(Pass { invalidates_catalog: true, scrub_rows: true, ..Pass::default() })
}

/// Watched names or words of dynamic SQL, wherever in the bytes.
pub(super) fn may_touch(text: &[u8], ctx: &Context<'_>) -> bool {
    const DYNAMIC: &[&str] = &["prepare", "execute", "call", "binlog", "handler", "load", "session_track"];
    let lower = text.to_ascii_lowercase();
    let has = |word: &str| lower.windows(word.len()).any(|w| w == word.as_bytes());
    // DROP DATABASE names no table and drops the protected ones.
    DYNAMIC.iter().any(|word| has(word)) || has("drop") && (has("database") || has("schema")) || mentions_raw(text, ctx)
}

/// A statement that holds statements.
fn has_body(live: &Live<'_>) -> bool {
    if live.is(0, "create") {
        return live.any(ddl::object(live, 1), ddl::WITH_BODY);
    }
    if live.is(0, "alter") {
        return live.is(ddl::object(live, 1), "event");
    }
    is_compound(live)
}

#[derive(Default)]
struct Packet {
    statements: Vec<StatementPlan>,
    edits: Vec<super::plan::Edit>,
    params: Vec<ParamRole>,
    pass: Pass,
    need: Vec<crate::config::TableName>,
    refusal: Option<Refusal>,
    /// A statement that changes what the others mean, and one that is protected.
    changes_state: bool,
    planned: bool,
}

impl Packet {
    /// A statement whose delimiters are its own, as far as can be told: nothing watched may be in it.
    fn add_with_body(&mut self, statement: &StatementText<'_>, ctx: &Context<'_>) {
        let live = Live::new(statement, ctx);
        let mention = live.mention(0..live.len());
        self.add(statement, ctx);
        if let (Some(n), None) = (mention, &self.refusal) {
            let what = format!("{} in a statement that holds others", live.shown(n));
            self.refusal = Some(live.refuse(RefusalCode::CompoundBlock, what, n));
        }
    }

    fn add(&mut self, statement: &StatementText<'_>, ctx: &Context<'_>) {
        let live = Live::new(statement, ctx);
        if let Some(refusal) = named_by_file(&live) {
            self.refusal = Some(refusal);
            return;
        }
        match classify(&live) {
            Decision::Pass { pass, changes_state } => {
                self.pass.invalidates_catalog |= pass.invalidates_catalog;
                self.pass.scrub_rows |= pass.scrub_rows;
                self.pass.refuse_sealed |= pass.refuse_sealed;
                self.changes_state |= changes_state;
                self.forward(statement, "OTHER");
            }
            Decision::Load(load) => {
                self.planned = true;
                self.statements.push(StatementPlan { verb: "LOAD", result: ResultRoles::Load(load) });
            }
            Decision::Refuse(refusal) => self.refusal = Some(refusal),
            Decision::Need(tables) => self.need.extend(tables),
            Decision::Dml { from, explain } => {
                if let Some(refusal) = refuse_before_planning(&live) {
                    self.refusal = Some(refusal);
                    return;
                }
                let Some(inner) = inner(statement, live.token(from)) else { return };
                match dml::plan(&inner, ctx) {
                    Ok(plan) => self.take(plan, explain),
                    Err(DmlError::NeedTables(tables)) => self.need.extend(tables),
                    Err(DmlError::Refusal(refusal)) => self.refusal = Some(refusal),
                }
            }
        }
    }

    fn forward(&mut self, statement: &StatementText<'_>, verb: &'static str) {
        let placeholders = statement.tokens.iter().filter(|t| t.kind == TokenKind::Placeholder).count();
        self.params.extend(std::iter::repeat_n(ParamRole::Plain, placeholders));
        self.statements.push(StatementPlan { verb, result: ResultRoles::Plain });
    }

    fn take(&mut self, plan: DmlPlan, explain: bool) {
        self.planned = true;
        self.edits.extend(plan.edits);
        self.params.extend(plan.params);
        // The rows of EXPLAIN are those of the plan, not of the table.
        let result = if explain { ResultRoles::Plain } else { plan.result };
        let verb = if explain { "EXPLAIN" } else { plan.verb };
        self.statements.push(StatementPlan { verb, result });
    }

    fn outcome(self) -> Outcome {
        if let Some(refusal) = self.refusal {
            return Outcome::Refuse(refusal);
        }
        if !self.need.is_empty() {
            return Outcome::NeedTables(self.need);
        }
        if !self.planned {
            return Outcome::Pass(self.pass);
        }
        if self.changes_state {
            return Outcome::Refuse(Refusal::new(
                RefusalCode::MixedPacket,
                "a multi-statement packet both changes session state or schema and touches a protected table",
                None,
            ));
        }
        // Rows that quote stored values beside rows that are opened: one relay cannot do both.
        if self.pass.scrub_rows {
            return Outcome::Refuse(Refusal::new(
                RefusalCode::MixedPacket,
                "a multi-statement packet both shows warnings and touches a protected table",
                None,
            ));
        }
        Outcome::Plan(Plan {
            edits: self.edits,
            params: self.params,
            statements: self.statements,
            invalidates_catalog: self.pass.invalidates_catalog,
        })
    }
}

/// The statement from `first` on: what EXPLAIN explains.
fn inner<'a>(statement: &StatementText<'a>, first: Option<Token>) -> Option<StatementText<'a>> {
    let start = first?.start();
    let from = statement.tokens.partition_point(|t| t.start() < start);
    Some(StatementText {
        text: statement.text,
        tokens: statement.tokens.get(from..)?,
        span: start..statement.span.end,
        mode: statement.mode,
    })
}

/// A file's name stands for a table in ways that are not followed, so that it may be a protected one.
fn named_by_file(live: &Live<'_>) -> Option<Refusal> {
    let begins = |n: &usize| {
        live.token(*n).is_some_and(|token| token.kind == TokenKind::QuotedIdent)
            && live
                .source(*n)
                .get(1..)
                .and_then(|name| name.get(..FILE_NAME.len()))
                .is_some_and(|name| name.eq_ignore_ascii_case(FILE_NAME.as_bytes()))
    };
    let n = (0..live.len()).find(begins)?;
    Some(live.refuse(RefusalCode::SideDoor, "a table named by its file", n))
}

fn refuse_before_planning(live: &Live<'_>) -> Option<Refusal> {
    let statement = live.statement;
    if live.ctx.character_set_client == Charset::Other {
        return Some(Refusal::new(RefusalCode::CharacterSet, "the session's character_set_client", None));
    }
    if live.ctx.sql_mode.unsupported {
        return Some(Refusal::new(RefusalCode::UnsupportedSqlMode, "the session's sql_mode", None));
    }
    for token in statement.tokens.iter().filter(|t| t.kind == TokenKind::Comment) {
        let comment = token.text(statement.text).to_ascii_lowercase();
        if comment.starts_with(b"/*+") && comment.windows(7).any(|w| w == b"set_var") {
            return Some(Refusal::new(RefusalCode::OptimizerHint, "SET_VAR in an optimizer hint", Some(token.span())));
        }
    }
    // `SELECT … INTO OUTFILE 'f'`, `SELECT … INTO @v`: the parser does not know them.
    for n in 1..live.len() {
        if live.is(n, "into")
            && !live.any(n - 1, &["insert", "replace", "ignore", "low_priority", "delayed", "high_priority"])
        {
            if live.any(n + 1, &["outfile", "dumpfile"]) {
                return Some(live.refuse(RefusalCode::FlowToFile, "INTO OUTFILE with a protected table", n));
            }
            if live.token(n + 1).is_some_and(|t| t.kind == TokenKind::UserVar) {
                return Some(live.refuse(RefusalCode::FlowToVariable, "INTO @variable with a protected table", n));
            }
        }
    }
    None
}
