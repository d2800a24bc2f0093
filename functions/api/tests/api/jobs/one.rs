//! A job's life over HTTP: what is shown of it, when it can be fetched, and how it ends.
#![allow(clippy::unwrap_used)]

use crate::support;

use futures::future::join_all;
use serde_json::{Value, json};
use support::*;

#[tokio::test]
async fn a_minimal_job_has_the_defaults_and_nothing_else() {
    let app = App::start().await;
    let job = app.create(json!({"type": "a.b", "args": []})).await;
    let now = app.time(0);
    let wanted = json!({
        "specversion": "1.0", "id": job["id"], "type": "a.b", "queue": "default", "args": [], "meta": {},
        "priority": 0, "state": "available", "attempt": 0, "max_attempts": 3, "created_at": now, "enqueued_at": now,
    });
    assert_eq!(job, wanted);
    assert_eq!(app.job(&text(&job["id"])).await, wanted);
    app.stop().await;
}

#[tokio::test]
async fn a_full_job_is_echoed() {
    let app = App::start().await;
    let retry = json!({"max_attempts": 7, "initial_interval": "PT2S", "on_exhaustion": "dead_letter"});
    let body = json!({
        "type": "report.build-all_v2", "args": [1, 2.5, "é\u{1f600}", null, true, {"a": [[]]}], "id": NOBODY,
        "meta": {"trace_id": "t", "n": {"m": 1}}, "schema": "urn:ojs:schema:report:1", "specversion": "1.0",
        "options": {
            "queue": "reports.eu-1", "priority": -100, "timeout_ms": 60_000, "visibility_timeout_ms": 5_000,
            "retry": retry, "tags": ["a", "b"], "unique": {"keys": ["type"]}, "rate_limit": {"max_per_second": 5},
            "expires_at": "2099-12-31T23:59:59+02:00", "metadata": {"m": 2, "trace_id": "over"},
        },
        "x_team": "core", "x_nested": {"deep": [1.50]}, "x_number": 12.0, "x_null": null,
        // The server's own, which are ignored.
        "state": "completed", "attempt": 9, "max_attempts": 99, "created_at": "2001-01-01T00:00:00Z",
        "started_at": "x", "completed_at": "x", "cancelled_at": "x", "discarded_at": "x", "error": "x",
        "errors": ["x"], "result": "x", "worker_id": "x", "lease_token": "x", "next_attempt_at": "x",
        "previous_state": "x", "retry_delay_ms": 1, "workflow_id": "x", "parent_results": ["x"],
    });
    let now = app.time(0);
    let wanted = json!({
        "specversion": "1.0", "id": NOBODY, "type": "report.build-all_v2", "queue": "reports.eu-1",
        "args": [1, 2.5, "é\u{1f600}", null, true, {"a": [[]]}],
        "meta": {"trace_id": "over", "n": {"m": 1}, "m": 2}, "schema": "urn:ojs:schema:report:1",
        "priority": -100, "timeout_ms": 60_000, "visibility_timeout_ms": 5_000, "retry": retry, "tags": ["a", "b"],
        "unique": {"keys": ["type"]}, "rate_limit": {"max_per_second": 5},
        "expires_at": "2099-12-31T23:59:59+02:00", "state": "available", "attempt": 0, "max_attempts": 7,
        "created_at": now, "enqueued_at": now,
        "x_team": "core", "x_nested": {"deep": [1.50]}, "x_number": 12.0, "x_null": null,
    });
    assert_eq!(app.create(body).await, wanted);
    assert_eq!(app.job(NOBODY).await, wanted);

    // A fetch shows the same, and the lease.
    let jobs = app.fetched(json!({"queues": ["reports.eu-1"], "worker_id": "w"})).await;
    let mut leased = wanted.clone();
    for (name, value) in [
        ("state", json!("active")),
        ("attempt", json!(1)),
        ("started_at", now.clone()),
        ("worker_id", json!("w")),
        ("lease_token", jobs[0]["lease_token"].clone()),
        ("lease_expires_at", app.time(5_000)),
    ] {
        leased[name] = value;
    }
    assert_eq!(jobs, [leased.clone()]);
    assert!(text(&jobs[0]["lease_token"]).len() >= 32);
    // Only the worker is told the token.
    leased.as_object_mut().unwrap().retain(|name, _| !name.starts_with("lease_"));
    assert_eq!(app.job(NOBODY).await, leased);
    app.stop().await;
}

