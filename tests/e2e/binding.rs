//! Values that are bound to their rows (`bind:`): moved by somebody who writes to the database, read where the
//! application does not ask for what they are bound to, and written by parameters. What the analyser makes of single
//! statements is in the corpus.

use std::process::Command;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Value};

use crate::on_every_server;
use crate::support::raw::{Prepared, Reply, definition};
use crate::support::{Backend, Proxy, ProxyBuilder, Raw, Schema, caps, code, text_rows};

const EOF_FORMS: [u32; 2] = [0, caps::DEPRECATE_EOF];
const CURSOR_TYPE_READ_ONLY: u8 = 1;

/// `sealed`, whose `body` and `raw` are bound to their rows, and `plain` beside it.
async fn tables(backend: &Backend) -> (Schema, ProxyBuilder) {
    let schema = Schema::create(backend).await;
    let mut conn = schema.direct().await;
    for table in ["sealed", "plain"] {
        conn.query_drop(format!(
            "CREATE TABLE {table} (code varchar(36) CHARACTER SET ascii COLLATE ascii_bin PRIMARY KEY, office int NOT \
             NULL, number bigint unsigned NOT NULL, body text CHARACTER SET utf8mb4, raw varbinary(200), seen int, \
             UNIQUE KEY (office, number))"
        ))
        .await
        .unwrap();
    }
    let builder = Proxy::builder(&schema).column("sealed", "body", "{ bind: [code] }").column(
        "sealed",
        "raw",
        "{ bind: [office, number], cipher: aes-256-gcm, pad: 8 }",
    );
    (schema, builder)
}

async fn fill(app: &mut Conn) {
    for table in ["sealed", "plain"] {
        app.query_drop(format!(
            "INSERT INTO {table} VALUES ('a', 1, 1, 'body a', 'raw a', 1), ('b', 1, 18446744073709551615, 'body b', \
             'raw b', NULL), ('c', -2, 1, NULL, NULL, 3)"
        ))
        .await
        .unwrap();
    }
}

async fn read(app: &mut Conn, column: &str) -> String {
    let statement = format!("SELECT {column} FROM sealed WHERE code = 'a'");
    match code(app, &statement).await.as_str() {
        "ok" => text_rows(app, &statement).await[0][0].clone().unwrap_or("NULL".into()),
        refused => refused.to_owned(),
    }
}

