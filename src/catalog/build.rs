//! Facts and configuration into a [`Snapshot`]. Pure.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::bind::{key_column, tells_rows_apart};
use super::column::{column, compares_otherwise, sealed_width, unfit};
use super::facts::Facts;
use super::watch::{Watch, is_allowed_trigger};
use super::*;
use crate::config::{ColumnConfig, Config, KmsMode, Provider, TableConfig, TableName};
use crate::seal::Scope;

/// Configured tables with their protected columns and those that values are bound to, in lower case, as [`super::watch::watch`] wants them.
pub(super) fn protected_names(config: &Config) -> Vec<(TableName, HashSet<String>)> {
    config
        .tables
        .iter()
        .map(|(name, table)| {
            let bound = table.columns.values().flat_map(|settings| &settings.bind);
            (name.clone(), table.columns.keys().chain(bound).map(|column| column.to_lowercase()).collect())
        })
        .collect()
}

pub(super) fn build(config: &Config, facts: &Facts, watch: Watch, generation: u64) -> Snapshot {
    let mut snapshot = Snapshot {
        generation,
        version: facts.version,
        lower_case_table_names: facts.lower_case_table_names,
        tables: HashMap::new(),
        watched: watch.names,
        routines: watch.routines,
        protected_schemas: Vec::new(),
        missing: HashMap::new(),
    };
    let configured: HashMap<TableName, (&TableName, &TableConfig)> =
        config.tables.iter().map(|(name, table)| (snapshot.key(name), (name, table))).collect();
    for name in &facts.asked {
        let key = snapshot.key(name);
        snapshot.tables.insert(key, None);
    }
    let definitions: HashMap<&TableName, Option<&String>> =
        facts.objects.views.iter().map(|view| (&view.name, view.definition.as_ref())).collect();
    for row in &facts.tables {
        let key = snapshot.key(&row.name);
        let configured = configured.get(&key).copied();
        // MariaDB answers names that differ by case only, which are other tables where case counts.
        if !snapshot.tables.contains_key(&key) {
            continue;
        }
        let kind = match row.kind.to_ascii_uppercase().as_str() {
            "BASE TABLE" | "SYSTEM VERSIONED" => TableKind::Base,
            "VIEW" => TableKind::View { definition: definitions.get(&row.name).copied().flatten().cloned() },
            _ => TableKind::Other,
        };
        let base = kind == TableKind::Base;
        let mut table = Table {
            name: row.name.clone(),
            kind,
            columns: facts
                .columns
                .iter()
                .filter(|column| column.table == row.name)
                .map(|row| column(facts.version.flavor, row))
                .collect(),
            indexes: indexes(facts, &row.name),
            triggers: facts
                .objects
                .triggers
                .iter()
                .filter(|trigger| trigger.table == row.name && !is_allowed_trigger(&config.allow_routines, trigger))
                .map(|trigger| trigger.name.clone())
                .collect(),
            engine: row.engine.clone(),
            protected: configured.is_some(),
            allow_ddl: configured.is_some_and(|(_, table)| table.allow_ddl),
        };
        if let Some((name, wanted)) = configured {
            let missing = if base {
                protect(config, name, wanted, &mut table)
            } else {
                Some("it is not a base table; name the table beneath it".to_owned())
            };
            if let Some(missing) = missing {
                snapshot.missing.insert(key.clone(), missing);
            }
        }
        snapshot.tables.insert(key, Some(Arc::new(table)));
    }
    for key in configured.keys() {
        match snapshot.tables.get(key) {
            Some(Some(table)) => {
                if !snapshot.protected_schemas.contains(&table.name.schema) {
                    snapshot.protected_schemas.push(table.name.schema.clone());
                }
            }
            _ => {
                snapshot.missing.insert(key.clone(), "the server has no such table".to_owned());
            }
        }
    }
    for (key, (name, _)) in &configured {
        if snapshot.missing.contains_key(key)
            && !snapshot.protected_schemas.iter().any(|schema| schema.eq_ignore_ascii_case(&name.schema))
        {
            snapshot.protected_schemas.push(name.schema.clone());
        }
    }
    snapshot.protected_schemas.sort();
    snapshot
}

