//! FIFO queues (`SQS_USE_FIFO=true`) on the embedded stack: strict order within a message group.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ojs_core::Settings;
use ojs_core::engine::{Ack, Fetch, Nack, TickBudget};
use ojs_emulators::SqsFaults;
use ojs_fault_injection::{Fault, Plan, Then};
use ojs_model::JobId;
use ojs_model::job::{Failure, Holder, Job, State};
use ojs_model::json::raw;
use ojs_testkit::{TestStack, fields};
use serde_json::{Value, json};

async fn stack() -> TestStack {
    TestStack::start_with(Settings { fifo: true, ..Settings::default() }, SqsFaults::default()).await
}

async fn enqueue(stack: &TestStack, group: &str, options: Value) -> JobId {
    let request = json!({"type": "test", "args": [], "meta": {"message_group_id": group}, "options": options});
    stack.engine.enqueue(fields(&request)).await.unwrap().job.id
}

async fn ids(stack: &TestStack, count: usize) -> Vec<JobId> {
    stack.fetch("w", count).await.into_iter().map(|job| job.id).collect()
}

/// A fetch brings this job and no other.
async fn only(stack: &TestStack, count: usize, wanted: &JobId) {
    assert_eq!(ids(stack, count).await, std::slice::from_ref(wanted));
}

