//! What becomes of statements while KMS throttles, fails, hangs or denies: before a key is at hand, and
//! after; and how soon a denial is obeyed.

use std::time::{Duration, Instant};

use aws_sdk_kms::error::ProvideErrorMetadata;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::DataKeySpec;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use crate::on_every_server;
use crate::support::stand_in::{ACCESS_DENIED, DISABLED, Fault, INTERNAL, INVALID_STATE, THROTTLED, TIMED_OUT};
use crate::support::{Answer, Backend, Kms, Proxy, Schema, StandIn, answer, code, kms_client, kms_scene, text_rows};

struct Scene {
    schema: Schema,
    kms: StandIn,
    key: String,
}

impl Scene {
    async fn set(backend: &Backend) -> Option<Self> {
        let tables = ["users", "staff", "plain"]
            .map(|table| format!("CREATE TABLE {table} (id int PRIMARY KEY AUTO_INCREMENT, email text)"));
        let (schema, kms, key) = kms_scene(backend, &tables.each_ref().map(String::as_str)).await?;
        Some(Self { schema, kms, key })
    }

    fn proxy(&self, cache: &str) -> Proxy {
        Proxy::builder(&self.schema)
            .kms(Kms::At(self.kms.endpoint.clone(), self.key.clone()))
            .kms_setting(&format!("cache: {cache}"))
            .column("users", "email", "{}")
            .column("staff", "email", "{}")
            .start()
    }
}

/// The proxy's code and the error number, or `ok`.
async fn tried(app: &mut Conn, statement: &str) -> (String, u16) {
    match answer(app, statement).await {
        Answer::Error { code, message, .. } => {
            let at = message.find("SW-").unwrap_or_else(|| panic!("{message}"));
            (message[at..at + 7].to_owned(), code)
        }
        Answer::Broken(error) => panic!("the connection broke: {error}"),
        _ => ("ok".into(), 0),
    }
}

const READ: &str = "SELECT email FROM users";
const WRITE: &str = "INSERT INTO users (email) VALUES ('v')";

