//! Rows of the text protocol: one length-encoded string or NULL a column.

use super::Malformed;
use super::binary::Place;
use super::reader::Reader;

/// Where each column's value lies in the payload; `None` for NULL.
pub fn row_values(payload: &[u8], columns: usize) -> Result<Vec<Option<Place>>, Malformed> {
    const WHAT: &str = "text row";
    let mut reader = Reader::new(payload);
    let mut values = Vec::with_capacity(columns);
    for _ in 0..columns {
        let start = reader.position();
        let value = reader.nullable_lenenc_bytes(WHAT)?;
        let end = reader.position();
        values.push(value.map(|bytes| Place { whole: start..end, value: end - bytes.len()..end }));
    }
    match reader.is_empty() {
        true => Ok(values),
        false => Err(Malformed("text row: bytes after the last column")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_nulls_and_empty_strings_are_told_apart() {
        let values = row_values(b"\x02ab\xFB\x00", 3).unwrap();
        assert_eq!(values, [Some(Place { whole: 0..3, value: 1..3 }), None, Some(Place { whole: 4..5, value: 5..5 })]);
        assert!(row_values(b"\x02ab\xFB\x00", 2).is_err());
        assert!(row_values(b"\x02a", 1).is_err());
    }
}
