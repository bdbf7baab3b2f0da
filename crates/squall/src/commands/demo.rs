//! `squall demo`: the sandbox as a process of its own, setup, run, report.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use clap::ArgMatches;
use squall_core::config::{Layer, Settings};
use squall_core::keys::Command;
use squall_core::run_config::RunConfig;
use squall_setup::SetupConfig;

use crate::commands::run::drive;
use crate::commands::setup::{endpoint, seed};
use crate::exit::{Exit, Failure};

const ROWS: &str = "20000";
const DIMENSION: &str = "768";
const RATE: &str = "200";
const RUN_TIME: &str = "20s";

pub(crate) async fn execute(matches: &ArgMatches) -> Result<Exit, Failure> {
    let sandbox = SandboxProcess::start()?;
    let given = |name: &str| matches.get_one::<String>(name).cloned().expect("it has a default");
    let uri = sandbox.uri.as_str();

    // Clustered, as embeddings are: on noise no index finds much, and recall would say just that. The
    // sandbox moves no segments about, so there is little to wait for.
    let (data, reports) = (given("data"), given("reports"));
    let seeding = [
        ("uri", uri),
        ("num-vectors", ROWS),
        ("dimension", DIMENSION),
        ("dataset", "clustered"),
        ("index", "HNSW"),
        // A graph that is built in seconds.
        ("index-params", r#"{"M":12,"efConstruction":40}"#),
        ("metric", "COSINE"),
        ("settle", "1s"),
        ("data", data.as_str()),
    ];
    let settings = demo_settings(Command::Setup, &seeding);
    let config = SetupConfig::new(&settings, false)?;
    seed(&config, &endpoint(&config.server, &settings)?).await?;

    eprintln!();
    let metrics_url = format!("{uri}/metrics");
    let run = [
        ("uri", uri),
        ("metrics-url", metrics_url.as_str()),
        ("rate", RATE),
        ("run-time", RUN_TIME),
        ("name", "demo"),
        ("data", data.as_str()),
        ("reports", reports.as_str()),
    ];
    let settings = demo_settings(Command::Run, &run);
    let config = RunConfig::new(&settings)?;
    let endpoint = endpoint(&config.plan.server, &settings)?;
    drive(config, endpoint, matches).await
}

/// The demo's own settings; the environment is for real servers and must not reach it.
fn demo_settings(command: Command, values: &[(&str, &str)]) -> Settings {
    let given = values.iter().map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()]));
    Settings::resolve(command, &[Layer::flags(command, given)])
}

/// The sandbox in a process of its own. It ends when its standard input does, which the system
/// closes however this process ends.
struct SandboxProcess {
    uri: String,
    child: Child,
    stdin: Option<ChildStdin>,
}

impl SandboxProcess {
    fn start() -> Result<Self, Failure> {
        let program = std::env::current_exe().map_err(Failure::failed)?;
        let start = |mut command: std::process::Command| {
            command
                .args(["sandbox", "--port", "0", "--exit-with-stdin"])
                .env_remove("SQUALL_SANDBOX_TOKEN")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
        };
        // Server and generator share the cores of this machine: the server yields, or the run would
        // measure how long the generator waited for a core. `nice` becomes the sandbox, same process.
        let mut yielding = std::process::Command::new("nice");
        yielding.args(["-n", "10"]).arg(&program);
        let mut child = start(yielding)
            .or_else(|_| start(std::process::Command::new(&program)))
            .map_err(Failure::failed)?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take();
        let mut process = Self { uri: String::new(), child, stdin };
        let (sender, first_line) = mpsc::channel();
        if let Some(stdout) = stdout {
            std::thread::spawn(move || {
                let mut line = String::new();
                let _ = BufReader::new(stdout).read_line(&mut line);
                let _ = sender.send(line);
            });
        }
        let line = first_line.recv_timeout(Duration::from_secs(30)).unwrap_or_default();
        let uri = line.trim().strip_prefix("listening on ").ok_or_else(|| {
            Failure::failed(anyhow::anyhow!("the sandbox did not start; try `squall sandbox` to see why"))
        })?;
        process.uri = uri.to_owned();
        eprintln!("sandbox at {uri}");
        Ok(process)
    }
}

impl Drop for SandboxProcess {
    fn drop(&mut self) {
        drop(self.stdin.take());
        // It has nothing to finish; waiting long for it would only hide the report.
        for _ in 0..50 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
