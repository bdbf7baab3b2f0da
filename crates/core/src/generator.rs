//! What the generator notes of itself each second: the columns of `generator.parquet`.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};

/// The Arrow schema of `generator.parquet`: one row a second for each worker, and one for the whole
/// process (`worker` null). What does not apply to a row, or cannot be read here, is null.
pub fn schema() -> SchemaRef {
    let field = |name: &str, data_type: DataType, nullable| Field::new(name, data_type, nullable);
    Arc::new(Schema::new(vec![
        // End of the second, nanoseconds since the plan's start.
        field("time", DataType::Int64, false),
        // Length of the second as measured.
        field("interval_ns", DataType::Int64, false),
        field("worker", DataType::UInt16, true),
        // CPU time used in the second.
        field("cpu_ns", DataType::Int64, true),
        // Time spent runnable and waiting for a core (schedstat).
        field("run_queue_ns", DataType::Int64, true),
        field("in_flight", DataType::UInt32, true),
        // Due requests that wait for a place in flight.
        field("backlog", DataType::UInt64, true),
        field("sent", DataType::UInt64, true),
        field("done", DataType::UInt64, true),
        field("failed", DataType::UInt64, true),
        // Histogram figure, within 1 %.
        field("lag_p99_ns", DataType::Int64, true),
        // Sends that waited for the flow-control window.
        field("flow_control_waits", DataType::UInt64, true),
        // Rows on their way to the recorder.
        field("recorder_queue", DataType::UInt64, true),
        // Rows that the recorder lost in the second.
        field("dropped", DataType::UInt64, true),
        // Resident memory of the process.
        field("memory_bytes", DataType::UInt64, true),
        // Time stolen by the hypervisor, over all cores.
        field("steal_ns", DataType::Int64, true),
        // Time for which the cgroup's quota held the process back.
        field("throttled_ns", DataType::Int64, true),
        // Part of `cpu_ns` in which a worker was awake only to be in time for its next request.
        field("spun_ns", DataType::Int64, true),
    ]))
}
