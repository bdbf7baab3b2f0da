//! Targets that end the load: each second the last window is held against the bound.
//!
//! The figures are of histograms with three digits (0.1 %); those of the report come from the rows.

use std::collections::VecDeque;
use std::time::Duration;

use hdrhistogram::Histogram;
use squall_core::plan::Plan;
use squall_core::target::{Figure, Target};
use squall_core::units::{format_duration, nanoseconds};

use crate::second::{Second, Tally};

/// A target that ends the load.
pub(crate) struct Abort {
    target: Target,
    /// Index of the class; `None`: all requests.
    class: Option<usize>,
    grace_ns: i64,
    /// The window, the oldest first.
    seconds: VecDeque<Looked>,
    window: usize,
    /// Nothing before is looked at.
    from_ns: i64,
    missed_since_ns: Option<i64>,
}

/// A second of the window.
struct Looked {
    tally: Tally,
    length_ns: i64,
    /// Whether requests were open at its end, and none of any class was over in it.
    silent: bool,
}

/// The aborts of a plan, each of which looks at nothing before the first measured stage.
pub(crate) fn of(plan: &Plan) -> Vec<Abort> {
    let from_ns = plan.measured(None).first().map_or(i64::MAX, |span| span.0);
    let names = plan.class_names();
    let abort = |target: &Target| {
        let over = target.over.unwrap_or(Target::ABORT_WINDOW);
        Some(Abort {
            class: match &target.class {
                None => None,
                Some(class) => Some(names.iter().position(|name| name == class)?),
            },
            grace_ns: nanoseconds(target.abort?),
            seconds: VecDeque::new(),
            window: over.as_secs().max(1) as usize,
            from_ns,
            missed_since_ns: None,
            target: target.clone(),
        })
    };
    plan.targets.iter().filter_map(|planned| abort(&planned.target)).collect()
}

impl Abort {
    /// Looks at a second that is over; the reason, in one sentence, where the load is to end.
    pub(crate) fn second(&mut self, second: &Second) -> Option<String> {
        // The monitor's seconds are off by microseconds.
        if second.start_ns < self.from_ns.saturating_sub(10_000_000) {
            return None;
        }
        let tally = match self.class {
            None => second.tally(),
            Some(class) => second.classes.get(class)?.clone(),
        };
        let open = second.in_flight > 0 || second.backlog > 0;
        let silent = second.done == 0 && open;
        self.seconds.push_back(Looked { tally, length_ns: second.end_ns - second.start_ns, silent });
        if self.seconds.len() > self.window {
            self.seconds.pop_front();
        }
        if self.seconds.len() < self.window {
            return None;
        }
        let value = self.value()?;
        if self.target.comparison.holds(value, self.target.bound) {
            self.missed_since_ns = None;
            return None;
        }
        let since_ns = *self.missed_since_ns.get_or_insert(second.end_ns);
        (second.end_ns - since_ns >= self.grace_ns).then(|| {
            let grace = format_duration(Duration::from_nanos(self.grace_ns.unsigned_abs()));
            format!("target `{}` was missed for {grace}, at last with {value:.4}", self.target)
        })
    }

    /// The figure of the window; `None` where nothing was asked in it.
    fn value(&self) -> Option<f64> {
        let mut all = self.seconds.front()?.tally.clone();
        for second in self.seconds.iter().skip(1) {
            all.add(&second.tally);
        }
        // A second that was told late is a longer one.
        let span_s = self.seconds.iter().map(|second| second.length_ns).sum::<i64>() as f64 / 1e9;
        let requests = all.answered + all.failed;
        let share = |part: u64| (requests > 0).then(|| part as f64 / requests as f64);
        match self.target.figure {
            Figure::Qps => Some(all.answered as f64 / span_s.max(1e-9)),
            Figure::ErrorRate => share(all.failed),
            Figure::ShortRate => share(all.short),
            Figure::Recall => None,
            // Those that wait are later than whatever the bound is, if the server goes on like that.
            _ if self.seconds.iter().all(|second| second.silent) => Some(f64::INFINITY),
            _ if requests == 0 => None,
            Figure::Mean | Figure::Max if all.failed > 0 => Some(f64::INFINITY),
            Figure::Mean => Some(all.response_ns.mean() / 1e6),
            Figure::Max => Some(all.response_ns.max() as f64 / 1e6),
            figure => figure.percentile().map(|share| late(&all.response_ns, all.answered, requests, share)),
        }
    }
}

