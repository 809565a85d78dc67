//! One refresh: the `information_schema` pass. Two round trips whatever the size of the schema: what
//! may lead to a protected table, from all schemas; then the tables by name, because on MariaDB a
//! query over a whole schema opens each of its tables (measured: 16 ms for 500 against 1 ms).

use std::collections::{BTreeMap, BTreeSet};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row, Value};

use super::facts::*;
use super::{ServerFlavor, ServerVersion};
use crate::config::TableName;

/// The server's own schemas hold nothing of the application's, and MariaDB's `sys` a hundred views.
const NOT_SYSTEM: &str = "NOT IN ('sys', 'mysql', 'information_schema', 'performance_schema')";

/// Engines whose tables are windows on other tables.
const INDIRECT: &str = "'FEDERATED', 'SPIDER', 'CONNECT', 'MRG_MYISAM'";

/// What a connection says of the server once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Server {
    pub version: ServerVersion,
    pub lower_case_table_names: u8,
}

pub(super) async fn server(conn: &mut Conn) -> mysql_async::Result<Server> {
    let row: Option<(String, u8)> = conn.query_first("SELECT VERSION(), @@lower_case_table_names").await?;
    let (version, lower_case_table_names) = row.unwrap_or_default();
    Ok(Server { version: parse_version(&version), lower_case_table_names })
}

pub(super) async fn max_allowed_packet(conn: &mut Conn) -> mysql_async::Result<Option<usize>> {
    conn.query_first("SELECT @@GLOBAL.max_allowed_packet").await
}

/// `10.11.19-MariaDB-…` or `8.4.3`.
pub(super) fn parse_version(text: &str) -> ServerVersion {
    let flavor =
        if text.to_ascii_lowercase().contains("mariadb") { ServerFlavor::MariaDb } else { ServerFlavor::MySql };
    // Old MariaDB replication prefix.
    let text = text.strip_prefix("5.5.5-").unwrap_or(text);
    let mut parts =
        text.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u32>().unwrap_or(0).min(99)).chain([0, 0, 0]);
    let mut next = || parts.next().unwrap_or(0);
    ServerVersion { flavor, number: next() * 10_000 + next() * 100 + next() }
}

/// What may lead to one of `protected`.
pub(super) async fn objects(conn: &mut Conn, protected: &[TableName]) -> mysql_async::Result<Objects> {
    let foreign = foreign_keys_of(protected);
    let sql = format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME, VIEW_DEFINITION FROM information_schema.VIEWS WHERE TABLE_SCHEMA {NOT_SYSTEM}; \
         SELECT EVENT_OBJECT_SCHEMA, EVENT_OBJECT_TABLE, TRIGGER_NAME, ACTION_STATEMENT \
           FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA {NOT_SYSTEM}; \
         SELECT ROUTINE_SCHEMA, ROUTINE_NAME, ROUTINE_DEFINITION FROM information_schema.ROUTINES \
           WHERE ROUTINE_SCHEMA {NOT_SYSTEM}; \
         {foreign}"
    );
    let mut found = sets(conn, sql, 5).await?.into_iter();
    let mut next = || found.next().unwrap_or_default();
    let mut objects = Objects {
        views: next().into_iter().map(|mut c| ViewRow { name: c.name(0), definition: c.body(2) }).collect(),
        triggers: next()
            .into_iter()
            .map(|mut c| TriggerRow { table: c.name(0), name: c.text(2), body: c.body(3) })
            .collect(),
        routines: next()
            .into_iter()
            .map(|mut c| RoutineRow { schema: c.text(0), name: c.text(1), body: c.body(2) })
            .collect(),
        foreign_keys: foreign_keys(next(), next()),
    };
    // A cascade may come from further away: the parents' own parents, until there are no more.
    let mut seen: BTreeSet<TableName> = protected.iter().cloned().collect();
    loop {
        let parents = objects.foreign_keys.iter().filter(|key| key.writes()).map(|key| &key.parent);
        let further: BTreeSet<TableName> = parents.filter(|parent| !seen.contains(*parent)).cloned().collect();
        if further.is_empty() {
            break;
        }
        let names: Vec<TableName> = further.iter().cloned().collect();
        seen.extend(further);
        let mut found = sets(conn, foreign_keys_of(&names), 2).await?.into_iter();
        let mut next = || found.next().unwrap_or_default();
        objects.foreign_keys.extend(foreign_keys(next(), next()));
    }
    objects.views.sort();
    objects.triggers.sort();
    objects.routines.sort();
    objects.foreign_keys.sort();
    objects.foreign_keys.dedup();
    Ok(objects)
}

