//! CHAR, VARCHAR, TEXT, BINARY, VARBINARY and BLOB.

use super::{Content, Fitting, Input, LogicalType, Problem, Rules, exact};
use crate::catalog::ServerFlavor;
use crate::wire::number::{Style, double_text};

/// Doubles of more characters than this are printed differently by the servers, by the column's width.
const SURE_DOUBLE: usize = 15;

pub fn string(logical: &LogicalType, input: &Input, rules: Rules) -> Fitting {
    let owned;
    let bytes: &[u8] = match input {
        Input::Text(text) => text.as_bytes(),
        Input::Bytes(bytes) | Input::Hex(bytes) => bytes,
        Input::Integer(number) => {
            owned = number.to_string();
            owned.as_bytes()
        }
        // A negative zero has no sign.
        Input::Decimal(text) if exact::Exact::whole(text).is_some_and(|number| number.is_zero()) => {
            text.trim_start_matches('-').as_bytes()
        }
        Input::Decimal(text) => text.as_bytes(),
        Input::Double(number) => {
            let style = if rules.flavor == ServerFlavor::MariaDb { Style::MariaDb } else { Style::MySql };
            owned = double_text(*number, style);
            // The servers print it shorter to make it fit.
            if owned.len() > SURE_DOUBLE || owned.len() as u64 > logical.longest() || !number.is_finite() {
                return Fitting::uncertain("a floating-point number of many digits for a string");
            }
            owned.as_bytes()
        }
        Input::Date(_) | Input::DateTime(_) | Input::Time(_) => {
            return Fitting::uncertain("a date or time for a string");
        }
    };
    if logical.content() == Content::Bytes {
        return binary(logical, bytes);
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() || matches!(input, Input::Text(_)) => characters(logical, text, rules),
        _ => Fitting::uncertain("a binary string outside of ASCII"),
    }
}

fn binary(logical: &LogicalType, bytes: &[u8]) -> Fitting {
    let (limit, pads) = match logical {
        LogicalType::Binary(length) => (u64::from(*length), true),
        LogicalType::Varbinary(length) => (u64::from(*length), false),
        LogicalType::Blob(size) => (size.limit(), false),
        _ => return Fitting::uncertain("a string"),
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    match bytes.get(..limit) {
        Some(cut) if bytes.len() > limit => Fitting::bad(cut, Problem::TooLong),
        _ if pads => {
            let mut padded = bytes.to_vec();
            padded.resize(limit, 0);
            Fitting::good(padded)
        }
        _ => Fitting::good(bytes),
    }
}

fn characters(logical: &LogicalType, text: &str, rules: Rules) -> Fitting {
    let (cut, splits) = match logical {
        LogicalType::Char(length) | LogicalType::Varchar(length) => {
            let limit = usize::try_from(*length).unwrap_or(usize::MAX);
            (text.char_indices().nth(limit).map_or(text.len(), |(at, _)| at), false)
        }
        LogicalType::Text(size) => {
            let limit = usize::try_from(size.limit()).unwrap_or(usize::MAX).min(text.len());
            let whole = (0..=limit).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            (whole, whole != limit)
        }
        _ => return Fitting::uncertain("a string"),
    };
    let (kept, rest) = text.split_at_checked(cut).unwrap_or((text, ""));
    // Spaces at the end of a CHAR are not part of its value.
    let kept = if matches!(logical, LogicalType::Char(_)) { kept.trim_end_matches(' ') } else { kept };
    match (rest.trim_end_matches(' ').is_empty(), rules.flavor) {
        (true, _) => Fitting::good(kept),
        // MariaDB calls a TEXT that would be cut within a character an incorrect string.
        (false, ServerFlavor::MariaDb) if splits => Fitting::bad(kept, Problem::Incorrect("string")),
        (false, _) => Fitting::bad(kept, Problem::TooLong),
    }
}
