//! Unique jobs, with each AWS call failing in each way there is.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::crashes::harness::{Scenario, enumerate, failed_well};
use ojs_core::Engine;
use ojs_core::engine::{Ack, Enqueued, Nack, Override};
use ojs_model::job::{Failure, Holder, Job, State};
use ojs_model::json::{Fields, raw};
use ojs_model::{ErrorCode, JobId, Result};
use ojs_testkit::fields;
use serde_json::{Value, json};

fn request(s: &Scenario<'_>, unique: &Value, more: Value) -> Fields {
    let mut options = json!({"queue": s.queue, "unique": unique});
    options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let mut unique = unique.clone();
    unique["keys"] = json!(["type", "queue"]);
    options["unique"] = unique;
    fields(&json!({"type": "test", "args": [1], "options": options}))
}

async fn enqueue(engine: &Engine, s: &Scenario<'_>, unique: Value) -> Result<Enqueued> {
    engine.enqueue(request(s, &unique, json!({}))).await
}

/// The live job of the scenario's key: a new one, or the one that keeps a new one out.
async fn holder(s: &Scenario<'_>) -> JobId {
    match enqueue(&s.stack.engine, s, json!({"on_conflict": "ignore"})).await {
        Ok(made) => made.job.id,
        Err(error) => panic!("{error}"),
    }
}

/// Jobs of the scenario's queue in a state.
async fn states(s: &Scenario<'_>) -> Vec<State> {
    let mut states = Vec::new();
    for id in s.stack.engine.store().newest_jobs(&s.queue, 20).await.unwrap() {
        states.push(s.stack.get(&id).await.state);
    }
    states
}

async fn claimed(s: &Scenario<'_>, more: Value) -> Job {
    s.stack.engine.enqueue(request(s, &json!({}), more)).await.unwrap();
    let fetch = ojs_core::engine::Fetch {
        queues: vec![s.queue.clone()],
        count: 1,
        worker_id: Some("w".into()),
        visibility_ms: Some(30_000),
    };
    let mut jobs = s.stack.engine.fetch(fetch).await.unwrap();
    s.claims(&jobs);
    jobs.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn enqueue_unique() {
    enumerate(async |s| {
        let made = enqueue(&s.engine, &s, json!({})).await;
        s.calm();
        let id = match made {
            Ok(made) => made.job.id,
            Err(error) => {
                failed_well(&error);
                // What a client does. Whether it made the job or finds it there, that one is run.
                holder(&s).await
            }
        };
        s.finish(&id, State::Completed).await;
        assert_eq!(states(&s).await.iter().filter(|state| **state == State::Completed).count(), 1);
        let next = holder(&s).await;
        assert_ne!(next, id, "its lock went with it");
        s.finish(&next, State::Completed).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate() {
    for strategy in ["reject", "ignore"] {
        enumerate(async |s| {
            let first = holder(&s).await;
            let second = enqueue(&s.engine, &s, json!({"on_conflict": strategy})).await;
            s.calm();
            match second {
                Ok(made) => assert_eq!((made.deduplicated, &made.job.id), (true, &first)),
                Err(error) if error.code == ErrorCode::Duplicate => {}
                Err(error) => failed_well(&error),
            }
            s.finish(&first, State::Completed).await;
            assert_eq!(states(&s).await, [State::Completed]);
        })
        .await;
    }
}

/// What was accepted is run, or something accepted in its place is.
#[tokio::test(flavor = "multi_thread")]
async fn replacing() {
    for active in [false, true] {
        enumerate(async |s| {
            let old = if active { claimed(&s, json!({})).await.id } else { holder(&s).await };
            let made = enqueue(&s.engine, &s, json!({"on_conflict": "replace"})).await;
            s.calm();
            match made {
                Ok(made) => {
                    assert_eq!(s.stack.get(&old).await.state, State::Cancelled);
                    s.finish(&made.job.id, State::Completed).await;
                }
                Err(error) => {
                    failed_well(&error);
                    s.drain().await;
                    let states = states(&s).await;
                    let completed = states.iter().filter(|state| **state == State::Completed).count();
                    assert!(completed == 1 && states.iter().all(|state| state.is_terminal()), "{states:?}");
                }
            }
            let next = holder(&s).await;
            s.finish(&next, State::Completed).await;
        })
        .await;
    }
}

/// However a job ends, its key is free afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn ending() {
    for end in ["ack", "nack", "cancel"] {
        enumerate(async |s| {
            let job = claimed(&s, json!({"retry": {"max_attempts": 1}})).await;
            let holder_of = Holder { worker: None, token: job.lease.as_ref().map(|lease| lease.token.clone()) };
            let failure = Failure::parse(&raw(r#"{"code":"x"}"#).unwrap()).unwrap();
            let ended = match end {
                "ack" => s.engine.ack(Ack { id: job.id.clone(), holder: holder_of, result: None }).await.map(|_| ()),
                "nack" => {
                    let nack = Nack { id: job.id.clone(), holder: holder_of, failure: Some(failure), requeue: false };
                    s.engine.nack(nack).await.map(|_| ())
                }
                _ => s.engine.cancel(&job.id).await.map(|_| ()),
            };
            s.calm();
            if let Err(error) = ended {
                failed_well(&error);
            }
            s.drain().await;
            assert!(s.stack.get(&job.id).await.state.is_terminal());
            let lock = s.stack.engine.store().get_lock(&job.unique_key.unwrap()).await.unwrap();
            assert!(lock.is_none(), "{end}: the lock is left");
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retrying_a_unique_dead_letter() {
    enumerate(async |s| {
        let job = claimed(&s, json!({"retry": {"max_attempts": 1, "on_exhaustion": "dead_letter"}})).await;
        let failure = Failure::parse(&raw(r#"{"code":"x"}"#).unwrap()).unwrap();
        let nack = Nack { id: job.id.clone(), holder: Holder::default(), failure: Some(failure), requeue: false };
        s.stack.engine.nack(nack).await.unwrap();
        s.forget_claims();
        let retried = s.engine.retry_dead_letter(&job.id, &Override::default()).await;
        s.calm();
        if let Err(error) = retried {
            failed_well(&error);
            s.stack.engine.retry_dead_letter(&job.id, &Override::default()).await.unwrap();
        }
        s.finish(&job.id, State::Completed).await;
        let next = holder(&s).await;
        assert_ne!(next, job.id);
        s.finish(&next, State::Completed).await;
    })
    .await;
}
