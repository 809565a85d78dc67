use super::{all, refused, verdict, verdict_in};
use crate::catalog::{Routine, Watched};
use crate::config::TableName;
use crate::sql::testing::{context, snapshot};
use crate::sql::{Outcome, RefusalCode as Code, analyse};

#[test]
fn administration_passes() {
    all(
        "pass",
        &[
            "SHOW TABLES",
            "SHOW CREATE TABLE users",
            "SHOW FULL COLUMNS FROM users FROM shop",
            "SHOW INDEX FROM shop.users",
            "SHOW TABLE STATUS LIKE 'users'",
            "DESCRIBE users",
            "DESC users email",
            "DESC shop.users",
            "EXPLAIN users",
            "EXPLAIN FOR CONNECTION 5",
            "LOCK TABLES users WRITE, orders READ",
            "UNLOCK TABLES",
            "ANALYZE TABLE users",
            "CHECK TABLE users",
            "OPTIMIZE TABLE users",
            "REPAIR TABLE users",
            "CHECKSUM TABLE users",
            "TRUNCATE TABLE users",
            "TRUNCATE users",
            "FLUSH TABLES users WITH READ LOCK",
            "GRANT SELECT ON users TO x",
            "GRANT SELECT (email) ON shop.users TO x",
            "REVOKE ALL ON users FROM x",
            "KILL 5",
            "BEGIN",
            "BEGIN WORK",
            "START TRANSACTION",
            "COMMIT",
            "ROLLBACK TO SAVEPOINT a",
            "XA START 'a'",
            "USE shop",
            "DO SLEEP(0)",
            "LOAD INDEX INTO CACHE users",
            "LOAD DATA INFILE 'x' INTO TABLE orders",
            "HANDLER orders OPEN",
            "DEALLOCATE PREPARE s",
            "DROP PREPARE s",
            "SIGNAL SQLSTATE '45000'",
            "HELP 'users'",
        ],
    );
    all("scrub", &["SHOW WARNINGS", "SHOW ERRORS LIMIT 1", "SHOW COUNT(*) WARNINGS"]);
}

#[test]
fn settings_pass_but_for_what_the_proxy_needs() {
    all(
        "pass",
        &[
            "SET NAMES utf8mb4",
            "SET sql_mode = ''",
            "SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_TRANS_TABLES')",
            "SET @a = 1, @b := 'users'",
            "SET CHARACTER SET latin1",
            "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
            "SET autocommit = 0",
            "SET session_track_schema = ON",
            "SET SESSION session_track_schema = 1, session_track_gtids = OWN_GTID",
            "SET session_track_system_variables = '*'",
            "SET @@session.session_track_system_variables = 'autocommit,sql_mode,character_set_client,character_set_connection,character_set_results'",
            "SET STATEMENT max_statement_time = 1 FOR SELECT * FROM orders",
        ],
    );
    refused(
        Code::SessionTracking,
        &[
            "SET session_track_schema = OFF",
            "SET @@session_track_schema = 0",
            "SET autocommit = 1, SESSION `session_track_schema` = @x",
            "SET session_track_system_variables = ''",
            "SET session_track_system_variables = DEFAULT",
            "SET SESSION session_track_system_variables := 'sql_mode'",
            "SET session_track_schema = 1 - 1",
        ],
    );
    refused(
        Code::SetSubquery,
        &[
            "SET @a = (SELECT email FROM users LIMIT 1)",
            "SET @a = reveal(1)",
            "SET sql_mode = (SELECT note FROM users)",
        ],
    );
    refused(
        Code::SetStatement,
        &[
            "SET STATEMENT sql_mode = '' FOR INSERT INTO users VALUES (1)",
            "SET STATEMENT max_statement_time = 1 FOR EXECUTE s",
            "SET STATEMENT session_track_schema = OFF FOR USE crm",
        ],
    );
}

#[test]
fn settings_pass_where_protected_tables_are_named_like_their_keywords() {
    let mut catalog = snapshot();
    for name in ["names", "session", "transaction", "character"] {
        catalog.watched.insert(name.to_owned(), Watched::Protected);
    }
    let ctx = context(&catalog);
    for sql in [
        "SET NAMES utf8mb4 COLLATE utf8mb4_bin",
        "SET NAMES 'latin1', SESSION sql_mode = ''",
        "SET CHARACTER SET utf8mb4",
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
        "SET @@session.sql_mode = '', @a = 1 + 1",
    ] {
        assert!(matches!(analyse(sql.as_bytes(), &ctx), Outcome::Pass(_)), "{sql}");
    }
    for sql in ["SET NAMES utf8mb4, @a = (SELECT email FROM session)", "SET @a = (TABLE names)"] {
        let refused = matches!(analyse(sql.as_bytes(), &ctx), Outcome::Refuse(r) if r.code == Code::SetSubquery);
        assert!(refused, "{sql}");
    }
}

