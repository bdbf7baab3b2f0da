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
    use super::*;

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
