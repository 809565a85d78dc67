//! What the catalog finds to lead to a protected table: views and routines in any schema, cascades over
//! several tables, MERGE tables.

use std::path::Path;
use std::sync::Arc;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use sealwire::catalog::{Catalog, Snapshot, Table, TableKind, Watched};
use sealwire::config::{Config, TableName};
use sealwire::control::Control;

use crate::on_every_server;
use crate::support::Schema;

/// A configuration that protects `columns` of tables in the test's schema.
fn config(schema: &Schema, max_age: &str, tables: &[(&str, &[&str])]) -> Arc<Config> {
    let backend = &schema.backend;
    let mut text = format!(
        "listen: [127.0.0.1:0]\nbackend:\n  address: {}:{}\n  tls: {{ mode: preferred }}\n  \
         control: {{ user: sealwire, password: control-secret }}\n\
         kms: {{ provider: local, keyring: /nowhere/keyring, key: a }}\nvault: {}.data_keys\n\
         catalog: {{ max_age: {max_age} }}\ntables:\n",
        backend.host,
        backend.port,
        schema.vault_schema(),
    );
    for (table, columns) in tables {
        text.push_str(&format!("  {}.{table}:\n    columns:\n", schema.name));
        for column in *columns {
            text.push_str(&format!("      {column}: {{}}\n"));
        }
    }
    Arc::new(Config::parse(&text, Path::new("/nowhere/sealwire.yaml"), &|_| None).expect("the configuration is right"))
}

async fn start(config: &Arc<Config>) -> Catalog {
    let settings = config.clone();
    let control = tokio::task::spawn_blocking(move || Control::start(&settings)).await.expect("no panic");
    let control = control.expect("the control link starts");
    Catalog::start(config.clone(), control).await.expect("the schema is read")
}

async fn run(conn: &mut Conn, statements: &[&str]) {
    for statement in statements {
        conn.query_drop(*statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
}

fn table(snapshot: &Snapshot, schema: &Schema, name: &str) -> Arc<Table> {
    snapshot.table(&TableName::new(&schema.name, name)).flatten().expect("the table is there").clone()
}

fn watched<'a>(snapshot: &'a Snapshot, name: &str) -> Option<&'a Watched> {
    snapshot.watched.get(name)
}

on_every_server! {
    async fn what_leads_to_a_protected_table_is_watched_wherever_it_is(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let other = Schema::create(&backend).await;
        let mut conn = other.direct().await;
        let home = &schema.name;
        run(&mut conn, &[
            &format!("CREATE TABLE {home}.zusers (id int PRIMARY KEY, email varchar(255), n int, KEY (email), KEY (n))"),
            &format!("CREATE VIEW zview AS SELECT id, email FROM {home}.zusers"),
            "CREATE VIEW zview2 AS SELECT email AS e FROM zview",
            "CREATE TABLE zcalm (id int PRIMARY KEY)",
            "CREATE VIEW zcalm_view AS SELECT id FROM zcalm",
            "CREATE TABLE zlog (id int, v varchar(100))",
            &format!("CREATE TRIGGER zt BEFORE INSERT ON zlog FOR EACH ROW INSERT INTO {home}.zusers (id) VALUES (NEW.id)"),
            &format!("CREATE PROCEDURE zproc() UPDATE {home}.zusers SET id = 1"),
            "CREATE PROCEDURE zouter() CALL zproc()",
            "CREATE PROCEDURE zcalm_proc() SELECT 1",
            "CREATE PROCEDURE zdyn() BEGIN PREPARE s FROM 'select 1'; EXECUTE s; END",
        ]).await;
        let config = config(&schema, "1s", &[("zusers", &["email"])]);
        let snapshot = start(&config).await.current();
        assert_eq!(watched(&snapshot, "zusers"), Some(&Watched::Protected));
        assert_eq!(watched(&snapshot, "zview"), Some(&Watched::View));
        assert_eq!(watched(&snapshot, "zview2"), Some(&Watched::View));
        assert!(matches!(watched(&snapshot, "zlog"), Some(Watched::Carrier(_))));
        for routine in ["zproc", "zouter", "zdyn"] {
            assert_eq!(watched(&snapshot, routine), Some(&Watched::Routine), "{routine}");
        }
        for calm in ["zcalm", "zcalm_view", "zcalm_proc"] {
            assert_eq!(watched(&snapshot, calm), None, "{calm}");
        }
        let view = table(&snapshot, &other, "zview2");
        assert!(matches!(&view.kind, TableKind::View { definition: Some(text) } if text.contains("zview")));
        assert_eq!(view.columns.len(), 1);
        let routine = |name: &str| snapshot.routines.get(&(other.name.clone(), name.to_owned())).expect("the routine");
        assert!(routine("zouter").touches && routine("zdyn").dynamic && !routine("zcalm_proc").touches);
    }

    async fn parents_whose_updates_cascade_into_a_protected_column_are_carriers(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut conn = schema.direct().await;
        run(&mut conn, &[
            "CREATE TABLE fk_top (x varchar(255) CHARACTER SET ascii PRIMARY KEY)",
            "CREATE TABLE fk_middle (x varchar(255) CHARACTER SET ascii PRIMARY KEY, \
             FOREIGN KEY (x) REFERENCES fk_top (x) ON UPDATE CASCADE)",
            "CREATE TABLE fk_other (id int PRIMARY KEY)",
            "CREATE TABLE fk_users (email varchar(255) CHARACTER SET ascii, o int, \
             FOREIGN KEY (email) REFERENCES fk_middle (x) ON UPDATE CASCADE, \
             FOREIGN KEY (o) REFERENCES fk_other (id) ON UPDATE CASCADE)",
        ]).await;
        let config = config(&schema, "1s", &[("fk_users", &["email"])]);
        let snapshot = start(&config).await.current();
        assert!(matches!(watched(&snapshot, "fk_middle"), Some(Watched::Carrier(_))));
        assert!(matches!(watched(&snapshot, "fk_top"), Some(Watched::Carrier(_))), "a cascade runs over several tables");
        assert_eq!(watched(&snapshot, "fk_other"), None, "its cascade reaches no protected column");
    }

    async fn merge_tables_over_a_protected_table_are_carriers(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut conn = schema.direct().await;
        run(&mut conn, &[
            "CREATE TABLE mg_users (email varchar(255)) ENGINE=MyISAM",
            "CREATE TABLE mg_merge (email varchar(255)) ENGINE=MERGE UNION=(mg_users) INSERT_METHOD=LAST",
        ]).await;
        let config = config(&schema, "1s", &[("mg_users", &["email"])]);
        let snapshot = start(&config).await.current();
        assert!(matches!(watched(&snapshot, "mg_merge"), Some(Watched::Carrier(_))), "{:?}", watched(&snapshot, "mg_merge"));
    }
}
