//! A rehearsal: whether the server takes all that it will be asked for, found with a collection of a name
//! of its own before anything is dropped or sent.
//!
//! Fields, layout and indexes are those of the collection that is wanted, so the server's own checks
//! judge them, and the user's rights, too. That takes some 30 ms on Milvus 2.3.5. Of an index that needs
//! a machine of its own kind (a GPU, a fast disk), 2.3.5 accepts the definition and then tries to build
//! it for ever, so that one is built of a few rows.

use std::time::{Duration, Instant};

use squall_core::dataset::VECTOR_FIELD;
use squall_milvus::IndexState;
use squall_milvus::admin::Admin;

use crate::event::Events;
use crate::insert::{Sent, insert};
use crate::patience::Patience;
use crate::{SetupConfig, SetupError, create, settle};

/// What the collection's name has more.
const SUFFIX: &str = "_squall_probe";
/// The longest name that Milvus takes.
const LONGEST_NAME: usize = 255;

/// Kinds of index that only building tells of.
const BUILT: [&str; 5] = ["DISKANN", "GPU_IVF_FLAT", "GPU_IVF_PQ", "GPU_CAGRA", "GPU_BRUTE_FORCE"];
/// Rows that such an index is built of; Milvus builds none of fewer than 1,024.
const BUILT_ROWS: u64 = 2_048;
/// How long that may take: a few seconds where the server can.
const BUILT_WITHIN: Duration = Duration::from_secs(40);
const POLL: Duration = Duration::from_millis(200);

/// The name that is tried in the place of `collection`.
pub(crate) fn name(collection: &str) -> String {
    let kept: String = collection.chars().take(LONGEST_NAME - SUFFIX.len()).collect();
    kept + SUFFIX
}

/// Has the server make the collection that `config` names, with all that is asked for.
///
/// # Errors
/// What the server refuses. The collection may be there then.
pub(crate) async fn make(admin: &Admin, config: &SetupConfig, patience: &Patience) -> Result<(), SetupError> {
    create::collection(admin, config, patience).await?;
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
    fn the_name_is_one_that_milvus_takes() {
        assert_eq!(name("products"), "products_squall_probe");
        let long = name(&"c".repeat(255));
        assert!(long.len() == 255 && long.ends_with(SUFFIX));
    }
}
