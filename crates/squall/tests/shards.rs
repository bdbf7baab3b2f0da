//! Shards of a run, each a program of its own.

use std::process::{Command, Stdio};

use crate::support::{Done, SandboxProcess, Workplace};

#[test]
fn a_shard_judges_no_target_and_the_run_that_they_make_does() {
    let place = Workplace::new();
    let sandbox = SandboxProcess::start(&["--latency", "fixed:5ms"]);
    let uri = &sandbox.uri;
    place
        .line(&format!("setup --uri {uri} --num-vectors 300 --dimension 16 --settle 0s --ground-truth 0"))
        .expect(0);
    let date = Command::new("date").args(["-u", "-d", "+10 seconds", "+%Y-%m-%dT%H:%M:%SZ"]).output();
    let start_at = String::from_utf8(date.expect("date is there").stdout).expect("it is text");
    let start_at = start_at.trim();
    let shards: Vec<_> = (0..2)
        .map(|index| {
            let line = format!(
                "run --uri {uri} --rate 100 -t 2s --shard {index}/2 --run-id night --start-at {start_at} --format json --target"
            );
            // No answer is there before 5 ms.
            let words = line.split_whitespace().chain(["p50 < 1ms"]);
            place.squall(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
        })
        .collect();
    for shard in shards {
        let done = Done::from(shard.wait_with_output().expect("it ends")).ran();
        let summary = done.json();
        assert_ne!(summary["verdict"], "fail", "{}", summary["targets"]);
        assert_eq!(summary["targets"][0]["met"], serde_json::Value::Null, "{}", summary["targets"]);
    }
    let mut runs: Vec<_> = std::fs::read_dir(place.path().join("data/runs"))
        .expect("there are runs")
        .map(|run| run.expect("an entry").path().display().to_string())
        .collect();
    runs.sort();
    let joined = Done::from(
        place
            .squall(["analyze"].into_iter().chain(runs.iter().map(String::as_str)))
            .output()
            .expect("it starts"),
    );
    // A busy machine makes it invalid, which comes first.
    assert!([Some(3), Some(5)].contains(&joined.code), "{}", joined.stderr);
}
