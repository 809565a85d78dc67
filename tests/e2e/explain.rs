//! `sealwire explain` as a person runs it: offline with its exact output, and against every server.

use std::path::Path;

use mysql_async::prelude::Queryable;

use crate::on_every_server;
use crate::support::{Proxy, Schema};

const CONFIG: &str = "listen: 127.0.0.1:0\nbackend: { address: \"127.0.0.1:1\", control: { user: a, password: b } }\n\
                      kms: { provider: local, keyring: k }\n\
                      tables:\n  shop.users: { columns: { email: {}, tax: { search: exact } } }\n";

const DDL: &str = "CREATE TABLE users (id int NOT NULL AUTO_INCREMENT PRIMARY KEY, email varchar(191), \
                   tax varchar(99) CHARACTER SET ascii COLLATE ascii_bin, note text);\n\
                   CREATE TABLE orders (id int PRIMARY KEY, user_id int, total int);\n\
                   CREATE VIEW mails AS SELECT id, email AS mail FROM users;\n";

/// Standard output, standard error and exit status without a server.
fn offline(ddl: &str, arguments: &[&str], files: &[(&str, &str)]) -> (String, String, Option<i32>) {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("c.yaml", CONFIG);
    write("ddl.sql", ddl);
    for (name, text) in files {
        write(name, text);
    }
    run(folder.path(), &[&["-c", "c.yaml", "--ddl", "ddl.sql"], arguments].concat())
}

fn run(folder: &Path, arguments: &[&str]) -> (String, String, Option<i32>) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sealwire"));
    let output =
        command.current_dir(folder).arg("explain").args(arguments).env("SEALWIRE_LOG", "off").output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code())
}

#[track_caller]
fn says(sql: &str, expected: &str, status: i32) {
    let (out, err, code) = offline(DDL, &[sql], &[]);
    assert_eq!((out.as_str(), err.as_str(), code), (expected, "", Some(status)), "{sql}");
}

#[test]
fn a_plan_names_what_is_sealed_matched_and_opened_and_the_sql_that_is_sent() {
    says(
        "INSERT INTO users (email, tax, note) VALUES ('ada@example.org', 'DE1', 'x'), (NULL, 'DE2', 'y')",
        "INSERT rewritten\n\n  \
           seal   shop.users.email  line 1, column 46\n  \
           seal   shop.users.tax    line 1, column 65\n  \
           seal   shop.users.tax    line 1, column 85, row 2\n\n\
         sent to the server:\n\n  \
           INSERT INTO users (email, tax, note) VALUES ('<sealed shop.users.email>', '<sealed shop.users.tax>', 'x'), \
           (NULL, '<sealed shop.users.tax>', 'y')\n",
        0,
    );
    says(
        "SELECT u.id, m.mail, tax FROM users u JOIN mails m USING (id)\nWHERE tax = 'DE1' AND note LIKE ?",
        "SELECT rewritten\n\n  \
           match  shop.users.tax    line 2, column 13\n  \
           open   shop.users.email  result column 2 (mail)\n  \
           open   shop.users.tax    result column 3 (tax)\n\n\
         sent to the server:\n\n  \
           SELECT u.id, m.mail, tax FROM users u JOIN mails m USING (id)\n  \
           WHERE tax = '<sealed shop.users.tax>' AND note LIKE ?\n",
        0,
    );
    says(
        "UPDATE users SET tax = ?, email = ? WHERE id = ?",
        "UPDATE as it is\n\n  seal   shop.users.tax    parameter 1\n  seal   shop.users.email  parameter 2\n",
        0,
    );
    says(
        "SELECT COUNT(*) FROM users",
        "SELECT as it is\n\n  nothing to seal or to open: no protected column has a part in it\n",
        0,
    );
    says("SELECT 1", "untouched: it reaches the server as it is, and nothing of its result is opened\n", 0);
}

