//! The native dead-letter queues: a live job gets a new message, anything else is dropped and counted.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ojs_core::Settings;
use ojs_core::engine::{Ack, Redriven, TickBudget};
use ojs_core::transport::names;
use ojs_emulators::SqsFaults;
use ojs_fault_injection::{Fault, Plan, Then};
use ojs_model::error::ErrorCode;
use ojs_model::job::{Holder, Job, State};
use ojs_model::message::JobRef;
use ojs_testkit::{TestStack, fields};
use serde_json::json;

/// Empties the queue behind the engine's back.
async fn lose_messages(stack: &TestStack, queue: &str) {
    let sqs = stack.sqs().await;
    let url = sqs.get_queue_url().queue_name(names::main("ojs", queue)).send().await.unwrap().queue_url.unwrap();
    sqs.purge_queue().queue_url(url).send().await.unwrap();
}

/// Puts a message into the native dead-letter queue.
async fn bury(stack: &TestStack, queue: &str, body: &str) {
    let sqs = stack.sqs().await;
    let url = sqs.get_queue_url().queue_name(names::dead_letter("ojs", queue)).send().await.unwrap().queue_url.unwrap();
    sqs.send_message().queue_url(url).message_body(body).send().await.unwrap();
}

async fn bury_job(stack: &TestStack, job: &Job) {
    bury(stack, &job.queue, &JobRef::to(job).to_body()).await;
}

async fn drain(stack: &TestStack) -> Redriven {
    stack.engine.redrive(TickBudget::UNLIMITED).await.unwrap()
}

#[tokio::test]
async fn live_jobs_get_a_new_message_and_the_rest_is_dropped() {
    let stack = TestStack::start().await;
    let available = stack.enqueue(json!({})).await;
    let due_soon = stack.enqueue(json!({"scheduled_at": "+PT10M"})).await;
    let indexed = stack.enqueue(json!({"scheduled_at": "+PT2H"})).await;
    let pending = stack.enqueue(json!({"pending": true})).await;
    let cancelled = stack.enqueue(json!({})).await;
    stack.engine.cancel(&cancelled.id).await.unwrap();
    let expired = stack.enqueue(json!({"expires_at": "+PT5S"})).await;
    lose_messages(&stack, "default").await;
    stack.clock.advance_ms(6_000);
    for job in [&available, &due_soon, &indexed, &pending, &cancelled, &expired] {
        bury_job(&stack, job).await;
    }
    let gone = JobRef { id: stack.engine.ids().job_id(0), ..JobRef::to(&available) };
    bury(&stack, "default", &gone.to_body()).await;
    bury(&stack, "default", "not one of ours").await;
    bury(&stack, "default", &JobRef { queue: "other".into(), ..JobRef::to(&available) }.to_body()).await;

    // Named twice, it is sent twice: the claim sorts that out.
    assert_eq!(drain(&stack).await, Redriven { resent: 3, dropped: 6 });
    assert_eq!(drain(&stack).await, Redriven::default());
    // What the clock had ended is written down.
    let stored = stack.engine.store().get_job(&expired.id).await.unwrap().unwrap();
    assert_eq!(stored.state, State::Discarded);
    let jobs = stack.fetch("w", 10).await;
    assert_eq!(jobs.iter().map(|job| &job.id).collect::<Vec<_>>(), [&available.id]);
    stack.ack(&available.id).await.unwrap();
    assert!(stack.fetch("w", 10).await.is_empty());
    stack.clock.advance_ms(594_000);
    let jobs = stack.fetch("w", 10).await;
    assert_eq!(jobs.iter().map(|job| &job.id).collect::<Vec<_>>(), [&due_soon.id], "with the delay that it had left");
    stack.stop().await;
}

#[tokio::test]
async fn every_queue_has_its_turn_and_a_tick_looks_at_few() {
    let stack = TestStack::start().await;
    let mut jobs = Vec::new();
    for i in 0..11 {
        let job = stack.enqueue(json!({"queue": format!("q{i:02}")})).await;
        lose_messages(&stack, &job.queue).await;
        bury_job(&stack, &job).await;
        jobs.push(job);
    }
    let mut resent = Vec::new();
    for _ in 0..3 {
        resent.push(drain(&stack).await.resent);
    }
    assert_eq!(resent, [4, 4, 3]);
    assert_eq!(stack.aws.sqs.message_count(), 11);
    // And over again from the first queue on.
    bury_job(&stack, &jobs[0]).await;
    assert_eq!(drain(&stack).await.resent, 1);
    stack.stop().await;
}

