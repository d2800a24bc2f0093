//! Every request gets an answer with the standard headers: also when its handler fails, panics or runs out of time.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use ojs_core::observe::trace;
use ojs_model::Error;
use ojs_telemetry::context;
use tracing::Instrument;

use super::OJS_VERSION;
use super::observe::{measured, span};
use crate::invocation::Invocation;
use crate::problem::Problem;
use crate::reply::{JSON, MEDIA_TYPE, PROMETHEUS};
use crate::serving::AtWork;
use crate::state::Api;

const X_REQUEST_ID: &str = "x-request-id";
/// Longest request id accepted from a client, bytes.
const MAX_REQUEST_ID: usize = 128;

/// Gives every answer its headers and every error its body.
pub(super) async fn answer(State(api): State<Api>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let request_id = request_id(&api, request.headers());
    let media_type = media_type(request.headers());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let route = request.extensions().get::<MatchedPath>().map(|route| route.as_str().to_owned());
    let span = span(&api, &request, &request_id, &method, &path, route.as_deref());
    let context = context::continued(&span, context::of_headers(request.headers()));
    if let Some(context) = &context {
        span.record("trace_id", context.trace_id());
    }
    let deadline = api.engine.deadline(function_deadline_ms(&request));
    // A panic is a bug, but no reason to drop the connection without an answer.
    let answering = api.engine.within(deadline, AssertUnwindSafe(next.run(request)).catch_unwind());
    let answering = trace::scoped(context, api.telemetry.has_traces(), answering);
    let answering = answering.instrument(span.clone());
    let (answered, met) =
        if method.is_safe() { answering.await } else { run_to_completion(answering, api.running.begin()).await };
    context::link(&span, &met);
    let mut response = answered.unwrap_or_else(|_| Problem(Error::internal("a handler panicked")).into_response());
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let allow = response.headers_mut().remove(header::ALLOW);
        response = problem.respond(&request_id);
        response.headers_mut().extend(allow.map(|allow| (header::ALLOW, allow)));
    }
    set_standard_headers(response.headers_mut(), media_type, &request_id);
    let status = response.status();
    let elapsed = started.elapsed();
    let ms = elapsed.as_millis();
    measured(&span, &api, &method, route, status, elapsed);
    span.in_scope(|| match status {
        StatusCode::INTERNAL_SERVER_ERROR => tracing::error!(status = status.as_u16(), ms, "answered"),
        _ => tracing::debug!(status = status.as_u16(), ms, "answered"),
    });
    response
}

/// Sets the headers that every answer has (HTTP binding section 3.2).
fn set_standard_headers(headers: &mut HeaderMap, media_type: &'static str, request_id: &str) {
    for name in ["ojs-version", "x-ojs-version"] {
        headers.insert(name, HeaderValue::from_static(OJS_VERSION));
    }
    headers.insert("x-ojs-media-type", HeaderValue::from_static(MEDIA_TYPE));
    if headers.get(header::CONTENT_TYPE).is_none_or(|kind| kind != PROMETHEUS) {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    }
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(X_REQUEST_ID, id);
    }
}

/// The name of the answer's media type: OJS's, unless the client accepts `application/json` and nothing else (ADR 0037).
fn media_type(headers: &HeaderMap) -> &'static str {
    let mut accepted = headers.get_all(header::ACCEPT).iter();
    let (Some(accept), None) = (accepted.next(), accepted.next()) else { return MEDIA_TYPE };
    let Ok(accept) = accept.to_str() else { return MEDIA_TYPE };
    let essence = accept.split(';').next().unwrap_or_default().trim();
    if !accept.contains(',') && essence.eq_ignore_ascii_case(JSON) { JSON } else { MEDIA_TYPE }
}

/// The client's request id if it is printable and not too long, else one of ours.
fn request_id(api: &Api, headers: &HeaderMap) -> String {
    headers
        .get(X_REQUEST_ID)
        .and_then(|id| id.to_str().ok())
        .filter(|id| !id.is_empty() && id.len() <= MAX_REQUEST_ID)
        .map_or_else(|| api.engine.ids().request_id(api.engine.now_ms()), str::to_owned)
}

/// Runs a request that may write to its end, even if the client closes the connection meanwhile: what follows from a write
/// must not wait until SQS delivers the job's message again.
async fn run_to_completion<T: Send + 'static>(
    answering: impl Future<Output = T> + Send + 'static,
    at_work: AtWork,
) -> T {
    let answering = async move {
        let answer = answering.await;
        drop(at_work);
        answer
    };
    match tokio::spawn(answering).await {
        Ok(answer) => answer,
        // Panics are caught inside, and nothing aborts the task but the end of the process.
        Err(ended) => std::panic::resume_unwind(ended.into_panic()),
    }
}

/// When Lambda kills the function, ms since the Unix epoch; `None` elsewhere.
fn function_deadline_ms(request: &Request) -> Option<i64> {
    request.extensions().get::<Invocation>()?.deadline_ms
}
