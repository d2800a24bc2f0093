//! Requests keep their deadline (I8): a bounded number of calls, an answer in time, and no attempt lost to a late one.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::atomic::{AtomicBool, Ordering};

use ojs_core::engine::Fetch;
use ojs_core::transport::SqsQueue;
use ojs_core::{Deadline, Settings};
use ojs_emulators::SqsFaults;
use ojs_fault_injection::{Service, Wire};
use ojs_model::ErrorCode;
use ojs_model::job::State;
use ojs_testkit::{TestStack, fields};
use serde_json::json;

fn fetch_from(queues: usize, count: usize) -> Fetch {
    let queues = (0..queues).map(|queue| format!("q{queue}")).collect();
    Fetch { queues, count, worker_id: None, visibility_ms: Some(30_000) }
}

/// How many SQS calls there were since this was asked last.
fn sqs_calls(wire: &Wire) -> usize {
    wire.take_calls().iter().filter(|call| call.service == Service::Sqs).count()
}

/// From now on each call takes this long on the stack's clock, ms; `action` alone, if it is given, and only once.
fn calls_take(stack: &TestStack, wire: &Wire, ms: u64, action: Option<&'static str>) {
    let (clock, passed) = (stack.clock.clone(), AtomicBool::new(false));
    wire.on_call(move |call| {
        if action.is_none_or(|action| call.action == action && !passed.swap(true, Ordering::Relaxed)) {
            clock.advance_ms(ms);
        }
    });
}

#[tokio::test]
async fn a_fetch_over_a_thousand_sqs_queues_asks_a_bounded_number_of_them() {
    let settings = Settings { fetch_wait: std::time::Duration::from_secs(1), ..Settings::default() };
    let stack = TestStack::start_with(settings, SqsFaults::default()).await;
    for queue in 0..100 {
        stack.engine.store().add_tiers(&format!("q{queue}"), &[1, 2, 3, 4, 5, 6, 7, 8, 9]).await.unwrap();
    }
    let (engine, wire) = stack.instance(1).await;
    wire.meter();
    calls_take(&stack, &wire, 20, None);
    let start = stack.engine.now_ms();
    let deadline = Deadline::at(start + 28_000);
    assert!(engine.within(deadline, engine.fetch(fetch_from(100, 10))).await.unwrap().is_empty());
    // The first OJS queue and two others, with all their tiers. None of them is there: one look-up each, which the long polls
    // need not repeat.
    assert_eq!(sqs_calls(&wire), 30);
    assert!(stack.engine.now_ms() < start + 28_000);
    stack.stop().await;
}

#[tokio::test]
async fn queues_that_are_there_are_asked_once_each() {
    let stack = TestStack::start().await;
    for queue in 0..40 {
        stack.engine.transport().find_or_create(&SqsQueue::jobs(&format!("q{queue}"))).await.unwrap();
    }
    let (engine, wire) = stack.instance(1).await;
    wire.meter();
    for round in 0..10 {
        assert!(engine.fetch(fetch_from(40, 10)).await.unwrap().is_empty());
        let calls = wire.take_calls();
        let receives = calls.iter().filter(|call| call.action == "ReceiveMessage").count();
        assert_eq!(receives, 32, "round {round}");
    }
    stack.stop().await;
}

/// Few queues are asked one after the other, as long as there are jobs: nothing is received that must be returned.
#[tokio::test]
async fn preferred_queues_come_first_and_others_are_left_alone() {
    let stack = TestStack::start().await;
    for queue in ["q0", "q1", "q2", "q3"] {
        stack.enqueue(json!({"queue": queue})).await;
    }
    let (engine, wire) = stack.instance(1).await;
    wire.meter();
    let jobs = engine.fetch(fetch_from(4, 1)).await.unwrap();
    assert_eq!(jobs[0].queue, "q0");
    // The look-up and the receive.
    assert_eq!(sqs_calls(&wire), 2);
    stack.stop().await;
}

