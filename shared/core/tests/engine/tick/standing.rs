//! A job whose message is lost is found by what comes across it: a client that asks for it or enqueues its duplicate, its cron
//! job, its workflow, the resumption of its queue. Nothing is sent again and again.

use ojs_core::Engine;
use ojs_core::engine::{Fetch, TickBudget};
use ojs_fault_injection::{Fault, Plan, Then, Wire};
use ojs_model::ErrorCode;
use ojs_model::job::{Job, State};
use ojs_model::message::JobRef;
use ojs_model::workflow::WorkflowState;
use ojs_testkit::{TestStack, fields};
use serde_json::{Value, json};

const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 86_400_000;

/// All messages are lost.
fn lose_messages(stack: &TestStack) {
    stack.aws.sqs.reset();
    stack.engine.forget_queues();
}

async fn enqueue(engine: &Engine, options: Value) -> ojs_model::Result<Job> {
    Ok(engine.enqueue(fields(&json!({"type": "test", "args": [1], "options": options}))).await?.job)
}

/// How many messages an instance has sent since the last call.
fn sent(wire: &Wire) -> usize {
    wire.take_calls().iter().filter(|call| call.action.starts_with("SendMessage")).count()
}

#[tokio::test]
async fn a_job_that_waits_for_long_is_sent_again_when_it_is_asked_for() {
    let stack = TestStack::start().await;
    let job = stack.enqueue(json!({})).await;
    lose_messages(&stack);
    stack.clock.advance_ms(2 * MINUTE_MS - 1);
    stack.get(&job.id).await;
    assert!(stack.fetch("w", 1).await.is_empty(), "it has not waited for long");
    stack.clock.advance_ms(1);
    stack.get(&job.id).await;
    assert_eq!(stack.fetch("w", 1).await[0].id, job.id);
    stack.ack(&job.id).await.unwrap();
    assert_eq!(stack.aws.sqs.message_count(), 0);
    stack.stop().await;
}

#[tokio::test]
async fn asking_often_does_not_send_often() {
    let stack = TestStack::start().await;
    let job = stack.enqueue(json!({})).await;
    let (engine, wire) = stack.instance(1).await;
    wire.meter();
    for _ in 0..120 {
        stack.clock.advance_ms(MINUTE_MS);
        engine.get(&job.id).await.unwrap();
    }
    // After 2, 4, 8, 16, 32 and 64 minutes.
    assert_eq!(sent(&wire), 6);
    // A send that fails is made up for at the next look.
    stack.clock.advance_ms(60 * MINUTE_MS);
    wire.disturb(Plan { at: 1, fault: Fault::Unavailable, then: Then::Continue });
    engine.get(&job.id).await.unwrap();
    wire.calm();
    assert_eq!(sent(&wire), 1);
    engine.get(&job.id).await.unwrap();
    assert_eq!(sent(&wire), 1);
    engine.get(&job.id).await.unwrap();
    assert_eq!(sent(&wire), 0);
    stack.stop().await;
}

#[tokio::test]
async fn jobs_that_do_not_wait_are_not_sent_again() {
    let stack = TestStack::start().await;
    let active = stack.enqueue(json!({})).await;
    stack.engine.fetch(Fetch { visibility_ms: Some(3_600_000), ..stack.fetch_request("w", 1) }).await.unwrap();
    let mut jobs = vec![active];
    for options in [json!({"scheduled_at": "+PT1H"}), json!({"pending": true}), json!({"expires_at": "+PT1M"})] {
        jobs.push(stack.enqueue(options).await);
    }
    let (engine, wire) = stack.instance(1).await;
    wire.meter();
    stack.clock.advance_ms(10 * MINUTE_MS);
    for job in &jobs {
        engine.get(&job.id).await.unwrap();
    }
    assert_eq!(sent(&wire), 0);
    stack.stop().await;
}

#[tokio::test]
async fn a_lock_whose_holder_has_no_message_does_not_keep_duplicates_out_for_ever() {
    let stack = TestStack::start().await;
    let unique = json!({"unique": {"keys": ["type"]}});
    let holder = enqueue(&stack.engine, unique.clone()).await.unwrap();
    for _ in 0..2 {
        // The first duplicate sends at once, for the request may have been cut; that message is lost as well.
        lose_messages(&stack);
        let error = enqueue(&stack.engine, unique.clone()).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Duplicate);
    }
    lose_messages(&stack);
    stack.clock.advance_ms(2 * MINUTE_MS);
    enqueue(&stack.engine, unique.clone()).await.unwrap_err();
    assert_eq!(stack.fetch("w", 1).await[0].id, holder.id);
    // The same for a later attempt: its lease lapses, and the message that would have come back is lost.
    lose_messages(&stack);
    stack.clock.advance_ms(30_000 + 2 * MINUTE_MS);
    let batch = json!({"jobs": [{"type": "test", "args": [], "options": unique}, {"type": "other", "args": []}]});
    stack.engine.enqueue_batch(fields(&batch)).await.unwrap_err();
    assert_eq!(stack.fetch("w", 1).await[0].attempt, 2);
    stack.ack(&holder.id).await.unwrap();
    enqueue(&stack.engine, unique).await.unwrap();
    stack.stop().await;
}

