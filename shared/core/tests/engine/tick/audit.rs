//! The audit: a walk through the table finds what stands still and nothing comes across. Bounded by tick, resumable, and what is
//! healthy is not sent again and again.

use std::collections::BTreeSet;

use crate::crashes::harness::{Scenario, enumerate, failed_well};
use ojs_core::engine::{Ack, Audited, TickBudget};
use ojs_core::{Engine, Settings};
use ojs_emulators::SqsFaults;
use ojs_fault_injection::{Fault, Plan, Then};
use ojs_model::JobId;
use ojs_model::job::unique::Lock;
use ojs_model::job::{Holder, Job, State};
use ojs_model::workflow::WorkflowState;
use ojs_testkit::{TestStack, fields};
use serde_json::{Value, json};

const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 86_400_000;
/// Longer than the audit lets a job wait.
const LONG_MS: u64 = 15 * MINUTE_MS;

fn lose_messages(stack: &TestStack) {
    stack.aws.sqs.reset();
    stack.engine.forget_queues();
}

async fn audit(engine: &Engine) -> Audited {
    engine.audit(TickBudget::UNLIMITED).await.unwrap()
}

/// Passes through the whole table once.
async fn pass(stack: &TestStack) -> Audited {
    let mut total = Audited::default();
    while !total.passed {
        let Audited { items, resent, ended, workflows, batches, locks, failed, passed } = audit(&stack.engine).await;
        assert!(items > 0, "a pass is under way");
        total = Audited {
            items: total.items + items,
            resent: total.resent + resent,
            ended: total.ended + ended,
            workflows: total.workflows + workflows,
            batches: total.batches + batches,
            locks: total.locks + locks,
            failed: total.failed + failed,
            passed,
        };
    }
    total
}

async fn stored(stack: &TestStack, id: &JobId) -> Job {
    stack.engine.store().get_job(id).await.unwrap().unwrap()
}

/// A chain of two whose first step is acked by a process that dies before the workflow moves on; the message is lost.
async fn stuck_chain(stack: &TestStack) -> JobId {
    let chain = json!({"type": "chain", "steps": [{"type": "a", "args": []}, {"type": "b", "args": []}]});
    let id = stack.engine.create_workflow(fields(&chain)).await.unwrap().workflow.id;
    let first = stack.fetch("w", 1).await.remove(0);
    let (engine, wire) = stack.instance(1).await;
    wire.disturb(Plan { at: 1, fault: Fault::NotSent, then: Then::Dead });
    engine.ack(Ack { id: first.id.clone(), holder: Holder::default(), result: None }).await.unwrap_err();
    lose_messages(stack);
    id
}

#[tokio::test]
async fn a_lost_message_is_sent_again_and_a_ghost_runs() {
    let stack = TestStack::start().await;
    let jobs = [
        stack.enqueue(json!({})).await,
        stack.enqueue(json!({"priority": 7})).await,
        stack.enqueue(json!({"scheduled_at": "+PT10M"})).await,
    ];
    lose_messages(&stack);
    stack.clock.advance_ms(LONG_MS - 1);
    assert_eq!(pass(&stack).await.resent, 0, "they have not waited for long");
    stack.clock.advance_ms(60 * MINUTE_MS);
    let done = pass(&stack).await;
    assert_eq!((done.resent, done.failed), (3, 0));
    let fetched: BTreeSet<_> = stack.fetch("w", 10).await.into_iter().map(|job| job.id).collect();
    assert_eq!(fetched, jobs.into_iter().map(|job| job.id).collect());
    stack.stop().await;
}

#[tokio::test]
async fn a_lapsed_job_whose_message_is_lost_runs_again() {
    let stack = TestStack::start().await;
    stack.enqueue(json!({})).await;
    let once = stack.enqueue(json!({"retry": {"max_attempts": 1}})).await;
    assert_eq!(stack.fetch("w", 2).await.len(), 2);
    lose_messages(&stack);
    stack.clock.advance_ms(30_000 + LONG_MS);
    let done = pass(&stack).await;
    assert_eq!((done.resent, done.ended), (1, 1));
    assert_eq!(stored(&stack, &once.id).await.state, State::Discarded, "written down, not only shown");
    let again = stack.fetch("w", 2).await;
    assert_eq!(again.iter().map(|job| job.attempt).collect::<Vec<_>>(), [2]);
    stack.stop().await;
}

