//! The text a server stores when a number, date or time is bound to a string column.

use super::Malformed;
use super::column::types;
use super::execute::ParamType;
use super::reader::Reader;

/// The text of a non-string parameter value; `None` for the string types, whose bytes are the value.
///
/// `style`: the servers differ in fractions of a second and in long doubles.
pub fn text_of(kind: ParamType, value: &[u8], style: Style) -> Result<Option<String>, Malformed> {
    const WHAT: &str = "parameter value";
    let mut reader = Reader::new(value);
    let text = match kind.column_type {
        types::TINY | types::BOOL => {
            let [byte] = reader.array(WHAT)?;
            if kind.unsigned { byte.to_string() } else { i8::from_le_bytes([byte]).to_string() }
        }
        types::SHORT | types::YEAR => {
            let bytes = reader.array(WHAT)?;
            if kind.unsigned { u16::from_le_bytes(bytes).to_string() } else { i16::from_le_bytes(bytes).to_string() }
        }
        types::LONG | types::INT24 => {
            let bytes = reader.array(WHAT)?;
            if kind.unsigned { u32::from_le_bytes(bytes).to_string() } else { i32::from_le_bytes(bytes).to_string() }
        }
        types::LONGLONG => {
            let bytes = reader.array(WHAT)?;
            if kind.unsigned { u64::from_le_bytes(bytes).to_string() } else { i64::from_le_bytes(bytes).to_string() }
        }
        // The server widens a float before it makes text of it.
        types::FLOAT => double_text(f64::from(f32::from_le_bytes(reader.array(WHAT)?)), style),
        types::DOUBLE => double_text(f64::from_le_bytes(reader.array(WHAT)?), style),
        types::DATE | types::NEWDATE => date_text(&mut reader)?,
        types::DATETIME | types::TIMESTAMP => datetime_text(&mut reader, style)?,
        types::TIME => time_text(&mut reader, style)?,
        _ => return Ok(None),
    };
    Ok(Some(text))
}

/// How a server makes text of values that are bound to a string column; measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// MariaDB 10.11: six digits of a second's fraction; doubles as long as it takes.
    MariaDb,
    /// MySQL 9.7: no fraction in a DATETIME, no trailing zeros in that of a TIME; doubles of at most
    /// [`MYSQL_DOUBLE_WIDTH`] characters before the exponent form is used.
    MySql,
}

/// See [`Style::MySql`].
const MYSQL_DOUBLE_WIDTH: usize = 22;

/// As the servers' `my_gcvt` does it: the shortest digits that read back as the same double, plain up
/// to 15 digits on either side of the point, otherwise with an exponent without `+`. A negative zero has
/// no sign on MariaDB.
pub fn double_text(value: f64, style: Style) -> String {
    if value == 0.0 {
        return if value.is_sign_negative() && style == Style::MySql { "-0".into() } else { "0".into() };
    }
    let shortest = format!("{value:e}");
    let Some((mantissa, exponent)) = shortest.split_once('e') else { return shortest };
    let Ok(exponent) = exponent.parse::<i32>() else { return shortest };
    // The position of the decimal point behind the first digit, as dtoa counts it.
    match exponent + 1 {
        -14..=15 if style == Style::MariaDb || format!("{value}").len() <= MYSQL_DOUBLE_WIDTH => format!("{value}"),
        _ => format!("{mantissa}e{exponent}"),
    }
}

fn date(reader: &mut Reader<'_>) -> Result<(u16, u8, u8), Malformed> {
    const WHAT: &str = "date parameter";
    if reader.is_empty() {
        return Ok((0, 0, 0));
    }
    Ok((reader.u16(WHAT)?, reader.u8(WHAT)?, reader.u8(WHAT)?))
}

fn date_text(reader: &mut Reader<'_>) -> Result<String, Malformed> {
    let (year, month, day) = date(reader)?;
    Ok(format!("{year:04}-{month:02}-{day:02}"))
}

