//! The listening socket and the connections on it.

use std::{future::Future, io, net::SocketAddr, path::Path, pin::pin, sync::Arc, time::Duration};

use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::{
    config::{Engine, SandboxConfig, Tls},
    engine::{catalog::Catalog, pool::Pool},
    error::SandboxError,
    faults::InsertFaults,
    front::Front,
    gate::Gate,
    log::SearchLog,
    state::State,
    timer::Timer,
};

/// Milvus 2.3.5's HTTP/2 setting.
const MAX_FRAME_BYTES: u32 = 16_384;
/// How long open requests may take to end once the sandbox is told to stop.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// A sandbox that listens; it answers once it is [served](Self::serve).
pub struct Sandbox {
    listener: TcpListener,
    local_addr: SocketAddr,
    state: Arc<State>,
    tls: Option<TlsAcceptor>,
    log: Option<SearchLog>,
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox").field("uri", &self.uri()).finish_non_exhaustive()
    }
}

impl Sandbox {
    /// Checks the configuration and listens. Connections are accepted from now on, and answered by
    /// [`serve`](Self::serve).
    ///
    /// # Errors
    /// A rate outside of 0 to 1, a port in use, a file that cannot be read or written.
    pub async fn bind(config: SandboxConfig) -> Result<Self, SandboxError> {
        for (name, value) in [
            ("the error rate", config.error_rate),
            ("the reject rate", config.reject_rate),
            ("the drop rate", config.drop_rate),
            ("the insert reject rate", config.insert_reject_rate),
            ("the insert drop rate", config.insert_drop_rate),
        ] {
            if !(0.0..=1.0).contains(&value) {
                return Err(SandboxError::Rate { name, value });
            }
        }
        let tls = config.tls.as_ref().map(tls_acceptor).transpose()?;
        let (host, port) = (config.host.clone(), config.port);
        let listener = TcpListener::bind((host.as_str(), port)).await;
        let listener = listener.and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (local_addr, listener) = listener.map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => SandboxError::PortInUse { host, port },
            _ => SandboxError::Listen { host, port, source },
        })?;
        let log = config.log.as_deref().map(|path| {
            SearchLog::create(path).map_err(|source| SandboxError::Log { path: path.to_owned(), source })
        });
        let log = log.transpose()?;
        let timer = Timer::start().map_err(SandboxError::Threads)?;
        let state = State {
            engine: config.engine,
            catalog: Catalog::new(config.engine == Engine::Null),
            pool: Pool::start().map_err(SandboxError::Threads)?,
            gate: Gate::new(&config, timer, log.as_ref().map(SearchLog::sender)),
            insert_faults: InsertFaults::new(&config),
            max_message_bytes: config.max_message_bytes,
            token: config.token,
        };
        Ok(Self { listener, local_addr, state: Arc::new(state), tls, log })
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Where clients find it, such as `http://127.0.0.1:19530`.
    pub fn uri(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.local_addr)
    }

    /// Answers until `shutdown` resolves; then takes no new connection, gives open requests half a
    /// second, closes what is left and completes the log. The port is free afterwards.
    ///
    /// # Errors
    /// When the log could not be written.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<(), SandboxError> {
        let Self { listener, state, tls, log, .. } = self;
        let front = Front::new(Arc::clone(&state));
        let stop = CancellationToken::new();
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        // Small frames, one answer at a time: nothing may wait for more to send.
                        let _ = stream.set_nodelay(true);
                        let (front, stop, tls) = (front.clone(), stop.clone(), tls.clone());
                        connections.spawn(async move {
                            match tls {
                                None => converse(stream, front, stop).await,
                                Some(tls) => match tls.accept(stream).await {
                                    Ok(stream) => converse(stream, front, stop).await,
                                    Err(error) => tracing::debug!(%error, "no TLS handshake"),
                                },
                            }
                        });
                    }
                    Err(error) => {
                        // Out of descriptors, most likely: some connection has to end first.
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
            }
        }
        drop(listener);
        stop.cancel();
        let ended = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_ANSWERS, ended).await.is_err() {
            connections.shutdown().await;
        }
        state.catalog.close();
        drop((front, state));
        match log {
            Some(log) => log.close().map_err(|(path, source)| SandboxError::Log { path, source }),
            None => Ok(()),
        }
    }
}

/// Serves one connection, HTTP/1 or HTTP/2, until the client or `stop` ends it.
async fn converse<S>(stream: S, front: Front, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http2()
        .max_frame_size(MAX_FRAME_BYTES)
        // From 64 KiB on they grow with what a connection carries, as those of Milvus' gRPC do: a
        // batch of rows would else wait for a window update every four frames.
        .adaptive_window(true)
        .max_concurrent_streams(None)
        // A client that gives up on many requests at once is a load test, not an attack.
        .max_pending_accept_reset_streams(1 << 20)
        .max_local_error_reset_streams(None);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), front));
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        // Resets and clients that vanish are everyday business under load.
        tracing::debug!(error, "a connection ended with an error");
    }
}

fn tls_acceptor(tls: &Tls) -> Result<TlsAcceptor, SandboxError> {
    let unusable = |path: &Path, reason: String| SandboxError::Tls { path: path.to_owned(), reason };
    let certificates = CertificateDer::pem_file_iter(&tls.cert_pem)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable(&tls.cert_pem, error.to_string()))?;
    let key = PrivateKeyDer::from_pem_file(&tls.key_pem)
        .map_err(|error| unusable(&tls.key_pem, error.to_string()))?;
    // The provider by name: what the process has installed, if anything, is the client's business.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, key))
        .map_err(|error| unusable(&tls.cert_pem, error.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
