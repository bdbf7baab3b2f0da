//! Text, page, figures and tables.

use std::fs;
use std::path::Path;
use std::time::Duration;

use squall_analyze::{Analysis, FigureKind, Layout, Options, Outputs, analyze, svg, text};
use squall_core::summary::{Outage, Summary};
use squall_core::target::PlannedTarget;

use crate::simulate::{Simulation, reference_targets};
use crate::{analysis, run};

fn outputs(out: &Path) -> Outputs {
    Outputs {
        reports: out.join("reports"),
        csv: Some(out.join("results")),
        html: Some(out.join("copy.html")),

        ..Outputs::default()
    }
}

#[test]
fn the_text_has_the_layout_of_the_tool_that_squall_replaces() {
    let open =
        Simulation { failures: 0.0005, seed: 4, targets: reference_targets(true), ..Simulation::default() };
    insta::assert_snapshot!("open_loop", text::summary(&analysis(&open)));
    let closed = Simulation { users: Some(40), stall_at_s: 9.0, stall_for_s: 1.5, ..Simulation::default() };
    insta::assert_snapshot!("closed_loop", text::summary(&analysis(&closed)));
    let late = Simulation { lag_us: 9_000.0, rate: 3.0, same_host: true, ..Simulation::default() };
    insta::assert_snapshot!("few_rows", text::summary(&analysis(&late)));
}

#[test]
fn every_file_of_a_report_is_written() {
    let (_data, run) = run(&Simulation { failures: 0.01, ..Simulation::default() });
    let out = tempfile::tempdir().unwrap();
    let analysis = analyze(run.path(), &Options::default()).unwrap();
    let written = analysis.write(&outputs(out.path())).unwrap();
    assert_eq!(written.report, out.path().join("reports").join(run.name()));
    assert_eq!(written.html, written.report.join("report.html"));
    for name in FigureKind::ALL.map(FigureKind::stem) {
        let png = fs::read(written.report.join(format!("{name}.png"))).unwrap();
        assert_eq!(png[..8], *b"\x89PNG\r\n\x1a\n");
        let width = u32::from_be_bytes(png[16..20].try_into().unwrap());
        assert_eq!(width, 1_600);
        let svg = fs::read_to_string(written.report.join(format!("{name}.svg"))).unwrap();
        assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"), "{name}");
    }
    let summaries = [run.summary(), written.report.join("summary.json")].map(|path| fs::read(path).unwrap());
    assert_eq!(summaries[0], summaries[1]);
    let read: Summary = serde_json::from_slice(&summaries[0]).unwrap();
    assert_eq!(read, analysis.summary);
    assert_eq!(fs::read(&written.html).unwrap(), fs::read(out.path().join("copy.html")).unwrap());
}

#[test]
fn a_report_that_cannot_be_written_is_one_sentence() {
    let (_data, run) = run(&Simulation { seconds: 2, ..Simulation::default() });
    let out = tempfile::tempdir().unwrap();
    fs::write(out.path().join("reports"), "a file").unwrap();
    let analysis = analyze(run.path(), &Options::default()).unwrap();
    let error = analysis.write(&outputs(out.path())).unwrap_err().to_string();
    assert!(error.contains("reports") && error.contains("failed"), "{error}");
    assert!(run.summary().is_file(), "the figures are kept all the same");
}

/// The page of a run whose name is an attack, with failures.
fn page() -> String {
    let name = "<script>alert(1)</script> & \"x\"".to_owned();
    let (_data, run) = run(&Simulation { name, failures: 0.01, users: Some(20), ..Simulation::default() });
    let out = tempfile::tempdir().unwrap();
    let analysis = analyze(run.path(), &Options::default()).unwrap();
    let written = analysis.write(&outputs(out.path())).unwrap();
    fs::read_to_string(written.html).unwrap()
}

#[test]
fn the_page_needs_no_network_and_no_script() {
    let page = page();
    for forbidden in
        ["<script", "<link", "<iframe", "<img", "@import", "url(", "src=", "href=", "javascript:"]
    {
        assert!(!page.contains(forbidden), "the page has {forbidden}");
    }
    assert!(page.contains("&#60;script&#62;alert(1)"), "the run's name is escaped");
}

