//! Counting: from the lines that test programs print to the last line of `cargo xtask test`.

use std::{collections::BTreeSet, fmt};

/// What passed, failed and was skipped so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    passed: u64,
    failed: u64,
    ignored: u64,
    /// Names of failed tests, and failed checks with their first words.
    failures: Vec<String>,
    /// `name: reason` of tests that found a real part missing; libtest counts them as passed.
    skips: BTreeSet<String>,
}

impl Tally {
    /// Takes in a line of a test program's output.
    pub(super) fn read(&mut self, line: &str) {
        if let Some(counts) = Counts::read(line) {
            self.passed += counts.passed;
            self.failed += counts.failed;
            self.ignored += counts.ignored;
        } else if let Some(name) = failed_test(line) {
            self.failures.push(name.to_owned());
        }
    }

    /// Takes in the file that skipping tests wrote: a line `name: reason` each.
    pub(super) fn read_skips(&mut self, file: &str) {
        // A test may append the line as it prints it.
        let lines = file.lines().map(|line| line.trim().trim_start_matches("SKIPPED ").to_owned());
        self.skips.extend(lines.filter(|line| !line.is_empty()));
    }

    /// Counts a check that passed.
    pub(super) fn check_passed(&mut self) {
        self.passed += 1;
    }

    /// Counts a check that failed.
    pub(super) fn check_failed(&mut self, name: &str, error: &anyhow::Error) {
        self.failed += 1;
        let words = error.to_string();
        self.failures.push(format!("{name}: {}", words.lines().next().unwrap_or_default()));
    }

    /// Tests and checks that failed.
    pub(super) fn failed(&self) -> u64 {
        self.failed
    }

    /// Tests named in a skip line, each once, whatever number of reasons it gave.
    fn skipped_tests(&self) -> u64 {
        let names: BTreeSet<&str> = self
            .skips
            .iter()
            .map(|skip| skip.split_once(": ").map_or(skip.as_str(), |(name, _)| name))
            .collect();
        names.len() as u64
    }
}

/// The closing report, whose last line is the counts.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for skip in &self.skips {
            writeln!(f, "skipped  {skip}")?;
        }
        for failure in &self.failures {
            writeln!(f, "FAILED   {failure}")?;
        }
        let skipped = self.skipped_tests();
        let passed = self.passed.saturating_sub(skipped);
        writeln!(f, "{passed} passed, {} failed, {} skipped", self.failed, skipped + self.ignored)
    }
}

/// The counts of one `test result:` line.
#[derive(Debug, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Counts {
    /// Reads `test result: ok. 12 passed; 0 failed; 1 ignored; …`, as libtest prints it.
    fn read(line: &str) -> Option<Self> {
        let (_, counts) = line.trim().strip_prefix("test result: ")?.split_once(". ")?;
        let count = |word: &str| {
            let part = counts.split("; ").find(|part| part.ends_with(word))?;
            part.split(' ').next()?.parse().ok()
        };
        Some(Self { passed: count(" passed")?, failed: count(" failed")?, ignored: count(" ignored")? })
    }
}

/// The name in `test <name> ... FAILED`.
fn failed_test(line: &str) -> Option<&str> {
    line.trim().strip_prefix("test ")?.strip_suffix(" ... FAILED")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last_line(tally: &Tally) -> String {
        tally.to_string().lines().next_back().unwrap().to_owned()
    }

    #[test]
    fn result_lines_add_up() {
        let mut tally = Tally::default();
        let output = "
running 3 tests
test a::works ... ok
test a::fails ... FAILED
test b::waits ... ignored
test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out; finished in 1.20s
";
        output.lines().for_each(|line| tally.read(line));
        assert_eq!(last_line(&tally), "13 passed, 1 failed, 1 skipped");
        assert_eq!(tally.failures, ["a::fails"]);
    }

    #[test]
    fn a_test_that_skips_itself_did_not_pass() {
        let mut tally = Tally::default();
        tally.read("test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
        tally.read_skips("real::search: no server\nreal::insert: no server\nreal::search: no python\n\n");
        assert_eq!(last_line(&tally), "3 passed, 0 failed, 2 skipped");
        assert!(tally.to_string().contains("skipped  real::search: no python\n"));
    }

    #[test]
    fn checks_count_like_tests() {
        let mut tally = Tally::default();
        tally.check_passed();
        tally.check_failed("rustdoc", &anyhow::anyhow!("one\ntwo"));
        assert_eq!(tally.to_string(), "FAILED   rustdoc: one\n1 passed, 1 failed, 0 skipped\n");
    }

    #[test]
    fn other_lines_count_nothing() {
        for line in ["test result: what", "test x ... ok", "test result: ok. x passed; 0 failed", ""] {
            assert_eq!(Counts::read(line), None, "{line}");
            assert_eq!(failed_test(line), None, "{line}");
        }
    }
}
