//! Every declared type in sessions of several character sets, in both protocols, and in every mode: random,
//! searchable, padded, in bytes, and direct. Beside a plain twin of the type the application cannot tell.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row, Value};
use sealwire::sql::Charset;
use sealwire::sql::charset::encode_from_utf8;

use crate::on_every_server;
use crate::support::{Kms, Proxy, Schema, moto_key};

/// A type, and two values of it as its text: what a literal and a bound string hold.
const TYPES: &[(&str, [&str; 2])] = &[
    ("int unsigned", ["7", "4294967295"]),
    ("bigint", ["-9223372036854775808", "0"]),
    ("bool", ["1", "0"]),
    ("decimal(10,2)", ["-12345.60", "0.01"]),
    ("double", ["1.5", "-0.25"]),
    ("date", ["2024-02-29", "1000-01-01"]),
    ("datetime(6)", ["2024-02-29 23:59:59.000001", "1000-01-01 00:00:00.000000"]),
    ("time", ["-838:59:59", "00:00:01"]),
    ("year", ["1901", "2155"]),
    ("char(11)", ["é", "DE123456789"]),
    ("varchar(100)", ["Zürich, é", "it's \\ \"quoted\""]),
    ("text", ["", "  spaces é "]),
    ("varbinary(64)", ["bytes", ""]),
    ("enum('small','grün')", ["grün", "small"]),
    ("json", ["{\"a\": \"é\", \"b\": [1, 2.5, null]}", "[]"]),
];

