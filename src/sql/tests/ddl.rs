use std::sync::Arc;

use super::{all, refused};
use crate::sql::testing::{context, snapshot};
use crate::sql::{Outcome, RefusalCode as Code, analyse};

#[test]
fn ddl_beside_protected_columns_passes() {
    all(
        "ddl",
        &[
            "CREATE TABLE x (a int)",
            "CREATE DATABASE shop",
            "CREATE TABLE IF NOT EXISTS users (id int, email varchar(255))",
            "CREATE TABLE x (users int)",
            "CREATE TABLE x (a int, FOREIGN KEY (a) REFERENCES users (id))",
            "CREATE INDEX i ON users (note)",
            "CREATE UNIQUE INDEX i ON users (id, note)",
            "CREATE INDEX i ON crm.users (email)",
            "CREATE INDEX i ON orders (email)",
            "CREATE INDEX i ON accounts (tax)",
            "CREATE UNIQUE INDEX i ON accounts (id, note(10), tax(20), iban) COMMENT 'x'",
            "ALTER TABLE accounts ADD UNIQUE tax (tax), ADD INDEX (iban, tax)",
            "ALTER TABLE accounts ADD CONSTRAINT c UNIQUE KEY (tax)",
            "ALTER TABLE accounts ADD PRIMARY KEY (iban)",
            "DROP INDEX i ON users",
            "DROP TABLE orders, tmp",
            "DROP TEMPORARY TABLE users",
            // Another schema's: it hides nothing that is protected.
            "CREATE TEMPORARY TABLE crm.users (id int)",
            "DROP VIEW v_users",
            "DROP DATABASE crm",
            "DROP TABLE crm.users",
            "RENAME TABLE orders TO orders2",
            "CREATE VIEW v AS SELECT id FROM orders",
            "CREATE PROCEDURE p() BEGIN SELECT 1; SELECT 2; END",
            "CREATE USER users",
            "ALTER TABLE orders DROP COLUMN email",
            "ALTER TABLE crm.users MODIFY email int",
            "ALTER TABLE users ADD COLUMN x int",
            "ALTER TABLE users ADD COLUMN x int AFTER email, ADD (y int, z int)",
            "ALTER TABLE users ADD INDEX email (note)",
            "ALTER TABLE users ADD UNIQUE (note), ADD CONSTRAINT c UNIQUE KEY (id)",
            "ALTER TABLE users ADD CONSTRAINT f FOREIGN KEY (age) REFERENCES orders (id) ON DELETE CASCADE",
            "ALTER TABLE users DROP COLUMN note, DROP INDEX i, DROP FOREIGN KEY f",
            "ALTER TABLE users DROP note",
            "ALTER TABLE users MODIFY note int, CHANGE age years int NOT NULL AFTER email",
            "ALTER TABLE users ENGINE=InnoDB, AUTO_INCREMENT = 5",
            "ALTER TABLE users COMMENT = 'email'",
            "ALTER TABLE users RENAME COLUMN note TO remark, RENAME INDEX a TO b",
            "ALTER TABLE users ALTER COLUMN note SET DEFAULT 'x', ALTER email DROP DEFAULT, ALTER email SET DEFAULT NULL",
            "ALTER TABLE users ADD CONSTRAINT g CHECK (email IS NULL OR email REGEXP '(?-i)^pQ[EIM][A-Za-z0-9+/]{44,}[.]$')",
            "ALTER TABLE users DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
            "ALTER TABLE users ORDER BY id",
            "ALTER DATABASE shop CHARACTER SET utf8mb4",
        ],
    );
}

