//! Constants and defaults on their way into a column with a declared type.

use std::ops::Range;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::assign::Strictness;
use super::planner::Planner;
use super::value::{Constant, Prefix};
use super::why;
use crate::catalog::{Physical, ProtectedColumn, ServerFlavor};
use crate::seal::Plaintext;
use crate::seal::types::{BadValue, Input, LogicalType, Rules, find, fit};
use crate::sql::Refusal;
use crate::sql::lex::{Token, TokenKind};
use crate::sql::misfit::{misfit, rules};

/// A DECIMAL has no more digits on any server.
const MOST_DIGITS: usize = 65;

impl Strictness {
    /// What becomes of a value in this row that the column's type does not take.
    pub fn bad_value(self, row: u32) -> BadValue {
        if self.ignore || !self.strict {
            BadValue::Clip
        } else if self.every_row || (row == 1 && !self.any_row && !self.update) {
            BadValue::Error
        } else {
            BadValue::Refuse
        }
    }
}

impl Planner<'_> {
    pub(super) fn rules(&self, bad: BadValue) -> Rules {
        rules(self.ctx.catalog.version.flavor, self.ctx.sql_mode, bad)
    }

    /// The plaintext that a constant leaves in a column of this type, and what of the text it replaces.
    pub(super) fn fit_constant(
        &self,
        index: usize,
        token: Token,
        constant: Constant,
        column: &Arc<ProtectedColumn>,
    ) -> Result<(Range<usize>, Vec<u8>), Refusal> {
        let Some(logical) = &column.logical else { return Err(why::literal(column, "this literal")) };
        let Some(bad) = self.bad_value else { return Err(why::mixed(column, "an expression")) };
        let (span, input) = self.input(index, token, constant, column)?;
        let plain = fit(logical, &input, self.rules(bad)).map_err(|problem| misfit(column, problem, self.row))?;
        Ok((span, plain.to_vec()))
    }

    /// The plaintext of the rows that equal a constant, and what of the text it replaces.
    pub(super) fn find_constant(
        &self,
        index: usize,
        token: Token,
        constant: Constant,
        column: &Arc<ProtectedColumn>,
    ) -> Result<(Range<usize>, Vec<u8>), Refusal> {
        let Some(logical) = &column.logical else { return Err(why::literal(column, "this literal")) };
        let (span, input) = self.input(index, token, constant, column)?;
        match find(logical, &input, self.rules(BadValue::Refuse)) {
            Some(plain) => Ok((span, plain.to_vec())),
            None => Err(why::compared_with(column, &format!("a value that is not written as {logical} writes it"))),
        }
    }

    fn input(
        &self,
        index: usize,
        token: Token,
        constant: Constant,
        column: &Arc<ProtectedColumn>,
    ) -> Result<(Range<usize>, Input), Refusal> {
        let source = token.text(self.source.text());
        // MySQL makes no JSON of a binary string.
        if column.logical == Some(LogicalType::Json) && matches!(constant.prefix, Some(Prefix::Introducer(_))) {
            return Err(why::literal(column, "a string with an introducer"));
        }
        match (token.kind, constant.prefix) {
            (TokenKind::String, None | Some(Prefix::Introducer(_))) => {
                let (span, bytes) = self.string(index, constant.prefix, column)?;
                Ok((span, of_string(bytes, column)?))
            }
            (TokenKind::Number, None) => Ok((token.span(), number(source, false, column)?)),
            (TokenKind::Number, Some(Prefix::Plus(at))) => Ok((at..token.end(), number(source, false, column)?)),
            (TokenKind::Number, Some(Prefix::Minus(at))) => Ok((at..token.end(), number(source, true, column)?)),
            (TokenKind::Hex | TokenKind::Bit, Some(Prefix::Introducer(_))) => {
                let (span, bytes) = self.bytes_literal(token, constant.prefix, column)?;
                Ok((span, of_string(bytes, column)?))
            }
            (TokenKind::Hex | TokenKind::Bit, None) => {
                let (span, bytes) = self.whole_bytes_literal(token, None, column)?;
                // To MariaDB `x'…'` is a string everywhere, `0x…` and `b'…'` are numbers to numeric types.
                let string = token.kind == TokenKind::Hex
                    && !source.starts_with(b"0x")
                    && self.ctx.catalog.version.flavor == ServerFlavor::MariaDb;
                let bytes = Zeroizing::new(bytes);
                Ok((span, if string { Input::Bytes(bytes) } else { Input::Hex(bytes) }))
            }
            (TokenKind::Word, None) if self.source.word(index, "TRUE") => Ok((token.span(), Input::Integer(1))),
            (TokenKind::Word, None) if self.source.word(index, "FALSE") => Ok((token.span(), Input::Integer(0))),
            _ => Err(why::literal(column, "this kind of literal")),
        }
    }

    /// The plaintext of a column default that is a constant.
    pub(super) fn default_value(&self, column: &Arc<ProtectedColumn>, text: &str) -> Result<Plaintext, Refusal> {
        let Some(logical) = &column.logical else { return Ok(Plaintext::new(text.as_bytes().to_vec())) };
        let input = Input::Text(Zeroizing::new(text.to_owned()));
        match fit(logical, &input, self.rules(BadValue::Error)) {
            Ok(plain) => Ok(Plaintext::new(plain.to_vec())),
            Err(_) => Err(why::raw_default(column, "a default that is not of the declared type")),
        }
    }
}

/// The bytes of a string literal, which are UTF-8 unless the column keeps bytes.
fn of_string(bytes: Vec<u8>, column: &ProtectedColumn) -> Result<Input, Refusal> {
    match column.content() {
        Physical::Binary => Ok(Input::Bytes(Zeroizing::new(bytes))),
        Physical::Text => match String::from_utf8(bytes) {
            Ok(text) => Ok(Input::Text(Zeroizing::new(text))),
            Err(_) => Err(why::invalid_string(column)),
        },
    }
}

/// A number token: an integer of up to 64 bits, an exact number, or with an exponent a DOUBLE.
fn number(source: &[u8], negative: bool, column: &ProtectedColumn) -> Result<Input, Refusal> {
    let form = || why::literal(column, "a number of this form");
    let text = std::str::from_utf8(source).map_err(|_| form())?;
    let sign = if negative { "-" } else { "" };
    if text.contains(['e', 'E']) {
        return match format!("{sign}{text}").parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Input::Double(number)),
            _ => Err(form()),
        };
    }
    if text.bytes().filter(u8::is_ascii_digit).count() > MOST_DIGITS
        || !text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
    {
        return Err(form());
    }
    match text.parse::<u64>() {
        Ok(number) if !negative => Ok(Input::Integer(number.into())),
        Ok(number) if number <= 1 << 63 => Ok(Input::Integer(-i128::from(number))),
        _ => Ok(Input::Decimal(Zeroizing::new(format!("{sign}{text}")))),
    }
}
