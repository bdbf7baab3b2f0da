//! Every figure of two sides held against each other, and a word for each difference.

use serde::{Serialize, Serializer};

use super::difference::{Difference, Scale, Word, critical, word};
use super::discovery::discoveries;
use super::sample::Sample;
use super::within::Rows;
use super::{between, within};
use crate::percentile::Percentile;

/// A difference that nobody minds, in per cent.
pub const MARGIN: f64 = 5.0;

/// A figure that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Answered requests a second.
    Rate,
    /// Mean response time.
    Mean,
    /// Median response time.
    P50,
    /// Response time percentile.
    P95,
    /// Response time percentile.
    P99,
    /// Response time percentile 99.9.
    P999,
    /// Failures ÷ requests.
    ErrorRate,
    /// Mean recall.
    Recall,
}

impl Quantity {
    /// All, in the order of the tables.
    pub const ALL: [Quantity; 8] =
        [Self::Rate, Self::Mean, Self::P50, Self::P95, Self::P99, Self::P999, Self::ErrorRate, Self::Recall];

    /// Its name in the grammar of targets.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rate => "qps",
            Self::Mean => "mean",
            Self::P50 => "p50",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::P999 => "p999",
            Self::ErrorRate => "error_rate",
            Self::Recall => "recall",
        }
    }

    /// Its name as people read it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Rate => "answered/s",
            Self::Mean => "mean",
            Self::P50 => "P50",
            Self::P95 => "P95",
            Self::P99 => "P99",
            Self::P999 => "P99.9",
            Self::ErrorRate => "error rate",
            Self::Recall => "recall",
        }
    }

    /// Whether a rise is a loss.
    pub fn higher_is_worse(self) -> bool {
        !matches!(self, Self::Rate | Self::Recall)
    }

    /// Whether its differences are in percentage points: a share of a share means little.
    pub fn in_points(self) -> bool {
        matches!(self, Self::ErrorRate | Self::Recall)
    }

    /// The percentile, of a percentile.
    pub fn percentile(self) -> Option<Percentile> {
        match self {
            Self::P50 => Some(Percentile::P50),
            Self::P95 => Some(Percentile::P95),
            Self::P99 => Some(Percentile::P99),
            Self::P999 => Some(Percentile::P999),
            Self::Rate | Self::Mean | Self::ErrorRate | Self::Recall => None,
        }
    }

    /// How much of a difference nobody minds, in per cent or points. Shares have their own: 5 points
    /// of errors are not the same.
    fn margin(self, margin: f64) -> f64 {
        match self {
            Self::ErrorRate => 0.1,
            Self::Recall => 0.5,
            _ => margin,
        }
    }

    fn scale(self) -> Scale {
        if self.in_points() { Scale::Plain } else { Scale::Ratio }
    }

    /// Whether it is a response time, of which failed requests have none.
    pub fn is_latency(self) -> bool {
        !matches!(self, Self::Rate | Self::ErrorRate | Self::Recall)
    }

    /// The figure of a sample: times in milliseconds, shares as fractions; `None` where the rows do
    /// not say.
    pub fn of(self, sample: &Sample) -> Option<f64> {
        let rows = sample.by_speed();
        let share = |part: f64, whole: f64| (whole > 0.0).then(|| part / whole);
        match self {
            Self::Rate => share(rows.len() as f64, sample.length_s),
            Self::Mean => {
                let sum: i128 = rows.iter().map(|(_, ns)| i128::from(*ns)).sum();
                share(sum as f64, rows.len() as f64).map(|ns| ns / 1e6)
            }
            Self::ErrorRate => {
                let sum = |get: fn(&super::sample::Slice) -> u32| {
                    sample.slices.iter().map(|s| f64::from(get(s))).sum()
                };
                share(sum(|slice| slice.failures), sum(|slice| slice.requests))
            }
            Self::Recall => share(
                sample.slices.iter().map(|slice| slice.recall_sum).sum(),
                sample.slices.iter().map(|slice| f64::from(slice.recalls)).sum(),
            ),
            Self::P50 | Self::P95 | Self::P99 | Self::P999 => {
                answered_ms(sample, self.percentile().expect("these four are percentiles"))
            }
        }
    }
}

/// A percentile of the answered requests in milliseconds; `None` under the rows that it needs.
pub(crate) fn answered_ms(sample: &Sample, percentile: Percentile) -> Option<f64> {
    percentile_ms(sample, percentile, Rows::Answered)
}

/// A percentile that failed requests make infinite.
const NEVER_MS: f64 = within::NEVER_NS as f64 / 1e6;

