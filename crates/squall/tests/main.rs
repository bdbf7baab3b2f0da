//! The program through its flags, real sockets and files.

mod bad_input;
mod comparison;
mod demo;
mod history;
mod interrupted;
mod real_servers;
mod sandbox_flow;
mod setup_broken_off;
mod setup_refused;
mod setup_verify;
mod support;
