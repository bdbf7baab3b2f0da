//! `squall run`.

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use clap::ArgMatches;
use squall_core::config::Settings;
use squall_core::dataset::{Dataset, Identity};
use squall_core::keys::Command;
use squall_core::plan::{Load, Plan};
use squall_core::run_config::{RunConfig, asks_filtered};
use squall_core::schedule::StageKind;
use squall_core::units::format_duration;
use squall_milvus::Endpoint;
use squall_run::{Event, Options, Preflight, RunError, RunReport, Stop, StopHandle};

use crate::commands::analyze::{report, verdict_exit};
use crate::commands::baseline::Baseline;
use crate::commands::find_max::{self, FindMaxConfig};
use crate::commands::setup::endpoint;
use crate::exit::{Exit, Failure};
use crate::layers;
use crate::signals::{Asked, Signals};

/// Time that answers have after SIGTERM, at most: whoever sends it soon sends SIGKILL.
const TERMINATE_DRAIN: Duration = Duration::from_secs(10);

pub(crate) async fn execute(matches: &ArgMatches) -> Result<Exit, Failure> {
    refuse_distributed(matches)?;
    let (settings, mut notes) = layers::settings(Command::Run, matches)?;
    let mut config = RunConfig::new(&settings)?;
    squall_core::ci::add_labels(&mut config.plan.labels, |name| std::env::var(name).ok());
    if let Some(file) = matches.get_one::<String>("file") {
        notes.push(format!("-f {file} has no effect: Squall's workload is built in, and settings change it"));
    }
    let find_max = find_max::asked(matches, &settings, &config)?;
    // What is to be said of the load is not of the search's.
    let of_the_load = if find_max.is_some() { &[][..] } else { &config.notes };
    for note in notes.iter().chain(of_the_load) {
        eprintln!("note: {note}");
    }
    if matches.get_flag("dry-run") {
        let first_step = find_max.as_ref().map(FindMaxConfig::first_step);
        return dry_run(&settings, first_step.as_ref().unwrap_or(&config), matches);
    }
    let endpoint = endpoint(&config.plan.server, &settings)?;
    if let Some(find_max) = find_max {
        return find_max.search(endpoint, matches).await;
    }
    drive(config, endpoint, matches).await
}

/// Runs the plan, then analyses and reports: what `run` and `demo` share.
pub(crate) async fn drive(
    config: RunConfig,
    endpoint: Endpoint,
    matches: &ArgMatches,
) -> Result<Exit, Failure> {
    writable(&config.data)?;
    writable(&config.reports)?;

    let RunConfig { mut plan, dimension, data, reports, part, pin, metrics_url, .. } = config;
    let baseline = Baseline::of(matches, &data, part.as_ref())?;
    let options = Options { data, part, pin, metrics_url, discard_rows: false };
    let mut signals = Signals::listen().map_err(Failure::failed)?;
    let Some(preflight) = look(&mut plan, dimension, &endpoint, &mut signals).await? else {
        return Err(RunError::Stopped.into());
    };
    if let Some(baseline) = &baseline {
        baseline.check(&plan, &preflight)?;
    }

    let draw = |events: &mpsc::Receiver<Event>, _: &StopHandle| draw(events);
    let loaded = load(plan, endpoint, preflight, options, &mut signals, draw).await?;
    let (run_dir, failure) = match loaded.result {
        Ok(done) => (done.run_dir, None),
        Err(error) => match error.run_dir().map(Path::to_owned) {
            // Rows were written before it failed: they are worth a report.
            Some(run_dir) => (run_dir, Some(error)),
            None => return Err(error.into()),
        },
    };
    let reporting = {
        let (run_dir, reports, matches) = (run_dir.clone(), reports.clone(), matches.clone());
        tokio::task::spawn_blocking(move || report(&[&run_dir], &reports, &matches))
    };
    let analysis = signals.or(reporting).await;
    if analysis.is_none() {
        let run = run_dir.display();
        eprintln!("interrupted: the rows are on disk, and `squall analyze {run}` makes their report");
    }
    if let Some(error) = failure {
        return Err(error.into());
    }
    let Some(analysis) = analysis else { return Ok(Exit::Interrupted) };
    let broke = |error| Failure::failed(anyhow::anyhow!("the analysis broke off: {error}"));
    let analysis = analysis.map_err(broke)??;
    let exit = verdict_exit(&analysis.summary);
    match baseline {
        // A missed target comes first, and the comparison is worth its reading all the same.
        Some(baseline) if matches!(exit, Exit::Done | Exit::TargetMissed) => {
            let markdown = matches.try_get_one::<String>("markdown").ok().flatten().map(Path::new);
            let compared = baseline.compare(&analysis, &reports, markdown)?;
            Ok(if exit == Exit::Done { compared } else { exit })
        }
        Some(_) => {
            eprintln!(
                "note: the run is not compared with the baseline: its figures are not the server's, or not its plan's"
            );
            Ok(exit)
        }
        None => Ok(exit),
    }
}

