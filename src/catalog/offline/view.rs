//! Views: a definition qualified with schemas as a server stores it, and the names of its columns as
//! the analyser derives them.

use std::ops::ControlFlow;

use sqlparser::ast::{ObjectName, Statement, Visit, Visitor, With};

use super::{DdlProblem, Views, snapshot};
use crate::catalog::facts::*;
use crate::config::{Config, TableName};
use crate::sql::dialect::{self, Spans};
use crate::sql::lex::{LexMode, lex, statements};
use crate::sql::live::Live;
use crate::sql::{Charset, Context, Protocol, SqlMode, dml};

/// A view as the file says it.
pub(super) struct Draft {
    /// Names of columns before AS.
    columns: Vec<String>,
    /// Behind AS.
    definition: String,
    schema: Option<String>,
    line: usize,
}

impl Draft {
    /// From token `n` behind the view's name on.
    pub fn of(live: &Live<'_>, n: usize, schema: Option<String>, line: usize) -> Self {
        let mut columns = Vec::new();
        let mut at = n;
        if live.op(n, "(") {
            at = live.closing(n);
            columns = live.list(n + 1..at.saturating_sub(1)).iter().filter_map(|c| live.name(c.start)).collect();
        }
        // WITH CHECK OPTION is no part of the query.
        let check = (at..live.len()).rev().find(|k| live.is(*k, "check") && live.is(k + 1, "option"));
        let with = check.and_then(|k| (at..k).rev().find(|k| live.is(*k, "with")));
        let from =
            live.find(at, &["as"]).and_then(|k| live.token(k + 1)).map_or(live.statement.span.end, |t| t.start());
        let to = with.and_then(|k| live.token(k)).map_or(live.statement.span.end, |t| t.start());
        let definition = String::from_utf8_lossy(live.statement.slice(from..to.max(from))).trim().to_owned();
        Self { columns, definition, schema, line }
    }
}

/// Adds the views to the facts, those first that others need.
pub(super) fn complete(config: &Config, facts: &mut Facts, views: Views, warnings: &mut Vec<DdlProblem>) {
    let mut waiting: Vec<(TableName, Draft)> = views.into_iter().collect();
    for (name, draft) in &waiting {
        facts.asked.push(name.clone());
        let definition = qualified(facts, draft);
        facts.objects.views.push(ViewRow { name: name.clone(), definition });
        facts.tables.push(TableRow { name: name.clone(), kind: "VIEW".into(), engine: None });
    }
    // A view over a view whose columns are not known yet waits for the next round.
    loop {
        let before = waiting.len();
        waiting.retain(|(name, draft)| {
            let found = columns(config, facts, name, draft);
            let done = found.is_some();
            facts.columns.extend(found.into_iter().flatten());
            !done
        });
        if waiting.is_empty() || waiting.len() == before {
            break;
        }
    }
    for (name, draft) in waiting {
        let message = format!("{name}: the columns of this view cannot be told; statements that need them are refused");
        warnings.push(DdlProblem { line: draft.line, message });
    }
}

/// `None`: not known, or not yet.
fn columns(config: &Config, facts: &Facts, name: &TableName, draft: &Draft) -> Option<Vec<ColumnRow>> {
    let view = facts.objects.views.iter().find(|view| view.name == *name)?;
    let definition = view.definition.as_ref()?;
    let catalog = snapshot(config, facts);
    let ctx = context(&catalog, draft);
    let derived = dml::names_of(definition, &ctx)?;
    if derived.is_empty() || !draft.columns.is_empty() && draft.columns.len() != derived.len() {
        return None;
    }
    let row = |(at, derived): (usize, Option<String>)| ColumnRow {
        table: name.clone(),
        // The name of an expression is the server's business: nobody refers to it unseen.
        name: draft.columns.get(at).cloned().or(derived).unwrap_or_else(|| format!("Name_exp_{}", at + 1)),
        data_type: String::new(),
        column_type: String::new(),
        characters: None,
        octets: None,
        charset: None,
        collation: None,
        nullable: true,
        default: None,
        extra: String::new(),
        generation: None,
        comment: String::new(),
    };
    Some(derived.into_iter().enumerate().map(row).collect())
}

fn context<'a>(catalog: &'a crate::catalog::Snapshot, draft: &'a Draft) -> Context<'a> {
    Context {
        catalog,
        schema: draft.schema.as_deref(),
        sql_mode: SqlMode::default(),
        character_set_client: Charset::Utf8mb4,
        character_set_connection: Charset::Utf8mb4,
        protocol: Protocol::Text,
        multi_statements: false,
        versions: crate::seal::versions::KeyVersions::NONE,
    }
}

/// The definition with a schema before each table's name. `None`: not understood, so that the view counts
/// as one whose definition cannot be seen.
fn qualified(facts: &Facts, draft: &Draft) -> Option<String> {
    let text = draft.definition.as_bytes();
    let mode = LexMode { sql_mode: SqlMode::default(), version: facts.version, charset: Charset::Utf8mb4 };
    let tokens = lex(text, mode).ok()?;
    let found = statements(text, &tokens, mode);
    let [statement] = found.as_slice() else { return None };
    let parsed = dialect::parse(statement).ok()?;
    if !matches!(parsed.statement, Statement::Query(_)) {
        return None;
    }
    let mut names = Names::default();
    let _ = parsed.statement.visit(&mut names);
    let mut at: Vec<usize> = Vec::new();
    for name in &names.relations {
        let [part] = name.0.as_slice() else { continue };
        let ident = part.as_ident()?;
        if names.ctes.iter().any(|cte| cte.eq_ignore_ascii_case(&ident.value)) {
            continue;
        }
        at.push(Spans.offset(ident.span.start)?);
    }
    at.sort_unstable();
    at.dedup();
    let Some(schema) = &draft.schema else { return at.is_empty().then(|| draft.definition.clone()) };
    let mut out = draft.definition.clone();
    for at in at.into_iter().rev() {
        if !out.is_char_boundary(at) {
            return None;
        }
        out.insert_str(at, &format!("`{}`.", schema.replace('`', "``")));
    }
    Some(out)
}

#[derive(Default)]
struct Names {
    relations: Vec<ObjectName>,
    ctes: Vec<String>,
}

impl Visitor for Names {
    type Break = ();

    fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<()> {
        self.relations.push(name.clone());
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &sqlparser::ast::Query) -> ControlFlow<()> {
        let With { cte_tables, .. } = match &query.with {
            Some(with) => with,
            None => return ControlFlow::Continue(()),
        };
        self.ctes.extend(cte_tables.iter().map(|cte| cte.alias.name.value.clone()));
        ControlFlow::Continue(())
    }
}
