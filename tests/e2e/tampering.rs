//! Sealed values moved by somebody who can write to the database: between rows, columns, tables and
//! databases, and back in time. `docs/threat-model.md` tabulates what opens; changed and cut values are
//! tested exhaustively in `src/seal/tampering.rs`, and a few of them here through the proxy.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Value};

use crate::on_every_server;
use crate::support::{Answer, Backend, Kms, Proxy, Schema, answer, moto_key};

/// `users` (twice: here and in the other schema) and `staff`, with one row of each kind of value.
async fn protected(backend: &Backend, kms: Kms, mode: &'static str) -> (Schema, Proxy) {
    let schema = Schema::create(backend).await;
    let elsewhere = format!("{}.users", schema.other_schema());
    let mut conn = schema.direct().await;
    let (mode, plain, search) = match mode {
        "gcm" => ("envelope", "{ cipher: aes-256-gcm }", "{ cipher: aes-256-gcm, pad: 16 }"),
        "envelope" => (mode, "{}", "{ search: exact }"),
        _ => (mode, "{}", "{}"),
    };
    let mut builder = Proxy::builder(&schema).kms(kms).kms_mode(mode);
    for table in ["users", "staff", &elsewhere] {
        let column = "varchar(400) CHARACTER SET ascii COLLATE ascii_bin";
        conn.query_drop(format!(
            "CREATE TABLE {table} (id int PRIMARY KEY, email {column}, phone {column}, tax {column}, iban {column})"
        ))
        .await
        .unwrap();
        builder = builder.column(table, "email", plain).column(table, "phone", plain);
        builder = builder.column(table, "tax", search).column(table, "iban", search);
    }
    let proxy = builder.start();
    let mut app = proxy.connect().await;
    for table in ["users", "staff", &elsewhere] {
        for id in [1, 2] {
            let values = ["email", "phone", "tax", "iban"].map(|column| format!("'{column} {id}'")).join(", ");
            app.query_drop(format!("INSERT INTO {table} VALUES ({id}, {values})")).await.unwrap();
        }
    }
    (schema, proxy)
}

/// Every way to seal values, direct mode only where there is an emulator of KMS.
async fn every_mode() -> Vec<(Kms, &'static str)> {
    let mut modes = vec![(Kms::Local, "envelope"), (Kms::Local, "gcm")];
    modes.extend(moto_key().await.map(|key| (Kms::Moto(key), "direct")));
    modes
}

/// What the application reads: the value, or the code of the refusal.
async fn read(app: &mut Conn, column: &str) -> Result<Option<String>, String> {
    match answer(app, &format!("SELECT {column} FROM users WHERE id = 1")).await {
        Answer::Rows { rows, .. } => Ok(match &rows[0][0] {
            Value::NULL => None,
            Value::Bytes(bytes) => Some(String::from_utf8(bytes.clone()).unwrap()),
            other => panic!("{other:?}"),
        }),
        Answer::Error { message, .. } => {
            let code = message.split("SW-").nth(1).unwrap_or_else(|| panic!("{message}"));
            Err(format!("SW-{}", &code[..4]))
        }
        other => panic!("{other:?}"),
    }
}

/// Moves the sealed value that `source` names into row 1 of `users`, and reads it there. Puts it back.
async fn moved(schema: &Schema, app: &mut Conn, column: &str, source: &str) -> Result<Option<String>, String> {
    let mut attacker = schema.direct().await;
    let before: Option<String> =
        attacker.query_first(format!("SELECT {column} FROM users WHERE id = 1")).await.unwrap().unwrap();
    let value: Option<Option<String>> = attacker.query_first(format!("SELECT {source}")).await.unwrap();
    attacker.exec_drop(format!("UPDATE users SET {column} = ? WHERE id = 1"), (value.unwrap(),)).await.unwrap();
    let outcome = read(app, column).await;
    attacker.exec_drop(format!("UPDATE users SET {column} = ? WHERE id = 1"), (before,)).await.unwrap();
    outcome
}