/// Looks at the server and fits the plan to the collection that is there; `None` where a signal came first.
pub(crate) async fn look(
    plan: &mut Plan,
    dimension: Option<u32>,
    endpoint: &Endpoint,
    signals: &mut Signals,
) -> Result<Option<Preflight>, Failure> {
    let filters = if asks_filtered(&plan.classes) { plan.workload.filters.as_slice() } else { &[] };
    let looking = squall_run::preflight(endpoint, &plan.server, dimension, filters);
    let Some(preflight) = signals.or(looking).await.transpose()? else { return Ok(None) };
    plan.workload.dimension = preflight.dimension;
    // A file of queries is asked as it is, whatever the collection was filled with.
    if plan.workload.query_file.is_none() {
        plan.workload.source = query_source(preflight.identity.as_ref());
    }
    Ok(Some(preflight))
}

/// A load that is over.
pub(crate) struct Loaded<T> {
    pub(crate) result: Result<RunReport, RunError>,
    /// What was made of its events; `None` after a panic, which its own thread has printed.
    pub(crate) heard: Option<T>,
    /// Whether a signal ended it.
    pub(crate) interrupted: bool,
}

/// Makes the load, with `listen` on a thread of its own. The first signal stops it and drains; the second
/// stops it at once.
pub(crate) async fn load<T: Send + 'static>(
    plan: Plan,
    endpoint: Endpoint,
    preflight: Preflight,
    options: Options,
    signals: &mut Signals,
    listen: impl FnOnce(&mpsc::Receiver<Event>, &StopHandle) -> T + Send + 'static,
) -> Result<Loaded<T>, Failure> {
    let (stop, stop_signal) = Stop::new();
    let (events, received) = mpsc::channel();
    let listening = std::thread::spawn({
        let stop = stop.clone();
        move || listen(&received, &stop)
    });
    let mut running = tokio::task::spawn_blocking(move || {
        squall_run::execute(plan, endpoint, preflight, &options, events, stop_signal)
    });
    let mut interrupted = false;
    let done = loop {
        let asked = tokio::select! {
            done = &mut running => break done,
            asked = signals.next() => asked,
        };
        if interrupted {
            eprintln!("stopping at once");
            stop.abort();
        } else {
            eprintln!("stopping: no more requests; waiting for answers (again to stop at once)");
            stop.stop((asked == Asked::Terminate).then_some(TERMINATE_DRAIN));
        }
        interrupted = true;
    };
    let broke = |error| Failure::failed(anyhow::anyhow!("the load generator broke off: {error}"));
    Ok(Loaded { result: done.map_err(broke)?, heard: listening.join().ok(), interrupted })
}

/// What queries are drawn from: what the collection was filled with decides.
fn query_source(identity: Option<&Identity>) -> Option<String> {
    let identity = identity?;
    match Dataset::from_id(&identity.dataset) {
        Ok(dataset) => dataset.query_source(),
        Err(_) if identity.dataset.starts_with("file-") => {
            eprintln!(
                "note: the collection was filled from a file; the queries are unit vectors that have nothing to do with its rows, give --queries FILE to ask others"
            );
            None
        }
        Err(error) => {
            eprintln!("note: {error}; the queries are unit vectors that have nothing to do with its rows");
            None
        }
    }
}

/// Locust's ways of running on several machines.
fn refuse_distributed(matches: &ArgMatches) -> Result<(), Failure> {
    for flag in ["master", "worker"] {
        if matches.get_flag(flag) {
            return Err(Failure::usage(format!(
                "--{flag} is Locust's: Squall needs no master; start the same command n times with --shard 0/n, 1/n … and the same --run-id and --start-at, or raise --threads on one machine"
            )));
        }
    }
    Ok(())
}

/// Whether a directory can be written to, before any load is made for nothing.
pub(crate) fn writable(directory: &Path) -> Result<(), Failure> {
    let probe = directory.join(format!(".squall-{}", std::process::id()));
    std::fs::create_dir_all(directory)
        .and_then(|()| std::fs::write(&probe, b""))
        .and_then(|()| std::fs::remove_file(&probe))
        .map_err(|error| {
            Failure::failed(anyhow::anyhow!(
                "cannot write to {}: {error}; give another directory with --data or --reports",
                directory.display()
            ))
        })
}

