//! Which thread runs where: workers on cores of their own, everything else on the others.

use rustix::thread::{CpuSet, sched_setaffinity};

/// Cores of the workers and of the other threads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pinning {
    /// By worker; empty where nothing is pinned.
    workers: Vec<u32>,
    /// What is left for recorder and scraper; empty where nothing is.
    others: Vec<u32>,
}

impl Pinning {
    /// Pins `workers` workers to the cores of `affinity`, the last ones first: the first core of a
    /// machine takes most of its interrupts.
    pub(crate) fn new(affinity: &[u32], workers: u16) -> Self {
        let own = usize::from(workers).min(affinity.len());
        let (others, cores) = affinity.split_at(affinity.len() - own);
        let workers = cores.iter().copied().cycle().take(if own == 0 { 0 } else { usize::from(workers) });
        Self { workers: workers.collect(), others: others.to_vec() }
    }

    /// By worker.
    pub(crate) fn workers(&self) -> &[u32] {
        &self.workers
    }

    /// Whether every worker has a core that no other thread of the generator uses.
    pub(crate) fn is_exclusive(&self) -> bool {
        let mut cores = self.workers.clone();
        cores.sort_unstable();
        cores.dedup();
        cores.len() == self.workers.len() && !self.others.is_empty()
    }

    /// Pins the calling thread, which is that worker's.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn pin_worker(&self, worker: u16) -> std::io::Result<()> {
        match self.workers.get(usize::from(worker)) {
            Some(core) => pin(&[*core]),
            None => Ok(()),
        }
    }

    /// Keeps the calling thread, and those that it starts, off the workers' cores.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn keep_off(&self) -> std::io::Result<()> {
        if self.others.is_empty() { Ok(()) } else { pin(&self.others) }
    }
}

fn pin(cores: &[u32]) -> std::io::Result<()> {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core as usize);
    }
    Ok(sched_setaffinity(None, &set)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_have_the_last_cores_and_the_others_the_rest() {
        let pinning = Pinning::new(&[0, 1, 2, 5], 2);
        assert_eq!((pinning.workers(), pinning.others.as_slice()), ([2, 5].as_slice(), [0, 1].as_slice()));
        assert!(pinning.is_exclusive());
        let crowded = Pinning::new(&[0, 1], 3);
        assert_eq!(crowded.workers(), [0, 1, 0]);
        assert!(crowded.others.is_empty() && !crowded.is_exclusive());
        assert_eq!(Pinning::new(&[], 2), Pinning::default());
    }

    #[test]
    fn a_pinned_thread_runs_where_it_was_told_to() {
        let cores = crate::host::affinity();
        let last = *cores.last().unwrap();
        let found = std::thread::spawn(move || {
            Pinning::new(&cores, 1).pin_worker(0).unwrap();
            crate::host::affinity()
        });
        assert_eq!(found.join().unwrap(), [last]);
    }
}
