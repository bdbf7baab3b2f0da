//! `cargo xtask milvus`: a real Milvus to work against.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context;

use crate::{
    provision,
    servers::{Held, detached, milvus, ports},
    workspace,
};

const NAME: &str = "Milvus 2.3.5";

/// Run a real Milvus 2.3.5 standalone server (x86-64 Linux)
///
/// `up` takes it from PyPI once, starts it in the background, and returns when it is ready; it
/// prints the URI for clients and the URL of the metrics. Data is kept from one `up` to the next.
/// It listens on every network of the machine: it cannot be told otherwise.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Start it; nothing happens when it runs already
    Up(Up),
    /// Stop it: asked first, killed after 2 s, since it can hang for minutes; data survives that
    Down(Where),
    /// Say whether it runs and where; exit code 1 when it does not, or is not ready
    Status(Where),
}

#[derive(Debug, clap::Args)]
struct Up {
    #[command(flatten)]
    place: Where,
    /// Port for gRPC and REST; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 19530)]
    port: u16,
    /// Port for metrics; 0 takes a free one [default: the first free one from 9091]
    #[arg(long, value_name = "PORT")]
    metrics_port: Option<u16>,
    /// Turn authorization on: clients need the token `root:Milvus`
    #[arg(long)]
    auth: bool,
    /// Begin without data
    #[arg(long)]
    clean: bool,
    /// Stay in the foreground, and stop the server when standard input ends, however that comes
    #[arg(long)]
    exit_with_stdin: bool,
    /// Any setting of milvus.yaml, e.g. --set quotaAndLimits.dql.enabled=true
    #[arg(long, value_name = "PATH=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
}

#[derive(Debug, clap::Args)]
struct Where {
    /// Directory of its data, logs and configuration; one server a directory [default:
    /// target/milvus]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Where {
    fn dir(&self) -> anyhow::Result<PathBuf> {
        match &self.dir {
            Some(dir) => Ok(dir.clone()),
            None => Ok(workspace::target_dir()?.join("milvus")),
        }
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((path, value)) if !path.is_empty() => Ok((path.to_owned(), value.to_owned())),
        _ => Err("it must be PATH=VALUE".to_owned()),
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.action {
        Action::Up(up) => start(up).map(|()| ExitCode::SUCCESS),
        Action::Down(place) => detached::down(NAME, &place.dir()?).map(|()| ExitCode::SUCCESS),
        Action::Status(place) => detached::status(NAME, &place.dir()?),
    }
}

fn start(up: &Up) -> anyhow::Result<()> {
    let dir = up.place.dir()?;
    if up.clean {
        detached::ensure_down(NAME, &dir)?;
        workspace::remove_dir(&dir)?;
    }
    if let Some(address) = detached::running(&dir)? {
        eprintln!("{NAME} runs already in {}", dir.display());
        detached::print(&address);
        return Ok(());
    }
    let options = milvus::Options {
        port: ports::wanted(up.port)?,
        metrics_port: match up.metrics_port {
            Some(port) => ports::wanted(port)?,
            None => ports::first_from(9091)?,
        },
        auth: up.auth,
        settings: up.set.clone(),
    };
    let prepared = milvus::prepare(&provision::milvus()?, &dir, &options)?;
    eprintln!("starting {NAME} in {}", dir.display());
    if up.exit_with_stdin {
        let held = Held::start(&prepared)?;
        detached::print(&held.address);
        io::stdout().flush().context("failed to print the address")?;
        io::copy(&mut io::stdin().lock(), &mut io::sink()).context("failed to read standard input")?;
        return Ok(());
    }
    detached::up(&prepared)?;
    detached::print(&prepared.address);
    Ok(())
}
