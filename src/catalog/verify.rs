//! What in the schema keeps a protected column from being protected. Pure: the snapshot and the
//! configuration in, findings out; `check` prints them all, `run` refuses to start on some.

use super::bind::{key_column, tells_rows_apart};
use super::column::{compares_bytes, compares_otherwise, unfit};
use super::{Column, ColumnDefault, Physical, Snapshot, Table, TableKind};
use crate::config::{ColumnConfig, Config, KmsMode, Provider, Search, TableConfig, TableName};
use crate::seal;
use crate::seal::types::Content;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Works, but deserves a look.
    Warning,
    /// Statements will be refused, or values are not safe.
    Error,
}

/// One thing found, about a table or one of its columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    pub table: Option<TableName>,
    pub column: Option<String>,
    pub message: String,
    /// What to do about it.
    pub hint: String,
    /// `run` does not start over this.
    pub fatal: bool,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.table, &self.column) {
            (Some(table), Some(column)) => write!(f, "{table}.{column}: {}", self.message),
            (Some(table), None) => write!(f, "{table}: {}", self.message),
            _ => f.write_str(&self.message),
        }
    }
}

/// Statements that pass through the proxy get a sealed default or are refused.
const RAW_DEFAULT: &str = "statements around the proxy would store it unsealed";

/// Everything the snapshot says against the configuration, worst first within a table.
pub fn verify(snapshot: &Snapshot, config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, settings) in &config.tables {
        let table = match snapshot.table(name) {
            Some(Some(table)) => table,
            _ => {
                findings.push(finding(
                    Severity::Error,
                    name,
                    None,
                    "the server has no such table, or the control user may not see it",
                    "create it, correct its name (upper and lower case may count), or grant SELECT on it",
                ));
                continue;
            }
        };
        if table.kind != TableKind::Base {
            findings.push(finding(
                Severity::Error,
                name,
                None,
                "it is not a base table",
                "name the table beneath the view",
            ));
            continue;
        }
        if !table.triggers.is_empty() {
            let message = format!(
                "it has triggers ({}): writes to it are refused, since a trigger sees and may copy values",
                table.triggers.join(", ")
            );
            findings.push(finding(
                Severity::Error,
                name,
                None,
                message,
                "move what they do into the application, or name in allow_routines those that leave protected columns alone",
            ));
        }
        for (column_name, column) in &settings.columns {
            verify_binding(config, name, table, column_name, column, &mut findings);
        }
        for column_name in settings.columns.keys() {
            match table.column(column_name) {
                Some(column) => verify_column(config, name, table, column, &mut findings),
                None => findings.push(finding(
                    Severity::Error,
                    name,
                    Some(column_name),
                    "the table has no such column: every statement on the table is refused",
                    "add the column or correct its name",
                )),
            }
        }
    }
    findings
}

/// The findings over which `run` refuses to start.
pub fn fatal(snapshot: &Snapshot, config: &Config) -> Vec<Finding> {
    verify(snapshot, config).into_iter().filter(|finding| finding.fatal).collect()
}

