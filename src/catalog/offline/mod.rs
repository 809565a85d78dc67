//! A snapshot from a file of DDL (a `mysqldump --no-data`, migrations) instead of a server. What the
//! reader does not understand of a protected table is an error; of any other table, the table is as good
//! as absent, and statements that need it are refused.

mod create;
mod script;
mod table;
mod view;

use std::collections::BTreeMap;

use super::facts::{Facts, Objects};
use super::{ServerFlavor, ServerVersion, Snapshot, build, read, watch};
use crate::config::{Config, TableName};

pub use script::{Piece, pieces};

/// A place in the file, and what is wrong there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct DdlProblem {
    pub line: usize,
    pub message: String,
}

/// A schema read from DDL.
#[derive(Debug)]
pub struct Offline {
    pub snapshot: Snapshot,
    /// Statements about tables that are not protected and were not understood.
    pub warnings: Vec<DdlProblem>,
}

/// Reads DDL. `schema`: where names without a schema are until the file says `USE`; `version`: the server
/// that the file is for, if the file does not say (`mysqldump` does).
///
/// # Errors
/// DDL of a protected table that is not understood, or a text that cannot be split into statements.
pub fn read_ddl(
    config: &Config,
    text: &[u8],
    schema: Option<&str>,
    version: Option<ServerVersion>,
) -> Result<Offline, Vec<DdlProblem>> {
    let version = version.or_else(|| version_of_dump(text)).unwrap_or(DEFAULT_VERSION);
    let mut reader = create::Reader::new(version, schema.map(str::to_owned));
    reader.read(text).map_err(|problem| vec![problem])?;
    let create::Reader { mut facts, views, broken, mut warnings, .. } = reader;
    let mut errors = Vec::new();
    for (name, problem) in broken {
        facts.forget(&name);
        if config.tables.contains_key(&name) {
            errors.push(problem);
        } else {
            warnings.push(problem);
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let names = facts.tables.iter().map(|table| table.name.clone());
    facts.asked = names.chain(config.tables.keys().cloned()).collect();
    facts.asked.sort();
    facts.asked.dedup();
    view::complete(config, &mut facts, views, &mut warnings);
    warnings.sort_by_key(|problem| problem.line);
    Ok(Offline { snapshot: snapshot(config, &facts), warnings })
}

/// Without a word of the file or of the user: the newest LTS of MySQL.
const DEFAULT_VERSION: ServerVersion = ServerVersion { flavor: ServerFlavor::MySql, number: 80_400 };

/// The line `-- Server version 10.11.6-MariaDB` at the head of a dump.
fn version_of_dump(text: &[u8]) -> Option<ServerVersion> {
    let head = String::from_utf8_lossy(text.get(..text.len().min(4096))?).into_owned();
    let line = head.lines().find_map(|line| line.strip_prefix("-- Server version"))?;
    Some(read::parse_version(line.trim()))
}

/// The version in `10.11.6-MariaDB`, `8.0.36`, `mariadb 11.8`.
pub fn parse_version(text: &str) -> Option<ServerVersion> {
    let digits = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    let mut version = read::parse_version(digits);
    if text.to_ascii_lowercase().contains("mariadb") {
        version.flavor = ServerFlavor::MariaDb;
    }
    (version.number >= 50_000).then_some(version)
}

fn snapshot(config: &Config, facts: &Facts) -> Snapshot {
    let protected = build::protected_names(config);
    build::build(config, facts, watch::watch(&protected, &config.allow_routines, &facts.objects, &facts.indirect), 1)
}

impl Facts {
    fn empty(version: ServerVersion) -> Self {
        Self {
            version,
            lower_case_table_names: 0,
            asked: Vec::new(),
            objects: Objects::default(),
            tables: Vec::new(),
            columns: Vec::new(),
            index_parts: Vec::new(),
            indirect: Vec::new(),
        }
    }

    /// The table was dropped, or is not understood.
    fn forget(&mut self, name: &TableName) {
        self.tables.retain(|row| row.name != *name);
        self.columns.retain(|row| row.table != *name);
        self.index_parts.retain(|row| row.table != *name);
        self.objects.views.retain(|row| row.name != *name);
        self.objects.triggers.retain(|row| row.table != *name);
        self.objects.foreign_keys.retain(|row| row.child != *name);
        self.indirect.retain(|row| row.name != *name);
    }
}

/// Views by name in the order of the file, and where each stands.
type Views = BTreeMap<TableName, view::Draft>;

#[cfg(test)]
mod tests;
