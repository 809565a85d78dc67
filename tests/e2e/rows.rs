//! Rows and parameters of every type, byte by byte: a table with protected columns beside its plain twin, in
//! text and binary rows and through cursors, few columns and thousands.

use mysql_async::prelude::Queryable;

use crate::on_every_server;
use crate::support::raw::{Reply, definition};
use crate::support::{Account, Proxy, Raw, Schema, caps};

const CURSOR_TYPE_READ_ONLY: u8 = 1;

/// Type and three values of it: an ordinary one, an empty or zero one, an extreme one.
const TYPES: &[(&str, [&str; 3])] = &[
    ("varchar(20)", ["'text'", "''", "'ééééé'"]),
    ("tinyint(1)", ["1", "0", "-128"]),
    ("smallint unsigned", ["7", "0", "65535"]),
    ("mediumint", ["-7", "0", "-8388608"]),
    ("int", ["42", "0", "-2147483648"]),
    ("bigint unsigned", ["42", "0", "18446744073709551615"]),
    ("decimal(12,3)", ["1.5", "0", "-999999999.999"]),
    ("float", ["0.1", "0", "-3.4e38"]),
    ("double", ["0.1", "0", "1.7e308"]),
    ("date", ["'2026-01-02'", "'0000-00-00'", "'9999-12-31'"]),
    ("datetime(6)", ["'2026-01-02 03:04:05.5'", "'2026-01-02'", "'9999-12-31 23:59:59.999999'"]),
    ("datetime", ["'2026-01-02 03:04:05'", "'0000-00-00'", "'1000-01-01'"]),
    ("time(2)", ["'12:34:56.78'", "'00:00:00'", "'-838:59:59'"]),
    ("time", ["'12:34:56'", "'00:00:00'", "'838:59:59'"]),
    ("year", ["2026", "0", "2155"]),
    ("char(9)", ["'char'", "''", "'123456789'"]),
    ("mediumtext", ["'text'", "''", "REPEAT"]),
    ("binary(3)", ["x'01'", "''", "x'ffffff'"]),
    ("varbinary(20)", ["x'00ff'", "''", "x'fefbfcfd'"]),
    ("longblob", ["x'00ff'", "''", "REPEAT"]),
    ("enum('a','b')", ["'a'", "'a'", "'b'"]),
    ("set('a','b')", ["'a,b'", "''", "'b'"]),
    ("json", ["'{\"a\": 1}'", "'[]'", "'\"é\"'"]),
    ("bit(12)", ["b'101'", "0", "4095"]),
];

/// Unprotected columns of types that no protected one has.
const OTHERS: &[(&str, [&str; 3])] = &[
    ("timestamp(3)", ["'2026-01-02 03:04:05.678'", "'2026-01-02'", "'2038-01-19'"]),
    ("json", ["'[1, 2]'", "'{}'", "'\"é\"'"]),
    ("geometry", ["ST_GeomFromText('POINT(1 2)')", "ST_GeomFromText('POINT(0 0)')", "ST_GeomFromText('POINT(-1 9)')"]),
];

/// Longer than a length byte tells.
const LONG: usize = 70_000;

fn literal(value: &str) -> String {
    match value {
        "REPEAT" => format!("'{}'", "x".repeat(LONG)),
        other => other.to_owned(),
    }
}

/// `sealed` and `twin`: `p0` … are protected in the first, `u0` … in neither.
async fn tables(schema: &Schema) -> Proxy {
    let mut direct = schema.direct().await;
    for (table, physical) in [("twin", None), ("sealed", Some("longtext CHARACTER SET ascii"))] {
        let protected = TYPES.iter().enumerate().map(|(n, (name, _))| format!("p{n} {}", physical.unwrap_or(name)));
        let others = TYPES.iter().chain(OTHERS).enumerate().map(|(n, (name, _))| format!("u{n} {name} NULL"));
        let columns: Vec<String> = protected.chain(others).collect();
        let sql = format!("CREATE TABLE {table} ({}, id int PRIMARY KEY) CHARSET utf8mb4", columns.join(", "));
        direct.query_drop(sql).await.unwrap();
    }
    let builder = TYPES.iter().enumerate().fold(Proxy::builder(schema), |builder, (n, (name, _))| {
        builder.column("sealed", &format!("p{n}"), &format!("{{ type: \"{name}\" }}"))
    });
    builder.start()
}

