//! The statements of a script into facts: which of them matter, and what each says.

use std::collections::{BTreeMap, HashMap};

use super::script::{Piece, pieces};
use super::view::Draft;
use super::{DdlProblem, Views, table};
use crate::catalog::facts::*;
use crate::catalog::{ServerVersion, Snapshot};
use crate::config::TableName;
use crate::sql::lex::{LexMode, StatementText, lex};
use crate::sql::live::{Live, QualifiedName};
use crate::sql::{Charset, Context, Protocol, SqlMode, ddl};

/// Engines whose tables show the rows of others.
const INDIRECT: [&str; 5] = ["FEDERATED", "SPIDER", "CONNECT", "MRG_MYISAM", "MERGE"];

pub(super) struct Reader {
    pub facts: Facts,
    pub views: Views,
    /// Tables of which something was not understood.
    pub broken: BTreeMap<TableName, DdlProblem>,
    pub warnings: Vec<DdlProblem>,
    schema: Option<String>,
}

impl Reader {
    pub fn new(version: ServerVersion, schema: Option<String>) -> Self {
        Self {
            facts: Facts::empty(version),
            views: Views::new(),
            broken: BTreeMap::new(),
            warnings: Vec::new(),
            schema,
        }
    }

    pub fn read(&mut self, text: &[u8]) -> Result<(), DdlProblem> {
        for piece in pieces(text)? {
            self.statement(&piece)?;
        }
        Ok(())
    }

    fn statement(&mut self, piece: &Piece) -> Result<(), DdlProblem> {
        let nothing = empty(self.facts.version);
        let ctx = Context {
            catalog: &nothing,
            schema: None,
            sql_mode: SqlMode::default(),
            character_set_client: Charset::Utf8mb4,
            character_set_connection: Charset::Utf8mb4,
            protocol: Protocol::Text,
            multi_statements: false,
            versions: crate::seal::versions::KeyVersions::NONE,
        };
        let mode = LexMode::of(&ctx);
        let tokens = match lex(&piece.text, mode) {
            Ok(tokens) => tokens,
            Err(error) => return Err(DdlProblem { line: piece.line, message: error.kind.to_string() }),
        };
        let statement = StatementText { text: &piece.text, tokens: &tokens, span: 0..piece.text.len(), mode };
        let live = Live::new(&statement, &ctx);
        self.take(&live, piece);
        Ok(())
    }

    fn take(&mut self, live: &Live<'_>, piece: &Piece) {
        if live.is(0, "use") {
            self.schema = live.name(1);
        } else if live.is(0, "create") {
            self.create(live, piece);
        } else if live.is(0, "alter") && live.is(ddl::object(live, 1), "table") {
            let n = ddl::if_exists(live, ddl::object(live, 1) + 1);
            if let Some(name) = self.name(live, n, piece) {
                let next = live.qualified(n).map_or(n, |q| q.next);
                if let Err(why) = table::alter(&mut self.facts, live, next, &name, self.schema.as_deref()) {
                    self.fail(name, piece, &format!("ALTER TABLE: {why}"));
                }
            }
        } else if live.is(0, "drop") {
            self.drop(live, piece);
        } else if live.is(0, "rename") {
            for item in live.list(2..live.len()) {
                if let Some(name) = self.name(live, item.start, piece) {
                    self.fail(name, piece, "RENAME TABLE is not followed: give the DDL of the final state");
                }
            }
        }
    }

