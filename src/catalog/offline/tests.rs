//! Dumps and hand-written DDL into snapshots.

use std::path::Path;

use super::*;
use crate::catalog::{ColumnDefault, TableKind, Watched, Width};

fn config() -> Config {
    let yaml = "listen: 127.0.0.1:0\nbackend: { address: \"127.0.0.1:1\", control: { user: a, password: b } }\n\
                kms: { provider: local, keyring: k }\n\
                tables:\n  shop.users: { columns: { email: {}, tax: { search: exact } } }\n";
    Config::parse(yaml, Path::new("x.yaml"), &|_| None).unwrap()
}

fn read(ddl: &str) -> Result<Offline, Vec<DdlProblem>> {
    read_ddl(&config(), ddl.as_bytes(), Some("shop"), None)
}

const USERS: &str = "CREATE TABLE users (id int NOT NULL AUTO_INCREMENT, email varchar(191) DEFAULT NULL COMMENT 'a, b', \
     tax varchar(120) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, note text, age int unsigned DEFAULT '0', \
     PRIMARY KEY (id), UNIQUE KEY tax (tax), KEY n (note(20)), CONSTRAINT c FOREIGN KEY (age) REFERENCES ages (age) \
     ON DELETE SET NULL ON UPDATE CASCADE) ENGINE=InnoDB AUTO_INCREMENT=7 DEFAULT CHARSET=latin1;";

#[test]
fn a_table_has_the_columns_keys_and_defaults_of_its_definition() {
    let offline = read(USERS).unwrap();
    let table = offline.snapshot.table(&TableName::new("shop", "users")).unwrap().unwrap();
    let names: Vec<&str> = table.columns.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["id", "email", "tax", "note", "age"]);
    let email = table.column("email").unwrap();
    assert_eq!((email.width, email.nullable, email.comment.as_str()), (Width::Characters(191), true, "a, b"));
    assert_eq!(email.collation.as_deref(), Some("latin1_swedish_ci"));
    assert!(email.protected.is_some() && table.protected);
    let tax = table.column("tax").unwrap();
    assert_eq!((tax.nullable, tax.collation.as_deref()), (false, Some("ascii_bin")));
    assert!(tax.protected.as_ref().unwrap().searchable());
    assert_eq!(table.column("age").unwrap().default, ColumnDefault::Literal("0".into()));
    assert!(!table.column("id").unwrap().nullable && table.column("id").unwrap().auto_increment);
    assert_eq!(table.indexes.len(), 3);
    assert_eq!(table.engine.as_deref(), Some("InnoDB"));
    assert!(offline.snapshot.missing.is_empty(), "{:?}", offline.snapshot.missing);
}

