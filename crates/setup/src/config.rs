//! What `squall setup` shall make.

use std::str::FromStr;
use std::time::Duration;

use squall_core::config::{ConfigError, Settings};
use squall_core::dataset::Dataset;
use squall_core::plan::ServerTarget;
use squall_core::run_config::{number, parse_dimension, positive, server_target};
use squall_core::schema::{CollectionSchema, Consistency, Field, FieldType, IndexSpec};
use squall_core::units::{LOWEST_RATE, parse_duration};
use squall_core::vector_type::VectorType;

use crate::truth::TruthConfig;
use crate::{from_clusters, from_file, index};

/// Dimension of the reference's collection.
const DEFAULT_DIMENSION: u32 = 768;

/// How long nothing may work before setup gives up, unless told otherwise.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// An index of a scalar field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScalarIndex {
    /// The field.
    pub field: String,
    /// Milvus' name of the kind; the server's choice unless given.
    pub kind: Option<String>,
}

impl FromStr for ScalarIndex {
    type Err = String;

    /// `FIELD` or `FIELD:KIND`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (field, kind) = match text.split_once(':') {
            Some((field, kind)) => (field, Some(kind.to_owned())),
            None => (text, None),
        };
        if field.is_empty() || kind.as_ref().is_some_and(String::is_empty) {
            return Err(format!("`{text}` is not FIELD or FIELD:KIND, such as `price:STL_SORT`"));
        }
        Ok(Self { field: field.to_owned(), kind })
    }
}

/// What `squall setup` shall make, and how.
#[derive(Clone, Debug)]
pub struct SetupConfig {
    /// Where.
    pub server: ServerTarget,
    /// Of what.
    pub dataset: Dataset,
    /// How many rows.
    pub rows: u64,
    /// Rows an insert.
    pub batch_size: usize,
    /// Inserts in flight.
    pub concurrency: usize,
    /// Threads that make and encode rows.
    pub threads: usize,
    /// Most rows a second.
    pub insert_rate: Option<f64>,
    /// How long nothing may work before setup gives up.
    pub patience: Duration,
    /// Shards of the collection.
    pub shards: u32,
    /// Partitions: named ones that rows go to in turn, or those behind the partition key.
    pub partitions: Option<u32>,
    /// The field whose value decides a row's partition.
    pub partition_key: Option<String>,
    /// Indexes of scalar fields.
    pub scalar_indexes: Vec<ScalarIndex>,
    /// Copies in the memory of query nodes.
    pub replicas: u32,
    /// Whether the server makes the keys; rows then cannot be told apart again.
    pub auto_id: bool,
    /// Whether an incomplete collection shall be completed.
    pub resume: bool,
    /// The index of the vector field.
    pub index: IndexSpec,
    /// Consistency level that the collection is created with.
    pub consistency: Consistency,
    /// How long segments must stay unchanged.
    pub settle: Duration,
    /// The exact neighbours that shall be known.
    pub truth: TruthConfig,
    /// Whether a collection of that name shall be dropped, whatever it is.
    pub drop_existing: bool,
}

