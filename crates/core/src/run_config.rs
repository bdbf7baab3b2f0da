//! From settings to a plan: every value is parsed and checked here, before anything is sent.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::config::{ConfigError, Origin, Settings};
use crate::dataset::{DIMENSIONS, DatasetError};
use crate::plan::{Class, Load, MAX_LIMIT, Plan, ServerTarget, Shard, ThinkTime, reference_classes};
use crate::request::{RequestError, Requests};
use crate::schedule::{Arrivals, Stage, StageKind};
use crate::schema::{Consistency, Transport};
use crate::stages::parse_stages;
use crate::target::{Comparison, Figure, PlannedTarget, Target};
use crate::units::{parse_duration, parse_rate};
use crate::uri::without_credentials;
use crate::workload::{QueryKind, Workload};

/// What `squall run` does: the plan, and what is not part of it.
#[derive(Clone, Debug)]
pub struct RunConfig {
    /// The plan. Its workload has 768 dimensions until the collection has been looked at, unless
    /// the user gave a dimension.
    pub plan: Plan,
    /// The dimension that the user gave; the collection's must equal it.
    pub dimension: Option<u32>,
    /// Where run directories go.
    pub data: PathBuf,
    /// Where reports go.
    pub reports: PathBuf,
    /// What the user should know, in sentences.
    pub notes: Vec<String>,
    /// Which slice of the plan this process sends, and what its shards share.
    pub part: Option<Part>,
    /// Whether workers are pinned to cores.
    pub pin: bool,
    /// The server's metrics page, where the user named one.
    pub metrics_url: Option<String>,
}

/// One shard of a run that several processes make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which slice.
    pub shard: Shard,
    /// The run's id.
    pub run_id: String,
    /// Time 0.
    pub start_at: DateTime<Utc>,
}

impl RunConfig {
    /// Parses and checks the settings of `squall run`.
    pub fn new(settings: &Settings) -> Result<Self, ConfigError> {
        let mut notes = Vec::new();
        let mut dimension = settings.parse("dimension", parse_dimension)?;
        let mut workload =
            Workload::reference(settings.required("workload-seed", number::<u64>)?, dimension.unwrap_or(768));
        if settings.text("queries").is_some() {
            workload = with_queries(settings, workload, dimension, &mut notes)?;
            dimension = Some(workload.dimension);
        }
        workload.zipf_exponent = settings.required("zipf-parameter", number::<f64>)?;
        let classes = classes(settings, &workload, &mut notes)?;
        let load = load(settings, &mut notes)?;
        let closed = matches!(load, Load::Closed { .. });
        let plan = Plan {
            name: settings.required("name", non_empty)?,
            labels: labels(settings)?,
            server: server_target(settings)?,
            targets: targets(settings, &classes)?,
            workload,
            classes,
            load,
            seed: settings.required("seed", number::<u64>)?,
            warm_up: settings.required("warm-up", parse_warm_up)?.unwrap_or_default(),
            auto_warm_up: settings.required("warm-up", parse_warm_up)?.is_none(),
            give_up: settings.parse("give-up", positive_duration)?,
            drain: settings.required("drain", parse_duration)?,
            timeout: settings.required("timeout", positive_duration)?,
            // The users are the bound of a closed loop.
            max_in_flight: if closed { 0 } else { settings.required("max-in-flight", positive::<u32>)? },
            threads: settings.parse("threads", positive::<u16>)?.unwrap_or(1),
            connections: settings.required("connections", positive::<u16>)?,
            consistency: settings.parse("consistency", Consistency::from_str)?,
            search_params: settings.parse("search-params", json_object)?,
            output_fields: settings.parse("output-fields", field_list)?,
        };
        let shard = part(settings)?;
        if shard.is_some() && plan.targets.iter().any(|planned| planned.target.abort.is_some()) {
            return Err(settings.error(
                "target",
                "a shard sees only its own requests, so it cannot abort by a target; leave `abort` out"
                    .to_owned(),
            ));
        }
        notes.extend(unreachable_rate(&plan));
        if let Some(length) = plan.length()
            && plan.measured(None).is_empty()
        {
            let reason = if closed {
                "the users are still being spawned when the run ends, so nothing would be measured; raise --spawn-rate or --run-time"
            } else if plan.stages().iter().all(|stage| stage.kind == StageKind::Ramp) {
                "every stage is a ramp, so nothing would be measured; add a stage with a constant rate"
            } else {
                "the warm-up takes the whole run, so nothing would be measured; shorten --warm-up or raise --run-time"
            };
            let length = crate::units::format_duration(length);
            return Err(ConfigError::Conflict(format!("with a run time of {length} {reason}")));
        }
        Ok(Self {
            plan,
            dimension,
            data: settings.required("data", non_empty)?.into(),
            reports: settings.required("reports", non_empty)?.into(),
            notes,
            part: shard,
            pin: settings.parse("pin", truth)?.unwrap_or(false),
            metrics_url: settings.parse("metrics-url", non_empty)?,
        })
    }
}

