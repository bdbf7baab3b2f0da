//! setup, run and analyze on the sandbox: what they count agrees everywhere.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::{SandboxProcess, Workplace, python, real_part};

/// The sandbox's log: outcome of each search.
fn log_outcomes(log: &std::path::Path) -> BTreeMap<String, u64> {
    let text = std::fs::read_to_string(log).unwrap();
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let column = header.iter().position(|name| *name == "outcome").unwrap();
    let mut outcomes = BTreeMap::new();
    for line in lines {
        *outcomes.entry(line.split(',').nth(column).unwrap().to_owned()).or_default() += 1;
    }
    outcomes
}

/// Whether the target of that text is met.
fn met(summary: &Value, target: &str) -> Value {
    let targets = summary["targets"].as_array().unwrap();
    targets
        .iter()
        .find(|result| result["target"] == target)
        .unwrap_or_else(|| panic!("{target} in {targets:?}"))["met"]
        .clone()
}

fn all_requests(summary: &Value) -> u64 {
    summary["totals"]["outcomes"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum()
}

#[test]
fn counts_agree_between_plan_rows_summary_and_server() {
    for transport in ["grpc", "rest"] {
        let place = Workplace::new();
        let log = place.path().join("sandbox.csv");
        let sandbox = SandboxProcess::start(&["--log", log.to_str().unwrap()]);
        let uri = &sandbox.uri;
        let done = place
            .line(&format!("setup --uri {uri} --transport {transport} --num-vectors 2000 --dimension 32 --settle 0s --format json"))
            .expect(0);
        assert_eq!(done.json()["rows"], 2000);
        let done = place
            .line(&format!("run --uri {uri} --transport {transport} --rate 100 --arrivals even -t 4s --format json --csv out/locust --html out/report.html"))
            .ran();
        let summary = done.json();
        assert_eq!(summary["totals"]["requests"], 400, "{transport}: 100/s for 4 s");
        assert_eq!(all_requests(&summary), 400);
        assert_eq!(summary["totals"]["failures"], 0);
        for (class, limit) in [("common", 300), ("filtered", 100), ("rare", 60)] {
            let requests = summary["classes"][class]["requests"].as_u64().unwrap();
            assert!(requests > 0 && requests < limit, "{class}: {requests}");
        }
        drop(sandbox);
        let served: u64 = log_outcomes(&log).values().sum();
        assert_eq!(served, 400, "{transport}: the server's own count");

        let run = place.only_run();
        for file in ["run.json", "summary.json", "generator.parquet", "requests"] {
            assert!(run.join(file).exists(), "{file}");
        }
        let report = place.path().join("reports").join(run.file_name().unwrap());
        assert!(report.join("report.html").is_file() && report.join("summary.json").is_file());
        let pngs = std::fs::read_dir(&report).unwrap().filter(|entry| {
            entry.as_ref().unwrap().path().extension().is_some_and(|extension| extension == "png")
        });
        assert!(pngs.count() >= 4);
        for suffix in ["stats", "stats_history", "failures", "exceptions"] {
            assert!(place.path().join(format!("out/locust_{suffix}.csv")).is_file(), "{suffix}");
        }
        let stats = std::fs::read_to_string(place.path().join("out/locust_stats.csv")).unwrap();
        assert!(stats.contains("search,common_query,") && stats.contains("Aggregated,400,0"), "{stats}");
        assert!(place.path().join("out/report.html").is_file());
    }
}

#[test]
fn faults_of_the_server_are_rows_with_their_outcome() {
    let place = Workplace::new();
    let log = place.path().join("sandbox.csv");
    let faults = [
        "--error-rate",
        "0.1",
        "--reject-rate",
        "0.1",
        "--drop-rate",
        "0.05",
        "--log",
        log.to_str().unwrap(),
    ];
    let sandbox = SandboxProcess::start(&faults);
    let uri = &sandbox.uri;
    place.line(&format!("setup --uri {uri} --num-vectors 300 --dimension 16 --settle 0s")).expect(0);
    let done = place
        .line(&format!(
            "run --uri {uri} --rate 200 -t 3s --arrivals even --target error_rate<50% --format json"
        ))
        .ran();
    drop(sandbox);
    let summary = done.json();
    let logged = log_outcomes(&log);
    let outcome = |name: &str| summary["totals"]["outcomes"][name].as_u64().unwrap_or(0);
    let served = |name: &str| logged.get(name).copied().unwrap_or(0);
    assert_eq!(all_requests(&summary), 600);
    assert_eq!(outcome("rejected"), served("rejected"), "{logged:?}");
    assert_eq!(outcome("server_error") + outcome("client_error"), served("error"), "{logged:?}");
    assert!(outcome("rejected") > 20 && outcome("reset") > 5, "{summary}");
    assert_eq!(met(&summary, "error_rate < 50%"), true);
}

#[test]
fn a_missed_binding_target_is_exit_3() {
    let place = Workplace::new();
    let sandbox = SandboxProcess::start(&["--latency", "fixed:20ms"]);
    let uri = &sandbox.uri;
    place.line(&format!("setup --uri {uri} --num-vectors 300 --dimension 16 --settle 0s")).expect(0);
    let done = place.line(&format!("run --uri {uri} --rate 100 -t 3s --target p50<5ms --format json"));
    // An invalid run is exit 5 before it is 3: on a busy machine either may come.
    let summary = done.json();
    assert_eq!(met(&summary, "p50 < 5ms"), false);
    match summary["verdict"].as_str() {
        Some("fail") => assert_eq!(done.code, Some(3)),
        Some("invalid") => assert_eq!(done.code, Some(5)),
        verdict => panic!("{verdict:?}"),
    }
    let p50 = summary["totals"]["service_ms"]["p50"].as_f64().unwrap();
    assert!(p50 >= 20.0, "{p50}");
}

#[test]
fn a_closed_loop_has_its_users_and_no_more_in_flight() {
    let place = Workplace::new();
    let log = place.path().join("sandbox.csv");
    let sandbox = SandboxProcess::start(&["--latency", "fixed:10ms", "--log", log.to_str().unwrap()]);
    let uri = &sandbox.uri;
    place.line(&format!("setup --uri {uri} --num-vectors 300 --dimension 16 --settle 0s")).expect(0);
    let run = format!(
        "run --uri {uri} -u 8 -r 100 -t 3s --think-time 0 --headless -f realistic_workload.py --format json"
    );
    let done = place.line(&run).ran();
    assert!(done.stderr.contains("-f realistic_workload.py has no effect"), "{}", done.stderr);
    drop(sandbox);
    let text = std::fs::read_to_string(&log).unwrap();
    let mut edges: Vec<(u64, i32)> = Vec::new();
    let header: Vec<&str> = text.lines().next().unwrap().split(',').collect();
    let at = |name: &str| header.iter().position(|column| *column == name).unwrap();
    let (received, finished) = (at("received_ns"), at("done_ns"));
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        edges.push((fields[received].parse().unwrap(), 1));
        edges.push((fields[finished].parse().unwrap(), -1));
    }
    edges.sort_unstable();
    let most = edges
        .iter()
        .scan(0, |now, (_, step)| {
            *now += step;
            Some(*now)
        })
        .max()
        .unwrap();
    // The server notes the end of a search just before the client can learn of it.
    assert!((7..=8).contains(&most), "{most} at once with 8 users");
}

