//! The way every search goes, whatever the engine and the protocol: arrival → a free slot, first come
//! first served → the end of a stall → the work → the injected delay → the answer, and one line in the
//! log. A rejected search is turned away on arrival: it takes no slot and waits for nothing.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    clock::now_ns,
    config::SandboxConfig,
    faults::{Draw, Fate, Faults},
    log::{Asked, LogSender, Outcome, Record},
    metrics::{Metrics, Standing},
    timer::Timer,
};

/// How a search that went through the gate is to be answered.
#[derive(Debug)]
pub(crate) enum Passage<T> {
    /// With what the work gave.
    Served(T),
    /// With an in-band error, code 65535.
    Error,
    /// As rate-limited, code 8 with legacy code 49.
    Rejected,
    /// Not at all: reset the stream or connection.
    Dropped,
}

/// What the work reports to the log.
pub(crate) struct Worked<T> {
    pub(crate) answer: T,
    pub(crate) failed: bool,
    pub(crate) asked: Option<Asked>,
}

/// One for each sandbox.
pub(crate) struct Gate {
    faults: Faults,
    arrivals: Mutex<Arrivals>,
    /// tokio's semaphore is fair: permits go out in the order of the requests for them.
    slots: Option<Arc<Semaphore>>,
    timer: Timer,
    log: Option<LogSender>,
    metrics: Metrics,
    /// No slots, no faults: a search can be answered without waiting for anything.
    open: bool,
}

#[derive(Default)]
struct Arrivals {
    next_number: u64,
    /// Arrival of the first search, from which stalls count.
    first_ns: Option<u64>,
}

/// A search that has just arrived.
#[derive(Clone, Copy)]
struct Arrival {
    number: u64,
    received_ns: u64,
    first_ns: u64,
}

impl Arrivals {
    fn next(&mut self) -> Arrival {
        let received_ns = now_ns();
        let number = self.next_number;
        self.next_number += 1;
        Arrival { number, received_ns, first_ns: *self.first_ns.get_or_insert(received_ns) }
    }
}

impl Gate {
    pub(crate) fn new(config: &SandboxConfig, timer: Timer, log: Option<LogSender>) -> Self {
        let faults = Faults::new(config);
        let open = faults.none() && config.slots.is_none();
        Self {
            faults,
            arrivals: Mutex::default(),
            slots: config.slots.map(|slots| Arc::new(Semaphore::new(slots.get()))),
            timer,
            log,
            metrics: Metrics::default(),
            open,
        }
    }

    /// For the null engine: if nothing can hold a search up, notes one that is answered now.
    pub(crate) fn pass_at_once(&self) -> bool {
        if !self.open {
            return false;
        }
        if self.log.is_none() {
            self.metrics.ended(0, 0, true);
        }
        if let Some(log) = &self.log {
            let Arrival { number, received_ns, .. } = self.arrivals().next();
            log.send(Record {
                number,
                received_ns,
                started_ns: Some(received_ns),
                done_ns: now_ns(),
                delay_ns: 0,
                outcome: Outcome::Ok,
                asked: None,
            });
            self.metrics.ended(now_ns().saturating_sub(received_ns), 0, true);
        }
        true
    }

    /// What the metrics page says of the searches.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    fn arrivals(&self) -> std::sync::MutexGuard<'_, Arrivals> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Numbers a search, decides its fate and lines it up for a slot, all in one step: two searches
    /// that arrive at once get slots in the order of their numbers.
    async fn arrive(&self) -> (Arrival, Draw, impl Future<Output = Option<OwnedSemaphorePermit>>) {
        let mut slot = Box::pin(self.slot());
        let (arrival, draw, first) = std::future::poll_fn(|context| {
            let mut arrivals = self.arrivals();
            let arrival = arrivals.next();
            let draw = self.faults.draw(arrival.number);
            let first = match draw.fate {
                Fate::Rejected => Poll::Ready(None),
                _ => slot.as_mut().poll(context),
            };
            Poll::Ready((arrival, draw, first))
        })
        .await;
        let slot = async move {
            match first {
                Poll::Ready(slot) => slot,
                Poll::Pending => slot.await,
            }
        };
        (arrival, draw, slot)
    }

