//! A comparison in words: the sentence, the terminal's table and Markdown for a pull request.

use squall_core::summary::RunIdentity;

use super::observed::TOTAL;
use super::rule::RuleOutcome;
use super::{Comparison, Method, RuleResult, Side};
use crate::markdown::{cell, inline, span};
use crate::number::{DASH, decimal, fixed, percent};
use crate::statistics::{Compared, More, Quantity, SHORTEST_MEASURED_S, Word};

/// Most regressions and improvements that the sentence names.
const NAMED: usize = 3;

/// The verdict in a sentence.
pub(super) fn sentence(comparison: &Comparison) -> String {
    let of = |word: Word| {
        let groups = comparison.groups.iter();
        let found = groups.flat_map(|group| group.figures.iter().map(move |figure| (&group.name, figure)));
        let mut found: Vec<_> = found.filter(|(_, figure)| figure.word == word).collect();
        let size = |figure: &Compared| figure.change.map_or(0.0, f64::abs);
        // What all requests saw before what a class did, the largest first.
        found.sort_by(|left, right| {
            let of_class = |group: &str| group != TOTAL;
            of_class(left.0).cmp(&of_class(right.0)).then(size(right.1).total_cmp(&size(left.1)))
        });
        found
    };
    let list = |word: Word| {
        let found = of(word);
        let named = found.iter().take(NAMED).map(|(group, figure)| {
            let group = if *group == TOTAL { String::new() } else { format!(" of {group}") };
            format!("{}{group} by {} {}", figure.figure.title(), change(figure), interval(figure))
        });
        let mut named: Vec<String> = named.collect();
        if found.len() > NAMED {
            named.push(format!("{} more", found.len() - NAMED));
        }
        named.join(", ")
    };
    let margin = decimal(comparison.margin_percent);
    match comparison.verdict {
        Word::Regressed => format!("regressed: {}.", list(Word::Regressed)),
        Word::Improved => format!("improved: {}, and nothing regressed.", list(Word::Improved)),
        Word::Same => {
            format!("same: every difference lies within ±{margin}% (±0.1 points of errors, ±0.5 of recall).")
        }
        Word::Unclear => {
            match of(Word::Unclear).iter().filter(|(_, figure)| figure.change.is_some()).count() {
                0 => format!("unclear: {}.", nothing_known(comparison)),
                1 => {
                    "unclear: nothing is shown to differ, but 1 figure varies too much to be called the same."
                        .to_owned()
                }
                unclear => format!(
                    "unclear: nothing is shown to differ, but {unclear} figures vary too much to be called the same."
                ),
            }
        }
    }
}

/// Why no difference is known.
fn nothing_known(comparison: &Comparison) -> String {
    let measured = [&comparison.base, &comparison.new].into_iter().flat_map(|side| &side.measured_s);
    let shortest = measured.copied().fold(f64::INFINITY, f64::min);
    if comparison.method == Method::WithinRuns && shortest < SHORTEST_MEASURED_S {
        format!(
            "the runs are too short to tell how far chance moves them ({} s measured, {SHORTEST_MEASURED_S} s are the least)",
            fixed(shortest, 1)
        )
    } else {
        "there is no figure that both sides have".to_owned()
    }
}

/// What must be known beside the figures.
pub(super) fn notes(comparison: &Comparison) -> Vec<String> {
    let mut notes = Vec::new();
    match comparison.method {
        Method::WithinRuns => notes.push(
            "One run a side: the intervals hold what each run wanders by itself, not what runs differ by among \
             themselves (a restart, another hour). Several runs a side show that, too."
                .to_owned(),
        ),
        Method::BetweenRuns if comparison.base.runs.len() == 1 || comparison.new.runs.len() == 1 => notes.push(
            "One side is a single run: it is held against the spread of the other side's runs, as if both varied alike."
                .to_owned(),
        ),
        Method::BetweenRuns => {}
    }
    let runs = || [&comparison.base, &comparison.new].into_iter().flat_map(|side| &side.runs);
    let unknown = |of: fn(&RunIdentity) -> bool| runs().all(of);
    if unknown(|run| run.dataset.is_none()) {
        notes.push(
            "The dataset is not known on either side: that the collection of that name held the same is taken for \
             granted and not checked."
                .to_owned(),
        );
    }
    if unknown(|run| run.index.is_none()) {
        notes.push(
            "The index is not known on either side, so that it was the same is taken for granted and not checked."
                .to_owned(),
        );
    }
    let mut figures = comparison.groups.iter().flat_map(|group| &group.figures);
    if figures.any(|found| found.figure == Quantity::ErrorRate && found.word == Word::Regressed) {
        notes.push(
            "More requests fail than before, and response times are those of the answered ones: where the slow ones \
             fail they look better, which is then not called improved. A rule on a response time counts each failed \
             request as infinitely late, as targets do."
                .to_owned(),
        );
    }
    for run in runs().filter(|run| run.state == squall_core::run_record::RunState::Interrupted) {
        notes.push(format!("{} was interrupted: only what it measured until then is compared.", run.id));
    }
    notes
}

