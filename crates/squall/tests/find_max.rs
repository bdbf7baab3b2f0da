//! `squall run --find-max` against a sandbox whose capacity is known.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;

use crate::support::{Done, SandboxProcess, Workplace};

/// A tenth of each time: steps of 1.5 s and more.
const PACE: &str = "--find-max-pace 0.1";

fn fill(place: &Workplace, uri: &str) {
    place.line(&format!("setup --uri {uri} --num-vectors 500 --dimension 16 --settle 0s")).expect(0);
}

#[test]
fn the_knee_of_a_server_with_twenty_slots_is_found() {
    let place = Workplace::new();
    // 20 ÷ 100 ms = 200/s; at such times a busy machine delays the generator by little.
    let sandbox = SandboxProcess::start(&["--engine", "null", "--slots", "20", "--latency", "fixed:100ms"]);
    let uri = &sandbox.uri;
    fill(&place, uri);
    let words = format!(
        "run --uri {uri} --rate 50 --arrivals even --class hot=common:1:10 --name knee {PACE} --format json --find-max"
    );
    let mut words: Vec<&str> = words.split_whitespace().collect();
    words.push("p95 < 400ms");
    let done = Done::from(place.squall(words).output().unwrap());
    let found: Value = done.json();
    let steps = found["steps"].as_array().unwrap();
    assert!(!steps.is_empty());
    for step in steps {
        let run = place.path().join(step["run"].as_str().unwrap());
        assert!(run.join("run.json").is_file() && run.join("summary.json").is_file(), "{step}");
    }
    let passed = found["highest_passed"].as_f64();
    // More than the server can serve never passes, whatever this machine is busy with.
    assert!(passed.is_none_or(|passed| passed < 230.0), "{found}");
    let reports = place.path().join("reports");
    let page = std::fs::read_dir(reports)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.file_name().unwrap().to_string_lossy().starts_with("find-max-"))
        .unwrap();
    for file in ["find-max.html", "find-max.json", "latency-over-rate.png", "latency-over-rate.svg"] {
        assert!(page.join(file).is_file(), "{file}");
    }
    let kept = std::fs::read_dir(place.path().join("data/find-max")).unwrap().count();
    assert_eq!(kept, 1);
    // On a machine that is busy with other tests the generator may be the limit, which is then said.
    if done.code == Some(5) {
        assert_eq!(found["found"], "at_least");
        assert!(done.stderr.contains("the generator was the limit"), "{}", done.stderr);
        return;
    }
    let done = done.expect(0);
    assert_eq!(found["found"], "knee");
    let failed = found["lowest_failed"].as_f64().unwrap();
    assert!(passed.unwrap() > 100.0 && failed <= passed.unwrap() * 1.0501, "{found}");
    assert_eq!(steps.last().unwrap()["confirms"], true);
    assert!(done.stderr.contains("confirmed, and no longer at"), "{}", done.stderr);
}

#[test]
fn a_bound_that_no_rate_holds_is_a_missed_target() {
    let place = Workplace::new();
    let sandbox = SandboxProcess::start(&["--engine", "null", "--latency", "fixed:20ms"]);
    fill(&place, &sandbox.uri);
    let words = format!("run --uri {} --rate 300 {PACE} --arrivals even --find-max", sandbox.uri);
    let mut words: Vec<&str> = words.split_whitespace().collect();
    words.push("p50 < 5ms");
    let done = Done::from(place.squall(words.iter()).output().unwrap());
    if done.code != Some(5) {
        let done = done.expect(3);
        assert!(done.stderr.contains("holds at no rate"), "{}", done.stderr);
    }
}

#[test]
fn what_was_found_before_the_server_went_away_is_kept() {
    let place = Workplace::new();
    let sandbox = SandboxProcess::start(&["--engine", "null", "--latency", "fixed:5ms"]);
    fill(&place, &sandbox.uri);
    let line = format!("run --uri {} --rate 50 {PACE} --arrivals even --find-max", sandbox.uri);
    let mut words: Vec<&str> = line.split_whitespace().collect();
    words.push("p50 < 500ms");
    let mut run = place.squall(words).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(run.stderr.take().unwrap()).lines().map(Result::unwrap);
    // The line of the first step's result: the second step's checks find no server.
    assert!(lines.any(|line| line.trim_start().starts_with("50.0/s: ")), "the first step ends");
    sandbox.kill();
    let rest: Vec<String> = lines.collect();
    assert_eq!(run.wait().unwrap().code(), Some(1), "{rest:?}");
    assert!(rest.iter().any(|line| line.starts_with("Result:  broken off (")), "{rest:?}");
    assert!(rest.last().unwrap().starts_with("error: "), "{rest:?}");
    let kept = std::fs::read_dir(place.path().join("data/find-max")).unwrap().next().unwrap().unwrap().path();
    let found: Value = serde_json::from_slice(&std::fs::read(kept).unwrap()).unwrap();
    assert!(!found["steps"].as_array().unwrap().is_empty() && found["error"].is_string(), "{found}");
}

#[test]
fn what_the_environment_says_of_users_yields_to_the_search() {
    let place = Workplace::new();
    let mut command = place.squall(["run", "--find-max", "p99 < 5ms", "--dry-run"]);
    let done = Done::from(command.env("USERS", "50").output().unwrap()).expect(0);
    assert!(done.stderr.contains("USERS has no effect beside --find-max"), "{}", done.stderr);
}

#[test]
fn a_target_for_the_rate_is_left_out_of_a_searchs_steps() {
    let place = Workplace::new();
    let words = ["run", "--find-max", "p99 < 5ms", "--target", "qps(common) > 50", "--dry-run"];
    let mut command = place.squall(words);
    let done = Done::from(command.env("TARGET_QPS", "1000").env("TARGET_P50_MS", "3").output().unwrap());
    let done = done.expect(0);
    for target in ["qps >= 1000", "qps(common) > 50"] {
        let note = format!("the target {target} has no effect beside --find-max");
        assert!(done.stderr.contains(&note), "{}", done.stderr);
    }
    assert!(!done.stdout.contains("target    qps"), "{}", done.stdout);
    assert!(done.stdout.contains("p50 < 3ms (binding)"), "other targets stay: {}", done.stdout);
}

#[test]
fn what_cannot_be_searched_is_refused_before_anything_is_sent() {
    let place = Workplace::new();
    let refused = |words: &[&str], parts: &[&str]| {
        let all = ["run"].iter().chain(words).copied();
        Done::from(place.squall(all).output().unwrap()).expect(2).says(parts);
    };
    refused(&["--find-max", "qps >= 100"], &["--find-max", "not a bound that a higher rate breaks"]);
    refused(&["--find-max", "p99"], &["--find-max"]);
    refused(&["--find-max", "p99(hot) < 5ms"], &["names the class `hot`"]);
    refused(&["--find-max", "p99 < 5ms", "-u", "5"], &["-u", "contradicts --find-max"]);
    refused(&["--find-max", "p99 < 5ms", "--stages", "1m:5"], &["--stages contradicts --find-max"]);
    refused(
        &["--find-max", "p99 < 5ms", "--shard", "0/2", "--run-id", "r", "--start-at", "2026-05-01T12:30:00Z"],
        &["--shard contradicts --find-max"],
    );
    let dry = ["run", "--find-max", "p99 < 5ms", "--rate", "700", "--dry-run"];
    let done = Done::from(place.squall(dry).output().unwrap()).expect(0);
    assert!(
        done.stdout.contains("open loop: 700/s") && done.stdout.contains("p99 < 5ms (binding)"),
        "{}",
        done.stdout
    );
}
