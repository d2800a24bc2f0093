//! The due index: ten messages a call, oldest first, within a budget, whatever fails and however many ticks race.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::HashSet;
use std::sync::Arc;

use ojs_core::engine::{Fetch, TickBudget};
use ojs_core::transport::SqsQueue;
use ojs_core::{Engine, Settings};
use ojs_emulators::SqsFaults;
use ojs_fault_injection::Service;
use ojs_model::JobId;
use ojs_model::job::State;
use ojs_model::message::JobRef;
use ojs_testkit::TestStack;
use serde_json::json;
use tokio::sync::Barrier;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A job that is due in so many ms, more than SQS can delay.
async fn later(stack: &TestStack, wait_ms: i64) -> JobId {
    let due = ojs_model::time::format_ms(stack.engine.now_ms() + wait_ms);
    stack.enqueue(json!({"scheduled_at": due})).await.id
}

async fn waiting(engine: &Engine, id: &JobId) -> bool {
    engine.store().get_job(id).await.unwrap().unwrap().in_due_index
}

#[tokio::test]
async fn jobs_are_sent_ten_a_call() {
    let stack = TestStack::start().await;
    for _ in 0..200 {
        later(&stack, HOUR).await;
    }
    stack.clock.advance_ms(HOUR.unsigned_abs() - 60_000);
    let (engine, wire) = stack.instance(1).await;
    wire.meter();
    assert_eq!(engine.send_due(TickBudget::UNLIMITED).await.unwrap().sent, 200);
    let calls = wire.take_calls();
    // The first use of the queue by anybody makes it, once, however many batches want it.
    let of = |action: &str| calls.iter().filter(|call| call.action == action).count();
    assert_eq!((of("GetQueueUrl"), of("CreateQueue")), (1, 2));
    // Full batches, but for the last of each shard.
    let sent = of("SendMessageBatch");
    assert!(sent <= 200 / 10 + 4, "{sent} calls");
    assert_eq!(calls.iter().filter(|call| call.service == Service::Sqs).count(), sent + 4);
    let write_units: f64 = calls.iter().map(|call| call.write_units).sum();
    assert!(write_units <= 400.0, "{write_units}");
    assert_eq!(stack.aws.sqs.message_count(), 200);
    stack.stop().await;
}

#[tokio::test]
async fn entries_that_fail_in_a_batch_are_sent_again_or_left_for_the_next_tick() {
    let faults = SqsFaults { partial_batch_failure: 0.6, seed: 5, ..SqsFaults::default() };
    let stack = TestStack::start_with(Settings::default(), faults).await;
    let mut ids = HashSet::new();
    for _ in 0..100 {
        ids.insert(later(&stack, HOUR).await);
    }
    stack.clock.advance_ms(HOUR.unsigned_abs());
    let first = stack.engine.send_due(TickBudget::UNLIMITED).await.unwrap();
    assert!(first.sent > 50 && first.failed > 0 && first.sent + first.failed == 100, "{first:?}");
    let mut left = 0;
    for id in &ids {
        left += usize::from(waiting(&stack.engine, id).await);
    }
    assert_eq!((left, stack.aws.sqs.message_count()), (first.failed, first.sent), "in the index as long as not sent");
    stack.aws.sqs.faults().set(SqsFaults::default());
    assert_eq!(stack.engine.send_due(TickBudget::UNLIMITED).await.unwrap().sent, first.failed);
    assert_eq!(stack.aws.sqs.message_count(), 100);
    let mut fetched = HashSet::new();
    while fetched.len() < 100 {
        for job in stack.fetch("w", 50).await {
            stack.ack(&job.id).await.unwrap();
            assert!(fetched.insert(job.id));
        }
    }
    assert_eq!(fetched, ids);
    stack.stop().await;
}

#[tokio::test]
async fn after_an_outage_of_days_the_oldest_go_first_and_no_more_than_the_budget() {
    let stack = TestStack::start().await;
    let mut ids = Vec::new();
    // One an hour for three days, enqueued in no order.
    for hour in (1..=72_i64).map(|i| i * 29 % 73) {
        ids.push((hour, later(&stack, hour * HOUR).await));
    }
    ids.sort_unstable();
    stack.clock.advance_ms((3 * DAY + MINUTE).unsigned_abs());
    let mut promoted = 0;
    while promoted < 72 {
        let done = stack.engine.send_due(TickBudget::jobs(20)).await.unwrap();
        promoted += done.sent;
        assert_eq!(stack.aws.sqs.message_count(), promoted);
        assert!(done.sent > 0, "a tick makes progress");
        assert!(done.sent <= 20 && done.failed == 0 && (done.more || promoted == 72), "{done:?}");
        // The budget is shared by the shards, and each of them goes from the oldest on.
        let store = stack.engine.store();
        for shard in 0..store.due_shards() {
            let left = store.due_before(shard, i64::MAX / 2, None, 100).await.unwrap().jobs;
            let oldest_left = left.first().map_or(i64::MAX, |entry| entry.due_at);
            for (_, id) in &ids {
                let job = store.get_job(id).await.unwrap().unwrap();
                let here = ojs_core::store::keys::shard(id, store.due_shards()) == shard;
                assert!(!here || job.in_due_index || job.scheduled_at.unwrap().at_ms <= oldest_left);
            }
        }
    }
    assert_eq!(promoted, 72);
    stack.stop().await;
}

