//! A client that speaks the protocol packet by packet: it chooses its capability flags, sends any bytes as
//! a command, and checks the sequence id of every packet it reads. It shares no code with the proxy.
//! Its connection phase is [`Login`]'s.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::login::{Login, Wire};
use super::{Account, Proxy, Schema};

/// No server keeps a test waiting longer.
const PATIENCE: Duration = Duration::from_secs(300);
const MAX_PAYLOAD: usize = 0xFF_FFFF;

/// Capability flags that tests choose from.
pub mod caps {
    pub const MYSQL: u32 = 1;
    pub const FOUND_ROWS: u32 = 1 << 1;
    pub const CONNECT_WITH_DB: u32 = 1 << 3;
    pub const COMPRESS: u32 = 1 << 5;
    pub const LOCAL_FILES: u32 = 1 << 7;
    pub const SSL: u32 = 1 << 11;
    pub const CONNECT_ATTRS: u32 = 1 << 20;
    pub const SESSION_TRACK: u32 = 1 << 23;
    pub const MULTI_FACTOR: u32 = 1 << 28;
    pub const MULTI_STATEMENTS: u32 = 1 << 16;
    pub const MULTI_RESULTS: u32 = 1 << 17;
    pub const PS_MULTI_RESULTS: u32 = 1 << 18;
    pub const DEPRECATE_EOF: u32 = 1 << 24;
    pub const OPTIONAL_RESULTSET_METADATA: u32 = 1 << 25;
    pub const ZSTD_COMPRESSION_ALGORITHM: u32 = 1 << 26;
    pub const QUERY_ATTRIBUTES: u32 = 1 << 27;
    /// What nearly every client sets: LONG_PASSWORD, LONG_FLAG, PROTOCOL_41, TRANSACTIONS,
    /// SECURE_CONNECTION, PLUGIN_AUTH, and the results of multi-statements and procedures.
    pub const USUAL: u32 = MYSQL | 1 << 2 | 1 << 9 | 1 << 13 | 1 << 15 | 1 << 19 | MULTI_RESULTS | PS_MULTI_RESULTS;

    /// MariaDB's, in the last four bytes of the filler; only valid without [`MYSQL`].
    pub const MARIADB_PROGRESS: u32 = 1;
    pub const MARIADB_STMT_BULK_OPERATIONS: u32 = 1 << 2;
    pub const MARIADB_EXTENDED_METADATA: u32 = 1 << 3;
    pub const MARIADB_CACHE_METADATA: u32 = 1 << 4;
    pub const MARIADB_BULK_UNIT_RESULTS: u32 = 1 << 5;
}

/// Statuses of OK and EOF packets.
pub mod status {
    pub const MORE_RESULTS: u16 = 8;
    pub const CURSOR_EXISTS: u16 = 0x40;
    pub const LAST_ROW_SENT: u16 = 0x80;
    pub const PS_OUT_PARAMS: u16 = 0x1000;
}

/// One connection.
pub struct Raw {
    pub stream: Wire,
    pub greeting: Vec<u8>,
    /// The latest one.
    pub scramble: Vec<u8>,
    /// Which way the authentication went: "switch to PLUGIN", "fast", "full", "key", "salt", "ok".
    pub steps: Vec<String>,
    /// As the server, or the proxy, offered them.
    pub offered: u32,
    pub offered_extended: u32,
    pub connection_id: u32,
    /// As both sides have them.
    pub capabilities: u32,
    pub extended: u32,
    /// The sequence id that the next packet has, in whichever direction.
    pub sequence: u8,
    /// See [`Login::asks_over_unix`].
    pub(super) asks_over_unix: bool,
    /// Every packet read since it was last emptied: sequence id and payload.
    pub trace: Vec<(u8, Vec<u8>)>,
}

/// One part of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Ok(Done),
    Err {
        code: u16,
        state: String,
        message: String,
    },
    /// `columns`: the payloads of the definitions. `rows`: the payloads of the rows. `end`: `None` where a
    /// cursor was opened or the rows were cut by `error`.
    Rows {
        columns: Vec<Vec<u8>>,
        rows: Vec<Vec<u8>>,
        end: Option<Done>,
        error: Option<Box<Reply>>,
    },
    /// The server asks for this file.
    LocalInfile(Vec<u8>),
}

