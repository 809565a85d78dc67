//! The text of the statement under analysis: from the parser's positions to tokens, and between
//! neighbouring tokens. Trivia is skipped.

use std::ops::Range;

use sqlparser::tokenizer::Span;

use crate::sql::Charset;
use crate::sql::dialect::Spans;
use crate::sql::lex::{StatementText, Token, TokenKind};
use crate::sql::literal;

pub(super) struct Source<'a> {
    pub statement: &'a StatementText<'a>,
    pub charset: Charset,
    spans: Spans,
    /// The statement's tokens without trivia, in order.
    live: Vec<Token>,
    /// Offsets of the placeholders, in order.
    placeholders: Vec<usize>,
}

impl<'a> Source<'a> {
    pub fn new(statement: &'a StatementText<'a>, charset: Charset, spans: Spans) -> Self {
        let live: Vec<Token> = statement.live().collect();
        let placeholders = live.iter().filter(|t| t.kind == TokenKind::Placeholder).map(|t| t.start()).collect();
        Source { statement, charset, spans, live, placeholders }
    }

    pub fn text(&self) -> &'a [u8] {
        self.statement.text
    }

    pub fn placeholder_count(&self) -> usize {
        self.placeholders.len()
    }

    /// Which placeholder of the statement stands here, from 0.
    pub fn placeholder_at(&self, offset: usize) -> Option<usize> {
        self.placeholders.binary_search(&offset).ok()
    }

    /// The byte offset in the packet where a leaf of the AST starts.
    pub fn offset(&self, span: Span) -> Option<usize> {
        self.spans.offset(span.start)
    }

    /// The index among the live tokens of the one that starts here.
    pub fn index(&self, offset: usize) -> Option<usize> {
        self.live.binary_search_by_key(&offset, |t| t.start()).ok()
    }

    pub fn token(&self, index: usize) -> Option<Token> {
        self.live.get(index).copied()
    }

    pub fn token_range(&self, offset: usize) -> Option<Range<usize>> {
        self.index(offset).and_then(|i| self.token(i)).map(|t| t.span())
    }

    pub fn word(&self, index: usize, word: &str) -> bool {
        self.token(index).is_some_and(|t| t.is_word(self.text(), word))
    }

    pub fn operator(&self, index: usize, operator: &str) -> bool {
        self.token(index).is_some_and(|t| t.is_operator(self.text(), operator))
    }

    /// An identifier that the parser read as Latin-1, as the server reads it.
    pub fn name(&self, latin1: &str) -> String {
        decode_name(latin1, self.charset)
    }

    /// The same for a text that is UTF-8, such as a view's definition.
    pub fn utf8(latin1: &str) -> String {
        decode_name(latin1, Charset::Utf8mb4)
    }
}

fn decode_name(latin1: &str, charset: Charset) -> String {
    if latin1.is_ascii() && charset.reads_ascii() {
        return latin1.to_owned();
    }
    let bytes: Option<Vec<u8>> = latin1.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
    bytes
        .and_then(|b| literal::decode_to_utf8(&b, charset).map(|d| String::from_utf8_lossy(&d).into_owned()))
        .unwrap_or_else(|| latin1.to_owned())
}
