//! The `ALTER TABLE` that makes room for a sealed value and changes nothing else of the column.

use super::read::quote;
use super::{Column, ColumnDefault, Index, Physical, Table};
use crate::catalog::column::sealed_width;

/// Widths that people choose; beyond the last, TEXT or BLOB.
const WIDTHS: [u64; 7] = [64, 128, 255, 512, 1024, 2048, 4096];

/// A row's columns, TEXT and BLOB contents aside, share this many bytes on both servers.
const ROW_LIMIT: u64 = 65_535;

/// The statement that makes `column` wide enough for a stored value of `needed` characters (text) or
/// bytes (binary). Keeps NOT NULL, DEFAULT, COMMENT, character set, collation and visibility; gives
/// indexes that the new width does not fit into the column's old width as a prefix.
pub fn alter_hint(table: &Table, column: &Column, needed: u64) -> String {
    let (physical, _) = sealed_width(column);
    let wide = wider(table, column, physical, needed);
    let mut parts = vec![format!("MODIFY {} {}", quote(&column.name), definition(column, &wide))];
    let mut primary = false;
    for index in &table.indexes {
        let whole =
            |(name, prefix): &(String, Option<u64>)| prefix.is_none() && name.eq_ignore_ascii_case(&column.name);
        if !index.columns.iter().any(whole) || key_bytes(table, index, column, &wide) <= key_limit(table) {
            continue;
        }
        if index.name == "PRIMARY" {
            primary = true;
            continue;
        }
        parts.push(format!("DROP INDEX {}", quote(&index.name)));
        parts.push(prefixed(index, column));
    }
    let name = format!("{}.{}", quote(&table.name.schema), quote(&table.name.table));
    if primary {
        return format!(
            "give {name} another PRIMARY KEY than {}, which cannot hold sealed values; then ALTER TABLE {name} {}",
            quote(&column.name),
            parts.join(", ")
        );
    }
    format!("ALTER TABLE {name} {}", parts.join(", "))
}

