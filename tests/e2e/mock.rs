//! A client and a server of the tests' own on either side of a session: bytes are compared over many sets of
//! capabilities, plugins and TLS, and then one side says something wrong, in every phase.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use sealwire::catalog::Catalog;
use sealwire::config::{BackendAddress, BackendTlsMode, Config};
use sealwire::control::Control;
use sealwire::keys::Keys;
use sealwire::session::Shared;
use sealwire::session::command::serve;
use sealwire::session::stream::Socket;
use sealwire::wire::capability::PASSED;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::on_every_server;
use crate::support::Schema;
use crate::support::raw::lenenc_string;

/// Bytes that the proxy relays arrive in this time, and a session that both sides have left ends.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
const SSL: u32 = 1 << 11;
const COMPRESS: u32 = 1 << 5;
const ZSTD: u32 = 1 << 26;
const SESSION_TRACK: u32 = 1 << 23;
/// The first byte of MariaDB's.
const EXTENDED_METADATA: u8 = 1 << 3;
/// PROTOCOL_41, SECURE_CONNECTION, PLUGIN_AUTH: without them there is no login here.
const NEEDED: u32 = 1 << 9 | 1 << 15 | 1 << 19;

pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}
pub(super) type Boxed = Box<dyn Stream>;

/// A proxy whose data connections go to the mock server; catalog and keys are those of a real one.
pub(super) struct Mock {
    shared: Arc<Shared>,
    front: TcpListener,
    back: TcpListener,
    tls: std::path::PathBuf,
    _folder: tempfile::TempDir,
}

impl Mock {
    pub(super) async fn new(schema: &Schema, server_tls: bool) -> Self {
        let backend = &schema.backend;
        let folder = tempfile::tempdir().unwrap();
        let back = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let front = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let text = format!(
            "listen: [127.0.0.1:0]\ntls: {{ cert: \"{tls}/server.pem\", key: \"{tls}/server-key.pem\" }}\n\
             backend:\n  address: {}:{}\n  control: {{ user: sealwire, password: control-secret }}\n\
             kms: {{ provider: local, keyring: \"{}/keyring\" }}\nvault: {}.data_keys\n\
             tables: {{ {}.t: {{ columns: {{ sealed: {{}} }} }} }}\n",
            backend.host,
            backend.port,
            folder.path().display(),
            schema.vault_schema(),
            schema.name,
            tls = backend.tls.display(),
        );
        let config = Config::parse(&text, Path::new("/nowhere/sealwire.yaml"), &|_| None).expect("the configuration");
        let mut mocked = config.clone();
        mocked.backend.address = BackendAddress::Tcp("127.0.0.1".into(), back.local_addr().unwrap().port());
        mocked.backend.tls.mode = if server_tls { BackendTlsMode::Required } else { BackendTlsMode::Disabled };
        let config = Arc::new(config);
        let settings = config.clone();
        let control = tokio::task::spawn_blocking(move || Control::start(&settings)).await.unwrap().unwrap();
        let catalog = Catalog::start(config.clone(), control.clone()).await.unwrap();
        let keys = tokio::task::spawn_blocking(move || Keys::start(&config, control)).await.unwrap().unwrap();
        let shared = Arc::new(Shared::new(Arc::new(mocked), catalog, keys).unwrap());
        Self { shared, front, back, tls: backend.tls.clone(), _folder: folder }
    }