fn verify_column(config: &Config, name: &TableName, table: &Table, column: &Column, findings: &mut Vec<Finding>) {
    if config.kms.provider == Provider::None {
        return;
    }
    if let Some(reason) = unfit(column) {
        let mut found = finding(
            Severity::Error,
            name,
            Some(&column.name),
            format!("it {reason}"),
            if column.generated.is_some() {
                "protect the columns that it is computed from, and take it out of the configuration"
            } else {
                "change the type of the column, or take it out of the configuration"
            },
        );
        found.fatal = true;
        findings.push(found);
        return;
    }
    let Some(protected) = &column.protected else { return };
    if let Some(logical) = &protected.logical {
        if logical.content() == Content::Characters && protected.physical == Physical::Binary {
            let mut found = finding(
                Severity::Error,
                name,
                Some(&column.name),
                format!(
                    "`type: {logical}` needs a text column: the server says no character set of {}",
                    column.column_type
                ),
                "make it a VARCHAR or TEXT, or declare a binary type",
            );
            found.fatal = true;
            findings.push(found);
            return;
        }
        if let Some(room) = room(column)
            && room < logical.longest()
        {
            let needed = match protected.mode {
                KmsMode::Envelope => seal::sealed_len(logical.longest(), protected.pad, protected.physical),
                KmsMode::Direct => seal::direct_len_estimate(logical.longest(), protected.physical),
            };
            findings.push(finding(
                Severity::Warning,
                name,
                Some(&column.name),
                format!(
                    "{room} bytes of plaintext fit, and values of `type: {logical}` have up to {}",
                    logical.longest()
                ),
                super::alter_hint(table, column, needed),
            ));
        }
    }
    if let Some(settings) = config.tables.get(name).and_then(|table| setting(table, &column.name)) {
        verify_search(config, name, column, settings, findings);
    }
    let mut add = |severity, message: String, hint: &str| {
        findings.push(finding(severity, name, Some(&column.name), message, hint));
    };
    match room(column) {
        None => {
            let needed = match protected.mode {
                KmsMode::Envelope => seal::sealed_len(1, protected.pad, protected.physical),
                KmsMode::Direct => seal::direct_len_estimate(1, protected.physical),
            };
            let hint = super::alter_hint(table, column, needed.max(255));
            add(Severity::Error, format!("{} is too narrow for any sealed value", column.column_type), &hint);
        }
        Some(room) if room < 16 => {
            let hint = super::alter_hint(table, column, 255);
            add(
                Severity::Warning,
                format!("only {room} byte{} of plaintext fit", if room == 1 { "" } else { "s" }),
                &hint,
            );
        }
        Some(_) => {}
    }
    for index in &table.indexes {
        if !index.columns.iter().any(|(part, _)| part.eq_ignore_ascii_case(&column.name)) {
            continue;
        }
        if protected.searchable() {
            // Equal values are equal in the index.
            if index.columns.iter().any(|(part, prefix)| {
                part.eq_ignore_ascii_case(&column.name) && prefix.is_some_and(|prefix| prefix < SEARCH_TAG)
            }) {
                add(
                    Severity::Warning,
                    format!(
                        "the index {} takes fewer than the first {SEARCH_TAG} characters, which tell values apart",
                        index.name
                    ),
                    "index the whole column",
                );
            }
        } else if index.name == "PRIMARY" {
            add(
                Severity::Error,
                "it is part of the PRIMARY KEY: equal values are sealed differently, so keys never match".into(),
                "use another key, or leave the column unprotected",
            );
        } else if index.unique {
            add(
                Severity::Error,
                format!(
                    "it is part of the UNIQUE key {}: equal values are sealed differently, so nothing is ever a duplicate",
                    index.name
                ),
                "drop the key, or keep uniqueness in another column",
            );
        } else {
            add(
                Severity::Warning,
                format!("the index {} cannot be used to find its values", index.name),
                "drop the index",
            );
        }
    }
    match &column.default {
        ColumnDefault::None | ColumnDefault::Null => {}
        ColumnDefault::Literal(_) => {
            add(
                Severity::Error,
                format!("it has a DEFAULT that is not NULL: {RAW_DEFAULT}"),
                &format!(
                    "ALTER TABLE {} ALTER COLUMN {} DROP DEFAULT",
                    quoted(table),
                    super::read::quote(&column.name)
                ),
            );
        }
        ColumnDefault::Expression(_) => {
            add(
                Severity::Error,
                format!("its DEFAULT is an expression that the server computes: {RAW_DEFAULT}"),
                &format!(
                    "ALTER TABLE {} ALTER COLUMN {} DROP DEFAULT",
                    quoted(table),
                    super::read::quote(&column.name)
                ),
            );
        }
    }
    for other in &table.columns {
        if other.generated.as_deref().is_some_and(|expression| names(expression, &column.name)) {
            add(
                Severity::Error,
                format!("the generated column {} is computed from it, and would be from ciphertext", other.name),
                "drop the generated column",
            );
        }
    }
    for index in &table.indexes {
        if index.columns.iter().any(|(part, _)| part.starts_with('(') && names(part, &column.name)) {
            add(
                Severity::Error,
                format!("the index {} is computed from it, and would be from ciphertext", index.name),
                "drop the index",
            );
        }
    }
    if column.data_type == "char" {
        add(Severity::Warning, "CHAR is padded in storage".into(), "VARCHAR takes only what a value needs");
    }
}

