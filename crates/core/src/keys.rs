//! Every setting of `setup` and `run`: one table from which flags, environment variables, files and
//! the documentation take their names.

use std::fmt::Write;

/// Which commands read a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadBy {
    /// `squall setup`.
    Setup,
    /// `squall run`.
    Run,
    /// Both.
    Both,
}

/// A command that has settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// `squall setup`.
    Setup,
    /// `squall run`.
    Run,
}

/// One setting.
#[derive(Debug)]
pub struct Key {
    /// Its name: the flag is `--<name>`, the key in a TOML file `<name>`, and the environment
    /// variable `SQUALL_<NAME>`.
    pub name: &'static str,
    /// Names of environment variables that it has besides, first wins.
    pub environment: &'static [&'static str],
    /// The value where no layer has one.
    pub default: Option<&'static str>,
    /// Who reads it.
    pub read_by: ReadBy,
    /// Whether it may be given several times.
    pub list: bool,
    /// Whether it is a flag; others come from the environment and files alone.
    pub flag: bool,
    /// Whether the flag alone says `true`.
    pub switch: bool,
    /// Whether its value must never be shown.
    pub secret: bool,
    /// What it is, in a phrase.
    pub help: &'static str,
    /// The flag's one-letter form.
    pub short: Option<char>,
    /// A second name of the flag.
    pub alias: Option<&'static str>,
    /// What stands for the value in `--help`, with its unit.
    pub value: &'static str,
    /// The part of `--help` that the flag stands in.
    pub heading: &'static str,
}

impl Key {
    /// The key of that name for `command`.
    pub fn find(command: Command, name: &str) -> Option<&'static Key> {
        Self::of(command).find(|key| key.name == name)
    }

    /// The keys that `command` reads.
    pub fn of(command: Command) -> impl Iterator<Item = &'static Key> {
        KEYS.iter().filter(move |key| match key.read_by {
            ReadBy::Both => true,
            ReadBy::Setup => command == Command::Setup,
            ReadBy::Run => command == Command::Run,
        })
    }

    /// `SQUALL_<NAME>`.
    pub fn squall_variable(&self) -> String {
        format!("SQUALL_{}", self.name.replace('-', "_").to_ascii_uppercase())
    }
}

const BASE: Key = Key {
    name: "",
    environment: &[],
    default: None,
    read_by: ReadBy::Run,
    list: false,
    flag: true,
    switch: false,
    secret: false,
    help: "",
    short: None,
    alias: None,
    value: "VALUE",
    heading: "Server",
};

