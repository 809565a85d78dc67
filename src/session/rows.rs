//! Opens the sealed values of rows, text or binary, and writes the rows anew.

use std::sync::Arc;

use bytes::Bytes;

use super::error::{SessionError, sealwire_error};
use super::protect::key_error;
use super::row::{KeyColumn, row_of};
use super::typed;
use crate::catalog::{Physical, ProtectedColumn};
use crate::keys::{Keys, Memo, Opened, Placed};
use crate::sql::charset::{encode_from_utf8, of_column};
use crate::sql::{Charset, RefusalCode, ResultColumn};
use crate::wire::binary::{self, Place};
use crate::wire::column::types;
use crate::wire::err::ErrPacket;
use crate::wire::reader::put_lenenc_bytes;
use crate::wire::text;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowFormat {
    Text,
    Binary,
}

/// Which columns of a result are opened.
pub struct Opening {
    format: RowFormat,
    types: Vec<u8>,
    /// Index and column, ascending, and what tells the row apart that its values are bound to.
    columns: Vec<(usize, Arc<ProtectedColumn>, Vec<KeyColumn>)>,
    /// Columns at the end that the client does not see.
    hidden: usize,
    memo: Memo,
}

/// Rows that are being opened, to be taken in their order.
pub struct OpeningRows<'a> {
    opening: &'a Opening,
    charset: Option<Charset>,
    rows: std::vec::IntoIter<(Bytes, Vec<Option<Place>>)>,
    values: Opened,
}

impl Opening {
    /// `None` if a column to be opened does not arrive as a string: the plan and the result disagree.
    pub fn new(columns: &[ResultColumn], types: &[u8], format: RowFormat, memo: Memo) -> Option<Self> {
        let mut opened = Vec::new();
        for (index, column) in columns.iter().enumerate() {
            let Some(open) = &column.open else { continue };
            // A result that is NULL throughout may come with the NULL type.
            if !types.get(index).is_some_and(|kind| types::is_string(*kind) || *kind == types::NULL) {
                return None;
            }
            let keys = open.bind.iter().zip(&column.bound).map(|(key, at)| {
                let column_type = *types.get(*at)?;
                Some(KeyColumn { at: *at, column: key.clone(), column_type })
            });
            opened.push((index, open.clone(), keys.collect::<Option<_>>()?));
        }
        let hidden = hidden(columns);
        Some(Self { format, types: types.to_vec(), columns: opened, hidden, memo })
    }

    /// Begins to open every value of `rows` (payloads).
    pub fn begin(
        &self,
        keys: &Keys,
        charset: Option<Charset>,
        rows: Vec<Bytes>,
    ) -> Result<OpeningRows<'_>, SessionError> {
        let mut placed = Vec::with_capacity(rows.len());
        let mut stored = Vec::new();
        for row in rows {
            let values = match self.format {
                RowFormat::Text => text::row_values(&row, self.types.len())?,
                RowFormat::Binary => binary::row_values(&row, &self.types)?,
            };
            for (index, column, keys) in &self.columns {
                let Some(Some(place)) = values.get(*index) else { continue };
                let value = row.get(place.value.clone()).unwrap_or_default().to_vec();
                let row = match keys.is_empty() {
                    true => None,
                    false => row_of(keys, &row, &values, self.format, charset),
                };
                stored.push(Placed { column: column.clone(), row, value });
            }
            placed.push((row, values));
        }
        Ok(OpeningRows { opening: self, charset, rows: placed.into_iter(), values: keys.open(stored, &self.memo) })
    }
}

