//! `squall analyze compare`.

use std::path::{Path, PathBuf};

use clap::ArgMatches;
use squall_analyze::compare::text;
use squall_analyze::{CompareOptions, compare_runs};

use crate::commands::baseline::{resolve, rules};
use crate::exit::{Exit, Failure};

pub(crate) fn execute(matches: &ArgMatches) -> Result<Exit, Failure> {
    let data = Path::new(matches.get_one::<String>("data").expect("it has a default"));
    let runs = |name: &str| resolve(data, matches.get_many::<String>(name).expect("clap requires it"));
    let texts = |name: &str| matches.get_many::<String>(name).into_iter().flatten();
    let options = CompareOptions {
        margin: *matches.get_one::<f64>("margin").expect("it has a default"),
        allowed: texts("allow-difference")
            .map(|key| key.parse().map_err(Failure::usage))
            .collect::<Result<_, _>>()?,
        fail_on: rules(texts("fail-on"))?,
    };
    let comparison = compare_runs(&runs("base")?, &runs("new")?, &options)?;
    let reports = matches.get_one::<String>("reports").expect("it has a default");
    let markdown = matches.get_one::<PathBuf>("markdown");
    let written = comparison.write(Path::new(reports), markdown.map(PathBuf::as_path))?;
    if matches.get_one::<String>("format").is_some_and(|format| format == "json") {
        println!("{}", serde_json::to_string_pretty(&comparison).map_err(Failure::failed)?);
    }
    eprint!("{}", text(&comparison));
    eprintln!("\nReport:  {}", written.html.display());
    Ok(if comparison.failed { Exit::Regression } else { Exit::Done })
}
