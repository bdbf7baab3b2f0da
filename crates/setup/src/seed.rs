//! The whole way, from nothing to a collection that is ready to be searched.

use std::future::Future;
use std::time::{Duration, Instant};

use serde::Serialize;
use squall_core::dataset::VECTOR_FIELD;
use squall_milvus::admin::Admin;
use tokio_util::sync::CancellationToken;

use crate::event::{Event, Events, Phase};
use crate::existing::Existing;
use crate::truth::{TruthReport, TruthTask};
use crate::{SetupConfig, SetupError, existing, from_file, insert, settle, verify};

/// What setup found or made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The collection was made.
    Created,
    /// It was there already.
    AlreadyThere,
}

/// How long a phase took.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PhaseTime {
    /// Which.
    pub phase: Phase,
    /// Seconds.
    pub seconds: f64,
}

/// What setup did: the closing table, and `setup --format json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SetupReport {
    /// Found or made.
    pub outcome: Outcome,
    /// The server's URI.
    pub uri: String,
    /// The server's own version text.
    pub server_version: Option<String>,
    /// The collection.
    pub collection: String,
    /// Identity of its dataset.
    pub dataset: String,
    /// Its rows.
    pub rows: u64,
    /// Its dimension.
    pub dimension: u32,
    /// Its index.
    pub index: String,
    /// The phases, in order.
    pub phases: Vec<PhaseTime>,
    /// Rows a second while inserting.
    pub insert_rate: Option<f64>,
    /// The exact neighbours of the queries.
    pub truth: TruthReport,
}

/// Seeds the collection, or finds that it is there already.
///
/// `cancel` stops it between and within phases; the collection is then incomplete and says so when
/// setup is run again.
pub async fn seed(
    admin: &Admin,
    config: &SetupConfig,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<SetupReport, SetupError> {
    let work = async {
        // Before anything is made or dropped.
        from_file::check(config, events).await?;
        let truth = TruthTask::prepare(&config.truth, &config.dataset, config.rows, config.index.metric)?;
        if config.drop_existing {
            // Whatever it is: a collection too broken to look at is dropped, too.
            drop_existing(admin, config, events).await?;
        } else {
            match existing::look(admin, config).await? {
                Existing::Absent => {}
                Existing::Same => {
                    let mut clock = PhaseClock { events, phases: Vec::new() };
                    let truth = clock.truth(truth, cancel).await?;
                    return report(admin, config, Outcome::AlreadyThere, clock.phases, truth).await;
                }
                Existing::Different(difference) => {
                    let collection = config.server.collection.clone();
                    return Err(SetupError::Different { collection, difference });
                }
            }
        }
        let (phases, truth) = make(admin, config, events, truth, cancel).await?;
        report(admin, config, Outcome::Created, phases, truth).await
    };
    tokio::select! {
        result = work => result,
        () = cancel.cancelled() => Err(SetupError::Interrupted { collection: config.server.collection.clone() }),
    }
}

async fn drop_existing(admin: &Admin, config: &SetupConfig, events: &Events) -> Result<(), SetupError> {
    let collection = &config.server.collection;
    if !admin.has_collection(collection).await? {
        return Ok(());
    }
    let rows = admin.row_count(collection).await.ok();
    events.send(Event::Dropping { collection: collection.clone(), rows });
    Ok(admin.drop_collection(collection).await?)
}

/// All phases, in order, with their times.
async fn make(
    admin: &Admin,
    config: &SetupConfig,
    events: &Events,
    truth: TruthTask,
    cancel: &CancellationToken,
) -> Result<(Vec<PhaseTime>, TruthReport), SetupError> {
    let collection = config.server.collection.as_str();
    let schema = config.dataset.schema(config.rows);
    let mut clock = PhaseClock { events, phases: Vec::new() };

    clock
        .time(Phase::Create, 0, async {
            Ok(admin.create_collection(collection, &schema, config.consistency, None).await?)
        })
        .await?;
    clock.time(Phase::Insert, config.rows, insert::insert(admin, config, events)).await?;
    clock.time(Phase::Flush, 0, async { Ok(admin.flush(collection).await?) }).await?;
    clock
        .time(Phase::Index, 100, async {
            admin.create_index(collection, VECTOR_FIELD, &config.index).await?;
            settle::wait_for_index(admin, config, VECTOR_FIELD, events).await
        })
        .await?;
    // From here on the server works and this side waits.
    let truth = truth.start(cancel);
    clock.time(Phase::Load, 100, settle::load(admin, collection, events)).await?;
    clock.time(Phase::Settle, 0, settle::settle(admin, config, VECTOR_FIELD)).await?;
    let truth = clock.truth(truth, cancel).await?;
    clock.time(Phase::Verify, verify::SAMPLE, verify::verify(admin, config, events)).await?;
    Ok((clock.phases, truth))
}

async fn report(
    admin: &Admin,
    config: &SetupConfig,
    outcome: Outcome,
    phases: Vec<PhaseTime>,
    truth: TruthReport,
) -> Result<SetupReport, SetupError> {
    let insert_seconds = phases.iter().find(|time| time.phase == Phase::Insert).map(|time| time.seconds);
    Ok(SetupReport {
        outcome,
        uri: config.server.uri.clone(),
        server_version: admin.server_version(),
        collection: config.server.collection.clone(),
        dataset: config.dataset.id(),
        rows: config.rows,
        dimension: config.dataset.dimension(),
        index: config.index.to_string(),
        phases,
        insert_rate: insert_seconds
            .filter(|seconds| *seconds > 0.0)
            .map(|seconds| config.rows as f64 / seconds),
        truth,
    })
}

/// Announces and times phases.
struct PhaseClock<'a> {
    events: &'a Events,
    phases: Vec<PhaseTime>,
}

impl PhaseClock<'_> {
    async fn time(
        &mut self,
        phase: Phase,
        total: u64,
        work: impl Future<Output = Result<(), SetupError>>,
    ) -> Result<(), SetupError> {
        let started = Instant::now();
        self.events.send(Event::Started { phase, total });
        work.await?;
        let took: Duration = started.elapsed();
        self.events.send(Event::Finished { phase, took });
        self.phases.push(PhaseTime { phase, seconds: took.as_secs_f64() });
        Ok(())
    }

    /// Waits for truth; what it took beside the phases before is in their times.
    async fn truth(
        &mut self,
        truth: TruthTask,
        cancel: &CancellationToken,
    ) -> Result<TruthReport, SetupError> {
        let started = Instant::now();
        let report = truth.finish(self.events, cancel).await?;
        if let TruthReport::Made { .. } = report {
            self.phases.push(PhaseTime { phase: Phase::Truth, seconds: started.elapsed().as_secs_f64() });
        }
        Ok(report)
    }
}
