//! L1-RTR-014 as it must have been meant: every failure of a job stays in its history, with the type that was sent.
#![allow(clippy::unwrap_used)]

use crate::support;

use serde_json::json;
use support::{App, NACK};

#[tokio::test]
async fn every_error_is_kept_with_its_type_message_and_attempt() {
    let app = App::start().await;
    let retry = json!({
        "max_attempts": 4, "initial_interval": "PT1S", "backoff_coefficient": 1.0, "max_interval": "PT5M",
        "jitter": false, "non_retryable_errors": [], "on_exhaustion": "discard",
    });
    let id = app.enqueue(json!({"retry": retry})).await;
    let failures = [
        ("ConnectionTimeout", "Database connection timed out"),
        ("RateLimitExceeded", "API rate limit reached"),
        ("InternalServerError", "Unexpected null reference"),
    ];
    for (attempt, (kind, message)) in (1..).zip(failures) {
        app.take("worker", &id, attempt).await;
        let error = json!({"type": kind, "code": "handler_error", "message": message, "retryable": true});
        let nacked = app.done(NACK, json!({"job_id": id, "worker_id": "worker", "error": error})).await;
        assert_eq!((&nacked["state"], &nacked["attempt"]), (&json!("retryable"), &json!(attempt)));
        app.advance(1_200);
    }
    let errors = app.job(&id).await["errors"].clone();
    assert_eq!(errors.as_array().unwrap().len(), 3);
    for (i, (kind, message)) in failures.into_iter().enumerate() {
        assert_eq!(
            (&errors[i]["type"], &errors[i]["code"], &errors[i]["message"], &errors[i]["attempt"]),
            (&json!(kind), &json!("handler_error"), &json!(message), &json!(i + 1))
        );
    }
    app.stop().await;
}
