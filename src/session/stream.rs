//! One byte stream: TCP or unix socket, with or without TLS, on either leg.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::compressed::Compressed;

/// A socket without TLS.
pub enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A leg's stream. TLS state is boxed: most of it is buffers, and plain legs should not carry them.
pub enum Stream {
    Plain(Socket),
    /// Towards a client.
    TlsAccepted(Box<tokio_rustls::server::TlsStream<Socket>>),
    /// Towards the server.
    TlsConnected(Box<tokio_rustls::client::TlsStream<Socket>>),
    /// Towards a client that asked for compression, after its login.
    Compressed(Box<Compressed>),
}

impl Stream {
    pub fn is_tls(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::TlsAccepted(_) | Self::TlsConnected(_) => true,
            Self::Compressed(compressed) => compressed.stream().is_tls(),
        }
    }

    /// Whether the MySQL protocol counts the stream as safe for a password in the clear: TLS, or a unix socket.
    pub fn is_secure(&self) -> bool {
        match self {
            Self::Plain(Socket::Tcp(_)) => false,
            Self::Plain(Socket::Unix(_)) | Self::TlsAccepted(_) | Self::TlsConnected(_) => true,
            Self::Compressed(compressed) => compressed.stream().is_secure(),
        }
    }
}

macro_rules! delegate {
    ($self:ident, $inner:ident => $call:expr) => {
        match $self.get_mut() {
            Self::Tcp($inner) => $call,
            Self::Unix($inner) => $call,
        }
    };
    (tls $self:ident, $inner:ident => $call:expr) => {
        match $self.get_mut() {
            Self::Plain($inner) => $call,
            Self::TlsAccepted($inner) => $call,
            Self::TlsConnected($inner) => $call,
            Self::Compressed($inner) => $call,
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        delegate!(self, inner => Pin::new(inner).poll_read(cx, buf))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        delegate!(self, inner => Pin::new(inner).poll_write(cx, buf))
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, inner => Pin::new(inner).poll_flush(cx))
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, inner => Pin::new(inner).poll_shutdown(cx))
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        delegate!(tls self, inner => Pin::new(inner).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        delegate!(tls self, inner => Pin::new(inner).poll_write(cx, buf))
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(tls self, inner => Pin::new(inner).poll_flush(cx))
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(tls self, inner => Pin::new(inner).poll_shutdown(cx))
    }
}