/// Rows of each kind of value, of NULL only, and of NULL in every other column.
async fn fill(raw: &mut Raw, table: &str) {
    let all = || TYPES.iter().chain(TYPES.iter().chain(OTHERS));
    let mut rows: Vec<Vec<String>> =
        (0..3).map(|kind| all().map(|(_, values)| literal(values[kind])).collect()).collect();
    rows.push(all().map(|_| "NULL".to_owned()).collect());
    for odd in [0, 1] {
        let every_other = |(n, (_, values)): (usize, &(&str, [&str; 3]))| match n % 2 == odd {
            true => "NULL".to_owned(),
            false => literal(values[0]),
        };
        rows.push(all().enumerate().map(every_other).collect());
    }
    for (id, row) in rows.iter().enumerate() {
        raw.one(format!("INSERT INTO {table} VALUES ({}, {id})", row.join(","))).await.ok();
    }
}

/// Definitions without the table's name, and rows as they are.
fn told(columns: &[Vec<u8>], rows: &[Vec<u8>]) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let columns = columns.iter().map(|payload| {
        let (names, rest) = definition(payload);
        [names.join(".").replace("sealed", "twin").into_bytes(), rest].concat()
    });
    (columns.collect(), rows.to_vec())
}

fn told_of(reply: &Reply) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    told(reply.columns(), reply.rows())
}

/// Tells which column or row differs, without printing thousands of bytes.
fn assert_same(sealed: &(Vec<Vec<u8>>, Vec<Vec<u8>>), twin: &(Vec<Vec<u8>>, Vec<Vec<u8>>), what: &str) {
    assert_eq!((sealed.0.len(), sealed.1.len()), (twin.0.len(), twin.1.len()), "{what}");
    for (n, (sealed, twin)) in sealed.0.iter().zip(&twin.0).enumerate() {
        assert_eq!(sealed, twin, "{what}: definition {n}");
    }
    for (n, (sealed, twin)) in sealed.1.iter().zip(&twin.1).enumerate() {
        let at = sealed.iter().zip(twin).position(|(a, b)| a != b);
        assert!(sealed == twin, "{what}: row {n} differs at byte {at:?}, {} and {} bytes", sealed.len(), twin.len());
    }
}

/// Capabilities that change how results are told; MariaDB's extended metadata name the types that have no code
/// of their own.
const FORMATS: [(u32, u32); 3] =
    [(0, 0), (caps::DEPRECATE_EOF, 0), (caps::DEPRECATE_EOF, caps::MARIADB_EXTENDED_METADATA)];

/// Through the proxy or directly.
async fn log_in(proxy: Option<&Proxy>, schema: &Schema, (eof, extended): (u32, u32)) -> Raw {
    let backend = &schema.backend;
    let address = proxy.map_or((backend.host.as_str(), backend.port), |proxy| ("127.0.0.1", proxy.port));
    let raw = Raw::login(address, Account::EMPTY, Some(&schema.name), caps::USUAL | eof, extended).await;
    assert_eq!(raw.extended, if backend.is_mariadb() { extended } else { 0 });
    raw
}

/// A row's text through the proxy and directly: the protected table and its twin.
async fn compare(proxy: &Proxy, schema: &Schema, select: &str, cursor: bool) {
    for format in FORMATS {
        let mut outcomes = Vec::new();
        for table in ["sealed", "twin"] {
            let mut raw = log_in((table == "sealed").then_some(proxy), schema, format).await;
            let sql = select.replace("{t}", table);
            let text = told_of(&raw.one(&sql).await);
            let prepared = raw.prepare(&sql).await.unwrap();
            let definitions = told(&prepared.columns, &[]);
            let binary = raw.execute(prepared.id, &[]).await.iter().map(told_of).next().unwrap();
            outcomes.push(vec![text, definitions, binary]);
            if !cursor {
                continue;
            }
            raw.send(&raw.execute_payload(prepared.id, CURSOR_TYPE_READ_ONLY, &[])).await;
            let (columns, _, rows) = raw.cursor().await;
            let mut fetched = Vec::new();
            match rows {
                Some(rows) => fetched.extend(rows),
                None => {
                    for count in [1u32, 2, 100] {
                        raw.send(&[&[0x1C][..], &prepared.id.to_le_bytes(), &count.to_le_bytes()].concat()).await;
                        fetched.extend(raw.rows().await.0);
                    }
                }
            }
            outcomes.last_mut().unwrap().push(told(&columns, &fetched));
        }
        let (twin, sealed) = (outcomes.pop().unwrap(), outcomes.pop().unwrap());
        for (what, (sealed, twin)) in ["text", "prepare", "binary", "cursor"].iter().zip(sealed.iter().zip(&twin)) {
            assert_same(sealed, twin, what);
        }
    }
}

