//! The history of runs, from their summaries.

use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use squall_analyze::trend::{Accepted, Trend, TrendOptions, accept, accepted_file, has_run, text, trend};
use squall_core::run_dir::write_json;
use squall_core::run_record::RunState;
use squall_core::summary::{Summary, Verdict};
use tempfile::TempDir;

use crate::analysis;
use crate::simulate::Simulation;

/// Directories of runs and reports in which a test puts summaries.
struct History {
    data: TempDir,
    template: Summary,
}

fn started(run: usize) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 3, 1, 4, 0, 0).unwrap() + TimeDelta::days(run as i64)
}

impl History {
    fn new() -> Self {
        let template = analysis(&Simulation { seconds: 2, ..Simulation::default() }).summary;
        Self { data: tempfile::tempdir().unwrap(), template }
    }

    fn runs(&self) -> PathBuf {
        self.data.path().join("runs")
    }

    fn reports(&self) -> PathBuf {
        self.data.path().join("reports")
    }

    /// Adds a run whose times are `factor` of the template's.
    fn add(&self, run: usize, factor: f64, change: impl FnOnce(&mut Summary)) -> String {
        let mut summary = self.template.clone();
        summary.run.started = started(run);
        summary.run.id = format!("run-{run:03}");
        summary.verdict = Verdict::None;
        let times = &mut summary.totals.response_ms;
        for time in [&mut times.p50, &mut times.p99, &mut times.mean] {
            *time = time.map(|ms| ms * factor);
        }
        change(&mut summary);
        let directory = self.runs().join(&summary.run.id);
        fs::create_dir_all(&directory).unwrap();
        write_json(&directory.join("summary.json"), &summary).unwrap();
        summary.run.id
    }

    /// Adds runs that vary a little and are slower by `step` from run `at` on.
    fn add_steps(&self, count: usize, at: usize, step: f64) {
        for run in 0..count {
            let noise = 1.0 + 0.02 * ((run * 7_919) % 13) as f64 / 13.0;
            self.add(run, if run >= at { noise * step } else { noise }, |summary| {
                let build = if run >= at { "500" } else { "499" };
                summary.run.labels.insert("build".into(), build.into());
                let branch = if run % 2 == 0 { "main" } else { "next" };
                summary.run.labels.insert("branch".into(), branch.into());
            });
        }
    }

    fn trend(&self, options: &TrendOptions) -> Trend {
        trend(&self.runs(), &self.reports(), options).unwrap()
    }
}

fn only(metrics: &[&str]) -> TrendOptions {
    TrendOptions {
        metrics: metrics.iter().map(|metric| metric.parse().unwrap()).collect(),
        ..TrendOptions::default()
    }
}

#[test]
fn a_step_is_found_with_its_run_its_size_and_what_changed() {
    let history = History::new();
    history.add_steps(40, 33, 1.2);
    let trend = history.trend(&only(&["p99", "qps"]));
    assert_eq!(trend.series.len(), 1);
    let [p99, qps] = &trend.series[0].metrics[..] else { panic!("two metrics") };
    assert_eq!(qps.changes, []);
    let [change] = &p99.changes[..] else { panic!("{:?}", p99.changes) };
    assert_eq!((change.at, change.run.as_str(), change.started), (33, "run-033", started(33)));
    assert!((15.0..25.0).contains(&change.change) && change.p_value <= 0.05, "{change:?}");
    assert!(change.changed.contains(&"build 499 → 500".to_owned()), "{change:?}");
    assert!(change.regression && trend.failed);
    let text = text(&trend);
    assert!(text.contains("Verdict: regressed among the last 10 runs: p99 +"), "{text}");
    assert!(text.contains("regressed at run-033 (2026-04-03 04:00)") && text.contains('█'), "{text}");
}

#[test]
fn only_a_recent_regression_that_nobody_accepted_fails() {
    let history = History::new();
    history.add_steps(40, 20, 1.2);
    let old = history.trend(&only(&["p99"]));
    assert!(!old.failed, "it is not among the last ten");
    let options = TrendOptions { window: 25, ..only(&["p99"]) };
    assert!(history.trend(&options).failed);

    let accepted = |metric: Option<&str>| Accepted {
        run: "run-021".into(),
        metric: metric.map(str::to_owned),
        reason: Some("more accurate".into()),
        accepted: started(41),
    };
    let file = accepted_file(&history.runs());
    accept(&file, accepted(Some("p50"))).unwrap();
    assert!(history.trend(&options).failed, "another metric's");
    accept(&file, accepted(Some("p99"))).unwrap();
    let trend = history.trend(&options);
    assert!(!trend.failed && trend.series[0].metrics[0].changes[0].accepted);
    fs::write(&file, "nonsense = true").unwrap();
    let error = squall_analyze::trend::trend(&history.runs(), &history.reports(), &options).unwrap_err();
    assert!(error.to_string().contains("accepted.toml"), "{error}");
}

