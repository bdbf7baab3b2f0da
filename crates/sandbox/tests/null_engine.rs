//! The null engine: every call of a setup succeeds, and a search is answered unread.

use serde_json::json;
use squall_proto::milvus::{InsertRequest, LongArray, MutationResult, SearchRequest, ids::IdField};
use squall_sandbox::{Engine, SandboxConfig};

use crate::support::{
    Rows, collection, count, expect_ok, fill, index, insert, keys, pair, post, read_log, search,
    search_request, start,
};

#[tokio::test]
async fn a_setup_succeeds_and_its_rows_are_counted() {
    let server = start(SandboxConfig { engine: Engine::Null, ..SandboxConfig::default() }).await;
    let mut client = server.client().await;
    let rows = Rows::clustered(300, 4, 31);
    fill(&mut client, "c", &rows, "HNSW").await;
    let MutationResult { insert_cnt, .. } = insert(&mut client, "c", &rows, 0..100).await;
    assert_eq!(insert_cnt, 100);
    assert_eq!(count(&mut client, "c", "").await, 400);
    let statistics = client.get_collection_statistics(collection("c")).await.unwrap().into_inner();
    assert_eq!(statistics.stats, [pair("row_count", "400")]);
    let described = client.describe_collection(collection("c")).await.unwrap().into_inner();
    assert_eq!(described.schema.unwrap().description, "rows of a test");
    expect_ok(Some(&index(&mut client, "c", "HNSW", "L2", json!({})).await));
    server.stop().await;
}

#[tokio::test]
async fn a_search_gets_ten_hits_whatever_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log.csv");
    let config = SandboxConfig { engine: Engine::Null, log: Some(log.clone()), ..SandboxConfig::default() };
    let server = start(config).await;
    let mut client = server.client().await;
    let asked = search(&mut client, search_request("c", &[vec![0.0; 768]], 10, "price > 1")).await;
    expect_ok(asked.status.as_ref());
    assert_eq!(keys(&asked), (0..10).collect::<Vec<_>>());
    assert_eq!(asked.results.as_ref().unwrap().topks, [10]);
    // No collection, no vector, and more bytes than a window: nothing looks at them.
    let nonsense = SearchRequest { placeholder_group: vec![7; 1 << 20].into(), ..SearchRequest::default() };
    assert_eq!(search(&mut client, nonsense).await, asked);
    let (status, body) =
        post(&server.uri, "/v2/vectordb/entities/search", &[], &json!("nonsense")).await.unwrap();
    assert_eq!((status, body["data"].as_array().map(Vec::len)), (200, Some(10)));
    server.stop().await;
    let lines = read_log(&log);
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(|line| line.outcome == "ok" && line.rest == ",,,,"), "{lines:?}");
}

#[tokio::test]
async fn an_insert_is_counted_unread_and_its_rows_are_made_again() {
    let server = start(SandboxConfig { engine: Engine::Null, ..SandboxConfig::default() }).await;
    let mut client = server.client().await;
    let mut rows = Rows::clustered(50, 4, 31);
    fill(&mut client, "c", &rows, "HNSW").await;
    let written = insert(&mut client, "c", &rows, 0..50).await;
    expect_ok(written.status.as_ref());
    assert_eq!(written.succ_index.len(), 50);
    let Some(ids) = written.ids.and_then(|ids| ids.id_field) else { panic!("the keys are answered") };
    assert_eq!(ids, IdField::IntId(LongArray { data: (0..50).collect() }));
    // Values that are not looked at may be anything; the collection must be there.
    rows.vectors.iter_mut().for_each(Vec::clear);
    expect_ok(insert(&mut client, "c", &rows, 0..50).await.status.as_ref());
    let request = InsertRequest {
        collection_name: "nowhere".to_owned(),
        num_rows: 50,
        fields_data: rows.columns(0..50),
        ..InsertRequest::default()
    };
    let missing = client.insert(request).await.unwrap().into_inner();
    assert_eq!(missing.status.unwrap().code, 100);
    server.stop().await;
}