/// What the users of a closed loop cannot reach though a target asks for it.
fn unreachable_rate(plan: &Plan) -> Option<String> {
    let (Load::Closed { users, think_time, .. }, most) = (&plan.load, plan.most_reachable_rate()?) else {
        return None;
    };
    let wanted = plan.targets.iter().map(|planned| &planned.target).find(|target| {
        let wants_more = matches!(target.comparison, Comparison::Above | Comparison::AtLeast);
        target.figure == Figure::Qps && target.class.is_none() && wants_more && target.bound > most
    })?;
    let pause = think_time.mean().as_secs_f64();
    Some(format!(
        "{users} users who think {pause} s on average ask at most {most:.0} requests/s, however fast the server is, so the target {wanted} cannot be met; give more --users, or an open loop (--rate, --stages, or a scenario's -open twin)"
    ))
}

/// `--shard`, `--run-id` and `--start-at`, which belong together.
fn part(settings: &Settings) -> Result<Option<Part>, ConfigError> {
    let names = ["shard", "run-id", "start-at"];
    let given: Vec<&str> = names.into_iter().filter(|name| settings.text(name).is_some()).collect();
    if given.is_empty() {
        return Ok(None);
    }
    if let Some(missing) = names.into_iter().find(|name| !given.contains(name)) {
        return Err(ConfigError::Conflict(format!(
            "{} needs --{missing}: every shard of a run is given --shard i/n and the same --run-id and --start-at",
            settings.origin(given[0])
        )));
    }
    Ok(Some(Part {
        shard: settings.required("shard", Shard::from_str)?,
        run_id: settings.required("run-id", non_empty)?,
        start_at: settings.required("start-at", instant)?,
    }))
}

/// An instant with its offset to UTC, or in UTC.
fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    let text = text.trim();
    DateTime::parse_from_rfc3339(text)
        .or_else(|_| DateTime::parse_from_rfc3339(&format!("{text}Z")))
        .map(|instant| instant.with_timezone(&Utc))
        .map_err(|_| format!("`{text}` is not an instant; write it in UTC like 2026-05-01T12:30:00Z"))
}

/// Yes or no.
fn truth(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(format!("`{text}` is neither true nor false")),
    }
}

/// A warm-up; `None` is `auto`.
fn parse_warm_up(text: &str) -> Result<Option<Duration>, String> {
    if text.trim() == "auto" { Ok(None) } else { parse_duration(text).map(Some) }
}

/// Where `setup` and `run` connect to, without credentials.
pub fn server_target(settings: &Settings) -> Result<ServerTarget, ConfigError> {
    Ok(ServerTarget {
        // `user:password@` serves as the token; it must not reach run.json or a report.
        uri: settings.required("uri", |text| non_empty(text).map(|uri| without_credentials(&uri)))?,
        database: settings.text("database").map(str::to_owned),
        collection: settings.required("collection-name", non_empty)?,
        transport: settings.required("transport", Transport::from_str)?,
    })
}

fn classes(
    settings: &Settings,
    workload: &Workload,
    notes: &mut Vec<String>,
) -> Result<Vec<Class>, ConfigError> {
    let own = !settings.list("class").is_empty();
    let classes = if own { own_classes(settings, notes)? } else { the_references_classes(settings)? };
    Requests::new(0, workload, &classes).map_err(|error| match &error {
        RequestError::Weight { .. } if own => settings.error("class", error.to_string()),
        RequestError::Weight { class, .. } => {
            settings.error(&format!("{class}-query-weight"), error.to_string())
        }
        RequestError::Zipf(_) => settings.error("zipf-parameter", error.to_string()),
        RequestError::NoWeight => ConfigError::Conflict(error.to_string()),
    })?;
    let sum: f64 = classes.iter().map(|class| class.weight).sum();
    if !own && (sum - 100.0).abs() > 1e-9 {
        notes.push(format!(
            "the class weights add up to {sum}, not 100; they are taken as relative to each other"
        ));
    }
    Ok(classes)
}