#[test]
fn a_change_is_accepted_whichever_runs_are_looked_at() {
    let history = History::new();
    history.add_steps(60, 40, 1.2);
    // The run that was accepted is one of the branch `next`.
    let change = Accepted { run: "run-041".into(), metric: None, reason: None, accepted: started(61) };
    accept(&accepted_file(&history.runs()), change).unwrap();
    let main = TrendOptions {
        filters: vec![("branch".to_owned(), "main".to_owned())],
        window: 30,
        ..only(&["p99"])
    };
    let trend = history.trend(&main);
    let [found] = &trend.series[0].metrics[0].changes[..] else { panic!("{:?}", trend.series[0].metrics) };
    assert!(found.accepted && !trend.failed, "{found:?}");

    // Of other work it says nothing.
    let other = History::new();
    other.add_steps(60, 40, 1.2);
    other.add(41, 1.2, |summary| {
        summary.run.id = "elsewhere".into();
        summary.run.work_key = "other".into();
    });
    let change = Accepted { run: "elsewhere".into(), metric: None, reason: None, accepted: started(61) };
    accept(&accepted_file(&other.runs()), change).unwrap();
    assert!(other.trend(&main).failed);

    // Nor of what came long after it.
    let late = History::new();
    late.add_steps(60, 40, 1.2);
    let change = Accepted { run: "run-010".into(), metric: None, reason: None, accepted: started(61) };
    accept(&accepted_file(&late.runs()), change).unwrap();
    let recent = TrendOptions { since: Some(started(37)), window: 60, ..only(&["p99"]) };
    let trend = late.trend(&recent);
    assert_eq!(trend.series[0].metrics[0].changes.len(), 1, "{:?}", trend.series[0].metrics);
    assert!(trend.failed);
}

#[test]
fn a_label_that_changed_for_good_nearby_is_named_and_one_that_goes_to_and_fro_is_not() {
    let changed = |build_at: usize| {
        let history = History::new();
        for run in 0..40 {
            let noise = 1.0 + 0.02 * ((run * 7_919) % 13) as f64 / 13.0;
            history.add(run, if run >= 30 { noise * 1.3 } else { noise }, |summary| {
                let build = if run >= build_at { "500" } else { "499" };
                summary.run.server.version = Some(if run >= 30 { "2.4.0" } else { "2.3.5" }.into());
                summary.run.labels = [
                    ("build".to_owned(), build.to_owned()),
                    ("branch".to_owned(), if run % 2 == 0 { "main" } else { "next" }.to_owned()),
                    ("commit".to_owned(), format!("c{run}")),
                ]
                .into();
            });
        }
        let trend = history.trend(&only(&["p99"]));
        let [change] = &trend.series[0].metrics[0].changes[..] else {
            panic!("{:?}", trend.series[0].metrics)
        };
        assert_eq!(change.at, 30);
        change.changed.clone()
    };
    let others = ["server version 2.3.5 → 2.4.0", "commit c29 → c30"];
    for (build_at, build) in [
        (30, Some("build 499 → 500")),
        (28, Some("build 499 → 500 (2 runs earlier)")),
        (31, Some("build 499 → 500 (1 run later)")),
        (20, None),
    ] {
        let expected: Vec<&str> =
            others[..1].iter().copied().chain(build).chain(others[1..].iter().copied()).collect();
        assert_eq!(changed(build_at), expected, "{build_at}");
    }
}

#[test]
fn what_the_filters_leave_out_is_not_listed_as_unfit() {
    let history = History::new();
    history.add_steps(10, 99, 1.0);
    for run in [2, 3] {
        history.add(run, 1.0, |summary| {
            summary.run.state = RunState::Interrupted;
            summary.run.labels.insert("branch".into(), if run == 2 { "main" } else { "next" }.into());
        });
    }
    let skipped = |options: &TrendOptions| {
        history.trend(options).skipped.into_iter().map(|skipped| skipped.run).collect::<Vec<_>>()
    };
    assert_eq!(skipped(&only(&["p99"])), ["run-002", "run-003"]);
    let filters = vec![("branch".to_owned(), "main".to_owned())];
    assert_eq!(skipped(&TrendOptions { filters, ..only(&["p99"]) }), ["run-002"]);
    assert_eq!(skipped(&TrendOptions { since: Some(started(3)), ..only(&["p99"]) }), ["run-003"]);
}

