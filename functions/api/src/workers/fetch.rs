//! `POST /ojs/v1/workers/fetch` (HTTP binding section 10.1).

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use ojs_core::engine::{Fetch, MAX_FETCH, MAX_FETCH_QUEUES};
use ojs_model::Error;
use ojs_model::job::{MAX_VISIBILITY_MS, Shown, queue_name};
use ojs_model::json::Fields;
use serde::Serialize;

use crate::extract::JsonBody;
use crate::problem::Problem;
use crate::reply;
use crate::state::Api;

/// Longest worker id, bytes.
const MAX_WORKER_ID: usize = 255;
/// Names the worker of a request whose body does not.
const X_OJS_WORKER_ID: &str = "x-ojs-worker-id";

#[derive(Serialize)]
struct Reply<'a> {
    jobs: Vec<Shown<'a>>,
}

pub(crate) async fn fetch(
    State(api): State<Api>,
    headers: HeaderMap,
    JsonBody(request): JsonBody,
) -> Result<Response, Problem> {
    let jobs = api.engine.fetch(parse(request, &headers)?).await?;
    Ok(reply::ok(&Reply { jobs: jobs.iter().map(|job| job.shown(true)).collect() }))
}

fn parse(mut fields: Fields, headers: &HeaderMap) -> Result<Fetch, Error> {
    let queues =
        fields.take_strings("queues", MAX_FETCH_QUEUES)?.ok_or_else(|| Error::field("queues", "is required"))?;
    if queues.is_empty() {
        return Err(Error::field("queues", "must name at least one queue"));
    }
    let mut unique: Vec<String> = Vec::with_capacity(queues.len());
    for name in queues {
        let name = queue_name("queues", name)?;
        if !unique.contains(&name) {
            unique.push(name);
        }
    }
    let max = i64::try_from(MAX_FETCH).unwrap_or(i64::MAX);
    // The Ruby SDK's name for it.
    let batch_size = fields.take_integer("batch_size", 1, max)?;
    let count = fields.take_integer("count", 1, max)?.or(batch_size).and_then(|n| usize::try_from(n).ok()).unwrap_or(1);
    let worker_id = worker_id(&mut fields, headers)?;
    Ok(Fetch { queues: unique, count, worker_id, visibility_ms: visibility(&mut fields)? })
}

/// An optional worker id, 1 to 255 bytes: the body's, else the header's.
pub(crate) fn worker_id(fields: &mut Fields, headers: &HeaderMap) -> Result<Option<String>, Error> {
    let (field, id) = match (fields.take_string("worker_id")?, headers.get(X_OJS_WORKER_ID)) {
        (Some(id), _) => ("worker_id", id),
        (None, Some(id)) => (X_OJS_WORKER_ID, String::from_utf8_lossy(id.as_bytes()).into_owned()),
        (None, None) => return Ok(None),
    };
    if id.is_empty() || id.len() > MAX_WORKER_ID {
        return Err(Error::field(field, format_args!("must have 1 to {MAX_WORKER_ID} bytes")));
    }
    Ok(Some(id))
}

/// An optional lease length, ms; 0 means the default.
pub(crate) fn visibility(fields: &mut Fields) -> Result<Option<i64>, Error> {
    let field = "visibility_timeout_ms";
    match fields.take_integer(field, 0, MAX_VISIBILITY_MS)? {
        Some(ms) if ms > 0 && ms < ojs_model::job::MIN_VISIBILITY_MS => {
            Err(Error::field(field, format_args!("must be 0 or at least {}", ojs_model::job::MIN_VISIBILITY_MS)))
        }
        ms => Ok(ms.filter(|ms| *ms > 0)),
    }
}
