//! Bulk operations on the embedded stack (OJS bulk operations).
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};

use ojs_core::engine::{BulkAnswer, Fetch, Nack, TickBudget};
use ojs_core::store::{Begun, Committed, Ticket};
use ojs_core::{Engine, Settings};
use ojs_emulators::SqsFaults;
use ojs_fault_injection::{Fault, Plan, Then};
use ojs_model::batch::{Batch, BatchState, OPEN_MS};
use ojs_model::bulk::{IdempotencyKey, Operation, Outcome, enqueue_answer};
use ojs_model::job::{Failure, Holder, State};
use ojs_model::json::raw;
use ojs_model::{ErrorCode, JobId, Result};
use ojs_testkit::{TestStack, fields};
use serde_json::{Value, json};

/// How long a run may take before it is taken for dead, ms.
const RUN_MS: u64 = OPEN_MS as u64;

fn key(text: &str) -> Option<IdempotencyKey> {
    Some(IdempotencyKey::parse("key", text.to_owned()).unwrap())
}

async fn change(stack: &TestStack, operation: Operation, request: Value) -> Vec<Value> {
    items(&stack.engine.bulk_change(operation, fields(&request), None).await.unwrap())
}

fn items(answer: &BulkAnswer) -> Vec<Value> {
    let body: Value = serde_json::from_str(&answer.answer.body).unwrap();
    body["items"].as_array().unwrap().clone()
}

fn statuses(items: &[Value]) -> Vec<&str> {
    items.iter().map(|item| item["status"].as_str().unwrap()).collect()
}

async fn nack(engine: &Engine, id: &JobId, code: &str) {
    let failure = Failure::parse(&raw(json!({"code": code, "message": "m"}).to_string()).unwrap()).unwrap();
    let nack = Nack { id: id.clone(), holder: Holder::default(), failure: Some(failure), requeue: false };
    engine.nack(nack).await.unwrap();
}

/// Fetches one job of a queue, which must be this one.
async fn take(stack: &TestStack, queue: &str, id: &JobId) {
    let fetch = Fetch { queues: vec![queue.to_owned()], ..stack.fetch_request("w", 1) };
    for _ in 0..5 {
        if let Some(job) = stack.engine.fetch(fetch.clone()).await.unwrap().pop() {
            assert_eq!(job.id, *id);
            return;
        }
        stack.clock.advance_ms(1_000);
    }
    panic!("{id} cannot be fetched");
}

/// A job in each state, each in a queue of its own; `dead` is a discarded one that is a dead letter.
async fn one_of_each(stack: &TestStack, unique: bool) -> BTreeMap<&'static str, JobId> {
    let mut all = BTreeMap::new();
    for name in [
        "available",
        "scheduled",
        "pending",
        "active",
        "retryable",
        "completed",
        "cancelled",
        "discarded",
        "dead",
        "expired",
    ] {
        let mut options = json!({"queue": name});
        match name {
            "scheduled" => options["scheduled_at"] = json!("+PT3H"),
            "pending" => options["pending"] = json!(true),
            "retryable" => options["retry"] = json!({"initial_interval": "PT1H", "jitter": false}),
            "dead" => options["retry"] = json!({"max_attempts": 1, "on_exhaustion": "dead_letter"}),
            "expired" => options["expires_at"] = json!("+PT10S"),
            _ => {}
        }
        if unique {
            let states: Vec<_> = State::ALL.iter().map(|state| state.as_str()).collect();
            options["unique"] = json!({"keys": ["type", "queue"], "states": states});
        }
        let job = stack.enqueue(options).await;
        if matches!(name, "active" | "retryable" | "completed" | "discarded" | "dead") {
            take(stack, name, &job.id).await;
        }
        match name {
            "retryable" | "dead" => nack(&stack.engine, &job.id, "x").await,
            "discarded" => nack(&stack.engine, &job.id, "DISCARD").await,
            "completed" => stack.ack(&job.id).await.unwrap(),
            "cancelled" => drop(stack.engine.cancel(&job.id).await.unwrap()),
            _ => {}
        }
        all.insert(name, job.id);
    }
    stack.clock.advance_ms(11_000);
    for (name, id) in &all {
        let wanted = if matches!(*name, "dead" | "expired") { "discarded" } else { name };
        assert_eq!(stack.get(id).await.state.as_str(), wanted);
    }
    all
}

