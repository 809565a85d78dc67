//! ALTER TABLE, change by change.

use std::ops::Range;
use std::sync::Arc;

use super::classify::{Decision, pass_ddl};
use super::ddl::{hides, if_exists, is_locked};
use super::lex::{LexMode, TokenKind, lex, statements};
use super::literal;
use super::live::{Found, Live};
use super::plan::{Charset, Context, SqlMode};
use super::refusal::{Refusal, RefusalCode};
use crate::catalog::bind::tells_rows_apart;
use crate::catalog::{Column, ColumnDefault, Physical, ProtectedColumn, Table, Width};
use crate::seal::versions::Comparing;
use crate::seal::{guard_expression, mixed_guard_expression};

/// The first token of `range` that is the name of a protected column of `table`.
pub(super) fn protected_column_in(live: &Live<'_>, table: &Table, mut range: Range<usize>) -> Option<usize> {
    range.find(|n| live.name(*n).is_some_and(|name| is_protected(table, &name)))
}

fn is_protected(table: &Table, name: &str) -> bool {
    table.column(name).is_some_and(|c| c.protected.is_some())
}

/// A refusal to drop the key at `n` if rows that values are bound to are told apart by no other.
pub(super) fn keeps_key(live: &Live<'_>, table: &Table, n: usize) -> Result<(), Refusal> {
    let Some(name) = live.name(n) else { return Ok(()) };
    let others = |names: &[Arc<ProtectedColumn>]| {
        let names: Vec<String> = names.iter().map(|key| key.name.clone()).collect();
        tells_rows_apart(table, &names, Some(&name))
    };
    let mut protected = table.columns.iter().filter_map(|column| column.protected.as_ref());
    match protected.find(|column| !column.bind.is_empty() && !others(&column.bind)) {
        Some(column) => {
            let what = format!(
                "the key {}, by which the rows of {}.{} are told apart,",
                live.shown(n),
                table.name,
                column.name
            );
            Err(live.refuse(RefusalCode::DropsColumn, what, n))
        }
        None => Ok(()),
    }
}

/// Values are sealed in the column, or bound to what it holds.
fn is_needed(table: &Table, name: &str) -> bool {
    table.column(name).is_some_and(|c| c.bound || c.protected.is_some())
}

/// A refusal if the table named at `n` (behind REFERENCES) lends protected columns.
pub(super) fn references(live: &Live<'_>, n: usize) -> Option<Decision> {
    let name = live.qualified(n)?;
    match live.lookup(&name) {
        Found::Table(table) => {
            let columns = name.next..live.closing(name.next);
            let column = protected_column_in(live, &table, columns)?;
            Some(
                live.refuse(
                    RefusalCode::DependsOnProtected,
                    format!("a foreign key to {}.{}", table.name, live.shown(column)),
                    column,
                )
                .into(),
            )
        }
        Found::Unknown(table) => Some(Decision::Need(vec![table])),
        _ => None,
    }
}

/// From the table's name on.
pub(super) fn alter_table(live: &Live<'_>, n: usize) -> Decision {
    let Some(name) = live.qualified(n) else {
        return live.refuse(RefusalCode::DdlNotUnderstood, "ALTER TABLE", n).into();
    };
    let mut from = name.next;
    if live.is(from, "wait") {
        from += 2;
    } else if live.is(from, "nowait") {
        from += 1;
    }
    let table = match live.lookup(&name) {
        Found::Table(table) => table,
        Found::Unknown(table) => return Decision::Need(vec![table]),
        Found::NoSchema => return live.refuse(RefusalCode::DdlNotUnderstood, "no schema is selected", n).into(),
        // A temporary table, perhaps.
        Found::Absent => {
            let changes = live.list(from..live.len());
            return changes.iter().find_map(|change| other_tables(live, change).err()).unwrap_or_else(pass_ddl);
        }
    };
    let mut listing = false;
    for change in live.list(from..live.len()) {
        if let Err(decision) = other_tables(live, &change) {
            return decision;
        }
        // `DROP PARTITION p0, p1`, `ORDER BY a, b`: further names of the change before.
        let continues =
            listing && (change.len() == 1 || change.len() == 2 && live.any(change.start + 1, &["asc", "desc"]));
        listing = continues || lists_names(live, change.start);
        if continues {
            if table.protected
                && !table.allow_ddl
                && let Err(refusal) = depends(live, &table, change)
            {
                return refusal.into();
            }
            continue;
        }
        if table.protected
            && !table.allow_ddl
            && let Err(refusal) = check_change(live, &table, change)
        {
            return refusal.into();
        }
    }
    pass_ddl()
}

