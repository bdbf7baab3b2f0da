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
use crate::frame::{Frame, Row};
use crate::health::Health;
use crate::judge::{self, JudgedTarget};
use crate::outages;
use crate::rows::{self, Columns, UnreadablePart};
use crate::series::{self, Series};
use crate::spans::Spans;
use crate::validity;
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
    /// The run's directory.
    pub run: RunDir,
    /// The measured spans.
    pub spans: Spans,
    /// Figures with the sorted times behind them.
    pub groups: Groups,
    /// The targets in the order of the plan.
    pub targets: Vec<JudgedTarget>,
    /// The run over time.
    pub series: Series,
    /// What failed.
    pub failures: Vec<FailureGroup>,
    /// The generator over time.
    pub health: Health,
    /// Parts that could not be read.
    pub unreadable: Vec<UnreadablePart>,
    /// What a reader must know beside the figures.
    pub notes: Vec<String>,
    pub(crate) frame: Frame,
}

/// Reads a run directory and makes everything that is to be known of it.
///
/// # Errors
/// When there is no run, its record or row version is of another Squall, or there are no rows to
/// look for. Parts that cannot be read are no error: see [`Analysis::unreadable`].
pub fn analyze(run: &Path, options: &Options) -> Result<Analysis, AnalyzeError> {
    let run = RunDir::open(run)?;
    let mut record = run.read_record()?;
    // No view may show what a user wrote between `//` and `@`.
    record.server.uri = without_credentials(&record.server.uri);
    record.plan.server.uri = without_credentials(&record.plan.server.uri);
    let state = record.state_now();
    let (frame, unreadable) = rows::read(&run, Columns::All)?;
    let health = Health::read(&run.generator());
    let spans = Spans::of(&record, frame.rows().map(Row::due_ns).max());
    // Before the groups, which keep their times: what it sorts is forgotten at once.
    let series = series::make(&frame);
    let groups = figures::make(&frame, &record.plan, &spans);
    let failures = failures::group(&frame, &spans);
    let outages = outages::find(&frame);

    let checks = validity::check(&validity::Evidence {
        record: &record,
        groups: &groups,
        health: &health,
        spans: &spans,
        rows_read: frame.len() as u64,
        unreadable: &unreadable,
    });
    let planned = options.targets.as_deref().unwrap_or(&record.plan.targets);
    let shard: Shard = record.shard;
    let case = judge::Case { plan: &record.plan, shard, spans: &spans, groups: &groups, frame: &frame };
    let targets = judge::judge(planned, &case);
    let verdict = judge::verdict(&checks, &targets, shard);
    let notes = crate::notes::make(&record, state, &groups, &spans, &unreadable, &outages);
    let summary = Summary { outages, ..summarize(&record, state, verdict, checks, &groups, &targets) };
    Ok(Analysis {
        summary,
        record,
        run,
        spans,
        groups,
        targets,
        series,
        failures,
        health,
        unreadable,
        notes,
        frame,
    })
}

/// Response times of a run by class and by second, and nothing else: a quarter of an analysis.
///
/// # Errors
/// As [`analyze`].
pub fn response_times(run: &Path) -> Result<(Groups, Series), AnalyzeError> {
    let run = RunDir::open(run)?;
    let record = run.read_record()?;
    let (frame, _) = rows::read(&run, Columns::Responses)?;
    let spans = Spans::of(&record, frame.rows().map(Row::due_ns).max());
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
            dataset: record.collection.dataset.clone(),
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
    }
}
