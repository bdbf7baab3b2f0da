//! How a plan is executed here: what is not part of the plan.

use std::path::PathBuf;

use squall_core::plan::Shard;
use squall_core::run_config::Part;
use squall_milvus::{Endpoint, MetricsError, MetricsPage};

use crate::scrape;

/// Where Milvus serves its metrics unless told otherwise.
const METRICS_PORT: u16 = 9_091;

/// What [`crate::execute()`] is told besides the plan.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where the run's directory goes, under `runs`.
    pub data: PathBuf,
    /// The slice of the plan to send; `None`: the whole plan, at once.
    pub part: Option<Part>,
    /// Whether each worker has a core of its own.
    pub pin: bool,
    /// The server's metrics page; `None`: looked for on port 9091 of its host, silently.
    pub metrics_url: Option<String>,
    /// Rows are thrown away instead of recorded: to measure what recording costs, and for nothing else.
    pub discard_rows: bool,
}

impl Options {
    /// A whole run whose directory goes under `data`.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self { data: data.into(), ..Self::default() }
    }

    /// The metrics page to look at.
    ///
    /// # Errors
    /// When the URL is none.
    pub(crate) fn metrics(&self, endpoint: &Endpoint) -> Result<scrape::Target, MetricsError> {
        let url = match &self.metrics_url {
            Some(url) => url.clone(),
            None => format!("http://{}:{METRICS_PORT}/metrics", endpoint.host()),
        };
        Ok(scrape::Target { page: MetricsPage::new(&url)?, asked_for: self.metrics_url.is_some() })
    }

    pub(crate) fn shard(&self) -> Shard {
        self.part.as_ref().map_or(Shard::WHOLE, |part| part.shard)
    }
}
