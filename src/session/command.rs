//! The command loop: one command at a time, each answered before the next is read.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tracing::{debug, info};

use super::Shared;
use super::authenticate::{Exchange, Verdict, must_withhold};
use super::connect::{Connected, connect};
use super::error::{SessionError, sealwire_error};
use super::leg::{LARGEST_PAYLOAD, Leg, OUT_OF_ORDER};
use super::prepared::Statements;
use super::protect::Decision;
use super::relay::View;
use super::rows::RowFormat;
use super::state::SessionState;
use super::stream::Socket;
use crate::keys::Destination;
use crate::sql::{Pass, Protocol, RefusalCode, ResultRoles};
use crate::wire::Malformed;
use crate::wire::attributes;
use crate::wire::capability::{CLIENT_MULTI_STATEMENTS, CLIENT_QUERY_ATTRIBUTES};
use crate::wire::change_user::ChangeUser;
use crate::wire::command::*;
use crate::wire::err::ErrPacket;
use crate::wire::frame::{HEADER, MAX_PAYLOAD};

/// How long a server may take to hear that a session has ended.
const FAREWELL: Duration = Duration::from_secs(5);

/// A session whose client is authenticated.
pub struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) client: Leg,
    pub(super) server: Leg,
    pub(super) client_capabilities: u32,
    pub(super) server_capabilities: u32,
    /// MariaDB's, the same on both legs.
    pub(super) extended_capabilities: u32,
    pub(super) state: SessionState,
    pub(super) multi_statements: bool,
    pub(super) statements: Statements,
    /// The client has said that it will send nothing more.
    pub(super) client_ended: bool,
    /// Where this session's values go, once it has sealed one.
    pub(super) destination: Option<Destination>,
    /// See [`Session::largest_payload`].
    largest: Option<usize>,
    /// Kept for COM_CHANGE_USER, whose plugin may answer to the first scramble.
    scramble: Vec<u8>,
}

/// Whether the session goes on after a command.
#[derive(PartialEq, Eq)]
enum Next {
    Command,
    Close,
}

/// Serves one client from its first byte to its last.
pub async fn serve(shared: Arc<Shared>, socket: Socket) {
    let session = match open(&shared, socket).await {
        Ok(Some(session)) => session,
        Ok(None) => return,
        Err(error @ SessionError::ProxyHeader { .. }) => {
            info!("{error}");
            return;
        }
        Err(error) => {
            debug!(%error, "connection phase");
            return;
        }
    };
    let mut session = session;
    match session.run().await {
        Ok(()) | Err(SessionError::Closed) => {}
        Err(error) => info!(%error, "session ended"),
    }
    session.client.close().await;
    // TLS has a last word, for which a server that reads no more has no room.
    let _ = timeout(FAREWELL, session.server.close()).await;
}

/// The connection phase. `None`: the server denied access and the client knows.
async fn open(shared: &Arc<Shared>, socket: Socket) -> Result<Option<Session>, SessionError> {
    let connected = connect(shared, socket).await?;
    let Connected {
        mut client,
        mut server,
        client_capabilities,
        server_capabilities,
        extended_capabilities,
        compression,
        scramble,
        auth_plugin,
        schema,
    } = connected;
    let mut exchange = Exchange { plugin: auth_plugin, scramble, capabilities: server_capabilities };
    match exchange.run(shared, &mut client, &mut server).await {
        Ok(Verdict::Denied) => {
            client.close().await;
            Ok(None)
        }
        Ok(Verdict::Accepted(payload)) => {
            let mut session = Session {
                shared: shared.clone(),
                client,
                server,
                client_capabilities,
                server_capabilities,
                extended_capabilities,
                state: SessionState {
                    schema: schema.map(|name| String::from_utf8_lossy(&name).into_owned()),
                    ..SessionState::default()
                },
                multi_statements: client_capabilities & CLIENT_MULTI_STATEMENTS != 0,
                statements: Statements::default(),
                client_ended: false,
                destination: None,
                largest: None,
                scramble: exchange.scramble,
            };
            session.accept(&payload).await?;
            session.server.listens = true;
            if let Some(algorithm) = compression {
                session.client = session.client.compressed(algorithm);
            }
            Ok(Some(session))
        }
        Err(error) => Err(error),
    }
}

impl Session {
    /// Relays the OK that ends an authentication.
    async fn accept(&mut self, payload: &[u8]) -> Result<(), SessionError> {
        let rewritten = self.note_ok(payload)?;
        // What the server reports by itself at login is not all of what a plan needs.
        self.state.forget();
        self.client.put(rewritten.as_deref().unwrap_or(payload));
        self.client.flush().await?;
        Ok(())
    }

