//! What the tests of the program share: the binary, a sandbox, real parts, run directories.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};

use arrow_array::StringArray;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, UInt64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;
use squall_core::schema::Transport;
use squall_milvus::Endpoint;
use squall_milvus::admin::Admin;
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

    /// `squall` with the given words, started by another program.
    pub(crate) fn squall_under<S: AsRef<OsStr>>(
        &self,
        launcher: &[&str],
        words: impl IntoIterator<Item = S>,
    ) -> Command {
        let squall = self.squall(words);
        let Some((program, arguments)) = launcher.split_first() else { return squall };
        let mut command = Command::new(program);
        command.args(arguments).arg(squall.get_program()).args(squall.get_args());
        command.current_dir(self.path()).stdin(Stdio::null());
        for (name, value) in squall.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
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
        Self::start_at("0", words)
    }

    /// Before every other program, where that is allowed.
    pub(crate) fn start_first(words: &[&str]) -> Self {
        Self::start_under(first_in_line(), "0", words)
    }

    /// On this port, which must be free.
    pub(crate) fn start_at(port: &str, words: &[&str]) -> Self {
        Self::start_under(&[], port, words)
    }

    /// Started by another program.
    pub(crate) fn start_under(launcher: &[&str], port: &str, words: &[&str]) -> Self {
        let line = [launcher, &[env!("CARGO_BIN_EXE_squall")]].concat();
        let mut child = Command::new(line[0])
            .args(&line[1..])
            .args(["sandbox", "--port", port, "--exit-with-stdin"])
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

    /// Sends it a signal, by its name without SIG.
    pub(crate) fn signal(&self, name: &str) {
        let mut kill = Command::new("kill");
        kill.args(["-s", name, &self.child.id().to_string()]);
        assert!(kill.status().expect("kill starts").success());
    }

    /// Ends it without a word, as a crash does.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }
}

/// A line of the sandbox's log; times are nanoseconds on CLOCK_MONOTONIC.
#[derive(Clone, Debug)]
pub(crate) struct Logged {
    pub(crate) received_ns: i64,
    pub(crate) done_ns: i64,
    pub(crate) delay_ns: i64,
    pub(crate) outcome: String,
}

/// What the sandbox logged, in order of arrival; a line that a kill cut short is left out.
pub(crate) fn logged(log: &Path) -> Vec<Logged> {
    let text = std::fs::read_to_string(log).expect("the sandbox's log");
    let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
    let mut lines = whole.lines();
    let header: Vec<&str> = lines.next().expect("a header").split(',').collect();
    let column = |name: &str| header.iter().position(|column| *column == name).expect("a column");
    let [received, done, delay, outcome] = ["received_ns", "done_ns", "delay_ns", "outcome"].map(column);
    let read = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        let number = |column: usize| fields[column].parse().expect("a number");
        Logged {
            received_ns: number(received),
            done_ns: number(done),
            delay_ns: number(delay),
            outcome: fields[outcome].to_owned(),
        }
    };
    let mut logged: Vec<Logged> = lines.map(read).collect();
    logged.sort_by_key(|line| line.received_ns);
    logged
}

/// Now on CLOCK_MONOTONIC, the clock of the sandbox's log.
pub(crate) fn now_ns() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

/// A request as the run's rows have it; times are nanoseconds since the plan's start.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) seq: u64,
    pub(crate) due_ns: i64,
    pub(crate) ready_ns: i64,
    pub(crate) done_ns: i64,
    pub(crate) outcome: String,
}

/// Every row of a run, in the order of `seq`; a part that cannot be read fails the test.
#[track_caller]
pub(crate) fn rows(run: &Path) -> Vec<Row> {
    let mut rows = Vec::new();
    for path in files_below(&run.join("requests")) {
        if path.extension().is_none_or(|extension| extension != "parquet") {
            continue;
        }
        let unreadable = |error: &dyn std::fmt::Display| -> ! { panic!("{}: {error}", path.display()) };
        let file = File::open(&path).unwrap_or_else(|error| unreadable(&error));
        let reader = ParquetRecordBatchReaderBuilder::try_new(file)
            .and_then(ParquetRecordBatchReaderBuilder::build)
            .unwrap_or_else(|error| unreadable(&error));
        for batch in reader {
            let batch = batch.unwrap_or_else(|error| unreadable(&error));
            let column = |name: &str| batch.column_by_name(name).expect("a column of the schema");
            let int64 = |name: &str| column(name).as_primitive::<Int64Type>();
            let seq = column("seq").as_primitive::<UInt64Type>();
            let [due, ready, done] = ["due", "ready", "done"].map(int64);
            let outcome = column("outcome").as_dictionary::<Int32Type>();
            let words = outcome.downcast_dict::<StringArray>().expect("words");
            rows.extend((0..batch.num_rows()).map(|row| Row {
                seq: seq.value(row),
                due_ns: due.value(row),
                ready_ns: ready.value(row),
                done_ns: done.value(row),
                outcome: words.values().value(outcome.keys().value(row) as usize).to_owned(),
            }));
        }
    }
    rows.sort_by_key(|row| row.seq);
    rows
}

