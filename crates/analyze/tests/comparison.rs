//! Runs held against each other, from their rows; and the same statistics on simulated pairs.

use std::fs;
use std::path::PathBuf;

use squall_analyze::compare::{Likeness, LikenessKey, RuleOutcome, text};
use squall_analyze::statistics::{Compared, Quantity, Word};
use squall_analyze::{
    CompareError, CompareOptions, Comparison, Options, analyze, can_be_compared, compare_runs,
};
use squall_core::plan::Shard;
use squall_core::row::Outcome;
use squall_core::run_record::RunRecord;
use tempfile::TempDir;

use crate::pairs::{Counts, Experiment, Law, simulate};
use crate::run;
use crate::simulate::{Simulation, make, make_altered, make_shard};

/// Runs in directories of their own, so that they may share a name.
struct Runs {
    runs: Vec<PathBuf>,
    _data: Vec<TempDir>,
}

fn runs(simulations: &[Simulation]) -> Runs {
    let (data, runs): (Vec<_>, Vec<_>) = simulations.iter().map(run).unzip();
    Runs { runs: runs.iter().map(|run| run.path().to_owned()).collect(), _data: data }
}

fn named(name: &str, seed: u64, median_ms: f64) -> Simulation {
    Simulation { name: name.to_owned(), seed, median_ms, ..Simulation::default() }
}

fn of(
    runs: &Runs,
    base: &[usize],
    new: &[usize],
    options: &CompareOptions,
) -> Result<Comparison, CompareError> {
    let side = |side: &[usize]| side.iter().map(|at| runs.runs[*at].clone()).collect::<Vec<_>>();
    compare_runs(&side(base), &side(new), options)
}

fn figure<'a>(comparison: &'a Comparison, group: &str, quantity: Quantity) -> &'a Compared {
    let group = comparison.groups.iter().find(|found| found.name == group).unwrap();
    group.figures.iter().find(|found| found.figure == quantity).unwrap()
}

fn change_record(runs: &Runs, at: usize, change: impl FnOnce(&mut RunRecord)) {
    let run = squall_core::run_dir::RunDir::open(&runs.runs[at]).unwrap();
    let mut record = run.read_record().unwrap();
    change(&mut record);
    run.write_record(&record).unwrap();
}

#[test]
fn the_figures_that_are_compared_are_those_of_the_summary() {
    let runs = runs(&[Simulation { failures: 0.01, ..named("a", 1, 8.0) }]);
    let comparison = of(&runs, &[0], &[0], &CompareOptions::default()).unwrap();
    let analysis = analyze(&runs.runs[0], &Options::default()).unwrap();
    let names: Vec<&str> = comparison.groups.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(names, ["total", "common", "filtered", "rare"]);
    for group in &comparison.groups {
        let figures = analysis.summary.classes.get(&group.name).unwrap_or(&analysis.summary.totals);
        let times = &figures.response_ms;
        for (quantity, expected) in [
            (Quantity::Rate, figures.rate),
            (Quantity::Mean, times.mean),
            (Quantity::P50, times.p50),
            (Quantity::P95, times.p95),
            (Quantity::P99, times.p99),
            (Quantity::P999, times.p999),
            (Quantity::ErrorRate, figures.error_rate),
            (Quantity::Recall, figures.recall),
        ] {
            let found = figure(&comparison, &group.name, quantity);
            assert_eq!((found.base, found.new), (expected, expected), "{} {quantity:?}", group.name);
            assert!(found.change.is_none_or(|change| change == 0.0), "{found:?}");
            assert!(!matches!(found.word, Word::Regressed | Word::Improved), "{found:?}");
        }
    }
    assert!(!comparison.failed);
}

