//! What an index of vectors takes in Milvus' memory, estimated by its kind.
//!
//! | kind | bytes |
//! |---|---|
//! | `FLAT`, `BIN_FLAT` | n · v |
//! | `IVF_FLAT`, `BIN_IVF_FLAT` | n · (v + 8) + nlist · v |
//! | `IVF_SQ8` | n · (d + 8) + nlist · 4 d |
//! | `IVF_PQ` | n · (m · nbits / 8 + 8) + nlist · 4 d + 2^nbits · 4 d |
//! | `SCANN` | n · (v + d / 4 + 8) + nlist · 4 d |
//! | `HNSW` | n · (v + 2 · M · 4) |
//! | `AUTOINDEX` | as `HNSW` with M 18, Milvus' default for floats |
//! | `DISKANN` | n · v / 8 in memory, n · (v + 4 · 56) on disk |
//! | `GPU_…` | as the kind without `GPU_`, in the GPU's memory; `GPU_CAGRA` n · (v + 4 · 64) |
//!
//! with n rows, d components and v bytes a vector. Sources: Milvus' documentation of in-memory
//! indexes (<https://milvus.io/docs/index.md>: each kind's parameters and what it keeps; SQ8 keeps one
//! byte a component), of DISKANN (<https://milvus.io/docs/disk_index.md>: `MaxDegree` 56, codes of an
//! eighth of the raw data), Milvus' answer on overheads (an inverted list keeps an id a row and nlist
//! centroids, a graph 4 bytes a connection:
//! <https://milvus.io/ai-quick-reference/how-much-memory-overhead-is-typically-introduced-by-indexes-like-hnsw-or-ivf-for-a-given-number-of-vectors-and-how-can-this-overhead-be-managed-or-configured>),
//! and Malkov and Yashunin, TPAMI 2020, section 4.2.3: 2 M connections in the ground layer, where
//! nearly all connections are.

use serde::Serialize;

use crate::schema::IndexSpec;

/// An estimate and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IndexMemory {
    /// The index, such as `HNSW M=16 efConstruction=200, L2`.
    pub index: String,
    /// Bytes in memory; of a `GPU_` index, in the GPU's.
    pub bytes: u64,
    /// Bytes on the query node's disk, for an index that lies there.
    pub disk_bytes: Option<u64>,
    /// How it is reckoned, in words.
    pub formula: String,
}

/// Estimates the memory of an index of `rows` vectors of `dimension` components in `vector_bytes`.
pub fn index_memory(index: &IndexSpec, rows: u64, dimension: u32, vector_bytes: u64) -> IndexMemory {
    let (n, d, v) = (u128::from(rows), u128::from(dimension), u128::from(vector_bytes));
    let parameter = |name: &str, usual: u128| {
        let given = index.params.iter().find(|(known, _)| known == name);
        given.and_then(|(_, value)| value.parse::<u32>().ok()).map_or(usual, u128::from)
    };
    let nlist = parameter("nlist", 1_024);
    let codes = || (parameter("m", d), parameter("nbits", 8).min(16));
    let mut disk = None;
    let (bytes, formula) = match index.kind.strip_prefix("GPU_").unwrap_or(&index.kind) {
        "IVF_FLAT" | "BIN_IVF_FLAT" => {
            (n * (v + 8) + nlist * v, format!("{n} rows × ({v} + 8 of its id) + {nlist} centroids × {v}"))
        }
        "IVF_SQ8" => (
            n * (d + 8) + nlist * 4 * d,
            format!("{n} rows × ({d} of its code + 8 of its id) + {nlist} centroids × {}", 4 * d),
        ),
        "IVF_PQ" => {
            let (m, nbits) = codes();
            let code = (m * nbits).div_ceil(8);
            let book = (1_u128 << nbits) * 4 * d;
            (
                n * (code + 8) + nlist * 4 * d + book,
                format!(
                    "{n} rows × ({code} of its code + 8 of its id) + {nlist} centroids × {} + {book} of code books",
                    4 * d
                ),
            )
        }
        "SCANN" => (
            n * (v + d.div_ceil(4) + 8) + nlist * 4 * d,
            format!(
                "{n} rows × ({v} + {} of its code + 8 of its id) + {nlist} centroids × {}",
                d.div_ceil(4),
                4 * d
            ),
        ),
        kind @ ("HNSW" | "AUTOINDEX") => {
            let m = parameter("M", if kind == "HNSW" { 16 } else { 18 });
            (n * (v + 8 * m), format!("{n} rows × ({v} + 2 × {m} connections × 4)"))
        }
        "CAGRA" => (n * (v + 256), format!("{n} rows × ({v} + 64 connections × 4), in the GPU")),
        "DISKANN" => {
            disk = Some(n * (v + 4 * 56));
            (n * v.div_ceil(8), format!("{n} rows × {v} ÷ 8, the codes; vectors and graph lie on disk"))
        }
        // FLAT, BIN_FLAT, BRUTE_FORCE, and what is not known keeps the vectors at least.
        _ => (n * v, format!("{n} rows × {v}")),
    };
    let fit = |bytes: u128| u64::try_from(bytes).unwrap_or(u64::MAX);
    IndexMemory { index: index.to_string(), bytes: fit(bytes), disk_bytes: disk.map(fit), formula }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Metric;

    #[test]
    fn each_kind_has_its_formula() {
        let of = |kind: &str, params: &[(&str, &str)]| {
            let params =
                params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            index_memory(&IndexSpec { kind: kind.into(), metric: Metric::L2, params }, 1_000_000, 768, 3_072)
        };
        for (kind, params, expected) in [
            ("FLAT", vec![], 3_072_000_000),
            ("IVF_FLAT", vec![("nlist", "1024")], 3_083_145_728),
            ("IVF_SQ8", vec![("nlist", "1024")], 779_145_728),
            ("IVF_PQ", vec![("nlist", "1024"), ("m", "96"), ("nbits", "8")], 107_932_160),
            ("HNSW", vec![("M", "16")], 3_200_000_000),
            ("AUTOINDEX", vec![], 3_216_000_000),
            ("DISKANN", vec![], 384_000_000),
            ("GPU_IVF_FLAT", vec![("nlist", "1024")], 3_083_145_728),
        ] {
            assert_eq!(of(kind, &params).bytes, expected, "{kind}");
        }
        assert_eq!(of("DISKANN", &[]).disk_bytes, Some(3_296_000_000));
        assert!(of("HNSW", &[("M", "16")]).formula.contains("2 × 16 connections"));
    }
}