/// How many rows have that outcome.
pub(crate) fn count(rows: &[Row], outcome: &str) -> usize {
    rows.iter().filter(|row| row.outcome == outcome).count()
}

/// The smallest value with at least that share of them at or below it.
pub(crate) fn percentile(values: &mut [i64], share: f64) -> i64 {
    values.sort_unstable();
    values[((values.len() as f64 * share).ceil() as usize).max(1) - 1]
}

/// Checks that make a run invalid, by name.
pub(crate) fn invalid_checks(summary: &Value) -> Vec<&str> {
    let checks = summary["validity"].as_array().expect("the checks");
    let invalid = checks.iter().filter(|check| check["result"] == "invalid");
    invalid.map(|check| check["check"].as_str().expect("a name")).collect()
}

/// What starts a program before every other one (real-time scheduling), so that experiments about time
/// show what Squall does, not what else this machine does; nothing where that is not allowed.
pub(crate) fn first_in_line() -> &'static [&'static str] {
    static ALLOWED: std::sync::LazyLock<bool> = std::sync::LazyLock::new(|| {
        let tried = Command::new("chrt").args(["-f", "10", "true"]).output();
        tried.is_ok_and(|output| output.status.success())
    });
    if *ALLOWED { &["chrt", "-f", "10"] } else { &[] }
}

/// What this machine took from a run, where that is why its times cannot be judged.
fn disturbance(summary: &Value) -> Option<String> {
    // What others had for a hundredth of the time is late at P99, which may make a run invalid. Threads that
    // come first wait for one another for 0.9 % at most, where the server is not overloaded.
    const TAKEN: f64 = 0.01;
    // A thread that waits for a core for more than this is late now and then.
    const BUSY: f64 = 0.03;

    let checks = summary["validity"].as_array().expect("the checks");
    let share = |name: &str| {
        let check = checks.iter().find(|check| check["check"] == name);
        check.unwrap_or_else(|| panic!("`{name}` is checked"))["value"].as_f64()
    };
    let waited = share("run_queue");
    if first_in_line().is_empty() && waited.is_none_or(|share| share > BUSY) {
        return Some("its cores were busy, and chrt is not allowed".to_owned());
    }
    let invalid = !invalid_checks(summary).is_empty();
    let taken = |name: &str| share(name).filter(|share| invalid && *share > TAKEN);
    if let Some(share) = taken("steal") {
        return Some(format!("its hypervisor took {:.1} % of the CPU time", share * 100.0));
    }
    if let Some(share) = taken("throttled") {
        return Some(format!("its CPU quota held the run back for {:.1} %", share * 100.0));
    }
    taken("run_queue").map(|share| format!("its threads waited for a core for {:.1} %", share * 100.0))
}

/// Whether an experiment about time can be judged: it came first, or nobody was in its way. Otherwise
/// says that `test` was skipped. Asserts that the server, whatever it did, did not make the run invalid.
#[track_caller]
pub(crate) fn can_be_judged(summary: &Value, test: &str) -> bool {
    if let Some(disturbance) = disturbance(summary) {
        skipped(test, &format!("this machine was disturbed: {disturbance}"));
        return false;
    }
    assert_eq!(invalid_checks(summary), [""; 0], "{}", summary["validity"]);
    true
}

/// An experiment about time, again until nobody is in its way; `None` where somebody always was, so that
/// `test` was skipped. `summary` is that of its run.
#[track_caller]
pub(crate) fn undisturbed<T>(
    test: &str,
    summary: impl Fn(&T) -> &Value,
    mut experiment: impl FnMut() -> T,
) -> Option<T> {
    const TRIES: usize = 4;

    let mut found = experiment();
    for _ in 1..TRIES {
        let Some(disturbance) = disturbance(summary(&found)) else { break };
        println!("once more, since this machine was disturbed: {disturbance}");
        found = experiment();
    }
    can_be_judged(summary(&found), test).then_some(found)
}

