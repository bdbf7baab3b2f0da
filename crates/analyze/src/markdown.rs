//! The run as Markdown, short enough for a pull request: verdict, targets, diagnosis, and what changed
//! since the run before, or how it compares with its baseline.

use std::path::Path;

use squall_core::run_dir::read_json;
use squall_core::run_record::RunState;
use squall_core::summary::{Figures, RunIdentity, Summary, Verdict};

use crate::analysis::Analysis;
use crate::compare::{Comparison, LikenessKey, changes, comparison_lines};
use crate::number::{DASH, decimal, fixed, or_dash, percent};
use crate::prose::next_code;
use crate::text::{binding_first, target_interval, target_margin, target_mark, target_parts};
use crate::words::{verdict_sentence, verdict_word};

/// Most lines of the whole.
const MOST_LINES: usize = 59;
/// Changes beside the figures that are named.
const MOST_CHANGES: usize = 6;

/// Of what the report is pointed at for the rest.
#[derive(Clone, Copy)]
struct Most {
    targets: usize,
    findings: usize,
}

/// The document.
pub(crate) fn render(analysis: &Analysis) -> String {
    let mut lines = head(analysis, Most { targets: 18, findings: 6 });
    // What changed comes before the diagnosis, which may be the change's.
    let diagnosis = lines.iter().position(|line| line == DIAGNOSIS).unwrap_or(lines.len());
    lines.splice(diagnosis..diagnosis, changed(analysis));
    lines.push(totals(analysis));
    document(lines)
}

/// The document with the comparison that ended the run, in place of what changed since the run before.
pub(crate) fn with_comparison(analysis: &Analysis, comparison: &Comparison) -> String {
    let mut lines = head(analysis, Most { targets: 8, findings: 4 });
    lines.push(totals(analysis));
    lines.extend([String::new(), "#### Against the baseline".to_owned(), String::new()]);
    let room = MOST_LINES.saturating_sub(lines.len());
    lines.extend(comparison_lines(comparison, room));
    document(lines)
}

fn document(mut lines: Vec<String>) -> String {
    lines.truncate(MOST_LINES);
    lines.join("\n") + "\n"
}

const DIAGNOSIS: &str = "#### Diagnosis";

/// Verdict, targets and diagnosis.
fn head(analysis: &Analysis, most: Most) -> Vec<String> {
    let mut lines = vec![
        format!(
            "### {} {}: {}",
            icon(analysis.summary.verdict),
            inline(&analysis.record.plan.name),
            verdict_word(analysis.summary.verdict)
        ),
        String::new(),
        inline(&verdict_sentence(analysis)),
        String::new(),
    ];
    if !analysis.targets.is_empty() {
        lines.push("| | target | found | 95% interval | bound | margin |".to_owned());
        lines.push("|---|---|--:|--:|--:|--:|".to_owned());
        for judged in binding_first(&analysis.targets).into_iter().take(most.targets) {
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
        lines.push(String::new());
        if let Some(more) = more(analysis.targets.len(), most.targets, "target") {
            lines.extend([more, String::new()]);
        }
    }
    let findings = &analysis.summary.findings;
    if !findings.is_empty() {
        lines.extend([DIAGNOSIS.to_owned(), String::new()]);
        lines.extend(
            findings.iter().take(most.findings).map(|finding| format!("- {}", inline(&finding.statement))),
        );
        lines.extend(more(findings.len(), most.findings, "finding").map(|more| format!("- {more}")));
        lines.push(String::new());
    }
    lines
}

/// What of a list is not shown.
fn more(all: usize, shown: usize, what: &str) -> Option<String> {
    match all.saturating_sub(shown) {
        0 => None,
        1 => Some(format!("1 more {what} is in the report.")),
        more => Some(format!("{more} more {what}s are in the report.")),
    }
}

fn totals(analysis: &Analysis) -> String {
    let totals = &analysis.summary.totals;
    format!(
        "{} requests, {} answered/s, {} failed; P50 {} ms, P95 {} ms, P99 {} ms; run {} at {} of {}.",
        crate::number::thousands(totals.requests),
        or_dash(totals.rate),
        totals.error_rate.map_or_else(|| DASH.to_owned(), percent),
        or_dash(totals.response_ms.p50),
        or_dash(totals.response_ms.p95),
        or_dash(totals.response_ms.p99),
        span(&analysis.name()),
        analysis.record.started.format("%Y-%m-%d %H:%M UTC"),
        inline(&analysis.record.server.uri),
    )
}

fn icon(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "✅",
        Verdict::Fail => "❌",
        Verdict::None => "➖",
        Verdict::Invalid => "⚠️",
    }
}

/// A sentence outside of a table: what stands between backticks is code, the rest starts no markup.
pub(crate) fn inline(text: &str) -> String {
    sentence(text, false)
}

/// As [`inline`], and it ends no cell of a table.
pub(crate) fn cell(text: &str) -> String {
    sentence(text, true)
}

/// A word as code, outside of a table.
pub(crate) fn span(text: &str) -> String {
    // A backtick would end it.
    inline(&format!("`{}`", text.replace('`', "'")))
}

fn sentence(text: &str, in_table: bool) -> String {
    let mut written = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, code, after)) = next_code(rest).filter(|(_, code, _)| !code.is_empty()) {
        escape(before, &mut written);
        written.push('`');
        for c in code.chars() {
            match c {
                // The only character that a backslash takes its meaning from inside of code.
                '|' if in_table => written.push_str("\\|"),
                c => written.push(if c.is_control() { ' ' } else { c }),
            }
        }
        written.push('`');
        rest = after;
    }
    escape(rest, &mut written);
    written
}

fn escape(text: &str, written: &mut String) {
    for c in text.chars() {
        if "\\`*_[]<>|#".contains(c) {
            written.push('\\');
        }
        written.push(if c.is_control() { ' ' } else { c });
    }
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
        format!("#### What changed since {}", span(&name)),
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
    lines.push(String::new());
    // The server and the labels, which may be the cause.
    let other = changes(&[&before.1.run], &[&analysis.summary.run]);
    if !other.is_empty() {
        lines.extend(other.iter().take(MOST_CHANGES).map(|found| {
            format!("- {}: {} → {}", inline(&found.what), inline(&found.base), inline(&found.new))
        }));
        lines.extend(more(other.len(), MOST_CHANGES, "change").map(|more| format!("- {more}")));
        lines.push(String::new());
    }
    lines.extend([
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_left_as_it_is_and_markup_has_no_meaning() {
        assert_eq!(
            inline("The filter `price_usd > 5 || a == \"<b>\"` of a_b, `x`."),
            "The filter `price_usd > 5 || a == \"<b>\"` of a\\_b, `x`."
        );
        assert_eq!(cell("`a|b` | c"), "`a\\|b` \\| c");
        assert_eq!(inline("a lone ` stays <script>"), "a lone \\` stays \\<script\\>");
        assert_eq!(inline("`` is none"), "\\`\\` is none");
        assert_eq!(span("a`b|c_d"), "`a'b|c_d`");
        assert_eq!(inline("one\nline"), "one line");
    }

    #[test]
    fn what_is_not_shown_is_counted() {
        assert_eq!(more(6, 6, "finding"), None);
        assert_eq!(more(7, 6, "finding").as_deref(), Some("1 more finding is in the report."));
        assert_eq!(more(9, 6, "finding").as_deref(), Some("3 more findings are in the report."));
    }
}
