//! Ways around the analysis: dynamic SQL, routines, triggers, foreign keys, engines, views, hidden state,
//! and messages that quote values. Each is refused, and then nothing of it is on the server, or is exact.

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use crate::on_every_server;
use crate::support::{Answer, Backend, Proxy, Schema, answer, assert_no_plaintext, text_rows};

/// What the tests find on the server: made without the proxy, before it starts.
const THERE: &[&str] = &[
    "CREATE TABLE users (id int PRIMARY KEY AUTO_INCREMENT, email varchar(191), tax varchar(120) CHARACTER SET ascii \
     COLLATE ascii_bin, note varchar(300), UNIQUE KEY tax (tax))",
    "CREATE TABLE notes (id int PRIMARY KEY AUTO_INCREMENT, text varchar(300))",
    "CREATE TABLE sd_log (text varchar(300))",
    "CREATE TABLE carrier (id int PRIMARY KEY AUTO_INCREMENT, text varchar(300))",
    "CREATE TABLE blinder (id int PRIMARY KEY)",
    "CREATE TABLE parent (code varchar(191) PRIMARY KEY)",
    "CREATE TABLE child (id int PRIMARY KEY, email varchar(191), FOREIGN KEY (email) REFERENCES parent (code) ON UPDATE CASCADE)",
    "CREATE TABLE parted (id int, email varchar(191)) PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10), \
     PARTITION p1 VALUES LESS THAN MAXVALUE)",
    "CREATE TABLE part (id int, email varchar(191))",
    "CREATE VIEW seen AS SELECT id, email, note FROM users",
    "CREATE TRIGGER carry AFTER INSERT ON carrier FOR EACH ROW INSERT INTO users (email) VALUES (NEW.text)",
    "CREATE TRIGGER blind BEFORE INSERT ON blinder FOR EACH ROW SET SESSION session_track_schema = 0",
    "CREATE PROCEDURE writes (v text) INSERT INTO users (email) VALUES (v)",
    "CREATE PROCEDURE outer_writes (v text) CALL writes(v)",
    "CREATE PROCEDURE dynamic (q text) BEGIN SET @q = q; PREPARE s FROM @q; EXECUTE s; END",
    "CREATE PROCEDURE shows () SELECT email FROM users",
    "CREATE PROCEDURE hides () CREATE TEMPORARY TABLE users (email text)",
    "CREATE PROCEDURE untracks () SET SESSION session_track_system_variables = ''",
    "CREATE PROCEDURE sd_calm (v text) INSERT INTO sd_log (text) VALUES (v)",
    "CREATE FUNCTION peek () RETURNS text READS SQL DATA RETURN (SELECT email FROM users LIMIT 1)",
    "CREATE FUNCTION poke (v text) RETURNS int MODIFIES SQL DATA BEGIN INSERT INTO users (email) VALUES (v); RETURN 1; END",
];

struct Scene {
    schema: Schema,
    app: Conn,
    direct: Conn,
    canary: String,
    _proxy: Proxy,
}

