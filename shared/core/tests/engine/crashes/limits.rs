//! Fetching and ending jobs under rate limits, with each AWS call failing in each way there is.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::crashes::harness::{Scenario, enumerate, failed_well};
use ojs_core::engine::{Ack, Fetch, TickBudget};
use ojs_model::job::{Holder, Job, State};
use ojs_testkit::fields;
use serde_json::json;

fn fetch(queue: &str) -> Fetch {
    Fetch { queues: vec![queue.to_owned()], count: 1, worker_id: Some("w".into()), visibility_ms: Some(30_000) }
}

/// One slot, and a rate that nobody reaches.
async fn enqueued(s: &Scenario<'_>) -> Job {
    let policy = json!({"key": s.queue, "concurrency": 1, "rate": {"limit": 100, "period": "PT1S"}});
    let request = json!({"type": "test", "args": [], "options": {"queue": s.queue, "rate_limit": policy}});
    s.stack.engine.enqueue(fields(&request)).await.unwrap().job
}

/// Whatever went wrong, the slot is free in the end, and both jobs were run, one after the other.
async fn both_run(s: &Scenario<'_>, first: &Job) {
    let second = enqueued(s).await;
    s.finish(&first.id, State::Completed).await;
    assert_eq!(s.stack.get(&second.id).await.state, State::Completed);
    let key = ojs_model::limit::LimitKey::parse(&s.queue).unwrap();
    let state = s.stack.engine.get_limit(&key).await.unwrap();
    let now = s.stack.engine.now_ms();
    assert!(state.holders.values().all(|until| *until <= now), "{:?}", state.holders);
}

#[tokio::test(flavor = "multi_thread")]
async fn fetching_a_limited_job() {
    enumerate(async |s| {
        let job = enqueued(&s).await;
        let fetched = s.engine.fetch(fetch(&s.queue)).await;
        s.calm();
        s.fetched(fetched);
        both_run(&s, &job).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acking_a_limited_job() {
    enumerate(async |s| {
        let job = enqueued(&s).await;
        let jobs = s.stack.engine.fetch(fetch(&s.queue)).await.unwrap();
        s.claims(&jobs);
        let token = jobs[0].lease.as_ref().map(|lease| lease.token.clone());
        let ack = Ack { id: job.id.clone(), holder: Holder { worker: None, token }, result: None };
        let acked = s.engine.ack(ack).await;
        s.calm();
        if let Err(error) = acked {
            failed_well(&error);
        }
        both_run(&s, &job).await;
    })
    .await;
}

/// The first of two jobs runs, and the second one has been refused `times`.
async fn refused(s: &Scenario<'_>, times: usize) -> (Job, Job) {
    let first = enqueued(s).await;
    let jobs = s.stack.engine.fetch(fetch(&s.queue)).await.unwrap();
    assert_eq!(jobs[0].id, first.id);
    s.claims(&jobs);
    let second = enqueued(s).await;
    for _ in 0..times {
        assert!(s.stack.engine.fetch(fetch(&s.queue)).await.unwrap().is_empty());
        s.stack.clock.advance_ms(1_000);
    }
    (jobs.into_iter().next().unwrap(), second)
}

fn ack_of(job: &Job) -> Ack {
    let token = job.lease.as_ref().map(|lease| lease.token.clone());
    Ack { id: job.id.clone(), holder: Holder { worker: None, token }, result: None }
}

async fn is_parked(s: &Scenario<'_>, job: &Job) -> bool {
    s.stack.get(&job.id).await.parked.is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn parking_a_job() {
    enumerate(async |s| {
        let (first, second) = refused(&s, 2).await;
        let fetched = s.engine.fetch(fetch(&s.queue)).await;
        s.calm();
        match fetched {
            Ok(jobs) => assert!(jobs.is_empty()),
            Err(error) => failed_well(&error),
        }
        s.stack.engine.ack(ack_of(&first)).await.unwrap();
        s.finish(&second.id, State::Completed).await;
    })
    .await;
}

/// The slot is freed while the job is being parked.
#[tokio::test(flavor = "multi_thread")]
async fn parking_a_job_as_its_slot_is_freed() {
    enumerate(async |s| {
        let (first, second) = refused(&s, 2).await;
        let (fetched, acked) = futures::join!(s.engine.fetch(fetch(&s.queue)), s.stack.engine.ack(ack_of(&first)));
        s.calm();
        acked.unwrap();
        s.fetched(fetched);
        s.finish(&second.id, State::Completed).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn releasing_a_parked_job() {
    enumerate(async |s| {
        let (first, second) = refused(&s, 3).await;
        assert!(is_parked(&s, &second).await);
        let acked = s.engine.ack(ack_of(&first)).await;
        s.calm();
        if let Err(error) = acked {
            failed_well(&error);
        }
        s.finish(&second.id, State::Completed).await;
        assert_eq!(s.stack.get(&first.id).await.state, State::Completed);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn starting_a_parked_job() {
    enumerate(async |s| {
        let (first, second) = refused(&s, 3).await;
        s.stack.engine.ack(ack_of(&first)).await.unwrap();
        let fetched = s.engine.fetch(fetch(&s.queue)).await;
        s.calm();
        s.fetched(fetched);
        s.finish(&second.id, State::Completed).await;
    })
    .await;
}

/// The tick's own look, for a limit whose room only the clock makes.
#[tokio::test(flavor = "multi_thread")]
async fn looking_at_parked_jobs() {
    enumerate(async |s| {
        let policy = json!({"key": s.queue, "rate": {"limit": 1, "period": "PT10M"}});
        let request = json!({"type": "test", "args": [], "options": {"queue": s.queue, "rate_limit": policy}});
        let engine = &s.stack.engine;
        let jobs =
            [engine.enqueue(fields(&request)).await.unwrap().job, engine.enqueue(fields(&request)).await.unwrap().job];
        let mut started = None;
        for _ in 0..4 {
            for job in engine.fetch(Fetch { count: 10, ..fetch(&s.queue) }).await.unwrap() {
                s.claims(std::slice::from_ref(&job));
                engine.ack(ack_of(&job)).await.unwrap();
                started = Some(job.id);
            }
            s.stack.clock.advance_ms(60_000);
        }
        let second = jobs.iter().find(|job| Some(&job.id) != started.as_ref()).unwrap();
        assert!(is_parked(&s, second).await);
        s.stack.clock.advance_ms(330_000);
        let looked = s.engine.send_due(TickBudget::UNLIMITED).await;
        s.calm();
        if let Err(error) = looked {
            failed_well(&error);
        }
        s.finish(&second.id, State::Completed).await;
    })
    .await;
}
