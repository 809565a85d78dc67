//! Values of protected columns are sealed in the database and open for the application, whatever the
//! statement that wrote them.

use mysql_async::prelude::Queryable;
use mysql_async::{Params, Row, Value, params};

use crate::on_every_server;
use crate::support::{Answer, Backend, Proxy, Schema, answer, assert_no_plaintext, text_rows};

const TABLE: &str = "CREATE TABLE users (id int PRIMARY KEY AUTO_INCREMENT, name varchar(100), \
     email varchar(191) DEFAULT NULL, secret text, raw varbinary(255) DEFAULT NULL, UNIQUE KEY (name))";

async fn protected(backend: &Backend) -> (Schema, Proxy) {
    let schema = Schema::create(backend).await;
    schema.direct().await.query_drop(TABLE).await.unwrap();
    let proxy = Proxy::builder(&schema)
        .column("users", "email", "{}")
        .column("users", "secret", "{}")
        .column("users", "raw", "{}")
        .start();
    (schema, proxy)
}

/// The text form of a sealed value, version 1.
fn is_sealed(text: &str) -> bool {
    let Some(body) = text.strip_suffix('.') else { return false };
    body.len() >= 47
        && matches!(body.get(..3), Some("pQE" | "pQI" | "pQM"))
        && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/')
}

