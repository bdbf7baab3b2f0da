//! Milvus 2.3.5 standalone: one process with an embedded etcd and message queue.
//!
//! The PyPI package brings a wrapper that starts it. It is started directly here instead, because the
//! wrapper cannot be told the metrics port, leaves Milvus running when it is terminated, and hides
//! that Milvus died. The wrapper's module writes the configuration, which holds the ports and
//! directories. The ports between its components are any free ones, so that several servers run side
//! by side.

use std::{fs, path::Path, process::Command};

use anyhow::Context;

use super::{Address, Prepared, Ready, absolute, ports};
use crate::{provision, workspace};

/// Ports of the configuration beside the clients' (`proxy_port`) and etcd's.
const INNER_PORTS: [&str; 8] = [
    "proxy_internal_port",
    "root_coord_port",
    "query_coord_port",
    "query_node_port",
    "data_coord_port",
    "data_node_port",
    "index_node_port",
    "index_coord_port",
];

/// Writes `configs/milvus.yaml` below the first argument, with the `name=port` arguments set. Unlike
/// the wrapper it does not bind the ports first, which fails for a while after a restart.
const CONFIGURE: &str = "
import sys, milvus
config = milvus.MilvusServerConfig(data_dir=sys.argv[1])
config.resolve_storage()
for setting in sys.argv[2:]:
    name, port = setting.split('=')
    config.set(name, int(port))
config.write_config()
";

/// How to run Milvus.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// Port for clients.
    pub(crate) port: u16,
    /// Port for metrics.
    pub(crate) metrics_port: u16,
    /// Whether clients need a token, `root:Milvus`.
    pub(crate) auth: bool,
    /// Other settings: path in milvus.yaml, value.
    pub(crate) settings: Vec<(String, String)>,
}

/// Prepares a server with its data, logs and configuration in `dir`, kept if they are there.
pub(crate) fn prepare(parts: &provision::Milvus, dir: &Path, options: &Options) -> anyhow::Result<Prepared> {
    let dir = absolute(dir)?;
    for sub in ["configs", "logs"] {
        workspace::create_dir(&dir.join(sub))?;
    }
    // A component finds its place taken by its predecessor for 30 s and more, unless its address is
    // the same: with other ports, a restart takes a minute instead of 8 s.
    let [etcd_client, etcd_peer, inner @ ..] =
        ports::free_as_before::<{ INNER_PORTS.len() + 2 }>(&dir.join("configs/ports"))?;
    let mut configure = Command::new(&parts.interpreter);
    configure.args(["-c", CONFIGURE]).arg(&dir).arg(format!("proxy_port={}", options.port));
    configure.arg(format!("etcd_port={etcd_client}"));
    configure.args(INNER_PORTS.iter().zip(&inner).map(|(name, port)| format!("{name}={port}")));
    workspace::output(&mut configure)?;

    // `etcd_port` is just where Milvus looks for etcd; where the embedded one listens is this file's.
    let etcd = dir.join("configs/etcd.yaml");
    fs::write(&etcd, etcd_yaml(etcd_client, etcd_peer))
        .with_context(|| format!("failed to write {}", etcd.display()))?;

    let mut env = vec![
        ("DEPLOY_MODE".to_owned(), "STANDALONE".into()),
        ("METRICS_PORT".to_owned(), options.metrics_port.to_string().into()),
        ("MILVUS_RUN_DIR".to_owned(), dir.join("run").into()),
        ("LD_LIBRARY_PATH".to_owned(), parts.bin.clone().into()),
        ("ETCD_CONFIG_PATH".to_owned(), etcd.into()),
    ];
    if options.auth {
        env.push((variable("common.security.authorizationEnabled"), "true".into()));
    }
    env.extend(options.settings.iter().map(|(path, value)| (variable(path), value.into())));

    let metrics = format!("http://127.0.0.1:{}", options.metrics_port);
    Ok(Prepared {
        name: "Milvus 2.3.5",
        words: vec![parts.bin.join("milvus").into(), "run".into(), "standalone".into()],
        env,
        address: Address {
            uri: format!("http://127.0.0.1:{}", options.port),
            metrics: Some(format!("{metrics}/metrics")),
        },
        ready: Ready::Milvus {
            health: format!("{metrics}/healthz"),
            clients: format!("http://127.0.0.1:{}/v1/vector/collections", options.port),
        },
        stdout: dir.join("logs/milvus-stdout.log"),
        stderr: dir.join("logs/milvus-stderr.log"),
        dir,
    })
}

/// The environment variable that sets a path of milvus.yaml.
fn variable(path: &str) -> String {
    path.to_uppercase().replace('.', "_")
}

fn etcd_yaml(client: u16, peer: u16) -> String {
    let (client, peer) = (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
    format!(
        "listen-client-urls: {client}\nadvertise-client-urls: {client}\nlisten-peer-urls: {peer}\n\
         initial-advertise-peer-urls: {peer}\ninitial-cluster: default={peer}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_a_variable_in_upper_case() {
        assert_eq!(variable("quotaAndLimits.dql.searchRate.max"), "QUOTAANDLIMITS_DQL_SEARCHRATE_MAX");
    }

    #[test]
    fn the_peer_is_its_own_cluster() {
        let yaml = etcd_yaml(2479, 2480);
        assert!(yaml.contains("listen-client-urls: http://127.0.0.1:2479\n"));
        assert!(yaml.ends_with("initial-cluster: default=http://127.0.0.1:2480\n"));
    }
}