on_every_server! {
    async fn errors_that_pass_by_themselves_are_tried_again(backend: Backend) {
        let Some(scene) = Scene::set(&backend).await else { return };
        for (status, code) in [(400, "ThrottlingException"), (503, "DependencyTimeoutException"), (500, "KMSInternalException")] {
            let proxy = scene.proxy("{ ttl: 5m }");
            scene.kms.fail(Fault::ErrorTimes(2, status, code));
            assert_eq!(tried(&mut proxy.connect().await, WRITE).await, ("ok".into(), 0), "{code}");
        }
    }

    async fn a_statement_without_its_key_fails_clearly_and_its_transaction_goes_on(backend: Backend) {
        let Some(scene) = Scene::set(&backend).await else { return };
        let proxy = scene.proxy("{ ttl: 5m }");
        let mut app = proxy.connect().await;
        let (denied, unavailable) = (("SW-1910".to_owned(), 1142), ("SW-1911".to_owned(), 1205));
        let faults = [
            (ACCESS_DENIED, &denied), (DISABLED, &denied), (INVALID_STATE, &denied), (THROTTLED, &unavailable),
            (TIMED_OUT, &unavailable), (INTERNAL, &unavailable), (Fault::Hang, &unavailable), (Fault::Drop, &unavailable),
        ];
        for (fault, expected) in &faults {
            scene.kms.fail(fault.clone());
            app.query_drop("BEGIN").await.unwrap();
            app.query_drop("INSERT INTO plain (email) VALUES ('before')").await.unwrap();
            let started = Instant::now();
            assert_eq!(&tried(&mut app, WRITE).await, *expected, "{fault:?}");
            let took = started.elapsed();
            // Two attempts of two seconds each, and the SDK's own limit of five.
            assert!(took < Duration::from_secs(if *fault == Fault::Hang { 8 } else { 4 }), "{fault:?}: {took:?}");
            app.query_drop("INSERT INTO plain (email) VALUES ('after')").await.unwrap();
            app.query_drop("COMMIT").await.unwrap();
            // The outcome of a load answers for a second.
            tokio::time::sleep(Duration::from_millis(1100)).await;
        }
        assert_eq!(text_rows(&mut app, "SELECT COUNT(*) FROM plain").await, [[Some((2 * faults.len()).to_string())]]);
        // And it recovers by itself.
        scene.kms.recover();
        assert_eq!(code(&mut app, WRITE).await, "ok");
        assert_eq!(text_rows(&mut app, READ).await, [[Some("v".into())]]);
    }

    async fn keys_at_hand_serve_through_an_outage_up_to_max_stale_and_then_no_longer(backend: Backend) {
        let Some(scene) = Scene::set(&backend).await else { return };
        for fault in [THROTTLED, Fault::Hang] {
            scene.kms.recover();
            let proxy = scene.proxy("{ ttl: 1s, max_stale: 5s }");
            let mut app = proxy.connect().await;
            assert_eq!(code(&mut app, WRITE).await, "ok");
            assert_eq!(code(&mut app, READ).await, "ok");
            let down = Instant::now();
            scene.kms.fail(fault.clone());
            let mut slowest = Duration::ZERO;
            while down.elapsed() < Duration::from_millis(3500) {
                let started = Instant::now();
                for statement in [READ, WRITE] {
                    assert_eq!(code(&mut app, statement).await, "ok", "{fault:?} after {:?}", down.elapsed());
                }
                slowest = slowest.max(started.elapsed());
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            tokio::time::sleep(Duration::from_millis(5200).saturating_sub(down.elapsed())).await;
            for statement in [READ, WRITE] {
                assert_eq!(tried(&mut app, statement).await, ("SW-1911".into(), 1205), "{fault:?} {statement}");
            }
            scene.kms.recover();
            let up = Instant::now();
            while code(&mut app, READ).await != "ok" {
                assert!(up.elapsed() < Duration::from_secs(5), "{fault:?}: it does not recover");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            eprintln!("{fault:?}: slowest statement with a cached key {slowest:?}; recovered after {:?}", up.elapsed());
            assert!(slowest < Duration::from_secs(3), "{fault:?}: {slowest:?}");
        }
    }

    async fn a_denial_ends_the_use_of_every_key_within_the_time_to_live(backend: Backend) {
        let Some(scene) = Scene::set(&backend).await else { return };
        for fault in [DISABLED, ACCESS_DENIED, INVALID_STATE] {
            scene.kms.recover();
            let proxy = scene.proxy("{ ttl: 2s, max_stale: 1h }");
            let mut app = proxy.connect().await;
            for statement in [WRITE, READ, "INSERT INTO staff (email) VALUES ('w')"] {
                assert_eq!(code(&mut app, statement).await, "ok");
            }
            let denied = Instant::now();
            scene.kms.fail(fault.clone());
            while code(&mut app, READ).await == "ok" {
                assert!(denied.elapsed() < Duration::from_secs(4), "{fault:?}: still opening");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let refused = denied.elapsed();
            let noticed = scene.kms.last_denial().unwrap().elapsed();
            eprintln!("{fault:?}: refused {refused:?} after the denial, {noticed:?} after KMS said so (ttl 2 s)");
            assert!(refused < Duration::from_millis(2500), "{fault:?}: {refused:?}");
            assert!(noticed < Duration::from_millis(500), "{fault:?}: {noticed:?}");
            for statement in [READ, WRITE, "SELECT email FROM staff"] {
                assert_eq!(tried(&mut app, statement).await, ("SW-1910".into(), 1142), "{fault:?} {statement}");
            }
            assert!(proxy.log().contains("request_id=\"stand-in\""), "{}", proxy.log());
        }
    }

    async fn however_many_sessions_need_a_key_one_call_for_it_is_under_way(backend: Backend) {
        let Some(scene) = Scene::set(&backend).await else { return };
        assert_eq!(code(&mut scene.proxy("{ ttl: 5m }").connect().await, WRITE).await, "ok");
        let proxy = scene.proxy("{ ttl: 5m }");
        let mut apps = Vec::new();
        for _ in 0..20 {
            apps.push(proxy.connect().await);
        }
        let before = scene.kms.calls("Decrypt");
        scene.kms.close_gate_after("Decrypt", 0);
        let mut reading = tokio::task::JoinSet::new();
        for mut app in apps {
            reading.spawn(async move { code(&mut app, READ).await });
        }
        while scene.kms.calls("Decrypt") == before {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // Time for the others to call, if they would.
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(scene.kms.calls("Decrypt"), before + 1);
        scene.kms.open_gate();
        assert!(reading.join_all().await.iter().all(|outcome| outcome == "ok"));
        assert_eq!(scene.kms.calls("Decrypt"), before + 1);
    }

    async fn a_key_is_refreshed_ahead_of_its_time_and_no_statement_waits_for_it(backend: Backend) {
        let Some(scene) = Scene::set(&backend).await else { return };
        let proxy = scene.proxy("{ ttl: 20s }");
        let mut app = proxy.connect().await;
        for statement in [WRITE, READ] {
            assert_eq!(code(&mut app, statement).await, "ok");
        }
        // From now on KMS answers nothing: a statement that waited for it would be the last.
        let before = scene.kms.calls("Decrypt");
        scene.kms.close_gate_after("Decrypt", 0);
        let refreshed = async {
            while scene.kms.calls("Decrypt") == before {
                assert_eq!(code(&mut app, READ).await, "ok");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            assert_eq!(code(&mut app, READ).await, "ok");
        };
        tokio::time::timeout(Duration::from_secs(60), refreshed).await.expect("no statement waits, and one refreshes");
        assert!(!proxy.log().contains("the cached one serves on"), "it was waited for: {}", proxy.log());
        scene.kms.open_gate();
        assert_eq!(code(&mut app, READ).await, "ok");
    }

    async fn values_cost_no_kms_calls(backend: Backend) {
        let Some(scene) = Scene::set(&backend).await else { return };
        let proxy = scene.proxy("{ ttl: 5m }");
        let mut app = proxy.connect().await;
        let rows = vec!["('value')"; 1000].join(", ");
        for _ in 0..20 {
            app.query_drop(format!("INSERT INTO users (email) VALUES {rows}")).await.unwrap();
        }
        assert_eq!(text_rows(&mut app, READ).await.len(), 20_000);
        eprintln!("20,000 values sealed and opened: {} KMS calls", scene.kms.all_calls());
        // One to look at the KMS key at the start, one to make the key, one for its MAC, one to unwrap what was read
        // back, and one by its id.
        assert!(scene.kms.all_calls() <= 5, "{}", scene.kms.all_calls());
    }

    async fn the_deployed_key_policy_denies_what_would_plant_a_known_key_and_the_proxy_needs_none_of_it(backend: Backend) {
        let Some(scene) = Scene::set(&backend).await else { return };
        scene.kms.hold_to_the_policy();
        let client = kms_client(&scene.kms.endpoint);
        let context = [("purpose", "sealwire-data-key".to_owned()), ("table", format!("{}.users", scene.schema.name)), ("key", "77".into())];
        let context = || Some(context.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect::<std::collections::HashMap<_, _>>());
        let error = Box::pin(client.encrypt().key_id(&scene.key).plaintext(Blob::new([1; 32])).set_encryption_context(context()).send()).await.unwrap_err();
        assert_eq!(error.code(), Some("AccessDeniedException"));
        let error = Box::pin(client.generate_data_key().key_id(&scene.key).key_spec(DataKeySpec::Aes256).set_encryption_context(context()).send()).await.unwrap_err();
        assert_eq!(error.code(), Some("AccessDeniedException"));
        let proxy = scene.proxy("{ ttl: 5m }");
        let mut app = proxy.connect().await;
        for statement in [WRITE, READ] {
            assert_eq!(code(&mut app, statement).await, "ok");
        }
    }
}
