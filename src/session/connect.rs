//! The connection phase: the server's greeting, TLS on either leg, the client's answer.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tracing::debug;

use super::Shared;
use super::authenticate::must_withhold;
use super::error::{SessionError, sealwire_error};
use super::leg::{Leg, OUT_OF_ORDER};
use super::proxy_protocol::{client_addresses, server_header};
use super::stream::{Socket, Stream};
use crate::config::{BackendAddress, BackendTlsMode, ClientTlsMode, Compression};
use crate::sql::RefusalCode;
use crate::wire::capability::{
    CLIENT_COMPRESS, CLIENT_SESSION_TRACK, CLIENT_SSL, CLIENT_ZSTD_COMPRESSION_ALGORITHM, PASSED, PASSED_EXTENDED,
};
use crate::wire::compress::Algorithm;
use crate::wire::handshake::{Greeting, HandshakeResponse};

/// How long a client may take from connecting to its handshake response (MySQL's `connect_timeout`).
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// A handshake response is never larger: attributes are limited to 64 KiB.
pub(super) const LARGEST_HANDSHAKE: usize = 256 * 1024;

/// Both legs, after the client's handshake response went to the server.
pub struct Connected {
    pub client: Leg,
    pub server: Leg,
    /// What the client asked for, of what it was offered.
    pub client_capabilities: u32,
    pub server_capabilities: u32,
    /// MariaDB's, the same on both legs.
    pub extended_capabilities: u32,
    /// On the client's leg, from the packet after the login's OK.
    pub compression: Option<Algorithm>,
    pub scramble: Vec<u8>,
    pub auth_plugin: Vec<u8>,
    pub schema: Option<Vec<u8>>,
}

/// Connects to the server and carries the session to the point where authentication goes back and forth.
pub async fn connect(shared: &Shared, mut client: Socket) -> Result<Connected, SessionError> {
    let addresses = client_addresses(&shared.config.proxy_protocol, &mut client).await?;
    let mut client = Leg::new(Stream::Plain(client));
    let mut server = match dial(shared).await {
        Ok(mut socket) => {
            // The first bytes of a connection; the server says first what it thinks of them, then its greeting.
            socket.write_all(&server_header(shared.config.proxy_protocol.send, addresses)).await?;
            Leg::new(Stream::Plain(socket))
        }
        Err(reason) => {
            return refuse(&mut client, RefusalCode::DatabaseUnreachable, reason).await;
        }
    };
    let payload = timeout(shared.config.backend.connect_timeout, server.read_packet_exactly(LARGEST_HANDSHAKE))
        .await
        .map_err(|_| SessionError::Closed)??;
    if payload.first() == Some(&0xFF) {
        // Too many connections, host blocked: the client reads it as from the server itself.
        client.sequence = 0;
        client.put(&payload);
        client.close().await;
        return Err(SessionError::Refused("the server refused the connection".into()));
    }
    let greeting = Greeting::parse(payload)?;
    let offered = greeting.capabilities & PASSED | compression_offered(shared.config.compression);
    let extended_offered = greeting.extended_capabilities & PASSED_EXTENDED;
    let client_tls = shared.acceptor.is_some() && !client.stream.is_secure();
    client.sequence = 0;
    let offered_with_tls = if client_tls { offered | CLIENT_SSL } else { offered };
    client.put(&greeting.with_capabilities(offered_with_tls, extended_offered));
    client.flush().await?;

    let response = timeout(HANDSHAKE_TIMEOUT, read_response(shared, &mut client)).await;
    let response = response.map_err(|_| SessionError::Refused("no handshake response in time".into()))??;
    let client_capabilities = response.capabilities & offered;
    let extended = response.extended_capabilities & extended_offered;
    if shared.config.tls.mode == ClientTlsMode::Required && !client.stream.is_secure() {
        let message = "connections using insecure transport are prohibited (`tls.mode: required`)";
        return refuse(&mut client, RefusalCode::TlsRequired, message.into()).await;
    }

    let mut server_capabilities = client_capabilities & PASSED | greeting.capabilities & CLIENT_SESSION_TRACK;
    let wants_tls = shared.config.backend.tls.mode != BackendTlsMode::Disabled;
    let has_tls = greeting.capabilities & CLIENT_SSL != 0;
    let local = matches!(server.stream, Stream::Plain(Socket::Unix(_)));
    match (&shared.connector, wants_tls && !local) {
        (Some(connector), true) if has_tls => {
            server_capabilities |= CLIENT_SSL;
            server.put(&response.ssl_request(server_capabilities, extended));
            server.flush().await?;
            server = match start_tls(shared, connector, server).await {
                Ok(server) => server,
                Err(reason) => {
                    let message = format!("TLS towards the database failed: {reason}");
                    return refuse(&mut client, RefusalCode::BackendTls, message).await;
                }
            };
        }
        (_, true) if shared.config.backend.tls.mode != BackendTlsMode::Preferred => {
            let message = "the database offers no TLS, and `backend.tls.mode` asks for it";
            return refuse(&mut client, RefusalCode::BackendTls, message.into()).await;
        }
        _ => {}
    }
    let compression = compression_chosen(client_capabilities, response.zstd_level);
    let auth_plugin = response.auth_plugin.clone().unwrap_or_else(|| greeting.auth_plugin.clone());
    server.put(&match must_withhold(&auth_plugin, &client, &server) {
        true => response.withheld(server_capabilities, extended),
        false => response.with_capabilities(server_capabilities, extended),
    });
    server.flush().await?;
    debug!(
        connection = greeting.connection_id,
        client = %addresses.map_or_else(|| "unix socket".to_owned(), |addresses| addresses.source.to_string()),
        client_tls = client.stream.is_tls(),
        server_tls = server.stream.is_tls(),
        compression = ?compression
    );
    Ok(Connected {
        client,
        server,
        client_capabilities,
        server_capabilities,
        extended_capabilities: extended,
        compression,
        scramble: greeting.auth_plugin_data.clone(),
        auth_plugin,
        schema: response.schema,
    })
}

