//! One leg of a session: a stream, what was read from it and not consumed, and what is to be written.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::compressed::Compressed;
use super::error::SessionError;
use super::stream::Stream;
use crate::wire::Malformed;
use crate::wire::compress::Algorithm;
use crate::wire::frame::{HEADER, Header, MAX_PAYLOAD, put_packet};

/// Room for a read while the session is at work.
const READ_ROOM: usize = 16 * 1024;
/// Room for a read while it is idle: most commands fit, and 5,000 idle sessions cost little.
const IDLE_ROOM: usize = 512;
/// Gathered output beyond this is written even though more is coming.
const HIGH_WATER: usize = 64 * 1024;
/// Spans of at least this size are written from where they are instead of being gathered.
const WRITE_THROUGH: usize = 4 * 1024;
/// The largest payload that is ever held whole: the largest `max_allowed_packet` that MySQL and MariaDB take.
pub const LARGEST_PAYLOAD: usize = 1 << 30;

/// The error of a packet that is not the next one of its exchange.
pub const OUT_OF_ORDER: Malformed = Malformed("packets out of order");

pub struct Leg {
    pub stream: Stream,
    /// Read and not yet consumed.
    pub input: BytesMut,
    output: Vec<u8>,
    /// The id that the next packet on this leg has, in whichever direction it goes.
    pub sequence: u8,
    /// Nothing is written while this is set: what was put may still be taken back.
    pub hold: bool,
    /// A peer that speaks before it has read all that is written to it ends the writing with an error, and what it
    /// said is in `input`: so a server refuses a large command in the middle of it, and reads no further.
    pub listens: bool,
}

impl Leg {
    pub fn new(stream: Stream) -> Self {
        Self { stream, input: BytesMut::new(), output: Vec::new(), sequence: 0, hold: false, listens: false }
    }

    /// The leg with compressed packets from here on.
    pub fn compressed(self, algorithm: Algorithm) -> Self {
        let stream = Compressed::new(self.stream, algorithm, self.input);
        Self { stream: Stream::Compressed(Box::new(stream)), input: BytesMut::new(), ..self }
    }

    /// Reads some more into `input`; 0 at the end of the stream. Cancel safe.
    pub async fn fill(&mut self) -> io::Result<usize> {
        self.input.reserve(READ_ROOM);
        self.stream.read_buf(&mut self.input).await
    }

    /// As [`Leg::fill`], for a leg on which nothing may come for hours.
    pub async fn fill_idle(&mut self) -> io::Result<usize> {
        self.input.reserve(IDLE_ROOM);
        self.stream.read_buf(&mut self.input).await
    }

    /// Gives buffers back that the last command made large.
    pub fn rest(&mut self) {
        if self.input.is_empty() && self.input.capacity() > IDLE_ROOM {
            self.input = BytesMut::new();
        }
        if self.output.is_empty() && self.output.capacity() > 0 {
            self.output = Vec::new();
        }
    }

    /// The header of the packet at the front of `input`, if its four bytes are there.
    pub fn peek_header(&self) -> Option<Header> {
        Header::parse(&self.input)
    }

    /// Takes the packet at the front, waiting for the rest of it, and joins the pieces of a payload
    /// of 16 MB and more, whose sequence ids must follow each other.
    pub async fn read_packet(&mut self) -> Result<Vec<u8>, SessionError> {
        self.read(LARGEST_PAYLOAD, None).await
    }

    /// As [`Leg::read_packet`]; a payload beyond `limit` is an error before it is read.
    pub async fn read_packet_of(&mut self, limit: usize) -> Result<Vec<u8>, SessionError> {
        self.read(limit, None).await
    }

    /// As [`Leg::read_packet_of`], of a packet that goes on an exchange: it must have the next sequence id. Cancel
    /// safe for payloads below 16 MB.
    pub async fn read_next_packet(&mut self, limit: usize) -> Result<Vec<u8>, SessionError> {
        self.read(limit, Some(self.sequence)).await
    }

    async fn read(&mut self, limit: usize, mut expected: Option<u8>) -> Result<Vec<u8>, SessionError> {
        let mut payload = Vec::new();
        loop {
            let header = loop {
                match self.peek_header() {
                    Some(header) if payload.len() + header.length > limit => return Err(SessionError::TooLarge),
                    Some(header) if self.input.len() >= HEADER + header.length => break header,
                    Some(header) => self.input.reserve((HEADER + header.length).saturating_sub(self.input.len())),
                    None => {}
                }
                if self.fill().await? == 0 {
                    return Err(SessionError::Closed);
                }
            };
            if expected.is_some_and(|expected| expected != header.sequence) {
                return Err(OUT_OF_ORDER.into());
            }
            let packet = self.input.split_to(HEADER + header.length);
            payload.extend_from_slice(packet.get(HEADER..).unwrap_or_default());
            self.sequence = header.sequence.wrapping_add(1);
            expected = Some(self.sequence);
            if header.length < MAX_PAYLOAD {
                return Ok(payload);
            }
        }
    }

