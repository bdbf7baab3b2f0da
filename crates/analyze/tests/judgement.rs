//! Figures, targets, validity and verdict.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, UInt64Array};
use arrow_schema::DataType;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use squall_analyze::{Analysis, Options, analyze, text};
use squall_core::plan::Shard;
use squall_core::row::{Outcome, writer_properties};
use squall_core::run_dir::{RunDir, write_parquet};
use squall_core::summary::{ValidityResult, Verdict};
use squall_core::target::PlannedTarget;

use crate::simulate::{Simulation, make_altered, reference_targets};
use crate::{analysis, check, invalid, run};

fn binding(targets: &[&str]) -> Vec<PlannedTarget> {
    let target = |text: &&str| PlannedTarget { target: text.parse().unwrap(), binding: true };
    targets.iter().map(target).collect()
}

fn judged(simulation: &Simulation, targets: &[&str]) -> Analysis {
    analysis(&Simulation { targets: binding(targets), ..simulation.clone() })
}

#[test]
fn ramp_rows_are_in_no_figure() {
    let analysis = analysis(&Simulation::default());
    assert_eq!(analysis.summary.totals.requests, 4_000);
    assert_eq!(analysis.summary.stages.keys().collect::<Vec<_>>(), ["steady"]);
    assert_eq!(analysis.summary.stages["steady"].requests, 4_000);
    let in_buckets: u64 = analysis.series.buckets.iter().map(|bucket| bucket.due).sum();
    assert_eq!(in_buckets, 4_200, "over time the ramp is shown");
    let by_class: u64 = analysis.summary.classes.values().map(|figures| figures.requests).sum();
    assert_eq!(by_class, 4_000);
}

#[test]
fn a_stall_shows_in_the_response_time_of_all_that_were_due() {
    let analysis = analysis(&Simulation { stall_at_s: 10.0, stall_for_s: 2.0, ..Simulation::default() });
    // 400 of 4,000 were due in the stall and waited one second on average.
    let p99 = analysis.summary.totals.response_ms.p99.unwrap();
    assert!((1_700.0..2_100.0).contains(&p99), "{p99}");
}

#[test]
fn service_time_leaves_out_backlog_and_lag() {
    let data = tempfile::tempdir().unwrap();
    let run = make_altered(data.path(), &Simulation::default(), |rows| {
        for row in rows.iter_mut() {
            row.ready_ns += 50_000_000;
            row.sent_ns = row.sent_ns.map(|sent| sent + 51_000_000);
            row.done_ns += 51_000_000;
        }
    })
    .unwrap();
    let figures = analyze(run.path(), &Options::default()).unwrap().summary.totals;
    let plain = analysis(&Simulation::default()).summary.totals;
    assert_eq!(figures.service_ms, plain.service_ms);
    let moved = figures.response_ms.p95.unwrap() - plain.response_ms.p95.unwrap();
    assert!((moved - 51.0).abs() < 1e-6, "{moved}");
}

#[test]
fn a_target_over_windows_must_hold_in_each_of_them() {
    let stalled = Simulation { stall_at_s: 10.0, stall_for_s: 2.0, ..Simulation::default() };
    let targets = ["p50 < 500ms", "p50 < 500ms over 2s", "qps >= 150 over 5s", "p50 < 500ms over 1h"];
    let analysis = judged(&stalled, &targets);
    let met: Vec<Option<bool>> = analysis.targets.iter().map(|target| target.result.met).collect();
    assert_eq!(met, [Some(true), Some(false), Some(true), None]);
    // Half of what was due in the stall of 2 s waited more than a second.
    let worst = analysis.targets[1].result.value.unwrap();
    assert!((900.0..1_200.0).contains(&worst), "{worst}");
    let text = text::summary(&analysis);
    assert!(text.contains("(target: <500ms over 2s) ✗ (the worst of"), "{text}");
    assert!(analysis.targets[3].note.as_deref().unwrap().contains("1h"));
}

