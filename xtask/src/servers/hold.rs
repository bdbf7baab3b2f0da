//! The process between xtask and a server: it stops the server when its standard input ends.
//!
//! The write end of that pipe is xtask's alone, so the kernel closes it however xtask ends: done,
//! panicked, Ctrl-C, killed. The holder and the server are a process group of their own, which a
//! terminal's Ctrl-C does not reach.

use std::{
    env,
    ffi::OsString,
    io,
    process::{Command, ExitCode, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
};

use anyhow::Context;

use super::{GRACE, POLL, process};

/// Run a program until standard input ends
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

/// What to put before a server's words to have it held.
pub(super) fn words() -> anyhow::Result<Vec<OsString>> {
    let program = env::current_exe().context("failed to find xtask's own program")?;
    Ok(vec![program.into(), "hold-server".into(), "--".into()])
}

/// The holder itself.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (program, rest) = args.command.split_first().context("no program to hold")?;
    let mut server = Command::new(program)
        .args(rest)
        .stdin(Stdio::null())
        .spawn()
        .with_context(|| format!("failed to start {}", program.display()))?;

    let (ended, input_ended) = mpsc::channel::<()>();
    thread::spawn(move || {
        // An input that cannot be read has ended, too.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        drop(ended);
    });
    while input_ended.recv_timeout(POLL) == Err(RecvTimeoutError::Timeout) {
        if let Some(status) = server.try_wait().context("failed to watch the server")? {
            return Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
    process::stop(server.id(), GRACE, || matches!(server.try_wait(), Ok(None)))?;
    server.wait().context("failed to wait for the server's end")?;
    Ok(ExitCode::SUCCESS)
}
