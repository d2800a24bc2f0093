//! Workers over HTTP: fetching, failing, heartbeats, lapsed leases, and what a stale worker is told.
#![allow(clippy::unwrap_used)]

use crate::support;

use axum::body::Body;
use http::Request;
use ojs_api::auth::ApiKeys;
use ojs_fault_injection::{Fault, Plan, Then};
use serde_json::{Value, json};
use support::*;

fn ids_of(jobs: &[Value]) -> Vec<String> {
    jobs.iter().map(|job| text(&job["id"])).collect()
}

/// A policy whose delays are 1, 2, 4 s.
fn steady(max_attempts: u32) -> Value {
    json!({"max_attempts": max_attempts, "jitter": false})
}

#[tokio::test]
async fn jobs_come_in_order() {
    let app = App::start().await;
    let mut made = Vec::new();
    for _ in 0..25 {
        made.push(app.enqueue(json!({})).await);
    }
    let mut fetched = Vec::new();
    for count in [1, 1, 1, 10, 10, 10] {
        fetched.extend(ids_of(&app.fetched(json!({"queues": ["default"], "count": count})).await));
    }
    assert_eq!(fetched, made);
    app.nothing_to_fetch().await;
    app.stop().await;
}

#[tokio::test]
async fn a_fetch_takes_as_many_as_asked() {
    let app = App::start().await;
    let mut made = Vec::new();
    for _ in 0..25 {
        made.push(app.enqueue(json!({})).await);
    }
    let first = app.fetched(json!({"queues": ["default"], "count": 23})).await;
    assert_eq!(first.len(), 23);
    let rest = app.fetched(json!({"queues": ["default"], "count": 100})).await;
    assert_eq!(rest.len(), 2);
    let mut all = [ids_of(&first), ids_of(&rest)].concat();
    all.sort_unstable();
    assert_eq!(all, made);
    let tokens: std::collections::HashSet<_> = first.iter().chain(&rest).map(|job| text(&job["lease_token"])).collect();
    assert_eq!(tokens.len(), 25);
    app.stop().await;
}

#[tokio::test]
async fn queues_are_taken_in_the_order_given() {
    let app = App::start().await;
    let low = [app.enqueue(json!({"queue": "low"})).await, app.enqueue(json!({"queue": "low"})).await];
    let high = [app.enqueue(json!({"queue": "high"})).await, app.enqueue(json!({"queue": "high"})).await];
    let queues = json!(["nothing-here", "high", "high", "low"]);
    let jobs = app.fetched(json!({"queues": queues, "count": 3})).await;
    assert_eq!(ids_of(&jobs), [high[0].clone(), high[1].clone(), low[0].clone()]);
    assert_eq!(ids_of(&app.fetched(json!({"queues": queues})).await), [low[1].clone()]);
    // A queue that was only asked for is not made.
    let listed = app.get(QUEUES).await.body["queues"].clone();
    assert_eq!(listed.as_array().unwrap().len(), 2);
    let many: Vec<String> = (0..100).map(|i| format!("q{i}")).collect();
    assert!(app.fetched(json!({"queues": many, "count": 100})).await.is_empty());
    assert_eq!(app.get(QUEUES).await.body["queues"], listed);
    app.stop().await;
}

#[tokio::test]
async fn a_worker_need_not_say_its_name() {
    let app = App::start().await;
    let id = app.enqueue(json!({"retry": steady(9)})).await;
    let job = app.fetched(json!({"queues": ["default"]})).await.remove(0);
    assert!(job.get("worker_id").is_none() && job["lease_token"].is_string());
    // Half an hour, unless somebody says.
    assert_eq!(job["lease_expires_at"], app.time(1_800_000));
    app.done(NACK, json!({"job_id": id, "error": {"code": "x"}})).await;
    app.advance(1_000);
    app.fetched(json!({"queues": ["default"]})).await;
    // Any name will do against none.
    app.done(ACK, json!({"job_id": id, "worker_id": "anybody"})).await;
    assert_eq!(app.state(&id).await, "completed");
    app.stop().await;
}

