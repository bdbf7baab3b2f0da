//! Searches: the constant head, and a vector as its tail.

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use bytes::Bytes;
use prost::Message;
use squall_core::schema::{Consistency, Metric};
use squall_core::vector_type::VectorType;
use squall_proto::data_type::{DataType, DslType};
use squall_proto::milvus::{KeyValue, SearchRequest};
use squall_proto::placeholder;
use squall_proto::rest::{v1, v2};

use super::{EncodeError, Request};
use crate::Protocol;

/// What is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// The collection.
    pub collection: &'a str,
    /// Its database; the server's default when `None`.
    pub database: Option<&'a str>,
}

/// How it is searched: all of a search but its vector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SearchSpec<'a> {
    /// The vector field.
    pub vector_field: &'a str,
    /// The type of its vectors.
    pub vector_type: VectorType,
    /// The index's metric; `None` leaves it to the server.
    pub metric: Option<Metric>,
    /// Milvus' filter expression.
    pub filter: Option<&'a str>,
    /// Hits asked for.
    pub limit: u16,
    /// The index's search parameters as a JSON object, such as `{"nprobe":16}`.
    pub params: Option<&'a str>,
    /// How fresh the rows must be; `None` is the collection's own level.
    pub consistency: Option<Consistency>,
    /// Fields to answer. Empty: ids and scores on Milvus, but every field on Milvus Lite.
    pub output_fields: &'a [String],
}

impl SearchSpec<'_> {
    /// The parameters as JSON.
    ///
    /// # Errors
    /// When they are not a JSON object.
    pub fn params_json(&self) -> Result<serde_json::Map<String, serde_json::Value>, EncodeError> {
        let text = self.params.map_or("{}", |text| if text.trim().is_empty() { "{}" } else { text });
        serde_json::from_str(text)
            .map_err(|error| EncodeError::SearchParams { text: text.to_owned(), reason: error.to_string() })
    }
}

/// A search without its vector. Cloning copies no bytes.
#[derive(Clone, Debug)]
pub struct SearchTemplate {
    head: Bytes,
}

impl SearchTemplate {
    /// The template of searches for vectors of `dimension` components.
    ///
    /// # Errors
    /// When the search parameters are not a JSON object, or the protocol carries no such vectors.
    pub fn new(
        protocol: Protocol,
        target: Target<'_>,
        spec: &SearchSpec<'_>,
        dimension: u32,
    ) -> Result<Self, EncodeError> {
        let head = match protocol {
            Protocol::Grpc => grpc_head(&grpc_request(target, spec)?, spec.vector_type, dimension),
            Protocol::RestV2 if spec.vector_type == VectorType::Float32 => {
                rest_head(&rest_v2_request(target, spec)?, "\"data\":[[")
            }
            Protocol::RestV2 => rest_head(&rest_v2_request(target, spec)?, "\"data\":[\""),
            Protocol::RestV1 => rest_head(&rest_v1_request(target, spec)?, "\"vector\":["),
        };
        Ok(Self { head: Bytes::from(head) })
    }

    /// The request for a vector made by [`vector`] for the same protocol and dimension.
    pub fn request(&self, vector: Bytes) -> Request {
        Request { head: self.head.clone(), tail: vector }
    }

    /// The bytes before the vector.
    pub fn head(&self) -> &Bytes {
        &self.head
    }
}

/// A vector as the tail of a search for vectors of that type: its bytes, or JSON and what closes the
/// body: numbers (the shortest that read back the same), of other types than float32 base64.
pub fn vector(protocol: Protocol, vector_type: VectorType, vector: &[f32]) -> Bytes {
    let end = match protocol {
        Protocol::RestV2 if vector_type == VectorType::Float32 => "]]}",
        Protocol::RestV1 => "]}",
        Protocol::Grpc | Protocol::RestV2 => {
            let mut bytes = Vec::with_capacity(vector.len() * 4);
            vector_type.encode(vector, &mut bytes);
            if protocol == Protocol::RestV2 {
                bytes = format!("{}\"]}}", BASE64.encode(bytes)).into_bytes();
            }
            return Bytes::from(bytes);
        }
    };
    let mut text = Vec::with_capacity(vector.len() * 13 + end.len());
    super::insert::write_floats(vector, &mut text);
    text.extend_from_slice(end.as_bytes());
    Bytes::from(text)
}

