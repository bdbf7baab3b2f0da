//! When some of the requests were due: spread over the run, in clusters, or periodic.

use crate::frame::{Frame, Row};
use crate::measured_time::MeasuredTime;
use crate::statistics::theil_sen::median;

/// Requests below which nothing is said of their moments.
const FEWEST: u64 = 20;
/// A moment is hot when it has at least this many of them …
const HOT_COUNT: u32 = 3;
/// … and this many times what chance would give it.
const HOT_TIMES: f64 = 4.0;
/// Share of the requests that hot moments must have to be called clusters …
const HOT_SHARE: f64 = 0.5;
/// … and share of the time that they may take at most.
const HOT_TIME: f64 = 0.25;
/// Standard deviations by which the counts must vary more than chance makes them.
const DEVIATIONS: f64 = 6.0;
/// Clusters below which no period is sought.
const FEWEST_PERIODIC: usize = 5;

/// The measured time in moments, with the requests of each and those of them that are looked at.
#[derive(Clone, Debug)]
pub(crate) struct Moments {
    time: MeasuredTime,
    requests: Vec<u32>,
    chosen: Vec<u32>,
}

/// Neighbouring hot moments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cluster {
    /// Start, nanoseconds of `due` since the plan's start.
    pub(crate) from_ns: i64,
    /// End.
    pub(crate) to_ns: i64,
    /// Requests in it that are looked at.
    pub(crate) count: u64,
}

/// How requests lie in time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum When {
    /// Too few to tell.
    Unknown,
    /// All over the run, as far as chance goes.
    Spread,
    /// In these clusters, the fullest first.
    Clustered(Vec<Cluster>),
    /// In clusters that come again after so many seconds.
    Periodic(Vec<Cluster>, f64),
}

impl When {
    /// The clusters.
    pub(crate) fn clusters(&self) -> &[Cluster] {
        match self {
            Self::Clustered(clusters) | Self::Periodic(clusters, _) => clusters,
            Self::Unknown | Self::Spread => &[],
        }
    }
}

