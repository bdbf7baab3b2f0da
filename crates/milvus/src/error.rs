//! Why something that is not timed could not be done, in one sentence with the server's own words.
//!
//! A failed *request* of a run is not an error but an outcome: see [`crate::measured`].

use std::time::Duration;

use squall_proto::code::{ServerCode, ServerError};

use crate::{EncodeError, Protocol};

/// What went wrong, by concern.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no connection.
    #[error("cannot reach Milvus at {uri}: {source}")]
    Connect {
        /// The address.
        uri: String,
        /// Why, with what to do.
        source: ConnectError,
    },
    /// The connection broke during a call.
    #[error("the connection to Milvus at {uri} broke while trying to {operation}: {reason}")]
    Lost {
        /// The address.
        uri: String,
        /// What was being done.
        operation: String,
        /// The transport's words.
        reason: String,
    },
    /// The token is missing or wrong.
    #[error(
        "Milvus at {uri} refused the token ({message}); set MILVUS_TOKEN or --token to user:password or an API key"
    )]
    Unauthenticated {
        /// The address.
        uri: String,
        /// The server's words.
        message: String,
    },
    /// There is no such collection.
    #[error("Milvus has no collection `{collection}` ({message})")]
    NotFound {
        /// The collection.
        collection: String,
        /// The server's words.
        message: String,
    },
    /// There is no such database.
    #[error("Milvus has no such database ({message}); create it, or give another --database")]
    NoDatabase {
        /// The server's words.
        message: String,
    },
    /// The collection is not in memory.
    #[error("collection `{collection}` is not loaded ({message})")]
    NotLoaded {
        /// The collection.
        collection: String,
        /// The server's words.
        message: String,
    },
    /// The server limits the rate.
    #[error("Milvus limits the rate and refused to {operation}: {message} (code {code})")]
    RateLimited {
        /// What was being done.
        operation: String,
        /// The server's code.
        code: i32,
        /// The server's words.
        message: String,
    },
    /// The message is over a limit of the server, or of what stands before it.
    #[error("Milvus takes no message of that size when asked to {operation}: {message}")]
    TooLarge {
        /// What was being done.
        operation: String,
        /// The server's words.
        message: String,
    },
    /// Any other error that the server answered.
    #[error("Milvus could not {operation}: {message} (code {code})")]
    Server {
        /// What was being done.
        operation: String,
        /// The server's code; that of an unexpected error where the call itself failed.
        code: i32,
        /// The server's words.
        message: String,
    },
    /// The server, or its protocol, cannot do it.
    #[error("{server} cannot {operation} over {protocol}{hint}")]
    Unsupported {
        /// What was asked for.
        operation: String,
        /// The server and, where it is known, its version.
        server: String,
        /// The protocol spoken.
        protocol: Protocol,
        /// What to do instead; empty, or beginning with a semicolon.
        hint: &'static str,
    },
    /// The answer is not what Milvus' protocol says.
    #[error("Milvus at {uri} answered something unexpected when asked to {operation}: {reason}")]
    Protocol {
        /// The address.
        uri: String,
        /// What was being done.
        operation: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// No answer within the call's deadline.
    #[error("Milvus did not answer within {after:?} when asked to {operation}")]
    Timeout {
        /// What was being done.
        operation: String,
        /// The deadline.
        after: Duration,
    },
    /// What was to be sent cannot be put into a request.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// Nothing listens there.
    #[error("connection refused; check that it runs and that --uri is right")]
    Refused,
    /// The name has no address.
    #[error("the host `{host}` cannot be resolved ({reason}); check --uri")]
    Resolve {
        /// The name.
        host: String,
        /// The resolver's words.
        reason: String,
    },
    /// Nobody answered in time.
    #[error("no connection within {0:?}; check --uri and the way there")]
    Timeout(Duration),
    /// The server's certificate is not trusted.
    #[error("its certificate is not trusted ({0}); name the file of the CA that signed it")]
    Certificate(String),
    /// The TLS handshake failed for another reason.
    #[error("the TLS handshake failed ({0}); check that https:// is right")]
    Tls(String),
    /// What listens there does not speak the protocol.
    #[error("what listens there does not speak {protocol} ({reason}); check --uri and --transport")]
    Speech {
        /// The protocol.
        protocol: &'static str,
        /// What was seen instead.
        reason: String,
    },
    /// Any other failure of the network.
    #[error("{0}")]
    Io(String),
}

