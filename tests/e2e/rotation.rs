//! Rotation of a table with searchable columns, beside two proxies that go on: values of every live version are
//! found, what cannot be told is refused, and whole values compare again when the version before is retired.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};

use crate::on_every_server;
use crate::support::code;
use crate::support::{Backend, Proxy, ProxyBuilder, Schema, text_rows};

/// `users`: `tax` is text and `photo` bytes, both searchable and indexed; `twin` is what `tax` is, in the clear.
struct Scene {
    schema: Schema,
    keyring: tempfile::TempDir,
}

impl Scene {
    async fn set(backend: &Backend) -> Self {
        let schema = Schema::create(backend).await;
        let table = "CREATE TABLE users (id int PRIMARY KEY AUTO_INCREMENT, twin varchar(40) COLLATE utf8mb4_bin, \
                     tax varchar(200) CHARACTER SET ascii COLLATE ascii_bin, photo varbinary(200), \
                     KEY tax (tax), KEY photo (photo))";
        schema.direct().await.query_drop(table).await.unwrap();
        Self { schema, keyring: tempfile::tempdir().unwrap() }
    }

    fn builder(&self) -> ProxyBuilder {
        Proxy::builder(&self.schema)
            .keyring(&self.keyring.path().join("keyring.json"))
            .kms_setting("cache: { ttl: 2s, max_stale: 1h }")
            .column("users", "tax", "{ search: exact }")
            .column("users", "photo", "{ search: exact }")
    }

    fn keys(&self, words: &[&str]) -> (Command, tempfile::TempDir) {
        let builder = self.builder();
        let (folder, config) = builder.write();
        let mut command = builder.command();
        command.arg("keys").args(words).arg("-c").arg(config).env("SEALWIRE_LOG", "off");
        (command, folder)
    }

    fn run(&self, words: &[&str]) -> (bool, String) {
        let (mut command, _folder) = self.keys(words);
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.success(), text(&output.stdout) + &text(&output.stderr))
    }

    fn rotation(&self) -> (Child, tempfile::TempDir) {
        let (mut command, folder) = self.keys(&["rotate", &self.scope()]);
        (command.stdout(Stdio::null()).spawn().unwrap(), folder)
    }

    fn scope(&self) -> String {
        format!("{}.users", self.schema.name)
    }

    /// How many keys the stored values are sealed with.
    async fn keys_in_use(&self) -> usize {
        let sql = "SELECT DISTINCT SUBSTRING(tax, 21, 5) FROM users WHERE tax IS NOT NULL";
        self.schema.direct().await.query::<String, _>(sql).await.unwrap().len()
    }
}

async fn insert(app: &mut Conn, value: &str) {
    app.query_drop(format!("INSERT INTO users (twin, tax, photo) VALUES ('{value}', '{value}', '{value}')"))
        .await
        .unwrap();
}

/// Conditions over `{c}`, which is `twin` in the clear or protected.
const CONDITIONS: [&str; 17] = [
    "{c} = 'a'",
    "'a' = {c}",
    "{c} <=> 'a'",
    "{c} <=> NULL",
    "NOT ({c} <=> 'a')",
    "{c} <> 'a'",
    "NOT {c} = 'a'",
    "{c} IN ('a', 'c')",
    "{c} IN ('a', NULL)",
    "NOT ({c} IN ('a', 'c'))",
    "{c} NOT IN ('a', 'c')",
    "{c} NOT IN ('a', NULL)",
    "(id > 0, {c}) IN ((TRUE, 'b'), (TRUE, 'c'))",
    "CASE {c} WHEN 'a' THEN id > 3 WHEN 'b' THEN TRUE ELSE FALSE END",
    "{c} = IF(id > 3, 'a', 'b')",
    "({c} = 'a') IS NULL",
    "EXISTS (SELECT 1 FROM users other WHERE other.{c} = users.{c} AND other.id < users.id)",
];

