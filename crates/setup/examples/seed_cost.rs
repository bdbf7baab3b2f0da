//! Seeds a collection and tells what a row cost the client, by phase: run it against
//! `squall sandbox --engine null` to see the client's own share.
//! `seed_cost URI [NAME=VALUE …]` with settings of `squall setup`, such as `num-vectors=1000000`.

use std::time::Instant;

use squall_core::config::{Layer, Settings};
use squall_core::keys::Command;
use squall_milvus::Endpoint;
use squall_milvus::admin::Admin;
use squall_setup::{Event, Events, Phase, SetupConfig, seed};
use tokio_util::sync::CancellationToken;

mod usage;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let uri = arguments.next().ok_or("the server's URI is needed")?;
    let mut given = vec![("uri".to_owned(), vec![uri.clone()])];
    given.extend(arguments.filter_map(|text| {
        let (name, value) = text.split_once('=')?;
        Some((name.to_owned(), vec![value.to_owned()]))
    }));
    let settings = Settings::resolve(Command::Setup, &[Layer::flags(Command::Setup, given)]);
    let config = SetupConfig::new(&settings, true)?;
    let admin = Admin::connect(&Endpoint::new(&uri, None, None)?, config.server.transport).await?;
    let (events, received) = Events::channel();
    let rows = config.rows;
    let watch = std::thread::spawn(move || {
        let mut start = (Instant::now(), usage::cpu_seconds());
        for event in received {
            match event {
                Event::Started { .. } => start = (Instant::now(), usage::cpu_seconds()),
                Event::Finished { phase, took } => {
                    let cpu = usage::cpu_seconds() - start.1;
                    println!("{:<8} {:8.2} s, {cpu:6.2} s of CPU", phase.name(), took.as_secs_f64());
                    if phase == Phase::Insert {
                        let rate = rows as f64 / start.0.elapsed().as_secs_f64();
                        println!("         {rate:.0} rows/s, {:.2} µs of CPU a row", cpu * 1e6 / rows as f64);
                    }
                }
                Event::Waiting { reason } => println!("waiting: {reason}"),
                _ => {}
            }
        }
    });
    let result = seed(&admin, &config, &events, &CancellationToken::new()).await;
    drop(events);
    let _ = watch.join();
    println!("peak memory {} MB", usage::peak_megabytes());
    match result {
        Ok(report) => println!("{}", serde_json::to_string(&report)?),
        Err(error) => println!("{error}"),
    }
    Ok(())
}
