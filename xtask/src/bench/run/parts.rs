//! The parts of the bench: what is measured in turns, and what is asked of it.

use std::{path::Path, time::Duration};

use anyhow::Context;

use super::{
    super::{
        bar::{Bar, Bound},
        pinned::Cores,
        report::Report,
        spread::Spread,
    },
    Bench, COLLECTION, CONNECTIONS, IN_FLIGHT, LIMIT, lag,
    load::{self, Amount, Done, Facts, Load},
    others,
    sandbox::Sandbox,
};

/// Idle share of the server below which it, not the generator, decides the rate.
const IDLE: f64 = 0.2;

/// CPU and rate over gRPC, beside h2load and pymilvus.
pub(super) fn grpc(bench: &Bench<'_>, report: &mut Report) -> anyhow::Result<()> {
    let sandbox = Sandbox::start(bench, &bench.server)?;
    let pairs = rivalry(bench, &sandbox, report, "grpc", "h2load", others::h2load)?;
    let ours = spread(pairs.iter().map(|(ours, _)| ours.cpu_us()))?;
    report.bar(Bar::new("gRPC: CPU of a request", "µs", Bound::AtMost(25.0), ours.median));
    let squall = || {
        let load = Load::grpc(Amount::AsMuchAsGoes);
        load::run(bench, &sandbox, load, bench.args.seconds).map(|(done, _)| done.cpu_us())
    };
    let pairs = in_turns(bench, squall, || others::pymilvus_cpu_us(bench, &sandbox))?;
    for (ours, theirs) in &pairs {
        println!("squall {ours:.1} µs; pymilvus {theirs:.0} µs");
    }
    report.row("pymilvus: CPU of a search", "µs", &spread(pairs.iter().map(|pair| pair.1))?);
    let ratio = spread(pairs.iter().map(|(ours, theirs)| theirs / ours))?;
    report.bar(Bar::new("pymilvus' CPU ÷ squall's", "×", Bound::AtLeast(40.0), ratio.median));
    let pairs = in_turns(bench, squall, || others::locust_cpu_us(bench, &sandbox))?;
    let name = "Locust with pymilvus, 64 users: CPU of a search";
    report.row(name, "µs", &spread(pairs.iter().map(|pair| pair.1))?);
    let ratio = spread(pairs.iter().map(|(ours, theirs)| theirs / ours))?;
    report.row("its CPU ÷ squall's", "×", &ratio);
    whole_command(bench, &sandbox, report)
}

/// CPU and rate over REST, beside wrk.
pub(super) fn rest(bench: &Bench<'_>, report: &mut Report) -> anyhow::Result<()> {
    let sandbox = Sandbox::start(bench, &bench.server)?;
    rivalry(bench, &sandbox, report, "rest", "wrk", others::wrk).map(|_| ())
}

