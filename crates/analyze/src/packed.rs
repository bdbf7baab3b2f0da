//! Whole numbers of a few bits each, one behind the other.

/// Most bits of a number: with the up to seven that stand before it in its first byte, it fits into
/// eight bytes.
pub(crate) const MOST_BITS: u32 = 57;

/// Numbers of equally many bits.
#[derive(Clone, Debug)]
pub(crate) struct Packed {
    bits: usize,
    /// The largest number of so many bits.
    largest: u64,
    /// From the lowest bit on, and enough behind the last number that eight bytes can be read from it on.
    bytes: Box<[u8]>,
}

impl Packed {
    /// Packs numbers of at most `bits` bits, which are at most [`MOST_BITS`].
    pub(crate) fn new(bits: u32, numbers: impl ExactSizeIterator<Item = u64>) -> Self {
        let mut bytes = Vec::with_capacity(numbers.len() * bits as usize / 64 * 8 + 16);
        let (mut word, mut filled) = (0_u64, 0);
        for number in numbers {
            word |= number << filled;
            filled += bits;
            if filled >= 64 {
                bytes.extend_from_slice(&word.to_le_bytes());
                filled -= 64;
                word = number >> (bits - filled);
            }
        }
        bytes.extend_from_slice(&word.to_le_bytes());
        bytes.extend_from_slice(&[0; 8]);
        Self { bits: bits as usize, largest: largest(bits), bytes: bytes.into() }
    }

    /// The number at that place, counted from 0.
    #[inline]
    pub(crate) fn get(&self, place: usize) -> u64 {
        let bit = place * self.bits;
        let bytes = self.bytes[bit / 8..].first_chunk().expect("eight bytes follow from each number on");
        u64::from_le_bytes(*bytes) >> (bit % 8) & self.largest
    }
}

/// The largest number of so many bits, fewer than 64.
pub(crate) fn largest(bits: u32) -> u64 {
    (1 << bits) - 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back_in_each_width(
            bits in 1..=MOST_BITS,
            numbers in prop::collection::vec(any::<u64>(), 0..200),
        ) {
            let numbers: Vec<u64> = numbers.into_iter().map(|number| number & largest(bits)).collect();
            let packed = Packed::new(bits, numbers.iter().copied());
            for (place, number) in numbers.iter().enumerate() {
                prop_assert_eq!(packed.get(place), *number);
            }
        }
    }

    #[test]
    fn eight_numbers_take_a_byte_for_each_bit() {
        for bits in [1, 3, 8, 30, MOST_BITS] {
            let packed = Packed::new(bits, (0..8_000).map(|_| largest(bits)));
            assert!(packed.bytes.len() <= 1_000 * bits as usize + 16, "{bits}");
            assert_eq!(packed.get(7_999), largest(bits));
        }
    }
}
