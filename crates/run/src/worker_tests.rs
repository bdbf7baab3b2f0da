//! Whole runs against the model server under the virtual clock.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::time::Duration;

use proptest::prelude::*;
use squall_core::plan::{Shard, ThinkTime, reference_classes};
use squall_core::request::Requests;
use squall_core::schedule::{Arrivals, OpenSchedule, Stage, StageKind};
use squall_core::workload::Workload;

use super::*;
use crate::link::Hopeless;
use crate::model::{ANSWERED, Behaviour, Kept, MS, Model, S, VirtualAlarm, VirtualClock};
use crate::queue::{ClosedLoop, ClosedQueue, OpenQueue, Slice};

/// A load and how it is run; every test changes what it is about.
#[derive(Clone)]
struct Setup {
    seconds: f64,
    rate: f64,
    arrivals: Arrivals,
    closed: Option<ClosedLoop>,
    workers: u16,
    shard: Shard,
    places: u32,
    timeout_ns: i64,
    drain_ns: i64,
    late_ns: i64,
    spin_ns: i64,
    behaviour: Behaviour,
    stop: Option<(i64, i64)>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            seconds: 2.0,
            rate: 100.0,
            arrivals: Arrivals::Even,
            closed: None,
            workers: 1,
            shard: Shard::WHOLE,
            places: 1_000,
            timeout_ns: 10 * S,
            drain_ns: 30 * S,
            late_ns: 0,
            spin_ns: 0,
            behaviour: Behaviour::default(),
            stop: None,
        }
    }
}

/// What came of a run.
struct Outcomes {
    /// Sorted by `seq`.
    rows: Vec<Sample>,
    counted: Second,
    most_in_flight: u32,
    planned: u64,
}

impl Outcomes {
    fn count(&self, outcome: Outcome) -> usize {
        self.rows.iter().filter(|row| row.outcome == outcome).count()
    }
}

fn run(setup: &Setup) -> Outcomes {
    let workload = Workload::reference(1, 8);
    let requests = Requests::new(7, &workload, &reference_classes()).unwrap();
    let stage = Stage {
        name: "steady".into(),
        kind: StageKind::Steady,
        length: Some(Duration::from_secs_f64(setup.seconds)),
        from: setup.rate,
        to: setup.rate,
    };
    let schedule = OpenSchedule::new(vec![stage], setup.arrivals, 7);
    let end_ns = setup.closed.map_or((setup.seconds * 1e9) as i64, |closed| closed.end_ns);
    let clock = VirtualClock::default();
    let model = Model::new(&clock, setup.behaviour.clone());
    let kept = Kept::default();
    let control = Arc::new(Control::new(setup.workers));
    let (monitor, messages) = mpsc::channel();
    let mut futures: Vec<std::pin::Pin<Box<dyn Future<Output = ()>>>> = Vec::new();
    for worker in 0..setup.workers {
        let slice = Slice { shard: setup.shard, worker, workers: setup.workers };
        let link = Rc::new(model.clone());
        let alarm = VirtualAlarm {
            clock: clock.clone(),
            late_ns: setup.late_ns,
            spin_ns: setup.spin_ns,
            armed_ns: i64::MIN,
            spins_since_ns: None,
        };
        let (queue, places) = match setup.closed {
            Some(closed) => {
                let queue = ClosedQueue::new(closed, slice, &requests, Rc::clone(&link));
                let users = (0..closed.users).filter(|user| slice.owns(u64::from(*user))).count();
                (DueQueue::Closed(queue), users as u32)
            }
            None => {
                let queue = OpenQueue::new(schedule.iter(), slice, &requests, Rc::clone(&link));
                (DueQueue::Open(queue), setup.places)
            }
        };
        let settings = Settings {
            worker,
            places,
            classes: 0,
            timeout_ns: setup.timeout_ns,
            give_up_ns: end_ns + setup.drain_ns,
        };
        let mut worker = Worker::new(
            settings,
            clock.clone(),
            alarm,
            link,
            fly,
            queue,
            kept.clone(),
            Arc::clone(&control),
            monitor.clone(),
        );
        futures.push(Box::pin(poll_fn(move |cx| worker.poll(cx))));
    }
    if let Some((stop_ns, give_up_ns)) = setup.stop {
        let (clock, control) = (clock.clone(), Arc::clone(&control));
        futures.push(Box::pin(async move {
            clock.sleep_until(stop_ns).await;
            control.stop(stop_ns, give_up_ns);
        }));
    }
    clock.run(futures);
    drop(monitor);
    let mut counted = Second::new(0, 0);
    for message in messages {
        if let Message::Second(second) = message {
            counted.add(&second);
        }
    }
    let mut rows = kept.0.take();
    rows.sort_by_key(|row| row.seq);
    Outcomes { rows, counted, most_in_flight: model.most_in_flight(), planned: schedule.total().unwrap() }
}

