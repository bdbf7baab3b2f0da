//! Text, page, figures and tables.

use std::fs;
use std::path::Path;

use squall_analyze::{FigureKind, Layout, Options, Outputs, analyze, svg, text};
use squall_core::summary::Summary;
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
    for name in ["rate", "latency", "errors", "generator"] {
        let png = fs::read(written.report.join(format!("{name}.png"))).unwrap();
        assert_eq!(png[..8], *b"\x89PNG\r\n\x1a\n");
        let width = u32::from_be_bytes(png[16..20].try_into().unwrap());
        assert_eq!(width, 1_600);
        assert!(written.report.join(format!("{name}.svg")).is_file());
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
