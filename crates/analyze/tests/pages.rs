//! The pages as a browser shows them, on wide and narrow, light and dark screens.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use squall_analyze::trend::{TrendOptions, trend};
use squall_analyze::{CompareOptions, Options, Outputs, analyze, compare_runs, write_find_max};
use squall_core::find_max::{FIND_MAX_SCHEMA_VERSION, FindMax, Found, Step};
use tempfile::TempDir;

use crate::python::skipped;
use crate::simulate::{Simulation, make, reference_targets};

/// Widths of a desktop's and of a telephone's screen.
const WIDTHS: [u32; 2] = [1_280, 400];

/// Chromium, and a page of each kind.
struct Shown {
    chromium: String,
    directory: TempDir,
    pages: Vec<PathBuf>,
}

impl Shown {
    /// `None`, which is said, where there is no Chromium.
    fn new(test: &str) -> Option<Self> {
        const VARIABLE: &str = "SQUALL_TEST_CHROMIUM";
        let Ok(chromium) = std::env::var(VARIABLE) else {
            let missing = std::env::var(format!("{VARIABLE}_MISSING"));
            skipped(test, &missing.unwrap_or_else(|_| format!("{VARIABLE} is not set")));
            return None;
        };
        let directory = tempfile::tempdir().unwrap();
        let pages = pages(directory.path());
        Some(Self { chromium, directory, pages })
    }

    /// Chromium without a window or a network, with a profile of its own.
    fn chromium(&self, width: u32) -> Command {
        let profile = tempfile::Builder::new().prefix("profile").tempdir_in(self.directory.path());
        let mut command = Command::new(&self.chromium);
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
        ]);
        command.arg(format!("--user-data-dir={}", profile.unwrap().keep().display()));
        command.arg(format!("--window-size={width},1600"));
        command
    }

    /// What a script finds on a page at each of [`WIDTHS`].
    fn measured(&self, page: &Path) -> Vec<Value> {
        let frames = WIDTHS.map(|width| {
            let address = file_address(page);
            format!("<iframe src=\"{address}\" style=\"width:{width}px;height:1600px;border:0\"></iframe>")
        });
        let wrapper = self.directory.path().join("measure.html");
        let text = format!(
            "<!doctype html><meta charset=\"utf-8\"><pre></pre>{}<script>{MEASURE}</script>",
            frames.join("")
        );
        fs::write(&wrapper, text).unwrap();
        let mut chromium = self.chromium(1_400);
        chromium.args(["--allow-file-access-from-files", "--dump-dom"]).arg(file_address(&wrapper));
        let output = chromium.output().expect("Chromium starts");
        let document = String::from_utf8(output.stdout).unwrap();
        let found = document.split_once("<pre>").and_then(|(_, rest)| rest.split_once("</pre>"));
        let found = found.unwrap_or_else(|| panic!("{document}{}", String::from_utf8_lossy(&output.stderr)));
        let found = found.0.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
        serde_json::from_str(&found).unwrap_or_else(|error| panic!("{error}: {found}"))
    }

    /// Mean brightness of a page's screenshot, from 0 (black) to 1.
    fn brightness(&self, page: &Path, width: u32, dark: bool) -> f64 {
        let picture = self.directory.path().join("screenshot.png");
        let mut chromium = self.chromium(width);
        // Blink counts dark as 0 and light as 1.
        chromium.arg(format!("--blink-settings=preferredColorScheme={}", u8::from(!dark)));
        chromium.arg(format!("--screenshot={}", picture.display())).arg(file_address(page));
        let output = chromium.output().expect("Chromium starts");
        let file = fs::File::open(&picture)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        let mut reader = png::Decoder::new(file).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size()];
        let shown = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((shown.width, shown.bit_depth), (width, png::BitDepth::Eight));
        let samples = shown.color_type.samples();
        let colors = pixels.chunks_exact(samples).map(|pixel| &pixel[..samples.min(3)]);
        let sum: u64 = colors.clone().flatten().map(|part| u64::from(*part)).sum();
        let count = colors.flatten().count();
        fs::remove_file(&picture).unwrap();
        sum as f64 / count as f64 / 255.0
    }
}

fn file_address(path: &Path) -> String {
    format!("file://{}", path.display())
}

/// What does not fit: the page, a table that is not folded away, text of a drawing that is cut off or
/// lies over other text.
const MEASURE: &str = r#"
onload = () => {
  const found = [...document.querySelectorAll("iframe")].map(frame => {
    const page = frame.contentDocument, root = page.documentElement;
    const seen = [...page.querySelectorAll("svg")].filter(svg => svg.getClientRects().length > 0);
    const wide = [...page.querySelectorAll(".sheet")].filter(sheet => !sheet.closest("details"))
      .filter(sheet => sheet.scrollWidth > sheet.clientWidth + 1)
      .map(sheet => sheet.innerText.slice(0, 60));
    const cut = [], over = [];
    let texts = 0;
    for (const svg of seen) {
      const boxes = [...svg.querySelectorAll("text")].map(text => [text.textContent.trim(), text.getBBox()]);
      const { width, height } = svg.viewBox.baseVal;
      texts += boxes.length;
      boxes.forEach(([name, box], at) => {
        if (box.x < 0 || box.y < 0 || box.x + box.width > width || box.y + box.height > height) cut.push(name);
        for (const [other, its] of boxes.slice(at + 1)) {
          const across = Math.min(box.x + box.width, its.x + its.width) - Math.max(box.x, its.x);
          const down = Math.min(box.y + box.height, its.y + its.height) - Math.max(box.y, its.y);
          if (across > 1 && down > 3) over.push(`${name} / ${other}`);
        }
      });
    }
    return { screen: root.clientWidth, page: root.scrollWidth, figures: seen.length, texts, wide, cut, over };
  });
  document.querySelector("pre").textContent = JSON.stringify(found);
};
"#;

