//! Batch enqueue over HTTP.
#![allow(clippy::unwrap_used)]

use crate::support;

use serde_json::{Value, json};
use support::*;

const BULK: &str = "/ojs/v1/jobs/bulk";
const BATCH: &str = "/ojs/v1/jobs/batch";

#[tokio::test]
async fn jobs_are_answered_in_their_order() {
    let app = App::start().await;
    let jobs: Vec<Value> = (0..12).map(|i| json!({"type": format!("t.n{i}"), "args": [i], "meta": {"i": i}})).collect();
    let answer = app.post(BATCH, json!({"jobs": jobs})).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert_eq!(answer.body["count"], 12);
    assert_eq!(answer.headers["x-ojs-batch-size"], "12");
    for (i, job) in answer.body["jobs"].as_array().unwrap().iter().enumerate() {
        assert_eq!((&job["args"], &job["state"], &job["meta"]["i"]), (&json!([i]), &json!("available"), &json!(i)));
        assert_eq!(app.job(job["id"].as_str().unwrap()).await, *job);
    }
    let one = app.post(BATCH, json!({"jobs": [{"type": "one", "args": []}]})).await;
    assert_eq!((one.status.as_u16(), &one.body["count"]), (201, &json!(1)));
    app.stop().await;
}

#[tokio::test]
async fn large_batches_are_answered_without_what_the_client_sent() {
    let app = App::start().await;
    // As a string in a string, each of these has four bytes for two.
    let large = "\"".repeat(20_000);
    let jobs: Vec<Value> = (0..100).map(|_| json!({"type": "large", "args": [large]})).collect();
    let answer = app.post(BATCH, json!({"jobs": jobs})).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    let job = &answer.body["jobs"][99];
    assert_eq!((&job["state"], &job["args"]), (&json!("available"), &Value::Null));
    assert_eq!(app.job(job["id"].as_str().unwrap()).await["args"], json!([large]));
    app.stop().await;
}

#[tokio::test]
async fn nothing_is_made_where_one_is_wrong() {
    let app = App::start().await;
    let good = json!({"type": "a", "args": []});
    let many: Vec<Value> = vec![good.clone(); 1_001];
    for (jobs, status, code) in [
        (json!([good, {"args": []}]), 400, "invalid_request"),
        (json!([good, {"type": "a", "args": [], "options": {"retry": {"max_attempts": -1}}}]), 422, "validation_error"),
        (json!([good, {"type": "a", "args": ["x".repeat(400_000)]}]), 413, "payload_too_large"),
        (json!([]), 400, "invalid_request"),
        (json!({"type": "a"}), 400, "invalid_request"),
        (Value::Null, 400, "invalid_request"),
        (json!(many), 413, "payload_too_large"),
    ] {
        app.refused(BATCH, json!({"jobs": jobs}), status, code).await;
    }
    // More SQS queues than a request may make.
    let wide: Vec<Value> =
        (0..101).map(|queue| json!({"type": "a", "args": [], "options": {"queue": format!("q{queue}")}})).collect();
    for path in [BATCH, BULK] {
        let details = app.refused(path, json!({"jobs": wide}), 400, "invalid_request").await;
        assert_eq!((&details["field"], &details["max"]), (&json!("jobs"), &json!(100)), "{path}");
    }
    let details = app.refused(BATCH, json!({"jobs": many}), 413, "payload_too_large").await;
    assert_eq!(details["max_batch_size"], 1_000);
    assert_eq!(app.get(QUEUES).await.body["queues"], json!([]));
    app.nothing_to_fetch().await;
    app.stop().await;
}
