//! Configuration layers: what each setting is, and where it came from.
//!
//! Precedence, first wins: flag, environment, `--env-file`, `--config FILE.toml`,
//! `--scenario NAME`, default. A layer holds texts; they are parsed once, after all layers are
//! known, so that every error can name the value's origin.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::keys::{Command, Key};
use crate::uri::without_credentials;

/// Where a value came from. The order of the variants is the precedence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A flag of the command line.
    Flag(String),
    /// An environment variable.
    Environment(String),
    /// A variable in an `--env-file`.
    EnvFile {
        /// The variable.
        variable: String,
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// A key in a `--config` file.
    ConfigFile {
        /// The key.
        key: String,
        /// The file.
        path: PathBuf,
    },
    /// A key in a scenario file of the user's own.
    ScenarioFile {
        /// The key.
        key: String,
        /// The file.
        path: PathBuf,
    },
    /// A built-in scenario.
    Scenario(String),
    /// No layer had it.
    Default,
}

impl Origin {
    /// Place in the precedence; smaller wins.
    pub fn rank(&self) -> u8 {
        match self {
            Origin::Flag(_) => 0,
            Origin::Environment(_) => 1,
            Origin::EnvFile { .. } => 2,
            Origin::ConfigFile { .. } => 3,
            Origin::ScenarioFile { .. } | Origin::Scenario(_) => 4,
            Origin::Default => 5,
        }
    }

    /// Whether a person who runs the test decided the value, rather than Squall.
    pub fn is_users_own(&self) -> bool {
        !matches!(self, Origin::Scenario(_) | Origin::Default)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag(flag) => f.write_str(flag),
            Origin::Environment(variable) => write!(f, "environment variable {variable}"),
            Origin::EnvFile { variable, path, line } => write!(f, "{variable} in {}:{line}", path.display()),
            Origin::ConfigFile { key, path } | Origin::ScenarioFile { key, path } => {
                write!(f, "`{key}` in {}", path.display())
            }
            Origin::Scenario(name) => write!(f, "scenario {name}"),
            Origin::Default => f.write_str("default"),
        }
    }
}

/// What is wrong with the configuration. Every one is exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read the configuration file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line of an env-file is not `KEY=value`.
    #[error("{}:{line} is not KEY=value: `{text}`", path.display())]
    EnvLine {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What stands there, without what might be a secret.
        text: String,
    },
    /// The TOML file is not TOML.
    #[error("{} is not TOML: {message}", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        message: String,
    },
    /// A key of a TOML file is not a setting of the command.
    #[error("{} has the key `{key}`, which is not a setting{hint}", path.display())]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// `; did you mean …`, or nothing.
        hint: String,
    },
    /// There is no such scenario.
    #[error(
        "there is no scenario `{name}`; built in are {known}; a file of your own is named with its ending .toml"
    )]
    UnknownScenario {
        /// The name given.
        name: String,
        /// The names that are known.
        known: String,
    },
    /// A value cannot be what it should be.
    #[error("{origin}: {reason}")]
    Value {
        /// Where the value came from.
        origin: Origin,
        /// What is wrong with it.
        reason: String,
    },
    /// Two values contradict each other.
    #[error("{0}")]
    Conflict(String),
}

/// The values of one layer.
#[derive(Clone, Debug, Default)]
pub struct Layer {
    values: BTreeMap<&'static str, (Vec<String>, Origin)>,
}

impl Layer {
    /// A layer of flags: names of settings with the values given.
    pub fn flags(command: Command, given: impl IntoIterator<Item = (String, Vec<String>)>) -> Self {
        let mut layer = Self::default();
        for (name, values) in given {
            if let Some(key) = Key::find(command, &name) {
                layer.values.insert(key.name, (values, Origin::Flag(format!("--{name}"))));
            }
        }
        layer
    }

    /// The environment, read through `variable`.
    pub fn environment(command: Command, variable: impl Fn(&str) -> Option<String>) -> Self {
        Self::variables(command, |name| {
            variable(name).map(|value| (value, Origin::Environment(name.to_owned())))
        })
    }

