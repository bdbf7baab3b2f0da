//! The random streams from which rows, queries and requests are drawn.
//!
//! Each value has a stream of its own, named by (seed, number, field), so that row 7 is the same
//! whether it is made first, last, on another machine or not at all. The generator is fixed:
//! xoshiro256++ (Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2021),
//! seeded by SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).

use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

/// What a stream is for. The numbers are part of the dataset's identity and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Field {
    /// The vector of a row.
    Vector = 0,
    /// The category of a row.
    Category = 1,
    /// The price of a row.
    Price = 2,
    /// The brand of a row.
    Brand = 3,
    /// The rating of a row.
    Rating = 4,
    /// The stock of a row.
    Stock = 5,
    /// The cluster of a row.
    Cluster = 6,
    /// The vector of a row within its cluster.
    ClusteredVector = 7,
    /// Whether the scalars of a row go with its cluster, and its price if they do.
    Correlated = 8,
    /// The vector of a hot query.
    HotQuery = 16,
    /// The vector of a filtered pair.
    FilteredQuery = 17,
    /// The filter of a filtered pair.
    FilteredFilter = 18,
    /// The vector of a rare query.
    RareQuery = 19,
    /// What an open-loop request asks.
    OpenRequest = 32,
    /// What a closed-loop user asks, and how long it thinks.
    UserRequest = 33,
    /// How many arrivals a block of time has, and when they are due.
    ArrivalBlock = 34,
    /// Which cluster is the largest, the second, … .
    ClusterRank = 64,
    /// The order of clusters by price.
    ClusterPrice = 65,
    /// The order of axes.
    ClusterAxes = 66,
    /// Centre, own directions and radius of a cluster.
    ClusterShape = 67,
    /// Which rows are read back to verify a collection.
    VerifyRow = 48,
}

/// One step of SplitMix64: adds the golden ratio and mixes.
fn split_mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The stream of `field` for `number` (a row, a query, a request) under `seed`.
pub fn stream(seed: u64, number: u64, field: Field) -> Xoshiro256PlusPlus {
    let mixed = split_mix(split_mix(split_mix(seed) ^ number) ^ field as u64);
    Xoshiro256PlusPlus::seed_from_u64(mixed)
}

/// The stream of `field` for the pair (`major`, `minor`), such as (user, its k-th request).
pub fn stream_of_pair(seed: u64, major: u64, minor: u64, field: Field) -> Xoshiro256PlusPlus {
    stream(split_mix(split_mix(seed) ^ major), minor, field)
}
