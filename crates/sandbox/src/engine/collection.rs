//! A collection: its definition, its rows, its indexes, and whether it is loaded.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicI64, Ordering},
    },
};

use squall_proto::{
    code::{ServerCode, ServerError},
    milvus::KeyValue,
};

use super::{
    clock::next_timestamp,
    column::Column,
    graph::Graph,
    index::{IndexDefinition, bad},
    loading::{Load, LoadProgress},
    rows::{Copies, Picked, Rows, checked_batch, keys as keys_in},
    schema::{FieldType, Schema, check_name, invalid},
};

/// The partition that every collection has.
pub(crate) const DEFAULT_PARTITION: &str = "_default";

/// What a collection is created with.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    pub(crate) schema: Schema,
    pub(crate) consistency_level: i32,
    pub(crate) shards_num: i32,
    /// Partitions that were asked for behind a partition key, which are told and change nothing here.
    pub(crate) key_partitions: Option<i64>,
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
    pub(super) counts_only: bool,
    next_id: AtomicI64,
    state: RwLock<State>,
}

pub(super) struct State {
    pub(super) rows: Rows,
    /// Rows that were counted and not kept.
    counted: usize,
    partitions: Vec<Option<Partition>>,
    pub(super) indexes: Vec<IndexDefinition>,
    pub(super) load: Load,
    /// By place of the field.
    pub(super) graphs: HashMap<usize, Arc<Graph>>,
    /// A graph is being made anew because many rows came after it.
    pub(super) growing: Option<Arc<LoadProgress>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Partition {
    pub(crate) id: i64,
    pub(crate) name: String,
    /// Hybrid timestamp.
    pub(crate) created: u64,
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

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn schema(&self) -> &Schema {
        &self.definition.schema
    }

    /// Partitions as they are told.
    pub(crate) fn partition_count(&self) -> i64 {
        self.definition.key_partitions.unwrap_or_else(|| self.partitions().len() as i64)
    }

    /// Rows that are there.
    pub(crate) fn row_count(&self) -> usize {
        let state = self.read();
        state.rows.live() + state.counted
    }

    // ---- rows ----------------------------------------------------------------------------------

    /// Adds rows beside those that are there.
    pub(crate) fn insert(
        self: &Arc<Self>,
        partition: &str,
        named: Vec<(String, Column)>,
        rows: usize,
    ) -> Result<Written, ServerError> {
        self.add(partition, named, rows, false)
    }

    /// Deletes the rows that have the same primary keys, in the same partition, and adds these.
    pub(crate) fn upsert(
        self: &Arc<Self>,
        partition: &str,
        named: Vec<(String, Column)>,
        rows: usize,
    ) -> Result<Written, ServerError> {
        self.add(partition, named, rows, true)
    }

    fn add(
        self: &Arc<Self>,
        partition: &str,
        named: Vec<(String, Column)>,
        rows: usize,
        instead: bool,
    ) -> Result<Written, ServerError> {
        let schema = self.schema();
        if self.counts_only {
            let sent = named.into_iter().find(|(name, _)| *name == schema.primary_field().name);
            return Ok(self.count_in(rows, sent.map(|(_, keys)| keys)));
        }
        let batch = checked_batch(schema, named, rows, |rows| self.make_keys(rows))?;
        let keys = batch[schema.primary].clone();
        let mut state = self.write();
        let partition = state.partition(if partition.is_empty() { DEFAULT_PARTITION } else { partition })?;
        if instead {
            state.rows.delete(&keys_in(&keys), &[partition]);
        }
        state.rows.append(batch, schema.primary, partition);
        drop(state);
        self.grow_graphs();
        Ok(Written { keys, rows })
    }

    /// Counts rows that are not kept, with the keys that were sent or else made ones.
    pub(crate) fn count_in(&self, rows: usize, keys: Option<Column>) -> Written {
        self.write().counted += rows;
        Written { keys: keys.unwrap_or_else(|| self.make_keys(rows)), rows }
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
        let (rows, count) = match state.rows.pick(filter, &partitions, self.schema(), Copies::All)? {
            Picked::Keys { rows, asked } => (rows, asked),
            Picked::Rows(rows) => {
                let count = rows.count();
                (rows.rows().collect::<Vec<_>>(), count)
            }
        };
        // A filter picks keys: all rows of a key go, also those that it does not fit.
        let keys = state.rows.keys_of(&rows, self.schema().primary);
        state.rows.delete(&keys, &partitions);
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
            state.rows.delete_partition(partition, self.schema().primary);
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

    pub(super) fn index_not_found(&self) -> ServerError {
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

    pub(super) fn counted(&self) -> usize {
        self.counted
    }
}
