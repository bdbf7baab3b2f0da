//! A collection from its creation to its end, over gRPC.

use serde_json::json;
use squall_proto::milvus::{
    AliasNameRequest, AliasRequest, CollectionRequest, DatabaseRequest, DeleteRequest, DescribeIndexRequest,
    Empty, FlushRequest, GetFlushStateRequest, IndexNameRequest, InsertRequest, LoadCollectionRequest,
    LoadProgressRequest, PartitionRequest, ShowCollectionsRequest, ShowPartitionsRequest,
};
use squall_sandbox::SandboxConfig;

use crate::support::{
    Rows, code, collection, count, create, expect_ok, fill, index, insert, keys, load, longs, pair, query,
    search, search_request, start, texts,
};

#[tokio::test]
async fn a_collection_lives_from_create_to_drop() {
    let server = start(SandboxConfig::default()).await;
    let mut client = server.client().await;
    let version = client.get_version(Empty {}).await.unwrap().into_inner().version;
    assert!(version.contains("squall-sandbox"), "{version}");

    let rows = Rows::clustered(600, 8, 1);
    create(&mut client, "c", 8).await;
    // Once more is nothing new; with another schema it is an error.
    create(&mut client, "c", 8).await;
    let described = client.describe_collection(collection("c")).await.unwrap().into_inner();
    let schema = described.schema.unwrap();
    assert_eq!(schema.description, "rows of a test");
    assert_eq!(described.properties, [pair("owner", "a test")]);
    assert_eq!(schema.fields.len(), 4, "the dynamic field is not shown");
    assert!(schema.fields.iter().all(|field| field.field_id >= 100));

    let inserted = insert(&mut client, "c", &rows, 0..600).await;
    assert_eq!((inserted.insert_cnt, inserted.succ_index.len()), (600, 600));
    assert!(inserted.timestamp > 0);
    let request = FlushRequest { collection_names: vec!["c".to_owned()], ..FlushRequest::default() };
    let flushed = client.flush(request).await.unwrap().into_inner();
    let segments = flushed.coll_seg_ids["c"].data.clone();
    let request = GetFlushStateRequest { segment_ids: segments.clone(), ..GetFlushStateRequest::default() };
    assert!(client.get_flush_state(request).await.unwrap().into_inner().flushed);
    let stored = client.get_persistent_segment_info(collection("c")).await.unwrap().into_inner();
    assert_eq!((stored.infos[0].segment_id, stored.infos[0].num_rows), (segments[0], 600));

    // No load without an index, no search without a load.
    let request = LoadCollectionRequest { collection_name: "c".to_owned(), ..Default::default() };
    assert_eq!(code(Some(client.load_collection(request).await.unwrap().get_ref())), (700, 25));
    let request = DescribeIndexRequest { collection_name: "c".to_owned(), ..Default::default() };
    let missing = client.describe_index(request.clone()).await.unwrap().into_inner();
    assert_eq!(code(missing.status.as_ref()), (700, 25));
    expect_ok(Some(&index(&mut client, "c", "IVF_FLAT", "L2", json!({"nlist": 64})).await));
    expect_ok(Some(&index(&mut client, "c", "IVF_FLAT", "L2", json!({"nlist": 64})).await));
    assert_eq!(code(Some(&index(&mut client, "c", "HNSW", "IP", json!({})).await)), (65535, 1));
    let described = client.describe_index(request).await.unwrap().into_inner().index_descriptions;
    assert_eq!((described[0].index_name.as_str(), described[0].state), ("vector", 3));
    assert_eq!(
        (described[0].indexed_rows, described[0].total_rows, described[0].pending_index_rows),
        (600, 600, 0)
    );
    assert!(
        described[0].params.contains(&pair("params", "{\"nlist\":64}")),
        "as sent: {:?}",
        described[0].params
    );

    let early = search(&mut client, search_request("c", &rows.vectors[..1], 3, "")).await;
    assert_eq!(code(early.status.as_ref()), (101, 1));
    let progress = load(&mut client, "c").await;
    assert!(progress.is_sorted(), "{progress:?}");
    let found = search(&mut client, search_request("c", &rows.vectors[5..7], 3, "")).await;
    expect_ok(found.status.as_ref());
    assert_eq!(found.results.as_ref().unwrap().topks, [3, 3]);
    assert_eq!(found.results.as_ref().unwrap().primary_field_name, "id");
    assert_eq!((keys(&found)[0], keys(&found)[3]), (5, 6));

    let request = DeleteRequest {
        collection_name: "c".to_owned(),
        expr: "id in [5, 100000]".to_owned(),
        ..DeleteRequest::default()
    };
    let deleted = client.delete(request).await.unwrap().into_inner();
    assert_eq!(deleted.delete_cnt, 2, "keys asked for, not rows found");
    assert_eq!(count(&mut client, "c", "").await, 599);
    let request = DeleteRequest {
        collection_name: "c".to_owned(),
        expr: "category == \"home\"".to_owned(),
        ..DeleteRequest::default()
    };
    expect_ok(client.delete(request).await.unwrap().into_inner().status.as_ref());
    assert_eq!(count(&mut client, "c", "category == \"home\"").await, 0);
    let kept = (0..600).filter(|row| *row != 5 && rows.categories[*row] != "home").count() as i64;
    let statistics = client.get_collection_statistics(collection("c")).await.unwrap().into_inner();
    assert_eq!(statistics.stats, [pair("row_count", &kept.to_string())]);

    expect_ok(Some(client.release_collection(collection("c")).await.unwrap().get_ref()));
    let released = search(&mut client, search_request("c", &rows.vectors[..1], 3, "")).await;
    assert_eq!(code(released.status.as_ref()), (101, 1));
    let request = IndexNameRequest {
        collection_name: "c".to_owned(),
        index_name: "vector".to_owned(),
        ..Default::default()
    };
    expect_ok(Some(client.drop_index(request).await.unwrap().get_ref()));
    expect_ok(Some(client.drop_collection(collection("c")).await.unwrap().get_ref()));
    expect_ok(Some(client.drop_collection(collection("c")).await.unwrap().get_ref()));
    let gone = client.describe_collection(collection("c")).await.unwrap().into_inner().status.unwrap();
    assert_eq!((gone.code, gone.error_code), (100, 1));
    assert!(gone.reason.starts_with("can't find collection"), "{}", gone.reason);
    let gone = search(&mut client, search_request("c", &rows.vectors[..1], 3, "")).await;
    assert_eq!(code(gone.status.as_ref()), (100, 4));
    assert!(!client.has_collection(collection("c")).await.unwrap().into_inner().value);
    let request = LoadProgressRequest { collection_name: "c".to_owned(), ..Default::default() };
    assert_eq!(client.get_load_state(request).await.unwrap().into_inner().state, 0);
    server.stop().await;
}

