//! The real parts that tests use: provisioned, servers started, named in the tests' environment.

use std::{env, ffi::OsString, panic, path::Path, process::Command, thread};

use crate::{
    provision,
    servers::{Held, lite, milvus, ports},
    workspace,
};

/// A part, or why it is missing.
type Part<T> = Result<T, String>;

/// The parts; servers stop when this is dropped.
pub(super) struct Parts {
    /// Variables of the tests' environment.
    variables: Vec<(&'static str, Part<OsString>)>,
    _servers: Vec<Held>,
}

impl Parts {
    /// Provides what can be had. Servers keep their files below `dir`, and begin without data.
    pub(super) fn provide(dir: &Path, no_servers: bool) -> Self {
        let python = part(provision::python());
        let node = part(provision::node());
        let chromium = part(provision::chromium());
        let milvus =
            if no_servers { Err("--no-servers was given".to_owned()) } else { part(provision::milvus()) };
        let lite = if no_servers { milvus.clone().map(|_| ()) } else { Ok(()) };

        let start_milvus = |name: &str, auth: bool| {
            let (milvus, dir) = (milvus.clone()?, dir.join(name));
            part(twice(|| {
                fresh(&dir)?;
                let [port, metrics_port] = ports::free()?;
                let options = milvus::Options { port, metrics_port, auth, settings: Vec::new() };
                Held::start(&milvus::prepare(&milvus, &dir, &options)?)
            }))
        };
        let start_lite = || {
            lite?;
            let (python, dir) = (python.clone()?, dir.join("milvus-lite"));
            part(twice(|| {
                fresh(&dir)?;
                let [port] = ports::free()?;
                Held::start(&lite::prepare(&python, &dir, port)?)
            }))
        };
        let [plain, auth, lite] = thread::scope(|scope| {
            let starting = [
                scope.spawn(|| start_milvus("milvus", false)),
                scope.spawn(|| start_milvus("milvus-auth", true)),
                scope.spawn(start_lite),
            ];
            starting.map(|thread| thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic)))
        });

        let uri = |server: &Part<Held>| {
            server.as_ref().map(|held| held.address.uri.clone().into()).map_err(Clone::clone)
        };
        let metrics = plain.as_ref().map_err(Clone::clone).and_then(|held| {
            held.address.metrics.clone().map(OsString::from).ok_or_else(|| "it has no metrics".to_owned())
        });
        // A test that stops a server needs one of its own: `$SQUALL_TEST_XTASK milvus up --exit-with-stdin`.
        let xtask = milvus.and_then(|_| part(env::current_exe().map_err(Into::into)));
        let variables = vec![
            ("SQUALL_TEST_XTASK", xtask.map(Into::into)),
            ("SQUALL_TEST_MILVUS_URI", uri(&plain)),
            ("SQUALL_TEST_MILVUS_METRICS", metrics),
            ("SQUALL_TEST_MILVUS_AUTH_URI", uri(&auth)),
            ("SQUALL_TEST_MILVUS_LITE_URI", uri(&lite)),
            ("SQUALL_TEST_PYTHON", python.map(|python| python.interpreter.into())),
            ("SQUALL_TEST_NODE_DIR", node.map(|node| node.dir.into())),
            ("SQUALL_TEST_CHROMIUM", chromium.map(Into::into)),
        ];
        Self { variables, _servers: [plain, auth, lite].into_iter().filter_map(Result::ok).collect() }
    }

    /// Says what is there and what is not.
    pub(super) fn describe(&self) {
        for (name, value) in &self.variables {
            match value {
                Ok(value) => println!("{name}={}", value.display()),
                Err(reason) => println!("{name} is MISSING: {reason}"),
            }
        }
    }

    /// Names the parts in a command's environment.
    pub(super) fn name_in(&self, command: &mut Command) {
        for (name, value) in &self.variables {
            let missing = format!("{name}_MISSING");
            match value {
                Ok(value) => command.env(name, value).env_remove(missing),
                Err(reason) => command.env_remove(name).env(missing, reason),
            };
        }
    }
}

/// Starts a server, once more when it fails: a port that was free may be taken a moment later.
fn twice(start: impl Fn() -> anyhow::Result<Held>) -> anyhow::Result<Held> {
    start().or_else(|_| start())
}

/// An empty directory.
fn fresh(dir: &Path) -> anyhow::Result<()> {
    workspace::remove_dir(dir)?;
    workspace::create_dir(dir)
}

/// The reason in one line, as it is shown beside skipped tests.
fn part<T>(made: anyhow::Result<T>) -> Part<T> {
    made.map_err(|error| format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" "))
}
