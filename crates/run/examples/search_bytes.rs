//! Writes the body of a search exactly as a run sends it, for other load generators to post:
//! `search_bytes URI TRANSPORT COLLECTION LIMIT FILE`.
//!
//! The server is asked once, so that what is written is known to be a search that it answers.

use std::error::Error;

use squall_core::plan::ServerTarget;
use squall_core::row::Outcome;
use squall_core::workload::{QueryKind, QueryVectors, Workload};
use squall_milvus::Endpoint;
use squall_milvus::encode::{self, SearchSpec, SearchTemplate, Target};
use squall_milvus::measured::Connection;
use squall_run::preflight;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [uri, transport, collection, limit, file] = words.as_slice() else {
        return Err("search_bytes URI TRANSPORT COLLECTION LIMIT FILE".into());
    };
    let endpoint = Endpoint::new(uri, None, None)?;
    let server = ServerTarget {
        uri: uri.clone(),
        database: None,
        collection: collection.clone(),
        transport: transport.parse()?,
    };
    let found = preflight(&endpoint, &server, None, &[]).await?;
    let queries = QueryVectors::new(&Workload::reference(42, found.dimension))?;
    let output_fields = [found.primary_key.clone()];
    let spec = SearchSpec {
        vector_field: &found.vector_field,
        vector_type: found.vector_type,
        metric: found.metric,
        filter: None,
        limit: limit.parse()?,
        params: None,
        consistency: None,
        output_fields: &output_fields,
    };
    let target = Target { collection, database: None };
    let template = SearchTemplate::new(found.protocol, target, &spec, found.dimension)?;
    let mut vector = vec![0.0; found.dimension as usize];
    queries.vector(QueryKind::Common, 0, &mut vector);
    let request = template.request(encode::vector(found.protocol, found.vector_type, &vector));

    let connection = Connection::open_with_sockets(&endpoint, found.protocol, 1).await?;
    let reply = connection.send(request.clone()).await?.finish().await;
    if reply.outcome != Outcome::Ok || reply.hits != spec.limit {
        return Err(format!("the server answered with {} hits: {:?}", reply.hits, reply.outcome).into());
    }
    std::fs::write(file, [request.head, request.tail].concat())?;
    Ok(())
}
