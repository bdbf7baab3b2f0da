//! From a run directory to the one result that every view reads.

use std::path::Path;

use squall_core::plan::Shard;
use squall_core::run_dir::RunDir;
use squall_core::run_record::{RunRecord, RunState};
use squall_core::summary::{
    RunIdentity, SUMMARY_SCHEMA_VERSION, ServerIdentity, Summary, ValidityCheck, Verdict,
};
use squall_core::target::PlannedTarget;

use crate::error::AnalyzeError;
use crate::failures::{self, FailureGroup};
use crate::figures::{self, Groups};
use crate::filters::{self, FilterGroup};
use crate::findings;
use crate::frame::Frame;
use crate::health::Health;
use crate::heat::{self, Heat, ServiceTimes};
use crate::judge::{self, JudgedTarget};
use crate::measured_time::MeasuredTime;
use crate::moments::Moments;
use crate::outages;
use crate::rows::{self, Columns, UnreadablePart};
use crate::series::{self, Series};
use crate::server_view::ServerView;
use crate::slowest::Slowest;
use crate::spans::Spans;
use crate::{contention, shards, validity, windows};
use squall_core::uri::without_credentials;

/// How a run is analysed.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Targets to judge instead of the plan's own.
    pub targets: Option<Vec<PlannedTarget>>,
}

/// All that is known of a run; text, page, figures, tables and JSON are views of it.
#[derive(Clone, Debug)]
pub struct Analysis {
    /// The content of `summary.json`.
    pub summary: Summary,
    /// The content of `run.json`.
    pub record: RunRecord,
    /// The run's directory; of shards the first one's.
    pub run: RunDir,
    /// The directories of the shards that were joined; none where the run is one directory.
    pub shards: Vec<RunDir>,
    /// The measured spans.
    pub spans: Spans,
    /// Figures with the sorted times behind them.
    pub groups: Groups,
    /// The targets in the order of the plan.
    pub targets: Vec<JudgedTarget>,
    /// The run over time.
    pub series: Series,
    /// Service times in the buckets of `series`.
    pub service: Vec<ServiceTimes>,
    /// Response times over time, all of them.
    pub heat: Heat,
    /// What failed.
    pub failures: Vec<FailureGroup>,
    /// The requests by class and filter.
    pub filters: Vec<FilterGroup>,
    /// The generator over time.
    pub health: Health,
    /// The server over time, as it says itself.
    pub server: ServerView,
    /// Parts that could not be read.
    pub unreadable: Vec<UnreadablePart>,
    /// What a reader must know beside the figures.
    pub notes: Vec<String>,
    pub(crate) frame: Frame,
}

impl Analysis {
    /// The name of the run's directory; of joined shards without which shard it is.
    pub fn name(&self) -> String {
        let name = self.run.name();
        match name.rsplit_once("-s") {
            Some((run, _)) if !self.shards.is_empty() => run.to_owned(),
            _ => name,
        }
    }
}

/// Reads a run directory and makes everything that is to be known of it.
///
/// # Errors
/// When there is no run, its record or row version is of another Squall, or there are no rows to
/// look for. Parts that cannot be read are no error: see [`Analysis::unreadable`].
pub fn analyze(run: &Path, options: &Options) -> Result<Analysis, AnalyzeError> {
    analyze_runs(&[run], options)
}

