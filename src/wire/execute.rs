//! COM_STMT_EXECUTE: parameters read by place, and written again with some of them replaced.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_stmt_execute.html>

use super::Malformed;
use super::binary::{Place, is_null, place};
use super::command::COM_STMT_EXECUTE;
use super::reader::{Reader, put_lenenc_bytes};

/// Type code and the unsigned flag, as the client bound them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParamType {
    pub column_type: u8,
    pub unsigned: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParamValue {
    Null,
    /// Sent before by COM_STMT_SEND_LONG_DATA: no value in the packet.
    LongData,
    Inline(Place),
}

/// A COM_STMT_EXECUTE payload (command byte included) without query attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execute {
    pub statement_id: u32,
    pub cursor_flags: u8,
    pub iterations: u32,
    /// Whether the packet itself carried the types.
    pub types_bound: bool,
    pub types: Vec<ParamType>,
    /// One a parameter; places are in the payload that was parsed.
    pub values: Vec<ParamValue>,
}

impl Execute {
    /// `remembered`: the types of the last execution that bound any. `long_data(i)`: whether parameter
    /// `i` came by COM_STMT_SEND_LONG_DATA since the last execution; then NULL does not count, as in
    /// the server. Errors: truncated, or no types known.
    pub fn parse(
        payload: &[u8],
        parameters: usize,
        remembered: &[ParamType],
        long_data: impl Fn(usize) -> bool,
    ) -> Result<Self, Malformed> {
        const WHAT: &str = "COM_STMT_EXECUTE";
        let mut reader = Reader::new(payload);
        reader.u8(WHAT)?;
        let statement_id = reader.u32(WHAT)?;
        let cursor_flags = reader.u8(WHAT)?;
        let iterations = reader.u32(WHAT)?;
        let mut execute =
            Self { statement_id, cursor_flags, iterations, types_bound: false, types: Vec::new(), values: Vec::new() };
        if parameters == 0 {
            return Ok(execute);
        }
        let nulls = reader.bytes(parameters.div_ceil(8), WHAT)?;
        execute.types_bound = reader.u8(WHAT)? == 1;
        if execute.types_bound {
            for _ in 0..parameters {
                let [column_type, flags] = reader.array(WHAT)?;
                execute.types.push(ParamType { column_type, unsigned: flags & 0x80 != 0 });
            }
        } else {
            if remembered.len() != parameters {
                return Err(Malformed("COM_STMT_EXECUTE: no parameter types were ever bound"));
            }
            execute.types = remembered.to_vec();
        }
        for (index, kind) in execute.types.iter().enumerate() {
            execute.values.push(if long_data(index) {
                ParamValue::LongData
            } else if is_null(nulls, index, 0) {
                ParamValue::Null
            } else {
                ParamValue::Inline(place(&mut reader, kind.column_type, WHAT)?)
            });
        }
        match reader.is_empty() {
            true => Ok(execute),
            false => Err(Malformed("COM_STMT_EXECUTE: bytes after the last parameter")),
        }
    }
}

/// A parameter to be written.
pub enum OutParam<'a> {
    Null,
    LongData,
    /// Bytes with their length prefix, if the type has one.
    Raw(&'a [u8]),
    /// A string that gets its length prefix here.
    String(&'a [u8]),
}

/// Writes the payload of a COM_STMT_EXECUTE that binds its types.
pub fn encode(statement_id: u32, cursor_flags: u8, iterations: u32, params: &[(ParamType, OutParam<'_>)]) -> Vec<u8> {
    let mut out = vec![COM_STMT_EXECUTE];
    out.extend_from_slice(&statement_id.to_le_bytes());
    out.push(cursor_flags);
    out.extend_from_slice(&iterations.to_le_bytes());
    if params.is_empty() {
        return out;
    }
    for chunk in params.chunks(8) {
        let bits = chunk.iter().enumerate().filter(|(_, (_, value))| matches!(value, OutParam::Null));
        out.push(bits.fold(0u8, |byte, (bit, _)| byte | 1 << bit));
    }
    out.push(1);
    for (kind, _) in params {
        out.extend_from_slice(&[kind.column_type, if kind.unsigned { 0x80 } else { 0 }]);
    }
    for (_, value) in params {
        match value {
            OutParam::Null | OutParam::LongData => {}
            OutParam::Raw(bytes) => out.extend_from_slice(bytes),
            OutParam::String(bytes) => put_lenenc_bytes(&mut out, bytes),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::column::types;

    const LONG: ParamType = ParamType { column_type: types::LONG, unsigned: false };
    const TEXT: ParamType = ParamType { column_type: types::VAR_STRING, unsigned: false };

    #[test]
    fn parameters_round_trip_and_types_are_remembered() {
        let params = [(LONG, OutParam::Raw(&[5, 0, 0, 0])), (TEXT, OutParam::String(b"abc")), (TEXT, OutParam::Null)];
        let payload = encode(9, 0, 1, &params);
        let first = Execute::parse(&payload, 3, &[], |_| false).unwrap();
        assert!(first.types_bound);
        assert_eq!(first.types, [LONG, TEXT, TEXT]);
        assert_eq!(first.values[2], ParamValue::Null);
        let ParamValue::Inline(place) = &first.values[1] else { panic!("a value") };
        assert_eq!(&payload[place.value.clone()], b"abc");

        // The same again with new_params_bound = 0.
        let mut again = payload[..11].to_vec();
        again.push(0);
        again.extend_from_slice(&payload[12 + 6..]);
        let second = Execute::parse(&again, 3, &first.types, |_| false).unwrap();
        assert_eq!(second.types, first.types);
        assert!(Execute::parse(&again, 3, &[], |_| false).is_err());
    }

    #[test]
    fn a_long_data_parameter_has_no_inline_value_even_if_its_null_bit_is_set() {
        let payload = encode(1, 0, 1, &[(TEXT, OutParam::Null), (LONG, OutParam::Raw(&[1, 0, 0, 0]))]);
        let execute = Execute::parse(&payload, 2, &[], |i| i == 0).unwrap();
        assert_eq!(execute.values[0], ParamValue::LongData);
        assert!(matches!(execute.values[1], ParamValue::Inline(_)));
    }

    #[test]
    fn every_truncation_is_an_error() {
        let payload = encode(1, 0, 1, &[(TEXT, OutParam::String(b"abc")), (LONG, OutParam::Raw(&[1, 0, 0, 0]))]);
        for end in 0..payload.len() {
            assert!(Execute::parse(&payload[..end], 2, &[], |_| false).is_err(), "cut at {end}");
        }
    }
}
