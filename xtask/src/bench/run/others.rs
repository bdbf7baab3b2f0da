//! The other load generators: h2load, wrk and pymilvus, posting what Squall posts.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};
use serde::Deserialize;

use super::{
    super::measure::script, Bench, COLLECTION, CONNECTIONS, DIMENSION, IN_FLIGHT, LIMIT, load::Done,
    sandbox::Sandbox,
};
use crate::workspace;

/// The body of a search as Squall sends it, in a file; and its length.
pub(super) fn body(bench: &Bench<'_>, sandbox: &Sandbox, transport: &str) -> anyhow::Result<(PathBuf, u64)> {
    let file = bench.stopwatch.dir.join(format!("search-{transport}.bin"));
    let limit = LIMIT.to_string();
    let mut command = Command::new(&bench.search_bytes);
    workspace::output(command.args([sandbox.uri(), transport, COLLECTION, &limit]).arg(&file))?;
    let length = fs::metadata(&file).context("the body was not written")?.len();
    Ok((file, length))
}

/// h2load, one thread, with as many connections and streams as Squall has.
pub(super) fn h2load(bench: &Bench<'_>, sandbox: &Sandbox, body: &Path) -> anyhow::Result<Done> {
    let words = [
        format!("--duration={}", bench.args.seconds),
        format!("--clients={CONNECTIONS}"),
        format!("--max-concurrent-streams={}", IN_FLIGHT / CONNECTIONS),
        "--threads=1".to_owned(),
        format!("--data={}", body.display()),
        "--header=content-type: application/grpc".to_owned(),
        "--header=te: trailers".to_owned(),
        format!("{}/milvus.proto.milvus.MilvusService/Search", sandbox.uri()),
    ];
    let (done, stdout) = measured(bench, sandbox, &bench.rivals.h2load, &words)?;
    // requests: 12 total, 13 started, 12 done, 12 succeeded, 0 failed, 0 errored, 0 timeout
    let counts = stdout.lines().find(|line| line.starts_with("requests:"));
    let counts = counts.with_context(|| format!("h2load told no requests: {stdout}"))?;
    let count = |what: &str| {
        let part = counts.split([',', ':']).find(|part| part.trim_end().ends_with(what));
        let number =
            part.and_then(|part| part.split_whitespace().next()).and_then(|text| text.parse::<f64>().ok());
        number.with_context(|| format!("h2load told no number of requests {what}: {counts}"))
    };
    ensure!(count("failed")? == 0.0, "h2load: {counts}");
    Ok(Done { requests: count("succeeded")?, ..done })
}

/// wrk, one thread, with as many sockets as Squall has requests in flight.
pub(super) fn wrk(bench: &Bench<'_>, sandbox: &Sandbox, body: &Path) -> anyhow::Result<Done> {
    let lua = bench.stopwatch.dir.join("search.lua");
    let script = format!(
        "local file = assert(io.open({:?}, \"rb\"))\n\
         wrk.method = \"POST\"\n\
         wrk.body = file:read(\"*a\")\n\
         file:close()\n\
         wrk.headers[\"content-type\"] = \"application/json\"\n\
         wrk.headers[\"accept\"] = \"application/json\"\n\
         wrk.headers[\"accept-type-allow-int64\"] = \"true\"\n",
        body.display().to_string()
    );
    fs::write(&lua, script).with_context(|| format!("failed to write {}", lua.display()))?;
    let words = [
        "--threads=1".to_owned(),
        format!("--connections={IN_FLIGHT}"),
        format!("--duration={}s", bench.args.seconds),
        format!("--script={}", lua.display()),
        format!("{}/v2/vectordb/entities/search", sandbox.uri()),
    ];
    let (done, stdout) = measured(bench, sandbox, &bench.rivals.wrk, &words)?;
    ensure!(!stdout.contains("Non-2xx") && !stdout.contains("Socket errors"), "wrk: {stdout}");
    //   123456 requests in 6.00s, 1.00GB read
    let line = stdout.lines().find(|line| line.contains(" requests in "));
    let number = line.and_then(|line| line.split_whitespace().next()).and_then(|text| text.parse().ok());
    let requests = number.with_context(|| format!("wrk told no requests: {stdout}"))?;
    Ok(Done { requests, ..done })
}

/// Runs a generator on its core; requests are still to be filled in.
fn measured(
    bench: &Bench<'_>,
    sandbox: &Sandbox,
    program: &Path,
    words: &[String],
) -> anyhow::Result<(Done, String)> {
    let ((cost, stdout), server_cpu_seconds) =
        sandbox.during(|| bench.generator.run(|| bench.stopwatch.run(program, words)))?;
    let seconds = bench.args.seconds as f64;
    Ok((Done { requests: 0.0, seconds, cpu_seconds: cost.cpu_seconds, server_cpu_seconds }, stdout))
}

#[derive(Deserialize)]
struct PymilvusReport {
    requests: f64,
    cpu_seconds: f64,
}

/// CPU of a search with pymilvus, in microseconds: from its first to its last.
pub(super) fn pymilvus_cpu_us(bench: &Bench<'_>, sandbox: &Sandbox) -> anyhow::Result<f64> {
    let seconds = bench.args.seconds.min(4);
    let line = format!(
        "--uri {} --collection {COLLECTION} --dimension {DIMENSION} --limit {LIMIT} --seconds {seconds}",
        sandbox.uri()
    );
    let mut command = Command::new(&bench.stopwatch.python.interpreter);
    command.arg(script("pymilvus_search.py")).args(line.split_whitespace());
    let stdout = bench.generator.run(|| workspace::output(&mut command))?;
    let report: PymilvusReport = serde_json::from_str(&stdout).context("pymilvus' report does not read")?;
    Ok(report.cpu_seconds * 1e6 / report.requests)
}

/// CPU of a search with pymilvus under Locust with [`IN_FLIGHT`] users who do not think, in microseconds.
pub(super) fn locust_cpu_us(bench: &Bench<'_>, sandbox: &Sandbox) -> anyhow::Result<f64> {
    let seconds = bench.args.seconds.min(4);
    let line = format!(
        "-m locust --headless --users {IN_FLIGHT} --spawn-rate 1000 --run-time {seconds}s --only-summary \
         --loglevel ERROR --locustfile"
    );
    let mut command = Command::new(&bench.stopwatch.python.interpreter);
    command.args(line.split_whitespace()).arg(script("locust_search.py"));
    let asked = [
        ("URI", sandbox.uri()),
        ("COLLECTION", COLLECTION),
        ("DIMENSION", &DIMENSION.to_string()),
        ("LIMIT", &LIMIT.to_string()),
    ];
    command.envs(asked.map(|(name, value)| (format!("SEARCH_{name}"), value.to_owned())));
    let stdout = bench.generator.run(|| workspace::output(&mut command))?;
    let report = stdout.lines().find(|line| line.starts_with('{')).context("Locust told nothing")?;
    let report: PymilvusReport = serde_json::from_str(report).context("Locust's report does not read")?;
    ensure!(report.requests > 0.0, "Locust made no requests");
    Ok(report.cpu_seconds * 1e6 / report.requests)
}
