//! What the proxy wrote opens without the proxy: by `docs/recover.py`, and the golden vectors by theirs.

use std::fmt::Write as _;
use std::process::{Command, Stdio};

use mysql_async::prelude::Queryable;

use crate::on_every_server;
use crate::support::{Kms, Proxy, Schema, kms_scene, moto_key, python, text_rows};

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

/// Column, its type in the database, its settings, three values to insert, and what the script makes of them.
type Form = (&'static str, &'static str, &'static str, [&'static str; 3], [&'static str; 3]);

const ASCII: &str = "varchar(300) CHARACTER SET ascii COLLATE ascii_bin";
const BASE64: &[&str] = &["--base64"];

/// Every algorithm, stored as text and as bytes, padded and not; declared types; direct mode. Searchable columns are not
/// padded, and stand in a table apart from those of algorithm 3.
const FORMS: [(&str, &[Form]); 3] = [
    (
        "users",
        &[
            (
                "email",
                "text",
                "{ pad: 64 }",
                ["'jane@example.org'", "''", "'Zoë 🦭'"],
                ["jane@example.org", "", "Zoë 🦭"],
            ),
            ("photo", "blob", "{}", ["x'ff0080'", "x''", "NULL"], ["/wCA", "", "NULL"]),
            ("face", "varbinary(300)", "{ pad: 16 }", ["x'ff80'", "x''", "x'00'"], ["/4A=", "", "AA=="]),
            ("tax", ASCII, "{ search: exact }", ["'T1'", "NULL", "'T1'"], ["T1", "NULL", "T1"]),
            ("print", "varbinary(300)", "{ search: exact }", ["x'ff0080'", "x''", "x'ff0080'"], ["/wCA", "", "/wCA"]),
            ("age", "varchar(100)", "{ type: int }", ["'-7'", "41", "NULL"], ["-7", "41", "NULL"]),
            (
                "born",
                "varbinary(100)",
                "{ type: date }",
                ["'2024-02-29'", "NULL", "'1970-1-2'"],
                ["MjAyNC0wMi0yOQ==", "NULL", "MTk3MC0wMS0wMg=="],
            ),
            (
                "due",
                "text",
                "{ type: \"decimal(10,2)\", pad: 8 }",
                ["12.5", "'-0.01'", "0"],
                ["12.50", "-0.01", "0.00"],
            ),
            (
                "plan",
                ASCII,
                "{ type: \"enum('free','paid')\", search: exact }",
                ["'paid'", "'free'", "'paid'"],
                ["paid", "free", "paid"],
            ),
            (
                "seen",
                "text",
                "{ type: datetime(3) }",
                ["'2026-01-02 03:04:05.5'", "NULL", "'2026-01-02'"],
                ["2026-01-02 03:04:05.500", "NULL", "2026-01-02 00:00:00.000"],
            ),
            ("flags", "blob", "{ type: bit(9) }", ["b'100000001'", "b'0'", "NULL"], ["AQE=", "AAA=", "NULL"]),
        ],
    ),
    (
        "cards",
        &[
            (
                "number",
                "text",
                "{ cipher: aes-256-gcm, pad: 16 }",
                ["'4111'", "''", "'Zoë 🦭'"],
                ["4111", "", "Zoë 🦭"],
            ),
            ("face", "blob", "{ cipher: aes-256-gcm }", ["x'ff0080'", "x''", "NULL"], ["/wCA", "", "NULL"]),
            (
                "back",
                "blob",
                "{ cipher: aes-256-gcm, pad: 8 }",
                ["x'ff80'", "x'8000'", "NULL"],
                ["/4A=", "gAA=", "NULL"],
            ),
            (
                "until",
                "blob",
                "{ cipher: aes-256-gcm, type: year }",
                ["2029", "'2030'", "NULL"],
                ["MjAyOQ==", "MjAzMA==", "NULL"],
            ),
        ],
    ),
    (
        "notes",
        &[
            ("body", "text", "{ mode: direct }", ["'jane'", "NULL", "'Zoë 🦭'"], ["jane", "NULL", "Zoë 🦭"]),
            ("scan", "blob", "{ mode: direct }", ["x'ff0080'", "x'00'", "NULL"], ["/wCA", "AA==", "NULL"]),
            (
                "day",
                "text",
                "{ mode: direct, type: date }",
                ["'2024-2-29'", "NULL", "'2026-01-02'"],
                ["2024-02-29", "NULL", "2026-01-02"],
            ),
        ],
    ),
];

fn of_bytes(data_type: &str) -> bool {
    data_type.contains("bin") && data_type != ASCII || data_type == "blob"
}

struct Scene {
    schema: Schema,
    proxy: Proxy,
    kms: Kms,
    endpoint: Option<String>,
    vault: std::path::PathBuf,
}

impl Scene {
    async fn set(schema: Schema, kms: Kms, endpoint: Option<String>, accepted: &str) -> Self {
        let mut builder =
            Proxy::builder(&schema).kms(kms.clone()).kms_setting("encryption_context: { service: \"bïll\\\"ing\" }");
        if !accepted.is_empty() {
            builder = builder.kms_setting(accepted);
        }
        for (table, forms) in FORMS {
            let columns: Vec<String> =
                forms.iter().map(|(name, data_type, ..)| format!("{name} {data_type}")).collect();
            let create = format!("CREATE TABLE {table} (id int PRIMARY KEY, {})", columns.join(", "));
            schema.direct().await.query_drop(create).await.unwrap();
            for (name, _, settings, ..) in forms {
                builder = builder.column(table, name, settings);
            }
        }
        let proxy = builder.start();
        let mut app = proxy.connect().await;
        for (table, forms) in FORMS {
            for row in 0..3 {
                let values: Vec<&str> = forms.iter().map(|(.., values, _)| values[row]).collect();
                app.query_drop(format!("INSERT INTO {table} VALUES ({row}, {})", values.join(", "))).await.unwrap();
            }
        }
        let vault = proxy.folder.path().join("vault.tsv");
        std::fs::write(&vault, export(&schema, &vault_statement(&schema)).await).unwrap();
        Self { schema, proxy, kms, endpoint, vault }
    }

    /// What the database holds of a column, as the script reads it.
    async fn stored(&self, table: &str, column: &str, data_type: &str) -> String {
        let select = if of_bytes(data_type) { format!("HEX({column})") } else { column.to_owned() };
        export(&self.schema, &format!("SELECT {select} FROM {table} ORDER BY id")).await
    }

    /// The script's words on `stored`; `None` when the test is to be skipped.
    fn recover(&self, table: &str, column: &str, flags: &[&str], stored: &str) -> Option<Result<String, String>> {
        let mut command = python("docs/recover.py")?;
        command.arg(&self.vault).args([format!("{}.{table}", self.schema.name), column.to_owned()]).args(flags);
        command.args(["--context", "{\"service\": \"bïll\\\"ing\"}"]);
        match &self.kms {
            Kms::Moto(key) | Kms::At(_, key) => command.args(["--kms-key", key]),
            _ => command.arg("--keyring").arg(self.proxy.folder.path().join("keyring")),
        };
        if let Some(endpoint) = &self.endpoint {
            command.env("AWS_ENDPOINT_URL_KMS", endpoint);
        }
        Some(run(&mut command, stored))
    }
}

on_every_server! {
    async fn a_script_of_another_language_opens_what_the_proxy_wrote(backend: Backend) {
        let Some(key) = moto_key().await else { return };
        for kms in [Kms::Moto(key), Kms::Local] {
            let scene = Scene::set(Schema::create(&backend).await, kms, None, "").await;
            for (table, column, data_type, expected) in FORMS.iter().flat_map(|(table, forms)| {
                forms.iter().map(move |(column, data_type, .., expected)| (*table, *column, *data_type, expected))
            }) {
                // Who unwraps the keys makes no difference to what they open.
                if table == "users" && data_type != ASCII && matches!(scene.kms, Kms::Moto(_)) {
                    continue;
                }
                let stored = scene.stored(table, column, data_type).await;
                assert!(stored.lines().all(|line| line == "NULL" || line.len() > 45), "{stored}");
                let flags = if of_bytes(data_type) { BASE64 } else { &[] };
                let Some(said) = scene.recover(table, column, flags, &stored) else { return };
                assert_eq!(said, Ok(expected.join("\n") + "\n"), "{:?} {table}.{column}", scene.kms);
            }
            // And what must not open: another column, another table, cut values, what is not sealed.
            let email = scene.stored("users", "email", "text").await;
            let email = email.lines().next().unwrap();
            let body = scene.stored("notes", "body", "text").await;
            let body = body.lines().next().unwrap();
            for (table, column, stored) in [
                ("users", "tax", email),
                ("staff", "email", email),
                ("users", "email", email.trim_end_matches('.')),
                ("users", "email", "plain@example.org"),
                ("users", "email", ""),
                ("staff", "body", body),
                ("notes", "body", &body[..body.len() - 4]),
                ("notes", "body", "plain"),
            ] {
                let Some(said) = scene.recover(table, column, &[], &format!("{stored}\n")) else { return };
                let error = said.unwrap_err();
                let reasons = ["InvalidTag", "InvalidCiphertext", "was cut", "not a sealed value"];
                assert!(reasons.iter().any(|reason| error.contains(reason)), "{table}.{column}: {error}");
            }
        }
    }

    async fn the_script_opens_a_bound_value_beside_what_it_is_bound_to(backend: Backend) {
        let schema = Schema::create(&backend).await;
        schema
            .direct()
            .await
            .query_drop(
                "CREATE TABLE payees (uuid varchar(36) CHARACTER SET ascii COLLATE ascii_bin PRIMARY KEY, n int NOT NULL, \
                 k varbinary(4) NOT NULL, iban text, mark varbinary(200), UNIQUE KEY (n, k))",
            )
            .await
            .unwrap();
        let proxy = Proxy::builder(&schema)
            .column("payees", "iban", "{ bind: [uuid] }")
            .column("payees", "mark", "{ bind: [n, k], cipher: aes-256-gcm, pad: 8 }")
            .start();
        proxy
            .connect()
            .await
            .query_drop("INSERT INTO payees VALUES ('a', -7, x'00ff', 'DE89', 'one'), ('b', 8, x'', NULL, 'two')")
            .await
            .unwrap();
        let vault = proxy.folder.path().join("vault.tsv");
        std::fs::write(&vault, export(&schema, &vault_statement(&schema)).await).unwrap();
        let recover = |column: &str, stored: &str| {
            let mut command = python("docs/recover.py")?;
            command.arg(&vault).args([format!("{}.payees", schema.name), column.to_owned()]);
            command.args(["--hex", "2", "--keyring"]).arg(proxy.folder.path().join("keyring"));
            Some(run(&mut command, stored))
        };
        let iban = export(&schema, "SELECT iban, uuid FROM payees ORDER BY uuid").await;
        let Some(said) = recover("iban", &iban) else { return };
        assert_eq!(said, Ok("DE89\nNULL\n".to_owned()));
        let mark = export(&schema, "SELECT HEX(mark), n, HEX(k) FROM payees ORDER BY uuid").await;
        assert_eq!(recover("mark", &mark).unwrap(), Ok("one\ntwo\n".to_owned()));
        let elsewhere = iban.replace("\ta\n", "\tb\n");
        assert!(elsewhere != iban && recover("iban", &elsewhere).unwrap().unwrap_err().contains("InvalidTag"));
    }

    async fn the_script_opens_what_an_application_encrypted_itself_beside_the_proxys_values(backend: Backend) {
        let Some((schema, kms, key)) = kms_scene(&backend, &[]).await else { return };
        kms.dress_blobs();
        let Some(mut script) = python("tests/support/encrypt_as_application.py") else { return };
        let output = script.env("AWS_ENDPOINT_URL_KMS", &kms.endpoint).args([&key, "of the application"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let blob = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        let endpoint = Some(kms.endpoint.clone());
        let provider = Kms::At(kms.endpoint.clone(), key);
        let scene = Scene::set(schema, provider, endpoint, "accept_contexts: [{ app: shop }]").await;
        let mut direct = scene.schema.direct().await;
        // In binary columns as base64, as such applications write it, and as bytes.
        for (table, column, data_type, value) in [
            ("users", "email", "text", "?"),
            ("notes", "body", "text", "?"),
            ("users", "photo", "blob", "?"),
            ("users", "face", "blob", "FROM_BASE64(?)"),
            ("notes", "scan", "blob", "FROM_BASE64(?)"),
        ] {
            direct.exec_drop(format!("UPDATE {table} SET {column} = {value} WHERE id = 1"), (&blob,)).await.unwrap();
            let stored = scene.stored(table, column, data_type).await;
            let app = text_rows(&mut scene.proxy.connect().await, &format!("SELECT {column} FROM {table} WHERE id = 1")).await;
            assert_eq!(app, [[Some("of the application".to_owned())]], "{table}.{column}");
            let Some(said) = scene.recover(table, column, &["--context", "{\"app\": \"shop\"}", "--base64"], &stored) else { return };
            let said = said.unwrap_or_else(|error| panic!("{table}.{column}: {error}"));
            let lines: Vec<&str> = said.lines().collect();
            assert!(lines.len() == 3 && lines[1] == "b2YgdGhlIGFwcGxpY2F0aW9u" && lines[0] != lines[1], "{said}");
            // Under no context but its own.
            let Some(said) = scene.recover(table, column, &[], &stored) else { return };
            assert!(said.is_err_and(|error| error.contains("InvalidCiphertext")), "{table}.{column}");
        }
    }
}

#[test]
fn the_golden_vectors_open_without_the_proxy() {
    let Some(mut command) = python("tests/vectors/verify.py") else { return };
    let said = run(&mut command, "").unwrap();
    assert!(said.contains("opened") && said.contains("vault rows"), "{said}");
}
