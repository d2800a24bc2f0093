//! `/ojs/v1/jobs/batch` (HTTP binding section 9.5, JSON format section 10).

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use ojs_core::engine::{BulkAnswer, Enqueued, MAX_ANSWER_BYTES};
use ojs_core::job::{Brief, Shown};
use serde::Serialize;

use crate::body::JsonBody;
use crate::problem::Problem;
use crate::router::Api;
use crate::{bulk, reply};

/// How many jobs the request had (bulk operations section 11.3).
pub(crate) const BATCH_SIZE: HeaderName = HeaderName::from_static("x-ojs-batch-size");

#[derive(Serialize)]
struct BatchReply<'a> {
    jobs: Vec<AnyJob<'a>>,
    count: usize,
    /// Which of them were there already, as their unique policy allows (unique jobs section 5.4).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    deduplicated: Vec<usize>,
}

/// A job, whole where there is room for it.
#[derive(Serialize)]
#[serde(untagged)]
enum AnyJob<'a> {
    Whole(Shown<'a>),
    Brief(Brief<'a>),
}

pub(crate) async fn create(
    State(api): State<Api>,
    headers: HeaderMap,
    JsonBody(request): JsonBody,
) -> Result<Response, Problem> {
    if let Some(key) = bulk::key(&headers)? {
        let BulkAnswer { answer, replayed } = api.engine.enqueue_batch_keyed(request, &key).await?;
        let mut response = bulk::kept(StatusCode::CREATED, answer.body, replayed);
        response.headers_mut().insert(BATCH_SIZE, HeaderValue::from(answer.count));
        return Ok(response);
    }
    let made = api.engine.enqueue_batch(request).await?;
    // An answer that Lambda cannot give back would tell the client that nothing was made.
    let whole = made.iter().map(|made| made.job.answer_bytes()).sum::<usize>() <= MAX_ANSWER_BYTES;
    let jobs = made.iter().map(|Enqueued { job, .. }| match whole {
        true => AnyJob::Whole(job.shown(false)),
        false => AnyJob::Brief(job.brief()),
    });
    let deduplicated = made.iter().enumerate().filter(|(_, made)| made.deduplicated).map(|(at, _)| at).collect();
    let answer = BatchReply { jobs: jobs.collect(), count: made.len(), deduplicated };
    let mut response = reply::json(StatusCode::CREATED, &answer);
    response.headers_mut().insert(BATCH_SIZE, HeaderValue::from(made.len()));
    Ok(response)
}
