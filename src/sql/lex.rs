//! A byte lexer of MySQL's and MariaDB's SQL that follows the servers' own `sql_lex`: its tokens tile
//! the text exactly and know `sql_mode`, the server's version and the client's character set. It
//! understands no grammar.

use std::ops::Range;

use super::charset;
use super::plan::{Charset, Context, SqlMode};
use crate::catalog::{ServerFlavor, ServerVersion};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// An unquoted identifier or keyword.
    Word,
    /// `` `a` ``, and `"a"` under ANSI_QUOTES.
    QuotedIdent,
    /// `'a'`, `N'a'`, and `"a"` without ANSI_QUOTES. Adjacent strings are tokens of their own.
    String,
    Number,
    /// `0xAB` and `x'AB'`.
    Hex,
    /// `0b01` and `b'01'`.
    Bit,
    /// `?`
    Placeholder,
    /// `@a`, `` @`a` ``, `@'a'`; also the host of an account.
    UserVar,
    /// `@@a`, `@@global.a`
    SysVar,
    /// An operator or a punctuation mark, whole (`<=>`, `:=`).
    Operator,
    Whitespace,
    /// A comment, or the opening (`/*!50110`) or closing (`*/`) of one whose inside is live.
    Comment,
    /// `;`
    Delimiter,
}

/// One token: its kind and byte span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    pub kind: TokenKind,
    start: u32,
    end: u32,
}

impl Token {
    pub fn start(self) -> usize {
        self.start as usize
    }

    pub fn end(self) -> usize {
        self.end as usize
    }

    pub fn span(self) -> Range<usize> {
        self.start()..self.end()
    }

    /// Whitespace and comments mean nothing to the grammar.
    pub fn is_trivia(self) -> bool {
        matches!(self.kind, TokenKind::Whitespace | TokenKind::Comment)
    }

    /// A value in the text: string, number, hex, bit or placeholder.
    pub fn is_value(self) -> bool {
        use TokenKind::{Bit, Hex, Number, Placeholder, String};
        matches!(self.kind, String | Number | Hex | Bit | Placeholder)
    }

    /// The token's bytes in the text it was lexed from.
    pub fn text(self, text: &[u8]) -> &[u8] {
        text.get(self.span()).unwrap_or_default()
    }

    /// The token is this word, unquoted, in whatever case.
    pub fn is_word(self, text: &[u8], word: &str) -> bool {
        self.kind == TokenKind::Word && self.text(text).eq_ignore_ascii_case(word.as_bytes())
    }

    pub fn is_operator(self, text: &[u8], operator: &str) -> bool {
        self.kind == TokenKind::Operator && self.text(text) == operator.as_bytes()
    }
}

/// What lexing depends on.
#[derive(Clone, Copy, Debug)]
pub struct LexMode {
    pub sql_mode: SqlMode,
    pub version: ServerVersion,
    pub charset: Charset,
}

impl LexMode {
    pub fn of(ctx: &Context<'_>) -> Self {
        Self { sql_mode: ctx.sql_mode, version: ctx.catalog.version, charset: ctx.character_set_client }
    }
}

/// Why a text is not a sequence of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LexErrorKind {
    #[error("a string or quoted identifier is not closed")]
    UnterminatedQuote,
    #[error("a comment is not closed")]
    UnterminatedComment,
    #[error("a hexadecimal or bit literal is malformed")]
    MalformedLiteral,
    #[error("a NUL byte outside of strings")]
    Nul,
    #[error(
        "an executable comment within another, around a delimiter, or with a version that servers read differently"
    )]
    ExecutableComment,
    #[error("bytes that form no character outside of strings")]
    MalformedCharacter,
    #[error("an optimizer hint with quotes in it")]
    QuotedHint,
    #[error("the text is longer than 4 GiB")]
    TooLong,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {offset}")]
pub struct LexError {
    pub kind: LexErrorKind,
    pub offset: usize,
}

/// One statement of a packet.
#[derive(Clone)]
pub struct StatementText<'a> {
    /// The whole packet's text: all spans are offsets into it.
    pub text: &'a [u8],
    /// This statement's tokens, whitespace and comments included, without the delimiter.
    pub tokens: &'a [Token],
    pub span: Range<usize>,
    pub mode: LexMode,
}

