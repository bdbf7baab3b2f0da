//! The edges of a sandbox: its port, its token, TLS, message sizes and HTTP/2 settings.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use prost::Message;
use serde_json::json;
use squall_proto::milvus::{
    BytesArray, CreateCollectionRequest, Empty, FieldData, InsertRequest, ScalarField,
    client_telemetry_service_client::ClientTelemetryServiceClient, field_data::Field,
    milvus_service_client::MilvusServiceClient, scalar_field::Data,
};
use squall_sandbox::{Sandbox, SandboxConfig, SandboxError, Tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::{
    Code, Request,
    transport::{Certificate, ClientTlsConfig, Endpoint},
};

use crate::support::{client, post, schema, start};

fn port(uri: &str) -> u16 {
    uri.rsplit(':').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_port_in_use_is_named_and_a_stopped_sandbox_frees_its_own() {
    let server = start(SandboxConfig::default()).await;
    let config = SandboxConfig { port: port(&server.uri), ..SandboxConfig::default() };
    let error = Sandbox::bind(config.clone()).await.unwrap_err();
    assert!(matches!(error, SandboxError::PortInUse { .. }));
    let words = error.to_string();
    assert!(words.contains(&config.port.to_string()) && words.contains("--port"), "{words}");

    // An idle connection and one in the middle of a request do not hold it up.
    let mut idle = server.client().await;
    idle.get_version(Empty {}).await.unwrap();
    server.stop().await;
    let again = start(config).await;
    client(&again.uri).await.get_version(Empty {}).await.unwrap();
    again.stop().await;
}

#[tokio::test]
async fn more_shards_than_milvus_makes_are_refused() {
    let server = start(SandboxConfig::default()).await;
    let mut client = server.client().await;
    for (shards, taken) in [(16, true), (17, false), (u32::MAX, false)] {
        let request = CreateCollectionRequest {
            collection_name: format!("c{shards}"),
            schema: schema(4).encode_to_vec().into(),
            // As a client sends it that has no larger one.
            shards_num: i32::try_from(shards).unwrap_or(i32::MAX),
            ..CreateCollectionRequest::default()
        };
        let status = client.create_collection(request).await.unwrap().into_inner();
        assert_eq!(status.check().is_ok(), taken, "{shards}: {status:?}");
        let body =
            json!({"collectionName": format!("r{shards}"), "dimension": 4, "params": {"shardsNum": shards}});
        let (_, answer) = post(&server.uri, "/v2/vectordb/collections/create", &[], &body).await.unwrap();
        assert_eq!(answer["code"] == 0, taken, "{shards}: {answer}");
    }
}

#[tokio::test]
async fn a_rate_that_is_no_share_is_refused() {
    for (error_rate, drop_rate) in [(1.5, 0.0), (0.0, -0.1), (f64::NAN, 0.0)] {
        let config = SandboxConfig { error_rate, drop_rate, ..SandboxConfig::default() };
        assert!(matches!(Sandbox::bind(config).await, Err(SandboxError::Rate { .. })));
    }
}

#[tokio::test]
async fn every_call_needs_the_token() {
    let config = SandboxConfig { token: Some("root:Milvus".to_owned()), ..SandboxConfig::default() };
    let server = start(config).await;
    let mut client = server.client().await;
    for (sent, words) in [
        (None, "missing authorization in header"),
        (Some("root:Milvus".to_owned()), "invalid token format"),
        (Some(BASE64_STANDARD.encode("root:wrong")), "check username and password"),
        (Some(BASE64_STANDARD.encode("wrong")), "check api key"),
    ] {
        let mut request = Request::new(Empty {});
        if let Some(sent) = sent {
            request.metadata_mut().insert("authorization", sent.parse().unwrap());
        }
        let status = client.get_version(request).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
        assert!(status.message().contains(words), "{status}");
    }
    let mut request = Request::new(Empty {});
    request.metadata_mut().insert("authorization", BASE64_STANDARD.encode("root:Milvus").parse().unwrap());
    client.get_version(request).await.unwrap();

    let has = "/v2/vectordb/collections/list";
    for headers in [&[][..], &[("authorization", "Bearer root:wrong")], &[("authorization", "root:Milvus")]] {
        let (status, body) = post(&server.uri, has, headers, &json!({})).await.unwrap();
        assert_eq!((status, body["code"].as_i64()), (401, Some(1800)));
    }
    let (status, body) =
        post(&server.uri, has, &[("authorization", "Bearer root:Milvus")], &json!({})).await.unwrap();
    assert_eq!((status, body["code"].as_i64()), (200, Some(0)));
    server.stop().await;
}

/// An insert of about this many bytes into a collection that is not there.
fn large(bytes: usize) -> InsertRequest {
    let array = BytesArray { data: vec![vec![b' '; bytes]] };
    let field = Field::Scalars(ScalarField { data: Some(Data::JsonData(array)) });
    InsertRequest {
        collection_name: "nope".to_owned(),
        fields_data: vec![FieldData { field: Some(field), ..FieldData::default() }],
        num_rows: 1,
        ..InsertRequest::default()
    }
}

#[tokio::test]
async fn messages_of_up_to_64_mib_are_taken() {
    let server = start(SandboxConfig::default()).await;
    let mut client = server.client().await;
    let answer = client.insert(large(63 << 20)).await.unwrap().into_inner();
    assert_eq!(answer.status.unwrap().code, 100);
    let status = client.insert(large(65 << 20)).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(
        status.message().contains("larger than max (681") && status.message().contains("vs. 67108864)"),
        "{status}"
    );
    server.stop().await;
}

#[tokio::test]
async fn the_http2_settings_are_those_of_milvus() {
    const MAX_CONCURRENT_STREAMS: u16 = 3;
    const INITIAL_WINDOW_SIZE: u16 = 4;
    const MAX_FRAME_SIZE: u16 = 5;
    let server = start(SandboxConfig::default()).await;
    let mut stream = tokio::net::TcpStream::connect(server.uri.trim_start_matches("http://")).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut head = [0u8; 9];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(head[3], 4, "the first frame is SETTINGS");
    let mut body = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
    stream.read_exact(&mut body).await.unwrap();
    let settings: Vec<(u16, u32)> = body
        .chunks_exact(6)
        .map(|entry| {
            (
                u16::from_be_bytes([entry[0], entry[1]]),
                u32::from_be_bytes([entry[2], entry[3], entry[4], entry[5]]),
            )
        })
        .collect();
    let value = |id| settings.iter().find(|(setting, _)| *setting == id).map(|(_, value)| *value);
    assert_eq!(value(MAX_CONCURRENT_STREAMS), None);
    // Defaults of the protocol need not be sent.
    assert_eq!(value(INITIAL_WINDOW_SIZE).unwrap_or(65_535), 65_535);
    assert_eq!(value(MAX_FRAME_SIZE).unwrap_or(16_384), 16_384);
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_served_is_unimplemented() {
    let server = start(SandboxConfig::default()).await;
    let mut milvus = server.client().await;
    let status =
        milvus.hybrid_search(squall_proto::milvus::HybridSearchRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    let channel = Endpoint::from_shared(server.uri.clone()).unwrap().connect().await.unwrap();
    ClientTelemetryServiceClient::new(channel).client_heartbeat(Empty {}).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn tls_serves_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let tls = Tls { cert_pem: dir.path().join("cert.pem"), key_pem: dir.path().join("key.pem") };
    std::fs::write(&tls.cert_pem, made.cert.pem()).unwrap();
    let missing = SandboxConfig { tls: Some(tls.clone()), ..SandboxConfig::default() };
    assert!(
        matches!(Sandbox::bind(missing).await, Err(SandboxError::Tls { path, .. }) if path == tls.key_pem)
    );
    std::fs::write(&tls.key_pem, made.signing_key.serialize_pem()).unwrap();
    let server = start(SandboxConfig { tls: Some(tls), ..SandboxConfig::default() }).await;
    assert!(server.uri.starts_with("https://"));
    let trusted = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(made.cert.pem()))
        .domain_name("localhost");
    let endpoint = Endpoint::from_shared(server.uri.clone()).unwrap().tls_config(trusted).unwrap();
    let mut client = MilvusServiceClient::new(endpoint.connect().await.unwrap());
    assert!(client.check_health(Empty {}).await.unwrap().into_inner().is_healthy);
    server.stop().await;
}