#[tokio::test]
async fn flat_fields_are_read_where_options_lack_them() {
    let app = App::start().await;
    let flat = json!({
        "type": "a", "args": [], "queue": "flat", "priority": 3, "timeout": 5, "visibility_timeout": 40,
        "scheduled_at": "2020-01-01T00:00:00Z", "expires_at": "+PT1H", "tags": ["t"], "unique": {"keys": ["type", "queue"]},
        "retry": {"max_attempts": 2},
    });
    let job = app.create(flat.clone()).await;
    for (name, value) in [
        ("queue", json!("flat")),
        ("priority", json!(3)),
        ("timeout_ms", json!(5_000)),
        ("visibility_timeout_ms", json!(40_000)),
        ("scheduled_at", json!("2020-01-01T00:00:00Z")),
        ("expires_at", app.time(3_600_000)),
        ("tags", json!(["t"])),
        ("unique", json!({"keys": ["type", "queue"]})),
        ("max_attempts", json!(2)),
        ("state", json!("available")),
    ] {
        assert_eq!(job[name], value, "{name}");
    }
    let mut both = flat;
    both["options"] = json!({"queue": "nested", "priority": 4, "timeout_ms": 7_000, "retry": {"max_attempts": 5}});
    let job = app.create(both).await;
    assert_eq!(
        (&job["queue"], &job["priority"], &job["timeout_ms"], &job["max_attempts"]),
        (&json!("nested"), &json!(4), &json!(7_000), &json!(5))
    );
    app.stop().await;
}

#[tokio::test]
async fn an_explicit_null_is_absent() {
    let app = App::start().await;
    let job = app
        .create(json!({
            "type": "a", "args": [], "id": null, "meta": null, "schema": null, "specversion": null, "queue": null,
            "options": {
                "queue": null, "priority": null, "timeout_ms": null, "visibility_timeout_ms": null,
                "visibility_timeout": null, "retry": null, "retry_policy": null, "scheduled_at": null,
                "delay_until": null, "expires_at": null, "unique": null, "tags": null, "metadata": null,
                "rate_limit": null, "pending": null,
            },
        }))
        .await;
    let names: Vec<&String> = job.as_object().unwrap().keys().collect();
    assert_eq!(names.len(), 12, "{names:?}");
    let id = text(&job["id"]);
    let fetch = json!({"queues": ["default"], "count": null, "worker_id": null, "visibility_timeout_ms": null});
    assert_eq!(app.fetched(fetch).await[0]["id"], *id);
    let nack = json!({"job_id": id, "worker_id": null, "lease_token": null, "requeue": null, "error":
        {"code": "x", "type": null, "message": null, "retryable": null, "details": null, "backtrace": null}});
    assert_eq!(app.done(NACK, nack).await["state"], "retryable");
    app.stop().await;
}

