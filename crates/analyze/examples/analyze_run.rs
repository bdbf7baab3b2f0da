//! Analyses a run directory, prints its summary and writes its report under REPORTS. In place of
//! REPORTS, `--analysis` prints what the analysis found and the seconds that it took, and
//! `--responses` the same of response times by class and by second alone; both as JSON.
//!
//! ```text
//! cargo run --release -p squall-analyze --example analyze_run -- RUN REPORTS [CSV-PREFIX]
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use squall_analyze::{Options, Outputs, analyze, response_times, text};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let run = arguments.next().ok_or("name the run directory first")?;
    let reports = arguments.next().ok_or("name the reports directory second")?;
    let begun = Instant::now();
    if reports == "--responses" {
        let (groups, series) = response_times(Path::new(&run))?;
        let seconds = begun.elapsed().as_secs_f64();
        let classes = groups.classes.iter().map(|(name, group)| (name, &group.figures.response_ms));
        let by_second = series.buckets.iter().map(|bucket| (bucket.p50_ms, bucket.p95_ms, bucket.p99_ms));
        let found = serde_json::json!({
            "seconds": seconds,
            "classes": classes.collect::<BTreeMap<_, _>>(),
            "by_second": by_second.collect::<Vec<_>>(),
        });
        println!("{found}");
        return Ok(());
    }
    let analysis = analyze(Path::new(&run), &Options::default())?;
    if reports == "--analysis" {
        let seconds = begun.elapsed().as_secs_f64();
        println!("{}", serde_json::json!({ "seconds": seconds, "summary": analysis.summary }));
        return Ok(());
    }
    print!("{}", text::summary(&analysis));
    let outputs = Outputs {
        reports: PathBuf::from(reports),
        csv: arguments.next().map(PathBuf::from),
        ..Outputs::default()
    };
    for file in analysis.write(&outputs)?.files {
        println!("{}", file.display());
    }
    Ok(())
}