impl<'a> StatementText<'a> {
    pub fn slice(&self, span: Range<usize>) -> &'a [u8] {
        self.text.get(span).unwrap_or_default()
    }

    /// Tokens that mean something to the grammar.
    pub fn live(&self) -> impl DoubleEndedIterator<Item = Token> + 'a {
        self.tokens.iter().copied().filter(|t| !t.is_trivia())
    }

    /// The tokens that begin within `span`, trivia included.
    pub fn tokens_in(&self, span: &Range<usize>) -> &'a [Token] {
        let from = self.tokens.partition_point(|t| t.start() < span.start);
        let to = self.tokens.partition_point(|t| t.start() < span.end);
        self.tokens.get(from..to).unwrap_or_default()
    }

    /// The token that begins at this byte.
    pub fn token_at(&self, offset: usize) -> Option<Token> {
        let at = self.tokens.partition_point(|t| t.start() < offset);
        self.tokens.get(at).copied().filter(|t| t.start() == offset)
    }

    /// Keyword or unquoted identifier: the `n`th live token, if it is a word.
    pub fn word(&self, n: usize) -> Option<&'a [u8]> {
        self.live().nth(n).filter(|t| t.kind == TokenKind::Word).map(|t| t.text(self.text))
    }
}

/// Cuts `tokens` at delimiters. Statements of nothing but whitespace and comments are left out.
pub fn statements<'a>(text: &'a [u8], tokens: &'a [Token], mode: LexMode) -> Vec<StatementText<'a>> {
    tokens
        .split(|t| t.kind == TokenKind::Delimiter)
        .filter(|tokens| tokens.iter().any(|t| !t.is_trivia()))
        .map(|tokens| {
            let start = tokens.first().map_or(0, |t| t.start());
            let end = tokens.last().map_or(start, |t| t.end());
            StatementText { text, tokens, span: start..end, mode }
        })
        .collect()
}

/// Splits `text` into tokens that tile it.
pub fn lex(text: &[u8], mode: LexMode) -> Result<Vec<Token>, LexError> {
    let mut lexer = Lexer { text, mode, at: 0, live_comment: None, after_point: false };
    let mut tokens = Vec::with_capacity(text.len() / 5 + 4);
    while lexer.at < text.len() {
        let start = lexer.at;
        let kind = lexer.next()?;
        lexer.at = lexer.at.min(text.len());
        debug_assert!(lexer.at > start);
        // An identifier may begin with a digit only right after the point that ends a word.
        lexer.after_point = lexer.peek_from(start, 0) == b'.'
            && lexer.at == start + 1
            && tokens.last().is_some_and(|t: &Token| t.kind == TokenKind::Word);
        tokens.push(Token { kind, start: offset(start)?, end: offset(lexer.at)? });
    }
    match lexer.live_comment {
        Some(offset) => Err(LexError { kind: LexErrorKind::UnterminatedComment, offset }),
        None => Ok(tokens),
    }
}

/// Tokens keep their offsets in 32 bits: a packet is 1 GiB at most.
fn offset(at: usize) -> Result<u32, LexError> {
    u32::try_from(at).map_err(|_| LexError { kind: LexErrorKind::TooLong, offset: at })
}

struct Lexer<'a> {
    text: &'a [u8],
    mode: LexMode,
    at: usize,
    /// Where the executable comment opened whose inside is being lexed.
    live_comment: Option<usize>,
    after_point: bool,
}

