//! A crash or a lost answer at each AWS call of each operation, enumerated: afterwards redelivery and the repetition of
//! the request finish the work, and I1 to I5 hold.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "crash/harness.rs"]
mod harness;

use harness::{Scenario, enumerate};
use ojs_core::engine::{Ack, Fetch, Heartbeat, Nack, Override, TickBudget};
use ojs_core::job::{Failure, Holder, Job, State};
use ojs_core::json::raw;
use ojs_core::{Error, ErrorCode, JobId, Result};
use ojs_testkit::fields;
use serde_json::json;

fn token(job: &Job) -> Holder {
    Holder { worker: None, token: job.lease.as_ref().map(|lease| lease.token.clone()) }
}

fn failure() -> Option<Failure> {
    Some(Failure::parse(&raw(r#"{"code":"x","message":"m"}"#).unwrap()).unwrap())
}

fn fetch(queue: &str) -> Fetch {
    Fetch { queues: vec![queue.to_owned()], count: 1, worker_id: Some("w".into()), visibility_ms: Some(30_000) }
}

/// Enqueues on the undisturbed instance and claims the job for worker `w`.
async fn claimed(s: &Scenario<'_>, options: serde_json::Value) -> Job {
    enqueued(s, options).await;
    let mut jobs = s.stack.engine.fetch(fetch(&s.queue)).await.unwrap();
    s.claims(&jobs);
    jobs.remove(0)
}

async fn enqueued(s: &Scenario<'_>, mut options: serde_json::Value) -> Job {
    options["queue"] = json!(s.queue);
    let request = json!({"type": "test", "args": [1], "options": options});
    s.stack.engine.enqueue(fields(&request)).await.unwrap()
}

/// Only AWS's failures may come of AWS's failures.
fn failed_well(error: &Error) {
    let expected = matches!(error.code, ErrorCode::RateLimited | ErrorCode::BackendUnavailable);
    assert!(expected && error.retry_after_s.is_some(), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn enqueue() {
    enumerate(async |s| {
        let request = json!({"type": "test", "args": [1], "options": {"queue": s.queue}});
        let made = s.engine.enqueue(fields(&request)).await;
        s.calm();
        match made {
            Ok(job) => s.finish(&job.id, State::Completed).await,
            Err(error) => {
                failed_well(&error);
                s.drain().await;
                // Not answered: the job is not there, or was done, or waits for the audit because its process died.
                for id in s.stack.engine.store().newest_jobs(&s.queue, 10).await.unwrap() {
                    let state = s.stack.get(&id).await.state;
                    assert!(state == State::Completed || s.died(), "a refused enqueue left a job {state}");
                }
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn enqueue_with_a_client_id_can_be_repeated() {
    enumerate(async |s| {
        let id = s.stack.engine.ids().job_id(s.stack.engine.now_ms());
        let request =
            || fields(&json!({"id": id.as_str(), "type": "test", "args": [1], "options": {"queue": s.queue}}));
        let made = s.engine.enqueue(request()).await;
        s.calm();
        if let Err(error) = made {
            failed_well(&error);
            // What a client does: it sends the same again until it is told that the job is there.
            match s.stack.engine.enqueue(request()).await {
                Ok(_) => {}
                Err(error) => assert_eq!(error.code, ErrorCode::Duplicate, "{error}"),
            }
        }
        s.finish(&id, State::Completed).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn enqueue_for_later() {
    enumerate(async |s| {
        let options = json!({"queue": s.queue, "scheduled_at": "+PT2H"});
        let made = s.engine.enqueue(fields(&json!({"type": "test", "args": [1], "options": options}))).await;
        s.calm();
        match made {
            Ok(job) => s.finish(&job.id, State::Completed).await,
            Err(error) => {
                failed_well(&error);
                s.drain().await;
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fetching() {
    enumerate(async |s| {
        let job = enqueued(&s, json!({})).await;
        let fetched = s.engine.fetch(fetch(&s.queue)).await;
        s.calm();
        match fetched {
            Ok(jobs) => s.claims(&jobs),
            Err(error) => failed_well(&error),
        }
        s.finish(&job.id, State::Completed).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fetching_a_lapsed_job() {
    enumerate(async |s| {
        let job = claimed(&s, json!({})).await;
        s.stack.clock.advance_ms(31_000);
        let fetched = s.engine.fetch(fetch(&s.queue)).await;
        s.calm();
        match fetched {
            Ok(jobs) => s.claims(&jobs),
            Err(error) => failed_well(&error),
        }
        s.finish(&job.id, State::Completed).await;
        assert!(s.stack.get(&job.id).await.errors.iter().all(|e| e.error_type == "visibility_timeout"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fetching_an_expired_job() {
    enumerate(async |s| {
        let job = enqueued(&s, json!({"expires_at": "+PT5S"})).await;
        s.stack.clock.advance_ms(6_000);
        match s.engine.fetch(fetch(&s.queue)).await {
            Ok(jobs) => assert!(jobs.is_empty()),
            Err(error) => failed_well(&error),
        }
        s.calm();
        s.finish(&job.id, State::Discarded).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acking() {
    enumerate(async |s| {
        let job = claimed(&s, json!({})).await;
        let ack = || Ack { id: job.id.clone(), holder: token(&job), result: Some(raw("{\"r\":1}").unwrap()) };
        let acked = s.engine.ack(ack()).await;
        s.calm();
        if let Err(error) = acked {
            failed_well(&error);
            s.stack.engine.ack(ack()).await.unwrap();
        }
        s.finish(&job.id, State::Completed).await;
        let done = s.stack.get(&job.id).await;
        assert_eq!((done.attempt, done.result.unwrap().get()), (1, "{\"r\":1}"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acking_without_a_token_is_never_refused_for_its_own_effect() {
    enumerate(async |s| {
        let job = claimed(&s, json!({})).await;
        let acked = s.engine.ack(Ack { id: job.id.clone(), holder: Holder::default(), result: None }).await;
        s.calm();
        if let Err(error) = acked {
            failed_well(&error);
        }
        s.finish(&job.id, State::Completed).await;
    })
    .await;
}

async fn nacking(options: serde_json::Value, requeue: bool, outcome: State, end: State) {
    enumerate(async |s| {
        let job = claimed(&s, options.clone()).await;
        let nack = || Nack {
            id: job.id.clone(),
            holder: token(&job),
            failure: if requeue { None } else { failure() },
            requeue,
        };
        let answer = match s.engine.nack(nack()).await {
            Ok(answer) => {
                s.calm();
                answer
            }
            Err(error) => {
                s.calm();
                failed_well(&error);
                s.stack.engine.nack(nack()).await.unwrap()
            }
        };
        assert_eq!(answer.state, outcome);
        s.finish(&job.id, end).await;
        let after = s.stack.get(&job.id).await;
        assert_eq!(after.errors.len(), usize::from(!requeue), "the failure is noted once");
        assert_eq!(after.attempt, if end == State::Completed { 2 } else { 1 });
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nacking_for_a_retry() {
    nacking(json!({}), false, State::Retryable, State::Completed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nacking_for_a_late_retry() {
    let retry = json!({"retry": {"initial_interval": "PT1H", "jitter": false}});
    nacking(retry, false, State::Retryable, State::Completed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nacking_the_last_attempt() {
    nacking(json!({"retry": {"max_attempts": 1}}), false, State::Discarded, State::Discarded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn giving_a_job_back() {
    nacking(json!({}), true, State::Available, State::Completed).await;
}

async fn cancelling(active: bool) {
    enumerate(async |s| {
        let job = if active { claimed(&s, json!({})).await } else { enqueued(&s, json!({})).await };
        let cancelled = s.engine.cancel(&job.id).await;
        s.calm();
        if let Err(error) = cancelled {
            failed_well(&error);
            match s.stack.engine.cancel(&job.id).await {
                Ok(job) => assert_eq!(job.state, State::Cancelled),
                Err(error) => assert_eq!(error.details["current_state"], "cancelled"),
            }
        }
        s.finish(&job.id, State::Cancelled).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_an_available_job() {
    cancelling(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_an_active_job() {
    cancelling(true).await;
}

/// A dead letter in the scenario's queue.
async fn dead(s: &Scenario<'_>) -> JobId {
    let job = claimed(s, json!({"retry": {"max_attempts": 1, "on_exhaustion": "dead_letter"}})).await;
    let nack = Nack { id: job.id.clone(), holder: token(&job), failure: failure(), requeue: false };
    s.stack.engine.nack(nack).await.unwrap();
    s.forget_claims();
    job.id
}

#[tokio::test(flavor = "multi_thread")]
async fn retrying_a_dead_letter() {
    enumerate(async |s| {
        let id = dead(&s).await;
        let retried = s.engine.retry_dead_letter(&id, &Override::default()).await;
        s.calm();
        if let Err(error) = retried {
            failed_well(&error);
            s.stack.engine.retry_dead_letter(&id, &Override::default()).await.unwrap();
        }
        s.finish(&id, State::Completed).await;
        assert_eq!(s.stack.get(&id).await.attempt, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn moving_a_dead_letter_to_another_queue() {
    enumerate(async |s| {
        let id = dead(&s).await;
        let elsewhere = format!("{}.else", s.queue);
        let change = || Override::parse(fields(&json!({"override": {"queue": elsewhere}}))).unwrap();
        let retried = s.engine.retry_dead_letter(&id, &change()).await;
        s.calm();
        if let Err(error) = retried {
            failed_well(&error);
            s.stack.engine.retry_dead_letter(&id, &change()).await.unwrap();
        }
        s.finish(&id, State::Completed).await;
        assert_eq!(s.stack.get(&id).await.queue, elsewhere);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_dead_letter() {
    enumerate(async |s| {
        let id = dead(&s).await;
        let deleted = s.engine.delete_dead_letter(&id).await;
        s.calm();
        if let Err(error) = deleted {
            failed_well(&error);
            match s.stack.engine.delete_dead_letter(&id).await {
                Ok(()) => {}
                Err(error) => assert_eq!(error.code, ErrorCode::NotFound),
            }
        }
        assert_eq!(s.stack.engine.get(&id).await.unwrap_err().code, ErrorCode::NotFound);
        s.drain().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn activating() {
    enumerate(async |s| {
        let job = enqueued(&s, json!({"pending": true})).await;
        let activated = s.engine.activate(&job.id).await;
        s.calm();
        if let Err(error) = activated {
            failed_well(&error);
            match s.stack.engine.activate(&job.id).await {
                Ok(_) => {}
                Err(error) => assert_eq!(error.code, ErrorCode::Conflict),
            }
        }
        s.finish(&job.id, State::Completed).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beating() {
    enumerate(async |s| {
        let job = claimed(&s, json!({})).await;
        let beat = Heartbeat { worker_id: "w".into(), jobs: vec![(job.id.clone(), None)], visibility_ms: None };
        let beaten = s.engine.heartbeat(beat).await;
        s.calm();
        match beaten {
            Ok(beaten) => assert_eq!(beaten.extended, std::slice::from_ref(&job.id)),
            Err(error) => failed_well(&error),
        }
        s.finish(&job.id, State::Completed).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn promoting() {
    enumerate(async |s| {
        let job = enqueued(&s, json!({"scheduled_at": "+PT1H"})).await;
        s.stack.clock.advance_ms(3_500_000);
        let promoted: Result<_> = s.engine.promote(TickBudget::UNLIMITED).await;
        s.calm();
        if let Err(error) = promoted {
            failed_well(&error);
        }
        s.finish(&job.id, State::Completed).await;
        let done = s.stack.get(&job.id).await;
        assert!(done.started_at.unwrap() >= done.scheduled_at.unwrap().at_ms, "never early");
    })
    .await;
}