/// The level's number, the timestamp that goes with it, and whether the collection's own level
/// holds: what the official clients send.
pub(crate) fn consistency_fields(consistency: Option<Consistency>) -> (i32, u64, bool) {
    match consistency {
        None => (0, 1, true),
        Some(level) => {
            let timestamp = match level {
                // 0: the server takes its present time.
                Consistency::Strong => 0,
                // 1: everything the node has; this client wrote nothing that it must wait for.
                Consistency::Session | Consistency::Eventually => 1,
                // 2: the server subtracts its grace time from its present.
                Consistency::Bounded => 2,
            };
            (level.number(), timestamp, false)
        }
    }
}

/// The request without its placeholder group.
pub(crate) fn grpc_request(target: Target<'_>, spec: &SearchSpec<'_>) -> Result<SearchRequest, EncodeError> {
    let params = serde_json::Value::Object(spec.params_json()?).to_string();
    let mut search_params = vec![
        pair("topk", &spec.limit.to_string()),
        // Milvus 2.3 refuses a search without it, even an empty one.
        pair("params", &params),
        pair("anns_field", spec.vector_field),
    ];
    if let Some(metric) = spec.metric {
        search_params.push(pair("metric_type", metric.name()));
    }
    let (consistency_level, guarantee_timestamp, use_default_consistency) =
        consistency_fields(spec.consistency);
    Ok(SearchRequest {
        db_name: target.database.unwrap_or_default().to_owned(),
        collection_name: target.collection.to_owned(),
        dsl: spec.filter.unwrap_or_default().to_owned(),
        // Never another: with 0, a Milvus 2.3.5 process dies.
        dsl_type: DslType::BoolExprV1.number(),
        output_fields: spec.output_fields.to_vec(),
        search_params,
        guarantee_timestamp,
        nq: 1,
        consistency_level,
        use_default_consistency,
        ..SearchRequest::default()
    })
}

pub(crate) fn pair(key: &str, value: &str) -> KeyValue {
    KeyValue { key: key.to_owned(), value: value.to_owned() }
}

/// Frame prefix, message, and the placeholder group up to its vector.
fn grpc_head(request: &SearchRequest, vector_type: VectorType, dimension: u32) -> Vec<u8> {
    /// Key of field 6, length-delimited: `SearchRequest.placeholder_group`.
    const GROUP_KEY: u8 = 6 << 3 | 2;
    /// Key of field 1, length-delimited: `PlaceholderGroup.placeholders`, `PlaceholderValue.tag`.
    const FIRST_KEY: u8 = 1 << 3 | 2;
    /// Key of field 2, varint: `PlaceholderValue.type`.
    const TYPE_KEY: u8 = 2 << 3;
    /// Key of field 3, length-delimited: `PlaceholderValue.values`.
    const VALUES_KEY: u8 = 3 << 3 | 2;

    let vector_bytes = vector_type.bytes(dimension);
    let mut value = vec![FIRST_KEY];
    length_and(&mut value, placeholder::TAG.as_bytes());
    value.push(TYPE_KEY);
    varint(&mut value, data_type(vector_type).number() as usize);
    value.push(VALUES_KEY);
    varint(&mut value, vector_bytes);

    let mut group = vec![FIRST_KEY];
    varint(&mut group, value.len() + vector_bytes);
    group.extend_from_slice(&value);

    let mut message = request.encode_to_vec();
    message.push(GROUP_KEY);
    varint(&mut message, group.len() + vector_bytes);
    message.extend_from_slice(&group);

    let length = (message.len() + vector_bytes) as u32;
    let mut head = vec![0];
    head.extend_from_slice(&length.to_be_bytes());
    head.extend_from_slice(&message);
    head
}

