//! Ground truth against faiss' exact index: the same sets, in the same order.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use squall_core::dataset::Dataset;
use squall_core::schema::Metric;
use squall_core::workload::{QueryKind, QueryVectors, Workload};
use squall_setup::truth::ground_truth;
use tokio_util::sync::CancellationToken;

const ROWS: u64 = 20_000;
const DIMENSION: u32 = 96;
const NEIGHBOURS: u32 = 50;

/// `SQUALL_TEST_PYTHON` names a Python that has faiss; without it, it is said that the test was skipped.
fn python() -> Option<std::ffi::OsString> {
    let python = std::env::var_os("SQUALL_TEST_PYTHON");
    if python.is_none() {
        let line = "SKIPPED truth_is_what_faiss_finds: SQUALL_TEST_PYTHON is not set";
        println!("{line}");
        if let Some(file) = std::env::var_os("SQUALL_TEST_SKIPPED_FILE") {
            let mut file = std::fs::OpenOptions::new().append(true).create(true).open(file).unwrap();
            writeln!(file, "{line}").unwrap();
        }
    }
    python
}

fn floats(path: PathBuf, values: &[f32]) {
    std::fs::write(path, values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>()).unwrap();
}

#[test]
fn truth_is_what_faiss_finds() {
    let Some(python) = python() else { return };
    let workload = Workload {
        hot_queries: 300,
        filtered_pairs: 0,
        rare_queries: 0,
        ..Workload::reference(7, DIMENSION)
    };
    let dataset = Dataset::reference(7, DIMENSION).unwrap();
    let cancel = CancellationToken::new();
    let truth = ground_truth(&dataset, ROWS, &workload, Metric::L2, NEIGHBOURS, 2, &|_| {}, &cancel).unwrap();

    let directory = tempfile::tempdir().unwrap();
    let mut rows = vec![0.0; ROWS as usize * DIMENSION as usize];
    dataset.vectors(0, &mut rows).unwrap();
    floats(directory.path().join("rows.f32"), &rows);
    let vectors = QueryVectors::new(&workload).unwrap();
    let (mut queries, mut ids) = (Vec::new(), Vec::new());
    let mut vector = vec![0.0; DIMENSION as usize];
    for query in 0..workload.hot_queries {
        vectors.vector(QueryKind::Common, query, &mut vector);
        queries.extend_from_slice(&vector);
        let answer = truth.answer(QueryKind::Common, query).unwrap();
        ids.extend(answer.ids[..NEIGHBOURS as usize].iter().flat_map(|id| id.to_le_bytes()));
    }
    floats(directory.path().join("queries.f32"), &queries);
    std::fs::write(directory.path().join("ids.i64"), ids).unwrap();

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../xtask/python/faiss_truth.py");
    let shape = [DIMENSION, NEIGHBOURS].map(|number| number.to_string());
    let output = Command::new(python).arg(script).arg(directory.path()).args(shape).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&found["different"], &found["disordered"]), (&0.into(), &0.into()), "{found}");
}
