//! Searches against brute force.

use std::collections::HashSet;

use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use serde_json::json;
use squall_proto::milvus::{FieldData, SearchResults, field_data::Field, vector_field::Data};
use squall_sandbox::SandboxConfig;

use crate::support::{
    Client, Rows, code, create, expect_ok, fill, index, insert, keys, load, longs, normal, pair, search,
    search_request, start, texts,
};

fn queries(rows: &Rows, count: usize) -> Vec<Vec<f32>> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(99);
    // Near the rows, as queries are.
    let near = |row: usize| -> Vec<f32> {
        rows.vectors[row].iter().zip(normal(&mut rng, rows.dimension)).map(|(v, n)| v + 0.3 * n).collect()
    };
    (0..count).map(|number| number * 37 % rows.len()).map(near).collect()
}

fn recall(found: &[i64], truth: &[i64]) -> f64 {
    let truth: HashSet<&i64> = truth.iter().collect();
    found.iter().filter(|key| truth.contains(key)).count() as f64 / truth.len() as f64
}

async fn mean_recall(
    client: &mut Client,
    rows: &Rows,
    filter: &str,
    params: &str,
    fits: impl Fn(usize) -> bool + Copy,
) -> f64 {
    let queries = queries(rows, 50);
    let mut sum = 0.0;
    for query in &queries {
        let mut request = search_request("c", std::slice::from_ref(query), 10, filter);
        request.search_params = vec![pair("topk", "10"), pair("params", params)];
        let found = search(client, request).await;
        expect_ok(found.status.as_ref());
        assert!(keys(&found).iter().all(|key| fits(*key as usize)), "a hit does not fit {filter}");
        sum += recall(&keys(&found), &rows.nearest(query, 10, fits));
    }
    sum / queries.len() as f64
}

#[tokio::test]
async fn small_collections_and_flat_indexes_are_exact_under_every_filter() {
    let server = start(SandboxConfig::default()).await;
    let mut client = server.client().await;
    let rows = Rows::clustered(3_000, 24, 11);
    fill(&mut client, "c", &rows, "HNSW").await;
    let electronics = |row: usize| rows.categories[row] == "electronics";
    let cheap = |row: usize| rows.prices[row] >= 100.0 && rows.prices[row] < 150.0;
    let red = |row: usize| Rows::colour(row) == "red";
    assert_eq!(mean_recall(&mut client, &rows, "", "{}", |_| true).await, 1.0);
    assert_eq!(mean_recall(&mut client, &rows, "category == \"electronics\"", "{}", electronics).await, 1.0);
    assert_eq!(mean_recall(&mut client, &rows, "price >= 100 and price < 150", "{}", cheap).await, 1.0);
    assert_eq!(mean_recall(&mut client, &rows, "colour == 'red'", "{}", red).await, 1.0);
    let both = "category == \"electronics\" and price >= 100 and price < 150";
    assert_eq!(mean_recall(&mut client, &rows, both, "{}", |row| electronics(row) && cheap(row)).await, 1.0);
    server.stop().await;

    let server = start(SandboxConfig::default()).await;
    let mut client = server.client().await;
    let rows = Rows::clustered(8_000, 8, 12);
    fill(&mut client, "c", &rows, "FLAT").await;
    assert_eq!(mean_recall(&mut client, &rows, "", "{}", |_| true).await, 1.0);
    server.stop().await;
}

