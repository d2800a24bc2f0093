//! `/ojs/v1/jobs/bulk` (OJS bulk operations section 11).

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use ojs_core::engine::{BulkAnswer, MAX_ANSWER_BYTES};
use ojs_model::Error;
use ojs_model::bulk::{IdempotencyKey, Operation, Outcome};

use super::batch::BATCH_SIZE;
use crate::extract::JsonBody;
use crate::problem::Problem;
use crate::reply::MEDIA_TYPE;
use crate::state::Api;

/// Names a request, so that it can be sent again (section 10).
const KEY: &str = "Idempotency-Key";
/// The answer is that of an earlier request with the same key.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

pub(crate) async fn enqueue(
    State(api): State<Api>,
    headers: HeaderMap,
    JsonBody(request): JsonBody,
) -> Result<Response, Problem> {
    let answer = api.engine.bulk_enqueue(request, key(&headers)?).await?;
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
    let answer = api.engine.bulk_change(operation, request, key(headers)?).await?;
    Ok(respond(StatusCode::OK, answer))
}

/// The idempotency key of a request.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Error> {
    let Some(given) = headers.get(KEY) else { return Ok(None) };
    let text = std::str::from_utf8(given.as_bytes()).map_err(|_| Error::field(KEY, "is not UTF-8"))?;
    IdempotencyKey::parse(KEY, text.to_owned()).map(Some)
}

/// The answer; `all` is the status where all items succeeded (section 11.2).
fn respond(all: StatusCode, BulkAnswer { answer, replayed }: BulkAnswer) -> Response {
    let answer = answer.sent(MAX_ANSWER_BYTES);
    let status = match answer.outcome {
        Outcome::All => all,
        Outcome::Mixed => StatusCode::MULTI_STATUS,
        Outcome::Nothing => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let mut response = kept(status, answer.body, replayed);
    response.headers_mut().insert(BATCH_SIZE, HeaderValue::from(answer.count));
    response
}

/// An answer whose body is there, perhaps because an earlier request with the same key made it.
pub(crate) fn kept(status: StatusCode, body: String, replayed: bool) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    if replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}
