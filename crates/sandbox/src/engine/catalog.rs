//! Databases, the collections in them, and their aliases.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicI64, Ordering},
    },
};

use squall_proto::code::{ServerCode, ServerError};

use super::{
    clock::next_timestamp,
    collection::{Collection, Definition},
    index::bad,
    schema::{check_name, invalid},
};

const DEFAULT_DATABASE: &str = "default";
/// Ids of collections are this far apart: partitions and indexes take the numbers between.
const ID_STEP: i64 = 1 << 20;

/// The most shards of a collection, as Milvus 2.3.5 is shipped (`proxy.maxShardNum`).
const MOST_SHARDS: i32 = 16;

/// All that a sandbox holds.
pub(crate) struct Catalog {
    databases: RwLock<BTreeMap<String, Database>>,
    next_id: AtomicI64,
    /// Collections count their rows and throw them away (the null engine).
    counts_only: bool,
}

struct Database {
    id: i64,
    /// Hybrid timestamp.
    created: u64,
    collections: BTreeMap<String, Arc<Collection>>,
    /// Alias to collection.
    aliases: BTreeMap<String, String>,
}

/// A database as it is listed.
pub(crate) struct DatabaseEntry {
    pub(crate) name: String,
    pub(crate) id: i64,
    pub(crate) created: u64,
}

