//! REST bodies as official clients send them and servers answer them.

use proptest::prelude::*;
use serde_json::{Value, json};
use squall_proto::rest::{Hit, Id, Ids, Int64, read, v1, v2};

#[test]
fn the_quick_create_of_the_node_client_is_read() {
    let body = json!({
        "dbName": "default", "collectionName": "docs", "dimension": 8, "metricType": "COSINE",
        "primaryFieldName": "id", "vectorFieldName": "vector", "idType": "Int64", "autoID": true,
        "params": {"enableDynamicField": true}, "newer": 1
    });
    let create: v2::CreateCollection = serde_json::from_value(body).unwrap();
    assert_eq!(create.dimension, Some(Int64(8)));
    assert_eq!(create.auto_id, Some(true));
    assert_eq!(create.schema, None);
    assert_eq!(create.params.unwrap()["enableDynamicField"], json!(true));
}

#[test]
fn a_create_with_schema_is_written_in_the_words_of_the_server() {
    let dim = json!({"dim": "8"});
    let create = v2::CreateCollection {
        collection_name: "docs".to_owned(),
        schema: Some(v2::Schema {
            auto_id: Some(false),
            fields: vec![v2::Field {
                field_name: "v".to_owned(),
                data_type: "FloatVector".to_owned(),
                element_type_params: dim.as_object().cloned(),
                ..v2::Field::default()
            }],
            ..v2::Schema::default()
        }),
        index_params: vec![v2::IndexParams {
            field_name: "v".to_owned(),
            metric_type: Some("L2".to_owned()),
            index_type: Some("HNSW".to_owned()),
            ..v2::IndexParams::default()
        }],
        ..v2::CreateCollection::default()
    };
    let expected = json!({
        "collectionName": "docs",
        "schema": {
            "autoId": false,
            "fields": [{"fieldName": "v", "dataType": "FloatVector", "elementTypeParams": {"dim": "8"}}]
        },
        "indexParams": [{"fieldName": "v", "metricType": "L2", "indexType": "HNSW"}]
    });
    assert_eq!(serde_json::to_value(create).unwrap(), expected);
}

#[test]
fn a_missing_collection_name_reads_as_empty_for_the_server_to_refuse() {
    let search: v2::Search = serde_json::from_str("{}").unwrap();
    assert_eq!(search, v2::Search::default());
}

#[test]
fn a_described_collection_is_read_with_numbers_as_text() {
    let body = json!({"code": 0, "data": {
        "collectionName": "docs", "collectionID": "448707763883002014", "autoId": false,
        "fields": [
            {"name": "id", "type": "Int64", "primaryKey": true, "autoId": false, "id": 100},
            {"name": "v", "type": "FloatVector", "params": [{"key": "dim", "value": "8"}]}
        ],
        "indexes": [{"fieldName": "v", "indexName": "v", "metricType": "L2"}],
        "load": "LoadStateLoaded", "shardsNum": 1, "enableDynamicField": true, "consistencyLevel": "Bounded"
    }});
    let described: v2::CollectionDescription = read(body.to_string().as_bytes()).unwrap();
    assert_eq!(described.collection_id, Some(Int64(448_707_763_883_002_014)));
    assert!(described.fields[0].primary_key && !described.fields[1].primary_key);
    assert_eq!(described.fields[1].params[0].value, json!("8"));
    assert_eq!(described.load, "LoadStateLoaded");
}

#[test]
fn answers_of_milvus_2_3_are_read() {
    let inserted: v1::Inserted =
        read(br#"{"code":200,"data":{"insertCount":1,"insertIds":["448707763883002014"]}}"#).unwrap();
    assert_eq!(inserted.insert_ids[0].to_i64(), Some(448_707_763_883_002_014));
    let hits: Vec<Hit> = read(br#"{"code":200,"data":[{"distance":1,"id":"0"}]}"#).unwrap();
    assert_eq!(hits[0].id("pk"), Some(Id::Text("0".to_owned())));
    let described = concat!(
        r#"{"code":200,"data":{"collectionName":"docs","description":"","enableDynamicField":true,"fields":["#,
        r#"{"autoId":true,"description":"","name":"id","primaryKey":true,"type":"Int64"},"#,
        r#"{"autoId":false,"description":"","name":"vector","primaryKey":false,"type":"FloatVector(4)"}],"#,
        r#""indexes":[{"fieldName":"vector","indexName":"vector_idx","metricType":"L2"}],"#,
        r#""load":"LoadStateNotLoad","shardsNum":1}}"#
    );
    let described: v1::CollectionDescription = read(described.as_bytes()).unwrap();
    assert_eq!((described.shards_number, described.load.as_str()), (1, "LoadStateNotLoad"));
    assert_eq!(described.fields[1].r#type, "FloatVector(4)");
}

#[test]
fn one_row_may_stand_without_brackets() {
    let one: v1::Insert = serde_json::from_str(r#"{"collectionName":"docs","data":{"id":1}}"#).unwrap();
    let list: v1::Insert = serde_json::from_str(r#"{"collectionName":"docs","data":[{"id":1}]}"#).unwrap();
    assert_eq!(one, list);
}

proptest! {
    #[test]
    fn a_search_body_survives_json(
        data in prop::collection::vec(prop::collection::vec(-1e6_f32..1e6, 1..20), 1..4),
        limit in prop::option::of(1..16_384_u32),
        filter in prop::option::of(".{0,30}"),
    ) {
        let search = v2::Search {
            collection_name: "docs".to_owned(), data, limit, filter, ..v2::Search::default()
        };
        let text = serde_json::to_string(&search).unwrap();
        prop_assert_eq!(serde_json::from_str::<v2::Search>(&text).unwrap(), search);
    }

    #[test]
    fn keys_survive_json_in_either_form(numbers in prop::collection::vec(any::<i64>(), 0..5)) {
        let ids = Ids(numbers.iter().copied().map(Id::from).collect());
        let value: Value = serde_json::to_value(&ids).unwrap();
        prop_assert_eq!(&serde_json::from_value::<Ids>(value).unwrap(), &ids);
        let text: Vec<String> = numbers.iter().map(i64::to_string).collect();
        let ids = serde_json::from_value::<Ids>(json!(text)).unwrap();
        prop_assert_eq!(ids.0.iter().filter_map(Id::to_i64).collect::<Vec<_>>(), numbers);
    }
}
