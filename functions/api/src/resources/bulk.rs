//! `/ojs/v1/jobs/bulk` (OJS bulk operations section 11).

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use ojs_core::engine::{BulkAnswer, MAX_ANSWER_BYTES};
use ojs_model::bulk::{Operation, Outcome};

use crate::extract::{JsonBody, idempotency_key};
use crate::problem::Problem;
use crate::reply;
use crate::state::Api;

pub(crate) async fn enqueue(
    State(api): State<Api>,
    headers: HeaderMap,
    JsonBody(request): JsonBody,
) -> Result<Response, Problem> {
    let answer = api.engine.bulk_enqueue(request, idempotency_key(&headers)?).await?;
    Ok(respond(StatusCode::CREATED, answer))
}

pub(crate) async fn cancel(api: State<Api>, headers: HeaderMap, body: JsonBody) -> Result<Response, Problem> {
    change(Operation::Cancel, api, &headers, body).await
}

pub(crate) async fn retry(api: State<Api>, headers: HeaderMap, body: JsonBody) -> Result<Response, Problem> {
    change(Operation::Retry, api, &headers, body).await
}

pub(crate) async fn delete(api: State<Api>, headers: HeaderMap, body: JsonBody) -> Result<Response, Problem> {
    change(Operation::Delete, api, &headers, body).await
}

async fn change(
    operation: Operation,
    State(api): State<Api>,
    headers: &HeaderMap,
    JsonBody(request): JsonBody,
) -> Result<Response, Problem> {
    let answer = api.engine.bulk_change(operation, request, idempotency_key(headers)?).await?;
    Ok(respond(StatusCode::OK, answer))
}

/// The answer; `all` is the status where all items succeeded (section 11.2).
fn respond(all: StatusCode, BulkAnswer { answer, replayed }: BulkAnswer) -> Response {
    let answer = answer.sent(MAX_ANSWER_BYTES);
    let status = match answer.outcome {
        Outcome::All => all,
        Outcome::Mixed => StatusCode::MULTI_STATUS,
        Outcome::Nothing => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let mut response = reply::text(status, answer.body);
    reply::mark_replayed(&mut response, replayed);
    response.headers_mut().insert(reply::BATCH_SIZE, HeaderValue::from(answer.count));
    response
}
