//! Parameters of a prepared statement: from what the client binds to plaintexts, and from their sealed forms to
//! what the server is sent.

use std::collections::HashMap;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::error::{refused, sealwire_error};
use super::prepared::{LongData, Protected};
use super::typed;
use crate::catalog::{Physical, ProtectedColumn};
use crate::keys::Placed;
use crate::seal::types::{Input, Integer, LogicalType, find, fit};
use crate::seal::{Plaintext, Row};
use crate::sql::charset::{decode_to_utf8, of_column, to_connection};
use crate::sql::misfit::misfit;
use crate::sql::{
    COMPARED, Charset, EXACT_IN_A_DOUBLE, NullPolicy, ParamRole, RefusalCode, RowPart, SealParam, row_value,
};
use crate::wire::column::types;
use crate::wire::err::ErrPacket;
use crate::wire::execute::{Execute, OutParam, ParamType, ParamValue};
use crate::wire::number;

/// A parameter's index, the row that the server would name in an error about it, and what it gives to its column.
pub(super) type Bound = (usize, (u32, Placed<Plaintext>));

/// The placeholders that tell rows apart, by their indexes.
pub(super) type RowKeys = HashMap<usize, RowKey>;

pub(super) struct RowKey {
    column: Arc<ProtectedColumn>,
    /// In the one form of its type; `None`: NULL.
    value: Option<Vec<u8>>,
}

impl RowKey {
    /// What is sent in place of what the client bound, always by the same type; `None`: that itself.
    fn param(&self, bound: &ParamValue) -> Option<(ParamType, OutParam<'static>)> {
        match (&self.column.logical, &self.value, bound) {
            (Some(LogicalType::Integer(integer)), value, _) => {
                let kind = ParamType { column_type: types::LONGLONG, unsigned: integer.unsigned };
                let Some(value) = value else { return Some((kind, OutParam::Null)) };
                let number: i128 = std::str::from_utf8(value).ok()?.parse().ok()?;
                // What it holds was checked against its type's range.
                #[allow(clippy::cast_possible_truncation, reason = "the low 64 bits are the number, signed or not")]
                Some((kind, OutParam::LongLong(number as i64)))
            }
            (_, None, _) => Some((ParamType { column_type: types::VAR_STRING, unsigned: false }, OutParam::Null)),
            _ => None,
        }
    }
}

impl Protected {
    /// The plaintext of every parameter that must be sealed, and what tells apart the rows that they are bound to.
    pub(super) fn plaintexts(&self, payload: &[u8], execute: &Execute) -> Result<(Vec<Bound>, RowKeys), ErrPacket> {
        let keys = self.keys(payload, execute)?;
        let mut out = Vec::new();
        for (index, role) in self.params.iter().enumerate() {
            let ParamRole::Seal(param) = role else { continue };
            let Some(value) = self.plaintext(index, param, payload, execute)? else { continue };
            let row = row_of(param, &keys)?;
            out.push((index, (param.row, Placed { column: param.column.clone(), row, value })));
        }
        Ok((out, keys))
    }

    /// The plaintext of one parameter; `None` where NULL is to stay NULL.
    fn plaintext(
        &self,
        index: usize,
        param: &SealParam,
        payload: &[u8],
        execute: &Execute,
    ) -> Result<Option<Plaintext>, ErrPacket> {
        Ok(Some(match (execute.values.get(index), execute.types.get(index)) {
            (Some(ParamValue::Null), _) | (None, _) | (_, None) => match param.null {
                NullPolicy::Keep => return Ok(None),
                NullPolicy::SealEmpty => param.column.implicit_default(),
            },
            (Some(ParamValue::LongData), Some(kind)) => match self.long_data.get(&index) {
                Some(LongData::Held(held)) => {
                    let value = self.string(param, *kind, held.expose())?;
                    self.fitted(param, string_input(param, value)?)?
                }
                _ => return Err(unsupported(param, "long data that was not held")),
            },
            (Some(ParamValue::Inline(place)), Some(kind)) => {
                let bytes = payload.get(place.value.clone()).unwrap_or_default();
                match self.typed_input(param, *kind, bytes)? {
                    Some(input) => self.fitted(param, input)?,
                    None => match number::text_of(*kind, bytes, self.style) {
                        // The server would compare numbers or times, and '007' would equal 7.
                        Ok(Some(_)) if param.row == COMPARED => return Err(compared_with_number(param)),
                        Ok(Some(text)) => Plaintext::new(text.into_bytes()),
                        Ok(None) => self.string(param, *kind, bytes)?,
                        Err(_) => return Err(unsupported(param, "a value that is not of its type")),
                    },
                }
            }
        }))
    }