#[test]
fn code_in_a_finding_is_set_as_code() {
    let targets = vec![PlannedTarget { target: "recall > 0.999".parse().unwrap(), binding: true }];
    let (_data, run) = run(&Simulation { targets, ..Simulation::default() });
    let out = tempfile::tempdir().unwrap();
    let analysis = analyze(run.path(), &Options::default()).unwrap();
    let page = fs::read_to_string(analysis.write(&outputs(out.path())).unwrap().html).unwrap();
    assert!(page.contains("Class <code>common</code>: recall 0.9"), "{page}");
    assert!(!page.contains('`'));
}

#[test]
fn the_page_leads_from_the_verdict_to_the_configuration() {
    let page = page();
    let parts = [
        "<strong>Verdict</strong>",
        "<h2>Targets</h2>",
        "<h2>Validity</h2>",
        "<h2>Summary</h2>",
        "<h2>Figures</h2>",
        "<h2>Failures</h2>",
        "<h2>Configuration</h2>",
    ];
    let places: Vec<usize> = parts.iter().map(|part| page.find(part).expect(part)).collect();
    assert!(places.is_sorted(), "{places:?}");
    assert!(page.contains("server_error") && page.contains("65535"));
    assert!(page.contains("squall run --uri http://10.0.0.5:19530"), "the command repeats the run");
}

#[test]
fn every_figure_says_what_it_shows() {
    let analysis = analysis(&Simulation { failures: 0.01, ..Simulation::default() });
    for kind in FigureKind::ALL {
        for layout in [Layout::WIDE, Layout::NARROW] {
            let svg = svg(kind, &analysis, layout).unwrap();
            assert!(svg.contains(&format!("<title>{}</title>", kind.title())), "{}", kind.stem());
            assert!(svg.contains("role=\"img\" aria-label=\""));
            assert!(svg.matches("<polyline").count() > 1, "{} has lines", kind.stem());
        }
    }
}

/// A run with a ramp of 2 s, a warm-up of 3 s and an outage of 2 s.
fn shaded() -> Analysis {
    let (_data, run) = run(&Simulation { failures: 0.01, ..Simulation::default() });
    let mut record = run.read_record().unwrap();
    record.plan.warm_up = Duration::from_secs(3);
    record.measured = record.plan.measured(None);
    run.write_record(&record).unwrap();
    let mut analysis = analyze(run.path(), &Options::default()).unwrap();
    analysis.summary.outages.push(Outage {
        from_ns: 9_000_000_000,
        to_ns: 11_000_000_000,
        failures: 4,
        outcomes: [("refused".to_owned(), 4)].into(),
    });
    analysis
}

#[test]
fn lines_and_shades_are_named_on_wide_and_narrow_screens() {
    let analysis = shaded();
    for layout in [Layout::WIDE, Layout::NARROW] {
        let holds = |kind: FigureKind, names: &[&str]| {
            let svg = svg(kind, &analysis, layout).unwrap();
            for name in names {
                assert!(svg.contains(&format!(">\n{name}\n</text>")), "{name} in {svg}");
            }
        };
        let shades = ["ramp", "warm-up", "outage"];
        for kind in [
            FigureKind::Rate,
            FigureKind::Times,
            FigureKind::Heat,
            FigureKind::Errors,
            FigureKind::Server,
            FigureKind::Health,
        ] {
            holds(kind, &shades);
        }
        holds(FigureKind::Rate, &["requests due", "answers"]);
        holds(FigureKind::Times, &["P50", "P95", "P99"]);
        holds(FigureKind::Latency, &["common", "filtered", "rare", "all"]);
        holds(FigureKind::Filters, &["P50", "P95", "P99"]);
        holds(FigureKind::Errors, &["timeout", "rejected", "refused", "server_error"]);
        holds(FigureKind::Recall, &["common", "filtered", "rare"]);
        holds(FigureKind::Health, &["whole process", "busiest worker", "lag P99", "in flight", "backlog"]);
    }
    let rate = svg(FigureKind::Rate, &analysis, Layout::WIDE).unwrap();
    let told = "Shaded: ramp from 0 to 2 s, warm-up from 2 to 5 s";
    assert!(rate.contains(told) && rate.contains("outage from 9 to 11 s."), "{rate}");
}