#[test]
fn a_stall_is_in_the_response_time_of_everybody_who_had_to_wait() {
    let behaviour = Behaviour { stall: (500 * MS, 1_000 * MS), ..Behaviour::default() };
    let outcomes = run(&Setup { behaviour, ..Setup::default() });
    assert_eq!(outcomes.rows.len(), 200);
    for row in &outcomes.rows {
        let stalled = (500 * MS..1_000 * MS).contains(&row.due_ns);
        let done_ns = if stalled { 1_005 * MS } else { row.due_ns + 5 * MS };
        // There was a place for everybody, so the server has all of the wait.
        assert_eq!((row.ready_ns, row.sent_ns, row.done_ns), (row.due_ns, Some(row.due_ns), done_ns));
        assert_eq!(row.outcome, Outcome::Ok);
    }
    assert_eq!(outcomes.counted.lag_ns.max(), 0);
    assert_eq!(outcomes.counted.flow_control_waits, 0);
    assert!(outcomes.counted.response_ns.max().abs_diff(505_000_000) < 505_000);
}

#[test]
fn without_places_the_wait_is_backlog_and_never_lag() {
    let behaviour = Behaviour { stall: (500 * MS, 1_000 * MS), ..Behaviour::default() };
    let outcomes = run(&Setup { behaviour, places: 10, ..Setup::default() });
    assert_eq!(outcomes.most_in_flight, 10);
    // Ten requests are with the server when it wakes up, the next ten follow when those are done.
    for row in &outcomes.rows[60..70] {
        assert_eq!(row.ready_ns, 1_005 * MS, "{row:?}");
        assert_eq!(row.sent_ns, Some(1_005 * MS));
        assert_eq!(row.done_ns, 1_010 * MS);
    }
    assert!(outcomes.rows.iter().all(|row| row.sent_ns == Some(row.ready_ns)));
    assert_eq!(outcomes.counted.lag_ns.max(), 0, "a slow server is no lag of ours");
}

#[test]
fn a_wait_for_a_socket_is_backlog_and_never_lag() {
    let behaviour = Behaviour { seatless: (500 * MS, 800 * MS), ..Behaviour::default() };
    let outcomes = run(&Setup { behaviour, ..Setup::default() });
    for row in &outcomes.rows {
        let waited = (500 * MS..800 * MS).contains(&row.due_ns);
        let ready_ns = if waited { 800 * MS } else { row.due_ns };
        assert_eq!((row.ready_ns, row.sent_ns), (ready_ns, Some(ready_ns)), "{row:?}");
        assert_eq!(row.done_ns, ready_ns + 5 * MS);
    }
    assert_eq!(outcomes.counted.lag_ns.max(), 0, "a slow server is no lag of ours");
    assert_eq!(outcomes.counted.flow_control_waits, 0);
}