#[test]
fn windows_that_nobody_can_judge_are_counted_and_are_no_pass() {
    // 200/s, and of most of the time hardly anything: a window of 2 s has 400 requests, or 40.
    let thinned = |from_s: i64, to_s: i64, slow: bool| {
        let data = tempfile::tempdir().unwrap();
        let simulation =
            Simulation { ramp_s: 0, targets: binding(&["p99 < 500ms over 2s"]), ..Simulation::default() };
        let run = make_altered(data.path(), &simulation, |rows| {
            let few = from_s * 1_000_000_000..to_s * 1_000_000_000;
            rows.retain(|row| row.seq % 10 == 0 || !few.contains(&row.due_ns));
            for row in rows.iter_mut().filter(|row| slow && row.due_ns < 1_000_000_000) {
                row.done_ns += 900_000_000;
            }
        });
        let analysis = analyze(run.unwrap().path(), &Options::default()).unwrap();
        let judged = &analysis.targets[0];
        (judged.result.met, judged.note.clone().unwrap(), text::summary(&analysis))
    };
    // They begin a second apart; one that reaches into the full second has enough.
    let (met, note, _) = thinned(16, 20, false);
    assert_eq!(met, Some(true));
    assert!(note.starts_with("the worst of 16 of 19 windows, from "), "{note}");
    assert!(
        note.ends_with("; of the others it is not known: fewer than 100 requests stand behind it"),
        "{note}"
    );
    let (met, note, text) = thinned(4, 20, false);
    assert_eq!(met, None, "{note}");
    assert_eq!(note, "15 of 19 windows cannot be judged: fewer than 100 requests stand behind it");
    assert!(text.contains(&note), "{text}");
    // What is missed in a window that is known is missed.
    let (met, note, _) = thinned(4, 20, true);
    assert_eq!(met, Some(false), "{note}");
    assert!(note.starts_with("the worst of 4 of 19 windows, from 0 s on"), "{note}");
}

#[test]
fn a_latency_target_counts_a_failed_request_as_infinitely_late() {
    let targets = ["p50 < 30ms", "p95 < 100ms", "p99 < 10s", "max < 1h"];
    let analysis = judged(&Simulation { failures: 0.02, ..Simulation::default() }, &targets[..3]);
    let met: Vec<_> = analysis.targets.iter().map(|target| (target.result.met, target.infinite)).collect();
    assert_eq!(met, [(Some(true), false), (Some(true), false), (Some(false), true)]);
    assert_eq!(analysis.targets[2].result.value, None);
    assert!(analysis.summary.totals.response_ms.p99.is_some(), "the figure is of answered requests");
    assert_eq!(analysis.summary.verdict, Verdict::Fail);
    assert!(
        text::summary(&analysis).contains("P99: ∞ (target: <10,000ms) ✗"),
        "{}",
        text::summary(&analysis)
    );
}

#[test]
fn an_open_loop_has_its_rate_when_99_per_cent_of_the_arrivals_are_answered() {
    let met = |failures: f64, target: &str| {
        judged(&Simulation { failures, ..Simulation::default() }, &[target]).targets[0].result.met
    };
    assert_eq!(met(0.004, "qps >= 200"), Some(true));
    assert_eq!(met(0.03, "qps >= 200"), Some(false));
    assert_eq!(met(0.0, "qps >= 201"), Some(false), "the plan itself is slower");
    assert_eq!(met(0.0, "qps(common) >= 140"), Some(true));
    assert_eq!(met(0.0, "qps(common) >= 141"), Some(false));
}

#[test]
fn rows_that_never_came_are_missed_arrivals() {
    let data = tempfile::tempdir().unwrap();
    let simulation = Simulation { targets: binding(&["qps >= 200"]), ..Simulation::default() };
    let run = make_altered(data.path(), &simulation, |rows| rows.retain(|row| row.seq % 20 != 0)).unwrap();
    let analysis = analyze(run.path(), &Options::default()).unwrap();
    assert_eq!(analysis.targets[0].result.met, Some(false));
    assert!(analysis.targets[0].note.as_ref().unwrap().contains("of 4,000 arrivals"));
}

#[test]
fn a_closed_loop_must_reach_its_rate() {
    let simulation = Simulation { users: Some(50), ramp_s: 1, ..Simulation::default() };
    let rate = analysis(&simulation).summary.totals.rate.unwrap();
    let met = |bound: f64| judged(&simulation, &[&format!("qps >= {bound}")]).targets[0].result.met;
    assert_eq!(met(rate.floor()), Some(true));
    assert_eq!(met(rate.ceil()), Some(false));
}

