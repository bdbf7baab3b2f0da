//! Whether requests of a class are slower where more of another class came just before them.
//!
//! Which class an arrival has is drawn, not chosen by what the server does: that some tenths of a second
//! have more `rare` requests than others is an experiment that every run makes by itself. So the
//! requests of a class are put in order of how many of the other class were due in the window before
//! them, and the quarter with the most is held against the quarter with the fewest.
//! The quarters are those of each stage, put together: which stage a request is of was chosen, and a
//! stage with more of everything is slower without anybody taking anything from anybody.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::frame::{Frame, Row};
use crate::measured_time::MeasuredTime;
use crate::percentile::{Percentile, Sorted, ms};

/// Most rows that are looked at, from the beginning of the measured time.
const MOST_ROWS: usize = 2_000_000;
/// Requests of a class in a quarter below which nothing is said.
const FEWEST: usize = 500;
/// The window is as long as the other class's requests take, times this, at least …
const WINDOW_TIMES: f64 = 2.0;
/// … and at most, in nanoseconds.
const WINDOW_NS: (f64, f64) = (20e6, 1e9);

/// What the arrivals of one class do to the response time of another.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Contention {
    /// The class whose arrivals are counted.
    pub(crate) from: String,
    /// The class whose response times are looked at; may be the same.
    pub(crate) to: String,
    /// Length of the window before each request.
    pub(crate) window_ms: f64,
    /// Mean arrivals of `from` in it, in the quarter with the fewest and with the most.
    pub(crate) arrivals: (f64, f64),
    /// P50 of `to` there, in milliseconds.
    pub(crate) p50_ms: (f64, f64),
    /// P95 of `to` there.
    pub(crate) p95_ms: (f64, f64),
}

impl Contention {
    /// How much slower the median is where more of the other class came.
    pub(crate) fn ratio(&self) -> f64 {
        self.p50_ms.1 / self.p50_ms.0
    }
}

/// Every pair of classes with requests enough.
pub(crate) fn between_classes(frame: &Frame, time: &MeasuredTime) -> Vec<Contention> {
    let measured = frame.rows().filter(|row| time.slice(row.due_ns()).is_some());
    let mut rows: Vec<Row<'_>> = measured.take(MOST_ROWS).collect();
    rows.sort_unstable_by_key(|row| row.due_ns());
    let of_class = |class: usize| rows.iter().filter(move |row| usize::from(row.class()) == class);
    let mut found = Vec::new();
    for from in 0..frame.classes.len() {
        let arrivals: Vec<i64> = of_class(from).map(|row| row.due_ns()).collect();
        let service = Sorted::from(of_class(from).filter_map(|row| row.service_ns()).collect::<Vec<_>>());
        let Some(typical) = service.percentile(Percentile::P50) else { continue };
        let window_ns = (WINDOW_TIMES * typical as f64).clamp(WINDOW_NS.0, WINDOW_NS.1) as i64;
        for to in 0..frame.classes.len() {
            let answered = of_class(to).filter(|row| row.outcome().is_answered());
            let seen = answered.map(|row| {
                let due = row.due_ns();
                let before = |at: i64| arrivals.partition_point(|arrival| *arrival < at);
                Seen {
                    stage: row.stage(),
                    arrivals: before(due) - before(due - window_ns),
                    response_ns: row.response_ns(),
                }
            });
            if let Some(quarters) = quarters(seen.collect()) {
                let Quarters { arrivals, p50_ms, p95_ms } = quarters;
                found.push(Contention {
                    from: frame.classes[from].clone(),
                    to: frame.classes[to].clone(),
                    window_ms: window_ns as f64 / 1e6,
                    arrivals,
                    p50_ms,
                    p95_ms,
                });
            }
        }
    }
    found
}

/// A request of the class whose response times are looked at.
#[derive(Clone, Copy)]
struct Seen {
    stage: u16,
    /// How many of the other class were due in the window before it.
    arrivals: usize,
    response_ns: i64,
}

struct Quarters {
    arrivals: (f64, f64),
    p50_ms: (f64, f64),
    p95_ms: (f64, f64),
}

/// Of each stage the quarter of the requests with the fewest arrivals before them, and that with the
/// most.
fn quarters(mut seen: Vec<Seen>) -> Option<Quarters> {
    // In no order of time among equal counts, or the quarters would be the run's beginning and end.
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seen.len() as u64);
    seen.shuffle(&mut rng);
    seen.sort_by_key(|seen| (seen.stage, seen.arrivals));
    let (mut few, mut many) = (Vec::new(), Vec::new());
    for of_stage in seen.chunk_by(|a, b| a.stage == b.stage) {
        let quarter = of_stage.len() / 4;
        few.extend_from_slice(&of_stage[..quarter]);
        many.extend_from_slice(&of_stage[of_stage.len() - quarter..]);
    }
    if few.len() < FEWEST {
        return None;
    }
    let mean = |part: &[Seen]| part.iter().map(|seen| seen.arrivals as f64).sum::<f64>() / part.len() as f64;
    let arrivals = (mean(&few), mean(&many));
    let sorted =
        [few, many].map(|part| Sorted::from(part.iter().map(|seen| seen.response_ns).collect::<Vec<_>>()));
    let at =
        |percentile| Some((ms(sorted[0].percentile(percentile)?), ms(sorted[1].percentile(percentile)?)));
    Some(Quarters { arrivals, p50_ms: at(Percentile::P50)?, p95_ms: at(Percentile::P95)? })
}
