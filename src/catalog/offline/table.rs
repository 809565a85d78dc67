//! `CREATE TABLE` and `ALTER TABLE` into the rows that `information_schema` would show of them.

use super::create::full;
use crate::catalog::ServerFlavor;
use crate::catalog::facts::*;
use crate::config::TableName;
use crate::sql::lex::TokenKind;
use crate::sql::literal;
use crate::sql::live::Live;

/// One table's rows.
pub(super) struct Made {
    pub row: TableRow,
    pub columns: Vec<ColumnRow>,
    pub index_parts: Vec<IndexRow>,
    pub foreign_keys: Vec<ForeignKeyRow>,
}

/// What was not understood.
type Why = String;

/// `CREATE TABLE name`, from token `n` behind the name on.
pub(super) fn create(
    facts: &Facts,
    live: &Live<'_>,
    n: usize,
    name: &TableName,
    schema: Option<&str>,
) -> Result<Made, Why> {
    let like = if live.op(n, "(") && live.is(n + 1, "like") { n + 2 } else { n + 1 };
    if live.is(like.saturating_sub(1), "like") {
        return copy(facts, live, like, name, schema);
    }
    if !live.op(n, "(") {
        return Err("a list of columns was expected; CREATE TABLE ... SELECT is not followed".into());
    }
    let end = live.closing(n);
    let options = Options::of(live, end)?;
    let mut made = Made {
        row: TableRow {
            name: name.clone(),
            kind: "BASE TABLE".into(),
            engine: Some(options.engine.clone().unwrap_or_else(|| "InnoDB".into())),
        },
        columns: Vec::new(),
        index_parts: Vec::new(),
        foreign_keys: Vec::new(),
    };
    for item in live.list(n + 1..end.saturating_sub(1)) {
        definition(&mut made, live, item.start, item.end, name, schema, &options)?;
    }
    not_null_keys(&mut made.columns, &made.index_parts);
    Ok(made)
}

/// `CREATE TABLE name LIKE other`.
fn copy(facts: &Facts, live: &Live<'_>, n: usize, name: &TableName, schema: Option<&str>) -> Result<Made, Why> {
    let other = live.qualified(n).and_then(|name| full(&name, schema)).ok_or("LIKE what?")?;
    let row =
        facts.tables.iter().find(|row| row.name == other).ok_or_else(|| format!("LIKE {other}, not known here"))?;
    let columns = facts.columns.iter().filter(|row| row.table == other);
    let parts = facts.index_parts.iter().filter(|row| row.table == other);
    Ok(Made {
        row: TableRow { name: name.clone(), ..row.clone() },
        columns: columns.map(|row| ColumnRow { table: name.clone(), ..row.clone() }).collect(),
        index_parts: parts.map(|row| IndexRow { table: name.clone(), ..row.clone() }).collect(),
        foreign_keys: Vec::new(),
    })
}

/// `ALTER TABLE name`, from token `n` on: additions and changes of single columns and keys; what changes no
/// column passes.
pub(super) fn alter(
    facts: &mut Facts,
    live: &Live<'_>,
    n: usize,
    name: &TableName,
    schema: Option<&str>,
) -> Result<(), Why> {
    if !facts.tables.iter().any(|row| row.name == *name) {
        return Err("the table is not known here".into());
    }
    for item in live.list(n..live.len()) {
        let (mut k, end) = (item.start, item.end);
        let mut made = Made {
            row: TableRow { name: name.clone(), kind: String::new(), engine: None },
            columns: Vec::new(),
            index_parts: Vec::new(),
            foreign_keys: Vec::new(),
        };
        // Another default of the table is not kept: a column added later may differ in its collation.
        let options = Options::default();
        if live.any(k, &["auto_increment", "comment", "disable", "enable", "order", "row_format", "algorithm", "lock"])
        {
            continue;
        }
        if live.is(k, "add") {
            k += 1;
            let keyword = live.any(
                k,
                &["constraint", "primary", "unique", "key", "index", "fulltext", "spatial", "foreign", "check"],
            );
            if live.is(k, "column") {
                k += 1;
            }
            k = skip_if_exists(live, k);
            if !keyword && live.op(k, "(") {
                for column in live.list(k + 1..live.closing(k).saturating_sub(1)) {
                    definition(&mut made, live, column.start, column.end, name, schema, &options)?;
                }
            } else {
                let place = live.find(k + 1, &["after", "first"]).filter(|at| *at < end && !keyword);
                definition(&mut made, live, k, place.unwrap_or(end), name, schema, &options)?;
                if let (Some(place), Some(column)) = (place, made.columns.pop()) {
                    let at = facts.columns.iter().position(|row| {
                        let behind = live.name(place + 1).filter(|_| live.is(place, "after"));
                        row.table == *name && behind.is_none_or(|behind| row.name.eq_ignore_ascii_case(&behind))
                    });
                    let at = at.ok_or("AFTER a column that is not known here")?;
                    facts.columns.insert(at + usize::from(live.is(place, "after")), column);
                }
            }
            facts.columns.append(&mut made.columns);
        } else if live.any(k, &["modify", "change"]) {
            let change = live.is(k, "change");
            k += 1;
            if live.is(k, "column") {
                k += 1;
            }
            k = skip_if_exists(live, k);
            let old = live.name(k).ok_or("MODIFY what?")?;
            if change {
                k += 1;
            }
            let place = live.find(k + 1, &["after", "first"]).filter(|at| *at < end);
            if place.is_some() {
                return Err("a column that moves is not followed".into());
            }
            definition(&mut made, live, k, end, name, schema, &options)?;
            let new = made.columns.pop().ok_or("MODIFY to what?")?;
            let row = facts.columns.iter_mut().find(|row| row.table == *name && row.name.eq_ignore_ascii_case(&old));
            *row.ok_or_else(|| format!("column {old} is not known here"))? = new;
        } else {
            return Err("this change is not followed: give the DDL of the final state".into());
        }
        facts.index_parts.append(&mut made.index_parts);
        facts.objects.foreign_keys.append(&mut made.foreign_keys);
    }
    let parts = facts.index_parts.clone();
    not_null_keys(&mut facts.columns, &parts);
    Ok(())
}