    async fn run(&mut self) -> Result<(), SessionError> {
        loop {
            self.client.rest();
            self.server.rest();
            if self.client.input.is_empty() && self.idle().await? == Next::Close {
                return Ok(());
            }
            if self.command().await? == Next::Close {
                return Ok(());
            }
        }
    }

    /// Waits for the client's next command, and watches the server meanwhile: it may end the session
    /// by itself (KILL, wait_timeout), with or without an ERR.
    async fn idle(&mut self) -> Result<Next, SessionError> {
        let stop = match self.state.in_transaction {
            true => self.shared.deadline.clone(),
            false => self.shared.shutdown.clone(),
        };
        tokio::select! {
            read = self.client.fill_idle() => Ok(if read? == 0 { Next::Close } else { Next::Command }),
            read = self.server.fill_idle() => {
                if !matches!(read, Ok(read) if read > 0) {
                    return Ok(Next::Close);
                }
                // An unsolicited ERR starts a sequence of its own.
                let payload = self.server.read_packet().await?;
                self.client.sequence = 0;
                self.client.put(&payload);
                self.client.flush().await?;
                Ok(Next::Close)
            }
            () = stop.cancelled() => {
                self.client.sequence = 0;
                self.client.put(&ErrPacket::new(1053, b"08S01", "Server shutdown in progress").encode());
                self.client.flush().await?;
                Ok(Next::Close)
            }
        }
    }

    async fn command(&mut self) -> Result<Next, SessionError> {
        while self.client.input.len() <= HEADER {
            if self.client.peek_header().is_some_and(|header| header.length == 0) {
                return Err(Malformed("command: empty packet").into());
            }
            if self.client.fill().await? == 0 {
                return Ok(Next::Close);
            }
        }
        let header = self.client.peek_header().ok_or(Malformed("command: header"))?;
        let command = self.client.input.get(HEADER).copied().ok_or(Malformed("command: empty packet"))?;
        if header.sequence != 0 {
            let error = ErrPacket::new(1156, b"08S01", "Got packets out of order");
            self.client.sequence = header.sequence.wrapping_add(1);
            self.client.put(&error.encode());
            self.client.flush().await?;
            return Ok(Next::Close);
        }
        self.server.sequence = 0;
        match command {
            COM_QUIT => {
                self.forward_command().await?;
                return Ok(Next::Close);
            }
            COM_QUERY => self.query().await?,
            COM_FIELD_LIST => {
                let catalog = self.shared.catalog.current();
                self.forward_command().await?;
                self.relay(Answer::Definitions, View::Fields { catalog: &catalog }).await?;
            }
            COM_STMT_PREPARE => self.prepare().await?,
            COM_STMT_EXECUTE => self.execute().await?,
            COM_STMT_FETCH => self.fetch().await?,
            COM_STMT_SEND_LONG_DATA => self.send_long_data().await?,
            COM_STMT_RESET => self.reset_statement().await?,
            COM_STMT_CLOSE => self.close_statement().await?,
            COM_INIT_DB => self.init_db().await?,
            COM_SET_OPTION => self.set_option().await?,
            COM_RESET_CONNECTION => {
                self.forward_command().await?;
                if self.relay(Answer::Short, View::Plain).await?.error.is_none() {
                    self.statements = Statements::default();
                    self.state.forget();
                }
            }
            COM_CHANGE_USER => return self.change_user().await,
            COM_REGISTER_SLAVE | COM_BINLOG_DUMP | COM_BINLOG_DUMP_GTID if !self.shared.config.allow_replication => {
                self.refuse_replication().await?;
            }
            COM_BINLOG_DUMP | COM_BINLOG_DUMP_GTID => {
                if self.replicate().await? {
                    return Ok(Next::Close);
                }
            }
            command => match answer(command) {
                Some(answer) => {
                    self.forward_command().await?;
                    self.relay(answer, View::Plain).await?;
                }
                None => {
                    self.held_command().await?;
                    let text = format!("command {command:#04x} is not relayed");
                    self.answer(&sealwire_error(RefusalCode::UnknownCommand, text));
                }
            },
        }
        self.client.flush().await?;
        Ok(Next::Command)
    }

    /// Puts an ERR of the proxy's own; the command it answers has been read whole.
    pub(super) fn answer(&mut self, error: &ErrPacket) {
        self.client.put(&error.encode());
    }

    /// Puts a packet of the server's as the answer to the present command.
    pub(super) fn answer_raw(&mut self, payload: &[u8]) {
        self.client.put(payload);
    }

