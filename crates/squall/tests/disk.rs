//! A disk that is full ends the load with one sentence; one that stands still does not slow it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use crate::support::{
    Logged, RunProcess, SandboxProcess, SmallDisk, Workplace, can_be_judged, files_below, first_in_line,
    invalid_checks, logged, now_ns, rows, skipped,
};

fn seeded(launcher: &[&str], engine: &str) -> (Workplace, SandboxProcess, PathBuf) {
    let place = Workplace::new();
    let log = place.path().join("sandbox.csv");
    let words = ["--engine", engine, "--log", log.to_str().unwrap()];
    let sandbox = SandboxProcess::start_under(launcher, "0", &words);
    place
        .line(&format!(
            "setup --uri {} --num-vectors 300 --dimension 16 --settle 0s --ground-truth 0",
            sandbox.uri
        ))
        .expect(0);
    (place, sandbox, log)
}

fn only_run_in(data: &Path) -> PathBuf {
    let runs: Vec<_> = std::fs::read_dir(data.join("runs")).unwrap().map(|run| run.unwrap().path()).collect();
    assert_eq!(runs.len(), 1, "{runs:?}");
    runs[0].clone()
}

#[test]
fn a_full_disk_ends_the_load_and_keeps_every_complete_part() {
    let (place, sandbox, log) = seeded(&[], "hnsw");
    let disk = place.path().join("small");
    let Some(small) = SmallDisk::mount(disk.clone(), "320k") else {
        skipped("a_full_disk_ends_the_load_and_keeps_every_complete_part", "mount is refused");
        return;
    };
    let run = format!("run --uri {} --rate 1000 --arrivals even -t 60s --data small", sandbox.uri);
    let done = place.line(&run).expect(1);
    println!("{}", done.stderr.lines().find(|line| line.starts_with("error: ")).unwrap_or_default());
    let done =
        done.says(&["rows could not be written", "No space left on device", "--data", "the rows up to then"]);
    drop((sandbox, done));
    assert!(logged(&log).len() < 40_000, "the load has stopped");

    let run = only_run_in(&disk);
    let record: Value = serde_json::from_slice(&std::fs::read(run.join("run.json")).unwrap()).unwrap();
    assert_eq!(record["state"], "failed");
    let rows = rows(&run);
    assert!(rows.len() >= 2_000, "{} rows", rows.len());
    assert_eq!(record["totals"]["rows"], rows.len());
    assert!(record["totals"]["dropped_rows"].as_u64().unwrap() > 0, "{}", record["totals"]);
    for file in files_below(&run) {
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(!name.ends_with(".tmp") && name != ".reserve", "{name} is left behind");
    }

    let grown = Command::new("mount").args(["-o", "remount,size=8m"]).arg(&disk).status().unwrap();
    assert!(grown.success());
    let done = place.line(&format!("analyze {} --format json", run.display()));
    let summary = done.json();
    assert_eq!(
        (&summary["run"]["state"], &summary["totals"]["requests"]),
        (&"failed".into(), &rows.len().into())
    );
    drop(small);
}

/// A file system in a file, which can be made to stand still.
struct StubbornDisk(PathBuf);

impl StubbornDisk {
    /// `None` where this process may not make one.
    fn mount(place: &Path) -> Option<Self> {
        let ran = |program: &str, words: &[&str]| {
            Command::new(program).args(words).output().is_ok_and(|output| output.status.success())
        };
        let (image, path) = (place.join("disk.img"), place.join("stubborn"));
        File::create(&image).unwrap().set_len(64 << 20).unwrap();
        std::fs::create_dir(&path).unwrap();
        let (image, mounted) = (image.to_str().unwrap(), path.to_str().unwrap());
        let there = ran("mkfs.ext4", &["-q", "-F", image]) && ran("mount", &["-o", "loop", image, mounted]);
        there.then_some(Self(path))
    }

    /// From now on every write waits; `None` where the system has no such thing.
    fn freeze(&self) -> Option<Frozen<'_>> {
        let frozen = Command::new("fsfreeze").arg("-f").arg(&self.0).output();
        frozen.is_ok_and(|output| output.status.success()).then_some(Frozen(&self.0))
    }
}

impl Drop for StubbornDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// Writes go on when this is dropped.
struct Frozen<'a>(&'a Path);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        let _ = Command::new("fsfreeze").arg("-u").arg(self.0).status();
    }
}

/// The most rows that waited for the recorder at the end of a second.
fn longest_queue(run: &Path) -> u64 {
    let file = File::open(run.join("generator.parquet")).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    reader
        .flat_map(|batch| {
            let batch = batch.unwrap();
            let column = batch.column_by_name("recorder_queue").unwrap().as_primitive::<UInt64Type>();
            column.iter().flatten().collect::<Vec<_>>()
        })
        .max()
        .unwrap()
}

