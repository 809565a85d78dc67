//! A multi-Region key in two regions: which one is called when the other does not answer, and when it denies.

use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;

use crate::on_every_server;
use crate::support::stand_in::{ACCESS_DENIED, DISABLED, Fault};
use crate::support::{Backend, Kms, Proxy, ProxyBuilder, Schema, StandIn, code, moto_endpoint, moto_key, text_rows};

const FIRST: &str = "eu-central-1";
const SECOND: &str = "eu-west-1";

struct Scene {
    schema: Schema,
    first: StandIn,
    second: StandIn,
    key: String,
}

impl Scene {
    async fn set(backend: &Backend) -> Option<Self> {
        let (first, second) = (StandIn::start().await?, StandIn::start().await?);
        let made = moto_key().await?;
        let key = first.replicate(&made, FIRST);
        second.replicate(&made, SECOND);
        let schema = Schema::create(backend).await;
        let mut conn = schema.direct().await;
        for table in ["users", "staff"] {
            let columns = "id int PRIMARY KEY AUTO_INCREMENT, email text, tax text";
            conn.query_drop(format!("CREATE TABLE {table} ({columns})")).await.unwrap();
        }
        Some(Self { schema, first, second, key })
    }

    fn builder(&self, regions: &[&'static str]) -> ProxyBuilder {
        let endpoint = |region: &&'static str| {
            let place = if *region == FIRST { &self.first } else { &self.second };
            (*region, place.endpoint.clone())
        };
        let mut key = self.key.clone();
        if !regions.contains(&FIRST) {
            key = key.replace(FIRST, SECOND);
        }
        let mut builder = Proxy::builder(&self.schema)
            .kms(Kms::Regions(regions.iter().map(endpoint).collect(), key))
            .kms_setting("concurrency: 4");
        for table in ["users", "staff"] {
            builder = builder.column(table, "email", "{}").column(table, "tax", "{ mode: direct }");
        }
        builder
    }
}

fn uses(kms: &StandIn) -> u64 {
    kms.all_calls() - kms.calls("DescribeKey")
}

