//! Whether the generator, not the server, could be the limit: the checks of measurement.md.
//!
//! Backlog never enters here: it is the server's doing.

use squall_core::run_record::{RunRecord, RunTotals};
use squall_core::summary::{ValidityCheck, ValidityResult};

use crate::figures::Groups;
use crate::health::{Health, HealthSecond};
use crate::number::{decimal, percent, thousands};
use crate::percentile::ms;
use crate::rows::UnreadablePart;
use crate::spans::Spans;

/// Lag below this is never held against a run.
const LAG_FLOOR_MS: f64 = 2.0;
/// Share of the response P99 that lag may have.
const LAG_SHARE: f64 = 0.1;
/// A thread is busy above this share of a second …
const BUSY: f64 = 0.9;
/// … and the run invalid above this share of such seconds.
const BUSY_SECONDS: f64 = 0.05;
/// Share of wall time that a thread may wait for a core.
const RUN_QUEUE: f64 = 0.1;
/// Share of time that may be stolen, or taken by a quota.
const STOLEN: f64 = 0.05;
/// Share of the arrivals that may be due, with places free, and not sent.
const NOT_SENT: f64 = 0.001;
/// How far wall and monotonic clock may move apart.
const CLOCK_MS: f64 = 100.0;
/// Share of the sends that may wait for the flow-control window.
const FLOW_CONTROL: f64 = 0.01;

/// All that the checks look at.
pub(crate) struct Evidence<'a> {
    pub(crate) record: &'a RunRecord,
    pub(crate) groups: &'a Groups,
    pub(crate) health: &'a Health,
    pub(crate) spans: &'a Spans,
    pub(crate) rows_read: u64,
    pub(crate) unreadable: &'a [UnreadablePart],
}

/// Makes every check, in the order of reports.
pub(crate) fn check(evidence: &Evidence<'_>) -> Vec<ValidityCheck> {
    let mut checks = vec![
        lag(evidence),
        worker_busy(evidence),
        run_queue(evidence),
        steal(evidence),
        throttled(evidence),
        dropped_rows(evidence),
        missing_rows(evidence),
        due_not_sent(evidence),
        clock(evidence),
        flow_control(evidence),
    ];
    if evidence.record.server.same_host {
        checks.push(same_host());
    }
    checks
}

/// A share or time held against an upper limit; `say` words it, told whether it is too much.
fn limited(name: &str, value: f64, limit: f64, say: impl FnOnce(bool) -> String) -> ValidityCheck {
    let too_much = value > limit;
    ValidityCheck {
        check: name.to_owned(),
        result: if too_much { ValidityResult::Invalid } else { ValidityResult::Ok },
        value: Some(value),
        limit: Some(limit),
        message: say(too_much),
    }
}

/// A check that cannot be made here.
fn unknown(name: &str, limit: Option<f64>, why: &str) -> ValidityCheck {
    ValidityCheck {
        check: name.to_owned(),
        result: ValidityResult::Warning,
        value: None,
        limit,
        message: format!("Not known: {why}."),
    }
}

fn lag(evidence: &Evidence<'_>) -> ValidityCheck {
    let response_p99 = evidence.groups.total.figures.response_ms.p99;
    let limit = response_p99.map_or(LAG_FLOOR_MS, |p99| LAG_FLOOR_MS.max(LAG_SHARE * p99));
    let Some(lag) = evidence.groups.lag_p99_ns else {
        return unknown("lag", Some(limit), "fewer than 100 measured requests were sent");
    };
    let lag = ms(lag);
    limited("lag", lag, limit, |too_much| {
        let found = format!("1% of the requests left the generator {} ms or more late", decimal(lag));
        if too_much {
            // Where requests waited for the window, no core would have sent them sooner.
            let windows = waited_for_windows(evidence).is_some_and(|share| share > FLOW_CONTROL);
            let advice = if windows {
                "They waited for the connections (see flow control): raise --connections, or look why the server reads late."
            } else {
                "Use more --threads, a lower rate or a faster host."
            };
            format!(
                "{found} (limit {} ms), and their response times hold that delay. {advice}",
                decimal(limit)
            )
        } else {
            format!("{found}; up to {} ms would be fine.", decimal(limit))
        }
    })
}

