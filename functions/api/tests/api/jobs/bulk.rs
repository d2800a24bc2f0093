//! Bulk operations over HTTP.
#![allow(clippy::unwrap_used)]

use crate::support;

use axum::body::Body;
use http::Request;
use ojs_testkit::Answer;
use serde_json::{Value, json};
use support::*;

const BULK: &str = "/ojs/v1/jobs/bulk";
const CANCEL: &str = "/ojs/v1/jobs/bulk/cancel";
const RETRY: &str = "/ojs/v1/jobs/bulk/retry";
const DELETE: &str = "/ojs/v1/jobs/bulk/delete";

/// A bulk request, under an idempotency key if it has one. An answer with items is no error, whatever its status.
async fn keyed(app: &App, path: &str, body: &Value, key: Option<&str>) -> Answer {
    let mut request = Request::builder().method("POST").uri(path).header("content-type", MEDIA_TYPE);
    if let Some(key) = key {
        request = request.header("Idempotency-Key", key);
    }
    let answer = app.stack.http().send(request.body(Body::from(body.to_string())).unwrap()).await;
    assert_framed(&answer.headers, &answer.body);
    if let Some(items) = answer.body["items"].as_array() {
        assert_eq!(answer.headers["x-ojs-batch-size"], items.len().to_string());
        for (index, item) in items.iter().enumerate() {
            assert_eq!(item["index"], index);
            assert_eq!(item["error"].is_object(), item["status"] == "failed", "{item}");
            assert_eq!(item["reason"].is_string(), item["status"] == "skipped" && path != BULK, "{item}");
        }
    }
    answer
}

async fn bulk(app: &App, path: &str, body: Value) -> Answer {
    keyed(app, path, &body, None).await
}

fn statuses(answer: &Answer) -> Vec<&str> {
    answer.body["items"].as_array().unwrap().iter().map(|item| item["status"].as_str().unwrap()).collect()
}

fn job(kind: &str) -> Value {
    json!({"type": kind, "args": []})
}

#[tokio::test]
async fn jobs_are_made_each_with_its_result() {
    let app = App::start().await;
    let answer = bulk(
        &app,
        BULK,
        json!({"jobs": [
            {"type": "user.import", "queue": "imports", "args": [{"user_id": "u_001"}], "priority": 3},
            {"type": "user.import", "args": [2], "options": {"queue": "imports", "scheduled_at": "+PT1H"}},
            {"type": "user.import", "args": [3], "options": {"queue": "imports", "unique": {}}},
        ]}),
    )
    .await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert_eq!(
        (&answer.body["total"], &answer.body["succeeded"], &answer.body["failed"]),
        (&json!(3), &json!(3), &json!(0))
    );
    assert_eq!(statuses(&answer), ["created"; 3]);
    let items = &answer.body["items"];
    for (index, state) in ["available", "scheduled", "available"].into_iter().enumerate() {
        let made = &items[index]["job"];
        assert_eq!((&made["type"], &made["state"]), (&json!("user.import"), &json!(state)));
        assert_eq!(app.job(&text(&made["id"])).await["queue"], "imports");
    }
    assert_eq!(items[0]["job"]["priority"], 3);

    // One that is a duplicate, to be ignored or not.
    let unique =
        |conflict| json!({"type": "user.import", "args": [], "options": {"unique": {"on_conflict": conflict}}});
    let answer = bulk(&app, BULK, json!({"jobs": [unique("ignore"), job("x")]})).await;
    assert_eq!((answer.status.as_u16(), statuses(&answer)), (201, vec!["duplicate", "created"]), "{}", answer.body);
    assert_eq!(answer.body["items"][0]["job"]["id"], items[2]["job"]["id"]);
    let jobs = json!([job("a"), {"type": "", "args": []}, unique("reject"), job("b")]);
    let answer = bulk(&app, BULK, json!({"jobs": jobs, "atomicity": "partial"})).await;
    assert_eq!(answer.status, 207, "{}", answer.body);
    assert_eq!(statuses(&answer), ["created", "failed", "failed", "created"]);
    assert_eq!((&answer.body["succeeded"], &answer.body["failed"]), (&json!(2), &json!(2)));
    let error = &answer.body["items"][1]["error"];
    assert_eq!((&error["code"], &error["details"]["field"]), (&json!("invalid_request"), &json!("jobs[1].type")));
    let error = &answer.body["items"][2]["error"];
    assert_eq!((&error["code"], &error["retryable"]), (&json!("duplicate"), &json!(false)));
    assert_eq!(error["details"]["existing_job_id"], items[2]["job"]["id"]);
    let fetched = app.fetched(json!({"queues": ["default"], "count": 10})).await;
    assert_eq!(fetched.len(), 3, "x, a and b");

    for jobs in [json!([{"args": []}]), json!([unique("reject")]), json!([5, unique("reject")])] {
        let answer = bulk(&app, BULK, json!({"jobs": jobs})).await;
        assert_eq!((answer.status.as_u16(), &answer.body["succeeded"]), (422, &json!(0)), "{}", answer.body);
        assert!(statuses(&answer).iter().all(|status| *status == "failed"));
    }
    app.stop().await;
}

