//! A sandbox until its standard input ends, `-` leaving an argument at its default:
//! `cargo run -p squall-sandbox --release --example serve -- [PORT] [ENGINE] [LATENCY] [LOG]`.
//!
//! For work on this crate: `squall sandbox` does the same with flags, but builds all of Squall.

use squall_sandbox::{Sandbox, SandboxConfig};
use tokio::io::AsyncReadExt;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().filter(|argument| argument != "-");
    let mut config = SandboxConfig::default();
    if let Some(port) = next() {
        config.port = port.parse()?;
    }
    if let Some(engine) = next() {
        config.engine = engine.parse()?;
    }
    if let Some(latency) = next() {
        config.latency = latency.parse()?;
    }
    config.log = next().map(Into::into);
    config.token = std::env::var("SANDBOX_TOKEN").ok();
    let sandbox = Sandbox::bind(config).await?;
    println!("listening on {}", sandbox.uri());
    let standard_input_ends = async {
        let mut rest = Vec::new();
        let _ = tokio::io::stdin().read_to_end(&mut rest).await;
    };
    sandbox.serve(standard_input_ends).await?;
    Ok(())
}
