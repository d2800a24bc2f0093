//! Answers: JSON under OJS's media type (HTTP binding section 4).

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use ojs_core::engine::MAX_ANSWER_BYTES;
use ojs_model::json::escaped_bytes;
use serde::Serialize;

/// The media type of every answer.
pub(crate) const MEDIA_TYPE: &str = "application/openjobspec+json";

/// In place of an answer that cannot be sent.
const TOO_LARGE: &[u8] =
    br#"{"error":{"code":"internal_error","message":"The answer is too large to be sent.","retryable":false}}"#;

/// Its other name, for clients that accept no other.
pub(crate) const JSON: &str = "application/json";

/// A JSON answer.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let (status, body) = match serde_json::to_vec(value) {
        // Lists and fetches end before that; Lambda would answer without a body that says so.
        Ok(body) if escaped_bytes(&body) > MAX_ANSWER_BYTES => {
            tracing::error!(bytes = body.len(), "answer larger than Lambda can send");
            (StatusCode::INTERNAL_SERVER_ERROR, TOO_LARGE.to_vec())
        }
        Ok(body) => (status, body),
        Err(error) => {
            // Our own values serialise; a job whose stored text is broken would not.
            tracing::error!(%error, "answer could not be serialised");
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                br#"{"error":{"code":"internal_error","message":"Internal error.","retryable":true}}"#.to_vec(),
            )
        }
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    response
}

/// A 200.
pub(crate) fn ok(value: &impl Serialize) -> Response {
    json(StatusCode::OK, value)
}
