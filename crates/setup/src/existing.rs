//! Is the collection that is there the one that was asked for?

use squall_core::dataset::{Identity, VECTOR_FIELD};
use squall_core::schema::{Consistency, IndexSpec};
use squall_milvus::admin::Admin;

use crate::{SetupConfig, SetupError};

/// What stands under the collection's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    /// Nothing.
    Absent,
    /// The dataset, rows and index that were asked for.
    Same,
    /// Something else; why, in a phrase.
    Different(String),
}

/// Looks at the collection of that name.
pub(crate) async fn look(admin: &Admin, config: &SetupConfig) -> Result<Existing, SetupError> {
    let collection = &config.server.collection;
    if !admin.has_collection(collection).await? {
        return Ok(Existing::Absent);
    }
    let description = admin.describe_collection(collection).await?;
    let wanted = Identity { dataset: config.dataset.clone(), rows: config.rows };
    if let Some(difference) = other_identity(&description.schema.description, &wanted) {
        return Ok(Existing::Different(difference));
    }
    let index = admin.describe_index(collection, VECTOR_FIELD).await?.map(|index| index.spec);
    if let Some(difference) = other_index(index.as_ref(), &config.index) {
        return Ok(Existing::Different(difference));
    }
    if admin.load_progress(collection).await.unwrap_or(0) < 100 {
        // Counting needs a loaded collection; an index that is there makes that possible.
        crate::settle::load(admin, collection, &crate::Events::channel().0).await?;
    }
    let rows = admin.count(collection, None, Consistency::Strong).await?;
    if rows != config.rows {
        return Ok(Existing::Different(format!("it has {rows} of its {} rows", config.rows)));
    }
    Ok(Existing::Same)
}

fn other_identity(description: &str, wanted: &Identity) -> Option<String> {
    let Ok(found) = description.parse::<Identity>() else {
        return Some("Squall did not make it".to_owned());
    };
    if found == *wanted {
        return None;
    }
    Some(format!(
        "it is {} with {} rows, not {} with {}",
        found.dataset.id(),
        found.rows,
        wanted.dataset.id(),
        wanted.rows
    ))
}

/// Servers add parameters of their own to an index; it is the same one when it has all that was
/// asked for.
fn other_index(found: Option<&IndexSpec>, wanted: &IndexSpec) -> Option<String> {
    let Some(found) = found else {
        return Some("it has no index".to_owned());
    };
    let has = |(name, value): &(String, String)| {
        // Milvus Lite keeps no build parameters; what is not said is not different.
        found.params.iter().find(|(known, _)| known == name).is_none_or(|(_, known)| known == value)
    };
    let same = found.kind.eq_ignore_ascii_case(&wanted.kind)
        && found.metric == wanted.metric
        && wanted.params.iter().all(has);
    (!same).then(|| format!("its index is {found}, not {wanted}"))
}

#[cfg(test)]
mod tests {
    use squall_core::dataset::Dataset;
    use squall_core::schema::Metric;

    use super::*;

    fn spec(kind: &str, params: &[(&str, &str)]) -> IndexSpec {
        let params = params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        IndexSpec { kind: kind.into(), metric: Metric::L2, params }
    }

    #[test]
    fn an_index_is_the_same_when_it_has_all_that_was_asked_for() {
        let wanted = spec("IVF_FLAT", &[("nlist", "1024")]);
        assert_eq!(
            other_index(Some(&spec("IVF_FLAT", &[("nlist", "1024"), ("mmap", "false")])), &wanted),
            None
        );
        assert_eq!(other_index(Some(&spec("IVF_FLAT", &[])), &wanted), None);
        let difference = other_index(Some(&spec("IVF_FLAT", &[("nlist", "128")])), &wanted).unwrap();
        assert_eq!(difference, "its index is IVF_FLAT nlist=128, L2, not IVF_FLAT nlist=1024, L2");
        assert!(other_index(Some(&spec("HNSW", &[])), &wanted).is_some());
        assert_eq!(other_index(None, &wanted).unwrap(), "it has no index");
    }

    #[test]
    fn a_description_tells_whose_collection_it_is() {
        let wanted = Identity { dataset: Dataset::reference(1, 8).unwrap(), rows: 10 };
        assert_eq!(other_identity(&wanted.to_string(), &wanted), None);
        assert_eq!(other_identity("my products", &wanted).unwrap(), "Squall did not make it");
        let other = Identity { rows: 20, ..wanted.clone() };
        assert!(other_identity(&other.to_string(), &wanted).unwrap().contains("20 rows"));
    }
}
