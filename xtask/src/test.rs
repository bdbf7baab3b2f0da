//! `cargo xtask test`: the one test command of the project.

mod cargo_test;
mod parts;
mod tally;

use std::process::ExitCode;

use anyhow::{Context, ensure};

use crate::{codegen, graph, workspace};
use parts::Parts;
use tally::Tally;

/// Run every check and test, those against real servers included
///
/// In order: the dependency graph, the generated code, provisioning of real parts (Milvus 2.3.5,
/// Milvus Lite, Python and Node clients, Chromium), `cargo test`, rustdoc. What fails does not keep the rest
/// from running. Servers are started on free ports and stopped at the end, however that comes.
///
/// A real part that cannot be had is named with the reason, and the tests that need it are counted
/// as skipped. The last line is `N passed, N failed, N skipped`: tests, and one for each check.
#[derive(Debug, clap::Args)]
#[command(after_long_help = ENVIRONMENT)]
pub(crate) struct Args {
    /// Just tests whose name contains this; no checks
    #[arg(long, value_name = "PATTERN")]
    only: Option<String>,
    /// Just the tests of these crates; no checks
    #[arg(short, long = "package", value_name = "CRATE")]
    package: Vec<String>,
    /// Start no servers: tests that need one are skipped
    #[arg(long)]
    no_servers: bool,
}

/// The contract between this command and the tests of all crates.
const ENVIRONMENT: &str = "\
What tests find in their environment:
  SQUALL_TEST_MILVUS_URI        Milvus 2.3.5, without authorization
  SQUALL_TEST_MILVUS_METRICS    its Prometheus metrics (URL)
  SQUALL_TEST_MILVUS_AUTH_URI   Milvus 2.3.5 that wants the token `root:Milvus`
  SQUALL_TEST_XTASK             this program, to start a Milvus 2.3.5 that a test may stop:
                                `milvus up --dir DIR --port 0 --metrics-port 0 --exit-with-stdin`
  SQUALL_TEST_MILVUS_LITE_URI   Milvus Lite 3.2.2
  SQUALL_TEST_PYTHON            interpreter with pymilvus, duckdb, polars, numpy, locust, jsonschema
  SQUALL_TEST_NODE_DIR          directory whose node_modules has @zilliz/milvus2-sdk-node
  SQUALL_TEST_CHROMIUM          Chromium, to look at pages with
Where a part is missing its variable is not set, and the same name with _MISSING appended says why.
Under a bare `cargo test` neither is set.

A test that lacks a part prints `SKIPPED <test name>: <reason>`, appends the line
`<test name>: <reason>` to the file named by SQUALL_TEST_SKIPPED_FILE where that is set, and returns.

Servers are shared by all tests, which run in parallel: use collection names of your own, drop them.
SQUALL_TEST_KILLS=20 in your own environment lets the tests that kill setup do so that often on each
server; by default the real one sees fewer. SQUALL_TEST_SEED repeats the moments of such kills.
SQUALL_TEST_ENDURANCE_S=480 makes the long run compressed that long, in seconds: ten million rows on
two cores; by default it is 20.
SQUALL_CACHE names a directory in which provisioned parts are kept instead of the target directory.";

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let target = workspace::target_dir()?;
    let dir = target.join("xtask-test");
    workspace::create_dir(&dir)?;
    let _lock = workspace::Lock::take(&target.join("xtask-test.lock"), || {
        println!("waiting for another `cargo xtask test` in {}", target.display());
    })?;

    let whole = args.only.is_none() && args.package.is_empty();
    let mut tally = Tally::default();
    if whole {
        check(&mut tally, "dependency graph", graph::check);
        check(&mut tally, "generated code", codegen::check);
    }
    announce("real parts");
    let parts = Parts::provide(&dir, args.no_servers);
    parts.describe();

    announce("tests");
    let tested = cargo_test::run(args, &parts, &dir, &mut tally);
    if let Err(error) = tested {
        tally.check_failed("cargo test", &error);
    }
    announce("stopping servers");
    drop(parts);

    if whole {
        check(&mut tally, "rustdoc", rustdoc);
    }
    announce("result");
    print!("{tally}");
    Ok(if tally.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn announce(step: &str) {
    println!("\n==> {step}");
}

fn check(tally: &mut Tally, name: &str, check: impl FnOnce() -> anyhow::Result<()>) {
    announce(name);
    match check() {
        Ok(()) => tally.check_passed(),
        Err(error) => {
            println!("{error:#}");
            tally.check_failed(name, &error);
        }
    }
}

fn rustdoc() -> anyhow::Result<()> {
    let status = workspace::cargo()
        .args(["doc", "--workspace", "--no-deps", "--release", "--locked"])
        .env("RUSTDOCFLAGS", "-D warnings")
        .status()
        .context("failed to run cargo doc")?;
    ensure!(status.success(), "cargo doc failed ({status})");
    Ok(())
}
