use crate::catalog::{ServerFlavor, ServerVersion};
use crate::sql::lex::{LexErrorKind, LexMode, TokenKind, lex, statements};
use crate::sql::{Charset, SqlMode};

pub(super) const MARIADB: LexMode = mode(ServerFlavor::MariaDb, 101_119);
pub(super) const MYSQL: LexMode = mode(ServerFlavor::MySql, 90_700);

const fn mode(flavor: ServerFlavor, number: u32) -> LexMode {
    LexMode {
        sql_mode: SqlMode {
            ansi_quotes: false,
            no_backslash_escapes: false,
            pipes_as_concat: false,
            high_not_precedence: false,
            ignore_space: false,
            strict_trans_tables: false,
            strict_all_tables: false,
            no_auto_value_on_zero: false,
            no_zero_date: false,
            no_zero_in_date: false,
            allow_invalid_dates: false,
            time_truncate_fractional: false,
            time_round_fractional: false,
            unsupported: false,
        },
        version: ServerVersion { flavor, number },
        charset: Charset::Utf8mb4,
    }
}

/// Kinds (first letters) and texts of the live tokens.
fn shown(sql: &[u8], mode: LexMode) -> String {
    let tokens = lex(sql, mode).unwrap();
    let mut at = 0;
    for token in &tokens {
        assert_eq!(token.start(), at, "tokens tile");
        at = token.end();
    }
    assert_eq!(at, sql.len());
    let shown: Vec<String> = tokens
        .iter()
        .filter(|t| !t.is_trivia())
        .map(|t| {
            let kind = match t.kind {
                TokenKind::Word => "w",
                TokenKind::QuotedIdent => "q",
                TokenKind::String => "s",
                TokenKind::Number => "n",
                TokenKind::Hex => "h",
                TokenKind::Bit => "b",
                TokenKind::Placeholder => "p",
                TokenKind::UserVar => "u",
                TokenKind::SysVar => "v",
                TokenKind::Operator => "o",
                TokenKind::Delimiter => "d",
                TokenKind::Whitespace | TokenKind::Comment => "-",
            };
            format!("{kind}:{}", String::from_utf8_lossy(t.text(sql)))
        })
        .collect();
    shown.join(" ")
}

fn check(sql: &str, expected: &str) {
    assert_eq!(shown(sql.as_bytes(), MARIADB), expected, "{sql}");
}

fn error(sql: &str, mode: LexMode) -> LexErrorKind {
    lex(sql.as_bytes(), mode).unwrap_err().kind
}

#[test]
fn every_kind_of_token_is_told_apart() {
    check("SELECT a.`b c`,1", "w:SELECT w:a o:. q:`b c` o:, n:1");
    check(
        "'a''b' \"c\\\"d\" N'x' n'y' x'41' X'41' b'01' B'1' 0x4a 0b1",
        "s:'a''b' s:\"c\\\"d\" s:N'x' s:n'y' h:x'41' h:X'41' b:b'01' b:B'1' h:0x4a b:0b1",
    );
    check("? @a @`b` @'c' @@d @@global.e @@`f`.g", "p:? u:@a u:@`b` u:@'c' v:@@d v:@@global.e v:@@`f`.g");
    check(
        "a<=>b<=c<>d!=e>=f<<g>>h:=i||j&&k->l->>m",
        "w:a o:<=> w:b o:<= w:c o:<> w:d o:!= w:e o:>= w:f o:<< w:g o:>> w:h o::= w:i o:|| w:j o:&& w:k o:-> w:l o:->> w:m",
    );
    check("_utf8mb4'a' 'b'", "w:_utf8mb4 s:'a' s:'b'");
    check("été $x _y", "w:été w:$x w:_y");
    check("root@localhost 'r'@'%'", "w:root u:@localhost s:'r' u:@'%'");
}

#[test]
fn numbers_and_names_that_begin_with_digits_are_told_apart() {
    check("1 1. .5 1.5 1e3 1.5E-3 1e+2", "n:1 n:1. n:.5 n:1.5 n:1e3 n:1.5E-3 n:1e+2");
    check("1a 1e 1ex 0x 0xg 0X1F 0b2 0B1", "w:1a w:1e w:1ex w:0x w:0xg w:0X1F w:0b2 w:0B1");
    check("1e5users", "n:1e5 w:users");
    check("t.1a t.1 1.5", "w:t o:. w:1a w:t o:. w:1 n:1.5");
    check("a1.2b", "w:a1 o:. w:2b");
    check("1-1 a-1 1--1", "n:1 o:- n:1 w:a o:- n:1 n:1 o:- o:- n:1");
}

