//! Rows over REST: insert, upsert, search, query, get, delete.

use serde_json::{Value, json};
use squall_proto::{code::ServerError, rest::v2};

use super::{
    Answer, Answered, Call, missing,
    rows::{keys, to_columns, to_rows},
};
use crate::{
    engine::{
        index::{SearchParams, bad},
        query::{COUNT, QueryAnswer, QuerySpec, keys_filter, query},
        schema::invalid,
        search::{SearchSpec, search},
    },
    gate::{Passage, Worked},
    grpc::DropMark,
    log::Asked,
    state::{injected_error, rate_limited},
};

/// Hits or rows when a request does not say how many.
const DEFAULT_LIMIT: u32 = 100;

impl Call {
    pub(super) async fn insert(&self) -> Answered {
        let (count, ids) = self.write_rows(false).await?;
        Ok(json!({"insertCount": count, "insertIds": ids}))
    }

    pub(super) async fn upsert(&self) -> Answered {
        let (count, ids) = self.write_rows(true).await?;
        Ok(json!({"upsertCount": count, "upsertIds": ids}))
    }

    async fn write_rows(&self, upsert: bool) -> Result<(usize, Vec<Value>), ServerError> {
        let collection = self.collection()?;
        if upsert && collection.schema().auto_id {
            return Err(invalid("upsert can not assign primary field data when auto id enabled".to_owned()));
        }
        let mut body = self.body.clone();
        match body.get_mut("data") {
            None => return Err(missing("data")),
            // A single row may stand without its brackets.
            Some(data) if data.is_object() => *data = json!([data.take()]),
            Some(_) => {}
        }
        let int64_as_numbers = self.int64_as_numbers;
        let work = self.state.work(move || {
            let body: v2::Insert =
                serde_json::from_value(body).map_err(|error| super::bad_json(&error.to_string()))?;
            let rows = body.data.len();
            let columns = to_columns(body.data, collection.schema())?;
            let partition = body.partition_name.as_deref().unwrap_or("");
            let written = if upsert {
                collection.upsert(partition, columns, rows)?
            } else {
                collection.insert(partition, columns, rows)?
            };
            Ok((written.rows, keys(&written.keys, int64_as_numbers)))
        });
        work.await
    }

    pub(super) async fn delete(&self) -> Answered {
        let collection = self.collection()?;
        self.text("filter")?;
        let body: v2::Delete = self.body()?;
        let partition = body.partition_name.unwrap_or_default();
        let count = self.state.work(move || collection.delete(&partition, &body.filter)).await?;
        Ok(json!({"deleteCount": count}))
    }

    pub(super) async fn query(&self) -> Answered {
        let body: v2::Query = self.body()?;
        let counts = body.output_fields.as_slice() == [COUNT];
        // A count is of all rows: only a limit that the client gave is refused.
        let limit = if counts { body.limit } else { Some(body.limit.unwrap_or(DEFAULT_LIMIT)) };
        self.rows(QuerySpec {
            filter: body.filter.unwrap_or_default(),
            limit: limit.map(|limit| limit as usize),
            offset: body.offset.unwrap_or(0) as usize,
            output_fields: all_unless_named(body.output_fields),
            partitions: body.partition_names,
        })
        .await
    }

    pub(super) async fn get(&self) -> Answered {
        let body: v2::Get = self.body()?;
        if body.id.0.is_empty() {
            return Err(missing("id"));
        }
        self.rows(QuerySpec {
            filter: keys_filter(self.collection()?.schema(), &body.id.0)?,
            output_fields: all_unless_named(body.output_fields),
            partitions: body.partition_names,
            ..QuerySpec::default()
        })
        .await
    }

