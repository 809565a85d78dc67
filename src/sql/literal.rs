//! What a literal's source text stands for: quotes and escapes of strings, digits of hexadecimal and
//! bit literals, and the text that a number leaves in a string column.

use std::ops::Range;

use super::charset;
pub use super::charset::{decode_to_utf8, encode_from_utf8};
use super::lex::{LexMode, StatementText, Token, TokenKind};

/// The bytes of a string token (`'…'`, `"…"`, `N'…'`) in `character_set_client`; `None` if `source` is
/// not one whole string.
pub fn string(source: &[u8], mode: LexMode) -> Option<Vec<u8>> {
    let source = match source {
        [b'n' | b'N', rest @ ..] => rest,
        other => other,
    };
    let (quote, body) = match source {
        [quote @ (b'\'' | b'"'), body @ .., end] if quote == end => (*quote, body),
        _ => return None,
    };
    let mut value = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some((&byte, behind)) = rest.split_first() {
        let next = behind.first().copied();
        let mut taken = 2;
        if byte == quote {
            if next != Some(quote) {
                return None;
            }
            value.push(quote);
        } else if byte == b'\\' && !mode.sql_mode.no_backslash_escapes {
            match next? {
                b'0' => value.push(0),
                b'b' => value.push(8),
                b'n' => value.push(b'\n'),
                b'r' => value.push(b'\r'),
                b't' => value.push(b'\t'),
                b'Z' => value.push(0x1a),
                // These two keep the backslash, for LIKE.
                escaped @ (b'%' | b'_') => value.extend_from_slice(&[b'\\', escaped]),
                other => value.push(other),
            }
        } else {
            // The last byte of a character may look like a backslash.
            taken = charset::char_len(mode.charset, rest);
            value.extend_from_slice(rest.get(..taken)?);
        }
        rest = rest.get(taken..)?;
    }
    Some(value)
}

/// The bytes of an identifier token, quoted or not.
pub fn identifier(source: &[u8]) -> Vec<u8> {
    match source {
        [quote @ (b'`' | b'"'), body @ .., end] if quote == end => {
            let mut name = Vec::with_capacity(body.len());
            let mut bytes = body.iter().copied();
            while let Some(byte) = bytes.next() {
                if byte == *quote {
                    bytes.next();
                }
                name.push(byte);
            }
            name
        }
        plain => plain.to_vec(),
    }
}

/// A string and all strings that follow it: one literal to the servers.
pub struct StringRun {
    /// From the first token's start to the last one's end, with what is between.
    pub span: Range<usize>,
    /// In `character_set_client`, or in the introducer's character set.
    pub bytes: Vec<u8>,
    /// Where the parts of the tokens end in `bytes`.
    pub ends: Vec<usize>,
}

impl StringRun {
    /// The bytes of each token.
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| self.bytes.get(start..*end).unwrap_or_default())
    }
}

/// The string literal whose first token starts at `offset`.
pub fn string_run(statement: &StatementText<'_>, offset: usize) -> Option<StringRun> {
    let first = statement.token_at(offset).filter(|t| t.kind == TokenKind::String)?;
    let bytes = string(first.text(statement.text), statement.mode)?;
    let mut run = StringRun { span: first.span(), ends: vec![bytes.len()], bytes };
    let rest = first.end()..statement.span.end;
    for token in statement.tokens_in(&rest).iter().filter(|t| !t.is_trivia()) {
        if !continues_string(*token, statement.text) {
            break;
        }
        run.bytes.extend(string(token.text(statement.text), statement.mode)?);
        run.span.end = token.end();
        run.ends.push(run.bytes.len());
    }
    Some(run)
}

/// A string token that is joined to the string before it. `N'…'` only begins a literal.
pub fn continues_string(token: Token, text: &[u8]) -> bool {
    token.kind == TokenKind::String && !matches!(token.text(text).first(), Some(b'n' | b'N'))
}

/// The bytes of `0x…` (an odd number of digits gets a zero in front) or `x'…'`.
pub fn hex(source: &[u8]) -> Option<Vec<u8>> {
    let digits = match source {
        [b'0', b'x', digits @ ..] | [b'x' | b'X', b'\'', digits @ .., b'\''] => digits,
        _ => return None,
    };
    let nibbles: Vec<u8> =
        digits.iter().map(|d| char::from(*d).to_digit(16).and_then(|d| u8::try_from(d).ok())).collect::<Option<_>>()?;
    Some(bytes_of(&nibbles, 2, 4))
}

/// The bytes of `0b…` or `b'…'`, with zeros in front to whole bytes.
pub fn bit(source: &[u8]) -> Option<Vec<u8>> {
    let digits = match source {
        [b'0', b'b', digits @ ..] | [b'b' | b'B', b'\'', digits @ .., b'\''] => digits,
        _ => return None,
    };
    let bits: Vec<u8> =
        digits.iter().map(|d| char::from(*d).to_digit(2).and_then(|d| u8::try_from(d).ok())).collect::<Option<_>>()?;
    Some(bytes_of(&bits, 8, 1))
}