on_every_server! {
    async fn every_write_form_seals_and_reads_back(backend: Backend) {
        let (schema, proxy) = protected(&backend).await;
        let mut app = proxy.connect().await;
        let mut direct = schema.direct().await;
        let canary = |number: u32| format!("canary-{}-{number}@example.org", schema.name);
        let [c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11] = std::array::from_fn(|number| canary(number as u32));
        // Each statement, then what the emails are, in the order of their names.
        let forms = [
            (format!("INSERT INTO users (name, email) VALUES ('a', '{c1}')"), vec![Some(c1.clone())]),
            (format!("INSERT INTO users VALUES (NULL, 'b', \"{c2}\", NULL, NULL)"), vec![Some(c1.clone()), Some(c2.clone())]),
            (
                format!("INSERT INTO users (email, name) VALUES ('{c3}', 'c'), (NULL, 'd')"),
                vec![Some(c1.clone()), Some(c2.clone()), Some(c3.clone()), None],
            ),
            (format!("INSERT INTO users SET name = 'd2', email = '{c4}'"), vec![Some(c1.clone()), Some(c2.clone()), Some(c3.clone()), None, Some(c4.clone())]),
            ("DELETE FROM users WHERE name IN ('b', 'c', 'd', 'd2')".to_owned(), vec![Some(c1.clone())]),
            (
                format!("INSERT INTO users (name, email) VALUES ('a', '{c5}') ON DUPLICATE KEY UPDATE email = VALUES(email)"),
                vec![Some(c5.clone())],
            ),
            (
                format!("INSERT INTO users (name, email) VALUES ('a', 'unused') ON DUPLICATE KEY UPDATE email = '{c6}'"),
                vec![Some(c6.clone())],
            ),
            (format!("REPLACE INTO users (name, email) VALUES ('a', '{c7}')"), vec![Some(c7.clone())]),
            (format!("UPDATE users SET email = '{c8}' WHERE name = 'a'"), vec![Some(c8.clone())]),
            (format!("UPDATE users SET email = CASE WHEN name = 'a' THEN '{c8}' ELSE '{c7}' END"), vec![Some(c8.clone())]),
            (format!("UPDATE users u JOIN users v ON u.id = v.id SET u.email = '{c9}', u.name = 'a'"), vec![Some(c9.clone())]),
            (format!("/* note */ INSERT INTO `{}`.`users` (`name`, `email`) VALUES ('b', '{c10}') -- end", schema.name), vec![Some(c9.clone()), Some(c10.clone())]),
            (
                format!("UPDATE users SET email = CASE WHEN name = 'a' THEN '{c11}' ELSE email END"),
                vec![Some(c11.clone()), Some(c10.clone())],
            ),
            (format!("UPDATE users SET email = '{c9}' WHERE name = 'a'"), vec![Some(c9.clone()), Some(c10.clone())]),
            ("INSERT INTO users (name) VALUES ('c')".to_owned(), vec![Some(c9.clone()), Some(c10.clone()), None]),
            ("UPDATE users SET email = NULL WHERE name = 'b'".to_owned(), vec![Some(c9.clone()), None, None]),
            ("UPDATE users SET email = '' WHERE name = 'b'".to_owned(), vec![Some(c9.clone()), Some(String::new()), None]),
        ];
        for (statement, expected) in &forms {
            app.query_drop(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
            let read = text_rows(&mut app, "SELECT email FROM users ORDER BY name").await;
            assert_eq!(read.into_iter().flatten().collect::<Vec<_>>(), *expected, "{statement}");
            let stored = text_rows(&mut direct, "SELECT email FROM users ORDER BY name").await;
            for (value, expected) in stored.into_iter().flatten().zip(expected) {
                assert_eq!(value.is_none(), expected.is_none(), "{statement}");
                if let Some(value) = value {
                    assert!(is_sealed(&value), "{statement} stored {value}");
                }
            }
        }
        let canaries = [&c1, &c2, &c3, &c4, &c5, &c6, &c7, &c8, &c9, &c10, &c11].map(String::as_str);
        assert_no_plaintext(&backend, &canaries).await;
    }

    async fn prepared_statements_seal_parameters_and_open_rows(backend: Backend) {
        let (schema, proxy) = protected(&backend).await;
        let mut app = proxy.connect().await;
        let mut direct = schema.direct().await;
        let canary = format!("prepared-{}@example.org", schema.name);
        let other = format!("again-{}@example.org", schema.name);
        let insert = app.prep("INSERT INTO users (name, email, raw) VALUES (?, ?, ?)").await.unwrap();
        let raw = vec![0u8, 39, 92, 255];
        app.exec_drop(&insert, ("a", &canary, &raw)).await.unwrap();
        app.exec_drop(&insert, ("b", &other, Option::<Vec<u8>>::None)).await.unwrap();
        app.exec_drop(&insert, ("c", Value::NULL, Value::NULL)).await.unwrap();
        app.exec_drop("UPDATE users SET email = ? WHERE name = ?", (&other, "c")).await.unwrap();

        let select = app.prep("SELECT name, email, raw FROM users WHERE id > ? ORDER BY name").await.unwrap();
        for _ in 0..2 {
            let rows: Vec<(String, Option<String>, Option<Vec<u8>>)> = app.exec(&select, (0,)).await.unwrap();
            let expected = [
                ("a".to_owned(), Some(canary.clone()), Some(raw.clone())),
                ("b".to_owned(), Some(other.clone()), None),
                ("c".to_owned(), Some(other.clone()), None),
            ];
            assert_eq!(rows, expected);
        }
        let stored = text_rows(&mut direct, "SELECT email FROM users").await;
        assert!(stored.iter().flatten().flatten().all(|value| is_sealed(value)), "{stored:?}");
        assert_no_plaintext(&backend, &[&canary, &other]).await;
    }

    async fn a_select_answers_as_a_plain_table_does(backend: Backend) {
        let reference = Schema::create(&backend).await;
        let mut directly = reference.direct_app().await;
        directly.query_drop(TABLE).await.unwrap();
        let (schema, proxy) = protected(&backend).await;
        let mut through = proxy.connect().await;
        let fill = "INSERT INTO users (name, email, secret, raw) VALUES ('a', 'a@example.org', 'long text', x'00ff27'), \
             ('b', NULL, '', ''), ('c', 'caf\u{e9} \u{1f600}', NULL, NULL)";
        directly.query_drop(fill).await.unwrap();
        through.query_drop(fill).await.unwrap();
        for statement in [
            "SELECT * FROM users ORDER BY id",
            "SELECT u.* FROM users u ORDER BY id",
            "SELECT email AS e, name FROM users AS x ORDER BY x.id",
            "SELECT COUNT(*), COUNT(email) FROM users",
            "SELECT name FROM users WHERE email IS NULL",
            "SELECT a.email, b.secret FROM users a JOIN users b ON a.id = b.id ORDER BY a.id",
            "SELECT a.name, b.email FROM users a LEFT JOIN users b ON b.id = a.id + 1 ORDER BY a.id",
            "SELECT d.email FROM (SELECT id, email FROM users) d ORDER BY d.id",
            "SELECT email FROM users WHERE id IN (SELECT id FROM users WHERE name <> 'b') ORDER BY id LIMIT 5",
            "SELECT email FROM users WHERE id = 99",
        ] {
            let expected = answer(&mut directly, statement).await;
            let mut got = answer(&mut through, statement).await;
            if let Answer::Rows { columns, .. } = &mut got {
                for column in columns.iter_mut().filter(|column| column.schema == schema.name) {
                    column.schema.clone_from(&reference.name);
                }
            }
            assert_eq!(got, expected, "{statement}");

            let expected: Vec<Row> = directly.exec(statement, Params::Empty).await.unwrap();
            let got: Vec<Row> = through.exec(statement, Params::Empty).await.unwrap();
            let plain = |rows: Vec<Row>| rows.into_iter().map(Row::unwrap).collect::<Vec<_>>();
            assert_eq!(plain(got), plain(expected), "prepared: {statement}");
        }
    }

    async fn text_that_needs_care_survives(backend: Backend) {
        let (_schema, proxy) = protected(&backend).await;
        let mut app = proxy.connect().await;
        let texts = ["it's", "back\\slash", "quote\"d", "new\nline", "nul\0byte", "100%", "caf\u{e9}", "\u{1f600}", "pQEAlooks-sealed.", " "];
        for text in texts {
            app.query_drop("DELETE FROM users").await.unwrap();
            app.exec_drop("INSERT INTO users (name, email) VALUES ('p', :text)", params! { "text" => text }).await.unwrap();
            let literal = Value::from(text).as_sql(false);
            app.query_drop(format!("INSERT INTO users (name, email) VALUES ('t', {literal})")).await.unwrap();
            let read: Vec<Option<String>> = app.query("SELECT email FROM users").await.unwrap();
            assert_eq!(read, [Some(text.to_owned()), Some(text.to_owned())], "{text:?}");
        }
    }

    async fn a_latin1_session_reads_what_a_utf8_session_wrote(backend: Backend) {
        let (_schema, proxy) = protected(&backend).await;
        let mut app = proxy.connect().await;
        app.query_drop("INSERT INTO users (name, email) VALUES ('a', 'caf\u{e9}')").await.unwrap();
        app.query_drop("SET NAMES latin1").await.unwrap();
        let read: Vec<Vec<u8>> = app.query("SELECT email FROM users").await.unwrap();
        assert_eq!(read, [b"caf\xe9".to_vec()]);
    }

    async fn two_equal_values_are_stored_differently(backend: Backend) {
        let (schema, proxy) = protected(&backend).await;
        let mut app = proxy.connect().await;
        app.query_drop("INSERT INTO users (name, email) VALUES ('a', 'same'), ('b', 'same')").await.unwrap();
        let mut direct = schema.direct().await;
        assert_eq!(text_rows(&mut direct, "SELECT COUNT(DISTINCT email) FROM users").await, [[Some("2".to_owned())]]);
    }

    async fn a_value_in_the_clear_is_an_error_to_the_reader(backend: Backend) {
        let (schema, proxy) = protected(&backend).await;
        schema.direct().await.query_drop("INSERT INTO users (name, email) VALUES ('a', 'in the clear')").await.unwrap();
        let mut app = proxy.connect().await;
        let Answer::Error { message, .. } = answer(&mut app, "SELECT email FROM users").await else { panic!("an error") };
        assert!(message.contains("SW-") && !message.contains("in the clear"), "{message}");
        // The connection lives on.
        assert_eq!(text_rows(&mut app, "SELECT 1").await, [[Some("1".to_owned())]]);
    }

    async fn a_moved_value_does_not_open(backend: Backend) {
        let (schema, proxy) = protected(&backend).await;
        let mut app = proxy.connect().await;
        app.query_drop("INSERT INTO users (name, email) VALUES ('a', 'moved away')").await.unwrap();
        schema.direct().await.query_drop("UPDATE users SET secret = email").await.unwrap();
        assert_eq!(text_rows(&mut app, "SELECT email FROM users").await, [[Some("moved away".to_owned())]]);
        let Answer::Error { message, .. } = answer(&mut app, "SELECT secret FROM users").await else { panic!("an error") };
        assert!(message.contains("SW-") && !message.contains("moved away"), "{message}");
    }

    async fn a_duplicate_key_error_shows_no_ciphertext(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut direct = schema.direct().await;
        direct.query_drop("CREATE TABLE users (id int PRIMARY KEY, name varchar(50) UNIQUE, email varchar(191))").await.unwrap();
        let proxy = Proxy::builder(&schema).column("users", "email", "{}").start();
        let mut app = proxy.connect().await;
        app.query_drop("INSERT INTO users VALUES (1, 'a', 'a@example.org')").await.unwrap();
        let Answer::Error { code, message, .. } = answer(&mut app, "INSERT INTO users VALUES (1, 'b', 'b@example.org')").await else {
            panic!("an error")
        };
        assert_eq!(code, 1062);
        assert!(!message.contains("pQ"), "{message}");
    }

    async fn show_and_describe_pass(backend: Backend) {
        let (_schema, proxy) = protected(&backend).await;
        let mut app = proxy.connect().await;
        for statement in [
            "SHOW CREATE TABLE users",
            "DESCRIBE users",
            "SHOW COLUMNS FROM users",
            "SHOW INDEX FROM users",
            "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_NAME = 'users'",
            "LOCK TABLES users WRITE",
            "UNLOCK TABLES",
            "ANALYZE TABLE users",
            "ALTER TABLE users ADD COLUMN added int",
            "TRUNCATE TABLE users",
        ] {
            let got = answer(&mut app, statement).await;
            assert!(!matches!(got, Answer::Error { .. } | Answer::Broken(_)), "{statement}: {got:?}");
        }
    }

    async fn what_the_server_would_store_by_itself_is_sealed(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut direct = schema.direct().await;
        direct
            .query_drop("CREATE TABLE people (id int PRIMARY KEY, name varchar(20), email varchar(191) NOT NULL)")
            .await
            .unwrap();
        let proxy = Proxy::builder(&schema).column("people", "email", "{}").start();
        let mut app = proxy.connect().await;
        app.query_drop("SET sql_mode = ''").await.unwrap();
        for statement in [
            "INSERT INTO people (id, name) VALUES (1, 'omitted'), (2, 'too')",
            "INSERT INTO people (id, name, email) VALUES (3, 'null', NULL), (4, 'null', NULL)",
            "INSERT INTO people (id, email) VALUES (5, 'five@example.org')",
            "UPDATE people SET email = NULL WHERE id = 5",
            "INSERT IGNORE INTO people (id, name) VALUES (6, 'ignore')",
        ] {
            app.query_drop(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
        let statement = app.prep("INSERT INTO people (id, name) VALUES (?, ?)").await.unwrap();
        app.exec_drop(&statement, (7, "prepared")).await.unwrap();
        let stored: Vec<(i32, String)> = direct.query("SELECT id, email FROM people ORDER BY id").await.unwrap();
        assert_eq!(stored.len(), 7);
        for (id, email) in stored {
            assert!(is_sealed(&email), "{id}: {email}");
        }
        let opened: Vec<String> = app.query("SELECT email FROM people").await.unwrap();
        assert_eq!(opened, [""; 7]);
    }
}
