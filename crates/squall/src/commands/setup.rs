//! `squall setup`.

mod verify;

use clap::ArgMatches;
use squall_core::config::Settings;
use squall_core::describe;
use squall_core::filter::reference_filters;
use squall_core::keys::Command;
use squall_core::plan::ServerTarget;
use squall_milvus::Endpoint;
use squall_milvus::admin::Admin;
use squall_setup::truth::TruthReport;
use squall_setup::{Events, Left, Outcome, Phase, SetupConfig, SetupError, SetupReport};
use tokio_util::sync::CancellationToken;

use crate::exit::{Exit, Failure};
use crate::layers;
use crate::progress;
use crate::signals::Signals;

pub(crate) async fn execute(matches: &ArgMatches) -> Result<Exit, Failure> {
    if let Some(("verify", matches)) = matches.subcommand() {
        return verify::execute(matches).await;
    }
    let (settings, notes) = layers::settings(Command::Setup, matches)?;
    for note in notes {
        eprintln!("note: {note}");
    }
    let mut config = SetupConfig::new(&settings, matches.get_flag("drop-existing"))?;
    config.resume = matches.get_flag("resume");
    config.auto_id = matches.get_flag("auto-id");
    if config.auto_id {
        config.truth.neighbours = Err("the server makes the keys (--auto-id)".to_owned());
        eprintln!(
            "note: with --auto-id rows cannot be told apart: no truth, no recall, no --resume, and only their number is verified"
        );
    }
    for note in config.dataset.notes().iter().chain(&config.truth.notes) {
        eprintln!("note: {note}");
    }
    if matches.get_flag("describe") {
        return describe(&config, matches);
    }
    let report = seed(&config, &endpoint(&config.server, &settings)?).await?;
    if matches.get_one::<String>("format").is_some_and(|format| format == "json") {
        println!("{}", serde_json::to_string_pretty(&report).map_err(Failure::failed)?);
    }
    Ok(Exit::Done)
}

/// Prints what would be made.
fn describe(config: &SetupConfig, matches: &ArgMatches) -> Result<Exit, Failure> {
    let filters = reference_filters();
    let description =
        describe::describe(&config.dataset, config.rows, &filters, &config.index).map_err(Failure::failed)?;
    if matches.get_one::<String>("format").is_some_and(|format| format == "json") {
        println!("{}", serde_json::to_string_pretty(&description).map_err(Failure::failed)?);
    } else {
        println!("{description}");
    }
    Ok(Exit::Done)
}

/// The server with its credentials.
pub(crate) fn endpoint(server: &ServerTarget, settings: &Settings) -> Result<Endpoint, Failure> {
    let token = settings.text("token").map(str::to_owned);
    // As it was given: with credentials, where it has any.
    let uri = settings.text("uri").unwrap_or(&server.uri);
    let endpoint = Endpoint::new(uri, token, server.database.clone())?;
    Ok(match settings.text("tls-ca") {
        Some(path) => endpoint.with_ca_file(path)?,
        None => endpoint,
    })
}

/// Seeds and draws what happens.
pub(crate) async fn seed(config: &SetupConfig, endpoint: &Endpoint) -> Result<SetupReport, Failure> {
    let mut signals = Signals::listen().map_err(Failure::failed)?;
    let cancel = CancellationToken::new();
    let admin = tokio::select! {
        admin = Admin::connect(endpoint, config.server.transport) => admin?,
        _ = signals.next() => return Err(interrupted(config)),
    };
    eprintln!(
        "setup of {} at {}: {} rows × {}, {}",
        config.server.collection,
        endpoint.uri(),
        config.rows,
        config.dataset.dimension(),
        config.index
    );
    let (events, received) = Events::channel();
    let drawing = std::thread::spawn(move || progress::draw(&received));
    let result = {
        let seeding = squall_setup::seed(&admin, config, &events, &cancel);
        tokio::pin!(seeding);
        tokio::select! {
            result = &mut seeding => result,
            _ = signals.next() => {
                cancel.cancel();
                seeding.await
            }
        }
    };
    drop(events);
    // A panic while drawing has been printed by its own thread.
    let _ = drawing.join();
    let report = result?;
    print_closing(&report);
    Ok(report)
}

