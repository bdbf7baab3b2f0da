//! `kill -9` of the generator at any moment: what it had written stays, and can be analysed.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use crate::support::{RunProcess, SandboxProcess, Workplace, files_below, kills, logged, moments, rows};

/// Within how much of its load a run is killed.
const LOAD: Duration = Duration::from_secs(12);

/// Older rows must be there.
const KEPT_AFTER_NS: i64 = 5_000_000_000;

/// The server is done a little before the generator knows; more than that on a busy machine.
const ON_ITS_WAY_NS: i64 = 300_000_000;

/// Runs that are killed side by side.
const TOGETHER: usize = 10;

/// Kills a run after that much of its load and looks at what is left.
fn leaves_its_rows(after: Duration) {
    let place = Workplace::new();
    let log = place.path().join("sandbox.csv");
    let sandbox = SandboxProcess::start(&["--log", log.to_str().unwrap()]);
    let uri = &sandbox.uri;
    place
        .line(&format!("setup --uri {uri} --num-vectors 300 --dimension 16 --settle 0s --ground-truth 0"))
        .expect(0);
    let run = format!("run --uri {uri} --rate 150 --arrivals even -t 120s");
    let run = RunProcess::start(place.squall(run.split_whitespace()));
    run.wait_for_the_load();
    std::thread::sleep(after);
    let killed_ns = run.kill();
    drop(sandbox);

    let old_ns = killed_ns - KEPT_AFTER_NS - ON_ITS_WAY_NS;
    let old = logged(&log).iter().filter(|line| line.done_ns <= old_ns).count();
    let run = place.only_run();
    let rows = rows(&run);
    let parts = files_below(&run.join("requests"))
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "parquet"))
        .count();
    println!("killed after {after:.2?}: {old} rows must be there, {} are, in {parts} parts", rows.len());
    assert!(rows.len() >= old, "{} rows of {old}", rows.len());
    let seqs: BTreeSet<u64> = rows.iter().map(|row| row.seq).collect();
    assert_eq!(seqs.len(), rows.len(), "no row is there twice");
    // Answers overtake each other by a few.
    let sure = (old as u64).saturating_sub(20);
    assert!((0..sure).all(|seq| seqs.contains(&seq)), "a row before {sure} is missing");

    let done = place.line(&format!("analyze {} --format json", run.display())).ran();
    let summary = done.json();
    assert_eq!(summary["run"]["state"], "interrupted");
    assert_eq!(summary["totals"]["requests"], rows.len(), "all of them are in the figures");
    let report: PathBuf = place.path().join("reports").join(run.file_name().unwrap());
    assert!(report.join("report.html").is_file());
}

#[test]
fn a_run_that_is_killed_leaves_its_rows() {
    for moments in moments(kills(20)).chunks(TOGETHER) {
        std::thread::scope(|scope| {
            for moment in moments {
                scope.spawn(|| leaves_its_rows(LOAD.mul_f64(*moment)));
            }
        });
    }
}
