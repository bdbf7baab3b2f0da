//! A fixed rotation, so that no component of a vector is special: Hadamard transforms (a few
//! additions a component, no matrix to hold).

/// Turns `vector` and scales it by a constant: the Walsh-Hadamard transform of the first P
/// components and then of the last P, P being the largest power of two that fits. Each is
/// orthogonal, so distances between vectors keep their proportions.
pub(super) fn rotate(vector: &mut [f32]) {
    let len = vector.len();
    let power = 1 << len.ilog2();
    hadamard(&mut vector[..power]);
    if power < len {
        // The transform has made its part longer by this factor; the rest follows.
        let longer = (power as f32).sqrt();
        vector[power..].iter_mut().for_each(|x| *x *= longer);
        hadamard(&mut vector[len - power..]);
        vector[..len - power].iter_mut().for_each(|x| *x *= longer);
    }
}

/// The Walsh-Hadamard transform, not normalised, of a power of two of values.
fn hadamard(values: &mut [f32]) {
    let len = values.len();
    let mut half = 1;
    // Two levels at once: half the passes over memory.
    while half * 4 <= len {
        for block in values.chunks_exact_mut(half * 4) {
            let (left, right) = block.split_at_mut(half * 2);
            let (a, b) = left.split_at_mut(half);
            let (c, d) = right.split_at_mut(half);
            for (((a, b), c), d) in a.iter_mut().zip(b).zip(c).zip(d) {
                let (ab, a_b, cd, c_d) = (*a + *b, *a - *b, *c + *d, *c - *d);
                (*a, *b, *c, *d) = (ab + cd, a_b + c_d, ab - cd, a_b - c_d);
            }
        }
        half *= 4;
    }
    if half < len {
        let (left, right) = values.split_at_mut(half);
        for (a, b) in left.iter_mut().zip(right) {
            (*a, *b) = (*a + *b, *a - *b);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn four_values_are_transformed_by_hadamards_matrix() {
        let mut values = [1.0, 2.0, 4.0, 8.0];
        hadamard(&mut values);
        assert_eq!(values, [15.0, -5.0, -9.0, 3.0]);
    }

    proptest! {
        #[test]
        fn angles_and_proportions_are_kept(pair in (2_usize..300).prop_flat_map(|len| {
            let vector = || prop::collection::vec(-1.0_f32..1.0, len);
            (vector(), vector())
        })) {
            let (mut a, mut b) = pair;
            let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
            let before = [product(&a, &a), product(&b, &b), product(&a, &b)];
            let scale = if a.len().is_power_of_two() { a.len() } else { (1 << a.len().ilog2()) * (1 << a.len().ilog2()) };
            rotate(&mut a);
            rotate(&mut b);
            for (before, after) in before.into_iter().zip([product(&a, &a), product(&b, &b), product(&a, &b)]) {
                let after = after / scale as f64;
                prop_assert!((before - after).abs() < 1e-3 * (1.0 + before.abs()), "{} {}", before, after);
            }
        }
    }
}
