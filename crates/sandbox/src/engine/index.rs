//! What an index of a collection was made with, and what that means here.

use serde_json::Value;
use squall_proto::{
    code::{ServerCode, ServerError},
    milvus::KeyValue,
};

use super::{
    distance::Metric,
    graph::GraphShape,
    schema::{Field, FieldType, invalid, parameter},
};

/// Index types of vectors that are served by a graph, whatever their name says.
const GRAPH_TYPES: &[&str] =
    &["HNSW", "AUTOINDEX", "IVF_FLAT", "IVF_SQ8", "IVF_PQ", "SCANN", "DISKANN", "HNSW_SQ", "HNSW_PQ"];
/// Candidates a search looks at when its parameters do not say.
const DEFAULT_CANDIDATES: usize = 64;
/// An IVF search with `nprobe` lists looks at this many candidates for each.
const CANDIDATES_PER_PROBE: usize = 8;
const MAX_CANDIDATES: usize = 32_768;

/// An index as it was created.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct IndexDefinition {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) field_name: String,
    /// Place of the field.
    pub(crate) field: usize,
    /// As sent.
    pub(crate) params: Vec<KeyValue>,
    /// How vectors are searched; `None` for an index of a scalar, which changes nothing here.
    pub(crate) vectors: Option<VectorIndex>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VectorIndex {
    pub(crate) metric: Metric,
    /// `None` scans (FLAT).
    pub(crate) graph: Option<GraphShape>,
}

impl IndexDefinition {
    /// Reads and checks the parameters of a create request.
    pub(crate) fn check(
        id: i64,
        name: &str,
        field: (usize, &Field),
        params: Vec<KeyValue>,
    ) -> Result<Self, ServerError> {
        let (place, field) = field;
        let nested = parameter(&params, "params").map(serde_json::from_str::<Value>);
        let nested = nested.transpose().map_err(|error| invalid(format!("params is not JSON: {error}")))?;
        let value = |key: &str| -> Option<String> {
            let nested = || nested.as_ref().and_then(|nested| nested.get(key)).map(plain);
            parameter(&params, key).map(str::to_owned).or_else(nested)
        };
        let vectors = if matches!(field.field_type, FieldType::Vector { .. }) {
            let index_type = value("index_type").filter(|text| !text.is_empty());
            let index_type = index_type.unwrap_or_else(|| "AUTOINDEX".to_owned()).to_ascii_uppercase();
            let metric = value("metric_type").filter(|text| !text.is_empty());
            let metric = match (metric, index_type.as_str()) {
                (Some(metric), _) => metric.parse().map_err(|()| {
                    invalid(format!("invalid metric type {metric}: this sandbox serves L2, IP and COSINE"))
                })?,
                (None, "AUTOINDEX") => Metric::Cosine,
                (None, _) => return Err(invalid("metric type not set for vector index".to_owned())),
            };
            let shape = || -> Result<GraphShape, ServerError> {
                let default = GraphShape::default();
                Ok(GraphShape {
                    links: bounded("M", value("M"), 2, 2048)?.unwrap_or(default.links),
                    build_candidates: bounded("efConstruction", value("efConstruction"), 1, 32_768)?
                        .unwrap_or(default.build_candidates),
                })
            };
            let graph = match index_type.as_str() {
                "FLAT" => None,
                known if GRAPH_TYPES.contains(&known) => Some(shape()?),
                _ => return Err(invalid(format!("invalid index type: {index_type}"))),
            };
            Some(VectorIndex { metric, graph })
        } else {
            None
        };
        let name = if name.is_empty() { field.name.clone() } else { name.to_owned() };
        Ok(Self { id, name, field_name: field.name.clone(), field: place, params, vectors })
    }

    /// Its type as sent, `AUTOINDEX` when nothing was.
    pub(crate) fn index_type(&self) -> String {
        parameter(&self.params, "index_type")
            .filter(|text| !text.is_empty())
            .unwrap_or("AUTOINDEX")
            .to_owned()
    }
}

