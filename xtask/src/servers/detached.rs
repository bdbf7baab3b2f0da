//! A server that outlives xtask, known by a record in its directory.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use super::{Address, GRACE, Prepared, Ready, process};

const RECORD: &str = "server.json";

/// A server that was started, and how to know it again.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    pid: u32,
    /// See [`process::start_ticks`].
    start_ticks: u64,
    address: Address,
    ready: Ready,
}

impl Record {
    fn path(dir: &Path) -> PathBuf {
        dir.join(RECORD)
    }

    /// The record of the server that runs in `dir`; `None` when none runs.
    fn of_running(dir: &Path) -> anyhow::Result<Option<Self>> {
        let path = Self::path(dir);
        let Ok(text) = fs::read_to_string(&path) else { return Ok(None) };
        let record: Self = serde_json::from_str(&text)
            .with_context(|| format!("{} is no record of a server", path.display()))?;
        Ok(record.runs().then_some(record))
    }

    fn runs(&self) -> bool {
        process::start_ticks(self.pid) == Some(self.start_ticks)
    }
}

/// The running server of `dir`, if any.
pub(crate) fn running(dir: &Path) -> anyhow::Result<Option<Address>> {
    Ok(Record::of_running(dir)?.map(|record| record.address))
}

/// Starts a server in its directory and waits until it is ready.
pub(crate) fn up(prepared: &Prepared) -> anyhow::Result<()> {
    let mut server = prepared
        .command(Vec::new())?
        .spawn()
        .with_context(|| format!("failed to start {}", prepared.name))?;
    let pid = server.id();
    let started =
        prepared.wait_ready(|| server.try_wait().context("failed to watch the server")).and_then(|()| {
            let start_ticks = process::start_ticks(pid).with_context(|| {
                format!("process {pid} is not in /proc; a server is kept running on Linux only")
            })?;
            let record =
                Record { pid, start_ticks, address: prepared.address.clone(), ready: prepared.ready.clone() };
            let path = Record::path(&prepared.dir);
            fs::write(&path, serde_json::to_string_pretty(&record)?)
                .with_context(|| format!("failed to write {}", path.display()))
        });
    if started.is_err() {
        process::stop(pid, GRACE, || matches!(server.try_wait(), Ok(None)))?;
        server.wait().context("failed to wait for the server's end")?;
    }
    started
}

/// Stops the server of a directory, if one runs.
pub(crate) fn down(name: &str, dir: &Path) -> anyhow::Result<()> {
    let Some(record) = Record::of_running(dir)? else {
        eprintln!("no {name} runs in {}", dir.display());
        return Ok(());
    };
    eprintln!("stopping {name} (process {}, {})", record.pid, record.address.uri);
    process::stop(record.pid, GRACE, || record.runs())?;
    fs::remove_file(Record::path(dir)).context("failed to remove the server's record")?;
    eprintln!("stopped; its data stays in {}", dir.display());
    Ok(())
}

/// Says whether the server of a directory runs and is ready; exit code 1 when not.
pub(crate) fn status(name: &str, dir: &Path) -> anyhow::Result<ExitCode> {
    let Some(record) = Record::of_running(dir)? else {
        eprintln!("no {name} runs in {}", dir.display());
        return Ok(ExitCode::FAILURE);
    };
    print(&record.address);
    if record.ready.is_ready() {
        eprintln!("{name} runs (process {}) in {}", record.pid, dir.display());
        Ok(ExitCode::SUCCESS)
    } else {
        eprintln!("{name} runs (process {}) in {} but is not ready", record.pid, dir.display());
        Ok(ExitCode::FAILURE)
    }
}

/// Fails when a server runs in `dir`, whose data must not be touched then.
pub(crate) fn ensure_down(name: &str, dir: &Path) -> anyhow::Result<()> {
    if let Some(record) = Record::of_running(dir)? {
        bail!("{name} runs in {} (process {}); stop it first with `down`", dir.display(), record.pid);
    }
    Ok(())
}

/// Prints an address for programs to read.
pub(crate) fn print(address: &Address) {
    println!("uri {}", address.uri);
    if let Some(metrics) = &address.metrics {
        println!("metrics {metrics}");
    }
}
