//! The comparison as one HTML page: no network, no script.

use askama::Template;

use super::{Changed, Comparison, Unlike, figures, views};
use crate::error::AnalyzeError;
use crate::figure::Layout;
use crate::page::{FigureBlock, figure_block};
use crate::prose as filters;
use crate::statistics::Word;

#[derive(Template)]
#[template(path = "comparison.html")]
struct Page<'a> {
    verdict: &'static str,
    class: &'static str,
    sentence: &'a str,
    base: String,
    new: String,
    margin: String,
    unlike: &'a [Unlike],
    changed: &'a [Changed],
    notes: &'a [String],
    rules: Vec<RuleRow>,
    groups: Vec<GroupRows>,
    figures: Vec<FigureBlock>,
    method: &'static str,
    version: &'static str,
}

struct RuleRow {
    rule: String,
    class: &'static str,
    result: String,
}

struct GroupRows {
    name: String,
    rows: Vec<Row>,
}

struct Row {
    name: &'static str,
    base: String,
    new: String,
    change: String,
    interval: String,
    class: &'static str,
    verdict: String,
}

/// The class of a word's colour.
fn color(word: Word) -> &'static str {
    match word {
        Word::Regressed => "bad",
        Word::Improved => "good",
        Word::Same => "",
        Word::Unclear => "faint",
    }
}

/// Fills the page.
pub(super) fn render(comparison: &Comparison) -> Result<String, AnalyzeError> {
    let wide = figures::all(comparison, Layout::WIDE);
    let narrow = figures::all(comparison, Layout::NARROW);
    let groups = comparison.groups.iter().map(|group| GroupRows {
        name: group.name.clone(),
        rows: group
            .figures
            .iter()
            .map(|figure| Row {
                name: figure.figure.title(),
                base: views::value(figure.figure, figure.base),
                new: views::value(figure.figure, figure.new),
                change: views::change(figure),
                interval: views::interval(figure),
                class: color(figure.word),
                verdict: views::verdict(figure),
            })
            .collect(),
    });
    let rules = comparison.rules.iter().map(|rule| {
        let (mark, class) = views::rule_mark(rule);
        RuleRow { rule: rule.rule.clone(), class, result: format!("{mark} {}", rule.words()) }
    });
    let page = Page {
        verdict: comparison.verdict.text(),
        class: match comparison.verdict {
            Word::Regressed => "fail",
            Word::Improved | Word::Same => "pass",
            Word::Unclear => "none",
        },
        sentence: &comparison.sentence,
        base: views::names(&comparison.base),
        new: views::names(&comparison.new),
        margin: crate::number::decimal(comparison.margin_percent),
        unlike: &comparison.unlike,
        changed: &comparison.changed,
        notes: &comparison.notes,
        rules: rules.collect(),
        groups: groups.collect(),
        figures: wide
            .into_iter()
            .zip(&narrow)
            .map(|(wide, narrow)| figure_block(wide, narrow))
            .collect::<Result<_, _>>()?,
        method: views::method(comparison),
        version: env!("CARGO_PKG_VERSION"),
    };
    Ok(page.render()?)
}
