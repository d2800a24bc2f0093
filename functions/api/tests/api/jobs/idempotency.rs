//! `Idempotency-Key` of enqueues, batches and workflows (ADR 0039).
#![allow(clippy::unwrap_used)]

use crate::support;

use axum::body::Body;
use http::Request;
use ojs_testkit::Answer;
use serde_json::{Value, json};
use support::*;

const BATCH: &str = "/ojs/v1/jobs/batch";
const WORKFLOWS: &str = "/ojs/v1/workflows";
/// How long an answer is kept, ms.
const KEPT_MS: u64 = 25 * 3_600_000;

async fn keyed(app: &App, path: &str, body: &Value, key: &str) -> Answer {
    let request = Request::post(path).header("content-type", MEDIA_TYPE).header("idempotency-key", key);
    let answer = app.stack.http().send(request.body(Body::from(body.to_string())).unwrap()).await;
    assert_framed(&answer.headers, &answer.body);
    answer
}

fn job() -> Value {
    json!({"type": "a", "args": [18_446_744_073_709_551_615_u64], "options": {"queue": "q"}})
}

/// Requests, and how many jobs each makes at once.
fn requests() -> [(&'static str, Value, usize); 3] {
    [
        (JOBS, job(), 1),
        (BATCH, json!({"jobs": [job(), job()]}), 2),
        (WORKFLOWS, json!({"type": "chain", "steps": [job(), job()]}), 1),
    ]
}

async fn jobs(app: &App) -> usize {
    app.stack.engine.store().newest_jobs("q", 100).await.unwrap().len()
}

#[tokio::test]
async fn a_repetition_gets_the_first_answer_and_makes_nothing() {
    for (path, request, makes) in requests() {
        let app = App::start().await;
        let first = keyed(&app, path, &request, "k").await;
        assert_eq!((first.status.as_u16(), first.headers.get("idempotent-replayed")), (201, None), "{}", first.body);
        // The same members as without a key.
        let plain = app.post(path, request.clone()).await;
        let names = |answer: &Answer| {
            let inner = &answer.body[if path == WORKFLOWS { "workflow" } else { "job" }];
            let names = |value: &Value| value.as_object().map(|o| o.keys().cloned().collect::<Vec<_>>());
            (names(&answer.body), names(inner), names(&answer.body["jobs"][0]))
        };
        assert_eq!(names(&plain), names(&first));
        assert_eq!(jobs(&app).await, 2 * makes);
        // Whatever has become of it since.
        let fetched = app.post(FETCH, json!({"queues": ["q"], "count": 10})).await;
        assert_eq!(fetched.body["jobs"].as_array().unwrap().len(), 2 * makes, "{path}");
        app.advance(KEPT_MS - 1_000);
        let again = keyed(&app, path, &request, "k").await;
        assert_eq!((again.status, &again.body), (first.status, &first.body), "{path}");
        assert_eq!(again.headers["idempotent-replayed"], "true");
        for name in ["location", "x-ojs-batch-size"] {
            assert_eq!(again.headers.get(name), first.headers.get(name), "{path} {name}");
        }
        assert_eq!(jobs(&app).await, 2 * makes);
        // Kept for a day, not for ever.
        app.advance(2_000);
        let new = keyed(&app, path, &request, "k").await;
        assert_eq!((new.status.as_u16(), new.headers.get("idempotent-replayed")), (201, None));
        assert_ne!(new.body, first.body);
        app.stop().await;
    }
}

#[tokio::test]
async fn a_key_names_one_request() {
    let app = App::start().await;
    for (path, request, _) in requests() {
        assert_eq!(keyed(&app, path, &request, "k").await.status, 201, "one key for each path");
        let mut other = request.clone();
        other["meta"] = json!({"other": true});
        let other = if path == JOBS { other } else { json!({"x_other": 1, "jobs": [job()], "type": "group"}) };
        let answer = keyed(&app, path, &other, "k").await;
        assert_eq!((answer.status.as_u16(), answer.code()), (409, "conflict"), "{path}: {}", answer.body);
        assert_eq!(answer.body["error"]["details"]["reason"], "other_request");
        // The order of members does not matter; the key does.
        assert_eq!(keyed(&app, path, &request, "k2").await.status, 201);
        for key in ["", &"k".repeat(257)] {
            let answer = keyed(&app, path, &request, key).await;
            assert_eq!(
                (answer.status.as_u16(), &answer.body["error"]["details"]["field"]),
                (400, &json!("Idempotency-Key"))
            );
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn what_was_refused_may_be_sent_again() {
    let app = App::start().await;
    let unique = json!({"type": "a", "args": [], "options": {"unique": {}}});
    let holder = app.post(JOBS, unique.clone()).await;
    let refused = keyed(&app, JOBS, &unique, "k").await;
    assert_eq!((refused.status.as_u16(), refused.code()), (409, "duplicate"), "{}", refused.body);
    assert_eq!(refused.body["error"]["details"].get("index"), None);
    let id = text(&holder.body["job"]["id"]);
    assert_eq!(refused.body["error"]["details"]["existing_job_id"], json!(id));
    app.delete(&job_path(&id)).await;
    let made = keyed(&app, JOBS, &unique, "k").await;
    assert_eq!(made.status, 201, "{}", made.body);
    // A duplicate that is to be ignored is an answer.
    let mut ignore = unique.clone();
    ignore["options"]["unique"] = json!({"on_conflict": "ignore"});
    let first = keyed(&app, JOBS, &ignore, "k3").await;
    let again = keyed(&app, JOBS, &ignore, "k3").await;
    assert_eq!((first.status.as_u16(), &first.body["deduplicated"]), (200, &json!(true)), "{}", first.body);
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    let bad = keyed(&app, JOBS, &json!({"type": "a"}), "k4").await;
    assert_eq!(bad.body["error"]["details"]["field"], "args");
    app.stop().await;
}
