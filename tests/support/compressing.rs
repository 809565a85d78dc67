//! Stands between a client without compression and the proxy, and compresses: so that any client of these
//! tests can be run compressed. Checks that the ids of compressed packets follow each other, and cuts the
//! stream without regard to the packets within. It shares no code with the proxy.

use std::io::{Read, Write};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::raw::caps;

/// What is compressed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    Zlib,
    Zstd,
}

impl Compression {
    /// The capability flag that a client sets for it.
    pub fn flag(self) -> u32 {
        match self {
            Self::Zlib => caps::COMPRESS,
            Self::Zstd => caps::ZSTD_COMPRESSION_ALGORITHM,
        }
    }

    /// One compressed packet.
    pub fn packet(self, sequence: u8, plain: &[u8]) -> Vec<u8> {
        let payload = match self {
            Self::Zlib => {
                let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
                encoder.write_all(plain).unwrap();
                encoder.finish().unwrap()
            }
            Self::Zstd => zstd::encode_all(plain, 9).unwrap(),
        };
        let (payload, uncompressed) = if plain.len() < 50 { (plain, 0) } else { (payload.as_slice(), plain.len()) };
        let mut out = (payload.len() as u32).to_le_bytes()[..3].to_vec();
        out.push(sequence);
        out.extend_from_slice(&(uncompressed as u32).to_le_bytes()[..3]);
        out.extend_from_slice(payload);
        out
    }

    fn uncompress(self, payload: &[u8], length: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(length);
        match self {
            Self::Zlib => drop(flate2::read::ZlibDecoder::new(payload).read_to_end(&mut out).unwrap()),
            Self::Zstd => out = zstd::decode_all(payload).unwrap(),
        }
        assert_eq!(out.len(), length, "a compressed packet announces its length");
        out
    }
}

/// The port of a compressing way to `port`, for one connection. The client must ask for
/// [`Compression::flag`] itself, and have no password.
pub async fn compressing(port: u16, compression: Compression) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let own = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        let proxy = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        // An end of either side ends the other, too.
        let _ = bridge(client, proxy, compression).await;
    });
    own
}

async fn packet(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut packet = vec![0; 4];
    stream.read_exact(&mut packet).await?;
    let length = u32::from_le_bytes([packet[0], packet[1], packet[2], 0]) as usize;
    packet.resize(4 + length, 0);
    stream.read_exact(&mut packet[4..]).await?;
    Ok(packet)
}

async fn bridge(mut client: TcpStream, mut proxy: TcpStream, compression: Compression) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    proxy.set_nodelay(true)?;
    client.write_all(&packet(&mut proxy).await?).await?;
    let mut response = packet(&mut client).await?;
    if compression == Compression::Zstd {
        response.push(3);
        response[0] += 1;
        assert_ne!(response[0], 0, "a short response");
    }
    proxy.write_all(&response).await?;
    loop {
        let answer = packet(&mut proxy).await?;
        client.write_all(&answer).await?;
        match answer[4] {
            0x00 => break,
            0xFE => proxy.write_all(&packet(&mut client).await?).await?,
            0xFF => return Ok(()),
            _ => {}
        }
    }
    let (mut sequence, mut answered) = (0u8, true);
    let mut sizes = [1, 3, 60, 5000, 49, 65_000, 7].into_iter().cycle();
    let mut buffer = vec![0; 1 << 20];
    let mut header = Vec::new();
    loop {
        let mut rest = [0; 7];
        tokio::select! {
            read = client.read(&mut buffer) => {
                let mut plain = &buffer[..read?];
                if plain.is_empty() {
                    return Ok(());
                }
                if answered && plain.get(3) == Some(&0) {
                    sequence = 0;
                }
                answered = false;
                while !plain.is_empty() {
                    let (piece, tail) = plain.split_at(sizes.next().unwrap().min(plain.len()));
                    proxy.write_all(&compression.packet(sequence, piece)).await?;
                    sequence = sequence.wrapping_add(1);
                    plain = tail;
                }
            }
            read = proxy.read(&mut rest[header.len()..]) => {
                let count = read?;
                if count == 0 {
                    return Ok(());
                }
                header.extend_from_slice(&rest[header.len()..][..count]);
                let [a, b, c, id, d, e, f] = header[..] else { continue };
                assert_eq!(id, sequence, "the id of a compressed packet");
                sequence = sequence.wrapping_add(1);
                answered = true;
                header.clear();
                let mut payload = vec![0; u32::from_le_bytes([a, b, c, 0]) as usize];
                proxy.read_exact(&mut payload).await?;
                let length = u32::from_le_bytes([d, e, f, 0]) as usize;
                let plain = if length == 0 { payload } else { compression.uncompress(&payload, length) };
                client.write_all(&plain).await?;
            }
        }
    }
}
