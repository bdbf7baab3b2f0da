//! The kinds of index, and Squall's defaults for their build parameters.

use std::str::FromStr;

use squall_core::config::{ConfigError, Settings};
use squall_core::run_config::json_object;
use squall_core::schema::{IndexSpec, Metric};
use squall_core::vector_type::VectorType;

/// What a kind of index has for parameters unless told otherwise.
#[derive(Clone, Copy, Debug)]
enum Defaults {
    Fixed(&'static [(&'static str, &'static str)]),
    /// These and `m`, the number of parts that a vector is cut into, which must divide the dimension.
    WithParts(&'static [(&'static str, &'static str)]),
}

const NLIST: &[(&str, &str)] = &[("nlist", "1024")];
const PQ: Defaults = Defaults::WithParts(&[("nlist", "1024"), ("nbits", "8")]);

const KINDS: [(&str, Defaults); 14] = [
    ("FLAT", Defaults::Fixed(&[])),
    ("IVF_FLAT", Defaults::Fixed(NLIST)),
    ("IVF_SQ8", Defaults::Fixed(NLIST)),
    ("IVF_PQ", PQ),
    ("HNSW", Defaults::Fixed(&[("M", "16"), ("efConstruction", "200")])),
    ("SCANN", Defaults::Fixed(&[("nlist", "1024"), ("with_raw_data", "true")])),
    ("DISKANN", Defaults::Fixed(&[])),
    ("AUTOINDEX", Defaults::Fixed(&[])),
    ("GPU_CAGRA", Defaults::Fixed(&[("intermediate_graph_degree", "128"), ("graph_degree", "64")])),
    ("GPU_IVF_FLAT", Defaults::Fixed(NLIST)),
    ("GPU_IVF_PQ", PQ),
    ("GPU_BRUTE_FORCE", Defaults::Fixed(&[])),
    ("BIN_FLAT", Defaults::Fixed(&[])),
    ("BIN_IVF_FLAT", Defaults::Fixed(NLIST)),
];

/// The index that was asked for, with the defaults for the parameters of its kind.
pub(crate) fn spec(
    settings: &Settings,
    vector_type: VectorType,
    dimension: u32,
) -> Result<IndexSpec, ConfigError> {
    let binary = vector_type == VectorType::Binary;
    let chosen = |name: &str| settings.origin(name).is_users_own();
    let mut name = settings.text("index").unwrap_or_default().to_ascii_uppercase();
    let mut metric = settings.required("metric", Metric::from_str)?;
    if binary {
        // The defaults are those of floats; what they are called for bits is what was meant.
        if !chosen("index") {
            name.insert_str(0, "BIN_");
        }
        if !chosen("metric") {
            metric = Metric::Hamming;
        }
    }
    let (kind, defaults) = KINDS.into_iter().find(|(kind, _)| *kind == name).ok_or_else(|| {
        let names: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
        let reason = format!("`{name}` is not an index that setup can make; use {}", names.join(", "));
        settings.error("index", reason)
    })?;
    metric.fits(vector_type).map_err(|reason| settings.error("metric", reason))?;
    if kind.starts_with("BIN_") != binary {
        let reason = format!(
            "an index {kind} is not for {vector_type} vectors; use {}",
            if binary { "BIN_FLAT or BIN_IVF_FLAT" } else { "one without BIN_" }
        );
        return Err(settings.error("index", reason));
    }
    let (fixed, parts) = match defaults {
        Defaults::Fixed(fixed) => (fixed, None),
        Defaults::WithParts(fixed) => (fixed, Some(parts(dimension))),
    };
    let mut params: Vec<(String, String)> =
        fixed.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    params.extend(parts.map(|parts| ("m".to_owned(), parts.to_string())));
    if let Some(given) = settings.parse("index-params", json_object)? {
        let given: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&given)
            .map_err(|error| settings.error("index-params", error.to_string()))?;
        for (name, value) in given {
            let value = match value {
                serde_json::Value::String(text) => text,
                value => value.to_string(),
            };
            params.retain(|(known, _)| *known != name);
            params.push((name, value));
        }
    }
    if parts.is_some()
        && let Some((_, m)) = params.iter().find(|(name, _)| name == "m")
        && !m.parse::<u32>().is_ok_and(|m| m > 0 && dimension.is_multiple_of(m))
    {
        let reason = format!("m is {m}, but it must divide the dimension {dimension}");
        return Err(settings.error("index-params", reason));
    }
    params.sort();
    Ok(IndexSpec { kind: kind.to_owned(), metric, params })
}

/// Parts that a vector is cut into: the most that divide the dimension with at least 8 components each.
fn parts(dimension: u32) -> u32 {
    (1..=dimension / 8).rev().find(|parts| dimension.is_multiple_of(*parts)).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_vector_divide_it() {
        assert_eq!([768, 1_536, 100, 7, 2, 17].map(parts), [96, 192, 10, 1, 1, 1]);
    }
}
