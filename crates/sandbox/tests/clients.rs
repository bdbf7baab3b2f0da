//! The official clients against the sandbox: pymilvus, and the Node SDK over REST v2 and gRPC.
//!
//! `SQUALL_TEST_PYTHON` names a Python that has pymilvus, `SQUALL_TEST_NODE_DIR` a directory whose
//! `node_modules` has `@zilliz/milvus2-sdk-node`. A test whose variable is not set says so and returns;
//! `SQUALL_TEST_SKIPPED_FILE` collects what was said.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
};

use squall_sandbox::SandboxConfig;
use tokio::process::Command;

use crate::support::start;

fn skipped(test: &str, reason: &str) {
    let line = format!("SKIPPED {test}: {reason}");
    println!("{line}");
    if let Some(file) = std::env::var_os("SQUALL_TEST_SKIPPED_FILE") {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(file).unwrap();
        writeln!(file, "{line}").unwrap();
    }
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

async fn run(mut command: Command, token: Option<&str>) {
    let server = start(SandboxConfig { token: token.map(str::to_owned), ..SandboxConfig::default() }).await;
    command.arg(&server.uri).args(token).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.expect("the client starts");
    server.stop().await;
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test]
async fn pymilvus_gets_what_brute_force_gets() {
    let Some(python) = std::env::var_os("SQUALL_TEST_PYTHON") else {
        return skipped(
            "sandbox::clients::pymilvus_gets_what_brute_force_gets",
            "SQUALL_TEST_PYTHON is not set",
        );
    };
    for token in [None, Some("root:Milvus")] {
        let mut command = Command::new(&python);
        command.arg(script("pymilvus_flow.py"));
        run(command, token).await;
    }
}

#[tokio::test]
async fn the_node_sdk_gets_what_brute_force_gets() {
    let Some(directory) = std::env::var_os("SQUALL_TEST_NODE_DIR") else {
        return skipped(
            "sandbox::clients::the_node_sdk_gets_what_brute_force_gets",
            "SQUALL_TEST_NODE_DIR is not set",
        );
    };
    for token in [None, Some("root:Milvus")] {
        let mut command = Command::new("node");
        command.arg(script("node_flow.mjs")).current_dir(&directory);
        run(command, token).await;
    }
}