#[test]
fn an_improvement_or_a_change_within_the_margin_does_not_fail() {
    let better = History::new();
    better.add_steps(40, 33, 0.8);
    let trend = better.trend(&only(&["p99"]));
    assert!(!trend.failed && text(&trend).contains("improved at run-033"), "{}", text(&trend));
    let little = History::new();
    little.add_steps(40, 33, 1.03);
    let trend = little.trend(&only(&["p99"]));
    assert_eq!(trend.series[0].metrics[0].changes, [], "nobody minds");
    assert!(!trend.failed);
    let strict = TrendOptions { margin: 1.0, ..only(&["p99"]) };
    let trend = little.trend(&strict);
    assert!(trend.series[0].metrics[0].changes[0].regression && trend.failed, "but whoever asks for it");
}

#[test]
fn a_change_of_a_hair_is_none_however_sure_it_is() {
    let history = History::new();
    for run in 0..40 {
        history.add(run, 1.0, |summary| {
            // Steps without any noise: 0.001 % of the rate, 0.2 points of recall, 0.05 of errors.
            let later = run >= 30;
            summary.totals.rate = Some(if later { 200.0 } else { 200.002 });
            summary.totals.recall = Some(if later { 0.968 } else { 0.970 });
            summary.totals.error_rate = Some(if later { 0.0005 } else { 0.0 });
        });
    }
    let trend = history.trend(&TrendOptions::default());
    for metric in &trend.series[0].metrics {
        assert_eq!(metric.changes, [], "{}", metric.metric);
    }
    assert!(text(&trend).contains("Verdict: no regression among the last 10 runs.\n"), "{}", text(&trend));
}

#[test]
fn small_steps_one_way_add_up_to_a_change() {
    let history = History::new();
    for run in 0..60 {
        // Five steps of 3 %, each within the margin.
        history.add(run, 1.03_f64.powi((run / 10) as i32), |_| {});
    }
    let trend = history.trend(&only(&["p99"]));
    let changes = &trend.series[0].metrics[0].changes;
    assert!(!changes.is_empty(), "15 % are no hair");
    assert!(changes.iter().all(|change| change.regression && change.change > 5.0), "{changes:?}");
}

#[test]
fn only_like_runs_are_joined_and_a_new_server_is_like() {
    let history = History::new();
    for run in 0..6 {
        history.add(run, 1.0, |summary| {
            summary.run.index = Some(if run < 3 { "HNSW" } else { "FLAT" }.into());
            summary.run.server.version = Some(format!("2.3.{run}"));
        });
    }
    let trend = history.trend(&only(&["p99"]));
    let lengths: Vec<usize> = trend.series.iter().map(|series| series.runs.len()).collect();
    assert_eq!(lengths, [3, 3]);
    assert_eq!(trend.series[0].index.as_deref(), Some("FLAT"), "the latest first");
}

#[test]
fn a_dataset_of_another_size_is_a_series_of_its_own() {
    let history = History::new();
    for run in 0..6 {
        history.add(run, 1.0, |summary| {
            summary.run.rows = [Some(100_000), Some(1_000_000), None][run / 2];
        });
    }
    let trend = history.trend(&only(&["p99"]));
    let rows: Vec<Option<u64>> = trend.series.iter().map(|series| series.rows).collect();
    assert_eq!(rows, [None, Some(1_000_000), Some(100_000)]);
    assert!(text(&trend).contains("dataset squall-1-42-768 of 1,000,000 rows, index "), "{}", text(&trend));
}

#[test]
fn collections_of_others_are_series_by_their_name_and_may_grow() {
    let history = History::new();
    for run in 0..40 {
        history.add(run, if run >= 30 { 1.3 } else { 1.0 + 1e-3 * (run % 3) as f64 }, |summary| {
            summary.run.dataset = None;
            summary.run.rows = Some(if run >= 29 { 80_000 } else { 40_000 });
        });
        history.add(run, 1.0, |summary| {
            summary.run.id = format!("orders-{run}");
            summary.run.dataset = None;
            summary.run.collection = Some("orders".into());
        });
    }
    let trend = history.trend(&only(&["p99"]));
    let mut of: Vec<(Option<&str>, usize)> =
        trend.series.iter().map(|series| (series.collection.as_deref(), series.runs.len())).collect();
    of.sort_unstable();
    assert_eq!(of, [(Some("load_test_collection"), 40), (Some("orders"), 40)]);
    let said = text(&trend);
    assert!(said.contains("collection orders (dataset not known), index "), "{said}");
    assert!(said.contains("with it: rows 40,000 → 80,000 (1 run earlier)"), "{said}");
    let written = trend.write(&history.reports()).unwrap();
    let page = fs::read_to_string(written.html).unwrap();
    assert!(page.contains("80,000") && page.contains(">rows<"), "{page}");
}

