use std::sync::Arc;

use super::lexing::MARIADB;
use crate::catalog::{Physical, ProtectedColumn};
use crate::seal::Plaintext;
use crate::seal::versions::Form;
use crate::sql::splice::{SpliceError, sealed_literals, splice};
use crate::sql::testing::snapshot;
use crate::sql::{Edit, Piece, SealedLiteral};

fn column(physical: Physical) -> Arc<ProtectedColumn> {
    let catalog = snapshot();
    let mut columns = catalog.tables.values().flatten().flat_map(|t| &t.columns).filter_map(|c| c.protected.clone());
    columns.find(|c| c.physical == physical).unwrap()
}

fn seal(span: std::ops::Range<usize>, physical: Physical) -> Edit {
    let value = Plaintext::new(b"plain".to_vec());
    Edit {
        span,
        pieces: vec![Piece::Seal(SealedLiteral {
            column: column(physical),
            value,
            form: Form::Whole,
            row: 1,
            bound: None,
        })],
    }
}

fn done(text: &str, edits: &[Edit], sealed: &[&[u8]]) -> Result<String, SpliceError> {
    splice(text.as_bytes(), edits, sealed, MARIADB).map(|t| String::from_utf8(t).unwrap())
}

#[test]
fn sealed_values_stand_where_literals_stood() {
    let text = "INSERT INTO t VALUES ('a', 1, /* c */ 'b')";
    let edits = [seal(22..25, Physical::Text), seal(38..41, Physical::Binary)];
    assert_eq!(sealed_literals(&edits).count(), 2);
    assert_eq!(
        done(text, &edits, &[b"pQ+/x.", b"\xa5\x01"]).unwrap(),
        "INSERT INTO t VALUES ('pQ+/x.', 1, /* c */ x'A501')"
    );
    assert_eq!(done(text, &edits, &[b"pQ."]).unwrap_err(), SpliceError::Count);
    assert_eq!(done(text, &edits, &[b"a", b"b", b"c"]).unwrap_err(), SpliceError::Count);
}

#[test]
fn a_text_that_would_need_escapes_goes_in_hexadecimal() {
    let done = done("SET a='x'", &[seal(6..9, Physical::Text)], &[b"it's"]).unwrap();
    assert_eq!(done, "SET a=_utf8mb4 x'69742773'");
}

#[test]
fn insertions_take_no_room() {
    let text = "INSERT INTO t (a) VALUES (1)";
    let edits = [
        Edit { span: 16..16, pieces: vec![Piece::Text(", `b`".into())] },
        Edit { span: 27..27, pieces: vec![Piece::Text(", ".into()), seal(0..0, Physical::Text).pieces.remove(0)] },
    ];
    assert_eq!(done(text, &edits, &[b"pQ."]).unwrap(), "INSERT INTO t (a, `b`) VALUES (1, 'pQ.')");
}

#[test]
fn what_would_change_the_rest_is_an_error() {
    // Half of a literal, one of two adjacent strings, behind an introducer, within a word.
    for (text, span) in [
        ("SET a='xy'", 6..8),
        ("SET a='x' 'y'", 6..9),
        ("SET a='x' 'y'", 10..13),
        ("SET a=_latin1'y'", 13..16),
        ("SET ab=1", 5..5),
        ("SET a='x", 6..7),
    ] {
        assert_eq!(done(text, &[seal(span, Physical::Text)], &[b"pQ."]).unwrap_err(), SpliceError::Guard, "{text}");
    }
    let opens_comment = [Edit { span: 6..7, pieces: vec![Piece::Text("/*".into())] }];
    assert_eq!(done("SET a=1 */", &opens_comment, &[]).unwrap_err(), SpliceError::Guard);
    let glued = [Edit { span: 6..7, pieces: vec![Piece::Text("1a".into())] }];
    assert_eq!(done("SET a=1,b=2", &glued, &[]).unwrap(), "SET a=1a,b=2");
    assert_eq!(done("SET a=1", &[seal(6..99, Physical::Text)], &[b"x"]).unwrap_err(), SpliceError::Order);
    let backwards = [seal(6..7, Physical::Text), seal(4..5, Physical::Text)];
    assert_eq!(done("SET a=1", &backwards, &[b"x", b"y"]).unwrap_err(), SpliceError::Order);
}

#[test]
fn a_value_added_before_a_string_is_not_taken_for_its_neighbour() {
    let sealed = || seal(0..0, Physical::Text).pieces.remove(0);
    let text = "INSERT INTO t (a) VALUES('b')";
    let separated = Edit { span: 25..25, pieces: vec![sealed(), Piece::Text(", ".into())] };
    assert_eq!(done(text, &[separated], &[b"pQE."]).unwrap(), "INSERT INTO t (a) VALUES('pQE.', 'b')");
    let touching = Edit { span: 25..25, pieces: vec![sealed(), Piece::Text(" ".into())] };
    assert_eq!(done(text, &[touching], &[b"pQE."]), Err(SpliceError::Guard));
}
