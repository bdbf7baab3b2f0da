//! While the load goes on: the live line each second, the generator's health, and the reasons to end
//! early. Runs on the thread that called [`crate::execute()`], never on a worker's.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use hdrhistogram::Histogram;
use squall_core::run_dir::RunDir;
use squall_core::run_record::RunRecord;
use squall_core::units::{format_duration, nanoseconds};

use crate::abort::Abort;
use crate::aside::Aside;
use crate::clock::Clock;
use crate::control::Control;
use crate::events::{Event, Events, LiveLine};
use crate::health::{self, Health};
use crate::link::Hopeless;
use crate::recorder::Recorder;
use crate::second::{Message, Second};
use crate::stop::{StopRequest, StopSignal};
use crate::warm_up::{AutoWarmUp, WarmedUp};

const SECOND_NS: i64 = 1_000_000_000;

/// How long after a second its line is made: by then every worker that has CPU has told of it.
const GRACE_NS: i64 = 100_000_000;

/// How soon a stop is noticed.
const PAUSE: Duration = Duration::from_millis(10);

/// Seconds between two versions of `generator.parquet`.
const WRITE_EVERY: u64 = 5;

/// How long every answer must say the same until the run has no point.
const HOPELESS_FOR_NS: i64 = 10 * SECOND_NS;

/// Time for answers when the run ends because it has no point.
const HOPELESS_DRAIN: Duration = Duration::from_secs(2);

/// What the monitor is told of the plan.
pub(crate) struct Watched {
    pub(crate) workers: u16,
    pub(crate) planned: Option<u64>,
    pub(crate) length: Option<Duration>,
    pub(crate) drain: Duration,
    pub(crate) collection: String,
    pub(crate) uri: String,
    pub(crate) give_up: Option<Duration>,
    /// Names of the plan's classes.
    pub(crate) classes: Vec<String>,
}

/// Why the load ended before its plan did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Early {
    /// It was stopped.
    Stopped,
    /// It could not go on, in one sentence.
    Failed(String),
    /// A target ended it, as the plan says; in one sentence.
    Aborted(String),
}

/// What the monitor knows at the end.
pub(crate) struct Watch {
    /// Sums over the run.
    pub(crate) counted: Second,
    /// When nothing more was sent, and why, where that was early.
    pub(crate) early: Option<(i64, Early)>,
    /// Length of a warm-up that ended by itself.
    pub(crate) warm_up_ns: Option<i64>,
}

/// Watches a load.
pub(crate) struct Monitor<'a, C> {
    pub(crate) watched: Watched,
    pub(crate) clock: C,
    pub(crate) inbox: &'a Receiver<Message>,
    pub(crate) control: Arc<Control>,
    pub(crate) recorder: &'a Recorder,
    pub(crate) health: &'a mut Health,
    pub(crate) run_dir: &'a RunDir,
    pub(crate) aside: &'a Aside,
    pub(crate) events: &'a Events,
    pub(crate) stop: &'a StopSignal,
    pub(crate) auto_warm_up: Option<AutoWarmUp>,
    pub(crate) aborts: Vec<Abort>,
    /// Rewritten when the warm-up has ended, so that a kill does not lose that.
    pub(crate) record: &'a mut RunRecord,
}

/// What a worker told since the last line, and how it stood then.
#[derive(Clone, Copy, Default)]
struct Told {
    in_flight: u32,
    backlog: u64,
    recorder_queue: u64,
    answered: u64,
    over_ns: i64,
}

/// What changes while it watches.
struct State {
    total: Second,
    /// Sums of this second, over the workers that told of it.
    second: Second,
    /// By worker.
    told: Vec<Told>,
    ended: u16,
    early: Option<(i64, Early)>,
    drain_told: bool,
    hopeless_since_ns: Option<i64>,
    unanswered_since_ns: Option<i64>,
    warm_up_ns: Option<i64>,
    lines: u64,
    /// (Sum of recall, rows with one) by class at the last line.
    scored: Vec<(f64, u64)>,
}

