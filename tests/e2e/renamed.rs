//! Tables and columns that were renamed, or restored under another name, since their values were sealed: `sealed_as`.

use mysql_async::prelude::Queryable;

use crate::on_every_server;
use crate::support::{Backend, Proxy, ProxyBuilder, Schema, code, text_rows};

struct Scene {
    schema: Schema,
    keyring: tempfile::TempDir,
}

/// As the values were sealed, and as the columns are called now.
const BEFORE: [(&str, &str); 3] = [("email", "{}"), ("tax", "{ search: exact }"), ("note", "{ mode: direct }")];
const AFTER: [(&str, &str); 3] =
    [("mail", "{ sealed_as: email }"), ("vat", "{ sealed_as: tax, search: exact }"), ("note", "{ mode: direct }")];
const UNSAID: [(&str, &str); 3] = [("mail", "{}"), ("vat", "{ search: exact }"), ("note", "{ mode: direct }")];

impl Scene {
    /// A row that was sealed in `users`.
    async fn set(backend: &Backend) -> Self {
        let schema = Schema::create(backend).await;
        let scene = Self { schema, keyring: tempfile::tempdir().unwrap() };
        let tax = "varchar(300) CHARACTER SET ascii COLLATE ascii_bin";
        let table =
            format!("CREATE TABLE users (id int PRIMARY KEY AUTO_INCREMENT, email text, tax {tax}, note varchar(900))");
        scene.schema.direct().await.query_drop(table).await.unwrap();
        let proxy = scene.builder("users", &BEFORE).start();
        let insert = "INSERT INTO users (email, tax, note) VALUES ('jane', 'T1', 'direct')";
        proxy.connect().await.query_drop(insert).await.unwrap();
        scene
    }

    fn builder(&self, table: &str, columns: &[(&str, &str)]) -> ProxyBuilder {
        let builder = Proxy::builder(&self.schema).keyring(&self.keyring.path().join("keyring.json"));
        columns.iter().fold(builder, |builder, (column, settings)| builder.column(table, column, settings))
    }

    fn sealed_as(&self) -> String {
        format!("sealed_as: {}.users", self.schema.name)
    }

    /// Expects that `table` opens, seals and is searched as if it had always been called that, with the keys of `users`.
    async fn goes_on(&self, table: &str, columns: &[(&str, &str)]) {
        let builder = || self.builder(table, columns).table_setting(table, &self.sealed_as());
        let proxy = builder().start();
        let mut app = proxy.connect().await;
        let [mail, vat, note] = [columns[0].0, columns[1].0, columns[2].0];
        app.query_drop(format!("INSERT INTO {table} ({mail}, {vat}, {note}) VALUES ('joe', 'T1', 'new')"))
            .await
            .unwrap();
        let found =
            text_rows(&mut app, &format!("SELECT {mail}, {note} FROM {table} WHERE {vat} = 'T1' ORDER BY id")).await;
        let row = |mail: &str, note: &str| vec![Some(mail.to_owned()), Some(note.to_owned())];
        assert_eq!(found, [row("jane", "direct"), row("joe", "new")]);
        // A data key and a search key, of the name that values were sealed under, and no others.
        let scopes = format!("SELECT scope FROM {}.data_keys", self.schema.vault_schema());
        let scopes: Vec<String> = self.schema.direct().await.query(scopes).await.unwrap();
        assert_eq!(scopes, vec![format!("{}.users", self.schema.name); 2]);
        // `keys` knows the table by that name, and counts where the values are now.
        let (_folder, config) = builder().write();
        let mut command = builder().command();
        let output =
            command.args(["keys", "list", "--count", "-c"]).arg(config).env("SEALWIRE_LOG", "off").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = said.lines().find(|line| line.contains(" data ")).unwrap_or_else(|| panic!("{said}"));
        assert!(
            line.trim_start().starts_with(&scopes[0]) && line.split_whitespace().rev().nth(1) == Some("4"),
            "{said}"
        );
    }
}

on_every_server! {
    async fn a_renamed_table_opens_and_seals_under_the_name_that_it_was_sealed_as(backend: Backend) {
        let scene = Scene::set(&backend).await;
        let mut admin = scene.schema.direct().await;
        for statement in [
            "RENAME TABLE users TO clients",
            "ALTER TABLE clients RENAME COLUMN email TO mail",
            "ALTER TABLE clients RENAME COLUMN tax TO vat",
        ] {
            admin.query_drop(statement).await.unwrap();
        }
        // Where the configuration does not say so, nothing opens, and no key is made beside the values of another.
        let unsaid = scene.builder("clients", &UNSAID).start();
        let mut app = unsaid.connect().await;
        for column in ["mail", "vat", "note"] {
            assert_eq!(code(&mut app, &format!("SELECT {column} FROM clients")).await, "SW-1902", "{column}");
        }
        assert_eq!(code(&mut app, "INSERT INTO clients (mail) VALUES ('x')").await, "SW-1907");
        assert_eq!(code(&mut app, "INSERT INTO clients (vat) VALUES ('x')").await, "SW-1907");
        scene.goes_on("clients", &AFTER).await;
    }

    async fn a_table_restored_into_another_schema_opens_under_the_name_that_it_was_sealed_as(backend: Backend) {
        let scene = Scene::set(&backend).await;
        let elsewhere = format!("{}.users", scene.schema.other_schema());
        let mut admin = scene.schema.direct().await;
        for statement in [
            format!("CREATE TABLE {elsewhere} LIKE users"),
            format!("INSERT INTO {elsewhere} SELECT * FROM users"),
            "DROP TABLE users".to_owned(),
        ] {
            admin.query_drop(statement).await.unwrap();
        }
        scene.goes_on(&elsewhere, &BEFORE).await;
    }
}
