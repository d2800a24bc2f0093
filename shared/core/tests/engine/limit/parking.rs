//! Jobs that wait for a rate limit leave their queue, on the embedded stack.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ojs_core::engine::{Fetch, Heartbeat, TickBudget};
use ojs_fault_injection::Service;
use ojs_model::job::{Job, State};
use ojs_model::limit::{LimitKey, Limits, Override};
use ojs_model::{ErrorCode, JobId};
use ojs_testkit::TestStack;
use serde_json::{Value, json};

fn key(text: &str) -> LimitKey {
    LimitKey::parse(text).unwrap()
}

/// Jobs that wait in the order in which they are made.
async fn limited(stack: &TestStack, policy: &Value, count: usize) -> Vec<JobId> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(stack.enqueue(json!({"rate_limit": policy})).await.id);
        stack.clock.advance_ms(1);
    }
    ids
}

async fn waiting(stack: &TestStack, name: &str) -> usize {
    match stack.engine.get_limit(&key(name)).await {
        Ok(state) => stack.engine.waiting_count(name, &state).await.unwrap().0,
        Err(error) => {
            assert_eq!(error.code, ErrorCode::NotFound);
            0
        }
    }
}

async fn keep(stack: &TestStack, job: &Job) {
    let jobs = vec![(job.id.clone(), None)];
    let beat = Heartbeat { worker_id: "w".into(), jobs, visibility_ms: Some(30_000) };
    stack.engine.heartbeat(beat).await.unwrap();
}

/// A worker asks once a second while `running` runs, until `count` jobs are parked.
async fn until_parked(stack: &TestStack, running: Option<&Job>, name: &str, count: usize) -> usize {
    for round in 0..60 {
        if waiting(stack, name).await == count {
            return round;
        }
        stack.clock.advance_ms(1_000);
        if let Some(job) = running {
            keep(stack, job).await;
        }
        assert!(stack.fetch("w", 10).await.is_empty());
    }
    panic!("{} of {count} jobs are parked", waiting(stack, name).await);
}

#[tokio::test]
async fn jobs_that_wait_for_a_slot_leave_their_queue_and_come_back_in_their_order() {
    let stack = TestStack::start().await;
    let ids = limited(&stack, &json!({"key": "db", "concurrency": 1}), 150).await;
    let mut running = stack.fetch("w", 1).await.remove(0);
    assert_eq!(running.id, ids[0]);
    let fetches = until_parked(&stack, Some(&running), "db", 149).await;
    assert!(fetches <= 6, "{fetches}");
    assert_eq!(stack.aws.sqs.message_count(), 1, "that of the job that runs");

    // What is behind them waits no longer than if they were not there.
    let plain = stack.enqueue(json!({})).await;
    assert_eq!(stack.fetch("w", 1).await.remove(0).id, plain.id);
    stack.ack(&plain.id).await.unwrap();
    // And they cost a worker that asks nothing.
    let (engine, wire) = stack.instance(1).await;
    let request = stack.fetch_request("w", 10);
    assert!(engine.fetch(request.clone()).await.unwrap().is_empty());
    stack.clock.advance_ms(1_000);
    wire.meter();
    assert!(engine.fetch(request).await.unwrap().is_empty());
    let calls = wire.take_calls();
    assert!(calls.iter().filter(|call| call.service == Service::Sqs).count() <= 2, "{calls:?}");

    for id in &ids[1..30] {
        stack.ack(&running.id).await.unwrap();
        let next = stack.fetch("w", 10).await;
        assert_eq!(next.iter().map(|job| &job.id).collect::<Vec<_>>(), [id]);
        running = next.into_iter().next().unwrap();
        assert_eq!(running.attempt, 1);
    }
    assert_eq!(waiting(&stack, "db").await, 120);
    stack.stop().await;
}

