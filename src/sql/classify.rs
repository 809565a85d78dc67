//! What kind of statement it is, and what becomes of everything that is neither DML nor DDL. Works on
//! tokens: the parser knows few of these statements.

use std::sync::Arc;

use super::analyse::{analyse, may_touch};
use super::ddl;
use super::lex::TokenKind;
use super::literal;
use super::live::{Live, mentions_raw};
use super::load_data::{self, LoadPlan};
use super::plan::{Charset, Context, Outcome, Pass, Protocol};
use super::refusal::{Refusal, RefusalCode};
use crate::catalog::Watched;
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
    /// LOAD DATA LOCAL into a protected table.
    Load(Arc<LoadPlan>),
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
    Decision::Pass { pass: Pass { invalidates_catalog: true, ..Pass::default() }, changes_state: true }
}

/// Passes unless what follows in the packet would be read or resolved otherwise than it is here: the
/// analysis of the whole packet uses the state before it.
fn pass_changing_state(live: &Live<'_>, decision: Decision) -> Decision {
    let rest = live.statement.text.get(live.statement.span.end..).unwrap_or_default();
    if !rest.iter().any(u8::is_ascii_alphanumeric) {
        return decision;
    }
    let lower = rest.to_ascii_lowercase();
    let has = |word: &str| lower.windows(word.len()).any(|w| w == word.as_bytes());
    let schema = live.ctx.catalog.protected_schemas.iter().any(|s| has("drop") && has(&s.to_ascii_lowercase()));
    let dynamic = !live.is(0, "use") && ["prepare", "execute", "binlog", "session_track"].iter().any(|w| has(w));
    if schema || dynamic || mentions_raw(rest, live.ctx) {
        return live.refuse(RefusalCode::MixedPacket, "session state changes before what it matters to", 0).into();
    }
    decision
}

fn changed_state() -> Decision {
    Decision::Pass { pass: Pass::default(), changes_state: true }
}

/// Something within a statement of statements that is refused on its own, though it names nothing
/// watched: dropping a schema with protected tables, and switching session tracking.
pub(super) fn hidden(live: &Live<'_>, from: usize) -> Option<usize> {
    (from..live.len()).find(|n| {
        let tracking = live.token(*n).is_some_and(|t| {
            matches!(t.kind, TokenKind::Word | TokenKind::QuotedIdent | TokenKind::SysVar)
                && t.text(live.statement.text).to_ascii_lowercase().windows(13).any(|w| w == b"session_track")
        });
        tracking
            || (live.any(*n, &["database", "schema"]) && {
                let dropped = live.name(ddl::if_exists(live, n + 1)).unwrap_or_default().to_lowercase();
                let behind_drop = n.checked_sub(1).is_some_and(|k| live.any(k, &["drop", "replace"]));
                behind_drop && live.ctx.catalog.protected_schemas.iter().any(|s| s.to_lowercase() == dropped)
            })
    })
}

const DML: &[&str] = &["select", "insert", "replace", "update", "delete", "with", "values", "table"];

