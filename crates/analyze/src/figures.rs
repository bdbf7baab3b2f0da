//! The figures of measurement.md, by class, by stage and in total, over the measured rows.

use std::collections::BTreeMap;

use squall_core::plan::Plan;
use squall_core::row::Outcome;
use squall_core::schedule::StageKind;
use squall_core::summary::{Figures, LatencyFigures};

use crate::frame::Frame;
use crate::percentile::{Percentile, Sorted, ms};
use crate::spans::{Spans, placed_stages};

/// The figures of some requests and the sorted times that they were made of.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// The figures.
    pub figures: Figures,
    /// Response times of answered requests.
    pub response: Sorted,
    /// Sum of the answers' payload of all its requests.
    pub bytes_in: u64,
}

impl Group {
    /// A response time percentile in milliseconds in which every failed request counts as
    /// infinitely late; `None` where too few requests stand behind it.
    pub fn percentile_with_failures_ms(&self, percentile: Percentile) -> Option<f64> {
        let requests = self.response.len() + self.figures.failures as usize;
        if requests < percentile.min_rows() {
            return None;
        }
        let rank = percentile.rank(requests).checked_sub(1)?;
        Some(self.response.values().get(rank).map_or(f64::INFINITY, |ns| ms(*ns)))
    }
}

/// All groups of a run.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    /// All measured requests.
    pub total: Group,
    /// By class, in the plan's order.
    pub classes: Vec<(String, Group)>,
    /// By measured stage, in the plan's order.
    pub stages: Vec<(String, Group)>,
    /// Lag of the measured requests that were sent.
    pub lag: Sorted,
}

impl Groups {
    /// The group of a class.
    pub fn class(&self, name: &str) -> Option<&Group> {
        self.classes.iter().find(|(class, _)| class == name).map(|(_, group)| group)
    }
}

/// What is collected of some rows before the figures are made.
#[derive(Clone, Default)]
struct Collected {
    outcomes: [u64; Outcome::ALL.len()],
    response: Vec<i64>,
    service: Vec<i64>,
    recall_sum: f64,
    recall_rows: u64,
    bytes_in: u64,
}

impl Collected {
    fn add(&mut self, frame: &Frame, row: usize) {
        let outcome = frame.outcome[row];
        self.outcomes[outcome as usize] += 1;
        self.bytes_in += u64::from(frame.bytes_in[row]);
        if outcome.is_answered() {
            self.response.push(frame.response_ns[row]);
            self.service.extend(frame.service(row));
            if !frame.recall[row].is_nan() {
                self.recall_sum += f64::from(frame.recall[row]);
                self.recall_rows += 1;
            }
        }
    }

    fn merge<'a>(parts: impl IntoIterator<Item = &'a Collected>) -> Self {
        let mut all = Self::default();
        for part in parts {
            for (sum, count) in all.outcomes.iter_mut().zip(part.outcomes) {
                *sum += count;
            }
            all.response.extend_from_slice(&part.response);
            all.service.extend_from_slice(&part.service);
            all.recall_sum += part.recall_sum;
            all.recall_rows += part.recall_rows;
            all.bytes_in += part.bytes_in;
        }
        all
    }

    /// The figures, `length_s` being the planned length of the measured stages.
    fn into_group(self, length_s: f64) -> Group {
        let requests: u64 = self.outcomes.iter().sum();
        let count = |outcome: Outcome| self.outcomes[outcome as usize];
        let answered = count(Outcome::Ok) + count(Outcome::Short);
        let share = |part: u64| (requests > 0).then(|| part as f64 / requests as f64);
        let response = Sorted::from(self.response);
        let figures = Figures {
            requests,
            failures: requests - answered,
            error_rate: share(requests - answered),
            short_rate: share(count(Outcome::Short)),
            rate: (length_s > 0.0).then(|| answered as f64 / length_s),
            recall: (self.recall_rows > 0).then(|| self.recall_sum / self.recall_rows as f64),
            response_ms: latency(&response),
            service_ms: latency(&Sorted::from(self.service)),
            outcomes: Outcome::ALL
                .into_iter()
                .filter(|outcome| count(*outcome) > 0)
                .map(|outcome| (outcome.word().to_owned(), count(outcome)))
                .collect(),
        };
        Group { figures, response, bytes_in: self.bytes_in }
    }
}

