//! The null sandbox on its core, with a collection, and what it used.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, ensure};

use super::{
    super::pinned::{self, Cores, Used},
    Bench, COLLECTION, DIMENSION,
};
use crate::workspace;

/// Rows of the collection: the answers are the same whatever it has.
const ROWS: u32 = 1_000;

/// A sandbox that gives every search the same answer, in a process that ends with this value.
pub(super) struct Sandbox {
    pub(super) uri: String,
    process: Child,
}

impl Sandbox {
    pub(super) fn start(bench: &Bench<'_>, cores: &Cores) -> anyhow::Result<Self> {
        let mut command = Command::new(&bench.squall);
        command
            .args(["sandbox", "--engine", "null", "--port", "0", "--exit-with-stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = cores.spawn(&mut command)?;
        let stdout = process.stdout.take().context("the sandbox has no output")?;
        let mut sandbox = Self { uri: String::new(), process };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).context("failed to read the sandbox's output")?;
        let uri = line.trim().strip_prefix("listening on ");
        ensure!(uri.is_some(), "the sandbox did not start: {line}");
        uri.unwrap_or_default().clone_into(&mut sandbox.uri);
        let fill = format!(
            "setup --uri {} --collection-name {COLLECTION} --num-vectors {ROWS} --dimension {DIMENSION} \
             --settle 0s --ground-truth 0 --format json",
            sandbox.uri
        );
        workspace::output(
            Command::new(&bench.squall).args(fill.split_whitespace()).current_dir(&bench.stopwatch.dir),
        )?;
        Ok(sandbox)
    }

    /// Does something; what it gave, and what the sandbox used meanwhile.
    pub(super) fn during<T>(&self, what: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<(T, Used)> {
        let before = pinned::used(&self.process)?;
        let done = what()?;
        let after = pinned::used(&self.process)?;
        let used = Used {
            cpu_seconds: after.cpu_seconds - before.cpu_seconds,
            waited_seconds: after.waited_seconds - before.waited_seconds,
        };
        Ok((done, used))
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // The end of its input ends the sandbox.
        drop(self.process.stdin.take());
        // Nothing is left to do about one that cannot be waited for.
        let _ = self.process.wait();
    }
}
