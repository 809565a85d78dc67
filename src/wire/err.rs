//! ERR packets.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_err_packet.html>

use super::Malformed;
use super::reader::Reader;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrPacket {
    pub code: u16,
    /// Five characters; absent before the handshake is done.
    pub sqlstate: Option<[u8; 5]>,
    /// In `character_set_results`.
    pub message: Vec<u8>,
}

impl ErrPacket {
    pub fn new(code: u16, sqlstate: &[u8; 5], message: impl Into<Vec<u8>>) -> Self {
        Self { code, sqlstate: Some(*sqlstate), message: message.into() }
    }

    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        if reader.u8("ERR: header")? != 0xFF {
            return Err(Malformed("ERR: header"));
        }
        let code = reader.u16("ERR: code")?;
        let sqlstate = match reader.remaining().first() {
            Some(b'#') => {
                reader.u8("ERR: marker")?;
                Some(reader.array("ERR: SQLSTATE")?)
            }
            _ => None,
        };
        Ok(Self { code, sqlstate, message: reader.remaining().to_vec() })
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![0xFF];
        out.extend_from_slice(&self.code.to_le_bytes());
        if let Some(sqlstate) = &self.sqlstate {
            out.push(b'#');
            out.extend_from_slice(sqlstate);
        }
        out.extend_from_slice(&self.message);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_round_trips_with_and_without_sqlstate() {
        let with = ErrPacket::new(1406, b"22001", "Data too long");
        assert_eq!(ErrPacket::parse(&with.encode()), Ok(with));
        let without = ErrPacket { code: 1040, sqlstate: None, message: b"Too many connections".to_vec() };
        assert_eq!(ErrPacket::parse(&without.encode()), Ok(without));
    }
}
