//! `setup verify`: everything that can be wrong with a collection, looked at without changing it.

use std::collections::BTreeSet;

use rand::RngExt;
use serde::Serialize;
use squall_core::dataset::{ID_FIELD, VECTOR_FIELD};
use squall_core::schema::Consistency;
use squall_milvus::admin::{Admin, CollectionDescription};
use squall_milvus::{Error, IndexState, LoadState, Protocol};
use tokio_util::sync::CancellationToken;

use super::{keys, read_rows, recall};
use crate::error::Left;
use crate::{SetupConfig, SetupError};
use crate::{existing, support};

/// Rows read back and compared.
const ROWS: u64 = 1_000;

/// How to mend what a complete run of setup would have left otherwise.
const RESUME: &str = "run setup again with --resume";
const REPLACE: &str = "run setup again with --drop-existing";

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What: `dataset`, `layout`, `index`, `loaded`, `count`, `keys`, `rows`, `recall`.
    pub name: &'static str,
    /// Whether it is as it should be.
    pub good: bool,
    /// What was found.
    pub found: String,
    /// What to do about it, where it is not good.
    pub mend: Option<String>,
}

/// What [`inspect`] found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// The server's URI.
    pub uri: String,
    /// The collection.
    pub collection: String,
    /// Identity of the dataset that it should have.
    pub dataset: String,
    /// The rows that it should have.
    pub rows: u64,
    /// Whether everything is as it should be.
    pub good: bool,
    /// All that was looked at, in order. What cannot be looked at because of something earlier is left
    /// out.
    pub checks: Vec<Check>,
}

#[derive(Default)]
struct Checks(Vec<Check>);

impl Checks {
    fn good(&mut self, name: &'static str, found: impl Into<String>) {
        self.0.push(Check { name, good: true, found: found.into(), mend: None });
    }

    fn wrong(&mut self, name: &'static str, found: impl Into<String>, mend: impl Into<String>) {
        self.0.push(Check { name, good: false, found: found.into(), mend: Some(mend.into()) });
    }

    fn add(&mut self, name: &'static str, result: Result<String, (String, &str)>) {
        match result {
            Ok(found) => self.good(name, found),
            Err((found, mend)) => self.wrong(name, found, mend),
        }
    }
}

/// Looks at the collection: dataset, index, whether it is loaded, its rows and what searches find.
///
/// # Errors
/// When the server cannot be asked; what is wrong with the collection is no error but in the result.
pub async fn inspect(
    admin: &Admin,
    config: &SetupConfig,
    cancel: &CancellationToken,
) -> Result<Inspection, SetupError> {
    let mut checks = Checks::default();
    tokio::select! {
        result = look(admin, config, &mut checks, cancel) => result?,
        () = cancel.cancelled() => {
            let collection = config.server.collection.clone();
            return Err(SetupError::Interrupted { collection, left: Left::Nothing });
        }
    }
    Ok(Inspection {
        uri: config.server.uri.clone(),
        collection: config.server.collection.clone(),
        dataset: config.dataset.id(),
        rows: config.rows,
        good: checks.0.iter().all(|check| check.good),
        checks: checks.0,
    })
}

