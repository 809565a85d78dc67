//! Prepared statements: planned when prepared, checked again when executed, parameters sealed on the way.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::bound::RowKeys;
use super::command::Session;
use super::error::{SessionError, sealwire_error};
use super::protect::{Decision, Planning, Ready, SealedWith, Sealing, seal, stored_literals};
use super::relay::View;
use super::rows::RowFormat;
use super::state::Known;
use crate::catalog::{ProtectedColumn, ServerFlavor};
use crate::keys::Memo;
use crate::seal::Plaintext;
use crate::seal::versions::{Form, KeyVersions};
use crate::sql::{COMPARED, NullPolicy, ParamRole, Pass, Piece, Plan, Protocol, RefusalCode, ResultRoles};
use crate::wire::command::{Answer, COM_STMT_CLOSE, COM_STMT_PREPARE};
use crate::wire::err::ErrPacket;
use crate::wire::execute::{Execute, ParamType};
use crate::wire::frame::{HEADER, MAX_PAYLOAD};
use crate::wire::number;
use crate::wire::reader::Reader;

/// MariaDB: the statement prepared last.
const LAST_PREPARED: u32 = u32::MAX;

/// The prepared statements of one session.
#[derive(Default)]
pub struct Statements {
    by_id: HashMap<u32, Statement>,
    /// `None` where the last COM_STMT_PREPARE failed: then none is "the last".
    last: Option<u32>,
}

enum Statement {
    /// Touched nothing protected when it was prepared. The text is kept for the day the catalog says otherwise.
    Plain {
        text: Box<[u8]>,
        /// See [`Protected::schema`].
        schema: Option<Box<str>>,
        /// See [`Pass::refuse_sealed`].
        refuse_sealed: bool,
        generation: u64,
    },
    Protected(Box<Protected>),
}

pub(super) struct Protected {
    /// As the client sent it.
    text: Vec<u8>,
    /// The schema it was prepared in: the server resolves names in that one for good.
    schema: Option<String>,
    pub(super) params: Vec<ParamRole>,
    results: Vec<ResultRoles>,
    /// Of literals and parameters that are stored.
    stored: Arc<[Arc<ProtectedColumn>]>,
    /// Of the literals that the server holds: every execution stores them again.
    sealed_with: Vec<SealedWith>,
    shape: Shape,
    pub(super) known: Known,
    generation: u64,
    /// Of the data keys, when it was last planned.
    versions: Arc<KeyVersions>,
    /// Types of the last execution that bound any.
    types: Vec<ParamType>,
    pub(super) long_data: HashMap<usize, LongData>,
    /// Of the last result set, for COM_STMT_FETCH.
    column_types: Vec<u8>,
    /// Of the values of a cursor, which hands them out over several fetches.
    memo: Option<Memo>,
    /// See [`number::text_of`].
    pub(super) style: number::Style,
}

/// Data of COM_STMT_SEND_LONG_DATA since the last execution.
pub(super) enum LongData {
    /// Went to the server as it came.
    Sent,
    /// Held, to be sealed.
    Held(Plaintext),
}

/// What of a plan must be the same for the text that the server holds to be still right.
#[derive(PartialEq, Eq)]
struct Shape {
    edits: Vec<(Range<usize>, Vec<String>)>,
    params: Vec<Option<(String, NullPolicy, bool, Form)>>,
    results: Vec<Vec<Option<String>>>,
}

impl Shape {
    fn of(plan: &Plan, versions: &KeyVersions) -> Self {
        let place = |column: &ProtectedColumn| format!("{}.{}", column.table, column.name);
        let edits = plan.edits.iter().map(|edit| {
            let pieces = edit.pieces.iter().map(|piece| match piece {
                Piece::Text(text) => text.clone(),
                // Sealed for good when it was prepared, with a key that may be gone since.
                Piece::Seal(literal) => format!(
                    "\0{}\0{:?}\0{:?}",
                    place(&literal.column),
                    literal.form,
                    versions.of(&literal.column.scope.table)
                ),
            });
            (edit.span.clone(), pieces.collect())
        });
        let params = plan.params.iter().map(|role| match role {
            ParamRole::Plain => None,
            ParamRole::Seal(param) => Some((place(&param.column), param.null, param.row == COMPARED, param.form)),
        });
        let results = plan.statements.iter().map(|statement| match &statement.result {
            ResultRoles::Plain | ResultRoles::Load(_) => Vec::new(),
            ResultRoles::Columns(columns) => {
                columns.iter().map(|column| column.open.as_ref().map(|open| place(open))).collect()
            }
        });
        Self { edits: edits.collect(), params: params.collect(), results: results.collect() }
    }
}