#[test]
fn widening_passes_and_narrowing_does_not() {
    all(
        "ddl",
        &[
            "ALTER TABLE users MODIFY email varchar(255)",
            "ALTER TABLE users MODIFY COLUMN email varchar(191) NULL COMMENT 'x' AFTER id",
            "ALTER TABLE users MODIFY email VARCHAR(512) CHARACTER SET ascii COLLATE ascii_bin",
            "ALTER TABLE users CHANGE email Email text",
            "ALTER TABLE users MODIFY email mediumtext DEFAULT NULL",
            "ALTER TABLE shop.users MODIFY email longtext, MODIFY note int",
            "ALTER TABLE people MODIFY plan varchar(300) NOT NULL DEFAULT 'free'",
            "ALTER TABLE blobs MODIFY data blob",
            "ALTER TABLE blobs MODIFY data varbinary(300)",
        ],
    );
    refused(
        Code::NarrowsColumn,
        &[
            "ALTER TABLE users MODIFY email varchar(190)",
            "ALTER TABLE blobs MODIFY data varbinary(5)",
            "ALTER TABLE users CHANGE email email char(20)",
        ],
    );
    refused(
        Code::RetypesColumn,
        &[
            "ALTER TABLE users MODIFY email int",
            "ALTER TABLE users MODIFY email varbinary(255)",
            "ALTER TABLE users MODIFY email text(300)",
            "ALTER TABLE users MODIFY email json",
            "ALTER TABLE users MODIFY email varchar(255) CHARACTER SET ucs2",
            "ALTER TABLE users MODIFY email varchar(255) COLLATE utf16_bin",
            "ALTER TABLE users CONVERT TO CHARACTER SET utf8mb4",
            "ALTER TABLE blobs MODIFY data text",
        ],
    );
    refused(
        Code::ProtectedDefault,
        &[
            "ALTER TABLE users MODIFY email varchar(255) NOT NULL",
            "ALTER TABLE users MODIFY email varchar(255) DEFAULT 'x'",
            "ALTER TABLE users MODIFY email varchar(255) DEFAULT (uuid())",
            "ALTER TABLE users ALTER email SET DEFAULT 'x'",
            "ALTER TABLE users ALTER COLUMN email SET DEFAULT (uuid())",
            "ALTER TABLE people MODIFY plan varchar(300) NOT NULL DEFAULT 'paid'",
        ],
    );
}

#[test]
fn what_loses_values_is_refused() {
    refused(
        Code::RenamesColumn,
        &["ALTER TABLE users CHANGE email mail varchar(255)", "ALTER TABLE users RENAME COLUMN email TO mail"],
    );
    refused(
        Code::DropsColumn,
        &["ALTER TABLE users DROP email", "ALTER TABLE users ADD x int, DROP COLUMN IF EXISTS `Email`"],
    );
    refused(
        Code::ReplacesTable,
        &[
            "DROP TABLE users",
            "DROP TABLE IF EXISTS orders, shop.users",
            "RENAME TABLE users TO x",
            "RENAME TABLE orders TO x, users TO y",
            "RENAME TABLE orders TO users",
            "ALTER TABLE users RENAME TO x",
            "ALTER TABLE users RENAME x",
            "ALTER TABLE orders RENAME TO users",
            "ALTER TABLE orders EXCHANGE PARTITION p WITH TABLE users",
            "ALTER TABLE users EXCHANGE PARTITION p WITH TABLE orders",
            "ALTER TABLE users DISCARD TABLESPACE",
            "CREATE OR REPLACE TABLE users (id int)",
            "CREATE TEMPORARY TABLE users (id int)",
        ],
    );
    refused(
        Code::DropsSchema,
        &[
            "DROP DATABASE shop",
            "DROP SCHEMA IF EXISTS `Shop`",
            "CREATE OR REPLACE DATABASE shop",
            "/*!DROP DATABASE*/ shop",
        ],
    );
}