/// Name, settings of the columns, the stored type, whether the type can be had so.
type Mode = (&'static str, &'static str, &'static str, fn(&str) -> bool);

const MODES: &[Mode] = &[
    ("random", "", "text CHARACTER SET ascii COLLATE ascii_bin", |_| true),
    ("search", ", search: exact", "varchar(500) CHARACTER SET ascii COLLATE ascii_bin", |declared| {
        declared != "double" && declared != "json"
    }),
    ("padded", ", pad: 32", "text CHARACTER SET ascii COLLATE ascii_bin", |_| true),
    // Types with a character set want a column that has one.
    ("bytes", "", "blob", |declared| {
        !["char(", "varchar", "text", "enum", "json"].iter().any(|text| declared.starts_with(text))
    }),
    // KMS takes no empty value.
    ("direct", ", mode: direct, empty: as_is", "text CHARACTER SET ascii COLLATE ascii_bin", |_| true),
];

const CHARSETS: &[&str] = &["utf8mb4", "utf8mb3", "latin1", "cp850", "gbk"];

async fn table(direct: &mut Conn, name: &str, column: impl Fn(&str) -> String) {
    let columns: Vec<String> =
        TYPES.iter().enumerate().map(|(n, (declared, _))| format!("c{n} {}", column(declared))).collect();
    let sql = format!("CREATE TABLE {name} (id int PRIMARY KEY, {}) DEFAULT CHARACTER SET utf8mb4", columns.join(", "));
    direct.query_drop(sql).await.unwrap();
}

/// The value as a literal of the session's character set.
fn literal(value: &str, charset: Charset) -> Vec<u8> {
    let escaped = value.replace('\\', "\\\\").replace('\'', "\\'");
    [&b"'"[..], &encode_from_utf8(escaped.as_bytes(), charset), b"'"].concat()
}

/// Every cell of a table, in the session's character set.
async fn cells(app: &mut Conn, table: &str, columns: &str, prepared: bool) -> Vec<Vec<Value>> {
    let sql = format!("SELECT id, {columns} FROM {table} ORDER BY id");
    let rows: Vec<Row> = if prepared { app.exec(sql, ()).await.unwrap() } else { app.query(sql).await.unwrap() };
    rows.into_iter().map(Row::unwrap).collect()
}

/// One mode, every type, character set and protocol: how many values were compared.
async fn cross(app: &mut Conn, sealed: &str, fits: fn(&str) -> bool) -> usize {
    let columns: Vec<usize> = (0..TYPES.len()).filter(|n| fits(TYPES[*n].0)).collect();
    let names = columns.iter().map(|n| format!("c{n}")).collect::<Vec<_>>().join(", ");
    let mut id = 0;
    for charset in CHARSETS {
        app.query_drop(format!("SET NAMES {charset}")).await.unwrap();
        let known = Charset::from_name(charset);
        for which in [0, 1] {
            for prepared in [false, true] {
                id += 1;
                for table in [sealed, "twin"] {
                    let values = columns.iter().map(|n| TYPES[*n].1[which]);
                    if prepared {
                        let mut bound: Vec<Value> = vec![id.into()];
                        bound.extend(values.map(|value| Value::Bytes(encode_from_utf8(value.as_bytes(), known))));
                        let marks = vec!["?"; bound.len()].join(", ");
                        app.exec_drop(format!("INSERT INTO {table} (id, {names}) VALUES ({marks})"), bound)
                            .await
                            .unwrap();
                    } else {
                        let mut sql = format!("INSERT INTO {table} (id, {names}) VALUES ({id}").into_bytes();
                        for value in values {
                            sql.extend_from_slice(b", ");
                            sql.extend(literal(value, known));
                        }
                        sql.push(b')');
                        app.query_drop(sql).await.unwrap();
                    }
                }
            }
        }
    }
    let mut compared = 0;
    for charset in CHARSETS {
        app.query_drop(format!("SET NAMES {charset}")).await.unwrap();
        for prepared in [false, true] {
            let (got, expected) =
                (cells(app, sealed, &names, prepared).await, cells(app, "twin", &names, prepared).await);
            assert_eq!(got.len(), usize::try_from(id).unwrap());
            for (got, expected) in got.iter().zip(&expected) {
                for (n, (got, expected)) in columns.iter().zip(got[1..].iter().zip(&expected[1..])) {
                    assert_eq!(got, expected, "{sealed}, {}, {charset}, prepared: {prepared}", TYPES[*n].0);
                    compared += 1;
                }
            }
        }
    }
    app.query_drop("SET NAMES utf8mb4").await.unwrap();
    app.query_drop("DELETE FROM twin").await.unwrap();
    compared
}

on_every_server! {
    async fn types_character_sets_protocols_and_modes_in_every_combination(backend: Backend) {
        let Some(key) = moto_key().await else { return };
        let schema = Schema::create(&backend).await;
        let mut direct = schema.direct().await;
        table(&mut direct, "twin", str::to_owned).await;
        let mut builder = Proxy::builder(&schema).kms(Kms::Moto(key));
        for (name, settings, physical, fits) in MODES {
            table(&mut direct, name, |_| (*physical).to_owned()).await;
            for (n, (declared, _)) in TYPES.iter().enumerate().filter(|(_, (declared, _))| fits(declared)) {
                builder = builder.column(name, &format!("c{n}"), &format!("{{ type: \"{declared}\"{settings} }}"));
            }
        }
        let proxy = builder.start();
        let mut app = proxy.connect().await;
        for (name, _, _, fits) in MODES {
            let values = TYPES.iter().filter(|(declared, _)| fits(declared)).count();
            let compared = cross(&mut app, name, *fits).await;
            assert_eq!(compared, values * CHARSETS.len() * 2 * 2 * CHARSETS.len() * 2, "{name}");
            // Nothing is stored as it is, the empty values of direct mode apart.
            for n in (0..TYPES.len()).filter(|n| fits(TYPES[*n].0)) {
                let stored: Vec<Vec<u8>> = direct.query(format!("SELECT c{n} FROM {name}")).await.unwrap();
                let whole = |value: &Vec<u8>| value.len() >= 35 || *name == "direct" && value.is_empty();
                assert!(stored.iter().all(whole), "{name}.c{n}");
            }
        }
    }
}