/// The type of a field, and of a placeholder, with such vectors.
pub(crate) fn data_type(vector_type: VectorType) -> DataType {
    match vector_type {
        VectorType::Float32 => DataType::FloatVector,
        VectorType::Float16 => DataType::Float16Vector,
        VectorType::BFloat16 => DataType::BFloat16Vector,
        VectorType::Binary => DataType::BinaryVector,
    }
}

fn varint(out: &mut Vec<u8>, value: usize) {
    prost::encoding::encode_varint(value as u64, out);
}

fn length_and(out: &mut Vec<u8>, bytes: &[u8]) {
    varint(out, bytes.len());
    out.extend_from_slice(bytes);
}

pub(crate) fn rest_v2_request(
    target: Target<'_>,
    spec: &SearchSpec<'_>,
) -> Result<serde_json::Map<String, serde_json::Value>, EncodeError> {
    let mut search_params = serde_json::Map::new();
    if let Some(metric) = spec.metric {
        search_params.insert("metricType".to_owned(), metric.name().into());
    }
    search_params.insert("params".to_owned(), spec.params_json()?.into());
    let body = v2::Search {
        collection_name: target.collection.to_owned(),
        db_name: target.database.map(str::to_owned),
        anns_field: Some(spec.vector_field.to_owned()),
        limit: Some(spec.limit.into()),
        filter: spec.filter.map(str::to_owned),
        output_fields: spec.output_fields.to_vec(),
        search_params: Some(search_params.into()),
        consistency_level: spec.consistency.map(|level| level.name().to_owned()),
        ..v2::Search::default()
    };
    Ok(object_without(&body, "data"))
}

pub(crate) fn rest_v1_request(
    target: Target<'_>,
    spec: &SearchSpec<'_>,
) -> Result<serde_json::Map<String, serde_json::Value>, EncodeError> {
    let params = spec.params_json()?;
    if spec.vector_type != VectorType::Float32 {
        return Err(EncodeError::VectorType(spec.vector_type));
    }
    let body = v1::Search {
        collection_name: target.collection.to_owned(),
        db_name: target.database.map(str::to_owned),
        limit: Some(spec.limit.into()),
        filter: spec.filter.map(str::to_owned),
        output_fields: spec.output_fields.to_vec(),
        params: (!params.is_empty()).then(|| params.into()),
        ..v1::Search::default()
    };
    Ok(object_without(&body, "vector"))
}

fn object_without(body: &impl serde::Serialize, member: &str) -> serde_json::Map<String, serde_json::Value> {
    match serde_json::to_value(body) {
        Ok(serde_json::Value::Object(mut object)) => {
            object.remove(member);
            object
        }
        _ => unreachable!("a body of strings, numbers and JSON serializes to an object"),
    }
}