#[test]
fn every_figure_of_the_page_has_its_numbers_as_a_table() {
    let (_data, run) = run(&Simulation { failures: 0.01, ..Simulation::default() });
    let out = tempfile::tempdir().unwrap();
    let analysis = analyze(run.path(), &Options::default()).unwrap();
    let page = fs::read_to_string(analysis.write(&outputs(out.path())).unwrap().html).unwrap();
    let figures: Vec<&str> = page.split("<figure>").skip(1).collect();
    assert_eq!(figures.len(), FigureKind::ALL.len());
    for (kind, figure) in FigureKind::ALL.into_iter().zip(figures) {
        let figure = figure.split_once("</figure>").unwrap().0;
        let title = kind.title().replace('\'', "&#39;");
        assert!(figure.contains(&format!("<strong>{title}</strong>")), "{}", kind.stem());
        // The simulated server has no metrics, which the figure says.
        if kind == FigureKind::Server {
            assert!(figure.contains("Not known: ") && !figure.contains("<svg"), "{figure}");
            continue;
        }
        let (drawn, numbers) = figure.split_once("<details>").unwrap_or_else(|| panic!("{figure}"));
        assert_eq!(drawn.matches("<svg ").count(), 2, "{}", kind.stem());
        assert!(numbers.matches("<td>").count() > 5, "{}: {numbers}", kind.stem());
        assert!(numbers.contains("<caption>"), "{}", kind.stem());
        if kind == FigureKind::Latency {
            let p99 = analysis.summary.totals.response_ms.p99.unwrap();
            let row = numbers.lines().find(|line| line.contains(">99<")).unwrap();
            let cell = row.rsplit("<td>").next().unwrap().split('<').next().unwrap();
            assert!((cell.parse::<f64>().unwrap() - p99).abs() <= 0.005, "{row}");
        }
    }
}

#[test]
fn the_page_knows_dark_and_narrow_screens_and_paper() {
    let page = page();
    for media in [
        "<meta name=\"color-scheme\" content=\"light dark\">",
        "@media screen and (prefers-color-scheme: dark) {",
        "@media (max-width:640px) {",
        "@media print {",
    ] {
        assert!(page.contains(media), "{media}");
    }
    assert_eq!(page.matches("prefers-color-scheme").count(), 1, "paper is not dark, whatever the screen is");
}

#[test]
fn the_page_is_made_by_the_version_that_analyses() {
    let (_data, run) = run(&Simulation { seconds: 3, ..Simulation::default() });
    let mut record = run.read_record().unwrap();
    record.squall_version = "0.0.7-before".into();
    run.write_record(&record).unwrap();
    let out = tempfile::tempdir().unwrap();
    let analysis = analyze(run.path(), &Options::default()).unwrap();
    let page = fs::read_to_string(analysis.write(&outputs(out.path())).unwrap().html).unwrap();
    assert!(page.contains(&format!("<footer>Made by Squall {} ", env!("CARGO_PKG_VERSION"))), "{page}");
    assert!(page.contains("<td class=\"words\">0.0.7-before</td>"), "the run's own is in its configuration");
}

#[test]
fn no_view_holds_what_a_uri_says_of_credentials() {
    let token = "s3cr3t-t0ken";
    let (_data, run) = run(&Simulation { failures: 0.01, users: Some(20), ..Simulation::default() });
    let mut record = run.read_record().unwrap();
    let uri = format!("http://root:{token}@10.0.0.5:19530");
    (record.server.uri, record.plan.server.uri) = (uri.clone(), uri);
    run.write_record(&record).unwrap();

    let out = tempfile::tempdir().unwrap();
    let analysis = analyze(run.path(), &Options::default()).unwrap();
    let written = analysis.write(&outputs(out.path())).unwrap();
    for file in &written.files {
        let bytes = fs::read(file).unwrap();
        assert!(!bytes.windows(token.len()).any(|part| part == token.as_bytes()), "{}", file.display());
    }
    assert!(!text::summary(&analysis).contains(token));
    assert!(!format!("{analysis:?}").contains(token));
    assert!(analysis.summary.run.server.uri.ends_with("//10.0.0.5:19530"));
}

