//! Calls are made for many jobs at once, and one job's failure is its own.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;

use ojs_core::Engine;
use ojs_core::engine::{Fetch, Heartbeat, TickBudget};
use ojs_fault_injection::{Call, Fault, Plan, Then, Wire};
use ojs_model::job::Job;
use ojs_model::{ErrorCode, JobId};
use ojs_testkit::{TestStack, fields};
use serde_json::json;

const LEASE_MS: i64 = 1_800_000;

/// An instance that knows the queue, and whose calls are logged.
async fn metered(stack: &TestStack) -> (Arc<Engine>, Wire) {
    let (engine, wire) = metered_only(stack).await;
    let id = stack.enqueue(json!({})).await.id;
    assert_eq!(engine.fetch(long(stack, 1)).await.unwrap().len(), 1);
    stack.ack(&id).await.unwrap();
    drop(wire.take_calls());
    (engine, wire)
}

fn long(stack: &TestStack, count: usize) -> Fetch {
    Fetch { visibility_ms: Some(LEASE_MS), ..stack.fetch_request("w", count) }
}

fn count(calls: &[Call], action: &str) -> usize {
    calls.iter().filter(|call| call.action == action).count()
}

async fn running(stack: &TestStack, jobs: usize) -> Vec<Job> {
    for _ in 0..jobs {
        stack.enqueue(json!({})).await;
    }
    let mut running = Vec::new();
    while running.len() < jobs {
        let more = stack.engine.fetch(long(stack, 100)).await.unwrap();
        assert!(!more.is_empty());
        running.extend(more);
    }
    running
}

fn beat(jobs: &[Job]) -> Heartbeat {
    let jobs = jobs.iter().map(|job| (job.id.clone(), job.lease.as_ref().map(|lease| lease.token.clone())));
    Heartbeat { worker_id: "w".to_owned(), jobs: jobs.collect(), visibility_ms: None }
}

#[tokio::test]
async fn a_fetch_beside_fifty_jobs_that_run_for_long_makes_calls_for_ten() {
    let stack = TestStack::start().await;
    let (engine, wire) = metered(&stack).await;
    let others = running(&stack, 50).await;
    // Their messages come back: a receive hides them for a minute, whatever the lease.
    stack.clock.advance_ms(61_000);
    let behind = stack.enqueue(json!({})).await;
    let fetched = engine.fetch(long(&stack, 1)).await.unwrap();
    assert_eq!(fetched[0].id, behind.id);
    let calls = wire.take_calls();
    // One message alone, for one job is asked for; then ten a receive.
    for (action, most) in [
        ("ReceiveMessage", 6),
        // The jobs of each receive, and the state of the queue.
        ("BatchGetItem", 7),
        ("ChangeMessageVisibilityBatch", 5),
        ("ChangeMessageVisibility", 1),
        ("UpdateItem", 1),
        ("GetItem", 0),
    ] {
        assert!(count(&calls, action) <= most, "{action}: {calls:?}");
    }
    let units: f64 = calls.iter().map(|call| call.write_units).sum();
    assert!((units - 1.0).abs() < 1e-9, "no claim is refused: {units}");
    // They rest until their leases end, and then they run again.
    for _ in 0..3 {
        stack.clock.advance_ms(61_000);
        assert!(engine.fetch(long(&stack, 1)).await.unwrap().is_empty());
        let calls = wire.take_calls();
        assert!(count(&calls, "BatchGetItem") <= 1 + 1, "{calls:?}");
    }
    stack.clock.advance_ms(LEASE_MS.unsigned_abs());
    let again = running(&stack, 0).await.len() + engine.fetch(long(&stack, 100)).await.unwrap().len();
    assert_eq!(again, others.len() + 1);
    stack.stop().await;
}

#[tokio::test]
async fn a_message_that_comes_back_is_claimed_once_its_lease_has_lapsed() {
    let stack = TestStack::start().await;
    stack.enqueue(json!({})).await;
    let request = Fetch { visibility_ms: Some(5_000), ..stack.fetch_request("w", 1) };
    let first = stack.engine.fetch(request.clone()).await.unwrap().remove(0);
    stack.clock.advance_ms(6_000);
    let (engine, wire) = metered_only(&stack).await;
    let second = engine.fetch(request).await.unwrap().remove(0);
    assert_eq!((second.id, second.attempt), (first.id, 2));
    // Not refused first: the lapsed lease is seen by the read.
    let units: f64 = wire.take_calls().iter().map(|call| call.write_units).sum();
    assert!((units - 1.0).abs() < 1e-9, "{units}");
    stack.stop().await;
}

async fn metered_only(stack: &TestStack) -> (Arc<Engine>, Wire) {
    let (engine, wire) = stack.instance(1).await;
    wire.meter();
    (engine, wire)
}

#[tokio::test]
async fn messages_that_mean_nothing_any_more_are_deleted_ten_a_call() {
    let stack = TestStack::start().await;
    let (engine, wire) = metered(&stack).await;
    for _ in 0..40 {
        let id = stack.enqueue(json!({})).await.id;
        stack.engine.cancel(&id).await.unwrap();
    }
    let live = stack.enqueue(json!({})).await;
    assert_eq!(engine.fetch(long(&stack, 10)).await.unwrap()[0].id, live.id);
    let calls = wire.take_calls();
    assert_eq!((count(&calls, "DeleteMessageBatch"), count(&calls, "DeleteMessage")), (4, 0), "{calls:?}");
    assert_eq!(stack.aws.sqs.message_count(), 1);
    stack.stop().await;
}

