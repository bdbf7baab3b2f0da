//! The whole way, from nothing to a collection that is ready to be searched.

use std::future::Future;
use std::ops::Range;
use std::time::{Duration, Instant};

use serde::Serialize;
use squall_core::schema::Consistency;
use squall_milvus::admin::{Admin, Layout};
use tokio_util::sync::CancellationToken;

use crate::encoder::partition_name;
use crate::event::{Event, Events, Phase};
use crate::existing::Existing;
use crate::insert::Sent;
use crate::mend::{Stored, mend};
use crate::patience::Patience;
use crate::ranges::total;
use crate::truth::{TruthReport, TruthTask};
use crate::{SetupConfig, SetupError, existing, from_file, insert, settle, support, verify};

/// What setup found or made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The collection was made.
    Created,
    /// A part of it was there, and what it lacked was sent.
    Resumed,
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
    /// Rows that were sent and taken.
    pub rows_sent: u64,
    /// Bytes of their requests.
    pub bytes_sent: u64,
    /// How often something was tried again.
    pub retries: u64,
    /// Batches whose fate was unknown and had to be looked for.
    pub uncertain_batches: u64,
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
    let patience = Patience::new(config, events);
    let clock = PhaseClock { events, phases: Vec::new() };
    let mut seeding =
        Seeding { admin, config, events, cancel, patience, clock, sent: Sent::default(), uncertain: 0 };
    let collection = || config.server.collection.clone();
    let work = async {
        // Before anything is made or dropped.
        support::check(admin, config)?;
        from_file::check(config, events).await?;
        let truth = TruthTask::prepare(&config.truth, &config.dataset, config.rows, config.index.metric)?;
        if config.drop_existing {
            // Whatever it is: a collection too broken to look at is dropped, too.
            seeding.drop_existing().await?;
            return seeding.create(truth).await;
        }
        match existing::look(admin, config, &seeding.patience).await? {
            Existing::Absent => seeding.create(truth).await,
            Existing::Same => {
                let truth = seeding.clock.truth(truth, cancel).await?;
                Ok(seeding.report(Outcome::AlreadyThere, truth))
            }
            Existing::Incomplete(_) if config.resume => seeding.resume(truth).await,
            Existing::Incomplete(reason) => Err(SetupError::Incomplete { collection: collection(), reason }),
            Existing::Different(difference) => {
                Err(SetupError::Different { collection: collection(), difference })
            }
        }
    };
    tokio::select! {
        result = work => result,
        () = cancel.cancelled() => Err(SetupError::Interrupted { collection: collection() }),
    }
}

/// Setup under way.
struct Seeding<'a> {
    admin: &'a Admin,
    config: &'a SetupConfig,
    events: &'a Events,
    cancel: &'a CancellationToken,
    patience: Patience,
    clock: PhaseClock<'a>,
    sent: Sent,
    /// Batches whose fate was unknown.
    uncertain: usize,
}

