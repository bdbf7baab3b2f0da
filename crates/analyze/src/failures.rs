//! What failed, how often, and from when to when.

use std::collections::HashMap;

use squall_core::row::Outcome;

use crate::frame::Frame;
use crate::spans::Spans;

/// The measured requests of one class that failed in one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureGroup {
    /// What became of them.
    pub outcome: Outcome,
    /// The server's own code.
    pub code: Option<i32>,
    /// The class.
    pub class: String,
    /// How many.
    pub count: u64,
    /// When the first outcome was known, nanoseconds since the plan's start.
    pub first_ns: i64,
    /// When the last one was.
    pub last_ns: i64,
}

/// Groups the failures that are due in `spans`, the most frequent first.
pub(crate) fn group(frame: &Frame, spans: &Spans) -> Vec<FailureGroup> {
    let mut groups: HashMap<(Outcome, Option<i32>, u16), FailureGroup> = HashMap::new();
    for row in frame.rows() {
        let outcome = row.outcome();
        if outcome.is_answered() || !spans.contains(row.due_ns()) {
            continue;
        }
        let (code, class, done_ns) = (row.code(), row.class(), row.done_ns());
        let group = groups.entry((outcome, code, class)).or_insert_with(|| FailureGroup {
            outcome,
            code,
            class: frame.classes[usize::from(class)].clone(),
            count: 0,
            first_ns: done_ns,
            last_ns: done_ns,
        });
        group.count += 1;
        group.first_ns = group.first_ns.min(done_ns);
        group.last_ns = group.last_ns.max(done_ns);
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by(|a, b| {
        b.count
            .cmp(&a.count)
            .then_with(|| (a.outcome as u8, &a.class, a.code).cmp(&(b.outcome as u8, &b.class, b.code)))
    });
    groups
}