impl<C: Clock> Monitor<'_, C> {
    /// Watches until every worker has ended.
    pub(crate) fn run(mut self) -> Watch {
        let mut state = State {
            total: Second::new(0, 0),
            second: self.no_second(0),
            told: vec![Told::default(); usize::from(self.watched.workers)],
            ended: 0,
            early: None,
            drain_told: false,
            hopeless_since_ns: None,
            unanswered_since_ns: None,
            warm_up_ns: None,
            lines: 0,
            scored: vec![(0.0, 0); self.watched.classes.len()],
        };
        let (mut begun, mut next_ns) = (false, SECOND_NS);
        while state.ended < self.watched.workers {
            // Nobody tells anything before time 0, which is to be seen as it comes.
            let to_zero_ns = -self.clock.now_ns();
            let pause =
                if begun { PAUSE } else { PAUSE.min(Duration::from_nanos(to_zero_ns.max(0).unsigned_abs())) };
            match self.inbox.recv_timeout(pause) {
                Ok(message) => self.take(&mut state, message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let now_ns = self.clock.now_ns();
            if !begun && now_ns >= 0 {
                begun = true;
                self.health.begin();
            }
            if now_ns >= next_ns + GRACE_NS {
                next_ns = now_ns / SECOND_NS * SECOND_NS;
                self.tell_second(&mut state, next_ns);
                next_ns += SECOND_NS;
            }
            self.look_for_an_end(&mut state, now_ns);
        }
        while let Ok(message) = self.inbox.try_recv() {
            self.take(&mut state, message);
        }
        let end_ns = self.clock.now_ns();
        self.tell_second(&mut state, end_ns);
        if let Some(auto) = &self.auto_warm_up {
            let stop_ns = state.early.as_ref().map_or(end_ns, |(stop_ns, _)| *stop_ns);
            state.warm_up_ns = Some(auto.at_the_end(stop_ns));
        }
        Watch { counted: state.total, early: state.early, warm_up_ns: state.warm_up_ns }
    }

    fn take(&mut self, state: &mut State, message: Message) {
        match message {
            Message::Connected(..) => {}
            Message::Second(second) => {
                self.health.worker(&second);
                let told = &mut state.told[usize::from(second.worker)];
                (told.in_flight, told.backlog) = (second.in_flight, second.backlog);
                told.recorder_queue = second.recorder_queue;
                told.answered += second.answered;
                told.over_ns += second.end_ns - second.start_ns;
                state.second.add(&second);
            }
            Message::Ended { panicked } => {
                state.ended += 1;
                if panicked {
                    let reason =
                        "a worker panicked, which is a defect of Squall's; please report it".to_owned();
                    self.end(state, self.clock.now_ns(), Duration::ZERO, Early::Failed(reason));
                }
            }
        }
    }

    /// The line of the second that ended at `end_ns`, and the health of the process.
    fn tell_second(&mut self, state: &mut State, end_ns: i64) {
        let mut second = std::mem::replace(&mut state.second, self.no_second(end_ns));
        second.end_ns = end_ns;
        second.in_flight = state.told.iter().map(|told| told.in_flight).sum();
        second.backlog = state.told.iter().map(|told| told.backlog).sum();
        second.recorder_queue = state.told.iter().map(|told| told.recorder_queue).sum();
        let mut rate = 0.0;
        for told in &mut state.told {
            // Each over its own time, since a worker that is short of CPU tells late.
            let over_ns = std::mem::take(&mut told.over_ns).max(1);
            rate += std::mem::take(&mut told.answered) as f64 * 1e9 / over_ns as f64;
        }
        if second.end_ns > second.start_ns {
            self.health.process(&second);
        }
        state.total.add(&second);
        self.look_for_hopelessness(state, &second);
        self.look_for_silence(state, &second);
        self.look_for_an_abort(state, &second);
        self.look_for_warmth(state, &second);
        let percentile = |q| percentile(&second.response_ns, q);
        let line = LiveLine {
            elapsed: Duration::from_nanos(end_ns.max(0).unsigned_abs()),
            rate,
            in_flight: second.in_flight,
            backlog: second.backlog,
            p50: percentile(0.50),
            p95: percentile(0.95),
            p99: percentile(0.99),
            recall: self.recall_since(&mut state.scored),
            errors: state.total.failed,
            done: state.total.done,
            planned: self.watched.planned,
            length: self.watched.length,
        };
        if state.ended < self.watched.workers {
            let _ = self.events.send(Event::Second(line));
        }
        state.lines += 1;
        // A write that is still under way is followed by one that has all rows.
        if state.lines.is_multiple_of(WRITE_EVERY)
            && !self.aside.is_busy()
            && let Some(rows) = self.health.unwritten()
        {
            let run_dir = self.run_dir.clone();
            self.aside.write("what the generator notes of itself", move || health::write(&run_dir, rows));
        }
    }

    /// Everything that ends the load, planned or not.
    fn look_for_an_end(&mut self, state: &mut State, now_ns: i64) {
        if self.recorder.has_failed() {
            // The recorder's own error says more; it is taken from there.
            self.end(state, now_ns, Duration::ZERO, Early::Failed(String::new()));
        }
        if let Some(reason) = self.aside.failure() {
            self.end(state, now_ns, Duration::ZERO, Early::Failed(reason));
        }
        match self.stop.request() {
            StopRequest::None => {}
            StopRequest::Drain(drain) => {
                let drain = drain.map_or(self.watched.drain, |drain| drain.min(self.watched.drain));
                self.end(state, now_ns, drain, Early::Stopped);
            }
            StopRequest::Abort => self.end(state, now_ns, Duration::ZERO, Early::Stopped),
        }
        let end_ns = self.watched.length.map_or(i64::MAX, nanoseconds);
        if now_ns >= end_ns
            && state.early.is_none()
            && !state.drain_told
            && state.ended < self.watched.workers
        {
            state.drain_told = true;
            self.tell_drain(state, false, self.watched.drain);
        }
    }

    /// Ends the load now; a second call can only shorten the wait for answers.
    fn end(&mut self, state: &mut State, now_ns: i64, drain: Duration, early: Early) {
        let first = state.early.is_none();
        let (stop_ns, _) = state.early.get_or_insert((now_ns, early));
        let stop_ns = *stop_ns;
        let give_up_ns = if drain.is_zero() { now_ns } else { stop_ns.saturating_add(nanoseconds(drain)) };
        self.control.stop(stop_ns, give_up_ns);
        if first {
            self.tell_drain(state, true, drain);
        }
    }

    fn tell_drain(&self, state: &State, stopped: bool, at_most: Duration) {
        let in_flight = state.told.iter().map(|told| told.in_flight).sum();
        let _ = self.events.send(Event::Draining { in_flight, stopped, at_most });
    }

    /// Ends the load when for ten seconds every answer said that it has no point.
    fn look_for_hopelessness(&mut self, state: &mut State, second: &Second) {
        if second.answers == 0 {
            return;
        }
        if second.hopeless.iter().sum::<u64>() < second.answers {
            state.hopeless_since_ns = None;
            return;
        }
        let since_ns = *state.hopeless_since_ns.get_or_insert(second.start_ns);
        if second.end_ns - since_ns < HOPELESS_FOR_NS || state.early.is_some() {
            return;
        }
        let most = second.hopeless.iter().enumerate().max_by_key(|(_, count)| **count);
        let reason = Hopeless::ALL[most.map_or(0, |(index, _)| index)];
        let reason = sentence(reason, &self.watched.collection, &self.watched.uri);
        self.end(state, second.end_ns, HOPELESS_DRAIN, Early::Failed(reason));
    }
}

impl<C: Clock> Monitor<'_, C> {
    /// Mean recall by class of what was scored since the last call.
    fn recall_since(&self, last: &mut Vec<(f64, u64)>) -> Vec<(String, f64)> {
        let Some(scores) = self.recorder.scores() else { return Vec::new() };
        let now = scores.sums();
        let last = std::mem::replace(last, now.clone());
        let mut means = Vec::new();
        for ((class, now), last) in self.watched.classes.iter().zip(now).zip(last) {
            let rows = now.1.saturating_sub(last.1);
            if rows > 0 {
                means.push((class.clone(), ((now.0 - last.0) / rows as f64).clamp(0.0, 1.0)));
            }
        }
        means
    }

    /// Ends the load when nothing was answered for as long as the plan bears.
    fn look_for_silence(&mut self, state: &mut State, second: &Second) {
        let Some(give_up) = self.watched.give_up else { return };
        let asked = second.done > 0 || second.in_flight > 0 || second.backlog > 0;
        if second.answered > 0 || !asked {
            state.unanswered_since_ns = None;
            return;
        }
        let since_ns = *state.unanswered_since_ns.get_or_insert(second.start_ns);
        if second.end_ns - since_ns >= nanoseconds(give_up) && state.early.is_none() {
            let reason = format!(
                "no request was answered for {} (--give-up), from {:.1} s after the start on",
                format_duration(give_up),
                since_ns as f64 / 1e9
            );
            self.end(state, self.clock.now_ns(), HOPELESS_DRAIN, Early::Failed(reason));
        }
    }

    /// Ends the load when a target says so.
    fn look_for_an_abort(&mut self, state: &mut State, second: &Second) {
        let reasons: Vec<String> = self.aborts.iter_mut().filter_map(|abort| abort.second(second)).collect();
        if let Some(reason) = reasons.into_iter().next()
            && state.early.is_none()
        {
            let _ = self.events.send(Event::Warning(format!("the load ends: {reason}")));
            // Now, not at the end of that second: requests have been sent since.
            self.end(state, self.clock.now_ns(), self.watched.drain, Early::Aborted(reason));
        }
    }

    /// Sums of nothing, which begin now.
    fn no_second(&self, start_ns: i64) -> Second {
        let classes = if self.aborts.is_empty() { 0 } else { self.watched.classes.len() };
        Second::new(0, start_ns).with_classes(classes)
    }

    /// Notes the end of a warm-up that ends by itself.
    fn look_for_warmth(&mut self, state: &mut State, second: &Second) {
        let Some(found) = self.auto_warm_up.as_mut().and_then(|auto| auto.second(second)) else { return };
        self.auto_warm_up = None;
        let warm_up = Duration::from_nanos(found.after_ns().unsigned_abs());
        state.warm_up_ns = Some(found.after_ns());
        let seconds = warm_up.as_secs_f64();
        let _ = self.events.send(match found {
            WarmedUp::Stable { .. } => Event::WarmedUp { after: warm_up },
            WarmedUp::AtTheLatest { .. } => Event::Warning(format!(
                "rate and P95 were not stable in the first third of the run; the warm-up ends all the same, after {seconds:.1} s"
            )),
        });
        self.record.measured = self.record.plan.measured_after(warm_up, None);
        let (run_dir, record) = (self.run_dir.clone(), self.record.clone());
        self.aside.write("the end of the warm-up", move || run_dir.write_record(&record));
    }
}

fn percentile(histogram: &Histogram<u64>, quantile: f64) -> Option<Duration> {
    (!histogram.is_empty()).then(|| Duration::from_nanos(histogram.value_at_quantile(quantile)))
}

fn sentence(reason: Hopeless, collection: &str, uri: &str) -> String {
    match reason {
        Hopeless::NotFound => format!(
            "every answer of the last 10 s said that collection `{collection}` does not exist at {uri}; create it with `squall setup --uri {uri} --collection-name {collection}`"
        ),
        Hopeless::NotLoaded => format!(
            "every answer of the last 10 s said that collection `{collection}` is not loaded; load it with `squall setup --uri {uri} --collection-name {collection}`"
        ),
        Hopeless::Unauthenticated => format!(
            "every answer of the last 10 s said that {uri} does not accept the token; set MILVUS_TOKEN or --token to user:password or an API key"
        ),
    }
}