#[test]
fn a_closed_loop_says_what_it_hides_and_what_its_users_could_reach() {
    let analysis = analysis(&Simulation { users: Some(50), ramp_s: 1, ..Simulation::default() });
    let mean_s = analysis.summary.totals.response_ms.mean.unwrap() / 1e3;
    let most = ((50.0 / (0.3 + mean_s)) * 10.0_f64).round() / 10.0;
    let note = analysis.notes.iter().find(|note| note.starts_with("Closed loop")).unwrap();
    assert!(note.contains("the percentiles hide it"), "{note}");
    assert!(note.contains(&format!("50 users could reach {most} requests/s at most")), "{note}");
}

#[test]
fn a_binding_target_that_cannot_be_known_fails_the_run() {
    let few = Simulation { rate: 4.0, ..Simulation::default() };
    let analysis = judged(&few, &["p99 < 10s"]);
    assert_eq!((analysis.targets[0].result.value, analysis.targets[0].result.met), (None, None));
    assert_eq!(analysis.summary.verdict, Verdict::Fail);
    let no_class = judged(&few, &["p50(exotic) < 10s"]);
    assert_eq!(no_class.summary.verdict, Verdict::Fail);
    assert!(no_class.targets[0].note.as_ref().unwrap().contains("no class `exotic`"));
}

#[test]
fn advisory_targets_decide_nothing() {
    let simulation = Simulation { median_ms: 500.0, ..Simulation::default() };
    let advisory = analysis(&Simulation { targets: reference_targets(false), ..simulation.clone() });
    assert_eq!(advisory.summary.verdict, Verdict::None);
    assert!(advisory.targets.iter().any(|target| target.result.met == Some(false)));
    let binding = analysis(&Simulation { targets: reference_targets(true), ..simulation });
    assert_eq!(binding.summary.verdict, Verdict::Fail);
}

#[test]
fn options_replace_the_targets_of_the_plan() {
    let (_data, run) = run(&Simulation { targets: binding(&["p50 < 1us"]), ..Simulation::default() });
    let options = Options { targets: Some(binding(&["p50 < 1s"])) };
    assert_eq!(analyze(run.path(), &options).unwrap().summary.verdict, Verdict::Pass);
    assert_eq!(analyze(run.path(), &Options::default()).unwrap().summary.verdict, Verdict::Fail);
}

#[test]
fn a_late_generator_is_invalid_before_anything_else() {
    let analysis = judged(&Simulation { lag_us: 8_000.0, ..Simulation::default() }, &["p50 < 1us"]);
    assert_eq!(invalid(&analysis), ["lag"]);
    assert_eq!(analysis.summary.verdict, Verdict::Invalid);
    let check = check(&analysis, "lag");
    assert!(check.value.unwrap() > check.limit.unwrap());
    assert!(check.message.contains("--threads"), "{}", check.message);
}

#[test]
fn a_slow_server_never_makes_a_run_invalid() {
    let data = tempfile::tempdir().unwrap();
    let run = make_altered(data.path(), &Simulation::default(), |rows| {
        for row in rows.iter_mut() {
            // Seven seconds of backlog, and a tenth never sent for want of a place.
            row.ready_ns += 7_000_000_000;
            row.sent_ns = row.sent_ns.map(|sent| sent + 7_000_000_000);
            row.done_ns += 7_000_000_000;
            if row.seq % 10 == 0 {
                row.outcome = Outcome::Unsent;
                row.sent_ns = None;
            }
        }
    })
    .unwrap();
    let analysis = analyze(run.path(), &Options::default()).unwrap();
    assert_eq!(invalid(&analysis), [""; 0]);
    assert_eq!(analysis.summary.totals.outcomes["unsent"], 400);
}

#[test]
fn a_busy_worker_is_invalid() {
    let analysis = analysis(&Simulation { worker_busy: 0.95, ..Simulation::default() });
    assert_eq!(invalid(&analysis), ["worker_busy"]);
    assert_eq!(check(&analysis, "worker_busy").value, Some(1.0));
}

#[test]
fn over_rest_a_wait_is_not_said_to_be_one_of_http_2() {
    let (_data, run) = run(&Simulation::default());
    let mut record = run.read_record().unwrap();
    record.server.protocol = "rest-v2".to_owned();
    run.write_record(&record).unwrap();
    let analysis = analyze(run.path(), &Options::default()).unwrap();
    let message = &check(&analysis, "flow_control").message;
    assert!(message.contains("waited for a socket") && !message.contains("HTTP/2"), "{message}");
}