impl Catalog {
    pub(crate) fn new(counts_only: bool) -> Self {
        let catalog = Self {
            databases: RwLock::default(),
            next_id: AtomicI64::new(440_000_000_000_000_000),
            counts_only,
        };
        catalog.write().insert(DEFAULT_DATABASE.to_owned(), Database::new(1));
        catalog
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<String, Database>> {
        self.databases.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Database>> {
        self.databases.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn id(&self) -> i64 {
        self.next_id.fetch_add(ID_STEP, Ordering::Relaxed)
    }

    // ---- databases -----------------------------------------------------------------------------

    pub(crate) fn databases(&self) -> Vec<DatabaseEntry> {
        let entry = |(name, database): (&String, &Database)| DatabaseEntry {
            name: name.clone(),
            id: database.id,
            created: database.created,
        };
        self.read().iter().map(entry).collect()
    }

    pub(crate) fn create_database(&self, name: &str) -> Result<(), ServerError> {
        check_name("database", name)?;
        let mut databases = self.write();
        if databases.contains_key(name) {
            return Err(bad(format!("database already exist: {name}")));
        }
        databases.insert(name.to_owned(), Database::new(self.id()));
        Ok(())
    }

    pub(crate) fn drop_database(&self, name: &str) -> Result<(), ServerError> {
        let mut databases = self.write();
        let database = databases.get(name).ok_or_else(|| database_not_found(name))?;
        if name == DEFAULT_DATABASE {
            return Err(bad("can not drop default database".to_owned()));
        }
        if !database.collections.is_empty() {
            return Err(bad(format!(
                "database:{name} not empty, must drop all collections before drop database"
            )));
        }
        databases.remove(name);
        Ok(())
    }

    // ---- collections ---------------------------------------------------------------------------

    /// Creates a collection; the same one again is nothing new.
    pub(crate) fn create_collection(
        &self,
        database: &str,
        name: &str,
        definition: Definition,
    ) -> Result<Arc<Collection>, ServerError> {
        if definition.shards_num > MOST_SHARDS {
            return Err(bad(format!("maximum shards's number should be limited to {MOST_SHARDS}")));
        }
        let mut databases = self.write();
        let database = in_use(database);
        let entry = databases.get_mut(database).ok_or_else(|| database_not_found(database))?;
        if let Some(existing) = entry.collections.get(name) {
            if existing.schema() == &definition.schema {
                return Ok(Arc::clone(existing));
            }
            return Err(bad(format!(
                "create duplicate collection with different parameters, collection: {name}"
            )));
        }
        if entry.aliases.contains_key(name) {
            return Err(bad(format!(
                "collection name [{name}] conflicts with an existing alias, please choose a unique name"
            )));
        }
        let collection = Arc::new(Collection::new(self.id(), database, name, definition, self.counts_only));
        entry.collections.insert(name.to_owned(), Arc::clone(&collection));
        Ok(collection)
    }

    /// A collection by its name or an alias.
    pub(crate) fn collection(&self, database: &str, name: &str) -> Result<Arc<Collection>, ServerError> {
        let databases = self.read();
        let database = in_use(database);
        let entry = databases.get(database).ok_or_else(|| database_not_found(database))?;
        let name_or_target = entry.aliases.get(name).map_or(name, String::as_str);
        entry.collections.get(name_or_target).cloned().ok_or_else(|| collection_not_found(database, name))
    }

    /// A collection of any database, by its number.
    pub(crate) fn collection_by_id(&self, id: i64) -> Option<Arc<Collection>> {
        let databases = self.read();
        databases.values().flat_map(|database| database.collections.values()).find(|c| c.id == id).cloned()
    }

    pub(crate) fn collections(&self, database: &str) -> Result<Vec<Arc<Collection>>, ServerError> {
        let databases = self.read();
        let database = in_use(database);
        let entry = databases.get(database).ok_or_else(|| database_not_found(database))?;
        Ok(entry.collections.values().cloned().collect())
    }

    /// Drops a collection; dropping what is not there succeeds.
    pub(crate) fn drop_collection(&self, database: &str, name: &str) -> Result<(), ServerError> {
        let mut databases = self.write();
        let database = in_use(database);
        let entry = databases.get_mut(database).ok_or_else(|| database_not_found(database))?;
        if let Some(alias) = entry.aliases.iter().find(|(_, target)| *target == name).map(|(alias, _)| alias)
        {
            return Err(bad(format!(
                "unable to drop the collection [{name}] because it has associated aliases [{alias}], please remove all aliases before dropping the collection"
            )));
        }
        if let Some(collection) = entry.collections.remove(name) {
            // Ends a load under way.
            collection.release();
        }
        Ok(())
    }

    /// Ends every load under way; the sandbox is going.
    pub(crate) fn close(&self) {
        let databases = self.read();
        databases.values().flat_map(|database| database.collections.values()).for_each(|c| c.release());
    }

    // ---- aliases -------------------------------------------------------------------------------

    pub(crate) fn create_alias(
        &self,
        database: &str,
        collection: &str,
        alias: &str,
    ) -> Result<(), ServerError> {
        check_name("alias", alias)?;
        let mut databases = self.write();
        let database = in_use(database);
        let entry = databases.get_mut(database).ok_or_else(|| database_not_found(database))?;
        if !entry.collections.contains_key(collection) {
            return Err(collection_not_found(database, collection));
        }
        if entry.collections.contains_key(alias) {
            return Err(ServerError::new(
                ServerCode::ALIAS_NAME_TAKEN,
                format!("collection name and alias are the same[alias={alias}]"),
            ));
        }
        match entry.aliases.get(alias) {
            Some(target) if target != collection => Err(ServerError::new(
                ServerCode::ALIAS_EXISTS,
                format!("{alias} is alias to another collection: {target}: alias already exist"),
            )),
            _ => {
                entry.aliases.insert(alias.to_owned(), collection.to_owned());
                Ok(())
            }
        }
    }

    /// Drops an alias; dropping what is not there succeeds.
    pub(crate) fn drop_alias(&self, database: &str, alias: &str) -> Result<(), ServerError> {
        let database = in_use(database);
        let mut databases = self.write();
        databases.get_mut(database).ok_or_else(|| database_not_found(database))?.aliases.remove(alias);
        Ok(())
    }

    /// The collection of an alias.
    pub(crate) fn alias(&self, database: &str, alias: &str) -> Result<String, ServerError> {
        let databases = self.read();
        let database = in_use(database);
        let entry = databases.get(database).ok_or_else(|| database_not_found(database))?;
        entry.aliases.get(alias).cloned().ok_or_else(|| {
            ServerError::new(
                ServerCode::ALIAS_NOT_FOUND,
                format!("alias not found[database={database}][alias={alias}]"),
            )
        })
    }

    /// The aliases of a collection, or of all where the name is empty.
    pub(crate) fn aliases(&self, database: &str, collection: &str) -> Result<Vec<String>, ServerError> {
        let databases = self.read();
        let database = in_use(database);
        let entry = databases.get(database).ok_or_else(|| database_not_found(database))?;
        let fits = |target: &str| collection.is_empty() || target == collection;
        Ok(entry.aliases.iter().filter(|(_, target)| fits(target)).map(|(alias, _)| alias.clone()).collect())
    }
}

impl Database {
    fn new(id: i64) -> Self {
        Self { id, created: next_timestamp(), collections: BTreeMap::new(), aliases: BTreeMap::new() }
    }
}

/// An empty name is the default database.
pub(crate) fn in_use(database: &str) -> &str {
    if database.is_empty() { DEFAULT_DATABASE } else { database }
}

fn database_not_found(name: &str) -> ServerError {
    ServerError::new(ServerCode::DATABASE_NOT_FOUND, format!("database not found[database={name}]"))
}

fn collection_not_found(database: &str, name: &str) -> ServerError {
    if name.is_empty() {
        return invalid("collection name should not be empty: invalid parameter".to_owned());
    }
    ServerError::new(
        ServerCode::COLLECTION_NOT_FOUND,
        format!("collection not found[database={database}][collection={name}]"),
    )
}
