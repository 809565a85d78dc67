//! Finds its way through a response: which packets are rows that may pass unread, which must be looked
//! at, and where the response ends.

use super::command::Answer;
use super::frame::{HEADER, Header, MAX_PAYLOAD};
use super::reader::Reader;
use super::status::{SERVER_MORE_RESULTS_EXISTS, SERVER_PS_OUT_PARAMS, SERVER_STATUS_CURSOR_EXISTS};
use super::{Malformed, ok};

/// What to do with the bytes at the front of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// This many bytes go through unread (whole rows, or a part of a large one).
    Pass(usize),
    /// One whole packet of this many bytes, header included, to be looked at.
    Packet(usize, Kind),
    /// One whole row, of `bytes` in `packets` packets, headers included.
    Row { bytes: usize, packets: usize },
    /// Nothing more can be said before more input is there.
    NeedMore,
    /// The response is over.
    Done,
}

/// The kind of a packet that is handed over whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An OK packet, or the OK that ends rows (header 0xFE) with CLIENT_DEPRECATE_EOF.
    Ok,
    Err,
    Eof,
    /// The column count that opens a result set.
    ColumnCount(u64),
    /// A column definition of a result set, or of a prepared statement's result.
    Column,
    /// A parameter definition of a prepared statement.
    Parameter,
    PrepareOk,
    LocalInfile,
    /// The string that answers COM_STATISTICS.
    String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    First,
    /// Parameter definitions, then column definitions (0 for a plain result set).
    Parameters {
        left: u64,
        columns: u64,
    },
    ParametersEof {
        columns: u64,
    },
    Columns {
        left: u64,
    },
    ColumnsEof,
    Rows,
    /// Within a row: bytes of this packet still to come, and whether another packet belongs to the row.
    InRow {
        left: usize,
        continues: bool,
    },
    Done,
}

/// The state of one response.
pub struct Response {
    answer: Answer,
    deprecate_eof: bool,
    session_track: bool,
    /// Hand rows over whole instead of passing them.
    pub whole_rows: bool,
    phase: Phase,
    /// Result sets and OKs that have ended so far.
    pub results_ended: usize,
    /// The result holds OUT parameters, so another follows. MySQL says so in the EOF behind the definitions
    /// and not in the one behind the row.
    out_params: bool,
}

impl Response {
    pub fn new(answer: Answer, deprecate_eof: bool, session_track: bool) -> Self {
        let phase = match answer {
            Answer::Rows => Phase::Rows,
            Answer::Nothing => Phase::Done,
            Answer::Definitions => Phase::Columns { left: u64::MAX },
            _ => Phase::First,
        };
        Self { answer, deprecate_eof, session_track, whole_rows: false, phase, results_ended: 0, out_params: false }
    }

    /// Looks at the front of `input`. The caller consumes what the answer names before it asks again.
    pub fn step(&mut self, input: &[u8]) -> Result<Step, Malformed> {
        match self.phase {
            Phase::Done => Ok(Step::Done),
            Phase::Rows | Phase::InRow { .. } => self.rows(input),
            _ => self.packet(input),
        }
    }

    /// Whole packets outside of rows.
    fn packet(&mut self, input: &[u8]) -> Result<Step, Malformed> {
        let Some(header) = Header::parse(input) else { return Ok(Step::NeedMore) };
        let Some(payload) = input.get(HEADER..HEADER + header.length) else { return Ok(Step::NeedMore) };
        if header.length == MAX_PAYLOAD {
            return Err(Malformed("response: a control packet of 16 MB"));
        }
        let total = HEADER + header.length;
        let first = *payload.first().ok_or(Malformed("response: empty packet"))?;
        let kind = match self.phase {
            _ if self.answer == Answer::String && first != 0xFF => {
                self.phase = Phase::Done;
                Kind::String
            }
            _ if first == 0xFF => {
                self.end(0);
                Kind::Err
            }
            Phase::First => self.first(first, payload)?,
            Phase::Parameters { left, columns } => {
                self.after_parameters(left.saturating_sub(1), columns);
                Kind::Parameter
            }
            Phase::ParametersEof { columns } => {
                self.after_definitions_of_parameters(columns);
                Kind::Eof
            }
            Phase::Columns { .. } if self.answer == Answer::Definitions && self.terminal(first, header.length) => {
                self.end(0);
                if self.deprecate_eof { Kind::Ok } else { Kind::Eof }
            }
            Phase::Columns { left } => {
                self.after_columns(left.saturating_sub(1));
                Kind::Column
            }
            Phase::ColumnsEof => {
                let (_, status) = ok::parse_eof(payload)?;
                self.out_params = status & SERVER_PS_OUT_PARAMS != 0;
                match self.answer {
                    Answer::Prepare => self.phase = Phase::Done,
                    _ if status & SERVER_STATUS_CURSOR_EXISTS != 0 => self.end(status),
                    _ => self.phase = Phase::Rows,
                }
                Kind::Eof
            }
            Phase::Rows | Phase::InRow { .. } | Phase::Done => return Err(Malformed("response: out of order")),
        };
        Ok(Step::Packet(total, kind))
    }

