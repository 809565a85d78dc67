//! Columns with a declared type: beside a plain twin of that type, the application cannot tell which of
//! the two is protected.

use std::collections::HashMap;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Value};

use crate::on_every_server;
use crate::support::{Answer, Proxy, Schema, answer};

pub const TYPES: &[&str] = &[
    "tinyint(1)",
    "tinyint",
    "tinyint unsigned",
    "smallint",
    "mediumint unsigned",
    "int",
    "int unsigned",
    "bigint",
    "bigint unsigned",
    "decimal(10,2)",
    "decimal(5,5)",
    "decimal(20,0) unsigned",
    "decimal(65,30)",
    "float",
    "float unsigned",
    "double",
    "date",
    "datetime",
    "datetime(2)",
    "datetime(6)",
    "time",
    "time(3)",
    "year",
    "char(5)",
    "varchar(10)",
    "tinytext",
    "text",
    "longtext",
    "binary(4)",
    "varbinary(10)",
    "tinyblob",
    "blob",
    "longblob",
    "enum('a','bbb','7')",
    "set('a','b','c')",
    "bit(1)",
    "bit(9)",
    "json",
];

/// A table `twin` of plain columns `c0`, `c1` … and a table `sealed` of protected ones.
async fn tables(schema: &Schema, direct: &mut Conn, attribute: &str) -> Proxy {
    let columns = |physical: Option<&str>| {
        let columns =
            TYPES.iter().enumerate().map(|(n, declared)| format!("c{n} {} {attribute}", physical.unwrap_or(declared)));
        columns.collect::<Vec<_>>().join(", ")
    };
    for (table, physical) in [("twin", None), ("sealed", Some("text CHARACTER SET ascii COLLATE ascii_bin"))] {
        let sql = format!(
            "CREATE TABLE {table} (id int PRIMARY KEY, {}) DEFAULT CHARACTER SET utf8mb4 ROW_FORMAT=DYNAMIC",
            columns(physical)
        );
        direct.query_drop(sql).await.unwrap();
    }
    let mut builder = Proxy::builder(schema);
    for (n, declared) in TYPES.iter().enumerate() {
        builder = builder.column("sealed", &format!("c{n}"), &format!("{{ type: \"{declared}\" }}"));
    }
    builder.start()
}

