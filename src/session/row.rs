//! The row that a value of a result is bound to, read out of the columns beside it.

use std::sync::Arc;

use super::rows::RowFormat;
use crate::catalog::ProtectedColumn;
use crate::seal::Row;
use crate::seal::format::without_char_padding;
use crate::seal::types::LogicalType;
use crate::sql::charset::{decode_to_utf8, of_column};
use crate::sql::{Charset, row_value};
use crate::wire::binary::Place;
use crate::wire::execute::ParamType;
use crate::wire::number::{self, Style};

/// One of the columns that tell a result's rows apart.
pub struct KeyColumn {
    /// Its index in the result.
    pub at: usize,
    pub column: Arc<ProtectedColumn>,
    /// The type in the result's metadata.
    pub column_type: u8,
}

/// `None` if any of the values is not what its column holds: nothing is bound to such a row.
pub fn row_of(
    keys: &[KeyColumn],
    row: &[u8],
    values: &[Option<Place>],
    format: RowFormat,
    charset: Option<Charset>,
) -> Option<Row> {
    let mut parts = Vec::with_capacity(keys.len());
    for key in keys {
        let bytes = row.get(values.get(key.at)?.as_ref()?.value.clone())?;
        parts.push(value_of(key, bytes, format, charset)?);
    }
    Some(Row::of(parts.iter().map(Vec::as_slice)))
}

fn value_of(key: &KeyColumn, bytes: &[u8], format: RowFormat, charset: Option<Charset>) -> Option<Vec<u8>> {
    let value = match &key.column.logical {
        Some(LogicalType::Integer(integer)) => {
            let text = match format {
                RowFormat::Text => String::from_utf8(bytes.to_vec()).ok()?,
                RowFormat::Binary => {
                    let kind = ParamType { column_type: key.column_type, unsigned: integer.unsigned };
                    number::text_of(kind, bytes, Style::MySql).ok()??
                }
            };
            // ZEROFILL puts zeros before it.
            text.parse::<i128>().ok()?.to_string().into_bytes()
        }
        Some(LogicalType::Char(_) | LogicalType::Varchar(_)) => {
            let charset = match charset? {
                Charset::Binary => of_column(&key.column),
                charset => charset,
            };
            let text = decode_to_utf8(bytes, charset)?;
            // Where spaces at the end are equal to none, they tell no other row.
            match &key.column.logical {
                Some(LogicalType::Char(_)) => without_char_padding(&text).to_vec(),
                _ => text.into_owned(),
            }
        }
        _ => bytes.to_vec(),
    };
    row_value(&key.column, value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::testing::snapshot;
    use crate::wire::column::types;

    fn key(table: &str, name: &str, column_type: u8) -> KeyColumn {
        let catalog = snapshot();
        let mut columns = catalog.tables.values().flatten().filter(|t| t.name.table == table).flat_map(|t| &t.columns);
        let protected = columns.find_map(|c| c.protected.clone().filter(|p| !p.bind.is_empty())).unwrap();
        let column = protected.bind.iter().find(|key| key.name == name).unwrap().clone();
        KeyColumn { at: 0, column, column_type }
    }

    #[test]
    fn a_number_is_the_same_in_both_protocols() {
        let key = key("ledger", "code", types::LONG);
        let text = |bytes: &[u8]| value_of(&key, bytes, RowFormat::Text, None);
        assert_eq!(text(b"-7"), Some(b"-7".to_vec()));
        assert_eq!(text(b"0007"), Some(b"7".to_vec()));
        assert_eq!(value_of(&key, &(-7_i32).to_le_bytes(), RowFormat::Binary, None), Some(b"-7".to_vec()));
        assert_eq!(text(b"7x"), None);
        assert_eq!(value_of(&key, b"\x07", RowFormat::Binary, None), None);
    }

    #[test]
    fn a_text_key_is_ascii_without_the_spaces_that_its_collation_pads() {
        let key = key("notes", "code", types::VAR_STRING);
        let text = |bytes: &[u8], charset| value_of(&key, bytes, RowFormat::Text, charset);
        assert_eq!(text(b"ab  ", Some(Charset::Utf8mb4)), None);
        let padded = ProtectedColumn { logical: Some(LogicalType::Char(8)), ..key.column.as_ref().clone() };
        let padded = KeyColumn { column: Arc::new(padded), ..key };
        let text = |bytes: &[u8], charset| value_of(&padded, bytes, RowFormat::Text, charset);
        assert_eq!(text(b"ab  ", Some(Charset::Utf8mb4)), Some(b"ab".to_vec()));
        assert_eq!(text(b"", Some(Charset::Latin1)), Some(Vec::new()));
        assert_eq!(text("é".as_bytes(), Some(Charset::Utf8mb4)), None);
        assert_eq!(text(b"ab", Some(Charset::Other)), None);
        assert_eq!(text(b"ab", None), None);
    }
}
