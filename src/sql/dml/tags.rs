//! Equality while several versions of a data key are live: by search tags. What is compared with a constant
//! becomes LIKE, so that the ordinary index still finds it; elsewhere both sides are cut to their tags.

use std::ops::Range;
use std::sync::Arc;

use sqlparser::ast::{BinaryOperator, Expr};

use super::compare::{One, Operand};
use super::planner::Planner;
use super::scope::Chain;
use super::value::{Constant, Prefix, Value};
use crate::catalog::{Physical, ProtectedColumn};
use crate::seal::versions::{Form, tag_len};
use crate::sql::lex::TokenKind;
use crate::sql::{Piece, Refusal};

/// A column of the statement, and its name in the text.
type Named = (Arc<ProtectedColumn>, Range<usize>);

impl Planner<'_> {
    /// `left = right`, `<=>` or `<>`.
    pub(super) fn equality(
        &mut self,
        left: &Expr,
        op: &BinaryOperator,
        right: &Expr,
        chain: &Chain<'_>,
    ) -> Result<Value, Refusal> {
        let clause = "a comparison";
        let operands = vec![self.operand(left, chain)?, self.operand(right, chain)?];
        if *op == BinaryOperator::Eq
            && let [Operand::One(one), Operand::One(One { value: Value::Constant(constant), .. })] = operands.as_slice()
            && let Some((column, named)) = self.like_column(one, clause)?
            && let Some(equals) = self.next_token(&named)
            && self.source.operator(equals, "=")
            && let Some(span) = self.between(equals, equals, &named)
            && span.end == first_byte(*constant)
        {
            self.edit(span, vec![Piece::Text(" LIKE ".into())]);
            self.seal_compared(*constant, &column, Form::Prefix)?;
            return Ok(Value::Plain);
        }
        self.equal_operands(operands, clause)?;
        Ok(Value::Plain)
    }

    /// `left IN (list)`.
    pub(super) fn equal_in(
        &mut self,
        left: &Expr,
        list: &[Expr],
        negated: bool,
        chain: &Chain<'_>,
    ) -> Result<Value, Refusal> {
        let operands = std::iter::once(left).chain(list).map(|e| self.operand(e, chain));
        let operands = operands.collect::<Result<Vec<_>, _>>()?;
        if !negated
            && let Some((Operand::One(one), elements)) = operands.split_first()
            && let Some((column, named)) = self.like_column(one, "IN")?
            && let Some(constants) = constants(elements)
            && let Some(edits) = self.alternatives(&named)
        {
            edits.into_iter().for_each(|(span, text)| self.edit(span, vec![Piece::Text(text)]));
            for constant in constants {
                self.seal_compared(constant, &column, Form::Prefix)?;
            }
            return Ok(Value::Plain);
        }
        self.equal_operands(operands, "IN")?;
        Ok(Value::Plain)
    }

    /// The searchable text column that `one` is, if LIKE must find its values now, and its name in the text.
    fn like_column(&self, one: &One, clause: &str) -> Result<Option<Named>, Refusal> {
        let (Some(column), Some(named)) = (one.value.sealed(), &one.column) else { return Ok(None) };
        let by_like = column.searchable() && column.physical == Physical::Text && self.by_tags(column, clause)?;
        Ok(by_like.then(|| (column.clone(), named.clone())))
    }

    /// The index of the token behind a name.
    fn next_token(&self, named: &Range<usize>) -> Option<usize> {
        let mut index = self.source.index(named.start)?;
        while self.source.token(index)?.end() < named.end {
            index = index.checked_add(1)?;
        }
        index.checked_add(1)
    }

    /// From the end of `before` to the start of the token behind `last`, if nothing but blanks is between `first`
    /// and `last` and these.
    fn between(&self, first: usize, last: usize, before: &Range<usize>) -> Option<Range<usize>> {
        let text = self.source.text();
        let mut at = before.end;
        for index in first..=last.checked_add(1)? {
            let token = self.source.token(index)?;
            if !text.get(at..token.start())?.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')) {
                return None;
            }
            at = token.end();
        }
        Some(before.end..self.source.token(last.checked_add(1)?)?.start())
    }

    /// What makes `c IN (a, b)` into `(c LIKE a OR c LIKE b)`; `None` if there is more between the parentheses
    /// than a list of single values.
    fn alternatives(&self, named: &Range<usize>) -> Option<Vec<(Range<usize>, String)>> {
        let name = std::str::from_utf8(self.source.text().get(named.clone())?).ok()?;
        let word = self.next_token(named)?;
        let open = word.checked_add(1)?;
        if !self.source.word(word, "IN") || !self.source.operator(open, "(") {
            return None;
        }
        let mut edits =
            vec![(named.start..named.start, "(".to_owned()), (self.between(word, open, named)?, " LIKE ".to_owned())];
        let mut index = open;
        loop {
            let before = self.source.token(index)?.span();
            index = index.checked_add(1)?;
            let token = self.source.token(index)?;
            if self.source.operator(index, ")") {
                return Some(edits);
            } else if self.source.operator(index, ",") {
                edits.push((self.between(index, index, &before)?, format!(" OR {name} LIKE ")));
            } else if token.kind == TokenKind::Operator && !matches!(token.text(self.source.text()), b"+" | b"-") {
                return None;
            }
        }
    }

    /// `LEFT(column, 20)` where the column is named.
    pub(super) fn cut_to_tag(&mut self, named: Range<usize>, column: &ProtectedColumn) {
        self.insertion(named.start, vec![Piece::Text("LEFT(".into())]);
        self.insertion(named.end, vec![Piece::Text(format!(", {})", tag_len(column.physical)))]);
    }
}

/// The constants of a list that holds only these and NULL.
fn constants(elements: &[Operand]) -> Option<Vec<Constant>> {
    let mut constants = Vec::with_capacity(elements.len());
    for element in elements {
        match element {
            Operand::One(One { value: Value::Constant(constant), .. }) => constants.push(*constant),
            Operand::One(One { value: Value::Null, .. }) => {}
            _ => return None,
        }
    }
    Some(constants)
}

/// Where a constant begins, with what belongs to it.
fn first_byte(constant: Constant) -> usize {
    match constant.prefix {
        None => constant.at,
        Some(Prefix::Introducer(at) | Prefix::Plus(at) | Prefix::Minus(at)) => at,
    }
}
