//! Logical types: what a protected column is to the application while the database holds text or bytes.
//!
//! The plaintext that is sealed is the text that the servers print for a value of the type (for binary
//! types and BIT its bytes), so that it can be read without Sealwire. [`fit`] turns what a statement
//! gives to the column into that plaintext as the server would convert it; what it cannot tell for sure
//! it refuses. Pure; measured on MariaDB 10.11, MariaDB 11.8 and MySQL 9.7.

mod bit;
mod calendar;
mod declaration;
mod exact;
mod find;
mod fit;
mod float;
mod integer;
mod json;
mod members;
mod strings;
mod temporal;

pub use calendar::{DateTime, Time};
pub use declaration::NotAType;
pub use find::find;
pub use fit::{BadValue, Fitting, Input, Problem, Rules, fit};
pub use float::float_text;

use std::fmt;

/// A declared type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogicalType {
    Integer(Integer),
    Decimal {
        precision: u8,
        scale: u8,
        unsigned: bool,
    },
    Float {
        unsigned: bool,
    },
    Double {
        unsigned: bool,
    },
    Date,
    DateTime {
        /// Digits of a second's fraction, 0 to 6.
        fraction: u8,
    },
    Time {
        /// Digits of a second's fraction, 0 to 6.
        fraction: u8,
    },
    Year,
    /// Characters.
    Char(u32),
    /// Characters.
    Varchar(u32),
    Text(Size),
    /// Bytes; shorter values are padded with zero bytes.
    Binary(u32),
    /// Bytes.
    Varbinary(u32),
    Blob(Size),
    Json,
    Enum(Vec<String>),
    Set(Vec<String>),
    /// Bits, 1 to 64.
    Bit(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Integer {
    pub kind: IntegerKind,
    pub unsigned: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntegerKind {
    /// `TINYINT(1)`, `BOOL`: a TINYINT that says it is one character wide.
    Bool,
    Tiny,
    Small,
    Medium,
    Int,
    Big,
}

/// Of TEXT and BLOB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    Tiny,
    Plain,
    Medium,
    Long,
}

/// What the plaintext of a type consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Characters, in UTF-8; clients read them in their own character set.
    Characters,
    /// Bytes, to be kept as they are.
    Bytes,
    /// ASCII text of a number, date or time.
    Ascii,
}

impl Size {
    /// Bytes, at most.
    pub fn limit(self) -> u64 {
        match self {
            Size::Tiny => 255,
            Size::Plain => 65_535,
            Size::Medium => 16_777_215,
            Size::Long => 4_294_967_295,
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Size::Tiny => "tiny",
            Size::Plain => "",
            Size::Medium => "medium",
            Size::Long => "long",
        }
    }
}

impl LogicalType {
    pub fn content(&self) -> Content {
        match self {
            Self::Char(_) | Self::Varchar(_) | Self::Text(_) | Self::Json | Self::Enum(_) | Self::Set(_) => {
                Content::Characters
            }
            Self::Binary(_) | Self::Varbinary(_) | Self::Blob(_) | Self::Bit(_) => Content::Bytes,
            _ => Content::Ascii,
        }
    }

    /// What the server puts where a NOT NULL column of the type gets nothing.
    pub fn implicit_default(&self) -> Vec<u8> {
        match self {
            Self::Integer(_) | Self::Float { .. } | Self::Double { .. } => b"0".to_vec(),
            Self::Decimal { scale, .. } => exact::Exact::zero().text(*scale).into_bytes(),
            Self::Date => b"0000-00-00".to_vec(),
            Self::DateTime { fraction } => DateTime::default().text(*fraction).into_bytes(),
            Self::Time { fraction } => Time::default().text(*fraction).into_bytes(),
            Self::Year => b"0000".to_vec(),
            Self::Json => b"null".to_vec(),
            Self::Binary(length) => vec![0; usize::try_from(*length).unwrap_or(0)],
            Self::Enum(members) => members.first().map(|member| member.clone().into_bytes()).unwrap_or_default(),
            Self::Bit(bits) => vec![0; usize::from(bits.div_ceil(8))],
            Self::Char(_) | Self::Varchar(_) | Self::Text(_) | Self::Varbinary(_) | Self::Blob(_) | Self::Set(_) => {
                Vec::new()
            }
        }
    }

