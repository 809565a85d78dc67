//! What stands in a FROM clause: base tables, views, derived tables, common table expressions, and
//! the columns that joins of them offer.

use std::rc::Rc;

use sqlparser::ast::{Join, JoinConstraint, JoinOperator, ObjectName, TableAlias, TableFactor, TableWithJoins};

use super::planner::{CteBody, Planner};
use super::scope::{Chain, Relation, RelationColumn, Scope, Visible, same_name};
use super::value::{Outputs, Value, same_column};
use super::why;
use crate::catalog::{Table, TableKind, Watched};
use crate::config::TableName;
use crate::sql::Refusal;

/// Views within views, at most.
const MAX_VIEW_DEPTH: usize = 16;

impl Planner<'_> {
    /// The scope of a whole FROM clause.
    pub(super) fn from(&mut self, from: &[TableWithJoins], outer: Option<&Chain<'_>>) -> Result<Scope, Refusal> {
        let mut scope = Scope::default();
        for item in from {
            let next = self.joined(item, outer, &scope)?;
            scope.append(next);
        }
        Ok(scope)
    }

    fn joined(&mut self, item: &TableWithJoins, outer: Option<&Chain<'_>>, before: &Scope) -> Result<Scope, Refusal> {
        let mut scope = self.factor(&item.relation, outer, before)?;
        for join in &item.joins {
            let mut left = before.clone();
            left.append(scope.clone());
            let right = self.factor(&join.relation, outer, &left)?;
            scope = self.join(scope, right, join, outer)?;
        }
        Ok(scope)
    }

    fn join(&mut self, left: Scope, right: Scope, join: &Join, outer: Option<&Chain<'_>>) -> Result<Scope, Refusal> {
        if join.global {
            return Err(why::not_understood("this kind of join"));
        }
        let (constraint, is_right) = match &join.join_operator {
            JoinOperator::Join(c)
            | JoinOperator::Inner(c)
            | JoinOperator::Left(c)
            | JoinOperator::LeftOuter(c)
            | JoinOperator::CrossJoin(c)
            | JoinOperator::StraightJoin(c) => (c, false),
            JoinOperator::Right(c) | JoinOperator::RightOuter(c) => (c, true),
            _ => return Err(why::not_understood("this kind of join")),
        };
        match constraint {
            JoinConstraint::None => {
                let mut scope = left;
                scope.append(right);
                Ok(scope)
            }
            JoinConstraint::On(condition) => {
                let mut scope = left;
                scope.append(right);
                let chain = Chain::new(&scope, outer);
                self.plain(condition, &chain, "ON")?;
                Ok(scope)
            }
            JoinConstraint::Using(columns) => {
                let mut names = Vec::with_capacity(columns.len());
                for column in columns {
                    match self.parts(column)?.as_slice() {
                        [name] => names.push(name.clone()),
                        _ => return Err(why::not_understood("a qualified name in USING")),
                    }
                }
                self.common_columns(&left, &right, &names, "USING")?;
                merge_columns(left, right, &names, is_right, "USING")
            }
            JoinConstraint::Natural => {
                if left.open() || right.open() {
                    if let Some(column) = left.sealed().or(right.sealed()) {
                        return Err(why::ambiguous("NATURAL JOIN", column));
                    }
                    let mut scope = left;
                    scope.append(right);
                    return Ok(scope);
                }
                let names: Vec<String> =
                    left.visible
                        .iter()
                        .filter(|l| !l.column.invisible)
                        .filter_map(|l| l.column.name.clone())
                        .filter(|l| {
                            right.visible.iter().any(|r| {
                                !r.column.invisible && r.column.name.as_deref().is_some_and(|n| same_name(n, l))
                            })
                        })
                        .collect();
                self.common_columns(&left, &right, &names, "NATURAL JOIN")?;
                merge_columns(left, right, &names, is_right, "NATURAL JOIN")
            }
        }
    }

    fn factor(&mut self, factor: &TableFactor, outer: Option<&Chain<'_>>, before: &Scope) -> Result<Scope, Refusal> {
        match factor {
            TableFactor::Table {
                name,
                alias,
                args: None,
                with_hints,
                version: None,
                with_ordinality: false,
                partitions: _,
                json_path: None,
                sample: None,
                index_hints: _,
            } if with_hints.is_empty() => {
                if let Some(alias) = alias
                    && (!alias.columns.is_empty() || alias.at.is_some())
                {
                    return Err(why::not_understood("column names after a table's alias"));
                }
                self.named(name, alias.as_ref())
            }
            TableFactor::Derived { lateral, subquery, alias, sample: None } => {
                // Only LATERAL sees the tables before it; others see what encloses the FROM clause.
                let outputs = if *lateral {
                    let chain = Chain::new(before, outer);
                    self.query(subquery, Some(&chain))?
                } else {
                    self.query(subquery, outer)?
                };
                let name = alias.as_ref().map(|a| self.name(&a.name)).unwrap_or_default();
                let columns = self.column_aliases(alias.as_ref());
                Ok(Scope::of(derived(name, &outputs, &columns)?))
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } => self.joined(table_with_joins, outer, before),
            TableFactor::JsonTable { json_expr, alias, .. } => {
                let chain = Chain::new(before, outer);
                self.plain(json_expr, &chain, "JSON_TABLE")?;
                let name = alias.as_ref().map(|a| self.name(&a.name)).unwrap_or_default();
                Ok(Scope::of(Relation {
                    name,
                    schema: String::new(),
                    columns: Vec::new(),
                    table: None,
                    view: false,
                    open: true,
                }))
            }
            _ => Err(why::not_understood("this kind of table")),
        }
    }

    fn column_aliases(&self, alias: Option<&TableAlias>) -> Vec<String> {
        alias.map(|a| a.columns.iter().map(|c| self.name(&c.name)).collect()).unwrap_or_default()
    }

    /// A table by name: a common table expression, a base table or a view.
    fn named(&mut self, name: &ObjectName, alias: Option<&TableAlias>) -> Result<Scope, Refusal> {
        let parts = self.parts(name)?;
        let unquoted = name.0.iter().all(|p| p.as_ident().is_some_and(|i| i.quote_style.is_none()));
        let alias = alias.map(|a| self.name(&a.name));
        if let [table] = parts.as_slice() {
            if unquoted && alias.is_none() && table.eq_ignore_ascii_case("dual") {
                return Ok(Scope::default());
            }
            if let Some(body) = self.cte(table)? {
                let name = alias.unwrap_or_else(|| table.clone());
                return Ok(Scope::of(match body {
                    CteBody::Known(outputs) => derived(name, &outputs, &[])?,
                    CteBody::Itself => Relation {
                        name,
                        schema: String::new(),
                        columns: Vec::new(),
                        table: None,
                        view: false,
                        open: true,
                    },
                    CteBody::Later => {
                        return Err(why::not_understood("a common table expression used before it is defined"));
                    }
                }));
            }
        }
        let Some(name) = self.table_name(&parts)? else {
            return Ok(Scope::of(unknown(alias.or_else(|| parts.last().cloned()).unwrap_or_default(), String::new())));
        };
        Ok(Scope::of(self.relation(&name, alias)?))
    }

    /// The full name of a table; `None` if no schema is selected and nothing of this name is watched.
    pub(super) fn table_name(&self, parts: &[String]) -> Result<Option<TableName>, Refusal> {
        match parts {
            [schema, table] => Ok(Some(TableName::new(schema.clone(), table.clone()))),
            [table] => match self.ctx.schema {
                Some(schema) => Ok(Some(TableName::new(schema, table.clone()))),
                None if self.watched(table).is_some() => Err(why::no_schema(table)),
                None => Ok(None),
            },
            _ => Err(why::not_understood("a table name of this form")),
        }
    }

    /// A base table or view as the server would open it.
    pub(super) fn relation(&mut self, name: &TableName, alias: Option<String>) -> Result<Relation, Refusal> {
        let found = self.lookup(name)?;
        let alias = alias.unwrap_or_else(|| name.table.clone());
        let Some(table) = found else {
            return Ok(unknown(alias, name.schema.clone()));
        };
        let watched = self.watched(&table.name.table);
        if let Some(Watched::Carrier(reason)) = watched
            && reads_elsewhere(&table)
        {
            return Err(why::carrier(&table.name, reason));
        }
        match &table.kind {
            TableKind::Base => {}
            TableKind::View { definition } if watched.is_some() => {
                let definition = definition.clone();
                return self.view(&table, definition, alias);
            }
            TableKind::View { .. } | TableKind::Other => {}
        }
        let columns = table
            .columns
            .iter()
            .map(|c| RelationColumn {
                name: Some(c.name.clone()),
                value: c.protected.clone().map_or(Value::Plain, Value::Sealed),
                invisible: c.invisible,
            })
            .collect();
        Ok(Relation { name: alias, schema: name.schema.clone(), columns, table: Some(table), view: false, open: false })
    }

    /// A view, by its stored definition: fully qualified, in the default sql_mode.
    fn view(&mut self, table: &Table, definition: Option<String>, alias: String) -> Result<Relation, Refusal> {
        let Some(definition) = definition else {
            return Err(why::view(&table.name, "its definition cannot be read"));
        };
        if self.view_depth >= MAX_VIEW_DEPTH {
            return Err(why::view(&table.name, "is nested too deeply"));
        }
        let Some(query) = super::parse_view(&definition, self.ctx) else {
            return Err(why::view(&table.name, "its definition is not understood"));
        };
        let ctes = std::mem::take(&mut self.ctes);
        self.view_depth += 1;
        let outputs = self.query(&query, None);
        self.view_depth -= 1;
        self.ctes = ctes;
        let outputs = outputs.map_err(|r| why::view(&table.name, &format!("is beyond analysis: {}", r.message)))?;
        if outputs.unknown || outputs.columns.len() != table.columns.len() {
            // A table of the definition may have to be looked up first; otherwise the two disagree.
            if self.need.is_empty() {
                return Err(why::view(&table.name, "has other columns than its definition"));
            }
            return Ok(unknown(alias, table.name.schema.clone()));
        }
        let columns = table
            .columns
            .iter()
            .zip(outputs.columns)
            .map(|(c, o)| RelationColumn { name: Some(c.name.clone()), value: o.value.settled(), invisible: false })
            .collect();
        Ok(Relation { name: alias, schema: table.name.schema.clone(), columns, table: None, view: true, open: false })
    }

    fn cte(&self, name: &str) -> Result<Option<CteBody>, Refusal> {
        for cte in self.ctes.iter().rev() {
            if cte.name == name {
                return Ok(Some(cte.body.clone()));
            }
            if cte.name.to_lowercase() == name.to_lowercase() {
                if self.fold() {
                    return Ok(Some(cte.body.clone()));
                }
                return Err(why::not_understood("a common table expression named in another case"));
            }
        }
        Ok(None)
    }
}