#[tokio::test]
async fn cancel_takes_what_has_not_ended() {
    let stack = TestStack::start().await;
    let all = one_of_each(&stack, false).await;
    let ids: Vec<_> = all.values().map(JobId::as_str).collect();
    let done = change(&stack, Operation::Cancel, json!({"job_ids": ids})).await;
    for ((name, id), item) in all.iter().zip(&done) {
        let live = matches!(*name, "available" | "scheduled" | "pending" | "active" | "retryable");
        assert_eq!(item["status"], if live { "cancelled" } else { "skipped" }, "{name}");
        assert_eq!(stack.get(id).await.state == State::Cancelled, live || *name == "cancelled", "{name}");
    }
    let reason = &done[all.keys().position(|name| *name == "completed").unwrap()]["reason"];
    assert_eq!(reason, "Job is in completed state");
    stack.stop().await;
}

#[tokio::test]
async fn cancel_by_filter_takes_what_waits() {
    let stack = TestStack::start().await;
    let all = one_of_each(&stack, false).await;
    for (name, id) in &all {
        let found = change(&stack, Operation::Cancel, json!({"filter": {"queue": name}})).await;
        let default = matches!(*name, "available" | "scheduled");
        assert_eq!(found.len(), usize::from(default), "{name}");
        let states = ["available", "scheduled", "retryable", "pending"];
        let found = change(&stack, Operation::Cancel, json!({"filter": {"queue": name, "state": states}})).await;
        let asked = matches!(*name, "pending" | "retryable");
        assert_eq!(found.len(), usize::from(asked), "{name}");
        let cancelled = stack.get(id).await.state == State::Cancelled;
        assert_eq!(cancelled, default || asked || *name == "cancelled", "{name}");
    }
    assert_eq!(stack.get(&all["active"]).await.state, State::Active);
    stack.stop().await;
}

#[tokio::test]
async fn filters_find_what_they_name() {
    let stack = TestStack::start().await;
    let mut made = Vec::new();
    for i in 0..6 {
        let request = json!({"type": format!("t{}", i % 2), "args": [], "meta": {"tenant": format!("x{}", i % 3)},
            "options": {"queue": "q", "priority": i}});
        made.push(stack.engine.enqueue(fields(&request)).await.unwrap().job);
        stack.clock.advance_ms(1_000);
    }
    stack.enqueue(json!({"queue": "other"})).await;
    let at = |i: usize| ojs_model::time::format_ms(made[i].created_at);
    for (more, wanted) in [
        (json!({"type": "t1", "meta": {"tenant": "x0"}}), vec![3]),
        (json!({"priority": 5}), vec![5]),
        (json!({"enqueued_before": at(1)}), vec![0]),
        (json!({"enqueued_after": at(1), "enqueued_before": at(4)}), vec![2]),
        (json!({"type": "nothing"}), vec![]),
        (json!({}), vec![1, 4]),
    ] {
        let mut filter = more.clone();
        filter["queue"] = json!("q");
        let mut found = change(&stack, Operation::Cancel, json!({"filter": filter})).await;
        assert!(found.iter().all(|item| item["status"] == "cancelled"));
        // Newest first.
        found.reverse();
        let ids: Vec<_> = found.iter().map(|item| item["job_id"].as_str().unwrap()).collect();
        assert_eq!(ids, wanted.iter().map(|i: &usize| made[*i].id.as_str()).collect::<Vec<_>>(), "{more}");
    }
    stack.stop().await;

    let settings = Settings { listing_index: false, ..Settings::default() };
    let stack = TestStack::start_with(settings, SqsFaults::default()).await;
    let request = fields(&json!({"filter": {"queue": "q"}}));
    let error = stack.engine.bulk_change(Operation::Cancel, request, None).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Unsupported);
    stack.stop().await;
}

#[tokio::test]
async fn a_filter_looks_at_a_thousand_jobs() {
    let stack = TestStack::start().await;
    let many = |count| fields(&json!({"jobs": vec![json!({"type": "t", "args": []}); count]}));
    let first = stack.enqueue(json!({})).await;
    stack.clock.advance_ms(10);
    stack.engine.enqueue_batch(many(1_000)).await.unwrap();
    let request = json!({"filter": {"queue": "default"}});
    let answer = stack.engine.bulk_change(Operation::Cancel, fields(&request), None).await.unwrap();
    let body: Value = serde_json::from_str(&answer.answer.body).unwrap();
    assert_eq!((&body["cancelled"], &body["truncated"]), (&json!(1_000), &json!(true)));
    assert_eq!(stack.get(&first.id).await.state, State::Available);
    // Deleting what was cancelled brings the next ones into reach.
    let answer = stack.engine.bulk_change(Operation::Delete, fields(&request), None).await.unwrap();
    let body: Value = serde_json::from_str(&answer.answer.body).unwrap();
    assert_eq!((&body["deleted"], &body["truncated"]), (&json!(1_000), &json!(true)));
    let left = change(&stack, Operation::Cancel, request).await;
    assert_eq!((left.len(), &left[0]["job_id"]), (1, &json!(first.id.as_str())));
    stack.stop().await;
}

