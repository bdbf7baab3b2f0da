//! Load execution: a plan goes in, a directory with one row a request comes out.
//!
//! ```text
//! preflight ──► prepare ──► execute ──► workers: due-queue → send path → ring ──► recorder ──► parts
//! (one look at   (bytes)       │            └── once a second: counts ──► monitor ──► events
//!  the server)                 └── Stop: Ctrl-C drains, a second one aborts
//! ```
//!
//! - [`preflight()`]: what must hold before the first request, each failure one sentence.
//! - [`execute()`]: the run. It blocks; give it a thread of its own.
//! - [`Event`]: what it tells meanwhile; [`Stop`]: how it is ended.
//!
//! Inside, `worker` is the path of a request, top to bottom; `queue` says what is due next for both
//! models of load; `places` and `link` are where requests fly; `recorder`, `parts`, `health` and
//! `monitor` keep what came of them. The engine takes its clock and its connection as parameters, so
//! that a virtual clock and a model server test it in milliseconds, exactly.
//!
//! ```no_run
//! use squall_core::plan::Plan;
//! use squall_milvus::Endpoint;
//! use squall_run::{Event, Options, Stop, execute, preflight};
//!
//! async fn run(plan: Plan) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//!     let endpoint = Endpoint::new(&plan.server.uri, None, plan.server.database.clone())?;
//!     let found = preflight(&endpoint, &plan.server, Some(plan.workload.dimension), &[]).await?;
//!     let (events, lines) = std::sync::mpsc::channel();
//!     let (_handle, stop) = Stop::new();
//!     let run = std::thread::spawn(move || {
//!         execute(plan, endpoint, found, &Options::new("data"), events, stop)
//!     });
//!     for event in lines {
//!         if let Event::Second(line) = event {
//!             println!("{line}");
//!         }
//!     }
//!     let report = run.join().expect("a run does not panic")?;
//!     println!("rows are in {}", report.run_dir.display());
//!     Ok(())
//! }
//! ```

mod abort;
mod aside;
mod clock;
mod clock_error;
mod connections;
mod control;
mod crew;
mod descriptors;
mod error;
mod events;
mod execute;
mod exposition;
mod health;
mod host;
mod link;
mod monitor;
mod nice;
mod options;
mod parts;
mod pin;
mod places;
mod preflight;
mod prepare;
mod queue;
mod recorder;
mod reserve;
mod score;
mod scrape;
mod second;
mod stop;
mod time_zero;
mod warm_up;
mod worker;

#[cfg(test)]
mod model;

pub use error::RunError;
pub use events::{Event, Events, LiveLine};
pub use execute::{RunReport, execute};
pub use host::host_class;
pub use options::Options;
pub use preflight::{Preflight, PreflightError, preflight};
pub use stop::{Stop, StopHandle, StopRequest, StopSignal};