#[test]
fn comments_are_those_of_the_manual() {
    check("a -- b\nc", "w:a w:c");
    check("a --b", "w:a o:- o:- w:b");
    check("a --", "w:a");
    check("a --\tb\nc # d\ne", "w:a w:c w:e");
    check("a /* b /* c */ d", "w:a w:d");
    check("a '/*' b", "w:a s:'/*' w:b");
    check("a /*+ hint(t) */ b", "w:a w:b");
}

#[test]
fn executable_comments_open_by_flavor_and_version() {
    check("a /*!b*/ c", "w:a w:b w:c");
    check("a /*!100100 b*/ /*!101120 c*/ /*!50600 d*/ /*!50700 e*/ /*!99999 f*/", "w:a w:b w:d");
    check("/*M!b*/ /*M!100100 c*/ /*M!50701 d*/ /*M!120000 e*/", "w:b w:c w:d");
    check("/*!99999 x /* y */ z */ a", "w:a");
    check("a /*!50110 b /* c */ d */ e", "w:a w:b w:d w:e");
    assert_eq!(shown(b"/*M!b*/ /*!50700 c*/ /*!80000 d*/ /*!90701 e*/ /*!1 f*/", MYSQL), "w:c w:d n:1 w:f");
    assert_eq!(error("/*!a /*!b*/ */", MARIADB), LexErrorKind::ExecutableComment);
    assert_eq!(error("/*!a ; b*/", MARIADB), LexErrorKind::ExecutableComment);
    assert_eq!(error("/*!a", MARIADB), LexErrorKind::UnterminatedComment);
    assert_eq!(error("/*!99999 a", MARIADB), LexErrorKind::UnterminatedComment);
    assert_eq!(error("/*!99999 /* a */", MARIADB), LexErrorKind::UnterminatedComment);
}

#[test]
fn sql_mode_decides_about_quotes_and_backslashes() {
    let ansi = LexMode { sql_mode: SqlMode { ansi_quotes: true, ..SqlMode::default() }, ..MARIADB };
    assert_eq!(shown(b"\"a\"\"b\" 'c\\'d' @\"e\"", ansi), "q:\"a\"\"b\" s:'c\\'d' u:@\"e\"");
    assert_eq!(shown(br#""a\" b"#, ansi), r#"q:"a\" w:b"#);
    let plain = LexMode { sql_mode: SqlMode { no_backslash_escapes: true, ..SqlMode::default() }, ..MARIADB };
    assert_eq!(shown(br"'a\' b", plain), r"s:'a\' w:b");
    check(r"`a\` b", r"q:`a\` w:b");
}

#[test]
fn what_is_not_closed_is_an_error() {
    for sql in ["'a", "\"a", "`a", "'a\\'", "@'a", "N'a", "'a''"] {
        assert_eq!(error(sql, MARIADB), LexErrorKind::UnterminatedQuote, "{sql}");
    }
    assert_eq!(error("/* a", MARIADB), LexErrorKind::UnterminatedComment);
    for sql in ["x'4'", "x'4g'", "b'2'", "x'41"] {
        assert_eq!(error(sql, MARIADB), LexErrorKind::MalformedLiteral, "{sql}");
    }
    assert_eq!(error("a\0b", MARIADB), LexErrorKind::Nul);
    assert_eq!(error("# a\0b", MARIADB), LexErrorKind::Nul);
    assert_eq!(error("SELECT /*+ BKA(`a*/b`) */ 1", MYSQL), LexErrorKind::QuotedHint);
    check("'a\0b'", "s:'a\0b'");
}

#[test]
fn a_latin1_session_has_one_more_space() {
    let latin1 = LexMode { charset: Charset::Latin1, ..MARIADB };
    assert_eq!(shown(b"a\xa0b", latin1), "w:a w:b");
    assert_eq!(shown("a\u{e0}b".as_bytes(), MARIADB), "w:aàb");
}

#[test]
fn statements_end_at_delimiters_outside_of_quotes() {
    let sql = b"SELECT ';' ; /* ; */ ;; UPDATE `;` SET a=1;";
    let tokens = lex(sql, MARIADB).unwrap();
    let found: Vec<String> = statements(sql, &tokens, MARIADB)
        .iter()
        .map(|s| String::from_utf8_lossy(s.slice(s.span.clone())).into_owned())
        .collect();
    assert_eq!(found, ["SELECT ';' ", " UPDATE `;` SET a=1"]);
}

#[test]
fn time_grows_with_the_length_only() {
    for piece in ["'", "/*", "a.", "1.", "(", "`a`.", "-- \n", "@", "\\", "a,", "x'41'", ".1"] {
        let text = piece.repeat(200_000 / piece.len());
        let _ = lex(text.as_bytes(), MARIADB);
    }
}
