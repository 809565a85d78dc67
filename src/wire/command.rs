//! Command bytes, and how the server answers each command.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_command_phase.html>

pub const COM_QUIT: u8 = 0x01;
pub const COM_INIT_DB: u8 = 0x02;
pub const COM_QUERY: u8 = 0x03;
pub const COM_FIELD_LIST: u8 = 0x04;
pub const COM_REFRESH: u8 = 0x07;
pub const COM_SHUTDOWN: u8 = 0x08;
pub const COM_STATISTICS: u8 = 0x09;
pub const COM_PROCESS_INFO: u8 = 0x0A;
pub const COM_PROCESS_KILL: u8 = 0x0C;
pub const COM_DEBUG: u8 = 0x0D;
pub const COM_PING: u8 = 0x0E;
pub const COM_CHANGE_USER: u8 = 0x11;
pub const COM_BINLOG_DUMP: u8 = 0x12;
pub const COM_REGISTER_SLAVE: u8 = 0x15;
pub const COM_STMT_PREPARE: u8 = 0x16;
pub const COM_STMT_EXECUTE: u8 = 0x17;
pub const COM_STMT_SEND_LONG_DATA: u8 = 0x18;
pub const COM_STMT_CLOSE: u8 = 0x19;
pub const COM_STMT_RESET: u8 = 0x1A;
pub const COM_SET_OPTION: u8 = 0x1B;
pub const COM_STMT_FETCH: u8 = 0x1C;
pub const COM_BINLOG_DUMP_GTID: u8 = 0x1E;
pub const COM_RESET_CONNECTION: u8 = 0x1F;

/// The shape of a command's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// One OK, ERR or EOF packet.
    Short,
    /// OK, ERR, a LOCAL INFILE request or a result set; again while MORE_RESULTS_EXISTS.
    Results,
    /// COM_STMT_PREPARE_OK with parameter and column definitions.
    Prepare,
    /// Column definitions without a count, then EOF.
    Definitions,
    /// Rows of a cursor, then EOF.
    Rows,
    /// One packet that is a plain string.
    String,
    /// None at all.
    Nothing,
}

/// How `command` is answered, for the commands that are relayed; `None` for those that are not.
pub fn answer(command: u8) -> Option<Answer> {
    Some(match command {
        COM_QUERY | COM_STMT_EXECUTE | COM_PROCESS_INFO => Answer::Results,
        COM_STMT_PREPARE => Answer::Prepare,
        COM_FIELD_LIST => Answer::Definitions,
        COM_STMT_FETCH => Answer::Rows,
        COM_STATISTICS => Answer::String,
        COM_QUIT | COM_STMT_SEND_LONG_DATA | COM_STMT_CLOSE => Answer::Nothing,
        // COM_BINLOG_DUMP and COM_BINLOG_DUMP_GTID have no end: see `session::replicate`.
        COM_INIT_DB | COM_REGISTER_SLAVE | COM_REFRESH | COM_SHUTDOWN | COM_PROCESS_KILL | COM_DEBUG | COM_PING
        | COM_STMT_RESET | COM_SET_OPTION | COM_RESET_CONNECTION => Answer::Short,
        _ => return None,
    })
}
