//! Each finding on data that supports it, and its silence on data that does not.

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, Float64Array, Int64Array, RecordBatch};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use squall_analyze::{Analysis, Options, analyze};
use squall_core::row::{Outcome, Sample, writer_properties};
use squall_core::run_dir::{RunDir, write_parquet};
use squall_core::summary::{Finding, FindingKind};
use squall_core::target::PlannedTarget;
use tempfile::TempDir;

use crate::simulate::{Simulation, make_altered};

const SECOND_NS: i64 = 1_000_000_000;

fn altered(simulation: &Simulation, alter: impl FnOnce(&mut Vec<Sample>)) -> Analysis {
    let (_data, run) = made(simulation, alter);
    analyze(run.path(), &Options::default()).unwrap()
}

fn made(simulation: &Simulation, alter: impl FnOnce(&mut Vec<Sample>)) -> (TempDir, RunDir) {
    let data = tempfile::tempdir().unwrap();
    let run = make_altered(data.path(), simulation, alter).unwrap();
    (data, run)
}

fn of(analysis: &Analysis, kind: FindingKind) -> Vec<&Finding> {
    analysis.summary.findings.iter().filter(|finding| finding.kind == kind).collect()
}

/// The only finding of that kind.
fn the(analysis: &Analysis, kind: FindingKind) -> Finding {
    let found = of(analysis, kind);
    assert_eq!(found.len(), 1, "{:#?}", analysis.summary.findings);
    found[0].clone()
}

fn text(finding: &Finding) -> String {
    format!("{}\n{}\n{}", finding.statement, finding.evidence.join("\n"), finding.advice)
}

