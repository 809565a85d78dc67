//! Changed, cut, added to, joined and replaced values of direct mode. `docs/threat-model.md` tabulates what opens; what
//! becomes of whole values that were moved is in `tampering.rs`.

use std::fmt::Write as _;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use crate::on_every_server;
use crate::support::{Backend, Kms, Proxy, Schema, code, moto_key, text_rows};

/// Base64 of what KMS makes of them ends in `=`, in nothing and in `==`.
const VALUES: [&str; 3] = ["jane", "janet", "janets"];

struct Scene {
    schema: Schema,
    proxy: Proxy,
}

impl Scene {
    /// `users` has a text and a binary column, and a row of each of [`VALUES`]. latin1 takes any byte.
    async fn set(backend: &Backend, settings: &str) -> Option<Self> {
        let key = moto_key().await?;
        let schema = Schema::create(backend).await;
        let column = "varchar(900) CHARACTER SET latin1 COLLATE latin1_bin";
        let table = format!("CREATE TABLE users (id int PRIMARY KEY, email {column}, raw varbinary(900))");
        schema.direct().await.query_drop(table).await.unwrap();
        let builder = Proxy::builder(&schema).kms(Kms::Moto(key)).kms_mode("direct");
        let proxy = builder.column("users", "email", settings).column("users", "raw", settings).start();
        let mut app = proxy.connect().await;
        for (id, value) in VALUES.iter().enumerate() {
            app.exec_drop("INSERT INTO users VALUES (?, ?, ?)", (id, value, value)).await.unwrap();
        }
        Some(Self { schema, proxy })
    }

    /// What the database holds.
    async fn stored(&self, column: &str) -> Vec<Vec<u8>> {
        let mut attacker = self.schema.direct().await;
        attacker.query(format!("SELECT CAST({column} AS BINARY) FROM users WHERE id < 3 ORDER BY id")).await.unwrap()
    }

    /// Puts each of `forms` into a row of its own; what the application then reads there, `None` where it gets an error.
    async fn read(&self, column: &str, forms: &[Vec<u8>]) -> Vec<Option<String>> {
        let mut attacker = self.schema.direct().await;
        attacker.query_drop("DELETE FROM users WHERE id >= 3").await.unwrap();
        for (chunk, some) in forms.chunks(500).enumerate() {
            let mut rows = String::new();
            for (at, form) in some.iter().enumerate() {
                let id = 3 + chunk * 500 + at;
                let hex: String = form.iter().map(|byte| format!("{byte:02x}")).collect();
                write!(rows, "{}({id}, x'{hex}')", if at == 0 { "" } else { ", " }).unwrap();
            }
            attacker.query_drop(format!("INSERT INTO users (id, {column}) VALUES {rows}")).await.unwrap();
        }
        let mut app = self.proxy.connect().await;
        let mut read = Vec::new();
        for at in 0..forms.len() {
            read.push(opened(&mut app, column, 3 + at).await);
        }
        read
    }

    /// As before, all of which must be refused.
    async fn refused(&self, column: &str, forms: &[Vec<u8>], what: &str) {
        for (at, read) in self.read(column, forms).await.into_iter().enumerate() {
            assert_eq!(read, None, "{column}, {what}: number {at}, {:?}", String::from_utf8_lossy(&forms[at]));
        }
    }
}

async fn opened(app: &mut Conn, column: &str, id: usize) -> Option<String> {
    let sql = format!("SELECT {column} FROM users WHERE id = {id}");
    let mut said = code(app, &sql).await;
    // The emulator of KMS may not answer in time on a busy machine, which says nothing of the value.
    for _ in 0..5 {
        if said != "SW-1911" {
            break;
        }
        said = code(app, &sql).await;
    }
    if said != "ok" {
        // The emulator finds the key by the blob's own words, and denies what it does not find.
        let refusals = ["SW-1901", "SW-1902", "SW-1904", "SW-1910", "SW-1912"];
        assert!(refusals.contains(&said.as_str()), "{sql}: {said}");
        return None;
    }
    let value = text_rows(app, &sql).await.remove(0).remove(0);
    Some(value.expect("nothing here is NULL"))
}

fn repeated(byte: u8, stored: &[u8]) -> usize {
    stored.iter().rev().take_while(|last| **last == byte).count()
}

