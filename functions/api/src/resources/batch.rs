//! `/ojs/v1/jobs/batch` (HTTP binding section 9.5, JSON format section 10).

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use ojs_core::engine::{BulkAnswer, Enqueued, MAX_ANSWER_BYTES};
use ojs_model::bulk::{Operation, made_answer};

use crate::extract::{JsonBody, idempotency_key};
use crate::problem::Problem;
use crate::reply;
use crate::state::Api;

pub(crate) async fn create(
    State(api): State<Api>,
    headers: HeaderMap,
    JsonBody(request): JsonBody,
) -> Result<Response, Problem> {
    let BulkAnswer { answer, replayed } = match idempotency_key(&headers)? {
        Some(key) => api.engine.enqueue_batch_keyed(request, &key).await?,
        None => {
            let made = api.engine.enqueue_batch(request).await?;
            let items: Vec<_> = made.iter().map(Enqueued::item).collect();
            // An answer that Lambda cannot send would tell the client that nothing was made.
            let answer = made_answer(Operation::Batch, &items, MAX_ANSWER_BYTES)?;
            BulkAnswer { answer, replayed: false }
        }
    };
    let mut response = reply::text(StatusCode::CREATED, answer.body);
    reply::mark_replayed(&mut response, replayed);
    response.headers_mut().insert(reply::BATCH_SIZE, HeaderValue::from(answer.count));
    Ok(response)
}