#[tokio::test]
async fn the_lease_is_the_fetchs_then_the_jobs_then_the_servers() {
    let app = App::start().await;
    for (job, fetch, wanted) in [
        (json!({"visibility_timeout_ms": 5_000}), json!(7_000), 7_000),
        (json!({"visibility_timeout_ms": 5_000}), json!(0), 5_000),
        (json!({"visibility_timeout": "PT1M"}), json!(null), 60_000),
        (json!({}), json!(1_000), 1_000),
        (json!({}), json!(null), 1_800_000),
        // An execution timeout that ends first ends the lease.
        (json!({"timeout_ms": 3_000}), json!(7_000), 3_000),
    ] {
        let id = app.enqueue(job.clone()).await;
        let fetched = app.fetched(json!({"queues": ["default"], "visibility_timeout_ms": fetch})).await;
        assert_eq!(ids_of(&fetched), [id.as_str()]);
        assert_eq!(fetched[0]["lease_expires_at"], app.time(wanted), "{job} {fetch}");
        app.advance(wanted.unsigned_abs() - 1);
        assert_eq!(app.state(&id).await, "active");
        app.advance(1);
        assert_ne!(app.state(&id).await, "active");
        app.delete(&job_path(&id)).await;
    }
    app.stop().await;
}

#[tokio::test]
async fn a_failure_is_decided_in_order() {
    let app = App::start().await;
    let policy = json!({
        "max_attempts": 3, "jitter": false, "on_exhaustion": "dead_letter",
        "non_retryable_errors": ["Fatal", "auth.*", "glob*"],
    });
    let (again, gone, dead) = (("retryable", false), ("discarded", false), ("discarded", true));
    for (error, requeue, (state, listed)) in [
        (json!({"code": "x"}), false, again),
        (json!({"message": "only that"}), false, again),
        (json!({"type": "Any", "retryable": true}), false, again),
        (json!({"code": "RETRY"}), false, again),
        (json!({"code": "x", "retryable": false}), false, dead),
        (json!({"code": "DISCARD", "retryable": true}), false, gone),
        (json!({"code": "FAIL"}), false, gone),
        (json!({"code": "DEAD_LETTER", "retryable": true}), false, dead),
        (json!({"code": "discard"}), false, again),
        (json!({"type": "Fatal"}), false, dead),
        (json!({"type": "Fatal", "retryable": true}), false, dead),
        (json!({"code": "Fatal"}), false, dead),
        (json!({"code": "x", "details": {"error_class": "Fatal"}}), false, dead),
        (json!({"type": "FatalError"}), false, again),
        (json!({"type": "auth.token_expired"}), false, dead),
        (json!({"type": "auth."}), false, dead),
        (json!({"type": "auth"}), false, again),
        (json!({"type": "authx.y"}), false, again),
        (json!({"type": "AUTH.x"}), false, again),
        (json!({"type": "globe"}), false, again),
        (json!({"type": "glob*"}), false, dead),
        (json!({"message": "Fatal"}), false, again),
        (json!({"code": "DISCARD", "retryable": false}), true, ("available", false)),
        (json!({"type": "Fatal"}), true, ("available", false)),
    ] {
        let id = app.enqueue(json!({"retry": policy})).await;
        app.take("w", &id, 1).await;
        let nacked = app.done(NACK, json!({"job_id": id, "worker_id": "w", "requeue": requeue, "error": error})).await;
        let mut wanted = json!({"id": id, "job_id": id, "state": state, "attempt": 1, "max_attempts": 3});
        match state {
            "retryable" => {
                wanted["next_attempt_at"] = app.time(1_000);
                wanted["retry_delay_ms"] = json!(1_000);
            }
            "discarded" => {
                wanted["discarded_at"] = app.time(0);
                wanted["completed_at"] = app.time(0);
            }
            _ => {}
        }
        assert_eq!(nacked, wanted, "{error}");
        let job = app.job(&id).await;
        for (name, value) in wanted.as_object().unwrap() {
            if name != "job_id" {
                assert_eq!(job[name], *value, "{error}: {name}");
            }
        }
        assert_eq!(job["errors"].as_array().unwrap().len(), 1);
        assert_eq!(app.dead("").await.0.contains(&id), listed, "{error}");
        app.delete(&job_path(&id)).await;
        app.delete(&format!("{DEAD}/{id}")).await;
    }
    app.stop().await;
}

