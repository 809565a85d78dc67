//! Compressed packets (CLIENT_COMPRESS, CLIENT_ZSTD_COMPRESSION_ALGORITHM): a second framing around the stream of
//! ordinary packets, with boundaries and sequence ids of its own. Each packet is compressed by itself.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_compression_packet.html>

use std::cell::RefCell;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::Malformed;
use super::frame::MAX_PAYLOAD;

/// Bytes of a compressed packet's header: length (3), sequence id (1), length once uncompressed (3).
pub const HEADER: usize = 7;
/// Less than this is sent as it is, as by the servers and clients (`MIN_COMPRESS_LENGTH`).
const SHORTEST: usize = 50;

/// How packets are compressed on a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// zlib (RFC 1950).
    Zlib,
    /// Zstandard (RFC 8878) at the level that the client chose, 1 to 22.
    Zstd { level: u8 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes of payload that follow.
    pub length: usize,
    pub sequence: u8,
    /// Of the payload once uncompressed; 0 where it is not compressed.
    pub uncompressed: usize,
}

impl Header {
    /// The header at the start of `bytes`; `None` if fewer than seven are there.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let [a, b, c, sequence, d, e, f] = *bytes.first_chunk::<HEADER>()?;
        let length = u32::from_le_bytes([a, b, c, 0]) as usize;
        Some(Self { length, sequence, uncompressed: u32::from_le_bytes([d, e, f, 0]) as usize })
    }

    fn encode(self) -> [u8; HEADER] {
        let [a, b, c, ..] = (self.length as u64).to_le_bytes();
        let [d, e, f, ..] = (self.uncompressed as u64).to_le_bytes();
        [a, b, c, self.sequence, d, e, f]
    }
}

/// What the codecs keep between packets is working memory only, so that one a thread serves every session.
struct Codecs {
    deflate: Compress,
    inflate: Decompress,
    zstd: Option<(zstd::bulk::Compressor<'static>, zstd::bulk::Decompressor<'static>)>,
}

impl Codecs {
    fn zstd(&mut self) -> Option<&mut (zstd::bulk::Compressor<'static>, zstd::bulk::Decompressor<'static>)> {
        if self.zstd.is_none() {
            self.zstd = Some((zstd::bulk::Compressor::new(3).ok()?, zstd::bulk::Decompressor::new().ok()?));
        }
        self.zstd.as_mut()
    }
}

thread_local! {
    static CODECS: RefCell<Codecs> = RefCell::new(Codecs {
        deflate: Compress::new(Compression::fast(), true),
        inflate: Decompress::new(true),
        zstd: None,
    });
}

/// The ordinary packets, or parts of packets, within the payload of a compressed packet. Never more than
/// `header` announces, which is at most 16 MB. Errors: not compressed as agreed, or of another length.
pub fn decode(algorithm: Algorithm, header: Header, payload: &[u8]) -> Result<Vec<u8>, Malformed> {
    const WHAT: &str = "compressed packet";
    if header.uncompressed == 0 {
        return Ok(payload.to_vec());
    }
    // One byte of room more than announced shows what is longer.
    let mut out = Vec::with_capacity(header.uncompressed + 1);
    CODECS.with_borrow_mut(|codecs| match algorithm {
        Algorithm::Zlib => {
            codecs.inflate.reset(true);
            let status = codecs.inflate.decompress_vec(payload, &mut out, FlushDecompress::Finish);
            match status.map_err(|_| Malformed(WHAT))? {
                Status::StreamEnd if codecs.inflate.total_in() == payload.len() as u64 => Ok(()),
                _ => Err(Malformed(WHAT)),
            }
        }
        Algorithm::Zstd { .. } => {
            let (_, decompressor) = codecs.zstd().ok_or(Malformed(WHAT))?;
            decompressor.decompress_to_buffer(payload, &mut out).map(|_| ()).map_err(|_| Malformed(WHAT))
        }
    })?;
    match out.len() == header.uncompressed {
        true => Ok(out),
        false => Err(Malformed("compressed packet: not of the length announced")),
    }
}