#[test]
fn what_is_no_run_to_learn_from_is_named_and_left_out() {
    let history = History::new();
    history.add(0, 1.0, |_| {});
    history.add(1, 1.0, |summary| summary.run.state = RunState::Interrupted);
    history.add(2, 1.0, |summary| summary.verdict = Verdict::Invalid);
    history.add(3, 1.0, |summary| summary.run.shard.count = 2);
    let broken = |name: &str, text: &str| {
        fs::create_dir_all(history.runs().join(name)).unwrap();
        fs::write(history.runs().join(name).join("summary.json"), text).unwrap();
    };
    broken("run-004", "{\"schema_version\": 1, \"run\"");
    broken("run-005", "{\"schema_version\": 99}");
    broken("run-006", "{\"schema_version\": 1}");
    fs::create_dir_all(history.runs().join("run-007")).unwrap();
    let trend = history.trend(&TrendOptions::default());
    assert_eq!(trend.series[0].runs.len(), 1);
    let skipped: Vec<&str> = trend.skipped.iter().map(|skipped| skipped.run.as_str()).collect();
    assert_eq!(skipped, ["run-001", "run-002", "run-003", "run-004", "run-005", "run-006", "run-007"]);
    for (skipped, part) in trend.skipped.iter().zip([
        "interrupted",
        "invalid",
        "shard",
        "damaged",
        "schema version 99",
        "damaged",
        "no summary.json",
    ]) {
        assert!(skipped.reason.contains(part), "{skipped:?}");
    }
}

#[test]
fn the_newer_summary_counts() {
    let history = History::new();
    let id = history.add(0, 1.0, |summary| summary.totals.rate = Some(1.0));
    let report = history.reports().join(&id);
    fs::create_dir_all(&report).unwrap();
    let mut summary = history.template.clone();
    (summary.run.id, summary.totals.rate, summary.verdict) = (id.clone(), Some(2.0), Verdict::None);
    write_json(&report.join("summary.json"), &summary).unwrap();
    let shown = || history.trend(&only(&["qps"])).series[0].metrics[0].values.clone();
    let date = |path: &Path, seconds: u64| {
        let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        fs::File::options().write(true).open(path.join("summary.json")).unwrap().set_modified(time).unwrap();
    };
    date(&history.runs().join(&id), 1_000_000_000);
    date(&report, 1_000_000_100);
    assert_eq!(shown(), [Some(2.0)]);
    date(&report, 999_999_000);
    assert_eq!(shown(), [Some(1.0)]);
}

#[test]
fn the_report_of_joined_shards_stands_for_them() {
    let history = History::new();
    for shard in 0..2 {
        history.add(0, 1.0, |summary| {
            summary.run.id = format!("night-s{shard}of2");
            summary.run.shard.count = 2;
        });
    }
    assert_eq!(history.trend(&only(&["qps"])).skipped.len(), 2, "as long as there is no report");
    let report = history.reports().join("night");
    fs::create_dir_all(&report).unwrap();
    let mut summary = history.template.clone();
    (summary.run.id, summary.totals.rate, summary.verdict) = ("night".into(), Some(7.0), Verdict::None);
    write_json(&report.join("summary.json"), &summary).unwrap();
    let trend = history.trend(&only(&["qps"]));
    assert_eq!(trend.skipped, []);
    assert_eq!(trend.series[0].runs[0].directory, "night");
    assert!(has_run(&history.runs(), "night"), "and is the name that a change of it is accepted by");
    assert!(!has_run(&history.runs(), "day"));
    assert_eq!(trend.series[0].metrics[0].values, [Some(7.0)]);
}

#[test]
fn labels_and_dates_choose_runs() {
    let history = History::new();
    history.add_steps(20, 99, 1.0);
    let filters = vec![("branch".to_owned(), "main".to_owned())];
    let options = TrendOptions { filters, since: Some(started(10)), ..only(&["p99"]) };
    assert_eq!(history.trend(&options).series[0].runs.len(), 5);
    assert!("p98".parse::<squall_analyze::trend::Metric>().is_err());
}

