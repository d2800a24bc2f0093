//! Sending the steps.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde_json::Value;

/// Content type of a body for which the case names none.
const DEFAULT_CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/openjobspec+json");

/// Length of a body that is not there.
const NO_CONTENT: HeaderValue = HeaderValue::from_static("0");

/// Limit on one request, redirects included.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Cases pause for a minute and more; a connection that old may be closing at the other end.
const IDLE: Duration = Duration::from_secs(20);

/// Asked for once before the run; any answer will do.
const PROBE_PATH: &str = "/ojs/v1/health";

/// Why an exchange did not happen.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The client could not be set up.
    #[error("cannot set up the HTTP client: {0}")]
    Setup(#[source] reqwest::Error),
    /// The server does not answer at all.
    #[error("server not reachable: {0}")]
    Unreachable(Box<HttpError>),
    /// The step cannot be turned into a request.
    #[error("cannot be sent: {0}")]
    Request(String),
    /// The request was not answered.
    #[error("no answer: {0}")]
    Transport(String),
    /// The reset before a case was refused.
    #[error("the reset answered {0}")]
    Reset(u16),
}

/// A request of a step, with templates resolved.
#[derive(Debug)]
pub struct Request<'a> {
    /// The action of the step.
    pub method: &'a str,
    /// Path and query.
    pub path: &'a str,
    /// Headers of the step.
    pub headers: Vec<(&'a str, &'a str)>,
    /// JSON text.
    pub body: Option<String>,
}

/// The answer to a step.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Response headers.
    pub headers: HeaderMap,
    /// The body as received.
    pub raw: Vec<u8>,
    /// The body when it is a JSON object; anything else is none.
    pub parsed: Option<Arc<Value>>,
    /// From sending the request to the last byte.
    pub took: Duration,
}

/// A client for one server.
#[derive(Debug)]
pub struct Client {
    inner: reqwest::Client,
    url: String,
    reset_url: Option<String>,
    headers: HeaderMap,
}

impl Client {
    /// A client for the server at `url`, which sends `headers` with every request.
    ///
    /// # Errors
    /// [`HttpError::Setup`] when the TLS setup of the machine is unusable.
    pub fn new(url: &str, reset_url: Option<String>, headers: &[(HeaderName, HeaderValue)]) -> Result<Self, HttpError> {
        let mut builder = reqwest::Client::builder().timeout(TIMEOUT).pool_idle_timeout(IDLE);
        // A proxy of the environment cannot see this machine's loopback.
        if is_loopback(url) {
            builder = builder.no_proxy();
        }
        // In vain where there is one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let inner = builder.build().map_err(HttpError::Setup)?;
        let url = url.trim_end_matches('/').to_owned();
        Ok(Self { inner, url, reset_url, headers: headers.iter().cloned().collect() })
    }

    /// Asks the server for anything.
    ///
    /// # Errors
    /// [`HttpError::Unreachable`] when no answer comes.
    pub async fn probe(&self) -> Result<(), HttpError> {
        let request = Request { method: "GET", path: PROBE_PATH, headers: Vec::new(), body: None };
        self.send(&request).await.map(drop).map_err(|error| HttpError::Unreachable(Box::new(error)))
    }

    /// Empties the server, when it has a reset URL.
    ///
    /// # Errors
    /// [`HttpError`] unless the answer is 2xx: the case would start from the state of another.
    pub async fn reset(&self) -> Result<(), HttpError> {
        let Some(url) = &self.reset_url else {
            return Ok(());
        };
        let mut headers = self.headers.clone();
        headers.insert(CONTENT_LENGTH, NO_CONTENT);
        let request = self.inner.post(url).headers(headers);
        let answer = request.send().await.map_err(|e| transport(&e))?;
        if answer.status().is_success() { Ok(()) } else { Err(HttpError::Reset(answer.status().as_u16())) }
    }

    /// Sends one step and reads the whole answer.
    ///
    /// # Errors
    /// [`HttpError`] when the step cannot be sent or is not answered.
    pub async fn send(&self, request: &Request<'_>) -> Result<Answer, HttpError> {
        let wrong = |what: &str, text: &str| HttpError::Request(format!("{what} {text:?}"));
        let method = Method::from_bytes(request.method.as_bytes()).map_err(|_| wrong("method", request.method))?;
        let url = format!("{}{}", self.url, request.path);
        let url = Url::parse(&url).map_err(|_| wrong("URL", &url))?;

        let mut headers = self.headers.clone();
        for (name, value) in &request.headers {
            let name = HeaderName::try_from(*name).map_err(|_| wrong("header name", name))?;
            let value = HeaderValue::try_from(*value).map_err(|_| wrong("header value", value))?;
            headers.insert(name, value);
        }
        if request.body.is_some() && !headers.contains_key(CONTENT_TYPE) {
            headers.insert(CONTENT_TYPE, DEFAULT_CONTENT_TYPE);
        }

        // Proxies in front of a server may insist on a length where a body is usual.
        if request.body.is_none() && [Method::POST, Method::PUT, Method::PATCH].contains(&method) {
            headers.insert(CONTENT_LENGTH, NO_CONTENT);
        }

        let mut builder = self.inner.request(method, url).headers(headers);
        if let Some(body) = &request.body {
            builder = builder.body(body.clone());
        }
        let began = Instant::now();
        let response = builder.send().await.map_err(|e| transport(&e))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let raw = response.bytes().await.map_err(|e| transport(&e))?.to_vec();
        let took = began.elapsed();
        let parsed = serde_json::from_slice(&raw).ok().filter(Value::is_object).map(Arc::new);
        Ok(Answer { status, headers, raw, parsed, took })
    }
}

fn is_loopback(url: &str) -> bool {
    let host = Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// The whole chain of causes: reqwest's own text hides the interesting end of it.
fn transport(error: &reqwest::Error) -> HttpError {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    HttpError::Transport(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_recognised() {
        for (url, want) in [
            ("http://127.0.0.1:80", true),
            ("http://[::1]:80", true),
            ("http://localhost", true),
            ("https://example.com", false),
            ("http://10.0.0.1", false),
            ("nonsense", false),
        ] {
            assert_eq!(is_loopback(url), want, "{url}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_sent_is_an_error_and_not_a_panic() {
        let client = Client::new("http://127.0.0.1:9", None, &[]).unwrap();
        let request = |method, path, headers| Request { method, path, headers, body: None };
        for request in [
            request("BAD METHOD", "/", vec![]),
            request("GET", "/", vec![("bad name", "x")]),
            request("GET", "/", vec![("x", "a\nb")]),
            request("GET", "x:y", vec![]),
        ] {
            let sent = client.send(&request).await;
            assert!(matches!(sent, Err(HttpError::Request(_))), "{request:?}: {sent:?}");
        }
    }
}
