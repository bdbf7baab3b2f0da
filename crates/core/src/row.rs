//! One row a request: the contract between the generator and everything that reads its runs.
//!
//! All four instants are stored as they were, so that response time, service time, backlog and lag
//! are computed by whoever reads them and never stored already mixed.

use std::sync::Arc;

use arrow_array::builder::{Float32Builder, Int32Builder, Int64Builder, UInt16Builder, UInt32Builder};
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, DictionaryArray, Int32Array, Int64Array, RecordBatch, StringArray, UInt16Array, UInt32Array,
    UInt64Array,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use serde::{Deserialize, Serialize};

/// Version of the row schema, stored as `squall.row_version` in each file's metadata.
pub const ROW_VERSION: u32 = 1;

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Answered with all hits it should have.
    Ok,
    /// Answered with fewer hits than there must be.
    Short,
    /// No answer within the timeout.
    Timeout,
    /// No connection could be made.
    Refused,
    /// The connection or the stream broke.
    Reset,
    /// The server limits the rate.
    Rejected,
    /// The server answered with an error.
    ServerError,
    /// The server says that the request is wrong.
    ClientError,
    /// Sent, and without an answer at the end of the drain.
    Unfinished,
    /// Never sent.
    Unsent,
}

impl Outcome {
    /// All outcomes, in the order of the dictionary.
    pub const ALL: [Outcome; 10] = [
        Outcome::Ok,
        Outcome::Short,
        Outcome::Timeout,
        Outcome::Refused,
        Outcome::Reset,
        Outcome::Rejected,
        Outcome::ServerError,
        Outcome::ClientError,
        Outcome::Unfinished,
        Outcome::Unsent,
    ];

    /// The word that rows and reports use.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Short => "short",
            Outcome::Timeout => "timeout",
            Outcome::Refused => "refused",
            Outcome::Reset => "reset",
            Outcome::Rejected => "rejected",
            Outcome::ServerError => "server_error",
            Outcome::ClientError => "client_error",
            Outcome::Unfinished => "unfinished",
            Outcome::Unsent => "unsent",
        }
    }

    /// Whether the server answered with hits (`ok` or `short`); every other outcome is a failure.
    #[inline]
    pub fn is_answered(self) -> bool {
        matches!(self, Outcome::Ok | Outcome::Short)
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

/// One request, as it was sent and answered. Times are nanoseconds since the plan's start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Arrival number in the whole run; closed loop: user × 2³² + k.
    pub seq: u64,
    /// When the schedule wanted it.
    pub due_ns: i64,
    /// When a place in flight was free; for a request never sent, when it was given up.
    pub ready_ns: i64,
    /// When the transport had taken its last byte; `None` for `unsent` and `refused`.
    pub sent_ns: Option<i64>,
    /// When its outcome was known.
    pub done_ns: i64,
    /// Index of the class in the plan.
    pub class: u8,
    /// Index of the stage in the plan.
    pub stage: u16,
    /// What became of it.
    pub outcome: Outcome,
    /// The worker that sent it.
    pub worker: u16,
    /// The user, in a closed loop.
    pub user: Option<u32>,
    /// Query of the class's kind.
    pub query: u32,
    /// Filter of the workload's table.
    pub filter: Option<u16>,
    /// Hits asked for.
    pub limit: u16,
    /// Hits that came.
    pub hits: u16,
    /// Recall against exact truth, where the query has one.
    pub recall: Option<f32>,
    /// The server's own error code.
    pub code: Option<i32>,
    /// Payload sent.
    pub bytes_out: u32,
    /// Payload received.
    pub bytes_in: u32,
}

/// The Arrow schema of `requests/part-*.parquet`.
pub fn schema() -> SchemaRef {
    let words = || DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let field = |name: &str, data_type: DataType| Field::new(name, data_type, false);
    let optional = |name: &str, data_type: DataType| Field::new(name, data_type, true);
    let fields = vec![
        field("seq", DataType::UInt64),
        field("due", DataType::Int64),
        field("ready", DataType::Int64),
        optional("sent", DataType::Int64),
        field("done", DataType::Int64),
        field("class", words()),
        field("stage", words()),
        field("outcome", words()),
        field("worker", DataType::UInt16),
        optional("user", DataType::UInt32),
        field("query", DataType::UInt32),
        optional("filter", DataType::UInt16),
        field("limit", DataType::UInt16),
        field("hits", DataType::UInt16),
        optional("recall", DataType::Float32),
        optional("code", DataType::Int32),
        field("bytes_out", DataType::UInt32),
        field("bytes_in", DataType::UInt32),
    ];
    let metadata = [("squall.row_version".to_owned(), ROW_VERSION.to_string())];
    Arc::new(Schema::new_with_metadata(fields, std::collections::HashMap::from(metadata)))
}

/// How parts are written: zstd, and deltas for the columns that climb.
///
/// Dictionaries are of no use to instants; their deltas pack into a few bytes.
pub fn writer_properties() -> WriterProperties {
    let level = ZstdLevel::try_new(1).expect("1 is a zstd level");
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_created_by(format!("squall {}", env!("CARGO_PKG_VERSION")));
    for column in ["seq", "due", "ready", "sent", "done"] {
        let path = ColumnPath::from(column);
        properties = properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
    }
    properties.build()
}

/// Collects samples into a record batch.
#[derive(Debug)]
pub struct BatchBuilder {
    schema: SchemaRef,
    classes: Arc<StringArray>,
    stages: Arc<StringArray>,
    outcomes: Arc<StringArray>,
    samples: Vec<Sample>,
}

