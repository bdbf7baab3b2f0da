//! Clustered datasets: what the settings say of them.

use squall_core::config::{ConfigError, Settings};
use squall_core::dataset::{Clusters, Dataset, DatasetError};
use squall_core::run_config::number;

/// Settings that only a clustered dataset has.
const SETTINGS: [&str; 4] = ["clusters", "intrinsic-dim", "cluster-skew", "correlation"];

/// Says that another kind of dataset has none of these settings.
pub(crate) fn refuse(settings: &Settings) -> Result<(), ConfigError> {
    match SETTINGS.into_iter().find(|name| settings.text(name).is_some()) {
        Some(name) => {
            let reason = "only clustered datasets have it; use --dataset clustered";
            Err(settings.error(name, reason.to_owned()))
        }
        None => Ok(()),
    }
}

/// The clustered dataset that was asked for; ranges are checked where it is made.
pub(crate) fn make(settings: &Settings, seed: u64, dimension: u32) -> Result<Dataset, ConfigError> {
    let usual = Clusters::for_dimension(dimension);
    let clusters = Clusters {
        clusters: settings.parse("clusters", number)?.unwrap_or(usual.clusters),
        intrinsic_dim: settings.parse("intrinsic-dim", number)?.unwrap_or(usual.intrinsic_dim),
        skew: settings.parse("cluster-skew", number)?.unwrap_or(usual.skew),
        correlation: settings.parse("correlation", number)?.unwrap_or(usual.correlation),
    };
    Dataset::clustered(seed, dimension, clusters).map_err(|error| match error {
        DatasetError::Parameter { name, .. } => settings.error(name, error.to_string()),
        _ => settings.error("dimension", error.to_string()),
    })
}