/// Two queries for the foreign keys by which `children` refer to other tables: columns, then rules. Not
/// a join: MariaDB opens every table of the server for the second table of a join.
fn foreign_keys_of(children: &[TableName]) -> String {
    format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, COLUMN_NAME, REFERENCED_TABLE_SCHEMA, \
             REFERENCED_TABLE_NAME, REFERENCED_COLUMN_NAME FROM information_schema.KEY_COLUMN_USAGE \
           WHERE REFERENCED_TABLE_NAME IS NOT NULL AND ({}); \
         SELECT CONSTRAINT_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, UPDATE_RULE \
           FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE {}",
        by_name("TABLE_SCHEMA", "TABLE_NAME", children),
        by_name("CONSTRAINT_SCHEMA", "TABLE_NAME", children),
    )
}

fn foreign_keys(columns: Vec<Cells>, rules: Vec<Cells>) -> Vec<ForeignKeyRow> {
    let rules: BTreeMap<(TableName, String), String> =
        rules.into_iter().map(|mut c| ((c.name(0), c.text(2)), c.text(3))).collect();
    let key = |mut c: Cells| {
        let (child, name) = (c.name(0), c.text(2));
        // A rule that cannot be seen may be any.
        let rule = rules.get(&(child.clone(), name.clone())).filter(|rule| !rule.is_empty());
        let on_update = rule.cloned().unwrap_or_else(|| "CASCADE".to_owned());
        ForeignKeyRow { child, name, column: c.text(3), parent: c.name(4), parent_column: c.text(6), on_update }
    };
    columns.into_iter().map(key).collect()
}

pub(super) struct Tables {
    pub tables: Vec<TableRow>,
    pub columns: Vec<ColumnRow>,
    pub index_parts: Vec<IndexRow>,
    /// An engine of [`INDIRECT`] other than MERGE is on.
    pub remote_engines: bool,
}

/// Tables and views by name. MariaDB compares names without case: the answer may hold more.
pub(super) async fn tables(conn: &mut Conn, server: Server, names: &[TableName]) -> mysql_async::Result<Tables> {
    let which = by_name("TABLE_SCHEMA", "TABLE_NAME", names);
    // Only MySQL has functional key parts, whose column name is NULL.
    let part = match server.version.flavor {
        ServerFlavor::MariaDb => "COLUMN_NAME",
        ServerFlavor::MySql => "COALESCE(COLUMN_NAME, CONCAT('(', EXPRESSION, ')'))",
    };
    let sql = format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, ENGINE FROM information_schema.TABLES WHERE {which}; \
         SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, CHARACTER_MAXIMUM_LENGTH, \
             CHARACTER_OCTET_LENGTH, CHARACTER_SET_NAME, COLLATION_NAME, IS_NULLABLE, COLUMN_DEFAULT, EXTRA, \
             GENERATION_EXPRESSION, COLUMN_COMMENT \
           FROM information_schema.COLUMNS WHERE {which} ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION; \
         SELECT TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, NON_UNIQUE, {part}, SUB_PART \
           FROM information_schema.STATISTICS WHERE {which} ORDER BY TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX; \
         SELECT ENGINE FROM information_schema.ENGINES WHERE SUPPORT IN ('YES', 'DEFAULT') \
           AND ENGINE IN ('FEDERATED', 'SPIDER', 'CONNECT')"
    );
    let mut sets = sets(conn, sql, 4).await?.into_iter();
    let mut next = || sets.next().unwrap_or_default();
    let mut tables: Vec<TableRow> =
        next().into_iter().map(|mut c| TableRow { name: c.name(0), kind: c.text(2), engine: c.maybe(3) }).collect();
    tables.sort();
    let columns = next()
        .into_iter()
        .map(|mut c| ColumnRow {
            table: c.name(0),
            name: c.text(2),
            data_type: c.text(3).to_ascii_lowercase(),
            column_type: c.text(4),
            characters: c.number(5),
            octets: c.number(6),
            charset: c.maybe(7),
            collation: c.maybe(8),
            nullable: c.text(9).eq_ignore_ascii_case("YES"),
            default: c.maybe(10),
            extra: c.text(11),
            generation: c.body(12),
            comment: c.text(13),
        })
        .collect();
    let index_parts = next()
        .into_iter()
        .map(|mut c| IndexRow {
            table: c.name(0),
            index: c.text(2),
            unique: c.text(3) == "0",
            column: c.text(4),
            prefix: c.number(5),
        })
        .collect();
    Ok(Tables { tables, columns, index_parts, remote_engines: !next().is_empty() })
}

