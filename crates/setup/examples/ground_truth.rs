//! How long ground truth takes: what `cargo xtask bench setup` measures beside faiss.
//!
//! ```text
//! ground_truth [rows=100000] [dimension=768] [queries=2000] [filtered=0] [k=100] [metric=L2] [threads=N] [out=DIR]
//! ```
//!
//! Makes the truth of `queries` plain and `filtered` filtered queries and prints one line of JSON: seconds and
//! CPU seconds of all of it, and of making the same rows alone. With `out`, the directory gets what another
//! program needs to do the same: `rows.f32` and `queries.f32` (little-endian, row after row), and the truth
//! of the plain queries as `ids.i64` and `distances.f32` (`k` a query).

use std::error::Error;
use std::io::Write;
use std::num::NonZero;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use squall_core::dataset::Dataset;
use squall_core::schema::Metric;
use squall_core::truth::Truth;
use squall_core::workload::{QueryKind, QueryVectors, Workload};
use squall_setup::truth::ground_truth;
use tokio_util::sync::CancellationToken;

/// Rows that are made at a time.
const CHUNK: u64 = 512;

fn main() -> Result<(), Box<dyn Error>> {
    let given: Vec<(String, String)> = std::env::args()
        .skip(1)
        .map(|argument| match argument.split_once('=') {
            Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
            None => Err(format!("`{argument}` is not NAME=VALUE")),
        })
        .collect::<Result<_, _>>()?;
    let text = |name: &str| given.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let number = |name: &str, default: u32| text(name).map_or(Ok(default), str::parse);

    let cores = std::thread::available_parallelism().map_or(1, NonZero::get) as u32;
    let (rows, dimension) = (u64::from(number("rows", 100_000)?), number("dimension", 768)?);
    let (k, threads) = (number("k", 100)?, number("threads", cores)? as usize);
    let metric: Metric = text("metric").unwrap_or("L2").parse()?;
    let dataset = Dataset::reference(42, dimension)?;
    let workload = Workload {
        hot_queries: number("queries", 2_000)?,
        filtered_pairs: number("filtered", 0)?,
        rare_queries: 0,
        ..Workload::reference(42, dimension)
    };

    let (making, making_cpu) = timed(|| make_rows(&dataset, rows, threads))?;
    let mut truth = None;
    let (seconds, cpu) = timed(|| {
        let cancel = CancellationToken::new();
        truth = Some(ground_truth(&dataset, rows, &workload, metric, k, threads, &|_| {}, &cancel)?);
        Ok(())
    })?;
    println!(
        "{{\"rows\": {rows}, \"dimension\": {dimension}, \"threads\": {threads}, \"seconds\": {seconds:.4}, \
         \"cpu_seconds\": {cpu:.2}, \"making_seconds\": {making:.4}, \"making_cpu_seconds\": {making_cpu:.2}}}"
    );
    match (text("out"), truth) {
        (Some(directory), Some(truth)) => export(Path::new(directory), &dataset, rows, &workload, &truth),
        _ => Ok(()),
    }
}

/// Seconds and CPU seconds of some work.
fn timed(work: impl FnOnce() -> Result<(), Box<dyn Error>>) -> Result<(f64, f64), Box<dyn Error>> {
    let (started, cpu) = (Instant::now(), cpu_seconds());
    work()?;
    Ok((started.elapsed().as_secs_f64(), cpu_seconds() - cpu))
}

/// CPU seconds of this process so far, in hundredths; 0 where the system has no /proc.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name, which may hold anything: the state, then numbers; user and system ticks are the 11th
    // and 12th of those.
    let ticks = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// Makes every vector once and forgets it.
fn make_rows(dataset: &Dataset, rows: u64, threads: usize) -> Result<(), Box<dyn Error>> {
    let next = AtomicU64::new(0);
    let made = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut vectors = vec![0.0; CHUNK as usize * dataset.dimension() as usize];
                    loop {
                        let first = next.fetch_add(CHUNK, Ordering::Relaxed);
                        if first >= rows {
                            return Ok(());
                        }
                        let length = CHUNK.min(rows - first) as usize * dataset.dimension() as usize;
                        dataset.vectors(first, &mut vectors[..length])?;
                    }
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("making rows does not panic"))
    });
    made.map_err(|error: squall_core::dataset::DatasetError| error.into())
}

fn export(
    directory: &Path,
    dataset: &Dataset,
    rows: u64,
    workload: &Workload,
    truth: &Truth,
) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(directory)?;
    let file = |name: &str| std::fs::File::create(directory.join(name)).map(std::io::BufWriter::new);
    let dimension = dataset.dimension() as usize;
    let mut file_of_rows = file("rows.f32")?;
    for first in (0..rows).step_by(CHUNK as usize) {
        let mut vectors = vec![0.0; CHUNK.min(rows - first) as usize * dimension];
        dataset.vectors(first, &mut vectors)?;
        write_floats(&mut file_of_rows, &vectors)?;
    }
    let (mut queries, mut ids, mut distances) =
        (file("queries.f32")?, file("ids.i64")?, file("distances.f32")?);
    let k = truth.key().k as usize;
    let vectors = QueryVectors::new(workload)?;
    for query in 0..workload.hot_queries {
        let mut vector = vec![0.0; dimension];
        vectors.vector(QueryKind::Common, query, &mut vector);
        write_floats(&mut queries, &vector)?;
        let answer = truth.answer(QueryKind::Common, query).ok_or("a query has no truth")?;
        for id in answer.ids.iter().take(k) {
            ids.write_all(&id.to_le_bytes())?;
        }
        write_floats(&mut distances, &answer.distances[..answer.distances.len().min(k)])?;
    }
    for mut file in [file_of_rows, queries, ids, distances] {
        file.flush()?;
    }
    Ok(())
}

fn write_floats(file: &mut impl Write, values: &[f32]) -> std::io::Result<()> {
    values.iter().try_for_each(|value| file.write_all(&value.to_le_bytes()))
}
