//! A collection: its definition, its rows, its indexes, and whether it is loaded.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
};

use squall_proto::{
    code::{ServerCode, ServerError},
    data_type::LoadState,
    milvus::KeyValue,
};

use super::{
    clock::next_timestamp,
    column::Column,
    graph::{Graph, GraphError},
    index::{IndexDefinition, bad},
    pool::Pool,
    rows::{Picked, Rows, checked_batch},
    schema::{Field, FieldType, Schema, check_name, invalid},
};

/// A collection with fewer rows than this is scanned: that is exact and takes under a millisecond.
pub(crate) const SCAN_BELOW_ROWS: usize = 5_000;
/// The partition that every collection has.
pub(crate) const DEFAULT_PARTITION: &str = "_default";
/// Rows copied out of the collection at a time while a graph is built.
const BUILD_CHUNK: usize = 64;

/// What a collection is created with.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    pub(crate) schema: Schema,
    pub(crate) consistency_level: i32,
    pub(crate) shards_num: i32,
    pub(crate) properties: Vec<KeyValue>,
}

/// See the module.
pub(crate) struct Collection {
    pub(crate) id: i64,
    pub(crate) database: String,
    pub(crate) name: String,
    pub(crate) definition: Definition,
    /// Hybrid timestamp.
    pub(crate) created: u64,
    /// Rows are counted and thrown away (the null engine).
    counts_only: bool,
    next_id: AtomicI64,
    state: RwLock<State>,
}

