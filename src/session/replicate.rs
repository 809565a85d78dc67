//! Replication: from COM_BINLOG_DUMP on, the connection is one stream of events, and values in them stay sealed.

use super::command::Session;
use super::error::{SessionError, sealwire_error};
use crate::sql::RefusalCode;
use crate::wire::Malformed;
use crate::wire::frame::HEADER;

/// The first byte of what a semi-synchronous replica says meanwhile; nothing else is let through.
const SEMI_SYNC_REPLY: u8 = 0xEF;

impl Session {
    /// The answer where the configuration does not say `replication: allow`.
    pub(super) async fn refuse_replication(&mut self) -> Result<(), SessionError> {
        self.held_command().await?;
        let error = sealwire_error(RefusalCode::ReplicationRefused, "the client asks for the binary log");
        self.answer(&error);
        Ok(())
    }

    /// Sends the request for events and passes them on until either side ends. `false`: the server denied the
    /// request with an ERR, and takes commands again.
    pub(super) async fn replicate(&mut self) -> Result<bool, SessionError> {
        self.forward_command().await?;
        while self.server.input.len() <= HEADER {
            if self.server.fill().await? == 0 {
                return Ok(true);
            }
        }
        if self.server.input.get(HEADER) == Some(&0xFF) {
            let payload = self.server.read_packet().await?;
            self.answer_raw(&payload);
            return Ok(false);
        }
        // From here on both sides speak whenever they like.
        self.server.listens = false;
        let stop = self.shared.shutdown.clone();
        loop {
            let bytes = self.server.input.split();
            self.client.send_raw(&bytes).await?;
            self.client.flush().await?;
            tokio::select! {
                read = self.server.fill() => if read? == 0 { return Ok(true) },
                read = self.client.fill_idle() => {
                    if read? == 0 {
                        return Ok(true);
                    }
                    let packet = self.client.read_packet().await?;
                    if packet.first() != Some(&SEMI_SYNC_REPLY) {
                        return Err(Malformed("a command while the binary log is sent").into());
                    }
                    self.server.sequence = self.client.sequence.wrapping_sub(1);
                    self.server.put(&packet);
                    self.server.flush().await?;
                }
                () = stop.cancelled() => return Ok(true),
            }
        }
    }
}
