//! Is the collection that is there the one that was asked for?

use squall_core::dataset::{Identity, VECTOR_FIELD};
use squall_core::schema::{CollectionSchema, Consistency, IndexSpec};
use squall_milvus::Protocol;
use squall_milvus::admin::{Admin, CollectionDescription};

use crate::patience::Patience;
use crate::{Events, ScalarIndex, SetupConfig, SetupError, settle, support, verify};

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
    if let Some(difference) = other_layout(&found, config, support::is_lite(admin)) {
        return Ok(Existing::Different(difference));
    }
    let index = patience.ask(|| admin.describe_index(collection, VECTOR_FIELD)).await?;
    let lacking = lacking_partitions(&found, config);
    let Some(index) = index else {
        // A setup that was killed while it inserted comes here.
        return Ok(match lacking {
            Some(partitions) if has_rows(admin, collection, patience).await? => {
                Existing::Different(other_partitions(partitions))
            }
            _ => Existing::Incomplete("it has no index".to_owned()),
        });
    };
    if let Some(difference) = other_index(&index.spec, &config.index) {
        return Ok(Existing::Different(difference));
    }
    let mut lacks = None;
    for scalar in &config.scalar_indexes {
        match patience.ask(|| admin.scalar_index(collection, &scalar.field)).await? {
            Some(found) => {
                if let Some(difference) = other_scalar_index(found.kind.as_deref(), scalar) {
                    return Ok(Existing::Different(difference));
                }
            }
            // REST tells of no such index.
            None if admin.protocol() == Protocol::Grpc => {
                lacks = Some(format!("its field `{}` has no index", scalar.field));
            }
            None => {}
        }
    }
    let (events, _) = Events::channel();
    if patience.ask(|| admin.load_progress(collection)).await.unwrap_or(0) < 100 {
        // Counting needs a loaded collection; an index that is there makes that possible.
        settle::load(admin, config, patience, &events).await?;
    }
    let rows = patience.ask(|| admin.count(collection, None, Consistency::Strong)).await?;
    if let Some((has, wanted)) = lacking {
        return Ok(if rows == 0 {
            Existing::Incomplete(format!("it has {has} of its {wanted} partitions"))
        } else {
            Existing::Different(other_partitions((has, wanted)))
        });
    }
    if rows != config.rows {
        return Ok(Existing::Incomplete(format!("it has {rows} of its {} rows", config.rows)));
    }
    if let Some(lacks) = lacks {
        return Ok(Existing::Incomplete(lacks));
    }
    if told {
        return Ok(Existing::Same);
    }
    match verify::read_back(admin, config, patience, &events).await {
        Ok(()) => Ok(Existing::Same),
        Err(SetupError::Row { row, .. }) => {
            Ok(Existing::Different(format!("its row {row} is not that of {}", config.dataset.id())))
        }
        Err(error) => Err(error),
    }
}

/// Whether a collection without an index, which cannot be loaded and counted, has rows.
async fn has_rows(admin: &Admin, collection: &str, patience: &Patience) -> Result<bool, SetupError> {
    // Only rows that were flushed are sure to be known of.
    patience.ask(|| admin.flush(collection)).await?;
    Ok(patience.ask(|| admin.row_count(collection)).await? > 0)
}

/// What is unlike where rows are there and partitions are lacking: those are made before the first row, so
/// that rows that are there went to those that are there.
fn other_partitions((has, wanted): (u32, u32)) -> String {
    let with = match has {
        1 => "without --partitions".to_owned(),
        _ => format!("with --partitions {}", has - 1),
    };
    format!("its rows are in {has} partitions, not {wanted}; --resume {with} completes it")
}

/// Whether rows are spread, or seen, otherwise than asked for; what the server does not tell is not
/// different. Replicas are of a load, not of the collection, and are not compared.
pub(crate) fn other_layout(
    found: &CollectionDescription,
    config: &SetupConfig,
    lite: bool,
) -> Option<String> {
    if let Some(shards) = found.shards.filter(|shards| *shards != config.shards) {
        return Some(format!("its rows are in {shards} shards, not {}", config.shards));
    }
    if found.partition_key != config.partition_key {
        let by = |key: &Option<String>| {
            key.as_ref().map_or_else(|| "no field".to_owned(), |key| format!("`{key}`"))
        };
        let (has, wanted) = (by(&found.partition_key), by(&config.partition_key));
        return Some(format!("its rows go to partitions by {has}, not by {wanted}"));
    }
    if let (Some(has), Some(wanted)) = (found.partitions, partitions(config))
        && (has > wanted || (has < wanted && config.partition_key.is_some()))
    {
        return Some(format!("its rows are in {has} partitions, not {wanted}"));
    }
    // Milvus Lite keeps no level and always tells the same.
    let consistency = found.consistency.filter(|level| !lite && *level != config.consistency);
    consistency.map(|level| format!("its consistency is {}, not {}", level.name(), config.consistency.name()))
}

