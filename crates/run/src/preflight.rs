//! Checks before the first request: everything that would make every request fail is found here and
//! said in one sentence with the command that helps. No search is sent.

use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use squall_core::dataset::Identity;
use squall_core::filter::Filter;
use squall_core::plan::ServerTarget;
use squall_core::run_record::{CollectionRecord, ServerRecord};
use squall_core::schema::{CollectionSchema, Consistency, Metric};
use squall_core::vector_type::VectorType;
use squall_milvus::admin::Admin;
use squall_milvus::{Endpoint, Error, LoadState, Protocol};

/// Why a run cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum PreflightError {
    /// The server cannot be reached, refuses the token or answers an error.
    #[error(transparent)]
    Server(#[from] Error),
    /// There is no such collection.
    #[error(
        "collection `{collection}` does not exist at {uri}; create it with `squall setup --uri {uri} --collection-name {collection}`"
    )]
    NoCollection {
        /// The collection.
        collection: String,
        /// The server.
        uri: String,
    },
    /// Nothing to search in.
    #[error(
        "collection `{collection}` has no dense vector field to search; name another with --collection-name, or create one with `squall setup --uri {uri} --collection-name NAME`"
    )]
    NoVectorField {
        /// The collection.
        collection: String,
        /// The server.
        uri: String,
    },
    /// The plan's vectors do not fit.
    #[error(
        "field `{field}` of collection `{collection}` has {found} dimensions and the plan {planned}; leave --dimension (VECTOR_DIMENSION) out, or set it to {found}"
    )]
    Dimension {
        /// The collection.
        collection: String,
        /// Its vector field.
        field: String,
        /// What the field has.
        found: u32,
        /// What was asked for.
        planned: u32,
    },
    /// There is nothing to find.
    #[error("collection `{collection}` at {uri} is empty; {hint}")]
    Empty {
        /// The collection.
        collection: String,
        /// The server.
        uri: String,
        /// What to do.
        hint: String,
    },
    /// There is no index on the vector field.
    #[error("field `{field}` of collection `{collection}` has no index; {hint}")]
    NoIndex {
        /// The collection.
        collection: String,
        /// Its vector field.
        field: String,
        /// What to do.
        hint: String,
    },
    /// The collection is not in memory.
    #[error("collection `{collection}` at {uri} is not loaded; {hint}")]
    NotLoaded {
        /// The collection.
        collection: String,
        /// The server.
        uri: String,
        /// What to do.
        hint: String,
    },
    /// The filters read fields that the collection does not have.
    #[error(
        "collection `{collection}` has no field {fields}, which the filtered queries read; leave them out with FILTERED_QUERY_WEIGHT=0, or name a collection made by `squall setup`"
    )]
    FilterFields {
        /// The collection.
        collection: String,
        /// The fields that are missing, quoted.
        fields: String,
    },
}

/// What the checks found; the run relies on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Preflight {
    /// The server.
    pub server: ServerRecord,
    /// The collection.
    pub collection: CollectionRecord,
    /// The field that is searched: the first dense vector field.
    pub vector_field: String,
    /// The type of its vectors.
    pub vector_type: VectorType,
    /// Its components.
    pub dimension: u32,
    /// The index's metric, where the server tells.
    pub metric: Option<Metric>,
    /// What is spoken.
    pub protocol: Protocol,
    /// Name of the primary key.
    pub primary_key: String,
    /// Rows, where known.
    pub rows: Option<u64>,
    /// What the collection says of itself, where Squall made it.
    pub identity: Option<Identity>,
}

