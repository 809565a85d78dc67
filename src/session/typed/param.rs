//! Parameters bound to columns with a declared type.

use zeroize::Zeroizing;

use crate::seal::types::{Content, DateTime, Input, LogicalType, Time};
use crate::wire::Malformed;
use crate::wire::column::types;
use crate::wire::execute::ParamType;
use crate::wire::number::{self, Style};
use crate::wire::reader::Reader;

/// Doubles up to this length are printed alike whatever the column's width.
const WIDE: u32 = 24;

/// A bound value that is not a string; `None` for the string types.
pub fn input(logical: &LogicalType, kind: ParamType, bytes: &[u8], style: Style) -> Result<Option<Input>, Malformed> {
    const WHAT: &str = "parameter value";
    let mut reader = Reader::new(bytes);
    let text = || -> Result<Option<Input>, Malformed> {
        Ok(number::text_of(kind, bytes, style)?.map(|text| Input::Text(Zeroizing::new(text))))
    };
    let string = matches!(logical.content(), Content::Characters | Content::Bytes)
        && !matches!(logical, LogicalType::Json | LogicalType::Enum(_) | LogicalType::Set(_) | LogicalType::Bit(_));
    let narrow = match logical {
        LogicalType::Char(n) | LogicalType::Varchar(n) | LogicalType::Binary(n) | LogicalType::Varbinary(n) => {
            *n < WIDE
        }
        _ => false,
    };
    Ok(Some(match kind.column_type {
        types::TINY | types::BOOL | types::SHORT | types::LONG | types::INT24 | types::LONGLONG => {
            let number = number::text_of(kind, bytes, style)?.and_then(|text| text.parse().ok());
            Input::Integer(number.ok_or(Malformed(WHAT))?)
        }
        types::FLOAT | types::DOUBLE if string && !narrow => return text(),
        types::FLOAT => Input::Double(f64::from(f32::from_le_bytes(reader.array(WHAT)?))),
        types::DOUBLE => Input::Double(f64::from_le_bytes(reader.array(WHAT)?)),
        types::DATE | types::NEWDATE | types::DATETIME | types::TIMESTAMP | types::TIME if string => return text(),
        types::DATE | types::NEWDATE => Input::Date(datetime(&mut reader)?),
        types::DATETIME | types::TIMESTAMP => Input::DateTime(datetime(&mut reader)?),
        types::TIME => Input::Time(time(&mut reader)?),
        // MySQL makes no JSON of a binary string.
        types::TINY_BLOB..=types::BLOB if *logical == LogicalType::Json && style == Style::MySql => {
            Input::Bytes(Zeroizing::new(bytes.to_vec()))
        }
        types::DECIMAL | types::NEWDECIMAL if !string => match std::str::from_utf8(bytes) {
            Ok(text) => Input::Decimal(Zeroizing::new(text.to_owned())),
            Err(_) => return Err(Malformed(WHAT)),
        },
        _ => return Ok(None),
    }))
}

fn datetime(reader: &mut Reader<'_>) -> Result<DateTime, Malformed> {
    const WHAT: &str = "date parameter";
    let mut at = DateTime::default();
    if reader.is_empty() {
        return Ok(at);
    }
    (at.year, at.month, at.day) = (reader.u16(WHAT)?, reader.u8(WHAT)?, reader.u8(WHAT)?);
    if !reader.is_empty() {
        (at.hour, at.minute, at.second) = (reader.u8(WHAT)?, reader.u8(WHAT)?, reader.u8(WHAT)?);
    }
    if !reader.is_empty() {
        at.micros = reader.u32(WHAT)?;
    }
    if at.micros > 999_999 { Err(Malformed(WHAT)) } else { Ok(at) }
}

fn time(reader: &mut Reader<'_>) -> Result<Time, Malformed> {
    const WHAT: &str = "time parameter";
    let mut time = Time::default();
    if reader.is_empty() {
        return Ok(time);
    }
    time.negative = reader.u8(WHAT)? != 0;
    let days = reader.u32(WHAT)?;
    let hours = u32::from(reader.u8(WHAT)?);
    time.hours = days.checked_mul(24).and_then(|days| days.checked_add(hours)).ok_or(Malformed(WHAT))?;
    (time.minutes, time.seconds) = (reader.u8(WHAT)?, reader.u8(WHAT)?);
    if !reader.is_empty() {
        time.micros = reader.u32(WHAT)?;
    }
    // MariaDB clips what is beyond, MySQL refuses it with 1690.
    let beyond = (time.hours, time.minutes, time.seconds, time.micros) > (838, 59, 59, 0);
    if time.micros > 999_999 || beyond { Err(Malformed(WHAT)) } else { Ok(time) }
}
