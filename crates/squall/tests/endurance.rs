//! A long run compressed: what a generator holds in memory does not grow with its rows.

use std::fs::File;
use std::path::Path;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::support::{SandboxProcess, Workplace};

/// By second of the whole process: (end in seconds, requests done so far, resident MiB).
fn memory(run: &Path) -> Vec<(f64, u64, f64)> {
    let file = File::open(run.join("generator.parquet")).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let mut seconds = Vec::new();
    let mut so_far = 0;
    for batch in reader {
        let batch = batch.unwrap();
        let column = |name: &str| batch.column_by_name(name).unwrap();
        let time = column("time").as_primitive::<Int64Type>();
        let [done, memory] = ["done", "memory_bytes"].map(|name| column(name).as_primitive::<UInt64Type>());
        for row in (0..batch.num_rows()).filter(|row| column("worker").is_null(*row)) {
            so_far += done.value(row);
            seconds.push((
                time.value(row) as f64 / 1e9,
                so_far,
                memory.value(row) as f64 / f64::from(1 << 20),
            ));
        }
    }
    seconds
}

#[test]
fn ten_thousand_users_take_less_than_300_mb() {
    let place = Workplace::new();
    let sandbox = SandboxProcess::start(&["--engine", "null"]);
    let uri = &sandbox.uri;
    place
        .line(&format!("setup --uri {uri} --num-vectors 300 --dimension 16 --settle 0s --ground-truth 0"))
        .expect(0);
    place.line(&format!("run --uri {uri} -u 10000 -r 5000 --think-time 1s -t 12s")).ran();
    let memory = memory(&place.only_run());
    let most = memory.iter().map(|(_, _, mib)| *mib).fold(0.0, f64::max);
    let rows = memory.last().map_or(0, |(_, rows, _)| *rows);
    println!("{most:.1} MiB for 10,000 users and {rows} rows");
    assert!(rows >= 20_000, "all of them asked: {rows}");
    assert!(most * f64::from(1 << 20) < 300e6, "{most:.1} MiB");
}

/// Users without think time, for as many seconds as SQUALL_TEST_ENDURANCE_S says: ten million rows
/// take two to three minutes on two cores that have nothing else to do.
#[test]
fn memory_is_flat_however_many_rows_there_are() {
    let seconds: u32 =
        std::env::var("SQUALL_TEST_ENDURANCE_S").map_or(20, |seconds| seconds.parse().expect("a number"));
    let place = Workplace::new();
    let sandbox = SandboxProcess::start(&["--engine", "null"]);
    let uri = &sandbox.uri;
    place
        .line(&format!("setup --uri {uri} --num-vectors 300 --dimension 16 --settle 0s --ground-truth 0"))
        .expect(0);
    place.line(&format!("run --uri {uri} -u 64 -r 6400 --think-time 0 -t {seconds}s")).ran();
    let memory = memory(&place.only_run());
    for (s, rows, mib) in memory.iter().step_by((memory.len() / 12).max(1)) {
        println!("{s:7.1} s {rows:>10} rows {mib:8.1} MiB");
    }
    // The rings' pages are touched as rows go round; after the first third, at most a minute, all is there.
    let settled_s = f64::from(seconds.div_ceil(3)).min(60.0);
    let most = |from_s: f64, to_s: f64| {
        let of_span = memory.iter().filter(|(s, ..)| (from_s..to_s).contains(s));
        of_span.map(|(_, _, mib)| *mib).fold(0.0, f64::max)
    };
    let (early, late) = (most(0.0, settled_s), most(settled_s, f64::INFINITY));
    let rows = memory.last().unwrap().1;
    println!("{rows} rows: {early:.1} MiB at most until {settled_s} s, {late:.1} MiB at most from then on");
    assert!(late <= early * 1.1 + 8.0, "{early} MiB became {late} MiB");
}