/// A change that may name several partitions or columns, with commas between.
fn lists_names(live: &Live<'_>, n: usize) -> bool {
    let partitions = ["drop", "truncate", "analyze", "check", "optimize", "rebuild", "repair"];
    live.is(n, "order") || live.any(n, &partitions) && live.is(n + 1, "partition")
}

/// What any table's change could do to a protected one.
fn other_tables(live: &Live<'_>, change: &Range<usize>) -> Result<(), Decision> {
    for k in change.clone() {
        if live.is(k, "references")
            && let Some(decision) = references(live, k + 1)
        {
            return Err(decision);
        }
    }
    let n = change.start;
    let other = if live.is(n, "rename") && !live.any(n + 1, &["column", "index", "key"]) {
        Some(if live.any(n + 1, &["to", "as"]) { n + 2 } else { n + 1 })
    } else if live.is(n, "exchange") {
        change.clone().find(|k| live.is(*k, "table")).map(|k| k + 1)
    } else {
        None
    };
    if live.is(n, "rename")
        && let Some(k) = other
        && let Some(decision) = hides(live, k, "a renamed table")
    {
        return Err(decision);
    }
    if let Some(k) = other
        && let Some(name) = live.qualified(k)
        && is_locked(live, &name)?
    {
        return Err(live
            .refuse(RefusalCode::ReplacesTable, format!("ALTER TABLE in place of {}", name.name), k)
            .into());
    }
    if live.is(n, "union")
        && let Some(k) = live.mention(change.clone())
    {
        return Err(live.refuse(RefusalCode::TableCopy, format!("a MERGE table over {}", live.shown(k)), k).into());
    }
    Ok(())
}