    fn first(&mut self, first: u8, payload: &[u8]) -> Result<Kind, Malformed> {
        match (self.answer, first) {
            (Answer::Prepare, 0x00) => {
                let mut reader = Reader::new(payload);
                reader.bytes(5, "COM_STMT_PREPARE_OK")?;
                let columns = u64::from(reader.u16("COM_STMT_PREPARE_OK: columns")?);
                let parameters = u64::from(reader.u16("COM_STMT_PREPARE_OK: parameters")?);
                self.after_parameters_count(parameters, columns);
                Ok(Kind::PrepareOk)
            }
            (Answer::Short, 0xFE) if payload.len() < 7 => {
                let (_, status) = ok::parse_eof(payload)?;
                self.end(status & !SERVER_MORE_RESULTS_EXISTS);
                Ok(Kind::Eof)
            }
            (Answer::Results | Answer::Short, 0x00) | (Answer::Short, 0xFE) => {
                let status = ok::OkPacket::parse(payload, self.session_track)?.status;
                self.end(status);
                Ok(Kind::Ok)
            }
            (Answer::Results, 0xFB) => {
                // What follows is the answer to the data that the client sends: an OK or an ERR.
                Ok(Kind::LocalInfile)
            }
            (Answer::Results, _) => {
                let mut reader = Reader::new(payload);
                let count = reader.lenenc("column count")?;
                if !reader.is_empty() || count == 0 {
                    return Err(Malformed("column count"));
                }
                self.phase = Phase::Columns { left: count };
                Ok(Kind::ColumnCount(count))
            }
            _ => Err(Malformed("response: unexpected first packet")),
        }
    }

    fn after_parameters_count(&mut self, parameters: u64, columns: u64) {
        match parameters {
            0 => self.after_definitions_of_parameters(columns),
            left => self.phase = Phase::Parameters { left, columns },
        }
    }

    fn after_parameters(&mut self, left: u64, columns: u64) {
        match left {
            0 if self.deprecate_eof => self.after_definitions_of_parameters(columns),
            0 => self.phase = Phase::ParametersEof { columns },
            left => self.phase = Phase::Parameters { left, columns },
        }
    }

    fn after_definitions_of_parameters(&mut self, columns: u64) {
        self.phase = match columns {
            0 => Phase::Done,
            left => Phase::Columns { left },
        };
    }

    fn after_columns(&mut self, left: u64) {
        self.phase = match (left, self.deprecate_eof, self.answer) {
            (0, true, Answer::Prepare) => Phase::Done,
            (0, true, _) => Phase::Rows,
            (0, false, _) => Phase::ColumnsEof,
            (left, _, _) => Phase::Columns { left },
        };
    }

    fn terminal(&self, first: u8, length: usize) -> bool {
        first == 0xFE && if self.deprecate_eof { length < MAX_PAYLOAD } else { length < 9 }
    }

    /// A result ended with `status`; another follows or the response is over.
    fn end(&mut self, status: u16) {
        self.results_ended += 1;
        let more = self.answer == Answer::Results && status & SERVER_MORE_RESULTS_EXISTS != 0;
        self.out_params = false;
        self.phase = if more { Phase::First } else { Phase::Done };
    }

