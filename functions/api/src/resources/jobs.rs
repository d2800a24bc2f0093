//! `/ojs/v1/jobs` (HTTP binding section 9).

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use ojs_core::engine::{BulkAnswer, MAX_ANSWER_BYTES};
use ojs_model::Error;
use ojs_model::bulk::{Operation, made_answer};
use serde::Deserialize;

use crate::extract::{JsonBody, OptionalJsonBody, PathId, idempotency_key, job_id};
use crate::problem::Problem;
use crate::reply;
use crate::state::Api;

/// What the headers of a stored answer are made of.
#[derive(Deserialize)]
struct StoredAnswer {
    job: StoredJob,
    #[serde(default)]
    deduplicated: bool,
}

#[derive(Deserialize)]
struct StoredJob {
    id: String,
}

pub(crate) async fn create(
    State(api): State<Api>,
    headers: HeaderMap,
    JsonBody(request): JsonBody,
) -> Result<Response, Problem> {
    let Some(key) = idempotency_key(&headers)? else {
        let made = api.engine.enqueue(request).await?;
        let answer = made_answer(Operation::Job, &[made.item()], MAX_ANSWER_BYTES)?;
        return Ok(enqueued(answer.body, made.deduplicated, false, made.job.id.as_str()));
    };
    let BulkAnswer { answer, replayed } = api.engine.enqueue_keyed(request, &key).await?;
    let stored: StoredAnswer = serde_json::from_str(&answer.body).map_err(Error::internal)?;
    Ok(enqueued(answer.body, stored.deduplicated, replayed, &stored.job.id))
}

/// The answer to an enqueue: 200 for a duplicate, the job that is there (unique jobs section 5.4). Says where the job is.
fn enqueued(body: String, deduplicated: bool, replayed: bool, id: &str) -> Response {
    let status = if deduplicated { StatusCode::OK } else { StatusCode::CREATED };
    let mut response = reply::text(status, body);
    reply::mark_replayed(&mut response, replayed);
    reply::set_location(&mut response, &format!("/ojs/v1/jobs/{id}"));
    response
}

pub(crate) async fn show(State(api): State<Api>, PathId(id): PathId) -> Result<Response, Problem> {
    let job = api.engine.get(&job_id("job", &id)?).await?;
    Ok(reply::job(&job))
}

pub(crate) async fn cancel(State(api): State<Api>, PathId(id): PathId) -> Result<Response, Problem> {
    let job = api.engine.cancel(&job_id("job", &id)?).await?;
    Ok(reply::job(&job))
}

pub(crate) async fn activate(
    State(api): State<Api>,
    PathId(id): PathId,
    OptionalJsonBody(_): OptionalJsonBody,
) -> Result<Response, Problem> {
    let job = api.engine.activate(&job_id("job", &id)?).await?;
    Ok(reply::job(&job))
}
