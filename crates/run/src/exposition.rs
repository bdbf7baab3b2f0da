//! Prometheus' text format, as far as a scrape needs it: series and their values, line by line.
//!
//! The format: <https://prometheus.io/docs/instrumenting/exposition_formats/>. Comments say nothing
//! that is kept, and a timestamp behind a value is not read, since Milvus writes none.

/// One line with a value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Series<'a> {
    /// The metric.
    pub(crate) metric: &'a str,
    /// Labels in the order of their names.
    pub(crate) labels: Vec<(&'a str, String)>,
    /// The value.
    pub(crate) value: f64,
}

/// The series of a page; lines that are none are left out.
pub(crate) fn read(page: &str) -> impl Iterator<Item = Series<'_>> {
    page.lines().filter_map(series)
}

fn series(line: &str) -> Option<Series<'_>> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let end = line.find(|c: char| c == '{' || c.is_whitespace())?;
    let (metric, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    let value = rest.split_ascii_whitespace().next()?;
    let value = match value {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        number => number.parse().ok()?,
    };
    (!metric.is_empty()).then_some(Series { metric, labels, value })
}

/// Labels up to the closing brace, and what stands behind it.
fn labels(text: &str) -> Option<(Vec<(&str, String)>, &str)> {
    let mut labels = Vec::new();
    let mut rest = text.trim_start();
    loop {
        if let Some(rest) = rest.strip_prefix('}') {
            labels.sort_unstable_by(|a: &(&str, String), b| a.0.cmp(b.0));
            return Some((labels, rest));
        }
        let (name, quoted) = rest.split_once('=')?;
        let (value, behind) = unquoted(quoted.trim_start().strip_prefix('"')?)?;
        labels.push((name.trim(), value));
        rest = behind.trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
}

/// A text up to its closing quote, and what stands behind that.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    loop {
        let (at, character) = characters.next()?;
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match characters.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_page_of_milvus_reads_as_series() {
        let page = "# HELP process_cpu_seconds_total Total time.\n# TYPE process_cpu_seconds_total counter\n\
            process_cpu_seconds_total 12.34\n\
            milvus_proxy_sq_latency_bucket{node_id=\"6\",query_type=\"search\",le=\"+Inf\"} 1.5e+06\n\
            milvus_proxy_req_count{status=\"a\\\"b\\\\c\\nd\", function_name=\"Search\"} 7 1700000000000\n\
            odd +Inf\nodd{} NaN\nbroken{a=\"b} 1\nbroken{a} 1\nbroken x\n\n";
        let all: Vec<Series<'_>> = read(page).collect();
        let texts = |series: &Series<'_>| {
            let labels: Vec<String> =
                series.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
            (series.metric.to_owned(), labels.join(";"), series.value)
        };
        assert_eq!(texts(&all[0]), ("process_cpu_seconds_total".into(), String::new(), 12.34));
        let labels = "le=+Inf;node_id=6;query_type=search".to_owned();
        assert_eq!(texts(&all[1]), ("milvus_proxy_sq_latency_bucket".into(), labels, 1.5e6));
        assert_eq!(
            texts(&all[2]),
            ("milvus_proxy_req_count".into(), "function_name=Search;status=a\"b\\c\nd".into(), 7.0)
        );
        assert_eq!(texts(&all[3]).2, f64::INFINITY);
        assert!(all[4].value.is_nan());
        assert_eq!(all.len(), 5);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            name in "[a-z_]{1,12}",
            labels in prop::collection::btree_map("[a-z_]{1,8}", ".{0,12}", 0..4),
            value in -1e12_f64..1e12,
        ) {
            let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let texts: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", quoted(value))).collect();
            let line = format!("{name}{{{}}} {value}", texts.join(","));
            // A line feed is the only character that ends a line for Prometheus, but not for us.
            prop_assume!(line.lines().count() == 1);
            let read: Vec<Series<'_>> = read(&line).collect();
            prop_assert_eq!(read.len(), 1);
            prop_assert_eq!(read[0].metric, name);
            prop_assert_eq!(read[0].value, value);
            let found: Vec<(String, String)> = read[0].labels.iter().map(|(n, v)| ((*n).to_owned(), v.clone())).collect();
            prop_assert_eq!(found, labels.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn no_page_makes_it_panic(page in ".{0,200}", tail in "[a-z]{1,3}\\{[a-z=\",\\\\ }]{0,20} ?1?") {
            let _ = read(&page).count();
            let _ = read(&tail).count();
        }
    }
}