fn skip_if_exists(live: &Live<'_>, k: usize) -> usize {
    match (live.is(k, "if"), live.is(k + 1, "not")) {
        (true, true) => k + 3,
        (true, false) => k + 2,
        _ => k,
    }
}

/// A primary key makes its columns NOT NULL.
fn not_null_keys(columns: &mut [ColumnRow], parts: &[IndexRow]) {
    for part in parts.iter().filter(|part| part.index == "PRIMARY") {
        for row in columns.iter_mut().filter(|row| row.table == part.table) {
            if row.name.eq_ignore_ascii_case(&part.column) {
                row.nullable = false;
            }
        }
    }
}

/// What of a table's options matters.
#[derive(Default)]
struct Options {
    engine: Option<String>,
    charset: Option<String>,
    collation: Option<String>,
}

impl Options {
    fn of(live: &Live<'_>, from: usize) -> Result<Self, Why> {
        let mut options = Self::default();
        let mut n = from;
        while n < live.len() {
            let skip = |k: usize| if live.op(k, "=") { k + 1 } else { k };
            if live.any(n, &["partition", "union"]) {
                break;
            }
            if live.any(n, &["select", "as", "values", "table"]) {
                return Err("CREATE TABLE ... SELECT is not followed".into());
            }
            if live.is(n, "engine") {
                n = skip(n + 1);
                options.engine = word(live, n);
            } else if live.any(n, &["charset"]) || live.is(n, "character") && live.is(n + 1, "set") {
                n = skip(if live.is(n, "charset") { n + 1 } else { n + 2 });
                options.charset = word(live, n).map(|name| name.to_ascii_lowercase());
            } else if live.is(n, "collate") {
                n = skip(n + 1);
                options.collation = word(live, n).map(|name| name.to_ascii_lowercase());
            }
            n += 1;
        }
        Ok(options)
    }
}

/// A name that may be given as a string.
fn word(live: &Live<'_>, n: usize) -> Option<String> {
    if live.token(n)?.kind == TokenKind::String {
        let bytes = literal::string(live.source(n), live.statement.mode)?;
        return Some(String::from_utf8_lossy(&bytes).into_owned());
    }
    live.name(n)
}

