//! The command line: what was typed. What it means is decided by the configuration layers.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use squall_core::config::SCENARIOS;
use squall_core::keys::{self, Key};

const AFTER_HELP: &str = "\
Exit codes:
  0    done
  1    it could not be done (no connection, no collection, disk full …)
  2    wrong usage or configuration, or unlike runs
  3    a binding target was missed
  4    a regression against the base
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
        .subcommand(baseline())
        .subcommand(demo())
        .subcommand(sandbox())
}

fn setup() -> Command {
    Command::new("setup")
        .about("Fill a collection: create, insert, index, load, settle, verify")
        .long_about(
            "Fill a collection: create, insert, index, load, settle, verify.\n\n\
             A collection that is already what you ask for is left as it is. Any other collection of that \
             name is left alone, too, unless --drop-existing is given. Before anything is dropped or sent, an empty \
             collection NAME_squall_probe_… is made and dropped, so that what the server refuses costs nothing.",
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
                .help("Complete a collection that setup began: find lost and doubled rows, from the server itself, and send just what it lacks. All keys of up to 2,000,000 rows are read; of more, ranges of 8,000 keys are counted, in which a lost and a doubled row hide each other")
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
             Give the settings that it was made with. It looks at the dataset's identity, shards, partitions and \
             consistency, the indexes, whether the collection is loaded, the number of rows, whether each key has \
             one row, 1,000 random rows byte by byte, and the recall of 100 searches. It changes nothing. Exit code \
             1 when anything is wrong.",
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
             Open loop (--rate, --stages): requests that are sent when they are due, however slow the server is, as in \
             production; latency counts from the moment a request was due.\n\n\
             Shards (--shard 0/3, 1/3, 2/3 with the same --run-id and --start-at): processes that send one plan \
             together, on as many machines; each request is the same as if one process had sent it.\n\n\
             The mix is 70 % common queries (Zipf over 1,000), 20 % filtered ones and 10 % rare ones with 100 hits; \
             COMMON_QUERY_WEIGHT, FILTERED_QUERY_WEIGHT, RARE_QUERY_WEIGHT and *_LIMIT change it.",
        )
        .args(settings(keys::Command::Run))
        .args(files())
        .arg(
            value("scenario", "NAME|FILE.toml")
                .help(format!(
                    "A built-in scenario ({}), or a file of your own with classes, stages and targets",
                    scenarios.join(", ")
                ))
                .help_heading("Configuration"),
        )
        .arg(
            value("find-max", "TARGET")
                .help("Find the highest rate at which a bound such as 'p99 < 120ms' holds, from --rate (else 100/s) on: steps of 15 s and more, each a run of its own; exit code 3 where none holds it")
                .conflicts_with_all(["csv", "html", "junit", "markdown", "baseline", "fail-on"])
                .help_heading("Load"),
        )
        .arg(value("find-max-pace", "FACTOR").value_parser(value_parser!(f64)).requires("find-max").hide(true))
        .arg(
            flag("dry-run")
                .help("Print the plan and where each value came from; send nothing")
                .help_heading("Configuration"),
        )
        .arg(value("csv", "PREFIX").help("Also write Locust's four CSV files, PREFIX_stats.csv …").help_heading("Output"))
        .arg(value("html", "FILE").help("Also write the HTML report to FILE").help_heading("Output"))
        .arg(junit().help_heading("Output"))
        .arg(markdown().help_heading("Output"))
        .arg(
            value("baseline", "RUN")
                .value_delimiter(',')
                .help("End with the comparison with these runs, or with a name that `squall baseline set` gave; exit code 4 for a regression")
                .help_heading("Output"),
        )
        .arg(fail_on().help_heading("Output"))
        .arg(format_flag("the run's summary.json"))
        .arg(flag("headless").hide(true))
        .arg(value("file", "FILE").long("locustfile").short('f').hide(true))
        .arg(flag("master").hide(true))
        .arg(flag("worker").hide(true))
        .arg(value("master-host", "HOST").hide(true))
}

fn analyze() -> Command {
    Command::new("analyze")
        .about("Report on a run, compare runs, or follow their history; offline, from what they left on disk")
        .long_about(
            "Report on a run, compare runs, or follow their history; offline, from what they left on disk.\n\n\
             `squall analyze RUN` is `squall analyze report RUN`.",
        )
        .args(report_args())
        .args_conflicts_with_subcommands(true)
        .subcommand_negates_reqs(true)
        .subcommand(
            Command::new("report")
                .about("Make the report of a run again, also of one that was killed")
                .args(report_args()),
        )
        .subcommand(compare())
        .subcommand(trend())
        .subcommand(import())
}

