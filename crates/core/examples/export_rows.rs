//! Writes rows of a dataset and queries for it as .fvecs, for programs that do not know Squall:
//!
//! ```text
//! cargo run --release -p squall-core --example export_rows -- DATASET-ID ROWS ROWS.fvecs QUERIES QUERIES.fvecs
//! ```
//!
//! and says what drawing a vector cost.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::time::Instant;

use squall_core::dataset::Dataset;
use squall_core::workload::{QueryKind, QueryVectors, Workload};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [id, rows, rows_path, queries, queries_path] = arguments.as_slice() else {
        return Err("usage: export_rows DATASET-ID ROWS ROWS.fvecs QUERIES QUERIES.fvecs".into());
    };
    let dataset = Dataset::from_id(id)?;
    let mut vector = vec![0.0_f32; dataset.dimension() as usize];

    let rows: u64 = rows.parse()?;
    let mut out = BufWriter::new(File::create(rows_path)?);
    for row in 0..rows {
        dataset.vectors(row, &mut vector)?;
        write_vector(&mut out, &vector)?;
    }
    out.flush()?;

    let reference = Workload::reference(dataset.seed(), dataset.dimension());
    let vectors = QueryVectors::new(&Workload { source: dataset.query_source(), ..reference })?;
    let mut out = BufWriter::new(File::create(queries_path)?);
    for number in 0..queries.parse::<u32>()? {
        vectors.vector(QueryKind::Rare, number, &mut vector);
        write_vector(&mut out, &vector)?;
    }
    out.flush()?;

    let drawn = rows.clamp(1, 20_000);
    let shortest = (0..5)
        .map(|_| {
            let started = Instant::now();
            for row in 0..drawn {
                dataset.vectors(row, &mut vector)?;
                std::hint::black_box(&vector);
            }
            Ok(started.elapsed())
        })
        .collect::<Result<Vec<_>, squall_core::dataset::DatasetError>>()?
        .into_iter()
        .min()
        .unwrap_or_default();
    println!("{id}: {:.2} µs a vector", shortest.as_secs_f64() * 1e6 / drawn as f64);
    Ok(())
}

fn write_vector(out: &mut impl Write, vector: &[f32]) -> std::io::Result<()> {
    out.write_all(&(vector.len() as u32).to_le_bytes())?;
    vector.iter().try_for_each(|x| out.write_all(&x.to_le_bytes()))
}
