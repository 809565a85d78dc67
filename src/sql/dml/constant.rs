//! Constants on their way into a protected column: the value the server would have stored, decoded
//! from the source, and the edit or parameter role that seals it.

use std::ops::Range;
use std::sync::Arc;

use super::planner::Planner;
use super::value::{Constant, Prefix};
use super::why;
use crate::catalog::{Physical, ProtectedColumn};
use crate::seal::Plaintext;
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
        let piece = self.sealed(column, Plaintext::new(bytes));
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
        let (bytes, end) = (run.bytes, run.span.end);
        // N'…' is utf8mb3 whatever the session's character set.
        let national = matches!(first.text(self.source.text()).first(), Some(b'n' | b'N'));
        if national && !bytes.is_ascii() && self.charset() == Charset::Latin1 {
            return Err(why::literal(column, "a national string outside of ASCII"));
        }
        let (start, charset) = match prefix {
            Some(Prefix::Introducer(at)) => (at, self.introducer(at)),
            _ => (first.start(), Some(self.charset())),
        };
        let value = match (charset, column.content()) {
            (None, Physical::Binary) => bytes,
            (None, Physical::Text) => {
                ascii(bytes).ok_or_else(|| why::literal(column, "a _binary string outside of ASCII"))?
            }
            (Some(Charset::Other), _) => return Err(why::literal(column, "this character set's string")),
            (Some(charset), physical) => {
                let utf8 =
                    literal::decode_to_utf8(&bytes, charset).ok_or_else(|| why::invalid_string(column))?.into_owned();
                match (physical, prefix) {
                    (Physical::Text, _) => utf8,
                    // Without an introducer the server converts to character_set_connection.
                    (Physical::Binary, None) => self.connection_bytes(utf8, column)?,
                    (Physical::Binary, Some(_)) => bytes,
                }
            }
        };
        Ok((start..end, value))
    }

    fn connection_bytes(&self, utf8: Vec<u8>, column: &Arc<ProtectedColumn>) -> Result<Vec<u8>, Refusal> {
        match self.ctx.character_set_connection {
            Charset::Utf8mb4 => Ok(utf8),
            _ if utf8.is_ascii() => Ok(utf8),
            connection if connection == self.ctx.character_set_client && connection != Charset::Other => {
                Ok(literal::encode_from_utf8(&utf8, connection))
            }
            _ => Err(why::literal(column, "a string that the server would convert")),
        }
    }

    /// The character set named by an introducer: `None` for `_binary`.
    fn introducer(&self, at: usize) -> Option<Charset> {
        let token = self.source.index(at).and_then(|i| self.source.token(i));
        let name =
            token.map(|t| String::from_utf8_lossy(t.text(self.source.text())).to_lowercase()).unwrap_or_default();
        match name.trim_start_matches('_') {
            "binary" => None,
            "ascii" => Some(Charset::Ascii),
            "latin1" => Some(Charset::Latin1),
            "utf8" | "utf8mb3" => Some(Charset::Utf8mb3),
            "utf8mb4" => Some(Charset::Utf8mb4),
            _ => Some(Charset::Other),
        }
    }

    fn charset(&self) -> Charset {
        self.ctx.character_set_client
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
        match column.content() {
            Physical::Binary => Ok((span, bytes)),
            Physical::Text => {
                let bytes =
                    ascii(bytes).ok_or_else(|| why::literal(column, "a hexadecimal literal outside of ASCII"))?;
                Ok((span, bytes))
            }
        }
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

fn ascii(bytes: Vec<u8>) -> Option<Vec<u8>> {
    bytes.is_ascii().then_some(bytes)
}
