//! What a statement gives to a column, and what becomes of it under the declared type.

use zeroize::Zeroizing;

use super::{Content, DateTime, LogicalType, Time, bit, float, integer, json, members, strings, temporal};
use crate::catalog::ServerFlavor;

/// A value on its way into a column, before conversion.
pub enum Input {
    /// A string, in UTF-8.
    Text(Zeroizing<String>),
    /// A binary string.
    Bytes(Zeroizing<Vec<u8>>),
    Integer(i128),
    /// An exact number: digits with a sign and a point, no exponent.
    Decimal(Zeroizing<String>),
    Double(f64),
    /// A hexadecimal or bit literal: a number to numeric types, a string to others.
    Hex(Zeroizing<Vec<u8>>),
    Date(DateTime),
    DateTime(DateTime),
    Time(Time),
}

/// What a conversion depends on besides type and value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    pub flavor: ServerFlavor,
    pub bad: BadValue,
    pub no_zero_date: bool,
    pub no_zero_in_date: bool,
    pub allow_invalid_dates: bool,
    /// MySQL's TIME_TRUNCATE_FRACTIONAL, MariaDB's TIME_ROUND_FRACTIONAL: the other than the usual way.
    pub fractions_otherwise: bool,
}

/// What becomes of a value that the type does not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadValue {
    /// Strict mode: the server's own error.
    Error,
    /// Otherwise: the nearest value, as the server would store it with a warning.
    Clip,
    /// Depends on how many rows were written before: refused.
    Refuse,
}

/// Why a value is not taken as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// 1264.
    OutOfRange,
    /// 1366, with what the server calls the type.
    Incorrect(&'static str),
    /// 1265.
    Truncated,
    /// 1292, with what the server calls the type.
    IncorrectTime(&'static str),
    /// 1406.
    TooLong,
    /// 3140, MySQL's; in every mode.
    InvalidJson,
    /// 4025, MariaDB's: the CHECK that comes with the type; in every mode.
    JsonConstraint,
    /// Sealwire does not know for sure what the server would store: what it is.
    Uncertain(&'static str),
}

/// A conversion as the server makes it: the value it would store, and what it would say.
pub struct Fitting {
    /// `None` where it is not certain.
    pub value: Option<Zeroizing<Vec<u8>>>,
    pub problem: Option<Problem>,
}

impl Fitting {
    pub fn good(value: impl Into<Vec<u8>>) -> Self {
        Self { value: Some(Zeroizing::new(value.into())), problem: None }
    }

    pub fn bad(value: impl Into<Vec<u8>>, problem: Problem) -> Self {
        Self { value: Some(Zeroizing::new(value.into())), problem: Some(problem) }
    }

    /// An error for sure in strict mode, an unknown value otherwise.
    pub fn error(problem: Problem) -> Self {
        Self { value: None, problem: Some(problem) }
    }

    pub fn uncertain(what: &'static str) -> Self {
        Self { value: None, problem: Some(Problem::Uncertain(what)) }
    }
}

/// The plaintext that `input` leaves in a column of this type.
///
/// # Errors
/// The server would refuse the value, or what it would store is not certain.
pub fn fit(logical: &LogicalType, input: &Input, rules: Rules) -> Result<Zeroizing<Vec<u8>>, Problem> {
    let fitting = match logical {
        LogicalType::Integer(kind) => integer::integer(*kind, input, rules),
        LogicalType::Decimal { precision, scale, unsigned } => {
            integer::decimal(*precision, *scale, *unsigned, input, rules)
        }
        LogicalType::Float { unsigned } | LogicalType::Double { unsigned } => {
            float::float(logical, *unsigned, input, rules)
        }
        LogicalType::Date => temporal::date(input, rules),
        LogicalType::DateTime { fraction } => temporal::datetime(*fraction, input, rules),
        LogicalType::Time { fraction } => temporal::time(*fraction, input, rules),
        LogicalType::Year => integer::year(input),
        LogicalType::Char(_)
        | LogicalType::Varchar(_)
        | LogicalType::Text(_)
        | LogicalType::Binary(_)
        | LogicalType::Varbinary(_)
        | LogicalType::Blob(_) => strings::string(logical, input, rules),
        LogicalType::Json => json::json(input, rules),
        LogicalType::Enum(all) => members::one(all, input, rules),
        LogicalType::Set(all) => members::some(all, input),
        LogicalType::Bit(bits) => bit::bit(*bits, input),
    };
    match (fitting.problem, fitting.value, rules.bad) {
        (Some(problem @ (Problem::InvalidJson | Problem::JsonConstraint)), _, _) => Err(problem),
        (None, Some(value), _) | (Some(_), Some(value), BadValue::Clip) => Ok(value),
        (Some(problem @ Problem::Uncertain(_)), _, _) | (Some(problem), _, BadValue::Error) => Err(problem),
        (Some(_), _, BadValue::Refuse) => Err(Problem::Uncertain(
            "a value that the type does not take, which the server would change in some rows and refuse in others",
        )),
        _ => Err(Problem::Uncertain("a value that the type does not take, which the server would change")),
    }
}

impl Input {
    /// The value as characters, if that is what the server would read.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Bytes(bytes) | Self::Hex(bytes) => std::str::from_utf8(bytes).ok().filter(|text| text.is_ascii()),
            _ => None,
        }
    }

    /// The number that a hexadecimal or bit literal is; `None` beyond 64 bits.
    pub fn hex_number(bytes: &[u8]) -> Option<u64> {
        let significant = bytes.iter().position(|byte| *byte != 0).map_or(&[][..], |at| bytes.get(at..).unwrap_or(&[]));
        (significant.len() <= 8).then(|| significant.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }
}

impl LogicalType {
    /// Whether strings given to the column are to be kept as the bytes that the session sent.
    pub fn keeps_bytes(&self) -> bool {
        self.content() == Content::Bytes
    }
}
