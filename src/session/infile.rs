//! The file of a LOAD DATA LOCAL, on its way from the client to the server: as it comes, or with the fields of
//! protected columns sealed. Its packets are data until an empty one; none is ever taken for a command.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::command::Session;
use super::error::{SessionError, sealwire_error};
use super::leg::LARGEST_PAYLOAD;
use super::protect::{Sealing, key_error, seal};
use crate::catalog::{Physical, ProtectedColumn};
use crate::keys::Placed;
use crate::seal::Plaintext;
use crate::seal::types::{BadValue, Input, Rules, fit};
use crate::sql::RefusalCode;
use crate::sql::charset::decode_to_utf8;
use crate::sql::load_data::LoadPlan;
use crate::sql::load_rows::{Row, Rows};
use crate::sql::misfit::rules;
use crate::wire::err::ErrPacket;

/// Rows that are held back at first, so that a mistake among them leaves nothing in the table.
const HELD: usize = 16 << 20;
/// Rows whose values are sealed together.
const ROWS_AT_ONCE: usize = 256;
/// Payloads of the packets that sealed rows are sent in.
const PACKET: usize = 64 * 1024;

/// What is wrong with a file, at which of its rows.
struct Refused(ErrPacket);

/// A file being sealed.
struct Sealer<'p> {
    plan: &'p LoadPlan,
    rows: Rows,
    /// Split and not sealed yet.
    waiting: Vec<Row>,
    /// Sealed and not sent yet.
    out: Vec<u8>,
    /// Of the first row in `waiting`, from 1; skipped lines do not count.
    row: u32,
    /// How fields of columns with a declared type are converted.
    rules: Option<Rules>,
}

impl Session {
    /// Carries the client's file to the server, up to its end. `Some`: it was refused, and the server got an empty
    /// file in its place.
    pub(super) async fn relay_file(&mut self, load: Option<&LoadPlan>) -> Result<Option<ErrPacket>, SessionError> {
        let Some(plan) = load else { return self.relay_plain_file().await.map(|()| None) };
        let flavor = self.shared.catalog.current().version.flavor;
        // What the server makes of a value that the type does not take comes with a warning: refused.
        let rules = self.state.known().map(|known| rules(flavor, known.sql_mode, BadValue::Refuse));
        let mut sealer =
            Sealer { plan, rows: Rows::new(plan.format.clone()), waiting: Vec::new(), out: Vec::new(), row: 1, rules };
        let mut sent = false;
        loop {
            let piece = self.piece_of_file().await?;
            let last = piece.is_empty();
            sealer.rows.push(&piece);
            if let Err(Refused(error)) = self.seal_rows(&mut sealer, last).await? {
                if sent {
                    return self.break_off(&error).await;
                }
                if !last {
                    while !self.piece_of_file().await?.is_empty() {}
                }
                self.file_to_server(b"").await?;
                return Ok(Some(error));
            }
            if last || sealer.out.len() >= HELD || (sent && sealer.out.len() >= PACKET) {
                for packet in std::mem::take(&mut sealer.out).chunks(PACKET) {
                    self.file_to_server(packet).await?;
                }
                sent = true;
            }
            if last {
                self.file_to_server(b"").await?;
                return Ok(None);
            }
        }
    }

    async fn relay_plain_file(&mut self) -> Result<(), SessionError> {
        loop {
            let piece = self.piece_of_file().await?;
            self.file_to_server(&piece).await?;
            if piece.is_empty() {
                return Ok(());
            }
        }
    }

    async fn piece_of_file(&mut self) -> Result<Vec<u8>, SessionError> {
        self.client.read_next_packet(LARGEST_PAYLOAD).await
    }

    /// Sends a packet of the file, of which an empty one is the end.
    async fn file_to_server(&mut self, packet: &[u8]) -> Result<(), SessionError> {
        self.server.put(packet);
        let sent = match packet.is_empty() {
            true => self.server.flush().await,
            false => self.server.flush_if_high().await,
        };
        self.heard(sent).await
    }

    /// The server has rows already: it must not take what it has for the whole file, and a connection that ends is
    /// the only way to tell it.
    async fn break_off(&mut self, error: &ErrPacket) -> Result<Option<ErrPacket>, SessionError> {
        while !self.piece_of_file().await?.is_empty() {}
        self.client.put(&error.encode());
        self.client.flush().await?;
        Err(SessionError::Closed)
    }

    /// Splits what has arrived and seals the rows that are whole.
    async fn seal_rows(&mut self, sealer: &mut Sealer<'_>, last: bool) -> Result<Result<(), Refused>, SessionError> {
        loop {
            let next = match sealer.rows.next(last) {
                Ok(next) => next,
                Err(error) => {
                    let row = sealer.row.saturating_add(u32::try_from(sealer.waiting.len()).unwrap_or(u32::MAX));
                    return Ok(Err(refused(row, &error.to_string())));
                }
            };
            let ended = next.is_none();
            match next {
                // A line that IGNORE skips.
                Some(row) if row.fields.is_empty() => sealer.out.extend_from_slice(&row.bytes),
                Some(row) => sealer.waiting.push(row),
                None => {}
            }
            let full = sealer.waiting.len() >= ROWS_AT_ONCE;
            if (full || ended)
                && let Err(refused) = self.seal_waiting(sealer).await?
            {
                return Ok(Err(refused));
            }
            if ended {
                return Ok(Ok(()));
            }
        }
    }

