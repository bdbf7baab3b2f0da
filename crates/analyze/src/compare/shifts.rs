//! Where the distribution moved: the difference of response times at each percentile.

use serde::Serialize;

use crate::percentile::Percentile;
use crate::statistics::{Sample, shift};

/// Percentiles that are looked at, in hundredths of a per cent.
const LOOKED_AT: [u32; 24] = [
    100, 500, 1_000, 1_500, 2_000, 2_500, 3_000, 3_500, 4_000, 4_500, 5_000, 5_500, 6_000, 6_500, 7_000,
    7_500, 8_000, 8_500, 9_000, 9_500, 9_800, 9_900, 9_950, 9_990,
];

/// The difference at a percentile.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Shift {
    /// The percentile: 99.9.
    pub percentile: f64,
    /// New less base, in per cent of the base.
    pub change: f64,
    /// Lower end of its 95 % interval; null where the rows set none.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
}

/// The differences at the percentiles that both sides know.
pub(super) fn found(base: &[Sample], new: &[Sample]) -> Vec<Shift> {
    let percent = |log: f64| log.exp_m1() * 100.0;
    let end = |log: f64| log.is_finite().then(|| percent(log));
    let found = LOOKED_AT.into_iter().filter_map(|hundredths| {
        let found = shift(base, new, Percentile::of_hundredths(hundredths))?;
        Some(Shift {
            percentile: f64::from(hundredths) / 100.0,
            change: percent(found.estimate),
            low: end(found.low),
            high: end(found.high),
        })
    });
    found.collect()
}