#[test]
fn what_waits_for_a_socket_to_the_end_was_not_held_back() {
    let behaviour = Behaviour { seatless: (S, 100 * S), ..Behaviour::default() };
    let outcomes = run(&Setup { behaviour, drain_ns: S, ..Setup::default() });
    assert_eq!((outcomes.count(Outcome::Ok), outcomes.count(Outcome::Unsent)), (100, 100));
    assert_eq!(outcomes.counted.due_not_sent, 0, "the server gave them no socket");
}

#[test]
fn the_generators_own_delay_is_lag_and_never_backlog() {
    let outcomes = run(&Setup { late_ns: 3 * MS, ..Setup::default() });
    // Without the first, which needs no alarm.
    for row in &outcomes.rows[1..] {
        assert_eq!((row.ready_ns, row.sent_ns), (row.due_ns, Some(row.due_ns + 3 * MS)));
        assert_eq!(row.done_ns, row.due_ns + 8 * MS, "the delay is in the response time all the same");
    }
}

#[test]
fn what_a_worker_is_awake_before_a_request_is_due_is_counted_and_no_work() {
    let outcomes = run(&Setup { spin_ns: 30_000, ..Setup::default() });
    assert!(outcomes.rows.iter().all(|row| row.sent_ns == Some(row.due_ns)));
    // Before each of 200 requests but the first, and before the ends of seconds and the first drain.
    let spun = outcomes.counted.spun_ns / 30_000;
    assert!((199..=203).contains(&spun), "{spun} times");
    assert_eq!(run(&Setup::default()).counted.spun_ns, 0);
    // An answer that is there at every turn leaves no time that was only waited.
    let busy = Behaviour { service_ns: |_| 10 * MS - 15_000, ..Behaviour::default() };
    let half = run(&Setup { spin_ns: 30_000, behaviour: busy, ..Setup::default() }).counted.spun_ns / 1_000;
    assert!((199 * 28..=203 * 30).contains(&half), "the turn of the answer is work: {half} µs");
}

#[test]
fn a_closed_window_is_lag_and_is_counted() {
    fn window(number: u64) -> i64 {
        if number % 10 == 9 { 4 * MS } else { 0 }
    }
    let behaviour = Behaviour { window_ns: window, ..Behaviour::default() };
    let outcomes = run(&Setup { behaviour, ..Setup::default() });
    let waited = outcomes.rows.iter().filter(|row| row.sent_ns == Some(row.ready_ns + 4 * MS)).count();
    assert_eq!(waited, 20);
    assert_eq!(outcomes.counted.flow_control_waits, 20);
    assert_eq!(outcomes.counted.sent, 200);
}

#[test]
fn a_window_that_the_server_keeps_closed_is_backlog() {
    fn window(number: u64) -> i64 {
        if number % 10 == 9 { 400 * MS } else { 0 }
    }
    let behaviour = Behaviour { window_ns: window, closed_by: Wait::Server, ..Behaviour::default() };
    let outcomes = run(&Setup { behaviour, ..Setup::default() });
    let kept = outcomes.rows.iter().filter(|row| row.ready_ns == row.due_ns + 400 * MS).count();
    assert!(kept >= 20, "{kept}");
    assert!(outcomes.rows.iter().all(|row| row.sent_ns == Some(row.ready_ns)));
    assert_eq!((outcomes.counted.lag_ns.max(), outcomes.counted.flow_control_waits), (0, 0));
}

#[test]
fn what_waited_for_a_connection_that_broke_is_backlog_and_left_no_bytes() {
    fn window(number: u64) -> i64 {
        if number >= 100 { 400 * MS } else { 0 }
    }
    let broken = Answer { outcome: Outcome::Reset, hits: 0, bytes_in: 0, ..ANSWERED };
    // Told after it had been handed over, or by the handing over itself.
    let told_later =
        Behaviour { window_ns: window, closed_by: Wait::InVain, answer: broken, ..Behaviour::default() };
    let told_at_once = Behaviour { window_ns: window, breaks: true, ..Behaviour::default() };
    for behaviour in [told_later, told_at_once] {
        let outcomes = run(&Setup { behaviour, ..Setup::default() });
        let kept: Vec<_> = outcomes.rows.iter().filter(|row| row.ready_ns > row.due_ns).collect();
        assert!(kept.len() >= 100, "{}", kept.len());
        for row in kept {
            assert_eq!((row.ready_ns, row.sent_ns), (row.due_ns + 400 * MS, Some(row.ready_ns)), "{row:?}");
            assert_eq!((row.outcome, row.bytes_out), (Outcome::Reset, 0));
        }
        assert_eq!((outcomes.counted.lag_ns.max(), outcomes.counted.flow_control_waits), (0, 0));
    }
}

