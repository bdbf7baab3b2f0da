//! Runs that are empty, killed, half there or damaged.

use std::fs;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use squall_analyze::trend::{self, TrendOptions};
use squall_analyze::{CompareOptions, Options, Outputs, analyze, compare, compare_runs, text};
use squall_core::row::{BatchBuilder, Outcome, writer_properties};
use squall_core::run_dir::{RunDir, write_parquet};
use squall_core::run_record::{ProcessRecord, RunState};
use squall_core::summary::{ValidityResult, Verdict};

use crate::simulate::{self, Simulation, make_altered, reference_targets};
use crate::{analysis, check, invalid, run};

/// Every view of a run is made, whatever its rows are.
fn write_all(run: &RunDir) {
    let out = tempfile::tempdir().unwrap();
    let outputs = Outputs {
        reports: out.path().join("reports"),
        csv: Some(out.path().join("csv/results")),
        html: Some(out.path().join("copy.html")),

        ..Outputs::default()
    };
    let written = analyze(run.path(), &Options::default()).unwrap().write(&outputs).unwrap();
    assert!(written.files.iter().all(|file| fs::metadata(file).unwrap().len() > 0), "{:?}", written.files);
    assert!(run.summary().is_file());
}

#[test]
fn an_empty_run_has_no_figure_and_misses_its_binding_targets() {
    let data = tempfile::tempdir().unwrap();
    let simulation = Simulation { targets: reference_targets(true), ..Simulation::default() };
    let run = make_altered(data.path(), &simulation, Vec::clear).unwrap();
    let analysis = analyze(run.path(), &Options::default()).unwrap();
    let totals = &analysis.summary.totals;
    assert_eq!((totals.requests, totals.error_rate, totals.response_ms.mean), (0, None, None));
    assert_eq!(analysis.summary.verdict, Verdict::Fail);
    assert!(analysis.targets.iter().all(|target| target.result.met.is_none()));
    let text = text::summary(&analysis);
    assert!(text.contains("Average Response Time: –\n"), "{text}");
    assert!(text.contains("P99: – (target: <120ms) ✗ (no request was measured)"), "{text}");
    write_all(&run);
}

#[test]
fn a_run_in_which_all_failed_has_counts_and_no_times() {
    let (_data, run) = run(&Simulation { failures: 1.0, seconds: 5, ..Simulation::default() });
    let analysis = analyze(run.path(), &Options::default()).unwrap();
    let totals = &analysis.summary.totals;
    assert_eq!((totals.requests, totals.failures), (1_000, 1_000));
    assert_eq!((totals.error_rate, totals.rate), (Some(1.0), Some(0.0)));
    assert_eq!((totals.response_ms.p50, totals.recall), (None, None));
    assert_eq!(totals.outcomes.values().sum::<u64>(), 1_000);
    assert_eq!(analysis.failures.iter().map(|group| group.count).sum::<u64>(), 1_000);
    write_all(&run);
}

#[test]
fn a_class_without_success_leaves_the_others_alone() {
    let data = tempfile::tempdir().unwrap();
    let run = make_altered(data.path(), &Simulation::default(), |rows| {
        for row in rows.iter_mut().filter(|row| row.class == 2) {
            row.outcome = Outcome::ServerError;
        }
    })
    .unwrap();
    let analysis = analyze(run.path(), &Options::default()).unwrap();
    let rare = &analysis.summary.classes["rare"];
    assert_eq!((rare.failures, rare.response_ms.p50), (rare.requests, None));
    assert!(rare.requests > 0);
    assert_eq!(analysis.summary.classes["common"].failures, 0);
    assert!(analysis.summary.classes["common"].response_ms.p99.is_some());
    write_all(&run);
}