fn report_args() -> [Arg; 7] {
    [
        Arg::new("run")
            .value_name("RUN")
            .required(true)
            .num_args(1..)
            .help("Run directory, such as data/runs/20260501T120000Z-run; or all the shards' directories of one run"),
        reports(),
        value("csv", "PREFIX").help("Also write Locust's four CSV files, PREFIX_stats.csv …"),
        value("html", "FILE").help("Also write the HTML report to FILE"),
        junit(),
        markdown(),
        format_flag("the run's summary.json"),
    ]
}

fn junit() -> Arg {
    value("junit", "FILE").help("Also write the targets as JUnit's test cases")
}

fn markdown() -> Arg {
    value("markdown", "FILE")
        .help("Also write verdict, targets and what changed (of a run with --baseline, the comparison) as Markdown, for a pull request")
}

fn compare() -> Command {
    let runs = |name: &'static str, help: &'static str| {
        value(name, "RUN[,RUN…]").required(true).value_delimiter(',').action(ArgAction::Append).help(help)
    };
    Command::new("compare")
        .about("Tell whether new runs differ from earlier ones, and by how much")
        .long_about(
            "Tell whether new runs differ from earlier ones, and by how much: every figure with the 95 % interval \
             of its change and one of four words: same, regressed, improved, unclear.\n\n\
             The runs must be alike (work key, dataset, rows, index, host class) and valid. Several runs a side show \
             what runs differ by among themselves; one run a side cannot.\n\n\
             Exit code 4 when a --fail-on rule is broken or, without rules, when a figure regressed.",
        )
        .arg(runs("base", "Run directories of before, or names that `squall baseline set` gave; of a run in shards all of them"))
        .arg(runs("new", "Run directories of now"))
        .arg(data())
        .arg(
            value("allow-difference", "KEY")
                .action(ArgAction::Append)
                .help("Compare although this differs: work_key, dataset, rows, index or host_class; may be repeated"),
        )
        .arg(fail_on())
        .arg(
            value("margin", "PERCENT")
                .default_value("5")
                .value_parser(margin)
                .help("A difference that nobody minds: within it figures are the same"),
        )
        .arg(reports())
        .arg(value("markdown", "FILE").value_parser(value_parser!(PathBuf)).help("Also write the comparison as Markdown, for a pull request"))
        .arg(format_flag("the comparison"))
}

fn trend() -> Command {
    let directory = || {
        Arg::new("directory")
            .value_name("DIR")
            .value_parser(value_parser!(PathBuf))
            .help("Directory of runs, instead of runs/ in --data")
    };
    let many =
        |name: &'static str, value_name: &'static str| value(name, value_name).action(ArgAction::Append);
    Command::new("trend")
        .about("Follow the figures of like runs over time, and tell where they changed")
        .long_about(
            "Follow the figures of like runs over time, and tell where they changed.\n\n\
             Runs are joined where work key, dataset, rows, index and host class agree; the server's version and the labels \
             may change, and a change names those that did.\n\n\
             Exit code 4 when a figure regressed among the last runs of a series and `squall analyze trend accept RUN` \
             has not accepted it.",
        )
        .args_conflicts_with_subcommands(true)
        .arg(directory())
        .arg(data())
        .arg(
            many("metric", "METRIC,…")
                .value_delimiter(',')
                .help("Figures such as p99 or recall(rare) [default: qps,p50,p99,error_rate,recall]"),
        )
        .arg(many("where", "KEY=VALUE").help("Only runs with this label, such as branch=main; may be repeated"))
        .arg(value("since", "TIME").help("Only runs since then: 30d ago, or a date such as 2026-05-01"))
        .arg(
            value("window", "N")
                .default_value("10")
                .value_parser(value_parser!(usize))
                .help("How many of the last runs of a series a regression must be among to be exit code 4"),
        )
        .arg(
            value("margin", "PERCENT")
                .default_value("5")
                .value_parser(margin)
                .help("A change that nobody minds: only larger ones are listed, of error and short rate those above 0.1 points, of recall above 0.5"),
        )
        .arg(reports())
        .arg(format_flag("the history"))
        .subcommand(
            Command::new("accept")
                .about("Accept the change that begins with a run: it is exit code 4 no more")
                .arg(Arg::new("run").value_name("RUN").required(true).help("The run that trend says the change begins with"))
                .arg(value("metric", "METRIC").help("Only of this figure; of all unless given"))
                .arg(value("reason", "TEXT").help("Why it is accepted"))
                .arg(directory().long("runs"))
                .arg(data()),
        )
}

