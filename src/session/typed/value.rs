//! Opened values of a declared type in text and binary rows.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_binary_resultset.html>

use crate::seal::types::{Content, DateTime, Integer, IntegerKind, LogicalType, Time, float_text};
use crate::session::rows::RowFormat;
use crate::sql::Charset;
use crate::sql::charset::encode_from_utf8;
use crate::wire::column::types;
use crate::wire::reader::put_lenenc_bytes;

/// The type code of an integer column.
pub fn integer_type(integer: Integer) -> u8 {
    match integer.kind {
        IntegerKind::Bool | IntegerKind::Tiny => types::TINY,
        IntegerKind::Small => types::SHORT,
        IntegerKind::Medium => types::INT24,
        IntegerKind::Int => types::LONG,
        IntegerKind::Big => types::LONGLONG,
    }
}

/// Appends a value to a row. `None`: the plaintext is not of the type, or needs a character set and there
/// is none.
pub fn put(
    out: &mut Vec<u8>,
    logical: &LogicalType,
    plain: &[u8],
    format: RowFormat,
    charset: Option<Charset>,
) -> Option<()> {
    if !logical.holds(plain) {
        return None;
    }
    if logical.content() == Content::Characters {
        put_lenenc_bytes(out, &encode_from_utf8(plain, charset?));
        return Some(());
    }
    let text = || std::str::from_utf8(plain).ok();
    if format == RowFormat::Text {
        match logical {
            LogicalType::Float { .. } | LogicalType::Double { .. } => {
                put_lenenc_bytes(out, float_text(logical, text()?)?.as_bytes());
            }
            _ => put_lenenc_bytes(out, plain),
        }
        return Some(());
    }
    match logical {
        LogicalType::Integer(integer) => put_integer(out, *integer, integer.parse(text()?)?),
        LogicalType::Float { .. } => out.extend_from_slice(&text()?.parse::<f32>().ok()?.to_le_bytes()),
        LogicalType::Double { .. } => out.extend_from_slice(&text()?.parse::<f64>().ok()?.to_le_bytes()),
        LogicalType::Date => put_date(out, DateTime::parse_date(text()?)?),
        LogicalType::DateTime { fraction } => put_datetime(out, DateTime::parse(text()?, *fraction)?),
        LogicalType::Time { fraction } => put_time(out, Time::parse(text()?, *fraction)?),
        LogicalType::Year => out.extend_from_slice(&text()?.parse::<u16>().ok()?.to_le_bytes()),
        _ => put_lenenc_bytes(out, plain),
    }
    Some(())
}

fn put_integer(out: &mut Vec<u8>, integer: Integer, number: i128) {
    let size = match integer.kind {
        IntegerKind::Bool | IntegerKind::Tiny => 1,
        IntegerKind::Small => 2,
        IntegerKind::Medium | IntegerKind::Int => 4,
        IntegerKind::Big => 8,
    };
    out.extend_from_slice(number.to_le_bytes().get(..size).unwrap_or_default());
}

fn put_date(out: &mut Vec<u8>, at: DateTime) {
    if at.is_zero_date() {
        out.push(0);
        return;
    }
    let [low, high] = at.year.to_le_bytes();
    out.extend_from_slice(&[4, low, high, at.month, at.day]);
}

fn put_datetime(out: &mut Vec<u8>, at: DateTime) {
    if !at.has_time() {
        return put_date(out, at);
    }
    let [low, high] = at.year.to_le_bytes();
    let length = if at.micros == 0 { 7 } else { 11 };
    out.extend_from_slice(&[length, low, high, at.month, at.day, at.hour, at.minute, at.second]);
    if at.micros != 0 {
        out.extend_from_slice(&at.micros.to_le_bytes());
    }
}

fn put_time(out: &mut Vec<u8>, time: Time) {
    if time.is_zero() {
        out.push(0);
        return;
    }
    out.push(if time.micros == 0 { 8 } else { 12 });
    out.push(u8::from(time.negative));
    out.extend_from_slice(&(time.hours / 24).to_le_bytes());
    out.push(u8::try_from(time.hours % 24).unwrap_or(0));
    out.extend_from_slice(&[time.minutes, time.seconds]);
    if time.micros != 0 {
        out.extend_from_slice(&time.micros.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(logical: &str, plain: &str) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        put(&mut out, &logical.parse().unwrap(), plain.as_bytes(), RowFormat::Binary, Some(Charset::Utf8mb4))?;
        Some(out)
    }

    #[test]
    fn values_are_laid_out_by_type() {
        assert_eq!(binary("tinyint", "-1").unwrap(), [0xFF]);
        assert_eq!(binary("mediumint unsigned", "16777215").unwrap(), [0xFF, 0xFF, 0xFF, 0]);
        assert_eq!(binary("bigint unsigned", "18446744073709551615").unwrap(), [0xFF; 8]);
        assert_eq!(binary("decimal(5,2)", "-1.50").unwrap(), b"\x05-1.50");
        assert_eq!(binary("float", "1.5").unwrap(), 1.5f32.to_le_bytes());
        assert_eq!(binary("year", "2026").unwrap(), [0xEA, 7]);
        assert_eq!(binary("date", "0000-00-00").unwrap(), [0]);
        assert_eq!(binary("date", "2026-01-02").unwrap(), [4, 0xEA, 7, 1, 2]);
        assert_eq!(binary("datetime(6)", "2026-01-02 00:00:00.000000").unwrap(), [4, 0xEA, 7, 1, 2]);
        assert_eq!(
            binary("datetime(6)", "2026-01-02 03:04:05.123456").unwrap(),
            [11, 0xEA, 7, 1, 2, 3, 4, 5, 0x40, 0xE2, 1, 0]
        );
        assert_eq!(binary("time", "-26:03:04").unwrap(), [8, 1, 1, 0, 0, 0, 2, 3, 4]);
        assert_eq!(binary("time", "00:00:00").unwrap(), [0]);
        assert_eq!(binary("varchar(5)", "aé").unwrap(), b"\x03a\xc3\xa9");
    }

    #[test]
    fn what_is_not_of_the_type_is_not_handed_out() {
        for (logical, plain) in [
            ("int", "abc"),
            ("int", "007"),
            ("tinyint", "128"),
            ("int unsigned", "-1"),
            ("decimal(5,2)", "1.5"),
            ("decimal(5,2)", "1000.00"),
            ("date", "2026-1-2"),
            ("datetime(3)", "2026-01-02 00:00:00"),
            ("time", "839:00:00"),
            ("year", "1900"),
            ("char(3)", "abcd"),
            ("enum('a','b')", "c"),
            ("set('a','b')", "b,a"),
            ("bit(9)", "abc"),
            ("float", "1.50"),
        ] {
            assert_eq!(binary(logical, plain), None, "{logical} {plain}");
        }
    }
}
