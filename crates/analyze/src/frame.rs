//! All rows of a run as columns, with response time, backlog and lag already taken apart.

use squall_core::row::Outcome;

use crate::rows::{PartColumns, Words};

/// The rows of a run, column by column; index `i` of every column is row `i`. Times in nanoseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frame {
    /// Since the plan's start.
    pub(crate) due_ns: Vec<i64>,
    /// `done - due`.
    pub(crate) response_ns: Vec<i64>,
    /// `ready - due`.
    pub(crate) backlog_ns: Vec<i64>,
    /// `sent - ready`; [`NEVER`] for what was not sent.
    pub(crate) lag_ns: Vec<i64>,
    /// Index into `classes`.
    pub(crate) class: Vec<u16>,
    /// Index into `stages`.
    pub(crate) stage: Vec<u16>,
    pub(crate) outcome: Vec<Outcome>,
    /// NaN where it is not known.
    pub(crate) recall: Vec<f32>,
    pub(crate) code: Vec<Option<i32>>,
    pub(crate) bytes_in: Vec<u32>,
    /// The classes' names, in the order of their first row.
    pub(crate) classes: Vec<String>,
    /// The stages' names, in the order of their first row.
    pub(crate) stages: Vec<String>,
}

/// In place of the lag of a request that was never sent.
pub(crate) const NEVER: i64 = i64::MIN;

impl Frame {
    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.due_ns.len()
    }

    /// When the outcome of row `i` was known, since the plan's start.
    pub(crate) fn done_ns(&self, i: usize) -> i64 {
        self.due_ns[i].saturating_add(self.response_ns[i])
    }

    /// `sent - ready` of row `i`.
    pub(crate) fn lag(&self, i: usize) -> Option<i64> {
        Some(self.lag_ns[i]).filter(|lag| *lag != NEVER)
    }

    /// `done - sent` of row `i`.
    pub(crate) fn service(&self, i: usize) -> Option<i64> {
        self.lag(i).map(|lag| self.response_ns[i].saturating_sub(self.backlog_ns[i]).saturating_sub(lag))
    }

    /// Adds the rows of a part.
    pub(crate) fn append(&mut self, part: &PartColumns) {
        let rows = |column: &mut Vec<i64>, values: &polars::prelude::Int64Chunked| {
            column.extend(values.iter().map(|value| value.unwrap_or(NEVER)));
        };
        rows(&mut self.due_ns, &part.due);
        rows(&mut self.response_ns, &part.response);
        rows(&mut self.backlog_ns, &part.backlog);
        rows(&mut self.lag_ns, &part.lag);
        append_words(&mut self.class, &mut self.classes, &part.class);
        append_words(&mut self.stage, &mut self.stages, &part.stage);
        let mut outcomes = Vec::new();
        self.outcome.extend(
            part.outcome
                .codes()
                .map(|code| *looked_up(&mut outcomes, code, |code| outcome(&part.outcome, code))),
        );
        self.recall.extend(part.recall.iter().map(|recall| recall.unwrap_or(f32::NAN)));
        self.code.extend(part.code.iter());
        self.bytes_in.extend(part.bytes_in.iter().map(Option::unwrap_or_default));
    }
}

fn append_words(column: &mut Vec<u16>, names: &mut Vec<String>, words: &Words) {
    let mut known = Vec::new();
    column.extend(words.codes().map(|code| {
        *looked_up(&mut known, code, |code| {
            let word = words.word(code);
            let index = names.iter().position(|name| name == word).unwrap_or_else(|| {
                names.push(word.to_owned());
                names.len() - 1
            });
            index as u16
        })
    }));
}

/// The outcome of a code; a word that this version does not know is a failure of unknown kind.
fn outcome(words: &Words, code: u32) -> Outcome {
    let word = words.word(code);
    Outcome::ALL.into_iter().find(|outcome| outcome.word() == word).unwrap_or(Outcome::ServerError)
}

/// The value of `code`, made once.
fn looked_up<T: Clone>(table: &mut Vec<Option<T>>, code: u32, make: impl FnOnce(u32) -> T) -> &T {
    let index = code as usize;
    if index >= table.len() {
        table.resize(index + 1, None);
    }
    table[index].get_or_insert_with(|| make(code))
}
