//! JSON: kept as it is written on MariaDB, in MySQL's own form on MySQL (keys sorted by length and bytes, one
//! spelling of numbers and strings, the last of equal keys).

use super::{Fitting, Input, Problem, Rules};
use crate::catalog::ServerFlavor;
use crate::wire::number::{Style, double_text};

/// Nested deeper than this, the servers disagree about what is valid.
const DEPTH: usize = 30;
/// Digits of a number that every parser reads as the same double.
const SURE_DIGITS: usize = 15;

enum Json {
    Null,
    Bool(bool),
    Integer(i128),
    Double(f64),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// Why a text was not read.
enum Unread {
    Invalid,
    Unsure(&'static str),
}

pub fn json(input: &Input, rules: Rules) -> Fitting {
    let Input::Text(text) = input else {
        return Fitting::uncertain("this kind of value for a JSON");
    };
    let mut reader = Reader { rest: text, depth: 0, printed: false };
    let value = reader.value().and_then(|value| {
        reader.space();
        if reader.rest.is_empty() { Ok(value) } else { Err(Unread::Invalid) }
    });
    match (value, rules.flavor) {
        (Ok(_), ServerFlavor::MariaDb) => Fitting::good(text.as_bytes()),
        (Ok(value), ServerFlavor::MySql) => {
            let mut out = String::with_capacity(text.len());
            print(&value, &mut out);
            Fitting::good(out)
        }
        (Err(Unread::Invalid), ServerFlavor::MySql) => Fitting::error(Problem::InvalidJson),
        (Err(Unread::Invalid), ServerFlavor::MariaDb) => Fitting::error(Problem::JsonConstraint),
        (Err(Unread::Unsure(what)), _) => Fitting::uncertain(what),
    }
}

/// Whether an opened text is JSON.
pub fn is_json(text: &str) -> bool {
    let mut reader = Reader { rest: text, depth: 0, printed: true };
    let read = reader.value().is_ok();
    reader.space();
    read && reader.rest.is_empty()
}

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
    /// A text that was stored: its numbers are as the server printed them.
    printed: bool,
}

impl<'a> Reader<'a> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn take(&mut self, token: &str) -> bool {
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn digits(&mut self) -> &'a str {
        let end = self.rest.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at_checked(end).unwrap_or_default();
        self.rest = rest;
        digits
    }

    fn value(&mut self) -> Result<Json, Unread> {
        self.space();
        for (word, value) in [("null", Json::Null), ("true", Json::Bool(true)), ("false", Json::Bool(false))] {
            if self.take(word) {
                return Ok(value);
            }
        }
        match self.rest.bytes().next() {
            Some(b'"') => self.string().map(Json::Text),
            Some(b'[') => self.nested(Self::array),
            Some(b'{') => self.nested(Self::object),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(Unread::Invalid),
        }
    }

