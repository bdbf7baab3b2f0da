//! What the tests of the program share: the binary, a sandbox, real parts, run directories.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// The program in an empty directory of its own, with nothing of this process's configuration.
pub(crate) struct Workplace {
    pub(crate) directory: TempDir,
}

impl Workplace {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a temporary directory") }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// `squall` with the given words.
    pub(crate) fn squall<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_squall"));
        command.args(words).current_dir(self.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            let own = [
                "MILVUS_",
                "SQUALL_",
                "TARGET_",
                "COMMON_QUERY",
                "FILTERED_QUERY",
                "RARE_QUERY",
                // What says that CI runs the tests.
                "GITHUB_",
                "GITLAB_",
                "BUILDKITE",
                "CIRCLECI",
                "TF_BUILD",
                "TRAVIS",
                "BITBUCKET_",
                "DRONE",
                "TEAMCITY_",
                "JENKINS_",
            ];
            let named = [
                "USERS",
                "SPAWN_RATE",
                "RUN_TIME",
                "LOAD_TEST_COLLECTION",
                "VECTOR_DIMENSION",
                "ZIPF_PARAMETER",
            ];
            if own.iter().any(|prefix| text.starts_with(prefix)) || named.contains(&text.as_ref()) {
                command.env_remove(name);
            }
        }
        command
    }

    /// Runs `squall` with the words of one line and waits for it.
    pub(crate) fn line(&self, line: &str) -> Done {
        Done::from(self.squall(line.split_whitespace()).output().expect("the program starts"))
    }

    /// The only run directory there is.
    pub(crate) fn only_run(&self) -> PathBuf {
        let runs: Vec<PathBuf> = std::fs::read_dir(self.path().join("data/runs"))
            .expect("there are runs")
            .map(|entry| entry.expect("an entry").path())
            .collect();
        assert_eq!(runs.len(), 1, "{runs:?}");
        runs[0].clone()
    }
}

/// What a finished program left.
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Done {
    /// Asserts the exit code.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Asserts that a run went through. On a machine that is busy with other tests it may be called
    /// invalid, exit code 5: that is the truth, and not what these tests are about.
    #[track_caller]
    pub(crate) fn ran(self) -> Self {
        let code = if self.code == Some(5) { 5 } else { 0 };
        self.expect(code)
    }

    /// Asserts that stderr is one sentence of error with these parts in it.
    #[track_caller]
    pub(crate) fn says(self, parts: &[&str]) -> Self {
        let errors: Vec<&str> = self.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "one sentence of error in:\n{}", self.stderr);
        for part in parts {
            assert!(self.stderr.contains(part), "`{part}` in:\n{}", self.stderr);
        }
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }

    /// Stdout as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in:\n{}", self.stdout))
    }
}

/// A sandbox in a process of its own, which ends with this value.
pub(crate) struct SandboxProcess {
    pub(crate) uri: String,
    child: Child,
    stdin: Option<ChildStdin>,
}

impl SandboxProcess {
    pub(crate) fn start(words: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_squall"))
            .args(["sandbox", "--port", "0", "--exit-with-stdin"])
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the sandbox starts");
        let stdin = child.stdin.take();
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("it is piped")).read_line(&mut line).expect("a line");
        let uri = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}")).to_owned();
        Self { uri, child, stdin }
    }

    pub(crate) fn port(&self) -> &str {
        self.uri.rsplit(':').next().expect("a URI has a port")
    }
}

impl Drop for SandboxProcess {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}

/// The real part that `variable` names; where there is none, says that `test` was skipped.
pub(crate) fn real_part(variable: &str, test: &str) -> Option<String> {
    if let Ok(value) = std::env::var(variable) {
        return Some(value);
    }
    let reason =
        std::env::var(format!("{variable}_MISSING")).unwrap_or_else(|_| format!("{variable} is not set"));
    let line = format!("SKIPPED {test}: {reason}");
    println!("{line}");
    if let Ok(path) = std::env::var("SQUALL_TEST_SKIPPED_FILE") {
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .expect("the file of skipped tests");
        writeln!(file, "{line}").expect("the line is written");
    }
    None
}

/// Runs a Python script of this directory and gives back what it printed, as JSON.
#[track_caller]
pub(crate) fn python(interpreter: &str, script: &str, arguments: &[&str]) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python").join(script);
    let output = Command::new(interpreter).arg(path).args(arguments).output().expect("python starts");
    let done = Done::from(output).expect(0);
    done.json()
}

/// All files below `directory`.
pub(crate) fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            if path.is_dir() { open.push(path) } else { files.push(path) }
        }
    }
    files
}

/// A Milvus 2.3.5 of the test's own, which it may stop and start again; it ends with this value.
pub(crate) struct OwnMilvus {
    pub(crate) uri: String,
    xtask: String,
    directory: TempDir,
    running: Option<Running>,
}

/// A process that ends with its standard input.
struct Running {
    child: Child,
    stdin: ChildStdin,
    /// Held open: a process that prints on after its reader has gone would end.
    _stdout: Lines<BufReader<ChildStdout>>,
}

impl OwnMilvus {
    /// Starts one on free ports; `xtask` is what SQUALL_TEST_XTASK names.
    pub(crate) fn start(xtask: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut milvus = Self { uri: String::new(), xtask: xtask.to_owned(), directory, running: None };
        milvus.up("0");
        milvus
    }

    fn up(&mut self, port: &str) {
        let mut child = Command::new(&self.xtask)
            .args(["milvus", "up", "--metrics-port", "0", "--exit-with-stdin", "--port", port, "--dir"])
            .arg(self.directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("xtask starts");
        let stdin = child.stdin.take().expect("it is piped");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let uri = lines.find_map(|line| line.expect("a line").strip_prefix("uri ").map(str::to_owned));
        self.uri = uri.expect("Milvus starts and its URI is printed");
        self.running = Some(Running { child, stdin, _stdout: lines });
    }

    /// Stops the server; its data stays.
    pub(crate) fn stop(&mut self) {
        if let Some(Running { mut child, stdin, _stdout }) = self.running.take() {
            drop(stdin);
            let _ = child.wait();
        }
    }

    /// Starts it again where it was.
    pub(crate) fn start_again(&mut self) {
        let port = self.uri.rsplit(':').next().expect("a URI has a port").to_owned();
        self.up(&port);
    }
}

impl Drop for OwnMilvus {
    fn drop(&mut self) {
        self.stop();
    }
}
