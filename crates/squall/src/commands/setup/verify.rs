//! `squall setup verify`.

use clap::ArgMatches;
use squall_core::keys::Command;
use squall_milvus::admin::Admin;
use squall_setup::{Inspection, SetupConfig};
use tokio_util::sync::CancellationToken;

use super::{endpoint, interrupted};
use crate::exit::{Exit, Failure};
use crate::layers;
use crate::signals::Signals;

pub(super) async fn execute(matches: &ArgMatches) -> Result<Exit, Failure> {
    let (settings, notes) = layers::settings(Command::Setup, matches)?;
    for note in notes {
        eprintln!("note: {note}");
    }
    let mut config = SetupConfig::new(&settings, false)?;
    config.auto_id = matches.get_flag("auto-id");
    let endpoint = endpoint(&config.server, &settings)?;
    let mut signals = Signals::listen().map_err(Failure::failed)?;
    let cancel = CancellationToken::new();
    let inspecting = async {
        let admin = Admin::connect(&endpoint, config.server.transport).await?;
        Ok::<_, Failure>(squall_setup::inspect(&admin, &config, &cancel).await?)
    };
    let inspection = tokio::select! {
        result = inspecting => result?,
        _ = signals.next() => {
            cancel.cancel();
            return Err(interrupted(&config));
        }
    };
    print(&inspection);
    if matches.get_one::<String>("format").is_some_and(|format| format == "json") {
        println!("{}", serde_json::to_string_pretty(&inspection).map_err(Failure::failed)?);
    }
    if inspection.good {
        return Ok(Exit::Done);
    }
    let wrong: Vec<&str> =
        inspection.checks.iter().filter(|check| !check.good).map(|check| check.name).collect();
    Err(Failure::failed(anyhow::anyhow!(
        "collection `{}` is not what setup makes: {} is not as it should be; see above how to mend it",
        inspection.collection,
        wrong.join(", ")
    )))
}

fn print(inspection: &Inspection) {
    eprintln!("collection {} at {}", inspection.collection, inspection.uri);
    for check in &inspection.checks {
        let mark = if check.good { "✓" } else { "✗" };
        let mend = check.mend.as_ref().map_or_else(String::new, |mend| format!("; {mend}"));
        eprintln!("  {mark} {:<8} {}{mend}", check.name, check.found);
    }
}
