//! What a running proxy still holds in its memory when its keys have expired and its sessions have ended.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_kms::primitives::Blob;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, SslOpts};
use sealwire::seal::{DataKey, Scope, derive};

use crate::on_every_server;
use crate::support::scrape::{Scrape, free_address};
use crate::support::{Account, Kms, Proxy, Schema, Server, kms_client, moto_endpoint, moto_key, process_memory};

const VALUE: &str = "A-Plaintext-Value-Seen-Nowhere-Else";
const PARAMETER: &str = "Another-Plaintext-Value-As-Parameter";
const PASSWORD: &str = "a-Password-Seen-Nowhere-Else";

/// The secrets of a table's keys by name: as they are, in base64 and in hexadecimal.
async fn key_secrets(conn: &mut Conn, schema: &Schema, kms: &aws_sdk_kms::Client) -> Vec<(String, Vec<u8>)> {
    let rows: Vec<(String, Vec<u8>, String)> =
        conn.query(format!("SELECT purpose, wrapped, context FROM {}.data_keys", schema.vault_schema())).await.unwrap();
    assert_eq!(rows.len(), 2, "a data key and a search key");
    let mut secrets = Vec::new();
    for (purpose, wrapped, context) in rows {
        let context: HashMap<String, String> = serde_json::from_str(&context).unwrap();
        let call = kms.decrypt().ciphertext_blob(Blob::new(wrapped)).set_encryption_context(Some(context)).send();
        let key = Box::pin(call).await.unwrap().plaintext.unwrap().into_inner();
        let scope = |column: &str| Scope { table: format!("{}.users", schema.name), column: column.into() };
        let data_key = DataKey::new(&key).unwrap();
        let info = match purpose.as_str() {
            "data" => derive::column_info(1, &scope("email")),
            _ => derive::info(derive::PURPOSE_SEARCH, 2, &scope("phone")),
        };
        let derived = data_key.derive(&info).unwrap();
        for (what, bytes) in [("key", key.as_slice()), ("derived key", derived.as_slice())] {
            secrets.push((format!("{purpose} {what}"), bytes.to_vec()));
            let base64 = STANDARD_NO_PAD.encode(bytes);
            // The last character depends on what follows.
            secrets.push((format!("{purpose} {what} in base64"), base64[..42].into()));
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            secrets.push((format!("{purpose} {what} in hexadecimal"), hex.into()));
        }
        assert_eq!(STANDARD.decode(STANDARD.encode(&key)).unwrap(), key);
    }
    secrets
}