#[tokio::test]
async fn a_key_that_is_inserted_again_is_counted_twice_answered_once_and_deleted_whole() {
    let server = start(SandboxConfig::default()).await;
    let mut client = server.client().await;
    let rows = Rows::clustered(10, 4, 2);
    fill(&mut client, "c", &rows, "FLAT").await;
    // Rows 0 and 1 again, with the vectors of others.
    let mut changed = rows.clone();
    changed.vectors[0] = vec![100.0; 4];
    let request = InsertRequest {
        collection_name: "c".to_owned(),
        num_rows: 1,
        fields_data: changed.columns(0..1),
        ..InsertRequest::default()
    };
    let upserted = client.upsert(request).await.unwrap().into_inner();
    assert_eq!((upserted.insert_cnt, upserted.delete_cnt, upserted.upsert_cnt), (1, 1, 1));
    assert_eq!(count(&mut client, "c", "").await, 10, "an upsert takes the place of what was there");
    changed.vectors[1] = vec![-100.0; 4];
    insert(&mut client, "c", &changed, 1..2).await;
    assert_eq!(count(&mut client, "c", "").await, 11);
    for filter in ["id in [1]", "id >= 1 && id < 2"] {
        assert_eq!(count(&mut client, "c", filter).await, 2, "{filter}");
        assert_eq!(longs(&query(&mut client, "c", filter, &["id"]).await.fields_data[0]), [1], "{filter}");
    }
    let statistics = client.get_collection_statistics(collection("c")).await.unwrap().into_inner();
    assert_eq!(statistics.stats, [pair("row_count", "11")]);
    for (vector, key) in [(vec![100.0; 4], 0), (vec![-100.0; 4], 1)] {
        let found = search(&mut client, search_request("c", &[vector], 10, "")).await;
        assert_eq!(keys(&found)[0], key);
        assert_eq!(keys(&found).len(), 10, "the old version is not found any more");
    }
    let request = DeleteRequest {
        collection_name: "c".to_owned(),
        expr: "id == 1".to_owned(),
        ..DeleteRequest::default()
    };
    expect_ok(client.delete(request).await.unwrap().into_inner().status.as_ref());
    assert_eq!(count(&mut client, "c", "").await, 9);
    assert_eq!(count(&mut client, "c", "id == 1").await, 0, "no older row comes back");
    insert(&mut client, "c", &rows, 1..2).await;
    assert_eq!(count(&mut client, "c", "").await, 10);
    server.stop().await;
}