impl Seeding<'_> {
    fn collection(&self) -> &str {
        &self.config.server.collection
    }

    async fn drop_existing(&self) -> Result<(), SetupError> {
        let collection = self.collection();
        if !self.patience.ask(|| self.admin.has_collection(collection)).await? {
            return Ok(());
        }
        let rows = self.admin.row_count(collection).await.ok();
        self.events.send(Event::Dropping { collection: collection.to_owned(), rows });
        self.patience.ask(|| self.admin.drop_collection(collection)).await
    }

    /// Everything, from nothing.
    async fn create(&mut self, truth: TruthTask) -> Result<SetupReport, SetupError> {
        let Self { admin, config, patience, clock, .. } = self;
        let collection = config.server.collection.as_str();
        let layout = Layout {
            shards: Some(config.shards),
            partition_key: config.partition_key.clone(),
            partitions: config.partition_key.as_ref().and(config.partitions),
        };
        let schema = config.schema();
        clock
            .time(Phase::Create, 0, async {
                let create =
                    || admin.create_collection_with(collection, &schema, config.consistency, &layout);
                patience.ask(create).await?;
                for number in 0..config.named_partitions().unwrap_or(0) {
                    let partition = partition_name(number);
                    patience.ask(|| admin.create_partition(collection, &partition)).await?;
                }
                Ok(())
            })
            .await?;
        let truth = self.fill(all_rows(self.config), truth).await?;
        Ok(self.report(Outcome::Created, truth))
    }

    /// What an incomplete collection lacks.
    async fn resume(&mut self, truth: TruthTask) -> Result<SetupReport, SetupError> {
        let Self { admin, config, events, patience, clock, .. } = self;
        let (admin, config, events) = (*admin, *config, *events);
        if config.auto_id {
            let reason = "its keys are the server's, so nobody can tell which rows it lacks".to_owned();
            return Err(SetupError::Different {
                collection: config.server.collection.clone(),
                difference: reason,
            });
        }
        // Setup may have ended between the collection and its partitions.
        for number in 0..config.named_partitions().unwrap_or(0) {
            let partition = partition_name(number);
            patience.ask(|| admin.create_partition(&config.server.collection, &partition)).await?;
        }
        settle::ask_for_index(admin, config, patience).await?;
        clock.time(Phase::Load, 100, settle::load(admin, config, patience, events)).await?;
        let stored = Stored { admin, collection: &config.server.collection, patience };
        let mut send = Vec::new();
        clock
            .time(Phase::Count, config.rows, async {
                let found = stored.examine(all_rows(config), false, events).await?;
                let doubled = found.doubled.len();
                events.send(Event::Resuming { missing: total(&found.missing), doubled });
                send = stored.to_send(found).await?;
                Ok(())
            })
            .await?;
        let truth = self.fill(send, truth).await?;
        Ok(self.report(Outcome::Resumed, truth))
    }

    /// Inserts what is to be sent and does all that comes after.
    async fn fill(&mut self, send: Vec<Range<u64>>, truth: TruthTask) -> Result<TruthReport, SetupError> {
        let Self { admin, config, events, cancel, patience, clock, sent, uncertain } = self;
        let (admin, config, events) = (*admin, *config, *events);
        let collection = config.server.collection.as_str();
        if !send.is_empty() {
            let rows = total(&send);
            clock
                .time(Phase::Insert, rows, async {
                    *sent = insert::insert(admin, config, send, patience, events).await?;
                    Ok(())
                })
                .await?;
        }
        clock.time(Phase::Flush, 0, patience.ask(|| admin.flush(collection))).await?;
        clock.time(Phase::Index, 100, settle::index(admin, config, patience, events)).await?;
        // From here on the server works and this side waits.
        let truth = truth.start(cancel);
        clock.time(Phase::Load, 100, settle::load(admin, config, patience, events)).await?;
        let suspects = std::mem::take(&mut sent.uncertain);
        *uncertain = suspects.len();
        let stored = Stored { admin, collection, patience };
        if !suspects.is_empty() {
            if config.auto_id {
                return Err(SetupError::Uncertain {
                    collection: collection.to_owned(),
                    rows: total(&suspects),
                });
            }
            clock
                .time(Phase::Count, total(&suspects), async {
                    mend(&stored, config, suspects, true, events).await.map(drop)
                })
                .await?;
        }
        let found = patience.ask(|| admin.count(collection, None, Consistency::Strong)).await?;
        if found != config.rows && !config.auto_id {
            // A server that fell over may have lost rows that it had taken.
            clock
                .time(Phase::Count, config.rows, async {
                    mend(&stored, config, all_rows(config), false, events).await.map(drop)
                })
                .await?;
        }
        clock.time(Phase::Settle, 0, settle::settle(admin, config, patience)).await?;
        let truth = clock.truth(truth, cancel).await?;
        clock.time(Phase::Verify, verify::SAMPLE, verify::verify(admin, config, events)).await?;
        Ok(truth)
    }

    fn report(&self, outcome: Outcome, truth: TruthReport) -> SetupReport {
        let Self { admin, config, patience, clock, sent, uncertain, .. } = self;
        let insert_seconds =
            clock.phases.iter().find(|time| time.phase == Phase::Insert).map(|time| time.seconds);
        SetupReport {
            outcome,
            uri: config.server.uri.clone(),
            server_version: admin.server_version(),
            collection: config.server.collection.clone(),
            dataset: config.dataset.id(),
            rows: config.rows,
            dimension: config.dataset.dimension(),
            index: config.index.to_string(),
            phases: clock.phases.clone(),
            rows_sent: sent.rows,
            bytes_sent: sent.bytes,
            retries: patience.retries(),
            uncertain_batches: *uncertain as u64,
            insert_rate: insert_seconds
                .filter(|seconds| *seconds > 0.0)
                .map(|seconds| sent.rows as f64 / seconds),
            truth,
        }
    }
}

/// Every row, as ranges to be sent or looked through.
fn all_rows(config: &SetupConfig) -> Vec<Range<u64>> {
    std::iter::once(0..config.rows).collect()
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
