//! `/ojs/v1/queues` (HTTP binding section 11).

use axum::extract::State;
use axum::response::Response;
use ojs_model::job::queue_name;
use ojs_model::queue::{QueueConfig, QueueState};
use ojs_model::time::format_ms;
use serde_json::{Value, json};

use crate::extract::{JsonBody, OptionalJsonBody, Params, PathId, page};
use crate::problem::Problem;
use crate::reply;
use crate::state::Api;

const KIND: &str = "queues";

pub(crate) async fn list(State(api): State<Api>, params: Params) -> Result<Response, Problem> {
    let limit = page::limit(&params)?;
    let page::Start { place: after, seen } = page::start::<String>(KIND, &params)?;
    // DynamoDB refuses keys that are empty or too long.
    let after = after.map(|name| queue_name("cursor", name)).transpose()?;
    let page = api.engine.list_queues(after.as_deref(), limit).await?;
    let queues: Vec<Value> = page
        .queues
        .iter()
        .map(|queue| {
            let paused = queue.paused_at.is_some();
            json!({
                "name": queue.name, "status": if paused { "paused" } else { "active" }, "paused": paused,
                "created_at": format_ms(queue.created_at),
            })
        })
        .collect();
    let pagination = page::pagination(KIND, limit, seen, queues.len(), page.next.as_ref());
    Ok(reply::ok(&json!({"queues": queues, "pagination": pagination})))
}

pub(crate) async fn pause(
    State(api): State<Api>,
    PathId(name): PathId,
    OptionalJsonBody(_): OptionalJsonBody,
) -> Result<Response, Problem> {
    let name = queue_name("queue", name)?;
    let state = api.engine.pause_queue(&name).await?;
    Ok(status(&name, &state))
}

pub(crate) async fn resume(
    State(api): State<Api>,
    PathId(name): PathId,
    OptionalJsonBody(_): OptionalJsonBody,
) -> Result<Response, Problem> {
    let name = queue_name("queue", name)?;
    let state = api.engine.resume_queue(&name).await?;
    Ok(status(&name, &state))
}

/// As the suites and the OpenAPI document have it, and beside that as the HTTP binding's examples do.
fn status(name: &str, state: &QueueState) -> Response {
    let mut queue = json!({"name": name, "paused": state.paused_at.is_some()});
    let mut answer = json!({});
    let at = |ms: Option<i64>| ms.map(|ms| Value::String(format_ms(ms)));
    let times = match state.paused_at {
        Some(_) => ("paused_at", at(state.paused_at)),
        None => ("resumed_at", at(state.resumed_at)),
    };
    for object in [&mut queue, &mut answer] {
        object["status"] = Value::String(state.status().to_owned());
        if let (name, Some(time)) = &times {
            object[*name] = time.clone();
        }
    }
    answer["queue"] = queue;
    reply::ok(&answer)
}

pub(crate) async fn stats(State(api): State<Api>, PathId(name): PathId) -> Result<Response, Problem> {
    let name = queue_name("queue", name)?;
    let stats = api.engine.queue_stats(&name).await?;
    let mut counts = json!({
        "available": stats.live.available, "active": stats.live.active, "scheduled": stats.live.scheduled,
        "completed": stats.ended.completed, "cancelled": stats.ended.cancelled, "discarded": stats.ended.discarded,
    });
    // What is not known is left out.
    for (state, count) in [("retryable", stats.live.retryable), ("pending", stats.live.pending)] {
        if let Some(count) = count {
            counts[state] = Value::from(count);
        }
    }
    let status = stats.state.status();
    // As the suites and the OpenAPI document have it, and beside that as the HTTP binding's example does.
    let mut queue = json!({"name": name, "status": status, "paused": stats.state.paused_at.is_some()});
    if let (Some(queue), Some(counts)) = (queue.as_object_mut(), counts.as_object()) {
        queue.extend(counts.clone());
    }
    Ok(reply::ok(&json!({
        "queue": queue, "status": status, "stats": counts, "exact": stats.live.exact,
        "computed_at": format_ms(stats.computed_at),
    })))
}

/// A queue's state and configuration (queue configuration section 9.3).
fn details(name: &str, state: &QueueState) -> Response {
    let paused = state.paused_at.is_some();
    reply::ok(&json!({
        "name": name, "state": state.status(), "status": state.status(), "paused": paused,
        "paused_at": state.paused_at.map(format_ms), "config": state.config,
    }))
}

pub(crate) async fn show(State(api): State<Api>, PathId(name): PathId) -> Result<Response, Problem> {
    let name = queue_name("queue", name)?;
    let state = api.engine.get_queue(&name).await?;
    Ok(details(&name, &state))
}

pub(crate) async fn configure(
    State(api): State<Api>,
    PathId(name): PathId,
    JsonBody(request): JsonBody,
) -> Result<Response, Problem> {
    let name = queue_name("queue", name)?;
    let state = api.engine.configure_queue(&name, &QueueConfig::parse(request)?).await?;
    Ok(details(&name, &state))
}