fn the_references_classes(settings: &Settings) -> Result<Vec<Class>, ConfigError> {
    let mut classes = reference_classes();
    for class in &mut classes {
        class.weight = settings.required(&format!("{}-query-weight", class.name), number::<f64>)?;
        class.limit = settings.required(&format!("{}-query-limit", class.name), parse_limit)?;
    }
    Ok(classes)
}

/// The classes of `--class` or a scenario file; the reference's weights and limits do not matter then.
fn own_classes(settings: &Settings, notes: &mut Vec<String>) -> Result<Vec<Class>, ConfigError> {
    let mut classes: Vec<Class> = Vec::new();
    for text in settings.list("class") {
        let class: Class = text.parse().map_err(|reason| settings.error("class", reason))?;
        if classes.iter().any(|known| known.name == class.name) {
            return Err(settings.error("class", format!("two classes are called `{}`", class.name)));
        }
        classes.push(class);
    }
    if classes.len() > usize::from(u8::MAX) {
        return Err(settings.error("class", format!("{} classes are more than 255", classes.len())));
    }
    for kind in QueryKind::ALL {
        for what in ["weight", "limit"] {
            let origin = settings.origin(&format!("{}-query-{what}", kind.name()));
            if origin.is_users_own() {
                let classes = settings.origin("class");
                notes.push(format!("{origin} has no effect: {classes} says what the classes are"));
            }
        }
    }
    Ok(classes)
}

/// The strongest of users, rate and stages decides the model.
fn load(settings: &Settings, notes: &mut Vec<String>) -> Result<Load, ConfigError> {
    let run_time = settings.parse("run-time", positive_duration)?;
    let mut given: Vec<(&str, Origin)> = ["users", "rate", "stages"]
        .into_iter()
        .filter(|name| settings.text(name).is_some())
        .map(|name| (name, settings.origin(name)))
        .collect();
    given.sort_by_key(|(_, origin)| origin.rank());
    let (chosen, origin) = given.first().cloned().expect("users have a default");
    let others = &given[1..];
    if let Some((_, other)) = others.iter().find(|(_, other)| other.rank() == origin.rank()) {
        return Err(ConfigError::Conflict(format!(
            "{origin} and {other} contradict each other: users make a closed loop, a rate or stages an open one; give one of them"
        )));
    }
    for (_, other) in others.iter().filter(|(_, other)| *other != Origin::Default) {
        notes.push(if chosen == "users" {
            format!("{origin} is stronger than {other}: this is a closed loop")
        } else {
            format!("{other} has no effect: {origin} makes this an open loop")
        });
    }
    if chosen == "users" {
        return Ok(Load::Closed {
            users: settings.required("users", positive::<u32>)?,
            spawn_rate: settings.required("spawn-rate", parse_rate)?,
            think_time: settings.required("think-time", ThinkTime::from_str)?,
            run_time,
        });
    }
    for closed_only in ["spawn-rate", "think-time"] {
        if settings.origin(closed_only).is_users_own() {
            let closed_only = settings.origin(closed_only);
            notes.push(format!("{closed_only} has no effect: {origin} makes this an open loop"));
        }
    }
    let arrivals = settings.required("arrivals", Arrivals::from_str)?;
    if chosen == "stages" {
        if run_time.is_some() {
            let run_time = settings.origin("run-time");
            if matches!(run_time, Origin::Flag(_)) || run_time.rank() == origin.rank() {
                return Err(ConfigError::Conflict(format!(
                    "{run_time} contradicts {origin}: each stage has its own length; leave the run time out, or give a --rate instead of stages"
                )));
            }
            notes.push(format!(
                "{run_time} has no effect on the length of the run: each stage of {origin} has its own"
            ));
        }
        return Ok(Load::Open { arrivals, stages: settings.required("stages", parse_stages)? });
    }
    let rate = settings.required("rate", parse_rate)?;
    let stage =
        Stage { name: "steady".to_owned(), kind: StageKind::Steady, length: run_time, from: rate, to: rate };
    Ok(Load::Open { arrivals, stages: vec![stage] })
}

