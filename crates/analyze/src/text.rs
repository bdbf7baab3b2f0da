//! The summary on a terminal, in the layout of the tool that Squall replaces.

use squall_core::summary::{Figures, ValidityResult};
use squall_core::target::{Comparison, Figure};
use squall_core::units::format_duration;

use crate::analysis::Analysis;
use crate::judge::JudgedTarget;
use crate::number::{DASH, decimal, fixed, or_dash, percent, thousands};
use crate::words::verdict_sentence;

/// The run in a screenful: totals, classes, targets, validity and verdict.
pub fn summary(analysis: &Analysis) -> String {
    let mut text = String::new();
    let mut line = |line: &str| {
        text.push_str(line.trim_end());
        text.push('\n');
    };
    let totals = &analysis.summary.totals;
    let time = |ms: Option<f64>| ms.map_or_else(|| DASH.to_owned(), |ms| format!("{}ms", fixed(ms, 2)));
    line("Results Summary:");
    for (name, value) in [
        ("Total Requests", thousands(totals.requests)),
        ("Total Failures", thousands(totals.failures)),
        ("Error Rate", totals.error_rate.map_or_else(|| DASH.to_owned(), error_rate)),
        ("Average Response Time", time(totals.response_ms.mean)),
        ("Median Response Time (P50)", time(totals.response_ms.p50)),
        ("95th Percentile (P95)", time(totals.response_ms.p95)),
        ("99th Percentile (P99)", time(totals.response_ms.p99)),
        ("Requests/sec", or_dash(totals.rate)),
    ] {
        line(&format!("  {name}: {value}"));
    }

    line("");
    line("By Class (times in ms):");
    for row in class_table(analysis) {
        line(&row);
    }

    if !analysis.summary.findings.is_empty() {
        line("");
        line("Diagnosis:");
        for finding in &analysis.summary.findings {
            line(&format!("  {} {}", if finding.problem { "!" } else { "·" }, finding.statement));
            for evidence in &finding.evidence {
                line(&format!("      {evidence}"));
            }
            if !finding.advice.is_empty() {
                line(&format!("      → {}", finding.advice));
            }
        }
    }

    if !analysis.targets.is_empty() {
        line("");
        let advisory = analysis.targets.iter().all(|target| !target.result.binding);
        line(if advisory { "Target Validation (advisory):" } else { "Target Validation:" });
        for target in binding_first(&analysis.targets) {
            let mark = if target.result.binding || advisory { "" } else { " (advisory)" };
            line(&format!("  {}{mark}", target_line(target)));
        }
    }

    line("");
    line("Validity:");
    let checks = &analysis.summary.validity;
    let of = |result| checks.iter().filter(move |check| check.result == result);
    for (result, word) in [(ValidityResult::Invalid, "INVALID"), (ValidityResult::Warning, "warning")] {
        for check in of(result) {
            line(&format!("  {word} ({}): {}", check.check, check.message));
        }
    }
    line(&format!("  {} of {} checks are fine.", of(ValidityResult::Ok).count(), checks.len()));

    if !analysis.notes.is_empty() {
        line("");
        line("Notes:");
        for note in &analysis.notes {
            line(&format!("  {note}"));
        }
    }
    line("");
    line(&format!("Verdict: {}", verdict_sentence(analysis)));
    text
}

/// The error rate with two places, more where that would hide failures.
fn error_rate(rate: f64) -> String {
    if rate == 0.0 || rate >= 0.000_05 { format!("{}%", fixed(rate * 100.0, 2)) } else { percent(rate) }
}

fn class_table(analysis: &Analysis) -> Vec<String> {
    let header = ["class", "requests", "failures", "rate/s", "mean", "P50", "P95", "P99", "recall"];
    let mut rows = vec![header.map(str::to_owned)];
    for (name, group) in &analysis.groups.classes {
        rows.push(class_row(name, &group.figures));
    }
    rows.push(class_row("total", &analysis.summary.totals));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let padded = |row: &[String; 9]| {
        let mut text = format!("  {:<width$}", row[0], width = widths[0]);
        for (cell, width) in row.iter().zip(&widths).skip(1) {
            text.push_str(&format!("  {cell:>width$}"));
        }
        text
    };
    rows.iter().map(padded).collect()
}

fn class_row(name: &str, figures: &Figures) -> [String; 9] {
    let recall = figures.recall.map_or_else(|| DASH.to_owned(), |recall| fixed(recall, 4));
    [
        name.to_owned(),
        thousands(figures.requests),
        thousands(figures.failures),
        or_dash(figures.rate),
        or_dash(figures.response_ms.mean),
        or_dash(figures.response_ms.p50),
        or_dash(figures.response_ms.p95),
        or_dash(figures.response_ms.p99),
        recall,
    ]
}

