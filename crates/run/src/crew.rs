//! The workers of a run: threads with a runtime and connections of their own, and what they share.

use std::future::poll_fn;
use std::num::NonZero;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use squall_core::plan::{Load, Plan, Shard};
use squall_core::request::Requests;
use squall_core::truth::Truth;
use squall_core::units::nanoseconds;
use squall_milvus::{Endpoint, Protocol};
use tokio::sync::oneshot;

use crate::clock::{MonotonicClock, Timer, TimerfdAlarm};
use crate::connections::{Connections, MOST_SOCKETS};
use crate::control::Control;
use crate::error::RunError;
use crate::pin::Pinning;
use crate::preflight::Preflight;
use crate::prepare::Prepared;
use crate::queue::{ClosedLoop, ClosedQueue, DueQueue, OpenQueue, Slice};
use crate::recorder::Ring;
use crate::second::Message;
use crate::stop::{StopRequest, StopSignal};
use crate::worker::{Settings, Worker, fly};

/// Least time without a sign of the server's host after which a connection counts as broken; a longer
/// `--timeout` is waited for.
const LEAST_PATIENCE: Duration = Duration::from_secs(10);

/// What all workers read.
pub(crate) struct Shared {
    pub(crate) plan: Plan,
    pub(crate) endpoint: Endpoint,
    protocol: Protocol,
    shard: Shard,
    requests: Requests,
    pub(crate) prepared: Arc<Prepared>,
    pub(crate) control: Arc<Control>,
    pub(crate) pinning: Pinning,
    /// Whether answers go to the recorder, which scores them.
    keep_bodies: bool,
}

impl Shared {
    pub(crate) fn new(
        plan: Plan,
        endpoint: Endpoint,
        preflight: &Preflight,
        shard: Shard,
        pinning: Pinning,
        truth: Option<&Truth>,
    ) -> Result<Self, RunError> {
        Ok(Self {
            requests: Requests::new(plan.seed, &plan.workload, &plan.classes)?,
            prepared: Arc::new(Prepared::new(&plan, &endpoint, preflight, truth)?),
            control: Arc::new(Control::new(plan.threads.max(1))),
            protocol: preflight.protocol,
            plan,
            endpoint,
            shard,
            pinning,
            keep_bodies: truth.is_some(),
        })
    }

    pub(crate) fn workers(&self) -> u16 {
        self.plan.threads.max(1)
    }

    fn slice(&self, worker: u16) -> Slice {
        Slice { shard: self.shard, worker, workers: self.workers() }
    }

    /// A worker's places in flight; in a closed loop its users. Over REST there is a socket for each, or
    /// requests with a place would wait for one, which would look like the generator's doing.
    fn places(&self, worker: u16) -> u32 {
        match &self.plan.load {
            Load::Closed { users, .. } => {
                let slice = self.slice(worker);
                (0..*users).filter(|user| slice.owns(u64::from(*user))).count() as u32
            }
            Load::Open { .. } if self.protocol == Protocol::Grpc => self.share_in_flight(worker),
            Load::Open { .. } => {
                self.share_in_flight(worker).min(u32::from(self.plan.connections.max(1)) * MOST_SOCKETS)
            }
        }
    }

    /// A worker's share of the requests that the plan lets be in flight.
    fn share_in_flight(&self, worker: u16) -> u32 {
        let sharers = u64::from(self.shard.count) * u64::from(self.workers());
        let rank = u64::from(self.shard.index) + u64::from(self.shard.count) * u64::from(worker);
        let all = u64::from(self.plan.max_in_flight);
        let share = all / sharers + u64::from(rank < all % sharers);
        share.max(1) as u32
    }

    /// The most requests in flight, where these are fewer than the plan would allow this process.
    pub(crate) fn fewer_in_flight(&self) -> Option<u64> {
        let sum = |places: fn(&Self, u16) -> u32| {
            (0..self.workers()).map(|worker| u64::from(places(self, worker))).sum::<u64>()
        };
        let open = matches!(self.plan.load, Load::Open { .. });
        let most = sum(Self::places);
        (open && most < sum(Self::share_in_flight)).then_some(most)
    }

    /// Sockets that all workers open.
    pub(crate) fn sockets(&self) -> u64 {
        let connections = u64::from(self.plan.connections.max(1));
        let of_worker = |worker| match self.protocol {
            Protocol::Grpc => connections,
            Protocol::RestV2 | Protocol::RestV1 => {
                connections * u64::from(self.places(worker)).div_ceil(connections).max(1)
            }
        };
        (0..self.workers()).map(of_worker).sum()
    }

    fn settings(&self, worker: u16) -> Settings {
        let give_up = self.plan.length().map(|length| length.saturating_add(self.plan.drain));
        Settings {
            worker,
            places: self.places(worker),
            classes: if self.plan.targets.iter().any(|planned| planned.target.abort.is_some()) {
                self.plan.classes.len()
            } else {
                0
            },
            timeout_ns: nanoseconds(self.plan.timeout),
            give_up_ns: give_up.map_or(i64::MAX, nanoseconds),
        }
    }
}

/// What a worker waits for when its connections are open.
struct Go {
    clock: MonotonicClock,
    ring: Ring,
}