/// Where several are asked at once, the order of preference holds, and what is too much can be had at once by the next.
#[tokio::test]
async fn what_a_preferred_queue_makes_superfluous_is_returned() {
    let stack = TestStack::start().await;
    for queue in ["q11", "q7", "q5", "q7", "q6"] {
        stack.enqueue(json!({"queue": queue})).await;
    }
    let fetch = async |count| {
        let jobs = stack.engine.fetch(fetch_from(12, count)).await.unwrap();
        jobs.into_iter().map(|job| (job.queue, job.attempt)).collect::<Vec<_>>()
    };
    let once = |queue: &str| (queue.to_owned(), 1);
    assert_eq!(fetch(2).await, [once("q5"), once("q6")]);
    assert_eq!(fetch(10).await, [once("q7"), once("q7"), once("q11")]);
    stack.stop().await;
}

#[tokio::test]
async fn no_queue_starves() {
    let stack = TestStack::start().await;
    let last = stack.enqueue(json!({"queue": "q99"})).await.id;
    let mut found = None;
    // A fetch asks 16 of the 84 less preferred ones: not to be among them 300 times is impossible.
    for round in 0..300 {
        if let Some(job) = stack.engine.fetch(fetch_from(100, 1)).await.unwrap().pop() {
            assert_eq!(job.id, last);
            found = Some(round);
            break;
        }
    }
    assert!(found.is_some());
    stack.stop().await;
}

#[tokio::test]
async fn a_fetch_stops_asking_in_time() {
    let stack = TestStack::start().await;
    let (engine, wire) = stack.instance(1).await;
    wire.meter();
    calls_take(&stack, &wire, 400, None);
    let start = stack.engine.now_ms();
    let deadline = Deadline::at(start + 3_000);
    assert!(engine.within(deadline, engine.fetch(fetch_from(4, 1))).await.unwrap().is_empty());
    assert!(stack.engine.now_ms() <= start + 3_000);
    // The states of the queues at 400 ms, then one queue after the other while more than a second is left.
    assert_eq!(sqs_calls(&wire), 4);
    let again = engine.within(deadline, engine.fetch(fetch_from(4, 1))).await.unwrap();
    assert!(again.is_empty());
    assert_eq!(sqs_calls(&wire), 0, "too little time is left for any");
    stack.stop().await;
}

/// I8: the job's only attempt is not lost to a fetch that is too late to answer.
#[tokio::test]
async fn a_claim_that_comes_too_late_is_undone_and_costs_no_attempt() {
    for options in [
        json!({"retry": {"max_attempts": 1}}),
        json!({"retry": {"max_attempts": 1}, "rate_limit": {"key": "k", "concurrency": 1}}),
    ] {
        let stack = TestStack::start().await;
        let id = stack.enqueue(options).await.id;
        let (engine, wire) = stack.instance(1).await;
        // Warm, so that the claim is the first update.
        assert!(engine.fetch(fetch_from(1, 1)).await.unwrap().is_empty());
        let claim = if stack.get(&id).await.limit.is_some() { "PutItem" } else { "UpdateItem" };
        calls_take(&stack, &wire, 2_000, Some(claim));
        let deadline = Deadline::at(stack.engine.now_ms() + 2_000);
        assert!(engine.within(deadline, engine.fetch(stack.fetch_request("w", 1))).await.unwrap().is_empty());
        let job = stack.get(&id).await;
        assert_eq!((job.state, job.attempt, job.started_at), (State::Available, 0, None));
        // Neither its message nor its slot is kept from the next.
        let job = stack.fetch("w", 1).await.remove(0);
        assert_eq!((job.id, job.attempt), (id.clone(), 1));
        stack.ack(&id).await.unwrap();
        assert_eq!(stack.get(&id).await.state, State::Completed);
        stack.stop().await;
    }
}

#[tokio::test]
async fn once_a_job_is_in_hand_the_answer_is_soon() {
    let stack = TestStack::start().await;
    stack.enqueue(json!({"queue": "q0"})).await;
    let (engine, wire) = stack.instance(1).await;
    wire.meter();
    assert!(engine.fetch(fetch_from(4, 1)).await.unwrap().len() == 1);
    stack.enqueue(json!({"queue": "q0"})).await;
    drop(wire.take_calls());
    calls_take(&stack, &wire, 600, None);
    let jobs = engine.fetch(fetch_from(4, 10)).await.unwrap();
    assert_eq!(jobs.len(), 1);
    // Two more receives within the second after the claim: the queue's own, and that of the next.
    assert!(sqs_calls(&wire) <= 3);
    stack.stop().await;
}

