//! Turns the rows of a run into figures, a verdict and views of them.
//!
//! ```text
//! rows (Parquet parts) ──► frame (columns) ──► figures, series, failures ──┐
//! health (generator.parquet), run.json ──────► validity, judge ────────────┼──► Analysis
//!                                                                          │
//!                        text · page (HTML) · figures drawn · Locust's CSVs · JSON
//! ```
//!
//! [`compare_runs`] holds two sets of analysed runs against each other ([`statistics`]); [`Comparison`]
//! is what its views read.
//!
//! [`trend::trend`] follows the summaries of like runs over time; [`trend::Trend`] is what its views
//! read.
//!
//! [`import`] lets what Locust and k6 measured enter that history.
//!
//! [`analyze`] reads a run directory; [`Analysis`] is what every view reads;
//! [`Analysis::write`] writes the report. `docs/measurement.md` defines every figure.

mod analysis;
pub mod baseline;
mod column;
pub mod compare;
mod contention;
mod error;
mod failures;
mod figure;
mod figures;
mod filters;
mod find_max;
mod findings;
mod frame;
mod health;
mod heat;
pub mod import;
mod interval;
mod judge;
mod junit;
mod locust;
mod markdown;
mod measured_time;
mod moments;
mod notes;
mod number;
mod outages;
mod outputs;
mod packed;
mod page;
mod percentile;
#[expect(unreachable_pub, reason = "what makes a filter of a function makes it public")]
mod prose;
mod repeat;
mod rows;
mod series;
mod server_view;
mod shards;
mod slowest;
mod spans;
pub mod statistics;
pub mod text;
pub mod trend;
mod validity;
mod windows;
mod words;

pub use analysis::{Analysis, Options, analyze, analyze_runs, response_times};
pub use compare::{CompareError, CompareOptions, Comparison, can_be_a_base, can_be_compared, compare_runs};
pub use error::AnalyzeError;
pub use failures::FailureGroup;
pub use figure::{FigureKind, Layout, svg};
pub use figures::{Group, Groups};
pub use filters::FilterGroup;
pub use find_max::write_find_max;
pub use health::{Health, HealthSecond};
pub use heat::{Heat, ServiceTimes};
pub use interval::Interval;
pub use judge::JudgedTarget;
pub use outputs::{Outputs, Written, write_markdown};
pub use percentile::{Percentile, Sorted};
pub use rows::UnreadablePart;
pub use series::{Bucket, Series};
pub use server_view::{ServerFigure, ServerSeries, ServerView};
pub use spans::Spans;
