//! Exact decimal numbers as digits: parsed, rounded and printed as the servers do.

/// `digits` × 10^-`scale`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exact {
    negative: bool,
    /// Values 0 to 9, without zeros in front.
    digits: Vec<u8>,
    scale: i64,
}

/// A number at the start of a text.
pub enum Prefix<'a> {
    /// The number, and what follows it without white space.
    Number(Exact, &'a str),
    /// An exponent too large to be written out; `true`: of an enormous number, `false`: of a tiny one.
    Extreme {
        negative: bool,
        enormous: bool,
    },
    None,
}

/// No number of the servers' has a digit so far from its point.
const FAR: i64 = 4096;

impl Exact {
    pub fn zero() -> Self {
        Self { negative: false, digits: Vec::new(), scale: 0 }
    }

    pub fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    pub fn is_negative(&self) -> bool {
        self.negative && !self.is_zero()
    }

    /// The number that a text begins with, after white space: sign, digits with a point, exponent.
    pub fn prefix(text: &str) -> Prefix<'_> {
        let text = text.trim_start_matches(is_space);
        let (negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, text.get(1..).unwrap_or_default()),
            Some(b'+') => (false, text.get(1..).unwrap_or_default()),
            _ => (false, text),
        };
        let whole = digits_at(unsigned);
        let behind = unsigned.get(whole.len()..).unwrap_or_default();
        let (fraction, rest) = match behind.strip_prefix('.') {
            Some(after) => {
                let fraction = digits_at(after);
                (fraction, after.get(fraction.len()..).unwrap_or_default())
            }
            None => ("", behind),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Prefix::None;
        }
        let (exponent, rest) = exponent(rest);
        let digits: Vec<u8> =
            whole.bytes().chain(fraction.bytes()).map(|b| b - b'0').skip_while(|digit| *digit == 0).collect();
        let scale = i64::try_from(fraction.len()).unwrap_or(i64::MAX);
        if digits.is_empty() {
            return Prefix::Number(Self { negative, digits, scale: 0 }, rest.trim_start_matches(is_space));
        }
        let Some(exponent) = exponent.filter(|e| e.abs() < FAR) else {
            return Prefix::Extreme { negative, enormous: !exponent_is_negative(rest, behind) };
        };
        Prefix::Number(Self { negative, digits, scale: scale - exponent }, rest.trim_start_matches(is_space))
    }

    /// A text that is a number and nothing else.
    pub fn whole(text: &str) -> Option<Self> {
        match Self::prefix(text) {
            Prefix::Number(number, "") if !text.starts_with(is_space) && !text.ends_with(is_space) => Some(number),
            _ => None,
        }
    }

    pub fn integer(number: i128) -> Self {
        let digits = number.unsigned_abs().to_string().bytes().map(|b| b - b'0').skip_while(|d| *d == 0).collect();
        Self { negative: number < 0, digits, scale: 0 }
    }

    /// With this many digits behind the point, half away from zero.
    pub fn round(&self, scale: i64) -> Self {
        let mut rounded = self.clone();
        let drop = self.scale - scale;
        if drop <= 0 {
            return rounded;
        }
        let drop = usize::try_from(drop).unwrap_or(usize::MAX);
        rounded.scale = scale;
        if drop > rounded.digits.len() {
            rounded.digits.clear();
            return rounded;
        }
        let keep = rounded.digits.len() - drop;
        let up = rounded.digits.get(keep).is_some_and(|digit| *digit >= 5);
        rounded.digits.truncate(keep);
        if up {
            let mut carry = true;
            for digit in rounded.digits.iter_mut().rev() {
                if *digit == 9 {
                    *digit = 0;
                } else {
                    *digit += 1;
                    carry = false;
                    break;
                }
            }
            if carry {
                rounded.digits.insert(0, 1);
            }
        }
        rounded
    }

    /// As an integer, half away from zero; `None` beyond i128.
    pub fn to_integer(&self) -> Option<i128> {
        let rounded = self.round(0);
        let zeros = usize::try_from(-rounded.scale).unwrap_or(0);
        if rounded.digits.len() + zeros > 38 && !rounded.digits.is_empty() {
            return None;
        }
        let digits = rounded.digits.iter().copied().chain(std::iter::repeat_n(0, zeros));
        let magnitude = digits.fold(0i128, |number, digit| number * 10 + i128::from(digit));
        Some(if rounded.negative { -magnitude } else { magnitude })
    }

    /// Digits before the point.
    pub fn whole_digits(&self) -> i64 {
        match self.digits.is_empty() {
            true => 0,
            false => (i64::try_from(self.digits.len()).unwrap_or(i64::MAX) - self.scale).max(0),
        }
    }

    /// With exactly `scale` digits behind the point, as a DECIMAL prints.
    pub fn text(&self, scale: u8) -> String {
        let rounded = self.round(i64::from(scale));
        let mut digits: String = rounded.digits.iter().map(|digit| char::from(b'0' + digit)).collect();
        let missing = usize::try_from(i64::from(scale) - rounded.scale).unwrap_or(0);
        if !rounded.digits.is_empty() {
            digits.extend(std::iter::repeat_n('0', missing));
        }
        let scale = usize::from(scale);
        if digits.len() <= scale {
            digits.insert_str(0, &"0".repeat(scale + 1 - digits.len()));
        }
        if scale > 0 {
            digits.insert(digits.len() - scale, '.');
        }
        if rounded.is_negative() { format!("-{digits}") } else { digits }
    }
}