/// One item between the parentheses of CREATE TABLE: a column, a key or a constraint.
fn definition(
    made: &mut Made,
    live: &Live<'_>,
    from: usize,
    end: usize,
    table: &TableName,
    schema: Option<&str>,
    options: &Options,
) -> Result<(), Why> {
    let quoted = live.token(from).is_some_and(|t| t.kind == TokenKind::QuotedIdent);
    let mut n = from;
    let mut symbol = String::new();
    if !quoted {
        if live.is(n, "period") && live.is(n + 1, "for") {
            return Ok(());
        }
        if live.is(n, "constraint") {
            n += 1;
            if !live.any(n, &["primary", "unique", "foreign", "check"]) {
                symbol = live.name(n).unwrap_or_default();
                n += 1;
            }
        }
        if live.is(n, "check") {
            return Ok(());
        }
        if live.is(n, "foreign") {
            return foreign_key(made, live, n, end, table, schema, symbol);
        }
        let unique = live.any(n, &["primary", "unique"]);
        if unique || live.any(n, &["key", "index", "fulltext", "spatial", "vector"]) {
            let open = (n..end).find(|k| live.op(*k, "(")).ok_or("a key without columns")?;
            let kind =
                |k: &usize| !live.any(*k, &["primary", "unique", "key", "index", "fulltext", "spatial", "vector"]);
            let name = match (n..open).find(kind).filter(|k| !live.is(*k, "using")).and_then(|k| live.name(k)) {
                _ if live.is(n, "primary") => "PRIMARY".to_owned(),
                Some(name) => name,
                None if symbol.is_empty() => live.name(open + 1).unwrap_or_default(),
                None => symbol,
            };
            made.index_parts.extend(key_parts(live, open, table, &name, unique)?);
            return Ok(());
        }
    }
    column(made, live, n, end, table, options)
}

/// The columns of a key, from its parenthesis on.
pub(super) fn key_parts(
    live: &Live<'_>,
    open: usize,
    table: &TableName,
    index: &str,
    unique: bool,
) -> Result<Vec<IndexRow>, Why> {
    let open = (open..live.len()).find(|k| live.op(*k, "(")).ok_or("a key without columns")?;
    let parts = live.list(open + 1..live.closing(open).saturating_sub(1)).into_iter().map(|part| {
        let column = match live.name(part.start) {
            Some(name) => name,
            None => format!("({})", text(live, part.start, part.end)),
        };
        let prefix = if live.op(part.start + 1, "(") { number(live, part.start + 2) } else { None };
        IndexRow { table: table.clone(), index: index.to_owned(), unique, column, prefix }
    });
    Ok(parts.collect())
}

fn foreign_key(
    made: &mut Made,
    live: &Live<'_>,
    n: usize,
    end: usize,
    table: &TableName,
    schema: Option<&str>,
    symbol: String,
) -> Result<(), Why> {
    let open = (n..end).find(|k| live.op(*k, "(")).ok_or("FOREIGN KEY without columns")?;
    let close = live.closing(open);
    let columns: Vec<String> =
        live.list(open + 1..close.saturating_sub(1)).iter().filter_map(|c| live.name(c.start)).collect();
    let parent =
        live.qualified(close + 1).filter(|_| live.is(close, "references")).ok_or("FOREIGN KEY without REFERENCES")?;
    let parent_open = parent.next;
    let parent_close = live.closing(parent_open);
    let parent_columns: Vec<String> =
        live.list(parent_open + 1..parent_close.saturating_sub(1)).iter().filter_map(|c| live.name(c.start)).collect();
    let parent = full(&parent, schema).ok_or("REFERENCES a table of no schema")?;
    let rule = (parent_close..end)
        .find(|k| live.is(*k, "on") && live.is(k + 1, "update"))
        .map(|k| if live.is(k + 2, "set") { format!("SET {}", live.shown(k + 3)) } else { live.shown(k + 2) });
    let on_update = rule.unwrap_or_else(|| "NO ACTION".to_owned()).to_ascii_uppercase();
    for (column, parent_column) in columns.into_iter().zip(parent_columns) {
        made.foreign_keys.push(ForeignKeyRow {
            child: table.clone(),
            name: symbol.clone(),
            column,
            parent: parent.clone(),
            parent_column,
            on_update: on_update.clone(),
        });
    }
    Ok(())
}