impl Statements {
    fn resolve(&self, id: u32) -> u32 {
        if id == LAST_PREPARED { self.last.unwrap_or(id) } else { id }
    }

    /// The client refers to a statement that was never prepared, as its COM_STMT_PREPARE failed here. The
    /// server would take it for the one before.
    fn is_missing(&self, id: u32) -> bool {
        id == LAST_PREPARED && self.last.is_none()
    }

    fn get_mut(&mut self, id: u32) -> Option<&mut Statement> {
        let id = self.resolve(id);
        self.by_id.get_mut(&id)
    }

    fn protected(&mut self, id: u32) -> Option<&mut Protected> {
        match self.get_mut(id) {
            Some(Statement::Protected(statement)) => Some(statement),
            _ => None,
        }
    }
}

impl Session {
    pub(super) async fn prepare(&mut self) -> Result<(), SessionError> {
        let payload = self.held_command().await?;
        self.statements.last = None;
        let text = payload.get(1..).unwrap_or_default();
        let prefilter = self.shared.prefilter().await;
        if !prefilter.1.hit(text) {
            return self.prepare_plain(&payload, prefilter.0, false).await;
        }
        match self.decide(text, Protocol::Prepared).await? {
            Decision::Answer(error) => self.answer(&error),
            Decision::Forward(Pass { refuse_sealed, .. }) => {
                let generation = self.shared.prefilter().await.0;
                self.prepare_plain(&payload, generation, refuse_sealed).await?;
            }
            Decision::Run(ready) => self.prepare_protected(text, *ready).await?,
        }
        Ok(())
    }

    async fn prepare_plain(
        &mut self,
        payload: &[u8],
        generation: u64,
        refuse_sealed: bool,
    ) -> Result<(), SessionError> {
        self.send_payload(payload).await?;
        let relayed = self.relay(Answer::Prepare, View::Plain).await?;
        if let Some((id, _, _)) = relayed.prepared {
            let text = payload.get(1..).unwrap_or_default().into();
            self.statements.last = Some(id);
            let schema = self.state.schema.as_deref().map(Into::into);
            self.statements.by_id.insert(id, Statement::Plain { text, schema, refuse_sealed, generation });
        }
        Ok(())
    }

    async fn prepare_protected(&mut self, text: &[u8], ready: Ready) -> Result<(), SessionError> {
        let Ready { plan, text: spliced, known, generation, versions, sealed_with } = ready;
        let mut command = vec![COM_STMT_PREPARE];
        command.extend_from_slice(&spliced);
        let shape = Shape::of(&plan, &versions);
        let mut stored = stored_literals(&plan);
        stored.extend(plan.params.iter().filter_map(|role| match role {
            ParamRole::Seal(param) if param.row != COMPARED => Some(param.column.clone()),
            _ => None,
        }));
        // MariaDB tells the columns of RETURNING only when the statement runs.
        let returning = plan.statements.first().is_some_and(|s| matches!(s.verb, "INSERT" | "REPLACE" | "DELETE"));
        let results: Vec<ResultRoles> = plan.statements.into_iter().map(|statement| statement.result).collect();
        let mark = self.client.mark();
        // Until the server's counts are known to be the plan's, nothing goes out.
        self.client.hold = true;
        self.send_payload(&command).await?;
        let roles = results.first().unwrap_or(&ResultRoles::Plain);
        let relayed = self.relay(Answer::Prepare, View::Prepared { roles }).await;
        self.client.hold = false;
        let relayed = relayed?;
        let Some((id, columns, parameters)) = relayed.prepared else { return Ok(()) };
        let planned = match results.first() {
            Some(ResultRoles::Columns(roles)) => Some(roles.len()),
            _ => None,
        };
        if usize::from(parameters) != plan.params.len()
            || planned.is_some_and(|planned| planned != usize::from(columns) && !(returning && columns == 0))
        {
            self.client.take_back(mark);
            self.client.sequence = 1;
            self.close_on_server(id).await?;
            self.shared.catalog.invalidate();
            self.answer(&reprepare(
                "the statement's parameters or columns are not those that the catalog leads to expect",
            ));
            return Ok(());
        }
        self.statements.last = Some(id);
        let statement = Protected {
            text: text.to_vec(),
            schema: known.schema.clone(),
            params: plan.params,
            results,
            stored: stored.into(),
            sealed_with,
            shape,
            known,
            generation,
            versions,
            types: Vec::new(),
            long_data: HashMap::new(),
            column_types: Vec::new(),
            memo: None,
            style: match self.shared.catalog.current().version.flavor {
                ServerFlavor::MariaDb => number::Style::MariaDb,
                ServerFlavor::MySql => number::Style::MySql,
            },
        };
        self.statements.by_id.insert(id, Statement::Protected(Box::new(statement)));
        Ok(())
    }

