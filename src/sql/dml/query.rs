//! Queries: common table expressions, set operations, select lists and their clauses.

use std::rc::Rc;

use sqlparser::ast::{
    Cte as CteAst, Distinct, Expr, GroupByExpr, GroupByWithModifier, LimitClause, NamedWindowExpr, OrderBy,
    OrderByKind, Query, Select, SelectFlavor, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, SetOperator,
    SetQuantifier, UnaryOperator, Value as Literal, WildcardAdditionalOptions, With,
};

use super::keyed::Origin;
use super::planner::{Cte, CteBody, Planner};
use super::scope::{Chain, Scope, names_relation};
use super::value::{Output, Outputs, Value};
use super::why;
use crate::sql::Refusal;

impl Planner<'_> {
    /// The columns that `query` returns; `outer` holds the names around it.
    pub(super) fn query(&mut self, query: &Query, outer: Option<&Chain<'_>>) -> Result<Outputs, Refusal> {
        let sight = self.ctes.len();
        let result = self.query_with(query, outer);
        self.ctes.truncate(sight);
        result
    }

    fn query_with(&mut self, query: &Query, outer: Option<&Chain<'_>>) -> Result<Outputs, Refusal> {
        let Query {
            with,
            body,
            order_by,
            limit_clause,
            fetch: None,
            locks: _,
            for_clause: None,
            settings: None,
            format_clause: None,
            pipe_operators,
        } = query
        else {
            return Err(why::not_understood("this kind of query"));
        };
        let outermost = std::mem::take(&mut self.outermost);
        if !pipe_operators.is_empty() {
            return Err(why::not_understood("this kind of query"));
        }
        if let Some(with) = with {
            self.with(with, outer)?;
        }
        let mut outputs = match &**body {
            SetExpr::Select(select) => self.select(select, order_by.as_ref(), outer, outermost)?,
            other => {
                let outputs = self.set_expr(other, outer)?;
                if let Some(order_by) = order_by {
                    let scope = Scope::default();
                    self.order_by(order_by, &scope, &outputs, outer)?;
                }
                outputs
            }
        };
        if let Some(limit) = limit_clause {
            self.limit(limit)?;
        }
        if order_by.is_some() {
            settle(&mut outputs);
        }
        Ok(outputs)
    }

    fn limit(&mut self, limit: &LimitClause) -> Result<(), Refusal> {
        let scope = Scope::default();
        let chain = Chain::new(&scope, None);
        match limit {
            LimitClause::LimitOffset { limit, offset, limit_by } if limit_by.is_empty() => {
                for expr in limit.iter().chain(offset.as_ref().map(|o| &o.value)) {
                    self.plain(expr, &chain, "LIMIT")?;
                }
            }
            LimitClause::OffsetCommaLimit { offset, limit } => {
                self.plain(offset, &chain, "LIMIT")?;
                self.plain(limit, &chain, "LIMIT")?;
            }
            LimitClause::LimitOffset { .. } => return Err(why::not_understood("LIMIT BY")),
        }
        Ok(())
    }

    /// Brings the common table expressions of a WITH clause into sight; the caller truncates.
    pub(super) fn with(&mut self, with: &With, outer: Option<&Chain<'_>>) -> Result<(), Refusal> {
        let names: Vec<String> = with.cte_tables.iter().map(|c| self.name(&c.alias.name)).collect();
        let base = self.ctes.len();
        if with.recursive {
            // Recursive ones see each other, whatever their order.
            self.ctes.extend(names.iter().map(|n| Cte { name: n.clone(), body: CteBody::Later }));
        }
        for (index, cte) in with.cte_tables.iter().enumerate() {
            let body = if with.recursive {
                if let Some(slot) = self.ctes.get_mut(base + index) {
                    slot.body = CteBody::Itself;
                }
                let outputs = self.cte_outputs(cte, outer)?;
                if let Some(column) = outputs.first_sealed()
                    && matches!(&*cte.query.body, SetExpr::SetOperation { .. })
                {
                    return Err(why::recursive(column));
                }
                outputs
            } else {
                self.cte_outputs(cte, outer)?
            };
            let body = CteBody::Known(Rc::new(body));
            match self.ctes.get_mut(base + index) {
                Some(slot) if with.recursive => slot.body = body,
                _ => {
                    let name = names.get(index).cloned().unwrap_or_default();
                    self.ctes.push(Cte { name, body });
                }
            }
        }
        Ok(())
    }

    fn cte_outputs(&mut self, cte: &CteAst, outer: Option<&Chain<'_>>) -> Result<Outputs, Refusal> {
        if cte.from.is_some() || cte.materialized.is_some() || cte.alias.at.is_some() {
            return Err(why::not_understood("this kind of common table expression"));
        }
        let mut outputs = self.query(&cte.query, outer)?;
        settle(&mut outputs);
        let names: Vec<String> = cte.alias.columns.iter().map(|c| self.name(&c.name)).collect();
        if names.is_empty() {
            return Ok(outputs);
        }
        if outputs.unknown {
            return match outputs.first_sealed() {
                Some(column) => Err(why::unknown_star(column)),
                None => Ok(outputs),
            };
        }
        if names.len() != outputs.columns.len() {
            return Err(why::not_understood("a list of column names of another length"));
        }
        for (output, name) in outputs.columns.iter_mut().zip(names) {
            output.name = Some(name);
        }
        Ok(outputs)
    }

    fn set_expr(&mut self, body: &SetExpr, outer: Option<&Chain<'_>>) -> Result<Outputs, Refusal> {
        match body {
            SetExpr::Select(select) => self.select(select, None, outer, false),
            SetExpr::Query(query) => self.query(query, outer),
            SetExpr::SetOperation { op, set_quantifier, left, right } => {
                let left = self.set_expr(left, outer)?;
                let right = self.set_expr(right, outer)?;
                let keeps_all = match (op, set_quantifier) {
                    (SetOperator::Union, SetQuantifier::All) => true,
                    (
                        SetOperator::Union | SetOperator::Except | SetOperator::Intersect,
                        SetQuantifier::None | SetQuantifier::Distinct | SetQuantifier::All,
                    ) => false,
                    _ => return Err(why::not_understood("this set operation")),
                };
                self.union(left, right, keeps_all)
            }
            SetExpr::Values(values) => {
                let scope = Scope::default();
                let chain = Chain::new(&scope, outer);
                let mut columns = 0;
                for row in &values.rows {
                    columns = row.content.len();
                    self.all_plain(&row.content, &chain, "VALUES")?;
                }
                let column = || Output::new(None, Value::Plain);
                Ok(Outputs { columns: std::iter::repeat_with(column).take(columns).collect(), unknown: false })
            }
            _ => Err(why::not_understood("this kind of query")),
        }
    }

    fn union(&mut self, left: Outputs, right: Outputs, keeps_all: bool) -> Result<Outputs, Refusal> {
        let sealed = left.first_sealed().or(right.first_sealed()).cloned();
        let Some(column) = sealed else {
            let unknown = left.unknown || right.unknown;
            let same = left.columns.len() == right.columns.len() && !unknown && keeps_all;
            let mut columns = Vec::with_capacity(left.columns.len());
            let mut rest = right.columns.into_iter();
            for l in left.columns {
                let value = match rest.next() {
                    Some(r) if same => self.merge(vec![l.value, r.value], "UNION")?,
                    _ => Value::Plain,
                };
                columns.push(Output::new(l.name, value));
            }
            return Ok(Outputs { columns, unknown });
        };
        if !keeps_all && let Some(column) = left.first_unsearchable().or(right.first_unsearchable()) {
            return Err(why::grouping(column, "a set operation that removes duplicates"));
        }
        if !keeps_all {
            for column in left.columns.iter().chain(&right.columns).filter_map(|c| c.value.sealed()) {
                self.whole_only(Some(column), "a set operation that removes duplicates")?;
            }
        }
        if left.unknown || right.unknown {
            return Err(why::unknown_star(&column));
        }
        if left.columns.len() != right.columns.len() {
            return Err(why::mixed(&column, "UNION"));
        }
        let mut columns = Vec::with_capacity(left.columns.len());
        for (l, r) in left.columns.into_iter().zip(right.columns) {
            // The server names the column after the constant, which would be a sealed one.
            if l.name.is_none() && r.value.sealed().is_some() && !matches!(l.value, Value::Sealed(_) | Value::Null) {
                return Err(why::unnamed_constant());
            }
            let value = self.merge(vec![l.value, r.value], "UNION")?;
            columns.push(Output::new(l.name, value));
        }
        Ok(Outputs { columns, unknown: false })
    }

    fn select(
        &mut self,
        select: &Select,
        order_by: Option<&OrderBy>,
        outer: Option<&Chain<'_>>,
        outermost: bool,
    ) -> Result<Outputs, Refusal> {
        let Select {
            select_token: _,
            optimizer_hints: _,
            distinct,
            select_modifiers: _,
            top: None,
            top_before_distinct: _,
            projection,
            exclude: None,
            into,
            from,
            lateral_views,
            prewhere: None,
            selection,
            connect_by,
            group_by,
            cluster_by,
            distribute_by,
            sort_by,
            having,
            named_window,
            qualify: None,
            window_before_qualify: _,
            value_table_mode: None,
            flavor: SelectFlavor::Standard,
        } = select
        else {
            return Err(why::not_understood("this kind of SELECT"));
        };
        if !(lateral_views.is_empty()
            && connect_by.is_empty()
            && cluster_by.is_empty()
            && distribute_by.is_empty()
            && sort_by.is_empty())
        {
            return Err(why::not_understood("this kind of SELECT"));
        }
        if into.is_some() {
            return Err(why::into());
        }
        let scope = self.from(from, outer)?;
        let chain = Chain::new(&scope, outer);
        if let Some(condition) = selection {
            self.plain(condition, &chain, "WHERE")?;
        }
        let mut outputs = self.select_list(projection, &chain)?;
        let distinct = match distinct {
            None | Some(Distinct::All) => false,
            Some(Distinct::Distinct) => true,
            Some(Distinct::On(_)) => return Err(why::not_understood("DISTINCT ON")),
        };
        let groups = !matches!(group_by, GroupByExpr::Expressions(exprs, _) if exprs.is_empty());
        let origins = match distinct || groups {
            true => self.origins(projection, &scope, &outputs),
            false => Vec::new(),
        };
        if distinct {
            let values: Vec<&Value> = outputs.columns.iter().map(|c| &c.value).collect();
            self.told_apart(&scope, &values, &origins, "DISTINCT")?;
        }
        let grouped = self.group_by(group_by, &scope, &outputs, &origins, outer)?;
        {
            let chain = Chain::with_aliases(&scope, &outputs.columns, outer);
            if let Some(having) = having {
                self.plain(having, &chain, "HAVING")?;
            }
            for window in named_window {
                match &window.1 {
                    NamedWindowExpr::NamedWindow(_) => {}
                    NamedWindowExpr::WindowSpec(spec) => self.window_spec(spec, &chain)?,
                }
            }
        }
        if let Some(order_by) = order_by {
            self.order_by(order_by, &scope, &outputs, outer)?;
        }
        // A constant that such a clause looks at must stay what it is.
        if distinct || grouped || having.is_some() || order_by.is_some() {
            settle(&mut outputs);
        }
        if outermost && !distinct && !groups && having.is_none() && !orders_beyond(order_by, outputs.columns.len()) {
            self.ask_for_rows(projection, from, &scope, &mut outputs);
        }
        // A subtotal is no row.
        if has_subtotals(group_by) {
            outputs.columns.iter_mut().for_each(|output| output.row = None);
        }
        Ok(outputs)
    }

    /// The select list, `*` written out. Also a RETURNING clause.
    pub(super) fn select_list(&mut self, items: &[SelectItem], chain: &Chain<'_>) -> Result<Outputs, Refusal> {
        let mut outputs = Outputs::default();
        for item in items {
            match item {
                SelectItem::UnnamedExpr(expr) => {
                    let edits = self.edits.len();
                    let value = self.expr(expr, chain)?;
                    let name = match expr {
                        Expr::Identifier(ident) if ident.quote_style.is_some() || !ident.value.starts_with('@') => {
                            Some(self.name(ident))
                        }
                        Expr::CompoundIdentifier(parts) => parts.last().map(|p| self.name(p)),
                        // The server names the column after the text it gets, sealed constant included.
                        _ if self.edits.len() > edits => return Err(why::unnamed_constant()),
                        _ => None,
                    };
                    outputs.columns.push(Output::new(name, value));
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    let value = self.expr(expr, chain)?;
                    outputs.columns.push(Output::new(Some(self.name(alias)), value));
                }
                SelectItem::Wildcard(options) => {
                    self.no_options(options)?;
                    outputs.unknown |= chain.scope.open() || chain.scope.unordered;
                    for v in chain.scope.visible.iter().filter(|v| !v.column.invisible) {
                        outputs.columns.push(Output::new(v.column.name.clone(), v.column.value.clone()));
                    }
                }
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
                    self.no_options(options)?;
                    let parts = self.parts(name)?;
                    let (schema, table) = match parts.as_slice() {
                        [table] => (None, table),
                        [schema, table] => (Some(schema.as_str()), table),
                        _ => return Err(why::not_understood("a name of more than two parts before .*")),
                    };
                    let fold = self.fold();
                    let mut found = chain.scope.relations.iter().filter(|r| names_relation(r, schema, table, fold));
                    let (Some(relation), None) = (found.next(), found.next()) else {
                        if chain.protects() || self.need.is_empty() {
                            return Err(why::unknown_column(&format!("{table}.*")));
                        }
                        outputs.unknown = true;
                        continue;
                    };
                    outputs.unknown |= relation.open;
                    for c in relation.columns.iter().filter(|c| !c.invisible) {
                        outputs.columns.push(Output::new(c.name.clone(), c.value.clone()));
                    }
                }
                _ => return Err(why::not_understood("this kind of select list")),
            }
        }
        self.find_rows(items, chain.scope, &mut outputs);
        Ok(outputs)
    }

    fn no_options(&self, options: &WildcardAdditionalOptions) -> Result<(), Refusal> {
        let WildcardAdditionalOptions {
            wildcard_token: _,
            opt_ilike: None,
            opt_exclude: None,
            opt_except: None,
            opt_replace: None,
            opt_rename: None,
            opt_alias: None,
        } = options
        else {
            return Err(why::not_understood("options after *"));
        };
        Ok(())
    }

    /// True if there is a GROUP BY.
    fn group_by(
        &mut self,
        group_by: &GroupByExpr,
        scope: &Scope,
        outputs: &Outputs,
        origins: &[Option<Origin>],
        outer: Option<&Chain<'_>>,
    ) -> Result<bool, Refusal> {
        let GroupByExpr::Expressions(exprs, modifiers) = group_by else {
            return Err(why::not_understood("GROUP BY ALL"));
        };
        if !modifiers.iter().all(|m| matches!(m, GroupByWithModifier::Rollup)) {
            return Err(why::not_understood("a modifier of GROUP BY"));
        }
        let mut items: Vec<&Expr> = Vec::with_capacity(exprs.len());
        // Subtotals are made of some of the items only.
        let mut subtotals = !modifiers.is_empty();
        for expr in exprs {
            match expr {
                Expr::Rollup(sets) => {
                    subtotals = true;
                    items.extend(sets.iter().flatten());
                }
                e => items.push(e),
            }
        }
        let mut values = Vec::with_capacity(items.len());
        for item in &items {
            values.push(self.item(item, scope, outputs, outer)?);
        }
        let origins: Vec<Option<Origin>> = match subtotals {
            true => Vec::new(),
            false => items.iter().map(|item| self.group_origin(item, scope, outputs, origins)).collect(),
        };
        let values: Vec<&Value> = values.iter().collect();
        self.told_apart(scope, &values, &origins, "GROUP BY").map_err(|refusal| {
            let random = values.iter().position(|value| value.unsearchable().is_some());
            why::at(refusal, random.and_then(|at| self.expr_span(items.get(at)?)))
        })?;
        Ok(!exprs.is_empty())
    }

    fn order_by(
        &mut self,
        order_by: &OrderBy,
        scope: &Scope,
        outputs: &Outputs,
        outer: Option<&Chain<'_>>,
    ) -> Result<(), Refusal> {
        let OrderByKind::Expressions(items) = &order_by.kind else {
            return Err(why::not_understood("ORDER BY ALL"));
        };
        if order_by.interpolate.is_some() || items.iter().any(|i| i.with_fill.is_some()) {
            return Err(why::not_understood("this kind of ORDER BY"));
        }
        for item in items {
            if let Some(column) = self.item(&item.expr, scope, outputs, outer)?.sealed() {
                return Err(why::at(why::ordering(column), self.expr_span(&item.expr)));
            }
        }
        Ok(())
    }

    /// What an item of GROUP BY or ORDER BY stands for: a position, an alias, or an expression.
    fn item(
        &mut self,
        expr: &Expr,
        scope: &Scope,
        outputs: &Outputs,
        outer: Option<&Chain<'_>>,
    ) -> Result<Value, Refusal> {
        let chain = Chain::with_aliases(scope, &outputs.columns, outer);
        let value = self.expr(expr, &chain)?;
        match bare(expr) {
            // MariaDB takes a bound integer for a position.
            Expr::Value(v) if matches!(v.value, Literal::Placeholder(_)) => {
                let any = outputs.first_unsearchable().or(outputs.first_sealed());
                Ok(any.cloned().map_or(value, Value::Sealed))
            }
            Expr::Value(v) => {
                let Literal::Number(digits, _) = &v.value else {
                    return Ok(value);
                };
                let position = digits.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
                if outputs.unknown
                    && let Some(column) = outputs.first_sealed()
                {
                    return Err(why::unknown_star(column));
                }
                Ok(position.and_then(|p| outputs.columns.get(p)).map_or(value, |o| o.value.clone()))
            }
            _ => Ok(value),
        }
    }
}