impl Moments {
    /// Of the measured rows that `choose` picks.
    pub(crate) fn count(frame: &Frame, time: &MeasuredTime, choose: impl Fn(Row<'_>) -> bool + Sync) -> Self {
        // A quarter of a second where that gives at most 5,000 moments.
        let count = ((time.length_s() * 4.0).ceil() as usize).clamp(1, 5_000);
        let shares = frame.on_all_cores(|rows| {
            let (mut requests, mut chosen) = (vec![0_u32; count], vec![0_u32; count]);
            for row in rows {
                let Some(part) = time.part(row.due_ns(), count) else { continue };
                requests[part] += 1;
                chosen[part] += u32::from(choose(row));
            }
            (requests, chosen)
        });
        let mut moments = Self { time: time.clone(), requests: vec![0; count], chosen: vec![0; count] };
        for (requests, chosen) in shares {
            moments.requests.iter_mut().zip(requests).for_each(|(sum, count)| *sum += count);
            moments.chosen.iter_mut().zip(chosen).for_each(|(sum, count)| *sum += count);
        }
        moments
    }

    /// How many are looked at.
    pub(crate) fn chosen(&self) -> u64 {
        self.chosen.iter().map(|count| u64::from(*count)).sum()
    }

    fn width_s(&self) -> f64 {
        self.time.length_s() / self.chosen.len() as f64
    }

    /// How they lie in time.
    pub(crate) fn when(&self) -> When {
        let chosen = self.chosen();
        if chosen < FEWEST || self.chosen.len() < 20 {
            return When::Unknown;
        }
        let clusters = self.clusters();
        if clusters.is_empty() {
            return When::Spread;
        }
        let period = self.period(&clusters);
        let mut fullest = clusters;
        fullest.sort_by_key(|cluster| (std::cmp::Reverse(cluster.count), cluster.from_ns));
        match period {
            Some(period_s) => When::Periodic(fullest, period_s),
            None => When::Clustered(fullest),
        }
    }

    /// The clusters in the order of time; none where there are none to speak of.
    fn clusters(&self) -> Vec<Cluster> {
        let chosen = self.chosen() as f64;
        let requests: f64 = self.requests.iter().map(|count| f64::from(*count)).sum();
        let expected = |part: usize| f64::from(self.requests[part]) * chosen / requests;
        let (mut squares, mut variance, mut parts) = (0.0, 0.0, 0.0);
        for (part, count) in self.chosen.iter().enumerate() {
            let expected = expected(part);
            if expected > 0.0 {
                squares += (f64::from(*count) - expected).powi(2) / expected;
                variance += 2.0 + 1.0 / expected;
                parts += 1.0;
            }
        }
        if squares - parts < DEVIATIONS * variance.sqrt() {
            return Vec::new();
        }
        let hot: Vec<usize> = (0..self.chosen.len())
            .filter(|&part| {
                self.chosen[part] >= HOT_COUNT && f64::from(self.chosen[part]) > HOT_TIMES * expected(part)
            })
            .collect();
        let in_hot: u64 = hot.iter().map(|part| u64::from(self.chosen[*part])).sum();
        if (in_hot as f64) < HOT_SHARE * chosen || hot.len() as f64 > HOT_TIME * self.chosen.len() as f64 {
            return Vec::new();
        }
        // Moments less than a second apart are one cluster.
        let near = (1.0 / self.width_s()).ceil().max(1.0) as usize;
        let of = |parts: &[usize]| {
            let (first, last) = (parts[0], parts[parts.len() - 1]);
            let at = |part: usize| self.time.due_of(part as f64 / self.chosen.len() as f64);
            Cluster {
                from_ns: at(first),
                to_ns: at(last + 1),
                count: self.chosen[first..=last].iter().map(|count| u64::from(*count)).sum(),
            }
        };
        hot.chunk_by(|a, b| b - a <= near).map(of).collect()
    }

    /// The seconds after which clusters come again.
    fn period(&self, clusters: &[Cluster]) -> Option<f64> {
        if clusters.len() < FEWEST_PERIODIC {
            return None;
        }
        let starts = clusters.windows(2).map(|pair| (pair[1].from_ns - pair[0].from_ns) as f64 / 1e9);
        let gaps: Vec<f64> = starts.collect();
        let period = median(gaps.iter().copied())?;
        let tolerance = (0.15 * period).max(self.width_s());
        // Of many a few may have been missed: then a gap is a multiple.
        let most = if gaps.len() >= 8 { 3.0 } else { 1.0 };
        let times = |gap: f64| (gap / period).round();
        let fits = |gap: &&f64| {
            (1.0..=most).contains(&times(**gap)) && (**gap - times(**gap) * period).abs() <= tolerance
        };
        let fitting: Vec<f64> = gaps.iter().filter(fits).copied().collect();
        if (fitting.len() as f64) < 0.8 * gaps.len() as f64 {
            return None;
        }
        Some(fitting.iter().sum::<f64>() / fitting.iter().map(|gap| times(*gap)).sum::<f64>())
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::spans::Spans;

    /// 100 requests in each quarter of a second of two minutes, of which those are looked at that `rate`
    /// gives for a second.
    fn moments(seed: u64, rate: impl Fn(f64) -> f64) -> Moments {
        let mut rng = StdRng::seed_from_u64(seed);
        let time = MeasuredTime::of_spans(&Spans::from_pairs(&[(0, 120_000_000_000)]));
        let chosen = (0..480)
            .map(|part| {
                let share = rate(f64::from(part) / 4.0) / 400.0;
                (0..100).filter(|_| rng.random_bool(share)).count() as u32
            })
            .collect();
        Moments { time, requests: vec![100; 480], chosen }
    }

    #[test]
    fn what_chance_spreads_is_not_clustered() {
        for seed in 0..100 {
            assert_eq!(moments(seed, |_| 4.0).when(), When::Spread, "seed {seed}");
        }
        assert_eq!(moments(1, |_| 0.05).when(), When::Unknown);
    }

    #[test]
    fn a_stall_is_a_cluster_with_its_time() {
        for seed in 0..50 {
            let stall = moments(seed, |at| if (30.0..32.0).contains(&at) { 200.0 } else { 1.0 });
            let When::Clustered(clusters) = stall.when() else { panic!("{:?}", stall.when()) };
            assert!((29.7e9..30.3e9).contains(&(clusters[0].from_ns as f64)), "{clusters:?}");
            assert!((31.7e9..32.8e9).contains(&(clusters[0].to_ns as f64)), "{clusters:?}");
        }
    }

    #[test]
    fn pauses_at_equal_distances_are_periodic_and_others_are_not() {
        for seed in 0..50 {
            let periodic = moments(seed, |at| if at % 10.0 < 0.5 { 200.0 } else { 0.5 });
            let When::Periodic(_, period_s) = periodic.when() else { panic!("{:?}", periodic.when()) };
            assert!((period_s - 10.0).abs() < 0.2, "{period_s}");
            let starts = [3.0, 5.5, 21.0, 24.0, 58.0, 71.0, 75.0, 110.0];
            let irregular = moments(seed, |at| {
                if starts.iter().any(|start| (*start..start + 0.5).contains(&at)) { 200.0 } else { 0.5 }
            });
            assert!(matches!(irregular.when(), When::Clustered(_)), "{:?}", irregular.when());
        }
    }
}
