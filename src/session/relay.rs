//! Carries one response from the server to the client: unread where nothing is protected, row by row
//! where values must be opened.

use std::sync::Arc;

use bytes::Bytes;

use super::command::Session;
use super::error::{SessionError, sealwire_error};
use super::rows::{Opening, RowFormat, hidden};
use super::{scrub, typed};
use crate::catalog::{ServerFlavor, Snapshot};
use crate::config::TableName;
use crate::keys::Memo;
use crate::seal::looks_sealed;
use crate::seal::types::LogicalType;
use crate::sql::load_data::LoadPlan;
use crate::sql::{RefusalCode, ResultColumn, ResultRoles};
use crate::wire::Malformed;
use crate::wire::binary::{self, Place};
use crate::wire::capability::{CLIENT_DEPRECATE_EOF, CLIENT_SESSION_TRACK, MARIADB_CLIENT_EXTENDED_METADATA};
use crate::wire::column::ColumnDefinition;
use crate::wire::command::Answer;
use crate::wire::err::ErrPacket;
use crate::wire::frame::{HEADER, Header, MAX_PAYLOAD};
use crate::wire::ok::{self, OkPacket};
use crate::wire::reader::{Reader, put_lenenc};
use crate::wire::response::{Kind, Response, Step};
use crate::wire::status::SERVER_SESSION_STATE_CHANGED;
use crate::wire::text;

/// Rows gathered before their values are opened together, at most.
const ROWS_AT_ONCE: usize = 256;

