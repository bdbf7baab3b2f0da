//! `squall run --find-max`: steps of constant rates until the highest is known at which a target holds.
//!
//! Each step is a run with a directory and a report of its own; which rate is next is decided by
//! [`squall_core::find_max`].

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use clap::ArgMatches;
use squall_analyze::{Analysis, AnalyzeError, Options as AnalyzeOptions, Outputs, analyze, write_find_max};
use squall_core::config::{ConfigError, Origin, Settings};
use squall_core::find_max::{
    CONFIRM, FIND_MAX_SCHEMA_VERSION, FIRST_RATE, FindMax, Found, LEAST_ACHIEVED, MOST_BACKLOG, Probe,
    SETTLE, Search, Step, Told, check_target, decided, step_length,
};
use squall_core::plan::{Load, Plan};
use squall_core::run_config::{RunConfig, positive};
use squall_core::run_dir::write_json;
use squall_core::run_record::RunState;
use squall_core::schedule::{Arrivals, Stage, StageKind};
use squall_core::summary::{ValidityResult, Verdict};
use squall_core::target::{Comparison, Figure, PlannedTarget, Target};
use squall_core::units::parse_rate;
use squall_milvus::Endpoint;
use squall_run::{Event, LiveLine, Options, StopHandle};

use crate::commands::run::{load, look, writable};
use crate::exit::{Exit, Failure};
use crate::signals::Signals;

/// A figure so near to its bound, as a share of it, is decided by two steps of three.
const BORDERLINE: f64 = 0.05;
/// The same for the share of the arrivals that was answered meanwhile.
const BORDERLINE_ACHIEVED: std::ops::Range<f64> = 0.97..0.99;
/// The backlog grows when in the second half of a step it grows by so much load.
const GROWTH: Duration = Duration::from_millis(250);
/// Time for answers when a step is cut short.
const CUT_DRAIN: Duration = Duration::from_secs(5);

/// What is searched, and with what.
pub(crate) struct FindMaxConfig {
    config: RunConfig,
    target: Target,
    arrivals: Arrivals,
    first_rate: f64,
    /// All times of the search are multiplied by it; 1 but in tests.
    pace: f64,
}

/// Reads what `--find-max` asks for; `None` without it.
pub(crate) fn asked(
    matches: &ArgMatches,
    settings: &Settings,
    config: &RunConfig,
) -> Result<Option<FindMaxConfig>, Failure> {
    let Some(text) = matches.try_get_one::<String>("find-max").ok().flatten() else { return Ok(None) };
    let target: Target = text.parse().map_err(|error| Failure::usage(format!("--find-max: {error}")))?;
    check_target(&target).map_err(|reason| Failure::usage(format!("--find-max: {reason}")))?;
    let names = config.plan.class_names();
    if let Some(class) = target.class.as_ref().filter(|class| !names.contains(class)) {
        return Err(Failure::usage(format!(
            "--find-max: `{text}` names the class `{class}`; the run has {}",
            names.join(", ")
        )));
    }
    for (name, why) in [
        ("users", "it offers rates, so an open loop"),
        ("stages", "it decides the stages itself"),
        ("shard", "one process decides which rate is next"),
    ] {
        let origin = settings.origin(name);
        // What is weaker than a flag yields, as users of the environment do beside --rate.
        if matches!(origin, Origin::Flag(_)) || name == "shard" && origin.is_users_own() {
            return Err(ConfigError::Conflict(format!("{origin} contradicts --find-max: {why}")).into());
        }
        if origin.is_users_own() {
            eprintln!("note: {origin} has no effect beside --find-max: {why}");
        }
    }
    for name in ["run-time", "warm-up", "spawn-rate", "think-time"] {
        if settings.origin(name).is_users_own() {
            eprintln!(
                "note: {} has no effect: --find-max decides the length of its steps",
                settings.origin(name)
            );
        }
    }
    let mut config = config.clone();
    for planned in config.plan.targets.extract_if(.., |planned| asks_for_a_rate(&planned.target)) {
        // The reference's own is advice, which nobody has to be told of.
        if planned.binding {
            eprintln!(
                "note: the target {} has no effect beside --find-max: each step offers a rate of its own",
                planned.target
            );
        }
    }
    config.plan.max_in_flight = settings.required("max-in-flight", positive::<u32>)?;
    config.plan.auto_warm_up = false;
    config.plan.targets.push(PlannedTarget { target: target.clone(), binding: true });
    Ok(Some(FindMaxConfig {
        config,
        target,
        arrivals: settings.required("arrivals", std::str::FromStr::from_str)?,
        first_rate: settings.parse("rate", parse_rate)?.unwrap_or(FIRST_RATE),
        pace: matches.get_one::<f64>("find-max-pace").copied().unwrap_or(1.0),
    }))
}