/// Literals of every kind, good and bad for every type.
const LITERALS: &[&str] = &[
    "NULL",
    "''",
    "' '",
    "'abc'",
    "'1abc'",
    "' 12 '",
    "'1.5'",
    "'-1.5'",
    "'2.5'",
    "2.5",
    "-2.5",
    "1.5e0",
    "2.5e0",
    "'1e2'",
    "'1e30'",
    "'1e400'",
    "'1e'",
    "'.'",
    "'.5'",
    "'1.'",
    "'+5'",
    "'-'",
    "'- 1'",
    "'0x10'",
    "0x10",
    "x'31'",
    "b'11'",
    "'-0'",
    "-0",
    "0",
    "1",
    "2",
    "7",
    "300",
    "-300",
    "-1",
    "1e30",
    "'1 2'",
    "'\\t7\\n'",
    "'9223372036854775808'",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "TRUE",
    "FALSE",
    "_binary'5'",
    "_utf8mb4 x'35'",
    "0x112233445566778899",
    "0.00001234567",
    "123456.789",
    "1234567.89",
    "0.1",
    "16777217",
    "1.17549e-40",
    "3.4028235e38",
    "1e39",
    "-0.0",
    "1e15",
    "1e14",
    "100000000000000000000",
    "0.005",
    "0.015",
    "99999999.994",
    "99999999.995",
    "-99999999.995",
    "'99999999.995'",
    "'inf'",
    "'nan'",
    "1.2345678901234567e-5",
    "12345678901234567890123456789012345.123456789012345678901234567891",
    "'2026-01-02'",
    "'2026-1-2'",
    "'26-1-2'",
    "'20260102'",
    "20260102",
    "260102",
    "'2026/01/02'",
    "'2026-01-02 03:04:05'",
    "'2026-01-02T03:04:05'",
    "'2026-01-02 3:4:5'",
    "'2026-01-02 03:04'",
    "'2026-01-02 03:04:05.1234567'",
    "'2026-01-02 23:59:59.9999995'",
    "'2026-01-02 23:59:59.5'",
    "'2026-12-31 23:59:59.995'",
    "'9999-12-31 23:59:59.999999'",
    "20260102030405",
    "'20260102030405'",
    "'2026-02-30'",
    "'2026-13-01'",
    "'0000-00-00'",
    "'0000-00-00 00:00:00'",
    "'2026-00-10'",
    "'2026-01-00'",
    "'2026-01-02x'",
    "'2026-01-02 03:04:05+00:00'",
    "'2026-01-02 03:04:05Z'",
    "'2026-01-02 '",
    "' 2026-01-02'",
    "'2026-01-02 25:00:00'",
    "'10000-01-01'",
    "'0001-01-01'",
    "'2024-02-29'",
    "'2023-02-29'",
    "'1900-02-29'",
    "'2000-02-29'",
    "'12:34:56'",
    "'12:34'",
    "'-12:34:56'",
    "'1 02:03:04'",
    "'838:59:59'",
    "'839:00:00'",
    "'-839:00:00'",
    "'12:34:56.5'",
    "'12:34:56.123456'",
    "'12:34:56.9999995'",
    "'123456'",
    "123456",
    "'12'",
    "12",
    "-12",
    "'12:60:00'",
    "'12:34:56x'",
    "'1:2:3'",
    "'-00:00:00'",
    "'100:00:00'",
    "8385959",
    "8390000",
    "126000",
    "'838:59:59.5'",
    "2026",
    "'2026'",
    "26",
    "'70'",
    "70",
    "'0'",
    "'00'",
    "'0000'",
    "1900",
    "2155",
    "2156",
    "'2026x'",
    "2026.4",
    "'2e3'",
    "100",
    "'abcdef'",
    "'abc   '",
    "'abc          '",
    "12345",
    "1.50",
    "1e3",
    "'ééééé'",
    "'éééééé'",
    "0x4142",
    "x'414243444546'",
    "'😀'",
    "x'00'",
    "x'00ff'",
    "'a'",
    "'A'",
    "'bbb '",
    "' a'",
    "'x'",
    "'3'",
    "'é'",
    "'ab'",
    "'a,c'",
    "'C,a'",
    "'a,a'",
    "'a,x'",
    "','",
    "5",
    "8",
    "'5'",
    "511",
    "512",
    "b'101'",
    "0x1ff",
    "0x200",
    "0x000001",
    "'{}'",
    "'{\"b\":1,\"a\": 2}'",
    "'[1, 2.0,1e5, \"x\"]'",
    "'null'",
    "'\"é\\\\u00e9\\\\ud83d\\\\ude00\"'",
    "'{\"a\":1,\"a\":2}'",
    "'[1,'",
    "' [1] '",
    "'{\"bb\":1,\"a\":[true,false,null],\"\":{}}'",
    "'12345678901234567890123'",
    "'1.10'",
    "'-0.5e-3'",
    "'0.1e-6'",
    "'1e15'",
    "'1e14'",
    "'18446744073709551615'",
    "'-0'",
    "'01'",
    "'\"a\\\\/b\\\\t\\\\n\\\\u0001\\\\\\\\\"'",
    "'\"\"'",
    "'[1]x'",
    "'nul'",
];

fn not_utf8() -> Value {
    Value::Bytes(vec![1, 0xFF])
}

