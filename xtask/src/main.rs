//! `cargo xtask`: the chores of the Squall workspace.
//!
//! One file a command; each knows cargo, real servers or files, and none knows Squall's own crates.
//!
//! - [`mod@test`]: every check and test of the project, against real servers too.
//! - [`graph`]: the crates' dependencies against the rules of the design.
//! - [`codegen`]: the generated Rust of the Milvus protocol.
//! - [`milvus`], [`milvus_lite`]: real servers to work against, over [`servers`].
//! - [`mod@bench`]: the benches.
//! - [`provision`]: real parts from package registries, for the tests and the servers.

mod bench;
mod codegen;
mod graph;
mod milvus;
mod milvus_lite;
mod provision;
mod servers;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The chores of the Squall workspace
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Test(test::Args),
    Graph(graph::Args),
    Codegen(codegen::Args),
    Milvus(milvus::Args),
    MilvusLite(milvus_lite::Args),
    Bench(bench::Args),
    #[command(hide = true)]
    HoldServer(servers::hold::Args),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Test(args) => test::run(&args),
        Command::Graph(args) => graph::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Codegen(args) => codegen::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Milvus(args) => milvus::run(&args),
        Command::MilvusLite(args) => milvus_lite::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::HoldServer(args) => servers::hold::run(&args),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
