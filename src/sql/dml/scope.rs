//! The names that an expression may use, and what each of them stands for: the tables of a FROM
//! clause, the columns they make visible, and the enclosing queries.

use std::rc::Rc;
use std::sync::Arc;

use super::value::{Output, Value, same_column};
use super::why;
use crate::catalog::{ProtectedColumn, Table};
use crate::sql::Refusal;

/// One table, view, derived table or common table expression of a FROM clause.
pub(super) struct Relation {
    /// The alias, or the table's name.
    pub name: String,
    /// The schema that a qualified reference may give. Empty for what has none.
    pub schema: String,
    pub columns: Vec<RelationColumn>,
    /// The base table behind it, where it is one.
    pub table: Option<Arc<Table>>,
    /// A view whose definition was analysed.
    pub view: bool,
    /// Has columns that are not known: tables that the catalog does not have, names made up by the server.
    pub open: bool,
}

#[derive(Clone)]
pub(super) struct RelationColumn {
    /// `None` where the server makes the name up.
    pub name: Option<String>,
    pub value: Value,
    pub invisible: bool,
}

/// What a FROM clause offers.
#[derive(Clone, Default)]
pub(super) struct Scope {
    pub relations: Vec<Rc<Relation>>,
    /// The columns that an unqualified name finds, in the order of `*`; those joined by `USING`
    /// or `NATURAL` once.
    pub visible: Vec<Visible>,
    /// The order of `visible` is not certain: after RIGHT JOIN the servers differ in it.
    pub unordered: bool,
}

#[derive(Clone)]
pub(super) struct Visible {
    pub relation: usize,
    pub column: RelationColumn,
}

/// A scope and the scopes around it.
#[derive(Clone, Copy)]
pub(super) struct Chain<'c> {
    pub scope: &'c Scope,
    /// The select list, where its aliases may be used.
    pub aliases: &'c [Output],
    pub outer: Option<&'c Chain<'c>>,
}

impl Relation {
    pub fn sealed(&self) -> Option<&Arc<ProtectedColumn>> {
        self.columns.iter().find_map(|c| c.value.sealed())
    }

    fn hides_sealed(&self) -> bool {
        self.columns.iter().any(|c| c.name.is_none() && c.value.sealed().is_some())
    }
}

impl Scope {
    pub fn of(relation: Relation) -> Scope {
        let visible = relation.columns.iter().map(|c| Visible { relation: 0, column: c.clone() }).collect();
        Scope { relations: vec![Rc::new(relation)], visible, unordered: false }
    }

    /// The tables of both, as a comma or a join without common columns puts them together.
    pub fn append(&mut self, other: Scope) {
        let shift = self.relations.len();
        self.unordered |= other.unordered;
        self.relations.extend(other.relations);
        self.visible.extend(other.visible.into_iter().map(|v| Visible { relation: v.relation + shift, ..v }));
    }

    pub fn sealed(&self) -> Option<&Arc<ProtectedColumn>> {
        self.relations.iter().find_map(|r| r.sealed())
    }

    pub fn open(&self) -> bool {
        self.relations.iter().any(|r| r.open)
    }
}

impl<'c> Chain<'c> {
    pub fn new(scope: &'c Scope, outer: Option<&'c Chain<'c>>) -> Self {
        Chain { scope, aliases: &[], outer }
    }

    pub fn with_aliases(scope: &'c Scope, aliases: &'c [Output], outer: Option<&'c Chain<'c>>) -> Self {
        Chain { scope, aliases, outer }
    }

    fn levels(&'c self) -> impl Iterator<Item = &'c Chain<'c>> {
        std::iter::successors(Some(self), |c| c.outer)
    }

    /// A protected column is in reach.
    pub fn protects(&self) -> bool {
        self.levels().any(|c| c.scope.sealed().is_some() || c.aliases.iter().any(|a| a.value.sealed().is_some()))
    }

    /// The value of `name`, searched from the inside out. Where the server's choice is not certain
    /// and something protected is among the candidates, a refusal.
    pub fn resolve(&'c self, name: &str) -> Result<Value, Refusal> {
        let mut uncertain = false;
        for level in self.levels() {
            let mut found: Vec<&Value> = Vec::new();
            let in_tables =
                level.scope.visible.iter().filter(|v| v.column.name.as_deref().is_some_and(|n| same_name(n, name)));
            found.extend(in_tables.map(|v| &v.column.value));
            let ambiguous = found.len() > 1;
            let in_aliases = level.aliases.iter().filter(|a| a.name.as_deref().is_some_and(|n| same_name(n, name)));
            found.extend(in_aliases.map(|a| &a.value));
            if let Some(first) = found.first() {
                let Some(column) = found.iter().find_map(|v| v.sealed()) else {
                    return Ok(first_plain(first));
                };
                let same = found.iter().all(|v| v.sealed().is_some_and(|c| same_column(c, column)));
                if ambiguous || uncertain || !same {
                    return Err(why::ambiguous(name, column));
                }
                return Ok(Value::Sealed(column.clone()));
            }
            if level.scope.open() {
                if let Some(column) = level.scope.relations.iter().filter(|r| r.hides_sealed()).find_map(|r| r.sealed())
                {
                    return Err(why::ambiguous(name, column));
                }
                uncertain = true;
            }
        }
        if uncertain || !self.protects() { Ok(Value::Plain) } else { Err(why::unknown_column(name)) }
    }

    /// The value of `relation.name` or `schema.relation.name`.
    pub fn resolve_qualified(
        &'c self,
        schema: Option<&str>,
        relation: &str,
        name: &str,
        fold: bool,
    ) -> Result<Value, Refusal> {
        for level in self.levels() {
            let mut matched = false;
            let mut found: Vec<&Value> = Vec::new();
            let mut open = false;
            for r in level.scope.relations.iter().filter(|r| names_relation(r, schema, relation, fold)) {
                matched = true;
                let before = found.len();
                found.extend(
                    r.columns
                        .iter()
                        .filter(|c| c.name.as_deref().is_some_and(|n| same_name(n, name)))
                        .map(|c| &c.value),
                );
                if found.len() == before && r.open {
                    if r.hides_sealed()
                        && let Some(column) = r.sealed()
                    {
                        return Err(why::ambiguous(name, column));
                    }
                    open = true;
                }
            }
            if !matched {
                continue;
            }
            match (found.as_slice(), open) {
                ([], true) => return Ok(Value::Plain),
                ([], false) if self.protects() => return Err(why::unknown_column(name)),
                ([], false) => return Ok(Value::Plain),
                ([one], _) => return Ok((*one).clone().settled()),
                (several, _) => {
                    return match several.iter().find_map(|v| v.sealed()) {
                        Some(column) => Err(why::ambiguous(name, column)),
                        None => Ok(Value::Plain),
                    };
                }
            }
        }
        if self.protects() { Err(why::unknown_column(&format!("{relation}.{name}"))) } else { Ok(Value::Plain) }
    }
}

fn first_plain(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        _ => Value::Plain,
    }
}

/// Whether `relation` is meant by this qualifier. `fold`: the server does not distinguish case.
pub(super) fn names_relation(relation: &Relation, schema: Option<&str>, name: &str, fold: bool) -> bool {
    let eq = |a: &str, b: &str| if fold { a.to_lowercase() == b.to_lowercase() } else { a == b };
    eq(&relation.name, name) && schema.is_none_or(|s| eq(&relation.schema, s))
}

/// Column names and aliases never distinguish case.
pub(super) fn same_name(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b) || (!a.is_ascii() && a.to_lowercase() == b.to_lowercase())
}