    fn rows(&mut self, input: &[u8]) -> Result<Step, Malformed> {
        let mut at = 0;
        loop {
            let rest = input.get(at..).unwrap_or_default();
            if let Phase::InRow { left, continues } = self.phase {
                let taken = left.min(rest.len());
                at += taken;
                if taken < left {
                    self.phase = Phase::InRow { left: left - taken, continues };
                    return Ok(if at == 0 { Step::NeedMore } else { Step::Pass(at) });
                }
                if !continues {
                    self.phase = Phase::Rows;
                    continue;
                }
                let rest = input.get(at..).unwrap_or_default();
                let Some(header) = Header::parse(rest) else {
                    self.phase = Phase::InRow { left: 0, continues };
                    return Ok(if at == 0 { Step::NeedMore } else { Step::Pass(at) });
                };
                at += HEADER;
                self.phase = Phase::InRow { left: header.length, continues: header.length == MAX_PAYLOAD };
                continue;
            }
            let pending = if at == 0 { Step::NeedMore } else { Step::Pass(at) };
            let Some(header) = Header::parse(rest) else { return Ok(pending) };
            // What follows an empty packet is not its first byte.
            if header.length == 0 {
                return if at > 0 { Ok(pending) } else { Err(Malformed("response: empty row")) };
            }
            let Some(&first) = rest.get(HEADER) else { return Ok(pending) };
            if first == 0xFF || self.terminal(first, header.length) {
                if at > 0 {
                    return Ok(Step::Pass(at));
                }
                let Some(payload) = rest.get(HEADER..HEADER + header.length) else { return Ok(Step::NeedMore) };
                let (kind, status) = match (first, self.deprecate_eof) {
                    (0xFF, _) => (Kind::Err, 0),
                    (_, true) => (Kind::Ok, ok::OkPacket::parse(payload, self.session_track)?.status),
                    (_, false) if self.out_params => (Kind::Eof, SERVER_MORE_RESULTS_EXISTS),
                    (_, false) => (Kind::Eof, ok::parse_eof(payload)?.1),
                };
                self.end(status);
                return Ok(Step::Packet(HEADER + header.length, kind));
            }
            if self.whole_rows {
                return Ok(whole_row(rest));
            }
            at += HEADER;
            self.phase = Phase::InRow { left: header.length, continues: header.length == MAX_PAYLOAD };
        }
    }
}

