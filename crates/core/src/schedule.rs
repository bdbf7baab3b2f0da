//! Open-loop arrivals: when request `seq` is *due*, whatever the server does.
//!
//! Pure arithmetic, no clock: due times are computed from the plan, never accumulated, skipped or
//! moved. Even arrivals invert the integral of the rate; Poisson arrivals draw the count of each
//! 100 ms block from (seed, stage, block) with the integral as its mean and place that many sorted
//! uniforms through the inverse integral (Lewis and Shedler, Naval Research Logistics 1979: given
//! their number, the arrivals of a Poisson process are sorted draws from its normalised rate).

use std::time::Duration;

use rand::RngExt;
use rand_distr::{Distribution, Poisson};
use serde::{Deserialize, Serialize};

use crate::stream::{Field, stream_of_pair};
use crate::units::nanoseconds;

/// Length of a Poisson block.
const BLOCK_NS: i64 = 100_000_000;

/// How arrivals are spread in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// Independent of each other, as those of many users are.
    #[default]
    Poisson,
    /// At equal distances.
    Even,
}

impl std::str::FromStr for Arrivals {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "poisson" => Ok(Arrivals::Poisson),
            "even" => Ok(Arrivals::Even),
            _ => Err(format!("`{text}` is not an arrival process; use poisson or even")),
        }
    }
}

/// Whether a stage's requests enter the figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageKind {
    /// The load is on its way to where it shall be; not measured.
    Ramp,
    /// Measured.
    Steady,
}

/// A span of an open-loop run; the rate goes linearly `from` → `to`, in requests per second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// The stage's name, as rows store it.
    pub name: String,
    /// Whether it is measured.
    pub kind: StageKind,
    /// Its length; `None` only for the last one: until the run is stopped.
    pub length: Option<Duration>,
    /// Rate at the stage's start.
    pub from: f64,
    /// Rate at the stage's end.
    pub to: f64,
}

/// One arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Number in the whole run, over all shards.
    pub seq: u64,
    /// Index of the stage.
    pub stage: u16,
    /// Number within the stage.
    pub number: u64,
    /// Nanoseconds since the plan's start.
    pub due_ns: i64,
}

/// The arrivals of a plan, in the order of their due times.
#[derive(Clone, Debug)]
pub struct OpenSchedule {
    stages: Vec<Stage>,
    arrivals: Arrivals,
    seed: u64,
}

impl OpenSchedule {
    /// The schedule of `stages` under `seed`.
    pub fn new(stages: Vec<Stage>, arrivals: Arrivals, seed: u64) -> Self {
        Self { stages, arrivals, seed }
    }

