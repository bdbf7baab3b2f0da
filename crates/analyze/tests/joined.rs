//! Shards as one run, and the run as JUnit, Markdown and JSON.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use quick_xml::events::Event;
use squall_analyze::import::ImportOptions;
use squall_analyze::{
    AnalyzeError, CompareOptions, Options, Outputs, analyze, analyze_runs, compare_runs, write_markdown,
};
use squall_core::plan::Shard;
use squall_core::row::Sample;
use squall_core::run_dir::RunDir;
use squall_core::summary::{Summary, ValidityResult, Verdict};
use squall_core::target::PlannedTarget;

use crate::simulate::{Simulation, make, make_altered, make_shard, reference_targets};

/// The directories of a run in `count` shards.
fn shards(data: &Path, simulation: &Simulation, count: u32) -> Vec<RunDir> {
    (0..count).map(|index| make_shard(data, simulation, Shard { index, count }).unwrap()).collect()
}

fn paths(runs: &[RunDir]) -> Vec<&Path> {
    runs.iter().map(RunDir::path).collect()
}

fn refused(runs: &[&Path]) -> String {
    analyze_runs(runs, &Options::default()).unwrap_err().to_string()
}

#[test]
fn shards_together_have_the_figures_of_the_whole_run() {
    let simulation = Simulation { failures: 0.01, targets: reference_targets(true), ..Simulation::default() };
    let (whole_data, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let whole = analyze(make(whole_data.path(), &simulation).unwrap().path(), &Options::default()).unwrap();
    let runs = shards(data.path(), &simulation, 3);
    let mut backwards = paths(&runs);
    backwards.reverse();
    let joined = analyze_runs(&backwards, &Options::default()).unwrap();
    assert_eq!(joined.summary.totals, whole.summary.totals);
    assert_eq!(joined.summary.classes, whole.summary.classes);
    assert_eq!(joined.summary.verdict, Verdict::Fail, "targets are judged on the joined run");
    assert_eq!(joined.summary.targets.len(), whole.summary.targets.len());
    for (own, of_whole) in joined.summary.targets.iter().zip(&whole.summary.targets) {
        assert_eq!((own.value, own.met), (of_whole.value, of_whole.met), "{}", own.target);
    }
    assert_eq!(joined.summary.run.shard, Shard::WHOLE);
    let one = analyze(runs[0].path(), &Options::default()).unwrap();
    assert_eq!(one.summary.verdict, Verdict::None, "one shard judges nothing");

    let out = tempfile::tempdir().unwrap();
    let outputs = Outputs { reports: out.path().to_owned(), ..Outputs::default() };
    let written = joined.write(&outputs).unwrap();
    assert_eq!(written.report.file_name().unwrap(), "20260501T123000Z-simulated");
    assert!(runs.iter().all(|run| !run.summary().exists()), "a shard's own summary is left alone");
}

#[test]
fn a_missing_shard_makes_the_run_invalid() {
    let data = tempfile::tempdir().unwrap();
    let runs = shards(data.path(), &Simulation::default(), 3);
    let joined = analyze_runs(&[runs[0].path(), runs[2].path()], &Options::default()).unwrap();
    assert_eq!(joined.summary.verdict, Verdict::Invalid);
    let check = joined.summary.validity.iter().find(|check| check.check == "missing_shards").unwrap();
    assert_eq!(check.result, ValidityResult::Invalid);
    assert!(
        check.message.contains("1/3 are missing") && check.message.contains("Name their directories"),
        "{}",
        check.message
    );
}

#[test]
fn a_killed_shard_is_named_among_whole_ones() {
    let data = tempfile::tempdir().unwrap();
    let whole = Simulation { targets: reference_targets(true), ..Simulation::default() };
    let first = make_shard(data.path(), &whole, Shard { index: 0, count: 2 }).unwrap();
    let killed = Simulation { killed: true, ..whole };
    let second = make_shard(data.path(), &killed, Shard { index: 1, count: 2 }).unwrap();
    let joined = analyze_runs(&[first.path(), second.path()], &Options::default()).unwrap();
    let said = joined.notes.iter().filter(|note| note.contains("Shard 1/2 was killed")).count();
    assert_eq!(said, 1, "{:#?}", joined.notes);
    assert!(joined.notes[0].contains("end with its last row, 14."), "{:#?}", joined.notes);
    let rate = joined.summary.totals.rate.unwrap();
    assert!((rate - 200.0).abs() < 1.0, "what the other shard sent alone is not in the figures: {rate}");
}

#[test]
fn a_shard_whose_generator_was_the_limit_makes_the_run_invalid_and_is_named() {
    let data = tempfile::tempdir().unwrap();
    let (calm, busy) = (Simulation::default(), Simulation { worker_busy: 0.98, ..Simulation::default() });
    let first = make_shard(data.path(), &calm, Shard { index: 0, count: 2 }).unwrap();
    let second = make_shard(data.path(), &busy, Shard { index: 1, count: 2 }).unwrap();
    let joined = analyze_runs(&[first.path(), second.path()], &Options::default()).unwrap();
    let check = joined.summary.validity.iter().find(|check| check.check == "worker_busy").unwrap();
    assert_eq!(check.result, ValidityResult::Invalid);
    assert!(check.message.contains("Shard 1/2"), "{}", check.message);
}

#[test]
fn what_is_not_the_same_run_is_refused_in_one_sentence() {
    let (data, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let runs = shards(data.path(), &Simulation::default(), 2);
    let whole = make(data.path(), &Simulation { name: "whole".into(), ..Simulation::default() }).unwrap();
    let faster = shards(other.path(), &Simulation { rate: 300.0, ..Simulation::default() }, 2);
    for (found, part) in [
        (refused(&[runs[0].path(), whole.path()]), "is a whole run and no shard of one"),
        (refused(&[runs[0].path(), runs[0].path()]), "is shard 0/2 again"),
        (refused(&[runs[0].path(), faster[1].path()]), "they differ in work key: "),
        (refused(&[]), "no run directory is named"),
    ] {
        assert!(found.contains(part) && !found.contains('\n'), "{found}");
    }
    let error = analyze_runs(&paths(&faster[..1]), &Options::default());
    assert!(!matches!(error, Err(AnalyzeError::NotAShard(_))), "one shard alone can be looked at");
}

fn written(simulation: &Simulation, alter: impl FnOnce(&mut Vec<Sample>)) -> (String, String, String) {
    let data = tempfile::tempdir().unwrap();
    let run = make_altered(data.path(), simulation, alter).unwrap();
    written_of(data.path(), &run)
}

/// JUnit, Markdown and JSON of a run.
fn written_of(data: &Path, run: &RunDir) -> (String, String, String) {
    let outputs = Outputs {
        reports: data.join("reports"),
        junit: Some(data.join("out/junit.xml")),
        markdown: Some(data.join("out/run.md")),
        ..Outputs::default()
    };
    analyze(run.path(), &Options::default()).unwrap().write(&outputs).unwrap();
    let read = |path: &Path| fs::read_to_string(path).unwrap();
    (read(&data.join("out/junit.xml")), read(&data.join("out/run.md")), read(&run.summary()))
}

/// The elements of an XML document, counted, and what their `name`s say.
fn parsed(xml: &str) -> (BTreeMap<String, usize>, Vec<String>) {
    let mut reader = quick_xml::Reader::from_str(xml);
    reader.config_mut().check_end_names = true;
    let (mut tags, mut names, mut open) = (BTreeMap::new(), Vec::new(), 0);
    loop {
        let event = reader.read_event().expect("it is XML");
        match event {
            Event::Start(ref tag) | Event::Empty(ref tag) => {
                open += usize::from(matches!(event, Event::Start(_)));
                let name = String::from_utf8(tag.name().as_ref().to_vec()).unwrap();
                *tags.entry(name).or_default() += 1;
                for attribute in tag.attributes() {
                    let attribute = attribute.expect("a name and a value, each name once");
                    let value = attribute.unescape_value().expect("entities that XML has").into_owned();
                    assert!(!value.chars().any(char::is_control), "{value:?}");
                    if attribute.key.as_ref() == b"name" {
                        names.push(value);
                    }
                }
            }
            Event::End(_) => open -= 1,
            Event::Text(text) => {
                text.decode().expect("text");
            }
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(open, 0, "every element ends");
    (tags, names)
}

#[test]
fn no_view_takes_a_class_or_a_label_for_markup() {
    let data = tempfile::tempdir().unwrap();
    let script = "<script>alert('x')</script>";
    let targets = vec![
        PlannedTarget { target: "p99 < 1ms".parse().unwrap(), binding: true },
        PlannedTarget { target: "recall >= 0.999".parse().unwrap(), binding: true },
    ];
    let simulation =
        Simulation { rare_class: script.into(), targets, failures: 0.05, ..Simulation::default() };
    let run = make_altered(data.path(), &simulation, |rows| {
        for row in rows.iter_mut().filter(|row| row.class == 2) {
            row.done_ns += 400_000_000;
        }
    })
    .unwrap();
    let mut record = run.read_record().unwrap();
    record.plan.labels = vec![(script.to_owned(), script.to_owned())];
    run.write_record(&record).unwrap();
    let (junit, markdown, json) = written_of(data.path(), &run);
    let report = data.path().join("reports").join(run.name());
    let page = fs::read_to_string(report.join("report.html")).unwrap();
    assert!(!page.contains("<script") && page.contains("&#60;script&#62;alert("), "the page");
    for figure in fs::read_dir(&report).unwrap().map(|entry| entry.unwrap().path()) {
        if figure.extension().is_some_and(|kind| kind == "svg") {
            assert!(!fs::read_to_string(&figure).unwrap().contains("<script"), "{}", figure.display());
        }
    }
    assert_eq!(parsed(&junit).0["testcase"], 3, "{junit}");
    // As code it may stand as it is; anywhere else it is no markup.
    let outside = markdown.lines().map(|line| line.split('`').step_by(2).collect::<String>());
    let outside: Vec<String> = outside.collect();
    assert!(outside.iter().all(|line| !line.contains("<script")), "{markdown}");
    let summary: Summary = serde_json::from_str(&json).unwrap();
    assert!(summary.classes.contains_key(script) && summary.run.labels[script] == script);
}

#[test]
fn junit_has_a_case_for_each_target_and_one_for_validity() {
    let mut targets = reference_targets(true);
    targets[1].binding = false;
    let name = "a \"b\" <c> & d\u{1}".to_owned();
    let (junit, ..) =
        written(&Simulation { name, targets, median_ms: 100.0, ..Simulation::default() }, |_| {});
    assert_eq!(junit.matches("<testcase ").count(), 6, "{junit}");
    assert!(junit.contains("tests=\"6\" failures=\"2\" errors=\"0\" skipped=\"1\""), "{junit}");
    assert!(
        junit.contains("name=\"p99 &#60; 120ms\"") && junit.contains("<failure type=\"target\""),
        "{junit}"
    );
    assert!(junit.contains("<skipped message=\"advisory: P50: "), "{junit}");
    let (tags, names) = parsed(&junit);
    assert_eq!(tags["testcase"], 6);
    assert!(
        names.contains(&"a \"b\" <c> & d ".to_owned()) && names.contains(&"p99 < 120ms".to_owned()),
        "{names:?}"
    );

    let (junit, ..) = written(&Simulation { worker_busy: 0.99, ..Simulation::default() }, |_| {});
    assert!(
        junit.contains("errors=\"1\"") && junit.contains("<error type=\"invalid\" message=\"worker_busy: "),
        "{junit}"
    );
}

#[test]
fn markdown_fits_a_pull_request_and_tells_what_changed() {
    let data = tempfile::tempdir().unwrap();
    let simulation = Simulation { stall_at_s: 9.0, stall_for_s: 2.0, ..Simulation::default() };
    let before = make(data.path(), &simulation).unwrap();
    let (_, markdown, _) = written_of(data.path(), &before);
    assert!(!markdown.contains("What changed"), "there was no run before:\n{markdown}");
    assert!(markdown.lines().count() < 60 && markdown.contains("| ✗ | P99 (advisory) | "), "{markdown}");
    assert!(markdown.contains("#### Diagnosis"), "{markdown}");

    // The same an hour later, on another place in the list.
    let later =
        make_altered(data.path(), &Simulation { name: "later".into(), seed: 2, ..simulation }, |_| {})
            .unwrap();
    let mut record = later.read_record().unwrap();
    record.started += chrono::TimeDelta::hours(1);
    later.write_record(&record).unwrap();
    let (_, markdown, _) = written_of(data.path(), &later);
    assert!(markdown.contains("What changed since `20260501T123000Z-simulated`"), "{markdown}");
    assert!(markdown.contains("| P99, ms | ") && markdown.contains("squall analyze compare"), "{markdown}");
    assert!(markdown.lines().count() < 60);
    assert!(!markdown.contains("→"), "neither server nor labels changed:\n{markdown}");

    record.server.version = Some("2.4.0".into());
    record.plan.labels = vec![("build".into(), "413".into())];
    later.write_record(&record).unwrap();
    let (_, markdown, _) = written_of(data.path(), &later);
    assert!(markdown.contains("- server version: 2.3.5 → 2.4.0\n- label build: 412 → 413\n"), "{markdown}");
}

#[test]
fn markdown_holds_the_comparison_that_ended_the_run() {
    let data = tempfile::tempdir().unwrap();
    let targets: Vec<_> = (1..=30)
        .map(|bound| PlannedTarget { target: format!("p50 < {bound}ms").parse().unwrap(), binding: true })
        .collect();
    let base = make(data.path(), &Simulation { targets: targets.clone(), ..Simulation::default() }).unwrap();
    let slower = Simulation {
        name: "a_b".into(),
        seed: 2,
        median_ms: 12.0,
        failures: 0.02,
        targets,
        ..Simulation::default()
    };
    let new = make(data.path(), &slower).unwrap();
    let mut record = new.read_record().unwrap();
    record.started += chrono::TimeDelta::hours(1);
    record.plan.labels = (0..30).map(|label| (format!("label_{label}"), "x".to_owned())).collect();
    new.write_record(&record).unwrap();
    let rules = ["p50 > 5%", "p95 > 900%", "p99 > 900%"].map(|rule| rule.parse().unwrap()).to_vec();
    let options = CompareOptions { fail_on: rules, ..CompareOptions::default() };
    let comparison = compare_runs(&[base.path().to_owned()], &[new.path().to_owned()], &options).unwrap();
    let analysis = analyze(new.path(), &Options::default()).unwrap();
    let file = data.path().join("run.md");
    write_markdown(&file, &analysis, &comparison).unwrap();
    let markdown = fs::read_to_string(&file).unwrap();
    assert!(markdown.lines().count() < 60, "{markdown}");
    for part in [
        "### ❌ a\\_b: fail",
        "22 more targets are in the report.",
        "#### Against the baseline",
        "**❌ regressed: ",
        "| total | P50 | ",
        "- Rule `p50 > 5%`: ❌ broken",
        "- Rule `p95 > 900%`: ✅ held",
        "- Rule `p99 > 900%`: ❌ broken by failed requests",
        "more lines of this kind are in the report.",
        "false discoveries held at 5%",
    ] {
        assert!(markdown.contains(part), "no `{part}` in:\n{markdown}");
    }
    assert!(!markdown.contains("What changed since"), "{markdown}");
}

/// Validates JSON lines on stdin against the schema.
const VALIDATE: &str = r"
import json, sys
import jsonschema
schema = json.load(open(sys.argv[1]))
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
for path in sys.argv[2:]:
    validator.validate(json.load(open(path)))
    broken = json.load(open(path))
    broken['totals']['requests'] = None
    assert not validator.is_valid(broken), 'the schema takes anything'
print('valid', len(sys.argv) - 2)
";

#[test]
fn summaries_are_as_their_schema_says() {
    let Ok(python) = std::env::var("SQUALL_TEST_PYTHON") else {
        crate::python::skipped(
            "summaries_are_as_their_schema_says",
            "SQUALL_TEST_PYTHON does not name a python with jsonschema",
        );
        return;
    };
    let data = tempfile::tempdir().unwrap();
    let targets = reference_targets(true);
    let mut summaries: Vec<_> = [
        Simulation { targets, failures: 0.02, stall_at_s: 5.0, stall_for_s: 1.0, ..Simulation::default() },
        Simulation { failures: 1.0, ..Simulation::default() },
        Simulation { users: Some(20), worker_busy: 0.99, ..Simulation::default() },
        Simulation { seconds: 1, rate: 2.0, ramp_s: 0, killed: true, ..Simulation::default() },
    ]
    .into_iter()
    .enumerate()
    .map(|(at, simulation)| {
        let run = make(data.path(), &Simulation { name: format!("run-{at}"), ..simulation }).unwrap();
        let (.., json) = written_of(data.path(), &run);
        let _: Summary = serde_json::from_str(&json).unwrap();
        run.summary()
    })
    .collect();
    let k6 = data.path().join("k6.csv");
    fs::write(&k6, "metric_name,timestamp,metric_value\nhttp_req_duration,1760000000,5.5\n").unwrap();
    let options = ImportOptions { data: data.path().to_owned(), ..ImportOptions::default() };
    let imported = squall_analyze::import::k6(&k6, &options).unwrap();
    assert_eq!(imported.summary.run.imported_from.as_deref(), Some("k6"));
    summaries.push(imported.directory.join("summary.json"));
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/summary.schema.json");
    let output = Command::new(&python)
        .args(["-c", VALIDATE])
        .arg(schema)
        .args(&summaries)
        .output()
        .expect("python starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(said.trim(), "valid 5");
}
