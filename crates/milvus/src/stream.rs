//! The byte stream under every protocol: TCP, or TLS on TCP.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::ServerName;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::{ConnectError, Endpoint};

/// The longest that making a connection may take.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What a connection will speak, as TLS negotiates it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alpn {
    Http1,
    Http2,
}

/// A connected stream.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    /// Boxed: a TLS session is a hundred times larger than a socket.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Connects, without delay for small writes and with an end to waiting for a host that is gone, and shakes hands where the address wants TLS.
    pub(crate) async fn connect(endpoint: &Endpoint, alpn: Alpn) -> Result<Self, ConnectError> {
        tokio::time::timeout(CONNECT_TIMEOUT, Self::connect_unbounded(endpoint, alpn))
            .await
            .unwrap_or(Err(ConnectError::Timeout(CONNECT_TIMEOUT)))
    }

    async fn connect_unbounded(endpoint: &Endpoint, alpn: Alpn) -> Result<Self, ConnectError> {
        let host = endpoint.bare_host();
        let addresses: Vec<_> = tokio::net::lookup_host((host, endpoint.port()))
            .await
            .map_err(|error| ConnectError::Resolve { host: host.to_owned(), reason: error.to_string() })?
            .collect();
        let tcp = TcpStream::connect(addresses.as_slice()).await.map_err(|error| from_io(&error))?;
        tcp.set_nodelay(true).map_err(|error| from_io(&error))?;
        let patience = Some(endpoint.patience());
        SockRef::from(&tcp).set_tcp_user_timeout(patience).map_err(|error| from_io(&error))?;
        let Some(config) = endpoint.tls() else { return Ok(Self::Plain(tcp)) };
        let mut config = rustls::ClientConfig::clone(config);
        config.alpn_protocols = vec![match alpn {
            Alpn::Http1 => b"http/1.1".to_vec(),
            Alpn::Http2 => b"h2".to_vec(),
        }];
        let name =
            ServerName::try_from(host.to_owned()).map_err(|error| ConnectError::Tls(error.to_string()))?;
        let tls = TlsConnector::from(Arc::new(config))
            .connect(name, tcp)
            .await
            .map_err(|error| from_tls(&error))?;
        Ok(Self::Tls(Box::new(tls)))
    }
}

/// What a failed attempt means.
fn from_io(error: &io::Error) -> ConnectError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ConnectError::Refused,
        _ => ConnectError::Io(error.to_string()),
    }
}

fn from_tls(error: &io::Error) -> ConnectError {
    match rustls_error(error) {
        Some(error) => from_rustls(error),
        None => ConnectError::Tls(error.to_string()),
    }
}

/// rustls' own error inside of an I/O error, which may be wrapped in others of its kind.
pub(crate) fn rustls_error(error: &io::Error) -> Option<&rustls::Error> {
    let inner = error.get_ref()?;
    inner.downcast_ref::<rustls::Error>().or_else(|| inner.downcast_ref::<io::Error>().and_then(rustls_error))
}

/// What a failed handshake means.
pub(crate) fn from_rustls(error: &rustls::Error) -> ConnectError {
    match error {
        rustls::Error::InvalidCertificate(reason) => ConnectError::Certificate(reason.to_string()),
        other => ConnectError::Tls(other.to_string()),
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