/// The targets with those first that the verdict rests on.
pub(crate) fn binding_first(targets: &[JudgedTarget]) -> Vec<&JudgedTarget> {
    let mut targets: Vec<&JudgedTarget> = targets.iter().collect();
    targets.sort_by_key(|judged| !judged.result.binding);
    targets
}

/// `P99 (common): 105ms (target: <120ms) ✓`.
pub(crate) fn target_line(judged: &JudgedTarget) -> String {
    let (name, value, bound) = target_parts(judged);
    let mark = target_mark(judged);
    let mut beside: Vec<String> = judged.note.clone().into_iter().collect();
    beside.extend(target_margin(judged));
    beside.extend(target_interval(judged).map(|interval| format!("95% interval {interval}")));
    let beside = if beside.is_empty() { String::new() } else { format!(" ({})", beside.join("; ")) };
    format!("{name}: {value} (target: {bound}) {mark}{beside}")
}

/// How far from its bound a figure is: `12% to spare` or `12% over`.
pub(crate) fn target_margin(judged: &JudgedTarget) -> Option<String> {
    let margin = judged.result.margin?;
    if judged.result.met.is_some_and(|met| met != (margin >= 0.0)) {
        // An open loop's rate is met by its arrivals, which chance makes a few more or fewer.
        return None;
    }
    let wants_more = matches!(judged.target.comparison, Comparison::Above | Comparison::AtLeast);
    // Whole per cents, and tenths where they would hide which side it is on.
    let percent = margin.abs() * 100.0;
    let rounded = if percent >= 10.0 { percent.round() } else { (percent * 10.0).round() / 10.0 };
    let side = match (margin >= 0.0, wants_more) {
        (true, _) => "to spare",
        (false, true) => "short",
        (false, false) => "over",
    };
    Some(format!("{}% {side}", decimal(rounded)))
}

/// `98 to 112`: the ends of a target's interval, in its unit.
pub(crate) fn target_interval(judged: &JudgedTarget) -> Option<String> {
    let interval = judged.interval?;
    let end = |number: f64| {
        if number.is_infinite() { "∞".to_owned() } else { written(judged.target.figure, number) }
    };
    Some(format!("{} to {}", end(interval.low), end(interval.high)))
}

/// A figure in the unit in which people read it.
fn written(figure: Figure, number: f64) -> String {
    match figure {
        figure if figure.is_latency() => format!("{}ms", decimal(number)),
        figure if figure.is_fraction() => percent(number),
        Figure::Recall => format!("{}", (number * 1e4).round() / 1e4),
        _ => decimal(number).replace(',', ""),
    }
}

/// ✓ met, ✗ missed or, for a binding target, not known; `?` not known.
pub(crate) fn target_mark(judged: &JudgedTarget) -> &'static str {
    match judged.result.met {
        Some(true) => "✓",
        None if !judged.result.binding => "?",
        _ => "✗",
    }
}

/// Name, value and bound of a target as people read them.
pub(crate) fn target_parts(judged: &JudgedTarget) -> (String, String, String) {
    let target = &judged.target;
    let name = match target.figure {
        Figure::Mean => "Mean",
        Figure::P50 => "P50",
        Figure::P90 => "P90",
        Figure::P95 => "P95",
        Figure::P99 => "P99",
        Figure::P999 => "P99.9",
        Figure::Max => "Max",
        Figure::ErrorRate => "Error rate",
        Figure::ShortRate => "Short rate",
        Figure::Qps => "QPS",
        Figure::Recall => "Recall",
    };
    let name = target.class.as_ref().map_or_else(|| name.to_owned(), |class| format!("{name} ({class})"));
    let written = |number: f64| written(target.figure, number);
    let value = match judged.result.value {
        _ if judged.infinite => "∞".to_owned(),
        None => DASH.to_owned(),
        Some(value) => written(value),
    };
    // `QPS: 1000 (target: 1000)`, as users know it; the sign stands where it is another one.
    let plain = target.figure == Figure::Qps && target.comparison == Comparison::AtLeast;
    let sign = match target.comparison {
        _ if plain => "",
        Comparison::AtMost => "≤",
        Comparison::AtLeast => "≥",
        other => other.sign(),
    };
    let over = target.over.map_or_else(String::new, |over| format!(" over {}", format_duration(over)));
    (name, value, format!("{sign}{}{over}", written(target.bound)))
}