/// Bound values of every kind of the binary protocol.
fn bound() -> Vec<Value> {
    let mut values = vec![Value::NULL];
    for text in [
        "",
        " ",
        "abc",
        "1abc",
        " 12 ",
        "1.5",
        "-1.5",
        "2.5",
        "1e2",
        "1e30",
        ".5",
        "+5",
        "-",
        "-0",
        "0",
        "1",
        "300",
        "-300",
        "9223372036854775808",
        "0.005",
        "99999999.995",
        "2026-01-02",
        "2026-1-2",
        "20260102",
        "2026-01-02 03:04:05",
        "2026-01-02 23:59:59.5",
        "2026-01-02 03:04:05.123456",
        "2026-02-30",
        "0000-00-00",
        "2026-00-10",
        "2026-01-02x",
        "12:34:56",
        "-12:34:56.5",
        "838:59:59",
        "839:00:00",
        "12:60:00",
        "2026",
        "70",
        "0000",
        "abcdef",
        "abc   ",
        "ééééé",
        "😀",
        "a",
        "A",
        "bbb ",
        "x",
        "3",
        "é",
        "a,c",
        "C,a",
        "a,x",
        "12345678901",
    ] {
        values.push(Value::Bytes(text.as_bytes().to_vec()));
    }
    values.push(not_utf8());
    for number in [
        0,
        1,
        2,
        7,
        -1,
        127,
        128,
        -129,
        300,
        511,
        512,
        2026,
        1900,
        123_456,
        8_390_000,
        20_260_102,
        20_260_102_030_405,
        i64::MIN,
        i64::MAX,
    ] {
        values.push(Value::Int(number));
    }
    values.push(Value::UInt(u64::MAX));
    for number in [
        0.0,
        -0.0,
        1.5,
        2.5,
        -2.5,
        0.1,
        1e10,
        1e15,
        1e20,
        1e39,
        1.23456789e-7,
        0.005,
        99_999_999.995,
        2026.0,
        16_777_217.0,
        f64::MAX,
    ] {
        values.push(Value::Double(number));
    }
    for number in [0.0f32, 0.1, 1.5, -2.5, 16_777_216.0, 3.4e38] {
        values.push(Value::Float(number));
    }
    values.extend([
        Value::Date(0, 0, 0, 0, 0, 0, 0),
        Value::Date(2026, 1, 2, 0, 0, 0, 0),
        Value::Date(2026, 1, 2, 3, 4, 5, 0),
        Value::Date(2026, 12, 31, 23, 59, 59, 999_999),
        Value::Date(2026, 1, 2, 3, 4, 5, 123_456),
        Value::Date(2026, 2, 30, 0, 0, 0, 0),
        Value::Date(2026, 0, 10, 0, 0, 0, 0),
        Value::Date(9999, 12, 31, 23, 59, 59, 999_999),
        Value::Time(false, 0, 0, 0, 0, 0),
        Value::Time(false, 0, 1, 2, 3, 0),
        Value::Time(true, 1, 2, 3, 4, 500_000),
        Value::Time(false, 34, 22, 59, 59, 0),
        Value::Time(false, 34, 22, 59, 59, 999_999),
        Value::Time(false, 35, 0, 0, 0, 0),
    ]);
    values
}

const MODES: &[&str] = &["STRICT_ALL_TABLES", "", "TRADITIONAL", "STRICT_TRANS_TABLES,ALLOW_INVALID_DATES"];

/// Beyond strict or not, modes change what is a date.
fn concerns(mode: &str, declared: &str) -> bool {
    matches!(mode, "" | "STRICT_ALL_TABLES") || declared.contains("date") || declared.contains("time")
}

/// What an INSERT came to: stored, the server's error, or Sealwire's own.
#[derive(Debug, PartialEq)]
enum Outcome {
    Stored,
    Error(u16),
    Refused(String),
}

async fn insert(conn: &mut Conn, statement: &str) -> Outcome {
    outcome(answer(conn, statement).await)
}

/// A statement of its own for each value: MySQL 9.7 keeps the type that a parameter was bound with first.
async fn execute(conn: &mut Conn, table: &str, column: usize, id: usize, value: &Value) -> Outcome {
    let sql = format!("INSERT INTO {table} (id, c{column}) VALUES (?, ?)");
    let statement = conn.prep(sql).await.unwrap();
    let done = conn.exec_drop(&statement, (id, value.clone())).await;
    conn.close(statement).await.unwrap();
    outcome(match done {
        Ok(()) => return Outcome::Stored,
        Err(mysql_async::Error::Server(error)) => {
            Answer::Error { code: error.code, state: error.state, message: error.message }
        }
        Err(other) => Answer::Broken(other.to_string()),
    })
}