/// One change of a protected table.
fn check_change(live: &Live<'_>, table: &Table, change: Range<usize>) -> Result<(), Refusal> {
    let n = change.start;
    let say = |column: usize| format!("{}.{}", table.name, live.shown(column));
    let verb = String::from_utf8_lossy(live.source(n)).to_ascii_lowercase();
    // Partitioning follows the last change without a comma.
    if let Some(k) = change.clone().find(|k| live.is(*k, "partition") && live.is(k + 1, "by")) {
        depends(live, table, k..change.end)?;
    }
    match verb.as_str() {
        "add" => add(live, table, change),
        "drop" => {
            let not_column = ["index", "key", "primary", "foreign", "check", "constraint", "partition"];
            if live.any(n + 1, &not_column) {
                let at = if live.is(n + 1, "primary") { n + 1 } else { if_exists(live, n + 2) };
                return keeps_key(live, table, at);
            }
            if live.any(n + 1, &["system", "period"]) {
                return Err(live.refuse(RefusalCode::DdlNotUnderstood, "ALTER TABLE … DROP", n));
            }
            let at = if_exists(live, if live.is(n + 1, "column") { n + 2 } else { n + 1 });
            match live.name(at) {
                Some(name) if is_needed(table, &name) => Err(live.refuse(RefusalCode::DropsColumn, say(at), at)),
                Some(_) => Ok(()),
                None => Err(live.refuse(RefusalCode::DdlNotUnderstood, "ALTER TABLE … DROP", n)),
            }
        }
        "modify" | "change" => {
            let at = if_exists(live, if live.is(n + 1, "column") { n + 2 } else { n + 1 });
            let name = live.name(at).ok_or_else(|| live.refuse(RefusalCode::DdlNotUnderstood, "ALTER TABLE", n))?;
            let definition = if verb == "change" { at + 2 } else { at + 1 };
            let column = table.column(&name).filter(|c| c.bound || c.protected.is_some());
            if let Some(column) = column {
                let new_name = live.name(definition - 1).unwrap_or_default();
                if new_name.to_lowercase() != name.to_lowercase() {
                    return Err(live.refuse(RefusalCode::RenamesColumn, say(at), at));
                }
                if column.bound {
                    return Err(live.refuse(RefusalCode::RetypesColumn, say(at), at));
                }
                return definition_keeps(live, table, column, definition..change.end);
            }
            depends(live, table, definition..change.end)
        }
        "alter" => {
            if live.any(n + 1, &["index", "key", "check", "constraint"]) {
                return Ok(());
            }
            let at = if_exists(live, if live.is(n + 1, "column") { n + 2 } else { n + 1 });
            let protected = live.name(at).is_some_and(|name| is_protected(table, &name));
            let raw = live.is(at + 1, "set") && live.is(at + 2, "default") && !live.is(at + 3, "null");
            if protected && raw {
                Err(live.refuse(RefusalCode::ProtectedDefault, say(at), at))
            } else {
                depends(live, table, at + 1..change.end)
            }
        }
        "rename" => {
            if live.any(n + 1, &["index", "key"]) {
                return Ok(());
            }
            if live.is(n + 1, "column") {
                let at = if_exists(live, n + 2);
                let needed = live.name(at).is_some_and(|name| is_needed(table, &name));
                return if needed { Err(live.refuse(RefusalCode::RenamesColumn, say(at), at)) } else { Ok(()) };
            }
            Err(live.refuse(RefusalCode::ReplacesTable, format!("RENAME of {}", table.name), n))
        }
        "convert" if live.is(n + 1, "to") => {
            Err(live.refuse(RefusalCode::RetypesColumn, format!("CONVERT TO CHARACTER SET of {}", table.name), n))
        }
        "convert" => Err(live.refuse(RefusalCode::ReplacesTable, format!("CONVERT of {}", table.name), n)),
        "exchange" | "discard" | "import" => {
            Err(live.refuse(RefusalCode::ReplacesTable, format!("{} of {}", verb.to_uppercase(), table.name), n))
        }
        "engine" | "type" => {
            let at = if live.op(n + 1, "=") { n + 2 } else { n + 1 };
            let engine = live.name(at).unwrap_or_default().to_ascii_lowercase();
            if matches!(engine.as_str(), "innodb" | "myisam" | "aria" | "rocksdb" | "memory") {
                // Options may follow each other without commas.
                if at + 1 < change.end { check_change(live, table, at + 1..change.end) } else { Ok(()) }
            } else {
                Err(live.refuse(RefusalCode::DdlNotUnderstood, "this ENGINE for a protected table", n))
            }
        }
        "order" | "partition" => depends(live, table, change),
        "auto_increment"
        | "comment"
        | "row_format"
        | "key_block_size"
        | "algorithm"
        | "lock"
        | "force"
        | "default"
        | "character"
        | "charset"
        | "collate"
        | "enable"
        | "disable"
        | "truncate"
        | "analyze"
        | "check"
        | "optimize"
        | "rebuild"
        | "repair"
        | "coalesce"
        | "reorganize"
        | "remove"
        | "checksum"
        | "avg_row_length"
        | "max_rows"
        | "min_rows"
        | "pack_keys"
        | "delay_key_write"
        | "stats_auto_recalc"
        | "stats_persistent"
        | "stats_sample_pages"
        | "with"
        | "without"
        | "nowait"
        | "insert_method"
        | "page_checksum"
        | "transactional"
        | "autoextend_size"
        | "encryption"
        | "encrypted"
        | "compression"
        | "page_compressed"
        | "page_compression_level"
        | "encryption_key_id"
        | "tablespace"
        | "secondary_load" => {
            // Options may follow each other without commas.
            match change.clone().find(|k| live.any(*k, &["engine", "union", "connection", "type"])) {
                Some(k) => Err(live.refuse(RefusalCode::DdlNotUnderstood, "this combination of table options", k)),
                None => depends(live, table, change),
            }
        }
        "" if change.is_empty() => Ok(()),
        _ => Err(live.refuse(RefusalCode::DdlNotUnderstood, format!("this change of {}", table.name), n)),
    }
}

/// No expression of `range` may use a protected column; `AFTER column` may name it.
fn depends(live: &Live<'_>, table: &Table, range: Range<usize>) -> Result<(), Refusal> {
    for k in range.clone() {
        let after = k > range.start && live.is(k - 1, "after");
        if !after && protected_column_in(live, table, k..k + 1).is_some() {
            return Err(live.refuse(RefusalCode::DependsOnProtected, format!("{}.{}", table.name, live.shown(k)), k));
        }
    }
    Ok(())
}

fn add(live: &Live<'_>, table: &Table, change: Range<usize>) -> Result<(), Refusal> {
    let n = change.start + 1;
    if live.any(n, &["system", "period"]) {
        return Err(live.refuse(RefusalCode::DdlNotUnderstood, "ALTER TABLE … ADD", n));
    }
    let key = change
        .clone()
        .find(|k| live.any(*k, &["unique", "primary", "foreign", "index", "key", "fulltext", "spatial", "vector"]));
    let is_key = live.any(n, &["unique", "primary", "foreign", "index", "key", "fulltext", "spatial", "vector"])
        || (live.is(n, "constraint") && key.is_some());
    if is_key {
        let columns = change.start..change.clone().find(|k| live.is(*k, "references")).unwrap_or(change.end);
        return match unindexable_in(live, table, columns.clone().filter_parenthesised(live), change.clone()) {
            Some(k) => Err(live.refuse(RefusalCode::KeyOverProtected, format!("{}.{}", table.name, live.shown(k)), k)),
            None => Ok(()),
        };
    }
    let check = live.is(n, "check") || (live.is(n, "constraint") && change.clone().any(|k| live.is(k, "check")));
    if check && is_guard(live, table, change.clone()) {
        return Ok(());
    }
    depends(live, table, n..change.end)
}

