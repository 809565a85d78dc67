//! Direct mode: how many KMS calls a result or an insert costs, how many run at once, and what is kept.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};

use crate::on_every_server;
use crate::support::raw::Reply;
use crate::support::stand_in::{ACCESS_DENIED, Fault};
use crate::support::{
    Answer, Backend, Kms, Proxy, ProxyBuilder, Raw, Schema, StandIn, answer, caps, kms_client, kms_scene,
    moto_endpoint, text_rows,
};

struct Scene {
    schema: Schema,
    kms: StandIn,
    key: String,
}

impl Scene {
    /// `users` is protected; `visits` names users again and again.
    async fn set(backend: &Backend) -> Option<Self> {
        let tables = [
            "CREATE TABLE users (id int PRIMARY KEY, email text, note text)",
            "CREATE TABLE visits (id int PRIMARY KEY, user int)",
        ];
        let (schema, kms, key) = kms_scene(backend, &tables).await?;
        Some(Self { schema, kms, key })
    }

    fn builder(&self) -> ProxyBuilder {
        Proxy::builder(&self.schema)
            .kms(Kms::At(self.kms.endpoint.clone(), self.key.clone()))
            .kms_mode("direct")
            .kms_setting("concurrency: 4")
            .column("users", "email", "{}")
            .column("users", "note", "{}")
    }

    async fn fill(&self, app: &mut Conn, rows: usize) {
        let values: Vec<String> = (0..rows).map(|id| format!("({id}, 'value {id}')")).collect();
        app.query_drop(format!("INSERT INTO users (id, email) VALUES {}", values.join(", "))).await.unwrap();
    }

    /// What `work` costs, in calls of `Decrypt`.
    async fn decrypts<T>(&self, work: impl Future<Output = T>) -> (T, u64) {
        let before = self.kms.calls("Decrypt");
        let done = work.await;
        (done, self.kms.calls("Decrypt") - before)
    }
}

fn values(rows: usize) -> Vec<String> {
    (0..rows).map(|id| format!("value {id}")).collect()
}

fn fetch(id: u32, rows: u32) -> Vec<u8> {
    [&[0x1C][..], &id.to_le_bytes(), &rows.to_le_bytes()].concat()
}