on_every_server! {
    async fn a_bound_value_opens_in_its_own_row_only(backend: Backend) {
        let (schema, builder) = tables(&backend).await;
        let keyring = tempfile::tempdir().unwrap();
        let keyring = keyring.path().join("keyring");
        let proxy = builder.keyring(&keyring).start();
        let (mut app, mut attacker) = (proxy.connect().await, schema.direct().await);
        fill(&mut app).await;
        let stored: Vec<(String, Vec<u8>)> = attacker.query("SELECT body, raw FROM sealed WHERE body IS NOT NULL").await.unwrap();
        assert!(stored.iter().all(|(body, raw)| body.starts_with("pQEB") && raw.starts_with(&[0xA5, 3, 1])), "{stored:?}");
        for (column, own) in [("body", "body a"), ("raw", "raw a")] {
            assert_eq!(read(&mut app, column).await, own);
            let before: Value = attacker.query_first(format!("SELECT {column} FROM sealed WHERE code = 'a'")).await.unwrap().unwrap();
            attacker.query_drop(format!("UPDATE sealed a, sealed b SET a.{column} = b.{column} WHERE a.code = 'a' AND b.code = 'b'")).await.unwrap();
            assert_eq!(read(&mut app, column).await, "SW-1902");
            attacker.exec_drop(format!("UPDATE sealed SET {column} = ? WHERE code = 'a'"), (before,)).await.unwrap();
            assert_eq!(read(&mut app, column).await, own);
        }
        // Moving the key moves the row; a value that stays behind is another row's.
        attacker.query_drop("UPDATE sealed SET code = 'd' WHERE code = 'a'").await.unwrap();
        assert_eq!(code(&mut app, "SELECT body FROM sealed WHERE code = 'd'").await, "SW-1902");
        assert_eq!(text_rows(&mut app, "SELECT raw FROM sealed WHERE code = 'd'").await, [[Some("raw a".to_owned())]]);
        attacker.query_drop("UPDATE sealed SET code = 'a' WHERE code = 'd'").await.unwrap();
        // An older value of the same row is none of another.
        let old: String = attacker.query_first("SELECT body FROM sealed WHERE code = 'a'").await.unwrap().unwrap();
        app.query_drop("UPDATE sealed SET body = 'newer' WHERE code = 'a'").await.unwrap();
        assert_eq!(read(&mut app, "body").await, "newer");
        attacker.exec_drop("UPDATE sealed SET body = ? WHERE code = 'a'", (old,)).await.unwrap();
        assert_eq!(read(&mut app, "body").await, "body a");

        // Without `bind` neither kind of value passes for the other.
        let free = Proxy::builder(&schema).column("sealed", "body", "{}").keyring(&keyring).start();
        let mut other = free.connect().await;
        assert_eq!(code(&mut other, "SELECT body FROM sealed WHERE code = 'a'").await, "SW-1926");
        other.query_drop("INSERT INTO sealed (code, office, number, body) VALUES ('f', 5, 5, 'free')").await.unwrap();
        assert_eq!(code(&mut app, "SELECT body FROM sealed WHERE code = 'f'").await, "SW-1925");
        assert_eq!(text_rows(&mut other, "SELECT body FROM sealed WHERE code = 'f'").await, [[Some("free".to_owned())]]);
    }

    async fn a_client_sees_nothing_of_the_columns_that_tell_rows_apart(backend: Backend) {
        let (schema, builder) = tables(&backend).await;
        let proxy = builder.start();
        fill(&mut proxy.connect().await).await;
        for eof in EOF_FORMS {
            let flags = caps::USUAL | caps::MULTI_STATEMENTS | eof;
            let mut raw = Raw::through(&proxy, &schema, flags).await;
            // Seven, eight, nine columns: the bitmap of NULLs ends in the middle of a byte, and with one.
            for list in [
                "body", "raw", "raw, body", "body, raw, seen", "seen, seen, seen, seen, seen, body",
                "seen, seen, seen, seen, raw, body", "raw, seen, seen, seen, seen, seen, seen, body, seen, NULL",
            ] {
                let both = ["sealed", "plain"].map(|table| format!("SELECT {list} FROM {table} ORDER BY code"));
                let sealed = raw.query(&both[0]).await;
                let plain = raw.query(&both[1]).await;
                assert_eq!(told(&sealed), told(&plain), "{list}");
                let mut prepared = Vec::new();
                for text in &both {
                    let Prepared { id, columns, parameters } = raw.prepare(text).await.unwrap();
                    let replies = raw.execute(id, &[]).await;
                    let payload = raw.execute_payload(id, CURSOR_TYPE_READ_ONLY, &[]);
                    raw.send(&payload).await;
                    let (definitions, _, rows) = raw.cursor().await;
                    let mut fetched = rows.unwrap_or_default();
                    if fetched.is_empty() {
                        raw.send(&[&[0x1C][..], &id.to_le_bytes(), &10_u32.to_le_bytes()].concat()).await;
                        fetched = raw.rows().await.0;
                    }
                    prepared.push((names(&columns), parameters.len(), told(&replies), names(&definitions), fetched));
                }
                assert_eq!(prepared[0], prepared[1], "{list}");
                assert_eq!(prepared[0].4.len(), 3);
            }
            let replies = raw.query("SELECT raw FROM sealed WHERE code = 'b'; SELECT 1; SELECT body FROM sealed WHERE code = 'a'").await;
            let rows: Vec<_> = replies.iter().map(|reply| reply.text()).collect();
            assert_eq!(rows, [[[Some("raw b".to_owned())]], [[Some("1".to_owned())]], [[Some("body a".to_owned())]]]);
        }
    }

    async fn a_parameter_that_does_not_tell_the_row_is_refused_and_the_session_goes_on(backend: Backend) {
        let (schema, builder) = tables(&backend).await;
        let proxy = builder.start();
        let mut app = proxy.connect().await;
        fill(&mut app).await;
        let before: Vec<(String, Option<String>)> = schema.direct().await.query("SELECT code, body FROM sealed").await.unwrap();
        let insert = app.prep("INSERT INTO sealed (code, office, number, body, raw) VALUES (?, ?, ?, ?, ?)").await.unwrap();
        let update = app.prep("UPDATE sealed SET body = ? WHERE code = ?").await.unwrap();
        let text = |text: &str| Value::from(text);
        app.query_drop("START TRANSACTION").await.unwrap();
        for (code, office, number) in [
            (Value::NULL, Value::Int(7), Value::Int(7)),
            (Value::Int(7), Value::Int(7), Value::Int(7)),
            (text("ü"), Value::Int(7), Value::Int(7)),
            (text("x "), Value::Int(7), Value::Int(7)),
            (text(&"x".repeat(37)), Value::Int(7), Value::Int(7)),
            (text("x"), Value::NULL, Value::Int(7)),
            (text("x"), Value::Int(1 << 40), Value::Int(7)),
            (text("x"), Value::Double(7.5), Value::Int(7)),
            (text("x"), Value::Int(7), Value::Int(-7)),
            (text("x"), Value::Int(7), text("7x")),
        ] {
            let params = vec![code.clone(), office.clone(), number.clone(), text("body"), text("raw")];
            let error = app.exec_drop(&insert, params).await.unwrap_err().to_string();
            assert!(error.contains("SW-1313") && !error.contains("7x"), "{code:?} {office:?} {number:?}: {error}");
        }
        for code in [Value::NULL, Value::Int(1), text("é")] {
            let error = app.exec_drop(&update, (text("new"), code)).await.unwrap_err().to_string();
            assert!(error.contains("SW-1313") && error.contains("sealed.body"), "{error}");
        }
        // NULL is bound to nothing.
        app.exec_drop(&insert, (text("n"), Value::Int(9), Value::Int(9), Value::NULL, Value::NULL)).await.unwrap();
        app.exec_drop(&update, (Value::NULL, text("n"))).await.unwrap();
        app.exec_drop(&insert, (text("x"), text("7"), Value::UInt(u64::MAX), text("body x"), text("raw x"))).await.unwrap();
        app.exec_drop(&update, (text("new x"), Value::Bytes(b"x".to_vec()))).await.unwrap();
        assert_eq!(app.affected_rows(), 1);
        let numbers = app.prep("UPDATE sealed SET raw = ? WHERE office = ? AND number = ?").await.unwrap();
        app.exec_drop(&numbers, (text("raw d"), Value::Double(1.0), Value::Double(1.0))).await.unwrap();
        assert_eq!(app.affected_rows(), 1);
        for number in [Value::Double(18_446_744_073_709_551_615.0), text("18446744073709551616"), Value::Double(0.5)] {
            let error = app.exec_drop(&numbers, (text("raw d"), Value::Int(1), number)).await.unwrap_err().to_string();
            assert!(error.contains("SW-1313"), "{error}");
        }
        let row: Option<String> = app.exec_first("SELECT raw FROM sealed WHERE number = ?", (1.0,)).await.unwrap().unwrap();
        assert_eq!(row.as_deref(), Some("raw d"));
        let row: (String, String) = app.exec_first("SELECT body, raw FROM sealed WHERE code = ?", ("x",)).await.unwrap().unwrap();
        assert_eq!(row, ("new x".to_owned(), "raw x".to_owned()));
        app.query_drop("ROLLBACK").await.unwrap();
        let after: Vec<(String, Option<String>)> = schema.direct().await.query("SELECT code, body FROM sealed").await.unwrap();
        assert_eq!(before, after);
    }

    /// What a server reads by the type of a parameter, or by the one that the same parameter had before.
    async fn no_type_of_a_parameter_makes_the_server_write_another_row(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut direct = schema.direct().await;
        for (table, key) in [("texts", "varchar(30) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"), ("bytes", "varbinary(30)"), ("numbers", "bigint")] {
            direct.query_drop(format!("CREATE TABLE {table} (k {key} PRIMARY KEY, v varchar(191))")).await.unwrap();
        }
        let proxy = Proxy::builder(&schema).column("texts", "v", "{ bind: k }").column("bytes", "v", "{ bind: k }").column("numbers", "v", "{ bind: k }").start();
        let mut app = proxy.connect().await;
        let date = Value::Date(2024, 1, 2, 0, 0, 0, 0);
        let big = 9_007_199_254_740_993_i64;
        let keys = [
            Value::NULL, Value::Int(7), Value::Double(7.0), Value::Float(7.0), date, Value::Time(false, 0, 0, 0, 7, 0), "7".into(), "07".into(),
            "2024-01-02".into(), Value::Int(big), big.to_string().into(), Value::Double(big as f64), Value::UInt(7),
        ];
        for table in ["texts", "bytes", "numbers"] {
            let rows = match table {
                "numbers" => "(7, 'a'), (9007199254740992, 'b'), (9007199254740993, 'c'), (20240102, 'd')",
                _ => "('7', 'a'), ('07', 'b'), ('2024-01-02', 'c'), ('2024-1-2', 'd'), ('9007199254740993', 'e'), ('00:00:07', 'f')",
            };
            app.query_drop(format!("INSERT INTO {table} VALUES {rows}")).await.unwrap();
            let mut written = 0;
            // The same statement first with one parameter, also beside a NULL that nothing is bound to, then with the other.
            for first in &keys {
                for value in [Value::NULL, "first".into()] {
                    for second in &keys {
                        for statement in ["UPDATE {} SET v = ? WHERE k = ?", "REPLACE INTO {} (v, k) VALUES (?, ?)"] {
                            let statement = app.prep(statement.replace("{}", table)).await.unwrap();
                            for (value, key) in [(value.clone(), first), ("second".into(), second)] {
                                match app.exec_drop(&statement, (value, key.clone())).await {
                                    Ok(()) => written += app.affected_rows(),
                                    Err(mysql_async::Error::Server(error)) => {
                                        assert!(error.message.contains("SW-1313") || error.code == 1048, "{table} {key:?}: {error}");
                                    }
                                    Err(error) => panic!("{table} {key:?}: {error}"),
                                }
                            }
                            app.close(statement).await.unwrap();
                        }
                    }
                }
            }
            assert!(written > 500, "{table}: {written}");
            // Every value opens where it stands.
            let read: Vec<(Value, Option<String>)> = app.query(format!("SELECT k, v FROM {table}")).await.unwrap();
            assert!(read.len() >= 4 && read.iter().any(|(_, v)| v.as_deref() == Some("second")), "{read:?}");
        }
    }

    async fn where_spaces_count_a_row_with_one_more_is_another(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let collation = if backend.is_mariadb() { "utf8mb4_nopad_bin" } else { "utf8mb4_0900_bin" };
        let mut direct = schema.direct().await;
        for (table, collation) in [("counts", collation), ("pads", "utf8mb4_bin")] {
            direct.query_drop(format!("CREATE TABLE {table} (k varchar(30) CHARACTER SET utf8mb4 COLLATE {collation} PRIMARY KEY, v varchar(191))")).await.unwrap();
        }
        let proxy = Proxy::builder(&schema).column("counts", "v", "{ bind: k }").column("pads", "v", "{ bind: k }").start();
        let mut app = proxy.connect().await;
        for table in ["counts", "pads"] {
            app.query_drop(format!("INSERT INTO {table} VALUES ('a', 'secret')")).await.unwrap();
        }
        direct.query_drop("INSERT INTO counts SELECT 'a ', v FROM counts").await.unwrap();
        assert_eq!(code(&mut app, "SELECT v FROM counts WHERE k = 'a '").await, "SW-1925");
        // Where they do not there is one row of the two, and the value stays readable.
        direct.query_drop("UPDATE pads SET k = 'a '").await.unwrap();
        app.query_drop("UPDATE pads SET v = 'newer' WHERE k = 'a'").await.unwrap();
        assert_eq!(text_rows(&mut app, "SELECT v FROM pads").await, [[Some("newer".to_owned())]]);
    }

    /// The key arrives in the session's character set, with zeros before it, as bytes.
    async fn every_type_of_key_tells_the_row_in_every_session(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut direct = schema.direct().await;
        let keys = [
            ("tinyint unsigned", "255", "200"), ("smallint", "-32768", "0"), ("mediumint", "-5", "5"), ("int unsigned", "4294967295", "1"),
            ("int(7) zerofill", "42", "43"), ("bigint", "-9223372036854775808", "9223372036854775807"), ("bigint unsigned", "18446744073709551615", "0"),
            ("char(8) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", "'ab'", "'a b'"), ("varchar(8) CHARACTER SET latin1 COLLATE latin1_bin", "''", "'@[]{}~'"),
            ("binary(4)", "x'00ff8041'", "x'00000000'"), ("varbinary(4)", "x'5c27'", "x''"),
        ];
        let mut builder = Proxy::builder(&schema);
        for (number, (key, ..)) in keys.iter().enumerate() {
            direct.query_drop(format!("CREATE TABLE t{number} (k {key} NOT NULL PRIMARY KEY, v varchar(191) CHARACTER SET utf8mb4)")).await.unwrap();
            builder = builder.column(&format!("t{number}"), "v", "{ bind: k }");
        }
        let proxy = builder.start();
        for session in ["utf8mb4", "latin1", "sjis", "gbk"] {
            let mut app = proxy.connect().await;
            app.query_drop(format!("SET NAMES {session}")).await.unwrap();
            for (number, (key, one, other)) in keys.iter().enumerate() {
                app.query_drop(format!("INSERT INTO t{number} VALUES ({one}, 'one'), ({other}, 'other')")).await.unwrap();
                app.query_drop(format!("UPDATE t{number} SET v = 'changed' WHERE k = {other}")).await.unwrap();
                let statement = format!("SELECT v FROM t{number} ORDER BY k = {other}");
                let text: Vec<String> = app.query(&statement).await.unwrap_or_else(|error| panic!("{session} {key}: {error}"));
                let binary: Vec<String> = app.exec(&statement, ()).await.unwrap_or_else(|error| panic!("{session} {key}: {error}"));
                assert_eq!((&text, &binary), (&vec!["one".to_owned(), "changed".to_owned()], &text), "{session} {key}");
                app.query_drop(format!("DELETE FROM t{number}")).await.unwrap();
            }
        }
        // Results that nobody converts.
        let mut app = proxy.connect().await;
        app.query_drop("INSERT INTO t7 VALUES ('ab', 'one')").await.unwrap();
        app.query_drop("SET character_set_results = NULL").await.unwrap();
        assert_eq!(text_rows(&mut app, "SELECT v FROM t7").await, [[Some("one".to_owned())]]);
    }

    async fn a_cascade_onto_what_values_are_bound_to_is_refused(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut direct = schema.direct().await;
        direct.query_drop("CREATE TABLE houses (id int PRIMARY KEY) ENGINE=InnoDB").await.unwrap();
        direct.query_drop("CREATE TABLE keepers (id int PRIMARY KEY, name varchar(191), FOREIGN KEY (id) REFERENCES houses (id) \
            ON UPDATE CASCADE) ENGINE=InnoDB").await.unwrap();
        let proxy = Proxy::builder(&schema).column("keepers", "name", "{ bind: id }").start();
        let mut app = proxy.connect().await;
        direct.query_drop("INSERT INTO houses VALUES (1), (2)").await.unwrap();
        app.query_drop("INSERT INTO keepers VALUES (1, 'Ada')").await.unwrap();
        assert_eq!(code(&mut app, "UPDATE houses SET id = 3 WHERE id = 1").await, "SW-1310");
        assert_eq!(code(&mut app, "UPDATE keepers SET id = 2").await, "SW-1315");
        assert_eq!(text_rows(&mut app, "SELECT name FROM keepers").await, [[Some("Ada".to_owned())]]);
    }

    async fn what_cannot_tell_rows_apart_is_said_before_anything_is_sealed(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut direct = schema.direct().await;
        direct.query_drop("CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY, name varchar(20) CHARACTER SET utf8mb4 COLLATE \
            utf8mb4_general_ci NOT NULL, maybe int, day date NOT NULL, plain int NOT NULL, sum int GENERATED ALWAYS AS (plain + 1) \
            STORED, \
            good varchar(20) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, v varchar(191), UNIQUE KEY (name), UNIQUE KEY (maybe), \
            UNIQUE KEY (day), UNIQUE KEY (sum), UNIQUE KEY (good))").await.unwrap();
        for (bind, said) in [
            ("id", "AUTO_INCREMENT"), ("name", "utf8mb4_general_ci"), ("maybe", "may be NULL"), ("day", "only integers"),
            ("plain", "no PRIMARY or UNIQUE key"), ("gone", "no such column"), ("sum", "is generated"),
        ] {
            let builder = Proxy::builder(&schema).column("t", "v", &format!("{{ bind: [{bind}] }}"));
            let (folder, path) = builder.write();
            for command in ["check", "run"] {
                let output = Command::new(env!("CARGO_BIN_EXE_sealwire")).args([command, "-c"]).arg(&path).output().unwrap();
                let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
                assert!(!output.status.success() && text.contains(said), "{command} {bind}: {text}");
            }
            drop(folder);
        }
        let proxy = Proxy::builder(&schema).column("t", "v", "{ bind: [good, plain] }").start();
        let mut app = proxy.connect().await;
        app.query_drop("INSERT INTO t (name, day, plain, good, v) VALUES ('n', '2024-01-01', 1, 'g', 'value')").await.unwrap();
        assert_eq!(text_rows(&mut app, "SELECT v FROM t").await, [[Some("value".to_owned())]]);
        // The key that tells rows apart is dropped around the proxy: nothing is sealed or opened until that is put right.
        direct.query_drop("ALTER TABLE t MODIFY good varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL").await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
        assert_eq!(code(&mut app, "SELECT v FROM t").await, "SW-1701");
        // Where nothing is sealed nothing is bound.
        let off = Proxy::builder(&schema).kms(crate::support::Kms::None).column("t", "v", "{ bind: [id] }").start();
        off.connect().await.query_drop("INSERT INTO t (name, day, plain, good, v) VALUES ('m', '2024-01-02', 2, 'h', 'value')").await.unwrap();
    }
}

/// A response without the names of the tables.
fn told(replies: &[Reply]) -> Vec<Reply> {
    let rename = |reply: &Reply| match reply.clone() {
        Reply::Rows { columns, rows, end, error } => {
            let columns = names(&columns).into_iter().map(String::into_bytes).collect();
            Reply::Rows { columns, rows, end, error }
        }
        other => other,
    };
    replies.iter().map(rename).collect()
}

/// The names in definitions, without those of the tables.
fn names(columns: &[Vec<u8>]) -> Vec<String> {
    columns.iter().map(|payload| definition(payload).0.join(".").replace("sealed", "plain")).collect()
}
