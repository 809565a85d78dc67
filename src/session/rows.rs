//! Opens the sealed values of rows, text or binary, and writes the rows anew.

use std::sync::Arc;

use bytes::Bytes;

use super::error::{SessionError, sealwire_error};
use super::protect::key_error;
use super::typed;
use crate::catalog::{Physical, ProtectedColumn};
use crate::keys::{Keys, Memo, Opened};
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
    /// Index and column, ascending.
    columns: Vec<(usize, Arc<ProtectedColumn>)>,
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
            if !matches!(types.get(index), Some(&(types::TINY_BLOB..=types::STRING | types::VARCHAR | types::NULL))) {
                return None;
            }
            opened.push((index, open.clone()));
        }
        Some(Self { format, types: types.to_vec(), columns: opened, memo })
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
            for (index, column) in &self.columns {
                let Some(Some(place)) = values.get(*index) else { continue };
                stored.push((column.clone(), row.get(place.value.clone()).unwrap_or_default().to_vec()));
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
        let mut copied = 0;
        for (index, column) in &self.opening.columns {
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
        out.extend_from_slice(row.get(copied..).ok_or_else(missing)?);
        Ok(out)
    }
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
