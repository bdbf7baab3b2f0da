//! The command line that repeats a run. It names no credentials: a plan has none.

use squall_core::keys::{Command, Key};
use squall_core::plan::{Load, Plan};
use squall_core::schema::Transport;
use squall_core::stages::format_stages;
use squall_core::units::format_duration;

/// The command, for a shell; `None` where no command line has this load.
pub(crate) fn command(plan: &Plan) -> Option<String> {
    let mut words = Words::default();
    words.always("uri", &plan.server.uri);
    words.always("collection-name", &plan.server.collection);
    if let Some(database) = &plan.server.database {
        words.flag("database", database);
    }
    if plan.server.transport != Transport::Grpc {
        words.flag("transport", "rest");
    }
    if asks_a_file(plan) {
        // Where the file lay is not part of the plan.
        words.always("queries", QUERY_FILE);
    }
    match &plan.load {
        Load::Closed { users, spawn_rate, think_time, run_time } => {
            words.always("users", &users.to_string());
            words.always("spawn-rate", &spawn_rate.to_string());
            words.always("think-time", &think_time.to_string());
            if let Some(run_time) = run_time {
                words.always("run-time", &format_duration(*run_time));
            }
        }
        Load::Open { arrivals, stages } => {
            match stages.as_slice() {
                [stage] if stage.name == "steady" && (stage.from - stage.to).abs() <= f64::EPSILON => {
                    words.always("rate", &stage.to.to_string());
                    if let Some(length) = stage.length {
                        words.always("run-time", &format_duration(length));
                    }
                }
                stages => words.always("stages", &format_stages(stages)?),
            }
            let arrivals = match arrivals {
                squall_core::schedule::Arrivals::Poisson => "poisson",
                squall_core::schedule::Arrivals::Even => "even",
            };
            words.always("arrivals", arrivals);
            words.flag("max-in-flight", &plan.max_in_flight.to_string());
        }
    }
    words.always("seed", &plan.seed.to_string());
    let warm_up = if plan.auto_warm_up { "auto".to_owned() } else { format_duration(plan.warm_up) };
    words.flag("warm-up", &warm_up);
    if let Some(give_up) = plan.give_up {
        words.flag("give-up", &format_duration(give_up));
    }
    words.flag("drain", &format_duration(plan.drain));
    words.flag("timeout", &format_duration(plan.timeout));
    words.flag("threads", &plan.threads.to_string());
    words.flag("connections", &plan.connections.to_string());
    if let Some(consistency) = plan.consistency {
        words.flag("consistency", &format!("{consistency:?}").to_ascii_lowercase());
    }
    if let Some(search_params) = &plan.search_params {
        words.flag("search-params", search_params);
    }
    if let Some(output_fields) = &plan.output_fields {
        words.flag("output-fields", &output_fields.join(","));
    }
    for target in plan.targets.iter().filter(|target| target.binding) {
        words.flag("target", &target.target.to_string());
    }
    for (key, value) in &plan.labels {
        words.flag("label", &format!("{key}={value}"));
    }
    words.flag("name", &plan.name);
    let reference =
        plan.classes.len() == 3 && plan.classes.iter().all(|class| class.name == class.kind.name());
    for class in &plan.classes {
        if !reference {
            words.flag("class", &class.to_string());
            continue;
        }
        words.variable(&format!("{}-query-weight", class.name), &class.weight.to_string());
        words.variable(&format!("{}-query-limit", class.name), &class.limit.to_string());
    }
    words.variable("zipf-parameter", &plan.workload.zipf_exponent.to_string());
    words.variable("workload-seed", &plan.workload.seed.to_string());
    Some(words.line())
}

/// In place of the file of queries, whose path no run keeps.
const QUERY_FILE: &str = "QUERY_FILE";
/// How the identity of a file's content begins.
const FILE_QUERIES: &str = "file-";

/// Whether the query vectors come from a file of the user's.
fn asks_a_file(plan: &Plan) -> bool {
    plan.workload.query_file.is_some()
        || plan.workload.source.as_ref().is_some_and(|source| source.starts_with(FILE_QUERIES))
}

/// A command line in the making; what has its default value is left out.
#[derive(Default)]
struct Words {
    variables: Vec<String>,
    flags: Vec<String>,
}

impl Words {
    fn flag(&mut self, name: &str, value: &str) {
        if !is_default(name, value) {
            self.always(name, value);
        }
    }

    /// What a reader looks for first, whatever its default.
    fn always(&mut self, name: &str, value: &str) {
        self.flags.push(format!("--{name} {}", quoted(value)));
    }

    /// A setting that may have no flag of its own and then stands in the environment.
    fn variable(&mut self, name: &str, value: &str) {
        match Key::find(Command::Run, name) {
            Some(key) if key.flag => self.flag(name, value),
            Some(key) if !is_default(name, value) => {
                self.variables.push(format!("{}={}", key.squall_variable(), quoted(value)));
            }
            _ => {}
        }
    }

    fn line(self) -> String {
        let mut words = self.variables;
        words.push("squall run".to_owned());
        words.extend(self.flags);
        wrapped(&words)
    }
}