    fn nested(&mut self, read: impl Fn(&mut Self) -> Result<Json, Unread>) -> Result<Json, Unread> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(Unread::Unsure("a deeply nested JSON"));
        }
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn array(&mut self) -> Result<Json, Unread> {
        let mut elements = Vec::new();
        self.take("[");
        self.space();
        if self.take("]") {
            return Ok(Json::Array(elements));
        }
        loop {
            elements.push(self.value()?);
            self.space();
            if self.take("]") {
                return Ok(Json::Array(elements));
            }
            if !self.take(",") {
                return Err(Unread::Invalid);
            }
        }
    }

    fn object(&mut self) -> Result<Json, Unread> {
        let mut members: Vec<(String, Json)> = Vec::new();
        self.take("{");
        self.space();
        if self.take("}") {
            return Ok(Json::Object(members));
        }
        loop {
            self.space();
            if !self.rest.starts_with('"') {
                return Err(Unread::Invalid);
            }
            let key = self.string()?;
            self.space();
            if !self.take(":") {
                return Err(Unread::Invalid);
            }
            members.push((key, self.value()?));
            self.space();
            if self.take("}") {
                break;
            }
            if !self.take(",") {
                return Err(Unread::Invalid);
            }
        }
        // The last of equal keys counts: it stands first once the order is turned, and sorting keeps that.
        members.reverse();
        members.sort_by(|(a, _), (b, _)| (a.len(), a.as_bytes()).cmp(&(b.len(), b.as_bytes())));
        members.dedup_by(|(a, _), (b, _)| a == b);
        Ok(Json::Object(members))
    }

    fn number(&mut self) -> Result<Json, Unread> {
        let start = self.rest;
        let negative = self.take("-");
        let whole = self.digits();
        if whole.is_empty() || whole.len() > 1 && whole.starts_with('0') {
            return Err(Unread::Invalid);
        }
        let mut digits = whole.len();
        let mut integer = true;
        if self.take(".") {
            integer = false;
            let fraction = self.digits();
            if fraction.is_empty() {
                // MariaDB takes it, MySQL does not.
                return Err(Unread::Unsure("a JSON number without digits behind its point"));
            }
            digits += fraction.len();
        }
        if self.take("e") || self.take("E") {
            integer = false;
            if !self.take("-") {
                self.take("+");
            }
            if self.digits().is_empty() {
                return Err(Unread::Invalid);
            }
        }
        let text = start.get(..start.len() - self.rest.len()).unwrap_or_default();
        if integer {
            match text.parse::<i128>() {
                Ok(number) if number >= i128::from(i64::MIN) && number <= i128::from(u64::MAX) => {
                    return Ok(Json::Integer(number));
                }
                _ if self.printed => return Ok(Json::Null),
                _ => return Err(Unread::Unsure("a JSON number of very many digits")),
            }
        }
        match text.parse::<f64>() {
            Ok(number) if self.printed => Ok(Json::Double(number)),
            Ok(number) if digits <= SURE_DIGITS && number.is_finite() && (number != 0.0 || !negative) => {
                Ok(Json::Double(number))
            }
            _ => Err(Unread::Unsure("a JSON number of very many digits or without bounds")),
        }
    }

    fn string(&mut self) -> Result<String, Unread> {
        self.take("\"");
        let mut text = String::new();
        loop {
            let end = self.rest.find(|c: char| c == '"' || c == '\\' || c < ' ').ok_or(Unread::Invalid)?;
            let (plain, rest) = self.rest.split_at_checked(end).unwrap_or_default();
            text.push_str(plain);
            self.rest = rest;
            if self.take("\"") {
                return Ok(text);
            }
            if !self.take("\\") {
                return Err(Unread::Unsure("a JSON string with a control character"));
            }
            let escape = self.rest.chars().next().ok_or(Unread::Invalid)?;
            self.rest = self.rest.get(escape.len_utf8()..).unwrap_or_default();
            text.push(match escape {
                '"' | '\\' | '/' => escape,
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => self.escaped()?,
                _ => return Err(Unread::Unsure("a JSON string with an unknown escape")),
            });
        }
    }

    /// The character behind `\u`, with the second half of a pair.
    fn escaped(&mut self) -> Result<char, Unread> {
        const SURROGATE: Unread = Unread::Unsure("a JSON string with half a character");
        let first = self.four()?;
        if let Some(c) = char::from_u32(first) {
            return Ok(c);
        }
        if !self.take("\\u") {
            return Err(SURROGATE);
        }
        let second = self.four()?;
        if !(0xD800..0xDC00).contains(&first) || !(0xDC00..0xE000).contains(&second) {
            return Err(SURROGATE);
        }
        char::from_u32(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)).ok_or(SURROGATE)
    }

    fn four(&mut self) -> Result<u32, Unread> {
        let digits = self.rest.get(..4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit())).ok_or(Unread::Invalid)?;
        self.rest = self.rest.get(4..).unwrap_or_default();
        u32::from_str_radix(digits, 16).map_err(|_| Unread::Invalid)
    }
}

/// As MySQL prints it.
fn print(value: &Json, out: &mut String) {
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Json::Integer(number) => out.push_str(&number.to_string()),
        Json::Double(number) => {
            let text = double_text(*number, Style::MariaDb);
            out.push_str(&text);
            if !text.contains(['.', 'e']) {
                out.push_str(".0");
            }
        }
        Json::Text(text) => quote(text, out),
        Json::Array(elements) => {
            out.push('[');
            for (n, element) in elements.iter().enumerate() {
                out.push_str(if n > 0 { ", " } else { "" });
                print(element, out);
            }
            out.push(']');
        }
        Json::Object(members) => {
            out.push('{');
            for (n, (key, value)) in members.iter().enumerate() {
                out.push_str(if n > 0 { ", " } else { "" });
                quote(key, out);
                out.push_str(": ");
                print(value, out);
            }
            out.push('}');
        }
    }
}

fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}
