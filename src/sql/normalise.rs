//! From our tokens to the parser's, one for one but for constructs that the parser does not know and
//! that mean the same as one it knows. For analysis only: what is sent is the original text.

use sqlparser::tokenizer::{Token as ParserToken, TokenWithSpan};

use super::dialect::at;
use super::lex::{StatementText, Token, TokenKind};
use super::literal;

/// The statement's tokens, and whether its verb says `IGNORE`.
pub(super) fn tokens(statement: &StatementText<'_>) -> (Vec<TokenWithSpan>, bool) {
    let live: Vec<Token> = statement.live().collect();
    let mut walk = Walk {
        statement,
        live: &live,
        at: 0,
        depth: 0,
        group_by: None,
        from: None,
        tables: Vec::new(),
        dropped: Vec::new(),
        out: Vec::with_capacity(live.len() + 1),
        ignore: false,
        insert_head: false,
    };
    walk.run();
    let end = statement.span.end;
    walk.out.push(at(ParserToken::EOF, end..end));
    (walk.out, walk.ignore)
}

struct Walk<'a> {
    statement: &'a StatementText<'a>,
    live: &'a [Token],
    at: usize,
    depth: usize,
    /// The depth at which a GROUP BY list is being read.
    group_by: Option<usize>,
    /// The depth at which a FROM clause is being read.
    from: Option<usize>,
    /// Depths of parentheses around tables.
    tables: Vec<usize>,
    /// Closing parentheses to leave out, the next one last.
    dropped: Vec<usize>,
    out: Vec<TokenWithSpan>,
    ignore: bool,
    /// Between the verb of an INSERT or REPLACE and its first parenthesis.
    insert_head: bool,
}

