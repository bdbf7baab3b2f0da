//! Analyses a run directory, prints its summary and writes its report under REPORTS.
//!
//! ```text
//! cargo run --release -p squall-analyze --example analyze_run -- RUN REPORTS [CSV-PREFIX]
//! ```

use std::path::{Path, PathBuf};

use squall_analyze::{Options, Outputs, analyze, text};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let run = arguments.next().ok_or("name the run directory first")?;
    let reports = arguments.next().ok_or("name the reports directory second")?;
    let analysis = analyze(Path::new(&run), &Options::default())?;
    print!("{}", text::summary(&analysis));
    let outputs =
        Outputs { reports: PathBuf::from(reports), csv: arguments.next().map(PathBuf::from), html: None };
    for file in analysis.write(&outputs)?.files {
        println!("{}", file.display());
    }
    Ok(())
}
