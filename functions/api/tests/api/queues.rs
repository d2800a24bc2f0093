//! The list of queues: those that have been used, by name, in pages.
#![allow(clippy::unwrap_used)]

use crate::support;

use serde_json::json;
use support::*;

/// A page: names and the next cursor.
async fn page(app: &App, query: &str) -> (Vec<String>, Option<String>) {
    let answer = app.get(&format!("{QUEUES}?{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let pagination = &answer.body["pagination"];
    assert_eq!(pagination["has_more"], pagination["next_cursor"].is_string());
    let queues = answer.body["queues"].as_array().unwrap();
    (queues.iter().map(|queue| text(&queue["name"])).collect(), pagination["next_cursor"].as_str().map(str::to_owned))
}

#[tokio::test]
async fn queues_come_by_name_in_pages() {
    let app = App::start().await;
    assert_eq!(page(&app, "").await, (vec![], None));
    let mut names: Vec<String> = ["zeta", "a", "0", "a-b", "a.b", "m", &"q".repeat(128)].map(str::to_owned).into();
    for name in &names {
        app.enqueue(json!({"queue": name})).await;
        app.enqueue(json!({"queue": name})).await;
    }
    names.sort_unstable();
    assert_eq!(page(&app, "").await, (names.clone(), None));
    assert_eq!(page(&app, "limit=200").await, (names.clone(), None));
    assert_eq!(page(&app, "limit=7").await.0, names);
    for limit in [1, 2, 3] {
        let (mut all, mut cursor) = page(&app, &format!("limit={limit}")).await;
        while let Some(next) = cursor {
            let (more, after) = page(&app, &format!("limit={limit}&cursor={next}")).await;
            assert!(!more.is_empty(), "has_more promised another one");
            all.extend(more);
            cursor = after;
        }
        assert_eq!(all, names, "{limit}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_full_last_page_promises_no_other() {
    let app = App::start().await;
    for name in ["a", "b", "c", "d"] {
        app.enqueue(json!({"queue": name})).await;
    }
    let (first, cursor) = page(&app, "limit=2").await;
    assert_eq!(first, ["a", "b"]);
    assert_eq!(page(&app, &format!("limit=2&cursor={}", cursor.unwrap())).await, (vec!["c".into(), "d".into()], None));
    assert_eq!(page(&app, "limit=4").await.1, None);
    app.stop().await;
}

#[tokio::test]
async fn a_queue_is_there_from_its_first_job_on() {
    let app = App::start().await;
    let at = app.time(0);
    app.enqueue(json!({"queue": "first"})).await;
    app.advance(60_000);
    app.enqueue(json!({"queue": "first"})).await;
    app.enqueue(json!({"queue": "pending", "pending": true})).await;
    app.enqueue(json!({"queue": "scheduled", "scheduled_at": "+PT1H"})).await;
    // Neither a fetch nor a refused job makes one.
    app.fetched(json!({"queues": ["asked"]})).await;
    app.refused(JOBS, json!({"type": "a", "args": 1, "options": {"queue": "refused"}}), 400, "invalid_request").await;
    let later = app.time(0);
    let answer = app.get(QUEUES).await;
    let wanted = json!([
        {"name": "first", "status": "active", "paused": false, "created_at": at},
        {"name": "pending", "status": "active", "paused": false, "created_at": later},
        {"name": "scheduled", "status": "active", "paused": false, "created_at": later},
    ]);
    assert_eq!(
        (&answer.body["queues"], &answer.body["pagination"]),
        (&wanted, &json!({"limit": 50, "has_more": false, "total": 3, "total_is_exact": true}))
    );
    // Another instance knows it as well, and notes it once.
    let (engine, _) = app.stack.instance(1).await;
    let other = app.stack.http_on(&engine, ojs_api::auth::ApiKeys::open());
    other.call("POST", JOBS, Some(json!({"type": "a", "args": [], "options": {"queue": "first"}}))).await;
    assert_eq!(other.call("GET", QUEUES, None).await.body["queues"], wanted);
    app.stop().await;
}

#[tokio::test]
async fn a_queue_is_paused_and_resumed() {
    let app = App::start().await;
    let first = app.time(0);
    let paused = app.done(&format!("{QUEUES}/mail/pause"), json!({})).await;
    let queue = json!({"name": "mail", "paused": true, "status": "paused", "paused_at": first});
    assert_eq!(paused, json!({"queue": queue, "status": "paused", "paused_at": first}));
    app.advance(1_000);
    // A second pause is none; a body is not needed.
    assert_eq!(app.call("POST", &format!("{QUEUES}/mail/pause"), None).await.body, paused);
    let id = app.enqueue(json!({"queue": "mail"})).await;
    assert_eq!(app.fetched(json!({"queues": ["mail"]})).await, Vec::<serde_json::Value>::new());
    let listed = app.get(QUEUES).await.body["queues"].clone();
    assert_eq!(listed, json!([{"name": "mail", "status": "paused", "paused": true, "created_at": first}]));
    let second = app.time(0);
    let resumed = app.done(&format!("{QUEUES}/mail/resume"), json!({})).await;
    let queue = json!({"name": "mail", "paused": false, "status": "active", "resumed_at": second});
    assert_eq!(resumed, json!({"queue": queue, "status": "active", "resumed_at": second}));
    assert_eq!(app.get(QUEUES).await.body["queues"][0]["status"], "active");
    assert_eq!(app.fetched(json!({"queues": ["mail"]})).await[0]["id"], json!(id));
    let told = app.get(&format!("{EVENTS}?queues=mail&types=queue.paused,queue.resumed")).await.body;
    let told: Vec<_> =
        told["events"].as_array().unwrap().iter().map(|e| (&e["type"], &e["time"], &e["data"])).collect();
    let data = json!({"queue": "mail"});
    assert_eq!(told, [(&json!("queue.paused"), &first, &data), (&json!("queue.resumed"), &second, &data)]);
    assert!(app.get(&format!("{EVENTS}?queues=mail&job_types=a&types=queue.paused")).await.body["events"] == json!([]));
    app.stop().await;
}

#[tokio::test]
async fn stats_are_answered_in_both_shapes() {
    let app = App::start().await;
    let stats = async |queue: &str| app.get(&format!("{QUEUES}/{queue}/stats")).await;
    let none = stats("nobody").await;
    assert_eq!(none.status, 200, "{}", none.body);
    assert_eq!((&none.body["queue"]["available"], &none.body["queue"]["paused"]), (&json!(0), &json!(false)));
    app.enqueue(json!({"queue": "s"})).await;
    let some = stats("s").await.body;
    assert_eq!((&some["queue"]["name"], &some["queue"]["available"]), (&json!("s"), &json!(1)));
    assert_eq!(
        (&some["stats"]["available"], &some["status"], &some["exact"]),
        (&json!(1), &json!("active"), &json!(false))
    );
    assert!(some["computed_at"].is_string());
    app.post(&format!("{QUEUES}/s/pause"), json!({})).await;
    assert_eq!(stats("s").await.body["queue"]["status"], "paused");
    let bad = stats("Not%20a%20queue").await;
    assert_eq!(bad.status, 400, "{}", bad.body);
    app.stop().await;
}
