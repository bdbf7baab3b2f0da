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

/// Every request leaves later than the one before it, which is no doing of the server's.
fn sent_ever_later(rows: &mut [Sample]) {
    for row in rows.iter_mut() {
        let late = row.due_ns / 8;
        row.sent_ns = row.sent_ns.map(|sent| sent + late);
        row.done_ns += late;
    }
}

/// Of what may be the generator's doing nothing is said, or that it may be.
#[track_caller]
fn blames_no_server(analysis: &Analysis) {
    for finding in &analysis.summary.findings {
        let fine = match finding.kind {
            FindingKind::LowRate => !text(finding).contains("saturated"),
            FindingKind::Tail => {
                finding.statement.contains("the generator")
                    && finding.advice.contains("nothing of the server")
            }
            FindingKind::Drift => !text(finding).contains("P99") && !text(finding).contains("error rate"),
            kind => ![FindingKind::Starvation, FindingKind::ColdStart].contains(&kind),
        };
        assert!(fine, "{finding:#?}");
    }
}

/// As [`altered`], with delays by row: once of the server's making, once of the generator's.
fn delayed(simulation: &Simulation, delays: impl Fn(&[Sample]) -> Vec<i64>) -> [Analysis; 2] {
    [false, true].map(|by_generator| {
        altered(simulation, |rows| {
            rows.sort_by_key(|row| row.due_ns);
            let delays = delays(rows);
            for (row, late) in rows.iter_mut().zip(delays) {
                row.done_ns += late;
                row.sent_ns = row.sent_ns.map(|sent| if by_generator { sent + late } else { sent });
            }
        })
    })
}

#[test]
fn a_tail_of_requests_that_were_sent_late_is_the_generators() {
    let [server, generator] = delayed(&calm(), |rows| {
        rows.iter().map(|row| if row.seq % 33 == 7 { 150_000_000 } else { 0 }).collect()
    });
    assert!(!text(&the(&server, FindingKind::Tail)).contains("generator"));
    assert_eq!(crate::invalid(&generator), ["lag"]);
    let tail = the(&generator, FindingKind::Tail);
    says(&tail, &["the generator sent the slow requests late", "of their response time and not", "--shard"]);
    blames_no_server(&generator);
    // One that is busy may be the cause of a stall, too.
    let busy = Simulation { stall_at_s: 30.0, stall_for_s: 2.0, worker_busy: 0.97, ..calm() };
    let analysis = altered(&busy, |_| {});
    says(
        &the(&analysis, FindingKind::Tail),
        &["failed its own checks, may be the cause", "over 90% of a core"],
    );
    blames_no_server(&analysis);
}

#[test]
fn a_generator_that_is_late_starts_no_server_cold_and_starves_no_class() {
    let [server, generator] = delayed(&calm(), |rows| {
        rows.iter()
            .map(|row| 60_000_000 - 10_000_000 * (row.due_ns / SECOND_NS))
            .map(|ns| ns.max(0))
            .collect()
    });
    assert_eq!(of(&server, FindingKind::ColdStart).len(), 1);
    assert_eq!(crate::invalid(&generator), ["lag"]);
    blames_no_server(&generator);

    let held = Simulation { rate: 100.0, seconds: 90, ..calm() };
    let [server, generator] = delayed(&held, |rows| {
        let mut held = i64::MIN;
        let late = rows.iter().map(|row| {
            if row.class == 2 {
                held = held.max(row.due_ns) + 40_000_000;
                return 0;
            }
            (held.max(row.due_ns) - row.due_ns).max(0)
        });
        late.collect()
    });
    assert_eq!(of(&server, FindingKind::Starvation).len(), 1);
    assert_eq!(crate::invalid(&generator), ["lag"]);
    blames_no_server(&generator);
}

#[test]
fn a_generator_that_is_ever_later_is_no_drift_of_the_server() {
    let long =
        Simulation { seconds: 2_000, ramp_s: 0, rate: 20.0, targets: Vec::new(), ..Simulation::default() };
    let [server, generator] = delayed(&long, |rows| rows.iter().map(|row| row.due_ns / 1_000).collect());
    let drifts = |analysis: &Analysis| of(analysis, FindingKind::Drift).iter().any(|finding| finding.problem);
    assert!(drifts(&server) && !drifts(&generator));
    assert_eq!(crate::invalid(&generator), ["lag"]);
    blames_no_server(&generator);
}

