//! What is found before the first request, and how it is said.

use std::time::Duration;

use squall_core::dataset::{Dataset, VECTOR_FIELD};
use squall_core::schema::{CollectionSchema, Consistency, Field, FieldType, IndexSpec, Metric, Transport};
use squall_milvus::Endpoint;
use squall_run::{Options, RunError, Stop, execute};
use squall_sandbox::SandboxConfig;

use crate::support::{COLLECTION, DIMENSION, ROWS, Server, block_on, open, plan, preflight};

fn load() -> squall_core::plan::Load {
    open(10.0, Duration::from_secs(1))
}

fn refusal(server: &Server) -> String {
    let plan = plan(&server.uri, load());
    preflight(&server.endpoint(), &plan).unwrap_err().to_string()
}

#[test]
fn a_collection_that_is_ready_is_described() {
    let server = Server::with_shop(SandboxConfig::default());
    for transport in [Transport::Grpc, Transport::Rest] {
        let mut plan = plan(&server.uri, load());
        plan.server.transport = transport;
        let found = preflight(&server.endpoint(), &plan).unwrap();
        assert_eq!((found.dimension, found.vector_field.as_str()), (DIMENSION, VECTOR_FIELD));
        assert_eq!((found.rows, found.primary_key.as_str()), (Some(ROWS), "id"));
        assert_eq!(found.metric, Some(Metric::L2));
        assert_eq!(found.identity.unwrap().rows, ROWS);
        assert_eq!(found.collection.dataset.as_deref(), Some("reference-v1-seed42-dim16"));
        assert!(found.server.same_host);
    }
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let mut server = Server::start(SandboxConfig::default());
    server.stop();
    let message = refusal(&server);
    assert!(message.contains(&server.uri) && message.contains("refused"), "{message}");
}

#[test]
fn a_wrong_token_is_said_without_the_token() {
    let config = SandboxConfig { token: Some("root:secret".into()), ..SandboxConfig::default() };
    let server = Server::start(config);
    let endpoint = Endpoint::new(&server.uri, Some("root:wrong-one".into()), None).unwrap();
    let message = preflight(&endpoint, &plan(&server.uri, load())).unwrap_err().to_string();
    assert!(message.contains("token") && !message.contains("wrong-one"), "{message}");
}

#[test]
fn a_missing_collection_comes_with_the_command_that_makes_it() {
    let server = Server::start(SandboxConfig::default());
    let uri = &server.uri;
    let expected = format!(
        "collection `shop` does not exist at {uri}; create it with `squall setup --uri {uri} --collection-name shop`"
    );
    assert_eq!(refusal(&server), expected);
}

#[test]
fn another_dimension_than_the_one_asked_for_is_refused() {
    let server = Server::with_shop(SandboxConfig::default());
    let mut plan = plan(&server.uri, load());
    plan.workload.dimension = 768;
    let message = preflight(&server.endpoint(), &plan).unwrap_err().to_string();
    assert!(message.contains("has 16 dimensions and the plan 768"), "{message}");
}

/// A collection of that schema, indexed and loaded as far as it is asked for.
fn make(server: &Server, schema: &CollectionSchema, rows: usize, index: bool, load: bool) {
    block_on(async {
        let admin = server.admin().await;
        admin.create_collection(COLLECTION, schema, Consistency::Bounded, None).await.unwrap();
        if rows > 0 {
            let batch = Dataset::reference(42, DIMENSION).unwrap().batch(0, rows).unwrap();
            admin.insert(COLLECTION, &batch).await.unwrap();
        }
        if index {
            let index = IndexSpec { kind: "FLAT".into(), metric: Metric::L2, params: Vec::new() };
            admin.create_index(COLLECTION, VECTOR_FIELD, &index).await.unwrap();
        }
        if load {
            server.load().await;
        }
    });
}

#[test]
fn empty_unindexed_and_unloaded_collections_are_told_apart() {
    let schema = Dataset::reference(42, DIMENSION).unwrap().schema(ROWS);
    let server = Server::start(SandboxConfig::default());
    make(&server, &schema, 0, true, true);
    let message = refusal(&server);
    assert!(message.contains("is empty; run `squall setup --uri"), "{message}");

    let server = Server::start(SandboxConfig::default());
    make(&server, &schema, 10, false, false);
    let message = refusal(&server);
    assert!(message.contains("field `vector` of collection `shop` has no index"), "{message}");

    let server = Server::start(SandboxConfig::default());
    make(&server, &schema, 10, true, false);
    let message = refusal(&server);
    assert!(message.contains("is not loaded; run `squall setup --uri"), "{message}");
}

#[test]
fn fields_that_filters_need_are_named() {
    let server = Server::start(SandboxConfig::default());
    let field = |name: &str, field_type, primary_key| Field {
        name: name.to_owned(),
        field_type,
        primary_key,
        auto_id: false,
    };
    let schema = CollectionSchema {
        description: "somebody else's".into(),
        fields: vec![
            field("key", FieldType::Int64, true),
            field(VECTOR_FIELD, FieldType::FloatVector { dimension: DIMENSION }, false),
        ],
        dynamic_field: false,
    };
    make(&server, &schema, 0, true, true);
    let message = refusal(&server);
    assert!(message.contains("`shop` has no field `category`, `price`"), "{message}");
}

#[test]
fn data_that_cannot_be_written_is_found_before_the_first_request() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let config = SandboxConfig { log: Some(log.path().to_owned()), ..SandboxConfig::default() };
    let mut server = Server::with_shop(config);
    let plan = plan(&server.uri, load());
    let found = preflight(&server.endpoint(), &plan).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let (events, _) = std::sync::mpsc::channel();
    let (_handle, stop) = Stop::new();
    let endpoint = server.endpoint();
    let error = execute(plan, endpoint, found, &Options::new(file.path()), events, stop).unwrap_err();
    assert!(matches!(error, RunError::RunDir(_)), "{error}");
    server.stop();
    let searches = std::fs::read_to_string(log.path()).unwrap().lines().count() - 1;
    assert_eq!(searches, 0);
}
