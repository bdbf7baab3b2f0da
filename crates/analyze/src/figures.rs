//! The figures of measurement.md, by class, by stage and in total, over the measured rows.

use squall_core::plan::Plan;
use squall_core::row::Outcome;
use squall_core::schedule::StageKind;
use squall_core::summary::{Figures, LatencyFigures};

use crate::frame::{Frame, Row};
use crate::percentile::{Percentile, Sorted, Unsorted, ms};
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
        Some(self.response.at(rank).map_or(f64::INFINITY, ms))
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
    /// P99 of the lag of the measured requests that were sent, in nanoseconds; `None` where too few were.
    pub lag_p99_ns: Option<i64>,
}

impl Groups {
    /// The group of a class.
    pub fn class(&self, name: &str) -> Option<&Group> {
        self.classes.iter().find(|(class, _)| class == name).map(|(_, group)| group)
    }
}

/// What is counted of some rows, and their times.
#[derive(Clone, Default)]
struct Collected<Times> {
    outcomes: [u64; Outcome::ALL.len()],
    response: Times,
    service: Times,
    recall_sum: f64,
    recall_rows: u64,
    bytes_in: u64,
}

impl Collected<Unsorted> {
    fn add(&mut self, row: Row<'_>) {
        let outcome = row.outcome();
        self.outcomes[outcome as usize] += 1;
        self.bytes_in += u64::from(row.bytes_in());
        if outcome.is_answered() {
            self.response.push(row.response_ns());
            if let Some(service) = row.service_ns() {
                self.service.push(service);
            }
            if let Some(recall) = row.recall() {
                self.recall_sum += f64::from(recall);
                self.recall_rows += 1;
            }
        }
    }

    fn sort(self, room: &mut Vec<u32>) -> Collected<Sorted> {
        Collected {
            outcomes: self.outcomes,
            response: self.response.sort_with(room),
            service: self.service.sort_with(room),
            recall_sum: self.recall_sum,
            recall_rows: self.recall_rows,
            bytes_in: self.bytes_in,
        }
    }
}

impl Collected<Sorted> {
    fn merge<'a>(parts: impl Iterator<Item = &'a Self> + Clone) -> Self {
        let mut all = Self {
            response: Sorted::union(parts.clone().map(|part| &part.response)),
            service: Sorted::union(parts.clone().map(|part| &part.service)),
            ..Self::default()
        };
        for part in parts {
            for (sum, count) in all.outcomes.iter_mut().zip(part.outcomes) {
                *sum += count;
            }
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
        let figures = Figures {
            requests,
            failures: requests - answered,
            error_rate: share(requests - answered),
            short_rate: share(count(Outcome::Short)),
            rate: (length_s > 0.0).then(|| answered as f64 / length_s),
            recall: (self.recall_rows > 0).then(|| self.recall_sum / self.recall_rows as f64),
            response_ms: latency(&self.response),
            service_ms: latency(&self.service),
            outcomes: Outcome::ALL
                .into_iter()
                .filter(|outcome| count(*outcome) > 0)
                .map(|outcome| (outcome.word().to_owned(), count(outcome)))
                .collect(),
        };
        Group { figures, response: self.response, bytes_in: self.bytes_in }
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

    // The lags are gone before the times come that are as large.
    let lag_p99_ns = lag_p99_ns(frame, spans);
    // A thread's cells are never put together: the groups are unions of them.
    let stages = frame.stages.len();
    let shares = frame.on_all_cores(|rows| {
        let mut cells = vec![Collected::<Unsorted>::default(); frame.classes.len() * stages];
        for row in rows.filter(|row| spans.contains(row.due_ns())) {
            cells[usize::from(row.class()) * stages + usize::from(row.stage())].add(row);
        }
        let mut room = Vec::new();
        cells.into_iter().map(|cell| cell.sort(&mut room)).collect::<Vec<_>>()
    });
    // Each with the numbers of its class and its stage.
    let cells = shares.iter().flat_map(|cells| {
        cells.iter().enumerate().map(|(cell, collected)| (cell / stages, cell % stages, collected))
    });
    let of = |keep: &dyn Fn(usize, usize) -> bool| {
        let cells = cells.clone().filter(|(class, stage, _)| keep(*class, *stage));
        Collected::merge(cells.map(|(_, _, collected)| collected))
    };
    let of_class = |name: &str| of(&|class, _| frame.classes[class] == name);
    let of_stage = |name: &str| of(&|_, stage| frame.stages[stage] == name);
    let length_of_stage = |name: &str| -> f64 {
        let stages = placed.iter().filter(|stage| stage.name == name);
        stages.map(|stage| spans.within(stage.from_ns, stage.to_ns).length_s()).sum()
    };

    let length_s = spans.length_s();
    let total = of(&|_, _| true).into_group(length_s);
    let classes = class_names.into_iter().map(|name| {
        let group = of_class(&name).into_group(length_s);
        (name, group)
    });
    let classes = classes.collect();
    let stages = stage_names.into_iter().map(|name| {
        let group = of_stage(&name).into_group(length_of_stage(&name));
        (name, group)
    });
    let stages = stages.collect();
    Groups { total, classes, stages, lag_p99_ns }
}

/// P99 of the lag of the requests due in `spans` that were sent.
fn lag_p99_ns(frame: &Frame, spans: &Spans) -> Option<i64> {
    let shares = frame.on_all_cores(|rows| {
        let mut lag = Unsorted::default();
        for row in rows {
            if let Some(ns) = row.lag_ns().filter(|_| spans.contains(row.due_ns())) {
                lag.push(ns);
            }
        }
        lag.sort()
    });
    Sorted::union(&shares).percentile(Percentile::P99)
}

/// A window [from, to) of `due`, in nanoseconds since the plan's start, and the figures of its rows.
pub(crate) type Window = ((i64, i64), Group);

/// The figures of every window of that length within the spans, the next beginning a tenth of it
/// later, at least a second; of one class, or of all requests.
pub(crate) fn windows(frame: &Frame, spans: &Spans, class: Option<&str>, length_ns: i64) -> Vec<Window> {
    let number = class.map(|name| frame.classes.iter().position(|class| class == name));
    let of_class = |row: Row<'_>| number.is_none_or(|number| number == Some(usize::from(row.class())));
    let rows = frame.rows().enumerate().filter(|(_, row)| of_class(*row));
    let mut rows: Vec<(i64, u32)> = rows.map(|(number, row)| (row.due_ns(), number as u32)).collect();
    rows.sort_unstable();
    let step_ns = (length_ns / 10).max(1_000_000_000);
    let mut windows = Vec::new();
    for (from, to) in spans.iter() {
        let mut start = from;
        while start.saturating_add(length_ns) <= to {
            let end = start + length_ns;
            let first = rows.partition_point(|(due_ns, _)| *due_ns < start);
            let mut collected = Collected::default();
            for (_, row) in rows[first..].iter().take_while(|(due_ns, _)| *due_ns < end) {
                collected.add(frame.row(*row as usize));
            }
            windows.push(((start, end), collected.sort(&mut Vec::new()).into_group(length_ns as f64 / 1e9)));
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