#[tokio::test]
async fn an_error_is_kept_as_reported() {
    let app = App::start().await;
    let id = app.enqueue(json!({"retry": steady(9)})).await;
    let full = json!({
        "code": "handler_error", "type": "IoError", "message": "no é route", "retryable": true,
        "details": {"host": "a", "n": 1.50}, "backtrace": ["at a.rs:1", "at b.rs:2"],
    });
    for (attempt, error, wanted) in [
        (1, full.clone(), full),
        (2, json!({"code": "c"}), json!({"code": "c", "type": "c", "message": ""})),
        (3, json!({"message": "m"}), json!({"code": "handler_error", "type": "handler_error", "message": "m"})),
        (4, json!({"type": "T"}), json!({"code": "handler_error", "type": "T", "message": ""})),
        (
            5,
            json!({"code": "c", "details": {"error_class": "K"}, "stacktrace": "one\ntwo"}),
            json!({"code": "c", "type": "K", "message": "", "details": {"error_class": "K"}, "backtrace": "one\ntwo"}),
        ),
    ] {
        app.take("w", &id, attempt).await;
        app.done(NACK, json!({"job_id": id, "error": error})).await;
        let mut wanted = wanted;
        wanted["attempt"] = json!(attempt);
        wanted["occurred_at"] = app.time(0);
        let job = app.job(&id).await;
        assert_eq!(job["error"], wanted);
        assert_eq!(job["errors"].as_array().unwrap().len(), usize::try_from(attempt).unwrap());
        assert_eq!(job["errors"].as_array().unwrap().last().unwrap(), &wanted);
        app.advance(60_000);
        // The last error is still there when the job is available again.
        assert_eq!(app.job(&id).await["error"], wanted);
    }
    app.take("w", &id, 6).await;
    app.done(ACK, json!({"job_id": id})).await;
    let job = app.job(&id).await;
    assert!(job.get("error").is_none());
    assert_eq!(job["errors"].as_array().unwrap().len(), 5);
    app.stop().await;
}

#[tokio::test]
async fn attempts_run_out() {
    let app = App::start().await;
    let mut policy = steady(4);
    policy["on_exhaustion"] = json!("dead_letter");
    policy["max_interval"] = json!("PT2S");
    let id = app.enqueue(json!({"retry": policy})).await;
    for (attempt, delay) in [(1, 1_000), (2, 2_000), (3, 2_000)] {
        let job = app.take("w", &id, attempt).await;
        assert_eq!(job.get("retry_delay_ms").is_some(), attempt > 1);
        let nacked = app.done(NACK, json!({"job_id": id, "error": {"code": "x"}})).await;
        assert_eq!((&nacked["state"], &nacked["retry_delay_ms"]), (&json!("retryable"), &json!(delay)));
        let due = app.time(delay);
        app.advance(delay.unsigned_abs() - 999);
        app.advance(998);
        let job = app.job(&id).await;
        assert_eq!((&job["state"], &job["next_attempt_at"]), (&json!("retryable"), &due));
        app.advance(1);
        let job = app.job(&id).await;
        assert_eq!((&job["state"], &job["enqueued_at"], &job["attempt"]), (&json!("available"), &due, &json!(attempt)));
        assert_eq!(job["retry_delay_ms"], delay);
        assert!(job.get("next_attempt_at").is_none());
    }
    app.take("w", &id, 4).await;
    let nacked = app.done(NACK, json!({"job_id": id, "error": {"code": "x"}})).await;
    assert_eq!((&nacked["state"], &nacked["discarded_at"]), (&json!("discarded"), &app.time(0)));
    assert!(nacked.get("retry_delay_ms").is_none());
    assert_eq!(app.dead("").await.0, [id.as_str()]);
    assert_eq!(app.job(&id).await["errors"].as_array().unwrap().len(), 4);
    app.advance(3_600_000);
    app.nothing_to_fetch().await;
    assert_eq!(app.stack.aws.sqs.message_count(), 0);
    // 0 and 1 both mean no retry.
    for max in [0, 1] {
        let id = app.enqueue(json!({"retry": steady(max)})).await;
        app.take("w", &id, 1).await;
        let nacked = app.done(NACK, json!({"job_id": id, "error": {"code": "x"}})).await;
        assert_eq!((&nacked["state"], &nacked["max_attempts"]), (&json!("discarded"), &json!(max)));
    }
    app.stop().await;
}

