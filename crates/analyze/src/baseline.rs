//! `baselines.toml`: names for runs that others are compared with, so that CI can say `main`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::import::imported_from;
use crate::trend::shards_of;

/// Why baselines could not be read, written or found.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// The system refused.
    #[error("{action} {} failed: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what it must be.
    #[error("{} is no list of baselines ({reason}); under [baseline] each name has a list of run directories", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// What is wrong, in one line.
        reason: String,
    },
    /// Neither a run nor a name.
    #[error("`{name}` is neither a run directory nor a baseline; {known}")]
    Unknown {
        /// What was named.
        name: String,
        /// Which names there are.
        known: String,
    },
    /// A name that would be taken for something else.
    #[error("`{0}` cannot name a baseline: use letters, digits, `-`, `_` and `.`")]
    Name(String),
    /// What another tool measured.
    #[error("{} was imported from {tool}: it has aggregates and no rows, so no run can be compared with it; name a run that Squall made", run.display())]
    Imported {
        /// The directory.
        run: PathBuf,
        /// The tool.
        tool: String,
    },
    /// A run that is not among the data.
    #[error("{} is not in {}: a baseline names runs of the same --data", run.display(), runs.display())]
    Elsewhere {
        /// The run.
        run: PathBuf,
        /// Where it should be.
        runs: PathBuf,
    },
}

/// Names and the run directories (below `runs/`) behind each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baselines {
    /// Run directories by name.
    #[serde(default, rename = "baseline")]
    pub names: BTreeMap<String, Vec<String>>,
}

fn file(data: &Path) -> PathBuf {
    data.join("baselines.toml")
}

impl Baselines {
    /// Those of a data directory; none where there is no file.
    ///
    /// # Errors
    /// When the file cannot be read or is no list of baselines.
    pub fn read(data: &Path) -> Result<Self, BaselineError> {
        let path = file(data);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(BaselineError::Io { action: "reading", path, source }),
        };
        toml::from_str(&text)
            .map_err(|error| BaselineError::Toml { path, reason: error.message().to_owned() })
    }

    /// Gives a name to runs and writes the file.
    ///
    /// # Errors
    /// When the name is none, a run is not among the data, or the file cannot be written.
    pub fn set(data: &Path, name: &str, runs: &[PathBuf]) -> Result<(), BaselineError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
            return Err(BaselineError::Name(name.to_owned()));
        }
        let mut baselines = Self::read(data)?;
        let home = data.join("runs");
        let named = runs.iter().map(|run| {
            let elsewhere = || BaselineError::Elsewhere { run: run.clone(), runs: home.clone() };
            let absolute = fs::canonicalize(run).map_err(|_| elsewhere())?;
            let directory = absolute.file_name().ok_or_else(elsewhere)?.to_string_lossy().into_owned();
            let here = fs::canonicalize(home.join(&directory)).is_ok_and(|here| here == absolute);
            if here { Ok(directory) } else { Err(elsewhere()) }
        });
        let directories = named.collect::<Result<Vec<_>, _>>()?;
        baselines.names.insert(name.to_owned(), directories);
        let path = file(data);
        let text = toml::to_string(&baselines)
            .map_err(|error| BaselineError::Toml { path: path.clone(), reason: error.to_string() })?;
        let aside = path.with_extension("toml.tmp");
        fs::write(&aside, text).and_then(|()| fs::rename(&aside, &path)).map_err(|source| BaselineError::Io {
            action: "writing",
            path,
            source,
        })
    }

    /// The run directories behind a text: a run directory, a baseline's name, the name of a
    /// directory below `runs/`, or what those of a run's shards have in common.
    ///
    /// # Errors
    /// When it is none of them, with the names that there are.
    pub fn resolve(&self, data: &Path, text: &str) -> Result<Vec<PathBuf>, BaselineError> {
        // What another tool measured is found, too, for whoever asked to say that it has no rows.
        let is_run = |path: &Path| path.join("run.json").is_file() || imported_from(path).is_some();
        if is_run(Path::new(text)) {
            return Ok(vec![PathBuf::from(text)]);
        }
        let runs = data.join("runs");
        if let Some(directories) = self.names.get(text) {
            return Ok(directories.iter().map(|directory| runs.join(directory)).collect());
        }
        if is_run(&runs.join(text)) {
            return Ok(vec![runs.join(text)]);
        }
        // The name that reports and histories have for a run in shards.
        let shards = shards_of(&runs, text);
        if !shards.is_empty() {
            return Ok(shards);
        }
        let known = if self.names.is_empty() {
            "`squall baseline set NAME RUN` makes one".to_owned()
        } else {
            format!("there are {}", self.names.keys().cloned().collect::<Vec<_>>().join(", "))
        };
        Err(BaselineError::Unknown { name: text.to_owned(), known })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_its_runs_until_it_is_set_anew() {
        let data = tempfile::tempdir().unwrap();
        for run in ["a", "b"] {
            fs::create_dir_all(data.path().join("runs").join(run)).unwrap();
            fs::write(data.path().join("runs").join(run).join("run.json"), "{}").unwrap();
        }
        let runs =
            |names: &[&str]| names.iter().map(|run| data.path().join("runs").join(run)).collect::<Vec<_>>();
        Baselines::set(data.path(), "main", &runs(&["a", "b"])).unwrap();
        Baselines::set(data.path(), "release-2", &runs(&["b"])).unwrap();
        let read = Baselines::read(data.path()).unwrap();
        assert_eq!(read.resolve(data.path(), "main").unwrap(), runs(&["a", "b"]));
        assert_eq!(read.resolve(data.path(), "b").unwrap(), runs(&["b"]), "a directory's name");
        Baselines::set(data.path(), "main", &runs(&["b"])).unwrap();
        let read = Baselines::read(data.path()).unwrap();
        assert_eq!(read.resolve(data.path(), "main").unwrap(), runs(&["b"]));
        for shard in ["night-s1of2", "night-s0of2", "night-s0ofx"] {
            fs::create_dir_all(data.path().join("runs").join(shard)).unwrap();
        }
        assert_eq!(read.resolve(data.path(), "night").unwrap(), runs(&["night-s0of2", "night-s1of2"]));
        let error = read.resolve(data.path(), "next").unwrap_err().to_string();
        assert!(error.contains("`next`") && error.contains("main, release-2"), "{error}");
    }

    #[test]
    fn what_cannot_be_a_baseline_is_refused() {
        let data = tempfile::tempdir().unwrap();
        let run = [data.path().to_owned()];
        assert!(matches!(Baselines::set(data.path(), "a b", &run), Err(BaselineError::Name(_))));
        assert!(matches!(Baselines::set(data.path(), "a", &run), Err(BaselineError::Elsewhere { .. })));
        fs::write(file(data.path()), "[baseline]\nmain = 3").unwrap();
        let error = Baselines::read(data.path()).unwrap_err().to_string();
        assert!(error.contains("no list of baselines"), "{error}");
    }
}