    /// Sends the client's command to the server as it comes, never held whole.
    pub(super) async fn forward_command(&mut self) -> Result<(), SessionError> {
        let mut expected = 0;
        loop {
            while self.client.input.len() < HEADER {
                if self.client.fill().await? == 0 {
                    return Err(SessionError::Closed);
                }
            }
            let header = self.client.peek_header().ok_or(Malformed("command: header"))?;
            if header.sequence != expected {
                return Err(OUT_OF_ORDER.into());
            }
            expected = expected.wrapping_add(1);
            let mut left = HEADER + header.length;
            while left > 0 {
                if self.client.input.is_empty() && self.client.fill().await? == 0 {
                    return Err(SessionError::Closed);
                }
                let piece = self.client.input.split_to(left.min(self.client.input.len()));
                left -= piece.len();
                self.send_to_server(&piece).await?;
            }
            self.client.sequence = header.sequence.wrapping_add(1);
            self.server.sequence = self.client.sequence;
            if header.length < MAX_PAYLOAD {
                break;
            }
        }
        let sent = self.server.flush().await;
        self.heard(sent).await
    }

    async fn send_to_server(&mut self, bytes: &[u8]) -> Result<(), SessionError> {
        let sent = self.server.send_raw(bytes).await;
        self.heard(sent).await
    }

    /// A server that refuses a large command may say so, and close, before it has read it all; what it said is
    /// still to be relayed.
    pub(super) async fn heard(&mut self, sent: io::Result<()>) -> Result<(), SessionError> {
        let Err(error) = sent else { return Ok(()) };
        self.relay_last_words().await;
        Err(error.into())
    }

    /// Relays the packet that a server left behind when it closed; whether there was one.
    async fn relay_last_words(&mut self) -> bool {
        let Ok(payload) = self.server.read_packet().await else { return false };
        self.client.sequence = self.server.sequence.wrapping_sub(1);
        self.client.put(&payload);
        self.client.flush().await.is_ok()
    }

    /// Reads more of a response. A client that closes meanwhile is passed on as it is: the server ends some
    /// waits early then (MySQL without TLS: SLEEP, GET_LOCK), and still answers a client that closed its sending half only.
    pub(super) async fn fill_from_server(&mut self) -> std::io::Result<usize> {
        while !self.client_ended && self.client.input.is_empty() {
            tokio::select! {
                biased;
                read = self.server.fill() => return read,
                read = self.client.fill_idle() => {
                    if !matches!(read, Ok(read) if read > 0) {
                        self.client_ended = true;
                        self.server.end_output().await;
                    }
                }
            }
        }
        self.server.fill().await
    }

    /// Sends a payload that was held whole.
    pub(super) async fn send_payload(&mut self, payload: &[u8]) -> Result<(), SessionError> {
        self.server.sequence = 0;
        self.server.put(payload);
        let Err(error) = self.server.flush().await else { return Ok(()) };
        if !self.relay_last_words().await && payload.len() > MAX_PAYLOAD {
            let text = format!(
                "Got a packet bigger than 'max_allowed_packet' bytes (sealwire: the server closed the connection \
                 while it was sent {} bytes, values sealed)",
                payload.len()
            );
            self.answer(&ErrPacket::new(1153, b"08S01", text));
            self.client.flush().await?;
        }
        Err(error.into())
    }

    /// The client's command, held whole: of several packets, no more than the server would take.
    pub(super) async fn held_command(&mut self) -> Result<Vec<u8>, SessionError> {
        let limit = match self.client.peek_header() {
            Some(header) if header.length == MAX_PAYLOAD => self.largest_payload().await,
            _ => LARGEST_PAYLOAD,
        };
        let read = self.client.read_packet_of(limit).await;
        if matches!(read, Err(SessionError::TooLarge)) {
            let text = "Got a packet bigger than 'max_allowed_packet' bytes";
            self.answer(&ErrPacket::new(1153, b"08S01", text));
            self.client.flush().await?;
        }
        read
    }

    /// The server's `max_allowed_packet`. It is asked for once, by the control connection and only where it matters:
    /// a session keeps the one that it began with.
    pub(super) async fn largest_payload(&mut self) -> usize {
        if self.largest.is_none() {
            self.largest = self.shared.catalog.max_allowed_packet().await;
        }
        self.largest.unwrap_or(LARGEST_PAYLOAD)
    }

    /// Waits until the command is in the buffer whole, if it is a single packet.
    pub(super) async fn whole_command(&mut self) -> Result<bool, SessionError> {
        loop {
            let header = self.client.peek_header().ok_or(Malformed("command: header"))?;
            if header.length == MAX_PAYLOAD {
                return Ok(false);
            }
            let total = HEADER + header.length;
            if self.client.input.len() >= total {
                return Ok(true);
            }
            self.client.input.reserve(total - self.client.input.len());
            if self.client.fill().await? == 0 {
                return Err(SessionError::Closed);
            }
        }
    }

    /// Whether COM_QUERY and COM_STMT_EXECUTE carry query attributes.
    pub(super) fn query_attributes(&self) -> bool {
        self.server_capabilities & CLIENT_QUERY_ATTRIBUTES != 0
    }

