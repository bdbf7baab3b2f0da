//! Milvus Lite 3.2.2: a Python process that speaks the current gRPC protocol, without REST, metrics
//! or authorization.

use std::path::Path;

use super::{Address, Prepared, Ready, absolute, local};
use crate::{provision, workspace};

/// Prepares a server with its data and logs in `dir`, kept if they are there.
pub(crate) fn prepare(parts: &provision::Python, dir: &Path, port: u16) -> anyhow::Result<Prepared> {
    let dir = absolute(dir)?;
    workspace::create_dir(&dir)?;
    let (data, port_word) = (dir.join("data"), port.to_string());
    Ok(Prepared {
        name: "Milvus Lite 3.2.2",
        words: vec![
            parts.milvus_lite().into(),
            "server".into(),
            "--data-dir".into(),
            data.into(),
            "--host".into(),
            "127.0.0.1".into(),
            "--port".into(),
            port_word.into(),
        ],
        env: Vec::new(),
        address: Address { uri: format!("http://127.0.0.1:{port}"), metrics: None },
        ready: Ready::Tcp(local(port)),
        stdout: dir.join("stdout.log"),
        stderr: dir.join("stderr.log"),
        dir,
    })
}
