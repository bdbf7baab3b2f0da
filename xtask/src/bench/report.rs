//! What a bench found: a table to read and a JSON file to keep.

use std::{fs, path::Path, process::ExitCode};

use anyhow::Context;
use serde::Serialize;

use super::{
    bar::{Bar, figure},
    spread::Spread,
};

/// A figure that was measured, beside the bars.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    name: String,
    unit: &'static str,
    #[serde(flatten)]
    spread: Spread,
}

/// The machine, as far as it matters for what was measured.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    /// Cores that everything ran on, servers too.
    pub(super) cores: Vec<usize>,
    pub(super) load_before: Option<f64>,
    load_after: Option<f64>,
}

impl Machine {
    pub(super) fn new(cores: Vec<usize>) -> Self {
        Self { cores, load_before: load(), load_after: None }
    }
}

/// What a bench found.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    bench: &'static str,
    machine: Machine,
    rows: Vec<Row>,
    bars: Vec<Bar>,
    /// What was not measured, and why.
    missing: Vec<String>,
    /// What cannot be judged on this machine, and why.
    notes: Vec<String>,
}

/// A part of a bench: its name on the command line, its title, and what measures it and puts its figures in
/// the report.
pub(super) type Part<P, B> = (P, &'static str, fn(&B, &mut Report) -> anyhow::Result<()>);

impl Report {
    /// Measures the parts that `only` names, all where it names none, and closes the report; the exit code
    /// tells whether every bar was met.
    pub(super) fn measure<P: PartialEq, B>(
        mut self,
        bench: &B,
        parts: &[Part<P, B>],
        only: &[P],
        json: &Path,
    ) -> anyhow::Result<ExitCode> {
        for (part, name, measure) in parts {
            if only.is_empty() || only.contains(part) {
                println!("\n==> {name}");
                if let Err(error) = measure(bench, &mut self) {
                    self.missing(name, &error);
                }
            }
        }
        self.close(json)?;
        Ok(if self.is_met() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    pub(super) fn new(bench: &'static str, machine: Machine) -> Self {
        Self { bench, machine, rows: Vec::new(), bars: Vec::new(), missing: Vec::new(), notes: Vec::new() }
    }

    pub(super) fn row(&mut self, name: impl Into<String>, unit: &'static str, spread: &Spread) {
        self.rows.push(Row { name: name.into(), unit, spread: spread.clone() });
    }

    pub(super) fn bar(&mut self, bar: Bar) {
        println!("{bar}");
        self.bars.push(bar);
    }

    pub(super) fn note(&mut self, line: String) {
        println!("- {line}");
        self.notes.push(line);
    }

    pub(super) fn missing(&mut self, what: &str, why: &anyhow::Error) {
        let line = format!("{what}: {why:#}");
        println!("✗ not measured: {line}");
        self.missing.push(line);
    }

    /// Whether all was measured and every bar met.
    pub(super) fn is_met(&self) -> bool {
        self.missing.is_empty() && self.bars.iter().all(|bar| bar.met)
    }

    /// Prints the table and writes the file.
    pub(super) fn close(&mut self, json: &Path) -> anyhow::Result<()> {
        self.machine.load_after = load();
        print!("{self}");
        let text = serde_json::to_string_pretty(self)?;
        fs::write(json, text).with_context(|| format!("failed to write {}", json.display()))?;
        println!("written to {}", json.display());
        Ok(())
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let width = self.rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
        writeln!(f, "\n{:width$}  {:>10}           spread", "measured", "median")?;
        for Row { name, unit, spread } in &self.rows {
            let percent = spread.spread * 100.0;
            writeln!(
                f,
                "{name:width$}  {:>10} {unit:<9} {percent:>4.0} % of {}",
                figure(spread.median),
                spread.values.len()
            )?;
        }
        let load = |load: Option<f64>| load.map_or_else(|| "unknown".to_owned(), |load| format!("{load:.1}"));
        let noise = self.rows.iter().map(|row| row.spread.spread).fold(0.0, f64::max) * 100.0;
        writeln!(
            f,
            "machine: cores {:?}; load average {} before, {} after; largest spread {noise:.0} %\n",
            self.machine.cores,
            load(self.machine.load_before),
            load(self.machine.load_after),
        )?;
        self.bars.iter().try_for_each(|bar| writeln!(f, "{bar}"))?;
        self.notes.iter().try_for_each(|line| writeln!(f, "- {line}"))?;
        self.missing.iter().try_for_each(|line| writeln!(f, "✗ not measured: {line}"))
    }
}

/// Processes that ran or wanted to, over the last minute.
fn load() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}
