//! A run without its report: the load generator alone, for measuring what it costs.
//! `load [--discard-rows] --uri URI --users 64 …`, with the flags of `squall run` in their long form.
//! Prints what it did as JSON.

use std::error::Error;

use squall_core::config::{Layer, Settings};
use squall_core::keys::Command;
use squall_core::run_config::RunConfig;
use squall_milvus::Endpoint;
use squall_run::{Options, Stop, execute, preflight};

fn main() -> Result<(), Box<dyn Error>> {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let discard_rows = words.first().is_some_and(|word| word == "--discard-rows");
    words.drain(..usize::from(discard_rows));
    let mut given: Vec<(String, Vec<String>)> = Vec::new();
    for pair in words.chunks(2) {
        let [name, value] = pair else { return Err(format!("{} has no value", pair[0]).into()) };
        given.push((name.trim_start_matches('-').to_owned(), vec![value.clone()]));
    }
    let settings = Settings::resolve(Command::Run, &[Layer::flags(Command::Run, given)]);
    let RunConfig { mut plan, data, pin, metrics_url, .. } = RunConfig::new(&settings)?;
    let endpoint = Endpoint::new(&plan.server.uri, None, None)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let found = runtime.block_on(preflight(&endpoint, &plan.server, None, &plan.workload.filters))?;
    plan.workload.dimension = found.dimension;

    let (events, _) = std::sync::mpsc::channel();
    let (_handle, stop) = Stop::new();
    let options = Options { pin, metrics_url, discard_rows, ..Options::new(data) };
    let report = execute(plan, endpoint, found, &options, events, stop)?;
    let totals = report.record.totals.ok_or("the run has no totals")?;
    println!(
        "{}",
        serde_json::json!({
            "run_dir": report.run_dir,
            "answered": totals.answered,
            "failed": totals.failed,
            "rows": totals.rows,
            "dropped_rows": totals.dropped_rows,
        })
    );
    Ok(())
}
