//! `up`, `status` and `down`, with a real Milvus Lite.

use std::{
    net::TcpStream,
    path::Path,
    process::{Command, Output},
};

use crate::{has_part, xtask};

fn milvus_lite(action: &[&str], dir: &Path) -> Output {
    let mut command: Command = xtask();
    command.arg("milvus-lite").args(action).arg("--dir").arg(dir).output().unwrap()
}

fn uri(output: &Output) -> String {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().find_map(|line| line.strip_prefix("uri ")).unwrap_or_default().to_owned()
}

#[test]
fn a_server_is_kept_until_it_is_taken_down() {
    if !has_part("kept_servers::a_server_is_kept_until_it_is_taken_down", "SQUALL_TEST_MILVUS_LITE_URI") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();

    let up = milvus_lite(&["up", "--port", "0"], dir.path());
    assert!(up.status.success(), "{up:?}");
    let address = uri(&up).replace("http://", "");
    TcpStream::connect(&address).unwrap();

    let again = milvus_lite(&["up", "--port", "0"], dir.path());
    let cleaned = milvus_lite(&["up", "--port", "0", "--clean"], dir.path());
    let status = milvus_lite(&["status"], dir.path());
    let down = milvus_lite(&["down"], dir.path());
    assert_eq!(uri(&again), uri(&up));
    assert!(!cleaned.status.success(), "the data of a running server must stay: {cleaned:?}");
    assert!(status.status.success(), "{status:?}");
    assert_eq!(uri(&status), uri(&up));
    assert!(down.status.success(), "{down:?}");

    assert!(TcpStream::connect(&address).is_err());
    assert_eq!(milvus_lite(&["status"], dir.path()).status.code(), Some(1));
    assert!(milvus_lite(&["down"], dir.path()).status.success(), "nothing to stop is no error");
}
