//! Loading: a collection's graphs are built, then it serves searches.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use squall_proto::{
    code::{ServerCode, ServerError},
    data_type::LoadState,
};

use super::{
    collection::{Collection, State},
    column::Column,
    graph::{Graph, GraphError},
    index::bad,
    pool::Pool,
    schema::{Field, FieldType},
};

/// A collection with fewer rows than this is scanned: that is exact and takes under a millisecond.
pub(crate) const SCAN_BELOW_ROWS: usize = 5_000;
/// Rows copied out of the collection at a time while a graph is built.
const BUILD_CHUNK: usize = 64;

/// Whether a collection serves searches.
pub(super) enum Load {
    Not,
    Loading(Arc<LoadProgress>),
    Loaded,
    /// The index could not be built; why.
    Failed(String),
}

/// How far a build is.
#[derive(Default)]
pub(super) struct LoadProgress {
    done: AtomicUsize,
    total: AtomicUsize,
    /// Nobody wants the result any more.
    cancelled: AtomicBool,
}

impl Collection {
    /// Starts to load: builds the graphs on threads of its own, then searches are served.
    ///
    /// # Errors
    /// Code 700 when a vector field has no index.
    pub(crate) fn load(self: &Arc<Self>) -> Result<(), ServerError> {
        let mut state = self.write();
        let indexed = |field| state.indexes.iter().any(|index| index.field == field);
        if !self.schema().vectors().all(|(field, _)| indexed(field)) {
            return Err(self.index_not_found());
        }
        if matches!(state.load, Load::Loading(_) | Load::Loaded) {
            return Ok(());
        }
        let progress = Arc::<LoadProgress>::default();
        state.load = Load::Loading(Arc::clone(&progress));
        drop(state);
        let collection = Arc::clone(self);
        let builder = std::thread::Builder::new().name("squall-load".to_owned());
        let started = builder.spawn(move || {
            let graphs = collection.build_graphs(&progress);
            let mut state = collection.write();
            // Released or dropped meanwhile, and perhaps loaded again by another thread.
            if !matches!(&state.load, Load::Loading(current) if Arc::ptr_eq(current, &progress)) {
                return;
            }
            match graphs {
                Ok(graphs) => {
                    state.graphs = graphs;
                    state.load = Load::Loaded;
                }
                Err(error) => state.load = Load::Failed(error.to_string()),
            }
        });
        match started {
            Ok(_) => Ok(()),
            Err(error) => {
                self.write().load = Load::Not;
                Err(bad(format!("no thread to load the collection with: {error}")))
            }
        }
    }

    /// Ends serving searches and forgets the graphs; a load under way comes to nothing.
    pub(crate) fn release(&self) {
        let mut state = self.write();
        if let Load::Loading(progress) = std::mem::replace(&mut state.load, Load::Not) {
            progress.cancelled.store(true, Ordering::Relaxed);
        }
        if let Some(growing) = state.growing.take() {
            growing.cancelled.store(true, Ordering::Relaxed);
        }
        state.graphs.clear();
    }

    /// State and per cent of the loading.
    pub(crate) fn load_state(&self) -> (LoadState, i64) {
        match &self.read().load {
            Load::Not | Load::Failed(_) => (LoadState::NotLoad, 0),
            Load::Loaded => (LoadState::Loaded, 100),
            Load::Loading(progress) => {
                let total = progress.total.load(Ordering::Relaxed).max(1);
                let percent = progress.done.load(Ordering::Relaxed) * 100 / total;
                // 100 is said once searches are served.
                (LoadState::Loading, i64::try_from(percent.min(99)).unwrap_or(99))
            }
        }
    }

    /// # Errors
    /// Code 101 unless searches and queries are served; `what` failed then.
    pub(crate) fn check_loaded(&self, what: &str) -> Result<(), ServerError> {
        self.read().check_loaded(what, self.id)
    }