#[tokio::test]
async fn a_rate_is_used_up_by_jobs_that_are_parked() {
    let stack = TestStack::start().await;
    let ids = limited(&stack, &json!({"key": "api", "rate": {"limit": 3, "period": "PT10S"}}), 30).await;
    let mut starts = Vec::new();
    for second in 0..130 {
        if second % 60 == 0 {
            stack.engine.send_due(TickBudget::UNLIMITED).await.unwrap();
        }
        for job in stack.fetch("w", 10).await {
            stack.ack(&job.id).await.unwrap();
            starts.push((second, job.id));
        }
        stack.clock.advance_ms(1_000);
    }
    assert_eq!(starts.len(), ids.len(), "{starts:?}");
    for end in 3..starts.len() {
        assert!(starts[end].0 - starts[end - 3].0 >= 9, "{starts:?}");
    }
    // The note of parked jobs goes with them.
    for _ in 0..4 {
        stack.clock.advance_ms(60_000);
        stack.engine.send_due(TickBudget::UNLIMITED).await.unwrap();
    }
    assert_eq!(stack.engine.get_limit(&key("api")).await.unwrap().parking, None);
    stack.stop().await;
}

#[tokio::test]
async fn an_operator_who_raises_a_limit_frees_parked_jobs() {
    let stack = TestStack::start().await;
    limited(&stack, &json!({"key": "db", "concurrency": 1}), 12).await;
    let running = stack.fetch("w", 1).await.remove(0);
    until_parked(&stack, Some(&running), "db", 11).await;
    let over = Limits { concurrency: Some(5), ..Limits::default() };
    let over = Override { limits: over, expires_at: None };
    stack.engine.set_limit_override(&key("db"), Some(over)).await.unwrap();
    assert_eq!(stack.fetch("w", 10).await.len(), 4);
    assert_eq!(waiting(&stack, "db").await, 7);
    stack.stop().await;
}

/// No request writes the end of an override: a tick sees it.
#[tokio::test]
async fn the_end_of_an_override_frees_parked_jobs() {
    let stack = TestStack::start().await;
    let closed = Limits { concurrency: Some(0), ..Limits::default() };
    let over = Override { limits: closed, expires_at: Some(stack.engine.now_ms() + 90_000) };
    stack.engine.set_limit_override(&key("db"), Some(over)).await.unwrap();
    limited(&stack, &json!({"key": "db", "concurrency": 2}), 5).await;
    let mut started = Vec::new();
    for second in 0..240 {
        if second % 60 == 0 {
            stack.engine.send_due(TickBudget::UNLIMITED).await.unwrap();
        }
        started.extend(stack.fetch("w", 10).await.into_iter().map(|_| second));
        stack.clock.advance_ms(1_000);
        if started.len() == 2 {
            break;
        }
    }
    assert_eq!(started.len(), 2);
    assert!(started.iter().all(|second| (90..=181).contains(second)), "{started:?}");
    stack.stop().await;
}

#[tokio::test]
async fn a_parked_job_that_is_cancelled_makes_way_and_one_of_a_paused_queue_does_too() {
    let stack = TestStack::start().await;
    let policy = json!({"key": "db", "concurrency": 1});
    let running = limited(&stack, &policy, 1).await.remove(0);
    let running = stack.fetch("w", 1).await.into_iter().find(|job| job.id == running).unwrap();
    let cancelled = limited(&stack, &policy, 1).await.remove(0);
    let paused = stack.enqueue(json!({"queue": "other", "rate_limit": policy})).await;
    stack.clock.advance_ms(1);
    let next = limited(&stack, &policy, 1).await.remove(0);
    let queues = vec!["default".to_owned(), "other".to_owned()];
    let both = Fetch { queues, ..stack.fetch_request("w", 10) };
    for _ in 0..5 {
        stack.clock.advance_ms(1_000);
        assert!(stack.engine.fetch(both.clone()).await.unwrap().is_empty());
    }
    assert_eq!(waiting(&stack, "db").await, 3);
    assert_eq!(stack.engine.cancel(&cancelled).await.unwrap().state, State::Cancelled);
    assert_eq!(waiting(&stack, "db").await, 2);
    stack.engine.pause_queue("other").await.unwrap();
    stack.clock.advance_ms(1_000);
    stack.ack(&running.id).await.unwrap();
    let started = stack.engine.fetch(both.clone()).await.unwrap();
    assert_eq!(started.iter().map(|job| &job.id).collect::<Vec<_>>(), [&next]);
    stack.ack(&next).await.unwrap();
    // Resumed, it is sent when its turn comes once more.
    stack.engine.resume_queue("other").await.unwrap();
    let mut started = Vec::new();
    for _ in 0..3 {
        stack.clock.advance_ms(60_000);
        stack.engine.send_due(TickBudget::UNLIMITED).await.unwrap();
        started.extend(stack.engine.fetch(both.clone()).await.unwrap());
    }
    assert!(started.iter().any(|job| job.id == paused.id), "{started:?}");
    stack.stop().await;
}

