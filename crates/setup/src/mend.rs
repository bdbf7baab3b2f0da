//! Mending: what is missing is sent, what is there twice is deleted and sent once.
//!
//! It asks a loaded collection, so it also sees rows that are not flushed yet. Counts leave deleted
//! rows out, and a row inserted after its deletion is there again (both of Milvus 2.3.5, too).

use std::ops::Range;

use squall_core::batch::Values;
use squall_core::dataset::ID_FIELD;
use squall_core::schema::Consistency;
use squall_milvus::admin::Admin;

use crate::event::{Events, Phase};
use crate::insert::Sent;
use crate::patience::Patience;
use crate::ranges::{Findings, LEAF, Look, Rows, examine, joined};
use crate::{SetupConfig, SetupError};

/// A collection on a server, patiently asked.
pub(crate) struct Stored<'a> {
    pub(crate) admin: &'a Admin,
    pub(crate) collection: &'a str,
    pub(crate) patience: &'a Patience,
}

fn filter(keys: &Range<u64>) -> String {
    format!("{ID_FIELD} >= {} and {ID_FIELD} < {}", keys.start, keys.end)
}

impl Rows for Stored<'_> {
    type Error = SetupError;

    async fn count(&self, keys: Range<u64>) -> Result<u64, SetupError> {
        let filter = filter(&keys);
        self.patience.ask(|| self.admin.count(self.collection, Some(&filter), Consistency::Strong)).await
    }

    async fn keys(&self, keys: Range<u64>) -> Result<Vec<u64>, SetupError> {
        let (filter, fields) = (filter(&keys), [ID_FIELD.to_owned()]);
        // Room for every key twice.
        let limit = 2 * LEAF as u32;
        let batch = self.patience.ask(|| self.admin.query(self.collection, &filter, &fields, limit)).await?;
        Ok(match batch.column(ID_FIELD) {
            Some(Values::Int64(ids)) => ids.iter().filter_map(|id| u64::try_from(*id).ok()).collect(),
            _ => Vec::new(),
        })
    }
}

impl Stored<'_> {
    /// Finds what is wrong in `ranges`, as progress of the phase.
    pub(crate) async fn examine(
        &self,
        ranges: Vec<Range<u64>>,
        look: Look,
        events: &Events,
    ) -> Result<Findings, SetupError> {
        examine(self, ranges, look, |keys| events.progress(Phase::Count, keys)).await
    }

    /// Deletes what is doubled; what then has to be sent.
    pub(crate) async fn to_send(&self, found: Findings) -> Result<Vec<Range<u64>>, SetupError> {
        for range in &found.doubled {
            let keys: Vec<String> = range.clone().map(|key| key.to_string()).collect();
            let filter = format!("{ID_FIELD} in [{}]", keys.join(", "));
            self.patience.ask(|| self.admin.delete(self.collection, &filter)).await?;
        }
        Ok(joined(found.missing.into_iter().chain(found.doubled).collect()))
    }
}

/// Times that sent rows are looked for before mending is given up.
const ROUNDS: usize = 5;

/// What mending came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mended {
    /// Times that something was sent.
    pub(crate) rounds: u32,
    /// Rows that the server took.
    pub(crate) rows: u64,
    /// Bytes of their requests.
    pub(crate) bytes: u64,
}

/// Looks through `suspects`, whose rows may be missing or doubled, and sends what is missing until
/// each is there once; `mended` tells how far it came, also when it fails.
pub(crate) async fn mend(
    stored: &Stored<'_>,
    config: &SetupConfig,
    suspects: Vec<Range<u64>>,
    look: Look,
    events: &Events,
    mended: &mut Mended,
) -> Result<(), SetupError> {
    let mut suspects = joined(suspects);
    for _ in 0..ROUNDS {
        let found = stored.examine(suspects, look, events).await?;
        if found.is_clean() {
            return Ok(());
        }
        let send = stored.to_send(found).await?;
        mended.rounds += 1;
        let mut sent = Sent::default();
        let inserted =
            crate::insert::insert(stored.admin, config, send.clone(), stored.patience, events, &mut sent)
                .await;
        mended.rows += sent.rows;
        mended.bytes += sent.bytes;
        inserted?;
        suspects = joined(send.into_iter().chain(sent.uncertain).collect());
    }
    let found =
        stored.patience.ask(|| stored.admin.count(stored.collection, None, Consistency::Strong)).await?;
    Err(SetupError::Count { collection: stored.collection.to_owned(), expected: config.rows, found })
}
