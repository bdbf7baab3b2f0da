//! Everything that is sent, made before the run: a head for each class and filter, a tail for each
//! distinct query, and how many hits each must have at least.

use std::num::NonZero;

use bytes::Bytes;
use squall_core::dataset::Dataset;
use squall_core::filter::Filter;
use squall_core::plan::Plan;
use squall_core::request::Request;
use squall_core::selectivity::count_matching;
use squall_core::truth::Truth;
use squall_core::vector_type::VectorType;
use squall_core::workload::{QueryKind, QueryVectors};
use squall_milvus::encode::{self, EncodeError, SearchSpec, SearchTemplate, Target};
use squall_milvus::{Endpoint, Protocol};

use crate::error::RunError;
use crate::link::Outgoing;
use crate::preflight::Preflight;

/// Above this many bytes the tails of rare queries are not kept but made when their request is drawn,
/// which is before it is due unless the generator is behind.
const TAILS_AT_MOST_BYTES: u64 = 256 << 20;

/// Up to this many rows a filter's matches are counted: a second of work on one core.
const COUNT_AT_MOST_ROWS: u64 = 2_000_000;

/// The requests of a plan as bytes.
#[derive(Debug)]
pub(crate) struct Prepared {
    protocol: Protocol,
    vector_type: VectorType,
    queries: QueryVectors,
    classes: Vec<ClassBytes>,
    /// Bytes that all queries would take, where that is too much to keep rare ones ready; else 0.
    made_when_drawn: u64,
}

#[derive(Debug)]
struct ClassBytes {
    kind: QueryKind,
    /// By filter, the one without last.
    heads: Vec<Head>,
    /// By query; empty where they are made when drawn.
    tails: Vec<Bytes>,
}

#[derive(Debug)]
struct Head {
    template: SearchTemplate,
    expected_hits: u16,
}

impl Prepared {
    /// Encodes what the plan may send; `truth` is that of its queries, where there is one.
    ///
    /// # Errors
    /// When the plan's search parameters are no JSON object, or its queries cannot be drawn.
    pub(crate) fn new(
        plan: &Plan,
        endpoint: &Endpoint,
        preflight: &Preflight,
        truth: Option<&Truth>,
    ) -> Result<Self, RunError> {
        let workload = &plan.workload;
        let queries = QueryVectors::new(workload)?;
        let (protocol, vector_type) = (preflight.protocol, preflight.vector_type);
        let output_fields = plan.output_fields.clone().unwrap_or_else(|| vec![preflight.primary_key.clone()]);
        let target = Target { collection: &plan.server.collection, database: endpoint.database() };
        let filtered =
            plan.classes.iter().any(|class| class.kind == QueryKind::Filtered && class.weight > 0.0);
        let matching = if filtered { matching_rows(preflight, &workload.filters, truth) } else { Vec::new() };
        let head = |limit: u16, filter: Option<usize>| {
            let text = filter.map(|filter| workload.filters[filter].to_string());
            let spec = SearchSpec {
                vector_field: &preflight.vector_field,
                vector_type,
                metric: preflight.metric,
                filter: text.as_deref(),
                limit,
                params: plan.search_params.as_deref(),
                consistency: plan.consistency,
                output_fields: &output_fields,
            };
            // Where the matches are not known, the rows of the collection stand in (short_rate).
            let matches = filter.and_then(|filter| matching.get(filter).copied().flatten());
            let rows = matches.or(preflight.rows);
            Ok::<_, EncodeError>(Head {
                template: SearchTemplate::new(protocol, target, &spec, workload.dimension)?,
                expected_hits: rows.map_or(0, |rows| u16::try_from(rows).unwrap_or(u16::MAX).min(limit)),
            })
        };
        let bytes =
            tail(&queries, protocol, vector_type, QueryKind::Common, 0).len() as u64 * Self::queries(plan);
        let keep_rare = bytes <= TAILS_AT_MOST_BYTES;
        let mut classes = Vec::with_capacity(plan.classes.len());
        for class in &plan.classes {
            let filters = if class.kind == QueryKind::Filtered { workload.filters.len() } else { 0 };
            let heads = (0..filters)
                .map(Some)
                .chain([None])
                .map(|filter| head(class.limit, filter))
                .collect::<Result<_, _>>()?;
            let wanted = class.weight > 0.0 && (keep_rare || class.kind != QueryKind::Rare);
            let tails = if wanted {
                tails(&queries, protocol, vector_type, class.kind, workload.queries(class.kind))
            } else {
                Vec::new()
            };
            classes.push(ClassBytes { kind: class.kind, heads, tails });
        }
        let made_when_drawn = if keep_rare { 0 } else { bytes };
        Ok(Self { protocol, vector_type, queries, classes, made_when_drawn })
    }