#[test]
fn a_refusal_has_carets_under_the_offending_text_and_exits_with_1() {
    says(
        "SELECT id FROM users\nWHERE note = 'x' ORDER BY email LIMIT 1",
        "refused: SW-1204 ORDER BY over a protected column (MySQL error 1235, SQLSTATE 42000)\n\n  \
           WHERE note = 'x' ORDER BY email LIMIT 1\n                            ^^^^^\n\n  \
           what        ORDER BY over protected column shop.users.email\n  \
           why         The order of sealed values says nothing about the values.\n  \
           what to do  order by another column, or sort in the application\n",
        1,
    );
    let long = format!("UPDATE users SET tax = '{}'", "9".repeat(80));
    let (out, _, status) = offline(DDL, &[&long], &[]);
    assert_eq!(status, Some(1), "{out}");
    assert!(out.contains("SW-1801") && out.contains("needs 155 characters, shop.users.tax holds 99"), "{out}");
}

#[test]
fn a_log_is_counted_and_its_refusals_are_grouped_without_values() {
    let log = "Time                 Id Command    Argument\n\
               251125  3:13:07\t     5 Connect\tapp@localhost on shop using Socket\n\
               \t\t     5 Query\tSELECT total FROM orders WHERE id = 7\n\
               \t\t     5 Query\tSELECT COUNT(*) FROM users\n\
               \t\t     5 Prepare\tINSERT INTO users (email) VALUES (?)\n\
               \t\t     5 Execute\tINSERT INTO users (email) VALUES ('canary-1')\n\
               \t\t     5 Query\tSELECT email\nFROM users\n\
               \t\t     5 Query\tSELECT id FROM users WHERE email LIKE 'canary-2%'\n\
               \t\t     5 Query\tSELECT id FROM users WHERE email  LIKE 'canary-3%'\n\
               \t\t     5 Query\tSELECT id FROM users WHERE email > 'canary-4'\n\
               \t\t     5 Query\tSELECT id FROM users ORDER BY email\n";
    let (out, err, status) = offline(DDL, &["--log", "general.log", "--examples", "1"], &[("general.log", log)]);
    let expected = "8 statements\n\n  \
          untouched  2   25.00 %\n  \
          rewritten  2   25.00 %\n  \
          refused    4   50.00 %\n\n\
        Of the 7 statements that touch something protected 57.14 % are refused.\n\n\
        SW-1202 A search over a protected column: 3\n  \
          search by another column, or for equality with search: exact; IS [NOT] NULL is allowed\n  \
          2 x  line 9: SELECT id FROM users WHERE email LIKE ?\n  \
          and 1 more\n\n\
        SW-1204 ORDER BY over a protected column: 1\n  \
          order by another column, or sort in the application\n  \
          1 x  line 12: SELECT id FROM users ORDER BY email\n";
    assert_eq!((out.as_str(), err.as_str(), status), (expected, "", Some(0)));
}

#[test]
fn what_is_wrong_with_the_files_is_said_and_exits_with_1() {
    let fails = |ddl: &str, arguments: &[&str], expected: &str| {
        let (out, err, status) = offline(ddl, arguments, &[("bad.json", "{\"sql\": 1}\n")]);
        assert_eq!((out.as_str(), err.as_str(), status), ("", expected, Some(1)));
    };
    fails(
        "SELECT 1;\nCREATE TABLE users (id int, email fancy(3) SPECIAL 'x', tax int);",
        &["SELECT 1"],
        "sealwire: ddl.sql: line 2: shop.users: column email: `SPECIAL` is not understood\n",
    );
    fails(DDL, &["--log", "bad.json"], "sealwire: line 1: the object has no text \"sql\"\n");
    fails(DDL, &["--server", "newest", "SELECT 1"], "sealwire: --server newest: write 8.4.0 or 10.11.6-MariaDB\n");
    let (_, err, status) = offline(DDL, &["--log", "gone"], &[]);
    assert!(err.starts_with("sealwire: gone cannot be read: ") && status == Some(1), "{err}");
    let (_, err, status) = offline("CREATE TABLE x AS SELECT 1;", &["SELECT email FROM users"], &[]);
    assert_eq!(status, Some(1));
    assert!(err.contains("shop.x: a list of columns was expected") && err.contains("shop.users: "), "{err}");
}