    /// A session between two sockets.
    pub(super) async fn session(&self) -> (TcpStream, TcpStream, JoinHandle<()>) {
        let client = TcpStream::connect(self.front.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = self.front.accept().await.unwrap();
        accepted.set_nodelay(true).unwrap();
        let task = tokio::spawn(serve(self.shared.clone(), Socket::Tcp(accepted)));
        let (server, _) = timeout(PATIENCE, self.back.accept()).await.expect("the proxy connects").unwrap();
        client.set_nodelay(true).unwrap();
        server.set_nodelay(true).unwrap();
        (client, server, task)
    }

    pub(super) async fn accept_tls(&self, stream: Boxed) -> Boxed {
        let chain = CertificateDer::pem_file_iter(self.tls.join("server.pem")).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(self.tls.join("server-key.pem")).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config =
            rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(chain, key).unwrap();
        let accepted = timeout(PATIENCE, TlsAcceptor::from(Arc::new(config)).accept(stream)).await;
        Box::new(accepted.expect("TLS in time").expect("TLS towards the server"))
    }

    pub(super) async fn connect_tls(&self, stream: Boxed) -> Boxed {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.tls.join("ca.pem")).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config =
            rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let connected = timeout(PATIENCE, TlsConnector::from(Arc::new(config)).connect(name, stream)).await;
        Box::new(connected.expect("TLS in time").expect("TLS towards the client"))
    }
}

/// Numbers that repeat from run to run.
pub(super) struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}

pub(super) fn packet(sequence: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = (payload.len() as u32).to_le_bytes()[..3].to_vec();
    packet.push(sequence);
    packet.extend_from_slice(payload);
    packet
}

pub(super) fn greeting(capabilities: u32, plugin: &str) -> Vec<u8> {
    let [a, b, c, d] = capabilities.to_le_bytes();
    let mut payload = b"\x0A8.0.99-mock\0\x07\0\0\0abcdefgh\0".to_vec();
    payload.extend_from_slice(&[a, b, 45, 2, 0, c, d, 21, 0, 0, 0, 0, 0, 0, 0x1F, 0, 0, 0]);
    payload.extend_from_slice(b"ijklmnopqrst\0");
    payload.extend_from_slice(plugin.as_bytes());
    payload.push(0);
    payload
}

pub(super) fn response(capabilities: u32, plugin: &str) -> Vec<u8> {
    let mut payload = capabilities.to_le_bytes().to_vec();
    payload.extend_from_slice(&[0, 0, 0, 1, 45]);
    payload.extend_from_slice(&[0; 19]);
    // MariaDB's extended capabilities: more than there are. Filler for other clients.
    payload.extend_from_slice(&if capabilities & 1 == 0 { [0xFF; 4] } else { [0; 4] });
    payload.extend_from_slice(b"app\0");
    match capabilities & 1 << 21 {
        0 => payload.extend_from_slice(b"\x04hash"),
        // A length of more than a byte.
        _ => payload.extend(lenenc_string(&[b'h'; 300])),
    }
    if capabilities & 1 << 3 != 0 {
        payload.extend_from_slice(b"elsewhere\0");
    }
    payload.extend_from_slice(plugin.as_bytes());
    payload.push(0);
    if capabilities & 1 << 20 != 0 {
        payload.extend_from_slice(b"\x05\x01a\x02bc");
    }
    payload
}

/// Where the capabilities stand in a greeting, MariaDB's too, and which bytes are not compared there.
fn without_capabilities(mut greeting: Vec<u8>) -> (Vec<u8>, u32, [u8; 4]) {
    let at = 1 + greeting[1..].iter().position(|byte| *byte == 0).unwrap() + 14;
    let capabilities = u32::from_le_bytes([greeting[at], greeting[at + 1], greeting[at + 5], greeting[at + 6]]);
    let extended = greeting[at + 14..at + 18].try_into().unwrap();
    for byte in [at, at + 1, at + 5, at + 6, at + 14, at + 15, at + 16, at + 17] {
        greeting[byte] = 0;
    }
    (greeting, capabilities, extended)
}

pub(super) async fn hears(stream: &mut Boxed, expected: &[u8], what: &str) {
    let mut got = vec![0; expected.len()];
    let read = timeout(PATIENCE, stream.read_exact(&mut got)).await;
    read.unwrap_or_else(|_| panic!("{what}: nothing came")).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(got == expected, "{what}: {got:02x?} came, not {expected:02x?}");
}

