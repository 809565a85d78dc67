//! What a value that is compared with a searchable column of a declared type looks like sealed: the plaintext that
//! the rows it equals have. Where the server would convert either side first, and equal more or fewer rows than
//! those, there is none.

use zeroize::Zeroizing;

use super::LogicalType;
use super::exact::Exact;
use super::fit::{BadValue, Input, Rules, fit};

/// The plaintext of the rows that equal `input`. `None`: not certain, or the type takes no such value.
pub fn find(logical: &LogicalType, input: &Input, rules: Rules) -> Option<Zeroizing<Vec<u8>>> {
    let plain = fit(logical, input, Rules { bad: BadValue::Refuse, ..rules }).ok()?;
    let text = std::str::from_utf8(&plain).unwrap_or_default();
    let same = match (logical, input) {
        (LogicalType::Integer(_) | LogicalType::Decimal { .. }, Input::Integer(number)) => {
            number_of(text) == Some(Exact::integer(*number).text(SCALE))
        }
        (LogicalType::Integer(_) | LogicalType::Decimal { .. }, Input::Decimal(given) | Input::Text(given)) => {
            number_of(text).is_some_and(|number| number_of(given).as_ref() == Some(&number))
        }
        // `double = 1.5` compares doubles; a FLOAT is none of its decimal neighbours.
        (LogicalType::Double { .. }, Input::Double(number)) => text.parse() == Ok(*number),
        (LogicalType::Double { .. }, Input::Integer(_) | Input::Decimal(_) | Input::Text(_)) => {
            let given = match input {
                Input::Integer(number) => number.to_string(),
                Input::Decimal(given) | Input::Text(given) => given.to_string(),
                _ => return None,
            };
            number_of(&given).is_some() && text.parse::<f64>() == given.parse::<f64>()
        }
        (LogicalType::Year, Input::Integer(year)) => year.to_string() == text,
        (LogicalType::Year, Input::Text(given)) => given.as_str() == text,
        (LogicalType::Date, Input::Date(date)) => date.text(0).starts_with(text),
        (LogicalType::Date, Input::DateTime(moment)) => same_moment(&moment.text(6), &format!("{text} 00:00:00")),
        (LogicalType::Date, Input::Text(given)) => given.as_str() == text,
        (LogicalType::DateTime { .. }, Input::DateTime(given) | Input::Date(given)) => {
            same_moment(&given.text(6), text)
        }
        (LogicalType::DateTime { .. }, Input::Text(given)) => {
            same_moment(given, text) || same_moment(&format!("{} 00:00:00", given.as_str()), text)
        }
        (LogicalType::Time { .. }, Input::Time(given)) => same_moment(&given.text(6), text),
        (LogicalType::Time { .. }, Input::Text(given)) => same_moment(given, text),
        (
            LogicalType::Char(_) | LogicalType::Varchar(_) | LogicalType::Text(_) | LogicalType::Set(_),
            Input::Text(given),
        ) => given.as_str() == text,
        // Members are told apart by the column's collation, as the server looks them up.
        (LogicalType::Enum(members), Input::Text(given)) => !given.is_empty() && members.iter().any(|m| m == text),
        (
            LogicalType::Binary(_) | LogicalType::Varbinary(_) | LogicalType::Blob(_),
            Input::Bytes(given) | Input::Hex(given),
        ) => **given == *plain,
        _ => false,
    };
    same.then_some(plain)
}

/// Digits behind the point: more than any DECIMAL has.
const SCALE: u8 = 60;

/// A whole number text, digits only, in one spelling.
fn number_of(text: &str) -> Option<String> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let plain = digits.bytes().all(|b| b.is_ascii_digit() || b == b'.') && digits.len() <= 80;
    plain.then(|| Exact::whole(text)).flatten().map(|number| number.text(SCALE))
}

/// Two spellings that differ in the zeros at the end of a fraction only.
fn same_moment(a: &str, b: &str) -> bool {
    let trimmed = |text: &str| match text.split_once('.') {
        Some((whole, fraction)) => format!("{whole}.{}", fraction.trim_end_matches('0')),
        None => format!("{text}."),
    };
    trimmed(a) == trimmed(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::ServerFlavor;

    fn found(logical: &str, input: Input) -> Option<String> {
        let rules = Rules {
            flavor: ServerFlavor::MySql,
            bad: BadValue::Error,
            no_zero_date: false,
            no_zero_in_date: false,
            allow_invalid_dates: false,
            fractions_otherwise: false,
        };
        let plain = find(&logical.parse().unwrap(), &input, rules)?;
        Some(String::from_utf8_lossy(&plain).into_owned())
    }

    fn text(value: &str) -> Input {
        Input::Text(Zeroizing::new(value.to_owned()))
    }

    #[test]
    fn a_value_finds_the_rows_that_equal_it() {
        for (logical, input, expected) in [
            ("int", Input::Integer(-5), "-5"),
            ("int", text("5"), "5"),
            ("int", text("005.0"), "5"),
            ("bool", Input::Integer(1), "1"),
            ("decimal(10,2)", Input::Integer(5), "5.00"),
            ("decimal(10,2)", Input::Decimal(Zeroizing::new("5.1".into())), "5.10"),
            ("double", Input::Double(1e2), "100"),
            ("double", text("1.50"), "1.5"),
            ("year", Input::Integer(2024), "2024"),
            ("date", text("2024-02-29"), "2024-02-29"),
            ("datetime", text("2024-02-29"), "2024-02-29 00:00:00"),
            ("datetime(6)", text("2024-02-29 10:11:12.5"), "2024-02-29 10:11:12.500000"),
            ("time(2)", text("10:11:12"), "10:11:12.00"),
            ("char(5)", text("ab"), "ab"),
            ("varchar(5)", text("ab "), "ab "),
            ("enum('a','b')", text("b"), "b"),
            ("set('a','b')", text("a,b"), "a,b"),
        ] {
            assert_eq!(found(logical, input).as_deref(), Some(expected), "{logical}");
        }
    }

    #[test]
    fn what_would_be_changed_on_its_way_finds_nothing() {
        for (logical, input) in [
            ("int", text("5.7")),
            ("int", Input::Decimal(Zeroizing::new("5.7".into()))),
            ("int", Input::Double(5.0)),
            ("int", text("5x")),
            ("int", text(" 5")),
            ("int", text("1e1")),
            ("tinyint", Input::Integer(300)),
            ("decimal(10,2)", text("5.123")),
            ("float", Input::Decimal(Zeroizing::new("1.1".into()))),
            ("date", text("2024-02-29 10:00:00")),
            ("date", text("20240229")),
            ("datetime", text("2024-02-29 10:11:12.7")),
            ("time", text("10:11:12.7")),
            ("year", Input::Integer(24)),
            ("char(2)", text("abc")),
            ("char(5)", text("ab ")),
            ("varchar(5)", Input::Integer(7)),
            ("enum('a','b')", Input::Integer(1)),
            ("enum('a','b')", text("c")),
            ("bit(8)", Input::Integer(1)),
            ("binary(3)", Input::Bytes(Zeroizing::new(b"a".to_vec()))),
        ] {
            assert_eq!(found(logical, input), None, "{logical}");
        }
    }
}
