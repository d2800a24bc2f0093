//! What holds for every request, from the outside in: request id, log line, panic guard, authentication, version,
//! content type, unknown routes and methods. Errors get their body here.

pub mod cors;

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use ojs_core::observe::{metrics, trace};
use ojs_model::{Error, ErrorCode};
use ojs_telemetry::context;
use tower::ServiceExt;
use tracing::Instrument;
use tracing::field::Empty;

use crate::auth::Operation;
use crate::problem::Problem;
use crate::reply::{JSON, MEDIA_TYPE, PROMETHEUS};
use crate::serving::AtWork;
use crate::state::Api;

/// The protocol version this server speaks (HTTP binding section 3.2).
const OJS_VERSION: &str = "1.0";
/// What some clients ask for: any version that is compatible with 1.0.
const MAJOR_VERSION: &str = "1";
const X_REQUEST_ID: &str = "x-request-id";
/// Longest request id taken over from a client, bytes.
const MAX_REQUEST_ID: usize = 128;

pub(crate) fn around(routes: Router<Api>, api: Api) -> Router {
    let app: Router = routes
        .method_not_allowed_fallback(wrong_method)
        .fallback(no_route)
        .layer(middleware::from_fn_with_state(api.clone(), admit))
        .layer(middleware::from_fn_with_state(api.clone(), frame))
        .with_state(api);
    // Layers of a router run after it has chosen the route.
    Router::new().fallback_service(app.map_request(without_trailing_slashes))
}

/// The path without slashes at its end: `/jobs/` is `/jobs`.
fn without_trailing_slashes(mut request: Request) -> Request {
    let uri = request.uri();
    let path = uri.path();
    let trimmed = path.trim_end_matches('/');
    if trimmed.len() == path.len() || trimmed.is_empty() {
        return request;
    }
    let short = uri.query().map_or_else(|| trimmed.to_owned(), |query| format!("{trimmed}?{query}"));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = short.parse().ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    request
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
    let principal = match api.keys.check(headers).await {
        Ok(principal) => principal,
        Err(error) => {
            // Seen by whoever looks for somebody who tries keys.
            tracing::info!(reason = error.message, "request without a valid API key");
            return Problem(error).into_response();
        }
    };
    // Every line of the request says whose it is.
    tracing::Span::current().record("principal", principal.name.as_str());
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let operation = Operation::of(request.method(), route);
    let checked = principal.check(operation).inspect_err(|_| {
        tracing::warn!(principal = principal.name, operation = operation.as_str(), "permission denied");
    });
    let checked = checked.and_then(|()| version(headers)).and_then(|()| encoding(&request));
    if let Err(error) = checked.and_then(|()| content_type(&request)) {
        return Problem(error).into_response();
    }
    next.run(request).await
}

