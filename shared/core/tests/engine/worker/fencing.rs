//! I3: a worker whose lease lapsed cannot complete, fail or extend the next worker's attempt. I5: a repeated ack of the
//! winner succeeds without a second effect.
#![allow(clippy::unwrap_used, missing_docs)]

use ojs_core::engine::{Ack, Heartbeat, Nack};
use ojs_model::ErrorCode;
use ojs_model::job::{Failure, Holder, Job, State};
use ojs_model::json::raw;
use ojs_testkit::TestStack;
use serde_json::json;

fn token(job: &Job) -> Holder {
    Holder { worker: None, token: Some(job.lease.as_ref().unwrap().token.clone()) }
}

fn failure() -> Option<Failure> {
    Some(Failure::parse(&raw(r#"{"code":"x"}"#).unwrap()).unwrap())
}

#[tokio::test]
async fn a_stale_worker_changes_nothing() {
    let stack = TestStack::start().await;
    let id = stack.enqueue(json!({})).await.id;
    let first = stack.fetch("first", 1).await.remove(0);
    stack.clock.advance_ms(31_000);
    let second = stack.fetch("second", 1).await.remove(0);
    assert_eq!((first.attempt, second.attempt), (1, 2));

    let before = serde_json::to_value(stack.get(&id).await.shown(true)).unwrap();
    let by_name = Holder { worker: Some("first".into()), token: None };
    for holder in [token(&first), by_name] {
        let ack = Ack { id: id.clone(), holder: holder.clone(), result: None };
        let nack = Nack { id: id.clone(), holder: holder.clone(), failure: failure(), requeue: false };
        let requeue = Nack { id: id.clone(), holder: holder.clone(), failure: None, requeue: true };
        let beat = Heartbeat {
            worker_id: holder.worker.unwrap_or_else(|| "second".into()),
            jobs: vec![(id.clone(), holder.token)],
            visibility_ms: None,
        };
        for refusal in [
            stack.engine.ack(ack).await.unwrap_err(),
            stack.engine.nack(nack).await.unwrap_err(),
            stack.engine.nack(requeue).await.unwrap_err(),
            stack.engine.heartbeat(beat).await.unwrap_err(),
        ] {
            assert_eq!(refusal.code, ErrorCode::Conflict, "{refusal}");
            assert_eq!(refusal.details["current_attempt"], 2);
            assert_eq!(refusal.details["reason"], "lease_lost");
        }
    }
    assert_eq!(serde_json::to_value(stack.get(&id).await.shown(true)).unwrap(), before);

    stack.engine.ack(Ack { id: id.clone(), holder: token(&second), result: None }).await.unwrap();
    assert_eq!(stack.get(&id).await.state, State::Completed);
    stack.stop().await;
}

#[tokio::test]
async fn a_late_ack_is_refused_even_before_anybody_else_comes() {
    let stack = TestStack::start().await;
    let id = stack.enqueue(json!({})).await.id;
    let job = stack.fetch("w", 1).await.remove(0);
    stack.clock.advance_ms(30_000);
    let refusal = stack.engine.ack(Ack { id: id.clone(), holder: token(&job), result: None }).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::Conflict);
    assert_eq!(refusal.details["current_state"], "available");
    stack.stop().await;
}

#[tokio::test]
async fn a_repeated_ack_of_the_winner_has_no_second_effect() {
    let stack = TestStack::start().await;
    let id = stack.enqueue(json!({})).await.id;
    let job = stack.fetch("w", 1).await.remove(0);
    let ack = |result: &str| Ack { id: id.clone(), holder: token(&job), result: Some(raw(result).unwrap()) };
    let first = stack.engine.ack(ack("1")).await.unwrap();
    stack.clock.advance_ms(5_000);
    let again = stack.engine.ack(ack("2")).await.unwrap();
    assert_eq!(again, first);
    assert_eq!(stack.get(&id).await.result.unwrap().get(), "1");
    let without = Ack { id: id.clone(), holder: Holder::default(), result: None };
    assert_eq!(stack.engine.ack(without).await.unwrap_err().code, ErrorCode::Conflict);
    stack.stop().await;
}

#[tokio::test]
async fn a_repeated_nack_of_the_winner_is_counted_once() {
    let stack = TestStack::start().await;
    let id = stack.enqueue(json!({"retry": {"jitter": false}})).await.id;
    let job = stack.fetch("w", 1).await.remove(0);
    let nack = || Nack { id: id.clone(), holder: token(&job), failure: failure(), requeue: false };
    let first = stack.engine.nack(nack()).await.unwrap();
    let again = stack.engine.nack(nack()).await.unwrap();
    assert_eq!((first.state, again.state, again.errors.len()), (State::Retryable, State::Retryable, 1));
    assert_eq!(first.due_at, again.due_at);
    stack.stop().await;
}

#[tokio::test]
async fn a_heartbeat_moves_the_lease_and_not_the_execution_timeout() {
    let stack = TestStack::start().await;
    let id = stack.enqueue(json!({"timeout_ms": 50_000})).await.id;
    let job = stack.fetch("w", 1).await.remove(0);
    let beat = || Heartbeat { worker_id: "w".into(), jobs: vec![(id.clone(), None)], visibility_ms: None };
    stack.clock.advance_ms(20_000);
    assert_eq!(stack.engine.heartbeat(beat()).await.unwrap().extended, std::slice::from_ref(&id));
    let lease = stack.get(&id).await.lease.unwrap();
    assert_eq!(lease.until_ms, job.lease.as_ref().unwrap().until_ms + 20_000);
    assert_eq!(lease.deadline_ms, job.lease.as_ref().unwrap().deadline_ms);
    stack.clock.advance_ms(29_999);
    assert_eq!(stack.get(&id).await.state, State::Active);
    stack.clock.advance_ms(1);
    let timed_out = stack.get(&id).await;
    assert_eq!(timed_out.state, State::Retryable);
    assert_eq!(timed_out.error().unwrap().error_type, "timeout");
    let beaten = stack.engine.heartbeat(beat()).await.unwrap();
    assert_eq!((beaten.extended.len(), beaten.lost[0].reason), (0, "not_active"));
    stack.stop().await;
}