#[tokio::test]
async fn an_expired_job_that_no_worker_fetched_ends_and_what_follows_is_done() {
    let stack = TestStack::start().await;
    let unique = json!({"expires_at": "+PT1M", "unique": {"keys": ["type"]}});
    let plain = stack.enqueue(json!({"expires_at": "+PT1M"})).await;
    let later = stack.enqueue(json!({"expires_at": "+PT1M", "scheduled_at": "+PT5H"})).await;
    let holder = stack.enqueue(unique.clone()).await;
    let chain = json!({"type": "chain", "steps": [{"type": "a", "args": [], "options": {"expires_at": "+PT1M"}}]});
    let workflow = stack.engine.create_workflow(fields(&chain)).await.unwrap().workflow.id;
    stack.clock.advance_ms(MINUTE_MS);
    assert_eq!(pass(&stack).await.ended, 4);
    for job in [&plain, &later, &holder] {
        assert_eq!(stored(&stack, &job.id).await.state, State::Discarded);
    }
    let key = stored(&stack, &holder.id).await.unique_key.unwrap();
    assert_eq!(stack.engine.store().get_lock(&key).await.unwrap(), None);
    assert_eq!(stack.engine.get_workflow(&workflow).await.unwrap().workflow.state, WorkflowState::Failed);
    stack.stop().await;
}

#[tokio::test]
async fn a_workflow_that_stands_still_moves_on() {
    let stack = TestStack::start().await;
    let id = stuck_chain(&stack).await;
    stack.clock.advance_ms(LONG_MS);
    let done = pass(&stack).await;
    assert_eq!((done.workflows, done.failed), (1, 0));
    let second = stack.fetch("w", 1).await.remove(0);
    assert_eq!(second.job_type, "b");
    stack.ack(&second.id).await.unwrap();
    assert_eq!(stack.engine.get_workflow(&id).await.unwrap().workflow.state, WorkflowState::Completed);
    stack.stop().await;
}

#[tokio::test]
async fn a_batch_that_was_left_is_ended() {
    let stack = TestStack::start().await;
    let (engine, wire) = stack.instance(1).await;
    let jobs: Vec<Value> = (0..3).map(|_| json!({"type": "test", "args": []})).collect();
    // The queue (a look and a write), the batch and its jobs are written; the commit is not.
    wire.disturb(Plan { at: 4, fault: Fault::NotSent, then: Then::Dead });
    engine.enqueue_batch(fields(&json!({"jobs": jobs}))).await.unwrap_err();
    assert_eq!(stack.engine.store().newest_jobs("default", 10).await.unwrap().len(), 3);
    stack.clock.advance_ms(MINUTE_MS + LONG_MS);
    let done = pass(&stack).await;
    assert_eq!((done.batches, done.resent), (1, 0), "jobs of an undecided batch are not sent");
    assert!(stack.engine.store().newest_jobs("default", 10).await.unwrap().is_empty());
    stack.stop().await;
}

#[tokio::test]
async fn a_lock_without_a_job_goes_and_others_stay() {
    let stack = TestStack::start().await;
    let unique = |kind: &str| json!({"type": kind, "args": [], "options": {"unique": {"keys": ["type"]}}});
    let gone = stack.engine.enqueue(fields(&unique("gone"))).await.unwrap().job;
    let held = stack.engine.enqueue(fields(&unique("held"))).await.unwrap().job;
    stack.engine.store().undo_put(&gone).await.unwrap();
    stack.clock.advance_ms(LONG_MS);
    assert_eq!(pass(&stack).await.locks, 1);
    let lock = async |job: &Job| stack.engine.store().get_lock(&job.unique_key.unwrap()).await.unwrap();
    assert_eq!(lock(&gone).await, None);
    assert!(lock(&held).await.is_some());
    // A lock that is taken anew between read and removal stays.
    let read = lock(&held).await.unwrap();
    let stale = Lock { nonce: read.nonce + 1, ..read };
    stack.engine.store().drop_lock(&stale).await.unwrap();
    assert!(lock(&held).await.is_some());
    stack.stop().await;
}