    /// An env-file: lines `KEY=value  # comment` or `export KEY=value`, values quoted or not.
    ///
    /// Variables that no setting has are ignored: the file may be another program's too.
    pub fn env_file(command: Command, path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let mut variables = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let Some(parsed) = parse_env_line(line) else { continue };
            let (variable, value) = parsed.map_err(|text| ConfigError::EnvLine {
                path: path.to_owned(),
                line: index + 1,
                text,
            })?;
            variables.insert(variable, (value, index + 1));
        }
        Ok(Self::variables(command, |name| {
            let (value, line) = variables.get(name)?;
            let origin = Origin::EnvFile { variable: name.to_owned(), path: path.to_owned(), line: *line };
            Some((value.clone(), origin))
        }))
    }

    fn variables(command: Command, lookup: impl Fn(&str) -> Option<(String, Origin)>) -> Self {
        // A variable that is set and empty is one that a script did not fill: as if unset.
        let lookup = |name: &str| lookup(name).filter(|(value, _)| !value.trim().is_empty());
        let mut layer = Self::default();
        for key in Key::of(command) {
            let own = key.squall_variable();
            let names = key.environment.iter().copied().chain([own.as_str()]);
            if let Some((value, origin)) = names.into_iter().find_map(&lookup) {
                layer.values.insert(key.name, (vec![value], origin));
            }
        }
        if !layer.values.contains_key("uri") {
            let (host, port) = (lookup("MILVUS_HOST"), lookup("MILVUS_PORT"));
            if let Some((_, origin)) = host.clone().or_else(|| port.clone()) {
                let host = host.map_or_else(|| "localhost".to_owned(), |(host, _)| host);
                let port = port.map_or_else(|| "19530".to_owned(), |(port, _)| port);
                layer.values.insert("uri", (vec![format!("http://{host}:{port}")], origin));
            }
        }
        layer
    }

    /// A TOML file with settings as keys; a key that is no setting is an error.
    pub fn config_file(command: Command, path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::toml(command, &text, path, |key| Origin::ConfigFile {
            key: key.to_owned(),
            path: path.to_owned(),
        })
    }

    /// A built-in scenario, or a file of the user's own: a name that ends in `.toml`.
    pub fn scenario(name: &str) -> Result<Self, ConfigError> {
        let path = Path::new(name);
        if path.extension().is_some_and(|extension| extension == "toml") {
            let text = std::fs::read_to_string(path)
                .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
            return Self::toml(Command::Run, &text, path, |key| Origin::ScenarioFile {
                key: key.to_owned(),
                path: path.to_owned(),
            });
        }
        let (_, text) = SCENARIOS.iter().find(|(known, _)| *known == name).ok_or_else(|| {
            let known: Vec<&str> = SCENARIOS.iter().map(|(name, _)| *name).collect();
            ConfigError::UnknownScenario { name: name.to_owned(), known: known.join(", ") }
        })?;
        Self::toml(Command::Run, text, Path::new(name), |_| Origin::Scenario(name.to_owned()))
    }

    fn toml(
        command: Command,
        text: &str,
        path: &Path,
        origin: impl Fn(&str) -> Origin,
    ) -> Result<Self, ConfigError> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| ConfigError::Toml {
            path: path.to_owned(),
            message: error.message().to_owned(),
        })?;
        let mut layer = Self::default();
        for (name, value) in table {
            // `[[stage]]` and `[[class]]` are tables of one stage, one class each.
            let name = if name == "stage" { "stages".to_owned() } else { name };
            let key = Key::find(command, &name).ok_or_else(|| ConfigError::UnknownKey {
                path: path.to_owned(),
                hint: hint(command, &name),
                key: name.clone(),
            })?;
            let values = match value {
                toml::Value::Array(tables)
                    if tables.iter().all(toml::Value::is_table) && !tables.is_empty() =>
                {
                    let texts = tables
                        .iter()
                        .filter_map(toml::Value::as_table)
                        .map(|table| table_text(key.name, table));
                    let texts = texts
                        .collect::<Result<Vec<String>, String>>()
                        .map_err(|reason| ConfigError::Value { origin: origin(&name), reason })?;
                    Some(if key.list { texts } else { vec![texts.join(",")] })
                }
                toml::Value::Array(values) if key.list => values.iter().map(scalar_text).collect(),
                value => scalar_text(&value).map(|text| vec![text]),
            };
            let values = values.ok_or_else(|| ConfigError::Value {
                origin: origin(&name),
                reason: format!(
                    "a {} is wanted",
                    if key.list { "text or a list of texts" } else { "single value" }
                ),
            })?;
            layer.values.insert(key.name, (values, origin(&name)));
        }
        Ok(layer)
    }
}

