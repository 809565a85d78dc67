//! The vault on real servers, and KMS calls against the emulator through the real SDK.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use sealwire::catalog::{Physical, ProtectedColumn, Width};
use sealwire::config::*;
use sealwire::control::Control;
use sealwire::keys::{KeyError, Keys};
use sealwire::seal::{Plaintext, Scope};

use crate::on_every_server;
use crate::support::{Account, Backend, Schema, moto_endpoint, moto_key};

fn config(schema: &Schema, keyring: &Path) -> Config {
    let account = Account::CONTROL;
    let columns =
        BTreeMap::from([("email".into(), ColumnConfig::default()), ("photo".into(), ColumnConfig::default())]);
    Config {
        listen: Vec::new(),
        proxy_protocol: sealwire::config::ProxyProtocol::default(),
        tls: ClientTls { mode: ClientTlsMode::Disabled, cert: None, key: None },
        backend: sealwire::config::Backend {
            address: BackendAddress::Tcp(schema.backend.host.clone(), schema.backend.port),
            tls: BackendTls { mode: BackendTlsMode::Preferred, ca: None, cert: None, key: None },
            control: sealwire::config::Control {
                user: account.user.into(),
                password: Secret::new(account.password.into()),
            },
            connect_timeout: Duration::from_secs(5),
            multi_primary: false,
        },
        kms: Kms {
            provider: Provider::Local { keyring: keyring.join("keyring.json") },
            mode: KmsMode::Envelope,
            key: None,
            keys: BTreeMap::new(),
            previous: Vec::new(),
            region: None,
            endpoint: None,
            fips: false,
            concurrency: 8,
            seals_per_key: 1 << 30,
            cache: KeyCache { ttl: Duration::from_secs(300), max_stale: Duration::from_secs(3600) },
            encryption_context: BTreeMap::from([("service".into(), "billing".into())]),
            accept_contexts: Vec::new(),
            plaintext_cache: None,
            assume_role: None,
            regions: Vec::new(),
            endpoints: BTreeMap::new(),
        },
        compression: Default::default(),
        vault: TableName::new(schema.vault_schema(), "data_keys"),
        vault_server: None,
        catalog: CatalogConfig { max_age: Duration::from_secs(1) },
        workers: 1,
        shutdown_grace: std::time::Duration::ZERO,
        metrics: None,
        allow_routines: Vec::new(),
        allow_replication: false,
        tables: BTreeMap::from([(
            TableName::new(&schema.name, "users"),
            TableConfig { columns, ..TableConfig::default() },
        )]),
    }
}

fn start(config: &Config) -> Keys {
    let config = Arc::new(config.clone());
    let control = Control::start(&config).expect("the control link starts");
    Keys::start(&config, control).expect("the keys start")
}

fn column(schema: &Schema, table: &str, name: &str, mode: KmsMode, physical: Physical) -> Arc<ProtectedColumn> {
    let table = TableName::new(&schema.name, table);
    Arc::new(ProtectedColumn {
        scope: Scope { table: table.to_string(), column: name.into() },
        table,
        name: name.into(),
        mode,
        physical,
        charset: "utf8mb4".into(),
        width: Width::Characters(255),
        empty: EmptyPolicy::Refuse,
        pad: None,
        search: sealwire::config::Search::None,
        cipher: sealwire::config::Cipher::GcmSiv,
        logical: None,
        bind: Vec::new(),
        nullable: true,
    })
}

fn email(schema: &Schema) -> Arc<ProtectedColumn> {
    column(schema, "users", "email", KmsMode::Envelope, Physical::Text)
}

fn column_with(column: &ProtectedColumn, cipher: Cipher) -> Arc<ProtectedColumn> {
    Arc::new(ProtectedColumn { cipher, ..column.clone() })
}

async fn seal(keys: &Keys, column: &Arc<ProtectedColumn>, value: &str) -> Result<Vec<u8>, KeyError> {
    let value = Plaintext::new(value.as_bytes().to_vec());
    Ok(keys.seal(vec![(column.clone(), value)]).await?.remove(0))
}