/// A change with its sign and unit: `+12.3%`.
pub(super) fn change(figure: &Compared) -> String {
    figure.change.map_or_else(|| DASH.to_owned(), |change| format!("{}{}", signed(change), unit(figure)))
}

/// The interval: `[8.1, 16.2]`.
pub(super) fn interval(figure: &Compared) -> String {
    match (figure.low, figure.high) {
        (Some(low), Some(high)) => between(low, high),
        _ => DASH.to_owned(),
    }
}

/// An interval, whose ends the rows need not set: `[8.1, no bound]`.
pub(super) fn between(low: f64, high: f64) -> String {
    let end = |end: f64| if end.is_finite() { signed(end) } else { "no bound".to_owned() };
    format!("[{}, {}]", end(low), end(high))
}

fn unit(figure: &Compared) -> &'static str {
    if figure.figure.in_points() { " points" } else { "%" }
}

pub(super) fn signed(number: f64) -> String {
    let places = if number.abs() < 1.0 { 2 } else { 1 };
    let text = fixed(number, places);
    if text.trim_start_matches(['-', '0', '.']).is_empty() {
        return "0".to_owned();
    }
    if number > 0.0 { format!("+{text}") } else { text }
}

/// A side's figure as people read it.
pub(super) fn value(quantity: Quantity, figure: Option<f64>) -> String {
    let Some(figure) = figure else {
        return DASH.to_owned();
    };
    match quantity {
        Quantity::ErrorRate => percent(figure),
        Quantity::Recall => fixed(figure, 4),
        _ => fixed(figure, 2),
    }
}

/// The word, and what an unclear one would need.
pub(super) fn verdict(figure: &Compared) -> String {
    if figure.change.is_none() {
        return "not known".to_owned();
    }
    let word = figure.word.text();
    if figure.word != Word::Unclear {
        return word.to_owned();
    }
    if figure.failures_hide {
        return format!("{word}: more requests fail, and how late those would have been is not known");
    }
    match figure.more {
        Some(More::Seconds(seconds)) => format!("{word}: {} a side would decide", length(seconds)),
        Some(More::Runs(runs)) => format!("{word}: {runs} runs a side would decide"),
        None if [figure.low, figure.high].into_iter().flatten().any(f64::is_infinite) => {
            format!("{word}: too few rows to bound it, run longer")
        }
        None => format!("{word}: a hundred times as much would not decide"),
    }
}

fn length(seconds: f64) -> String {
    if seconds < 120.0 {
        format!("{seconds:.0} s")
    } else if seconds < 7_200.0 {
        format!("{:.0} min", (seconds / 60.0).ceil())
    } else {
        format!("{:.0} h", (seconds / 3_600.0).ceil())
    }
}

/// The mark of a rule, and the class of its colour.
pub(super) fn rule_mark(rule: &RuleResult) -> (&'static str, &'static str) {
    match (rule.outcome, rule.broken) {
        (_, true) => ("✗", "bad"),
        (RuleOutcome::Unknown, false) => (DASH, "faint"),
        (_, false) => ("✓", "good"),
    }
}

/// How the intervals were made, in a line.
pub(super) fn method(comparison: &Comparison) -> &'static str {
    match comparison.method {
        Method::WithinRuns => {
            "95% intervals from each run's own wandering (long-run variance of slices of time)"
        }
        Method::BetweenRuns => "95% intervals by Welch's t on the runs' figures",
    }
}

/// The names of a side's runs.
pub(super) fn names(side: &Side) -> String {
    side.runs.iter().map(|run| run.id.as_str()).collect::<Vec<_>>().join(", ")
}

