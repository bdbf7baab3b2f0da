//! Columns packed by chunk: what repeats is stored once, and times as distances from one of them, in
//! as many bits as they need.
//!
//! A run of 100 million rows has to fit into memory beside the figures that are made of it.

use crate::packed::{MOST_BITS, Packed, largest};

/// Values of a chunk, of which there are often few different ones.
#[derive(Clone, Debug)]
pub(crate) enum Column<T> {
    /// All rows have this value.
    One(T),
    /// At most 256 different ones: a code a row, and the value of each code.
    Few { codes: Packed, values: Box<[T]> },
    /// A value a row.
    Each(Box<[T]>),
}

impl<T: Copy> Column<T> {
    /// The value of row `row` of the chunk.
    #[inline]
    pub(crate) fn get(&self, row: usize) -> T {
        match self {
            Self::One(value) => *value,
            Self::Few { codes, values } => values[codes.get(row) as usize],
            Self::Each(values) => values[row],
        }
    }

    /// Replaces every value.
    pub(crate) fn replace(&mut self, with: impl Fn(T) -> T) {
        match self {
            Self::One(value) => *value = with(*value),
            Self::Few { values, .. } | Self::Each(values) => {
                values.iter_mut().for_each(|value| *value = with(*value));
            }
        }
    }
}

/// A value that can be told from others by 64 bits.
pub(crate) trait Bits: Copy {
    fn bits(self) -> u64;
}

impl Bits for u16 {
    fn bits(self) -> u64 {
        u64::from(self)
    }
}

impl Bits for u32 {
    fn bits(self) -> u64 {
        u64::from(self)
    }
}

impl Bits for f32 {
    fn bits(self) -> u64 {
        u64::from(self.to_bits())
    }
}

impl Bits for squall_core::row::Outcome {
    fn bits(self) -> u64 {
        self as u64
    }
}

impl Bits for Option<u16> {
    fn bits(self) -> u64 {
        self.map_or(u64::MAX, u64::from)
    }
}

impl Bits for Option<i32> {
    fn bits(self) -> u64 {
        self.map_or(u64::MAX, |value| u64::from(value.cast_unsigned()))
    }
}

/// 2⁶⁴ divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
/// Slots of the table that finds a value's code; twice the codes that there are.
const SLOTS: usize = 512;

impl<T: Bits> Column<T> {
    /// Packs the values of a chunk, which has at least one row.
    pub(crate) fn pack(rows: &[T]) -> Self {
        let mut slots = [0_u16; SLOTS];
        let mut values: Vec<T> = Vec::new();
        let mut codes = Vec::with_capacity(rows.len());
        for value in rows {
            let bits = value.bits();
            // Fibonacci hashing: the high bits of a product with the golden ratio.
            let mut slot = (bits.wrapping_mul(GOLDEN) >> 55) as usize;
            let code = loop {
                match slots[slot] {
                    0 if values.len() == 256 => return Self::Each(rows.into()),
                    0 => {
                        values.push(*value);
                        slots[slot] = values.len() as u16;
                        break values.len() - 1;
                    }
                    known if values[usize::from(known) - 1].bits() == bits => break usize::from(known) - 1,
                    _ => slot = (slot + 1) % SLOTS,
                }
            };
            codes.push(code as u8);
        }
        match values.as_slice() {
            [only] => Self::One(*only),
            _ => {
                let bits = (values.len() - 1).ilog2() + 1;
                let codes = Packed::new(bits, codes.into_iter().map(u64::from));
                Self::Few { codes, values: values.into() }
            }
        }
    }
}

/// In place of a time that there is not.
pub(crate) const NEVER: i64 = i64::MIN;

/// Times of a chunk, in nanoseconds; [`NEVER`] where there is none.
#[derive(Clone, Debug)]
pub(crate) enum Times {
    /// All rows have this one.
    One(i64),
    /// Distances from a base, apart from those of a few times, which are listed by their rows. Two of
    /// the numbers are no distances: [`NONE`] and [`LISTED`].
    Near { base: i64, distances: Packed, others: Box<[(u32, i64)]> },
    /// Farther apart.
    Each(Box<[i64]>),
}

/// In place of a distance, for [`NEVER`].
const NONE: u64 = 0;
/// In place of a distance, for a time that is listed.
const LISTED: u64 = 1;
/// The smallest distance.
const NEAREST: u64 = 2;
/// How many times of a chunk are looked at to choose the bits of its distances.
const LOOKED_AT: u64 = 1_024;
/// As many of these as this share may be listed: one of 64.
const LISTED_SHARE: u64 = 64;
/// What a listed time takes.
const LISTED_BITS: u64 = 8 * size_of::<(u32, i64)>() as u64;

impl Times {
    /// The time of row `row` of the chunk.
    #[inline]
    pub(crate) fn get(&self, row: usize) -> i64 {
        match self {
            Self::One(time) => *time,
            Self::Near { base, distances, others } => match distances.get(row) {
                NONE => NEVER,
                LISTED => listed(others, row),
                distance => base.wrapping_add_unsigned(distance),
            },
            Self::Each(times) => times[row],
        }
    }