/// The words in lines that a shell reads as one.
fn wrapped(words: &[String]) -> String {
    const LONGEST: usize = 110;
    let (mut text, mut length) = (String::new(), 0);
    for (at, word) in words.iter().enumerate() {
        let own = word.chars().count();
        let before = match at {
            0 => "",
            _ if length + own > LONGEST => " \\\n    ",
            _ => " ",
        };
        length = if before.len() > 1 { 4 } else { length + before.len() } + own;
        text.push_str(before);
        text.push_str(word);
    }
    text
}

fn is_default(name: &str, value: &str) -> bool {
    Key::find(Command::Run, name).and_then(|key| key.default).is_some_and(|default| default == value)
}

/// A word as a POSIX shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+%@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use squall_core::config::{Layer, Settings};
    use squall_core::run_config::RunConfig;

    use super::*;

    fn plan(flags: BTreeMap<String, Vec<String>>, variables: &BTreeMap<String, String>) -> Plan {
        let layers = [
            Layer::flags(Command::Run, flags),
            Layer::environment(Command::Run, |name| variables.get(name).cloned()),
        ];
        RunConfig::new(&Settings::resolve(Command::Run, &layers)).unwrap().plan
    }

    /// The words of a command as a POSIX shell splits them.
    fn words(command: &str) -> Vec<String> {
        let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
        let mut rest = command.chars();
        while let Some(c) = rest.next() {
            match c {
                '\'' => {
                    quoted = !quoted;
                    word.get_or_insert_default();
                }
                c if quoted => word.get_or_insert_default().push(c),
                '\\' => match rest.next() {
                    Some('\n') | None => {}
                    Some(c) => word.get_or_insert_default().push(c),
                },
                c if c.is_whitespace() => words.extend(word.take()),
                c => word.get_or_insert_default().push(c),
            }
        }
        words.extend(word);
        words
    }

    /// The plan of a command as it is printed.
    fn parsed(command: &str, query_file: &str) -> Plan {
        let words = words(command);
        let program = words.iter().position(|word| word == "squall").unwrap();
        assert_eq!(words[program + 1], "run");
        let variables = words[..program].iter().map(|word| word.split_once('=').unwrap());
        let mut flags: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for pair in words[program + 2..].chunks(2) {
            let [name, value] = pair else { panic!("{pair:?}") };
            let value = if value == QUERY_FILE { query_file } else { value };
            flags.entry(name.trim_start_matches('-').to_owned()).or_default().push(value.to_owned());
        }
        plan(flags, &variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    #[test]
    fn the_command_asks_the_same_work_again() {
        let directory = tempfile::tempdir().unwrap();
        let queries = directory.path().join("it's.fvecs");
        let vector = |first: f32| -> Vec<u8> {
            let values = [first, 1.0].map(f32::to_le_bytes).concat();
            [2_i32.to_le_bytes().to_vec(), values].concat()
        };
        std::fs::write(&queries, [vector(0.5), vector(0.25)].concat()).unwrap();
        let queries = queries.to_str().unwrap();
        let cases: [&[(&str, &str)]; 8] = [
            &[("users", "50"), ("spawn-rate", "5"), ("run-time", "2m"), ("think-time", "0..1s")],
            &[("rate", "120.5"), ("run-time", "90s"), ("arrivals", "even"), ("max-in-flight", "7")],
            &[("stages", "10s:0..200,1m:200,30s:200..50,45s:50"), ("warm-up", "5s")],
            &[("rate", "9"), ("run-time", "1m"), ("transport", "rest"), ("consistency", "strong")],
            &[
                ("rate", "9"),
                ("run-time", "1m"),
                ("search-params", "{\"nprobe\": 16, \"it\": \"it's\"}"),
                ("output-fields", "id,price"),
            ],
            &[
                ("rate", "9"),
                ("run-time", "1m"),
                ("common-query-weight", "1"),
                ("rare-query-limit", "33"),
                ("zipf-parameter", "1.1"),
                ("workload-seed", "77"),
            ],
            &[("rate", "9"), ("run-time", "1m"), ("class", "mine=filtered:3:20")],
            &[("rate", "9"), ("run-time", "1m"), ("queries", queries)],
        ];
        let none = BTreeMap::new();
        let mut keys = std::collections::BTreeSet::new();
        for case in cases {
            let flags = case.iter().map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()]));
            let mut asked = plan(flags.collect(), &none);
            // A run reads its plan back without the path.
            asked.workload.query_file = None;
            let command = command(&asked).unwrap();
            assert_eq!(command.contains(QUERY_FILE), case.iter().any(|(name, _)| *name == "queries"));
            let again = parsed(&command, queries);
            assert_eq!(again.work_key(), asked.work_key(), "{command}");
            assert_eq!((again.seed, again.warm_up), (asked.seed, asked.warm_up), "{command}");
            keys.insert(asked.work_key());
        }
        assert_eq!(keys.len(), cases.len(), "each is other work");
    }

    #[test]
    fn a_word_survives_the_shell() {
        assert_eq!(quoted("http://10.0.0.5:19530"), "http://10.0.0.5:19530");
        assert_eq!(quoted("p99 < 120ms"), "'p99 < 120ms'");
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn a_long_command_is_one_for_the_shell() {
        let words: Vec<String> = (0..40).map(|word| format!("--label key={word}")).collect();
        let text = wrapped(&words);
        assert!(text.lines().count() > 3 && text.lines().all(|line| line.len() < 115), "{text}");
        assert_eq!(text.replace(" \\\n    ", " "), words.join(" "));
    }
}