    /// What the placeholders hold that tell rows apart. Each must say for certain which row that is, also beside a
    /// NULL that is bound to none: MySQL goes on reading a placeholder by the type that it had before.
    fn keys(&self, payload: &[u8], execute: &Execute) -> Result<RowKeys, ErrPacket> {
        let mut keys = HashMap::new();
        for param in self.params.iter().filter_map(ParamRole::sealed) {
            for part in &param.bound {
                let RowPart::Param(index, key) = part else { continue };
                let value = match execute.values.get(*index) {
                    Some(ParamValue::Null) | None => None,
                    Some(_) => {
                        let value = self.key_value(*index, key, payload, execute);
                        Some(value.ok_or_else(|| row_unknown(&param.column, &key.column))?)
                    }
                };
                keys.insert(*index, RowKey { column: key.column.clone(), value });
            }
        }
        Ok(keys)
    }

    /// `None`: the server may read it for another value, or for more than one.
    fn key_value(&self, index: usize, key: &SealParam, payload: &[u8], execute: &Execute) -> Option<Vec<u8>> {
        let kind = *execute.types.get(index)?;
        let value = match &key.column.logical {
            Some(LogicalType::Integer(integer)) => match self.whole_double(index, *integer, key, payload, execute) {
                Some(number) => number.to_string().into_bytes(),
                None => self.plaintext(index, key, payload, execute).ok()??.expose().to_vec(),
            },
            // A text is compared with a number or a date as a number or a date: '7' and '07' both equal 7.
            _ if !types::is_string(kind.column_type) => return None,
            _ => self.plaintext(index, key, payload, execute).ok()??.expose().to_vec(),
        };
        row_value(&key.column, value)
    }

    /// An integer that the client binds as a DOUBLE, as those in JavaScript do.
    fn whole_double(
        &self,
        index: usize,
        integer: Integer,
        key: &SealParam,
        payload: &[u8],
        execute: &Execute,
    ) -> Option<i128> {
        let Some(ParamValue::Inline(place)) = execute.values.get(index) else { return None };
        let bytes = payload.get(place.value.clone())?;
        let Ok(Some(Input::Double(number))) = self.typed_input(key, *execute.types.get(index)?, bytes) else {
            return None;
        };
        // What has no exponent is printed digit by digit.
        integer.parse(&format!("{number}")).filter(|number| number.abs() <= EXACT_IN_A_DOUBLE)
    }

    /// A value bound to a column with a declared type; `None` without one.
    fn typed_input(&self, param: &SealParam, kind: ParamType, bytes: &[u8]) -> Result<Option<Input>, ErrPacket> {
        let Some(logical) = &param.column.logical else { return Ok(None) };
        match typed::input(logical, kind, bytes, self.style) {
            Ok(Some(input)) => Ok(Some(input)),
            Ok(None) => string_input(param, self.string(param, kind, bytes)?).map(Some),
            Err(_) => Err(unsupported(param, "a value that is not of its type")),
        }
    }

    /// What `input` leaves in the column under its declared type.
    fn fitted(&self, param: &SealParam, input: Input) -> Result<Plaintext, ErrPacket> {
        match (&param.column.logical, param.rules, input) {
            (Some(logical), Some(rules), input) if param.row == COMPARED => match find(logical, &input, rules) {
                Some(plain) => Ok(Plaintext::new(plain.to_vec())),
                None => Err(sealwire_error(
                    RefusalCode::ComparedWith,
                    format!(
                        "a value that is not written as {logical} writes it is bound to a placeholder that protected \
                         column {}.{} is compared with",
                        param.column.table, param.column.name
                    ),
                )),
            },
            (Some(logical), Some(rules), input) => match fit(logical, &input, rules) {
                Ok(plain) => Ok(Plaintext::new(plain.to_vec())),
                Err(problem) => Err(refused(&misfit(&param.column, problem, param.row))),
            },
            (_, _, Input::Bytes(bytes)) => Ok(Plaintext::new(bytes.to_vec())),
            (_, _, Input::Text(text)) => Ok(Plaintext::new(text.as_bytes().to_vec())),
            _ => Err(unsupported(param, "a value without rules of conversion")),
        }
    }

