//! Rate limits and queue configuration over HTTP.
#![allow(clippy::unwrap_used)]

use crate::support;

use serde_json::{Value, json};
use support::*;

const LIMITS: &str = "/ojs/v1/rate-limits";

#[tokio::test]
async fn a_key_is_shown_overridden_and_listed() {
    let app = App::start().await;
    assert_eq!(app.get(&format!("{LIMITS}/api")).await.status, 404);
    let policy = json!({"key": "api", "concurrency": 5, "rate": {"limit": 100, "period": "PT1M"}});
    app.enqueue(json!({"rate_limit": policy})).await;
    assert_eq!(app.fetched(json!({"queues": ["default"]})).await.len(), 1);
    let shown = app.get(&format!("{LIMITS}/api")).await.body;
    assert_eq!(shown["key"], "api");
    assert_eq!(shown["waiting_count"], 0);
    assert_eq!(shown["concurrency"], json!({"limit": 5, "active": 1, "available": 4}));
    assert_eq!((&shown["rate"]["limit"], &shown["rate"]["current_count"]), (&json!(100), &json!(1)));

    let closed =
        app.call("PUT", &format!("{LIMITS}/api"), Some(json!({"concurrency": 0, "expires_at": "+PT1H"}))).await;
    assert_eq!(closed.status, 200, "{}", closed.body);
    assert_eq!(closed.body["override"]["concurrency"], 0);
    app.enqueue(json!({"rate_limit": policy})).await;
    assert_eq!(app.fetched(json!({"queues": ["default"]})).await.len(), 0);
    let open = app.delete(&format!("{LIMITS}/api")).await;
    assert_eq!((open.status.as_u16(), &open.body["override"]), (200, &Value::Null));

    let page = app.get(LIMITS).await.body;
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    assert_eq!(page["pagination"]["has_more"], json!(false));
    for (body, field) in [
        (json!({}), "$"),
        (json!({"concurrency": 1_001}), "concurrency"),
        (json!({"concurrency": 1, "expires_at": "2020-01-01T00:00:00Z"}), "expires_at"),
        (json!({"concurrency": 1, "burst": 2}), "burst"),
        (json!({"rate": {"limit": 1}}), "rate.period"),
    ] {
        let refused = app.call("PUT", &format!("{LIMITS}/api"), Some(body.clone())).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (400, "invalid_request"), "{body}");
        assert_eq!(refused.body["error"]["details"]["field"], field, "{body}");
    }
    assert_eq!(app.get(&format!("{LIMITS}/not%20a%20key")).await.status, 404);
    app.stop().await;
}

#[tokio::test]
async fn a_queue_is_configured_and_shown() {
    let app = App::start().await;
    let path = format!("{QUEUES}/payments/config");
    let config = json!({
        "concurrency": 20, "rate_limit": {"limit": 1_000, "period": "PT1H"}, "visibility_timeout": 300, "default_timeout": 60,
    });
    let put = app.call("PUT", &path, Some(config)).await;
    assert_eq!(put.status, 200, "{}", put.body);
    let wanted = json!({
        "concurrency": 20, "rate": {"limit": 1_000, "period": "PT1H"}, "visibility_timeout": 300, "default_timeout": 60,
    });
    for path in [path.as_str(), &format!("{QUEUES}/payments")] {
        let shown = app.get(path).await.body;
        assert_eq!(
            (&shown["name"], &shown["state"], &shown["config"]),
            (&json!("payments"), &json!("active"), &wanted)
        );
    }
    let names: Vec<_> =
        app.get(QUEUES).await.body["queues"].as_array().unwrap().iter().map(|q| q["name"].clone()).collect();
    assert_eq!(names, ["payments"]);
    for (body, status, code, field) in [
        (json!({"concurrency": "20"}), 400, "invalid_request", "concurrency"),
        (json!({"max_size": 5}), 422, "unsupported", "max_size"),
        (json!({"allowed_job_types": ["a"]}), 422, "unsupported", "allowed_job_types"),
    ] {
        let refused = app.call("PUT", &path, Some(body.clone())).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (status, code), "{body}");
        assert_eq!(refused.body["error"]["details"]["field"], field, "{body}");
    }
    app.stop().await;
}
