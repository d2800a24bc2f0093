//! What the test files share: a stack with its HTTP API, and the checks that hold for every answer.
#![allow(clippy::unwrap_used, dead_code)]

use axum::body::Body;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use ojs_api::auth::Keyring;
use ojs_api::config::MAX_BODY_BYTES;
use ojs_model::time::format_ms;
use ojs_testkit::{Answer, Http, TestStack};
use serde_json::{Value, json};
use tower::ServiceExt;

pub(crate) const MEDIA_TYPE: &str = "application/openjobspec+json";
pub(crate) const JOBS: &str = "/ojs/v1/jobs";
pub(crate) const FETCH: &str = "/ojs/v1/workers/fetch";
pub(crate) const ACK: &str = "/ojs/v1/workers/ack";
pub(crate) const NACK: &str = "/ojs/v1/workers/nack";
pub(crate) const HEARTBEAT: &str = "/ojs/v1/workers/heartbeat";
pub(crate) const DEAD: &str = "/ojs/v1/dead-letter";
pub(crate) const QUEUES: &str = "/ojs/v1/queues";
pub(crate) const CRON: &str = "/ojs/v1/cron";
pub(crate) const EVENTS: &str = "/ojs/v1/events";
/// An id that no job has unless a test gives it to one.
pub(crate) const NOBODY: &str = "019461a8-1a2b-7c3d-8e4f-5a6b7c8d9e0f";

/// A stack and its HTTP API. Every answer that passes through here is checked for what all answers have.
pub(crate) struct App {
    pub(crate) stack: TestStack,
    http: Http,
}

impl App {
    pub(crate) async fn start() -> Self {
        let stack = TestStack::start().await;
        let http = stack.http();
        Self { stack, http }
    }

    pub(crate) async fn start_with(settings: ojs_core::Settings) -> Self {
        let stack = TestStack::start_with(settings, ojs_emulators::SqsFaults::default()).await;
        let http = stack.http();
        Self { stack, http }
    }

    pub(crate) async fn stop(self) {
        self.stack.stop().await;
    }

    pub(crate) fn advance(&self, ms: u64) {
        self.stack.clock.advance_ms(ms);
    }

    /// Now plus `ms`, as the API writes times.
    pub(crate) fn time(&self, ms: i64) -> Value {
        Value::String(format_ms(self.stack.engine.now_ms() + ms))
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let answer = self.http.call(method, path, body).await;
        assert_framed(&answer.headers, &answer.body);
        if answer.status.as_u16() >= 400 {
            assert_error(&answer);
        }
        answer
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, None).await
    }

    /// The body of a POST that must succeed.
    pub(crate) async fn done(&self, path: &str, body: Value) -> Value {
        let answer = self.post(path, body.clone()).await;
        assert!(answer.status.is_success(), "{path} {body}: {}", answer.body);
        answer.body
    }

    /// The `details` of a POST that must be refused in this way.
    pub(crate) async fn refused(&self, path: &str, body: Value, status: u16, code: &str) -> Value {
        let answer = self.post(path, body.clone()).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{path} {body}: {}", answer.body);
        answer.body["error"]["details"].clone()
    }

    /// Enqueues a job of type `test.job` with these options; its id.
    pub(crate) async fn enqueue(&self, options: Value) -> String {
        let job = self.create(json!({"type": "test.job", "args": [1], "options": options})).await;
        text(&job["id"])
    }

    /// Enqueues; the job of the answer.
    pub(crate) async fn create(&self, body: Value) -> Value {
        let answer = self.post(JOBS, body.clone()).await;
        assert_eq!(answer.status, 201, "{body}: {}", answer.body);
        answer.body["job"].clone()
    }

    /// A job that must be there.
    pub(crate) async fn job(&self, id: &str) -> Value {
        let answer = self.get(&job_path(id)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body["job"].clone()
    }

    pub(crate) async fn state(&self, id: &str) -> String {
        text(&self.job(id).await["state"])
    }

    /// The jobs that a fetch answers.
    pub(crate) async fn fetched(&self, request: Value) -> Vec<Value> {
        let body = self.done(FETCH, request).await;
        body["jobs"].as_array().expect("jobs").clone()
    }

    /// Fetches one job of `default` for a worker, under a lease of 30 s; it must be `id` in its attempt `attempt`.
    pub(crate) async fn take(&self, worker: &str, id: &str, attempt: u32) -> Value {
        let jobs =
            self.fetched(json!({"queues": ["default"], "worker_id": worker, "visibility_timeout_ms": 30_000})).await;
        assert_eq!(jobs.len(), 1, "worker {worker} wants job {id}: {jobs:?}");
        assert_eq!((&jobs[0]["id"], &jobs[0]["attempt"]), (&json!(id), &json!(attempt)));
        assert_eq!(jobs[0]["state"], "active");
        jobs[0].clone()
    }

    /// Nothing of `default` can be fetched.
    pub(crate) async fn nothing_to_fetch(&self) {
        let jobs = self.fetched(json!({"queues": ["default"], "count": 10, "worker_id": "nobody"})).await;
        assert!(jobs.is_empty(), "{jobs:?}");
    }

    /// Enqueues a dead letter; its id.
    pub(crate) async fn kill(&self, queue: &str) -> String {
        let retry = json!({"max_attempts": 1, "on_exhaustion": "dead_letter"});
        let id = self.enqueue(json!({"queue": queue, "retry": retry})).await;
        let jobs = self.fetched(json!({"queues": [queue], "worker_id": "killer"})).await;
        assert_eq!(jobs[0]["id"], *id);
        let nacked = self.done(NACK, json!({"job_id": id, "error": {"code": "x", "message": "m"}})).await;
        assert_eq!(nacked["state"], "discarded");
        id
    }

    /// A page of dead letters: ids and next cursor.
    pub(crate) async fn dead(&self, query: &str) -> (Vec<String>, Option<String>) {
        let answer = self.get(&format!("{DEAD}?{query}")).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let jobs = answer.body["jobs"].as_array().unwrap();
        let pagination = &answer.body["pagination"];
        assert_eq!(pagination["has_more"], pagination["next_cursor"].is_string());
        let cursor = pagination["next_cursor"].as_str().map(str::to_owned);
        (jobs.iter().map(|job| text(&job["id"])).collect(), cursor)
    }
}