impl OpeningRows<'_> {
    /// Whether the next row waits for KMS.
    pub fn must_wait(&self) -> bool {
        self.values.must_wait()
    }

    /// The next row with its sealed values replaced, `None` after the last; `Err`: what the client gets in its
    /// place, as a value was not opened or is not of its type.
    pub async fn next(&mut self) -> Option<Result<Vec<u8>, ErrPacket>> {
        let (row, values) = self.rows.next()?;
        Some(self.rewrite(&row, &values).await)
    }

    async fn rewrite(&mut self, row: &[u8], values: &[Option<Place>]) -> Result<Vec<u8>, ErrPacket> {
        let mut out = Vec::with_capacity(row.len());
        let shown = values.len().saturating_sub(self.opening.hidden);
        let mut copied = match (self.opening.format, self.opening.hidden) {
            (RowFormat::Binary, 1..) => binary::cut_head(&mut out, row, values.len(), shown).ok_or_else(missing)?,
            _ => 0,
        };
        for (index, column, _) in &self.opening.columns {
            let Some(place) = values.get(*index).ok_or_else(missing)? else { continue };
            let plaintext = self.values.next().await.ok_or_else(missing)?.map_err(|error| key_error(&error, column))?;
            out.extend_from_slice(row.get(copied..place.whole.start).ok_or_else(missing)?);
            // Unconverted: as the column has it.
            let charset =
                self.charset.map(|charset| if charset == Charset::Binary { of_column(column) } else { charset });
            match (&column.logical, column.physical) {
                (Some(logical), _) => {
                    if typed::put(&mut out, logical, plaintext.expose(), self.opening.format, charset).is_none() {
                        return Err(not_of_type(column));
                    }
                }
                (None, Physical::Binary) => put_lenenc_bytes(&mut out, plaintext.expose()),
                (None, Physical::Text) => {
                    let charset = charset.ok_or_else(missing)?;
                    put_lenenc_bytes(&mut out, &encode_from_utf8(plaintext.expose(), charset));
                }
            }
            copied = place.whole.end;
        }
        let end = end_of(row, values, shown, self.opening.format);
        out.extend_from_slice(row.get(copied..end).ok_or_else(missing)?);
        Ok(out)
    }
}

/// How many columns at the end the client does not see.
pub fn hidden(columns: &[ResultColumn]) -> usize {
    columns.iter().filter(|column| column.hidden).count()
}

/// Where the first `shown` values of a row end.
fn end_of(row: &[u8], values: &[Option<Place>], shown: usize, format: RowFormat) -> usize {
    let rest = values.get(shown..).unwrap_or_default();
    let nulls = rest.iter().take_while(|value| value.is_none()).count();
    // In text NULL is a byte of its own.
    let before = if format == RowFormat::Text { nulls } else { 0 };
    rest.get(nulls).and_then(Option::as_ref).map_or(row.len(), |place| place.whole.start).saturating_sub(before)
}

fn not_of_type(column: &ProtectedColumn) -> ErrPacket {
    let declared = column.logical.as_ref().map(ToString::to_string).unwrap_or_default();
    sealwire_error(
        RefusalCode::NotOfType,
        format!("a value of {}.{} is not of the declared type {declared}", column.table, column.name),
    )
}

fn missing() -> ErrPacket {
    sealwire_error(
        RefusalCode::UnknownSessionState,
        "a value could not be opened: the session's character set is not known",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_ends_before_the_columns_that_nobody_asked_for() {
        let text = |row: &[u8], columns, shown| {
            let values = text::row_values(row, columns).unwrap();
            end_of(row, &values, shown, RowFormat::Text)
        };
        assert_eq!(text(b"\x02ab\x017\x018", 3, 1), 3);
        assert_eq!(text(b"\x02ab\xFB\xFB", 3, 1), 3);
        assert_eq!(text(b"\x02ab\xFB\x018", 3, 1), 3);
        assert_eq!(text(b"\xFB\x017", 2, 1), 1);
        assert_eq!(text(b"\x02ab\x017", 2, 2), 5);
        let types = [types::VAR_STRING, types::TINY, types::TINY];
        let binary = |row: &[u8]| {
            let values = binary::row_values(row, &types).unwrap();
            end_of(row, &values, 1, RowFormat::Binary)
        };
        assert_eq!(binary(&[0, 0, 1, b'a', 7, 8]), 4);
        assert_eq!(binary(&[0, 0b1000, 1, b'a', 8]), 4);
        assert_eq!(binary(&[0, 0b1_1000, 1, b'a']), 4);
    }
}
