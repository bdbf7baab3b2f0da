//! Where things are, and how cargo is run from here.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};
use cargo_metadata::{Metadata, MetadataCommand};

/// The checkout's root, found from where xtask's own manifest was when it was built.
pub(crate) fn root() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root
}

/// The workspace's own crates and directories; nothing is downloaded for it.
pub(crate) fn metadata() -> anyhow::Result<Metadata> {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .context("failed to ask cargo for the workspace's crates")
}

/// The directory that cargo builds into, `CARGO_TARGET_DIR` and configuration considered.
pub(crate) fn target_dir() -> anyhow::Result<PathBuf> {
    Ok(metadata()?.target_directory.into_std_path_buf())
}

/// The directory that provisioned parts are kept in: `SQUALL_CACHE`, so that several checkouts or CI
/// runs share them, or else the target directory.
pub(crate) fn cache_dir() -> anyhow::Result<PathBuf> {
    let dir = match env::var_os("SQUALL_CACHE").filter(|dir| !dir.is_empty()) {
        Some(dir) => std::path::absolute(dir).context("SQUALL_CACHE is no directory")?,
        None => target_dir()?,
    };
    create_dir(&dir)?;
    Ok(dir)
}

/// cargo, in the workspace's root.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    // `cargo run` describes xtask to xtask. Build scripts that watch these (ring's does) would run
    // again, and all above them be built again, each time cargo is called from a shell and from here.
    for (name, _) in env::vars_os() {
        let described = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"].iter().any(|prefix| described.starts_with(prefix))
        {
            command.env_remove(&name);
        }
    }
    command
}

/// What a command prints on stdout; its stderr when it fails.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let shown = shown(command);
    let output = command.output().with_context(|| format!("failed to run `{shown}`"))?;
    ensure!(
        output.status.success(),
        "`{shown}` failed ({}): {}",
        output.status,
        complaint(&String::from_utf8_lossy(&output.stderr))
    );
    String::from_utf8(output.stdout).with_context(|| format!("`{shown}` printed something else than text"))
}

/// A command as one would type it.
pub(crate) fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Makes a directory and those above it.
pub(crate) fn create_dir(dir: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("failed to make the directory {}", dir.display()))
}

/// Removes a directory and what is in it; it may be missing.
pub(crate) fn remove_dir(dir: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("failed to remove the directory {}", dir.display()))
        }
        _ => Ok(()),
    }
}

/// Holds a lock file exclusively until dropped, waiting for another process that has it.
#[derive(Debug)]
pub(crate) struct Lock {
    // The lock is the open file's and goes with it.
    _file: fs::File,
}

impl Lock {
    /// Takes the lock; `waiting` is called when another process has it.
    pub(crate) fn take(path: &Path, waiting: impl FnOnce()) -> anyhow::Result<Self> {
        use rustix::fs::{FlockOperation, flock};

        let failed = || format!("failed to lock {}", path.display());
        let file = fs::File::create(path).with_context(failed)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            waiting();
            flock(&file, FlockOperation::LockExclusive).with_context(failed)?;
        }
        Ok(Self { _file: file })
    }
}

/// The lines of a program's stderr that speak of an error, the first three; else its last one.
fn complaint(text: &str) -> String {
    let errors = text.lines().map(str::trim).filter(|line| line.to_lowercase().contains("error"));
    let errors: Vec<&str> = errors.take(3).collect();
    if errors.is_empty() {
        return text.trim_end().lines().next_back().unwrap_or("it said nothing").to_owned();
    }
    errors.join(" / ")
}

#[cfg(test)]
mod tests {
    use super::complaint;

    #[test]
    fn a_complaint_is_what_speaks_of_an_error() {
        assert_eq!(
            complaint("warning: x\nnpm error code E1\nnpm error y\nbye\n"),
            "npm error code E1 / npm error y"
        );
        assert_eq!(complaint("first\nlast\n"), "last");
        assert_eq!(complaint(""), "it said nothing");
    }
}
