//! `GET /metrics` (OJS observability section 8). One test: a process has one recorder.
#![allow(clippy::unwrap_used)]

#[path = "api/support/mod.rs"]
mod support;

use std::sync::Arc;

use axum::body::Body;
use http::Request;
use ojs_api::auth::{ApiKeys, Keyring};
use ojs_telemetry::{Config, MetricsTo, Telemetry};
use ojs_testkit::TestStack;
use support::*;
use tower::ServiceExt;

#[tokio::test]
async fn numbers_are_told_to_whoever_may_read() {
    let config = Config {
        function: "local",
        stack: "t".to_owned(),
        in_lambda: false,
        metrics: MetricsTo::Prometheus,
        traces: None,
    };
    // Before the clients are made: they are counted only then.
    let telemetry = Telemetry::start_with(Ok(config), None).unwrap();
    let stack = TestStack::start().await;
    let api = |telemetry: &Telemetry, keys| ojs_api::Api {
        engine: Arc::clone(&stack.engine),
        keys: Arc::new(keys),
        max_body_bytes: 100_000,
        telemetry: telemetry.clone(),
        started: std::time::Instant::now(),
        running: ojs_api::Running::default(),
    };
    let router = ojs_api::router(api(&telemetry, Keyring::open()), axum::Router::new());
    let call = async |method: &str, path: &str, body: &str| {
        let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        let answer = router.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        let bytes = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
        (kind, String::from_utf8(bytes.to_vec()).unwrap())
    };

    for _ in 0..3 {
        call("POST", JOBS, r#"{"type": "mail.send", "args": [], "options": {"queue": "mail"}}"#).await;
    }
    let (_, fetched) = call("POST", FETCH, r#"{"queues": ["mail"]}"#).await;
    let fetched: serde_json::Value = serde_json::from_str(&fetched).unwrap();
    call("POST", ACK, &format!(r#"{{"job_id": {}}}"#, fetched["jobs"][0]["id"])).await;
    let (kind, text) = call("GET", "/metrics", "").await;
    assert_eq!(kind, "text/plain; version=0.0.4");
    for line in [
        r#"ojs_job_enqueued_total{queue="mail",type="mail.send"} 3"#,
        r#"ojs_job_started_total{queue="mail",type="mail.send"} 1"#,
        r#"ojs_job_completed_total{queue="mail",type="mail.send"} 1"#,
        r#"ojs_job_queue_time_seconds_bucket{queue="mail",type="mail.send",le="0.01"}"#,
        r#"ojs_queue_depth{queue="mail",state="available"} 2"#,
        r#"http_server_request_duration_seconds_count{method="POST",route="/ojs/v1/jobs",status="201"} 3"#,
        r#"ojs_aws_calls_total{service="DynamoDB",operation="PutItem",outcome="ok"}"#,
        r#"ojs_aws_calls_total{service="SQS",operation="SendMessage",outcome="ok"} 3"#,
        "# HELP ojs_job_enqueued_total Jobs enqueued.",
    ] {
        assert!(text.contains(line), "{line} is not in:\n{text}");
    }
    // Puts of 2 units each, one claim, an ack and its count.
    let value = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name} in {text}"));
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    assert!(value("ojs_aws_write_milliunits_total ") >= 9_000.0, "{text}");
    assert!(value("ojs_aws_cost_nanodollars_total ") >= 9.0 * 625.0 + 5.0 * 400.0, "{text}");

    // A worker's key does not read.
    let keys = r#"{"keys": [{"name": "w", "roles": ["worker"], "key": "key-of-a-worker"}]}"#;
    let shut = ojs_api::router(api(&telemetry, Keyring::fixed(ApiKeys::parse(keys).unwrap())), axum::Router::new());
    let request = Request::get("/metrics").header("authorization", "Bearer key-of-a-worker");
    assert_eq!(shut.oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status(), 403);
    // Where they go elsewhere, there is no such route.
    let none = ojs_api::router(api(&Telemetry::default(), Keyring::open()), axum::Router::new());
    let request = Request::get("/metrics").body(Body::empty()).unwrap();
    assert_eq!(none.oneshot(request).await.unwrap().status(), 404);
    stack.stop().await;
}
