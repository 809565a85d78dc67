//! CREATE, ALTER, DROP and RENAME: what they would do to protected tables and columns.

use super::alter;
use super::classify::{Decision, hidden, pass, pass_ddl};
use super::lex::TokenKind;
use super::live::{Found, Live, QualifiedName};
use super::refusal::RefusalCode;
use crate::catalog::{TableKind, Watched};

/// Objects whose definition holds statements.
pub(super) const WITH_BODY: &[&str] = &["procedure", "function", "event", "trigger", "package"];

/// Skips what may stand between the verb and the kind of object; `n` is the first token behind the verb.
pub(crate) fn object(live: &Live<'_>, mut n: usize) -> usize {
    loop {
        if live.is(n, "definer") && live.op(n + 1, "=") {
            n += 3;
            if live.op(n, "(") {
                n = live.closing(n);
            }
            if live.token(n).is_some_and(|t| t.kind == TokenKind::UserVar) {
                n += 1;
            }
        } else if live.is(n, "algorithm") && live.op(n + 1, "=") {
            n += 3;
        } else if live.any(
            n,
            &[
                "or",
                "replace",
                "temporary",
                "unique",
                "fulltext",
                "spatial",
                "vector",
                "aggregate",
                "online",
                "offline",
                "ignore",
                "undo",
            ],
        ) {
            n += 1;
        } else if live.is(n, "sql") && live.is(n + 1, "security") {
            n += 3;
        } else {
            return n;
        }
    }
}

/// Skips `IF NOT EXISTS`, `IF EXISTS`.
pub(crate) fn if_exists(live: &Live<'_>, n: usize) -> usize {
    if !live.is(n, "if") {
        n
    } else if live.is(n + 1, "not") {
        n + 3
    } else {
        n + 2
    }
}

/// A decision about one name: `Ok(true)` if it is a protected table that must not change.
pub(super) fn is_locked(live: &Live<'_>, name: &QualifiedName) -> Result<bool, Decision> {
    if live.ctx.catalog.watched.get(&name.name.to_lowercase()) != Some(&Watched::Protected) {
        return Ok(false);
    }
    match live.lookup(name) {
        Found::Table(table) => Ok(table.protected && !table.allow_ddl),
        Found::Absent => Ok(false),
        Found::Unknown(table) => Err(Decision::Need(vec![table])),
        Found::NoSchema => Ok(true),
    }
}

/// Only a routine, trigger or event has delimiters within: with anything else, what stands behind the
/// first of them would be taken for a part of this statement.
fn swallows(live: &Live<'_>, n: usize) -> Option<Decision> {
    if live.any(n, WITH_BODY) {
        return None;
    }
    let k = (n..live.len()).find(|k| live.token(*k).is_some_and(|t| t.kind == TokenKind::Delimiter))?;
    Some(live.refuse(RefusalCode::MixedPacket, "statements behind DDL in the same packet", k).into())
}

pub(super) fn create(live: &Live<'_>) -> Decision {
    let n = object(live, 1);
    if let Some(decision) = swallows(live, n) {
        return decision;
    }
    let or_replace = live.is(1, "or") && live.is(2, "replace");
    if live.any(n, &["database", "schema"]) {
        return if or_replace { drop_schema(live, if_exists(live, n + 1)) } else { pass_ddl() };
    }
    let Some(mention) = live.mention(1..live.len()) else {
        return match live.find(n, &["prepare", "execute"]) {
            Some(k) if live.is(n, "event") => {
                live.refuse(RefusalCode::RoutineOverProtected, "an event with dynamic SQL", k).into()
            }
            _ if live.any(n, WITH_BODY) && hidden(live, n).is_some() => {
                let what = "a routine that drops a protected schema or switches session tracking";
                live.refuse(RefusalCode::RoutineOverProtected, what, n).into()
            }
            _ if live.any(n, WITH_BODY) && live.mentions_in_strings() => {
                live.refuse(RefusalCode::RoutineOverProtected, "a routine with a watched name in a string", n).into()
            }
            // FEDERATED, CONNECT and SPIDER name their table in a string.
            _ if live.is(n, "table")
                && live.find(n, &["federated", "connect", "spider"]).is_some()
                && live.mentions_in_strings() =>
            {
                live.refuse(RefusalCode::TableCopy, "a table over a watched one", n).into()
            }
            _ => pass_ddl(),
        };
    };
    if live.is(n, "table") {
        return create_table(live, n, or_replace);
    }
    if live.is(n, "view") {
        return view(live, n);
    }
    if live.is(n, "index") {
        let on = live.find(n, &["on"]).unwrap_or(live.len());
        return index(live, on + 1, n);
    }
    if live.any(n, WITH_BODY) {
        let what = format!("{} in a routine, trigger or event", live.shown(mention));
        return live.refuse(RefusalCode::RoutineOverProtected, what, mention).into();
    }
    if live.any(n, &["user", "role", "server", "sequence", "tablespace", "logfile", "resource", "reference"]) {
        return pass_ddl();
    }
    live.refuse(RefusalCode::DdlNotUnderstood, "this kind of CREATE", n).into()
}