async fn set(backend: &Backend) -> Scene {
    let schema = Schema::create(backend).await;
    let mut direct = schema.direct().await;
    direct.query_drop("SET GLOBAL log_bin_trust_function_creators = 1").await.unwrap();
    for statement in THERE {
        direct.query_drop(*statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    let proxy = Proxy::builder(&schema)
        .column("users", "email", "{}")
        .column("users", "tax", "{ search: exact }")
        .column("child", "email", "{}")
        .column("parted", "email", "{}")
        .start();
    let mut app = proxy.connect().await;
    app.query_drop("INSERT INTO users (email, tax, note) VALUES ('ada@example.org', 'DE1', 'n')").await.unwrap();
    let canary = format!("side-door-{}", schema.name);
    Scene { schema, app, direct, canary, _proxy: proxy }
}

/// The proxy's code, the server's error number, or `ok`.
fn outcome(answer: &Answer) -> String {
    match answer {
        Answer::Error { code, message, .. } => match message.find("SW-") {
            Some(at) => message[at..at + 7].to_owned(),
            None => code.to_string(),
        },
        Answer::Broken(error) => format!("broken: {error}"),
        _ => "ok".to_owned(),
    }
}

impl Scene {
    fn text(&self, statement: &str) -> String {
        statement.replace("CANARY", &self.canary).replace("{s}", &self.schema.name)
    }

    /// Runs statements and compares what becomes of each; the session and its transaction live on.
    async fn expect(&mut self, backend: &Backend, expected: &[(&str, &str)]) {
        self.app.query_drop("BEGIN").await.unwrap();
        self.app.query_drop("INSERT INTO notes (text) VALUES ('in the transaction')").await.unwrap();
        let mut wrong = Vec::new();
        for (code, statement) in expected {
            let statement = self.text(statement);
            let got = answer(&mut self.app, &statement).await;
            if outcome(&got) != *code {
                wrong.push(format!("{code} expected of {statement}\n    {got:?}"));
            }
            if let Answer::Error { message, .. } = &got {
                assert!(!message.contains(&self.canary), "{statement}: {message}");
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        self.app.query_drop("ROLLBACK").await.unwrap();
        assert_eq!(text_rows(&mut self.app, "SELECT COUNT(*) FROM notes").await, [[Some("0".to_owned())]]);
        assert_no_plaintext(backend, &[&self.canary]).await;
    }
}

on_every_server! {
    async fn dynamic_sql_and_routines(backend: Backend) {
        let mut scene = set(&backend).await;
        scene.expect(&backend, &[
            ("SW-1501", "PREPARE s FROM 'INSERT INTO users (email) VALUES (''CANARY'')'"),
            ("SW-1501", "PREPARE s FROM \"SELECT email FROM users\""),
            ("SW-1501", "PREPARE s FROM 'INSERT INTO users (email) VALUES (?)'"),
            ("SW-1501", "PREPARE s FROM 'CALL writes(?)'"),
            ("SW-1501", "PREPARE s FROM 'INSERT INTO carrier (text) VALUES (?)'"),
            ("SW-1501", "PREPARE s FROM @anything"),
            ("SW-1501", "PREPARE s FROM 'INSERT INTO us' 'ers (email) VALUES (1)'"),
            ("SW-1501", "PREPARE s FROM x'494E5345525420494E544F207573657273202829'"),
            ("ok", "PREPARE s FROM 'SELECT ? + 1'"),
            ("ok", "SET @one = 1"),
            ("ok", "EXECUTE s USING @one"),
            ("ok", "DEALLOCATE PREPARE s"),
            ("SW-1502", "CALL writes('CANARY')"),
            ("SW-1502", "CALL outer_writes('CANARY')"),
            ("SW-1502", "CALL `WRITES`('CANARY')"),
            ("SW-1502", "CALL {s}.writes('CANARY')"),
            ("SW-1502", "/*!CALL*/ writes('CANARY')"),
            ("SW-1502", "CALL dynamic('INSERT INTO users (email) VALUES (''CANARY'')')"),
            ("SW-1502", "CALL shows()"),
            ("SW-1502", "CALL hides()"),
            ("SW-1502", "CALL untracks()"),
            ("ok", "CALL sd_calm('something')"),
            ("SW-1312", "SELECT peek()"),
            ("SW-1312", "SELECT poke('CANARY')"),
            ("SW-1312", "SELECT {s}.poke('CANARY')"),
            ("SW-1312", "INSERT INTO notes (text) VALUES (peek())"),
            ("SW-1312", "UPDATE notes SET text = peek()"),
            ("SW-1511", "SET @a = peek()"),
            ("SW-1508", "DO poke('CANARY')"),
            ("SW-1503", "HANDLER users OPEN AS h"),
            ("SW-1504", "BINLOG 'aGVsbG8='"),
            ("SW-1312", "SHOW TABLES WHERE poke('CANARY')"),
        ]).await;
    }

    async fn tables_that_lead_to_protected_ones(backend: Backend) {
        let mut scene = set(&backend).await;
        scene.direct.query_drop("INSERT INTO parent VALUES ('pQ-parent')").await.unwrap();
        scene.expect(&backend, &[
            ("SW-1310", "INSERT INTO carrier (text) VALUES ('CANARY')"),
            ("SW-1310", "INSERT INTO carrier (text) SELECT 'CANARY'"),
            ("SW-1310", "REPLACE INTO {s}.carrier SET text = 'CANARY'"),
            ("SW-1310", "LOAD DATA LOCAL INFILE 'CANARY' INTO TABLE carrier"),
            ("SW-1310", "UPDATE parent SET code = 'CANARY'"),
            ("SW-1310", "UPDATE parent p JOIN notes n SET p.code = 'CANARY'"),
            ("SW-1310", "INSERT INTO blinder VALUES (1)"),
            ("SW-1307", "INSERT INTO seen (email) VALUES ('CANARY')"),
            ("SW-1307", "UPDATE seen SET email = 'CANARY'"),
            ("SW-1307", "REPLACE INTO seen (id, email) VALUES (1, 'CANARY')"),
            ("SW-1405", "RENAME TABLE part TO spare, users TO part"),
            ("SW-1405", "RENAME TABLE users TO spare, part TO users"),
            ("SW-1405", "ALTER TABLE users RENAME AS spare"),
            ("SW-1405", "ALTER TABLE parted EXCHANGE PARTITION p0 WITH TABLE part"),
            ("SW-1411", "CREATE TABLE merged (email varchar(191)) ENGINE = MERGE UNION = (users)"),
            ("SW-1411", "CREATE TABLE far (email varchar(191)) ENGINE = FEDERATED CONNECTION = 'mysql://root@127.0.0.1:1/{s}/users'"),
            ("SW-1412", "ALTER TABLE users ADD COLUMN g varchar(300) AS (CONCAT(email, 'x'))"),
            ("SW-1412", "ALTER TABLE users ADD CHECK (email <> 'CANARY')"),
            ("SW-1407", "CREATE INDEX f ON users ((UPPER(email)))"),
            ("SW-1408", "ALTER TABLE users ALTER email SET DEFAULT 'CANARY'"),
            ("SW-1410", "CREATE TRIGGER t BEFORE INSERT ON users FOR EACH ROW SET NEW.email = 'CANARY'"),
            ("SW-1410", "CREATE TRIGGER t BEFORE INSERT ON notes FOR EACH ROW SET SESSION session_track_schema = 0"),
            ("SW-1410", "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO INSERT INTO users (email) VALUES ('CANARY')"),
            ("SW-1409", "CREATE VIEW another AS SELECT * FROM seen"),
        ]).await;
        // Reading what leads there stays possible.
        assert_eq!(text_rows(&mut scene.app, "SELECT id, text FROM carrier").await.len(), 0);
        let rows = text_rows(&mut scene.app, "SELECT email FROM seen").await;
        assert_eq!(rows, [[Some("ada@example.org".to_owned())]]);
    }

    async fn temporary_tables_do_not_hide_what_is_protected(backend: Backend) {
        let mut scene = set(&backend).await;
        scene.expect(&backend, &[
            ("SW-1405", "CREATE TEMPORARY TABLE users (email text)"),
            ("SW-1405", "CREATE TEMPORARY TABLE IF NOT EXISTS `users` LIKE notes"),
            ("SW-1405", "CREATE TEMPORARY TABLE {s}.users AS SELECT 'CANARY' AS email"),
            ("SW-1405", "CREATE TEMPORARY TABLE carrier (text text)"),
            ("SW-1405", "CREATE TEMPORARY TABLE seen (email text)"),
            ("ok", "CREATE TEMPORARY TABLE elsewhere (email text)"),
            ("ok", "INSERT INTO elsewhere VALUES ('nothing secret')"),
            ("SW-1405", "ALTER TABLE elsewhere RENAME TO users"),
            ("SW-1405", "ALTER TABLE elsewhere RENAME AS {s}.seen"),
            ("SW-1405", "RENAME TABLE elsewhere TO users"),
            ("ok", "DROP TEMPORARY TABLE elsewhere"),
            ("SW-1502", "CALL hides()"),
            // The same names in another schema mean nothing protected.
            ("ok", "CREATE TEMPORARY TABLE {s}_other.users (email text)"),
            ("ok", "INSERT INTO {s}_other.users VALUES ('nothing secret')"),
            ("ok", "SELECT email FROM {s}_other.users"),
            ("ok", "UPDATE {s}_other.users SET email = CONCAT(email, '!')"),
            ("ok", "CREATE TEMPORARY TABLE {s}_other.seen (email text)"),
            ("ok", "DROP TEMPORARY TABLE {s}_other.users, {s}_other.seen"),
        ]).await;
        let rows = text_rows(&mut scene.app, "SELECT email FROM users").await;
        assert_eq!(rows, [[Some("ada@example.org".to_owned())]]);
    }

    async fn state_that_changes_under_the_analysis(backend: Backend) {
        let mut scene = set(&backend).await;
        scene.expect(&backend, &[
            ("SW-1007", "USE {s}_other; INSERT INTO users (email) VALUES ('CANARY')"),
            ("SW-1007", "SET NAMES latin1; INSERT INTO users (email) VALUES ('CANARY')"),
            ("SW-1007", "SET sql_mode = 'ANSI_QUOTES'; INSERT INTO users (email) VALUES (\"CANARY\")"),
            ("SW-1007", "SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES'; SELECT email FROM users"),
            ("SW-1007", "SET character_set_results = latin1; SELECT email FROM users"),
            ("SW-1007", "CALL sd_calm('x'); SELECT email FROM users"),
            ("SW-1601", "SET session_track_schema = 0"),
            ("SW-1601", "SET @@session.session_track_schema = OFF"),
            ("SW-1601", "SET SESSION session_track_system_variables = 'autocommit'"),
            ("SW-1601", "SET @a = 1, session_track_schema = 0"),
            ("SW-1601", "SET /*!session_track_schema*/ = 0"),
            ("SW-1502", "CALL untracks()"),
            ("SW-1410", "CREATE PROCEDURE p () SET SESSION session_track_schema = 0"),
            ("SW-1002", "SELECT /*+ SET_VAR(sql_mode = 'ANSI_QUOTES') */ email FROM users"),
        ]).await;
        // The state is followed where it changes in packets of its own.
        scene.app.query_drop("SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'").await.unwrap();
        scene.app.query_drop("INSERT INTO \"users\" (\"email\") VALUES ('side\\door')").await.unwrap();
        let got = answer(&mut scene.app, "INSERT INTO users (email) VALUES (\"note\")").await;
        assert_eq!(outcome(&got), "SW-1305", "{got:?}");
        scene.app.query_drop("SET sql_mode = ''").await.unwrap();
        scene.app.query_drop("INSERT INTO users (email) VALUES (\"quo\\\"ted\")").await.unwrap();
        let rows = text_rows(&mut scene.app, "SELECT email FROM users ORDER BY id").await;
        let some = |text: &str| vec![Some(text.to_owned())];
        assert_eq!(rows, [some("ada@example.org"), some("side\\door"), some("quo\"ted")]);
        assert_no_plaintext(&backend, &["side\\door", "quo\"ted"]).await;
    }

    async fn values_that_would_leave_by_another_way(backend: Backend) {
        let mut scene = set(&backend).await;
        scene.expect(&backend, &[
            ("SW-1302", "SELECT email INTO @v FROM users"),
            ("SW-1302", "SELECT id, email FROM users INTO @a, @v"),
            ("SW-1001", "SELECT @v := email FROM users"),
            ("SW-1511", "SET @v = (SELECT email FROM users LIMIT 1)"),
            ("SW-1303", "SELECT email FROM users INTO OUTFILE '/tmp/CANARY'"),
            ("SW-1303", "SELECT email INTO DUMPFILE '/tmp/CANARY' FROM users"),
            ("SW-1508", "DO (SELECT email FROM users)"),
            ("SW-1505", "LOAD DATA INFILE '/tmp/CANARY' INTO TABLE users"),
            ("SW-1505", "LOAD XML INFILE '/tmp/CANARY' INTO TABLE users"),
            ("SW-1505", "LOAD DATA INFILE '/tmp/CANARY' REPLACE INTO TABLE {s}.users (email)"),
            ("SW-1305", "INSERT INTO users (email) VALUES ({fn CONCAT('CANARY')})"),
            ("SW-1304", "INSERT INTO users (email) SELECT text FROM notes"),
            ("SW-1001", "INSERT INTO users (email) TABLE notes"),
            ("SW-1009", "INSERT INTO users (email) VALUES ROW('CANARY')"),
            ("SW-1411", "CREATE TABLE copied AS SELECT email FROM users"),
            ("SW-1411", "CREATE TABLE copied LIKE users"),
        ]).await;
    }

    async fn executable_comments_are_read_as_this_server_reads_them(backend: Backend) {
        let mut scene = set(&backend).await;
        let mariadb = backend.is_mariadb();
        // Run by every server, by none, by MariaDB alone, and from a version on.
        for (statement, stored) in [
            ("INSERT INTO users (email) VALUES (/*! 'CANARY-1' */)", Some("CANARY-1")),
            ("INSERT INTO users (email) VALUES (/*!40101 'CANARY-2' */)", Some("CANARY-2")),
            ("INSERT INTO users (email) VALUES ('CANARY-3' /*!999999 , 'x' */)", Some("CANARY-3")),
            ("INSERT INTO /*!40000 users */ (email) VALUES ('CANARY-4')", Some("CANARY-4")),
            ("/*!50000 INSERT INTO users (email) VALUES ('CANARY-5') */", Some("CANARY-5")),
            ("INSERT INTO users (email) VALUES (/*M! 'CANARY-6' */)", mariadb.then_some("CANARY-6")),
            ("INSERT INTO users (email) VALUES ('CANARY-7') /* ) , (note */", Some("CANARY-7")),
        ] {
            let text = scene.text(statement);
            let got = answer(&mut scene.app, &text).await;
            let rows = text_rows(&mut scene.app, "SELECT email FROM users WHERE id > 1").await;
            match stored {
                Some(value) if outcome(&got) == "ok" => assert_eq!(rows, [[Some(scene.text(value))]], "{statement}"),
                _ => assert!(rows.is_empty(), "{statement}: {got:?}"),
            }
            assert!(outcome(&got) == "ok" || stored.is_none() || outcome(&got).starts_with("SW-"), "{statement}: {got:?}");
            scene.app.query_drop("DELETE FROM users WHERE id > 1").await.unwrap();
        }
        assert_no_plaintext(&backend, &[&scene.canary]).await;
    }

    async fn messages_do_not_quote_what_is_stored(backend: Backend) {
        let mut scene = set(&backend).await;
        let app = &mut scene.app;
        // A duplicate of a searchable value: neither the value nor its sealed form.
        let duplicate = answer(app, "INSERT INTO users (tax) VALUES ('DE1')").await;
        let Answer::Error { code, message, .. } = &duplicate else { panic!("{duplicate:?}") };
        assert_eq!(*code, 1062, "{message}");
        assert!(!message.contains("DE1") && !message.contains("pQ"), "{message}");
        for warnings in ["SHOW WARNINGS", "SHOW ERRORS"] {
            for row in text_rows(app, warnings).await {
                let text = row[2].clone().unwrap();
                assert!(!text.contains("DE1") && !text.contains("pQ"), "{warnings}: {text}");
            }
        }
        app.query_drop("INSERT IGNORE INTO users (tax) VALUES ('DE1')").await.unwrap();
        for row in text_rows(app, "SHOW WARNINGS").await {
            let text = row[2].clone().unwrap();
            assert!(text.contains("Duplicate") && !text.contains("DE1") && !text.contains("pQ"), "{text}");
        }
        // Plans show no constants, and the process list no values.
        for plan in ["EXPLAIN", "EXPLAIN FORMAT=JSON", if backend.is_mariadb() { "ANALYZE FORMAT=JSON" } else { "EXPLAIN ANALYZE" }] {
            let rows = text_rows(app, &format!("{plan} SELECT id FROM users WHERE tax = 'DE1'")).await;
            let text: String = rows.into_iter().flatten().flatten().collect();
            assert!(!text.is_empty() && !text.contains("DE1"), "{plan}: {text}");
        }
        let all = text_rows(app, "SHOW FULL PROCESSLIST").await;
        assert!(!all.is_empty());
        // Diagnostics of the statement before.
        let got = answer(app, "GET DIAGNOSTICS CONDITION 1 @m = MESSAGE_TEXT").await;
        assert_eq!(outcome(&got), "ok", "{got:?}");
        app.query_drop("INSERT INTO users (tax) VALUES ('DE1')").await.unwrap_err();
        app.query_drop("GET DIAGNOSTICS CONDITION 1 @m = MESSAGE_TEXT").await.unwrap();
        for row in text_rows(app, "SELECT @m").await {
            assert!(!row[0].clone().unwrap_or_default().contains("DE1"), "{row:?}");
        }
    }

    async fn routines_that_the_configuration_allows_run_and_hand_out_nothing_sealed(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut direct = schema.direct().await;
        for statement in [
            "CREATE TABLE users (id int PRIMARY KEY AUTO_INCREMENT, email varchar(191), visits int DEFAULT 0)",
            "CREATE TABLE trail (user_id int, what varchar(20))",
            "CREATE TABLE other (id int PRIMARY KEY, email varchar(191))",
            "CREATE TRIGGER follow AFTER INSERT ON users FOR EACH ROW INSERT INTO trail VALUES (NEW.id, 'made')",
            "CREATE TRIGGER unnamed BEFORE INSERT ON other FOR EACH ROW SET NEW.email = 'x'",
            "CREATE PROCEDURE visit (u int) UPDATE users SET visits = visits + 1 WHERE id = u",
            "CREATE PROCEDURE tell (u int) SELECT id, visits, email FROM users WHERE id = u",
            "CREATE PROCEDURE count_visits (u int) SELECT id, visits FROM users WHERE id = u",
            "CREATE PROCEDURE unnamed_visit (u int) UPDATE users SET visits = 0 WHERE id = u",
            "CREATE PROCEDURE blinds () BEGIN SET SESSION session_track_schema = 0; UPDATE users SET visits = 0; END",
        ] {
            direct.query_drop(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
        let s = &schema.name;
        let proxy = Proxy::builder(&schema)
            .column("users", "email", "{}")
            .column("other", "email", "{}")
            .extra(&format!("allow_routines: [{s}.follow, {s}.visit, {s}.Tell, {s}.count_visits, {s}.blinds]"))
            .start();
        let mut app = proxy.connect().await;
        let email = format!("routine-{s}@example.org");
        app.query_drop(format!("INSERT INTO users (email) VALUES ('{email}')")).await.unwrap();
        app.exec_drop("CALL visit(?)", (1,)).await.unwrap();
        app.query_drop(format!("CALL {s}.visit(1)")).await.unwrap();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(text_rows(&mut app, "CALL count_visits(1)").await, [[some("1"), some("2")]]);
        let rows: Vec<(i32, i32)> = app.exec("CALL count_visits(?)", (1,)).await.unwrap();
        assert_eq!(rows, [(1, 2)]);
        for (code, statement) in [
            ("SW-1816", "CALL tell(1)"),
            ("ok", "CALL tell(2)"),
            ("SW-1502", "CALL unnamed_visit(1)"),
            ("SW-1502", "CALL blinds()"),
            ("SW-1309", "INSERT INTO other VALUES (1, 'y')"),
            ("SW-1007", "CALL visit(1); SELECT email FROM users"),
        ] {
            assert_eq!(outcome(&answer(&mut app, statement).await), code, "{statement}");
        }
        let refused = app.exec::<(i32, i32, String), _, _>("CALL tell(?)", (1,)).await.unwrap_err();
        assert!(refused.to_string().contains("SW-1816"), "{refused}");
        assert_eq!(text_rows(&mut app, "SELECT email FROM users").await, [[some(&email)]]);
        assert_eq!(text_rows(&mut direct, "SELECT * FROM trail").await, [[some("1"), some("made")]]);
        assert_no_plaintext(&backend, &[&email]).await;
    }

    async fn what_is_made_while_the_proxy_runs_is_seen(backend: Backend) {
        let mut scene = set(&backend).await;
        for statement in [
            "CREATE PROCEDURE late (v text) INSERT INTO users (email) VALUES (v)",
            "CREATE TRIGGER late BEFORE INSERT ON notes FOR EACH ROW INSERT INTO users (email) VALUES (NEW.text)",
            "CREATE VIEW later AS SELECT email AS mail FROM users",
        ] {
            scene.direct.query_drop(statement).await.unwrap();
        }
        tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
        for (code, statement) in [
            ("SW-1502", "CALL late('CANARY')"),
            ("SW-1310", "INSERT INTO notes (text) VALUES ('CANARY')"),
            ("SW-1202", "SELECT mail FROM later WHERE mail = 'CANARY'"),
            ("ok", "SELECT mail FROM later"),
        ] {
            let text = scene.text(statement);
            let got = answer(&mut scene.app, &text).await;
            assert_eq!(outcome(&got), code, "{statement}: {got:?}");
        }
        assert_eq!(text_rows(&mut scene.app, "SELECT mail FROM later").await, [[Some("ada@example.org".to_owned())]]);
        assert_no_plaintext(&backend, &[&scene.canary]).await;
    }
}