#[test]
fn keys_and_definitions_over_protected_columns_are_refused() {
    refused(
        Code::KeyOverProtected,
        &[
            "CREATE INDEX i ON users (email)",
            "CREATE UNIQUE INDEX i ON shop.users (id, email(10))",
            "CREATE INDEX i ON users ((lower(email)))",
            "ALTER TABLE users ADD UNIQUE (email)",
            "CREATE FULLTEXT INDEX i ON accounts (tax)",
            "CREATE INDEX i ON accounts (tax, email)",
            "CREATE INDEX i ON accounts ((lower(tax)))",
            "CREATE INDEX i ON accounts (id, (lower(tax)))",
            "ALTER TABLE accounts ADD FULLTEXT (tax)",
            "ALTER TABLE accounts ADD INDEX (id, (concat(tax, 'x')))",
            "ALTER TABLE users ADD PRIMARY KEY (id, email)",
            "ALTER TABLE users ADD CONSTRAINT c FOREIGN KEY (email) REFERENCES orders (email)",
            "ALTER TABLE users ADD INDEX i (email)",
            "ALTER TABLE users ADD FULLTEXT INDEX i (note, email)",
            "ALTER TABLE users MODIFY email varchar(255) UNIQUE",
        ],
    );
    refused(
        Code::DependsOnProtected,
        &[
            "CREATE TABLE x (a varchar(255) REFERENCES users (email))",
            "ALTER TABLE orders ADD FOREIGN KEY (email) REFERENCES users (email)",
            "ALTER TABLE accounts ADD FOREIGN KEY (tax) REFERENCES accounts (tax)",
            "ALTER TABLE users ADD x varchar(9) AS (lower(email))",
            "ALTER TABLE users ADD COLUMN x varchar(9) DEFAULT (email)",
            "ALTER TABLE users ADD CONSTRAINT c CHECK (length(email) < 9)",
            "ALTER TABLE users MODIFY note varchar(9) AS (lower(email)) STORED",
            "ALTER TABLE users MODIFY email varchar(255) AS (note)",
            "ALTER TABLE users PARTITION BY KEY (email)",
            "ALTER TABLE users ORDER BY email",
        ],
    );
    refused(
        Code::ViewOverProtected,
        &[
            "CREATE VIEW v AS SELECT email FROM users",
            "CREATE OR REPLACE ALGORITHM=MERGE DEFINER=`a`@`b` SQL SECURITY INVOKER VIEW v AS SELECT * FROM v_users",
            "ALTER VIEW v AS SELECT * FROM users",
        ],
    );
    refused(
        Code::RoutineOverProtected,
        &[
            "CREATE TRIGGER t BEFORE INSERT ON users FOR EACH ROW SET NEW.email = 'x'",
            "CREATE DEFINER=CURRENT_USER TRIGGER t AFTER INSERT ON orders FOR EACH ROW INSERT INTO users VALUES (1)",
            "CREATE PROCEDURE p() BEGIN SELECT 1; DELETE FROM users; END",
            "CREATE OR REPLACE FUNCTION f() RETURNS int RETURN (SELECT COUNT(*) FROM users)",
            "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO DELETE FROM users",
            "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO EXECUTE IMMEDIATE @a",
            "CREATE PROCEDURE p() EXECUTE IMMEDIATE 'DELETE FROM users'",
            "ALTER EVENT e DO DELETE FROM users",
        ],
    );
    refused(
        Code::TableCopy,
        &[
            "CREATE TABLE x AS SELECT * FROM users",
            "CREATE TABLE x SELECT id FROM v_users",
            "CREATE TABLE x LIKE users",
            "CREATE TABLE x (LIKE shop.users)",
            "CREATE TABLE x (a int) ENGINE=MERGE UNION=(users)",
            "ALTER TABLE merged UNION=(users)",
        ],
    );
    refused(
        Code::DdlNotUnderstood,
        &[
            "ALTER TABLE users ENGINE=FEDERATED",
            "ALTER TABLE users ADD SYSTEM VERSIONING",
            "ALTER TABLE users FROBNICATE",
            "ALTER TABLE users COMMENT 'x' ENGINE=CSV",
            "ALTER TABLE users MODIFY email varchar(255) COMPRESSED",
        ],
    );
}