fn view(live: &Live<'_>, n: usize) -> Decision {
    let body = live.find(n, &["as"]).unwrap_or(n);
    match live.mention(body..live.len()) {
        Some(k) => live.refuse(RefusalCode::ViewOverProtected, format!("a view over {}", live.shown(k)), k).into(),
        None => pass_ddl(),
    }
}

/// `CREATE INDEX … ON name (columns)`, from the name on.
fn index(live: &Live<'_>, n: usize, create: usize) -> Decision {
    let Some(name) = live.qualified(n) else {
        return live.refuse(RefusalCode::DdlNotUnderstood, "CREATE INDEX", n).into();
    };
    let table = match live.lookup(&name) {
        Found::Table(table) => table,
        Found::Unknown(table) if live.mention(n..name.next).is_some() => return Decision::Need(vec![table]),
        Found::NoSchema if live.mention(n..name.next).is_some() => {
            return live.refuse(RefusalCode::DdlNotUnderstood, "no schema is selected", n).into();
        }
        _ => return pass_ddl(),
    };
    match alter::unindexable_in(live, &table, name.next..live.len(), create.saturating_sub(1)..live.len()) {
        Some(k) if !table.allow_ddl => live
            .refuse(RefusalCode::KeyOverProtected, format!("an index over {}.{}", table.name, live.shown(k)), k)
            .into(),
        _ => pass_ddl(),
    }
}

fn create_table(live: &Live<'_>, n: usize, or_replace: bool) -> Decision {
    let at = if_exists(live, n + 1);
    let Some(name) = live.qualified(at) else {
        return live.refuse(RefusalCode::DdlNotUnderstood, "CREATE TABLE", at).into();
    };
    let temporary = (1..n).any(|k| live.is(k, "temporary"));
    if temporary && let Some(decision) = hides(live, at, "a temporary table") {
        return decision;
    }
    if or_replace {
        match is_locked(live, &name) {
            Ok(false) => {}
            Ok(true) => {
                return live.refuse(RefusalCode::ReplacesTable, format!("OR REPLACE of {}", name.name), at).into();
            }
            Err(decision) => return decision,
        }
    }
    let query = (name.next..live.len()).find(|k| is_query(live, *k));
    // The rows would go into a configured table as they are.
    if let (Some(q), Some(k)) = (query, live.mention(at..name.next))
        && !matches!(live.lookup(&name), Found::Table(table) if !table.protected)
    {
        return live.refuse(RefusalCode::FlowToTable, format!("rows for {}", live.shown(k)), q).into();
    }
    for k in name.next..live.len() {
        if live.watched(k).is_none() {
            continue;
        }
        let before = if live.op(k - 1, ".") { k.saturating_sub(3) } else { k - 1 };
        if live.is(before, "references") {
            if let Some(decision) = alter::references(live, before + 1) {
                return decision;
            }
        } else if live.is(before, "like") || query.is_some_and(|q| q < k) || live.find(name.next, &["union"]).is_some()
        {
            return live.refuse(RefusalCode::TableCopy, format!("a table made from {}", live.shown(k)), k).into();
        }
    }
    pass_ddl()
}

/// Token `k` begins the query that fills the new table, and no option or partition.
fn is_query(live: &Live<'_>, k: usize) -> bool {
    match k + 1 {
        next if live.is(k, "with") => !live.any(next, &["parser", "system"]),
        next if live.is(k, "values") => !live.any(next, &["less", "in"]),
        _ => live.any(k, &["select", "table"]),
    }
}

