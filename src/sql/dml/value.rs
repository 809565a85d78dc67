//! What an expression carries, as far as protected columns are concerned.

use std::sync::Arc;

use crate::catalog::ProtectedColumn;

/// The value of an expression.
#[derive(Clone)]
pub(super) enum Value {
    /// Holds nothing protected.
    Plain,
    /// The keyword `NULL`.
    Null,
    /// One literal or placeholder of the statement's text.
    Constant(Constant),
    /// One of several constants, chosen at run time (`CASE`, `IF`); `null` if NULL is among them.
    Choice { constants: Vec<Constant>, null: bool },
    /// A sealed value of this column, or NULL.
    Sealed(Arc<ProtectedColumn>),
}

/// A literal or placeholder, by where its tokens stand in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Constant {
    /// Byte offset of the literal's first token, introducer and sign not counted.
    pub at: usize,
    /// Byte offset of what stands before it and belongs to it.
    pub prefix: Option<Prefix>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prefix {
    /// `_utf8mb4`, at this offset.
    Introducer(usize),
    Plus(usize),
    Minus(usize),
}

impl Value {
    pub fn sealed(&self) -> Option<&Arc<ProtectedColumn>> {
        match self {
            Value::Sealed(column) => Some(column),
            _ => None,
        }
    }

    /// The column of a sealed value that the server cannot compare.
    pub fn unsearchable(&self) -> Option<&Arc<ProtectedColumn>> {
        self.sealed().filter(|column| !column.searchable())
    }

    /// What is left of a value once it became a column of a derived table or the result of a
    /// subquery: constants are then out of reach.
    pub fn settled(self) -> Value {
        match self {
            Value::Sealed(column) => Value::Sealed(column),
            Value::Null => Value::Null,
            _ => Value::Plain,
        }
    }
}

pub(super) fn same_column(a: &Arc<ProtectedColumn>, b: &Arc<ProtectedColumn>) -> bool {
    Arc::ptr_eq(a, b) || (a.table == b.table && a.name == b.name)
}

/// One column of a query's result.
#[derive(Clone)]
pub(super) struct Output {
    /// Alias or column name; `None` where the server makes a name up from an expression.
    pub name: Option<String>,
    pub value: Value,
    /// The outputs beside it that tell its row apart, if its column has `bind` and they do.
    pub row: Option<Vec<usize>>,
    /// The application has not asked for it.
    pub hidden: bool,
}

impl Output {
    pub fn new(name: Option<String>, value: Value) -> Self {
        Self { name, value, row: None, hidden: false }
    }
}

/// The columns of a query's result, in order.
#[derive(Clone, Default)]
pub(super) struct Outputs {
    pub columns: Vec<Output>,
    /// A `*` stands for columns that the catalog does not know: number and names are uncertain.
    pub unknown: bool,
}

impl Outputs {
    pub fn first_sealed(&self) -> Option<&Arc<ProtectedColumn>> {
        self.columns.iter().find_map(|c| c.value.sealed())
    }

    /// A column whose equal values the server does not know for equal.
    pub fn first_unsearchable(&self) -> Option<&Arc<ProtectedColumn>> {
        self.columns.iter().find_map(|c| c.value.unsearchable())
    }
}
