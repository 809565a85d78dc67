//! The columns that tell the row apart which a protected value is bound to (`bind:`). Pure.

use super::column::{compares_bytes, holds_wide_characters, sealed_width};
use super::verify::pads_spaces;
use super::{Column, ProtectedColumn, Table, Width};
use crate::config::{Cipher, EmptyPolicy, KmsMode, Search, TableName};
use crate::seal::Scope;
use crate::seal::types::{Integer, IntegerKind, LogicalType};

/// The column, as its values would be read were it protected: with the type that it has, so that one form stands for
/// each value. `Err`: why nothing can be bound to it.
pub(crate) fn key_column(table: &TableName, column: &Column) -> Result<ProtectedColumn, String> {
    let logical = match (column.data_type.as_str(), column.width) {
        ("tinyint", _) => integer(IntegerKind::Tiny, column),
        ("smallint", _) => integer(IntegerKind::Small, column),
        ("mediumint", _) => integer(IntegerKind::Medium, column),
        ("int", _) => integer(IntegerKind::Int, column),
        ("bigint", _) => integer(IntegerKind::Big, column),
        ("char", Width::Characters(width)) => LogicalType::Char(narrow(width)),
        // Spaces at the end count for as little as in a CHAR.
        ("varchar", Width::Characters(width)) if pads_spaces(column) => LogicalType::Char(narrow(width)),
        ("varchar", Width::Characters(width)) => LogicalType::Varchar(narrow(width)),
        ("binary", Width::Bytes(width)) => LogicalType::Binary(narrow(width)),
        ("varbinary", Width::Bytes(width)) => LogicalType::Varbinary(narrow(width)),
        _ => {
            return Err(format!("is {}; only integers, CHAR, VARCHAR, BINARY and VARBINARY are", column.column_type));
        }
    };
    if let Some(expression) = &column.generated {
        return Err(format!("is generated ({expression}), so that statements do not say what it holds"));
    }
    if column.auto_increment {
        return Err("is AUTO_INCREMENT: the server assigns it after the value was sealed".into());
    }
    if column.nullable {
        return Err("may be NULL, which tells no row apart".into());
    }
    if holds_wide_characters(column) {
        return Err("has a character set that does not hold ASCII as it is".into());
    }
    if !compares_bytes(column) {
        return Err(format!(
            "has the collation {}, under which values that differ are equal, so that a statement does not say which of \
             them the row holds; give it ascii_bin or utf8mb4_bin",
            column.collation.as_deref().unwrap_or_default()
        ));
    }
    let (physical, width) = sealed_width(column);
    Ok(ProtectedColumn {
        table: table.clone(),
        name: column.name.clone(),
        scope: Scope { table: table.to_string(), column: column.name.clone() },
        mode: KmsMode::Envelope,
        physical,
        charset: column.charset.clone().unwrap_or_else(|| "binary".into()),
        width,
        empty: EmptyPolicy::Refuse,
        pad: None,
        nullable: false,
        search: Search::None,
        cipher: Cipher::default(),
        logical: Some(logical),
        bind: Vec::new(),
    })
}

/// Whether one row at most has the same values in all of `names`, also without the key `dropped`.
pub(crate) fn tells_rows_apart(table: &Table, names: &[String], dropped: Option<&str>) -> bool {
    let bound = |part: &str| names.iter().any(|name| name.eq_ignore_ascii_case(part));
    table.indexes.iter().any(|index| {
        index.unique
            && dropped.is_none_or(|dropped| !index.name.eq_ignore_ascii_case(dropped))
            && !index.columns.is_empty()
            && index.columns.iter().all(|(part, prefix)| prefix.is_none() && bound(part))
    })
}

fn integer(kind: IntegerKind, column: &Column) -> LogicalType {
    LogicalType::Integer(Integer { kind, unsigned: column.column_type.contains("unsigned") })
}

fn narrow(width: u64) -> u32 {
    u32::try_from(width).unwrap_or(u32::MAX)
}
