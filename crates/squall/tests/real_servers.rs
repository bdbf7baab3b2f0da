//! The same three commands on Milvus 2.3.5, on Milvus Lite and on the sandbox, with only `--uri` changed.

use serde_json::{Value, json};
use squall_core::schema::Transport;
use squall_core::vector_type::VectorType;
use squall_core::workload::{QueryKind, QueryVectors, Workload};
use squall_milvus::Endpoint;
use squall_milvus::admin::Admin;
use squall_milvus::encode::SearchSpec;

use crate::support::{SandboxProcess, Workplace, python, real_part};

const DIMENSION: u32 = 64;
const ROWS: u32 = 4_000;
const QUERIES: u32 = 100;

/// Sets up, compares searches with pymilvus, runs, and gives back the run's summary.
fn the_three_commands(uri: &str, collection: &str, interpreter: &str, runs: &[&str]) -> Vec<Value> {
    let place = Workplace::new();
    let server = format!("--uri {uri} --collection-name {collection}");
    let setup = format!("setup {server} --num-vectors {ROWS} --dimension {DIMENSION} --settle 2s");
    let report = place.line(&format!("{setup} --drop-existing --format json")).expect(0).json();
    assert_eq!((&report["outcome"], &report["rows"]), (&json!("created"), &json!(ROWS)));
    let done = place.line(&setup).expect(0);
    assert!(done.stderr.contains("already there"), "{}", done.stderr);

    same_as_pymilvus(uri, collection, interpreter, &place);

    let mut summaries = Vec::new();
    for (number, words) in runs.iter().enumerate() {
        let summary =
            place.line(&format!("run {server} --name r{number} --format json {words}")).ran().json();
        assert_eq!(summary["totals"]["failures"], 0, "{summary}");
        assert!(summary["totals"]["response_ms"]["p50"].as_f64().is_some_and(|p50| p50 > 0.0));
        summaries.push(summary);
    }
    for entry in std::fs::read_dir(place.path().join("data/runs")).into_iter().flatten() {
        let run = entry.unwrap().path();
        place.line(&format!("analyze {}", run.display())).ran();
    }
    summaries
}

