//! From the command line to resolved settings: flag, environment, env-file, config, scenario.

use std::path::Path;

use clap::ArgMatches;
use squall_core::config::{ConfigError, Layer, Settings};
use squall_core::keys::Command;

use crate::cli;

/// The settings of `command`, and what the user should know of how they came about.
pub(crate) fn settings(
    command: Command,
    matches: &ArgMatches,
) -> Result<(Settings, Vec<String>), ConfigError> {
    let mut notes = Vec::new();
    let mut layers = vec![
        Layer::flags(command, cli::typed(command, matches)),
        Layer::environment(command, |name| std::env::var(name).ok()),
    ];
    if let Some(path) = matches.get_one::<String>("env-file") {
        layers.push(Layer::env_file(command, Path::new(path))?);
    } else if Path::new("config.env").is_file() {
        notes.push(
            "there is a config.env here, and it is not read; give --env-file config.env to read it"
                .to_owned(),
        );
    }
    if let Some(path) = matches.get_one::<String>("config") {
        layers.push(Layer::config_file(command, Path::new(path))?);
    }
    let scenario = (command == Command::Run).then(|| matches.get_one::<String>("scenario")).flatten();
    if let Some(name) = scenario {
        layers.push(Layer::scenario(name)?);
    }
    Ok((Settings::resolve(command, &layers), notes))
}