    /// Every arrival, from the first on; endless where the last stage is.
    pub fn iter(&self) -> ArrivalIter<'_> {
        ArrivalIter {
            schedule: self,
            stage: 0,
            stage_start_ns: 0,
            number: 0,
            seq: 0,
            block: 0,
            block_due: Vec::new(),
            next_in_block: 0,
        }
    }

    /// How many arrivals the plan has; `None` where it has no end.
    pub fn total(&self) -> Option<u64> {
        if self.stages.iter().any(|stage| stage.length.is_none()) {
            return None;
        }
        let counts = self.stages.iter().enumerate().map(|(index, stage)| match self.arrivals {
            Arrivals::Even => even_count(stage),
            Arrivals::Poisson => (0..).map_while(|block| self.block_count(index, block)).sum(),
        });
        Some(counts.sum())
    }

    /// How many arrivals are due before that instant, nanoseconds since the plan's start. They are not
    /// gone through one by one.
    pub fn count_before(&self, due_ns: i64) -> u64 {
        let (mut count, mut start_ns) = (0, 0_i64);
        for (index, stage) in self.stages.iter().enumerate() {
            let end_ns = due_ns.saturating_sub(start_ns);
            count += match self.arrivals {
                Arrivals::Even => even_before(stage, end_ns),
                Arrivals::Poisson => self.poisson_before(index, end_ns),
            };
            let Some(length) = stage.length else { break };
            start_ns = start_ns.saturating_add(nanoseconds(length));
        }
        count
    }

    /// How many arrivals of a stage are due before `end_ns`, relative to the stage's start.
    fn poisson_before(&self, stage: usize, end_ns: i64) -> u64 {
        let (mut count, mut due) = (0, Vec::new());
        for block in 0.. {
            let start_ns = (block as i64).saturating_mul(BLOCK_NS);
            let of_block = if start_ns >= end_ns {
                None
            } else if start_ns.saturating_add(BLOCK_NS) < end_ns {
                self.block_count(stage, block)
            } else {
                let drawn = self.block_due(stage, block, &mut due);
                drawn.map(|()| due.partition_point(|due_ns| *due_ns < end_ns) as u64)
            };
            match of_block {
                Some(of_block) => count += of_block,
                None => break,
            }
        }
        count
    }

    /// The arrivals of block `block` of stage `stage`; `None` past the stage's end.
    fn block_count(&self, stage: usize, block: u64) -> Option<u64> {
        let span = Span::of_block(&self.stages[stage], block)?;
        let mut rng = stream_of_pair(self.seed, stage as u64, block, Field::ArrivalBlock);
        Some(poisson(span.mean, &mut rng))
    }

    /// The due times of a block, relative to the stage's start, sorted; `None` past the stage's end.
    fn block_due(&self, stage: usize, block: u64, due: &mut Vec<i64>) -> Option<()> {
        let span = Span::of_block(&self.stages[stage], block)?;
        let mut rng = stream_of_pair(self.seed, stage as u64, block, Field::ArrivalBlock);
        let count = poisson(span.mean, &mut rng);
        let mut points: Vec<f64> = (0..count).map(|_| rng.random::<f64>()).collect();
        points.sort_unstable_by(f64::total_cmp);
        due.clear();
        due.extend(points.into_iter().map(|point| span.start_ns + span.invert_ns(point * span.mean)));
        Some(())
    }
}

/// A count drawn from the Poisson law of that mean.
fn poisson<R: rand::Rng>(mean: f64, rng: &mut R) -> u64 {
    // A mean of 0 is a legal rate (a ramp from 0) and not a legal parameter.
    Poisson::new(mean).map_or(0, |law| law.sample(rng) as u64)
}

/// A piece of a stage with linear rate.
struct Span {
    /// Start relative to the stage's start.
    start_ns: i64,
    /// Length.
    length_s: f64,
    /// Rates at both ends.
    from: f64,
    to: f64,
    /// Integral of the rate: the mean number of arrivals.
    mean: f64,
}

impl Span {
    fn new(start_ns: i64, length_ns: i64, from: f64, to: f64) -> Self {
        let length_s = length_ns as f64 / 1e9;
        Self { start_ns, length_s, from, to, mean: (from + to) / 2.0 * length_s }
    }

    fn of_block(stage: &Stage, block: u64) -> Option<Self> {
        let start = i64::try_from(block).ok()?.checked_mul(BLOCK_NS)?;
        let Some(length) = stage.length.map(nanoseconds) else {
            return Some(Self::new(start, BLOCK_NS, stage.from, stage.from));
        };
        if start >= length {
            return None;
        }
        let end = (start + BLOCK_NS).min(length);
        let rate_at = |ns: i64| stage.from + (stage.to - stage.from) * (ns as f64 / length as f64);
        Some(Self::new(start, end - start, rate_at(start), rate_at(end)))
    }

    /// The time within the span, in nanoseconds, at which the integral of the rate is `count`.
    fn invert_ns(&self, count: f64) -> i64 {
        let slope = (self.to - self.from) / self.length_s;
        // from·t + slope·t²/2 = count, in the form that stays exact for a slope near 0.
        let root = (self.from * self.from + 2.0 * slope * count).max(0.0).sqrt();
        let seconds = if self.from + root > 0.0 { 2.0 * count / (self.from + root) } else { 0.0 };
        (seconds.min(self.length_s) * 1e9).round() as i64
    }
}