/// The object's text with `last` in place of its closing brace.
fn rest_head(object: &serde_json::Map<String, serde_json::Value>, last: &str) -> Vec<u8> {
    let mut text = serde_json::Value::Object(object.clone()).to_string().into_bytes();
    text.pop();
    text.push(b',');
    text.extend_from_slice(last.as_bytes());
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn float_bytes(query: &[f32]) -> Vec<u8> {
        query.iter().flat_map(|x| x.to_le_bytes()).collect()
    }

    fn joined(request: &Request) -> Vec<u8> {
        [request.head.as_ref(), request.tail.as_ref()].concat()
    }

    fn spec() -> impl Strategy<Value = (String, Option<Metric>, Option<String>, u16, Option<String>)> {
        let metric = prop::option::of(prop::sample::select(vec![Metric::L2, Metric::Ip, Metric::Cosine]));
        let filter = prop::option::of(".{0,60}");
        let params = prop::option::of(prop::sample::select(vec![
            "{}".to_owned(),
            r#"{"nprobe":16}"#.to_owned(),
            r#"{ "ef": 64, "name": "ä\"" }"#.to_owned(),
            " ".to_owned(),
        ]));
        ("[a-z_]{1,12}", metric, filter, 1..=16_384_u16, params)
    }

    fn level() -> impl Strategy<Value = Option<Consistency>> {
        use Consistency::{Bounded, Eventually, Session, Strong};
        prop::option::of(prop::sample::select(vec![Strong, Session, Bounded, Eventually]))
    }

    fn vectors() -> impl Strategy<Value = Vec<f32>> {
        prop::collection::vec(-1e30_f32..1e30, 1..900)
    }

    proptest! {
        #[test]
        fn head_and_tail_are_the_message_built_the_long_way(
            (field, metric, filter, limit, params) in spec(),
            consistency in level(),
            database in prop::option::of("[a-z]{1,9}"),
            output_fields in prop::collection::vec("[a-z]{1,9}", 0..3),
            query in vectors(),
        ) {
            let target = Target { collection: "docs", database: database.as_deref() };
            let spec = SearchSpec {
                vector_field: &field,
                vector_type: VectorType::Float32,
                metric,
                filter: filter.as_deref(),
                limit,
                params: params.as_deref(),
                consistency,
                output_fields: &output_fields,
            };
            let template =
                SearchTemplate::new(Protocol::Grpc, target, &spec, query.len() as u32).unwrap();
            let request = template.request(vector(Protocol::Grpc, VectorType::Float32, &query));
            let bytes = joined(&request);
            prop_assert_eq!(bytes.len(), request.len());
            prop_assert_eq!(bytes[0], 0);
            let length = u32::from_be_bytes(bytes[1..5].try_into().unwrap());
            prop_assert_eq!(length as usize, bytes.len() - 5);
            let read = SearchRequest::decode(&bytes[5..]).unwrap();

            let get = |key: &str| {
                read.search_params.iter().find(|pair| pair.key == key).map(|pair| pair.value.clone())
            };
            prop_assert_eq!(get("topk"), Some(limit.to_string()));
            prop_assert_eq!(get("anns_field"), Some(field.clone()));
            prop_assert_eq!(get("metric_type"), metric.map(|metric| metric.name().to_owned()));
            let sent: serde_json::Value = serde_json::from_str(&get("params").unwrap()).unwrap();
            prop_assert_eq!(sent, serde_json::Value::Object(spec.params_json().unwrap()));
            let (consistency_level, guarantee_timestamp, use_default_consistency) = match consistency {
                None => (0, 1, true),
                Some(Consistency::Strong) => (0, 0, false),
                Some(Consistency::Session) => (1, 1, false),
                Some(Consistency::Bounded) => (2, 2, false),
                Some(Consistency::Eventually) => (3, 1, false),
            };
            let expected = SearchRequest {
                db_name: database.clone().unwrap_or_default(),
                collection_name: "docs".to_owned(),
                dsl: filter.clone().unwrap_or_default(),
                placeholder_group: placeholder::vectors(DataType::FloatVector, [float_bytes(&query)]),
                dsl_type: 1,
                output_fields: output_fields.clone(),
                search_params: read.search_params.clone(),
                guarantee_timestamp,
                nq: 1,
                consistency_level,
                use_default_consistency,
                ..SearchRequest::default()
            };
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn rest_bodies_read_as_what_was_asked(
            (field, metric, filter, limit, params) in spec(),
            consistency in level(),
            database in prop::option::of("[a-z]{1,9}"),
            query in vectors(),
        ) {
            let output_fields = ["id".to_owned()];
            let target = Target { collection: "docs", database: database.as_deref() };
            let spec = SearchSpec {
                vector_field: &field,
                vector_type: VectorType::Float32,
                metric,
                filter: filter.as_deref(),
                limit,
                params: params.as_deref(),
                consistency,
                output_fields: &output_fields,
            };
            let build = |protocol| {
                let template = SearchTemplate::new(protocol, target, &spec, query.len() as u32).unwrap();
                joined(&template.request(vector(protocol, VectorType::Float32, &query)))
            };
            let params = serde_json::Value::Object(spec.params_json().unwrap());
            let v2: v2::Search = serde_json::from_slice(&build(Protocol::RestV2)).unwrap();
            let mut search_params = serde_json::json!({});
            if let Some(metric) = metric {
                search_params["metricType"] = metric.name().into();
            }
            search_params["params"] = params.clone();
            prop_assert_eq!(v2, v2::Search {
                collection_name: "docs".to_owned(),
                db_name: database.clone(),
                data: vec![query.clone()],
                anns_field: Some(field.clone()),
                limit: Some(limit.into()),
                filter: filter.clone(),
                output_fields: output_fields.to_vec(),
                search_params: Some(search_params),
                consistency_level: consistency.map(|level| level.name().to_owned()),
                ..v2::Search::default()
            });
            let v1: v1::Search = serde_json::from_slice(&build(Protocol::RestV1)).unwrap();
            prop_assert_eq!(v1, v1::Search {
                collection_name: "docs".to_owned(),
                db_name: database,
                vector: query,
                limit: Some(limit.into()),
                filter,
                output_fields: output_fields.to_vec(),
                params: (params != serde_json::json!({})).then_some(params),
                ..v1::Search::default()
            });
        }
    }

    #[test]
    fn vectors_of_other_types_are_asked_for_as_their_bytes() {
        let query: Vec<f32> = (0..16).map(|i| i as f32 / 4.0 - 2.0).collect();
        for vector_type in VectorType::ALL {
            let mut bytes = Vec::new();
            vector_type.encode(&query, &mut bytes);
            let spec = SearchSpec {
                vector_field: "embedding",
                vector_type,
                metric: None,
                filter: None,
                limit: 10,
                params: None,
                consistency: None,
                output_fields: &[],
            };
            let target = Target { collection: "docs", database: None };
            let build = |protocol| {
                let template = SearchTemplate::new(protocol, target, &spec, 16)?;
                Ok::<_, EncodeError>(joined(&template.request(vector(protocol, vector_type, &query))))
            };
            let grpc = SearchRequest::decode(&build(Protocol::Grpc).unwrap()[5..]).unwrap();
            let expected = placeholder::vectors(data_type(vector_type), [bytes.clone()]);
            assert_eq!(grpc.placeholder_group, expected, "{vector_type}");
            if vector_type != VectorType::Float32 {
                let v2: serde_json::Value =
                    serde_json::from_slice(&build(Protocol::RestV2).unwrap()).unwrap();
                assert_eq!(v2["data"], serde_json::json!([BASE64.encode(&bytes)]), "{vector_type}");
                let error = build(Protocol::RestV1).unwrap_err().to_string();
                assert!(error.contains(vector_type.name()), "{error}");
            }
        }
    }

    #[test]
    fn a_search_of_768_dimensions_has_88_bytes_beside_its_vector() {
        let output_fields = [];
        let spec = SearchSpec {
            vector_field: "embedding",
            vector_type: VectorType::Float32,
            metric: None,
            filter: None,
            limit: 10,
            params: Some(r#"{"ef":64}"#),
            consistency: Some(Consistency::Bounded),
            output_fields: &output_fields,
        };
        let target = Target { collection: "bench", database: None };
        let template = SearchTemplate::new(Protocol::Grpc, target, &spec, 768).unwrap();
        // Frame prefix; name, group's lengths, filter language, three parameters, timestamp and level.
        assert_eq!(template.head().len(), 5 + 7 + 15 + 2 + (12 + 21 + 25) + 6);
        assert_eq!(vector(Protocol::Grpc, VectorType::Float32, &[0.5; 768]).len(), 3072);
    }
}
