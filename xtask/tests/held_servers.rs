//! The process that holds a server during `cargo xtask test`.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Stdio},
};

use crate::xtask;

/// Starts a holder of a shell script, whose first line of output is its process id.
fn hold(script: &str) -> (Child, PathBuf) {
    let mut holder = xtask()
        .args(["hold-server", "--", "sh", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut id = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut id).unwrap();
    (holder, PathBuf::from("/proc").join(id.trim()))
}

#[test]
fn the_server_ends_when_the_pipe_does() {
    let (mut holder, server) = hold("echo $$; exec sleep 1000");
    assert!(server.exists());
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
    assert!(!server.exists());
}

#[test]
fn a_server_that_does_not_end_when_asked_is_killed() {
    let (mut holder, server) = hold("trap '' TERM; echo $$; while :; do sleep 0.05; done");
    assert!(server.exists());
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
    assert!(!server.exists());
}

#[test]
fn a_server_that_dies_ends_its_holder() {
    let (mut holder, _) = hold("echo $$; exit 3");
    // The pipe stays open: it is the server's end that is seen.
    let input = holder.stdin.take();
    assert!(!holder.wait().unwrap().success());
    drop(input);
}
