//! Real embeddings from files: loaded, verified, asked with queries of their own, and scored.

use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{Int64Builder, ListBuilder};
use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, StringArray};
use serde_json::{Value, json};
use squall_core::batch::Values;
use squall_core::dataset::Dataset;
use squall_core::schema::FieldType;

use crate::support::{Done, SandboxProcess, Workplace, has_collection, with_admin};
use crate::vector_files::{float_bytes, npy, vector_lists, write_parquet};

const ROWS: usize = 600;
const QUERIES: usize = 50;
const DIMENSION: usize = 16;

/// Unit vectors; another seed, other vectors.
fn vectors(seed: u64, count: usize) -> Vec<Vec<f32>> {
    let dataset = Dataset::reference(seed, DIMENSION as u32).unwrap();
    let mut all = vec![0.0; count * DIMENSION];
    dataset.vectors(0, &mut all).unwrap();
    all.chunks(DIMENSION).map(<[f32]>::to_vec).collect()
}

fn rows() -> Vec<Vec<f32>> {
    vectors(1, ROWS)
}

fn queries() -> Vec<Vec<f32>> {
    vectors(2, QUERIES)
}

/// The `k` nearest rows of each query, nearest first, by squared distance.
fn neighbours(k: usize) -> Vec<Vec<i64>> {
    let rows = rows();
    let distance = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum()
    };
    let nearest = |query: &Vec<f32>| {
        let mut all: Vec<(f64, i64)> =
            rows.iter().zip(0..).map(|(row, number)| (distance(query, row), number)).collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        all[..k].iter().map(|(_, number)| *number).collect()
    };
    queries().iter().map(nearest).collect()
}

fn id_lists(ids: &[Vec<i64>]) -> ArrayRef {
    let mut lists = ListBuilder::new(Int64Builder::new());
    for ids in ids {
        lists.values().append_slice(ids);
        lists.append(true);
    }
    Arc::new(lists.finish())
}

fn numbers(count: usize) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(0..count as i64))
}

/// The TEXMEX formats: each row behind its length.
fn vecs<const N: usize>(rows: &[Vec<[u8; N]>]) -> Vec<u8> {
    let row = |row: &Vec<[u8; N]>| [&(row.len() as u32).to_le_bytes()[..], row.as_flattened()].concat();
    rows.iter().flat_map(row).collect()
}

fn write_ivecs(path: &Path, ids: &[Vec<i64>]) {
    let bytes: Vec<Vec<[u8; 4]>> =
        ids.iter().map(|ids| ids.iter().map(|id| (*id as u32).to_le_bytes()).collect()).collect();
    std::fs::write(path, vecs(&bytes)).unwrap();
}

/// What `setup verify` says of the recall of a collection that is otherwise good.
#[track_caller]
fn verified_recall(place: &Workplace, settings: &str) -> String {
    let report = place.line(&format!("setup verify {settings} --format json")).expect(0).json();
    assert_eq!(report["good"], true, "{report}");
    let checks = report["checks"].as_array().unwrap();
    let recall = checks.iter().find(|check| check["name"] == "recall").unwrap();
    recall["found"].as_str().unwrap().to_owned()
}

/// A short run without filtered queries; its summary.
#[track_caller]
fn run_without_filters(place: &Workplace, uri: &str, queries: &str) -> Value {
    let line = format!("run --uri {uri} --queries {queries} --rate 100 --arrivals even -t 2s --format json");
    let mut command = place.squall(line.split_whitespace());
    let output = command.env("FILTERED_QUERY_WEIGHT", "0").output().expect("the program starts");
    Done::from(output).ran().json()
}