/// The seconds of the measured spans, or why there is none.
fn measured_seconds<'a>(evidence: &'a Evidence<'_>, workers: bool) -> Result<Vec<&'a HealthSecond>, String> {
    let Health { seconds, missing } = evidence.health;
    if let Some(reason) = missing {
        return Err(reason.clone());
    }
    // A second belongs to the spans when its middle does.
    let measured = |second: &&HealthSecond| {
        second.interval_ns > 0 && evidence.spans.contains(second.time_ns - second.interval_ns / 2)
    };
    let found: Vec<_> =
        seconds.iter().filter(|second| second.worker.is_some() == workers).filter(measured).collect();
    if found.is_empty() {
        return Err("generator.parquet has no second of the measured stages".to_owned());
    }
    Ok(found)
}

/// Sum of a quantity over seconds; `None` where no second has it.
fn sum(seconds: &[&HealthSecond], get: impl Fn(&HealthSecond) -> Option<i64>) -> Option<f64> {
    let values = seconds.iter().filter_map(|second| get(second));
    values.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value as f64))
}

/// Sum of a quantity ÷ length of the seconds that have it.
fn share_of_time(seconds: &[&HealthSecond], get: impl Fn(&HealthSecond) -> Option<i64>) -> Option<f64> {
    let length = sum(seconds, |second| get(second).map(|_| second.interval_ns))?;
    Some(sum(seconds, get)? / length)
}

/// The largest of the workers' figures.
fn worst_worker(seconds: &[&HealthSecond], figure: impl Fn(&[&HealthSecond]) -> Option<f64>) -> Option<f64> {
    let mut workers: Vec<u32> = seconds.iter().filter_map(|second| second.worker).collect();
    workers.sort_unstable();
    workers.dedup();
    let of_worker = |worker: u32| {
        let own: Vec<_> = seconds.iter().copied().filter(|second| second.worker == Some(worker)).collect();
        figure(&own)
    };
    workers.into_iter().filter_map(of_worker).max_by(f64::total_cmp)
}

fn worker_busy(evidence: &Evidence<'_>) -> ValidityCheck {
    let found = measured_seconds(evidence, true).and_then(|seconds| {
        let busy = worst_worker(&seconds, |own| {
            let known: Vec<bool> = own
                .iter()
                .filter_map(|second| {
                    // To be awake a little before a request is due is no work.
                    let worked_ns = second.cpu_ns? - second.spun_ns.unwrap_or(0);
                    Some(worked_ns as f64 > BUSY * second.interval_ns as f64)
                })
                .collect();
            let busy = known.iter().filter(|busy| **busy).count();
            (!known.is_empty()).then(|| busy as f64 / known.len() as f64)
        });
        busy.ok_or_else(|| "the CPU time of the workers cannot be read here".to_owned())
    });
    match found {
        Err(why) => unknown("worker_busy", Some(BUSY_SECONDS), &why),
        Ok(share) => limited("worker_busy", share, BUSY_SECONDS, |too_much| {
            let found =
                format!("The busiest worker used over 90% of a core in {} of the seconds", percent(share));
            if too_much {
                format!("{found} (limit 5%): it may not have kept up. Use more --threads, or a lower rate.")
            } else {
                format!("{found}; up to 5% would be fine.")
            }
        }),
    }
}

fn run_queue(evidence: &Evidence<'_>) -> ValidityCheck {
    let found = measured_seconds(evidence, true)
        .and_then(|seconds| {
            let waited = worst_worker(&seconds, |own| share_of_time(own, |second| second.run_queue_ns));
            waited.ok_or_else(|| "the kernel does not tell the run-queue delay (schedstat)".to_owned())
        })
        .or_else(|why| {
            let process = measured_seconds(evidence, false)?;
            share_of_time(&process, |second| second.run_queue_ns).ok_or(why)
        });
    match found {
        Err(why) => unknown("run_queue", Some(RUN_QUEUE), &why),
        Ok(share) => limited("run_queue", share, RUN_QUEUE, |too_much| {
            let found = format!("A worker waited for a core for {} of the time", percent(share));
            if too_much {
                format!(
                    "{found} (limit 10%): other programs compete for the cores. Use fewer --threads, or a host of its own for the generator."
                )
            } else {
                format!("{found}; up to 10% would be fine.")
            }
        }),
    }
}

