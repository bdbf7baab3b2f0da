//! Runs of two servers held against each other, from the command line.

use crate::support::{Done, SandboxProcess, Workplace};

/// Long enough that one bad second of a busy host leaves a difference of ten times certain.
const LENGTH: &str = "15s";

/// A run against a sandbox with that delay; its directory and whether it is valid.
fn run(place: &Workplace, delay: &str, name: &str, rate: u32) -> (String, bool) {
    let sandbox = SandboxProcess::start(&["--latency", delay]);
    let uri = &sandbox.uri;
    place.line(&format!("setup --uri {uri} --num-vectors 500 --dimension 16 --settle 0s")).expect(0);
    let done =
        place.line(&format!("run --uri {uri} --rate {rate} -t {LENGTH} --name {name} --format json")).ran();
    let summary = done.json();
    let id = summary["run"]["id"].as_str().unwrap();
    (format!("data/runs/{id}"), summary["verdict"] != "invalid")
}

#[test]
fn a_slower_server_is_a_regression_and_other_work_is_no_comparison() {
    let place = Workplace::new();
    let (before, before_valid) = run(&place, "fixed:5ms", "before", 60);
    let (after, after_valid) = run(&place, "fixed:60ms", "after", 60);
    let (other, other_valid) = run(&place, "fixed:5ms", "other", 30);
    let compare = |new: &str, more: &str| -> Done {
        place.line(&format!("analyze compare --base {before} --new {new} --format json {more}"))
    };
    // On a host that is too busy to make the load the runs are invalid, and must be refused.
    if before_valid && after_valid {
        let done = compare(&after, "").expect(4);
        assert!(done.stderr.contains("Verdict: regressed") && done.stderr.contains("comparison.html"));
        let comparison = done.json();
        assert_eq!(comparison["verdict"], "regressed");
        let p50 = &comparison["groups"][0]["figures"][2];
        assert_eq!((&p50["figure"], &p50["word"]), (&"p50".into(), &"regressed".into()));
        compare(&after, "--fail-on p50>3000%").expect(0);
        let broken = compare(&after, "--fail-on p50>100%").expect(4);
        assert!(broken.stderr.contains("✗ broken"), "{}", broken.stderr);
        compare("data/runs/none", "").expect(2).says(&["neither a run directory nor a baseline"]);
    } else {
        compare(&after, "").expect(5).says(&["is invalid"]);
    }
    if before_valid && other_valid {
        compare(&other, "").expect(2).says(&["work_key", "--allow-difference"]);
        let done = compare(&other, "--allow-difference work_key --fail-on p50>3000%").expect(0);
        assert_eq!(done.json()["unlike"][0]["key"], "work_key");
    }
    compare(&after, "--fail-on p42>1%").expect(2).says(&["`p42` is not compared"]);
    compare(&after, "--allow-difference weather").expect(2).says(&["`weather`"]);
    place.line("analyze compare --new x").expect(2);
}

