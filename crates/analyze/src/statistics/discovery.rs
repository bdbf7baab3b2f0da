//! Benjamini and Hochberg's rule (Journal of the Royal Statistical Society B 57, 1995, 289–300): of
//! the differences that are called one, at most that share is expected to be none.

/// Share of false discoveries that is put up with.
pub(crate) const RATE: f64 = 0.05;

/// Which of the tests may be called discoveries.
pub(crate) fn discoveries(p_values: &[f64]) -> Vec<bool> {
    let mut sorted = p_values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let tests = sorted.len() as f64;
    let passes = |(rank, p): &(usize, &f64)| **p <= RATE * (*rank as f64 + 1.0) / tests;
    let limit = sorted.iter().enumerate().filter(passes).map(|(_, p)| *p).next_back();
    p_values.iter().map(|p| limit.is_some_and(|limit| *p <= limit)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_paper_has_four_discoveries() {
        // Their section 3.2: 15 P values of a trial of heart attacks.
        let p = [
            0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719,
            0.6528, 0.7590, 1.0000,
        ];
        assert_eq!(discoveries(&p).iter().filter(|found| **found).count(), 4);
        assert_eq!(discoveries(&[]), Vec::<bool>::new());
    }
}
