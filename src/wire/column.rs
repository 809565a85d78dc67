//! Column definitions.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query_response_text_resultset_column_definition.html>

use super::Malformed;
use super::reader::Reader;

/// `Protocol::ColumnDefinition41`, borrowed from its packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnDefinition<'a> {
    pub schema: &'a [u8],
    pub table: &'a [u8],
    pub org_table: &'a [u8],
    pub name: &'a [u8],
    pub org_name: &'a [u8],
    /// Collation id.
    pub character_set: u16,
    /// Maximum length in bytes.
    pub column_length: u32,
    pub column_type: u8,
    pub flags: u16,
    pub decimals: u8,
}

impl<'a> ColumnDefinition<'a> {
    pub fn parse(payload: &'a [u8]) -> Result<Self, Malformed> {
        const WHAT: &str = "column definition";
        let mut reader = Reader::new(payload);
        reader.lenenc_bytes(WHAT)?; // catalog, always `def`
        let schema = reader.lenenc_bytes(WHAT)?;
        let table = reader.lenenc_bytes(WHAT)?;
        let org_table = reader.lenenc_bytes(WHAT)?;
        let name = reader.lenenc_bytes(WHAT)?;
        let org_name = reader.lenenc_bytes(WHAT)?;
        let fixed = usize::try_from(reader.lenenc(WHAT)?).map_err(|_| Malformed(WHAT))?;
        let mut fixed = Reader::new(reader.bytes(fixed, WHAT)?);
        Ok(Self {
            schema,
            table,
            org_table,
            name,
            org_name,
            character_set: fixed.u16(WHAT)?,
            column_length: fixed.u32(WHAT)?,
            column_type: fixed.u8(WHAT)?,
            flags: fixed.u16(WHAT)?,
            decimals: fixed.u8(WHAT)?,
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
}

/// The definition in `payload` with another fixed part; names and what follows stay.
pub fn with_fixed(payload: &[u8], fixed: Fixed) -> Result<Vec<u8>, Malformed> {
    const WHAT: &str = "column definition";
    let mut reader = Reader::new(payload);
    for _ in 0..6 {
        reader.lenenc_bytes(WHAT)?;
    }
    reader.lenenc(WHAT)?;
    let start = reader.position();
    let mut bytes = Vec::with_capacity(10);
    bytes.extend_from_slice(&fixed.character_set.to_le_bytes());
    bytes.extend_from_slice(&fixed.column_length.to_le_bytes());
    bytes.push(fixed.column_type);
    bytes.extend_from_slice(&fixed.flags.to_le_bytes());
    bytes.push(fixed.decimals);
    let mut out = payload.to_vec();
    out.get_mut(start..start + bytes.len()).ok_or(Malformed(WHAT))?.copy_from_slice(&bytes);
    Ok(out)
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
}
