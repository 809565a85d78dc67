//! Listeners and workers: one current-thread runtime a core, each with a listening socket of its own
//! (SO_REUSEPORT), so that a connection stays on the core that accepted it.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket as RawSocket, Type};
use tokio::net::{TcpListener, UnixListener};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use super::Shared;
use super::command::serve;
use super::stream::Socket;
use crate::config::ListenAddress;

/// Statements are parsed on a worker's own stack, and the parser recurses.
const WORKER_STACK: usize = 64 * 1024 * 1024;
/// Connections that the kernel keeps for a listener before they are accepted.
const BACKLOG: i32 = 1024;
/// Between two tries when accepting fails for lack of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long sessions may take to say goodbye when `shutdown_grace` is over.
const FAREWELL: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("cannot listen on {address}: {error}")]
    Bind { address: String, error: io::Error },
    #[error("cannot start a worker: {0}")]
    Worker(io::Error),
}

/// The bound listeners, not yet accepting.
pub struct Listeners {
    tcp: Vec<SocketAddr>,
    unix: Vec<(PathBuf, std::os::unix::net::UnixListener)>,
    workers: Vec<Vec<std::net::TcpListener>>,
}

impl Listeners {
    /// Binds every address once for each worker. Port 0 is replaced by the port the kernel chose.
    pub fn bind(addresses: &[ListenAddress], workers: usize) -> Result<Self, ListenError> {
        let mut listeners = Self { tcp: Vec::new(), unix: Vec::new(), workers: Vec::new() };
        listeners.workers.resize_with(workers.max(1), Vec::new);
        for address in addresses {
            match address {
                ListenAddress::Tcp(address) => {
                    listeners.bind_tcp(*address).map_err(|error| bind_error(address, error))?;
                }
                ListenAddress::Unix(path) => {
                    let listener = bind_unix(path).map_err(|error| bind_error(path.display(), error))?;
                    listeners.unix.push((path.clone(), listener));
                }
            }
        }
        Ok(listeners)
    }

    fn bind_tcp(&mut self, mut address: SocketAddr) -> io::Result<()> {
        // SO_REUSEPORT would let a second proxy share the port unnoticed: the first bind goes without.
        let probe = tcp_socket(address, false)?;
        let chosen = probe.local_addr()?.as_socket().unwrap_or(address);
        drop(probe);
        address.set_port(chosen.port());
        for worker in &mut self.workers {
            let socket = tcp_socket(address, true)?;
            socket.listen(BACKLOG)?;
            socket.set_nonblocking(true)?;
            worker.push(socket.into());
        }
        self.tcp.push(address);
        Ok(())
    }

    /// Serves until the shutdown is over. Blocks the calling thread.
    pub fn serve(self, shared: &Arc<Shared>) -> Result<(), ListenError> {
        for address in &self.tcp {
            info!("listening on {address}");
        }
        for (path, _) in &self.unix {
            info!("listening on unix:{}", path.display());
        }
        let mut threads: Vec<JoinHandle<()>> = Vec::new();
        for (index, tcp) in self.workers.into_iter().enumerate() {
            let unix: Result<Vec<_>, _> = self.unix.iter().map(|(_, listener)| listener.try_clone()).collect();
            let unix = unix.map_err(ListenError::Worker)?;
            let shared = shared.clone();
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ListenError::Worker)?;
            let thread = std::thread::Builder::new().name(format!("worker-{index}")).stack_size(WORKER_STACK);
            threads.push(thread.spawn(move || runtime.block_on(work(shared, tcp, unix))).map_err(ListenError::Worker)?);
        }
        for thread in threads {
            if thread.join().is_err() {
                warn!("a worker ended by a panic");
            }
        }
        for (path, _) in &self.unix {
            let _ = std::fs::remove_file(path);
        }
        Ok(())
    }
}

fn bind_error(address: impl ToString, error: io::Error) -> ListenError {
    ListenError::Bind { address: address.to_string(), error }
}

fn tcp_socket(address: SocketAddr, reuse_port: bool) -> io::Result<RawSocket> {
    let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(reuse_port)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn bind_unix(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    // A socket file that nobody answers on is left over from a process that was killed.
    if path.exists() && std::os::unix::net::UnixStream::connect(path).is_err() {
        std::fs::remove_file(path)?;
    }
    let listener = std::os::unix::net::UnixListener::bind(path)?;
    // As the server's own socket: who may do what is decided by the login.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

async fn work(shared: Arc<Shared>, tcp: Vec<std::net::TcpListener>, unix: Vec<std::os::unix::net::UnixListener>) {
    let sessions = TaskTracker::new();
    let acceptors = TaskTracker::new();
    for listener in tcp {
        match TcpListener::from_std(listener) {
            Ok(listener) => drop(acceptors.spawn(accept_tcp(shared.clone(), listener, sessions.clone()))),
            Err(error) => warn!(%error, "listener"),
        }
    }
    for listener in unix {
        match UnixListener::from_std(listener) {
            Ok(listener) => drop(acceptors.spawn(accept_unix(shared.clone(), listener, sessions.clone()))),
            Err(error) => warn!(%error, "listener"),
        }
    }
    acceptors.close();
    acceptors.wait().await;
    sessions.close();
    // Idle sessions end by themselves; one in a transaction may finish it.
    let grace = shared.config.shutdown_grace;
    if timeout(grace, sessions.wait()).await.is_err() {
        warn!("closing {} sessions that did not end in {grace:?} (`shutdown_grace`)", sessions.len());
        shared.deadline.cancel();
        // What is in the middle of a statement then is cut off.
        let _ = timeout(FAREWELL, sessions.wait()).await;
    }
}

async fn accept_tcp(shared: Arc<Shared>, listener: TcpListener, sessions: TaskTracker) {
    let shutdown: CancellationToken = shared.shutdown.clone();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let keepalive = socket2::TcpKeepalive::new().with_time(Duration::from_secs(60));
                    let _ = socket2::SockRef::from(&stream).set_tcp_keepalive(&keepalive);
                    let _ = stream.set_nodelay(true);
                    sessions.spawn(serve(shared.clone(), Socket::Tcp(stream)));
                }
                Err(error) => pause(&error).await,
            }
        }
    }
}

async fn accept_unix(shared: Arc<Shared>, listener: UnixListener, sessions: TaskTracker) {
    let shutdown: CancellationToken = shared.shutdown.clone();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(sessions.spawn(serve(shared.clone(), Socket::Unix(stream)))),
                Err(error) => pause(&error).await,
            }
        }
    }
}

/// Out of file descriptors: trying at once again would only burn the processor.
async fn pause(error: &io::Error) {
    warn!(%error, "accept");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}
