//! A sandbox until its standard input ends: `cargo run -p squall-sandbox --release --example serve -- PORT`.

use squall_sandbox::{Sandbox, SandboxConfig};
use tokio::io::AsyncReadExt;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut config = SandboxConfig::default();
    if let Some(port) = std::env::args().nth(1) {
        config.port = port.parse()?;
    }
    if let Some(engine) = std::env::args().nth(2) {
        config.engine = engine.parse()?;
    }
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
