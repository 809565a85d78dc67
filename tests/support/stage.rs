//! A stand-in between the proxy and its server: it relays and records every byte, and plays a server's
//! part itself where a test wants a server to say what the real ones here do not.

use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::Backend;

/// What one connection of the proxy's carried.
#[derive(Clone, Default)]
pub struct Recorded {
    pub from_proxy: Vec<u8>,
    pub from_server: Vec<u8>,
    /// The proxy has closed.
    pub closed: bool,
}

/// What is to be played in place of the server.
#[derive(Default)]
pub struct Act {
    /// Sent instead of the server's greeting, and then closed.
    pub instead_of_greeting: Option<Vec<u8>>,
    /// Bytes before the handshake response that are recorded and not sent on: a PROXY protocol header.
    pub header: usize,
    /// After the handshake response of this user, these packets: each but OK and ERR waits for an answer.
    pub user: String,
    pub packets: Vec<Vec<u8>>,
    /// Payloads that the proxy answered with.
    pub answers: Vec<Vec<u8>>,
}

#[derive(Default)]
struct Shared {
    act: Mutex<Act>,
    recorded: Mutex<Vec<Recorded>>,
}

pub struct Stage {
    pub port: u16,
    shared: Arc<Shared>,
}

impl Stage {
    /// On a thread of its own: a test that waits for its proxy to start blocks its runtime.
    pub fn before(backend: &Backend) -> Self {
        Self::at(0, backend)
    }

    /// On this port, or any for 0.
    pub fn at(port: u16, backend: &Backend) -> Self {
        let listener = std::net::TcpListener::bind(("127.0.0.1", port)).expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared::default());
        let (kept, server) = (shared.clone(), (backend.host.clone(), backend.port));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(accept(kept, listener, server));
        });
        Self { port, shared }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn act(&self) -> MutexGuard<'_, Act> {
        self.shared.act.lock().unwrap()
    }

    pub fn recorded(&self) -> Vec<Recorded> {
        self.shared.recorded.lock().unwrap().clone()
    }
}

async fn accept(shared: Arc<Shared>, listener: std::net::TcpListener, server: (String, u16)) {
    let listener = TcpListener::from_std(listener).expect("a listener");
    while let Ok((proxy, _)) = listener.accept().await {
        let Ok(server) = TcpStream::connect((server.0.as_str(), server.1)).await else { return };
        let index = {
            let mut recorded = shared.recorded.lock().unwrap();
            recorded.push(Recorded::default());
            recorded.len() - 1
        };
        let shared = shared.clone();
        tokio::spawn(async move {
            let _ = play(&shared, index, proxy, server).await;
            shared.recorded.lock().unwrap()[index].closed = true;
        });
    }
}

async fn play(shared: &Shared, index: usize, mut proxy: TcpStream, mut server: TcpStream) -> std::io::Result<()> {
    proxy.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let instead = shared.act.lock().unwrap().instead_of_greeting.clone();
    if let Some(payload) = instead {
        return write(&mut proxy, 0, &payload).await;
    }
    let mut header = vec![0; shared.act.lock().unwrap().header];
    proxy.read_exact(&mut header).await?;
    shared.recorded.lock().unwrap()[index].from_proxy.extend_from_slice(&header);
    let (_, greeting) = read(&mut server).await?;
    write(&mut proxy, 0, &greeting).await?;
    let (mut sequence, response) = read(&mut proxy).await?;
    shared.recorded.lock().unwrap()[index].from_proxy.extend_from_slice(&response);
    let packets = {
        let act = shared.act.lock().unwrap();
        let user = response.get(32..).unwrap_or_default().split(|byte| *byte == 0).next().unwrap_or_default();
        (!act.user.is_empty() && user == act.user.as_bytes()).then(|| act.packets.clone())
    };
    if let Some(packets) = packets {
        for packet in packets {
            write(&mut proxy, sequence.wrapping_add(1), &packet).await?;
            if !matches!(packet[0], 0x00 | 0xFF) {
                let (next, answer) = read(&mut proxy).await?;
                sequence = next;
                shared.recorded.lock().unwrap()[index].from_proxy.extend_from_slice(&answer);
                shared.act.lock().unwrap().answers.push(answer);
            }
        }
        // Until the proxy closes.
        while proxy.read(&mut [0; 512]).await? > 0 {}
        return Ok(());
    }
    write(&mut server, sequence, &response).await?;
    let (mut a, mut b) = ([0; 16384], [0; 16384]);
    loop {
        tokio::select! {
            read = proxy.read(&mut a) => {
                let read = read?;
                if read == 0 { return Ok(()); }
                shared.recorded.lock().unwrap()[index].from_proxy.extend_from_slice(&a[..read]);
                server.write_all(&a[..read]).await?;
            }
            read = server.read(&mut b) => {
                let read = read?;
                if read == 0 { return Ok(()); }
                shared.recorded.lock().unwrap()[index].from_server.extend_from_slice(&b[..read]);
                proxy.write_all(&b[..read]).await?;
            }
        }
    }
}

async fn read(stream: &mut TcpStream) -> std::io::Result<(u8, Vec<u8>)> {
    let mut header = [0; 4];
    stream.read_exact(&mut header).await?;
    let mut payload = vec![0; u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize];
    stream.read_exact(&mut payload).await?;
    Ok((header[3], payload))
}

async fn write(stream: &mut TcpStream, sequence: u8, payload: &[u8]) -> std::io::Result<()> {
    let mut packet = (payload.len() as u32).to_le_bytes()[..3].to_vec();
    packet.push(sequence);
    packet.extend_from_slice(payload);
    stream.write_all(&packet).await
}