#[test]
fn a_slower_run_is_regressed_and_a_rule_decides_whether_it_fails() {
    let runs = runs(&[named("before", 1, 8.0), named("after", 2, 10.4)]);
    let comparison = of(&runs, &[0], &[1], &CompareOptions::default()).unwrap();
    let p50 = figure(&comparison, "total", Quantity::P50);
    assert_eq!((p50.word, comparison.verdict, comparison.failed), (Word::Regressed, Word::Regressed, true));
    assert!((20.0..40.0).contains(&p50.change.unwrap()), "{p50:?}");
    assert!(comparison.sentence.starts_with("regressed: "), "{}", comparison.sentence);

    let back = of(&runs, &[1], &[0], &CompareOptions::default()).unwrap();
    assert_eq!((back.verdict, back.failed), (Word::Improved, false));

    let with = |rule: &str| {
        let options = CompareOptions { fail_on: vec![rule.parse().unwrap()], ..CompareOptions::default() };
        of(&runs, &[0], &[1], &options)
    };
    assert!(with("p50 > 10%").unwrap().failed);
    assert!(!with("p50 > 60%").unwrap().failed);
    assert!(!with("error_rate > 0.1%").unwrap().failed);
    let error = with("p50(unheard) > 1%").unwrap_err().to_string();
    assert!(error.contains("`unheard`") && error.contains("common"), "{error}");
}

fn ruled(rule: &str) -> CompareOptions {
    CompareOptions { fail_on: vec![rule.parse().unwrap()], ..CompareOptions::default() }
}

#[test]
fn a_rule_of_which_nothing_is_known_is_no_pass() {
    let simulations = [
        Simulation { seconds: 8, ..named("a", 1, 8.0) },
        Simulation { seconds: 8, failures: 1.0, ..named("b", 2, 8.0) },
    ];
    let runs = runs(&simulations);
    let lost = of(&runs, &[0], &[1], &ruled("p99(common) > 5%")).unwrap();
    let rule = &lost.rules[0];
    assert_eq!((rule.change, rule.outcome, rule.broken), (None, RuleOutcome::Unknown, true));
    assert!(lost.failed, "every request failed");
    let out = tempfile::tempdir().unwrap();
    let written = lost.write(out.path(), None).unwrap();
    let read = |name: &str| fs::read_to_string(written.html.with_file_name(name)).unwrap();
    let said = "not known, which counts as broken";
    for view in [text(&lost), read("comparison.html"), read("comparison.md")] {
        assert!(view.contains(said), "{view}");
    }
    let json: serde_json::Value = serde_json::from_str(&read("comparison.json")).unwrap();
    assert_eq!(json["rules"][0]["outcome"], "unknown");
    assert_eq!((&json["rules"][0]["broken"], &json["failed"]), (&true.into(), &true.into()));

    // What the base does not have cannot be lost.
    let back = of(&runs, &[1], &[0], &ruled("p99 > 5%")).unwrap();
    assert_eq!(
        (back.rules[0].outcome, back.rules[0].broken, back.failed),
        (RuleOutcome::Unknown, false, false)
    );
    assert!(text(&back).contains("not known: the base does not have the figure"), "{}", text(&back));
}

#[test]
fn slow_requests_that_fail_make_latency_no_better() {
    let data = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let before = make(data[0].path(), &named("before", 1, 8.0)).unwrap();
    // A server that gives up what it cannot answer in time.
    let after = make_altered(data[1].path(), &named("after", 2, 8.0), |rows| {
        for row in rows.iter_mut().filter(|row| row.done_ns - row.due_ns > 16_000_000) {
            (row.outcome, row.code) = (Outcome::ServerError, Some(65_535));
        }
    });
    let sides = [before.path().to_owned(), after.unwrap().path().to_owned()];
    let compared = |rule: &str| compare_runs(&sides[..1], &sides[1..], &ruled(rule)).unwrap();
    for rule in ["p99 > 5%", "p95 >= 5%", "p99(filtered) > 5%", "mean > 5%"] {
        let found = &compared(rule).rules[0];
        assert!(found.change.unwrap() < 0.0, "{found:?}");
        assert_eq!((found.outcome, found.broken, found.by_failures), (RuleOutcome::Broken, true, true));
    }
    assert!(!compared("p50 > 60%").failed, "half of the requests are answered in time all the same");
    let comparison = compared("p99 > 5%");
    let p99 = figure(&comparison, "total", Quantity::P99);
    assert_eq!((p99.word, p99.failures_hide), (Word::Unclear, true), "{p99:?}");
    assert_eq!(comparison.verdict, Word::Regressed);
    for said in [
        "unclear: more requests fail, and how late those would have been is not known",
        "Note: More requests fail than before",
        "Rule: p99 > 5%: ✗ broken by failed requests, each of which counts as infinitely late",
    ] {
        assert!(text(&comparison).contains(said), "{said} in {}", text(&comparison));
    }
    let out = tempfile::tempdir().unwrap();
    let page = fs::read_to_string(comparison.write(out.path(), None).unwrap().html).unwrap();
    assert_eq!(page.matches("More requests fail than before").count(), 1);

    // Back again the failures are gone, and nothing that was infinite is worse.
    let back = compare_runs(&sides[1..], &sides[..1], &ruled("p99 > 5%")).unwrap();
    assert!(!back.rules[0].by_failures, "{:?}", back.rules);
}