#[test]
fn a_timeout_counts_from_sent_and_frees_the_place() {
    fn never_third(number: u64) -> i64 {
        if number == 2 { i64::MAX / 2 } else { 5 * MS }
    }
    let behaviour = Behaviour { service_ns: never_third, ..Behaviour::default() };
    let setup = Setup { behaviour, places: 1, timeout_ns: 300 * MS, ..Setup::default() };
    let outcomes = run(&setup);
    let late = outcomes.rows[2];
    assert_eq!((late.outcome, late.sent_ns, late.done_ns), (Outcome::Timeout, Some(20 * MS), 320 * MS));
    assert_eq!((late.hits, late.bytes_in, late.bytes_out), (0, 0, 100));
    assert_eq!((outcomes.rows[3].due_ns, outcomes.rows[3].ready_ns), (30 * MS, 320 * MS));
    assert_eq!(outcomes.count(Outcome::Ok), 199);
    assert_eq!((outcomes.counted.failed, outcomes.counted.answered), (1, 199));
}

#[test]
fn a_late_worker_keeps_no_answer_that_came_after_the_timeout() {
    fn too_late_once(number: u64) -> i64 {
        if number == 2 { 310 * MS } else { 5 * MS }
    }
    let behaviour = Behaviour { service_ns: too_late_once, ..Behaviour::default() };
    let setup = Setup { behaviour, places: 1, timeout_ns: 300 * MS, late_ns: 50 * MS, ..Setup::default() };
    let outcomes = run(&setup);
    // The alarm for the timeout would have rung 350 ms after it was sent; the answer came before.
    let late = outcomes.rows[2];
    assert_eq!(late.done_ns - late.sent_ns.unwrap(), 310 * MS);
    assert_eq!((late.outcome, late.hits, late.bytes_in), (Outcome::Timeout, 0, 0));
    assert_eq!(outcomes.count(Outcome::Ok), 199);
}

#[test]
fn the_drain_ends_and_what_never_came_is_a_row() {
    let behaviour = Behaviour { stall: (S, 100 * S), ..Behaviour::default() };
    let setup = Setup { behaviour, places: 20, drain_ns: 3 * S, timeout_ns: 60 * S, ..Setup::default() };
    let outcomes = run(&setup);
    assert_eq!(outcomes.rows.len(), 200);
    assert_eq!(outcomes.count(Outcome::Ok), 100);
    assert_eq!(outcomes.count(Outcome::Unfinished), 20);
    assert_eq!(outcomes.count(Outcome::Unsent), 80);
    for row in &outcomes.rows[100..] {
        assert_eq!(row.done_ns, 5 * S, "the moment of giving up");
        assert_eq!(row.sent_ns.is_some(), row.outcome == Outcome::Unfinished);
    }
    assert_eq!(outcomes.counted.due_not_sent, 0, "there never was a place for them");
}

#[test]
fn the_drain_sends_what_still_waits_for_a_place() {
    let behaviour = Behaviour { stall: (S, 4 * S), ..Behaviour::default() };
    let outcomes = run(&Setup { behaviour, places: 20, ..Setup::default() });
    assert_eq!(outcomes.count(Outcome::Ok), 200);
    assert!(outcomes.rows.iter().any(|row| row.sent_ns > Some(4 * S)));
}

