//! What kind of statement it is, and what becomes of everything that is neither DML nor DDL. Works on
//! tokens: the parser knows few of these statements.

use super::analyse::analyse;
use super::ddl;
use super::lex::TokenKind;
use super::literal;
use super::live::Live;
use super::plan::{Charset, Context, Outcome, Pass, Protocol};
use super::refusal::{Refusal, RefusalCode};
use crate::config::TableName;

pub(super) enum Decision {
    Pass {
        pass: Pass,
        /// What follows in the same packet may mean something else.
        changes_state: bool,
    },
    /// DML that names something watched, from this token on.
    Dml {
        from: usize,
        explain: bool,
    },
    Refuse(Refusal),
    Need(Vec<TableName>),
}

impl From<Refusal> for Decision {
    fn from(refusal: Refusal) -> Self {
        Self::Refuse(refusal)
    }
}

pub(super) fn pass() -> Decision {
    Decision::Pass { pass: Pass::default(), changes_state: false }
}

pub(super) fn pass_ddl() -> Decision {
    Decision::Pass { pass: Pass { invalidates_catalog: true, scrub_rows: false }, changes_state: true }
}

fn pass_changing_state() -> Decision {
    Decision::Pass { pass: Pass::default(), changes_state: true }
}

const DML: &[&str] = &["select", "insert", "replace", "update", "delete", "with", "values", "table"];

pub(super) fn classify(live: &Live<'_>) -> Decision {
    let first = (0..live.len()).find(|n| !live.op(*n, "(")).unwrap_or(0);
    if first > 0 || live.any(0, DML) {
        return if live.mentions() { Decision::Dml { from: 0, explain: false } } else { pass() };
    }
    if live.token(1).is_some_and(|t| t.is_operator(live.statement.text, ":")) {
        return compound(live);
    }
    let Some(verb) = live.statement.word(0) else {
        return if live.mentions() { side_door(live) } else { pass() };
    };
    match verb.to_ascii_lowercase().as_slice() {
        b"explain" | b"describe" | b"desc" => explain(live),
        b"analyze" if !live.any(1, &["table", "local", "no_write_to_binlog", "tables"]) => explain(live),
        b"show" => show(live),
        b"set" => set(live),
        b"use" => pass_changing_state(),
        b"grant" | b"revoke" => pass(),
        b"begin" if live.is(1, "not") => compound(live),
        b"if" | b"case" | b"loop" | b"while" | b"repeat" | b"for" | b"declare" => compound(live),
        b"begin" | b"start" | b"commit" | b"rollback" | b"savepoint" | b"release" | b"xa" => pass(),
        b"lock" | b"unlock" | b"analyze" | b"check" | b"optimize" | b"repair" | b"checksum" | b"flush" | b"cache"
        | b"truncate" => match live.find(1, &["select"]) {
            Some(n) if live.mentions() => live.refuse(RefusalCode::SideDoor, "a query within this statement", n).into(),
            _ => pass(),
        },
        b"prepare" => prepare(live),
        b"execute" => execute(live),
        b"deallocate" => pass(),
        b"call" => call(live),
        b"handler" => match live.mention(0..live.len()) {
            Some(n) => live.refuse(RefusalCode::Handler, format!("HANDLER {}", live.shown(n)), n).into(),
            None => pass(),
        },
        b"binlog" => live.refuse(RefusalCode::Binlog, "BINLOG", 0).into(),
        b"load" => load(live),
        b"import" => pass_ddl(),
        b"create" => ddl::create(live),
        b"alter" => ddl::alter(live),
        b"drop" => ddl::drop(live),
        b"rename" => ddl::rename(live),
        _ if live.mentions() => side_door(live),
        _ => pass(),
    }
}

fn side_door(live: &Live<'_>) -> Decision {
    let n = live.mention(0..live.len()).unwrap_or(0);
    live.refuse(RefusalCode::SideDoor, format!("{} in this kind of statement", live.shown(n)), n).into()
}

/// EXPLAIN, DESCRIBE, and MariaDB's `ANALYZE SELECT`: the statement behind is planned like any other,
/// so that its literals never reach the server as they are.
fn explain(live: &Live<'_>) -> Decision {
    if !live.mentions() {
        return pass();
    }
    let mut n = 1;
    loop {
        if live.any(n, &["extended", "partitions", "analyze", "verbose"]) {
            n += 1;
        } else if live.is(n, "format") && live.op(n + 1, "=") {
            n += 3;
        } else {
            break;
        }
    }
    let table = live.is(n, "table");
    if (live.any(n, DML) && !table) || live.op(n, "(") {
        return Decision::Dml { from: n, explain: true };
    }
    if live.is(n, "for") {
        return pass();
    }
    // DESCRIBE table [column]
    match live.qualified(n) {
        Some(name) if name.next + 1 >= live.len() => pass(),
        _ => side_door(live),
    }
}

fn show(live: &Live<'_>) -> Decision {
    if let (Some(n), true) = (live.find(1, &["select"]), live.mentions()) {
        return live.refuse(RefusalCode::SideDoor, "a query within SHOW", n).into();
    }
    let scrub_rows = live.find(1, &["warnings", "errors"]).is_some();
    Decision::Pass { pass: Pass { invalidates_catalog: false, scrub_rows }, changes_state: false }
}

