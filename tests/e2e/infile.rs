//! LOAD DATA LOCAL: files for unprotected tables pass as they are; those for protected ones are sealed on the way,
//! read as the server reads them, or refused before the server gets a row.

use mysql_async::prelude::Queryable;

use crate::on_every_server;
use crate::support::raw::Reply;
use crate::support::{Backend, Proxy, Raw, Schema, assert_no_plaintext, caps};

const FLAGS: u32 = caps::USUAL | caps::LOCAL_FILES | caps::MULTI_STATEMENTS;
const EOF_FORMS: [u32; 2] = [0, caps::DEPRECATE_EOF];

async fn tables(backend: &Backend) -> (Schema, Proxy) {
    let schema = Schema::create(backend).await;
    let mut conn = schema.direct().await;
    for table in ["sealed", "plain"] {
        conn.query_drop(format!(
            "CREATE TABLE {table} (id int, email varchar(300), note mediumtext, tax varchar(191))"
        ))
        .await
        .unwrap();
    }
    conn.query_drop("CREATE TABLE strict (id int, tax varchar(191) NOT NULL)").await.unwrap();
    conn.query_drop("CREATE TABLE blobs (id int, data varbinary(2000))").await.unwrap();
    let proxy = Proxy::builder(&schema)
        .column("sealed", "email", "{}")
        .column("sealed", "tax", "{ search: exact, compare: binary }")
        .column("strict", "tax", "{}")
        .column("blobs", "data", "{}")
        .start();
    (schema, proxy)
}

/// Answers a request for a file with these pieces.
async fn upload(raw: &mut Raw, text: &str, pieces: &[&[u8]]) -> Vec<Reply> {
    raw.send_query(text).await;
    let first = raw.result().await;
    let Reply::LocalInfile(_) = first else { return vec![first] };
    for piece in pieces {
        raw.write(piece).await;
    }
    raw.write(b"").await;
    raw.results().await
}

const FILE: &str = "INFILE 'x'";