/// The settings.
pub static KEYS: &[Key] = &[
    Key {
        name: "uri",
        environment: &["MILVUS_URI"],
        default: Some("http://localhost:19530"),
        read_by: ReadBy::Both,
        help: "Milvus server (also from MILVUS_HOST and MILVUS_PORT)",
        value: "URI",
        heading: "Server",
        alias: Some("host"),
        ..BASE
    },
    Key {
        name: "collection-name",
        environment: &["LOAD_TEST_COLLECTION"],
        default: Some("load_test_collection"),
        read_by: ReadBy::Both,
        help: "Collection",
        value: "NAME",
        heading: "Server",
        ..BASE
    },
    Key {
        name: "token",
        environment: &["MILVUS_TOKEN"],
        read_by: ReadBy::Both,
        secret: true,
        help: "API key, or user:password",
        value: "TOKEN",
        heading: "Server",
        ..BASE
    },
    Key {
        name: "database",
        environment: &["MILVUS_DATABASE"],
        read_by: ReadBy::Both,
        help: "Database; the server's default one unless given",
        value: "NAME",
        heading: "Server",
        ..BASE
    },
    Key {
        name: "transport",
        default: Some("grpc"),
        read_by: ReadBy::Both,
        help: "grpc or rest",
        value: "grpc|rest",
        heading: "Server",
        ..BASE
    },
    Key {
        name: "metrics-url",
        help: "Milvus' metrics page, read every 5 s into server.parquet; looked for on port 9091 of the host unless given",
        value: "URL",
        heading: "Server",
        ..BASE
    },
    Key {
        name: "tls-ca",
        read_by: ReadBy::Both,
        help: "PEM file of the authority that signed an https server; the system's unless given",
        value: "FILE",
        heading: "Server",
        ..BASE
    },
    Key {
        name: "dimension",
        environment: &["VECTOR_DIMENSION"],
        read_by: ReadBy::Both,
        help: "Vector dimension: setup makes 768 unless given, run takes the collection's",
        value: "N",
        heading: "Data",
        ..BASE
    },
    Key {
        name: "consistency",
        read_by: ReadBy::Both,
        help: "strong, session, bounded or eventually: setup makes the collection bounded unless given, run uses the collection's own",
        value: "LEVEL",
        heading: "Queries",
        ..BASE
    },
    Key {
        name: "data",
        default: Some("data"),
        read_by: ReadBy::Both,
        help: "Directory of runs and truth",
        value: "DIR",
        heading: "Output",
        ..BASE
    },
    Key {
        name: "reports",
        default: Some("reports"),
        value: "DIR",
        heading: "Output",
        help: "Directory of reports",
        ..BASE
    },
    Key {
        name: "seed",
        default: Some("42"),
        read_by: ReadBy::Both,
        help: "Seed: of the dataset in setup, of the order of requests in run",
        value: "N",
        heading: "Data",
        ..BASE
    },
    Key {
        name: "dataset",
        default: Some("reference"),
        read_by: ReadBy::Setup,
        help: "reference (unit vectors from normals), clustered (as real embeddings are), or file:PATH (Parquet, .npy, .fvecs, .bvecs, .fbin, .u8bin, or a directory of VectorDBBench's)",
        value: "KIND",
        heading: "Data",
        ..BASE
    },
    Key {
        name: "clusters",
        read_by: ReadBy::Setup,
        help: "Clusters of a clustered dataset; 110 unless given",
        value: "N",
        heading: "Data",
        ..BASE
    },
    Key {
        name: "intrinsic-dim",
        read_by: ReadBy::Setup,
        help: "Directions in which a cluster of a clustered dataset spreads; 16 unless given",
        value: "N",
        heading: "Data",
        ..BASE
    },
    Key {
        name: "cluster-skew",
        read_by: ReadBy::Setup,
        help: "Exponent of the law of cluster sizes: 0 makes them alike; 0.6 unless given",
        value: "X",
        heading: "Data",
        ..BASE
    },
    Key {
        name: "correlation",
        read_by: ReadBy::Setup,
        help: "How far the scalars of a clustered dataset go with the cluster, 0 to 1; 0.5 unless given",
        value: "X",
        heading: "Data",
        ..BASE
    },
    Key {
        name: "vector-type",
        default: Some("float32"),
        read_by: ReadBy::Setup,
        help: "float32, float16, bfloat16 or binary",
        value: "TYPE",
        heading: "Data",
        ..BASE
    },
    Key {
        name: "queries",
        read_by: ReadBy::Both,
        help: "File of query vectors, for a dataset from a file",
        value: "FILE",
        heading: "Data",
        ..BASE
    },
    Key {
        name: "truth",
        read_by: ReadBy::Setup,
        help: "File of the exact neighbours of the queries, for a dataset from a file",
        value: "FILE",
        heading: "Truth",
        ..BASE
    },
    Key {
        name: "num-vectors",
        default: Some("100000"),
        read_by: ReadBy::Setup,
        help: "Rows",
        value: "ROWS",
        heading: "Data",
        ..BASE
    },
    Key {
        name: "batch-size",
        default: Some("1000"),
        read_by: ReadBy::Setup,
        help: "Rows an insert",
        value: "ROWS",
        heading: "Data",
        ..BASE
    },
    Key {
        name: "concurrency",
        default: Some("4"),
        read_by: ReadBy::Setup,
        help: "Inserts in flight",
        value: "N",
        heading: "Data",
        ..BASE
    },
    Key {
        name: "insert-rate",
        read_by: ReadBy::Setup,
        help: "Most vectors a second; as fast as the server takes them unless given",
        value: "VECTORS/S",
        heading: "Data",
        alias: Some("rate"),
        ..BASE
    },
    Key {
        name: "shards-num",
        default: Some("1"),
        read_by: ReadBy::Setup,
        help: "Shards of the collection",
        value: "N",
        heading: "Data",
        ..BASE
    },
    Key {
        name: "partitions",
        read_by: ReadBy::Setup,
        help: "Partitions: rows go to them in turn, or by --partition-key",
        value: "N",
        heading: "Data",
        ..BASE
    },
    Key {
        name: "partition-key",
        read_by: ReadBy::Setup,
        help: "Field whose value decides a row's partition, an Int64 or VarChar",
        value: "FIELD",
        heading: "Data",
        ..BASE
    },
    Key {
        name: "index",
        default: Some("IVF_FLAT"),
        read_by: ReadBy::Setup,
        help: "FLAT, IVF_FLAT, IVF_SQ8, IVF_PQ, HNSW, SCANN, DISKANN, AUTOINDEX, GPU_CAGRA, GPU_IVF_FLAT, GPU_IVF_PQ or GPU_BRUTE_FORCE; BIN_FLAT or BIN_IVF_FLAT for binary vectors",
        value: "KIND",
        heading: "Index",
        ..BASE
    },
    Key {
        name: "metric",
        default: Some("L2"),
        read_by: ReadBy::Setup,
        help: "L2, IP or COSINE; of binary vectors HAMMING (their default) or JACCARD",
        value: "METRIC",
        heading: "Index",
        ..BASE
    },
    Key {
        name: "index-params",
        read_by: ReadBy::Setup,
        help: "Build parameters as JSON; unless given, IVF_* and SCANN have nlist 1024, IVF_PQ nbits 8 and a part for 8 components, HNSW M 16 and efConstruction 200, GPU_CAGRA degrees 128 and 64",
        value: "JSON",
        heading: "Index",
        ..BASE
    },
    Key {
        name: "scalar-index",
        read_by: ReadBy::Setup,
        list: true,
        help: "Index of a scalar field; without a kind, the one that the server takes for the field's type",
        value: "FIELD[:KIND]",
        heading: "Index",
        ..BASE
    },
    Key {
        name: "replicas",
        default: Some("1"),
        read_by: ReadBy::Setup,
        help: "Copies of the collection in the memory of query nodes",
        value: "N",
        heading: "Index",
        ..BASE
    },
    Key {
        name: "ground-truth",
        default: Some("100"),
        read_by: ReadBy::Setup,
        help: "Exact neighbours of each hot, each filtered and every tenth rare query, so that runs can tell recall; 0 makes none. Above 1,000,000 rows made only when asked for",
        value: "K",
        heading: "Truth",
        ..BASE
    },
    Key {
        name: "settle",
        default: Some("10s"),
        read_by: ReadBy::Setup,
        help: "How long segments must stay unchanged before the collection counts as settled",
        value: "TIME",
        heading: "Index",
        ..BASE
    },
    Key {
        name: "users",
        environment: &["USERS"],
        default: Some("100"),
        help: "Closed loop: users in flight or thinking",
        value: "N",
        heading: "Load",
        short: Some('u'),
        ..BASE
    },
    Key {
        name: "spawn-rate",
        environment: &["SPAWN_RATE"],
        default: Some("10"),
        help: "Closed loop: users started a second",
        value: "N/s",
        heading: "Load",
        short: Some('r'),
        ..BASE
    },
    Key {
        name: "think-time",
        default: Some("100ms..500ms"),
        help: "Closed loop: pause between an answer and the user's next request",
        value: "TIME..TIME",
        heading: "Load",
        ..BASE
    },
    Key {
        name: "rate",
        help: "Open loop: requests a second, whatever the server does",
        value: "N/s",
        heading: "Load",
        ..BASE
    },
    Key {
        name: "stages",
        help: "Open loop in stages: length:rate each, or length:from..to for a ramp, which is not measured; like 2m:100..1000,5m:1000",
        value: "STAGES",
        heading: "Load",
        ..BASE
    },
    Key {
        name: "arrivals",
        default: Some("poisson"),
        help: "Open loop: poisson or even",
        value: "poisson|even",
        heading: "Load",
        ..BASE
    },
    Key {
        name: "run-time",
        environment: &["RUN_TIME"],
        help: "From the first to the last request; until Ctrl-C unless given",
        value: "TIME",
        heading: "Load",
        short: Some('t'),
        ..BASE
    },
    Key {
        name: "warm-up",
        default: Some("0s"),
        help: "Left out of the figures at the beginning; auto: until rate and P95 are stable over 10 s, at most a third of the run",
        value: "TIME|auto",
        heading: "Load",
        ..BASE
    },
    Key {
        name: "drain",
        default: Some("30s"),
        help: "Time for answers after the last request",
        value: "TIME",
        heading: "Load",
        ..BASE
    },
    Key {
        name: "timeout",
        default: Some("10s"),
        help: "Time for one answer, from the moment its request was sent",
        value: "TIME",
        heading: "Load",
        ..BASE
    },
    Key {
        name: "give-up",
        help: "End the run when no request was answered for this long; it goes on unless given",
        value: "TIME",
        heading: "Load",
        ..BASE
    },
    Key {
        name: "max-in-flight",
        default: Some("4096"),
        help: "Open loop: most requests in flight, over REST at most 64 a connection; due ones wait, and the wait counts",
        value: "N",
        heading: "Load",
        ..BASE
    },
    Key {
        name: "threads",
        read_by: ReadBy::Both,
        help: "Threads: in run those that send, 1 unless given; in setup those that make and encode rows, one a core unless given",
        value: "N",
        heading: "Load",
        ..BASE
    },
    Key {
        name: "connections",
        default: Some("4"),
        help: "Connections a thread",
        value: "N",
        heading: "Load",
        ..BASE
    },
    Key {
        name: "pin",
        switch: true,
        help: "Give each sending thread a core of its own; recorder and scraper keep to the other cores",
        value: "true|false",
        heading: "Load",
        ..BASE
    },
    Key {
        name: "shard",
        help: "Send only slice i of n of the plan (i from 0); needs --run-id and --start-at, the same for all n",
        value: "i/n",
        heading: "Shards",
        ..BASE
    },
    Key { name: "run-id", help: "What the shards of one run share", value: "ID", heading: "Shards", ..BASE },
    Key {
        name: "start-at",
        help: "Time 0 of the run, which all shards share, like 2026-05-01T12:30:00Z",
        value: "UTC",
        heading: "Shards",
        ..BASE
    },
    Key {
        name: "class",
        list: true,
        help: "Class of requests instead of the reference's three, like hot=common:70:10: name=kind:weight:limit, the kind common, filtered or rare; may be repeated",
        value: "CLASS",
        heading: "Queries",
        ..BASE
    },
    Key {
        name: "common-query-weight",
        environment: &["COMMON_QUERY_WEIGHT"],
        default: Some("70"),
        flag: false,
        help: "Weight of common queries",
        ..BASE
    },
    Key {
        name: "filtered-query-weight",
        environment: &["FILTERED_QUERY_WEIGHT"],
        default: Some("20"),
        flag: false,
        help: "Weight of filtered queries",
        ..BASE
    },
    Key {
        name: "rare-query-weight",
        environment: &["RARE_QUERY_WEIGHT"],
        default: Some("10"),
        flag: false,
        help: "Weight of rare queries",
        ..BASE
    },
    Key {
        name: "common-query-limit",
        environment: &["COMMON_QUERY_LIMIT"],
        default: Some("10"),
        flag: false,
        help: "Hits of common queries",
        ..BASE
    },
    Key {
        name: "filtered-query-limit",
        environment: &["FILTERED_QUERY_LIMIT"],
        default: Some("10"),
        flag: false,
        help: "Hits of filtered queries",
        ..BASE
    },
    Key {
        name: "rare-query-limit",
        environment: &["RARE_QUERY_LIMIT"],
        default: Some("100"),
        flag: false,
        help: "Hits of rare queries",
        ..BASE
    },
    Key {
        name: "zipf-parameter",
        environment: &["ZIPF_PARAMETER"],
        default: Some("1.5"),
        flag: false,
        help: "Exponent of the Zipf law over the hot pool",
        ..BASE
    },
    Key {
        name: "workload-seed",
        default: Some("42"),
        read_by: ReadBy::Both,
        help: "Seed of the query vectors",
        value: "N",
        heading: "Queries",
        ..BASE
    },
    Key {
        name: "search-params",
        help: "Search parameters as JSON, like {\"nprobe\": 16}; none are sent unless given",
        value: "JSON",
        heading: "Queries",
        ..BASE
    },
    Key {
        name: "output-fields",
        help: "Fields to return, with commas between; the primary key unless given",
        value: "NAMES",
        heading: "Queries",
        ..BASE
    },
    Key {
        name: "target",
        list: true,
        help: "Bound that fails the run when missed, like 'p99(common) < 120ms', of each window with 'over 30s', ending the load with 'abort after 1m'; may be repeated",
        value: "TARGET",
        heading: "Targets",
        ..BASE
    },
    Key {
        name: "target-qps",
        environment: &["TARGET_QPS"],
        default: Some("1000"),
        flag: false,
        help: "Target for the rate; advisory unless given",
        ..BASE
    },
    Key {
        name: "target-p50-ms",
        environment: &["TARGET_P50_MS"],
        default: Some("30"),
        flag: false,
        help: "Target for P50; advisory unless given",
        ..BASE
    },
    Key {
        name: "target-p95-ms",
        environment: &["TARGET_P95_MS"],
        default: Some("70"),
        flag: false,
        help: "Target for P95; advisory unless given",
        ..BASE
    },
    Key {
        name: "target-p99-ms",
        environment: &["TARGET_P99_MS"],
        default: Some("120"),
        flag: false,
        help: "Target for P99; advisory unless given",
        ..BASE
    },
    Key {
        name: "target-error-rate",
        environment: &["TARGET_ERROR_RATE"],
        default: Some("0.001"),
        flag: false,
        help: "Target for the error rate, a fraction; advisory unless given",
        ..BASE
    },
    Key {
        name: "name",
        default: Some("run"),
        help: "Name of the run",
        value: "NAME",
        heading: "Output",
        ..BASE
    },
    Key {
        name: "label",
        list: true,
        help: "key=value, kept with the run; may be repeated",
        value: "KEY=VALUE",
        heading: "Output",
        ..BASE
    },
];