/// The reference's five targets, binding where the user gave them, and those of `--target`.
fn targets(settings: &Settings, classes: &[Class]) -> Result<Vec<PlannedTarget>, ConfigError> {
    let reference = [
        ("target-qps", Figure::Qps, Comparison::AtLeast),
        ("target-p50-ms", Figure::P50, Comparison::Below),
        ("target-p95-ms", Figure::P95, Comparison::Below),
        ("target-p99-ms", Figure::P99, Comparison::Below),
        ("target-error-rate", Figure::ErrorRate, Comparison::Below),
    ];
    let mut targets = Vec::new();
    for (name, figure, comparison) in reference {
        let bound = settings.required(name, |text| {
            let bound: f64 = number(text)?;
            if figure == Figure::ErrorRate && bound > 1.0 {
                return Err(format!("`{text}` is more than all requests; it is a fraction, 0.001 is 0.1 %"));
            }
            if bound >= 0.0 { Ok(bound) } else { Err(format!("`{text}` is below 0")) }
        })?;
        let target = Target::new(figure, None, comparison, bound);
        targets.push(PlannedTarget { target, binding: settings.origin(name).is_users_own() });
    }
    let binding = settings.origin("target").is_users_own();
    for text in settings.list("target") {
        let target: Target = text.parse().map_err(|error| settings.error("target", format!("{error}")))?;
        if let Some(class) = &target.class
            && !classes.iter().any(|known| known.name == *class)
        {
            let known: Vec<&str> = classes.iter().map(|class| class.name.as_str()).collect();
            let reason =
                format!("target `{text}` names the class `{class}`; the run has {}", known.join(", "));
            return Err(settings.error("target", reason));
        }
        targets.push(PlannedTarget { target, binding });
    }
    Ok(targets)
}

fn labels(settings: &Settings) -> Result<Vec<(String, String)>, ConfigError> {
    let mut seen = HashSet::new();
    let mut labels = Vec::new();
    for text in settings.list("label") {
        let (key, value) = text
            .split_once('=')
            .map(|(key, value)| (key.trim(), value.trim()))
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| settings.error("label", format!("`{text}` is not key=value")))?;
        if !seen.insert(key.to_owned()) {
            return Err(settings.error("label", format!("the label `{key}` is given twice")));
        }
        labels.push((key.to_owned(), value.to_owned()));
    }
    Ok(labels)
}

/// Reads a number of type `T`.
pub fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.trim().replace('_', "").parse().map_err(|_| format!("`{text}` is not a number that fits here"))
}

/// Reads a whole number of at least 1.
pub fn positive<T: FromStr + PartialOrd + From<u8>>(text: &str) -> Result<T, String> {
    match number::<T>(text) {
        Ok(value) if value >= T::from(1) => Ok(value),
        _ => Err(format!("`{text}` is not a whole number of at least 1 that fits here")),
    }
}

/// The workload with the query vectors of the file that `queries` names, which must have the dimension
/// that is wanted.
pub fn with_queries(
    settings: &Settings,
    workload: Workload,
    wanted: Option<u32>,
    notes: &mut Vec<String>,
) -> Result<Workload, ConfigError> {
    let Some(path) = settings.text("queries").map(Path::new) else { return Ok(workload) };
    let failed = |error: DatasetError| settings.error("queries", error.to_string());
    let workload = workload.with_query_file(path).map_err(failed)?;
    if let Some(wanted) = wanted.filter(|wanted| *wanted != workload.dimension) {
        let (path, found) = (path.display(), workload.dimension);
        let reason = format!("the queries of {path} have {found} components, not {wanted}");
        return Err(settings.error("queries", reason));
    }
    notes.extend(workload.query_note().map_err(failed)?);
    Ok(workload)
}

/// Reads a vector dimension that Milvus takes.
pub fn parse_dimension(text: &str) -> Result<u32, String> {
    number::<u32>(text).ok().filter(|dimension| DIMENSIONS.contains(dimension)).ok_or_else(|| {
        format!("`{text}` is not a dimension; Milvus takes 2 to 32768, of binary vectors up to 262144")
    })
}

/// Reads a text that must not be empty.
pub fn non_empty(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("the value is empty".to_owned()) } else { Ok(text.to_owned()) }
}

