//! `GET /ojs/v1/events` (OJS events sections 2 and 6.4).

use axum::extract::State;
use axum::response::Response;
use ojs_core::engine::EventQuery;
use ojs_core::job::{format_ms, queue_name};
use ojs_core::{Error, JobId};
use serde_json::{Value, json};

use crate::problem::Problem;
use crate::query::Params;
use crate::reply;
use crate::router::Api;

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1_000;

pub(crate) async fn list(State(api): State<Api>, params: Params) -> Result<Response, Problem> {
    let queues = params.list("queues").into_iter().map(|name| queue_name("queues", name)).collect::<Result<_, _>>()?;
    let after = params.text("after").or_else(|| params.text("cursor")).map(event_id).transpose()?;
    let query = EventQuery {
        types: params.list("types"),
        queues,
        job_types: params.list("job_types"),
        after,
        limit: params.integer("limit", 1, MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT),
    };
    let page = api.engine.events(query).await?;
    let cursor = page.events.last().map(|event| event.id.clone());
    let events: Vec<Value> = page
        .events
        .into_iter()
        .map(|event| {
            json!({
                "specversion": "1.0",
                "id": event.id,
                "type": event.kind,
                "source": if event.kind.starts_with("cron.") { "ojs://ojs-serverless/cron" } else { "ojs://ojs-serverless/api" },
                "time": format_ms(event.at_ms),
                "subject": event.subject,
                "data": event.data,
            })
        })
        .collect();
    let mut body = json!({"events": events, "has_more": page.has_more});
    if let Some(cursor) = cursor {
        body["cursor"] = Value::String(cursor);
    }
    Ok(reply::ok(&body))
}

fn event_id(text: &str) -> Result<String, Error> {
    let valid = text.strip_prefix("evt_").and_then(JobId::parse).is_some();
    if valid { Ok(text.to_owned()) } else { Err(Error::field("after", "must be an event id, 'evt_' and a UUIDv7")) }
}
