//! A search request on the wire: the layout that real servers take, and what comes back from it.

use proptest::prelude::*;
use prost::Message;
use squall_proto::{
    data_type::{ConsistencyLevel, DslType},
    milvus::{KeyValue, SearchRequest},
    placeholder,
};

fn key_value(key: &str, value: &str) -> KeyValue {
    KeyValue { key: key.to_owned(), value: value.to_owned() }
}

/// What a client sends at least: topk, params, the field, one vector, a level.
fn minimal(collection: &str, vector: &[f32]) -> SearchRequest {
    SearchRequest {
        collection_name: collection.to_owned(),
        placeholder_group: placeholder::float_vectors([vector]),
        dsl_type: DslType::BoolExprV1.number(),
        search_params: vec![
            key_value("topk", "10"),
            key_value("params", r#"{"ef":64}"#),
            key_value("anns_field", "embedding"),
        ],
        guarantee_timestamp: 2,
        nq: 1,
        consistency_level: ConsistencyLevel::Bounded.number(),
        ..SearchRequest::default()
    }
}

#[test]
fn a_minimal_search_of_768_dimensions_has_the_known_bytes() {
    let vector: Vec<f32> = (0..768).map(|i| i as f32).collect();
    let message = minimal("bench", &vector).encode_to_vec();

    // Lengths as varints: 0x0c8c = 3084 is the group, 0x0c89 = 3081 the placeholder, 0x0c80... 3072
    // the vector, which starts at byte 22.
    let head = [
        b"\x1a\x05bench".as_slice(),
        b"\x32\x8c\x18",
        b"\x0a\x89\x18",
        b"\x0a\x02$0",
        b"\x10\x65",
        b"\x1a\x80\x18",
    ]
    .concat();
    assert_eq!(head.len(), 22);
    assert_eq!(message[..22], head);
    let numbers: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    assert_eq!(message[22..22 + 3072], numbers);
    let tail = [
        b"\x38\x01".as_slice(),
        b"\x4a\x0a\x0a\x04topk\x12\x0210",
        b"\x4a\x13\x0a\x06params\x12\x09{\"ef\":64}",
        b"\x4a\x17\x0a\x0aanns_field\x12\x09embedding",
        b"\x58\x02\x60\x01\x70\x02",
    ]
    .concat();
    assert_eq!(message[22 + 3072..], tail);
}

#[test]
fn the_vector_may_come_last() {
    let request = minimal("bench", &[1.0, 2.0]);
    let prefix = SearchRequest { placeholder_group: Vec::new().into(), ..request.clone() }.encode_to_vec();
    let group = &request.placeholder_group;
    let message = [prefix.as_slice(), &[0x32, u8::try_from(group.len()).unwrap()], group].concat();
    assert_eq!(SearchRequest::decode(message.as_slice()).unwrap(), request);
}

#[test]
fn fields_of_newer_servers_and_clients_are_skipped() {
    let request = minimal("bench", &[1.0]);
    let mut message = request.encode_to_vec();
    // Field 18, length-delimited: a template value as newer clients send them.
    message.extend_from_slice(b"\x92\x01\x03abc");
    assert_eq!(SearchRequest::decode(message.as_slice()).unwrap(), request);
}

proptest! {
    #[test]
    fn a_search_request_survives_the_wire(
        collection in "[a-z_]{0,20}",
        dsl in ".{0,40}",
        vectors in prop::collection::vec(prop::collection::vec(-1e6_f32..1e6, 1..40), 1..5),
        params in prop::collection::vec((".{0,10}", ".{0,10}"), 0..5),
        output_fields in prop::collection::vec("[a-z]{1,9}", 0..4),
        guarantee_timestamp: u64,
        level in 0..5_i32,
        use_default_consistency: bool,
    ) {
        let request = SearchRequest {
            collection_name: collection,
            dsl,
            placeholder_group: placeholder::float_vectors(&vectors),
            dsl_type: DslType::BoolExprV1.number(),
            output_fields,
            search_params: params.iter().map(|(key, value)| key_value(key, value)).collect(),
            guarantee_timestamp,
            nq: i64::try_from(vectors.len()).unwrap(),
            consistency_level: level,
            use_default_consistency,
            ..SearchRequest::default()
        };
        let read = SearchRequest::decode(request.encode_to_vec().as_slice()).unwrap();
        prop_assert_eq!(placeholder::read_float_vectors(&read.placeholder_group).unwrap(), vectors);
        prop_assert_eq!(read, request);
    }

    #[test]
    fn no_bytes_make_the_group_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = placeholder::read_float_vectors(&bytes);
    }
}
