//! Free TCP ports.

use std::{fs, net::TcpListener, path::Path};

use anyhow::{Context, ensure};

use super::local;

/// Different ports that nobody listens on.
///
/// They are free now; a server that is started at once will find them so, unless luck is bad, and
/// then it says so.
pub(crate) fn free<const COUNT: usize>() -> anyhow::Result<[u16; COUNT]> {
    let mut ports = [0; COUNT];
    // All are held until all are found, or the same one might come twice.
    let mut held = Vec::new();
    for port in &mut ports {
        let listener = TcpListener::bind(local(0)).context("failed to find a free port")?;
        *port = listener.local_addr().context("failed to find a free port")?.port();
        held.push(listener);
    }
    Ok(ports)
}

/// As [`free`], but the same ones as last time while they are free; `file` remembers them.
pub(crate) fn free_as_before<const COUNT: usize>(file: &Path) -> anyhow::Result<[u16; COUNT]> {
    let before = fs::read_to_string(file).unwrap_or_default();
    let before: Vec<u16> = before.split_whitespace().filter_map(|port| port.parse().ok()).collect();
    match <[u16; COUNT]>::try_from(before) {
        Ok(before) if before.iter().all(|&port| is_free(port)) => Ok(before),
        _ => {
            let ports = free::<COUNT>()?;
            fs::write(file, ports.map(|port| port.to_string()).join("\n"))
                .with_context(|| format!("failed to write {}", file.display()))?;
            Ok(ports)
        }
    }
}

/// The port that was asked for, when nobody listens on it; 0 asks for any.
pub(crate) fn wanted(port: u16) -> anyhow::Result<u16> {
    if port == 0 {
        let [port] = free()?;
        return Ok(port);
    }
    ensure!(is_free(port), "port {port} is in use; choose another with --port, or --port 0 for any");
    Ok(port)
}

/// The first free port from this one up.
pub(crate) fn first_from(port: u16) -> anyhow::Result<u16> {
    (port..=u16::MAX).find(|&port| is_free(port)).with_context(|| format!("no port from {port} up is free"))
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(local(port)).is_ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn free_ports_are_different() {
        let ports = free::<20>().unwrap();
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), 20);
        assert!(ports.iter().all(|&port| port != 0));
    }

    #[test]
    fn ports_are_the_same_again_until_one_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ports");
        let before = free_as_before::<3>(&file).unwrap();
        assert_eq!(free_as_before::<3>(&file).unwrap(), before);
        let _taken = TcpListener::bind(local(before[1])).unwrap();
        assert_ne!(free_as_before::<3>(&file).unwrap(), before);
    }

    #[test]
    fn a_port_in_use_is_not_free() {
        let listener = TcpListener::bind(local(0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(wanted(port).unwrap_err().to_string().contains("in use"));
        assert_ne!(first_from(port).unwrap(), port);
    }
}
