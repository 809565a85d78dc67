//! Values that an application encrypted with KMS itself, beside enveloped ones in the same column.

use mysql_async::prelude::Queryable;

use crate::on_every_server;
use crate::support::{Backend, Kms, Proxy, ProxyBuilder, Schema, StandIn, code, kms_scene, python, text_rows};

struct Scene {
    schema: Schema,
    kms: StandIn,
    key: String,
}

impl Scene {
    async fn set(backend: &Backend) -> Option<Self> {
        let table = "CREATE TABLE users (id int PRIMARY KEY AUTO_INCREMENT, email varchar(500), raw varbinary(900), \
                     tax varchar(500) CHARACTER SET ascii COLLATE ascii_bin)";
        let (schema, kms, key) = kms_scene(backend, &[table]).await?;
        kms.dress_blobs();
        Some(Self { schema, kms, key })
    }

    fn builder(&self, contexts: &str) -> ProxyBuilder {
        Proxy::builder(&self.schema)
            .kms(Kms::At(self.kms.endpoint.clone(), self.key.clone()))
            .kms_setting(&format!("accept_contexts: {contexts}"))
            .column("users", "email", "{}")
            .column("users", "raw", "{}")
            .column("users", "tax", "{ search: exact }")
    }

    /// What boto3 makes of values, as the application did it.
    fn encrypted(&self, values: &[&str]) -> Option<Vec<String>> {
        let mut script = python("tests/support/encrypt_as_application.py")?;
        let output =
            script.env("AWS_ENDPOINT_URL_KMS", &self.kms.endpoint).arg(&self.key).args(values).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
    }
}

fn row(values: &[&str]) -> Vec<Option<String>> {
    values.iter().map(|value| Some((*value).to_owned())).collect()
}

