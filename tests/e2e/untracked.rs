//! Sessions whose state the server does not report: a name resolved in the wrong schema would let plaintext
//! into a protected table.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, OptsBuilder};

use crate::on_every_server;
use crate::support::{Account, PrivateServer, Proxy, Schema};

/// What a table holds: sealed, or nothing.
async fn assert_sealed(direct: &mut Conn, rows: usize, what: &str) {
    let stored: Vec<String> = direct.query("SELECT email FROM users").await.unwrap();
    assert_eq!(stored.len(), rows, "{what}");
    assert!(stored.iter().all(|value| value.starts_with("pQ")), "{what}");
    direct.query_drop("DELETE FROM users").await.unwrap();
}

fn without_schema(proxy: &Proxy, schema: Option<&str>) -> OptsBuilder {
    proxy.opts(Account::APP).db_name(schema)
}

on_every_server! {
    async fn a_schema_that_the_server_did_not_report_is_noticed(backend: Backend) {
        let private = PrivateServer::start(backend.server);
        let schema = Schema::create(&private.backend).await;
        let mut direct = schema.direct().await;
        direct.query_drop("CREATE TABLE users (id int AUTO_INCREMENT PRIMARY KEY, email varchar(191))").await.unwrap();
        let proxy = Proxy::builder(&schema).column("users", "email", "{}").start();
        let (name, other) = (schema.name.clone(), schema.other_schema());
        let insert = "INSERT INTO users (email) VALUES ('plain')";

        direct.query_drop("SET GLOBAL session_track_schema = OFF").await.unwrap();
        for login in [None, Some(other.as_str())] {
            let mut conn = Conn::new(without_schema(&proxy, login)).await.unwrap();
            conn.query_drop(format!("USE {name}")).await.unwrap();
            for statement in [insert, "SELECT email FROM users"] {
                let Err(Error::Server(error)) = conn.query_drop(statement).await else { panic!("{statement}") };
                assert!(error.message.contains("SW-1602") && error.message.contains("session_track_schema"), "{error}");
            }
            assert!(conn.prep("INSERT INTO users (email) VALUES (?)").await.is_err());
            conn.query_drop("SELECT 1").await.unwrap();
            assert_sealed(&mut direct, 0, "USE was not reported").await;
        }
        // A session that went nowhere, and one that does later, are as they always are.
        let mut conn = Conn::new(without_schema(&proxy, Some(&name))).await.unwrap();
        conn.query_drop(insert).await.unwrap();
        let mut conn = Conn::new(without_schema(&proxy, Some(&other))).await.unwrap();
        conn.query_drop(format!("SELECT email FROM {name}.users")).await.unwrap();
        conn.query_drop(format!("USE {name}")).await.unwrap();
        conn.query_drop(insert).await.unwrap();
        assert_sealed(&mut direct, 2, "USE was reported again").await;

        direct.query_drop("SET GLOBAL session_track_schema = ON").await.unwrap();
        for init in [format!("USE {name}"), format!("SET session_track_schema = 0; USE {name}")] {
            direct.query_drop(format!("SET GLOBAL init_connect = '{init}'")).await.unwrap();
            let mut conn = Conn::new(without_schema(&proxy, Some(&other))).await.unwrap();
            let written = conn.query_drop(insert).await;
            assert_sealed(&mut direct, usize::from(written.is_ok()), &init).await;
        }
    }

    async fn a_prepared_statement_keeps_its_schema_when_its_table_becomes_a_carrier(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut direct = schema.direct().await;
        for sql in [
            "CREATE TABLE users (id int AUTO_INCREMENT PRIMARY KEY, email varchar(191))",
            "CREATE TABLE notes (text varchar(191))",
        ] {
            direct.query_drop(sql).await.unwrap();
        }
        direct.query_drop(format!("CREATE TABLE {}.notes (text varchar(191))", schema.other_schema())).await.unwrap();
        let proxy = Proxy::builder(&schema).column("users", "email", "{}").start();
        let mut conn = proxy.connect().await;
        let statement = conn.prep("INSERT INTO notes VALUES (?)").await.unwrap();
        conn.exec_drop(&statement, ("one",)).await.unwrap();
        let trigger = "CREATE TRIGGER carry BEFORE INSERT ON notes FOR EACH ROW INSERT INTO users (email) VALUES (NEW.text)";
        direct.query_drop(trigger).await.unwrap();
        // In this schema the name is an ordinary table's.
        conn.query_drop(format!("USE {}", schema.other_schema())).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
        let written = conn.exec_drop(&statement, ("plain",)).await;
        assert!(written.is_err(), "the trigger's table is protected");
        assert_sealed(&mut direct, 0, "the carrier").await;
    }
}
