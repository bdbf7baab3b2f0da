//! Makes and encodes rows and throws them away: what a vector costs the client before it is sent,
//! and how much memory that takes. `encode_only [ROWS] [DIMENSION] [THREADS] [grpc|rest]`

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use squall_core::config::{Layer, Settings};
use squall_core::keys::Command;
use squall_milvus::Protocol;
use squall_setup::{Encoder, EncoderPool, SetupConfig};

mod usage;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |default: &str| arguments.next().unwrap_or_else(|| default.to_owned());
    let flags = [("num-vectors", next("1000000")), ("dimension", next("768")), ("threads", next("2"))];
    let protocol = if next("grpc") == "rest" { Protocol::RestV2 } else { Protocol::Grpc };
    let given = flags.map(|(name, value)| (name.to_owned(), vec![value]));
    let settings = Settings::resolve(Command::Setup, &[Layer::flags(Command::Setup, given)]);
    let config = SetupConfig::new(&settings, false)?;
    let encoder = Encoder::new(&config, protocol, None);
    let batch_rows = Arc::new(AtomicUsize::new(config.batch_size));
    let (started, cpu) = (Instant::now(), usage::cpu_seconds());
    let mut pool =
        EncoderPool::start(&encoder, std::iter::once(0..config.rows).collect(), &batch_rows, config.threads)?;
    let buffers = pool.buffers();
    let (mut rows, mut bytes) = (0_u64, 0_u64);
    while let Some(batch) = pool.next().await {
        let batch = batch?;
        rows += batch.insert.rows as u64;
        bytes += batch.insert.body.len() as u64;
        buffers.give_back(batch.insert);
    }
    let (seconds, cpu) = (started.elapsed().as_secs_f64(), usage::cpu_seconds() - cpu);
    println!(
        "{rows} rows, {bytes} bytes, {:.0} rows/s, {:.2} µs of CPU a row, peak memory {} MB",
        rows as f64 / seconds,
        cpu * 1e6 / rows as f64,
        usage::peak_megabytes()
    );
    Ok(())
}