fn drop_schema(live: &Live<'_>, n: usize) -> Decision {
    let Some(name) = live.name(n) else { return pass_ddl() };
    let catalog = live.ctx.catalog;
    if !catalog.protected_schemas.iter().any(|s| s.to_lowercase() == name.to_lowercase()) {
        return pass_ddl();
    }
    let mut protected = catalog
        .tables
        .values()
        .flatten()
        .filter(|t| t.protected && t.name.schema.to_lowercase() == name.to_lowercase());
    match protected.find(|t| !t.allow_ddl) {
        None if catalog
            .tables
            .values()
            .flatten()
            .any(|t| t.protected && t.name.schema.to_lowercase() == name.to_lowercase()) =>
        {
            pass_ddl()
        }
        _ => live.refuse(RefusalCode::DropsSchema, format!("the schema {name} holds protected tables"), n).into(),
    }
}

pub(super) fn drop(live: &Live<'_>) -> Decision {
    let n = object(live, 1);
    let temporary = (1..n).any(|k| live.is(k, "temporary"));
    if live.any(n, &["database", "schema"]) {
        return drop_schema(live, if_exists(live, n + 1));
    }
    if live.is(n, "prepare") {
        return pass();
    }
    if live.is(n, "index") {
        return drop_index(live, if_exists(live, n + 1));
    }
    if !live.any(n, &["table", "tables"]) || temporary {
        return pass_ddl();
    }
    for item in live.list(if_exists(live, n + 1)..live.len()) {
        if let Some(decision) = replaced(live, item.start, "DROP TABLE") {
            return decision;
        }
    }
    pass_ddl()
}

/// `DROP INDEX name ON table`, from the index's name on.
fn drop_index(live: &Live<'_>, n: usize) -> Decision {
    let Some(name) = live.find(n, &["on"]).and_then(|on| live.qualified(on + 1)) else { return pass_ddl() };
    match live.lookup(&name) {
        Found::Table(table) if table.protected && !table.allow_ddl => {
            alter::keeps_key(live, &table, n).map_or_else(Into::into, |()| pass_ddl())
        }
        Found::Unknown(table) if live.mentions() => Decision::Need(vec![table]),
        _ => pass_ddl(),
    }
}

/// A refusal if the name at `n` is a protected table.
fn replaced(live: &Live<'_>, n: usize, what: &str) -> Option<Decision> {
    let Some(name) = live.qualified(n) else {
        return live.mentions().then(|| live.refuse(RefusalCode::DdlNotUnderstood, what, n).into());
    };
    match is_locked(live, &name) {
        Ok(false) => None,
        Ok(true) => Some(live.refuse(RefusalCode::ReplacesTable, format!("{what} {}", name.name), n).into()),
        Err(decision) => Some(decision),
    }
}

/// A refusal if the new name at `n` is one that means something protected: a temporary table of that name would
/// hide that from the server and not from the proxy, and what is renamed may be one.
pub(super) fn hides(live: &Live<'_>, n: usize, what: &str) -> Option<Decision> {
    let name = live.qualified(n)?;
    let mention = live.mention(n..name.next)?;
    let hidden = match live.lookup(&name) {
        Found::Table(table) if table.protected => !table.allow_ddl,
        // Of another schema than the one that is watched, perhaps.
        Found::Table(table) => match live.watched(name.next - 1).or_else(|| live.watched(mention)) {
            Some(Watched::Protected | Watched::Routine) | None => false,
            Some(Watched::View) => table.kind != TableKind::Base,
            Some(Watched::Carrier(_)) => true,
        },
        Found::Absent => live.is_missing(&name),
        Found::Unknown(table) => return Some(Decision::Need(vec![table])),
        Found::NoSchema => true,
    };
    hidden.then(|| live.refuse(RefusalCode::ReplacesTable, format!("{what} named {}", name.name), n).into())
}

pub(super) fn rename(live: &Live<'_>) -> Decision {
    if !live.any(1, &["table", "tables"]) {
        return pass_ddl();
    }
    let items = live.list(if_exists(live, 2)..live.len());
    let is_freed = |n: usize| {
        let place = |n: usize| live.qualified(n).map(|name| (name.schema, name.name.to_lowercase()));
        items.iter().any(|item| place(item.start) == place(n))
    };
    for item in items.iter().cloned() {
        let Some(to) = item.clone().find(|k| live.is(*k, "to")) else {
            return if live.mentions() {
                live.refuse(RefusalCode::DdlNotUnderstood, "RENAME TABLE", item.start).into()
            } else {
                pass_ddl()
            };
        };
        for n in [item.start, to + 1] {
            if let Some(decision) = replaced(live, n, "RENAME TABLE") {
                return decision;
            }
        }
        if !is_freed(to + 1)
            && let Some(decision) = hides(live, to + 1, "a renamed table")
        {
            return decision;
        }
    }
    pass_ddl()
}

