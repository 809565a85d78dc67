//! What one analysis carries along: the context, the edits and roles found so far, and the tables
//! that the catalog must be asked for.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use sqlparser::ast::{Expr, Ident, ObjectName, ObjectNamePart};
use sqlparser::tokenizer::Span;

use super::row::Written;
use super::source::Source;
use super::value::{Outputs, Value};
use super::why;
use crate::catalog::{ProtectedColumn, Table, TableKind, Watched};
use crate::config::TableName;
use crate::seal::types::BadValue;
use crate::seal::versions::{Comparing, Form};
use crate::sql::{COMPARED, Context, Edit, NullPolicy, ParamRole, Piece, Refusal, SealParam, SealedLiteral};

pub(super) struct Planner<'a> {
    pub ctx: &'a Context<'a>,
    pub source: Source<'a>,
    pub edits: Vec<Edit>,
    /// One per `?` of the statement, in the order of the text.
    pub params: Vec<ParamRole>,
    /// Placeholders met so far; each must have been.
    pub seen: Vec<bool>,
    pub need: Vec<TableName>,
    /// Common table expressions in sight, innermost last.
    pub ctes: Vec<Cte>,
    /// How many view definitions we are inside of; there is no text to edit there.
    pub view_depth: usize,
    /// The table of the INSERT whose `VALUES(col)` may be referred to.
    pub insert_target: Option<Rc<super::scope::Relation>>,
    /// The INSERT gives its rows itself, by VALUES or SET, and an alias for them has the table's names for columns.
    pub gives_rows: bool,
    /// The row that the next sealed value belongs to.
    pub row: u32,
    /// What of the next sealed value is written.
    pub form: Form,
    /// The verb says IGNORE.
    pub ignore: bool,
    /// The query that comes next is the statement's own, whose result the client gets.
    pub outermost: bool,
    /// What is known of the row that the next sealed value is written to.
    pub written: Option<Written>,
    /// What becomes of a value that a declared type does not take; `None` outside of assignments.
    pub bad_value: Option<BadValue>,
}

pub(super) struct Cte {
    pub name: String,
    pub body: CteBody,
}

#[derive(Clone)]
pub(super) enum CteBody {
    Known(Rc<Outputs>),
    /// Being defined: a recursive reference to itself.
    Itself,
    /// Defined further on.
    Later,
}

impl<'a> Planner<'a> {
    pub fn new(ctx: &'a Context<'a>, source: Source<'a>, ignore: bool) -> Self {
        let placeholders = source.placeholder_count();
        Planner {
            ctx,
            source,
            edits: Vec::new(),
            params: vec![ParamRole::Plain; placeholders],
            seen: vec![false; placeholders],
            need: Vec::new(),
            ctes: Vec::new(),
            view_depth: 0,
            insert_target: None,
            gives_rows: false,
            row: 1,
            form: Form::Whole,
            ignore,
            outermost: false,
            written: None,
            bad_value: None,
        }
    }

    /// Names of tables and aliases do not distinguish case on this server.
    pub fn fold(&self) -> bool {
        self.ctx.catalog.lower_case_table_names != 0
    }

    /// The byte offset where a leaf of the AST starts; none inside a view's definition.
    pub fn offset(&self, span: Span) -> Option<usize> {
        if self.view_depth > 0 { None } else { self.source.offset(span) }
    }

    pub fn span(&self, span: Span) -> Option<Range<usize>> {
        let start = self.offset(span)?;
        self.source.token_range(start)
    }

    /// An identifier's text as the server reads it.
    pub fn name(&self, ident: &Ident) -> String {
        if self.view_depth > 0 { Source::utf8(&ident.value) } else { self.source.name(&ident.value) }
    }

    /// The parts of a dotted name.
    pub fn parts(&self, name: &ObjectName) -> Result<Vec<String>, Refusal> {
        name.0
            .iter()
            .map(|part| match part {
                ObjectNamePart::Identifier(ident) => Ok(self.name(ident)),
                ObjectNamePart::Function(_) => Err(why::not_understood("a computed name")),
            })
            .collect()
    }

