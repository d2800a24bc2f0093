//! A job's trace, from the request that enqueues it to the one that acks it (OJS observability section 5), as a collector sees it.
//! One test: a process has one subscriber.
#![allow(clippy::unwrap_used)]

mod collector;
#[path = "api/support/mod.rs"]
mod support;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use collector::Collector;
use http::Request;
use ojs_api::auth::Keyring;
use ojs_telemetry::{Config, MetricsTo, Telemetry, TracesTo};
use ojs_testkit::TestStack;
use serde_json::{Value, json};
use support::{ACK, FETCH, JOBS, job_path};
use tower::ServiceExt;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_carries_its_trace_to_its_end() {
    let (collector, endpoint) = Collector::start().await;
    let traces = TracesTo { endpoint, service: "ojs-test".to_owned(), timeout: Duration::from_secs(10) };
    let config = Config {
        function: "api",
        stack: "t".to_owned(),
        in_lambda: false,
        metrics: MetricsTo::Off,
        traces: Some(traces),
    };
    let telemetry = Telemetry::start_with(Ok(config), Some(ojs_otlp::exporter)).unwrap();
    assert!(telemetry.has_traces());
    let stack = TestStack::start().await;
    let api = ojs_api::Api {
        engine: Arc::clone(&stack.engine),
        keys: Arc::new(Keyring::open()),
        max_body_bytes: 100_000,
        telemetry: telemetry.clone(),
        started: std::time::Instant::now(),
        running: ojs_api::Running::default(),
    };
    let router = ojs_api::router(api, axum::Router::new());
    let call = async |method: &str, path: &str, parent: Option<String>, body: Value| -> Value {
        let mut request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        if let Some(parent) = parent {
            request = request.header("traceparent", parent);
        }
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let answer = router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let bytes = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
        serde_json::from_slice(&bytes).unwrap()
    };

    let client = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let made = call("POST", JOBS, Some(client), json!({"type": "a", "args": [], "meta": {"mine": 1}})).await;
    let meta = &made["job"]["meta"];
    assert_eq!(meta["mine"], 1);
    let carried = meta["traceparent"].as_str().unwrap().to_owned();
    assert_eq!(&carried[3..35], TRACE, "the client's trace goes on");
    // One that has a context keeps it.
    let own = format!("00-{}-00f067aa0ba902b7-01", "a".repeat(32));
    let kept = json!({"type": "a", "args": [], "meta": {"traceparent": own}, "options": {"queue": "other"}});
    assert_eq!(call("POST", JOBS, None, kept).await["job"]["meta"]["traceparent"], own);
    let fetched = call("POST", FETCH, None, json!({"queues": ["default"]})).await;
    assert_eq!(fetched["jobs"][0]["meta"]["traceparent"], carried);
    let id = fetched["jobs"][0]["id"].as_str().unwrap().to_owned();
    call("POST", ACK, None, json!({"job_id": id})).await;
    call("GET", &job_path(&id), None, Value::Null).await;
    // A workflow's steps name both where the workflow and where the step before came from.
    let chain = json!({"type": "chain", "options": {"queue": "flow"}, "steps": [{"type": "a", "args": []}, {"type": "b", "args": []}]});
    let origin = format!("00-{}-00f067aa0ba902b7-01", "b".repeat(32));
    call("POST", "/ojs/v1/workflows", Some(origin.clone()), chain).await;
    let mut metas = Vec::new();
    for _ in 0..2 {
        let fetched = call("POST", FETCH, None, json!({"queues": ["flow"]})).await;
        let job = &fetched["jobs"][0];
        call("POST", ACK, None, json!({"job_id": job["id"]})).await;
        metas.push(job["meta"].clone());
    }
    let begun = metas[0]["ojs.workflow.trace_origin"].as_str().unwrap();
    assert_eq!(&begun[3..35], "b".repeat(32));
    assert_eq!(metas[1]["ojs.workflow.trace_origin"], begun);
    assert_ne!(metas[1]["traceparent"].as_str().unwrap()[3..35], begun[3..35], "the ack of the step before");
    telemetry.flush();

    assert!(!collector.spans("ojs.workflow advance").is_empty());
    let enqueue = &collector.spans(&format!("POST {JOBS}"))[0];
    assert_eq!(
        (hex(&enqueue.trace_id), hex(&enqueue.parent_span_id)),
        (TRACE.to_owned(), "00f067aa0ba902b7".to_owned())
    );
    assert_eq!(carried[36..52], hex(&enqueue.span_id), "the job was enqueued by that request");
    // AWS's calls are spans below it.
    let puts = collector.spans("DynamoDB.PutItem");
    assert!(puts.iter().any(|put| put.trace_id == enqueue.trace_id), "{puts:?}");
    assert!(!collector.spans("Amazon SQS.SendMessage").is_empty() || !collector.spans("SQS.SendMessage").is_empty());
    // Fetch and ack are traces of their own, linked to it.
    for path in [FETCH, ACK] {
        let span = &collector.spans(&format!("POST {path}"))[0];
        assert_ne!(hex(&span.trace_id), TRACE, "{path}");
        let links: Vec<String> = span.links.iter().map(|link| hex(&link.span_id)).collect();
        assert_eq!(links, [hex(&enqueue.span_id)], "{path}");
    }
    assert_eq!(collector.spans("GET /ojs/v1/jobs/{id}").len(), 1, "names are routes, not paths");
    assert!(collector.services().iter().all(|name| name.contains("ojs-test")));
    stack.stop().await;
}
