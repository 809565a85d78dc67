//! Assignments: a value on its way into a column, and what the server would store there by itself.

use std::sync::Arc;

use sqlparser::ast::{Expr, Function, FunctionArguments};

use super::planner::Planner;
use super::scope::Chain;
use super::value::{Value, same_column};
use super::why;
use crate::catalog::{Column, ColumnDefault, ProtectedColumn, ServerFlavor, Table};
use crate::seal::Plaintext;
use crate::sql::{NullPolicy, Refusal};

/// How the statement treats values that a column does not take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Strictness {
    /// IGNORE.
    pub ignore: bool,
    /// STRICT_TRANS_TABLES or STRICT_ALL_TABLES.
    pub strict: bool,
    /// Strict mode holds for every row: STRICT_ALL_TABLES, or a transactional table.
    pub every_row: bool,
    /// An INSERT of one row: the server refuses NULL for NOT NULL whatever the mode.
    pub single_row: bool,
    /// A constant may arrive in a row after the first one written.
    pub any_row: bool,
    /// An UPDATE.
    pub update: bool,
    /// The row of an INSERT: a column that is read there holds its default.
    pub new_row: bool,
}

impl Strictness {
    pub fn of(ctx: &crate::sql::Context<'_>, table: &Table, ignore: bool, single_row: bool) -> Self {
        let transactional = table.engine.as_deref().is_some_and(|e| e.eq_ignore_ascii_case("innodb"));
        let mode = ctx.sql_mode;
        Strictness {
            ignore,
            strict: mode.strict_all_tables || mode.strict_trans_tables,
            every_row: mode.strict_all_tables || (mode.strict_trans_tables && transactional),
            single_row,
            any_row: false,
            update: false,
            new_row: false,
        }
    }

    /// NULL given to a NOT NULL column becomes `''` instead of an error.
    pub fn coerces_null(self, row: u32) -> bool {
        if self.ignore {
            return true;
        }
        if self.single_row {
            return false;
        }
        if !self.strict {
            return true;
        }
        !self.every_row && (row > 1 || self.any_row)
    }

    /// A NOT NULL column without a default that gets no value becomes `''` instead of an error.
    fn coerces_omission(self, row: u32) -> bool {
        self.ignore || !self.strict || (!self.every_row && (row > 1 || self.any_row))
    }
}

/// What must be put where the server would put a column's default.
pub(super) enum Implicit {
    /// NULL, or an error of the server's own.
    Nothing,
    Seal(Plaintext),
}