#[test]
fn files_pass_into_tables_that_the_server_does_not_have_unless_they_are_configured() {
    let mut catalog = snapshot();
    catalog.tables.insert(TableName::new("crm", "users"), None);
    let load = b"LOAD DATA LOCAL INFILE 'x' INTO TABLE crm.users";
    assert!(matches!(analyse(load, &context(&catalog)), Outcome::Pass(_)));
    let column = b"LOAD DATA LOCAL INFILE 'x' INTO TABLE crm.users (a) SET b = (SELECT email FROM users)";
    assert!(matches!(analyse(column, &context(&catalog)), Outcome::Refuse(r) if r.code == Code::LoadData));
    catalog.missing.insert(TableName::new("crm", "users"), "table".to_owned());
    assert!(matches!(analyse(load, &context(&catalog)), Outcome::Refuse(r) if r.code == Code::LoadData));
}

#[test]
fn dynamic_sql_passes_only_where_its_text_is_harmless() {
    all(
        "pass",
        &[
            "PREPARE s FROM 'SELECT * FROM orders WHERE id = ?'",
            "PREPARE s FROM 'SELECT ' '1'",
            "PREPARE `from` FROM 'SELECT 1'",
        ],
    );
    all("ddl", &["EXECUTE s", "EXECUTE s USING @a, @b", "EXECUTE IMMEDIATE 'CREATE TABLE x (a int)'"]);
    refused(
        Code::DynamicSql,
        &[
            "PREPARE s FROM 'INSERT INTO users (email) VALUES (?)'",
            "PREPARE s FROM 'SELECT * FROM us' 'ers'",
            "PREPARE s FROM 'SELECT * FROM \\users'",
            "PREPARE s FROM @a",
            "PREPARE s FROM CONCAT('a', 'b')",
            "PREPARE s FROM 'SELECT 1' + 'x'",
            "PREPARE s FROM 'EXECUTE IMMEDIATE @a'",
            "PREPARE s FROM 'SHOW CREATE TABLE users; SELECT email FROM users'",
            "PREPARE s",
            "EXECUTE IMMEDIATE @a",
            "EXECUTE IMMEDIATE 'UPDATE users SET email = ''a'''",
            "EXECUTE IMMEDIATE 'SELECT ?' USING (SELECT email FROM users)",
            "EXECUTE s USING (SELECT email FROM users)",
        ],
    );
    refused(
        Code::CompoundBlock,
        &[
            "BEGIN NOT ATOMIC INSERT INTO users VALUES (1); END",
            "BEGIN NOT ATOMIC SELECT 1; EXECUTE IMMEDIATE @a; END",
            "IF 1 THEN DELETE FROM users; END IF",
            "l: LOOP SELECT 1; UPDATE users SET email = 1; END LOOP",
        ],
    );
    all("ddl", &["BEGIN NOT ATOMIC SELECT 1; SELECT 2; END"]);
}

