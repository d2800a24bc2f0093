//! Answers: JSON under OJS's media type (HTTP binding section 4).

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use ojs_core::engine::MAX_ANSWER_BYTES;
use ojs_model::job::{Job, Shown};
use ojs_model::json::escaped_bytes;
use serde::Serialize;

/// The media type of every answer.
pub(crate) const MEDIA_TYPE: &str = "application/openjobspec+json";

/// Its other name, for clients that accept no other.
pub(crate) const JSON: &str = "application/json";
/// The media type of `/metrics`: Prometheus's text format.
pub(crate) const PROMETHEUS: &str = "text/plain; version=0.0.4";
/// How many jobs the request had (bulk operations section 11.3).
pub(crate) const BATCH_SIZE: HeaderName = HeaderName::from_static("x-ojs-batch-size");
/// The answer is that of an earlier request with the same key.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// In place of an answer that cannot be sent.
const TOO_LARGE: &[u8] =
    br#"{"error":{"code":"internal_error","message":"The answer is too large to be sent.","retryable":false}}"#;

/// A JSON answer.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let (status, body) = match serde_json::to_vec(value) {
        // Lists and fetches stop before this limit. Lambda would refuse a larger answer, without our error body.
        Ok(body) if escaped_bytes(&body) > MAX_ANSWER_BYTES => {
            tracing::error!(bytes = body.len(), "answer larger than Lambda can send");
            (StatusCode::INTERNAL_SERVER_ERROR, TOO_LARGE.to_vec())
        }
        Ok(body) => (status, body),
        Err(error) => {
            // Only a job whose stored JSON is broken cannot be serialised.
            tracing::error!(%error, "answer could not be serialised");
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                br#"{"error":{"code":"internal_error","message":"Internal error.","retryable":true}}"#.to_vec(),
            )
        }
    };
    body_of(status, body)
}

/// A 200.
pub(crate) fn ok(value: &impl Serialize) -> Response {
    json(StatusCode::OK, value)
}

/// `{"job": {...}}`
#[derive(Serialize)]
struct JobReply<'a> {
    job: Shown<'a>,
}

/// A 200 with a job.
pub(crate) fn job(job: &Job) -> Response {
    ok(&JobReply { job: job.shown(false) })
}

/// An answer whose body is text already.
pub(crate) fn text(status: StatusCode, body: String) -> Response {
    body_of(status, body)
}

fn body_of(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    response
}

/// Says in a header that an earlier request with the same idempotency key made this answer, if so.
pub(crate) fn mark_replayed(response: &mut Response, replayed: bool) {
    if replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
}

/// Says in a header where the thing that was made is.
pub(crate) fn set_location(response: &mut Response, path: &str) {
    if let Ok(path) = HeaderValue::from_str(path) {
        response.headers_mut().insert(header::LOCATION, path);
    }
}