pub(super) fn interrupted(config: &SetupConfig) -> Failure {
    SetupError::Interrupted { collection: config.server.collection.clone(), left: Left::Nothing }.into()
}

fn print_closing(report: &SetupReport) {
    match report.outcome {
        Outcome::AlreadyThere => eprintln!(
            "already there: collection {} has the {} rows of {} and the index {}",
            report.collection, report.rows, report.dataset, report.index
        ),
        Outcome::Created | Outcome::Resumed => eprint!("{}", closing_table(report)),
    }
    match &report.truth {
        TruthReport::Made { id, path, k, queries, seconds } => eprintln!(
            "truth {id}: the {k} nearest rows of {queries} queries, made in {seconds:.1} s, in {}",
            path.display()
        ),
        TruthReport::Found { id, path, k, queries } => {
            eprintln!("truth {id}: the {k} nearest rows of {queries} queries, found in {}", path.display());
        }
        TruthReport::None { reason } => eprintln!("no truth, so runs cannot tell recall: {reason}"),
    }
}

/// What was done, phase by phase, and what it came to.
fn closing_table(report: &SetupReport) -> String {
    let total: f64 = report.phases.iter().map(|time| time.seconds).sum();
    let mut table = format!(
        "ready: collection {} has the {} rows of {} and the index {}\n",
        report.collection, report.rows, report.dataset, report.index
    );
    for time in &report.phases {
        table.push_str(&format!("  {:<8} {:>9.1} s", time.phase.name(), time.seconds));
        if let (Phase::Insert, Some(rate)) = (time.phase, report.insert_rate) {
            let megabytes = report.bytes_sent as f64 / 1e6;
            table.push_str(&format!("   {} rows, {rate:.0} rows/s, {megabytes:.1} MB", report.rows_sent));
        }
        table.push('\n');
    }
    let mut troubles = Vec::new();
    if report.retries > 0 {
        troubles.push(format!("{} times something was tried again", report.retries));
    }
    if report.uncertain_batches > 0 {
        troubles.push(format!("{} batches had to be looked for", report.uncertain_batches));
    }
    if report.rows_mended > 0 {
        let megabytes = report.bytes_mended as f64 / 1e6;
        troubles.push(format!("{} rows that lacked were sent then, {megabytes:.1} MB", report.rows_mended));
    }
    let total = format!("  {:<8} {total:>9.1} s   {}", "total", troubles.join(", "));
    table.push_str(total.trim_end());
    table.push('\n');
    table
}

#[cfg(test)]
mod tests {
    use squall_setup::PhaseTime;

    use super::*;

    #[test]
    fn the_closing_table_says_what_was_sent_at_first_and_what_to_mend() {
        let report = SetupReport {
            outcome: Outcome::Created,
            uri: "http://127.0.0.1:19530".into(),
            server_version: None,
            collection: "c".into(),
            dataset: "reference-v1-seed42-dim16".into(),
            rows: 1_000,
            dimension: 16,
            index: "HNSW M=16, L2".into(),
            phases: vec![PhaseTime { phase: Phase::Insert, seconds: 2.0 }],
            rows_sent: 900,
            bytes_sent: 90_000_000,
            rows_mended: 0,
            bytes_mended: 0,
            retries: 0,
            uncertain_batches: 0,
            insert_rate: Some(450.0),
            truth: TruthReport::None { reason: "--ground-truth 0".into() },
        };
        let last = |report: &SetupReport| closing_table(report).lines().last().unwrap().to_owned();
        assert_eq!(last(&report), "  total          2.0 s");
        let mended = SetupReport {
            rows_mended: 100,
            bytes_mended: 10_000_000,
            retries: 3,
            uncertain_batches: 2,
            ..report
        };
        assert!(closing_table(&mended).contains("900 rows, 450 rows/s, 90.0 MB"));
        assert_eq!(
            last(&mended),
            "  total          2.0 s   3 times something was tried again, 2 batches had to be looked for, \
             100 rows that lacked were sent then, 10.0 MB"
        );
    }
}