on_every_server! {
    async fn an_enveloped_value_opens_in_any_row_of_its_own_column_and_nowhere_else(backend: Backend) {
        for cipher in ["envelope", "gcm"] {
            let (schema, proxy) = protected(&backend, Kms::Local, cipher).await;
            let mut app = proxy.connect().await;
            let other = schema.other_schema();
            let begins: String = schema.direct().await.query_first("SELECT LEFT(email, 3) FROM users").await.unwrap().unwrap();
            assert_eq!(begins, if cipher == "gcm" { "pQM" } else { "pQE" });
            for (column, sibling) in [("email", "phone"), ("tax", "iban")] {
                let refused = Err("SW-1902".to_owned());
                let from = |place: &str| format!("{column} FROM {place}");
                for (source, expected) in [
                    (from("users WHERE id = 2"), Ok(Some(format!("{column} 2")))),
                    (format!("{sibling} FROM users WHERE id = 1"), refused.clone()),
                    (from("staff WHERE id = 1"), refused.clone()),
                    (from(&format!("{other}.users WHERE id = 1")), refused.clone()),
                    ("NULL".into(), Ok(None)),
                    ("''".into(), Err("SW-1901".into())),
                    ("'plain'".into(), Err("SW-1901".into())),
                    // Cut, changed at its end, and lower-cased.
                    (format!("LEFT({column}, LENGTH({column}) - 1) FROM users WHERE id = 1"), Err("SW-1904".into())),
                    (format!("CONCAT(LEFT({column}, 40), IF(SUBSTRING({column}, 41, 1) = 'A', 'B', 'A'), SUBSTRING({column}, 42)) FROM users WHERE id = 1"), refused.clone()),
                    (format!("LOWER({column}) FROM users WHERE id = 1"), Err("SW-1901".into())),
                ] {
                    assert_eq!(moved(&schema, &mut app, column, &source).await, expected, "{source}");
                    assert_eq!(read(&mut app, column).await, Ok(Some(format!("{column} 1"))));
                }
            }
        }
    }

    async fn a_value_of_direct_mode_opens_in_its_own_table_only(backend: Backend) {
        let Some(key) = moto_key().await else { return };
        let (schema, proxy) = protected(&backend, Kms::Moto(key), "direct").await;
        let mut app = proxy.connect().await;
        let other = schema.other_schema();
        for (source, expected) in [
            ("email FROM users WHERE id = 2".to_owned(), Ok(Some("email 2".to_owned()))),
            // The context names the table, so another column of it opens.
            ("phone FROM users WHERE id = 1".into(), Ok(Some("phone 1".into()))),
            ("email FROM staff WHERE id = 1".into(), Err("SW-1902".into())),
            (format!("email FROM {other}.users WHERE id = 1"), Err("SW-1902".into())),
            ("NULL".into(), Ok(None)),
            ("'plain'".into(), Err("SW-1901".into())),
            ("CONCAT(LEFT(email, 80), IF(SUBSTRING(email, 81, 1) = 'A', 'B', 'A'), SUBSTRING(email, 82)) FROM users WHERE id = 1".into(), Err("SW-1902".into())),
        ] {
            assert_eq!(moved(&schema, &mut app, "email", &source).await, expected, "{source}");
        }
    }

    async fn a_row_put_back_as_it_was_opens_with_its_old_value(backend: Backend) {
        for (kms, mode) in every_mode().await {
            let (schema, proxy) = protected(&backend, kms, mode).await;
            let mut app = proxy.connect().await;
            let mut attacker = schema.direct().await;
            let old: (String, String) = attacker.query_first("SELECT email, tax FROM users WHERE id = 1").await.unwrap().unwrap();
            app.query_drop("UPDATE users SET email = 'new', tax = 'new' WHERE id = 1").await.unwrap();
            assert_eq!(read(&mut app, "email").await, Ok(Some("new".into())), "{mode}");
            attacker.exec_drop("UPDATE users SET email = ?, tax = ? WHERE id = 1", (&old.0, &old.1)).await.unwrap();
            assert_eq!(read(&mut app, "email").await, Ok(Some("email 1".into())), "{mode}");
            assert_eq!(read(&mut app, "tax").await, Ok(Some("tax 1".into())), "{mode}");
        }
    }

    async fn a_sealed_value_that_an_application_sends_is_sealed_like_any_other(backend: Backend) {
        for (kms, mode) in every_mode().await {
            let (schema, proxy) = protected(&backend, kms, mode).await;
            let mut app = proxy.connect().await;
            for column in ["email", "tax"] {
                let second = format!("SELECT {column} FROM users WHERE id = 2");
                let stolen: String = schema.direct().await.query_first(second).await.unwrap().unwrap();
                app.exec_drop(format!("UPDATE users SET {column} = ? WHERE id = 1"), (&stolen,)).await.unwrap();
                assert_eq!(read(&mut app, column).await, Ok(Some(stolen.clone())), "{mode} {column}");
                app.query_drop(format!("UPDATE users SET {column} = '{stolen}' WHERE id = 1")).await.unwrap();
                assert_eq!(read(&mut app, column).await, Ok(Some(stolen.clone())), "{mode} {column}");
                let first = format!("SELECT {column} FROM users WHERE id = 1");
                let stored: String = schema.direct().await.query_first(first).await.unwrap().unwrap();
                assert!(stored.len() > stolen.len(), "{mode} {column}");
            }
        }
    }
}
