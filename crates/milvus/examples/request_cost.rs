//! CPU time of the client per search, by the way it is sent: `cargo run --release -p squall-milvus --example request_cost`.
//!
//! The null sandbox answers from threads of its own; what is counted is the client's thread alone.

use std::error::Error;

use futures::stream::{self, StreamExt};
use squall_core::schema::{Consistency, Metric, Transport};
use squall_core::vector_type::VectorType;
use squall_milvus::admin::Admin;
use squall_milvus::encode::{self, SearchSpec, SearchTemplate, Target};
use squall_milvus::measured::Connection;
use squall_milvus::{Endpoint, Protocol};
use squall_sandbox::{Engine, Sandbox, SandboxConfig};

const REQUESTS: usize = 20_000;
const IN_FLIGHT: usize = 16;
const DIMENSION: u32 = 768;

fn main() -> Result<(), Box<dyn Error>> {
    let server = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let config = SandboxConfig { engine: Engine::Null, ..SandboxConfig::default() };
    let sandbox = server.block_on(Sandbox::bind(config))?;
    let endpoint = Endpoint::new(&sandbox.uri(), None, None)?;
    server.spawn(sandbox.serve(std::future::pending()));
    let client = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    client.block_on(compare(&endpoint))
}

async fn compare(endpoint: &Endpoint) -> Result<(), Box<dyn Error>> {
    let output_fields = ["id".to_owned()];
    let spec = SearchSpec {
        vector_field: "vector",
        vector_type: VectorType::Float32,
        metric: Some(Metric::L2),
        filter: None,
        limit: 10,
        params: None,
        consistency: Some(Consistency::Bounded),
        output_fields: &output_fields,
    };
    let vector = vec![0.5_f32; DIMENSION as usize];
    let target = Target { collection: "c", database: None };
    for round in 1..=3 {
        println!("round {round}");
        let admin = Admin::connect(endpoint, Transport::Grpc).await?;
        let from = thread_cpu_ns()?;
        stream::iter(0..REQUESTS)
            .map(|_| admin.search("c", &spec, &vector))
            .buffer_unordered(IN_FLIGHT)
            .for_each(async |hits| assert!(hits.is_ok(), "{hits:?}"))
            .await;
        report("tonic, encoded and decoded each time", from)?;
        for protocol in [Protocol::Grpc, Protocol::RestV2] {
            let connection = Connection::open_with_sockets(endpoint, protocol, IN_FLIGHT).await?;
            let template = SearchTemplate::new(protocol, target, &spec, DIMENSION)?;
            let request = template.request(encode::vector(protocol, VectorType::Float32, &vector));
            let from = thread_cpu_ns()?;
            stream::iter(0..REQUESTS)
                .map(async |_| {
                    connection.send(request.clone()).await.expect("the server runs").finish().await
                })
                .buffer_unordered(IN_FLIGHT)
                .for_each(async |reply| assert!(reply.code.is_none(), "{reply:?}"))
                .await;
            report(&format!("measured, {protocol}"), from)?;
        }
    }
    Ok(())
}

fn report(way: &str, from: u64) -> Result<(), Box<dyn Error>> {
    let micros = (thread_cpu_ns()? - from) as f64 / 1_000.0 / REQUESTS as f64;
    println!("{micros:6.1} us of CPU a search: {way}");
    Ok(())
}

/// CPU time of this thread, from the first number of its schedstat.
fn thread_cpu_ns() -> Result<u64, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split_whitespace().next().ok_or("an empty schedstat")?.parse()?)
}