fn outcome(answer: Answer) -> Outcome {
    match answer {
        Answer::Done { .. } => Outcome::Stored,
        Answer::Error { code: 1235, message, .. } => {
            assert!(
                message.starts_with("sealwire SW-1812")
                    || message.starts_with("sealwire SW-1311")
                    || message.starts_with("sealwire SW-1806"),
                "{message}"
            );
            Outcome::Refused(message)
        }
        Answer::Error { code, .. } => Outcome::Error(code),
        other => panic!("{other:?}"),
    }
}

/// What a column holds, by row, through the text or the binary protocol.
async fn values(conn: &mut Conn, table: &str, column: usize, prepared: bool) -> HashMap<usize, Value> {
    let sql = format!("SELECT id, c{column} FROM {table}");
    match prepared {
        false => conn.query(sql).await.unwrap(),
        true => conn.exec(sql, ()).await.unwrap(),
    }
    .into_iter()
    .collect()
}

/// Statements in which more than one value, or the server's own, reaches a typed column; `{t}` is the table.
const STATEMENTS: &[&str] = &[
    "INSERT INTO {t} (id) VALUES (1)",
    "INSERT INTO {t} (id, n) VALUES (2, NULL)",
    "INSERT INTO {t} (id, n, m) VALUES (3, 5, 6), (4, NULL, 7)",
    "INSERT INTO {t} (id, n, d) VALUES (5, 5, '2026-01-02'), (6, 'abc', '2026-13-01'), (7, 300000000000, '')",
    "INSERT IGNORE INTO {t} (id, n, d, v) VALUES (8, 'abc', '2026-02-30', 'abcdefghijkl'), (9, 1, NULL, 'ok')",
    "INSERT INTO {t} (id, m, e) VALUES (10, -1, 'b') ON DUPLICATE KEY UPDATE m = '9'",
    "INSERT INTO {t} (id, m, e) VALUES (10, 1, 'a') ON DUPLICATE KEY UPDATE m = '9', e = VALUES(e), n = '007'",
    "INSERT INTO {t} (id, m, e) VALUES (10, 1, 'a') ON DUPLICATE KEY UPDATE m = 'x'",
    "INSERT INTO {t} SET id = 11, n = -7, m = 3, d = 20260102, v = 12.50, e = 'A'",
    "REPLACE INTO {t} (id, n, m, d, v, e) VALUES (11, '12', 4, '20260103', 'a b ', 2)",
    "UPDATE {t} SET n = '1e2', v = 'changed' WHERE id = 11",
    "UPDATE {t} SET n = 'abc' WHERE id = 11",
    "UPDATE {t} SET n = 99999999999 WHERE id = 11",
    "UPDATE IGNORE {t} SET n = 99999999999 WHERE id = 11",
    "UPDATE {t} SET n = NULL, d = '2026-01-02 03:04:05' WHERE id = 11",
    "UPDATE {t} SET m = NULL WHERE id = 11",
    "UPDATE {t} SET n = DEFAULT WHERE id = 11",
    "UPDATE {t} SET n = n, v = v WHERE id = 11",
    "INSERT INTO {t} VALUES (12, 1, 2, '2026-01-02', 'v', 'a')",
    "INSERT INTO {t} VALUES (13, DEFAULT, 2, DEFAULT, 'v', 'b')",
    "SELECT n, m, d, v, e FROM {t} WHERE n IS NULL ORDER BY id",
    "SELECT COUNT(n), COUNT(*) FROM {t}",
    "SELECT COALESCE(n, NULL), IF(id > 5, d, NULL), CASE WHEN id > 3 THEN v END FROM {t} ORDER BY id",
    "SELECT a.n, b.v FROM {t} a LEFT JOIN {t} b ON a.id = b.id + 1 ORDER BY a.id",
    "SELECT n FROM {t} WHERE id = 3 UNION ALL SELECT n FROM {t} WHERE id = 5",
    "DELETE FROM {t} WHERE n IS NOT NULL AND id < 4",
];

