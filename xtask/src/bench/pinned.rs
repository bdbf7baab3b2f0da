//! Cores: a process on one of them, and what it used there.

use std::{
    fs,
    process::{Child, Command},
    thread,
};

use anyhow::{Context, ensure};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Cores, by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cores(pub(super) Vec<usize>);

impl Cores {
    /// Those that this process may use.
    pub(super) fn allowed() -> anyhow::Result<Self> {
        let allowed = sched_getaffinity(None).context("failed to ask for this process's cores")?;
        Ok(Self((0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).collect()))
    }

    /// Does something in a thread that these cores alone run; what it starts stays there too.
    pub(super) fn run<T: Send>(&self, what: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
        let mut set = CpuSet::new();
        self.0.iter().for_each(|&core| set.set(core));
        let pinned = || {
            sched_setaffinity(None, &set).with_context(|| format!("failed to keep to cores {:?}", self.0))?;
            what()
        };
        thread::scope(|scope| scope.spawn(pinned).join())
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Starts a program there.
    pub(super) fn spawn(&self, command: &mut Command) -> anyhow::Result<Child> {
        self.run(|| command.spawn().with_context(|| format!("failed to start {:?}", command.get_program())))
    }
}

/// CPU that a running process has had so far, in seconds: that of the threads that it has now.
pub(super) fn used_seconds(process: &Child) -> anyhow::Result<f64> {
    let dir = format!("/proc/{}/task", process.id());
    let mut used_ns = 0_u64;
    for thread in fs::read_dir(&dir).with_context(|| format!("failed to read {dir}"))? {
        let path = thread?.path().join("schedstat");
        // A thread may end while it is looked at.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let used = text.split_whitespace().next().context("schedstat is empty")?;
        used_ns += used.parse::<u64>().context("schedstat is no number")?;
    }
    ensure!(used_ns > 0, "this kernel does not tell what a thread used (schedstat)");
    Ok(used_ns as f64 / 1e9)
}