pub(super) async fn reads(stream: &mut Boxed, what: &str) -> (u8, Vec<u8>) {
    let mut header = [0; 4];
    let read = timeout(PATIENCE, stream.read_exact(&mut header)).await;
    read.unwrap_or_else(|_| panic!("{what}: nothing came")).unwrap_or_else(|error| panic!("{what}: {error}"));
    let mut payload = vec![0; u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize];
    stream.read_exact(&mut payload).await.unwrap();
    (header[3], payload)
}

/// Two lines of the conversation after the login: who speaks, and what.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Side {
    Client,
    Server,
}

pub(super) const OK: &[u8] = &[0, 0, 0, 2, 0, 0, 0];
const EOF: &[u8] = &[0xFE, 0, 0, 2, 0];
const DEFINITION: &[u8] = b"\x03def\x00\x01t\x01t\x01a\x01a\x0c\x2d\x00\x28\x00\x00\x00\xfd\x00\x00\x00\x00\x00";
/// Bytes of its names, behind which the extended metadata would stand.
const NAMES: usize = 13;

/// A login and one of every kind of exchange, each line relayed as it is. Without DEPRECATE_EOF.
pub(super) fn conversation() -> Vec<(Side, Vec<u8>)> {
    use Side::{Client, Server};
    let capabilities = PASSED & !(1 << 24) & !(1 << 27) & !(1 << 21) & !(1 << 20) & !(1 << 3) & !(1 << 28);
    let p =
        |packets: &[(u8, &[u8])]| packets.iter().flat_map(|(sequence, payload)| packet(*sequence, payload)).collect();
    let rows = |one: &[u8]| p(&[(1, &[1]), (2, DEFINITION), (3, EOF), (4, one), (5, one), (6, EOF)]);
    vec![
        (Server, p(&[(0, &greeting(capabilities, "mysql_native_password"))])),
        (Client, p(&[(1, &response(capabilities, "mysql_native_password"))])),
        (Server, p(&[(2, b"\xFEcaching_sha2_password\0ABCDEFGHIJKLMNOPQRST\0")])),
        (Client, p(&[(3, b"thirty-two bytes of a scramble..")])),
        (Server, p(&[(4, b"\x01\x03"), (5, OK)])),
        (Client, p(&[(0, b"\x03SELECT a FROM elsewhere.a")])),
        (Server, rows(b"\x03abc")),
        (Client, p(&[(0, b"\x03INSERT INTO elsewhere.a VALUES (1)")])),
        (Server, p(&[(1, OK)])),
        (Client, p(&[(0, b"\x03SELEC")])),
        (Server, p(&[(1, b"\xFF\x28\x04#42000You have an error")])),
        (Client, p(&[(0, b"\x16SELECT a FROM elsewhere.a WHERE b = ?")])),
        (
            Server,
            p(&[(1, &[0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0]), (2, DEFINITION), (3, EOF), (4, DEFINITION), (5, EOF)]),
        ),
        (Client, p(&[(0, b"\x17\x01\0\0\0\0\x01\0\0\0\0\x01\xfd\0\x03abc")])),
        (Server, rows(b"\0\0\x03abc")),
        (Client, p(&[(0, b"\x17\x01\0\0\0\x01\x01\0\0\0\0\x01\xfd\0\x03abc")])),
        (Server, p(&[(1, &[1]), (2, DEFINITION), (3, &[0xFE, 0, 0, 0x42, 0])])),
        (Client, p(&[(0, b"\x1C\x01\0\0\0\x02\0\0\0")])),
        (Server, p(&[(1, b"\0\0\x03abc"), (2, b"\0\0\x03def"), (3, EOF)])),
        (Client, p(&[(0, b"\x03LOAD DATA LOCAL INFILE 'f' INTO TABLE elsewhere.a")])),
        (Server, p(&[(1, b"\xFBf")])),
        (Client, p(&[(2, b"1\tone\n2\ttwo\n"), (3, b"")])),
        (Server, p(&[(4, OK)])),
        (Client, p(&[(0, b"\x09")])),
        (Server, p(&[(1, b"Uptime: 1")])),
        (Client, p(&[(0, b"\x04a\0")])),
        (Server, p(&[(1, DEFINITION), (2, EOF)])),
        (Client, p(&[(0, b"\x0E")])),
        (Server, p(&[(1, OK)])),
    ]
}