/// Compression ends at the proxy: it is offered whatever the server has.
fn compression_offered(compression: Compression) -> u32 {
    let zlib = if compression.zlib { CLIENT_COMPRESS } else { 0 };
    zlib | if compression.zstd { CLIENT_ZSTD_COMPRESSION_ALGORITHM } else { 0 }
}

/// zlib comes first where a client asks for both, as in MySQL's server and client.
fn compression_chosen(capabilities: u32, zstd_level: Option<u8>) -> Option<Algorithm> {
    if capabilities & CLIENT_COMPRESS != 0 {
        return Some(Algorithm::Zlib);
    }
    let zstd = capabilities & CLIENT_ZSTD_COMPRESSION_ALGORITHM != 0;
    zstd.then(|| Algorithm::Zstd { level: zstd_level.unwrap_or(3) })
}

/// The client's handshake response, after TLS if it asks for it.
async fn read_response(shared: &Shared, client: &mut Leg) -> Result<HandshakeResponse, SessionError> {
    let mut payload = read_next(client).await?;
    if HandshakeResponse::is_ssl_request(&payload) {
        let Some(acceptor) = &shared.acceptor else {
            return Err(SessionError::Refused("TLS was asked for and not offered".into()));
        };
        let sequence = client.sequence;
        // A placeholder stands in while the handshake owns the socket.
        let Stream::Plain(socket) = std::mem::replace(&mut client.stream, closed_stream()?) else {
            return Err(SessionError::Refused("TLS was asked for twice".into()));
        };
        let accepted = acceptor.accept(socket).await?;
        client.stream = Stream::TlsAccepted(Box::new(accepted));
        client.sequence = sequence;
        payload = read_next(client).await?;
    }
    Ok(HandshakeResponse::parse(payload)?)
}

async fn read_next(client: &mut Leg) -> Result<Vec<u8>, SessionError> {
    let next = client.sequence.wrapping_add(1);
    let payload = client.read_packet_exactly(LARGEST_HANDSHAKE).await?;
    if client.sequence == next { Ok(payload) } else { Err(OUT_OF_ORDER.into()) }
}

fn closed_stream() -> Result<Stream, SessionError> {
    let (one, _) = UnixStream::pair()?;
    Ok(Stream::Plain(Socket::Unix(one)))
}

async fn start_tls(shared: &Shared, connector: &tokio_rustls::TlsConnector, server: Leg) -> Result<Leg, String> {
    let name = match &shared.config.backend.address {
        BackendAddress::Tcp(host, _) => host.clone(),
        BackendAddress::Unix(_) => "localhost".into(),
    };
    let name = ServerName::try_from(name).map_err(|error| error.to_string())?;
    let sequence = server.sequence;
    let Stream::Plain(socket) = server.stream else { return Err("TLS is on already".into()) };
    let connected = timeout(shared.config.backend.connect_timeout, connector.connect(name, socket));
    let connected = connected.await.map_err(|_| "timed out".to_owned())?.map_err(|error| error.to_string())?;
    let mut leg = Leg::new(Stream::TlsConnected(Box::new(connected)));
    leg.sequence = sequence;
    Ok(leg)
}

async fn dial(shared: &Shared) -> Result<Socket, String> {
    let connecting = async {
        match &shared.config.backend.address {
            BackendAddress::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                let keepalive = socket2::TcpKeepalive::new().with_time(Duration::from_secs(60));
                socket2::SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
                Ok::<_, std::io::Error>(Socket::Tcp(stream))
            }
            BackendAddress::Unix(path) => Ok(Socket::Unix(UnixStream::connect(path).await?)),
        }
    };
    match timeout(shared.config.backend.connect_timeout, connecting).await {
        Ok(Ok(socket)) => Ok(socket),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("timed out".into()),
    }
}

/// Tells the client why, and ends the session. Before the greeting an ERR has no SQLSTATE.
async fn refuse<T>(client: &mut Leg, code: RefusalCode, message: String) -> Result<T, SessionError> {
    let mut error = sealwire_error(code, message);
    if client.sequence == 0 {
        error.sqlstate = None;
    }
    let text = String::from_utf8_lossy(&error.message).into_owned();
    client.put(&error.encode());
    client.close().await;
    Err(SessionError::Refused(text))
}

/// The shared state is cheap to hand to each session.
pub type SharedRef = Arc<Shared>;