#[test]
fn no_connection_is_refused_without_a_time_of_sending() {
    let behaviour = Behaviour { down: (S, 3 * S / 2), ..Behaviour::default() };
    let outcomes = run(&Setup { behaviour, ..Setup::default() });
    assert_eq!(outcomes.count(Outcome::Refused), 50);
    for row in outcomes.rows.iter().filter(|row| row.outcome == Outcome::Refused) {
        assert_eq!((row.sent_ns, row.done_ns, row.bytes_out), (None, row.due_ns, 0));
    }
}

#[test]
fn fewer_hits_than_there_must_be_are_short() {
    let behaviour = Behaviour { answer: Answer { hits: 9, ..ANSWERED }, ..Behaviour::default() };
    let outcomes = run(&Setup { behaviour, ..Setup::default() });
    assert_eq!(outcomes.count(Outcome::Short), 200);
    assert_eq!(outcomes.counted.failed, 0, "short is not a failure");
}

#[test]
fn hopeless_answers_are_counted_by_their_reason() {
    let answer = Answer {
        outcome: Outcome::ServerError,
        code: Some(101),
        hits: 0,
        hopeless: Some(Hopeless::NotLoaded),
        ..ANSWERED
    };
    let behaviour = Behaviour { answer, ..Behaviour::default() };
    let outcomes = run(&Setup { behaviour, ..Setup::default() });
    assert_eq!(outcomes.counted.hopeless, [0, 200, 0]);
    assert_eq!(outcomes.counted.answers, 200);
}

/// What a run asked, apart from how it went.
fn asked(outcomes: &Outcomes) -> Vec<(u64, i64, u8, u32, Option<u16>)> {
    outcomes.rows.iter().map(|row| (row.seq, row.due_ns, row.class, row.query, row.filter)).collect()
}

#[test]
fn neither_workers_nor_shards_nor_the_server_change_what_an_open_loop_asks() {
    let setup = Setup { arrivals: Arrivals::Poisson, rate: 500.0, ..Setup::default() };
    let one = asked(&run(&setup));
    assert!(one.len() > 900);
    for workers in [2, 8] {
        let slow = Behaviour { slots: 1, ..Behaviour::default() };
        let setup = Setup { workers, behaviour: slow, places: 3, late_ns: MS, ..setup.clone() };
        assert_eq!(asked(&run(&setup)), one, "{workers} workers");
    }
    let mut joined: Vec<_> = (0..3)
        .flat_map(|index| {
            let shard = Shard { index, count: 3 };
            asked(&run(&Setup { shard, workers: 2, ..setup.clone() }))
        })
        .collect();
    joined.sort_unstable();
    assert_eq!(joined, one);
}

fn closed(users: u32) -> Setup {
    let closed = ClosedLoop {
        users,
        spawn_rate: 10.0,
        think_time: ThinkTime { min: Duration::from_millis(50), max: Duration::from_millis(150) },
        ramp_end_ns: 500 * MS,
        end_ns: 3 * S,
    };
    Setup { closed: Some(closed), ..Setup::default() }
}

type Sequences = BTreeMap<u32, Vec<(u8, u32, Option<u16>, i64)>>;

/// By user: what it asked, and how long it thought before.
fn sequences(outcomes: &Outcomes) -> Sequences {
    let mut users = Sequences::new();
    let mut done: BTreeMap<u32, i64> = BTreeMap::new();
    for row in &outcomes.rows {
        let user = row.user.unwrap();
        assert_eq!(row.seq >> 32, u64::from(user));
        let thought = row.due_ns - done.insert(user, row.done_ns).unwrap_or(0);
        users.entry(user).or_default().push((row.class, row.query, row.filter, thought));
    }
    users
}