/// In milliseconds; `None` under the rows that it needs.
fn percentile_ms(sample: &Sample, percentile: Percentile, counted: Rows) -> Option<f64> {
    let rows = sample.by_speed();
    let count = rows.len() + if counted == Rows::All { sample.failures() } else { 0 };
    let rank = percentile.rank(count).checked_sub(1).filter(|_| count >= percentile.min_rows())?;
    Some(rows.get(rank).map_or(NEVER_MS, |(_, ns)| *ns as f64 / 1e6))
}

/// What an unclear difference would need to become clear, each side.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum More {
    /// So many measured seconds.
    Seconds(f64),
    /// So many runs.
    Runs(u32),
}

/// One figure of two sides. In JSON what is not known, or has no end, is null.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// The figure, as targets name it.
    #[serde(serialize_with = "by_name")]
    pub figure: Quantity,
    /// The base's: milliseconds, a second, or a fraction. Of several runs their (geometric) mean.
    pub base: Option<f64>,
    /// The new side's.
    pub new: Option<f64>,
    /// `percent` of the base, or percentage `points`.
    pub unit: &'static str,
    /// New less base, in that unit.
    pub change: Option<f64>,
    /// Lower end of its 95 % interval.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// Probability of such a difference where there is none.
    pub p_value: Option<f64>,
    /// What it amounts to, with false discoveries held at 5 % over all figures.
    pub word: Word,
    /// What it would amount to on its own.
    pub word_alone: Word,
    /// What an unclear difference would need; null where a hundred times as much would not do, and where
    /// the interval has no end, so that nothing says how much would.
    pub more: Option<More>,
    /// Whether it looks better only among the answered requests: more fail than before, and how late those
    /// would have been nobody knows. The word is unclear then.
    pub failures_hide: bool,
    /// Whether it is a difference at all, however small.
    #[serde(skip)]
    pub discovered: bool,
    /// The same with each failed request infinitely late, as targets have it; of response times where some
    /// failed.
    #[serde(skip)]
    pub with_failures: Option<WithFailures>,
}

/// What a response time does where each failed request is infinitely late.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WithFailures {
    /// Whether the base's is finite and the new side's is not; of the mean, whether the error rate regressed.
    pub lost: bool,
    /// New less base in per cent, where both are finite.
    pub change: Option<f64>,
    /// Whether that is a difference at all.
    pub discovered: bool,
}

fn by_name<S: Serializer>(quantity: &Quantity, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(quantity.name())
}

/// The samples of a class, or of all requests, on both sides.
#[derive(Clone, Copy, Debug)]
pub struct Group<'a> {
    /// The class; `total` of all.
    pub name: &'a str,
    /// One sample a run.
    pub base: &'a [Sample],
    /// One sample a run.
    pub new: &'a [Sample],
}

impl Group<'_> {
    fn has_failures(&self) -> bool {
        self.base.iter().chain(self.new).any(|sample| sample.failures() > 0)
    }
}

/// The figures of a group.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ComparedGroup {
    /// The class; `total` of all.
    pub name: String,
    /// In the order of [`Quantity::ALL`].
    pub figures: Vec<Compared>,
}

