//! The refusals of this room, worded in one place. What to do instead is added by the code.

use std::ops::Range;

use crate::catalog::ProtectedColumn;
use crate::config::TableName;
use crate::sql::{Refusal, RefusalCode as Code};

fn refuse(code: Code, message: String) -> Refusal {
    Refusal::new(code, message, None)
}

fn over(code: Code, clause: &str, column: &ProtectedColumn) -> Refusal {
    refuse(code, format!("{clause} over protected column {}.{}", column.table, column.name))
}

/// Attaches the offending part of the text, unless one is known already.
pub(super) fn at(mut refusal: Refusal, span: Option<Range<usize>>) -> Refusal {
    if refusal.span.is_none() {
        refusal.span = span;
    }
    refusal
}

pub(super) fn not_understood(what: &str) -> Refusal {
    refuse(Code::NotUnderstood, format!("{what} in a statement that names a protected table"))
}

/// A clause of the grammar whose effect on protected columns is not analysed.
pub(super) fn clause(what: &str) -> Refusal {
    refuse(Code::UnsupportedClause, format!("{what} in a statement that names a protected table"))
}

pub(super) fn expression(column: &ProtectedColumn, clause: &str) -> Refusal {
    over(Code::Expression, clause, column)
}

pub(super) fn comparison(column: &ProtectedColumn, clause: &str) -> Refusal {
    over(Code::Comparison, clause, column)
}

pub(super) fn compared_with(column: &ProtectedColumn, what: &str) -> Refusal {
    let message = format!("protected column {}.{} is compared with {what}", column.table, column.name);
    refuse(Code::ComparedWith, message)
}

pub(super) fn rotating(column: &ProtectedColumn, clause: &str) -> Refusal {
    over(Code::Rotating, clause, column)
}

pub(super) fn versions_unknown(column: &ProtectedColumn, clause: &str) -> Refusal {
    over(Code::VersionsUnknown, clause, column)
}

pub(super) fn compared_columns(column: &ProtectedColumn, other: &ProtectedColumn) -> Refusal {
    let what = format!("protected column {}.{}, whose values are sealed with another key", other.table, other.name);
    compared_with(column, &what)
}

pub(super) fn grouping(column: &ProtectedColumn, clause: &str) -> Refusal {
    // Neither `search` nor UNION ALL would help.
    if !column.bind.is_empty() {
        return row_not_read(column);
    }
    over(Code::Grouping, clause, column)
}

pub(super) fn ordering(column: &ProtectedColumn) -> Refusal {
    over(Code::Ordering, "ORDER BY", column)
}

pub(super) fn aggregate(column: &ProtectedColumn, function: &str) -> Refusal {
    over(Code::Aggregate, function, column)
}

pub(super) fn window(column: &ProtectedColumn) -> Refusal {
    over(Code::WindowFunction, "a window", column)
}

pub(super) fn mixed(column: &ProtectedColumn, clause: &str) -> Refusal {
    refuse(
        Code::MixedBranches,
        format!("{clause} mixes protected column {}.{} with values of other origin", column.table, column.name),
    )
}

pub(super) fn flow(column: &ProtectedColumn, target: &str) -> Refusal {
    refuse(Code::FlowToColumn, format!("protected column {}.{} would flow into {target}", column.table, column.name))
}

pub(super) fn flow_to_table(column: &ProtectedColumn, what: &str) -> Refusal {
    refuse(Code::FlowToTable, format!("{what} protected column {}.{}", column.table, column.name))
}

pub(super) fn variable(column: &ProtectedColumn) -> Refusal {
    refuse(Code::FlowToVariable, format!("protected column {}.{} is assigned to a variable", column.table, column.name))
}

pub(super) fn into() -> Refusal {
    refuse(Code::FlowToFile, "SELECT ... INTO in a statement that names a protected table".to_owned())
}

pub(super) fn assignment(column: &ProtectedColumn) -> Refusal {
    refuse(
        Code::AssignedExpression,
        format!("protected column {}.{} is given a value that is only known to the server", column.table, column.name),
    )
}

pub(super) fn literal(column: &ProtectedColumn, what: &str) -> Refusal {
    refuse(Code::LiteralKind, format!("{what} as a value of protected column {}.{}", column.table, column.name))
}

