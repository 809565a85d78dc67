//! The row that a value is bound to (`bind:`): which one a statement writes, as far as its text and parameters say,
//! and where a result holds what tells its rows apart.

use std::rc::Rc;
use std::sync::Arc;

use sqlparser::ast::{
    Assignment, AssignmentTarget, BinaryOperator, Expr, Function, FunctionArguments, SelectItem, TableFactor,
    TableWithJoins,
};

use super::assign::{expr_arg, is_values};
use super::insert::quoted;
use super::keyed::Origin;
use super::planner::Planner;
use super::query::bare;
use super::scope::{Chain, Relation, Scope, same_name};
use super::value::{Constant, Output, Outputs, Value};
use super::why;
use crate::catalog::{Column, ProtectedColumn, Table, TableKind};
use crate::seal::Row;
use crate::seal::types::{BadValue, LogicalType};
use crate::seal::versions::Form;
use crate::sql::lex::TokenKind;
use crate::sql::{COMPARED, NullPolicy, Piece, Refusal, RowPart, SealParam};

/// Beyond it the server may take a DOUBLE for a neighbour of the integer that it is.
pub const EXACT_IN_A_DOUBLE: i128 = 1 << 53;

/// What is known of the row that is being written: columns by name.
#[derive(Clone, Default)]
pub(super) struct Written {
    parts: Vec<(String, RowPart)>,
}

impl Written {
    fn part(&self, name: &str) -> Option<&RowPart> {
        self.parts.iter().find(|(known, _)| same_name(known, name)).map(|(_, part)| part)
    }
}

