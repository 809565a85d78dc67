//! Puts sealed values into the original text. The AST is never printed.

use super::guard::{Replacement, check_splice};
use super::lex::LexMode;
use super::plan::{Edit, Piece, SealedLiteral};
use crate::catalog::Physical;

/// Nothing may be sent: a defect in the plan, not in the statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpliceError {
    #[error("the replacements are out of order or out of the text")]
    Order,
    #[error("the number of sealed values is not that of the literals")]
    Count,
    #[error("the spliced text differs outside of what was replaced")]
    Guard,
}

/// The values to be sealed, in the order in which [`splice`] wants them.
pub fn sealed_literals(edits: &[Edit]) -> impl Iterator<Item = &SealedLiteral> {
    edits.iter().flat_map(|edit| &edit.pieces).filter_map(|piece| match piece {
        Piece::Seal(literal) => Some(literal),
        Piece::Text(_) => None,
    })
}

/// `text` with `edits` applied. `sealed` holds the stored form of each of [`sealed_literals`], in order.
pub fn splice<S: AsRef<[u8]>>(
    text: &[u8],
    edits: &[Edit],
    sealed: impl IntoIterator<Item = S>,
    mode: LexMode,
) -> Result<Vec<u8>, SpliceError> {
    let mut sealed = sealed.into_iter();
    let mut out = Vec::with_capacity(text.len() + text.len() / 4 + 128 * edits.len());
    let mut replacements = Vec::with_capacity(edits.len());
    let mut at = 0;
    for edit in edits {
        if edit.span.end < edit.span.start {
            return Err(SpliceError::Order);
        }
        out.extend_from_slice(text.get(at..edit.span.start).ok_or(SpliceError::Order)?);
        let start = out.len();
        let mut seals = false;
        for piece in &edit.pieces {
            match piece {
                Piece::Text(piece) => out.extend_from_slice(piece.as_bytes()),
                Piece::Seal(literal) => {
                    seals = true;
                    write_literal(&mut out, sealed.next().ok_or(SpliceError::Count)?.as_ref(), literal.column.physical);
                }
            }
        }
        replacements.push(Replacement { original: edit.span.clone(), spliced: start..out.len(), sealed: seals });
        at = edit.span.end;
    }
    if sealed.next().is_some() {
        return Err(SpliceError::Count);
    }
    out.extend_from_slice(text.get(at..).ok_or(SpliceError::Order)?);
    check_splice(text, &out, &replacements, mode).ok_or(SpliceError::Guard)?;
    Ok(out)
}

/// A sealed text is plain ASCII and needs no escapes in any `sql_mode`; what is not (a provider that
/// leaves values as they are) goes in hexadecimal.
fn write_literal(out: &mut Vec<u8>, value: &[u8], physical: Physical) {
    let safe = value.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'.' | b'%'));
    match physical {
        Physical::Text if safe => {
            out.push(b'\'');
            out.extend_from_slice(value);
            out.push(b'\'');
        }
        Physical::Text => {
            out.extend_from_slice(b"_utf8mb4 ");
            write_hex(out, value);
        }
        Physical::Binary => write_hex(out, value),
    }
}

fn write_hex(out: &mut Vec<u8>, value: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.extend_from_slice(b"x'");
    for byte in value {
        out.extend([byte >> 4, byte & 15].iter().filter_map(|n| DIGITS.get(usize::from(*n))));
    }
    out.push(b'\'');
}
