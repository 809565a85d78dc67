use std::ops::ControlFlow;

use sqlparser::ast::{Expr, Ident, Visit, Visitor};

use super::lexing::MARIADB;
use crate::sql::dialect::{Parsed, Spans, parse};
use crate::sql::lex::{LexMode, TokenKind, lex, statements};
use crate::sql::{Refusal, RefusalCode, SqlMode, literal};

fn parsed_in(sql: &str, mode: LexMode) -> Result<Parsed, Refusal> {
    let tokens = lex(sql.as_bytes(), mode).unwrap();
    parse(&statements(sql.as_bytes(), &tokens, mode)[0])
}

fn parsed(sql: &str) -> Parsed {
    parsed_in(sql, MARIADB).unwrap_or_else(|r| panic!("{sql}: {r}"))
}

/// The tree's grouping, with parentheses around every operation.
pub(super) fn shown(e: &Expr) -> String {
    match e {
        Expr::BinaryOp { left, op, right } => format!("({} {op} {})", shown(left), shown(right)),
        Expr::UnaryOp { op, expr } => format!("({op:?} {})", shown(expr)),
        Expr::Prefixed { prefix, value } => format!("({prefix} {})", shown(value)),
        Expr::Cast { expr, .. } => format!("(BINARY {})", shown(expr)),
        Expr::Like { expr, pattern, .. } => format!("({} LIKE {})", shown(expr), shown(pattern)),
        Expr::RLike { expr, pattern, .. } => format!("({} REGEXP {})", shown(expr), shown(pattern)),
        Expr::IsNull(e) => format!("({} IS NULL)", shown(e)),
        Expr::InList { expr, .. } => format!("({} IN)", shown(expr)),
        Expr::Between { expr, low, high, .. } => format!("({} BETWEEN {} {})", shown(expr), shown(low), shown(high)),
        other => other.to_string(),
    }
}

fn grouped(expression: &str, mode: LexMode) -> String {
    struct First(Option<String>);
    impl Visitor for First {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            self.0 = Some(shown(expr));
            ControlFlow::Break(())
        }
    }
    let mut first = First(None);
    let _ = parsed_in(&format!("SELECT {expression}"), mode).unwrap().statement.visit(&mut first);
    first.0.unwrap()
}

#[test]
fn operators_group_as_the_servers_group_them() {
    for (text, expected) in [
        ("a = 1 && b = 2", "((a = 1) AND (b = 2))"),
        ("a = 1 || b = 2", "((a = 1) OR (b = 2))"),
        ("a OR b XOR c AND d", "(a OR (b XOR (c AND d)))"),
        ("NOT a = b", "(Not (a = b))"),
        ("NOT a AND b", "((Not a) AND b)"),
        ("!a = b", "((Not a) = b)"),
        ("BINARY a = 'x'", "((BINARY a) = 'x')"),
        ("a = b IS NULL", "((a = b) IS NULL)"),
        ("a IS NULL = b", "((a IS NULL) = b)"),
        ("a = b LIKE c", "(a = (b LIKE c))"),
        ("a LIKE b = c", "((a LIKE b) = c)"),
        ("a = b REGEXP c", "(a = (b REGEXP c))"),
        ("a = b IN (1)", "(a = (b IN))"),
        ("a BETWEEN 1 AND 2 AND b", "((a BETWEEN 1 2) AND b)"),
        ("a | b & c << d + e * f ^ g", "(a | (b & (c << (d + (e * (f ^ g))))))"),
        ("-a ^ b", "((Minus a) ^ b)"),
        ("-a * b", "((Minus a) * b)"),
        ("~a + b", "((BitwiseNot a) + b)"),
        ("a DIV b + c", "((a DIV b) + c)"),
        ("a MOD b + c", "((a % b) + c)"),
        ("a + b MOD c", "(a + (b % c))"),
        ("MOD(a, b) + c", "(MOD(a, b) + c)"),
        ("a <=> b OR c", "((a <=> b) OR c)"),
    ] {
        assert_eq!(grouped(text, MARIADB), expected, "{text}");
    }
    let pipes = LexMode { sql_mode: SqlMode { pipes_as_concat: true, ..SqlMode::default() }, ..MARIADB };
    assert_eq!(grouped("a || b = c", pipes), "((a || b) = c)");
    let high = LexMode { sql_mode: SqlMode { high_not_precedence: true, ..SqlMode::default() }, ..MARIADB };
    assert_eq!(grouped("NOT a = b", high), "((Not a) = b)");
}

