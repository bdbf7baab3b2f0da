//! Search and query requests read, and their answers written.

use squall_proto::{
    code::ServerError,
    data_type::DslType,
    milvus::{KeyValue, QueryRequest, QueryResults, SearchRequest, SearchResultData, SearchResults, Status},
    placeholder,
};

use super::columns::{ids, to_wire};
use crate::{
    engine::{
        collection::Collection,
        index::{SearchParams, bad},
        query::{QueryAnswer, QuerySpec},
        schema::{invalid, parameter},
        search::{SearchAnswer, SearchSpec},
    },
    log::Asked,
};

/// What the log says of a request, before it is read in full.
pub(super) fn asked(request: &SearchRequest) -> Asked {
    let limit = parameter(&request.search_params, "topk").and_then(|topk| topk.parse().ok());
    Asked {
        collection: request.collection_name.clone(),
        nq: u64::try_from(request.nq).unwrap_or(0),
        limit: limit.unwrap_or(0),
        hits: 0,
        filter: request.dsl.clone(),
    }
}

pub(super) struct ReadSearch {
    pub(super) spec: SearchSpec,
    /// Decimals of the scores; `None` leaves them as they are.
    pub(super) round_decimal: Option<i32>,
}

/// Reads a search; decoding the vectors is work, too.
pub(super) fn read_search(request: SearchRequest) -> Result<ReadSearch, ServerError> {
    if request.dsl_type != DslType::BoolExprV1.number() {
        return Err(invalid(format!(
            "dsl_type is {}, it must be {} (BoolExprV1); a Milvus 2.3.5 process dies of this request",
            request.dsl_type,
            DslType::BoolExprV1.number()
        )));
    }
    let vectors = placeholder::read_float_vectors(&request.placeholder_group)
        .map_err(|error| bad(error.to_string()))?;
    if usize::try_from(request.nq) != Ok(vectors.len()) {
        return Err(bad(format!("nq ({}) is not the number of vectors ({})", request.nq, vectors.len())));
    }
    let parameters = &request.search_params;
    let value = |key: &str| parameter(parameters, key).filter(|value| !value.is_empty());
    let limit = value("topk").ok_or_else(|| bad("topk not found in search_params".to_owned()))?;
    let mut params =
        SearchParams { metric: value("metric_type").map(str::to_owned), ..SearchParams::default() };
    let json = value("params").ok_or_else(|| bad("params not found in search_params".to_owned()))?;
    let json = serde_json::from_str(json).map_err(|error| bad(format!("params is not JSON: {error}")))?;
    params.read(&json)?;
    let spec = SearchSpec {
        vectors,
        field: value("anns_field").unwrap_or_default().to_owned(),
        limit: count("topk", limit)?,
        offset: value("offset").map_or(Ok(0), |offset| count("offset", offset))?,
        filter: request.dsl,
        output_fields: request.output_fields,
        partitions: request.partition_names,
        params,
    };
    let round_decimal = value("round_decimal")
        .and_then(|text| text.parse().ok())
        .filter(|decimals| (0..=6).contains(decimals));
    Ok(ReadSearch { spec, round_decimal })
}

fn count(key: &str, text: &str) -> Result<usize, ServerError> {
    text.trim().parse().map_err(|_| bad(format!("{key} [{text}] is invalid")))
}

pub(super) fn write_search(
    collection: &Collection,
    answer: SearchAnswer,
    round_decimal: Option<i32>,
) -> SearchResults {
    let SearchAnswer { counts, mut scores, keys, columns, output_names, searched } = answer;
    if let Some(decimals) = round_decimal {
        let factor = 10f32.powi(decimals);
        scores.iter_mut().for_each(|score| *score = (*score * factor).round() / factor);
    }
    let found = !scores.is_empty();
    // In 2.3.5's words; the code is 0 all the same.
    let reason = if found { "" } else { "search result is empty" };
    SearchResults {
        status: Some(Status { reason: reason.to_owned(), ..Status::default() }),
        results: Some(SearchResultData {
            num_queries: counts.len() as i64,
            top_k: counts.iter().copied().max().unwrap_or(0) as i64,
            fields_data: if found { columns.into_iter().map(to_wire).collect() } else { Vec::new() },
            scores,
            ids: found.then(|| ids(keys)),
            topks: counts.into_iter().map(|count| count as i64).collect(),
            output_fields: output_names,
            all_search_count: searched as i64,
            primary_field_name: collection.schema().primary_field().name.clone(),
        }),
        collection_name: collection.name.clone(),
        session_ts: 0,
    }
}

pub(super) fn read_query(request: QueryRequest) -> Result<QuerySpec, ServerError> {
    let parameters: &[KeyValue] = &request.query_params;
    let value = |key: &str| parameter(parameters, key).filter(|value| !value.is_empty());
    Ok(QuerySpec {
        filter: request.expr,
        // Some clients say "no limit" with -1.
        limit: value("limit")
            .filter(|limit| *limit != "-1")
            .map(|limit| count("limit", limit))
            .transpose()?,
        offset: value("offset").map_or(Ok(0), |offset| count("offset", offset))?,
        output_fields: request.output_fields,
        partitions: request.partition_names,
    })
}

pub(super) fn write_query(collection: &Collection, answer: QueryAnswer) -> QueryResults {
    QueryResults {
        status: Some(Status::default()),
        fields_data: answer.columns.into_iter().map(to_wire).collect(),
        collection_name: collection.name.clone(),
        output_fields: answer.output_names,
        session_ts: 0,
        primary_field_name: collection.schema().primary_field().name.clone(),
    }
}