    /// Packs the times of a chunk, which has at least one row.
    pub(crate) fn pack(times: &[i64]) -> Self {
        let (mut earliest, mut latest, mut never) = (i64::MAX, i64::MIN, false);
        for &time in times {
            never |= time == NEVER;
            earliest = earliest.min(if time == NEVER { i64::MAX } else { time });
            latest = latest.max(time);
        }
        if earliest == latest && !never {
            return Self::One(earliest);
        }
        if latest == NEVER {
            return Self::One(NEVER);
        }
        // What was slow is late by itself, and was due long before its neighbours: the few that are
        // listed lie at one end or the other.
        let after = fewest_bits(times, earliest)
            .map(|(room, bits)| (room, bits, earliest.wrapping_sub_unsigned(NEAREST)));
        let before = fewest_bits(times, latest)
            .map(|(room, bits)| (room, bits, latest.wrapping_sub_unsigned(largest(bits))));
        match after.into_iter().chain(before).min() {
            Some((_, bits, base)) => Self::near(times, base, bits),
            None => Self::Each(times.into()),
        }
    }

    /// With distances of so many bits from `base`, whatever they are: what they do not reach is listed.
    fn near(times: &[i64], base: i64, bits: u32) -> Self {
        let reached = NEAREST..=largest(bits);
        let mut others = Vec::new();
        let distances = times.iter().enumerate().map(|(row, &time)| {
            let distance = time.wrapping_sub(base).cast_unsigned();
            if reached.contains(&distance) {
                distance
            } else if time == NEVER {
                NONE
            } else {
                others.push((row as u32, time));
                LISTED
            }
        });
        let distances = Packed::new(bits, distances);
        Self::Near { base, distances, others: others.into() }
    }
}

/// The room that a chunk's times take as distances from one of its ends, and the bits of a distance
/// with which it is least; `None` where too many would have to be listed.
///
/// A part of the times stands for all, spread evenly (multiples of the golden ratio) but in step with
/// nothing that comes back.
fn fewest_bits(times: &[i64], end: i64) -> Option<(u64, u32)> {
    let rows = times.len() as u128;
    let (mut count, mut by_bits) = (0, [0; u64::BITS as usize + 1]);
    for number in 0..LOOKED_AT {
        let row = (u128::from(number.wrapping_mul(GOLDEN)) * rows) >> u64::BITS;
        let time = times[row as usize];
        if time != NEVER {
            let distance = time.abs_diff(end).saturating_add(NEAREST);
            by_bits[(u64::BITS - distance.leading_zeros()) as usize] += 1;
            count += 1;
        }
    }
    let mut reached = 0;
    let rooms = (0..=MOST_BITS).map(|bits| {
        reached += by_bits[bits as usize];
        let listed: u64 = count - reached;
        (listed, (LOOKED_AT * u64::from(bits) + listed * LISTED_BITS, bits))
    });
    // Two bits at least, for what is no distance.
    let enough = rooms.skip(2).filter(|(listed, _)| *listed <= LOOKED_AT / LISTED_SHARE);
    enough.map(|(_, room)| room).min()
}

/// The time of a row that is listed.
#[cold]
fn listed(others: &[(u32, i64)], row: usize) -> i64 {
    let place = others.binary_search_by_key(&row, |(row, _)| *row as usize);
    place.map_or(NEVER, |place| others[place].1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_column_gives_back_what_was_packed(
            rows in prop::collection::vec(0_u32..400, 1..2_000),
            few in 1_u32..400,
        ) {
            let rows: Vec<u32> = rows.into_iter().map(|value| value % few).collect();
            let column = Column::pack(&rows);
            for (row, value) in rows.iter().enumerate() {
                prop_assert_eq!(column.get(row), *value);
            }
        }

        #[test]
        fn times_give_back_what_was_packed(
            start in -1_000_i64..1_000_000_000_000,
            rows in prop::collection::vec((any::<i64>(), 0_u8..100), 1..400),
            bits in 0_u32..64,
        ) {
            let time = |(value, kind): (i64, u8)| match kind {
                0..5 => NEVER,
                5 => value,
                _ => start.saturating_add(value.unsigned_abs().checked_shr(63 - bits).unwrap_or(0) as i64),
            };
            let rows: Vec<i64> = rows.into_iter().map(time).collect();
            let times = Times::pack(&rows);
            for (row, value) in rows.iter().enumerate() {
                prop_assert_eq!(times.get(row), *value);
            }
        }
    }

    #[test]
    fn the_ends_of_each_width_are_told_from_what_is_no_distance() {
        for bits in 2..63 {
            for widest in (1_i64 << bits) - 4..(1 << bits) + 2 {
                let rows = [7, 7_i64.wrapping_add(widest), NEVER];
                let times = Times::pack(&rows);
                assert_eq!([0, 1, 2].map(|row| times.get(row)), rows, "{widest}");
            }
        }
        assert!(matches!(Times::pack(&[NEVER, NEVER]), Times::One(NEVER)));
        assert_eq!(Times::pack(&[i64::MAX, NEVER + 1]).get(1), NEVER + 1);
    }

    #[test]
    fn a_few_that_are_far_from_the_others_cost_nothing_but_themselves() {
        for odd in [-20_000_000_000_i64, 20_000_000_000] {
            let mut rows: Vec<i64> = (0..1_000).collect();
            (rows[70], rows[700], rows[999]) = (odd, NEVER, odd / 2);
            let times = Times::pack(&rows);
            assert!(matches!(&times, Times::Near { others, .. } if others.len() == 2), "{times:?}");
            assert!(rows.iter().enumerate().all(|(row, time)| times.get(row) == *time));
        }
    }
}
