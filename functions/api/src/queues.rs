//! `/ojs/v1/queues` (HTTP binding section 11).

use axum::extract::State;
use axum::response::Response;
use ojs_core::job::{format_ms, queue_name};
use serde_json::{Value, json};

use crate::page;
use crate::problem::Problem;
use crate::query::Params;
use crate::reply;
use crate::router::Api;

const KIND: &str = "queues";

pub(crate) async fn list(State(api): State<Api>, params: Params) -> Result<Response, Problem> {
    let limit = page::limit(&params)?;
    let after: Option<String> = page::place(KIND, &params)?;
    // DynamoDB refuses keys that are empty or too long.
    let after = after.map(|name| queue_name("cursor", name)).transpose()?;
    let page = api.engine.list_queues(after.as_deref(), limit).await?;
    let queues: Vec<Value> = page
        .queues
        .iter()
        .map(|queue| json!({"name": queue.name, "status": "active", "created_at": format_ms(queue.created_at)}))
        .collect();
    let next = page.next.and_then(|name| page::cursor(KIND, &name));
    Ok(reply::ok(&json!({"queues": queues, "pagination": page::pagination(limit, next)})))
}