/// Whether only a rate that is high enough meets the target: any step below would fail by it.
fn asks_for_a_rate(target: &Target) -> bool {
    target.figure == Figure::Qps && matches!(target.comparison, Comparison::Above | Comparison::AtLeast)
}

impl FindMaxConfig {
    /// What is printed by `--dry-run`: the first step.
    pub(crate) fn first_step(&self) -> RunConfig {
        let plan = self.plan(Probe { rate: self.first_rate, confirms: false }, 1);
        RunConfig { plan, ..self.config.clone() }
    }

    fn plan(&self, probe: Probe, number: usize) -> Plan {
        let length = if probe.confirms { CONFIRM } else { step_length(probe.rate) }.mul_f64(self.pace);
        let settle = SETTLE.mul_f64(self.pace);
        let stage = Stage {
            name: "steady".to_owned(),
            kind: StageKind::Steady,
            length: Some(settle + length),
            from: probe.rate,
            to: probe.rate,
        };
        let plan = self.config.plan.clone();
        let what = if probe.confirms { "confirm" } else { "step" };
        Plan {
            name: format!("{}-{what}-{number}", plan.name),
            load: Load::Open { arrivals: self.arrivals, stages: vec![stage] },
            warm_up: settle,
            ..plan
        }
    }

    /// Searches, writes what was found and prints it.
    pub(crate) async fn search(self, endpoint: Endpoint, matches: &ArgMatches) -> Result<Exit, Failure> {
        let (data, reports) = (self.config.data.clone(), self.config.reports.clone());
        writable(&data)?;
        writable(&reports)?;
        let mut signals = Signals::listen().map_err(Failure::failed)?;
        let mut search = Search::new(self.first_rate);
        let mut steps = Vec::new();
        // What ended the search before it knew: an error, or `None` where it was stopped.
        let mut broken_off: Option<Option<Failure>> = None;
        while let Some(probe) = search.next() {
            match self.decide(probe, &endpoint, &mut signals, &mut steps).await {
                Ok(Some(told)) => search.tell(told),
                Ok(None) => {
                    broken_off = Some(None);
                    break;
                }
                // Nothing is known yet that would be worth keeping.
                Err(failure) if steps.is_empty() => return Err(failure),
                Err(failure) => {
                    broken_off = Some(Some(failure));
                    break;
                }
            }
        }
        let failure = broken_off.as_ref().and_then(Option::as_ref);
        let found = FindMax {
            schema_version: FIND_MAX_SCHEMA_VERSION,
            target: self.target.clone(),
            found: search.found().filter(|_| broken_off.is_none()).unwrap_or(Found::Interrupted),
            error: failure.map(|failure| failure.error.to_string()),
            highest_passed: search.highest_passed(),
            lowest_failed: search.lowest_failed(),
            steps,
        };
        if matches.get_one::<String>("format").is_some_and(|format| format == "json") {
            println!("{}", serde_json::to_string_pretty(&found).map_err(Failure::failed)?);
        }
        eprintln!("\nResult:  {}", found.sentence());
        // It was interrupted before a step was over: there is nothing to keep.
        if found.steps.is_empty() {
            return Ok(Exit::Interrupted);
        }
        let first = found.steps.first().and_then(|step| step.run.file_name());
        let first = first.map(|name| name.to_string_lossy()).unwrap_or_default();
        let name = format!("find-max-{}", first.trim_end_matches("-step-1"));
        let kept = data.join("find-max").join(format!("{name}.json"));
        std::fs::create_dir_all(data.join("find-max")).map_err(Failure::failed)?;
        write_json(&kept, &found).map_err(Failure::failed)?;
        let html = write_find_max(&found, &reports, &name)?;
        eprintln!("Report:  {}\nSteps:   {}", html.display(), kept.display());
        if let Some(Some(failure)) = broken_off {
            return Err(failure);
        }
        Ok(match found.found {
            Found::Knee => Exit::Done,
            Found::AtLeast => Exit::Invalid,
            Found::Nothing => Exit::TargetMissed,
            Found::Interrupted => Exit::Interrupted,
        })
    }