#[test]
fn positions_are_byte_offsets_of_the_packet() {
    struct Check<'a>(&'a str, usize);
    impl Visitor for Check<'_> {
        type Break = ();
        fn pre_visit_ident(&mut self, ident: &Ident) -> ControlFlow<()> {
            if let Some(range) = Spans.range(ident.span) {
                let name = literal::identifier(&self.0.as_bytes()[range]);
                assert_eq!(name.iter().copied().map(char::from).collect::<String>(), ident.value);
                self.1 += 1;
            }
            ControlFlow::Continue(())
        }
    }
    let sql = "SELECT `é`, /*!50110 b.*/ c -- x\n, '日' , d FROM t AS u WHERE ünï = 'a' /* */ 'b'";
    let mut check = Check(sql, 0);
    let _ = parsed(sql).statement.visit(&mut check);
    assert_eq!(check.1, 7);
}

#[test]
fn adjacent_strings_are_one_value_whose_span_holds_them_all() {
    struct Values(Vec<std::ops::Range<usize>>);
    impl Visitor for Values {
        type Break = ();
        fn pre_visit_value(&mut self, value: &sqlparser::ast::ValueWithSpan) -> ControlFlow<()> {
            self.0.extend(Spans.range(value.span));
            ControlFlow::Continue(())
        }
    }
    let sql = "SELECT 'a' /* x */ 'b''c' \"d\", N'e' 'f'";
    let mut values = Values(Vec::new());
    let _ = parsed(sql).statement.visit(&mut values);
    assert_eq!(values.0, [7..29, 31..39]);
    let tokens = lex(sql.as_bytes(), MARIADB).unwrap();
    let statement = &statements(sql.as_bytes(), &tokens, MARIADB)[0];
    let run = literal::string_run(statement, 7).unwrap();
    assert_eq!((run.span, run.bytes.as_slice()), (7..29, &b"ab'cd"[..]));
}

#[test]
fn what_the_parser_does_not_know_is_rewritten_for_it() {
    for sql in [
        "UPDATE a, b SET a.x = 1 WHERE a.id = b.id",
        "UPDATE LOW_PRIORITY IGNORE a SET x = 1",
        "UPDATE a AS x, (SELECT 1 AS id, 2) AS y SET x.z = y.id",
        "DELETE QUICK IGNORE FROM a WHERE x = 1",
        "DELETE LOW_PRIORITY a.*, b.* FROM a JOIN b USING (id)",
        "DELETE FROM a.*, b.* USING a JOIN b",
        "SELECT a FROM t LOCK IN SHARE MODE",
        "SELECT a FROM t FOR UPDATE",
        "SELECT a, COUNT(*) FROM t GROUP BY a DESC, b ASC HAVING a > 1 ORDER BY a DESC",
        "SELECT NOW() + INTERVAL '1:2' DAY_HOUR, DATE_ADD(a, INTERVAL 1 YEAR_MONTH) FROM t",
        "SELECT CAST(a AS CHAR CHARACTER SET utf8mb4), CAST(b AS CHAR(3) CHARACTER SET latin1), CAST(c AS UNSIGNED INTEGER) FROM t",
        "SELECT DISTINCTROW a FROM t",
        "SELECT * FROM (t)",
        "SELECT * FROM (((t AS u))) WHERE a IN (1, 2)",
        "SELECT * FROM (t1), (t2 x), t3",
        "SELECT * FROM (t1, t2) LEFT JOIN (t3, t4 u) ON (t1.a = t3.a AND t2.b IN (1, 2))",
        "SELECT * FROM t1 LEFT JOIN (t2 JOIN t3 USING (a, b), t4) ON t1.a = t2.a",
        "SELECT TRIM('a' FROM (b)), SUBSTRING(a FROM (1) FOR 2), EXTRACT(DAY FROM (a)) FROM (t)",
        "SELECT (SELECT MAX(a) FROM (t1), t2), (1, 2) IN ((1, 2), (3, 4)) FROM t3",
        "SELECT * FROM (SELECT a, b FROM t) AS d, (SELECT 1, 2) AS e",
        "SELECT SQL_NO_CACHE a FROM t",
        "SELECT SQL_CACHE a FROM t",
        "SELECT a FROM t WHERE a SOUNDS LIKE b",
        "SELECT @a, @`b`, @@sql_mode, @@session.sql_mode",
        "SELECT 1a.2b FROM 1a",
        "REPLACE LOW_PRIORITY INTO t SET a = 1",
        "INSERT HIGH_PRIORITY IGNORE INTO t VALUE (1)",
        "INSERT INTO t () VALUES ()",
        "SELECT 0x4a, x'4a', b'1', 0b1, _latin1'a', _utf8mb4 x'41', N'a'",
        "WITH c AS (SELECT 1) UPDATE t, c SET t.a = 1",
    ] {
        parsed(sql);
    }
    assert!(parsed("UPDATE IGNORE t SET a = 1").ignore);
    assert!(parsed("INSERT LOW_PRIORITY IGNORE INTO t VALUES (1)").ignore);
    assert!(parsed("DELETE IGNORE FROM t").ignore);
    assert!(!parsed("UPDATE t SET `ignore` = 1").ignore);
    assert!(!parsed("INSERT INTO t VALUES (1)").ignore);
}

