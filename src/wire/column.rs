//! Column definitions.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query_response_text_resultset_column_definition.html>
//! and, with `MARIADB_CLIENT_EXTENDED_METADATA`,
//! <https://mariadb.com/docs/server/reference/clientserver-protocol/4-server-response-packets/result-set-packets>

use super::Malformed;
use super::reader::{Reader, put_lenenc, put_lenenc_bytes};

/// `Protocol::ColumnDefinition41`, borrowed from its packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnDefinition<'a> {
    catalog: &'a [u8],
    pub schema: &'a [u8],
    pub table: &'a [u8],
    pub org_table: &'a [u8],
    pub name: &'a [u8],
    pub org_name: &'a [u8],
    /// With MariaDB's extended metadata: entries of a kind, one byte, and a length-encoded text.
    pub extended: Option<&'a [u8]>,
    /// Collation id.
    pub character_set: u16,
    /// Maximum length in bytes.
    pub column_length: u32,
    pub column_type: u8,
    pub flags: u16,
    pub decimals: u8,
    /// What follows in the part of fixed length.
    padding: &'a [u8],
    /// A default value, in the answer to COM_FIELD_LIST.
    tail: &'a [u8],
}

impl<'a> ColumnDefinition<'a> {
    /// `extended`: MariaDB's extended metadata are agreed on.
    pub fn parse(payload: &'a [u8], extended: bool) -> Result<Self, Malformed> {
        const WHAT: &str = "column definition";
        let mut reader = Reader::new(payload);
        let catalog = reader.lenenc_bytes(WHAT)?; // always `def`
        let schema = reader.lenenc_bytes(WHAT)?;
        let table = reader.lenenc_bytes(WHAT)?;
        let org_table = reader.lenenc_bytes(WHAT)?;
        let name = reader.lenenc_bytes(WHAT)?;
        let org_name = reader.lenenc_bytes(WHAT)?;
        let extended = if extended { Some(entries(reader.lenenc_bytes(WHAT)?)?) } else { None };
        let fixed = usize::try_from(reader.lenenc(WHAT)?).map_err(|_| Malformed(WHAT))?;
        let mut fixed = Reader::new(reader.bytes(fixed, WHAT)?);
        let fields = Fixed {
            character_set: fixed.u16(WHAT)?,
            column_length: fixed.u32(WHAT)?,
            column_type: fixed.u8(WHAT)?,
            flags: fixed.u16(WHAT)?,
            decimals: fixed.u8(WHAT)?,
        };
        Ok(Self {
            catalog,
            schema,
            table,
            org_table,
            name,
            org_name,
            extended,
            character_set: fields.character_set,
            column_length: fields.column_length,
            column_type: fields.column_type,
            flags: fields.flags,
            decimals: fields.decimals,
            padding: fixed.remaining(),
            tail: reader.remaining(),
        })
    }
}

/// The part of a definition that has a fixed length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// Collation id.
    pub character_set: u16,
    /// Maximum length in bytes.
    pub column_length: u32,
    pub column_type: u8,
    pub flags: u16,
    pub decimals: u8,
}

impl ColumnDefinition<'_> {
    pub fn fixed(&self) -> Fixed {
        Fixed {
            character_set: self.character_set,
            column_length: self.column_length,
            column_type: self.column_type,
            flags: self.flags,
            decimals: self.decimals,
        }
    }

    /// The packet with another fixed part and, where there are any, other extended metadata; names and what
    /// follows stay.
    pub fn restored(&self, fixed: Fixed, extended: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for name in [self.catalog, self.schema, self.table, self.org_table, self.name, self.org_name] {
            put_lenenc_bytes(&mut out, name);
        }
        if self.extended.is_some() {
            put_lenenc_bytes(&mut out, extended);
        }
        put_lenenc(&mut out, FIXED + self.padding.len() as u64);
        out.extend_from_slice(&fixed.character_set.to_le_bytes());
        out.extend_from_slice(&fixed.column_length.to_le_bytes());
        out.push(fixed.column_type);
        out.extend_from_slice(&fixed.flags.to_le_bytes());
        out.push(fixed.decimals);
        out.extend_from_slice(self.padding);
        out.extend_from_slice(self.tail);
        out
    }
}

