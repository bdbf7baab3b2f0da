//! Draws the events of setup: bars in a terminal, plain lines in a log.

use std::io::IsTerminal;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use squall_setup::{Event, Phase};

/// Draws events until their sender is gone.
pub(crate) fn draw(events: &Receiver<Event>) {
    let terminal = std::io::stderr().is_terminal();
    let mut bar = ProgressBar::hidden();
    for event in events {
        match event {
            Event::Dropping { collection, rows } => {
                let rows = rows.map_or_else(String::new, |rows| format!(" and its {rows} rows"));
                eprintln!("dropping collection {collection}{rows}");
            }
            Event::Started { phase, total } => {
                bar.finish_and_clear();
                bar = if terminal { new_bar(phase, total) } else { ProgressBar::hidden() };
            }
            Event::Progress { done, .. } => bar.set_position(done),
            Event::Finished { phase, took } => {
                bar.finish_and_clear();
                eprintln!("  {:<8} {}", phase.name(), seconds(took));
            }
        }
    }
    bar.finish_and_clear();
}

fn new_bar(phase: Phase, total: u64) -> ProgressBar {
    let template = match phase {
        Phase::Insert => "  {prefix:<8} {wide_bar} {human_pos}/{human_len} rows, {per_sec}, {eta} left",
        _ if total > 0 => "  {prefix:<8} {wide_bar} {percent} %, {elapsed}",
        _ => "  {prefix:<8} {spinner} {elapsed}",
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
