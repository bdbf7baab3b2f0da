//! The history from the command line: labels, imports, and what leaves the exit code.

use std::fs;

use crate::support::Workplace;

/// k6's lines: 200 requests of 10 ms and upwards, in 20 s from a time.
fn k6_file(from: u64, factor: f64) -> String {
    let mut text = String::from("metric_name,timestamp,metric_value,expected_response,name,scenario\n");
    for number in 0..200_u64 {
        let ms = (10.0 + number as f64 / 10.0) * factor;
        text.push_str(&format!("http_req_duration,{},{ms},true,search,default\n", from + number / 10));
    }
    text
}

#[test]
fn what_k6_measured_is_followed_and_not_compared() {
    let place = Workplace::new();
    for night in 0..16_u64 {
        let slower = if night >= 10 { 1.5 } else { 1.0 };
        fs::write(
            place.path().join("k6.csv"),
            k6_file(1_760_000_000 + night * 86_400, slower + (night * 7 % 5) as f64 / 1e4),
        )
        .unwrap();
        let label = format!("--label build={}", if night >= 10 { 8 } else { 7 });
        let done = place.line(&format!("analyze import k6 k6.csv --name nightly {label}")).expect(0);
        assert!(done.stderr.contains("imported 200 requests that k6 measured"), "{}", done.stderr);
    }
    let trend = |more: &str| place.line(&format!("analyze trend --format json {more}"));
    let done = trend("--metric p50,p99,qps").expect(4);
    assert!(done.stderr.contains("imported from k6, aggregates without rows"), "{}", done.stderr);
    assert!(done.stderr.contains("build 7 → 8"), "{}", done.stderr);
    let history = done.json();
    assert_eq!(history["series"][0]["imported_from"], "k6");
    assert_eq!(history["series"][0]["metrics"][0]["changes"][0]["at"], 10);
    assert_eq!(trend("--where build=8").expect(0).json()["series"][0]["runs"].as_array().unwrap().len(), 6);
    assert_eq!(trend("--since 1d").expect(0).json()["series"].as_array().unwrap().len(), 0);
    trend("--window 3").expect(0);
    trend("--metric p99(serch)").expect(2).says(&["class `serch`", "they have search"]);
    trend("--where brnch=main").expect(2).says(&["label `brnch`", "they have ", "build"]);
    trend("--where build=9").expect(2).says(&["label `build=9`", "they have 7, 8"]);
    let run = history["series"][0]["metrics"][0]["changes"][0]["run"].as_str().unwrap().to_owned();
    place.line(&format!("analyze trend accept {run} --reason intended")).expect(0);
    trend("").expect(0);

    let runs = format!("--base data/runs/{run} --new data/runs/{run}");
    place.line(&format!("analyze compare {runs}")).expect(2).says(&["what k6 measured", "aggregates"]);
    let aggregates = "was imported from k6: it has aggregates and no rows";
    place.line(&format!("analyze data/runs/{run}")).expect(2).says(&[aggregates, "squall analyze trend"]);
    place
        .line(&format!("baseline set main data/runs/{run}"))
        .expect(2)
        .says(&[aggregates, "that Squall made"]);
    let wide = place.line("analyze trend --margin 60").expect(0);
    assert!(!wide.stderr.contains("regressed"), "+50 % is within it: {}", wide.stderr);
    place.line("analyze import k6 none.csv").expect(1).says(&["none.csv"]);
    fs::write(place.path().join("odd.csv"), "a,b\n").unwrap();
    place.line("analyze import k6 odd.csv").expect(2).says(&["is not what k6 writes"]);
    place.line("analyze import locust odd").expect(1).says(&["odd_stats.csv"]);
    place.line("analyze import k6 k6.csv --label x").expect(2).says(&["KEY=VALUE"]);
}

#[test]
fn a_change_is_accepted_by_the_name_that_trend_has_for_it() {
    let place = Workplace::new();
    for directory in ["20260501T120000Z-night-s0of2", "20260501T120000Z-night-s1of2", "20260502T120000Z-day"]
    {
        fs::create_dir_all(place.path().join("data/runs").join(directory)).unwrap();
    }
    let accept = |run: &str| place.line(&format!("analyze trend accept {run} --metric p99"));
    accept("20260501T120000Z-night").expect(0);
    accept("data/runs/20260501T120000Z-night-s1of2").expect(0);
    accept("20260502T120000Z-day").expect(0);
    accept("20260503T120000Z-night").expect(2).says(&["there is no run `20260503T120000Z-night`"]);
    let listed = fs::read_to_string(place.path().join("data/accepted.toml")).unwrap();
    assert_eq!(listed.matches("run = \"20260501T120000Z-night\"").count(), 2, "{listed}");
    assert_eq!(listed.matches("[[change]]").count(), 3, "{listed}");
}

#[test]
fn a_run_in_ci_is_labelled_with_what_it_builds() {
    let place = Workplace::new();
    let mut command = place.squall("run --dry-run --uri http://127.0.0.1:1 --label build=mine".split(' '));
    command.env("GITHUB_ACTIONS", "true").env("GITHUB_SHA", "0123abc").env("GITHUB_REF_NAME", "main");
    let output = command.env("GITHUB_RUN_NUMBER", "7").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("Labels: build=mine, commit=0123abc, branch=main\n"), "{text}");
}
