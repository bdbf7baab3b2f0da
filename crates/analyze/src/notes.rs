//! What a reader must know beside the figures.

use std::time::Duration;

use squall_core::plan::Load;
use squall_core::run_record::{RunRecord, RunState};
use squall_core::summary::Outage;

use crate::figures::Groups;
use crate::number::{decimal, fixed, percent, thousands};
use crate::rows::UnreadablePart;
use crate::spans::Spans;

/// What is said of a run that was killed.
pub(crate) const KILLED: &str = "The run was killed: rows of its last seconds may be missing, and the figures end with the last row that was written.";

/// Makes the notes, the most important first.
pub(crate) fn make(
    record: &RunRecord,
    state: RunState,
    groups: &Groups,
    spans: &Spans,
    unreadable: &[UnreadablePart],
    outages: &[Outage],
) -> Vec<String> {
    let mut notes = Vec::new();
    match state {
        RunState::Complete => {}
        RunState::Running => {
            notes.push("The run goes on; these are the figures of the rows written so far.".to_owned());
        }
        RunState::Interrupted if record.totals.is_none() => notes.push(KILLED.to_owned()),
        RunState::Interrupted => {
            notes.push("The run was interrupted; the figures are those of the time that it ran.".to_owned());
        }
        RunState::Failed => {
            let reason = record.error.as_deref().unwrap_or("no reason is recorded");
            notes.push(format!("The run failed: {}.", reason.trim_end_matches('.')));
        }
    }
    for part in unreadable {
        let name = part.path.file_name().unwrap_or_default().to_string_lossy();
        notes.push(format!("{name} cannot be read ({}); its rows are missing.", part.reason));
    }
    notes.extend(server_gone(outages));
    if spans.is_empty() {
        notes.push("Nothing was measured: the run has no time outside its ramp and warm-up. Give it a longer --run-time.".to_owned());
    }
    if record.shard.count > 1 {
        notes.push(format!(
            "This is shard {} of {}; targets are judged on the joined run.",
            record.shard.index, record.shard.count
        ));
    }
    if record.collection.dataset.is_none() {
        notes.push("Squall did not make this collection, so recall is not known.".to_owned());
    }
    notes.extend(closed_loop(record, groups));
    notes
}

fn server_gone(outages: &[Outage]) -> Option<String> {
    const NAMED: usize = 3;

    let of_outage = |outage: &Outage| {
        let second = |ns: i64| fixed(ns as f64 / 1e9, 1);
        let outcomes: Vec<String> = outage
            .outcomes
            .iter()
            .map(|(outcome, count)| format!("{} {outcome}", thousands(*count)))
            .collect();
        format!("from {} s to {} s ({})", second(outage.from_ns), second(outage.to_ns), outcomes.join(", "))
    };
    let mut spans: Vec<String> = outages.iter().take(NAMED).map(of_outage).collect();
    let more = outages.len().saturating_sub(NAMED);
    if more > 0 {
        spans.push(format!("{} times more", thousands(more as u64)));
    }
    (!spans.is_empty()).then(|| {
        format!(
            "The server answered nobody {}. These requests are failures in the figures; summary.json has the times.",
            spans.join(", ")
        )
    })
}

fn closed_loop(record: &RunRecord, groups: &Groups) -> Option<String> {
    let Load::Closed { users, think_time, .. } = &record.plan.load else {
        return None;
    };
    let mut note = format!(
        "Closed loop: a user who waits asks nothing, so a stall holds back the requests that would have met it, and the percentiles hide it (--rate measures that). With a mean think time of {}",
        squall_core::units::format_duration(think_time.mean()),
    );
    let response_s = groups.total.figures.response_ms.mean.map(|mean| mean / 1e3);
    let cycle_s =
        response_s.map(|response| response + seconds(think_time.mean())).filter(|cycle| *cycle > 0.0);
    match cycle_s {
        None => note.push_str(" and no answer, the rate that the users could reach is not known."),
        Some(cycle_s) => {
            let most = f64::from(*users) / cycle_s;
            note.push_str(&format!(
                " and a mean response time of {} ms, {} users could reach {} requests/s at most.",
                decimal(response_s.unwrap_or_default() * 1e3),
                thousands(u64::from(*users)),
                decimal((most * 10.0).round() / 10.0)
            ));
            if let Some(rate) = groups.total.figures.rate {
                note.push_str(&format!(
                    " The run reached {} of that.",
                    percent((rate / most * 1e3).round() / 1e3)
                ));
            }
        }
    }
    Some(note)
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}