#[tokio::test]
async fn no_member_of_a_job_is_shown_twice() {
    let app = App::start().await;
    // Names that the envelope has elsewhere, among the unknown fields of the top level.
    let body = json!({
        "type": "a", "args": [], "timeout_ms": 1, "metadata": {"a": 1}, "pending": true, "retry_policy": {"a": 1},
        "visibility_timeout_ms": 1, "retried_at": "x", "enqueued_at": "x", "activated_at": "x", "rate_limit": {"a": 1},
        "lease_expires_at": "x", "delay_until": null, "job": 1, "options": {"timeout_ms": 5_000, "visibility_timeout_ms": 6_000},
    });
    let made = send_raw(&app.stack, request("POST", JOBS, body.to_string())).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let id = text(&serde_json::from_str::<Value>(&made.text).unwrap()["job"]["id"]);
    app.take("w", &id, 1).await;
    let read = send_raw(&app.stack, request("GET", &job_path(&id), "")).await;
    for text in [&made.text, &read.text] {
        let names: Vec<&str> = text
            .split('"')
            .skip(1)
            .step_by(2)
            .zip(text.split('"').skip(2).step_by(2))
            .filter(|(_, after)| after.starts_with(':'))
            .map(|(name, _)| name)
            .collect();
        for name in
            ["timeout_ms", "visibility_timeout_ms", "retried_at", "enqueued_at", "lease_expires_at", "rate_limit"]
        {
            assert!(names.iter().filter(|n| **n == name).count() <= 1, "{name} twice: {text}");
        }
        assert!(text.contains(r#""timeout_ms":5000"#), "{text}");
    }
    // What is shown as the job's timeout is the one that holds.
    let job = app.create(json!({"type": "a", "args": [], "queue": "short", "timeout_ms": 5_000})).await;
    app.fetched(json!({"queues": ["short"]})).await;
    if job.get("timeout_ms").is_some() {
        app.advance(5_000);
        assert_eq!(app.state(&text(&job["id"])).await, "retryable", "{job}");
    }
    app.stop().await;
}

#[tokio::test]
async fn schedules_are_kept_to_the_millisecond() {
    let app = App::start().await;
    let at = app.time(2_000);
    let id = app.enqueue(json!({"delay_until": "+PT2S"})).await;
    let job = app.job(&id).await;
    assert_eq!((&job["state"], &job["scheduled_at"]), (&json!("scheduled"), &at));
    app.nothing_to_fetch().await;
    app.advance(900);
    app.nothing_to_fetch().await;
    assert_eq!(app.state(&id).await, "scheduled");
    app.advance(1_099);
    assert_eq!(app.state(&id).await, "scheduled");
    app.advance(1);
    let job = app.job(&id).await;
    assert_eq!((&job["state"], &job["enqueued_at"]), (&json!("available"), &at));
    app.advance(7);
    let job = app.take("w", &id, 1).await;
    assert_eq!((&job["enqueued_at"], &job["started_at"]), (&at, &app.time(0)));
    app.stop().await;
}

#[tokio::test]
async fn a_fetch_waits_out_the_last_fraction_of_a_second() {
    let app = App::start().await;
    let start = app.stack.engine.now_ms();
    let id = app.enqueue(json!({"scheduled_at": "+PT0.4S"})).await;
    app.take("w", &id, 1).await;
    assert_eq!(app.stack.engine.now_ms() - start, 400, "neither early nor late");
    // With something to return at once, it does not wait.
    let soon = app.enqueue(json!({"scheduled_at": "+PT0.4S"})).await;
    let now = app.enqueue(json!({})).await;
    let jobs = app.fetched(json!({"queues": ["default"], "count": 2})).await;
    assert_eq!(jobs.iter().map(|job| text(&job["id"])).collect::<Vec<_>>(), [now]);
    assert_eq!(app.stack.engine.now_ms() - start, 400);
    app.advance(1_000);
    app.take("w", &soon, 1).await;
    // A whole number of seconds and a fraction.
    let later = app.enqueue(json!({"scheduled_at": "+PT2.25S"})).await;
    app.advance(1_999);
    app.nothing_to_fetch().await;
    app.advance(1);
    app.take("w", &later, 1).await;
    assert_eq!(app.stack.engine.now_ms() - start, 400 + 1_000 + 2_250);
    app.stop().await;
}

#[tokio::test]
async fn absolute_times_are_echoed_as_they_came() {
    let app = App::start().await;
    for (given, state) in [
        ("2099-12-31T23:59:59Z", "scheduled"),
        ("2099-12-31T23:59:59.123456789Z", "scheduled"),
        ("2099-12-31t23:59:59z", "scheduled"),
        ("2099-12-31T23:59:59-07:30", "scheduled"),
        ("2099-12-31T23:59:59.500Z", "scheduled"),
        ("2020-01-01T00:00:00+01:00", "available"),
        ("0001-01-01T00:00:00Z", "available"),
        ("9999-12-31T23:59:59Z", "scheduled"),
    ] {
        for name in ["scheduled_at", "delay_until"] {
            let mut options = json!({"expires_at": "2999-06-30T12:00:00.5+05:45"});
            options[name] = json!(given);
            let job = app.create(json!({"type": "a", "args": [], "options": options})).await;
            let read = app.job(&text(&job["id"])).await;
            assert_eq!(job, read);
            assert_eq!((&job["scheduled_at"], &job["state"]), (&json!(given), &json!(state)), "{name}");
            assert_eq!(job["expires_at"], "2999-06-30T12:00:00.5+05:45");
        }
    }
    // `scheduled_at` goes before `delay_until`.
    let job =
        app.create(json!({"type": "a", "args": [], "options": {"scheduled_at": "+PT1H", "delay_until": "+PT2H"}}));
    assert_eq!(job.await["scheduled_at"], app.time(3_600_000));
    app.stop().await;
}

#[tokio::test]
async fn a_schedule_beyond_what_sqs_can_delay_is_brought_back_by_the_tick() {
    let app = App::start().await;
    let id = app.enqueue(json!({"scheduled_at": "+PT1H"})).await;
    assert_eq!(app.stack.aws.sqs.message_count(), 0);
    app.advance(3_600_000 - 60_000);
    assert_eq!(app.stack.engine.send_due(ojs_core::engine::TickBudget::UNLIMITED).await.unwrap().sent, 1);
    app.nothing_to_fetch().await;
    app.advance(60_000);
    assert_eq!(app.state(&id).await, "available");
    app.take("w", &id, 1).await;
    app.stop().await;
}

#[tokio::test]
async fn what_expires_is_never_delivered() {
    let app = App::start().await;
    let plain = app.enqueue(json!({"expires_at": "+PT2S"})).await;
    let retry = json!({"on_exhaustion": "dead_letter"});
    let listed = app.enqueue(json!({"expires_at": "+PT2S", "retry": retry})).await;
    let scheduled = app.enqueue(json!({"expires_at": "+PT2S", "scheduled_at": "+PT2S"})).await;
    let pending = app.enqueue(json!({"expires_at": "+PT2S", "pending": true})).await;
    let past = app.enqueue(json!({"expires_at": "2020-01-01T00:00:00Z"})).await;
    assert_eq!(app.state(&past).await, "discarded");
    let at = app.time(2_000);
    app.advance(1_999);
    for (id, state) in [(&plain, "available"), (&listed, "available"), (&scheduled, "scheduled"), (&pending, "pending")]
    {
        assert_eq!(app.state(id).await, state);
    }
    app.advance(1);
    let check = async || {
        for id in [&plain, &listed, &scheduled, &pending] {
            let job = app.job(id).await;
            assert_eq!((&job["state"], &job["discarded_at"]), (&json!("discarded"), &at));
            assert!(job.get("completed_at").is_none() && job.get("error").is_none(), "{job}");
            for (path, body) in [(ACK, json!({"job_id": id})), (NACK, json!({"job_id": id, "error": {"code": "x"}}))] {
                let details = app.refused(path, body, 409, "conflict").await;
                assert_eq!(details["current_state"], "discarded");
            }
            assert_eq!(app.delete(&job_path(id)).await.status, 409);
        }
    };
    check().await;
    app.nothing_to_fetch().await;
    check().await;
    assert_eq!(app.dead("").await.0, [listed]);
    // An active job is not affected.
    let active = app.enqueue(json!({"expires_at": "+PT2S"})).await;
    app.take("w", &active, 1).await;
    app.advance(10_000);
    assert_eq!(app.state(&active).await, "active");
    app.done(ACK, json!({"job_id": active})).await;
    app.stop().await;
}

#[tokio::test]
async fn pending_jobs_wait_for_their_activation() {
    let app = App::start().await;
    let id = app.enqueue(json!({"pending": true})).await;
    let job = app.job(&id).await;
    assert_eq!(job["state"], "pending");
    assert!(job.get("enqueued_at").is_none());
    app.advance(100_000);
    app.nothing_to_fetch().await;
    for path in [ACK, NACK] {
        let body = json!({"job_id": id, "error": {"code": "x"}});
        assert_eq!(app.refused(path, body, 409, "conflict").await["current_state"], "pending");
    }
    let activate = format!("{}/activate", job_path(&id));
    let answer = app.call("POST", &activate, None).await;
    assert_eq!(answer.status, 200);
    let job = &answer.body["job"];
    let now = app.time(0);
    for (name, value) in [
        ("state", json!("available")),
        ("previous_state", json!("pending")),
        ("activated_at", now.clone()),
        ("enqueued_at", now),
        ("attempt", json!(0)),
    ] {
        assert_eq!(job[name], value, "{name}");
    }
    assert_eq!(*job, app.job(&id).await);
    let details = app.refused(&activate, json!({}), 409, "conflict").await;
    assert_eq!((&details["current_state"], &details["expected_state"]), (&json!("available"), &json!("pending")));
    app.take("w", &id, 1).await;
    app.refused(&activate, json!({}), 409, "conflict").await;

    // Activation before the job's time leads to a schedule.
    let later = app.enqueue(json!({"pending": true, "scheduled_at": "+PT5S"})).await;
    assert_eq!(app.done(&format!("{}/activate", job_path(&later)), json!({})).await["job"]["state"], "scheduled");
    app.nothing_to_fetch().await;
    app.advance(5_000);
    app.take("w", &later, 1).await;
    for other in ["available", "scheduled"] {
        let options = if other == "scheduled" { json!({"scheduled_at": "+PT5S"}) } else { json!({}) };
        let id = app.enqueue(options).await;
        let details = app.refused(&format!("{}/activate", job_path(&id)), json!({}), 409, "conflict").await;
        assert_eq!(details["current_state"], other);
    }
    app.stop().await;
}

#[tokio::test]
async fn results_of_every_kind_come_back() {
    let app = App::start().await;
    for result in [
        json!(null),
        json!(true),
        json!(false),
        json!(0),
        json!(-1.5),
        json!(1e300),
        json!(""),
        json!("té\u{1f600}\n"),
        json!([]),
        json!({}),
        json!([null, [{"a": []}]]),
        json!({"rows": 3, "nested": {"ok": true}}),
    ] {
        let id = app.enqueue(json!({})).await;
        app.take("w", &id, 1).await;
        app.advance(5);
        let acked = app.done(ACK, json!({"job_id": id, "worker_id": "w", "result": result})).await;
        let wanted = json!({
            "acknowledged": true, "id": id, "job_id": id, "state": "completed", "completed_at": app.time(0),
        });
        assert_eq!(acked, wanted);
        let job = app.job(&id).await;
        assert_eq!((job.get("result"), &job["state"]), (Some(&result), &json!("completed")));
        assert_eq!(job["completed_at"], app.time(0));
        assert!(job.get("worker_id").is_none() && job.get("error").is_none());
    }
    let id = app.enqueue(json!({})).await;
    app.take("w", &id, 1).await;
    app.done(ACK, json!({"job_id": id})).await;
    assert!(app.job(&id).await.get("result").is_none());
    assert_eq!(app.stack.aws.sqs.message_count(), 0, "messages go with their jobs");
    app.stop().await;
}

#[tokio::test]
async fn a_repeated_ack_succeeds_with_the_token_only() {
    let app = App::start().await;
    let id = app.enqueue(json!({})).await;
    let token = app.take("w", &id, 1).await["lease_token"].clone();
    let ack = json!({"job_id": id, "lease_token": token, "result": 1});
    let first = app.done(ACK, ack.clone()).await;
    app.advance(60_000);
    let again = json!({"job_id": id, "lease_token": token, "result": 2});
    assert_eq!(app.done(ACK, again).await, first, "the same answer as the first time");
    let job = app.job(&id).await;
    assert_eq!((&job["result"], &job["completed_at"]), (&json!(1), &first["completed_at"]));
    for stranger in [
        json!({"job_id": id}),
        json!({"job_id": id, "worker_id": "w"}),
        json!({"job_id": id, "lease_token": "0123456789abcdef0123456789abcdef"}),
    ] {
        let details = app.refused(ACK, stranger, 409, "conflict").await;
        assert_eq!((&details["current_state"], &details["expected_state"]), (&json!("completed"), &json!("active")));
    }
    // What was completed cannot fail, token or not.
    let nack = json!({"job_id": id, "lease_token": token, "error": {"code": "x"}});
    app.refused(NACK, nack, 409, "conflict").await;
    assert_eq!(app.job(&id).await, job);
    app.stop().await;
}

#[tokio::test]
async fn a_result_that_does_not_fit_is_refused_and_the_job_goes_on() {
    let app = App::start().await;
    for size in [450_000, 2_000_000] {
        let id = app.enqueue(json!({})).await;
        let token = app.take("w", &id, 1).await["lease_token"].clone();
        let before = app.job(&id).await;
        let stale = json!({"job_id": id, "lease_token": "another's", "result": "x".repeat(size)});
        app.refused(ACK, stale, 409, "conflict").await;
        for holder in [json!({}), json!({"lease_token": token}), json!({"worker_id": "w"})] {
            let mut ack = holder;
            ack["job_id"] = json!(id);
            ack["result"] = json!("x".repeat(size));
            let details = app.refused(ACK, ack, 413, "payload_too_large").await;
            assert_eq!((&details["what"], &details["size_bytes"]), (&json!("result"), &json!(size + 2)));
            assert!(details["limit_bytes"].as_u64().unwrap() >= 64 * 1_024, "{details}");
            assert_eq!(app.job(&id).await, before);
        }
        app.done(ACK, json!({"job_id": id, "lease_token": token, "result": "x".repeat(64 * 1_024)})).await;
        assert_eq!(app.state(&id).await, "completed");
    }
    // The limit that is named is one that holds.
    let id = app.enqueue(json!({})).await;
    app.take("w", &id, 1).await;
    let details =
        app.refused(ACK, json!({"job_id": id, "result": "x".repeat(450_000)}), 413, "payload_too_large").await;
    let limit = usize::try_from(details["limit_bytes"].as_u64().unwrap()).unwrap();
    app.done(ACK, json!({"job_id": id, "result": "x".repeat(limit - 2)})).await;
    app.stop().await;
}

#[tokio::test]
async fn the_largest_envelope_lives_a_whole_life() {
    let app = App::start().await;
    // 3 bytes of the type, 7 of the queue's name, 4 around the text.
    let args = json!(["x".repeat(300 * 1_024 - 14)]);
    let created = app.create(json!({"type": "a.b", "args": args, "id": NOBODY})).await;
    assert_eq!(created["args"], args);
    let large = json!({
        "code": "c".repeat(9_999), "message": "m".repeat(99_999), "type": "t".repeat(9_999),
        "backtrace": ["\u{1f600}".repeat(500), "y"], "details": {"blob": "z".repeat(4_000)},
    });
    for attempt in 1..=2 {
        assert_eq!(app.take("w", NOBODY, attempt).await["args"], args);
        app.done(NACK, json!({"job_id": NOBODY, "error": large})).await;
        let job = app.job(NOBODY).await;
        assert_eq!((&job["state"], &job["error"]["truncated"]), (&json!("retryable"), &json!(true)));
        app.advance(10_000);
    }
    app.take("w", NOBODY, 3).await;
    app.done(ACK, json!({"job_id": NOBODY, "result": "r".repeat(32 * 1_024)})).await;
    let job = app.job(NOBODY).await;
    assert_eq!((&job["state"], &job["args"]), (&json!("completed"), &args));
    app.stop().await;
}

#[tokio::test]
async fn bounds_are_inclusive() {
    let app = App::start().await;
    let long_type = "a".repeat(255);
    let long_queue = "q".repeat(128);
    let deep: Value = serde_json::from_str(&format!("{}1{}", "[".repeat(99), "]".repeat(99))).unwrap();
    let tags = vec!["t"; 100];
    for (kind, args, options) in [
        (long_type.as_str(), json!([]), json!({})),
        ("a-b_c.d-1", json!([]), json!({"queue": long_queue})),
        ("a", deep, json!({"queue": "0.9-a"})),
        (
            "a",
            json!([]),
            json!({"priority": 100, "timeout_ms": 315_360_000_000_i64, "visibility_timeout_ms": 43_200_000}),
        ),
        ("a", json!([]), json!({"priority": -100, "visibility_timeout_ms": 1_000, "tags": tags})),
        ("a", json!([]), json!({"priority": 5.0, "timeout_ms": 0, "visibility_timeout_ms": 0})),
        ("a", json!([]), json!({"visibility_timeout": "PT12H", "retry": {"max_attempts": 4_294_967_295_u32}})),
        ("a", json!([]), json!({"visibility_timeout": "PT0S", "retry": {"backoff_coefficient": 1}})),
        ("a", json!([]), json!({"scheduled_at": "+PT0S", "retry": {"max_attempts": 0, "initial_interval": "PT10M"}})),
        (
            "a",
            json!([]),
            json!({"expires_at": "+P100Y", "retry": {"initial_interval": "PT0.001S", "max_interval": "P1M"}}),
        ),
    ] {
        let job = app.create(json!({"type": kind, "args": args, "options": options})).await;
        assert_eq!((&job["type"], &job["args"]), (&json!(kind), &args));
        let queue = text(&job["queue"]);
        let fetch =
            json!({"queues": [queue], "count": 100, "worker_id": "w".repeat(255), "visibility_timeout_ms": 43_200_000});
        assert_eq!(app.fetched(fetch).await[0]["id"], job["id"], "{options}");
    }
    app.stop().await;
}

#[tokio::test]
async fn cancelling_works_from_every_state_that_is_not_terminal() {
    let app = App::start().await;
    let scheduled = app.enqueue(json!({"scheduled_at": "+PT1S"})).await;
    let far = app.enqueue(json!({"scheduled_at": "+PT1H"})).await;
    let available = app.enqueue(json!({})).await;
    let pending = app.enqueue(json!({"pending": true})).await;
    let active = app.enqueue(json!({"queue": "active"})).await;
    let token = app.fetched(json!({"queues": ["active"], "worker_id": "w"})).await[0]["lease_token"].clone();
    let retryable = app.enqueue(json!({"queue": "retryable"})).await;
    app.fetched(json!({"queues": ["retryable"]})).await;
    app.done(NACK, json!({"job_id": retryable, "error": {"code": "x"}})).await;
    for (id, from, attempt) in [
        (&scheduled, "scheduled", 0),
        (&far, "scheduled", 0),
        (&available, "available", 0),
        (&pending, "pending", 0),
        (&active, "active", 1),
        (&retryable, "retryable", 1),
    ] {
        let answer = app.delete(&job_path(id)).await;
        assert_eq!(answer.status, 200, "{from}: {}", answer.body);
        let job = &answer.body["job"];
        assert_eq!((&job["state"], &job["previous_state"]), (&json!("cancelled"), &json!(from)));
        assert_eq!((&job["cancelled_at"], &job["attempt"]), (&app.time(0), &json!(attempt)));
        assert!(job.get("completed_at").is_none() && job.get("next_attempt_at").is_none(), "{job}");
        assert_eq!(*job, app.job(id).await);
        let again = app.delete(&job_path(id)).await;
        assert_eq!((again.status.as_u16(), again.code()), (409, "conflict"));
        assert_eq!(again.body["error"]["details"]["current_state"], "cancelled");
        for path in [ACK, NACK] {
            app.refused(path, json!({"job_id": id, "error": {"code": "x"}}), 409, "conflict").await;
        }
        app.refused(&format!("{}/activate", job_path(id)), json!({}), 409, "conflict").await;
    }
    // The worker that runs it learns of it, with its own token too.
    for path in [ACK, NACK] {
        let body = json!({"job_id": active, "lease_token": token, "error": {"code": "x"}});
        app.refused(path, body, 409, "conflict").await;
    }
    let beat = app.done(HEARTBEAT, json!({"worker_id": "w", "active_jobs": [active]})).await;
    let lost = json!([{"job_id": active, "reason": "not_active", "current_state": "cancelled", "current_attempt": 1}]);
    assert_eq!((&beat["jobs_extended"], &beat["jobs_lost"]), (&json!([]), &lost));
    // No message brings any of them back.
    for _ in 0..8 {
        app.advance(600_000);
        app.stack.engine.send_due(ojs_core::engine::TickBudget::UNLIMITED).await.unwrap();
        let all = json!({"queues": ["default", "active", "retryable"], "count": 100});
        assert_eq!(app.fetched(all).await, [] as [Value; 0]);
    }
    assert_eq!(app.stack.aws.sqs.message_count(), 0);
    app.stop().await;
}

#[tokio::test]
async fn terminal_states_are_terminal() {
    let app = App::start().await;
    let completed = app.enqueue(json!({})).await;
    app.take("w", &completed, 1).await;
    app.done(ACK, json!({"job_id": completed})).await;
    let discarded = app.enqueue(json!({"retry": {"max_attempts": 1}})).await;
    app.take("w", &discarded, 1).await;
    app.done(NACK, json!({"job_id": discarded, "error": {"code": "x"}})).await;
    let expired = app.enqueue(json!({"expires_at": "+PT1S"})).await;
    app.advance(1_000);
    for (id, state) in [(&completed, "completed"), (&discarded, "discarded"), (&expired, "discarded")] {
        let before = app.job(id).await;
        assert_eq!(before["state"], state);
        let cancelled = app.delete(&job_path(id)).await;
        assert_eq!((cancelled.status.as_u16(), cancelled.code()), (409, "conflict"));
        assert_eq!(cancelled.body["error"]["details"]["current_state"], state);
        for (path, body) in [
            (ACK, json!({"job_id": id})),
            (NACK, json!({"job_id": id, "error": {"code": "x"}})),
            (NACK, json!({"job_id": id, "requeue": true})),
        ] {
            let details = app.refused(path, body, 409, "conflict").await;
            assert_eq!((&details["current_state"], &details["job_id"]), (&json!(state), &json!(id)));
        }
        assert_eq!(app.job(id).await, before);
    }
    app.stop().await;
}

#[tokio::test]
async fn what_waits_cannot_be_answered_for() {
    let app = App::start().await;
    for (options, state) in [(json!({}), "available"), (json!({"scheduled_at": "+PT1H"}), "scheduled")] {
        let id = app.enqueue(options).await;
        let before = app.job(&id).await;
        for body in [json!({}), json!({"worker_id": "w"}), json!({"lease_token": "t"}), json!({"requeue": true})] {
            for path in [ACK, NACK] {
                let mut body = body.clone();
                body["job_id"] = json!(id);
                body["error"] = json!({"code": "x"});
                let details = app.refused(path, body, 409, "conflict").await;
                assert_eq!((&details["current_state"], &details["expected_state"]), (&json!(state), &json!("active")));
            }
        }
        assert_eq!(app.job(&id).await, before);
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_id_is_taken_once() {
    let app = App::start().await;
    let body = json!({"type": "a", "args": [], "id": NOBODY});
    let answers = join_all((0..8).map(|_| app.post(JOBS, body.clone()))).await;
    let mut statuses: Vec<_> = answers.iter().map(|a| a.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 409]);
    assert!(answers.iter().filter(|a| a.status == 409).all(|a| a.code() == "duplicate"));
    // However many messages there are now, the job runs once.
    app.take("w", NOBODY, 1).await;
    app.nothing_to_fetch().await;
    app.done(ACK, json!({"job_id": NOBODY})).await;
    let taken = app.refused(JOBS, body, 409, "duplicate").await;
    assert_eq!(taken["existing_job_state"], "completed");
    app.advance(120_000);
    app.nothing_to_fetch().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_many_wins() {
    let app = App::start().await;
    let id = app.enqueue(json!({})).await;
    let fetch = json!({"queues": ["default"], "count": 5});
    let won = join_all((0..8).map(|_| app.fetched(fetch.clone()))).await;
    let won: Vec<_> = won.into_iter().flatten().collect();
    assert_eq!(won.len(), 1);
    // Acks without a token cannot be told from one another: one completes, the others are refused.
    let acks = join_all((0..6).map(|i| app.post(ACK, json!({"job_id": id, "result": i})))).await;
    let done = acks.iter().filter(|a| a.status == 200).count();
    assert_eq!((done, acks.iter().filter(|a| a.code() == "conflict").count()), (1, 5));
    let winner = acks.iter().position(|a| a.status == 200).unwrap();
    assert_eq!(app.job(&id).await["result"], winner);
    // So do an ack and a cancellation.
    let id = app.enqueue(json!({})).await;
    app.take("w", &id, 1).await;
    let ack_body = json!({"job_id": id});
    let path = job_path(&id);
    let (ack, cancel) = futures::future::join(app.post(ACK, ack_body), app.delete(&path)).await;
    assert_eq!([ack.status, cancel.status].iter().filter(|s| s.is_success()).count(), 1);
    assert_eq!(app.state(&id).await, if ack.status == 200 { "completed" } else { "cancelled" });
    app.stop().await;
}
