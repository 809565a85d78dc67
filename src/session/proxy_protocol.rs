//! The PROXY protocol, version 1 and 2, in both directions: a load balancer before the proxy says who its
//! client is, and the proxy tells a server that takes it (MariaDB, Percona Server).
//!
//! <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use ppp::{HeaderResult, v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

use super::error::SessionError;
use super::stream::Socket;
use crate::config::{ProxyHeader, ProxyProtocol};

/// A load balancer sends its header at once.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest header of version 1, its CRLF included.
const LONGEST_V1: usize = 107;
/// What a header of version 2 begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Addresses take 216 bytes at most; what follows them (TLVs) is not looked at.
const LONGEST_V2: usize = 4096;

/// Where a connection comes from and where it was made to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    pub source: SocketAddr,
    pub destination: SocketAddr,
}

/// The addresses of a client's connection: what its PROXY header says if it comes from a network that must
/// send one, else its socket's own. `None` for a unix socket.
///
/// # Errors
/// No header, a malformed one, or none in five seconds: the connection is closed without an answer.
pub async fn client_addresses(config: &ProxyProtocol, socket: &mut Socket) -> Result<Option<Addresses>, SessionError> {
    let Socket::Tcp(stream) = socket else { return Ok(None) };
    let own = Addresses { source: plain(stream.peer_addr()?), destination: plain(stream.local_addr()?) };
    if !config.accept.iter().any(|network| network.contains(&own.source.ip())) {
        return Ok(Some(own));
    }
    let header = timeout(PATIENCE, read_header(stream)).await;
    match header.map_err(|_| "none came in 5 s").and_then(|result| result) {
        Ok(told) => Ok(Some(told.unwrap_or(own))),
        Err(reason) => Err(SessionError::ProxyHeader { peer: own.source.ip(), reason }),
    }
}

/// Reads one header and not a byte behind it. `None`: the load balancer's own connection, a health check for
/// example, or one whose origin it does not know.
async fn read_header(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<Addresses>, &'static str> {
    const CUT: &str = "the connection ended in it";
    let mut header = vec![0; SIGNATURE.len()];
    stream.read_exact(&mut header).await.map_err(|_| CUT)?;
    if header == SIGNATURE {
        let mut rest = [0; 4];
        stream.read_exact(&mut rest).await.map_err(|_| CUT)?;
        header.extend_from_slice(&rest);
        let [_, _, high, low] = rest;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length > LONGEST_V2 {
            return Err("it is too long");
        }
        let start = header.len();
        header.resize(start + length, 0);
        stream.read_exact(header.get_mut(start..).unwrap_or_default()).await.map_err(|_| CUT)?;
    } else if header.starts_with(b"PROXY ") {
        while header.last() != Some(&b'\n') {
            if header.len() == LONGEST_V1 {
                return Err("it is too long");
            }
            header.push(stream.read_u8().await.map_err(|_| CUT)?);
        }
    } else {
        return Err("the connection does not begin with one");
    }
    parse(&header)
}

/// What a whole header tells; see [`client_addresses`].
///
/// # Errors
/// It is malformed, or not about a TCP connection.
pub fn parse(header: &[u8]) -> Result<Option<Addresses>, &'static str> {
    let (source, destination): ((IpAddr, u16), (IpAddr, u16)) = match HeaderResult::parse(header) {
        HeaderResult::V1(Ok(v1::Header { addresses, .. })) => match addresses {
            v1::Addresses::Unknown => return Ok(None),
            v1::Addresses::Tcp4(ip) => {
                ((ip.source_address.into(), ip.source_port), (ip.destination_address.into(), ip.destination_port))
            }
            v1::Addresses::Tcp6(ip) => {
                ((ip.source_address.into(), ip.source_port), (ip.destination_address.into(), ip.destination_port))
            }
        },
        HeaderResult::V2(Ok(v2::Header { command: v2::Command::Local, .. })) => return Ok(None),
        HeaderResult::V2(Ok(v2::Header { addresses, protocol, .. })) => match addresses {
            v2::Addresses::IPv4(ip) if protocol == v2::Protocol::Stream => {
                ((ip.source_address.into(), ip.source_port), (ip.destination_address.into(), ip.destination_port))
            }
            v2::Addresses::IPv6(ip) if protocol == v2::Protocol::Stream => {
                ((ip.source_address.into(), ip.source_port), (ip.destination_address.into(), ip.destination_port))
            }
            // The specification: to be taken as if nothing was known.
            v2::Addresses::Unspecified | v2::Addresses::Unix(_) => return Ok(None),
            _ => return Err("it is not about a TCP connection"),
        },
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => return Err("it is malformed"),
    };
    Ok(Some(Addresses { source: plain(source.into()), destination: plain(destination.into()) }))
}

