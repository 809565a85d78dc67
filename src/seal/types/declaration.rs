//! `type:` of the configuration, in the words of `CREATE TABLE`.

use std::str::FromStr;

use super::{Integer, IntegerKind, LogicalType, Size};

/// Why a text is not a type that a protected column can have: what is wrong, and what to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAType {
    pub problem: String,
    pub hint: &'static str,
}

const EXAMPLES: &str = "for example `int unsigned`, `decimal(10,2)`, `date`, `datetime(6)`, `varchar(100)`, \
                        `varbinary(64)`, `enum('a','b')`";

fn wrong<T>(problem: impl Into<String>, hint: &'static str) -> Result<T, NotAType> {
    Err(NotAType { problem: problem.into(), hint })
}

impl FromStr for LogicalType {
    type Err = NotAType;

    fn from_str(text: &str) -> Result<Self, NotAType> {
        let text = text.trim();
        let end = text.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(text.len());
        let (name, rest) = text.split_at_checked(end).unwrap_or_default();
        let name = name.to_ascii_lowercase();
        let rest = rest.trim_start();
        let (arguments, attributes) = match rest.strip_prefix('(') {
            Some(inside) => match close(inside) {
                Some((inside, after)) => (Some(inside), after.trim()),
                None => return wrong("the parenthesis is not closed", EXAMPLES),
            },
            None => (None, rest),
        };
        let mut attributes: Vec<String> = attributes.split_whitespace().map(str::to_ascii_lowercase).collect();
        if name == "double" && attributes.first().is_some_and(|word| word == "precision") {
            attributes.remove(0);
        }
        let unsigned = match attributes.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            [] => false,
            ["unsigned"] => true,
            ["signed"] => false,
            _ => {
                return wrong(
                    format!("`{}` is not known behind `{name}`", attributes.join(" ")),
                    "only `unsigned` may follow a type; character sets, ZEROFILL, NULL and DEFAULT are the column's own",
                );
            }
        };
        let parsed = base(&name, arguments, unsigned)?;
        let takes_sign =
            matches!(parsed, Self::Integer(_) | Self::Decimal { .. } | Self::Float { .. } | Self::Double { .. });
        if !attributes.is_empty() && !takes_sign {
            return wrong(format!("`{name}` cannot be unsigned"), EXAMPLES);
        }
        Ok(parsed)
    }
}

/// What is before the parenthesis that closes, and what is behind it.
fn close(text: &str) -> Option<(&str, &str)> {
    let mut quoted = false;
    for (at, c) in text.char_indices() {
        match c {
            '\'' => quoted = !quoted,
            ')' if !quoted => return Some((text.get(..at)?, text.get(at + 1..)?)),
            _ => {}
        }
    }
    None
}

fn base(name: &str, arguments: Option<&str>, unsigned: bool) -> Result<LogicalType, NotAType> {
    let integer = |kind| LogicalType::Integer(Integer { kind, unsigned });
    let none = |parsed| match arguments {
        None => Ok(parsed),
        Some(_) => wrong(format!("`{name}` takes nothing in parentheses"), EXAMPLES),
    };
    let kind = match name {
        "tinyint" => Some(IntegerKind::Tiny),
        "smallint" => Some(IntegerKind::Small),
        "mediumint" => Some(IntegerKind::Medium),
        "int" | "integer" => Some(IntegerKind::Int),
        "bigint" => Some(IntegerKind::Big),
        _ => None,
    };
    if let Some(kind) = kind {
        return match arguments.map(str::trim) {
            Some("1") if kind == IntegerKind::Tiny && !unsigned => Ok(integer(IntegerKind::Bool)),
            // The width that MariaDB shows for every integer.
            Some(width) if width.parse() == Ok(Integer { kind, unsigned }.width()) => Ok(integer(kind)),
            Some(_) => wrong(
                format!("a display width other than `{name}`'s own is not supported"),
                "leave the width out; `tinyint(1)` is the only one that means something",
            ),
            None => Ok(integer(kind)),
        };
    }
    match name {
        "bool" | "boolean" => none(integer(IntegerKind::Bool)),
        "decimal" | "dec" | "numeric" | "fixed" => {
            let (precision, scale) = match arguments {
                None => (10, 0),
                Some(text) => match text.split_once(',') {
                    Some((precision, scale)) => (number(precision, 1, 65)?, number(scale, 0, 30)?),
                    None => (number(text, 1, 65)?, 0),
                },
            };
            if scale > precision {
                return wrong("the digits behind the point are more than all digits", EXAMPLES);
            }
            Ok(LogicalType::Decimal { precision: narrow(precision), scale: narrow(scale), unsigned })
        }
        "float" | "double" | "real" if arguments.is_some() => wrong(
            format!("`{name}` with a number of digits is not supported"),
            "write `float`, `double` or a `decimal`",
        ),
        "float" => Ok(LogicalType::Float { unsigned }),
        "double" | "real" => Ok(LogicalType::Double { unsigned }),
        "date" => none(LogicalType::Date),
        "datetime" => Ok(LogicalType::DateTime { fraction: fraction(arguments)? }),
        "time" => Ok(LogicalType::Time { fraction: fraction(arguments)? }),
        "timestamp" => wrong(
            "`timestamp` is not supported: its value depends on the session's time zone",
            "use `datetime`, and keep times in UTC",
        ),
        "year" => match arguments.map(str::trim) {
            None | Some("4") => Ok(LogicalType::Year),
            Some(_) => wrong("`year` has four digits", "write `year`"),
        },
        "char" | "character" => Ok(LogicalType::Char(length(arguments, Some(1), 255)?)),
        "varchar" => Ok(LogicalType::Varchar(length(arguments, None, 65_535)?)),
        "binary" => Ok(LogicalType::Binary(length(arguments, Some(1), 255)?)),
        "varbinary" => Ok(LogicalType::Varbinary(length(arguments, None, 65_535)?)),
        "tinytext" => none(LogicalType::Text(Size::Tiny)),
        "text" => none(LogicalType::Text(Size::Plain)),
        "mediumtext" => none(LogicalType::Text(Size::Medium)),
        "longtext" => none(LogicalType::Text(Size::Long)),
        "tinyblob" => none(LogicalType::Blob(Size::Tiny)),
        "blob" => none(LogicalType::Blob(Size::Plain)),
        "mediumblob" => none(LogicalType::Blob(Size::Medium)),
        "longblob" => none(LogicalType::Blob(Size::Long)),
        "json" => none(LogicalType::Json),
        "enum" => Ok(LogicalType::Enum(members(arguments, 65_535)?)),
        "set" => {
            let members = members(arguments, 64)?;
            if members.iter().any(|member| member.contains(',')) {
                return wrong("a member of a SET holds a comma", EXAMPLES);
            }
            Ok(LogicalType::Set(members))
        }
        "bit" => Ok(LogicalType::Bit(narrow(arguments.map_or(Ok(1), |text| number(text, 1, 64))?))),
        _ => wrong(format!("`{name}` is not a type that a protected column can have"), EXAMPLES),
    }
}