fn bytes_of(digits: &[u8], per_byte: usize, width: u32) -> Vec<u8> {
    digits.rchunks(per_byte).rev().map(|chunk| chunk.iter().fold(0u8, |byte, digit| (byte << width) | digit)).collect()
}

/// The text that an exact number leaves in a string column. `None` where that is not certain: floats,
/// more digits than a DECIMAL has, negative zeros.
pub fn number(source: &[u8], negative: bool) -> Option<String> {
    let source = std::str::from_utf8(source).ok()?;
    let (whole, fraction) = source.split_once('.').unwrap_or((source, ""));
    if !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    let zero = whole.is_empty() && fraction.bytes().all(|b| b == b'0');
    // 65 digits and 30 after the point are what both servers hold.
    if whole.len() + fraction.len() > 65 || fraction.len() > 30 || (negative && zero && !fraction.is_empty()) {
        return None;
    }
    if negative
        && fraction.is_empty()
        && whole.parse::<u128>().unwrap_or(if whole.is_empty() { 0 } else { u128::MAX }) > 1 << 63
    {
        return None;
    }
    let sign = if negative && !zero { "-" } else { "" };
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{ServerFlavor, ServerVersion};
    use crate::sql::{Charset, SqlMode};

    fn mode(charset: Charset) -> LexMode {
        LexMode {
            sql_mode: SqlMode::default(),
            version: ServerVersion { flavor: ServerFlavor::MySql, number: 90_700 },
            charset,
        }
    }

    fn plain(source: &[u8]) -> Option<Vec<u8>> {
        string(source, mode(Charset::Utf8mb4))
    }

    #[test]
    fn escapes_are_those_of_the_manual() {
        assert_eq!(plain(br"'\0\'\b\n\r\t\Z\\\a\f\x'").unwrap(), b"\0'\x08\n\r\t\x1a\\afx");
        assert_eq!(plain(br"'\%\_'").unwrap(), br"\%\_");
        assert_eq!(plain(b"'it''s \"q\"'").unwrap(), b"it's \"q\"");
        assert_eq!(plain(b"\"a\"\"b'c\"").unwrap(), b"a\"b'c");
        assert_eq!(plain(b"N'a'").unwrap(), b"a");
        let mut mode = mode(Charset::Utf8mb4);
        mode.sql_mode.no_backslash_escapes = true;
        assert_eq!(string(br"'a\nb\'", mode).unwrap(), br"a\nb\");
    }

    #[test]
    fn the_last_byte_of_a_character_is_no_backslash() {
        let sjis = mode(Charset::from_name("sjis"));
        assert_eq!(string(b"'\x95\\'", sjis).unwrap(), b"\x95\\");
        assert_eq!(plain(b"'\x95\\n'").unwrap(), b"\x95\n");
        // An escape takes one byte, whatever it begins.
        assert_eq!(string(b"'\\\x95\\n'", sjis).unwrap(), b"\x95\n");
        assert!(string(b"'\\\x95\\'", sjis).is_none());
        let gbk = mode(Charset::from_name("gbk"));
        assert_eq!(string(b"'\xbf\\'", gbk).unwrap(), b"\xbf\\");
        assert_eq!(string(b"'\xbf\\''", gbk), None);
    }

    #[test]
    fn what_is_not_one_string_is_none() {
        for source in [&b"'a'b'"[..], b"'a", b"a", b"'", b"", br"'a\'", b"'a' 'b'"] {
            assert!(plain(source).is_none(), "{source:?}");
        }
    }

    #[test]
    fn hexadecimal_and_bit_literals_become_bytes() {
        assert_eq!(hex(b"0x4142").unwrap(), b"AB");
        assert_eq!(hex(b"0xABC").unwrap(), [0x0a, 0xbc]);
        assert_eq!(hex(b"X'4a'").unwrap(), b"J");
        assert_eq!(hex(b"x''").unwrap(), b"");
        assert_eq!(bit(b"b'101000001'").unwrap(), [1, 0x41]);
        assert_eq!(bit(b"0b1").unwrap(), [1]);
        assert!(hex(b"0X41").is_none());
    }

    #[test]
    fn numbers_are_as_the_server_prints_them() {
        for (source, text) in
            [("1", "1"), ("007", "7"), ("0", "0"), ("1.50", "1.50"), (".5", "0.5"), ("1.", "1"), ("00.10", "0.10")]
        {
            assert_eq!(number(source.as_bytes(), false).as_deref(), Some(text), "{source}");
        }
        assert_eq!(number(b"5", true).as_deref(), Some("-5"));
        assert_eq!(number(b"0", true).as_deref(), Some("0"));
        assert_eq!(number(b"9223372036854775808", true).as_deref(), Some("-9223372036854775808"));
        for source in ["1e3", "1.5e1", "", "."] {
            assert!(number(source.as_bytes(), false).is_none(), "{source}");
        }
        assert!(number(b"0.0", true).is_none());
        assert!(number(b"18446744073709551615", true).is_none());
        assert!(number("9".repeat(66).as_bytes(), false).is_none());
    }
}