/// The first protected column of `columns` that an index must not hold. `definition` is all of it: a plain
/// index (UNIQUE and PRIMARY among them) may hold searchable columns as they are, since equal values of
/// these are stored alike.
pub(super) fn unindexable_in(
    live: &Live<'_>,
    table: &Table,
    columns: Range<usize>,
    definition: Range<usize>,
) -> Option<usize> {
    let plain = !definition.clone().any(|k| live.any(k, &["fulltext", "spatial", "vector", "foreign", "references"]))
        // `((expression))`.
        && !definition.clone().any(|k| live.op(k, "(") && live.op(k + 1, "("))
        // `(function(column))`; a prefix length stands behind the column.
        && !columns.clone().any(|k| {
            live.op(k, "(") && k > columns.start && protected_column_in(live, table, k - 1..k).is_none()
                && protected_column_in(live, table, k + 1..live.closing(k)).is_some()
        });
    let unique = definition.clone().any(|k| live.any(k, &["unique", "primary"]));
    columns.clone().find(|k| {
        let named = live.name(*k).and_then(|name| table.column(&name)?.protected.clone());
        named.is_some_and(|column| {
            // While several versions of its key are live, equal values have different stored forms.
            let alike = live.ctx.versions.comparing(&column.scope.table) == Comparing::Whole;
            !(plain && column.searchable() && (alike || !unique))
        })
    })
}

