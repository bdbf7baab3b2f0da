//! The rows as other programs read them, and the figures as numpy makes them.

use std::io::Write;
use std::process::Command;

use squall_analyze::{Options, Outputs, analyze};

use crate::run;
use crate::simulate::Simulation;

/// Reads the run with duckdb and polars, makes the figures with numpy, and compares them exactly
/// with `summary.json`.
const SCRIPT: &str = r#"
import glob, json, sys
import duckdb, numpy, polars
run = sys.argv[1]
parts = run + "/requests/part-*.parquet"
record, summary = json.load(open(run + "/run.json")), json.load(open(run + "/summary.json"))
rows = duckdb.sql(f"select *, class::varchar as c, outcome::varchar as o from '{parts}'").fetchnumpy()
frame = polars.concat([polars.read_parquet(path) for path in sorted(glob.glob(parts))])
assert len(rows["due"]) == len(frame) == record["totals"]["rows"], (len(rows["due"]), len(frame))
for column in ["seq", "due", "ready", "done", "limit", "hits", "bytes_in"]:
    assert numpy.array_equal(numpy.sort(rows[column]), numpy.sort(frame[column].to_numpy())), column
assert frame["sent"].null_count() == numpy.ma.count_masked(rows["sent"])
due = rows["due"]
measured = numpy.zeros(len(due), bool)
for begin, end in record["measured"]:
    measured |= (due >= begin) & (due < end)
answered = numpy.isin(rows["o"].astype(str), ["ok", "short"])
response = rows["done"] - due
compared = 0
groups = {**summary["classes"], "": summary["totals"]}
for name, figures in groups.items():
    own = measured if name == "" else measured & (rows["c"].astype(str) == name)
    assert figures["requests"] == own.sum(), name
    assert figures["failures"] == (own & ~answered).sum(), name
    times = response[own & answered]
    for key, q, least in [("p50", .5, 1), ("p90", .9, 1), ("p95", .95, 1), ("p99", .99, 100), ("p999", .999, 1000)]:
        expected = numpy.quantile(times, q, method="inverted_cdf") / 1e6 if len(times) >= least else None
        assert figures["response_ms"][key] == expected, (name, key, figures["response_ms"][key], expected)
        compared += 1
    assert abs(figures["response_ms"]["mean"] - times.mean() / 1e6) < 1e-9
    outcomes = dict(zip(*[list(x) for x in numpy.unique(rows["o"].astype(str)[own], return_counts=True)]))
    assert figures["outcomes"] == outcomes, (figures["outcomes"], outcomes)
print("compared", compared)
"#;

/// Says that a test did not run, on its output and in the list that the caller keeps.
pub(crate) fn skipped(test: &str, reason: &str) {
    let line = format!("SKIPPED {test}: {reason}");
    println!("{line}");
    if let Ok(path) = std::env::var("SQUALL_TEST_SKIPPED_FILE") {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(file, "{line}").unwrap();
    }
}

#[test]
fn every_row_reads_back_elsewhere_and_numpy_has_the_same_percentiles() {
    let Ok(python) = std::env::var("SQUALL_TEST_PYTHON") else {
        skipped(
            "every_row_reads_back_elsewhere_and_numpy_has_the_same_percentiles",
            "SQUALL_TEST_PYTHON does not name a python with numpy, duckdb and polars",
        );
        return;
    };
    for (seed, failures, rate) in [(1, 0.0, 50.0), (2, 0.01, 777.0), (3, 0.3, 333.3)] {
        let (data, run) = run(&Simulation { seed, failures, rate, ..Simulation::default() });
        let analysis = analyze(run.path(), &Options::default()).unwrap();
        let outputs = Outputs { reports: data.path().join("reports"), ..Outputs::default() };
        analysis.write(&outputs).unwrap();
        let output =
            Command::new(&python).args(["-c", SCRIPT]).arg(run.path()).output().expect("python starts");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(said.trim(), "compared 20");
    }
}