#[test]
fn a_user_asks_the_same_and_thinks_as_long_whoever_drives_it() {
    let one = sequences(&run(&closed(12)));
    assert_eq!(one.len(), 12);
    for workers in [2, 8] {
        let slow = Behaviour { service_ns: |number| (number % 7 + 1) as i64 * MS, ..Behaviour::default() };
        let other = sequences(&run(&Setup { workers, behaviour: slow, ..closed(12) }));
        for (user, asked) in &one {
            let both = asked.len().min(other[user].len());
            assert!(both > 10);
            assert_eq!(asked[..both], other[user][..both], "user {user} under {workers} workers");
        }
    }
}

#[test]
fn users_spawn_at_their_rate_and_wait_for_their_answers() {
    let behaviour = Behaviour { stall: (1_500 * MS, 2_500 * MS), ..Behaviour::default() };
    let outcomes = run(&Setup { behaviour, ..closed(12) });
    assert_eq!(outcomes.most_in_flight, 12, "as many in flight as there are users");
    for (user, asked) in sequences(&outcomes) {
        assert_eq!(asked[0].3, i64::from(user) * 100 * MS, "the first is due at user / rate");
        assert!(asked[1..].iter().all(|asked| (50 * MS..=150 * MS).contains(&asked.3)));
    }
    assert!(outcomes.rows.iter().all(|row| row.due_ns < 3 * S && row.ready_ns == row.due_ns));
    assert!(outcomes.rows.iter().all(|row| row.stage == u16::from(row.due_ns >= 500 * MS)));
}

/// The smallest time with at least that share of the rows at or below it, in seconds.
fn percentile_s(rows: &[Sample], share: f64, time_ns: fn(&Sample) -> i64) -> f64 {
    let mut times: Vec<i64> = rows.iter().map(time_ns).collect();
    times.sort_unstable();
    times[(times.len() as f64 * share).ceil() as usize - 1] as f64 / 1e9
}

fn response_ns(row: &Sample) -> i64 {
    row.done_ns - row.due_ns
}

fn service_ns(row: &Sample) -> i64 {
    row.done_ns - row.sent_ns.unwrap()
}

fn within(found: f64, expected: f64, share: f64) {
    assert!((found - expected).abs() <= expected * share, "{found} instead of {expected}");
}

/// A log-normal time with a median of 5 ms and sigma 0.5, drawn from the number by Box and Muller's method.
fn log_normal_ns(number: u64) -> i64 {
    let uniform = |salt: u64| {
        let mut bits = (number * 2 + salt + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) >> 11) as f64 / 2_f64.powi(53)
    };
    let normal = (-2.0 * (1.0 - uniform(0)).ln()).sqrt() * (std::f64::consts::TAU * uniform(1)).cos();
    (5e6 * (0.5 * normal).exp()) as i64
}

#[test]
fn every_percentile_of_service_time_is_that_of_the_servers_delays() {
    let behaviour = Behaviour { service_ns: log_normal_ns, ..Behaviour::default() };
    let rows = run(&Setup { seconds: 20.0, rate: 500.0, behaviour, ..Setup::default() }).rows;
    let mut delays: Vec<i64> = (0..rows.len() as u64).map(log_normal_ns).collect();
    delays.sort_unstable();
    // exp(z σ) of the median, where the normal distribution has its quantiles z.
    for (share, z) in [(0.5, 0.0), (0.9, 1.2816), (0.95, 1.6449), (0.99, 2.3263), (0.999, 3.0902)] {
        let found = percentile_s(&rows, share, service_ns);
        let delay = delays[(delays.len() as f64 * share).ceil() as usize - 1];
        assert_eq!((found * 1e9).round() as i64, delay, "P{}", share * 100.0);
        within(found, 0.005 * f64::exp(0.5 * z), 0.15);
    }
}