#[track_caller]
fn says(finding: &Finding, parts: &[&str]) {
    let text = text(finding);
    for part in parts {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
}

/// A minute at 200/s on a server that keeps up.
fn calm() -> Simulation {
    Simulation { seconds: 60, ramp_s: 0, ..Simulation::default() }
}

fn slower(row: &mut Sample, by_ms: i64) {
    row.done_ns += by_ms * 1_000_000;
}

#[test]
fn a_calm_run_has_no_finding() {
    for seed in 1..6 {
        let analysis = altered(&Simulation { seed, ..calm() }, |_| {});
        assert!(analysis.summary.findings.is_empty(), "{:#?}", analysis.summary.findings);
    }
}

#[test]
fn a_stall_is_a_tail_of_one_moment() {
    let analysis = altered(&Simulation { stall_at_s: 30.0, stall_for_s: 2.0, ..calm() }, |_| {});
    let tail = the(&analysis, FindingKind::Tail);
    says(
        &tail,
        &[
            "all of one moment",
            "UTC",
            "29.",
            "No class is much more frequent",
            "the server's metrics page was not read",
        ],
    );
}

#[test]
fn pauses_every_ten_seconds_are_a_tail_with_that_period() {
    let analysis = altered(&calm(), |rows| {
        for row in rows.iter_mut().filter(|row| (row.due_ns % (10 * SECOND_NS)) < SECOND_NS / 4) {
            slower(row, 300);
        }
    });
    says(&the(&analysis, FindingKind::Tail), &["in bursts every 10 s", "garbage collection"]);
}

#[test]
fn slow_requests_without_a_pattern_are_spread() {
    let mut rng = StdRng::seed_from_u64(3);
    let analysis = altered(&calm(), |rows| {
        for row in rows.iter_mut() {
            if rng.random_bool(0.02) {
                slower(row, 400);
            }
        }
    });
    let tail = the(&analysis, FindingKind::Tail);
    says(&tail, &["spread over the run", "about as chance would have them", "single event"]);
}

#[test]
fn a_filter_that_makes_the_tail_is_named() {
    let analysis = altered(&calm(), |rows| {
        for row in rows.iter_mut().filter(|row| row.filter.is_some_and(|filter| filter < 5)) {
            slower(row, 400);
        }
    });
    let tail = the(&analysis, FindingKind::Tail);
    says(&tail, &["The class `filtered` is 100% of them", "The filter `"]);
    let analysis = altered(&calm(), |rows| {
        for row in rows.iter_mut().filter(|row| row.class == 2) {
            slower(row, 400);
        }
    });
    says(&the(&analysis, FindingKind::Tail), &["the class `rare` makes most of them", "p99(rare)"]);
}

#[test]
fn failures_are_told_by_kind_time_and_cause() {
    let analysis = altered(&calm(), |rows| {
        for row in rows.iter_mut() {
            if (20 * SECOND_NS..23 * SECOND_NS).contains(&row.due_ns) {
                (row.outcome, row.sent_ns, row.hits) = (Outcome::Refused, None, 0);
            } else if row.seq % 200 == 0 {
                (row.outcome, row.code) = (Outcome::Rejected, Some(8));
            }
        }
    });
    let errors = the(&analysis, FindingKind::Errors);
    says(
        &errors,
        &[
            "as refused",
            "rejected with code 8",
            "in one span",
            "12:30:2",
            "3 s long",
            "searchRate",
            "restarting",
        ],
    );
}

#[test]
fn failures_of_one_class_name_it() {
    let analysis = altered(&calm(), |rows| {
        for row in rows.iter_mut().filter(|row| row.class == 2 && row.seq % 3 == 0) {
            (row.outcome, row.code) = (Outcome::ServerError, Some(65_535));
        }
    });
    let errors = the(&analysis, FindingKind::Errors);
    says(
        &errors,
        &[
            "as server_error with code 65535",
            "100% of them of the class `rare`",
            "spread over the measured time",
        ],
    );
}

#[test]
fn users_who_cannot_ask_the_wanted_rate_are_counted_by_littles_law() {
    let targets = vec![PlannedTarget { target: "qps >= 1000".parse().unwrap(), binding: true }];
    let simulation = Simulation { users: Some(40), targets, ramp_s: 2, ..calm() };
    let analysis = altered(&simulation, |_| {});
    let rate = the(&analysis, FindingKind::LowRate);
    says(
        &rate,
        &[
            "40 users with this think time cannot ask that many",
            "Little's law: 40 users ÷",
            "if every answer came at once they would ask only 133",
            "-u 31",
        ],
    );

    let enough = vec![PlannedTarget { target: "qps >= 100".parse().unwrap(), binding: true }];
    let analysis = altered(&Simulation { targets: enough, ..simulation }, |_| {});
    assert!(of(&analysis, FindingKind::LowRate).is_empty());
}

#[test]
fn a_binding_target_is_the_one_that_findings_speak_of() {
    let planned = |text: &str, binding| PlannedTarget { target: text.parse().unwrap(), binding };
    let simulation =
        Simulation { targets: vec![planned("qps >= 1000", false), planned("qps >= 300", true)], ..calm() };
    let rate = the(&altered(&simulation, |_| {}), FindingKind::LowRate);
    says(&rate, &["200 requests/s were answered, 300 were wanted", "--rate 300"]);
    let met =
        Simulation { targets: vec![planned("qps >= 1000", false), planned("qps >= 150", true)], ..calm() };
    let analysis = altered(&met, |_| {});
    assert!(of(&analysis, FindingKind::LowRate).is_empty(), "{:#?}", analysis.summary.findings);
}

/// A server that answers at most `most` requests a second, in order.
fn served_in_turn(rows: &mut [Sample], most: f64) {
    rows.sort_by_key(|row| row.due_ns);
    let mut free = 0_i64;
    for row in rows.iter_mut() {
        let begin = free.max(row.sent_ns.unwrap_or(row.due_ns));
        free = begin + (1e9 / most) as i64;
        row.done_ns = free + 2_000_000;
    }
}

#[test]
fn a_server_that_falls_behind_is_saturated_and_one_that_keeps_up_is_not() {
    let analysis = altered(&calm(), |rows| served_in_turn(rows, 150.0));
    let rate = the(&analysis, FindingKind::LowRate);
    says(&rate, &["saturated at about 150 answers/s", "200/s were due and 150/s answered", "--find-max"]);
    let analysis = altered(&calm(), |rows| served_in_turn(rows, 260.0));
    assert!(of(&analysis, FindingKind::LowRate).is_empty(), "{:#?}", analysis.summary.findings);
}

#[test]
fn a_generator_that_was_the_limit_is_named_before_the_server() {
    let targets = vec![PlannedTarget { target: "qps >= 1000".parse().unwrap(), binding: true }];
    let simulation = Simulation { users: Some(40), targets, worker_busy: 0.97, ..calm() };
    let rate = the(&altered(&simulation, |_| {}), FindingKind::LowRate);
    says(&rate, &["the generator was the limit", "used over 90% of a core", "--shard"]);
}

#[test]
fn filters_that_return_short_are_named() {
    let analysis = altered(&calm(), |rows| {
        for row in rows.iter_mut().filter(|row| row.filter == Some(7) || row.filter == Some(9)) {
            (row.outcome, row.hits) = (Outcome::Short, 3);
        }
    });
    let short = the(&analysis, FindingKind::Short);
    says(
        &short,
        &["all of filtered searches: `", "answers short (100%)", "nprobe", "the index, and not the data"],
    );
    assert!(of(&altered(&calm(), |rows| rows[5].outcome = Outcome::Short), FindingKind::Short).is_empty());
}

#[test]
fn recall_below_its_target_names_classes_and_filters() {
    let target = |bound: &str| {
        vec![PlannedTarget { target: format!("recall >= {bound}").parse().unwrap(), binding: true }]
    };
    let lower = |rows: &mut Vec<Sample>| {
        for row in rows.iter_mut().filter(|row| row.filter == Some(3)) {
            row.recall = Some(0.2);
        }
    };
    let analysis = altered(&Simulation { targets: target("0.99"), ..calm() }, lower);
    let recall = the(&analysis, FindingKind::Recall);
    says(
        &recall,
        &["Recall is 0.96", "Class `common`: recall 0.97", ": recall 0.2000 over", "--search-params"],
    );
    let analysis = altered(&Simulation { targets: target("0.9"), ..calm() }, lower);
    assert!(of(&analysis, FindingKind::Recall).is_empty());
}

#[test]
fn a_slow_beginning_is_a_cold_start_and_a_slow_middle_is_none() {
    let slow_at = |from_s: i64| {
        altered(&calm(), |rows| {
            for row in rows
                .iter_mut()
                .filter(|row| (from_s * SECOND_NS..(from_s + 6) * SECOND_NS).contains(&row.due_ns))
            {
                slower(row, 60 - 8 * (row.due_ns / SECOND_NS - from_s));
            }
        })
    };
    let cold = the(&slow_at(0), FindingKind::ColdStart);
    says(&cold, &["The first", "--warm-up", "P95 reached"]);
    assert!(of(&slow_at(25), FindingKind::ColdStart).is_empty());
}

#[test]
fn a_class_that_slows_another_is_named_and_its_victim() {
    // Each `rare` request holds the server for 60 ms; what is due meanwhile waits.
    let starve = |rows: &mut Vec<Sample>, hold_ns: i64| {
        rows.sort_by_key(|row| row.due_ns);
        let mut held = i64::MIN;
        for row in rows.iter_mut() {
            if row.class == 2 {
                held = held.max(row.due_ns) + hold_ns;
                row.done_ns = row.due_ns + 60_000_000;
            } else if held > row.due_ns {
                row.done_ns += held - row.due_ns;
            }
        }
    };
    let simulation = Simulation { rate: 100.0, seconds: 90, ..calm() };
    let found = the(&altered(&simulation, |rows| starve(rows, 40_000_000)), FindingKind::Starvation);
    says(&found, &["Requests of the class `rare` slow those of `", "in the quarter with the most"]);
    let none = altered(&simulation, |rows| starve(rows, 0));
    assert!(of(&none, FindingKind::Starvation).is_empty(), "{:#?}", none.summary.findings);
}

/// Writes the server's memory, looked at every 5 s: a level in MiB, its growth in MB an hour, and
/// noise as a garbage collector makes it.
fn write_memory(run: &RunDir, seconds: i64, growth_mb_per_hour: f64) {
    let mut rng = StdRng::seed_from_u64(17);
    let mut level = 0.0;
    let (mut times, mut values) = (Vec::new(), Vec::new());
    for at in (0..=seconds).step_by(5) {
        level = 0.9 * level + rng.random_range(-6.0..6.0);
        let grown = growth_mb_per_hour * 1e6 * at as f64 / 3_600.0;
        times.push(at * SECOND_NS);
        values.push(2_000.0 * f64::from(1 << 20) + level * 1e6 + grown);
    }
    let words = |word: &str| -> ArrayRef {
        Arc::new(std::iter::repeat_n(Some(word), times.len()).collect::<DictionaryArray<Int32Type>>())
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(times.clone())),
        words("process_resident_memory_bytes"),
        words("{}"),
        Arc::new(Float64Array::from(values)),
    ];
    let batch = RecordBatch::try_new(squall_core::server::schema(), columns).unwrap();
    write_parquet(&run.server(), &[batch], writer_properties()).unwrap();
}

