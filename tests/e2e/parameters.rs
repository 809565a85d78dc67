//! Bound parameters of every type are stored in a protected text column as a plain one stores them.

use mysql_async::Value;
use mysql_async::prelude::Queryable;

use crate::on_every_server;
use crate::support::{Proxy, Schema};

fn values() -> Vec<Value> {
    let mut values = vec![
        Value::NULL,
        Value::Bytes(Vec::new()),
        Value::Bytes(b"plain text".to_vec()),
        Value::Bytes("grüße € 😀".into()),
        Value::Bytes(b"it's \\ \"quoted\" \0 \x1a \n".to_vec()),
        Value::Int(0),
        Value::Int(-1),
        Value::Int(i64::MIN),
        Value::UInt(u64::MAX),
        Value::Date(2026, 1, 2, 0, 0, 0, 0),
        Value::Date(2026, 1, 2, 3, 4, 5, 0),
        Value::Date(2026, 11, 22, 23, 59, 59, 123_456),
        Value::Date(2026, 11, 22, 0, 0, 0, 10),
        Value::Time(false, 0, 1, 2, 3, 0),
        Value::Time(true, 1, 2, 3, 4, 0),
        Value::Time(false, 33, 22, 11, 0, 500_000),
        Value::Time(true, 0, 22, 11, 0, 123_456),
    ];
    for double in [
        0.0,
        1.0,
        -0.5,
        1.5e10,
        1e14,
        1e15,
        1e16,
        1.25e300,
        1e-4,
        1e-5,
        3.5e-15,
        1e-20,
        0.1 + 0.2,
        f64::MAX,
        1.2345678901234567e-5,
        -1.2345678901234567e-5,
        1.234567890123456e-5,
        1.2345678901234567e-6,
        1.234567890123456e-6,
        -1.234567890123456e-6,
        1.23456789012345e-6,
        1.234567890123456e-7,
    ] {
        values.push(Value::Double(double));
    }
    for float in [0.0f32, 1.0, -0.5, 1.1, 3.4e10, 1e-10] {
        values.push(Value::Float(float));
    }
    values
}

on_every_server! {
    async fn parameters_of_every_type_are_stored_as_a_plain_column_stores_them(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut direct = schema.direct().await;
        for table in ["sealed", "plain"] {
            direct
                .query_drop(format!("CREATE TABLE {table} (id int PRIMARY KEY, v text) CHARACTER SET utf8mb4"))
                .await
                .unwrap();
        }
        let proxy = Proxy::builder(&schema).column("sealed", "v", "{}").start();
        let mut app = proxy.connect().await;
        for (id, value) in (0i64..).zip(values()) {
            for table in ["plain", "sealed"] {
                // A statement of its own for each: MySQL 9.7 makes `0000-00-00` of a number that is bound
                // where a date was bound before.
                let statement = app.prep(format!("INSERT INTO {table} (id, v) VALUES (?, ?)")).await.unwrap();
                app.exec_drop(&statement, (id, value.clone())).await.unwrap();
                app.close(statement).await.unwrap();
            }
        }
        let expected: Vec<(i64, Option<String>)> = direct.query("SELECT id, v FROM plain ORDER BY id").await.unwrap();
        let opened: Vec<(i64, Option<String>)> = app.query("SELECT id, v FROM sealed ORDER BY id").await.unwrap();
        assert_eq!(opened.len(), values().len());
        let different: Vec<_> = opened.iter().zip(&expected).filter(|(opened, expected)| opened != expected).collect();
        assert!(different.is_empty(), "opened, expected: {different:?}");
        let stored: Vec<(i64, Option<String>)> = direct.query("SELECT id, v FROM sealed ORDER BY id").await.unwrap();
        for (id, stored) in stored {
            assert!(id == 0 && stored.is_none() || stored.is_some_and(|v| v.starts_with("pQE") && v.ends_with('.')), "{id}");
        }
    }
}
