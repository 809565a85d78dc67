//! Rows and values of the binary protocol.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_binary_resultset.html>

use std::ops::Range;

use super::Malformed;
use super::column::types;
use super::reader::Reader;

/// How a value of a type is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    Fixed(usize),
    /// A length byte and that many bytes: dates and times.
    Short,
    Lenenc,
    /// No bytes at all.
    Nothing,
}

/// The layout of a column type; `None` for a type this protocol version does not have.
pub fn layout(column_type: u8) -> Option<Layout> {
    Some(match column_type {
        types::TINY | types::BOOL => Layout::Fixed(1),
        types::SHORT | types::YEAR => Layout::Fixed(2),
        types::LONG | types::INT24 | types::FLOAT => Layout::Fixed(4),
        types::LONGLONG | types::DOUBLE => Layout::Fixed(8),
        types::NULL => Layout::Nothing,
        types::DATE | types::DATETIME | types::TIMESTAMP | types::TIME | types::NEWDATE => Layout::Short,
        types::DECIMAL | types::NEWDECIMAL | types::VARCHAR | types::BIT | types::JSON => Layout::Lenenc,
        types::ENUM..=types::GEOMETRY | 242 => Layout::Lenenc,
        _ => return None,
    })
}

/// One value as it stands in a packet: `whole` with its length prefix, `value` without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub whole: Range<usize>,
    pub value: Range<usize>,
}

/// Reads past one value.
pub fn place(reader: &mut Reader<'_>, column_type: u8, what: &'static str) -> Result<Place, Malformed> {
    let start = reader.position();
    let length = match layout(column_type).ok_or(Malformed("a column type that is not known"))? {
        Layout::Fixed(size) => size,
        Layout::Short => usize::from(reader.u8(what)?),
        Layout::Lenenc => usize::try_from(reader.lenenc(what)?).map_err(|_| Malformed(what))?,
        Layout::Nothing => 0,
    };
    let value = reader.position();
    reader.bytes(length, what)?;
    Ok(Place { whole: start..reader.position(), value: value..reader.position() })
}

/// Where each column's value lies in a binary row; `None` for NULL.
pub fn row_values(payload: &[u8], column_types: &[u8]) -> Result<Vec<Option<Place>>, Malformed> {
    const WHAT: &str = "binary row";
    let mut reader = Reader::new(payload);
    if reader.u8(WHAT)? != 0 {
        return Err(Malformed("binary row: header"));
    }
    let nulls = reader.bytes((column_types.len() + 9) / 8, WHAT)?;
    let mut values = Vec::with_capacity(column_types.len());
    for (index, &column_type) in column_types.iter().enumerate() {
        values.push(match is_null(nulls, index, 2) {
            true => None,
            false => Some(place(&mut reader, column_type, WHAT)?),
        });
    }
    match reader.is_empty() {
        true => Ok(values),
        false => Err(Malformed("binary row: bytes after the last column")),
    }
}

/// Begins a row anew with the first `shown` of its `columns`: header and NULL bitmap. Answers where the values of `row`
/// begin.
pub fn cut_head(out: &mut Vec<u8>, row: &[u8], columns: usize, shown: usize) -> Option<usize> {
    let (all, kept) = ((columns + 9) / 8, (shown + 9) / 8);
    out.push(*row.first()?);
    let start = out.len();
    out.extend_from_slice(row.get(1..1 + kept)?);
    let last = out.get_mut(start..)?.last_mut()?;
    // Bits behind those of the columns are zero.
    let used = (shown + 2) - (kept - 1) * 8;
    *last &= u8::try_from((1_u16 << used) - 1).unwrap_or(u8::MAX);
    Some(1 + all)
}

/// Bit `index` of a NULL bitmap that starts at bit `offset` (2 in rows, 0 in parameters).
pub fn is_null(bitmap: &[u8], index: usize, offset: usize) -> bool {
    let bit = index + offset;
    bitmap.get(bit / 8).is_some_and(|byte| byte & (1 << (bit % 8)) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_null_bitmap_is_cut_with_the_columns() {
        for columns in 2..40 {
            for shown in 1..columns {
                let all = (columns + 9) / 8;
                let mut row = vec![0];
                row.resize(1 + all, 0xFF);
                let mut out = Vec::new();
                assert_eq!(cut_head(&mut out, &row, columns, shown), Some(1 + all));
                assert_eq!(out.len(), 1 + (shown + 9) / 8);
                let set = (0..8 * (out.len() - 1)).filter(|bit| out[1 + bit / 8] & (1 << (bit % 8)) != 0);
                assert_eq!(set.collect::<Vec<_>>(), (0..shown + 2).collect::<Vec<_>>(), "{shown} of {columns}");
            }
        }
        assert_eq!(cut_head(&mut Vec::new(), &[0], 3, 2), None);
    }

    #[test]
    fn a_row_with_null_number_date_and_text_is_walked() {
        // (NULL, INT 5, DATETIME 2026-01-02, 'ab')
        let payload = [0, 0b0000_0100, 5, 0, 0, 0, 4, 0xEA, 7, 1, 2, 2, b'a', b'b'];
        let values =
            row_values(&payload, &[types::VAR_STRING, types::LONG, types::DATETIME, types::VAR_STRING]).unwrap();
        assert_eq!(values[0], None);
        assert_eq!(values[1].as_ref().unwrap().value, 2..6);
        assert_eq!(values[2].as_ref().unwrap().value, 7..11);
        assert_eq!(values[3], Some(Place { whole: 11..14, value: 12..14 }));
        for end in 0..payload.len() {
            assert!(row_values(&payload[..end], &[253, 3, 12, 253]).is_err(), "cut at {end}");
        }
    }
}