#[test]
fn four_hours_of_ten_megabytes_more_an_hour_are_a_drift_and_none_are_none() {
    let endurance = Simulation { seconds: 4 * 3_600, ramp_s: 0, rate: 10.0, ..Simulation::default() };
    let (_data, run) = made(&endurance, |_| {});
    write_memory(&run, 4 * 3_600, 10.0);
    let analysis = analyze(run.path(), &Options::default()).unwrap();
    let found = of(&analysis, FindingKind::Drift);
    let memory = found.iter().find(|finding| finding.problem).expect("memory grows");
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(memory.statement.starts_with("The server's memory grows "), "{}", memory.statement);
    let numbers: Vec<f64> = memory
        .statement
        .split(|c: char| !c.is_ascii_digit() && c != '.')
        .filter_map(|word| word.parse().ok())
        .collect();
    let [slope, low, high] = numbers[..] else { panic!("{}", memory.statement) };
    assert!(low < 10.0 && 10.0 < high && (8.0..12.0).contains(&slope), "{}", memory.statement);
    assert!(high - low < 4.0, "{}", memory.statement);

    write_memory(&run, 4 * 3_600, 0.0);
    let analysis = analyze(run.path(), &Options::default()).unwrap();
    let calm = the(&analysis, FindingKind::Drift);
    assert!(!calm.problem);
    says(&calm, &["No drift over 4 h", "P99: |slope| <", "The server's memory: |slope| <", "MB/h"]);
}

#[test]
fn latency_that_grows_for_an_hour_is_a_drift_and_the_load_s_own_growth_is_none() {
    let hour = Simulation { seconds: 3_600, ramp_s: 0, rate: 20.0, ..Simulation::default() };
    let grown = altered(&hour, |rows| {
        for row in rows.iter_mut() {
            let service = row.done_ns - row.due_ns;
            row.done_ns += (service as f64 * row.due_ns as f64 / 3.6e12) as i64;
        }
    });
    let drift: Vec<_> =
        of(&grown, FindingKind::Drift).into_iter().filter(|finding| finding.problem).collect();
    assert_eq!(drift.len(), 1);
    assert!(drift[0].statement.starts_with("P99 grows "), "{}", drift[0].statement);
    let short = altered(&Simulation { seconds: 300, ..hour }, |_| {});
    assert!(of(&short, FindingKind::Drift).is_empty(), "five minutes say nothing of drift");
}
