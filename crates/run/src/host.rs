//! The machine that makes the load: what it is, and what it is doing each second.

use std::fs;
use std::path::PathBuf;

use rustix::time::{ClockId, clock_gettime};
use squall_core::run_record::HostRecord;

use crate::clock::clock_read_ns;

/// What `run.json` says of this machine.
pub(crate) fn record() -> HostRecord {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let value = |text: &str, key: &str| {
        text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == key).then(|| value.trim().to_owned())
        })
    };
    let memory_kib = value(&meminfo, "MemTotal").and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
    HostRecord {
        cpu_model: value(&cpuinfo, "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        cores: cpuinfo.lines().filter(|line| line.starts_with("processor")).count() as u32,
        memory_bytes: memory_kib.unwrap_or(0) * 1_024,
        kernel: line("/proc/sys/kernel/osrelease").unwrap_or_default(),
        clock_source: line("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        governor: line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        affinity: affinity(),
        cgroup_quota_cores: cgroup_quota_cores(),
        clock_read_ns: clock_read_ns(),
        pinned: Vec::new(),
    }
}

/// The class of this machine, which runs must share to be compared.
pub fn host_class() -> String {
    record().class()
}

fn line(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// The cores that the calling thread may use.
pub(crate) fn affinity() -> Vec<u32> {
    let Ok(set) = rustix::thread::sched_getaffinity(None) else { return Vec::new() };
    (0..rustix::thread::CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).map(|cpu| cpu as u32).collect()
}

/// The directory of this process' CPU cgroup: version 2, or 1.
fn cgroup() -> Option<PathBuf> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mut found = own.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let root = match controllers {
            "" => "/sys/fs/cgroup".to_owned(),
            list if list.split(',').any(|name| name == "cpu") => format!("/sys/fs/cgroup/{list}"),
            _ => return None,
        };
        // In a container the path may be the host's, and the root the container's own.
        let nested = PathBuf::from(format!("{root}{path}"));
        [nested, PathBuf::from(root)].into_iter().find(|directory| directory.join("cpu.stat").exists())
    });
    found.next()
}

fn cgroup_quota_cores() -> Option<f64> {
    let cgroup = cgroup()?;
    let number = |name: &str| fs::read_to_string(cgroup.join(name)).ok()?.trim().parse::<f64>().ok();
    let (quota, period) = match fs::read_to_string(cgroup.join("cpu.max")) {
        Ok(text) => {
            let (quota, period) = text.trim().split_once(' ')?;
            (quota.parse::<f64>().ok()?, period.parse().ok()?)
        }
        Err(_) => (number("cpu.cfs_quota_us")?, number("cpu.cfs_period_us")?),
    };
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

/// Counters of the process and the machine, as they stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// CPU time of the process.
    pub(crate) cpu_ns: i64,
    /// Resident memory.
    pub(crate) memory_bytes: Option<u64>,
    /// Stolen by the hypervisor, over all cores.
    pub(crate) steal_ns: Option<i64>,
    /// Held back by the cgroup's quota.
    pub(crate) throttled_ns: Option<i64>,
}

/// Reads [`Usage`] again and again.
pub(crate) struct UsageReader {
    cgroup: Option<PathBuf>,
}

impl UsageReader {
    pub(crate) fn new() -> Self {
        Self { cgroup: cgroup() }
    }

    pub(crate) fn read(&self) -> Usage {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        Usage {
            cpu_ns: cpu.tv_sec * 1_000_000_000 + cpu.tv_nsec,
            memory_bytes: memory_bytes(),
            steal_ns: steal_ns(),
            throttled_ns: self.throttled_ns(),
        }
    }

    fn throttled_ns(&self) -> Option<i64> {
        let text = fs::read_to_string(self.cgroup.as_ref()?.join("cpu.stat")).ok()?;
        text.lines().find_map(|line| match line.split_once(' ')? {
            ("throttled_usec", value) => value.parse::<i64>().ok().map(|us| us * 1_000),
            ("throttled_time", value) => value.parse().ok(),
            _ => None,
        })
    }
}

fn memory_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1_024)
}

fn steal_ns() -> Option<i64> {
    // Clock ticks of 10 ms on every Linux that runs Rust's standard library.
    const TICK_NS: i64 = 10_000_000;
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let ticks = stat.lines().next()?.split_ascii_whitespace().nth(8)?.parse::<i64>().ok()?;
    Some(ticks * TICK_NS)
}

/// CPU time of a thread of this process, and the time it waited for a core, in nanoseconds.
pub(crate) fn thread_usage(thread: u32) -> Option<(i64, i64)> {
    let text = fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).ok()?;
    let mut fields = text.split_ascii_whitespace();
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_processor_memory_and_a_kernel() {
        let host = record();
        assert!(host.cores > 0 && host.memory_bytes > 0 && !host.kernel.is_empty(), "{host:?}");
        assert!(!host.cpu_model.is_empty() && !host.affinity.is_empty(), "{host:?}");
    }

    #[test]
    fn work_shows_in_the_usage_of_process_and_thread() {
        let reader = UsageReader::new();
        let thread = rustix::thread::gettid().as_raw_nonzero().get() as u32;
        let (before, thread_before) = (reader.read(), thread_usage(thread).unwrap());
        let mut sum = 0_u64;
        while reader.read().cpu_ns < before.cpu_ns + 20_000_000 {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(thread_usage(thread).unwrap().0 > thread_before.0);
        assert!(reader.read().memory_bytes.unwrap() > 0);
    }
}