    fn create(&mut self, live: &Live<'_>, piece: &Piece) {
        let temporary = live.find(1, &["temporary"]).is_some_and(|n| n < ddl::object(live, 1));
        let mut n = ddl::object(live, 1);
        if temporary {
            return;
        }
        if live.is(n, "table") {
            let at = ddl::if_exists(live, n + 1);
            let Some(name) = self.name(live, at, piece) else { return };
            let next = live.qualified(at).map_or(at, |q| q.next);
            let known = self.facts.tables.iter().any(|row| row.name == name);
            if known && live.is(n + 1, "if") {
                return;
            }
            self.facts.forget(&name);
            self.broken.remove(&name);
            self.views.remove(&name);
            match table::create(&self.facts, live, next, &name, self.schema.as_deref()) {
                Ok(made) => {
                    if let Some(engine) = made.row.engine.clone()
                        && INDIRECT.iter().any(|e| engine.eq_ignore_ascii_case(e))
                    {
                        let create = Some(String::from_utf8_lossy(&piece.text).into_owned());
                        self.facts.indirect.push(IndirectRow { name: name.clone(), engine, create });
                    }
                    self.facts.tables.push(made.row);
                    self.facts.columns.extend(made.columns);
                    self.facts.index_parts.extend(made.index_parts);
                    self.facts.objects.foreign_keys.extend(made.foreign_keys);
                }
                Err(why) => self.fail(name, piece, &why),
            }
            return;
        }
        if live.is(n, "index") {
            let Some(on) = live.find(n, &["on"]) else { return };
            let Some(name) = self.name(live, on + 1, piece) else { return };
            let unique = live.find(1, &["unique"]).is_some_and(|k| k < n);
            let index = live.name(n + 1).unwrap_or_default();
            let open = live.qualified(on + 1).map_or(on, |q| q.next);
            match table::key_parts(live, open, &name, &index, unique) {
                Ok(parts) => self.facts.index_parts.extend(parts),
                Err(why) => self.fail(name, piece, &format!("CREATE INDEX: {why}")),
            }
            return;
        }
        if live.is(n, "view") {
            let at = ddl::if_exists(live, n + 1);
            let Some(name) = self.name(live, at, piece) else { return };
            let next = live.qualified(at).map_or(at, |q| q.next);
            self.facts.forget(&name);
            let draft = Draft::of(live, next, self.schema.clone(), piece.line);
            self.views.insert(name, draft);
            return;
        }
        let body = Some(String::from_utf8_lossy(&piece.text).into_owned());
        if live.is(n, "trigger") {
            n = ddl::if_exists(live, n + 1);
            let trigger = live.name(n).unwrap_or_default();
            let Some(on) = live.find(n, &["on"]) else { return };
            if let Some(table) = self.name(live, on + 1, piece) {
                // The table's own name must not make it lead to itself.
                let from = live.find(on, &["each"]).and_then(|k| live.token(k + 1)).map_or(0, |t| t.end());
                let body = piece.text.get(from..).map(|body| String::from_utf8_lossy(body).into_owned());
                self.facts.objects.triggers.push(TriggerRow { table, name: trigger, body });
            }
        } else if live.any(n, &["procedure", "function"]) {
            n = ddl::if_exists(live, n + 1);
            if let Some(name) = self.name(live, n, piece) {
                let row = RoutineRow { schema: name.schema, name: name.table, body };
                self.facts.objects.routines.push(row);
            }
        }
    }

    fn drop(&mut self, live: &Live<'_>, piece: &Piece) {
        let n = ddl::object(live, 1);
        if !live.any(n, &["table", "view", "tables"]) {
            return;
        }
        for item in live.list(ddl::if_exists(live, n + 1)..live.len()) {
            if let Some(name) = self.name(live, item.start, piece) {
                self.facts.forget(&name);
                self.views.remove(&name);
                self.broken.remove(&name);
            }
        }
    }

    /// The full name at token `n`.
    fn name(&mut self, live: &Live<'_>, n: usize, piece: &Piece) -> Option<TableName> {
        let found = live.qualified(n).and_then(|name| full(&name, self.schema.as_deref()));
        if found.is_none() {
            let message = match live.qualified(n) {
                Some(name) => format!("{}: no schema is known; say USE in the file, or give --schema", name.name),
                None => "a name was expected in this statement".to_owned(),
            };
            self.warnings.push(DdlProblem { line: piece.line, message });
        }
        found
    }

    fn fail(&mut self, name: TableName, piece: &Piece, why: &str) {
        let message = format!("{name}: {why}");
        self.broken.entry(name).or_insert(DdlProblem { line: piece.line, message });
    }
}

pub(super) fn full(name: &QualifiedName, schema: Option<&str>) -> Option<TableName> {
    Some(TableName::new(name.schema.as_deref().or(schema)?, name.name.as_str()))
}

/// What a statement is read against: its own text alone.
fn empty(version: ServerVersion) -> Snapshot {
    Snapshot {
        generation: 0,
        version,
        lower_case_table_names: 0,
        tables: HashMap::new(),
        watched: HashMap::new(),
        routines: HashMap::new(),
        protected_schemas: Vec::new(),
        missing: HashMap::new(),
    }
}
