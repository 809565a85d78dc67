//! The parser, fed with our own tokens: MySQL's operator precedence on top of the library's MySQL
//! dialect. Positions of the AST are byte offsets of the packet. Names in the AST are the bytes of the
//! text read as Latin-1.

use std::any::TypeId;
use std::ops::Range;

use sqlparser::ast::{Expr, Ident, Statement, UnaryOperator};
use sqlparser::dialect::{Dialect, MySqlDialect, Precedence};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Word};

use super::lex::StatementText;
use super::normalise;
use super::plan::SqlMode;
use super::refusal::{Refusal, RefusalCode};

/// From positions of the AST to byte offsets of the packet: every token is on line 1, in the column of
/// its offset.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spans;

impl Spans {
    /// `None` for the empty location, which some nodes carry.
    pub fn offset(self, location: Location) -> Option<usize> {
        if location.line == 0 { None } else { usize::try_from(location.column).ok()?.checked_sub(1) }
    }

    pub fn range(self, span: Span) -> Option<Range<usize>> {
        Some(self.offset(span.start)?..self.offset(span.end)?)
    }
}

/// The span whose [`Spans::range`] is `range`.
pub(super) fn span_of(range: Range<usize>) -> Span {
    Span::new(Location::new(1, range.start as u64 + 1), Location::new(1, range.end as u64 + 1))
}

/// A statement as the parser sees it.
pub struct Parsed {
    pub statement: Statement,
    pub spans: Spans,
    /// `IGNORE` after the verb, which the AST does not hold for UPDATE and DELETE.
    pub ignore: bool,
}

/// Parses one statement. Run it where the stack is large; chains and nesting are limited before.
pub fn parse(statement: &StatementText<'_>) -> Result<Parsed, Refusal> {
    super::guard::check_limits(statement)?;
    let (tokens, ignore) = normalise::tokens(statement);
    let dialect = SessionDialect { sql_mode: statement.mode.sql_mode };
    let mut parser = Parser::new(&dialect).with_tokens_with_locations(tokens);
    let parsed = parser.parse_statement().and_then(|ast| match parser.peek_token().token {
        Token::EOF => Ok(ast),
        _ => Err(ParserError::ParserError(format!("at Line: 1, Column: {}", parser.peek_token().span.start.column))),
    });
    match parsed {
        Ok(ast) => {
            super::guard::check_literals(statement, &ast)?;
            Ok(Parsed { statement: ast, spans: Spans, ignore })
        }
        Err(error) => Err(not_understood(&error, statement)),
    }
}

/// The parser's own message quotes the text, values included: only the position is taken from it.
fn not_understood(error: &ParserError, statement: &StatementText<'_>) -> Refusal {
    if matches!(error, ParserError::RecursionLimitExceeded) {
        return Refusal::new(RefusalCode::TooComplex, "the statement nests too deeply", Some(statement.span.clone()));
    }
    let message = error.to_string();
    let offset = message
        .rsplit_once("Column: ")
        .and_then(|(_, column)| column.parse::<usize>().ok())
        .and_then(|column| column.checked_sub(1))
        .filter(|offset| statement.span.contains(offset));
    match offset {
        Some(offset) => {
            let end = statement.token_at(offset).map_or(offset, |t| t.end());
            let at = offset - statement.span.start;
            Refusal::new(
                RefusalCode::NotUnderstood,
                format!("the statement is not understood from its byte {at} on"),
                Some(offset..end),
            )
        }
        None => {
            Refusal::new(RefusalCode::NotUnderstood, "the statement is not understood", Some(statement.span.clone()))
        }
    }
}

#[derive(Debug)]
struct SessionDialect {
    sql_mode: SqlMode,
}

const OR: u8 = 5;
const XOR: u8 = 7;
const AND: u8 = 10;
const NOT: u8 = 15;
const COMPARISON: u8 = 17;
const PREDICATE: u8 = 20;
const BIT_OR: u8 = 21;
const BIT_AND: u8 = 22;
const SHIFT: u8 = 23;
const ADDITIVE: u8 = 30;
const MULTIPLICATIVE: u8 = 40;
const BIT_XOR: u8 = 45;
const CONCAT: u8 = 47;
const UNARY: u8 = 50;
const BINARY: u8 = 55;
const ARROW: u8 = 60;
const PERIOD: u8 = 100;

macro_rules! as_mysql {
    ($($name:ident),*) => { $(fn $name(&self) -> bool { MySqlDialect {}.$name() })* };
}

impl Dialect for SessionDialect {
    /// The library asks by type whether it speaks MySQL.
    fn dialect(&self) -> TypeId {
        TypeId::of::<MySqlDialect>()
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        MySqlDialect {}.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        MySqlDialect {}.is_identifier_part(ch)
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        ch == '`'
    }