fn column(
    made: &mut Made,
    live: &Live<'_>,
    n: usize,
    end: usize,
    table: &TableName,
    options: &Options,
) -> Result<(), Why> {
    let name = live.name(n).ok_or("a column's name was expected")?;
    let mut kind = live
        .name(n + 1)
        .filter(|_| n + 1 < end)
        .ok_or_else(|| format!("column {name} has no type"))?
        .to_ascii_lowercase();
    let mut k = n + 2;
    if kind == "national" {
        kind = live.shown(k).to_ascii_lowercase();
        k += 1;
    }
    if live.is(k, "varying") {
        kind = format!("var{}", if kind == "binary" { "binary" } else { "char" });
        k += 1;
    }
    if kind == "double" && live.is(k, "precision") {
        k += 1;
    }
    if kind == "long" {
        let binary = live.is(k, "varbinary");
        k += usize::from(live.any(k, &["varchar", "varbinary", "varcharacter"]));
        kind = if binary { "mediumblob" } else { "mediumtext" }.to_owned();
    }
    let kind = match kind.as_str() {
        "character" | "nchar" => "char",
        "varcharacter" | "nvarchar" => "varchar",
        "integer" | "int4" => "int",
        "bool" | "boolean" => "tinyint",
        "dec" | "numeric" | "fixed" => "decimal",
        "real" => "double",
        "serial" => "bigint",
        other => other,
    }
    .to_owned();
    let mut arguments = None;
    if live.op(k, "(") {
        let close = live.closing(k);
        arguments = number(live, k + 1);
        k = close;
    }
    let length = arguments.or(if matches!(kind.as_str(), "char" | "binary") { Some(1) } else { None });
    let shown = if k > n + 2 { text(live, n + 1, k).to_ascii_lowercase().replace(' ', "") } else { kind.clone() };
    let characters = if matches!(kind.as_str(), "char" | "varchar" | "binary" | "varbinary") { length } else { None };
    let mut row = ColumnRow {
        table: table.clone(),
        name: name.clone(),
        data_type: kind.clone(),
        column_type: shown,
        characters,
        octets: characters,
        charset: None,
        collation: None,
        nullable: true,
        default: None,
        extra: String::new(),
        generation: None,
        comment: String::new(),
    };
    let (mut charset, mut collation) = (None, None);
    let mut default = None;
    while k < end {
        if live.any(
            k,
            &[
                "unsigned",
                "signed",
                "zerofill",
                "ascii",
                "unicode",
                "byte",
                "virtual",
                "stored",
                "persistent",
                "visible",
                "null",
                "enforced",
                "compressed",
                "enable",
                "disable",
            ],
        ) {
            k += 1;
        } else if live.is(k, "binary") {
            collation = Some("binary collation".to_owned());
            k += 1;
        } else if live.is(k, "character") && live.is(k + 1, "set") {
            charset = word(live, k + 2).map(|name| name.to_ascii_lowercase());
            k += 3;
        } else if live.is(k, "charset") {
            charset = word(live, k + 1).map(|name| name.to_ascii_lowercase());
            k += 2;
        } else if live.is(k, "collate") {
            collation = word(live, k + 1).map(|name| name.to_ascii_lowercase());
            k += 2;
        } else if live.is(k, "not") && live.is(k + 1, "null") {
            row.nullable = false;
            k += 2;
        } else if live.is(k, "not") && live.is(k + 1, "enforced") {
            k += 2;
        } else if live.is(k, "auto_increment") {
            row.extra.push_str("auto_increment");
            k += 1;
        } else if live.is(k, "invisible") {
            row.extra.push_str(" INVISIBLE");
            k += 1;
        } else if live.any(k, &["unique", "primary", "key"]) {
            let primary = live.any(k, &["primary", "key"]);
            let index = if primary { "PRIMARY".to_owned() } else { name.clone() };
            made.index_parts.push(IndexRow {
                table: table.clone(),
                index,
                unique: true,
                column: name.clone(),
                prefix: None,
            });
            row.nullable &= !primary;
            k += if !live.is(k, "key") && live.is(k + 1, "key") { 2 } else { 1 };
        } else if live
            .any(k, &["comment", "column_format", "storage", "srid", "engine_attribute", "secondary_engine_attribute"])
        {
            if live.is(k, "comment") {
                row.comment = word(live, k + 1).unwrap_or_default();
            }
            k += if live.op(k + 1, "=") { 3 } else { 2 };
        } else if live.is(k, "on") && live.is(k + 1, "update") {
            k = behind_value(live, k + 2);
        } else if live.is(k, "default") {
            let next = behind_value(live, k + 1);
            default = Some((k + 1, next));
            k = next;
        } else if live.is(k, "generated") && live.is(k + 1, "always") {
            k += 2;
        } else if live.is(k, "as") && live.op(k + 1, "(") {
            k = live.closing(k + 1);
            row.generation = Some(text(live, k.saturating_sub(1), k));
        } else if live.is(k, "as") && live.is(k + 1, "row") {
            k += 3;
        } else if live.is(k, "check") && live.op(k + 1, "(") {
            k = live.closing(k + 1);
        } else if live.is(k, "constraint") {
            k += if live.is(k + 1, "check") { 1 } else { 2 };
        } else if live.is(k, "references") {
            // InnoDB ignores it in MySQL; MariaDB heeds it. No cascade but an explicit one writes.
            let Some(parent) = live.qualified(k + 1) else { return Err(format!("column {name}: REFERENCES what?")) };
            if (k..end)
                .any(|at| live.is(at, "on") && live.is(at + 1, "update") && live.any(at + 2, &["cascade", "set"]))
            {
                return Err(format!("column {name}: ON UPDATE beside a column is not followed; write FOREIGN KEY"));
            }
            k = if live.op(parent.next, "(") { live.closing(parent.next) } else { parent.next };
            while live.any(k, &["on", "match"]) {
                k += if live.is(k, "match") {
                    2
                } else if live.any(k + 2, &["set", "no"]) {
                    4
                } else {
                    3
                };
            }
        } else if live.any(k, &["with", "without"]) && live.is(k + 1, "system") {
            k += 3;
        } else {
            return Err(format!("column {name}: `{}` is not understood", live.shown(k)));
        }
    }
    text_columns(&mut row, charset, collation, options, live.ctx.catalog.version.flavor);
    set_default(&mut row, live, default);
    made.columns.push(row);
    Ok(())
}