/// What keeps values from being bound to rows.
fn verify_binding(
    config: &Config,
    name: &TableName,
    table: &Table,
    column: &str,
    settings: &ColumnConfig,
    findings: &mut Vec<Finding>,
) {
    if config.kms.provider == Provider::None || settings.bind.is_empty() {
        return;
    }
    let mut add = |message: String, hint: &str| {
        let mut found = finding(Severity::Error, name, Some(column), message, hint);
        found.fatal = true;
        findings.push(found);
    };
    for bound in &settings.bind {
        match table.column(bound).map(|found| key_column(&table.name, found)) {
            Some(Ok(_)) => {}
            Some(Err(reason)) => add(
                format!("its values are to be bound to {bound}, which {reason}"),
                "bind them to a key that the application supplies, or remove `bind`",
            ),
            None => add(
                format!("its values are to be bound to {bound}, and the table has no such column"),
                "correct the name, or remove `bind`",
            ),
        }
    }
    if !tells_rows_apart(table, &settings.bind, None) {
        add(
            format!(
                "no PRIMARY or UNIQUE key consists of the columns that its values are to be bound to ({}): values could \
                 be exchanged between rows that are equal in them",
                settings.bind.join(", ")
            ),
            "name the columns of the primary key",
        );
    }
}

/// Characters of a sealed value's text form that its plaintext decides where it is searchable.
const SEARCH_TAG: u64 = 20;

fn setting<'a>(table: &'a TableConfig, column: &str) -> Option<&'a ColumnConfig> {
    table.columns.iter().find(|(name, _)| name.eq_ignore_ascii_case(column)).map(|(_, settings)| settings)
}

/// What comparing bytes changes for the application.
fn verify_search(
    config: &Config,
    name: &TableName,
    column: &Column,
    settings: &ColumnConfig,
    findings: &mut Vec<Finding>,
) {
    if config.kms.provider == Provider::None || settings.search == Search::None {
        return;
    }
    if let Some(reason) = compares_otherwise(column, settings) {
        let mut found = finding(
            Severity::Error,
            name,
            Some(&column.name),
            format!("it {reason}: 'Bob' would not find 'bob', and a space at the end would count"),
            format!(
                "if the application can live with that, add `compare: binary`; or give the column a collation that \
                 compares bytes, such as {}",
                if column.charset.as_deref() == Some("ascii") { "ascii_bin" } else { "utf8mb4_bin" }
            ),
        );
        found.fatal = true;
        findings.push(found);
        return;
    }
    if !compares_bytes(column) {
        findings.push(finding(
            Severity::Warning,
            name,
            Some(&column.name),
            format!(
                "`compare: binary` on the collation {}: 'Bob' is no longer equal to 'bob', nor 'e' to 'é'; a space at \
                 the end counts; UNIQUE, GROUP BY and joins tell such values apart, too",
                column.collation.as_deref().unwrap_or_default()
            ),
            "make sure that the application does not depend on it, or normalise values before they are written",
        ));
    } else if pads_spaces(column) {
        findings.push(finding(
            Severity::Warning,
            name,
            Some(&column.name),
            format!(
                "the collation {} takes 'a' and 'a ' for equal; the search does not",
                column.collation.as_deref().unwrap_or_default()
            ),
            "make sure that the application does not depend on spaces at the end of a value",
        ));
    }
}

/// Collations that compare as if the shorter value had spaces at its end: all but those that say otherwise.
pub(super) fn pads_spaces(column: &Column) -> bool {
    column
        .collation
        .as_deref()
        .is_some_and(|name| name != "binary" && !name.contains("0900") && !name.contains("nopad"))
}

/// The most bytes of plaintext a protected column holds; an estimate in direct mode.
pub fn room(column: &Column) -> Option<u64> {
    let protected = column.protected.as_ref()?;
    match protected.mode {
        KmsMode::Envelope => seal::max_plaintext(protected.width, protected.physical, protected.pad),
        KmsMode::Direct => seal::max_plaintext_direct(protected.width, protected.physical),
    }
}

/// Whether a stored expression mentions a column as a whole word.
pub fn names(expression: &str, column: &str) -> bool {
    let expression = expression.to_lowercase();
    let column = column.to_lowercase();
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
    if column.chars().all(plain) {
        expression.split(|c| !plain(c)).any(|word| word == column)
    } else {
        expression.contains(&column)
    }
}

fn quoted(table: &Table) -> String {
    format!("{}.{}", super::read::quote(&table.name.schema), super::read::quote(&table.name.table))
}

fn finding(
    severity: Severity,
    table: &TableName,
    column: Option<&str>,
    message: impl Into<String>,
    hint: impl Into<String>,
) -> Finding {
    Finding {
        severity,
        table: Some(table.clone()),
        column: column.map(str::to_owned),
        message: message.into(),
        hint: hint.into(),
        fatal: false,
    }
}
