//! The run as Markdown, short enough for a pull request: verdict, targets, diagnosis, and what changed
//! since the run before.

use std::path::Path;

use squall_core::run_dir::read_json;
use squall_core::run_record::RunState;
use squall_core::summary::{Figures, RunIdentity, Summary, Verdict};

use crate::analysis::Analysis;
use crate::compare::LikenessKey;
use crate::number::{DASH, decimal, fixed, or_dash, percent};
use crate::text::{binding_first, target_interval, target_margin, target_mark, target_parts};
use crate::words::{verdict_sentence, verdict_word};

/// Most lines of the whole.
const MOST_LINES: usize = 59;
/// Targets and findings beyond which the report is pointed at.
const MOST_TARGETS: usize = 20;
const MOST_FINDINGS: usize = 6;

/// The document.
pub(crate) fn render(analysis: &Analysis) -> String {
    let mut lines = vec![
        format!(
            "### {} {}: {}",
            icon(analysis.summary.verdict),
            cell(&analysis.record.plan.name),
            verdict_word(analysis.summary.verdict)
        ),
        String::new(),
        cell(&verdict_sentence(analysis)),
        String::new(),
    ];
    if !analysis.targets.is_empty() {
        lines.push("| | target | found | 95% interval | bound | margin |".to_owned());
        lines.push("|---|---|--:|--:|--:|--:|".to_owned());
        for judged in binding_first(&analysis.targets).into_iter().take(MOST_TARGETS) {
            let (name, value, bound) = target_parts(judged);
            let advisory = if judged.result.binding { "" } else { " (advisory)" };
            lines.push(format!(
                "| {} | {}{advisory} | {} | {} | {} | {} |",
                target_mark(judged),
                cell(&name),
                cell(&value),
                cell(&target_interval(judged).unwrap_or_else(|| DASH.to_owned())),
                cell(&bound),
                target_margin(judged).unwrap_or_else(|| DASH.to_owned()),
            ));
        }
        if analysis.targets.len() > MOST_TARGETS {
            lines
                .push(format!("\n{} more targets are in the report.", analysis.targets.len() - MOST_TARGETS));
        }
        lines.push(String::new());
    }
    lines.extend(changed(analysis));
    let findings = &analysis.summary.findings;
    if !findings.is_empty() {
        lines.extend(["#### Diagnosis".to_owned(), String::new()]);
        for finding in findings.iter().take(MOST_FINDINGS) {
            lines.push(format!("- {}", cell(&finding.statement)));
        }
        lines.push(String::new());
    }
    let totals = &analysis.summary.totals;
    lines.push(format!(
        "{} requests, {} answered/s, {} failed; P50 {} ms, P95 {} ms, P99 {} ms; run `{}` at {} of {}.",
        crate::number::thousands(totals.requests),
        or_dash(totals.rate),
        totals.error_rate.map_or_else(|| DASH.to_owned(), percent),
        or_dash(totals.response_ms.p50),
        or_dash(totals.response_ms.p95),
        or_dash(totals.response_ms.p99),
        cell(&analysis.name()),
        analysis.record.started.format("%Y-%m-%d %H:%M UTC"),
        cell(&analysis.record.server.uri),
    ));
    lines.truncate(MOST_LINES);
    lines.join("\n") + "\n"
}

fn icon(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "✅",
        Verdict::Fail => "❌",
        Verdict::None => "➖",
        Verdict::Invalid => "⚠️",
    }
}

/// Text that ends no cell and starts no markup.
fn cell(text: &str) -> String {
    let mut cell = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '<' | '>' | '*' | '_' | '#' | '[' | ']' | '\\' => {
                cell.push('\\');
                cell.push(c);
            }
            c if c.is_control() => cell.push(' '),
            c => cell.push(c),
        }
    }
    cell
}

/// The figures against those of the like run before this one, in the same directory.
fn changed(analysis: &Analysis) -> Vec<String> {
    let Some(before) = before(analysis) else { return Vec::new() };
    let name = before.0;
    let (then, now) = (&before.1.totals, &analysis.summary.totals);
    let row = |what: &str, of: fn(&Figures) -> Option<f64>, shown: fn(f64) -> String, relative: bool| {
        let (then, now) = (of(then)?, of(now)?);
        let change = match relative {
            true if then > 0.0 => format!("{:+.1}%", (now / then - 1.0) * 100.0),
            true => DASH.to_owned(),
            false => format!("{:+.2} points", (now - then) * 100.0),
        };
        Some(format!("| {what} | {} | {} | {change} |", shown(then), shown(now)))
    };
    let mut lines = vec![
        format!("#### What changed since `{}`", cell(&name)),
        String::new(),
        "| figure | before | now | change |".to_owned(),
        "|---|--:|--:|--:|".to_owned(),
    ];
    lines.extend(row("answered/s", |figures| figures.rate, decimal, true));
    lines.extend(row("P50, ms", |figures| figures.response_ms.p50, decimal, true));
    lines.extend(row("P95, ms", |figures| figures.response_ms.p95, decimal, true));
    lines.extend(row("P99, ms", |figures| figures.response_ms.p99, decimal, true));
    lines.extend(row("error rate", |figures| figures.error_rate, percent, false));
    lines.extend(row("recall", |figures| figures.recall, |recall| fixed(recall, 4), false));
    lines.extend([
        String::new(),
        "Two single runs differ by chance, too: `squall analyze compare` tells whether these did.".to_owned(),
        String::new(),
    ]);
    lines
}

/// The last run before this one that did the same work and was valid; its name and summary.
fn before(analysis: &Analysis) -> Option<(String, Summary)> {
    let own = &analysis.summary.run;
    let runs = analysis
        .run
        .path()
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let like = |other: &RunIdentity| {
        other.id != own.id
            && other.started < own.started
            && other.state == RunState::Complete
            && !other.shard.is_part()
            && LikenessKey::ALL.into_iter().all(|key| key.of(other) == key.of(own))
    };
    let entries = std::fs::read_dir(runs).ok()?.flatten();
    let read = entries.filter_map(|entry| {
        let summary: Summary = read_json(&entry.path().join("summary.json")).ok()?;
        Some((entry.file_name().to_string_lossy().into_owned(), summary))
    });
    read.filter(|(_, summary)| like(&summary.run) && summary.verdict != Verdict::Invalid)
        .max_by_key(|(_, summary)| summary.run.started)
}
