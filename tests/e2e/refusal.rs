//! What cannot be proven to keep plaintext out of the database is refused before a byte reaches the server.

use mysql_async::prelude::Queryable;

use crate::on_every_server;
use crate::support::{Answer, PrivateServer, Proxy, Schema, answer, assert_no_plaintext, text_rows};

on_every_server! {
    async fn unsafe_statements_are_refused_and_leave_the_session_as_it_was(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut direct = schema.direct().await;
        for statement in [
            "CREATE TABLE users (id int PRIMARY KEY AUTO_INCREMENT, name varchar(300), email varchar(191))",
            "CREATE TABLE other (id int PRIMARY KEY AUTO_INCREMENT, v varchar(300))",
            "CREATE VIEW seen AS SELECT id, email FROM users",
            "INSERT INTO other (v) VALUES ('from elsewhere')",
        ] {
            direct.query_drop(statement).await.unwrap();
        }
        let proxy = Proxy::builder(&schema).column("users", "email", "{}").start();
        let mut app = proxy.connect().await;
        app.query_drop("INSERT INTO users (name, email) VALUES ('a', 'a@example.org')").await.unwrap();
        app.query_drop("BEGIN").await.unwrap();
        app.query_drop("INSERT INTO other (v) VALUES ('in the transaction')").await.unwrap();
        let canary = format!("refused-{}", schema.name);
        for statement in [
            "INSERT INTO users (email) VALUES (CONCAT('CANARY', 'x'))",
            "INSERT INTO users (email) VALUES (LOWER('CANARY'))",
            "INSERT INTO users (email) SELECT 'CANARY'",
            "INSERT INTO users (email) SELECT v FROM other",
            "INSERT INTO users (email) VALUES (@v)",
            "INSERT INTO users (email) VALUES ((SELECT 'CANARY'))",
            "INSERT INTO users (email) VALUES (name)",
            "INSERT INTO users (name, email) VALUES ('a', 'x') ON DUPLICATE KEY UPDATE email = CONCAT('CANARY', name)",
            "UPDATE users SET email = CONCAT(email, 'CANARY')",
            "UPDATE users SET email = name",
            "UPDATE users SET email = CASE WHEN id = 1 THEN CONCAT('CANARY', name) END",
            "UPDATE users SET name = email",
            "UPDATE users u, other o SET u.email = o.v",
            "INSERT INTO other (v) SELECT email FROM users",
            "INSERT INTO seen (email) VALUES ('CANARY')",
            "CREATE TABLE copied AS SELECT email FROM users",
            "SELECT CONCAT(email, name) FROM users",
            "SELECT email FROM users WHERE email = 'CANARY'",
            "SELECT email FROM users WHERE email LIKE 'CANARY%'",
            "SELECT DISTINCT email FROM users",
            "SELECT email FROM users GROUP BY email",
            "SELECT email FROM users ORDER BY email",
            "SELECT email FROM users UNION SELECT v FROM other",
            "SELECT MAX(email) FROM users",
            "SELECT email INTO @v FROM users LIMIT 1",
            "SELECT email FROM users INTO OUTFILE '/tmp/CANARY'",
            "LOAD DATA INFILE '/tmp/CANARY' INTO TABLE users",
            "PREPARE p FROM 'INSERT INTO users (email) VALUES (''CANARY'')'",
            "HANDLER users OPEN",
            "ALTER TABLE users MODIFY email varchar(20)",
            "ALTER TABLE users DROP COLUMN email",
            "ALTER TABLE users RENAME COLUMN email TO mail",
            "DROP TABLE users",
            "RENAME TABLE users TO people",
            "INSERT INTO users (email) VALUES ('CANARY') SOMETHING UNKNOWN",
            "INSERT INTO users (email) VALUES (/*!99999 'y', */ 'CANARY', 1, 2)",
        ] {
            let statement = statement.replace("CANARY", &canary);
            match answer(&mut app, &statement).await {
                Answer::Error { message, .. } => {
                    assert!(message.contains("sealwire SW-"), "{statement}: {message}");
                    assert!(!message.contains(&canary), "{statement}: {message}");
                }
                other => panic!("{statement}: {other:?}"),
            }
        }
        // The refusals neither ended the transaction nor changed anything.
        app.query_drop("ROLLBACK").await.unwrap();
        assert_eq!(text_rows(&mut app, "SELECT COUNT(*) FROM other").await, [[Some("1".to_owned())]]);
        let rows = text_rows(&mut app, "SELECT name, email FROM users").await;
        assert_eq!(rows, [[Some("a".to_owned()), Some("a@example.org".to_owned())]]);
        assert_no_plaintext(&backend, &[&canary]).await;
    }

    async fn a_table_of_the_same_name_in_another_schema_is_not_protected(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let elsewhere = Schema::create(&backend).await;
        for place in [&schema, &elsewhere] {
            place.direct().await.query_drop("CREATE TABLE users (id int, email varchar(191))").await.unwrap();
        }
        let proxy = Proxy::builder(&schema).column("users", "email", "{}").start();
        let mut app = proxy.connect().await;
        app.query_drop(format!("INSERT INTO {}.users VALUES (1, 'plain')", elsewhere.name)).await.unwrap();
        app.query_drop(format!("USE {}", elsewhere.name)).await.unwrap();
        app.query_drop("INSERT INTO users VALUES (2, 'plain')").await.unwrap();
        let stored = text_rows(&mut elsewhere.direct().await, "SELECT email FROM users").await;
        assert_eq!(stored, [[Some("plain".to_owned())], [Some("plain".to_owned())]]);
    }

    async fn names_have_no_case_where_the_server_says_so(backend: Backend) {
        let private = PrivateServer::start_with(backend.server, "--lower-case-table-names=1");
        let schema = Schema::create(&private.backend).await;
        let mut direct = schema.direct().await;
        direct.query_drop("CREATE TABLE Users (id int PRIMARY KEY AUTO_INCREMENT, Email varchar(191))").await.unwrap();
        let proxy = Proxy::builder(&schema).column("Users", "email", "{}").start();
        let mut app = proxy.connect().await;
        let upper = schema.name.to_uppercase();
        for statement in [
            "INSERT INTO users (email) VALUES ('no case')".to_owned(),
            "INSERT INTO USERS (EMAIL) VALUES ('no case')".to_owned(),
            format!("INSERT INTO {upper}.uSeRs SET eMail = 'no case'"),
            format!("USE {upper}"),
            "INSERT INTO `Users` (Email) VALUES ('no case')".to_owned(),
            "UPDATE Users U JOIN users AS v ON U.id = V.id SET u.EMAIL = 'no case' WHERE v.ID = 1".to_owned(),
        ] {
            app.query_drop(&statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
        let some = || vec![Some("no case".to_owned())];
        for query in ["SELECT email FROM USERS", "SELECT U.email FROM users u", "SELECT (Users.EMAIL) FROM users"] {
            assert_eq!(text_rows(&mut app, query).await, vec![some(); 4], "{query}");
        }
        for statement in ["SELECT UPPER(email) FROM USERS", "DROP TABLE USERS", "CREATE TEMPORARY TABLE USERS (a int)"] {
            let refused = answer(&mut app, statement).await;
            assert!(matches!(&refused, Answer::Error { message, .. } if message.contains("SW-")), "{statement}: {refused:?}");
        }
        assert_no_plaintext(&private.backend, &["no case"]).await;
    }
}
