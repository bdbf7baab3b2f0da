//! An index, between Squall's words and the several forms in which servers tell it.

use squall_core::schema::{IndexSpec, Metric};

use super::description::plain;
use crate::encode::pair;
use squall_proto::milvus::KeyValue;

/// What servers put among an index's parameters without its being one.
const NOT_PARAMETERS: [&str; 8] = [
    "index_type",
    "metric_type",
    "params",
    "dim",
    "mmap.enabled",
    "index_version",
    "min_index_version",
    "max_index_version",
];

/// The build parameters as JSON; what reads as a number is one.
pub(super) fn params_json(spec: &IndexSpec) -> serde_json::Map<String, serde_json::Value> {
    let value = |text: &str| match serde_json::from_str::<serde_json::Value>(text) {
        Ok(value @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_))) => value,
        _ => text.into(),
    };
    spec.params.iter().map(|(name, text)| (name.clone(), value(text))).collect()
}

/// The parameters of `CreateIndex`.
pub(super) fn to_pairs(spec: &IndexSpec) -> Vec<KeyValue> {
    vec![
        pair("index_type", &spec.kind),
        pair("metric_type", spec.metric.name()),
        pair("params", &serde_json::Value::Object(params_json(spec)).to_string()),
    ]
}

/// The index that these parameters describe: each under its own key, or several as JSON text under
/// `params`, in any order.
///
/// # Errors
/// What is missing or unknown, in words.
pub(super) fn from_pairs<'a>(
    pairs: impl IntoIterator<Item = (&'a str, String)>,
) -> Result<IndexSpec, String> {
    let (mut kind, mut metric, mut params) = (None, None, Vec::new());
    for (key, value) in pairs {
        match key {
            "index_type" => kind = Some(value),
            "metric_type" => metric = Some(value),
            "params" => {
                let object: serde_json::Map<String, serde_json::Value> =
                    serde_json::from_str(&value).unwrap_or_default();
                params.extend(object.iter().map(|(name, value)| (name.clone(), plain(value))));
            }
            name => params.push((name.to_owned(), value)),
        }
    }
    let inner = |name: &str| params.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let kind = kind.filter(|kind| !kind.is_empty()).or_else(|| inner("index_type"));
    let metric = metric.filter(|metric| !metric.is_empty()).or_else(|| inner("metric_type"));
    let metric: Metric = metric.ok_or("it names no metric")?.parse()?;
    params.retain(|(name, _)| !NOT_PARAMETERS.contains(&name.as_str()));
    params.sort();
    params.dedup_by(|a, b| a.0 == b.0);
    Ok(IndexSpec { kind: kind.ok_or("it names no index type")?, metric, params })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<IndexSpec, String> {
        from_pairs(pairs.iter().map(|(key, value)| (*key, (*value).to_owned())))
    }

    #[test]
    fn every_form_of_the_same_index_reads_the_same() {
        let expected = IndexSpec {
            kind: "HNSW".to_owned(),
            metric: Metric::L2,
            params: vec![("M".to_owned(), "16".to_owned()), ("efConstruction".to_owned(), "200".to_owned())],
        };
        let separate =
            [("efConstruction", "200"), ("M", "16"), ("index_type", "HNSW"), ("metric_type", "L2")];
        assert_eq!(read(&separate), Ok(expected.clone()));
        let json = [
            ("params", r#"{"M":16,"efConstruction":"200"}"#),
            ("metric_type", "L2"),
            ("index_type", "HNSW"),
            ("max_index_version", "6"),
        ];
        assert_eq!(read(&json), Ok(expected.clone()));
        let pairs = to_pairs(&expected);
        assert_eq!(
            from_pairs(pairs.iter().map(|pair| (pair.key.as_str(), pair.value.clone()))),
            Ok(expected)
        );
    }

    #[test]
    fn what_is_missing_is_said() {
        assert_eq!(read(&[("index_type", "FLAT")]), Err("it names no metric".to_owned()));
        assert!(read(&[("index_type", "FLAT"), ("metric_type", "L1")]).is_err());
    }
}
