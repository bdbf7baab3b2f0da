//! Datasets from files: what the settings say of them, and one look at every row before anything is
//! created or dropped.

use std::path::Path;

use squall_core::config::{ConfigError, Settings};
use squall_core::dataset::Dataset;
use squall_core::run_config::parse_dimension;

use crate::event::{Event, Events, Phase};
use crate::{SetupConfig, SetupError};

/// The file's dataset; a dimension that was given must be the file's.
pub(crate) fn open(settings: &Settings, path: &str) -> Result<Dataset, ConfigError> {
    let dataset =
        Dataset::file(Path::new(path)).map_err(|error| settings.error("dataset", error.to_string()))?;
    match settings.parse("dimension", parse_dimension)? {
        Some(wanted) if settings.origin("dimension").is_users_own() && wanted != dataset.dimension() => {
            let found = dataset.dimension();
            let reason = format!("the vectors of {path} have {found} components, not {wanted}; leave it out");
            Err(settings.error("dimension", reason))
        }
        _ => Ok(dataset),
    }
}

/// How many rows are meant: what was given, or else all that the dataset has.
pub(crate) fn rows(settings: &Settings, dataset: &Dataset, setting: u64) -> Result<u64, ConfigError> {
    let given = settings.origin("num-vectors").is_users_own();
    match dataset.rows() {
        Some(found) if given && setting > found => {
            let reason =
                format!("the file has {found} rows, not {setting}; leave it out to load all of them");
            Err(settings.error("num-vectors", reason))
        }
        Some(found) if !given => Ok(found),
        _ => Ok(setting),
    }
}

/// Looks at every row of a file that will be sent; datasets that are made need no look.
pub(crate) async fn check(config: &SetupConfig, events: &Events) -> Result<(), SetupError> {
    if config.dataset.as_file().is_none() {
        return Ok(());
    }
    let started = std::time::Instant::now();
    events.send(Event::Started { phase: Phase::Check, total: config.rows });
    // Dropped with this future, which ends the look when setup is interrupted.
    let (asked, answer) = tokio::sync::oneshot::channel::<()>();
    let (dataset, rows, metric) = (config.dataset.clone(), config.rows, config.index.metric);
    let progress = events.clone();
    let look = tokio::task::spawn_blocking(move || {
        dataset.check(rows, metric, &|done| {
            progress.progress(Phase::Check, done);
            !asked.is_closed()
        })
    });
    look.await.expect("looking at rows does not panic and the pool outlives setup")?;
    drop(answer);
    events.send(Event::Finished { phase: Phase::Check, took: started.elapsed() });
    Ok(())
}
