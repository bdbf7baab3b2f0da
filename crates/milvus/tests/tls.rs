//! TLS: a CA of one's own is trusted when it is named, and an unknown one is said to be unknown.

use std::path::{Path, PathBuf};

use squall_core::row::Outcome;
use squall_core::schema::Transport;
use squall_core::vector_type::VectorType;
use squall_milvus::admin::Admin;
use squall_milvus::measured::Connection;
use squall_milvus::{ConnectError, Endpoint, Error, Protocol, encode};
use squall_sandbox::{SandboxConfig, Tls};

use crate::support::*;

/// A self-signed certificate for the loopback address, and its key.
fn certificate(directory: &Path, name: &str) -> (PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    let cert = directory.join(format!("{name}.pem"));
    let key = directory.join(format!("{name}.key"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    (cert, key)
}

/// An address that trusts the certificates of this file.
fn trusting(uri: &str, ca: &Path) -> Endpoint {
    endpoint(uri).with_ca_file(ca).unwrap()
}

#[tokio::test]
async fn everything_works_over_tls_with_the_right_ca() {
    let directory = tempfile::tempdir().unwrap();
    let (cert_pem, key_pem) = certificate(directory.path(), "server");
    let tls = Some(Tls { cert_pem: cert_pem.clone(), key_pem });
    let sandbox = Running::start(SandboxConfig { tls, ..SandboxConfig::default() }).await;
    let endpoint = trusting(&sandbox.uri, &cert_pem);
    for (transport, protocol) in [(Transport::Grpc, Protocol::Grpc), (Transport::Rest, Protocol::RestV2)] {
        let admin = Admin::connect(&endpoint, transport).await.unwrap();
        let name = unique("tls");
        seed(&admin, &name, &flat()).await;
        let connection = Connection::open_with_sockets(&endpoint, protocol, 1).await.unwrap();
        let request =
            template(protocol, &name, None).request(encode::vector(protocol, VectorType::Float32, &query(0)));
        let reply = connection.send(request).await.unwrap().finish().await;
        assert_eq!((reply.outcome, reply.hits), (Outcome::Ok, 10));
    }
}

#[tokio::test]
async fn an_untrusted_certificate_is_said_to_be_untrusted() {
    let directory = tempfile::tempdir().unwrap();
    let (cert_pem, key_pem) = certificate(directory.path(), "server");
    let (other_ca, _) = certificate(directory.path(), "other");
    let tls = Some(Tls { cert_pem, key_pem });
    let sandbox = Running::start(SandboxConfig { tls, ..SandboxConfig::default() }).await;
    let endpoint = trusting(&sandbox.uri, &other_ca);
    let mut errors = Vec::new();
    for transport in [Transport::Grpc, Transport::Rest] {
        errors.push(Admin::connect(&endpoint, transport).await.unwrap_err());
    }
    for protocol in [Protocol::Grpc, Protocol::RestV2] {
        errors.push(Connection::open(&endpoint, protocol).await.unwrap_err());
    }
    for error in errors {
        assert!(matches!(&error, Error::Connect { source: ConnectError::Certificate(_), .. }), "{error:?}");
        assert!(error.to_string().contains("its certificate is not trusted"), "{error}");
    }
}
