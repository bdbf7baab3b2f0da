//! The plan: everything a run will do, resolved. Printable, stored in the run, repeatable.

use std::time::Duration;

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use crate::identity::hash_of;
use crate::schedule::{Arrivals, OpenSchedule, Stage, StageKind};
use crate::schema::{Consistency, Transport};
use crate::target::PlannedTarget;
use crate::units::{format_duration, nanoseconds, parse_duration};
use crate::workload::{QueryKind, Workload};

/// A named kind of request with a weight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Class {
    /// The class's name, as rows store it.
    pub name: String,
    /// What it asks.
    pub kind: QueryKind,
    /// Its share of the requests, relative to the other weights.
    pub weight: f64,
    /// Hits it asks for.
    pub limit: u16,
}

impl std::str::FromStr for Class {
    type Err = String;

    /// Reads `name=kind:weight:limit`, such as `hot=common:70:10`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a class; write it as name=kind:weight:limit, like hot=common:70:10, with the kind common, filtered or rare"
            )
        };
        let (name, rest) = text.split_once('=').ok_or_else(wrong)?;
        let parts: Vec<&str> = rest.split(':').map(str::trim).collect();
        let [kind, weight, limit] = parts[..] else { return Err(wrong()) };
        let kind = QueryKind::ALL.into_iter().find(|known| known.name() == kind).ok_or_else(wrong)?;
        let name = name.trim();
        if !crate::stages::is_name(name) {
            return Err(format!("`{name}` cannot name a class; use letters, digits, - and _"));
        }
        let weight = weight.parse().map_err(|_| wrong())?;
        let limit = limit.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit)).ok_or_else(|| {
            format!("the class `{name}` has the limit `{limit}`; Milvus takes 1 to {MAX_LIMIT}")
        })?;
        Ok(Self { name: name.to_owned(), kind, weight, limit })
    }
}

impl std::fmt::Display for Class {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}:{}:{}", self.name, self.kind.name(), self.weight, self.limit)
    }
}

/// The largest limit that Milvus takes.
pub const MAX_LIMIT: u16 = 16_384;

/// The reference's mix: 70 % common and 20 % filtered with 10 hits, 10 % rare with 100.
pub fn reference_classes() -> Vec<Class> {
    let class = |kind: QueryKind, weight, limit| Class { name: kind.name().to_owned(), kind, weight, limit };
    vec![
        class(QueryKind::Common, 70.0, 10),
        class(QueryKind::Filtered, 20.0, 10),
        class(QueryKind::Rare, 10.0, 100),
    ]
}

/// How long a user waits between an answer and its next request; uniform between the ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ThinkTime {
    /// Shortest.
    pub min: Duration,
    /// Longest.
    pub max: Duration,
}

impl ThinkTime {
    pub(crate) fn draw<R: Rng>(self, rng: &mut R) -> Duration {
        let (min, max) = (nanoseconds(self.min), nanoseconds(self.max));
        Duration::from_nanos(rng.random_range(min..=max).unsigned_abs())
    }

    /// The mean.
    pub fn mean(self) -> Duration {
        (self.min + self.max) / 2
    }
}

impl std::str::FromStr for ThinkTime {
    type Err = String;

    /// Reads `100ms..500ms`, or one length for always the same.
    fn from_str(text: &str) -> Result<Self, String> {
        let (min, max) = match text.split_once("..") {
            Some((min, max)) => (parse_duration(min)?, parse_duration(max)?),
            None => parse_duration(text).map(|length| (length, length))?,
        };
        if min > max {
            return Err(format!("`{text}` ends before it begins; write the shorter time first"));
        }
        Ok(Self { min, max })
    }
}

impl std::fmt::Display for ThinkTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.min == self.max {
            return f.write_str(&format_duration(self.min));
        }
        write!(f, "{}..{}", format_duration(self.min), format_duration(self.max))
    }
}

impl From<ThinkTime> for String {
    fn from(think_time: ThinkTime) -> String {
        think_time.to_string()
    }
}