/// Looks at server and collection.
///
/// `dimension` is what the user asked for, if anything; `filters` are those that the plan will ask
/// (empty where no class filters).
///
/// # Errors
/// The first check that fails.
pub async fn preflight(
    endpoint: &Endpoint,
    target: &ServerTarget,
    dimension: Option<u32>,
    filters: &[Filter],
) -> Result<Preflight, PreflightError> {
    let name = &target.collection;
    let (uri, collection) = (endpoint.uri(), name.clone());
    let admin = Admin::connect(endpoint, target.transport).await?;
    let described = match admin.describe_collection(name).await {
        Err(error) if error.is_not_found() => {
            return Err(PreflightError::NoCollection { collection, uri });
        }
        described => described?,
    };
    let schema = &described.schema;
    let Some((vector_field, vector_type, found)) = schema.vector_fields().next() else {
        return Err(PreflightError::NoVectorField { collection, uri });
    };
    let vector_field = vector_field.name.clone();
    if let Some(planned) = dimension.filter(|planned| *planned != found) {
        return Err(PreflightError::Dimension { collection, field: vector_field, found, planned });
    }
    if let Some(fields) = missing_fields(schema, filters) {
        return Err(PreflightError::FilterFields { collection, fields });
    }
    let identity: Option<Identity> = schema.description.parse().ok();
    let setup = format!("`squall setup --uri {uri} --collection-name {name}`");
    let hint = |what: &str| match identity {
        Some(_) => format!("run {setup} again"),
        None => format!("{what} it with the client that made it, or make another with {setup}"),
    };

    let index = where_told(admin.describe_index(name, &vector_field).await)?;
    if matches!(index, Some(None)) {
        return Err(PreflightError::NoIndex { collection, field: vector_field, hint: hint("index") });
    }
    let index = index.flatten().map(|index| index.spec);
    let load_state = where_told(admin.load_state(name).await)?;
    if load_state.is_some_and(|state| state != LoadState::Loaded) {
        return Err(PreflightError::NotLoaded { collection, uri, hint: hint("load") });
    }
    let rows = rows(&admin, name).await?;
    if rows == Some(0) {
        return Err(PreflightError::Empty { collection, uri, hint: hint("fill") });
    }
    let segments = loaded_segments(&admin, name).await;
    Ok(Preflight {
        server: ServerRecord {
            same_host: endpoint.is_loopback() || is_same_host(endpoint),
            uri,
            version: admin.server_version(),
            protocol: admin.protocol().name().to_owned(),
        },
        collection: CollectionRecord {
            name: collection,
            rows,
            dataset: identity.as_ref().map(|identity| identity.dataset.clone()),
            dataset_rows: identity.as_ref().map(|identity| identity.rows),
            dimension: found,
            index: index.as_ref().map(ToString::to_string),
            consistency: described.consistency.map(|level| level.name().to_owned()),
            segments_before: segments,
            segments_after: None,
        },
        vector_field,
        vector_type,
        dimension: found,
        metric: index.map(|index| index.metric),
        protocol: admin.protocol(),
        primary_key: schema.primary_key().map_or_else(|| "id".to_owned(), |field| field.name.clone()),
        rows,
        identity,
    })
}

/// The fields that `filters` read and `schema` lacks, quoted; a dynamic schema may have any.
fn missing_fields(schema: &CollectionSchema, filters: &[Filter]) -> Option<String> {
    if schema.dynamic_field {
        return None;
    }
    let mut missing: Vec<String> = filters
        .iter()
        .flat_map(Filter::fields)
        .filter(|name| schema.field(name).is_none())
        .map(|name| format!("`{name}`"))
        .collect();
    missing.sort_unstable();
    missing.dedup();
    (!missing.is_empty()).then(|| missing.join(", "))
}

/// Rows by the server's statistics; by an exact count where those say 0, since they leave out what
/// was not flushed. `None` where the server tells neither.
async fn rows(admin: &Admin, collection: &str) -> Result<Option<u64>, Error> {
    match where_told(admin.row_count(collection).await)? {
        Some(0) => where_told(admin.count(collection, None, Consistency::Strong).await)
            .map(|count| count.or(Some(0))),
        rows => Ok(rows),
    }
}

/// The answer, or `None` where the protocol has no such question.
fn where_told<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(Error::Unsupported { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Segments that are loaded, where the server tells; a note beside the figures, never worth an error.
pub(crate) async fn loaded_segments(admin: &Admin, collection: &str) -> Option<u64> {
    let segments = admin.segments(collection).await.ok()??;
    Some(segments.iter().filter(|segment| segment.loaded).count() as u64)
}

/// Whether a connection to the server has the same address at both ends.
fn is_same_host(endpoint: &Endpoint) -> bool {
    let host = endpoint.host().trim_start_matches('[').trim_end_matches(']');
    let Ok(addresses) = (host, endpoint.port()).to_socket_addrs() else { return false };
    addresses.filter_map(|address| TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()).any(
        |stream| match (stream.local_addr(), stream.peer_addr()) {
            (Ok(local), Ok(peer)) => local.ip() == peer.ip(),
            _ => false,
        },
    )
}

#[cfg(test)]
mod tests {
    use squall_core::dataset::Dataset;
    use squall_core::filter::reference_filters;

    use super::*;

    #[test]
    fn missing_filter_fields_are_named_once_and_in_order() {
        let mut schema = Dataset::reference(1, 8).unwrap().schema(10);
        assert_eq!(missing_fields(&schema, &reference_filters()), None);
        schema.fields.retain(|field| field.name != "price" && field.name != "category");
        assert_eq!(missing_fields(&schema, &reference_filters()).unwrap(), "`category`, `price`");
        assert_eq!(missing_fields(&schema, &[]), None, "no filtered class reads no field");
        schema.dynamic_field = true;
        assert_eq!(missing_fields(&schema, &reference_filters()), None);
    }
}