fn steal(evidence: &Evidence<'_>) -> ValidityCheck {
    let cores = f64::from(evidence.record.host.cores.max(1));
    let found = measured_seconds(evidence, false).and_then(|seconds| {
        let stolen = share_of_time(&seconds, |second| second.steal_ns);
        stolen.map(|share| share / cores).ok_or_else(|| "the kernel does not tell CPU steal".to_owned())
    });
    match found {
        Err(why) => unknown("steal", Some(STOLEN), &why),
        Ok(share) => limited("steal", share, STOLEN, |too_much| {
            let found = format!("The hypervisor took {} of the CPU time", percent(share));
            if too_much {
                format!(
                    "{found} (limit 5%): other virtual machines share this host. Use a host with dedicated cores."
                )
            } else {
                format!("{found}; up to 5% would be fine.")
            }
        }),
    }
}

fn throttled(evidence: &Evidence<'_>) -> ValidityCheck {
    let found = measured_seconds(evidence, false).and_then(|seconds| {
        let held = share_of_time(&seconds, |second| second.throttled_ns);
        held.ok_or_else(|| "the cgroup does not tell its throttling".to_owned())
    });
    match found {
        // Without a quota nothing can throttle, and most kernels then have nothing to tell.
        Err(_) if evidence.record.host.cgroup_quota_cores.is_none() && evidence.health.missing.is_none() => {
            limited("throttled", 0.0, STOLEN, |_| "The cgroup sets no CPU quota.".to_owned())
        }
        Err(why) => unknown("throttled", Some(STOLEN), &why),
        Ok(share) => limited("throttled", share, STOLEN, |too_much| {
            let found =
                format!("The cgroup's CPU quota held the generator back for {} of the time", percent(share));
            if too_much {
                format!("{found} (limit 5%). Give the container more CPU, or lower the rate.")
            } else {
                format!("{found}; up to 5% would be fine.")
            }
        }),
    }
}

fn dropped_rows(evidence: &Evidence<'_>) -> ValidityCheck {
    let totals = evidence.record.totals.as_ref();
    let noted = dropped_in_seconds(evidence, |_| true);
    let Some(dropped) = totals.map(|totals| totals.dropped_rows as f64).or(noted) else {
        return unknown("dropped_rows", Some(0.0), "the run left no count of rows that its recorder lost");
    };
    // Rows are lost when their requests are over: what was lost before the first span began was due before
    // it, and what was lost after the last one may have been due in it.
    let first_ns = evidence.spans.iter().next().map_or(i64::MIN, |span| span.0);
    let before = dropped_in_seconds(evidence, |second| second.time_ns <= first_ns).unwrap_or(0.0);
    let before = before.min(dropped);
    let mut check = limited("dropped_rows", dropped - before, 0.0, |too_much| {
        if too_much {
            format!(
                "The recorder lost {} rows, which are missing from the figures. Write to a faster disk, or lower the rate.",
                thousands((dropped - before) as u64)
            )
        } else {
            "The recorder lost no row.".to_owned()
        }
    });
    if check.result == ValidityResult::Ok && before > 0.0 {
        check.result = ValidityResult::Warning;
        check.message = format!(
            "The recorder lost {} rows before the measured part and none in it, so no figure lacks them; a faster disk would have kept them.",
            thousands(before as u64)
        );
    }
    check
}

/// Rows lost in such seconds, as the process noted them, or else the workers.
fn dropped_in_seconds(evidence: &Evidence<'_>, which: impl Fn(&HealthSecond) -> bool) -> Option<f64> {
    let of = |seconds: Vec<&HealthSecond>| {
        sum(&seconds, |second| second.dropped.map(|dropped| if which(second) { dropped } else { 0 }))
    };
    of(evidence.health.process().collect()).or_else(|| of(evidence.health.workers().collect()))
}