impl Lexer<'_> {
    /// The byte `n` after the current one; 0 past the end, as the servers see it.
    fn peek(&self, n: usize) -> u8 {
        self.peek_from(self.at, n)
    }

    fn peek_from(&self, at: usize, n: usize) -> u8 {
        self.text.get(at + n).copied().unwrap_or(0)
    }

    fn fail<T>(&self, kind: LexErrorKind, offset: usize) -> Result<T, LexError> {
        Err(LexError { kind, offset })
    }

    fn is_space(&self, byte: u8) -> bool {
        matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r') || (byte >= 0x80 && self.mode.charset.is_space(byte))
    }

    fn is_ident(&self, byte: u8) -> bool {
        byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || (byte >= 0x80 && !self.is_space(byte))
    }

    /// Takes identifier characters, those of several bytes whole: their last may look like an operator.
    fn skip_ident(&mut self, point: bool) -> Result<(), LexError> {
        while self.at < self.text.len() {
            let byte = self.peek(0);
            if !(self.is_ident(byte) || (point && byte == b'.')) {
                break;
            }
            self.at += self.ident_char(byte)?;
        }
        Ok(())
    }

    /// The length of the character here. Outside of strings the servers skip bytes that only begin one
    /// in more than one way.
    fn ident_char(&self, byte: u8) -> Result<usize, LexError> {
        if byte < 0x80 {
            return Ok(1);
        }
        let rest = self.text.get(self.at..).unwrap_or_default();
        let length = match self.mode.charset {
            Charset::Utf8mb3 => charset::utf8_len(rest, 3),
            Charset::Utf8mb4 => charset::utf8_len(rest, 4),
            _ => self.char_len(),
        };
        if length == 1 && charset::is_lead(self.mode.charset, byte) {
            return self.fail(LexErrorKind::MalformedCharacter, self.at);
        }
        Ok(length)
    }

    fn char_len(&self) -> usize {
        charset::char_len(self.mode.charset, self.text.get(self.at..).unwrap_or_default())
    }

    fn skip_while(&mut self, wanted: impl Fn(&Self, u8) -> bool) {
        while self.at < self.text.len() && wanted(self, self.peek(0)) {
            self.at += 1;
        }
    }

    fn next(&mut self) -> Result<TokenKind, LexError> {
        let byte = self.peek(0);
        match byte {
            0 => self.fail(LexErrorKind::Nul, self.at),
            _ if self.is_space(byte) => {
                self.skip_while(Self::is_space);
                Ok(TokenKind::Whitespace)
            }
            b'`' => self.quoted(TokenKind::QuotedIdent),
            b'"' if self.mode.sql_mode.ansi_quotes => self.quoted(TokenKind::QuotedIdent),
            b'\'' | b'"' => self.quoted(TokenKind::String),
            b'n' | b'N' if self.peek(1) == b'\'' => {
                self.at += 1;
                self.quoted(TokenKind::String)
            }
            b'x' | b'X' if self.peek(1) == b'\'' => self.quoted_digits(TokenKind::Hex),
            b'b' | b'B' if self.peek(1) == b'\'' => self.quoted_digits(TokenKind::Bit),
            b'0'..=b'9' if !self.after_point => self.number_or_word(),
            b'.' if self.peek(1).is_ascii_digit() && !self.point_of_name() => {
                self.at += 1;
                self.fraction();
                Ok(TokenKind::Number)
            }
            b'@' => self.variable(),
            b'#' => self.line_comment(),
            b'-' if self.peek(1) == b'-'
                && (self.is_space(self.peek(2)) || self.mode.charset.is_control(self.peek(2))) =>
            {
                self.line_comment()
            }
            b'/' if self.peek(1) == b'*' => self.block_comment(),
            b'*' if self.peek(1) == b'/' && self.live_comment.is_some() => {
                self.live_comment = None;
                self.at += 2;
                Ok(TokenKind::Comment)
            }
            b';' if self.live_comment.is_some() => self.fail(LexErrorKind::ExecutableComment, self.at),
            b';' => {
                self.at += 1;
                Ok(TokenKind::Delimiter)
            }
            b'?' => {
                self.at += 1;
                Ok(TokenKind::Placeholder)
            }
            _ if self.is_ident(byte) => {
                self.skip_ident(false)?;
                Ok(TokenKind::Word)
            }
            // Letters in swe7, but not to its lexer everywhere.
            b'[' | b'\\' | b']' | b'^' | b'{' | b'}' | b'~' if !self.mode.charset.reads_ascii() => {
                self.fail(LexErrorKind::MalformedCharacter, self.at)
            }
            _ => Ok(self.operator()),
        }
    }

    /// `a.1b`: right behind an unquoted word a point belongs to the name, not to a number.
    fn point_of_name(&self) -> bool {
        let before = self.text.get(..self.at).unwrap_or_default();
        let word = before.iter().rev().take_while(|b| self.is_ident(**b)).count();
        let Some(first) = before.len().checked_sub(word).and_then(|at| before.get(at)) else { return false };
        // `1.5`, `1e3.5` were taken whole as numbers, so a word that begins with a digit has letters.
        word > 0 && (!first.is_ascii_digit() || !before.iter().rev().take(word).all(u8::is_ascii_digit))
    }

    fn quoted(&mut self, kind: TokenKind) -> Result<TokenKind, LexError> {
        let start = self.at;
        let quote = self.peek(0);
        let escapes = kind == TokenKind::String && !self.mode.sql_mode.no_backslash_escapes;
        self.at += 1;
        while self.at < self.text.len() {
            let byte = self.peek(0);
            if byte == b'\\' && escapes {
                self.at += 2;
            } else if byte == quote {
                if self.peek(1) == quote {
                    self.at += 2;
                } else {
                    self.at += 1;
                    return Ok(kind);
                }
            } else if kind == TokenKind::String {
                self.at += self.char_len();
            } else {
                self.at += self.ident_char(byte)?;
            }
        }
        self.fail(LexErrorKind::UnterminatedQuote, start)
    }

    fn quoted_digits(&mut self, kind: TokenKind) -> Result<TokenKind, LexError> {
        let start = self.at;
        self.at += 2;
        let digits = self.at;
        self.skip_while(|_, b| if kind == TokenKind::Hex { b.is_ascii_hexdigit() } else { matches!(b, b'0' | b'1') });
        let odd = kind == TokenKind::Hex && (self.at - digits) % 2 == 1;
        if self.peek(0) != b'\'' || odd {
            return self.fail(LexErrorKind::MalformedLiteral, start);
        }
        self.at += 1;
        Ok(kind)
    }

    fn number_or_word(&mut self) -> Result<TokenKind, LexError> {
        let start = self.at;
        // Only the lower case `0x` and `0b` begin literals; `0X1F` is an identifier to both servers.
        if self.peek(0) == b'0' && matches!(self.peek(1), b'x' | b'b') {
            let hex = self.peek(1) == b'x';
            self.at += 2;
            self.skip_while(|_, b| if hex { b.is_ascii_hexdigit() } else { matches!(b, b'0' | b'1') });
            if self.at > start + 2 && !self.is_ident(self.peek(0)) {
                return Ok(if hex { TokenKind::Hex } else { TokenKind::Bit });
            }
            self.at = start;
        }
        self.skip_while(|_, b| b.is_ascii_digit());
        if !self.is_ident(self.peek(0)) {
            if self.peek(0) == b'.' {
                self.at += 1;
                self.fraction();
            }
            return Ok(TokenKind::Number);
        }
        if self.exponent() {
            return Ok(TokenKind::Number);
        }
        self.skip_ident(false)?;
        Ok(TokenKind::Word)
    }

    /// Digits and exponent after the decimal point.
    fn fraction(&mut self) {
        self.skip_while(|_, b| b.is_ascii_digit());
        self.exponent();
    }

    fn exponent(&mut self) -> bool {
        if !matches!(self.peek(0), b'e' | b'E') {
            return false;
        }
        let sign = usize::from(matches!(self.peek(1), b'+' | b'-'));
        if !self.peek(1 + sign).is_ascii_digit() {
            return false;
        }
        self.at += 1 + sign;
        self.skip_while(|_, b| b.is_ascii_digit());
        true
    }

    fn variable(&mut self) -> Result<TokenKind, LexError> {
        self.at += 1;
        if self.peek(0) == b'@' {
            self.at += 1;
            loop {
                if self.peek(0) == b'`' {
                    self.quoted(TokenKind::QuotedIdent)?;
                } else {
                    self.skip_ident(false)?;
                }
                if self.peek(0) != b'.' || !(self.is_ident(self.peek(1)) || self.peek(1) == b'`') {
                    return Ok(TokenKind::SysVar);
                }
                self.at += 1;
            }
        }
        match self.peek(0) {
            b'`' => self.quoted(TokenKind::QuotedIdent)?,
            b'"' if self.mode.sql_mode.ansi_quotes => self.quoted(TokenKind::QuotedIdent)?,
            b'\'' | b'"' => self.quoted(TokenKind::String)?,
            byte if self.is_ident(byte) || byte == b'.' => {
                self.skip_ident(true)?;
                TokenKind::UserVar
            }
            _ => return Ok(TokenKind::Operator),
        };
        Ok(TokenKind::UserVar)
    }

    fn line_comment(&mut self) -> Result<TokenKind, LexError> {
        while self.at < self.text.len() && self.peek(0) != b'\n' {
            // The servers end the comment at a NUL byte.
            if self.peek(0) == 0 {
                return self.fail(LexErrorKind::Nul, self.at);
            }
            self.at += 1;
        }
        Ok(TokenKind::Comment)
    }

    fn block_comment(&mut self) -> Result<TokenKind, LexError> {
        let start = self.at;
        let mariadb = self.mode.version.flavor == ServerFlavor::MariaDb;
        let bang = match (self.peek(2), self.peek(3)) {
            (b'!', _) => 3,
            (b'M', b'!') if mariadb => 4,
            _ => return self.plain_comment(start),
        };
        if self.live_comment.is_some() {
            return self.fail(LexErrorKind::ExecutableComment, start);
        }
        let digits = (0..6).take_while(|n| self.peek(bang + n).is_ascii_digit()).count();
        let version = (0..digits).fold(0u32, |v, n| v * 10 + u32::from(self.peek(bang + n) - b'0'));
        let number = self.mode.version.number;
        if digits < 5 {
            self.at += bang;
        } else if mariadb {
            // MariaDB leaves 5.7.0 to 9.99.99 to MySQL, unless the comment says M.
            if version > number || ((50_700..=99_999).contains(&version) && bang == 3) {
                return self.skipped_comment(start, bang);
            }
            self.at += bang + digits;
        } else {
            // Older MySQL reads five digits of six, and the sixth as part of the statement.
            if digits == 6 && (number < 90_000 || version / 10 <= number && version > number) {
                return self.fail(LexErrorKind::ExecutableComment, start);
            }
            if version > number {
                return self.skipped_comment(start, bang);
            }
            self.at += bang + digits;
        }
        self.live_comment = Some(start);
        Ok(TokenKind::Comment)
    }

    fn plain_comment(&mut self, start: usize) -> Result<TokenKind, LexError> {
        self.at += 2;
        if !self.find_comment_end(0) {
            return self.fail(LexErrorKind::UnterminatedComment, start);
        }
        let comment = self.text.get(start..self.at).unwrap_or_default();
        // Quoted names in a hint may hold the comment's end.
        if comment.get(2) == Some(&b'+') && comment.iter().any(|b| matches!(b, b'`' | b'"' | b'\'')) {
            return self.fail(LexErrorKind::QuotedHint, start);
        }
        Ok(TokenKind::Comment)
    }

    /// An executable comment of another version: the servers let one comment nest in it.
    fn skipped_comment(&mut self, start: usize, opening: usize) -> Result<TokenKind, LexError> {
        self.at += opening;
        if self.find_comment_end(1) {
            Ok(TokenKind::Comment)
        } else {
            self.fail(LexErrorKind::UnterminatedComment, start)
        }
    }

    fn find_comment_end(&mut self, nesting: u8) -> bool {
        let mut depth = 0;
        while self.at < self.text.len() {
            match (self.peek(0), self.peek(1)) {
                (b'/', b'*') if depth < nesting => {
                    depth += 1;
                    self.at += 2;
                }
                (b'*', b'/') => {
                    self.at += 2;
                    if depth == 0 {
                        return true;
                    }
                    depth -= 1;
                }
                _ => self.at += 1,
            }
        }
        false
    }

    fn operator(&mut self) -> TokenKind {
        let length = match (self.peek(0), self.peek(1), self.peek(2)) {
            (b'<', b'=', b'>') | (b'-', b'>', b'>') => 3,
            (b'<', b'=' | b'>' | b'<', _)
            | (b'>', b'=' | b'>', _)
            | (b'!' | b':', b'=', _)
            | (b'|', b'|', _)
            | (b'&', b'&', _)
            | (b'-', b'>', _) => 2,
            _ => 1,
        };
        self.at += length;
        TokenKind::Operator
    }
}