enum Wide {
    /// VARCHAR or VARBINARY.
    Var { keyword: &'static str, width: u64, bytes: u64 },
    /// TEXT or BLOB of some size.
    Large(&'static str),
}

fn wider(table: &Table, column: &Column, physical: Physical, needed: u64) -> Wide {
    let large = |bytes: u64| {
        let sizes = match physical {
            Physical::Text => ["TEXT", "MEDIUMTEXT", "LONGTEXT"],
            Physical::Binary => ["BLOB", "MEDIUMBLOB", "LONGBLOB"],
        };
        let [small, medium, long] = sizes;
        Wide::Large(match bytes {
            0..=65_535 => small,
            65_536..=16_777_215 => medium,
            _ => long,
        })
    };
    if column.data_type.ends_with("text") || column.data_type.ends_with("blob") {
        return large(needed);
    }
    let Some(width) = WIDTHS.into_iter().find(|width| *width >= needed) else { return large(needed) };
    let (keyword, unit) = match physical {
        Physical::Text => ("VARCHAR", bytes_per_character(column.charset.as_deref())),
        Physical::Binary => ("VARBINARY", 1),
    };
    let bytes = width * unit;
    let others: u64 =
        table.columns.iter().filter(|other| other.name != column.name).map(row_bytes).fold(0, u64::saturating_add);
    if others.saturating_add(bytes).saturating_add(2) > ROW_LIMIT {
        return large(needed);
    }
    Wide::Var { keyword, width, bytes }
}

fn definition(column: &Column, wide: &Wide) -> String {
    let mut sql = match wide {
        Wide::Var { keyword, width, .. } => format!("{keyword}({width})"),
        Wide::Large(keyword) => (*keyword).to_owned(),
    };
    if let Some(charset) = &column.charset {
        sql.push_str(&format!(" CHARACTER SET {charset}"));
        if let Some(collation) = &column.collation {
            sql.push_str(&format!(" COLLATE {collation}"));
        }
    }
    sql.push_str(if column.nullable { " NULL" } else { " NOT NULL" });
    match &column.default {
        ColumnDefault::None => {}
        // TEXT and BLOB take only expressions on MySQL, where NULL is their default anyway.
        ColumnDefault::Null => {
            if let Wide::Var { .. } = wide {
                sql.push_str(" DEFAULT NULL");
            }
        }
        ColumnDefault::Literal(text) => match wide {
            Wide::Var { .. } => sql.push_str(&format!(" DEFAULT {}", literal(text))),
            Wide::Large(_) => sql.push_str(&format!(" DEFAULT ({})", literal(text))),
        },
        // The bytes do not survive information_schema, so the statement must not pretend to know them.
        ColumnDefault::Expression(text) if opaque(column, text) => sql.push_str(" /* its DEFAULT goes here */"),
        ColumnDefault::Expression(text) => sql.push_str(&format!(" DEFAULT ({})", unescape(text))),
    }
    if column.invisible {
        sql.push_str(" INVISIBLE");
    }
    if !column.comment.is_empty() {
        sql.push_str(&format!(" COMMENT {}", literal(&column.comment)));
    }
    sql
}

fn opaque(column: &Column, default: &str) -> bool {
    sealed_width(column).0 == Physical::Binary && (default.starts_with("0x") || default.starts_with('\''))
}

/// MySQL's information_schema escapes the quotes inside an expression.
pub(super) fn unescape(expression: &str) -> String {
    expression.replace("\\'", "'")
}

/// The index made again with the column's old width as prefix: it fitted before, so it fits now.
fn prefixed(index: &Index, column: &Column) -> String {
    let columns: Vec<String> = index
        .columns
        .iter()
        .map(|(name, prefix)| {
            let old = match column.width {
                super::Width::Characters(n) | super::Width::Bytes(n) if name.eq_ignore_ascii_case(&column.name) => {
                    Some(n)
                }
                _ => None,
            };
            match prefix.or(old) {
                Some(length) => format!("{}({length})", quote(name)),
                None if name.starts_with('(') => name.clone(),
                None => quote(name),
            }
        })
        .collect();
    let unique = if index.unique { "UNIQUE " } else { "" };
    format!("ADD {unique}INDEX {} ({})", quote(&index.name), columns.join(", "))
}

/// How long a key of the index gets. A TEXT or BLOB without prefix cannot be a key at all.
fn key_bytes(table: &Table, index: &Index, column: &Column, wide: &Wide) -> u64 {
    let part = |(name, prefix): &(String, Option<u64>)| {
        let Some(part) = table.column(name) else { return 0 };
        let unit = bytes_per_character(part.charset.as_deref());
        match (prefix, wide) {
            (Some(prefix), _) => prefix.saturating_mul(unit),
            (None, Wide::Var { bytes, .. }) if part.name == column.name => *bytes,
            (None, Wide::Large(_)) if part.name == column.name => u64::MAX,
            (None, _) => row_bytes(part),
        }
    };
    index.columns.iter().map(part).fold(0, u64::saturating_add)
}

fn key_limit(table: &Table) -> u64 {
    match table.engine.as_deref() {
        // 767 under the old row formats, where the server answers 1071 and changes nothing.
        Some("InnoDB") => 3072,
        _ => 1000,
    }
}

fn row_bytes(column: &Column) -> u64 {
    match (column.data_type.as_str(), column.width) {
        ("char" | "varchar", super::Width::Characters(n)) => {
            n.saturating_mul(bytes_per_character(column.charset.as_deref())).saturating_add(2)
        }
        ("binary" | "varbinary", super::Width::Bytes(n)) => n.saturating_add(2),
        (_, super::Width::Bytes(_)) => 12,
        _ => 8,
    }
}

fn bytes_per_character(charset: Option<&str>) -> u64 {
    match charset {
        None => 1,
        Some(
            "ascii" | "latin1" | "latin2" | "latin5" | "latin7" | "cp1250" | "cp1251" | "cp1256" | "cp1257" | "cp850"
            | "cp852" | "cp866" | "koi8r" | "koi8u" | "greek" | "hebrew" | "binary",
        ) => 1,
        Some("utf8" | "utf8mb3") => 3,
        Some(_) => 4,
    }
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::super::{TableKind, Width};
    use super::*;
    use crate::config::TableName;

    fn column(name: &str, data_type: &str, width: Width) -> Column {
        Column {
            name: name.into(),
            data_type: data_type.into(),
            column_type: data_type.into(),
            charset: Some("utf8mb4".into()),
            collation: Some("utf8mb4_bin".into()),
            width,
            nullable: false,
            default: ColumnDefault::Literal("it's".into()),
            auto_increment: false,
            generated: None,
            invisible: false,
            comment: "c".into(),
            protected: None,
            bound: false,
        }
    }

    fn table(columns: Vec<Column>, indexes: Vec<Index>) -> Table {
        Table {
            name: TableName::new("shop", "users"),
            kind: TableKind::Base,
            columns,
            indexes,
            triggers: Vec::new(),
            engine: Some("InnoDB".into()),
            protected: true,
            allow_ddl: false,
        }
    }

    fn index(name: &str, unique: bool, column: &str) -> Index {
        Index { name: name.into(), unique, columns: vec![(column.into(), None)] }
    }

    #[test]
    fn the_hint_keeps_what_the_column_says() {
        let email = column("email", "varchar", Width::Characters(191));
        let table = table(vec![email.clone()], Vec::new());
        assert_eq!(
            alter_hint(&table, &email, 200),
            "ALTER TABLE `shop`.`users` MODIFY `email` VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin \
             NOT NULL DEFAULT 'it''s' COMMENT 'c'"
        );
        assert!(alter_hint(&table, &email, 5000).contains(" TEXT "));
        assert!(alter_hint(&table, &email, 70_000).contains(" MEDIUMTEXT "));
    }

    #[test]
    fn an_index_that_gets_too_long_becomes_a_prefix_of_the_old_width() {
        let email = column("email", "varchar", Width::Characters(191));
        let table = table(vec![email.clone()], vec![index("u", true, "email")]);
        assert!(!alter_hint(&table, &email, 512).contains("INDEX"), "512 × 4 bytes fit into 3072");
        assert!(
            alter_hint(&table, &email, 1000).ends_with("DROP INDEX `u`, ADD UNIQUE INDEX `u` (`email`(191))"),
            "{}",
            alter_hint(&table, &email, 1000)
        );
        let mut primary = table;
        primary.indexes = vec![index("PRIMARY", true, "email")];
        assert!(alter_hint(&primary, &email, 1000).starts_with("give `shop`.`users` another PRIMARY KEY"));
    }

    #[test]
    fn a_row_that_would_get_too_long_takes_text() {
        let email = column("email", "varchar", Width::Characters(191));
        let bulky = column("bulky", "varchar", Width::Characters(16_000));
        let table = table(vec![email.clone(), bulky], Vec::new());
        assert!(alter_hint(&table, &email, 512).contains("MODIFY `email` TEXT "));
    }
}