#[tokio::test]
async fn atomic_requests_are_rolled_back() {
    let app = App::start().await;
    let answer = bulk(&app, BULK, json!({"jobs": [job("a"), job("b")], "atomicity": "atomic"})).await;
    assert_eq!((answer.status.as_u16(), statuses(&answer)), (201, vec!["created"; 2]));
    assert_eq!(app.fetched(json!({"queues": ["default"], "count": 10})).await.len(), 2);
    let unique = json!({"type": "u", "args": [], "options": {"unique": {}}});
    app.create(unique.clone()).await;
    assert_eq!(app.fetched(json!({"queues": ["default"], "count": 10})).await.len(), 1);
    for (jobs, wanted) in [
        (
            json!([job("c"), {"args": []}, job("d"), {"type": "", "args": []}]),
            vec!["skipped", "failed", "skipped", "failed"],
        ),
        (json!([job("c"), job("d"), unique]), vec!["skipped", "skipped", "failed"]),
        (json!([unique]), vec!["failed"]),
    ] {
        let answer = bulk(&app, BULK, json!({"jobs": jobs, "atomicity": "atomic"})).await;
        assert_eq!((answer.status.as_u16(), statuses(&answer)), (422, wanted), "{}", answer.body);
        assert_eq!(answer.body["succeeded"], 0);
        app.nothing_to_fetch().await;
    }
    app.stop().await;
}

#[tokio::test]
async fn jobs_are_changed_each_with_its_result() {
    let app = App::start().await;
    let (one, two, ended) = (
        app.enqueue(json!({})).await,
        app.enqueue(json!({"scheduled_at": "+PT1H"})).await,
        app.enqueue(json!({})).await,
    );
    app.delete(&job_path(&ended)).await;
    let answer = bulk(&app, CANCEL, json!({"job_ids": [one, ended, NOBODY, two]})).await;
    assert_eq!(answer.status, 207, "{}", answer.body);
    let error = answer.body["items"][2]["error"].clone();
    assert_eq!(error["code"], "not_found");
    assert_eq!(
        answer.body,
        json!({"total_matched": 4, "cancelled": 2, "skipped": 1, "failed": 1, "items": [
            {"index": 0, "job_id": one, "status": "cancelled"},
            {"index": 1, "job_id": ended, "status": "skipped", "reason": "Job is in cancelled state"},
            {"index": 2, "job_id": NOBODY, "status": "failed", "error": error},
            {"index": 3, "job_id": two, "status": "cancelled"},
        ]})
    );
    let again = bulk(&app, CANCEL, json!({"job_ids": [one, two]})).await;
    assert_eq!((again.status.as_u16(), &again.body["skipped"]), (422, &json!(2)));

    let answer = bulk(&app, RETRY, json!({"job_ids": [one]})).await;
    assert_eq!((answer.status.as_u16(), &answer.body["retried"]), (422, &json!(0)), "{}", answer.body);
    assert_eq!(answer.body["items"][0]["error"]["details"]["current_state"], "cancelled");
    let dead = app.kill("reports").await;
    let answer = bulk(&app, RETRY, json!({"filter": {"queue": "reports"}})).await;
    assert_eq!((answer.status.as_u16(), &answer.body["retried"]), (200, &json!(1)), "{}", answer.body);
    assert_eq!(app.state(&dead).await, "available");

    let answer = bulk(&app, DELETE, json!({"job_ids": [one, two, dead]})).await;
    assert_eq!((answer.status.as_u16(), &answer.body["deleted"]), (207, &json!(2)), "{}", answer.body);
    assert_eq!(statuses(&answer), ["deleted", "deleted", "failed"]);
    assert_eq!(app.get(&job_path(&one)).await.status, 404);
    let answer = bulk(&app, DELETE, json!({"filter": {"queue": "default"}})).await;
    assert_eq!((answer.status.as_u16(), &answer.body["deleted"]), (200, &json!(1)), "{}", answer.body);
    // Nothing matches: nothing went wrong.
    let answer = bulk(&app, CANCEL, json!({"filter": {"queue": "nobody"}})).await;
    assert_eq!((answer.status.as_u16(), &answer.body["items"]), (200, &json!([])));
    assert!(answer.body.get("truncated").is_none());
    app.stop().await;
}