#[tokio::test]
async fn the_graph_finds_what_brute_force_finds_at_every_selectivity() {
    let server = start(SandboxConfig::default()).await;
    let mut client = server.client().await;
    let rows = Rows::clustered(20_000, 32, 13);
    create(&mut client, "c", 32).await;
    for start in (0..20_000).step_by(2_000) {
        insert(&mut client, "c", &rows, start..start + 2_000).await;
    }
    expect_ok(Some(&index(&mut client, "c", "HNSW", "L2", json!({"M": 16, "efConstruction": 100})).await));
    let progress = load(&mut client, "c").await;
    assert!(
        progress.is_sorted() && progress.iter().all(|percent| (0..=100).contains(percent)),
        "{progress:?}"
    );
    let ef = r#"{"ef": 200}"#;
    let everything = mean_recall(&mut client, &rows, "", ef, |_| true).await;
    assert!(everything >= 0.95, "no filter: {everything}");
    for modulus in [2, 10, 100] {
        let filter = format!("id % {modulus} == 0");
        let found = mean_recall(&mut client, &rows, &filter, ef, |row| row % modulus == 0).await;
        assert!(found >= 0.95, "one row in {modulus}: {found}");
    }
    // More candidates find more: the parameter reaches the index.
    let few = mean_recall(&mut client, &rows, "", r#"{"ef": 10}"#, |_| true).await;
    assert!(few < everything, "ef 10 finds {few}, ef 200 {everything}");
    server.stop().await;
}

fn scores(results: &SearchResults) -> &[f32] {
    &results.results.as_ref().unwrap().scores
}

#[tokio::test]
async fn scores_are_those_of_the_metric() {
    let server = start(SandboxConfig::default()).await;
    let mut client = server.client().await;
    let rows = Rows {
        dimension: 2,
        vectors: vec![vec![1.0, 0.0], vec![0.0, 2.0], vec![3.0, 3.0]],
        categories: vec!["books"; 3],
        prices: vec![1.0; 3],
    };
    let query = vec![1.0, 1.0];
    let root = 0.5f32.sqrt();
    for (metric, expected_keys, expected_scores) in [
        ("L2", [0, 1, 2], [1.0, 2.0, 8.0]),
        ("IP", [2, 1, 0], [6.0, 2.0, 1.0]),
        // Rows 0 and 1 are at the same angle: the earlier one first.
        ("COSINE", [2, 0, 1], [1.0, root, root]),
    ] {
        let name = format!("c_{metric}");
        create(&mut client, &name, 2).await;
        insert(&mut client, &name, &rows, 0..3).await;
        expect_ok(Some(&index(&mut client, &name, "FLAT", metric, json!({})).await));
        load(&mut client, &name).await;
        let found = search(&mut client, search_request(&name, std::slice::from_ref(&query), 3, "")).await;
        assert_eq!(keys(&found), expected_keys, "{metric}");
        for (score, expected) in scores(&found).iter().zip(expected_scores) {
            assert!((score - expected).abs() < 1e-6, "{metric}: {score} is not {expected}");
        }
        // Only what is within the range asked for.
        let mut ranged = search_request(&name, std::slice::from_ref(&query), 3, "");
        let range =
            if metric == "L2" { r#"{"radius": 8.0, "range_filter": 2.0}"# } else { r#"{"radius": 0.9}"# };
        ranged.search_params[1] = pair("params", range);
        let expected = match metric {
            "L2" => vec![1],
            "IP" => vec![2, 1, 0],
            _ => vec![2],
        };
        assert_eq!(keys(&search(&mut client, ranged).await), expected, "{metric}");
        let mut other = search_request(&name, std::slice::from_ref(&query), 3, "");
        other.search_params.push(pair("metric_type", if metric == "L2" { "IP" } else { "L2" }));
        assert_eq!(code(search(&mut client, other).await.status.as_ref()), (65535, 1));
    }
    server.stop().await;
}

fn column<'a>(results: &'a SearchResults, name: &str) -> &'a FieldData {
    let columns = &results.results.as_ref().unwrap().fields_data;
    columns.iter().find(|column| column.field_name == name).unwrap_or_else(|| panic!("no column {name}"))
}

