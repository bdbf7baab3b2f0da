//! Waiting: for the index, for the load, and until the server stops moving rows about.
//!
//! A collection that has just been loaded may still index, compact and hand over segments; a search
//! that is timed meanwhile measures that, too.

use std::time::{Duration, Instant};

use squall_milvus::admin::{Admin, Segment};
use squall_milvus::{IndexState, SegmentState};

use crate::event::{Events, Phase};
use crate::{SetupConfig, SetupError};

const POLL: Duration = Duration::from_millis(200);

/// Waits until the index is built.
pub(crate) async fn wait_for_index(
    admin: &Admin,
    config: &SetupConfig,
    field: &str,
    events: &Events,
) -> Result<(), SetupError> {
    let collection = &config.server.collection;
    loop {
        // A server that builds while it loads may describe the index only then.
        let Some(index) = admin.describe_index(collection, field).await? else { return Ok(()) };
        match index.state {
            IndexState::Failed => {
                return Err(SetupError::Index { index: config.index.to_string(), reason: index.fail_reason });
            }
            IndexState::Finished if index.pending_rows == 0 => {
                events.progress(Phase::Index, 100);
                return Ok(());
            }
            _ => {}
        }
        if let Some(per_cent) = (index.indexed_rows * 100).checked_div(index.total_rows) {
            events.progress(Phase::Index, per_cent.min(99));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Loads the collection and waits until it is.
pub(crate) async fn load(admin: &Admin, collection: &str, events: &Events) -> Result<(), SetupError> {
    admin.load(collection).await?;
    loop {
        let progress = u64::from(admin.load_progress(collection).await?);
        events.progress(Phase::Load, progress.min(100));
        if progress >= 100 {
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Waits until no index row is pending, no segment grows, and the segments have been the same for
/// `config.settle`; at once where the server keeps no segments.
pub(crate) async fn settle(admin: &Admin, config: &SetupConfig, field: &str) -> Result<(), SetupError> {
    let collection = &config.server.collection;
    let mut last: Option<Vec<Segment>> = None;
    let mut since = Instant::now();
    loop {
        let Some(mut segments) = admin.segments(collection).await? else { return Ok(()) };
        segments.sort_unstable_by_key(|segment| segment.id);
        let pending =
            admin.describe_index(collection, field).await?.is_some_and(|index| index.pending_rows > 0);
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
