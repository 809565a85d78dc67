//! COM_STMT_EXECUTE: parameters read by place, and written again with some of them replaced.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_stmt_execute.html>

use std::ops::Range;

use super::Malformed;
use super::binary::{Layout, Place, is_null, layout, place};
use super::column::types;
use super::command::COM_STMT_EXECUTE;
use super::reader::{Reader, put_lenenc, put_lenenc_bytes};

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

/// With CLIENT_QUERY_ATTRIBUTES, set where the count of parameters is sent although the statement has none.
const PARAMETER_COUNT_AVAILABLE: u8 = 0x08;

/// The longest date or time that the protocol has.
const LONGEST_TEMPORAL: u8 = 12;

/// Reads past a bound value. Types whose length the servers do not agree on are errors: MariaDB reads
/// nothing for a YEAR, an INT24 or a BIT, MySQL refuses them in statements and reads a length-encoded string
/// in query attributes.
pub fn parameter(reader: &mut Reader<'_>, column_type: u8, what: &'static str) -> Result<Place, Malformed> {
    let known = match column_type {
        types::YEAR | types::INT24 | types::BIT | types::NEWDATE | types::BOOL | types::NULL => false,
        _ => layout(column_type).is_some(),
    };
    if !known {
        return Err(Malformed("a parameter of a type that servers do not take"));
    }
    if layout(column_type) == Some(Layout::Short)
        && reader.remaining().first().is_some_and(|length| *length > LONGEST_TEMPORAL)
    {
        return Err(Malformed(what));
    }
    place(reader, column_type, what)
}

/// A COM_STMT_EXECUTE payload (command byte included).
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
    /// With CLIENT_QUERY_ATTRIBUTES.
    pub attributes: Option<Attributes>,
}

/// What CLIENT_QUERY_ATTRIBUTES adds to the packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Names of the parameters, mostly empty, with their length prefixes; none where no types were bound.
    names: Vec<Range<usize>>,
    /// The query attributes, which follow the parameters.
    extra: Vec<Attribute>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Attribute {
    kind: [u8; 2],
    name: Range<usize>,
    /// `None` for NULL.
    value: Option<Range<usize>>,
}

impl Execute {
    /// Whether the rows are left to COM_STMT_FETCH.
    pub fn opens_cursor(&self) -> bool {
        self.cursor_flags & !PARAMETER_COUNT_AVAILABLE != 0
    }

    /// `remembered`: the types of the last execution that bound any. `long_data(i)`: whether parameter
    /// `i` came by COM_STMT_SEND_LONG_DATA since the last execution; then NULL does not count, as in
    /// the server. Errors: truncated, or no types known.
    pub fn parse(
        payload: &[u8],
        parameters: usize,
        remembered: &[ParamType],
        query_attributes: bool,
        long_data: impl Fn(usize) -> bool,
    ) -> Result<Self, Malformed> {
        const WHAT: &str = "COM_STMT_EXECUTE";
        let mut reader = Reader::new(payload);
        reader.u8(WHAT)?;
        let mut execute = Self {
            statement_id: reader.u32(WHAT)?,
            cursor_flags: reader.u8(WHAT)?,
            iterations: reader.u32(WHAT)?,
            types_bound: false,
            types: Vec::new(),
            values: Vec::new(),
            attributes: query_attributes.then(Attributes::default),
        };
        let counted = query_attributes && execute.cursor_flags & PARAMETER_COUNT_AVAILABLE != 0;
        let supplied = match query_attributes && (parameters > 0 || counted) {
            true => usize::try_from(reader.lenenc(WHAT)?).map_err(|_| Malformed(WHAT))?,
            false => parameters,
        };
        if supplied < parameters {
            return Err(Malformed("COM_STMT_EXECUTE: fewer parameters than the statement has"));
        }
        if supplied > 0 {
            let nulls = reader.bytes(supplied.div_ceil(8), WHAT)?;
            execute.types_bound = reader.u8(WHAT)? == 1;
            execute.parse_types(&mut reader, parameters, supplied)?;
            if !execute.types_bound {
                if remembered.len() != parameters || supplied != parameters {
                    return Err(Malformed("COM_STMT_EXECUTE: no parameter types were ever bound"));
                }
                execute.types = remembered.to_vec();
            }
            execute.parse_values(&mut reader, nulls, long_data)?;
        }
        // Servers do not look behind a statement without parameters, and some clients (MariaDB Connector/Node.js)
        // always send new_params_bound there. What is not read is not sent on where the packet is written anew.
        match reader.is_empty() || supplied == 0 {
            true => Ok(execute),
            false => Err(Malformed("COM_STMT_EXECUTE: bytes after the last parameter")),
        }
    }