impl Error {
    /// Whether the same call may succeed later without anyone doing something about it.
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Connect { source, .. } => {
                matches!(
                    source,
                    ConnectError::Refused
                        | ConnectError::Timeout(_)
                        | ConnectError::Io(_)
                        | ConnectError::Speech { .. }
                )
            }
            Error::Lost { .. } | Error::RateLimited { .. } | Error::Timeout { .. } => true,
            Error::Server { code, message, .. } => {
                let code = ServerCode(*code);
                matches!(
                    code,
                    ServerCode::NOT_READY | ServerCode::UNAVAILABLE | ServerCode::CHANNEL_NOT_AVAILABLE
                ) || (matches!(code, ServerCode::UNEXPECTED | ServerCode::INTERNAL)
                    && sounds_transient(message))
            }
            _ => false,
        }
    }

    /// Whether the server refused to take more for now, and took nothing: a rate limit, a quota of
    /// memory, disk or writes, or a server that is still starting.
    pub fn is_rejection(&self) -> bool {
        match self {
            Error::RateLimited { .. } => true,
            Error::Server { code, .. } => {
                ServerCode(*code).is_rejection() || ServerCode(*code) == ServerCode::NOT_READY
            }
            _ => false,
        }
    }

    /// Whether the collection, or another thing that was named, does not exist.
    pub fn is_not_found(&self) -> bool {
        match self {
            Error::NotFound { .. } | Error::NoDatabase { .. } => true,
            Error::Server { code, .. } => ServerCode(*code).is_not_found(),
            _ => false,
        }
    }

    /// Whether the collection exists but is not loaded.
    pub fn is_not_loaded(&self) -> bool {
        matches!(self, Error::NotLoaded { .. })
    }

    /// Whether the user has no right to do it.
    pub fn is_not_permitted(&self) -> bool {
        self.code() == Some(ServerCode::PRIVILEGE_NOT_PERMITTED.0)
    }

    /// The server's code, where it answered one.
    pub fn code(&self) -> Option<i32> {
        match self {
            Error::Server { code, .. } | Error::RateLimited { code, .. } => Some(*code),
            Error::NotFound { .. } => Some(ServerCode::COLLECTION_NOT_FOUND.0),
            Error::NoDatabase { .. } => Some(ServerCode::DATABASE_NOT_FOUND.0),
            Error::NotLoaded { .. } => Some(ServerCode::COLLECTION_NOT_LOADED.0),
            _ => None,
        }
    }

    /// What the server answered, sorted by concern.
    pub(crate) fn from_server(error: ServerError, uri: &str, operation: &str, collection: &str) -> Self {
        let ServerError { code, reason: message } = error;
        let operation = operation.to_owned();
        let collection = collection.to_owned();
        match code {
            ServerCode::COLLECTION_NOT_FOUND => Error::NotFound { collection, message },
            ServerCode::DATABASE_NOT_FOUND => Error::NoDatabase { message },
            code if code.is_not_loaded() => Error::NotLoaded { collection, message },
            code if code.is_rate_limit() => Error::RateLimited { operation, code: code.0, message },
            ServerCode::NOT_AUTHENTICATED | ServerCode::REST_UNAUTHENTICATED => {
                Error::Unauthenticated { uri: uri.to_owned(), message }
            }
            code => Error::Server { operation, code: code.0, message },
        }
    }
}

/// Whether the words of an error without a code of its own are those of a server that starts, stops
/// or has lost a part of itself.
fn sounds_transient(message: &str) -> bool {
    const WORDS: [&str; 18] = [
        "not ready",
        "unavailable",
        "abnormal",
        "not healthy",
        "not serving",
        "initializing",
        "stopping",
        "shutting down",
        "connection refused",
        "connection reset",
        "context canceled",
        "deadline exceeded",
        "node offline",
        // A coordinator that has not yet noticed that its node came back as another one.
        "node not match[",
        "node not found[",
        "session not found",
        "client connection is closing",
        "error reading from server: eof",
    ];
    let message = message.to_lowercase();
    WORDS.iter().any(|words| message.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(code: i32, message: &str) -> Error {
        Error::Server { operation: "insert".to_owned(), code, message: message.to_owned() }
    }

    #[test]
    fn a_server_that_starts_or_stops_is_waited_for_and_a_wrong_request_is_not() {
        assert!(server(65535, "proxy is not ready: context deadline exceeded").is_transient());
        assert!(server(1, "").is_transient() && server(1, "").is_rejection());
        assert!(server(9, "quota exceeded").is_rejection());
        let restarted = "attempt #0: node not match[expectedNodeID=1][actualNodeID=2]: unrecoverable error";
        assert!(server(65535, restarted).is_transient());
        assert!(!server(1100, "the num_rows of field is not ready").is_transient());
        assert!(!server(65535, "cannot parse expression").is_transient());
        assert!(!server(65535, "proxy is not ready").is_rejection(), "it may have been taken");
    }
}