/// A run, or another command, in a process of its own whose stderr is collected.
pub(crate) struct RunProcess {
    child: Child,
    reader: std::thread::JoinHandle<String>,
    lines: std::sync::mpsc::Receiver<String>,
}

impl RunProcess {
    /// Starts `command`.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child =
            command.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts");
        let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
        let (tell, lines) = std::sync::mpsc::channel();
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            for line in stderr.lines().map_while(Result::ok) {
                text.push_str(&line);
                text.push('\n');
                // Whoever waits for no line has dropped the other end.
                let _ = tell.send(line);
            }
            text
        });
        Self { child, reader, lines }
    }

    /// Waits until the load has begun.
    #[track_caller]
    pub(crate) fn wait_for_the_load(&self) {
        self.wait_for_a_line(|line| line.starts_with("run "));
    }

    /// Waits until it has said such a line.
    #[track_caller]
    pub(crate) fn wait_for_a_line(&self, is_it: impl Fn(&str) -> bool) {
        assert!(self.lines.iter().any(|line| is_it(&line)), "it ended without having said so");
    }

    /// SIGKILL; the moment on CLOCK_MONOTONIC at which it was not dead yet.
    pub(crate) fn kill(mut self) -> i64 {
        let before_ns = now_ns();
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
        before_ns
    }

    /// Waits for its end.
    pub(crate) fn done(self) -> Done {
        let output = self.child.wait_with_output().expect("it ends");
        let stderr = self.reader.join().expect("stderr is read");
        Done { stderr, ..Done::from(output) }
    }
}

/// How often something is killed: `SQUALL_TEST_KILLS`, or else `unless_given`.
pub(crate) fn kills(unless_given: u32) -> u32 {
    std::env::var("SQUALL_TEST_KILLS").map_or(unless_given, |kills| kills.parse().expect("a number"))
}

/// Different moments each time, from 0 to 1, printed so that they can be had again with SQUALL_TEST_SEED.
pub(crate) fn moments(count: u32) -> Vec<f64> {
    let seed = std::env::var("SQUALL_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.expect("it is later than 1970").as_nanos() as u64
    });
    println!("SQUALL_TEST_SEED={seed}");
    let mut state = seed;
    let draw = || {
        // SplitMix64 (Steele, Lea, Flood 2014).
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) as f64 / 2_f64.powi(64)
    };
    std::iter::repeat_with(draw).take(count as usize).collect()
}

/// Says that a test was skipped, and why.
pub(crate) fn skipped(test: &str, reason: &str) {
    let line = format!("SKIPPED {test}: {reason}");
    println!("{line}");
    if let Ok(path) = std::env::var("SQUALL_TEST_SKIPPED_FILE") {
        let mut file =
            File::options().create(true).append(true).open(path).expect("the file of skipped tests");
        writeln!(file, "{line}").expect("the line is written");
    }
}

/// A file system of so many bytes, unmounted with this value.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where this process may not mount one.
    pub(crate) fn mount(path: PathBuf, size: &str) -> Option<Self> {
        std::fs::create_dir_all(&path).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "squall-test"]).arg(&path);
        mount.output().is_ok_and(|output| output.status.success()).then_some(Self(path))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
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
    skipped(test, &reason);
    None
}

/// Asks a server, over gRPC.
pub(crate) fn with_admin<T>(uri: &str, work: impl AsyncFnOnce(Admin) -> T) -> T {
    with_admin_as(uri, None, work)
}

/// The same as the user whom `token` names.
pub(crate) fn with_admin_as<T>(uri: &str, token: Option<&str>, work: impl AsyncFnOnce(Admin) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let endpoint = Endpoint::new(uri, token.map(str::to_owned), None).unwrap();
        work(Admin::connect(&endpoint, Transport::Grpc).await.unwrap()).await
    })
}

pub(crate) fn has_collection(uri: &str, collection: &str) -> bool {
    with_admin(uri, async |admin| admin.has_collection(collection).await.unwrap())
}

pub(crate) fn drop_collection(uri: &str, collection: &str) {
    with_admin(uri, async |admin| admin.drop_collection(collection).await.unwrap());
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
