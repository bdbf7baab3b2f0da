//! Columns packed by chunk: what repeats is stored once, and instants as offsets from the first.
//!
//! A run of 100 million rows has to fit into memory beside the figures that are made of it.

/// Values of a chunk, of which there are often few different ones.
#[derive(Clone, Debug)]
pub(crate) enum Column<T> {
    /// All rows have this value.
    One(T),
    /// At most 256 different ones: a code a row, and the value of each code.
    Few { codes: Box<[u8]>, values: Box<[T]> },
    /// A value a row.
    Each(Box<[T]>),
}

impl<T: Copy> Column<T> {
    /// The value of row `row` of the chunk.
    #[inline]
    pub(crate) fn get(&self, row: usize) -> T {
        match self {
            Self::One(value) => *value,
            Self::Few { codes, values } => values[usize::from(codes[row])],
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
            let mut slot = (bits.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 55) as usize;
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
            _ => Self::Few { codes: codes.into(), values: values.into() },
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
    /// Within 4.29 s of a base, apart from a few, which are listed by their rows.
    Near { base: i64, offsets: Box<[u32]>, others: Box<[(u32, i64)]> },
    /// Within 18 minutes of the earliest.
    Far { base: i64, low: Box<[u32]>, high: Box<[u8]> },
    /// Farther apart.
    Each(Box<[i64]>),
}

/// In place of an offset, for [`NEVER`].
const NONE: u32 = u32::MAX;
/// In place of an offset, for a time that is listed.
const LISTED: u32 = u32::MAX - 1;
/// As many times as this share of a chunk may be listed: one of 64.
const LISTED_SHARE: usize = 64;
/// Largest offset of [`Times::Far`], which stands for [`NEVER`].
const FAR: u64 = (1 << 40) - 1;

impl Times {
    /// The time of row `row` of the chunk.
    #[inline]
    pub(crate) fn get(&self, row: usize) -> i64 {
        match self {
            Self::One(time) => *time,
            Self::Near { base, offsets, others } => match offsets[row] {
                NONE => NEVER,
                LISTED => listed(others, row),
                offset => base.wrapping_add(i64::from(offset)),
            },
            Self::Far { base, low, high } => match u64::from(low[row]) | u64::from(high[row]) << 32 {
                FAR => NEVER,
                offset => base.wrapping_add_unsigned(offset),
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
        let widest = latest.abs_diff(earliest);
        if widest < u64::from(LISTED) {
            return Self::near(times, earliest);
        }
        // What was slow is late by itself, and was due long before its neighbours.
        for base in [earliest, latest.saturating_sub(i64::from(LISTED) - 1)] {
            let beside = times.iter().filter(|time| **time != NEVER && offset(**time, base).is_none());
            if beside.count() <= times.len() / LISTED_SHARE {
                return Self::near(times, base);
            }
        }
        if widest < FAR {
            let far = || times.iter().map(|time| if *time == NEVER { FAR } else { time.abs_diff(earliest) });
            let low = far().map(|offset| offset as u32).collect();
            return Self::Far {
                base: earliest,
                low,
                high: far().map(|offset| (offset >> 32) as u8).collect(),
            };
        }
        Self::Each(times.into())
    }

    fn near(times: &[i64], base: i64) -> Self {
        let mut others = Vec::new();
        let offsets = times.iter().enumerate().map(|(row, time)| match offset(*time, base) {
            _ if *time == NEVER => NONE,
            Some(offset) => offset,
            None => {
                others.push((row as u32, *time));
                LISTED
            }
        });
        let offsets = offsets.collect();
        Self::Near { base, offsets, others: others.into() }
    }
}

/// A time's distance from `base`, where it is not before it nor too far after it.
fn offset(time: i64, base: i64) -> Option<u32> {
    let offset = time.checked_sub(base).and_then(|offset| u32::try_from(offset).ok());
    offset.filter(|offset| *offset < LISTED)
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
            rows in prop::collection::vec((any::<i64>(), 0_u8..20), 1..200),
            bits in 0_u32..64,
        ) {
            let time = |(value, kind): (i64, u8)| match kind {
                0 => NEVER,
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
    fn the_ends_of_each_width_are_told_from_never() {
        let near = u64::from(u32::MAX);
        for widest in [near - 2, near - 1, near, near + 1, FAR - 1, FAR, FAR + 1] {
            let rows = [7, 7 + widest as i64, NEVER];
            let times = Times::pack(&rows);
            assert_eq!([0, 1, 2].map(|row| times.get(row)), rows, "{widest}");
        }
        // A few that are far from the others, before or after them, cost nothing but themselves.
        for odd in [-20_000_000_000_i64, 20_000_000_000] {
            let mut rows: Vec<i64> = (0..1_000).collect();
            (rows[70], rows[700], rows[999]) = (odd, NEVER, odd / 2);
            let times = Times::pack(&rows);
            assert!(matches!(&times, Times::Near { others, .. } if others.len() == 2), "{times:?}");
            assert!(rows.iter().enumerate().all(|(row, time)| times.get(row) == *time));
        }
        assert!(matches!(Times::pack(&[NEVER, NEVER]), Times::One(NEVER)));
        assert_eq!(Times::pack(&[i64::MAX, NEVER + 1]).get(1), NEVER + 1);
    }
}
