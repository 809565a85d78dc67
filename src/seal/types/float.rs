//! FLOAT and DOUBLE. The plaintext is the shortest text that reads back as the same number; a FLOAT is
//! shown to the application with six digits, as the servers do.

use super::exact::{Exact, Prefix};
use super::{Fitting, Input, LogicalType, Problem, Rules};
use crate::catalog::ServerFlavor;
use crate::wire::number::{Style, double_text};

const FLOAT: Problem = Problem::Incorrect("float");
const DOUBLE: Problem = Problem::Incorrect("double");

/// A plaintext as a number.
pub fn parse(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'.' | b'e'));
    plain.then(|| text.parse().ok()).flatten()
}

/// The plaintext of a number; `None` if it is none of the type's.
pub fn canonical(logical: &LogicalType, number: f64) -> Option<String> {
    match logical {
        LogicalType::Float { .. } => {
            let narrow = narrow(number)?;
            Some(layout(&format!("{narrow:e}")))
        }
        _ if number == 0.0 && number.is_sign_negative() => Some("-0".to_owned()),
        _ => number.is_finite().then(|| double_text(number, Style::MariaDb)),
    }
}

/// What the servers print in the text protocol: a FLOAT with six significant digits.
pub fn float_text(logical: &LogicalType, plain: &str) -> Option<String> {
    let number = parse(plain)?;
    match logical {
        LogicalType::Float { .. } => {
            let number = f64::from(narrow(number)?);
            if number == 0.0 {
                return Some(plain.to_owned());
            }
            let shown = format!("{number:.5e}");
            let (mantissa, exponent) = shown.split_once('e')?;
            let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
            Some(layout(&format!("{mantissa}e{exponent}")))
        }
        _ => Some(plain.to_owned()),
    }
}

/// `1.25e3` as the servers' `my_gcvt` lays it out: plain up to 15 digits on either side of the point.
fn layout(scientific: &str) -> String {
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific.to_owned() };
    let Ok(exponent) = exponent.parse::<i32>() else { return scientific.to_owned() };
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    if digits == "0" {
        return format!("{sign}0");
    }
    let point = exponent + 1;
    let length = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    match point {
        -14..=0 => format!("{sign}0.{}{digits}", "0".repeat(usize::try_from(-point).unwrap_or(0))),
        1..=15 if point >= length => {
            format!("{sign}{digits}{}", "0".repeat(usize::try_from(point - length).unwrap_or(0)))
        }
        1..=15 => {
            let (whole, fraction) =
                digits.split_at_checked(usize::try_from(point).unwrap_or(0)).unwrap_or((&digits, ""));
            format!("{sign}{whole}.{fraction}")
        }
        _ => scientific.to_owned(),
    }
}

/// The nearest FLOAT, if it is one.
#[allow(clippy::cast_possible_truncation, reason = "rounding to the nearest FLOAT is what is asked for")]
fn narrow(number: f64) -> Option<f32> {
    let narrow = number as f32;
    narrow.is_finite().then_some(narrow)
}

pub fn float(logical: &LogicalType, unsigned: bool, input: &Input, rules: Rules) -> Fitting {
    let single = matches!(logical, LogicalType::Float { .. });
    let incorrect = if single { FLOAT } else { DOUBLE };
    let most = if single { f64::from(f32::MAX) } else { f64::MAX };
    let put = |number: f64| canonical(logical, number);
    let clip = |number: f64| {
        // MariaDB keeps no sign of a zero.
        let number = if number == 0.0 && rules.flavor == ServerFlavor::MariaDb { 0.0 } else { number };
        let near = if unsigned && number < 0.0 { 0.0 } else { number.clamp(-most, most) };
        match put(near) {
            None => Fitting::uncertain("a number that is none"),
            Some(text) if near.to_bits() == number.to_bits() => Fitting::good(text),
            Some(text) => Fitting::bad(text, Problem::OutOfRange),
        }
    };
    match input {
        Input::Integer(number) => number.to_string().parse().map_or_else(|_| Fitting::error(incorrect), clip),
        // A negative zero is zero to a DECIMAL.
        Input::Decimal(text) => match (text.parse::<f64>(), Exact::whole(text)) {
            (Ok(_), Some(number)) if number.is_zero() => clip(0.0),
            (Ok(number), _) => clip(number),
            (Err(_), _) => Fitting::uncertain("a number of this form"),
        },
        Input::Double(number) => clip(*number),
        Input::Hex(bytes) => match Input::hex_number(bytes) {
            Some(number) => number.to_string().parse().map_or_else(|_| Fitting::error(incorrect), clip),
            None => Fitting::uncertain("a hexadecimal literal of more than 8 bytes"),
        },
        Input::Text(_) | Input::Bytes(_) => match input.as_text() {
            Some(text) if !text.contains('\0') => float_from_text(text, incorrect, clip, put, rules),
            _ => Fitting::uncertain("a string of other than printable ASCII characters for a number"),
        },
        Input::Date(_) | Input::DateTime(_) | Input::Time(_) => Fitting::uncertain("a date or time for a number"),
    }
}