#[tokio::test]
async fn the_audit_sends_no_messages_of_parked_jobs() {
    let stack = TestStack::start().await;
    let ids = limited(&stack, &json!({"key": "db", "concurrency": 0}), 5).await;
    until_parked(&stack, None, "db", 5).await;
    for _ in 0..40 {
        stack.clock.advance_ms(60_000);
        stack.engine.send_due(TickBudget::UNLIMITED).await.unwrap();
        let audited = stack.engine.audit(TickBudget::UNLIMITED).await.unwrap();
        assert_eq!((audited.resent, audited.failed), (0, 0));
    }
    assert_eq!(stack.aws.sqs.message_count(), 0);
    assert_eq!(stack.get(&ids[0]).await.state, State::Available);
    // Expired, they have ended, and count no longer.
    assert_eq!(waiting(&stack, "db").await, 5);
    stack.stop().await;
}

/// What sends a job's message again on sight does not do it for one that is parked; a message too many is dropped.
#[tokio::test]
async fn messages_too_many_of_a_parked_job_are_dropped_and_it_stays_parked() {
    let stack = TestStack::start().await;
    let ids = limited(&stack, &json!({"key": "db", "concurrency": 1}), 2).await;
    let running = stack.fetch("w", 1).await.remove(0);
    until_parked(&stack, Some(&running), "db", 1).await;
    let parked = stack.get(&ids[1]).await;
    let message = ojs_model::message::JobRef::to(&parked);
    for _ in 0..3 {
        stack.engine.transport().send(&ojs_core::transport::SqsQueue::jobs("default"), &message, 0).await.unwrap();
    }
    // Looked at together, all but one are looked at again.
    for _ in 0..4 {
        assert_eq!(stack.fetch("w", 10).await.len(), 0);
        stack.clock.advance_ms(1_000);
    }
    assert_eq!((stack.aws.sqs.message_count(), waiting(&stack, "db").await), (1, 1));
    stack.ack(&running.id).await.unwrap();
    assert_eq!(stack.fetch("w", 10).await.remove(0).id, ids[1]);
    stack.stop().await;
}

/// With no worker there, a released job gets few messages, however often ticks look.
#[tokio::test]
async fn a_released_job_that_no_worker_asks_for_gets_few_messages() {
    let stack = TestStack::start().await;
    let ids = limited(&stack, &json!({"key": "db", "concurrency": 1}), 2).await;
    let running = stack.fetch("w", 1).await.remove(0);
    until_parked(&stack, Some(&running), "db", 1).await;
    stack.ack(&running.id).await.unwrap();
    for _ in 0..240 {
        stack.clock.advance_ms(60_000);
        stack.engine.send_due(TickBudget::UNLIMITED).await.unwrap();
    }
    assert!((5..=9).contains(&stack.aws.sqs.message_count()), "{}", stack.aws.sqs.message_count());
    let started = stack.fetch("w", 10).await;
    assert_eq!(started.iter().map(|job| (&job.id, job.attempt)).collect::<Vec<_>>(), [(&ids[1], 1)]);
    assert_eq!(started[0].parked, None);
    stack.ack(&ids[1]).await.unwrap();
    for _ in 0..3 {
        stack.clock.advance_ms(60_000);
        assert!(stack.fetch("w", 10).await.is_empty());
    }
    assert_eq!(stack.aws.sqs.message_count(), 0);
    stack.stop().await;
}
