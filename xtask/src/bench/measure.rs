//! One program run, and what it cost.

use std::{ffi::OsStr, fs, path::PathBuf, process::Command};

use anyhow::{Context, ensure};
use serde::Deserialize;

use crate::{provision, workspace};

/// What a program cost, as the kernel tells of it once it has ended.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Cost {
    exit_code: i32,
    /// From its start to its end.
    pub(super) seconds: f64,
    /// In user and kernel mode, all threads.
    pub(super) cpu_seconds: f64,
    pub(super) peak_rss_bytes: f64,
}

/// A Python script beside xtask.
pub(super) fn script(name: &str) -> PathBuf {
    workspace::root().join("xtask/python").join(name)
}

/// Runs programs under `measure.py`.
#[derive(Clone)]
pub(super) struct Stopwatch<'a> {
    pub(super) python: &'a provision::Python,
    /// Where programs run and reports are left.
    pub(super) dir: PathBuf,
}

impl Stopwatch<'_> {
    /// Runs a program, which must succeed; its cost and what it printed on stdout.
    pub(super) fn run<S: AsRef<OsStr>>(
        &self,
        program: impl AsRef<OsStr>,
        words: impl IntoIterator<Item = S>,
    ) -> anyhow::Result<(Cost, String)> {
        self.run_to(&[0], program, words)
    }

    /// As [`Stopwatch::run`], of a program that may end with one of these exit codes.
    pub(super) fn run_to<S: AsRef<OsStr>>(
        &self,
        ends: &[i32],
        program: impl AsRef<OsStr>,
        words: impl IntoIterator<Item = S>,
    ) -> anyhow::Result<(Cost, String)> {
        let report = self.dir.join("cost.json");
        let mut command = Command::new(&self.python.interpreter);
        command.arg(script("measure.py")).arg(&report).arg(program).args(words).current_dir(&self.dir);
        let shown = workspace::shown(&command);
        let output = command.output().with_context(|| format!("failed to run `{shown}`"))?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`{shown}` failed ({}): {stderr}", output.status);
        let text = fs::read_to_string(&report).context("the program's cost was not written")?;
        let cost: Cost = serde_json::from_str(&text).context("the program's cost does not read")?;
        ensure!(
            ends.contains(&cost.exit_code),
            "`{shown}` ended with exit code {}: {stderr}",
            cost.exit_code
        );
        Ok((cost, String::from_utf8_lossy(&output.stdout).into_owned()))
    }
}