impl Planner<'_> {
    /// What a value of `column` is bound to in the row that is being written; nothing unless it has `bind`.
    pub(super) fn bound(&self, column: &ProtectedColumn) -> Result<Vec<RowPart>, Refusal> {
        let part = |key: &Arc<ProtectedColumn>| {
            // Beside a value that is read a constant would be one of no row.
            let Some(written) = &self.written else { return Err(why::row_not_read(column)) };
            written.part(&key.name).cloned().ok_or_else(|| why::row_unknown(column, key))
        };
        column.bind.iter().map(part).collect()
    }

    /// As [`Planner::bound`], for a value that is sealed before any parameter is known.
    pub(super) fn bound_now(&self, column: &ProtectedColumn) -> Result<Option<Row>, Refusal> {
        let parts = self.bound(column)?;
        let values: Option<Vec<&[u8]>> = parts
            .iter()
            .map(|part| match part {
                RowPart::Known(value) => Some(value.as_slice()),
                RowPart::Param(..) => None,
            })
            .collect();
        match values {
            Some(values) => Ok((!values.is_empty()).then(|| Row::of(values))),
            None => Err(why::row_later(column)),
        }
    }

    /// Learns the row that an INSERT writes from the values that it gives to these columns.
    pub(super) fn inserted<'e>(
        &mut self,
        table: &Table,
        given: impl Iterator<Item = (&'e Column, &'e Expr)>,
        chain: &Chain<'_>,
    ) {
        if !table.columns.iter().any(|column| column.bound) {
            return;
        }
        let mut written = Written::default();
        for (column, expr) in given.filter(|(column, _)| column.bound) {
            let Some(key) = key_of(table, &column.name) else { continue };
            if let Some(part) = self.row_part(&key, expr, chain) {
                written.parts.push((column.name.clone(), part));
            }
        }
        self.written = Some(written);
    }

    /// Learns the row of `relation` that an UPDATE leaves from a condition that holds for it before, and from what is
    /// assigned to it.
    pub(super) fn chosen(
        &mut self,
        relation: &Rc<Relation>,
        condition: Option<&Expr>,
        assignments: &[Assignment],
        chain: &Chain<'_>,
    ) {
        self.written = Some(Written::default());
        let Some(table) = relation.table.clone() else { return };
        let Some(at) = chain.scope.relations.iter().position(|other| Rc::ptr_eq(other, relation)) else { return };
        if !table.columns.iter().any(|column| column.bound) {
            return;
        }
        let mut written = Written::default();
        let mut conditions: Vec<&Expr> = condition.into_iter().collect();
        while let Some(condition) = conditions.pop() {
            match condition {
                Expr::Nested(inner) => conditions.push(inner),
                Expr::BinaryOp { left, op: BinaryOperator::And, right } => conditions.extend([&**left, &**right]),
                Expr::BinaryOp { left, op: BinaryOperator::Eq | BinaryOperator::Spaceship, right } => {
                    for (column, value) in [(left, right), (right, left)] {
                        self.told_by(&table, at, column, value, chain, &mut written);
                    }
                }
                Expr::InList { expr, list, negated: false } => {
                    if let [value] = list.as_slice() {
                        self.told_by(&table, at, expr, value, chain, &mut written);
                    }
                }
                _ => {}
            }
        }
        for (column, value) in self.assigned(&table, assignments) {
            if column.bound
                && let Some(key) = key_of(&table, &column.name)
                && let Some(part) = self.row_part(&key, value, chain)
            {
                written.parts.insert(0, (column.name.clone(), part));
            }
        }
        self.written = Some(written);
    }

    /// The columns of a table that assignments name, with what they get.
    pub(super) fn assigned<'e>(&self, table: &'e Table, assignments: &'e [Assignment]) -> Vec<(&'e Column, &'e Expr)> {
        let column = |assignment: &'e Assignment| {
            let AssignmentTarget::ColumnName(name) = &assignment.target else { return None };
            Some((table.column(self.parts(name).ok()?.last()?)?, &assignment.value))
        };
        assignments.iter().filter_map(column).collect()
    }

    /// Refuses an UPDATE of what protected values of the row are bound to, unless it stays what it is or they are all
    /// written anew. [`Planner::chosen`] comes before.
    pub(super) fn keeps_row(
        &mut self,
        table: &Table,
        column: &Column,
        expr: &Expr,
        assignments: &[Assignment],
        chain: &Chain<'_>,
    ) -> Result<(), Refusal> {
        if !column.bound || self.is_itself(column, expr, chain.scope.relations.len() == 1) {
            return Ok(());
        }
        let assigned = self.assigned(table, assignments);
        let anew = |protected: &ProtectedColumn| {
            assigned.iter().any(|(column, expr)| same_name(&column.name, &protected.name) && is_constant(expr))
        };
        let constant = chain.scope.relations.len() == 1
            && is_constant(expr)
            && self.written.as_ref().is_some_and(|written| written.part(&column.name).is_some());
        match constant && (self.is_pinned(column) || bound_by(table, column).all(anew)) {
            true => Ok(()),
            false => Err(why::at(why::bound_column(&table.name, &column.name), self.expr_span(expr))),
        }
    }

    /// Refuses ON DUPLICATE KEY UPDATE of what protected values of the row are bound to, unless it stays what it is.
    pub(super) fn keeps_row_in_the_way(
        &self,
        table: &Table,
        column: &Column,
        expr: &Expr,
        chain: &Chain<'_>,
    ) -> Result<(), Refusal> {
        let inserted = match expr {
            Expr::Function(Function { args: FunctionArguments::List(list), .. }) if is_values(expr) => {
                expr_arg(list).is_some_and(|arg| self.is_itself(column, arg, false))
            }
            _ => self.gives_rows && self.is_itself(column, expr, true),
        };
        let keeps = !column.bound
            || self.is_itself(column, expr, chain.scope.relations.len() == 1)
            || (inserted && bound_by(table, column).all(|protected| Self::only_own_row(table, protected)));
        match keeps {
            true => Ok(()),
            false => Err(why::at(why::bound_column(&table.name, &column.name), self.expr_span(expr))),
        }
    }

    /// The column's own name, `qualified` or not.
    fn is_itself(&self, column: &Column, expr: &Expr, qualified: bool) -> bool {
        let last = match expr {
            Expr::Identifier(ident) => Some(ident),
            Expr::CompoundIdentifier(parts) if qualified => parts.last(),
            _ => None,
        };
        last.is_some_and(|ident| same_name(&self.name(ident), &column.name))
    }

    /// Whether the condition and the assignment give the column the same constant.
    fn is_pinned(&self, column: &Column) -> bool {
        let Some(written) = &self.written else { return false };
        let mut parts = written.parts.iter().filter(|(name, _)| same_name(name, &column.name)).map(|(_, part)| part);
        matches!((parts.next(), parts.next()), (Some(RowPart::Known(new)), Some(RowPart::Known(old))) if new == old)
    }

    /// `column = value`, if that is a bound column of the relation and a constant.
    fn told_by(
        &mut self,
        table: &Table,
        relation: usize,
        column: &Expr,
        value: &Expr,
        chain: &Chain<'_>,
        written: &mut Written,
    ) {
        let Some(Origin { relation: found, column }) = self.origin(column, chain.scope) else { return };
        if found == relation
            && let Some(key) = key_of(table, &column)
            && let Some(part) = self.row_part(&key, value, chain)
        {
            written.parts.push((column, part));
        }
    }

    /// What `expr` says of a bound column that it is written to or compared with.
    fn row_part(&mut self, key: &Arc<ProtectedColumn>, expr: &Expr, chain: &Chain<'_>) -> Option<RowPart> {
        // Nothing deeper is looked at twice.
        if !is_constant(expr) {
            return None;
        }
        match self.expr(expr, chain) {
            Ok(Value::Constant(constant)) => self.constant_part(key, constant),
            _ => None,
        }
    }

    fn constant_part(&self, key: &Arc<ProtectedColumn>, constant: Constant) -> Option<RowPart> {
        let index = self.source.index(constant.at)?;
        let token = self.source.token(index)?;
        if token.kind == TokenKind::Placeholder {
            let number = self.source.placeholder_at(constant.at)?;
            let role = SealParam {
                column: key.clone(),
                row: COMPARED,
                null: NullPolicy::Keep,
                form: Form::Whole,
                rules: Some(self.rules(BadValue::Refuse)),
                bound: Vec::new(),
            };
            return constant.prefix.is_none().then(|| RowPart::Param(number, Box::new(role)));
        }
        let (_, value) = self.find_constant(index, token, constant, key).ok()?;
        row_value(key, value).map(RowPart::Known)
    }

    /// Whether a row that an INSERT finds in its way is the one that it would have written, as far as values of
    /// `column` are bound: every key of the table that may be in the way holds what they are bound to.
    pub(super) fn only_own_row(table: &Table, column: &ProtectedColumn) -> bool {
        table.indexes.iter().filter(|index| index.unique).all(|index| {
            column.bind.iter().all(|key| {
                index.columns.iter().any(|(part, prefix)| prefix.is_none() && part.eq_ignore_ascii_case(&key.name))
            })
        })
    }

    /// Adds what tells rows apart behind a select list that lacks it beside a value that is bound to its row.
    pub(super) fn ask_for_rows(
        &mut self,
        items: &[SelectItem],
        from: &[TableWithJoins],
        scope: &Scope,
        outputs: &mut Outputs,
    ) {
        let lacks = |output: &Output| {
            output.row.is_none() && output.value.sealed().is_some_and(|column| !column.bind.is_empty())
        };
        if outputs.unknown || !outputs.columns.iter().any(lacks) {
            return;
        }
        let mut origins = self.origins(items, scope, outputs);
        let Some(at) = self.end_of_select_list(from) else { return };
        let shown = origins.len();
        let mut asked = String::new();
        for (index, output) in outputs.columns.iter_mut().enumerate().filter(|(_, output)| lacks(output)) {
            let Some(Some(origin)) = origins.get(index).cloned() else { continue };
            let Some(column) = output.value.sealed().filter(|_| is_of_base(scope, &origin)) else { continue };
            let Some(relation) = scope.relations.get(origin.relation) else { continue };
            // A name that two tables have would be ambiguous.
            if self.relation_named(scope, None, &relation.name) != Some(origin.relation) {
                continue;
            }
            let Ok(table) = quoted(&relation.name) else { continue };
            let mut row = Vec::with_capacity(column.bind.len());
            for key in &column.bind {
                row.push(match beside(&origins, &origin, key) {
                    Some(at) => at,
                    None => {
                        let Ok(name) = quoted(&key.name) else { return };
                        // Under a name of its own, which no ORDER BY or HAVING takes for another's.
                        let number = origins.len() - shown + 1;
                        asked.push_str(&format!(", {table}.{name} AS `_sealwire_row_{number}`"));
                        origins.push(Some(Origin { relation: origin.relation, column: key.name.clone() }));
                        origins.len() - 1
                    }
                });
            }
            output.row = Some(row);
        }
        for _ in shown..origins.len() {
            outputs.columns.push(Output { hidden: true, ..Output::new(None, Value::Plain) });
        }
        if !asked.is_empty() {
            asked.push(' ');
            self.insertion(at, vec![Piece::Text(asked)]);
        }
    }

    /// Where the FROM clause begins.
    fn end_of_select_list(&self, from: &[TableWithJoins]) -> Option<usize> {
        let mut index = self.source.index(self.first_name(&from.first()?.relation)?)?;
        loop {
            index = index.checked_sub(1)?;
            if self.source.word(index, "FROM") {
                return self.source.token(index).map(|token| token.start());
            }
            if !self.source.operator(index, "(") {
                return None;
            }
        }
    }

    fn first_name(&self, table: &TableFactor) -> Option<usize> {
        match table {
            TableFactor::Table { name, .. } => self.offset(name.0.first()?.as_ident()?.span),
            TableFactor::NestedJoin { table_with_joins, .. } => self.first_name(&table_with_joins.relation),
            _ => None,
        }
    }

    /// Notes beside each value that is bound to its row which of the outputs tell that row apart.
    pub(super) fn find_rows(&self, items: &[SelectItem], scope: &Scope, outputs: &mut Outputs) {
        let is_bound = |value: &Value| value.sealed().is_some_and(|column| !column.bind.is_empty());
        if !outputs.columns.iter().any(|output| is_bound(&output.value)) {
            return;
        }
        let origins = self.origins(items, scope, outputs);
        for (at, output) in outputs.columns.iter_mut().enumerate() {
            let Some(column) = output.value.sealed().filter(|column| !column.bind.is_empty()) else { continue };
            let Some(Some(origin)) = origins.get(at) else { continue };
            if is_of_base(scope, origin) {
                output.row = column.bind.iter().map(|key| beside(&origins, origin, key)).collect();
            }
        }
    }
}