/// How a response is to be seen.
#[derive(Clone, Copy)]
pub enum View<'a> {
    /// Nothing in it is protected.
    Plain,
    /// One entry per result, in order.
    Roles { results: &'a [ResultRoles], format: RowFormat, memo: &'a Memo },
    /// The answer to COM_STMT_PREPARE: definitions without rows.
    Prepared { roles: &'a ResultRoles },
    /// The answer to COM_FIELD_LIST: definitions of a table's columns.
    Fields { catalog: &'a Snapshot },
    /// Rows of a cursor: the column types are known from the execution.
    Cursor { roles: &'a ResultRoles, types: &'a [u8], memo: &'a Memo },
    /// Rows that may quote sealed values (SHOW WARNINGS).
    Scrub,
    /// Rows in which no value may be a sealed one (of an allowed procedure).
    Unsealed { format: RowFormat },
}

/// What the relay learned.
#[derive(Default)]
pub struct Relayed {
    /// The code of the ERR that ended the response, the server's or the proxy's.
    pub error: Option<u16>,
    /// COM_STMT_PREPARE_OK: statement id, columns, parameters.
    pub prepared: Option<(u32, u16, u16)>,
    /// Type codes of the last result set's columns.
    pub column_types: Vec<u8>,
}

/// The state of one relay.
struct Relay<'a> {
    view: View<'a>,
    response: Response,
    relayed: Relayed,
    opening: Option<Opening>,
    memo: Option<&'a Memo>,
    rows: Vec<Bytes>,
    /// The response goes on, the client will get this instead of the rest.
    aborted: Option<ErrPacket>,
    /// Where the client's output stood before the definitions that are held back.
    mark: Option<(usize, u8)>,
    /// Results that had ended when the last packet was looked at.
    ended: usize,
    /// The client's sequence ids are not the server's: every row is framed anew.
    renumber: bool,
}

impl Session {
    /// Relays the answer to a command that was sent whole.
    pub(super) async fn relay(&mut self, answer: Answer, view: View<'_>) -> Result<Relayed, SessionError> {
        let deprecate_eof = self.server_capabilities & CLIENT_DEPRECATE_EOF != 0;
        let session_track = self.server_capabilities & CLIENT_SESSION_TRACK != 0;
        let mut relay = Relay {
            view,
            response: Response::new(answer, deprecate_eof, session_track),
            relayed: Relayed::default(),
            opening: None,
            memo: match view {
                View::Cursor { memo, .. } | View::Roles { memo, .. } => Some(memo),
                _ => None,
            },
            rows: Vec::new(),
            aborted: None,
            mark: None,
            ended: 0,
            // A command that was sent in another number of packets than it came in shifts the ids.
            renumber: self.client.sequence != self.server.sequence,
        };
        if let View::Cursor { roles: ResultRoles::Columns(columns), types, memo } = view {
            relay.opening = Opening::new(columns, types, RowFormat::Binary, memo.clone());
        }
        relay.response.whole_rows = relay.wants_whole_rows();
        loop {
            match relay.response.step(&self.server.input)? {
                Step::Pass(count) => {
                    let bytes = self.server.input.split_to(count);
                    if relay.aborted.is_none() {
                        self.client.send_raw(&bytes).await?;
                    }
                }
                Step::Packet(total, kind) => {
                    self.open_rows(&mut relay).await?;
                    let packet = self.server.input.split_to(total).freeze();
                    self.relay_packet(&mut relay, &packet, kind).await?;
                }
                Step::Row { bytes, packets } => {
                    let packet = self.server.input.split_to(bytes).freeze();
                    relay.rows.push(join(packet, packets));
                    if relay.rows.len() >= ROWS_AT_ONCE {
                        self.open_rows(&mut relay).await?;
                    }
                }
                Step::NeedMore => {
                    self.open_rows(&mut relay).await?;
                    self.client.flush().await?;
                    if self.fill_from_server().await? == 0 {
                        return Err(SessionError::Closed);
                    }
                }
                Step::Done => break,
            }
        }
        self.open_rows(&mut relay).await?;
        if let Some(error) = relay.aborted.take() {
            relay.relayed.error = Some(error.code);
            self.client.put(&error.encode());
        }
        Ok(relay.relayed)
    }

    async fn relay_packet(&mut self, relay: &mut Relay<'_>, packet: &Bytes, kind: Kind) -> Result<(), SessionError> {
        let payload = packet.get(HEADER..).unwrap_or_default();
        let header = Header::parse(packet).ok_or(Malformed("packet header"))?;
        self.server.sequence = header.sequence.wrapping_add(1);
        if relay.aborted.is_none() && !relay.renumber {
            match relay.response.whole_rows {
                // Opened rows may take more or fewer packets than sealed ones.
                true => relay.renumber = self.client.sequence != header.sequence,
                // Rows may have passed unread: the server's numbering is the client's.
                false => self.client.sequence = header.sequence,
            }
        }
        let mut rewritten: Option<Vec<u8>> = None;
        let mut shown = true;
        match kind {
            Kind::Ok => rewritten = self.note_ok(payload)?,
            Kind::Eof => self.state.note_status(ok::parse_eof(payload)?.1),
            Kind::Err => {
                let error = ErrPacket::parse(payload)?;
                relay.relayed.error = Some(error.code);
                if !matches!(relay.view, View::Plain) {
                    rewritten = scrub::error(&error).map(|error| error.encode());
                }
            }
            Kind::LocalInfile => {
                if relay.aborted.is_some() {
                    // A client that is to get an ERR is not asked for its file; the server gets an empty one.
                    self.server.put(b"");
                    self.server.flush().await?;
                    return Ok(());
                }
                self.client.put(payload);
                self.client.flush().await?;
                if let Some(error) = self.relay_file(relay.load().as_deref()).await? {
                    relay.aborted = Some(error);
                }
                relay.renumber |= self.client.sequence != self.server.sequence;
                relay.response.whole_rows = relay.wants_whole_rows();
                return Ok(());
            }
            Kind::PrepareOk => {
                let mut reader = Reader::new(payload);
                reader.u8("COM_STMT_PREPARE_OK")?;
                let id = reader.u32("COM_STMT_PREPARE_OK")?;
                let columns = reader.u16("COM_STMT_PREPARE_OK")?;
                relay.relayed.prepared = Some((id, columns, reader.u16("COM_STMT_PREPARE_OK")?));
                let hidden = relay.prepared_roles().map_or(0, hidden);
                if hidden > 0 {
                    let shown = columns.saturating_sub(u16::try_from(hidden).unwrap_or(u16::MAX));
                    let mut answer = payload.to_vec();
                    answer.get_mut(5..7).ok_or(Malformed("COM_STMT_PREPARE_OK"))?.copy_from_slice(&shown.to_le_bytes());
                    rewritten = Some(answer);
                }
            }
            Kind::ColumnCount(count) => {
                self.begin_result(relay, count);
                let hidden = relay.roles().map_or(0, hidden) as u64;
                if hidden > 0 {
                    let mut answer = Vec::new();
                    put_lenenc(&mut answer, count.saturating_sub(hidden));
                    rewritten = Some(answer);
                }
            }
            Kind::Column => {
                shown = !relay.is_hidden(relay.relayed.column_types.len());
                relay.renumber |= !shown;
                rewritten = self.note_column(relay, payload)?;
            }
            Kind::Parameter | Kind::String => {}
        }
        if relay.aborted.is_none() && shown {
            self.client.put(rewritten.as_deref().unwrap_or(payload));
        }
        // The definitions are complete, and none was unexpected: what was held back may go.
        if relay.mark.is_some() && relay.opening.is_some() {
            relay.mark = None;
            self.client.hold = false;
        }
        if relay.response.results_ended != relay.ended {
            relay.ended = relay.response.results_ended;
            relay.opening = None;
            self.client.end_result().await?;
            relay.renumber |= self.client.sequence != self.server.sequence;
        }
        relay.response.whole_rows = relay.wants_whole_rows();
        self.client.flush_if_high().await?;
        Ok(())
    }

    /// The column count of a result set: decides how its rows are read.
    fn begin_result(&mut self, relay: &mut Relay<'_>, count: u64) {
        relay.relayed.column_types.clear();
        let Some(columns) = relay.roles() else { return };
        if columns.len() as u64 == count {
            // Held back until every definition was seen: one that is not as planned turns all into an ERR.
            relay.mark = Some(self.client.mark());
            self.client.hold = true;
        } else {
            self.abort_stale(relay);
        }
    }

    /// The definition that the client gets instead, if another.
    fn note_column(&mut self, relay: &mut Relay<'_>, payload: &[u8]) -> Result<Option<Vec<u8>>, SessionError> {
        let extended = self.extended_capabilities & MARIADB_CLIENT_EXTENDED_METADATA != 0;
        let definition = ColumnDefinition::parse(payload, extended)?;
        let index = relay.relayed.column_types.len();
        relay.relayed.column_types.push(definition.column_type);
        if let View::Fields { catalog } = relay.view {
            let logical = logical_of(catalog, &definition);
            return Ok(logical.map(|logical| typed::restore(&logical, &definition, catalog.version.flavor)));
        }
        let Some(columns) = relay.roles().or_else(|| relay.prepared_roles()) else { return Ok(None) };
        let Some(column) = columns.get(index) else { return Ok(None) };
        if relay.roles().is_none() {
            return Ok(restored(column, &definition, self.shared.catalog.current().version.flavor));
        }
        if column.name.as_ref().is_some_and(|name| !same_name(name, definition.name)) {
            self.abort_stale(relay);
        } else if index + 1 == columns.len() && relay.aborted.is_none() {
            let format = relay.format();
            let memo = relay.memo.cloned().unwrap_or_else(|| self.shared.keys.memo());
            match Opening::new(columns, &relay.relayed.column_types, format, memo) {
                Some(opening) => relay.opening = Some(opening),
                None => self.abort_stale(relay),
            }
        }
        Ok(restored(column, &definition, self.shared.catalog.current().version.flavor))
    }

    /// The result is not what the plan says: the schema changed in between.
    fn abort_stale(&mut self, relay: &mut Relay<'_>) {
        if let Some(mark) = relay.mark.take() {
            self.client.take_back(mark);
            self.client.hold = false;
        }
        self.shared.catalog.invalidate();
        relay.aborted.get_or_insert(sealwire_error(
            RefusalCode::CatalogStale,
            "the result's columns are not those that the catalog leads to expect: the schema changed while the \
             statement was planned",
        ));
    }

    /// Reads the session state out of an OK, and rewrites it for a client that did not ask for that.
    pub(super) fn note_ok(&mut self, payload: &[u8]) -> Result<Option<Vec<u8>>, SessionError> {
        let tracked = self.server_capabilities & CLIENT_SESSION_TRACK != 0;
        let ok = OkPacket::parse(payload, tracked)?;
        self.state.note_status(ok.status);
        if tracked {
            self.state.apply(&ok.changes()?);
        }
        if tracked && self.client_capabilities & CLIENT_SESSION_TRACK != 0 {
            return Ok(ok.encode_without_redirect()?);
        }
        let differs = !ok.info.is_empty() || ok.status & SERVER_SESSION_STATE_CHANGED != 0;
        Ok((tracked && differs).then(|| ok.encode_without_session_track()))
    }

    /// Opens and sends the rows gathered so far.
    async fn open_rows(&mut self, relay: &mut Relay<'_>) -> Result<(), SessionError> {
        if relay.rows.is_empty() {
            return Ok(());
        }
        let rows = std::mem::take(&mut relay.rows);
        if relay.aborted.is_some() {
            return Ok(());
        }
        if let Some(opening) = &relay.opening {
            let charset = self.state.character_set_results;
            let mut opened = opening.begin(&self.shared.keys, charset, rows)?;
            loop {
                if opened.must_wait() {
                    self.client.flush().await?;
                }
                match opened.next().await {
                    Some(Ok(row)) => {
                        self.client.put(&row);
                        self.client.flush_if_high().await?;
                    }
                    Some(Err(error)) => {
                        relay.aborted.get_or_insert(error);
                        break;
                    }
                    None => break,
                }
            }
            return Ok(());
        }
        for row in rows {
            match relay.view {
                View::Scrub => self.client.put(&scrub::row(&row)),
                View::Unsealed { format } if holds_sealed(&row, format, &relay.relayed.column_types)? => {
                    relay.aborted.get_or_insert(sealwire_error(
                        RefusalCode::SealedInResult,
                        "the procedure's result holds a sealed value, which only a statement of its own would open",
                    ));
                    return Ok(());
                }
                _ => self.client.put(&row),
            }
            self.client.flush_if_high().await?;
        }
        Ok(())
    }
}

impl<'a> Relay<'a> {
    fn wants_whole_rows(&self) -> bool {
        self.renumber || self.opening.is_some() || matches!(self.view, View::Scrub | View::Unsealed { .. })
    }

    /// The planned columns of the result that is coming, if it has any.
    fn roles(&self) -> Option<&'a [ResultColumn]> {
        let View::Roles { results, .. } = self.view else { return None };
        match results.get(self.response.results_ended) {
            Some(ResultRoles::Columns(columns)) => Some(columns),
            _ => None,
        }
    }

    /// The planned columns of a statement that is being prepared.
    fn prepared_roles(&self) -> Option<&'a [ResultColumn]> {
        match self.view {
            View::Prepared { roles: ResultRoles::Columns(columns) } => Some(columns),
            _ => None,
        }
    }

    /// Whether the client does not see this column of the result or of the statement that is being prepared.
    fn is_hidden(&self, index: usize) -> bool {
        let columns = self.roles().or_else(|| self.prepared_roles());
        columns.and_then(|columns| columns.get(index)).is_some_and(|column| column.hidden)
    }

    /// How the file is to be sealed that the server asks for.
    fn load(&self) -> Option<Arc<LoadPlan>> {
        let View::Roles { results, .. } = self.view else { return None };
        match results.get(self.response.results_ended) {
            Some(ResultRoles::Load(plan)) => Some(plan.clone()),
            _ => None,
        }
    }

    fn format(&self) -> RowFormat {
        match self.view {
            View::Roles { format, .. } => format,
            _ => RowFormat::Binary,
        }
    }
}