#[test]
fn a_generator_that_falls_behind_is_no_saturated_server() {
    // No target for the rate, one that the plan does not ask for, and one that is missed.
    let cases: [(Option<&str>, &[&str]); 3] = [
        (None, &[]),
        (Some("qps >= 1000"), &["the plan asks for 200/s only"]),
        (Some("qps >= 200"), &["the generator was the limit"]),
    ];
    for (target, said) in cases {
        let targets = target.map(|text| PlannedTarget { target: text.parse().unwrap(), binding: false });
        let simulation = Simulation { targets: targets.into_iter().collect(), ..calm() };
        let analysis = altered(&simulation, |rows| {
            sent_ever_later(rows);
            rows.retain(|row| target != Some("qps >= 200") || row.seq % 20 != 0);
        });
        assert_eq!(crate::invalid(&analysis), ["lag"]);
        blames_no_server(&analysis);
        let found = of(&analysis, FindingKind::LowRate);
        assert_eq!(found.len(), said.len(), "{found:#?}");
        for (finding, said) in found.iter().zip(said) {
            assert!(!text(finding).contains("saturated"), "{found:#?}");
            says(finding, &[said]);
        }
    }
    // The same delays of the server's own making.
    let analysis = altered(&Simulation { targets: Vec::new(), ..calm() }, |rows| {
        for row in rows.iter_mut() {
            row.done_ns += row.due_ns / 8;
        }
    });
    says(&the(&analysis, FindingKind::LowRate), &["saturated"]);
}

#[test]
fn failures_that_make_the_rate_low_are_its_cause() {
    let targets = vec![PlannedTarget { target: "qps >= 190".parse().unwrap(), binding: true }];
    let simulation = Simulation { targets, ..calm() };
    let failing = |share: u64| {
        altered(&simulation, |rows| {
            for row in rows.iter_mut().filter(|row| row.seq % 100 < share) {
                (row.outcome, row.code) = (Outcome::ServerError, Some(65_535));
            }
        })
    };
    let rate = the(&failing(20), FindingKind::LowRate);
    says(
        &rate,
        &[
            "160 requests/s were answered, 190 were wanted, because requests failed",
            "40 requests/s failed (20% of all)",
            "Mend the failures first",
        ],
    );
    assert!(of(&failing(1), FindingKind::LowRate).is_empty(), "198 of 200 are answered");
}

/// What users of a closed loop see of a server that serves one request after the other: each asks
/// again 300 ms after its answer.
fn asked_in_turn(rows: &mut Vec<Sample>, users: u32, ramp_s: i64, end_s: i64, serve_ns: i64) {
    let templates = std::mem::take(rows);
    let mut due: std::collections::BinaryHeap<_> = (0..users)
        .map(|user| std::cmp::Reverse((i64::from(user) * ramp_s * SECOND_NS / i64::from(users), user)))
        .collect();
    let mut free = 0;
    while let Some(std::cmp::Reverse((due_ns, user))) = due.pop().filter(|next| next.0.0 < end_s * SECOND_NS)
    {
        free = free.max(due_ns) + serve_ns;
        rows.push(Sample {
            seq: u64::from(user) << 32 | rows.len() as u64,
            due_ns,
            ready_ns: due_ns,
            sent_ns: Some(due_ns + 40_000),
            done_ns: free,
            stage: u16::from(due_ns >= ramp_s * SECOND_NS),
            user: Some(user),
            ..templates[rows.len() % templates.len()]
        });
        due.push(std::cmp::Reverse((free + 300_000_000, user)));
    }
}