/// What can be wrong with one line.
#[derive(Clone, Copy, Debug)]
enum Wrong {
    Cut,
    FlippedBits,
    Noise,
    Sequence,
    TooLong,
    TooShort,
    Empty,
    Twice,
    Nothing,
    Endless,
}

const WRONGS: [Wrong; 10] = [
    Wrong::Cut,
    Wrong::FlippedBits,
    Wrong::Noise,
    Wrong::Sequence,
    Wrong::TooLong,
    Wrong::TooShort,
    Wrong::Empty,
    Wrong::Twice,
    Wrong::Nothing,
    Wrong::Endless,
];

fn spoil(line: &[u8], wrong: Wrong, random: &mut Random) -> Vec<u8> {
    let mut out = line.to_vec();
    match wrong {
        Wrong::Cut => out.truncate(random.below(line.len())),
        Wrong::FlippedBits => {
            for _ in 0..=random.below(4) {
                let at = random.below(out.len());
                out[at] ^= 1 << random.below(8);
            }
        }
        Wrong::Noise => out = random.bytes(1 + line.len() * 4),
        Wrong::Sequence => out[3] = out[3].wrapping_add(1 + random.below(250) as u8),
        Wrong::TooLong => out[..3].copy_from_slice(&[0xFF, 0xFF, 0xFF]),
        Wrong::TooShort => out[0] = out[0].saturating_sub(1 + random.below(3) as u8),
        Wrong::Empty => out = packet(line[3], b""),
        Wrong::Twice => out.extend_from_slice(line),
        Wrong::Nothing => out.clear(),
        // A payload of 32 MB so far, and no end.
        Wrong::Endless => {
            (0..2).for_each(|n| out.extend(packet(line[3].wrapping_add(n), &vec![random.next() as u8; 0xFF_FFFF])))
        }
    }
    out
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

on_every_server! {
    async fn bytes_pass_whatever_was_negotiated(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut random = Random(0x5EA1_317E);
        for server_tls in [false, true] {
            let mock = Mock::new(&schema, server_tls).await;
            for client_tls in [false, true] {
                for plugin in ["mysql_native_password", "caching_sha2_password", "client_ed25519", "parsec", "of_tomorrow"] {
                    for round in 0..8 {
                        // All, none, or any; those that this client's packets would have to speak excepted.
                        let any = match round {
                            0 => u32::MAX,
                            1 => 0,
                            _ => random.next() as u32,
                        };
                        let server_has = (any | NEEDED | if server_tls { SSL } else { 0 }) & if server_tls { u32::MAX } else { !SSL };
                        let wants = random.next() as u32 | NEEDED;
                        let what = format!("{plugin}, TLS {client_tls}/{server_tls}, {server_has:#x} and {wants:#x}");
                        exchange(&mock, plugin, (client_tls, server_tls), server_has, wants, &what).await;
                    }
                }
            }
        }
    }

    async fn what_is_wrong_ends_in_an_error_or_a_closed_connection(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mock = Mock::new(&schema, false).await;
        let conversation = conversation();
        let mut random = Random(0x0DD_BA11);
        let before = resident_kib();
        for (at, (side, _)) in conversation.iter().enumerate() {
            for wrong in WRONGS {
                let seed = random.0;
                let what = format!("{wrong:?} in line {at} by the {side:?}, seed {seed:#x}");
                disturb(&mock, &conversation, at, wrong, &mut random, &what).await;
            }
        }
        // Nothing is kept of what was held.
        let grown = resident_kib().saturating_sub(before);
        assert!(grown < 600 * 1024, "{grown} KiB more than before");
        // And the proxy serves on.
        let (client, server, task) = mock.session().await;
        let (mut client, mut server): (Boxed, Boxed) = (Box::new(client), Box::new(server));
        play(&mut client, &mut server, &conversation, "afterwards").await;
        drop((client, server));
        timeout(PATIENCE, task).await.expect("the session ends").expect("no panic");
    }
}

/// One login and two commands; everything arrives as it was sent, the capabilities masked.
async fn exchange(mock: &Mock, plugin: &str, (client_tls, server_tls): (bool, bool), has: u32, wants: u32, what: &str) {
    let (client, server, task) = mock.session().await;
    let (mut client, mut server): (Boxed, Boxed) = (Box::new(client), Box::new(server));
    let sent = greeting(has, plugin);
    server.write_all(&packet(0, &sent)).await.unwrap();
    let (sequence, got) = reads(&mut client, what).await;
    let (got, offered, extended_offered) = without_capabilities(got);
    assert_eq!((sequence, got), (0, without_capabilities(sent).0), "{what}: the greeting");
    assert_eq!(offered & !SSL, has & PASSED & !SSL, "{what}: what is offered");
    assert_ne!(offered & SSL, 0, "{what}: TLS ends at the proxy");
    assert_eq!(offered & (COMPRESS | ZSTD), 0, "{what}");
    // This server has 0x1F of MariaDB's; they mean nothing beside CLIENT_MYSQL.
    let extended = if has & 1 == 0 { [EXTENDED_METADATA, 0, 0, 0] } else { [0; 4] };
    assert_eq!(extended_offered, extended, "{what}: what is offered of MariaDB's");

    let wants = wants & offered & !SSL;
    let (mut client_sequence, mut server_sequence) = (1, 1);
    if client_tls {
        let answer = response(wants | SSL, plugin);
        client.write_all(&packet(1, &answer[..32])).await.unwrap();
        client = mock.connect_tls(client).await;
        client_sequence += 1;
    }
    let answer = response(wants | if client_tls { SSL } else { 0 }, plugin);
    client.write_all(&packet(client_sequence, &answer)).await.unwrap();
    if server_tls {
        let (sequence, request) = reads(&mut server, what).await;
        assert_eq!((sequence, request.len()), (1, 32), "{what}: SSLRequest");
        server = mock.accept_tls(server).await;
        server_sequence += 1;
    }
    let (sequence, got) = reads(&mut server, what).await;
    assert_eq!(sequence, server_sequence, "{what}: the response's id");
    assert_eq!((&got[4..28], &got[32..]), (&answer[4..28], &answer[32..]), "{what}: the response");
    assert_eq!(got[28..32], if wants & 1 == 0 { extended } else { [0; 4] }, "{what}: the response's, of MariaDB's");
    let flags = u32::from_le_bytes(got[..4].try_into().unwrap());
    let expected = wants | has & SESSION_TRACK | if server_tls { SSL } else { 0 };
    assert_eq!(flags, expected & (PASSED | SSL), "{what}: the response's capabilities");

    // A plugin's own dialogue: two rounds, then an OK; the ids of the legs differ where TLS does.
    for (n, (from_server, text)) in
        [(true, b"\x01question".as_slice()), (false, b"answer"), (true, b"\x01more"), (false, b"")]
            .into_iter()
            .enumerate()
    {
        let n = n as u8 + 1;
        let (from, to) = if from_server { (&mut server, &mut client) } else { (&mut client, &mut server) };
        let (sent, expected) =
            if from_server { (server_sequence, client_sequence) } else { (client_sequence, server_sequence) };
        from.write_all(&packet(sent + n, text)).await.unwrap();
        hears(to, &packet(expected + n, text), what).await;
    }
    server.write_all(&packet(server_sequence + 5, OK)).await.unwrap();
    hears(&mut client, &packet(client_sequence + 5, OK), what).await;

    let eof = if wants & 1 << 24 == 0 { EOF } else { &[0xFE, 0, 0, 2, 0, 0, 0] };
    let mut text = vec![3];
    if wants & 1 << 27 != 0 {
        text.extend_from_slice(&[0, 1]);
    }
    text.extend_from_slice(b"SELECT a FROM elsewhere.a");
    let mut definition = DEFINITION.to_vec();
    if wants & 1 == 0 && extended[0] & EXTENDED_METADATA != 0 {
        // The field of the extended metadata, empty.
        definition.insert(NAMES, 0);
    }
    let mut lines = vec![vec![1], definition];
    if wants & 1 << 24 == 0 {
        lines.push(EOF.to_vec());
    }
    lines.extend([b"\x03abc".to_vec(), b"\xFB".to_vec(), b"\0".to_vec(), eof.to_vec()]);
    let rows: Vec<u8> = lines.iter().enumerate().flat_map(|(n, line)| packet(n as u8 + 1, line)).collect();
    for _ in 0..2 {
        client.write_all(&packet(0, &text)).await.unwrap();
        hears(&mut server, &packet(0, &text), what).await;
        server.write_all(&rows).await.unwrap();
        hears(&mut client, &rows, what).await;
    }
    drop((client, server));
    timeout(PATIENCE, task).await.unwrap_or_else(|_| panic!("{what}: the session ends")).expect("no panic");
}

/// Plays lines, each of which must arrive; in greeting and response the capabilities are not compared.
pub(super) async fn play(client: &mut Boxed, server: &mut Boxed, lines: &[(Side, Vec<u8>)], what: &str) {
    for (n, (side, line)) in lines.iter().enumerate() {
        let (from, to) =
            if *side == Side::Client { (&mut *client, &mut *server) } else { (&mut *server, &mut *client) };
        from.write_all(line).await.unwrap();
        if n < 2 {
            assert_eq!(reads(to, what).await.1.len() + 4, line.len(), "{what}: line {n}");
        } else {
            hears(to, line, &format!("{what}: line {n}")).await;
        }
    }
}

/// Plays the lines before `at`, spoils that one, says the rest without waiting, and leaves on both sides.
async fn disturb(mock: &Mock, lines: &[(Side, Vec<u8>)], at: usize, wrong: Wrong, random: &mut Random, what: &str) {
    let (client, server, task) = mock.session().await;
    let (mut client, mut server): (Boxed, Boxed) = (Box::new(client), Box::new(server));
    play(&mut client, &mut server, &lines[..at], what).await;
    let (side, line) = &lines[at];
    let spoilt = spoil(line, wrong, random);
    let (mut says, mut replies) = (Vec::new(), Vec::new());
    for (other, line) in &lines[at + 1..] {
        if other == side { says.extend_from_slice(line) } else { replies.extend_from_slice(line) }
    }
    let says = [spoilt, says].concat();
    let (speaker, listener) = if *side == Side::Client { (client, server) } else { (server, client) };
    // Each side writes all it has, stops writing, and reads whatever comes.
    let part = |mut stream: Boxed, bytes: Vec<u8>| async move {
        let (mut reading, mut writing) = tokio::io::split(&mut stream);
        let write = async {
            let _ = writing.write_all(&bytes).await;
            let _ = writing.shutdown().await;
        };
        let read = async {
            let (mut total, mut buffer) = (0, vec![0; 1 << 16]);
            while let Ok(count) = reading.read(&mut buffer).await {
                total += count;
                if count == 0 {
                    break;
                }
            }
            total
        };
        tokio::join!(write, read).1
    };
    let limit = says.len() + replies.len() + 64 * 1024;
    let parts = timeout(PATIENCE * 3, async { tokio::join!(part(speaker, says), part(listener, replies)) }).await;
    let (one, other) = parts.unwrap_or_else(|_| panic!("{what}: the connections stay open"));
    assert!(one + other <= 2 * limit, "{what}: {one} and {other} bytes came of {limit}");
    let ended = timeout(PATIENCE, task).await.unwrap_or_else(|_| panic!("{what}: the session does not end"));
    ended.unwrap_or_else(|error| panic!("{what}: {error}"));
}
