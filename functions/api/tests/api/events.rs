//! The event feed: what happened to which job and when, filtered, in an order that a cursor can follow.
#![allow(clippy::unwrap_used)]

use crate::support;

use ojs_model::JobId;
use serde_json::{Value, json};
use support::*;

async fn events(app: &App, query: &str) -> Vec<Value> {
    let answer = app.get(&format!("{EVENTS}?{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body["events"].as_array().unwrap().clone()
}

fn types(events: &[Value]) -> Vec<String> {
    events.iter().map(|event| text(&event["type"])).collect()
}

/// The life of a job that fails once and is completed at the second attempt, 10 ms between the steps.
async fn a_life(app: &App, queue: &str) -> String {
    let retry = json!({"jitter": false, "initial_interval": "PT1S"});
    let id = app.enqueue(json!({"queue": queue, "retry": retry})).await;
    app.advance(10);
    app.fetched(json!({"queues": [queue], "worker_id": "w"})).await;
    app.advance(10);
    let error = json!({"type": "IoError", "code": "handler_error", "message": "no route"});
    app.done(NACK, json!({"job_id": id, "error": error})).await;
    app.advance(1_000);
    app.fetched(json!({"queues": [queue], "worker_id": "w"})).await;
    app.advance(70);
    app.done(ACK, json!({"job_id": id})).await;
    id
}

#[tokio::test]
async fn a_life_is_told() {
    let app = App::start().await;
    assert_eq!(app.get(EVENTS).await.body, json!({"events": [], "has_more": false}));
    let start = app.stack.engine.now_ms();
    let id = a_life(&app, "default").await;
    let told = events(&app, "").await;
    let at = |ms: i64| json!(ojs_model::time::format_ms(start + ms));
    let data = |more: Value| {
        let mut data = json!({"job_id": id, "job_type": "test.job", "queue": "default"});
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        data
    };
    let error = json!({"code": "handler_error", "type": "IoError", "message": "no route"});
    let wanted = [
        ("job.enqueued", 0, data(json!({}))),
        ("job.failed", 20, data(json!({"attempt": 1, "error": error}))),
        ("job.started", 1_020, data(json!({"attempt": 2}))),
        ("job.completed", 1_090, data(json!({"attempt": 2, "duration_ms": 70}))),
    ];
    assert_eq!(told.len(), wanted.len(), "{told:?}");
    for (event, (kind, ms, data)) in told.iter().zip(wanted) {
        assert!(text(&event["id"]).strip_prefix("evt_").and_then(JobId::parse).is_some());
        let wanted = json!({
            "specversion": "1.0", "id": event["id"], "type": kind, "source": "ojs://ojs-serverless/api",
            "time": at(ms), "subject": id, "data": data,
        });
        assert_eq!(*event, wanted);
    }
    app.stop().await;
}

#[tokio::test]
async fn every_way_to_end_is_told() {
    let app = App::start().await;
    let retry = json!({"max_attempts": 1, "on_exhaustion": "dead_letter"});
    let scheduled = app.enqueue(json!({"scheduled_at": "+PT1H"})).await;
    let expired = app.enqueue(json!({"expires_at": "+PT1S", "queue": "expires"})).await;
    let cancelled = app.enqueue(json!({"queue": "cancelled"})).await;
    app.delete(&job_path(&cancelled)).await;
    let pending = app.enqueue(json!({"pending": true})).await;
    let lapsed = app.enqueue(json!({"queue": "lapsed", "retry": retry})).await;
    app.fetched(json!({"queues": ["lapsed"], "visibility_timeout_ms": 1_000})).await;
    let retried =
        app.enqueue(json!({"queue": "retried", "retry": {"jitter": false, "initial_interval": "PT1H"}})).await;
    app.fetched(json!({"queues": ["retried"]})).await;
    app.done(NACK, json!({"job_id": retried, "error": {"code": "x"}})).await;
    app.advance(1_000);
    let all = events(&app, "").await;
    let of = |id: &str| {
        let events: Vec<Value> = all.iter().filter(|event| event["subject"] == *id).cloned().collect();
        types(&events)
    };
    assert_eq!(of(&scheduled), ["job.scheduled"]);
    assert_eq!(of(&expired), ["job.enqueued", "job.expired"]);
    assert_eq!(of(&cancelled), ["job.enqueued", "job.cancelled"]);
    assert_eq!(of(&pending), [] as [&str; 0]);
    assert_eq!(of(&lapsed), ["job.enqueued", "job.started", "job.failed", "job.discarded"]);
    assert_eq!(of(&retried), ["job.enqueued", "job.started", "job.failed", "job.retrying"]);
    let data = |kind: &str| all.iter().find(|event| event["type"] == kind).unwrap()["data"].clone();
    assert_eq!(data("job.cancelled")["previous_state"], "available");
    assert_eq!(data("job.discarded")["dead_letter"], true);
    assert_eq!(data("job.expired")["dead_letter"], false);
    assert_eq!(data("job.retrying")["retry_delay_ms"], 3_600_000);
    assert_eq!(data("job.scheduled")["scheduled_at"], app.time(3_600_000 - 1_000));
    app.stop().await;
}

#[tokio::test]
async fn filters_are_combined() {
    let app = App::start().await;
    let a = a_life(&app, "a").await;
    let b = a_life(&app, "b").await;
    let other = app.create(json!({"type": "other.job", "args": [], "options": {"queue": "a"}})).await;
    let other = text(&other["id"]);
    for (query, subjects) in [
        ("types=job.completed", vec![&a, &b]),
        ("types=job.completed&queues=b", vec![&b]),
        ("types=job.enqueued,job.completed&queues=a", vec![&a, &a, &other]),
        ("types=job.enqueued&job_types=other.job", vec![&other]),
        ("job_types=other.job,test.job&types=job.enqueued", vec![&a, &b, &other]),
        ("types=job.enqueued&queues=a,b,none", vec![&a, &b, &other]),
        ("types=%20job.enqueued%20,,&queues=b", vec![&b]),
        ("types=job.cancelled", vec![]),
        ("queues=none", vec![]),
        ("job_types=none", vec![]),
        ("types=&queues=&job_types=&after=&limit=&types=job.completed", vec![&a, &b]),
    ] {
        let found = events(&app, query).await;
        let found: Vec<String> = found.iter().map(|event| text(&event["subject"])).collect();
        assert_eq!(found.iter().collect::<Vec<_>>(), subjects, "{query}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_cursor_follows_the_feed() {
    let app = App::start().await;
    for _ in 0..3 {
        // Several of one ms, and of several queues.
        for queue in ["a", "b", "c"] {
            app.enqueue(json!({"queue": queue})).await;
        }
        app.advance(5);
        app.fetched(json!({"queues": ["a", "b"]})).await;
    }
    let all = events(&app, "limit=1000").await;
    assert_eq!(all.len(), 9 + 3);
    let ids: Vec<String> = all.iter().map(|event| text(&event["id"])).collect();
    assert!(ids.is_sorted() && ids.windows(2).all(|w| w[0] != w[1]));
    assert!(all.windows(2).all(|w| text(&w[0]["time"]) <= text(&w[1]["time"])));
    assert_eq!(events(&app, "").await, all, "who looks again sees the same");

    // From each event on, in pages of every size.
    for limit in [1, 2, 5, 12] {
        let mut seen = vec![ids[0].clone()];
        loop {
            let name = if limit == 2 { "cursor" } else { "after" };
            let answer = app.get(&format!("{EVENTS}?limit={limit}&{name}={}", seen.last().unwrap())).await;
            let page = answer.body["events"].as_array().unwrap();
            seen.extend(page.iter().map(|event| text(&event["id"])));
            assert_eq!(answer.body["has_more"], seen.len() < ids.len());
            assert_eq!(answer.body.get("cursor"), page.last().map(|event| &event["id"]));
            if page.is_empty() {
                break;
            }
        }
        assert_eq!(seen, ids, "{limit}");
    }
    // Without a place to start, the newest.
    let newest = app.get(&format!("{EVENTS}?limit=4")).await;
    assert_eq!(newest.body["events"], json!(all[8..]));
    assert_eq!((&newest.body["has_more"], &newest.body["cursor"]), (&json!(true), &json!(ids[11])));
    // Then what is new since.
    app.advance(5);
    app.enqueue(json!({"queue": "a"})).await;
    assert_eq!(types(&events(&app, &format!("after={}", ids[11])).await), ["job.enqueued"]);
    app.stop().await;
}

#[tokio::test]
async fn events_of_one_millisecond_keep_their_order() {
    let app = App::start().await;
    for _ in 0..10 {
        let id = app.enqueue(json!({})).await;
        app.take("w", &id, 1).await;
        app.done(ACK, json!({"job_id": id})).await;
    }
    let all = events(&app, "").await;
    for of in all.iter().map(|event| &event["subject"]) {
        let events: Vec<Value> = all.iter().filter(|event| event["subject"] == *of).cloned().collect();
        assert_eq!(types(&events), ["job.enqueued", "job.started", "job.completed"]);
    }
    app.stop().await;
}

#[tokio::test]
async fn the_queues_read_at_once_are_bounded() {
    let app = App::start().await;
    for i in 0..20 {
        app.enqueue(json!({"queue": format!("q{i}")})).await;
    }
    assert_eq!(events(&app, "").await.len(), 20);
    app.enqueue(json!({"queue": "q20"})).await;
    let answer = app.get(EVENTS).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (400, "invalid_request"));
    let details = &answer.body["error"]["details"];
    assert_eq!((&details["field"], &details["max"]), (&json!("queues"), &json!(20)));
    assert_eq!(events(&app, "queues=q20").await.len(), 1);
    // One queue named twice is one.
    let twice: Vec<String> = (0..40).map(|i| format!("q{}", i % 20)).collect();
    assert_eq!(events(&app, &format!("queues={}", twice.join(","))).await.len(), 20);
    app.stop().await;
}
