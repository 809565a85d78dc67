//! COM_CHANGE_USER and COM_RESET_CONNECTION: who the session is, and what it knows, right afterwards.

use mysql_async::prelude::Queryable;

use crate::on_every_server;
use crate::support::raw::Reply;
use crate::support::{Account, Login, Proxy, Raw, Schema, text_rows};

const PLUGINS: [&str; 2] = ["mysql_native_password", "caching_sha2_password"];

/// Everything that a session shows of itself after a change of user.
async fn after(raw: &mut Raw, outcome: &Result<(), Reply>) -> Vec<String> {
    let mut seen = vec![format!("{outcome:?}")];
    raw.send(&[0x0E]).await;
    match raw.try_read().await {
        Ok(answer) => seen.push(format!("ping {answer:02x?}")),
        Err(_) => {
            seen.push("closed".into());
            return seen;
        }
    }
    let state = raw.one("SELECT CURRENT_USER(), DATABASE(), @@sql_mode, @@character_set_client, @v").await;
    seen.push(format!("{:?}", state.text()));
    seen
}

fn outcome_is_denied(seen: &[String]) -> bool {
    seen[0].starts_with("Err")
}

on_every_server! {
    async fn a_change_of_user_ends_as_directly(backend: Backend) {
        let schema = Schema::create(&backend).await;
        for tls in ["disabled", "required"] {
            let proxy = Proxy::builder(&schema)
                .client_tls("optional")
                .backend_tls(&format!("{{ mode: {tls} }}"))
                .start();
            for plugin in PLUGINS {
                let wrong = Account { password: "wrong", ..Account::APP };
                let cases = [
                    (Account::EMPTY, schema.name.as_str()),
                    (Account::APP, ""),
                    (wrong, schema.name.as_str()),
                    (Account::APP, "no_such_schema"),
                ];
                for (account, to) in cases {
                    let login = Login::new(Account::APP).schema(&schema.name);
                    let mut seen = Vec::new();
                    for address in [(backend.host.as_str(), backend.port), ("127.0.0.1", proxy.port)] {
                        let mut raw = login.tcp(address).await.expect("a login");
                        raw.one("SET @v = 1, sql_mode = 'ANSI_QUOTES', NAMES latin1").await.ok();
                        let outcome = raw.change_user(account, to, plugin).await;
                        seen.push(after(&mut raw, &outcome).await);
                    }
                    if outcome_is_denied(&seen[0]) && backend.is_mariadb() {
                        // What the proxy relies on.
                        assert!(seen[0][2].contains(&format!("Some(\"app@%\"), Some(\"{}\")", schema.name)), "{seen:?}");
                    }
                    assert_eq!(seen[1], seen[0], "{} to {to:?}, {plugin}, server TLS {tls}", account.user);
                }
            }
        }
    }

    async fn a_session_starts_anew_on_protected_tables(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut root = schema.direct().await;
        root.query_drop("CREATE TABLE users (id int PRIMARY KEY, email varchar(191))").await.unwrap();
        root.query_drop("CREATE TABLE notes (id int PRIMARY KEY, email varchar(191))").await.unwrap();
        let proxy = Proxy::builder(&schema).column("users", "email", "{}").start();
        let login = Login::new(Account::APP);
        let mut raw = login.tcp(("127.0.0.1", proxy.port)).await.expect("a login");
        let insert = |id: u32, value: &str| format!("INSERT INTO users VALUES ({id}, {value})");

        // Without a schema the name means nothing; after a change of user it means the protected table.
        assert!(raw.one(insert(1, "'a'")).await.error().contains("SW-"), "refused, not sent");
        raw.change_user(Account::APP, &schema.name, PLUGINS[0]).await.expect("a change of user");
        raw.one(insert(1, "'first'")).await.ok();
        // In this mode double quotes hold a name; after a reset they hold a string again.
        raw.one("SET sql_mode = 'ANSI_QUOTES'").await.ok();
        assert_eq!(raw.one(insert(2, "'two'")).await.ok().affected_rows, 1);
        let prepared = raw.prepare("INSERT INTO users VALUES (?, ?)").await.expect("a statement");
        raw.short(&[0x1F]).await.ok();
        let gone = raw.execute(prepared.id, &[Some(b"9"), Some(b"nine")]).await;
        assert_eq!(gone[0].code(), 1243, "a reset drops prepared statements");
        raw.one(insert(3, "\"three\"")).await.ok();
        raw.one("SET sql_mode = 'ANSI_QUOTES'").await.ok();
        raw.one(insert(4, "'four'")).await.ok();
        raw.change_user(Account::EMPTY, &schema.name, PLUGINS[1]).await.expect("a change of user");
        raw.one(insert(5, "\"five\"")).await.ok();
        let gone = raw.execute(prepared.id, &[Some(b"9"), Some(b"nine")]).await;
        assert_eq!(gone[0].code(), 1243, "a change of user drops prepared statements");

        // A denied one ends the session on MySQL; on MariaDB it goes on in the schema of before.
        let wrong = Account { password: "wrong", ..Account::APP };
        assert_eq!(raw.change_user(wrong, "information_schema", PLUGINS[0]).await.unwrap_err().code(), 1045);
        if !backend.is_mariadb() {
            assert!(raw.closes_within(std::time::Duration::from_secs(10)).await);
            raw = login.tcp(("127.0.0.1", proxy.port)).await.expect("a login");
            raw.change_user(Account::APP, &schema.name, PLUGINS[0]).await.expect("a change of user");
        }
        raw.one(insert(6, "'six'")).await.ok();
        let read = raw.one("SELECT email FROM users ORDER BY id").await.text();
        let values: Vec<&str> = read.iter().map(|row| row[0].as_deref().unwrap()).collect();
        assert_eq!(values, ["first", "two", "three", "four", "five", "six"]);
        let stored = text_rows(&mut root, "SELECT email FROM users").await;
        assert_eq!(stored.len(), 6);
        assert!(stored.iter().all(|row| row[0].as_ref().is_some_and(|value| value.starts_with("pQ") && value.ends_with('.'))));
    }
}
