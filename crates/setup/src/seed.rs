//! The whole way, from nothing to a collection that is ready to be searched.

use std::future::Future;
use std::ops::Range;
use std::time::{Duration, Instant};

use serde::Serialize;
use squall_core::schema::Consistency;
use squall_milvus::LoadState;
use squall_milvus::admin::Admin;
use tokio_util::sync::CancellationToken;

use crate::error::Left;
use crate::event::{Event, Events, Phase};
use crate::existing::Existing;
use crate::insert::Sent;
use crate::mend::{Mended, Stored, mend};
use crate::patience::Patience;
use crate::ranges::{Findings, Look, total};
use crate::truth::{TruthReport, TruthTask};
use crate::{SetupConfig, SetupError};
use crate::{create, existing, from_file, insert, probe, settle, support, verify};

/// How long setup that ends waits for what is to be dropped, or counted before it is.
const BRIEFLY: Duration = Duration::from_secs(10);

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
    /// Rows that lacked after that and were sent and taken then.
    pub rows_mended: u64,
    /// Bytes of their requests.
    pub bytes_mended: u64,
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
/// `cancel` stops it between and within phases; the error then says whether anything was made, and setup
/// goes on when it is run again.
pub async fn seed(
    admin: &Admin,
    config: &SetupConfig,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<SetupReport, SetupError> {
    let mut seeding = Seeding {
        admin,
        config,
        events,
        cancel,
        patience: Patience::new(config, events),
        clock: PhaseClock { events, phases: Vec::new() },
        sent: Sent::default(),
        mended: Mended::default(),
        uncertain: 0,
        left: Left::Nothing,
        probe: None,
    };
    let finished = tokio::select! {
        result = seeding.work() => Some(result),
        () = cancel.cancelled() => None,
    };
    let result = finished.unwrap_or_else(|| {
        Err(SetupError::Interrupted { collection: config.server.collection.clone(), left: seeding.left })
    });
    // However setup ended.
    let result = match seeding.probe.take() {
        Some(probe) => drop_probe(admin, probe, result).await,
        None => result,
    };
    let rows_sent = seeding.sent.rows + seeding.mended.rows;
    result.map_err(|error| error.leaving(seeding.left, &config.server.collection, rows_sent))
}

/// Drops the collection that was tried with; where that fails, its error names it.
async fn drop_probe(
    admin: &Admin,
    probe: String,
    result: Result<SetupReport, SetupError>,
) -> Result<SetupReport, SetupError> {
    let error = match tokio::time::timeout(BRIEFLY, admin.drop_collection(&probe)).await {
        Ok(Ok(())) => return result,
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", BRIEFLY.as_secs()),
    };
    result.map_err(|source| SetupError::ProbeLeft { probe, error, source: Box::new(source) })
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
    mended: Mended,
    /// Batches whose fate was unknown.
    uncertain: usize,
    /// What there would be if it ended now.
    left: Left,
    /// The collection that is tried with, while it may be there.
    probe: Option<String>,
}

impl Seeding<'_> {
    async fn work(&mut self) -> Result<SetupReport, SetupError> {
        let Self { admin, config, cancel, .. } = *self;
        support::check(admin, config)?;
        let truth = TruthTask::prepare(&config.truth, &config.dataset, config.rows, config.index.metric)?;
        // What is dropped, whatever it is, need not be looked at: it may be too broken for that.
        let existing = if config.drop_existing {
            Existing::Absent
        } else {
            existing::look(admin, config, &self.patience).await?
        };
        let collection = || config.server.collection.clone();
        match &existing {
            Existing::Same if !config.resume => {
                let truth = self.clock.truth(truth, cancel).await?;
                return Ok(self.report(Outcome::AlreadyThere, truth));
            }
            Existing::Incomplete(reason) if !config.resume => {
                let (collection, reason) = (collection(), reason.clone());
                return Err(SetupError::Incomplete { collection, reason });
            }
            Existing::Different(difference) => {
                let (collection, difference) = (collection(), difference.clone());
                return Err(SetupError::Different { collection, difference });
            }
            Existing::Absent | Existing::Same | Existing::Incomplete(_) => {}
        }
        // Before anything is made or dropped.
        self.check_file().await?;
        if existing != Existing::Absent {
            return self.resume(existing == Existing::Same, truth).await;
        }
        self.rehearse().await?;
        if config.drop_existing {
            self.drop_existing().await?;
        }
        self.create(truth).await
    }

    fn collection(&self) -> &str {
        &self.config.server.collection
    }

    /// Looks at each row of a file.
    async fn check_file(&mut self) -> Result<(), SetupError> {
        if self.config.dataset.as_file().is_none() {
            return Ok(());
        }
        let started = Instant::now();
        from_file::check(self.config, self.events).await?;
        self.clock.phases.push(PhaseTime { phase: Phase::Check, seconds: started.elapsed().as_secs_f64() });
        Ok(())
    }

    /// Finds out whether the server takes what it will be asked for.
    async fn rehearse(&mut self) -> Result<(), SetupError> {
        let Self { admin, config, patience, clock, probe, .. } = self;
        let (admin, config) = (*admin, *config);
        // Whether this user may drop at all, asked of a collection that is not there.
        let absent = probe::name(&config.server.collection);
        match patience.ask(|| admin.drop_collection(&absent)).await {
            // Who may make collections and not drop them loses nothing by a refusal that comes later.
            Err(SetupError::Server(error)) if error.is_not_permitted() && !config.drop_existing => {
                return Ok(());
            }
            dropped => dropped?,
        }
        probe::drop_leftovers(admin, &config.server.collection).await;
        let rehearsal = probe::rehearse(admin, config, patience, probe);
        match clock.time(Phase::Rehearse, 0, rehearsal).await {
            Err(error @ (SetupError::Server(_) | SetupError::Index { .. })) => Err(SetupError::Refused {
                collection: config.server.collection.clone(),
                probe: self.probe.clone().unwrap_or(absent),
                source: Box::new(error),
            }),
            result => result,
        }
    }

    async fn drop_existing(&mut self) -> Result<(), SetupError> {
        let (admin, collection) = (self.admin, self.config.server.collection.as_str());
        if !self.patience.ask(|| admin.has_collection(collection)).await? {
            return Ok(());
        }
        let (rows, counted) = rows_to_drop(admin, collection).await;
        self.events.send(Event::Dropping { collection: collection.to_owned(), rows, counted });
        self.patience.ask(|| admin.drop_collection(collection)).await?;
        self.left = Left::Dropped;
        Ok(())
    }

    /// From now on there is a collection that lacks something.
    fn begin(&mut self) {
        self.left = Left::Incomplete { server_keys: self.config.auto_id };
    }

    /// Everything, from nothing.
    async fn create(&mut self, truth: TruthTask) -> Result<SetupReport, SetupError> {
        let Self { admin, config, patience, clock, left, .. } = self;
        let (admin, config) = (*admin, *config);
        let before = *left;
        clock
            .time(Phase::Create, 0, async {
                // An interruption may come when the server has it already.
                *left = Left::Incomplete { server_keys: config.auto_id };
                create::collection(admin, config, &config.schema(), patience)
                    .await
                    .inspect_err(|_| *left = before)?;
                create::partitions(admin, config, patience, 0).await
            })
            .await?;
        let truth = self.fill(all_rows(self.config), truth).await?;
        Ok(self.report(Outcome::Created, truth))
    }

    /// What a collection lacks; `whole` says that it has the right number of rows and its indexes.
    async fn resume(&mut self, whole: bool, truth: TruthTask) -> Result<SetupReport, SetupError> {
        if self.config.auto_id {
            let reason = "its keys are the server's, so nobody can tell which rows it lacks".to_owned();
            let collection = self.collection().to_owned();
            return Err(SetupError::Different { collection, difference: reason });
        }
        if !whole {
            self.begin();
        }
        let Self { admin, config, events, patience, clock, .. } = self;
        let (admin, config, events) = (*admin, *config, *events);
        probe::drop_leftovers(admin, &config.server.collection).await;
        // Setup may have ended between the collection and its partitions.
        let described = patience.ask(|| admin.describe_collection(&config.server.collection)).await?;
        // All but the default one; where the server does not tell, all are asked for.
        let there = described.partitions.map_or(0, |partitions| partitions.saturating_sub(1));
        create::partitions(admin, config, patience, there).await?;
        settle::ask_for_index(admin, config, patience).await?;
        clock.time(Phase::Load, 100, settle::load(admin, config, patience, events)).await?;
        let stored = Stored { admin, collection: &config.server.collection, patience };
        let mut found = Findings::default();
        clock
            .time(Phase::Count, config.rows, async {
                found = stored.examine(all_rows(config), Look::through(config.rows), events).await?;
                Ok(())
            })
            .await?;
        let doubled = found.doubled.len();
        events.send(Event::Resuming { missing: total(&found.missing), doubled });
        if whole && found.is_clean() {
            let truth = clock.truth(truth, self.cancel).await?;
            return Ok(self.report(Outcome::AlreadyThere, truth));
        }
        self.begin();
        let stored = Stored { admin, collection: &config.server.collection, patience: &self.patience };
        let send = stored.to_send(found).await?;
        let truth = self.fill(send, truth).await?;
        Ok(self.report(Outcome::Resumed, truth))
    }

    /// Inserts what is to be sent and does all that comes after.
    async fn fill(&mut self, send: Vec<Range<u64>>, truth: TruthTask) -> Result<TruthReport, SetupError> {
        self.begin();
        let Self { admin, config, events, cancel, patience, clock, sent, mended, uncertain, .. } = self;
        let (admin, config, events) = (*admin, *config, *events);
        let collection = config.server.collection.as_str();
        if !send.is_empty() {
            let rows = total(&send);
            clock
                .time(Phase::Insert, rows, async {
                    insert::insert(admin, config, send, patience, events, sent).await
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
                    mend(&stored, config, suspects, Look::Keys, events, mended).await
                })
                .await?;
        }
        let found = patience.ask(|| admin.count(collection, None, Consistency::Strong)).await?;
        if found != config.rows && !config.auto_id {
            // A server that fell over may have lost rows that it had taken.
            clock
                .time(Phase::Count, config.rows, async {
                    let look = Look::through(config.rows);
                    mend(&stored, config, all_rows(config), look, events, mended).await
                })
                .await?;
        }
        if mended.rounds > 0 {
            // They came after all was flushed and indexed.
            clock.time(Phase::Flush, 0, patience.ask(|| admin.flush(collection))).await?;
            clock.time(Phase::Index, 100, settle::index(admin, config, patience, events)).await?;
        }
        clock.time(Phase::Settle, 0, settle::settle(admin, config, patience)).await?;
        let truth = clock.truth(truth, cancel).await?;
        clock.time(Phase::Verify, verify::SAMPLE, verify::verify(admin, config, patience, events)).await?;
        Ok(truth)
    }

    fn report(&self, outcome: Outcome, truth: TruthReport) -> SetupReport {
        let Self { admin, config, patience, clock, sent, mended, uncertain, .. } = self;
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
            rows_mended: mended.rows,
            bytes_mended: mended.bytes,
            retries: patience.retries(),
            uncertain_batches: *uncertain as u64,
            insert_rate: insert_seconds
                .filter(|seconds| *seconds > 0.0)
                .map(|seconds| sent.rows as f64 / seconds),
            truth,
        }
    }
}

/// The rows of a collection that is about to be dropped, and whether they were counted: that takes a
/// loaded one, and of another just those that were flushed are known.
async fn rows_to_drop(admin: &Admin, collection: &str) -> (Option<u64>, bool) {
    if let Ok(LoadState::Loaded) = admin.load_state(collection).await {
        let count = admin.count(collection, None, Consistency::Strong);
        if let Ok(Ok(rows)) = tokio::time::timeout(BRIEFLY, count).await {
            return (Some(rows), true);
        }
    }
    (admin.row_count(collection).await.ok(), false)
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
