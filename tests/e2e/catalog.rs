//! The catalog against real servers: what it finds, how it stays fresh, and that its advice runs.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use sealwire::catalog::{self, Catalog, ColumnDefault, Snapshot, Table, TableKind, Watched, Width};
use sealwire::config::{Config, TableName};
use sealwire::control::{Control, ControlError};

use crate::on_every_server;
use crate::support::{Account, Backend, Schema, text_rows};

fn config(schema: &Schema, tables: &str, tls: &str, password: &str) -> Config {
    let Backend { host, port, .. } = &schema.backend;
    let yaml = format!(
        "listen: 127.0.0.1:0\nbackend:\n  address: {host}:{port}\n  tls: {tls}\n  \
         control: {{ user: sealwire, password: {password} }}\nkms: {{ provider: local, keyring: k }}\n\
         catalog: {{ max_age: 400ms }}\ntables: {tables}\n"
    );
    Config::parse(&yaml, Path::new("/nonexistent/test.yaml"), &|_| None).unwrap_or_else(|errors| panic!("{errors}"))
}

async fn start(schema: &Schema, columns: &str) -> Catalog {
    let tables = format!("{{ {}.users: {{ columns: {{ {columns} }} }} }}", schema.name);
    let config = Arc::new(config(schema, &tables, "{ mode: preferred }", Account::CONTROL.password));
    let control = Control::start(&config).unwrap();
    Catalog::start(config, control).await.unwrap()
}

fn table<'a>(snapshot: &'a Snapshot, schema: &Schema, name: &str) -> &'a Table {
    let found = snapshot.table(&TableName::new(&schema.name, name));
    found.unwrap_or_else(|| panic!("{name} was never looked up")).unwrap_or_else(|| panic!("{name} was not found"))
}

async fn show_create(conn: &mut mysql_async::Conn) -> String {
    text_rows(conn, "SHOW CREATE TABLE users").await[0][1].clone().unwrap()
}

