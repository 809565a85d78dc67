//! Opens the sealed values of rows, text or binary, and writes the rows anew.

use std::sync::Arc;

use super::error::{SessionError, sealwire_error};
use super::protect::key_error;
use super::typed;
use crate::catalog::{Physical, ProtectedColumn};
use crate::keys::Keys;
use crate::seal::Plaintext;
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
}

impl Opening {
    /// `None` if a column to be opened does not arrive as a string: the plan and the result disagree.
    pub fn new(columns: &[ResultColumn], types: &[u8], format: RowFormat) -> Option<Self> {
        let mut opened = Vec::new();
        for (index, column) in columns.iter().enumerate() {
            let Some(open) = &column.open else { continue };
            // A result that is NULL throughout may come with the NULL type.
            if !matches!(types.get(index), Some(&(types::TINY_BLOB..=types::STRING | types::VARCHAR | types::NULL))) {
                return None;
            }
            opened.push((index, open.clone()));
        }
        Some(Self { format, types: types.to_vec(), columns: opened })
    }

    /// Opens every value of `rows` (payloads) and answers with the rows to be sent, or with the ERR that
    /// the client gets in their place.
    pub async fn open(
        &self,
        keys: &Keys,
        charset: Option<Charset>,
        rows: &[impl AsRef<[u8]>],
    ) -> Result<Result<Vec<Vec<u8>>, ErrPacket>, SessionError> {
        let mut places = Vec::with_capacity(rows.len());
        let mut opened: Vec<Option<Plaintext>> = Vec::new();
        let (mut slots, mut waiting) = (Vec::new(), Vec::new());
        for row in rows {
            let row = row.as_ref();
            let values = match self.format {
                RowFormat::Text => text::row_values(row, self.types.len())?,
                RowFormat::Binary => binary::row_values(row, &self.types)?,
            };
            for (index, column) in &self.columns {
                let Some(Some(place)) = values.get(*index) else { continue };
                let stored = row.get(place.value.clone()).unwrap_or_default();
                match keys.open_now(column, stored) {
                    Some(Ok(plaintext)) => opened.push(Some(plaintext)),
                    Some(Err(error)) => return Ok(Err(key_error(&error, column))),
                    None => {
                        slots.push(opened.len());
                        waiting.push((column.clone(), stored.to_vec()));
                        opened.push(None);
                    }
                }
            }
            places.push(values);
        }
        if let Some((first, _)) = waiting.first().cloned() {
            match keys.open(waiting).await {
                Ok(plaintexts) => {
                    for (slot, plaintext) in slots.into_iter().zip(plaintexts) {
                        if let Some(place) = opened.get_mut::<usize>(slot) {
                            *place = Some(plaintext);
                        }
                    }
                }
                Err(error) => return Ok(Err(key_error(&error, &first))),
            }
        }
        let mut opened = opened.into_iter();
        let mut out = Vec::with_capacity(rows.len());
        for (row, values) in rows.iter().zip(&places) {
            match self.rewrite(row.as_ref(), values, &mut opened, charset) {
                Ok(row) => out.push(row),
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(out))
    }

    /// One row with its sealed values replaced; `Err` if one was not opened or is not of its type.
    fn rewrite(
        &self,
        row: &[u8],
        values: &[Option<Place>],
        opened: &mut impl Iterator<Item = Option<Plaintext>>,
        charset: Option<Charset>,
    ) -> Result<Vec<u8>, ErrPacket> {
        let mut out = Vec::with_capacity(row.len());
        let mut copied = 0;
        for (index, column) in &self.columns {
            let Some(place) = values.get(*index).ok_or_else(missing)? else { continue };
            let plaintext = opened.next().flatten().ok_or_else(missing)?;
            out.extend_from_slice(row.get(copied..place.whole.start).ok_or_else(missing)?);
            // Unconverted: as the column has it.
            let charset = charset.map(|charset| if charset == Charset::Binary { of_column(column) } else { charset });
            match (&column.logical, column.physical) {
                (Some(logical), _) => {
                    if typed::put(&mut out, logical, plaintext.expose(), self.format, charset).is_none() {
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
