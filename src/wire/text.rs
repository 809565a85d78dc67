//! Rows of the text protocol: one length-encoded string or NULL a column.

use std::ops::Range;

use super::Malformed;
use super::reader::Reader;

/// Where each column's value lies in the payload; `None` for NULL. The first range includes nothing
/// but the value: the length before it is not part of it.
pub fn row_values(payload: &[u8], columns: usize) -> Result<Vec<Option<Range<usize>>>, Malformed> {
    const WHAT: &str = "text row";
    let mut reader = Reader::new(payload);
    let mut values = Vec::with_capacity(columns);
    for _ in 0..columns {
        let value = reader.nullable_lenenc_bytes(WHAT)?;
        let end = reader.position();
        values.push(value.map(|bytes| end - bytes.len()..end));
    }
    match reader.is_empty() {
        true => Ok(values),
        false => Err(Malformed("text row: bytes after the last column")),
    }
}
