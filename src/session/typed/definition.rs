//! The column definition that the application sees in place of the stored column's.

use crate::catalog::ServerFlavor;
use crate::seal::types::LogicalType;
use crate::sql::Charset;
use crate::wire::column::{ColumnDefinition, Fixed, extended, types};
use crate::wire::reader::put_lenenc_bytes;

mod flags {
    /// NOT_NULL, PRI_KEY, UNIQUE_KEY, MULTIPLE_KEY, NO_DEFAULT_VALUE and PART_KEY: the stored column's.
    pub const OF_THE_COLUMN: u16 = 0x0001 | 0x0002 | 0x0004 | 0x0008 | 0x1000 | 0x4000;
    pub const BLOB: u16 = 0x0010;
    pub const UNSIGNED: u16 = 0x0020;
    pub const ZEROFILL: u16 = 0x0040;
    pub const BINARY: u16 = 0x0080;
    pub const ENUM: u16 = 0x0100;
    pub const SET: u16 = 0x0800;
}

/// Of numbers, dates and bytes: the collation `binary`.
const BINARY_COLLATION: u16 = 63;
/// `decimals` of a FLOAT or DOUBLE without a fixed number of them.
const NOT_FIXED: u8 = 31;

/// The packet that a server sends of a column of this type where it sent `stored` of the column that holds the
/// sealed values.
pub fn restore(logical: &LogicalType, stored: &ColumnDefinition<'_>, flavor: ServerFlavor) -> Vec<u8> {
    let mut metadata = Vec::new();
    // The only one of the declared types that is not told from another by its code.
    if *logical == LogicalType::Json {
        metadata.push(extended::FORMAT_NAME);
        put_lenenc_bytes(&mut metadata, b"json");
    }
    stored.restored(fixed(logical, stored.fixed(), flavor), &metadata)
}

/// The same on MariaDB 10.11, MariaDB 11.8 and MySQL 9.7, but for JSON, which is a LONGTEXT on MariaDB.
fn fixed(logical: &LogicalType, stored: Fixed, flavor: ServerFlavor) -> Fixed {
    let unsigned = |unsigned: bool| if unsigned { flags::UNSIGNED } else { 0 };
    let fraction = |digits: u8| if digits == 0 { 0 } else { u32::from(digits) + 1 };
    let characters = u64::from(Charset::from_collation_id(stored.character_set).longest());
    let (column_type, length, own, decimals) = match logical {
        LogicalType::Integer(integer) => {
            (super::value::integer_type(*integer), u64::from(integer.width()), unsigned(integer.unsigned), 0)
        }
        LogicalType::Decimal { precision, scale, unsigned: positive } => (
            types::NEWDECIMAL,
            u64::from(*precision) + u64::from(*scale > 0) + u64::from(!positive),
            unsigned(*positive),
            *scale,
        ),
        LogicalType::Float { unsigned: positive } => (types::FLOAT, 12, unsigned(*positive), NOT_FIXED),
        LogicalType::Double { unsigned: positive } => (types::DOUBLE, 22, unsigned(*positive), NOT_FIXED),
        LogicalType::Date => (types::DATE, 10, flags::BINARY, 0),
        LogicalType::DateTime { fraction: digits } => {
            (types::DATETIME, 19 + u64::from(fraction(*digits)), flags::BINARY, *digits)
        }
        LogicalType::Time { fraction: digits } => {
            (types::TIME, 10 + u64::from(fraction(*digits)), flags::BINARY, *digits)
        }
        LogicalType::Year => (types::YEAR, 4, flags::UNSIGNED | flags::ZEROFILL, 0),
        LogicalType::Char(length) => (types::STRING, u64::from(*length) * characters, 0, 0),
        LogicalType::Varchar(length) => (types::VAR_STRING, u64::from(*length) * characters, 0, 0),
        LogicalType::Text(size) => (types::BLOB, size.limit() * characters, flags::BLOB, 0),
        LogicalType::Binary(length) => (types::STRING, u64::from(*length), flags::BINARY, 0),
        LogicalType::Varbinary(length) => (types::VAR_STRING, u64::from(*length), flags::BINARY, 0),
        LogicalType::Blob(size) => (types::BLOB, size.limit(), flags::BLOB | flags::BINARY, 0),
        LogicalType::Json => {
            let column_type = if flavor == ServerFlavor::MySql { types::JSON } else { types::BLOB };
            (column_type, u64::from(u32::MAX), flags::BLOB | flags::BINARY, 0)
        }
        LogicalType::Enum(members) => {
            let longest = members.iter().map(|member| member.chars().count()).max().unwrap_or(0);
            (types::STRING, longest as u64 * characters, flags::ENUM, 0)
        }
        LogicalType::Set(members) => {
            let all: usize = members.iter().map(|member| member.chars().count() + 1).sum();
            (types::STRING, all.saturating_sub(1) as u64 * characters, flags::SET, 0)
        }
        LogicalType::Bit(bits) => (types::BIT, u64::from(*bits), flags::UNSIGNED, 0),
    };
    Fixed {
        character_set: match logical.content() {
            _ if column_type == types::JSON => BINARY_COLLATION,
            crate::seal::types::Content::Characters => stored.character_set,
            _ => BINARY_COLLATION,
        },
        column_length: u32::try_from(length).unwrap_or(u32::MAX),
        column_type,
        flags: (stored.flags & flags::OF_THE_COLUMN) | own,
        decimals,
    }
}
