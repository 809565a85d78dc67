//! The `tables` section: protected tables and columns, and what their names may be.

use std::collections::BTreeMap;

use super::load::list;
use super::model::*;
use super::reader::{Keys, Reader, Section};
use super::tree::{Key, Node, Pos};
use crate::seal::types::{LogicalType, NotAType};

const TABLE: Keys = Keys { path: "tables.*", names: &["columns", "sealed_as", "allow_ddl"], later: &[] };
const COLUMN: Keys = Keys {
    path: "tables.*.columns.*",
    names: &["mode", "sealed_as", "pad", "empty", "search", "compare", "cipher", "type", "bind"],
    later: &["domain"],
};

pub(super) const SECTIONS: &[Keys] = &[TABLE, COLUMN];

/// Schemas of the server's own.
const SYSTEM_SCHEMAS: [&str; 4] = ["mysql", "information_schema", "performance_schema", "sys"];

/// MySQL's limit for identifiers, in characters.
const MAX_IDENTIFIER: usize = 64;

/// What columns are that do not say otherwise.
#[derive(Clone, Copy)]
pub(super) struct Defaults {
    pub mode: KmsMode,
    pub cipher: Cipher,
    /// Only approved algorithms may seal.
    pub approved_only: bool,
}

/// `cipher`, at the top level or of a column.
pub(super) fn cipher(r: &mut Reader<'_>, section: &Section<'_>) -> Option<Cipher> {
    r.choice(section, "cipher", &[("aes-256-gcm-siv", Cipher::GcmSiv), ("aes-256-gcm", Cipher::Gcm)])
}

pub(super) fn tables(
    r: &mut Reader<'_>,
    top: &Section<'_>,
    defaults: Defaults,
    vault: Option<&TableName>,
) -> BTreeMap<TableName, TableConfig> {
    let mut tables = BTreeMap::new();
    // None at all is a proxy that only relays; a misspelled key is refused before this.
    let Some((_, node)) = top.entry("tables") else { return tables };
    let entries = r.mapping(node, "tables", "its keys are `schema.table`");
    let mut scopes: BTreeMap<(String, String), usize> = BTreeMap::new();
    for (key, node) in entries {
        let name = table_name(r, key.pos, "table", &key.name);
        if let Some(name) = &name {
            if SYSTEM_SCHEMAS.contains(&name.schema.to_lowercase().as_str()) {
                r.problem(key.pos, format!("`{name}` belongs to the server itself"), "its columns cannot be sealed");
            }
            if vault.is_some_and(|vault| vault.to_string().eq_ignore_ascii_case(&name.to_string())) {
                r.problem(key.pos, format!("`{name}` is the key vault"), "its columns cannot be sealed");
            }
        }
        let table = table(r, key, node, defaults);
        let Some(name) = name else { continue };
        let sealed_table = table.sealed_as.as_ref().unwrap_or(&name).to_string();
        for (column, config) in &table.columns {
            let sealed_column = config.sealed_as.as_ref().unwrap_or(column).clone();
            if let Some(line) = scopes.insert((sealed_table.clone(), sealed_column.clone()), key.pos.line) {
                r.problem(
                    key.pos,
                    format!(
                        "`{name}.{column}` is sealed as `{sealed_table}.{sealed_column}`, and so is another column"
                    ),
                    format!("see line {line}; two columns never share what their values are bound to"),
                );
            }
        }
        tables.insert(name, table);
    }
    tables
}

