//! OK packets with their session state changes, and EOF packets.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_ok_packet.html>

use super::Malformed;
use super::reader::{Reader, put_lenenc, put_lenenc_bytes};
use super::status::SERVER_SESSION_STATE_CHANGED;

/// An OK packet as a server sends it to a client that asked for CLIENT_SESSION_TRACK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OkPacket<'a> {
    /// 0x00, or 0xFE where it ends a result set (CLIENT_DEPRECATE_EOF).
    pub header: u8,
    pub affected_rows: u64,
    pub last_insert_id: u64,
    pub status: u16,
    pub warnings: u16,
    pub info: &'a [u8],
    pub state_changes: &'a [u8],
}

/// The system variable by which a MariaDB server sends its clients to another address.
const REDIRECT: &[u8] = b"redirect_url";

/// One entry of the session state information.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateChange<'a> {
    SystemVariable {
        name: &'a [u8],
        value: &'a [u8],
    },
    Schema(&'a [u8]),
    /// Transaction state, GTIDs and whatever later servers add: not looked at.
    Other,
}

impl<'a> OkPacket<'a> {
    /// `session_track`: whether CLIENT_SESSION_TRACK is on between the proxy and the server.
    pub fn parse(payload: &'a [u8], session_track: bool) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        let header = reader.u8("OK: header")?;
        let affected_rows = reader.lenenc("OK: affected rows")?;
        let last_insert_id = reader.lenenc("OK: last insert id")?;
        let status = reader.u16("OK: status")?;
        let warnings = reader.u16("OK: warnings")?;
        let (mut info, mut state_changes): (&[u8], &[u8]) = (&[], &[]);
        if !reader.is_empty() {
            info = reader.lenenc_bytes("OK: info")?;
        }
        if session_track && status & SERVER_SESSION_STATE_CHANGED != 0 && !reader.is_empty() {
            state_changes = reader.lenenc_bytes("OK: session state")?;
        }
        Ok(Self { header, affected_rows, last_insert_id, status, warnings, info, state_changes })
    }

    /// The packet for a client that did not ask for CLIENT_SESSION_TRACK.
    pub fn encode_without_session_track(&self) -> Vec<u8> {
        self.encode_with_status(self.status & !SERVER_SESSION_STATE_CHANGED)
    }

    fn encode_with_status(&self, status: u16) -> Vec<u8> {
        let mut out = vec![self.header];
        put_lenenc(&mut out, self.affected_rows);
        put_lenenc(&mut out, self.last_insert_id);
        out.extend_from_slice(&status.to_le_bytes());
        out.extend_from_slice(&self.warnings.to_le_bytes());
        // The manual's page says "to the end of the packet"; both servers send a length here, too, and
        // clients read one.
        if !self.info.is_empty() {
            put_lenenc_bytes(&mut out, self.info);
        }
        out
    }

    /// The packet without MariaDB's `redirect_url` among its changes, which asks clients to connect elsewhere;
    /// `None` if it is not there.
    pub fn encode_without_redirect(&self) -> Result<Option<Vec<u8>>, Malformed> {
        const WHAT: &str = "OK: session state entry";
        let redirects = |change: &StateChange<'_>| match change {
            StateChange::SystemVariable { name, .. } => name.eq_ignore_ascii_case(REDIRECT),
            _ => false,
        };
        if !self.changes()?.iter().any(redirects) {
            return Ok(None);
        }
        let mut kept = Vec::with_capacity(self.state_changes.len());
        let mut reader = Reader::new(self.state_changes);
        while !reader.is_empty() {
            let kind = reader.u8(WHAT)?;
            let bytes = reader.lenenc_bytes(WHAT)?;
            let mut entry = bytes.to_vec();
            if kind == 0 {
                entry.clear();
                let mut pairs = Reader::new(bytes);
                while !pairs.is_empty() {
                    let start = pairs.position();
                    let name = pairs.lenenc_bytes(WHAT)?;
                    pairs.nullable_lenenc_bytes(WHAT)?;
                    if !name.eq_ignore_ascii_case(REDIRECT) {
                        entry.extend_from_slice(bytes.get(start..pairs.position()).unwrap_or_default());
                    }
                }
                if entry.is_empty() {
                    continue;
                }
            }
            kept.push(kind);
            put_lenenc_bytes(&mut kept, &entry);
        }
        if kept.is_empty() {
            return Ok(Some(self.encode_without_session_track()));
        }
        let mut out = self.encode_with_status(self.status);
        if self.info.is_empty() {
            out.push(0);
        }
        put_lenenc_bytes(&mut out, &kept);
        Ok(Some(out))
    }

    /// Walks the session state changes.
    pub fn changes(&self) -> Result<Vec<StateChange<'a>>, Malformed> {
        const WHAT: &str = "OK: session state entry";
        let mut reader = Reader::new(self.state_changes);
        let mut changes = Vec::new();
        while !reader.is_empty() {
            let kind = reader.u8(WHAT)?;
            let mut entry = Reader::new(reader.lenenc_bytes(WHAT)?);
            match kind {
                // One entry may hold several pairs (MariaDB).
                0 => {
                    while !entry.is_empty() {
                        let name = entry.lenenc_bytes(WHAT)?;
                        // A variable that is NULL comes with a NULL marker from some versions.
                        let value = entry.nullable_lenenc_bytes(WHAT)?.unwrap_or_default();
                        changes.push(StateChange::SystemVariable { name, value });
                    }
                }
                1 => changes.push(StateChange::Schema(entry.lenenc_bytes(WHAT)?)),
                _ => changes.push(StateChange::Other),
            }
        }
        Ok(changes)
    }
}

