//! Prints simulated series of runs, their steps and the changes that Squall finds, as JSON, for
//! others to find them, too.
//!
//! ```text
//! cargo run --release -p squall-analyze --example change_points -- [SERIES=400] [SEED=2]
//! ```

#[path = "../benches/analyze/steps.rs"]
mod steps;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let series = arguments.next().map_or(Ok(400), |text| text.parse())?;
    let seed = arguments.next().map_or(Ok(2), |text| text.parse())?;
    let simulated = steps::simulate(series, seed);
    let shown = simulated.iter().map(
        |series| serde_json::json!({ "values": series.values, "step": series.step, "found": series.found }),
    );
    println!("{}", serde_json::Value::Array(shown.collect()));
    Ok(())
}