/// What an OK or EOF packet says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    pub affected_rows: u64,
    pub last_insert_id: u64,
    pub status: u16,
    pub warnings: u16,
    /// Info and session state, as they came.
    pub rest: Vec<u8>,
}

/// COM_STMT_PREPARE_OK and what follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    pub id: u32,
    pub parameters: Vec<Vec<u8>>,
    pub columns: Vec<Vec<u8>>,
}

impl Reply {
    pub fn ok(&self) -> &Done {
        let Self::Ok(done) = self else { panic!("an OK was expected, not {self:?}") };
        done
    }

    pub fn code(&self) -> u16 {
        let Self::Err { code, .. } = self else { panic!("an ERR was expected, not {self:?}") };
        *code
    }

    /// The error's message, with its number and SQLSTATE.
    pub fn error(&self) -> String {
        let Self::Err { code, state, message } = self else { panic!("an ERR was expected, not {self:?}") };
        format!("{code} ({state}) {message}")
    }

    pub fn rows(&self) -> &[Vec<u8>] {
        let Self::Rows { rows, error: None, .. } = self else { panic!("rows were expected, not {self:?}") };
        rows
    }

    pub fn columns(&self) -> &[Vec<u8>] {
        let Self::Rows { columns, .. } = self else { panic!("rows were expected, not {self:?}") };
        columns
    }

    /// The rows of a text result as strings.
    pub fn text(&self) -> Vec<Vec<Option<String>>> {
        self.rows().iter().map(|row| text_row(row)).collect()
    }

    pub fn status(&self) -> u16 {
        match self {
            Self::Ok(done) => done.status,
            Self::Rows { end: Some(done), .. } => done.status,
            _ => 0,
        }
    }
}

/// The columns of a text row.
pub fn text_row(mut row: &[u8]) -> Vec<Option<String>> {
    let mut out = Vec::new();
    while let Some(first) = row.first() {
        if *first == 0xFB {
            row = &row[1..];
            out.push(None);
        } else {
            let length = lenenc(&mut row) as usize;
            out.push(Some(String::from_utf8_lossy(&row[..length]).into_owned()));
            row = &row[length..];
        }
    }
    out
}

/// Takes a length-encoded integer from the front.
pub fn lenenc(bytes: &mut &[u8]) -> u64 {
    let first = bytes[0];
    let size = match first {
        0..=0xFA => {
            *bytes = &bytes[1..];
            return u64::from(first);
        }
        0xFC => 2,
        0xFD => 3,
        0xFE => 8,
        _ => panic!("{first:#x} is no length"),
    };
    let mut value = [0; 8];
    value[..size].copy_from_slice(&bytes[1..=size]);
    *bytes = &bytes[1 + size..];
    u64::from_le_bytes(value)
}

/// A length-encoded string.
pub fn lenenc_string(bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len() as u64;
    let mut out = match length {
        0..=0xFA => vec![length as u8],
        0xFB..=0xFFFF => [&[0xFC], &length.to_le_bytes()[..2]].concat(),
        0x1_0000..=0xFF_FFFF => [&[0xFD], &length.to_le_bytes()[..3]].concat(),
        _ => [&[0xFE], &length.to_le_bytes()[..]].concat(),
    };
    out.extend_from_slice(bytes);
    out
}

/// The strings of a column definition: catalog, schema, table, org_table, name, org_name; then the rest.
pub fn definition(payload: &[u8]) -> (Vec<String>, Vec<u8>) {
    let mut rest = payload;
    let strings = (0..6).map(|_| {
        let length = lenenc(&mut rest) as usize;
        let (text, tail) = rest.split_at(length);
        rest = tail;
        String::from_utf8_lossy(text).into_owned()
    });
    (strings.collect(), rest.to_vec())
}

impl Raw {
    /// Through the proxy, as [`Account::EMPTY`], in the test's schema.
    pub async fn through(proxy: &Proxy, schema: &Schema, capabilities: u32) -> Self {
        Self::login(("127.0.0.1", proxy.port), Account::EMPTY, Some(&schema.name), capabilities, 0).await
    }

