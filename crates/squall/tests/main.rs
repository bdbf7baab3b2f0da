//! The program through its flags, real sockets and files.

mod bad_input;
mod demo;
mod interrupted;
mod real_servers;
mod sandbox_flow;
mod support;
