//! INSERT and REPLACE.

use std::rc::Rc;
use std::sync::Arc;

use sqlparser::ast::{Assignment, AssignmentTarget, Insert, OnInsert, Query, SetExpr, TableObject};

use super::assign::{Implicit, Strictness};
use super::planner::Planner;
use super::row::Written;
use super::scope::{Chain, Relation, RelationColumn, Scope};
use super::value::{Outputs, Value, same_column};
use super::why;
use crate::catalog::{Column, ColumnDefault, ProtectedColumn, ServerFlavor, Table, TableKind};
use crate::seal::Plaintext;
use crate::sql::{Piece, Refusal};

impl Planner<'_> {
    /// The columns of a RETURNING clause, if there is one.
    pub(super) fn insert(&mut self, insert: &Insert) -> Result<Outputs, Refusal> {
        let Insert {
            insert_token: _,
            optimizer_hints: _,
            or: None,
            ignore,
            into: _,
            table: TableObject::TableName(name),
            table_alias: None,
            columns,
            overwrite: false,
            source,
            assignments,
            partitioned: _,
            after_columns,
            has_table_keyword: false,
            on,
            returning,
            output: None,
            replace_into: _,
            priority: _,
            insert_alias,
            settings: None,
            format_clause: None,
            multi_table_insert_type: None,
            multi_table_into_clauses,
            multi_table_when_clauses,
            multi_table_else_clause: None,
        } = insert
        else {
            return Err(why::not_understood("this kind of INSERT"));
        };
        if !after_columns.is_empty() || !multi_table_into_clauses.is_empty() || !multi_table_when_clauses.is_empty() {
            return Err(why::not_understood("this kind of INSERT"));
        }
        let parts = self.parts(name)?;
        let Some(table_name) = self.table_name(&parts)? else {
            return Err(why::no_schema(&parts.join(".")));
        };
        let relation = Rc::new(self.relation(&table_name, None)?);
        if relation.view {
            return Err(why::view_write(&table_name));
        }
        let Some(table) = relation.table.clone() else {
            // The table is not known: nothing of it is protected, but what is read may be.
            return self.insert_elsewhere(insert, &relation);
        };
        self.writable(&table)?;
        let scope = Scope { relations: vec![relation.clone()], ..Scope::of(copy(&relation)) };
        let chain = Chain::new(&scope, None);

        let updated = self.updated(&table, insert)?;
        match (source, assignments.as_slice()) {
            (None, []) => return Err(why::not_understood("an INSERT without values")),
            (None, assignments) => {
                if !columns.is_empty() {
                    return Err(why::not_understood("this kind of INSERT"));
                }
                self.insert_set(&table, assignments, &updated, *ignore, &chain)?;
            }
            (Some(query), []) => {
                let mut targets: Vec<&Column> = Vec::with_capacity(columns.len());
                for column in columns {
                    let parts = self.parts(column)?;
                    let Some(found) = parts.last().and_then(|n| table.column(n)) else {
                        return Err(why::unknown_column(&parts.join(".")));
                    };
                    targets.push(found);
                }
                let listed = !targets.is_empty();
                if !listed {
                    targets = table.columns.iter().filter(|c| !c.invisible).collect();
                }
                match values(query) {
                    Some(values) => {
                        let start = if listed {
                            columns.first().and_then(|c| c.0.first()).and_then(|p| p.as_ident())
                        } else {
                            None
                        };
                        let start = start.and_then(|i| self.offset(i.span));
                        self.insert_rows(&table, &targets, start, values, &updated, *ignore, &chain)?;
                    }
                    None => self.insert_select(&table, &targets, query, *ignore)?,
                }
            }
            (Some(_), _) => return Err(why::not_understood("this kind of INSERT")),
        }

        if let Some(on) = on {
            let OnInsert::DuplicateKeyUpdate(assignments) = on else {
                return Err(why::not_understood("ON CONFLICT"));
            };
            self.on_duplicate(&table, &relation, insert, assignments, *ignore)?;
        } else if insert_alias.is_some() && table.protected {
            return Err(why::clause("a row alias without ON DUPLICATE KEY UPDATE"));
        }
        match returning {
            Some(items) => self.select_list(items, &chain),
            None => Ok(Outputs::default()),
        }
    }

    /// An INSERT into a table that holds nothing protected as far as the catalog knows.
    fn insert_elsewhere(&mut self, insert: &Insert, relation: &Relation) -> Result<Outputs, Refusal> {
        let scope = Scope::of(copy(relation));
        let chain = Chain::new(&scope, None);
        if let Some(query) = &insert.source {
            match values(query) {
                Some(values) => {
                    for row in &values.rows {
                        for expr in row.content.iter().filter(|e| super::assign::default_keyword(e).is_none()) {
                            self.plain(expr, &chain, "VALUES")?;
                        }
                    }
                }
                None => {
                    let outputs = self.query(query, None)?;
                    if let Some(column) = outputs.first_sealed() {
                        return Err(why::flow_to_table(column, "INSERT ... SELECT reads"));
                    }
                }
            }
        }
        let updates = match &insert.on {
            Some(OnInsert::DuplicateKeyUpdate(assignments)) => assignments.as_slice(),
            Some(_) => return Err(why::not_understood("ON CONFLICT")),
            None => &[],
        };
        for assignment in insert.assignments.iter().chain(updates) {
            if super::assign::default_keyword(&assignment.value).is_none() {
                self.plain(&assignment.value, &chain, "an assignment")?;
            }
        }
        match &insert.returning {
            Some(items) => self.select_list(items, &chain),
            None => Ok(Outputs::default()),
        }
    }

    fn insert_set(
        &mut self,
        table: &Arc<Table>,
        assignments: &[Assignment],
        updated: &[String],
        ignore: bool,
        chain: &Chain<'_>,
    ) -> Result<(), Refusal> {
        let strictness = Strictness { new_row: true, ..Strictness::of(self.ctx, table, ignore, true) };
        let mut given: Vec<String> = Vec::with_capacity(assignments.len());
        let mut start = None;
        let values = self.assigned(table, assignments);
        self.inserted(table, values.into_iter(), chain);
        for assignment in assignments {
            let AssignmentTarget::ColumnName(name) = &assignment.target else {
                return Err(why::not_understood("an assignment to several columns"));
            };
            if start.is_none() {
                start = name.0.first().and_then(|p| p.as_ident()).and_then(|i| self.offset(i.span));
            }
            let parts = self.parts(name)?;
            let Some(column) = parts.last().and_then(|n| table.column(n)) else {
                return Err(why::unknown_column(&parts.join(".")));
            };
            given.push(column.name.clone());
            self.assign(column, &assignment.value, chain, strictness)?;
        }
        for (column, protected) in omitted(table, |c| given.contains(&c.name)) {
            if let Implicit::Seal(value) = self.omission(column, protected, updated, strictness)? {
                let at = start.ok_or_else(|| why::raw_default(protected, "its default"))?;
                let piece = self.sealed(protected, value)?;
                let pieces =
                    vec![Piece::Text(format!("{} = ", quoted(&column.name)?)), piece, Piece::Text(", ".to_owned())];
                self.insertion(at, pieces);
            }
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "each is a part of one INSERT, and none goes with another")]
    fn insert_rows(
        &mut self,
        table: &Arc<Table>,
        targets: &[&Column],
        list_start: Option<usize>,
        values: &sqlparser::ast::Values,
        updated: &[String],
        ignore: bool,
        chain: &Chain<'_>,
    ) -> Result<(), Refusal> {
        if values.explicit_row && table.protected {
            return Err(why::clause("VALUES ROW()"));
        }
        let single_row = values.rows.len() == 1;
        let strictness = Strictness { new_row: true, ..Strictness::of(self.ctx, table, ignore, single_row) };
        let missing: Vec<(&Column, &Arc<ProtectedColumn>)> =
            omitted(table, |c| targets.iter().any(|t| std::ptr::eq(*t, c))).collect();
        // One column list serves all rows: a column is added to all of them or to none.
        let mut added: Vec<(&Column, &Arc<ProtectedColumn>, Plaintext)> = Vec::new();
        for (column, protected) in missing {
            if let Implicit::Seal(value) = self.omission(column, protected, updated, strictness)? {
                if list_start.is_none() {
                    return Err(why::raw_default(protected, "its default"));
                }
                added.push((column, protected, value));
            }
        }
        if let Some(at) = list_start.filter(|_| !added.is_empty()) {
            let mut text = String::new();
            for (column, _, _) in &added {
                text.push_str(&quoted(&column.name)?);
                text.push_str(", ");
            }
            self.insertion(at, vec![Piece::Text(text)]);
        }
        for (number, row) in values.rows.iter().enumerate() {
            self.row = u32::try_from(number + 1).unwrap_or(u32::MAX);
            if row.content.is_empty() {
                self.empty_row(table, targets, list_start.is_some(), updated, strictness)?;
                continue;
            }
            if row.content.len() != targets.len() {
                return Err(why::not_understood("a row with another number of values than there are columns"));
            }
            self.inserted(table, targets.iter().copied().zip(&row.content), chain);
            if !added.is_empty() {
                let open = self
                    .offset(row.opening_token.0.span)
                    .filter(|o| self.source.index(*o).is_some_and(|i| self.source.operator(i, "(")));
                let Some(at) = open.map(|o| o + 1) else {
                    return Err(why::not_understood("the parenthesis of a row"));
                };
                let mut pieces = Vec::with_capacity(added.len() * 2);
                for (_, protected, value) in &added {
                    pieces.push(self.sealed(protected, value.clone())?);
                    pieces.push(Piece::Text(", ".to_owned()));
                }
                self.insertion(at, pieces);
            }
            for (column, expr) in targets.iter().zip(&row.content) {
                self.assign(column, expr, chain, strictness)?;
            }
        }
        self.row = 1;
        Ok(())
    }

    /// What stands in for the default of a column that is given no value. MariaDB takes a column for
    /// given that only ON DUPLICATE KEY UPDATE names: it becomes `''` in strict mode too.
    fn omission(
        &self,
        column: &Column,
        protected: &Arc<ProtectedColumn>,
        updated: &[String],
        strictness: Strictness,
    ) -> Result<Implicit, Refusal> {
        if self.ctx.catalog.version.flavor == ServerFlavor::MariaDb
            && matches!(column.default, ColumnDefault::None)
            && updated.contains(&column.name)
        {
            return Ok(Implicit::Seal(protected.implicit_default()));
        }
        self.implicit(column, protected, strictness)
    }

    /// The columns that ON DUPLICATE KEY UPDATE assigns, as the catalog spells them.
    fn updated(&self, table: &Table, insert: &Insert) -> Result<Vec<String>, Refusal> {
        let Some(OnInsert::DuplicateKeyUpdate(assignments)) = &insert.on else {
            return Ok(Vec::new());
        };
        let mut names = Vec::with_capacity(assignments.len());
        for assignment in assignments {
            if let AssignmentTarget::ColumnName(name) = &assignment.target
                && let Some(column) = self.parts(name)?.last().and_then(|n| table.column(n))
            {
                names.push(column.name.clone());
            }
        }
        Ok(names)
    }

    /// `VALUES ()`: each column takes its default.
    fn empty_row(
        &self,
        table: &Table,
        targets: &[&Column],
        listed: bool,
        updated: &[String],
        strictness: Strictness,
    ) -> Result<(), Refusal> {
        if listed && !targets.is_empty() {
            return Err(why::not_understood("a row with another number of values than there are columns"));
        }
        for (column, protected) in omitted(table, |_| false) {
            if let Implicit::Seal(_) = self.omission(column, protected, updated, strictness)? {
                return Err(why::raw_default(protected, "its default"));
            }
        }
        Ok(())
    }

    fn insert_select(
        &mut self,
        table: &Arc<Table>,
        targets: &[&Column],
        query: &Query,
        ignore: bool,
    ) -> Result<(), Refusal> {
        let strictness = Strictness { any_row: true, ..Strictness::of(self.ctx, table, ignore, false) };
        for (column, protected) in omitted(table, |c| targets.iter().any(|t| std::ptr::eq(*t, c))) {
            if let Implicit::Seal(_) = self.implicit(column, protected, strictness)? {
                return Err(why::raw_default(protected, "its default"));
            }
        }
        let outputs = self.query(query, None)?;
        if targets.iter().all(|target| target.protected.is_none()) {
            return match outputs.first_sealed() {
                Some(column) => Err(why::flow_to_table(column, "INSERT ... SELECT reads")),
                None => Ok(()),
            };
        }
        // Which value goes where is known only if every column is.
        if outputs.unknown || outputs.columns.len() != targets.len() {
            let protected = targets.iter().find_map(|c| c.protected.as_ref()).or(outputs.first_sealed());
            return Err(protected.map_or_else(
                || why::not_understood("INSERT ... SELECT"),
                |column| why::flow_to_table(column, "INSERT ... SELECT writes"),
            ));
        }
        for (target, output) in targets.iter().zip(&outputs.columns) {
            match (&target.protected, output.value.sealed()) {
                (None, None) => {}
                (None, Some(source)) => return Err(why::flow_to_table(source, "INSERT ... SELECT reads")),
                // A sealed value of the same column stays what it is. An outer join may make it NULL, which the
                // server would store as a raw '' where it coerces.
                (Some(own), Some(source)) if same_column(own, source) => {
                    if let Some(key) = own.bind.first() {
                        return Err(why::row_unknown(own, key));
                    }
                    if !target.nullable && strictness.coerces_null(2) {
                        return Err(why::raw_default(own, "the value that stands in for NULL"));
                    }
                }
                (Some(own), _) => return Err(why::flow_to_table(own, "INSERT ... SELECT writes")),
            }
        }
        Ok(())
    }

    fn on_duplicate(
        &mut self,
        table: &Arc<Table>,
        relation: &Rc<Relation>,
        insert: &Insert,
        assignments: &[Assignment],
        ignore: bool,
    ) -> Result<(), Refusal> {
        let rows = insert.source.as_deref().map_or(Some(1), |q| values(q).map(|v| v.rows.len()));
        let strictness =
            Strictness { any_row: rows != Some(1), ..Strictness::of(self.ctx, table, ignore, rows == Some(1)) };
        let mut scope = Scope::of(copy(relation));
        if let Some(alias) = &insert.insert_alias {
            let parts = self.parts(&alias.row_alias)?;
            let [name] = parts.as_slice() else {
                return Err(why::not_understood("a row alias of this form"));
            };
            let mut row = copy(relation);
            row.name = name.clone();
            row.schema = String::new();
            if let Some(names) = alias.col_aliases.as_ref().filter(|n| !n.is_empty()) {
                row.columns = self.renamed(table, insert, names)?;
            }
            scope.append(Scope::of(row));
        }
        // Beside the rows of an INSERT ... SELECT the tables it reads are in reach as well.
        let source;
        if rows.is_none()
            && let Some(SetExpr::Select(select)) = insert.source.as_deref().map(|q| &*q.body)
        {
            source = self.from(&select.from, None)?;
            scope.append(source);
        }
        let chain = Chain::new(&scope, None);
        let previous = self.insert_target.replace(relation.clone());
        let renames = insert
            .insert_alias
            .as_ref()
            .is_some_and(|alias| alias.col_aliases.as_ref().is_some_and(|names| !names.is_empty()));
        self.gives_rows = rows.is_some() && !renames;
        let result = self.on_duplicate_assignments(table, assignments, &chain, strictness);
        self.insert_target = previous;
        result
    }

    fn on_duplicate_assignments(
        &mut self,
        table: &Arc<Table>,
        assignments: &[Assignment],
        chain: &Chain<'_>,
        strictness: Strictness,
    ) -> Result<(), Refusal> {
        for assignment in assignments {
            let AssignmentTarget::ColumnName(name) = &assignment.target else {
                return Err(why::not_understood("an assignment to several columns"));
            };
            let parts = self.parts(name)?;
            let Some(column) = parts.last().and_then(|n| table.column(n)) else {
                return Err(why::unknown_column(&parts.join(".")));
            };
            self.keeps_row_in_the_way(table, column, &assignment.value, chain)?;
            // Of one row only is it known what the row in its way is.
            if strictness.any_row || column.protected.as_ref().is_some_and(|p| !Self::only_own_row(table, p)) {
                self.written = Some(Written::default());
            }
            self.assign(column, &assignment.value, chain, strictness)?;
        }
        Ok(())
    }

    /// The columns of a row alias that renames them, in the order of the INSERT's columns.
    fn renamed(
        &self,
        table: &Table,
        insert: &Insert,
        names: &[sqlparser::ast::Ident],
    ) -> Result<Vec<RelationColumn>, Refusal> {
        let mut targets: Vec<&Column> = Vec::new();
        for column in &insert.columns {
            let parts = self.parts(column)?;
            let found = parts.last().and_then(|n| table.column(n));
            targets.push(found.ok_or_else(|| why::unknown_column(&parts.join(".")))?);
        }
        for assignment in &insert.assignments {
            let AssignmentTarget::ColumnName(name) = &assignment.target else {
                return Err(why::not_understood("an assignment to several columns"));
            };
            let parts = self.parts(name)?;
            let found = parts.last().and_then(|n| table.column(n));
            targets.push(found.ok_or_else(|| why::unknown_column(&parts.join(".")))?);
        }
        if targets.is_empty() {
            targets = table.columns.iter().filter(|c| !c.invisible).collect();
        }
        if targets.len() != names.len() {
            return Err(why::not_understood("a list of column names of another length"));
        }
        let columns = targets.into_iter().zip(names).map(|(c, n)| RelationColumn {
            name: Some(self.name(n)),
            value: c.protected.clone().map_or(Value::Plain, Value::Sealed),
            invisible: false,
        });
        Ok(columns.collect())
    }
}