#[tokio::test]
async fn retry_takes_what_has_failed() {
    for unique in [false, true] {
        let stack = TestStack::start().await;
        let all = one_of_each(&stack, unique).await;
        let ids: Vec<_> = all.values().map(JobId::as_str).collect();
        let done = change(&stack, Operation::Retry, json!({"job_ids": ids})).await;
        for ((name, id), item) in all.iter().zip(&done) {
            let failed = matches!(*name, "retryable" | "discarded" | "dead" | "expired");
            assert_eq!(item["status"], if failed { "retried" } else { "failed" }, "{name}: {item}");
            if failed {
                let attempt = u32::from(*name == "retryable");
                let job = stack.get(id).await;
                assert_eq!((job.state, job.attempt, job.dead_letter), (State::Available, attempt, false), "{name}");
                take(&stack, name, id).await;
                assert_eq!(stack.get(id).await.attempt, attempt + 1);
                stack.ack(id).await.unwrap();
            } else {
                assert_eq!(item["error"]["code"], "conflict");
            }
        }
        let done = change(&stack, Operation::Retry, json!({"filter": {"queue": "dead"}})).await;
        assert!(done.is_empty(), "{done:?}");
        stack.stop().await;
    }
}

#[tokio::test]
async fn a_retry_finds_its_lock_taken() {
    let stack = TestStack::start().await;
    let unique = json!({"type": "u", "args": [], "options": {"unique": {}}});
    let lost = stack.engine.enqueue(fields(&unique)).await.unwrap().job;
    take(&stack, "default", &lost.id).await;
    nack(&stack.engine, &lost.id, "DISCARD").await;
    let other = stack.engine.enqueue(fields(&unique)).await.unwrap().job;
    let request = json!({"job_ids": [lost.id.as_str()]});
    let done = change(&stack, Operation::Retry, request.clone()).await;
    assert_eq!((&done[0]["status"], &done[0]["error"]["code"]), (&json!("failed"), &json!("duplicate")));
    assert_eq!(done[0]["error"]["details"]["existing_job_id"], other.id.as_str());
    stack.engine.cancel(&other.id).await.unwrap();
    assert_eq!(statuses(&change(&stack, Operation::Retry, request).await), ["retried"]);
    assert_eq!(stack.engine.enqueue(fields(&unique)).await.unwrap_err().code, ErrorCode::Duplicate);
    stack.stop().await;
}

#[tokio::test]
async fn delete_takes_what_has_ended_and_its_lock() {
    for unique in [false, true] {
        let stack = TestStack::start().await;
        let all = one_of_each(&stack, unique).await;
        let ids: Vec<_> = all.values().map(JobId::as_str).collect();
        let done = change(&stack, Operation::Delete, json!({"job_ids": ids})).await;
        for ((name, id), item) in all.iter().zip(&done) {
            let ended = matches!(*name, "completed" | "cancelled" | "discarded" | "dead" | "expired");
            assert_eq!(item["status"], if ended { "deleted" } else { "failed" }, "{name}: {item}");
            match stack.engine.get(id).await {
                Ok(job) => assert!(!ended, "{name}: {:?}", job.state),
                Err(error) => assert!(ended && error.code == ErrorCode::NotFound, "{name}: {error}"),
            }
            if unique {
                let states: Vec<_> = State::ALL.iter().map(|state| state.as_str()).collect();
                let options = json!({"queue": name, "unique": {"keys": ["type", "queue"], "states": states}});
                let request = json!({"type": "test", "args": [1], "options": options});
                let again = stack.engine.enqueue(fields(&request)).await;
                assert_eq!(again.is_ok(), ended, "{name}");
            }
        }
        let again = change(&stack, Operation::Delete, json!({"job_ids": ids})).await;
        let missing = again.iter().filter(|item| item["error"]["code"] == "not_found").count();
        assert_eq!(missing, 5);
        stack.stop().await;
    }
}