#[test]
fn a_worker_that_only_waits_awake_is_not_busy() {
    let waits = Simulation { worker_busy: 0.99, worker_spins: 0.6, ..Simulation::default() };
    let analysis = analysis(&waits);
    assert_eq!((invalid(&analysis), check(&analysis, "worker_busy").value), (vec![], Some(0.0)));
}

#[test]
fn counts_of_the_record_make_a_run_invalid() {
    type Spoil = fn(&mut squall_core::run_record::RunTotals);
    let spoilt: [(&str, Spoil, &str); 4] = [
        ("dropped_rows", |totals| totals.dropped_rows = 1, "Write to a faster disk"),
        ("missing_rows", |totals| totals.rows += 1, "restore the files, or run again"),
        ("due_not_sent", |totals| totals.due_not_sent = 9, "Use more --threads, or a lower rate"),
        ("clock", |totals| totals.clock_disagreement_ms = -101.0, "Run again"),
    ];
    let (_data, run) = run(&Simulation::default());
    let whole = run.read_record().unwrap();
    for (name, spoil, advice) in spoilt {
        let mut record = whole.clone();
        spoil(record.totals.as_mut().unwrap());
        run.write_record(&record).unwrap();
        let analysis = analyze(run.path(), &Options::default()).unwrap();
        assert_eq!(invalid(&analysis), [name]);
        assert!(check(&analysis, name).message.contains(advice), "{}", check(&analysis, name).message);
    }
}

/// Sets a column of generator.parquet to a value, in the rows of the process or of the workers.
fn set_in_health(run: &RunDir, column: &str, of_process: bool, value: i64) {
    set_in_seconds(run, column, of_process, |_| value);
}

/// As [`set_in_health`], by the end of the second.
fn set_in_seconds(run: &RunDir, column: &str, of_process: bool, value: impl Fn(i64) -> i64) {
    let file = std::fs::File::open(run.generator()).unwrap();
    let batches = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let changed = batches.map(|batch| {
        let batch = batch.unwrap();
        let at = batch.schema().index_of(column).unwrap();
        let workers = batch.column_by_name("worker").unwrap().clone();
        let times = batch.column_by_name("time").unwrap().as_primitive::<Int64Type>().clone();
        let values = (0..batch.num_rows())
            .map(|row| (workers.is_null(row) == of_process).then(|| value(times.value(row))));
        let values: ArrayRef = match batch.schema().field(at).data_type() {
            DataType::UInt64 => {
                Arc::new(UInt64Array::from_iter(values.map(|value| value.map(i64::unsigned_abs))))
            }
            _ => Arc::new(Int64Array::from_iter(values)),
        };
        let mut columns = batch.columns().to_vec();
        columns[at] = values;
        RecordBatch::try_new(batch.schema(), columns).unwrap()
    });
    let changed: Vec<RecordBatch> = changed.collect();
    write_parquet(&run.generator(), &changed, writer_properties()).unwrap();
}

#[test]
fn each_check_of_the_generator_has_its_limit_and_its_advice() {
    // Seconds of eight cores, 200 requests each, shared by two workers; the limit is in between.
    let cases = [
        ("steal", "steal_ns", true, 380_000_000, 420_000_000, "Use a host with dedicated cores"),
        ("throttled", "throttled_ns", true, 49_000_000, 51_000_000, "Give the container more CPU"),
        ("run_queue", "run_queue_ns", false, 99_000_000, 101_000_000, "Use fewer --threads"),
        ("worker_busy", "cpu_ns", false, 899_000_000, 901_000_000, "Use more --threads"),
    ];
    for (name, column, of_process, below, above, advice) in cases {
        let (_data, run) = run(&Simulation::default());
        set_in_health(&run, column, of_process, below);
        let fine = analyze(run.path(), &Options::default()).unwrap();
        assert_eq!((invalid(&fine), check(&fine, name).result), (vec![], ValidityResult::Ok), "{name}");
        assert!(!check(&fine, name).message.contains(advice), "{}", check(&fine, name).message);
        set_in_health(&run, column, of_process, above);
        let limited = analyze(run.path(), &Options::default()).unwrap();
        assert_eq!(invalid(&limited), [name]);
        let check = check(&limited, name);
        assert!(check.value > check.limit && check.message.contains(advice), "{}", check.message);
        assert_eq!(limited.summary.verdict, Verdict::Invalid);
    }
}

