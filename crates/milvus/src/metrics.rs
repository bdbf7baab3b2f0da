//! The page that Prometheus reads from Milvus; beside the searches, never among them.

use std::time::Duration;

use reqwest::{Client, Url};

/// Longest that a page may take, connecting included.
const DEADLINE: Duration = Duration::from_secs(2);

/// Most of a page that is read: Milvus' own are some hundred KiB.
const MOST_BYTES: usize = 64 << 20;

/// A metrics page.
#[derive(Clone, Debug)]
pub struct MetricsPage {
    client: Client,
    url: Url,
}

/// Why there is no page, in a phrase.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MetricsError(String);

impl MetricsPage {
    /// The page at `url`, which is plain http.
    ///
    /// # Errors
    /// When that is no such URL.
    pub fn new(url: &str) -> Result<Self, MetricsError> {
        let url: Url =
            url.parse().map_err(|error| MetricsError(format!("`{url}` is not a URL ({error})")))?;
        if url.scheme() != "http" || !url.has_host() {
            return Err(MetricsError(format!(
                "`{url}` is not an http URL; write it like http://host:9091/metrics"
            )));
        }
        let client = Client::builder()
            .timeout(DEADLINE)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .http1_only()
            .tls_backend_preconfigured(crate::tls::unused())
            .build()
            .map_err(|error| MetricsError(error.to_string()))?;
        Ok(Self { client, url })
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Reads it.
    ///
    /// # Errors
    /// When it does not come in two seconds, or is no page.
    pub async fn read(&self) -> Result<String, MetricsError> {
        let error = |error: reqwest::Error| MetricsError(error.without_url().to_string());
        let response = self.client.get(self.url.clone()).send().await.map_err(error)?;
        if !response.status().is_success() {
            return Err(MetricsError(format!("it answers {}", response.status())));
        }
        let bytes = response.bytes().await.map_err(error)?;
        if bytes.len() > MOST_BYTES {
            return Err(MetricsError(format!("its page of {} bytes is too long", bytes.len())));
        }
        String::from_utf8(bytes.into()).map_err(|_| MetricsError("its page is not text".to_owned()))
    }
}
