//! HTTP: connections, requests, answers, and the faults that live there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::action;
use super::action::Action;
use super::errors::{ErrorKind, SqsError};
use super::protocol::error_body;
use crate::sqs::service::Service;

/// 1 MiB of message may be six times as long in JSON escapes, and comes with attributes.
const MAX_REQUEST_BYTES: usize = 16 * 1024 * 1024;
/// How long a stopping emulator waits for answers under way.
const STOP_PATIENCE: Duration = Duration::from_secs(2);
const TARGET_PREFIX: &str = "AmazonSQS.";
const JSON_TYPE: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.0");

/// Numbers the answers (`x-amzn-RequestId`).
static NEXT_REQUEST: AtomicU64 = AtomicU64::new(1);

/// The answer is lost: the connection ends without one.
#[derive(Debug, thiserror::Error)]
#[error("the answer was dropped by a fault")]
struct Dropped;

/// Serves until `stopping` turns true, then waits for the requests under way.
pub(crate) async fn serve(listener: TcpListener, service: Arc<Service>, stopping: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    let stopped = stopped(stopping.clone());
    tokio::pin!(stopped);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, Arc::clone(&service), stopping.clone()));
                }
                Err(error) => {
                    // Out of file handles, mostly: let some connections end.
                    tracing::warn!(%error, "accept failed");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = stopped.as_mut() => break,
        }
    }
    drop(listener);
    let rest = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_PATIENCE, rest).await.is_err() {
        connections.shutdown().await;
    }
}

/// Completes when the emulator stops, or is dropped.
async fn stopped(mut stopping: watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stop| *stop).await;
}

async fn connection(stream: TcpStream, service: Arc<Service>, stopping: watch::Receiver<bool>) {
    // Answers are small: never wait to fill a packet.
    let _ = stream.set_nodelay(true);
    let handler = service_fn(move |request| handle(Arc::clone(&service), request));
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.header_read_timeout(None);
    let connection = builder.serve_connection(TokioIo::new(stream), handler);
    tokio::pin!(connection);
    tokio::select! {
        // Errors are clients that hung up, or answers dropped by a fault.
        _ = connection.as_mut() => return,
        () = stopped(stopping) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

async fn handle(service: Arc<Service>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Dropped> {
    if request.method() == Method::GET {
        return Ok(respond(StatusCode::OK, Bytes::from_static(b"healthy: sqs"), None));
    }
    let action = match read_action(&request) {
        Ok(action) => action,
        Err(error) => return Ok(refuse(&error)),
    };
    let body = match read_body(request).await {
        Ok(body) => body,
        Err(error) => return Ok(refuse(&error)),
    };
    service.counters.start(action, body.len());

    let faults = &service.faults;
    let latency = faults.latency();
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let result = if faults.throttles() {
        Err(SqsError::throttled())
    } else if faults.is_unavailable() {
        Err(SqsError::unavailable())
    } else {
        let result = action::run(&service, action, &body).await;
        if faults.loses_answer() {
            if faults.drops_connection() {
                service.counters.finish(action, 0, true);
                return Err(Dropped);
            }
            Err(SqsError::internal())
        } else {
            result
        }
    };
    let response = match result {
        Ok(body) => {
            service.counters.finish(action, body.len(), false);
            respond(StatusCode::OK, body.into(), None)
        }
        Err(error) => {
            tracing::debug!(action = action.name(), kind = ?error.kind, "refused");
            service.counters.finish(action, error_body(&error).len(), true);
            refuse(&error)
        }
    };
    Ok(response)
}

/// The action; any path will do, as SDKs post to `/` or to the queue's own.
fn read_action(request: &Request<Incoming>) -> Result<Action, SqsError> {
    let unknown = |what: &str| SqsError::new(ErrorKind::UnknownOperation, what);
    if request.method() != Method::POST {
        return Err(unknown("Requests are made with POST."));
    }
    let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok());
    let target = target.ok_or_else(|| unknown("The header X-Amz-Target is missing."))?;
    let name = target.strip_prefix(TARGET_PREFIX).unwrap_or_default();
    Action::parse(name).ok_or_else(|| unknown("The operation does not exist."))
}

async fn read_body(request: Request<Incoming>) -> Result<Bytes, SqsError> {
    match Limited::new(request.into_body(), MAX_REQUEST_BYTES).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(SqsError::new(ErrorKind::RequestTooLarge, "The request is too large."))
        }
        Err(_) => Err(SqsError::new(ErrorKind::Serialization, "The request ended early.")),
    }
}

fn refuse(error: &SqsError) -> Response<Full<Bytes>> {
    let (status, _, code) = error.kind.wire();
    let fault = if error.kind.is_sender_fault() { "Sender" } else { "Receiver" };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    respond(status, error_body(error).into(), Some(format!("{code};{fault}")))
}

fn respond(status: StatusCode, body: Bytes, query_error: Option<String>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, JSON_TYPE);
    let number = NEXT_REQUEST.fetch_add(1, Ordering::Relaxed);
    let id = format!("00000000-0000-4000-8000-{number:012x}");
    if let Ok(id) = HeaderValue::try_from(id) {
        headers.insert("x-amzn-requestid", id);
    }
    if let Some(Ok(query_error)) = query_error.map(HeaderValue::try_from) {
        headers.insert("x-amzn-query-error", query_error);
    }
    response
}