on_every_server! {
    async fn files_for_unprotected_tables_pass_as_they_are(backend: Backend) {
        let (schema, proxy) = tables(&backend).await;
        for eof in EOF_FORMS {
            let mut through = Raw::through(&proxy, &schema, FLAGS | eof).await;
            let mut directly = Raw::directly(&schema, FLAGS | eof).await;
            let big = vec![b'b'; 17 << 20];
            let cases: [(&str, Vec<&[u8]>); 8] = [
                ("LOAD DATA LOCAL {f} INTO TABLE plain (id, email)", vec![b"1\ta\n2\tb\n"]),
                ("LOAD DATA LOCAL {f} INTO TABLE plain (id, email)", vec![b"3\t", b"a\n4\tb", b"\n"]),
                ("LOAD DATA LOCAL {f} INTO TABLE plain (id, email)", vec![]),
                ("LOAD DATA LOCAL {f} INTO TABLE plain (id, email)", vec![b"\x03SELECT 1"]),
                ("LOAD DATA LOCAL {f} INTO TABLE nowhere", vec![b"1\n"]),
                ("LOAD DATA LOCAL {f} INTO TABLE plain FIELDS TERMINATED BY ',' (id, @e) SET email = UPPER(@e)", vec![b"5,x\n"]),
                ("LOAD DATA LOCAL {f} INTO TABLE plain (id, note)", vec![b"6\t", &big, b"\n7\tx\n"]),
                ("SELECT 1; LOAD DATA LOCAL {f} INTO TABLE plain (id); SELECT COUNT(*) FROM plain", vec![b"8\n"]),
            ];
            for (statement, pieces) in cases {
                let statement = statement.replace("{f}", FILE);
                let mut answers = Vec::new();
                for raw in [&mut through, &mut directly] {
                    let mut replies = upload(raw, &statement, &pieces).await;
                    if statement.starts_with("SELECT 1;") {
                        let Reply::LocalInfile(_) = raw.result().await else { panic!("{statement}") };
                        raw.write(b"8\n").await;
                        raw.write(b"").await;
                        replies.extend(raw.results().await);
                    }
                    raw.one("DELETE FROM plain").await.ok();
                    answers.push(format!("{replies:?}"));
                }
                assert_eq!(answers[0], answers[1], "{statement}");
            }
        }
    }

    // MariaDB prepares nearly every statement; MySQL not this one.
    async fn a_prepared_statement_asks_for_its_file_too_where_nothing_is_protected(backend: Backend) {
        let (schema, proxy) = tables(&backend).await;
        for eof in EOF_FORMS {
            let mut outcomes = Vec::new();
            for through in [false, true] {
                let table = "plain";
                let mut raw = match through {
                    true => Raw::through(&proxy, &schema, FLAGS | eof).await,
                    false => Raw::directly(&schema, FLAGS | eof).await,
                };
                let mut seen = Vec::new();
                match raw.prepare(format!("LOAD DATA LOCAL {FILE} INTO TABLE {table} (id, email)")).await {
                    Err(error) => seen.push(error.code().to_string()),
                    Ok(p) => {
                        for file in [&b"1\tone\n2\ttwo\n"[..], b"3\tthree\n"] {
                            raw.send(&raw.execute_payload(p.id, 0, &[])).await;
                            assert!(matches!(raw.result().await, Reply::LocalInfile(_)));
                            raw.write(file).await;
                            raw.write(b"").await;
                            seen.push(format!("{:?}", raw.results().await));
                        }
                    }
                }
                seen.push(format!("{:?}", raw.one(format!("SELECT id, email FROM {table} ORDER BY id")).await.text()));
                raw.one(format!("DELETE FROM {table}")).await.ok();
                outcomes.push(seen);
            }
            assert_eq!(outcomes[0], outcomes[1]);
            assert_eq!(outcomes[0][0] == "1295", !backend.is_mariadb(), "{outcomes:?}");
            let mut raw = Raw::through(&proxy, &schema, FLAGS | eof).await;
            let refused = raw.prepare(format!("LOAD DATA LOCAL {FILE} INTO TABLE sealed (id, email)")).await.unwrap_err();
            assert!(refused.error().starts_with("1235 (42000) sealwire SW-"), "{refused:?}");
        }
    }

    async fn fields_of_protected_columns_are_sealed_on_their_way(backend: Backend) {
        let (schema, proxy) = tables(&backend).await;
        let mut raw = Raw::through(&proxy, &schema, FLAGS | caps::DEPRECATE_EOF).await;
        let canary = format!("canary-{}", schema.name);
        let quoted = format!("id,mail,note,tax\r\n1,\"{canary}, \"\"x\"\"\",n,t\r\n\"2\",Zoë,\"a\r\nb\",\"\"\r\n3,NULL,\"NULL\",\"NULL\"\r\n4,a\\,b\\n\\\\,x,t\\N\r\n");
        let cases = [
            ("(id, email, note, tax)", format!("1\t{canary}\tn\tt\n2\t\\N\t\\N\tx\n3\ta\\tb\\nc\\\\\\0d\t\\N\t\n")),
            ("CHARACTER SET utf8mb4 (id, tax, email)", "1\tZoë\t日本\n2\t\t\n".to_owned()),
            ("CHARACTER SET latin1 (email, tax)", "é\tx\n".to_owned()),
            ("(id, email, note, tax)", "1\ta\tn\tt".to_owned()),
            ("(id, email, note, tax)", "1\ta\tn\tt\textra\n2\tb\tn\tt\n".to_owned()),
            (
                "CHARACTER SET utf8mb4 FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' LINES TERMINATED BY '\\r\\n' IGNORE 1 LINES",
                quoted.clone(),
            ),
            ("CHARACTER SET utf8mb4 COLUMNS TERMINATED BY '||' ENCLOSED BY '\\'' ESCAPED BY '' LINES TERMINATED BY '<>\\n'",
                "'1'||'a\\'||b|b||'t'<>\n'2'||'x''y'||c||'t'<>\n".to_owned()),
            ("FIELDS TERMINATED BY x'3b' ESCAPED BY '^' (tax, id)", "a^;b;1\n^^c;2\n".to_owned()),
        ];
        for (options, file) in &cases {
            for piece in [1, 7, 100_000] {
                let pieces: Vec<&[u8]> = file.as_bytes().chunks(piece).collect();
                let mut stored = Vec::new();
                for table in ["sealed", "plain"] {
                    let replies = upload(&mut raw, &format!("LOAD DATA LOCAL {FILE} INTO TABLE {table} {options}"), &pieces).await;
                    let rows = raw.one(format!("SELECT id, email, note, tax FROM {table}")).await.text();
                    assert!(!rows.is_empty(), "{options}: {replies:?}");
                    raw.one(format!("DELETE FROM {table}")).await.ok();
                    stored.push((format!("{:?}", replies[0].ok()), rows));
                }
                assert_eq!(stored[0], stored[1], "{options} in pieces of {piece}");
            }
        }
        // The twin had it in the clear.
        let (options, file) = &cases[5];
        let secret = file.replace(&canary, &format!("secret-{}", schema.name));
        upload(&mut raw, &format!("LOAD DATA LOCAL {FILE} INTO TABLE sealed {options}"), &[secret.as_bytes()]).await[0].ok();
        assert_no_plaintext(&backend, &[&format!("secret-{}", schema.name)]).await;
        // Bytes of every kind.
        let every: Vec<u8> = (0..=255).collect();
        let mut file = b"1;".to_vec();
        for byte in &every {
            if matches!(byte, b';' | b'\n' | b'\\') {
                file.push(b'\\');
            }
            file.push(*byte);
        }
        file.push(b'\n');
        let text = format!("LOAD DATA LOCAL {FILE} INTO TABLE blobs CHARACTER SET latin1 FIELDS TERMINATED BY ';'");
        upload(&mut raw, &text, &[&file]).await[0].ok();
        let hex = schema.direct().await.query_first::<String, _>("SELECT HEX(data) FROM blobs").await.unwrap().unwrap();
        assert!(hex.starts_with("A50100"), "{hex}");
        let row = &raw.one("SELECT data FROM blobs").await.rows()[0].clone();
        assert_eq!(row[3..], every);
    }

    async fn a_file_that_cannot_be_sealed_leaves_nothing_behind(backend: Backend) {
        let (schema, proxy) = tables(&backend).await;
        let mut raw = Raw::through(&proxy, &schema, FLAGS).await;
        let long = format!("1\ta\n2\t{}\n", "x".repeat(400));
        for (options, file, code, expected) in [
            ("(id, email)", "1\ta\n2\n", 1366, "row 2 of the file has no field for"),
            ("(id, email)", "1\tZoë\n", 1366, "holds more than ASCII"),
            ("(id, email)", long.as_str(), 1406, "at row 2; sealwire SW-1801"),
            ("FIELDS ENCLOSED BY '\"' (id, email)", "1\t\"a\"b\n", 1366, "closing quote"),
            ("FIELDS ENCLOSED BY '\"' (id, email)", "1\ta\n2\t\"a", 1366, "row 2 of the file"),
        ] {
            for words in ["", "IGNORE", "REPLACE"] {
                let text = format!("LOAD DATA LOCAL {FILE} {words} INTO TABLE sealed {options}");
                let replies = upload(&mut raw, &text, &[file.as_bytes()]).await;
                let error = replies[0].error();
                assert!(replies[0].code() == code && error.contains(expected), "{options}: {error}");
                assert!(!error.contains("xxx") && !error.contains("Zo"), "{error}");
                assert_eq!(raw.one("SELECT COUNT(*) FROM sealed").await.text(), [[Some("0".to_owned())]]);
            }
        }
        let replies = upload(&mut raw, &format!("LOAD DATA LOCAL {FILE} INTO TABLE strict"), &[b"1\ta\n2\t\\N\n"]).await;
        assert!(replies[0].error().contains("row 2 of the file is NULL in"), "{replies:?}");
        let replies = upload(&mut raw, &format!("LOAD DATA LOCAL {FILE} INTO TABLE strict (id)"), &[]).await;
        assert!(replies[0].error().contains("SW-1306"), "{replies:?}");
        // Refused by its text: no file is asked for.
        let replies = upload(&mut raw, &format!("LOAD DATA LOCAL {FILE} INTO TABLE sealed (id, @e) SET email = @e"), &[]).await;
        assert!(replies[0].error().contains("SW-1505"), "{replies:?}");
        // Several statements in a packet.
        raw.send_query(format!("INSERT INTO sealed (id, email) VALUES (1, 'x'); LOAD DATA LOCAL {FILE} INTO TABLE sealed (id, email); \
            SELECT email FROM sealed ORDER BY id")).await;
        raw.result().await.ok();
        assert!(matches!(raw.result().await, Reply::LocalInfile(_)));
        raw.write(b"2\ty\n").await;
        raw.write(b"").await;
        let replies = raw.results().await;
        assert_eq!(replies[1].text(), [[Some("x".to_owned())], [Some("y".to_owned())]]);
    }

    async fn a_large_file_is_sealed_as_it_passes(backend: Backend) {
        let (schema, proxy) = tables(&backend).await;
        let mut raw = Raw::through(&proxy, &schema, FLAGS | caps::DEPRECATE_EOF).await;
        raw.send_query(format!("LOAD DATA LOCAL {FILE} INTO TABLE sealed (id, email, note)")).await;
        assert!(matches!(raw.result().await, Reply::LocalInfile(_)));
        let mut rows = 0;
        for _ in 0..40 {
            let mut piece = Vec::new();
            for _ in 0..50 {
                rows += 1;
                piece.extend_from_slice(format!("{rows}\te{rows}@example.org\t{}\n", "n".repeat(9000)).as_bytes());
            }
            raw.write(&piece).await;
        }
        raw.write(b"").await;
        assert_eq!(raw.results().await[0].ok().affected_rows, rows);
        let found = raw.one(format!("SELECT email, COUNT(*) OVER () FROM sealed WHERE id = {rows}")).await.text();
        assert_eq!(found, [[Some(format!("e{rows}@example.org")), Some("1".to_owned())]]);
        // Behind 16 MiB of rows a refusal can only end the connection; the session's transaction goes with it.
        raw.one("BEGIN").await.ok();
        raw.send_query(format!("LOAD DATA LOCAL {FILE} INTO TABLE sealed (id, email, note)")).await;
        assert!(matches!(raw.result().await, Reply::LocalInfile(_)));
        let piece: Vec<u8> = format!("999999\ta\t{}\n", "n".repeat(9000)).repeat(100).into_bytes();
        for _ in 0..25 {
            raw.write(&piece).await;
        }
        raw.write(b"999999\n").await;
        raw.write(b"").await;
        assert!(raw.result().await.error().contains("has no field for"));
        assert!(raw.closes_within(std::time::Duration::from_secs(20)).await);
        let mut direct = schema.direct().await;
        let mut left = u64::MAX;
        for _ in 0..100 {
            left = direct.query_first("SELECT COUNT(*) FROM sealed WHERE id = 999999").await.unwrap().unwrap();
            if left == 0 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        assert_eq!(left, 0);
    }

    async fn a_file_that_is_still_coming_when_its_key_is_lost_is_refused(backend: Backend) {
        let (schema, proxy) = tables(&backend).await;
        let vault = format!("{}.data_keys", schema.vault_schema());
        let mut direct = schema.direct().await;
        let mut raw = Raw::through(&proxy, &schema, FLAGS).await;
        let load = format!("LOAD DATA LOCAL {FILE} INTO TABLE strict (id, tax)");
        upload(&mut raw, &load, &[b"1\tbefore\n"]).await[0].ok();
        raw.send_query(load.clone()).await;
        assert!(matches!(raw.result().await, Reply::LocalInfile(_)));
        raw.write(b"2\tbegins\n").await;
        direct.query_drop(format!("CREATE TABLE kept AS SELECT * FROM {vault}")).await.unwrap();
        direct.query_drop(format!("DELETE FROM {vault}")).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(5500)).await;
        raw.write(b"3\tgoes on\n").await;
        raw.write(b"").await;
        assert!(raw.results().await[0].error().contains("SW-1919"));
        let ids: Vec<u32> = direct.query("SELECT id FROM strict").await.unwrap();
        assert_eq!(ids, [1]);
        direct.query_drop(format!("INSERT INTO {vault} SELECT * FROM kept")).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
        upload(&mut raw, &load, &[b"4\tagain\n"]).await[0].ok();
    }

    async fn fields_of_declared_types_are_converted_or_refused(backend: Backend) {
        let schema = Schema::create(&backend).await;
        schema.direct().await.query_drop("CREATE TABLE typed (id int, n varchar(99), d varchar(99))").await.unwrap();
        let proxy = Proxy::builder(&schema)
            .column("typed", "n", "{ type: int }")
            .column("typed", "d", "{ type: date }")
            .start();
        let mut raw = Raw::through(&proxy, &schema, FLAGS).await;
        let load = "LOAD DATA LOCAL INFILE 'x' INTO TABLE typed";
        upload(&mut raw, load, &[b"1\t007\t2026-1-2\n2\t\\N\t20260103\n"]).await[0].ok();
        for bad in [&b"3\tabc\t2026-01-02\n"[..], b"3\t1\t2026-02-30\n", b"3\t99999999999\t2026-01-02\n"] {
            assert_eq!(upload(&mut raw, load, &[bad]).await[0].code(), 1366);
        }
        let rows = raw.one("SELECT id, n, d FROM typed ORDER BY id").await.text();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(rows, [[text("1"), text("7"), text("2026-01-02")], [text("2"), None, text("2026-01-03")]]);
    }
}