/// A page at which everything is wrong that [`MEASURE`] looks for.
const UNFIT: &str = r#"<!doctype html><div style="width:1300px">wide</div>
<div class="sheet" style="width:200px;overflow-x:auto"><div style="width:300px">a table</div></div>
<svg viewBox="0 0 200 100" width="200"><text x="150" y="50">cut off here</text><text x="152" y="52">over</text></svg>"#;

/// A report, a comparison, a history and a search, as full as they come.
fn pages(directory: &Path) -> Vec<PathBuf> {
    let (data, reports) = (directory.join("data"), directory.join("reports"));
    let simulation = Simulation {
        name: "a-name-as-long-as-only-a-pipeline-makes-it-nightly-main-2026-05-01-0412".into(),
        seconds: 60,
        ramp_s: 10,
        failures: 0.01,
        stall_at_s: 30.0,
        stall_for_s: 1.5,
        targets: reference_targets(true),
        ..Simulation::default()
    };
    let slower = Simulation {
        name: "after".into(),
        seed: 2,
        median_ms: 9.5,
        failures: 0.0,
        stall_for_s: 0.0,
        ..simulation.clone()
    };
    let runs = [&simulation, &slower].map(|simulation| make(&data, simulation).unwrap().path().to_owned());
    let analysis = analyze(&runs[0], &Options::default()).unwrap();
    let report = analysis.write(&Outputs { reports: reports.clone(), ..Outputs::default() }).unwrap().html;
    let [base, new] = runs.map(|run| vec![run]);
    let comparison = compare_runs(&base, &new, &CompareOptions::default()).unwrap();
    let comparison = comparison.write(&reports, None).unwrap().html;
    let history = Simulation { name: "nightly".into(), seconds: 5, ..Simulation::default() };
    let history = crate::history::make(&directory.join("history"), &history, 40).unwrap();
    let history = trend(&history, &reports, &TrendOptions::default()).unwrap();
    let history = history.write(&reports).unwrap().html;
    vec![report, comparison, history, write_find_max(&search(), &reports, "find-max").unwrap()]
}

fn search() -> FindMax {
    let rates = [100.0, 200.0, 400.0, 800.0, 600.0, 500.0, 450.0, 475.0, 475.0];
    let steps = rates.into_iter().enumerate().map(|(at, rate)| {
        let passed = rate <= 475.0;
        let p99 = 20.0 + 40.0 / (1.0 - f64::min(rate / 500.0, 0.99));
        Step {
            rate,
            run: format!("data/runs/20260501T12{at:02}00Z-nightly-step-{at}").into(),
            confirms: at + 1 == rates.len(),
            passed,
            reason: (!passed).then(|| format!("p99 was {p99:.2}ms")),
            value: Some(p99),
            achieved: rate.min(510.0),
            p50_ms: Some(p99 / 4.0),
            p95_ms: Some(p99 / 1.5),
            p99_ms: Some(p99),
        }
    });
    FindMax {
        schema_version: FIND_MAX_SCHEMA_VERSION,
        target: "p99 < 1s".parse().unwrap(),
        found: Found::Knee,
        highest_passed: Some(475.0),
        lowest_failed: Some(500.0),
        error: None,
        steps: steps.collect(),
    }
}

#[test]
fn pages_fit_the_screens_that_they_are_read_on() {
    let Some(shown) = Shown::new("pages_fit_the_screens_that_they_are_read_on") else { return };
    for page in &shown.pages {
        let found = shown.measured(page);
        assert_eq!(found.len(), WIDTHS.len());
        for (found, width) in found.iter().zip(WIDTHS) {
            let name = page.file_name().unwrap().display();
            assert_eq!(found["screen"], width, "{name}");
            assert_eq!(found["page"], width, "{name} is as wide as the screen of {width} px: {found}");
            assert!(found["figures"].as_u64() > Some(0) && found["texts"].as_u64() > Some(10), "{found}");
            for fault in ["wide", "cut", "over"] {
                assert_eq!(found[fault].as_array().map(Vec::len), Some(0), "{name} at {width} px: {found}");
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_seen() {
    let Some(shown) = Shown::new("what_does_not_fit_is_seen") else { return };
    let page = shown.directory.path().join("unfit.html");
    fs::write(&page, UNFIT).unwrap();
    for (found, width) in shown.measured(&page).iter().zip(WIDTHS) {
        assert!(found["page"].as_u64() > Some(u64::from(width)), "{found}");
        let faults = ["wide", "cut", "over"].map(|fault| found[fault].as_array().map_or(0, Vec::len));
        assert_eq!(faults, [1, 1, 1], "{found}");
    }
}

#[test]
fn pages_are_dark_on_dark_screens_and_light_on_light_ones() {
    let Some(shown) = Shown::new("pages_are_dark_on_dark_screens_and_light_on_light_ones") else { return };
    for page in &shown.pages {
        for width in WIDTHS {
            let name = page.file_name().unwrap().display();
            let (light, dark) = (shown.brightness(page, width, false), shown.brightness(page, width, true));
            assert!(light > 0.85, "{name} at {width} px: {light}");
            assert!(dark < 0.25, "{name} at {width} px: {dark}");
        }
    }
}
