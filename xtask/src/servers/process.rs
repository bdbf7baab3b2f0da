//! Processes by their id: asking one to end, and telling whether one that was started earlier still
//! runs.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use rustix::{
    io::Errno,
    process::{Pid, Signal, kill_process},
};

/// Asks a process to end, waits for `grace`, then kills it. `is_alive` tells whether it still runs.
pub(super) fn stop(id: u32, grace: Duration, mut is_alive: impl FnMut() -> bool) -> anyhow::Result<()> {
    const POLL: Duration = Duration::from_millis(20);

    send(id, Signal::TERM)?;
    let asked = Instant::now();
    while is_alive() {
        if asked.elapsed() > grace {
            return send(id, Signal::KILL);
        }
        thread::sleep(POLL);
    }
    Ok(())
}

/// Sends a signal; a process that is gone is no error.
fn send(id: u32, signal: Signal) -> anyhow::Result<()> {
    let pid =
        i32::try_from(id).ok().and_then(Pid::from_raw).ok_or_else(|| anyhow!("{id} is no process id"))?;
    match kill_process(pid, signal) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("failed to signal process {id}")),
    }
}

/// When a process started, in clock ticks since the machine did: with its id, that names a process
/// for ever, while an id alone may be another's by now. `None` when it does not run.
pub(super) fn start_ticks(id: u32) -> Option<u64> {
    running_since(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
}

/// Reads `/proc/<id>/stat`: field 3 is the state, 20 the number of threads, 22 the start
/// (proc_pid_stat(5)).
fn running_since(stat: &str) -> Option<u64> {
    // Field 2 is the program's name in brackets, and may itself hold spaces and brackets.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let ended = matches!(fields.next()?, "Z" | "X");
    let threads: u32 = fields.nth(16)?.parse().ok()?;
    // A zombie, whose parent has not asked for its end, does not run; but only its first thread need
    // have ended for it to look like one, and the others still hold its port and its locks.
    if ended && threads <= 1 {
        return None;
    }
    fields.nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_named_by_its_start() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 8 0";
        assert_eq!(running_since(stat), Some(987_654));
        assert_eq!(running_since("nonsense"), None);
    }

    #[test]
    fn a_zombie_runs_as_long_as_it_has_other_threads() {
        let zombie = |threads| format!("42 (a) Z 1 42 42 0 -1 0 0 0 0 0 0 0 0 0 20 0 {threads} 0 987654 0 0");
        assert_eq!(running_since(&zombie(2)), Some(987_654));
        assert_eq!(running_since(&zombie(1)), None);
    }

    #[test]
    fn this_process_runs() {
        assert!(start_ticks(std::process::id()).is_some());
    }
}