    /// Where the text of a COM_QUERY begins.
    fn text_start(&self, payload: &[u8]) -> Result<usize, Malformed> {
        if self.query_attributes() { attributes::text_start(payload) } else { Ok(1) }
    }

    async fn query(&mut self) -> Result<(), SessionError> {
        let prefilter = self.shared.prefilter().await;
        if self.whole_command().await? {
            let length = self.client.peek_header().map_or(0, |header| header.length);
            let payload = self.client.input.get(HEADER..HEADER + length).unwrap_or_default();
            // What cannot be read is refused below.
            let text = self.text_start(payload).ok().and_then(|start| payload.get(start..));
            if text.is_some_and(|text| !prefilter.1.hit(text)) {
                self.forward_command().await?;
                self.relay(Answer::Results, View::Plain).await?;
                return Ok(());
            }
        }
        let payload = self.held_command().await?;
        let (block, text) = match self.text_start(&payload) {
            Ok(start) => payload.split_at_checked(start).unwrap_or_default(),
            Err(malformed) => {
                self.answer(&sealwire_error(RefusalCode::MalformedPacket, malformed.0));
                return Ok(());
            }
        };
        if !prefilter.1.hit(text) {
            self.send_payload(&payload).await?;
            self.relay(Answer::Results, View::Plain).await?;
            return Ok(());
        }
        match self.decide(text, Protocol::Text).await? {
            Decision::Answer(error) => self.answer(&error),
            Decision::Forward(Pass { invalidates_catalog, scrub_rows, refuse_sealed }) => {
                self.send_payload(&payload).await?;
                let view = match (refuse_sealed, scrub_rows) {
                    (true, _) => View::Unsealed { format: RowFormat::Text },
                    (false, true) => View::Scrub,
                    (false, false) => View::Plain,
                };
                self.relay(Answer::Results, view).await?;
                if invalidates_catalog {
                    self.shared.catalog.invalidate();
                }
            }
            Decision::Run(ready) => {
                let mut command = Vec::with_capacity(block.len() + ready.text.len());
                command.extend_from_slice(block);
                command.extend_from_slice(&ready.text);
                drop(payload);
                self.send_payload(&command).await?;
                drop(command);
                let results: Vec<ResultRoles> = ready.plan.statements.into_iter().map(|s| s.result).collect();
                let memo = self.shared.keys.memo();
                let view = View::Roles { results: &results, format: RowFormat::Text, memo: &memo };
                self.relay(Answer::Results, view).await?;
                if ready.plan.invalidates_catalog {
                    self.shared.catalog.invalidate();
                }
            }
        }
        Ok(())
    }

    async fn init_db(&mut self) -> Result<(), SessionError> {
        let payload = self.held_command().await?;
        self.send_payload(&payload).await?;
        if self.relay(Answer::Short, View::Plain).await?.error.is_none() {
            let name = String::from_utf8_lossy(payload.get(1..).unwrap_or_default()).into_owned();
            self.state.schema = Some(name);
        }
        Ok(())
    }

    async fn set_option(&mut self) -> Result<(), SessionError> {
        let payload = self.held_command().await?;
        self.send_payload(&payload).await?;
        if self.relay(Answer::Short, View::Plain).await?.error.is_none() {
            // MYSQL_OPTION_MULTI_STATEMENTS_ON is 0, _OFF is 1.
            self.multi_statements = payload.get(1..3) == Some(&[0, 0]);
        }
        Ok(())
    }

    /// COM_CHANGE_USER: an authentication in mid-session. Its scramble is the greeting's unless the
    /// server sends another one.
    async fn change_user(&mut self) -> Result<Next, SessionError> {
        let payload = self.held_command().await?;
        let change = ChangeUser::parse(payload, self.client_capabilities)?;
        match must_withhold(&change.auth_plugin, &self.client, &self.server) {
            true => self.send_payload(&change.withheld()).await?,
            false => self.send_payload(change.payload()).await?,
        }
        let schema = change.schema.map(|name| String::from_utf8_lossy(&name).into_owned());
        let mut exchange = Exchange {
            plugin: change.auth_plugin,
            scramble: self.scramble.clone(),
            capabilities: self.server_capabilities,
        };
        let shared = self.shared.clone();
        let verdict = exchange.run(&shared, &mut self.client, &mut self.server).await?;
        self.statements = Statements::default();
        self.scramble = exchange.scramble;
        match verdict {
            // MySQL closes now. MariaDB goes on with the user and the schema of before, and all else reset.
            Verdict::Denied => {
                self.state.forget();
                Ok(Next::Command)
            }
            Verdict::Accepted(payload) => {
                self.state = SessionState { schema, ..SessionState::default() };
                self.accept(&payload).await?;
                Ok(Next::Command)
            }
        }
    }
}
