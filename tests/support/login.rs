//! The connection phase of the raw client: TLS or not, every plugin, COM_CHANGE_USER; it notes each step
//! so that a test can say which way an authentication went. It shares no code with the proxy.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use aws_lc_rs::pbkdf2;
use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepPublicEncryptingKey, PublicEncryptingKey};
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::raw::{Raw, Reply, caps, ok_or_err};
use super::{Account, Backend};

/// What a raw client speaks over.
pub enum Wire {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// While TLS starts.
    Nothing,
}

macro_rules! delegate {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Self::Tcp($stream) => $call,
            Self::Unix($stream) => $call,
            Self::Tls($stream) => $call,
            Self::Nothing => panic!("the stream is gone"),
        }
    };
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        delegate!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        delegate!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        delegate!(self, stream => Pin::new(stream).poll_flush(cx))
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        delegate!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}

impl Wire {
    /// Whether clients take it for safe enough to show a password.
    fn is_secure(&self) -> bool {
        !matches!(self, Self::Tcp(_))
    }
}

/// How a raw client logs in.
#[derive(Clone)]
pub struct Login {
    pub account: Account,
    pub schema: Option<String>,
    pub capabilities: u32,
    /// MariaDB's.
    pub extended: u32,
    pub tls: Option<TlsConnector>,
    /// As MySQL's own clients, and its server, have it for `sha256_password`: a unix socket is no safer than TCP.
    pub asks_over_unix: bool,
    /// The plugin that the client begins with; the greeting's where it is not said.
    pub plugin: Option<&'static str>,
    /// The collation id: its low byte goes where every client puts it, its high byte behind.
    pub collation: u16,
    /// Further bytes at the end of the response, connection attributes for example.
    pub tail: Vec<u8>,
}

impl Login {
    pub fn new(account: Account) -> Self {
        Self {
            account,
            schema: None,
            capabilities: caps::USUAL,
            extended: 0,
            tls: None,
            asks_over_unix: false,
            plugin: None,
            collation: 45,
            tail: Vec::new(),
        }
    }

    /// TLS that verifies the certificate of the tests' servers and proxies.
    pub fn tls(mut self, backend: &Backend) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(backend.ca()).expect("the tests' CA")).expect("a certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        self.tls = Some(TlsConnector::from(Arc::new(config)));
        self
    }

    pub fn plugin(mut self, plugin: &'static str) -> Self {
        self.plugin = Some(plugin);
        self
    }

    pub fn schema(mut self, schema: &str) -> Self {
        self.schema = Some(schema.to_owned());
        self
    }

    /// Logs in over TCP; `Err` holds the ERR of the server or the proxy.
    pub async fn tcp(&self, address: (&str, u16)) -> Result<Raw, Reply> {
        let stream = TcpStream::connect(address).await.expect("the port is open");
        stream.set_nodelay(true).expect("TCP");
        self.over(Wire::Tcp(stream)).await
    }

    pub async fn unix(&self, path: &std::path::Path) -> Result<Raw, Reply> {
        self.over(Wire::Unix(UnixStream::connect(path).await.expect("the socket is there"))).await
    }

    pub async fn over(&self, stream: Wire) -> Result<Raw, Reply> {
        let mut raw = Raw::new(stream);
        raw.asks_over_unix = self.asks_over_unix;
        let greeting = raw.read().await;
        if greeting[0] == 0xFF {
            return Err(ok_or_err(&greeting));
        }
        let plugin = raw.greeted(&greeting);
        let plugin = self.plugin.map_or(plugin, str::to_owned);
        let mut flags = self.capabilities;
        if self.schema.is_some() {
            flags |= caps::CONNECT_WITH_DB;
        }
        if self.extended != 0 && raw.offered & caps::MYSQL == 0 {
            flags &= !caps::MYSQL;
        }
        raw.capabilities = flags & (raw.offered | caps::MYSQL);
        raw.extended = self.extended & raw.offered_extended;
        if let Some(tls) = &self.tls {
            assert!(raw.offered & caps::SSL != 0, "TLS is not offered");
            raw.capabilities |= caps::SSL;
            let request = self.fixed(&raw);
            raw.write(&request).await;
            let Wire::Tcp(socket) = std::mem::replace(&mut raw.stream, Wire::Nothing) else { panic!("TLS over TCP") };
            let name = ServerName::try_from("localhost").expect("a name");
            raw.stream = Wire::Tls(Box::new(tls.connect(name, socket).await.expect("TLS starts")));
        }
        let mut response = self.fixed(&raw);
        response.extend_from_slice(self.account.user.as_bytes());
        response.push(0);
        let answer = raw.answer(&plugin, self.account.password);
        response.push(answer.len() as u8);
        response.extend_from_slice(&answer);
        if let Some(schema) = &self.schema {
            response.extend_from_slice(schema.as_bytes());
            response.push(0);
        }
        response.extend_from_slice(plugin.as_bytes());
        response.push(0);
        response.extend_from_slice(&self.tail);
        raw.write(&response).await;
        raw.authenticate(plugin, self.account.password).await?;
        raw.trace.clear();
        Ok(raw)
    }

    /// The part of a handshake response that is an SSLRequest by itself.
    fn fixed(&self, raw: &Raw) -> Vec<u8> {
        let mut response = raw.capabilities.to_le_bytes().to_vec();
        response.extend_from_slice(&(1u32 << 30).to_le_bytes());
        response.extend_from_slice(&self.collation.to_le_bytes());
        response.extend_from_slice(&[0; 18]);
        response.extend_from_slice(&raw.extended.to_le_bytes());
        response
    }
}

