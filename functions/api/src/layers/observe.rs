//! The request's span and its measurements.

use std::time::Duration;

use axum::extract::Request;
use axum::http::{Method, StatusCode};
use ojs_core::observe::metrics;
use tracing::field::Empty;

use crate::invocation::Invocation;
use crate::state::Api;

/// The request's span: what its log lines say, and more where there are traces.
pub(super) fn span(
    api: &Api,
    request: &Request,
    request_id: &str,
    method: &Method,
    path: &str,
    route: Option<&str>,
) -> tracing::Span {
    let aws_request_id = request.extensions().get::<Invocation>().map(|invocation| invocation.request_id.as_str());
    if !api.telemetry.has_traces() {
        return tracing::info_span!(
            "request", request_id, %method, path, aws_request_id, trace_id = Empty, principal = Empty
        );
    }
    // OpenTelemetry's name of a server's span has the route: names must not be as many as ids are.
    let name = format!("{} {}", method_name(method), route.unwrap_or("(no route)"));
    tracing::info_span!(
        "request", request_id, %method, path, aws_request_id, trace_id = Empty, principal = Empty,
        otel.name = name, otel.kind = "server", otel.status_code = Empty, http.response.status_code = Empty
    )
}

/// A method by its name, or OpenTelemetry's for all others: clients may send any word.
fn method_name(method: &Method) -> &str {
    match *method {
        Method::GET
        | Method::HEAD
        | Method::POST
        | Method::PUT
        | Method::PATCH
        | Method::DELETE
        | Method::OPTIONS
        | Method::CONNECT
        | Method::TRACE => method.as_str(),
        _ => "_OTHER",
    }
}

/// Counts an answer, and completes the request's span.
pub(super) fn measured(
    span: &tracing::Span,
    api: &Api,
    method: &Method,
    route: Option<String>,
    status: StatusCode,
    elapsed: Duration,
) {
    if api.telemetry.has_traces() {
        span.record("http.response.status_code", status.as_u16());
        if status.is_server_error() {
            span.record("otel.status_code", "ERROR");
        }
    }
    if metrics::enabled() {
        let labels = [
            ("method", method_name(method).to_owned()),
            ("route", route.unwrap_or_else(|| "none".to_owned())),
            ("status", status.as_u16().to_string()),
        ];
        ::metrics::histogram!(metrics::HTTP_DURATION, &labels).record(elapsed.as_secs_f64());
    }
}
