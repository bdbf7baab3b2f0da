//! `squall analyze import`: what other tools measured enters the history.

use std::path::{Path, PathBuf};

use clap::ArgMatches;
use squall_analyze::import::{ImportOptions, k6, locust};
use squall_analyze::trend::since;

use crate::exit::{Exit, Failure};

pub(crate) fn execute(matches: &ArgMatches) -> Result<Exit, Failure> {
    let (tool, matches) = matches.subcommand().expect("clap requires it");
    let text = |name: &str| matches.get_one::<String>(name);
    let mut labels = Vec::new();
    for text in matches.get_many::<String>("label").into_iter().flatten() {
        let (key, value) = text
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("--label `{text}` is not KEY=VALUE, such as build=412")))?;
        labels.push((key.trim().to_owned(), value.trim().to_owned()));
    }
    squall_core::ci::add_labels(&mut labels, |name| std::env::var(name).ok());
    let options = ImportOptions {
        data: PathBuf::from(text("data").expect("it has a default")),
        name: text("name").cloned(),
        started: text("started").map(|text| since(text)).transpose().map_err(Failure::usage)?,
        labels,
    };
    let source = Path::new(text("source").expect("clap requires it"));
    let imported = if tool == "locust" { locust(source, &options) } else { k6(source, &options) }?;
    let run = &imported.summary.run;
    eprintln!(
        "imported {} requests that {tool} measured from {}: {}",
        imported.summary.totals.requests,
        run.started.format("%Y-%m-%d %H:%M:%S UTC"),
        imported.directory.display()
    );
    Ok(Exit::Done)
}
