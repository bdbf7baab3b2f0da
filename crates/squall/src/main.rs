//! The `squall` command: parses what was typed, chains the crates, draws their events.
//!
//! Words for people go to stderr; what a program would read goes to stdout.

mod cli;
mod commands;
mod exit;
mod layers;
mod progress;
mod signals;

use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

use crate::exit::{Exit, Failure};

fn main() -> ExitCode {
    // reqwest, tonic and the measured connections all use this one provider.
    let installed = rustls::crypto::ring::default_provider().install_default();
    debug_assert!(installed.is_ok(), "nothing installs a TLS provider before main does");

    let filter = EnvFilter::try_from_env("SQUALL_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    log.with_ansi(colours).without_time().init();

    let matches = match cli::command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            // Help and version are asked for, not wrong.
            let code = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            let _ = error.print();
            return code.into();
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(&Failure::failed(error)).into(),
    };
    let result = match matches.subcommand() {
        Some(("setup", matches)) => runtime.block_on(commands::setup::execute(matches)),
        Some(("run", matches)) => runtime.block_on(commands::run::execute(matches)),
        Some(("analyze", matches)) => commands::analyze::execute(matches),
        Some(("baseline", matches)) => commands::baseline::execute(matches),
        Some(("demo", matches)) => runtime.block_on(commands::demo::execute(matches)),
        Some(("sandbox", matches)) => runtime.block_on(commands::sandbox::execute(matches)),
        _ => unreachable!("clap requires a subcommand that it knows"),
    };
    // A task that still waits, such as one that reads stdin, must not keep the program alive.
    runtime.shutdown_background();
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => report(&failure).into(),
    }
}

/// Prints the error and its causes as one sentence; many errors tell their cause themselves.
fn report(failure: &Failure) -> Exit {
    let mut sentence = String::new();
    for cause in failure.error.chain().map(ToString::to_string) {
        if sentence.is_empty() {
            sentence = cause;
        } else if !sentence.contains(&cause) {
            sentence = format!("{sentence}: {cause}");
        }
    }
    eprintln!("error: {sentence}");
    failure.exit
}
