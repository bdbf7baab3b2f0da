//! The report as one HTML page: no network, no script.

use askama::Template;
use squall_core::plan::Load;
use squall_core::summary::{Figures, Finding, ValidityResult};
use squall_core::units::format_duration;

use crate::analysis::Analysis;
use crate::error::AnalyzeError;
use crate::figure::tables::Table;
use crate::figure::{Drawing, FigureKind, Layout};
use crate::locust::instant;
use crate::number::{DASH, fixed, or_dash, percent, thousands};
use crate::prose as filters;
use crate::text::{binding_first, target_interval, target_margin, target_mark, target_parts};
use crate::words::{verdict_sentence, verdict_word};

/// What the template reads; every text is escaped there but the figures' SVG, which is ours.
#[derive(Template)]
#[template(path = "report.html")]
struct Page {
    title: String,
    verdict: &'static str,
    sentence: String,
    facts: Vec<String>,
    targets: Vec<TargetRow>,
    findings: Vec<Finding>,
    notes: Vec<String>,
    /// Checks that a reader must know of.
    checks: Vec<CheckRow>,
    checks_bad: usize,
    /// The others.
    checks_fine: Vec<CheckRow>,
    columns: [&'static str; 12],
    groups: Vec<GroupRow>,
    figures: Vec<FigureBlock>,
    failures: Vec<FailureRow>,
    requests: u64,
    settings: Vec<(&'static str, String)>,
    command: Option<String>,
    version: &'static str,
}

struct TargetRow {
    mark: &'static str,
    class: &'static str,
    said: &'static str,
    name: String,
    value: String,
    bound: String,
    margin: String,
    interval: String,
    binding: bool,
    note: String,
}

struct CheckRow {
    class: &'static str,
    word: &'static str,
    name: String,
    message: String,
}

struct GroupRow {
    name: String,
    class: &'static str,
    /// Each with the name of its column.
    cells: Vec<(&'static str, String)>,
}

/// A figure in a page, for wide and for narrow screens; a sentence alone where nothing is to be drawn.
pub(crate) struct FigureBlock {
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) wide: String,
    pub(crate) narrow: String,
    /// Its numbers.
    pub(crate) tables: Vec<Table>,
}

struct FailureRow {
    outcome: &'static str,
    code: String,
    class: String,
    count: String,
    first: String,
    last: String,
}

/// Fills the page.
pub(crate) fn render(analysis: &Analysis) -> Result<String, AnalyzeError> {
    let record = &analysis.record;
    let checks = &analysis.summary.validity;
    let checks_where = |wanted: &dyn Fn(ValidityResult) -> bool| -> Vec<CheckRow> {
        checks.iter().filter(|check| wanted(check.result)).map(check_row).collect()
    };
    let figures = FigureKind::ALL
        .into_iter()
        .map(|kind| {
            figure_block(kind.drawing(analysis, Layout::WIDE), &kind.drawing(analysis, Layout::NARROW))
        })
        .collect::<Result<Vec<_>, AnalyzeError>>()?;
    let page = Page {
        title: record.plan.name.clone(),
        verdict: verdict_word(analysis.summary.verdict),
        sentence: verdict_sentence(analysis),
        facts: facts(analysis),
        targets: targets(analysis),
        findings: analysis.summary.findings.clone(),
        notes: analysis.notes.clone(),
        checks: checks_where(&|result| result != ValidityResult::Ok),
        checks_fine: checks_where(&|result| result == ValidityResult::Ok),
        checks_bad: checks.iter().filter(|check| check.result == ValidityResult::Invalid).count(),
        columns: COLUMNS,
        groups: groups(analysis),
        figures,
        failures: failures(analysis),
        requests: analysis.summary.totals.requests,
        settings: settings(analysis),
        command: crate::repeat::command(&record.plan),
        version: env!("CARGO_PKG_VERSION"),
    };
    Ok(page.render()?)
}

/// The figure, drawn for both, with its numbers.
pub(crate) fn figure_block(wide: Drawing, narrow: &Drawing) -> Result<FigureBlock, AnalyzeError> {
    let drawn = |drawing: &Drawing| {
        if wide.is_empty() { Ok(String::new()) } else { drawing.svg().map(|svg| inline(&svg)) }
    };
    Ok(FigureBlock {
        wide: drawn(&wide)?,
        narrow: drawn(narrow)?,
        title: wide.title,
        description: wide.description,
        tables: wide.tables,
    })
}

/// An SVG document as a part of a page, which needs no namespace.
fn inline(svg: &str) -> String {
    svg.replace(" xmlns=\"http://www.w3.org/2000/svg\"", "")
}

fn facts(analysis: &Analysis) -> Vec<String> {
    let record = &analysis.record;
    let server = &record.server;
    let version = server.version.as_deref().map_or(String::new(), |version| format!(" {version}"));
    vec![
        format!("started {}", record.started.format("%Y-%m-%d %H:%M:%S UTC")),
        format!("Milvus{version} at {}", server.uri),
        load(analysis),
        format!("{} s measured", fixed(analysis.spans.length_s(), 1)),
    ]
}

fn load(analysis: &Analysis) -> String {
    match &analysis.record.plan.load {
        Load::Closed { users, think_time, .. } => {
            format!("{} users (closed loop), think time {think_time}", thousands(u64::from(*users)))
        }
        Load::Open { arrivals, stages } => {
            let rates = stages.iter().map(|stage| {
                if (stage.from - stage.to).abs() < f64::EPSILON {
                    format!("{} {}/s", stage.name, stage.to)
                } else {
                    format!("{} {}/s to {}/s", stage.name, stage.from, stage.to)
                }
            });
            let arrivals = format!("{arrivals:?}").to_ascii_lowercase();
            format!("open loop, {arrivals} arrivals: {}", rates.collect::<Vec<_>>().join(", "))
        }
    }
}

fn targets(analysis: &Analysis) -> Vec<TargetRow> {
    let row = |judged| {
        let (name, value, bound) = target_parts(judged);
        let mark = target_mark(judged);
        let (class, said) = match mark {
            "✓" => ("good", "met"),
            "✗" => ("bad", "missed"),
            _ => ("faint", "not known"),
        };
        let note = judged.note.clone().unwrap_or_default();
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| DASH.to_owned());
        TargetRow {
            mark,
            class,
            said,
            name,
            value,
            bound,
            margin: or_dash(target_margin(judged)),
            interval: or_dash(target_interval(judged)),
            binding: judged.result.binding,
            note,
        }
    };
    binding_first(&analysis.targets).into_iter().map(row).collect()
}

fn check_row(check: &squall_core::summary::ValidityCheck) -> CheckRow {
    let (class, word) = match check.result {
        ValidityResult::Ok => ("good", "fine"),
        ValidityResult::Warning => ("warn", "warning"),
        ValidityResult::Invalid => ("bad", "invalid"),
    };
    CheckRow { class, word, name: check.check.replace('_', " "), message: check.message.clone() }
}

/// The figures of a class, times in ms.
const COLUMNS: [&str; 12] = [
    "requests",
    "failures",
    "failed",
    "answered/s",
    "mean ms",
    "P50 ms",
    "P95 ms",
    "P99 ms",
    "P99.9 ms",
    "max ms",
    "service P99 ms",
    "recall",
];

fn groups(analysis: &Analysis) -> Vec<GroupRow> {
    let row = |name: &str, class, figures: &Figures| {
        let times = &figures.response_ms;
        let mut cells = vec![
            thousands(figures.requests),
            thousands(figures.failures),
            figures.error_rate.map_or_else(|| DASH.to_owned(), percent),
            or_dash(figures.rate),
        ];
        cells.extend([times.mean, times.p50, times.p95, times.p99, times.p999, times.max].map(or_dash));
        cells.push(or_dash(figures.service_ms.p99));
        cells.push(figures.recall.map_or_else(|| DASH.to_owned(), |recall| fixed(recall, 4)));
        GroupRow { name: name.to_owned(), class, cells: COLUMNS.into_iter().zip(cells).collect() }
    };
    let mut rows: Vec<_> =
        analysis.groups.classes.iter().map(|(name, group)| row(name, "", &group.figures)).collect();
    rows.push(row("total", "total", &analysis.summary.totals));
    if analysis.groups.stages.len() > 1 {
        let stages = analysis.groups.stages.iter();
        rows.extend(stages.map(|(name, group)| row(&format!("stage {name}"), "stage", &group.figures)));
    }
    rows
}

fn failures(analysis: &Analysis) -> Vec<FailureRow> {
    let time = |ns| instant(analysis, ns).format("%H:%M:%S").to_string();
    let row = |group: &crate::failures::FailureGroup| FailureRow {
        outcome: group.outcome.word(),
        code: group.code.map_or_else(|| DASH.to_owned(), |code| code.to_string()),
        class: group.class.clone(),
        count: thousands(group.count),
        first: time(group.first_ns),
        last: time(group.last_ns),
    };
    analysis.failures.iter().map(row).collect()
}

fn settings(analysis: &Analysis) -> Vec<(&'static str, String)> {
    let record = &analysis.record;
    let (plan, collection, host) = (&record.plan, &record.collection, &record.host);
    let known = |value: &Option<String>| value.clone().unwrap_or_else(|| DASH.to_owned());
    let count = |value: Option<u64>| value.map_or_else(|| DASH.to_owned(), thousands);
    let classes =
        plan.classes.iter().map(|class| format!("{} {} (limit {})", class.name, class.weight, class.limit));
    let labels = plan.labels.iter().map(|(key, value)| format!("{key}={value}"));
    let mut settings = vec![
        ("Run", record.id.clone()),
        ("Squall's version", record.squall_version.clone()),
        ("Load", load(analysis)),
        ("Classes, by weight", classes.collect::<Vec<_>>().join(", ")),
        ("Seed", plan.seed.to_string()),
        ("Warm-up, timeout, drain", {
            let [warm_up, timeout, drain] = [plan.warm_up, plan.timeout, plan.drain].map(format_duration);
            let warm_up = if plan.auto_warm_up { "auto".to_owned() } else { warm_up };
            [warm_up, timeout, drain].join(", ")
        }),
        ("Threads × connections", format!("{} × {}", plan.threads, plan.connections)),
        (
            "Most in flight",
            match plan.max_in_flight {
                0 => "the users".to_owned(),
                most => thousands(u64::from(most)),
            },
        ),
        ("Protocol", record.server.protocol.clone()),
        (
            "Collection",
            format!(
                "{}, {} rows, {} dimensions",
                collection.name,
                count(collection.rows),
                collection.dimension
            ),
        ),
        ("Dataset", known(&collection.dataset)),
        ("Index", known(&collection.index)),
        (
            "Consistency",
            match plan.consistency {
                Some(sent) => format!("{sent:?}").to_ascii_lowercase(),
                None => format!("the collection's own ({})", known(&collection.consistency)),
            },
        ),
        ("Search parameters", plan.search_params.clone().unwrap_or_else(|| "none sent".to_owned())),
        (
            "Segments before, after",
            format!("{}, {}", count(collection.segments_before), count(collection.segments_after)),
        ),
        ("Generator's host", host.class()),
        ("Work key", record.work_key.clone()),
    ];
    if !plan.labels.is_empty() {
        settings.push(("Labels", labels.collect::<Vec<_>>().join(", ")));
    }
    settings
}
