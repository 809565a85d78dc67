//! Attacks of somebody who can write to the vault: changed, deleted, exchanged and replayed rows, a KMS key
//! of his own, and wrapped keys whose content he knows. He opens nothing, and nothing is sealed under a key
//! of his. Every proxy here is started afresh, so that none answers from its cache.

use aws_lc_rs::hmac;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::DataKeySpec;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use sealwire::seal::DataKey;
use sealwire::seal::derive::{PURPOSE_VAULT_ROW, push_field};

use crate::on_every_server;
use crate::support::{Answer, Backend, Kms, Proxy, Schema, answer, kms_client, moto_endpoint, moto_key, text_rows};

struct Scene {
    schema: Schema,
    kms: Kms,
}

impl Scene {
    /// `users` and `staff` hold a sealed row each; the vault holds a data key for each, and for `users` a
    /// search key too.
    async fn set(backend: &Backend, kms: Kms) -> Self {
        let schema = Schema::create(backend).await;
        for table in ["users", "staff"] {
            let column = "varchar(400) CHARACTER SET ascii COLLATE ascii_bin";
            let create =
                format!("CREATE TABLE {table} (id int PRIMARY KEY AUTO_INCREMENT, email {column}, tax {column})");
            schema.direct().await.query_drop(create).await.unwrap();
        }
        let scene = Self { schema, kms };
        let proxy = scene.proxy();
        let mut app = proxy.connect().await;
        app.query_drop("INSERT INTO users (email, tax) VALUES ('jane', 'T1')").await.unwrap();
        app.query_drop("INSERT INTO staff (email) VALUES ('joe')").await.unwrap();
        scene
    }

    fn proxy(&self) -> Proxy {
        let builder = Proxy::builder(&self.schema).kms(self.kms.clone());
        let builder = builder.column("users", "email", "{}").column("users", "tax", "{ search: exact }");
        builder.column("staff", "email", "{}").keyring(&self.keyring()).start()
    }

    /// Of the local provider; the same for every proxy of the scene.
    fn keyring(&self) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("sealwire-{}-keyring.json", self.schema.name))
    }

    fn vault(&self) -> String {
        format!("{}.data_keys", self.schema.vault_schema())
    }

    async fn attacker(&self) -> Conn {
        self.schema.direct().await
    }

    /// What a proxy started now says to reading and to writing `users.email`: `ok`, or the refusal's code.
    async fn outcome(&self) -> (String, String) {
        let proxy = self.proxy();
        let mut app = proxy.connect().await;
        let read = match answer(&mut app, "SELECT email FROM users WHERE id = 1").await {
            Answer::Rows { rows, .. } => {
                assert_eq!(rows, [["jane".into()]]);
                "ok".to_owned()
            }
            other => code(other),
        };
        // Rolled back: what is tried must leave nothing behind.
        app.query_drop("BEGIN").await.unwrap();
        let write = match answer(&mut app, "INSERT INTO users (email) VALUES ('new')").await {
            Answer::Done { .. } => "ok".to_owned(),
            other => code(other),
        };
        app.query_drop("ROLLBACK").await.unwrap();
        (read, write)
    }

    /// Expects what reading and writing answer once `attack` is done, and undoes it with a copy of the vault.
    async fn expect(&self, attack: &[String], read: &str, write: &str) {
        let mut conn = self.attacker().await;
        let vault = self.vault();
        conn.query_drop(format!("CREATE TABLE copy LIKE {vault}")).await.unwrap();
        conn.query_drop(format!("INSERT INTO copy SELECT * FROM {vault}")).await.unwrap();
        for statement in attack {
            conn.query_drop(statement).await.unwrap();
        }
        let outcome = self.outcome().await;
        assert_eq!((outcome.0.as_str(), outcome.1.as_str()), (read, write), "{attack:?}");
        conn.query_drop(format!("DELETE FROM {vault}")).await.unwrap();
        conn.query_drop(format!("INSERT INTO {vault} SELECT * FROM copy")).await.unwrap();
        conn.query_drop("DROP TABLE copy").await.unwrap();
    }

    /// Expects that with the vault as it was everything works.
    async fn expect_sound(&self) {
        assert_eq!(self.outcome().await, ("ok".into(), "ok".into()));
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.keyring());
    }
}