fn missing_rows(evidence: &Evidence<'_>) -> ValidityCheck {
    const RESTORE: &str = "The figures are not those of the whole run; restore the files, or run again.";

    let names: Vec<_> = evidence
        .unreadable
        .iter()
        .map(|part| {
            let name = part.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            format!("{name} ({})", part.reason)
        })
        .collect();
    let parts = if names.is_empty() { String::new() } else { format!(" Unreadable: {}.", names.join(", ")) };
    let Some(totals) = &evidence.record.totals else {
        let mut check = unknown(
            "missing_rows",
            Some(0.0),
            "the run did not come to its end, so its last rows may be missing",
        );
        // What was written and cannot be read is not the end of the run, but a hole in it.
        if !names.is_empty() {
            check.result = ValidityResult::Invalid;
            check.message = format!("Rows are missing in the midst of the run.{parts} {RESTORE}");
        }
        return check;
    };
    let missing = totals.rows.abs_diff(evidence.rows_read);
    let mut check = limited("missing_rows", missing as f64, 0.0, |too_much| {
        if too_much {
            format!(
                "{} rows could be read, and run.json counts {}.{parts} {RESTORE}",
                thousands(evidence.rows_read),
                thousands(totals.rows)
            )
        } else {
            format!("All {} rows could be read.", thousands(totals.rows))
        }
    });
    if missing == 0 && !names.is_empty() {
        check.result = ValidityResult::Invalid;
        check.message =
            format!("As many rows could be read as run.json counts, and not every part.{parts} {RESTORE}");
    }
    check
}

/// The totals, or the check that says that there are none.
fn totals<'a>(evidence: &Evidence<'a>, name: &str, limit: f64) -> Result<&'a RunTotals, ValidityCheck> {
    let why = "the run did not come to its end and left no totals";
    evidence.record.totals.as_ref().ok_or_else(|| unknown(name, Some(limit), why))
}

fn due_not_sent(evidence: &Evidence<'_>) -> ValidityCheck {
    let totals = match totals(evidence, "due_not_sent", NOT_SENT) {
        Ok(totals) => totals,
        Err(check) => return check,
    };
    let arrivals = totals.planned.unwrap_or(totals.rows);
    let share = if arrivals == 0 { 0.0 } else { totals.due_not_sent as f64 / arrivals as f64 };
    limited("due_not_sent", share, NOT_SENT, |too_much| {
        let found = format!(
            "{} of {} arrivals were due, with places free, and not sent",
            thousands(totals.due_not_sent),
            thousands(arrivals)
        );
        if too_much {
            format!(
                "{found} (limit 0.1%): the load was lower than planned. Use more --threads, or a lower rate."
            )
        } else {
            format!("{found}; up to 0.1% would be fine.")
        }
    })
}

fn clock(evidence: &Evidence<'_>) -> ValidityCheck {
    let moved = match totals(evidence, "clock", CLOCK_MS) {
        Ok(totals) => totals.clock_disagreement_ms.abs(),
        Err(check) => return check,
    };
    limited("clock", moved, CLOCK_MS, |too_much| {
        let found = format!("Wall and monotonic clock moved {} ms apart", decimal(moved));
        if too_much {
            format!(
                "{found} (limit 100 ms): a clock was set, or the host was suspended, during the run. Run again."
            )
        } else {
            format!("{found}; up to 100 ms would be fine.")
        }
    })
}

/// Share of the sends that waited for the flow-control window.
fn waited_for_windows(evidence: &Evidence<'_>) -> Option<f64> {
    let noted = [false, true].into_iter().find_map(|workers| {
        let seconds = measured_seconds(evidence, workers).ok()?;
        let sent = sum(&seconds, |second| second.sent).filter(|sent| *sent > 0.0)?;
        Some(sum(&seconds, |second| second.flow_control_waits)? / sent)
    });
    let counted = || {
        let totals = evidence.record.totals.as_ref()?;
        (totals.sent > 0).then(|| totals.flow_control_waits as f64 / totals.sent as f64)
    };
    noted.or_else(counted)
}

fn flow_control(evidence: &Evidence<'_>) -> ValidityCheck {
    let Some(share) = waited_for_windows(evidence) else {
        return unknown("flow_control", Some(FLOW_CONTROL), "nothing was sent, or the run left no count");
    };
    // Over REST a request has a socket to itself, and there is no window.
    let what = match evidence.record.server.protocol.as_str() {
        "grpc" => "the HTTP/2 flow-control window",
        _ => "a socket",
    };
    limited("flow_control", share, FLOW_CONTROL, |too_much| {
        let found = format!("{} of the sends waited for {what}", percent(share));
        if too_much {
            format!("{found} (limit 1%): the connections were the limit. Raise --connections.")
        } else {
            format!("{found}; up to 1% would be fine.")
        }
    })
}

fn same_host() -> ValidityCheck {
    ValidityCheck {
        check: "same_host".to_owned(),
        result: ValidityResult::Warning,
        value: None,
        limit: None,
        message: "The server runs on the host that made the load and shares its cores; use a second host for figures of its capacity.".to_owned(),
    }
}
