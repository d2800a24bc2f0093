//! What enters and leaves Lambda: answers as `lambda_http` writes them, and the function's own deadline.

use std::time::Instant;

use axum::body::Body;
use http::Request;
use lambda_http::lambda_runtime::{Context, LambdaEvent};
use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, Service};
use ojs_api::auth::Keyring;
use ojs_api::{Api, Invocation, router};
use ojs_core::engine::MAX_ANSWER_BYTES;
use ojs_model::json::escaped_bytes;
use ojs_testkit::{TestStack, fields};
use serde_json::{Value, json};

use crate::support::send_raw;

/// The largest answer that Lambda takes from a function, bytes.
const LAMBDA_BYTES: usize = 6_291_556;

/// What leaves the function for a request, as it leaves it.
async fn invoke(stack: &TestStack, method: &str, path: &str, body: &Value) -> String {
    let api = Api {
        engine: stack.engine.clone(),
        keys: std::sync::Arc::new(Keyring::open()),
        max_body_bytes: ojs_api::config::MAX_BODY_BYTES,
        telemetry: ojs_telemetry::Telemetry::default(),
        started: Instant::now(),
        running: ojs_api::Running::default(),
    };
    let event = json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "",
        "headers": {"content-type": "application/json"},
        "requestContext": {
            "accountId": "0", "apiId": "a", "domainName": "d", "domainPrefix": "d", "requestId": "r",
            "routeKey": "$default", "stage": "$default", "time": "01/Jan/2026:00:00:00 +0000", "timeEpoch": 0,
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "t"}
        },
        "body": body.to_string(), "isBase64Encoded": false
    });
    let event: LambdaRequest = serde_json::from_str(&event.to_string()).unwrap();
    let mut adapter = Adapter::from(router(api, axum::Router::new()));
    let answer = adapter.call(LambdaEvent::new(event, Context::default())).await.unwrap();
    serde_json::to_string(&answer).unwrap()
}

/// The status and body of an answer.
fn read(answer: &str) -> (u64, String) {
    let answer: Value = serde_json::from_str(answer).unwrap();
    assert_eq!(answer["isBase64Encoded"], false);
    (answer["statusCode"].as_u64().unwrap(), answer["body"].as_str().unwrap().to_owned())
}

/// Jobs as large as they may be, whose text doubles in a JSON string: a fetch claims more than it can answer.
#[tokio::test]
async fn a_large_fetch_fits_and_what_does_not_fit_loses_no_attempt() {
    let stack = TestStack::start().await;
    let args = json!(["\\".repeat(140_000)]);
    for _ in 0..16 {
        let request = json!({"type": "large", "args": args, "options": {"retry": {"max_attempts": 1}}});
        stack.engine.enqueue(fields(&request)).await.unwrap();
    }
    let mut answered = 0;
    for _ in 0..8 {
        let fetch = json!({"queues": ["default"], "count": 100});
        let answer = invoke(&stack, "POST", "/ojs/v1/workers/fetch", &fetch).await;
        assert!(answer.len() <= LAMBDA_BYTES, "{} bytes", answer.len());
        let (status, body) = read(&answer);
        assert_eq!(status, 200, "{body}");
        // What is counted is what leaves.
        assert!(escaped_bytes(body.as_bytes()) <= MAX_ANSWER_BYTES + 100);
        assert!(answer.len() - escaped_bytes(body.as_bytes()) < LAMBDA_BYTES - MAX_ANSWER_BYTES);
        let body: Value = serde_json::from_str(&body).unwrap();
        let jobs = body["jobs"].as_array().unwrap();
        assert!(jobs.iter().all(|job| job["attempt"] == 1));
        answered += jobs.len();
        if jobs.is_empty() {
            break;
        }
    }
    assert_eq!(answered, 16);
    stack.stop().await;
}

/// Lambda says when it kills the function; with a margin before that, no more calls are made.
#[tokio::test]
async fn the_function_s_own_deadline_counts() {
    let stack = TestStack::start().await;
    let id = stack.enqueue(json!({})).await.id;
    let now = stack.engine.now_ms();
    for (killed_in_ms, status) in [(10_000, 200), (400, 503)] {
        let invocation = Invocation { request_id: "r".to_owned(), deadline_ms: Some(now + killed_in_ms) };
        let request = Request::get(format!("/ojs/v1/jobs/{id}")).extension(invocation).body(Body::empty()).unwrap();
        let answer = send_raw(&stack, request).await;
        assert_eq!(answer.status.as_u16(), status, "{}", answer.text);
        assert_eq!(answer.headers.contains_key("retry-after"), status == 503);
    }
    stack.stop().await;
}