/// 1,000/s for 20 s; the server stalls for 2 s once and then drains at 2,000/s: docs/coordinated-omission.md.
#[test]
fn a_stall_of_two_seconds_is_in_p95_and_p99_of_an_open_loop_and_hidden_by_a_closed_one() {
    let behaviour = Behaviour { slots: 10, stall: (5 * S, 7 * S), ..Behaviour::default() };
    let open = Setup { seconds: 20.0, rate: 1_000.0, behaviour: behaviour.clone(), ..Setup::default() };
    let rho = 0.5;
    for (places, hides) in [(4_096, false), (64, true)] {
        let rows = run(&Setup { places, ..open.clone() }).rows;
        assert_eq!(rows.len(), 20_000);
        within(percentile_s(&rows, 0.95, response_ns), 1.0 + rho, 0.05);
        within(percentile_s(&rows, 0.99, response_ns), 1.8 + 0.2 * rho, 0.05);
        if hides {
            assert!(percentile_s(&rows, 0.99, service_ns) < 0.05, "only 64 were with the server");
        } else {
            assert!(rows.iter().all(|row| response_ns(row) == service_ns(row)));
        }
    }
    let think_time = ThinkTime { min: Duration::from_millis(5), max: Duration::from_millis(5) };
    let closed = ClosedLoop { users: 10, spawn_rate: 1e6, think_time, ramp_end_ns: 0, end_ns: 20 * S };
    let rows = run(&Setup { closed: Some(closed), ..open }).rows;
    assert!(rows.len() > 17_000, "{}", rows.len());
    assert!(percentile_s(&rows, 0.99, response_ns) < 0.05, "ten requests saw the stall");
}

/// 2,000/s for 20 s on a server of 1,000/s, with a drain of 5 s.
#[test]
fn an_overload_is_in_the_response_time_and_its_outcomes_add_up() {
    let behaviour = Behaviour { slots: 5, ..Behaviour::default() };
    let setup = Setup {
        seconds: 20.0,
        rate: 2_000.0,
        places: 4_096,
        timeout_ns: 60 * S,
        drain_ns: 5 * S,
        behaviour,
        ..Setup::default()
    };
    let outcomes = run(&setup);
    let (unfinished, unsent) = (outcomes.count(Outcome::Unfinished), outcomes.count(Outcome::Unsent));
    assert_eq!(outcomes.rows.len() as u64, outcomes.planned);
    assert_eq!(outcomes.count(Outcome::Ok) + unfinished + unsent, 40_000);
    within((unfinished + unsent) as f64, 15_000.0, 0.01);
    assert!(unfinished <= 4_096, "{unfinished}");
    // Of the requests that are due at t, those that were answered waited t (λ − μ) ÷ μ = t.
    for row in outcomes.rows.iter().filter(|row| row.outcome == Outcome::Ok && row.due_ns > S) {
        within(response_ns(row) as f64, row.due_ns as f64, 0.05);
    }
    assert_eq!(outcomes.counted.lag_ns.max(), 0, "a slow server is no lag of ours");
}

#[test]
fn after_a_stop_nothing_is_sent_and_answers_are_waited_for() {
    let behaviour = Behaviour { stall: (500 * MS, 1_500 * MS), ..Behaviour::default() };
    let setup = Setup { behaviour, places: 20, stop: Some((S, 31 * S)), ..Setup::default() };
    let outcomes = run(&setup);
    // Due at 0, 10, …, 1000 ms.
    assert_eq!(outcomes.rows.len(), 101, "every arrival up to the stop has a row, no other has");
    assert_eq!(outcomes.count(Outcome::Ok), 70);
    assert_eq!(outcomes.count(Outcome::Unsent), 31);
    assert!(outcomes.rows.iter().all(|row| row.sent_ns.is_none_or(|sent_ns| sent_ns <= S)));
    assert_eq!(outcomes.rows.iter().map(|row| row.done_ns).max(), Some(1_505 * MS));
}

#[test]
fn an_abort_waits_for_nothing() {
    let behaviour = Behaviour { stall: (500 * MS, 1_500 * MS), ..Behaviour::default() };
    let outcomes = run(&Setup { behaviour, stop: Some((S, S)), ..Setup::default() });
    assert_eq!(outcomes.count(Outcome::Ok), 50);
    // The one due at the very moment of the stop is either on its way or not.
    assert!(outcomes.count(Outcome::Unfinished) >= 50);
    assert_eq!(outcomes.rows.len(), 101);
    assert!(outcomes.rows.iter().all(|row| row.done_ns <= S));
}