#[test]
fn every_row_reads_back_in_duckdb_and_polars() {
    let Some(interpreter) = real_part("SQUALL_TEST_PYTHON", "every_row_reads_back_in_duckdb_and_polars")
    else {
        return;
    };
    let place = Workplace::new();
    let sandbox = SandboxProcess::start(&["--error-rate", "0.05"]);
    let uri = &sandbox.uri;
    place.line(&format!("setup --uri {uri} --num-vectors 300 --dimension 16 --settle 0s")).expect(0);
    // Longer than a part, so that there are several to read.
    let summary =
        place.line(&format!("run --uri {uri} --rate 300 -t 8s --threads 2 --format json")).ran().json();
    let read = python(&interpreter, "read_rows.py", &[place.only_run().to_str().unwrap()]);
    let requests = summary["totals"]["requests"].as_u64().unwrap();
    assert_eq!(read["duckdb"]["rows"], requests);
    assert_eq!(read["polars"]["rows"], requests);
    assert_eq!(read["duckdb"]["distinct_seq"], requests);
    assert_eq!(read["duckdb"]["outcomes"], summary["totals"]["outcomes"]);
    for class in ["common", "filtered", "rare"] {
        assert_eq!(read["duckdb"]["classes"][class], summary["classes"][class]["requests"], "{class}");
        let figure = summary["classes"][class]["response_ms"]["p50"].as_f64().unwrap();
        let numpy = read["numpy"]["p50_ms"][class].as_f64().unwrap();
        assert!((figure - numpy).abs() < 1e-9, "{class}: {figure} here, {numpy} in numpy");
    }
}