/// Bytes of the fields of [`Fixed`].
const FIXED: u64 = 10;

/// Kinds of entries in MariaDB's extended metadata.
pub mod extended {
    /// The name of a data type that has no code: `uuid`, `inet6`, `point`.
    pub const TYPE_NAME: u8 = 0;
    /// The format of a value that has another type: `json`.
    pub const FORMAT_NAME: u8 = 1;
}

/// The field of extended metadata, once it is known to hold whole entries and nothing else.
fn entries(field: &[u8]) -> Result<&[u8], Malformed> {
    const WHAT: &str = "column definition: extended metadata";
    let mut reader = Reader::new(field);
    while !reader.is_empty() {
        reader.u8(WHAT)?;
        reader.lenenc_bytes(WHAT)?;
    }
    Ok(field)
}

/// Type codes (`enum_field_types`).
pub mod types {
    pub const DECIMAL: u8 = 0;
    pub const TINY: u8 = 1;
    pub const SHORT: u8 = 2;
    pub const LONG: u8 = 3;
    pub const FLOAT: u8 = 4;
    pub const DOUBLE: u8 = 5;
    pub const NULL: u8 = 6;
    pub const TIMESTAMP: u8 = 7;
    pub const LONGLONG: u8 = 8;
    pub const INT24: u8 = 9;
    pub const DATE: u8 = 10;
    pub const TIME: u8 = 11;
    pub const DATETIME: u8 = 12;
    pub const YEAR: u8 = 13;
    pub const NEWDATE: u8 = 14;
    pub const VARCHAR: u8 = 15;
    pub const BIT: u8 = 16;
    pub const BOOL: u8 = 244;
    pub const JSON: u8 = 245;
    pub const NEWDECIMAL: u8 = 246;
    pub const ENUM: u8 = 247;
    pub const SET: u8 = 248;
    pub const TINY_BLOB: u8 = 249;
    pub const MEDIUM_BLOB: u8 = 250;
    pub const LONG_BLOB: u8 = 251;
    pub const BLOB: u8 = 252;
    pub const VAR_STRING: u8 = 253;
    pub const STRING: u8 = 254;
    pub const GEOMETRY: u8 = 255;

    /// Whether values are character or binary strings, TEXT and BLOB included, with no type of their own beside.
    pub fn is_string(column_type: u8) -> bool {
        matches!(column_type, TINY_BLOB..=STRING | VARCHAR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As MariaDB 10.11 sends it for a column `doc json`.
    const JSON: &[u8] =
        b"\x03def\x01s\x01t\x01t\x03doc\x03doc\x06\x01\x04json\x0c\x2d\0\xff\xff\xff\xff\xfc\x90\0\0\0\0";

    #[test]
    fn extended_metadata_are_read_and_replaced() {
        let column = ColumnDefinition::parse(JSON, true).unwrap();
        assert_eq!((column.extended, column.column_type), (Some(&b"\x01\x04json"[..]), types::BLOB));
        assert_eq!(column.restored(column.fixed(), b"\x01\x04json"), JSON);
        let plain = column.restored(column.fixed(), b"");
        assert_eq!(plain.len(), JSON.len() - 6);
        let plain = ColumnDefinition::parse(&plain, true).unwrap();
        assert_eq!((plain.extended, plain.fixed()), (Some(&b""[..]), column.fixed()));
    }

    #[test]
    fn extended_metadata_that_are_cut_or_were_not_agreed_on_are_an_error() {
        for end in 0..JSON.len() - 2 {
            assert!(ColumnDefinition::parse(&JSON[..end], true).is_err(), "cut at {end}");
        }
        assert!(ColumnDefinition::parse(JSON, false).is_err());
        let mut wrong = JSON.to_vec();
        // The length of the entry's text no longer fits the field.
        for length in [0x03, 0x05, 0xFB, 0xFF] {
            wrong[20] = length;
            assert!(ColumnDefinition::parse(&wrong, true).is_err(), "{length:#x}");
        }
    }
}
