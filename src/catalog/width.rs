//! What keeps sealed values whole: the hint that widens a column, and the guard that closes the race
//! with DDL made around the proxy.

use super::read::quote;
use super::{Column, Table, Width};
use crate::config::{KmsMode, TableName};
use crate::seal::{guard_expression, mixed_guard_expression};

pub use super::alter::alter_hint;

/// The name of a column's guard: `sealwire_<table>_<column>`, cut to MySQL's 64 characters with a
/// checksum where it is longer. CHECK constraints share one namespace a schema on MySQL.
pub fn guard_name(table: &TableName, column: &str) -> String {
    let name = format!("sealwire_{}_{}", table.table, column);
    if name.chars().count() <= 64 {
        return name;
    }
    // FNV-1a: stable across builds, which the standard hasher is not.
    let sum =
        name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let head: String = name.chars().take(47).collect();
    format!("{head}_{sum:016x}")
}

/// The statement that adds a column's guard: a CHECK that neither plaintext nor a cut value passes,
/// whatever the session's `sql_mode`. `None`: the column is not protected, or its mode is direct, whose
/// values a pattern cannot tell. `mixed`: values that an application encrypted itself pass, too.
pub fn guard_sql(table: &Table, column: &Column, mixed: bool) -> Option<String> {
    let protected = column.protected.as_ref()?;
    if protected.mode != KmsMode::Envelope || protected.width == Width::None {
        return None;
    }
    let expression = match mixed {
        true => mixed_guard_expression(&quote(&column.name), protected.physical),
        false => guard_expression(&quote(&column.name), protected.physical),
    };
    Some(format!(
        "ALTER TABLE {}.{} ADD CONSTRAINT {} CHECK ({expression})",
        quote(&table.name.schema),
        quote(&table.name.table),
        quote(&guard_name(&table.name, &column.name)),
    ))
}