/// The worker threads.
pub(crate) struct Crew {
    pub(crate) inbox: Receiver<Message>,
    gates: Vec<oneshot::Sender<Go>>,
    handles: Vec<JoinHandle<()>>,
    /// Thread ids, by worker.
    pub(crate) threads: Vec<u32>,
}

impl Crew {
    /// Starts the threads, which open their connections.
    pub(crate) fn hire(shared: &Arc<Shared>) -> Result<Self, RunError> {
        let (outbox, inbox) = channel();
        let (mut gates, mut handles) = (Vec::new(), Vec::new());
        for worker in 0..shared.workers() {
            let (gate, go) = oneshot::channel();
            let (shared, outbox) = (Arc::clone(shared), outbox.clone());
            let thread = std::thread::Builder::new().name(format!("squall-worker-{worker}"));
            handles.push(thread.spawn(move || work(&shared, worker, go, &outbox))?);
            gates.push(gate);
        }
        let threads = vec![0; gates.len()];
        Ok(Self { inbox, gates, handles, threads })
    }

    /// Waits until every worker has its connections.
    pub(crate) fn wait_for_connections(&mut self, stop: &StopSignal) -> Result<(), RunError> {
        let mut missing = self.threads.len();
        while missing > 0 {
            if stop.request() != StopRequest::None {
                return Err(RunError::Stopped);
            }
            match self.inbox.recv_timeout(Duration::from_millis(10)) {
                Ok(Message::Connected(worker, connected)) => {
                    self.threads[usize::from(worker)] = connected?;
                    missing -= 1;
                }
                Ok(Message::Second(_)) | Err(RecvTimeoutError::Timeout) => {}
                Ok(Message::Ended { .. }) | Err(RecvTimeoutError::Disconnected) => {
                    return Err(std::io::Error::other("a worker's thread ended").into());
                }
            }
        }
        Ok(())
    }

    /// Opens the gates.
    pub(crate) fn go(&mut self, clock: MonotonicClock, rings: Vec<Ring>) {
        for (gate, ring) in self.gates.drain(..).zip(rings) {
            // A worker that is gone has told so, which ends the run.
            let _ = gate.send(Go { clock, ring });
        }
    }

    /// Waits for the threads; a panic was told by the worker itself.
    pub(crate) fn dismiss(self) {
        for handle in self.handles {
            let _ = handle.join();
        }
    }
}

/// Tells that a worker has ended, however it ends.
struct LastWord<'a>(&'a Sender<Message>);

impl Drop for LastWord<'_> {
    fn drop(&mut self) {
        let _ = self.0.send(Message::Ended { panicked: std::thread::panicking() });
    }
}

/// A worker's thread.
fn work(shared: &Shared, worker: u16, go: oneshot::Receiver<Go>, outbox: &Sender<Message>) {
    let _last_word = LastWord(outbox);
    // Sockets and alarms are then woken for when they are due, not up to 50 us later.
    let _ = rustix::thread::set_current_timer_slack(NonZero::new(1));
    let connected = |result| {
        let _ = outbox.send(Message::Connected(worker, result));
    };
    if let Err(error) = shared.pinning.pin_worker(worker) {
        return connected(Err(error.into()));
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return connected(Err(error.into())),
    };
    runtime.block_on(async {
        let settings = shared.settings(worker);
        let opened = Connections::open(
            Arc::clone(&shared.prepared),
            shared.endpoint.clone().with_patience(shared.plan.timeout.max(LEAST_PATIENCE)),
            shared.protocol,
            shared.plan.connections,
            settings.places,
            shared.keep_bodies,
        )
        .await;
        let link = match opened {
            Ok(connections) => Rc::new(connections),
            Err(error) => return connected(Err(error.into())),
        };
        let timer = match Timer::new() {
            Ok(timer) => timer,
            Err(error) => return connected(Err(error.into())),
        };
        let schedule = shared.plan.open_schedule();
        let slice = shared.slice(worker);
        let queue = match (&schedule, closed_loop(&shared.plan)) {
            (Some(schedule), _) => {
                DueQueue::Open(OpenQueue::new(schedule.iter(), slice, &shared.requests, Rc::clone(&link)))
            }
            (None, Some(closed)) => {
                DueQueue::Closed(ClosedQueue::new(closed, slice, &shared.requests, Rc::clone(&link)))
            }
            (None, None) => unreachable!("a load is open or closed"),
        };
        connected(Ok(rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs()));
        // The sender is dropped where the run does not begin.
        let Ok(Go { clock, ring }) = go.await else { return };
        let alarm = TimerfdAlarm::new(timer, clock);
        let control = Arc::clone(&shared.control);
        let mut worker = Worker::new(settings, clock, alarm, link, fly, queue, ring, control, outbox.clone());
        poll_fn(|cx| worker.poll(cx)).await;
    });
}

fn closed_loop(plan: &Plan) -> Option<ClosedLoop> {
    let Load::Closed { users, spawn_rate, think_time, run_time } = plan.load else { return None };
    let ramp = plan.stages().first().and_then(|stage| stage.length).unwrap_or(Duration::ZERO);
    Some(ClosedLoop {
        users,
        spawn_rate,
        think_time,
        ramp_end_ns: nanoseconds(ramp),
        end_ns: run_time.map_or(i64::MAX, nanoseconds),
    })
}