#[test]
fn a_parquet_file_keeps_its_columns_and_is_asked_with_queries_of_its_own() {
    let place = Workplace::new();
    let each = |value: fn(usize) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values((0..ROWS).map(value)))
    };
    write_parquet(
        &place.path().join("shop.parquet"),
        vec![
            ("id", Arc::new(Int64Array::from_iter_values((0..ROWS as i64).map(|row| row * 3 + 1)))),
            ("category", each(|row| ["electronics", "books"][row % 2].to_owned())),
            ("embedding", vector_lists(&rows())),
            ("price", Arc::new(Float64Array::from_iter_values((0..ROWS).map(|row| row as f64 / 2.0)))),
            ("stock", Arc::new(Int32Array::from_iter_values(0..ROWS as i32))),
            ("new", Arc::new(BooleanArray::from_iter((0..ROWS).map(|row| Some(row % 3 == 0))))),
        ],
    );
    write_parquet(&place.path().join("queries.parquet"), vec![("emb", vector_lists(&queries()))]);
    let sandbox = SandboxProcess::start(&[]);
    let uri = &sandbox.uri;
    let settings = format!("--uri {uri} --dataset file:shop.parquet --queries queries.parquet --settle 0s");
    let done = place.line(&format!("setup {settings} --format json")).expect(0);
    assert!(done.stderr.contains("takes 50 vectors from queries.parquet"), "{}", done.stderr);
    let report = done.json();
    assert_eq!((&report["rows"], &report["dimension"]), (&json!(ROWS), &json!(DIMENSION)));
    assert_eq!((&report["truth"]["outcome"], &report["truth"]["k"]), (&json!("made"), &json!(100)));

    let (fields, row) = with_admin(uri, async |admin| {
        let fields = admin.describe_collection("load_test_collection").await.unwrap().schema.fields;
        let names: Vec<String> = fields.iter().map(|field| field.name.clone()).collect();
        (fields, admin.query("load_test_collection", "id == 7", &names, 2).await.unwrap())
    });
    let dimension = DIMENSION as u32;
    let expected = [
        ("id", FieldType::Int64, Values::Int64(vec![7])),
        (
            "vector",
            FieldType::FloatVector { dimension },
            Values::FloatVector { dimension, values: rows()[7].clone() },
        ),
        ("source_id", FieldType::Int64, Values::Int64(vec![22])),
        ("category", FieldType::VarChar { max_length: 11 }, Values::VarChar(vec!["books".to_owned()])),
        ("price", FieldType::Double, Values::Double(vec![3.5])),
        ("stock", FieldType::Int32, Values::Int32(vec![7])),
        ("new", FieldType::Bool, Values::Bool(vec![false])),
    ];
    assert_eq!(fields.len(), expected.len());
    for (field, (name, field_type, values)) in fields.iter().zip(&expected) {
        assert_eq!((field.name.as_str(), &field.field_type), (*name, field_type));
        assert_eq!(row.column(name), Some(values), "{name}");
    }

    let recall = verified_recall(&place, &settings);
    assert!(recall.starts_with("1.000 of 100 searches") && recall.contains("stored truth"), "{recall}");
    let line =
        format!("run --uri {uri} --queries queries.parquet --rate 100 --arrivals even -t 2s --format json");
    let summary = place.line(&line).ran().json();
    for class in ["common", "filtered", "rare"] {
        assert_eq!(summary["classes"][class]["recall"], 1.0, "{class} in {summary}");
        // Most of the filters match nothing here, and to find nothing is right.
        assert_eq!(summary["classes"][class]["short_rate"], 0.0, "{class} in {summary}");
    }
}

#[test]
fn flat_files_are_loaded_verified_and_scored() {
    let place = Workplace::new();
    let at = |name: &str| place.path().join(name);
    let (data, asked) = (rows(), queries());
    let head = |rows: usize| [(rows as u32).to_le_bytes(), (DIMENSION as u32).to_le_bytes()].concat();
    let bytes = |rows: &[Vec<f32>]| -> Vec<Vec<[u8; 1]>> {
        rows.iter().map(|row| row.iter().map(|x| [(x * 100.0 + 128.0) as u8]).collect()).collect()
    };
    for (name, rows) in [("rows", &data), ("queries", &asked)] {
        let write = |ending: &str, content: Vec<u8>| {
            std::fs::write(at(&format!("{name}.{ending}")), content).unwrap();
        };
        write("npy", npy(rows));
        write("fvecs", vecs(&float_bytes(rows)));
        write("fbin", [head(rows.len()), float_bytes(rows).concat().concat()].concat());
        write("bvecs", vecs(&bytes(rows)));
        write("u8bin", [head(rows.len()), bytes(rows).concat().concat()].concat());
    }
    let sandbox = SandboxProcess::start(&[]);
    let uri = &sandbox.uri;
    for ending in ["npy", "fvecs", "fbin", "bvecs", "u8bin"] {
        let settings = format!(
            "--uri {uri} --dataset file:rows.{ending} --queries queries.{ending} --settle 0s --drop-existing"
        );
        let done = place.line(&format!("setup {settings} --format json")).expect(0);
        assert!(done.stderr.contains("lacks `category` and `price`"), "{ending}: {}", done.stderr);
        assert_eq!(done.json()["rows_sent"], ROWS, "{ending}");
        let recall = verified_recall(&place, &settings.replace(" --drop-existing", ""));
        assert!(recall.starts_with("1.000 of 100 searches"), "{ending}: {recall}");
        let summary = run_without_filters(&place, uri, &format!("queries.{ending}"));
        assert_eq!(summary["classes"]["common"]["recall"], 1.0, "{ending}: {summary}");
    }
}