impl TryFrom<String> for ThinkTime {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// The load of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "model", rename_all = "snake_case")]
pub enum Load {
    /// Users, each waiting for its answer and a think time before it asks again.
    Closed {
        /// Number of users.
        users: u32,
        /// Users started a second; user k begins at k ÷ this.
        spawn_rate: f64,
        /// Pause between an answer and the next request.
        think_time: ThinkTime,
        /// From the first to the last request, the spawn included; `None`: until stopped.
        run_time: Option<Duration>,
    },
    /// Arrivals that do not care how slow the server is.
    Open {
        /// How arrivals are spread.
        arrivals: Arrivals,
        /// The rates over time.
        stages: Vec<Stage>,
    },
}

/// Where the requests go; without credentials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerTarget {
    /// The server's URI.
    pub uri: String,
    /// The database; `None`: the server's default.
    pub database: Option<String>,
    /// The collection.
    pub collection: String,
    /// The protocol.
    pub transport: Transport,
}

/// Slice `index` of `count` of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Which slice, from 0.
    pub index: u32,
    /// How many slices the run has.
    pub count: u32,
}

impl Shard {
    /// The whole plan.
    pub const WHOLE: Shard = Shard { index: 0, count: 1 };

    /// Whether it is only a part of the plan.
    pub fn is_part(self) -> bool {
        self.count > 1
    }

    /// How many of the numbers below `total` are this shard's.
    pub fn share_of(self, total: u64) -> u64 {
        let (index, count) = (u64::from(self.index), u64::from(self.count));
        total.saturating_sub(index).div_ceil(count)
    }
}

impl std::str::FromStr for Shard {
    type Err = String;

    /// Reads `i/n`, where `i` counts from 0.
    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.trim().split_once('/').and_then(|(index, count)| {
            Some(Self { index: index.trim().parse().ok()?, count: count.trim().parse().ok()? })
        });
        match parts {
            Some(shard) if shard.index < shard.count => Ok(shard),
            Some(Shard { index, count }) if count > 0 => Err(format!(
                "there is no shard {index} of {count}; shards count from 0, so the last is {}/{count}",
                count - 1
            )),
            _ => Err(format!("`{text}` is not a shard; write it like 0/3, 1/3 and 2/3")),
        }
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

/// Everything a run will do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The run's name.
    pub name: String,
    /// Keys and values given to the run.
    pub labels: Vec<(String, String)>,
    /// Where the requests go.
    pub server: ServerTarget,
    /// What may be asked.
    pub workload: Workload,
    /// The mix.
    pub classes: Vec<Class>,
    /// How fast.
    pub load: Load,
    /// Bounds to meet.
    pub targets: Vec<PlannedTarget>,
    /// Seed of everything the run draws.
    pub seed: u64,
    /// Time at the start of the measured stages that is left out of the figures.
    pub warm_up: Duration,
    /// Whether the warm-up ends by itself once rate and P95 are stable; `warm_up` is then zero, and
    /// what was left out stands in the record's measured spans.
    #[serde(default)]
    pub auto_warm_up: bool,
    /// The load ends where no request was answered for this long; `None`: it goes on.
    #[serde(default)]
    pub give_up: Option<Duration>,
    /// Time that answers still have after the last arrival.
    pub drain: Duration,
    /// Time that an answer has after its request was sent.
    pub timeout: Duration,
    /// Most requests in flight at once, over all threads; 0 in a closed loop: the users.
    pub max_in_flight: u32,
    /// Threads that send.
    pub threads: u16,
    /// Connections a thread.
    pub connections: u16,
    /// Consistency sent with each search; `None`: the collection's own.
    pub consistency: Option<Consistency>,
    /// Search parameters sent with each search, as JSON text; `None`: none.
    pub search_params: Option<String>,
    /// Fields asked for; `None`: the primary key.
    pub output_fields: Option<Vec<String>>,
}

impl Plan {
    /// The stages as rows name them; a closed loop has `ramp` (the spawn) and `steady`.
    pub fn stages(&self) -> Vec<Stage> {
        match &self.load {
            Load::Open { stages, .. } => stages.clone(),
            Load::Closed { users, spawn_rate, run_time, .. } => {
                let spawn = spawn_time(*users, *spawn_rate);
                let ramp = run_time.map_or(spawn, |run_time| spawn.min(run_time));
                let stage = |name: &str, kind, length| Stage {
                    name: name.to_owned(),
                    kind,
                    length,
                    from: 0.0,
                    to: 0.0,
                };
                vec![
                    stage("ramp", StageKind::Ramp, Some(ramp)),
                    stage("steady", StageKind::Steady, run_time.map(|run_time| run_time - ramp)),
                ]
            }
        }
    }