#[tokio::test]
async fn a_long_wait_for_a_retry_is_brought_back_by_the_tick() {
    let app = App::start().await;
    let retry = json!({"max_attempts": 2, "jitter": false, "initial_interval": "PT2H"});
    let id = app.enqueue(json!({"retry": retry})).await;
    app.take("w", &id, 1).await;
    let nacked = app.done(NACK, json!({"job_id": id, "error": {"code": "x"}})).await;
    assert_eq!(nacked["retry_delay_ms"], 7_200_000);
    app.advance(7_200_000 - 1_000);
    app.nothing_to_fetch().await;
    assert_eq!(app.stack.engine.send_due(ojs_core::engine::TickBudget::UNLIMITED).await.unwrap().sent, 1);
    app.advance(1_000);
    app.take("w", &id, 2).await;
    app.stop().await;
}

#[tokio::test]
async fn a_job_given_back_is_available_at_once() {
    let app = App::start().await;
    let id = app.enqueue(json!({"retry": steady(1)})).await;
    let token = app.take("w", &id, 1).await["lease_token"].clone();
    app.advance(10);
    let back = json!({"job_id": id, "lease_token": token, "requeue": true});
    let nacked = app.done(NACK, back.clone()).await;
    assert_eq!((&nacked["state"], &nacked["attempt"]), (&json!("available"), &json!(1)));
    // The answer was lost, and the worker says it again.
    assert_eq!(app.done(NACK, back.clone()).await["state"], "available");
    let job = app.job(&id).await;
    assert_eq!((&job["state"], &job["enqueued_at"]), (&json!("available"), &app.time(0)));
    assert!(job.get("error").is_none() && job.get("worker_id").is_none());
    // It runs again although its attempts are used up.
    app.take("other", &id, 2).await;
    app.refused(NACK, back, 409, "conflict").await;
    app.done(NACK, json!({"job_id": id, "requeue": true, "error": {"code": "shutdown"}})).await;
    assert_eq!(app.job(&id).await["error"]["code"], "shutdown");
    app.take("w", &id, 3).await;
    app.stop().await;
}

#[tokio::test]
async fn a_repeated_nack_succeeds_with_the_token_only() {
    let app = App::start().await;
    let id = app.enqueue(json!({"retry": steady(3)})).await;
    let token = app.take("w", &id, 1).await["lease_token"].clone();
    let nack = json!({"job_id": id, "lease_token": token, "error": {"code": "x"}});
    let first = app.done(NACK, nack.clone()).await;
    app.advance(500);
    assert_eq!(app.done(NACK, nack.clone()).await, first);
    assert_eq!(app.job(&id).await["errors"].as_array().unwrap().len(), 1, "one failure, told twice");
    app.refused(NACK, json!({"job_id": id, "worker_id": "w", "error": {"code": "x"}}), 409, "conflict").await;
    app.refused(ACK, json!({"job_id": id, "lease_token": token}), 409, "conflict").await;
    app.advance(500);
    app.take("w", &id, 2).await;
    let details = app.refused(NACK, nack, 409, "conflict").await;
    assert_eq!((&details["reason"], &details["current_attempt"]), (&json!("lease_lost"), &json!(2)));
    app.stop().await;
}

#[tokio::test]
async fn a_heartbeat_extends_the_lease() {
    let app = App::start().await;
    let id = app.enqueue(json!({})).await;
    app.take("w", &id, 1).await;
    for _ in 0..5 {
        app.advance(29_999);
        let beat = app.done(HEARTBEAT, json!({"worker_id": "w", "active_jobs": [id]})).await;
        let wanted = json!({"state": "running", "jobs_extended": [id], "jobs_lost": [], "server_time": app.time(0)});
        assert_eq!(beat, wanted);
        app.nothing_to_fetch().await;
    }
    // Another length, which the next beat without one does not keep.
    let beat = json!({"worker_id": "w", "active_jobs": [id], "visibility_timeout_ms": 60_000});
    app.done(HEARTBEAT, beat).await;
    app.advance(59_999);
    assert_eq!(app.state(&id).await, "active");
    app.nothing_to_fetch().await;
    app.done(HEARTBEAT, json!({"worker_id": "w", "active_jobs": [id]})).await;
    app.advance(29_999);
    assert_eq!(app.state(&id).await, "active");
    app.advance(1);
    assert_eq!(app.state(&id).await, "available");
    app.take("other", &id, 2).await;
    app.stop().await;
}

