//! Reading `server.parquet`: what the server said of itself while the run went on.
//!
//! Counters become rates between two looks; histograms become the mean of what came between them.
//! Nodes are added up. A counter that went back (a restart) leaves a gap.

use std::collections::BTreeMap;
use std::path::Path;

use polars::prelude::*;

use crate::rows::one_line;
use crate::statistics::theil_sen::median;

/// What a series tells of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServerFigure {
    /// Processor time, in cores.
    Cpu,
    /// Resident memory.
    Memory,
    /// Mean time of a search in the server, as its proxy has it.
    Latency,
    /// Mean wait of a search for its turn, as its query nodes have it.
    Queue,
    /// Search tasks that wait.
    Waiting,
    /// Search tasks at work.
    Executing,
    /// Loaded segments.
    Segments,
    /// Goroutines.
    Goroutines,
}

impl ServerFigure {
    /// All, in the order of reports.
    pub const ALL: [Self; 8] = [
        Self::Cpu,
        Self::Memory,
        Self::Latency,
        Self::Queue,
        Self::Waiting,
        Self::Executing,
        Self::Segments,
        Self::Goroutines,
    ];

    /// Its name in words.
    pub fn title(self) -> &'static str {
        match self {
            Self::Cpu => "server's CPU",
            Self::Memory => "server's memory",
            Self::Latency => "mean search time in the server",
            Self::Queue => "mean wait for a query node",
            Self::Waiting => "search tasks that wait",
            Self::Executing => "search tasks at work",
            Self::Segments => "loaded segments",
            Self::Goroutines => "goroutines",
        }
    }

    /// Its unit; empty for counts.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Cpu => "cores",
            Self::Memory => "MiB",
            Self::Latency | Self::Queue => "ms",
            _ => "",
        }
    }
}

/// One figure over time.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerSeries {
    /// Which.
    pub figure: ServerFigure,
    /// Nanoseconds since the plan's start and the value, in the order of time. A rate or mean stands at
    /// the middle of its span; NaN is a gap.
    pub points: Vec<(i64, f64)>,
}

impl ServerSeries {
    /// The points that have a value.
    pub fn known(&self) -> impl Iterator<Item = (i64, f64)> + '_ {
        self.points.iter().copied().filter(|(_, value)| !value.is_nan())
    }
}

/// What the server said of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerView {
    /// The figures that it has, in the order of [`ServerFigure::ALL`].
    pub series: Vec<ServerSeries>,
    /// Why there is none.
    pub missing: Option<String>,
}

impl ServerView {
    /// Reads the file; one that is missing or damaged leaves the reason.
    pub(crate) fn read(path: &Path) -> Self {
        let without = |reason: String| Self { series: Vec::new(), missing: Some(reason) };
        if !path.is_file() {
            return without("the server's metrics page was not read (--metrics-url names it)".to_owned());
        }
        match read_looks(path) {
            Ok(looks) => Self { series: looks.series(), missing: None },
            Err(error) => without(format!("server.parquet cannot be read ({})", one_line(&error))),
        }
    }

    /// A figure over time.
    pub fn get(&self, figure: ServerFigure) -> Option<&ServerSeries> {
        self.series.iter().find(|series| series.figure == figure)
    }
}