#[tokio::test]
async fn a_tick_that_runs_out_of_time_half_way_is_continued_by_the_next() {
    let stack = TestStack::start().await;
    for _ in 0..900 {
        later(&stack, HOUR).await;
    }
    stack.clock.advance_ms(HOUR.unsigned_abs());
    // No time at all: one page per shard is done nevertheless.
    let none = TickBudget { until_ms: stack.engine.now_ms(), jobs: usize::MAX };
    let first = stack.engine.send_due(none).await.unwrap();
    assert!((1..900).contains(&first.sent) && first.more, "{first:?}");
    let second = stack.engine.send_due(TickBudget::UNLIMITED).await.unwrap();
    assert_eq!((first.sent + second.sent, second.more), (900, false));
    assert_eq!(stack.aws.sqs.message_count(), 900);
    stack.stop().await;
}

#[tokio::test]
async fn the_backlog_of_a_dead_queue_does_not_use_up_the_budget() {
    let stack = TestStack::start().await;
    for _ in 0..300 {
        stack.enqueue(json!({"queue": "dead", "scheduled_at": "+PT1H"})).await;
    }
    let alive = stack.enqueue(json!({"scheduled_at": "+PT1H1S"})).await.id;
    stack.clock.advance_ms(HOUR.unsigned_abs());
    // A queue that was deleted a moment ago cannot be made again.
    let sqs = stack.sqs().await;
    let url = sqs.create_queue().queue_name("ojs-dead").send().await.unwrap().queue_url.unwrap();
    sqs.delete_queue().queue_url(url).send().await.unwrap();
    let done = stack.engine.send_due(TickBudget::jobs(250)).await.unwrap();
    assert_eq!((done.sent, done.failed), (1, 300));
    assert!(!waiting(&stack.engine, &alive).await);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn schedulers_and_workers_race_and_every_job_runs_once() {
    const JOBS: usize = 300;
    let stack = Arc::new(TestStack::start().await);
    let mut ids = HashSet::new();
    for _ in 0..JOBS {
        ids.insert(later(&stack, HOUR).await);
    }
    stack.clock.advance_ms(HOUR.unsigned_abs());
    let barrier = Arc::new(Barrier::new(8));
    let mut racers = Vec::new();
    for i in 0..8 {
        let (engine, _) = stack.instance(3).await;
        let (barrier, stack) = (Arc::clone(&barrier), Arc::clone(&stack));
        racers.push(tokio::spawn(async move {
            barrier.wait().await;
            let mut mine = Vec::new();
            for _ in 0..40 {
                if i < 3 {
                    engine.send_due(TickBudget::UNLIMITED).await.unwrap();
                    continue;
                }
                for job in engine.fetch(stack.fetch_request(&format!("w{i}"), 10)).await.unwrap() {
                    assert_eq!(job.attempt, 1);
                    mine.push(job.id);
                }
            }
            mine
        }));
    }
    let mut found = Vec::new();
    for racer in racers {
        found.extend(racer.await.unwrap());
    }
    let mut idle = 0;
    while idle < 3 {
        let jobs = stack.fetch("last", 100).await;
        idle = if jobs.is_empty() { idle + 1 } else { 0 };
        found.extend(jobs.into_iter().map(|job| job.id));
    }
    assert_eq!(found.len(), JOBS, "a job was claimed twice, or never");
    assert_eq!(found.into_iter().collect::<HashSet<_>>(), ids);
}

#[tokio::test]
async fn a_scheduled_job_can_be_cancelled_at_any_moment() {
    // Days ahead in the index, a moment after the tick has sent its message, and when it is due.
    for (wait_ms, tick) in [(0, false), (3 * DAY - MINUTE, true), (3 * DAY, true)] {
        let stack = TestStack::start().await;
        let id = later(&stack, 3 * DAY).await;
        stack.clock.advance_ms(wait_ms.unsigned_abs());
        if tick {
            assert_eq!(stack.engine.send_due(TickBudget::UNLIMITED).await.unwrap().sent, 1);
        }
        let (engine, wire) = stack.instance(1).await;
        wire.meter();
        assert_eq!(engine.cancel(&id).await.unwrap().state, State::Cancelled);
        let calls: Vec<_> = wire.take_calls().into_iter().map(|call| call.action).collect();
        assert!(calls.iter().all(|action| action == "UpdateItem") && calls.len() <= 3, "{calls:?}");
        stack.clock.advance_ms((3 * DAY).unsigned_abs());
        assert_eq!(stack.engine.send_due(TickBudget::UNLIMITED).await.unwrap().sent, 0);
        assert!(stack.fetch("w", 10).await.is_empty());
        assert_eq!((stack.aws.sqs.message_count(), stack.get(&id).await.state), (0, State::Cancelled));
        stack.stop().await;
    }
}

#[tokio::test]
async fn a_cancelled_job_whose_tick_is_under_way_is_not_run() {
    let stack = TestStack::start().await;
    let id = later(&stack, HOUR).await;
    stack.clock.advance_ms(HOUR.unsigned_abs() - 30_000);
    // The tick has read the index; the cancellation comes before its message, and the index lags.
    let mut found = Vec::new();
    for shard in 0..stack.engine.store().due_shards() {
        found.extend(stack.engine.store().due_before(shard, i64::MAX / 2, None, 10).await.unwrap().jobs);
    }
    let entry = found.remove(0);
    stack.engine.cancel(&id).await.unwrap();
    let stale = JobRef { due_at: None, ..entry.job.clone() };
    assert!(stack.engine.transport().send_batch(&SqsQueue::jobs("default"), &[(stale, 30)]).await.remove(0).is_ok());
    stack.engine.store().leave_due_index(&entry).await.unwrap();
    stack.clock.advance_ms(31_000);
    assert!(stack.fetch("w", 1).await.is_empty());
    assert_eq!((stack.get(&id).await.state, stack.aws.sqs.message_count()), (State::Cancelled, 0));
    stack.stop().await;
}

#[tokio::test]
async fn instances_that_disagree_about_the_time_run_a_job_once() {
    let stack = TestStack::start().await;
    let engines = [stack.skewed(2_000).await, Arc::clone(&stack.engine), stack.skewed(-2_000).await];
    let mut due = Vec::new();
    for i in 0..30 {
        let at = stack.engine.now_ms() + HOUR + i * 700;
        due.push((at, later(&stack, HOUR + i * 700).await));
    }
    stack.clock.advance_ms(HOUR.unsigned_abs() - 61_000);
    let mut started = Vec::new();
    for round in 0..400 {
        for engine in &engines {
            if round % 120 == 0 {
                engine.send_due(TickBudget::UNLIMITED).await.unwrap();
            }
            let fetch = Fetch { queues: vec!["default".into()], count: 5, worker_id: None, visibility_ms: None };
            for job in engine.fetch(fetch).await.unwrap() {
                let late = stack.engine.now_ms() - job.scheduled_at.unwrap().at_ms;
                assert!((-2_000..5_000).contains(&late), "{late}");
                started.push(job.id);
            }
        }
        stack.clock.advance_ms(500);
    }
    assert_eq!(started.len(), 30);
    assert_eq!(started.into_iter().collect::<HashSet<_>>(), due.into_iter().map(|(_, id)| id).collect());
    stack.stop().await;
}

/// Due times anywhere in ten minutes, a tick a minute, a worker that asks every quarter of a second: the distribution of
/// 10,000 is what `ojs-bench lateness` prints.
#[tokio::test]
async fn jobs_start_within_a_second_of_their_time_and_never_before() {
    const JOBS: usize = 400;
    let stack = TestStack::start().await;
    let mut random = fastrand::Rng::with_seed(11);
    for _ in 0..JOBS {
        later(&stack, 16 * MINUTE + random.i64(0..10 * MINUTE)).await;
    }
    let end = stack.engine.now_ms() + 27 * MINUTE;
    let mut next_tick = stack.engine.now_ms() + random.i64(0..MINUTE);
    stack.clock.advance_ms(13 * 60_000);
    let mut late = Vec::new();
    while stack.engine.now_ms() < end {
        while next_tick <= stack.engine.now_ms() {
            stack.engine.send_due(TickBudget::UNLIMITED).await.unwrap();
            next_tick += MINUTE;
        }
        for job in stack.fetch("w", 10).await {
            late.push(job.started_at.unwrap() - job.scheduled_at.as_ref().unwrap().at_ms);
            stack.ack(&job.id).await.unwrap();
        }
        stack.clock.advance_ms(250);
    }
    assert_eq!(late.len(), JOBS);
    late.sort_unstable();
    assert!(late[0] >= 0, "early by {} ms", -late[0]);
    let p99 = late[JOBS * 99 / 100];
    assert!(late[JOBS - 1] < SECOND, "p99 {p99} ms, most {} ms", late[JOBS - 1]);
    stack.stop().await;
}