/// A directory as VectorDBBench lays it out.
fn write_directory(directory: &Path, neighbours: &[Vec<i64>]) {
    std::fs::create_dir_all(directory).unwrap();
    let (train, test) = (vector_lists(&rows()), vector_lists(&queries()));
    write_parquet(&directory.join("train.parquet"), vec![("id", numbers(ROWS)), ("emb", train)]);
    write_parquet(&directory.join("test.parquet"), vec![("id", numbers(QUERIES)), ("emb", test)]);
    let columns = vec![("id", numbers(QUERIES)), ("neighbors_id", id_lists(neighbours))];
    write_parquet(&directory.join("neighbors.parquet"), columns);
}

#[test]
fn a_directory_of_vectordbbench_brings_its_queries_and_their_neighbours() {
    let place = Workplace::new();
    write_directory(&place.path().join("openai"), &neighbours(20));
    let sandbox = SandboxProcess::start(&[]);
    let uri = &sandbox.uri;
    let settings = format!("--uri {uri} --dataset file:openai --settle 0s");
    let done = place.line(&format!("setup {settings} --format json")).expect(0);
    assert!(done.stderr.contains("give `run --queries openai/test.parquet`"), "{}", done.stderr);
    let truth = &done.json()["truth"];
    // As many neighbours as the file has, not as many as would be made.
    assert_eq!((&truth["outcome"], &truth["k"]), (&json!("made"), &json!(20)));
    let recall = verified_recall(&place, &settings);
    assert!(recall.starts_with("1.000 of 100 searches") && recall.contains("stored truth"), "{recall}");
    let summary = run_without_filters(&place, uri, "openai/test.parquet");
    assert_eq!(summary["classes"]["common"]["recall"], 1.0, "{summary}");
    // Rare queries ask for 100, of which 20 are known.
    assert_eq!(summary["classes"]["rare"]["recall"], Value::Null, "{summary}");

    // Of the first rows alone they are not the neighbours.
    let done = place
        .line(&format!("setup {settings} --num-vectors 500 --collection-name half --format json"))
        .expect(0);
    assert!(done.stderr.contains("neighbors.parquet is not used"), "{}", done.stderr);
    assert_eq!(done.json()["truth"]["k"], 100);
}

#[test]
fn given_neighbours_are_used_until_others_are_wanted() {
    let place = Workplace::new();
    let at = |name: &str| place.path().join(name);
    std::fs::write(at("rows.fvecs"), vecs(&float_bytes(&rows()))).unwrap();
    std::fs::write(at("queries.fvecs"), vecs(&float_bytes(&queries()))).unwrap();
    write_ivecs(&at("right.ivecs"), &neighbours(100));
    // In the order of their distances, but the nearest row of each query is left out.
    let mut shifted = neighbours(101);
    for list in &mut shifted {
        list.remove(0);
    }
    write_ivecs(&at("shifted.ivecs"), &shifted);
    let sandbox = SandboxProcess::start(&[]);
    let uri = &sandbox.uri;
    let settings = format!("--uri {uri} --dataset file:rows.fvecs --queries queries.fvecs --settle 0s");
    let mut ids = Vec::new();
    for (truth, outcome, recall) in [
        ("", "made", "1.000"),
        ("", "found", "1.000"),
        ("--truth shifted.ivecs", "made", "0.900"),
        ("--truth shifted.ivecs", "found", "0.900"),
        ("--truth right.ivecs", "made", "1.000"),
        ("--truth shifted.ivecs", "made", "0.900"),
        ("", "made", "1.000"),
    ] {
        let report = place.line(&format!("setup {settings} {truth} --format json")).expect(0).json();
        assert_eq!(report["truth"]["outcome"], outcome, "{truth}");
        ids.push(report["truth"]["id"].clone());
        let found = verified_recall(&place, &settings);
        assert!(found.starts_with(recall) && found.contains("stored truth"), "{truth}: {found}");
    }
    ids.dedup();
    assert_eq!(ids.len(), 1, "whichever was stored last is what a run finds");
    let summary = run_without_filters(&place, uri, "queries.fvecs");
    assert_eq!(summary["classes"]["common"]["recall"], 1.0, "{summary}");
}