pub(super) fn classify(live: &Live<'_>) -> Decision {
    let first = (0..live.len()).find(|n| !live.op(*n, "(")).unwrap_or(0);
    if first > 0 || live.any(0, DML) {
        return if live.mentions() { Decision::Dml { from: 0, explain: false } } else { pass() };
    }
    if is_compound(live) {
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
        b"use" => pass_changing_state(live, changed_state()),
        b"grant" | b"revoke" => pass(),
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
    // Behind FOR SCHEMA follows a statement whose literals would go to the server as they are.
    if live.is(n, "for") && live.is(n + 1, "connection") {
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
    // `SHOW … WHERE f('value')` runs the function.
    let function = (1..live.len()).find(|n| live.watched(*n) == Some(&Watched::Routine) && live.op(n + 1, "("));
    if let Some(n) = function {
        return live.refuse(RefusalCode::StoredFunction, format!("{} within SHOW", live.shown(n)), n).into();
    }
    let scrub_rows = live.find(1, &["warnings", "errors"]).is_some();
    Decision::Pass { pass: Pass { scrub_rows, ..Pass::default() }, changes_state: false }
}

fn set(live: &Live<'_>) -> Decision {
    if live.is(1, "statement") {
        let dynamic = live.find(1, &["execute", "prepare", "call", "begin", "load", "binlog"]);
        return match live.mention(0..live.len()).or(dynamic).or_else(|| hidden(live, 1)) {
            Some(n) => live.refuse(RefusalCode::SetStatement, "SET STATEMENT", n).into(),
            None if live.find(2, &["create", "alter", "drop", "rename"]).is_some() => {
                pass_changing_state(live, pass_ddl())
            }
            None => pass_changing_state(live, changed_state()),
        };
    }
    // The names are those of accounts and roles.
    let account = live.any(1, &["role", "password"]) || (live.is(1, "default") && live.is(2, "role"));
    if account && live.list(1..live.len()).len() == 1 && live.find(1, &["select"]).is_none() {
        return pass();
    }
    // Without parentheses it holds no query, and the name is a keyword: SET NAMES, SET SESSION, SET TRANSACTION.
    let computes = (1..live.len()).any(|n| live.op(n, "("));
    let mut names = 1..live.len();
    if let Some(n) = names.find(|n| live.watched(*n).is_some_and(|w| computes || *w == Watched::Routine)) {
        return live.refuse(RefusalCode::SetSubquery, format!("SET with {}", live.shown(n)), n).into();
    }
    if let Some(refusal) = session_tracking(live) {
        return refusal.into();
    }
    let user_variables = live
        .list(1..live.len())
        .iter()
        .all(|item| live.token(item.start).is_some_and(|t| t.kind == TokenKind::UserVar));
    if user_variables { pass() } else { pass_changing_state(live, changed_state()) }
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
            let text = literal::string(live.source(value), live.statement.mode).unwrap_or_default();
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

/// A statement of statements: `BEGIN NOT ATOMIC`, MariaDB's control structures, blocks of its Oracle
/// mode, and any of them with a label.
pub(super) fn is_compound(live: &Live<'_>) -> bool {
    live.op(1, ":")
        || (live.is(0, "begin") && live.len() > 1 && !live.is(1, "work"))
        || live.any(0, &["if", "case", "loop", "while", "repeat", "for", "declare"])
}

fn compound(live: &Live<'_>) -> Decision {
    let dynamic = live.find(0, &["execute", "prepare", "call", "load", "binlog", "handler"]);
    match live.mention(0..live.len()).or(dynamic).or_else(|| hidden(live, 0)) {
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
        None => pass_changing_state(live, pass_ddl()),
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
    if live.ctx.character_set_client == Charset::Other && !run.bytes.is_ascii() {
        return if may_touch(&run.bytes, live.ctx) { refuse("in an unsupported character set") } else { pass_ddl() };
    }
    let Some(text) = decode(&run.bytes, live.ctx.character_set_client) else {
        return refuse("from a literal in an unsupported character set");
    };
    let ctx = Context { character_set_client: Charset::Utf8mb4, protocol: Protocol::Prepared, ..*live.ctx };
    match analyse(&text, &ctx) {
        // EXECUTE could not know that its rows quote stored values.
        Outcome::Pass(pass) if pass.scrub_rows && live.is(0, "prepare") => refuse("of SHOW WARNINGS or its like"),
        Outcome::Pass(pass) => pass_changing_state(live, Decision::Pass { pass, changes_state: true }),
        _ => refuse("of a statement that touches something protected"),
    }
}

fn call(live: &Live<'_>) -> Decision {
    let known = live.qualified(1).and_then(|name| {
        let schema = name.schema.as_deref().or(live.ctx.schema)?.to_lowercase();
        // A third part would be a package's.
        let ends = name.next >= live.len() || live.op(name.next, "(");
        let routine = live.ctx.catalog.routines.get(&(schema, name.name.to_lowercase())).filter(|_| ends)?;
        Some((routine, name.next))
    });
    match known {
        Some((routine, arguments)) if routine.allowed && live.mention(arguments..live.len()).is_none() => {
            let pass = Pass { refuse_sealed: true, invalidates_catalog: true, ..Pass::default() };
            pass_changing_state(live, Decision::Pass { pass, changes_state: true })
        }
        Some((routine, _)) if !routine.touches && !routine.dynamic && !routine.unreadable && !live.mentions() => {
            pass_changing_state(live, changed_state())
        }
        _ => live.refuse(RefusalCode::Call, format!("CALL {}", live.shown(1)), 1).into(),
    }
}

fn load(live: &Live<'_>) -> Decision {
    if live.is(1, "index") {
        return pass();
    }
    match live.mention(1..live.len()) {
        None => pass(),
        Some(_) if live.is(1, "data") && (2..4).any(|n| live.is(n, "local")) => load_data::load_local(live),
        Some(n) => live.refuse(RefusalCode::LoadData, format!("LOAD DATA with {}", live.shown(n)), n).into(),
    }
}

fn decode(bytes: &[u8], charset: Charset) -> Option<std::borrow::Cow<'_, [u8]>> {
    if bytes.is_ascii() && charset == Charset::Other {
        return Some(bytes.into());
    }
    literal::decode_to_utf8(bytes, charset)
}

#[cfg(test)]
mod tests {
    use crate::sql::testing::{context, snapshot};
    use crate::sql::{Outcome, RefusalCode as Code, analyse};

    fn code(sql: &str) -> Option<Code> {
        let catalog = snapshot();
        match analyse(sql.as_bytes(), &context(&catalog)) {
            Outcome::Refuse(refusal) => Some(refusal.code),
            _ => None,
        }
    }

    fn all(expected: Option<Code>, statements: &[&str]) {
        for sql in statements {
            assert_eq!(code(sql), expected, "{sql}");
        }
    }

    #[test]
    fn ddl_does_not_hide_the_statements_behind_it() {
        all(
            Some(Code::MixedPacket),
            &[
                "CREATE TABLE event (id INT); INSERT INTO users (id, email) VALUES (1, 'a')",
                "CREATE TABLE t (event INT); UPDATE users SET email = 'a'",
                "CREATE DATABASE event; INSERT INTO users (id, email) VALUES (1, 'a')",
                "CREATE ROLE event; INSERT INTO users (id, email) VALUES (1, 'a')",
                "CREATE INDEX event ON orders (total); INSERT INTO users (id, email) VALUES (1, 'a')",
                "ALTER PROCEDURE p COMMENT 'x'; INSERT INTO users (id, email) VALUES (1, 'a')",
                "ALTER TABLE orders ADD event INT; INSERT INTO users (id, email) VALUES (1, 'a')",
            ],
        );
        all(Some(Code::DropsSchema), &["CREATE TABLE event (id INT); DROP DATABASE shop"]);
        all(Some(Code::DynamicSql), &["CREATE TABLE event (id INT); PREPARE s FROM @q"]);
        all(None, &["CREATE PROCEDURE p() BEGIN SELECT 1; SELECT 2; END", "CREATE TABLE event (id INT);"]);
    }

    #[test]
    fn state_that_changes_within_the_packet_does_not_change_what_is_seen() {
        all(
            Some(Code::MixedPacket),
            &[
                "SET sql_mode = 'ANSI_QUOTES'; INSERT INTO \"users\" (id, email) VALUES (1, 'a')",
                "SET sql_mode = 'NO_BACKSLASH_ESCAPES'; SELECT '\\'; INSERT INTO users (email) VALUES ('a') -- '",
                "SET sql_mode = 'ANSI_QUOTES'; DROP DATABASE \"shop\"",
                "EXECUTE s; DROP DATABASE \"shop\"",
                "USE crm; DROP TABLE users",
                "USE crm; ALTER TABLE users DROP COLUMN email",
            ],
        );
        all(None, &["SET NAMES utf8mb4; SELECT 1", "USE crm; SELECT * FROM orders", "SET autocommit = 1;"]);
    }

    #[test]
    fn statements_within_statements_neither_drop_schemas_nor_stop_tracking() {
        all(
            Some(Code::CompoundBlock),
            &[
                "BEGIN NOT ATOMIC DROP DATABASE shop; END",
                "IF 1 THEN DROP SCHEMA IF EXISTS `shop`; END IF",
                "BEGIN NOT ATOMIC CREATE OR REPLACE DATABASE shop; END",
                "IF 1 THEN SET @@session_track_schema = 0; END IF",
            ],
        );
        all(
            Some(Code::SetStatement),
            &[
                "SET STATEMENT max_statement_time = 9 FOR DROP DATABASE shop",
                "SET STATEMENT session_track_schema = 0 FOR USE crm",
                "SET STATEMENT max_statement_time = 9 FOR SET SESSION session_track_schema = 0",
            ],
        );
        all(
            Some(Code::RoutineOverProtected),
            &["CREATE PROCEDURE p() DROP DATABASE shop", "CREATE PROCEDURE p() SET SESSION session_track_schema = 0"],
        );
        all(None, &["IF 1 THEN DROP DATABASE crm; END IF", "CREATE FUNCTION f() RETURNS TEXT RETURN DATABASE()"]);
    }

    #[test]
    fn literals_and_functions_do_not_pass_behind_explain_and_show() {
        all(Some(Code::SideDoor), &["EXPLAIN FOR SCHEMA shop INSERT INTO users (id, email) VALUES (1, 'a')"]);
        all(Some(Code::StoredFunction), &["SHOW STATUS WHERE reveal('a')", "SHOW TABLES WHERE shop.reveal(1)"]);
        all(Some(Code::DynamicSql), &["PREPARE s FROM 'SHOW WARNINGS'"]);
        all(None, &["EXPLAIN FOR CONNECTION 5", "SHOW CREATE FUNCTION reveal", "SHOW WARNINGS"]);
    }

    #[test]
    fn accounts_and_roles_may_have_watched_names() {
        all(None, &["SET ROLE users", "SET DEFAULT ROLE users TO a", "SET PASSWORD FOR users@localhost = 'x'"]);
        all(Some(Code::SetSubquery), &["SET ROLE a, @x = (SELECT email FROM users)"]);
    }
}
