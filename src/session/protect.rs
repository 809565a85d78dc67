//! What happens to a statement that may touch protected data: it is analysed on a fresh catalog, its
//! values are sealed and measured, and only then is anything sent.

use std::sync::Arc;

use super::command::Session;
use super::error::{SessionError, err_packet, refused, sealwire_error};
use super::state::{Known, OTHER_SCHEMA, PASSWORD_EXPIRED, START_TRACKING, TELL_CHARACTER_SET_RESULTS, tell_state};
use crate::catalog::{self, Catalog, CatalogError, Physical, ProtectedColumn, ServerFlavor, Snapshot, Width};
use crate::config::KmsMode;
use crate::keys::{Destination, Identity, KeyError, Keys, Placed};
use crate::seal::format::decode_stored;
use crate::seal::versions::KeyVersions;
use crate::seal::{Plaintext, Sealed};
use crate::sql::splice::{sealed_literals, splice};
use crate::sql::{
    COMPARED, Charset, Context, Outcome, Pass, Plan, Protocol, RefusalCode, ResultRoles, SqlMode, analyse,
};
use crate::wire::attributes;
use crate::wire::command::COM_QUERY;
use crate::wire::err::ErrPacket;
use crate::wire::ok::OkPacket;

/// How often a plan is made anew because the catalog moved or had to learn of tables.
const ATTEMPTS: usize = 8;

/// What becomes of a packet of SQL.
pub enum Decision {
    /// Forward the client's own bytes.
    Forward(Pass),
    /// Send this text instead.
    Run(Box<Ready>),
    /// The client gets an ERR and the server nothing.
    Answer(ErrPacket),
}

/// A plan whose values are sealed and fit.
pub struct Ready {
    pub plan: Plan,
    /// What goes to the server.
    pub text: Vec<u8>,
    pub known: Known,
    /// Of the snapshot the plan was made on.
    pub generation: u64,
    pub versions: Arc<KeyVersions>,
    /// Of a statement that is prepared.
    pub sealed_with: Vec<SealedWith>,
}

/// A data key that values in a text are sealed with.
#[derive(PartialEq, Eq)]
pub struct SealedWith {
    /// `schema.table` as sealed.
    pub table: String,
    pub id: u32,
}

/// A plan before sealing.
pub struct Planned {
    pub plan: Plan,
    pub known: Known,
    pub snapshot: Arc<Snapshot>,
    pub versions: Arc<KeyVersions>,
}

/// An answer on the way to a [`Planned`].
pub enum Planning {
    Forward(Pass),
    Planned(Box<Planned>),
    Answer(ErrPacket),
}

impl Session {
    /// Analyses `text`, seals its values and checks their width. Nothing is sent to the server but, once
    /// a session, the statements that start state tracking.
    pub(super) async fn decide(&mut self, text: &[u8], protocol: Protocol) -> Result<Decision, SessionError> {
        for _ in 0..ATTEMPTS {
            let planned = match self.plan(text, protocol, None).await? {
                Planning::Forward(pass) => return Ok(Decision::Forward(pass)),
                Planning::Answer(error) => return Ok(Decision::Answer(error)),
                Planning::Planned(planned) => *planned,
            };
            let stored = stored_literals(&planned.plan);
            if let Err(error) = self.vouch(&stored).await? {
                return Ok(Decision::Answer(error));
            }
            let literals = sealed_literals(&planned.plan.edits).map(|literal| {
                let (column, row, value) = (literal.column.clone(), literal.bound.clone(), literal.value.clone());
                (literal.row, Placed { column, row, value })
            });
            let sealed = match seal(&self.shared.keys, &self.shared.catalog, literals).await {
                Sealing::Sealed(sealed) => sealed,
                Sealing::Stale => continue,
                Sealing::Answer(error) => return Ok(Decision::Answer(error)),
            };
            let Planned { plan, known, snapshot, versions } = planned;
            let sealed_with = match protocol {
                Protocol::Prepared => sealed_with(&plan, &sealed),
                Protocol::Text => Vec::new(),
            };
            let sealed: Vec<Vec<u8>> = sealed_literals(&plan.edits)
                .zip(sealed)
                .map(|(literal, stored)| literal.form.of(stored, literal.column.physical))
                .collect();
            return Ok(match splice(text, &plan.edits, &sealed, known.lex_mode(&snapshot)) {
                Ok(text) => {
                    let generation = snapshot.generation;
                    Decision::Run(Box::new(Ready { plan, text, known, generation, versions, sealed_with }))
                }
                Err(error) => Decision::Answer(sealwire_error(RefusalCode::GuardFailed, error.to_string())),
            });
        }
        Ok(Decision::Answer(restless()))
    }

