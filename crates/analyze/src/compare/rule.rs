//! What makes a difference a failure: `p99(common) > 5%`.
//!
//! Grammar: `figure [ "(" class ")" ] ( ">" | ">=" | "<" | "<=" ) [ "+" | "-" ] number "%"`, the figures
//! being those that are compared. Of `error_rate` and `recall` the number is percentage points.

use std::str::FromStr;

use serde::Serialize;
use squall_core::target::Comparison;

use super::observed::TOTAL;
use crate::statistics::{ComparedGroup, Quantity};

/// A bound on a difference.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    text: String,
    quantity: Quantity,
    class: Option<String>,
    /// Which differences are beyond the bound.
    comparison: Comparison,
    percent: f64,
}

/// Why a text is not a rule.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a bound on a difference: {why}; write it like `p99(common) > 5%` or `qps < -5%`")]
pub struct RuleError {
    text: String,
    why: String,
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let failed = |why: &str| RuleError { text: text.to_owned(), why: why.to_owned() };
        let at = text.find(['<', '>']).ok_or_else(|| failed("it has no < or >"))?;
        let (left, right) = (text[..at].trim(), &text[at..]);
        // The longer signs first: each begins with a shorter one.
        let signs = [Comparison::AtLeast, Comparison::AtMost, Comparison::Above, Comparison::Below];
        let comparison = signs.into_iter().find(|comparison| right.starts_with(comparison.sign()));
        let comparison = comparison.ok_or_else(|| failed("it has no < or >"))?;
        let right = right[comparison.sign().len()..].trim();
        let (name, class) = match left.split_once('(') {
            None => (left, None),
            Some((name, rest)) => {
                let class = rest.strip_suffix(')').map(str::trim).filter(|class| !class.is_empty());
                (name.trim(), Some(class.ok_or_else(|| failed("its parentheses name no class"))?.to_owned()))
            }
        };
        let quantity =
            Quantity::ALL.into_iter().find(|quantity| quantity.name() == name).ok_or_else(|| {
                let known = Quantity::ALL.map(Quantity::name).join(", ");
                failed(&format!("`{name}` is not compared; known are {known}"))
            })?;
        let number = right.strip_suffix('%').ok_or_else(|| failed("its bound is not in per cent"))?;
        let percent: f64 = number.trim().parse().map_err(|_| failed("its bound is not a number"))?;
        if !percent.is_finite() {
            return Err(failed("its bound is not a number"));
        }
        Ok(Self { text: text.trim().to_owned(), quantity, class, comparison, percent })
    }
}

/// What a rule comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleOutcome {
    /// There is no difference beyond the bound that is not chance.
    Held,
    /// There is one.
    Broken,
    /// The rows do not say.
    Unknown,
}

/// A rule held against a comparison.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuleResult {
    /// The rule.
    pub rule: String,
    /// The difference that was found, in per cent or points; null where it is not known.
    pub change: Option<f64>,
    /// What it comes to.
    pub outcome: RuleOutcome,
    /// Whether it fails the comparison: it is broken, or it cannot be known though the base has the figure.
    pub broken: bool,
    /// Whether only failed requests break it, each of which counts as infinitely late.
    pub by_failures: bool,
}

impl RuleResult {
    /// How it reads beside its rule.
    pub(super) fn words(&self) -> &'static str {
        match (self.outcome, self.broken) {
            (RuleOutcome::Held, _) => "held",
            (RuleOutcome::Broken, _) if self.by_failures => {
                "broken by failed requests, each of which counts as infinitely late"
            }
            (RuleOutcome::Broken, _) => "broken",
            (RuleOutcome::Unknown, true) => {
                "not known, which counts as broken: the base has the figure, and the rows do not say how it changed"
            }
            (RuleOutcome::Unknown, false) => "not known: the base does not have the figure",
        }
    }
}

impl Rule {
    /// A difference breaks a rule when it is beyond the bound and not by chance. A figure that the base
    /// has and that is then lost breaks it, too: nobody shall be told that all is well. Of a response time
    /// that is also so where failed requests, each infinitely late, make the difference.
    pub(super) fn hold(&self, groups: &[ComparedGroup]) -> RuleResult {
        let name = self.class.as_deref().unwrap_or(TOTAL);
        let group = groups.iter().find(|group| group.name == name);
        let found = group.and_then(|group| group.figures.iter().find(|found| found.figure == self.quantity));
        let change = found.and_then(|found| found.change);
        let beyond = |change: f64| self.comparison.holds(change, self.percent);
        let of_answered = change.is_some_and(beyond) && found.is_some_and(|found| found.discovered);
        let with_failures = found.and_then(|found| found.with_failures).is_some_and(|all| {
            all.lost && beyond(f64::INFINITY) || all.discovered && all.change.is_some_and(beyond)
        });
        let outcome = match change {
            None => RuleOutcome::Unknown,
            Some(_) if of_answered || with_failures => RuleOutcome::Broken,
            Some(_) => RuleOutcome::Held,
        };
        let broken = match outcome {
            RuleOutcome::Held => false,
            RuleOutcome::Broken => true,
            RuleOutcome::Unknown => found.is_some_and(|found| found.base.is_some()),
        };
        let by_failures = outcome == RuleOutcome::Broken && !of_answered;
        RuleResult { rule: self.text.clone(), change, outcome, broken, by_failures }
    }

    /// The class that it names.
    pub fn class(&self) -> Option<&str> {
        self.class.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_read_like_targets() {
        let rule: Rule = "p99( common ) > 5%".parse().unwrap();
        assert_eq!((rule.quantity, rule.class()), (Quantity::P99, Some("common")));
        let fall: Rule = "qps<-2.5 %".parse().unwrap();
        assert!((fall.percent + 2.5).abs() < 1e-12);
        for (text, comparison, percent) in [
            ("p99 > 5%", Comparison::Above, 5.0),
            ("p99 >= 5%", Comparison::AtLeast, 5.0),
            ("p99>=+5%", Comparison::AtLeast, 5.0),
            ("qps < -3%", Comparison::Below, -3.0),
            ("qps<=-3%", Comparison::AtMost, -3.0),
        ] {
            let rule: Rule = text.parse().unwrap();
            assert_eq!((rule.comparison, rule.percent), (comparison, percent), "{text}");
        }
        for (text, part) in [
            ("p99 5%", "no < or >"),
            ("p98 > 5%", "`p98` is not compared"),
            ("p99 > 5", "per cent"),
            ("p99 > five%", "not a number"),
            ("p99() > 5%", "parentheses"),
            ("p99 > NaN%", "not a number"),
            ("p99 => 5%", "`p99 =` is not compared"),
            ("p99 >", "per cent"),
        ] {
            let error = text.parse::<Rule>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
