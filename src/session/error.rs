//! What ends a session, and the ERR packets that the proxy itself sends.

use std::io;

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
    #[error("a packet of more than 1 GiB")]
    TooLarge,
    #[error(transparent)]
    Protocol(#[from] Malformed),
    #[error("authentication: {0}")]
    Authentication(#[from] crate::wire::auth::RsaError),
    /// A refusal before the handshake was done; the client has been told.
    #[error("refused: {0}")]
    Refused(String),
}

/// An ERR packet in the proxy's voice: `sealwire SW-nnnn: …`.
pub fn sealwire_error(code: u16, sqlstate: &[u8; 5], sw_code: &str, message: &str) -> ErrPacket {
    ErrPacket::new(code, sqlstate, format!("sealwire {sw_code}: {message}"))
}
