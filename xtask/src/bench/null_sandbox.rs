//! A sandbox that throws rows away and gives every search the same answer, in a process of its own.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, ensure};

/// The process ends with this value.
pub(super) struct NullSandbox {
    pub(super) uri: String,
    pub(super) process: Child,
}

impl NullSandbox {
    /// Starts `squall` as `spawn` does, and waits for its address.
    pub(super) fn start(
        squall: &Path,
        spawn: impl FnOnce(&mut Command) -> anyhow::Result<Child>,
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(squall);
        command
            .args(["sandbox", "--engine", "null", "--port", "0", "--exit-with-stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = spawn(&mut command)?;
        let stdout = process.stdout.take().context("the sandbox has no output")?;
        let mut sandbox = Self { uri: String::new(), process };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).context("failed to read the sandbox's output")?;
        let uri = line.trim().strip_prefix("listening on ");
        ensure!(uri.is_some(), "the sandbox did not start: {line}");
        uri.unwrap_or_default().clone_into(&mut sandbox.uri);
        Ok(sandbox)
    }
}

impl Drop for NullSandbox {
    fn drop(&mut self) {
        // The end of its input ends the sandbox.
        drop(self.process.stdin.take());
        // Nothing is left to do about one that cannot be waited for.
        let _ = self.process.wait();
    }
}
