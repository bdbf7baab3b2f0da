//! The requests of one class in one run, as the statistics want them: by slice of measured time.

use super::long_run::FEWEST;

/// One run's requests of one class, or of all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// Slices of equal length, in the order of time.
    pub(crate) slices: Vec<Slice>,
    /// Stage of each slice.
    pub(crate) strata: Vec<u16>,
    /// Slice and response time of each answered request, the fastest first.
    answered: Vec<(u32, i64)>,
    /// Measured time in seconds.
    pub(crate) length_s: f64,
}

/// What is counted in a slice of time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Slice {
    /// Requests that were due in it.
    pub(crate) requests: u32,
    /// Those that failed.
    pub(crate) failures: u32,
    /// Sum of the recalls that are known.
    pub(crate) recall_sum: f64,
    /// Number of the recalls that are known.
    pub(crate) recalls: u32,
}

/// One request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Request {
    /// Slice in which it was due.
    pub slice: u32,
    /// Response time in nanoseconds; `None`: it failed.
    pub response_ns: Option<i64>,
    /// Recall, where known.
    pub recall: Option<f32>,
}

/// Most slices: the statistics rest on waves that are far longer than a slice.
const MOST_SLICES: f64 = 300.0;
/// Shortest slice in seconds.
const SHORTEST_S: f64 = 0.2;

/// Measured seconds below which a single run says too little of its own wandering to be judged.
pub const SHORTEST_MEASURED_S: f64 = FEWEST as f64 * SHORTEST_S;

/// Into how many slices so many seconds are cut.
pub fn slices(length_s: f64) -> usize {
    (length_s / SHORTEST_S).floor().clamp(1.0, MOST_SLICES) as usize
}

impl Sample {
    /// A sample of requests, in any order; `strata` has the stage of each slice.
    pub fn new(strata: Vec<u16>, length_s: f64, requests: impl IntoIterator<Item = Request>) -> Self {
        let mut slices = vec![Slice::default(); strata.len()];
        let mut answered = Vec::new();
        for request in requests {
            let slice = &mut slices[request.slice as usize];
            slice.requests += 1;
            match request.response_ns {
                Some(ns) => answered.push((request.slice, ns)),
                None => slice.failures += 1,
            }
            if let Some(recall) = request.recall {
                slice.recall_sum += f64::from(recall);
                slice.recalls += 1;
            }
        }
        answered.sort_unstable_by_key(|(_, ns)| *ns);
        Self { slices, strata, answered, length_s }
    }

    /// Number of answered requests.
    pub(crate) fn answered(&self) -> usize {
        self.answered.len()
    }

    /// Slice and response time of each answered request, the fastest first.
    pub(crate) fn by_speed(&self) -> &[(u32, i64)] {
        &self.answered
    }

    /// Number of failed requests.
    pub(crate) fn failures(&self) -> usize {
        self.slices.iter().map(|slice| slice.failures as usize).sum()
    }

    /// A series over the slices, from what each answered request adds to its own.
    pub(crate) fn series(&self, adds: impl Fn(usize, i64) -> f64) -> Vec<f64> {
        let mut series = vec![0.0; self.slices.len()];
        for (rank, (slice, ns)) in self.answered.iter().enumerate() {
            series[*slice as usize] += adds(rank, *ns);
        }
        series
    }
}
