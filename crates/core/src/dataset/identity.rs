//! What a collection that Squall made says of itself.

use super::DatasetError;

/// What a collection that Squall made says of itself in its description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The dataset's identity: [`super::Dataset::id`].
    pub dataset: String,
    /// How many of its rows the collection has: `0 .. rows`.
    pub rows: u64,
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "squall dataset={} rows={}", self.dataset, self.rows)
    }
}

impl std::str::FromStr for Identity {
    type Err = DatasetError;

    fn from_str(text: &str) -> Result<Self, DatasetError> {
        let read = || {
            let (dataset, rows) = text.strip_prefix("squall dataset=")?.split_once(" rows=")?;
            let identity = Self { dataset: dataset.to_owned(), rows: rows.parse().ok()? };
            // `+7` and `007` parse too; an identity has one spelling.
            (!dataset.is_empty() && identity.to_string() == text).then_some(identity)
        };
        read().ok_or_else(|| DatasetError::Identity(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Dataset;

    #[test]
    fn an_identity_reads_back_and_nothing_else_does() {
        let dataset = Dataset::reference(42, 768).unwrap();
        let identity = Identity { dataset: dataset.id(), rows: 20_000 };
        assert_eq!(identity.to_string(), "squall dataset=reference-v1-seed42-dim768 rows=20000");
        assert_eq!(identity.to_string().parse::<Identity>().unwrap(), identity);
        assert_eq!(Dataset::from_id(&identity.dataset).unwrap(), dataset);
        for text in [
            "",
            "my collection",
            "squall dataset= rows=1",
            "squall dataset=x rows=x",
            "squall dataset=x rows=+1",
        ] {
            assert!(text.parse::<Identity>().is_err(), "{text}");
        }
        for id in
            ["reference-v2-seed42-dim768", "reference-v1-seed+42-dim768", "reference-v1-seed42-dim1", "x"]
        {
            assert!(Dataset::from_id(id).is_err(), "{id}");
        }
    }
}
