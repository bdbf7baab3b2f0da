//! Where things are: the workspace's root and the directory that cargo builds into.

use std::path::PathBuf;

/// The checkout's root, found from where xtask's own manifest was when it was built.
pub(crate) fn root() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root
}