/// How many even arrivals a stage has: those whose number is below the integral of the rate.
fn even_count(stage: &Stage) -> u64 {
    let length_s = stage.length.map_or(f64::INFINITY, |length| length.as_secs_f64());
    let integral = (stage.from + stage.to) / 2.0 * length_s;
    // 1,000/s for 20 s must be 20,000, not 20,001 through a rounding of the last bit.
    (integral - 1e-9 * integral.max(1.0)).ceil().max(0.0) as u64
}

/// Iterator over the arrivals of an [`OpenSchedule`].
#[derive(Clone, Debug)]
pub struct ArrivalIter<'a> {
    schedule: &'a OpenSchedule,
    stage: usize,
    stage_start_ns: i64,
    number: u64,
    seq: u64,
    /// Next block to draw.
    block: u64,
    block_due: Vec<i64>,
    next_in_block: usize,
}

impl ArrivalIter<'_> {
    /// Due time of the next arrival relative to the stage's start; `None` at the stage's end.
    fn next_in_stage(&mut self, stage: &Stage) -> Option<i64> {
        if self.schedule.arrivals == Arrivals::Even {
            let ended = stage.length.is_some() && self.number >= even_count(stage);
            return (!ended).then(|| even_due_ns(stage, self.number));
        }
        while self.next_in_block >= self.block_due.len() {
            self.schedule.block_due(self.stage, self.block, &mut self.block_due)?;
            self.block += 1;
            self.next_in_block = 0;
        }
        self.next_in_block += 1;
        Some(self.block_due[self.next_in_block - 1])
    }
}

/// Due time of even arrival `number`, in nanoseconds, relative to the stage's start.
fn even_due_ns(stage: &Stage, number: u64) -> i64 {
    match stage.length {
        None => (number as f64 / stage.from * 1e9).round() as i64,
        Some(length) => Span::new(0, nanoseconds(length), stage.from, stage.to).invert_ns(number as f64),
    }
}

/// How many even arrivals of a stage are due before `end_ns`, relative to the stage's start.
fn even_before(stage: &Stage, end_ns: i64) -> u64 {
    let most = match stage.length {
        None => (stage.from * end_ns as f64 / 1e9).ceil() as u64 + 2,
        Some(_) => even_count(stage),
    };
    let (mut count, mut most) = (0, most);
    while count < most {
        let middle = u64::midpoint(count, most);
        if even_due_ns(stage, middle) < end_ns { count = middle + 1 } else { most = middle }
    }
    count
}