fn table(r: &mut Reader<'_>, key: &Key, node: &Node, defaults: Defaults) -> TableConfig {
    let section = r.section(key.pos, node, TABLE);
    let sealed_as = section
        .get("sealed_as")
        .and_then(|node| r.text(node, "sealed_as").and_then(|name| table_name(r, node.pos, "sealed_as", &name)));
    let allow_ddl = r.boolean(&section, "allow_ddl", false);
    let mut columns: BTreeMap<String, ColumnConfig> = BTreeMap::new();
    let hint = "for example `columns: { email: {} }`";
    let entries = match section.get("columns") {
        Some(node) => r.mapping(node, "columns", hint),
        None => &[],
    };
    if entries.is_empty() {
        r.problem(section.key_pos("columns"), format!("`{}` names no column to protect", key.name), hint);
    }
    for (key, node) in entries {
        let config = column(r, key, node, defaults);
        if let Err(reason) = identifier(&key.name) {
            r.problem(
                key.pos,
                format!("`{}` cannot be the name of a protected column: {reason}", key.name),
                "rename the column",
            );
        } else if columns.keys().any(|other| other.eq_ignore_ascii_case(&key.name)) {
            r.problem(key.pos, format!("column `{}` is given twice", key.name), "column names do not distinguish case");
        } else {
            columns.insert(key.name.clone(), config);
        }
    }
    for (name, column) in &columns {
        let sealed = |bound: &&String| columns.keys().any(|other| other.eq_ignore_ascii_case(bound));
        if let Some(bound) = column.bind.iter().find(sealed) {
            r.problem(
                section.key_pos("columns"),
                format!("`{name}` is bound to rows by `{bound}`, which is protected itself"),
                "bind values by columns that are stored as they are, such as the primary key",
            );
        }
    }
    if columns.values().any(|column| column.search != Search::None)
        && columns.values().any(|column| column.cipher == Cipher::Gcm)
    {
        r.problem(
            section.key_pos("columns"),
            format!("`{}` has columns with `search` and others with aes-256-gcm", key.name),
            "aes-256-gcm begins key versions by itself, and searches must know of those before; use one of the two",
        );
    }
    TableConfig { columns, sealed_as, allow_ddl }
}

fn column(r: &mut Reader<'_>, key: &Key, node: &Node, defaults: Defaults) -> ColumnConfig {
    let section = r.section(key.pos, node, COLUMN);
    let mode = r.choice(&section, "mode", &[("envelope", KmsMode::Envelope), ("direct", KmsMode::Direct)]);
    let sealed_as = section.get("sealed_as").and_then(|node| {
        let name = r.text(node, "sealed_as")?;
        match identifier(&name) {
            Ok(()) => Some(name),
            Err(reason) => {
                r.problem(
                    node.pos,
                    format!("`sealed_as` cannot be the name of a column: {reason}"),
                    "write the column's earlier name",
                );
                None
            }
        }
    });
    let pad = r.integer(&section, "pad", 2..=65_535).and_then(|n| u32::try_from(n).ok());
    let direct = mode.unwrap_or(defaults.mode) == KmsMode::Direct;
    let policies = [("refuse", EmptyPolicy::Refuse), ("as_is", EmptyPolicy::AsIs)];
    let empty = r.choice(&section, "empty", &policies).unwrap_or_default();
    if section.get("empty").is_some() && !direct {
        r.problem(
            section.key_pos("empty"),
            "`empty` is for direct mode only",
            "in envelope mode the empty string is sealed like any other value; remove the key",
        );
    }
    let (search, compare_binary) = search(r, &section, direct);
    let cipher = column_cipher(r, &section, defaults, direct, search);
    let logical = section.get("type").and_then(|node| match r.text(node, "type")?.parse() {
        Ok(logical) => Some(logical),
        Err(NotAType { problem, hint }) => {
            r.problem(node.pos, format!("`type` of `{}`: {problem}", key.name), hint);
            None
        }
    });
    if let Some(logical @ (LogicalType::Float { .. } | LogicalType::Bit(_))) = &logical
        && search != Search::None
    {
        r.problem(
            section.key_pos("search"),
            format!("a `{logical}` cannot be searched: it equals none of the numbers that statements write"),
            "remove one of the two keys, or declare a DOUBLE, DECIMAL or integer",
        );
    }
    let bind = bind(r, &section, direct, search);
    ColumnConfig { mode, sealed_as, pad, empty, search, bind, compare_binary, cipher, logical }
}

/// `cipher` of a column, or what all have.
fn column_cipher(
    r: &mut Reader<'_>,
    section: &Section<'_>,
    defaults: Defaults,
    direct: bool,
    search: Search,
) -> Cipher {
    let own = cipher(r, section);
    if direct {
        if own.is_some() {
            r.problem(
                section.key_pos("cipher"),
                "`cipher` is for envelope mode only: in direct mode KMS encrypts",
                "remove the key, or give the column `mode: envelope`",
            );
        }
        return Cipher::default();
    }
    let cipher = own.unwrap_or(defaults.cipher);
    if cipher == Cipher::Gcm && search != Search::None {
        r.problem(
            section.key_pos("search"),
            "`search` needs nonces that equal values share, which aes-256-gcm must never have",
            "remove it, or give the column `cipher: aes-256-gcm-siv`, which is not an approved algorithm",
        );
    }
    if cipher == Cipher::GcmSiv && defaults.approved_only {
        r.problem(
            section.key_pos("cipher"),
            "AES-256-GCM-SIV is not an approved algorithm, and this is a FIPS build",
            "write `cipher: aes-256-gcm`, here or at the top level, or `unapproved_algorithms: allow`",
        );
    }
    cipher
}

