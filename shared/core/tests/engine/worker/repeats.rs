//! A client that repeats a request whose server died finds everything done that the request entails, at once.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ojs_core::engine::{Ack, Nack};
use ojs_fault_injection::{Fault, Plan, Then};
use ojs_model::ErrorCode;
use ojs_model::bulk::{IdempotencyKey, Operation};
use ojs_model::job::{Failure, Holder, Job, State};
use ojs_model::json::raw;
use ojs_testkit::{TestStack, fields};
use serde_json::{Value, json};

fn by_token(job: &Job) -> Holder {
    Holder { worker: None, token: job.lease.as_ref().map(|lease| lease.token.clone()) }
}

fn ack(job: &Job) -> Ack {
    Ack { id: job.id.clone(), holder: by_token(job), result: None }
}

fn final_failure(job: &Job) -> Nack {
    let failure = Failure::parse(&raw(r#"{"code":"x","retryable":false}"#).unwrap()).unwrap();
    Nack { id: job.id.clone(), holder: by_token(job), failure: Some(failure), requeue: false }
}

async fn create(stack: &TestStack, workflow: Value) {
    stack.engine.create_workflow(fields(&workflow)).await.unwrap();
}

/// The process dies once call `at` has taken effect.
fn dies(at: usize) -> Plan {
    Plan { at, fault: Fault::LostAnswer, then: Then::Dead }
}

#[tokio::test]
async fn a_repeated_ack_moves_the_workflow_on() {
    let stack = TestStack::start().await;
    for _ in 0..10 {
        create(&stack, json!({"type": "chain", "steps": [{"type": "a", "args": []}, {"type": "b", "args": []}]})).await;
    }
    for _ in 0..10 {
        let first = stack.fetch("w", 1).await.remove(0);
        assert_eq!(first.job_type, "a");
        let (engine, wire) = stack.instance(1).await;
        wire.disturb(dies(0));
        engine.ack(ack(&first)).await.unwrap_err();
        // Nothing is received of the next step yet, and no time passes: the repeat is what moves the workflow on.
        stack.engine.ack(ack(&first)).await.unwrap();
    }
    let mut next = Vec::new();
    while next.len() < 10 {
        let more = stack.fetch("w", 10).await;
        assert!(!more.is_empty(), "{} of 10 workflows went on", next.len());
        next.extend(more);
    }
    assert!(next.iter().all(|job| job.job_type == "b"));
    stack.stop().await;
}

#[tokio::test]
async fn a_repeated_nack_that_ended_its_job_frees_its_unique_key() {
    let stack = TestStack::start().await;
    let unique = json!({"unique": {"keys": ["type"], "on_conflict": "reject"}});
    let job = stack.enqueue(unique.clone()).await;
    let held = stack.fetch("w", 1).await.remove(0);
    assert_eq!(held.id, job.id);
    let (engine, wire) = stack.instance(1).await;
    // The read, then the write.
    wire.disturb(dies(1));
    engine.nack(final_failure(&held)).await.unwrap_err();
    stack.engine.nack(final_failure(&held)).await.unwrap();
    let next = stack.enqueue(unique).await;
    assert_ne!(next.id, job.id);
    stack.stop().await;
}

#[tokio::test]
async fn a_repeated_ack_frees_the_slot_of_a_limit() {
    let stack = TestStack::start().await;
    let limited = json!({"rate_limit": {"key": "k", "concurrency": 1}});
    for _ in 0..2 {
        stack.enqueue(limited.clone()).await;
    }
    let first = stack.fetch("w", 1).await.remove(0);
    let (engine, wire) = stack.instance(1).await;
    wire.disturb(dies(0));
    engine.ack(ack(&first)).await.unwrap_err();
    stack.engine.ack(ack(&first)).await.unwrap();
    assert_eq!(stack.fetch("w", 1).await.len(), 1, "the slot is free");
    stack.stop().await;
}

/// A unique job whose end leaves its lock behind, unless the request is repeated.
async fn unique_job(stack: &TestStack) -> Job {
    stack.enqueue(json!({"unique": {"keys": ["type"], "on_conflict": "reject"}})).await
}

#[tokio::test]
async fn a_repeated_cancel_is_refused_and_frees_the_unique_key() {
    let stack = TestStack::start().await;
    let job = unique_job(&stack).await;
    let (engine, wire) = stack.instance(1).await;
    wire.disturb(dies(0));
    engine.cancel(&job.id).await.unwrap_err();
    assert_eq!(stack.engine.cancel(&job.id).await.unwrap_err().code, ErrorCode::Conflict);
    assert_ne!(unique_job(&stack).await.id, job.id);
    stack.stop().await;
}

#[tokio::test]
async fn a_repeated_cancel_of_many_frees_the_unique_key() {
    let stack = TestStack::start().await;
    let mut died_between = 0;
    for (at, keyed) in (0..6).flat_map(|at| [(at, false), (at, true)]) {
        let job = unique_job(&stack).await;
        let request = || fields(&json!({"job_ids": [job.id.as_str()]}));
        let key = || keyed.then(|| IdempotencyKey::parse("Idempotency-Key", format!("key-{at}")).unwrap());
        let (engine, wire) = stack.instance(1).await;
        wire.disturb(dies(at));
        let answered = engine.bulk_change(Operation::Cancel, request(), key()).await;
        died_between += usize::from(answered.is_err() && stack.get(&job.id).await.state == State::Cancelled);
        // The run that died is no longer taken for one under way.
        stack.clock.advance_ms(600_000);
        stack.engine.bulk_change(Operation::Cancel, request(), key()).await.unwrap();
        let next = unique_job(&stack).await;
        assert_ne!(next.id, job.id, "call {at}, with a key: {keyed}");
        stack.engine.cancel(&next.id).await.unwrap();
    }
    assert!(died_between >= 2, "{died_between}");
    stack.stop().await;
}

#[tokio::test]
async fn an_ack_whose_consequences_cannot_be_had_is_to_be_repeated() {
    let stack = TestStack::start().await;
    let job = unique_job(&stack).await;
    let held = stack.fetch("w", 1).await.remove(0);
    let (engine, wire) = stack.instance(1).await;
    wire.disturb(dies(0));
    assert!(engine.ack(ack(&held)).await.unwrap_err().code.is_retryable());
    stack.engine.ack(ack(&held)).await.unwrap();
    assert_ne!(unique_job(&stack).await.id, job.id);
    stack.stop().await;
}

/// Fetches a job and ends it; the process dies once the end is written. By a nack it is a dead letter then, if its policy says so.
async fn ends_and_dies(stack: &TestStack, nacked: bool) -> Job {
    let held = stack.fetch("w", 1).await.remove(0);
    let (engine, wire) = stack.instance(1).await;
    if nacked {
        // The read, then the write.
        wire.disturb(dies(1));
        engine.nack(final_failure(&held)).await.unwrap_err();
    } else {
        wire.disturb(dies(0));
        engine.ack(ack(&held)).await.unwrap_err();
    }
    held
}

#[tokio::test]
async fn a_deletion_frees_the_slot_that_a_crash_left_taken() {
    let stack = TestStack::start().await;
    let retry = json!({"max_attempts": 1, "on_exhaustion": "dead_letter"});
    let limited = json!({"rate_limit": {"key": "k", "concurrency": 1}, "retry": retry});
    stack.enqueue(limited.clone()).await;
    for (nacked, as_dead_letter) in [(false, false), (true, false), (true, true)] {
        stack.enqueue(limited.clone()).await;
        let ended = ends_and_dies(&stack, nacked).await;
        if as_dead_letter {
            stack.engine.delete_dead_letter(&ended.id).await.unwrap();
        } else {
            stack.engine.delete_job(&ended.id).await.unwrap();
        }
        assert_eq!(stack.engine.get(&ended.id).await.unwrap_err().code, ErrorCode::NotFound);
    }
    assert_eq!(stack.fetch("w", 1).await.len(), 1, "the slot is free");
    stack.stop().await;
}

#[tokio::test]
async fn a_deletion_moves_the_workflow_on_or_is_refused() {
    let stack = TestStack::start().await;
    create(&stack, json!({"type": "chain", "steps": [{"type": "a", "args": []}, {"type": "b", "args": []}]})).await;
    let first = ends_and_dies(&stack, false).await;
    let (engine, wire) = stack.instance(1).await;
    // The call after the fast delete, which the job's workflow refuses.
    wire.disturb(Plan { at: 1, fault: Fault::Throttled, then: Then::Continue });
    assert!(engine.delete_job(&first.id).await.unwrap_err().code.is_retryable());
    assert_eq!(stack.get(&first.id).await.state, State::Completed, "nothing could move its workflow on without it");
    stack.engine.delete_job(&first.id).await.unwrap();
    assert_eq!(stack.engine.get(&first.id).await.unwrap_err().code, ErrorCode::NotFound);
    assert_eq!(stack.fetch("w", 1).await.remove(0).job_type, "b");
    stack.stop().await;
}

#[tokio::test]
async fn a_dead_letter_is_deleted_with_its_lock() {
    let stack = TestStack::start().await;
    let retry = json!({"max_attempts": 1, "on_exhaustion": "dead_letter"});
    let unique = json!({"unique": {"keys": ["type"], "on_conflict": "reject"}, "retry": retry});
    for crashed in [false, true] {
        let job = stack.enqueue(unique.clone()).await;
        if crashed {
            ends_and_dies(&stack, true).await;
        } else {
            let held = stack.fetch("w", 1).await.remove(0);
            stack.engine.nack(final_failure(&held)).await.unwrap();
        }
        stack.engine.delete_dead_letter(&job.id).await.unwrap();
        let again = stack.engine.delete_dead_letter(&job.id).await.unwrap_err();
        assert_eq!(again.code, ErrorCode::NotFound);
    }
    assert_eq!(stack.enqueue(unique).await.state, State::Available);
    stack.stop().await;
}