#[tokio::test]
async fn short_leases_are_shown_to_sqs_ten_a_call() {
    let stack = TestStack::start().await;
    let (engine, wire) = metered(&stack).await;
    for _ in 0..10 {
        stack.enqueue(json!({"visibility_timeout_ms": 5_000})).await;
    }
    let fetch = Fetch { visibility_ms: None, ..stack.fetch_request("w", 10) };
    assert_eq!(engine.fetch(fetch.clone()).await.unwrap().len(), 10);
    let calls = wire.take_calls();
    let found = (count(&calls, "ChangeMessageVisibilityBatch"), count(&calls, "ChangeMessageVisibility"));
    assert_eq!(found, (1, 0), "{calls:?}");
    stack.clock.advance_ms(5_000);
    assert_eq!(engine.fetch(fetch).await.unwrap().len(), 10);
    stack.stop().await;
}

#[tokio::test]
async fn a_heartbeat_of_ten_makes_twelve_calls() {
    let stack = TestStack::start().await;
    let (engine, wire) = metered(&stack).await;
    let jobs = running(&stack, 10).await;
    assert_eq!(engine.heartbeat(beat(&jobs)).await.unwrap().extended.len(), 10);
    let calls = wire.take_calls();
    assert_eq!((count(&calls, "UpdateItem"), calls.len()), (11, 12), "{calls:?}");
    // Their messages rest for as long.
    stack.clock.advance_ms(61_000);
    assert!(engine.fetch(long(&stack, 10)).await.unwrap().is_empty());
    assert_eq!(count(&wire.take_calls(), "BatchGetItem"), 1, "the queue's state alone is read");
    stack.stop().await;
}

#[tokio::test]
async fn a_throttled_job_does_not_fail_the_heartbeat_of_the_others() {
    let stack = TestStack::start().await;
    let jobs = running(&stack, 5).await;
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id.clone()).collect();
    let mut failures = 0;
    for at in 0..6 {
        let (engine, wire) = stack.instance(1).await;
        wire.disturb(Plan { at, fault: Fault::Throttled, then: Then::Continue });
        let beaten = engine.heartbeat(beat(&jobs)).await.unwrap();
        failures += beaten.failed.len();
        let mut all: Vec<JobId> =
            beaten.extended.iter().chain(beaten.failed.iter().map(|(id, _)| id)).cloned().collect();
        all.sort_unstable();
        assert_eq!(all, ids, "call {at}");
        assert!(beaten.failed.iter().all(|(_, error)| error.code == ErrorCode::RateLimited), "{:?}", beaten.failed);
        assert!(beaten.lost.is_empty());
    }
    // The other call is the worker's own, without which its jobs are extended nevertheless.
    assert_eq!(failures, 5);
    let (engine, wire) = stack.instance(1).await;
    wire.disturb(Plan { at: 0, fault: Fault::Throttled, then: Then::Repeat });
    assert_eq!(engine.heartbeat(beat(&jobs)).await.unwrap_err().code, ErrorCode::RateLimited);
    stack.stop().await;
}

#[tokio::test]
async fn a_bulk_cancel_by_filter_reads_no_job_twice() {
    let stack = TestStack::start().await;
    for _ in 0..20 {
        stack.enqueue(json!({})).await;
    }
    let (engine, wire) = metered_only(&stack).await;
    let request = fields(&json!({"filter": {"queue": "default"}}));
    let answer = engine.bulk_change(ojs_model::bulk::Operation::Cancel, request, None).await.unwrap();
    assert_eq!(answer.answer.count, 20);
    let calls = wire.take_calls();
    assert_eq!((count(&calls, "GetItem"), count(&calls, "BatchGetItem")), (0, 1), "{calls:?}");
    assert_eq!(count(&calls, "UpdateItem"), 40, "a cancellation and a counter each");
    stack.stop().await;
}

#[tokio::test]
async fn a_backlog_of_schedules_does_not_keep_a_tick_from_a_batch_whose_request_died() {
    let stack = TestStack::start().await;
    for _ in 0..40 {
        stack.enqueue(json!({"queue": "flood", "scheduled_at": "+PT1H"})).await;
    }
    stack.clock.advance_ms(3_600_000);
    // The commit takes effect, and the process crashes before it sends a message: two calls note the queue, one opens the
    // batch, one writes its jobs.
    let (engine, wire) = stack.instance(1).await;
    wire.disturb(Plan { at: 4, fault: Fault::LostAnswer, then: Then::Dead });
    let jobs: Vec<_> = (0..3).map(|_| json!({"type": "test", "args": []})).collect();
    engine.enqueue_batch(fields(&json!({"jobs": jobs}))).await.unwrap_err();
    let store = stack.engine.store();
    let unfinished = async || {
        let mut batches = 0;
        for shard in 0..store.due_shards() {
            batches += store.unfinished_before(shard, i64::MAX / 2, None, 10).await.unwrap().batches.len();
        }
        batches
    };
    assert_eq!(unfinished().await, 1);
    stack.clock.advance_ms(u64::try_from(ojs_model::batch::OPEN_MS).unwrap());
    let done = stack.engine.send_due(TickBudget::jobs(1)).await.unwrap();
    assert!(done.sent <= 1 && done.more, "{done:?}");
    assert_eq!((stack.fetch("w", 10).await.len(), unfinished().await), (3, 0));
    stack.stop().await;
}