/// A table whose rows are those of other tables.
fn reads_elsewhere(table: &Table) -> bool {
    const OWN_ROWS: [&str; 7] = ["innodb", "myisam", "aria", "memory", "archive", "csv", "rocksdb"];
    match (&table.kind, &table.engine) {
        (TableKind::Base, Some(engine)) => !OWN_ROWS.iter().any(|e| engine.eq_ignore_ascii_case(e)),
        _ => true,
    }
}

fn unknown(name: String, schema: String) -> Relation {
    Relation { name, schema, columns: Vec::new(), table: None, view: false, open: true }
}

/// The outputs of a query as a table. `names` replaces the columns' names.
pub(super) fn derived(name: String, outputs: &Outputs, names: &[String]) -> Result<Relation, Refusal> {
    if outputs.unknown
        && let Some(column) = outputs.first_sealed()
    {
        return Err(why::unknown_star(column));
    }
    if !names.is_empty() && names.len() != outputs.columns.len() && !outputs.unknown {
        return Err(why::not_understood("a list of column names of another length"));
    }
    let mut columns = Vec::with_capacity(outputs.columns.len());
    let mut open = outputs.unknown;
    if !outputs.unknown {
        for (index, output) in outputs.columns.iter().enumerate() {
            let name = names.get(index).cloned().or_else(|| output.name.clone());
            open |= name.is_none();
            columns.push(RelationColumn { name, value: output.value.clone().settled(), invisible: false });
        }
    }
    Ok(Relation { name, schema: String::new(), columns, table: None, view: false, open })
}