    /// The spans [from, to), in nanoseconds of `due` since the plan's start, that enter the figures:
    /// every stage but ramps, less the warm-up at their beginning, cut off at `end_ns` where the run
    /// ended early or has no planned end.
    pub fn measured(&self, end_ns: Option<i64>) -> Vec<(i64, i64)> {
        self.measured_after(self.warm_up, end_ns)
    }

    /// As [`Plan::measured`], with a warm-up of that length.
    pub fn measured_after(&self, warm_up: Duration, end_ns: Option<i64>) -> Vec<(i64, i64)> {
        let mut warm_up = nanoseconds(warm_up);
        let mut spans: Vec<(i64, i64)> = Vec::new();
        let mut start = 0_i64;
        for stage in self.stages() {
            let end = stage.length.map_or(i64::MAX, |length| start.saturating_add(nanoseconds(length)));
            if stage.kind == StageKind::Steady {
                let from = start.saturating_add(warm_up).min(end);
                // What the stage is too short for is left out of the next.
                warm_up -= from - start;
                let to = end.min(end_ns.unwrap_or(i64::MAX));
                match spans.last_mut() {
                    Some(last) if last.1 == from => last.1 = to.max(last.1),
                    _ if from < to => spans.push((from, to)),
                    _ => {}
                }
            }
            start = end;
        }
        spans
    }

    /// From the first to the last arrival; `None`: until stopped.
    pub fn length(&self) -> Option<Duration> {
        self.stages().iter().map(|stage| stage.length).sum()
    }

    /// The rate that the users of a closed loop reach if every answer comes at once (Little's law);
    /// `None` in an open loop, and without think time, where there is no such bound.
    pub fn most_reachable_rate(&self) -> Option<f64> {
        let Load::Closed { users, think_time, .. } = &self.load else { return None };
        Some(f64::from(*users) / think_time.mean().as_secs_f64()).filter(|most| most.is_finite())
    }

    /// The arrivals of an open loop.
    pub fn open_schedule(&self) -> Option<OpenSchedule> {
        match &self.load {
            Load::Open { arrivals, stages } => Some(OpenSchedule::new(stages.clone(), *arrivals, self.seed)),
            Load::Closed { .. } => None,
        }
    }

    /// The names of the classes, in the order of a row's class index.
    pub fn class_names(&self) -> Vec<String> {
        self.classes.iter().map(|class| class.name.clone()).collect()
    }

    /// What tells the work of this plan from that of another: runs with unlike keys must not be
    /// compared. Seed, targets, name, labels and server are not part of it.
    pub fn work_key(&self) -> String {
        #[derive(Serialize)]
        struct Work<'a> {
            workload: &'a Workload,
            classes: &'a [Class],
            load: &'a Load,
            consistency: Option<Consistency>,
            search_params: &'a Option<String>,
            output_fields: &'a Option<Vec<String>>,
            transport: Transport,
        }
        hash_of(&Work {
            workload: &self.workload,
            classes: &self.classes,
            load: &self.load,
            consistency: self.consistency,
            search_params: &self.search_params,
            output_fields: &self.output_fields,
            transport: self.server.transport,
        })
    }
}

