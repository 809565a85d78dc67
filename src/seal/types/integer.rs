//! Integers, DECIMAL and YEAR.

use super::exact::{Exact, Prefix};
use super::{Fitting, Input, Integer, IntegerKind, Problem, Rules};
use crate::catalog::ServerFlavor;

const BAD_INTEGER: Problem = Problem::Incorrect("integer");
const BAD_DECIMAL: Problem = Problem::Incorrect("decimal");

impl Integer {
    pub fn range(self) -> (i128, i128) {
        let bits = match self.kind {
            IntegerKind::Bool | IntegerKind::Tiny => 8,
            IntegerKind::Small => 16,
            IntegerKind::Medium => 24,
            IntegerKind::Int => 32,
            IntegerKind::Big => 64,
        };
        if self.unsigned { (0, (1 << bits) - 1) } else { (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) }
    }

    /// The width in characters that the servers give in column definitions.
    pub fn width(self) -> u32 {
        match (self.kind, self.unsigned) {
            (IntegerKind::Bool, _) => 1,
            (IntegerKind::Tiny, false) => 4,
            (IntegerKind::Tiny, true) => 3,
            (IntegerKind::Small, false) => 6,
            (IntegerKind::Small, true) => 5,
            (IntegerKind::Medium, false) => 9,
            (IntegerKind::Medium, true) => 8,
            (IntegerKind::Int, false) => 11,
            (IntegerKind::Int, true) => 10,
            (IntegerKind::Big, _) => 20,
        }
    }

    pub fn name(self) -> &'static str {
        match self.kind {
            IntegerKind::Bool => "tinyint(1)",
            IntegerKind::Tiny => "tinyint",
            IntegerKind::Small => "smallint",
            IntegerKind::Medium => "mediumint",
            IntegerKind::Int => "int",
            IntegerKind::Big => "bigint",
        }
    }

    /// A plaintext in its one form.
    pub fn parse(self, text: &str) -> Option<i128> {
        let (least, most) = self.range();
        let number: i128 = text.parse().ok()?;
        (number >= least && number <= most && number.to_string() == text).then_some(number)
    }

    fn clip(self, number: i128) -> Fitting {
        let (least, most) = self.range();
        let near = number.clamp(least, most);
        match near == number {
            true => Fitting::good(number.to_string()),
            false => Fitting::bad(near.to_string(), Problem::OutOfRange),
        }
    }

    fn beyond(self, negative: bool) -> Fitting {
        let (least, most) = self.range();
        Fitting::bad(if negative { least } else { most }.to_string(), Problem::OutOfRange)
    }
}

pub fn integer(kind: Integer, input: &Input, rules: Rules) -> Fitting {
    match input {
        Input::Integer(number) => kind.clip(*number),
        Input::Decimal(text) => match Exact::whole(text) {
            Some(number) => number.to_integer().map_or_else(|| kind.beyond(number.is_negative()), |n| kind.clip(n)),
            None => Fitting::uncertain("a number of this form"),
        },
        Input::Double(number) => match double_to_integer(*number) {
            Some(number) => kind.clip(number),
            None if number.is_nan() => Fitting::uncertain("a number that is none"),
            None => kind.beyond(*number < 0.0),
        },
        Input::Hex(bytes) => match Input::hex_number(bytes) {
            Some(number) => kind.clip(number.into()),
            None => kind.beyond(false),
        },
        Input::Text(_) | Input::Bytes(_) => match input.as_text() {
            Some(text) => integer_from_text(kind, text, rules),
            None => not_ascii(),
        },
        Input::Date(_) | Input::DateTime(_) | Input::Time(_) => Fitting::uncertain("a date or time for a number"),
    }
}

fn not_ascii() -> Fitting {
    Fitting::uncertain("a string of other than ASCII characters for a number")
}

fn integer_from_text(kind: Integer, text: &str, rules: Rules) -> Fitting {
    if text.contains('\0') {
        return Fitting::uncertain("a NUL character");
    }
    let (number, rest) = match Exact::prefix(text) {
        Prefix::None => {
            let zero = if kind.range().0 > 0 { String::new() } else { "0".to_owned() };
            return Fitting::bad(zero, BAD_INTEGER);
        }
        Prefix::Extreme { negative, enormous: true } => return kind.beyond(negative),
        Prefix::Extreme { enormous: false, .. } => return Fitting::uncertain("a number with an extreme exponent"),
        Prefix::Number(number, rest) => (number, rest),
    };
    let fitting = match number.to_integer() {
        Some(number) => kind.clip(number),
        None => kind.beyond(number.is_negative()),
    };
    match (rest, fitting.problem) {
        ("", _) | (_, Some(_)) => fitting,
        // MySQL takes `1e` for 1, MariaDB does not.
        (rest, None) if rules.flavor == ServerFlavor::MySql && rest.starts_with(['e', 'E']) => {
            Fitting::uncertain("an exponent without digits")
        }
        (_, None) => Fitting { problem: Some(Problem::Truncated), ..fitting },
    }
}

/// Half to even, as `rint` does.
pub(super) fn double_to_integer(number: f64) -> Option<i128> {
    let rounded = number.round_ties_even();
    if !rounded.is_finite() || rounded.abs() > 1e38 {
        return None;
    }
    // Printing a double without a fraction is exact.
    format!("{rounded:.0}").parse().ok()
}

