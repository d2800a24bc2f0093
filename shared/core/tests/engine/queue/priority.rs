//! Priorities: one SQS queue for each in use, the higher first, and nothing extra where there are none.
#![allow(clippy::unwrap_used, missing_docs)]

use ojs_core::engine::{Nack, TickBudget};
use ojs_fault_injection::Service;
use ojs_model::job::{Failure, Holder, Job, State};
use ojs_model::json::raw;
use ojs_testkit::TestStack;
use serde_json::json;

async fn enqueue(stack: &TestStack, priorities: &[i64]) -> Vec<Job> {
    let mut jobs = Vec::new();
    for priority in priorities {
        jobs.push(stack.enqueue(json!({"priority": priority})).await);
    }
    jobs
}

fn priorities(jobs: &[Job]) -> Vec<i64> {
    jobs.iter().map(|job| job.priority).collect()
}

/// Messages in the SQS queue of a tier of `default`.
fn depth(stack: &TestStack, tier: i64) -> Option<usize> {
    let name = if tier == 0 { "ojs-default".to_owned() } else { format!("ojs-default-P{tier}") };
    stack.aws.sqs.queue_depth(&name).map(|depth| depth.visible + depth.in_flight + depth.delayed)
}

#[tokio::test]
async fn higher_priorities_come_first_and_equals_in_their_order() {
    let stack = TestStack::start().await;
    let made = enqueue(&stack, &[0, 10, -10, 10, 0, 100, -100]).await;
    let jobs = stack.fetch("w", 3).await;
    assert_eq!(priorities(&jobs), [100, 10, 10]);
    assert_eq!((&jobs[1].id, &jobs[2].id), (&made[1].id, &made[3].id));
    // One that comes meanwhile goes first.
    enqueue(&stack, &[50]).await;
    assert_eq!(priorities(&stack.fetch("w", 1).await), [50]);
    let rest = stack.fetch("w", 10).await;
    assert_eq!(priorities(&rest), [0, 0, -10, -100]);
    assert_eq!((&rest[0].id, &rest[1].id), (&made[0].id, &made[4].id));
    stack.stop().await;
}

#[tokio::test]
async fn a_queue_without_priorities_costs_nothing_extra() {
    let stack = TestStack::start().await;
    let (engine, wire) = stack.instance(1).await;
    wire.meter();
    engine.enqueue(ojs_testkit::fields(&json!({"type": "test", "args": []}))).await.unwrap();
    engine.fetch(stack.fetch_request("w", 1)).await.unwrap();
    drop(wire.take_calls());
    engine.enqueue(ojs_testkit::fields(&json!({"type": "test", "args": []}))).await.unwrap();
    engine.fetch(stack.fetch_request("w", 1)).await.unwrap();
    let calls = wire.take_calls();
    let mut actions: Vec<_> = calls.iter().map(|call| call.action.as_str()).collect();
    actions.sort_unstable();
    assert_eq!(actions, ["PutItem", "ReceiveMessage", "SendMessage", "UpdateItem"]);
    assert_eq!(engine.fetch(stack.fetch_request("w", 1)).await.unwrap().len(), 0);
    assert_eq!(wire.take_calls().len(), 1);
    stack.stop().await;
}

#[tokio::test]
async fn a_known_priority_is_enqueued_as_cheaply_as_none() {
    let stack = TestStack::start().await;
    let (engine, wire) = stack.instance(1).await;
    wire.meter();
    let request = || ojs_testkit::fields(&json!({"type": "test", "args": [], "options": {"priority": 7}}));
    engine.enqueue(request()).await.unwrap();
    drop(wire.take_calls());
    engine.enqueue(request()).await.unwrap();
    let actions: Vec<_> = wire.take_calls().into_iter().map(|call| call.action).collect();
    assert_eq!(actions.len(), 2, "{actions:?}");
    stack.stop().await;
}

/// Ten SQS queues and three for the ends of the range at most; what is beyond joins another one, and nothing is lost.
#[tokio::test]
async fn priorities_beyond_the_limit_join_another_tier() {
    let stack = TestStack::start().await;
    let first: Vec<i64> = (1..=9).map(|i| i * 10).collect();
    enqueue(&stack, &first).await;
    enqueue(&stack, &[95, 15, 5, -1, 20, 0, 100]).await;
    let depths = [100, 99, 90, 20, 10, 0, -100].map(|tier| depth(&stack, tier));
    assert_eq!(depths, [1, 1, 1, 3, 2, 1, 1].map(Some));
    assert_eq!([95, 15, 5, -1].map(|tier| depth(&stack, tier)), [None; 4]);
    stack.clock.advance_ms(1_000);
    let jobs = stack.fetch("w", 50).await;
    assert_eq!(priorities(&jobs), [100, 95, 90, 80, 70, 60, 50, 40, 30, 20, 15, 20, 10, 5, 0, -1]);
    for job in &jobs {
        stack.ack(&job.id).await.unwrap();
    }
    assert_eq!(stack.aws.sqs.message_count(), 0);
    // Another instance decides alike.
    let (engine, _) = stack.instance(1).await;
    engine
        .enqueue(ojs_testkit::fields(&json!({"type": "test", "args": [], "options": {"priority": 95}})))
        .await
        .unwrap();
    assert_eq!(depth(&stack, 99), Some(1));
    stack.stop().await;
}

