//! What the proxy counts, over HTTP.

use mysql_async::prelude::Queryable;

use crate::on_every_server;
use crate::support::scrape::{Scrape, free_address};
use crate::support::stand_in::DISABLED;
use crate::support::{Backend, Kms, Proxy, Schema, StandIn, assert_no_plaintext, kms_scene};

const ROWS: usize = 1000;

/// A proxy whose metrics are served at the address; `None` where the test is to be skipped.
async fn scene(backend: &Backend) -> Option<(Schema, StandIn, Proxy, String)> {
    let table = "CREATE TABLE users (id int PRIMARY KEY AUTO_INCREMENT, email varchar(191))";
    let (schema, kms, key) = kms_scene(backend, &[table]).await?;
    let address = free_address().await;
    let proxy = Proxy::builder(&schema)
        .kms(Kms::At(kms.endpoint.clone(), key))
        .column("users", "email", "{}")
        .extra(&format!("metrics: {{ listen: \"{address}\" }}"))
        .start();
    Some((schema, kms, proxy, address))
}

on_every_server! {
    async fn kms_calls_are_counted_and_are_few(backend: Backend) {
        let Some((schema, _kms, proxy, address)) = scene(&backend).await else { return };
        let mut app = proxy.connect().await;
        let before = Scrape::of(&address).await;
        assert_eq!(before.sum("sealwire_data_key_loads_total", &[]), 0.0, "{}", before.0);
        let rows = vec!["('canary-in-no-label')"; ROWS].join(", ");
        for _ in 0..20 {
            app.query_drop(format!("INSERT INTO users (email) VALUES {rows}")).await.unwrap();
        }
        let opened: Vec<String> = app.query("SELECT email FROM users").await.unwrap();
        assert_eq!(opened.len(), 20 * ROWS);

        // GenerateDataKeyWithoutPlaintext and two Decrypts, however many values there are.
        let after = Scrape::of(&address).await;
        let calls = |scrape: &Scrape, labels: &[&str]| scrape.sum("sealwire_kms_calls_total", labels);
        assert_eq!(calls(&after, &["operation=\"GenerateDataKeyWithoutPlaintext\"", "outcome=\"ok\""]), 1.0, "{}", after.0);
        assert_eq!(calls(&after, &["operation=\"Decrypt\"", "outcome=\"ok\""]), 2.0, "{}", after.0);
        assert_eq!(after.sum("sealwire_kms_call_seconds_count", &["operation=\"Decrypt\""]), 2.0, "{}", after.0);
        let table = format!("table=\"{}.users\"", schema.name);
        assert_eq!(after.sum("sealwire_data_key_loads_total", &[&table, "purpose=\"seal\"", "outcome=\"ok\""]), 1.0, "{}", after.0);
        assert_eq!(after.sum("sealwire_data_keys_cached", &[]), 1.0, "{}", after.0);
        // Each key by its id in the vault.
        let mut direct = schema.direct().await;
        let id = format!("SELECT id FROM {}.data_keys", schema.vault_schema());
        let id: u32 = direct.query_first(id).await.unwrap().unwrap();
        assert_eq!(after.sum("sealwire_data_key_loads_total", &[&table, &format!("key=\"{id}\"")]), 1.0, "{}", after.0);
        assert!(!after.0.contains("canary"), "{}", after.0);
    }

    async fn failures_are_counted_by_code(backend: Backend) {
        let Some((_schema, kms, proxy, address)) = scene(&backend).await else { return };
        let mut app = proxy.connect().await;
        kms.fail(DISABLED);
        assert!(app.query_drop("INSERT INTO users (email) VALUES ('never stored')").await.is_err());
        let scrape = Scrape::of(&address).await;
        assert!(scrape.sum("sealwire_kms_calls_total", &["outcome=\"DisabledException\""]) >= 1.0, "{}", scrape.0);
        assert_eq!(scrape.sum("sealwire_data_key_loads_total", &["outcome=\"SW-1910\""]), 1.0, "{}", scrape.0);
        assert_no_plaintext(&backend, &["never stored"]).await;
    }
}
