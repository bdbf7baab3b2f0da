//! A collection's whole life.

use squall_core::dataset::{Reference, VECTOR_FIELD};
use squall_core::schema::{Consistency, IndexSpec, Metric, Transport};
use squall_milvus::admin::Admin;
use squall_milvus::{Endpoint, LoadState, SegmentState};

use crate::support::*;

/// What every server answers the same.
async fn whole_life(endpoint: &Endpoint, transport: Transport) {
    let admin = Admin::connect(endpoint, transport).await.unwrap();
    let name = unique("life");
    assert!(!admin.has_collection(&name).await.unwrap());
    assert!(admin.drop_collection(&name).await.is_ok(), "dropping what is not there succeeds");

    let hnsw = IndexSpec {
        kind: "HNSW".to_owned(),
        metric: Metric::L2,
        params: vec![("M".to_owned(), "16".to_owned()), ("efConstruction".to_owned(), "64".to_owned())],
    };
    seed(&admin, &name, &hnsw).await;
    assert!(admin.has_collection(&name).await.unwrap());
    assert_eq!(admin.load_state(&name).await.unwrap(), LoadState::Loaded);
    assert_eq!(admin.row_count(&name).await.unwrap(), ROWS as u64);
    assert_eq!(admin.count(&name, None, Consistency::Strong).await.unwrap(), ROWS as u64);
    let some = admin.count(&name, Some("id < 10"), Consistency::Strong).await.unwrap();
    assert_eq!(some, 10);

    let described = admin.describe_collection(&name).await.unwrap();
    let expected = dataset().schema(ROWS as u64);
    assert_eq!(described.schema, expected);
    // Milvus Lite keeps none: there, everything is always seen.
    let lite = admin.server_version().is_some_and(|version| version.contains("milvus_lite"));
    let level = if lite { Consistency::Strong } else { Consistency::Bounded };
    assert_eq!(described.consistency, Some(level));

    if let Some(segments) = admin.segments(&name).await.unwrap() {
        let rows: u64 = segments.iter().filter(|s| s.state != SegmentState::Dropped).map(|s| s.rows).sum();
        assert_eq!(rows, ROWS as u64, "{segments:?}");
    }

    rows_read_back_bit_for_bit(&admin, &name).await;
    searches_find_the_nearest(&admin, &name).await;

    assert_ne!(admin.delete(&name, "id in [3, 4]").await.unwrap(), Some(0));
    assert_eq!(admin.count(&name, None, Consistency::Strong).await.unwrap(), ROWS as u64 - 2);

    admin.release(&name).await.unwrap();
    assert_eq!(admin.load_state(&name).await.unwrap(), LoadState::NotLoad);
    admin.drop_collection(&name).await.unwrap();
    assert!(!admin.has_collection(&name).await.unwrap());
}

async fn rows_read_back_bit_for_bit(admin: &Admin, name: &str) {
    let expected = dataset().batch(17, 1).unwrap();
    let fields: Vec<String> = expected.columns.iter().map(|column| column.name.clone()).collect();
    let found = admin.query(name, "id == 17", &fields, 10).await.unwrap();
    assert_eq!(found, expected);
    let none = admin.query(name, "id == 100000", &fields, 10).await.unwrap();
    assert_eq!(none.rows, 0);
}

async fn searches_find_the_nearest(admin: &Admin, name: &str) {
    let fields = ["id".to_owned()];
    for number in 0..5 {
        let query = query(number);
        let found = admin.search(name, &spec(None, &fields), &query).await.unwrap();
        let expected = nearest(&query, |_| true);
        // An index of 300 rows may miss one; it does not miss two.
        let common = found.ids.iter().filter(|id| expected.contains(id)).count();
        assert!(found.ids.len() == 10 && common >= 9, "{:?} instead of {expected:?}", found.ids);
        assert!(found.scores.is_sorted(), "{:?}", found.scores);
    }
    let filter = "category == \"books\" and price < 100";
    let query = query(9);
    let found = admin.search(name, &spec(Some(filter), &fields), &query).await.unwrap();
    let matches = |row| {
        let row = Reference::new(7, DIMENSION).unwrap().row(row);
        row.category == "books" && row.price < 100.0
    };
    let expected = nearest(&query, matches);
    let common = found.ids.iter().filter(|id| expected.contains(id)).count();
    assert!(common + 1 >= expected.len(), "{:?} instead of {expected:?}", found.ids);
    assert!(found.ids.iter().all(|id| matches(*id as u64)));
}

#[tokio::test]
async fn a_collection_lives_on_the_sandbox_over_grpc() {
    let sandbox = sandbox().await;
    whole_life(&endpoint(&sandbox.uri), Transport::Grpc).await;
}

#[tokio::test]
async fn a_collection_lives_on_the_sandbox_over_rest_v2() {
    let sandbox = sandbox().await;
    whole_life(&endpoint(&sandbox.uri), Transport::Rest).await;
}

#[tokio::test]
async fn a_collection_lives_on_milvus_2_3_5() {
    let test = "a_collection_lives_on_milvus_2_3_5";
    let Some(server) = real_server("SQUALL_TEST_MILVUS_URI", test) else { return };
    whole_life(&server, Transport::Grpc).await;
}

#[tokio::test]
async fn a_collection_lives_on_milvus_lite() {
    let test = "a_collection_lives_on_milvus_lite";
    let Some(server) = real_server("SQUALL_TEST_MILVUS_LITE_URI", test) else { return };
    whole_life(&server, Transport::Grpc).await;
}

#[tokio::test]
async fn a_server_tells_its_version_health_and_databases_over_grpc() {
    let sandbox = sandbox().await;
    let admin = connect(&sandbox.uri, Transport::Grpc).await;
    assert!(admin.server_version().is_some_and(|version| !version.is_empty()));
    assert!(admin.health().await.unwrap().healthy);
    assert!(admin.databases().await.unwrap().contains(&"default".to_owned()));
}

#[tokio::test]
async fn there_is_no_index_before_it_is_made() {
    let sandbox = sandbox().await;
    for transport in [Transport::Grpc, Transport::Rest] {
        let admin = connect(&sandbox.uri, transport).await;
        let name = unique("bare");
        create(&admin, &name).await;
        assert_eq!(admin.describe_index(&name, VECTOR_FIELD).await.unwrap(), None);
    }
}