/// A table of a stage or a class as the text that its flag takes.
fn table_text(key: &str, table: &toml::Table) -> Result<String, String> {
    let known: &[&str] = match key {
        "stages" => &["name", "length", "rate"],
        "class" => &["name", "kind", "weight", "limit"],
        _ => return Err(format!("`{key}` takes no tables")),
    };
    if let Some(other) = table.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(format!("a table has the key `{other}`; known are {}", known.join(", ")));
    }
    let text = |name: &str| table.get(name).and_then(scalar_text);
    let needed = |name: &str| text(name).ok_or_else(|| format!("a table has no `{name}`"));
    Ok(match key {
        "stages" => {
            let name = text("name").map_or_else(String::new, |name| format!("{name}="));
            format!("{name}{}:{}", needed("length")?, needed("rate")?)
        }
        _ => {
            let limit = text("limit").unwrap_or_else(|| "10".to_owned());
            format!("{}={}:{}:{limit}", needed("name")?, needed("kind")?, needed("weight")?)
        }
    })
}

/// The text of a TOML value that is not a list or a table.
fn scalar_text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(value) => Some(value.to_string()),
        toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => None,
    }
}

/// What an unknown key might have meant.
fn hint(command: Command, name: &str) -> String {
    let plain = name.replace('_', "-").to_ascii_lowercase();
    let spelt = Key::find(command, &plain);
    let as_variable =
        || Key::of(command).find(|key| key.environment.iter().any(|v| v.eq_ignore_ascii_case(name)));
    let begun = || Key::of(command).find(|key| key.name.starts_with(&plain) || plain.starts_with(key.name));
    match spelt.or_else(as_variable).or_else(begun) {
        Some(key) => format!("; did you mean `{}`?", key.name),
        None => "; `squall run --help` and the README list the settings".to_owned(),
    }
}

/// A line of an env-file: nothing, a variable and its value, or what cannot be read.
fn parse_env_line(line: &str) -> Option<Result<(String, String), String>> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let assignment = line.strip_prefix("export ").unwrap_or(line).trim_start();
    let name_ok = |name: &str| {
        !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !name.starts_with(|c: char| c.is_ascii_digit())
    };
    Some(match assignment.split_once('=') {
        Some((name, value)) if name_ok(name) => Ok((name.to_owned(), env_value(value))),
        // Only the part before the sign is repeated: behind it a secret may stand.
        Some((name, _)) => Err(format!("{name}=…")),
        None => Err(assignment.split_whitespace().next().unwrap_or_default().to_owned()),
    })
}

/// The value of an env-file's line: what quotes enclose, or all up to a comment.
fn env_value(text: &str) -> String {
    let text = text.trim();
    for quote in ['"', '\''] {
        if let Some((value, _)) = text.strip_prefix(quote).and_then(|rest| rest.split_once(quote)) {
            return value.to_owned();
        }
    }
    let comment = text.char_indices().find(|&(at, c)| c == '#' && text[..at].ends_with(char::is_whitespace));
    let end = if text.starts_with('#') { 0 } else { comment.map_or(text.len(), |(at, _)| at) };
    text[..end].trim_end().to_owned()
}

/// The built-in scenarios by name.
pub const SCENARIOS: [(&str, &str); 10] = [
    ("baseline", include_str!("../scenarios/baseline.toml")),
    ("normal", include_str!("../scenarios/normal.toml")),
    ("peak", include_str!("../scenarios/peak.toml")),
    ("stress", include_str!("../scenarios/stress.toml")),
    ("endurance", include_str!("../scenarios/endurance.toml")),
    ("baseline-open", include_str!("../scenarios/baseline-open.toml")),
    ("normal-open", include_str!("../scenarios/normal-open.toml")),
    ("peak-open", include_str!("../scenarios/peak-open.toml")),
    ("stress-open", include_str!("../scenarios/stress-open.toml")),
    ("endurance-open", include_str!("../scenarios/endurance-open.toml")),
];

/// One resolved setting, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The setting.
    pub name: &'static str,
    /// Its value; secrets are hidden.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// All settings of a command, resolved.
#[derive(Clone)]
pub struct Settings {
    command: Command,
    values: BTreeMap<&'static str, (Vec<String>, Origin)>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.shown()).finish()
    }
}

impl Settings {
    /// Resolves `layers`, the strongest first; the default comes last by itself.
    pub fn resolve(command: Command, layers: &[Layer]) -> Self {
        let mut values = BTreeMap::new();
        for key in Key::of(command) {
            let found = layers.iter().find_map(|layer| layer.values.get(key.name).cloned());
            let default = || key.default.map(|value| (vec![value.to_owned()], Origin::Default));
            if let Some(value) = found.or_else(default) {
                values.insert(key.name, value);
            }
        }
        Self { command, values }
    }