    /// Analyses `text`. `schema`: the schema to resolve names in, when it is not the session's present
    /// one (a prepared statement keeps the one it was prepared in).
    pub(super) async fn plan(
        &mut self,
        text: &[u8],
        protocol: Protocol,
        schema: Option<&Option<String>>,
    ) -> Result<Planning, SessionError> {
        let mut refreshed = false;
        for _ in 0..ATTEMPTS {
            let snapshot = match self.shared.catalog.fresh().await {
                Ok(snapshot) => snapshot,
                Err(error) => return Ok(Planning::Answer(catalog_error(&error))),
            };
            let known = match self.state.known() {
                Some(known) => known,
                None => {
                    // A statement that passes however the session's sql_mode reads it needs no tracking,
                    // and must not get it: the SET would clear what SHOW WARNINGS is about to show.
                    if let Some(pass) = passes_under_any_mode(text, &snapshot, protocol, self.multi_statements) {
                        return Ok(Planning::Forward(pass));
                    }
                    match self.start_tracking().await? {
                        Ok(known) => known,
                        Err(error) => return Ok(Planning::Answer(error)),
                    }
                }
            };
            // Bytes of a multi-byte character may look like quotes or backslashes to the lexer.
            if known.character_set_client == Charset::Other && !text.is_ascii() {
                return Ok(Planning::Answer(charset_refused("character_set_client")));
            }
            let schema = schema.unwrap_or(&known.schema);
            let versions = self.shared.keys.versions_now().await;
            let context = Context {
                catalog: &snapshot,
                schema: schema.as_deref(),
                sql_mode: known.sql_mode,
                character_set_client: known.character_set_client,
                character_set_connection: known.character_set_connection,
                protocol,
                multi_statements: self.multi_statements,
                versions: &versions,
            };
            match analyse(text, &context) {
                Outcome::Pass(pass) => return Ok(Planning::Forward(pass)),
                // A name that is not known may have been added a moment ago.
                Outcome::Refuse(refusal) if !refreshed && blames_the_catalog(refusal.code) => {
                    refreshed = true;
                    if let Err(error) = self.shared.catalog.refresh().await {
                        return Ok(Planning::Answer(catalog_error(&error)));
                    }
                }
                Outcome::Refuse(refusal) => return Ok(Planning::Answer(refused(&refusal))),
                Outcome::NeedTables(names) => {
                    if let Err(error) = self.shared.catalog.ensure(&names).await {
                        return Ok(Planning::Answer(catalog_error(&error)));
                    }
                }
                Outcome::Plan(plan) => {
                    if known.character_set_client == Charset::Other {
                        return Ok(Planning::Answer(charset_refused("character_set_client")));
                    }
                    if known.character_set_results == Charset::Other && opens_text(&plan) {
                        return Ok(Planning::Answer(charset_refused("character_set_results")));
                    }
                    return Ok(Planning::Planned(Box::new(Planned { plan, known, snapshot, versions })));
                }
            }
        }
        Ok(Planning::Answer(restless()))
    }