#[test]
fn a_truncated_part_is_named_and_left_out() {
    let (_data, run) = run(&Simulation::default());
    let whole = analyze(run.path(), &Options::default()).unwrap();
    truncate(&run.part(2));
    let analysis = analyze(run.path(), &Options::default()).unwrap();
    assert_eq!(analysis.unreadable.len(), 1);
    assert!(analysis.unreadable[0].path.ends_with("part-000002.parquet"));
    assert!(analysis.summary.totals.requests < whole.summary.totals.requests);
    assert!(analysis.summary.totals.requests > 0);
    assert_eq!(invalid(&analysis), ["missing_rows"]);
    assert_eq!(analysis.summary.verdict, Verdict::Invalid);
    assert!(text::summary(&analysis).contains("part-000002.parquet cannot be read"));
    write_all(&run);
}

#[test]
fn a_part_with_spoilt_pages_is_named_and_left_out() {
    let (_data, run) = run(&Simulation::default());
    // The pages come first, the footer that lists them last.
    spoil(&run.part(1), 16);
    let analysis = analyze(run.path(), &Options::default()).unwrap();
    assert_eq!(analysis.unreadable.len(), 1, "{:?}", analysis.unreadable);
    assert!(!analysis.unreadable[0].reason.contains('\n'));
}

#[test]
fn a_generator_parquet_from_before_a_column_was_added_is_read() {
    let (_data, run) = run(&Simulation::default());
    let file = fs::File::open(run.generator()).unwrap();
    let mut batches = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let batch = batches.next().unwrap().unwrap();
    let columns: Vec<usize> =
        (0..batch.num_columns()).filter(|column| batch.schema().field(*column).name() != "spun_ns").collect();
    assert_eq!(columns.len() + 1, batch.num_columns());
    write_parquet(&run.generator(), &[batch.project(&columns).unwrap()], writer_properties()).unwrap();
    let analysis = analyze(run.path(), &Options::default()).unwrap();
    assert_eq!((invalid(&analysis), check(&analysis, "worker_busy").value), (vec![], Some(0.0)));
}

#[test]
fn a_killed_run_with_a_hole_in_it_is_invalid() {
    let (_data, run) = run(&Simulation { killed: true, ..Simulation::default() });
    truncate(&run.part(2));
    let analysis = analyze(run.path(), &Options::default()).unwrap();
    assert_eq!(invalid(&analysis), ["missing_rows"]);
    let message = &check(&analysis, "missing_rows").message;
    assert!(
        message.contains("in the midst of the run") && message.contains("part-000002.parquet ("),
        "{message}"
    );
    assert_eq!(analysis.summary.verdict, Verdict::Invalid);
}

#[test]
fn an_unreadable_part_is_invalid_whatever_the_totals_say() {
    let (_data, run) = run(&Simulation::default());
    truncate(&run.part(2));
    let mut record = run.read_record().unwrap();
    let whole = analyze(run.path(), &Options::default()).unwrap();
    // As if the run had never had more.
    record.totals.as_mut().unwrap().rows = check(&whole, "missing_rows")
        .value
        .map_or(0, |missing| record.totals.as_ref().unwrap().rows - missing as u64);
    run.write_record(&record).unwrap();
    let analysis = analyze(run.path(), &Options::default()).unwrap();
    assert_eq!(check(&analysis, "missing_rows").value, Some(0.0));
    assert_eq!(invalid(&analysis), ["missing_rows"]);
}

fn truncate(file: &Path) {
    let length = fs::metadata(file).unwrap().len();
    OpenOptions::new().write(true).open(file).unwrap().set_len(length / 2).unwrap();
}

/// Overwrites bytes in the middle, the footer left alone.
fn spoil(file: &Path, at: u64) {
    OpenOptions::new().write(true).open(file).unwrap().write_all_at(&[0xff; 600], at).unwrap();
}

/// What can have happened to a run.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Killed,
    KilledWithAHole,
    TruncatedPart,
    SpoiltPart,
    NewerPart,
    Empty,
    EmptyAndKilled,
    ClassWithoutSuccess,
    AllFailed,
    SpoiltGenerator,
    TruncatedServer,
}

const DAMAGES: [Damage; 11] = [
    Damage::Killed,
    Damage::KilledWithAHole,
    Damage::TruncatedPart,
    Damage::SpoiltPart,
    Damage::NewerPart,
    Damage::Empty,
    Damage::EmptyAndKilled,
    Damage::ClassWithoutSuccess,
    Damage::AllFailed,
    Damage::SpoiltGenerator,
    Damage::TruncatedServer,
];