/// One row with all its packets, if all of them are there.
fn whole_row(input: &[u8]) -> Step {
    let (mut bytes, mut packets) = (0, 0);
    loop {
        let Some(header) = input.get(bytes..).and_then(Header::parse) else { return Step::NeedMore };
        bytes += HEADER + header.length;
        packets += 1;
        if bytes > input.len() {
            return Step::NeedMore;
        }
        if header.length < MAX_PAYLOAD {
            return Step::Row { bytes, packets };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::put_packet;

    fn stream(payloads: &[&[u8]]) -> Vec<u8> {
        let (mut out, mut sequence) = (Vec::new(), 1);
        for payload in payloads {
            put_packet(&mut out, &mut sequence, payload);
        }
        out
    }

    /// Feeds `bytes` in pieces of `piece` and lists the steps other than NeedMore; passed bytes are summed.
    fn walk(response: &mut Response, bytes: &[u8], piece: usize) -> (Vec<Kind>, usize, usize) {
        let (mut kinds, mut passed, mut rows) = (Vec::new(), 0, 0);
        let (mut start, mut end) = (0, 0);
        loop {
            match response.step(&bytes[start..end]).unwrap() {
                Step::Pass(n) => (start, passed) = (start + n, passed + n),
                Step::Packet(n, kind) => {
                    start += n;
                    kinds.push(kind);
                }
                Step::Row { bytes, .. } => (start, rows) = (start + bytes, rows + 1),
                Step::NeedMore => {
                    assert!(end < bytes.len(), "ran dry");
                    end = (end + piece).min(bytes.len());
                }
                Step::Done => {
                    assert_eq!(start, bytes.len());
                    return (kinds, passed, rows);
                }
            }
        }
    }

    const EOF: &[u8] = &[0xFE, 0, 0, 2, 0];
    const OK_END: &[u8] = &[0xFE, 0, 0, 2, 0, 0, 0];

    #[test]
    fn a_result_set_ends_where_it_ends_however_it_is_cut() {
        let column = b"\x03def....................";
        for piece in [1, 2, 3, 7, 1000] {
            let bytes = stream(&[&[2], column, column, EOF, b"\x01a\xFB", b"\x00\x01b", EOF]);
            let mut response = Response::new(Answer::Results, false, true);
            let (kinds, passed, _) = walk(&mut response, &bytes, piece);
            assert_eq!(kinds, [Kind::ColumnCount(2), Kind::Column, Kind::Column, Kind::Eof, Kind::Eof]);
            assert_eq!(passed, 14);

            let bytes = stream(&[&[1], column, b"\x01a", OK_END]);
            let mut response = Response::new(Answer::Results, true, true);
            response.whole_rows = true;
            let (kinds, passed, rows) = walk(&mut response, &bytes, piece);
            assert_eq!(kinds, [Kind::ColumnCount(1), Kind::Column, Kind::Ok]);
            assert_eq!((passed, rows), (0, 1));
        }
    }

    #[test]
    fn a_row_that_starts_with_0xfe_and_is_sixteen_megabytes_is_not_the_end() {
        let mut row = vec![0xFE];
        row.extend_from_slice(&(MAX_PAYLOAD as u64).to_le_bytes());
        row.resize(9 + MAX_PAYLOAD, b'x');
        let bytes = stream(&[&[1], b"\x03def", &row, OK_END]);
        for whole_rows in [false, true] {
            let mut response = Response::new(Answer::Results, true, false);
            response.whole_rows = whole_rows;
            let (kinds, passed, rows) = walk(&mut response, &bytes, 60_000);
            assert_eq!(kinds.len(), 3);
            assert_eq!((passed > 0, rows), (!whole_rows, usize::from(whole_rows)));
        }
    }

    #[test]
    fn an_empty_packet_among_rows_is_an_error_whatever_follows() {
        for next in [b"\xFF\xFF\xFF".as_slice(), b"\x01a", b""] {
            let bytes = stream(&[b"\x01a", b"", next]);
            let mut response = Response::new(Answer::Rows, true, true);
            assert_eq!(response.step(&bytes), Ok(Step::Pass(6)));
            assert_eq!(response.step(&bytes[6..]), Err(Malformed("response: empty row")));
        }
    }

    #[test]
    fn more_results_and_errors_in_the_middle_are_followed() {
        let more = &[0, 1, 0, 0x0A, 0, 0, 0];
        let err = b"\xFF\x15\x04#HY000oops";
        let bytes = stream(&[more, &[1], b"\x03def", EOF, b"\x01a", err]);
        let (kinds, _, _) = walk(&mut Response::new(Answer::Results, false, true), &bytes, 5);
        assert_eq!(kinds, [Kind::Ok, Kind::ColumnCount(1), Kind::Column, Kind::Eof, Kind::Err]);
    }

    #[test]
    fn out_parameters_are_followed_by_another_result() {
        // MySQL 9.7, without CLIENT_DEPRECATE_EOF.
        let bytes =
            stream(&[&[1], b"\x03def", &[0xFE, 0, 0, 0x2A, 0x10], b"\0\0\x02c!", &[0xFE, 0, 0, 0x22, 0], &[0; 7]]);
        let (kinds, _, _) = walk(&mut Response::new(Answer::Results, false, true), &bytes, 3);
        assert_eq!(kinds, [Kind::ColumnCount(1), Kind::Column, Kind::Eof, Kind::Eof, Kind::Ok]);
    }

    #[test]
    fn a_prepare_counts_its_definitions() {
        let ok = &[0, 1, 0, 0, 0, 1, 0, 2, 0, 0, 0, 0];
        let bytes = stream(&[ok, b"\x03def?", b"\x03def?", EOF, b"\x03defc", EOF]);
        let (kinds, _, _) = walk(&mut Response::new(Answer::Prepare, false, true), &bytes, 1);
        let expected = [Kind::PrepareOk, Kind::Parameter, Kind::Parameter, Kind::Eof, Kind::Column, Kind::Eof];
        assert_eq!(kinds, expected);
        let bytes = stream(&[ok, b"\x03def?", b"\x03def?", b"\x03defc"]);
        let (kinds, _, _) = walk(&mut Response::new(Answer::Prepare, true, true), &bytes, 1);
        assert_eq!(kinds.len(), 4);
    }

    #[test]
    fn a_cursor_ends_with_the_definitions() {
        let cursor = &[0xFE, 0, 0, 0x42, 0];
        let bytes = stream(&[&[1], b"\x03def", cursor]);
        let (kinds, _, _) = walk(&mut Response::new(Answer::Results, false, true), &bytes, 4);
        assert_eq!(kinds.last(), Some(&Kind::Eof));
    }
}