    /// Directly to the server, as [`Account::EMPTY`], in the test's schema.
    pub async fn directly(schema: &Schema, capabilities: u32) -> Self {
        let backend = &schema.backend;
        Self::login((backend.host.as_str(), backend.port), Account::EMPTY, Some(&schema.name), capabilities, 0).await
    }

    /// Logs in with what `capabilities` and `extended` have in common with what is offered.
    pub async fn login(
        address: (&str, u16),
        account: Account,
        schema: Option<&str>,
        capabilities: u32,
        extended: u32,
    ) -> Self {
        let login = Login { schema: schema.map(str::to_owned), capabilities, extended, ..Login::new(account) };
        login.tcp(address).await.unwrap_or_else(|error| panic!("login: {error:?}"))
    }

    /// A connection on which nothing was said yet.
    pub(super) fn new(stream: Wire) -> Self {
        Self {
            stream,
            greeting: Vec::new(),
            scramble: Vec::new(),
            steps: Vec::new(),
            offered: 0,
            offered_extended: 0,
            connection_id: 0,
            capabilities: 0,
            extended: 0,
            sequence: 0,
            asks_over_unix: false,
            trace: Vec::new(),
        }
    }

    pub fn has(&self, capability: u32) -> bool {
        self.capabilities & capability != 0
    }

    /// Sends a command: its sequence starts at 0.
    pub async fn send(&mut self, payload: &[u8]) {
        self.sequence = 0;
        self.write(payload).await;
    }

    /// COM_QUERY without query attributes (which come as an empty block where they are agreed on).
    pub async fn send_query(&mut self, text: impl AsRef<[u8]>) {
        let mut payload = vec![0x03];
        if self.has(caps::QUERY_ATTRIBUTES) {
            payload.extend_from_slice(&[0, 1]);
        }
        payload.extend_from_slice(text.as_ref());
        self.send(&payload).await;
    }

    /// Sends a payload as the next packets of the present exchange.
    pub async fn write(&mut self, payload: &[u8]) {
        let framed = self.frame(payload);
        self.stream.write_all(&framed).await.expect("the peer reads");
        self.stream.flush().await.expect("the peer reads");
    }

    /// The packets of a payload, numbered on from the present sequence id.
    pub fn frame(&mut self, payload: &[u8]) -> Vec<u8> {
        let mut framed = Vec::with_capacity(payload.len() + 4);
        let mut rest = payload;
        loop {
            let (piece, tail) = rest.split_at(rest.len().min(MAX_PAYLOAD));
            framed.extend_from_slice(&(piece.len() as u32).to_le_bytes()[..3]);
            framed.push(self.sequence);
            framed.extend_from_slice(piece);
            self.sequence = self.sequence.wrapping_add(1);
            rest = tail;
            if piece.len() < MAX_PAYLOAD {
                return framed;
            }
        }
    }

    /// The next payload, its packets joined; their sequence ids must follow each other.
    pub async fn read(&mut self) -> Vec<u8> {
        self.try_read().await.expect("the peer answers")
    }

    /// As [`Raw::read`]; an error when the peer has closed.
    pub async fn try_read(&mut self) -> std::io::Result<Vec<u8>> {
        let mut payload = Vec::new();
        loop {
            let mut header = [0; 4];
            timeout(PATIENCE, self.stream.read_exact(&mut header)).await.expect("an answer in time")?;
            let [a, b, c, sequence] = header;
            let length = u32::from_le_bytes([a, b, c, 0]) as usize;
            let start = payload.len();
            payload.resize(start + length, 0);
            timeout(PATIENCE, self.stream.read_exact(&mut payload[start..])).await.expect("an answer in time")?;
            assert_eq!(
                sequence,
                self.sequence,
                "the sequence id of {}",
                String::from_utf8_lossy(&payload[..payload.len().min(80)])
            );
            self.sequence = sequence.wrapping_add(1);
            if length < MAX_PAYLOAD {
                self.trace.push((sequence, payload.clone()));
                return Ok(payload);
            }
        }
    }

    /// Whether the peer closes within `wait` without another byte.
    pub async fn closes_within(&mut self, wait: Duration) -> bool {
        let mut byte = [0; 1];
        matches!(timeout(wait, self.stream.read(&mut byte)).await, Ok(Ok(0) | Err(_)))
    }