/// What is sent to the server before anything else; empty where nothing is to be.
pub fn server_header(version: ProxyHeader, addresses: Option<Addresses>) -> Vec<u8> {
    let pair = addresses.map(|addresses| match (addresses.source, addresses.destination) {
        (SocketAddr::V4(source), SocketAddr::V4(destination)) => Pair::V4(source, destination),
        (source, destination) => Pair::V6((mapped(source), source.port()), (mapped(destination), destination.port())),
    });
    match version {
        ProxyHeader::None => Vec::new(),
        ProxyHeader::V1 => {
            let addresses = match pair {
                None => v1::Addresses::Unknown,
                Some(Pair::V4(source, destination)) => {
                    v1::Addresses::new_tcp4(*source.ip(), *destination.ip(), source.port(), destination.port())
                }
                Some(Pair::V6(source, destination)) => {
                    v1::Addresses::new_tcp6(source.0, destination.0, source.1, destination.1)
                }
            };
            addresses.to_string().into_bytes()
        }
        ProxyHeader::V2 => {
            let (command, addresses) = match pair {
                None => (v2::Command::Local, v2::Addresses::Unspecified),
                Some(Pair::V4(source, destination)) => (
                    v2::Command::Proxy,
                    v2::IPv4::new(*source.ip(), *destination.ip(), source.port(), destination.port()).into(),
                ),
                Some(Pair::V6(source, destination)) => {
                    (v2::Command::Proxy, v2::IPv6::new(source.0, destination.0, source.1, destination.1).into())
                }
            };
            let protocol = if pair.is_some() { v2::Protocol::Stream } else { v2::Protocol::Unspecified };
            // It writes to memory: no failure but of a length beyond 65,535.
            v2::Builder::with_addresses(v2::Version::Two | command, protocol, addresses).build().unwrap_or_default()
        }
    }
}

enum Pair {
    V4(std::net::SocketAddrV4, std::net::SocketAddrV4),
    V6((Ipv6Addr, u16), (Ipv6Addr, u16)),
}

/// An IPv4 client of an IPv6 listener is an IPv4 client.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn mapped(address: SocketAddr) -> Ipv6Addr {
    match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(source: &str, destination: &str) -> Addresses {
        Addresses { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
    }

    async fn read(mut bytes: &[u8]) -> (Result<Option<Addresses>, &'static str>, &[u8]) {
        let result = read_header(&mut bytes).await;
        (result, bytes)
    }

    #[tokio::test]
    async fn a_header_that_was_written_is_read_and_nothing_behind_it() {
        for pair in
            [addresses("192.0.2.1:1234", "198.51.100.7:3307"), addresses("[2001:db8::1]:1", "[2001:db8::2]:65535")]
        {
            for version in [ProxyHeader::V1, ProxyHeader::V2] {
                let mut bytes = server_header(version, Some(pair));
                bytes.extend_from_slice(b"\x01behind");
                assert_eq!(read(&bytes).await, (Ok(Some(pair)), &b"\x01behind"[..]), "{version:?}");
            }
        }
        for version in [ProxyHeader::V1, ProxyHeader::V2] {
            assert_eq!(read(&server_header(version, None)).await, (Ok(None), &b""[..]), "{version:?}");
        }
        assert!(server_header(ProxyHeader::None, None).is_empty());
    }

    #[tokio::test]
    async fn headers_of_the_specification() {
        let v1 = b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n";
        let highest = addresses("255.255.255.255:65535", "255.255.255.255:65535");
        assert_eq!(read(v1).await.0, Ok(Some(highest)));
        assert_eq!(read(b"PROXY UNKNOWN\r\n").await.0, Ok(None));
        assert_eq!(read(b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n").await.0, Ok(None));
        // Version 2 with a TLV behind the addresses.
        let v2 =
            [SIGNATURE.as_slice(), &[0x21, 0x11, 0, 17, 192, 0, 2, 1, 198, 51, 100, 7, 4, 210, 12, 235, 4, 0, 2, 0, 0]];
        let pair = addresses("192.0.2.1:1234", "198.51.100.7:3307");
        assert_eq!(read(&v2.concat()).await.0, Ok(Some(pair)));
    }

    #[tokio::test]
    async fn what_is_no_header_is_refused() {
        let cases: [&[u8]; 12] = [
            b"",
            b"PROXY TCP4 1.2.3.4",
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n",
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 99999\r\n",
            b"PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n",
            b"PROXY TCP4 ::1 ::1 1 2\r\n",
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
            b"PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n",
            b"proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
            b"\x20\0\0\x01\x85\xa6\xff\x01\0\0\0\x01\x2d",
            b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c\x01\x02\x03\x04\x05\x06\x07\x08\0\x01\0\x02",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c\x01\x02\x03\x04\x05\x06\x07\x08\0\x01\0\x02",
        ];
        for case in cases {
            assert!(read(case).await.0.is_err(), "{}", String::from_utf8_lossy(case));
        }
        let long = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 200], b"\r\n"].concat();
        assert_eq!(read(&long).await.0, Err("it is too long"));
        let long = [SIGNATURE.as_slice(), &[0x21, 0x11, 0xFF, 0xFF], &[0; 70_000]].concat();
        assert_eq!(read(&long).await.0, Err("it is too long"));
    }

    #[tokio::test]
    async fn a_header_cut_anywhere_is_refused() {
        let pair = addresses("192.0.2.1:1234", "198.51.100.7:3307");
        for version in [ProxyHeader::V1, ProxyHeader::V2] {
            let whole = server_header(version, Some(pair));
            for end in 0..whole.len() {
                assert!(read(&whole[..end]).await.0.is_err(), "{version:?} cut at {end}");
            }
        }
    }
}