#[test]
fn other_doors_are_shut() {
    refused(Code::Handler, &["HANDLER users OPEN", "HANDLER shop.users OPEN AS h"]);
    refused(Code::Binlog, &["BINLOG 'AAAA'"]);
    refused(
        Code::LoadData,
        &[
            "LOAD DATA INFILE 'x' INTO TABLE users",
            "LOAD DATA LOCAL INFILE 'x' INTO TABLE users (id, @email) SET email = @email",
            "LOAD DATA LOCAL INFILE 'x' INTO TABLE users (id, email) SET note = 'x'",
            "LOAD DATA LOCAL INFILE 'x' INTO TABLE users PARTITION (p0)",
            "LOAD DATA LOCAL INFILE 'x' INTO TABLE users CHARACTER SET gbk",
            "LOAD DATA LOCAL INFILE 'x' INTO TABLE users LINES STARTING BY 'xxx'",
            "LOAD DATA LOCAL INFILE 'x' INTO TABLE users FIELDS TERMINATED BY ''",
            "LOAD DATA LOCAL INFILE 'x' INTO TABLE users FIELDS TERMINATED BY 'Q'",
            "LOAD DATA LOCAL INFILE 'x' INTO TABLE users FIELDS ENCLOSED BY '\"' ESCAPED BY '\"'",
            "LOAD DATA LOCAL INFILE 'x' INTO TABLE users FIELDS TERMINATED BY '\n'",
            "LOAD DATA LOCAL INFILE 'x' INTO TABLE users FIELDS ENCLOSED BY 'ab'",
            "LOAD DATA LOCAL INFILE 'x' INTO TABLE users FIELDS TERMINATED BY 'é'",
            "LOAD DATA LOCAL INFILE 'x' INTO TABLE orders (id, users)",
            "LOAD DATA LOCAL INFILE 'x' INTO TABLE blobs",
            "LOAD DATA LOCAL INFILE 'x' INTO TABLE users (id) garbage",
            "LOAD XML LOCAL INFILE 'x' INTO TABLE users",
            "LOAD XML INFILE 'x' INTO TABLE users",
        ],
    );
    refused(Code::RawDefault, &["LOAD DATA LOCAL INFILE 'x' INTO TABLE people (id, plan)"]);
    refused(Code::Trigger, &["LOAD DATA LOCAL INFILE 'x' INTO TABLE logged"]);
    refused(Code::UnknownColumn, &["LOAD DATA LOCAL INFILE 'x' INTO TABLE users (id, nothing)"]);
    all(
        "pass",
        &[
            "LOAD DATA LOCAL INFILE 'x' INTO TABLE orders",
            "LOAD DATA LOW_PRIORITY LOCAL INFILE 'x' INTO TABLE crm.orders",
        ],
    );
    all(
        "plan",
        &[
            "LOAD DATA LOCAL INFILE 'x' REPLACE INTO TABLE shop.users",
            "LOAD DATA LOW_PRIORITY LOCAL INFILE 'x' IGNORE INTO TABLE users CHARACTER SET 'utf8mb4' FIELDS TERMINATED BY ',' \
             OPTIONALLY ENCLOSED BY '\"' ESCAPED BY '' LINES TERMINATED BY '\r\n' IGNORE 1 LINES (email, id)",
            "LOAD DATA LOCAL INFILE 'x' INTO TABLE users COLUMNS TERMINATED BY x'09' LINES STARTING BY '' (note)",
            "LOAD DATA LOCAL INFILE 'x' INTO TABLE blobs CHARSET latin1",
        ],
    );
    refused(
        Code::SideDoor,
        &[
            "DO reveal(1)",
            "SHOW TABLES WHERE (SELECT email FROM users)",
            "KILL (SELECT id FROM users)",
            "HELP users",
            "EXPLAIN INTO @a SELECT id FROM users",
        ],
    );
    all("pass", &["SELECT 'BINLOG', 'HANDLER users OPEN'"]);
}

#[test]
fn procedures_are_called_where_the_catalog_knows_them_harmless() {
    let mut catalog = snapshot();
    let harmless = Routine::default();
    let mut add = |name: &str, routine: Routine| catalog.routines.insert(("shop".into(), name.into()), routine);
    add("tidy", harmless.clone());
    add("spells", Routine { dynamic: true, ..harmless.clone() });
    add("opaque", Routine { unreadable: true, ..harmless });
    let ctx = context(&catalog);
    for sql in ["CALL tidy", "CALL tidy()", "CALL Shop.Tidy(1, 'a', @b)", "call `tidy`()"] {
        assert!(matches!(analyse(sql.as_bytes(), &ctx), Outcome::Pass(_)), "{sql}");
    }
    for sql in [
        "CALL spells()",
        "CALL opaque()",
        "CALL reveal()",
        "CALL unknown()",
        "CALL crm.tidy()",
        "CALL shop.tidy.x()",
        "CALL tidy((SELECT email FROM users))",
    ] {
        assert!(matches!(analyse(sql.as_bytes(), &ctx), Outcome::Refuse(r) if r.code == Code::Call), "{sql}");
    }
    assert_eq!(verdict_in(b"CALL tidy()", |ctx| ctx.schema = None), "Call");
    assert_eq!(verdict("CALL"), "Call");
}

#[test]
fn a_text_that_cannot_be_lexed_is_refused_where_it_could_drop_a_schema() {
    refused(Code::MalformedText, &["DROP DATABASE shop; /*", "drop schema if exists shop; select '"]);
    all("scrub", &["SELECT 1 /*", "DROP TABLE elsewhere; /*"]);
}