    fn identifier_quote_style(&self, _identifier: &str) -> Option<char> {
        Some('`')
    }

    as_mysql!(
        ignores_wildcard_escapes,
        supports_numeric_prefix,
        supports_bitwise_shift_operators,
        require_interval_qualifier,
        supports_limit_comma,
        supports_create_table_select,
        supports_insert_set,
        supports_user_host_grantee,
        supports_table_hints,
        supports_match_against,
        supports_select_modifiers,
        supports_set_names,
        supports_comma_separated_set_assignments,
        supports_update_order_by,
        supports_data_type_signed_suffix,
        supports_cross_join_constraint,
        supports_double_ampersand_operator,
        supports_constraint_keyword_without_name,
        supports_key_column_option,
        supports_group_by_with_modifier,
        supports_left_associative_joins_without_parens
    );

    fn is_table_factor_alias(&self, explicit: bool, kw: &Keyword, parser: &mut Parser) -> bool {
        MySqlDialect {}.is_table_factor_alias(explicit, kw, parser)
    }

    fn parse_infix(&self, parser: &mut Parser, expr: &Expr, precedence: u8) -> Option<Result<Expr, ParserError>> {
        MySqlDialect {}.parse_infix(parser, expr, precedence)
    }

    /// `!`, `~` and `BINARY` bind tighter than any binary operator.
    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        let next = parser.peek_token();
        match &next.token {
            Token::ExclamationMark | Token::Tilde => {
                let op = if next.token == Token::Tilde { UnaryOperator::BitwiseNot } else { UnaryOperator::Not };
                parser.next_token();
                Some(parser.parse_subexpr(UNARY).map(|e| Expr::UnaryOp { op, expr: Box::new(e) }))
            }
            Token::Word(Word { keyword: Keyword::BINARY, quote_style: None, value }) => {
                parser.next_token();
                let prefix = Ident::with_span(next.span, value.clone());
                Some(parser.parse_subexpr(BINARY).map(|e| Expr::Prefixed { prefix, value: Box::new(e) }))
            }
            _ => None,
        }
    }

    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        let predicate = |keyword: Keyword| {
            matches!(keyword, Keyword::IN | Keyword::BETWEEN | Keyword::LIKE | Keyword::RLIKE | Keyword::REGEXP)
        };
        let precedence = match &parser.peek_token_ref().token {
            Token::Word(word) => match word.keyword {
                Keyword::OR => OR,
                Keyword::XOR => XOR,
                Keyword::AND => AND,
                Keyword::IS => COMPARISON,
                Keyword::DIV => MULTIPLICATIVE,
                Keyword::MEMBER => PREDICATE,
                Keyword::NOT => match &parser.peek_nth_token_ref(1).token {
                    Token::Word(next) if predicate(next.keyword) => PREDICATE,
                    _ => 0,
                },
                keyword if predicate(keyword) => PREDICATE,
                _ => 0,
            },
            Token::Eq | Token::Lt | Token::LtEq | Token::Neq | Token::Gt | Token::GtEq | Token::Spaceship => COMPARISON,
            Token::Pipe => BIT_OR,
            Token::Ampersand => BIT_AND,
            Token::ShiftLeft | Token::ShiftRight => SHIFT,
            Token::Plus | Token::Minus => ADDITIVE,
            Token::Mul | Token::Div | Token::Mod => MULTIPLICATIVE,
            Token::Caret => BIT_XOR,
            Token::StringConcat => CONCAT,
            Token::Arrow | Token::LongArrow => ARROW,
            Token::Period => PERIOD,
            // `:=` assigns a variable: not understood around protected columns.
            _ => 0,
        };
        Some(Ok(precedence))
    }

    fn prec_value(&self, precedence: Precedence) -> u8 {
        match precedence {
            Precedence::Period => PERIOD,
            // The library parses the operand of a sign with this one.
            Precedence::MulDivModOp => UNARY,
            Precedence::DoubleColon | Precedence::AtTz => UNARY,
            Precedence::PlusMinus => ADDITIVE,
            Precedence::Xor => XOR,
            Precedence::Ampersand => BIT_AND,
            Precedence::Caret => BIT_XOR,
            Precedence::Pipe | Precedence::Colon => BIT_OR,
            Precedence::PgOther => ARROW,
            Precedence::Between | Precedence::Like => PREDICATE,
            Precedence::Eq | Precedence::Is => COMPARISON,
            Precedence::UnaryNot if self.sql_mode.high_not_precedence => UNARY,
            Precedence::UnaryNot => NOT,
            Precedence::And => AND,
            Precedence::Or => OR,
        }
    }
}

/// A token for the parser, at the place of `range`.
pub(super) fn at(token: Token, range: Range<usize>) -> TokenWithSpan {
    TokenWithSpan { token, span: span_of(range) }
}
