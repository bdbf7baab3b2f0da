//! `cargo xtask graph`: the crates' dependencies against the rules of the design.
//!
//! This file gathers the facts from cargo and the manifests; [`rules`] judges them.

mod rules;

use std::{collections::BTreeSet, fs};

use anyhow::{Context, bail};
use cargo_metadata::{DependencyKind, Metadata};

use crate::workspace;
use rules::{CrateFacts, Facts};

/// Check who depends on whom
///
/// Holds the workspace against the rules of the design: which crate may know which, what each must
/// never see even at second hand, libraries that must not be anywhere (a second TLS provider, the
/// system's OpenSSL, fontconfig), versions and features in the root manifest only, and the same
/// features under polars for the binary alone as for the whole workspace, so that polars is built
/// once.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args) -> anyhow::Result<()> {
    check()?;
    eprintln!("the crates depend on each other, and on others, as the design says");
    Ok(())
}

/// Fails with every rule that is broken.
pub(crate) fn check() -> anyhow::Result<()> {
    let broken = rules::broken(&gather()?);
    if broken.is_empty() {
        return Ok(());
    }
    bail!("the dependency graph breaks the design in {} places:\n  {}", broken.len(), broken.join("\n  "));
}

fn gather() -> anyhow::Result<Facts> {
    let metadata = workspace::metadata()?;
    let crates = metadata
        .workspace_packages()
        .iter()
        .map(|package| crate_facts(&metadata, package))
        .collect::<anyhow::Result<_>>()?;
    Ok(Facts { crates, locked: locked_names()?, features_of_its_own: features_of_squall_alone()? })
}

fn crate_facts(metadata: &Metadata, package: &cargo_metadata::Package) -> anyhow::Result<CrateFacts> {
    let ours: BTreeSet<&str> =
        metadata.workspace_packages().iter().map(|package| package.name.as_str()).collect();
    let direct = |dev: bool| {
        package
            .dependencies
            .iter()
            .filter(|dependency| (dependency.kind == DependencyKind::Development) == dev)
            .map(|dependency| dependency.name.clone())
            .filter(|name| ours.contains(name.as_str()))
            .collect()
    };
    let manifest = fs::read_to_string(&package.manifest_path)
        .with_context(|| format!("failed to read {}", package.manifest_path))?;
    let manifest: toml::Table =
        manifest.parse().with_context(|| format!("{} is not TOML", package.manifest_path))?;
    Ok(CrateFacts {
        name: package.name.to_string(),
        normal: direct(false),
        dev: direct(true),
        sees: tree(&["-p", package.name.as_str()], "normal,build", "{p}")?
            .iter()
            .filter_map(|line| line.split(' ').next().map(str::to_owned))
            .collect(),
        own_versions: rules::own_versions(&manifest),
    })
}

/// Packages under polars whose features, when the binary alone is built, are none of those that they
/// have when the whole workspace is, tests included.
fn features_of_squall_alone() -> anyhow::Result<BTreeSet<String>> {
    let under_polars = tree(&["-p", "polars"], "normal,build", "{p}")?;
    let alone = tree(&["-p", "squall"], "normal,build", "{p} [{f}]")?;
    let together = tree(&["--workspace"], "normal,build,dev", "{p} [{f}]")?;
    Ok(rules::features_of_its_own(&under_polars, &alone, &together))
}

/// The distinct lines of `cargo tree`.
fn tree(selection: &[&str], edges: &str, format: &str) -> anyhow::Result<BTreeSet<String>> {
    let mut cargo = workspace::cargo();
    cargo.args(["tree", "--locked", "--prefix", "none", "-e", edges, "--format", format]).args(selection);
    let lines = workspace::output(&mut cargo)?;
    // ` (*)` marks what was shown before.
    Ok(lines
        .lines()
        .map(|line| line.trim_end_matches(" (*)").to_owned())
        .filter(|line| !line.is_empty())
        .collect())
}

/// Names of every package in Cargo.lock, whatever platform it is for.
fn locked_names() -> anyhow::Result<BTreeSet<String>> {
    let path = workspace::root().join("Cargo.lock");
    let text = fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
    let lock: toml::Table = text.parse().context("Cargo.lock is not TOML")?;
    let packages =
        lock.get("package").and_then(toml::Value::as_array).context("Cargo.lock has no packages")?;
    let names = packages.iter().filter_map(|package| package.get("name")?.as_str());
    Ok(names.map(str::to_owned).collect())
}
