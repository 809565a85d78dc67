//! A statement's meaningful tokens with questions to ask of them: the eyes of everything that is
//! analysed without a parser.

use std::ops::Range;
use std::sync::Arc;

use super::lex::{StatementText, Token, TokenKind};
use super::literal;
use super::plan::Context;
use super::refusal::{Refusal, RefusalCode};
use crate::catalog::{Table, Watched};
use crate::config::TableName;

pub(crate) struct Live<'a> {
    pub statement: &'a StatementText<'a>,
    pub ctx: &'a Context<'a>,
    pub tokens: Vec<Token>,
}

/// What the catalog says of a name in the text.
pub(crate) enum Found {
    Table(Arc<Table>),
    /// The server has no such table.
    Absent,
    /// Must be looked up first.
    Unknown(TableName),
    /// No schema is given or current.
    NoSchema,
}

/// A possibly qualified name: where it ends, and its parts.
pub(crate) struct QualifiedName {
    pub schema: Option<String>,
    pub name: String,
    /// Index of the first token behind it.
    pub next: usize,
}

impl<'a> Live<'a> {
    pub fn new(statement: &'a StatementText<'a>, ctx: &'a Context<'a>) -> Self {
        Self { statement, ctx, tokens: statement.live().collect() }
    }

    fn text(&self) -> &'a [u8] {
        self.statement.text
    }

    pub fn token(&self, n: usize) -> Option<Token> {
        self.tokens.get(n).copied()
    }

    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    pub fn source(&self, n: usize) -> &'a [u8] {
        self.token(n).map_or(&[], |t| t.text(self.statement.text))
    }

    pub fn is(&self, n: usize, word: &str) -> bool {
        self.token(n).is_some_and(|t| t.is_word(self.text(), word))
    }

    pub fn any(&self, n: usize, words: &[&str]) -> bool {
        words.iter().any(|w| self.is(n, w))
    }

    pub fn op(&self, n: usize, operator: &str) -> bool {
        self.token(n).is_some_and(|t| t.is_operator(self.text(), operator))
    }

    /// The first of these words at or behind token `from`.
    pub fn find(&self, from: usize, words: &[&str]) -> Option<usize> {
        (from..self.len()).find(|n| self.any(*n, words))
    }

    /// The identifier at token `n`, as the server reads it.
    pub fn name(&self, n: usize) -> Option<String> {
        let token = self.token(n)?;
        if !matches!(token.kind, TokenKind::Word | TokenKind::QuotedIdent) {
            return None;
        }
        let bytes = literal::identifier(token.text(self.text()));
        Some(match literal::decode_to_utf8(&bytes, self.statement.mode.charset) {
            Some(utf8) => String::from_utf8_lossy(&utf8).into_owned(),
            None => String::from_utf8_lossy(&bytes).into_owned(),
        })
    }

    /// `name` or `schema.name` at token `n`.
    pub fn qualified(&self, n: usize) -> Option<QualifiedName> {
        // `.name` is a name in the current schema.
        if self.op(n, ".") {
            return Some(QualifiedName { schema: None, name: self.name(n + 1)?, next: n + 2 });
        }
        let first = self.name(n)?;
        if self.op(n + 1, ".") {
            let name = self.name(n + 2)?;
            return Some(QualifiedName { schema: Some(first), name, next: n + 3 });
        }
        Some(QualifiedName { schema: None, name: first, next: n + 1 })
    }

    pub fn lookup(&self, name: &QualifiedName) -> Found {
        let Some(schema) = name.schema.as_deref().or(self.ctx.schema) else { return Found::NoSchema };
        let table = TableName::new(schema, name.name.as_str());
        match self.ctx.catalog.table(&table) {
            Some(Some(found)) => Found::Table(Arc::clone(found)),
            Some(None) => Found::Absent,
            None => Found::Unknown(table),
        }
    }

    /// Whether the configuration protects a table of this name that the server does not have.
    pub fn is_missing(&self, name: &QualifiedName) -> bool {
        let schema = name.schema.as_deref().or(self.ctx.schema).unwrap_or_default().to_lowercase();
        let table = name.name.to_lowercase();
        let mut missing = self.ctx.catalog.missing.keys();
        missing.any(|missing| missing.schema.to_lowercase() == schema && missing.table.to_lowercase() == table)
    }

    /// Why token `n` is watched, if it is a name and is.
    pub fn watched(&self, n: usize) -> Option<&'a Watched> {
        let token = self.token(n)?;
        if !matches!(token.kind, TokenKind::Word | TokenKind::QuotedIdent) {
            return None;
        }
        let catalog = self.ctx.catalog;
        let source = token.text(self.text());
        if token.kind == TokenKind::Word && source.is_ascii() {
            let mut buffer = [0u8; 64];
            let lower = buffer.get_mut(..source.len())?;
            lower.copy_from_slice(source);
            lower.make_ascii_lowercase();
            return catalog.watched.get(std::str::from_utf8(lower).ok()?);
        }
        catalog.watched.get(&self.name(n)?.to_lowercase())
    }

    /// The first token of `range` that is a watched name.
    pub fn mention(&self, range: Range<usize>) -> Option<usize> {
        range.into_iter().find(|n| self.watched(*n).is_some())
    }

    pub fn mentions(&self) -> bool {
        self.mention(0..self.len()).is_some()
    }

    /// A string of the statement holds a watched name.
    pub fn mentions_in_strings(&self) -> bool {
        self.tokens
            .iter()
            .filter(|t| matches!(t.kind, TokenKind::String | TokenKind::Hex))
            .any(|t| mentions_raw(&decoded(*t, self.statement), self.ctx))
    }

    pub fn refuse(&self, code: RefusalCode, message: impl Into<String>, n: usize) -> Refusal {
        Refusal::new(code, message, self.token(n).map(Token::span))
    }

    /// The name at token `n` for a message: names are no values.
    pub fn shown(&self, n: usize) -> String {
        self.name(n).unwrap_or_default()
    }

    /// Index behind the parenthesis that closes the one at `n`.
    pub fn closing(&self, n: usize) -> usize {
        let mut depth = 0usize;
        for k in n..self.len() {
            if self.op(k, "(") {
                depth += 1;
            } else if self.op(k, ")") {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return k + 1;
                }
            }
        }
        self.len()
    }

    /// The ranges between the commas of `range` that stand outside of parentheses.
    pub fn list(&self, range: Range<usize>) -> Vec<Range<usize>> {
        let mut items = Vec::new();
        let (mut start, mut depth) = (range.start, 0usize);
        for n in range.clone() {
            if self.op(n, "(") {
                depth += 1;
            } else if self.op(n, ")") {
                depth = depth.saturating_sub(1);
            } else if depth == 0 && self.op(n, ",") {
                items.push(start..n);
                start = n + 1;
            }
        }
        items.push(start..range.end);
        items
    }
}

fn decoded(token: Token, statement: &StatementText<'_>) -> Vec<u8> {
    let source = token.text(statement.text);
    match token.kind {
        TokenKind::String => literal::string(source, statement.mode),
        _ => literal::hex(source),
    }
    .unwrap_or_default()
}

/// The bytes hold a watched name, in whatever case and whatever stands around it but letters.
pub(super) fn mentions_raw(bytes: &[u8], ctx: &Context<'_>) -> bool {
    let lower = String::from_utf8_lossy(bytes).to_lowercase();
    let letter = |c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '$');
    ctx.catalog.watched.keys().any(|name| {
        let simple = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$'));
        lower.match_indices(name.as_str()).any(|(at, _)| {
            let left = lower.get(..at).and_then(|t| t.chars().next_back());
            let right = lower.get(at + name.len()..).and_then(|t| t.chars().next());
            !simple || !(left.is_some_and(letter) || right.is_some_and(|c| letter(c) || c.is_ascii_digit()))
        })
    })
}