#[test]
fn messages_of_the_parser_never_quote_the_text() {
    for sql in
        ["SELECT FROM WHERE 'secret' 5 secret2 ((", "INSERT INTO t VALUES ('secret' secret)", "SELECT 'a' = ) 'secret'"]
    {
        let refusal = parsed_in(sql, MARIADB).err().unwrap();
        assert!(!refusal.to_string().contains("secret"), "{refusal}");
    }
}

#[test]
fn limits_refuse_before_the_stack_is_in_danger() {
    let cases = [
        format!("SELECT 1 FROM a{}", " JOIN a".repeat(70)),
        format!("SELECT 1{}", " UNION SELECT 1".repeat(300)),
        format!("SELECT 1{}", " + 1".repeat(4000)),
        format!("SELECT {}1{}", "(".repeat(200), ")".repeat(200)),
        format!("SELECT {}1", "NOT ".repeat(4000)),
        format!("SELECT 1 FROM t WHERE a = 1{}", " OR a = 1".repeat(2000)),
        format!("SELECT 1 FROM t WHERE a = 1{}", " AND a = 1".repeat(2000)),
        // The OR of an operand that has no parentheses is above those around it.
        format!("SELECT {}1{}", "1 + 1 + CASE WHEN 1 OR ".repeat(600), " THEN 1 END".repeat(600)),
        format!("SELECT {}1", "1 + 1 + 1 + @a := 1 OR ".repeat(600)),
        // Chains add up where one is the first operand of the next.
        format!("SELECT {}1{}", "(".repeat(10), format!("{})", " + 1".repeat(300)).repeat(10)),
        format!("SELECT f(1, {}1{})", "(".repeat(10), format!("{})", " + 1".repeat(300)).repeat(10)),
    ];
    for sql in &cases {
        assert_eq!(parsed_in(sql, MARIADB).err().unwrap().code, RefusalCode::TooComplex, "{}", &sql[..40]);
    }
    parsed(&format!("SELECT 1 FROM t WHERE a = 1{}", " OR a = 1".repeat(900)));
    parsed(&format!("SELECT 1 FROM t WHERE (a = 1 AND b = 2){}", " OR (a = 1 AND b = 2)".repeat(900)));
    parsed(&format!("SELECT 1 FROM t WHERE a = 1 AND b > 2 + 3{}", " OR a = 1 AND b > 2 + 3".repeat(1900)));
    parsed(&format!("INSERT INTO t VALUES (-1){}", ", (-1)".repeat(5000)));
}

#[test]
fn literals_that_the_tree_does_not_hold_are_noticed() {
    // Aliases and lengths of types are no values.
    for sql in [
        "SELECT a AS 'x', b 'y', CAST(c AS CHAR(3)), CAST(d AS DECIMAL(3, 1)) FROM t LIMIT 1, 2",
        "SELECT GROUP_CONCAT(a SEPARATOR ',') FROM t",
    ] {
        parsed(sql);
    }
    let sql = "SELECT a FROM t WHERE b = 'x'";
    let tokens = lex(sql.as_bytes(), MARIADB).unwrap();
    let statement = &statements(sql.as_bytes(), &tokens, MARIADB)[0];
    let other = parsed("SELECT a FROM t WHERE bb = c").statement;
    let refusal = crate::sql::guard::check_literals(statement, &other).unwrap_err();
    assert_eq!(refusal.code, RefusalCode::GuardFailed);
    assert_eq!(statement.token_at(refusal.span.unwrap().start).unwrap().kind, TokenKind::String);
}