    async fn close_on_server(&mut self, id: u32) -> Result<(), SessionError> {
        let mut payload = vec![COM_STMT_CLOSE];
        payload.extend_from_slice(&id.to_le_bytes());
        self.send_payload(&payload).await
    }

    /// The statement id of the command at the front of the client's input.
    async fn statement_id(&mut self) -> Result<u32, SessionError> {
        while self.client.input.len() < HEADER + 5 {
            if self.client.peek_header().is_some_and(|header| header.length < 5) {
                return Err(crate::wire::Malformed("a statement command without a statement id").into());
            }
            if self.client.fill().await? == 0 {
                return Err(SessionError::Closed);
            }
        }
        let mut reader = Reader::new(self.client.input.get(HEADER + 1..).unwrap_or_default());
        Ok(reader.u32("statement id")?)
    }

    pub(super) async fn execute(&mut self) -> Result<(), SessionError> {
        let id = self.statement_id().await?;
        if self.statements.is_missing(id) {
            return self.answer_missing().await;
        }
        if self.statements.protected(id).is_some() {
            return self.execute_protected(id).await;
        }
        let mut view = View::Plain;
        if let Some(Statement::Plain { text, schema, refuse_sealed, generation }) = self.statements.get_mut(id) {
            if *refuse_sealed {
                view = View::Unsealed { format: RowFormat::Binary };
            }
            let prefilter = self.shared.prefilter().await;
            if prefilter.0 != *generation {
                if prefilter.1.hit(text) {
                    let (text, schema) = (text.clone(), schema.as_deref().map(str::to_owned));
                    if !self.still_plain(&text, &schema).await? {
                        self.held_command().await?;
                        self.answer(&reprepare("the statement touches protected data since the schema changed"));
                        return Ok(());
                    }
                }
                if let Some(Statement::Plain { generation, .. }) = self.statements.get_mut(id) {
                    *generation = prefilter.0;
                }
            }
        }
        self.forward_command().await?;
        self.relay(Answer::Results, view).await?;
        Ok(())
    }

    /// As both servers answer a statement id that they do not know.
    async fn answer_missing(&mut self) -> Result<(), SessionError> {
        self.held_command().await?;
        let text = "Unknown prepared statement handler (4294967295): COM_STMT_PREPARE failed";
        self.answer(&ErrPacket::new(1243, b"HY000", text));
        Ok(())
    }

    async fn still_plain(&mut self, text: &[u8], schema: &Option<String>) -> Result<bool, SessionError> {
        Ok(matches!(self.plan(text, Protocol::Prepared, Some(schema)).await?, Planning::Forward(_)))
    }

