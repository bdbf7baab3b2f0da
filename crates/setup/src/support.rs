//! What servers lack: checked before anything is created or dropped.
//!
//! One table says since which Milvus there is what. A version that cannot be read (a build of one's
//! own, REST, which tells none) is allowed everything: the server then says itself what it lacks, when it
//! is tried ([`crate::probe`]). Where a version comes from is said beside it: Milvus' release notes, or
//! what was seen on a server here; what is just believed says that. An error in the table costs a sentence
//! that names the wrong version, or a refusal that the probe would have spoken anyway.

use squall_core::schema::Metric;
use squall_core::vector_type::VectorType;
use squall_milvus::Protocol;
use squall_milvus::admin::Admin;

use crate::{SetupConfig, SetupError};

/// A server as its version text tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    Milvus([u32; 3]),
    Lite,
    Unknown,
}

impl Server {
    fn of(version: Option<&str>) -> Self {
        let Some(text) = version else { return Self::Unknown };
        if text.starts_with("milvus_lite") {
            return Self::Lite;
        }
        let numbers = text.trim_start_matches('v').split('-').next().unwrap_or_default();
        let mut parts = numbers.split('.').map(str::parse::<u32>);
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch)), None) => Self::Milvus([major, minor, patch]),
            _ => Self::Unknown,
        }
    }
}

/// Whether it is Milvus Lite.
pub(crate) fn is_lite(admin: &Admin) -> bool {
    Server::of(admin.server_version().as_deref()) == Server::Lite
}

/// Something that not every server has.
struct Feature {
    /// What it is, as an error names it.
    what: &'static str,
    /// The first Milvus that has it.
    since: [u32; 3],
    /// Whether Milvus Lite 3.2 has it.
    lite: bool,
    /// Whether it is asked for.
    wanted: fn(&SetupConfig) -> bool,
    /// What to do without it.
    instead: &'static str,
}

fn kind_is(config: &SetupConfig, kind: &str) -> bool {
    config.index.kind == kind
}

fn scalar_kind_is(config: &SetupConfig, kinds: &[&str]) -> bool {
    config
        .scalar_indexes
        .iter()
        .filter_map(|index| index.kind.as_deref())
        .any(|kind| kinds.iter().any(|known| known.eq_ignore_ascii_case(kind)))
}

const FEATURES: [Feature; 14] = [
    // Believed: 2.0.0 took them over from 1.x. Seen on 2.3.5.
    Feature {
        what: "binary vectors",
        since: [2, 0, 0],
        lite: false,
        wanted: |config| config.dataset.vector_type() == VectorType::Binary,
        instead: "use --vector-type float32",
    },
    // Believed: 2.4.0. Seen to be missing on 2.3.5.
    Feature {
        what: "float16 or bfloat16 vectors",
        since: [2, 4, 0],
        lite: false,
        wanted: |config| matches!(config.dataset.vector_type(), VectorType::Float16 | VectorType::BFloat16),
        instead: "use --vector-type float32",
    },
    // Believed: 2.3.0. Seen on 2.3.5.
    Feature {
        what: "metric COSINE",
        since: [2, 3, 0],
        lite: true,
        wanted: |config| config.index.metric == Metric::Cosine,
        instead: "use --metric IP: on unit vectors it ranks alike",
    },
    // Announcement of 2.3.0 (August 2023): "ScaNN index". Seen on 2.3.5.
    Feature {
        what: "index SCANN",
        since: [2, 3, 0],
        lite: false,
        wanted: |config| kind_is(config, "SCANN"),
        instead: "use --index IVF_PQ or IVF_FLAT",
    },
    // Release notes of 2.2.0: disk-based index (DiskANN).
    Feature {
        what: "index DISKANN",
        since: [2, 2, 0],
        lite: false,
        wanted: |config| kind_is(config, "DISKANN"),
        instead: "use --index HNSW",
    },
    // Announcement of 2.3.0 (August 2023): GPU index, by RAFT: IVF-Flat and IVF-PQ.
    Feature {
        what: "index GPU_IVF_FLAT or GPU_IVF_PQ",
        since: [2, 3, 0],
        lite: false,
        wanted: |config| kind_is(config, "GPU_IVF_FLAT") || kind_is(config, "GPU_IVF_PQ"),
        instead: "use --index IVF_FLAT or IVF_PQ",
    },
    // Release notes of 2.4.0-rc.1 (CAGRA); RAPIDS says that brute force came with 2.4, too.
    Feature {
        what: "index GPU_CAGRA or GPU_BRUTE_FORCE",
        since: [2, 4, 0],
        lite: false,
        wanted: |config| kind_is(config, "GPU_CAGRA") || kind_is(config, "GPU_BRUTE_FORCE"),
        instead: "use --index HNSW or FLAT",
    },
    // Believed: 2.2.9. Seen on 2.3.5.
    Feature {
        what: "partition key",
        since: [2, 2, 9],
        lite: false,
        wanted: |config| config.partition_key.is_some(),
        instead: "leave --partition-key out, or use --partitions alone",
    },
    // Believed: 2.1.0. Seen on 2.3.5.
    Feature {
        what: "index of a scalar field",
        since: [2, 1, 0],
        lite: true,
        wanted: |config| !config.scalar_indexes.is_empty(),
        instead: "leave --scalar-index out",
    },
    // Release notes of 2.4.0-rc.1: inverted index.
    Feature {
        what: "scalar index INVERTED",
        since: [2, 4, 0],
        lite: true,
        wanted: |config| scalar_kind_is(config, &["INVERTED"]),
        instead: "leave the kind out",
    },
    // Believed: 2.5.0.
    Feature {
        what: "scalar index BITMAP",
        since: [2, 5, 0],
        lite: false,
        wanted: |config| scalar_kind_is(config, &["BITMAP"]),
        instead: "leave the kind out",
    },
    // Believed: 2.1.0. Seen on 2.3.5.
    Feature {
        what: "scalar index STL_SORT or Trie",
        since: [2, 1, 0],
        lite: false,
        wanted: |config| scalar_kind_is(config, &["STL_SORT", "TRIE", "MARISA-TRIE"]),
        instead: "leave the kind out",
    },
    // Believed: 2.1.0. Seen on 2.3.5, which refuses more than it has nodes.
    Feature {
        what: "replicas",
        since: [2, 1, 0],
        lite: false,
        wanted: |config| config.replicas > 1,
        instead: "leave --replicas out",
    },
    // Believed: 2.0.0. Seen on 2.3.5.
    Feature {
        what: "shards",
        since: [2, 0, 0],
        lite: false,
        wanted: |config| config.shards > 1,
        instead: "leave --shards-num out",
    },
];

