//! What lies behind figures over time: the ramp, the warm-up, stages, outages, and what else is not measured.

use squall_core::plan::Plan;
use squall_core::schedule::StageKind;

use super::panel::Line;
use super::theme;
use crate::number::decimal;
use crate::spans::{Spans, placed_stages};

/// Why a time is not measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unmeasured {
    /// The load is on its way to where it shall be.
    Ramp,
    /// The load is there, and nothing is measured yet.
    WarmUp,
    /// Anything else, such as waiting for the last answers.
    Other,
}

impl Unmeasured {
    const ALL: [Self; 3] = [Self::Ramp, Self::WarmUp, Self::Other];

    /// As the legend and the text name it.
    fn name(self) -> &'static str {
        match self {
            Self::Ramp => "ramp",
            Self::WarmUp => "warm-up",
            Self::Other => "not measured",
        }
    }
}

/// Name of the spans in which the server was gone.
const OUTAGE: &str = "outage";

/// The times up to `end_ns` that are not measured, in their order.
pub(crate) fn unmeasured(plan: &Plan, measured: &Spans, end_ns: i64) -> Vec<(Unmeasured, i64, i64)> {
    let first = measured.iter().next().map(|(from, _)| from);
    let mut pieces: Vec<(Unmeasured, i64, i64)> = Vec::new();
    let mut add = |kind, from: i64, to: i64| {
        if from < to {
            match pieces.last_mut() {
                Some(last) if last.0 == kind && last.2 == from => last.2 = to,
                _ => pieces.push((kind, from, to)),
            }
        }
    };
    let stages = placed_stages(plan);
    let mut gap = |from: i64, to: i64| {
        let mut at = from;
        for stage in stages.iter().filter(|stage| stage.from_ns < to && stage.to_ns > from) {
            let kind = match stage.kind {
                StageKind::Ramp => Unmeasured::Ramp,
                StageKind::Steady if first.is_some_and(|first| to <= first) => Unmeasured::WarmUp,
                StageKind::Steady => Unmeasured::Other,
            };
            add(kind, at, stage.to_ns.min(to));
            at = stage.to_ns.min(to);
        }
        add(Unmeasured::Other, at, to);
    };
    let mut from = 0;
    for (begin, end) in measured.iter() {
        gap(from, begin.min(end_ns));
        from = end;
    }
    gap(from, end_ns);
    // Less than a pixel's worth is no span to speak of.
    pieces.retain(|(_, from, to)| to - from > end_ns / 500);
    pieces
}

/// Spans behind a figure: what is not measured and why, every other measured stage where there are
/// several, and outages over all.
pub(crate) fn spans(
    plan: &Plan,
    measured: &Spans,
    outages: impl IntoIterator<Item = (i64, i64)>,
    end_ns: i64,
) -> Vec<Line> {
    let seconds = |(from, to): (i64, i64)| (from.min(end_ns) as f64 / 1e9, to.min(end_ns) as f64 / 1e9);
    let pieces = unmeasured(plan, measured, end_ns);
    let mut lines: Vec<Line> = Unmeasured::ALL
        .into_iter()
        .map(|kind| {
            let color = match kind {
                Unmeasured::Ramp => theme::RAMP,
                Unmeasured::WarmUp => theme::WARM_UP,
                Unmeasured::Other => theme::SHADE,
            };
            let own = pieces.iter().filter(|piece| piece.0 == kind);
            Line::spans(kind.name(), color, own.map(|(_, from, to)| seconds((*from, *to))))
        })
        .collect();
    let steady = placed_stages(plan).into_iter().filter(|stage| stage.kind == StageKind::Steady);
    let every_other = steady.skip(1).step_by(2).map(|stage| (stage.from_ns, stage.to_ns));
    let begun = every_other.filter(|(from, _)| *from < end_ns).flat_map(|(from, to)| {
        let parts: Vec<(i64, i64)> = measured.within(from, to.min(end_ns)).iter().collect();
        parts
    });
    lines.push(Line::spans("every other stage", theme::STAGE, begun.map(seconds)));
    lines.push(Line::spans(OUTAGE, theme::OUTAGE, outages.into_iter().map(seconds)));
    lines
}

