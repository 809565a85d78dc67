//! Equality over searchable columns. Equal values are sealed alike there, so the server compares stored
//! values, by the ordinary index; constants beside such a column are sealed as it would store them. Only
//! whole values are compared: nothing here passes where an operand would be converted first.

use std::ops::Range;
use std::sync::Arc;

use sqlparser::ast::{BinaryOperator, Expr};

use super::planner::Planner;
use super::scope::Chain;
use super::value::{Constant, Outputs, Value, same_column};
use super::why;
use crate::catalog::ProtectedColumn;
use crate::seal::versions::Form;
use crate::sql::lex::TokenKind;
use crate::sql::{COMPARED, NullPolicy, Refusal};

/// One side of a comparison.
pub(super) enum Operand {
    One(One),
    Row(Vec<Operand>),
}

/// One value in a comparison.
pub(super) struct One {
    pub value: Value,
    pub span: Option<Range<usize>>,
    /// The text of a column's name, where the value is nothing but that column.
    pub column: Option<Range<usize>>,
}

impl Operand {
    fn one(value: Value) -> Self {
        Operand::One(One { value, span: None, column: None })
    }

    fn sealed(&self) -> Option<&Arc<ProtectedColumn>> {
        match self {
            Operand::One(one) => one.value.sealed(),
            Operand::Row(operands) => operands.iter().find_map(Operand::sealed),
        }
    }

    fn unsearchable(&self) -> Option<&Arc<ProtectedColumn>> {
        match self {
            Operand::One(one) => one.value.unsearchable(),
            Operand::Row(operands) => operands.iter().find_map(Operand::unsearchable),
        }
    }

    fn span(&self) -> Option<Range<usize>> {
        match self {
            Operand::One(one) => one.span.clone(),
            Operand::Row(operands) => operands.iter().find_map(Operand::span),
        }
    }
}

/// The operators that ask for equality and nothing else.
pub(super) fn is_equality(op: &BinaryOperator) -> bool {
    matches!(op, BinaryOperator::Eq | BinaryOperator::NotEq | BinaryOperator::Spaceship)
}