    /// What is not ready before the run, in one sentence.
    pub(crate) fn note(&self) -> Option<String> {
        let rare = |class: &ClassBytes| class.kind == QueryKind::Rare && class.tails.is_empty();
        (self.made_when_drawn > 0 && self.classes.iter().any(rare)).then(|| {
            format!(
                "all queries ready to be sent would take {} MB, so rare ones are encoded as they are drawn, by the threads that send, which costs those CPU",
                self.made_when_drawn >> 20
            )
        })
    }

    /// How many distinct queries the plan may ask.
    pub(crate) fn queries(plan: &Plan) -> u64 {
        let asked = plan.classes.iter().filter(|class| class.weight > 0.0);
        asked.map(|class| u64::from(plan.workload.queries(class.kind))).sum()
    }

    /// The bytes of a request.
    pub(crate) fn outgoing(&self, request: &Request) -> Outgoing<encode::Request> {
        let class = &self.classes[usize::from(request.class)];
        let head = match request.filter {
            Some(filter) => &class.heads[usize::from(filter)],
            None => class.heads.last().expect("every class has a head without filter"),
        };
        let tail = match class.tails.get(request.query as usize) {
            Some(tail) => tail.clone(),
            None => tail(&self.queries, self.protocol, self.vector_type, class.kind, request.query),
        };
        let message = head.template.request(tail);
        Outgoing { bytes_out: message.len() as u32, message, expected_hits: head.expected_hits }
    }
}

fn tail(
    queries: &QueryVectors,
    protocol: Protocol,
    vector_type: VectorType,
    kind: QueryKind,
    query: u32,
) -> Bytes {
    let mut vector = vec![0.0; queries.dimension() as usize];
    queries.vector(kind, query, &mut vector);
    encode::vector(protocol, vector_type, &vector)
}

/// The tails of the first `count` queries of a kind, on all cores.
fn tails(
    queries: &QueryVectors,
    protocol: Protocol,
    vector_type: VectorType,
    kind: QueryKind,
    count: u32,
) -> Vec<Bytes> {
    let share = count.div_ceil(cores()).max(1);
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..count)
            .step_by(share as usize)
            .map(|first| {
                let last = first.saturating_add(share).min(count);
                scope.spawn(move || {
                    (first..last)
                        .map(|query| tail(queries, protocol, vector_type, kind, query))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        handles.into_iter().flat_map(|handle| handle.join().expect("encoding does not panic")).collect()
    })
}

fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, NonZero::get) as u32
}

/// How many rows each filter matches, where that is known: from the truth, which tells of every filter that
/// a query with one asks, else from the dataset itself.
fn matching_rows(preflight: &Preflight, filters: &[Filter], truth: Option<&Truth>) -> Vec<Option<u64>> {
    let mut matching = vec![None; filters.len()];
    for answer in truth.map_or(&[][..], Truth::answers) {
        if let Some(rows) = answer.filter.and_then(|filter| matching.get_mut(usize::from(filter))) {
            *rows = Some(answer.matching_rows);
        }
    }
    if matching.contains(&None) {
        for (rows, counted) in matching.iter_mut().zip(counted_rows(preflight, filters).unwrap_or_default()) {
            rows.get_or_insert(counted);
        }
    }
    matching
}

/// The same, counted: most datasets are a pure function, so no server is asked. `None` for one from a file,
/// which is not at hand, for a collection that Squall did not make, and for a large one, where it would take
/// long.
fn counted_rows(preflight: &Preflight, filters: &[Filter]) -> Option<Vec<u64>> {
    let identity = preflight.identity.as_ref()?;
    // A collection that is still growing has fewer rows than it is meant to have.
    let rows = preflight.rows.map_or(identity.rows, |rows| rows.min(identity.rows));
    let dataset = Dataset::from_id(&identity.dataset).ok().filter(|_| rows <= COUNT_AT_MOST_ROWS)?;
    count_matching(&dataset, rows, filters).ok()
}