    /// Makes the server report what a plan depends on. `Err`: it will not, and the client is told.
    async fn start_tracking(&mut self) -> Result<Result<Known, ErrPacket>, SessionError> {
        let names = self.shared.catalog.current().lower_case_table_names;
        let tell = tell_state(self.state.schema.as_deref(), names);
        for statement in [START_TRACKING, &tell] {
            let Some(error) = self.run_own(statement).await? else { continue };
            let why = match error.code {
                // So it answers every statement.
                PASSWORD_EXPIRED => return Ok(Err(error)),
                OTHER_SCHEMA => "the server does not report its current schema: SET GLOBAL session_track_schema = ON \
                                 and look into init_connect"
                    .to_owned(),
                code => format!("the server does not report this session's state (error {code})"),
            };
            return Ok(Err(sealwire_error(
                RefusalCode::UnknownSessionState,
                format!("{why}; statements on protected tables cannot be analysed"),
            )));
        }
        if self.state.character_set_results.is_none()
            && let Some(error) = self.run_own(TELL_CHARACTER_SET_RESULTS).await?
        {
            let name = String::from_utf8_lossy(&error.message).into_owned();
            let told = match error.code {
                1644 => Charset::from_name(&name),
                // A text cannot be NULL: the variable is, which stands for no conversion.
                1231 => Charset::Binary,
                PASSWORD_EXPIRED => return Ok(Err(error)),
                _ => Charset::Other,
            };
            self.state.character_set_results = Some(told);
        }
        Ok(self.state.known().ok_or_else(|| {
            sealwire_error(
                RefusalCode::UnknownSessionState,
                "the server did not report sql_mode and character sets through session tracking, so statements on \
                 protected tables cannot be analysed; MySQL 5.7 or MariaDB 10.2 and later do",
            )
        }))
    }

    /// Makes sure that the keys for values of `columns` are in the vault of this session's server. To be called
    /// before anything is sealed that will be stored, while the server waits for a command.
    pub(super) async fn vouch(
        &mut self,
        columns: &[Arc<ProtectedColumn>],
    ) -> Result<Result<(), ErrPacket>, SessionError> {
        let Some(first) = columns.iter().find(|column| column.mode == KmsMode::Envelope) else { return Ok(Ok(())) };
        let to = match &self.destination {
            Some(known) => known.clone(),
            None => {
                let identity = match self.identify().await? {
                    Ok(identity) => identity,
                    Err(error) => return Ok(Err(error)),
                };
                self.destination.insert(Destination::connected(identity)).clone()
            }
        };
        let vouched = self.shared.keys.vouch(columns.iter().map(Arc::as_ref), &to).await;
        Ok(vouched.map_err(|error| key_error(&error, first)))
    }

    /// What tells this session's server from others. Each variable comes as the message of error 1644, as in
    /// [`TELL_CHARACTER_SET_RESULTS`].
    async fn identify(&mut self) -> Result<Result<Option<Identity>, ErrPacket>, SessionError> {
        if !self.shared.keys.compares_servers() {
            return Ok(Ok(None));
        }
        let variables: &'static [&'static str] = match self.shared.catalog.current().version.flavor {
            ServerFlavor::MySql => &["server_uuid"],
            ServerFlavor::MariaDb => &["server_id", "hostname", "port"],
        };
        let mut values = Vec::new();
        for name in variables {
            let statement = format!("SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = @@GLOBAL.{name}");
            match self.run_own(&statement).await? {
                Some(error) if error.code == 1644 => values.push(String::from_utf8_lossy(&error.message).into_owned()),
                _ => {
                    let what = format!("the server does not tell its {name}, so it is not known which vault is its");
                    return Ok(Err(sealwire_error(RefusalCode::UnknownSessionState, what)));
                }
            }
        }
        Ok(Ok(Some(Identity { variables, values: values.join("\n") })))
    }

    /// Runs a statement of the proxy's own that returns no rows. Its answer stays here.
    async fn run_own(&mut self, statement: &str) -> Result<Option<ErrPacket>, SessionError> {
        let mut payload = vec![COM_QUERY];
        if self.query_attributes() {
            payload.extend_from_slice(&attributes::NONE);
        }
        payload.extend_from_slice(statement.as_bytes());
        self.server.sequence = 0;
        self.server.put(&payload);
        self.server.flush().await?;
        let answer = self.server.read_packet().await?;
        if answer.first() == Some(&0xFF) {
            return Ok(Some(ErrPacket::parse(&answer)?));
        }
        let ok = OkPacket::parse(&answer, true)?;
        self.state.apply(&ok.changes()?);
        self.state.note_status(ok.status);
        Ok(None)
    }
}

