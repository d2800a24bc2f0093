use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

/// The API's router, called without a network.
#[derive(Debug, Clone)]
pub struct Http(Router);

/// What it answered.
#[derive(Debug)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body; `Null` when it is not JSON.
    pub body: Value,
}

impl Answer {
    /// `error.code` of the body.
    #[must_use]
    pub fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }
}

impl Http {
    pub(crate) fn new(router: Router) -> Self {
        Self(router)
    }

    /// The router, to be served on a port.
    pub fn router(&self) -> Router {
        self.0.clone()
    }

    /// Sends a request.
    ///
    /// # Panics
    /// When the answer's body cannot be read.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        // The router's error type is infallible.
        let answer = self.0.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        }
    }

    /// Sends a request with a JSON body, or none.
    ///
    /// # Panics
    /// When method or path are malformed.
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        self.send(request.body(body).expect("a request")).await
    }
}
