//! Writing what was made: the summary beside the rows, and the report.

use std::fs;
use std::path::{Path, PathBuf};

use squall_core::run_dir::write_json;

use crate::analysis::Analysis;
use crate::compare::Comparison;
use crate::error::AnalyzeError;
use crate::figure::{self, FigureKind, Layout};
use crate::{junit, locust, markdown, page};

/// Where to write.
#[derive(Clone, Debug, Default)]
pub struct Outputs {
    /// The directory of all reports; this one's is `<reports>/<run directory's name>/`.
    pub reports: PathBuf,
    /// Prefix of Locust's four CSV files; `None`: none are written.
    pub csv: Option<PathBuf>,
    /// Where to put a copy of the page; `None`: nowhere.
    pub html: Option<PathBuf>,
    /// Where to write the targets as JUnit's test cases; `None`: nowhere.
    pub junit: Option<PathBuf>,
    /// Where to write the verdict as Markdown; `None`: nowhere.
    pub markdown: Option<PathBuf>,
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The report's directory.
    pub report: PathBuf,
    /// The page in it.
    pub html: PathBuf,
    /// Every file, in the order of writing.
    pub files: Vec<PathBuf>,
}

impl Analysis {
    /// Writes `summary.json` into the run directory, the report (`report.html`, a PNG and an SVG of
    /// each figure, `summary.json`), and what else is asked for. Joined shards keep the summaries that
    /// they have: the run's is in the report.
    ///
    /// # Errors
    /// When a file cannot be written or a figure not drawn.
    pub fn write(&self, outputs: &Outputs) -> Result<Written, AnalyzeError> {
        let report = outputs.reports.join(self.name());
        let html = report.join("report.html");
        // The summary beside the rows comes first: it is what other programs wait for.
        let mut files = Vec::new();
        if self.shards.is_empty() {
            write_json(&self.run.summary(), &self.summary)?;
            files.push(self.run.summary());
        }

        fs::create_dir_all(&report).map_err(|source| AnalyzeError::Write { path: report.clone(), source })?;
        let summary = report.join("summary.json");
        write_json(&summary, &self.summary)?;
        files.push(summary);
        for kind in FigureKind::ALL {
            let png = report.join(format!("{}.png", kind.stem()));
            figure::write_png(kind, self, &png)?;
            let svg = report.join(format!("{}.svg", kind.stem()));
            write_text(&svg, &figure::svg(kind, self, Layout::WIDE)?)?;
            files.extend([png, svg]);
        }
        let page = page::render(self)?;
        for path in [Some(&html), outputs.html.as_ref()].into_iter().flatten() {
            write_text(path, &page)?;
            files.push(path.clone());
        }
        if let Some(prefix) = &outputs.csv {
            files.extend(locust::write(self, prefix)?);
        }
        if let Some(path) = &outputs.junit {
            write_text(path, &junit::render(self)?)?;
            files.push(path.clone());
        }
        if let Some(path) = &outputs.markdown {
            write_text(path, &markdown::render(self))?;
            files.push(path.clone());
        }
        Ok(Written { report, html, files })
    }
}

/// Writes the Markdown of a run anew, with the comparison that ended it.
///
/// # Errors
/// When the file cannot be written.
pub fn write_markdown(path: &Path, analysis: &Analysis, comparison: &Comparison) -> Result<(), AnalyzeError> {
    write_text(path, &markdown::with_comparison(analysis, comparison))
}

/// Writes a text, making its directory where there is none.
pub(crate) fn write_text(path: &Path, text: &str) -> Result<(), AnalyzeError> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let made = parent.map_or(Ok(()), fs::create_dir_all);
    made.and_then(|()| fs::write(path, text))
        .map_err(|source| AnalyzeError::Write { path: path.to_owned(), source })
}
