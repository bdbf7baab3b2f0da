//! Like with like: in what runs must agree to be compared, and in what they may differ.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use squall_core::run_record::CollectionRecord;
use squall_core::summary::RunIdentity;

use crate::number::thousands;

/// What runs must share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LikenessKey {
    /// What was asked: [`squall_core::plan::Plan::work_key`].
    WorkKey,
    /// Which rows the collection has, as far as it has them.
    Dataset,
    /// How many of the dataset's rows it has.
    Rows,
    /// The index and its parameters.
    Index,
    /// Processor, cores and memory of the machine that made the load.
    HostClass,
}

impl LikenessKey {
    /// All.
    pub const ALL: [Self; 5] = [Self::WorkKey, Self::Dataset, Self::Rows, Self::Index, Self::HostClass];

    /// Its name on the command line and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::WorkKey => "work_key",
            Self::Dataset => "dataset",
            Self::Rows => "rows",
            Self::Index => "index",
            Self::HostClass => "host_class",
        }
    }

    pub(crate) fn of(self, run: &RunIdentity) -> String {
        self.among(&Likeness::of(run))
    }

    fn among(self, run: &Likeness) -> String {
        let known = |value: &Option<String>| value.clone().unwrap_or_else(|| "not known".to_owned());
        match self {
            Self::WorkKey => run.work_key.clone(),
            Self::Dataset => known(&run.dataset),
            Self::Rows => known(&run.rows.map(thousands)),
            Self::Index => known(&run.index),
            Self::HostClass => run.host_class.clone(),
        }
    }
}

/// What a run has of that which runs must share: known before it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Likeness {
    /// What is asked.
    pub work_key: String,
    /// Which rows the collection has; where nobody knows, the collection's name, which stands for them.
    pub dataset: Option<String>,
    /// How many of the dataset's rows it has, where both are known.
    pub rows: Option<u64>,
    /// The index and its parameters, where known.
    pub index: Option<String>,
    /// Processor, cores and memory of the machine that makes the load.
    pub host_class: String,
}

impl Likeness {
    /// That of a run.
    pub fn of(run: &RunIdentity) -> Self {
        Self {
            work_key: run.work_key.clone(),
            dataset: dataset(run.dataset.as_ref(), run.collection.as_ref()),
            rows: run.dataset.as_ref().and(run.rows),
            index: run.index.clone(),
            host_class: run.host_class.clone(),
        }
    }

    /// That of a run which is yet to be made, on such a collection.
    pub fn planned(work_key: String, collection: &CollectionRecord, host_class: String) -> Self {
        Self {
            work_key,
            dataset: dataset(collection.dataset.as_ref(), Some(&collection.name)),
            rows: collection.dataset.as_ref().and(collection.dataset_rows.or(collection.rows)),
            index: collection.index.clone(),
            host_class,
        }
    }
}

/// The dataset's identity. Collections of which none is known and that bear different names have nothing in
/// common that could be compared.
fn dataset(identity: Option<&String>, collection: Option<&String>) -> Option<String> {
    identity.cloned().or_else(|| collection.map(|name| format!("collection {name}")))
}

impl FromStr for LikenessKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.replace('-', "_");
        Self::ALL.into_iter().find(|key| key.name() == name).ok_or_else(|| {
            format!(
                "`{text}` is not something that runs must share; use work_key, dataset, rows, index or host_class"
            )
        })
    }
}

/// Something that the runs do not share, though they must.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unlike {
    /// What.
    pub key: LikenessKey,
    /// The base's; several where its runs differ among themselves.
    pub base: String,
    /// The new side's.
    pub new: String,
}

impl fmt::Display for Unlike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} (base), {} (new)", self.key.name(), self.base, self.new)
    }
}

/// Something that changed from the base to the new side and may.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// What: `server version`, `label build` …
    pub what: String,
    /// The base's.
    pub base: String,
    /// The new side's.
    pub new: String,
}

/// All values of a side, each once.
fn values(side: &[&RunIdentity], of: impl Fn(&RunIdentity) -> String) -> String {
    let values: BTreeSet<String> = side.iter().map(|run| of(run)).collect();
    values.into_iter().collect::<Vec<_>>().join("; ")
}

/// In what the runs are unlike.
pub(super) fn differences(base: &[Likeness], new: &[Likeness]) -> Vec<Unlike> {
    let side = |side: &[Likeness], key: LikenessKey| -> BTreeSet<String> {
        side.iter().map(|run| key.among(run)).collect()
    };
    let differs = |key: &LikenessKey| side(base, *key).union(&side(new, *key)).count() > 1;
    let text = |values: BTreeSet<String>| values.into_iter().collect::<Vec<_>>().join("; ");
    let unlike = |key: LikenessKey| Unlike { key, base: text(side(base, key)), new: text(side(new, key)) };
    LikenessKey::ALL.into_iter().filter(differs).map(unlike).collect()
}

/// What else changed.
pub(crate) fn changes(base: &[&RunIdentity], new: &[&RunIdentity]) -> Vec<Changed> {
    let known = |value: Option<&String>| value.map_or_else(|| "–".to_owned(), Clone::clone);
    let labels: BTreeSet<&String> = base.iter().chain(new).flat_map(|run| run.labels.keys()).collect();
    let mut all = vec![
        Changed {
            what: "server".to_owned(),
            base: values(base, |run| run.server.uri.clone()),
            new: values(new, |run| run.server.uri.clone()),
        },
        Changed {
            what: "server version".to_owned(),
            base: values(base, |run| known(run.server.version.as_ref())),
            new: values(new, |run| known(run.server.version.as_ref())),
        },
    ];
    if base.iter().chain(new).all(|run| run.dataset.is_none()) {
        // A collection in use grows: that is worth knowing, and no reason to refuse.
        let rows = |run: &RunIdentity| known(run.rows.map(thousands).as_ref());
        all.push(Changed { what: "rows".to_owned(), base: values(base, rows), new: values(new, rows) });
    }
    all.extend(labels.into_iter().map(|label| Changed {
        what: format!("label {label}"),
        base: values(base, |run| known(run.labels.get(label))),
        new: values(new, |run| known(run.labels.get(label))),
    }));
    all.retain(|change| change.base != change.new);
    all
}