#[test]
fn a_run_ends_with_the_comparison_with_its_baseline() {
    let place = Workplace::new();
    let (before, valid) = run(&place, "fixed:5ms", "before", 60);
    place.line("baseline set a/b data/runs/none").expect(2).says(&["data/runs/none"]);
    let set = place.line(&format!("baseline set main {before}"));
    let baseline = if valid {
        set.expect(0);
        let shown = place.line("baseline show main").expect(0);
        assert_eq!(shown.stdout.trim(), before);
        assert!(place.line("baseline show").expect(0).stdout.starts_with("main\t"));
        "main"
    } else {
        // On a host that is too busy to make the load nothing can be held against that run.
        set.expect(5).says(&["is invalid"]);
        before.as_str()
    };

    let sandbox = SandboxProcess::start(&["--latency", "fixed:60ms"]);
    let uri = &sandbox.uri;
    place.line(&format!("setup --uri {uri} --num-vectors 500 --dimension 16 --settle 0s")).expect(0);
    let again = |more: &str| place.line(&format!("run --uri {uri} -t {LENGTH} --name after {more}"));
    let known = if valid { "there are main" } else { "neither a run directory nor a baseline" };
    again("--rate 60 --baseline next").expect(2).says(&["`next`", known]);
    again("--rate 60 --fail-on p50>5%").expect(2).says(&["--baseline"]);
    let shard = "--shard 0/2 --run-id r --start-at 2026-05-01T12:30:00Z";
    again(&format!("--rate 60 --baseline {baseline} {shard}"))
        .expect(2)
        .says(&["shard 0/2 alone cannot be compared", "squall analyze compare"]);
    if !valid {
        let refused = again(&format!("--rate 60 --baseline {baseline}")).expect(2);
        refused.says(&["the baseline cannot be used", "is invalid"]);
        assert_eq!(runs(&place), 1, "nothing was sent");
        return;
    }
    again("--rate 30 --baseline main").expect(2).says(&["would not be like its baseline", "work_key: "]);
    let other = "--num-vectors 500 --dimension 16 --seed 7 --settle 0s --collection-name other";
    place.line(&format!("setup --uri {uri} {other}")).expect(0);
    again("--rate 60 --baseline main --collection-name other").expect(2).says(&["dataset: "]);
    let larger = "--num-vectors 600 --dimension 16 --settle 0s --collection-name larger";
    place.line(&format!("setup --uri {uri} {larger}")).expect(0);
    let refused = again("--rate 60 --baseline main --collection-name larger").expect(2);
    refused.says(&["would not be like its baseline", "rows: 500 (base), 600 (new)"]);
    again("--rate 60 --baseline main --fail-on p99(unheard)>5%").expect(2).says(&["`unheard`"]);
    assert_eq!(runs(&place), 1, "nothing was sent");
    let done = again("--rate 60 --baseline main --markdown run.md");
    let markdown = std::fs::read_to_string(place.path().join("run.md")).unwrap();
    if done.code == Some(5) {
        assert!(done.stderr.contains("is not compared"), "{}", done.stderr);
        assert!(markdown.contains(": invalid"), "{markdown}");
    } else {
        assert!(done.expect(4).stderr.contains("Verdict: regressed"));
        assert!(markdown.contains("#### Against the baseline\n\n**❌ regressed: "), "{markdown}");
    }
}

#[test]
fn a_baseline_is_a_run_that_others_can_be_compared_with() {
    let place = Workplace::new();
    let (before, valid) = run(&place, "fixed:5ms", "before", 60);
    let path = place.path().join(&before).join("run.json");
    let whole: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let set_with = |change: fn(&mut serde_json::Value)| {
        let mut record = whole.clone();
        change(&mut record);
        std::fs::write(&path, record.to_string()).unwrap();
        place.line(&format!("baseline set main {before}"))
    };
    set_with(|record| record["state"] = "failed".into()).expect(2).says(&["failed", "name a run that ended"]);
    set_with(|record| record["totals"]["dropped_rows"] = 3.into())
        .expect(5)
        .says(&["is invalid", "dropped_rows"]);
    let shard = set_with(|record| record["shard"] = serde_json::json!({ "index": 1, "count": 3 })).expect(2);
    shard.says(&["is shard 1 of 3", "name the directories of all 3 shards"]);
    assert!(!place.path().join("data/baselines.toml").exists(), "none of them is one");
    set_with(|_| ()).expect(if valid { 0 } else { 5 });
}

fn runs(place: &Workplace) -> usize {
    std::fs::read_dir(place.path().join("data/runs")).unwrap().count()
}

#[test]
fn an_interrupted_run_whose_figures_are_not_the_servers_is_exit_code_five() {
    let place = Workplace::new();
    let (before, valid) = run(&place, "fixed:5ms", "before", 60);
    let path = place.path().join(&before).join("run.json");
    let rewrite = |dropped: u64| {
        let mut record: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        record["state"] = "interrupted".into();
        record["totals"]["dropped_rows"] = dropped.into();
        std::fs::write(&path, record.to_string()).unwrap();
    };
    rewrite(0);
    place.line(&format!("analyze {before}")).expect(if valid { 0 } else { 5 });
    rewrite(3);
    let done = place.line(&format!("analyze {before} --format json")).expect(5);
    assert_eq!(done.json()["run"]["state"], "interrupted");
}