#[test]
fn users_who_only_wait_longer_show_a_saturated_server() {
    let served_in = |serve_ms: i64| {
        let simulation =
            Simulation { users: Some(60), ramp_s: 20, seconds: 40, targets: Vec::new(), ..calm() };
        altered(&simulation, |rows| asked_in_turn(rows, 60, 20, 60, serve_ms * 1_000_000))
    };
    let rate = the(&served_in(20), FindingKind::LowRate);
    says(
        &rate,
        &[
            "saturated at about 50 answers/s",
            "With half of the users it gave ",
            "the rate is flat and the wait grows",
        ],
    );
    let fast = served_in(2);
    assert!(of(&fast, FindingKind::LowRate).is_empty(), "{:#?}", fast.summary.findings);
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
fn a_first_stage_with_more_load_is_no_cold_start() {
    let staged = Simulation { seconds: 60, rate: 300.0, then: Some((180, 60.0)), ..calm() };
    let slower_under_load = |rows: &mut Vec<Sample>| {
        for row in rows.iter_mut().filter(|row| row.stage == 0) {
            slower(row, 40);
        }
    };
    let analysis = altered(&staged, slower_under_load);
    assert!(of(&analysis, FindingKind::ColdStart).is_empty(), "{:#?}", analysis.summary.findings);
    // A slow beginning of that stage is one all the same.
    let analysis = altered(&staged, |rows| {
        slower_under_load(rows);
        for row in rows.iter_mut().filter(|row| row.due_ns < 6 * SECOND_NS) {
            slower(row, 200 - 20 * (row.due_ns / SECOND_NS));
        }
    });
    says(&the(&analysis, FindingKind::ColdStart), &["The first ", "--warm-up"]);
}

#[test]
fn a_stage_with_more_of_everything_starves_nobody() {
    let staged = Simulation { seconds: 30, rate: 300.0, then: Some((90, 100.0)), ..calm() };
    let analysis = altered(&staged, |rows| {
        for row in rows.iter_mut().filter(|row| row.stage == 0) {
            slower(row, 30);
        }
    });
    assert!(of(&analysis, FindingKind::Starvation).is_empty(), "{:#?}", analysis.summary.findings);
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

/// Writes what the server's metrics page said of one metric: values by nanoseconds.
fn write_server(run: &RunDir, metric: &str, points: &[(i64, f64)]) {
    let words = |word: &str| -> ArrayRef {
        Arc::new(std::iter::repeat_n(Some(word), points.len()).collect::<DictionaryArray<Int32Type>>())
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(points.iter().map(|point| point.0))),
        words(metric),
        words("{}"),
        Arc::new(Float64Array::from_iter_values(points.iter().map(|point| point.1))),
    ];
    let batch = RecordBatch::try_new(squall_core::server::schema(), columns).unwrap();
    write_parquet(&run.server(), &[batch], writer_properties()).unwrap();
}

/// Writes the server's memory, looked at every 5 s: a level in MiB, its growth in MB an hour, and
/// noise as a garbage collector makes it.
fn write_memory(run: &RunDir, seconds: i64, growth_mb_per_hour: f64) {
    let mut rng = StdRng::seed_from_u64(17);
    let mut level = 0.0;
    let points = (0..=seconds).step_by(5).map(|at| {
        level = 0.9 * level + rng.random_range(-6.0..6.0);
        let grown = growth_mb_per_hour * 1e6 * at as f64 / 3_600.0;
        (at * SECOND_NS, 2_000.0 * f64::from(1 << 20) + level * 1e6 + grown)
    });
    write_server(run, "process_resident_memory_bytes", &points.collect::<Vec<_>>());
}

/// Writes the CPU seconds that the server used: half a core, and three in [`from_s`, `to_s`).
fn write_cpu(run: &RunDir, seconds: i64, busy_s: std::ops::Range<i64>) {
    let mut used = 10.0;
    let points = (0..=seconds).map(|at| {
        // Not quite the same every second.
        used += if busy_s.contains(&at) { 3.0 } else { 0.5 + 0.02 * (at % 5) as f64 };
        (at * SECOND_NS, used)
    });
    write_server(run, "process_cpu_seconds_total", &points.collect::<Vec<_>>());
}

#[test]
fn what_the_server_did_in_a_stall_is_told() {
    let (_data, run) = made(&Simulation { stall_at_s: 30.0, stall_for_s: 2.0, ..calm() }, |_| {});
    write_cpu(&run, 62, 30..33);
    let tail = the(&analyze(run.path(), &Options::default()).unwrap(), FindingKind::Tail);
    says(&tail, &["The server's metrics then: server's CPU 3 cores (otherwise 0.54 cores)."]);
    write_cpu(&run, 62, 0..0);
    let tail = the(&analyze(run.path(), &Options::default()).unwrap(), FindingKind::Tail);
    says(
        &tail,
        &["None of the server's metrics, which are 1s apart, moved then beyond what it does otherwise."],
    );
}

#[test]
fn what_may_be_a_drift_is_neither_claimed_nor_denied() {
    let hour = Simulation { seconds: 3_600, ramp_s: 0, rate: 4.0, ..Simulation::default() };
    let (_data, run) = made(&hour, |_| {});
    let mut uncertain = 0;
    for growth in 0..24 {
        write_memory(&run, 3_600, 2.0 * f64::from(growth));
        let analysis = analyze(run.path(), &Options::default()).unwrap();
        let found = of(&analysis, FindingKind::Drift);
        let claimed = found.iter().any(|finding| finding.problem);
        let said = found.iter().find(|finding| !finding.problem).unwrap();
        let denied = said.statement.contains("The server's memory: |slope| <");
        let open = said.statement.split_once("The server's memory grows ");
        assert_eq!(u8::from(claimed) + u8::from(denied) + u8::from(open.is_some()), 1, "{found:#?}");
        if let Some((_, open)) = open {
            assert!(said.statement.contains("it is not certain whether anything drifts: "), "{found:#?}");
            let p: f64 = open.split("P value ").nth(1).unwrap()[..5].parse().unwrap();
            assert!((0.001..0.06).contains(&p), "{}", said.statement);
            uncertain += 1;
        }
    }
    assert!((1..24).contains(&uncertain), "{uncertain} of 24");
}

#[test]
fn an_error_rate_that_grows_is_a_drift() {
    let hour = Simulation { seconds: 3_600, ramp_s: 0, rate: 20.0, ..Simulation::default() };
    let mut rng = StdRng::seed_from_u64(23);
    let analysis = altered(&hour, |rows| {
        for row in rows.iter_mut() {
            if rng.random_bool(0.04 * row.due_ns as f64 / 3.6e12) {
                row.outcome = Outcome::ServerError;
            }
        }
    });
    let found = of(&analysis, FindingKind::Drift);
    let grows: Vec<_> = found.iter().filter(|finding| finding.problem).collect();
    assert_eq!(grows.len(), 1, "{found:#?}");
    says(grows[0], &["The error rate grows ", " points/h [", "in the first tenth of the 1 h measured"]);
    let analysis = altered(&hour, |rows| {
        for row in rows.iter_mut() {
            if rng.random_bool(0.02) {
                row.outcome = Outcome::ServerError;
            }
        }
    });
    let calm = the(&analysis, FindingKind::Drift);
    assert!(!calm.problem);
    says(&calm, &["The error rate: |slope| <"]);
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