on_every_server! {
    async fn every_changed_bit_of_a_direct_value_is_refused(backend: Backend) {
        let Some(scene) = Scene::set(&backend, "{}").await else { return };
        for column in ["email", "raw"] {
            let stored = &scene.stored(column).await[2];
            let changed: Vec<Vec<u8>> = (0..stored.len() * 8)
                .map(|bit| {
                    let mut changed = stored.clone();
                    changed[bit / 8] ^= 1 << (bit % 8);
                    changed
                })
                .collect();
            scene.refused(column, &changed, "a changed bit").await;
        }
    }

    async fn every_cut_of_a_direct_value_is_refused_but_for_the_padding_of_base64(backend: Backend) {
        let Some(scene) = Scene::set(&backend, "{}").await else { return };
        let mut paddings = Vec::new();
        for (column, ends) in [("email", &b"="[..]), ("raw", b"")] {
            for (stored, value) in scene.stored(column).await.iter().zip(VALUES) {
                let padding = ends.first().map_or(0, |byte| repeated(*byte, stored));
                paddings.push(padding);
                let cuts: Vec<Vec<u8>> = (0..stored.len()).map(|len| stored[..len].to_vec()).collect();
                for (len, read) in scene.read(column, &cuts).await.into_iter().enumerate() {
                    let whole = len + padding >= stored.len();
                    assert_eq!(read.as_deref(), whole.then_some(value), "{column}: cut to {len} of {}", stored.len());
                }
                let ends: Vec<Vec<u8>> = (1..=stored.len()).map(|from| stored[from..].to_vec()).collect();
                scene.refused(column, &ends, "cut at its beginning").await;
            }
        }
        assert_eq!(paddings, [1, 0, 2, 0, 0, 0]);
    }

    async fn nothing_can_be_appended_to_a_direct_value_but_spaces_in_text_columns(backend: Backend) {
        let Some(scene) = Scene::set(&backend, "{}").await else { return };
        for column in ["email", "raw"] {
            for (stored, value) in scene.stored(column).await.iter().zip(VALUES) {
                let longer: Vec<Vec<u8>> = (0..=u8::MAX).map(|byte| [&stored[..], &[byte]].concat()).collect();
                for (byte, read) in scene.read(column, &longer).await.into_iter().enumerate() {
                    let allowed = column == "email" && byte == usize::from(b' ');
                    assert_eq!(read.as_deref(), allowed.then_some(value), "{column}: {byte:#04x} appended");
                }
                let other = scene.stored(column).await.remove(0);
                scene.refused(column, &[[&stored[..], &other].concat()], "another value appended").await;
            }
        }
    }

    async fn parts_of_two_direct_values_do_not_make_a_third(backend: Backend) {
        let Some(scene) = Scene::set(&backend, "{}").await else { return };
        scene.proxy.connect().await.query_drop("UPDATE users SET email = 'joan', raw = 'joan' WHERE id = 1").await.unwrap();
        for column in ["email", "raw"] {
            let stored = scene.stored(column).await;
            let (one, two) = (&stored[0], &stored[1]);
            assert_eq!(one.len(), two.len());
            let joined: Vec<Vec<u8>> = (0..=one.len()).map(|at| [&one[..at], &two[at..]].concat()).collect();
            for (at, read) in scene.read(column, &joined).await.into_iter().enumerate() {
                // Both begin alike, with the key's id, and what stands at a cut may happen to be alike too.
                let whole = if joined[at] == *one { Some("jane") } else { (joined[at] == *two).then_some("joan") };
                assert_eq!(read.as_deref(), whole, "{column}: joined at {at}");
            }
        }
    }

    async fn a_direct_value_lower_cased_or_replaced_is_refused_and_an_empty_one_where_it_is_not_meant(backend: Backend) {
        for (settings, empty) in [("{}", None), ("{ empty: as_is }", Some(""))] {
            let Some(scene) = Scene::set(&backend, settings).await else { return };
            for column in ["email", "raw"] {
                let stored = scene.stored(column).await;
                let forms = [stored[0].to_ascii_lowercase(), b"plaintext".to_vec(), vec![b'A'; 96], vec![b' '; 96]];
                assert_ne!(forms[0], stored[0]);
                scene.refused(column, &forms, settings).await;
                assert_eq!(scene.read(column, &[Vec::new()]).await, [empty.map(str::to_owned)], "{column} {settings}");
            }
        }
    }
}
