//! What setup tells while it works; the command line draws it.

use std::time::Duration;

use serde::Serialize;

/// A step of setup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Every row of a file is looked at.
    Check,
    /// A collection of the same kind is made and dropped, to see whether the server takes it.
    Rehearse,
    /// The collection is created.
    Create,
    /// Rows that are there are counted by key range, to find those that are not.
    Count,
    /// Rows are made, encoded and sent.
    Insert,
    /// The server writes them to its storage.
    Flush,
    /// The server builds the index.
    Index,
    /// The server loads the collection into memory.
    Load,
    /// Segments are watched until they stay as they are.
    Settle,
    /// The exact neighbours of the queries are sought, from the load on.
    Truth,
    /// Rows are counted and some are read back.
    Verify,
}

impl Phase {
    /// The phase's name.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Check => "check",
            Phase::Rehearse => "rehearse",
            Phase::Create => "create",
            Phase::Count => "count",
            Phase::Insert => "insert",
            Phase::Flush => "flush",
            Phase::Index => "index",
            Phase::Load => "load",
            Phase::Settle => "settle",
            Phase::Truth => "truth",
            Phase::Verify => "verify",
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// An existing collection is dropped.
    Dropping {
        /// Its name.
        collection: String,
        /// How many rows it has, where the server says.
        rows: Option<u64>,
        /// Whether they were counted; else only those that were flushed are known of.
        counted: bool,
    },
    /// What was found of an incomplete collection.
    Resuming {
        /// Rows that it lacks.
        missing: u64,
        /// Ranges of keys of which some have more than one row.
        doubled: usize,
    },
    /// Something does not work at the moment and is tried again.
    Waiting {
        /// Why.
        reason: String,
    },
    /// It works again.
    Resumed,
    /// A phase begins; `total` is what progress counts up to.
    Started {
        /// Which.
        phase: Phase,
        /// Rows, per cent, or nothing that can be counted (0).
        total: u64,
    },
    /// So much of the phase's total is done.
    Progress {
        /// Which.
        phase: Phase,
        /// So much.
        done: u64,
    },
    /// A phase ended.
    Finished {
        /// Which.
        phase: Phase,
        /// How long it took.
        took: Duration,
    },
}

/// Where events go; a closed receiver is no reason to stop seeding.
#[derive(Clone, Debug)]
pub struct Events(std::sync::mpsc::Sender<Event>);

impl Events {
    /// A pair of sender and receiver.
    pub fn channel() -> (Self, std::sync::mpsc::Receiver<Event>) {
        let (sender, receiver) = std::sync::mpsc::channel();
        (Self(sender), receiver)
    }

    pub(crate) fn send(&self, event: Event) {
        let _ = self.0.send(event);
    }

    pub(crate) fn progress(&self, phase: Phase, done: u64) {
        self.send(Event::Progress { phase, done });
    }
}