    /// Runs a step, and again where it was borderline (two of three decide) or the generator was the
    /// limit (twice is believed). `None` when it was interrupted.
    async fn decide(
        &self,
        probe: Probe,
        endpoint: &Endpoint,
        signals: &mut Signals,
        steps: &mut Vec<Step>,
    ) -> Result<Option<Told>, Failure> {
        let mut tries = Vec::new();
        loop {
            let Some(judged) = self.step(probe, endpoint, signals, steps.len() + 1).await? else {
                return Ok(None);
            };
            let Judged { step, told, borderline } = judged;
            eprintln!("  {}", line(&step));
            steps.push(step);
            tries.push((told, borderline));
            if let Some(told) = decided(&tries) {
                return Ok(Some(told));
            }
        }
    }

    /// One run at that rate, analysed and judged.
    async fn step(
        &self,
        probe: Probe,
        endpoint: &Endpoint,
        signals: &mut Signals,
        number: usize,
    ) -> Result<Option<Judged>, Failure> {
        let mut plan = self.plan(probe, number);
        let length = plan.length().unwrap_or_default();
        eprintln!("step {number}: {:.1}/s for {:.1} s", probe.rate, length.as_secs_f64());
        let config = &self.config;
        let Some(preflight) = look(&mut plan, config.dimension, endpoint, signals).await? else {
            return Ok(None);
        };
        let options = Options {
            pin: config.pin,
            metrics_url: config.metrics_url.clone(),
            ..Options::new(config.data.clone())
        };
        let watch = Watch { rate: probe.rate, bound: self.bound(), settle: plan.warm_up, length };
        let listen = move |events: &mpsc::Receiver<Event>, stop: &StopHandle| watch.listen(events, stop);
        let loaded = load(plan, endpoint.clone(), preflight, options, signals, listen).await?;
        let report = loaded.result?;
        let seen = loaded.heard.unwrap_or_default();
        let analysing = tokio::task::spawn_blocking({
            let (run_dir, reports) = (report.run_dir.clone(), config.reports.clone());
            move || {
                let analysis = analyze(&run_dir, &AnalyzeOptions::default())?;
                analysis.write(&Outputs { reports, ..Outputs::default() })?;
                Ok::<_, AnalyzeError>(analysis)
            }
        });
        let Some(analysis) = signals.or(analysing).await else { return Ok(None) };
        let broke = |error| Failure::failed(anyhow::anyhow!("the analysis broke off: {error}"));
        let analysis = analysis.map_err(broke)??;
        if loaded.interrupted || report.state == RunState::Failed {
            return Ok(None);
        }
        Ok(Some(self.judge(probe, &analysis, &seen, &report.run_dir)))
    }