/// The parameters of one search.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct SearchParams {
    pub(crate) metric: Option<String>,
    /// HNSW's `ef`, DISKANN's `search_list`.
    pub(crate) ef: Option<usize>,
    pub(crate) nprobe: Option<usize>,
    /// Hits must be nearer than this …
    pub(crate) radius: Option<f32>,
    /// … and not nearer than this.
    pub(crate) range_filter: Option<f32>,
}

impl SearchParams {
    /// Reads the JSON object under `params`.
    pub(crate) fn read(&mut self, params: &Value) -> Result<(), ServerError> {
        let value = |key: &str| params.get(key).filter(|value| !value.is_null()).map(plain);
        if let Some(metric) = value("metric_type").filter(|metric| !metric.is_empty()) {
            self.metric.get_or_insert(metric);
        }
        let ef = value("ef").or_else(|| value("search_list"));
        self.ef = bounded("ef", ef, 1, MAX_CANDIDATES)?;
        self.nprobe = bounded("nprobe", value("nprobe"), 1, 65_536)?;
        let float = |key: &str| -> Result<Option<f32>, ServerError> {
            value(key).map(|text| text.parse().map_err(|_| bad(format!("invalid {key}: {text}")))).transpose()
        };
        self.radius = float("radius")?;
        self.range_filter = float("range_filter")?;
        Ok(())
    }

    /// Candidates that a search for `wanted` hits looks at.
    pub(crate) fn candidates(&self, wanted: usize) -> usize {
        let probed = self.nprobe.map(|nprobe| nprobe.saturating_mul(CANDIDATES_PER_PROBE));
        let asked = self.ef.or(probed).unwrap_or(DEFAULT_CANDIDATES);
        asked.min(MAX_CANDIDATES).max(wanted)
    }

    /// Whether a score is within the range asked for.
    pub(crate) fn in_range(&self, metric: Metric, score: f32) -> bool {
        let nearer = |score: f32, bound: f32| metric.nearer_first(score, bound).is_lt();
        self.radius.is_none_or(|radius| nearer(score, radius))
            && self.range_filter.is_none_or(|limit| !nearer(score, limit))
    }
}

fn bounded(key: &str, text: Option<String>, low: usize, high: usize) -> Result<Option<usize>, ServerError> {
    let Some(text) = text else { return Ok(None) };
    match text.trim().parse() {
        Ok(number) if (low..=high).contains(&number) => Ok(Some(number)),
        _ => Err(bad(format!("invalid {key}: {text}, should be in range [{low}, {high}]"))),
    }
}

/// Clients send numbers as numbers or as text.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

pub(crate) fn bad(reason: String) -> ServerError {
    ServerError::new(ServerCode::UNEXPECTED, reason)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn search_parameters_become_candidates() {
        let mut params = SearchParams::default();
        assert_eq!(params.candidates(10), DEFAULT_CANDIDATES);
        assert_eq!(params.candidates(100), 100);
        params.read(&json!({"nprobe": "16"})).unwrap();
        assert_eq!(params.candidates(10), 128);
        params.read(&json!({"ef": 200, "nprobe": 16})).unwrap();
        assert_eq!(params.candidates(10), 200);
        assert!(params.read(&json!({"ef": 0})).is_err());
        assert!(params.read(&json!({"ef": "many"})).is_err());
    }

    #[test]
    fn a_range_is_open_at_the_radius() {
        let mut params = SearchParams::default();
        params.read(&json!({"radius": 2.0, "range_filter": 1.0})).unwrap();
        let inside = |metric, score| params.in_range(metric, score);
        assert_eq!([0.5, 1.0, 1.5, 2.0].map(|score| inside(Metric::L2, score)), [false, true, true, false]);
        params.read(&json!({"radius": 1.0, "range_filter": 2.0})).unwrap();
        let inside = |metric, score| params.in_range(metric, score);
        assert_eq!([1.0, 1.5, 2.0, 2.5].map(|score| inside(Metric::Ip, score)), [false, true, true, false]);
    }
}
