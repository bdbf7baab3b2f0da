//! Tests of xtask through its command line.

mod held_servers;
mod kept_servers;

use std::{env, fs::OpenOptions, io::Write, process::Command};

fn xtask() -> Command {
    Command::new(env!("CARGO_BIN_EXE_xtask"))
}

/// Whether the part that this variable names is there; if not, says that `test` is skipped.
fn has_part(test: &str, variable: &str) -> bool {
    if env::var_os(variable).is_some() {
        return true;
    }
    let reason = env::var(format!("{variable}_MISSING")).unwrap_or_else(|_| format!("{variable} is not set"));
    println!("SKIPPED {test}: {reason}");
    if let Some(file) = env::var_os("SQUALL_TEST_SKIPPED_FILE") {
        let mut file = OpenOptions::new().create(true).append(true).open(file).unwrap();
        file.write_all(format!("{test}: {reason}\n").as_bytes()).unwrap();
    }
    false
}