/// A request for `r.new`, the one that dies at call `at`: plain jobs, a client's id, a unique job, one that replaces
/// another, and one that cannot be.
fn mixed(at: usize, client: &JobId) -> Value {
    let kind = format!("n{at}");
    json!({"jobs": [
        {"type": kind, "args": [1]},
        {"type": kind, "args": [2], "options": {"priority": 5}},
        {"type": ""},
        {"type": kind, "id": client.as_str(), "args": [3]},
        {"type": kind, "args": [4], "options": {"unique": {"keys": ["type"]}}},
        {"type": "r", "args": [], "meta": {"at": at}, "options": {"unique": {"on_conflict": "replace"}}},
    ]})
}

/// The process dies at each of its calls in turn; whoever repeats the request with its key has the jobs once.
#[tokio::test]
async fn an_enqueue_with_a_key_makes_no_job_twice_whoever_dies() {
    let stack = TestStack::start().await;
    stack.engine.enqueue(fields(&json!({"type": "r", "args": [], "options": {"unique": {}}}))).await.unwrap();
    for fault in [Fault::LostAnswer, Fault::NotSent] {
        for at in 0.. {
            let before = ids(&stack).await;
            let client = stack.engine.ids().job_id(stack.engine.now_ms());
            let number = at + if fault == Fault::NotSent { 1_000 } else { 0 };
            let request = mixed(number, &client);
            let name = format!("{number}");
            let (engine, wire) = stack.instance(1).await;
            wire.disturb(Plan { at, fault, then: Then::Dead });
            let first = engine.bulk_enqueue(fields(&request), key(&name)).await;
            let died = wire.disturbed_calls() > at;
            let soon = stack.engine.bulk_enqueue(fields(&request), key(&name)).await;
            match &soon {
                Ok(_) => {}
                Err(error) => {
                    assert_eq!(error.code, ErrorCode::Conflict, "call {at}: {error}");
                    assert!(error.retry_after_s.is_some_and(|s| (1..=60).contains(&s)));
                }
            }
            stack.clock.advance_ms(RUN_MS);
            // With a tick before, or not.
            if at % 2 == 0 {
                stack.engine.send_due(TickBudget::UNLIMITED).await.unwrap();
            }
            let again = stack.engine.bulk_enqueue(fields(&request), key(&name)).await.unwrap();
            assert_eq!(again.answer.outcome, Outcome::Mixed, "call {at}: {}", again.answer.body);
            let listed = items(&again);
            assert_eq!(
                statuses(&listed),
                ["created", "created", "failed", "created", "created", "created"],
                "call {at}"
            );
            for other in [&first, &soon].into_iter().flatten() {
                assert_eq!(other.answer, again.answer, "call {at}");
                assert!(again.replayed);
            }
            let replayed = stack.engine.bulk_enqueue(fields(&request), key(&name)).await.unwrap();
            assert!(replayed.replayed && replayed.answer == again.answer);
            stack.engine.send_due(TickBudget::UNLIMITED).await.unwrap();
            stack.clock.advance_ms(RUN_MS);
            stack.engine.send_due(TickBudget::UNLIMITED).await.unwrap();
            let wanted: BTreeSet<JobId> =
                listed.iter().filter_map(|item| JobId::parse(item["job"]["id"].as_str()?)).collect();
            assert_eq!(wanted.len(), 5);
            let made: BTreeSet<JobId> = ids(&stack).await.difference(&before).cloned().collect();
            assert_eq!(made, wanted, "call {at}");
            let mut done = BTreeSet::new();
            for _ in 0..8 {
                for job in stack.fetch("late", 100).await {
                    // The last one stays to be replaced.
                    if job.job_type == "r" {
                        nack_back(&stack, &job.id).await;
                    } else {
                        stack.ack(&job.id).await.unwrap();
                    }
                    assert!(wanted.contains(&job.id), "call {at}: {} {:?}", job.job_type, job.state);
                    done.insert(job.id);
                }
                stack.clock.advance_ms(2_000);
            }
            assert_eq!(done, wanted, "call {at}");
            if !died {
                assert!(first.is_ok() && at > 5);
                break;
            }
            assert!(first.is_err() || soon.is_ok(), "call {at}");
        }
    }
    stack.stop().await;
}

async fn nack_back(stack: &TestStack, id: &JobId) {
    let nack = Nack { id: id.clone(), holder: Holder::default(), failure: None, requeue: true };
    stack.engine.nack(nack).await.unwrap();
}

async fn ids(stack: &TestStack) -> BTreeSet<JobId> {
    stack.engine.store().newest_jobs("default", 10_000).await.unwrap().into_iter().collect()
}

