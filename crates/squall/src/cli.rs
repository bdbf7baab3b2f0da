//! The command line: what was typed. What it means is decided by the configuration layers.

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use squall_core::config::SCENARIOS;
use squall_core::keys::{self, Key};

const AFTER_HELP: &str = "\
Exit codes:
  0    done
  1    it could not be done (no connection, no collection, disk full …)
  2    wrong usage or configuration
  3    a binding target was missed
  5    the result is invalid: the generator, not the server, was the limit
  130  interrupted

Start here:
  squall demo                                   everything at once, on an embedded server
  squall setup --uri http://localhost:19530     fill a collection of your Milvus
  squall run --uri http://localhost:19530 -u 100 -r 10 -t 5m";

/// The whole command line.
pub(crate) fn command() -> Command {
    Command::new("squall")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Load-tests the Milvus vector database the way production loads it")
        .after_help(AFTER_HELP)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .max_term_width(120)
        .subcommand(setup())
        .subcommand(run())
        .subcommand(analyze())
        .subcommand(demo())
        .subcommand(sandbox())
}

fn setup() -> Command {
    Command::new("setup")
        .about("Fill a collection: create, insert, index, load, settle, verify")
        .long_about(
            "Fill a collection: create, insert, index, load, settle, verify.\n\n\
             A collection that is already what you ask for is left as it is. Any other collection of that \
             name is left alone, too, unless --drop-existing is given.",
        )
        .args(settings(keys::Command::Setup))
        .args(files())
        .arg(
            flag("drop-existing")
                .help("Drop a collection of that name, whatever it is, and make it anew")
                .help_heading("Data"),
        )
        .arg(
            flag("resume")
                .help("Complete a collection that setup began: find what it lacks, from the server itself, and send just that")
                .conflicts_with_all(["drop-existing", "auto-id"])
                .help_heading("Data"),
        )
        .arg(
            flag("auto-id")
                .help("Let the server make the keys; no truth, no recall and no --resume then")
                .help_heading("Data"),
        )
        .arg(
            flag("describe")
                .help("Print fields, distributions, selectivity of each filter and sizes; make nothing, ask no server")
                .help_heading("Data"),
        )
        .arg(format_flag("the closing table, or the description,"))
        .args_conflicts_with_subcommands(true)
        .subcommand(setup_verify())
}

fn setup_verify() -> Command {
    Command::new("verify")
        .about("Look at a collection that setup has made, and say what is wrong and how to mend it")
        .long_about(
            "Look at a collection that setup has made, and say what is wrong and how to mend it.\n\n\
             Give the settings that it was made with. It looks at the dataset's identity, the index, whether the \
             collection is loaded, the number of rows, whether each key has one row, 1,000 random rows byte by \
             byte, and the recall of 100 searches. It changes nothing. Exit code 1 when anything is wrong.",
        )
        .args(settings(keys::Command::Setup))
        .args(files())
        .arg(
            flag("auto-id")
                .help("The server made the keys: rows are counted and no more")
                .help_heading("Data"),
        )
        .arg(format_flag("what was found"))
}

fn run() -> Command {
    let scenarios: Vec<&str> = SCENARIOS.iter().map(|(name, _)| *name).collect();
    Command::new("run")
        .about("Drive traffic, record one row a request, and report")
        .long_about(
            "Drive traffic, record one row a request, and report.\n\n\
             Closed loop (-u, -r): users who wait for their answer and think before they ask again, as in Locust.\n\
             Open loop (--rate): requests that are sent when they are due, however slow the server is, as in \
             production; latency counts from the moment a request was due.\n\n\
             The mix is 70 % common queries (Zipf over 1,000), 20 % filtered ones and 10 % rare ones with 100 hits; \
             COMMON_QUERY_WEIGHT, FILTERED_QUERY_WEIGHT, RARE_QUERY_WEIGHT and *_LIMIT change it.",
        )
        .args(settings(keys::Command::Run))
        .args(files())
        .arg(
            value("scenario", "NAME")
                .help(format!("A built-in scenario: {}", scenarios.join(", ")))
                .help_heading("Configuration"),
        )
        .arg(
            flag("dry-run")
                .help("Print the plan and where each value came from; send nothing")
                .help_heading("Configuration"),
        )
        .arg(value("csv", "PREFIX").help("Also write Locust's four CSV files, PREFIX_stats.csv …").help_heading("Output"))
        .arg(value("html", "FILE").help("Also write the HTML report to FILE").help_heading("Output"))
        .arg(format_flag("the run's summary.json"))
        .arg(flag("headless").hide(true))
        .arg(value("file", "FILE").long("locustfile").short('f').hide(true))
        .arg(flag("master").hide(true))
        .arg(flag("worker").hide(true))
        .arg(value("master-host", "HOST").hide(true))
}

fn analyze() -> Command {
    Command::new("analyze")
        .about("Make the report of a run again, also of one that was killed")
        .arg(
            Arg::new("run")
                .value_name("RUN")
                .required(true)
                .help("Run directory, such as data/runs/20260501T120000Z-run"),
        )
        .arg(
            value("reports", "DIR")
                .env("SQUALL_REPORTS")
                .default_value("reports")
                .help("Directory of reports"),
        )
        .arg(value("csv", "PREFIX").help("Also write Locust's four CSV files, PREFIX_stats.csv …"))
        .arg(value("html", "FILE").help("Also write the HTML report to FILE"))
        .arg(format_flag("the run's summary.json"))
}