const REFUSED: [&str; 6] = [
    "SELECT tax, COUNT(*) FROM users GROUP BY tax",
    "SELECT DISTINCT tax FROM users",
    "SELECT COUNT(DISTINCT tax) FROM users",
    "SELECT tax FROM users UNION SELECT tax FROM users",
    "SELECT id FROM users WHERE tax IN (SELECT tax FROM users)",
    "CREATE UNIQUE INDEX one ON users (tax, id)",
];

async fn every_condition_finds_what_it_finds_in_the_clear(app: &mut Conn) {
    for condition in CONDITIONS {
        let mut rows = Vec::new();
        for column in ["twin", "tax", "photo"] {
            let statement = format!("SELECT id FROM users WHERE {} ORDER BY id", condition.replace("{c}", column));
            rows.push(text_rows(app, &statement).await);
        }
        assert_eq!(rows[0], rows[1], "{condition} over text");
        assert_eq!(rows[0], rows[2], "{condition} over bytes");
    }
    let joined = |column: &str| {
        format!("SELECT a.id, b.id FROM users a JOIN users b ON a.{column} = b.{column} ORDER BY a.id, b.id")
    };
    assert_eq!(text_rows(app, &joined("tax")).await, text_rows(app, &joined("twin")).await);
}

on_every_server! {
    async fn searchable_values_of_every_live_version_are_found_by_every_proxy(backend: Backend) {
        let scene = Scene::set(&backend).await;
        let scope = scene.scope();
        let proxies = [scene.builder().start(), scene.builder().start()];
        let (mut one, mut two) = (proxies[0].connect().await, proxies[1].connect().await);
        for value in ["a", "b", "c", "a"] {
            insert(&mut one, value).await;
        }
        one.query_drop("INSERT INTO users (twin, tax, photo) VALUES (NULL, NULL, NULL)").await.unwrap();
        let count = "SELECT COUNT(*) FROM users WHERE tax = ?";
        let prepared = two.prep(count).await.unwrap();
        let literal = two.prep("SELECT COUNT(*) FROM users WHERE tax = 'a' AND id > ?").await.unwrap();
        assert_eq!(two.exec_first::<u64, _, _>(&prepared, ("a",)).await.unwrap(), Some(2));
        assert_eq!(two.exec_first::<u64, _, _>(&literal, (0,)).await.unwrap(), Some(2));

        // While it is pending, and becomes active: a value written by one proxy is found by the other at once,
        // whatever each of them knows.
        let (mut rotation, _folder) = scene.rotation();
        let mut written = 2;
        let mut after = 0;
        while after < 12 {
            insert(&mut one, "a").await;
            insert(&mut two, "a").await;
            written += 2;
            for app in [&mut one, &mut two] {
                assert_eq!(text_rows(app, "SELECT COUNT(*) FROM users WHERE tax = 'a'").await, [[Some(format!("{written}"))]]);
                assert_eq!(text_rows(app, "SELECT COUNT(*) FROM users WHERE photo IN ('a')").await, [[Some(format!("{written}"))]]);
            }
            if scene.keys_in_use().await == 2 {
                after += 1;
            }
            assert!(written < 2000, "no value was ever sealed with the new version");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(rotation.wait().unwrap().success());

        for app in [&mut one, &mut two] {
            insert(app, "b").await;
            insert(app, "new").await;
        }
        for app in [&mut one, &mut two] {
            every_condition_finds_what_it_finds_in_the_clear(app).await;
            for statement in REFUSED {
                let expected = if statement.starts_with("CREATE") { "SW-1407" } else { "SW-1211" };
                assert_eq!(code(app, statement).await, expected, "{statement}");
            }
        }
        // Statements from before say that they must be prepared again, rather than miss rows.
        for (statement, values) in [(&prepared, mysql_async::Params::from(("a",))), (&literal, (0,).into())] {
            let error = two.exec_first::<u64, _, _>(statement, values).await.unwrap_err();
            assert!(error.to_string().contains("SW-1704"), "{error}");
        }
        let mut fresh = proxies[1].connect().await;
        assert_eq!(fresh.exec_first::<u64, _, _>(count, ("a",)).await.unwrap(), Some(written));
        let list = "SELECT COUNT(*) FROM users WHERE tax IN (?, ?) AND NOT photo <=> ? AND (id > ?, photo) IN ((TRUE, ?))";
        assert_eq!(fresh.exec_first::<u64, _, _>(list, ("a", "c", "b", 0, "a")).await.unwrap(), Some(written));

        // The ordinary index.
        for at in 0..300 {
            insert(&mut one, &format!("filler {at}")).await;
        }
        scene.schema.direct().await.query_drop("ANALYZE TABLE users").await.unwrap();
        let format = if backend.is_mariadb() { "" } else { "FORMAT=TRADITIONAL " };
        for statement in ["SELECT id FROM users WHERE tax = 'new'", "SELECT id FROM users WHERE tax IN ('new', 'filler 7')"] {
            let plan: Vec<Row> = one.query(format!("EXPLAIN {format}{statement}")).await.unwrap();
            let key = plan[0].get::<Option<String>, _>("key").flatten();
            let rows = plan[0].get::<Option<u64>, _>("rows").flatten();
            assert!(key.as_deref() == Some("tax") && rows.is_some_and(|rows| rows < 20), "{statement}: {key:?} {rows:?}");
        }

        // A version that somebody marks as retired by hand: its values are refused, and searches compare whole values
        // as after a retirement, so that they find those of the other version only.
        let mut direct = scene.schema.direct().await;
        let vault = format!("{}.data_keys", scene.schema.vault_schema());
        let mark = |to: &str| format!("UPDATE {vault} SET state = '{to}' WHERE purpose = 'data' AND version = 1");
        direct.query_drop(mark("retired")).await.unwrap();
        let marked = scene.builder().start();
        let mut app = marked.connect().await;
        let newer = "SELECT COUNT(*) FROM users WHERE SUBSTRING(tax, 21, 5) = (SELECT SUBSTRING(tax, 21, 5) FROM users \
                     WHERE tax IS NOT NULL ORDER BY id DESC LIMIT 1) AND twin = 'b'";
        let newer: u64 = direct.query_first(newer).await.unwrap().unwrap();
        let found = text_rows(&mut app, "SELECT COUNT(*) FROM users WHERE tax = 'b'").await;
        assert_eq!(found, [[Some(newer.to_string())]]);
        assert!(newer > 0 && newer < 3, "{newer}");
        assert_eq!(code(&mut app, "SELECT tax FROM users WHERE tax IS NOT NULL ORDER BY id LIMIT 1").await, "SW-1906");
        direct.query_drop(mark("superseded")).await.unwrap();
        let old: String = direct.query_first("SELECT tax FROM users WHERE id = 1").await.unwrap().unwrap();

        // Written again, every value takes the active version; the one before is retired, and whole values compare.
        let (ok, said) = scene.run(&["retire", &scope, "1"]);
        assert!(!ok && said.contains("are still sealed with version 1"), "{said}");
        for value in ["a", "b", "c"] {
            one.query_drop(format!("UPDATE users SET tax = '{value}', photo = '{value}' WHERE tax = '{value}'")).await.unwrap();
        }
        let (ok, said) = scene.run(&["retire", &scope, "1"]);
        assert!(ok, "{said}");
        tokio::time::sleep(Duration::from_millis(1100)).await;
        for app in [&mut one, &mut two] {
            every_condition_finds_what_it_finds_in_the_clear(app).await;
            for statement in REFUSED.iter().filter(|statement| statement.starts_with("SELECT")) {
                assert_eq!(code(app, statement).await, "ok", "{statement}");
            }
        }
        // As it was, but its literal was sealed with the retired version.
        assert_eq!(two.exec_first::<u64, _, _>(&prepared, ("a",)).await.unwrap(), Some(written));
        let error = two.exec_first::<u64, _, _>(&literal, (0,)).await.unwrap_err();
        assert!(error.to_string().contains("SW-1704"), "{error}");
        // A value of the retired version put back.
        scene.schema.direct().await.exec_drop("UPDATE users SET tax = ? WHERE id = 1", (&old,)).await.unwrap();
        let fresh = scene.builder().start();
        assert_eq!(code(&mut fresh.connect().await, "SELECT tax FROM users WHERE id = 1").await, "SW-1917");
    }

    async fn tables_with_unique_or_foreign_keys_over_searchable_columns_are_not_rotated(backend: Backend) {
        let scene = Scene::set(&backend).await;
        let scope = scene.scope();
        let mut direct = scene.schema.direct().await;
        let proxy = scene.builder().start();
        insert(&mut proxy.connect().await, "a").await;
        for (make, drop, named) in [
            ("CREATE UNIQUE INDEX once ON users (id, tax)", "DROP INDEX once ON users", "the unique key once"),
            (
                "CREATE TABLE cars (id int PRIMARY KEY, owner varchar(200) CHARACTER SET ascii COLLATE ascii_bin, \
                 CONSTRAINT owned FOREIGN KEY (owner) REFERENCES users (tax))",
                "DROP TABLE cars",
                "the foreign key owned of cars",
            ),
        ] {
            // MySQL wants a unique key behind a foreign key, which is named first.
            let made = direct.query_drop(make).await;
            if made.is_err() && make.contains("REFERENCES") {
                continue;
            }
            made.unwrap();
            let (ok, said) = scene.run(&["rotate", &scope]);
            assert!(!ok && said.contains(named), "{said}");
            direct.query_drop(drop).await.unwrap();
        }
        let states = format!("SELECT COUNT(*) FROM {}.data_keys WHERE purpose = 'data'", scene.schema.vault_schema());
        assert_eq!(direct.query_first::<u64, _>(&states).await.unwrap(), Some(1));
        // One that appears while the new version waits keeps it waiting.
        let (mut rotation, _folder) = scene.rotation();
        for _ in 0..400 {
            if direct.query_first::<u64, _>(&states).await.unwrap() == Some(2) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        direct.query_drop("CREATE UNIQUE INDEX once ON users (id, tax)").await.unwrap();
        assert!(!rotation.wait().unwrap().success());
        let pending: String = direct
            .query_first(format!("SELECT state FROM {}.data_keys WHERE version = 2", scene.schema.vault_schema()))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(pending, "pending");
    }

    async fn nothing_is_searched_for_while_the_vault_cannot_be_read(backend: Backend) {
        let scene = Scene::set(&backend).await;
        let proxy = scene.builder().start();
        let mut app = proxy.connect().await;
        insert(&mut app, "a").await;
        let mut direct = scene.schema.direct().await;
        let vault = scene.schema.vault_schema();
        assert_eq!(code(&mut app, "SELECT id FROM users WHERE tax = 'a'").await, "ok");
        // It has no such column any longer: the table is there, and cannot be read.
        direct.query_drop(format!("ALTER TABLE {vault}.data_keys RENAME COLUMN state TO was")).await.unwrap();
        let mut refused = String::new();
        for _ in 0..100 {
            refused = code(&mut app, "SELECT id FROM users WHERE tax = 'a'").await;
            if refused != "ok" { break; }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(refused, "SW-1212");
        assert_eq!(text_rows(&mut app, "SELECT tax FROM users WHERE id = 1").await, [[Some("a".into())]]);
        direct.query_drop(format!("ALTER TABLE {vault}.data_keys RENAME COLUMN was TO state")).await.unwrap();
        assert_eq!(code(&mut app, "SELECT id FROM users WHERE tax = 'a'").await, "ok");
    }
}