impl Iterator for ArrivalIter<'_> {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        loop {
            let schedule = self.schedule;
            let stage = schedule.stages.get(self.stage)?;
            if let Some(offset_ns) = self.next_in_stage(stage) {
                let arrival = Arrival {
                    seq: self.seq,
                    stage: self.stage as u16,
                    number: self.number,
                    due_ns: self.stage_start_ns + offset_ns,
                };
                self.seq += 1;
                self.number += 1;
                return Some(arrival);
            }
            self.stage_start_ns += nanoseconds(stage.length?);
            self.stage += 1;
            self.number = 0;
            self.block = 0;
            self.block_due.clear();
            self.next_in_block = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stage(seconds: f64, from: f64, to: f64) -> Stage {
        Stage {
            name: "steady".into(),
            kind: StageKind::Steady,
            length: Some(Duration::from_secs_f64(seconds)),
            from,
            to,
        }
    }

    fn due(stages: Vec<Stage>, arrivals: Arrivals, seed: u64) -> Vec<i64> {
        OpenSchedule::new(stages, arrivals, seed).iter().map(|arrival| arrival.due_ns).collect()
    }

    #[test]
    fn even_arrivals_stand_at_equal_distances_and_land_exactly() {
        let due = due(vec![stage(20.0, 1_000.0, 1_000.0)], Arrivals::Even, 0);
        assert_eq!(due.len(), 20_000);
        assert_eq!(due[0], 0);
        assert_eq!(due[19_999], 19_999_000_000);
        assert!(due.windows(2).all(|pair| pair[1] - pair[0] == 1_000_000));
    }

    #[test]
    fn an_awkward_rate_does_not_drift_in_an_hour() {
        let rate = 300_000.0 / 7.0;
        let schedule = OpenSchedule::new(vec![stage(3_600.0, rate, rate)], Arrivals::Even, 0);
        let total = schedule.total().unwrap();
        assert_eq!(total, (rate * 3_600.0).ceil() as u64);
        let last = Span::new(0, 3_600_000_000_000, rate, rate).invert_ns((total - 1) as f64);
        assert!((3_600_000_000_000 - last) < (2e9 / rate) as i64);
    }

    #[test]
    fn a_ramp_has_the_integral_of_its_rate() {
        let due = due(vec![stage(10.0, 0.0, 100.0)], Arrivals::Even, 0);
        assert_eq!(due.len(), 500);
        // Half the time, a quarter of the arrivals.
        assert_eq!(due.iter().filter(|d| **d < 5_000_000_000).count(), 125);
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_the_scatter_of_a_poisson_process() {
        let due = due(vec![stage(1_000.0, 50.0, 50.0)], Arrivals::Poisson, 7);
        // 50,000 expected, standard deviation 224.
        assert!((49_000..51_000).contains(&due.len()), "{}", due.len());
        let gaps: Vec<f64> = due.windows(2).map(|pair| (pair[1] - pair[0]) as f64 / 1e9).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        // An exponential gap's deviation is its mean.
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.03, "{}", variance.sqrt() / mean);
    }

    #[test]
    fn an_endless_stage_never_ends_and_has_no_total() {
        for arrivals in [Arrivals::Even, Arrivals::Poisson] {
            let stage = Stage { length: None, ..stage(1.0, 10.0, 10.0) };
            let schedule = OpenSchedule::new(vec![stage], arrivals, 1);
            assert_eq!(schedule.total(), None);
            let due_ns = schedule.iter().nth(5_000).unwrap().due_ns;
            assert!(due_ns > 400_000_000_000);
            assert_eq!(schedule.count_before(due_ns), 5_000);
        }
    }

    proptest! {
        #[test]
        fn a_schedule_is_sorted_complete_and_inside_its_stages(
            seed: u64,
            spans in prop::collection::vec((0.05_f64..3.0, 0.0_f64..500.0, 0.0_f64..500.0), 1..4),
            poisson: bool,
        ) {
            let arrivals = if poisson { Arrivals::Poisson } else { Arrivals::Even };
            let stages: Vec<Stage> = spans.iter().map(|&(s, from, to)| stage(s, from, to)).collect();
            let schedule = OpenSchedule::new(stages.clone(), arrivals, seed);
            let all: Vec<Arrival> = schedule.iter().collect();
            prop_assert_eq!(Some(all.len() as u64), schedule.total());
            prop_assert!(all.iter().enumerate().all(|(i, arrival)| arrival.seq == i as u64));
            prop_assert!(all.windows(2).all(|pair| pair[0].due_ns <= pair[1].due_ns));
            let mut start = 0;
            for (index, stage) in stages.iter().enumerate() {
                let end = start + nanoseconds(stage.length.unwrap());
                prop_assert!(all.iter().filter(|a| usize::from(a.stage) == index).all(|a| (start..=end).contains(&a.due_ns)));
                start = end;
            }
            let instants = (0..=20).map(|part| start * part / 20).chain(all.iter().step_by(97).map(|a| a.due_ns));
            for due_ns in instants.chain([-1, start + 1]) {
                let before = all.iter().filter(|arrival| arrival.due_ns < due_ns).count() as u64;
                prop_assert_eq!(schedule.count_before(due_ns), before, "{}", due_ns);
            }
            prop_assert_eq!(all, schedule.iter().collect::<Vec<_>>());
        }
    }
}
