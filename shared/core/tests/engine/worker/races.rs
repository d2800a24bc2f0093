//! I2: each attempt of a job is claimed by exactly one worker, however many race and however SQS delivers.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ojs_core::Settings;
use ojs_core::engine::{Ack, Nack};
use ojs_emulators::SqsFaults;
use ojs_model::JobId;
use ojs_model::job::{Failure, Holder, Job, State};
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
                let failure = Failure::parse(&ojs_model::json::raw(r#"{"code":"x"}"#).unwrap()).unwrap();
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
                            let failure = Failure::parse(&ojs_model::json::raw(r#"{"code":"x"}"#).unwrap()).unwrap();
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

/// One cron job, eight instances that tick and fetch at once, occurrence after occurrence: each makes one job.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cron_ticks_and_fetches_race_and_every_occurrence_makes_one_job() {
    const SECONDS: i64 = 20;
    for policy in ["allow", "skip"] {
        // Deliveries come twice, so that fetches race with each other as well.
        let faults = SqsFaults { duplicate_delivery: 0.5, ..SqsFaults::default() };
        let stack = Arc::new(TestStack::start_with(Settings::default(), faults).await);
        stack.register("raced", "* * * * * *", json!({"overlap_policy": policy})).await;
        let start = stack.engine.now_ms();
        let mut instances = Vec::new();
        for _ in 0..8 {
            instances.push(stack.instance(3).await.0);
        }
        let mut done: Vec<Job> = Vec::new();
        // Later three at a time, so that several occurrences are due at once.
        for second in (1..=SECONDS).chain((SECONDS + 3..=SECONDS + 30).step_by(3)) {
            stack.go_to((start + second * 1_000).max(stack.engine.now_ms()));
            let barrier = Arc::new(Barrier::new(instances.len()));
            let racers: Vec<_> = instances
                .iter()
                .enumerate()
                .map(|(i, engine)| {
                    let (engine, barrier, stack) = (Arc::clone(engine), Arc::clone(&barrier), Arc::clone(&stack));
                    tokio::spawn(async move {
                        barrier.wait().await;
                        if i < 4 {
                            engine.cron_tick(ojs_core::engine::TickBudget::UNLIMITED).await.unwrap();
                            return Vec::new();
                        }
                        let jobs = engine.fetch(stack.fetch_request(&format!("w{i}"), 3)).await.unwrap();
                        for job in &jobs {
                            stack.ack(&job.id).await.unwrap();
                        }
                        jobs
                    })
                })
                .collect();
            for racer in racers {
                done.extend(racer.await.unwrap());
            }
        }
        let over = stack.engine.get_cron("raced").await.unwrap();
        stack.engine.set_cron_enabled("raced", false).await.unwrap();
        for _ in 0..5 {
            for job in stack.fetch("last", 50).await {
                stack.ack(&job.id).await.unwrap();
                done.push(job);
            }
            stack.clock.advance_ms(1_000);
        }
        let cron = stack.engine.get_cron("raced").await.unwrap();
        let mut times: Vec<i64> = done.iter().map(|job| job.cron.as_ref().unwrap().at_ms).collect();
        times.sort_unstable();
        let each_once = times.windows(2).all(|pair| pair[0] < pair[1]);
        assert!(each_once && done.iter().all(|job| job.attempt == 1), "an occurrence made two jobs: {times:?}");
        assert_eq!((times.len() as u64, policy), (cron.run_count, policy));
        if policy == "allow" {
            let expected: Vec<i64> = (1..=SECONDS).map(|second| start + second * 1_000).collect();
            // A fetch may have waited for the next second.
            assert_eq!(times[..expected.len()], expected);
        } else {
            let passed = (over.next_run_at.unwrap() - start) / 1_000 - 1;
            assert_eq!(over.run_count + over.skip_count, u64::try_from(passed).unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn registrations_of_one_name_at_once_make_one_cron_job() {
    let stack = Arc::new(TestStack::start().await);
    let barrier = Arc::new(Barrier::new(12));
    let mut racers = Vec::new();
    for i in 0..12 {
        let (engine, _) = stack.instance(3).await;
        let barrier = Arc::clone(&barrier);
        racers.push(tokio::spawn(async move {
            barrier.wait().await;
            let request = json!({"name": "one", "expression": "*/5 * * * *", "type": "test", "args": [i % 2]});
            engine.register_cron(fields(&request)).await
        }));
    }
    let mut created = 0;
    for racer in racers {
        match racer.await.unwrap() {
            Ok(registered) => created += usize::from(registered.created),
            // So much contention is not worth more tries.
            Err(error) => assert_eq!(error.code.as_str(), "backend_unavailable", "{error}"),
        }
    }
    assert_eq!(created, 1);
    assert_eq!(
        stack
            .engine
            .list_crons(ojs_core::engine::CronQuery { limit: 10, ..Default::default() })
            .await
            .unwrap()
            .crons
            .len(),
        1
    );
    let due = stack.engine.get_cron("one").await.unwrap().next_run_at.unwrap();
    stack.go_to(due);
    assert_eq!(stack.fetch("w", 10).await.len(), 1);
}