fn indexes(facts: &Facts, table: &TableName) -> Vec<Index> {
    let mut indexes: Vec<Index> = Vec::new();
    for part in facts.index_parts.iter().filter(|part| part.table == *table) {
        let column = (part.column.clone(), part.prefix);
        match indexes.last_mut() {
            Some(index) if index.name == part.index => index.columns.push(column),
            _ => indexes.push(Index { name: part.index.clone(), unique: part.unique, columns: vec![column] }),
        }
    }
    indexes
}

/// The columns that values of a protected column are bound to; what is wrong with them goes to `missing`.
fn bound_columns(table: &Table, settings: &ColumnConfig, missing: &mut Vec<String>) -> Vec<Arc<ProtectedColumn>> {
    let mut found = Vec::with_capacity(settings.bind.len());
    for name in &settings.bind {
        match table.column(name).map(|column| key_column(&table.name, column)) {
            Some(Ok(key)) => found.push(Arc::new(key)),
            Some(Err(reason)) => missing.push(format!("column {name}, which values are bound to, {reason}")),
            None => missing.push(format!("it has no column {name}, which values are bound to")),
        }
    }
    if !settings.bind.is_empty() && !tells_rows_apart(table, &settings.bind, None) {
        let names = settings.bind.join(", ");
        missing.push(format!("no PRIMARY or UNIQUE key consists of columns that values are bound to ({names})"));
    }
    found
}

/// Marks the protected columns; what is missing among them, if anything.
fn protect(config: &Config, name: &TableName, wanted: &TableConfig, table: &mut Table) -> Option<String> {
    let mut missing = Vec::new();
    // Before any column changes: those that values are bound to are looked up in the table as it is.
    let mut bindings = Vec::with_capacity(wanted.columns.len());
    for settings in wanted.columns.values() {
        bindings.push(if config.kms.provider == Provider::None {
            Vec::new()
        } else {
            bound_columns(table, settings, &mut missing)
        });
    }
    for ((column_name, settings), bind) in wanted.columns.iter().zip(bindings) {
        for key in &bind {
            table.columns.iter_mut().filter(|column| column.name == key.name).for_each(|column| column.bound = true);
        }
        let table_name = table.name.clone();
        let Some(column) = table.columns.iter_mut().find(|column| column.name.eq_ignore_ascii_case(column_name)) else {
            missing.push(format!("it has no column {column_name}"));
            continue;
        };
        // Under provider none values stay as they are, so any type holds them.
        let unfit = if config.kms.provider == Provider::None { None } else { unfit(column) };
        if let Some(reason) = unfit {
            missing.push(format!("column {column_name} {reason}"));
        }
        if let Some(reason) = compares_otherwise(column, settings) {
            missing.push(format!("column {column_name} {reason}"));
        }
        let (physical, width) = sealed_width(column);
        column.protected = Some(Arc::new(ProtectedColumn {
            table: table_name,
            name: column.name.clone(),
            scope: Scope {
                table: wanted.sealed_as.as_ref().unwrap_or(name).to_string(),
                column: settings.sealed_as.clone().unwrap_or_else(|| column_name.clone()),
            },
            mode: settings.mode.unwrap_or(config.kms.mode),
            physical,
            charset: column.charset.clone().unwrap_or_else(|| "binary".into()),
            width,
            empty: match settings.mode.unwrap_or(config.kms.mode) {
                KmsMode::Direct => settings.empty,
                KmsMode::Envelope => crate::config::EmptyPolicy::Refuse,
            },
            pad: settings.pad,
            nullable: column.nullable,
            search: settings.search,
            cipher: settings.cipher,
            logical: settings.logical.clone(),
            bind,
        }));
    }
    (!missing.is_empty()).then(|| missing.join("; "))
}