/// What a run left whose disk stood still for a while.
struct Stood {
    code: Option<i32>,
    summary: Value,
    record: Value,
    run: PathBuf,
    log: Vec<Logged>,
    from_ns: i64,
    to_ns: i64,
}

impl Stood {
    /// Searches that the server received a second, from one instant to the other.
    fn received_per_s(&self, from_ns: i64, to_ns: i64) -> f64 {
        let received = self.log.iter().filter(|line| (from_ns..to_ns).contains(&line.received_ns)).count();
        received as f64 * 1e9 / (to_ns - from_ns) as f64
    }
}

/// A part begins every two seconds, so this lets the recorder stand still for three at least.
const FROZEN: Duration = Duration::from_secs(5);

/// Runs `load`, with a disk that stands still from the fourth second on; says what is missing for `test`.
fn on_a_disk_that_stands_still(
    launcher: &[&str],
    engine: &str,
    load: &str,
    test: &str,
    judge: impl FnOnce(&Stood),
) {
    let (place, sandbox, log) = seeded(launcher, engine);
    let Some(disk) = StubbornDisk::mount(place.path()) else { return skipped(test, "no loop mount") };
    let run = format!("run --uri {} {load} --data stubborn --format json", sandbox.uri);
    let run = RunProcess::start(place.squall_under(launcher, run.split_whitespace()));
    run.wait_for_the_load();
    std::thread::sleep(Duration::from_secs(4));
    let Some(frozen) = disk.freeze() else { return skipped(test, "no fsfreeze") };
    let from_ns = now_ns();
    std::thread::sleep(FROZEN);
    let to_ns = now_ns();
    drop(frozen);
    let done = run.done();
    drop(sandbox);
    let run = only_run_in(&disk.0);
    let record = serde_json::from_slice(&std::fs::read(run.join("run.json")).unwrap()).unwrap();
    let (code, summary) = (done.code, done.json());
    judge(&Stood { code, summary, record, run, log: logged(&log), from_ns, to_ns });
}

#[test]
fn a_disk_that_stands_still_for_three_seconds_does_not_slow_the_load() {
    const RATE: usize = 1_000;
    let test = "a_disk_that_stands_still_for_three_seconds_does_not_slow_the_load";
    let load = format!("--rate {RATE} --arrivals even -t 13s");
    on_a_disk_that_stands_still(first_in_line(), "hnsw", &load, test, |stood| {
        let waited = longest_queue(&stood.run);
        println!("{waited} rows waited for the disk");
        assert!(waited >= 2 * RATE as u64, "the recorder stood still: {waited} rows waited");
        // What the server saw: the load as planned.
        let seen = stood.received_per_s(stood.from_ns, stood.to_ns);
        println!("{seen:.1} searches/s meanwhile");
        assert!((seen - RATE as f64).abs() < 0.02 * RATE as f64, "{seen}/s of {RATE}/s");
        assert_eq!(stood.summary["totals"]["outcomes"]["ok"], 13 * RATE);
        assert_eq!(stood.record["totals"]["dropped_rows"], 0, "every row found room");
        assert_eq!(rows(&stood.run).len(), 13 * RATE);
        // No lag of ours, which would make the run invalid.
        can_be_judged(&stood.summary, test);
    });
}

#[test]
fn rows_that_find_no_room_while_the_disk_stands_still_are_counted() {
    let test = "rows_that_find_no_room_while_the_disk_stands_still_are_counted";
    on_a_disk_that_stands_still(&[], "null", "-u 64 -r 6400 --think-time 0 -t 12s", test, |stood| {
        let count = |name: &str| stood.record["totals"][name].as_u64().unwrap();
        let (kept, dropped) = (rows(&stood.run).len() as u64, count("dropped_rows"));
        let seen = stood.received_per_s(stood.from_ns, stood.to_ns);
        let before = stood.received_per_s(stood.from_ns - 2_000_000_000, stood.from_ns);
        println!("{kept} rows kept, {dropped} dropped; {seen:.0} searches/s meanwhile, {before:.0}/s before");
        assert_eq!(kept + dropped, count("answered") + count("failed"), "{}", stood.record["totals"]);
        assert!(seen > before / 2.0, "{seen}/s where it was {before}/s: the load waits for the disk");
        if dropped == 0 {
            return skipped(test, "this machine is too slow to fill the recorder's ring in that time");
        }
        assert_eq!((stood.code, &stood.summary["verdict"]), (Some(5), &"invalid".into()));
        assert!(invalid_checks(&stood.summary).contains(&"dropped_rows"), "{}", stood.summary["validity"]);
    });
}