#[test]
fn a_class_or_label_that_no_run_has_is_an_error_and_names_those_that_there_are() {
    let history = History::new();
    history.add_steps(4, 99, 1.0);
    let error =
        |options: &TrendOptions| trend(&history.runs(), &history.reports(), options).unwrap_err().to_string();
    let said = error(&only(&["p50", "p99(comon)"]));
    assert!(said.contains("class `comon`") && said.contains("they have common, filtered, rare"), "{said}");
    let with = |label: &str, value: &str| TrendOptions {
        filters: vec![(label.to_owned(), value.to_owned())],
        ..only(&["p99(rare)"])
    };
    let said = error(&with("brnch", "main"));
    assert!(said.contains("label `brnch`") && said.contains("they have branch, build"), "{said}");
    let said = error(&with("branch", "mian"));
    assert!(said.contains("label `branch=mian`") && said.contains("they have main, next"), "{said}");
    assert_eq!(history.trend(&with("branch", "main")).series[0].runs.len(), 2);

    // Where there is no run yet, there is nothing to be wrong about.
    let empty = History::new();
    fs::create_dir_all(empty.runs()).unwrap();
    let options = TrendOptions { filters: with("brnch", "main").filters, ..only(&["p99(comon)"]) };
    assert_eq!(empty.trend(&options).series.len(), 0);
}

#[test]
fn every_file_of_a_history_is_written_and_links_to_reports() {
    let history = History::new();
    history.add_steps(30, 24, 1.3);
    let report = history.reports().join("run-024");
    fs::create_dir_all(&report).unwrap();
    fs::write(report.join("report.html"), "").unwrap();
    history.add(30, 1.3, |summary| {
        summary.run.labels.insert("<b>".into(), "<script>".into());
    });
    let trend = history.trend(&TrendOptions::default());
    let written = trend.write(&history.reports()).unwrap();
    for name in ["trend.json", "series-1.png", "series-1.svg", "trend.html"] {
        assert!(written.files.iter().any(|file| file.ends_with(name) && file.is_file()), "{name}");
    }
    let page = fs::read_to_string(&written.html).unwrap();
    assert!(page.contains("<a href=\"../run-024/report.html\">"), "{page}");
    assert!(!page.contains("../run-025/") && !page.contains("<script") && !page.contains("<b>"));
    let json: serde_json::Value =
        serde_json::from_slice(&fs::read(written.html.with_file_name("trend.json")).unwrap()).unwrap();
    assert_eq!(json["series"][0]["metrics"][2]["metric"], "p99");
    // The page's own table has the latest runs, the figure's numbers every one.
    let numbers = page.split_once("<details>").unwrap().1.split_once("</details>").unwrap().0;
    assert_eq!(numbers.matches("<th scope=\"row\">run-0").count(), 31);
    assert!(numbers.contains("<th scope=\"col\">p99, ms</th>"), "{numbers}");
    let svg = fs::read_to_string(written.html.with_file_name("series-1.svg")).unwrap();
    assert!(svg.contains("the last run has qps "), "{svg}");
}

#[test]
fn figures_of_an_earlier_history_do_not_stay() {
    let history = History::new();
    for run in 0..4 {
        history.add(run, 1.0, |summary| summary.run.index = Some(format!("index {}", run % 2)));
    }
    let all = history.trend(&only(&["p99"]));
    let written = all.write(&history.reports()).unwrap();
    let second = written.html.with_file_name("series-2.png");
    let note = written.html.with_file_name("series-of-mine.png");
    fs::write(&note, "").unwrap();
    assert!(second.is_file());
    let latest = TrendOptions { since: Some(started(3)), ..only(&["p99"]) };
    history.trend(&latest).write(&history.reports()).unwrap();
    assert!(!second.exists() && !second.with_extension("svg").exists());
    assert!(written.html.with_file_name("series-1.png").is_file() && note.is_file());
}

#[test]
fn an_empty_history_is_said_to_be_one() {
    let history = History::new();
    fs::create_dir_all(history.runs()).unwrap();
    let trend = history.trend(&TrendOptions::default());
    assert!(text(&trend).contains("There is no run to show.") && !trend.failed);
    trend.write(&history.reports()).unwrap();
    let missing = squall_analyze::trend::trend(
        &history.runs().join("no"),
        &history.reports(),
        &TrendOptions::default(),
    );
    assert!(missing.unwrap_err().to_string().contains("name the directory of runs"));
}
