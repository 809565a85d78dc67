//! Checks around the parser and the splice: limits that keep it from overflowing the stack, literals
//! that the AST must account for, and texts that must not differ outside of what was replaced.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::ops::Range;

use sqlparser::ast::{Ident, Statement, ValueWithSpan, Visit, Visitor};

use super::dialect::Spans;
use super::lex::{LexMode, StatementText, Token, TokenKind, lex};
use super::refusal::{Refusal, RefusalCode};

/// The servers join 61 tables at most.
pub const MAX_JOINS: usize = 61;
pub const MAX_UNIONS: usize = 200;
/// Operators above each other in the tree: in one chain, and in those nested in its operands. A
/// stack of 16 MiB holds that in an unoptimised build (measured); workers have four times as much.
pub const MAX_CHAIN: usize = 2000;
pub const MAX_DEPTH: usize = 100;

/// How deep the expressions between two parentheses are.
#[derive(Default)]
struct Chain {
    /// Since the last comma.
    current: Operators,
    /// Between earlier commas.
    others: usize,
}

impl Chain {
    fn deepest(&self) -> usize {
        self.current.depth().max(self.others)
    }
}

/// The operators of one expression. OR binds most loosely, then AND: what stands between two of them lies
/// beside, not above, what stands between others.
#[derive(Default)]
struct Operators {
    ors: usize,
    ands: usize,
    rest: usize,
    /// The deepest operand of OR so far, and of AND since the last OR.
    of_or: usize,
    of_and: usize,
    /// All of them, for expressions whose operands may hold OR and AND without parentheses.
    all: usize,
    nests: bool,
}

impl Operators {
    fn and(&mut self) {
        self.all += 1;
        self.ands += 1;
        self.of_and = self.of_and.max(std::mem::take(&mut self.rest));
    }

    fn or(&mut self) {
        self.of_or = self.of_or.max(self.conjunction());
        self.all += 1;
        self.ors += 1;
        (self.ands, self.rest, self.of_and) = (0, 0, 0);
    }

    fn other(&mut self) {
        self.all += 1;
        self.rest += 1;
    }

    fn operand(&mut self, depth: usize) {
        self.all = self.all.max(depth);
        self.rest = self.rest.max(depth);
    }

    fn conjunction(&self) -> usize {
        self.ands + self.of_and.max(self.rest)
    }

    fn depth(&self) -> usize {
        if self.nests { self.all } else { self.ors + self.of_or.max(self.conjunction()) }
    }
}

/// Refuses what would make the AST deeper than a worker's stack.
pub fn check_limits(statement: &StatementText<'_>) -> Result<(), Refusal> {
    let text = statement.text;
    let (mut joins, mut unions) = (0, 0);
    let mut chains = vec![Chain::default()];
    let refuse = |what: &str| Err(Refusal::new(RefusalCode::TooComplex, what, Some(statement.span.clone())));
    for token in statement.live() {
        let source = token.text(text);
        let (mut binary, mut or, mut and, mut nests) = (false, false, false, false);
        match token.kind {
            TokenKind::Operator => match source {
                b"(" | b"{" => chains.push(Chain::default()),
                b")" | b"}" => {
                    let inner = chains.pop().unwrap_or_default().deepest() + 1;
                    if let Some(outer) = chains.last_mut() {
                        outer.current.operand(inner);
                    }
                }
                b"," => {
                    if let Some(chain) = chains.last_mut() {
                        *chain = Chain { current: Operators::default(), others: chain.deepest() };
                    }
                }
                b"||" if !statement.mode.sql_mode.pipes_as_concat => or = true,
                b"&&" => and = true,
                b":=" => (binary, nests) = (true, true),
                _ => binary = true,
            },
            TokenKind::Word if source.len() <= 13 => {
                let is = |words: &[&str]| words.iter().any(|w| source.eq_ignore_ascii_case(w.as_bytes()));
                joins += usize::from(is(&["join", "straight_join"]));
                unions += usize::from(is(&["union", "except", "intersect", "minus"]));
                or = is(&["or", "xor"]);
                and = is(&["and"]);
                nests = is(&["case", "interval", "between"]);
                binary = is(&[
                    "div", "mod", "not", "binary", "like", "is", "in", "between", "regexp", "rlike", "collate", "case",
                    "interval",
                ]);
            }
            _ => {}
        }
        if chains.is_empty() {
            chains.push(Chain::default());
        }
        if let Some(chain) = chains.last_mut() {
            chain.current.nests |= nests;
            match (or, and, binary) {
                (true, _, _) => chain.current.or(),
                (_, true, _) => chain.current.and(),
                (_, _, true) => chain.current.other(),
                _ => {}
            }
            if chain.current.depth() > MAX_CHAIN {
                return refuse("too many operators in one expression");
            }
        }
        if chains.len() > MAX_DEPTH {
            return refuse("parentheses nest too deeply");
        }
        if joins > MAX_JOINS {
            return refuse("too many joins");
        }
        if unions > MAX_UNIONS {
            return refuse("too many set operations");
        }
    }
    Ok(())
}

struct Leaves {
    starts: HashSet<usize>,
    /// Identifiers without a position: string aliases.
    unplaced: Vec<String>,
}

impl Visitor for Leaves {
    type Break = ();

    fn pre_visit_value(&mut self, value: &ValueWithSpan) -> ControlFlow<()> {
        self.starts.extend(Spans.offset(value.span.start));
        ControlFlow::Continue(())
    }