impl SetupConfig {
    /// Parses and checks the settings of `squall setup`.
    pub fn new(settings: &Settings, drop_existing: bool) -> Result<Self, ConfigError> {
        let vector_type = settings.required("vector-type", VectorType::from_str)?;
        let dataset = dataset(settings, vector_type)?;
        let rows = settings.required("num-vectors", whole_rows)?;
        let rows = from_file::rows(settings, &dataset, rows)?;
        let truth = TruthConfig::new(settings, &dataset, rows)?;
        let (schema, dataset_dimension) = (dataset.schema(rows), dataset.dimension());
        let partition_key = settings.text("partition-key").map(str::to_owned);
        let scalar_indexes = settings
            .list("scalar-index")
            .iter()
            .map(|text| text.parse().map_err(|reason| settings.error("scalar-index", reason)))
            .collect::<Result<Vec<ScalarIndex>, _>>()?;
        let names = partition_key.iter().map(|name| ("partition-key", name));
        for (setting, name) in names.chain(scalar_indexes.iter().map(|index| ("scalar-index", &index.field)))
        {
            scalar_field(&schema, name).map_err(|error| settings.error(setting, error))?;
        }
        if let Some(name) = &partition_key {
            key_field(&schema, name).map_err(|error| settings.error("partition-key", error))?;
        }
        Ok(Self {
            server: server_target(settings)?,
            dataset,
            rows,
            truth,
            batch_size: settings.required("batch-size", positive::<u32>)? as usize,
            concurrency: settings.required("concurrency", positive::<u32>)? as usize,
            threads: settings.parse("threads", positive::<u32>)?.map_or_else(
                || std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
                |threads| threads as usize,
            ),
            insert_rate: settings.parse("insert-rate", rate)?,
            patience: PATIENCE,
            shards: settings.required("shards-num", positive::<u32>)?,
            partitions: settings.parse("partitions", positive::<u32>)?,
            partition_key,
            scalar_indexes,
            replicas: settings.required("replicas", positive::<u32>)?,
            auto_id: false,
            resume: false,
            index: index::spec(settings, vector_type, dataset_dimension)?,
            consistency: settings
                .parse("consistency", Consistency::from_str)?
                .unwrap_or(Consistency::Bounded),
            settle: settings.required("settle", parse_duration)?,
            drop_existing,
        })
    }
}

/// The dataset that was asked for.
fn dataset(settings: &Settings, vector_type: VectorType) -> Result<Dataset, ConfigError> {
    let of_type = |dataset: Dataset, setting: &str| {
        dataset.with_vector_type(vector_type).map_err(|error| settings.error(setting, error.to_string()))
    };
    let kind = settings.required("dataset", |text| match text {
        "reference" | "clustered" => Ok(text.to_owned()),
        _ if text.starts_with("file:") => Ok(text.to_owned()),
        _ => Err(format!("`{text}` is not a kind of dataset; use reference, clustered or file:PATH")),
    })?;
    if kind != "clustered" {
        from_clusters::refuse(settings)?;
    }
    if let Some(path) = kind.strip_prefix("file:") {
        // The file has the dimension that it has.
        let given = settings.origin("vector-type").is_users_own();
        return of_type(from_file::open(settings, path)?, if given { "vector-type" } else { "dataset" });
    }
    let dimension = settings.parse("dimension", parse_dimension)?.unwrap_or(DEFAULT_DIMENSION);
    let seed = settings.required("seed", number::<u64>)?;
    let dataset = if kind == "clustered" {
        from_clusters::make(settings, seed, dimension)?
    } else {
        Dataset::reference(seed, dimension).map_err(|error| settings.error("dimension", error.to_string()))?
    };
    of_type(dataset, "dimension")
}

/// Reads a number of rows; the primary key is the row's number, which Milvus holds in an int64.
fn whole_rows(text: &str) -> Result<u64, String> {
    match number::<u64>(text) {
        Ok(rows) if (1..=i64::MAX as u64).contains(&rows) => Ok(rows),
        _ => Err(format!("`{text}` is not a whole number of rows of at least 1")),
    }
}

/// Reads a rate.
fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate >= LOWEST_RATE => Ok(rate),
        _ => Err(format!("`{text}` is not a number of vectors a second of at least {LOWEST_RATE}")),
    }
}

/// Whether the collection has that field and it is neither the key nor a vector.
fn scalar_field(schema: &CollectionSchema, name: &str) -> Result<(), String> {
    let scalar = |field: &&Field| {
        !field.primary_key
            && matches!(
                field.field_type,
                FieldType::Int64
                    | FieldType::Int8
                    | FieldType::Int16
                    | FieldType::Int32
                    | FieldType::Float
                    | FieldType::Double
                    | FieldType::Bool
                    | FieldType::VarChar { .. }
            )
    };
    let names: Vec<&str> = schema.fields.iter().filter(scalar).map(|field| field.name.as_str()).collect();
    if names.contains(&name) {
        return Ok(());
    }
    Err(format!("the dataset has no scalar field `{name}`; it has {}", names.join(", ")))
}