    /// Sends a query and reads all its results.
    pub async fn query(&mut self, text: impl AsRef<[u8]>) -> Vec<Reply> {
        self.send_query(text).await;
        self.results().await
    }

    /// Sends a query that has one result.
    pub async fn one(&mut self, text: impl AsRef<[u8]>) -> Reply {
        let mut results = self.query(text).await;
        assert_eq!(results.len(), 1, "{results:?}");
        results.remove(0)
    }

    /// Sends a command that is answered by one OK, ERR or EOF packet.
    pub async fn short(&mut self, payload: &[u8]) -> Reply {
        self.send(payload).await;
        let answer = self.read().await;
        if answer[0] == 0xFE && answer.len() == 5 { Reply::Ok(eof(&answer)) } else { ok_or_err(&answer) }
    }

    /// All results of a query or an execution, as far as the first error or LOCAL INFILE request.
    pub async fn results(&mut self) -> Vec<Reply> {
        let mut out = Vec::new();
        loop {
            let result = self.result().await;
            let more = result.status() & status::MORE_RESULTS != 0;
            out.push(result);
            if !more {
                return out;
            }
        }
    }

    /// One result of a query or an execution.
    pub async fn result(&mut self) -> Reply {
        let first = self.read().await;
        match first[0] {
            0x00 | 0xFF => ok_or_err(&first),
            0xFB => Reply::LocalInfile(first[1..].to_vec()),
            _ => {
                let mut rest = first.as_slice();
                let count = lenenc(&mut rest);
                let mut columns = Vec::new();
                for _ in 0..count {
                    columns.push(self.read().await);
                }
                let mut out_params = false;
                if !self.has(caps::DEPRECATE_EOF) {
                    let done = eof(&self.read().await);
                    out_params = done.status & status::PS_OUT_PARAMS != 0;
                    if done.status & status::CURSOR_EXISTS != 0 {
                        return Reply::Rows { columns, rows: Vec::new(), end: Some(done), error: None };
                    }
                }
                let (rows, mut end, error) = self.rows().await;
                // MySQL says it in the first EOF only, and clients keep that one's status.
                if let Some(end) = end.as_mut().filter(|_| out_params) {
                    end.status |= status::MORE_RESULTS | status::PS_OUT_PARAMS;
                }
                Reply::Rows { columns, rows, end, error }
            }
        }
    }

    /// Rows up to their end or an error, as after COM_STMT_FETCH.
    pub async fn rows(&mut self) -> (Vec<Vec<u8>>, Option<Done>, Option<Box<Reply>>) {
        let mut rows = Vec::new();
        loop {
            let packet = self.read().await;
            match packet.first() {
                Some(0xFF) => return (rows, None, Some(Box::new(ok_or_err(&packet)))),
                Some(0xFE) if self.has(caps::DEPRECATE_EOF) && packet.len() < MAX_PAYLOAD => {
                    let Reply::Ok(done) = ok_or_err(&packet) else { unreachable!() };
                    return (rows, Some(done), None);
                }
                Some(0xFE) if packet.len() < 9 => return (rows, Some(eof(&packet)), None),
                _ => rows.push(packet),
            }
        }
    }

    /// What an execution that asks for a cursor answers: definitions, and the status behind them. Where there is
    /// no cursor, the rows and their end.
    pub async fn cursor(&mut self) -> (Vec<Vec<u8>>, Done, Option<Vec<Vec<u8>>>) {
        let first = self.read().await;
        self.cursor_after(first).await
    }

    /// As [`Raw::cursor`], behind the first packet.
    pub async fn cursor_after(&mut self, first: Vec<u8>) -> (Vec<Vec<u8>>, Done, Option<Vec<Vec<u8>>>) {
        assert!(first[0] != 0xFF, "{:?}", ok_or_err(&first));
        let count = lenenc(&mut first.as_slice());
        let mut columns = Vec::new();
        for _ in 0..count {
            columns.push(self.read().await);
        }
        let done = |packet: &[u8]| match packet.len() {
            5 => eof(packet),
            _ => ok_or_err(packet).ok().clone(),
        };
        let mut rows = Vec::new();
        let mut definitions_ended = self.has(caps::DEPRECATE_EOF);
        loop {
            let packet = self.read().await;
            if packet[0] != 0xFE || packet.len() >= MAX_PAYLOAD {
                rows.push(packet);
                continue;
            }
            let end = done(&packet);
            if end.status & status::CURSOR_EXISTS != 0 {
                return (columns, end, None);
            }
            if definitions_ended {
                return (columns, end, Some(rows));
            }
            definitions_ended = true;
        }
    }