/// The same in words: `Shaded: ramp from 0 to 2 s, outage from 9 to 10.5 s.`; nothing where nothing is.
pub(crate) fn told(
    plan: &Plan,
    measured: &Spans,
    outages: impl IntoIterator<Item = (i64, i64)>,
    end_ns: i64,
) -> String {
    const MOST: usize = 12;
    let pieces = unmeasured(plan, measured, end_ns).into_iter();
    let pieces = pieces.map(|(kind, from, to)| (kind.name(), from, to));
    let outages = outages.into_iter().map(|(from, to)| (OUTAGE, from, to));
    // Hundredths where tenths would not tell the ends apart.
    let seconds = |ns: i64, parts: f64| decimal((ns as f64 / 1e9 * parts).round() / parts);
    let mut told: Vec<String> = pieces
        .chain(outages)
        .map(|(name, from, to)| {
            let parts = if to - from < 500_000_000 { 100.0 } else { 10.0 };
            format!("{name} from {} to {} s", seconds(from, parts), seconds(to, parts))
        })
        .collect();
    let more = told.len().saturating_sub(MOST);
    told.truncate(MOST);
    if more > 0 {
        told.push(format!("{more} more"));
    }
    if told.is_empty() { String::new() } else { format!("Shaded: {}.", told.join(", ")) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use squall_core::plan::{Load, ServerTarget, reference_classes};
    use squall_core::schedule::{Arrivals, Stage};
    use squall_core::schema::Transport;
    use squall_core::workload::Workload;

    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn plan(stages: &[(StageKind, u64)], warm_up_s: u64) -> Plan {
        let stage = |(kind, seconds): &(StageKind, u64)| Stage {
            name: "stage".into(),
            kind: *kind,
            length: Some(Duration::from_secs(*seconds)),
            from: 10.0,
            to: 10.0,
        };
        Plan {
            name: "shaded".into(),
            labels: Vec::new(),
            server: ServerTarget {
                uri: "http://10.0.0.5:19530".into(),
                database: None,
                collection: "c".into(),
                transport: Transport::Grpc,
            },
            workload: Workload::reference(1, 8),
            classes: reference_classes(),
            load: Load::Open { arrivals: Arrivals::Even, stages: stages.iter().map(stage).collect() },
            targets: Vec::new(),
            seed: 1,
            warm_up: Duration::from_secs(warm_up_s),
            auto_warm_up: false,
            give_up: None,
            drain: Duration::from_secs(30),
            timeout: Duration::from_secs(10),
            max_in_flight: 64,
            threads: 1,
            connections: 1,
            consistency: None,
            search_params: None,
            output_fields: None,
        }
    }

    fn pieces(plan: &Plan, end_s: i64) -> Vec<(Unmeasured, i64, i64)> {
        let measured = Spans::from_pairs(&plan.measured(None));
        let found = unmeasured(plan, &measured, end_s * SECOND).into_iter();
        found.map(|(kind, from, to)| (kind, from / SECOND, to / SECOND)).collect()
    }

    #[test]
    fn ramp_warm_up_and_the_rest_are_told_apart() {
        use StageKind::{Ramp, Steady};
        let one = plan(&[(Ramp, 10), (Steady, 60)], 5);
        let expected = [(Unmeasured::Ramp, 0, 10), (Unmeasured::WarmUp, 10, 15), (Unmeasured::Other, 70, 80)];
        assert_eq!(pieces(&one, 80), expected);
        // A ramp between stages is one, too, and no warm-up.
        let two = plan(&[(Steady, 30), (Ramp, 10), (Steady, 30)], 0);
        assert_eq!(pieces(&two, 70), [(Unmeasured::Ramp, 30, 40)]);
        // Ended in its ramp.
        assert_eq!(pieces(&one, 4), [(Unmeasured::Ramp, 0, 4)]);
    }

    #[test]
    fn each_kind_of_span_has_its_own_colour_and_word() {
        use StageKind::{Ramp, Steady};
        let plan = plan(&[(Ramp, 10), (Steady, 30), (Steady, 30)], 5);
        let measured = Spans::from_pairs(&plan.measured(None));
        let outage = [(20 * SECOND, 22 * SECOND)];
        let lines = spans(&plan, &measured, outage, 80 * SECOND);
        let drawn: Vec<_> = lines.iter().map(|line| (line.name.as_str(), line.segments.len())).collect();
        let expected =
            [("ramp", 1), ("warm-up", 1), ("not measured", 1), ("every other stage", 1), ("outage", 1)];
        assert_eq!(drawn, expected);
        for (at, line) in lines.iter().enumerate() {
            assert!(lines[..at].iter().all(|other| other.color != line.color), "{}", line.name);
        }
        assert_eq!(
            told(&plan, &measured, outage, 80 * SECOND),
            "Shaded: ramp from 0 to 10 s, warm-up from 10 to 15 s, not measured from 70 to 80 s, outage from 20 to 22 s."
        );
        let all = Spans::from_pairs(&[(0, 80 * SECOND)]);
        assert_eq!(told(&plan, &all, [], 80 * SECOND), "");
        let short = [(SECOND * 45 / 10 + 12_000_000, SECOND * 45 / 10 + 38_000_000)];
        assert_eq!(told(&plan, &all, short, 80 * SECOND), "Shaded: outage from 4.51 to 4.54 s.");
    }
}