fn code(answer: Answer) -> String {
    let Answer::Error { message, .. } = answer else { panic!("{answer:?}") };
    let at = message.find("SW-").unwrap_or_else(|| panic!("{message}"));
    message[at..at + 7].to_owned()
}

/// A row of the vault made by somebody who knows `key`, in every detail as the proxy would make it.
struct Forged<'a> {
    key: [u8; 32],
    id: u32,
    scope: &'a str,
    version: u32,
    kms_key: &'a str,
    context: Vec<(&'a str, String)>,
    wrapped: Vec<u8>,
}

impl Forged<'_> {
    async fn insert(&self, conn: &mut Conn, vault: &str) {
        let mut message = Vec::new();
        push_field(&mut message, b"sealwire/v1/vault-row");
        push_field(&mut message, &self.id.to_be_bytes());
        push_field(&mut message, self.scope.as_bytes());
        push_field(&mut message, b"data");
        push_field(&mut message, &self.version.to_be_bytes());
        push_field(&mut message, b"active");
        push_field(&mut message, self.kms_key.as_bytes());
        let mut context = self.context.clone();
        context.sort();
        let mut canonical = Vec::new();
        for (key, value) in &context {
            push_field(&mut canonical, key.as_bytes());
            push_field(&mut canonical, value.as_bytes());
        }
        push_field(&mut message, &canonical);
        push_field(&mut message, &self.wrapped);
        push_field(&mut message, b"2026-01-02 03:04:05");
        let mut info = Vec::new();
        push_field(&mut info, PURPOSE_VAULT_ROW.as_bytes());
        let key = DataKey::new(&self.key).unwrap().derive(&info).unwrap();
        let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_slice()), &message);
        let json: serde_json::Map<_, _> = context.iter().map(|(k, v)| ((*k).to_owned(), v.clone().into())).collect();
        conn.exec_drop(
            format!("INSERT INTO {vault} VALUES (?, ?, 'data', ?, 'active', ?, ?, ?, ?, '2026-01-02 03:04:05')"),
            (
                self.id,
                self.scope,
                self.version,
                self.kms_key,
                serde_json::to_string(&json).unwrap(),
                &self.wrapped,
                mac.as_ref(),
            ),
        )
        .await
        .unwrap();
    }
}

const KNOWN: [u8; 32] = [0x4b; 32];

/// The context of a data key.
fn data_key_context(scope: &str, id: u32) -> Vec<(&'static str, String)> {
    vec![("purpose", "sealwire-data-key".into()), ("table", scope.into()), ("key", id.to_string())]
}

/// `KNOWN`, wrapped by KMS itself as anybody with `kms:Encrypt` can.
async fn wrap(kms_key: &str, context: &[(&str, String)]) -> Vec<u8> {
    let client = kms_client(&moto_endpoint().unwrap());
    let mut call = client.encrypt().key_id(kms_key).plaintext(Blob::new(KNOWN));
    for (key, value) in context {
        call = call.encryption_context(*key, value);
    }
    Box::pin(call.send()).await.unwrap().ciphertext_blob.unwrap().into_inner()
}

