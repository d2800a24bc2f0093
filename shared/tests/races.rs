//! I2: each attempt of a job is claimed by exactly one worker, however many race and however SQS delivers.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ojs_core::engine::{Ack, Nack};
use ojs_core::job::{Failure, Holder, Job, State};
use ojs_core::{JobId, Settings};
use ojs_emulators::SqsFaults;
use ojs_testkit::{TestStack, fields};
use serde_json::json;
use tokio::sync::Barrier;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_32_workers_racing_for_one_job_one_wins() {
    // Every delivery comes twice, so that the claim has to decide.
    let faults = SqsFaults { duplicate_delivery: 1.0, ..SqsFaults::default() };
    let stack = Arc::new(TestStack::start_with(Settings::default(), faults).await);
    for round in 0..5 {
        let job = stack.enqueue(json!({})).await;
        let barrier = Arc::new(Barrier::new(32));
        let workers: Vec<_> = (0..32)
            .map(|i| {
                let (stack, barrier) = (Arc::clone(&stack), Arc::clone(&barrier));
                tokio::spawn(async move {
                    barrier.wait().await;
                    stack.fetch(&format!("worker-{i}"), 1).await
                })
            })
            .collect();
        let mut won = Vec::new();
        for worker in workers {
            won.extend(worker.await.unwrap());
        }
        assert_eq!(won.len(), 1, "round {round}");
        assert_eq!((&won[0].id, won[0].attempt), (&job.id, 1));
        stack.ack(&job.id).await.unwrap();
    }
}

/// Claims per (job, attempt), over all workers.
type Claims = HashMap<(JobId, u32), usize>;