/// The tokens from the first parenthesis on: an index may have the name of a column.
trait FromParenthesis {
    fn filter_parenthesised(self, live: &Live<'_>) -> Range<usize>;
}

impl FromParenthesis for Range<usize> {
    fn filter_parenthesised(self, live: &Live<'_>) -> Range<usize> {
        let start = self.clone().find(|k| live.op(*k, "(")).unwrap_or(self.start);
        start..self.end
    }
}

/// The constraint that `sealwire check` prints, to the letter but for spaces and the spelling of words: it
/// looks at the sealed form, not at the value. Anything else could compare with plaintext.
fn is_guard(live: &Live<'_>, table: &Table, range: Range<usize>) -> bool {
    let Some(open) = range.clone().find(|k| live.is(*k, "check")).map(|k| k + 1) else { return false };
    if !live.op(open, "(") || live.closing(open) != range.end {
        return false;
    }
    let body: Vec<Part> = (open + 1..range.end - 1).map(|k| Part::of(live, k)).collect();
    let guards = table.columns.iter().filter_map(|column| column.protected.as_ref()).flat_map(|column| {
        let name = format!("`{}`", column.name.replace('`', "``"));
        [guard_expression(&name, column.physical), mixed_guard_expression(&name, column.physical)]
    });
    guards.into_iter().any(|expression| {
        let mode = LexMode { sql_mode: SqlMode::default(), charset: Charset::Utf8mb4, ..live.statement.mode };
        let Ok(tokens) = lex(expression.as_bytes(), mode) else { return false };
        let all = statements(expression.as_bytes(), &tokens, mode);
        let [wanted] = all.as_slice() else { return false };
        let ctx = Context { sql_mode: mode.sql_mode, character_set_client: mode.charset, ..*live.ctx };
        let wanted = Live::new(wanted, &ctx);
        body.len() == wanted.len() && body.iter().enumerate().all(|(k, part)| *part == Part::of(&wanted, k))
    })
}

/// A token as far as the server tells it from others.
#[derive(PartialEq)]
enum Part {
    /// A name or keyword, without case and quotes.
    Name(String),
    Text(Vec<u8>),
    Bytes(Vec<u8>),
    Other(Vec<u8>),
}

impl Part {
    fn of(live: &Live<'_>, k: usize) -> Self {
        let source = live.source(k);
        match live.token(k).map(|token| token.kind) {
            Some(TokenKind::Word | TokenKind::QuotedIdent) => {
                Self::Name(live.name(k).unwrap_or_default().to_lowercase())
            }
            Some(TokenKind::String) if !matches!(source.first(), Some(b'n' | b'N')) => {
                Self::Text(literal::string(source, live.statement.mode).unwrap_or_default())
            }
            Some(TokenKind::Hex) => Self::Bytes(literal::hex(source).unwrap_or_default()),
            _ => Self::Other(source.to_vec()),
        }
    }
}

/// MODIFY or CHANGE of a protected column: the same family, at least as wide, no raw default.
fn definition_keeps(live: &Live<'_>, table: &Table, column: &Column, range: Range<usize>) -> Result<(), Refusal> {
    let here = format!("{}.{}", table.name, column.name);
    let refuse = |code, k| Err(live.refuse(code, here.clone(), k));
    let mut n = range.start;
    let Some((physical, capacity, next)) = column_type(live, n) else {
        return refuse(RefusalCode::RetypesColumn, n);
    };
    let Some(protected) = &column.protected else { return Ok(()) };
    if physical != protected.physical {
        return refuse(RefusalCode::RetypesColumn, n);
    }
    let current = match column.width {
        Width::Characters(width) | Width::Bytes(width) => width,
        Width::None => return refuse(RefusalCode::RetypesColumn, n),
    };
    if capacity < current {
        return refuse(RefusalCode::NarrowsColumn, n);
    }
    n = next;
    let mut not_null = false;
    while n < range.end {
        if live.is(n, "not") && live.is(n + 1, "null") {
            not_null = true;
            n += 2;
        } else if live.any(n, &["null", "first", "invisible", "visible"]) {
            n += 1;
        } else if live.is(n, "character") && live.is(n + 1, "set") {
            if !keeps_ascii(live.name(n + 2)) {
                return refuse(RefusalCode::RetypesColumn, n + 2);
            }
            n += 3;
        } else if live.any(n, &["charset", "collate"]) {
            if !keeps_ascii(live.name(n + 1)) {
                return refuse(RefusalCode::RetypesColumn, n + 1);
            }
            n += 2;
        } else if live.is(n, "after")
            || (live.is(n, "comment") && live.token(n + 1).is_some_and(|t| t.kind == TokenKind::String))
        {
            n += 2;
        } else if live.is(n, "default") {
            let same = match &column.default {
                ColumnDefault::Literal(text) => {
                    literal::string(live.source(n + 1), live.statement.mode).is_some_and(|s| s == text.as_bytes())
                }
                _ => false,
            };
            if !same && !live.is(n + 1, "null") {
                return refuse(RefusalCode::ProtectedDefault, n);
            }
            n += 2;
        } else if live.any(n, &["unique", "primary", "key", "references"]) {
            return refuse(RefusalCode::KeyOverProtected, n);
        } else if live.any(n, &["generated", "as"]) {
            return refuse(RefusalCode::DependsOnProtected, n);
        } else {
            return refuse(RefusalCode::DdlNotUnderstood, n);
        }
    }
    // Rows with NULL would become raw empty strings under a lenient sql_mode.
    if not_null && column.nullable {
        return refuse(RefusalCode::ProtectedDefault, range.start);
    }
    Ok(())
}

fn keeps_ascii(name: Option<String>) -> bool {
    let name = name.unwrap_or_default().to_ascii_lowercase();
    let charset = name.split('_').next().unwrap_or_default();
    matches!(charset, "ascii" | "latin1" | "utf8" | "utf8mb3" | "utf8mb4")
}

/// The type at token `n`: its stored form, its width in the type's own unit, and the token behind it.
fn column_type(live: &Live<'_>, n: usize) -> Option<(Physical, u64, usize)> {
    let name = String::from_utf8_lossy(live.source(n)).to_ascii_lowercase();
    let length = || -> Option<u64> {
        if live.op(n + 1, "(") && live.op(n + 3, ")") {
            std::str::from_utf8(live.source(n + 2)).ok()?.parse().ok()
        } else {
            None
        }
    };
    let fixed = |physical, width| if live.op(n + 1, "(") { None } else { Some((physical, width, n + 1)) };
    match name.as_str() {
        "varchar" | "char" | "character" if !live.is(n + 1, "varying") => Some((Physical::Text, length()?, n + 4)),
        "tinytext" => fixed(Physical::Text, 255),
        "text" => fixed(Physical::Text, 65_535),
        "mediumtext" => fixed(Physical::Text, 16_777_215),
        "longtext" => fixed(Physical::Text, 4_294_967_295),
        "varbinary" => Some((Physical::Binary, length()?, n + 4)),
        "tinyblob" => fixed(Physical::Binary, 255),
        "blob" => fixed(Physical::Binary, 65_535),
        "mediumblob" => fixed(Physical::Binary, 16_777_215),
        "longblob" => fixed(Physical::Binary, 4_294_967_295),
        _ => None,
    }
}
