//! Datasets from files: what the settings say of them, and one look at every row before anything is
//! created or dropped.

use std::path::Path;

use squall_core::config::{ConfigError, Settings};
use squall_core::dataset::Dataset;
use squall_core::dataset::file::{Neighbours, queries_beside, truth_beside};
use squall_core::run_config::{parse_dimension, with_queries};
use squall_core::vector_type::VectorType;
use squall_core::workload::Workload;
use tokio_util::sync::CancellationToken;

use crate::event::{Event, Events, Phase};
use crate::truth::judge_given;
use crate::{SetupConfig, SetupError, index};

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

/// The workload with the query vectors that were given, or that lie beside the dataset's files.
pub(crate) fn queries(
    settings: &Settings,
    dataset: &Dataset,
    workload: Workload,
    notes: &mut Vec<String>,
) -> Result<Workload, ConfigError> {
    let checked = |setting: &str, workload: Workload| -> Result<Workload, ConfigError> {
        let metric = index::spec(settings, dataset.vector_type(), dataset.dimension())?.metric;
        match workload.check_queries(dataset.vector_type(), metric) {
            Ok(()) => Ok(workload),
            Err(error) => Err(settings.error(setting, error.to_string())),
        }
    };
    if settings.text("queries").is_some() {
        return checked("queries", with_queries(settings, workload, Some(dataset.dimension()), notes)?);
    }
    let Some(beside) = dataset.as_file().and_then(|file| queries_beside(file.path())) else {
        return Ok(workload);
    };
    let failed = |error: squall_core::dataset::DatasetError| settings.error("dataset", error.to_string());
    let workload = workload.with_query_file(&beside).map_err(failed)?;
    if workload.dimension != dataset.dimension() {
        let (path, found, wanted) = (beside.display(), workload.dimension, dataset.dimension());
        let reason = format!("the queries of {path} have {found} components, its rows {wanted}");
        return Err(settings.error("dataset", reason));
    }
    notes.push(format!("queries are those of {0}; give `run --queries {0}`, too", beside.display()));
    notes.extend(workload.query_note().map_err(failed)?);
    checked("dataset", workload)
}

/// The neighbours that were given, or that lie beside the dataset's files where those fit.
pub(crate) fn neighbours(
    settings: &Settings,
    dataset: &Dataset,
    rows: u64,
    workload: &Workload,
    notes: &mut Vec<String>,
) -> Result<Option<Neighbours>, ConfigError> {
    let given = settings.text("truth").map(std::path::PathBuf::from);
    let file = dataset.as_file();
    let beside = || file.and_then(|file| truth_beside(file.path()));
    let Some(path) = given.clone().or_else(beside) else { return Ok(None) };
    let unfit = match (file, &workload.query_file) {
        (None, _) => Err("neighbours can be given for a dataset from a file only".to_owned()),
        (_, None) => Err("neighbours are those of a query file; give --queries, too".to_owned()),
        (Some(file), _) if file.rows() != rows => {
            Err(format!("its neighbours are those among all {} rows, not the first {rows}", file.rows()))
        }
        _ if dataset.vector_type() != VectorType::Float32 => {
            Err("rounded vectors may have other neighbours".to_owned())
        }
        (Some(file), Some(queries)) => Ok((file, queries)),
    };
    let (file, queries) = match unfit {
        Ok(found) => found,
        Err(reason) if given.is_some() => return Err(settings.error("truth", reason)),
        Err(reason) => {
            notes.push(format!("{} is not used: {reason}", path.display()));
            return Ok(None);
        }
    };
    let setting = if given.is_some() { "truth" } else { "dataset" };
    let failed = |error: String| settings.error(setting, error);
    let queries = queries_beside(queries).unwrap_or_else(|| queries.clone());
    let count = Dataset::file(&queries).map_err(|error| failed(error.to_string()))?.rows().unwrap_or(0);
    Neighbours::read(&path, file, count).map(Some).map_err(|error| failed(error.to_string()))
}

/// Looks at every row of a file that will be sent, and at the neighbours that were given for its queries;
/// datasets that are made need no look.
pub(crate) async fn check(config: &SetupConfig, events: &Events) -> Result<(), SetupError> {
    if config.dataset.as_file().is_none() {
        return Ok(());
    }
    let started = std::time::Instant::now();
    events.send(Event::Started { phase: Phase::Check, total: config.rows });
    // Cancelled when this future is dropped, which ends the look when setup is interrupted.
    let cancel = CancellationToken::new();
    let _stop = cancel.clone().drop_guard();
    let (dataset, rows, metric) = (config.dataset.clone(), config.rows, config.index.metric);
    let (truth, progress) = (config.truth.clone(), events.clone());
    let look = tokio::task::spawn_blocking(move || -> Result<(), SetupError> {
        dataset.check(rows, metric, &|done| {
            progress.progress(Phase::Check, done);
            !cancel.is_cancelled()
        })?;
        Ok(judge_given(&truth, &dataset, rows, metric, &cancel)?)
    });
    look.await.expect("looking at rows does not panic and the pool outlives setup")?;
    events.send(Event::Finished { phase: Phase::Check, took: started.elapsed() });
    Ok(())
}