fn damaged(data: &Path, damage: Damage) -> RunDir {
    let killed = matches!(damage, Damage::Killed | Damage::KilledWithAHole | Damage::EmptyAndKilled);
    let simulation = Simulation {
        name: format!("{damage:?}").to_lowercase(),
        targets: reference_targets(true),
        killed,
        seed: 7,
        ..Simulation::default()
    };
    let run = make_altered(data, &simulation, |rows| match damage {
        Damage::Empty | Damage::EmptyAndKilled => rows.clear(),
        Damage::ClassWithoutSuccess => {
            rows.iter_mut().filter(|row| row.class == 2).for_each(|row| row.outcome = Outcome::ServerError);
        }
        Damage::AllFailed => rows.iter_mut().for_each(|row| row.outcome = Outcome::Timeout),
        _ => {}
    })
    .unwrap();
    match damage {
        Damage::KilledWithAHole | Damage::TruncatedPart => truncate(&run.part(2)),
        Damage::SpoiltPart => spoil(&run.part(1), 16),
        Damage::NewerPart => with_row_version(&run, Some("2")),
        Damage::SpoiltGenerator => spoil(&run.generator(), 16),
        Damage::TruncatedServer => {
            fs::copy(run.generator(), run.server()).unwrap();
            truncate(&run.server());
        }
        _ => {}
    }
    run
}

/// No figure is made of nothing.
#[track_caller]
fn is_sound(what: &str, text: &str) {
    let odd = text
        .split(|c: char| !c.is_alphanumeric())
        .find(|word| ["nan", "inf", "infinity"].contains(&word.to_ascii_lowercase().as_str()));
    assert_eq!(odd, None, "{what} has a figure made of nothing");
}

/// One sentence that says what is the matter.
#[track_caller]
fn is_a_sentence(what: &str, error: &str) {
    assert!(!error.is_empty() && !error.contains('\n') && !error.contains("panic"), "{what}: {error}");
}

/// Every text file below a directory.
fn texts_are_sound(what: &str, directory: &Path) -> usize {
    let mut texts = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            texts += texts_are_sound(what, &path);
        } else if path.extension().is_some_and(|kind| kind != "png" && kind != "parquet") {
            is_sound(&format!("{what}: {}", path.display()), &fs::read_to_string(&path).unwrap());
            texts += 1;
        }
    }
    texts
}