on_every_server! {
    async fn the_snapshot_holds_columns_keys_defaults_and_whatever_leads_to_a_protected_table(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut conn = schema.direct().await;
        for sql in [
            "CREATE TABLE users (id int AUTO_INCREMENT PRIMARY KEY, email varchar(191) NOT NULL DEFAULT '', \
             note text, bio varchar(50) CHARACTER SET latin1 COLLATE latin1_bin DEFAULT 'a\\'b\\\\c', \
             raw varbinary(100), made timestamp DEFAULT CURRENT_TIMESTAMP, hidden int INVISIBLE DEFAULT 5, \
             g varchar(99) GENERATED ALWAYS AS (concat(note, 'x')) VIRTUAL, UNIQUE KEY (email), KEY pre (note(10)))",
            "CREATE TABLE orders (id int PRIMARY KEY, user_id int)",
            "CREATE VIEW v AS SELECT id, email FROM users",
            "CREATE VIEW w AS SELECT * FROM v",
            "CREATE PROCEDURE p() BEGIN SELECT * FROM w; END",
            "CREATE PROCEDURE dyn() BEGIN PREPARE s FROM 'SELECT 1'; EXECUTE s; END",
            "CREATE PROCEDURE calm() BEGIN SELECT 1; END",
            "CREATE TRIGGER t1 BEFORE INSERT ON orders FOR EACH ROW UPDATE users SET hidden = 1",
        ] {
            conn.query_drop(sql).await.unwrap();
        }
        let catalog = start(&schema, "email: {}, note: {}, raw: {}, gone: {}").await;
        let snapshot = catalog.current();
        let users = table(&snapshot, &schema, "users");
        let column = |name: &str| users.column(name).unwrap();
        assert!(users.protected && users.kind == TableKind::Base);
        assert_eq!(column("EMAIL").width, Width::Characters(191));
        assert_eq!(column("email").default, ColumnDefault::Literal(String::new()));
        assert_eq!(column("note").width, Width::Bytes(65_535));
        assert_eq!(column("note").default, ColumnDefault::Null);
        assert_eq!(column("bio").default, ColumnDefault::Literal("a'b\\c".into()));
        assert_eq!(column("raw").width, Width::Bytes(100));
        assert!(matches!(column("made").default, ColumnDefault::Expression(_)));
        assert!(column("id").auto_increment && column("hidden").invisible && column("g").generated.is_some());
        assert!(column("email").protected.is_some() && column("bio").protected.is_none());
        assert!(users.indexes.iter().any(|index| index.unique && index.columns[0].0 == "email"));
        assert!(users.indexes.iter().any(|index| index.columns == [("note".to_owned(), Some(10))]));
        assert!(snapshot.missing.values().any(|what| what.contains("gone")));
        let TableKind::View { definition: Some(definition) } = &table(&snapshot, &schema, "w").kind else { panic!() };
        assert!(definition.contains("email"));
        assert_eq!(snapshot.watched.get("v"), Some(&Watched::View));
        assert_eq!(snapshot.watched.get("p"), Some(&Watched::Routine));
        assert_eq!(snapshot.watched.get("dyn"), Some(&Watched::Routine));
        assert!(!snapshot.watched.contains_key("calm"));
        assert!(matches!(snapshot.watched.get("orders"), Some(Watched::Carrier(_))));
    }

    async fn nothing_changed_keeps_the_snapshot_and_ddl_around_the_proxy_is_noticed(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut conn = schema.direct().await;
        conn.query_drop("CREATE TABLE users (id int PRIMARY KEY, email varchar(191))").await.unwrap();
        conn.query_drop("CREATE TABLE other (id int PRIMARY KEY)").await.unwrap();
        let catalog = start(&schema, "email: {}").await;
        // Tests beside this one make and drop views and routines meanwhile, so ask more than once.
        let mut same = 0;
        let started = Instant::now();
        for _ in 0..20 {
            let before = catalog.refresh().await.unwrap();
            let after = catalog.refresh().await.unwrap();
            same += u32::from(Arc::ptr_eq(&before, &after));
        }
        eprintln!("{:?}: a refresh takes {:?}", backend.server, started.elapsed() / 40);
        assert!(same > 5, "{same}");
        let other = TableName::new(&schema.name, "other");
        assert!(catalog.current().table(&other).is_none());
        let absent = TableName::new(&schema.name, "absent");
        let snapshot = catalog.ensure(&[other.clone(), absent.clone()]).await.unwrap();
        assert!(matches!(snapshot.table(&other), Some(Some(_))));
        assert!(matches!(snapshot.table(&absent), Some(None)));
        conn.query_drop("ALTER TABLE users MODIFY email varchar(300)").await.unwrap();
        let width = |snapshot: &Snapshot| table(snapshot, &schema, "users").column("email").unwrap().width;
        catalog.invalidate();
        assert_eq!(width(&catalog.fresh().await.unwrap()), Width::Characters(300));
        conn.query_drop("ALTER TABLE users MODIFY email varchar(100)").await.unwrap();
        // Nobody asks; a busy machine gets more time than `max_age`.
        let patience = Instant::now() + Duration::from_secs(5);
        while width(&catalog.current()) != Width::Characters(100) {
            assert!(Instant::now() < patience, "never noticed");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let snapshot = catalog.current();
        assert!(matches!(snapshot.table(&absent), Some(None)), "what was asked for stays looked up");
    }

    async fn a_killed_connection_of_the_catalog_is_replaced(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut conn = schema.direct().await;
        conn.query_drop("CREATE TABLE users (id int PRIMARY KEY, email varchar(191))").await.unwrap();
        let catalog = start(&schema, "email: {}").await;
        let ids = text_rows(&mut conn, "SELECT id FROM information_schema.processlist WHERE user = 'sealwire'").await;
        for id in ids.iter().filter_map(|row| row[0].clone()) {
            let _ = conn.query_drop(format!("KILL {id}")).await;
        }
        catalog.refresh().await.unwrap();
    }

    async fn the_alter_hint_runs_and_changes_the_type_alone(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut conn = schema.direct().await;
        let cases = [
            ("email varchar(191) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT 'it\\'s \\\\ x' COMMENT 'the \\'mail\\''", 200, "varchar(191)", "varchar(255)"),
            ("email varchar(20) CHARACTER SET latin1 COLLATE latin1_german1_ci", 300, "varchar(20)", "varchar(512)"),
            ("email char(20) NOT NULL", 100, "char(20)", "varchar(128)"),
            ("email varchar(60) INVISIBLE DEFAULT NULL COMMENT 'x'", 100, "varchar(60)", "varchar(128)"),
            ("email varbinary(60) NOT NULL", 100, "varbinary(60)", "varbinary(128)"),
            ("email tinytext", 300, "tinytext", "text"),
            ("email tinyblob NOT NULL COMMENT 'b'", 70_000, "tinyblob", "mediumblob"),
            ("email varchar(40) DEFAULT (concat('a', 'b'))", 100, "varchar(40)", "varchar(128)"),
        ];
        for (definition, needed, from, to) in cases {
            conn.query_drop("DROP TABLE IF EXISTS users").await.unwrap();
            conn.query_drop(format!("CREATE TABLE users (id int PRIMARY KEY, {definition}, z int)")).await.unwrap();
            let before = show_create(&mut conn).await;
            let catalog = start(&schema, "email: {}").await;
            let snapshot = catalog.current();
            let users = table(&snapshot, &schema, "users");
            let hint = catalog::width::alter_hint(users, users.column("email").unwrap(), needed);
            conn.query_drop(&hint).await.unwrap_or_else(|error| panic!("{hint}: {error}"));
            // MySQL prints a character set that was written out even where it is the table's own.
            let plain = |text: &str| text.replace(" CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci NOT", " NOT").replace(" CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci DEFAULT", " DEFAULT").replace(" CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci", "");
            assert_eq!(plain(&show_create(&mut conn).await), plain(&before.replacen(from, to, 1)), "{hint}");
        }
    }

    async fn the_alter_hint_minds_indexes_and_long_rows(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut conn = schema.direct().await;
        for (create, needed, expected) in [
            ("CREATE TABLE users (id int PRIMARY KEY, email varchar(191), KEY k (email), UNIQUE KEY u (id, email))", 1000, "varchar(1024)"),
            ("CREATE TABLE users (id int PRIMARY KEY, email varchar(191) NOT NULL DEFAULT 'x', big varchar(16000))", 1000, "text"),
            ("CREATE TABLE users (id int PRIMARY KEY, email varchar(191), KEY k (email))", 9000, "text"),
        ] {
            conn.query_drop("DROP TABLE IF EXISTS users").await.unwrap();
            conn.query_drop(create).await.unwrap();
            let catalog = start(&schema, "email: {}").await;
            let snapshot = catalog.current();
            let users = table(&snapshot, &schema, "users");
            let hint = catalog::width::alter_hint(users, users.column("email").unwrap(), needed);
            conn.query_drop(&hint).await.unwrap_or_else(|error| panic!("{hint}: {error}"));
            let after = show_create(&mut conn).await;
            assert!(after.contains(&format!("`email` {expected}")), "{hint}\n{after}");
        }
    }

    async fn the_guard_refuses_plaintext_and_cut_values_whatever_the_mode(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut conn = schema.direct().await;
        conn.query_drop("CREATE TABLE users (id int PRIMARY KEY, email varchar(191), raw varbinary(200))").await.unwrap();
        let catalog = start(&schema, "email: {}, raw: {}").await;
        let snapshot = catalog.current();
        let users = table(&snapshot, &schema, "users");
        for name in ["email", "raw"] {
            let guard = catalog::guard_sql(users, users.column(name).unwrap(), false).unwrap();
            conn.query_drop(&guard).await.unwrap_or_else(|error| panic!("{guard}: {error}"));
        }
        conn.query_drop("SET sql_mode = ''").await.unwrap();
        let whole = format!("pQEA{}.", "A".repeat(60));
        conn.query_drop(format!("INSERT INTO users VALUES (1, '{whole}', NULL)")).await.unwrap();
        for (id, email, raw) in [
            (2, "'plain'".to_owned(), "NULL".to_owned()),
            (3, format!("'{}'", whole.trim_end_matches('.')), "NULL".to_owned()),
            (4, format!("'pQEA{}.'", "A".repeat(300)), "NULL".to_owned()),
            (5, "NULL".to_owned(), "'plain'".to_owned()),
        ] {
            let insert = format!("INSERT INTO users VALUES ({id}, {email}, {raw})");
            assert!(conn.query_drop(&insert).await.is_err(), "{insert}");
        }
    }

    async fn the_control_link_says_what_is_wrong_with_it(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let ca = backend.ca();
        let verify = |mode: &str| format!("{{ mode: {mode}, ca: '{}' }}", ca.display());
        let secret = Account::CONTROL.password;
        for tls in ["{ mode: disabled }".to_owned(), "{ mode: preferred }".into(), "{ mode: required }".into(), verify("verify-ca"), verify("verify-identity")] {
            let control = Control::start(&config(&schema, "{}", &tls, secret));
            assert!(control.is_ok(), "{tls}: {}", control.err().unwrap());
        }
        let wrong = Control::start(&config(&schema, "{}", "{ mode: preferred }", "hunter2")).err().unwrap();
        assert!(matches!(wrong, ControlError::AccessDenied { .. }), "{wrong}");
        assert!(!wrong.to_string().contains("hunter2"));
        let stranger = rcgen::generate_simple_self_signed(vec!["stranger".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stranger.pem");
        std::fs::write(&path, stranger.cert.pem()).unwrap();
        let tls = format!("{{ mode: verify-ca, ca: '{}' }}", path.display());
        let wrong = Control::start(&config(&schema, "{}", &tls, secret)).err().unwrap();
        assert!(matches!(wrong, ControlError::Tls { .. }), "{wrong}");
        // The certificate is made for localhost and 127.0.0.1, so another name of this machine is wrong.
        let mut elsewhere = config(&schema, "{}", &verify("verify-identity"), secret);
        elsewhere.backend.address = sealwire::config::BackendAddress::Tcp("127.0.0.2".into(), backend.port);
        let wrong = Control::start(&elsewhere).err().unwrap();
        assert!(matches!(wrong, ControlError::Tls { .. } | ControlError::Unreachable { .. }), "{wrong}");
        let mut nowhere = config(&schema, "{}", "{ mode: preferred }", secret);
        nowhere.backend.address = sealwire::config::BackendAddress::Tcp("127.0.0.1".into(), 1);
        let wrong = Control::start(&nowhere).err().unwrap();
        assert!(matches!(wrong, ControlError::Unreachable { .. }), "{wrong}");
        let mut socket = config(&schema, "{}", "{ mode: disabled }", secret);
        socket.backend.address = sealwire::config::BackendAddress::Unix(backend.socket.clone());
        assert!(Control::start(&socket).is_ok());
    }
}
