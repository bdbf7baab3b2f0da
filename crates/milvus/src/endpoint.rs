//! Where a server is and how it is entered: address, token, database, trusted CA.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use url::{Host, Url};

use crate::tls;

/// The port of a URI that names none: Milvus' own, for https too.
pub const DEFAULT_PORT: u16 = 19_530;

/// How long a measured connection waits for a sign of its peer unless told otherwise.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server's address and what it wants to see at the door. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Endpoint {
    host: String,
    port: u16,
    token: Option<Token>,
    database: Option<String>,
    tls: Option<Arc<rustls::ClientConfig>>,
    loopback: bool,
    patience: Duration,
}

/// Why an address cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The text is not an address.
    #[error("`{uri}` is not a Milvus address ({reason}); write it like http://localhost:19530")]
    Uri {
        /// The text, without what stood before an `@`.
        uri: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The scheme is another than http or https.
    #[error(
        "`{scheme}` in the Milvus address is neither http nor https; write it like http://localhost:19530"
    )]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// The token cannot be sent in a header.
    #[error("the token has characters that cannot be sent in a header; use `user:password` or an API key")]
    Token,
    /// A CA file for an address without TLS.
    #[error("a CA file is given but {uri} is without TLS; write the address with https://")]
    CaWithoutTls {
        /// The address.
        uri: String,
    },
    /// The CA file cannot be read.
    #[error("failed to read the CA file {}: {source}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The CA file holds no certificate.
    #[error("the CA file {} holds no usable PEM certificate: {reason}", path.display())]
    CaContent {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// `user:password` or an API key; shown nowhere.
#[derive(Clone, PartialEq, Eq)]
struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl Endpoint {
    /// An address from `http://host:port`, `https://host:port` or `host:port`; without a port it is
    /// [`DEFAULT_PORT`]. An empty token or database is none. `user:password@` in the URI serves as
    /// the token where none is given.
    ///
    /// # Errors
    /// When the URI is no address, or the token cannot stand in a header.
    pub fn new(uri: &str, token: Option<String>, database: Option<String>) -> Result<Self, EndpointError> {
        let uri = uri.trim();
        let shown = || redact(uri).to_owned();
        let bad = |reason: &str| EndpointError::Uri { uri: shown(), reason: reason.to_owned() };
        let full = if uri.contains("://") { uri.to_owned() } else { format!("http://{uri}") };
        let url = Url::parse(&full).map_err(|error| bad(&error.to_string()))?;
        let encrypted = match url.scheme() {
            "http" => false,
            "https" => true,
            scheme => return Err(EndpointError::Scheme { scheme: scheme.to_owned() }),
        };
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(bad("nothing may follow the port"));
        }
        let (host, loopback) = match url.host() {
            Some(Host::Domain(name)) => (name.to_owned(), name.eq_ignore_ascii_case("localhost")),
            Some(Host::Ipv4(ip)) => (ip.to_string(), ip.is_loopback()),
            Some(Host::Ipv6(ip)) => (format!("[{ip}]"), ip.is_loopback()),
            None => return Err(bad("it names no host")),
        };
        // `Url` hides a port that is the scheme's own, so `http://host:80` needs a look at the text.
        let port = url.port().or_else(|| written_port(&full)).unwrap_or(DEFAULT_PORT);
        let token = token.filter(|token| !token.is_empty()).or_else(|| userinfo(&url));
        let token = token.map(Token);
        if token.as_ref().is_some_and(|token| token.0.chars().any(|c| c.is_control() || !c.is_ascii())) {
            return Err(EndpointError::Token);
        }
        let tls = encrypted.then(|| tls::client_config(None)).transpose()?.map(Arc::new);
        let database = database.filter(|name| !name.is_empty());
        Ok(Self { host, port, token, database, tls, loopback, patience: PATIENCE })
    }

    /// The same server, trusted by the CA certificates in this PEM file and by no other.
    ///
    /// # Errors
    /// When the address is without TLS, or the file holds no certificate.
    pub fn with_ca_file(mut self, path: impl AsRef<Path>) -> Result<Self, EndpointError> {
        if self.tls.is_none() {
            return Err(EndpointError::CaWithoutTls { uri: self.uri() });
        }
        self.tls = Some(Arc::new(tls::client_config(Some(path.as_ref()))?));
        Ok(self)
    }

    /// The same server, whose measured connections break when what was sent is not acknowledged for this
    /// long: a host that vanishes sends no word of it, and the kernel alone would try for a quarter of an
    /// hour.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// The address as it may be shown: scheme, host and port, nothing else.
    pub fn uri(&self) -> String {
        format!("{}://{}", self.scheme(), self.authority())
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.is_tls() { "https" } else { "http" }
    }

    /// Host and port as in a `Host` header.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The host; an IPv6 address stands in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the connection is encrypted.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether the address says that the server is on this machine.
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// The database, if not the server's default.
    pub fn database(&self) -> Option<&str> {
        self.database.as_deref()
    }

    /// Whether there is a token.
    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    pub(crate) fn tls(&self) -> Option<&Arc<rustls::ClientConfig>> {
        self.tls.as_ref()
    }

    /// The host as an address to resolve: no brackets.
    pub(crate) fn bare_host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// Value of gRPC's `authorization`: the token in base64, without a prefix.
    pub(crate) fn grpc_authorization(&self) -> Option<http::HeaderValue> {
        self.token.as_ref().map(|token| sensitive(&BASE64_STANDARD.encode(&token.0)))
    }

    /// Value of REST's `Authorization`: the token as it is, after `Bearer`.
    pub(crate) fn rest_authorization(&self) -> Option<http::HeaderValue> {
        self.token.as_ref().map(|token| sensitive(&format!("Bearer {}", token.0)))
    }
}