    /// Leads one search through. Dropping the future (the client went away) logs it as cancelled.
    pub(crate) async fn pass<T, F>(&self, work: impl FnOnce() -> F) -> Passage<T>
    where
        F: Future<Output = Worked<T>>,
    {
        let (Arrival { number, received_ns, first_ns }, Draw { fate, delay }, slot) = self.arrive().await;
        let delay_ns = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
        let mut line = Line {
            log: self.log.as_ref(),
            metrics: &self.metrics,
            standing: self.metrics.arrive(),
            record: Some(Record {
                number,
                received_ns,
                started_ns: None,
                done_ns: received_ns,
                delay_ns,
                outcome: Outcome::Cancelled,
                asked: None,
            }),
        };
        if fate == Fate::Rejected {
            line.end(Outcome::Rejected, None);
            return Passage::Rejected;
        }
        let _slot = slot.await;
        let started_ns = now_ns();
        line.started(started_ns);
        let since_first = Duration::from_nanos(started_ns.saturating_sub(first_ns));
        let begin = self.faults.begin(since_first);
        let stalled = begin > since_first;
        if stalled {
            let end_ns = first_ns.saturating_add(u64::try_from(begin.as_nanos()).unwrap_or(u64::MAX));
            self.timer.sleep_until(end_ns).await;
        }
        // An injected failure does no work; its delay counts from the same instant.
        let worked = match fate {
            Fate::Served => Some(work().await),
            _ => None,
        };
        if delay_ns > 0 {
            let from_ns = if stalled || worked.is_some() { now_ns() } else { started_ns };
            self.timer.sleep_until(from_ns.saturating_add(delay_ns)).await;
        }
        match (worked, fate) {
            (Some(Worked { answer, failed, asked }), _) => {
                let outcome = match (failed, stalled) {
                    (true, _) => Outcome::Error,
                    (false, true) => Outcome::Stalled,
                    (false, false) => Outcome::Ok,
                };
                line.end(outcome, asked);
                Passage::Served(answer)
            }
            (None, Fate::Dropped) => {
                line.end(Outcome::Dropped, None);
                Passage::Dropped
            }
            (None, _) => {
                line.end(Outcome::Error, None);
                Passage::Error
            }
        }
    }

    async fn slot(&self) -> Option<OwnedSemaphorePermit> {
        match &self.slots {
            // Never closed, so the only error there is cannot be.
            Some(slots) => Arc::clone(slots).acquire_owned().await.ok(),
            None => None,
        }
    }
}

/// The line of a search under way; written when it ends, or as cancelled when it is dropped.
struct Line<'a> {
    log: Option<&'a LogSender>,
    metrics: &'a Metrics,
    standing: Standing<'a>,
    record: Option<Record>,
}

impl Line<'_> {
    fn started(&mut self, at_ns: u64) {
        if let Some(record) = &mut self.record {
            record.started_ns = Some(at_ns);
        }
        self.standing.execute();
    }

    fn end(&mut self, outcome: Outcome, asked: Option<Asked>) {
        let Some(mut record) = self.record.take() else { return };
        record.done_ns = now_ns();
        record.outcome = outcome;
        record.asked = asked;
        let queue_ns = record.started_ns.unwrap_or(record.done_ns).saturating_sub(record.received_ns);
        let served = matches!(outcome, Outcome::Ok | Outcome::Stalled);
        self.metrics.ended(record.done_ns.saturating_sub(record.received_ns), queue_ns, served);
        if let Some(log) = self.log {
            log.send(record);
        }
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        if self.record.is_some() {
            self.end(Outcome::Cancelled, None);
        }
    }
}