/// As [`analyze`], of the shards of one run together: they are judged as the run that they are.
///
/// # Errors
/// Also when the directories are not different shards of one run.
pub fn analyze_runs(paths: &[&Path], options: &Options) -> Result<Analysis, AnalyzeError> {
    let mut runs = shards::opened(paths)?;
    shards::alike(&runs)?;
    for (_, record) in &mut runs {
        // No view may show what a user wrote between `//` and `@`.
        record.server.uri = without_credentials(&record.server.uri);
        record.plan.server.uri = without_credentials(&record.plan.server.uri);
    }
    match runs.as_slice() {
        [] => Err(AnalyzeError::NoRun),
        [(run, record)] => {
            let Read { frame, unreadable, health } = Read::of(run, 0)?;
            let spans = Spans::of(record, || frame.last_due_ns());
            let groups = figures::make(&frame, &record.plan, &spans);
            let checks = check(record, &groups, &health, &spans, frame.len(), &unreadable);
            Ok(finish(
                Ingredients {
                    record: record.clone(),
                    run: run.clone(),
                    shards: Vec::new(),
                    frame,
                    unreadable,
                    health,
                    spans,
                    groups,
                    checks,
                    server: ServerView::read(&run.server()),
                },
                options,
            ))
        }
        _ => {
            let mut analysis = finish(join(&runs)?, options);
            shards::tell_of_killed(&runs, &analysis.spans, &mut analysis.notes);
            Ok(analysis)
        }
    }
}

/// What is read of one directory.
struct Read {
    frame: Frame,
    unreadable: Vec<UnreadablePart>,
    health: Health,
}

impl Read {
    /// The workers of shard `shard` get numbers of their own.
    fn of(run: &RunDir, shard: u32) -> Result<Self, AnalyzeError> {
        const WORKERS: u32 = 1 << 16;
        let (frame, unreadable) = rows::read(run, Columns::All)?;
        let mut health = Health::read(&run.generator());
        for second in &mut health.seconds {
            second.worker = second.worker.map(|worker| worker + shard * WORKERS);
        }
        Ok(Self { frame, unreadable, health })
    }
}

fn check(
    record: &RunRecord,
    groups: &Groups,
    health: &Health,
    spans: &Spans,
    rows: usize,
    unreadable: &[UnreadablePart],
) -> Vec<ValidityCheck> {
    validity::check(&validity::Evidence { record, groups, health, spans, rows_read: rows as u64, unreadable })
}

/// Joins shards: rows and health put together, each shard's generator checked by itself.
fn join(runs: &[(RunDir, RunRecord)]) -> Result<Ingredients, AnalyzeError> {
    let record = shards::joined(runs);
    let mut parts = Vec::new();
    for (run, own) in runs {
        parts.push((own, Read::of(run, own.shard.index)?));
    }
    // Where a shard was killed the whole run ends with what it left.
    let endless = parts.iter().filter(|(own, _)| own.totals.is_none());
    let last_due_ns = || endless.map(|(_, read)| read.frame.last_due_ns()).min().flatten();
    let spans = Spans::of(&record, last_due_ns);
    let (mut frame, mut unreadable, mut health) = (Frame::default(), Vec::new(), Health::default());
    let mut checks = Vec::new();
    for (own, read) in parts {
        let groups = figures::make(&read.frame, &own.plan, &spans);
        checks
            .push((own.shard, check(own, &groups, &read.health, &spans, read.frame.len(), &read.unreadable)));
        frame.join(read.frame);
        unreadable.extend(read.unreadable);
        health.missing = health.missing.or(read.health.missing);
        health.seconds.extend(read.health.seconds);
    }
    health.seconds.sort_by_key(|second| second.time_ns);
    let mut checks = shards::worst_checks(&checks);
    checks.push(shards::missing(runs));
    // Every shard looks at the same server: the first view that there is, is enough.
    let mut views = runs.iter().map(|(run, _)| ServerView::read(&run.server()));
    let first = views.next().unwrap_or_default();
    let server = if first.missing.is_none() {
        first
    } else {
        views.find(|view| view.missing.is_none()).unwrap_or(first)
    };
    Ok(Ingredients {
        groups: figures::make(&frame, &record.plan, &spans),
        run: runs[0].0.clone(),
        shards: runs.iter().map(|(run, _)| run.clone()).collect(),
        record,
        frame,
        unreadable,
        health,
        spans,
        checks,
        server,
    })
}

/// What an analysis is made from.
struct Ingredients {
    record: RunRecord,
    run: RunDir,
    shards: Vec<RunDir>,
    frame: Frame,
    unreadable: Vec<UnreadablePart>,
    health: Health,
    spans: Spans,
    groups: Groups,
    checks: Vec<ValidityCheck>,
    server: ServerView,
}