#[tokio::test]
async fn what_waits_elsewhere_is_left_alone() {
    let stack = TestStack::start().await;
    stack.enqueue(json!({"queue": "active"})).await;
    let fetch = ojs_core::engine::Fetch {
        queues: vec!["active".into()],
        visibility_ms: Some(43_200_000),
        ..stack.fetch_request("w", 1)
    };
    assert_eq!(stack.engine.fetch(fetch).await.unwrap().len(), 1);
    stack.enqueue(json!({"scheduled_at": "+PT9H"})).await;
    stack.enqueue(json!({"pending": true})).await;
    let ended = stack.enqueue(json!({"queue": "ended"})).await;
    stack.engine.cancel(&ended.id).await.unwrap();
    stack.enqueue(json!({"queue": "paused"})).await;
    stack.engine.pause_queue("paused").await.unwrap();
    for _ in 0..6 {
        stack.clock.advance_ms(60 * MINUTE_MS);
        let done = pass(&stack).await;
        assert_eq!((done.resent, done.ended, done.failed), (0, 0, 0));
    }
    stack.stop().await;
}

#[tokio::test]
async fn a_paused_queue_keeps_its_messages_alive() {
    let stack = TestStack::start().await;
    let job = stack.enqueue(json!({})).await;
    stack.engine.pause_queue("default").await.unwrap();
    let mut sent = 0;
    for _ in 0..30 {
        stack.clock.advance_ms(DAY_MS);
        sent += pass(&stack).await.resent;
    }
    assert!((3..=5).contains(&sent), "about one a week: {sent}");
    stack.engine.resume_queue("default").await.unwrap();
    assert_eq!(stack.fetch("w", 1).await[0].id, job.id);
    stack.stop().await;
}

#[tokio::test]
async fn a_healthy_backlog_is_not_sent_again_and_again() {
    let stack = TestStack::start().await;
    for _ in 0..5 {
        stack.enqueue(json!({})).await;
    }
    let mut sent = Vec::new();
    for _ in 0..100 {
        stack.clock.advance_ms(60 * MINUTE_MS);
        sent.push(pass(&stack).await.resent);
        // Within a period there is no second pass.
        assert_eq!(audit(&stack.engine).await, Audited::default());
    }
    let passes: Vec<usize> = (0..100).filter(|at| sent[*at] > 0).map(|at| at + 1).collect();
    assert_eq!(passes, [1, 2, 4, 8, 16, 32, 64], "hours after which each got a message");
    assert!(sent.iter().all(|sent| [0, 5].contains(sent)));
    stack.stop().await;
}

#[tokio::test]
async fn a_tick_reads_what_it_may_and_the_next_goes_on() {
    let settings = Settings { audit_items_per_tick: 7, ..Settings::default() };
    let stack = TestStack::start_with(settings, SqsFaults::default()).await;
    for _ in 0..30 {
        stack.enqueue(json!({})).await;
    }
    lose_messages(&stack);
    stack.clock.advance_ms(LONG_MS);
    let mut ticks = Vec::new();
    loop {
        // Each tick on an instance of its own: what is known of the place is in the table.
        let done = audit(&stack.instance(1).await.0).await;
        assert!(done.items <= 7 && done.resent <= 7, "{done:?}");
        ticks.push(done.resent);
        if done.passed {
            break;
        }
    }
    assert!(ticks.len() >= 5, "{ticks:?}");
    assert_eq!(ticks.iter().sum::<usize>(), 30, "each once: {ticks:?}");
    assert_eq!(audit(&stack.engine).await, Audited::default(), "the next pass begins a period later");
    stack.stop().await;
}

