//! Is the collection that is there the one that was asked for?

use squall_core::dataset::{Dataset, Identity, VECTOR_FIELD};
use squall_core::schema::{CollectionSchema, Consistency, IndexSpec};
use squall_milvus::admin::Admin;

use crate::{Events, SetupConfig, SetupError, settle, verify};

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
    let schema = admin.describe_collection(collection).await?.schema;
    let wanted = Identity { dataset: config.dataset.id(), rows: config.rows };
    let told = match identity(&schema, &wanted, &config.dataset) {
        Told::Other(difference) => return Ok(Existing::Different(difference)),
        Told::Same => true,
        Told::Nothing => false,
    };
    let index = admin.describe_index(collection, VECTOR_FIELD).await?.map(|index| index.spec);
    if let Some(difference) = other_index(index.as_ref(), &config.index) {
        return Ok(Existing::Different(difference));
    }
    let (events, _) = Events::channel();
    if admin.load_progress(collection).await.unwrap_or(0) < 100 {
        // Counting needs a loaded collection; an index that is there makes that possible.
        settle::load(admin, collection, &events).await?;
    }
    let rows = admin.count(collection, None, Consistency::Strong).await?;
    if rows != config.rows {
        return Ok(Existing::Different(format!("it has {rows} of its {} rows", config.rows)));
    }
    if told {
        return Ok(Existing::Same);
    }
    match verify::read_back(admin, config, &events).await {
        Ok(()) => Ok(Existing::Same),
        Err(SetupError::Row { row, .. }) => {
            Ok(Existing::Different(format!("its row {row} is not that of {}", config.dataset.id())))
        }
        Err(error) => Err(error),
    }
}

/// What a collection's schema tells of its dataset.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    /// It is the one that was asked for.
    Same,
    /// It is another one; why, in a phrase.
    Other(String),
    /// Nothing: Milvus Lite keeps no description. The rows themselves must tell.
    Nothing,
}

fn identity(schema: &CollectionSchema, wanted: &Identity, dataset: &Dataset) -> Told {
    let Ok(found) = schema.description.parse::<Identity>() else {
        let same_fields = schema.fields == dataset.schema(wanted.rows).fields;
        return if schema.description.is_empty() && same_fields {
            Told::Nothing
        } else {
            Told::Other("Squall did not make it".to_owned())
        };
    };
    if found == *wanted {
        return Told::Same;
    }
    Told::Other(format!(
        "it is {} with {} rows, not {} with {}",
        found.dataset, found.rows, wanted.dataset, wanted.rows
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
    fn a_schema_tells_whose_collection_it_is_or_nothing() {
        let dataset = Dataset::reference(1, 8).unwrap();
        let wanted = Identity { dataset: dataset.id(), rows: 10 };
        let schema = dataset.schema(10);
        assert_eq!(identity(&schema, &wanted, &dataset), Told::Same);
        let with = |description: &str| CollectionSchema { description: description.into(), ..schema.clone() };
        assert_eq!(
            identity(&with("my products"), &wanted, &dataset),
            Told::Other("Squall did not make it".into())
        );
        assert_eq!(identity(&with(""), &wanted, &dataset), Told::Nothing);
        let fewer = CollectionSchema { fields: schema.fields[..3].to_vec(), ..with("") };
        assert_eq!(identity(&fewer, &wanted, &dataset), Told::Other("Squall did not make it".into()));
        let Told::Other(words) = identity(&dataset.schema(20), &wanted, &dataset) else {
            panic!("20 rows are not 10")
        };
        assert!(words.contains("20 rows"), "{words}");
    }
}
