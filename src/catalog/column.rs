//! A row of `information_schema.COLUMNS` into a [`Column`], across the servers' dialects.

use super::facts::ColumnRow;
use super::{Column, ColumnDefault, Physical, ServerFlavor, Width};
use crate::config::{ColumnConfig, Search};

pub(super) fn column(flavor: ServerFlavor, row: &ColumnRow) -> Column {
    let extra = row.extra.to_ascii_uppercase();
    let generated = row.generation.clone().filter(|text| !text.is_empty());
    Column {
        name: row.name.clone(),
        data_type: row.data_type.clone(),
        column_type: row.column_type.clone(),
        charset: row.charset.clone(),
        collation: row.collation.clone(),
        width: width(row),
        nullable: row.nullable,
        default: if generated.is_some() { ColumnDefault::Null } else { default(flavor, row, &extra) },
        auto_increment: extra.contains("AUTO_INCREMENT"),
        generated,
        // MariaDB's period columns say INVISIBLE too.
        invisible: extra.contains("INVISIBLE"),
        comment: row.comment.clone(),
        protected: None,
        bound: false,
    }
}

/// What the server counts when it decides that a value is too long.
fn width(row: &ColumnRow) -> Width {
    match row.data_type.as_str() {
        "char" | "varchar" => row.characters.map_or(Width::None, Width::Characters),
        "binary" | "varbinary" => row.characters.map_or(Width::None, Width::Bytes),
        "tinytext" | "tinyblob" => Width::Bytes(255),
        "text" | "blob" => Width::Bytes(65_535),
        "mediumtext" | "mediumblob" => Width::Bytes(16_777_215),
        "longtext" | "longblob" => Width::Bytes(4_294_967_295),
        _ => Width::None,
    }
}

fn default(flavor: ServerFlavor, row: &ColumnRow, extra: &str) -> ColumnDefault {
    let Some(text) = &row.default else {
        return if row.nullable { ColumnDefault::Null } else { ColumnDefault::None };
    };
    // Bytes do not survive the text of information_schema: MySQL shows x'00ff' as `0x`, MariaDB as `'\0?'`.
    if matches!(row.data_type.as_str(), "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob") {
        return match text.as_str() {
            "NULL" if flavor == ServerFlavor::MariaDb => ColumnDefault::Null,
            "''" if flavor == ServerFlavor::MariaDb => ColumnDefault::Literal(String::new()),
            "" => ColumnDefault::Literal(String::new()),
            other => ColumnDefault::Expression(other.to_owned()),
        };
    }
    match flavor {
        ServerFlavor::MySql if extra.contains("DEFAULT_GENERATED") => ColumnDefault::Expression(text.clone()),
        ServerFlavor::MySql => ColumnDefault::Literal(text.clone()),
        ServerFlavor::MariaDb if text == "NULL" => ColumnDefault::Null,
        ServerFlavor::MariaDb => mariadb_default(text),
    }
}

/// MariaDB prints the default as SQL: a quoted literal, a number, or an expression.
fn mariadb_default(text: &str) -> ColumnDefault {
    if let Some(inner) = text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        return unquote(inner).map_or_else(|| ColumnDefault::Expression(text.to_owned()), ColumnDefault::Literal);
    }
    let number = text.strip_prefix('-').unwrap_or(text);
    if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return ColumnDefault::Literal(text.to_owned());
    }
    ColumnDefault::Expression(text.to_owned())
}

/// The content of a quoted literal as MariaDB prints it; `None` when it is more than one literal.
fn unquote(inner: &str) -> Option<String> {
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\'' => match chars.next() {
                Some('\'') => out.push('\''),
                _ => return None,
            },
            '\\' => match chars.next()? {
                '0' => out.push('\0'),
                'n' => out.push('\n'),
                'r' => out.push('\r'),
                't' => out.push('\t'),
                'b' => out.push('\u{8}'),
                'Z' => out.push('\u{1a}'),
                other => out.push(other),
            },
            other => out.push(other),
        }
    }
    Some(out)
}

/// Whether a column's stored form is text or bytes, and its width.
pub(super) fn sealed_width(column: &Column) -> (Physical, Width) {
    (if is_binary(column) { Physical::Binary } else { Physical::Text }, column.width)
}

/// Whether the column compares bytes, its end included: by a `_bin` collation that does not pad, or as a
/// binary type.
pub(super) fn compares_bytes(column: &Column) -> bool {
    is_binary(column) || column.collation.as_deref().is_none_or(|name| name.ends_with("_bin") || name == "binary")
}

/// Why a searchable column would not find what the application expects: its collation takes different
/// bytes for equal, and the configuration does not say that this is known.
pub(super) fn compares_otherwise(column: &Column, settings: &ColumnConfig) -> Option<String> {
    if settings.search == Search::None || settings.compare_binary || compares_bytes(column) {
        return None;
    }
    Some(format!(
        "is searchable but has the collation {}, under which values that differ may be equal; search: exact compares \
         bytes",
        column.collation.as_deref().unwrap_or_default()
    ))
}