impl BatchBuilder {
    /// A builder for a plan with these class and stage names.
    pub fn new(classes: &[String], stages: &[String]) -> Self {
        Self {
            schema: schema(),
            classes: Arc::new(StringArray::from_iter_values(classes)),
            stages: Arc::new(StringArray::from_iter_values(stages)),
            outcomes: Arc::new(StringArray::from_iter_values(
                Outcome::ALL.iter().map(|outcome| outcome.word()),
            )),
            samples: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn push(&mut self, sample: Sample) {
        self.samples.push(sample);
    }

    /// Rows waiting.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether no row waits.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// The waiting rows as a batch, in the order in which they were due; the builder is empty afterwards.
    ///
    /// They come in the order in which they were answered. Sorted, three of the four instants climb
    /// evenly, and a row needs a fifth less on disk.
    ///
    /// # Panics
    /// When a sample names a class or stage that the builder was not made for.
    pub fn finish(&mut self) -> RecordBatch {
        let samples = std::mem::take(&mut self.samples);
        let rows = samples.len();
        // References, since rows are too large to be moved about by a sort.
        let mut sorted: Vec<&Sample> = samples.iter().collect();
        sorted.sort_by_key(|sample| (sample.due_ns, sample.seq));
        fn words(keys: impl Iterator<Item = i32>, values: &Arc<StringArray>) -> ArrayRef {
            let keys = Int32Array::from_iter_values(keys);
            Arc::new(DictionaryArray::<Int32Type>::new(keys, Arc::clone(values) as ArrayRef))
        }
        let int64 = |get: fn(&Sample) -> i64| {
            Arc::new(Int64Array::from_iter_values(sorted.iter().map(|sample| get(sample)))) as ArrayRef
        };
        let uint32 = |get: fn(&Sample) -> u32| {
            Arc::new(UInt32Array::from_iter_values(sorted.iter().map(|sample| get(sample)))) as ArrayRef
        };
        let uint16 = |get: fn(&Sample) -> u16| {
            Arc::new(UInt16Array::from_iter_values(sorted.iter().map(|sample| get(sample)))) as ArrayRef
        };

        let mut sent = Int64Builder::with_capacity(rows);
        let mut user = UInt32Builder::with_capacity(rows);
        let mut filter = UInt16Builder::with_capacity(rows);
        let mut recall = Float32Builder::with_capacity(rows);
        let mut code = Int32Builder::with_capacity(rows);
        for sample in &sorted {
            sent.append_option(sample.sent_ns);
            user.append_option(sample.user);
            filter.append_option(sample.filter);
            recall.append_option(sample.recall);
            code.append_option(sample.code);
        }
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from_iter_values(sorted.iter().map(|sample| sample.seq))),
            int64(|sample| sample.due_ns),
            int64(|sample| sample.ready_ns),
            Arc::new(sent.finish()),
            int64(|sample| sample.done_ns),
            words(sorted.iter().map(|sample| i32::from(sample.class)), &self.classes),
            words(sorted.iter().map(|sample| i32::from(sample.stage)), &self.stages),
            words(sorted.iter().map(|sample| sample.outcome as i32), &self.outcomes),
            uint16(|sample| sample.worker),
            Arc::new(user.finish()),
            uint32(|sample| sample.query),
            Arc::new(filter.finish()),
            uint16(|sample| sample.limit),
            uint16(|sample| sample.hits),
            Arc::new(recall.finish()),
            Arc::new(code.finish()),
            uint32(|sample| sample.bytes_out),
            uint32(|sample| sample.bytes_in),
        ];
        RecordBatch::try_new(Arc::clone(&self.schema), columns).expect("the columns are those of the schema")
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;

    use super::*;

    pub(crate) fn sample(seq: u64) -> Sample {
        Sample {
            seq,
            due_ns: 1,
            ready_ns: 2,
            sent_ns: Some(3),
            done_ns: 4,
            class: 1,
            stage: 0,
            outcome: Outcome::Ok,
            worker: 0,
            user: None,
            query: 5,
            filter: Some(6),
            limit: 10,
            hits: 10,
            recall: None,
            code: None,
            bytes_out: 100,
            bytes_in: 50,
        }
    }

    #[test]
    fn a_batch_has_the_rows_that_were_pushed_in_the_order_in_which_they_were_due() {
        let mut builder = BatchBuilder::new(&["common".into(), "filtered".into()], &["steady".into()]);
        builder.push(Sample {
            due_ns: 10,
            outcome: Outcome::Unsent,
            sent_ns: None,
            user: Some(3),
            ..sample(8)
        });
        builder.push(Sample { due_ns: 9, ..sample(7) });
        let batch = builder.finish();
        assert!(builder.is_empty());
        assert_eq!(batch.num_rows(), 2);
        let column = |name: &str| Arc::clone(batch.column_by_name(name).unwrap());
        assert_eq!(column("sent").null_count(), 1);
        assert_eq!(column("user").as_primitive::<arrow_array::types::UInt32Type>().value(1), 3);
        let outcome = column("outcome");
        let words = outcome.as_dictionary::<Int32Type>().downcast_dict::<StringArray>().unwrap();
        assert_eq!(words.into_iter().flatten().collect::<Vec<_>>(), ["ok", "unsent"]);
        let class = column("class");
        let words = class.as_dictionary::<Int32Type>().downcast_dict::<StringArray>().unwrap();
        assert_eq!(words.into_iter().flatten().collect::<Vec<_>>(), ["filtered", "filtered"]);
    }

    #[test]
    fn the_dictionary_is_in_the_order_of_the_outcomes() {
        for (index, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, index);
        }
    }
}