pub(super) fn alter(live: &Live<'_>) -> Decision {
    let n = object(live, 1);
    // ALTER EVENT alone has a body; ALTER PROCEDURE and FUNCTION name characteristics.
    let body = live.is(n, "event");
    if !body && let Some(k) = (n..live.len()).find(|k| live.token(*k).is_some_and(|t| t.kind == TokenKind::Delimiter)) {
        return live.refuse(RefusalCode::MixedPacket, "statements behind DDL in the same packet", k).into();
    }
    if body && let Some(k) = hidden(live, n).or_else(|| live.find(n, &["prepare", "execute"])) {
        return live.refuse(RefusalCode::RoutineOverProtected, "this body of an event", k).into();
    }
    if !live.mentions() {
        return pass_ddl();
    }
    // MariaDB: `ALTER TABLE a CONVERT TABLE b TO PARTITION p` makes b vanish.
    if let Some(k) = (n..live.len()).find(|k| live.is(*k, "convert") && live.is(k + 1, "table"))
        && let Some(decision) = replaced(live, k + 2, "CONVERT TABLE")
    {
        return decision;
    }
    if live.is(n, "table") {
        return alter::alter_table(live, if_exists(live, n + 1));
    }
    if live.is(n, "view") {
        return view(live, n);
    }
    if live.is(n, "event") {
        return match live.mention(n + 2..live.len()) {
            Some(k) => {
                live.refuse(RefusalCode::RoutineOverProtected, format!("{} in an event", live.shown(k)), k).into()
            }
            None => pass_ddl(),
        };
    }
    if live.any(
        n,
        &[
            "database",
            "schema",
            "user",
            "role",
            "procedure",
            "function",
            "server",
            "sequence",
            "tablespace",
            "instance",
        ],
    ) {
        return pass_ddl();
    }
    live.refuse(RefusalCode::DdlNotUnderstood, "this kind of ALTER", n).into()
}

#[cfg(test)]
mod tests {
    use crate::sql::testing::{context, snapshot};
    use crate::sql::{Outcome, RefusalCode as Code, analyse};

    fn all(expected: Option<Code>, statements: &[&str]) {
        let catalog = snapshot();
        for sql in statements {
            let code = match analyse(sql.as_bytes(), &context(&catalog)) {
                Outcome::Refuse(refusal) => Some(refusal.code),
                _ => None,
            };
            assert_eq!(code, expected, "{sql}");
        }
    }

    #[test]
    fn a_configured_table_is_not_filled_by_its_creation() {
        all(
            Some(Code::FlowToTable),
            &[
                "CREATE TABLE ghosts SELECT 'a' AS soul",
                "CREATE TABLE IF NOT EXISTS users AS (SELECT 'a' AS email)",
                "CREATE TABLE ghosts (soul TEXT) WITH c AS (SELECT 'a') SELECT * FROM c",
                "CREATE TABLE ghosts (soul TEXT) AS VALUES ('a')",
            ],
        );
        all(
            None,
            &[
                "CREATE TABLE ghosts (soul TEXT)",
                "CREATE TABLE ghosts (id INT) PARTITION BY RANGE (id) (PARTITION p VALUES LESS THAN (5))",
                "CREATE TABLE crm.users SELECT 1 AS id",
                "CREATE TABLE t SELECT 1 AS id",
            ],
        );
    }

    #[test]
    fn the_query_behind_a_parser_of_an_index_is_seen() {
        all(Some(Code::TableCopy), &["CREATE TABLE t (a TEXT, FULLTEXT KEY k (a) WITH PARSER p) SELECT id FROM users"]);
    }

    #[test]
    fn nothing_is_renamed_onto_what_is_protected() {
        all(
            Some(Code::ReplacesTable),
            &[
                "RENAME TABLE t TO users",
                "ALTER TABLE orders RENAME TO users",
                "ALTER TABLE tmp RENAME users",
                "ALTER TABLE tmp ADD COLUMN a INT, RENAME AS ghosts",
                "RENAME TABLE not_there TO ghosts",
            ],
        );
        all(None, &["RENAME TABLE crm.t TO crm.ghosts", "ALTER TABLE orders RENAME TO elsewhere"]);
    }

    #[test]
    fn a_protected_table_does_not_become_a_partition() {
        all(
            Some(Code::ReplacesTable),
            &["ALTER TABLE orders CONVERT TABLE users TO PARTITION p VALUES LESS THAN (10)"],
        );
        all(None, &["ALTER TABLE orders CONVERT TABLE t TO PARTITION p VALUES LESS THAN (10)"]);
    }
}
