//! Query attributes: the parameter block between a COM_QUERY's command byte and its text, with
//! CLIENT_QUERY_ATTRIBUTES. Read past, never looked into.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query.html>

use super::Malformed;
use super::execute::parameter;
use super::reader::Reader;

/// The block that holds no attribute.
pub const NONE: [u8; 2] = [0, 1];

/// Where the text begins in a COM_QUERY payload (command byte included). What the server reads as text
/// and what is analysed must be the same bytes, so everything unusual is an error here.
pub fn text_start(payload: &[u8]) -> Result<usize, Malformed> {
    const WHAT: &str = "COM_QUERY: query attributes";
    let mut reader = Reader::new(payload);
    reader.u8(WHAT)?;
    let count = usize::try_from(reader.lenenc(WHAT)?).map_err(|_| Malformed(WHAT))?;
    if reader.lenenc(WHAT)? != 1 {
        return Err(Malformed("COM_QUERY: more than one set of query attributes"));
    }
    if count == 0 {
        return Ok(reader.position());
    }
    let nulls = reader.bytes(count.div_ceil(8), WHAT)?;
    if reader.u8(WHAT)? != 1 {
        return Err(Malformed("COM_QUERY: query attributes without types"));
    }
    // `count` was checked against the packet's length just now: one bit each.
    let mut types = Vec::with_capacity(count);
    for _ in 0..count {
        let [column_type, _] = reader.array(WHAT)?;
        reader.lenenc_bytes(WHAT)?;
        types.push(column_type);
    }
    for (index, column_type) in types.into_iter().enumerate() {
        if !super::binary::is_null(nulls, index, 0) {
            parameter(&mut reader, column_type, WHAT)?;
        }
    }
    Ok(reader.position())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::column::types;

    /// `mysql` 9.7 sending `SELECT 1` after `query_attributes n1 v1`.
    const ONE: &[u8] = b"\x03\x01\x01\x00\x01\xFE\x00\x02n1\x02v1SELECT 1";

    #[test]
    fn the_text_is_found_behind_none_one_and_null_attributes() {
        assert_eq!(text_start(b"\x03\x00\x01SELECT 1"), Ok(3));
        assert_eq!(text_start(ONE), Ok(13));
        let null_and_number = b"\x03\x02\x01\x01\x01\xFE\x00\x01a\x03\x80\x01b\x05\x00\x00\x00DO 1";
        assert_eq!(&null_and_number[text_start(null_and_number).unwrap()..], b"DO 1");
    }

    #[test]
    fn a_block_that_servers_might_read_otherwise_is_an_error() {
        for end in 0..13 {
            assert!(text_start(&ONE[..end]).is_err(), "cut at {end}");
        }
        assert!(text_start(b"\x03\x00\x02SELECT 1").is_err(), "two sets");
        assert!(text_start(b"\x03\x01\x01\x00\x00SELECT 1").is_err(), "no types");
        for column_type in [types::NULL, types::BOOL, types::NEWDATE, 200] {
            let mut payload = ONE.to_vec();
            payload[5] = column_type;
            assert!(text_start(&payload).is_err(), "type {column_type}");
        }
        assert!(text_start(b"\x03\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01").is_err(), "a count beyond the packet");
    }
}