impl Planner<'_> {
    /// What stands on one side of a comparison: a value, a row of them, or the columns of a subquery.
    pub(super) fn operand(&mut self, expr: &Expr, chain: &Chain<'_>) -> Result<Operand, Refusal> {
        match expr {
            Expr::Nested(inner) => self.operand(inner, chain),
            Expr::Tuple(elements) => {
                Ok(Operand::Row(elements.iter().map(|e| self.operand(e, chain)).collect::<Result<_, _>>()?))
            }
            Expr::Subquery(query) => {
                let outputs = self.query(query, Some(chain))?;
                columns(&outputs)
            }
            _ => {
                let named = self.view_depth == 0 && matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
                let (value, span) = (self.expr(expr, chain)?, self.expr_span(expr));
                Ok(Operand::One(One { value, column: span.clone().filter(|_| named), span }))
            }
        }
    }

    /// `a = b` and its like.
    pub(super) fn equal(&mut self, exprs: &[&Expr], chain: &Chain<'_>, clause: &str) -> Result<Value, Refusal> {
        let operands = exprs.iter().map(|e| self.operand(e, chain)).collect::<Result<Vec<_>, _>>()?;
        self.equal_operands(operands, clause)?;
        Ok(Value::Plain)
    }

    /// `a IN (SELECT …)`.
    pub(super) fn equal_to_query(
        &mut self,
        left: &Expr,
        outputs: &Outputs,
        chain: &Chain<'_>,
        clause: &str,
    ) -> Result<Value, Refusal> {
        let operands = vec![self.operand(left, chain)?, columns(outputs)?];
        self.equal_operands(operands, clause)?;
        Ok(Value::Plain)
    }

    /// Operands that the server tests for equality with each other.
    pub(super) fn equal_operands(&mut self, operands: Vec<Operand>, clause: &str) -> Result<(), Refusal> {
        let Some(column) = operands.iter().find_map(Operand::sealed).cloned() else {
            return Ok(());
        };
        let span = operands.iter().find(|o| o.sealed().is_some()).and_then(Operand::span);
        if let Some(column) = operands.iter().find_map(Operand::unsearchable) {
            return Err(why::at(why::comparison(column, clause), span));
        }
        let refused = || why::at(why::comparison(&column, clause), span.clone());
        if operands.iter().all(|o| matches!(o, Operand::One(..))) {
            let values = operands.into_iter().filter_map(|o| match o {
                Operand::One(one) => Some(one),
                Operand::Row(_) => None,
            });
            return self.equal_values(values.collect(), &column, clause);
        }
        // Rows are compared element by element.
        let mut positions: Vec<Vec<Operand>> = Vec::new();
        for (at, operand) in operands.into_iter().enumerate() {
            let Operand::Row(elements) = operand else { return Err(refused()) };
            if at == 0 {
                positions = elements.into_iter().map(|e| vec![e]).collect();
            } else if elements.len() == positions.len() {
                positions.iter_mut().zip(elements).for_each(|(position, e)| position.push(e));
            } else {
                return Err(refused());
            }
        }
        positions.into_iter().try_for_each(|position| self.equal_operands(position, clause))
    }

    fn equal_values(&mut self, values: Vec<One>, column: &Arc<ProtectedColumn>, clause: &str) -> Result<(), Refusal> {
        let by_tags = self.by_tags(column, clause)?;
        let form = if by_tags { Form::Tag } else { Form::Whole };
        for One { value, span, column: named } in values {
            let outcome = match value {
                Value::Null => Ok(()),
                Value::Sealed(other) if same_column(&other, column) && !by_tags => Ok(()),
                Value::Sealed(other) if same_column(&other, column) => match named {
                    Some(named) => {
                        self.cut_to_tag(named, column);
                        Ok(())
                    }
                    None => Err(why::rotating(column, clause)),
                },
                Value::Sealed(other) => Err(why::compared_columns(column, &other)),
                Value::Plain => Err(why::compared_with(column, "something that is only known to the server")),
                Value::Constant(constant) => self.seal_compared(constant, column, form),
                Value::Choice { constants, .. } => {
                    constants.into_iter().try_for_each(|constant| self.seal_compared(constant, column, form))
                }
            };
            outcome.map_err(|refusal| why::at(refusal, span))?;
        }
        Ok(())
    }

    /// Seals a constant that is compared with values of `column`, and not stored.
    pub(super) fn seal_compared(
        &mut self,
        constant: Constant,
        column: &Arc<ProtectedColumn>,
        form: Form,
    ) -> Result<(), Refusal> {
        let token = self.source.index(constant.at).and_then(|i| self.source.token(i));
        // The server would turn every value of the column into a number, and '007' would equal 7.
        if column.logical.is_none() && token.is_some_and(|t| matches!(t.kind, TokenKind::Number | TokenKind::Word)) {
            return Err(why::at(why::compared_with(column, "a number"), token.map(|t| t.span())));
        }
        let row = std::mem::replace(&mut self.row, COMPARED);
        let before = std::mem::replace(&mut self.form, form);
        let outcome = self.seal_constant(constant, column, NullPolicy::Keep);
        (self.row, self.form) = (row, before);
        outcome
    }
}

/// The columns of a subquery as an operand.
fn columns(outputs: &Outputs) -> Result<Operand, Refusal> {
    if outputs.unknown {
        return match outputs.first_sealed() {
            Some(column) => Err(why::unknown_star(column)),
            None => Ok(Operand::one(Value::Plain)),
        };
    }
    let mut operands: Vec<Operand> = outputs.columns.iter().map(|c| Operand::one(c.value.clone().settled())).collect();
    match (operands.len(), operands.pop()) {
        (1, Some(one)) => Ok(one),
        (_, last) => {
            operands.extend(last);
            Ok(Operand::Row(operands))
        }
    }
}