/// Hours, minutes, seconds and microseconds, each absent part zero.
fn clock(reader: &mut Reader<'_>) -> Result<(u8, u8, u8, u32), Malformed> {
    const WHAT: &str = "time parameter";
    if reader.is_empty() {
        return Ok((0, 0, 0, 0));
    }
    let (hours, minutes, seconds) = (reader.u8(WHAT)?, reader.u8(WHAT)?, reader.u8(WHAT)?);
    let micros = if reader.is_empty() { 0 } else { reader.u32(WHAT)? };
    Ok((hours, minutes, seconds, micros))
}

fn datetime_text(reader: &mut Reader<'_>, style: Style) -> Result<String, Malformed> {
    let date = date_text(reader)?;
    let (hours, minutes, seconds, micros) = clock(reader)?;
    let fraction = match (micros, style) {
        (0, _) | (_, Style::MySql) => String::new(),
        (micros, Style::MariaDb) => format!(".{micros:06}"),
    };
    Ok(format!("{date} {hours:02}:{minutes:02}:{seconds:02}{fraction}"))
}

fn time_text(reader: &mut Reader<'_>, style: Style) -> Result<String, Malformed> {
    const WHAT: &str = "time parameter";
    let (negative, days) = match reader.is_empty() {
        true => (false, 0),
        false => (reader.u8(WHAT)? != 0, reader.u32(WHAT)?),
    };
    let (hours, minutes, seconds, micros) = clock(reader)?;
    let fraction = match (micros, style) {
        (0, _) => String::new(),
        (micros, Style::MariaDb) => format!(".{micros:06}"),
        (micros, Style::MySql) => format!(".{micros:06}").trim_end_matches('0').to_owned(),
    };
    let hours = u64::from(days) * 24 + u64::from(hours);
    // The servers clip it, or refuse it with 1690.
    if (hours, minutes, seconds, micros) > (838, 59, 59, 0) {
        return Err(Malformed("a TIME beyond 838:59:59"));
    }
    let sign = if negative { "-" } else { "" };
    Ok(format!("{sign}{hours:02}:{minutes:02}:{seconds:02}{fraction}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(column_type: u8, unsigned: bool, value: &[u8]) -> String {
        text_of(ParamType { column_type, unsigned }, value, Style::MariaDb).unwrap().unwrap()
    }

    #[test]
    fn integers_mind_their_sign() {
        assert_eq!(text(types::TINY, false, &[0xFF]), "-1");
        assert_eq!(text(types::TINY, true, &[0xFF]), "255");
        assert_eq!(text(types::LONGLONG, true, &[0xFF; 8]), "18446744073709551615");
    }

    #[test]
    fn doubles_read_as_the_servers_print_them() {
        for (value, expected) in [
            (1.5, "1.5"),
            (-0.25, "-0.25"),
            (100000.0, "100000"),
            (1e14, "100000000000000"),
            (1e15, "1e15"),
            (1.5e20, "1.5e20"),
            (0.00001, "0.00001"),
            (1e-15, "0.000000000000001"),
            (1e-16, "1e-16"),
            (0.1 + 0.2, "0.30000000000000004"),
        ] {
            assert_eq!(double_text(value, Style::MariaDb), expected);
        }
    }

    #[test]
    fn dates_and_times_are_spelled_in_full() {
        assert_eq!(text(types::DATE, false, &[0xEA, 7, 1, 2]), "2026-01-02");
        assert_eq!(text(types::DATETIME, false, &[0xEA, 7, 1, 2]), "2026-01-02 00:00:00");
        assert_eq!(
            text(types::DATETIME, false, &[0xEA, 7, 1, 2, 3, 4, 5, 0x40, 0xE2, 1, 0]),
            "2026-01-02 03:04:05.123456"
        );
        assert_eq!(text(types::TIME, false, &[1, 1, 0, 0, 0, 2, 3, 4]), "-26:03:04");
        assert_eq!(text(types::TIME, false, &[]), "00:00:00");
    }
}
