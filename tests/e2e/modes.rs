//! Statements whose meaning hangs on sql_mode, in every mode that changes the reading of a statement: beside a
//! plain twin they answer alike, or are refused.

use mysql_async::prelude::Queryable;

use crate::on_every_server;
use crate::support::{Answer, Proxy, Schema, answer};

const MODES: &[&str] = &[
    "",
    "PIPES_AS_CONCAT",
    "HIGH_NOT_PRECEDENCE",
    "ANSI_QUOTES",
    "NO_BACKSLASH_ESCAPES",
    "IGNORE_SPACE",
    "ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES,HIGH_NOT_PRECEDENCE,IGNORE_SPACE",
];

/// `T` is the table.
const STATEMENTS: &[&str] = &[
    "SELECT id FROM T WHERE NOT tax = 'a' ORDER BY id",
    "SELECT id FROM T WHERE NOT (tax = 'a') ORDER BY id",
    "SELECT id FROM T WHERE NOT tax IS NULL ORDER BY id",
    "SELECT id FROM T WHERE NOT n IS NULL AND tax = 'a' ORDER BY id",
    "SELECT id FROM T WHERE NOT n BETWEEN 1 AND 2 AND tax = 'b' ORDER BY id",
    "SELECT id FROM T WHERE ! n = 1 AND tax = 'b' ORDER BY id",
    "SELECT id FROM T WHERE tax = 'a' || tax = 'b' ORDER BY id",
    "SELECT id FROM T WHERE n = 1 || tax = 'b' ORDER BY id",
    "SELECT id FROM T WHERE tax = 'a' || 'b' ORDER BY id",
    "SELECT id FROM T WHERE tax = 'a' && n = 1 OR tax = 'b' ORDER BY id",
    "SELECT id FROM T WHERE tax = 'a' XOR n = 1 ORDER BY id",
    "SELECT id FROM T WHERE tax = \"a\" ORDER BY id",
    "SELECT id FROM T WHERE \"tax\" = 'a' ORDER BY id",
    "SELECT id, \"tax\" FROM T ORDER BY id",
    "SELECT id FROM T WHERE tax = 'back\\\\slash' ORDER BY id",
    "SELECT id FROM T WHERE tax = 'it\\'s' ORDER BY id",
    "SELECT id FROM T WHERE tax = 'it''s' AND note = \"it's\" ORDER BY id",
    "SELECT COUNT (*) FROM T WHERE tax = 'a'",
    "SELECT COUNT(*) FROM T WHERE tax IN ('a', 'back\\\\slash')",
    "INSERT INTO T (id, tax, note) VALUES (50, 'back\\\\slash', 'x')",
    "INSERT INTO T (id, tax, note) VALUES (51, \"b\", 'x')",
    "INSERT INTO T (id, tax, note) VALUES (52, 'a' || 'b', 'x')",
    "UPDATE T SET tax = 'c\\\\d' WHERE NOT n = 1",
    "DELETE FROM T WHERE NOT tax = 'a' AND n = 2",
];

/// Rows as text, or what kind of answer it was.
fn told(answer: &Answer) -> String {
    match answer {
        Answer::Error { code, .. } => format!("error {code}"),
        Answer::Done { affected_rows, .. } => format!("{affected_rows} rows changed"),
        rows => format!("{rows:?}"),
    }
}

on_every_server! {
    async fn statements_mean_what_the_sessions_sql_mode_says(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut direct = schema.direct().await;
        let column = "varchar(200) CHARACTER SET ascii COLLATE ascii_bin";
        for table in ["sealed", "twin"] {
            let sql = format!("CREATE TABLE {table} (id int PRIMARY KEY, n int, tax {column}, note varchar(100), KEY (tax))");
            direct.query_drop(sql).await.unwrap();
        }
        let proxy = Proxy::builder(&schema).column("sealed", "tax", "{ search: exact }").start();
        let mut app = proxy.connect().await;
        // It sees what a transaction has written, too.
        direct.query_drop("SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED").await.unwrap();
        let (mut same, mut refused) = (0, Vec::new());
        for mode in MODES {
            app.query_drop("SET sql_mode = ''").await.unwrap();
            for table in ["sealed", "twin"] {
                app.query_drop(format!("DELETE FROM {table}")).await.unwrap();
                let rows = "(1, 1, 'a', 'x'), (2, 2, 'b', 'it''s'), (3, NULL, 'back\\\\slash', 'y'), (4, 3, NULL, NULL), (5, 2, 'it''s', 'it''s')";
                app.query_drop(format!("INSERT INTO {table} VALUES {rows}")).await.unwrap();
            }
            app.query_drop(format!("SET sql_mode = '{mode}'")).await.unwrap();
            for statement in STATEMENTS {
                let mut answers = Vec::new();
                for table in ["sealed", "twin"] {
                    app.query_drop("BEGIN").await.unwrap();
                    let text = statement.replace(" T ", &format!(" {table} "));
                    let mut got = told(&answer(&mut app, &text).await).replace(table, "T");
                    if let Answer::Error { message, .. } = answer(&mut app, &text).await
                        && message.contains("sealwire SW-")
                    {
                        got = "refused".to_owned();
                    } else {
                        got += &told(&answer(&mut app, &format!("SELECT id, n, tax FROM {table} ORDER BY id")).await).replace(table, "T");
                    }
                    let raw: Option<u32> = direct.query_first("SELECT COUNT(*) FROM sealed WHERE tax NOT LIKE 'pQI%'").await.unwrap();
                    assert_eq!(raw, Some(0), "{mode}: {statement}");
                    app.query_drop("ROLLBACK").await.unwrap();
                    answers.push(got);
                }
                match answers[0].as_str() {
                    "refused" => refused.push(format!("{mode}: {statement}")),
                    answer => {
                        assert_eq!(answer, answers[1], "{mode}: {statement}");
                        same += 1;
                    }
                }
            }
        }
        // What is uncertain is refused; most is not.
        assert!(same >= 3 * refused.len(), "{same} alike, refused: {refused:#?}");
    }
}