#[tokio::test]
async fn both_ways_to_name_the_jobs_are_understood() {
    let app = App::start().await;
    let (a, b) = (app.enqueue(json!({})).await, app.enqueue(json!({})).await);
    let token = app.take("w", &a, 1).await["lease_token"].clone();
    app.take("w", &b, 1).await;
    for (beat, extended) in [
        (json!({}), json!([])),
        (json!({"active_jobs": []}), json!([])),
        (json!({"active_jobs": null}), json!([])),
        (json!({"active_jobs": [a, b]}), json!([a, b])),
        (json!({"active_jobs": [b, a]}), json!([b, a])),
        (json!({"active_job_ids": [a, b]}), json!([a, b])),
        (json!({"active_jobs": 2, "active_job_ids": [a, b]}), json!([a, b])),
        (json!({"active_jobs": 0, "active_job_ids": []}), json!([])),
        (json!({"active_jobs": [a], "lease_tokens": {&a: token, "unknown": "t"}}), json!([a])),
        (json!({"active_jobs": [a], "visibility_timeout_ms": 0, "hostname": "h", "pid": 1}), json!([a])),
    ] {
        let mut request = beat.clone();
        request["worker_id"] = json!("w");
        let answer = app.done(HEARTBEAT, request).await;
        assert_eq!((&answer["jobs_extended"], &answer["jobs_lost"]), (&extended, &json!([])), "{beat}");
    }
    // The most jobs that a beat may name.
    let many = support::ids(256);
    let answer = app.done(HEARTBEAT, json!({"worker_id": "w", "active_jobs": many})).await;
    assert_eq!(answer["jobs_lost"].as_array().unwrap().len(), 256);
    app.stop().await;
}

#[tokio::test]
async fn jobs_that_are_no_longer_the_workers_are_listed() {
    let app = App::start().await;
    let mut ids = Vec::new();
    for _ in 0..6 {
        ids.push(app.enqueue(json!({"retry": {"max_attempts": 2, "jitter": false, "initial_interval": "PT1H"}})).await);
    }
    let [held, done, failed, cancelled, lapsed, stolen] = [0, 1, 2, 3, 4, 5].map(|i: usize| ids[i].clone());
    // Two leases that are short, the others long.
    for (id, lease) in
        [(&held, 90_000), (&done, 90_000), (&failed, 90_000), (&cancelled, 90_000), (&lapsed, 5_000), (&stolen, 1_000)]
    {
        let fetch = json!({"queues": ["default"], "worker_id": "w", "visibility_timeout_ms": lease});
        assert_eq!(app.fetched(fetch).await[0]["id"], **id);
    }
    app.done(ACK, json!({"job_id": done})).await;
    app.done(NACK, json!({"job_id": failed, "error": {"code": "x"}})).await;
    app.delete(&job_path(&cancelled)).await;
    app.advance(1_000);
    app.take("thief", &stolen, 2).await;
    app.advance(4_000);
    let named = [&held, &done, &failed, &cancelled, &lapsed, &stolen, &NOBODY.to_owned()].map(Clone::clone);
    let beat = app.done(HEARTBEAT, json!({"worker_id": "w", "active_jobs": named})).await;
    assert_eq!(beat["jobs_extended"], json!([held]));
    let lost = |id: &str, reason: &str, state: Value, attempt: Value| json!({"job_id": id, "reason": reason, "current_state": state, "current_attempt": attempt});
    let wanted = json!([
        lost(&done, "not_active", json!("completed"), json!(1)),
        lost(&failed, "not_active", json!("retryable"), json!(1)),
        lost(&cancelled, "not_active", json!("cancelled"), json!(1)),
        lost(&lapsed, "not_active", json!("available"), json!(1)),
        lost(&stolen, "lease_lost", json!("active"), json!(2)),
        lost(NOBODY, "not_found", json!(null), json!(null)),
    ]);
    assert_eq!(beat["jobs_lost"], wanted);
    // When nothing is the worker's any more, and something is another's, it is refused.
    let details =
        app.refused(HEARTBEAT, json!({"worker_id": "w", "active_jobs": [done, stolen]}), 409, "conflict").await;
    let wanted = json!({
        "job_id": stolen, "current_state": "active", "expected_state": "active", "current_attempt": 2,
        "reason": "lease_lost",
    });
    assert_eq!(details, wanted);
    let beat = app.done(HEARTBEAT, json!({"worker_id": "w", "active_jobs": [done, lapsed]})).await;
    assert_eq!(beat["jobs_lost"].as_array().unwrap().len(), 2);
    app.stop().await;
}