on_every_server! {
    async fn what_an_application_encrypted_itself_is_read_beside_enveloped_values(backend: Backend) {
        let Some(scene) = Scene::set(&backend).await else { return };
        let Some(old) = scene.encrypted(&["jane@old", "Zoë 🦭", "bytes"]) else { return };
        assert!(old.iter().all(|value| value.starts_with("AQICAH")), "{old:?}");
        let mut direct = scene.schema.direct().await;
        // In a binary column as base64, as the application wrote it, and as bytes.
        for (email, raw) in [(&old[0], "?"), (&old[1], "FROM_BASE64(?)")] {
            let sql = format!("INSERT INTO users (email, raw) VALUES (?, {raw})");
            direct.exec_drop(sql, (email, &old[2])).await.unwrap();
        }
        let proxy = scene.builder("[{ app: shop }]").start();
        let mut app = proxy.connect().await;
        app.query_drop("INSERT INTO users (email, raw) VALUES ('of the proxy', 'own'), (NULL, NULL)").await.unwrap();
        let expected = vec![
            row(&["jane@old", "bytes"]), row(&["Zoë 🦭", "bytes"]), row(&["of the proxy", "own"]), vec![None, None],
        ];
        let sql = "SELECT email, raw FROM users ORDER BY id";
        assert_eq!(text_rows(&mut app, sql).await, expected);
        let binary: Vec<(Option<String>, Option<String>)> = app.exec(sql, ()).await.unwrap();
        assert_eq!(binary.len(), 4);
        assert_eq!(binary[1], (Some("Zoë 🦭".into()), Some("bytes".into())));
        // Written anew, a value is enveloped.
        app.query_drop("UPDATE users SET email = 'anew', raw = 'anew' WHERE id = 1").await.unwrap();
        let stored: String = direct.query_first("SELECT email FROM users WHERE id = 1").await.unwrap().unwrap();
        assert!(stored.starts_with("pQE") && stored.ends_with('.'), "{stored}");
        assert_eq!(text_rows(&mut app, "SELECT email, raw FROM users WHERE id = 1").await, [row(&["anew", "anew"])]);
        // The configuration names the contexts; without them, or with others, nothing of the kind opens.
        for (contexts, expected) in [("[]", "SW-1901"), ("[{ app: other }]", "SW-1902")] {
            let proxy = scene.builder(contexts).start();
            let mut app = proxy.connect().await;
            assert_eq!(code(&mut app, "SELECT email FROM users WHERE id = 2").await, expected);
            assert_eq!(code(&mut app, "SELECT raw FROM users WHERE id = 2").await, expected);
            assert_eq!(code(&mut app, "SELECT email, raw FROM users WHERE id = 1").await, "ok");
        }
    }

    async fn what_is_neither_is_an_error_to_the_reader(backend: Backend) {
        let Some(scene) = Scene::set(&backend).await else { return };
        let Some(old) = scene.encrypted(&["secret of old"]) else { return };
        let proxy = scene.builder("[{ app: shop }]").start();
        let mut app = proxy.connect().await;
        app.query_drop("INSERT INTO users (email) VALUES ('own')").await.unwrap();
        let mut direct = scene.schema.direct().await;
        let own: String = direct.query_first("SELECT email FROM users").await.unwrap().unwrap();
        let wrapped: String = direct.query_first(format!("SELECT TO_BASE64(wrapped) FROM {}.data_keys", scene.schema.vault_schema())).await.unwrap().unwrap();
        let wrapped = wrapped.replace('\n', "");
        assert!(wrapped.starts_with("AQIDAH"), "{wrapped}");
        let middle = old[0].len() / 2;
        let mut changed = old[0].clone().into_bytes();
        changed[middle] = if changed[middle] == b'A' { b'B' } else { b'A' };
        let cases = [
            ("plain text".to_owned(), "SW-1901"),
            (old[0][..20].to_owned(), "SW-1901"),
            // A cut blob is KMS's to find; so is a changed one.
            (old[0][..old[0].len() - 8].to_owned(), "SW-1902"),
            (String::from_utf8(changed).unwrap(), "SW-1902"),
            (format!("{}.", old[0].trim_end_matches('=')), "SW-1901"),
            (old[0].to_lowercase(), "SW-1901"),
            (format!(" {}", old[0]), "SW-1901"),
            (own[..own.len() - 1].to_owned(), "SW-1904"),
            (own.replacen("pQ", "AQICAH", 1), "SW-1901"),
            // A data key is no value, whatever column it is put into.
            (wrapped, "SW-1901"),
            (String::new(), "SW-1901"),
        ];
        for (value, expected) in cases {
            direct.exec_drop("UPDATE users SET email = ?", (&value,)).await.unwrap();
            assert_eq!(code(&mut app, "SELECT email FROM users").await, expected, "{value}");
        }
        // A searchable column holds none: a comparison would not find it.
        direct.exec_drop("UPDATE users SET email = NULL, tax = ?", (&old[0],)).await.unwrap();
        assert_eq!(code(&mut app, "SELECT tax FROM users").await, "SW-1901");
    }

    async fn the_guard_of_such_a_column_lets_both_forms_pass_and_nothing_else(backend: Backend) {
        let Some(scene) = Scene::set(&backend).await else { return };
        let Some(old) = scene.encrypted(&["of old"]) else { return };
        let check = |contexts: &str| {
            let builder = scene.builder(contexts);
            let (_folder, config) = builder.write();
            let output = builder.command().args(["check", "-c"]).arg(config).env("SEALWIRE_LOG", "off").output().unwrap();
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let text = check("[{ app: shop }]");
        let guards: Vec<&str> = text.lines().filter(|line| line.contains("ADD CONSTRAINT")).collect();
        assert_eq!(guards.len(), 3, "{text}");
        let proxy = scene.builder("[{ app: shop }]").start();
        let mut app = proxy.connect().await;
        for guard in guards {
            assert_eq!(guard.contains("CAH") || guard.contains("AQIC"), !guard.contains("_tax"), "{guard}");
            app.query_drop(guard.trim().trim_end_matches(';')).await.unwrap();
        }
        assert_eq!(check("[{ app: shop }]").matches("in place").count(), 3);
        let mut direct = scene.schema.direct().await;
        direct.exec_drop("INSERT INTO users (email, raw) VALUES (?, FROM_BASE64(?)), (NULL, ?)", (&old[0], &old[0], &old[0])).await.unwrap();
        app.query_drop("INSERT INTO users (email, raw, tax) VALUES ('own', 'own', 'own')").await.unwrap();
        let read = text_rows(&mut app, "SELECT email, raw FROM users ORDER BY id").await;
        assert_eq!(read, [row(&["of old", "of old"]), vec![None, Some("of old".into())], row(&["own", "own"])]);
        for column in ["email", "raw", "tax"] {
            for value in ["plain", "AQIXAH", "", &old[0][..30], &old[0].to_lowercase()] {
                let error = direct.exec_drop(format!("INSERT INTO users ({column}) VALUES (?)"), (value,)).await.unwrap_err();
                let number = match &error { mysql_async::Error::Server(error) => error.code, error => panic!("{error}") };
                assert!(matches!(number, 3819 | 4025), "{column} {value}: {error}");
            }
        }
        assert!(direct.exec_drop("INSERT INTO users (tax) VALUES (?)", (&old[0],)).await.is_err());
    }
}