#[test]
fn failures_that_move_a_percentile_break_its_rule() {
    let data = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let simulation = Simulation { seconds: 60, ..named("run", 1, 8.0) };
    let before = make(data[0].path(), &simulation).unwrap();
    // 4 % without a pattern: P95 of all is then P99 of the answered.
    let after = make_altered(data[1].path(), &simulation, |rows| {
        for row in rows.iter_mut().filter(|row| row.seq % 25 == 7) {
            (row.outcome, row.code) = (Outcome::ServerError, Some(65_535));
        }
    });
    let sides = [before.path().to_owned(), after.unwrap().path().to_owned()];
    let rule = |rule: &str| compare_runs(&sides[..1], &sides[1..], &ruled(rule)).unwrap().rules.remove(0);
    let p95 = rule("p95 > 20%");
    assert!(p95.broken && p95.by_failures && p95.change.unwrap().abs() < 10.0, "{p95:?}");
    assert!(!rule("p50 > 20%").broken, "P50 is then P52 of the answered");
}

#[test]
fn a_rule_may_have_its_bound_in_it() {
    let runs = runs(&[named("before", 1, 8.0), named("after", 2, 10.4)]);
    for (rule, failed) in
        [("p50 >= 10%", true), ("p50 <= 10%", false), ("p50 >= 60%", false), ("p50<=60%", true)]
    {
        let comparison = of(&runs, &[0], &[1], &ruled(rule)).unwrap();
        assert_eq!(comparison.failed, failed, "{rule}");
    }
}

#[test]
fn runs_that_are_too_short_are_said_to_be() {
    let short = |name: &str, seed| Simulation { seconds: 2, ramp_s: 0, ..named(name, seed, 8.0) };
    let runs = runs(&[short("a", 1), short("b", 2), named("c", 3, 8.0)]);
    // One short side is enough, though a longer run is other work.
    let allowed = CompareOptions { allowed: vec![LikenessKey::WorkKey], ..CompareOptions::default() };
    for new in [1, 2] {
        let comparison = of(&runs, &[0], &[new], &allowed).unwrap();
        assert_eq!((comparison.verdict, comparison.failed), (Word::Unclear, false));
        let said = "unclear: the runs are too short to tell how far chance moves them (2.0 s measured, 3.2 s are the least).";
        assert_eq!(comparison.sentence, said);
    }
    assert!(of(&runs, &[0], &[1], &ruled("p50 > 5%")).unwrap().failed, "and a rule is not held by them");
}