fn set(live: &Live<'_>) -> Decision {
    if live.is(1, "statement") {
        let dynamic = live.find(1, &["execute", "prepare", "call", "begin", "load", "binlog"]);
        return match live.mention(0..live.len()).or(dynamic) {
            Some(n) => live.refuse(RefusalCode::SetStatement, "SET STATEMENT", n).into(),
            None if live.find(2, &["create", "alter", "drop", "rename"]).is_some() => pass_ddl(),
            None => pass(),
        };
    }
    if let Some(n) = live.mention(1..live.len()) {
        return live.refuse(RefusalCode::SetSubquery, format!("SET with {}", live.shown(n)), n).into();
    }
    if let Some(refusal) = session_tracking(live) {
        return refusal.into();
    }
    let user_variables = live
        .list(1..live.len())
        .iter()
        .all(|item| live.token(item.start).is_some_and(|t| t.kind == TokenKind::UserVar));
    if user_variables { pass() } else { pass_changing_state() }
}

/// What is learnt from session tracking must go on being tracked.
fn session_tracking(live: &Live<'_>) -> Option<Refusal> {
    const NEEDED: &[&str] = &["character_set_client", "character_set_connection", "character_set_results", "sql_mode"];
    for item in live.list(1..live.len()) {
        let Some(equals) = item.clone().find(|n| live.op(*n, "=") || live.op(*n, ":=")) else { continue };
        let target: String = (item.start..equals)
            .map(|n| String::from_utf8_lossy(live.source(n)).to_ascii_lowercase().replace(['`', '"'], ""))
            .collect();
        let value = equals + 1;
        let fine = if target.ends_with("session_track_schema") {
            live.any(value, &["on", "true"]) || live.source(value) == b"1"
        } else if target.ends_with("session_track_system_variables") {
            let text = literal::string(live.source(value), live.statement.mode.sql_mode).unwrap_or_default();
            let text = String::from_utf8_lossy(&text).to_ascii_lowercase();
            let named: Vec<&str> = text.split(',').map(str::trim).collect();
            named.contains(&"*") || NEEDED.iter().all(|n| named.contains(n))
        } else {
            continue;
        };
        if !fine || value + 1 != item.end {
            return Some(live.refuse(RefusalCode::SessionTracking, "SET of session tracking", item.start));
        }
    }
    None
}

/// `BEGIN NOT ATOMIC` and MariaDB's other statements of statements.
fn compound(live: &Live<'_>) -> Decision {
    let dynamic = live.find(0, &["execute", "prepare", "call", "load", "binlog", "handler"]);
    match live.mention(0..live.len()).or(dynamic) {
        Some(n) => live.refuse(RefusalCode::CompoundBlock, "a compound statement", n).into(),
        None => pass_ddl(),
    }
}

fn prepare(live: &Live<'_>) -> Decision {
    match live.find(1, &["from"]) {
        Some(from) if live.any(1, &["from"]) || from == 2 => dynamic(live, from + 1, "PREPARE"),
        _ => live.refuse(RefusalCode::DynamicSql, "PREPARE", 0).into(),
    }
}

fn execute(live: &Live<'_>) -> Decision {
    if live.is(1, "immediate") {
        return dynamic(live, 2, "EXECUTE IMMEDIATE");
    }
    match live.mention(2..live.len()) {
        Some(n) => live.refuse(RefusalCode::DynamicSql, "EXECUTE", n).into(),
        // Its text was seen when it was prepared; it may have been DDL.
        None => pass_ddl(),
    }
}

/// The text of a statement as a literal: analysed, and only passed if there is nothing to do.
fn dynamic(live: &Live<'_>, n: usize, what: &str) -> Decision {
    let refuse = |why: &str| live.refuse(RefusalCode::DynamicSql, format!("{what} {why}"), n).into();
    let Some(token) = live.token(n).filter(|t| t.kind == TokenKind::String) else {
        return refuse("from something else than a literal");
    };
    let Some(run) = literal::string_run(live.statement, token.start()) else {
        return refuse("from a literal that is not understood");
    };
    let behind = (n..live.len()).find(|k| live.token(*k).is_some_and(|t| t.start() >= run.span.end));
    if behind.is_some_and(|k| !live.is(k, "using")) || behind.is_some_and(|k| live.mention(k..live.len()).is_some()) {
        return refuse("from an expression");
    }
    let Some(text) = literal::decode_to_utf8(&run.bytes, live.ctx.character_set_client) else {
        return refuse("from a literal in an unsupported character set");
    };
    let ctx = Context { character_set_client: Charset::Utf8mb4, protocol: Protocol::Prepared, ..*live.ctx };
    match analyse(&text, &ctx) {
        Outcome::Pass(pass) => Decision::Pass { pass, changes_state: true },
        _ => refuse("of a statement that touches something protected"),
    }
}

fn call(live: &Live<'_>) -> Decision {
    let known = live.qualified(1).and_then(|name| {
        let schema = name.schema.as_deref().or(live.ctx.schema)?.to_lowercase();
        // A third part would be a package's.
        let ends = name.next >= live.len() || live.op(name.next, "(");
        live.ctx.catalog.routines.get(&(schema, name.name.to_lowercase())).filter(|_| ends)
    });
    match known {
        Some(routine) if !routine.touches && !routine.dynamic && !routine.unreadable && !live.mentions() => {
            pass_changing_state()
        }
        _ => live.refuse(RefusalCode::Call, format!("CALL {}", live.shown(1)), 1).into(),
    }
}

fn load(live: &Live<'_>) -> Decision {
    if live.is(1, "index") {
        return pass();
    }
    if let Some(n) = live.mention(1..live.len()) {
        return live.refuse(RefusalCode::LoadData, format!("LOAD DATA with {}", live.shown(n)), n).into();
    }
    match (2..5).find(|n| live.is(*n, "local")) {
        Some(n) => live.refuse(RefusalCode::LocalInfile, "LOAD DATA LOCAL", n).into(),
        None => pass(),
    }
}