    /// The plaintext of a string parameter: UTF-8 for text columns, the bytes for binary ones.
    fn string(&self, param: &SealParam, kind: ParamType, bytes: &[u8]) -> Result<Plaintext, ErrPacket> {
        let (client, connection) = (self.known.character_set_client, self.known.character_set_connection);
        // The server takes the BLOB types as binary strings, whatever the session's character set.
        let binary = matches!(kind.column_type, types::TINY_BLOB..=types::BLOB);
        if matches!(kind.column_type, types::BIT | types::GEOMETRY) {
            return Err(unsupported(param, "a BIT or GEOMETRY value"));
        }
        let (charset, converted) = match binary {
            true => (Charset::Binary, Some(bytes.into())),
            false => (connection, to_connection(bytes, client, connection)),
        };
        let value = converted.and_then(|converted| match (param.column.content(), charset) {
            (Physical::Binary, _) => Some(converted.into_owned()),
            // A binary string is taken for one in the column's character set.
            (Physical::Text, Charset::Binary) => owned(decode_to_utf8(&converted, of_column(&param.column))),
            (Physical::Text, charset) => owned(decode_to_utf8(&converted, charset)),
        });
        value.map(Plaintext::new).ok_or_else(|| {
            ErrPacket::new(
                1366,
                b"HY000",
                format!(
                    "Incorrect string value for column '{}'{} (sealwire SW-1806: not valid in the session's character \
                     set)",
                    param.column.name,
                    at_row(param)
                ),
            )
        })
    }

    /// What is sent to the server: sealed strings where values were sealed, the client's bytes elsewhere.
    pub(super) fn out_params<'a>(
        &self,
        payload: &'a [u8],
        execute: &Execute,
        sealed: &'a HashMap<usize, Vec<u8>>,
        keys: &'a RowKeys,
    ) -> Vec<(ParamType, OutParam<'a>)> {
        let mut out = Vec::with_capacity(execute.types.len());
        for (index, (kind, value)) in execute.types.iter().zip(&execute.values).enumerate() {
            let role = self.params.get(index);
            if let Some(number) = keys.get(&index).and_then(|key| key.param(value)) {
                out.push(number);
                continue;
            }
            out.push(match (role, value) {
                (Some(ParamRole::Seal(param)), _) => {
                    let column_type = match param.column.physical {
                        Physical::Text => types::VAR_STRING,
                        Physical::Binary => types::BLOB,
                    };
                    let value = sealed.get(&index).map_or(OutParam::Null, |stored| OutParam::String(stored));
                    (ParamType { column_type, unsigned: false }, value)
                }
                (_, ParamValue::Null) => (*kind, OutParam::Null),
                (_, ParamValue::LongData) => (*kind, OutParam::LongData),
                (_, ParamValue::Inline(place)) => {
                    (*kind, OutParam::Raw(payload.get(place.whole.clone()).unwrap_or_default()))
                }
            });
        }
        out
    }
}

/// A string parameter: UTF-8 unless the column keeps bytes.
fn string_input(param: &SealParam, value: Plaintext) -> Result<Input, ErrPacket> {
    match param.column.content() {
        Physical::Binary => Ok(Input::Bytes(Zeroizing::new(value.expose().to_vec()))),
        Physical::Text => match std::str::from_utf8(value.expose()) {
            Ok(text) => Ok(Input::Text(Zeroizing::new(text.to_owned()))),
            Err(_) => Err(unsupported(param, "a string that is not valid")),
        },
    }
}

/// The row that a value of `param` is bound to, where its column has `bind`.
fn row_of(param: &SealParam, keys: &RowKeys) -> Result<Option<Row>, ErrPacket> {
    let mut values = Vec::with_capacity(param.bound.len());
    for part in &param.bound {
        values.push(match part {
            RowPart::Known(value) => value.as_slice(),
            RowPart::Param(index, key) => {
                let known = keys.get(index).and_then(|key| key.value.as_deref());
                known.ok_or_else(|| row_unknown(&param.column, &key.column))?
            }
        });
    }
    Ok((!values.is_empty()).then(|| Row::of(values)))
}

fn row_unknown(column: &ProtectedColumn, key: &ProtectedColumn) -> ErrPacket {
    sealwire_error(
        RefusalCode::RowUnknown,
        format!(
            "values of protected column {}.{} are bound to their row, and the parameter for {} is NULL or not written as \
             the column stores it",
            column.table, column.name, key.name
        ),
    )
}

fn owned(text: Option<std::borrow::Cow<'_, [u8]>>) -> Option<Vec<u8>> {
    text.map(std::borrow::Cow::into_owned)
}

fn unsupported(param: &SealParam, what: &str) -> ErrPacket {
    sealwire_error(
        RefusalCode::ParameterType,
        format!(
            "{what} is bound to the protected column {}.{}{}",
            param.column.table,
            param.column.name,
            at_row(param)
        ),
    )
}

fn at_row(param: &SealParam) -> String {
    if param.row == COMPARED { String::new() } else { format!(" at row {}", param.row) }
}

fn compared_with_number(param: &SealParam) -> ErrPacket {
    let (table, column) = (&param.column.table, &param.column.name);
    sealwire_error(
        RefusalCode::ComparedWith,
        format!("a number or time is bound to a placeholder that protected column {table}.{column} is compared with"),
    )
}
