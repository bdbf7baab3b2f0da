//! Is the collection that is there the one that was asked for?

use squall_core::dataset::{Identity, VECTOR_FIELD};
use squall_core::schema::{CollectionSchema, Consistency, IndexSpec};
use squall_milvus::admin::Admin;

use crate::patience::Patience;
use crate::{Events, SetupConfig, SetupError, settle, verify};

/// What stands under the collection's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    /// Nothing.
    Absent,
    /// The dataset, rows and index that were asked for.
    Same,
    /// A part of it; what it lacks, in a phrase.
    Incomplete(String),
    /// Something else; why, in a phrase.
    Different(String),
}

/// Looks at the collection of that name. An index that is there lets it be loaded and counted.
pub(crate) async fn look(
    admin: &Admin,
    config: &SetupConfig,
    patience: &Patience,
) -> Result<Existing, SetupError> {
    let collection = &config.server.collection;
    if !patience.ask(|| admin.has_collection(collection)).await? {
        return Ok(Existing::Absent);
    }
    let found = patience.ask(|| admin.describe_collection(collection)).await?;
    let told = match identity(&found.schema, config) {
        Told::Other(difference) => return Ok(Existing::Different(difference)),
        Told::Same => true,
        Told::Nothing => false,
    };
    if let Some(shards) = found.shards.filter(|shards| *shards != config.shards) {
        return Ok(Existing::Different(format!("its rows are in {shards} shards, not {}", config.shards)));
    }
    let index = patience.ask(|| admin.describe_index(collection, VECTOR_FIELD)).await?;
    let Some(index) = index else {
        return Ok(Existing::Incomplete("it has no index".to_owned()));
    };
    if let Some(difference) = other_index(&index.spec, &config.index) {
        return Ok(Existing::Different(difference));
    }
    let (events, _) = Events::channel();
    if patience.ask(|| admin.load_progress(collection)).await.unwrap_or(0) < 100 {
        // Counting needs a loaded collection; an index that is there makes that possible.
        settle::load(admin, config, patience, &events).await?;
    }
    let rows = patience.ask(|| admin.count(collection, None, Consistency::Strong)).await?;
    if rows != config.rows {
        return Ok(Existing::Incomplete(format!("it has {rows} of its {} rows", config.rows)));
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
pub(crate) enum Told {
    /// It is the one that was asked for.
    Same,
    /// It is another one; why, in a phrase.
    Other(String),
    /// Nothing: Milvus Lite keeps no description. The rows themselves must tell.
    Nothing,
}

/// What the schema tells of the dataset that `config` wants.
pub(crate) fn identity(schema: &CollectionSchema, config: &SetupConfig) -> Told {
    let expected = config.schema();
    if schema.description == expected.description {
        return Told::Same;
    }
    let Ok(found) = schema.description.parse::<Identity>() else {
        // Without keys that are row numbers, rows cannot tell whose they are.
        let same_fields = schema.fields == expected.fields && !config.auto_id;
        return if schema.description.is_empty() && same_fields {
            Told::Nothing
        } else {
            Told::Other("Squall did not make it".to_owned())
        };
    };
    let keys = if config.auto_id { " and keys of the server's" } else { "" };
    Told::Other(format!(
        "it is {} with {} rows, not {} with {}{keys}",
        found.dataset,
        found.rows,
        config.dataset.id(),
        config.rows
    ))
}

/// Servers add parameters of their own to an index; it is the same one when it has all that was
/// asked for.
pub(crate) fn other_index(found: &IndexSpec, wanted: &IndexSpec) -> Option<String> {
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
    use squall_core::config::{Layer, Settings};
    use squall_core::keys::Command;
    use squall_core::schema::Metric;

    use super::*;

    fn spec(kind: &str, params: &[(&str, &str)]) -> IndexSpec {
        let params = params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        IndexSpec { kind: kind.into(), metric: Metric::L2, params }
    }

    #[test]
    fn an_index_is_the_same_when_it_has_all_that_was_asked_for() {
        let wanted = spec("IVF_FLAT", &[("nlist", "1024")]);
        assert_eq!(other_index(&spec("IVF_FLAT", &[("nlist", "1024"), ("mmap", "false")]), &wanted), None);
        assert_eq!(other_index(&spec("IVF_FLAT", &[]), &wanted), None);
        let difference = other_index(&spec("IVF_FLAT", &[("nlist", "128")]), &wanted).unwrap();
        assert_eq!(difference, "its index is IVF_FLAT nlist=128, L2, not IVF_FLAT nlist=1024, L2");
        assert!(other_index(&spec("HNSW", &[]), &wanted).is_some());
    }

    #[test]
    fn a_schema_tells_whose_collection_it_is_or_nothing() {
        let config = |flags: &[(&str, &str)]| {
            let given = flags.iter().map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()]));
            let settings = Settings::resolve(Command::Setup, &[Layer::flags(Command::Setup, given)]);
            SetupConfig::new(&settings, false).unwrap()
        };
        let wanted = config(&[("num-vectors", "10"), ("dimension", "8")]);
        let schema = wanted.schema();
        assert_eq!(identity(&schema, &wanted), Told::Same);
        let with = |description: &str| CollectionSchema { description: description.into(), ..schema.clone() };
        assert_eq!(identity(&with("my products"), &wanted), Told::Other("Squall did not make it".into()));
        assert_eq!(identity(&with(""), &wanted), Told::Nothing);
        let fewer = CollectionSchema { fields: schema.fields[..3].to_vec(), ..with("") };
        assert_eq!(identity(&fewer, &wanted), Told::Other("Squall did not make it".into()));
        let Told::Other(words) = identity(&wanted.dataset.schema(20), &wanted) else {
            panic!("20 rows are not 10")
        };
        assert!(words.contains("20 rows"), "{words}");
        let keyless = SetupConfig { auto_id: true, ..wanted.clone() };
        assert_eq!(identity(&keyless.schema(), &keyless), Told::Same);
        assert!(matches!(identity(&keyless.schema(), &wanted), Told::Other(_)));
        assert!(matches!(identity(&schema, &keyless), Told::Other(_)));
    }
}
