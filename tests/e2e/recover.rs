//! What the proxy wrote opens without the proxy: by `docs/recover.py`, and the golden vectors by theirs.

use std::fmt::Write as _;
use std::process::{Command, Stdio};

use mysql_async::prelude::Queryable;

use crate::on_every_server;
use crate::support::{Kms, Proxy, Schema, moto_key, python, text_rows};

/// What a command says on its standard output to the given input; `Err` with its last words if it fails.
fn run(command: &mut Command, input: &str) -> Result<String, String> {
    let input_file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(input_file.path(), input).unwrap();
    let output = command.stdin(Stdio::from(input_file.reopen().unwrap())).output().unwrap();
    let said = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(said(output.stdout)) } else { Err(said(output.stderr)) }
}

/// The rows as `mysql -BN` prints them: the statements come from the script's own documentation.
async fn export(schema: &Schema, sql: &str) -> String {
    let rows = text_rows(&mut schema.direct().await, sql).await;
    rows.iter().fold(String::new(), |mut text, row| {
        let fields: Vec<&str> = row.iter().map(|field| field.as_deref().unwrap_or("NULL")).collect();
        writeln!(text, "{}", fields.join("\t")).unwrap();
        text
    })
}

/// The vault's export statement out of the script's documentation.
fn vault_statement(schema: &Schema) -> String {
    let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/recover.py"));
    let statement = text.split('\'').find(|part| part.starts_with("SELECT id, HEX(wrapped)")).unwrap();
    statement.replace("sealwire.data_keys", &format!("{}.data_keys", schema.vault_schema()))
}

on_every_server! {
    async fn a_script_of_another_language_opens_what_the_proxy_wrote(backend: Backend) {
        let Some(key) = moto_key().await else { return };
        for kms in [Kms::Moto(key.clone()), Kms::Local] {
            let schema = Schema::create(&backend).await;
            schema
                .direct()
                .await
                .query_drop("CREATE TABLE cards (id int PRIMARY KEY, number text, face blob)")
                .await
                .unwrap();
            schema
                .direct()
                .await
                .query_drop("CREATE TABLE users (id int PRIMARY KEY, email text, photo blob, tax varchar(191) CHARACTER SET ascii COLLATE ascii_bin)")
                .await
                .unwrap();
            let proxy = Proxy::builder(&schema)
                .kms(kms.clone())
                .kms_setting("encryption_context: { service: \"bïll\\\"ing\" }")
                .column("users", "email", "{ pad: 64 }")
                .column("users", "photo", "{}")
                .column("users", "tax", "{ search: exact }")
                .column("cards", "number", "{ cipher: aes-256-gcm, pad: 16 }")
                .column("cards", "face", "{ cipher: aes-256-gcm }")
                .start();
            let mut app = proxy.connect().await;
            app.query_drop(
                "INSERT INTO users VALUES (1, 'jane@example.org', x'ff0080', 'T1'), (2, '', x'', NULL), (3, 'Zoë 🦭', NULL, 'T1')",
            )
            .await
            .unwrap();
            app.query_drop("INSERT INTO cards VALUES (1, '4111', x'ff0080'), (2, '', x''), (3, 'Zoë 🦭', NULL)").await.unwrap();

            let vault = proxy.folder.path().join("vault.tsv");
            std::fs::write(&vault, export(&schema, &vault_statement(&schema)).await).unwrap();
            let keyring = proxy.folder.path().join("keyring").display().to_string();
            let recover = |table: &str, column: &str, flags: &[&str]| {
                let mut command = python("docs/recover.py")?;
                command.arg(&vault).args([format!("{}.{table}", schema.name), column.to_owned()]).args(flags);
                match &kms {
                    Kms::Moto(key) => command.args(["--kms-key", key]),
                    _ => command.args(["--keyring", &keyring]),
                };
                Some(command)
            };
            for (table, column, stored, flags, expected) in [
                ("users", "email", "email", &[][..], "jane@example.org\n\nZoë 🦭\n"),
                ("users", "photo", "HEX(photo)", &["--base64"], "/wCA\n\nNULL\n"),
                ("users", "tax", "tax", &[], "T1\nNULL\nT1\n"),
                ("cards", "number", "number", &[], "4111\n\nZoë 🦭\n"),
                ("cards", "face", "HEX(face)", &["--base64"], "/wCA\n\nNULL\n"),
            ] {
                let stored = export(&schema, &format!("SELECT {stored} FROM {table} ORDER BY id")).await;
                assert!(stored.lines().all(|line| line == "NULL" || line.len() > 45), "{stored}");
                let Some(mut command) = recover(table, column, flags) else { return };
                assert_eq!(run(&mut command, &stored).as_deref(), Ok(expected), "{kms:?} {table}.{column}");
            }
            // And what must not open: another column, another table, a cut value.
            let stored = export(&schema, "SELECT email FROM users WHERE id = 1").await;
            for (table, column, stored) in [
                ("users", "tax", stored.as_str()),
                ("staff", "email", stored.as_str()),
                ("users", "email", stored.trim_end().trim_end_matches('.')),
            ] {
                let Some(mut command) = recover(table, column, &[]) else { return };
                let error = run(&mut command, stored).unwrap_err();
                assert!(error.contains("InvalidTag") || error.contains("was cut"), "{table}.{column}: {error}");
            }
        }
    }
}

#[test]
fn the_golden_vectors_open_without_the_proxy() {
    let Some(mut command) = python("tests/vectors/verify.py") else { return };
    let said = run(&mut command, "").unwrap();
    assert!(said.contains("opened") && said.contains("vault rows"), "{said}");
}