/// Whether an ORDER BY names the position of a column that is not there. With one more the server would take it.
fn orders_beyond(order_by: Option<&OrderBy>, columns: usize) -> bool {
    let Some(OrderByKind::Expressions(items)) = order_by.map(|order_by| &order_by.kind) else { return false };
    items.iter().any(|item| match bare(&item.expr) {
        Expr::Value(value) => match &value.value {
            Literal::Number(digits, _) => digits.parse::<usize>().is_ok_and(|position| position > columns),
            _ => false,
        },
        _ => false,
    })
}

fn has_subtotals(group_by: &GroupByExpr) -> bool {
    match group_by {
        GroupByExpr::Expressions(exprs, modifiers) => {
            !modifiers.is_empty() || exprs.iter().any(|expr| matches!(expr, Expr::Rollup(_)))
        }
        GroupByExpr::All(_) => true,
    }
}

/// The expression without parentheses and plus signs, which the server's grammar drops.
pub(super) fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) => bare(inner),
        Expr::UnaryOp { op: UnaryOperator::Plus, expr } => bare(expr),
        other => other,
    }
}

/// Constants of these columns can no longer be sealed.
fn settle(outputs: &mut Outputs) {
    for output in &mut outputs.columns {
        output.value = output.value.clone().settled();
    }
}
