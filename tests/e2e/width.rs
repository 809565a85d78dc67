//! A sealed value wider than its column is refused as MySQL refuses a value too long, and nothing of the
//! statement is executed.

use mysql_async::prelude::Queryable;

use crate::on_every_server;
use crate::support::{Answer, Backend, Proxy, Schema, answer, text_rows};

/// `varchar(191)` holds 107 bytes of plaintext.
const FITS: usize = 107;

async fn protected(backend: &Backend) -> (Schema, Proxy) {
    let schema = Schema::create(backend).await;
    let table = "CREATE TABLE users (id int PRIMARY KEY AUTO_INCREMENT, email varchar(191) NOT NULL COMMENT 'it''s')";
    schema.direct().await.query_drop(table).await.unwrap();
    let proxy = Proxy::builder(&schema).column("users", "email", "{}").start();
    (schema, proxy)
}

fn assert_too_long(got: &Answer, row: u32) {
    let Answer::Error { code, state, message } = got else { panic!("{got:?}") };
    assert_eq!((*code, state.as_str()), (1406, "22001"), "{message}");
    assert!(message.contains(&format!("Data too long for column 'email' at row {row}")), "{message}");
    assert!(message.contains("191") && message.contains("ALTER TABLE"), "{message}");
}

on_every_server! {
    async fn the_longest_value_that_fits_is_stored(backend: Backend) {
        let (_schema, proxy) = protected(&backend).await;
        let mut app = proxy.connect().await;
        let longest = "x".repeat(FITS);
        app.query_drop(format!("INSERT INTO users (email) VALUES ('{longest}')")).await.unwrap();
        assert_eq!(text_rows(&mut app, "SELECT email FROM users").await, [[Some(longest)]]);
    }

    async fn a_value_too_long_is_refused_in_every_mode(backend: Backend) {
        let (_schema, proxy) = protected(&backend).await;
        let mut app = proxy.connect().await;
        let long = "x".repeat(FITS + 1);
        app.query_drop("INSERT INTO users (id, email) VALUES (1, 'before')").await.unwrap();
        for mode in ["STRICT_ALL_TABLES", ""] {
            app.query_drop(format!("SET sql_mode = '{mode}'")).await.unwrap();
            for (statement, row) in [
                (format!("INSERT INTO users (email) VALUES ('{long}')"), 1),
                (format!("INSERT IGNORE INTO users (email) VALUES ('{long}')"), 1),
                (format!("REPLACE INTO users (id, email) VALUES (1, '{long}')"), 1),
                (format!("UPDATE users SET email = '{long}'"), 1),
                (format!("UPDATE IGNORE users SET email = '{long}'"), 1),
                (format!("INSERT INTO users (email) VALUES ('1'), ('2'), ('3'), ('4'), ('5'), ('6'), ('{long}'), ('8')"), 7),
                (format!("INSERT INTO users (id, email) VALUES (1, 'x') ON DUPLICATE KEY UPDATE email = '{long}'"), 1),
            ] {
                assert_too_long(&answer(&mut app, &statement).await, row);
            }
            let error = app.exec_drop("INSERT IGNORE INTO users (email) VALUES (?)", (&long,)).await.unwrap_err();
            let mysql_async::Error::Server(error) = error else { panic!("{error}") };
            assert_eq!((error.code, error.state.as_str()), (1406, "22001"));
        }
        assert_eq!(text_rows(&mut app, "SELECT email FROM users").await, [[Some("before".to_owned())]]);
    }

    async fn a_column_widened_around_the_proxy_takes_the_value_at_once(backend: Backend) {
        let (schema, proxy) = protected(&backend).await;
        let mut app = proxy.connect().await;
        let insert = format!("INSERT INTO users (email) VALUES ('{}')", "x".repeat(FITS + 1));
        assert_too_long(&answer(&mut app, &insert).await, 1);
        schema.direct().await.query_drop("ALTER TABLE users MODIFY email varchar(400) NOT NULL").await.unwrap();
        app.query_drop(insert).await.unwrap();
    }

    async fn a_column_narrowed_around_the_proxy_is_noticed_within_max_age(backend: Backend) {
        let (schema, proxy) = protected(&backend).await;
        let mut app = proxy.connect().await;
        app.query_drop("INSERT INTO users (email) VALUES ('x')").await.unwrap();
        app.query_drop("DELETE FROM users").await.unwrap();
        schema.direct().await.query_drop("ALTER TABLE users MODIFY email varchar(60) NOT NULL").await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
        app.query_drop("SET sql_mode = ''").await.unwrap();
        let Answer::Error { code, .. } = answer(&mut app, "INSERT INTO users (email) VALUES ('twenty characters...')").await else {
            panic!("an error")
        };
        assert_eq!(code, 1406);
    }

    async fn the_alter_table_of_the_message_makes_the_value_fit(backend: Backend) {
        let (schema, proxy) = protected(&backend).await;
        let mut app = proxy.connect().await;
        let insert = format!("INSERT INTO users (email) VALUES ('{}')", "x".repeat(FITS + 1));
        let Answer::Error { message, .. } = answer(&mut app, &insert).await else { panic!("an error") };
        // The statement ends the message.
        let (_, alter) = message.split_once("ALTER TABLE").expect("the message holds the statement");
        let alter = format!("ALTER TABLE{alter}");
        let mut direct = schema.direct().await;
        direct.query_drop(&alter).await.unwrap_or_else(|error| panic!("{alter}: {error}"));
        app.query_drop(insert).await.unwrap();
        let shown = text_rows(&mut direct, "SHOW CREATE TABLE users").await[0][1].clone().unwrap();
        assert!(shown.contains("NOT NULL COMMENT 'it''s'"), "{shown}");
    }
}