    async fn execute_protected(&mut self, id: u32) -> Result<(), SessionError> {
        let payload = self.held_command().await?;
        let query_attributes = self.query_attributes();
        if let Err(error) = self.check_again(id).await? {
            self.answer(&error);
            return Ok(());
        }
        let stored = self.statements.protected(id).map(|statement| statement.stored.clone());
        if let Some(stored) = stored
            && let Err(error) = self.vouch(&stored).await?
        {
            self.answer(&error);
            return Ok(());
        }
        let keys = self.shared.keys.clone();
        let seals = |with: &SealedWith| keys.seals_with(&with.table, with.id);
        if self.statements.protected(id).is_some_and(|statement| !statement.sealed_with.iter().all(seals)) {
            self.answer(&reprepare(
                "its values were sealed when it was prepared, with a version of the data key that seals no longer",
            ));
            return Ok(());
        }
        for _ in 0..2 {
            let Some(statement) = self.statements.protected(id) else { return Ok(()) };
            let parsed =
                Execute::parse(&payload, statement.params.len(), &statement.types, query_attributes, |index| {
                    statement.long_data.contains_key(&index)
                });
            let execute = match parsed {
                Ok(execute) => execute,
                Err(malformed) => {
                    self.answer(&sealwire_error(RefusalCode::MalformedPacket, malformed.0));
                    return Ok(());
                }
            };
            let (values, keys) = match statement.plaintexts(&payload, &execute) {
                Ok(values) => values,
                Err(error) => {
                    self.answer(&error);
                    return Ok(());
                }
            };
            let indexes: Vec<usize> = values.iter().map(|(index, _)| *index).collect();
            let batch = values.into_iter().map(|(_, value)| value);
            let sealed = match seal(&self.shared.keys, &self.shared.catalog, batch).await {
                Sealing::Sealed(sealed) => sealed,
                Sealing::Stale => {
                    if let Err(error) = self.check_again(id).await? {
                        self.answer(&error);
                        return Ok(());
                    }
                    continue;
                }
                Sealing::Answer(error) => {
                    self.answer(&error);
                    return Ok(());
                }
            };
            let formed = indexes.into_iter().zip(sealed).map(|(index, stored)| {
                let stored = match statement.params.get(index) {
                    Some(ParamRole::Seal(param)) => param.form.of(stored, param.column.physical),
                    _ => stored,
                };
                (index, stored)
            });
            let formed = formed.collect();
            return self.run_execute(id, &payload, &execute, formed, &keys).await;
        }
        self.answer(&reprepare("the schema keeps changing while the statement is executed"));
        Ok(())
    }

    async fn run_execute(
        &mut self,
        id: u32,
        payload: &[u8],
        execute: &Execute,
        sealed: HashMap<usize, Vec<u8>>,
        keys: &RowKeys,
    ) -> Result<(), SessionError> {
        let Some(statement) = self.statements.protected(id) else { return Ok(()) };
        let params = statement.out_params(payload, execute, &sealed, keys);
        let command = execute.encode(payload, &params);
        if execute.types_bound {
            statement.types = execute.types.clone();
        }
        // The server forgets long data with each execution.
        statement.long_data.clear();
        let results = std::mem::take(&mut statement.results);
        let memo = self.shared.keys.memo();
        statement.memo = execute.opens_cursor().then(|| memo.clone());
        self.send_payload(&command).await?;
        let view = View::Roles { results: &results, format: RowFormat::Binary, memo: &memo };
        let relayed = self.relay(Answer::Results, view).await;
        if let Some(statement) = self.statements.protected(id) {
            statement.results = results;
            if let Ok(relayed) = &relayed {
                statement.column_types.clone_from(&relayed.column_types);
            }
        }
        relayed.map(|_| ())
    }

    /// Plans the text anew if anything the plan depends on has changed since, and lets the execution go
    /// on only if the server's copy of the statement would come out the same.
    async fn check_again(&mut self, id: u32) -> Result<Result<(), ErrPacket>, SessionError> {
        let generation = match self.shared.catalog.fresh().await {
            Ok(snapshot) => snapshot.generation,
            Err(error) => return Ok(Err(super::protect::catalog_error(&error))),
        };
        let present = self.state.known();
        let versions = self.shared.keys.versions_now().await;
        let Some(statement) = self.statements.protected(id) else { return Ok(Ok(())) };
        let same_state = present.as_ref().is_some_and(|present| {
            Known { schema: statement.known.schema.clone(), ..present.clone() } == statement.known
        });
        let same_versions = *statement.versions == *versions;
        if same_state && same_versions && statement.generation == generation {
            return Ok(Ok(()));
        }
        let (text, schema) = (statement.text.clone(), statement.schema.clone());
        let planned = match self.plan(&text, Protocol::Prepared, Some(&schema)).await? {
            Planning::Planned(planned) => *planned,
            Planning::Answer(error) => return Ok(Err(error)),
            Planning::Forward(_) => return Ok(Err(reprepare("the schema changed since the statement was prepared"))),
        };
        let Some(statement) = self.statements.protected(id) else { return Ok(Ok(())) };
        if Shape::of(&planned.plan, &planned.versions) != statement.shape {
            return Ok(Err(reprepare(
                "the schema, sql_mode or the versions of a data key changed since the statement was prepared",
            )));
        }
        statement.params = planned.plan.params;
        statement.results = planned.plan.statements.into_iter().map(|statement| statement.result).collect();
        statement.generation = planned.snapshot.generation;
        statement.versions = planned.versions;
        statement.known = Known { schema, ..planned.known };
        Ok(Ok(()))
    }

