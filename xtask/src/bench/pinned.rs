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

/// What a running process has had of the CPU so far, in seconds: the threads that it has now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Used {
    pub(super) cpu_seconds: f64,
    /// Ready to run while the core did something else.
    pub(super) waited_seconds: f64,
}

/// Asks the kernel what a running process used.
pub(super) fn used(process: &Child) -> anyhow::Result<Used> {
    let dir = format!("/proc/{}/task", process.id());
    let (mut used_ns, mut waited_ns) = (0_u64, 0_u64);
    for thread in fs::read_dir(&dir).with_context(|| format!("failed to read {dir}"))? {
        let path = thread?.path().join("schedstat");
        // A thread may end while it is looked at.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let mut numbers = text.split_whitespace().map(str::parse::<u64>);
        let mut next = || numbers.next().context("schedstat is too short")?.context("schedstat is no number");
        used_ns += next()?;
        waited_ns += next()?;
    }
    ensure!(used_ns > 0, "this kernel does not tell what a thread used (schedstat)");
    Ok(Used { cpu_seconds: used_ns as f64 / 1e9, waited_seconds: waited_ns as f64 / 1e9 })
}