/// The columns that a plan stores sealed values in, each once; with what it only compares with and parameters left
/// out.
pub fn stored_literals(plan: &Plan) -> Vec<Arc<ProtectedColumn>> {
    let literals = sealed_literals(&plan.edits).filter(|literal| literal.row != COMPARED);
    let loads = plan.statements.iter().filter_map(|statement| match &statement.result {
        ResultRoles::Load(load) => Some(load.fields.iter().filter_map(|field| field.seal.clone())),
        _ => None,
    });
    // One INSERT may hold a hundred thousand values of a column.
    let mut columns: Vec<Arc<ProtectedColumn>> = Vec::new();
    let mut add = |column: &Arc<ProtectedColumn>| {
        if !columns.iter().any(|known| Arc::ptr_eq(known, column)) {
            columns.push(column.clone());
        }
    };
    literals.for_each(|literal| add(&literal.column));
    loads.flatten().for_each(|column| add(&column));
    columns
}

/// The data keys of the literals that a plan stores, each once. `sealed`: their stored forms, in order.
fn sealed_with(plan: &Plan, sealed: &[Vec<u8>]) -> Vec<SealedWith> {
    let mut keys = Vec::new();
    for (literal, stored) in sealed_literals(&plan.edits).zip(sealed) {
        let column = &literal.column;
        if literal.row == COMPARED || column.mode == KmsMode::Direct {
            continue;
        }
        if let Ok(bytes) = decode_stored(stored, column.physical)
            && let Ok(value) = Sealed::parse(&bytes)
        {
            let with = SealedWith { table: column.scope.table.clone(), id: value.header.key_id };
            if !keys.contains(&with) {
                keys.push(with);
            }
        }
    }
    keys
}

/// A sealed batch, or why there is none.
pub enum Sealing {
    /// Stored forms, in the order of the values.
    Sealed(Vec<Vec<u8>>),
    /// The columns became wider since the plan was made: plan again.
    Stale,
    Answer(ErrPacket),
}

/// Seals values, each with the number of its row in the statement, and compares each with its column's width. A value that seems too wide is judged by a
/// catalog that was read after the fact, so that a column just widened never refuses what fits.
pub async fn seal(keys: &Keys, catalog: &Catalog, values: impl Iterator<Item = (u32, Placed<Plaintext>)>) -> Sealing {
    let (places, values): (Vec<(Arc<ProtectedColumn>, u32)>, Vec<_>) =
        values.map(|(row, placed)| ((placed.column.clone(), row), placed)).unzip();
    if places.is_empty() {
        return Sealing::Sealed(Vec::new());
    }
    let sealed = match keys.seal(values).await {
        Ok(sealed) => sealed,
        Err(error) => {
            let Some((column, _)) = places.first() else { return Sealing::Answer(restless()) };
            return Sealing::Answer(key_error(&error, column));
        }
    };
    for ((column, row), stored) in places.iter().zip(&sealed) {
        // Sealed text is ASCII: characters and bytes are the same number.
        if *row == COMPARED || fits(stored.len() as u64, column.width) {
            continue;
        }
        let snapshot = match catalog.refresh().await {
            Ok(snapshot) => snapshot,
            Err(error) => return Sealing::Answer(catalog_error(&error)),
        };
        let table = snapshot.table(&column.table).flatten();
        let now = table.and_then(|table| table.column(&column.name));
        return match (table, now) {
            (Some(_), Some(now)) if fits(stored.len() as u64, now.width) => Sealing::Stale,
            (Some(table), Some(now)) => Sealing::Answer(too_wide(table, now, stored.len() as u64, *row)),
            _ => Sealing::Stale,
        };
    }
    Sealing::Sealed(sealed)
}

fn fits(length: u64, width: Width) -> bool {
    match width {
        Width::Characters(limit) | Width::Bytes(limit) => length <= limit,
        Width::None => false,
    }
}