#[cfg(test)]
mod tests {
    use squall_core::dataset::Identity;
    use squall_core::schema::Metric;
    use squall_core::truth::{Answer, TruthKey};
    use squall_core::workload::Workload;

    use super::*;
    use crate::model::{found, plan};

    #[test]
    fn only_rare_queries_are_left_to_the_threads_that_send() {
        let endpoint = Endpoint::new("http://127.0.0.1:19530", None, None).unwrap();
        let mut plan = plan();
        let ready = |plan: &Plan| {
            let prepared = Prepared::new(plan, &endpoint, &found(&endpoint), None).unwrap();
            let kept: Vec<usize> = prepared.classes.iter().map(|class| class.tails.len()).collect();
            (kept, prepared.note())
        };
        assert_eq!(ready(&plan), (vec![1_000, 1_000, 10_000], None));
        plan.workload.rare_queries = 10_000_000;
        let (kept, note) = ready(&plan);
        assert_eq!(kept, [1_000, 1_000, 0]);
        assert!(note.unwrap().contains("rare ones are encoded as they are drawn"));
        plan.classes[2].weight = 0.0;
        assert_eq!(ready(&plan), (vec![1_000, 1_000, 0], None), "nobody asks them");
    }

    #[test]
    fn hits_are_expected_of_rows_that_match_as_far_as_truth_or_the_dataset_tells() {
        let endpoint = Endpoint::new("http://127.0.0.1:19530", None, None).unwrap();
        let plan = plan();
        let filtered = plan.classes.iter().position(|class| class.kind == QueryKind::Filtered).unwrap();
        let limit = plan.classes[filtered].limit;
        let collection = |dataset: &str, rows| Preflight {
            rows: Some(rows),
            identity: Some(Identity { dataset: dataset.to_owned(), rows }),
            ..found(&endpoint)
        };
        let expected = |preflight: &Preflight, truth: Option<&Truth>| -> Vec<u16> {
            let prepared = Prepared::new(&plan, &endpoint, preflight, truth).unwrap();
            prepared.classes[filtered].heads.iter().map(|head| head.expected_hits).collect()
        };
        for (dataset, rows) in [("file-0123456789abcdef-dim8", 600), ("reference-v1-seed1-dim8", 1 << 40)] {
            let preflight = collection(dataset, rows);
            assert_eq!(expected(&preflight, None), [limit; 42], "{dataset}: nobody knows better");
            // Filter 3 matches nothing and 5 has three rows.
            let answer = |query, filter, matching: i64| {
                let ids: Vec<i64> = (0..matching).collect();
                let distances = vec![1.0; ids.len()];
                Answer::new(QueryKind::Filtered, query, Some(filter), ids, distances, matching as u64)
            };
            let key = TruthKey::new(dataset, rows, Metric::L2, &plan.workload, 100);
            let truth = Truth::new(key, vec![answer(0, 3, 0), answer(1, 5, 3)]).unwrap();
            let mut known = vec![limit; 42];
            (known[3], known[5]) = (0, 3);
            assert_eq!(expected(&preflight, Some(&truth)), known, "{dataset}");
        }
        // What truth does not tell is counted where that is no work.
        let few = expected(&collection("reference-v1-seed1-dim8", 10), None);
        assert_eq!(few[41], limit.min(10), "without a filter all rows match");
        assert!(few[..41].iter().any(|hits| *hits < limit.min(10)), "{few:?}");
    }

    #[test]
    fn all_tails_are_there_in_their_order() {
        let queries = QueryVectors::new(&Workload::reference(1, 8)).unwrap();
        let all = tails(&queries, Protocol::Grpc, VectorType::Float32, QueryKind::Rare, 101);
        assert_eq!(all.len(), 101);
        for (query, bytes) in (0..).zip(&all) {
            assert_eq!(*bytes, tail(&queries, Protocol::Grpc, VectorType::Float32, QueryKind::Rare, query));
        }
    }
}