    fn parse_types(&mut self, reader: &mut Reader<'_>, parameters: usize, supplied: usize) -> Result<(), Malformed> {
        const WHAT: &str = "COM_STMT_EXECUTE: parameter types";
        for index in 0..if self.types_bound { supplied } else { 0 } {
            let kind: [u8; 2] = reader.array(WHAT)?;
            let mut name = reader.position()..reader.position();
            if self.attributes.is_some() {
                reader.lenenc_bytes(WHAT)?;
                name.end = reader.position();
            }
            let [column_type, flags] = kind;
            match &mut self.attributes {
                Some(attributes) if index >= parameters => attributes.extra.push(Attribute { kind, name, value: None }),
                attributes => {
                    self.types.push(ParamType { column_type, unsigned: flags & 0x80 != 0 });
                    if let Some(attributes) = attributes {
                        attributes.names.push(name);
                    }
                }
            }
        }
        Ok(())
    }

    fn parse_values(
        &mut self,
        reader: &mut Reader<'_>,
        nulls: &[u8],
        long_data: impl Fn(usize) -> bool,
    ) -> Result<(), Malformed> {
        const WHAT: &str = "COM_STMT_EXECUTE: parameter values";
        for (index, kind) in self.types.iter().enumerate() {
            self.values.push(if long_data(index) {
                ParamValue::LongData
            } else if is_null(nulls, index, 0) {
                ParamValue::Null
            } else {
                ParamValue::Inline(parameter(reader, kind.column_type, WHAT)?)
            });
        }
        let extra = self.attributes.iter_mut().flat_map(|attributes| &mut attributes.extra);
        for (index, attribute) in extra.enumerate() {
            if !is_null(nulls, self.types.len() + index, 0) {
                let [column_type, _] = attribute.kind;
                attribute.value = Some(parameter(reader, column_type, WHAT)?.whole);
            }
        }
        Ok(())
    }