/// The workload's first queries give the same hits here and in pymilvus, with and without filter.
fn same_as_pymilvus(uri: &str, collection: &str, interpreter: &str, place: &Workplace) {
    let workload = Workload::reference(42, DIMENSION);
    let vectors = QueryVectors::new(&workload).unwrap();
    let mut queries = Vec::new();
    for number in 0..QUERIES {
        let (kind, filter) = match number % 3 {
            0 => (QueryKind::Common, None),
            1 => (QueryKind::Rare, None),
            _ => (
                QueryKind::Filtered,
                Some(workload.filters[usize::from(workload.pair_filter(number))].to_string()),
            ),
        };
        let mut vector = vec![0.0; DIMENSION as usize];
        vectors.vector(kind, number, &mut vector);
        queries.push((vector, filter));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ours: Vec<Vec<i64>> = runtime.block_on(async {
        let endpoint = Endpoint::new(uri, None, None).unwrap();
        let admin = Admin::connect(&endpoint, Transport::Grpc).await.unwrap();
        let mut answers = Vec::new();
        for (vector, filter) in &queries {
            let spec = SearchSpec {
                vector_field: "vector",
                vector_type: VectorType::Float32,
                metric: None,
                filter: filter.as_deref(),
                limit: 10,
                params: None,
                consistency: None,
                output_fields: &["id".to_owned()],
            };
            answers.push(admin.search(collection, &spec, vector).await.unwrap().ids);
        }
        answers
    });
    let file = place.path().join("queries.json");
    let written: Vec<Value> =
        queries.iter().map(|(vector, filter)| json!({"vector": vector, "filter": filter})).collect();
    std::fs::write(&file, serde_json::to_string(&written).unwrap()).unwrap();
    let theirs = python(interpreter, "search.py", &[uri, collection, file.to_str().unwrap()]);
    let theirs: Vec<Vec<i64>> = serde_json::from_value(theirs).unwrap();
    assert_eq!(ours.len(), theirs.len());
    for (number, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        assert_eq!(ours, theirs, "query {number} with filter {:?}", queries[number].1);
    }
    assert!(ours.iter().filter(|ids| ids.len() == 10).count() >= 70, "most queries find ten");
}

const OPEN: &str = "--rate 50 --arrivals even -t 4s";
const CLOSED: &str = "-u 5 -r 50 -t 4s";

#[test]
fn milvus_2_3_5_from_setup_to_report() {
    let name = "milvus_2_3_5_from_setup_to_report";
    let Some(uri) = real_part("SQUALL_TEST_MILVUS_URI", name) else { return };
    let Some(metrics) = real_part("SQUALL_TEST_MILVUS_METRICS", name) else { return };
    let Some(interpreter) = real_part("SQUALL_TEST_PYTHON", name) else { return };
    let collection = "squall_program_test";
    the_three_commands(&uri, collection, &interpreter, &[]);

    // The server's own counter sees as many searches as there are rows.
    let place = Workplace::new();
    let run = |words: &str, number: usize| {
        let before = searches(&metrics);
        let line =
            format!("run --uri {uri} --collection-name {collection} --name c{number} --format json {words}");
        let summary = place.line(&line).ran().json();
        let rows: u64 =
            python(&interpreter, "count_rows.py", &[run_named(&place, &format!("c{number}")).as_str()])
                .as_u64()
                .unwrap();
        assert_eq!(searches(&metrics) - before, rows, "rows and milvus_proxy_req_count");
        (summary, rows)
    };
    let (open, rows) = run(OPEN, 0);
    assert_eq!((open["totals"]["requests"].as_u64().unwrap(), rows), (200, 200));
    assert_eq!(open["totals"]["failures"], 0);
    let (closed, rows) = run(CLOSED, 1);
    assert!(closed["totals"]["requests"].as_u64().unwrap() <= rows);
    assert_eq!(closed["run"]["server"]["protocol"], "grpc");
    assert_eq!(closed["run"]["dataset"], format!("reference-v1-seed42-dim{DIMENSION}"));
    assert!(closed["run"]["index"].as_str().unwrap().starts_with("IVF_FLAT"), "{closed}");
    // 2.3.5 has REST v1 only, which can search and not seed.
    let (rest, _) = run(&format!("{OPEN} --transport rest"), 2);
    assert_eq!(rest["run"]["server"]["protocol"], "rest-v1");
    assert_eq!(rest["totals"]["requests"], 200);
    assert_eq!(rest["totals"]["failures"], 0);
    let done = place.line(&format!(
        "setup --uri {uri} --transport rest --collection-name other --num-vectors 10 --dimension 8"
    ));
    done.expect(1).says(&["--transport grpc"]);
}

fn run_named(place: &Workplace, name: &str) -> String {
    let runs = std::fs::read_dir(place.path().join("data/runs")).unwrap();
    let paths = runs.map(|entry| entry.unwrap().path().to_string_lossy().into_owned());
    paths
        .into_iter()
        .find(|path| path.ends_with(&format!("-{name}")))
        .unwrap_or_else(|| panic!("no run {name}"))
}

/// Searches that the proxy has counted so far.
fn searches(metrics: &str) -> u64 {
    let output = std::process::Command::new("curl").args(["-sf", metrics]).output().expect("curl is there");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find(|line| {
        line.starts_with("milvus_proxy_req_count{")
            && line.contains("\"Search\"")
            && line.contains("status=\"total\"")
    });
    line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64)
}

#[test]
fn milvus_lite_from_setup_to_report() {
    let name = "milvus_lite_from_setup_to_report";
    let Some(uri) = real_part("SQUALL_TEST_MILVUS_LITE_URI", name) else { return };
    let Some(interpreter) = real_part("SQUALL_TEST_PYTHON", name) else { return };
    let summaries = the_three_commands(&uri, "squall_program_test", &interpreter, &[OPEN, CLOSED]);
    assert_eq!(summaries[0]["totals"]["requests"], 200);
}

#[test]
fn the_sandbox_from_setup_to_report() {
    let Some(interpreter) = real_part("SQUALL_TEST_PYTHON", "the_sandbox_from_setup_to_report") else {
        return;
    };
    let sandbox = SandboxProcess::start(&[]);
    let rest = format!("{OPEN} --transport rest");
    let summaries =
        the_three_commands(&sandbox.uri, "squall_program_test", &interpreter, &[OPEN, CLOSED, &rest]);
    assert_eq!(summaries[2]["run"]["server"]["protocol"], "rest-v2");
}