    /// The texts of a setting, empty where no layer has it.
    pub fn list(&self, name: &str) -> &[String] {
        self.values.get(name).map_or(&[], |(values, _)| values)
    }

    /// The text of a setting; the last one where several were given.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.list(name).last().map(String::as_str)
    }

    /// Where a setting came from.
    pub fn origin(&self, name: &str) -> Origin {
        self.values.get(name).map_or(Origin::Default, |(_, origin)| origin.clone())
    }

    /// The setting, read by `parse`; its error becomes one that names the origin.
    pub fn parse<T>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        self.text(name).map(|text| parse(text).map_err(|reason| self.error(name, reason))).transpose()
    }

    /// As [`Settings::parse`], for a setting that has a default.
    pub fn required<T>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        self.parse(name, parse)?.ok_or_else(|| self.error(name, "a value is needed".to_owned()))
    }

    /// An error about the value of `name`.
    pub fn error(&self, name: &str, reason: String) -> ConfigError {
        ConfigError::Value { origin: self.origin(name), reason }
    }

    /// The settings as they are shown: `run --dry-run` prints them.
    pub fn shown(&self) -> Vec<Shown> {
        Key::of(self.command)
            .filter_map(|key| {
                let (values, origin) = self.values.get(key.name)?;
                let value = match key.name {
                    _ if key.secret => "(hidden)".to_owned(),
                    "uri" => without_credentials(&values.join(", ")),
                    _ => values.join(", "),
                };
                Some(Shown { name: key.name, value, origin: origin.clone() })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(given: &[(&str, &str)]) -> Layer {
        Layer::flags(Command::Run, given.iter().map(|(k, v)| ((*k).to_owned(), vec![(*v).to_owned()])))
    }

    fn environment(given: &[(&str, &str)]) -> Layer {
        Layer::environment(Command::Run, |name| {
            given.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn file(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        (directory, path)
    }

    #[test]
    fn the_strongest_layer_wins_and_its_origin_is_known() {
        let (_keep, env_path) = file("config.env", "USERS=3\nRUN_TIME=1m\n");
        let (_keep, toml_path) = file("a.toml", "users = 4\ndrain = \"7s\"\n");
        let layers = [
            flags(&[("users", "1")]),
            environment(&[("USERS", "2"), ("SPAWN_RATE", "5")]),
            Layer::env_file(Command::Run, &env_path).unwrap(),
            Layer::config_file(Command::Run, &toml_path).unwrap(),
            Layer::scenario("normal").unwrap(),
        ];
        let settings = Settings::resolve(Command::Run, &layers);
        for (name, value, rank) in [
            ("users", "1", 0),
            ("spawn-rate", "5", 1),
            ("run-time", "1m", 2),
            ("drain", "7s", 3),
            ("timeout", "10s", 5),
        ] {
            assert_eq!((settings.text(name), settings.origin(name).rank()), (Some(value), rank), "{name}");
        }
        assert_eq!(settings.origin("run-time").to_string(), format!("RUN_TIME in {}:2", env_path.display()));
        let scenario_only = Settings::resolve(Command::Run, &layers[4..]);
        assert_eq!(scenario_only.origin("run-time").to_string(), "scenario normal");
    }

    #[test]
    fn an_env_file_reads_as_a_shell_would() {
        let text = "# comment\n\nexport USERS=5 # five\nRUN_TIME=\"10m\"  # ten\nMILVUS_URI='http://a:1#x'\nLOAD_TEST_COLLECTION=a#b\nOTHER=x\nRARE_QUERY_LIMIT=\n";
        let (_keep, path) = file("config.env", text);
        let settings = Settings::resolve(Command::Run, &[Layer::env_file(Command::Run, &path).unwrap()]);
        assert_eq!(settings.text("users"), Some("5"));
        assert_eq!(settings.text("run-time"), Some("10m"));
        assert_eq!(settings.text("uri"), Some("http://a:1#x"));
        assert_eq!(settings.text("collection-name"), Some("a#b"));
        assert_eq!(settings.text("rare-query-limit"), Some("100"), "an empty variable is as if unset");
    }

    #[test]
    fn a_broken_line_is_named_without_what_might_be_a_secret() {
        let (_keep, path) = file("config.env", "USERS=1\nMILVUS TOKEN=root:secret\n");
        let error = Layer::env_file(Command::Run, &path).unwrap_err().to_string();
        assert!(error.contains(":2 is not KEY=value") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn host_and_port_make_the_uri_unless_it_is_given() {
        let uri = |given: &[(&str, &str)]| {
            Settings::resolve(Command::Run, &[environment(given)]).text("uri").map(str::to_owned).unwrap()
        };
        assert_eq!(uri(&[("MILVUS_HOST", "db"), ("MILVUS_PORT", "1234")]), "http://db:1234");
        assert_eq!(uri(&[("MILVUS_HOST", "db")]), "http://db:19530");
        assert_eq!(uri(&[("MILVUS_HOST", "db"), ("MILVUS_URI", "http://x:1")]), "http://x:1");
        assert_eq!(uri(&[]), "http://localhost:19530");
    }

    #[test]
    fn an_unknown_key_is_named_with_what_it_might_be() {
        for (text, hint) in
            [("run_time = \"5m\"", "`run-time`"), ("TARGET_QPS = 5", "`target-qps`"), ("zzz = 1", "--help")]
        {
            let (_keep, path) = file("a.toml", text);
            let error = Layer::config_file(Command::Run, &path).unwrap_err().to_string();
            assert!(error.contains("is not a setting") && error.contains(hint), "{error}");
        }
        let (_keep, path) = file("a.toml", "users = [1");
        assert!(Layer::config_file(Command::Run, &path).unwrap_err().to_string().contains("is not TOML"));
        let (_keep, path) = file("a.toml", "users = [1, 2]");
        assert!(Layer::config_file(Command::Run, &path).unwrap_err().to_string().contains("single value"));
        let error = Layer::scenario("nope").unwrap_err().to_string();
        assert!(error.contains("baseline, normal, peak, stress, endurance"), "{error}");
    }

    #[test]
    fn a_scenario_of_the_users_own_has_classes_stages_and_targets() {
        let text = "target = [\"p99 < 5ms\"]\n[[class]]\nname = \"hot\"\nkind = \"common\"\nweight = 3\n\
            [[class]]\nname = \"deep\"\nkind = \"rare\"\nweight = 1\nlimit = 100\n\
            [[stage]]\nlength = \"30s\"\nrate = \"0..100\"\n[[stage]]\nname = \"rush\"\nlength = \"1m\"\nrate = 100\n";
        let (_keep, path) = file("mine.toml", text);
        let settings = Settings::resolve(Command::Run, &[Layer::scenario(path.to_str().unwrap()).unwrap()]);
        assert_eq!(settings.list("class"), ["hot=common:3:10", "deep=rare:1:100"]);
        assert_eq!(settings.text("stages"), Some("30s:0..100,rush=1m:100"));
        let origin = settings.origin("target");
        assert!(origin.is_users_own() && origin.to_string().contains("mine.toml"), "{origin}");

        let (_keep, path) = file("mine.toml", "[[class]]\nname = \"a\"\nwieght = 3\n");
        let error = Layer::scenario(path.to_str().unwrap()).unwrap_err().to_string();
        assert!(error.contains("`wieght`") && error.contains("kind, weight"), "{error}");
        assert!(Layer::scenario("nowhere.toml").unwrap_err().to_string().contains("nowhere.toml"));
    }

    #[test]
    fn every_scenario_has_its_open_twin() {
        let names: Vec<&str> = SCENARIOS.iter().map(|(name, _)| *name).collect();
        for name in &names[..5] {
            assert!(names.contains(&format!("{name}-open").as_str()), "{name}");
            let settings = |name: &str| Settings::resolve(Command::Run, &[Layer::scenario(name).unwrap()]);
            assert!(settings(name).text("users").is_some() && settings(name).text("stages").is_none());
            assert!(settings(&format!("{name}-open")).text("stages").is_some());
        }
    }

    #[test]
    fn a_secret_is_never_shown() {
        let settings = Settings::resolve(Command::Run, &[environment(&[("MILVUS_TOKEN", "root:hush")])]);
        assert_eq!(settings.text("token"), Some("root:hush"));
        let settings = Settings::resolve(
            Command::Run,
            &[environment(&[("MILVUS_TOKEN", "root:hush"), ("MILVUS_URI", "http://root:hush@db:1")])],
        );
        assert!(!format!("{settings:?}").contains("hush"));
        assert!(settings.shown().iter().any(|shown| shown.name == "token" && shown.value == "(hidden)"));
    }

    #[test]
    fn an_error_names_the_origin() {
        let settings = Settings::resolve(Command::Run, &[flags(&[("run-time", "5x")])]);
        let error = settings.parse("run-time", crate::units::parse_duration).unwrap_err();
        assert_eq!(
            error.to_string(),
            "--run-time: `5x` is not a length of time; write it like 90s, 30m, 1h30m or 250ms"
        );
    }
}