    fn build_graphs(&self, progress: &LoadProgress) -> Result<HashMap<usize, Arc<Graph>>, GraphError> {
        let (rows, wanted) = {
            let state = self.read();
            let wanted: Vec<_> =
                state.indexes.iter().filter_map(|index| Some((index.field, index.vectors?))).collect();
            (state.rows.len(), wanted)
        };
        let mut graphs = HashMap::new();
        let wanted: Vec<_> = wanted
            .into_iter()
            .filter_map(|(field, vectors)| Some((field, vectors.metric, vectors.graph?)))
            .filter(|_| rows >= SCAN_BELOW_ROWS)
            .collect();
        progress.total.store(rows * wanted.len(), Ordering::Relaxed);
        for (field, metric, shape) in wanted {
            let Field { field_type: FieldType::Vector { dimension }, .. } = self.schema().fields[field]
            else {
                continue;
            };
            // The pool searches while a later graph is built by as many threads.
            let graph = Graph::new(dimension, metric, shape, rows, 2 * Pool::width() + 2)?;
            self.fill_graph(&graph, field, progress)?;
            graphs.insert(field, Arc::new(graph));
        }
        Ok(graphs)
    }

    fn fill_graph(&self, graph: &Graph, field: usize, progress: &LoadProgress) -> Result<(), GraphError> {
        let next = AtomicUsize::new(0);
        let fill = || -> Result<(), GraphError> {
            let mut chunk: Vec<(usize, Vec<f32>)> = Vec::with_capacity(BUILD_CHUNK);
            loop {
                let first = next.fetch_add(BUILD_CHUNK, Ordering::Relaxed);
                let rows = first..graph.rows().min(first.saturating_add(BUILD_CHUNK));
                if rows.is_empty() || progress.cancelled.load(Ordering::Relaxed) {
                    return Ok(());
                }
                {
                    // Copied out, so that inserts and searches wait for a memcpy and not for the graph.
                    let state = self.read();
                    let Column::Vector(vectors) = &state.rows.columns()[field] else { return Ok(()) };
                    chunk.extend(rows.map(|row| (row, vectors.row(row).to_vec())));
                }
                for (row, vector) in chunk.drain(..) {
                    graph.add(row, &vector)?;
                    progress.done.fetch_add(1, Ordering::Relaxed);
                }
            }
        };
        std::thread::scope(|scope| {
            let helpers: Vec<_> = (1..Pool::width()).map(|_| scope.spawn(fill)).collect();
            let mine = fill();
            helpers.into_iter().fold(mine, |result, helper| {
                result.and(helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            })
        })
    }

    /// Rows inserted after loading are scanned. When they are many, the graphs are made anew behind
    /// the scenes, at sizes that grow geometrically, so that the work stays proportional to the rows.
    pub(super) fn grow_graphs(self: &Arc<Self>) {
        let progress = {
            let mut state = self.write();
            let graphs = state.indexes.iter().filter_map(|index| index.vectors?.graph.map(|_| index.field));
            let covered = |field| state.graphs.get(&field).map_or(0, |graph| graph.rows());
            let late = |field| {
                let covered: usize = covered(field);
                state.rows.len() - covered >= SCAN_BELOW_ROWS.max(covered / 2)
            };
            if !matches!(state.load, Load::Loaded) || state.growing.is_some() || !{ graphs }.any(late) {
                return;
            }
            Arc::clone(state.growing.insert(Arc::default()))
        };
        let collection = Arc::clone(self);
        let builder = std::thread::Builder::new().name("squall-grow".to_owned());
        let started = builder.spawn(move || {
            let graphs = collection.build_graphs(&progress);
            let mut state = collection.write();
            // Released meanwhile, and perhaps loaded again.
            if !matches!(&state.growing, Some(current) if Arc::ptr_eq(current, &progress)) {
                return;
            }
            state.growing = None;
            match graphs {
                Ok(graphs) => state.graphs = graphs,
                // The old graphs and the scan of what came later still answer.
                Err(error) => tracing::warn!(%error, collection = collection.name, "no larger graph"),
            }
        });
        if let Err(error) = started {
            self.write().growing = None;
            tracing::warn!(%error, collection = self.name, "no thread for a larger graph");
        }
    }
}

impl State {
    pub(super) fn check_loaded(&self, what: &str, id: i64) -> Result<(), ServerError> {
        let why = match &self.load {
            Load::Loaded => return Ok(()),
            Load::Failed(why) => format!(": {why}"),
            Load::Not | Load::Loading(_) => String::new(),
        };
        Err(ServerError::new(
            ServerCode::COLLECTION_NOT_LOADED,
            format!("failed to {what}: collection not loaded[collection={id}]{why}"),
        ))
    }
}