#[tokio::test]
async fn output_fields_are_those_of_the_rows_found() {
    let server = start(SandboxConfig::default()).await;
    let mut client = server.client().await;
    let rows = Rows::clustered(100, 4, 14);
    fill(&mut client, "c", &rows, "FLAT").await;
    let two = &rows.vectors[40..42];
    let plain = search(&mut client, search_request("c", two, 3, "")).await;
    assert!(plain.results.as_ref().unwrap().fields_data.is_empty(), "keys and scores alone");

    let mut request = search_request("c", two, 3, "");
    request.output_fields = vec!["category".to_owned(), "id".to_owned(), "colour".to_owned()];
    let named = search(&mut client, request.clone()).await;
    let found = keys(&named);
    assert_eq!(longs(column(&named, "id")), found);
    let categories: Vec<_> = found.iter().map(|key| rows.categories[*key as usize]).collect();
    assert_eq!(texts(column(&named, "category")), categories);
    assert!(column(&named, "$meta").is_dynamic);

    request.output_fields = vec!["*".to_owned()];
    let all = search(&mut client, request.clone()).await;
    let vectors: Vec<f32> = found.iter().flat_map(|key| rows.vectors[*key as usize].clone()).collect();
    match &column(&all, "vector").field {
        Some(Field::Vectors(field)) => match &field.data {
            Some(Data::FloatVector(values)) => assert_eq!(values.data, vectors),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }

    // A page is the rest of the whole.
    request.output_fields = Vec::new();
    request.search_params.push(pair("offset", "1"));
    request.search_params[0] = pair("topk", "2");
    let page = search(&mut client, request).await;
    assert_eq!(keys(&page), [&found[1..3], &found[4..6]].concat());
    server.stop().await;
}

#[tokio::test]
async fn nothing_found_is_a_success() {
    let server = start(SandboxConfig::default()).await;
    let mut client = server.client().await;
    let rows = Rows::clustered(100, 4, 15);
    fill(&mut client, "c", &rows, "FLAT").await;
    let nothing = search(&mut client, search_request("c", &rows.vectors[..2], 3, "price < 0")).await;
    expect_ok(nothing.status.as_ref());
    assert_eq!(nothing.results.as_ref().unwrap().topks, [0, 0]);
    server.stop().await;
}

#[tokio::test]
async fn a_wrong_search_is_told_what_is_wrong() {
    let server = start(SandboxConfig::default()).await;
    let mut client = server.client().await;
    let rows = Rows::clustered(100, 4, 16);
    fill(&mut client, "c", &rows, "FLAT").await;
    let fine = || search_request("c", &rows.vectors[..1], 3, "");
    let with = |change: &dyn Fn(&mut squall_proto::milvus::SearchRequest)| {
        let mut request = fine();
        change(&mut request);
        request
    };
    let wrong = [
        // The request that kills a 2.3.5 server.
        (with(&|request| request.dsl_type = 0), 1100, "dsl_type"),
        (with(&|request| request.nq = 2), 65535, "nq"),
        (with(&|request| request.placeholder_group = vec![1, 2, 3].into()), 65535, "placeholder"),
        (with(&|request| request.search_params[0] = pair("topk", "0")), 65535, "top k"),
        (with(&|request| request.search_params[0] = pair("topk", "16385")), 65535, "top k"),
        (with(&|request| request.search_params.truncate(1)), 65535, "params not found"),
        (with(&|request| request.search_params[1] = pair("params", "{")), 65535, "JSON"),
        (with(&|request| request.search_params.push(pair("anns_field", "nope"))), 65535, "nope"),
        (with(&|request| request.dsl = "price >> 1".to_owned()), 65535, "cannot parse expression"),
        (with(&|request| request.dsl = "category == 1".to_owned()), 65535, "not supported"),
        (search_request("c", &[vec![1.0; 5]], 3, ""), 65535, "dimension"),
        (search_request("c", &[vec![f32::NAN; 4]], 3, ""), 65535, "not a number"),
        (search_request("nope", &rows.vectors[..1], 3, ""), 100, "collection not found"),
    ];
    for (request, expected, words) in wrong {
        let status = search(&mut client, request).await.status.unwrap();
        assert_eq!(status.code, expected, "{}", status.reason);
        assert!(status.reason.contains(words), "{words} is not in: {}", status.reason);
    }
    expect_ok(search(&mut client, fine()).await.status.as_ref());
    server.stop().await;
}
