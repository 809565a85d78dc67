//! What the library's own MySQL dialect reads otherwise than the servers, or not at all: `docs/sqlparser.md`
//! is written from these cases, which a new version of the library has to pass or to mend.

use std::fmt::Write as _;
use std::ops::ControlFlow;

use sqlparser::ast::{Expr, Spanned, Visit, Visitor};
use sqlparser::dialect::MySqlDialect;
use sqlparser::parser::Parser;

use super::lexing::MARIADB;
use super::parsing::shown;
use crate::sql::dialect::parse;
use crate::sql::lex::{lex, statements};

/// What the library makes of a statement that MySQL or MariaDB takes.
enum Stock {
    /// A syntax error.
    Fails,
    /// Another statement, as it prints it.
    Prints(&'static str),
    /// Operands of the wrong operator.
    Groups(&'static str),
    /// A literal whose span covers only this much of the text.
    Spans(&'static str),
}
use Stock::{Fails, Groups, Prints, Spans};

/// Statement, what the library makes of it, what the servers do.
type Case = (&'static str, Stock, &'static str);

const CASES: &[(&str, &[Case])] = &[
    (
        "Read as something else",
        &[
            ("SELECT 'a' 'b'", Spans("'a'"), "one literal, to the end of the second string"),
            ("SELECT a = 'x' && b = 2 FROM t", Groups("((a = ('x' AND b)) = 2)"), "`&&` binds as AND does"),
            ("SELECT a = 'x' XOR b = 2 FROM t", Groups("((a = ('x' XOR b)) = 2)"), "`XOR` binds below AND"),
            ("SELECT a = 1 || b = 2 FROM t", Groups("((a = (1 || b)) = 2)"), "`||` is OR without PIPES_AS_CONCAT"),
            ("SELECT BINARY a = 'x' FROM t", Groups("(BINARY (a = 'x'))"), "BINARY takes `a` alone"),
            ("SELECT a ^ b * 2 FROM t", Groups("(a ^ (b * 2))"), "`^` binds tighter than `*`"),
            ("SELECT 0b01", Prints("SELECT 0b01"), "a bit literal; here an identifier"),
            ("SELECT 1 /*!99999 + 1 */", Prints("SELECT 1 + 1"), "skipped: no server is of that version"),
            ("SELECT 1 /*M! + 1 */", Prints("SELECT 1"), "MariaDB runs it"),
            ("/*M! SELECT 1 */", Prints(""), "MariaDB runs it; here there is no statement"),
        ],
    ),
    (
        "Printed as something else",
        &[
            (r"SELECT 'C:\\x'", Prints(r"SELECT 'C:\x'"), "backslashes are escaped"),
            (r"SELECT '\a\f'", Prints("SELECT '\u{7}\u{c}'"), r"`\a` and `\f` are the letters a and f"),
            ("SELECT @`a b`", Prints("SELECT @a b"), "the variable's name is quoted"),
            ("SELECT 1 /* note */ + 1", Prints("SELECT 1 + 1"), "comments may be hints or executable"),
        ],
    ),
    (
        "Not parsed",
        &[
            ("UPDATE a, b SET a.x = b.x WHERE a.id = b.id", Fails, ""),
            ("SELECT * FROM t LOCK IN SHARE MODE", Fails, ""),
            ("DELETE t.* FROM t JOIN u ON t.id = u.id", Fails, ""),
            ("SELECT a MOD b FROM t", Fails, ""),
            ("SELECT !a FROM t", Fails, ""),
            ("SELECT a FROM t GROUP BY a DESC", Fails, "MariaDB"),
            ("SELECT NOW() + INTERVAL '1 2' DAY_HOUR", Fails, ""),
            ("SELECT EXTRACT(YEAR_MONTH FROM d) FROM t", Fails, ""),
            ("SELECT CAST(a AS CHAR CHARACTER SET latin1) FROM t", Fails, ""),
            ("SELECT CAST(a AS UNSIGNED INT) FROM t", Fails, ""),
            ("SELECT MATCH a, b AGAINST ('x') FROM t", Fails, ""),
            ("SELECT MATCH (a) AGAINST (CONCAT('x', 'y')) FROM t", Fails, ""),
            ("SELECT * FROM t LEFT JOIN (u, v) ON u.id = t.id", Fails, ""),
            ("SELECT 1 INTO OUTFILE '/tmp/f'", Fails, ""),
            ("SELECT a FROM t INTO @v", Fails, ""),
            ("SELECT CHAR(77 USING utf8mb4)", Fails, ""),
            ("INSERT INTO t (a) SELECT 1 ON DUPLICATE KEY UPDATE a = 2", Fails, ""),
            ("SELECT INTERVAL(1, 2, 3)", Fails, "the function"),
            ("SELECT 1 IN ((SELECT 1), (SELECT 2))", Fails, ""),
            (r"SELECT \N", Fails, "MariaDB"),
            ("SELECT a SOUNDS LIKE b FROM t", Fails, ""),
            ("SELECT * FROM {OJ t LEFT JOIN u ON t.id = u.id}", Fails, ""),
            ("SELECT COUNT(DISTINCTROW a) FROM t", Fails, ""),
            ("SELECT WEIGHT_STRING('a' AS CHAR(2))", Fails, ""),
            ("SELECT a FROM t LIMIT ROWS EXAMINED 5", Fails, "MariaDB"),
            ("SELECT * FROM t FOR SYSTEM_TIME ALL", Fails, "MariaDB"),
            ("SELECT NEXT VALUE FOR s", Fails, "MariaDB"),
            ("SELECT * FROM t PROCEDURE ANALYSE()", Fails, "MariaDB"),
            ("TABLE t", Fails, "MySQL"),
            ("SET @a := 1", Fails, ""),
            ("SET CHARACTER SET latin1", Fails, ""),
            ("UPDATE LOW_PRIORITY IGNORE t SET a = 1", Fails, ""),
            ("PREPARE s FROM 'SELECT 1'", Fails, ""),
            ("LOAD DATA INFILE 'f' INTO TABLE t", Fails, ""),
            ("HANDLER t OPEN", Fails, ""),
            ("DO SLEEP(0)", Fails, ""),
            ("XA START 'x'", Fails, ""),
            ("SIGNAL SQLSTATE '45000'", Fails, ""),
        ],
    ),
];

/// The first expression of a tree.
fn first_expression(sql: &str) -> Expr {
    struct First(Option<Expr>);
    impl Visitor for First {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            self.0 = Some(expr.clone());
            ControlFlow::Break(())
        }
    }
    let mut first = First(None);
    let _ = Parser::parse_sql(&MySqlDialect {}, sql).unwrap().visit(&mut first);
    first.0.unwrap()
}

/// Whether our own dialect parses it.
fn is_understood(sql: &str) -> bool {
    let Ok(tokens) = lex(sql.as_bytes(), MARIADB) else { return false };
    statements(sql.as_bytes(), &tokens, MARIADB).first().is_some_and(|statement| parse(statement).is_ok())
}

#[test]
fn the_page_about_the_parser_is_what_it_does() {
    let mut page = String::from(
        "# sqlparser, and what of it should be mended\n\n\
         Sealwire parses with `sqlparser` 0.63.0. Each line is a statement that MySQL 9.7 or MariaDB takes and that the library's \
         `MySqlDialect` reads otherwise or not at all; a test runs them all, so that a new version of the library shows what became \
         better or worse. Sealwire does not depend on any of it being mended: its own lexer, dialect and guards (`src/sql`) parse the \
         statement rightly, treat it without the parser, or refuse it where it names something protected. It never sends what the \
         library prints.\n",
    );
    for (title, cases) in CASES {
        let _ = write!(
            page,
            "\n## {title}\n\n| statement | the library | the servers | Sealwire's dialect |\n|---|---|---|---|\n"
        );
        for (sql, stock, servers) in *cases {
            let parsed = Parser::parse_sql(&MySqlDialect {}, sql);
            let library = match stock {
                Fails => {
                    assert!(parsed.is_err(), "{sql} is parsed now");
                    "syntax error".to_owned()
                }
                Prints(expected) => {
                    let printed: Vec<String> = parsed.unwrap().iter().map(ToString::to_string).collect();
                    assert_eq!(printed.join("; "), *expected, "{sql}");
                    let visible = expected.replace('\u{7}', "␇").replace('\u{c}', "␌");
                    if expected.is_empty() { "nothing".to_owned() } else { format!("`` {visible} ``") }
                }
                Groups(expected) => {
                    assert_eq!(shown(&first_expression(sql)), *expected, "{sql}");
                    format!("`` {expected} ``")
                }
                Spans(expected) => {
                    let span = first_expression(sql).span();
                    let column = |at: u64| usize::try_from(at).unwrap() - 1;
                    assert_eq!(&sql[column(span.start.column)..column(span.end.column)], *expected, "{sql}");
                    format!("a span of `` {expected} ``")
                }
            };
            let ours = if is_understood(sql) { "parses it" } else { "without the parser" };
            let cell = |text: &str| text.replace('|', "\\|");
            let _ = writeln!(page, "| `` {} `` | {} | {} | {ours} |", cell(sql), cell(&library), cell(servers));
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/sqlparser.md");
    if std::env::var_os("SEALWIRE_WRITE_DOCS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(path).unwrap_or_default(),
        page,
        "SEALWIRE_WRITE_DOCS=1 cargo test --lib upstream"
    );
}
