//! The walk over expressions: an allow-list of what may be said beside protected columns. What is
//! not on it is refused, also when no protected column is in it.

use sqlparser::ast::{BinaryOperator, CaseWhen, Expr, UnaryOperator, Value as Literal};

use std::ops::Range;

use super::compare::is_equality;
use super::planner::Planner;
use super::scope::Chain;
use super::value::{Constant, Prefix, Value, same_column};
use super::why;
use crate::sql::lex::TokenKind;
use crate::sql::{NullPolicy, Refusal};

impl Planner<'_> {
    /// What `expr` carries, where the names of `chain` are in reach.
    pub(super) fn expr(&mut self, expr: &Expr, chain: &Chain<'_>) -> Result<Value, Refusal> {
        match expr {
            Expr::Identifier(ident) => {
                if ident.quote_style.is_none() && (ident.value.starts_with('@') || is_nullary_function(&ident.value)) {
                    return Ok(Value::Plain);
                }
                let name = self.name(ident);
                chain.resolve(&name).map_err(|r| why::at(r, self.span(ident.span)))
            }
            Expr::CompoundIdentifier(parts) => {
                if parts.first().is_some_and(|p| p.quote_style.is_none() && p.value.starts_with("@@")) {
                    return Ok(Value::Plain);
                }
                let span = parts.last().and_then(|p| self.span(p.span));
                let names: Vec<String> = parts.iter().map(|p| self.name(p)).collect();
                let value = match names.as_slice() {
                    [table, column] => chain.resolve_qualified(None, table, column, self.fold()),
                    [schema, table, column] => chain.resolve_qualified(Some(schema), table, column, self.fold()),
                    _ => Err(why::not_understood("a name of more than three parts")),
                };
                value.map_err(|r| why::at(r, span))
            }
            Expr::Value(value) => match &value.value {
                Literal::Null => Ok(Value::Null),
                Literal::Placeholder(text) if text.starts_with('@') => Ok(Value::Plain),
                Literal::Placeholder(text) if text == "?" => {
                    let at = self.offset(value.span).ok_or_else(|| why::not_understood("a placeholder"))?;
                    self.see(at)?;
                    Ok(Value::Constant(Constant { at, prefix: None }))
                }
                Literal::Placeholder(_) => Err(why::not_understood("this kind of placeholder")),
                Literal::Number(..)
                | Literal::SingleQuotedString(_)
                | Literal::DoubleQuotedString(_)
                | Literal::NationalStringLiteral(_)
                | Literal::HexStringLiteral(_)
                | Literal::SingleQuotedByteStringLiteral(_)
                | Literal::DoubleQuotedByteStringLiteral(_)
                | Literal::Boolean(_) => Ok(match self.offset(value.span) {
                    Some(at) => Value::Constant(Constant { at, prefix: None }),
                    None => Value::Plain,
                }),
                _ => Err(why::not_understood("this kind of literal")),
            },
            Expr::Prefixed { prefix, value } => {
                let inner = self.expr(value, chain)?;
                match (inner, self.offset(prefix.span)) {
                    (Value::Constant(Constant { at, prefix: None }), Some(introducer))
                        if prefix.value.starts_with('_') =>
                    {
                        Ok(Value::Constant(Constant { at, prefix: Some(Prefix::Introducer(introducer)) }))
                    }
                    (Value::Sealed(column), _) => Err(why::expression(&column, "an introducer")),
                    _ => Ok(Value::Plain),
                }
            }
            Expr::Nested(inner) => self.expr(inner, chain),
            Expr::IsNull(inner) | Expr::IsNotNull(inner) => {
                if let Value::Sealed(column) = self.expr(inner, chain)?
                    && !self.stands_alone(inner)
                {
                    return Err(why::at(why::expression(&column, "an operator"), self.expr_span(inner)));
                }
                Ok(Value::Plain)
            }
            Expr::IsFalse(e)
            | Expr::IsNotFalse(e)
            | Expr::IsTrue(e)
            | Expr::IsNotTrue(e)
            | Expr::IsUnknown(e)
            | Expr::IsNotUnknown(e) => self.all_plain([&**e], chain, "a truth test"),
            Expr::InList { expr, list, negated } => self.equal_in(expr, list, *negated, chain),
            Expr::InSubquery { expr, subquery, .. } => {
                let outputs = self.query(subquery, Some(chain))?;
                self.equal_to_query(expr, &outputs, chain, "IN (SELECT ...)")
            }
            Expr::Between { expr, low, high, .. } => {
                // `a BETWEEN b AND c IS NULL` tests the whole, not c.
                if [low, high].iter().any(|e| matches!(***e, Expr::IsNull(_) | Expr::IsNotNull(_))) && chain.protects()
                {
                    return Err(why::not_understood("IS NULL after BETWEEN"));
                }
                for e in [expr, low, high] {
                    self.compared(e, chain, "BETWEEN")?;
                }
                Ok(Value::Plain)
            }
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right, chain),
            Expr::Like { any: false, expr, pattern, escape_char, .. } => {
                self.compared(expr, chain, "LIKE")?;
                self.compared(pattern, chain, "LIKE")?;
                escape_char.iter().try_for_each(|e| self.compared(e, chain, "LIKE"))?;
                Ok(Value::Plain)
            }
            Expr::RLike { expr, pattern, .. } => {
                self.compared(expr, chain, "REGEXP")?;
                self.compared(pattern, chain, "REGEXP")?;
                Ok(Value::Plain)
            }
            Expr::AnyOp { left, compare_op, right, .. } | Expr::AllOp { left, compare_op, right }
                if is_equality(compare_op) && matches!(**right, Expr::Subquery(_)) =>
            {
                self.equal(&[&**left, &**right], chain, "a comparison")
            }
            Expr::AnyOp { left, right, .. } | Expr::AllOp { left, right, .. } => {
                self.compared(left, chain, "a comparison")?;
                self.compared(right, chain, "a comparison")?;
                Ok(Value::Plain)
            }
            Expr::UnaryOp { op, expr: inner } => self.unary(op, inner, chain),
            Expr::Case { operand, conditions, else_result, .. } => {
                if let Some(operand) = operand {
                    let operands = std::iter::once(&**operand).chain(conditions.iter().map(|c| &c.condition));
                    self.equal(&operands.collect::<Vec<_>>(), chain, "CASE")?;
                }
                let mut branches = Vec::with_capacity(conditions.len() + 1);
                for CaseWhen { condition, result } in conditions {
                    if operand.is_none() {
                        self.compared(condition, chain, "WHEN")?;
                    }
                    branches.push(self.expr(result, chain)?);
                }
                branches.push(match else_result {
                    Some(result) => self.expr(result, chain)?,
                    None => Value::Null,
                });
                self.merge(branches, "CASE")
            }
            Expr::Exists { subquery, .. } => {
                self.query(subquery, Some(chain))?;
                Ok(Value::Plain)
            }
            Expr::Subquery(query) => {
                let outputs = self.query(query, Some(chain))?;
                match (outputs.columns.as_slice(), outputs.unknown) {
                    ([one], false) => Ok(one.value.clone().settled()),
                    _ => match outputs.first_sealed() {
                        Some(column) => Err(why::comparison(column, "a row subquery")),
                        None => Ok(Value::Plain),
                    },
                }
            }
            Expr::Tuple(elements) => self.all_compared(elements.iter(), chain, "a row"),
            Expr::Function(function) => self.function(function, chain),
            Expr::Cast { expr, .. } => self.all_plain([&**expr], chain, "CAST"),
            Expr::Convert { expr, styles, is_try: false, .. } if styles.is_empty() => {
                self.all_plain([&**expr], chain, "CONVERT")
            }
            Expr::Collate { expr, .. } => self.all_plain([&**expr], chain, "COLLATE"),
            Expr::Extract { expr, .. } => self.all_plain([&**expr], chain, "EXTRACT"),
            Expr::Ceil { expr, .. } => self.all_plain([&**expr], chain, "CEIL"),
            Expr::Floor { expr, .. } => self.all_plain([&**expr], chain, "FLOOR"),
            Expr::Position { expr, r#in } => self.all_plain([&**expr, &**r#in], chain, "POSITION"),
            Expr::Substring { expr, substring_from, substring_for, .. } => {
                let rest = substring_from.iter().chain(substring_for).map(|e| &**e);
                self.all_plain(std::iter::once(&**expr).chain(rest), chain, "SUBSTRING")
            }
            Expr::Trim { trim_what, expr, trim_characters: None, .. } => {
                self.all_plain(std::iter::once(&**expr).chain(trim_what.iter().map(|e| &**e)), chain, "TRIM")
            }
            Expr::Interval(interval) => self.all_plain([&*interval.value], chain, "INTERVAL"),
            Expr::TypedString(_) => Ok(Value::Plain),
            Expr::MatchAgainst { columns, match_value, .. } => {
                if let Literal::Placeholder(text) = &match_value.value
                    && text == "?"
                {
                    let at = self.offset(match_value.span).ok_or_else(|| why::not_understood("a placeholder"))?;
                    self.see(at)?;
                }
                for column in columns {
                    let parts = self.parts(column)?;
                    let value = match parts.as_slice() {
                        [name] => chain.resolve(name)?,
                        [table, name] => chain.resolve_qualified(None, table, name, self.fold())?,
                        [schema, table, name] => chain.resolve_qualified(Some(schema), table, name, self.fold())?,
                        _ => return Err(why::not_understood("MATCH")),
                    };
                    if let Value::Sealed(column) = value {
                        return Err(why::comparison(&column, "MATCH"));
                    }
                }
                Ok(Value::Plain)
            }
            Expr::MemberOf(member) => self.all_plain([&*member.value, &*member.array], chain, "MEMBER OF"),
            _ => Err(why::not_understood("this kind of expression")),
        }
    }

    fn binary(&mut self, left: &Expr, op: &BinaryOperator, right: &Expr, chain: &Chain<'_>) -> Result<Value, Refusal> {
        use BinaryOperator as Op;
        match op {
            op if is_equality(op) => return self.equality(left, op, right, chain),
            Op::Lt | Op::LtEq | Op::Gt | Op::GtEq | Op::Regexp => {
                self.compared(left, chain, "a comparison")?;
                self.compared(right, chain, "a comparison")?;
            }
            Op::Assignment => {
                if !is_user_variable(left) {
                    return Err(why::not_understood("an assignment within an expression"));
                }
                if let Value::Sealed(column) = self.expr(right, chain)? {
                    return Err(why::at(why::variable(&column), self.expr_span(right)));
                }
                self.expr(left, chain)?;
            }
            Op::Plus
            | Op::Minus
            | Op::Multiply
            | Op::Divide
            | Op::Modulo
            | Op::MyIntegerDivide
            | Op::StringConcat
            | Op::And
            | Op::Or
            | Op::Xor
            | Op::BitwiseOr
            | Op::BitwiseAnd
            | Op::BitwiseXor
            | Op::PGBitwiseShiftLeft
            | Op::PGBitwiseShiftRight
            | Op::Arrow
            | Op::LongArrow => {
                self.plain(left, chain, "an operator")?;
                self.plain(right, chain, "an operator")?;
            }
            _ => return Err(why::not_understood("this operator")),
        }
        Ok(Value::Plain)
    }

    fn unary(&mut self, op: &UnaryOperator, inner: &Expr, chain: &Chain<'_>) -> Result<Value, Refusal> {
        match op {
            UnaryOperator::Plus | UnaryOperator::Minus => {
                let value = self.expr(inner, chain)?;
                if let Value::Sealed(column) = value {
                    return Err(why::expression(&column, "an operator"));
                }
                let Value::Constant(Constant { at, prefix: None }) = value else {
                    return Ok(Value::Plain);
                };
                // The sign is a token of its own, right before the number.
                let number = self.source.index(at);
                let sign = number.and_then(|i| i.checked_sub(1));
                let (Some(number), Some(sign)) = (number.and_then(|i| self.source.token(i)), sign) else {
                    return Ok(Value::Plain);
                };
                let Some(offset) = self.source.token(sign).map(|t| t.start()) else {
                    return Ok(Value::Plain);
                };
                let negative = *op == UnaryOperator::Minus;
                if number.kind != TokenKind::Number || !self.source.operator(sign, if negative { "-" } else { "+" }) {
                    return Ok(Value::Plain);
                }
                let prefix = if negative { Prefix::Minus(offset) } else { Prefix::Plus(offset) };
                Ok(Value::Constant(Constant { at, prefix: Some(prefix) }))
            }
            UnaryOperator::Not | UnaryOperator::BangNot | UnaryOperator::BitwiseNot => {
                // HIGH_NOT_PRECEDENCE: `NOT a IS NULL` is `(NOT a) IS NULL`, likewise `!a IS NULL`, `!a = b`.
                let binds_tighter = self.ctx.sql_mode.high_not_precedence || *op != UnaryOperator::Not;
                let test = match inner {
                    Expr::IsNull(_) | Expr::IsNotNull(_) | Expr::InList { .. } | Expr::InSubquery { .. } => true,
                    Expr::AnyOp { .. } | Expr::AllOp { .. } => true,
                    Expr::BinaryOp { op, .. } => is_equality(op),
                    _ => false,
                };
                if binds_tighter && test && chain.protects() {
                    return Err(why::not_understood("a negation before a test without parentheses"));
                }
                self.all_plain([inner], chain, "an operator")
            }
            _ => Err(why::not_understood("this operator")),
        }
    }

    pub(super) fn all_plain<'e>(
        &mut self,
        exprs: impl IntoIterator<Item = &'e Expr>,
        chain: &Chain<'_>,
        clause: &str,
    ) -> Result<Value, Refusal> {
        exprs.into_iter().try_for_each(|e| self.plain(e, chain, clause))?;
        Ok(Value::Plain)
    }

    fn all_compared<'e>(
        &mut self,
        exprs: impl IntoIterator<Item = &'e Expr>,
        chain: &Chain<'_>,
        clause: &str,
    ) -> Result<Value, Refusal> {
        exprs.into_iter().try_for_each(|e| self.compared(e, chain, clause))?;
        Ok(Value::Plain)
    }

    /// An operand of a comparison.
    fn compared(&mut self, expr: &Expr, chain: &Chain<'_>, clause: &str) -> Result<(), Refusal> {
        match self.expr(expr, chain)? {
            Value::Sealed(column) => Err(why::at(why::comparison(&column, clause), self.expr_span(expr))),
            _ => Ok(()),
        }
    }

    /// One value out of several, as `CASE` or `COALESCE` choose it. Constants beside a protected
    /// column are sealed as its values.
    pub(super) fn merge(&mut self, branches: Vec<Value>, clause: &str) -> Result<Value, Refusal> {
        let Some(column) = branches.iter().find_map(Value::sealed).cloned() else {
            return Ok(choice(branches));
        };
        for branch in branches {
            match branch {
                Value::Null => {}
                Value::Sealed(other) if same_column(&other, &column) => {}
                Value::Constant(constant) => self.seal_constant(constant, &column, NullPolicy::Keep)?,
                Value::Choice { constants, .. } => {
                    for constant in constants {
                        self.seal_constant(constant, &column, NullPolicy::Keep)?;
                    }
                }
                Value::Plain | Value::Sealed(_) => return Err(why::mixed(&column, clause)),
            }
        }
        Ok(Value::Sealed(column))
    }

    /// Whether the operand of an `IS NULL` is what the server takes it for: what stands before it
    /// must bind more loosely than `IS`, for on the server `a = b IS NULL` is `(a = b) IS NULL`.
    fn stands_alone(&self, operand: &Expr) -> bool {
        if self.view_depth > 0 {
            // Stored definitions are written with all their parentheses.
            return true;
        }
        let mut inner = operand;
        let mut parentheses = 0;
        while let Expr::Nested(e) = inner {
            inner = e;
            parentheses += 1;
        }
        let first = match inner {
            Expr::Identifier(ident) => Some(ident.span),
            Expr::CompoundIdentifier(parts) => parts.first().map(|p| p.span),
            Expr::Function(function) => function.name.0.first().and_then(|p| p.as_ident()).map(|i| i.span),
            _ => None,
        };
        let Some(mut index) = first.and_then(|s| self.offset(s)).and_then(|o| self.source.index(o)) else {
            return false;
        };
        for _ in 0..parentheses {
            let Some(before) = index.checked_sub(1).filter(|i| self.source.operator(*i, "(")) else {
                return false;
            };
            index = before;
        }
        let Some(before) = index.checked_sub(1) else {
            return false;
        };
        const LOOSER: [&str; 19] = [
            "AND",
            "OR",
            "XOR",
            "WHERE",
            "ON",
            "HAVING",
            "WHEN",
            "THEN",
            "ELSE",
            "CASE",
            "NOT",
            "SELECT",
            "BY",
            "ALL",
            "DISTINCT",
            "DISTINCTROW",
            "SQL_CALC_FOUND_ROWS",
            "SQL_NO_CACHE",
            "RETURNING",
        ];
        LOOSER.iter().any(|w| self.source.word(before, w))
            || self.source.operator(before, "(")
            || self.source.operator(before, ",")
            || self.source.operator(before, "&&")
            || (self.source.operator(before, "||") && !self.ctx.sql_mode.pipes_as_concat)
    }

    /// Where an expression starts, as far as its leaves tell.
    pub(super) fn expr_span(&self, expr: &Expr) -> Option<Range<usize>> {
        match expr {
            Expr::Identifier(ident) => self.span(ident.span),
            Expr::CompoundIdentifier(parts) => {
                let first = self.span(parts.first()?.span)?;
                let last = self.span(parts.last()?.span)?;
                Some(first.start..last.end)
            }
            Expr::Nested(inner) => self.expr_span(inner),
            Expr::Function(function) => self.span(function.name.0.first()?.as_ident()?.span),
            Expr::Value(value) => self.span(value.span),
            _ => None,
        }
    }
}

fn choice(branches: Vec<Value>) -> Value {
    let mut constants = Vec::new();
    let mut null = false;
    for branch in branches {
        match branch {
            Value::Null => null = true,
            Value::Constant(constant) => constants.push(constant),
            Value::Choice { constants: more, null: n } => {
                constants.extend(more);
                null |= n;
            }
            Value::Plain | Value::Sealed(_) => return Value::Plain,
        }
    }
    if constants.is_empty() { Value::Null } else { Value::Choice { constants, null } }
}

fn is_user_variable(expr: &Expr) -> bool {
    match expr {
        Expr::Identifier(ident) => ident.quote_style.is_none() && ident.value.starts_with('@'),
        Expr::Value(value) => matches!(&value.value, Literal::Placeholder(text) if text.starts_with('@')),
        _ => false,
    }
}

/// Functions that need no parentheses and that the parser takes for columns.
fn is_nullary_function(name: &str) -> bool {
    ["UTC_DATE", "UTC_TIME", "UTC_TIMESTAMP"].iter().any(|f| f.eq_ignore_ascii_case(name))
}