#[tokio::test]
async fn a_job_can_carry_a_directive_where_that_is_allowed() {
    let app = App::start().await;
    let id = app.enqueue(json!({"metadata": {"test_directive": "terminate"}})).await;
    app.take("w", &id, 1).await;
    assert_eq!(app.done(HEARTBEAT, json!({"worker_id": "w", "active_jobs": [id]})).await["state"], "running");
    app.stop().await;

    let app = App::start_with(ojs_core::Settings { test_directives: true, ..ojs_core::Settings::default() }).await;
    let mut held = Vec::new();
    for (options, wanted) in [
        (json!({}), "running"),
        (json!({"metadata": {"test_directive": "nonsense"}}), "running"),
        (json!({"metadata": {"test_directive": 5}}), "running"),
        (json!({"metadata": {"test_directive": "quiet"}}), "quiet"),
        (json!({"metadata": {"test_directive": "terminate"}}), "terminate"),
        (json!({"metadata": {"test_directive": "quiet"}}), "terminate"),
    ] {
        let id = app.enqueue(options).await;
        app.take("w", &id, 1).await;
        held.push(id);
        let beat = app.done(HEARTBEAT, json!({"worker_id": "w", "active_jobs": held})).await;
        assert_eq!(beat["state"], wanted);
    }
    assert_eq!(app.done(HEARTBEAT, json!({"worker_id": "w"})).await["state"], "running");
    // An operator's word counts for the worker itself, whatever it runs.
    app.stack.engine.store().direct_worker("w", "quiet", app.stack.engine.now_ms()).await.unwrap();
    assert_eq!(app.done(HEARTBEAT, json!({"worker_id": "w"})).await["state"], "quiet");
    assert_eq!(app.done(HEARTBEAT, json!({"worker_id": "v"})).await["state"], "running");
    app.stop().await;
}

#[tokio::test]
async fn a_stale_worker_is_refused_and_changes_nothing() {
    let app = App::start().await;
    let id = app.enqueue(json!({"retry": steady(5)})).await;
    let stale = app.take("first", &id, 1).await["lease_token"].clone();
    app.advance(29_999);
    assert_eq!(app.state(&id).await, "active");
    app.advance(1);
    let lapsed_at = app.time(0);
    let job = app.job(&id).await;
    assert_eq!((&job["state"], &job["attempt"], &job["enqueued_at"]), (&json!("available"), &json!(1), &lapsed_at));
    let error = json!({
        "code": "timeout", "type": "visibility_timeout", "message": job["error"]["message"], "attempt": 1,
        "occurred_at": lapsed_at, "retryable": true, "limit_seconds": 30.0, "elapsed_seconds": 30.0,
    });
    assert_eq!(job["error"], error);

    // Nobody has come yet, and it is too late all the same.
    let holders = [json!({}), json!({"worker_id": "first"}), json!({"lease_token": stale})];
    let requests = |holder: &Value| {
        let with = |more: Value| {
            let mut body = holder.clone();
            body["job_id"] = json!(id);
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            body
        };
        [
            (ACK, with(json!({"result": "late"}))),
            (NACK, with(json!({"error": {"code": "late"}}))),
            (NACK, with(json!({"requeue": true}))),
        ]
    };
    for holder in &holders {
        for (path, body) in requests(holder) {
            let details = app.refused(path, body, 409, "conflict").await;
            assert_eq!((&details["current_state"], details.get("reason")), (&json!("available"), None));
        }
    }
    assert_eq!(app.job(&id).await, job);

    app.advance(5_000);
    let fresh = app.take("second", &id, 2).await["lease_token"].clone();
    let before = app.job(&id).await;
    for holder in &holders[1..] {
        for (path, body) in requests(holder) {
            let details = app.refused(path, body, 409, "conflict").await;
            let wanted = json!({
                "job_id": id, "current_state": "active", "expected_state": "active", "current_attempt": 2,
                "reason": "lease_lost",
            });
            assert_eq!(details, wanted);
        }
    }
    for beat in [
        json!({"worker_id": "first", "active_jobs": [id]}),
        json!({"worker_id": "first", "active_jobs": [id], "lease_tokens": {&id: stale}}),
        // The right name with the wrong token: a process that was started again.
        json!({"worker_id": "second", "active_jobs": [id], "lease_tokens": {&id: stale}}),
        // Naming the job twice does not shake off the token.
        json!({"worker_id": "second", "active_jobs": [id, id], "lease_tokens": {&id: stale}}),
    ] {
        let details = app.refused(HEARTBEAT, beat, 409, "conflict").await;
        assert_eq!((&details["reason"], &details["current_attempt"]), (&json!("lease_lost"), &json!(2)));
    }
    assert_eq!(app.job(&id).await, before, "nothing has changed");
    app.nothing_to_fetch().await;

    // The one who holds it goes on undisturbed.
    app.done(HEARTBEAT, json!({"worker_id": "second", "active_jobs": [id], "lease_tokens": {&id: fresh}})).await;
    app.done(ACK, json!({"job_id": id, "worker_id": "second", "lease_token": fresh, "result": 2})).await;
    let details = app.refused(ACK, json!({"job_id": id, "lease_token": stale}), 409, "conflict").await;
    assert_eq!(details["current_state"], "completed");
    assert_eq!(app.job(&id).await["result"], 2);
    app.stop().await;
}