#[tokio::test]
async fn a_repeated_client_id_sends_again_whatever_the_attempt() {
    let stack = TestStack::start().await;
    let id = stack.engine.ids().job_id(stack.engine.now_ms());
    let request = || fields(&json!({"id": id.as_str(), "type": "test", "args": []}));
    stack.engine.enqueue(request()).await.unwrap();
    assert_eq!(stack.fetch("w", 1).await.len(), 1);
    lose_messages(&stack);
    stack.clock.advance_ms(30_000 + 2 * MINUTE_MS);
    assert_eq!(stack.engine.enqueue(request()).await.unwrap_err().code, ErrorCode::Duplicate);
    assert_eq!(stack.fetch("w", 1).await[0].attempt, 2);
    stack.stop().await;
}

#[tokio::test]
async fn a_cron_job_whose_last_job_has_no_message_fires_again() {
    for policy in ["skip", "enqueue"] {
        let stack = TestStack::start().await;
        stack.register("minutely", "* * * * *", json!({"overlap_policy": policy})).await;
        stack.clock.advance_ms(MINUTE_MS);
        stack.engine.cron_tick(TickBudget::UNLIMITED).await.unwrap();
        let first = stack.engine.get_cron("minutely").await.unwrap().last_job.unwrap();
        let mut started = Vec::new();
        for minute in 0..10 {
            if minute < 2 {
                lose_messages(&stack);
            }
            stack.clock.advance_ms(MINUTE_MS);
            stack.engine.cron_tick(TickBudget::UNLIMITED).await.unwrap();
            for job in stack.fetch("w", 10).await {
                stack.ack(&job.id).await.unwrap();
                started.push(job.id);
            }
        }
        assert_eq!(started.first(), Some(&first), "{policy}: after two minutes");
        assert!(started.len() > 5, "{policy}: then each minute: {started:?}");
        stack.stop().await;
    }
}

#[tokio::test]
async fn a_resumed_queue_sends_again_what_it_has_lost() {
    let stack = TestStack::start().await;
    let other = stack.enqueue(json!({"queue": "other"})).await;
    let mut jobs = vec![stack.enqueue(json!({})).await, stack.enqueue(json!({"priority": 5})).await];
    stack.engine.pause_queue("default").await.unwrap();
    jobs.push(stack.enqueue(json!({})).await);
    // SQS keeps messages for 14 days.
    lose_messages(&stack);
    stack.clock.advance_ms(15 * DAY_MS);
    stack.engine.resume_queue("default").await.unwrap();
    let mut fetched: Vec<_> = stack.fetch("w", 10).await.into_iter().map(|job| job.id).collect();
    fetched.sort();
    let mut wanted: Vec<_> = jobs.into_iter().map(|job| job.id).collect();
    wanted.sort();
    assert_eq!(fetched, wanted);
    assert_eq!(stack.aws.sqs.message_count(), 3, "{} is another queue's", other.id);
    stack.stop().await;
}

#[tokio::test]
async fn a_short_pause_costs_nothing_more() {
    let stack = TestStack::start().await;
    stack.enqueue(json!({})).await;
    let (engine, wire) = stack.instance(1).await;
    wire.meter();
    engine.pause_queue("default").await.unwrap();
    stack.clock.advance_ms(2 * MINUTE_MS - 1);
    engine.resume_queue("default").await.unwrap();
    assert_eq!(wire.take_calls().len(), 4);
    stack.stop().await;
}

#[tokio::test]
async fn a_workflow_that_stands_still_moves_on_when_it_is_asked_for() {
    let stack = TestStack::start().await;
    let chain = json!({"type": "chain", "steps": [{"type": "a", "args": []}, {"type": "b", "args": []}]});
    let id = stack.engine.create_workflow(fields(&chain)).await.unwrap().workflow.id;
    // The first step's message is lost.
    lose_messages(&stack);
    stack.clock.advance_ms(2 * MINUTE_MS);
    stack.engine.get_workflow(&id).await.unwrap();
    let first = stack.fetch("w", 1).await.remove(0);
    // The process that acks it dies once the ack is written, and the message is lost.
    let (engine, wire) = stack.instance(1).await;
    wire.disturb(Plan { at: 1, fault: Fault::NotSent, then: Then::Dead });
    let ack = ojs_core::engine::Ack { id: first.id.clone(), holder: ojs_model::job::Holder::default(), result: None };
    engine.ack(ack).await.unwrap_err();
    assert_eq!(stack.get(&first.id).await.state, State::Completed);
    lose_messages(&stack);
    assert!(stack.fetch("w", 1).await.is_empty());
    stack.clock.advance_ms(2 * MINUTE_MS);
    stack.engine.get_workflow(&id).await.unwrap();
    let second = stack.fetch("w", 1).await.remove(0);
    assert_eq!(second.job_type, "b");
    stack.ack(&second.id).await.unwrap();
    assert_eq!(stack.engine.get_workflow(&id).await.unwrap().workflow.state, WorkflowState::Completed);
    stack.stop().await;
}

#[tokio::test]
async fn a_message_is_renewed_a_week_before_sqs_would_delete_it() {
    let stack = TestStack::start().await;
    let job = stack.enqueue(json!({})).await;
    stack.engine.send(&JobRef::to(&job), 0).await.unwrap();
    stack.clock.advance_ms(8 * DAY_MS);
    // One message brings the job; the other is put back while it runs, and a new one takes its place.
    assert_eq!(stack.fetch("w", 1).await.len(), 1);
    assert!(stack.fetch("w", 1).await.is_empty());
    assert_eq!(stack.aws.sqs.message_count(), 2);
    // Both of the first ones are gone now.
    stack.clock.advance_ms(7 * DAY_MS);
    assert_eq!(stack.fetch("w", 1).await[0].attempt, 2);
    stack.stop().await;
}
