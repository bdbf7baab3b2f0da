//! `squall analyze trend` and `squall analyze trend accept`.

use std::path::{Path, PathBuf};

use clap::ArgMatches;
use squall_analyze::trend::{
    Accepted, Metric, Trend, TrendOptions, accept, accepted_file, has_run, run_of_shard, since, text, trend,
};

use crate::exit::{Exit, Failure};

pub(crate) fn execute(matches: &ArgMatches) -> Result<Exit, Failure> {
    match matches.subcommand() {
        Some((_, matches)) => accept_change(matches),
        None => show(matches),
    }
}

fn show(matches: &ArgMatches) -> Result<Exit, Failure> {
    let mut options = TrendOptions {
        window: *matches.get_one::<usize>("window").expect("it has a default"),
        margin: *matches.get_one::<f64>("margin").expect("it has a default"),
        ..TrendOptions::default()
    };
    let texts = |name: &str| matches.get_many::<String>(name).into_iter().flatten();
    let metrics: Vec<Metric> = texts("metric")
        .map(|metric| metric.parse().map_err(|error| Failure::usage(format!("{error}"))))
        .collect::<Result<_, Failure>>()?;
    if !metrics.is_empty() {
        options.metrics = metrics;
    }
    options.filters = texts("where").map(|text| filter(text)).collect::<Result<_, Failure>>()?;
    options.since =
        matches.get_one::<String>("since").map(|text| since(text)).transpose().map_err(Failure::usage)?;

    let reports = Path::new(matches.get_one::<String>("reports").expect("it has a default"));
    let trend: Trend = trend(&runs(matches), reports, &options)?;
    let written = trend.write(reports)?;
    if matches.get_one::<String>("format").is_some_and(|format| format == "json") {
        println!("{}", serde_json::to_string_pretty(&trend).map_err(Failure::failed)?);
    }
    eprint!("{}", text(&trend));
    eprintln!("\nReport:  {}", written.html.display());
    Ok(if trend.failed { Exit::Regression } else { Exit::Done })
}

fn accept_change(matches: &ArgMatches) -> Result<Exit, Failure> {
    let runs = runs(matches);
    let run = matches.get_one::<String>("run").expect("clap requires it");
    // The run's own name, however its directory was written.
    let name =
        Path::new(run).file_name().map_or_else(|| run.clone(), |name| name.to_string_lossy().into_owned());
    // Trend knows shards by the run that they are.
    let name = run_of_shard(&name).map_or_else(|| name.clone(), str::to_owned);
    if !has_run(&runs, &name) {
        let runs = runs.display();
        return Err(Failure::usage(format!(
            "there is no run `{name}` in {runs}; name the run that trend says a change begins with"
        )));
    }
    let metric = matches.get_one::<String>("metric");
    let metric = metric
        .map(|metric| metric.parse::<Metric>().map_err(|error| Failure::usage(error.to_string())))
        .transpose()?;
    let file = accepted_file(&runs);
    let change = Accepted::now(name.clone(), metric.as_ref(), matches.get_one::<String>("reason").cloned());
    accept(&file, change).map_err(Failure::failed)?;
    eprintln!("accepted the change at {name} in {}", file.display());
    Ok(Exit::Done)
}

/// The directory of runs.
fn runs(matches: &ArgMatches) -> PathBuf {
    let named = matches.get_one::<PathBuf>("directory").cloned();
    let data = matches.get_one::<String>("data").expect("it has a default");
    named.unwrap_or_else(|| Path::new(data).join("runs"))
}

fn filter(text: &str) -> Result<(String, String), Failure> {
    let (key, value) = text
        .split_once('=')
        .ok_or_else(|| Failure::usage(format!("--where `{text}` is not KEY=VALUE, such as branch=main")))?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}
