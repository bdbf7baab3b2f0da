//! Makes a run directory of simulated requests, to look at reports without a server.
//!
//! ```text
//! cargo run --release -p squall-analyze --example make_run -- DATA [key=value …]
//! ```
//!
//! Keys: `name`, `seconds`, `ramp`, `rate`, `users` (a closed loop instead), `median_ms`, `sigma`,
//! `failures` (a share), `stall_at`, `stall_for` (seconds), `lag_us`, `seed`, `killed` (true).
//! `rows` makes that many at an even `rate`, part by part, instead of `seconds` of them: a run that
//! does not fit into memory. `runs` makes a history of that many summaries instead, with a step.

mod history;
mod large;
mod simulate;

use std::path::Path;

use simulate::Simulation;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let data = arguments.next().ok_or("name the data directory first")?;
    let mut simulation = Simulation::default();
    let (mut rows, mut runs) = (None, None);
    for argument in arguments {
        let (key, value) =
            argument.split_once('=').ok_or_else(|| format!("`{argument}` is not key=value"))?;
        match key {
            "name" => simulation.name = value.to_owned(),
            "seconds" => simulation.seconds = value.parse()?,
            "ramp" => simulation.ramp_s = value.parse()?,
            "rate" => simulation.rate = value.parse()?,
            "users" => simulation.users = Some(value.parse()?),
            "median_ms" => simulation.median_ms = value.parse()?,
            "sigma" => simulation.sigma = value.parse()?,
            "failures" => simulation.failures = value.parse()?,
            "stall_at" => simulation.stall_at_s = value.parse()?,
            "stall_for" => simulation.stall_for_s = value.parse()?,
            "lag_us" => simulation.lag_us = value.parse()?,
            "seed" => simulation.seed = value.parse()?,
            "rows" => rows = Some(value.parse()?),
            "runs" => runs = Some(value.parse()?),
            "killed" => simulation.killed = value.parse()?,
            _ => return Err(format!("`{key}` is not a key of a simulation").into()),
        }
    }
    if let Some(runs) = runs {
        println!("{}", history::make(Path::new(&data), &simulation, runs)?.display());
        return Ok(());
    }
    let run = match rows {
        Some(rows) => large::make(Path::new(&data), &simulation, rows)?,
        None => simulate::make(Path::new(&data), &simulation)?,
    };
    println!("{}", run.path().display());
    Ok(())
}