impl Planner<'_> {
    /// Columns that a join compares without naming them in the text, where nothing can be rewritten.
    fn common_columns(&self, left: &Scope, right: &Scope, names: &[String], clause: &str) -> Result<(), Refusal> {
        let common = |v: &&Visible| v.column.name.as_deref().is_some_and(|n| names.iter().any(|m| same_name(m, n)));
        let mut columns = left.visible.iter().chain(&right.visible).filter(common);
        columns.try_for_each(|v| self.whole_only(v.column.value.sealed(), clause))
    }
}

/// A join whose sides have columns in common: those come first, once, then the rest of each side.
fn merge_columns(left: Scope, right: Scope, names: &[String], is_right: bool, clause: &str) -> Result<Scope, Refusal> {
    let shift = left.relations.len();
    let matching = |scope: &Scope, name: &str| -> Vec<Visible> {
        let named = |v: &&Visible| v.column.name.as_deref().is_some_and(|n| same_name(n, name));
        scope.visible.iter().filter(named).cloned().collect()
    };
    let mut merged = Vec::with_capacity(names.len());
    for name in names {
        let (l, r) = (matching(&left, name), matching(&right, name));
        let sealed = l.iter().chain(&r).find_map(|v| v.column.value.sealed());
        if let Some(column) = sealed {
            let alike = |v: &Visible| v.column.value.sealed().is_some_and(|other| same_column(other, column));
            if !column.searchable() || !l.iter().chain(&r).all(alike) {
                return Err(why::comparison(column, clause));
            }
        }
        let value = sealed.cloned().map_or(Value::Plain, Value::Sealed);
        let uncertain = left.open() || right.open();
        if (l.len() != 1 || r.len() != 1) && !uncertain {
            let sealed = left.sealed().or(right.sealed());
            return Err(sealed.map_or_else(|| why::not_understood(clause), |c| why::ambiguous(name, c)));
        }
        let relation = l.first().map_or(0, |v| v.relation);
        let column = RelationColumn { name: Some(name.clone()), value, invisible: false };
        merged.push(Visible { relation, column });
    }
    let unordered = left.unordered || right.unordered || (is_right && !names.is_empty());
    let keep = |v: &Visible| !v.column.name.as_deref().is_some_and(|n| names.iter().any(|m| same_name(m, n)));
    let mut visible = order_like(merged, &left);
    visible.extend(left.visible.iter().filter(|v| keep(v)).cloned());
    visible.extend(
        right.visible.iter().filter(|v| keep(v)).map(|v| Visible { relation: v.relation + shift, ..v.clone() }),
    );
    let mut relations: Vec<Rc<Relation>> = left.relations;
    relations.extend(right.relations);
    Ok(Scope { relations, visible, unordered })
}

/// Common columns stand in the order of the first table, whatever the order in USING.
fn order_like(mut merged: Vec<Visible>, left: &Scope) -> Vec<Visible> {
    let place = |v: &Visible| {
        left.visible.iter().position(|l| match (&l.column.name, &v.column.name) {
            (Some(a), Some(b)) => same_name(a, b),
            _ => false,
        })
    };
    merged.sort_by_key(|v| place(v).unwrap_or(usize::MAX));
    merged
}