#[tokio::test]
async fn bad_requests_are_refused() {
    let app = App::start().await;
    let many_jobs: Vec<Value> = vec![job("a"); 1_001];
    let enough: Vec<Value> = many_jobs[..100].to_vec();
    for (path, body, status, code, field) in [
        (BULK, json!({}), 400, "invalid_request", Some("jobs")),
        (BULK, json!({"jobs": []}), 400, "invalid_request", Some("jobs")),
        (BULK, json!({"jobs": 5}), 400, "invalid_request", Some("jobs")),
        (BULK, json!({"jobs": [job("a")], "atomicity": "both"}), 400, "invalid_request", Some("atomicity")),
        (BULK, json!({"jobs": [job("a")], "atomicity": true}), 400, "invalid_request", Some("atomicity")),
        (BULK, json!({"jobs": [job("a")], "idempotency_key": ""}), 400, "invalid_request", Some("idempotency_key")),
        (
            BULK,
            json!({"jobs": [job("a")], "idempotency_key": "k".repeat(257)}),
            400,
            "invalid_request",
            Some("idempotency_key"),
        ),
        (BULK, json!({"jobs": [job("a")], "idempotency_key": 5}), 400, "invalid_request", Some("idempotency_key")),
        (BULK, json!({"jobs": many_jobs}), 413, "payload_too_large", None),
        (CANCEL, json!({}), 400, "invalid_request", Some("job_ids")),
        (CANCEL, json!({"job_ids": []}), 400, "invalid_request", Some("job_ids")),
        (CANCEL, json!({"job_ids": [NOBODY, "x"]}), 400, "invalid_request", Some("job_ids[1]")),
        (CANCEL, json!({"job_ids": [NOBODY, NOBODY]}), 400, "invalid_request", Some("job_ids[1]")),
        (CANCEL, json!({"job_ids": [NOBODY], "filter": {"queue": "a"}}), 400, "invalid_request", Some("job_ids")),
        (CANCEL, json!({"filter": {"type": "a"}}), 400, "invalid_request", Some("filter.queue")),
        (CANCEL, json!({"filter": {"queue": "a", "state": ["active"]}}), 400, "invalid_request", Some("filter.state")),
        (
            RETRY,
            json!({"filter": {"queue": "a", "state": ["completed"]}}),
            400,
            "invalid_request",
            Some("filter.state"),
        ),
        (
            DELETE,
            json!({"filter": {"queue": "a", "state": ["available"]}}),
            400,
            "invalid_request",
            Some("filter.state"),
        ),
        (DELETE, json!({"filter": {"queue": "a", "tpye": "x"}}), 400, "invalid_request", Some("filter.tpye")),
        (CANCEL, json!({"job_ids": [NOBODY], "atomicity": "atomic"}), 422, "unsupported", Some("atomicity")),
        (RETRY, json!({"job_ids": [NOBODY], "atomicity": "atomic"}), 422, "unsupported", Some("atomicity")),
        (DELETE, json!({"job_ids": [NOBODY], "atomicity": "atomic"}), 422, "unsupported", Some("atomicity")),
        (DELETE, json!({"job_ids": ids(1_001)}), 413, "payload_too_large", None),
    ] {
        let details = app.refused(path, body, status, code).await;
        assert!(field.is_none_or(|field| details["field"] == field), "{path} {field:?}: {details}");
    }
    for (path, body) in [(BULK, json!({"jobs": many_jobs})), (CANCEL, json!({"job_ids": ids(1_001)}))] {
        let answer = app.post(path, body).await;
        assert_eq!(answer.headers["x-ojs-max-batch-size"], "1000");
        assert_eq!(answer.body["error"]["details"]["max_batch_size"], 1_000);
    }
    let answer = keyed(&app, BULK, &json!({"jobs": [job("a")]}), Some(&"k".repeat(257))).await;
    assert_eq!((answer.status.as_u16(), &answer.body["error"]["details"]["field"]), (400, &json!("Idempotency-Key")));
    assert_eq!(app.get(QUEUES).await.body["queues"], json!([]));
    assert_eq!(app.get(BULK).await.status, 405);
    let answer = bulk(&app, BULK, json!({"jobs": enough})).await;
    assert_eq!(answer.status, 201);
    app.stop().await;
}

