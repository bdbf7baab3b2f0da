//! Waiting: for the index, for the load, and until the server stops moving rows about.
//!
//! A collection that has just been loaded may still index, compact and hand over segments; a search
//! that is timed meanwhile measures that, too.

use std::time::{Duration, Instant};

use squall_core::dataset::VECTOR_FIELD;
use squall_milvus::admin::{Admin, Segment};
use squall_milvus::{IndexState, SegmentState};

use crate::event::{Events, Phase};
use crate::patience::Patience;
use crate::{SetupConfig, SetupError};

const POLL: Duration = Duration::from_millis(200);

/// Creates the index where there is none, and waits until it is built.
pub(crate) async fn index(
    admin: &Admin,
    config: &SetupConfig,
    patience: &Patience,
    events: &Events,
) -> Result<(), SetupError> {
    let collection = &config.server.collection;
    ask_for_index(admin, config, patience).await?;
    let failed = |index: String, reason: String| Err(SetupError::Index { index, reason });
    loop {
        // A server that builds while it loads may describe the index only then.
        let Some(index) = patience.ask(|| admin.describe_index(collection, VECTOR_FIELD)).await? else {
            break;
        };
        match index.state {
            IndexState::Failed => return failed(config.index.to_string(), index.fail_reason),
            IndexState::Finished if index.pending_rows == 0 => break,
            _ => {}
        }
        if let Some(per_cent) = (index.indexed_rows * 100).checked_div(index.total_rows) {
            events.progress(Phase::Index, per_cent.min(99));
        }
        tokio::time::sleep(POLL).await;
    }
    for scalar in &config.scalar_indexes {
        loop {
            let found = patience.ask(|| admin.scalar_index(collection, &scalar.field)).await?;
            match found.as_ref().map(|index| index.state) {
                Some(IndexState::Failed) => {
                    let reason = found.map(|index| index.fail_reason).unwrap_or_default();
                    return failed(format!("of {}", scalar.field), reason);
                }
                Some(IndexState::InProgress | IndexState::Unissued | IndexState::Retry) => {}
                _ => break,
            }
            tokio::time::sleep(POLL).await;
        }
    }
    events.progress(Phase::Index, 100);
    Ok(())
}

/// Creates those indexes that are not there.
pub(crate) async fn ask_for_index(
    admin: &Admin,
    config: &SetupConfig,
    patience: &Patience,
) -> Result<(), SetupError> {
    let collection = &config.server.collection;
    if patience.ask(|| admin.describe_index(collection, VECTOR_FIELD)).await?.is_none() {
        patience.ask(|| admin.create_index(collection, VECTOR_FIELD, &config.index)).await?;
    }
    for scalar in &config.scalar_indexes {
        if patience.ask(|| admin.scalar_index(collection, &scalar.field)).await?.is_none() {
            let kind = scalar.kind.as_deref();
            patience.ask(|| admin.create_scalar_index(collection, &scalar.field, kind)).await?;
        }
    }
    Ok(())
}

/// Loads the collection and waits until it is.
pub(crate) async fn load(
    admin: &Admin,
    config: &SetupConfig,
    patience: &Patience,
    events: &Events,
) -> Result<(), SetupError> {
    let collection = &config.server.collection;
    patience.ask(|| admin.load_replicas(collection, config.replicas)).await?;
    loop {
        let progress = u64::from(patience.ask(|| admin.load_progress(collection)).await?);
        events.progress(Phase::Load, progress.min(100));
        if progress >= 100 {
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Waits until no index row is pending, no segment grows, and the segments have been the same for
/// `config.settle`; at once where the server keeps no segments.
pub(crate) async fn settle(
    admin: &Admin,
    config: &SetupConfig,
    patience: &Patience,
) -> Result<(), SetupError> {
    let collection = &config.server.collection;
    let mut last: Option<Vec<Segment>> = None;
    let mut since = Instant::now();
    loop {
        let Some(mut segments) = patience.ask(|| admin.segments(collection)).await? else { return Ok(()) };
        segments.sort_unstable_by_key(|segment| segment.id);
        let index = patience.ask(|| admin.describe_index(collection, VECTOR_FIELD)).await?;
        let pending = index.is_some_and(|index| index.pending_rows > 0);
        let growing =
            segments.iter().any(|segment| segment.state == SegmentState::Growing && segment.rows > 0);
        let unchanged = last.as_ref() == Some(&segments);
        if pending || growing || !unchanged {
            since = Instant::now();
        } else if since.elapsed() >= config.settle {
            return Ok(());
        }
        last = Some(segments);
        tokio::time::sleep(POLL.min(config.settle.max(Duration::from_millis(10)))).await;
    }
}
