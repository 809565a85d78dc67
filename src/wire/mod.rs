//! The MySQL wire protocol: synchronous, no I/O, no policy. Bytes in, values out, and back.
//!
//! Pages: <https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html> and
//! <https://mariadb.com/kb/en/clientserver-protocol/>.

pub mod attributes;
pub mod auth;
pub mod binary;
pub mod capability;
pub mod change_user;
pub mod column;
pub mod command;
pub mod compress;
pub mod err;
pub mod execute;
pub mod frame;
pub mod handshake;
pub mod number;
pub mod ok;
pub mod reader;
pub mod response;
pub mod text;

/// Bytes from a peer that do not follow the protocol. Says which part, never what it held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed packet: {0}")]
pub struct Malformed(pub &'static str);

/// Status flags of OK and EOF packets that the relay looks at.
pub mod status {
    pub const SERVER_STATUS_IN_TRANS: u16 = 0x0001;
    pub const SERVER_MORE_RESULTS_EXISTS: u16 = 0x0008;
    pub const SERVER_STATUS_CURSOR_EXISTS: u16 = 0x0040;
    pub const SERVER_PS_OUT_PARAMS: u16 = 0x1000;
    pub const SERVER_SESSION_STATE_CHANGED: u16 = 0x4000;
}
