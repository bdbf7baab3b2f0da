//! Free TCP ports for servers.
//!
//! A server binds its ports seconds after they were chosen, and Milvus takes another one without a word
//! where it finds one taken by then. So they are chosen where the kernel gives none to connections, and
//! are this process' as long as it lives, against other threads and other xtasks.

use std::{
    collections::hash_map::RandomState,
    fs,
    hash::BuildHasher,
    net::{Ipv4Addr, TcpListener},
    ops::Range,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixListener},
    },
    path::Path,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, ensure};

/// Where ports are chosen: below the kernel's own choices, which begin at 32768 unless
/// `net.ipv4.ip_local_port_range` says otherwise.
const RANGE: Range<u16> = 20_000..32_768;

/// What keeps ports for this process: a name of the machine's network that the kernel frees at its end.
static CLAIMS: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());

/// Different ports that nobody listens on, and that no xtask chooses until this one ends.
pub(crate) fn free<const COUNT: usize>() -> anyhow::Result<[u16; COUNT]> {
    let span = u64::from(RANGE.end - RANGE.start);
    let first = (RandomState::new().hash_one(0) % span) as u16;
    let mut ports = (RANGE.start + first..RANGE.end)
        .chain(RANGE.start..RANGE.start + first)
        .filter(|&port| claim(port) && is_free(port));
    let mut found = [0; COUNT];
    for port in &mut found {
        *port = ports
            .next()
            .with_context(|| format!("no port from {} to {} is free", RANGE.start, RANGE.end - 1))?;
    }
    Ok(found)
}

/// Whether the port is this process' from now on; not when it, or another xtask, has it already. To be asked
/// first: looking whether a port is free binds it, if for a moment, which its owner's server might meet.
fn claim(port: u16) -> bool {
    let name = SocketAddr::from_abstract_name(format!("squall-xtask-port-{port}"));
    let Ok(claim) = name.and_then(|name| UnixListener::bind_addr(&name)) else { return false };
    CLAIMS.lock().unwrap_or_else(PoisonError::into_inner).push(claim);
    true
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
    (port..=u16::MAX)
        .find(|&port| claim(port) && is_free(port))
        .with_context(|| format!("no port from {port} up is free"))
}

/// Whether nobody listens on it, on any of the machine's addresses.
fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, thread};

    use super::super::local;
    use super::*;

    #[test]
    fn free_ports_are_different_also_from_those_of_other_threads() {
        let ports: Vec<u16> = thread::scope(|scope| {
            let choosing = [(); 8].map(|()| scope.spawn(|| free::<20>().unwrap()));
            choosing.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), 160);
        assert!(ports.iter().all(|port| RANGE.contains(port)));
    }

    #[test]
    fn a_port_is_claimed_once() {
        let [port] = free().unwrap();
        assert!(!claim(port));
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