/// The partitions that the collection shall have: the default one and those with names, or those behind
/// the key where their number was given.
fn partitions(config: &SetupConfig) -> Option<u32> {
    match config.partition_key {
        Some(_) => config.partitions,
        None => Some(1 + config.named_partitions().unwrap_or(0)),
    }
}

/// How many partitions it has, and how many it shall have, where that is fewer.
pub(crate) fn lacking_partitions(found: &CollectionDescription, config: &SetupConfig) -> Option<(u32, u32)> {
    found.partitions.zip(partitions(config)).filter(|(has, wanted)| has < wanted)
}

/// The index of a scalar field is the same when it is of the kind that was asked for, if any was.
pub(crate) fn other_scalar_index(kind: Option<&str>, wanted: &ScalarIndex) -> Option<String> {
    let (kind, asked) = (kind?, wanted.kind.as_deref()?);
    (!kind.eq_ignore_ascii_case(asked))
        .then(|| format!("the index of its field `{}` is {kind}, not {asked}", wanted.field))
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
    use squall_core::schema::Metric;

    use super::*;
    use crate::config::config;

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
    fn another_layout_is_told_apart_and_what_is_not_told_is_not_different() {
        let wanted = config(&[("shards-num", "2"), ("partitions", "3")]).unwrap();
        let same = CollectionDescription {
            schema: wanted.schema(),
            consistency: Some(Consistency::Bounded),
            shards: Some(2),
            partition_key: None,
            partitions: Some(4),
        };
        let difference = |found: &CollectionDescription| other_layout(found, &wanted, false);
        assert_eq!((difference(&same), lacking_partitions(&same, &wanted)), (None, None));
        let silent =
            CollectionDescription { consistency: None, shards: None, partitions: None, ..same.clone() };
        assert_eq!((difference(&silent), lacking_partitions(&silent, &wanted)), (None, None));
        for (found, words) in [
            (CollectionDescription { shards: Some(1), ..same.clone() }, "1 shards, not 2"),
            (CollectionDescription { partitions: Some(9), ..same.clone() }, "9 partitions, not 4"),
            (
                CollectionDescription { partition_key: Some("brand".into()), ..same.clone() },
                "by `brand`, not by no field",
            ),
            (
                CollectionDescription { consistency: Some(Consistency::Strong), ..same.clone() },
                "consistency is Strong, not Bounded",
            ),
        ] {
            let difference = difference(&found).unwrap();
            assert!(difference.contains(words), "{difference}");
        }
        let fewer = CollectionDescription { partitions: Some(2), ..same.clone() };
        assert_eq!((difference(&fewer), lacking_partitions(&fewer, &wanted)), (None, Some((2, 4))));
        let strong = CollectionDescription { consistency: Some(Consistency::Strong), ..same.clone() };
        assert_eq!(other_layout(&strong, &wanted, true), None, "Milvus Lite keeps no level");

        let keyed =
            config(&[("partition-key", "category"), ("partitions", "16"), ("shards-num", "2")]).unwrap();
        let found = CollectionDescription { partition_key: Some("category".into()), ..same };
        assert!(other_layout(&found, &keyed, false).unwrap().contains("4 partitions, not 16"));
        let any = config(&[("partition-key", "category"), ("shards-num", "2")]).unwrap();
        assert_eq!(other_layout(&found, &any, false), None, "the server's number is as good as any");
    }

    #[test]
    fn a_scalar_index_is_the_same_when_its_kind_is_what_was_asked_for() {
        let wanted = |text: &str| text.parse::<ScalarIndex>().unwrap();
        assert_eq!(other_scalar_index(Some("STL_SORT"), &wanted("price")), None);
        assert_eq!(other_scalar_index(None, &wanted("price:STL_SORT")), None);
        assert_eq!(other_scalar_index(Some("stl_sort"), &wanted("price:STL_SORT")), None);
        let difference = other_scalar_index(Some("INVERTED"), &wanted("price:STL_SORT")).unwrap();
        assert_eq!(difference, "the index of its field `price` is INVERTED, not STL_SORT");
    }

    #[test]
    fn a_schema_tells_whose_collection_it_is_or_nothing() {
        let wanted = config(&[("num-vectors", "10"), ("dimension", "8")]).unwrap();
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