/// As the servers' `my_isspace`.
pub fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\u{b}' | '\u{c}' | '\r')
}

fn digits_at(text: &str) -> &str {
    let end = text.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

/// The exponent behind a number, 0 if there is none, and what follows; `None` if it is out of all bounds.
fn exponent(text: &str) -> (Option<i64>, &str) {
    let Some(after) = text.strip_prefix(['e', 'E']) else { return (Some(0), text) };
    let digits = after.strip_prefix(['+', '-']).unwrap_or(after);
    let number = digits_at(digits);
    if number.is_empty() {
        return (Some(0), text);
    }
    let rest = digits.get(number.len()..).unwrap_or_default();
    let value = number.parse::<i64>().ok();
    (value.map(|value| if after.starts_with('-') { -value } else { value }), rest)
}

fn exponent_is_negative(rest: &str, behind: &str) -> bool {
    let exponent = behind.strip_suffix(rest).unwrap_or(behind);
    exponent.contains("e-") || exponent.contains("E-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(number: &str, scale: u8) -> String {
        match Exact::prefix(number) {
            Prefix::Number(number, _) => number.text(scale),
            _ => "?".to_owned(),
        }
    }

    #[test]
    fn numbers_round_half_away_from_zero() {
        for (number, scale, expected) in [
            ("1.005", 2, "1.01"),
            ("-1.005", 2, "-1.01"),
            ("0.4", 0, "0"),
            ("-0.4", 0, "0"),
            ("0.5", 0, "1"),
            ("9.99", 1, "10.0"),
            ("1e2", 2, "100.00"),
            ("15e-1", 0, "2"),
            ("0.001", 2, "0.00"),
            ("-0.001", 2, "0.00"),
            ("007", 1, "7.0"),
            (".5", 2, "0.50"),
            ("5.", 1, "5.0"),
            ("0.004e1", 1, "0.0"),
            ("0.05", 1, "0.1"),
        ] {
            assert_eq!(text(number, scale), expected, "{number}");
        }
    }

    #[test]
    fn a_number_ends_where_it_ends() {
        let rest = |number| match Exact::prefix(number) {
            Prefix::Number(_, rest) => rest.to_owned(),
            _ => "?".to_owned(),
        };
        assert_eq!(rest(" 12 "), "");
        assert_eq!(rest("1abc"), "abc");
        assert_eq!(rest("1e"), "e");
        assert_eq!(rest("1e+"), "e+");
        assert_eq!(rest("1 2"), "2");
        assert!(matches!(Exact::prefix("-"), Prefix::None));
        assert!(matches!(Exact::prefix("."), Prefix::None));
        assert!(matches!(Exact::prefix("1e99999"), Prefix::Extreme { enormous: true, .. }));
        assert!(matches!(Exact::prefix("1e-99999x"), Prefix::Extreme { enormous: false, .. }));
        assert!(Exact::whole(" 1").is_none() && Exact::whole("1x").is_none());
    }
}
