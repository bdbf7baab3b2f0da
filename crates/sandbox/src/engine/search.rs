//! Nearest neighbours: an exact scan or a walk through the graph, whichever compares fewer vectors.
//!
//! A walk that only takes every hundredth row has to go a hundred times as far; looking at just the
//! allowed rows gets the cheaper the fewer they are. See [`plan`].

use squall_proto::code::ServerError;

use super::{
    collection::Collection,
    column::{Column, Vectors},
    distance::{Hit, Metric, Nearest, Scorer},
    graph::Graph,
    index::{SearchParams, bad},
    output::{OutputColumn, OutputFields},
    rows::Rows,
};
use crate::filter::bitmap::Bitmap;

/// The most hits and offset that one query may ask for, as in Milvus.
pub(crate) const MAX_WINDOW: usize = 16_384;

/// What is searched for.
#[derive(Clone, Debug, Default)]
pub(crate) struct SearchSpec {
    pub(crate) vectors: Vec<Vec<f32>>,
    /// The vector field; may be empty where there is one.
    pub(crate) field: String,
    pub(crate) limit: usize,
    pub(crate) offset: usize,
    pub(crate) filter: String,
    pub(crate) output_fields: Vec<String>,
    pub(crate) partitions: Vec<String>,
    pub(crate) params: SearchParams,
}

/// What was found: hits of all queries one after another.
pub(crate) struct SearchAnswer {
    /// Hits of each query.
    pub(crate) counts: Vec<usize>,
    pub(crate) scores: Vec<f32>,
    pub(crate) keys: Column,
    pub(crate) columns: Vec<OutputColumn>,
    pub(crate) output_names: Vec<String>,
    /// Rows that were candidates.
    pub(crate) searched: usize,
}

/// Searches a loaded collection.
pub(crate) fn search(collection: &Collection, spec: &SearchSpec) -> Result<SearchAnswer, ServerError> {
    let state = collection.read();
    state.check_loaded("search", collection.id)?;
    let schema = collection.schema();
    let (place, dimension) = vector_field(collection, &spec.field)?;
    check_window(spec.limit, spec.offset)?;
    if spec.vectors.is_empty() {
        return Err(bad("nq [0] is invalid, it should be in range [1, 16384], but got 0".to_owned()));
    }
    if let Some(wrong) = spec.vectors.iter().find(|vector| vector.len() != dimension) {
        return Err(bad(format!(
            "fail to search: vector dimension mismatch, expected vector size(byte) {}, actual {}",
            dimension * 4,
            wrong.len() * 4
        )));
    }
    if spec.vectors.iter().flatten().any(|value| !value.is_finite()) {
        return Err(bad("the query vector has a value that is not a number or infinite".to_owned()));
    }
    let metric = state.indexes.iter().filter(|index| index.field == place).find_map(|index| index.vectors);
    let metric = metric.map_or(Metric::L2, |index| index.metric);
    if let Some(asked) = &spec.params.metric
        && !asked.eq_ignore_ascii_case(metric.name())
    {
        return Err(bad(format!(
            "fail to search: metric type not match: expected={}, actual={asked}: invalid parameter",
            metric.name()
        )));
    }
    let output = OutputFields::resolve(&spec.output_fields, schema)?;
    let partitions = state.searched_partitions(&spec.partitions)?;
    let allowed = state.rows.allowed(&spec.filter, &partitions, schema)?;
    let Column::Vector(vectors) = &state.rows.columns()[place] else {
        return Err(bad(format!("field {} is not a vector field", spec.field)));
    };
    let graph = state.graphs.get(&place).map(std::convert::AsRef::as_ref);
    let target = Target { rows: &state.rows, vectors, metric, graph, allowed: allowed.as_ref() };

    let mut counts = Vec::with_capacity(spec.vectors.len());
    let (mut rows, mut scores) = (Vec::new(), Vec::new());
    for query in &spec.vectors {
        let hits = target.nearest(query, spec)?;
        let shown = hits.iter().skip(spec.offset);
        counts.push(shown.len());
        for hit in shown {
            rows.push(hit.row);
            scores.push(hit.score);
        }
    }
    let columns = output.gather(&state.rows, &rows, schema);
    let keys = state.rows.columns()[schema.primary].gather(&rows);
    let searched = allowed.as_ref().map_or(state.rows.len(), Bitmap::count);
    Ok(SearchAnswer { counts, scores, keys, columns, output_names: output.names, searched })
}

