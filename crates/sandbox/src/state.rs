//! What all connections share.

use squall_proto::code::{ServerCode, ServerError};

use crate::{
    config::Engine,
    engine::{catalog::Catalog, index::bad, pool::Pool},
    faults::InsertFaults,
    gate::Gate,
};

/// The version a client is told: compatible with 2.3.5, and plainly not it.
pub(crate) const VERSION: &str = "v2.3.5-squall-sandbox";

/// One for each sandbox.
pub(crate) struct State {
    pub(crate) engine: Engine,
    pub(crate) catalog: Catalog,
    pub(crate) pool: Pool,
    pub(crate) gate: Gate,
    pub(crate) insert_faults: InsertFaults,
    pub(crate) max_message_bytes: usize,
    pub(crate) token: Option<String>,
}

impl State {
    /// Runs work that may burn CPU or wait for a lock on the engine's threads.
    pub(crate) async fn work<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T, ServerError> + Send + 'static,
    ) -> Result<T, ServerError> {
        self.pool
            .run(job)
            .await
            .unwrap_or_else(|_| Err(bad("the sandbox gave up on this request".to_owned())))
    }
}

/// The answer to a search whose fate is an injected error.
pub(crate) fn injected_error() -> ServerError {
    bad("injected error: this search was chosen to fail (error rate)".to_owned())
}

/// The answer to a search whose fate is to be rejected, in 2.3.5's words.
pub(crate) fn rate_limited() -> ServerError {
    ServerError::new(
        ServerCode::RATE_LIMIT,
        "request is rejected by grpc RateLimiter middleware, please retry later: rate limit exceeded[rate=0]",
    )
}
