//! Why a sandbox does not start or did not end well.

use std::{io, path::PathBuf};

/// See the variants.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// Another process listens there.
    #[error("port {port} on {host} is in use; choose another with --port, or --port 0 for a free one")]
    PortInUse {
        /// Address or name.
        host: String,
        /// Port.
        port: u16,
    },
    /// It cannot be listened there for another reason.
    #[error("cannot listen on {host}:{port}: {source}")]
    Listen {
        /// Address or name.
        host: String,
        /// Port.
        port: u16,
        /// Why.
        source: io::Error,
    },
    /// A rate is no share.
    #[error("{name} is {value}; it must be between 0 and 1")]
    Rate {
        /// Which.
        name: &'static str,
        /// What it is.
        value: f64,
    },
    /// The log file cannot be made or written.
    #[error("cannot write the search log {}: {source}", path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file for TLS cannot be read or used.
    #[error("cannot use {} for TLS: {reason}", path.display())]
    Tls {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The system gives no thread or timer.
    #[error("cannot start the sandbox's threads: {0}")]
    Threads(#[source] io::Error),
}