type Rival = fn(&Bench<'_>, &Sandbox, &Path) -> anyhow::Result<Done>;

/// Squall and another generator in turns: CPU a request and requests a second.
fn rivalry(
    bench: &Bench<'_>,
    sandbox: &Sandbox,
    report: &mut Report,
    transport: &'static str,
    name: &str,
    rival: Rival,
) -> anyhow::Result<Vec<(Done, Done)>> {
    let (body, length) = others::body(bench, sandbox, transport)?;
    let load = Load { transport, ..Load::grpc(Amount::AsMuchAsGoes) };
    let ours = || {
        let (done, facts) = load::run(bench, sandbox, load, bench.args.seconds)?;
        load::same_length(&facts.context("the rows were not kept")?, length)?;
        anyhow::Ok(done)
    };
    let pairs = in_turns(bench, ours, || rival(bench, sandbox, &body))?;
    for (ours, theirs) in &pairs {
        println!("squall {}; {name} {}", ours.line(), theirs.line());
    }
    let of = |get: fn(&Done) -> f64| -> anyhow::Result<(Spread, Spread)> {
        Ok((spread(pairs.iter().map(|p| get(&p.0)))?, spread(pairs.iter().map(|p| get(&p.1)))?))
    };
    let ratio = |get: fn(&Done) -> f64| spread(pairs.iter().map(|p| get(&p.0) / get(&p.1)));
    let (our_idle, their_idle) = of(Done::server_idle)?;
    for (get, what, unit) in [
        (Done::cpu_us as fn(&Done) -> f64, "CPU of a request", "µs"),
        (Done::server_cpu_us, "the server's CPU of a request", "µs"),
        (Done::rate, "requests a second", "/s"),
    ] {
        let (ours, theirs) = of(get)?;
        report.row(format!("squall, {transport}: {what}"), unit, &ours);
        report.row(format!("{name}: {what}"), unit, &theirs);
    }
    report.row(format!("squall, {transport}: idle share of the server"), "", &our_idle);
    report.row(format!("{name}: idle share of the server"), "", &their_idle);
    let cpu = ratio(Done::cpu_us)?;
    report.bar(Bar::new(format!("{transport}: CPU ÷ {name}'s"), "×", Bound::AtMost(1.25), cpu.median));
    let rate = ratio(Done::rate)?;
    let bar = Bar::new(format!("{transport}: rate ÷ {name}'s"), "×", Bound::AtLeast(0.8), rate.median);
    // Where the server was busy it decided the rate, and the bar says nothing about the generator.
    if our_idle.median >= IDLE {
        report.bar(bar);
    } else {
        report.note(format!("{bar}: not judged, for the server was {:.0} % idle", our_idle.median * 100.0));
    }
    Ok(pairs)
}

/// What `squall run` costs with everything that follows the load: summary, judgement and report.
fn whole_command(bench: &Bench<'_>, sandbox: &Sandbox, report: &mut Report) -> anyhow::Result<()> {
    let words = format!(
        "run --uri {} --collection-name {COLLECTION} --users {IN_FLIGHT} --spawn-rate 100000 \
         --think-time 0 --threads 1 --connections {CONNECTIONS} --run-time {}s --class hot=common:1:{LIMIT} \
         --data run-data --reports run-reports --format json",
        sandbox.uri(),
        bench.args.seconds
    );
    let (cost, stdout) =
        bench.generator.run(|| bench.stopwatch.run_to(&[0, 5], &bench.squall, words.split_whitespace()))?;
    let summary: serde_json::Value = serde_json::from_str(&stdout).context("the summary does not read")?;
    let requests = summary["totals"]["requests"].as_f64().context("the summary has no requests")?;
    let with_report = spread([cost.cpu_seconds * 1e6 / requests].into_iter())?;
    report.row("squall run, its report included: CPU of a request", "µs", &with_report);
    Ok(())
}

/// What recording costs, and bytes a row on disk.
pub(super) fn recorder(bench: &Bench<'_>, report: &mut Report) -> anyhow::Result<()> {
    let sandbox = Sandbox::start(bench, &bench.server)?;
    let kept = Load::grpc(Amount::AsMuchAsGoes);
    let run = |load| load::run(bench, &sandbox, load, bench.args.seconds).map(|(done, _)| done);
    let pairs = in_turns(bench, || run(kept), || run(Load { discard_rows: true, ..kept }))?;
    for (with, without) in &pairs {
        println!("with recorder {}; without {}", with.line(), without.line());
    }
    report.row("with recorder: requests a second", "/s", &spread(pairs.iter().map(|p| p.0.rate()))?);
    report.row("without recorder: requests a second", "/s", &spread(pairs.iter().map(|p| p.1.rate()))?);
    let cpu = spread(pairs.iter().map(|p| p.0.cpu_us() - p.1.cpu_us()))?;
    report.row("recorder: CPU of a row", "µs", &cpu);
    let lost = spread(pairs.iter().map(|p| 100.0 * (1.0 - p.0.rate() / p.1.rate())))?;
    report.bar(Bar::new("recorder: share of the throughput", "%", Bound::AtMost(3.0), lost.median));

    let mix = Load { reference_mix: true, ..Load::grpc(Amount::Rate(1_000)) };
    let (_, facts) = load::run(bench, &sandbox, mix, 20)?;
    let bytes = bytes_of_a_row(&facts.context("the rows were not kept")?);
    report.bar(Bar::new("a row on disk, 1,000/s for 20 s", "bytes", Bound::AtMost(16.0), bytes));
    Ok(())
}

fn bytes_of_a_row(facts: &Facts) -> f64 {
    facts.bytes_on_disk as f64 / facts.rows as f64
}

/// How late requests are sent at 5,000/s, beside a bare sleep on the same core just before and after.
pub(super) fn lag(bench: &Bench<'_>, report: &mut Report) -> anyhow::Result<()> {
    const RATE: u32 = 5_000;
    let sandbox = Sandbox::start(bench, &bench.server)?;
    let probe = || bench.generator.run(|| lag::bare_sleep_p99_us(RATE, Duration::from_secs(1)));
    let (mut ours, mut bare, mut over) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.args.pairs {
        let before = probe()?;
        let (done, facts) = load::run(bench, &sandbox, Load::grpc(Amount::Rate(RATE)), bench.args.seconds)?;
        let floor = f64::midpoint(before, probe()?);
        let lag = facts.context("the rows were not kept")?.lag_p99_us;
        println!("lag P99 {lag:.0} µs, a bare sleep's {floor:.0} µs; {}", done.line());
        ours.push(lag);
        bare.push(floor);
        over.push(lag - floor);
    }
    let (ours, bare) = (spread(ours.into_iter())?, spread(bare.into_iter())?);
    report.row("squall at 5,000/s: lag P99", "µs", &ours);
    report.row("bare clock_nanosleep at 5,000/s: lateness P99", "µs", &bare);
    let over = spread(over.into_iter())?;
    report.bar(Bar::new("lag P99 at 5,000/s − a bare sleep's", "µs", Bound::AtMost(150.0), over.median));
    let bar = Bar::new("lag P99 at 5,000/s", "µs", Bound::AtMost(200.0), ours.median);
    if bare.median <= 50.0 {
        report.bar(bar);
    } else {
        report.note(format!("{bar}: not judged, for a bare sleep is {:.0} µs late here", bare.median));
    }
    Ok(())
}

/// Two threads beside one: CPU a request at the same rate, and where there are cores the rate.
pub(super) fn threads(bench: &Bench<'_>, report: &mut Report) -> anyhow::Result<()> {
    const RATE: u32 = 10_000;
    {
        let sandbox = Sandbox::start(bench, &bench.server)?;
        let run = |threads| {
            let load = Load { threads, ..Load::grpc(Amount::Rate(RATE)) };
            load::run(bench, &sandbox, load, bench.args.seconds).map(|(done, _)| done)
        };
        let pairs = in_turns(bench, || run(2), || run(1))?;
        for (two, one) in &pairs {
            println!("two threads {}; one {}", two.line(), one.line());
        }
        report.row(
            "two threads, 10,000/s: CPU of a request",
            "µs",
            &spread(pairs.iter().map(|p| p.0.cpu_us()))?,
        );
        report.row(
            "one thread, 10,000/s: CPU of a request",
            "µs",
            &spread(pairs.iter().map(|p| p.1.cpu_us()))?,
        );
        let ratio = spread(pairs.iter().map(|p| p.0.cpu_us() / p.1.cpu_us()))?;
        let name = "CPU of a request, two threads ÷ one, 10,000/s";
        report.bar(Bar::new(name, "×", Bound::AtMost(1.1), ratio.median));
    }
    let all = &bench.cores.0;
    if all.len() < 4 {
        report.note(format!("rate, two threads ÷ one: not judged on {} cores; it needs 4", all.len()));
        return Ok(());
    }
    // Each thread has a core; the server has all others, and must not be the limit.
    let wide = Bench {
        generator: Cores(all[..2].to_vec()),
        server: Cores(all[2..].to_vec()),
        squall: bench.squall.clone(),
        load: bench.load.clone(),
        search_bytes: bench.search_bytes.clone(),
        rivals: bench.rivals.clone(),
        stopwatch: bench.stopwatch.clone(),
        cores: bench.cores.clone(),
        args: bench.args,
    };
    let sandbox = Sandbox::start(&wide, &wide.server)?;
    let run = |threads| {
        let load = Load { threads, ..Load::grpc(Amount::AsMuchAsGoes) };
        load::run(&wide, &sandbox, load, bench.args.seconds).map(|(done, _)| done)
    };
    let pairs = in_turns(bench, || run(2), || run(1))?;
    let ratio = spread(pairs.iter().map(|p| p.0.rate() / p.1.rate()))?;
    report.bar(Bar::new("rate, two threads ÷ one", "×", Bound::AtLeast(1.7), ratio.median));
    Ok(())
}

fn spread(values: impl Iterator<Item = f64>) -> anyhow::Result<Spread> {
    Spread::of(values.collect()).context("nothing was measured")
}

/// Measures two things in turns, who begins changing each time.
fn in_turns<O, T>(
    bench: &Bench<'_>,
    ours: impl Fn() -> anyhow::Result<O>,
    theirs: impl Fn() -> anyhow::Result<T>,
) -> anyhow::Result<Vec<(O, T)>> {
    let pair = |number: usize| {
        if number.is_multiple_of(2) {
            let ours = ours()?;
            return Ok((ours, theirs()?));
        }
        let theirs = theirs()?;
        Ok((ours()?, theirs))
    };
    (0..bench.args.pairs).map(pair).collect()
}