/// An answer without what randomised values and missing warnings change.
fn compared(answer: Answer) -> String {
    match answer {
        Answer::Done { .. } => "done".to_owned(),
        Answer::Rows { rows, columns, .. } => {
            format!("{:?} {rows:?}", columns.into_iter().map(|c| (c.name, c.column_type)).collect::<Vec<_>>())
        }
        // Which of several errors comes first is the server's choice.
        Answer::Error { .. } => "error".to_owned(),
        Answer::Broken(reason) => panic!("{reason}"),
    }
}

on_every_server! {
    async fn literals_are_converted_as_a_plain_column_converts_them(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut direct = schema.direct().await;
        let proxy = tables(&schema, &mut direct, "NULL").await;
        let mut app = proxy.connect().await;
        let (mut different, mut refused, mut total) = (Vec::new(), Vec::new(), 0);
        for mode in MODES {
            for conn in [&mut direct, &mut app] {
                conn.query_drop(format!("SET sql_mode = '{mode}'")).await.unwrap();
            }
            for (n, declared) in TYPES.iter().enumerate().filter(|(_, declared)| concerns(mode, declared)) {
                let mut stored = Vec::new();
                for (id, literal) in LITERALS.iter().enumerate() {
                    let sql = |table: &str| format!("INSERT INTO {table} (id, c{n}) VALUES ({id}, {literal})");
                    let there = insert(&mut direct, &sql("twin")).await;
                    let here = insert(&mut app, &sql("sealed")).await;
                    total += 1;
                    match (&there, &here) {
                        (_, Outcome::Refused(message)) => {
                            refused.push(format!("{declared} {literal}: {message}"));
                            direct.query_drop(format!("DELETE FROM twin WHERE id = {id}")).await.unwrap();
                        }
                        _ if there != here => different.push(format!("{mode} {declared} {literal}: {there:?}, {here:?}")),
                        _ if there == Outcome::Stored => stored.push((id, literal)),
                        _ => {}
                    }
                }
                for prepared in [false, true] {
                    let expected = values(&mut direct, "twin", n, prepared).await;
                    let opened = values(&mut app, "sealed", n, prepared).await;
                    for (id, literal) in &stored {
                        let (expected, opened) = (expected.get(id), opened.get(id));
                        if expected != opened {
                            different.push(format!("{mode} {declared} {literal}: {expected:?}, opened {opened:?}"));
                        }
                    }
                }
                direct.query_drop("DELETE FROM twin").await.unwrap();
                app.query_drop("DELETE FROM sealed").await.unwrap();
            }
        }
        eprintln!("{total} conversions, {} refused", refused.len());
        assert!(different.is_empty(), "{} of {total} differ:\n{}", different.len(), different.join("\n"));
        // Most of them are no values of the type anyway; what a server prints is never refused: `rows::*`.
        assert!(refused.len() * 5 < total, "{} of {total} refused:\n{}", refused.len(), refused.join("\n"));
    }

    async fn parameters_are_converted_as_a_plain_column_converts_them(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut direct = schema.direct().await;
        let proxy = tables(&schema, &mut direct, "NULL").await;
        let mut app = proxy.connect().await;
        let (mut different, mut refused, mut total) = (Vec::new(), Vec::new(), 0);
        for mode in MODES {
            for conn in [&mut direct, &mut app] {
                conn.query_drop(format!("SET sql_mode = '{mode}'")).await.unwrap();
            }
            for (n, declared) in TYPES.iter().enumerate().filter(|(_, declared)| concerns(mode, declared)) {
                let mut stored = Vec::new();
                for (id, value) in bound().into_iter().enumerate() {
                    let there = execute(&mut direct, "twin", n, id, &value).await;
                    let here = execute(&mut app, "sealed", n, id, &value).await;
                    total += 1;
                    match (&there, &here) {
                        (_, Outcome::Refused(message)) => {
                            refused.push(format!("{declared} {value:?}: {message}"));
                            direct.query_drop(format!("DELETE FROM twin WHERE id = {id}")).await.unwrap();
                        }
                        // Bytes that are not of the session's character set are an error in every mode.
                        _ if value == not_utf8() && here == Outcome::Error(1366) => {
                            direct.query_drop(format!("DELETE FROM twin WHERE id = {id}")).await.unwrap();
                        }
                        _ if there != here => different.push(format!("{mode} {declared} {value:?}: {there:?}, {here:?}")),
                        _ if there == Outcome::Stored => stored.push((id, value)),
                        _ => {}
                    }
                }
                for prepared in [false, true] {
                    let expected = values(&mut direct, "twin", n, prepared).await;
                    let opened = values(&mut app, "sealed", n, prepared).await;
                    for (id, value) in &stored {
                        let (expected, opened) = (expected.get(id), opened.get(id));
                        if expected != opened {
                            different.push(format!("{mode} {declared} {value:?}: {expected:?}, opened {opened:?}"));
                        }
                    }
                }
                direct.query_drop("DELETE FROM twin").await.unwrap();
                app.query_drop("DELETE FROM sealed").await.unwrap();
            }
        }
        eprintln!("{total} conversions, {} refused", refused.len());
        assert!(different.is_empty(), "{} of {total} differ:\n{}", different.len(), different.join("\n"));
        assert!(refused.len() * 4 < total, "{} of {total} refused:\n{}", refused.len(), refused.join("\n"));
    }

    async fn columns_look_as_they_are_declared(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut direct = schema.direct().await;
        for attribute in ["NULL", "NOT NULL"] {
            direct.query_drop("DROP TABLE IF EXISTS twin, sealed").await.unwrap();
            let proxy = tables(&schema, &mut direct, attribute).await;
            let mut app = proxy.connect().await;
            for charset in ["utf8mb4", "latin1", "utf8mb3", "ascii"] {
                for conn in [&mut direct, &mut app] {
                    conn.query_drop(format!("SET NAMES {charset}")).await.unwrap();
                }
                let mut described = Vec::new();
                for (conn, table) in [(&mut direct, "twin"), (&mut app, "sealed")] {
                    // Under one name, so that the two are the same.
                    let sql = format!("SELECT t.* FROM {table} AS t");
                    let Answer::Rows { columns, .. } = answer(conn, &sql).await else { panic!("no rows") };
                    let statement = conn.prep(&sql).await.unwrap();
                    let prepared: Vec<_> = statement.columns().iter().map(crate::support::Metadata::from).collect();
                    let mut executed = conn.exec_iter(&statement, ()).await.unwrap();
                    let rows: Vec<_> = executed.columns_ref().iter().map(crate::support::Metadata::from).collect();
                    executed.for_each(|_| ()).await.unwrap();
                    drop(executed);
                    let mut all = [columns, prepared, rows];
                    for column in all.iter_mut().flatten() {
                        column.org_table.clear();
                    }
                    described.push(all);
                }
                let (here, there) = (described.pop().unwrap(), described.pop().unwrap());
                for (here, there) in here.iter().zip(&there) {
                    assert_eq!(here.len(), TYPES.len() + 1);
                    for (here, there) in here.iter().zip(there) {
                        assert_eq!(here, there, "{charset} {attribute}");
                    }
                }
            }
        }
    }

    async fn statements_of_every_kind_leave_what_they_leave_in_a_plain_table(backend: Backend) {
        for physical in ["varchar(255) CHARACTER SET ascii", "varbinary(255)"] {
            let schema = Schema::create(&backend).await;
            let mut direct = schema.direct().await;
            // A column of characters needs a text column.
            let text = "varchar(255) CHARACTER SET ascii";
            for (table, [n, m, d, v, e]) in [
                ("twin", ["int", "smallint unsigned", "date", "varchar(10)", "enum('a','b')"]),
                ("sealed", [physical, physical, physical, text, text]),
            ] {
                direct
                    .query_drop(format!(
                        "CREATE TABLE {table} (id int PRIMARY KEY, n {n} NULL, m {m} NOT NULL, d {d} NOT NULL, \
                         v {v} NOT NULL, e {e} NOT NULL) CHARSET utf8mb4"
                    ))
                    .await
                    .unwrap();
            }
            let mut builder = Proxy::builder(&schema);
            for (column, declared) in [
                ("n", "int"),
                ("m", "smallint unsigned"),
                ("d", "date"),
                ("v", "varchar(10)"),
                ("e", "enum('a','b')"),
            ] {
                builder = builder.column("sealed", column, &format!("{{ type: \"{declared}\" }}"));
            }
            let proxy = builder.start();
            for mode in ["STRICT_TRANS_TABLES", ""] {
                let mut app = proxy.connect().await;
                for conn in [&mut direct, &mut app] {
                    conn.query_drop(format!("SET sql_mode = '{mode}'")).await.unwrap();
                }
                for statement in STATEMENTS {
                    let there = compared(answer(&mut direct, &statement.replace("{t}", "twin")).await);
                    let here = compared(answer(&mut app, &statement.replace("{t}", "sealed")).await);
                    assert_eq!(here, there, "{mode} {statement}");
                    let all = "SELECT * FROM {t} ORDER BY id";
                    let there = compared(answer(&mut direct, &all.replace("{t}", "twin")).await);
                    let here = compared(answer(&mut app, &all.replace("{t}", "sealed")).await);
                    assert_eq!(here, there, "after {mode} {statement}");
                }
                let raw: Vec<(Vec<u8>, Vec<u8>)> = direct.query("SELECT m, v FROM sealed").await.unwrap();
                let begins = |stored: &[u8]| stored.starts_with(b"pQE") || stored.starts_with(&[0xA5, 1]);
                assert!(!raw.is_empty() && raw.iter().all(|(m, v)| begins(m) && begins(v)));
                direct.query_drop("DELETE FROM twin").await.unwrap();
                app.query_drop("DELETE FROM sealed").await.unwrap();
            }
        }
    }

    async fn a_value_that_is_not_of_the_declared_type_is_an_error_to_the_reader(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut direct = schema.direct().await;
        direct.query_drop("CREATE TABLE t (id int PRIMARY KEY, v varchar(255), b varbinary(255))").await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let keyring = folder.path().join("keyring");
        let builder = || Proxy::builder(&schema).keyring(&keyring);
        {
            let proxy = builder().column("t", "v", "{}").start();
            let mut app = proxy.connect().await;
            app.query_drop("INSERT INTO t (id, v) VALUES (1, '42'), (2, 'forty-two'), (3, '042')").await.unwrap();
        }
        let proxy = builder().column("t", "v", "{ type: int }").start();
        let mut app = proxy.connect().await;
        let one: Option<i64> = app.exec_first("SELECT v FROM t WHERE id = 1", ()).await.unwrap();
        assert_eq!(one, Some(42));
        for id in [2, 3] {
            let read = answer(&mut app, &format!("SELECT v FROM t WHERE id = {id}")).await;
            let Answer::Error { code: 1815, message, .. } = read else { panic!("{read:?}") };
            assert!(message.contains("SW-1813") && !message.contains("42") && !message.contains("forty"), "{message}");
        }
        // A column of bytes says no character set, so it cannot stand for characters.
        let unfit = builder().column("t", "b", "{ type: varchar(9) }");
        let (_folder, config) = unfit.write();
        let unfit = unfit.command().arg("run").arg("-c").arg(&config).output().unwrap();
        let said = String::from_utf8_lossy(&unfit.stderr).into_owned() + &String::from_utf8_lossy(&unfit.stdout);
        assert!(!unfit.status.success() && said.contains("needs a text column"), "{said}");
    }
}