pub(super) struct State {
    pub(super) rows: Rows,
    /// Rows that were counted and not kept.
    counted: usize,
    partitions: Vec<Option<Partition>>,
    pub(super) indexes: Vec<IndexDefinition>,
    load: Load,
    /// By place of the field.
    pub(super) graphs: HashMap<usize, Arc<Graph>>,
    /// A graph is being made anew because many rows came after it.
    growing: Option<Arc<LoadProgress>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Partition {
    pub(crate) id: i64,
    pub(crate) name: String,
    /// Hybrid timestamp.
    pub(crate) created: u64,
}

enum Load {
    Not,
    Loading(Arc<LoadProgress>),
    Loaded,
    /// The index could not be built; why.
    Failed(String),
}

#[derive(Default)]
struct LoadProgress {
    done: AtomicUsize,
    total: AtomicUsize,
    /// Nobody wants the result any more.
    cancelled: AtomicBool,
}

/// Keys given to rows and what they are of.
pub(crate) struct Written {
    pub(crate) keys: Column,
    pub(crate) rows: usize,
}

impl Collection {
    pub(crate) fn new(
        id: i64,
        database: &str,
        name: &str,
        definition: Definition,
        counts_only: bool,
    ) -> Self {
        let created = next_timestamp();
        let default = Partition { id: id + 1, name: DEFAULT_PARTITION.to_owned(), created };
        let state = State {
            rows: Rows::new(&definition.schema),
            counted: 0,
            partitions: vec![Some(default)],
            indexes: Vec::new(),
            load: Load::Not,
            graphs: HashMap::new(),
            growing: None,
        };
        Self {
            id,
            database: database.to_owned(),
            name: name.to_owned(),
            definition,
            created,
            counts_only,
            next_id: AtomicI64::new(id + 2),
            state: RwLock::new(state),
        }
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn schema(&self) -> &Schema {
        &self.definition.schema
    }

    /// Rows that are there.
    pub(crate) fn row_count(&self) -> usize {
        let state = self.read();
        state.rows.live() + state.counted
    }

    // ---- rows ----------------------------------------------------------------------------------

    /// Adds rows; those with the same primary keys give way.
    pub(crate) fn insert(
        self: &Arc<Self>,
        partition: &str,
        named: Vec<(String, Column)>,
        rows: usize,
    ) -> Result<Written, ServerError> {
        let schema = self.schema();
        if self.counts_only {
            let mut state = self.write();
            state.counted += rows;
            let sent = named.into_iter().find(|(name, _)| *name == schema.primary_field().name);
            let keys = sent.map_or_else(|| self.make_keys(rows), |(_, column)| column);
            return Ok(Written { keys, rows });
        }
        let batch = checked_batch(schema, named, rows, |rows| self.make_keys(rows))?;
        let keys = batch[schema.primary].clone();
        let mut state = self.write();
        let partition = state.partition(if partition.is_empty() { DEFAULT_PARTITION } else { partition })?;
        state.rows.append(batch, schema.primary, partition);
        drop(state);
        self.grow_graphs();
        Ok(Written { keys, rows })
    }

    fn make_keys(&self, rows: usize) -> Column {
        let count = i64::try_from(rows).unwrap_or(i64::MAX);
        // As in Milvus, a made key is of the size of a timestamp; text keys are its digits.
        let base = i64::try_from(self.created).unwrap_or(0);
        let first = base + self.next_id.fetch_add(count, Ordering::Relaxed);
        match self.schema().primary_field().field_type {
            FieldType::VarChar { .. } => {
                Column::Text((first..first + count).map(|key| key.to_string().into()).collect())
            }
            _ => Column::Int((first..first + count).collect()),
        }
    }

    /// Deletes what a filter picks; how many: for a list of keys, as many as it has, found or not.
    pub(crate) fn delete(&self, partition: &str, filter: &str) -> Result<usize, ServerError> {
        if filter.trim().is_empty() {
            return Err(invalid(
                "expr cannot be empty: invalid parameter[expected=expr][actual=]".to_owned(),
            ));
        }
        if self.counts_only {
            return Ok(0);
        }
        let mut state = self.write();
        let partitions = match partition {
            "" => Vec::new(),
            name => vec![state.partition(name)?],
        };
        let (rows, count) = match state.rows.pick(filter, &partitions, self.schema())? {
            Picked::Keys { rows, asked } => (rows, asked),
            Picked::Rows(rows) => {
                let count = rows.count();
                (rows.rows().collect(), count)
            }
        };
        state.rows.hide(rows, self.schema().primary);
        Ok(count)
    }

    // ---- partitions ----------------------------------------------------------------------------

    pub(crate) fn partitions(&self) -> Vec<Partition> {
        self.read().partitions.iter().flatten().cloned().collect()
    }

    pub(crate) fn create_partition(&self, name: &str) -> Result<(), ServerError> {
        check_name("partition", name)?;
        let mut state = self.write();
        if state.partition(name).is_ok() {
            return Ok(());
        }
        let id = self.id + 2 + self.next_id.fetch_add(1, Ordering::Relaxed);
        let created = next_timestamp();
        state.partitions.push(Some(Partition { id, name: name.to_owned(), created }));
        Ok(())
    }

    pub(crate) fn drop_partition(&self, name: &str) -> Result<(), ServerError> {
        if name == DEFAULT_PARTITION {
            return Err(invalid("default partition cannot be deleted".to_owned()));
        }
        let mut state = self.write();
        // Dropping what is not there succeeds, as with collections.
        if let Ok(partition) = state.partition(name) {
            state.rows.hide_partition(partition, self.schema().primary);
            state.partitions[partition as usize] = None;
        }
        Ok(())
    }

    pub(crate) fn partition_rows(&self, name: &str) -> Result<usize, ServerError> {
        let state = self.read();
        let partition = state.partition(name)?;
        Ok(state.rows.live_in(partition))
    }

    // ---- indexes -------------------------------------------------------------------------------

    /// Creates an index; the same one again is nothing new.
    pub(crate) fn create_index(
        &self,
        field: &str,
        name: &str,
        params: Vec<KeyValue>,
    ) -> Result<(), ServerError> {
        let schema = self.schema();
        let place = match schema.field(field) {
            Some(place) => place,
            None => return Err(invalid(format!("cannot create index on non-existed field: {field}"))),
        };
        let id = self.id + 2 + self.next_id.fetch_add(1, Ordering::Relaxed);
        let index = IndexDefinition::check(id, name, (place, &schema.fields[place]), params)?;
        let mut state = self.write();
        if let Some(other) = state.indexes.iter().find(|other| other.field == place) {
            let same = other.vectors == index.vectors && other.index_type() == index.index_type();
            if same && (name.is_empty() || other.name == name) {
                return Ok(());
            }
            return Err(bad(format!(
                "CreateIndex failed: at most one distinct index is allowed per field, field {field} has {}",
                other.name
            )));
        }
        if state.indexes.iter().any(|other| other.name == index.name) {
            return Err(bad(format!(
                "CreateIndex failed: index name {} is taken by another field",
                index.name
            )));
        }
        state.indexes.push(index);
        Ok(())
    }

    /// The indexes, of one field or name if given.
    ///
    /// # Errors
    /// Code 700 when there is none.
    pub(crate) fn indexes(&self, field: &str, name: &str) -> Result<Vec<IndexDefinition>, ServerError> {
        let state = self.read();
        let fits = |index: &&IndexDefinition| {
            (field.is_empty() || index.field_name == field) && (name.is_empty() || index.name == name)
        };
        let found: Vec<_> = state.indexes.iter().filter(fits).cloned().collect();
        if found.is_empty() { Err(self.index_not_found()) } else { Ok(found) }
    }

    fn index_not_found(&self) -> ServerError {
        ServerError::new(ServerCode::INDEX_NOT_FOUND, format!("index not found[collection={}]", self.name))
    }

    /// Drops an index by its name, or by its field where the name is empty.
    pub(crate) fn drop_index(&self, field: &str, name: &str) -> Result<(), ServerError> {
        let mut state = self.write();
        if !matches!(state.load, Load::Not) {
            return Err(bad(format!(
                "index cannot be dropped, collection {} is loaded, please release it first",
                self.name
            )));
        }
        // Dropping what is not there succeeds.
        state.indexes.retain(|index| {
            !((name.is_empty() || index.name == name) && (field.is_empty() || index.field_name == field))
        });
        Ok(())
    }

    // ---- loading -------------------------------------------------------------------------------

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
    fn grow_graphs(self: &Arc<Self>) {
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
    /// Place of a partition.
    fn partition(&self, name: &str) -> Result<u32, ServerError> {
        let place = self
            .partitions
            .iter()
            .position(|partition| partition.as_ref().is_some_and(|partition| partition.name == name));
        place.and_then(|place| u32::try_from(place).ok()).ok_or_else(|| {
            ServerError::new(
                ServerCode::PARTITION_NOT_FOUND,
                format!("partition not found[partition={name}]"),
            )
        })
    }

    /// Places of the partitions that a search or query names.
    pub(super) fn searched_partitions(&self, names: &[String]) -> Result<Vec<u32>, ServerError> {
        // 2.3.5 answers these, unlike inserts, with the general code.
        names.iter().map(|name| self.partition(name).map_err(|error| bad(error.reason))).collect()
    }

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

    pub(super) fn counted(&self) -> usize {
        self.counted
    }
}