on_every_server! {
    async fn nothing_secret_stays_in_memory_when_keys_have_expired_and_sessions_ended(backend: Backend) {
        let (Some(endpoint), Some(key)) = (moto_endpoint(), moto_key().await) else { return };
        let schema = Schema::create(&backend).await;
        let mut direct = schema.direct().await;
        direct
            .query_drop("CREATE TABLE users (id int PRIMARY KEY AUTO_INCREMENT, email varchar(191), \
                         phone varchar(191) CHARACTER SET ascii COLLATE ascii_bin)")
            .await
            .unwrap();
        let address = free_address().await;
        let proxy = Proxy::builder(&schema)
            .kms(Kms::Moto(key))
            .kms_setting("cache: { ttl: 1s, max_stale: 2s }")
            .client_tls("optional")
            .backend_tls("{ mode: disabled }")
            .column("users", "email", "{}")
            .column("users", "phone", "{ search: exact }")
            .extra(&format!("metrics: {{ listen: \"{address}\" }}"))
            .start();

        // Where the two connections are not equally safe the proxy is handed the password.
        let user = format!("app_{}", std::process::id());
        let mysql = backend.server == Server::MySql97;
        if mysql {
            for sql in [
                format!("DROP USER IF EXISTS {user}"),
                format!("CREATE USER {user} IDENTIFIED WITH caching_sha2_password BY '{PASSWORD}'"),
                format!("GRANT ALL ON {}.* TO {user}", schema.name),
            ] {
                direct.query_drop(sql).await.unwrap();
            }
            // The server's log holds no password; the test's own connection is not the proxy's.
        }
        let tls = SslOpts::default().with_danger_accept_invalid_certs(true);
        let opts = proxy.opts(Account::APP).ssl_opts(Some(tls));
        let opts = if mysql { opts.user(Some(user.clone())).pass(Some(PASSWORD)) } else { opts };
        let mut app = Conn::new(opts).await.unwrap();
        app.query_drop(format!("INSERT INTO users (email, phone) VALUES ('{VALUE}', '{VALUE}')")).await.unwrap();
        app.exec_drop("INSERT INTO users (email, phone) VALUES (?, ?)", (PARAMETER, PARAMETER)).await.unwrap();
        let read: Vec<(String, String)> = app.query("SELECT email, phone FROM users ORDER BY id").await.unwrap();
        assert_eq!(read, [(VALUE.into(), VALUE.into()), (PARAMETER.into(), PARAMETER.into())]);
        let read: Vec<String> =
            app.exec("SELECT email FROM users WHERE phone = ? ORDER BY id", (PARAMETER,)).await.unwrap();
        assert_eq!(read, [PARAMETER]);

        let mut secrets = key_secrets(&mut direct, &schema, &kms_client(&endpoint)).await;
        for (name, secret) in [("value", VALUE), ("parameter", PARAMETER), ("password", PASSWORD)] {
            secrets.push((name.to_owned(), secret.into()));
        }
        let Some(during) = process_memory::find(proxy.pid(), &secrets) else {
            return eprintln!("skipped: only root may read the memory of a process that is not dumpable");
        };
        // Keys in use are there, or the search finds nothing at all.
        assert!(during.iter().any(|(name, count)| name == "data key" && *count > 0), "{during:?}");

        app.disconnect().await.unwrap();
        let patience = std::time::Instant::now() + Duration::from_secs(60);
        while Scrape::of(&address).await.sum("sealwire_data_keys_cached", &[]) > 0.0 {
            assert!(std::time::Instant::now() < patience, "the keys do not expire");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let mut left = process_memory::find(proxy.pid(), &secrets).unwrap();
        left.retain(|(_, count)| *count > 0);
        if mysql {
            direct.query_drop(format!("DROP USER {user}")).await.unwrap();
        }
        assert!(left.is_empty(), "left: {left:?}\nbefore: {during:?}");
    }
    async fn nothing_secret_is_logged_however_much_is_logged(backend: Backend) {
        let (Some(endpoint), Some(key)) = (moto_endpoint(), moto_key().await) else { return };
        let schema = Schema::create(&backend).await;
        let mut direct = schema.direct().await;
        direct
            .query_drop("CREATE TABLE users (id int PRIMARY KEY AUTO_INCREMENT, email varchar(191), \
                         phone varchar(191) CHARACTER SET ascii COLLATE ascii_bin, note text)")
            .await
            .unwrap();
        let proxy = Proxy::builder(&schema)
            .kms(Kms::Moto(key))
            .kms_setting("cache: { ttl: 1s, max_stale: 1h }")
            .client_tls("optional")
            .backend_tls("{ mode: disabled }")
            .column("users", "email", "{}")
            .column("users", "phone", "{ search: exact }")
            .column("users", "note", "{ mode: direct }")
            .environment("SEALWIRE_LOG", "trace")
            .start();
        let tls = SslOpts::default().with_danger_accept_invalid_certs(true);
        let mut app = Conn::new(proxy.opts(Account::APP).ssl_opts(Some(tls))).await.unwrap();
        let values = format!("('{VALUE}', '{VALUE}', '{VALUE}')");
        app.query_drop(format!("INSERT INTO users (email, phone, note) VALUES {values}")).await.unwrap();
        let values = (PARAMETER, PARAMETER, PARAMETER);
        app.exec_drop("INSERT INTO users (email, phone, note) VALUES (?, ?, ?)", values).await.unwrap();
        // Refused, and of no type: what the proxy itself says, too.
        assert!(app.query_drop(format!("SELECT id FROM users WHERE email LIKE '{VALUE}'")).await.is_err());
        direct.query_drop(format!("UPDATE users SET email = '{VALUE}' WHERE id = 2")).await.unwrap();
        assert!(app.query_drop("SELECT email FROM users WHERE id = 2").await.is_err());
        // A second load of each key.
        tokio::time::sleep(Duration::from_millis(1200)).await;
        let read: Vec<(String, String)> = app.query("SELECT email, note FROM users WHERE id = 1").await.unwrap();
        assert_eq!(read, [(VALUE.into(), VALUE.into())]);
        let mut secrets = key_secrets(&mut direct, &schema, &kms_client(&endpoint)).await;
        let control = Account::CONTROL.password;
        for (name, secret) in [("value", VALUE), ("parameter", PARAMETER), ("password", control), ("password", Account::APP.password)] {
            secrets.push((name.to_owned(), secret.into()));
            secrets.push((format!("{name} in base64"), STANDARD_NO_PAD.encode(secret)[..secret.len()].into()));
        }
        let log = proxy.log();
        assert!(log.contains("DEBUG sealwire"), "{log}");
        for (name, secret) in secrets.iter().filter(|(_, secret)| secret.len() > 5) {
            let found = log.as_bytes().windows(secret.len()).position(|part| part == secret.as_slice());
            let line = found.map(|at| &log[log[..at].rfind('\n').unwrap_or(0)..at]);
            assert_eq!(line, None, "{name}");
        }
    }
}
