//! Keys from the KMS emulator, by the real SDK: both modes, and contexts that do not match.

use mysql_async::prelude::Queryable;

use crate::on_every_server;
use crate::support::{Answer, Backend, Kms, Proxy, Schema, answer, assert_no_plaintext, moto_key, python, text_rows};

const TABLES: [&str; 2] = [
    "CREATE TABLE users (id int PRIMARY KEY AUTO_INCREMENT, email text)",
    "CREATE TABLE others (id int PRIMARY KEY AUTO_INCREMENT, email text)",
];

async fn protected(backend: &Backend, mode: &'static str) -> Option<(Schema, Proxy)> {
    let key = moto_key().await?;
    let schema = Schema::create(backend).await;
    for table in TABLES {
        schema.direct().await.query_drop(table).await.unwrap();
    }
    let proxy = Proxy::builder(&schema)
        .kms(Kms::Moto(key))
        .kms_mode(mode)
        .column("users", "email", "{}")
        .column("others", "email", "{}")
        .start();
    Some((schema, proxy))
}

on_every_server! {
    async fn both_modes_seal_and_open(backend: Backend) {
        for mode in ["envelope", "direct"] {
            let Some((schema, proxy)) = protected(&backend, mode).await else { return };
            let mut app = proxy.connect().await;
            let canary = format!("kms-{mode}-{}", schema.name);
            app.query_drop(format!("INSERT INTO users (email) VALUES ('{canary}'), (NULL)")).await.unwrap();
            app.exec_drop("INSERT INTO users (email) VALUES (?)", (&canary,)).await.unwrap();
            let read = text_rows(&mut app, "SELECT email FROM users ORDER BY id").await;
            assert_eq!(read, [[Some(canary.clone())], [None], [Some(canary.clone())]], "{mode}");
            assert_no_plaintext(&backend, &[&canary]).await;
        }
    }

    async fn another_tables_value_does_not_open(backend: Backend) {
        for mode in ["envelope", "direct"] {
            let Some((schema, proxy)) = protected(&backend, mode).await else { return };
            let mut app = proxy.connect().await;
            app.query_drop("INSERT INTO users (email) VALUES ('of users')").await.unwrap();
            app.query_drop("INSERT INTO others (email) VALUES ('of others')").await.unwrap();
            schema.direct().await.query_drop("UPDATE others SET email = (SELECT email FROM users)").await.unwrap();
            let Answer::Error { message, .. } = answer(&mut app, "SELECT email FROM others").await else { panic!("{mode}") };
            assert!(message.contains("SW-") && !message.contains("of users"), "{mode}: {message}");
        }
    }

    async fn direct_mode_refuses_what_kms_cannot_encrypt(backend: Backend) {
        let Some((_schema, proxy)) = protected(&backend, "direct").await else { return };
        let mut app = proxy.connect().await;
        for value in [String::new(), "x".repeat(4097)] {
            let got = answer(&mut app, &format!("INSERT INTO users (email) VALUES ('{value}')")).await;
            let Answer::Error { message, .. } = got else { panic!("{got:?}") };
            assert!(message.contains("SW-"), "{message}");
        }
        app.query_drop(format!("INSERT INTO users (email) VALUES ('{}')", "x".repeat(4096))).await.unwrap();
    }

    async fn many_rows_open_in_direct_mode(backend: Backend) {
        let Some((_schema, proxy)) = protected(&backend, "direct").await else { return };
        let mut app = proxy.connect().await;
        let values: Vec<String> = (0..60).map(|number| format!("('value {number}')")).collect();
        app.query_drop(format!("INSERT INTO users (email) VALUES {}", values.join(", "))).await.unwrap();
        let read: Vec<String> = app.query("SELECT email FROM users ORDER BY id").await.unwrap();
        let expected: Vec<String> = (0..60).map(|number| format!("value {number}")).collect();
        assert_eq!(read, expected);
    }

    async fn two_proxies_share_the_vault(backend: Backend) {
        let Some(key) = moto_key().await else { return };
        let schema = Schema::create(&backend).await;
        schema.direct().await.query_drop(TABLES[0]).await.unwrap();
        let start = || Proxy::builder(&schema).kms(Kms::Moto(key.clone())).column("users", "email", "{}").start();
        let (first, second) = (start(), start());
        let (mut one, mut two) = (first.connect().await, second.connect().await);
        let (written_one, written_two) = tokio::join!(
            one.query_drop("INSERT INTO users (email) VALUES ('shared')"),
            two.query_drop("INSERT INTO users (email) VALUES ('shared')"),
        );
        written_one.unwrap();
        written_two.unwrap();
        for conn in [&mut one, &mut two] {
            let read: Vec<String> = conn.query("SELECT email FROM users").await.unwrap();
            assert_eq!(read, ["shared", "shared"]);
        }
    }

    async fn what_an_application_encrypted_itself_is_read_in_direct_mode(backend: Backend) {
        let Some(key) = moto_key().await else { return };
        let Some(mut script) = python("tests/support/encrypt_as_application.py") else { return };
        let output = script.args([&key, "of the application", "Zoë 🦭"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let blobs = String::from_utf8(output.stdout).unwrap();
        let schema = Schema::create(&backend).await;
        schema.direct().await.query_drop(TABLES[0]).await.unwrap();
        for blob in blobs.lines() {
            schema.direct().await.exec_drop("INSERT INTO users (email) VALUES (?)", (blob,)).await.unwrap();
        }
        let proxy = |extra: &str| Proxy::builder(&schema).kms(Kms::Moto(key.clone())).kms_mode("direct").kms_setting(extra).column("users", "email", "{}").start();
        let accepting = proxy("accept_contexts: [{ app: shop }]");
        let mut app = accepting.connect().await;
        app.query_drop("INSERT INTO users (email) VALUES ('of the proxy')").await.unwrap();
        let read = text_rows(&mut app, "SELECT email FROM users ORDER BY id").await;
        assert_eq!(read, ["of the application", "Zoë 🦭", "of the proxy"].map(|value| vec![Some(value.to_owned())]));
        // A context that is not named opens nothing, and what the proxy writes carries its own.
        for other in ["accept_contexts: []", "accept_contexts: [{ app: other }]"] {
            let proxy = proxy(other);
            let mut app = proxy.connect().await;
            let Answer::Error { message, .. } = answer(&mut app, "SELECT email FROM users WHERE id = 1").await else { panic!("{other}") };
            assert!(message.contains("SW-1902"), "{other}: {message}");
            assert_eq!(text_rows(&mut app, "SELECT email FROM users WHERE id = 3").await, [[Some("of the proxy".into())]]);
        }
    }
}