fn number(text: &str, least: u32, most: u32) -> Result<u32, NotAType> {
    match text.trim().parse::<u32>() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => wrong(format!("the number in parentheses must be between {least} and {most}"), EXAMPLES),
    }
}

/// Of numbers that are known to be at most 65.
fn narrow(number: u32) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

fn fraction(arguments: Option<&str>) -> Result<u8, NotAType> {
    Ok(narrow(arguments.map_or(Ok(0), |text| number(text, 0, 6))?))
}

fn length(arguments: Option<&str>, default: Option<u32>, most: u32) -> Result<u32, NotAType> {
    match (arguments, default) {
        (Some(text), _) => number(text, 1, most),
        (None, Some(default)) => Ok(default),
        (None, None) => wrong("a length is missing", "write it in parentheses, as in `varchar(100)`"),
    }
}

/// `'a','b'`, a quote inside written twice.
fn members(arguments: Option<&str>, most: usize) -> Result<Vec<String>, NotAType> {
    let problem = || wrong("the members are not written as 'a','b'", "quote each member with ' and put commas between");
    let mut rest = arguments.unwrap_or_default().trim();
    let mut members: Vec<String> = Vec::new();
    loop {
        let Some(mut inside) = rest.strip_prefix('\'') else { return problem() };
        let mut member = String::new();
        rest = loop {
            let Some((piece, after)) = inside.split_once('\'') else { return problem() };
            member.push_str(piece);
            match after.strip_prefix('\'') {
                Some(after) => {
                    member.push('\'');
                    inside = after;
                }
                None => break after.trim_start(),
            }
        };
        // The servers keep members without the spaces at their ends.
        let member = member.trim_end_matches(' ').to_owned();
        if members.iter().any(|other| other.to_lowercase() == member.to_lowercase()) {
            return wrong("a member is given twice", "members do not distinguish case");
        }
        members.push(member);
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None if rest.is_empty() && members.len() <= most => return Ok(members),
            None => return problem(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> LogicalType {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error:?}"))
    }

    #[test]
    fn types_print_as_they_are_declared() {
        for text in [
            "tinyint(1)",
            "tinyint",
            "smallint unsigned",
            "mediumint",
            "int",
            "int unsigned",
            "bigint unsigned",
            "decimal(10,2)",
            "decimal(65,30) unsigned",
            "float",
            "double unsigned",
            "date",
            "datetime",
            "datetime(6)",
            "time(3)",
            "year",
            "char(11)",
            "varchar(100)",
            "tinytext",
            "longtext",
            "binary(16)",
            "varbinary(64)",
            "mediumblob",
            "enum('a','it''s','')",
            "set('a','b')",
            "bit(9)",
            "json",
        ] {
            assert_eq!(parse(text).to_string(), text);
        }
    }

    #[test]
    fn other_spellings_are_the_same_types() {
        for (text, same) in [
            ("BOOL", "tinyint(1)"),
            (" Integer ", "int"),
            ("int(11)", "int"),
            ("INT(10) UNSIGNED", "int unsigned"),
            ("bigint(20)", "bigint"),
            ("numeric(5)", "decimal(5,0)"),
            ("decimal", "decimal(10,0)"),
            ("double precision", "double"),
            ("real", "double"),
            ("char", "char(1)"),
            ("bit", "bit(1)"),
            ("year(4)", "year"),
            ("datetime (3)", "datetime(3)"),
            ("enum( 'a' , 'b ' )", "enum('a','b')"),
        ] {
            assert_eq!(parse(text).to_string(), same, "{text}");
        }
    }

    #[test]
    fn what_is_not_a_type_says_why() {
        for text in [
            "",
            "int(5)",
            "int zerofill",
            "tinyint(1) unsigned",
            "varchar",
            "varchar(0)",
            "char(256)",
            "decimal(66)",
            "decimal(2,3)",
            "float(7,3)",
            "datetime(7)",
            "timestamp",
            "enum()",
            "enum('a','A')",
            "enum('a'",
            "set('a,b')",
            "bit(65)",
            "date unsigned",
            "geometry",
            "json)",
            "varchar(10) character set utf8",
            "text(5)",
            "serial",
        ] {
            assert!(text.parse::<LogicalType>().is_err(), "{text}");
        }
    }
}