#[tokio::test]
async fn a_tick_without_time_reads_one_page() {
    let settings = Settings { audit_items_per_tick: 5_000, ..Settings::default() };
    let stack = TestStack::start_with(settings, SqsFaults::default()).await;
    let jobs: Vec<Value> = (0..1_000).map(|_| json!({"type": "test", "args": []})).collect();
    stack.engine.enqueue_batch(fields(&json!({"jobs": jobs}))).await.unwrap();
    let late = TickBudget { until_ms: stack.engine.now_ms(), ..TickBudget::UNLIMITED };
    let done = stack.engine.audit(late).await.unwrap();
    assert!(done.items == 1_000 && !done.passed, "{done:?}");
    assert!(pass(&stack).await.items < 100);
    stack.stop().await;
}

#[tokio::test]
async fn zero_items_turn_it_off() {
    let settings = Settings { audit_items_per_tick: 0, ..Settings::default() };
    let stack = TestStack::start_with(settings, SqsFaults::default()).await;
    let (engine, wire) = stack.instance(1).await;
    wire.meter();
    assert_eq!(audit(&engine).await, Audited::default());
    assert!(wire.take_calls().is_empty());
    stack.stop().await;
}

#[tokio::test]
async fn a_job_that_cannot_be_read_delays_only_itself() {
    let stack = TestStack::start().await;
    let broken = stack.enqueue(json!({})).await;
    stack.enqueue(json!({})).await;
    let clients =
        ojs_core::aws::ConnectOptions { dynamodb_url: Some(stack.aws.dynamodb.url().to_owned()), ..Default::default() };
    let dynamodb = ojs_core::aws::Clients::connect(&stack.settings, clients).await.dynamodb;
    dynamodb
        .update_item()
        .table_name(&stack.settings.table)
        .set_key(Some(ojs_core::store::keys::job(&broken.id)))
        .update_expression("REMOVE ty")
        .send()
        .await
        .unwrap();
    lose_messages(&stack);
    stack.clock.advance_ms(LONG_MS);
    assert_eq!(pass(&stack).await.resent, 1);
    stack.stop().await;
}

#[tokio::test]
async fn an_empty_database_and_everything_in_one_are_recovered() {
    let stack = TestStack::start().await;
    assert_eq!(stack.engine.recover().await.unwrap().resent, 0);
    let chain = stuck_chain(&stack).await;
    stack.enqueue(json!({"queue": "active"})).await;
    let fetch = ojs_core::engine::Fetch { queues: vec!["active".into()], ..stack.fetch_request("w", 1) };
    assert_eq!(stack.engine.fetch(fetch).await.unwrap().len(), 1);
    stack.enqueue(json!({})).await;
    stack.enqueue(json!({"scheduled_at": "+PT5H"})).await;
    stack.enqueue(json!({"pending": true})).await;
    lose_messages(&stack);
    let done = stack.engine.recover().await.unwrap();
    assert_eq!((done.resent, done.workflows), (2, 1));
    let types: BTreeSet<_> = stack.fetch("w", 10).await.into_iter().map(|job| job.job_type).collect();
    assert_eq!(types, BTreeSet::from(["b".to_owned(), "test".to_owned()]), "the step after goes on: {chain}");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_each_call_leaves_it_to_the_next_tick() {
    enumerate(async |s: Scenario<'_>| {
        let enqueue = async |options: Value| {
            let request = json!({"type": "test", "args": [1], "options": options});
            s.stack.engine.enqueue(fields(&request)).await.unwrap().job
        };
        let waits = enqueue(json!({"queue": s.queue})).await;
        let expires = enqueue(json!({"queue": s.queue, "expires_at": "+PT1M"})).await;
        lose_messages(s.stack);
        s.stack.clock.advance_ms(2 * 60 * MINUTE_MS);
        if let Err(error) = s.engine.audit(TickBudget::UNLIMITED).await {
            failed_well(&error);
        }
        s.calm();
        // A message that failed in the first pass is due again when the wait has doubled.
        s.stack.clock.advance_ms(2 * 60 * MINUTE_MS);
        while !s.stack.engine.audit(TickBudget::UNLIMITED).await.unwrap().passed {}
        assert_eq!(stored(s.stack, &expires.id).await.state, State::Discarded);
        s.finish(&waits.id, State::Completed).await;
    })
    .await;
}
