//! What the monitor has written by another thread: a disk that stands still must not keep it from
//! hearing Ctrl-C or from ending the load.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use squall_core::run_dir::RunDirError;

use crate::error::unwritable;
use crate::pin::Pinning;

type Job = (&'static str, Box<dyn FnOnce() -> Result<(), RunDirError> + Send>);

/// The thread that writes.
pub(crate) struct Aside {
    jobs: Sender<Job>,
    thread: JoinHandle<()>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Jobs that are not done.
    open: AtomicU32,
    failure: Mutex<Option<String>>,
}

impl Aside {
    /// Starts the thread, which stays off the workers' cores.
    pub(crate) fn start(pinning: Pinning) -> std::io::Result<Self> {
        let (jobs, given) = channel::<Job>();
        let shared = Arc::new(Shared::default());
        let told = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("squall-aside".to_owned()).spawn(move || {
            // Where that is forbidden, it runs where it may.
            let _ = pinning.keep_off();
            for (what, write) in given {
                if let Err(error) = write() {
                    let reason = unwritable(what, &error);
                    told.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
                }
                told.open.fetch_sub(1, Ordering::Release);
            }
        })?;
        Ok(Self { jobs, thread, shared })
    }

    /// Has something written, which `what` names should it fail; never waits.
    pub(crate) fn write(
        &self,
        what: &'static str,
        write: impl FnOnce() -> Result<(), RunDirError> + Send + 'static,
    ) {
        self.shared.open.fetch_add(1, Ordering::Relaxed);
        // The thread takes jobs until this end is gone.
        let _ = self.jobs.send((what, Box::new(write)));
    }

    /// Whether something is still being written.
    pub(crate) fn is_busy(&self) -> bool {
        self.shared.open.load(Ordering::Acquire) > 0
    }

    /// Why something could not be written, told once.
    pub(crate) fn failure(&self) -> Option<String> {
        self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Waits until everything is written.
    pub(crate) fn finish(self) {
        drop(self.jobs);
        // A panic was printed by its own thread.
        let _ = self.thread.join();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_something_written_does_not_wait_for_a_disk_that_stands_still() {
        let aside = Aside::start(Pinning::default()).unwrap();
        assert!(!aside.is_busy());
        let (go_on, stands_still) = channel::<()>();
        aside.write("one", move || {
            let _ = stands_still.recv();
            Ok(())
        });
        aside.write("the other", || {
            let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
            Err(RunDirError::Io { action: "writing", path: "x".into(), source })
        });
        assert!(aside.is_busy());
        assert_eq!(aside.failure(), None);
        drop(go_on);
        while aside.is_busy() {
            std::thread::yield_now();
        }
        let reason = aside.failure().unwrap();
        assert!(reason.starts_with("the other could not be written"), "{reason}");
        assert_eq!(aside.failure(), None);
        aside.finish();
    }
}
