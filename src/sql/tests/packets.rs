use super::{all, refused, verdict_in};
use crate::sql::testing::{context, snapshot};
use crate::sql::{Charset, Outcome, ParamRole, Protocol, RefusalCode, SqlMode, analyse};

#[test]
fn what_names_nothing_watched_passes() {
    all(
        "pass",
        &[
            "",
            ";",
            "/* users */",
            "SELECT 1",
            "SELECT 'users'",
            "SELECT * FROM orders",
            "SELECT @users",
            "select this is not sql at all",
            "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_NAME = 'users'",
            "INSERT INTO orders (email) VALUES ('a')",
            "(SELECT 1) UNION (SELECT 2)",
            "SELECT 1; SELECT 2; UPDATE orders SET total = 1",
            "/*!99999 DELETE FROM users */ SELECT 1",
        ],
    );
}

#[test]
fn names_are_found_however_they_are_written() {
    all(
        "plan",
        &[
            "SELECT email FROM users",
            "SELECT email FROM `users`",
            "SELECT email FROM shop.users",
            "SELECT email FROM shop . `users` u",
            "/*!SELECT*/ email /*! FROM users */",
            "SELECT email FROM/**/users",
            "(SELECT email FROM users)",
            "SELECT 1; SELECT email FROM users; SELECT 2",
            "EXPLAIN SELECT email FROM users",
            "DESC SELECT id FROM users",
            "EXPLAIN FORMAT=JSON UPDATE users SET email = 'a'",
            "ANALYZE SELECT id FROM users",
            "BEGIN; UPDATE users SET email = 'a'; COMMIT",
            "SET @a = 1; UPDATE users SET email = 'a'",
        ],
    );
}

#[test]
fn one_bad_statement_refuses_the_packet() {
    refused(
        RefusalCode::FlowToFile,
        &["SELECT 1; SELECT email FROM users INTO OUTFILE '/tmp/x'", "SELECT id INTO DUMPFILE 'x' FROM users"],
    );
    refused(
        RefusalCode::FlowToVariable,
        &["SELECT email INTO @a FROM users", "SELECT email FROM users LIMIT 1 INTO @a"],
    );
    refused(RefusalCode::NotUnderstood, &["SELECT 1; SELECT FROM users WHERE"]);
    refused(RefusalCode::OptimizerHint, &["SELECT /*+ SET_VAR(sql_mode=ansi) */ email FROM users"]);
    refused(
        RefusalCode::MixedPacket,
        &[
            "SET sql_mode = ''; UPDATE users SET email = 'a'",
            "SET @a = 1, NAMES latin1; UPDATE users SET email = 'a'",
            "UPDATE users SET email = 'a'; USE crm",
            "PREPARE s FROM 'SELECT 1'; SELECT email FROM users",
            "CREATE TABLE x (a int); SELECT email FROM users",
            "SHOW WARNINGS; SELECT email FROM users",
        ],
    );
}

#[test]
fn a_body_takes_the_rest_of_the_packet_and_nothing_else_does() {
    all("plan", &["SHOW TABLES LIKE 'event'; UPDATE users SET email = 'a'"]);
    refused(
        RefusalCode::MixedPacket,
        &[
            "CREATE TABLE event (a int); UPDATE users SET email = 'a'",
            "CREATE TABLE t (`trigger` int, function int); UPDATE users SET email = 'a'",
        ],
    );
    refused(
        RefusalCode::RoutineOverProtected,
        &[
            "CREATE PROCEDURE p() BEGIN SELECT 1; UPDATE users SET email = 'a'; END",
            "CREATE FUNCTION f() RETURNS int RETURN 1; UPDATE users SET email = 'a'",
        ],
    );
    refused(
        RefusalCode::CompoundBlock,
        &[
            "BEGIN UPDATE users SET email = 'a'; END",
            "BEGIN SELECT 1; UPDATE users SET email = 'a'; END",
            "BEGIN NOT ATOMIC SELECT 1; END; UPDATE users SET email = 'a'",
        ],
    );
}

#[test]
fn a_text_without_clear_tokens_is_refused_only_where_it_matters() {
    all("scrub", &["SELECT 'a", "SELECT /* a"]);
    refused(
        RefusalCode::MalformedText,
        &[
            "SELECT /*+ SET_VAR(sql_mode='') */ email FROM users",
            "SELECT * FROM users WHERE a = 'x",
            "/*!SELECT /*!1*/ */ email FROM users",
            "EXECUTE s USING 'a",
            "SELECT 1 FROM users # \0\n",
        ],
    );
}

#[test]
fn sessions_beyond_what_is_supported_are_refused_on_protected_tables_only() {
    let other = |sql: &str| verdict_in(sql.as_bytes(), |ctx| ctx.character_set_client = Charset::Other);
    assert_eq!(other("SELECT email FROM users"), "CharacterSet");
    assert_eq!(other("SELECT email FROM orders"), "pass");
    // Within gbk, a backslash may be half of a letter: where strings end is then not known.
    let gbk = |sql: &[u8]| verdict_in(sql, |ctx| ctx.character_set_client = Charset::Other);
    assert_eq!(gbk(b"SELECT '\xbf\\' , email FROM users -- '"), "CharacterSet");
    assert_eq!(gbk(b"SELECT '\xbf\\' , email FROM orders"), "scrub");
    assert_eq!(gbk(b"PREPARE s FROM '\xbf'"), "CharacterSet");
    let in_gbk = |sql: &[u8]| verdict_in(sql, |ctx| ctx.character_set_client = Charset::from_name("gbk"));
    assert_eq!(in_gbk(b"SELECT '\xbf\\' , email FROM users -- '"), "plan");
    assert_eq!(in_gbk(b"SELECT '\xbf\\' , email FROM orders -- '"), "pass");
    let swe7 = |sql: &[u8]| verdict_in(sql, |ctx| ctx.character_set_client = Charset::from_name("swe7"));
    assert_eq!(swe7(b"SELECT email FROM users WHERE note = '}'"), "plan");
    assert_eq!(swe7(b"SELECT id ^ 1 FROM users"), "MalformedText");
    let oracle = |sql: &str| verdict_in(sql.as_bytes(), |ctx| ctx.sql_mode.unsupported = true);
    assert_eq!(oracle("SELECT email FROM users"), "UnsupportedSqlMode");
    assert_eq!(oracle("SELECT 1"), "pass");
    let ansi = |sql: &str| {
        verdict_in(sql.as_bytes(), |ctx| ctx.sql_mode = SqlMode { ansi_quotes: true, ..SqlMode::default() })
    };
    assert_eq!(ansi("SELECT email FROM \"users\""), "plan");
    assert_eq!(verdict_in(b"SELECT email FROM\xa0users", |ctx| ctx.character_set_client = Charset::Latin1), "plan");
}

#[test]
fn parameters_of_the_whole_packet_have_roles() {
    let catalog = snapshot();
    let mut ctx = context(&catalog);
    ctx.protocol = Protocol::Prepared;
    let Outcome::Plan(plan) = analyse(b"INSERT INTO users (id, email, note) VALUES (?, ?, ?)", &ctx) else { panic!() };
    let roles: Vec<bool> = plan.params.iter().map(|p| matches!(p, ParamRole::Seal(_))).collect();
    assert_eq!(roles, [false, true, false]);
    assert_eq!(plan.statements.len(), 1);
}