#[test]
fn neighbours_and_queries_that_cannot_be_right_are_refused_before_anything_is_made() {
    let place = Workplace::new();
    let at = |name: &str| place.path().join(name);
    std::fs::write(at("rows.fvecs"), vecs(&float_bytes(&rows()))).unwrap();
    std::fs::write(at("queries.fvecs"), vecs(&float_bytes(&queries()))).unwrap();
    let mut zero = queries();
    zero[31].fill(0.0);
    std::fs::write(at("zero.fvecs"), vecs(&float_bytes(&zero))).unwrap();
    let mut reversed = neighbours(20);
    reversed[17].reverse();
    write_ivecs(&at("reversed.ivecs"), &reversed);
    write_ivecs(&at("fewer.ivecs"), &neighbours(20)[1..]);
    let mut beyond = neighbours(20);
    beyond[5][3] = ROWS as i64;
    write_ivecs(&at("beyond.ivecs"), &beyond);
    let sandbox = SandboxProcess::start(&[]);
    let uri = &sandbox.uri;
    let kept =
        format!("setup --uri {uri} --num-vectors 300 --dimension 16 --settle 0s --collection-name kept");
    place.line(&kept).expect(0);
    for (given, code, words) in [
        ("--queries zero.fvecs --metric COSINE", 2, ["row 31 of", "no direction for metric COSINE"]),
        ("--queries queries.fvecs --truth reversed.ivecs", 1, ["query 17 is nearer", "leave --truth out"]),
        ("--queries queries.fvecs --truth fewer.ivecs", 2, ["neighbours of 49 queries", "the query file 50"]),
        ("--queries queries.fvecs --truth beyond.ivecs", 2, ["query 5 has the neighbour 600", "lacks"]),
        ("--truth reversed.ivecs", 2, ["--truth", "give --queries, too"]),
    ] {
        let line = format!("setup --uri {uri} --dataset file:rows.fvecs --settle 0s {given}");
        place.line(&format!("{line} --collection-name new")).expect(code).says(&words);
        place.line(&format!("{line} --collection-name kept --drop-existing")).expect(code).says(&words);
        assert!(!has_collection(uri, "new"), "{given}");
        let done = place.line(&kept).expect(0);
        assert!(done.stderr.contains("already there"), "{given}: {}", done.stderr);
    }
}

#[test]
fn what_will_be_made_is_described_without_a_server() {
    let place = Workplace::new();
    write_directory(&place.path().join("openai"), &neighbours(20));
    let describe = "setup --describe --index HNSW --metric IP --uri http://127.0.0.1:1";
    let file = format!("{describe} --dataset file:openai");
    let text = place.line(&file).expect(0).stdout;
    for part in [
        "Dataset file-",
        "-dim16, 600 rows; counted over all rows",
        "  id           Int64            0 to 599, median 299, mean 299.50\n",
        "  vector       float32 × 16     mean length 1.000\n",
        "41 of 41 read `category` or `price`, which this dataset lacks",
        "Index         HNSW M=16 efConstruction=200, IP\n",
        "On the wire   ",
        "In memory     ",
    ] {
        assert!(text.contains(part), "`{part}` in {text}");
    }
    let description = place.line(&format!("{file} --format json")).expect(0).json();
    assert_eq!((&description["rows"], &description["exact"]), (&json!(ROWS), &json!(true)));
    assert_eq!(description["fields"][1]["name"], "vector");
    assert_eq!(description["filters"][0]["matching_rows"], Value::Null);
    let vector_bytes = (ROWS * DIMENSION * 4) as u64;
    assert!(description["wire_bytes"].as_u64().unwrap() > vector_bytes, "{description}");
    assert!(description["memory"]["index"]["bytes"].as_u64().unwrap() > vector_bytes, "{description}");

    let text = place.line(&format!("{describe} --num-vectors 2000000 --dimension 8")).expect(0).stdout;
    for part in ["2000000 rows; estimated from 1048576 rows, evenly spread", "category == \"electronics\""] {
        assert!(text.contains(part), "`{part}` in {text}");
    }
    let description =
        place.line(&format!("{describe} --num-vectors 2000 --dimension 8 --format json")).expect(0).json();
    let electronics = &description["filters"][0];
    assert_eq!(electronics["filter"], "category == \"electronics\"");
    let share = electronics["selectivity"].as_f64().unwrap();
    assert_eq!(electronics["matching_rows"], (share * 2_000.0).round() as u64);
    assert!(share > 0.1 && share < 0.3, "a fifth of the rows: {share}");
}