    pub(super) async fn fetch(&mut self) -> Result<(), SessionError> {
        let id = self.statement_id().await?;
        if self.statements.is_missing(id) {
            return self.answer_missing().await;
        }
        let Some(statement) = self.statements.protected(id) else {
            self.forward_command().await?;
            self.relay(Answer::Rows, View::Plain).await?;
            return Ok(());
        };
        let results = std::mem::take(&mut statement.results);
        let column_types = statement.column_types.clone();
        let memo = statement.memo.clone().unwrap_or_else(|| self.shared.keys.memo());
        self.forward_command().await?;
        let roles = results.first().unwrap_or(&ResultRoles::Plain);
        let relayed = self.relay(Answer::Rows, View::Cursor { roles, types: &column_types, memo: &memo }).await;
        if let Some(statement) = self.statements.protected(id) {
            statement.results = results;
        }
        relayed.map(|_| ())
    }

    /// No reply, so an error waits for the execution: data for a sealed parameter beyond the limit ends
    /// the session instead.
    pub(super) async fn send_long_data(&mut self) -> Result<(), SessionError> {
        let id = self.statement_id().await?;
        if self.statements.is_missing(id) {
            self.held_command().await?;
            return Ok(());
        }
        let Some(statement) = self.statements.protected(id) else { return self.forward_command().await };
        while self.client.input.len() < HEADER + 7 {
            if self.client.peek_header().is_some_and(|header| header.length < 7) {
                return Err(crate::wire::Malformed("COM_STMT_SEND_LONG_DATA").into());
            }
            if self.client.fill().await? == 0 {
                return Err(SessionError::Closed);
            }
        }
        let mut reader = Reader::new(self.client.input.get(HEADER + 5..).unwrap_or_default());
        let index = usize::from(reader.u16("COM_STMT_SEND_LONG_DATA")?);
        if !matches!(statement.params.get(index), Some(ParamRole::Seal(_))) {
            statement.long_data.insert(index, LongData::Sent);
            return self.forward_command().await;
        }
        let payload = zeroize::Zeroizing::new(self.held_command().await?);
        let data = payload.get(7..).unwrap_or_default();
        let held = match self.statements.protected(id).and_then(|statement| statement.long_data.get(&index)) {
            Some(LongData::Held(held)) => held.expose().len(),
            _ => 0,
        };
        let length = held + data.len();
        if length > MAX_PAYLOAD && length > self.largest_payload().await {
            return Err(SessionError::TooLarge);
        }
        let Some(statement) = self.statements.protected(id) else { return Ok(()) };
        let held = statement.long_data.entry(index).or_insert_with(|| LongData::Held(Plaintext::new(Vec::new())));
        let LongData::Held(held) = held else { return Ok(()) };
        held.extend(data);
        Ok(())
    }

    pub(super) async fn reset_statement(&mut self) -> Result<(), SessionError> {
        let id = self.statement_id().await?;
        if self.statements.is_missing(id) {
            return self.answer_missing().await;
        }
        if let Some(statement) = self.statements.protected(id) {
            statement.long_data.clear();
            statement.memo = None;
        }
        self.forward_command().await?;
        self.relay(Answer::Short, View::Plain).await?;
        Ok(())
    }

    pub(super) async fn close_statement(&mut self) -> Result<(), SessionError> {
        let id = self.statement_id().await?;
        if self.statements.is_missing(id) {
            self.held_command().await?;
            return Ok(());
        }
        let id = self.statements.resolve(id);
        self.statements.by_id.remove(&id);
        self.forward_command().await
    }
}

/// ER_NEED_REPREPARE: drivers that know it prepare the statement again.
fn reprepare(why: &str) -> ErrPacket {
    sealwire_error(RefusalCode::NeedsReprepare, why)
}