#[tokio::test]
async fn a_lease_that_lapses_on_the_last_attempt_ends_the_job() {
    let app = App::start().await;
    let plain = app.enqueue(json!({"retry": steady(1)})).await;
    app.take("w", &plain, 1).await;
    let mut policy = steady(1);
    policy["on_exhaustion"] = json!("dead_letter");
    let listed = app.enqueue(json!({"retry": policy})).await;
    app.take("w", &listed, 1).await;
    let at = app.time(30_000);
    app.advance(30_000);
    let check = async || {
        for id in [&plain, &listed] {
            let job = app.job(id).await;
            assert_eq!((&job["state"], &job["discarded_at"], &job["completed_at"]), (&json!("discarded"), &at, &at));
            assert_eq!(job["error"]["type"], "visibility_timeout");
        }
    };
    check().await;
    app.advance(1_000);
    app.nothing_to_fetch().await;
    check().await;
    assert_eq!(app.dead("").await.0, [listed]);
    assert_eq!(app.stack.aws.sqs.message_count(), 0);
    app.stop().await;
}

#[tokio::test]
async fn an_execution_timeout_fails_the_attempt() {
    let app = App::start().await;
    let id = app.enqueue(json!({"timeout_ms": 5_000, "retry": steady(2)})).await;
    app.take("w", &id, 1).await;
    // A heartbeat extends the lease, and does not move the timeout.
    for _ in 0..4 {
        app.advance(1_000);
        let beat = json!({"worker_id": "w", "active_jobs": [id], "visibility_timeout_ms": 60_000});
        assert_eq!(app.done(HEARTBEAT, beat).await["jobs_extended"], json!([id]));
    }
    app.advance(999);
    assert_eq!(app.state(&id).await, "active");
    app.advance(1);
    let job = app.job(&id).await;
    let error = json!({
        "code": "timeout", "type": "timeout", "message": job["error"]["message"], "attempt": 1,
        "occurred_at": app.time(0), "retryable": true, "timeout_kind": "execution", "limit_seconds": 5.0,
        "elapsed_seconds": 5.0,
    });
    assert_eq!((&job["state"], &job["error"]), (&json!("retryable"), &error));
    assert_eq!((&job["retry_delay_ms"], &job["next_attempt_at"]), (&json!(1_000), &app.time(1_000)));
    for (path, body) in [(ACK, json!({"job_id": id})), (NACK, json!({"job_id": id, "error": {"code": "x"}}))] {
        assert_eq!(app.refused(path, body, 409, "conflict").await["current_state"], "retryable");
    }
    let beat = app.done(HEARTBEAT, json!({"worker_id": "w", "active_jobs": [id]})).await;
    assert_eq!(beat["jobs_lost"][0]["current_state"], "retryable");
    // The backoff is waited for, then the next attempt, which times out as well: it was the last.
    app.advance(1_000);
    app.take("w", &id, 2).await;
    app.advance(5_000);
    let job = app.job(&id).await;
    assert_eq!((&job["state"], &job["completed_at"]), (&json!("discarded"), &app.time(0)));
    assert_eq!(job["errors"].as_array().unwrap().len(), 2);
    app.advance(60_000);
    app.nothing_to_fetch().await;
    assert_eq!(app.stack.aws.sqs.message_count(), 0);
    app.stop().await;
}

