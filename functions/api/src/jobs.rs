//! `/ojs/v1/jobs` (HTTP binding section 9).

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use ojs_core::engine::Enqueued;
use ojs_core::job::{Job, Shown};
use ojs_core::{Error, JobId};
use serde::Serialize;

use crate::body::{JsonBody, OptionalJsonBody};
use crate::path::PathId;
use crate::problem::Problem;
use crate::reply;
use crate::router::Api;

/// `{"job": {...}}`
#[derive(Serialize)]
struct JobReply<'a> {
    job: Shown<'a>,
}

/// A duplicate that was ignored: the job that is there (unique jobs section 5.4).
#[derive(Serialize)]
struct Deduplicated<'a> {
    job: Shown<'a>,
    deduplicated: bool,
}

pub(crate) fn job_reply(status: StatusCode, job: &Job) -> Response {
    reply::json(status, &JobReply { job: job.shown(false) })
}

/// The id in a path. One that cannot be an id names no job.
pub(crate) fn path_id(resource: &str, text: &str) -> Result<JobId, Error> {
    JobId::parse(text).ok_or_else(|| Error::not_found(resource, &text.chars().take(64).collect::<String>()))
}

pub(crate) async fn create(State(api): State<Api>, JsonBody(request): JsonBody) -> Result<Response, Problem> {
    let Enqueued { job, deduplicated } = api.engine.enqueue(request).await?;
    let mut response = if deduplicated {
        reply::ok(&Deduplicated { job: job.shown(false), deduplicated })
    } else {
        job_reply(StatusCode::CREATED, &job)
    };
    if let Ok(location) = HeaderValue::from_str(&format!("/ojs/v1/jobs/{}", job.id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
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