#[test]
fn allow_ddl_allows_it_on_that_table() {
    let mut catalog = snapshot();
    for table in catalog.tables.values_mut().flatten() {
        Arc::get_mut(table).unwrap().allow_ddl = true;
    }
    let ctx = context(&catalog);
    for sql in [
        "DROP TABLE users",
        "ALTER TABLE users DROP email, MODIFY id int",
        "RENAME TABLE users TO x",
        "DROP DATABASE shop",
        "ALTER TABLE users ADD UNIQUE (email)",
        "CREATE INDEX i ON users (email)",
    ] {
        assert!(matches!(analyse(sql.as_bytes(), &ctx), Outcome::Pass(p) if p.invalidates_catalog), "{sql}");
    }
}

#[test]
fn tables_that_were_never_looked_up_are_asked_for() {
    all(
        "need",
        &[
            "ALTER TABLE elsewhere.users DROP email",
            "DROP TABLE elsewhere.users",
            "CREATE INDEX i ON elsewhere.users (email)",
        ],
    );
}

#[test]
fn the_guard_that_check_prints_passes() {
    let catalog = snapshot();
    let ctx = context(&catalog);
    let mut guards = 0;
    for table in catalog.tables.values().flatten() {
        for column in &table.columns {
            for mixed in [false, true] {
                let Some(sql) = crate::catalog::width::guard_sql(table, column, mixed) else { continue };
                assert!(matches!(analyse(sql.as_bytes(), &ctx), Outcome::Pass(_)), "{sql}");
                guards += 1;
            }
        }
    }
    assert!(guards > 3);
}

#[test]
fn lists_of_partitions_and_options_without_commas_are_understood() {
    all(
        "ddl",
        &[
            "ALTER TABLE users DROP PARTITION p0, p1",
            "ALTER TABLE users TRUNCATE PARTITION p0, p1, p2",
            "ALTER TABLE users ORDER BY id, age DESC",
            "ALTER TABLE users ENGINE=InnoDB ROW_FORMAT=DYNAMIC",
            "ALTER TABLE users DROP COLUMN age PARTITION BY KEY (id)",
            "ALTER TABLE users MODIFY email TEXT",
        ],
    );
    refused(
        Code::DependsOnProtected,
        &["ALTER TABLE users DROP COLUMN age PARTITION BY KEY (email)", "ALTER TABLE users ORDER BY id, email"],
    );
    refused(Code::DdlNotUnderstood, &["ALTER TABLE users ENGINE=InnoDB ROW_FORMAT=DYNAMIC ENGINE=FEDERATED"]);
}

#[test]
fn only_the_guard_itself_may_look_at_a_protected_column() {
    let guard = "email IS NULL OR email REGEXP '(?-i)^pQ[EIM][A-Za-z0-9+/]{44,}[.]$'";
    all(
        "ddl",
        &[
            &format!("ALTER TABLE users ADD CONSTRAINT g CHECK ({guard})"),
            "ALTER TABLE users ADD check ( `EMAIL` is null or Email regexp \"(?-i)^pQ[EIM][A-Za-z0-9+/]{44,}[.]$\")",
        ],
    );
    refused(
        Code::DependsOnProtected,
        &[
            "ALTER TABLE users ADD CHECK (email <> '^pQ')",
            "ALTER TABLE users ADD CHECK (email IS NULL OR email REGEXP '^pQ')",
            &format!("ALTER TABLE users ADD CHECK ({guard} OR email = 'x')"),
            &format!("ALTER TABLE users ADD CHECK (note IS NULL OR {guard})"),
            &format!("ALTER TABLE users ADD CHECK ({guard}) PARTITION BY KEY (email)"),
        ],
    );
}

#[test]
fn a_table_named_by_its_file_is_refused() {
    refused(Code::SideDoor, &["SELECT 1 FROM `#mysql50#users`", "DROP TABLE shop.`#MySQL50#us@0065rs`"]);
    all("pass", &["SELECT '#mysql50#users'"]);
}
