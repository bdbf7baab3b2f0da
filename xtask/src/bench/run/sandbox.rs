//! The null sandbox on its core, with a collection, and what it used.

use std::process::Command;

use super::{
    super::{
        null_sandbox::NullSandbox,
        pinned::{self, Cores},
    },
    Bench, COLLECTION, DIMENSION,
};
use crate::workspace;

/// Rows of the collection: the answers are the same whatever it has.
const ROWS: u32 = 1_000;

/// The sandbox and its collection; its process ends with this value.
pub(super) struct Sandbox(NullSandbox);

impl Sandbox {
    pub(super) fn start(bench: &Bench<'_>, cores: &Cores) -> anyhow::Result<Self> {
        let sandbox = NullSandbox::start(&bench.squall, |command| cores.spawn(command))?;
        let fill = format!(
            "setup --uri {} --collection-name {COLLECTION} --num-vectors {ROWS} --dimension {DIMENSION} \
             --settle 0s --ground-truth 0 --format json",
            sandbox.uri
        );
        workspace::output(
            Command::new(&bench.squall).args(fill.split_whitespace()).current_dir(&bench.stopwatch.dir),
        )?;
        Ok(Self(sandbox))
    }

    pub(super) fn uri(&self) -> &str {
        &self.0.uri
    }

    /// Does something; what it gave, and the CPU seconds that the sandbox used meanwhile.
    pub(super) fn during<T>(&self, what: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<(T, f64)> {
        let before = pinned::used_seconds(&self.0.process)?;
        let done = what()?;
        Ok((done, pinned::used_seconds(&self.0.process)? - before))
    }
}
