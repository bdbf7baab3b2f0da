//! A history of any number of runs, as their summaries: one step at two thirds of it.

use std::path::{Path, PathBuf};

use chrono::TimeDelta;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, StandardNormal};
use squall_analyze::{Options, analyze};
use squall_core::plan::Shard;
use squall_core::run_dir::{RunDir, write_json};
use squall_core::summary::Verdict;

use crate::simulate::{self, Simulation};

/// By what the response times grow at the step.
const STEP: f64 = 1.15;
/// What runs differ by among themselves.
const NOISE: f64 = 0.04;

/// Makes the runs under `data`, one a night, and returns their directory.
pub(crate) fn make(
    data: &Path,
    simulation: &Simulation,
    runs: u32,
) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let template = simulate::make(data, simulation)?;
    let analysis = analyze(template.path(), &Options::default())?;
    std::fs::remove_dir_all(template.path())?;
    let mut rng = StdRng::seed_from_u64(simulation.seed);
    let mut noise = |of: f64| (of * Distribution::<f64>::sample(&StandardNormal, &mut rng)).exp();
    for number in 0..runs {
        let mut summary = analysis.summary.clone();
        summary.verdict = Verdict::None;
        summary.run.started += TimeDelta::days(i64::from(number)) - TimeDelta::days(i64::from(runs));
        let stepped = number >= runs * 2 / 3;
        let build = if stepped { "412" } else { "411" };
        summary.run.server.version = Some(if stepped { "2.4.0" } else { "2.3.5" }.to_owned());
        for (key, value) in [("build", build.to_owned()), ("commit", format!("{:07x}", number * 2_654_435))] {
            summary.run.labels.insert(key.to_owned(), value);
        }
        summary.run.labels.insert("branch".to_owned(), "main".to_owned());
        let factor = noise(NOISE) * if stepped { STEP } else { 1.0 };
        for figures in std::iter::once(&mut summary.totals).chain(summary.classes.values_mut()) {
            let times = &mut figures.response_ms;
            let times = [
                &mut times.mean,
                &mut times.p50,
                &mut times.p90,
                &mut times.p95,
                &mut times.p99,
                &mut times.max,
            ];
            for time in times {
                *time = time.map(|ms| ms * factor * noise(NOISE / 4.0));
            }
            figures.rate = figures.rate.map(|rate| rate * noise(NOISE / 10.0));
            figures.recall = figures.recall.map(|recall| (recall * noise(NOISE / 40.0)).min(1.0));
        }
        let run = RunDir::create(data, summary.run.started, &simulation.name, Shard::WHOLE)?;
        summary.run.id = run.name();
        write_json(&run.summary(), &summary)?;
    }
    Ok(data.join("runs"))
}