/// How long it takes until every user has begun: the last begins at (users − 1) ÷ rate.
fn spawn_time(users: u32, spawn_rate: f64) -> Duration {
    Duration::try_from_secs_f64(f64::from(users.saturating_sub(1)) / spawn_rate).unwrap_or(Duration::MAX)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn plan(load: Load) -> Plan {
        Plan {
            name: "test".into(),
            labels: Vec::new(),
            server: ServerTarget {
                uri: "http://127.0.0.1:19530".into(),
                database: None,
                collection: "c".into(),
                transport: Transport::Grpc,
            },
            workload: Workload::reference(1, 8),
            classes: reference_classes(),
            load,
            targets: Vec::new(),
            seed: 1,
            warm_up: Duration::ZERO,
            auto_warm_up: false,
            give_up: None,
            drain: Duration::from_secs(30),
            timeout: Duration::from_secs(10),
            max_in_flight: 4096,
            threads: 1,
            connections: 4,
            consistency: None,
            search_params: None,
            output_fields: None,
        }
    }

    fn closed(users: u32, run_time: Option<u64>) -> Load {
        Load::Closed {
            users,
            spawn_rate: 10.0,
            think_time: "100ms..500ms".parse().unwrap(),
            run_time: run_time.map(Duration::from_secs),
        }
    }

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn the_spawn_of_a_closed_loop_is_not_measured() {
        assert_eq!(plan(closed(101, Some(60))).measured(None), [(10 * SECOND, 60 * SECOND)]);
        assert_eq!(plan(closed(101, None)).measured(Some(25 * SECOND)), [(10 * SECOND, 25 * SECOND)]);
        assert_eq!(
            plan(closed(101, Some(5))).measured(None),
            [],
            "a run that ends while users spawn measures nothing"
        );
        assert_eq!(plan(closed(1, Some(5))).measured(None), [(0, 5 * SECOND)]);
    }

    #[test]
    fn warm_up_is_taken_from_the_first_measured_stage_only() {
        let stage = |kind, seconds| Stage {
            name: "s".into(),
            kind,
            length: Some(Duration::from_secs(seconds)),
            from: 10.0,
            to: 10.0,
        };
        let stages =
            vec![stage(StageKind::Ramp, 5), stage(StageKind::Steady, 10), stage(StageKind::Steady, 10)];
        let mut plan = plan(Load::Open { arrivals: Arrivals::Even, stages });
        plan.warm_up = Duration::from_secs(3);
        assert_eq!(plan.measured(None), [(8 * SECOND, 25 * SECOND)]);
        assert_eq!(plan.measured(Some(20 * SECOND)), [(8 * SECOND, 20 * SECOND)]);
        assert_eq!(plan.length(), Some(Duration::from_secs(25)));
    }

    #[test]
    fn a_warm_up_longer_than_a_stage_goes_on_in_the_next() {
        let stages = crate::stages::parse_stages("5s:10,5s:10..20,10s:20").unwrap();
        let mut plan = plan(Load::Open { arrivals: Arrivals::Even, stages });
        for (warm_up, measured) in [
            (4, vec![(4 * SECOND, 5 * SECOND), (10 * SECOND, 20 * SECOND)]),
            (5, vec![(10 * SECOND, 20 * SECOND)]),
            (7, vec![(12 * SECOND, 20 * SECOND)]),
            (15, vec![]),
            (60, vec![]),
        ] {
            plan.warm_up = Duration::from_secs(warm_up);
            assert_eq!(plan.measured(None), measured, "{warm_up} s");
        }
    }

    #[test]
    fn the_work_key_depends_on_the_work_alone() {
        let plan_a = plan(closed(10, Some(60)));
        let mut plan_b = plan_a.clone();
        plan_b.seed = 99;
        plan_b.name = "other".into();
        plan_b.server.uri = "http://elsewhere:19530".into();
        assert_eq!(plan_a.work_key(), plan_b.work_key());
        plan_b.classes[0].limit = 20;
        assert_ne!(plan_a.work_key(), plan_b.work_key());
    }

    #[test]
    fn a_plan_survives_its_json() {
        let plan = plan(closed(10, Some(60)));
        let json = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan);
    }

    #[test]
    fn a_shard_reads_as_index_of_count_and_shards_share_all() {
        assert_eq!("2/3".parse(), Ok(Shard { index: 2, count: 3 }));
        for (text, part) in [
            ("3/3", "the last is 2/3"),
            ("1", "not a shard"),
            ("0/0", "not a shard"),
            ("-1/2", "not a shard"),
        ] {
            let error = text.parse::<Shard>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        for total in 0..20 {
            let shares = (0..3).map(|index| Shard { index, count: 3 }.share_of(total));
            assert_eq!(shares.sum::<u64>(), total);
            assert_eq!(Shard::WHOLE.share_of(total), total);
        }
    }

    #[test]
    fn think_times_read_as_ranges_or_as_one_length() {
        assert_eq!("100ms..500ms".parse::<ThinkTime>().unwrap().mean(), Duration::from_millis(300));
        assert_eq!("0".parse::<ThinkTime>().unwrap().max, Duration::ZERO);
        assert!("500ms..100ms".parse::<ThinkTime>().unwrap_err().contains("ends before it begins"));
        assert!("5x".parse::<ThinkTime>().is_err());
    }
}