/// MySQL's own 1406, with what is needed and how to get it.
fn too_wide(table: &catalog::Table, column: &catalog::Column, needed: u64, row: u32) -> ErrPacket {
    let (limit, unit) = match column.width {
        Width::Characters(limit) => (limit, "characters"),
        Width::Bytes(limit) => (limit, "bytes"),
        Width::None => (0, "characters"),
    };
    let hint = catalog::width::alter_hint(table, column, needed);
    ErrPacket::new(
        1406,
        b"22001",
        format!(
            "Data too long for column '{}' at row {row}; sealwire SW-1801: the sealed value needs {needed} {unit}, \
             {} holds {limit}; nothing was written; to widen it: {hint}",
            column.name, column.column_type,
        ),
    )
}

fn opens_text(plan: &Plan) -> bool {
    plan.statements.iter().any(|statement| match &statement.result {
        ResultRoles::Plain | ResultRoles::Load(_) => false,
        ResultRoles::Columns(columns) => {
            columns.iter().filter_map(|column| column.open.as_ref()).any(|column| column.physical == Physical::Text)
        }
    })
}

/// The verdict that holds under every reading of the text, if that is to pass it.
fn passes_under_any_mode(text: &[u8], snapshot: &Snapshot, protocol: Protocol, multi_statements: bool) -> Option<Pass> {
    // DEL is a space to some character sets' lexers, and a letter to others'.
    if !text.is_ascii() || text.contains(&0x7F) {
        return None;
    }
    let mut charsets = vec![Charset::Utf8mb4];
    // The one character set in which ASCII bytes are other characters.
    if text.iter().any(|b| matches!(b, b'@' | b'[' | b'\\' | b']' | b'^' | b'`' | b'{' | b'|' | b'}' | b'~')) {
        charsets.push(Charset::from_name("swe7"));
    }
    let modes = [(false, false), (true, false), (false, true), (true, true)];
    let mut verdict = Pass::default();
    for ((ansi_quotes, no_backslash_escapes), charset) in
        modes.into_iter().flat_map(|mode| charsets.iter().map(move |charset| (mode, *charset)))
    {
        let context = Context {
            catalog: snapshot,
            schema: None,
            sql_mode: SqlMode { ansi_quotes, no_backslash_escapes, ..SqlMode::default() },
            character_set_client: charset,
            character_set_connection: charset,
            protocol,
            multi_statements,
            versions: KeyVersions::NONE,
        };
        let Outcome::Pass(pass) = analyse(text, &context) else { return None };
        verdict.invalidates_catalog |= pass.invalidates_catalog;
        verdict.scrub_rows |= pass.scrub_rows;
        verdict.refuse_sealed |= pass.refuse_sealed;
    }
    Some(verdict)
}

fn blames_the_catalog(code: RefusalCode) -> bool {
    use RefusalCode::{AmbiguousName, Call, MissingColumn, StoredFunction, UnknownColumn, ViewDefinition};
    matches!(code, AmbiguousName | Call | MissingColumn | StoredFunction | UnknownColumn | ViewDefinition)
}

pub fn key_error(error: &KeyError, column: &ProtectedColumn) -> ErrPacket {
    let text = error.to_string();
    // Errors of KMS and vault do not know whose value they stopped.
    let place = format!("{}.{}", column.table, column.name);
    let text = if text.contains(&place) { text } else { format!("{place}: {text}") };
    err_packet(error.errno(), error.sqlstate(), format!("sealwire {}: {text}", error.sw_code()))
}

pub fn catalog_error(error: &CatalogError) -> ErrPacket {
    sealwire_error(
        RefusalCode::CatalogUnavailable,
        format!("the catalog cannot be read, so statements on protected tables are refused: {error}"),
    )
}

fn charset_refused(variable: &str) -> ErrPacket {
    sealwire_error(
        RefusalCode::CharacterSet,
        format!("{variable} of this session is not a character set that is understood (ucs2, utf16 and utf32 are not)"),
    )
}

fn restless() -> ErrPacket {
    sealwire_error(RefusalCode::CatalogStale, "the schema keeps changing while the statement is planned")
}