#[tokio::test]
async fn a_request_with_a_key_happens_once() {
    let app = App::start().await;
    let body = json!({"jobs": [job("a"), {"args": []}, job("b")]});
    let first = keyed(&app, BULK, &body, Some("import-42")).await;
    assert_eq!((first.status.as_u16(), statuses(&first)), (207, vec!["created", "failed", "created"]));
    assert!(!first.headers.contains_key("idempotent-replayed"));
    // Members in another order, and the key in the body.
    let mut in_body = body.clone();
    in_body["idempotency_key"] = json!("import-42");
    for (body, key) in [(&body, Some("import-42")), (&in_body, None), (&in_body, Some("import-42"))] {
        let again = keyed(&app, BULK, body, key).await;
        assert_eq!((again.status, &again.body), (first.status, &first.body));
        assert_eq!(again.headers["idempotent-replayed"], "true");
        assert_eq!(again.headers["x-ojs-batch-size"], "3");
    }
    assert_eq!(app.fetched(json!({"queues": ["default"], "count": 10})).await.len(), 2);
    // The header's key takes precedence over the body's.
    let other = keyed(&app, BULK, &in_body, Some("import-43")).await;
    assert_eq!(other.status, 207);
    assert_ne!(other.body, first.body);
    let conflict = keyed(&app, BULK, &json!({"jobs": [job("a")]}), Some("import-42")).await;
    assert_eq!((conflict.status.as_u16(), conflict.code()), (409, "conflict"), "{}", conflict.body);

    // Each operation has keys of its own, and what was refused as a whole takes none up.
    let id = text(&first.body["items"][0]["job"]["id"]);
    assert_eq!(keyed(&app, CANCEL, &json!({"job_ids": []}), Some("import-42")).await.status, 400);
    let cancel = json!({"job_ids": [id]});
    let cancelled = keyed(&app, CANCEL, &cancel, Some("import-42")).await;
    assert_eq!((cancelled.status.as_u16(), statuses(&cancelled)), (200, vec!["cancelled"]));
    let again = keyed(&app, CANCEL, &cancel, Some("import-42")).await;
    assert_eq!((again.status, &again.body), (cancelled.status, &cancelled.body));
    assert_eq!(again.headers["idempotent-replayed"], "true");
    for path in [RETRY, DELETE] {
        let one = keyed(&app, path, &cancel, Some("import-42")).await;
        let two = keyed(&app, path, &cancel, Some("import-42")).await;
        assert_eq!((one.status, &one.body), (two.status, &two.body), "{path}");
        assert!(two.headers.contains_key("idempotent-replayed"));
    }

    // Kept for a day, and not for ever.
    app.advance(24 * 3_600_000);
    assert!(keyed(&app, BULK, &body, Some("import-42")).await.headers.contains_key("idempotent-replayed"));
    app.advance(2 * 3_600_000);
    let anew = keyed(&app, BULK, &body, Some("import-42")).await;
    assert!(!anew.headers.contains_key("idempotent-replayed"));
    assert_ne!(anew.body, first.body);
    app.stop().await;
}

#[tokio::test]
async fn a_thousand_jobs_are_made_once() {
    let app = App::start().await;
    let jobs: Vec<Value> =
        (0..1_000).map(|i| json!({"type": "t", "args": [i], "options": {"queue": "q".repeat(128)}})).collect();
    let body = json!({"jobs": jobs});
    let first = keyed(&app, BULK, &body, Some("k")).await;
    assert_eq!((first.status.as_u16(), &first.body["succeeded"]), (201, &json!(1_000)));
    // Too large to be kept in full.
    let again = keyed(&app, BULK, &body, Some("k")).await;
    assert_eq!((again.status.as_u16(), &again.body["succeeded"]), (201, &json!(1_000)));
    for (first, again) in first.body["items"].as_array().unwrap().iter().zip(again.body["items"].as_array().unwrap()) {
        for name in ["id", "state"] {
            assert_eq!(first["job"][name], again["job"][name]);
        }
    }
    let answer = bulk(&app, CANCEL, json!({"filter": {"queue": "q".repeat(128)}})).await;
    assert_eq!((answer.status.as_u16(), &answer.body["cancelled"]), (200, &json!(1_000)));
    app.stop().await;
}