pub fn decimal(precision: u8, scale: u8, unsigned: bool, input: &Input, rules: Rules) -> Fitting {
    let most = |negative: bool| {
        let digits = "9".repeat(usize::from(precision));
        let (whole, fraction) = digits.split_at_checked(usize::from(precision - scale)).unwrap_or_default();
        let whole = if whole.is_empty() { "0" } else { whole };
        let number = if scale == 0 { whole.to_owned() } else { format!("{whole}.{fraction}") };
        if negative { format!("-{number}") } else { number }
    };
    let clip = |number: &Exact| {
        let rounded = number.round(i64::from(scale));
        if unsigned && number.is_negative() {
            return match rounded.is_zero() {
                true => Fitting::uncertain("a negative number that rounds to zero"),
                false => Fitting::bad(Exact::zero().text(scale), Problem::OutOfRange),
            };
        }
        match rounded.whole_digits() > i64::from(precision - scale) {
            true => Fitting::bad(most(number.is_negative()), Problem::OutOfRange),
            false => Fitting::good(number.text(scale)),
        }
    };
    let beyond = |negative: bool| match negative && unsigned {
        true => Fitting::bad(Exact::zero().text(scale), Problem::OutOfRange),
        false => Fitting::bad(most(negative), Problem::OutOfRange),
    };
    match input {
        Input::Integer(number) => clip(&Exact::integer(*number)),
        Input::Decimal(text) => match Exact::whole(text) {
            Some(number) => clip(&number),
            None => Fitting::uncertain("a number of this form"),
        },
        Input::Double(number) => match Exact::whole(&format!("{number:e}")) {
            Some(number) => clip(&number),
            None if number.is_nan() => Fitting::uncertain("a number that is none"),
            None => beyond(*number < 0.0),
        },
        Input::Hex(bytes) => match Input::hex_number(bytes) {
            Some(number) => clip(&Exact::integer(number.into())),
            None => Fitting::error(Problem::OutOfRange),
        },
        Input::Text(_) | Input::Bytes(_) => {
            let Some(text) = input.as_text() else { return not_ascii() };
            if text.contains('\0') {
                return Fitting::uncertain("a NUL character");
            }
            match Exact::prefix(text) {
                Prefix::None => Fitting::bad(Exact::zero().text(scale), BAD_DECIMAL),
                Prefix::Extreme { .. } => Fitting::uncertain("a number with an extreme exponent"),
                // Beyond what a DECIMAL holds, MySQL says that there is no number, MariaDB that it is too large.
                Prefix::Number(number, _) if number.whole_digits() > 65 => {
                    Fitting::uncertain("a number with more than 65 digits")
                }
                Prefix::Number(number, "") => clip(&number),
                Prefix::Number(number, _) => {
                    let fitting = clip(&number);
                    let problem = match rules.flavor {
                        ServerFlavor::MariaDb => Problem::Truncated,
                        ServerFlavor::MySql => BAD_DECIMAL,
                    };
                    Fitting { problem: Some(problem), ..fitting }
                }
            }
        }
        Input::Date(_) | Input::DateTime(_) | Input::Time(_) => Fitting::uncertain("a date or time for a number"),
    }
}

/// Years that have a number: 1901 to 2155, and 0.
pub fn is_year(year: u32) -> bool {
    year == 0 || (1901..=2155).contains(&year)
}

/// `written`: the length of the string that the number was read from.
fn year_of(number: i128, written: Option<usize>) -> Fitting {
    let year = match number {
        // '0000' is the year 0000, '0' and '00' are 2000.
        0 if written.is_none_or(|length| length == 4) => 0,
        0..=69 => 2000 + number,
        70..=99 => 1900 + number,
        1901..=2155 => number,
        _ => return Fitting::bad("0000", Problem::OutOfRange),
    };
    Fitting::good(format!("{year:04}"))
}

pub fn year(input: &Input) -> Fitting {
    match input {
        Input::Integer(number) => year_of(*number, None),
        Input::Decimal(text) => match Exact::whole(text).and_then(|number| number.to_integer()) {
            Some(0) => Fitting::uncertain("a fraction for a year"),
            Some(number) => year_of(number, None),
            None => Fitting::uncertain("a number of this form"),
        },
        Input::Double(number) if number.fract() == 0.0 && *number != 0.0 => match double_to_integer(*number) {
            Some(number) => year_of(number, None),
            None => Fitting::bad("0000", Problem::OutOfRange),
        },
        Input::Text(_) | Input::Bytes(_) => {
            let Some(text) = input.as_text() else { return not_ascii() };
            match Exact::prefix(text) {
                _ if text.contains('\0') => Fitting::uncertain("a NUL character"),
                Prefix::None => Fitting::bad("0000", BAD_INTEGER),
                Prefix::Number(number, rest) => match number.to_integer() {
                    Some(_) if text.trim() != text => Fitting::uncertain("a year with spaces"),
                    Some(number) => {
                        let fitting = year_of(number, Some(text.len()));
                        match (rest, fitting.problem) {
                            ("", _) | (_, Some(_)) => fitting,
                            (rest, None) if rest.starts_with(['e', 'E']) => {
                                Fitting::uncertain("an exponent without digits")
                            }
                            (_, None) => Fitting { problem: Some(Problem::Truncated), ..fitting },
                        }
                    }
                    None => Fitting::bad("0000", Problem::OutOfRange),
                },
                Prefix::Extreme { .. } => Fitting::uncertain("a number with an extreme exponent"),
            }
        }
        _ => Fitting::uncertain("this kind of value for a year"),
    }
}
