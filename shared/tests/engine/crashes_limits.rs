//! Fetching and ending jobs under rate limits, with each AWS call failing in each way there is.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::crash::harness::{Scenario, enumerate, failed_well};
use ojs_core::engine::{Ack, Fetch};
use ojs_core::job::{Holder, Job, State};
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
    let key = ojs_core::limit::LimitKey::parse(&s.queue).unwrap();
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
        match fetched {
            Ok(jobs) => s.claims(&jobs),
            Err(error) => failed_well(&error),
        }
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
