//! Rows told apart by their key: beside a table's whole primary key its random sealed values do no harm to
//! DISTINCT and GROUP BY. Rows that are equal in the key are one row, with one sealed value, or rows that an
//! outer join filled with NULL; others differ anyway.

use std::sync::Arc;

use sqlparser::ast::{Expr, SelectItem, SelectItemQualifiedWildcardKind, Value as Literal};

use super::planner::Planner;
use super::query::bare;
use super::scope::{Scope, names_relation, same_name};
use super::value::{Output, Outputs, Value};
use super::why;
use crate::catalog::{ProtectedColumn, TableKind};
use crate::sql::Refusal;

/// Which column of which relation of a FROM clause an output is, as it is.
#[derive(Clone)]
pub(super) struct Origin {
    pub relation: usize,
    pub column: String,
}

impl Planner<'_> {
    /// The origins of a select list's outputs; `None` for an output that is something else, and for all where
    /// the order of `*` is not certain.
    pub(super) fn origins(&self, items: &[SelectItem], scope: &Scope, outputs: &Outputs) -> Vec<Option<Origin>> {
        let mut origins = Vec::with_capacity(outputs.columns.len());
        for item in items {
            match item {
                SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                    origins.push(self.origin(expr, scope));
                }
                SelectItem::Wildcard(_) => {
                    origins.extend(scope.visible.iter().filter(|v| !v.column.invisible).map(|v| {
                        let column = v.column.name.clone()?;
                        (!scope.unordered).then_some(Origin { relation: v.relation, column })
                    }))
                }
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                    let parts = self.parts(name).unwrap_or_default();
                    let Some(relation) = parts.split_last().and_then(|(table, schema)| {
                        self.relation_named(scope, schema.last().map(String::as_str), table)
                    }) else {
                        return Vec::new();
                    };
                    let columns = scope.relations.get(relation).map_or(&[][..], |r| &r.columns);
                    origins.extend(columns.iter().filter(|c| !c.invisible).map(|c| {
                        let column = c.name.clone()?;
                        Some(Origin { relation, column })
                    }));
                }
                _ => return Vec::new(),
            }
        }
        if outputs.unknown || origins.len() != outputs.columns.len() { Vec::new() } else { origins }
    }

    /// Refuses values that the server would compare by stored forms which differ where the values are equal: random
    /// ones always, searchable ones while several versions of their key are live. `origins` belongs to `values`,
    /// item by item; without origins every value counts.
    pub(super) fn told_apart(
        &self,
        scope: &Scope,
        values: &[&Value],
        origins: &[Option<Origin>],
        clause: &str,
    ) -> Result<(), Refusal> {
        let keyed: Vec<bool> = (0..scope.relations.len()).map(|relation| has_key(scope, relation, origins)).collect();
        if let Some(column) = first_undetermined(&keyed, values.iter().map(|value| value.unsearchable()), origins) {
            return Err(why::grouping(column, clause));
        }
        let mixed = first_undetermined(&keyed, values.iter().map(|value| self.mixed(value)), origins);
        self.whole_only(mixed, clause)
    }

    pub(super) fn relation_named(&self, scope: &Scope, schema: Option<&str>, table: &str) -> Option<usize> {
        let fold = self.fold();
        let mut found = scope.relations.iter().enumerate().filter(|(_, r)| names_relation(r, schema, table, fold));
        match (found.next(), found.next()) {
            (Some((at, _)), None) => Some(at),
            _ => None,
        }
    }

    /// The column that an expression is, if it is nothing but one of this FROM clause's.
    pub(super) fn origin(&self, expr: &Expr, scope: &Scope) -> Option<Origin> {
        match bare(expr) {
            Expr::Identifier(ident) if !scope.unordered => {
                let name = self.name(ident);
                let named = |column: &Option<String>| column.as_deref().is_some_and(|n| same_name(n, &name));
                let mut found = scope.visible.iter().filter(|v| named(&v.column.name));
                match (found.next(), found.next()) {
                    (Some(v), None) => Some(Origin { relation: v.relation, column: name }),
                    _ => None,
                }
            }
            Expr::CompoundIdentifier(parts) => {
                let parts: Vec<String> = parts.iter().map(|part| self.name(part)).collect();
                let (column, table) = parts.split_last()?;
                let (table, schema) = table.split_last()?;
                let relation = self.relation_named(scope, schema.last().map(String::as_str), table)?;
                let known = scope.relations.get(relation)?.columns.iter();
                let known = known.filter(|c| c.name.as_deref().is_some_and(|n| same_name(n, column))).count() == 1;
                known.then(|| Origin { relation, column: column.clone() })
            }
            _ => None,
        }
    }

    /// The origin of an item of GROUP BY: a column, or the output that a name or position stands for.
    pub(super) fn group_origin(
        &self,
        expr: &Expr,
        scope: &Scope,
        outputs: &Outputs,
        origins: &[Option<Origin>],
    ) -> Option<Origin> {
        match bare(expr) {
            Expr::Identifier(ident) => {
                let name = self.name(ident);
                let is_named = |output: &Output| output.name.as_deref().is_some_and(|n| same_name(n, &name));
                let mut aliases = outputs.columns.iter().zip(origins).filter(|(output, _)| is_named(output));
                // An alias of that name may be another column.
                let same = |origin: &Option<Origin>| origin.as_ref().is_some_and(|o| same_name(&o.column, &name));
                aliases.all(|(_, origin)| same(origin)).then(|| self.origin(expr, scope))?
            }
            Expr::Value(value) => {
                let Literal::Number(digits, _) = &value.value else { return None };
                origins.get(digits.parse::<usize>().ok()?.checked_sub(1)?).cloned()?
            }
            _ => self.origin(expr, scope),
        }
    }
}

/// The first of these columns, item by item those of `origins`, that stands beside no whole key of its table.
fn first_undetermined<'v>(
    keyed: &[bool],
    columns: impl Iterator<Item = Option<&'v Arc<ProtectedColumn>>>,
    origins: &[Option<Origin>],
) -> Option<&'v Arc<ProtectedColumn>> {
    let is_determined = |at: usize| {
        let origin = origins.get(at).and_then(Option::as_ref);
        origin.and_then(|origin| keyed.get(origin.relation)).is_some_and(|keyed| *keyed)
    };
    columns.enumerate().find_map(|(at, column)| column.filter(|_| !is_determined(at)))
}

/// Whether the origins hold every column of a base table's primary key.
fn has_key(scope: &Scope, relation: usize, origins: &[Option<Origin>]) -> bool {
    let Some(table) = scope.relations.get(relation).and_then(|relation| relation.table.as_ref()) else { return false };
    let Some(primary) = table.indexes.iter().find(|index| index.name == "PRIMARY") else { return false };
    let there = |name: &str| {
        origins.iter().flatten().any(|origin| origin.relation == relation && same_name(&origin.column, name))
    };
    table.kind == TableKind::Base
        && !primary.columns.is_empty()
        && primary.columns.iter().all(|(name, prefix)| prefix.is_none() && there(name))
}
