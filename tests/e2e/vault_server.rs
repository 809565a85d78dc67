//! A vault on another server than the tables: MariaDB of another version, whichever the tables are on.

use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;

use crate::on_every_server;
use crate::support::{Account, Backend, Proxy, ProxyBuilder, Schema, Server, code, connect, opts, text_rows};

fn elsewhere(backend: &Backend) -> Option<Backend> {
    let other = if backend.server == Server::MariaDb118 { Server::MariaDb1011 } else { Server::MariaDb118 };
    Backend::get(other)
}

fn builder(schema: &Schema, vault: &Backend, password: &str) -> ProxyBuilder {
    builder_as(schema, vault, Account::CONTROL.user, password)
}

fn builder_as(schema: &Schema, vault: &Backend, user: &str, password: &str) -> ProxyBuilder {
    let Backend { host, port, .. } = vault;
    Proxy::builder(schema)
        .column("users", "email", "{}")
        .column("users", "tax", "{ search: exact }")
        .keyring(&std::env::temp_dir().join(format!("sealwire-{}-apart.json", schema.name)))
        .extra(&format!(
            "vault_server: {{ address: \"{host}:{port}\", control: {{ user: {user}, password: \"{password}\" }} }}"
        ))
}

const TABLE: &str = "CREATE TABLE users (id int PRIMARY KEY AUTO_INCREMENT, email varchar(300), tax varchar(300) \
                     CHARACTER SET ascii COLLATE ascii_bin)";
const SECRET: &str = Account::CONTROL.password;

on_every_server! {
    async fn keys_are_kept_on_another_server_than_values(backend: Backend) {
        let Some(vault) = elsewhere(&backend) else { return };
        let schema = Schema::create(&backend).await;
        schema.direct().await.query_drop(TABLE).await.unwrap();
        let (one, two) = (builder(&schema, &vault, SECRET).start(), builder(&schema, &vault, SECRET).start());
        let (mut first, mut second) = (one.connect().await, two.connect().await);
        let write = "INSERT INTO users (email, tax) VALUES ('v', 't')";
        let (a, b) = tokio::join!(code(&mut first, write), code(&mut second, write));
        assert_eq!((a.as_str(), b.as_str()), ("ok", "ok"));
        for app in [&mut first, &mut second] {
            let read = text_rows(app, "SELECT email FROM users WHERE tax = 't'").await;
            assert_eq!(read, [[Some("v".to_owned())], [Some("v".to_owned())]]);
        }
        // One data key and one search key there, and nothing of the kind here.
        let rows = format!("{}.data_keys", schema.vault_schema());
        let mut there = connect(opts(&vault.host, vault.port, Account::CONTROL, None)).await;
        assert_eq!(text_rows(&mut there, &format!("SELECT COUNT(*) FROM {rows}")).await, [[Some("2".to_owned())]]);
        assert!(schema.direct().await.query_drop(format!("SELECT 1 FROM {rows}")).await.is_err());
        // The subcommands look there, and count the values here.
        for (words, expected) in [(vec!["check"], "2 data keys"), (vec!["keys", "list", "--count"], " 4 ")] {
            let builder = builder(&schema, &vault, SECRET);
            let (_folder, config) = builder.write();
            let output = builder.command().args(&words).arg("-c").arg(&config).env("SEALWIRE_LOG", "off").output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && said.contains(expected), "{words:?}: {said}");
        }
        // A row that is lost there stops sealing here, on connections that are open, too.
        there.query_drop(format!("CREATE TABLE {rows}_kept AS SELECT * FROM {rows}")).await.unwrap();
        there.query_drop(format!("DELETE FROM {rows}")).await.unwrap();
        let deleted = Instant::now();
        while code(&mut first, write).await == "ok" {
            assert!(deleted.elapsed() < Duration::from_secs(8), "it seals on");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(code(&mut two.connect().await, write).await, "SW-1919");
        // A proxy that is started now finds sealed values here and no key there.
        let fresh = builder(&schema, &vault, SECRET).start();
        assert_eq!(code(&mut fresh.connect().await, write).await, "SW-1907");
        there.query_drop(format!("INSERT INTO {rows} SELECT * FROM {rows}_kept")).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1100)).await;
        assert_eq!(code(&mut first, write).await, "ok");
        there.query_drop(format!("DROP DATABASE {}", schema.vault_schema())).await.unwrap();
        let _ = std::fs::remove_file(std::env::temp_dir().join(format!("sealwire-{}-apart.json", schema.name)));
    }

    async fn rights_that_its_account_lacks_there_are_errors_of_check(backend: Backend) {
        let Some(vault) = elsewhere(&backend) else { return };
        let schema = Schema::create(&backend).await;
        schema.direct().await.query_drop(TABLE).await.unwrap();
        let mut there = connect(opts(&vault.host, vault.port, Account::ROOT, None)).await;
        let user = format!("apart_{}", schema.name.trim_start_matches("t_"));
        there.query_drop(format!("CREATE USER {user}@'%' IDENTIFIED BY 'apart-secret'")).await.unwrap();
        let check = || {
            let builder = builder_as(&schema, &vault, &user, "apart-secret");
            let (_folder, config) = builder.write();
            let output = builder.command().args(["check", "-c"]).arg(&config).env("SEALWIRE_LOG", "off").output().unwrap();
            (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let (ok, said) = check();
        assert!(!ok && said.contains("the control user of vault_server may not create it"), "{said}");
        let rows = format!("{}.data_keys", schema.vault_schema());
        assert!(said.contains(&format!("vault_server lacks SELECT, INSERT, UPDATE on the key vault {rows}")), "{said}");
        // The hints are statements that mend it.
        for hint in said.lines().map(str::trim).filter(|line| line.starts_with("GRANT ")) {
            there.query_drop(hint).await.unwrap_or_else(|error| panic!("{hint}: {error}"));
        }
        let (ok, said) = check();
        assert!(ok && !said.contains("lacks"), "{said}");
        there.query_drop(format!("DROP USER {user}@'%'")).await.unwrap();
    }

    async fn a_vault_server_that_refuses_the_account_is_named(backend: Backend) {
        let Some(vault) = elsewhere(&backend) else { return };
        let schema = Schema::create(&backend).await;
        schema.direct().await.query_drop(TABLE).await.unwrap();
        let builder = builder(&schema, &vault, "wrong-password");
        let (_folder, config) = builder.write();
        for verb in ["run", "check"] {
            let output = builder.command().args([verb, "-c"]).arg(&config).env("SEALWIRE_LOG", "off").output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success(), "{said}");
            assert!(said.contains("vault_server") && said.contains("refuses the control account"), "{said}");
            assert!(!said.contains("wrong-password"), "{said}");
        }
    }
}