/// A percentile in milliseconds in which every failed request is infinitely late.
fn late(response_ns: &Histogram<u64>, answered: u64, requests: u64, share: f64) -> f64 {
    let rank = (requests as f64 * share).ceil().max(1.0);
    if rank > answered as f64 {
        return f64::INFINITY;
    }
    response_ns.value_at_quantile(rank / answered as f64) as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use squall_core::row::Outcome;
    use squall_core::target::PlannedTarget;

    use super::*;

    const SECOND_NS: i64 = 1_000_000_000;

    fn abort(text: &str) -> Abort {
        let target: Target = text.parse().unwrap();
        let class = target.class.as_ref().map(|_| 1);
        let window = target.over.unwrap().as_secs() as usize;
        let grace_ns = nanoseconds(target.abort.unwrap());
        Abort { target, class, grace_ns, seconds: VecDeque::new(), window, from_ns: 0, missed_since_ns: None }
    }

    /// A second with that many answers of class 1 after 5 ms, failures of class 0, and slow answers of class 0.
    fn second(number: i64, quick: u64, failed: u64, slow: u64) -> Second {
        let mut second = Second::new(0, number * SECOND_NS).with_classes(2);
        second.end_ns = (number + 1) * SECOND_NS;
        for (count, class, outcome, ms) in
            [(quick, 1, Outcome::Ok, 5), (failed, 0, Outcome::Timeout, 1), (slow, 0, Outcome::Ok, 200)]
        {
            for _ in 0..count {
                second.count_done(&crate::second::tests::sample(class, outcome, ms));
            }
        }
        second
    }

    #[test]
    fn a_server_that_answers_nothing_ends_the_load_by_its_latency() {
        // Answers for ten seconds, then none while so many requests are open.
        let ends = |text: &str, in_flight: u32, backlog: u64| {
            let mut abort = abort(text);
            (0..60).find(|number| {
                let mut told = second(*number, if *number < 10 { 100 } else { 0 }, 0, 0);
                (told.in_flight, told.backlog) = (in_flight, backlog);
                abort.second(&told).is_some()
            })
        };
        // The window of 5 s is empty after second 14; 3 s later is second 17.
        for text in ["p99 < 100ms", "p50(filtered) < 60s", "mean < 1s", "max < 1s"] {
            let text = format!("{text} over 5s abort after 3s");
            assert_eq!((ends(&text, 64, 0), ends(&text, 0, 64)), (Some(17), Some(17)), "{text}");
            assert_eq!(ends(&text, 0, 0), None, "{text}: nobody waits");
        }
        assert_eq!(ends("error_rate < 1% over 5s abort after 3s", 64, 0), None, "nothing has failed yet");
    }

    /// The second in which the load ends.
    fn ends(text: &str, seconds: impl Iterator<Item = (u64, u64, u64)>) -> Option<i64> {
        let mut abort = abort(text);
        (0..60).zip(seconds).find_map(|(number, (quick, failed, slow))| {
            abort.second(&second(number, quick, failed, slow)).map(|_| number)
        })
    }

    #[test]
    fn a_target_that_is_missed_for_the_grace_ends_the_load() {
        let bad_from =
            |from: u64| (0_u64..).map(move |number| if number < from { (100, 0, 0) } else { (90, 0, 10) });
        // The window of 5 s is bad enough from second 20 on; 10 s later is second 30.
        assert_eq!(ends("p99 < 100ms over 5s abort", bad_from(20)), Some(30));
        assert_eq!(ends("p99 < 100ms over 5s abort after 3s", bad_from(20)), Some(23));
        assert_eq!(ends("p50 < 100ms over 5s abort", bad_from(20)), None);
        assert_eq!(
            ends("p99(filtered) < 100ms over 5s abort", bad_from(20)),
            None,
            "the other class is slow"
        );
        assert_eq!(ends("qps >= 95 over 5s abort", bad_from(20)), None, "slow is not fewer");
    }

    #[test]
    fn a_break_begins_the_grace_anew_and_failures_are_late() {
        let now_and_then = (0_u64..).map(|number| if number % 8 == 0 { (90, 10, 0) } else { (100, 0, 0) });
        assert_eq!(ends("error_rate < 1% over 2s abort after 5s", now_and_then), None);
        let failing = (0..).map(|_| (90, 10, 0));
        assert_eq!(ends("p95 < 1s over 2s abort after 5s", failing), Some(6));
    }

    #[test]
    fn a_second_that_was_told_late_is_no_lower_rate() {
        let mut late = abort("qps >= 95 over 2s abort after 1s");
        // 100 a second, told after 1.5 s and then after 0.5 s; 60 a second from 3 s on, in which it ends.
        for (start, end, answered, ends) in [
            (0, 15, 150, false),
            (15, 20, 50, false),
            (20, 30, 100, false),
            (30, 45, 90, false),
            (45, 55, 60, true),
        ] {
            let mut told = second(0, answered, 0, 0);
            (told.start_ns, told.end_ns) = (start * SECOND_NS / 10, end * SECOND_NS / 10);
            assert_eq!(late.second(&told).is_some(), ends, "up to {end}");
        }
    }

    #[test]
    fn only_targets_with_an_abort_end_the_load() {
        let target = |text: &str| PlannedTarget { target: text.parse().unwrap(), binding: true };
        let mut plan = squall_core::plan::Plan {
            targets: vec![target("p99 < 1ms over 5s"), target("p99(rare) < 1ms abort")],
            ..crate::model::plan()
        };
        let aborts = of(&plan);
        assert_eq!((aborts.len(), aborts[0].class, aborts[0].window), (1, Some(2), 10));
        plan.targets.truncate(1);
        assert!(of(&plan).is_empty());
    }
}
