//! Query attributes (CLIENT_QUERY_ATTRIBUTES): the text behind them is what is analysed, and they arrive.

use mysql_async::prelude::Queryable;

use crate::on_every_server;
use crate::support::raw::{Reply, lenenc_string};
use crate::support::{Account, Proxy, Raw, Schema, assert_no_plaintext, caps};

const SECRET: &str = "canary attribute 7f3a91";
const VALUE: &str = "tenant 9b1c44";

/// COM_QUERY with one string attribute.
fn query_with(name: &str, value: &str, text: &str) -> Vec<u8> {
    let mut payload = vec![0x03, 1, 1, 0, 1, 0xFE, 0];
    payload.extend_from_slice(&lenenc_string(name.as_bytes()));
    payload.extend_from_slice(&lenenc_string(value.as_bytes()));
    payload.extend_from_slice(text.as_bytes());
    payload
}

/// COM_STMT_EXECUTE with string parameters and one string attribute.
fn execute_with(id: u32, params: &[&str], name: &str, value: &str) -> Vec<u8> {
    let mut payload = vec![0x17];
    payload.extend_from_slice(&id.to_le_bytes());
    payload.extend_from_slice(&[8, 1, 0, 0, 0]);
    payload.push(params.len() as u8 + 1);
    payload.extend(vec![0; (params.len() + 1).div_ceil(8)]);
    payload.push(1);
    for _ in params {
        payload.extend_from_slice(&[0xFD, 0, 0]);
    }
    payload.extend_from_slice(&[0xFE, 0]);
    payload.extend_from_slice(&lenenc_string(name.as_bytes()));
    for value in params.iter().chain([&value]) {
        payload.extend_from_slice(&lenenc_string(value.as_bytes()));
    }
    payload
}

on_every_server! {
    async fn statements_behind_query_attributes_are_sealed_and_opened(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut direct = schema.direct().await;
        direct.query_drop("CREATE TABLE users (id int PRIMARY KEY, email varchar(191))").await.unwrap();
        let proxy = Proxy::builder(&schema).column("users", "email", "{}").start();
        let mut app = Raw::through(&proxy, &schema, caps::USUAL | caps::QUERY_ATTRIBUTES).await;
        assert_eq!(app.has(caps::QUERY_ATTRIBUTES), !backend.is_mariadb(), "offered as the server does");
        if backend.is_mariadb() {
            return;
        }
        assert_eq!(app.query(format!("INSERT INTO users VALUES (1, '{SECRET}')")).await[0].ok().affected_rows, 1);
        let insert = format!("INSERT INTO users VALUES (2, '{SECRET}')");
        app.send(&query_with("trace", "id-1", &insert)).await;
        assert_eq!(app.result().await.ok().affected_rows, 1);
        let statement = app.prepare("INSERT INTO users VALUES (?, ?)").await.unwrap();
        app.send(&execute_with(statement.id, &["3", SECRET], "trace", "id-2")).await;
        assert_eq!(app.result().await.ok().affected_rows, 1);
        // A statement without parameters whose attributes come with a count.
        let select = app.prepare("SELECT email FROM users WHERE id = 1").await.unwrap();
        app.send(&execute_with(select.id, &[], "trace", "id-3")).await;
        let row = [&[0, 0], lenenc_string(SECRET.as_bytes()).as_slice()].concat();
        assert_eq!(app.result().await.rows(), [row]);

        let rows = app.query("SELECT id, email FROM users ORDER BY id").await[0].text();
        let expected = ["1", "2", "3"].map(|id| vec![Some(id.to_owned()), Some(SECRET.to_owned())]);
        assert_eq!(rows, expected);
        let stored: Vec<String> = direct.query("SELECT email FROM users").await.unwrap();
        assert!(stored.iter().all(|value| value.starts_with("pQE") && value.ends_with('.')), "{stored:?}");
        assert_no_plaintext(&backend, &[SECRET]).await;
    }

    async fn a_malformed_attribute_block_is_answered_and_nothing_is_sent(backend: Backend) {
        if backend.is_mariadb() {
            return;
        }
        let schema = Schema::create(&backend).await;
        let mut direct = schema.direct().await;
        direct.query_drop("CREATE TABLE users (id int PRIMARY KEY, email varchar(191))").await.unwrap();
        let proxy = Proxy::builder(&schema).column("users", "email", "{}").start();
        let mut app = Raw::through(&proxy, &schema, caps::USUAL | caps::QUERY_ATTRIBUTES).await;
        let insert = "INSERT INTO users VALUES (1, 'x')";
        let whole = query_with("a", "b", insert);
        let two_sets = [&[3, 0, 2], insert.as_bytes()].concat();
        let mut without_types = whole.clone();
        without_types[4] = 0;
        let mut year = whole.clone();
        year[5] = 13;
        for payload in [&[3][..], &[3, 1], &whole[..8], &whole[..10], &two_sets, &without_types, &year] {
            app.send(payload).await;
            let error = app.result().await.error();
            assert!(error.starts_with("1835 (HY000) sealwire SW-2021: "), "{error}");
        }
        let statement = app.prepare("INSERT INTO users VALUES (1, ?)").await.unwrap();
        for payload in [
            execute_with(statement.id, &["x"], "a", "b"),
            execute_with(statement.id, &[], "a", "b"),
        ] {
            app.send(&payload[..payload.len() - 1]).await;
            let error = app.result().await.error();
            assert!(error.starts_with("1835 (HY000) sealwire SW-2021: "), "{error}");
        }
        assert!(matches!(app.short(&[0x0E]).await, Reply::Ok(_)), "the session goes on");
        let count: Option<u32> = direct.query_first("SELECT COUNT(*) FROM users").await.unwrap();
        assert_eq!(count, Some(0));
    }

    async fn attributes_arrive_and_stay_out_of_the_log(backend: Backend) {
        if backend.is_mariadb() {
            return;
        }
        let schema = Schema::create(&backend).await;
        let mut root = schema.direct().await;
        // Somebody else's test may have installed it already.
        drop(root.query_drop("INSTALL COMPONENT 'file://component_query_attributes'").await);
        let proxy = Proxy::builder(&schema).start();
        let attributes = caps::USUAL | caps::QUERY_ATTRIBUTES;
        let mut app = Raw::through(&proxy, &schema, attributes).await;
        let text = "SELECT mysql_query_attribute_string('tenant')";
        app.send(&query_with("tenant", VALUE, text)).await;
        assert_eq!(app.result().await.text(), [[Some(VALUE.to_owned())]]);
        let statement = app.prepare(text).await.unwrap();
        app.send(&execute_with(statement.id, &[], "tenant", VALUE)).await;
        assert!(app.result().await.rows()[0].ends_with(VALUE.as_bytes()));
        // A value that looks like a statement is none.
        app.send(&query_with("tenant", "CREATE TABLE oops (id int)", "DO 0")).await;
        assert_eq!(app.result().await.ok().affected_rows, 0);
        assert!(app.query("SHOW TABLES").await[0].rows().is_empty());
        let address = ("127.0.0.1", proxy.port);
        let mut other = Raw::login(address, Account::ROOT, None, attributes | caps::DEPRECATE_EOF, 0).await;
        other.send(&query_with("tenant", VALUE, "SELECT nothing_of_that_name")).await;
        assert_eq!(other.result().await.code(), 1054);
        assert!(!proxy.log().contains(VALUE));
    }
}