    async fn seal_waiting(&mut self, sealer: &mut Sealer<'_>) -> Result<Result<(), Refused>, SessionError> {
        let rows = std::mem::take(&mut sealer.waiting);
        let (mut places, mut values) = (Vec::new(), Vec::new());
        for (at, row) in rows.iter().enumerate() {
            let number = sealer.row.saturating_add(u32::try_from(at).unwrap_or(u32::MAX));
            for (index, field) in sealer.plan.fields.iter().enumerate() {
                let Some(column) = &field.seal else { continue };
                let Some(found) = row.fields.get(index) else {
                    let what = format!("has no field for {}.{}", column.table, column.name);
                    return Ok(Err(refused(number, &what)));
                };
                let Some(value) = &found.value else {
                    if column.nullable {
                        continue;
                    }
                    let what = format!("is NULL in {}.{}, which is NOT NULL", column.table, column.name);
                    return Ok(Err(refused(number, &what)));
                };
                let Some(value) = plaintext(sealer.plan, column, value) else {
                    let place = format!("{}.{}", column.table, column.name);
                    let what = match sealer.plan.charset {
                        Some(_) => format!("is not valid in the file's character set at {place}"),
                        None => format!("holds more than ASCII at {place}, and no CHARACTER SET is given"),
                    };
                    return Ok(Err(refused(number, &what)));
                };
                let Some(value) = fitted(sealer.rules, column, value) else {
                    let declared = column.logical.as_ref().map(ToString::to_string).unwrap_or_default();
                    let what =
                        format!("holds a value that is not of the type {declared} of {}.{}", column.table, column.name);
                    return Ok(Err(refused(number, &what)));
                };
                places.push((at, index));
                values.push((column.clone(), number, value));
            }
        }
        // A file may take hours, and the key that it began with may have been superseded or lost since.
        if let (Some(to), Some((column, ..))) = (&self.destination, values.first()) {
            let columns = values.iter().map(|(column, ..)| column.as_ref());
            if let Err(error) = self.shared.keys.vouch(columns, to).await {
                return Ok(Err(Refused(key_error(&error, column))));
            }
        }
        let sealed = loop {
            let batch = values.iter().map(|(column, row, value): &(Arc<ProtectedColumn>, u32, Plaintext)| {
                (*row, Placed::from((column.clone(), value.clone())))
            });
            match seal(&self.shared.keys, &self.shared.catalog, batch).await {
                Sealing::Sealed(sealed) => break sealed,
                // The column is wider than when the statement was planned: what was sealed fits now.
                Sealing::Stale => {
                    let snapshot = self.shared.catalog.current();
                    for (column, ..) in &mut values {
                        let now = snapshot
                            .table(&column.table)
                            .flatten()
                            .and_then(|t| t.column(&column.name)?.protected.clone());
                        match now {
                            Some(now) if now.scope == column.scope && now.physical == column.physical => *column = now,
                            _ => return Ok(Err(refused(sealer.row, "belongs to a table that has changed meanwhile"))),
                        }
                    }
                }
                Sealing::Answer(error) => return Ok(Err(Refused(error))),
            }
        };
        let mut sealed = places.into_iter().zip(sealed).peekable();
        for (at, row) in rows.iter().enumerate() {
            let mut replaced = Vec::new();
            while let Some(((_, index), stored)) = sealed.next_if(|((row, _), _)| *row == at) {
                replaced.push((index, stored));
            }
            sealer.out.extend_from_slice(&row.rewrite(&sealer.plan.format, &replaced));
        }
        sealer.row = sealer.row.saturating_add(u32::try_from(rows.len()).unwrap_or(u32::MAX));
        Ok(Ok(()))
    }
}

/// The value that the server would store: UTF-8 for text columns, the bytes for binary ones. `None`: not certain.
fn plaintext(plan: &LoadPlan, column: &ProtectedColumn, value: &[u8]) -> Option<Plaintext> {
    match (column.content(), plan.charset) {
        (Physical::Binary, _) => Some(Plaintext::new(value.to_vec())),
        (Physical::Text, None) => value.is_ascii().then(|| Plaintext::new(value.to_vec())),
        (Physical::Text, Some(charset)) => decode_to_utf8(value, charset).map(|utf8| Plaintext::new(utf8.into_owned())),
    }
}

/// The value in the column's declared type, if it has one; `None`: the type does not take it as it is.
fn fitted(rules: Option<Rules>, column: &ProtectedColumn, value: Plaintext) -> Option<Plaintext> {
    let Some(logical) = &column.logical else { return Some(value) };
    let input = match column.content() {
        Physical::Binary => Input::Bytes(Zeroizing::new(value.expose().to_vec())),
        Physical::Text => Input::Text(Zeroizing::new(std::str::from_utf8(value.expose()).ok()?.to_owned())),
    };
    fit(logical, &input, rules?).ok().map(|plain| Plaintext::new(plain.to_vec()))
}

fn refused(row: u32, what: &str) -> Refused {
    Refused(sealwire_error(RefusalCode::LocalInfile, format!("row {row} of the file {what}")))
}
