//! UPDATE and DELETE, of one table or several.

use std::rc::Rc;

use sqlparser::ast::{Assignment, AssignmentTarget, Delete, Expr, FromTable, ObjectName, OrderByExpr, Update};

use super::assign::{Strictness, default_keyword};
use super::planner::Planner;
use super::scope::{Chain, Relation, Scope, names_relation, same_name};
use super::value::{Outputs, Value};
use super::why;
use crate::catalog::Watched;
use crate::sql::Refusal;

impl Planner<'_> {
    pub(super) fn update(&mut self, update: &Update) -> Result<Outputs, Refusal> {
        let Update {
            update_token: _,
            optimizer_hints: _,
            table,
            assignments,
            from: None,
            selection,
            returning,
            output: None,
            or: None,
            order_by,
            limit,
        } = update
        else {
            return Err(why::not_understood("this kind of UPDATE"));
        };
        let scope = self.from(std::slice::from_ref(table), None)?;
        let chain = Chain::new(&scope, None);
        if assignments.is_empty() {
            return Err(why::not_understood("an UPDATE without assignments"));
        }
        for assignment in assignments {
            self.update_one(assignment, assignments, selection.as_ref(), &scope, &chain)?;
        }
        self.rest(selection.as_ref(), order_by, limit.as_ref(), &chain)?;
        match returning {
            Some(items) => self.select_list(items, &chain),
            None => Ok(Outputs::default()),
        }
    }

    fn update_one(
        &mut self,
        assignment: &Assignment,
        assignments: &[Assignment],
        selection: Option<&Expr>,
        scope: &Scope,
        chain: &Chain<'_>,
    ) -> Result<(), Refusal> {
        let AssignmentTarget::ColumnName(name) = &assignment.target else {
            return Err(why::not_understood("an assignment to several columns"));
        };
        let (relation, column) = self.target(name, scope)?;
        let column = column.as_deref();
        if relation.as_ref().is_some_and(|r| r.view) {
            let name = relation.as_ref().map(|r| crate::config::TableName::new(r.schema.clone(), r.name.clone()));
            return Err(name.map_or_else(|| why::not_understood("a write through a view"), |n| why::view_write(&n)));
        }
        let table = relation.as_ref().and_then(|r| r.table.clone());
        match (table, column) {
            (Some(table), Some(column)) => {
                self.writable(&table)?;
                let Some(found) = table.column(column) else {
                    return Err(why::unknown_column(column));
                };
                if let Some(relation) = &relation {
                    self.chosen(relation, selection, assignments, chain);
                }
                self.keeps_row(&table, found, &assignment.value, assignments, chain)?;
                // Of a single table the first row meets the same NULL as all others.
                let any_row = scope.relations.len() > 1;
                let strictness =
                    Strictness { any_row, update: true, ..Strictness::of(self.ctx, &table, self.ignore, false) };
                self.assign(found, &assignment.value, chain, strictness)
            }
            // A table that the catalog does not know has no protected column.
            _ => {
                if default_keyword(&assignment.value).is_some() {
                    return Ok(());
                }
                match self.expr(&assignment.value, chain)? {
                    Value::Sealed(source) => {
                        Err(why::at(why::flow(&source, "another column"), self.expr_span(&assignment.value)))
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    /// The table and column that an assignment is for; no table where only an unknown one can have it.
    fn target(&self, name: &ObjectName, scope: &Scope) -> Result<(Option<Rc<Relation>>, Option<String>), Refusal> {
        let parts = self.parts(name)?;
        let (schema, table, column) = match parts.as_slice() {
            [column] => (None, None, column),
            [table, column] => (None, Some(table), column),
            [schema, table, column] => (Some(schema.as_str()), Some(table), column),
            _ => return Err(why::not_understood("a name of more than three parts")),
        };
        let fold = self.fold();
        let in_reach = |r: &&Rc<Relation>| table.is_none_or(|t| names_relation(r, schema, t, fold));
        let candidates: Vec<&Rc<Relation>> = scope.relations.iter().filter(in_reach).collect();
        let has = |r: &Relation| r.columns.iter().any(|c| c.name.as_deref().is_some_and(|n| same_name(n, column)));
        let found: Vec<&Rc<Relation>> = candidates.iter().filter(|r| has(r)).copied().collect();
        match found.as_slice() {
            [one] => Ok((Some((*one).clone()), Some(column.clone()))),
            [] if candidates.iter().any(|r| r.open) => Ok((None, None)),
            [] => Err(why::unknown_column(&parts.join("."))),
            [..] => Err(match scope.sealed() {
                Some(sealed) => why::ambiguous(&parts.join("."), sealed),
                None => why::not_understood("an ambiguous assignment"),
            }),
        }
    }

    pub(super) fn delete(&mut self, delete: &Delete) -> Result<Outputs, Refusal> {
        let Delete {
            delete_token: _,
            optimizer_hints: _,
            tables,
            from,
            using,
            selection,
            returning,
            output: None,
            order_by,
            limit,
        } = delete
        else {
            return Err(why::not_understood("this kind of DELETE"));
        };
        let from = match from {
            FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from) => from,
        };
        // DELETE FROM t USING …: the tables to delete from stand where others have their FROM clause.
        let scope = self.from(using.as_ref().unwrap_or(from), None)?;
        let mut targets: Vec<Rc<Relation>> = Vec::new();
        if using.is_some() {
            for item in from {
                let sqlparser::ast::TableFactor::Table { name, alias: None, .. } = &item.relation else {
                    return Err(why::not_understood("this kind of DELETE"));
                };
                if !item.joins.is_empty() {
                    return Err(why::not_understood("this kind of DELETE"));
                }
                targets.push(self.deleted(name, &scope)?);
            }
        } else if tables.is_empty() {
            targets.extend(scope.relations.iter().cloned());
        } else {
            for name in tables {
                targets.push(self.deleted(name, &scope)?);
            }
        }
        for target in targets {
            if target.view {
                return Err(why::view_write(&crate::config::TableName::new(
                    target.schema.clone(),
                    target.name.clone(),
                )));
            }
            if let Some(table) = &target.table {
                self.writable(table)?;
            } else if let Some(Watched::Carrier(reason)) = self.watched(&target.name) {
                let name = crate::config::TableName::new(target.schema.clone(), target.name.clone());
                return Err(why::carrier(&name, reason));
            }
        }
        let chain = Chain::new(&scope, None);
        self.rest(selection.as_ref(), order_by, limit.as_ref(), &chain)?;
        match returning {
            Some(items) => self.select_list(items, &chain),
            None => Ok(Outputs::default()),
        }
    }

    /// The table that a multi-table DELETE names, by alias or by name.
    fn deleted(&self, name: &ObjectName, scope: &Scope) -> Result<Rc<Relation>, Refusal> {
        let mut parts = self.parts(name)?;
        // `t.*` is the same as `t`.
        if parts.len() > 1 && parts.last().is_some_and(|p| p == "*") {
            parts.pop();
        }
        let (schema, table) = match parts.as_slice() {
            [table] => (None, table),
            [schema, table] => (Some(schema.as_str()), table),
            _ => return Err(why::not_understood("a table name of this form")),
        };
        let fold = self.fold();
        let mut found = scope.relations.iter().filter(|r| names_relation(r, schema, table, fold));
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one.clone()),
            _ => Err(why::not_understood("a DELETE from a table that its FROM clause does not hold")),
        }
    }

    fn rest(
        &mut self,
        selection: Option<&Expr>,
        order_by: &[OrderByExpr],
        limit: Option<&Expr>,
        chain: &Chain<'_>,
    ) -> Result<(), Refusal> {
        if let Some(condition) = selection {
            self.plain(condition, chain, "WHERE")?;
        }
        for item in order_by {
            if let Value::Sealed(column) = self.expr(&item.expr, chain)? {
                return Err(why::at(why::ordering(&column), self.expr_span(&item.expr)));
            }
        }
        if let Some(limit) = limit {
            self.plain(limit, chain, "LIMIT")?;
        }
        Ok(())
    }
}