#[tokio::test]
async fn what_cannot_be_sent_stays_in_the_dead_letter_queue() {
    let faults = SqsFaults { partial_batch_failure: 0.8, seed: 2, ..SqsFaults::default() };
    let stack = TestStack::start_with(Settings::default(), faults).await;
    let mut jobs = Vec::new();
    for _ in 0..30 {
        jobs.push(stack.enqueue(json!({})).await);
    }
    lose_messages(&stack, "default").await;
    for job in &jobs {
        bury_job(&stack, job).await;
    }
    let mut rounds = 0;
    while rounds < 200 && stack.aws.sqs.queue_depth("ojs-default-dlq").unwrap().total() > 0 {
        let drained = stack.engine.redrive(TickBudget::UNLIMITED).await;
        if let Err(error) = drained {
            assert!(error.retry_after_s.is_some(), "{error}");
        }
        stack.clock.advance_ms(61_000);
        rounds += 1;
    }
    assert!(rounds > 1 && rounds < 200, "{rounds}");
    stack.aws.sqs.faults().set(SqsFaults::default());
    let mut done = 0;
    while done < 30 {
        let fetched = stack.fetch("w", 10).await;
        if fetched.is_empty() {
            stack.clock.advance_ms(31_000);
        }
        for job in fetched {
            assert_eq!(job.attempt, 1);
            stack.ack(&job.id).await.unwrap();
            done += 1;
        }
    }
    stack.stop().await;
}

#[tokio::test]
async fn a_tick_that_is_out_of_time_stops_between_messages() {
    let stack = TestStack::start().await;
    let mut jobs = Vec::new();
    for _ in 0..25 {
        jobs.push(stack.enqueue(json!({})).await);
    }
    for job in &jobs {
        bury_job(&stack, job).await;
    }
    let none = TickBudget { until_ms: stack.engine.now_ms(), jobs: 0 };
    assert_eq!(stack.engine.redrive(none).await.unwrap().resent, 10);
    assert_eq!(drain(&stack).await.resent, 15);
    stack.stop().await;
}

#[tokio::test]
async fn an_end_that_a_crash_left_unfinished_is_finished_before_its_message_is_dropped() {
    let stack = TestStack::start().await;
    let limited = json!({"unique": {"keys": ["type"]}, "rate_limit": {"key": "k", "concurrency": 1}});
    let job = stack.enqueue(limited.clone()).await;
    let token = stack.fetch("w", 1).await.remove(0).lease.map(|lease| lease.token);
    let (engine, wire) = stack.instance(1).await;
    wire.disturb(Plan { at: 0, fault: Fault::LostAnswer, then: Then::Dead });
    let ack = Ack { id: job.id.clone(), holder: Holder { worker: None, token }, result: None };
    engine.ack(ack).await.unwrap_err();
    lose_messages(&stack, "default").await;
    bury_job(&stack, &job).await;
    assert_eq!(drain(&stack).await, Redriven { resent: 0, dropped: 1 });
    let next = stack.enqueue(limited).await;
    assert_eq!(stack.fetch("w", 1).await.iter().map(|job| &job.id).collect::<Vec<_>>(), [&next.id]);
    stack.stop().await;
}

/// A worker whose server's clock is behind claims a job, just before the drain writes down that the job has expired.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_changes_under_the_drain_keeps_its_message_and_its_lock() {
    let stack = TestStack::start().await;
    let unique = json!({"unique": {"keys": ["type"]}, "expires_at": "+PT5S"});
    let job = stack.enqueue(unique.clone()).await;
    bury_job(&stack, &job).await;
    stack.clock.advance_ms(6_000);
    let behind = stack.skewed(-6_000).await;
    let (engine, wire) = stack.instance(1).await;
    let (fetch, raced) = (stack.fetch_request("w", 1), Arc::new(AtomicBool::new(false)));
    let seen = Arc::clone(&raced);
    wire.on_call(move |call| {
        if call.action == "UpdateItem" && !seen.swap(true, Ordering::Relaxed) {
            let fetched =
                tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(behind.fetch(fetch.clone())));
            assert_eq!(fetched.unwrap().len(), 1);
        }
    });
    assert_eq!(engine.redrive(TickBudget::UNLIMITED).await.unwrap(), Redriven::default());
    assert!(raced.load(Ordering::Relaxed));
    assert_eq!(stack.get(&job.id).await.state, State::Active);
    let again = json!({"type": "test", "args": [1], "options": unique});
    assert_eq!(stack.engine.enqueue(fields(&again)).await.unwrap_err().code, ErrorCode::Duplicate);
    stack.ack(&job.id).await.unwrap();
    stack.clock.advance_ms(61_000);
    assert_eq!(drain(&stack).await, Redriven { resent: 0, dropped: 1 });
    stack.stop().await;
}
