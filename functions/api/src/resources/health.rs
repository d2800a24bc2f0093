//! `GET /ojs/v1/health` (HTTP binding section 8).

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use ojs_model::Error;
use serde_json::{Value, json};

use crate::reply;
use crate::state::Api;

pub(crate) async fn show(State(api): State<Api>) -> Response {
    let health = api.engine.health().await;
    let (status, word) =
        if health.is_ok() { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "degraded") };
    let part = |(error, took): &(Option<Error>, Duration)| -> Value {
        let mut part = json!({
            "status": if error.is_some() { "unavailable" } else { "ok" },
            "latency_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        });
        if let Some(error) = error {
            part["error"] = json!(error.message);
        }
        part
    };
    let slowest = health.dynamodb.1.max(health.sqs.1);
    let mut response = reply::json(
        status,
        &json!({
            "status": word,
            "version": "1.0",
            "uptime_seconds": api.started.elapsed().as_secs(),
            "backend": {
                "type": "dynamodb+sqs",
                "status": if health.is_ok() { "connected" } else { "unavailable" },
                "latency_ms": u64::try_from(slowest.as_millis()).unwrap_or(u64::MAX),
                "dynamodb": part(&health.dynamodb),
                "sqs": part(&health.sqs),
            },
        }),
    );
    if !health.is_ok() {
        response.headers_mut().insert(axum::http::header::RETRY_AFTER, axum::http::HeaderValue::from_static("1"));
    }
    response
}
