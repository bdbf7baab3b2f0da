//! The program through its flags, real sockets and files.

mod bad_input;
mod comparison;
mod demo;
mod disk;
mod endurance;
mod find_max;
mod history;
mod interrupted;
mod killed_run;
mod real_servers;
mod restart;
mod sandbox_flow;
mod scenarios;
mod service_time;
mod setup_broken_off;
mod setup_datasets;
mod setup_options;
mod setup_refused;
mod setup_verify;
mod shards;
mod stalls;
mod starved;
mod support;
mod vector_files;