/// The comparison for a terminal.
pub fn text(comparison: &Comparison) -> String {
    let mut lines =
        vec![format!("Base: {}", names(&comparison.base)), format!("New:  {}", names(&comparison.new))];
    lines.extend(comparison.unlike.iter().map(|unlike| format!("Unlike, as allowed: {unlike}")));
    lines.extend(
        comparison
            .changed
            .iter()
            .map(|found| format!("Changed: {}: {} → {}", found.what, found.base, found.new)),
    );
    for group in &comparison.groups {
        lines.push(String::new());
        let header =
            [format!("{} (ms)", group.name), "base".into(), "new".into(), "change".into(), "95%".into()];
        let mut rows = vec![(header, "verdict".to_owned())];
        rows.extend(group.figures.iter().map(|figure| {
            let cells = [
                figure.figure.title().to_owned(),
                value(figure.figure, figure.base),
                value(figure.figure, figure.new),
                change(figure),
                interval(figure),
            ];
            (cells, verdict(figure))
        }));
        let width =
            |column: usize| rows.iter().map(|(row, _)| row[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; 5] = std::array::from_fn(width);
        for (row, word) in &rows {
            let mut line = format!("  {:<width$}", row[0], width = widths[0]);
            for (cell, width) in row.iter().zip(widths).skip(1) {
                line.push_str(&format!("  {cell:>width$}"));
            }
            lines.push(format!("{line}  {word}"));
        }
    }
    lines.push(String::new());
    lines.push(format!("Method: {}; false discoveries held at 5%", method(comparison)));
    lines.extend(comparison.notes.iter().map(|note| format!("Note: {note}")));
    for rule in &comparison.rules {
        lines.push(format!("Rule: {}: {} {}", rule.rule, rule_mark(rule).0, rule.words()));
    }
    lines.push(format!("Verdict: {}", comparison.sentence));
    lines.join("\n") + "\n"
}

/// The comparison for a pull request: under 60 lines.
pub(super) fn markdown(comparison: &Comparison) -> String {
    markdown_lines(comparison, 59).join("\n") + "\n"
}

/// As Markdown, in at most so many lines (from 24 on): what does not fit is counted.
pub(crate) fn markdown_lines(comparison: &Comparison, room: usize) -> Vec<String> {
    const MOST_ROWS: usize = 24;
    const FEWEST_ROWS: usize = 8;
    let mark = |word: Word| match word {
        Word::Regressed => "❌ ",
        Word::Improved => "✅ ",
        Word::Same | Word::Unclear => "",
    };
    let mut lines = vec![
        format!("**{}{}**", mark(comparison.verdict), inline(&comparison.sentence)),
        String::new(),
        format!("Base {}, new {}.", span(&names(&comparison.base)), span(&names(&comparison.new))),
        String::new(),
        "| class | figure | base | new | change | 95% interval | |".to_owned(),
        "|---|---|--:|--:|--:|--:|---|".to_owned(),
    ];
    let rules = comparison.rules.iter().map(|rule| {
        let mark = if rule.broken { "❌" } else { "✅" };
        format!("- Rule {}: {mark} {}", span(&rule.rule), rule.words())
    });
    let unlike = comparison
        .unlike
        .iter()
        .map(|unlike| format!("- Unlike, as allowed: {}", inline(&unlike.to_string())));
    let changed = comparison.changed.iter().map(|found| {
        format!("- Changed: {}: {} → {}", inline(&found.what), inline(&found.base), inline(&found.new))
    });
    let notes = comparison.notes.iter().map(|note| format!("- {}", inline(note)));
    let mut beside: Vec<String> = rules.chain(unlike).chain(changed).chain(notes).collect();
    // Beside the head, an empty line and the method's, with a line that counts the rest.
    let most_beside = room.saturating_sub(lines.len() + FEWEST_ROWS + 5).clamp(2, 24);
    if beside.len() > most_beside {
        let more = beside.len() - most_beside;
        beside.truncate(most_beside);
        beside.push(format!("- {more} more lines of this kind are in the report."));
    }
    // All of the total, and of the classes what is worth a look.
    let rows = comparison.groups.iter().enumerate().flat_map(|(at, group)| {
        let worth =
            move |figure: &&Compared| at == 0 || matches!(figure.word, Word::Regressed | Word::Improved);
        group.figures.iter().filter(worth).map(move |figure| (&group.name, figure))
    });
    let rows: Vec<String> = rows
        .map(|(group, figure)| {
            format!(
                "| {} | {} | {} | {} | {} | {} | {}{} |",
                cell(group),
                figure.figure.title(),
                value(figure.figure, figure.base),
                value(figure.figure, figure.new),
                change(figure),
                interval(figure),
                mark(figure.word),
                verdict(figure)
            )
        })
        .collect();
    let most_rows = room.saturating_sub(lines.len() + beside.len() + 4).clamp(FEWEST_ROWS, MOST_ROWS);
    lines.extend(rows.iter().take(most_rows).cloned());
    if rows.len() > most_rows {
        lines.extend([String::new(), format!("{} more rows are in the report.", rows.len() - most_rows)]);
    }
    lines.push(String::new());
    lines.extend(beside);
    lines.push(format!("- Times in ms. {}; false discoveries held at 5%.", method(comparison)));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_says_which_end_the_rows_do_not_set() {
        assert_eq!(between(-2.5, 16.2), "[-2.5, +16.2]");
        assert_eq!(between(f64::NEG_INFINITY, 16.2), "[no bound, +16.2]");
        assert_eq!(between(0.5, f64::INFINITY), "[+0.50, no bound]");
    }

    #[test]
    fn what_is_unclear_says_what_would_decide_it() {
        let unclear = |high: f64, more: Option<More>| {
            verdict(&Compared {
                figure: Quantity::P99,
                base: Some(10.0),
                new: Some(11.0),
                unit: "percent",
                change: Some(10.0),
                low: Some(-3.0),
                high: Some(high),
                p_value: Some(0.2),
                word: Word::Unclear,
                word_alone: Word::Unclear,
                more,
                failures_hide: false,
                discovered: false,
                with_failures: None,
            })
        };
        assert_eq!(unclear(20.0, Some(More::Seconds(150.0))), "unclear: 3 min a side would decide");
        assert_eq!(unclear(20.0, Some(More::Runs(7))), "unclear: 7 runs a side would decide");
        assert_eq!(unclear(900.0, None), "unclear: a hundred times as much would not decide");
        assert_eq!(unclear(f64::INFINITY, None), "unclear: too few rows to bound it, run longer");
    }
}
