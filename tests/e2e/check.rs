//! `sealwire check` as a person runs it: what it prints and how it exits.

use std::process::{Command, Output};

use mysql_async::prelude::Queryable;

use crate::on_every_server;
use crate::support::stand_in::ACCESS_DENIED;
use crate::support::{Backend, Kms, Proxy, Schema, StandIn, moto_key};

/// Runs the command on a configuration for `tables`; the output, both streams, and the exit status.
fn check(schema: &Schema, tables: &str, user: &str, password: &str) -> (String, Option<i32>) {
    let Backend { host, port, .. } = &schema.backend;
    let vault = schema.vault_schema();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("check.yaml");
    let yaml = format!(
        "listen: 127.0.0.1:0\nbackend:\n  address: {host}:{port}\n  control: {{ user: {user}, password: \"${{PW}}\" }}\n\
         kms: {{ provider: local, keyring: keyring }}\nvault: {vault}.data_keys\ntables:\n{tables}\n"
    );
    std::fs::write(&path, yaml).unwrap();
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_sealwire"))
        .args(["check", "-c"])
        .arg(&path)
        .env("PW", password)
        .env("SEALWIRE_LOG", "off")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    assert!(!text.contains("\u{1b}["), "no colours in a pipe");
    assert!(password.len() < 4 || !text.contains(password), "no password in a report");
    (text, status.code())
}

fn control(schema: &Schema, tables: &str) -> (String, Option<i32>) {
    check(schema, tables, "sealwire", "control-secret")
}