/// Tables of engines that show other tables, with their definitions.
pub(super) async fn indirect(conn: &mut Conn) -> mysql_async::Result<Vec<IndirectRow>> {
    let sql = format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME, ENGINE FROM information_schema.TABLES \
         WHERE TABLE_SCHEMA {NOT_SYSTEM} AND UPPER(ENGINE) IN ({INDIRECT})"
    );
    let mut found = Vec::new();
    for mut cells in sets(conn, sql, 1).await?.into_iter().flatten() {
        let (name, engine) = (cells.name(0), cells.text(2));
        let sql = format!("SHOW CREATE TABLE {}.{}", quote(&name.schema), quote(&name.table));
        let create = match conn.query_first::<Row, _>(sql).await {
            Ok(row) => row.and_then(|row| Cells(row.unwrap_raw()).maybe(1)),
            Err(mysql_async::Error::Server(_)) => None,
            Err(error) => return Err(error),
        };
        found.push(IndirectRow { name, engine, create });
    }
    found.sort();
    Ok(found)
}

/// An identifier in backticks.
pub(super) fn quote(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A condition that both servers answer by opening the named tables alone. Names in it are literals
/// of an ordinary `sql_mode`, which the control link sets.
pub(super) fn by_name(schema_column: &str, table_column: &str, names: &[TableName]) -> String {
    let mut schemas: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for name in names {
        schemas.entry(&name.schema).or_default().push(literal(&name.table));
    }
    if schemas.is_empty() {
        return "FALSE".to_owned();
    }
    let parts: Vec<String> = schemas
        .iter()
        .map(|(schema, tables)| {
            format!("({schema_column} = {} AND {table_column} IN ({}))", literal(schema), tables.join(", "))
        })
        .collect();
    parts.join(" OR ")
}

pub(super) fn literal_list(words: &[&str]) -> String {
    words.iter().map(|word| literal(word)).collect::<Vec<_>>().join(", ")
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// Runs several statements in one round trip.
async fn sets(conn: &mut Conn, sql: String, count: usize) -> mysql_async::Result<Vec<Vec<Cells>>> {
    let mut result = conn.query_iter(sql).await?;
    let mut sets = Vec::with_capacity(count);
    for _ in 0..count {
        let rows: Vec<Row> = result.collect().await?;
        sets.push(rows.into_iter().map(|row| Cells(row.unwrap_raw())).collect());
    }
    result.drop_result().await?;
    Ok(sets)
}

/// One row's values, taken by position.
struct Cells(Vec<Option<Value>>);

impl Cells {
    fn maybe(&mut self, at: usize) -> Option<String> {
        match self.0.get_mut(at)?.take()? {
            Value::Bytes(bytes) => Some(match String::from_utf8(bytes) {
                Ok(text) => text,
                Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
            }),
            Value::Int(n) => Some(n.to_string()),
            Value::UInt(n) => Some(n.to_string()),
            _ => None,
        }
    }

    fn text(&mut self, at: usize) -> String {
        self.maybe(at).unwrap_or_default()
    }

    /// A body that the server leaves NULL or empty where the account may not see it.
    fn body(&mut self, at: usize) -> Option<String> {
        self.maybe(at).filter(|text| !text.is_empty())
    }

    fn number(&mut self, at: usize) -> Option<u64> {
        self.maybe(at)?.parse().ok()
    }

    /// Schema and table in two neighbouring columns.
    fn name(&mut self, at: usize) -> TableName {
        TableName::new(self.text(at), self.text(at + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_read_as_in_executable_comments() {
        let version = |text| parse_version(text);
        assert_eq!(version("8.4.3"), ServerVersion { flavor: ServerFlavor::MySql, number: 80403 });
        assert_eq!(version("9.7.4-2"), ServerVersion { flavor: ServerFlavor::MySql, number: 90704 });
        assert_eq!(
            version("10.11.19-MariaDB-0+deb12u1-log"),
            ServerVersion { flavor: ServerFlavor::MariaDb, number: 101_119 }
        );
        assert_eq!(version("5.5.5-10.6.2-MariaDB").number, 100_602);
        assert_eq!(version("").number, 0);
    }

    #[test]
    fn conditions_name_tables_by_schema_and_escape_them() {
        let names = [TableName::new("a", "x"), TableName::new("b", "y'\\"), TableName::new("a", "z")];
        assert_eq!(by_name("S", "T", &names), "(S = 'a' AND T IN ('x', 'z')) OR (S = 'b' AND T IN ('y''\\\\'))");
        assert_eq!(by_name("S", "T", &[]), "FALSE");
    }
}
