//! Draws the events of setup: bars in a terminal, plain lines in a log.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use squall_setup::{Event, Phase};

/// Draws events until their sender is gone.
pub(crate) fn draw(events: &Receiver<Event>) {
    let terminal = std::io::stderr().is_terminal();
    let mut bar = ProgressBar::hidden();
    let mut log = LogLines::new(0);
    let mut waiting = Waiting::default();
    for event in events {
        match event {
            Event::Dropping { collection, rows, counted } => {
                eprintln!("{}", dropping_line(&collection, rows, counted));
            }
            Event::Resuming { missing, doubled } => {
                let more = if doubled == 0 {
                    String::new()
                } else {
                    format!(", {doubled} key ranges have rows twice")
                };
                eprintln!("  resume   {missing} rows are missing{more}");
            }
            Event::Waiting { reason } => {
                bar.set_message(format!("waiting: {reason}"));
                if let Some(line) = (!terminal).then(|| waiting.line(&reason, Instant::now())).flatten() {
                    eprintln!("  {line}");
                }
            }
            Event::Resumed => {
                bar.set_message("");
                if waiting.over() && !terminal {
                    eprintln!("  it works again");
                }
            }
            Event::Started { phase, total } => {
                bar.finish_and_clear();
                bar = if terminal { new_bar(phase, total) } else { ProgressBar::hidden() };
                log = LogLines::new(total);
            }
            Event::Progress { phase, done } => {
                bar.set_position(done);
                if let Some(line) = (!terminal).then(|| log.line(phase, done)).flatten() {
                    eprintln!("  {line}");
                }
            }
            Event::Finished { phase, took } => {
                bar.finish_and_clear();
                eprintln!("  {:<8} {}", phase.name(), seconds(took));
            }
        }
    }
    bar.finish_and_clear();
}

/// What is about to be dropped. A collection that is not loaded cannot be counted.
fn dropping_line(collection: &str, rows: Option<u64>, counted: bool) -> String {
    let rows = match rows {
        Some(rows) if counted => format!(" and its {rows} rows"),
        Some(rows) => format!(" and its {rows} flushed rows"),
        None => String::new(),
    };
    format!("dropping collection {collection}{rows}")
}

/// What a log file is told of a server that is away: each reason at once, and again after half a minute.
#[derive(Default)]
struct Waiting {
    told: HashMap<String, Instant>,
}

impl Waiting {
    fn line(&mut self, reason: &str, now: Instant) -> Option<String> {
        if self.told.get(reason).is_some_and(|told| now - *told < WAITING_EVERY) {
            return None;
        }
        self.told.insert(reason.to_owned(), now);
        Some(format!("waiting: {reason}"))
    }

    /// Whether waiting was told of.
    fn over(&mut self) -> bool {
        !std::mem::take(&mut self.told).is_empty()
    }
}

const WAITING_EVERY: Duration = Duration::from_secs(30);

/// How often a log file is told how far a phase is.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Progress for a log file, where a bar would be a mess.
struct LogLines {
    total: u64,
    started: Instant,
    next: Instant,
}

impl LogLines {
    fn new(total: u64) -> Self {
        let started = Instant::now();
        Self { total, started, next: started + LOG_EVERY }
    }

    /// A line when it is time for one.
    fn line(&mut self, phase: Phase, done: u64) -> Option<String> {
        let now = Instant::now();
        if now < self.next {
            return None;
        }
        self.next = now + LOG_EVERY;
        Some(progress_line(phase, done, self.total, now - self.started))
    }
}

/// `insert   120000 of 1000000, 12000/s, 73 s left`; what is not counted in rows in per cent.
fn progress_line(phase: Phase, done: u64, total: u64, took: Duration) -> String {
    let rate = done as f64 / took.as_secs_f64();
    let left = total.saturating_sub(done) as f64 / rate;
    let name = phase.name();
    let in_rows = matches!(phase, Phase::Insert | Phase::Count);
    let progress =
        if in_rows { format!("{done} of {total}") } else { format!("{} %", done * 100 / total.max(1)) };
    match rate > 0.0 {
        true if in_rows => format!("{name:<8} {progress}, {rate:.0}/s, {left:.0} s left"),
        true => format!("{name:<8} {progress}, {left:.0} s left"),
        false => format!("{name:<8} {progress}"),
    }
}

fn new_bar(phase: Phase, total: u64) -> ProgressBar {
    let template = match phase {
        Phase::Insert | Phase::Count => {
            "  {prefix:<8} {wide_bar} {human_pos}/{human_len} rows, {per_sec}, {eta} left {msg}"
        }
        _ if total > 0 => "  {prefix:<8} {wide_bar} {percent} %, {elapsed} {msg}",
        _ => "  {prefix:<8} {spinner} {elapsed} {msg}",
    };
    let style = ProgressStyle::with_template(template).expect("the templates are constants");
    let bar = ProgressBar::new(total).with_style(style).with_prefix(phase.name());
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// A length of time as people read it.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_is_said_with_its_rows() {
        assert_eq!(dropping_line("c", Some(1_050), true), "dropping collection c and its 1050 rows");
        assert_eq!(dropping_line("c", Some(0), false), "dropping collection c and its 0 flushed rows");
        assert_eq!(dropping_line("c", None, false), "dropping collection c");
    }

    #[test]
    fn a_reason_to_wait_is_told_at_once_and_again_after_half_a_minute() {
        let (mut waiting, start) = (Waiting::default(), Instant::now());
        let mut told =
            |reason: &str, after: u64| waiting.line(reason, start + Duration::from_secs(after)).is_some();
        assert!(told("refused", 0));
        assert!(!told("refused", 1), "it was told");
        assert!(told("not ready", 2), "another reason");
        assert!(!told("refused", 3), "they take turns");
        assert!(told("refused", 31) && !told("not ready", 31));
        assert!(waiting.over() && !waiting.over());
        assert!(waiting.line("refused", start).is_some(), "a new time of waiting");
    }

    #[test]
    fn a_log_line_has_rate_and_rest() {
        let line = progress_line(Phase::Insert, 120_000, 1_000_000, Duration::from_secs(10));
        assert_eq!(line, "insert   120000 of 1000000, 12000/s, 73 s left");
        assert_eq!(progress_line(Phase::Load, 0, 100, Duration::from_secs(10)), "load     0 %");
        assert_eq!(progress_line(Phase::Load, 20, 100, Duration::from_secs(10)), "load     20 %, 40 s left");
    }
}