#[test]
fn a_stopped_closed_loop_ends_with_its_answers() {
    let outcomes = run(&Setup { stop: Some((S, 31 * S)), ..closed(5) });
    assert!(outcomes.rows.iter().all(|row| row.due_ns <= S && row.outcome == Outcome::Ok));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever the server, the places and the end: every arrival is one row, and its instants are
    /// in order.
    #[test]
    fn outcomes_add_up_to_the_plan(
        rate in 10.0_f64..800.0,
        poisson: bool,
        workers in 1_u16..5,
        places in 1_u32..40,
        slots in 1_usize..20,
        timeout_ms in 1_i64..400,
        drain_ms in 0_i64..1_500,
        late_us in 0_i64..3_000,
        stall in (0_i64..2_000, 0_i64..2_000),
        down in (0_i64..2_000, 0_i64..300),
        seatless in (0_i64..2_000, 0_i64..300),
        stop in prop::option::of((0_i64..3_000, 0_i64..1_000)),
    ) {
        let setup = Setup {
            rate,
            arrivals: if poisson { Arrivals::Poisson } else { Arrivals::Even },
            workers,
            places,
            timeout_ns: timeout_ms * MS,
            drain_ns: drain_ms * MS,
            late_ns: late_us * 1_000,
            behaviour: Behaviour {
                slots,
                service_ns: |number| (number * 7919 % 41 + 1) as i64 * MS,
                stall: (stall.0 * MS, (stall.0 + stall.1) * MS),
                down: (down.0 * MS, (down.0 + down.1) * MS),
                seatless: (seatless.0 * MS, (seatless.0 + seatless.1) * MS),
                window_ns: |number| if number % 17 == 3 { 20 * MS } else { 0 },
                closed_by: Wait::Window,
                breaks: false,
                answer: ANSWERED,
            },
            stop: stop.map(|(at, drain)| (at * MS, (at + drain) * MS)),
            ..Setup::default()
        };
        let outcomes = run(&setup);
        let seqs: Vec<u64> = outcomes.rows.iter().map(|row| row.seq).collect();
        let wanted = match setup.stop {
            Some((stop_ns, _)) if stop_ns < 2 * S => {
                let due = |limit| outcomes.rows.iter().filter(|row| row.due_ns <= limit).count();
                prop_assert_eq!(due(stop_ns), outcomes.rows.len(), "nothing after the stop");
                outcomes.rows.len() as u64
            }
            _ => outcomes.planned,
        };
        prop_assert_eq!(seqs, (0..wanted).collect::<Vec<_>>());
        prop_assert!(outcomes.most_in_flight <= places * u32::from(workers));
        for row in &outcomes.rows {
            prop_assert!(row.due_ns <= row.ready_ns && row.ready_ns <= row.done_ns, "{:?}", row);
            if let Some(sent_ns) = row.sent_ns {
                prop_assert!(row.ready_ns <= sent_ns && sent_ns <= row.done_ns, "{:?}", row);
                prop_assert!(row.done_ns - sent_ns <= setup.timeout_ns + setup.late_ns, "{:?}", row);
            }
            let never_sent = matches!(row.outcome, Outcome::Unsent | Outcome::Refused);
            prop_assert_eq!(row.sent_ns.is_none(), never_sent);
        }
        let counted = &outcomes.counted;
        prop_assert_eq!(counted.done, outcomes.rows.len() as u64);
        prop_assert_eq!(counted.answered + counted.failed, counted.done);
        prop_assert_eq!(counted.sent, outcomes.rows.iter().filter(|row| row.sent_ns.is_some()).count() as u64);
        prop_assert_eq!(counted.unsent, outcomes.count(Outcome::Unsent) as u64);
    }
}