fn is_binary(column: &Column) -> bool {
    matches!(column.data_type.as_str(), "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob")
}

/// Why a column can hold no sealed value: its type or its character set.
pub(super) fn unfit(column: &Column) -> Option<String> {
    if let Some(expression) = &column.generated {
        let expression = super::alter::unescape(expression);
        return Some(format!("is generated ({expression}): the server computes it, so nothing can seal it"));
    }
    match column.data_type.as_str() {
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => {}
        "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => return None,
        "binary" => {
            return Some(format!("is {}, which pads values with zero bytes; use VARBINARY", column.column_type));
        }
        _ => {
            return Some(format!(
                "is {}, which cannot hold a sealed value; use VARCHAR, TEXT, VARBINARY or BLOB",
                column.column_type
            ));
        }
    }
    holds_wide_characters(column).then(|| {
        format!(
            "has the character set {}, in which a sealed value does not keep its bytes; use ascii or utf8mb4",
            column.charset.as_deref().unwrap_or_default()
        )
    })
}

/// Whether an ASCII character is more than one byte in the column. In all other character sets it is one of the same
/// value, stored and sent alike.
pub(super) fn holds_wide_characters(column: &Column) -> bool {
    matches!(column.charset.as_deref(), Some("ucs2" | "utf16" | "utf16le" | "utf32"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TableName;

    fn row(data_type: &str, default: Option<&str>, nullable: bool, extra: &str) -> ColumnRow {
        ColumnRow {
            table: TableName::new("shop", "users"),
            name: "c".into(),
            data_type: data_type.into(),
            column_type: data_type.into(),
            characters: Some(191),
            octets: Some(764),
            charset: None,
            collation: None,
            nullable,
            default: default.map(str::to_owned),
            extra: extra.into(),
            generation: None,
            comment: String::new(),
        }
    }

    #[test]
    fn defaults_as_mariadb_prints_them() {
        let get = |data_type: &str, text, nullable| {
            column(ServerFlavor::MariaDb, &row(data_type, text, nullable, "")).default
        };
        assert_eq!(get("varchar", None, false), ColumnDefault::None);
        assert_eq!(get("varchar", Some("NULL"), true), ColumnDefault::Null);
        assert_eq!(get("varchar", Some("'NULL'"), true), ColumnDefault::Literal("NULL".into()));
        assert_eq!(get("varchar", Some("''"), false), ColumnDefault::Literal(String::new()));
        assert_eq!(get("varchar", Some("'a''b\\\\c'"), true), ColumnDefault::Literal("a'b\\c".into()));
        assert_eq!(get("int", Some("-5"), true), ColumnDefault::Literal("-5".into()));
        assert_eq!(get("char", Some("uuid()"), true), ColumnDefault::Expression("uuid()".into()));
        assert_eq!(get("varchar", Some("'a' + 'b'"), true), ColumnDefault::Expression("'a' + 'b'".into()));
        assert_eq!(get("varbinary", Some("'\\0?'"), true), ColumnDefault::Expression("'\\0?'".into()));
    }

    #[test]
    fn defaults_as_mysql_prints_them() {
        let get = |data_type: &str, text, nullable, extra| {
            column(ServerFlavor::MySql, &row(data_type, text, nullable, extra)).default
        };
        assert_eq!(get("varchar", None, false, ""), ColumnDefault::None);
        assert_eq!(get("varchar", None, true, ""), ColumnDefault::Null);
        assert_eq!(get("varchar", Some("NULL"), true, ""), ColumnDefault::Literal("NULL".into()));
        assert_eq!(get("varchar", Some("a'b\\c"), true, ""), ColumnDefault::Literal("a'b\\c".into()));
        assert_eq!(get("char", Some("uuid()"), true, "DEFAULT_GENERATED"), ColumnDefault::Expression("uuid()".into()));
        assert_eq!(get("varbinary", Some("0x"), true, ""), ColumnDefault::Expression("0x".into()));
    }

    #[test]
    fn widths_count_what_the_server_counts() {
        let get = |data_type| column(ServerFlavor::MySql, &row(data_type, None, true, "")).width;
        assert_eq!(get("varchar"), Width::Characters(191));
        assert_eq!(get("varbinary"), Width::Bytes(191));
        assert_eq!(get("text"), Width::Bytes(65_535));
        assert_eq!(get("longblob"), Width::Bytes(4_294_967_295));
        assert_eq!(get("int"), Width::None);
    }

    #[test]
    fn types_that_cannot_hold_a_sealed_value_say_why() {
        let get = |data_type| unfit(&column(ServerFlavor::MySql, &row(data_type, None, true, "")));
        assert!(get("varchar").is_none() && get("blob").is_none() && get("tinytext").is_none());
        for wrong in ["int", "date", "json", "enum", "set", "decimal", "bit", "binary", "uuid", "inet6", "geometry"] {
            assert!(get(wrong).is_some(), "{wrong}");
        }
        let mut wide = row("varchar", None, true, "");
        wide.charset = Some("utf16".into());
        assert!(unfit(&column(ServerFlavor::MySql, &wide)).is_some());
    }
}