on_every_server! {
    async fn a_fit_schema_passes_and_a_guard_that_is_there_is_seen(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut conn = schema.direct().await;
        conn.query_drop("CREATE TABLE users (id int PRIMARY KEY, email varchar(191), raw varbinary(300), kms text)")
            .await
            .unwrap();
        let tables = format!("  {}.users: {{ columns: {{ email: {{}}, raw: {{}}, kms: {{ mode: direct }} }} }}", schema.name);
        let (text, status) = control(&schema, &tables);
        assert_eq!(status, Some(0), "{text}");
        for expected in ["107 bytes", "265 bytes", "about 4096 bytes", "Everything is fine.", "is made at the first sealed value"] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
        let guards: Vec<&str> = text.lines().filter(|line| line.contains("ADD CONSTRAINT")).collect();
        assert_eq!(guards.len(), 2, "{text}");
        for guard in guards {
            conn.query_drop(guard.trim().trim_end_matches(';')).await.unwrap();
        }
        let (text, status) = control(&schema, &tables);
        assert_eq!(status, Some(0), "{text}");
        assert_eq!(text.matches("in place").count(), 2, "{text}");
        assert!(!text.contains("ADD CONSTRAINT"), "{text}");
    }

    async fn what_keeps_a_column_from_being_protected_is_an_error(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut conn = schema.direct().await;
        for sql in [
            "CREATE TABLE people (mail varchar(191) PRIMARY KEY)",
            "CREATE TABLE users (id int PRIMARY KEY, a varchar(191) DEFAULT 'x', b varchar(191) UNIQUE, c int, d date, \
             e varchar(30), f varchar(191), g varchar(200) GENERATED ALWAYS AS (concat(f, 'x')) VIRTUAL, h binary(99), \
             i varchar(191), j varchar(191) CHECK (j LIKE '%@%'), k varchar(200), \
             FOREIGN KEY (i) REFERENCES people (mail))",
            "CREATE TRIGGER t1 BEFORE INSERT ON users FOR EACH ROW SET NEW.c = 1",
        ] {
            conn.query_drop(sql).await.unwrap();
        }
        let columns: Vec<String> = "abcdefhijk".chars().map(|name| format!("{name}: {{}}")).collect();
        let tables = format!(
            "  {0}.users: {{ columns: {{ {1}, gone: {{}} }} }}\n  {0}.gone: {{ columns: {{ x: {{}} }} }}",
            schema.name,
            columns.join(", ")
        );
        let (text, status) = control(&schema, &tables);
        assert_eq!(status, Some(1), "{text}");
        for (column, expected) in [
            ("a", "DEFAULT that is not NULL"),
            ("b", "UNIQUE key"),
            ("c", "cannot hold a sealed value"),
            ("d", "cannot hold a sealed value"),
            ("e", "too narrow"),
            ("f", "the generated column g"),
            ("h", "pads values"),
            ("i", "FOREIGN KEY"),
            ("j", "would judge ciphertext"),
            ("gone", "no such column"),
        ] {
            let place = format!("{}.users.{column}: ", schema.name);
            let found = text.lines().any(|line| {
                line.starts_with("error") && line.contains(&place) && line.contains(expected)
            });
            assert!(found, "{column}: {expected}\n{text}");
        }
        assert!(!text.lines().any(|line| line.starts_with("error") && line.contains("users.k:")), "{text}");
        assert!(text.contains("it has triggers (t1)"), "{text}");
        assert!(text.contains("gone: the server has no such table"), "{text}");
    }

    async fn what_a_searchable_column_changes_for_the_application_is_said(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut conn = schema.direct().await;
        conn.query_drop(
            "CREATE TABLE users (a varchar(191) CHARACTER SET ascii COLLATE ascii_bin PRIMARY KEY, \
             b varchar(191) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci, c varbinary(300), UNIQUE KEY b (b), \
             KEY c (c), KEY short (a(9)))",
        ).await.unwrap();
        let tables = |compare: &str| format!(
            "  {}.users: {{ columns: {{ a: {{ search: exact }}, b: {{ search: exact{compare} }}, c: {{ search: exact }} }} }}",
            schema.name
        );
        let (text, status) = control(&schema, &tables(""));
        assert_eq!(status, Some(1), "{text}");
        let error = text.lines().find(|line| line.starts_with("error")).unwrap();
        assert!(error.contains("users.b: it is searchable but has the collation utf8mb4_general_ci"), "{text}");
        assert!(text.contains("add `compare: binary`") && text.contains("utf8mb4_bin"), "{text}");
        let (text, status) = control(&schema, &tables(", compare: binary"));
        assert_eq!(status, Some(0), "{text}");
        for (place, expected) in [
            ("users.b: ", "'Bob' is no longer equal to 'bob'"),
            ("users.a: ", "takes 'a' and 'a ' for equal"),
            ("users.a: ", "the index short takes fewer than the first 20 characters"),
        ] {
            assert!(text.lines().any(|line| line.contains(place) && line.contains(expected)), "{expected}\n{text}");
        }
        assert!(!text.contains("users.c:") && !text.contains("users.b: it is part"), "{text}");
        // As it was sealed before.
        let old = "pQEAAQIDBAUGBwgJCgsMAAAAB+QwBzLUbbrLG4aboQa1OG/Gw6+s+fTAIJR/XkpGkLHs.";
        conn.query_drop(format!("INSERT INTO users VALUES ('x', '{old}', x'a50100ffff')")).await.unwrap();
        let (text, _) = control(&schema, &tables(", compare: binary"));
        for column in ["b", "c"] {
            let place = format!("users.{column}: it holds values that were sealed before it was searchable");
            assert!(text.contains(&place), "{text}");
        }
        assert!(!text.contains("users.a: it holds"), "{text}");
    }

    async fn privileges_that_the_control_user_lacks_are_errors(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut conn = schema.direct().await;
        let user = format!("lim_{}", schema.name.trim_start_matches("t_"));
        conn.query_drop("CREATE TABLE users (id int PRIMARY KEY, email varchar(191))").await.unwrap();
        conn.query_drop(format!("CREATE USER {user}@'%' IDENTIFIED BY 'lim-secret'")).await.unwrap();
        conn.query_drop(format!("GRANT SELECT ON {}.* TO {user}@'%'", schema.name)).await.unwrap();
        let tables = format!("  {}.users: {{ columns: {{ email: {{}} }} }}", schema.name);
        let (text, status) = check(&schema, &tables, &user, "lim-secret");
        assert_eq!(status, Some(1), "{text}");
        for expected in ["lacks SHOW VIEW", "lacks TRIGGER", "lacks EVENT", "bodies of routines", "may not create it"] {
            assert!(text.lines().any(|line| line.starts_with("error") && line.contains(expected)), "{expected}\n{text}");
        }
        // The hints are statements that mend it.
        for hint in text.lines().map(str::trim).filter(|line| line.starts_with("GRANT ")) {
            conn.query_drop(hint).await.unwrap_or_else(|error| panic!("{hint}: {error}"));
        }
        let (text, status) = check(&schema, &tables, &user, "lim-secret");
        assert_eq!(status, Some(0), "{text}");
        let (text, status) = check(&schema, &tables, &user, "not-the-secret");
        assert_eq!(status, Some(1), "{text}");
        assert!(text.contains("refuses the control account"), "{text}");
        conn.query_drop(format!("DROP USER {user}@'%'")).await.unwrap();
    }

    async fn what_kms_would_let_the_role_do_is_asked(backend: Backend) {
        let (Some(kms), Some(key)) = (StandIn::start().await, moto_key().await) else { return };
        let schema = Schema::create(&backend).await;
        schema.direct().await.query_drop("CREATE TABLE users (id int PRIMARY KEY, email varchar(191))").await.unwrap();
        let check = || {
            let at = Kms::At(kms.endpoint.clone(), key.clone());
            let builder = Proxy::builder(&schema).kms(at).column("users", "email", "{}");
            let (_folder, config) = builder.write();
            let output = builder.command().args(["check", "-c"]).arg(config).env("SEALWIRE_LOG", "off").output().unwrap();
            (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code())
        };
        let (text, status) = check();
        for action in ["kms:Encrypt under", "kms:GenerateDataKey under", "kms:ReEncryptFrom and kms:ReEncryptTo under"] {
            assert!(text.contains(&format!("the role may call {action} the context of data keys")), "{action}: {text}");
        }
        assert!(text.contains("deny it in the key's policy"), "{text}");
        assert_eq!(status, Some(0), "{text}");
        // The policy that deploy/ makes.
        kms.hold_to_the_policy();
        let (text, status) = check();
        assert!(text.contains("what the role does not need is denied to it"), "{text}");
        assert!(!text.contains("the role may call"), "{text}");
        assert_eq!(status, Some(0), "{text}");
        // What it does need.
        kms.fail(ACCESS_DENIED);
        let (text, status) = check();
        assert!(text.contains("KMS") && text.contains("AccessDeniedException"), "{text}");
        assert_eq!(status, Some(1), "{text}");
    }

    async fn a_wrong_configuration_exits_with_2_and_run_refuses_unfit_types(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut conn = schema.direct().await;
        conn.query_drop("CREATE TABLE users (id int PRIMARY KEY, born date)").await.unwrap();
        let (text, status) = control(&schema, "  users: {}");
        assert_eq!(status, Some(2), "{text}");
        assert!(text.contains("check.yaml:8:3"), "{text}");
        let Backend { host, port, .. } = &backend;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.yaml");
        let yaml = format!(
            "listen: 127.0.0.1:0\nbackend: {{ address: \"{host}:{port}\", control: {{ user: sealwire, password: control-secret }} }}\n\
             kms: {{ provider: local, keyring: keyring }}\ntables: {{ {}.users: {{ columns: {{ born: {{}} }} }} }}\n",
            schema.name
        );
        std::fs::write(&path, yaml).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_sealwire")).args(["run", "-c"]).arg(&path).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains("cannot hold a sealed value"));
    }
}