/// Appends `plain` as compressed packets and advances `sequence`.
pub fn put(out: &mut Vec<u8>, algorithm: Algorithm, sequence: &mut u8, plain: &[u8]) {
    for piece in plain.chunks(MAX_PAYLOAD) {
        let compressed = if piece.len() < SHORTEST { None } else { compress(algorithm, piece) };
        let (payload, uncompressed) = match &compressed {
            Some(compressed) => (compressed.as_slice(), piece.len()),
            None => (piece, 0),
        };
        out.extend_from_slice(&Header { length: payload.len(), sequence: *sequence, uncompressed }.encode());
        out.extend_from_slice(payload);
        *sequence = sequence.wrapping_add(1);
    }
}

/// `None` where compressing does not make it shorter.
fn compress(algorithm: Algorithm, plain: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(plain.len() - 1);
    CODECS.with_borrow_mut(|codecs| match algorithm {
        Algorithm::Zlib => {
            codecs.deflate.reset();
            let status = codecs.deflate.compress_vec(plain, &mut out, FlushCompress::Finish).ok()?;
            (status == Status::StreamEnd).then_some(())
        }
        Algorithm::Zstd { level } => {
            let (compressor, _) = codecs.zstd()?;
            compressor.set_compression_level(i32::from(level)).ok()?;
            compressor.compress_to_buffer(plain, &mut out).ok().map(|_| ())
        }
    })?;
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Algorithm; 2] = [Algorithm::Zlib, Algorithm::Zstd { level: 3 }];

    fn random(length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        aws_lc_rs::rand::fill(&mut bytes).unwrap();
        bytes
    }

    /// The plain bytes of `stream`, whose sequence ids must follow each other from `sequence`.
    fn read(algorithm: Algorithm, mut stream: &[u8], mut sequence: u8) -> Vec<u8> {
        let mut out = Vec::new();
        while !stream.is_empty() {
            let header = Header::parse(stream).unwrap();
            assert_eq!(header.sequence, sequence);
            sequence = sequence.wrapping_add(1);
            let (payload, rest) = stream[HEADER..].split_at(header.length);
            out.extend(decode(algorithm, header, payload).unwrap());
            stream = rest;
        }
        out
    }

    #[test]
    fn bytes_of_any_length_come_back() {
        for algorithm in BOTH {
            for length in [0, 1, 49, 50, 51, 1000, 65_536, MAX_PAYLOAD, MAX_PAYLOAD + 1] {
                for plain in [vec![b'x'; length], random(length)] {
                    let (mut out, mut sequence) = (Vec::new(), 254);
                    put(&mut out, algorithm, &mut sequence, &plain);
                    assert!(read(algorithm, &out, 254) == plain, "{length} bytes by {algorithm:?}");
                }
            }
        }
    }

    #[test]
    fn what_would_grow_is_sent_as_it_is() {
        for algorithm in BOTH {
            let (mut out, mut sequence) = (Vec::new(), 0);
            put(&mut out, algorithm, &mut sequence, &random(1000));
            assert_eq!(Header::parse(&out), Some(Header { length: 1000, sequence: 0, uncompressed: 0 }));
            out.clear();
            put(&mut out, algorithm, &mut sequence, &[b'x'; 1000]);
            assert!(out.len() < 100);
        }
    }

    #[test]
    fn a_packet_that_is_longer_or_shorter_than_it_says_is_an_error() {
        for algorithm in BOTH {
            let (mut out, mut sequence) = (Vec::new(), 0);
            put(&mut out, algorithm, &mut sequence, &[b'x'; 1000]);
            let header = Header::parse(&out).unwrap();
            let payload = &out[HEADER..];
            for uncompressed in [1, 999, 1001, MAX_PAYLOAD] {
                assert!(decode(algorithm, Header { uncompressed, ..header }, payload).is_err());
            }
            for end in 0..payload.len() {
                assert!(decode(algorithm, header, &payload[..end]).is_err(), "cut at {end}");
            }
            assert!(decode(algorithm, header, &[payload, b"more"].concat()).is_err());
            assert!(decode(algorithm, header, &random(100)).is_err());
        }
        assert!(decode(Algorithm::Zlib, Header { length: 0, sequence: 0, uncompressed: 10 }, b"").is_err());
    }
}