    fn pre_visit_ident(&mut self, ident: &Ident) -> ControlFlow<()> {
        match Spans.offset(ident.span.start) {
            Some(start) => {
                self.starts.insert(start);
            }
            None => self.unplaced.push(ident.value.clone()),
        }
        ControlFlow::Continue(())
    }
}

/// Every string, number, hexadecimal, bit and placeholder token must be a value of the AST, aliases and
/// the lengths of types aside: what the parser dropped could not be sealed.
pub fn check_literals(statement: &StatementText<'_>, ast: &Statement) -> Result<(), Refusal> {
    let mut leaves = Leaves { starts: HashSet::new(), unplaced: Vec::new() };
    let _ = ast.visit(&mut leaves);
    let live: Vec<Token> = statement.live().collect();
    let text = statement.text;
    for (n, token) in live.iter().enumerate() {
        if !token.is_value() || leaves.starts.contains(&token.start()) {
            continue;
        }
        let before = |back: usize| n.checked_sub(back).and_then(|k| live.get(k));
        let accounted = match token.kind {
            // A further part of the string before it.
            TokenKind::String if before(1).is_some_and(|t| t.kind == TokenKind::String) => {
                super::literal::continues_string(*token, text)
            }
            TokenKind::String => {
                let bytes = super::literal::string(token.text(text), statement.mode).unwrap_or_default();
                let name: String = bytes.iter().copied().map(char::from).collect();
                leaves.unplaced.contains(&name)
            }
            TokenKind::Number => {
                let within = |back: usize| {
                    before(back).is_some_and(|t| is_sized(*t, text))
                        && before(back - 1).is_some_and(|t| t.is_operator(text, "("))
                };
                within(2) || within(4)
            }
            _ => false,
        };
        if !accounted {
            return Err(Refusal::new(
                RefusalCode::GuardFailed,
                "a literal or placeholder of the statement is not accounted for",
                Some(token.span()),
            ));
        }
    }
    Ok(())
}

/// A word that takes a length in parentheses.
fn is_sized(token: Token, text: &[u8]) -> bool {
    const SIZED: &[&str] = &[
        "char",
        "nchar",
        "varchar",
        "binary",
        "varbinary",
        "decimal",
        "dec",
        "numeric",
        "float",
        "double",
        "real",
        "time",
        "datetime",
        "timestamp",
        "signed",
        "unsigned",
        "year",
        "current_timestamp",
        "current_time",
        "localtime",
        "localtimestamp",
        "integer",
        "int",
    ];
    SIZED.iter().any(|w| token.is_word(text, w))
}

/// What was replaced: the span in the original, and the span in the new text.
pub(super) struct Replacement {
    pub original: Range<usize>,
    pub spliced: Range<usize>,
    /// Holds a sealed literal, which no string may stand next to.
    pub sealed: bool,
}

/// Both texts lex to the same tokens outside of the replacements, which begin and end between tokens.
pub(super) fn check_splice(original: &[u8], spliced: &[u8], replacements: &[Replacement], mode: LexMode) -> Option<()> {
    let before = lex(original, mode).ok()?;
    let after = lex(spliced, mode).ok()?;
    let outside_before = outside(&before, replacements.iter().map(|r| &r.original))?;
    let outside_after = outside(&after, replacements.iter().map(|r| &r.spliced))?;
    if outside_before.len() != outside_after.len() {
        return None;
    }
    let same =
        outside_before.iter().zip(&outside_after).all(|(a, b)| a.kind == b.kind && a.text(original) == b.text(spliced));
    if !same {
        return None;
    }
    let live = after.iter().filter(|t| !t.is_trivia()).copied().collect::<Vec<_>>();
    let is_string = |n: Option<usize>| n.and_then(|n| live.get(n)).is_some_and(|t| t.kind == TokenKind::String);
    for replacement in replacements.iter().filter(|r| r.sealed) {
        let from = live.partition_point(|t| t.start() < replacement.spliced.start);
        let to = live.partition_point(|t| t.start() < replacement.spliced.end);
        let introduced = from
            .checked_sub(1)
            .and_then(|n| live.get(n))
            .is_some_and(|t| t.kind == TokenKind::Word && t.text(spliced).first() == Some(&b'_'));
        let literal = |n: &usize| live.get(*n).is_some_and(|t| matches!(t.kind, TokenKind::String | TokenKind::Hex));
        if introduced && literal(&from) {
            return None;
        }
        // Two strings side by side are one value to the server.
        if (from..to).filter(literal).any(|n| is_string(n.checked_sub(1)) || is_string(n.checked_add(1))) {
            return None;
        }
    }
    Some(())
}

/// The tokens outside of `ranges` (sorted); `None` if a range's edge is within a token.
fn outside<'a>(tokens: &[Token], ranges: impl Iterator<Item = &'a Range<usize>>) -> Option<Vec<Token>> {
    let mut ranges = ranges.peekable();
    let mut kept = Vec::with_capacity(tokens.len());
    for token in tokens {
        while ranges.peek().is_some_and(|r| r.end <= token.start()) {
            ranges.next();
        }
        match ranges.peek() {
            Some(range) if range.start < token.end() && token.start() < range.end => {
                if token.start() < range.start || token.end() > range.end {
                    return None;
                }
            }
            // An insertion must not split a token.
            Some(range) if range.is_empty() && token.start() < range.start && range.start < token.end() => return None,
            _ => kept.push(*token),
        }
    }
    Some(kept)
}