/// Warnings and status of an EOF packet (without CLIENT_DEPRECATE_EOF).
pub fn parse_eof(payload: &[u8]) -> Result<(u16, u16), Malformed> {
    let mut reader = Reader::new(payload);
    reader.u8("EOF: header")?;
    let warnings = reader.u16("EOF: warnings")?;
    Ok((warnings, reader.u16("EOF: status")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schema_and_variables_are_read_and_stripped() {
        // MariaDB 10.11 answering `USE shop` and `SET NAMES latin1` at once, info empty.
        let mut state = vec![1, 5, 4];
        state.extend_from_slice(b"shop");
        let pair = b"\x14character_set_client\x06latin1";
        state.push(0);
        state.push(pair.len() as u8);
        state.extend_from_slice(pair);
        let mut packet = vec![0, 1, 0, 2, 0x40, 0, 0, 0, state.len() as u8];
        packet.extend_from_slice(&state);
        let ok = OkPacket::parse(&packet, true).unwrap();
        assert_eq!(
            ok.changes().unwrap(),
            [
                StateChange::Schema(b"shop"),
                StateChange::SystemVariable { name: b"character_set_client", value: b"latin1" }
            ]
        );
        assert_eq!(ok.encode_without_session_track(), [0, 1, 0, 2, 0, 0, 0]);
    }

    #[test]
    fn a_redirect_is_taken_out_and_what_stands_beside_it_stays() {
        let redirect = b"\x0credirect_url\x05m://x";
        let zone = b"\x09time_zone\x03UTC";
        let packet = |pairs: &[&[u8]], schema: bool| {
            let mut state = Vec::new();
            // One entry for all pairs, as MariaDB may send them.
            if !pairs.is_empty() {
                state.push(0);
                put_lenenc_bytes(&mut state, &pairs.concat());
            }
            if schema {
                state.extend_from_slice(b"\x01\x05\x04shop");
            }
            let mut packet = vec![0xFE, 0, 0, 2, 0x40, 0, 0, 0];
            put_lenenc_bytes(&mut packet, &state);
            packet
        };
        let stripped = |packet: &[u8]| OkPacket::parse(packet, true).unwrap().encode_without_redirect().unwrap();
        assert_eq!(stripped(&packet(&[zone], true)), None);
        assert_eq!(stripped(&packet(&[redirect, zone], true)), Some(packet(&[zone], true)));
        assert_eq!(stripped(&packet(&[redirect], true)), Some(packet(&[], true)));
        assert_eq!(stripped(&packet(&[redirect], false)), Some(vec![0xFE, 0, 0, 2, 0, 0, 0]));
    }

    #[test]
    fn info_keeps_its_text_and_its_length() {
        let packet = b"\x00\x01\x00\x02\x00\x00\x00\x05hello";
        let ok = OkPacket::parse(packet, true).unwrap();
        assert_eq!(ok.encode_without_session_track(), packet);
    }
}