#[tokio::test]
async fn a_job_keeps_its_priority_through_retries_and_leaves_no_message() {
    let stack = TestStack::start().await;
    let options = json!({"priority": 10, "retry": {"jitter": false, "max_attempts": 3}});
    stack.enqueue(options).await;
    let failure = || Some(Failure::parse(&raw(r#"{"code":"x","message":"m"}"#).unwrap()).unwrap());
    for requeue in [false, true] {
        let job = stack.fetch("w", 1).await.remove(0);
        let nack = Nack { id: job.id.clone(), holder: Holder::default(), failure: failure(), requeue };
        stack.engine.nack(nack).await.unwrap();
        assert_eq!((depth(&stack, 10), depth(&stack, 0)), (Some(1), None));
        stack.clock.advance_ms(1_000);
    }
    // A heartbeat hides the message where it is.
    let job = stack.fetch("w", 1).await.remove(0);
    stack.clock.advance_ms(20_000);
    let token = job.lease.as_ref().map(|lease| lease.token.clone());
    let beat = ojs_core::engine::Heartbeat {
        worker_id: "w".into(),
        jobs: vec![(job.id.clone(), token)],
        visibility_ms: Some(300_000),
    };
    assert_eq!(stack.engine.heartbeat(beat).await.unwrap().extended, std::slice::from_ref(&job.id));
    stack.clock.advance_ms(200_000);
    assert!(stack.fetch("v", 1).await.is_empty());
    stack.ack(&job.id).await.unwrap();
    assert_eq!(stack.aws.sqs.message_count(), 0);
    assert_eq!(stack.get(&job.id).await.state, State::Completed);
    stack.stop().await;
}

#[tokio::test]
async fn ticks_and_cron_jobs_send_to_the_tier() {
    let stack = TestStack::start().await;
    stack.enqueue(json!({"priority": 3, "scheduled_at": "+PT1H"})).await;
    stack.register("urgent", "0 * * * *", json!({"options": {"priority": 3}})).await;
    stack.clock.advance_ms(3_600_000 - 30_000);
    let sent = stack.engine.send_due(TickBudget::UNLIMITED).await.unwrap().sent;
    assert_eq!((sent, depth(&stack, 3), depth(&stack, 0)), (1, Some(1), None));
    stack.clock.advance_ms(3_600_000);
    stack.engine.cron_tick(TickBudget::UNLIMITED).await.unwrap();
    let jobs = stack.fetch("w", 10).await;
    assert_eq!(priorities(&jobs), [3, 3]);
    stack.stop().await;
}

#[tokio::test]
async fn other_instances_learn_of_a_priority_within_a_second() {
    let stack = TestStack::start().await;
    let (other, wire) = stack.instance(1).await;
    wire.meter();
    assert!(other.fetch(stack.fetch_request("w", 1)).await.unwrap().is_empty());
    enqueue(&stack, &[10]).await;
    stack.clock.advance_ms(999);
    assert!(other.fetch(stack.fetch_request("w", 1)).await.unwrap().is_empty());
    stack.clock.advance_ms(1);
    assert_eq!(other.fetch(stack.fetch_request("w", 1)).await.unwrap().len(), 1);
    // An idle fetch asks each tier once, and those that were empty a moment ago one at a time.
    drop(wire.take_calls());
    stack.clock.advance_ms(300);
    for receives in [2, 1, 1] {
        assert!(other.fetch(stack.fetch_request("w", 1)).await.unwrap().is_empty());
        let calls = wire.take_calls();
        assert_eq!(calls.iter().filter(|call| call.service == Service::Sqs).count(), receives);
        assert_eq!(calls.len(), receives);
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn instances_racing_for_the_last_tier_agree() {
    let stack = std::sync::Arc::new(TestStack::start().await);
    let mut racers = Vec::new();
    for i in 0..16_i64 {
        let (engine, _) = stack.instance(3).await;
        racers.push(tokio::spawn(async move {
            for priority in [i + 1, 17 - i] {
                let options = json!({"priority": priority});
                let request = ojs_testkit::fields(&json!({"type": "test", "args": [], "options": options}));
                engine.enqueue(request).await.unwrap();
            }
        }));
    }
    for racer in racers {
        racer.await.unwrap();
    }
    let used = (1..=17).filter(|tier| depth(&stack, *tier).is_some()).count();
    assert_eq!(used, 9);
    stack.clock.advance_ms(1_000);
    let mut jobs = 0;
    loop {
        let fetched = stack.fetch("w", 50).await;
        if fetched.is_empty() {
            break;
        }
        jobs += fetched.len();
        for job in fetched {
            stack.ack(&job.id).await.unwrap();
        }
    }
    assert_eq!((jobs, stack.aws.sqs.message_count()), (32, 0));
}