fn float_from_text(
    text: &str,
    incorrect: Problem,
    clip: impl Fn(f64) -> Fitting,
    put: impl Fn(f64) -> Option<String>,
    rules: Rules,
) -> Fitting {
    let trimmed = text.trim_start_matches(super::exact::is_space);
    match Exact::prefix(text) {
        Prefix::None => match put(0.0) {
            Some(zero) => Fitting::bad(zero, incorrect),
            None => Fitting::error(incorrect),
        },
        // MariaDB 10.11 and 11.8 store 0 for '-0', MySQL 9.7 -0.
        Prefix::Number(number, "") if number.is_zero() && trimmed.starts_with('-') => match rules.flavor {
            ServerFlavor::MariaDb => clip(0.0),
            ServerFlavor::MySql => clip(-0.0),
        },
        Prefix::Number(_, rest) => {
            let end = trimmed.len() - rest.len();
            let number = trimmed.get(..end).unwrap_or_default().trim_end_matches(super::exact::is_space);
            let Ok(number) = number.parse::<f64>() else { return Fitting::uncertain("a number of this form") };
            let fitting = clip(number);
            match (rest, rules.flavor) {
                ("", _) => fitting,
                // A negative zero before something else is zero on MariaDB.
                _ if number == 0.0 => {
                    let problem = if rules.flavor == ServerFlavor::MariaDb { Problem::Truncated } else { incorrect };
                    Fitting::error(problem)
                }
                (_, ServerFlavor::MariaDb) => Fitting { problem: Some(Problem::Truncated), ..fitting },
                (_, ServerFlavor::MySql) => Fitting { problem: Some(incorrect), ..fitting },
            }
        }
        Prefix::Extreme { negative, enormous: true } => clip(if negative { f64::NEG_INFINITY } else { f64::INFINITY }),
        Prefix::Extreme { enormous: false, .. } => Fitting::uncertain("a number with an extreme exponent"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_show_six_digits_and_keep_all() {
        let float = LogicalType::Float { unsigned: false };
        for (number, plain, shown) in [
            (16_777_217.0, "16777216", "16777200"),
            (0.1, "0.1", "0.1"),
            (123_456.789, "123456.79", "123457"),
            (0.000_012_345_67, "0.00001234567", "0.0000123457"),
            (1e30, "1e30", "1e30"),
            (1e15, "1e15", "1e15"),
            (1e14, "100000000000000", "100000000000000"),
            (1.175_49e-40, "1.1755e-40", "1.17549e-40"),
            (-1.5, "-1.5", "-1.5"),
            (f64::from(f32::MAX), "3.4028235e38", "3.40282e38"),
            (0.0, "0", "0"),
        ] {
            assert_eq!(canonical(&float, number).as_deref(), Some(plain));
            assert_eq!(float_text(&float, plain).as_deref(), Some(shown));
            assert!(float.holds(plain.as_bytes()), "{plain}");
        }
        assert!(!float.holds(b"1.50") && !float.holds(b"nan") && !float.holds(b""));
    }
}