impl Walk<'_> {
    fn word(&self, ahead: usize, word: &str) -> bool {
        self.live.get(self.at + ahead).is_some_and(|t| t.is_word(self.statement.text, word))
    }

    fn operator(&self, ahead: usize, operator: &str) -> bool {
        self.live.get(self.at + ahead).is_some_and(|t| t.is_operator(self.statement.text, operator))
    }

    fn words(&self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(n, word)| self.word(n, word))
    }

    fn any_word(&self, ahead: usize, words: &[&str]) -> bool {
        words.iter().any(|w| self.word(ahead, w))
    }

    fn previous(&self) -> Option<Token> {
        self.at.checked_sub(1).and_then(|n| self.live.get(n)).copied()
    }

    /// The token before could end an operand.
    fn after_operand(&self) -> bool {
        self.previous().is_some_and(|t| match t.kind {
            TokenKind::Word | TokenKind::Operator => t.is_operator(self.statement.text, ")"),
            _ => true,
        })
    }

    fn keyword(&mut self, word: &str, token: Token) {
        self.out.push(at(ParserToken::make_word(word, None), token.span()));
    }

    fn run(&mut self) {
        let verb = self.verb();
        while let Some(token) = self.live.get(self.at).copied() {
            let taken = self.rewritten(token, verb.as_ref());
            if taken == 0 {
                self.plain(token);
                self.at += 1;
            } else {
                self.at += taken;
            }
        }
    }

    /// UPDATE and DELETE: their modifiers are taken out, and the comma and `.*` of their table lists.
    fn verb(&mut self) -> Option<Verb> {
        let mut n = 0;
        let mut depth = 0usize;
        // The verb of a statement with common table expressions stands behind them.
        if self.word(0, "with") {
            while let Some(token) = self.live.get(n) {
                if token.is_operator(self.statement.text, "(") {
                    depth += 1;
                } else if token.is_operator(self.statement.text, ")") {
                    depth = depth.saturating_sub(1);
                } else if depth == 0 && self.any_word(n, &["update", "delete", "select", "insert", "replace"]) {
                    break;
                }
                n += 1;
            }
        }
        let update = self.word(n, "update");
        if !update && !self.word(n, "delete") {
            if self.any_word(n, &["insert", "replace"]) {
                self.insert_head = n == 0;
                self.ignore = (1..4)
                    .take_while(|k| self.any_word(n + k, &["low_priority", "delayed", "high_priority", "ignore"]))
                    .any(|k| self.word(n + k, "ignore"));
            }
            return None;
        }
        let first = n + 1;
        let mut list = first;
        while self.any_word(list, &["low_priority", "quick", "ignore"]) {
            self.ignore |= self.word(list, "ignore");
            list += 1;
        }
        let mut end = list;
        let mut depth = 0usize;
        while let Some(token) = self.live.get(end) {
            if token.is_operator(self.statement.text, "(") {
                depth += 1;
            } else if token.is_operator(self.statement.text, ")") {
                depth = depth.saturating_sub(1);
            } else if depth == 0
                && end > list
                && self.any_word(end, if update { &["set"] } else { &["from", "using", "where"] })
            {
                break;
            }
            end += 1;
        }
        Some(Verb { update, modifiers: first..list, list: list..end })
    }

    /// Writes the rewritten form of what begins at `token`; the number of tokens it stands for, 0 if none.
    fn rewritten(&mut self, token: Token, verb: Option<&Verb>) -> usize {
        if let Some(verb) = verb {
            if verb.modifiers.contains(&self.at) {
                return 1;
            }
            if verb.list.contains(&self.at) && self.depth == 0 {
                if verb.update && self.operator(0, ",") {
                    self.keyword("CROSS", token);
                    self.keyword("JOIN", token);
                    return 1;
                }
                if !verb.update && self.operator(0, ".") && self.operator(1, "*") {
                    return 2;
                }
            }
        }
        if token.kind == TokenKind::Operator {
            return self.rewritten_operator(token);
        }
        match token.kind {
            TokenKind::Word => self.rewritten_word(token),
            TokenKind::String => {
                let end = literal::string_run(self.statement, token.start()).map_or(token.end(), |run| run.span.end);
                let count = self.live.iter().skip(self.at).take_while(|t| t.start() < end).count().max(1);
                let value = self.string_value(token);
                let source = token.text(self.statement.text);
                let string = match source.first() {
                    Some(b'n' | b'N') => ParserToken::NationalStringLiteral(value),
                    Some(b'"') => ParserToken::DoubleQuotedString(value),
                    _ => ParserToken::SingleQuotedString(value),
                };
                self.out.push(at(string, token.start()..end));
                count
            }
            _ => 0,
        }
    }

    /// `FROM (t)`, `JOIN (t1, t2)`: parentheses around tables.
    fn rewritten_operator(&mut self, token: Token) -> usize {
        let text = self.statement.text;
        if self.operator(0, ",") && self.tables.contains(&self.depth) {
            self.keyword("CROSS", token);
            self.keyword("JOIN", token);
            return 1;
        }
        if self.operator(0, ")") && self.dropped.last() == Some(&self.at) {
            self.dropped.pop();
            return 1;
        }
        let before = |words: &[&str]| self.previous().is_some_and(|t| words.iter().any(|w| t.is_word(text, w)));
        let named = self.live.get(self.at + 1).is_some_and(|t| match t.kind {
            TokenKind::QuotedIdent => true,
            TokenKind::Word => !self.any_word(1, &["select", "with", "values", "table"]),
            _ => false,
        });
        let in_tables = before(&["from", "join", "straight_join"])
            || self.previous().is_some_and(|t| t.is_operator(text, ",")) && self.from == Some(self.depth);
        if self.operator(0, "(") && in_tables {
            // Only names and what may join them stand in it.
            let mut n = 1;
            let mut nested = 0usize;
            while self.operator(n, "(") {
                nested += 1;
                n += 1;
            }
            let alone = |n: usize| {
                self.live.get(self.at + n).is_some_and(|t| matches!(t.kind, TokenKind::Word | TokenKind::QuotedIdent))
            };
            let keyword = self.any_word(n, &["select", "with", "values", "table"]);
            if alone(n) && !keyword {
                let mut end = n + 1;
                while alone(end) || self.operator(end, ".") {
                    end += 1;
                }
                let closed = (0..=nested).all(|k| self.operator(end + k, ")"));
                let joins = (n..end).any(|k| self.any_word(k, &["join", "natural", "left", "right", "inner", "cross"]));
                if closed && !joins {
                    // The parentheses close in the order of the stack.
                    for k in (0..=nested).rev() {
                        self.dropped.push(self.at + end + k);
                    }
                    return nested + 1;
                }
            }
            if named {
                self.tables.push(self.depth + 1);
            }
        }
        0
    }

    fn rewritten_word(&mut self, token: Token) -> usize {
        const UNITS: &[&str] = &[
            "day_hour",
            "day_microsecond",
            "day_minute",
            "day_second",
            "hour_microsecond",
            "hour_minute",
            "hour_second",
            "minute_microsecond",
            "minute_second",
            "second_microsecond",
            "year_month",
        ];
        let after_point = self.previous().is_some_and(|t| t.is_operator(self.statement.text, "."));
        if after_point {
            return 0;
        }
        // INSERT INTO t PARTITION (p0, p1) (…): only which rows the server refuses depends on it.
        if self.insert_head && self.word(0, "partition") && self.operator(1, "(") && self.after_name() {
            let name = |n: usize| {
                self.live.get(self.at + n).is_some_and(|t| matches!(t.kind, TokenKind::Word | TokenKind::QuotedIdent))
            };
            let mut n = 2;
            while name(n) && self.operator(n + 1, ",") {
                n += 2;
            }
            if name(n) && self.operator(n + 1, ")") {
                self.insert_head = false;
                return n + 2;
            }
        }
        if self.any_word(0, &["values", "value", "select", "set", "with"]) {
            self.insert_head = false;
        }
        if self.words(&["lock", "in", "share", "mode"]) {
            self.keyword("FOR", token);
            self.keyword("SHARE", token);
            return 4;
        }
        if self.word(0, "from") {
            self.from = Some(self.depth);
        } else if self.any_word(0, &["where", "group", "order", "limit", "set", "having", "select"]) {
            self.from = None;
        }
        if self.words(&["group", "by"]) {
            self.group_by = Some(self.depth);
        } else if self.any_word(0, &["having", "order", "limit", "window", "with"]) && self.group_by == Some(self.depth)
        {
            self.group_by = None;
        }
        if self.group_by == Some(self.depth) && self.any_word(0, &["asc", "desc"]) && !self.operator(1, "(") {
            return 1;
        }
        // All of these are reserved words of both servers.
        if self.any_word(0, UNITS) {
            self.keyword("DAY", token);
            return 1;
        }
        if self.word(0, "distinctrow") {
            self.keyword("DISTINCT", token);
            return 1;
        }
        if self.words(&["sounds", "like"]) && self.after_name() {
            return 1;
        }
        if self.word(0, "mod") && (self.after_operand() || (!self.operator(1, "(") && self.after_name())) {
            self.out.push(at(ParserToken::Mod, token.span()));
            return 1;
        }
        if self.word(0, "sql_cache") && self.previous().is_some_and(|t| t.is_word(self.statement.text, "select")) {
            return 1;
        }
        if self.any_word(0, &["int", "integer"])
            && self.operator(1, ")")
            && self
                .previous()
                .is_some_and(|t| t.is_word(self.statement.text, "unsigned") || t.is_word(self.statement.text, "signed"))
        {
            return 1;
        }
        // CAST(x AS CHAR(9) CHARACTER SET latin1)
        if self.operator(if self.word(0, "character") { 3 } else { 2 }, ")") && self.in_cast() {
            if self.words(&["character", "set"]) {
                return 3;
            }
            if self.word(0, "charset") {
                return 2;
            }
        }
        0
    }

    fn after_name(&self) -> bool {
        self.previous().is_some_and(|t| {
            matches!(t.kind, TokenKind::Word | TokenKind::QuotedIdent)
                || t.is_value()
                || t.is_operator(self.statement.text, ")")
        })
    }

    /// `AS CHAR` or `AS CHAR(n)` stands right before.
    fn in_cast(&self) -> bool {
        let text = self.statement.text;
        let back = |n: usize| self.at.checked_sub(n).and_then(|k| self.live.get(k));
        let as_char = |n: usize| {
            back(n).is_some_and(|t| t.is_word(text, "char")) && back(n + 1).is_some_and(|t| t.is_word(text, "as"))
        };
        as_char(1) || (back(1).is_some_and(|t| t.is_operator(text, ")")) && as_char(4))
    }

    /// Names given as strings are all that the value is used for: literals are read from the text.
    fn string_value(&self, token: Token) -> String {
        let bytes = literal::string(token.text(self.statement.text), self.statement.mode).unwrap_or_default();
        latin1(&bytes)
    }

    fn plain(&mut self, token: Token) {
        let text = token.text(self.statement.text);
        let parsed = match token.kind {
            TokenKind::Whitespace | TokenKind::Comment => return,
            TokenKind::Word => ParserToken::make_word(&latin1(text), None),
            TokenKind::QuotedIdent => ParserToken::make_word(&latin1(&literal::identifier(text)), Some('`')),
            TokenKind::UserVar | TokenKind::SysVar => ParserToken::make_word(&latin1(text), None),
            TokenKind::String => ParserToken::SingleQuotedString(self.string_value(token)),
            TokenKind::Number => ParserToken::Number(latin1(text), false),
            TokenKind::Hex => ParserToken::HexStringLiteral(digits(text)),
            TokenKind::Bit => ParserToken::SingleQuotedByteStringLiteral(digits(text)),
            TokenKind::Placeholder => ParserToken::Placeholder("?".to_owned()),
            TokenKind::Delimiter => ParserToken::SemiColon,
            TokenKind::Operator => self.operator_token(text),
        };
        self.out.push(at(parsed, token.span()));
    }

    fn operator_token(&mut self, text: &[u8]) -> ParserToken {
        use ParserToken as P;
        match text {
            b"(" => {
                self.insert_head = false;
                self.depth += 1;
                P::LParen
            }
            b")" => {
                if self.group_by == Some(self.depth) {
                    self.group_by = None;
                }
                if self.tables.last() == Some(&self.depth) {
                    self.tables.pop();
                }
                if self.from == Some(self.depth) {
                    self.from = None;
                }
                self.depth = self.depth.saturating_sub(1);
                P::RParen
            }
            b"," => P::Comma,
            b"." => P::Period,
            b"=" => P::Eq,
            b"<=>" => P::Spaceship,
            b"<>" | b"!=" => P::Neq,
            b"<" => P::Lt,
            b">" => P::Gt,
            b"<=" => P::LtEq,
            b">=" => P::GtEq,
            b"<<" => P::ShiftLeft,
            b">>" => P::ShiftRight,
            b"+" => P::Plus,
            b"-" => P::Minus,
            b"*" => P::Mul,
            b"/" => P::Div,
            b"%" => P::Mod,
            b"^" => P::Caret,
            b"|" => P::Pipe,
            b"&" => P::Ampersand,
            b"~" => P::Tilde,
            b"!" => P::ExclamationMark,
            b"{" => P::LBrace,
            b"}" => P::RBrace,
            b":=" => P::Assignment,
            b"->" => P::Arrow,
            b"->>" => P::LongArrow,
            b"&&" => P::make_word("AND", None),
            b"||" if self.statement.mode.sql_mode.pipes_as_concat => P::StringConcat,
            b"||" => P::make_word("OR", None),
            other => P::Char(other.first().copied().map_or('\0', char::from)),
        }
    }
}

#[derive(Clone)]
struct Verb {
    update: bool,
    modifiers: std::ops::Range<usize>,
    list: std::ops::Range<usize>,
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

fn digits(source: &[u8]) -> String {
    latin1(source.get(2..).unwrap_or_default()).trim_end_matches('\'').to_owned()
}
