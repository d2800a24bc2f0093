//! `POST /ojs/v1/workers/nack` (HTTP binding section 10.3).

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use ojs_core::engine::Nack;
use ojs_model::job::{Failure, State as JobState};
use ojs_model::time::format_ms;
use serde_json::json;

use super::ack::{holder, job_id};
use crate::extract::JsonBody;
use crate::problem::Problem;
use crate::reply;
use crate::state::Api;

pub(crate) async fn nack(
    State(api): State<Api>,
    headers: HeaderMap,
    JsonBody(mut request): JsonBody,
) -> Result<Response, Problem> {
    let id = job_id(&mut request)?;
    let holder = holder(&mut request, &headers)?;
    let requeue = request.take_bool("requeue")?.unwrap_or(false);
    let failure = request.take("error").map(|error| Failure::parse(&error)).transpose()?;
    let job = api.engine.nack(Nack { id, holder, failure, requeue }).await?;
    let mut body = json!({
        "id": job.id.as_str(),
        "job_id": job.id.as_str(),
        "state": job.state.as_str(),
        "attempt": job.attempt,
        "max_attempts": job.retry.max_attempts,
    });
    let mut put = |name: &str, at: Option<i64>| {
        if let Some(at) = at {
            body[name] = json!(format_ms(at));
        }
    };
    put("discarded_at", job.discarded_at);
    put("completed_at", job.completed_at);
    if job.state == JobState::Retryable {
        put("next_attempt_at", job.due_at);
        body["retry_delay_ms"] = json!(job.retry_delay_ms);
    }
    Ok(reply::ok(&body))
}
