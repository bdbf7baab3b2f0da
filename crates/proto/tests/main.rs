//! Tests of the protocol through its public face.

mod rest_bodies;
mod search_layout;