/// Reads JSON that must be an object, and gives it back as compact text.
pub fn json_object(text: &str) -> Result<String, String> {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(value @ serde_json::Value::Object(_)) => Ok(value.to_string()),
        Ok(_) => Err(format!("`{text}` is not a JSON object; write it like {{\"nprobe\": 16}}")),
        Err(error) => Err(format!("`{text}` is not JSON ({error}); write it like {{\"nprobe\": 16}}")),
    }
}

fn parse_limit(text: &str) -> Result<u16, String> {
    number::<u16>(text)
        .ok()
        .filter(|limit| (1..=MAX_LIMIT).contains(limit))
        .ok_or_else(|| format!("`{text}` is not a number of hits; Milvus takes 1 to {MAX_LIMIT}"))
}

fn positive_duration(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err(format!("`{text}` is no time at all")),
        duration => Ok(duration),
    }
}

fn field_list(text: &str) -> Result<Vec<String>, String> {
    let fields: Vec<String> = text.split(',').map(|field| field.trim().to_owned()).collect();
    if fields.iter().any(String::is_empty) { Err(format!("`{text}` has an empty name")) } else { Ok(fields) }
}

/// Whether a class sends filters, so that the collection must have their fields.
pub fn asks_filtered(classes: &[Class]) -> bool {
    classes.iter().any(|class| class.kind == QueryKind::Filtered && class.weight > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Layer;
    use crate::keys::Command;

    fn config(flags: &[(&str, &str)], environment: &[(&str, &str)]) -> Result<RunConfig, String> {
        let mut given: Vec<(String, Vec<String>)> = Vec::new();
        for (name, value) in flags {
            match given.iter_mut().find(|(known, _)| known == name) {
                Some((_, values)) => values.push((*value).to_owned()),
                None => given.push(((*name).to_owned(), vec![(*value).to_owned()])),
            }
        }
        let layers = [
            Layer::flags(Command::Run, given),
            Layer::environment(Command::Run, |name| {
                environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            }),
        ];
        RunConfig::new(&Settings::resolve(Command::Run, &layers)).map_err(|error| error.to_string())
    }

    #[test]
    fn every_built_in_scenario_is_a_load() {
        for (name, _) in crate::config::SCENARIOS {
            let layers = [Layer::scenario(name).unwrap()];
            let config = RunConfig::new(&Settings::resolve(Command::Run, &layers)).unwrap();
            assert_eq!(matches!(config.plan.load, Load::Open { .. }), name.ends_with("-open"), "{name}");
            assert!(!config.plan.measured(None).is_empty(), "{name}");
            assert!(config.plan.targets.iter().all(|target| !target.binding), "{name} has advice to give");
            // Only users can be too few for the reference's rate.
            assert!(config.notes.is_empty() || config.plan.most_reachable_rate().is_some(), "{name}");
        }
    }

    #[test]
    fn without_settings_it_is_the_references_normal_load() {
        let config = config(&[], &[]).unwrap();
        let Load::Closed { users: 100, run_time: None, .. } = config.plan.load else {
            panic!("{:?}", config.plan.load)
        };
        assert_eq!(config.plan.targets.len(), 5);
        assert!(config.plan.targets.iter().all(|target| !target.binding));
        // 100 users cannot reach the reference's own target.
        assert!(config.notes.iter().all(|note| note.contains("at most 333")), "{:?}", config.notes);
    }

    #[test]
    fn a_target_that_the_user_gave_is_binding() {
        let config =
            config(&[("target", "p99(common) < 50ms"), ("target", "qps >= 10")], &[("TARGET_P99_MS", "90")])
                .unwrap();
        let binding: Vec<String> =
            config.plan.targets.iter().filter(|t| t.binding).map(|t| t.target.to_string()).collect();
        assert_eq!(binding, ["p99 < 90ms", "p99(common) < 50ms", "qps >= 10"]);
    }

    #[test]
    fn users_and_rate_contradict_each_other_in_one_layer_only() {
        let error = config(&[("users", "5"), ("rate", "100")], &[]).unwrap_err();
        assert!(error.contains("--users and --rate contradict"), "{error}");
        let open = config(&[("rate", "100")], &[("USERS", "5")]).unwrap();
        assert!(matches!(open.plan.load, Load::Open { .. }));
        assert!(open.notes[0].contains("USERS has no effect"), "{:?}", open.notes);
        let closed = config(&[("users", "5")], &[("SQUALL_RATE", "100")]).unwrap();
        assert!(matches!(closed.plan.load, Load::Closed { users: 5, .. }));
    }

    #[test]
    fn the_strongest_of_users_rate_and_stages_decides() {
        let open = config(&[("stages", "10s:0..50,20s:50")], &[("USERS", "5")]).unwrap();
        let Load::Open { stages, .. } = &open.plan.load else { panic!("{:?}", open.plan.load) };
        assert_eq!((stages.len(), open.plan.measured(None)), (2, vec![(10_000_000_000, 30_000_000_000)]));
        assert!(open.notes[0].contains("USERS has no effect"), "{:?}", open.notes);
        for flags in [[("stages", "1m:5"), ("rate", "5")], [("stages", "1m:5"), ("users", "5")]] {
            let error = config(&flags, &[]).unwrap_err();
            assert!(error.contains("contradict each other"), "{error}");
        }
        let error = config(&[("stages", "1m:5"), ("run-time", "5s")], &[]).unwrap_err();
        assert!(error.contains("--run-time contradicts --stages"), "{error}");
        let yields = config(&[("stages", "1m:5")], &[("RUN_TIME", "30m")]).unwrap();
        assert_eq!(yields.plan.length(), Some(Duration::from_secs(60)));
        assert_eq!(
            yields.notes,
            [
                "environment variable RUN_TIME has no effect on the length of the run: each stage of --stages has its own"
            ]
        );
        // A scenario's stages are the weakest of all, and yet the run time is not theirs to have.
        let with_scenario = |text: &str| {
            let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
            std::fs::write(file.path(), text).unwrap();
            let scenario = Layer::scenario(file.path().to_str().unwrap()).unwrap();
            let environment =
                Layer::environment(Command::Run, |name| (name == "RUN_TIME").then(|| "30m".to_owned()));
            RunConfig::new(&Settings::resolve(Command::Run, &[environment, scenario]))
        };
        let scenario = with_scenario("stages = '1m:5'").unwrap();
        assert_eq!(scenario.plan.length(), Some(Duration::from_secs(60)));
        assert!(scenario.notes[0].contains("RUN_TIME has no effect"), "{:?}", scenario.notes);
        let error = config(&[], &[("SQUALL_STAGES", "1m:5"), ("RUN_TIME", "30m")]).unwrap_err();
        assert!(error.contains("RUN_TIME contradicts environment variable SQUALL_STAGES"), "{error}");
        let error = config(&[("stages", "1m:0..5")], &[]).unwrap_err();
        assert!(error.contains("every stage is a ramp"), "{error}");
    }

    #[test]
    fn a_shard_needs_its_run_and_its_start() {
        let whole = config(&[("shard", "1/3"), ("run-id", "r"), ("start-at", "2026-05-01T12:30:00Z")], &[]);
        let part = whole.unwrap().part.unwrap();
        assert_eq!((part.shard, part.run_id.as_str()), (Shard { index: 1, count: 3 }, "r"));
        assert_eq!(part.start_at.to_rfc3339(), "2026-05-01T12:30:00+00:00");
        assert!(config(&[], &[]).unwrap().part.is_none());
        for (flags, missing) in [
            (vec![("shard", "0/2")], "--run-id"),
            (vec![("shard", "0/2"), ("run-id", "r")], "--start-at"),
            (vec![("run-id", "r"), ("start-at", "2026-05-01T12:30:00Z")], "--shard"),
        ] {
            let error = config(&flags, &[]).unwrap_err();
            assert!(error.contains(&format!("needs {missing}")), "{error}");
        }
        let error = config(&[("shard", "0/2"), ("run-id", "r"), ("start-at", "noon")], &[]).unwrap_err();
        assert!(error.contains("`noon` is not an instant"), "{error}");
    }

    #[test]
    fn classes_of_the_users_own_replace_the_references() {
        let own = config(
            &[("class", "hot=common:3:5"), ("class", "deep=rare:1:100")],
            &[("RARE_QUERY_LIMIT", "7")],
        );
        let own = own.unwrap();
        let texts: Vec<String> = own.plan.classes.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["hot=common:3:5", "deep=rare:1:100"]);
        assert!(
            own.notes.iter().any(|note| note.contains("RARE_QUERY_LIMIT has no effect")),
            "{:?}",
            own.notes
        );
        for (class, part) in [
            ("hot=warm:3:5", "`hot=warm:3:5` is not a class"),
            ("hot=common:3:0", "1 to 16384"),
            ("hot=common:-3:5", "is -3"),
            ("a b=common:3:5", "`a b` cannot name"),
        ] {
            let error = config(&[("class", class)], &[]).unwrap_err();
            assert!(error.contains(part), "{class}: {error}");
        }
        let error = config(&[("class", "a=common:1:1"), ("class", "a=rare:1:1")], &[]).unwrap_err();
        assert!(error.contains("two classes are called `a`"), "{error}");
    }

    #[test]
    fn a_rate_that_the_users_cannot_reach_is_pointed_out() {
        let notes = config(&[("users", "100")], &[]).unwrap().notes;
        assert!(notes[0].contains("at most 333 requests/s") && notes[0].contains("qps >= 1000"), "{notes:?}");
        assert!(config(&[("users", "400")], &[]).unwrap().notes.is_empty());
        assert!(config(&[("users", "1"), ("think-time", "0")], &[]).unwrap().notes.is_empty());
    }

    #[test]
    fn a_warm_up_may_end_by_itself() {
        let plan = config(&[("warm-up", "auto"), ("give-up", "30s"), ("pin", "true")], &[]).unwrap();
        assert!(plan.pin && plan.plan.auto_warm_up && plan.plan.warm_up.is_zero());
        assert_eq!(plan.plan.give_up, Some(Duration::from_secs(30)));
        let plan = config(&[("warm-up", "3s")], &[]).unwrap();
        assert!(!plan.pin && !plan.plan.auto_warm_up && plan.plan.warm_up == Duration::from_secs(3));
    }

    #[test]
    fn weights_are_relative_but_never_negative_or_all_zero() {
        let config_with = |a, b, c| {
            config(&[], &[("COMMON_QUERY_WEIGHT", a), ("FILTERED_QUERY_WEIGHT", b), ("RARE_QUERY_WEIGHT", c)])
        };
        assert!(config_with("1", "1", "1").unwrap().notes[0].contains("add up to 3, not 100"));
        assert!(
            config_with("-1", "1", "1")
                .unwrap_err()
                .contains("environment variable COMMON_QUERY_WEIGHT: the weight of class `common` is -1")
        );
        assert!(config_with("0", "0", "0").unwrap_err().contains("all class weights are 0"));
        assert!(config_with("x", "1", "1").unwrap_err().contains("`x` is not a number"));
    }

    #[test]
    fn impossible_values_are_refused_with_their_origin() {
        for (name, value, part) in [
            ("run-time", "5x", "--run-time: `5x`"),
            ("run-time", "0", "no time at all"),
            ("users", "0", "at least 1"),
            ("users", "-3", "at least 1"),
            ("rate", "0", "not a rate"),
            ("rate", "1e-20", "not a rate from 0.001"),
            ("spawn-rate", "1e-20", "not a rate from 0.001"),
            ("drain", "1e18", "longer than a year"),
            ("transport", "udp", "grpc or rest"),
            ("dimension", "1", "2 to 32768"),
            ("search-params", "[1]", "JSON object"),
            ("search-params", "{", "not JSON"),
            ("target", "p99(hot) < 5ms", "common, filtered, rare"),
            ("label", "x", "not key=value"),
            ("think-time", "2s..1s", "ends before it begins"),
            ("consistency", "weak", "not a consistency level"),
            ("threads", "0", "at least 1"),
            ("output-fields", "a,,b", "empty name"),
            ("stages", "5x:3", "`5x`"),
            ("warm-up", "soon", "`soon`"),
            ("pin", "maybe", "neither true nor false"),
        ] {
            let error = config(&[(name, value)], &[]).unwrap_err();
            assert!(error.contains(part), "{name} {value}: {error}");
        }
    }

    #[test]
    fn credentials_in_the_uri_do_not_reach_the_plan() {
        let config = config(&[("uri", "http://root:hush@db:19530")], &[]).unwrap();
        assert_eq!(config.plan.server.uri, "http://db:19530");
    }

    #[test]
    fn a_run_that_measures_nothing_is_refused() {
        let error = config(&[("run-time", "5s")], &[]).unwrap_err();
        assert!(error.contains("still being spawned"), "{error}");
        let error = config(&[("rate", "5"), ("run-time", "5s"), ("warm-up", "5s")], &[]).unwrap_err();
        assert!(error.contains("warm-up takes the whole run"), "{error}");
    }
}
