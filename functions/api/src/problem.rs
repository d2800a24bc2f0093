//! Errors on the wire (HTTP binding section 16, digest section 4).

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ojs_model::{Error, ErrorCode};
use serde_json::{Value, json};

use crate::reply;

/// How many jobs a request may have (bulk operations section 11.3).
const MAX_BATCH_SIZE: HeaderName = HeaderName::from_static("x-ojs-max-batch-size");

/// An error on its way to the client; the request id is filled in by the layer that knows it.
#[derive(Debug, Clone)]
pub struct Problem(pub Error);

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

/// The status of an error.
#[must_use]
pub fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::InvalidPayload | ErrorCode::InvalidRequest => StatusCode::BAD_REQUEST,
        ErrorCode::ValidationError | ErrorCode::Unsupported => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorCode::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ErrorCode::NotFound => StatusCode::NOT_FOUND,
        ErrorCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ErrorCode::Conflict | ErrorCode::Duplicate => StatusCode::CONFLICT,
        ErrorCode::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorCode::PermissionDenied => StatusCode::FORBIDDEN,
        ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::BackendUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::BackendError | ErrorCode::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl Problem {
    /// The answer, with the request's id in its body.
    #[must_use]
    pub fn respond(&self, request_id: &str) -> Response {
        let Error { code, message, details, retry_after_s } = &self.0;
        let docs = format!("https://openjobspec.org/errors/{}", code.as_str());
        let body = json!({"error": {
            "code": code.as_str(),
            "type": code.as_str(),
            "message": message,
            "retryable": code.is_retryable(),
            "details": Value::Object(details.clone()),
            "request_id": request_id,
            "hint": code.hint(),
            "docs_url": docs,
            "doc_url": docs,
        }});
        let mut response = reply::json(status(*code), &body);
        let headers = response.headers_mut();
        if let Some(seconds) = retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
        }
        if let Some(max) = details.get("max_batch_size").and_then(Value::as_u64) {
            headers.insert(MAX_BATCH_SIZE, HeaderValue::from(max));
        }
        if *code == ErrorCode::UnsupportedMediaType {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        if *code == ErrorCode::Unauthenticated {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        // The outermost layer renders it, because only that knows the request's id.
        let mut response = status(self.0.code).into_response();
        response.extensions_mut().insert(self);
        response
    }
}