pub(crate) fn job_path(id: &str) -> String {
    format!("{JOBS}/{id}")
}

/// Ids that no job has, each another.
pub(crate) fn ids(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("019461a8-1a2b-7c3d-8e4f-{i:012x}")).collect()
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no string")).to_owned()
}

/// What every answer has: the four standard headers, and a JSON object as its body.
pub(crate) fn assert_framed(headers: &HeaderMap, body: &Value) {
    for (name, value) in [
        ("ojs-version", "1.0"),
        ("x-ojs-version", "1.0"),
        ("x-ojs-media-type", MEDIA_TYPE),
        ("content-type", MEDIA_TYPE),
    ] {
        let all: Vec<_> = headers.get_all(name).iter().collect();
        assert_eq!(all, [value], "{name}");
    }
    assert!(headers.get("x-request-id").is_some_and(|id| !id.is_empty()), "no X-Request-Id");
    assert!(body.is_object(), "the body is no JSON object");
}

/// What every error has.
pub(crate) fn assert_error(answer: &Answer) {
    let error = &answer.body["error"];
    for name in ["code", "type", "message", "hint", "docs_url", "doc_url", "request_id"] {
        assert!(error[name].as_str().is_some_and(|text| !text.is_empty()), "no {name}: {}", answer.body);
    }
    assert_eq!(error["code"], error["type"]);
    assert_eq!(error["docs_url"], error["doc_url"]);
    assert!(error["details"].is_object());
    assert_eq!(error["request_id"], *answer.headers["x-request-id"].to_str().unwrap());
    let retryable = matches!(answer.status.as_u16(), 429 | 500..);
    assert_eq!(error["retryable"], retryable, "{}", answer.body);
    assert_eq!(answer.headers.contains_key("retry-after"), matches!(answer.status.as_u16(), 429 | 503));
}

/// An answer with its body as the text that came.
pub(crate) struct RawAnswer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

/// Sends a request to the stack's API and keeps the text of the answer.
pub(crate) async fn send_raw(stack: &TestStack, request: Request<Body>) -> RawAnswer {
    let api = ojs_api::Api {
        engine: stack.engine.clone(),
        keys: std::sync::Arc::new(Keyring::open()),
        max_body_bytes: MAX_BODY_BYTES,
        telemetry: ojs_telemetry::Telemetry::default(),
        started: std::time::Instant::now(),
        running: ojs_api::Running::default(),
    };
    let router = ojs_api::router(api, axum::Router::new());
    let (parts, body) = router.oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    RawAnswer {
        status: parts.status,
        headers: parts.headers,
        text: String::from_utf8(body.to_vec()).expect("answers are UTF-8"),
    }
}

/// A request with a JSON body as bytes.
pub(crate) fn request(method: &str, path: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::builder().method(method).uri(path).header("content-type", MEDIA_TYPE);
    request.body(body.into()).unwrap()
}