/// The rows of `VALUES (…), (…)`, if the source is nothing but that.
fn values(query: &Query) -> Option<&sqlparser::ast::Values> {
    match (&*query.body, &query.with, &query.order_by, &query.limit_clause) {
        (SetExpr::Values(values), None, None, None) if query.fetch.is_none() && query.locks.is_empty() => Some(values),
        _ => None,
    }
}

/// The protected columns that a statement gives no value.
fn omitted<'t>(
    table: &'t Table,
    given: impl Fn(&Column) -> bool + 't,
) -> impl Iterator<Item = (&'t Column, &'t Arc<ProtectedColumn>)> + 't {
    let base = matches!(table.kind, TableKind::Base);
    table.columns.iter().filter(move |c| base && !given(c)).filter_map(|c| c.protected.as_ref().map(|p| (c, p)))
}

/// A column's name as a quoted identifier.
pub(super) fn quoted(name: &str) -> Result<String, Refusal> {
    // The text is in the session's character set; all of the supported ones agree on ASCII only.
    if !name.is_ascii() {
        return Err(why::not_understood("a column whose name is not ASCII"));
    }
    Ok(format!("`{}`", name.replace('`', "``")))
}

fn copy(relation: &Relation) -> Relation {
    Relation {
        name: relation.name.clone(),
        schema: relation.schema.clone(),
        columns: relation.columns.clone(),
        table: relation.table.clone(),
        view: relation.view,
        open: relation.open,
    }
}