fn finish(ingredients: Ingredients, options: &Options) -> Analysis {
    let Ingredients { record, run, shards, frame, unreadable, health, spans, groups, checks, server } =
        ingredients;
    let state = record.state_now();
    let series = series::make(&frame);
    let failures = failures::group(&frame, &spans);
    let planned = options.targets.as_deref().unwrap_or(&record.plan.targets);
    let shard: Shard = record.shard;
    let case = judge::Case { plan: &record.plan, shard, spans: &spans, groups: &groups, frame: &frame };
    let targets = judge::judge(planned, &case);
    let verdict = judge::verdict(&checks, &targets, shard);
    let mut summary = summarize(&record, state, verdict, checks, &groups, &targets);
    summary.outages = outages::find(&frame);
    let filters = filters::group(&frame, &record.plan, &spans);
    let time = MeasuredTime::new(&spans, &record.plan);
    summary.findings = findings::find(&findings::Facts {
        plan: &record.plan,
        started: record.started,
        with_truth: groups.total.figures.recall.is_some(),
        spans: &spans,
        groups: &groups,
        series: &series,
        windows: &windows::cut(&frame, &time),
        failures: &failures,
        failed: &Moments::count(&frame, &time, |row| !row.outcome().is_answered()),
        filters: &filters,
        slowest: Slowest::of(&frame, &record.plan, &groups, &time).as_ref(),
        contention: &contention::between_classes(&frame, &time),
        server: &server,
        targets: &targets,
        checks: &summary.validity,
    });
    let notes = crate::notes::make(&record, state, &groups, &spans, &unreadable, &summary.outages);
    Analysis {
        service: heat::service_times(&frame, &series),
        heat: heat::map(&frame, &series),
        summary,
        record,
        run,
        shards,
        spans,
        groups,
        targets,
        series,
        failures,
        filters,
        health,
        server,
        unreadable,
        notes,
        frame,
    }
}

/// Response times of a run by class and by second, and nothing else: a quarter of an analysis.
///
/// # Errors
/// As [`analyze`].
pub fn response_times(run: &Path) -> Result<(Groups, Series), AnalyzeError> {
    let run = RunDir::open(run)?;
    let record = run.read_record()?;
    let (frame, _) = rows::read(&run, Columns::Responses)?;
    let spans = Spans::of(&record, || frame.last_due_ns());
    let series = series::by_second(&frame);
    Ok((figures::make(&frame, &record.plan, &spans), series))
}

fn summarize(
    record: &RunRecord,
    state: RunState,
    verdict: Verdict,
    validity: Vec<ValidityCheck>,
    groups: &Groups,
    targets: &[JudgedTarget],
) -> Summary {
    let figures = |groups: &[(String, figures::Group)]| {
        groups.iter().map(|(name, group)| (name.clone(), group.figures.clone())).collect()
    };
    Summary {
        schema_version: SUMMARY_SCHEMA_VERSION,
        run: RunIdentity {
            id: record.id.clone(),
            name: record.plan.name.clone(),
            started: record.started,
            state,
            work_key: record.work_key.clone(),
            collection: Some(record.collection.name.clone()),
            dataset: record.collection.dataset.clone(),
            rows: record.collection.dataset_rows.or(record.collection.rows),
            index: record.collection.index.clone(),
            server: ServerIdentity {
                uri: record.server.uri.clone(),
                version: record.server.version.clone(),
                protocol: record.server.protocol.clone(),
            },
            host_class: record.host.class(),
            labels: record.plan.labels.iter().cloned().collect(),
            shard: record.shard,
            imported_from: None,
        },
        verdict,
        validity,
        totals: groups.total.figures.clone(),
        classes: figures(&groups.classes),
        stages: figures(&groups.stages),
        targets: targets.iter().map(|target| target.result.clone()).collect(),
        outages: Vec::new(),
        findings: Vec::new(),
    }
}