/// A run that was only slow cannot commit once another has its record.
#[tokio::test]
async fn a_run_that_was_taken_over_commits_nothing() {
    let stack = TestStack::start().await;
    let (engine, store) = (&stack.engine, stack.engine.store());
    let now = engine.now_ms();
    let slow = Ticket::new(Operation::Enqueue, &key("k").unwrap(), engine.ids().nonce());
    let batch = Batch {
        id: engine.ids().job_id(now),
        jobs: vec![engine.ids().job_id(now)],
        state: BatchState::Open,
        due_at: now + OPEN_MS,
    };
    let request = json!({"jobs": [{"type": "a", "args": []}]});
    let fingerprint = fields(&request).fingerprint();
    let begun = store.begin_request(&slow, fingerprint, Some(batch.id.as_str()), now).await.unwrap();
    assert!(matches!(begun, Begun::New));
    store.open_batch(&batch).await.unwrap();
    // As what takes it over does, before it calls the batch off.
    let next = Ticket::new(Operation::Enqueue, &key("k").unwrap(), engine.ids().nonce());
    assert!(store.take_over_request(&next, slow.nonce, Some(batch.id.as_str()), now).await.unwrap());
    let third = Ticket::new(Operation::Enqueue, &key("k").unwrap(), engine.ids().nonce());
    assert!(!store.take_over_request(&third, slow.nonce, None, now).await.unwrap());
    let answer = enqueue_answer(&[]);
    let late = store.commit_batch(&batch, &[], Some((&slow, &answer)), now, engine.ids().nonce()).await.unwrap();
    assert!(matches!(late, Committed::Refused), "{late:?}");
    assert!(!store.answer_request(&slow, &answer).await.unwrap());
    assert!(!store.plan_request(&slow, "x").await.unwrap() && !store.give_up_request(&slow).await.unwrap());
    // The one that has it ends without an answer, and the next one calls the batch off.
    assert!(store.give_up_request(&next).await.unwrap());
    let made = engine.bulk_enqueue(fields(&request), key("k")).await.unwrap();
    assert_eq!((made.answer.outcome, made.replayed), (Outcome::All, false));
    assert_eq!(store.get_batch(&batch.id).await.unwrap().unwrap().state, BatchState::Aborted);
    // Its calls may arrive even now.
    store.open_batch(&batch).await.unwrap();
    let late = store.commit_batch(&batch, &[], Some((&next, &answer)), now, engine.ids().nonce()).await.unwrap();
    assert!(matches!(late, Committed::Refused), "{late:?}");
    let again = engine.bulk_enqueue(fields(&request), key("k")).await.unwrap();
    assert_eq!((again.answer, again.replayed), (made.answer, true));
    stack.stop().await;
}

/// What cannot be done as a whole is said as a whole, and can be sent again at once.
#[tokio::test]
async fn an_outage_keeps_a_key_free() {
    let stack = TestStack::start().await;
    let job = stack.enqueue(json!({})).await;
    let enqueue = json!({"jobs": [{"type": "a", "args": []}, {"type": "b", "args": []}]});
    let cancel = json!({"job_ids": [job.id.as_str()]});
    for at in 1..4 {
        let (engine, wire) = stack.instance(1).await;
        wire.disturb(Plan { at, fault: Fault::Throttled, then: Then::Continue });
        let name = format!("e{at}");
        let failed = engine.bulk_enqueue(fields(&enqueue), key(&name)).await.unwrap_err();
        assert_eq!(failed.code, ErrorCode::RateLimited, "call {at}");
        let made = stack.engine.bulk_enqueue(fields(&enqueue), key(&name)).await.unwrap();
        assert_eq!((made.answer.outcome, made.replayed), (Outcome::All, false), "call {at}");
    }
    let (engine, wire) = stack.instance(1).await;
    wire.disturb(Plan { at: 1, fault: Fault::Throttled, then: Then::Continue });
    let failed = engine.bulk_change(Operation::Cancel, fields(&cancel), key("c")).await.unwrap_err();
    assert_eq!(failed.code, ErrorCode::RateLimited);
    let done = stack.engine.bulk_change(Operation::Cancel, fields(&cancel), key("c")).await.unwrap();
    assert_eq!(statuses(&items(&done)), ["cancelled"]);
    assert_eq!(stack.fetch("w", 100).await.len(), 6);
    // Without a key, and for one job: not a failed item, but to be sent again.
    for jobs in [1, 2] {
        let (engine, wire) = stack.instance(1).await;
        wire.disturb(Plan { at: 2, fault: Fault::Unavailable, then: Then::Dead });
        let request = json!({"jobs": vec![json!({"type": "a", "args": []}); jobs]});
        let failed = engine.bulk_enqueue(fields(&request), None).await.unwrap_err();
        assert_eq!(failed.code, ErrorCode::BackendUnavailable, "{failed}");
    }
    stack.stop().await;
}