on_every_server! {
    async fn explain_asks_the_server_for_its_schema_and_sends_it_nothing_of_the_statement(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut conn = schema.direct().await;
        conn.query_drop("CREATE TABLE users (id int PRIMARY KEY, email varchar(191), note text)").await.unwrap();
        conn.query_drop("CREATE TABLE plain (id int PRIMARY KEY, user_id int)").await.unwrap();
        conn.query_drop("CREATE VIEW mails AS SELECT id, email AS mail FROM users").await.unwrap();
        let (folder, config) = Proxy::builder(&schema).column("users", "email", "{}").write();
        let name = &schema.name;
        let explain = |sql: &str| {
            let config = config.display().to_string();
            run(folder.path(), &["-c", config.as_str(), "--schema", name.as_str(), sql])
        };
        let (out, err, status) = explain("INSERT INTO users VALUES (1, 'canary-explain', 'n')");
        let expected = format!(
            "INSERT rewritten\n\n  seal   {name}.users.email  line 1, column 30\n\nsent to the server:\n\n  \
             INSERT INTO users VALUES (1, '<sealed {name}.users.email>', 'n')\n"
        );
        assert_eq!((out.as_str(), status), (expected.as_str(), Some(0)), "{err}");
        let (out, err, status) = explain("SELECT p.id, mail FROM plain p JOIN mails m ON m.id = p.user_id");
        let expected = format!("SELECT as it is\n\n  open   {name}.users.email  result column 2 (mail)\n");
        assert_eq!((out.as_str(), status), (expected.as_str(), Some(0)), "{err}");
        let (out, err, status) = explain("SELECT UPPER(email) FROM users");
        assert!(out.starts_with("refused: SW-1201 ") && out.contains("^^^"), "{out}{err}");
        assert_eq!(status, Some(1));
        let rows: Option<u64> = conn.query_first("SELECT COUNT(*) FROM users").await.unwrap();
        assert_eq!(rows, Some(0));
    }

    async fn what_the_server_dumps_reads_offline_as_it_does_live(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut conn = schema.direct().await;
        for sql in [
            "CREATE TABLE users (id int unsigned NOT NULL AUTO_INCREMENT, email varchar(191) CHARACTER SET ascii COLLATE \
             ascii_bin DEFAULT NULL, state enum('a','b') NOT NULL DEFAULT 'a', at timestamp NULL DEFAULT CURRENT_TIMESTAMP \
             ON UPDATE CURRENT_TIMESTAMP, price decimal(9,2) NOT NULL DEFAULT -1.5, up varchar(40) GENERATED ALWAYS AS \
             (concat(`state`, 'x')) VIRTUAL, note text, PRIMARY KEY (id), UNIQUE KEY email (email), KEY n (note(20), state))",
            "CREATE TABLE plain (id int PRIMARY KEY, user_id int)",
            "CREATE VIEW mails AS SELECT id, email AS mail, state FROM users",
        ] {
            conn.query_drop(sql).await.unwrap();
        }
        let (folder, config) = Proxy::builder(&schema).column("users", "email", "{ search: exact }").write();
        let version: String = conn.query_first("SELECT VERSION()").await.unwrap().unwrap();
        let mut dump = format!("-- Server version\t{version}\n\n");
        for table in ["users", "plain"] {
            let row: (String, String) = conn.query_first(format!("SHOW CREATE TABLE {table}")).await.unwrap().unwrap();
            dump += &format!("{};\n", row.1);
        }
        let row: mysql_async::Row = conn.query_first("SHOW CREATE VIEW mails").await.unwrap().unwrap();
        dump += &format!("{};\n", row.get::<String, _>(1).unwrap());
        std::fs::write(folder.path().join("ddl.sql"), dump).unwrap();
        let config = config.display().to_string();
        for sql in [
            "SELECT * FROM mails JOIN plain USING (id) WHERE mail = 'x'",
            "INSERT INTO users VALUES (1, 'x', 'a', NULL, 1, DEFAULT, 'n')",
            "INSERT INTO users (email) VALUES ('a'), ('b') ON DUPLICATE KEY UPDATE email = VALUES(email)",
            "SELECT * FROM users u WHERE u.email IN ('a', 'b') AND note LIKE 'x%'",
            "SELECT UPPER(mail) FROM mails",
            "UPDATE users SET email = 'a' WHERE id = 1 ORDER BY state",
        ] {
            let common = ["-c", config.as_str(), "--schema", schema.name.as_str(), sql];
            let live = run(folder.path(), &common);
            let offline = run(folder.path(), &[&["--ddl", "ddl.sql"], &common[..]].concat());
            assert_eq!(live, offline, "{sql}");
            assert!(!live.0.is_empty(), "{sql}: {}", live.1);
        }
    }
}