async fn work(stack: Arc<TestStack>, worker: String) -> (Claims, Vec<JobId>) {
    let (mut claims, mut done) = (Claims::new(), Vec::new());
    let mut idle = 0;
    while idle < 40 {
        let jobs = stack.fetch(&worker, 7).await;
        idle = if jobs.is_empty() { idle + 1 } else { 0 };
        for (i, job) in jobs.into_iter().enumerate() {
            *claims.entry((job.id.clone(), job.attempt)).or_default() += 1;
            let holder = Holder { worker: None, token: job.lease.as_ref().map(|l| l.token.clone()) };
            // Every seventh first attempt fails, so that retries are in the race too.
            if job.attempt == 1 && i == 0 {
                let failure = Failure::parse(&ojs_core::json::raw(r#"{"code":"x"}"#).unwrap()).unwrap();
                let nack = Nack { id: job.id.clone(), holder, failure: Some(failure), requeue: false };
                stack.engine.nack(nack).await.unwrap();
            } else {
                stack.engine.ack(Ack { id: job.id.clone(), holder, result: None }).await.unwrap();
                done.push(job.id);
            }
        }
        tokio::task::yield_now().await;
    }
    (claims, done)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_jobs_are_each_done_once_through_duplicates_and_reordering() {
    const JOBS: usize = 1_000;
    let faults = SqsFaults { duplicate_delivery: 0.2, reorder: 0.3, empty_short_poll: 0.1, ..SqsFaults::default() };
    let stack = Arc::new(TestStack::start_with(Settings::default(), faults).await);
    let retry = json!({"retry": {"max_attempts": 3, "initial_interval": "PT1S", "jitter": false}});
    let mut jobs = HashSet::new();
    for _ in 0..JOBS {
        jobs.insert(stack.enqueue(retry.clone()).await.id);
    }
    let (mut claims, mut done) = (Claims::new(), Vec::new());
    // Leases never lapse here: the clock stands still while workers race, and moves on to the retries in between.
    for _ in 0..20 {
        let workers: Vec<_> = (0..16).map(|i| tokio::spawn(work(Arc::clone(&stack), format!("worker-{i}")))).collect();
        for worker in workers {
            let (c, d) = worker.await.unwrap();
            for (claim, times) in c {
                *claims.entry(claim).or_default() += times;
            }
            done.extend(d);
        }
        if done.len() == JOBS {
            break;
        }
        stack.clock.advance_ms(1_500);
    }
    assert!(claims.values().all(|times| *times == 1), "an attempt was claimed twice");
    assert_eq!(done.iter().cloned().collect::<HashSet<_>>(), jobs, "a job was lost");
    assert_eq!(done.len(), JOBS, "a job was done twice");
    for id in &jobs {
        assert_eq!(stack.get(id).await.state, State::Completed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ack_nack_and_cancel_racing_have_one_outcome() {
    let stack = Arc::new(TestStack::start().await);
    for round in 0..20 {
        let job = stack.enqueue(json!({"retry": {"max_attempts": 1}})).await;
        assert_eq!(stack.fetch("w", 1).await.len(), 1);
        let barrier = Arc::new(Barrier::new(12));
        let racers: Vec<_> = (0..12)
            .map(|i| {
                let (stack, barrier, id) = (Arc::clone(&stack), Arc::clone(&barrier), job.id.clone());
                tokio::spawn(async move {
                    barrier.wait().await;
                    let holder = Holder::default();
                    match i % 3 {
                        0 => stack.engine.ack(Ack { id, holder, result: None }).await.map(|_| State::Completed),
                        1 => {
                            let failure = Failure::parse(&ojs_core::json::raw(r#"{"code":"x"}"#).unwrap()).unwrap();
                            let nack = Nack { id, holder, failure: Some(failure), requeue: false };
                            stack.engine.nack(nack).await.map(|job| job.state)
                        }
                        _ => stack.engine.cancel(&id).await.map(|job| job.state),
                    }
                })
            })
            .collect();
        let mut outcomes = Vec::new();
        for racer in racers {
            match racer.await.unwrap() {
                Ok(state) => outcomes.push(state),
                Err(error) => assert_eq!(error.code.as_str(), "conflict", "{error}"),
            }
        }
        let end = stack.get(&job.id).await.state;
        assert_eq!(outcomes, [end], "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_client_id_enqueued_at_once_makes_one_job() {
    let stack = Arc::new(TestStack::start().await);
    let id = stack.engine.ids().job_id(stack.engine.now_ms());
    let barrier = Arc::new(Barrier::new(16));
    let racers: Vec<_> = (0..16)
        .map(|_| {
            let (stack, barrier, id) = (Arc::clone(&stack), Arc::clone(&barrier), id.clone());
            tokio::spawn(async move {
                barrier.wait().await;
                let request = json!({"id": id.as_str(), "type": "test", "args": []});
                stack.engine.enqueue(fields(&request)).await
            })
        })
        .collect();
    let mut made = 0;
    for racer in racers {
        match racer.await.unwrap() {
            Ok(_) => made += 1,
            Err(error) => assert_eq!(error.code.as_str(), "duplicate", "{error}"),
        }
    }
    assert_eq!(made, 1);
    let jobs: Vec<Job> = stack.fetch("w", 10).await;
    assert_eq!(jobs.len(), 1, "the duplicates' messages are harmless");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn instances_racing_for_the_first_use_of_a_queue_all_succeed() {
    // As on AWS, a new queue does not answer at once.
    let faults = SqsFaults { new_queue_delay: std::time::Duration::from_millis(300), ..SqsFaults::default() };
    let stack = Arc::new(TestStack::start_with(Settings::default(), faults).await);
    let barrier = Arc::new(Barrier::new(8));
    let mut racers = Vec::new();
    for _ in 0..8 {
        let (engine, _) = stack.instance(3).await;
        let barrier = Arc::clone(&barrier);
        racers.push(tokio::spawn(async move {
            barrier.wait().await;
            let request = json!({"type": "test", "args": []});
            // A sleeper moves the clock on, and with it the queue's first second.
            engine.enqueue(fields(&request)).await
        }));
    }
    for racer in racers {
        racer.await.unwrap().unwrap();
    }
    assert_eq!(stack.fetch("w", 10).await.len(), 8);
    assert_eq!(stack.engine.list_queues(None, 10).await.unwrap().queues.len(), 1);
}