fn import() -> Command {
    let tool = |name: &'static str, about: &'static str, source: &'static str, help: &'static str| {
        Command::new(name)
            .about(about)
            .arg(Arg::new("source").value_name(source).required(true).help(help))
            .arg(
                value("name", "NAME")
                    .help("Name of the run; runs of one tool and name are one series [default: the file's]"),
            )
            .arg(
                value("started", "TIME")
                    .help("When it was measured, such as 2026-05-01T12:00:00Z [default: as the file says]"),
            )
            .arg(
                value("label", "KEY=VALUE")
                    .action(ArgAction::Append)
                    .help("Kept with the run; may be repeated"),
            )
            .arg(data())
    };
    Command::new("import")
        .about("Let what another tool measured enter the history, as aggregates")
        .long_about(
            "Let what another tool measured enter the history, as aggregates.\n\n\
             `squall analyze trend` shows such runs in series of their own; `squall analyze compare` refuses them, for \
             nothing says how far chance moves an aggregate.",
        )
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(tool(
            "locust",
            "What locust --csv PREFIX wrote",
            "PREFIX",
            "The prefix that Locust was given: PREFIX_stats.csv and, for the time, PREFIX_stats_history.csv",
        ))
        .subcommand(tool("k6", "What k6 run --out csv=FILE.csv wrote", "FILE.csv", "The file"))
}

fn fail_on() -> Arg {
    value("fail-on", "RULE")
        .action(ArgAction::Append)
        .help("What makes a difference a failure, such as 'p99 > 5%' or 'qps(common) <= -3%'; of a response time each failed request is infinitely late; a rule of which the rows say nothing counts as broken; may be repeated")
}

fn baseline() -> Command {
    Command::new("baseline")
        .about("Name runs that others are compared with, so that CI can say --baseline main")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("set")
                .about("Let a name stand for runs")
                .arg(Arg::new("name").value_name("NAME").required(true).help("The name, such as main"))
                .arg(
                    Arg::new("run")
                        .value_name("RUN[,RUN…]")
                        .required(true)
                        .value_delimiter(',')
                        .action(ArgAction::Append)
                        .help("Run directories below runs/ in --data"),
                )
                .arg(data()),
        )
        .subcommand(
            Command::new("show")
                .about("Print the runs behind a name, or all names")
                .arg(Arg::new("name").value_name("NAME").help("The name"))
                .arg(data()),
        )
}

fn data() -> Arg {
    value("data", "DIR").env("SQUALL_DATA").default_value("data").help("Directory of runs and baselines")
}

fn margin(text: &str) -> Result<f64, String> {
    let number = text.trim_end_matches('%').trim().parse::<f64>();
    number
        .ok()
        .filter(|margin| *margin > 0.0 && *margin < 100.0)
        .ok_or_else(|| format!("`{text}` is not a margin; write a number of per cent above 0 and below 100"))
}

fn reports() -> Arg {
    value("reports", "DIR").env("SQUALL_REPORTS").default_value("reports").help("Directory of reports")
}

fn demo() -> Command {
    Command::new("demo")
        .about("Start the sandbox, fill it, load it for 20 s and report: everything at once")
        .arg(value("data", "DIR").env("SQUALL_DATA").default_value("data").help("Directory of runs"))
        .arg(reports())
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
        .arg(number("insert-reject-rate", "Share of inserts that are refused by a rate limit"))
        .arg(number("insert-drop-rate", "Share of inserts whose stream breaks: half of them before the rows were taken, half after"))
        .arg(value("max-message-bytes", "N").value_parser(value_parser!(usize)).help("Largest gRPC message that is read [default: 67108864]").help_heading("Faults"))
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
            if key.switch {
                arg = arg.num_args(0..=1).require_equals(true).default_missing_value("true");
            }
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
