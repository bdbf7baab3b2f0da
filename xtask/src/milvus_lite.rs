//! `cargo xtask milvus-lite`: a Milvus Lite to work against.

use std::{path::PathBuf, process::ExitCode};

use crate::{
    provision,
    servers::{detached, lite, ports},
    workspace,
};

const NAME: &str = "Milvus Lite 3.2.2";

/// Run a Milvus Lite 3.2.2 server: the current gRPC protocol, in Python
///
/// `up` takes it from PyPI once, starts it in the background, and returns when it is ready; it
/// prints the URI for clients. It has no REST, metrics or authorization, and is no target for
/// throughput numbers. Data is kept from one `up` to the next.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Start it; nothing happens when it runs already
    Up(Up),
    /// Stop it
    Down(Where),
    /// Say whether it runs and where; exit code 1 when it does not, or is not ready
    Status(Where),
}

#[derive(Debug, clap::Args)]
struct Up {
    #[command(flatten)]
    place: Where,
    /// Port for gRPC; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 19530)]
    port: u16,
    /// Begin without data
    #[arg(long)]
    clean: bool,
}

#[derive(Debug, clap::Args)]
struct Where {
    /// Directory of its data and logs; one server a directory [default: target/milvus-lite]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Where {
    fn dir(&self) -> anyhow::Result<PathBuf> {
        match &self.dir {
            Some(dir) => Ok(dir.clone()),
            None => Ok(workspace::target_dir()?.join("milvus-lite")),
        }
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
    let prepared = lite::prepare(&provision::python()?, &dir, ports::wanted(up.port)?)?;
    eprintln!("starting {NAME} in {}", dir.display());
    detached::up(&prepared)?;
    detached::print(&prepared.address);
    Ok(())
}