/// Whether the server has all that is asked for, as far as its version tells.
///
/// # Errors
/// What it lacks, and what to do.
pub(crate) fn check(admin: &Admin, config: &SetupConfig) -> Result<(), SetupError> {
    if admin.protocol() == Protocol::RestV1 {
        return Err(SetupError::Lacking {
            server: "this server's REST v1".to_owned(),
            what: "way to make a collection with keys of its own".to_owned(),
            hint: "use --transport grpc".to_owned(),
        });
    }
    check_version(admin.server_version().as_deref(), config)
}

fn check_version(version: Option<&str>, config: &SetupConfig) -> Result<(), SetupError> {
    let server = Server::of(version);
    let lacks = |feature: &&Feature| match server {
        Server::Milvus(version) => version < feature.since,
        Server::Lite => !feature.lite,
        Server::Unknown => false,
    };
    let Some(feature) = FEATURES.iter().filter(|feature| (feature.wanted)(config)).find(lacks) else {
        return Ok(());
    };
    let [major, minor, patch] = feature.since;
    let since = match server {
        Server::Lite => String::new(),
        _ => format!("it came with Milvus {major}.{minor}.{patch}: "),
    };
    let version = version.unwrap_or_default();
    Err(SetupError::Lacking {
        server: if server == Server::Lite { version.to_owned() } else { format!("Milvus {version}") },
        what: feature.what.to_owned(),
        hint: format!("{since}{}", feature.instead),
    })
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::config::config;

    #[test]
    fn versions_are_read_as_servers_write_them() {
        for (text, server) in [
            (Some("v2.3.5-lite"), Server::Milvus([2, 3, 5])),
            (Some("2.6.0"), Server::Milvus([2, 6, 0])),
            (Some("v2.4.0-rc.1"), Server::Milvus([2, 4, 0])),
            (Some("milvus_lite-3.2.2"), Server::Lite),
            (Some("master-20260101-abcdef"), Server::Unknown),
            (Some("7f3a9c1"), Server::Unknown),
            (None, Server::Unknown),
        ] {
            assert_eq!(Server::of(text), server, "{text:?}");
        }
    }

    #[test]
    fn what_a_server_lacks_is_said_with_the_version_that_has_it() {
        let lacking = |version: &str, flags: &[(&str, &str)]| {
            check_version(Some(version), &config(flags).unwrap()).map_err(|error| error.to_string())
        };
        let error = lacking("v2.3.5-lite", &[("index", "GPU_CAGRA")]).unwrap_err();
        assert!(error.contains("Milvus v2.3.5-lite has no index GPU_CAGRA"), "{error}");
        assert!(error.contains("Milvus 2.4.0") && error.contains("HNSW"), "{error}");
        assert_eq!(lacking("v2.4.1", &[("index", "GPU_CAGRA")]), Ok(()));
        assert_eq!(lacking("my-build", &[("index", "GPU_CAGRA")]), Ok(()));
        assert!(lacking("v2.2.8", &[("partition-key", "category")]).is_err());
        assert_eq!(lacking("v2.2.9", &[("partition-key", "category")]), Ok(()));
        assert!(lacking("milvus_lite-3.2.2", &[("replicas", "2")]).is_err());
        assert!(lacking("v2.2.0", &[("metric", "COSINE")]).is_err());
        assert!(lacking("v2.3.5", &[("scalar-index", "price:INVERTED")]).is_err());
        assert_eq!(lacking("v2.3.5", &[("scalar-index", "price"), ("metric", "COSINE")]), Ok(()));
    }
}
