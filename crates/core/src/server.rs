//! What the server says of itself while a run goes on: the columns of `server.parquet`.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};

/// The Arrow schema of `server.parquet`, in long form: one row a series and scrape.
///
/// `time` is nanoseconds since the plan's start (negative before it), `metric` the series' name as
/// Prometheus has it (`…_bucket`, `…_sum` and `…_count` of histograms included), `labels` a JSON
/// object of texts with its keys in order, `value` the value; counters stand as they were read.
pub fn schema() -> SchemaRef {
    let words = || DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    Arc::new(Schema::new(vec![
        Field::new("time", DataType::Int64, false),
        Field::new("metric", words(), false),
        Field::new("labels", words(), false),
        Field::new("value", DataType::Float64, false),
    ]))
}
