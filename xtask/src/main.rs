//! `cargo xtask`: the chores of the Squall workspace.
//!
//! One file a command; each knows cargo, real servers or files, and none knows Squall's own crates.

mod codegen;
mod workspace;

use clap::{Parser, Subcommand};

/// The chores of the Squall workspace
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Codegen(codegen::Args),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Codegen(args) => codegen::run(&args),
    }
}
