//! What a failed call means for what it was to do, and how long Squall waits for a server to come back.
//!
//! A call that the server surely did not carry out is tried again after a pause that grows
//! exponentially, with jitter so that clients do not come back all at once. When nothing has worked
//! for the bound ([`crate::SetupConfig::patience`]), setup ends and says how to go on.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rand::RngExt;
use squall_milvus::Error;

use crate::event::{Event, Events};
use crate::{SetupConfig, SetupError};

/// First pause; doubled each time up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// What became of a batch whose insert failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The server has nothing of it: it may be sent again.
    NotTaken,
    /// The server may have it, or a part: it must not be sent again before someone has looked.
    Unknown,
    /// It was too large for the server, which has nothing of it.
    TooLarge,
    /// Sending it again will not help.
    Refused,
}

/// What became of a batch whose insert failed so.
pub(crate) fn fate(error: &Error) -> Fate {
    match error {
        Error::TooLarge { .. } => Fate::TooLarge,
        // There was no connection to send it on.
        Error::Connect { .. } | Error::RateLimited { .. } => Fate::NotTaken,
        error if error.is_rejection() => Fate::NotTaken,
        Error::Lost { .. } | Error::Timeout { .. } | Error::Protocol { .. } => Fate::Unknown,
        error if error.is_transient() => Fate::Unknown,
        _ => Fate::Refused,
    }
}

/// Waits for a server that is away, busy or starting, up to a bound.
#[derive(Debug)]
pub(crate) struct Patience {
    bound: Duration,
    events: Events,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Since when nothing has worked.
    failing_since: Option<Instant>,
    failures: u32,
    retries: u64,
}

impl Patience {
    pub(crate) fn new(config: &SetupConfig, events: &Events) -> Self {
        Self { bound: config.patience, events: events.clone(), state: Mutex::default() }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // A panic cannot leave counters in a state that matters.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something worked.
    pub(crate) fn worked(&self) {
        let mut state = self.state();
        state.failures = 0;
        if state.failing_since.take().is_some() {
            self.events.send(Event::Resumed);
        }
    }

    /// How often something was, or will be, tried again.
    pub(crate) fn retries(&self) -> u64 {
        self.state().retries
    }

    /// Waits before the next attempt.
    ///
    /// # Errors
    /// When nothing has worked for longer than the bound.
    pub(crate) async fn wait(&self, error: Error) -> Result<(), SetupError> {
        let pause = {
            let mut state = self.state();
            let since = *state.failing_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= self.bound {
                return Err(SetupError::Patience { bound: self.bound, error });
            }
            state.retries += 1;
            state.failures += 1;
            FIRST_PAUSE.saturating_mul(1 << state.failures.min(10)).min(LONGEST_PAUSE)
        };
        tracing::debug!(%error, "waiting before the next attempt");
        self.events.send(Event::Waiting { reason: error.to_string() });
        let jitter = rand::rng().random_range(0.5..1.5);
        tokio::time::sleep(pause.mul_f64(jitter)).await;
        Ok(())
    }

    /// A call that may be repeated without harm, until it is answered.
    ///
    /// # Errors
    /// What will not pass by itself.
    pub(crate) async fn ask<T, F>(&self, call: impl Fn() -> F) -> Result<T, SetupError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        loop {
            match call().await {
                Ok(answer) => {
                    self.worked();
                    return Ok(answer);
                }
                Err(error) if error.is_transient() || error.is_rejection() => self.wait(error).await?,
                Err(error) => return Err(error.into()),
            }
        }
    }
}
