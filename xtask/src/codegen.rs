//! `cargo xtask codegen`: the generated Rust of the Milvus protocol, remade from its `.proto`.
//!
//! The result is committed, so that building Squall needs neither `protoc` nor a build script; the
//! check in `cargo xtask test` keeps the two in step.

use std::{fs, path::Path};

use anyhow::{Context, bail};

use crate::workspace;

const PROTO_DIR: &str = "crates/proto/proto";
const PROTO_FILE: &str = "milvus.proto";
const OUT_DIR: &str = "crates/proto/src/generated";
/// prost names the file after the protobuf package.
const OUT_FILE: &str = "milvus.proto.milvus.rs";

/// Remake crates/proto/src/generated from crates/proto/proto/milvus.proto
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Write nothing; fail when the committed file differs from what would be generated
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if args.check {
        check()?;
        eprintln!("{OUT_DIR}/{OUT_FILE} is what {PROTO_DIR}/{PROTO_FILE} generates");
        return Ok(());
    }
    let path = workspace::root().join(OUT_DIR).join(OUT_FILE);
    let code = generate()?;
    fs::write(&path, code).with_context(|| format!("failed to write {}", path.display()))?;
    eprintln!("wrote {OUT_DIR}/{OUT_FILE}");
    Ok(())
}

/// Fails when the committed file is not what the `.proto` generates.
pub(crate) fn check() -> anyhow::Result<()> {
    let path = workspace::root().join(OUT_DIR).join(OUT_FILE);
    let committed =
        fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
    let generated = generate()?;
    if let Some(line) = first_difference(&committed, &generated) {
        bail!(
            "{OUT_DIR}/{OUT_FILE} differs at line {line} from what {PROTO_DIR}/{PROTO_FILE} generates: \
             run `cargo xtask codegen` and commit the result"
        );
    }
    Ok(())
}

fn generate() -> anyhow::Result<String> {
    let proto_dir = workspace::root().join(PROTO_DIR);
    let files = protox::compile([proto_dir.join(PROTO_FILE)], [&proto_dir])
        .map_err(|error| anyhow::anyhow!("{PROTO_DIR}/{PROTO_FILE} does not compile: {error}"))?;
    let out = tempfile::tempdir().context("failed to make a directory to generate into")?;
    tonic_prost_build::configure()
        // The method `Connect` collides with the constructor that the transport feature generates.
        .build_transport(false)
        // Made once and shared by many requests: cloning them must not copy.
        .bytes(".milvus.proto.milvus.SearchRequest.placeholder_group")
        .bytes(".milvus.proto.milvus.CreateCollectionRequest.schema")
        .out_dir(out.path())
        .compile_fds(files)
        .context("failed to generate Rust")?;
    read(&out.path().join(OUT_FILE))
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))
}

/// Number, from 1, of the first line in which two texts differ.
fn first_difference(left: &str, right: &str) -> Option<usize> {
    if left == right {
        return None;
    }
    let same = left.lines().zip(right.lines()).take_while(|(l, r)| l == r).count();
    Some(same + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_counted_from_one() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(first_difference("a\nb\n", "a\nc\n"), Some(2));
        assert_eq!(first_difference("a\n", "a\nb\n"), Some(2));
    }
}
