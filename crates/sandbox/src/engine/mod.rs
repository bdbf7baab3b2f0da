//! What the server knows and does, free of any protocol: the gRPC and the REST face both speak to
//! [`catalog::Catalog`] and to the collections in it.

pub(crate) mod catalog;
pub(crate) mod clock;
pub(crate) mod collection;
pub(crate) mod column;
pub(crate) mod distance;
pub(crate) mod graph;
pub(crate) mod index;
pub(crate) mod loading;
pub(crate) mod output;
pub(crate) mod pool;
pub(crate) mod query;
mod remade;
pub(crate) mod rows;
pub(crate) mod schema;
pub(crate) mod search;