async fn open(keys: &Keys, column: &Arc<ProtectedColumn>, stored: &[u8]) -> Result<String, KeyError> {
    let value = keys.open(vec![(column.clone(), stored.to_vec())], &keys.memo()).next().await.unwrap()?;
    Ok(String::from_utf8(value.expose().to_vec()).unwrap())
}

async fn users_table(schema: &Schema) -> mysql_async::Conn {
    let mut conn = schema.direct().await;
    conn.query_drop("CREATE TABLE users (id int PRIMARY KEY, email varchar(255), photo blob)").await.unwrap();
    conn
}

fn data_keys(schema: &Schema) -> String {
    format!("{}.data_keys", schema.vault_schema())
}

/// The ids of data keys in sealed values, each with how many.
fn by_key(stored: &[Vec<u8>]) -> BTreeMap<u32, u64> {
    let mut counts = BTreeMap::new();
    for value in stored {
        let bytes = sealwire::seal::format::decode_text(value).unwrap();
        let sealed = sealwire::seal::Sealed::parse(&bytes).unwrap();
        assert_eq!(sealed.header.alg, 3);
        *counts.entry(sealed.header.key_id).or_default() += 1;
    }
    counts
}

on_every_server! {
    async fn ten_proxies_share_the_budget_of_a_key_and_the_next_version_begins_by_itself(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut conn = users_table(&schema).await;
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(&schema, folder.path());
        config.kms.seals_per_key = 640;
        let spending = column_with(&email(&schema), Cipher::Gcm);
        // A vault of the version before holds no counts, and values of the other algorithm.
        let old = seal(&start(&config), &email(&schema), "old").await.unwrap();
        let proxies: Vec<Keys> = (0..10).map(|_| start(&config)).collect();
        let spend = |proxies: Vec<Keys>, each: usize| {
            let mut running = tokio::task::JoinSet::new();
            for keys in proxies {
                let column = spending.clone();
                running.spawn(async move {
                    let (mut sealed, mut refused) = (Vec::new(), 0);
                    for _ in 0..each {
                        match seal(&keys, &column, "v").await {
                            Ok(stored) => sealed.push(stored),
                            Err(error) => {
                                assert_eq!(error.sw_code(), "SW-1923", "{error}");
                                refused += 1;
                            }
                        }
                    }
                    (sealed, refused)
                });
            }
            running
        };
        // More than there is: none is sealed beyond the budget, and what nine hold in blocks is all that is lost.
        let outcome = spend(proxies.clone(), 80).join_all().await;
        let stored: Vec<Vec<u8>> = outcome.iter().flat_map(|(sealed, _)| sealed.clone()).collect();
        let counts = by_key(&stored);
        assert_eq!(counts.len(), 1, "the next version is pending for five minutes");
        let (id, count) = counts.into_iter().next().unwrap();
        assert!((540..=640).contains(&count), "{count}");
        assert_eq!(outcome.iter().map(|(_, refused)| refused).sum::<u64>(), 800 - count);
        for value in stored.iter().step_by(50) {
            assert_eq!(open(&proxies[0], &spending, value).await.unwrap(), "v");
        }
        assert_eq!(open(&proxies[0], &spending, &old).await.unwrap(), "old");
        let states = format!("SELECT version, state FROM {} ORDER BY version", data_keys(&schema));
        let expected = |states: &[(u32, &str)]| states.iter().map(|(n, s)| (*n, (*s).to_owned())).collect::<Vec<_>>();
        let mut found: Vec<(u32, String)> = Vec::new();
        for _ in 0..100 {
            found = conn.query(&states).await.unwrap();
            if found.len() == 2 { break; }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(found, expected(&[(1, "active"), (2, "pending")]), "ten proxies made one version");

        // Proxies that wait less find the pending version and make it active; those that had none left go on.
        config.kms.cache.ttl = Duration::from_secs(1);
        assert_eq!(seal(&start(&config), &spending, "v").await.unwrap_err().sw_code(), "SW-1923");
        let waiting: Vec<Keys> = (0..3).map(|_| start(&config)).collect();
        for keys in &waiting {
            assert_eq!(seal(keys, &spending, "v").await.unwrap_err().sw_code(), "SW-1923");
        }
        for _ in 0..200 {
            found = conn.query(&states).await.unwrap();
            if found[1].1 == "active" { break; }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(found, expected(&[(1, "superseded"), (2, "active")]));
        for keys in waiting.iter().chain(&proxies) {
            let sealed = seal(keys, &spending, "v").await.unwrap();
            assert!(!by_key(&[sealed]).contains_key(&id));
        }
    }

    async fn a_count_that_went_back_goes_on_from_where_a_proxy_knows_it(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut conn = users_table(&schema).await;
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(&schema, folder.path());
        config.kms.seals_per_key = 64;
        let spending = column_with(&email(&schema), Cipher::Gcm);
        let keys = start(&config);
        let counts = format!("{}.data_keys_seals", schema.vault_schema());
        let mut sealed = 0;
        for reset in ["UPDATE {} SET reserved = 0", "DELETE FROM {}", "DROP TABLE {}"] {
            for _ in 0..10 {
                seal(&keys, &spending, "v").await.unwrap();
                sealed += 1;
            }
            let reserved: u64 = conn.query_first(format!("SELECT reserved FROM {counts}")).await.unwrap().unwrap();
            assert_eq!(reserved, sealed, "{reset}");
            conn.query_drop(reset.replace("{}", &counts)).await.unwrap();
        }
        while seal(&keys, &spending, "v").await.is_ok() {
            sealed += 1;
        }
        assert_eq!(sealed, 64);
        // A proxy that was started again holds nothing of what it had reserved.
        assert_eq!(seal(&start(&config), &spending, "v").await.unwrap_err().sw_code(), "SW-1923");
        // Nor does it know of anything: set back while no proxy runs, the count begins anew.
        conn.query_drop(format!("UPDATE {counts} SET reserved = 0")).await.unwrap();
        seal(&start(&config), &spending, "v").await.unwrap();
    }

    async fn a_count_set_forward_begins_a_new_version_and_seals_nothing_beyond_the_budget(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut conn = users_table(&schema).await;
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(&schema, folder.path());
        config.kms.seals_per_key = 640;
        config.kms.cache.ttl = Duration::from_secs(1);
        let spending = column_with(&email(&schema), Cipher::Gcm);
        let first = seal(&start(&config), &spending, "v").await.unwrap();
        let counts = format!("{}.data_keys_seals", schema.vault_schema());
        let states = format!("SELECT version, state FROM {} ORDER BY version", data_keys(&schema));
        let mut versions = 1u32;
        // To three quarters of the budget: what is left is sealed with it. To the end and beyond any: nothing is.
        for (forward, left) in [("480", true), ("640", false), ("18446744073709551615", false)] {
            let newest = format!("(SELECT id FROM {} ORDER BY version DESC LIMIT 1)", data_keys(&schema));
            conn.query_drop(format!("UPDATE {counts} SET reserved = {forward} WHERE id = {newest}")).await.unwrap();
            // Started anew, it knows no count but this.
            let keys = start(&config);
            let sealed = seal(&keys, &spending, "v").await;
            assert_eq!(sealed.as_ref().err().map(KeyError::sw_code), (!left).then_some("SW-1923"), "{forward}");
            versions += 1;
            let mut found: Vec<(u32, String)> = Vec::new();
            for _ in 0..100 {
                found = conn.query(&states).await.unwrap();
                if found.last() == Some(&(versions, "active".to_owned())) { break; }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            assert_eq!(found.last(), Some(&(versions, "active".to_owned())), "{forward}: {found:?}");
            let next = seal(&start(&config), &spending, "v").await.unwrap();
            assert_ne!(by_key(&[next]), by_key(std::slice::from_ref(&first)), "{forward}");
        }
        // What was sealed with each of them opens.
        assert_eq!(open(&start(&config), &spending, &first).await.unwrap(), "v");
    }

    async fn the_first_seal_makes_the_vault_and_a_restart_reads_it(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut conn = users_table(&schema).await;
        let folder = tempfile::tempdir().unwrap();
        let config = config(&schema, folder.path());
        let keys = start(&config);
        assert_eq!(keys.check().await.unwrap().data_keys, None);
        let stored = seal(&keys, &email(&schema), "jane@example.org").await.unwrap();
        let again = start(&config);
        assert_eq!(open(&again, &email(&schema), &stored).await.unwrap(), "jane@example.org");
        seal(&again, &email(&schema), "x").await.unwrap();
        let rows: Vec<(u32, String, String, u32, String, usize)> = conn
            .query(format!("SELECT id, scope, purpose, version, state, LENGTH(mac) FROM {}", data_keys(&schema)))
            .await
            .unwrap();
        assert_eq!(rows.len(), 1);
        let (id, scope, purpose, version, state, mac) = &rows[0];
        assert!(*id > 0 && *id < 1 << 31);
        assert_eq!((scope.as_str(), purpose.as_str(), *version), (format!("{}.users", schema.name).as_str(), "data", 1));
        assert_eq!((state.as_str(), *mac), ("active", 32));
        assert_eq!(again.check().await.unwrap().data_keys, Some(1));
    }

    async fn proxies_that_start_at_once_agree_on_one_data_key(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut conn = users_table(&schema).await;
        let folder = tempfile::tempdir().unwrap();
        let config = config(&schema, folder.path());
        let proxies: Vec<Keys> = (0..8).map(|_| start(&config)).collect();
        let mut running = tokio::task::JoinSet::new();
        for keys in proxies.clone() {
            let email = email(&schema);
            running.spawn(async move { seal(&keys, &email, "v").await.unwrap() });
        }
        for stored in running.join_all().await {
            for keys in &proxies {
                assert_eq!(open(keys, &email(&schema), &stored).await.unwrap(), "v");
            }
        }
        let count: u64 = conn.query_first(format!("SELECT COUNT(*) FROM {}", data_keys(&schema))).await.unwrap().unwrap();
        assert_eq!(count, 1);
    }

    async fn no_key_is_made_for_a_table_that_already_holds_sealed_values(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut conn = users_table(&schema).await;
        let folder = tempfile::tempdir().unwrap();
        let config = config(&schema, folder.path());
        conn.query_drop("INSERT INTO users VALUES (1, 'pQ is not sealed', x'a5ff00')").await.unwrap();
        let stored = seal(&start(&config), &email(&schema), "jane").await.unwrap();
        let photo = column(&schema, "users", "photo", KmsMode::Envelope, Physical::Binary);
        let bytes = seal(&start(&config), &photo, "bytes").await.unwrap();
        for (sql, value) in [("UPDATE users SET email = ?", &stored), ("UPDATE users SET email = NULL, photo = ?", &bytes)] {
            conn.exec_drop(sql, (value,)).await.unwrap();
            conn.query_drop(format!("DELETE FROM {}", data_keys(&schema))).await.unwrap();
            let error = seal(&start(&config), &email(&schema), "new").await.unwrap_err();
            assert_eq!(error.sw_code(), "SW-1907", "{error}");
            assert_eq!(open(&start(&config), &email(&schema), &stored).await.unwrap_err().sw_code(), "SW-1903");
        }
    }

    async fn a_row_of_the_vault_changed_by_hand_is_refused(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut conn = users_table(&schema).await;
        let folder = tempfile::tempdir().unwrap();
        let config = config(&schema, folder.path());
        let stored = seal(&start(&config), &email(&schema), "jane").await.unwrap();
        for (change, back) in [
            ("state = 'retired'", "state = 'active'"),
            ("version = 2", "version = 1"),
            ("created_at = created_at + INTERVAL 1 DAY", "created_at = created_at - INTERVAL 1 DAY"),
        ] {
            conn.query_drop(format!("UPDATE {} SET {change}", data_keys(&schema))).await.unwrap();
            let error = open(&start(&config), &email(&schema), &stored).await.unwrap_err();
            assert_eq!(error.sw_code(), "SW-1906", "{change}: {error}");
            conn.query_drop(format!("UPDATE {} SET {back}", data_keys(&schema))).await.unwrap();
        }
        assert_eq!(open(&start(&config), &email(&schema), &stored).await.unwrap(), "jane");
    }

    async fn both_modes_work_through_the_aws_sdk(backend: Backend) {
        let Some(endpoint) = moto_endpoint() else { return };
        if !has_credentials("keys::both_modes_work_through_the_aws_sdk", &backend) {
            return;
        }
        let Some(key) = Box::pin(moto_key()).await else { return };
        let schema = Schema::create(&backend).await;
        users_table(&schema).await;
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(&schema, folder.path());
        config.kms.provider = Provider::Aws;
        config.kms.endpoint = Some(endpoint);
        config.kms.key = Some(key.clone());
        let keys = start(&config);
        let report = keys.check().await.unwrap();
        assert_eq!((report.key.as_deref(), report.region.as_deref()), (Some(key.as_str()), Some("eu-central-1")));

        for mode in [KmsMode::Envelope, KmsMode::Direct] {
            let here = column(&schema, "users", "email", mode, Physical::Text);
            let there = column(&schema, "staff", "email", mode, Physical::Text);
            let stored = seal(&keys, &here, "jane@example.org").await.unwrap();
            assert_eq!(open(&start(&config), &here, &stored).await.unwrap(), "jane@example.org");
            let error = open(&start(&config), &there, &stored).await.unwrap_err();
            assert_eq!(error.sw_code(), "SW-1902", "{error}");
        }
        let direct = column(&schema, "users", "email", KmsMode::Direct, Physical::Text);
        let values: Vec<_> = (0..40)
            .map(|at| (direct.clone(), Plaintext::new(format!("value {at}").into_bytes())))
            .collect();
        let sealed = keys.seal(values).await.unwrap();
        let mut opening = keys.open(sealed.into_iter().map(|value| (direct.clone(), value)).collect(), &keys.memo());
        let mut opened = Vec::new();
        while let Some(value) = opening.next().await {
            opened.push(value.unwrap());
        }
        assert!(opened.iter().enumerate().all(|(at, value)| value.expose() == format!("value {at}").as_bytes()));

        // Another key of the same account wrapped it: refused, unless it is listed.
        let stored = seal(&keys, &direct, "old").await.unwrap();
        let mut moved = config.clone();
        moved.kms.key = Box::pin(moto_key()).await;
        assert!(open(&start(&moved), &direct, &stored).await.is_err());
        moved.kms.previous = vec![key];
        assert_eq!(open(&start(&moved), &direct, &stored).await.unwrap(), "old");
        assert_eq!(open(&start(&moved), &email(&schema), &seal(&keys, &email(&schema), "e").await.unwrap()).await.unwrap(), "e");

        // Nobody listens: cached keys go on, others say so and that trying again may help.
        let mut down = config.clone();
        down.kms.endpoint = Some("http://127.0.0.1:1".into());
        let error = seal(&start(&down), &direct, "x").await.unwrap_err();
        assert_eq!((error.sw_code(), error.retryable()), ("SW-1911", true), "{error}");
        let mut unknown = config.clone();
        unknown.kms.key = Some("alias/nowhere".into());
        unknown.kms.region = Some("eu-central-1".into());
        assert_eq!(start(&unknown).check().await.unwrap_err().sw_code(), "SW-1910");
    }
}

/// The SDK's default chain reads the environment, which a running test cannot change: without
/// credentials there, runs the test again in a process that has them and answers false.
fn has_credentials(test: &str, backend: &Backend) -> bool {
    if std::env::var_os("AWS_ACCESS_KEY_ID").is_some() {
        return true;
    }
    let server = if backend.is_mariadb() { "mariadb_10_11" } else { "mysql_9_7" };
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("{test}::{server}"), "--nocapture"])
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .status()
        .unwrap();
    assert!(status.success(), "{test} failed with credentials");
    false
}