/// `bind: [tenant_id, id]`.
fn bind(r: &mut Reader<'_>, section: &Section<'_>, direct: bool, search: Search) -> Vec<String> {
    let Some((key, node)) = section.entry("bind") else { return Vec::new() };
    let mut names: Vec<String> = Vec::new();
    for item in list(node) {
        let Some(name) = r.text(item, "bind") else { continue };
        if let Err(reason) = identifier(&name) {
            r.problem(item.pos, format!("`bind` cannot name this column: {reason}"), "rename the column");
        } else if names.iter().any(|other| other.eq_ignore_ascii_case(&name)) {
            r.problem(item.pos, format!("`bind` names column `{name}` twice"), "remove one of the two");
        } else {
            names.push(name);
        }
    }
    if list(node).is_empty() {
        r.problem(key.pos, "`bind` names no column", "for example `bind: [id]`, the table's primary key");
    }
    if direct {
        r.problem(
            key.pos,
            "`bind` is for envelope mode only: a row has no place in the encryption context of direct values",
            "remove the key, or give the column `mode: envelope`",
        );
    }
    if search != Search::None {
        r.problem(
            key.pos,
            "`bind` and `search` exclude each other: equal values of two rows would be sealed differently",
            "remove one of the two",
        );
    }
    names
}

/// `search` and `compare`, which is not read where it would say nothing.
fn search(r: &mut Reader<'_>, section: &Section<'_>, direct: bool) -> (Search, bool) {
    let search = r.choice(section, "search", &[("none", Search::None), ("exact", Search::Exact)]).unwrap_or_default();
    let compare_binary = r.choice(section, "compare", &[("binary", true)]).unwrap_or(false);
    if search == Search::None {
        if section.get("compare").is_some() {
            r.problem(
                section.key_pos("compare"),
                "`compare` says how a searchable column compares, and this one is not searchable",
                "add `search: exact`, or remove the key",
            );
        }
        return (search, compare_binary);
    }
    if direct {
        r.problem(
            section.key_pos("search"),
            "`search` is for envelope mode only: KMS seals equal values differently",
            "remove the key, or give the column `mode: envelope`",
        );
    }
    if section.get("pad").is_some() {
        r.problem(
            section.key_pos("pad"),
            "`pad` and `search` exclude each other: values sealed before `pad` was changed would not be found",
            "remove one of the two",
        );
    }
    (search, compare_binary)
}

/// `schema.table` of names that can be protected.
pub(super) fn table_name(r: &mut Reader<'_>, pos: Pos, what: &str, text: &str) -> Option<TableName> {
    let parts: Vec<&str> = text.split('.').collect();
    let [schema, table] = parts.as_slice() else {
        r.problem(
            pos,
            format!("{what} `{}` is not of the form schema.table", printable(text)),
            "write both names with one dot between them; names that hold a dot themselves cannot be protected",
        );
        return None;
    };
    for name in [schema, table] {
        if let Err(reason) = identifier(name) {
            r.problem(
                pos,
                format!("{what} `{}` cannot be used: {reason}", printable(text)),
                "rename it in the database",
            );
            return None;
        }
    }
    Some(TableName::new(*schema, *table))
}

/// Names that every reading of a statement spells alike. Others could slip past the scan for names.
fn identifier(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        Err("a name is empty")
    } else if name.chars().count() > MAX_IDENTIFIER {
        Err("a name is longer than 64 characters")
    } else if !name.is_ascii() {
        Err(
            "the server compares letters beyond ASCII by collation (É may match é), so a statement could name it unseen",
        )
    } else if name.contains('`') {
        Err("a backtick inside a name is written twice in SQL, so a statement could name it unseen")
    } else if name.bytes().any(|b| b.is_ascii_control()) {
        Err("it holds a control character")
    } else if name.contains(['.', '"', '\'', '\\', '/']) {
        Err("dots, quotes, slashes and backslashes inside a name can be read in more than one way")
    } else if name.starts_with(' ') || name.ends_with(' ') {
        Err("it starts or ends with a space")
    } else {
        Ok(())
    }
}

fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
