//! Health tells the truth about both services, and the manifest claims no more than there is.
#![allow(clippy::unwrap_used)]

use crate::support;

use ojs_api::auth::ApiKeys;
use ojs_core::Settings;
use ojs_emulators::SqsFaults;
use ojs_fault_injection::{Fault, Plan, Service, Then};
use ojs_testkit::TestStack;
use serde_json::json;
use support::*;

const HEALTH: &str = "/ojs/v1/health";

#[tokio::test]
async fn a_healthy_stack_is_ok() {
    let app = App::start().await;
    let answer = app.get(HEALTH).await;
    assert_eq!(answer.status, 200);
    let body = &answer.body;
    assert_eq!((&body["status"], &body["version"]), (&json!("ok"), &json!("1.0")));
    assert!(body["uptime_seconds"].is_u64());
    let backend = &body["backend"];
    assert_eq!((&backend["type"], &backend["status"]), (&json!("dynamodb+sqs"), &json!("connected")));
    for part in [backend, &backend["dynamodb"], &backend["sqs"]] {
        assert!(part["latency_ms"].is_u64(), "{body}");
    }
    for part in ["dynamodb", "sqs"] {
        assert_eq!(backend[part]["status"], "ok");
        assert!(backend[part].get("error").is_none());
    }
    // Asking makes nothing.
    assert_eq!(app.get(QUEUES).await.body["queues"], json!([]));
    assert_eq!(app.stack.aws.sqs.counters().action("CreateQueue").calls, 0);
    app.stop().await;
}

#[tokio::test]
async fn services_that_do_not_answer_are_degraded() {
    let stack = TestStack::start().await;
    let (engine, wire) = stack.instance(1).await;
    let http = stack.http_on(&engine, ApiKeys::open());
    for fault in [Fault::Unavailable, Fault::Throttled, Fault::NotSent, Fault::LostAnswer] {
        wire.disturb(Plan { at: 0, fault, then: Then::Repeat });
        let answer = http.call("GET", HEALTH, None).await;
        wire.calm();
        assert_eq!(wire.disturbed_calls(), 2, "one call to each service");
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert_framed(&answer.headers, &answer.body);
        assert_eq!(answer.headers["retry-after"], "1");
        assert_eq!(
            (&answer.body["status"], &answer.body["backend"]["status"]),
            (&json!("degraded"), &json!("unavailable"))
        );
        for part in ["dynamodb", "sqs"] {
            assert_eq!(answer.body["backend"][part]["status"], "unavailable");
            assert!(answer.body["backend"][part]["error"].is_string());
        }
        assert_eq!(http.call("GET", HEALTH, None).await.status, 200, "it recovers");
    }
    stack.stop().await;
}

#[tokio::test]
async fn one_service_down_is_named() {
    let stack = TestStack::start().await;
    let (engine, wire) = stack.instance(1).await;
    let http = stack.http_on(&engine, ApiKeys::open());
    wire.meter();
    for at in [0, 1] {
        wire.disturb(Plan { at, fault: Fault::Unavailable, then: Then::Continue });
        let answer = http.call("GET", HEALTH, None).await;
        assert_eq!(answer.status, 503);
        let calls = wire.take_calls();
        // Both are asked at once; the log says which of them met the fault.
        let failed = calls.iter().find(|call| call.status == 503).unwrap();
        let (down, up) = if failed.service == Service::DynamoDb { ("dynamodb", "sqs") } else { ("sqs", "dynamodb") };
        assert_eq!(answer.body["backend"][down]["status"], "unavailable");
        assert_eq!(answer.body["backend"][up]["status"], "ok");
    }
    stack.stop().await;
}

#[tokio::test]
async fn the_manifest_claims_what_there_is() {
    let app = App::start().await;
    let answer = app.get("/ojs/manifest").await;
    assert_eq!(answer.status, 200);
    let manifest = answer.body;
    assert_eq!((&manifest["specversion"], &manifest["ojs_version"]), (&json!("1.0"), &json!("1.0")));
    assert_eq!(manifest["implementation"]["language"], "rust");
    assert!(manifest["implementation"]["name"].is_string() && manifest["implementation"]["version"].is_string());
    assert!(manifest["conformance_level"].as_u64().is_some_and(|level| level <= 4));
    assert_eq!(manifest["protocols"], json!(["http"]));
    let capabilities = manifest["capabilities"].as_object().unwrap();
    assert!(capabilities.values().all(serde_json::Value::is_boolean));
    for (method, path, capability) in [
        ("POST", "/ojs/v1/cron", "cron_jobs"),
        ("POST", "/ojs/v1/workflows", "workflows"),
        ("POST", "/ojs/v1/jobs/batch", "batch_enqueue"),
        ("POST", "/ojs/v1/queues/default/pause", "pause_resume"),
        ("GET", DEAD, "dead_letter"),
        ("GET", EVENTS, "events"),
    ] {
        let there = !matches!(app.call(method, path, Some(json!({}))).await.status.as_u16(), 404 | 405);
        assert_eq!(capabilities[capability], there, "{capability}");
    }
    // The limits are the ones that hold.
    let limits = &manifest["limits"];
    let count = limits["max_fetch_count"].as_u64().unwrap();
    assert!(app.fetched(json!({"queues": ["default"], "count": count})).await.is_empty());
    app.refused(FETCH, json!({"queues": ["default"], "count": count + 1}), 400, "invalid_request").await;
    assert_eq!(limits["max_envelope_bytes"], 300 * 1_024);
    assert_eq!(limits["max_meta_bytes"], 64 * 1_024);
    assert_eq!(limits["max_request_bytes"], ojs_api::config::MAX_BODY_BYTES);
    app.stop().await;
}

#[tokio::test]
async fn without_the_listing_index_there_are_no_events() {
    let settings = Settings { listing_index: false, ..Settings::default() };
    let stack = TestStack::start_with(settings, SqsFaults::default()).await;
    let http = stack.http();
    let manifest = http.call("GET", "/ojs/manifest", None).await;
    assert_eq!(manifest.body["capabilities"]["events"], false);
    let events = http.call("GET", EVENTS, None).await;
    assert_eq!((events.status.as_u16(), events.code()), (422, "unsupported"));
    stack.stop().await;
}
