//! I3: a worker whose lease lapsed cannot complete, fail or extend the next worker's attempt. I5: a repeated ack of the
//! winner succeeds without a second effect.
#![allow(clippy::unwrap_used, missing_docs)]

use ojs_core::Settings;
use ojs_core::engine::{Ack, Fetch, Heartbeat, Nack};
use ojs_emulators::SqsFaults;
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

/// A job whose first worker's lease has lapsed and that another worker has. `None`: a worker that does not say its name.
async fn taken_over(stack: &TestStack, first: Option<&str>, second: Option<&str>) -> (Job, Job) {
    stack.enqueue(json!({"retry": {"jitter": false}})).await;
    let first = fetched(stack, first).await;
    stack.clock.advance_ms(31_000);
    let second = fetched(stack, second).await;
    assert_eq!((&first.id, first.attempt, second.attempt), (&second.id, 1, 2));
    (first, second)
}

async fn fetched(stack: &TestStack, worker: Option<&str>) -> Job {
    let fetch = Fetch { worker_id: worker.map(str::to_owned), ..stack.fetch_request("w", 1) };
    stack.engine.fetch(fetch).await.unwrap().remove(0)
}

fn bare_ack(job: &Job, result: &str) -> Ack {
    Ack { id: job.id.clone(), holder: Holder::default(), result: Some(raw(result).unwrap()) }
}

fn bare_nack(job: &Job, requeue: bool) -> Nack {
    Nack { id: job.id.clone(), holder: Holder::default(), failure: failure(), requeue }
}

fn beat(worker: &str, job: &Job, token: Option<String>) -> Heartbeat {
    Heartbeat { worker_id: worker.into(), jobs: vec![(job.id.clone(), token)], visibility_ms: None }
}

fn is_lease_lost(refusal: &ojs_model::Error) {
    assert_eq!(refusal.code, ErrorCode::Conflict, "{refusal}");
    assert_eq!(refusal.details["reason"], "lease_lost");
    assert_eq!(refusal.details["current_attempt"], 2);
}

#[tokio::test]
async fn a_late_worker_that_sends_only_the_jobs_id_changes_nothing() {
    for (first, second) in [(Some("a"), Some("b")), (Some("a"), None), (None, Some("b")), (None, None)] {
        let stack = TestStack::start().await;
        let (late, current) = taken_over(&stack, first, second).await;
        is_lease_lost(&stack.engine.nack(bare_nack(&late, false)).await.unwrap_err());
        is_lease_lost(&stack.engine.nack(bare_nack(&late, true)).await.unwrap_err());
        is_lease_lost(&stack.engine.ack(bare_ack(&late, "1")).await.unwrap_err());
        let ack = Ack { id: current.id.clone(), holder: token(&current), result: Some(raw("2").unwrap()) };
        stack.engine.ack(ack).await.unwrap();
        let done = stack.get(&current.id).await;
        assert_eq!((done.state, done.attempt), (State::Completed, 2));
        assert_eq!(done.result.unwrap().get(), "2");
        stack.stop().await;
    }
}

#[tokio::test]
async fn a_worker_that_names_itself_or_fetched_both_times_needs_no_token() {
    let stack = TestStack::start().await;
    let (_, current) = taken_over(&stack, Some("a"), Some("b")).await;
    let by_name = |worker: &str| Holder { worker: Some(worker.into()), token: None };
    let ack = |worker| Ack { id: current.id.clone(), holder: by_name(worker), result: None };
    is_lease_lost(&stack.engine.ack(ack("a")).await.unwrap_err());
    stack.engine.ack(ack("b")).await.unwrap();

    let (_, current) = taken_over(&stack, Some("a"), Some("a")).await;
    let nacked = stack.engine.nack(bare_nack(&current, false)).await.unwrap();
    assert_eq!(nacked.state, State::Retryable);
    stack.clock.advance_ms(60_000);
    let third = fetched(&stack, Some("b")).await;
    assert_eq!(third.attempt, 3);
    // Of all that have lapsed: the first one's is remembered.
    assert_eq!(stack.engine.ack(bare_ack(&third, "3")).await.unwrap_err().code, ErrorCode::Conflict);
    stack.stop().await;
}