/// Sums over the nodes at each look, by metric.
#[derive(Default)]
struct Looks(BTreeMap<&'static str, BTreeMap<i64, f64>>);

/// The metrics that are read, and which of their series.
const METRICS: [(&str, &str); 10] = [
    ("process_cpu_seconds_total", ""),
    ("process_resident_memory_bytes", ""),
    ("milvus_proxy_sq_latency_sum", "\"query_type\":\"search\""),
    ("milvus_proxy_sq_latency_count", "\"query_type\":\"search\""),
    ("milvus_querynode_sq_queue_latency_sum", "\"query_type\":\"search\""),
    ("milvus_querynode_sq_queue_latency_count", "\"query_type\":\"search\""),
    ("milvus_querynode_read_task_ready_len", ""),
    ("milvus_querynode_read_task_unsolved_len", ""),
    ("milvus_querynode_read_task_concurrency", ""),
    ("go_goroutines", ""),
];

/// Of the segments only one state is told by newer servers' labels.
const SEGMENTS: &str = "milvus_querynode_segment_num";

fn read_looks(path: &Path) -> PolarsResult<Looks> {
    let arguments = ScanArgsParquet { glob: false, ..ScanArgsParquet::default() };
    let rows = LazyFrame::scan_parquet(PlRefPath::try_from_path(path)?, arguments)?
        .select([col("time"), col("metric"), col("labels"), col("value")])
        .collect()?;
    let words = |name: &str| rows.column(name)?.as_materialized_series().cast(&DataType::String);
    let (metrics, labels) = (words("metric")?, words("labels")?);
    let (metrics, labels) = (metrics.str()?, labels.str()?);
    let times = rows.column("time")?.i64()?;
    let values = rows.column("value")?.f64()?;
    let mut looks = Looks::default();
    let named = metrics.iter().zip(labels.iter());
    for (((name, labels), time), value) in named.zip(times.iter()).zip(values.iter()) {
        let (Some(name), Some(labels), Some(time), Some(value)) = (name, labels, time, value) else {
            continue;
        };
        let known = METRICS.iter().find(|(known, _)| *known == name);
        let kept = match known {
            Some((kept, wanted)) if labels.contains(wanted) => kept,
            None if name == SEGMENTS => SEGMENTS,
            _ => continue,
        };
        *looks.0.entry(kept).or_default().entry(time).or_default() += value;
    }
    Ok(looks)
}

impl Looks {
    fn get(&self, metric: &str) -> impl Iterator<Item = (i64, f64)> + '_ {
        self.0.get(metric).into_iter().flatten().map(|(time, value)| (*time, *value))
    }

    /// The increase of a counter from each look to the next; negative where it was reset.
    fn increase(&self, metric: &str) -> Vec<(i64, i64, f64)> {
        let points: Vec<_> = self.get(metric).collect();
        points.windows(2).map(|pair| (pair[0].0, pair[1].0, pair[1].1 - pair[0].1)).collect()
    }

    fn gauge(&self, metric: &str, scale: f64) -> Vec<(i64, f64)> {
        self.get(metric).map(|(time, value)| (time, value * scale)).collect()
    }

    /// The increase a second. The look at a run's end may come a moment after the one before it: over less
    /// than half of the usual time between two, a counter that ticks tells nothing, and there is no point.
    fn rate(&self, metric: &str) -> Vec<(i64, f64)> {
        let increases = self.increase(metric);
        let usual_ns = median(increases.iter().map(|(from, to, _)| (to - from) as f64)).unwrap_or(0.0);
        let whole = |(from, to, _): &(i64, i64, f64)| (to - from) as f64 >= usual_ns / 2.0;
        let rate = |(from, to, more): (i64, i64, f64)| {
            let value = if more < 0.0 { f64::NAN } else { more / ((to - from) as f64 / 1e9) };
            (from + (to - from) / 2, value)
        };
        increases.into_iter().filter(whole).map(rate).collect()
    }

    /// Mean of what a histogram took between two looks.
    fn mean(&self, histogram: &str) -> Vec<(i64, f64)> {
        let sums = self.increase(&format!("{histogram}_sum"));
        let counts = self.increase(&format!("{histogram}_count"));
        let mean = |((from, to, sum), (_, _, count)): ((i64, i64, f64), (i64, i64, f64))| {
            let value = if count > 0.0 && sum >= 0.0 { sum / count } else { f64::NAN };
            (from + (to - from) / 2, value)
        };
        sums.into_iter().zip(counts).map(mean).collect()
    }

    fn series(&self) -> Vec<ServerSeries> {
        const MIB: f64 = 1.0 / (1 << 20) as f64;
        let mut waiting: BTreeMap<i64, f64> = BTreeMap::new();
        for metric in ["milvus_querynode_read_task_ready_len", "milvus_querynode_read_task_unsolved_len"] {
            for (time, value) in self.get(metric) {
                *waiting.entry(time).or_default() += value;
            }
        }
        let points = |figure| match figure {
            ServerFigure::Cpu => self.rate("process_cpu_seconds_total"),
            ServerFigure::Memory => self.gauge("process_resident_memory_bytes", MIB),
            ServerFigure::Latency => self.mean("milvus_proxy_sq_latency"),
            ServerFigure::Queue => self.mean("milvus_querynode_sq_queue_latency"),
            ServerFigure::Waiting => waiting.iter().map(|(time, value)| (*time, *value)).collect(),
            ServerFigure::Executing => self.gauge("milvus_querynode_read_task_concurrency", 1.0),
            ServerFigure::Segments => self.gauge(SEGMENTS, 1.0),
            ServerFigure::Goroutines => self.gauge("go_goroutines", 1.0),
        };
        ServerFigure::ALL
            .into_iter()
            .map(|figure| ServerSeries { figure, points: points(figure) })
            .filter(|series| series.known().next().is_some())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_a_moment_after_another_makes_no_rate() {
        let mut looks = Looks::default();
        let points =
            [(0, 0.0), (5, 1.0), (10, 2.0), (15, 3.0)].map(|(at, value)| (at * 1_000_000_000, value));
        let last = (15_100_000_000, 3.0);
        looks.0.insert("process_cpu_seconds_total", points.into_iter().chain([last]).collect());
        let rates: Vec<f64> = looks.rate("process_cpu_seconds_total").iter().map(|(_, rate)| *rate).collect();
        assert_eq!(
            rates,
            [0.2, 0.2, 0.2],
            "0 cores over a tenth of a second would be a figure made of nothing"
        );
    }

    #[test]
    fn counters_become_rates_and_histograms_means_and_a_restart_leaves_a_gap() {
        let second = 1_000_000_000;
        let mut looks = Looks::default();
        let mut put = |metric: &'static str, values: [f64; 4]| {
            let points = values.into_iter().enumerate().map(|(at, value)| (at as i64 * 5 * second, value));
            looks.0.insert(metric, points.collect());
        };
        put("process_cpu_seconds_total", [10.0, 20.0, 1.0, 6.0]);
        put("milvus_proxy_sq_latency_sum", [100.0, 300.0, 300.0, 360.0]);
        put("milvus_proxy_sq_latency_count", [10.0, 20.0, 20.0, 26.0]);
        let series = looks.series();
        let figures: Vec<_> = series.iter().map(|series| series.figure).collect();
        assert_eq!(figures, [ServerFigure::Cpu, ServerFigure::Latency]);
        let cpu = &series[0].points;
        assert_eq!((cpu[0].0, cpu[0].1, cpu[2].1), (5 * second / 2, 2.0, 1.0));
        assert!(cpu[1].1.is_nan());
        assert_eq!(series[1].known().map(|(_, ms)| ms).collect::<Vec<_>>(), [20.0, 10.0]);
    }
}