    pub fn watched(&self, name: &str) -> Option<&'a Watched> {
        self.ctx.catalog.watched.get(&name.to_lowercase())
    }

    /// The table of this name: `None` where the server has none, or must be asked first.
    pub fn lookup(&mut self, name: &TableName) -> Result<Option<Arc<Table>>, Refusal> {
        let catalog = self.ctx.catalog;
        let key = catalog.key(name);
        if let Some((table, what)) = catalog.missing.iter().find(|(t, _)| catalog.key(t) == key) {
            return Err(why::missing(table, what));
        }
        match catalog.table(name) {
            Some(found) => Ok(found.cloned()),
            None => {
                if !self.need.contains(name) {
                    self.need.push(name.clone());
                }
                Ok(None)
            }
        }
    }

    /// Refuses a write that the server would carry further than the statement says.
    pub fn writable(&self, table: &Table) -> Result<(), Refusal> {
        if let Some(Watched::Carrier(reason)) = self.watched(&table.name.table) {
            return Err(why::carrier(&table.name, reason));
        }
        if matches!(table.kind, TableKind::View { .. }) && self.watched(&table.name.table).is_some() {
            return Err(why::view_write(&table.name));
        }
        if table.protected && !table.triggers.is_empty() {
            return Err(why::triggers(&table.name));
        }
        Ok(())
    }

    /// Adds a replacement. [`Planner::finish`] sees to it that a part of the text is replaced once.
    pub fn edit(&mut self, span: Range<usize>, pieces: Vec<Piece>) {
        self.edits.push(Edit { span, pieces });
    }

    /// Adds text before the byte `at`.
    pub fn insertion(&mut self, at: usize, pieces: Vec<Piece>) {
        self.edits.push(Edit { span: at..at, pieces });
    }

    /// The edits in order, those of one place as one.
    pub fn finish(&mut self) -> Result<Vec<Edit>, Refusal> {
        if self.seen.iter().any(|seen| !seen) {
            return Err(why::not_understood("a placeholder in this place"));
        }
        let mut edits = std::mem::take(&mut self.edits);
        edits.sort_by_key(|e| (e.span.start, e.span.end));
        let mut merged: Vec<Edit> = Vec::with_capacity(edits.len());
        for edit in edits {
            match merged.last_mut() {
                Some(last) if last.span == edit.span && edit.span.is_empty() => last.pieces.extend(edit.pieces),
                Some(last) if last.span == edit.span && same_pieces(&last.pieces, &edit.pieces) => {}
                Some(last) if last.span.end > edit.span.start => {
                    return Err(why::not_understood("a value with two meanings"));
                }
                _ => merged.push(edit),
            }
        }
        Ok(merged)
    }

    pub fn sealed(&self, column: &Arc<ProtectedColumn>, value: crate::seal::Plaintext) -> Result<Piece, Refusal> {
        let bound = self.bound_now(column)?;
        Ok(Piece::Seal(SealedLiteral { column: column.clone(), value, form: self.form, row: self.row, bound }))
    }

    /// The `?` at this offset receives a value of `column`.
    pub fn seal_param(&mut self, at: usize, column: &Arc<ProtectedColumn>, null: NullPolicy) -> Result<(), Refusal> {
        let number = self.source.placeholder_at(at);
        let rules = match (&column.logical, self.bad_value) {
            (None, _) => None,
            (Some(_), _) if self.row == COMPARED => Some(self.rules(BadValue::Refuse)),
            (Some(_), Some(bad)) => Some(self.rules(bad)),
            (Some(_), None) => return Err(why::mixed(column, "an expression")),
        };
        let bound = self.bound(column)?;
        let Some(role) = number.and_then(|n| self.params.get_mut(n)) else {
            return Err(why::not_understood("this placeholder"));
        };
        if let ParamRole::Seal(there) = role
            && (!super::value::same_column(&there.column, column) || there.form != self.form)
        {
            return Err(why::not_understood("a placeholder with two meanings"));
        }
        let (column, row, form) = (column.clone(), self.row, self.form);
        *role = ParamRole::Seal(SealParam { column, row, null, form, rules, bound });
        Ok(())
    }

    /// Marks a placeholder as met.
    pub fn see(&mut self, at: usize) -> Result<(), Refusal> {
        match self.source.placeholder_at(at).and_then(|n| self.seen.get_mut(n)) {
            Some(seen) => {
                *seen = true;
                Ok(())
            }
            None => Err(why::not_understood("this placeholder")),
        }
    }

    /// Whether values of a searchable column compare by their tags now.
    pub fn by_tags(&self, column: &ProtectedColumn, clause: &str) -> Result<bool, Refusal> {
        match self.ctx.versions.comparing(&column.scope.table) {
            Comparing::Whole => Ok(false),
            Comparing::Tags => Ok(true),
            Comparing::Unknown => Err(why::versions_unknown(column, clause)),
        }
    }

    /// The searchable column of a value whose equal values may have different stored forms now.
    pub fn mixed<'v>(&self, value: &'v Value) -> Option<&'v Arc<ProtectedColumn>> {
        let whole = |column: &ProtectedColumn| self.ctx.versions.comparing(&column.scope.table) == Comparing::Whole;
        value.sealed().filter(|column| column.searchable() && !whole(column))
    }

    /// Refuses what compares whole values of `column`, while several versions of its key are live.
    pub fn whole_only(&self, column: Option<&Arc<ProtectedColumn>>, clause: &str) -> Result<(), Refusal> {
        match column {
            Some(column) if column.searchable() && self.by_tags(column, clause)? => Err(why::rotating(column, clause)),
            _ => Ok(()),
        }
    }

    /// Refuses unless `expr` carries nothing protected.
    pub fn plain(&mut self, expr: &Expr, chain: &super::scope::Chain<'_>, clause: &str) -> Result<(), Refusal> {
        match self.expr(expr, chain)? {
            Value::Sealed(column) => Err(why::at(why::expression(&column, clause), self.expr_span(expr))),
            _ => Ok(()),
        }
    }
}

fn same_pieces(a: &[Piece], b: &[Piece]) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|(a, b)| match (a, b) {
            (Piece::Text(a), Piece::Text(b)) => a == b,
            (Piece::Seal(a), Piece::Seal(b)) => {
                super::value::same_column(&a.column, &b.column) && a.form == b.form && a.bound == b.bound
            }
            _ => false,
        })
}
