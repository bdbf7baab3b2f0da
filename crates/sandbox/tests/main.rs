//! The sandbox through its sockets: what a client sees, and what the log says that it did.

mod answers;
mod clients;
mod faults;
mod flow;
mod limits;
mod null_engine;
mod rest_face;
mod support;