    /// The bound as a time, where it is one.
    fn bound(&self) -> Duration {
        let ms = if self.target.figure.is_latency() { self.target.bound } else { 0.0 };
        Duration::try_from_secs_f64(ms / 1e3).unwrap_or(Duration::MAX)
    }

    fn judge(&self, probe: Probe, analysis: &Analysis, seen: &Seen, run_dir: &Path) -> Judged {
        let summary = &analysis.summary;
        let (totals, text) = (&summary.totals, self.target.to_string());
        let ours = summary.targets.iter().rfind(|result| result.binding && result.target == text);
        let value = ours.and_then(|result| result.value);
        let measured_s = analysis.spans.iter().map(|(from, to)| (to - from) as f64 / 1e9).sum::<f64>();
        let due_rate = totals.requests as f64 / measured_s.max(1e-9);
        let achieved = seen.achieved().unwrap_or(totals.rate.unwrap_or(0.0));
        let share = value.map_or(f64::INFINITY, |value| value / self.target.bound);
        let answered = achieved / due_rate;
        let missed = summary.targets.iter().find(|result| result.binding && result.met != Some(true));
        let invalid = summary.validity.iter().find(|check| check.result == ValidityResult::Invalid);

        let (told, reason) = if let (Verdict::Invalid, Some(check)) = (summary.verdict, invalid) {
            (Told::GeneratorLimited, Some(format!("the generator was the limit: {}", check.message)))
        } else if let Some(cut) = &seen.cut {
            (Told::Failed, Some(cut.clone()))
        } else if let Some(missed) = missed {
            let value = missed
                .value
                .map_or_else(|| "not known or infinite".to_owned(), |value| format!("{value:.2}"));
            (Told::Failed, Some(format!("{} was missed: {value}", missed.target)))
        } else if answered < LEAST_ACHIEVED {
            (
                Told::Failed,
                Some(format!("only {:.1} % of the arrivals were answered meanwhile", answered * 100.0)),
            )
        } else if seen.growth(probe.rate) > GROWTH.mul_f64(self.pace) {
            (Told::Failed, Some("the backlog grew until the end".to_owned()))
        } else {
            (Told::Passed(share), None)
        };
        let borderline = !probe.confirms
            && seen.cut.is_none()
            && ((share - 1.0).abs() <= BORDERLINE || BORDERLINE_ACHIEVED.contains(&answered));
        let step = Step {
            rate: probe.rate,
            run: run_dir.to_owned(),
            confirms: probe.confirms,
            passed: matches!(told, Told::Passed(_)),
            reason,
            value,
            achieved,
            p50_ms: totals.response_ms.p50,
            p95_ms: totals.response_ms.p95,
            p99_ms: totals.response_ms.p99,
        };
        Judged { step, told, borderline }
    }
}

/// A step and what it means.
struct Judged {
    step: Step,
    told: Told,
    borderline: bool,
}

fn line(step: &Step) -> String {
    let ms = |ms: Option<f64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1} ms"));
    let result = step.reason.clone().unwrap_or_else(|| "passed".to_owned());
    format!(
        "{:.1}/s: answered {:.1}/s, p50 {}, p99 {}: {result}",
        step.rate,
        step.achieved,
        ms(step.p50_ms),
        ms(step.p99_ms)
    )
}

/// What decides whether a step is cut short.
struct Watch {
    rate: f64,
    bound: Duration,
    settle: Duration,
    length: Duration,
}

/// What the live lines told of a step.
#[derive(Default)]
struct Seen {
    /// Answers a second in each second that is measured.
    answers: Vec<f64>,
    /// Requests that were due and not over, at the end of each second while requests came.
    open: Vec<u64>,
    /// Why the step was cut short.
    cut: Option<String>,
}

