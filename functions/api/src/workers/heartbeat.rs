//! `POST /ojs/v1/workers/heartbeat` (HTTP binding section 10.4, worker protocol section 4).

use std::collections::{BTreeMap, HashSet};

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use ojs_core::engine::{Heartbeat, MAX_HEARTBEAT_JOBS};
use ojs_model::job::State as JobState;
use ojs_model::json::{Fields, expect, kind};
use ojs_model::time::format_ms;
use ojs_model::{Error, JobId};
use serde_json::{Value, json};

use super::fetch::{visibility, worker_id};
use crate::extract::JsonBody;
use crate::problem::Problem;
use crate::reply;
use crate::state::Api;

pub(crate) async fn beat(
    State(api): State<Api>,
    headers: HeaderMap,
    JsonBody(request): JsonBody,
) -> Result<Response, Problem> {
    let beat = api.engine.heartbeat(parse(request, &headers)?).await?;
    let lost: Vec<Value> = beat
        .lost
        .iter()
        .map(|gone| {
            json!({
                "job_id": gone.id.as_str(),
                "reason": gone.reason,
                "current_state": gone.state.map(JobState::as_str),
                "current_attempt": gone.attempt,
            })
        })
        .collect();
    let mut answer = json!({
        "state": beat.directive,
        "jobs_extended": beat.extended.iter().map(JobId::as_str).collect::<Vec<_>>(),
        "jobs_lost": lost,
        "server_time": format_ms(beat.server_time),
    });
    if !beat.unwanted.is_empty() {
        answer["jobs_to_cancel"] = beat.unwanted.iter().map(JobId::as_str).collect();
    }
    if !beat.failed.is_empty() {
        answer["jobs_failed"] = beat.failed.iter().map(failed).collect();
    }
    Ok(reply::ok(&answer))
}

/// A job that could not be asked for.
fn failed((id, error): &(JobId, Error)) -> Value {
    json!({
        "job_id": id.as_str(),
        "code": error.code.as_str(),
        "message": error.message,
        "retryable": error.code.is_retryable(),
    })
}

fn parse(mut fields: Fields, headers: &HeaderMap) -> Result<Heartbeat, Error> {
    let worker_id = worker_id(&mut fields, headers)?.ok_or_else(|| Error::field("worker_id", "is required"))?;
    let tokens = lease_tokens(&mut fields)?;
    // The worker protocol counts in `active_jobs` and lists in `active_job_ids`; the HTTP binding lists in the former.
    let listed = fields.take_strings("active_job_ids", MAX_HEARTBEAT_JOBS)?;
    let (field, ids) = match fields.take("active_jobs") {
        // Those that run none may leave the list out.
        Some(value) if kind(value.get()) == "number" && (listed.is_some() || value.get() == "0") => {
            ("active_job_ids", listed)
        }
        Some(value) => {
            expect("active_jobs", &value, "array")?;
            let ids: Vec<String> = serde_json::from_str(value.get())
                .map_err(|_| Error::field("active_jobs", "must be an array of job ids"))?;
            ("active_jobs", Some(ids))
        }
        None => ("active_job_ids", listed),
    };
    let mut jobs: Vec<(JobId, Option<String>)> = Vec::new();
    let mut named = HashSet::new();
    for text in ids.unwrap_or_default() {
        let id = JobId::parse(&text)
            .ok_or_else(|| Error::field(field, "must hold job ids, which are lower-case UUIDv7s"))?;
        // A job named twice is one job, under the one token given for it.
        if named.insert(id.clone()) {
            jobs.push((id, tokens.get(&text).cloned()));
        }
    }
    Ok(Heartbeat { worker_id, jobs, visibility_ms: visibility(&mut fields)? })
}

/// `lease_tokens`: an object of job id to token.
fn lease_tokens(fields: &mut Fields) -> Result<BTreeMap<String, String>, Error> {
    let Some(given) = fields.take_kind("lease_tokens", "object")? else { return Ok(BTreeMap::new()) };
    serde_json::from_str(given.get()).map_err(|_| Error::field("lease_tokens", "must map job ids to lease tokens"))
}
