//! What holds for every request, from the outside in: request id, log line, panic guard, authentication, version,
//! content type, unknown routes and methods. Errors get their body here.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use ojs_core::{Error, ErrorCode};
use tracing::Instrument;

use crate::problem::Problem;
use crate::reply::MEDIA_TYPE;
use crate::router::Api;

/// The protocol version this server speaks (HTTP binding section 3.2).
const OJS_VERSION: &str = "1.0";
const X_REQUEST_ID: &str = "x-request-id";
/// Longest request id taken over from a client, bytes.
const MAX_REQUEST_ID: usize = 128;

pub(crate) fn around(routes: Router<Api>, api: Api) -> Router {
    routes
        .method_not_allowed_fallback(wrong_method)
        .fallback(no_route)
        .layer(middleware::from_fn_with_state(api.clone(), admit))
        .layer(middleware::from_fn_with_state(api.clone(), frame))
        .with_state(api)
}

async fn no_route(request: Request) -> Problem {
    Problem(Error::not_found("route", &format!("{} {}", request.method(), request.uri().path())))
}

async fn wrong_method(request: Request) -> Problem {
    let (method, path) = (request.method(), request.uri().path());
    Problem(Error::new(ErrorCode::MethodNotAllowed, format!("{method} is not allowed on {path}.")).with("path", path))
}

/// Refuses what must not reach a handler.
async fn admit(State(api): State<Api>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    if let Err(error) = api.keys.check(headers).and_then(|()| version(headers)).and_then(|()| content_type(&request)) {
        return Problem(error).into_response();
    }
    next.run(request).await
}

fn version(headers: &HeaderMap) -> Result<(), Error> {
    match headers.get("ojs-version") {
        Some(asked) if asked != OJS_VERSION && !asked.as_bytes().starts_with(b"1.0.") => {
            let asked = String::from_utf8_lossy(asked.as_bytes()).into_owned();
            Err(Error::new(
                ErrorCode::Unsupported,
                format!("OJS version '{asked}' is not supported; use '{OJS_VERSION}'."),
            )
            .with("supported", OJS_VERSION))
        }
        _ => Ok(()),
    }
}

/// Bodies are OJS JSON or plain JSON; parameters such as a charset do not matter (HTTP binding section 4.1).
fn content_type(request: &Request) -> Result<(), Error> {
    let Some(given) = request.headers().get(header::CONTENT_TYPE) else { return Ok(()) };
    // Clients name a type even where they send no body.
    let no_body = axum::body::HttpBody::is_end_stream(request.body());
    if no_body || matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let given = String::from_utf8_lossy(given.as_bytes());
    let essence = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == MEDIA_TYPE || essence == "application/json" {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::InvalidRequest,
        format!("Content-Type '{essence}' is not supported; use '{MEDIA_TYPE}' or 'application/json'."),
    )
    .with("field", "Content-Type"))
}

/// Gives every answer its headers and every error its body.
async fn frame(State(api): State<Api>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let request_id = request_id(&api, request.headers());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let span = tracing::info_span!("request", request_id, %method, path);
    // A panic is a bug, but no reason to drop the connection without an answer.
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().instrument(span.clone()).await;
    let mut response = answered.unwrap_or_else(|_| Problem(Error::internal("a handler panicked")).into_response());
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let allow = response.headers_mut().remove(header::ALLOW);
        response = problem.respond(&request_id);
        response.headers_mut().extend(allow.map(|allow| (header::ALLOW, allow)));
    }
    let headers = response.headers_mut();
    for name in ["ojs-version", "x-ojs-version"] {
        headers.insert(name, HeaderValue::from_static(OJS_VERSION));
    }
    headers.insert("x-ojs-media-type", HeaderValue::from_static(MEDIA_TYPE));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    if let Ok(id) = HeaderValue::from_str(&request_id) {
        headers.insert(X_REQUEST_ID, id);
    }
    let status = response.status();
    let ms = started.elapsed().as_millis();
    span.in_scope(|| match status {
        StatusCode::INTERNAL_SERVER_ERROR => tracing::error!(status = status.as_u16(), ms, "answered"),
        _ => tracing::debug!(status = status.as_u16(), ms, "answered"),
    });
    response
}

/// The client's request id if it is printable and not too long, else one of ours.
fn request_id(api: &Api, headers: &HeaderMap) -> String {
    headers
        .get(X_REQUEST_ID)
        .and_then(|id| id.to_str().ok())
        .filter(|id| !id.is_empty() && id.len() <= MAX_REQUEST_ID)
        .map_or_else(|| api.engine.ids().request_id(api.engine.now_ms()), str::to_owned)
}