#[tokio::test]
async fn no_call_is_sent_once_the_time_is_up() {
    let stack = TestStack::start().await;
    let id = stack.enqueue(json!({})).await.id;
    let (engine, wire) = stack.instance(3).await;
    wire.meter();
    let late = Deadline::at(stack.engine.now_ms() - 500);
    let error = engine.within(late, engine.get(&id)).await.unwrap_err();
    assert_eq!((error.code, error.retry_after_s), (ErrorCode::BackendUnavailable, Some(1)), "{error}");
    assert!(wire.take_calls().is_empty());
    // In the grace they are: what has begun is ended then.
    let grace = Deadline::at(stack.engine.now_ms());
    let _ = engine.within(grace, engine.get(&id)).await;
    assert!(!wire.take_calls().is_empty());
    stack.stop().await;
}

/// The SDK's time-outs are cut: a call that hangs ends with the request, not after 15 s.
#[tokio::test]
async fn a_call_that_hangs_ends_with_its_request() {
    let stack = TestStack::start().await;
    let id = stack.enqueue(json!({})).await.id;
    let (engine, wire) = stack.instance(3).await;
    wire.set_latency(std::time::Duration::from_secs(3_600));
    let nearly_late = Deadline::at(stack.engine.now_ms() - 400);
    let error = engine.within(nearly_late, engine.get(&id)).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::BackendUnavailable);
    stack.stop().await;
}

#[tokio::test]
async fn a_batch_notes_the_priorities_of_a_queue_in_one_write() {
    let stack = TestStack::start().await;
    let (engine, wire) = stack.instance(1).await;
    wire.meter();
    let job = |at: i64| json!({"type": "t", "args": [], "options": {"queue": format!("q{}", at % 3), "priority": at / 3 - 4}});
    let jobs: Vec<_> = (0..30).map(job).collect();
    engine.enqueue_batch(fields(&json!({"jobs": jobs}))).await.unwrap();
    let calls = wire.take_calls();
    let count = |action: &str| calls.iter().filter(|call| call.action == action).count();
    // One a queue, and the batch's commit. Ten SQS queues of three OJS queues, whose dead-letter queues are made once each.
    assert_eq!((count("UpdateItem"), count("CreateQueue"), count("SendMessageBatch")), (4, 33, 30));
    let fetched = stack.engine.fetch(fetch_from(1, 10)).await.unwrap();
    assert_eq!(fetched.iter().map(|job| job.priority).collect::<Vec<_>>(), (-4..6).rev().collect::<Vec<_>>());
    stack.stop().await;
}

#[tokio::test]
async fn tiers_noted_together_stay_within_the_limit() {
    let stack = TestStack::start().await;
    let store = stack.engine.store();
    let tiers = async |priorities: &[i64]| {
        let mut tiers = store.add_tiers("q", priorities).await.unwrap().tiers;
        tiers.sort_unstable();
        tiers
    };
    assert_eq!(tiers(&[1, 2, 3]).await, [1, 2, 3]);
    assert_eq!(tiers(&[4, 5, 6, 7]).await, [1, 2, 3, 4, 5, 6, 7]);
    // Two are left, and the first two take them. The last one joins a tier that may always be added.
    assert_eq!(tiers(&[20, 3, 30, 40]).await, [1, 2, 3, 4, 5, 6, 7, 20, 30, 99]);
    assert_eq!(tiers(&[50]).await, [1, 2, 3, 4, 5, 6, 7, 20, 30, 99]);
    assert_eq!(tiers(&[7]).await, [1, 2, 3, 4, 5, 6, 7, 20, 30, 99]);
    assert_eq!(tiers(&[-1, 100, 8]).await, [-100, 1, 2, 3, 4, 5, 6, 7, 20, 30, 99, 100]);
    stack.stop().await;
}
