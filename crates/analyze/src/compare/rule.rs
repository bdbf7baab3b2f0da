//! What makes a difference a failure: `p99(common) > 5%`.
//!
//! Grammar: `figure [ "(" class ")" ] ( ">" | "<" ) [ "+" | "-" ] number "%"`, the figures being those
//! that are compared. Of `error_rate` and `recall` the number is percentage points.

use std::str::FromStr;

use serde::Serialize;

use super::observed::TOTAL;
use crate::statistics::{ComparedGroup, Quantity};

/// A bound on a difference.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    text: String,
    quantity: Quantity,
    class: Option<String>,
    /// Whether it is broken above the bound; else below.
    above: bool,
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
        let (left, right) = (text[..at].trim(), text[at + 1..].trim());
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
        Ok(Self {
            text: text.trim().to_owned(),
            quantity,
            class,
            above: text[at..].starts_with('>'),
            percent,
        })
    }
}

/// A rule held against a comparison.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuleResult {
    /// The rule.
    pub rule: String,
    /// The difference that was found, in per cent or points; null where it is not known.
    pub change: Option<f64>,
    /// Whether it is broken: the difference is beyond the bound, and it is one.
    pub broken: bool,
}

impl Rule {
    /// A difference breaks a rule when it is beyond the bound and not by chance.
    pub(super) fn hold(&self, groups: &[ComparedGroup]) -> RuleResult {
        let name = self.class.as_deref().unwrap_or(TOTAL);
        let group = groups.iter().find(|group| group.name == name);
        let found = group.and_then(|group| group.figures.iter().find(|found| found.figure == self.quantity));
        let change = found.and_then(|found| found.change);
        let beyond = change
            .is_some_and(|change| if self.above { change > self.percent } else { change < self.percent });
        let broken = beyond && found.is_some_and(|found| found.discovered);
        RuleResult { rule: self.text.clone(), change, broken }
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
        assert_eq!((rule.quantity, rule.class(), rule.above), (Quantity::P99, Some("common"), true));
        let fall: Rule = "qps<-2.5 %".parse().unwrap();
        assert!(!fall.above && (fall.percent + 2.5).abs() < 1e-12);
        for (text, part) in [
            ("p99 5%", "no < or >"),
            ("p98 > 5%", "`p98` is not compared"),
            ("p99 > 5", "per cent"),
            ("p99 > five%", "not a number"),
            ("p99() > 5%", "parentheses"),
            ("p99 > NaN%", "not a number"),
        ] {
            let error = text.parse::<Rule>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
