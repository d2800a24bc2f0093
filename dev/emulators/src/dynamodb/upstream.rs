//! Calls to the database behind the faults.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

pub(super) const TARGET: &str = "x-amz-target";
const TARGET_PREFIX: &str = "DynamoDB_20120810.";

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error("the request is malformed: {0}")]
    Request(#[from] http::Error),
    #[error("the database cannot be reached: {0}")]
    Connection(#[from] hyper_util::client::legacy::Error),
    #[error("the answer ended early: {0}")]
    Answer(#[from] hyper::Error),
    #[error("the lagging copy failed: {0}")]
    Replica(#[from] dynoxide::DynoxideError),
}

/// A request whose body has arrived.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Request {
    /// The action that it asks for; empty for requests that are no calls.
    pub(super) fn action(&self) -> &str {
        let target = self.headers.get(TARGET).and_then(|target| target.to_str().ok()).unwrap_or_default();
        target.strip_prefix(TARGET_PREFIX).unwrap_or_default()
    }

    /// Another call by the same client. The database does not check signatures.
    pub(super) fn with(&self, action: &str, body: &Value) -> Self {
        let mut headers = self.headers.clone();
        if let Ok(target) = HeaderValue::try_from(format!("{TARGET_PREFIX}{action}")) {
            headers.insert(TARGET, target);
        }
        Self { method: Method::POST, path: "/".to_owned(), headers, body: body.to_string().into() }
    }
}

/// An answer whose body has arrived.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    /// The body; `Null` when it is not JSON.
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// Puts another body in the place of the database's.
    pub(super) fn replace(&mut self, body: &Value) {
        self.headers.remove(CONTENT_LENGTH);
        self.headers.remove("x-amz-crc32");
        self.body = body.to_string().into();
    }
}

/// A database behind a URL.
#[derive(Debug, Clone)]
pub(super) struct Upstream {
    url: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Upstream {
    pub(super) fn new(url: String) -> Self {
        Self { url, client: Client::builder(TokioExecutor::new()).build_http() }
    }

    pub(super) async fn call(&self, request: &Request) -> Result<Answer, CallError> {
        let uri = format!("{}{}", self.url, request.path);
        let mut sent =
            http::Request::builder().method(request.method.clone()).uri(uri).body(Full::new(request.body.clone()))?;
        *sent.headers_mut() = request.headers.clone();
        sent.headers_mut().remove(CONTENT_LENGTH);
        sent.headers_mut().remove(HOST);
        let (parts, body) = self.client.request(sent).await?.into_parts();
        Ok(Answer { status: parts.status, headers: parts.headers, body: body.collect().await?.to_bytes() })
    }
}
