//! Queue stats on the embedded stack (HTTP binding section 11.2).
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use ojs_core::Settings;
use ojs_core::engine::Nack;
use ojs_emulators::SqsFaults;
use ojs_fault_injection::{Fault, Plan, Then};
use ojs_model::job::{Failure, Holder, Job};
use ojs_model::json::raw;
use ojs_model::queue::{Ended, Live};
use ojs_testkit::TestStack;
use serde_json::json;

async fn fails(stack: &TestStack, job: &Job) {
    let failure = Failure::parse(&raw(r#"{"code":"x"}"#).unwrap()).unwrap();
    let nack = Nack { id: job.id.clone(), holder: Holder::default(), failure: Some(failure), requeue: false };
    stack.engine.nack(nack).await.unwrap();
}

async fn stack(stats_max_jobs: usize) -> TestStack {
    TestStack::start_with(Settings { stats_max_jobs, ..Settings::default() }, SqsFaults::default()).await
}

/// Jobs in every state: 3 available of two priorities, 2 active, 4 scheduled, 1 retryable, 1 pending; 2 completed, 1
/// cancelled, 1 discarded.
async fn some_of_all(stack: &TestStack) {
    for _ in 0..2 {
        stack.enqueue(json!({})).await;
        stack.ack(&stack.fetch("w", 1).await[0].id).await.unwrap();
    }
    let cancelled = stack.enqueue(json!({"scheduled_at": "+P1D"})).await;
    stack.engine.cancel(&cancelled.id).await.unwrap();
    for (max_attempts, priority) in [(1, 0), (2, 7)] {
        stack.enqueue(json!({"priority": priority, "retry": {"max_attempts": max_attempts, "initial_interval": "PT5S", "jitter": false}})).await;
        fails(stack, &stack.fetch("w", 1).await[0]).await;
    }
    for _ in 0..2 {
        stack.enqueue(json!({})).await;
    }
    assert_eq!(stack.fetch("w", 2).await.len(), 2);
    for priority in [0, 0, 7] {
        stack.enqueue(json!({"priority": priority})).await;
    }
    for at in ["+PT10M", "+PT10M", "+P1D", "+P1D"] {
        stack.enqueue(json!({"scheduled_at": at})).await;
    }
    stack.enqueue(json!({"pending": true})).await;
    stack.enqueue(json!({"queue": "other"})).await;
}

const ENDED: Ended = Ended { completed: 2, cancelled: 1, discarded: 1 };

#[tokio::test]
async fn jobs_are_counted_one_by_one_where_there_are_few() {
    let stack = stack(100).await;
    assert_eq!(stack.engine.queue_stats("default").await.unwrap().live.available, 0);
    some_of_all(&stack).await;
    let stats = stack.engine.queue_stats("default").await.unwrap();
    assert_eq!(stats.ended, ENDED);
    let live = Live { available: 3, active: 2, scheduled: 4, retryable: Some(1), pending: Some(1), exact: true };
    assert_eq!(stats.live, live);
    // The clock moves them on; nobody need write that down.
    stack.clock.advance_ms(600_000);
    let stats = stack.engine.queue_stats("default").await.unwrap();
    assert_eq!((stats.live.available, stats.live.active, stats.live.scheduled), (3 + 2 + 2 + 1, 0, 2));
    stack.engine.pause_queue("default").await.unwrap();
    assert_eq!(stack.engine.queue_stats("default").await.unwrap().state.status(), "paused");
    stack.stop().await;
}

#[tokio::test]
async fn sqs_is_asked_where_there_are_many() {
    let stack = stack(14).await;
    some_of_all(&stack).await;
    let stats = stack.engine.queue_stats("default").await.unwrap();
    assert_eq!(stats.ended, ENDED);
    // Delayed retries look like scheduled jobs, and those of the due index have no message.
    let live = Live { available: 3, active: 2, scheduled: 3, retryable: None, pending: None, exact: false };
    assert_eq!(stats.live, live);
    let (engine, wire) = stack.instance(1).await;
    wire.meter();
    engine.queue_stats("nobody").await.unwrap();
    let calls: Vec<_> = wire.take_calls().into_iter().map(|call| call.action).collect();
    assert!(!calls.contains(&"CreateQueue".to_owned()), "{calls:?}");
    stack.stop().await;
}

#[tokio::test]
async fn a_count_whose_answer_is_lost_counts_once() {
    let stack = stack(100).await;
    let (engine, wire) = stack.instance(3).await;
    let mut completed = 0;
    for at in 0..8 {
        let job = stack.enqueue(json!({})).await;
        stack.fetch("w", 1).await;
        wire.disturb(Plan { at, fault: Fault::LostAnswer, then: Then::Continue });
        let ack = ojs_core::engine::Ack { id: job.id, holder: Holder::default(), result: None };
        engine.ack(ack).await.unwrap();
        wire.calm();
        completed += 1;
        assert_eq!(stack.engine.queue_stats("default").await.unwrap().ended.completed, completed, "call {at}");
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_ends_at_once_are_all_counted() {
    let stack = Arc::new(stack(0).await);
    let mut racers = Vec::new();
    for _ in 0..200 {
        stack.enqueue(json!({})).await;
    }
    while let jobs = stack.fetch("w", 100).await
        && !jobs.is_empty()
    {
        for job in jobs {
            let stack = Arc::clone(&stack);
            racers.push(tokio::spawn(async move { stack.ack(&job.id).await }));
        }
    }
    for racer in racers {
        racer.await.unwrap().unwrap();
    }
    assert_eq!(stack.engine.queue_stats("default").await.unwrap().ended.completed, 200);
}

#[tokio::test]
async fn jobs_that_the_clock_has_discarded_count_before_anybody_writes_it_down() {
    let stack = stack(100).await;
    stack.enqueue(json!({"retry": {"max_attempts": 1}})).await;
    stack.enqueue(json!({"scheduled_at": "+PT1H"})).await;
    assert_eq!(stack.fetch("w", 1).await.len(), 1);
    let ended = async || {
        let stats = stack.engine.queue_stats("default").await.unwrap();
        let live = stats.live.available + stats.live.active + stats.live.scheduled;
        assert_eq!((live + stats.ended.discarded, stats.live.exact), (2, true));
        stats.ended.discarded
    };
    assert_eq!(ended().await, 0);
    // The last lease lapses, and no worker asks.
    stack.clock.advance_ms(31_000);
    assert_eq!(ended().await, 1);
    // A fetch writes it down: it counts once.
    assert!(stack.fetch("w", 1).await.is_empty());
    assert_eq!(ended().await, 1);
    stack.stop().await;
}