fn version(headers: &HeaderMap) -> Result<(), Error> {
    match headers.get("ojs-version") {
        Some(asked) if asked != OJS_VERSION && asked != MAJOR_VERSION && !asked.as_bytes().starts_with(b"1.0.") => {
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

/// Bodies are not compressed: the limit is for what is read, and a client that is told so can send them plain.
fn encoding(request: &Request) -> Result<(), Error> {
    let given = request.headers().get_all(header::CONTENT_ENCODING);
    let refused = given
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_ascii_lowercase())
        .find(|value| !value.is_empty() && value != "identity");
    match refused {
        Some(encoding) if has_body(request) => Err(Error::new(
            ErrorCode::UnsupportedMediaType,
            format!("Content-Encoding '{encoding}' is not supported; send the body without compression."),
        )
        .with("field", "Content-Encoding")
        .with("supported", "identity")),
        _ => Ok(()),
    }
}

/// Whether there is a body that a handler may read.
fn has_body(request: &Request) -> bool {
    !axum::body::HttpBody::is_end_stream(request.body())
        && !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Bodies are OJS JSON or plain JSON; parameters such as a charset do not matter (HTTP binding section 4.1).
fn content_type(request: &Request) -> Result<(), Error> {
    let Some(given) = request.headers().get(header::CONTENT_TYPE) else { return Ok(()) };
    // Clients name a type even where they send no body.
    if !has_body(request) {
        return Ok(());
    }
    let given = String::from_utf8_lossy(given.as_bytes());
    let essence = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == MEDIA_TYPE || essence == JSON {
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
    let media_type = media_type(request.headers());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let route = request.extensions().get::<MatchedPath>().map(|route| route.as_str().to_owned());
    let span = span(&api, &request, &request_id, &method, &path, route.as_deref());
    let context = context::continued(&span, context::of_headers(request.headers()));
    if let Some(context) = &context {
        span.record("trace_id", context.trace_id());
    }
    let deadline = api.engine.deadline(killed_at_ms(&request));
    // A panic is a bug, but no reason to drop the connection without an answer.
    let answering = api.engine.within(deadline, AssertUnwindSafe(next.run(request)).catch_unwind());
    let answering = trace::scoped(context, api.telemetry.has_traces(), answering);
    let answering = answering.instrument(span.clone());
    let (answered, met) =
        if method.is_safe() { answering.await } else { to_its_end(answering, api.running.begin()).await };
    context::link(&span, &met);
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
    if headers.get(header::CONTENT_TYPE).is_none_or(|kind| kind != PROMETHEUS) {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    }
    if let Ok(id) = HeaderValue::from_str(&request_id) {
        headers.insert(X_REQUEST_ID, id);
    }
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

/// The name of the answer's media type: OJS's, unless the client accepts `application/json` and nothing else (ADR 0037).
fn media_type(headers: &HeaderMap) -> &'static str {
    let mut accepted = headers.get_all(header::ACCEPT).iter();
    let (Some(accept), None) = (accepted.next(), accepted.next()) else { return MEDIA_TYPE };
    let Ok(accept) = accept.to_str() else { return MEDIA_TYPE };
    let essence = accept.split(';').next().unwrap_or_default().trim();
    if !accept.contains(',') && essence.eq_ignore_ascii_case(JSON) { JSON } else { MEDIA_TYPE }
}

/// Runs a request that may write to its end, even if the client closes the connection meanwhile: what follows from a write
/// must not wait for the job's message to return.
async fn to_its_end<T: Send + 'static>(answering: impl Future<Output = T> + Send + 'static, at_work: AtWork) -> T {
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
fn killed_at_ms(request: &Request) -> Option<i64> {
    let deadline = request.extensions().get::<lambda_http::Context>()?.deadline;
    i64::try_from(deadline).ok().filter(|at| *at > 0)
}

/// The request's span: what its log lines say, and more where there are traces.
fn span(
    api: &Api,
    request: &Request,
    request_id: &str,
    method: &Method,
    path: &str,
    route: Option<&str>,
) -> tracing::Span {
    let aws_request_id = request.extensions().get::<lambda_http::Context>().map(|context| context.request_id.as_str());
    if !api.telemetry.has_traces() {
        return tracing::info_span!(
            "request", request_id, %method, path, aws_request_id, trace_id = Empty, principal = Empty
        );
    }
    // OpenTelemetry's name of a server's span has the route: names must not be as many as ids are.
    let name = format!("{} {}", known(method), route.unwrap_or("(no route)"));
    tracing::info_span!(
        "request", request_id, %method, path, aws_request_id, trace_id = Empty, principal = Empty,
        otel.name = name, otel.kind = "server", otel.status_code = Empty, http.response.status_code = Empty
    )
}

/// A method by its name, or OpenTelemetry's for all others: clients may send any word.
fn known(method: &Method) -> &str {
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

fn measured(
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
            ("method", known(method).to_owned()),
            ("route", route.unwrap_or_else(|| "none".to_owned())),
            ("status", status.as_u16().to_string()),
        ];
        ::metrics::histogram!(metrics::HTTP_DURATION, &labels).record(elapsed.as_secs_f64());
    }
}

/// The client's request id if it is printable and not too long, else one of ours.
fn request_id(api: &Api, headers: &HeaderMap) -> String {
    headers
        .get(X_REQUEST_ID)
        .and_then(|id| id.to_str().ok())
        .filter(|id| !id.is_empty() && id.len() <= MAX_REQUEST_ID)
        .map_or_else(|| api.engine.ids().request_id(api.engine.now_ms()), str::to_owned)
}
