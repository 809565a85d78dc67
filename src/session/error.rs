//! What ends a session, and the ERR packets that the proxy itself sends.

use std::io;

use crate::sql::{Refusal, RefusalCode};
use crate::wire::Malformed;
use crate::wire::err::ErrPacket;

/// Why a session ended early. None of these carries bytes of a statement or a value.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The peer closed the connection.
    #[error("connection closed")]
    Closed,
    /// Beyond the server's `max_allowed_packet`, or beyond what the connection phase needs.
    #[error("a packet is too large")]
    TooLarge,
    #[error(transparent)]
    Protocol(#[from] Malformed),
    #[error("authentication: {0}")]
    Authentication(#[from] crate::wire::auth::RsaError),
    #[error("the connection from {peer} was closed for its PROXY protocol header: {reason} (`proxy_protocol.accept`)")]
    ProxyHeader { peer: std::net::IpAddr, reason: &'static str },
    /// A refusal before the handshake was done; the client has been told.
    #[error("refused: {0}")]
    Refused(String),
}

/// An ERR packet in the proxy's voice: `sealwire SW-nnnn: what and where; what to do`.
pub fn sealwire_error(code: RefusalCode, message: impl Into<String>) -> ErrPacket {
    refused(&Refusal::new(code, message, None))
}

/// The ERR packet of a refusal.
pub fn refused(refusal: &Refusal) -> ErrPacket {
    err_packet(refusal.code.errno(), refusal.code.sqlstate(), refusal.to_string())
}

/// An ERR packet whose SQLSTATE is five ASCII characters, or `HY000`.
pub fn err_packet(errno: u16, sqlstate: &str, message: String) -> ErrPacket {
    let state = sqlstate.as_bytes().first_chunk::<5>().copied().unwrap_or(*b"HY000");
    ErrPacket::new(errno, &state, message)
}
