//! Writing a comparison: JSON, Markdown, the page and its figures.

use std::fs;
use std::path::{Path, PathBuf};

use squall_core::run_dir::write_json;

use super::{Comparison, figures, page, views};
use crate::error::AnalyzeError;
use crate::figure::Layout;
use crate::outputs::write_text;

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComparisonFiles {
    /// The page.
    pub html: PathBuf,
    /// Every file.
    pub files: Vec<PathBuf>,
}

impl Comparison {
    /// Writes `<reports>/<new>-against-<base>/`, each side by its first run and the number of the others:
    /// `comparison.html`, `.json` and `.md`, a PNG and an SVG of each figure; and the Markdown once more to
    /// `markdown`, where one is named.
    ///
    /// # Errors
    /// When a file cannot be written or a figure not drawn.
    pub fn write(&self, reports: &Path, markdown: Option<&Path>) -> Result<ComparisonFiles, AnalyzeError> {
        let name = |side: &super::Side| match side.runs.as_slice() {
            [] => String::new(),
            [run] => file_name(&run.id),
            [first, others @ ..] => format!("{}-and-{}-more", file_name(&first.id), others.len()),
        };
        let directory = reports.join(format!("{}-against-{}", name(&self.new), name(&self.base)));
        fs::create_dir_all(&directory)
            .map_err(|source| AnalyzeError::Write { path: directory.clone(), source })?;
        let json = directory.join("comparison.json");
        write_json(&json, self)?;
        let mut files = vec![json];
        for drawing in figures::all(self, Layout::WIDE) {
            let png = directory.join(format!("{}.png", drawing.stem));
            drawing.write_png(&png)?;
            let svg = directory.join(format!("{}.svg", drawing.stem));
            write_text(&svg, &drawing.svg()?)?;
            files.extend([png, svg]);
        }
        let text = views::markdown(self);
        let beside = directory.join("comparison.md");
        for path in [Some(beside.as_path()), markdown].into_iter().flatten() {
            write_text(path, &text)?;
            files.push(path.to_owned());
        }
        let html = directory.join("comparison.html");
        write_text(&html, &page::render(self)?)?;
        files.push(html.clone());
        Ok(ComparisonFiles { html, files })
    }
}

/// A run's id as part of a directory's name: what no file system minds.
fn file_name(id: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    id.chars().take(80).map(plain).collect()
}