fn vector_field(collection: &Collection, name: &str) -> Result<(usize, usize), ServerError> {
    let mut fields = collection.schema().vectors();
    if name.is_empty() {
        let first = fields.next().ok_or_else(|| bad("no vector field".to_owned()))?;
        return match fields.next() {
            None => Ok(first),
            Some(_) => Err(bad(
                "multiple anns_fields exist, please specify a anns_field in search_params".to_owned()
            )),
        };
    }
    fields
        .find(|(place, _)| collection.schema().fields[*place].name == name)
        .ok_or_else(|| bad(format!("failed to get field schema by name: fieldName({name}) not found")))
}

/// # Errors
/// When limit or offset are outside of what Milvus serves.
pub(crate) fn check_window(limit: usize, offset: usize) -> Result<(), ServerError> {
    if limit == 0 || limit > MAX_WINDOW {
        return Err(bad(format!("top k should be in range [1, {MAX_WINDOW}], but got {limit}")));
    }
    if offset.saturating_add(limit) > MAX_WINDOW {
        return Err(bad(format!(
            "invalid max query result window, (offset+limit) should be in range [1, {MAX_WINDOW}], but got {}",
            offset.saturating_add(limit)
        )));
    }
    Ok(())
}

/// What one query is held against.
struct Target<'a> {
    rows: &'a Rows,
    vectors: &'a Vectors,
    metric: Metric,
    graph: Option<&'a Graph>,
    /// `None` allows all rows.
    allowed: Option<&'a Bitmap>,
}

/// How a query is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    Scan,
    Walk { candidates: usize },
}

/// Walks if that compares fewer vectors. A filter that lets one row in `n` through makes the walk `n`
/// times as long, and the scan `n` times as short.
fn plan(graph_rows: usize, allowed_rows: usize, comparisons: usize, candidates: usize) -> Plan {
    let walk = comparisons as u128 * graph_rows as u128;
    let scan = allowed_rows as u128 * allowed_rows as u128;
    if walk < scan { Plan::Walk { candidates } } else { Plan::Scan }
}

impl Target<'_> {
    fn nearest(&self, query: &[f32], spec: &SearchSpec) -> Result<Vec<Hit>, ServerError> {
        let wanted = spec.limit + spec.offset;
        let scorer = Scorer::new(self.metric, query);
        let mut nearest = Nearest::new(self.metric, wanted);
        let mut offer = |row: usize| {
            let score = scorer.score(self.vectors, row);
            if spec.params.in_range(self.metric, score) {
                nearest.offer(Hit { row, score });
            }
        };
        let scan_from = match self.graph.map(|graph| (graph, self.plan(graph, spec, wanted))) {
            Some((graph, Plan::Walk { candidates })) => {
                let found = graph.search(query, candidates, self.allowed);
                found.map_err(|error| bad(error.to_string()))?.into_iter().for_each(&mut offer);
                // What came after the graph was built.
                graph.rows()
            }
            _ => 0,
        };
        match self.allowed {
            None => (scan_from..self.rows.len()).for_each(offer),
            Some(allowed) => allowed.rows_from(scan_from).for_each(offer),
        }
        Ok(nearest.into_hits())
    }

    fn plan(&self, graph: &Graph, spec: &SearchSpec, wanted: usize) -> Plan {
        let candidates = spec.params.candidates(wanted);
        let allowed = self.allowed.map_or(self.rows.len(), Bitmap::count);
        plan(graph.rows(), allowed, graph.expected_comparisons(candidates), candidates)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_allowed_rows_are_scanned_and_many_are_walked_to() {
        let walk = Plan::Walk { candidates: 64 };
        // 4 × 64 × 12 comparisons for an unfiltered walk.
        assert_eq!(plan(20_000, 20_000, 3_072, 64), walk);
        assert_eq!(plan(20_000, 10_000, 3_072, 64), walk);
        assert_eq!(plan(20_000, 7_000, 3_072, 64), Plan::Scan);
        assert_eq!(plan(1_000_000, 100_000, 3_072, 64), walk);
        assert_eq!(plan(1_000_000, 50_000, 3_072, 64), Plan::Scan);
        assert_eq!(plan(1_000_000, 0, 3_072, 64), Plan::Scan);
    }
}
