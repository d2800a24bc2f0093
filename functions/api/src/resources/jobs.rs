//! `/ojs/v1/jobs` (HTTP binding section 9).

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use ojs_core::engine::{BulkAnswer, MAX_ANSWER_BYTES};
use ojs_model::bulk::{Operation, made_answer};
use ojs_model::job::{Job, Shown};
use ojs_model::{Error, JobId};
use serde::{Deserialize, Serialize};

use super::bulk;
use crate::extract::{JsonBody, OptionalJsonBody, PathId};
use crate::problem::Problem;
use crate::reply;
use crate::state::Api;

/// `{"job": {...}}`
#[derive(Serialize)]
struct JobReply<'a> {
    job: Shown<'a>,
}

pub(crate) fn job_reply(status: StatusCode, job: &Job) -> Response {
    reply::json(status, &JobReply { job: job.shown(false) })
}

/// The id in a path. One that cannot be an id names no job.
pub(crate) fn path_id(resource: &str, text: &str) -> Result<JobId, Error> {
    JobId::parse(text).ok_or_else(|| Error::not_found(resource, &text.chars().take(64).collect::<String>()))
}

/// What must be known of an answer that is kept.
#[derive(Deserialize)]
struct Kept {
    job: KeptJob,
    #[serde(default)]
    deduplicated: bool,
}

#[derive(Deserialize)]
struct KeptJob {
    id: String,
}

pub(crate) async fn create(
    State(api): State<Api>,
    headers: HeaderMap,
    JsonBody(request): JsonBody,
) -> Result<Response, Problem> {
    let Some(key) = bulk::key(&headers)? else {
        let made = api.engine.enqueue(request).await?;
        let answer = made_answer(Operation::Job, &[made.item()], MAX_ANSWER_BYTES)?;
        return Ok(enqueued(answer.body, made.deduplicated, false, made.job.id.as_str()));
    };
    let BulkAnswer { answer, replayed } = api.engine.enqueue_keyed(request, &key).await?;
    let kept: Kept = serde_json::from_str(&answer.body).map_err(Error::internal)?;
    Ok(enqueued(answer.body, kept.deduplicated, replayed, &kept.job.id))
}

/// The answer to an enqueue: 200 for a duplicate, the job that is there (unique jobs section 5.4). Says where the job is.
fn enqueued(body: String, deduplicated: bool, replayed: bool, id: &str) -> Response {
    let status = if deduplicated { StatusCode::OK } else { StatusCode::CREATED };
    let mut response = bulk::kept(status, body, replayed);
    if let Ok(location) = HeaderValue::from_str(&format!("/ojs/v1/jobs/{id}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

pub(crate) async fn show(State(api): State<Api>, PathId(id): PathId) -> Result<Response, Problem> {
    let job = api.engine.get(&path_id("job", &id)?).await?;
    Ok(job_reply(StatusCode::OK, &job))
}

pub(crate) async fn cancel(State(api): State<Api>, PathId(id): PathId) -> Result<Response, Problem> {
    let job = api.engine.cancel(&path_id("job", &id)?).await?;
    Ok(job_reply(StatusCode::OK, &job))
}

pub(crate) async fn activate(
    State(api): State<Api>,
    PathId(id): PathId,
    OptionalJsonBody(_): OptionalJsonBody,
) -> Result<Response, Problem> {
    let job = api.engine.activate(&path_id("job", &id)?).await?;
    Ok(job_reply(StatusCode::OK, &job))
}
