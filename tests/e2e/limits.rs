//! Statements of great depth and length: refused in good order, or carried out; never the end of the proxy.

use mysql_async::prelude::Queryable;

use crate::on_every_server;
use crate::support::{Backend, Proxy, Schema, text_rows};

async fn tables(backend: &Backend) -> (Schema, Proxy) {
    let schema = Schema::create(backend).await;
    let mut conn = schema.direct().await;
    conn.query_drop("CREATE TABLE users (id int PRIMARY KEY AUTO_INCREMENT, email varchar(255), note varchar(255))")
        .await
        .unwrap();
    let proxy = Proxy::builder(&schema).column("users", "email", "{ search: exact, compare: binary }").start();
    (schema, proxy)
}

on_every_server! {
    async fn deep_and_long_statements_do_not_overflow_anything(backend: Backend) {
        let (_schema, proxy) = tables(&backend).await;
        let mut app = proxy.connect().await;
        let nested = |open: &str, inner: &str, close: &str| {
            format!("SELECT id FROM users WHERE {}{inner}{}", open.repeat(10_000), close.repeat(10_000))
        };
        let chain = |operator: &str, operand: &str| {
            format!("SELECT id FROM users WHERE {}", vec![operand; 30_000].join(operator))
        };
        for statement in [
            nested("(", "id = 1", ")"),
            nested("NOT (", "id = 1", ")"),
            nested("COALESCE(", "id", ")"),
            nested("(SELECT ", "1", ")"),
            nested("CASE WHEN ", "id = 1", " THEN 1 END"),
            nested("- ", "id", ""),
            chain(" OR ", "email = 'x'"),
            chain(" + ", "id"),
            format!("SELECT id FROM users {}", "UNION SELECT id FROM users ".repeat(20_000)),
            format!("SELECT users.id FROM users {}", "JOIN users x ".repeat(5_000)),
        ] {
            let shown = &statement[..60];
            match app.query_drop(&statement).await {
                Ok(()) => {}
                Err(mysql_async::Error::Server(_)) => {}
                Err(error) => panic!("{shown}: {error}"),
            }
        }
        assert_eq!(text_rows(&mut app, "SELECT COUNT(*) FROM users").await, [[Some("0".to_owned())]]);
    }

    async fn an_insert_of_sixteen_megabytes_is_sealed_row_by_row(backend: Backend) {
        let (schema, proxy) = tables(&backend).await;
        let mut app = proxy.connect().await;
        let rows: Vec<String> = (0..100_000).map(|n| format!("('e{n}@example.org', '{}')", "n".repeat(155))).collect();
        let statement = format!("INSERT INTO users (email, note) VALUES {}", rows.join(","));
        assert!(statement.len() > 16 << 20);
        app.query_drop(&statement).await.unwrap();
        assert_eq!(app.affected_rows(), 100_000);
        let found = text_rows(&mut app, "SELECT note, email FROM users WHERE email = 'e99999@example.org'").await;
        assert_eq!(found[0][1].as_deref(), Some("e99999@example.org"));
        let sealed = text_rows(&mut schema.direct().await, "SELECT COUNT(*) FROM users WHERE email LIKE 'pQIB%.'").await;
        assert_eq!(sealed, [[Some("100000".to_owned())]]);
    }
}
