//! The flow of an application over REST v2.

use serde_json::{Value, json};
use squall_sandbox::SandboxConfig;

use crate::support::{Rows, post, start};

struct Rest {
    uri: String,
    headers: Vec<(&'static str, &'static str)>,
}

impl Rest {
    async fn answer(&self, action: &str, body: Value) -> Value {
        let (status, answer) =
            post(&self.uri, &format!("/v2/vectordb/{action}"), &self.headers, &body).await.unwrap();
        assert_eq!(status, 200, "{action}: {answer}");
        answer
    }

    async fn data(&self, action: &str, body: Value) -> Value {
        let answer = self.answer(action, body).await;
        assert_eq!(answer["code"], 0, "{action}: {answer}");
        answer["data"].clone()
    }

    async fn code(&self, action: &str, body: Value) -> i64 {
        self.answer(action, body).await["code"].as_i64().unwrap()
    }
}

fn row(rows: &Rows, key: usize) -> Value {
    json!({"id": key, "vector": rows.vectors[key], "category": rows.categories[key], "colour": Rows::colour(key)})
}

#[tokio::test]
async fn a_collection_lives_from_create_to_drop_over_rest() {
    let server = start(SandboxConfig::default()).await;
    // As the Node SDK sends it: JSON under another content type.
    let rest = Rest {
        uri: server.uri.clone(),
        headers: vec![("content-type", "text/plain;charset=UTF-8"), ("accept-type-allow-int64", "true")],
    };
    let c = json!({"collectionName": "c", "dbName": "default"});
    let with = |more: Value| {
        let mut body = c.clone();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    assert_eq!(rest.data("collections/has", c.clone()).await, json!({"has": false}));
    let fields = json!([
        {"fieldName": "id", "dataType": "Int64", "isPrimary": true},
        {"fieldName": "vector", "dataType": "FloatVector", "elementTypeParams": {"dim": 4}},
        {"fieldName": "category", "dataType": "VarChar", "elementTypeParams": {"max_length": "32"}},
    ]);
    let schema = json!({"schema": {"autoId": false, "enableDynamicField": true, "fields": fields}});
    rest.data("collections/create", with(schema)).await;
    assert_eq!(rest.data("collections/list", json!({})).await, json!(["c"]));

    let rows = Rows::clustered(200, 4, 41);
    let sent: Vec<Value> = (0..200).map(|key| row(&rows, key)).collect();
    let inserted = rest.data("entities/insert", with(json!({"data": sent}))).await;
    assert_eq!(inserted["insertCount"], 200);
    assert_eq!(inserted["insertIds"][7], 7);
    assert_eq!(rest.code("entities/insert", with(json!({"data": [{"id": 1}]}))).await, 1804);
    assert_eq!(rest.code("entities/insert", c.clone()).await, 1802);
    assert_eq!(rest.code("collections/load", c.clone()).await, 700);

    let index = json!({"indexParams": [{"fieldName": "vector", "indexName": "v", "metricType": "L2", "params": {"index_type": "HNSW", "M": 8}}]});
    rest.data("indexes/create", with(index)).await;
    assert_eq!(rest.data("indexes/list", c.clone()).await, json!(["v"]));
    let described = rest.data("indexes/describe", with(json!({"indexName": "v"}))).await;
    assert_eq!(described[0]["indexType"], "HNSW");
    assert_eq!(described[0]["indexState"], "Finished");
    rest.data("collections/load", c.clone()).await;
    while rest.data("collections/get_load_state", c.clone()).await["loadProgress"] != 100 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let described = rest.data("collections/describe", c.clone()).await;
    assert_eq!(described["load"], "LoadStateLoaded");
    assert_eq!(described["fields"][1]["type"], "FloatVector");
    assert_eq!(rest.data("collections/get_stats", c.clone()).await, json!({"rowCount": 200}));

    let search = with(json!({
        "data": [rows.vectors[3], rows.vectors[9]], "annsField": "vector", "limit": 5, "filter": "colour == 'blue'",
        "outputFields": ["category", "colour"], "searchParams": {"metricType": "L2", "params": {"ef": 50}},
    }));
    let answer = rest.answer("entities/search", search).await;
    assert_eq!(answer["topks"], json!([5, 5]));
    for (query, hits) in [3usize, 9].into_iter().zip(answer["data"].as_array().unwrap().chunks(5)) {
        let truth = rows.nearest(&rows.vectors[query], 5, |row| Rows::colour(row) == "blue");
        let found: Vec<i64> = hits.iter().map(|hit| hit["id"].as_i64().unwrap()).collect();
        assert_eq!(found, truth);
        assert_eq!(hits[0]["distance"], 0.0);
        assert_eq!(hits[0]["category"], rows.categories[query]);
        assert_eq!(hits[0]["colour"], "blue");
    }

    let query = with(json!({"filter": "id in [5, 3]", "outputFields": ["category"]}));
    let found = rest.data("entities/query", query).await;
    assert_eq!(
        found,
        json!([
            {"id": 3, "category": rows.categories[3]}, {"id": 5, "category": rows.categories[5]},
        ])
    );
    let all = rest.data("entities/query", with(json!({"filter": "id == 3"}))).await;
    assert_eq!(all[0], row(&rows, 3), "all fields when none is named");
    let counted = with(json!({"filter": "", "outputFields": ["count(*)"]}));
    assert_eq!(rest.data("entities/query", counted.clone()).await, json!([{"count(*)": 200}]));
    let got = rest.data("entities/get", with(json!({"id": [7], "outputFields": ["colour"]}))).await;
    assert_eq!(got, json!([{"id": 7, "colour": "blue"}]));

    let upserted = rest.data("entities/upsert", with(json!({"data": [row(&rows, 7)]}))).await;
    assert_eq!(upserted["upsertCount"], 1);
    rest.data("entities/delete", with(json!({"filter": "id < 10"}))).await;
    assert_eq!(rest.code("entities/delete", c.clone()).await, 1802);
    assert_eq!(rest.data("entities/query", counted).await, json!([{"count(*)": 190}]));
    rest.data("collections/flush", c.clone()).await;
    rest.data("collections/release", c.clone()).await;
    assert_eq!(rest.code("entities/search", with(json!({"data": [[0, 0, 0, 0]]}))).await, 101);
    rest.data("indexes/drop", with(json!({"indexName": "v"}))).await;
    rest.data("collections/drop", c.clone()).await;
    assert_eq!(rest.code("collections/describe", c).await, 100);
    server.stop().await;
}

#[tokio::test]
async fn a_quick_collection_has_its_index_and_is_loaded() {
    let server = start(SandboxConfig::default()).await;
    let rest = Rest { uri: server.uri.clone(), headers: Vec::new() };
    let create = json!({"collectionName": "q", "dimension": 4, "metricType": "IP", "autoID": true});
    rest.data("collections/create", create).await;
    let insert = json!({"collectionName": "q", "data": {"vector": [1, 2, 3, 4], "n": 5}});
    let inserted = rest.data("entities/insert", insert).await;
    // Without the header that allows numbers, 64-bit integers are text.
    assert!(inserted["insertIds"][0].is_string(), "{inserted}");
    while rest.data("collections/get_load_state", json!({"collectionName": "q"})).await["loadProgress"] != 100
    {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let search = json!({"collectionName": "q", "data": [[1, 1, 1, 1]], "outputFields": ["n"]});
    let hits = rest.data("entities/search", search).await;
    assert_eq!(hits, json!([{"distance": 10.0, "id": inserted["insertIds"][0], "n": 5}]));
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_served_is_not_found_and_what_is_not_json_is_said_to_be_none() {
    let server = start(SandboxConfig::default()).await;
    for path in ["/", "/v2/vectordb/collections/explode", "/v1/vector/collections"] {
        assert_eq!(post(&server.uri, path, &[], &json!({})).await.unwrap().0, 404, "{path}");
    }
    let rest = Rest { uri: server.uri.clone(), headers: Vec::new() };
    assert_eq!(rest.code("collections/has", json!([1])).await, 1801);
    assert_eq!(rest.code("collections/has", json!({})).await, 1802);
    server.stop().await;
}