pub(super) fn invalid_string(column: &ProtectedColumn) -> Refusal {
    refuse(
        Code::InvalidString,
        format!("a value of protected column {}.{} is not valid in its character set", column.table, column.name),
    )
}

pub(super) fn raw_default(column: &ProtectedColumn, what: &str) -> Refusal {
    refuse(
        Code::RawDefault,
        format!("the server would store {what} unsealed in protected column {}.{}", column.table, column.name),
    )
}

pub(super) fn ambiguous(reference: &str, column: &ProtectedColumn) -> Refusal {
    refuse(
        Code::AmbiguousName,
        format!("column '{reference}' may or may not be protected column {}.{}", column.table, column.name),
    )
}

pub(super) fn unknown_column(reference: &str) -> Refusal {
    refuse(Code::UnknownColumn, format!("unknown column '{reference}'"))
}

pub(super) fn unknown_star(column: &ProtectedColumn) -> Refusal {
    refuse(
        Code::UnknownColumn,
        format!("the columns behind * are not all known beside protected column {}.{}", column.table, column.name),
    )
}

pub(super) fn no_schema(table: &str) -> Refusal {
    refuse(Code::UnknownSessionState, format!("table '{table}' is named without a schema and none is selected"))
}

pub(super) fn missing(table: &TableName, what: &str) -> Refusal {
    refuse(Code::MissingColumn, format!("the configuration protects {table}, and {what}"))
}

pub(super) fn view(table: &TableName, problem: &str) -> Refusal {
    refuse(Code::ViewDefinition, format!("view {table} names a protected table and {problem}"))
}

pub(super) fn view_write(table: &TableName) -> Refusal {
    refuse(Code::ViewWrite, format!("a write through view {table}, which names a protected table"))
}

pub(super) fn triggers(table: &TableName) -> Refusal {
    refuse(Code::Trigger, format!("a write to protected table {table}, which has triggers"))
}

pub(super) fn carrier(table: &TableName, reason: &str) -> Refusal {
    refuse(Code::Carrier, format!("{table} reaches a protected table: {reason}"))
}

pub(super) fn routine(routine: &str) -> Refusal {
    refuse(Code::StoredFunction, format!("function {routine} touches protected tables or cannot be read"))
}

pub(super) fn recursive(column: &ProtectedColumn) -> Refusal {
    over(Code::MixedBranches, "a recursive common table expression", column)
}

pub(super) fn unnamed_constant() -> Refusal {
    let message = "a constant beside a protected column in an expression that has no alias, so that the result column \
                   would be named after the sealed constant (write `AS name` behind it)";
    Refusal::new(Code::MixedBranches, message, None)
}

pub(super) fn row_unknown(column: &ProtectedColumn, key: &ProtectedColumn) -> Refusal {
    refuse(
        Code::RowUnknown,
        format!(
            "values of protected column {}.{} are bound to their row, and the statement does not say which {} it has",
            column.table, column.name, key.name
        ),
    )
}

/// A literal that would have to be sealed before a parameter says for which row.
pub(super) fn row_later(column: &ProtectedColumn) -> Refusal {
    refuse(
        Code::RowUnknown,
        format!(
            "a literal for protected column {}.{} is bound to a row that only a parameter tells: pass it as a \
             parameter, too",
            column.table, column.name
        ),
    )
}

pub(super) fn row_of_another(column: &ProtectedColumn) -> Refusal {
    refuse(
        Code::RowUnknown,
        format!("protected column {}.{} would get a value that may be bound to another row", column.table, column.name),
    )
}

pub(super) fn row_not_read(column: &ProtectedColumn) -> Refusal {
    let keys: Vec<&str> = column.bind.iter().map(|key| key.name.as_str()).collect();
    refuse(
        Code::RowNotRead,
        format!(
            "values of protected column {}.{} are bound to their row, and {} is not read beside them",
            column.table,
            column.name,
            keys.join(", ")
        ),
    )
}

pub(super) fn bound_column(table: &TableName, column: &str) -> Refusal {
    refuse(
        Code::BoundColumn,
        format!("an assignment to {table}.{column}, which protected values of the row are bound to"),
    )
}