#[tokio::test]
async fn a_worker_that_fell_silent_before_its_lease_lapsed_keeps_no_other_from_acking() {
    for (beats_later, accepted) in [(false, true), (true, false)] {
        let stack = TestStack::start().await;
        stack.engine.heartbeat(Heartbeat { worker_id: "a".into(), jobs: vec![], visibility_ms: None }).await.unwrap();
        let (late, current) = taken_over(&stack, Some("a"), Some("b")).await;
        if beats_later {
            is_lease_lost(&stack.engine.heartbeat(beat("a", &late, None)).await.unwrap_err());
        }
        // A nack would throw away the other worker's work.
        is_lease_lost(&stack.engine.nack(bare_nack(&current, false)).await.unwrap_err());
        let acked = stack.engine.ack(bare_ack(&current, "2")).await;
        assert_eq!(acked.is_ok(), accepted);
        if accepted {
            let done = stack.get(&current.id).await;
            assert_eq!((done.state, done.result.unwrap().get()), (State::Completed, "2"));
        }
        stack.stop().await;
    }
}

#[tokio::test]
async fn a_lapsed_lease_is_forgotten_after_twelve_hours() {
    let stack = TestStack::start().await;
    let (_, current) = taken_over(&stack, None, Some("b")).await;
    let later = Heartbeat { visibility_ms: Some(12 * 3_600_000), ..beat("b", &current, None) };
    stack.engine.heartbeat(later).await.unwrap();
    stack.clock.advance_ms(12 * 3_600_000 - 1_000);
    stack.engine.ack(bare_ack(&current, "2")).await.unwrap();
    stack.stop().await;
}

#[tokio::test]
async fn a_late_workers_heartbeat_does_not_extend_a_lease_without_a_name() {
    let stack = TestStack::start().await;
    stack.enqueue(json!({})).await;
    let first = fetched(&stack, None).await;
    // Nothing has lapsed: it can only be the worker that has the job.
    assert_eq!(stack.engine.heartbeat(beat("a", &first, None)).await.unwrap().extended.len(), 1);
    stack.clock.advance_ms(31_000);
    let second = fetched(&stack, None).await;
    for worker in ["a", "b"] {
        is_lease_lost(&stack.engine.heartbeat(beat(worker, &second, None)).await.unwrap_err());
    }
    let token = token(&second).token;
    assert_eq!(stack.engine.heartbeat(beat("b", &second, token)).await.unwrap().extended.len(), 1);
    stack.engine.cancel(&second.id).await.unwrap();

    let (late, current) = taken_over(&stack, Some("a"), None).await;
    is_lease_lost(&stack.engine.heartbeat(beat("a", &late, None)).await.unwrap_err());
    assert_eq!(stack.engine.heartbeat(beat("b", &current, None)).await.unwrap().extended.len(), 1);
    stack.stop().await;
}

#[tokio::test]
async fn without_strict_fencing_the_state_alone_decides() {
    let settings = Settings { strict_fencing: false, ..Settings::default() };
    let stack = TestStack::start_with(settings, SqsFaults::default()).await;
    let (_, current) = taken_over(&stack, None, None).await;
    assert_eq!(stack.engine.heartbeat(beat("b", &current, None)).await.unwrap().extended.len(), 1);
    stack.engine.ack(bare_ack(&current, "2")).await.unwrap();
    assert_eq!(stack.get(&current.id).await.state, State::Completed);
    let (_, current) = taken_over(&stack, Some("a"), Some("b")).await;
    assert_eq!(stack.engine.nack(bare_nack(&current, false)).await.unwrap().state, State::Retryable);
    stack.stop().await;
}