/// Compares every figure of every group; `margin` in per cent.
pub fn compare(groups: &[Group<'_>], margin: f64) -> Vec<ComparedGroup> {
    let mut compared: Vec<ComparedGroup> = differences(groups, Rows::Answered)
        .into_iter()
        .zip(groups)
        .map(|(found, group)| {
            let figures = Quantity::ALL.iter().zip(found);
            let figures = figures
                .map(|(quantity, (found, discovered))| judged(*quantity, group, found, discovered, margin));
            ComparedGroup { name: group.name.to_owned(), figures: figures.collect() }
        })
        .collect();
    if groups.iter().any(Group::has_failures) {
        for ((all, group), compared) in
            differences(groups, Rows::All).into_iter().zip(groups).zip(&mut compared)
        {
            count_failures(&mut compared.figures, group, &all);
        }
    }
    compared
}

/// The difference of each figure of each group, and whether it is one among all.
fn differences(groups: &[Group<'_>], rows: Rows) -> Vec<Vec<(Option<Difference>, bool)>> {
    let found: Vec<Vec<Option<Difference>>> = groups
        .iter()
        .map(|group| Quantity::ALL.iter().map(|quantity| difference(*quantity, group, rows)).collect())
        .collect();
    let p_values: Vec<f64> = found.iter().flatten().flatten().map(|found| found.p_value).collect();
    let mut discovered = discoveries(&p_values).into_iter();
    let mut judge =
        |found: Option<Difference>| (found, found.is_some_and(|_| discovered.next().unwrap_or(false)));
    found.into_iter().map(|group| group.into_iter().map(&mut judge).collect()).collect()
}

/// Adds to the response times of a group what its failed requests make of them, each infinitely late.
fn count_failures(figures: &mut [Compared], group: &Group<'_>, all: &[(Option<Difference>, bool)]) {
    let more_fail =
        figures.iter().any(|found| found.figure == Quantity::ErrorRate && found.word == Word::Regressed);
    for (compared, (difference, discovered)) in figures.iter_mut().zip(all) {
        if !compared.figure.is_latency() {
            continue;
        }
        if more_fail && compared.word == Word::Improved {
            (compared.word, compared.failures_hide) = (Word::Unclear, true);
        }
        compared.with_failures = Some(match compared.figure.percentile() {
            // One failure makes a mean infinite, and may be chance.
            None => WithFailures { lost: more_fail, change: None, discovered: false },
            Some(percentile) => {
                let [base, new] = [group.base, group.new].map(|side| latest_ms(side, percentile));
                let is = |ms: Option<f64>, finite: bool| ms.is_some_and(|ms| (ms < NEVER_MS) == finite);
                let found = difference.filter(|_| is(base, true) && is(new, true));
                WithFailures {
                    lost: is(base, true) && is(new, false),
                    change: found.map(|found| Scale::Ratio.percent(found.estimate)),
                    discovered: *discovered && found.is_some_and(|found| found.excludes_zero()),
                }
            }
        });
    }
}

/// The latest of the runs' percentiles, each failed request being infinitely late.
fn latest_ms(side: &[Sample], percentile: Percentile) -> Option<f64> {
    let all = side.iter().map(|sample| percentile_ms(sample, percentile, Rows::All));
    all.collect::<Option<Vec<f64>>>()?.into_iter().reduce(f64::max)
}

/// The difference of a percentile alone, on the logarithm's scale.
pub(crate) fn shift(base: &[Sample], new: &[Sample], percentile: Percentile) -> Option<Difference> {
    match (base, new) {
        ([base], [new]) => within::percentile(base, new, percentile, Rows::Answered),
        _ => between::runs(
            &logarithms(base, percentile, Rows::Answered)?,
            &logarithms(new, percentile, Rows::Answered)?,
        ),
    }
}

/// Each run's percentile on the scale of its differences; `None` where one is not known.
fn logarithms(side: &[Sample], percentile: Percentile, rows: Rows) -> Option<Vec<f64>> {
    side.iter()
        .map(|sample| percentile_ms(sample, percentile, rows).and_then(|ms| Scale::Ratio.of(ms)))
        .collect()
}

fn difference(quantity: Quantity, group: &Group<'_>, rows: Rows) -> Option<Difference> {
    let ([base], [new]) = (group.base, group.new) else {
        let side = |side: &[Sample]| match quantity.percentile() {
            Some(percentile) => logarithms(side, percentile, rows),
            None => on_scale(quantity, side),
        };
        return between::runs(&side(group.base)?, &side(group.new)?);
    };
    match quantity {
        Quantity::Rate => within::rate(base, new),
        Quantity::Mean => within::mean(base, new),
        Quantity::ErrorRate => within::error_rate(base, new),
        Quantity::Recall => within::recall(base, new),
        Quantity::P50 | Quantity::P95 | Quantity::P99 | Quantity::P999 => {
            within::percentile(base, new, quantity.percentile()?, rows)
        }
    }
}

/// Each run's figure on the scale of its differences; `None` where one is not known.
fn on_scale(quantity: Quantity, side: &[Sample]) -> Option<Vec<f64>> {
    side.iter().map(|sample| quantity.of(sample).and_then(|figure| quantity.scale().of(figure))).collect()
}

fn judged(
    quantity: Quantity,
    group: &Group<'_>,
    difference: Option<Difference>,
    discovered: bool,
    margin: f64,
) -> Compared {
    let figure = |side: &[Sample]| match (side, on_scale(quantity, side)) {
        ([run], _) => quantity.of(run),
        (_, Some(values)) if !values.is_empty() => {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            Some(if quantity.in_points() { mean } else { mean.exp() })
        }
        _ => None,
    };
    let mut compared = Compared {
        figure: quantity,
        base: figure(group.base),
        new: figure(group.new),
        unit: if quantity.in_points() { "points" } else { "percent" },
        change: None,
        low: None,
        high: None,
        p_value: None,
        word: Word::Unclear,
        word_alone: Word::Unclear,
        more: None,
        failures_hide: false,
        discovered: false,
        with_failures: None,
    };
    let Some(found) = difference else {
        return compared;
    };
    let percent = |difference| quantity.scale().percent(difference);
    let margin = quantity.margin(margin);
    let inside = percent(found.low) > -margin && percent(found.high) < margin;
    let word = |discovered| word(&found, inside, discovered, quantity.higher_is_worse());
    compared.change = Some(percent(found.estimate));
    compared.low = Some(percent(found.low));
    compared.high = Some(percent(found.high));
    compared.p_value = Some(found.p_value);
    compared.word = word(discovered);
    compared.word_alone = word(true);
    compared.discovered = discovered && found.excludes_zero();
    if compared.word == Word::Unclear {
        let margin = match quantity.scale() {
            Scale::Ratio => (margin / 100.0).ln_1p(),
            Scale::Plain => margin / 100.0,
        };
        compared.more = more(&found, margin, group);
    }
    compared
}

/// What would make the interval either leave out 0 or lie within the margin, whichever is nearer, if
/// the difference is what it was found to be.
fn more(found: &Difference, margin: f64, group: &Group<'_>) -> Option<More> {
    const MOST: f64 = 100.0;
    let half = (found.high - found.low) / 2.0;
    let wanted = found.estimate.abs().max(margin - found.estimate.abs());
    if !half.is_finite() || wanted <= 0.0 {
        return None;
    }
    // What is found by itself and not among all the others needs some more, too.
    let times = (half / wanted).powi(2).max(1.5);
    if let ([base], [new]) = (group.base, group.new) {
        return (times <= MOST).then(|| More::Seconds((times * base.length_s.min(new.length_s)).ceil()));
    }
    let runs = group.base.len().min(group.new.len()).max(1) as f64;
    let freedom = |runs: f64| (2.0 * runs - 2.0).max(1.0);
    let now = critical((group.base.len() + group.new.len()) as f64 - 2.0);
    let enough = |more: &f64| critical(freedom(*more)) / now * (runs / more).sqrt() * half <= wanted;
    let counts = (1..).map(|add| runs + f64::from(add)).take_while(|more| *more <= runs * MOST);
    counts.into_iter().find(enough).map(|runs| More::Runs(runs as u32))
}

#[cfg(test)]
mod tests {
    use super::super::sample::Request;
    use super::*;

    fn sample(times_ms: impl Iterator<Item = f64>, failures: u32) -> Sample {
        let answered = times_ms.enumerate().map(|(at, ms)| Request {
            slice: at as u32 % 40,
            response_ns: Some((ms * 1e6) as i64),
            recall: Some(0.9),
        });
        let failed = (0..failures).map(|at| Request { slice: at % 40, response_ns: None, recall: None });
        Sample::new(vec![0; 40], 40.0, answered.chain(failed))
    }

    /// Times that differ from each other, by a rule that leaves no pattern over time.
    fn times(count: u32, factor: f64) -> impl Iterator<Item = f64> {
        (0..count).map(move |at| factor * (10.0 + f64::from(at.wrapping_mul(2_654_435_761) % 1_000) / 100.0))
    }

    fn only(base: &Sample, new: &Sample) -> Vec<Compared> {
        let (base, new) = ([base.clone()], [new.clone()]);
        compare(&[Group { name: "total", base: &base, new: &new }], MARGIN).remove(0).figures
    }

    #[test]
    fn a_run_is_the_same_as_itself() {
        let run = sample(times(8_000, 1.0), 3);
        for figure in only(&run, &run) {
            assert_eq!(figure.change, Some(0.0), "{figure:?}");
            assert_eq!(figure.word, Word::Same, "{figure:?}");
        }
    }

    #[test]
    fn slower_is_regressed_and_faster_improved() {
        let (base, new) = (sample(times(8_000, 1.0), 0), sample(times(8_000, 1.3), 0));
        for (figure, back) in only(&base, &new).iter().zip(only(&new, &base)) {
            if matches!(figure.figure, Quantity::Mean | Quantity::P50 | Quantity::P95 | Quantity::P99) {
                assert_eq!((figure.word, back.word), (Word::Regressed, Word::Improved), "{figure:?}");
                assert!((figure.change.unwrap() - 30.0).abs() < 1e-3 && figure.low < figure.change);
            }
        }
    }

    #[test]
    fn errors_that_came_are_percentage_points() {
        let (base, new) = (sample(times(8_000, 1.0), 0), sample(times(8_000, 1.0), 400));
        let errors = only(&base, &new).into_iter().find(|found| found.figure == Quantity::ErrorRate).unwrap();
        assert_eq!((errors.base, errors.unit, errors.word), (Some(0.0), "points", Word::Regressed));
        assert!((errors.change.unwrap() - 100.0 * 400.0 / 8_400.0).abs() < 1e-9);
    }

    #[test]
    fn failures_make_percentiles_later_and_then_infinite_in_several_runs_too() {
        let side = |failures: u32| -> Vec<Sample> {
            (0..3).map(|run| sample(times(8_000, 1.0 + 0.01 * f64::from(run)), failures)).collect()
        };
        let (base, new) = (side(8), side(400));
        let group = Group { name: "total", base: &base, new: &new };
        let found = |quantity| {
            let figures = compare(&[group], MARGIN).remove(0).figures;
            figures.into_iter().find(|found| found.figure == quantity).unwrap().with_failures.unwrap()
        };
        assert!(found(Quantity::P99).lost, "4.8 % fail");
        let p95 = found(Quantity::P95);
        assert!(!p95.lost && p95.change.is_some_and(|change| change > 1.0), "{p95:?}");
        let back = Group { base: &new, new: &base, ..group };
        let p99 = compare(&[back], MARGIN).remove(0).figures.remove(4).with_failures.unwrap();
        assert!(!p99.lost && p99.change.is_none() && !p99.discovered, "{p99:?}");
    }

    #[test]
    fn what_the_rows_do_not_say_is_not_said() {
        let (none, few) = (sample(times(0, 1.0), 5), sample(times(60, 1.0), 0));
        for (base, new) in [(&none, &few), (&few, &none), (&none, &none)] {
            for figure in only(base, new) {
                if figure.figure.percentile().is_some() || figure.figure == Quantity::Mean {
                    assert_eq!((figure.change, figure.word), (None, Word::Unclear), "{figure:?}");
                }
            }
        }
        let p99 = only(&few, &few).into_iter().find(|found| found.figure == Quantity::P99).unwrap();
        assert_eq!((p99.base, p99.change), (None, None), "60 rows have no P99");
    }

    #[test]
    fn what_is_unclear_says_what_it_needs() {
        let runs = |factors: &[f64]| -> Vec<Sample> {
            factors.iter().map(|factor| sample(times(8_000, *factor), 0)).collect()
        };
        let (base, new) = (runs(&[1.0, 1.1, 0.9]), runs(&[1.02, 1.2, 1.0]));
        let group = Group { name: "total", base: &base, new: &new };
        let mean = compare(&[group], MARGIN).remove(0).figures.remove(1);
        assert_eq!(mean.word, Word::Unclear);
        assert!(matches!(mean.more, Some(More::Runs(4..=100))), "{mean:?}");
    }

    /// A run of that length at 100/s whose level wanders from slice to slice.
    fn wandering(seconds: u32, factor: f64, seed: u64) -> Sample {
        use rand::{RngExt, SeedableRng};

        use super::super::slices;

        let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
        let count = slices(f64::from(seconds)) as u32;
        let levels: Vec<f64> = (0..count).map(|_| factor * rng.random_range(5.0..15.0)).collect();
        let requests = (0..seconds * 100).map(|at| {
            let slice = at * count / (seconds * 100);
            let ms = levels[slice as usize] * rng.random_range(0.9..1.1);
            Request { slice, response_ns: Some((ms * 1e6) as i64), recall: None }
        });
        Sample::new(vec![0; count as usize], f64::from(seconds), requests.collect::<Vec<_>>())
    }

    #[test]
    fn what_is_unclear_says_how_long_a_run_would_decide_it() {
        let short = only(&wandering(20, 1.0, 1), &wandering(20, 0.98, 2)).remove(1);
        let Some(More::Seconds(seconds)) = short.more else { panic!("{short:?}") };
        assert_eq!(short.word, Word::Unclear);
        // A half interval that is n times too wide needs n² as long.
        let log = |percent: Option<f64>| (percent.unwrap() / 100.0).ln_1p();
        let half = (log(short.high) - log(short.low)) / 2.0;
        let wanted = log(short.change).abs().max(0.05_f64.ln_1p() - log(short.change).abs());
        assert_eq!(seconds, ((half / wanted).powi(2).max(1.5) * 20.0).ceil());
        assert!((30.0..=2_000.0).contains(&seconds), "{seconds}");
    }
}
