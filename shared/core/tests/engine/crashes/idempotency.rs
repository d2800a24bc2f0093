//! Idempotency keys of enqueues and workflows: whatever dies, a repetition makes nothing twice and gets one answer.
#![allow(clippy::unwrap_used, missing_docs)]

use ojs_core::Engine;
use ojs_core::engine::{BulkAnswer, TickBudget};
use ojs_model::batch::OPEN_MS;
use ojs_model::bulk::IdempotencyKey;
use ojs_model::job::State;
use ojs_model::{Error, ErrorCode, JobId, Result};
use ojs_testkit::{TestStack, fields};
use serde_json::{Value, json};

use crate::crashes::harness::{Scenario, enumerate, failed_well};

/// How long a run may take before it is taken for dead, ms.
const RUN_MS: u64 = OPEN_MS as u64;

fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::parse("Idempotency-Key", text.to_owned()).unwrap()
}

fn body(answer: &BulkAnswer) -> Value {
    serde_json::from_str(&answer.answer.body).unwrap()
}

fn refused_well(error: &Error) {
    if error.code == ErrorCode::Conflict {
        assert_eq!(error.details["reason"], "under_way", "{error}");
        assert!(error.retry_after_s.is_some());
    } else {
        failed_well(error);
    }
}

/// What a client does: it sends the same again until it has its answer.
async fn insisting(
    s: &Scenario<'_>,
    request: impl AsyncFn(&Engine) -> Result<(Value, bool)>,
) -> (Option<Value>, Value) {
    let first = request(&s.engine).await.inspect_err(refused_well).ok();
    s.calm();
    let soon = request(&s.stack.engine).await.inspect_err(refused_well).ok();
    s.stack.clock.advance_ms(RUN_MS);
    s.stack.engine.send_due(TickBudget::UNLIMITED).await.unwrap();
    let (last, _) = request(&s.stack.engine).await.unwrap();
    let (again, replayed) = request(&s.stack.engine).await.unwrap();
    assert!(replayed && again == last, "{:?}", s.plan());
    for (earlier, _) in [&first, &soon].into_iter().flatten() {
        assert_eq!(*earlier, last, "{:?}: two answers", s.plan());
    }
    (first.map(|(answer, _)| answer), last)
}

/// There are these jobs in the scenario's queue, and no others.
async fn only(s: &Scenario<'_>, ids: &[&Value]) {
    let mut there = s.stack.engine.store().newest_jobs(&s.queue, 100).await.unwrap();
    // Those of a run that crashed may stay until a tick, but no worker sees them.
    let mut seen = Vec::new();
    for id in there.drain(..) {
        if s.stack.engine.get(&id).await.is_ok() {
            seen.push(id.to_string());
        }
    }
    let mut wanted: Vec<String> = ids.iter().map(|id| id.as_str().unwrap().to_owned()).collect();
    seen.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(seen, wanted, "{:?}", s.plan());
}

/// One job, with these options beside its queue.
async fn one_keyed(options: Value) {
    enumerate(async |s| {
        let mut request = json!({"type": "test", "args": [1], "options": options});
        request["options"]["queue"] = s.queue.clone().into();
        let made = async |engine: &Engine| {
            let answer = engine.enqueue_keyed(fields(&request), &key(&s.queue)).await?;
            Ok((body(&answer), answer.replayed))
        };
        let (_, answer) = insisting(&s, made).await;
        only(&s, &[&answer["job"]["id"]]).await;
        s.finish(&JobId::parse(answer["job"]["id"].as_str().unwrap()).unwrap(), State::Completed).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyed_enqueue() {
    one_keyed(json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyed_unique_enqueue() {
    one_keyed(json!({"unique": {"keys": ["queue"]}})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyed_batch() {
    enumerate(async |s| {
        let job = json!({"type": "test", "args": [1], "options": {"queue": s.queue}});
        let request = json!({"jobs": [job, job]});
        let made = async |engine: &Engine| {
            let answer = engine.enqueue_batch_keyed(fields(&request), &key(&s.queue)).await?;
            Ok((body(&answer), answer.replayed))
        };
        let (_, answer) = insisting(&s, made).await;
        only(&s, &[&answer["jobs"][0]["id"], &answer["jobs"][1]["id"]]).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyed_workflow() {
    enumerate(async |s| {
        let job = json!({"type": "test", "args": [1], "options": {"queue": s.queue}});
        let request = json!({"type": "chain", "steps": [job]});
        let made = async |engine: &Engine| {
            let (shown, replayed) = engine.create_workflow_keyed(fields(&request), &key(&s.queue)).await?;
            Ok((serde_json::to_value(&shown).unwrap(), replayed))
        };
        insisting(&s, made).await;
        s.stack.engine.send_due(TickBudget::UNLIMITED).await.unwrap();
        let jobs = s.stack.engine.store().newest_jobs(&s.queue, 100).await.unwrap();
        assert_eq!(jobs.len(), 1, "{:?}: not one workflow", s.plan());
        s.finish(&jobs[0], State::Completed).await;
    })
    .await;
}

#[tokio::test]
async fn requests_that_race_under_one_key_make_one_thing() {
    let stack = TestStack::start().await;
    let request = json!({"type": "test", "args": []});
    let workflow = json!({"type": "group", "jobs": [request]});
    let all = (0..8).map(|_| async {
        let made = stack.engine.enqueue_keyed(fields(&request), &key("k")).await.map(|answer| body(&answer));
        let started = stack.engine.create_workflow_keyed(fields(&workflow), &key("k")).await;
        (made, started.map(|(shown, _)| shown.workflow.id))
    });
    for (made, started) in futures::future::join_all(all).await {
        made.map_or_else(|error| refused_well(&error), |_| ());
        started.map_or_else(|error| refused_well(&error), |_| ());
    }
    // The job, and the workflow's.
    assert_eq!(stack.engine.store().newest_jobs("default", 100).await.unwrap().len(), 2);
    assert_eq!(stack.engine.list_workflows(None, 10).await.unwrap().workflows.len(), 1);
    stack.stop().await;
}
