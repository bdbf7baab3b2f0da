//! Vectors that are not 32-bit floats: written, read back bit for bit, and found.

use squall_core::dataset::{Dataset, VECTOR_FIELD};
use squall_core::schema::{Consistency, IndexSpec, Metric, Transport};
use squall_core::vector_type::VectorType;
use squall_milvus::Endpoint;
use squall_milvus::admin::Admin;
use squall_milvus::encode::SearchSpec;

use crate::support::*;

const BITS: u32 = 64;

fn rows_of(vector_type: VectorType) -> Dataset {
    Dataset::reference(7, BITS).unwrap().with_vector_type(vector_type).unwrap()
}

/// Squared Euclidean distances of `query` to every row as the server holds both: of bits, the Hamming
/// distances.
fn distances(dataset: &Dataset, query: &[f32]) -> Vec<f32> {
    let mut query = query.to_vec();
    dataset.vector_type().round(&mut query);
    let mut vectors = vec![0.0; ROWS * BITS as usize];
    dataset.vectors(0, &mut vectors).unwrap();
    vectors
        .chunks_exact(BITS as usize)
        .map(|vector| vector.iter().zip(&query).map(|(a, b)| (a - b) * (a - b)).sum())
        .collect()
}

async fn written_read_and_found(endpoint: &Endpoint, vector_type: VectorType) {
    let admin = Admin::connect(endpoint, Transport::Grpc).await.unwrap();
    let (name, dataset) = (unique(vector_type.name()), rows_of(vector_type));
    let (kind, metric) = match vector_type {
        VectorType::Binary => ("BIN_FLAT", Metric::Hamming),
        _ => ("FLAT", Metric::L2),
    };
    let index = IndexSpec { kind: kind.to_owned(), metric, params: Vec::new() };
    seed_from(&admin, &name, &dataset, &index).await;
    let schema = admin.describe_collection(&name).await.unwrap().schema;
    assert_eq!(schema, dataset.schema(ROWS as u64));

    let expected = dataset.batch(17, 1).unwrap();
    let fields: Vec<String> = expected.columns.iter().map(|column| column.name.clone()).collect();
    assert_eq!(admin.query(&name, "id == 17", &fields, 10).await.unwrap(), expected);

    let output_fields = ["id".to_owned()];
    let spec = SearchSpec { vector_type, metric: Some(metric), ..spec(None, &output_fields) };
    for number in 0..5 {
        let mut query = vec![0.0; BITS as usize];
        Dataset::reference(8, BITS).unwrap().vectors(number, &mut query).unwrap();
        let distances = distances(&dataset, &query);
        let mut nearest = distances.clone();
        nearest.sort_by(f32::total_cmp);
        let found = admin.search(&name, &spec, &query).await.unwrap();
        assert_eq!(found.ids.len(), 10, "{vector_type}");
        for (place, (id, score)) in found.ids.iter().zip(&found.scores).enumerate() {
            let close = |a: f32, b: f32| (a - b).abs() <= 1e-3 * b.abs().max(1.0);
            // Rows at the same distance may stand in for each other.
            assert!(close(*score, distances[*id as usize]), "{vector_type}: {score} of {id}");
            assert!(close(*score, nearest[place]), "{vector_type}: {score} at {place}");
        }
    }
    admin.drop_collection(&name).await.unwrap();
}

#[tokio::test]
async fn binary_vectors_on_milvus_2_3() {
    let Some(server) = real_server("SQUALL_TEST_MILVUS_URI", "binary_vectors_on_milvus_2_3") else { return };
    written_read_and_found(&server, VectorType::Binary).await;
}

#[tokio::test]
async fn milvus_lite_has_float32_and_refuses_the_others_in_words() {
    let test = "milvus_lite_has_float32_and_refuses_the_others_in_words";
    let Some(server) = real_server("SQUALL_TEST_MILVUS_LITE_URI", test) else { return };
    written_read_and_found(&server, VectorType::Float32).await;
    let admin = Admin::connect(&server, Transport::Grpc).await.unwrap();
    refused(&admin, [VectorType::Float16, VectorType::BFloat16, VectorType::Binary], "not support").await;
}

/// Collections with vectors of these types are refused, with these words.
async fn refused(admin: &Admin, vector_types: [VectorType; 3], words: &str) {
    for vector_type in vector_types {
        let schema = rows_of(vector_type).schema(1);
        let name = unique("refused");
        let error = admin.create_collection(&name, &schema, Consistency::Bounded, None).await.unwrap_err();
        let message = error.to_string();
        assert!(message.contains(VECTOR_FIELD) && message.contains(words), "{message}");
    }
}

#[tokio::test]
async fn the_sandbox_refuses_what_it_does_not_hold_in_words() {
    let sandbox = sandbox().await;
    let admin = connect(&sandbox.uri, Transport::Grpc).await;
    refused(&admin, [VectorType::Float16, VectorType::BFloat16, VectorType::Binary], "does not serve").await;
}
