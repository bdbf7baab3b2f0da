//! A generator that does not get the CPU it needs says so, and calls its figures invalid.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::support::{Done, SandboxProcess, Workplace, invalid_checks, skipped};

fn seeded() -> (Workplace, SandboxProcess) {
    let place = Workplace::new();
    let sandbox = SandboxProcess::start(&[]);
    place
        .line(&format!("setup --uri {} --num-vectors 300 --dimension 16 --settle 0s", sandbox.uri))
        .expect(0);
    (place, sandbox)
}

/// `squall run` started by `launcher`.
fn run_under(place: &Workplace, launcher: &[&str], uri: &str) -> Done {
    let run = format!("run --uri {uri} --rate 2000 -t 6s --target p50<10s --format json");
    let mut command = place.squall_under(launcher, run.split_whitespace());
    Done::from(command.output().expect("the launcher starts"))
}

/// Asserts exit code 5 and that the limit is named with its number, on the terminal and in the summary.
#[track_caller]
fn is_invalid_for(done: &Done, check: &str, words: &str) {
    assert_eq!(done.code, Some(5), "{}", done.stderr);
    let summary = done.json();
    assert_eq!(summary["verdict"], "invalid");
    assert!(invalid_checks(&summary).contains(&check), "{}", summary["validity"]);
    let named = format!("INVALID ({check}): {words}");
    let line = done.stderr.lines().find(|line| line.contains(&named));
    let line = line.unwrap_or_else(|| panic!("`{named}` in:\n{}", done.stderr));
    println!("{}", line.trim());
    assert!(line.contains("(limit "), "{line}");
}

/// Processes that want a core for themselves, until this is dropped.
struct Greedy(Vec<Child>);

impl Greedy {
    fn on(core: &str, count: usize) -> Self {
        let spin = || {
            let mut command = Command::new("taskset");
            command.args(["-c", core, "sh", "-c", "while :; do :; done"]);
            command.stdin(Stdio::null()).spawn().expect("taskset starts")
        };
        Self((0..count).map(|_| spin()).collect())
    }
}

impl Drop for Greedy {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn a_core_shared_with_others_makes_the_run_invalid() {
    let cores = rustix::thread::sched_getaffinity(None).unwrap();
    let last = (0..rustix::thread::CpuSet::MAX_CPU).rfind(|core| cores.is_set(*core)).unwrap().to_string();
    if Command::new("taskset").args(["-c", &last, "true"]).status().is_err() {
        skipped("a_core_shared_with_others_makes_the_run_invalid", "there is no taskset");
        return;
    }
    let (place, sandbox) = seeded();
    let greedy = Greedy::on(&last, 4);
    let done = run_under(&place, &["taskset", "-c", &last], &sandbox.uri);
    drop(greedy);
    is_invalid_for(&done, "run_queue", "A worker waited for a core for ");
}

/// A CPU cgroup of the test's own, removed with this value.
struct Quota(PathBuf);

impl Quota {
    /// With that share of one core; `None` where this process may not make one.
    fn of(percent: u32) -> Option<Self> {
        let name = format!("squall-test-{}", std::process::id());
        let quota_us = percent * 1_000;
        let one = || {
            let group = Self(PathBuf::from("/sys/fs/cgroup/cpu").join(&name));
            std::fs::create_dir(&group.0).ok()?;
            std::fs::write(group.0.join("cpu.cfs_period_us"), "100000").ok()?;
            std::fs::write(group.0.join("cpu.cfs_quota_us"), quota_us.to_string()).ok()?;
            Some(group)
        };
        let two = || {
            let group = Self(PathBuf::from("/sys/fs/cgroup").join(&name));
            std::fs::create_dir(&group.0).ok()?;
            std::fs::write(group.0.join("cpu.max"), format!("{quota_us} 100000")).ok()?;
            Some(group)
        };
        if PathBuf::from("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").exists()
            || PathBuf::from("/sys/fs/cgroup/cpu/tasks").exists()
        {
            one()
        } else {
            two()
        }
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[test]
fn a_quota_of_a_twentieth_of_a_core_makes_the_run_invalid() {
    let Some(quota) = Quota::of(5) else {
        skipped("a_quota_of_a_twentieth_of_a_core_makes_the_run_invalid", "no cgroup can be made");
        return;
    };
    let (place, sandbox) = seeded();
    let tasks = quota.0.join("cgroup.procs");
    let join = format!("echo $$ > {} && exec \"$@\"", tasks.display());
    let done = run_under(&place, &["sh", "-c", &join, "sh"], &sandbox.uri);
    is_invalid_for(&done, "throttled", "The cgroup's CPU quota held the generator back for ");
}