    async fn rows(&self, spec: QuerySpec) -> Answered {
        let collection = self.collection()?;
        let int64_as_numbers = self.int64_as_numbers;
        let work = self.state.work(move || {
            let QueryAnswer { columns, .. } = query(&collection, &spec)?;
            let count = columns.first().map_or(0, |column| column.values.len());
            if columns.first().is_some_and(|column| column.field.name == COUNT) {
                // A number, whatever the client says of 64-bit integers.
                return Ok(to_rows(&columns, count, true));
            }
            Ok(to_rows(&columns, count, int64_as_numbers))
        });
        Ok(work.await?.into_iter().map(Value::Object).collect())
    }

    pub(super) async fn search(&self, mark: &DropMark) -> Result<Answer, ServerError> {
        let passage = self.state.gate.pass(|| async {
            let mut asked = Asked {
                collection: self.text("collectionName").unwrap_or_default().to_owned(),
                filter: self.body.get("filter").and_then(Value::as_str).unwrap_or_default().to_owned(),
                nq: self.body.get("data").and_then(Value::as_array).map_or(0, |data| data.len() as u64),
                limit: self
                    .body
                    .get("limit")
                    .map_or(DEFAULT_LIMIT.into(), |limit| limit.as_u64().unwrap_or(0)),
                hits: 0,
            };
            let answer = self.found().await;
            if let Ok(Answer { topks: Some(topks), .. }) = &answer {
                asked.hits = topks.iter().sum::<i64>() as u64;
            }
            Worked { failed: answer.is_err(), answer, asked: Some(asked) }
        });
        match passage.await {
            Passage::Served(answer) => answer,
            Passage::Error => Err(injected_error()),
            Passage::Rejected => Err(rate_limited()),
            Passage::Dropped => {
                mark.set();
                Err(injected_error())
            }
        }
    }

    async fn found(&self) -> Result<Answer, ServerError> {
        let collection = self.collection()?;
        if self.body.get("data").is_none() {
            return Err(missing("data"));
        }
        let body: v2::Search = self.body()?;
        let spec = SearchSpec {
            params: search_params(body.search_params.as_ref())?,
            vectors: body.data,
            field: body.anns_field.unwrap_or_default(),
            limit: body.limit.unwrap_or(DEFAULT_LIMIT) as usize,
            offset: body.offset.unwrap_or(0) as usize,
            filter: body.filter.unwrap_or_default(),
            output_fields: body.output_fields,
            partitions: body.partition_names,
        };
        let int64_as_numbers = self.int64_as_numbers;
        let work = self.state.work(move || {
            let answer = search(&collection, &spec)?;
            let mut rows = to_rows(&answer.columns, answer.scores.len(), int64_as_numbers);
            let keys = keys(&answer.keys, int64_as_numbers);
            for ((row, score), key) in rows.iter_mut().zip(&answer.scores).zip(keys) {
                row.insert("distance".to_owned(), json!(score));
                // Under this name whatever the field's own is, as Milvus does.
                row.insert("id".to_owned(), key);
            }
            let topks = answer.counts.into_iter().map(|count| count as i64).collect();
            Ok(Answer { data: rows.into_iter().map(Value::Object).collect(), topks: Some(topks) })
        });
        work.await
    }
}

/// `{"metricType": .., "params": {..}}`; newer clients put the parameters beside the metric.
fn search_params(sent: Option<&Value>) -> Result<SearchParams, ServerError> {
    let mut params = SearchParams::default();
    let Some(sent) = sent.filter(|sent| !sent.is_null()) else { return Ok(params) };
    let mut all = sent.as_object().cloned().ok_or_else(|| bad("searchParams is not an object".to_owned()))?;
    if let Some(metric) = all.get("metricType").and_then(Value::as_str).filter(|metric| !metric.is_empty()) {
        params.metric = Some(metric.to_owned());
    }
    if let Some(Value::Object(nested)) = all.remove("params") {
        all.extend(nested);
    }
    params.read(&Value::Object(all))?;
    Ok(params)
}

/// Query and get answer all fields when none is named.
fn all_unless_named(names: Vec<String>) -> Vec<String> {
    if names.is_empty() { vec!["*".to_owned()] } else { names }
}