/// Character set and collation of a text column, from itself or from its table.
fn text_columns(
    row: &mut ColumnRow,
    charset: Option<String>,
    collation: Option<String>,
    options: &Options,
    flavor: ServerFlavor,
) {
    if !matches!(
        row.data_type.as_str(),
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "enum" | "set"
    ) {
        return;
    }
    let own = charset.is_some() || collation.as_deref().is_some_and(|name| name != "binary collation");
    let of = |collation: &str| collation.split('_').next().unwrap_or_default().to_owned();
    let (charset, named) = if own {
        (charset.clone().or_else(|| collation.as_deref().map(of)), collation.clone())
    } else {
        let inherited = options.charset.clone().or_else(|| options.collation.as_deref().map(of));
        (inherited, options.collation.clone())
    };
    let charset = charset.unwrap_or_else(|| "utf8mb4".to_owned());
    let collated = match named {
        _ if collation.as_deref() == Some("binary collation") => format!("{charset}_bin"),
        Some(name) => name,
        None => match (charset.as_str(), flavor) {
            ("utf8mb4", ServerFlavor::MySql) => "utf8mb4_0900_ai_ci".to_owned(),
            ("latin1", _) => "latin1_swedish_ci".to_owned(),
            ("binary", _) => "binary".to_owned(),
            (other, _) => format!("{other}_general_ci"),
        },
    };
    (row.charset, row.collation) = (Some(charset), Some(collated));
}

/// A default as the server's `information_schema` prints it.
fn set_default(row: &mut ColumnRow, live: &Live<'_>, range: Option<(usize, usize)>) {
    let mariadb = live.ctx.catalog.version.flavor == ServerFlavor::MariaDb;
    let Some((from, to)) = range else {
        row.default = (mariadb && row.nullable).then(|| "NULL".to_owned());
        return;
    };
    if live.is(from, "null") {
        row.default = mariadb.then(|| "NULL".to_owned());
        return;
    }
    let source = text(live, from, to);
    let string = live.token(from).is_some_and(|t| t.kind == TokenKind::String) && to == from + 1;
    let number = live.token(to.saturating_sub(1)).is_some_and(|t| t.kind == TokenKind::Number)
        && (from..to).all(|k| live.op(k, "-") || live.op(k, "+") || k + 1 == to);
    if string {
        let value = word(live, from).unwrap_or_default();
        row.default =
            Some(if mariadb { format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''")) } else { value });
    } else {
        if !number && !mariadb {
            row.extra.push_str(" DEFAULT_GENERATED");
        }
        row.default = Some(source);
    }
}

/// Behind a literal, a signed number, a function with or without parentheses, or an expression in them.
fn behind_value(live: &Live<'_>, mut n: usize) -> usize {
    while live.op(n, "-") || live.op(n, "+") {
        n += 1;
    }
    if live.op(n, "(") {
        return live.closing(n);
    }
    // `_utf8mb4'x'`
    let introduced = live.source(n).first() == Some(&b'_');
    n += if introduced { 2 } else { 1 };
    if live.op(n, "(") { live.closing(n) } else { n }
}

fn number(live: &Live<'_>, n: usize) -> Option<u64> {
    std::str::from_utf8(live.source(n)).ok()?.parse().ok()
}

/// The text from token `from` to before token `to`.
fn text(live: &Live<'_>, from: usize, to: usize) -> String {
    let start = live.token(from).map_or(0, |t| t.start());
    let end = to.checked_sub(1).and_then(|n| live.token(n)).map_or(start, |t| t.end());
    String::from_utf8_lossy(live.statement.slice(start..end.max(start))).into_owned()
}