/// The headers of Locust 2.47.0, as it writes them.
const LOCUST_STATS: &str = "Type,Name,Request Count,Failure Count,Median Response Time,Average Response Time,Min Response Time,Max Response Time,Average Content Size,Requests/s,Failures/s,50%,66%,75%,80%,90%,95%,98%,99%,99.9%,99.99%,100%";
const LOCUST_HISTORY: &str = "Timestamp,User Count,Type,Name,Requests/s,Failures/s,50%,66%,75%,80%,90%,95%,98%,99%,99.9%,99.99%,100%,Total Request Count,Total Failure Count,Total Median Response Time,Total Average Response Time,Total Min Response Time,Total Max Response Time,Total Average Content Size";
const LOCUST_FAILURES: &str = "Method,Name,Error,Occurrences,First Seen,Last Seen";
const LOCUST_EXCEPTIONS: &str = "Count,Message,Traceback,Nodes";

#[test]
fn the_tables_are_those_of_locust() {
    let (_data, run) = run(&Simulation { failures: 0.01, users: Some(40), ..Simulation::default() });
    let out = tempfile::tempdir().unwrap();
    let analysis = analyze(run.path(), &Options::default()).unwrap();
    analysis.write(&outputs(out.path())).unwrap();
    let table = |suffix: &str| fs::read_to_string(out.path().join(format!("results_{suffix}.csv"))).unwrap();
    for (suffix, header) in [
        ("stats", LOCUST_STATS),
        ("stats_history", LOCUST_HISTORY),
        ("failures", LOCUST_FAILURES),
        ("exceptions", LOCUST_EXCEPTIONS),
    ] {
        assert_eq!(table(suffix).lines().next(), Some(header), "{suffix}");
    }
    let stats = table("stats");
    let names: Vec<&str> = stats.lines().skip(1).map(|line| line.split(",").nth(1).unwrap()).collect();
    assert_eq!(names, ["common_query", "filtered_query", "rare_query", "Aggregated"]);
    assert!(stats.lines().nth(1).unwrap().starts_with("search,common_query,"));

    let total = &analysis.summary.totals;
    let aggregated: Vec<&str> = stats.lines().last().unwrap().split(',').collect();
    assert_eq!(aggregated[2], total.requests.to_string());
    assert_eq!(aggregated[3], total.failures.to_string());
    assert_eq!(aggregated[11].parse::<f64>().ok(), total.response_ms.p50);
    let history = table("stats_history");
    let last: Vec<&str> = history.lines().last().unwrap().split(',').collect();
    assert_eq!(last[17], aggregated[2], "the history ends with the totals");
    assert_eq!(last[18], aggregated[3]);
    assert_eq!(last[6..17], aggregated[11..22], "and with the percentiles of all");
    assert_eq!(last[1], "40", "users");
    let failed: u64 = table("failures")
        .lines()
        .skip(1)
        .map(|line| line.split(',').nth(3).unwrap().parse::<u64>().unwrap())
        .sum();
    assert_eq!(failed, total.failures);
}

#[test]
fn a_percentile_without_enough_rows_is_not_available() {
    let (_data, run) = run(&Simulation { rate: 4.0, ..Simulation::default() });
    let out = tempfile::tempdir().unwrap();
    analyze(run.path(), &Options::default()).unwrap().write(&outputs(out.path())).unwrap();
    let stats = fs::read_to_string(out.path().join("results_stats.csv")).unwrap();
    let aggregated: Vec<&str> = stats.lines().last().unwrap().split(',').collect();
    assert_eq!(aggregated[18..21], ["N/A"; 3], "99, 99.9 and 99.99%");
}
