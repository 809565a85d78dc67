//! Searchable columns: every statement gives what it gives on a twin whose column is not protected and
//! compares bytes, or is refused.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params, Row, Value};

use crate::on_every_server;
use crate::support::{Answer, Backend, Proxy, Schema, answer, assert_no_plaintext, text_rows};

/// `accounts` is protected; `plain` is its twin, under a collation that compares bytes and does not pad.
async fn twins(backend: &Backend) -> (Schema, Proxy) {
    let schema = Schema::create(backend).await;
    let mut conn = schema.direct().await;
    let nopad = if backend.is_mariadb() { "utf8mb4_nopad_bin" } else { "utf8mb4_0900_bin" };
    for (table, charset) in
        [("accounts", "ascii COLLATE ascii_bin"), ("plain", &format!("utf8mb4 COLLATE {nopad}")[..])]
    {
        conn.query_drop(format!(
            "CREATE TABLE {table} (id int PRIMARY KEY AUTO_INCREMENT, tax varchar(255) CHARACTER SET {charset}, \
             iban varchar(255) CHARACTER SET {charset} NOT NULL, raw varbinary(255), note varchar(100), \
             UNIQUE KEY iban (iban), KEY tax (tax))"
        ))
        .await
        .unwrap();
    }
    let proxy = Proxy::builder(&schema)
        .column("accounts", "tax", "{ search: exact }")
        .column("accounts", "iban", "{ search: exact }")
        .column("accounts", "raw", "{ search: exact }")
        .start();
    (schema, proxy)
}

fn on(table: &str, statement: &str) -> String {
    statement.replace("{t}", table)
}

/// What an application can tell of an answer, with the table's name out of the way and rows sorted.
fn told(answer: Answer) -> String {
    let text = match answer {
        Answer::Rows { columns, mut rows, warnings } => {
            rows.sort_by_key(|row| format!("{row:?}"));
            let names: Vec<String> = columns.into_iter().map(|column| column.name).collect();
            format!("{names:?} {rows:?} {warnings}")
        }
        Answer::Error { code, state, message } => {
            // Which value was there twice is not told of a sealed one.
            if code == 1062 { format!("{code} {state}") } else { format!("{code} {state} {message}") }
        }
        other => format!("{other:?}"),
    };
    text.replace("accounts", "plain")
}

async fn same(app: &mut Conn, statement: &str) -> String {
    let sealed = told(answer(app, &on("accounts", statement)).await);
    let plain = told(answer(app, &on("plain", statement)).await);
    assert_eq!(sealed, plain, "{statement}");
    sealed
}

const ROWS: &str = "INSERT INTO {t} (tax, iban, raw, note) VALUES ('100', 'DE1', x'00', 'a'), ('100', 'DE2', x'0001', 'b'), \
    ('Bob', 'DE3', NULL, 'c'), ('bob', 'DE4', 'bob', 'd'), ('bob ', 'DE5', 'Bob', 'e'), ('', 'DE6', '', 'f'), \
    (NULL, 'DE7', NULL, 'g'), ('Zoë''s', 'DE8', x'c3ab', 'h'), ('zoe', 'DE9', 'zoe', 'i'), ('0100', 'DE10', '1', 'j')";