#[test]
fn a_dump_with_views_triggers_and_routines_is_read() {
    let dump = format!(
        "-- MySQL dump 10.13\n-- Server version\t8.0.36\n\n/*!40101 SET NAMES utf8mb4 */;\nUSE `shop`;\n{USERS}\n\
         /*!50001 CREATE VIEW `v` AS SELECT 1 AS `id`,1 AS `mail`*/;\n\
         CREATE TABLE `log` (`line` text, `at` datetime DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, \
          `up` varchar(9) GENERATED ALWAYS AS (upper(`line`)) VIRTUAL, CHECK (`line` <> ''));\n\
         DELIMITER ;;\n/*!50003 CREATE*/ /*!50017 DEFINER=`root`@`localhost`*/ /*!50003 TRIGGER t AFTER INSERT ON log \
          FOR EACH ROW BEGIN UPDATE users SET age = 1; END */;;\n\
         CREATE PROCEDURE reveal() BEGIN SELECT email FROM users; END ;;\nDELIMITER ;\n\
         /*!50001 DROP VIEW IF EXISTS `v`*/;\n/*!50001 CREATE ALGORITHM=UNDEFINED */\n/*!50013 DEFINER=`root`@`localhost` \
          SQL SECURITY DEFINER */\n/*!50001 VIEW `v` AS select `users`.`id` AS `id`,`users`.`email` AS `mail` from `users` */;\n\
         CREATE VIEW nested (a, b) AS WITH c AS (SELECT * FROM v) SELECT c.* FROM c WITH CHECK OPTION;\n"
    );
    let offline = read(&dump).unwrap();
    let snapshot = &offline.snapshot;
    assert!(offline.warnings.is_empty(), "{:?}", offline.warnings);
    assert_eq!(snapshot.version, ServerVersion { flavor: ServerFlavor::MySql, number: 80_036 });
    let names = |table: &str| {
        let table = snapshot.table(&TableName::new("shop", table)).unwrap().unwrap();
        table.columns.iter().map(|c| c.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names("v"), ["id", "mail"]);
    assert_eq!(names("nested"), ["a", "b"]);
    let v = snapshot.table(&TableName::new("shop", "v")).unwrap().unwrap();
    let TableKind::View { definition: Some(definition) } = &v.kind else { panic!("{:?}", v.kind) };
    assert!(definition.contains("from `shop`.`users`"), "{definition}");
    assert_eq!(snapshot.watched.get("nested"), Some(&Watched::View));
    assert!(matches!(snapshot.watched.get("log"), Some(Watched::Carrier(_))));
    assert!(matches!(snapshot.watched.get("reveal"), Some(Watched::Routine)));
    let log = snapshot.table(&TableName::new("shop", "log")).unwrap().unwrap();
    assert!(log.column("up").unwrap().generated.is_some());
    assert!(matches!(log.column("at").unwrap().default, ColumnDefault::Expression(_)));
}

#[test]
fn ddl_of_a_protected_table_that_is_not_understood_is_an_error_and_of_another_a_warning() {
    for wrong in [
        "CREATE TABLE users (id int, email varchar(191) FANCY yes)",
        "CREATE TABLE users AS SELECT 1",
        "CREATE TABLE users (id int) SELECT 1 AS email",
        "CREATE TABLE users (id int, email varchar(191), tax varchar(99)); ALTER TABLE users DROP COLUMN id",
        "CREATE TABLE users (id int, email varchar(191), tax varchar(99)); RENAME TABLE users TO people",
    ] {
        let problems = read(wrong).unwrap_err();
        assert_eq!(problems.len(), 1, "{wrong}");
        assert!(problems[0].message.contains("shop.users"), "{wrong}: {}", problems[0]);
        let offline = read(&wrong.replace("users", "others")).unwrap();
        assert_eq!(offline.warnings.len(), 1, "{wrong}");
        assert!(offline.snapshot.table(&TableName::new("shop", "others")).is_none_or(|found| found.is_none()));
    }
    assert_eq!(read("SELECT 1;\n'x").unwrap_err()[0].line, 2);
}

#[test]
fn alter_table_adds_and_changes_columns_and_keys() {
    let ddl = format!(
        "{USERS} ALTER TABLE users ADD COLUMN (a int, b int NOT NULL DEFAULT -1), ADD c date AFTER id, \
         MODIFY note longtext, ADD KEY k (a), AUTO_INCREMENT=5; CREATE UNIQUE INDEX u ON users (b); \
         ALTER TABLE users CHANGE age years int NOT NULL"
    );
    let offline = read(&ddl).unwrap();
    let table = offline.snapshot.table(&TableName::new("shop", "users")).unwrap().unwrap();
    let names: Vec<&str> = table.columns.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["id", "c", "email", "tax", "note", "years", "a", "b"]);
    assert_eq!(table.column("b").unwrap().default, ColumnDefault::Literal("-1".into()));
    assert_eq!(table.column("note").unwrap().data_type, "longtext");
    assert_eq!(table.indexes.len(), 5);
}

#[test]
fn a_configured_table_that_the_file_lacks_is_missing() {
    let offline = read("CREATE TABLE x (id int)").unwrap();
    assert!(offline.snapshot.missing.contains_key(&TableName::new("shop", "users")));
}

#[test]
fn versions_are_read_in_several_spellings() {
    let number = |text: &str| parse_version(text).map(|v| (v.flavor, v.number));
    assert_eq!(number("8.0.36"), Some((ServerFlavor::MySql, 80_036)));
    assert_eq!(number("mariadb 10.11"), Some((ServerFlavor::MariaDb, 101_100)));
    assert_eq!(number("11.8.2-MariaDB"), Some((ServerFlavor::MariaDb, 110_802)));
    assert_eq!(number("newest"), None);
}