#[test]
fn a_likeness_that_nobody_knows_is_noted() {
    let runs = runs(&[named("a", 1, 8.0), named("b", 2, 8.0)]);
    let noted = |comparison: &Comparison| {
        let notes = comparison.notes.iter().filter(|note| note.contains("taken for granted"));
        notes.map(|note| note.split(' ').nth(1).unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(noted(&of(&runs, &[0], &[1], &CompareOptions::default()).unwrap()), [""; 0]);
    for run in 0..2 {
        change_record(&runs, run, |record| record.collection.dataset = None);
    }
    assert_eq!(noted(&of(&runs, &[0], &[1], &CompareOptions::default()).unwrap()), ["dataset"]);
    for run in 0..2 {
        change_record(&runs, run, |record| record.collection.index = None);
    }
    assert_eq!(noted(&of(&runs, &[0], &[1], &CompareOptions::default()).unwrap()), ["dataset", "index"]);
    change_record(&runs, 1, |record| record.collection.dataset = Some("squall-1-42-768".into()));
    assert!(matches!(of(&runs, &[0], &[1], &CompareOptions::default()), Err(CompareError::Unlike(_))));
}

#[test]
fn collections_of_others_are_known_by_their_name_and_may_grow() {
    let runs = runs(&[named("a", 1, 8.0), named("b", 2, 8.0)]);
    for (run, rows) in [(0, 40_000), (1, 41_500)] {
        change_record(&runs, run, |record| {
            let collection = &mut record.collection;
            (collection.dataset, collection.dataset_rows, collection.rows) = (None, None, Some(rows));
        });
    }
    let comparison = of(&runs, &[0], &[1], &CompareOptions::default()).unwrap();
    let rows = comparison.changed.iter().find(|found| found.what == "rows").unwrap();
    assert_eq!((rows.base.as_str(), rows.new.as_str()), ("40,000", "41,500"));
    assert!(text(&comparison).contains("Changed: rows: 40,000 → 41,500"), "{}", text(&comparison));

    change_record(&runs, 1, |record| record.collection.name = "orders".into());
    let error = of(&runs, &[0], &[1], &CompareOptions::default()).unwrap_err().to_string();
    assert!(
        error.contains("dataset: collection load_test_collection (base), collection orders (new)"),
        "{error}"
    );
}

#[test]
fn the_shards_of_a_run_are_a_side() {
    let (data, whole_data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let simulation = Simulation { failures: 0.01, ..Simulation::default() };
    let shard = |index| make_shard(data.path(), &simulation, Shard { index, count: 3 }).unwrap();
    let shards: Vec<PathBuf> = (0..3).rev().map(|index| shard(index).path().to_owned()).collect();
    let whole = vec![make(whole_data.path(), &simulation).unwrap().path().to_owned()];
    let later = make(whole_data.path(), &Simulation { name: "later".into(), seed: 5, ..simulation.clone() });
    let later = later.unwrap().path().to_owned();
    let options = CompareOptions::default();

    let joined = compare_runs(&shards, &whole, &options).unwrap();
    assert_eq!((joined.base.runs.len(), joined.new.runs.len()), (1, 1));
    for figure in joined.groups.iter().flat_map(|group| &group.figures) {
        assert_eq!(figure.base, figure.new, "{figure:?}");
    }
    assert!(!joined.failed);
    // Beside another run they are one of two.
    let both: Vec<PathBuf> = shards.iter().chain([&later]).cloned().collect();
    let several = compare_runs(&both, &whole, &options).unwrap();
    assert_eq!(
        several.base.runs.iter().map(|run| run.name.as_str()).collect::<Vec<_>>(),
        ["simulated", "later"]
    );

    let error = compare_runs(&shards[1..], &whole, &options).unwrap_err();
    assert!(matches!(&error, CompareError::Shard { count: 3, .. }), "{error}");
    assert!(error.to_string().contains("name the directories of all 3 shards"), "{error}");
    let twice = [&shards[..], &shards[..1]].concat();
    assert!(matches!(compare_runs(&twice, &whole, &options), Err(CompareError::Twice(_))));
}

#[test]
fn whether_a_run_can_be_compared_is_known_before_it_is_made() {
    let runs = runs(&[named("a", 1, 8.0), Simulation { lag_us: 9_000.0, ..named("late", 2, 8.0) }]);
    let identity = analyze(&runs.runs[0], &Options::default()).unwrap().summary.run;
    let like = Likeness::of(&identity);
    let base = &runs.runs[..1];
    let rule = |text: &str| vec![text.parse().unwrap()];
    can_be_compared(base, &like, &rule("p99(rare) > 5%")).unwrap();
    let refused = |likeness: Likeness| match can_be_compared(base, &likeness, &[]) {
        Err(CompareError::Unlike(found)) => found.into_iter().map(|found| found.key).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(Likeness { work_key: "x".into(), ..like.clone() }), [LikenessKey::WorkKey]);
    assert_eq!(refused(Likeness { dataset: None, ..like.clone() }), [LikenessKey::Dataset]);
    let orders = Some("collection orders".to_owned());
    assert_eq!(refused(Likeness { dataset: orders, ..like.clone() }), [LikenessKey::Dataset]);
    assert_eq!(refused(Likeness { rows: Some(7), ..like.clone() }), [LikenessKey::Rows]);
    assert_eq!(refused(Likeness { index: Some("FLAT".into()), ..like.clone() }), [LikenessKey::Index]);
    assert_eq!(refused(Likeness { host_class: "Z80".into(), ..like.clone() }), [LikenessKey::HostClass]);
    let error = can_be_compared(base, &like, &rule("p99(unheard) > 5%")).unwrap_err();
    assert!(matches!(error, CompareError::NoClass { .. }), "{error}");
    let error = can_be_compared(&runs.runs[1..], &like, &[]).unwrap_err();
    assert!(matches!(error, CompareError::Invalid { .. }), "{error}");
}

#[test]
fn several_runs_a_side_are_compared_by_what_runs_differ_by() {
    let medians = [8.0, 8.6, 7.5, 8.2, 9.0, 7.8];
    let simulations: Vec<Simulation> = medians
        .iter()
        .enumerate()
        .map(|(at, median)| Simulation { seconds: 6, ..named(&format!("r{at}"), at as u64 + 1, *median) })
        .collect();
    let runs = runs(&simulations);
    let comparison = of(&runs, &[0, 1, 2], &[3, 4, 5], &CompareOptions::default()).unwrap();
    let p50 = figure(&comparison, "total", Quantity::P50);
    assert_eq!(p50.word, Word::Unclear, "runs differ by 8%: {p50:?}");
    assert!(p50.more.is_some());
    let json = serde_json::to_value(&comparison).unwrap();
    assert_eq!(json["method"], "between_runs");
    assert!(json["groups"][0]["figures"][2]["more"]["runs"].as_u64().unwrap() > 3);
    assert!(text(&comparison).contains("runs a side would decide"));
}

#[test]
fn a_comparison_of_several_runs_has_a_directory_of_its_own() {
    let simulation = |at: u64| Simulation { seconds: 4, ramp_s: 0, ..named(&format!("r{at}"), at, 8.0) };
    let runs = runs(&(1..5).map(simulation).collect::<Vec<_>>());
    let out = tempfile::tempdir().unwrap();
    let written = |base: &[usize], new: &[usize]| {
        let comparison = of(&runs, base, new, &CompareOptions::default()).unwrap();
        let page = comparison.write(out.path(), None).unwrap().html;
        page.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned()
    };
    let [one, three] = [written(&[0], &[3]), written(&[0, 1, 2], &[3])];
    assert!(one.ends_with("r4-against-20260501T123000Z-r1"), "{one}");
    assert!(three.ends_with("r4-against-20260501T123000Z-r1-and-2-more"), "{three}");
    assert!(written(&[0], &[2, 3]).ends_with("-r3-and-1-more-against-20260501T123000Z-r1"));
}

#[test]
fn unlike_runs_are_refused_with_their_differences() {
    let runs = runs(&[named("a", 1, 8.0), Simulation { rate: 100.0, ..named("b", 2, 8.0) }]);
    change_record(&runs, 1, |record| record.collection.index = Some("HNSW M=16 L2".into()));
    let error = of(&runs, &[0], &[1], &CompareOptions::default()).unwrap_err();
    let CompareError::Unlike(differences) = &error else { panic!("{error}") };
    let keys: Vec<LikenessKey> = differences.iter().map(|found| found.key).collect();
    assert_eq!(keys, [LikenessKey::WorkKey, LikenessKey::Index]);
    assert!(
        error.to_string().contains("index: IVF_FLAT nlist=1024 L2 (base), HNSW M=16 L2 (new)"),
        "{error}"
    );

    let one = CompareOptions { allowed: vec![LikenessKey::Index], ..CompareOptions::default() };
    let error = of(&runs, &[0], &[1], &one).unwrap_err();
    let CompareError::Unlike(differences) = &error else { panic!("{error}") };
    let keys: Vec<LikenessKey> = differences.iter().map(|found| found.key).collect();
    assert_eq!(keys, [LikenessKey::WorkKey], "what is allowed is no reason");
    let both = CompareOptions { allowed: vec!["index".parse().unwrap(), "work_key".parse().unwrap()], ..one };
    let comparison = of(&runs, &[0], &[1], &both).unwrap();
    assert_eq!(comparison.unlike.len(), 2);
    assert!(text(&comparison).contains("Unlike, as allowed: index"));
}

#[test]
fn collections_of_different_size_are_unlike() {
    let runs = runs(&[named("a", 1, 8.0), named("b", 2, 8.0)]);
    // The server's count is not what decides: it may count deleted rows.
    change_record(&runs, 1, |record| record.collection.rows = Some(100_007));
    of(&runs, &[0], &[1], &CompareOptions::default()).unwrap();
    change_record(&runs, 1, |record| record.collection.dataset_rows = Some(1_000_000));
    let error = of(&runs, &[0], &[1], &CompareOptions::default()).unwrap_err();
    let CompareError::Unlike(differences) = &error else { panic!("{error}") };
    assert_eq!(differences.iter().map(|found| found.key).collect::<Vec<_>>(), [LikenessKey::Rows]);
    assert!(error.to_string().contains("rows: 100,000 (base), 1,000,000 (new)"), "{error}");
    let allowed = CompareOptions { allowed: vec!["rows".parse().unwrap()], ..CompareOptions::default() };
    let comparison = of(&runs, &[0], &[1], &allowed).unwrap();
    assert!(text(&comparison).contains("Unlike, as allowed: rows: 100,000"), "{}", text(&comparison));

    // A record of before the number was kept has the server's, or none.
    change_record(&runs, 0, |record| record.collection.dataset_rows = None);
    change_record(&runs, 1, |record| record.collection.dataset_rows = Some(100_000));
    of(&runs, &[0], &[1], &CompareOptions::default()).unwrap();
    change_record(&runs, 0, |record| record.collection.rows = None);
    let error = of(&runs, &[0], &[1], &CompareOptions::default()).unwrap_err().to_string();
    assert!(error.contains("rows: not known (base), 100,000 (new)"), "{error}");
}

#[test]
fn the_server_and_labels_may_change_and_are_shown() {
    let runs = runs(&[named("a", 1, 8.0), named("b", 2, 8.0)]);
    change_record(&runs, 1, |record| {
        record.server.version = Some("2.4.0".into());
        record.plan.labels = vec![("build".into(), "413".into())];
    });
    let comparison = of(&runs, &[0], &[1], &CompareOptions::default()).unwrap();
    let changed: Vec<String> = comparison
        .changed
        .iter()
        .map(|found| format!("{} {} {}", found.what, found.base, found.new))
        .collect();
    assert_eq!(changed, ["server version 2.3.5 2.4.0", "label build 412 413"]);
}

#[test]
fn what_is_no_whole_and_valid_run_is_refused() {
    let simulations = [named("a", 1, 8.0), Simulation { lag_us: 9_000.0, ..named("late", 2, 8.0) }];
    let runs = runs(&simulations);
    let error = of(&runs, &[0], &[1], &CompareOptions::default()).unwrap_err();
    assert!(matches!(error, CompareError::Invalid { .. }) && error.to_string().contains("lag"), "{error}");
    let error = of(&runs, &[0, 0], &[1], &CompareOptions::default()).unwrap_err();
    assert!(matches!(error, CompareError::Twice(_)), "{error}");
    change_record(&runs, 0, |record| record.shard.count = 3);
    let error = of(&runs, &[0], &[0], &CompareOptions::default()).unwrap_err();
    assert!(error.to_string().contains("shard 0 of 3"), "{error}");
}

#[test]
fn a_run_without_an_answer_gives_dashes() {
    let simulations = [
        Simulation { seconds: 8, ..named("a", 1, 8.0) },
        Simulation { seconds: 8, failures: 1.0, ..named("b", 2, 8.0) },
    ];
    let runs = runs(&simulations);
    let comparison = of(&runs, &[0], &[1], &CompareOptions::default()).unwrap();
    assert_eq!(figure(&comparison, "total", Quantity::P99).change, None);
    assert_eq!(figure(&comparison, "total", Quantity::ErrorRate).word, Word::Regressed);
    let out = tempfile::tempdir().unwrap();
    comparison.write(out.path(), None).unwrap();
    let json = serde_json::to_string(&comparison).unwrap();
    assert!(json.contains("\"figure\":\"p99\",\"base\":"), "{json}");
    assert!(!text(&comparison).contains("NaN") && !json.contains("NaN"));
}

#[test]
fn every_file_of_a_comparison_is_written_and_safe() {
    let name = "<script>alert(1)</script>`|";
    let runs = runs(&[named("before", 1, 8.0), named(name, 2, 10.4)]);
    change_record(&runs, 1, |record| name.clone_into(&mut record.id));
    let comparison = of(&runs, &[0], &[1], &CompareOptions::default()).unwrap();
    let out = tempfile::tempdir().unwrap();
    let markdown = out.path().join("pull-request.md");
    let written = comparison.write(&out.path().join("reports"), Some(&markdown)).unwrap();
    for suffix in ["percentiles.png", "percentiles.svg", "shift.png", "over-time.svg", "comparison.json"] {
        assert!(written.files.iter().any(|file| file.ends_with(suffix) && file.is_file()), "{suffix}");
    }
    let page = fs::read_to_string(&written.html).unwrap();
    for forbidden in ["<script", "<link", "<img", "@import", "url(", "src=", "href="] {
        assert!(!page.contains(forbidden), "the page has {forbidden}");
    }
    assert!(page.contains("&#60;script&#62;") && page.contains("Where the distribution moved"));
    let figures: Vec<&str> = page.split("<figure>").skip(1).collect();
    assert_eq!(figures.len(), 3);
    for figure in figures {
        let figure = figure.split_once("</figure>").unwrap().0;
        let (_, numbers) = figure.split_once("<details>").expect(figure);
        assert!(numbers.contains("<caption>") && numbers.matches("<td>").count() >= 18, "{numbers}");
    }
    let over_time = fs::read_to_string(written.html.with_file_name("over-time.svg")).unwrap();
    for part in ["P99, ms", ">\nramp\n", ">\nbase\n", ">\nnew\n", "Shaded: ramp from 0 to 2 s"] {
        assert!(over_time.contains(part), "{part} in {over_time}");
    }
    let p50 = figure(&comparison, "total", Quantity::P50);
    let told = format!("P50 {:.2} ms before, {:.2} ms now", p50.base.unwrap(), p50.new.unwrap());
    assert!(over_time.contains(&told), "{told}");
    let markdown = fs::read_to_string(markdown).unwrap();
    assert!(markdown.lines().count() < 60, "{markdown}");
    assert!(!markdown.contains("<script") || markdown.contains("`<script"), "{markdown}");
    assert!(markdown.contains("| total | P50 | "), "{markdown}");
    let json: serde_json::Value =
        serde_json::from_slice(&fs::read(written.html.with_file_name("comparison.json")).unwrap()).unwrap();
    assert_eq!((&json["verdict"], &json["schema_version"]), (&"regressed".into(), &1.into()));
    let shifts = json["shifts"].as_array().unwrap();
    let middle = shifts.iter().find(|shift| shift["percentile"] == 50.0).unwrap();
    let number = |name: &str| middle[name].as_f64().unwrap();
    assert!(number("low") < number("change") && number("change") < number("high"), "{middle}");
    assert!((number("change") - p50.change.unwrap()).abs() < 1e-9, "{middle}");
}

const PAIRS: usize = 24;

fn experiment(law: Law, runs: usize, factor: f64) -> Counts {
    let seed = if factor > 1.0 { 1_005 } else { 5 };
    simulate(Experiment { law, runs, factor, pairs: PAIRS, seed })
}

#[test]
fn where_nothing_differs_hardly_anything_is_said_to() {
    for (law, runs) in [(Law::Correlated, 1), (Law::Wandering, 1), (Law::Bursts, 1), (Law::Runs, 3)] {
        let counts = experiment(law, runs, 1.0);
        for (regressed, improved) in counts.regressed.iter().zip(counts.improved) {
            // Each is expected in 0.6 of 24 pairs.
            assert!(*regressed <= 3 && improved <= 3, "{law:?}: {counts:?}");
        }
        assert!(counts.alarmed <= 4, "{law:?}: {counts:?}");
    }
}

#[test]
fn what_differs_is_found() {
    for (law, runs, factor, least) in
        [(Law::Correlated, 1, 1.1, 22), (Law::Wandering, 1, 1.2, 22), (Law::Runs, 5, 1.2, 17)]
    {
        let counts = experiment(law, runs, factor);
        assert!(counts.regressed[2] >= least, "{law:?}: {counts:?}");
        let oracle = counts.found_by_oracle(counts.deviation(factor.ln()));
        assert!(counts.regressed[2] * 10 >= oracle * 8, "{law:?}: {counts:?}, the oracle {oracle}");
    }
}