impl Watch {
    fn listen(&self, events: &mpsc::Receiver<Event>, stop: &StopHandle) -> Seen {
        let mut seen = Seen::default();
        for event in events {
            match event {
                Event::Warning(warning) => eprintln!("  warning: {warning}"),
                Event::Second(line) => self.second(&line, &mut seen, stop),
                _ => {}
            }
        }
        seen
    }

    fn second(&self, line: &LiveLine, seen: &mut Seen, stop: &StopHandle) {
        // A line is made a little after its second.
        let slack = Duration::from_millis(300);
        if line.elapsed > self.length + slack {
            return;
        }
        eprintln!("  {line}");
        let open = u64::from(line.in_flight) + line.backlog;
        seen.open.push(open);
        if line.elapsed >= self.settle + Duration::from_secs(1).mul_f64(0.9) {
            seen.answers.push(line.rate);
        }
        let wait = |requests: u64| requests as f64 / self.rate;
        let most_s = MOST_BACKLOG.as_secs_f64();
        // What is in flight beyond the bound waits in the server instead of here, and waits all the same.
        let behind = wait(line.backlog) > most_s || wait(open) > most_s + self.bound.as_secs_f64();
        if behind && seen.cut.is_none() {
            seen.cut = Some(format!(
                "cut short after {:.0} s with {open} requests open, {:.1} s of load",
                line.elapsed.as_secs_f64(),
                wait(open)
            ));
            stop.stop(Some(CUT_DRAIN));
        }
    }
}

impl Seen {
    /// Mean answers a second while it was measured.
    fn achieved(&self) -> Option<f64> {
        (!self.answers.is_empty()).then(|| self.answers.iter().sum::<f64>() / self.answers.len() as f64)
    }

    /// How much longer the queue became in the second half, as load of that rate.
    fn growth(&self, rate: f64) -> Duration {
        let (Some(last), Some(middle)) = (self.open.last(), self.open.get(self.open.len() / 2)) else {
            return Duration::ZERO;
        };
        Duration::from_secs_f64(last.saturating_sub(*middle) as f64 / rate)
    }
}

#[cfg(test)]
mod tests {
    use squall_run::Stop;

    use super::*;

    fn second(at: u64, rate: f64, in_flight: u32, backlog: u64) -> LiveLine {
        LiveLine {
            elapsed: Duration::from_millis(at * 1_000 + 100),
            rate,
            in_flight,
            backlog,
            p50: None,
            p95: None,
            p99: None,
            recall: Vec::new(),
            errors: 0,
            done: 0,
            planned: None,
            length: None,
        }
    }

    fn watch() -> Watch {
        Watch {
            rate: 100.0,
            bound: Duration::from_millis(120),
            settle: Duration::from_secs(5),
            length: Duration::from_secs(20),
        }
    }

    #[test]
    fn what_settles_is_not_counted_and_a_backlog_of_two_seconds_cuts_a_step_short() {
        let (stop, _signal) = Stop::new();
        let mut seen = Seen::default();
        for at in 1..=10 {
            watch().second(&second(at, if at < 6 { 10.0 } else { 99.0 }, 5, 0), &mut seen, &stop);
        }
        assert_eq!(seen.achieved(), Some(99.0));
        assert!(seen.cut.is_none() && !stop.is_stopped());
        watch().second(&second(11, 50.0, 64, 201), &mut seen, &stop);
        assert!(stop.is_stopped() && seen.cut.unwrap().contains("265 requests open"));
    }

    #[test]
    fn a_queue_that_grows_in_the_second_half_is_seen() {
        let (stop, _signal) = Stop::new();
        let mut seen = Seen::default();
        for at in 1..=20 {
            watch().second(&second(at, 95.0, 5 * at as u32, 0), &mut seen, &stop);
        }
        assert!(seen.growth(100.0) > GROWTH, "{:?}", seen.growth(100.0));
        let calm = Seen { open: vec![9, 12, 8, 11], ..Seen::default() };
        assert!(calm.growth(100.0) < GROWTH);
    }
}