/// The settings as a Markdown table, for the README.
pub fn markdown_table() -> String {
    let mut table = String::from("| Setting | Command | Environment | Default | |\n|---|---|---|---|---|\n");
    for key in KEYS {
        let command = match key.read_by {
            ReadBy::Setup => "setup",
            ReadBy::Run => "run",
            ReadBy::Both => "both",
        };
        let name = if key.flag { format!("`--{}`", key.name) } else { format!("`{}` (file)", key.name) };
        let variable =
            key.environment.first().map_or_else(|| key.squall_variable(), |name| (*name).to_owned());
        let default = key.default.map_or_else(|| "–".to_owned(), |value| format!("`{value}`"));
        let help = key.help.replace('|', "\\|");
        // Writing to a String cannot fail.
        let _ = writeln!(table, "| {name} | {command} | `{variable}` | {default} | {help} |");
    }
    table
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_and_variables_are_unique() {
        let mut seen = HashSet::new();
        for key in KEYS {
            assert!(seen.insert(key.name.to_owned()), "{}", key.name);
            for variable in key.environment {
                assert!(seen.insert((*variable).to_owned()), "{variable}");
            }
            assert!(!key.help.is_empty() && !key.help.ends_with('.'), "{}", key.name);
        }
    }

    #[test]
    fn the_readme_has_this_table() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
        let readme = std::fs::read_to_string(path).unwrap();
        let table = markdown_table();
        assert!(readme.contains(&table), "README.md should have this table:\n{table}");
    }
}