/// The definition of a column whose type is declared, as the application is to see it.
fn restored(column: &ResultColumn, definition: &ColumnDefinition<'_>, flavor: ServerFlavor) -> Option<Vec<u8>> {
    let logical = column.open.as_ref()?.logical.as_ref()?;
    Some(typed::restore(logical, definition, flavor))
}

/// The declared type of a base table's column.
fn logical_of(catalog: &Snapshot, definition: &ColumnDefinition<'_>) -> Option<LogicalType> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let table = catalog.table(&TableName::new(text(definition.schema), text(definition.org_table))).flatten()?;
    table.column(&text(definition.org_name))?.protected.as_ref()?.logical.clone()
}

/// Whether any value of a row is a sealed one, or looks like one.
fn holds_sealed(row: &[u8], format: RowFormat, types: &[u8]) -> Result<bool, Malformed> {
    let values = match format {
        RowFormat::Text => text::row_values(row, types.len())?,
        RowFormat::Binary => binary::row_values(row, types)?,
    };
    let value = |place: &Place| row.get(place.value.clone()).unwrap_or_default();
    Ok(values.iter().flatten().any(|place| looks_sealed(value(place))))
}

fn same_name(expected: &str, got: &[u8]) -> bool {
    !expected.is_ascii() || !got.is_ascii() || expected.as_bytes().eq_ignore_ascii_case(got)
}

/// The payload of a row, its packets joined.
fn join(packet: Bytes, packets: usize) -> Bytes {
    if packets == 1 {
        return packet.slice(HEADER.min(packet.len())..);
    }
    let mut payload = Vec::with_capacity(packet.len());
    for piece in packet.chunks(HEADER + MAX_PAYLOAD) {
        payload.extend_from_slice(piece.get(HEADER..).unwrap_or_default());
    }
    payload.into()
}
