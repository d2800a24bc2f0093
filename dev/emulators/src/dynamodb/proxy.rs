//! HTTP in front of the database: where its faults live.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::faults::{Dice, Disturbance, Kind};
use super::item_locks::ItemLocks;
use super::partial;
use super::replica::{Replica, written};
use super::upstream::{Answer, CallError, Request, Upstream};

/// A transaction of 100 items takes 4 MB, and more in JSON escapes.
const MAX_REQUEST_BYTES: usize = 64 * 1024 * 1024;
const ERROR_PREFIX: &str = "com.amazonaws.dynamodb.v20120810#";

/// The database, its faults, and what its indexes see.
pub(super) struct Proxy {
    pub(super) database: Upstream,
    pub(super) dice: Dice,
    /// `None` when indexes do not lag.
    pub(super) lagging: Option<Lagging>,
}

/// What indexes are read from while they lag.
pub(super) struct Lagging {
    pub(super) replica: Replica,
    /// Where the replica is served.
    pub(super) upstream: Upstream,
    /// Keep each write to an item together with the reading of what it left.
    pub(super) locks: ItemLocks,
}

/// The connection ends without an answer.
#[derive(Debug, thiserror::Error)]
enum NoAnswer {
    #[error("the answer was dropped by a fault")]
    Dropped,
    #[error("the request did not arrive: {0}")]
    Request(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the call was stopped: {0}")]
    Stopped(#[from] tokio::task::JoinError),
}

/// Serves until `stopping` turns true; connections end with it.
pub(super) async fn serve(listener: TcpListener, proxy: Arc<Proxy>, mut stopping: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    let stopped = async move {
        // Fails when the database is dropped, which ends it too.
        let _ = stopping.wait_for(|stop| *stop).await;
    };
    tokio::pin!(stopped);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, Arc::clone(&proxy)));
                }
                Err(error) => {
                    tracing::warn!(%error, "accept failed");
                    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = stopped.as_mut() => return,
        }
    }
}

async fn connection(stream: TcpStream, proxy: Arc<Proxy>) {
    let _ = stream.set_nodelay(true);
    let handler = service_fn(move |request| handle(Arc::clone(&proxy), request));
    // Errors are clients that hung up, or answers dropped by a fault.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), handler).await;
}

async fn handle(proxy: Arc<Proxy>, request: http::Request<Incoming>) -> Result<Response<Full<Bytes>>, NoAnswer> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, MAX_REQUEST_BYTES).collect().await.map_err(NoAnswer::Request)?.to_bytes();
    let path = parts.uri.path().to_owned();
    let request = Request { method: parts.method, path, headers: parts.headers, body };
    // In a task of its own: a write runs to its end, and into the replica, also when the client hangs up.
    let answer = tokio::spawn(async move { proxy.answer(request).await }).await??;
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response.headers_mut().remove(TRANSFER_ENCODING);
    Ok(response)
}

impl Proxy {
    async fn answer(&self, request: Request) -> Result<Answer, NoAnswer> {
        let kind = Kind::of(request.action());
        if kind != Kind::Table && !self.dice.latency().is_zero() {
            tokio::time::sleep(self.dice.latency()).await;
        }
        match self.dice.roll(kind) {
            Some(Disturbance::Throttled(code)) => Ok(refusal(400, &json!({"__type": code, "message": "injected"}))),
            Some(Disturbance::Conflict) => Ok(refusal(400, &conflict(&request))),
            Some(Disturbance::Dropped) => {
                self.run(&request).await?;
                Err(NoAnswer::Dropped)
            }
            Some(Disturbance::Failed) => {
                self.run(&request).await?;
                Ok(refusal(500, &json!({"__type": "InternalServerError", "message": "injected"})))
            }
            None => Ok(self.run(&request).await?),
        }
    }

    /// Does the call; of a batch, perhaps only a part.
    async fn run(&self, request: &Request) -> Result<Answer, CallError> {
        let action = request.action();
        let mut body: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
        let Some(withheld) = partial::withhold(action, &mut body, || self.dice.withholds()) else {
            return self.pass(request, &body).await;
        };
        if !partial::drop_empty_tables(&mut body) {
            let code = "ProvisionedThroughputExceededException";
            return Ok(refusal(400, &json!({"__type": code, "message": "nothing of the batch was done (injected)"})));
        }
        let mut answer = self.pass(&request.with(action, &body), &body).await?;
        if answer.status == StatusCode::OK {
            let mut parsed = answer.json();
            partial::report(action, &mut parsed, withheld);
            answer.replace(&parsed);
        }
        Ok(answer)
    }

    /// Passes a call on, to the replica where it reads an index.
    async fn pass(&self, request: &Request, body: &Value) -> Result<Answer, CallError> {
        let Some(lagging) = &self.lagging else { return self.database.call(request).await };
        match Kind::of(request.action()) {
            Kind::Write | Kind::BatchWrite => lagging.write(&self.database, request, body).await,
            Kind::Table => lagging.change_table(&self.database, request, body).await,
            Kind::Read if body["IndexName"].is_string() => {
                lagging.replica.catch_up()?;
                lagging.upstream.call(request).await
            }
            Kind::Read => self.database.call(request).await,
        }
    }
}

impl Lagging {
    async fn write(&self, database: &Upstream, request: &Request, body: &Value) -> Result<Answer, CallError> {
        let written = written(request.action(), body, |table| self.replica.key_names(table))?;
        let _locked = self.locks.lock(&written).await;
        let answer = database.call(request).await?;
        if answer.status == StatusCode::OK {
            self.replica.record(&written)?;
        }
        Ok(answer)
    }

    /// What is done to a table is done to the replica's at once.
    async fn change_table(&self, database: &Upstream, request: &Request, body: &Value) -> Result<Answer, CallError> {
        let answer = database.call(request).await?;
        let changes = ["CreateTable", "UpdateTable", "DeleteTable", "UpdateTimeToLive"].contains(&request.action());
        if changes && answer.status == StatusCode::OK {
            if request.action() == "DeleteTable" {
                self.replica.forget(body["TableName"].as_str().unwrap_or_default());
            }
            self.upstream.call(request).await?;
        }
        Ok(answer)
    }
}

/// Which item is held does not matter to clients: the first one.
fn conflict(request: &Request) -> Value {
    let message = "Transaction is ongoing for the item (injected)";
    if request.action() != "TransactWriteItems" {
        return json!({"__type": "TransactionConflictException", "message": message});
    }
    let body: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
    let items = body["TransactItems"].as_array().map_or(1, Vec::len);
    let reasons: Vec<Value> = (0..items)
        .map(|item| match item {
            0 => json!({"Code": "TransactionConflict", "Message": message}),
            _ => json!({"Code": "None"}),
        })
        .collect();
    let names: Vec<&str> = reasons.iter().filter_map(|reason| reason["Code"].as_str()).collect();
    let message =
        format!("Transaction cancelled, please refer cancellation reasons for specific reasons [{}]", names.join(", "));
    json!({"__type": "TransactionCanceledException", "Message": message, "CancellationReasons": reasons})
}

fn refusal(status: u16, body: &Value) -> Answer {
    let mut body = body.clone();
    let code = body["__type"].as_str().unwrap_or_default();
    body["__type"] = Value::String(format!("{ERROR_PREFIX}{code}"));
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.0"));
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Answer { status, headers, body: body.to_string().into() }
}