on_every_server! {
    async fn when_a_region_does_not_answer_the_next_one_does_and_nobody_waits_again(backend: Backend) {
        let Some(scene) = Scene::set(&backend).await else { return };
        let proxy = scene.builder(&[FIRST, SECOND]).start();
        let mut app = proxy.connect().await;
        let values: Vec<String> = (0..20).map(|id| format!("('e{id}', 't{id}')")).collect();
        app.query_drop(format!("INSERT INTO users (email, tax) VALUES {}", values.join(", "))).await.unwrap();
        assert_eq!(uses(&scene.second), 0, "the first region serves alone");
        let expected: Vec<Vec<Option<String>>> = (0..20).map(|id| vec![Some(format!("e{id}")), Some(format!("t{id}"))]).collect();
        for fault in [Fault::Drop, Fault::Hang] {
            scene.first.fail(fault.clone());
            // Started while its first region is away, and with nothing in its cache.
            let proxy = scene.builder(&[FIRST, SECOND]).start();
            let mut app = proxy.connect().await;
            let started = Instant::now();
            let sql = "SELECT email, tax FROM users ORDER BY id";
            assert_eq!(text_rows(&mut app, sql).await, expected, "{fault:?}");
            let (took, asked) = (started.elapsed(), uses(&scene.first));
            let again = Instant::now();
            assert_eq!(text_rows(&mut app, sql).await, expected, "{fault:?}");
            eprintln!("{fault:?}: the first result took {took:?}, the next {:?}", again.elapsed());
            assert!(took < Duration::from_secs(9), "{fault:?}: {took:?}");
            assert!(uses(&scene.first) <= asked + 3, "{fault:?}: it is left alone");
            assert_eq!(code(&mut app, "INSERT INTO staff (email, tax) VALUES ('made', 'there')").await, "ok");
            assert!(proxy.log().contains("KMS fails in a region"), "{}", proxy.log());
        }
        // What was sealed there opens here, by the same key.
        scene.first.recover();
        scene.second.fail(Fault::Drop);
        let proxy = scene.builder(&[FIRST]).start();
        let read = text_rows(&mut proxy.connect().await, "SELECT email, tax FROM staff WHERE id = 1").await;
        assert_eq!(read, [[Some("made".into()), Some("there".into())]]);
    }

    async fn a_denial_in_one_region_is_not_got_around_by_the_other(backend: Backend) {
        let Some(scene) = Scene::set(&backend).await else { return };
        let writer = scene.builder(&[FIRST]).start();
        assert_eq!(code(&mut writer.connect().await, "INSERT INTO users (email, tax) VALUES ('e', 't')").await, "ok");
        for fault in [ACCESS_DENIED, DISABLED] {
            let proxy = scene.builder(&[FIRST, SECOND]).start();
            let mut app = proxy.connect().await;
            let (email, tax) = ("SELECT email FROM users", "SELECT tax FROM users");
            scene.first.fail(fault.clone());
            for sql in [email, tax] {
                assert_eq!(code(&mut app, sql).await, "SW-1910", "{fault:?} {sql}");
            }
            // Nor when it does not answer after it denied.
            scene.first.fail(Fault::Drop);
            tokio::time::sleep(Duration::from_millis(1100)).await;
            for sql in [email, tax] {
                assert_eq!(code(&mut app, sql).await, "SW-1911", "{fault:?} {sql}");
            }
            assert_eq!(uses(&scene.second), 0, "{fault:?}");
            scene.first.recover();
            tokio::time::sleep(Duration::from_millis(1100)).await;
            for sql in [email, tax] {
                assert_eq!(code(&mut app, sql).await, "ok", "{fault:?} {sql}");
            }
        }
        // The second region's word counts as much while it is the one that is asked.
        let proxy = scene.builder(&[FIRST, SECOND]).start();
        scene.first.fail(Fault::Drop);
        scene.second.fail(DISABLED);
        assert_eq!(code(&mut proxy.connect().await, "SELECT tax FROM users").await, "SW-1910");
    }

    async fn data_keys_move_to_another_region_by_a_multi_region_key(backend: Backend) {
        let Some(scene) = Scene::set(&backend).await else { return };
        let (Some(old), Some(moto)) = (moto_key().await, moto_endpoint()) else { return };
        let first = Proxy::builder(&scene.schema).kms(Kms::Moto(old.clone())).column("users", "email", "{}").start();
        assert_eq!(code(&mut first.connect().await, "INSERT INTO users (email) VALUES ('old')").await, "ok");
        let rewrap = |builder: &ProxyBuilder| {
            let (_folder, config) = builder.write();
            let output = builder.command().args(["keys", "rewrap", "-c"]).arg(config).env("SEALWIRE_LOG", "off").output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
            (output.status.success(), said)
        };
        let previous = format!("previous: [\"{old}\"]");
        // KMS wraps anew within one region only.
        let (ok, said) = rewrap(&scene.builder(&[SECOND]).kms_setting(&previous));
        assert!(!ok && said.contains("within one region only"), "{said}");
        // A key of another region is called there, so that the table can be read meanwhile.
        let reader = Proxy::builder(&scene.schema)
            .kms(Kms::Regions(vec![(SECOND, scene.second.endpoint.clone())], scene.key.replace(FIRST, SECOND)))
            .kms_setting(&previous)
            .column("users", "email", "{}");
        let (_folder, config) = reader.write();
        let text = std::fs::read_to_string(&config).unwrap();
        let reader = reader.whole_config(&text.replace("endpoints: { ", &format!("endpoints: {{ {FIRST}: \"{moto}\", "))).start();
        assert_eq!(text_rows(&mut reader.connect().await, "SELECT email FROM users").await, [[Some("old".into())]]);
        // With the multi-Region key in both.
        let (ok, said) = rewrap(&scene.builder(&[SECOND, FIRST]).kms_setting(&previous));
        assert!(ok && said.contains("1 rewrapped"), "{said}");
        let (ok, said) = rewrap(&scene.builder(&[SECOND]));
        assert!(ok && said.contains("0 rewrapped, 1 were"), "the replica's name is not another key: {said}");
        // The old region and key are needed no longer.
        scene.first.fail(Fault::Drop);
        let proxy = scene.builder(&[SECOND]).start();
        let mut app = proxy.connect().await;
        assert_eq!(text_rows(&mut app, "SELECT email FROM users").await, [[Some("old".into())]]);
        assert_eq!(code(&mut app, "INSERT INTO users (email) VALUES ('new')").await, "ok");
    }

    async fn check_looks_for_the_key_in_every_region(backend: Backend) {
        let Some(scene) = Scene::set(&backend).await else { return };
        let check = |regions: &[&'static str]| {
            let builder = scene.builder(regions);
            let (_folder, config) = builder.write();
            let output = builder.command().args(["check", "-c"]).arg(config).env("SEALWIRE_LOG", "off").output().unwrap();
            (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let (ok, said) = check(&[FIRST, SECOND]);
        assert!(ok && said.contains("eu-central-1, eu-west-1"), "{said}");
        // A replica that was never made.
        let (ok, said) = check(&[FIRST, "eu-north-1"]);
        assert!(!ok && said.contains("eu-north-1") && said.contains("NotFoundException"), "{said}");
    }
}