on_every_server! {
    async fn a_value_that_repeats_in_a_result_costs_one_kms_call(backend: Backend) {
        let Some(scene) = Scene::set(&backend).await else { return };
        let proxy = scene.builder().start();
        let mut app = proxy.connect().await;
        scene.fill(&mut app, 3).await;
        // The same ciphertext in two columns, too.
        scene.schema.direct().await.query_drop("UPDATE users SET note = email").await.unwrap();
        let visits: Vec<String> = (0..600).map(|id| format!("({id}, {})", id % 3)).collect();
        app.query_drop(format!("INSERT INTO visits VALUES {}", visits.join(", "))).await.unwrap();
        let sql = "SELECT users.email, users.note FROM visits JOIN users ON users.id = visits.user ORDER BY visits.id";
        let expected: Vec<(String, String)> = (0..600).map(|id| format!("value {}", id % 3)).map(|v| (v.clone(), v)).collect();
        scene.kms.fail(Fault::Slow(Duration::from_millis(5)));
        let (text, calls) = scene.decrypts(app.query::<(String, String), _>(sql)).await;
        assert_eq!((text.unwrap(), calls), (expected.clone(), 3));
        // Another result asks again: nothing is kept unless the configuration says so.
        let (binary, calls) = scene.decrypts(app.exec::<(String, String), _, _>(sql, ())).await;
        assert_eq!((binary.unwrap(), calls), (expected.clone(), 3));
        // A cursor's fetches are one result.
        let mut raw = Raw::through(&proxy, &scene.schema, caps::USUAL).await;
        let prepared = raw.prepare(sql).await.unwrap_or_else(|error| panic!("{error:?}"));
        let (fetched, calls) = scene.decrypts(async {
            raw.send(&raw.execute_payload(prepared.id, 1, &[])).await;
            raw.cursor().await;
            let mut fetched = 0;
            for _ in 0..10 {
                raw.send(&fetch(prepared.id, 30)).await;
                let (rows, _, error) = raw.rows().await;
                assert!(error.is_none(), "{error:?}");
                fetched += rows.len();
            }
            fetched
        }).await;
        assert_eq!((fetched, calls), (300, 3));
    }

    async fn several_values_open_at_once_in_order_and_never_more_than_allowed(backend: Backend) {
        let Some(scene) = Scene::set(&backend).await else { return };
        let proxy = scene.builder().start();
        let (mut one, mut two) = (proxy.connect().await, proxy.connect().await);
        scene.fill(&mut one, 40).await;
        assert_eq!((scene.kms.calls("Encrypt"), scene.kms.most_at_once("Encrypt")), (40, 4));
        scene.kms.fail(Fault::Slow(Duration::from_millis(10)));
        let sql = "SELECT email FROM users ORDER BY id";
        let (text, binary) = tokio::join!(one.query::<String, _>(sql), two.exec::<String, _, _>(sql, ()));
        assert_eq!((text.unwrap(), binary.unwrap()), (values(40), values(40)));
        assert_eq!(scene.kms.most_at_once("Decrypt"), 4, "of both sessions together");
        // The sessions asked for the same at the same time, more or less.
        assert!((40..=80).contains(&scene.kms.calls("Decrypt")), "{}", scene.kms.calls("Decrypt"));
    }

    async fn rows_arrive_while_later_ones_are_still_with_kms(backend: Backend) {
        let Some(scene) = Scene::set(&backend).await else { return };
        let proxy = scene.builder().start();
        let mut app = proxy.connect().await;
        scene.fill(&mut app, 30).await;
        for binary in [false, true] {
            scene.kms.close_gate_after("Decrypt", 10);
            let sql = "SELECT email FROM users ORDER BY id";
            let mut read: Vec<String> = Vec::new();
            let mut take = |row: Option<Row>, rows: usize| {
                read.push(row.unwrap().get(0).unwrap());
                if rows == 10 {
                    scene.kms.open_gate();
                }
            };
            if binary {
                let mut result = app.exec_iter(sql, ()).await.unwrap();
                for rows in 1..=30 {
                    take(result.next().await.unwrap(), rows);
                }
                result.drop_result().await.unwrap();
            } else {
                let mut result = app.query_iter(sql).await.unwrap();
                for rows in 1..=30 {
                    take(result.next().await.unwrap(), rows);
                }
                result.drop_result().await.unwrap();
            }
            assert_eq!(read, values(30));
        }
    }

    async fn an_insert_that_kms_fails_in_the_middle_writes_nothing(backend: Backend) {
        let Some(scene) = Scene::set(&backend).await else { return };
        let proxy = scene.builder().start();
        let mut app = proxy.connect().await;
        // What KMS would not take is refused before it is asked for any of the rows.
        let before = scene.kms.all_calls();
        for (bad, code) in [("x".repeat(4097), "SW-1920"), (String::new(), "SW-1921")] {
            let got = answer(&mut app, &format!("INSERT INTO users (id, email) VALUES (1, 'a'), (2, '{bad}')")).await;
            let Answer::Error { message, .. } = got else { panic!("{got:?}") };
            assert!(message.contains(code), "{message}");
            let error = app.exec_drop("INSERT INTO users (id, email) VALUES (1, ?), (2, ?)", ("a", &bad)).await.unwrap_err();
            assert!(error.to_string().contains(code), "{error}");
        }
        assert_eq!(scene.kms.all_calls(), before);
        scene.kms.fail(ACCESS_DENIED);
        let got = answer(&mut app, "INSERT INTO users (id, email) VALUES (1, 'a'), (2, 'b'), (3, 'c')").await;
        let Answer::Error { code: 1142, message, .. } = got else { panic!("{got:?}") };
        assert!(message.contains("SW-1910") && message.contains("users.email"), "{message}");
        scene.kms.recover();
        assert_eq!(text_rows(&mut app, "SELECT COUNT(*) FROM users").await, [[Some("0".into())]]);
    }

    async fn a_value_that_does_not_open_leaves_the_rows_before_it_alone(backend: Backend) {
        let Some(scene) = Scene::set(&backend).await else { return };
        let proxy = scene.builder().start();
        let mut app = proxy.connect().await;
        scene.fill(&mut app, 20).await;
        scene.schema.direct().await.query_drop("UPDATE users SET email = 'plain' WHERE id = 12").await.unwrap();
        let mut raw = Raw::through(&proxy, &scene.schema, caps::USUAL).await;
        let Reply::Rows { rows, error: Some(error), .. } = raw.one("SELECT email FROM users ORDER BY id").await else { panic!() };
        assert_eq!(rows.len(), 12);
        assert!(format!("{error:?}").contains("SW-1901"), "{error:?}");
        assert_eq!(raw.one("SELECT 1").await.text(), [[Some("1".to_owned())]]);
    }

    async fn opened_values_are_kept_only_where_configured_and_for_their_time(backend: Backend) {
        let Some(scene) = Scene::set(&backend).await else { return };
        let cached = |cache: &str| scene.builder().kms_setting(&format!("plaintext_cache: {cache}")).start();
        let proxy = cached("{ ttl: 1h }");
        let mut app = proxy.connect().await;
        scene.fill(&mut app, 8).await;
        let sql = "SELECT email FROM users ORDER BY id";
        for expected in [8, 0, 0] {
            let (read, calls) = scene.decrypts(app.query::<String, _>(sql)).await;
            assert_eq!((read.unwrap(), calls), (values(8), expected));
        }
        // Another value of another table under another context: KMS is asked, and its no empties the cache.
        scene.kms.fail(ACCESS_DENIED);
        assert!(matches!(answer(&mut app, "INSERT INTO users (id, email) VALUES (100, 'v')").await, Answer::Error { code: 1142, .. }));
        assert!(matches!(answer(&mut app, sql).await, Answer::Rows { .. } | Answer::Error { .. }));
        let Answer::Error { message, .. } = answer(&mut app, sql).await else { panic!("it still opens") };
        assert!(message.contains("SW-1910"), "{message}");
        scene.kms.recover();
        // Calls of the result that failed may still arrive.
        assert!((8..=16).contains(&scene.decrypts(app.query::<String, _>(sql)).await.1));
        drop(proxy);
        // No room for more than four, and the oldest go first.
        let proxy = cached("{ ttl: 1h, entries: 4 }");
        let mut app = proxy.connect().await;
        app.query::<String, _>(sql).await.unwrap();
        assert_eq!(scene.decrypts(app.query::<String, _>("SELECT email FROM users WHERE id >= 4")).await.1, 0);
        assert_eq!(scene.decrypts(app.query::<String, _>("SELECT email FROM users WHERE id < 4")).await.1, 4);
        drop(proxy);
        let proxy = cached("{ ttl: 100ms }");
        let mut app = proxy.connect().await;
        for _ in 0..2 {
            assert_eq!(scene.decrypts(app.query::<String, _>(sql)).await.1, 8);
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
    }
}

#[tokio::test]
async fn a_key_that_takes_no_encryption_context_is_refused_at_start_and_by_check() {
    let Some(backend) = Backend::get(crate::support::Server::MariaDb1011) else { return };
    let Some(endpoint) = moto_endpoint() else { return };
    let client = kms_client(&endpoint);
    let usage = aws_sdk_kms::types::KeyUsageType::EncryptDecrypt;
    let spec = aws_sdk_kms::types::KeySpec::Rsa2048;
    let made = Box::pin(client.create_key().key_usage(usage).key_spec(spec).send()).await.unwrap();
    let key = made.key_metadata.and_then(|metadata| metadata.arn).unwrap();
    let schema = Schema::create(&backend).await;
    schema.direct().await.query_drop("CREATE TABLE users (id int PRIMARY KEY, email text)").await.unwrap();
    let builder = Proxy::builder(&schema).kms(Kms::Moto(key)).kms_mode("direct").column("users", "email", "{}");
    let (_folder, config) = builder.write();
    for verb in ["run", "check"] {
        let output = builder.command().args([verb, "-c"]).arg(&config).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{verb}: {said}");
        for part in ["SW-1913", "RSA_2048", "no encryption context"] {
            assert!(said.contains(part), "{verb}: {part}: {said}");
        }
    }
}