async fn fails(stack: &TestStack, id: &JobId, requeue: bool) -> Job {
    let failure = (!requeue).then(|| Failure::parse(&raw(r#"{"code":"x"}"#).unwrap()).unwrap());
    stack.engine.nack(Nack { id: id.clone(), holder: Holder::default(), failure, requeue }).await.unwrap()
}

#[tokio::test]
async fn a_group_is_run_in_its_order_and_groups_beside_each_other() {
    let stack = stack().await;
    let mut wanted = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..4 {
        for (group, wanted) in ["a", "b", "c"].iter().zip(&mut wanted) {
            wanted.push(enqueue(&stack, group, json!({})).await);
        }
    }
    for round in 0..4 {
        let mut fetched = ids(&stack, 10).await;
        fetched.sort();
        let mut next: Vec<_> = wanted.iter().map(|group| group[round].clone()).collect();
        next.sort();
        assert_eq!(fetched, next, "round {round}");
        assert_eq!(ids(&stack, 10).await, [], "the groups wait for their active jobs");
        for id in &fetched {
            stack.ack(id).await.unwrap();
        }
    }
    assert_eq!((ids(&stack, 10).await, stack.aws.sqs.message_count()), (vec![], 0));
    stack.stop().await;
}

#[tokio::test]
async fn a_queue_is_one_group_unless_its_jobs_say_otherwise() {
    let stack = stack().await;
    let first = stack.enqueue(json!({})).await.id;
    let second = stack.enqueue(json!({})).await.id;
    only(&stack, 10, &first).await;
    assert_eq!(ids(&stack, 10).await, []);
    stack.ack(&first).await.unwrap();
    only(&stack, 10, &second).await;
    stack.stop().await;
}

#[tokio::test]
async fn a_retry_keeps_its_place_and_its_group_waits() {
    let stack = stack().await;
    let retry = json!({"retry": {"initial_interval": "PT5S", "jitter": false}});
    let first = enqueue(&stack, "a", retry.clone()).await;
    let second = enqueue(&stack, "a", json!({})).await;
    let other = enqueue(&stack, "b", json!({})).await;
    only(&stack, 1, &first).await;
    assert_eq!(fails(&stack, &first, false).await.state, State::Retryable);
    assert!(!stack.get(&first).await.in_due_index);
    only(&stack, 10, &other).await;
    stack.clock.advance_ms(4_900);
    assert_eq!(stack.get(&first).await.state, State::Retryable);
    stack.clock.advance_ms(100);
    only(&stack, 10, &first).await;
    // Given back, too.
    assert_eq!(fails(&stack, &first, true).await.state, State::Available);
    only(&stack, 10, &first).await;
    stack.ack(&first).await.unwrap();
    only(&stack, 10, &second).await;
    stack.stop().await;
}

#[tokio::test]
async fn a_long_retry_does_not_go_to_the_end() {
    let stack = stack().await;
    let retry = json!({"retry": {"initial_interval": "PT20H", "max_interval": "PT20H", "jitter": false}});
    let first = enqueue(&stack, "a", retry).await;
    let second = enqueue(&stack, "a", json!({})).await;
    only(&stack, 1, &first).await;
    fails(&stack, &first, false).await;
    // Longer than SQS hides a message: it comes back in between, and is put back.
    for _ in 0..20 {
        stack.engine.send_due(TickBudget::UNLIMITED).await.unwrap();
        assert_eq!(ids(&stack, 10).await, []);
        stack.clock.advance_ms(3_600_000);
    }
    only(&stack, 10, &first).await;
    stack.ack(&first).await.unwrap();
    only(&stack, 10, &second).await;
    stack.stop().await;
}

#[tokio::test]
async fn jobs_that_ended_otherwise_do_not_hold_their_group_up() {
    let stack = stack().await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(enqueue(&stack, "a", json!({})).await);
    }
    stack.engine.cancel(&made[0]).await.unwrap();
    stack.engine.cancel(&made[1]).await.unwrap();
    assert_eq!(ids(&stack, 10).await, [made[2].clone()]);
    stack.engine.cancel(&made[2]).await.unwrap();
    assert_eq!(ids(&stack, 10).await, [made[3].clone()]);
    stack.ack(&made[3]).await.unwrap();
    assert_eq!(ids(&stack, 10).await, [made[4].clone()]);
    stack.stop().await;
}

#[tokio::test]
async fn a_silent_workers_job_comes_first_again() {
    let stack = stack().await;
    let first = enqueue(&stack, "a", json!({})).await;
    let second = enqueue(&stack, "a", json!({})).await;
    // A lease longer than a receive hides its message: it stays hidden, and the ack still deletes it.
    let fetch = Fetch { visibility_ms: Some(600_000), ..stack.fetch_request("w", 10) };
    assert_eq!(stack.engine.fetch(fetch.clone()).await.unwrap()[0].id, first);
    stack.clock.advance_ms(599_000);
    assert_eq!(ids(&stack, 10).await, []);
    stack.clock.advance_ms(1_000);
    let again = stack.engine.fetch(fetch).await.unwrap();
    assert_eq!((&again[0].id, again[0].attempt), (&first, 2));
    stack.clock.advance_ms(300_000);
    stack.ack(&first).await.unwrap();
    only(&stack, 10, &second).await;
    stack.stop().await;
}

#[tokio::test]
async fn jobs_that_wait_for_their_time_do_not_hold_others_up() {
    let stack = stack().await;
    let later = enqueue(&stack, "a", json!({"scheduled_at": "+PT5S"})).await;
    let now = enqueue(&stack, "a", json!({})).await;
    assert!(stack.get(&later).await.in_due_index);
    stack.engine.send_due(TickBudget::UNLIMITED).await.unwrap();
    only(&stack, 10, &now).await;
    stack.ack(&now).await.unwrap();
    stack.clock.advance_ms(5_000);
    stack.engine.send_due(TickBudget::UNLIMITED).await.unwrap();
    only(&stack, 10, &later).await;
    // A cron job's time ahead is not announced.
    stack.register("soon", "*/5 * * * * *", json!({})).await;
    assert_eq!(stack.aws.sqs.message_count(), 1);
    stack.stop().await;
}

#[tokio::test]
async fn a_batch_keeps_its_order() {
    let stack = stack().await;
    let jobs: Vec<_> = (0..35).map(|i| json!({"type": format!("t{i}"), "args": []})).collect();
    let made = stack.engine.enqueue_batch(fields(&json!({"jobs": jobs}))).await.unwrap();
    for made in made {
        only(&stack, 10, &made.job.id).await;
        stack.ack(&made.job.id).await.unwrap();
    }
    stack.stop().await;
}

#[tokio::test]
async fn a_lost_answer_neither_doubles_nor_blocks() {
    let stack = stack().await;
    for at in 0..10 {
        let (engine, wire) = stack.instance(3).await;
        wire.disturb(Plan { at, fault: Fault::LostAnswer, then: Then::Continue });
        let request = json!({"type": "test", "args": [], "options": {"queue": format!("q{at}")}});
        let mut made = Vec::new();
        for _ in 0..2 {
            made.push(engine.enqueue(fields(&request)).await.unwrap().job.id);
        }
        let fetch = Fetch { queues: vec![format!("q{at}")], ..stack.fetch_request("w", 10) };
        for id in &made {
            let jobs = engine.fetch(fetch.clone()).await.unwrap();
            assert_eq!(jobs.iter().map(|job| &job.id).collect::<Vec<_>>(), [id], "call {at}");
            let token = jobs[0].lease.as_ref().map(|lease| lease.token.clone());
            engine.ack(Ack { id: id.clone(), holder: Holder { worker: None, token }, result: None }).await.unwrap();
        }
        assert_eq!(engine.fetch(fetch).await.unwrap().len(), 0);
    }
    stack.stop().await;
}
