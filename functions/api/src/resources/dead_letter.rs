//! `/ojs/v1/dead-letter` (HTTP binding section 12, dead letter section 10).

use axum::extract::State;
use axum::response::Response;
use ojs_core::engine::{DeadLetterQuery, Override};
use ojs_core::store::DeadLetterPosition;
use ojs_model::job::{Shown, queue_name};
use ojs_model::{Error, JobId};
use serde::Serialize;
use serde_json::{Value, json};

use crate::extract::{OptionalJsonBody, Params, PathId, job_id, page};
use crate::problem::Problem;
use crate::reply;
use crate::state::Api;

const KIND: &str = "dead-letter";
/// Largest `offset`: each entry passed over is read from the index.
const MAX_OFFSET: usize = 1_000;

#[derive(Serialize)]
struct Reply<'a> {
    jobs: Vec<Shown<'a>>,
    pagination: Value,
}

pub(crate) async fn list(State(api): State<Api>, params: Params) -> Result<Response, Problem> {
    let limit = page::limit(&params)?;
    let start: page::Start<(i64, String)> = page::start(KIND, &params)?;
    let after = match start.place {
        Some((discarded_at, id)) => {
            let id = JobId::parse(&id).ok_or_else(|| Error::field("cursor", "is not a cursor of this list"))?;
            Some(DeadLetterPosition { discarded_at, id })
        }
        None => None,
    };
    let queue = params.text("queue").map(|name| queue_name("queue", name.to_owned())).transpose()?;
    let offset = params.integer("offset", 0, MAX_OFFSET)?.unwrap_or(0);
    let page = api.engine.list_dead_letters(DeadLetterQuery { queue, after, offset, limit }).await?;
    let next = page.next.as_ref().map(|place| (place.discarded_at, place.id.as_str()));
    let jobs: Vec<Shown<'_>> = page.jobs.iter().map(|job| job.shown(false)).collect();
    let pagination = page::pagination(KIND, limit, start.seen.saturating_add(offset), jobs.len(), next.as_ref());
    Ok(reply::ok(&Reply { jobs, pagination }))
}

pub(crate) async fn retry(
    State(api): State<Api>,
    PathId(id): PathId,
    OptionalJsonBody(body): OptionalJsonBody,
) -> Result<Response, Problem> {
    let change = Override::parse(body)?;
    let job = api.engine.retry_dead_letter(&job_id("dead letter", &id)?, &change).await?;
    Ok(reply::job(&job))
}

pub(crate) async fn delete(State(api): State<Api>, PathId(id): PathId) -> Result<Response, Problem> {
    let id = job_id("dead letter", &id)?;
    api.engine.delete_dead_letter(&id).await?;
    Ok(reply::ok(&json!({"deleted": true, "job_id": id.as_str()})))
}