    /// Writes the payload of a COM_STMT_EXECUTE that binds its types, with `params` in place of the
    /// parameters of `payload`, from which this was parsed; query attributes stay as they are.
    pub fn encode(&self, payload: &[u8], params: &[(ParamType, OutParam<'_>)]) -> Vec<u8> {
        let mut out = vec![COM_STMT_EXECUTE];
        out.extend_from_slice(&self.statement_id.to_le_bytes());
        out.push(self.cursor_flags);
        out.extend_from_slice(&self.iterations.to_le_bytes());
        let none = Attributes::default();
        let attributes = self.attributes.as_ref().unwrap_or(&none);
        let supplied = params.len() + attributes.extra.len();
        if self.attributes.is_some() && (!params.is_empty() || self.cursor_flags & PARAMETER_COUNT_AVAILABLE != 0) {
            put_lenenc(&mut out, supplied as u64);
        }
        if supplied == 0 {
            return out;
        }
        let nulls: Vec<bool> = params
            .iter()
            .map(|(_, value)| matches!(value, OutParam::Null))
            .chain(attributes.extra.iter().map(|attribute| attribute.value.is_none()))
            .collect();
        for chunk in nulls.chunks(8) {
            out.push(chunk.iter().enumerate().fold(0u8, |byte, (bit, null)| byte | u8::from(*null) << bit));
        }
        out.push(1);
        for (index, (kind, _)) in params.iter().enumerate() {
            out.extend_from_slice(&[kind.column_type, if kind.unsigned { 0x80 } else { 0 }]);
            if self.attributes.is_some() {
                let name = attributes.names.get(index).and_then(|name| payload.get(name.clone()));
                // Without a name: its length, 0.
                out.extend_from_slice(name.unwrap_or(&[0]));
            }
        }
        for attribute in &attributes.extra {
            out.extend_from_slice(&attribute.kind);
            out.extend_from_slice(payload.get(attribute.name.clone()).unwrap_or(&[0]));
        }
        for (_, value) in params {
            match value {
                OutParam::Null | OutParam::LongData => {}
                OutParam::Raw(bytes) => out.extend_from_slice(bytes),
                OutParam::String(bytes) => put_lenenc_bytes(&mut out, bytes),
                OutParam::LongLong(number) => out.extend_from_slice(&number.to_le_bytes()),
            }
        }
        for value in attributes.extra.iter().filter_map(|attribute| attribute.value.clone()) {
            out.extend_from_slice(payload.get(value).unwrap_or_default());
        }
        out
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
    /// Of a LONGLONG, signed or not: its 64 bits.
    LongLong(i64),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::column::types;

    const LONG: ParamType = ParamType { column_type: types::LONG, unsigned: false };
    const TEXT: ParamType = ParamType { column_type: types::VAR_STRING, unsigned: false };

    /// A packet made from nothing, for statement `id`.
    fn encode(id: u32, params: &[(ParamType, OutParam<'_>)]) -> Vec<u8> {
        let mut head = vec![COM_STMT_EXECUTE];
        head.extend_from_slice(&id.to_le_bytes());
        head.extend_from_slice(&[0, 1, 0, 0, 0]);
        Execute::parse(&head, 0, &[], false, |_| false).unwrap().encode(&head, params)
    }

    #[test]
    fn parameters_round_trip_and_types_are_remembered() {
        let params = [(LONG, OutParam::Raw(&[5, 0, 0, 0])), (TEXT, OutParam::String(b"abc")), (TEXT, OutParam::Null)];
        let payload = encode(9, &params);
        let first = Execute::parse(&payload, 3, &[], false, |_| false).unwrap();
        assert!(first.types_bound);
        assert_eq!(first.types, [LONG, TEXT, TEXT]);
        assert_eq!(first.values[2], ParamValue::Null);
        let ParamValue::Inline(place) = &first.values[1] else { panic!("a value") };
        assert_eq!(&payload[place.value.clone()], b"abc");

        // The same again with new_params_bound = 0.
        let mut again = payload[..11].to_vec();
        again.push(0);
        again.extend_from_slice(&payload[12 + 6..]);
        let second = Execute::parse(&again, 3, &first.types, false, |_| false).unwrap();
        assert_eq!(second.types, first.types);
        assert!(Execute::parse(&again, 3, &[], false, |_| false).is_err());
    }

    #[test]
    fn a_long_data_parameter_has_no_inline_value_even_if_its_null_bit_is_set() {
        let payload = encode(1, &[(TEXT, OutParam::Null), (LONG, OutParam::Raw(&[1, 0, 0, 0]))]);
        let execute = Execute::parse(&payload, 2, &[], false, |i| i == 0).unwrap();
        assert_eq!(execute.values[0], ParamValue::LongData);
        assert!(matches!(execute.values[1], ParamValue::Inline(_)));
    }

    #[test]
    fn every_truncation_is_an_error() {
        let payload = encode(1, &[(TEXT, OutParam::String(b"abc")), (LONG, OutParam::Raw(&[1, 0, 0, 0]))]);
        for end in 0..payload.len() {
            assert!(Execute::parse(&payload[..end], 2, &[], false, |_| false).is_err(), "cut at {end}");
        }
    }

    /// Statement 1, `?` = 'abc', attribute n1 = 'v1', as `libmysqlclient` 9.7 sends it.
    const WITH_ATTRIBUTE: &[u8] = b"\x17\x01\0\0\0\x08\x01\0\0\0\x02\x00\x01\xfd\x00\x00\xfe\x00\x02n1\x03abc\x02v1";

    #[test]
    fn query_attributes_stay_while_parameters_change() {
        let execute = Execute::parse(WITH_ATTRIBUTE, 1, &[], true, |_| false).unwrap();
        let ParamValue::Inline(place) = &execute.values[0] else { panic!("a value") };
        assert_eq!(&WITH_ATTRIBUTE[place.value.clone()], b"abc");
        let same = execute.encode(WITH_ATTRIBUTE, &[(TEXT, OutParam::Raw(&WITH_ATTRIBUTE[place.whole.clone()]))]);
        assert_eq!(same, WITH_ATTRIBUTE);
        let sealed = execute.encode(WITH_ATTRIBUTE, &[(TEXT, OutParam::String(b"sealed"))]);
        assert!(sealed.ends_with(b"\x06sealed\x02v1"));
        let null = execute.encode(WITH_ATTRIBUTE, &[(TEXT, OutParam::Null)]);
        assert!(null.starts_with(&[&WITH_ATTRIBUTE[..11], &[1, 1]].concat()) && null.ends_with(b"\x02n1\x02v1"));
        for end in 0..WITH_ATTRIBUTE.len() {
            assert!(Execute::parse(&WITH_ATTRIBUTE[..end], 1, &[], true, |_| false).is_err(), "cut at {end}");
        }
        assert!(Execute::parse(WITH_ATTRIBUTE, 3, &[], true, |_| false).is_err(), "too few parameters");
    }

    #[test]
    fn a_count_comes_only_where_the_server_reads_one() {
        let bare = b"\x17\x01\0\0\0\x00\x01\0\0\0";
        assert_eq!(Execute::parse(bare, 0, &[], true, |_| false).unwrap().encode(bare, &[]), bare);
        let flagged = b"\x17\x01\0\0\0\x08\x01\0\0\0\x00";
        assert_eq!(Execute::parse(flagged, 0, &[], true, |_| false).unwrap().encode(flagged, &[]), flagged);
        assert!(Execute::parse(&flagged[..10], 0, &[], true, |_| false).is_err());
        // new_params_bound without parameters, as MariaDB Connector/Node.js sends it.
        let superfluous = b"\x17\x01\0\0\0\x00\x01\0\0\0\x01";
        assert_eq!(Execute::parse(superfluous, 0, &[], false, |_| false).unwrap().encode(superfluous, &[]), bare);
        let one = [&encode(1, &[(TEXT, OutParam::String(b"x"))])[..], &[1]].concat();
        assert!(Execute::parse(&one, 1, &[], false, |_| false).is_err());
        // Bound types that are left out: no names either.
        let again = b"\x17\x01\0\0\0\x08\x01\0\0\0\x01\x00\x00\x03abc";
        let execute = Execute::parse(again, 1, &[TEXT], true, |_| false).unwrap();
        assert!(execute.encode(again, &[(TEXT, OutParam::String(b"x"))]).ends_with(b"\x01\x00\x01\xfd\x00\x00\x01x"));
    }

    #[test]
    fn types_that_servers_read_differently_are_errors() {
        for column_type in [types::YEAR, types::INT24, types::BIT, types::NULL, types::BOOL, types::NEWDATE, 200] {
            let kind = ParamType { column_type, unsigned: false };
            let payload = encode(1, &[(kind, OutParam::Raw(&[1, 0, 0, 0]))]);
            assert!(Execute::parse(&payload, 1, &[], false, |_| false).is_err(), "type {column_type}");
            let null = encode(1, &[(kind, OutParam::Null)]);
            assert!(Execute::parse(&null, 1, &[], false, |_| false).is_ok(), "NULL of type {column_type}");
        }
    }
}
