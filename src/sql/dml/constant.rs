//! Constants on their way into a protected column: the value the server would have stored, decoded
//! from the source, and the edit or parameter role that seals it.

use std::ops::Range;
use std::sync::Arc;

use super::planner::Planner;
use super::value::{Constant, Prefix};
use super::why;
use crate::catalog::{Physical, ProtectedColumn};
use crate::seal::Plaintext;
use crate::sql::charset;
use crate::sql::lex::{Token, TokenKind};
use crate::sql::literal;
use crate::sql::{COMPARED, Charset, NullPolicy, Refusal};

impl Planner<'_> {
    /// Seals what `constant` gives to `column`. `null`: what becomes of a NULL bound to a placeholder.
    pub(super) fn seal_constant(
        &mut self,
        constant: Constant,
        column: &Arc<ProtectedColumn>,
        null: NullPolicy,
    ) -> Result<(), Refusal> {
        let token = self.source.index(constant.at).and_then(|i| self.source.token(i).map(|t| (i, t)));
        let Some((index, token)) = token else {
            return Err(why::literal(column, "a literal that cannot be located"));
        };
        let result = match (token.kind, constant.prefix) {
            (TokenKind::Placeholder, None) => return self.seal_param(constant.at, column, null),
            _ if column.logical.is_some() && self.row == COMPARED => self.find_constant(index, token, constant, column),
            _ if column.logical.is_some() => self.fit_constant(index, token, constant, column),
            (TokenKind::String, None | Some(Prefix::Introducer(_))) => self.string(index, constant.prefix, column),
            (TokenKind::Number, None) => self.number(token, None, column),
            (TokenKind::Number, Some(sign @ (Prefix::Plus(_) | Prefix::Minus(_)))) => {
                self.number(token, Some(sign), column)
            }
            (TokenKind::Hex | TokenKind::Bit, None | Some(Prefix::Introducer(_))) => {
                self.bytes_literal(token, constant.prefix, column)
            }
            (TokenKind::Word, None) if self.source.word(index, "TRUE") => Ok((token.span(), b"1".to_vec())),
            (TokenKind::Word, None) if self.source.word(index, "FALSE") => Ok((token.span(), b"0".to_vec())),
            _ => Err(why::literal(column, "this kind of literal")),
        };
        let (span, bytes) = result.map_err(|r| why::at(r, Some(token.span())))?;
        let piece = self.sealed(column, Plaintext::new(bytes))?;
        self.edit(span, vec![piece]);
        Ok(())
    }

    /// A string, with the strings next to it, which the server joins to one: in UTF-8, or as the bytes that
    /// are to be kept.
    pub(super) fn string(
        &self,
        index: usize,
        prefix: Option<Prefix>,
        column: &Arc<ProtectedColumn>,
    ) -> Result<(Range<usize>, Vec<u8>), Refusal> {
        let Some(first) = self.source.token(index) else {
            return Err(why::literal(column, "a string"));
        };
        // A word right before the string could be an introducer that the parser took for something else.
        let before = index.checked_sub(1).and_then(|i| self.source.token(i));
        if prefix.is_none()
            && before.is_some_and(|t| {
                t.kind == TokenKind::Word && matches!(t.text(self.source.text()).first(), Some(b'_'))
                    || t.kind == TokenKind::String
            })
        {
            return Err(why::literal(column, "a string after an introducer or another string"));
        }
        let run = literal::string_run(self.source.statement, first.start());
        let run = run.ok_or_else(|| why::literal(column, "a malformed string"))?;
        let (client, connection) = (self.ctx.character_set_client, self.ctx.character_set_connection);
        let national = matches!(first.text(self.source.text()).first(), Some(b'n' | b'N'));
        let (start, charset, bytes) = match prefix {
            // MySQL converts what follows the first part from the client's character set, MariaDB does not.
            _ if (prefix.is_some() || national)
                && run.parts().skip(1).any(|part| !charset::unconverted(part, client, connection)) =>
            {
                return Err(why::literal(column, "a string behind one with an introducer"));
            }
            // What follows an introducer is in its character set, byte for byte.
            Some(Prefix::Introducer(at)) => (at, self.introducer(at), run.bytes),
            // So is N'…', which is utf8mb3: measured on every server, whatever the manual says.
            _ if national => (first.start(), Charset::Utf8mb3, run.bytes),
            _ => {
                // The server converts each part by itself: a character may not begin in one and end in another.
                let parts: Option<Vec<_>> =
                    run.parts().map(|part| charset::to_connection(part, client, connection)).collect();
                let bytes = parts.ok_or_else(|| why::invalid_string(column))?.concat();
                (first.start(), connection, bytes)
            }
        };
        // MariaDB wants a part of a string to be valid where it was not converted but only renamed.
        let checked = prefix.is_some() || (run.ends.len() > 1 && client != connection);
        Ok((start..run.span.end, Self::value(bytes, charset, checked, column)?))
    }

    /// What a column stores of bytes in `charset`: as they are in a binary one, in UTF-8 otherwise.
    /// `checked`: the server wants them to be valid even where it does not convert them.
    fn value(bytes: Vec<u8>, charset: Charset, checked: bool, column: &ProtectedColumn) -> Result<Vec<u8>, Refusal> {
        match (column.content(), charset) {
            (_, Charset::Other) => Err(why::literal(column, "this character set's string")),
            (Physical::Binary, Charset::Binary) => Ok(bytes),
            (Physical::Binary, _) if checked && charset::decode_to_utf8(&bytes, charset).is_none() => {
                Err(why::invalid_string(column))
            }
            (Physical::Binary, _) => Ok(bytes),
            (Physical::Text, charset) => {
                // A binary string is taken for one in the column's character set.
                let charset = if charset == Charset::Binary { charset::of_column(column) } else { charset };
                let utf8 = charset::decode_to_utf8(&bytes, charset).map(std::borrow::Cow::into_owned);
                utf8.ok_or_else(|| why::invalid_string(column))
            }
        }
    }

    /// The character set named by an introducer.
    fn introducer(&self, at: usize) -> Charset {
        let token = self.source.index(at).and_then(|i| self.source.token(i));
        let name = token.map(|t| String::from_utf8_lossy(t.text(self.source.text()))).unwrap_or_default();
        Charset::from_name(name.trim_start_matches('_'))
    }

    fn number(
        &self,
        token: Token,
        sign: Option<Prefix>,
        column: &Arc<ProtectedColumn>,
    ) -> Result<(Range<usize>, Vec<u8>), Refusal> {
        let negative = matches!(sign, Some(Prefix::Minus(_)));
        let Some(text) = literal::number(token.text(self.source.text()), negative) else {
            return Err(why::literal(column, "a number of this form"));
        };
        let start = match sign {
            Some(Prefix::Minus(at) | Prefix::Plus(at)) => at,
            _ => token.start(),
        };
        Ok((start..token.end(), text.into_bytes()))
    }

    pub(super) fn bytes_literal(
        &self,
        token: Token,
        prefix: Option<Prefix>,
        column: &Arc<ProtectedColumn>,
    ) -> Result<(Range<usize>, Vec<u8>), Refusal> {
        let (span, bytes) = self.whole_bytes_literal(token, prefix, column)?;
        let charset = match prefix {
            Some(Prefix::Introducer(at)) => self.introducer(at),
            _ => Charset::Binary,
        };
        Ok((span, Self::value(bytes, charset, prefix.is_some(), column)?))
    }

    pub(super) fn whole_bytes_literal(
        &self,
        token: Token,
        prefix: Option<Prefix>,
        column: &Arc<ProtectedColumn>,
    ) -> Result<(Range<usize>, Vec<u8>), Refusal> {
        let slice = token.text(self.source.text());
        let bytes = if token.kind == TokenKind::Hex { literal::hex(slice) } else { literal::bit(slice) };
        let Some(bytes) = bytes else {
            return Err(why::literal(column, "a hexadecimal or bit literal of this form"));
        };
        let start = match prefix {
            Some(Prefix::Introducer(at)) => at,
            _ => token.start(),
        };
        Ok((start..token.end(), bytes))
    }
}
