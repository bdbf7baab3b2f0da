//! The client against servers: the sandbox always, a Milvus 2.3.5 and a Milvus Lite where
//! `SQUALL_TEST_MILVUS_URI` and `SQUALL_TEST_MILVUS_LITE_URI` name one.

mod errors;
mod flow;
mod measured;
mod rest_v1;
mod support;
mod tls;
mod vector_types;