impl Raw {
    /// Reads the greeting's fields; gives its plugin.
    fn greeted(&mut self, greeting: &[u8]) -> String {
        assert_eq!(greeting[0], 10, "a greeting: {}", String::from_utf8_lossy(greeting));
        self.greeting = greeting.to_vec();
        let at = 1 + greeting[1..].iter().position(|byte| *byte == 0).expect("a version ends") + 1;
        let word = |from: usize| u32::from_le_bytes(greeting[from..from + 4].try_into().unwrap());
        let half = |from: usize| u32::from(u16::from_le_bytes(greeting[from..from + 2].try_into().unwrap()));
        self.connection_id = word(at);
        self.offered = half(at + 13) | half(at + 18) << 16;
        if self.offered & caps::MYSQL == 0 {
            self.offered_extended = word(at + 27);
        }
        self.scramble = [&greeting[at + 4..at + 12], &greeting[at + 31..at + 43]].concat();
        let plugin = greeting[at + 44..].split(|byte| *byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(plugin).into_owned()
    }

    /// A plugin's answer to the present scramble.
    fn answer(&self, plugin: &str, password: &str) -> Vec<u8> {
        let secure = self.stream.is_secure();
        let clear = || [password.as_bytes(), b"\0"].concat();
        match plugin {
            "mysql_native_password" if password.is_empty() => Vec::new(),
            "mysql_native_password" => {
                let sha1 = |bytes: &[u8]| digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref().to_vec();
                let stage1 = sha1(password.as_bytes());
                xor(&stage1, &sha1(&[self.scramble.as_slice(), &sha1(&stage1)].concat()))
            }
            "caching_sha2_password" | "sha256_password" if password.is_empty() => vec![0],
            "caching_sha2_password" => {
                let sha256 = |bytes: &[u8]| digest(&SHA256, bytes).as_ref().to_vec();
                let stage1 = sha256(password.as_bytes());
                xor(&stage1, &sha256(&[&sha256(&stage1), self.scramble.as_slice()].concat()))
            }
            "sha256_password" if secure && !self.asks() => clear(),
            "sha256_password" => vec![1],
            "mysql_clear_password" => clear(),
            // MariaDB's takes passwords of any length as the seed; a usual key pair has one of 32 bytes.
            "client_ed25519" => {
                let pair = Ed25519KeyPair::from_seed_unchecked(password.as_bytes()).expect("a password of 32 bytes");
                pair.sign(&self.scramble).as_ref().to_vec()
            }
            // An empty packet asks for the salt.
            "parsec" => Vec::new(),
            other => panic!("this client has no plugin {other}"),
        }
    }

    /// Whether it asks for a key where others send the password.
    fn asks(&self) -> bool {
        self.asks_over_unix && matches!(self.stream, Wire::Unix(_))
    }

    /// The exchange after the first answer, up to OK or ERR.
    async fn authenticate(&mut self, mut plugin: String, password: &str) -> Result<(), Reply> {
        loop {
            let packet = self.read().await;
            match packet[0] {
                0x00 => {
                    self.steps.push("ok".into());
                    return Ok(());
                }
                0xFF => return Err(ok_or_err(&packet)),
                header if header == 0xFE || header == 0x02 && self.has(caps::MULTI_FACTOR) => {
                    let mut parts = packet[1..].splitn(2, |byte| *byte == 0);
                    plugin = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
                    let data = parts.next().unwrap_or_default();
                    // 20 bytes and a NUL; ed25519 and parsec have 32 random ones, the last of which may be 0 too.
                    self.scramble = if data.len() == 21 { data[..20].to_vec() } else { data.to_vec() };
                    let what = if header == 0xFE { "switch to" } else { "next factor" };
                    self.steps.push(format!("{what} {plugin}"));
                    let answer = self.answer(&plugin, password);
                    self.write(&answer).await;
                }
                _ => {
                    let data = packet.strip_prefix(&[1]).unwrap_or(&packet).to_vec();
                    self.further(&plugin, &data, password).await;
                }
            }
        }
    }

    /// A plugin's own data.
    async fn further(&mut self, plugin: &str, data: &[u8], password: &str) {
        match (plugin, data) {
            ("caching_sha2_password", [3]) => self.steps.push("fast".into()),
            ("caching_sha2_password", [4]) => {
                self.steps.push("full".into());
                if self.stream.is_secure() {
                    self.write(&[password.as_bytes(), b"\0"].concat()).await;
                } else {
                    self.write(&[2]).await;
                }
            }
            ("caching_sha2_password" | "sha256_password", pem) if pem.starts_with(b"-----BEGIN") => {
                self.steps.push("key".into());
                assert!(!self.stream.is_secure() || self.asks(), "no key was asked for");
                let text = String::from_utf8_lossy(pem);
                let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
                let der = base64::engine::general_purpose::STANDARD.decode(body.trim_end_matches('\0')).expect("PEM");
                let key = OaepPublicEncryptingKey::new(PublicEncryptingKey::from_der(&der).expect("a key")).unwrap();
                let scramble = self.scramble.repeat(password.len() / self.scramble.len() + 2);
                let plain = xor(&[password.as_bytes(), b"\0"].concat(), &scramble);
                let mut buffer = vec![0; key.ciphertext_size()];
                let encrypted = key.encrypt(&OAEP_SHA1_MGF1SHA1, &plain, &mut buffer, None).expect("RSA").to_vec();
                self.write(&encrypted).await;
            }
            // 'P' for PBKDF2, the factor of the iterations, the salt.
            ("parsec", [b'P', factor, salt @ ..]) => {
                self.steps.push("salt".into());
                let iterations = std::num::NonZeroU32::new(1024 << factor).expect("some");
                let mut seed = [0; 32];
                pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA512, iterations, salt, password.as_bytes(), &mut seed);
                let own = [7; 32];
                let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("a seed");
                let signature = pair.sign(&[self.scramble.as_slice(), &own].concat());
                self.write(&[&own, signature.as_ref()].concat()).await;
            }
            (plugin, data) => panic!("{plugin}: {data:02x?}"),
        }
    }

    /// COM_CHANGE_USER, beginning with `plugin`; `Err` holds the ERR.
    pub async fn change_user(&mut self, account: Account, schema: &str, plugin: &str) -> Result<(), Reply> {
        self.steps.clear();
        let answer = self.answer(plugin, account.password);
        let mut payload = vec![0x11];
        payload.extend_from_slice(account.user.as_bytes());
        payload.extend_from_slice(&[0, answer.len() as u8]);
        payload.extend_from_slice(&answer);
        payload.extend_from_slice(schema.as_bytes());
        payload.extend_from_slice(&[0, 45, 0]);
        payload.extend_from_slice(plugin.as_bytes());
        payload.push(0);
        self.send(&payload).await;
        self.authenticate(plugin.to_owned(), account.password).await
    }
}

fn xor(a: &[u8], b: &[u8]) -> Vec<u8> {
    a.iter().zip(b).map(|(a, b)| a ^ b).collect()
}