on_every_server! {
    async fn rows_of_every_type_are_those_of_a_plain_table(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let proxy = tables(&schema).await;
        let mut through = Raw::through(&proxy, &schema, caps::USUAL).await;
        let mut directly = Raw::directly(&schema, caps::USUAL).await;
        for raw in [&mut through, &mut directly] {
            raw.one("SET sql_mode = 'STRICT_TRANS_TABLES'").await.ok();
        }
        fill(&mut through, "sealed").await;
        fill(&mut directly, "twin").await;
        compare(&proxy, &schema, "SELECT * FROM {t} AS t ORDER BY id", true).await;
        // Each protected column alone: first, last and only in the row.
        for n in 0..TYPES.len() {
            compare(&proxy, &schema, &format!("SELECT p{n}, u1, p{n} AS again FROM {{t}} AS t ORDER BY id"), true).await;
        }
        compare(&proxy, &schema, "SELECT p4, p0 FROM {t} AS t WHERE p4 IS NULL ORDER BY id", true).await;
        compare(&proxy, &schema, "SELECT d.p9, d.n FROM (SELECT p9, p4 AS n, id FROM {t}) AS d ORDER BY d.id", true).await;
    }

    async fn rows_of_thousands_of_columns_are_those_of_a_plain_table(backend: Backend) {
        const COLUMNS: usize = 256;
        let schema = Schema::create(&backend).await;
        let mut direct = schema.direct().await;
        let mut builder = Proxy::builder(&schema);
        for (table, physical) in [("twin", "int"), ("sealed", "text CHARACTER SET ascii")] {
            // The first is an empty string, every third is protected.
            let columns: Vec<String> = (0..COLUMNS)
                .map(|n| match n {
                    0 => format!("c0 {}", if table == "twin" { "varchar(9)" } else { physical }),
                    n if n % 3 == 0 => format!("c{n} {physical}"),
                    n if n % 3 == 1 => format!("c{n} varchar(9)"),
                    n => format!("c{n} bigint"),
                })
                .collect();
            let sql = format!("CREATE TABLE {table} ({}, id int PRIMARY KEY) CHARSET utf8mb4", columns.join(", "));
            direct.query_drop(sql).await.unwrap();
        }
        for n in (0..COLUMNS).step_by(3) {
            let declared = if n == 0 { "varchar(9)" } else { "int" };
            builder = builder.column("sealed", &format!("c{n}"), &format!("{{ type: {declared} }}"));
        }
        let proxy = builder.start();
        for (table, through) in [("sealed", true), ("twin", false)] {
            let mut raw = match through {
                true => Raw::through(&proxy, &schema, caps::USUAL).await,
                false => Raw::directly(&schema, caps::USUAL).await,
            };
            let marks = vec!["?"; COLUMNS + 1].join(",");
            let insert = raw.prepare(format!("INSERT INTO {table} VALUES ({marks})")).await.unwrap();
            for id in 0..4usize {
                let id_text = id.to_string();
                let values: Vec<Option<&[u8]>> = (0..=COLUMNS)
                    .map(|n| match (n, id) {
                        (COLUMNS, _) => Some(id_text.as_bytes()),
                        (0, 3) => None,
                        (0, _) => Some(&b""[..]),
                        // Row 1: nothing but NULL behind the first column.
                        (_, 1) => None,
                        (n, 2) if n % 2 == 0 => None,
                        _ => Some(&b"1234567"[..]),
                    })
                    .collect();
                raw.execute(insert.id, &values).await[0].ok();
            }
        }
        let list = |count: usize| (0..count).map(|n| format!("c{}", n % COLUMNS)).collect::<Vec<_>>().join(",");
        for count in [250, 251, 252, 1000, 4096] {
            // MariaDB keeps a cursor's rows in a table, which has fewer columns.
            let cursor = !backend.is_mariadb() || count < 4096;
            compare(&proxy, &schema, &format!("SELECT {} FROM {{t}} AS t ORDER BY id", list(count)), cursor).await;
        }
    }

    async fn the_names_of_types_and_formats_are_those_of_a_plain_table(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut direct = schema.direct().await;
        let named = if backend.is_mariadb() { "uuid uuid, inet6 inet6," } else { "" };
        for (table, text, json) in [("twin", "text", "json"), ("sealed", "text", "longtext CHARACTER SET ascii")] {
            let sql = format!("CREATE TABLE {table} (note {text}, doc {json}, {named} own json, place point, id int PRIMARY KEY)");
            direct.query_drop(sql).await.unwrap();
        }
        let proxy = Proxy::builder(&schema).column("sealed", "note", "{}").column("sealed", "doc", "{ type: json }").start();
        for (table, through) in [("sealed", Some(&proxy)), ("twin", None)] {
            let mut raw = log_in(through, &schema, FORMATS[2]).await;
            let named = if backend.is_mariadb() { "'123e4567-e89b-12d3-a456-426655440000', '::1'," } else { "" };
            for id in 1..=3 {
                let values = format!("('a note', '{{\"a\": {id}}}', {named} '[1, 2]', ST_GeomFromText('POINT(1 2)'), {id})");
                raw.one(format!("INSERT INTO {table} VALUES {values}")).await.ok();
            }
            if backend.is_mariadb() {
                // What the field holds, and that it is there: kind, length, text.
                let columns = raw.one(format!("SELECT doc, own, uuid, place, note FROM {table}")).await.columns().to_vec();
                let told: Vec<String> = columns.iter().map(|c| String::from_utf8_lossy(&definition(c).1).into_owned()).collect();
                for (told, start) in told.iter().zip(["\x06\x01\x04json\x0c", "\x06\x01\x04json\x0c", "\x06\0\x04uuid\x0c", "\x07\0\x05point\x0c", "\0\x0c"]) {
                    assert!(told.starts_with(start), "{table}: {told:?} and {start:?}");
                }
            }
        }
        for select in [
            "SELECT * FROM {t} AS t ORDER BY id",
            "SELECT doc AS a, own AS b, place, note FROM {t} AS t WHERE id > 1 ORDER BY id",
            "SELECT t.doc, u.own FROM {t} AS t LEFT JOIN {t} AS u ON u.id = t.id + 1 ORDER BY t.id",
            "SELECT id, JSON_EXTRACT(own, '$[0]') AS first, COALESCE(own, '[]') AS own FROM {t} AS t ORDER BY id",
        ] {
            compare(&proxy, &schema, select, true).await;
        }
        // MySQL tells a JSON column of a derived table in another character set than the same column without it.
        if backend.is_mariadb() {
            for derived in ["SELECT doc, own, id FROM {t}", "SELECT doc, own, id FROM {t} ORDER BY id LIMIT 2"] {
                let select = format!("SELECT d.doc, d.own FROM ({derived}) AS d ORDER BY d.id");
                compare(&proxy, &schema, &select, true).await;
            }
        }
    }

    async fn the_columns_of_a_table_are_listed_as_declared(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let proxy = tables(&schema).await;
        for format in FORMATS {
            let mut through = log_in(Some(&proxy), &schema, format).await;
            let mut directly = log_in(None, &schema, format).await;
            for wildcard in ["", "%", "p1%", "nothing"] {
                let mut listed = Vec::new();
                for (raw, table) in [(&mut through, "sealed"), (&mut directly, "twin")] {
                    raw.send(&[&[0x04], table.as_bytes(), &[0], wildcard.as_bytes()].concat()).await;
                    let (columns, end, error) = raw.rows().await;
                    assert!(end.is_some() && error.is_none(), "{table}: {error:?}");
                    let all = 2 * TYPES.len() + OTHERS.len() + 1;
                    assert!(columns.len() == all || !matches!(wildcard, "" | "%"), "{} columns", columns.len());
                    listed.push(told(&columns, &[]));
                }
                let (twin, sealed) = (listed.pop().unwrap(), listed.pop().unwrap());
                assert_same(&sealed, &twin, wildcard);
            }
        }
    }
}