fn draw(events: &mpsc::Receiver<Event>) {
    for event in events {
        match event {
            Event::Preparing { queries } => eprintln!("preparing {queries} queries"),
            Event::Connected { connections, took } => {
                eprintln!("{connections} connections open after {:.1} s", took.as_secs_f64());
            }
            Event::Waiting { for_ } => eprintln!("ready; the run begins in {:.1} s", for_.as_secs_f64()),
            Event::WarmedUp { after } => {
                eprintln!("rate and P95 are stable: measuring after {:.1} s of warm-up", after.as_secs_f64());
            }
            Event::Started { run_dir, planned, length } => {
                let requests = planned.map_or_else(String::new, |planned| format!(", {planned} requests"));
                let length = length.map_or_else(|| "until Ctrl-C".to_owned(), format_duration);
                eprintln!("run {}: {length}{requests}", run_dir.display());
            }
            Event::Note(note) => eprintln!("note: {note}"),
            Event::Warning(warning) => eprintln!("warning: {warning}"),
            Event::Second(line) => eprintln!("{line}"),
            Event::Draining { in_flight, at_most, .. } if in_flight > 0 => {
                eprintln!("waiting for {in_flight} answers, {} at most", format_duration(at_most));
            }
            Event::Draining { .. } | Event::Merging { .. } | Event::Finished { .. } => {}
        }
    }
}

/// Prints the plan and where each value came from.
fn dry_run(settings: &Settings, config: &RunConfig, matches: &ArgMatches) -> Result<Exit, Failure> {
    let plan = &config.plan;
    if matches.get_one::<String>("format").is_some_and(|format| format == "json") {
        println!("{}", serde_json::to_string_pretty(plan).map_err(Failure::failed)?);
        return Ok(Exit::Done);
    }
    println!("{}", plan_text(plan));
    if !plan.labels.is_empty() {
        let labels: Vec<String> = plan.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        println!("Labels: {}\n", labels.join(", "));
    }
    if let Some(part) = &config.part {
        let total = plan.open_schedule().and_then(|schedule| schedule.total());
        let requests =
            total.map_or_else(String::new, |total| format!(", {} requests", part.shard.share_of(total)));
        println!("Shard {} of run {}, from {}{requests}\n", part.shard, part.run_id, part.start_at);
    }
    println!("Settings:");
    for shown in settings.shown() {
        println!("  {:<22} {:<28} {}", shown.name, shown.value, shown.origin);
    }
    Ok(Exit::Done)
}

/// The plan in words.
fn plan_text(plan: &Plan) -> String {
    use std::fmt::Write;

    let mut text = String::from("Plan:\n");
    let length = plan.length().map_or_else(|| "until Ctrl-C".to_owned(), format_duration);
    // Writing to a String cannot fail.
    let _ = match (&plan.load, plan.open_schedule().and_then(|schedule| schedule.total())) {
        (Load::Closed { users, spawn_rate, think_time, .. }, _) => {
            let bound = plan.most_reachable_rate().map_or_else(String::new, |most| {
                format!("\n  they can ask at most {most:.0} requests/s, if every answer came at once")
            });
            writeln!(
                text,
                "  closed loop: {users} users, {spawn_rate}/s started, thinking {think_time}, {length}{bound}"
            )
        }
        (Load::Open { arrivals, stages }, total) => {
            let arrivals = format!("{arrivals:?}").to_lowercase();
            let total = total.map_or_else(String::new, |total| format!(", {total} requests"));
            match stages.as_slice() {
                [stage] => writeln!(text, "  open loop: {}/s, {arrivals}, {length}{total}", stage.to),
                _ => writeln!(text, "  open loop: {arrivals}, {length}{total}"),
            }
        }
    };
    if let Load::Open { stages, .. } = &plan.load
        && stages.len() > 1
    {
        for stage in stages {
            let length = stage.length.map_or_else(|| "until Ctrl-C".to_owned(), format_duration);
            let (from, to) = (stage.from, stage.to);
            let rate = match stage.kind {
                StageKind::Steady => format!("{to}/s"),
                StageKind::Ramp => format!("{from}/s to {to}/s, not measured"),
            };
            let _ = writeln!(text, "  stage     {:<10} {length}, {rate}", stage.name);
        }
    }
    let weights: f64 = plan.classes.iter().map(|class| class.weight).sum();
    for class in &plan.classes {
        let share = class.weight / weights * 100.0;
        let _ = writeln!(text, "  {:<9} {share:>5.1} %, limit {}", class.name, class.limit);
    }
    for planned in &plan.targets {
        let kind = if planned.binding { "binding" } else { "advisory" };
        let _ = writeln!(text, "  target    {} ({kind})", planned.target);
    }
    let _ = writeln!(text, "  work key  {}", plan.work_key());
    text
}
