//! A client's stream whose packets travel within compressed packets.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

use super::stream::Stream;
use crate::wire::Malformed;
use crate::wire::compress::{self, Algorithm, HEADER, Header};

/// Room for a first read: an idle session holds no more.
const FIRST_ROOM: usize = 512;
/// Room for further reads of a packet that is longer.
const READ_ROOM: usize = 64 * 1024;
/// What is compressed at once, at most.
const PIECE: usize = 64 * 1024;

pub struct Compressed {
    stream: Stream,
    algorithm: Algorithm,
    /// Read and not yet uncompressed.
    raw: BytesMut,
    /// Uncompressed and not yet handed out.
    plain: Bytes,
    /// Compressed and not yet written.
    out: Vec<u8>,
    written: usize,
    /// The id of the next compressed packet, in whichever direction it goes. A command starts it anew.
    sequence: u8,
}

impl Compressed {
    /// `read`: what was read from the stream already.
    pub fn new(stream: Stream, algorithm: Algorithm, read: BytesMut) -> Self {
        Self { stream, algorithm, raw: read, plain: Bytes::new(), out: Vec::new(), written: 0, sequence: 0 }
    }

    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// The id of the next compressed packet.
    pub fn sequence(&self) -> u8 {
        self.sequence
    }

    /// Uncompresses the packet at the front of `raw`, if it is there whole. One at a time, and only when more
    /// is asked for: the sequence id of a command that follows is not that of the answer under way.
    fn next_packet(&mut self) -> Result<bool, Malformed> {
        let Some(header) = Header::parse(&self.raw) else { return Ok(false) };
        if self.raw.len() < HEADER + header.length {
            return Ok(false);
        }
        if header.sequence != self.sequence && header.sequence != 0 {
            return Err(Malformed("compressed packet: out of order"));
        }
        self.sequence = header.sequence.wrapping_add(1);
        self.raw.advance(HEADER);
        let payload = self.raw.split_to(header.length);
        self.plain = match header.uncompressed {
            0 => payload.freeze(),
            _ => compress::decode(self.algorithm, header, &payload)?.into(),
        };
        Ok(true)
    }

    /// Writes what was compressed.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.out.get(self.written..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
        }
        self.out = Vec::new();
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Compressed {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if !this.plain.is_empty() {
                let count = this.plain.len().min(buf.remaining());
                buf.put_slice(&this.plain.split_to(count));
                if this.plain.is_empty() {
                    this.plain = Bytes::new();
                }
                return Poll::Ready(Ok(()));
            }
            if this.next_packet().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))? {
                continue;
            }
            if this.raw.is_empty() && this.raw.capacity() > FIRST_ROOM {
                this.raw = BytesMut::new();
            }
            let missing = Header::parse(&this.raw).map_or(FIRST_ROOM, |header| {
                (HEADER + header.length).saturating_sub(this.raw.len()).clamp(FIRST_ROOM, READ_ROOM)
            });
            this.raw.reserve(missing);
            if ready!(poll_read_buf(Pin::new(&mut this.stream), cx, &mut this.raw))? == 0 {
                return match this.raw.is_empty() {
                    true => Poll::Ready(Ok(())),
                    false => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                };
            }
        }
    }
}

impl AsyncWrite for Compressed {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        let piece = buf.get(..PIECE).unwrap_or(buf);
        compress::put(&mut this.out, this.algorithm, &mut this.sequence, piece);
        // What the socket does not take now goes with the next write or flush.
        if let Poll::Ready(Err(error)) = this.poll_drain(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(piece.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}