fn latency(times: &Sorted) -> LatencyFigures {
    let at = |percentile| times.percentile(percentile).map(ms);
    LatencyFigures {
        mean: times.mean().map(|ns| ns / 1e6),
        p50: at(Percentile::P50),
        p90: at(Percentile::P90),
        p95: at(Percentile::P95),
        p99: at(Percentile::P99),
        p999: at(Percentile::P999),
        max: times.max().map(ms),
    }
}

/// Makes the figures of the rows that are due in `spans`.
pub(crate) fn make(frame: &Frame, plan: &Plan, spans: &Spans) -> Groups {
    let class_names = names_in_order(plan.class_names(), &frame.classes);
    let placed = placed_stages(plan);
    let steady = placed.iter().filter(|stage| stage.kind == StageKind::Steady);
    let mut stage_names: Vec<String> = Vec::new();
    for stage in steady {
        if !stage_names.contains(&stage.name) {
            stage_names.push(stage.name.clone());
        }
    }

    let mut cells: BTreeMap<(u16, u16), Collected> = BTreeMap::new();
    let mut lag = Vec::new();
    for row in (0..frame.len()).filter(|&row| spans.contains(frame.due_ns[row])) {
        cells.entry((frame.class[row], frame.stage[row])).or_default().add(frame, row);
        lag.extend(frame.lag(row));
    }
    let of_class = |name: &str| {
        let cells = cells.iter().filter(|((class, _), _)| frame.classes[usize::from(*class)] == name);
        Collected::merge(cells.map(|(_, collected)| collected))
    };
    let of_stage = |name: &str| {
        let cells = cells.iter().filter(|((_, stage), _)| frame.stages[usize::from(*stage)] == name);
        Collected::merge(cells.map(|(_, collected)| collected))
    };
    let length_of_stage = |name: &str| -> f64 {
        let stages = placed.iter().filter(|stage| stage.name == name);
        stages.map(|stage| spans.within(stage.from_ns, stage.to_ns).length_s()).sum()
    };

    let length_s = spans.length_s();
    Groups {
        total: Collected::merge(cells.values()).into_group(length_s),
        classes: class_names
            .into_iter()
            .map(|name| {
                let group = of_class(&name).into_group(length_s);
                (name, group)
            })
            .collect(),
        stages: stage_names
            .into_iter()
            .map(|name| {
                let group = of_stage(&name).into_group(length_of_stage(&name));
                (name, group)
            })
            .collect(),
        lag: Sorted::from(lag),
    }
}

/// A window [from, to) of `due`, in nanoseconds since the plan's start, and the figures of its rows.
pub(crate) type Window = ((i64, i64), Group);

/// The figures of every window of that length within the spans, the next beginning a tenth of it
/// later, at least a second; of one class, or of all requests.
pub(crate) fn windows(frame: &Frame, spans: &Spans, class: Option<&str>, length_ns: i64) -> Vec<Window> {
    let of_class = |row: usize| class.is_none_or(|name| frame.classes[usize::from(frame.class[row])] == name);
    let mut rows: Vec<usize> = (0..frame.len()).filter(|&row| of_class(row)).collect();
    rows.sort_unstable_by_key(|row| frame.due_ns[*row]);
    let step_ns = (length_ns / 10).max(1_000_000_000);
    let mut windows = Vec::new();
    for (from, to) in spans.iter() {
        let mut start = from;
        while start.saturating_add(length_ns) <= to {
            let end = start + length_ns;
            let first = rows.partition_point(|row| frame.due_ns[*row] < start);
            let mut collected = Collected::default();
            for &row in rows[first..].iter().take_while(|row| frame.due_ns[**row] < end) {
                collected.add(frame, row);
            }
            windows.push(((start, end), collected.into_group(length_ns as f64 / 1e9)));
            start += step_ns;
        }
    }
    windows
}

/// The plan's names, then those that only rows have.
fn names_in_order(mut names: Vec<String>, found: &[String]) -> Vec<String> {
    for name in found {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}