#[tokio::test]
async fn a_heartbeat_names_the_jobs_that_aws_throttled() {
    let app = App::start().await;
    let (a, b) = (app.enqueue(json!({})).await, app.enqueue(json!({})).await);
    app.done(FETCH, json!({"queues": ["default"], "count": 2, "worker_id": "w"})).await;
    let mut failed = Vec::new();
    for at in 0..3 {
        let (engine, wire) = app.stack.instance(1).await;
        let http = app.stack.http_on(&engine, ApiKeys::open());
        wire.disturb(Plan { at, fault: Fault::Throttled, then: Then::Continue });
        let answer = http.call("POST", HEARTBEAT, Some(json!({"worker_id": "w", "active_jobs": [a, b]}))).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let Some(named) = answer.body["jobs_failed"].as_array() else {
            assert_eq!(answer.body["jobs_extended"], json!([a, b]));
            continue;
        };
        assert_eq!((named.len(), &named[0]["code"], &named[0]["retryable"]), (1, &json!("rate_limited"), &json!(true)));
        assert_eq!(answer.body["jobs_extended"].as_array().unwrap().len(), 1);
        failed.push(named[0]["job_id"].as_str().unwrap().to_owned());
    }
    failed.sort_unstable();
    assert_eq!(failed, [a, b]);
    app.stop().await;
}

#[tokio::test]
async fn the_header_names_the_worker_where_the_body_does_not() {
    let app = App::start().await;
    let http = app.stack.http();
    let call = async |path: &str, worker: &str, body: Value| {
        let request = Request::post(path).header("content-type", "application/json").header("x-ojs-worker-id", worker);
        http.send(request.body(Body::from(body.to_string())).unwrap()).await
    };
    let fetch = json!({"queues": ["default"], "visibility_timeout_ms": 30_000});
    for (path, body) in [(ACK, json!({})), (NACK, json!({"error": {"code": "x"}})), (NACK, json!({"requeue": true}))] {
        let id = app.enqueue(json!({"queue": "default"})).await;
        let with_id = |id: &str| {
            let mut body = body.clone();
            body["job_id"] = json!(id);
            body
        };
        let first = call(FETCH, "a", fetch.clone()).await;
        assert_eq!(first.body["jobs"][0]["worker_id"], "a");
        app.advance(31_000);
        let second = call(FETCH, "b", fetch.clone()).await;
        assert_eq!((&second.body["jobs"][0]["id"], &second.body["jobs"][0]["attempt"]), (&json!(id), &json!(2)));
        for answer in [http.call("POST", path, Some(with_id(&id))).await, call(path, "a", with_id(&id)).await] {
            assert_eq!((answer.status.as_u16(), answer.code()), (409, "conflict"));
            assert_eq!(answer.body["error"]["details"]["reason"], "lease_lost");
        }
        let beat = |worker: &'static str| call(HEARTBEAT, worker, json!({"active_jobs": [id.clone()]}));
        assert_eq!(beat("a").await.status, 409);
        assert_eq!(beat("b").await.body["jobs_extended"], json!([id]));
        // The body's name counts.
        let mut named = with_id(&id);
        named["worker_id"] = json!("a");
        assert_eq!(call(path, "b", named).await.status, 409);
        assert_eq!(call(path, "b", with_id(&id)).await.status, 200);
        app.stack.engine.cancel(&ojs_model::JobId::parse(&id).unwrap()).await.ok();
    }
    let refused = call(FETCH, "", fetch).await;
    assert_eq!(
        (refused.status.as_u16(), refused.body["error"]["details"]["field"].as_str()),
        (400, Some("x-ojs-worker-id"))
    );
    app.stop().await;
}
