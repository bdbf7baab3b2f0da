//! The threads that do the work of the engine. Searches and inserts burn milliseconds of CPU; on the
//! runtime's own threads they would hold up every other connection's frames, and with them the times
//! at which requests are seen to arrive. tokio's blocking pool grows to hundreds of threads, which on
//! two cores only fight; this one has as many threads as the machine has cores and takes jobs in the
//! order of their arrival.

use std::{
    collections::VecDeque,
    io,
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::JoinHandle,
};

use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// Dropping it lets the jobs that wait go unanswered and ends the threads.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    ready: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    closed: bool,
}

/// A job gave no result: it panicked, or the sandbox ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lost;

impl Pool {
    /// Threads of a pool on this machine.
    pub(crate) fn width() -> usize {
        std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
    }

    pub(crate) fn start() -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let mut pool = Self { shared: Arc::clone(&shared), threads: Vec::new() };
        for number in 0..Self::width() {
            let shared = Arc::clone(&shared);
            let thread = std::thread::Builder::new().name(format!("squall-work-{number}"));
            pool.threads.push(thread.spawn(move || shared.work())?);
        }
        Ok(pool)
    }

    /// Runs `job` on one of the threads.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Lost> {
        let (sender, receiver) = oneshot::channel();
        self.shared.lock().jobs.push_back(Box::new(move || {
            // Nobody waits any more: do not work for nothing.
            if !sender.is_closed() {
                let _ = sender.send(job());
            }
        }));
        self.shared.ready.notify_one();
        receiver.await.map_err(|_| Lost)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        {
            let mut queue = self.shared.lock();
            queue.closed = true;
            queue.jobs.clear();
        }
        self.shared.ready.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        loop {
            let mut queue = self.lock();
            let job = loop {
                if queue.closed {
                    return;
                }
                match queue.jobs.pop_front() {
                    Some(job) => break job,
                    None => queue = self.ready.wait(queue).unwrap_or_else(PoisonError::into_inner),
                }
            };
            drop(queue);
            // The thread outlives a job that panics; the asker sees `Lost`, the panic hook has spoken.
            let _ = catch_unwind(AssertUnwindSafe(job));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_job_that_panics_is_lost_and_the_next_one_runs() {
        let pool = Pool::start().unwrap();
        for _ in 0..2 * Pool::width() {
            assert_eq!(pool.run(|| -> u8 { std::panic::resume_unwind(Box::new(())) }).await, Err(Lost));
        }
        assert_eq!(pool.run(|| 7).await, Ok(7));
    }
}
