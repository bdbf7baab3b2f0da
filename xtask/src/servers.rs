//! Real servers, started and stopped by xtask.
//!
//! [`milvus`] and [`lite`] say what to start and how to see that it is ready: a [`Prepared`] server.
//! There are two ways to run one:
//! - [`Held`], by `cargo xtask test`: it lives as long as the value, and not longer than this process
//!   however that ends, because [`hold`] stands between and watches a pipe;
//! - [`detached`], by the `up`, `down` and `status` commands: it outlives this process.

pub(crate) mod detached;
pub(crate) mod hold;
pub(crate) mod lite;
pub(crate) mod milvus;
pub(crate) mod ports;
mod process;

use std::{
    ffi::OsString,
    fs::{self, File},
    net::{SocketAddr, TcpStream},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, bail};

/// How long a server may take to be ready; Milvus took 20 s at most when it was measured idle.
const START_TIMEOUT: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(100);

/// How long a server may take to end by itself once asked; then it is killed. Milvus needs the kill
/// (it can hang for minutes, and its data survives); Milvus Lite is gone in 20 ms.
const GRACE: Duration = Duration::from_secs(2);

/// A server that is ready to be started.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// What it is called in messages.
    pub(crate) name: &'static str,
    /// Program and arguments.
    pub(crate) words: Vec<OsString>,
    /// What its environment has beyond this process'.
    pub(crate) env: Vec<(String, OsString)>,
    /// Directory to run it in.
    pub(crate) dir: PathBuf,
    /// Where it will be.
    pub(crate) address: Address,
    /// How it shows that it is ready.
    pub(crate) ready: Ready,
    /// Files for what it prints.
    pub(crate) stdout: PathBuf,
    pub(crate) stderr: PathBuf,
}

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Address {
    /// URI for clients.
    pub(crate) uri: String,
    /// URL of its Prometheus metrics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) metrics: Option<String>,
}

/// How a server shows that it is ready.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ready {
    /// The first URL answers `OK`, and the second, at the clients' port, with JSON. A healthy Milvus need
    /// not be the one at that port: where it finds it taken, it takes another.
    Milvus { health: String, clients: String },
    /// This port takes connections.
    Tcp(SocketAddr),
}

impl Ready {
    /// Whether it is ready now.
    pub(crate) fn is_ready(&self) -> bool {
        match self {
            Self::Milvus { health, clients } => {
                // Without a token, an answer is a refusal.
                let config = ureq::Agent::config_builder().http_status_as_error(false);
                let agent: ureq::Agent = config.timeout_global(Some(Duration::from_secs(2))).build().into();
                let body = |url| agent.get(url).call().and_then(|mut body| body.body_mut().read_to_string());
                body(health).is_ok_and(|body| body.trim() == "OK")
                    && body(clients)
                        .is_ok_and(|body| serde_json::from_str::<serde_json::Value>(&body).is_ok())
            }
            Self::Tcp(address) => TcpStream::connect_timeout(address, Duration::from_secs(2)).is_ok(),
        }
    }
}

impl Prepared {
    /// The command, with `before` its words, its output in the files and no input.
    fn command(&self, before: Vec<OsString>) -> anyhow::Result<Command> {
        let open = |path: &Path| {
            File::create(path).with_context(|| format!("failed to make the file {}", path.display()))
        };
        let mut words = before.into_iter().chain(self.words.iter().cloned());
        let mut command = Command::new(words.next().context("a server without a program")?);
        command.args(words).current_dir(&self.dir).envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(open(&self.stdout)?).stderr(open(&self.stderr)?);
        // A terminal's Ctrl-C goes to the process group in the foreground, which this is not in.
        command.process_group(0);
        Ok(command)
    }

    /// Waits until it is ready; `ended` tells that the process is gone.
    fn wait_ready(
        &self,
        mut ended: impl FnMut() -> anyhow::Result<Option<ExitStatus>>,
    ) -> anyhow::Result<()> {
        let started = Instant::now();
        while !self.ready.is_ready() {
            if let Some(status) = ended()? {
                bail!("{} ended while it started ({status}): {}", self.name, self.last_words());
            }
            if started.elapsed() > START_TIMEOUT {
                bail!(
                    "{} was not ready after {} s: {}",
                    self.name,
                    START_TIMEOUT.as_secs(),
                    self.last_words()
                );
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// The end of what it printed, and where the rest is.
    fn last_words(&self) -> String {
        let read = |path: &Path| {
            fs::read(path).map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default()
        };
        let text = [read(&self.stdout), read(&self.stderr)].concat();
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = lines[lines.len().saturating_sub(8)..].join("\n    ");
        format!("it said, in {} and {}:\n    {last}", self.stdout.display(), self.stderr.display())
    }
}

/// A running server that is stopped when this is dropped, and also when this process dies.
#[derive(Debug)]
pub(crate) struct Held {
    /// Where it is.
    pub(crate) address: Address,
    holder: Child,
}

impl Held {
    /// Starts a server and waits until it is ready.
    pub(crate) fn start(prepared: &Prepared) -> anyhow::Result<Self> {
        let mut command = prepared.command(hold::words()?)?;
        let holder = command.stdin(Stdio::piped()).spawn().context("failed to start the server's holder")?;
        let mut held = Self { address: prepared.address.clone(), holder };
        let holder = &mut held.holder;
        prepared.wait_ready(|| holder.try_wait().context("failed to watch the server"))?;
        Ok(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // The end of its input tells the holder to stop the server.
        drop(self.holder.stdin.take());
        // Nothing is left to do about a holder that cannot be waited for.
        let _ = self.holder.wait();
    }
}

/// A port of this machine's own network.
fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// A directory as an absolute path, since servers run in another one.
pub(crate) fn absolute(dir: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(dir).map_err(|error| anyhow!("{} is no usable path: {error}", dir.display()))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
    };

    use super::*;

    /// A server that answers each request with this; its URL.
    fn answering(answer: &'static str) -> String {
        let listener = TcpListener::bind(local(0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                // What was asked does not matter, and who asked may be gone.
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        url
    }

    #[test]
    fn milvus_is_ready_where_it_is_healthy_and_at_the_clients_port() {
        let healthy = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nOK";
        let starting = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        let clients = "HTTP/1.1 200 OK\r\ncontent-length: 12\r\nconnection: close\r\n\r\n{\"code\":200}";
        let no_token =
            "HTTP/1.1 401 Unauthorized\r\ncontent-length: 13\r\nconnection: close\r\n\r\n{\"code\":1800}";
        // What a gRPC server says to HTTP/1.1: an empty settings frame.
        let component = "\0\0\0\u{4}\0\0\0\0\0";
        for (health, clients, ready) in [
            (healthy, clients, true),
            (healthy, no_token, true),
            (starting, clients, false),
            (healthy, component, false),
            (healthy, "", false),
        ] {
            let server = Ready::Milvus { health: answering(health), clients: answering(clients) };
            assert_eq!(server.is_ready(), ready, "{health:?}, {clients:?}");
        }
    }
}
