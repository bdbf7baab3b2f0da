//! TLS by rustls with the ring provider, named explicitly so that no process-wide default matters.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::EndpointError;

/// A client configuration that trusts the certificates in `ca_file`, or the machine's own.
pub(crate) fn client_config(ca_file: Option<&Path>) -> Result<ClientConfig, EndpointError> {
    let roots = match ca_file {
        Some(path) => roots_of(path)?,
        None => native_roots(),
    };
    Ok(with_roots(roots))
}

/// A configuration that trusts nobody, for a client that must be given one and never uses it.
pub(crate) fn unused() -> ClientConfig {
    with_roots(RootCertStore::empty())
}

fn with_roots(roots: RootCertStore) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has the protocol versions that rustls has")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

fn roots_of(path: &Path) -> Result<RootCertStore, EndpointError> {
    let content = |reason: String| EndpointError::CaContent { path: path.to_owned(), reason };
    let pem =
        std::fs::read(path).map_err(|source| EndpointError::CaFile { path: path.to_owned(), source })?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| content(error.to_string()))?;
        roots.add(certificate).map_err(|error| content(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(content("there is no certificate in it".to_owned()));
    }
    Ok(roots)
}

/// The machine's own. Where it has none, nobody is trusted and the handshake says so, which names the
/// way out; an address must not be refused for it, since a CA file may follow.
fn native_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    // Single certificates that rustls cannot read are common in system stores.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}
