//! What is not protected passes unchanged: every answer through the proxy equals the server's own.

use mysql_async::prelude::Queryable;
use mysql_async::{Row, Value};

use crate::on_every_server;
use crate::support::{Account, Answer, Proxy, Schema, answer, connect, text_rows};

/// Statements run in this order on two equal schemas, one directly and one through the proxy.
const STATEMENTS: &[&str] = &[
    "SELECT 1, 'two', NULL, 3.5, CAST('2024-02-29' AS DATE), _binary'\\0\\xff', ''",
    "CREATE TABLE plain (id int AUTO_INCREMENT PRIMARY KEY, name varchar(50) NOT NULL, note text, n decimal(10,3))",
    "INSERT INTO plain (name, note, n) VALUES ('a', NULL, 1.5), ('b', 'note', NULL)",
    "INSERT INTO plain (name) VALUES (NULL)",
    "SELECT * FROM plain ORDER BY id",
    "UPDATE plain SET note = 'x' WHERE id = 1",
    "SELECT p.name AS other, COUNT(*) c FROM plain p GROUP BY p.name ORDER BY 1",
    "SELECT * FROM plain WHERE id = 99",
    "SELECT CAST('abc' AS SIGNED)",
    "SHOW WARNINGS",
    "SELECT no_such_column FROM plain",
    "SELEC 1",
    "SHOW CREATE TABLE plain",
    "DESCRIBE plain",
    "SET NAMES latin1",
    "SELECT 'caf\u{e9}'",
    "SET NAMES utf8mb4",
    "DELETE FROM plain WHERE id = 2",
    "BEGIN",
    "INSERT INTO plain (name) VALUES ('gone')",
    "ROLLBACK",
    "SELECT COUNT(*) FROM plain",
    "TRUNCATE plain",
    "DROP TABLE plain",
];

on_every_server! {
    async fn plain_statements_answer_as_directly(backend: Backend) {
        let reference = Schema::create(&backend).await;
        let schema = Schema::create(&backend).await;
        let proxy = Proxy::builder(&schema).start();
        let mut directly = reference.direct_app().await;
        let mut through = proxy.connect().await;
        for statement in STATEMENTS {
            let expected = answer(&mut directly, statement).await;
            let mut got = answer(&mut through, statement).await;
            if let Answer::Rows { columns, .. } = &mut got {
                for column in columns.iter_mut().filter(|column| column.schema == schema.name) {
                    column.schema.clone_from(&reference.name);
                }
            }
            assert_eq!(got, expected, "{statement}");
        }
    }

    async fn prepared_statements_answer_as_directly(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let proxy = Proxy::builder(&schema).start();
        let mut through = proxy.connect().await;
        through.query_drop("CREATE TABLE p (id int PRIMARY KEY, s varchar(20), d double, b blob)").await.unwrap();
        let insert = through.prep("INSERT INTO p VALUES (?, ?, ?, ?)").await.unwrap();
        for (id, s, d, b) in [(1, Some("x"), Some(0.5), Some(vec![0u8, 255])), (2, None, None, None)] {
            through.exec_drop(&insert, (id, s, d, b)).await.unwrap();
        }
        let mut directly = schema.direct_app().await;
        let text = "SELECT id, s, d, b FROM p WHERE id >= ? ORDER BY id";
        let expected: Vec<Row> = directly.exec(text, (1,)).await.unwrap();
        let got: Vec<Row> = through.exec(text, (1,)).await.unwrap();
        let values = |rows: Vec<Row>| rows.into_iter().map(Row::unwrap).collect::<Vec<Vec<Value>>>();
        let expected = values(expected);
        assert_eq!(expected.len(), 2);
        assert_eq!(values(got), expected);
    }

    async fn a_result_of_many_packets_arrives_whole(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let proxy = Proxy::builder(&schema).start();
        let mut through = proxy.connect().await;
        let length = 17 * 1024 * 1024;
        let rows: Vec<Row> = through.query(format!("SELECT REPEAT('x', {length})")).await.unwrap();
        let Some(Value::Bytes(bytes)) = rows[0].as_ref(0) else { panic!("a string") };
        assert_eq!(bytes.len(), length);
        assert!(bytes.iter().all(|byte| *byte == b'x'));
    }

    async fn the_unix_socket_serves_as_tcp_does(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let proxy = Proxy::builder(&schema).start();
        let mut conn = proxy.connect_socket().await;
        assert_eq!(text_rows(&mut conn, "SELECT 1").await, [[Some("1".to_owned())]]);
    }

    async fn a_wrong_password_is_refused_with_the_servers_own_error(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let proxy = Proxy::builder(&schema).start();
        let error = mysql_async::Conn::new(proxy.opts(Account { password: "wrong", ..Account::APP })).await.err();
        let Some(mysql_async::Error::Server(error)) = error else { panic!("{error:?}") };
        assert_eq!((error.code, error.state.as_str()), (1045, "28000"));
    }

    async fn every_account_logs_in_through_the_proxy(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let proxy = Proxy::builder(&schema).start();
        let mut accounts = vec![Account::APP, Account::EMPTY];
        accounts.push(if backend.is_mariadb() { Account::NATIVE } else { Account::SHA2 });
        for account in accounts {
            for attempt in 1..=2 {
                let mut conn = connect(proxy.opts(account)).await;
                assert_eq!(text_rows(&mut conn, "SELECT 1").await.len(), 1, "{account:?}, attempt {attempt}");
            }
        }
    }
}