#[test]
fn a_damaged_run_is_reported_compared_and_followed_or_refused_in_a_sentence() {
    let (data, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let reports = out.path().join("reports");
    let simulation = Simulation { targets: reference_targets(true), ..Simulation::default() };
    let whole = simulate::make(data.path(), &simulation).unwrap();
    let outputs = Outputs { reports: reports.clone(), ..Outputs::default() };
    analyze(whole.path(), &Options::default()).unwrap().write(&outputs).unwrap();
    let whole = [whole.path().to_owned()];
    for damage in DAMAGES {
        let what = format!("{damage:?}");
        let run = damaged(data.path(), damage);
        let reported = match analyze(run.path(), &Options::default()) {
            Ok(analysis) => {
                is_sound(&what, &text::summary(&analysis));
                let outputs = Outputs {
                    reports: reports.clone(),
                    csv: Some(out.path().join("csv").join(&what)),
                    html: None,
                    junit: Some(out.path().join(format!("{what}.xml"))),
                    markdown: Some(out.path().join(format!("{what}.md"))),
                };
                let written = analysis.write(&outputs).unwrap();
                assert!(written.files.iter().all(|file| fs::metadata(file).unwrap().len() > 0), "{what}");
                true
            }
            Err(error) => {
                is_a_sentence(&what, &error.to_string());
                false
            }
        };
        assert_eq!(reported, !matches!(damage, Damage::NewerPart), "{what}");

        let damaged = [run.path().to_owned()];
        let mut compared = 0;
        for (base, new) in [(&whole, &damaged), (&damaged, &whole), (&damaged, &damaged)] {
            match compare_runs(base, new, &CompareOptions::default()) {
                Ok(comparison) => {
                    is_sound(&what, &compare::text(&comparison));
                    let markdown = out.path().join(format!("{what}-compared.md"));
                    comparison.write(&reports, Some(&markdown)).unwrap();
                    compared += 1;
                }
                Err(error) => is_a_sentence(&what, &error.to_string()),
            }
        }
        let refused = [Damage::KilledWithAHole, Damage::TruncatedPart, Damage::SpoiltPart, Damage::NewerPart];
        let refuses = refused.iter().any(|refused| format!("{refused:?}") == what);
        assert_eq!(compared, if refuses { 0 } else { 3 }, "{what}");
    }
    assert!(texts_are_sound("all", out.path()) > 150);

    let history = trend::trend(&data.path().join("runs"), &reports, &TrendOptions::default()).unwrap();
    is_sound("trend", &trend::text(&history));
    history.write(&reports).unwrap();
    texts_are_sound("trend", &reports);
    let in_series: usize = history.series.iter().map(|series| series.runs.len()).sum();
    assert_eq!(in_series + history.skipped.len(), DAMAGES.len() + 1, "{:#?}", history.skipped);
    for skipped in &history.skipped {
        is_a_sentence(&skipped.run, &skipped.reason);
    }
    let left_out = |run: &str| history.skipped.iter().any(|skipped| skipped.run.ends_with(run));
    for run in
        ["-killed", "-killedwithahole", "-truncatedpart", "-spoiltpart", "-newerpart", "-emptyandkilled"]
    {
        assert!(left_out(run), "{run}: {:#?}", history.skipped);
    }
    assert!(!left_out("-allfailed") && !left_out("-classwithoutsuccess"), "{:#?}", history.skipped);
}

/// Set where the test below is run by itself.
const ALONE: &str = "SQUALL_TEST_SPOILT_PARTS_ALONE";

#[test]
fn nothing_of_a_spoilt_part_is_printed_but_its_reason() {
    if std::env::var_os(ALONE).is_some() {
        // Wherever the damage begins, some of it meets an assertion of the reader's.
        let (_data, run) = run(&Simulation { rate: 500.0, ..Simulation::default() });
        let whole = fs::read(run.part(1)).unwrap();
        let met = (4..whole.len() as u64 / 2).step_by(97).filter(|at| {
            fs::write(run.part(1), &whole).unwrap();
            spoil(&run.part(1), *at);
            let analysis = analyze(run.path(), &Options::default()).unwrap();
            analysis.unreadable.iter().any(|part| part.reason == "its pages are damaged")
        });
        println!("assertions met: {}", met.take(3).count());
        return;
    }
    let name = "damage::nothing_of_a_spoilt_part_is_printed_but_its_reason";
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}{stderr}");
    assert!(stdout.contains("assertions met: ") && !stdout.contains("assertions met: 0"), "{stdout}");
    assert!(!stderr.contains("panicked") && !stdout.contains("panicked"), "{stderr}");
}

#[test]
fn a_run_without_generator_parquet_says_what_is_not_known() {
    let (_data, run) = run(&Simulation::default());
    fs::remove_file(run.generator()).unwrap();
    let analysis = analyze(run.path(), &Options::default()).unwrap();
    assert_eq!(invalid(&analysis), [""; 0]);
    for name in ["worker_busy", "run_queue", "steal", "throttled"] {
        let check = check(&analysis, name);
        assert_eq!((check.result, check.value), (ValidityResult::Warning, None), "{name}");
        assert!(check.message.contains("there is no generator.parquet"), "{}", check.message);
    }
    assert!(check(&analysis, "flow_control").value.is_some(), "run.json counts them, too");
    write_all(&run);
}