/// The process of a cancel, retry or delete dies at each of its calls in turn; whoever repeats it finds all done.
#[tokio::test]
async fn changes_with_a_key_can_be_repeated_whoever_dies() {
    let stack = TestStack::start().await;
    for operation in [Operation::Cancel, Operation::Retry, Operation::Delete] {
        for by_filter in [false, true] {
            for at in 0.. {
                let queue = format!("{}.{by_filter}.{at}", operation.as_str());
                let jobs = prepared(&stack, operation, &queue).await;
                let request = match by_filter {
                    true => json!({"filter": {"queue": queue}}),
                    false => json!({"job_ids": jobs.iter().map(JobId::as_str).collect::<Vec<_>>()}),
                };
                let (engine, wire) = stack.instance(1).await;
                wire.disturb(Plan { at, fault: Fault::LostAnswer, then: Then::Dead });
                let first = engine.bulk_change(operation, fields(&request), key(&queue)).await;
                let died = wire.disturbed_calls() > at;
                stack.clock.advance_ms(RUN_MS);
                let again = stack.engine.bulk_change(operation, fields(&request), key(&queue)).await.unwrap();
                if let Ok(first) = &first
                    && again.replayed
                {
                    assert_eq!(first.answer, again.answer, "{queue}");
                } else {
                    assert_eq!(again.answer.outcome, Outcome::All, "{queue}: {}", again.answer.body);
                }
                assert_eq!(again.answer.count, jobs.len(), "{queue}");
                for id in &jobs {
                    let job = stack.engine.get(id).await;
                    match operation {
                        Operation::Cancel => assert_eq!(job.unwrap().state, State::Cancelled, "{queue}"),
                        Operation::Delete => assert_eq!(job.unwrap_err().code, ErrorCode::NotFound, "{queue}"),
                        _ => assert_eq!(job.unwrap().state, State::Available, "{queue}"),
                    }
                }
                let last = stack.engine.bulk_change(operation, fields(&request), key(&queue)).await.unwrap();
                assert!(last.replayed && last.answer == again.answer, "{queue}");
                if operation == Operation::Retry {
                    let fetch = Fetch { queues: vec![queue.clone()], ..stack.fetch_request("w", 10) };
                    let fetched: BTreeSet<_> =
                        stack.engine.fetch(fetch).await.unwrap().into_iter().map(|job| job.id).collect();
                    assert_eq!(fetched, jobs.into_iter().collect(), "{queue}");
                }
                if !died {
                    assert!(first.is_ok());
                    break;
                }
            }
        }
    }
    stack.stop().await;
}

/// Three jobs of a queue, one of them unique, that the operation can change.
async fn prepared(stack: &TestStack, operation: Operation, queue: &str) -> Vec<JobId> {
    let mut all = Vec::new();
    for more in [json!({}), json!({}), json!({"unique": {"keys": ["type", "queue"]}})] {
        let mut options = more;
        options["queue"] = json!(queue);
        all.push(stack.enqueue(options).await.id);
    }
    if operation != Operation::Cancel {
        let fetch = Fetch { queues: vec![queue.to_owned()], ..stack.fetch_request("w", 10) };
        for job in stack.engine.fetch(fetch).await.unwrap() {
            nack(&stack.engine, &job.id, "DISCARD").await;
        }
    }
    all
}

#[tokio::test]
async fn one_key_runs_once_at_a_time() {
    let stack = TestStack::start().await;
    let request = json!({"jobs": [{"type": "a", "args": []}, {"type": "b", "args": []}]});
    let all = (0..12).map(|_| stack.engine.bulk_enqueue(fields(&request), key("k")));
    let answers: Vec<Result<BulkAnswer>> = futures::future::join_all(all).await;
    let fresh = answers.iter().flatten().filter(|answer| !answer.replayed).count();
    assert_eq!(fresh, 1);
    for error in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        assert_eq!((error.code, &error.details["reason"]), (ErrorCode::Conflict, &json!("under_way")), "{error}");
    }
    assert_eq!(stack.fetch("w", 10).await.len(), 2);
    stack.stop().await;
}
