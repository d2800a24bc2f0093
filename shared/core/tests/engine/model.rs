//! The store's updates do what the pure state machine says: random lives of a job, lived by the engine on the embedded
//! stack and by `step` beside it, show the same job after every event.
#![allow(clippy::unwrap_used, missing_docs)]

use fastrand::Rng;
use ojs_core::Engine;
use ojs_core::engine::{Ack, Fetch, Heartbeat, Nack};
use ojs_model::job::{Event, Failure, Holder, Job, State, step};
use ojs_model::json::raw;
use ojs_model::{Error, ErrorCode};
use ojs_testkit::{TestStack, fields};
use serde_json::{Value, json};

const LIVES: u64 = 60;
const EVENTS: usize = 14;

/// What both sides must agree on; the revision and what the transport keeps are the store's own.
fn face(job: &Job) -> Value {
    let mut shown = serde_json::to_value(job.shown(true)).unwrap();
    // The model ends a lapsed lease when it looks; the store when it writes.
    shown["ended"] = json!(job.state == State::Completed && job.ended_lease.is_some());
    shown
}

fn failure(rng: &mut Rng) -> Failure {
    let text = match rng.u8(..5) {
        0 => r#"{"code":"x","retryable":false}"#,
        1 => r#"{"code":"DEAD_LETTER","message":"m"}"#,
        2 => r#"{"type":"Fatal"}"#,
        _ => r#"{"code":"x","message":"m","details":{"error_class":"E"}}"#,
    };
    Failure::parse(&raw(text).unwrap()).unwrap()
}

fn options(rng: &mut Rng, queue: &str) -> Value {
    let mut options = match rng.u8(..6) {
        0 => json!({"timeout_ms": 20_000}),
        1 => json!({"expires_at": "+PT1M"}),
        2 => json!({"pending": true}),
        3 => json!({"scheduled_at": "+PT10S", "visibility_timeout_ms": 5_000}),
        _ => json!({}),
    };
    options["queue"] = json!(queue);
    options["retry"] = json!({"max_attempts": rng.u32(1..4), "on_exhaustion": "dead_letter",
                              "non_retryable_errors": ["Fatal"]});
    options
}

fn holder(rng: &mut Rng, job: &Job) -> Holder {
    let token = job.lease.as_ref().map(|lease| lease.token.clone()).or(job.ended_lease.clone());
    match rng.u8(..4) {
        0 => Holder::default(),
        1 => Holder { worker: worker(rng), token: None },
        2 => Holder { worker: None, token: Some("a stranger's".into()) },
        _ => Holder { worker: job.lease.as_ref().and_then(|lease| lease.worker.clone()), token },
    }
}

/// One of two workers, or one that does not say its name.
fn worker(rng: &mut Rng) -> Option<String> {
    [None, Some("v"), Some("w")][rng.usize(..3)].map(str::to_owned)
}

/// Both workers live: the engine takes an ack of a worker whose predecessors are silent, of which the pure state machine knows nothing.
async fn all_live(engine: &Engine) {
    for worker in ["v", "w"] {
        engine.heartbeat(Heartbeat { worker_id: worker.into(), jobs: vec![], visibility_ms: None }).await.unwrap();
    }
}

/// Whether the engine's refusal is one, and not a failure.
fn refused<T>(answer: Result<T, Error>) -> bool {
    answer.is_err_and(|error| {
        assert_eq!(error.code, ErrorCode::Conflict, "{error}");
        true
    })
}

async fn live(stack: &TestStack, seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let queue = format!("life.{seed}");
    let request = json!({"type": "t", "args": [1.50], "options": options(&mut rng, &queue)});
    let mut model = stack.engine.enqueue(fields(&request)).await.unwrap().job;
    let (engine, id) = (&stack.engine, model.id.clone());
    for i in 0..EVENTS {
        stack.clock.advance_ms(rng.u64(..12_000));
        let now = engine.now_ms();
        let before = model.as_of(now).into_owned();
        let event = match rng.u8(..9) {
            0..=2 => {
                let visibility_ms = rng.bool().then_some(15_000);
                let fetch = Fetch { queues: vec![queue.clone()], count: 1, worker_id: worker(&mut rng), visibility_ms };
                // The fetch may wait for the job; the model must be asked as of then. The message may also rest for a
                // second yet, and then nobody is claimed.
                let claimed = engine.fetch(fetch).await.unwrap().pop();
                claimed.map(|job| Event::Claim(job.lease.unwrap()))
            }
            3 => Some(Event::Ack { holder: holder(&mut rng, &before), result: Some(raw("[1.0]").unwrap()) }),
            4 | 5 => Some(Event::Nack { holder: holder(&mut rng, &before), failure: failure(&mut rng) }),
            6 => Some(Event::Requeue { holder: holder(&mut rng, &before), failure: None }),
            7 => Some(Event::Heartbeat { holder: Holder { worker: Some("w".into()), token: None }, duration_ms: None }),
            _ => Some(if rng.u8(..4) == 0 { Event::Cancel } else { Event::Activate }),
        };
        let now = engine.now_ms();
        if let Some(event) = event {
            let expected = step(&model, event.clone(), now);
            let repeated = matches!(expected, Err(ojs_model::job::Refusal::Repeated));
            let was_refused = match event {
                Event::Claim(_) => false,
                Event::Ack { holder, result } => {
                    all_live(engine).await;
                    refused(engine.ack(Ack { id: id.clone(), holder, result }).await)
                }
                Event::Nack { holder, failure } => {
                    let nack = Nack { id: id.clone(), holder, failure: Some(failure), requeue: false };
                    refused(engine.nack(nack).await)
                }
                Event::Requeue { holder, .. } => {
                    refused(engine.nack(Nack { id: id.clone(), holder, failure: None, requeue: true }).await)
                }
                Event::Heartbeat { .. } => {
                    let beat = Heartbeat { worker_id: "w".into(), jobs: vec![(id.clone(), None)], visibility_ms: None };
                    let beaten = engine.heartbeat(beat).await;
                    beaten.as_ref().is_ok_and(|beaten| beaten.extended.is_empty()) || refused(beaten)
                }
                Event::Cancel => refused(engine.cancel(&id).await),
                Event::Activate => refused(engine.activate(&id).await),
                Event::RetryDead | Event::Retry | Event::Unclaim { .. } => unreachable!("not drawn"),
            };
            assert_eq!(was_refused, expected.is_err() && !repeated, "seed {seed}, event {i}: {expected:?}");
            if let Ok(change) = expected {
                model = change.job;
            }
        }
        let stored = engine.get(&id).await.unwrap();
        assert_eq!(face(&stored), face(&model.as_of(now)), "seed {seed}, event {i}");
    }
}

#[tokio::test]
async fn the_engine_lives_as_the_state_machine_says() {
    let stack = TestStack::start().await;
    for seed in 0..LIVES {
        live(&stack, seed).await;
    }
    stack.stop().await;
}
