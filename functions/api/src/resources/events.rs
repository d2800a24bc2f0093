//! `GET /ojs/v1/events` (OJS events sections 2 and 6.4).

use axum::extract::State;
use axum::response::Response;
use ojs_core::engine::{EventQuery, MAX_ANSWER_BYTES};
use ojs_model::events::JobEvent;
use ojs_model::job::queue_name;
use ojs_model::json::escaped_bytes;
use ojs_model::time::format_ms;
use ojs_model::{Error, JobId};
use serde_json::{Value, json};

use crate::extract::Params;
use crate::problem::Problem;
use crate::reply;
use crate::state::Api;

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
    let mut has_more = page.has_more;
    let (mut events, mut bytes, mut cursor) = (Vec::new(), 0, None);
    for event in page.events {
        let shown = shown(&event);
        bytes += escaped_bytes(shown.to_string().as_bytes()) + 1;
        if bytes > MAX_ANSWER_BYTES && cursor.is_some() {
            has_more = true;
            break;
        }
        cursor = Some(event.id);
        events.push(shown);
    }
    let mut body = json!({"events": events, "has_more": has_more});
    if let Some(cursor) = cursor {
        body["cursor"] = Value::String(cursor);
    }
    Ok(reply::ok(&body))
}

fn shown(event: &JobEvent) -> Value {
    json!({
        "specversion": "1.0",
        "id": event.id,
        "type": event.kind,
        "source": if event.kind.starts_with("cron.") { "ojs://ojs-serverless/cron" } else { "ojs://ojs-serverless/api" },
        "time": format_ms(event.at_ms),
        "subject": event.subject,
        "data": event.data,
    })
}

fn event_id(text: &str) -> Result<String, Error> {
    let valid = text.strip_prefix("evt_").and_then(JobId::parse).is_some();
    if valid { Ok(text.to_owned()) } else { Err(Error::field("after", "must be an event id, 'evt_' and a UUIDv7")) }
}
