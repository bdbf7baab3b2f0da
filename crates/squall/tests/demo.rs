//! `squall demo` from an empty directory.

use crate::support::Workplace;

/// Processes whose command line names `needle`.
fn processes_with(needle: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        if let Ok(command) = std::fs::read(entry.path().join("cmdline")) {
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            if command.contains(needle) {
                found.push(command);
            }
        }
    }
    found
}

#[test]
fn the_demo_reports_and_leaves_nothing_running() {
    let place = Workplace::new();
    // A copy with a name of its own, so that its child can be told from other sandboxes.
    let program = place.path().join("squall-demo-test");
    std::fs::copy(env!("CARGO_BIN_EXE_squall"), &program).unwrap();
    let output = std::process::Command::new(&program).arg("demo").current_dir(place.path()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    // On a machine that is busy with other tests the run may be called invalid.
    assert!([Some(0), Some(5)].contains(&output.status.code()), "{stderr}");
    for part in
        ["Results Summary:", "Total Requests:", "Target Validation", "QPS:", "Error rate:", "report.html"]
    {
        assert!(stderr.contains(part), "{part} in:\n{stderr}");
    }
    assert_eq!(processes_with("squall-demo-test"), Vec::<String>::new());
    let run = place.only_run();
    assert!(run.join("server.parquet").is_file(), "the sandbox has metrics as Milvus has them");
    assert!(place.path().join("reports").join(run.file_name().unwrap()).join("report.html").is_file());
}

#[test]
fn a_killed_demo_takes_its_sandbox_with_it() {
    use std::io::{BufRead, BufReader};

    let place = Workplace::new();
    let mut child = place.squall(["demo"]).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    stderr.read_line(&mut line).unwrap();
    let address =
        line.trim().strip_prefix("sandbox at http://").unwrap_or_else(|| panic!("{line}")).to_owned();
    assert!(std::net::TcpStream::connect(&address).is_ok());
    child.kill().unwrap();
    child.wait().unwrap();
    // Nobody announces the end of the sandbox; its port closes within a moment.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while std::net::TcpStream::connect(&address).is_ok() {
        assert!(std::time::Instant::now() < deadline, "the sandbox at {address} outlives its demo");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}