async fn look(
    admin: &Admin,
    config: &SetupConfig,
    checks: &mut Checks,
    cancel: &CancellationToken,
) -> Result<(), SetupError> {
    let collection = &config.server.collection;
    let described = match admin.describe_collection(collection).await {
        Ok(described) => described,
        Err(Error::NotFound { .. }) => {
            checks.wrong("dataset", format!("there is no collection `{collection}`"), "run setup");
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let dataset = config.dataset.id();
    match existing::identity(&described.schema, config) {
        existing::Told::Same => checks.good("dataset", format!("{dataset}, {} rows", config.rows)),
        existing::Told::Nothing => {
            checks.good("dataset", format!("not described; it has the fields of {dataset}"));
        }
        existing::Told::Other(difference) => {
            checks.wrong(
                "dataset",
                difference,
                "give the settings that it was made with, or another one: ".to_owned() + REPLACE,
            );
            // Nothing else is comparable.
            return Ok(());
        }
    }
    checks.add("layout", layout(admin, config, &described));
    checks.add("index", index(admin, config).await?);
    match admin.load_state(collection).await? {
        LoadState::Loaded => checks.good("loaded", "it can be searched"),
        state => {
            checks.wrong("loaded", format!("it is not loaded ({state:?})"), RESUME);
            // Rows can be neither counted nor read nor found.
            return Ok(());
        }
    }
    let found = admin.count(collection, None, Consistency::Strong).await?;
    checks.add("count", counted(found, config.rows));
    if config.auto_id {
        // Nobody knows which of its keys is which row.
        return Ok(());
    }
    checks.add("keys", keys::each_once(admin, collection, config.rows, found).await?);
    checks.add("rows", rows(admin, config).await?);
    checks.add("recall", recall::recall(admin, config, cancel).await?);
    Ok(())
}

/// Shards, partitions and consistency.
fn layout(
    admin: &Admin,
    config: &SetupConfig,
    described: &CollectionDescription,
) -> Result<String, (String, &'static str)> {
    let lite = support::is_lite(admin);
    if let Some(difference) = existing::other_layout(described, config, lite) {
        return Err((
            difference,
            "give the settings that it was made with, or run setup with --drop-existing",
        ));
    }
    if let Some((has, wanted)) = existing::lacking_partitions(described, config) {
        return Err((format!("it has {has} of its {wanted} partitions"), RESUME));
    }
    let counted = |number: Option<u32>, what: &str| {
        number.map(|number| format!("{number} {what}{}", if number == 1 { "" } else { "s" }))
    };
    let parts = [
        counted(described.shards, "shard"),
        counted(described.partitions, "partition"),
        described.partition_key.as_ref().map(|key| format!("partition key {key}")),
        described.consistency.filter(|_| !lite).map(|level| format!("consistency {}", level.name())),
    ];
    let told: Vec<String> = parts.into_iter().flatten().collect();
    Ok(if told.is_empty() { "the server does not tell".to_owned() } else { told.join(", ") })
}

async fn index(
    admin: &Admin,
    config: &SetupConfig,
) -> Result<Result<String, (String, &'static str)>, SetupError> {
    let index = admin.describe_index(&config.server.collection, VECTOR_FIELD).await?;
    let Some(index) = index else { return Ok(Err(("it has no index".to_owned(), RESUME))) };
    if let Some(difference) = existing::other_index(&index.spec, &config.index) {
        return Ok(Err((difference, REPLACE)));
    }
    Ok(match index.state {
        IndexState::Failed => Err((format!("it could not be built: {}", index.fail_reason), REPLACE)),
        IndexState::Finished if index.pending_rows == 0 => scalar_indexes(admin, config).await?,
        state => Err((
            format!("it is not built ({state:?}, {} rows pending)", index.pending_rows),
            "wait a while, or run setup again with --resume, which waits for it",
        )),
    })
}

/// The indexes of scalar fields, after that of the vectors was found to be good.
async fn scalar_indexes(
    admin: &Admin,
    config: &SetupConfig,
) -> Result<Result<String, (String, &'static str)>, SetupError> {
    let mut found = config.index.to_string();
    for wanted in &config.scalar_indexes {
        let field = &wanted.field;
        match admin.scalar_index(&config.server.collection, field).await? {
            // REST tells of no such index.
            None if admin.protocol() != Protocol::Grpc => continue,
            None => return Ok(Err((format!("its field `{field}` has no index"), RESUME))),
            Some(index) => {
                if let Some(difference) = existing::other_scalar_index(index.kind.as_deref(), wanted) {
                    return Ok(Err((difference, REPLACE)));
                }
                if index.state == IndexState::Failed {
                    let reason = format!("that of `{field}` could not be built: {}", index.fail_reason);
                    return Ok(Err((reason, REPLACE)));
                }
                let kind = index.kind.unwrap_or_else(|| "an index".to_owned());
                found.push_str(&format!("; {kind} of {field}"));
            }
        }
    }
    Ok(Ok(found))
}

fn counted(found: u64, rows: u64) -> Result<String, (String, &'static str)> {
    match found.cmp(&rows) {
        std::cmp::Ordering::Equal => Ok(format!("{found} rows")),
        std::cmp::Ordering::Less => Err((format!("it has {found} of its {rows} rows"), RESUME)),
        std::cmp::Ordering::Greater => Err((format!("it has {found} rows instead of {rows}"), RESUME)),
    }
}

/// Reads [`ROWS`] rows back, or all where there are fewer.
async fn rows(
    admin: &Admin,
    config: &SetupConfig,
) -> Result<Result<String, (String, &'static str)>, SetupError> {
    // Others each time, as many different ones as there are to be, in the order of their numbers.
    let mut rng = rand::rng();
    let mut chosen = BTreeSet::new();
    while (chosen.len() as u64) < ROWS.min(config.rows) {
        chosen.insert(rng.random_range(0..config.rows));
    }
    let rows: Vec<u64> = chosen.into_iter().collect();
    let looked_at = rows.len();
    let wrong = read_rows(config, &rows, async |filter, fields, limit| {
        Ok(admin.query(&config.server.collection, filter, fields, limit).await?)
    });
    let wrong = wrong.await?;
    Ok(match wrong.first() {
        None => Ok(format!("{looked_at} random rows are as they should be, byte by byte")),
        Some((row, field)) if field == ID_FIELD => Err((
            format!("{} of {looked_at} random rows are wrong: row {row} is missing", wrong.len()),
            RESUME,
        )),
        Some((row, field)) => Err((
            format!("{} of {looked_at} random rows are wrong: row {row} has another `{field}`", wrong.len()),
            REPLACE,
        )),
    })
}