    /// As [`Leg::read_packet`] without reading a byte beyond the packet, for the moment before TLS starts.
    pub async fn read_packet_exactly(&mut self, limit: usize) -> Result<Vec<u8>, SessionError> {
        let mut header = [0; HEADER];
        self.read_exact(&mut header).await?;
        let header = Header::parse(&header).ok_or(SessionError::Closed)?;
        if header.length > limit {
            return Err(SessionError::TooLarge);
        }
        self.sequence = header.sequence.wrapping_add(1);
        let mut payload = vec![0; header.length];
        self.read_exact(&mut payload).await?;
        Ok(payload)
    }

    async fn read_exact(&mut self, buffer: &mut [u8]) -> Result<(), SessionError> {
        match self.stream.read_exact(buffer).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(SessionError::Closed),
            Err(error) => Err(error.into()),
        }
    }

    /// Appends a packet to what is to be written.
    pub fn put(&mut self, payload: &[u8]) {
        put_packet(&mut self.output, &mut self.sequence, payload);
    }

    /// Where the output stands, to take back what is put after it with [`Leg::take_back`].
    pub fn mark(&self) -> (usize, u8) {
        (self.output.len(), self.sequence)
    }

    /// Forgets what was put since `mark`; nothing of it may have been flushed.
    pub fn take_back(&mut self, (length, sequence): (usize, u8)) {
        self.output.truncate(length);
        self.sequence = sequence;
    }

    /// Sends bytes that are already framed. Small spans are gathered, large ones written at once.
    pub async fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() < WRITE_THROUGH || self.hold {
            self.output.extend_from_slice(bytes);
            return self.flush_if_high().await;
        }
        if !self.output.is_empty() {
            self.write_output().await?;
        }
        write(&mut self.stream, &mut self.input, self.listens, bytes).await
    }

    /// Writes when enough has gathered.
    pub async fn flush_if_high(&mut self) -> io::Result<()> {
        if self.output.len() >= HIGH_WATER && !self.hold { self.write_output().await } else { Ok(()) }
    }

    async fn write_output(&mut self) -> io::Result<()> {
        let result = write(&mut self.stream, &mut self.input, self.listens, &self.output).await;
        self.output.clear();
        result
    }

    /// Writes everything gathered, and what TLS may hold back.
    pub async fn flush(&mut self) -> io::Result<()> {
        if self.hold {
            return Ok(());
        }
        if !self.output.is_empty() {
            self.write_output().await?;
        }
        self.stream.flush().await
    }

    /// To be called behind each result of a command. Servers write what they have then, and within compressed
    /// packets go on numbering from the compressed packet that is next (`net_flush`); clients rely on that.
    pub async fn end_result(&mut self) -> io::Result<()> {
        if matches!(self.stream, Stream::Compressed(_)) && !self.hold {
            self.flush().await?;
            if let Stream::Compressed(stream) = &self.stream {
                self.sequence = stream.sequence();
            }
        }
        Ok(())
    }

    /// Closes the sending half as the other leg's peer did, and leaves the other direction open. TLS says
    /// `close_notify` first: without it OpenSSL would take the connection for broken and send nothing more.
    pub async fn end_output(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Ends the stream politely; errors do not matter any more.
    pub async fn close(&mut self) {
        let _ = self.flush().await;
        let _ = self.stream.shutdown().await;
    }
}

/// Writes everything; see [`Leg::listens`].
async fn write(stream: &mut Stream, input: &mut BytesMut, listens: bool, mut bytes: &[u8]) -> io::Result<()> {
    if !listens {
        return stream.write_all(bytes).await;
    }
    while !bytes.is_empty() {
        let written = poll_fn(|cx| {
            if let Poll::Ready(written) = Pin::new(&mut *stream).poll_write(cx, bytes) {
                return Poll::Ready(written);
            }
            input.reserve(IDLE_ROOM);
            pin!(stream.read_buf(input)).poll(cx).map(|read| match read {
                Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => Err(io::Error::other("the server answered before it had read the command")),
                Err(error) => Err(error),
            })
        });
        match written.await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => bytes = bytes.get(written..).unwrap_or_default(),
        }
    }
    Ok(())
}