/// A header value that `Debug` does not show and HPACK does not index.
fn sensitive(text: &str) -> http::HeaderValue {
    let mut value = http::HeaderValue::from_str(text).expect("the token was checked to be printable ASCII");
    value.set_sensitive(true);
    value
}

/// The text without what stands before an `@`, which may be a password.
fn redact(uri: &str) -> &str {
    uri.rsplit_once('@').map_or(uri, |(_, rest)| rest)
}

fn written_port(full: &str) -> Option<u16> {
    let authority = full.split_once("://")?.1.split('/').next()?;
    let after_host = authority.rsplit_once(']').map_or(authority, |(_, rest)| rest);
    after_host.rsplit_once(':')?.1.parse().ok()
}

fn userinfo(url: &Url) -> Option<String> {
    let password = url.password()?;
    Some(format!("{}:{password}", url.username()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(uri: &str) -> Result<Endpoint, String> {
        Endpoint::new(uri, None, None).map_err(|error| error.to_string())
    }

    #[test]
    fn an_address_is_read_as_people_write_it() {
        for (text, uri, loopback) in [
            ("http://localhost:19530", "http://localhost:19530", true),
            ("localhost", "http://localhost:19530", true),
            ("127.0.0.1:8000/", "http://127.0.0.1:8000", true),
            ("http://milvus.example:80", "http://milvus.example:80", false),
            ("https://milvus.example", "https://milvus.example:19530", false),
            ("https://milvus.example:443", "https://milvus.example:443", false),
            ("[::1]:19531", "http://[::1]:19531", true),
            ("http://[2001:db8::1]", "http://[2001:db8::1]:19530", false),
        ] {
            let endpoint = endpoint(text).unwrap();
            assert_eq!((endpoint.uri().as_str(), endpoint.is_loopback()), (uri, loopback), "{text}");
            assert_eq!(endpoint.is_tls(), uri.starts_with("https"), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_its_password() {
        for text in ["", "http://", "http://h:99999", "http://h/path", "http://u:topsecret@h:x", "ftp://h"] {
            let error = endpoint(text).unwrap_err();
            assert!(!error.contains("topsecret"), "{error}");
            assert!(error.contains("http://localhost:19530"), "{error}");
        }
    }

    #[test]
    fn a_token_reaches_the_headers_and_nothing_else() {
        let endpoint = Endpoint::new("http://h", Some("root:Milvus".to_owned()), None).unwrap();
        assert_eq!(endpoint.grpc_authorization().unwrap(), "cm9vdDpNaWx2dXM=");
        assert_eq!(endpoint.rest_authorization().unwrap(), "Bearer root:Milvus");
        assert!(!format!("{endpoint:?} {:?}", endpoint.rest_authorization()).contains("Milvus:"));
        assert!(!format!("{endpoint:?} {:?}", endpoint.rest_authorization()).contains("root"));
        let in_uri = Endpoint::new("http://root:Milvus@h", None, None).unwrap();
        assert_eq!(in_uri.rest_authorization(), endpoint.rest_authorization());
        assert_eq!(in_uri.uri(), "http://h:19530");
        assert!(!Endpoint::new("http://h", Some(String::new()), None).unwrap().has_token());
        assert!(matches!(Endpoint::new("h", Some("a\nb".to_owned()), None), Err(EndpointError::Token)));
    }

    #[test]
    fn a_ca_file_needs_tls_and_certificates() {
        let plain = endpoint("http://h").unwrap();
        assert!(matches!(plain.with_ca_file("x"), Err(EndpointError::CaWithoutTls { .. })));
        let tls = || endpoint("https://h").unwrap();
        assert!(matches!(tls().with_ca_file("/nonexistent"), Err(EndpointError::CaFile { .. })));
        let empty = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(tls().with_ca_file(empty.path()), Err(EndpointError::CaContent { .. })));
    }
}
