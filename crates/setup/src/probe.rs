//! A rehearsal: whether the server takes all that it will be asked for, found with a collection of a name
//! of its own before anything is dropped or sent.
//!
//! Fields, layout and indexes are those of the collection that is wanted, so the server's own checks
//! judge them, and the user's rights, too. That takes some 30 ms on Milvus 2.3.5. Of an index that needs
//! a machine of its own kind (a GPU, a fast disk), 2.3.5 accepts the definition and then tries to build
//! it for ever, so that one is built of a few rows.

use std::time::{Duration, Instant};

use squall_core::dataset::VECTOR_FIELD;
use squall_core::plan::ServerTarget;
use squall_core::schema::CollectionSchema;
use squall_milvus::IndexState;
use squall_milvus::admin::Admin;

use crate::event::Events;
use crate::insert::{Sent, insert};
use crate::patience::Patience;
use crate::{SetupConfig, SetupError, create, settle};

/// What the name of the collection has more, before eight digits left to chance.
const INFIX: &str = "_squall_probe_";
const DIGITS: usize = 8;
/// The longest name that Milvus takes.
const LONGEST_NAME: usize = 255;

/// Times that it is tried again because the collection was gone.
const TRIES: usize = 20;

/// Kinds of index that only building tells of.
const BUILT: [&str; 5] = ["DISKANN", "GPU_IVF_FLAT", "GPU_IVF_PQ", "GPU_CAGRA", "GPU_BRUTE_FORCE"];
/// Rows that such an index is built of; Milvus builds none of fewer than 1,024.
const BUILT_ROWS: u64 = 2_048;
/// How long that may take: a few seconds where the server can.
const BUILT_WITHIN: Duration = Duration::from_secs(40);
const POLL: Duration = Duration::from_millis(200);

/// What the names of all begin with that are tried in the place of `collection`.
fn prefix(collection: &str) -> String {
    let kept: String = collection.chars().take(LONGEST_NAME - INFIX.len() - DIGITS).collect();
    kept + INFIX
}

/// A name to be tried in the place of `collection`, which no other setup tries and no user has.
pub(crate) fn name(collection: &str) -> String {
    format!("{}{:0DIGITS$x}", prefix(collection), rand::random::<u32>())
}

/// What the collection that is tried says of itself.
fn description(collection: &str) -> String {
    format!("squall probe of {collection}")
}

/// Drops what setups of `collection` that were killed meanwhile had tried with, and nothing else of such a
/// name. What cannot be listed or dropped is in nobody's way.
pub(crate) async fn drop_leftovers(admin: &Admin, collection: &str) {
    let (prefix, description) = (prefix(collection), description(collection));
    for name in admin.collections().await.unwrap_or_default() {
        if !name.starts_with(&prefix) {
            continue;
        }
        let found = admin.describe_collection(&name).await;
        if found.is_ok_and(|found| found.schema.description == description) {
            // Another setup may have dropped it just now.
            let _ = admin.drop_collection(&name).await;
        }
    }
}

/// Has the server make, and drop again, a collection like the one that `config` wants; `probe` holds its
/// name while it may be there.
///
/// # Errors
/// What the server refuses.
pub(crate) async fn rehearse(
    admin: &Admin,
    config: &SetupConfig,
    patience: &Patience,
    probe: &mut Option<String>,
) -> Result<(), SetupError> {
    let mut tries = 0..TRIES;
    loop {
        let name = name(&config.server.collection);
        *probe = Some(name.clone());
        let server = ServerTarget { collection: name.clone(), ..config.server.clone() };
        let tried = SetupConfig { server, ..config.clone() };
        let description = description(&config.server.collection);
        let schema = CollectionSchema { description, ..config.schema() };
        create::collection(admin, &tried, &schema, patience).await?;
        let result = match make(admin, &tried, patience).await {
            Ok(()) => patience.ask(|| admin.drop_collection(&name)).await,
            Err(error) => Err(error),
        };
        // Another setup of the same collection that began meanwhile takes it for one that was left.
        if let Err(SetupError::Server(_)) = &result
            && tries.next().is_some()
            && matches!(patience.ask(|| admin.has_collection(&name)).await, Ok(false))
        {
            continue;
        }
        if result.is_ok() {
            *probe = None;
        }
        return result;
    }
}

/// All that is asked for besides the collection itself.
async fn make(admin: &Admin, config: &SetupConfig, patience: &Patience) -> Result<(), SetupError> {
    create::partitions(admin, config, patience, 0).await?;
    settle::ask_for_index(admin, config, patience).await?;
    if config.replicas > 1 {
        let load = || admin.load_replicas(&config.server.collection, config.replicas);
        patience.ask(load).await?;
    }
    if BUILT.contains(&config.index.kind.as_str()) {
        build(admin, config, patience).await?;
    }
    Ok(())
}

async fn build(admin: &Admin, config: &SetupConfig, patience: &Patience) -> Result<(), SetupError> {
    let collection = &config.server.collection;
    let rows = config.rows.min(BUILT_ROWS);
    // These rows are none of the progress.
    let (events, _) = Events::channel();
    let ranges = std::iter::once(0..rows).collect();
    insert(admin, config, ranges, patience, &events, &mut Sent::default()).await?;
    patience.ask(|| admin.flush(collection)).await?;
    let started = Instant::now();
    loop {
        let index = patience.ask(|| admin.describe_index(collection, VECTOR_FIELD)).await?;
        let failed = |reason: String| Err(SetupError::Index { index: config.index.to_string(), reason });
        match index {
            None => return Ok(()),
            Some(index) if index.state == IndexState::Failed => return failed(index.fail_reason),
            Some(index) if index.state == IndexState::Finished && index.pending_rows == 0 => {
                return Ok(());
            }
            _ if started.elapsed() >= BUILT_WITHIN => {
                return failed(format!(
                    "none of the {rows} rows that it was tried with was in it after {} s, so this server lacks what it needs, or is too busy",
                    BUILT_WITHIN.as_secs()
                ));
            }
            Some(_) => tokio::time::sleep(POLL).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_one_that_milvus_takes_and_another_each_time() {
        let of = |collection: &str| {
            let (one, other) = (name(collection), name(collection));
            assert!(one != other && one.starts_with(&prefix(collection)) && one.len() == other.len());
            one
        };
        assert!(of("products").starts_with("products_squall_probe_"));
        let long = "c".repeat(255);
        assert_eq!(of(&long).len(), 255);
        assert_eq!(description("products"), "squall probe of products");
    }
}