#[test]
fn a_killed_run_is_interrupted_and_measured_up_to_its_last_row() {
    let (_data, run) = run(&Simulation { killed: true, ..Simulation::default() });
    let analysis = analyze(run.path(), &Options::default()).unwrap();
    assert_eq!(analysis.summary.run.state, RunState::Interrupted);
    assert!(analysis.spans.length_s() < 15.0, "{}", analysis.spans.length_s());
    let rate = analysis.summary.totals.rate.unwrap();
    assert!((rate - 200.0).abs() < 2.0, "{rate}");
    assert!(analysis.notes[0].contains("was killed"), "{:?}", analysis.notes);
    assert_eq!(invalid(&analysis), [""; 0]);
    write_all(&run);
}

#[test]
fn a_run_whose_process_lives_goes_on() {
    let (_data, run) = run(&Simulation { killed: true, ..Simulation::default() });
    let mut record = run.read_record().unwrap();
    record.process = ProcessRecord::current();
    run.write_record(&record).unwrap();
    let analysis = analyze(run.path(), &Options::default()).unwrap();
    assert_eq!(analysis.summary.run.state, RunState::Running);
    assert!(analysis.notes[0].contains("goes on"));
}

#[test]
fn half_a_run_directory_is_one_clear_sentence() {
    let (_data, run) = run(&Simulation::default());
    fs::remove_dir_all(run.path().join("requests")).unwrap();
    let error = analyze(run.path(), &Options::default()).unwrap_err().to_string();
    assert!(error.contains("is half a run: it has a run.json and no requests/"), "{error}");
    fs::remove_file(run.path().join("run.json")).unwrap();
    let error = analyze(run.path(), &Options::default()).unwrap_err().to_string();
    assert!(error.contains("it has no run.json"), "{error}");
}

/// Replaces a part by rows whose metadata say `version`.
fn with_row_version(run: &RunDir, version: Option<&str>) {
    let plan = run.read_record().unwrap().plan;
    let mut builder = BatchBuilder::new(&plan.class_names(), &["ramp".into(), "steady".into()]);
    let batch = builder.finish();
    let mut schema = (*batch.schema()).clone();
    schema.metadata.remove("squall.row_version");
    if let Some(version) = version {
        schema.metadata.insert("squall.row_version".to_owned(), version.to_owned());
    }
    let batch = arrow_array::RecordBatch::try_new(schema.into(), batch.columns().to_vec()).unwrap();
    write_parquet(&run.part(0), &[batch], writer_properties()).unwrap();
}

#[test]
fn rows_of_a_newer_version_are_refused() {
    let (_data, run) = run(&Simulation::default());
    with_row_version(&run, Some("2"));
    let error = analyze(run.path(), &Options::default()).unwrap_err().to_string();
    assert!(error.contains("part-000000.parquet has rows of version 2"), "{error}");
    assert!(error.contains("reads up to version 1"), "{error}");
}

#[test]
fn rows_without_a_version_are_unreadable() {
    let (_data, run) = run(&Simulation::default());
    with_row_version(&run, None);
    let analysis = analyze(run.path(), &Options::default()).unwrap();
    assert!(analysis.unreadable[0].reason.contains("row version"));
}

#[test]
fn a_run_that_ended_in_its_ramp_measures_nothing() {
    let analysis = analysis(&Simulation { users: Some(20), seconds: 0, ramp_s: 3, ..Simulation::default() });
    let measured = analysis.spans.length_s();
    assert!(measured < 0.2, "{measured}");
    let (_data, run) = run(&Simulation::default());
    let mut record = run.read_record().unwrap();
    record.measured.clear();
    run.write_record(&record).unwrap();
    let analysis = analyze(run.path(), &Options::default()).unwrap();
    assert_eq!((analysis.summary.totals.requests, analysis.summary.totals.rate), (0, None));
    assert!(text::summary(&analysis).contains("Nothing was measured"));
    write_all(&run);
}

#[test]
fn a_directory_with_pattern_characters_is_read() {
    let data = tempfile::tempdir().unwrap();
    let odd = data.path().join("a [b] * c");
    fs::create_dir(&odd).unwrap();
    let run = simulate::make(&odd, &Simulation::default()).unwrap();
    assert_eq!(analyze(run.path(), &Options::default()).unwrap().summary.totals.requests, 4_000);
}
