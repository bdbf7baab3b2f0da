//! Room for sockets: thousands of users over REST need more files than a process may open at first.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::error::RunError;

/// Files that a run opens beside the sockets of its connections: parts, pages, a few for each thread.
const BESIDE_SOCKETS: u64 = 128;

/// Sees to it that so many sockets can be open at once, where need be up to the hard limit.
///
/// # Errors
/// When the hard limit is lower.
pub(crate) fn allow(sockets: u64) -> Result<(), RunError> {
    let limit = getrlimit(Resource::Nofile);
    if let Some(raised) = raised(limit, sockets)? {
        setrlimit(Resource::Nofile, raised).map_err(std::io::Error::from)?;
    }
    Ok(())
}

/// The limit to set; `None` where the present one will do.
fn raised(limit: Rlimit, sockets: u64) -> Result<Option<Rlimit>, RunError> {
    let needed = sockets.saturating_add(BESIDE_SOCKETS);
    let allows = |limit: Option<u64>| limit.is_none_or(|limit| needed <= limit);
    match limit {
        Rlimit { current, .. } if allows(current) => Ok(None),
        Rlimit { maximum: Some(most), .. } if most < needed => {
            Err(RunError::Descriptors { sockets, needed, limit: most })
        }
        Rlimit { maximum, .. } => Ok(Some(Rlimit { current: maximum.or(Some(needed)), maximum })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_where_it_is_too_low_and_can_be() {
        let limit = |current, maximum| Rlimit { current: Some(current), maximum };
        let allowed = |limit: Rlimit| raised(limit, 1_000).map(|found| found.and_then(|found| found.current));
        assert_eq!(allowed(limit(1_128, Some(4_096))).unwrap(), None);
        assert_eq!(allowed(limit(1_127, Some(4_096))).unwrap(), Some(4_096));
        assert_eq!(allowed(limit(1_127, None)).unwrap(), Some(1_128));
        let refused = allowed(limit(256, Some(1_127))).unwrap_err().to_string();
        assert!(refused.contains("1128") && refused.contains("1127"), "{refused}");
    }
}