fn demo() -> Command {
    Command::new("demo")
        .about("Start the sandbox, fill it, load it for 20 s and report: everything at once")
        .arg(value("data", "DIR").env("SQUALL_DATA").default_value("data").help("Directory of runs"))
        .arg(
            value("reports", "DIR")
                .env("SQUALL_REPORTS")
                .default_value("reports")
                .help("Directory of reports"),
        )
}

fn sandbox() -> Command {
    let number = |name: &'static str, help: &'static str| {
        value(name, "SHARE")
            .default_value("0")
            .help(help)
            .value_parser(value_parser!(f64))
            .help_heading("Faults")
    };
    Command::new("sandbox")
        .about("Serve the embedded Milvus-compatible server")
        .long_about(
            "Serve the embedded Milvus-compatible server: gRPC and REST v2 on one port, a real index, and faults \
             that you control. It prints `listening on URI` on stdout once it is ready.",
        )
        .arg(value("host", "ADDRESS").default_value("127.0.0.1").help("Address to bind to"))
        .arg(value("port", "PORT").default_value("19530").value_parser(value_parser!(u16)).help("Port; 0 takes a free one"))
        .arg(
            value("engine", "ENGINE")
                .default_value("hnsw")
                .value_parser(["hnsw", "null"])
                .help("hnsw: a real index; null: the same answer to every search, at once"),
        )
        .arg(value("slots", "N").value_parser(value_parser!(usize)).help("Searches served at a time, first come first served; unlimited unless given").help_heading("Faults"))
        .arg(value("latency", "LAW").default_value("none").help("Delay of each search: none, fixed:5ms, uniform:1ms..9ms or lognormal:MEDIAN,SIGMA").help_heading("Faults"))
        .arg(value("stall", "AT:FOR").action(ArgAction::Append).help("Answer nothing for FOR, AT after the first search; may be repeated").help_heading("Faults"))
        .arg(number("error-rate", "Share of searches that fail with an error"))
        .arg(number("reject-rate", "Share of searches that are refused by a rate limit"))
        .arg(number("drop-rate", "Share of searches whose stream breaks without an answer"))
        .arg(value("seed", "N").default_value("42").value_parser(value_parser!(u64)).help("Seed of the faults"))
        .arg(value("log", "FILE").help("Write one CSV line a search: when it came, was started and was answered"))
        .arg(value("token", "TOKEN").env("SQUALL_SANDBOX_TOKEN").hide_env_values(true).help("Require this token"))
        .arg(flag("exit-with-stdin").help("End when standard input does"))
}

/// The settings of a command as flags. They have no defaults here: what is not typed must stay
/// unknown, so that a weaker layer can say it.
fn settings(command: keys::Command) -> Vec<Arg> {
    Key::of(command)
        .filter(|key| key.flag)
        .map(|key| {
            let mut help = key.help.to_owned();
            if let Some(default) = key.default {
                help.push_str(&format!(" [default: {default}]"));
            }
            if let Some(variable) = key.environment.first() {
                help.push_str(&format!(" [env: {variable}]"));
            }
            let mut arg =
                value(key.name, key.value).help(help).help_heading(key.heading).action(ArgAction::Append);
            if let Some(short) = key.short {
                arg = arg.short(short);
            }
            if let Some(alias) = key.alias {
                arg = arg.visible_alias(alias);
            }
            // A value such as `-1` must reach the check that says what is wrong with it.
            arg.allow_negative_numbers(true)
        })
        .collect()
}

/// The values typed for the settings of a command.
pub(crate) fn typed(command: keys::Command, matches: &ArgMatches) -> Vec<(String, Vec<String>)> {
    Key::of(command)
        .filter(|key| key.flag)
        .filter_map(|key| {
            let values = matches.get_many::<String>(key.name)?.cloned().collect();
            Some((key.name.to_owned(), values))
        })
        .collect()
}

fn files() -> [Arg; 2] {
    [
        value("config", "FILE.toml")
            .help("Settings from a TOML file, keys as the flags are named")
            .help_heading("Configuration"),
        value("env-file", "FILE")
            .help("Settings from KEY=value lines, as config.env has them")
            .help_heading("Configuration"),
    ]
}

fn format_flag(what: &str) -> Arg {
    value("format", "FORMAT")
        .default_value("text")
        .value_parser(["text", "json"])
        .help(format!("json: print {what} as JSON on stdout"))
        .help_heading("Output")
}

fn value(name: &'static str, value_name: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value_name)
}

fn flag(name: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_flag_is_typed_under_its_settings_name() {
        let matches = command().get_matches_from([
            "squall", "run", "-u", "5", "--host", "http://x", "--target", "a", "--target", "b",
        ]);
        let (_, matches) = matches.subcommand().unwrap();
        let typed = typed(keys::Command::Run, matches);
        let texts =
            |name: &str| typed.iter().find(|(known, _)| known == name).map(|(_, values)| values.clone());
        assert_eq!(texts("users"), Some(vec!["5".to_owned()]));
        assert_eq!(texts("uri"), Some(vec!["http://x".to_owned()]));
        assert_eq!(texts("target"), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(texts("rate"), None);
    }
}
