//! What goes wrong is told in one sentence, and a token never.

use squall_core::schema::{Consistency, Transport};
use squall_milvus::admin::Admin;
use squall_milvus::measured::Connection;
use squall_milvus::{ConnectError, Endpoint, Error, Protocol, encode};
use squall_sandbox::SandboxConfig;

use crate::support::*;

/// An address where nothing listens: the port was free a moment ago.
async fn nowhere() -> Endpoint {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    endpoint(&format!("http://{}", listener.local_addr().unwrap()))
}

#[tokio::test]
async fn an_unreachable_server_is_named_with_what_to_check() {
    let endpoint = nowhere().await;
    let expected = format!(
        "cannot reach Milvus at {}: connection refused; check that it runs and that --uri is right",
        endpoint.uri()
    );
    for transport in [Transport::Grpc, Transport::Rest] {
        let error = Admin::connect(&endpoint, transport).await.unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert!(error.is_transient());
    }
    for protocol in [Protocol::Grpc, Protocol::RestV2] {
        let error = Connection::open(&endpoint, protocol).await.unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[tokio::test]
async fn a_host_without_an_address_is_named() {
    let endpoint = endpoint("http://no-such-host.invalid:19530");
    for transport in [Transport::Grpc, Transport::Rest] {
        let error = Admin::connect(&endpoint, transport).await.unwrap_err();
        assert!(
            matches!(&error, Error::Connect { source: ConnectError::Resolve { host, .. }, .. }
                if host == "no-such-host.invalid"),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_wrong_token_is_refused_and_never_shown() {
    let config = SandboxConfig { token: Some("root:Milvus".to_owned()), ..SandboxConfig::default() };
    let sandbox = Running::start(config).await;
    let with = |token: &str| Endpoint::new(&sandbox.uri, Some(token.to_owned()), None).unwrap();
    let wrong = with("root:topsecret");
    let mut errors = vec![Connection::open(&wrong, Protocol::Grpc).await.unwrap_err()];
    for transport in [Transport::Grpc, Transport::Rest] {
        errors.push(Admin::connect(&wrong, transport).await.unwrap_err());
        Admin::connect(&with("root:Milvus"), transport).await.unwrap();
    }
    for error in errors {
        assert!(matches!(error, Error::Unauthenticated { .. }), "{error:?}");
        assert!(error.to_string().contains("set MILVUS_TOKEN or --token"), "{error}");
        assert!(!format!("{error:?} {error}").contains("topsecret"));
    }
    assert!(!format!("{wrong:?}").contains("topsecret"));
    Connection::open(&with("root:Milvus"), Protocol::Grpc).await.unwrap();
}

#[tokio::test]
async fn a_missing_collection_is_not_found() {
    let sandbox = sandbox().await;
    for transport in [Transport::Grpc, Transport::Rest] {
        let admin = connect(&sandbox.uri, transport).await;
        for error in [
            admin.describe_collection("nope").await.unwrap_err(),
            admin.load("nope").await.unwrap_err(),
            admin.count("nope", None, Consistency::Strong).await.unwrap_err(),
        ] {
            assert!(error.is_not_found(), "{error:?}");
            assert_eq!(error.code(), Some(100));
            assert!(error.to_string().contains("`nope`"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_collection_that_is_not_loaded_is_told_apart() {
    let sandbox = sandbox().await;
    for transport in [Transport::Grpc, Transport::Rest] {
        let admin = connect(&sandbox.uri, transport).await;
        let name = unique("cold");
        create(&admin, &name).await;
        let error = admin.search(&name, &spec(None, &[]), &query(0)).await.unwrap_err();
        assert!(error.is_not_loaded(), "{error:?}");
        assert_eq!(admin.load_progress(&name).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn the_servers_words_about_a_wrong_dimension_and_filter_reach_the_user() {
    let sandbox = sandbox().await;
    for transport in [Transport::Grpc, Transport::Rest] {
        let admin = connect(&sandbox.uri, transport).await;
        let name = unique("shape");
        seed(&admin, &name, &flat()).await;
        let error = admin.search(&name, &spec(None, &[]), &[0.5; 8]).await.unwrap_err();
        assert!(matches!(error, Error::Server { .. }), "{error:?}");
        assert!(error.to_string().starts_with("Milvus could not search collection `"), "{error}");
        let error = admin.search(&name, &spec(Some("price <"), &[]), &query(0)).await.unwrap_err();
        assert!(matches!(error, Error::Server { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn search_parameters_that_are_no_json_object_are_refused_before_anything_is_sent() {
    let spec = encode::SearchSpec { params: Some("nprobe=16"), ..spec(None, &[]) };
    let target = encode::Target { collection: "c", database: None };
    let error = encode::SearchTemplate::new(Protocol::Grpc, target, &spec, 4).unwrap_err();
    assert!(error.to_string().contains("`nprobe=16` are not a JSON object"), "{error}");
}

#[tokio::test]
async fn what_is_no_milvus_is_said_to_be_none() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = endpoint(&listener.local_addr().unwrap().to_string());
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let answer = b"HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\nconnection: close\r\n\r\nnope";
                let _ = stream.write_all(answer).await;
            });
        }
    });
    for transport in [Transport::Grpc, Transport::Rest] {
        let error = Admin::connect(&endpoint, transport).await.unwrap_err();
        assert!(
            matches!(&error, Error::Connect { source: ConnectError::Speech { .. }, .. }),
            "{transport}: {error:?}"
        );
    }
    let error = Connection::open(&endpoint, Protocol::Grpc).await.unwrap_err();
    assert!(matches!(&error, Error::Connect { source: ConnectError::Speech { .. }, .. }), "{error:?}");
}

/// What is answered to a call: an HTTP status, and a gRPC status where there is one.
type Answer = fn(&str) -> (u16, Option<&'static str>);

/// An HTTP/2 server that answers so; with the gRPC status of success comes an empty message.
async fn http2_server(answer: Answer) -> Endpoint {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = endpoint(&format!("http://{}", listener.local_addr().unwrap()));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    let (status, grpc) = answer(request.uri().path().rsplit('/').next().unwrap());
                    let head = http::Response::builder().status(status);
                    let head = head.header("content-type", "application/grpc").body(()).unwrap();
                    let mut body = respond.send_response(head, false).unwrap();
                    let Some(grpc) = grpc else {
                        body.send_data("<p>There is no such page.</p>".into(), true).unwrap();
                        continue;
                    };
                    if grpc == "0" {
                        body.send_data(vec![0; 5].into(), false).unwrap();
                    }
                    let trailers = [(http::HeaderName::from_static("grpc-status"), grpc.parse().unwrap())];
                    body.send_trailers(trailers.into_iter().collect()).unwrap();
                }
            });
        }
    });
    endpoint
}

#[tokio::test]
async fn an_http2_or_grpc_server_that_is_no_milvus_is_said_to_be_none() {
    let web: Answer = |_| (404, None);
    let page: Answer = |_| (200, None);
    let other: Answer = |_| (200, Some("12"));
    for (what, answer) in [("no such page", web), ("a page", page), ("another service", other)] {
        let endpoint = http2_server(answer).await;
        let error = Admin::connect(&endpoint, Transport::Grpc).await.unwrap_err();
        assert!(
            matches!(&error, Error::Connect { source: ConnectError::Speech { .. }, .. }),
            "{what}: {error:?}"
        );
        assert!(error.to_string().contains("check --uri"), "{error}");
    }
}

#[tokio::test]
async fn a_milvus_that_tells_no_version_is_one_all_the_same() {
    // The second one does not let this user list its collections.
    let listing: Answer = |call| (200, Some(if call == "ShowCollections" { "0" } else { "12" }));
    let refusing: Answer = |call| (200, Some(if call == "ShowCollections" { "7" } else { "12" }));
    for answer in [listing, refusing] {
        let endpoint = http2_server(answer).await;
        let admin = Admin::connect(&endpoint, Transport::Grpc).await.unwrap();
        assert_eq!(admin.server_version(), None);
    }
}