/// Whether an output is a column of a table, not one of a view or a derived table.
fn is_of_base(scope: &Scope, origin: &Origin) -> bool {
    let relation = scope.relations.get(origin.relation);
    relation.is_some_and(|r| !r.view && r.table.as_ref().is_some_and(|table| table.kind == TableKind::Base))
}

/// The output that is `key` of the same table.
fn beside(origins: &[Option<Origin>], origin: &Origin, key: &ProtectedColumn) -> Option<usize> {
    let same = |other: &Origin| other.relation == origin.relation && same_name(&other.column, &key.name);
    origins.iter().position(|other| other.as_ref().is_some_and(same))
}

/// The protected columns whose values are bound to `column`.
fn bound_by<'t>(table: &'t Table, column: &'t Column) -> impl Iterator<Item = &'t ProtectedColumn> {
    let protected = table.columns.iter().filter_map(|column| column.protected.as_deref());
    protected.filter(|protected| protected.bind.iter().any(|key| same_name(&key.name, &column.name)))
}

/// A literal or placeholder, as far as its form tells.
fn is_constant(expr: &Expr) -> bool {
    matches!(bare(expr), Expr::Value(_) | Expr::UnaryOp { .. } | Expr::Prefixed { .. })
}

/// The column of this name as values are bound to it.
fn key_of(table: &Table, name: &str) -> Option<Arc<ProtectedColumn>> {
    let protected = table.columns.iter().filter_map(|column| column.protected.as_ref());
    protected.flat_map(|column| &column.bind).find(|key| same_name(&key.name, name)).cloned()
}

/// A value of a bound column in the form in which it is bound, where it is certain that the row holds that.
pub fn row_value(key: &ProtectedColumn, value: Vec<u8>) -> Option<Vec<u8>> {
    match &key.logical {
        // Also of a string: a column of integers is compared with the integer that it is, on every server.
        Some(LogicalType::Integer(_)) => Some(value),
        // What the server may convert on its way, or take for equal.
        Some(LogicalType::Char(_) | LogicalType::Varchar(_)) => {
            (value.is_ascii() && value.last() != Some(&b' ')).then_some(value)
        }
        Some(LogicalType::Binary(_) | LogicalType::Varbinary(_)) => Some(value),
        _ => None,
    }
}