on_every_server! {
    async fn every_comparison_answers_as_on_a_column_that_compares_bytes(backend: Backend) {
        let (_schema, proxy) = twins(&backend).await;
        let mut app = proxy.connect().await;
        same(&mut app, ROWS).await;
        for statement in [
            "SELECT id, tax, iban, raw FROM {t} WHERE tax = 'bob'",
            "SELECT id FROM {t} WHERE 'bob' = tax",
            "SELECT id FROM {t} WHERE tax = 'bob '",
            "SELECT id FROM {t} WHERE tax = ''",
            "SELECT id FROM {t} WHERE tax = 'nobody'",
            "SELECT id FROM {t} WHERE tax = 'Zoë\\'s' OR tax = \"zoe\"",
            "SELECT id FROM {t} WHERE tax <> 'bob'",
            "SELECT id FROM {t} WHERE NOT tax = 'bob'",
            "SELECT id FROM {t} WHERE NOT (tax <=> 'bob')",
            "SELECT id FROM {t} WHERE tax <=> NULL",
            "SELECT id FROM {t} WHERE tax = NULL",
            "SELECT id FROM {t} WHERE tax IN ('bob', '100', NULL, 'x')",
            "SELECT id FROM {t} WHERE tax NOT IN ('bob', '100')",
            "SELECT id FROM {t} WHERE tax NOT IN ('bob', NULL)",
            "SELECT id FROM {t} WHERE 'Bob' IN (tax, 'x')",
            "SELECT id FROM {t} WHERE (tax, note) = ('100', 'b')",
            "SELECT id FROM {t} WHERE (note, tax) IN (('a', '100'), ('d', 'bob'), ('g', NULL))",
            "SELECT id FROM {t} WHERE (tax, note) <> ('100', 'b')",
            "SELECT id FROM {t} WHERE tax IN (SELECT tax FROM {t} WHERE note IN ('a', 'd'))",
            "SELECT id FROM {t} WHERE tax NOT IN (SELECT tax FROM {t} WHERE note = 'a')",
            "SELECT id FROM {t} WHERE (tax, iban) IN (SELECT tax, iban FROM {t} WHERE id < 4)",
            "SELECT id FROM {t} WHERE tax = (SELECT tax FROM {t} WHERE note = 'b')",
            "SELECT id FROM {t} WHERE 'bob' = ANY (SELECT tax FROM {t})",
            "SELECT id FROM {t} WHERE tax <> ALL (SELECT tax FROM {t} WHERE note = 'a')",
            "SELECT a.id, b.id FROM {t} a JOIN {t} b ON a.tax = b.tax",
            "SELECT a.id, b.id, tax FROM {t} a JOIN {t} b USING (tax)",
            "SELECT a.id, b.tax FROM {t} a LEFT JOIN {t} b ON b.tax = a.tax AND b.id <> a.id",
            "SELECT id FROM {t} a WHERE EXISTS (SELECT 1 FROM {t} b WHERE b.tax = a.tax AND b.id <> a.id)",
            "SELECT tax, COUNT(*) FROM {t} GROUP BY tax",
            "SELECT tax, COUNT(*) AS n FROM {t} GROUP BY tax HAVING tax <> 'bob' AND n > 0",
            "SELECT tax, COUNT(*) FROM {t} GROUP BY tax WITH ROLLUP",
            "SELECT tax, raw FROM {t} GROUP BY 1, 2",
            "SELECT DISTINCT tax FROM {t}",
            "SELECT COUNT(DISTINCT tax), COUNT(DISTINCT tax, iban), COUNT(tax) FROM {t}",
            "SELECT tax FROM {t} WHERE id < 5 UNION SELECT tax FROM {t}",
            "SELECT tax AS t FROM {t} WHERE id < 5 UNION SELECT 'bob' UNION SELECT 'new'",
            "SELECT tax FROM {t} WHERE id < 5 INTERSECT SELECT tax FROM {t} WHERE id > 1",
            "SELECT tax FROM {t} EXCEPT SELECT tax FROM {t} WHERE id < 4",
            "SELECT id, ROW_NUMBER() OVER (PARTITION BY tax ORDER BY id) AS n FROM {t}",
            "SELECT CASE tax WHEN 'bob' THEN 1 WHEN '100' THEN 2 ELSE 3 END AS n, id FROM {t}",
            "SELECT CASE WHEN tax = 'bob' THEN tax ELSE NULL END AS n, id FROM {t}",
            "SELECT tax = 'bob' AS same, tax <=> NULL AS gone, id FROM {t}",
            "SELECT IF(tax = 'bob', 'yes', 'no') AS n FROM {t}",
            "SELECT id FROM {t} WHERE COALESCE(tax, 'bob') = 'bob'",
            "SELECT id FROM {t} ORDER BY tax = 'bob' DESC, id LIMIT 3",
            "SELECT id FROM {t} WHERE raw = x'00'",
            "SELECT id FROM {t} WHERE raw IN ('bob', x'c3ab', '')",
            "SELECT d.t, COUNT(*) FROM (SELECT tax AS t FROM {t}) d WHERE d.t <> '100' GROUP BY d.t",
            "WITH c AS (SELECT tax AS t, id FROM {t}) SELECT c.id FROM c JOIN {t} p ON p.tax = c.t WHERE c.t = 'bob'",
            "UPDATE {t} SET note = 'found' WHERE tax = 'bob'",
            "UPDATE {t} SET tax = 'bob' WHERE tax = 'bob'",
            "UPDATE {t} SET tax = 'rob' WHERE tax IN ('bob', 'Bob')",
            "UPDATE {t} SET note = IF(tax = 'rob', 'r', note)",
            "UPDATE {t} a JOIN {t} b ON a.tax = b.tax SET a.note = b.note WHERE b.tax = '100'",
            "SELECT id, tax, iban, raw, note FROM {t}",
            "DELETE FROM {t} WHERE tax = '100' LIMIT 1",
            "DELETE a FROM {t} a JOIN {t} b ON a.tax = b.tax WHERE b.tax = 'zoe'",
            "SELECT id, tax, iban, raw, note FROM {t}",
        ] {
            let told = same(&mut app, statement).await;
            assert!(!told.contains("pQI"), "{statement}: {told}");
        }
    }

    async fn placeholders_answer_as_on_a_column_that_compares_bytes(backend: Backend) {
        let (_schema, proxy) = twins(&backend).await;
        let mut app = proxy.connect().await;
        same(&mut app, ROWS).await;
        let text = |value: &str| Value::from(value);
        for (statement, params) in [
            ("SELECT id, tax FROM {t} WHERE tax = ? ORDER BY id", vec![text("bob")]),
            ("SELECT id, tax FROM {t} WHERE tax = ? ORDER BY id", vec![Value::NULL]),
            ("SELECT id FROM {t} WHERE tax <=> ? ORDER BY id", vec![Value::NULL]),
            ("SELECT id FROM {t} WHERE ? IN (tax, 'x') ORDER BY id", vec![text("Bob")]),
            ("SELECT id FROM {t} WHERE tax IN (?, ?, ?) AND id > ? ORDER BY id", vec![text("100"), text(""), Value::NULL, Value::Int(1)]),
            ("SELECT id FROM {t} WHERE (id, tax) = (?, ?)", vec![Value::Int(2), text("100")]),
            ("SELECT CASE tax WHEN ? THEN ? ELSE 0 END AS n FROM {t} ORDER BY id", vec![text("bob"), Value::Int(7)]),
            ("SELECT id FROM {t} WHERE raw = ?", vec![Value::Bytes(vec![0, 1])]),
            // Longer than the column holds.
            ("SELECT id FROM {t} WHERE tax = ? OR tax <> ? ORDER BY id", vec![text(&"x".repeat(1000)), text(&"y".repeat(1000))]),
            ("UPDATE {t} SET tax = ? WHERE tax = ?", vec![text("rob"), text("bob")]),
            ("INSERT INTO {t} (iban, tax) VALUES (?, ?) ON DUPLICATE KEY UPDATE tax = VALUES(tax)", vec![text("DE1"), text("upserted")]),
            ("DELETE FROM {t} WHERE iban IN (?, ?)", vec![text("DE2"), text("DE99")]),
            ("SELECT id, tax, iban FROM {t} ORDER BY id", vec![]),
        ] {
            let mut outcomes = Vec::new();
            for table in ["accounts", "plain"] {
                let rows: Vec<Row> = app.exec(on(table, statement), Params::Positional(params.clone())).await
                    .unwrap_or_else(|error| panic!("{statement} on {table}: {error}"));
                let rows: Vec<Vec<Value>> = rows.into_iter().map(Row::unwrap).collect();
                outcomes.push((rows, app.affected_rows()));
            }
            assert_eq!(outcomes[0], outcomes[1], "{statement}");
        }
        let error = app.exec_drop("SELECT id FROM accounts WHERE tax = ?", (100,)).await.unwrap_err().to_string();
        assert!(error.contains("SW-1210"), "{error}");
        // The session goes on, and a string finds what the number would have.
        let found: Vec<u32> = app.exec("SELECT id FROM accounts WHERE tax = ?", ("0100",)).await.unwrap();
        assert_eq!(found, [10]);
    }

    async fn unique_keys_hold_and_duplicates_are_told_without_their_value(backend: Backend) {
        let (schema, proxy) = twins(&backend).await;
        let mut app = proxy.connect().await;
        for statement in [
            "INSERT INTO {t} (tax, iban) VALUES ('1', 'DE1')",
            "INSERT INTO {t} (tax, iban) VALUES ('2', 'DE1')",
            "INSERT INTO {t} (tax, iban) VALUES ('2', 'de1')",
            "INSERT IGNORE INTO {t} (tax, iban) VALUES ('3', 'DE1')",
            "INSERT INTO {t} (tax, iban) VALUES ('4', 'DE1') ON DUPLICATE KEY UPDATE tax = VALUES(tax), note = 'twice'",
            "REPLACE INTO {t} (tax, iban) VALUES ('5', 'DE1')",
            "UPDATE {t} SET iban = 'de1' WHERE iban = 'DE1'",
            "SELECT tax, iban, note FROM {t}",
        ] {
            same(&mut app, statement).await;
        }
        let Answer::Error { code: 1062, message, .. } =
            answer(&mut app, "INSERT INTO accounts (iban) VALUES ('DE1')").await
        else {
            panic!("must be a duplicate")
        };
        assert!(message.contains("for key") && !message.contains("pQ") && !message.contains("DE1"), "{message}");
        let warnings = {
            app.query_drop("INSERT IGNORE INTO accounts (iban) VALUES ('DE1')").await.unwrap();
            text_rows(&mut app, "SHOW WARNINGS").await
        };
        assert!(!format!("{warnings:?}").contains("pQ"), "{warnings:?}");
        // Sealed in the database, alike where values are alike.
        let stored = text_rows(&mut schema.direct().await, "SELECT iban, tax FROM accounts").await;
        assert!(stored.iter().flatten().flatten().all(|value| value.starts_with("pQIB") && value.ends_with('.')), "{stored:?}");
    }

    async fn a_search_uses_the_ordinary_index(backend: Backend) {
        let (schema, proxy) = twins(&backend).await;
        let mut app = proxy.connect().await;
        for batch in 0..10 {
            let rows: Vec<String> =
                (0..100).map(|n| format!("('tax {batch} {n}', 'iban {batch} {n}')")).collect();
            app.query_drop(format!("INSERT INTO accounts (tax, iban) VALUES {}", rows.join(","))).await.unwrap();
        }
        schema.direct().await.query_drop("ANALYZE TABLE accounts").await.unwrap();
        // MySQL 9 prints a tree unless told otherwise; MariaDB knows no such format.
        let format = if backend.is_mariadb() { "" } else { "FORMAT=TRADITIONAL " };
        for (statement, key) in [
            ("SELECT id FROM accounts WHERE tax = 'tax 3 7'", "tax"),
            ("SELECT id FROM accounts WHERE tax IN ('tax 3 7', 'tax 3 8')", "tax"),
            ("SELECT id FROM accounts WHERE iban = 'iban 3 7'", "iban"),
            ("SELECT a.id FROM accounts a JOIN accounts b ON a.tax = b.tax WHERE b.id = 7", "tax"),
        ] {
            let plan: Vec<Row> = app.query(format!("EXPLAIN {format}{statement}")).await.unwrap();
            let keys: Vec<Option<String>> = plan.iter().map(|row| row.get::<Option<String>, _>("key").flatten()).collect();
            assert!(keys.iter().flatten().any(|found| found == key), "{statement}: {keys:?}");
            let rows: Vec<Option<u64>> = plan.iter().map(|row| row.get::<Option<u64>, _>("rows").flatten()).collect();
            assert!(rows.iter().flatten().all(|rows| *rows <= 10), "{statement}: {rows:?}");
            assert_eq!(text_rows(&mut app, statement).await.len(), if statement.contains(" IN ") { 2 } else { 1 });
        }
    }

    async fn prepared_statements_return_the_rows_they_write(backend: Backend) {
        if !backend.is_mariadb() {
            return;
        }
        let (_schema, proxy) = twins(&backend).await;
        let mut app = proxy.connect().await;
        for (statement, params) in [
            ("INSERT INTO {t} (tax, iban) VALUES (?, ?), (?, 'DE2') RETURNING id, tax, iban AS i", vec!["a", "DE1", "b"]),
            ("REPLACE INTO {t} (tax, iban) VALUES ('c', ?) RETURNING *", vec!["DE1"]),
            ("DELETE FROM {t} WHERE tax = ? RETURNING iban, tax", vec!["b"]),
        ] {
            let mut answers: Vec<Vec<Vec<Value>>> = Vec::new();
            for table in ["accounts", "plain"] {
                let rows: Vec<Row> = app.exec(on(table, statement), params.clone()).await
                    .unwrap_or_else(|error| panic!("{statement} on {table}: {error}"));
                answers.push(rows.into_iter().map(Row::unwrap).collect());
            }
            assert!(!answers[0].is_empty());
            assert_eq!(answers[0], answers[1], "{statement}");
        }
    }

    async fn columns_with_a_declared_type_are_found_by_what_equals_their_values(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut conn = schema.direct().await;
        let (nopad, types) = (
            if backend.is_mariadb() { "utf8mb4_nopad_bin" } else { "utf8mb4_0900_bin" },
            [("n", "int"), ("price", "decimal(10,2)"), ("ratio", "double"), ("born", "date"), ("at", "datetime(3)"),
                ("code", "char(11)"), ("kind", "enum('a','b')"), ("raw", "varbinary(20)")],
        );
        let text: Vec<String> = types.iter().map(|(name, _)| format!("{name} varchar(191) CHARACTER SET ascii COLLATE ascii_bin")).collect();
        let typed: Vec<String> = types.iter().map(|(name, logical)| format!("{name} {logical}")).collect();
        conn.query_drop(format!("CREATE TABLE accounts (id int PRIMARY KEY, {})", text.join(", "))).await.unwrap();
        conn.query_drop(format!("CREATE TABLE plain (id int PRIMARY KEY, {}) COLLATE {nopad}", typed.join(", "))).await.unwrap();
        let mut builder = Proxy::builder(&schema);
        for (name, logical) in types {
            builder = builder.column("accounts", name, &format!("{{ search: exact, type: \"{logical}\" }}"));
        }
        let proxy = builder.start();
        let mut app = proxy.connect().await;
        same(&mut app, "INSERT INTO {t} VALUES (1, 5, 1.5, 0.1, '2024-02-29', '2024-02-29', '007', 'a', x'00'), \
            (2, -5, 100, 1e20, '2024-03-01', '2024-02-29 10:11:12.5', 'ab', 'b', 'x'), (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL), \
            (4, 5, 5, 5, '2024-02-29', '2024-02-29 00:00:00.001', '5', 'a', '5')").await;
        for condition in [
            "n = 5", "n = '5'", "n IN (5, -5, 6)", "n <> 5", "n <=> NULL", "5 = n", "n = +5", "n = 005", "n = 5.0",
            "price = 1.5", "price = '1.50'", "price = 100", "ratio = 0.1", "ratio = 1e20", "ratio = 5",
            "born = '2024-02-29'", "at = '2024-02-29'", "at = '2024-02-29 00:00:00'", "at = '2024-02-29 10:11:12.500'",
            "code = '007'", "code <> '007'", "kind = 'a'", "raw = x'00'", "raw IN ('x', '5')",
            "(n, price) = (5, 1.5)", "a.n = (SELECT n FROM {t} WHERE id = 1)",
        ] {
            same(&mut app, &format!("SELECT id FROM {{t}} a WHERE {condition}")).await;
        }
        same(&mut app, "SELECT n, COUNT(*) FROM {t} GROUP BY n").await;
        same(&mut app, "SELECT a.id, b.id FROM {t} a JOIN {t} b USING (born)").await;
        for refused in ["n = 5.5", "n = '5x'", "price = 1.555", "born = '2024-02-29 10:00:00'", "born = 20240229", "code = 7",
            "code = '123456789012'", "kind = 1", "at = '2024-02-29 10:11:12.0001'"] {
            let error = app.query_drop(format!("SELECT id FROM accounts WHERE {refused}")).await.unwrap_err().to_string();
            assert!(error.contains("SW-1210"), "{refused}: {error}");
        }
        for (condition, params) in [
            ("n = ?", vec![Value::Int(5)]), ("n = ?", vec![Value::from("5")]), ("price = ?", vec![Value::Double(1.5)]),
            ("price = ?", vec![Value::from("1.5")]), ("born = ?", vec![Value::Date(2024, 2, 29, 0, 0, 0, 0)]),
            ("at = ?", vec![Value::Date(2024, 2, 29, 10, 11, 12, 500_000)]), ("ratio = ?", vec![Value::Double(0.1)]),
            ("code IN (?, ?)", vec![Value::from("007"), Value::NULL]), ("kind = ?", vec![Value::from("b")]),
        ] {
            let mut found: Vec<Result<Vec<u32>, String>> = Vec::new();
            for table in ["accounts", "plain"] {
                let sql = format!("SELECT id FROM {table} WHERE {condition} ORDER BY id");
                found.push(app.exec(sql, Params::Positional(params.clone())).await.map_err(|error| error.to_string()));
            }
            match &found[0] {
                Err(error) => assert!(error.contains("SW-1210") && condition == "price = ?", "{condition}: {error}"),
                Ok(_) => assert_eq!(found[0], found[1], "{condition}"),
            }
        }
    }

    async fn what_is_compared_reaches_neither_logs_nor_files(backend: Backend) {
        let (schema, proxy) = twins(&backend).await;
        let mut app = proxy.connect().await;
        let [a, b, c] = ["a", "b", "c"].map(|name| format!("canary-{}-{name}", schema.name));
        app.query_drop(format!("INSERT INTO accounts (tax, iban) VALUES ('{a}', '{b}')")).await.unwrap();
        app.query_drop(format!("SELECT id FROM accounts WHERE tax = '{c}' OR (id, iban) IN ((1, '{b}'), (2, '{c}'))")).await.unwrap();
        app.query_drop(format!("DELETE FROM accounts WHERE CASE tax WHEN '{c}' THEN 1 ELSE 0 END = 1")).await.unwrap();
        app.exec_drop("SELECT id FROM accounts WHERE tax <=> ? OR ? IN (iban)", (&c, &a)).await.unwrap();
        for refused in ["tax LIKE", "tax >", "LOWER(tax) =", "note = tax AND tax ="] {
            let error = app.query_drop(format!("SELECT id FROM accounts WHERE {refused} '{c}'")).await.unwrap_err();
            assert!(error.to_string().contains("sealwire SW-12"), "{error}");
        }
        assert_no_plaintext(&backend, &[&a, &b, &c]).await;
    }

    async fn a_proxy_beside_it_and_a_restart_find_the_same_values(backend: Backend) {
        let (schema, proxy) = twins(&backend).await;
        let folder = tempfile::tempdir().unwrap();
        drop(proxy);
        let start = || Proxy::builder(&schema)
            .keyring(&folder.path().join("keyring"))
            .column("accounts", "tax", "{ search: exact }")
            .column("accounts", "iban", "{ search: exact }")
            .start();
        let (one, two) = (start(), start());
        let mut app = one.connect().await;
        app.query_drop("INSERT INTO accounts (tax, iban) VALUES ('a', 'b')").await.unwrap();
        assert_eq!(text_rows(&mut two.connect().await, "SELECT iban FROM accounts WHERE tax = 'a'").await.len(), 1);
        drop((one, two));
        let mut app = start();
        assert_eq!(text_rows(&mut app.connect().await, "SELECT iban FROM accounts WHERE tax = 'a'").await.len(), 1);
        app.stop();
        // Without its search key the table is not sealed under a new one: nothing would be found again.
        let mut direct = schema.direct().await;
        let vault = schema.vault_schema();
        direct.query_drop(format!("DELETE FROM {vault}.data_keys WHERE purpose = 'search'")).await.unwrap();
        let app = start();
        let mut conn = app.connect().await;
        let error = conn.query_drop("SELECT id FROM accounts WHERE tax = 'a'").await.unwrap_err().to_string();
        assert!(error.contains("SW-1907"), "{error}");
        assert_eq!(text_rows(&mut conn, "SELECT tax FROM accounts").await[0][0].as_deref(), Some("a"));
    }
}