impl Planner<'_> {
    /// What stands in for the default of `column` in the current row.
    pub(super) fn implicit(
        &self,
        column: &Column,
        protected: &Arc<ProtectedColumn>,
        strictness: Strictness,
    ) -> Result<Implicit, Refusal> {
        // MariaDB answers 1364 to `UPDATE … SET col = DEFAULT` in every mode, MySQL coerces.
        let refused = strictness.update && self.ctx.catalog.version.flavor == ServerFlavor::MariaDb;
        match &column.default {
            ColumnDefault::Null if column.nullable => Ok(Implicit::Nothing),
            ColumnDefault::None | ColumnDefault::Null if refused => Ok(Implicit::Nothing),
            ColumnDefault::None | ColumnDefault::Null if strictness.coerces_omission(self.row) => {
                Ok(Implicit::Seal(protected.implicit_default()))
            }
            ColumnDefault::None | ColumnDefault::Null => Ok(Implicit::Nothing),
            ColumnDefault::Literal(text) => Ok(Implicit::Seal(self.default_value(protected, text)?)),
            ColumnDefault::Expression(_) => Err(why::raw_default(protected, "its default expression")),
        }
    }

    /// The value that `expr` gives to `column`, whatever column that is.
    pub(super) fn assign(
        &mut self,
        column: &Column,
        expr: &Expr,
        chain: &Chain<'_>,
        strictness: Strictness,
    ) -> Result<(), Refusal> {
        let Some(protected) = &column.protected else {
            if default_keyword(expr).is_some() || self.default_function(expr) {
                return Ok(());
            }
            return match self.expr(expr, chain)? {
                Value::Sealed(source) => {
                    let refusal = why::flow(&source, &format!("column {}", column.name));
                    Err(why::at(refusal, self.expr_span(expr)))
                }
                _ => Ok(()),
            };
        };
        let protected = protected.clone();
        if let Some(ident) = default_keyword(expr) {
            let Some(span) = self.span(ident.span) else {
                return Err(why::assignment(&protected));
            };
            return match self.implicit(column, &protected, strictness)? {
                Implicit::Nothing => Ok(()),
                Implicit::Seal(value) => {
                    let piece = self.sealed(&protected, value)?;
                    self.edit(span, vec![piece]);
                    Ok(())
                }
            };
        }
        if self.default_function(expr) {
            return match &column.default {
                ColumnDefault::Null if column.nullable => Ok(()),
                _ => Err(why::at(why::raw_default(&protected, "its default"), self.expr_span(expr))),
            };
        }
        let coerces = !column.nullable && strictness.coerces_null(self.row);
        // What differs from row to row may be NULL in a later row only.
        let varying = Strictness { any_row: strictness.any_row || strictness.update, ..strictness };
        let coerces_later = !column.nullable && varying.coerces_null(self.row);
        let null = if coerces { NullPolicy::SealEmpty } else { NullPolicy::Keep };
        match self.expr(expr, chain)? {
            Value::Null => match (null, self.null_span(expr)) {
                (NullPolicy::Keep, _) => Ok(()),
                (NullPolicy::SealEmpty, Some(span)) => {
                    let piece = self.sealed(&protected, protected.implicit_default())?;
                    self.edit(span, vec![piece]);
                    Ok(())
                }
                (NullPolicy::SealEmpty, None) => Err(why::raw_default(&protected, "''")),
            },
            Value::Constant(constant) => {
                self.bad_value = Some(strictness.bad_value(self.row));
                let outcome = self.seal_constant(constant, &protected, null);
                self.bad_value = None;
                outcome
            }
            Value::Choice { constants, null: may_be_null } => {
                if may_be_null && coerces_later {
                    return Err(why::raw_default(&protected, "'' for NULL"));
                }
                // The server makes one type of all branches before it converts to the column's.
                if protected.logical.is_some() {
                    return Err(why::mixed(&protected, "an expression"));
                }
                constants.into_iter().try_for_each(|c| self.seal_constant(c, &protected, null))
            }
            Value::Sealed(source) if same_column(&source, &protected) => {
                if strictness.new_row && !(column.nullable && column.default == ColumnDefault::Null) {
                    return Err(why::at(why::raw_default(&protected, "its default"), self.expr_span(expr)));
                }
                if !protected.bind.is_empty() && !strictness.new_row && !self.is_of_own_row(expr, chain, &protected) {
                    return Err(why::at(why::row_of_another(&protected), self.expr_span(expr)));
                }
                // NULL out of an outer join or a CASE without ELSE would be stored as a raw ''.
                if coerces_later && !self.is_own_value(expr, chain) {
                    return Err(why::at(why::raw_default(&protected, "'' for NULL"), self.expr_span(expr)));
                }
                Ok(())
            }
            Value::Sealed(source) => {
                let refusal = why::flow(&source, &format!("protected column {}.{}", protected.table, protected.name));
                Err(why::at(refusal, self.expr_span(expr)))
            }
            Value::Plain => Err(why::at(why::assignment(&protected), self.expr_span(expr))),
        }
    }

    /// `col`, `VALUES(col)` or `new.col` of the row that is written: not NULL if the column is not.
    fn is_own_value(&self, expr: &Expr, chain: &Chain<'_>) -> bool {
        let relations = &chain.scope.relations;
        let of_target = |r: &std::rc::Rc<super::scope::Relation>| {
            let target = self.insert_target.as_ref().and_then(|t| t.table.as_ref());
            target.zip(r.table.as_ref()).is_some_and(|(a, b)| Arc::ptr_eq(a, b))
        };
        match expr {
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => {
                relations.len() == 1 || (relations.len() == 2 && relations.iter().all(of_target))
            }
            _ => is_values(expr),
        }
    }

    /// Whether a value of `column` stands in the row that it is assigned to, or in the one that would have been.
    fn is_of_own_row(&self, expr: &Expr, chain: &Chain<'_>, column: &ProtectedColumn) -> bool {
        let name = matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
        let Some(inserted) = &self.insert_target else { return name && chain.scope.relations.len() == 1 };
        let in_the_way = inserted.table.as_ref().is_some_and(|table| Self::only_own_row(table, column));
        match name {
            true => chain.scope.relations.len() == 1 || (in_the_way && self.gives_rows),
            false => is_values(expr) && in_the_way,
        }
    }

    fn null_span(&self, expr: &Expr) -> Option<std::ops::Range<usize>> {
        match expr {
            Expr::Nested(inner) => self.null_span(inner),
            Expr::Value(value) => self.span(value.span),
            _ => None,
        }
    }

    /// `DEFAULT(col)`. `VALUES ROW` and others do not know it.
    fn default_function(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Nested(inner) => self.default_function(inner),
            Expr::Function(Function { name, args: FunctionArguments::List(list), over: None, .. }) => {
                let is_default = matches!(name.0.as_slice(), [part] if part.as_ident().is_some_and(|i| {
                    i.quote_style.is_none() && i.value.eq_ignore_ascii_case("DEFAULT")
                }));
                is_default
                    && list.args.len() == 1
                    && !matches!(expr_arg(list), Some(Expr::Function(_) | Expr::Subquery(_)))
            }
            _ => false,
        }
    }
}

pub(super) fn expr_arg(list: &sqlparser::ast::FunctionArgumentList) -> Option<&Expr> {
    use sqlparser::ast::{FunctionArg, FunctionArgExpr};
    match list.args.first() {
        Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))) => Some(expr),
        _ => None,
    }
}

pub(super) fn is_values(expr: &Expr) -> bool {
    matches!(expr, Expr::Function(f) if matches!(f.name.0.as_slice(), [part] if part.as_ident().is_some_and(|i| {
        i.value.eq_ignore_ascii_case("VALUES") || i.value.eq_ignore_ascii_case("VALUE")
    })))
}

/// The keyword `DEFAULT` in the place of a value.
pub(super) fn default_keyword(expr: &Expr) -> Option<&sqlparser::ast::Ident> {
    match expr {
        Expr::Identifier(ident) if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("DEFAULT") => {
            Some(ident)
        }
        _ => None,
    }
}