    /// COM_STMT_PREPARE; `Err` holds the ERR.
    pub async fn prepare(&mut self, text: impl AsRef<[u8]>) -> Result<Prepared, Reply> {
        self.send(&[&[0x16], text.as_ref()].concat()).await;
        self.prepared().await
    }

    /// The answer to a COM_STMT_PREPARE.
    pub async fn prepared(&mut self) -> Result<Prepared, Reply> {
        let first = self.read().await;
        if first[0] == 0xFF {
            return Err(ok_or_err(&first));
        }
        let id = u32::from_le_bytes(first[1..5].try_into().unwrap());
        let count = |at: usize| u16::from_le_bytes(first[at..at + 2].try_into().unwrap());
        let (columns, parameters) = (count(5), count(7));
        let mut lists = [Vec::new(), Vec::new()];
        for (list, count) in lists.iter_mut().zip([parameters, columns]) {
            for _ in 0..count {
                list.push(self.read().await);
            }
            if count > 0 && !self.has(caps::DEPRECATE_EOF) {
                eof(&self.read().await);
            }
        }
        let [parameters, columns] = lists;
        Ok(Prepared { id, parameters, columns })
    }

    /// COM_STMT_EXECUTE with string parameters, `None` for NULL.
    pub async fn execute(&mut self, id: u32, params: &[Option<&[u8]>]) -> Vec<Reply> {
        let payload = self.execute_payload(id, 0, params);
        self.send(&payload).await;
        self.results().await
    }

    /// The payload of a COM_STMT_EXECUTE with string parameters (type VAR_STRING).
    pub fn execute_payload(&self, id: u32, flags: u8, params: &[Option<&[u8]>]) -> Vec<u8> {
        let mut payload = vec![0x17];
        payload.extend_from_slice(&id.to_le_bytes());
        payload.push(flags);
        payload.extend_from_slice(&1u32.to_le_bytes());
        if params.is_empty() {
            return payload;
        }
        for chunk in params.chunks(8) {
            payload.push(chunk.iter().enumerate().fold(0, |bits, (n, value)| bits | u8::from(value.is_none()) << n));
        }
        payload.push(1);
        for _ in params {
            payload.extend_from_slice(&[253, 0]);
        }
        for value in params.iter().flatten() {
            payload.extend_from_slice(&lenenc_string(value));
        }
        payload
    }
}

pub fn ok_or_err(packet: &[u8]) -> Reply {
    if packet[0] == 0xFF {
        let code = u16::from_le_bytes([packet[1], packet[2]]);
        let (state, message) = match packet.get(3) {
            Some(b'#') => (&packet[4..9], &packet[9..]),
            _ => (&packet[..0], &packet[3..]),
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        return Reply::Err { code, state: text(state), message: text(message) };
    }
    assert!(matches!(packet[0], 0x00 | 0xFE), "neither OK nor ERR: {packet:02x?}");
    let mut rest = &packet[1..];
    let affected_rows = lenenc(&mut rest);
    let last_insert_id = lenenc(&mut rest);
    Reply::Ok(Done {
        affected_rows,
        last_insert_id,
        status: u16::from_le_bytes([rest[0], rest[1]]),
        warnings: u16::from_le_bytes([rest[2], rest[3]]),
        rest: rest[4..].to_vec(),
    })
}

fn eof(packet: &[u8]) -> Done {
    assert!(packet[0] == 0xFE && packet.len() == 5, "an EOF was expected: {packet:02x?}");
    Done {
        warnings: u16::from_le_bytes([packet[1], packet[2]]),
        status: u16::from_le_bytes([packet[3], packet[4]]),
        ..Done::default()
    }
}