#[tokio::test]
async fn a_row_is_found_as_soon_as_its_insert_is_answered() {
    let server = start(SandboxConfig::default()).await;
    let mut client = server.client().await;
    // Loaded with a graph, so that the new rows are outside of it.
    let rows = Rows::clustered(6_100, 8, 3);
    let first = Rows { vectors: rows.vectors[..6_000].to_vec(), ..rows.clone() };
    fill(&mut client, "c", &first, "HNSW").await;
    for row in 6_000..6_100 {
        insert(&mut client, "c", &rows, row..row + 1).await;
        let found = search(&mut client, search_request("c", &rows.vectors[row..=row], 1, "")).await;
        assert_eq!(keys(&found), [row as i64]);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_loaded_collection_that_grows_from_nothing_gets_its_graph_behind_the_scenes() {
    let server = start(SandboxConfig::default()).await;
    let mut client = server.client().await;
    let rows = Rows::clustered(12_000, 8, 4);
    create(&mut client, "c", 8).await;
    expect_ok(Some(&index(&mut client, "c", "HNSW", "L2", json!({"M": 16, "efConstruction": 100})).await));
    load(&mut client, "c").await;
    for start in (0..12_000).step_by(1_000) {
        insert(&mut client, "c", &rows, start..start + 1_000).await;
        let row = start + 500;
        let found = search(&mut client, search_request("c", &rows.vectors[row..=row], 1, "")).await;
        assert_eq!(keys(&found), [row as i64]);
    }
    assert_eq!(count(&mut client, "c", "").await, 12_000);
    server.stop().await;
}

#[tokio::test]
async fn queries_answer_rows_by_key_in_pages() {
    let server = start(SandboxConfig::default()).await;
    let mut client = server.client().await;
    let rows = Rows::clustered(50, 4, 5);
    fill(&mut client, "c", &rows, "FLAT").await;
    let answer = query(&mut client, "c", "id in [7, 3, 3, 999]", &["category"]).await;
    expect_ok(answer.status.as_ref());
    let column = |name: &str| answer.fields_data.iter().find(|column| column.field_name == name).unwrap();
    assert_eq!(longs(column("id")), [3, 7]);
    assert_eq!(texts(column("category")), [rows.categories[3], rows.categories[7]]);

    let request = squall_proto::milvus::QueryRequest {
        collection_name: "c".to_owned(),
        expr: "id >= 10".to_owned(),
        query_params: vec![pair("limit", "3"), pair("offset", "2")],
        ..Default::default()
    };
    let page = client.query(request).await.unwrap().into_inner();
    assert_eq!(longs(&page.fields_data[0]), [12, 13, 14]);
    // No expression and no limit is no query.
    let unbounded = query(&mut client, "c", "", &[]).await;
    assert_eq!(code(unbounded.status.as_ref()), (65535, 1));
    let unknown = query(&mut client, "c", "id ===", &[]).await;
    assert_eq!(code(unknown.status.as_ref()), (65535, 1));
    assert!(unknown.status.unwrap().reason.contains("cannot parse expression: id ==="));
    server.stop().await;
}

#[tokio::test]
async fn partitions_aliases_and_databases_keep_things_apart() {
    let server = start(SandboxConfig::default()).await;
    let mut client = server.client().await;
    let rows = Rows::clustered(20, 4, 6);
    create(&mut client, "c", 4).await;
    let partition = |name: &str| PartitionRequest {
        collection_name: "c".to_owned(),
        partition_name: name.to_owned(),
        ..PartitionRequest::default()
    };
    expect_ok(Some(client.create_partition(partition("p")).await.unwrap().get_ref()));
    assert!(client.has_partition(partition("p")).await.unwrap().into_inner().value);
    let insert_into = |name: &str, range: std::ops::Range<usize>| InsertRequest {
        collection_name: "c".to_owned(),
        partition_name: name.to_owned(),
        num_rows: range.len() as u32,
        fields_data: rows.columns(range),
        ..InsertRequest::default()
    };
    expect_ok(client.insert(insert_into("p", 0..5)).await.unwrap().into_inner().status.as_ref());
    expect_ok(client.insert(insert_into("", 5..20)).await.unwrap().into_inner().status.as_ref());
    let nowhere = client.insert(insert_into("nowhere", 0..1)).await.unwrap().into_inner();
    assert_eq!(code(nowhere.status.as_ref()), (200, 15));
    expect_ok(Some(&index(&mut client, "c", "FLAT", "L2", json!({})).await));
    load(&mut client, "c").await;
    let mut request = search_request("c", &rows.vectors[10..11], 20, "");
    request.partition_names = vec!["p".to_owned()];
    let found = search(&mut client, request.clone()).await;
    assert_eq!(keys(&found).len(), 5);
    request.partition_names = vec!["nowhere".to_owned()];
    assert_eq!(code(search(&mut client, request).await.status.as_ref()), (65535, 1));
    let request = ShowPartitionsRequest { collection_name: "c".to_owned(), ..Default::default() };
    let shown = client.show_partitions(request).await.unwrap().into_inner();
    assert_eq!(shown.partition_names, ["_default", "p"]);
    // A row of both partitions: when that of one goes, that of the other is there again.
    expect_ok(client.insert(insert_into("p", 7..8)).await.unwrap().into_inner().status.as_ref());
    assert_eq!(count(&mut client, "c", "").await, 21);
    expect_ok(Some(client.drop_partition(partition("p")).await.unwrap().get_ref()));
    assert_eq!(count(&mut client, "c", "").await, 15);
    assert_eq!(longs(&query(&mut client, "c", "id == 7", &["id"]).await.fields_data[0]), [7]);

    let alias = AliasRequest { collection_name: "c".to_owned(), alias: "a".to_owned(), ..Default::default() };
    expect_ok(Some(client.create_alias(alias).await.unwrap().get_ref()));
    assert_eq!(count(&mut client, "a", "").await, 15);
    let name = AliasNameRequest { alias: "a".to_owned(), ..Default::default() };
    assert_eq!(client.describe_alias(name.clone()).await.unwrap().into_inner().collection, "c");
    expect_ok(Some(client.drop_alias(name.clone()).await.unwrap().get_ref()));
    let missing = client.describe_alias(name).await.unwrap().into_inner();
    assert_eq!(code(missing.status.as_ref()), (1600, 1));

    let database = DatabaseRequest { db_name: "other".to_owned(), ..Default::default() };
    expect_ok(Some(client.create_database(database.clone()).await.unwrap().get_ref()));
    // By the message and, as official clients do, by the metadata.
    let elsewhere = CollectionRequest { db_name: "other".to_owned(), collection_name: "c".to_owned() };
    assert!(!client.has_collection(elsewhere).await.unwrap().into_inner().value);
    let mut request = tonic::Request::new(ShowCollectionsRequest::default());
    request.metadata_mut().insert("dbname", "other".parse().unwrap());
    assert!(client.show_collections(request).await.unwrap().into_inner().collection_names.is_empty());
    let nowhere = CollectionRequest { db_name: "nowhere".to_owned(), collection_name: "c".to_owned() };
    let missing = client.describe_collection(nowhere).await.unwrap().into_inner();
    assert_eq!(code(missing.status.as_ref()), (800, 1));
    let names = client.list_databases(Empty {}).await.unwrap().into_inner().db_names;
    assert_eq!(names, ["default", "other"]);
    expect_ok(Some(client.drop_database(database).await.unwrap().get_ref()));
    server.stop().await;
}

#[tokio::test]
async fn what_does_not_fit_the_schema_is_refused() {
    let server = start(SandboxConfig::default()).await;
    let mut client = server.client().await;
    let rows = Rows::clustered(4, 4, 7);
    create(&mut client, "c", 4).await;
    let whole = InsertRequest {
        collection_name: "c".to_owned(),
        num_rows: 4,
        fields_data: rows.columns(0..4),
        ..InsertRequest::default()
    };
    let refused = [
        // The vectors are divided by the schema's dimension.
        InsertRequest { fields_data: Rows::clustered(4, 8, 7).columns(0..4), ..whole.clone() },
        InsertRequest { num_rows: 3, ..whole.clone() },
        InsertRequest { num_rows: 0, fields_data: Vec::new(), ..whole.clone() },
        InsertRequest { fields_data: whole.fields_data[1..].to_vec(), ..whole.clone() },
        InsertRequest {
            fields_data: Rows { categories: vec![TOO_LONG; 4], ..rows.clone() }.columns(0..4),
            ..whole.clone()
        },
    ];
    for request in refused {
        let answer = client.insert(request).await.unwrap().into_inner();
        assert_eq!(code(answer.status.as_ref()), (1100, 5), "{:?}", answer.status);
    }
    let statistics = client.get_collection_statistics(collection("c")).await.unwrap().into_inner();
    assert_eq!(statistics.stats, [pair("row_count", "0")]);
    server.stop().await;
}

const TOO_LONG: &str = "a text that is longer than the thirty-two bytes of the field";
