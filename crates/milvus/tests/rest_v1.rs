//! REST v1, on the real server that has it: searches and queries of a collection made over gRPC.

use squall_core::row::Outcome;
use squall_core::schema::{Consistency, Transport};
use squall_core::vector_type::VectorType;
use squall_milvus::admin::Admin;
use squall_milvus::measured::Connection;
use squall_milvus::{Error, LoadState, Protocol, encode};

use crate::support::*;

#[tokio::test]
async fn rest_v1_searches_queries_and_describes_what_grpc_made() {
    let test = "rest_v1_searches_queries_and_describes_what_grpc_made";
    let Some(server) = real_server("SQUALL_TEST_MILVUS_URI", test) else { return };
    let grpc = Admin::connect(&server, Transport::Grpc).await.unwrap();
    let rest = Admin::connect(&server, Transport::Rest).await.unwrap();
    assert_eq!(rest.protocol(), Protocol::RestV1);
    let name = unique("v1");
    seed(&grpc, &name, &flat()).await;

    let described = rest.describe_collection(&name).await.unwrap().schema;
    assert_eq!(described.fields, dataset().schema(ROWS as u64).fields);
    assert_eq!(described.description, dataset().schema(ROWS as u64).description);
    assert_eq!(rest.load_state(&name).await.unwrap(), LoadState::Loaded);
    assert_eq!(rest.count(&name, None, Consistency::Strong).await.unwrap(), ROWS as u64);

    let expected = dataset().batch(5, 1).unwrap();
    let fields: Vec<String> = expected.columns.iter().map(|column| column.name.clone()).collect();
    assert_eq!(rest.query(&name, "id == 5", &fields, 3).await.unwrap(), expected);

    let connection = Connection::open_with_sockets(&server, Protocol::RestV1, 2).await.unwrap();
    for (number, filter) in [(0, None), (1, None), (2, Some("price < 50"))] {
        let query = query(number);
        let over_grpc = grpc.search(&name, &spec(filter, &fields[..1]), &query).await.unwrap();
        let over_rest = rest.search(&name, &spec(filter, &fields[..1]), &query).await.unwrap();
        assert_eq!(over_rest.ids, over_grpc.ids);
        let request = template(Protocol::RestV1, &name, filter).request(encode::vector(
            Protocol::RestV1,
            VectorType::Float32,
            &query,
        ));
        let reply = connection.send(request).await.unwrap().finish().await;
        assert_eq!((reply.outcome, usize::from(reply.hits)), (Outcome::Ok, over_grpc.ids.len()));
        assert_eq!(reply.ids().unwrap().ids, over_grpc.ids);
    }
    grpc.drop_collection(&name).await.unwrap();
}

#[tokio::test]
async fn what_rest_v1_lacks_is_said_with_the_way_out() {
    let Some(server) = real_server("SQUALL_TEST_MILVUS_URI", "what_rest_v1_lacks_is_said_with_the_way_out")
    else {
        return;
    };
    let rest = Admin::connect(&server, Transport::Rest).await.unwrap();
    let schema = dataset().schema(1);
    for error in [
        rest.create_collection("c", &schema, Consistency::Bounded, None).await.unwrap_err(),
        rest.flush("c").await.unwrap_err(),
        rest.create_index("c", "vector", &flat()).await.unwrap_err(),
        rest.load("c").await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
        assert!(error.to_string().ends_with("over rest-v1; use --transport grpc"), "{error}");
    }
}