#[test]
fn rows_lost_before_the_measured_part_are_a_warning_and_later_ones_make_a_run_invalid() {
    let lost_at = |place: fn(i64, (i64, i64)) -> bool| {
        let (_data, run) = run(&Simulation::default());
        let mut record = run.read_record().unwrap();
        let span = *record.measured.first().unwrap();
        assert!(span.0 >= 1_000_000_000, "the simulation has a ramp");
        record.totals.as_mut().unwrap().dropped_rows = 7;
        run.write_record(&record).unwrap();
        // In the first such second.
        let mut seconds = (1..100).map(|second| second * 1_000_000_000);
        let lost_ns = seconds.find(|end_ns| place(*end_ns, span)).unwrap();
        set_in_seconds(&run, "dropped", true, |end_ns| if end_ns == lost_ns { 7 } else { 0 });
        analyze(run.path(), &Options::default()).unwrap()
    };
    let early = lost_at(|end_ns, (from_ns, _)| end_ns <= from_ns);
    assert_eq!((invalid(&early), check(&early, "dropped_rows").result), (vec![], ValidityResult::Warning));
    let message = &check(&early, "dropped_rows").message;
    assert!(message.contains("lost 7 rows before the measured part"), "{message}");
    for analysis in
        [lost_at(|end_ns, (from_ns, _)| end_ns > from_ns), lost_at(|end_ns, (_, to_ns)| end_ns == to_ns)]
    {
        assert_eq!(invalid(&analysis), ["dropped_rows"]);
        assert_eq!(check(&analysis, "dropped_rows").value, Some(7.0));
    }
}

#[test]
fn sends_that_wait_for_the_window_make_a_run_invalid_from_one_in_a_hundred_on() {
    let waits = |rate: f64| {
        let (_data, run) = run(&Simulation { rate, ..Simulation::default() });
        // Two wait every second.
        set_in_health(&run, "flow_control_waits", true, 2);
        analyze(run.path(), &Options::default()).unwrap()
    };
    let limited = waits(150.0);
    assert_eq!(invalid(&limited), ["flow_control"]);
    assert!(check(&limited, "flow_control").message.contains("Raise --connections"));
    let fine = waits(250.0);
    assert_eq!(invalid(&fine), [""; 0]);
    assert!(check(&fine, "flow_control").message.contains("0.8% of the sends waited"));
}

#[test]
fn lag_of_sends_that_waited_for_the_window_asks_for_connections_and_not_for_threads() {
    let (_data, run) = run(&Simulation { rate: 150.0, lag_us: 8_000.0, ..Simulation::default() });
    set_in_health(&run, "flow_control_waits", true, 2);
    let limited = analyze(run.path(), &Options::default()).unwrap();
    assert_eq!(invalid(&limited), ["lag", "flow_control"]);
    let message = &check(&limited, "lag").message;
    assert!(message.contains("raise --connections") && !message.contains("--threads"), "{message}");
}

#[test]
fn a_server_on_the_same_host_is_a_warning() {
    let analysis = judged(&Simulation { same_host: true, ..Simulation::default() }, &["p50 < 1s"]);
    assert_eq!(check(&analysis, "same_host").result, ValidityResult::Warning);
    assert!(check(&analysis, "same_host").message.contains("use a second host"));
    assert_eq!(analysis.summary.verdict, Verdict::Pass);
}

#[test]
fn a_shard_judges_no_target() {
    let (_data, run) = run(&Simulation { targets: binding(&["p50 < 1us"]), ..Simulation::default() });
    let mut record = run.read_record().unwrap();
    record.shard = Shard { index: 1, count: 2 };
    run.write_record(&record).unwrap();
    let analysis = analyze(run.path(), &Options::default()).unwrap();
    assert_eq!(analysis.summary.verdict, Verdict::None);
    assert_eq!(analysis.targets[0].result.met, None);
}

#[test]
fn short_answers_are_no_failures() {
    let data = tempfile::tempdir().unwrap();
    let run = make_altered(data.path(), &Simulation::default(), |rows| {
        rows.iter_mut().filter(|row| row.seq % 4 == 0).for_each(|row| row.outcome = Outcome::Short);
    })
    .unwrap();
    let totals = analyze(run.path(), &Options::default()).unwrap().summary.totals;
    assert_eq!((totals.failures, totals.short_rate), (0, Some(0.25)));
    assert_eq!(totals.rate, Some(200.0));
}
