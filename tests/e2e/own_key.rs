//! Tables that have a KMS key of their own (`kms.keys`): what is wrapped with which, the way there, and what a disabled
//! key ends.

use mysql_async::prelude::Queryable;

use crate::on_every_server;
use crate::support::stand_in::DISABLED;
use crate::support::{Backend, Kms, Proxy, ProxyBuilder, Schema, StandIn, code, moto_key, text_rows};

struct Scene {
    schema: Schema,
    kms: StandIn,
    common: String,
    own: String,
}

impl Scene {
    /// `staff` has a key of its own, `users` has none.
    async fn set(backend: &Backend) -> Option<Self> {
        let (kms, common, own) = (StandIn::start().await?, moto_key().await?, moto_key().await?);
        let schema = Schema::create(backend).await;
        for table in ["users", "staff"] {
            let create = format!("CREATE TABLE {table} (id int PRIMARY KEY AUTO_INCREMENT, email text, note text)");
            schema.direct().await.query_drop(create).await.unwrap();
        }
        Some(Self { schema, kms, common, own })
    }

    fn before(&self) -> ProxyBuilder {
        let mut builder = Proxy::builder(&self.schema)
            .kms(Kms::At(self.kms.endpoint.clone(), self.common.clone()))
            .kms_setting("cache: { ttl: 1s, max_stale: 1h }");
        for table in ["users", "staff"] {
            builder = builder.column(table, "email", "{}").column(table, "note", "{ mode: direct }");
        }
        builder
    }

    fn builder(&self) -> ProxyBuilder {
        self.before().kms_setting(&format!("keys: {{ {}.staff: \"{}\" }}", self.schema.name, self.own))
    }

    fn run(&self, words: &[&str]) -> (bool, String) {
        let (_folder, config) = self.builder().write();
        let output =
            self.builder().command().args(words).arg("-c").arg(config).env("SEALWIRE_LOG", "off").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), said)
    }

    /// The KMS key of each table's data key, as the vault says.
    async fn wrapped_with(&self) -> Vec<(String, String)> {
        let sql = format!("SELECT scope, kms_key FROM {}.data_keys ORDER BY scope", self.schema.vault_schema());
        self.schema.direct().await.query(sql).await.unwrap()
    }

    fn expected(&self) -> Vec<(String, String)> {
        let scope = |table: &str| format!("{}.{table}", self.schema.name);
        vec![(scope("staff"), self.own.clone()), (scope("users"), self.common.clone())]
    }
}

const TABLES: [&str; 2] = ["users", "staff"];

fn insert(table: &str) -> String {
    format!("INSERT INTO {table} (email, note) VALUES ('of {table}', 'direct')")
}

on_every_server! {
    async fn each_table_is_sealed_with_its_own_kms_key_and_a_disabled_one_ends_its_table_alone(backend: Backend) {
        let Some(scene) = Scene::set(&backend).await else { return };
        let proxy = scene.builder().start();
        let mut app = proxy.connect().await;
        for table in TABLES {
            assert_eq!(code(&mut app, &insert(table)).await, "ok");
        }
        assert_eq!(scene.wrapped_with().await, scene.expected());
        let (ok, said) = scene.run(&["check"]);
        assert!(ok && said.contains(&format!("{} for {}.staff", scene.own, scene.schema.name)), "{said}");
        assert!(said.contains(&format!("with the key of {}.staff", scene.schema.name)), "{said}");

        // What the table's own key wrapped, the other does not open.
        let fresh = scene.before().start();
        let mut without = fresh.connect().await;
        for (sql, expected) in [
            ("SELECT email FROM users", "ok"), ("SELECT note FROM users", "ok"),
            ("SELECT email FROM staff", "SW-1912"), ("SELECT note FROM staff", "SW-1912"),
        ] {
            assert_eq!(code(&mut without, sql).await, expected, "{sql}");
        }

        scene.kms.fail_key(&scene.own, DISABLED);
        tokio::time::sleep(std::time::Duration::from_millis(1200)).await;
        for started in [proxy, scene.builder().start()] {
            let mut app = started.connect().await;
            for column in ["email", "note"] {
                let mut outcome = code(&mut app, &format!("SELECT {column} FROM staff")).await;
                for _ in 0..40 {
                    if outcome != "ok" { break; }
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    outcome = code(&mut app, &format!("SELECT {column} FROM staff")).await;
                }
                assert_eq!(outcome, "SW-1910", "{column}");
                assert_eq!(code(&mut app, &format!("SELECT {column} FROM users")).await, "ok", "{column}");
            }
            assert_eq!(code(&mut app, &insert("staff")).await, "SW-1910");
            assert_eq!(code(&mut app, &insert("users")).await, "ok");
        }
    }

    async fn a_table_that_gets_a_key_of_its_own_opens_as_before_and_is_rewrapped(backend: Backend) {
        let Some(scene) = Scene::set(&backend).await else { return };
        let before = scene.before().start();
        let mut app = before.connect().await;
        for table in TABLES {
            assert_eq!(code(&mut app, &insert(table)).await, "ok");
        }
        let proxy = scene.builder().start();
        let mut app = proxy.connect().await;
        let read = "SELECT email, note FROM staff ORDER BY id";
        let row = vec![Some("of staff".to_owned()), Some("direct".to_owned())];
        assert_eq!(text_rows(&mut app, read).await, vec![row.clone()]);
        let (ok, said) = scene.run(&["keys", "rewrap"]);
        assert!(ok && said.contains("1 rewrapped, 1 were"), "{said}");
        assert_eq!(scene.wrapped_with().await, scene.expected());
        let fresh = scene.builder().start();
        let mut app = fresh.connect().await;
        assert_eq!(code(&mut app, &insert("staff")).await, "ok");
        assert_eq!(text_rows(&mut app, read).await, vec![row.clone(), row]);
        let (ok, said) = scene.run(&["keys", "list"]);
        assert!(ok && said.contains(&scene.own), "{said}");
        // What destroys the table alone, copies of the vault included.
        for (table, expected) in [("staff", format!("{} is that of no other table", scene.own)), ("users", "kms.keys".into())] {
            let scope = format!("{}.{table}", scene.schema.name);
            let (ok, said) = scene.run(&["keys", "shred", &scope, "--confirm", &scope]);
            assert!(ok && said.contains("Only the deletion of the KMS key is for good") && said.contains(&expected), "{said}");
        }
    }
}