on_every_server! {
    async fn a_row_changed_in_any_field_seals_and_opens_nothing(backend: Backend) {
        let scene = Scene::set(&backend, Kms::Local).await;
        let (vault, scope) = (scene.vault(), format!("{}.users", scene.schema.name));
        for (change, read, write) in [
            // Without a row for the scope, the sealed values it has forbid a new key.
            ("scope = CONCAT(scope, 'x')", "SW-1902", "SW-1907"),
            ("purpose = 'spare'", "SW-1906", "SW-1907"),
            ("id = IF(id = 1, 2, 1)", "SW-1903", "SW-1906"),
            ("version = 2", "SW-1906", "SW-1906"),
            ("state = 'retired'", "SW-1906", "SW-1906"),
            ("kms_key = 'arn:aws:kms:eu-central-1:666666666666:key/other'", "SW-1906", "SW-1906"),
            ("context = JSON_SET(context, '$.extra', 'x')", "SW-1906", "SW-1906"),
            ("context = JSON_SET(context, '$.table', 'other.users')", "SW-1906", "SW-1906"),
            ("wrapped = CONCAT(SUBSTRING(wrapped, 1, LENGTH(wrapped) - 1), x'00', SUBSTRING(wrapped, LENGTH(wrapped)))", "SW-1906", "SW-1906"),
            ("wrapped = ''", "SW-1906", "SW-1906"),
            ("mac = REVERSE(mac)", "SW-1906", "SW-1906"),
            ("mac = ''", "SW-1906", "SW-1906"),
            ("created_at = created_at + INTERVAL 1 SECOND", "SW-1906", "SW-1906"),
        ] {
            let attack = format!("UPDATE {vault} SET {change} WHERE scope = '{scope}' AND purpose = 'data'");
            scene.expect(&[attack], read, write).await;
        }
        scene.expect_sound().await;
    }

    async fn deleted_rows_stop_reading_and_writing_and_no_new_key_is_made(backend: Backend) {
        let scene = Scene::set(&backend, Kms::Local).await;
        let vault = scene.vault();
        scene.expect(&[format!("DELETE FROM {vault}")], "SW-1903", "SW-1907").await;
        scene.expect(&[format!("DELETE FROM {vault} WHERE scope LIKE '%.users' AND purpose = 'data'")], "SW-1903", "SW-1907").await;
        scene.expect_sound().await;
    }

    async fn rows_that_change_places_open_nothing(backend: Backend) {
        let Some(key) = moto_key().await else { return };
        for kms in [Kms::Local, Kms::Moto(key)] {
            let scene = Scene::set(&backend, kms).await;
            let (vault, schema) = (scene.vault(), scene.schema.name.clone());
            // The wrapped key of staff, with and without what belongs to it, in the row of users.
            for fields in ["u.wrapped = s.wrapped", "u.wrapped = s.wrapped, u.mac = s.mac", "u.wrapped = s.wrapped, u.mac = s.mac, u.context = s.context"] {
                let attack = format!(
                    "UPDATE {vault} u, {vault} s SET {fields} WHERE u.scope = '{schema}.users' AND s.scope = '{schema}.staff' \
                     AND u.purpose = 'data' AND s.purpose = 'data'"
                );
                scene.expect(&[attack], "SW-1906", "SW-1906").await;
            }
            // The search key in place of the data key.
            let rename = |from: &str, to: &str| format!("UPDATE {vault} SET purpose = '{to}' WHERE scope = '{schema}.users' AND purpose = '{from}'");
            let attack = [rename("data", "x"), rename("search", "data"), rename("x", "search")];
            scene.expect(&attack, "SW-1906", "SW-1906").await;
            // Both rows, whole, under each other's scope.
            let rename = |from: &str, to: &str| format!("UPDATE {vault} SET scope = '{schema}.{to}' WHERE scope = '{schema}.{from}' AND purpose = 'data'");
            let attack = [rename("users", "x"), rename("staff", "users"), rename("x", "staff")];
            scene.expect(&attack, "SW-1902", "SW-1906").await;
            scene.expect_sound().await;
        }
    }

    async fn a_key_wrapped_by_a_kms_key_of_the_attackers_own_is_refused(backend: Backend) {
        let Some(key) = moto_key().await else { return };
        let own = moto_key().await.unwrap();
        let scene = Scene::set(&backend, Kms::Moto(key.clone())).await;
        let scope = format!("{}.users", scene.schema.name);
        let mut conn = scene.attacker().await;
        for named in [&own, &key] {
            let context = data_key_context(&scope, 77);
            let wrapped = wrap(&own, &context).await;
            Forged { key: KNOWN, id: 77, scope: &scope, version: 2, kms_key: named, context, wrapped }.insert(&mut conn, &scene.vault()).await;
            // What was sealed before still opens; nothing new is sealed.
            let (read, write) = scene.outcome().await;
            // AWS answers IncorrectKeyException, which is SW-1912; moto answers AccessDeniedException.
            assert!(read == "ok" && ["SW-1912", "SW-1910"].contains(&write.as_str()), "{read} {write}");
            conn.query_drop(format!("DELETE FROM {} WHERE id = 77", scene.vault())).await.unwrap();
        }
        scene.expect_sound().await;
    }

    async fn a_known_key_wrapped_under_another_context_is_refused(backend: Backend) {
        let Some(key) = moto_key().await else { return };
        let scene = Scene::set(&backend, Kms::Moto(key.clone())).await;
        let scope = format!("{}.users", scene.schema.name);
        let staff = format!("{}.staff", scene.schema.name);
        let mut conn = scene.attacker().await;
        let right = data_key_context(&scope, 77);
        // What a key policy leaves open to those who may encrypt: anything but the purpose of data keys.
        for wrapped_under in [
            vec![],
            vec![("table", scope.clone())],
            vec![("purpose", "sealwire-data-keY".into()), ("table", scope.clone()), ("key", "77".into())],
            vec![("Purpose", "sealwire-data-key".into()), ("table", scope.clone()), ("key", "77".into())],
            // And what it does not, of another row or table.
            data_key_context(&scope, 78),
            data_key_context(&staff, 77),
        ] {
            let wrapped = wrap(&key, &wrapped_under).await;
            for context in [wrapped_under.clone(), right.clone()] {
                let row = Forged { key: KNOWN, id: 77, scope: &scope, version: 2, kms_key: &key, context, wrapped: wrapped.clone() };
                row.insert(&mut conn, &scene.vault()).await;
                assert_eq!(scene.outcome().await, ("ok".into(), "SW-1906".into()), "{wrapped_under:?}");
                conn.query_drop(format!("DELETE FROM {} WHERE id = 77", scene.vault())).await.unwrap();
            }
        }
        // The proof that these rows lack nothing but the right context, and of what the key policy is for:
        // KMS cannot tell who chose a key that was wrapped under it, so that `kms:Encrypt` must be denied.
        let wrapped = wrap(&key, &right).await;
        Forged { key: KNOWN, id: 77, scope: &scope, version: 2, kms_key: &key, context: right, wrapped }.insert(&mut conn, &scene.vault()).await;
        assert_eq!(scene.outcome().await, ("ok".into(), "ok".into()));
    }

    async fn a_direct_value_does_not_pass_for_a_wrapped_key(backend: Backend) {
        let Some(key) = moto_key().await else { return };
        let scene = Scene::set(&backend, Kms::Moto(key.clone())).await;
        // An application that may write a direct column has KMS encrypt 32 bytes that it knows.
        scene.attacker().await.query_drop("CREATE TABLE notes (body text)").await.unwrap();
        let proxy = Proxy::builder(&scene.schema).kms(scene.kms.clone()).kms_mode("direct").column("notes", "body", "{}").start();
        let known = String::from_utf8(KNOWN.to_vec()).unwrap();
        proxy.connect().await.exec_drop("INSERT INTO notes VALUES (?)", (known,)).await.unwrap();
        let mut conn = scene.attacker().await;
        let wrapped: Vec<u8> = conn.query_first("SELECT FROM_BASE64(body) FROM notes").await.unwrap().unwrap();
        let scope = format!("{}.users", scene.schema.name);
        let row = Forged { key: KNOWN, id: 77, scope: &scope, version: 2, kms_key: &key, context: data_key_context(&scope, 77), wrapped };
        row.insert(&mut conn, &scene.vault()).await;
        assert_eq!(scene.outcome().await, ("ok".into(), "SW-1906".into()));
    }

    async fn a_data_key_returned_in_the_clear_is_what_the_policy_denies_too(backend: Backend) {
        let Some(key) = moto_key().await else { return };
        let scene = Scene::set(&backend, Kms::Moto(key.clone())).await;
        let scope = format!("{}.users", scene.schema.name);
        let client = kms_client(&moto_endpoint().unwrap());
        let context = data_key_context(&scope, 77);
        let mut call = client.generate_data_key().key_id(&key).key_spec(DataKeySpec::Aes256);
        for (name, value) in &context {
            call = call.encryption_context(*name, value);
        }
        let made = Box::pin(call.send()).await.unwrap();
        let known: [u8; 32] = made.plaintext.unwrap().into_inner().try_into().unwrap();
        let wrapped = made.ciphertext_blob.unwrap().into_inner();
        let mut conn = scene.attacker().await;
        Forged { key: known, id: 77, scope: &scope, version: 2, kms_key: &key, context, wrapped }.insert(&mut conn, &scene.vault()).await;
        assert_eq!(scene.outcome().await, ("ok".into(), "ok".into()));
    }

    async fn two_or_ten_proxies_that_start_at_once_on_an_empty_vault_end_with_one_key(backend: Backend) {
        let Some(key) = moto_key().await else { return };
        for proxies in [2, 10] {
            let schema = Schema::create(&backend).await;
            let table = "CREATE TABLE users (id int PRIMARY KEY, email varchar(400), \
                         tax varchar(400) CHARACTER SET ascii COLLATE ascii_bin)";
            schema.direct().await.query_drop(table).await.unwrap();
            let builder = || {
                let builder = Proxy::builder(&schema).kms(Kms::Moto(key.clone())).column("users", "email", "{}");
                builder.column("users", "tax", "{ search: exact }")
            };
            let proxies: Vec<Proxy> = (0..proxies).map(|_| builder().start()).collect();
            let mut apps = Vec::new();
            for proxy in &proxies {
                apps.push(proxy.connect().await);
            }
            let mut writing = tokio::task::JoinSet::new();
            for (at, mut app) in apps.into_iter().enumerate() {
                writing.spawn(async move {
                    app.query_drop(format!("INSERT INTO users VALUES ({at}, 'value {at}', 'of all')")).await.unwrap();
                });
            }
            writing.join_all().await;
            let mut direct = schema.direct().await;
            let keys = format!("SELECT purpose, id FROM {}.data_keys ORDER BY purpose", schema.vault_schema());
            let keys: Vec<(String, u32)> = direct.query(keys).await.unwrap();
            assert!(keys.len() == 2 && keys[0].0 == "data" && keys[1].0 == "search", "{keys:?}");
            // Every value is sealed with the one that is there, and equal ones of searchable columns alike.
            let used = "SELECT DISTINCT HEX(FROM_BASE64(SUBSTRING(email, 21, 8))), tax FROM users";
            let used: Vec<(String, String)> = direct.query(used).await.unwrap();
            let taxes: std::collections::BTreeSet<&str> = used.iter().map(|(_, tax)| tax.as_str()).collect();
            assert!(used.iter().all(|(id, _)| id.starts_with(&format!("{:08X}", keys[0].1))), "{used:?} {keys:?}");
            assert_eq!(taxes.len(), 1, "{taxes:?}");
            // Every proxy opens what every other sealed, and so does one that knows the vault only.
            let last = builder().start();
            let expected: Vec<_> = (0..proxies.len()).map(|at| vec![Some(format!("value {at}"))]).collect();
            for proxy in proxies.iter().chain([&last]) {
                let sql = "SELECT email FROM users WHERE tax = 'of all' ORDER BY id";
                assert_eq!(text_rows(&mut proxy.connect().await, sql).await, expected);
            }
        }
    }
}
