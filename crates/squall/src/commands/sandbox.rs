//! `squall sandbox`.

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;

use clap::ArgMatches;
use squall_sandbox::{Engine, Sandbox, SandboxConfig};
use tokio::io::AsyncReadExt;

use crate::exit::{Exit, Failure};
use crate::signals::Signals;

pub(crate) async fn execute(matches: &ArgMatches) -> Result<Exit, Failure> {
    let mut signals = Signals::listen().map_err(Failure::failed)?;
    let config = config(matches)?;
    let sandbox = Sandbox::bind(config).await.map_err(Failure::failed)?;
    // Whoever started the sandbox waits for this line.
    println!("listening on {}", sandbox.uri());
    std::io::stdout().flush().map_err(Failure::failed)?;
    let with_stdin = matches.get_flag("exit-with-stdin");
    let end = async move {
        tokio::select! {
            _ = signals.next() => {}
            () = stdin_end(), if with_stdin => {}
        }
    };
    sandbox.serve(end).await.map_err(Failure::failed)?;
    Ok(Exit::Done)
}

/// Resolves when standard input ends.
async fn stdin_end() {
    let mut stdin = tokio::io::stdin();
    let mut ignored = [0; 1024];
    while stdin.read(&mut ignored).await.is_ok_and(|read| read > 0) {}
}

fn config(matches: &ArgMatches) -> Result<SandboxConfig, Failure> {
    fn text<'a>(matches: &'a ArgMatches, name: &str) -> Option<&'a String> {
        matches.get_one::<String>(name)
    }
    fn read<T: FromStr<Err: std::fmt::Display>>(name: &str, text: &str) -> Result<T, Failure> {
        text.parse().map_err(|error: T::Err| Failure::usage(format!("--{name}: {error}")))
    }
    let share = |name: &str| {
        let share = matches.get_one::<f64>(name).copied().unwrap_or(0.0);
        if (0.0..=1.0).contains(&share) {
            return Ok(share);
        }
        Err(Failure::usage(format!("--{name}: {share} is not a share; it is between 0 and 1")))
    };
    let slots = match matches.get_one::<usize>("slots") {
        None => None,
        Some(&slots) => Some(
            NonZeroUsize::new(slots)
                .ok_or_else(|| Failure::usage("--slots: at least 1 search must be served"))?,
        ),
    };
    let null = text(matches, "engine").is_some_and(|engine| engine == "null");
    let stalls = matches.get_many::<String>("stall").into_iter().flatten();
    let defaults = SandboxConfig::default();
    Ok(SandboxConfig {
        host: text(matches, "host").cloned().unwrap_or(defaults.host),
        port: matches.get_one::<u16>("port").copied().unwrap_or(defaults.port),
        engine: if null { Engine::Null } else { Engine::Hnsw },
        slots,
        latency: text(matches, "latency").map_or(Ok(defaults.latency), |law| read("latency", law))?,
        stalls: stalls.map(|stall| read("stall", stall)).collect::<Result<_, _>>()?,
        error_rate: share("error-rate")?,
        reject_rate: share("reject-rate")?,
        drop_rate: share("drop-rate")?,
        insert_reject_rate: share("insert-reject-rate")?,
        insert_drop_rate: share("insert-drop-rate")?,
        max_message_bytes: matches
            .get_one::<usize>("max-message-bytes")
            .copied()
            .unwrap_or(defaults.max_message_bytes),
        seed: matches.get_one::<u64>("seed").copied().unwrap_or(defaults.seed),
        log: text(matches, "log").map(PathBuf::from),
        token: text(matches, "token").cloned(),
        tls: None,
    })
}
