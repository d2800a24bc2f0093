//! A job's life on FIFO queues, with each AWS call failing in each way there is: a group never stops for good.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::crashes::harness::{Scenario, enumerate_with, failed_well};
use ojs_core::engine::{Ack, Fetch, Nack};
use ojs_core::{Engine, Settings};
use ojs_model::ErrorCode;
use ojs_model::job::{Failure, Holder, Job, State};
use ojs_model::json::raw;
use ojs_testkit::fields;
use serde_json::json;

fn fifo() -> Settings {
    Settings { fifo: true, ..Settings::default() }
}

fn fetch(queue: &str) -> Fetch {
    Fetch { queues: vec![queue.to_owned()], count: 1, worker_id: Some("w".into()), visibility_ms: Some(30_000) }
}

async fn enqueued(s: &Scenario<'_>) -> Job {
    let request = json!({"type": "test", "args": [], "options": {"queue": s.queue}});
    s.stack.engine.enqueue(fields(&request)).await.unwrap().job
}

/// Whatever became of the first, the second is run in the end.
async fn the_group_goes_on(s: &Scenario<'_>) {
    let next = enqueued(s).await;
    s.finish(&next.id, State::Completed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn enqueueing() {
    enumerate_with(fifo(), async |s| {
        let request = json!({"type": "test", "args": [], "options": {"queue": s.queue}});
        let made = s.engine.enqueue(fields(&request)).await;
        s.calm();
        match made {
            Ok(made) => s.finish(&made.job.id, State::Completed).await,
            Err(error) => failed_well(&error),
        }
        the_group_goes_on(&s).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fetching() {
    enumerate_with(fifo(), async |s| {
        let job = enqueued(&s).await;
        s.fetched(s.engine.fetch(fetch(&s.queue)).await);
        s.calm();
        the_group_goes_on(&s).await;
        assert_eq!(s.stack.get(&job.id).await.state, State::Completed);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ending() {
    for end in ["ack", "retry", "requeue", "discard", "cancel"] {
        enumerate_with(fifo(), async |s| {
            let job = enqueued(&s).await;
            let jobs = s.stack.engine.fetch(fetch(&s.queue)).await.unwrap();
            s.claims(&jobs);
            let holder = Holder { worker: None, token: jobs[0].lease.as_ref().map(|lease| lease.token.clone()) };
            let retryable = if end == "retry" { "true" } else { "false" };
            let failure = Failure::parse(&raw(format!(r#"{{"code":"x","retryable":{retryable}}}"#)).unwrap()).unwrap();
            let nack = Nack { id: job.id.clone(), holder: holder.clone(), failure: Some(failure), requeue: false };
            let ended = match end {
                "ack" => Box::pin(s.engine.ack(Ack { id: job.id.clone(), holder, result: None })).await.map(|_| ()),
                "cancel" => Box::pin(s.engine.cancel(&job.id)).await.map(|_| ()),
                "requeue" => Box::pin(s.engine.nack(Nack { failure: None, requeue: true, ..nack })).await.map(|_| ()),
                _ => Box::pin(s.engine.nack(nack)).await.map(|_| ()),
            };
            s.calm();
            if let Err(error) = ended {
                failed_well(&error);
            }
            the_group_goes_on(&s).await;
            assert!(s.stack.get(&job.id).await.state.is_terminal(), "{end}");
        })
        .await;
    }
}

/// A repeated nack or ack finds the message that its group waits for: the group goes on long before the lease would have
/// ended. A request that was answered need not be repeated.
#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_end_frees_the_group_at_once() {
    for end in ["ack", "nack", "requeue", "cancel"] {
        enumerate_with(fifo(), async |s| {
            let job = enqueued(&s).await;
            let next = enqueued(&s).await;
            let claimed = s.stack.engine.fetch(fetch(&s.queue)).await.unwrap().remove(0);
            assert_eq!(claimed.id, job.id);
            let holder = Holder { worker: None, token: claimed.lease.as_ref().map(|lease| lease.token.clone()) };
            let failure = (end == "nack").then(|| Failure::parse(&raw(r#"{"code":"x"}"#).unwrap()).unwrap());
            let nack = Nack { id: job.id.clone(), holder: holder.clone(), failure, requeue: end == "requeue" };
            let ended = async |engine: &Engine| match end {
                "ack" => {
                    let ack = Ack { id: job.id.clone(), holder: holder.clone(), result: None };
                    Box::pin(engine.ack(ack)).await.map(|_| ())
                }
                "cancel" => Box::pin(engine.cancel(&job.id)).await.map(|_| ()),
                _ => Box::pin(engine.nack(nack.clone())).await.map(|_| ()),
            };
            let first = ended(&s.engine).await;
            s.calm();
            if first.is_err()
                && let Err(error) = ended(&s.stack.engine).await
            {
                assert!(end == "cancel" && error.code == ErrorCode::Conflict, "{error}");
            }
            // Longer than the delay of the retry, and a tenth of the lease.
            s.stack.clock.advance_ms(3_000);
            let fetched = s.stack.engine.fetch(fetch(&s.queue)).await.unwrap();
            let wanted = if matches!(end, "nack" | "requeue") { &job.id } else { &next.id };
            assert_eq!(fetched.iter().map(|job| &job.id).collect::<Vec<_>>(), [wanted], "{end}: {:?}", s.plan());
        })
        .await;
    }
}