    /// The longest plaintext in bytes; characters count as the one byte that ASCII takes.
    pub fn longest(&self) -> u64 {
        match self {
            Self::Integer(integer) => u64::from(integer.width()) + u64::from(integer.kind == IntegerKind::Bool) * 3,
            Self::Decimal { precision, scale, unsigned } => {
                u64::from(*precision) + u64::from(!unsigned) + u64::from(*scale > 0) + u64::from(precision == scale)
            }
            Self::Float { .. } => 14,
            Self::Double { .. } => 24,
            Self::Date => 10,
            Self::DateTime { fraction } => 19 + fraction_width(*fraction),
            Self::Time { fraction } => 10 + fraction_width(*fraction),
            Self::Year => 4,
            Self::Char(n) | Self::Varchar(n) | Self::Binary(n) | Self::Varbinary(n) => u64::from(*n),
            Self::Text(size) | Self::Blob(size) => size.limit(),
            Self::Json => Size::Long.limit(),
            Self::Enum(members) => members.iter().map(|member| member.len() as u64).max().unwrap_or(0),
            Self::Set(members) => members.iter().map(|member| member.len() as u64 + 1).sum::<u64>().saturating_sub(1),
            Self::Bit(bits) => u64::from(bits.div_ceil(8)),
        }
    }

    /// Whether opened bytes are a value of the type in the form in which [`fit`] makes them.
    pub fn holds(&self, plain: &[u8]) -> bool {
        let text = std::str::from_utf8(plain).ok();
        match self {
            Self::Integer(integer) => text.and_then(|text| integer.parse(text)).is_some(),
            Self::Decimal { precision, scale, unsigned } => text.is_some_and(|text| {
                exact::Exact::whole(text).is_some_and(|value| {
                    value.text(*scale) == text
                        && value.whole_digits() <= i64::from(precision - scale)
                        && !(*unsigned && value.is_negative())
                })
            }),
            Self::Float { unsigned } | Self::Double { unsigned } => text
                .and_then(float::parse)
                .is_some_and(|value| !(*unsigned && value < 0.0) && float::canonical(self, value).as_deref() == text),
            Self::Date => text.and_then(DateTime::parse_date).is_some(),
            Self::DateTime { fraction } => text.and_then(|text| DateTime::parse(text, *fraction)).is_some(),
            Self::Time { fraction } => text.and_then(|text| Time::parse(text, *fraction)).is_some(),
            Self::Year => text.is_some_and(|text| text.len() == 4 && text.parse().is_ok_and(integer::is_year)),
            Self::Char(n) | Self::Varchar(n) => text.is_some_and(|text| text.chars().count() as u64 <= u64::from(*n)),
            Self::Text(size) => text.is_some() && plain.len() as u64 <= size.limit(),
            Self::Json => text.is_some_and(json::is_json),
            Self::Binary(n) => plain.len() as u64 == u64::from(*n),
            Self::Varbinary(n) => plain.len() as u64 <= u64::from(*n),
            Self::Blob(size) => plain.len() as u64 <= size.limit(),
            Self::Enum(members) => text.is_some_and(|text| text.is_empty() || members.iter().any(|m| m == text)),
            Self::Set(members) => text.is_some_and(|text| members::is_set(members, text)),
            Self::Bit(bits) => bit::holds(*bits, plain),
        }
    }
}

fn fraction_width(fraction: u8) -> u64 {
    if fraction == 0 { 0 } else { u64::from(fraction) + 1 }
}

/// As `SHOW COLUMNS` of MySQL prints the type.
impl fmt::Display for LogicalType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = |unsigned: &bool| if *unsigned { " unsigned" } else { "" };
        let digits = |fraction: &u8| if *fraction == 0 { String::new() } else { format!("({fraction})") };
        match self {
            Self::Integer(integer) => write!(f, "{}{}", integer.name(), sign(&integer.unsigned)),
            Self::Decimal { precision, scale, unsigned } => {
                write!(f, "decimal({precision},{scale}){}", sign(unsigned))
            }
            Self::Float { unsigned } => write!(f, "float{}", sign(unsigned)),
            Self::Double { unsigned } => write!(f, "double{}", sign(unsigned)),
            Self::Date => f.write_str("date"),
            Self::DateTime { fraction } => write!(f, "datetime{}", digits(fraction)),
            Self::Time { fraction } => write!(f, "time{}", digits(fraction)),
            Self::Year => f.write_str("year"),
            Self::Char(n) => write!(f, "char({n})"),
            Self::Varchar(n) => write!(f, "varchar({n})"),
            Self::Text(size) => write!(f, "{}text", size.prefix()),
            Self::Binary(n) => write!(f, "binary({n})"),
            Self::Varbinary(n) => write!(f, "varbinary({n})"),
            Self::Blob(size) => write!(f, "{}blob", size.prefix()),
            Self::Json => f.write_str("json"),
            Self::Enum(members) => write!(f, "enum({})", members::list(members)),
            Self::Set(members) => write!(f, "set({})", members::list(members)),
            Self::Bit(bits) => write!(f, "bit({bits})"),
        }
    }
}
