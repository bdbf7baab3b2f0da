//! Writing what was made: the summary beside the rows, and the report.

use std::path::PathBuf;

use squall_core::run_dir::write_json;

use crate::analysis::Analysis;
use crate::error::AnalyzeError;

/// Where to write.
#[derive(Clone, Debug)]
pub struct Outputs {
    /// The directory of all reports; this one's is `<reports>/<run directory's name>/`.
    pub reports: PathBuf,
    /// Prefix of Locust's four CSV files; `None`: none are written.
    pub csv: Option<PathBuf>,
    /// Where to put a copy of the page; `None`: nowhere.
    pub html: Option<PathBuf>,
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The report's directory.
    pub report: PathBuf,
    /// Every file, in the order of writing.
    pub files: Vec<PathBuf>,
}

impl Analysis {
    /// Writes `summary.json` into the run directory and the report.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, outputs: &Outputs) -> Result<Written, AnalyzeError> {
        let report = outputs.reports.join(self.run.name());
        let mut written = Written { report: report.clone(), files: Vec::new() };
        std::fs::create_dir_all(&report)
            .map_err(|source| AnalyzeError::Write { path: report.clone(), source })?;
        for path in [self.run.summary(), report.join("summary.json")] {
            write_json(&path, &self.summary)?;
            written.files.push(path);
        }
        Ok(written)
    }
}
