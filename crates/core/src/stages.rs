//! The stages of an open loop as people write them: `30s:100,2m:100..1000,5m:1000`.
//!
//! Grammar: stages with commas between, each `[name=]length:rate` or `[name=]length:from..to`. A
//! stage whose rate changes is a ramp, which is not measured; the others are. Stages without a name
//! are called `ramp` and `steady`, numbered where there are several.

use std::time::Duration;

use crate::schedule::{Stage, StageKind};
use crate::units::{LOWEST_RATE, format_duration, parse_duration};

/// Reads stages.
///
/// # Errors
/// What is wrong with the text, and how to write it.
pub fn parse_stages(text: &str) -> Result<Vec<Stage>, String> {
    let mut stages = text.split(',').map(parse_stage).collect::<Result<Vec<_>, _>>()?;
    name_stages(&mut stages);
    for (index, stage) in stages.iter().enumerate() {
        if stages[..index].iter().any(|other| other.name == stage.name) {
            return Err(format!("two stages are called `{}`; give each a name of its own", stage.name));
        }
    }
    Ok(stages)
}

/// A stage; one without a name has an empty one.
fn parse_stage(text: &str) -> Result<Stage, String> {
    let text = text.trim();
    let wrong = |reason: &str| format!("the stage `{text}` {reason}; write it like 5m:1000 or 2m:100..1000");
    let (name, load) = match text.split_once('=') {
        Some((name, load)) if is_name(name.trim()) => (name.trim(), load),
        Some((name, _)) => return Err(wrong(&format!("has the name `{}`", name.trim()))),
        None => ("", text),
    };
    let (length, rate) = load.split_once(':').ok_or_else(|| wrong("has no rate"))?;
    let length = parse_duration(length)?;
    if length.is_zero() {
        return Err(wrong("has no length"));
    }
    let end = |text: &str| {
        let number = text.trim().strip_suffix("/s").unwrap_or(text.trim()).trim();
        let rate = number.parse::<f64>().ok();
        let rate = rate.filter(|rate| *rate == 0.0 || (LOWEST_RATE..=1e9).contains(rate));
        rate.ok_or_else(|| wrong(&format!("has the rate `{}`", text.trim())))
    };
    let (from, to) = match rate.split_once("..") {
        Some((from, to)) => (end(from)?, end(to)?),
        None => end(rate).map(|rate| (rate, rate))?,
    };
    if from == 0.0 && to == 0.0 {
        return Err(wrong("sends nothing"));
    }
    let kind = if is_flat(from, to) { StageKind::Steady } else { StageKind::Ramp };
    Ok(Stage { name: name.to_owned(), kind, length: Some(length), from, to })
}

fn is_flat(from: f64, to: f64) -> bool {
    // Both are as written, so that equal texts are equal numbers.
    from.to_bits() == to.to_bits()
}

/// Letters, digits, `-` and `_`: what needs no quotes anywhere.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

fn kind_name(kind: StageKind) -> &'static str {
    match kind {
        StageKind::Ramp => "ramp",
        StageKind::Steady => "steady",
    }
}

/// Names those without a name.
fn name_stages(stages: &mut [Stage]) {
    for kind in [StageKind::Ramp, StageKind::Steady] {
        let nameless = |stage: &Stage| stage.kind == kind && stage.name.is_empty();
        let several = stages.iter().filter(|stage| nameless(stage)).count() > 1;
        for (number, stage) in (1..).zip(stages.iter_mut().filter(|stage| nameless(stage))) {
            let name = kind_name(kind);
            stage.name = if several { format!("{name}-{number}") } else { name.to_owned() };
        }
    }
}

/// Writes stages the way [`parse_stages`] reads them; `None` where one has no end, or is measured
/// though its rate changes, which the grammar does not say.
pub fn format_stages(stages: &[Stage]) -> Option<String> {
    let mut texts = Vec::with_capacity(stages.len());
    for stage in stages {
        let flat = is_flat(stage.from, stage.to);
        if flat != (stage.kind == StageKind::Steady) || !is_name(&stage.name) {
            return None;
        }
        let length = format_duration(stage.length.filter(|length| *length > Duration::ZERO)?);
        let rate = if flat { stage.to.to_string() } else { format!("{}..{}", stage.from, stage.to) };
        texts.push(format!("{}={length}:{rate}", stage.name));
    }
    Some(texts.join(","))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn short(text: &str) -> Vec<(String, StageKind, u64, f64, f64)> {
        let stages = parse_stages(text).unwrap();
        let whole =
            |stage: Stage| (stage.name, stage.kind, stage.length.unwrap().as_secs(), stage.from, stage.to);
        stages.into_iter().map(whole).collect()
    }

    #[test]
    fn stages_read_as_people_write_them() {
        use StageKind::{Ramp, Steady};
        assert_eq!(
            short("30s:100,2m:100..1000, 5m:1000/s"),
            [
                ("steady-1".into(), Steady, 30, 100.0, 100.0),
                ("ramp".into(), Ramp, 120, 100.0, 1000.0),
                ("steady-2".into(), Steady, 300, 1000.0, 1000.0),
            ]
        );
        assert_eq!(short("rush=1h:12.5"), [("rush".into(), Steady, 3_600, 12.5, 12.5)]);
    }

    #[test]
    fn what_is_no_stage_says_how_to_write_it() {
        for (text, part) in [
            ("", "has no rate"),
            ("30s", "has no rate"),
            ("30x:5", "`30x`"),
            ("0s:5", "has no length"),
            ("30s:fast", "`fast`"),
            ("30s:-5", "`-5`"),
            ("30s:0..1e-20", "`1e-20`"),
            ("30s:0", "sends nothing"),
            ("30s:1..", "the rate ``"),
            ("a b=30s:1", "`a b`"),
            ("a=30s:1,a=30s:2", "two stages are called `a`"),
            ("30s:1,", "has no rate"),
        ] {
            let error = parse_stages(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    /// A rate from which or to which a stage may go.
    fn rates() -> impl Strategy<Value = f64> {
        prop_oneof![Just(0.0), 0.001_f64..1e6]
    }

    proptest! {
        #[test]
        fn written_stages_read_back(
            stages in prop::collection::vec((1_u64..10_000_000, 0.001_f64..1e6, rates(), any::<bool>()), 1..6),
        ) {
            let mut stages: Vec<Stage> = stages
                .into_iter()
                .map(|(millis, from, to, flat)| {
                    let to = if flat { from } else { to };
                    let kind = if is_flat(from, to) { StageKind::Steady } else { StageKind::Ramp };
                    Stage { name: String::new(), kind, length: Some(Duration::from_millis(millis)), from, to }
                })
                .collect();
            name_stages(&mut stages);
            let text = format_stages(&stages).unwrap();
            prop_assert_eq!(parse_stages(&text), Ok(stages));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,60}") {
            let _ = parse_stages(&text);
        }
    }
}
