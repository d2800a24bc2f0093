//! Dead letters over HTTP: listed newest first, retried with changes, deleted for good.
#![allow(clippy::unwrap_used)]

use crate::support;

use futures::future::join_all;
use serde_json::json;
use support::*;

/// All pages of a query.
async fn pages(app: &App, query: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let after = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let (ids, next) = app.dead(&format!("{query}{after}")).await;
        pages.push(ids);
        assert!(pages.len() < 50, "no end: {pages:?}");
        match next {
            Some(next) => cursor = Some(next),
            None => return pages,
        }
    }
}

#[tokio::test]
async fn pages_run_from_the_newest_to_the_oldest() {
    let app = App::start().await;
    assert_eq!(pages(&app, "").await, [vec![] as Vec<String>]);
    let mut all = Vec::new();
    for i in 0..13 {
        all.insert(0, app.kill(["emails", "reports"][i % 2]).await);
        app.advance(1_000);
    }
    let of = |parity: usize| all.iter().rev().skip(parity).step_by(2).rev().cloned().collect::<Vec<_>>();
    assert_eq!(pages(&app, "limit=200").await, [all.clone()]);
    assert_eq!(pages(&app, "").await, [all.clone()]);
    let by_four = pages(&app, "limit=4").await;
    assert_eq!(by_four.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 4, 1]);
    assert_eq!(by_four.concat(), all);
    assert_eq!(pages(&app, "limit=13").await, [all.clone()], "no empty page follows a full one");
    assert_eq!(pages(&app, "limit=1").await.concat(), all);
    for (parity, queue) in ["emails", "reports"].into_iter().enumerate() {
        assert_eq!(pages(&app, &format!("queue={queue}&limit=2")).await.concat(), of(parity), "{queue}");
    }
    assert_eq!(pages(&app, "queue=nobody").await, [vec![] as Vec<String>]);
    // An offset passes over the newest.
    for offset in [0, 1, 5, 12] {
        assert_eq!(app.dead(&format!("offset={offset}&limit=3")).await.0, all[offset..(offset + 3).min(13)]);
    }
    assert_eq!(app.dead("offset=13").await, (vec![], None));
    assert_eq!(app.dead("offset=1000").await, (vec![], None));
    let (_, cursor) = app.dead("offset=2&limit=3").await;
    assert_eq!(app.dead(&format!("limit=3&cursor={}", cursor.unwrap())).await.0, all[5..8]);

    // What is listed is the job, with its history.
    let answer = app.get(&format!("{DEAD}?limit=1")).await;
    assert_eq!(answer.body["jobs"][0], app.job(&all[0]).await);
    assert_eq!(answer.body["jobs"][0]["errors"].as_array().unwrap().len(), 1);
    assert_eq!(answer.body["pagination"]["limit"], 1);
    assert_eq!(
        app.get(DEAD).await.body["pagination"],
        json!({"limit": 50, "has_more": false, "total": 13, "total_is_exact": true})
    );
    // Each page knows what came before it.
    let (mut query, mut totals) = ("limit=5".to_owned(), Vec::new());
    loop {
        let page = app.get(&format!("{DEAD}?{query}")).await.body["pagination"].clone();
        totals.push((page["total"].clone(), page["total_is_exact"].clone()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        query = format!("limit=5&cursor={cursor}");
    }
    assert_eq!(totals, [(json!(6), json!(false)), (json!(11), json!(false)), (json!(13), json!(true))]);
    for (offset, total, is_exact) in [(10, 13, true), (13, 13, false), (1_000, 1_000, false)] {
        let page = app.get(&format!("{DEAD}?offset={offset}")).await.body["pagination"].clone();
        assert_eq!((&page["total"], &page["total_is_exact"]), (&json!(total), &json!(is_exact)), "{offset}");
    }
    app.stop().await;
}

#[tokio::test]
async fn those_of_one_millisecond_are_each_listed_once() {
    let app = App::start().await;
    let mut all = Vec::new();
    for i in 0..12 {
        all.push(app.kill("default").await);
        if i == 5 {
            app.advance(1);
        }
    }
    all.sort_unstable();
    for limit in [1, 2, 5] {
        for query in [format!("limit={limit}"), format!("limit={limit}&queue=default")] {
            let mut listed = pages(&app, &query).await.concat();
            listed.sort_unstable();
            assert_eq!(listed, all, "{query}");
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn a_new_one_does_not_disturb_the_pages() {
    let app = App::start().await;
    let mut old = Vec::new();
    for _ in 0..6 {
        old.insert(0, app.kill("default").await);
        app.advance(10);
    }
    let (first, cursor) = app.dead("limit=2").await;
    let newest = app.kill("default").await;
    app.delete(&format!("{DEAD}/{}", old[3])).await;
    let (second, cursor) = app.dead(&format!("limit=2&cursor={}", cursor.unwrap())).await;
    // The place itself may be gone too.
    app.delete(&format!("{DEAD}/{}", second[1])).await;
    let (third, cursor) = app.dead(&format!("limit=2&cursor={}", cursor.unwrap())).await;
    assert_eq!(([first, second, third].concat(), cursor), ([&old[..3], &old[4..]].concat(), None));
    assert_eq!(app.dead("limit=1").await.0, [newest]);
    app.stop().await;
}

#[tokio::test]
async fn a_retry_starts_the_job_over() {
    let app = App::start().await;
    let id = app.kill("default").await;
    let dead = app.job(&id).await;
    app.advance(5_000);
    let answer = app.call("POST", &format!("{DEAD}/{id}/retry"), None).await;
    assert_eq!(answer.status, 200);
    let job = answer.body["job"].clone();
    let mut wanted = dead.clone();
    for (name, value) in [
        ("state", json!("available")),
        ("attempt", json!(0)),
        ("enqueued_at", app.time(0)),
        ("retried_at", app.time(0)),
    ] {
        wanted[name] = value;
    }
    wanted.as_object_mut().unwrap().retain(|name, _| {
        !["started_at", "completed_at", "discarded_at", "error", "retry_delay_ms"].contains(&name.as_str())
    });
    assert_eq!(job, wanted, "the history stays, the rest starts over");
    assert_eq!(app.job(&id).await, job);
    assert!(app.dead("").await.0.is_empty());

    // The answer was lost, and the operator asks again; it is one job, and one run.
    app.advance(1_000);
    assert_eq!(app.done(&format!("{DEAD}/{id}/retry"), json!({})).await["job"], job);
    let fetched = app.take("w", &id, 1).await;
    assert!(fetched.get("error").is_none());
    app.nothing_to_fetch().await;
    assert_eq!(app.done(&format!("{DEAD}/{id}/retry"), json!({})).await["job"]["state"], "active");
    // It fails again: listed anew, with both failures.
    app.advance(1_000);
    app.done(NACK, json!({"job_id": id, "error": {"code": "y"}})).await;
    let job = app.job(&id).await;
    assert_eq!((&job["errors"][0]["code"], &job["errors"][1]["code"]), (&json!("x"), &json!("y")));
    assert_eq!(app.dead("").await.0, [id.as_str()]);
    app.done(&format!("{DEAD}/{id}/retry"), json!({})).await;
    app.take("w", &id, 1).await;
    app.done(ACK, json!({"job_id": id, "result": "at last"})).await;
    app.refused(&format!("{DEAD}/{id}/retry"), json!({}), 404, "not_found").await;
    assert_eq!(app.state(&id).await, "completed");
    app.stop().await;
}

#[tokio::test]
async fn a_retry_can_change_the_job() {
    let app = App::start().await;
    let id = app.kill("default").await;
    let retry = json!({"max_attempts": 2, "jitter": false, "on_exhaustion": "dead_letter"});
    let change = json!({"override": {"queue": "slow", "meta": {"by": "operator"}, "retry": retry}});
    let job = app.done(&format!("{DEAD}/{id}/retry"), change).await["job"].clone();
    for (name, value) in [
        ("queue", json!("slow")),
        ("meta", json!({"by": "operator"})),
        ("retry", retry.clone()),
        ("max_attempts", json!(2)),
        ("state", json!("available")),
    ] {
        assert_eq!(job[name], value, "{name}");
    }
    assert_eq!(app.job(&id).await, job);
    app.nothing_to_fetch().await;
    for attempt in 1..=2 {
        let jobs = app.fetched(json!({"queues": ["slow"], "worker_id": "w"})).await;
        assert_eq!((&jobs[0]["id"], &jobs[0]["attempt"]), (&json!(id), &json!(attempt)));
        app.done(NACK, json!({"job_id": id, "error": {"code": "x"}})).await;
        app.advance(2_000);
    }
    // It died in its new queue, and is listed there.
    assert_eq!(app.dead("queue=slow").await.0, [id.as_str()]);
    assert!(app.dead("queue=default").await.0.is_empty());
    let queues = app.get(QUEUES).await.body["queues"].clone();
    assert_eq!((&queues[0]["name"], &queues[1]["name"]), (&json!("default"), &json!("slow")));
    // Nulls and unknown members change nothing.
    let change = json!({"override": {"queue": null, "meta": null, "retry": null, "x": 1}, "y": 2});
    let job = app.done(&format!("{DEAD}/{id}/retry"), change).await["job"].clone();
    assert_eq!((&job["queue"], &job["meta"], &job["retry"]), (&json!("slow"), &json!({"by": "operator"}), &retry));
    assert_eq!(app.fetched(json!({"queues": ["slow"]})).await[0]["id"], *id);
    app.stop().await;
}

#[tokio::test]
async fn an_expiry_that_has_passed_is_overruled() {
    let app = App::start().await;
    let retry = json!({"on_exhaustion": "dead_letter"});
    let id = app.enqueue(json!({"expires_at": "+PT1S", "retry": retry})).await;
    app.advance(1_000);
    app.nothing_to_fetch().await;
    assert_eq!(app.dead("").await.0, [id.as_str()]);
    let job = app.done(&format!("{DEAD}/{id}/retry"), json!({})).await["job"].clone();
    assert_eq!((&job["state"], job.get("expires_at")), (&json!("available"), None));
    app.take("w", &id, 1).await;
    app.stop().await;
}

#[tokio::test]
async fn a_deleted_one_is_gone() {
    let app = App::start().await;
    let (gone, stays) = (app.kill("default").await, app.kill("default").await);
    let path = format!("{DEAD}/{gone}");
    let answer = app.delete(&path).await;
    assert_eq!((answer.status.as_u16(), answer.body), (200, json!({"deleted": true, "job_id": gone})));
    for answer in [
        app.delete(&path).await,
        app.call("POST", &format!("{path}/retry"), None).await,
        app.get(&job_path(&gone)).await,
        app.delete(&job_path(&gone)).await,
        app.post(ACK, json!({"job_id": gone})).await,
        app.post(NACK, json!({"job_id": gone, "error": {"code": "x"}})).await,
    ] {
        assert_eq!((answer.status.as_u16(), answer.code()), (404, "not_found"));
        assert_eq!(answer.body["error"]["details"]["resource_id"], *gone);
    }
    assert_eq!(app.dead("").await.0, [stays]);
    app.stop().await;
}

#[tokio::test]
async fn only_dead_letters_are_retried_and_deleted() {
    let app = App::start().await;
    let mut ids = vec![
        app.enqueue(json!({"queue": "other"})).await,
        app.enqueue(json!({"queue": "other", "scheduled_at": "+PT1H"})).await,
        app.enqueue(json!({"queue": "other", "pending": true})).await,
    ];
    let active = app.enqueue(json!({})).await;
    app.take("w", &active, 1).await;
    let completed = app.enqueue(json!({})).await;
    app.take("w", &completed, 1).await;
    app.done(ACK, json!({"job_id": completed})).await;
    let discarded = app.enqueue(json!({"retry": {"max_attempts": 1}})).await;
    app.take("w", &discarded, 1).await;
    app.done(NACK, json!({"job_id": discarded, "error": {"code": "x"}})).await;
    let cancelled = app.enqueue(json!({})).await;
    app.delete(&job_path(&cancelled)).await;
    ids.extend([active, completed, discarded, cancelled]);
    for id in ids {
        let before = app.job(&id).await;
        for answer in
            [app.call("POST", &format!("{DEAD}/{id}/retry"), None).await, app.delete(&format!("{DEAD}/{id}")).await]
        {
            assert_eq!((answer.status.as_u16(), answer.code()), (404, "not_found"), "{before}");
            assert_eq!(answer.body["error"]["details"]["resource_type"], "dead letter");
        }
        assert_eq!(app.job(&id).await, before);
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_retries_at_once_are_one() {
    let app = App::start().await;
    let id = app.kill("default").await;
    let path = format!("{DEAD}/{id}/retry");
    let answers = join_all((0..5).map(|_| app.call("POST", &path, None))).await;
    assert!(answers.iter().all(|a| a.status == 200 && a.body["job"]["state"] == "available"));
    app.take("w", &id, 1).await;
    app.nothing_to_fetch().await;
    app.done(ACK, json!({"job_id": id})).await;
    app.advance(120_000);
    app.nothing_to_fetch().await;
    app.stop().await;
}