/// Whether the values of that scalar field can decide on partitions.
fn key_field(schema: &CollectionSchema, name: &str) -> Result<(), String> {
    let fit = |field: &&Field| {
        !field.primary_key && matches!(field.field_type, FieldType::Int64 | FieldType::VarChar { .. })
    };
    let names: Vec<&str> = schema.fields.iter().filter(fit).map(|field| field.name.as_str()).collect();
    if names.contains(&name) {
        return Ok(());
    }
    let has = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    Err(format!(
        "`{name}` is neither Int64 nor VarChar, as Milvus wants a partition key; of those the dataset has {has}"
    ))
}

impl SetupConfig {
    /// The number of named partitions that rows go to in turn.
    pub(crate) fn named_partitions(&self) -> Option<u32> {
        self.partitions.filter(|_| self.partition_key.is_none())
    }

    /// The collection's fields and description as setup makes them.
    pub(crate) fn schema(&self) -> CollectionSchema {
        let mut schema = self.dataset.schema(self.rows);
        if self.auto_id {
            // Nobody shall take its keys for row numbers.
            schema.description.push_str(" keys=server");
            schema.fields.iter_mut().for_each(|field| field.auto_id = field.primary_key);
        }
        schema
    }
}

/// What these flags ask for; else what is wrong with them.
#[cfg(test)]
pub(crate) fn config(flags: &[(&str, &str)]) -> Result<SetupConfig, String> {
    use squall_core::config::Layer;
    use squall_core::keys::Command;

    let given = flags.iter().map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()]));
    let settings = Settings::resolve(Command::Setup, &[Layer::flags(Command::Setup, given)]);
    SetupConfig::new(&settings, false).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use squall_core::dataset::Clusters;

    use super::*;

    #[test]
    fn the_defaults_are_the_references() {
        let config = config(&[]).unwrap();
        assert_eq!((config.rows, config.batch_size, config.dataset.dimension()), (100_000, 1_000, 768));
        assert_eq!(config.index.to_string(), "IVF_FLAT nlist=1024, L2");
        assert_eq!(config.consistency, Consistency::Bounded);
    }

    #[test]
    fn given_index_parameters_replace_the_defaults() {
        let config =
            config(&[("index", "hnsw"), ("metric", "cosine"), ("index-params", "{\"M\": 32}")]).unwrap();
        assert_eq!(config.index.to_string(), "HNSW M=32 efConstruction=200, COSINE");
    }

    #[test]
    fn vectors_of_every_type_have_their_own_index_and_metric() {
        let float16 = config(&[("vector-type", "float16")]).unwrap();
        assert_eq!(float16.dataset.id(), "reference-v1-seed42-dim768-float16");
        assert_eq!(float16.index.to_string(), "IVF_FLAT nlist=1024, L2");
        let binary = config(&[("vector-type", "binary"), ("dimension", "100000")]).unwrap();
        assert_eq!(binary.index.to_string(), "BIN_IVF_FLAT nlist=1024, HAMMING");
        let jaccard = config(&[("vector-type", "binary"), ("index", "bin_flat"), ("metric", "jaccard")]);
        assert_eq!(jaccard.unwrap().index.to_string(), "BIN_FLAT, JACCARD");
        for (flags, part) in [
            ([("vector-type", "binary"), ("metric", "L2")], "--metric: binary vectors have no metric L2"),
            ([("vector-type", "float32"), ("metric", "HAMMING")], "--metric: float32 vectors have no metric"),
            ([("vector-type", "binary"), ("index", "HNSW")], "--index: an index HNSW is not for binary"),
            ([("vector-type", "bfloat16"), ("index", "BIN_FLAT")], "--index: an index BIN_FLAT is not for"),
            ([("vector-type", "binary"), ("dimension", "100")], "multiples of 8"),
            ([("vector-type", "float64"), ("dimension", "100")], "float32, float16, bfloat16 or binary"),
        ] {
            let error = config(&flags).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_file_says_its_rows_and_dimension() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.fbin");
        let head = [3_u32.to_le_bytes(), 4_u32.to_le_bytes()].concat();
        std::fs::write(&path, [head, vec![0; 48]].concat()).unwrap();
        let file = format!("file:{}", path.display());
        let all = config(&[("dataset", &file)]).unwrap();
        assert_eq!((all.rows, all.dataset.dimension()), (3, 4));
        assert_eq!(config(&[("dataset", &file), ("num-vectors", "2")]).unwrap().rows, 2);
        for (name, value, part) in [
            ("num-vectors", "4", "--num-vectors: the file has 3 rows, not 4"),
            ("dimension", "8", "have 4 components, not 8"),
            ("vector-type", "binary", "--vector-type: dimension 4 is not possible for binary"),
            ("dataset", "file:none.npy", "--dataset: cannot read none.npy"),
            ("dataset", "gaussian", "not a kind of dataset"),
        ] {
            let error = config(&[("dataset", file.as_str()), (name, value)]).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn vectors_of_one_component_are_the_files_fault() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("one.fbin");
        std::fs::write(&path, [3_u32.to_le_bytes(), 1_u32.to_le_bytes(), [0; 4], [0; 4], [0; 4]].concat())
            .unwrap();
        let error = config(&[("dataset", &format!("file:{}", path.display()))]).unwrap_err();
        assert!(error.starts_with("--dataset: ") && error.contains("dimension 1"), "{error}");
    }

    #[test]
    fn a_clustered_dataset_has_the_clusters_asked_for() {
        let made = config(&[("dataset", "clustered"), ("clusters", "50"), ("cluster-skew", "0")]).unwrap();
        let clusters = Clusters { clusters: 50, skew: 0.0, ..Clusters::for_dimension(768) };
        assert_eq!(made.dataset, Dataset::clustered(42, 768, clusters).unwrap());
        assert!(
            config(&[("dataset", "clustered"), ("dimension", "4")]).is_ok(),
            "defaults fit any dimension"
        );
        for (name, value, part) in [
            ("clusters", "0", "clusters 0 is not possible; use 1 to 65536"),
            ("clusters", "many", "many"),
            ("intrinsic-dim", "769", "use 1 to 768"),
            ("cluster-skew", "-1", "use 0 to 4"),
            ("correlation", "1.5", "use 0 to 1"),
            ("correlation", "NaN", "NaN"),
        ] {
            let error = config(&[("dataset", "clustered"), (name, value)]).unwrap_err();
            assert!(error.contains(part) && error.starts_with(&format!("--{name}: ")), "{error}");
        }
    }

    #[test]
    fn impossible_settings_are_named() {
        for (name, value, part) in [
            ("num-vectors", "0", "at least 1"),
            ("num-vectors", "1e6", "at least 1"),
            ("dimension", "40000", "2 to 32768"),
            ("index", "LSH", "IVF_FLAT, IVF_SQ8"),
            ("partition-key", "vector", "no scalar field `vector`; it has category"),
            ("partition-key", "price", "neither Int64 nor VarChar"),
            ("scalar-index", "price:", "FIELD or FIELD:KIND"),
            ("insert-rate", "0", "at least 0.001"),
            ("insert-rate", "1e-20", "at least 0.001"),
            ("metric", "L1", "L2, IP or COSINE"),
            ("batch-size", "0", "at least 1"),
            ("settle", "5x", "not a length of time"),
            ("dataset", "noise", "reference, clustered or file:PATH"),
            ("clusters", "10", "use --dataset clustered"),
            ("correlation", "0.5", "use --dataset clustered"),
        ] {
            let error = config(&[(name, value)]).unwrap_err();
            assert!(error.contains(part) && error.starts_with(&format!("--{name}: ")), "{error}");
        }
    }
}
