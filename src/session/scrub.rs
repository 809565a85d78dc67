//! Keeps sealed values out of messages: a 1062 duplicate-key error, SHOW WARNINGS.

use crate::wire::binary::Place;
use crate::wire::err::ErrPacket;
use crate::wire::reader::put_lenenc_bytes;
use crate::wire::text;

/// What stands in a message where a sealed value stood.
const REPLACEMENT: &[u8] = b"(sealed)";
/// A run of base64 characters of at least this length counts as part of a sealed value: servers cut
/// quoted values, so neither the whole form nor its end can be expected.
const SHORTEST_RUN: usize = 20;

/// The error with sealed values replaced; `None` if it holds none.
pub fn error(error: &ErrPacket) -> Option<ErrPacket> {
    // Duplicate entry '…' for key '…': the entry is replaced whole, as it may be cut or binary.
    if matches!(error.code, 1062 | 1586 | 1761)
        && let Some(message) = duplicate_entry(&error.message)
    {
        return Some(ErrPacket { message, ..error.clone() });
    }
    text(&error.message).map(|message| ErrPacket { message, ..error.clone() })
}

/// `Duplicate entry '…' for key '…'` with the entry replaced, if the entry looks sealed in any part.
fn duplicate_entry(message: &[u8]) -> Option<Vec<u8>> {
    let start = message.iter().position(|&byte| byte == b'\'')? + 1;
    // The key's name follows the last ` for key `; the entry itself may hold quotes.
    let end = rposition(message, b"' for key ").or_else(|| message.iter().rposition(|&byte| byte == b'\''))?;
    let entry = message.get(start..end)?;
    let sealed = longest_run(entry) >= SHORTEST_RUN || entry.iter().any(|byte| *byte < 0x20 || *byte >= 0x7F);
    if !sealed {
        return None;
    }
    let mut out = message.get(..start)?.to_vec();
    out.extend_from_slice(REPLACEMENT);
    out.extend_from_slice(message.get(end..)?);
    Some(out)
}

/// Any text with long base64 runs that start like a sealed value or a KMS blob replaced.
fn text(message: &[u8]) -> Option<Vec<u8>> {
    let (mut out, mut found, mut at) = (Vec::with_capacity(message.len()), false, 0);
    while let Some(rest) = message.get(at..).filter(|rest| !rest.is_empty()) {
        let run = rest.iter().take_while(|byte| is_base64(**byte)).count();
        let token = rest.get(..run.max(1)).unwrap_or(rest);
        if run >= SHORTEST_RUN && (token.starts_with(b"pQ") || token.starts_with(b"AQ")) {
            out.extend_from_slice(REPLACEMENT);
            found = true;
        } else {
            out.extend_from_slice(token);
        }
        at += token.len();
    }
    found.then_some(out)
}

/// A text row (of SHOW WARNINGS, of SHOW CREATE …) with sealed values replaced in each column.
pub fn row(payload: &[u8]) -> Vec<u8> {
    let columns = count_columns(payload);
    let Ok(values) = text::row_values(payload, columns) else { return payload.to_vec() };
    let (mut out, mut copied) = (Vec::with_capacity(payload.len()), 0);
    for Place { whole, value } in values.into_iter().flatten() {
        let Some(bytes) = payload.get(value) else { continue };
        let replaced = duplicate_entry(bytes).filter(|_| bytes.starts_with(b"Duplicate")).or_else(|| text(bytes));
        let (Some(replaced), Some(before)) = (replaced, payload.get(copied..whole.start)) else { continue };
        out.extend_from_slice(before);
        put_lenenc_bytes(&mut out, &replaced);
        copied = whole.end;
    }
    out.extend_from_slice(payload.get(copied..).unwrap_or_default());
    out
}

fn count_columns(payload: &[u8]) -> usize {
    let mut reader = crate::wire::reader::Reader::new(payload);
    let mut columns = 0;
    while !reader.is_empty() && reader.nullable_lenenc_bytes("text row").is_ok() {
        columns += 1;
    }
    columns
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/'
}

fn longest_run(bytes: &[u8]) -> usize {
    bytes.split(|byte| !is_base64(*byte)).map(<[u8]>::len).max().unwrap_or(0)
}

fn rposition(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).rposition(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEALED: &str = "pQEAAQIDBAUGBwgJCgsAAAABf3x2Zm9vYmFyYmF6cXV4";

    #[test]
    fn a_duplicate_entry_shows_the_key_but_not_the_ciphertext() {
        let before = ErrPacket::new(1062, b"23000", format!("Duplicate entry '{SEALED}' for key 'users.email'"));
        assert_eq!(error(&before).unwrap().message, b"Duplicate entry '(sealed)' for key 'users.email'");
        let binary = ErrPacket::new(1062, b"23000", &b"Duplicate entry '\xA5\x01\x00it's-1' for key 'k'"[..]);
        assert_eq!(error(&binary).unwrap().message, b"Duplicate entry '(sealed)' for key 'k'");
    }

    #[test]
    fn an_ordinary_duplicate_entry_stays() {
        assert_eq!(error(&ErrPacket::new(1062, b"23000", "Duplicate entry '7' for key 'PRIMARY'")), None);
    }

    #[test]
    fn a_warning_row_loses_the_value_only() {
        let mut payload = Vec::new();
        put_lenenc_bytes(&mut payload, b"Warning");
        put_lenenc_bytes(&mut payload, b"1062");
        put_lenenc_bytes(&mut payload, format!("Duplicate entry '{SEALED}' for key 'email'").as_bytes());
        let scrubbed = row(&payload);
        assert!(!String::from_utf8_lossy(&scrubbed).contains("pQEA"));
        assert!(String::from_utf8_lossy(&scrubbed).contains("Duplicate entry '(sealed)' for key 'email'"));
    }
}
