//! What the proxy knows of a session's state on the server, told by the server itself.

use crate::catalog::Snapshot;
use crate::sql::lex::LexMode;
use crate::sql::{Charset, SqlMode};
use crate::wire::ok::StateChange;
use crate::wire::status::SERVER_STATUS_IN_TRANS;

/// Run once, at a session's first protected statement: makes the server report these variables and the
/// current schema from then on, whatever the client or the server's administrator chose (MySQL refuses a name
/// that is there twice). Like [`tell_state`] a SET: a SELECT would disturb FOUND_ROWS().
pub const START_TRACKING: &str = "SET SESSION session_track_schema = ON, \
     SESSION session_track_system_variables = IF(@@SESSION.session_track_system_variables = '*', '*', \
     CONCAT_WS(',', NULLIF(@@SESSION.session_track_system_variables, ''), \
     IF(FIND_IN_SET('sql_mode', REPLACE(LOWER(@@SESSION.session_track_system_variables), ' ', '')), NULL, 'sql_mode'), \
     IF(FIND_IN_SET('character_set_client', REPLACE(LOWER(@@SESSION.session_track_system_variables), ' ', '')), NULL, 'character_set_client'), \
     IF(FIND_IN_SET('character_set_connection', REPLACE(LOWER(@@SESSION.session_track_system_variables), ' ', '')), NULL, 'character_set_connection'), \
     IF(FIND_IN_SET('character_set_results', REPLACE(LOWER(@@SESSION.session_track_system_variables), ' ', '')), NULL, 'character_set_results')))";

/// The error of [`tell_state`] where the current schema is another: no sql_mode has that name.
pub const OTHER_SCHEMA: u16 = 1231;

/// The answer to every statement but the one that changes the password, where that has expired.
pub const PASSWORD_EXPIRED: u16 = 1820;

/// Run behind [`START_TRACKING`]: assigns each variable to itself, which makes the server report the present
/// values; both servers read all right-hand sides before they assign, so the collation of the connection
/// survives. Fails with [`OTHER_SCHEMA`] where the current schema is not `schema`: the server may have been
/// told not to report it (`SET GLOBAL session_track_schema = OFF`, `init_connect`), and a name resolved in the
/// wrong schema would pass a protected table unseen.
pub fn tell_state(schema: Option<&str>, lower_case_table_names: u8) -> String {
    let same = match schema {
        None => "DATABASE() IS NULL".to_owned(),
        Some(name) => {
            // Names have no case on such servers, INFORMATION_SCHEMA on none, and the client's spelling is not what
            // they report.
            let exact = lower_case_table_names == 0 && !name.eq_ignore_ascii_case("information_schema");
            let (present, name) = match exact {
                true => ("DATABASE()", name.to_owned()),
                false => ("LOWER(DATABASE())", name.to_lowercase()),
            };
            let hex: String = name.bytes().map(|byte| format!("{byte:02x}")).collect();
            format!("CAST({present} AS BINARY) <=> 0x{hex}")
        }
    };
    format!(
        "SET SESSION sql_mode = IF({same}, @@SESSION.sql_mode, 'OTHER_SCHEMA'), \
         SESSION character_set_client = @@SESSION.character_set_client, \
         SESSION character_set_connection = @@SESSION.character_set_connection, \
         SESSION collation_connection = @@SESSION.collation_connection"
    )
}

/// Tells `character_set_results` where the server has not reported it: assigning it to itself would lose
/// the collation that the login chose, which clients see in column definitions. The value comes as the
/// message of error 1644.
pub const TELL_CHARACTER_SET_RESULTS: &str =
    "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = @@SESSION.character_set_results";

/// Tracked state. Everything but the schema is unknown until [`START_TRACKING`] ran.
#[derive(Clone, Debug, Default)]
pub struct SessionState {
    pub schema: Option<String>,
    pub sql_mode: Option<SqlMode>,
    pub character_set_client: Option<Charset>,
    pub character_set_connection: Option<Charset>,
    pub character_set_results: Option<Charset>,
    pub in_transaction: bool,
}

/// The parts that a statement's analysis depends on, all known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    pub schema: Option<String>,
    pub sql_mode: SqlMode,
    pub character_set_client: Charset,
    pub character_set_connection: Charset,
    pub character_set_results: Charset,
}

impl Known {
    pub fn lex_mode(&self, snapshot: &Snapshot) -> LexMode {
        LexMode { sql_mode: self.sql_mode, version: snapshot.version, charset: self.character_set_client }
    }
}

impl SessionState {
    pub fn known(&self) -> Option<Known> {
        Some(Known {
            schema: self.schema.clone(),
            sql_mode: self.sql_mode?,
            character_set_client: self.character_set_client?,
            character_set_connection: self.character_set_connection?,
            character_set_results: self.character_set_results?,
        })
    }

    /// The server set its session variables back (COM_RESET_CONNECTION, COM_CHANGE_USER): what was
    /// tracked is unknown again, the schema excepted.
    pub fn forget(&mut self) {
        *self = Self { schema: self.schema.take(), ..Self::default() };
    }

    pub fn note_status(&mut self, status: u16) {
        self.in_transaction = status & SERVER_STATUS_IN_TRANS != 0;
    }

    pub fn apply(&mut self, changes: &[StateChange<'_>]) {
        for change in changes {
            match change {
                StateChange::Schema(name) => {
                    let name = String::from_utf8_lossy(name);
                    self.schema = Some(name.into_owned()).filter(|name| !name.is_empty());
                }
                StateChange::SystemVariable { name, value } => self.variable(name, &String::from_utf8_lossy(value)),
                StateChange::Other => {}
            }
        }
    }

    fn variable(&mut self, name: &[u8], value: &str) {
        // Before tracking is on, a value that happens to be reported is not proof that all are.
        match name {
            b"sql_mode" => self.sql_mode = Some(SqlMode::parse(value)),
            b"character_set_client" => self.character_set_client = Some(Charset::from_name(value)),
            b"character_set_connection" => self.character_set_connection = Some(Charset::from_name(value)),
            // NULL stands for no conversion, as binary does.
            b"character_set_results" if matches!(value, "" | "NULL") => {
                self.character_set_results = Some(Charset::Binary);
            }
            b"character_set_results" => self.character_set_results = Some(Charset::from_name(value)),
            _ => {}
        }
    }
}
