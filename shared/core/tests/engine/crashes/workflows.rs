//! Workflows, with each AWS call failing in each way there is: no step is lost, none is run twice, and the workflow ends once.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::crashes::harness::{Scenario, enumerate, failed_well};
use ojs_core::engine::{Ack, Fetch, Nack};
use ojs_model::job::{Failure, Holder, Job, State};
use ojs_model::json::{Fields, raw};
use ojs_model::workflow::{WorkflowState, job_id};
use ojs_model::{ErrorCode, JobId};
use ojs_testkit::fields;
use serde_json::{Value, json};

fn step(s: &Scenario<'_>, kind: &str) -> Value {
    json!({"type": kind, "args": [], "options": {"queue": s.queue, "retry": {"max_attempts": 1}}})
}

/// What is disturbed: three jobs each, one of them last.
const KINDS: [&str; 4] = ["chain", "batch", "nested", "awaited"];

/// A chain; a batch whose callback follows; a chain after a group with a chain inside; a chain after a batch and its callback.
fn workflow(s: &Scenario<'_>, kind: &str) -> Fields {
    let inner = json!({"type": "chain", "steps": [step(s, "b")]});
    let group = json!({"type": "group", "jobs": [step(s, "a"), inner]});
    let batch = json!({"type": "batch", "jobs": [step(s, "a")], "callbacks": {"on_complete": step(s, "b")}});
    fields(&match kind {
        "chain" => json!({"type": "chain", "steps": [step(s, "a"), step(s, "b"), step(s, "last")]}),
        "nested" => json!({"type": "chain", "steps": [group, step(s, "last")]}),
        "awaited" => json!({"type": "chain", "steps": [batch, step(s, "last")]}),
        _ => json!({
            "type": "batch", "jobs": [step(s, "a"), step(s, "b")], "callbacks": {"on_complete": step(s, "last")},
        }),
    })
}

fn fetch(s: &Scenario<'_>) -> Fetch {
    Fetch { queues: vec![s.queue.clone()], count: 1, worker_id: Some("w".into()), visibility_ms: Some(30_000) }
}

fn token(job: &Job) -> Holder {
    Holder { worker: None, token: job.lease.as_ref().map(|lease| lease.token.clone()) }
}

/// All jobs of the scenario's queue.
async fn jobs(s: &Scenario<'_>) -> Vec<Job> {
    let mut jobs = Vec::new();
    for id in s.stack.engine.store().newest_jobs(&s.queue, 20).await.unwrap() {
        jobs.push(s.stack.get(&id).await);
    }
    jobs
}

/// Whatever happened, the workflow ends so, and each step was run at most once.
async fn ends(s: &Scenario<'_>, id: &JobId, state: WorkflowState, made: usize) {
    s.drain().await;
    let end = s.stack.engine.get_workflow(id).await.unwrap();
    assert_eq!(end.workflow.state, state);
    let jobs = jobs(s).await;
    assert_eq!(jobs.len(), made, "{:?}", jobs.iter().map(|job| (&job.job_type, job.state)).collect::<Vec<_>>());
    assert!(jobs.iter().all(|job| job.state.is_terminal() && job.attempt <= 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn creating() {
    for kind in KINDS {
        enumerate(async |s| {
            let made = Box::pin(s.engine.create_workflow(workflow(&s, kind))).await;
            s.calm();
            match made {
                Ok(shown) => ends(&s, &shown.workflow.id, WorkflowState::Completed, 3).await,
                Err(error) => {
                    // Nobody was told of it: there is none, or it runs as a whole.
                    failed_well(&error);
                    s.drain().await;
                    let jobs = jobs(&s).await;
                    assert!(jobs.is_empty() || jobs.len() == 3, "{} jobs", jobs.len());
                    assert!(jobs.iter().all(|job| job.state == State::Completed));
                }
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_completes() {
    for kind in KINDS {
        enumerate(async |s| {
            let id = s.stack.engine.create_workflow(workflow(&s, kind)).await.unwrap().workflow.id;
            // The one before the last: what follows is a step of a chain, or the callbacks.
            let first = s.stack.engine.fetch(fetch(&s)).await.unwrap().remove(0);
            s.stack.engine.ack(Ack { id: first.id.clone(), holder: token(&first), result: None }).await.unwrap();
            let job = s.stack.engine.fetch(fetch(&s)).await.unwrap().remove(0);
            s.claims(std::slice::from_ref(&job));
            let acked = Box::pin(s.engine.ack(Ack { id: job.id.clone(), holder: token(&job), result: None })).await;
            s.calm();
            if let Err(error) = acked {
                failed_well(&error);
                s.drain().await;
                // What was not answered was done, or the lease lapsed and that was its only attempt.
                let completed = s.stack.get(&job.id).await.state == State::Completed;
                let (state, made) = match (completed, kind) {
                    (true, _) => (WorkflowState::Completed, 3),
                    (false, "batch") => (WorkflowState::Failed, 3),
                    (false, _) => (WorkflowState::Failed, 2),
                };
                return ends(&s, &id, state, made).await;
            }
            ends(&s, &id, WorkflowState::Completed, 3).await;
        })
        .await;
    }
}

/// The client of a request that crashed after its write sends it again: the next step starts now, not when the lease ends. A
/// request that was answered need not be repeated.
#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_ack_starts_the_next_step_at_once() {
    for (kind, by_token) in KINDS.iter().map(|kind| (*kind, true)).chain([("chain", false)]) {
        enumerate(async |s| {
            s.stack.engine.create_workflow(workflow(&s, kind)).await.unwrap();
            let first = s.stack.engine.fetch(fetch(&s)).await.unwrap().remove(0);
            let result = |of: &Job| Some(raw(json!(of.job_type).to_string()).unwrap());
            let done = Ack { id: first.id.clone(), holder: token(&first), result: result(&first) };
            s.stack.engine.ack(done).await.unwrap();
            let job = s.stack.engine.fetch(fetch(&s)).await.unwrap().remove(0);
            let holder = if by_token { token(&job) } else { Holder::default() };
            let ack = || Ack { id: job.id.clone(), holder: holder.clone(), result: result(&job) };
            let answered = Box::pin(s.engine.ack(ack())).await;
            s.calm();
            if answered.is_err()
                && let Err(error) = Box::pin(s.stack.engine.ack(ack())).await
            {
                assert!(!by_token && error.code == ErrorCode::Conflict, "{error}");
            }
            // What is left of an answered one comes back with its message, after a second.
            s.stack.clock.advance_ms(1_000);
            let next = s.stack.engine.fetch(fetch(&s)).await.unwrap();
            assert_eq!(next.len(), 1, "{kind}: {:?}", s.plan());
            let results = next[0].parent_results.as_ref().unwrap().get();
            let wanted = match kind {
                "nested" => r#"[["a","b"]]"#,
                "awaited" => r#"[["a"]]"#,
                _ => r#"["a","b"]"#,
            };
            assert_eq!(results, wanted, "{kind}: {:?}", s.plan());
            s.claims(&next);
        })
        .await;
    }
}

/// A workflow whose cancellation crashed is cancelled again: refused, and none of its jobs is left to be run.
#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_cancellation_stops_the_jobs_at_once() {
    for kind in ["batch", "nested"] {
        enumerate(async |s| {
            let made = s.stack.engine.create_workflow(workflow(&s, kind)).await.unwrap();
            let id = made.workflow.id;
            let _ = Box::pin(s.engine.cancel_workflow(&id)).await;
            s.calm();
            if let Err(error) = Box::pin(s.stack.engine.cancel_workflow(&id)).await {
                assert_eq!(error.code, ErrorCode::Conflict, "{error}");
            }
            assert!(jobs(&s).await.iter().all(|job| job.state == State::Cancelled), "{kind}: {:?}", s.plan());
        })
        .await;
    }
}

/// A job is handed out with the results before it, or not at all.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_is_fetched_with_the_results_before_it() {
    enumerate(async |s| {
        let id = s.stack.engine.create_workflow(workflow(&s, "chain")).await.unwrap().workflow.id;
        for _ in 0..2 {
            let job = s.stack.engine.fetch(fetch(&s)).await.unwrap().remove(0);
            let result = Some(raw(json!(job.job_type).to_string()).unwrap());
            s.stack.engine.ack(Ack { id: job.id.clone(), holder: token(&job), result }).await.unwrap();
        }
        let fetched = Box::pin(s.engine.fetch(fetch(&s))).await;
        s.calm();
        if let Ok(jobs) = &fetched {
            for job in jobs {
                assert_eq!(job.parent_results.as_ref().unwrap().get(), r#"["a","b"]"#, "{:?}", s.plan());
                s.stack.engine.ack(Ack { id: job.id.clone(), holder: token(job), result: None }).await.unwrap();
            }
        }
        s.fetched(fetched);
        s.drain().await;
        // A claim that could not be undone used up the only attempt.
        let state = s.stack.engine.get_workflow(&id).await.unwrap().workflow.state;
        assert!(matches!(state, WorkflowState::Completed | WorkflowState::Failed), "{state:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_fails() {
    for kind in KINDS {
        enumerate(async |s| {
            let id = s.stack.engine.create_workflow(workflow(&s, kind)).await.unwrap().workflow.id;
            let job = s.stack.engine.fetch(fetch(&s)).await.unwrap().remove(0);
            s.claims(std::slice::from_ref(&job));
            let failure = Failure::parse(&raw(r#"{"code":"x"}"#).unwrap()).unwrap();
            let nack = Nack { id: job.id.clone(), holder: token(&job), failure: Some(failure), requeue: false };
            let answer = Box::pin(s.engine.nack(nack)).await;
            s.calm();
            if let Err(error) = answer {
                failed_well(&error);
            }
            let made = match kind {
                "chain" => 1,
                "batch" => 3,
                _ => 2,
            };
            ends(&s, &id, WorkflowState::Failed, made).await;
        })
        .await;
    }
}

/// The job, scheduled for tomorrow, of a workflow that fails with it; `made`: how many jobs there are in the end.
async fn cancelled_far_off(workflow: impl Fn(&Scenario<'_>, Value) -> Value, made: usize) {
    enumerate(async |s| {
        let mut far = step(&s, "far");
        far["options"]["scheduled_at"] = json!("+P1D");
        let workflow = s.stack.engine.create_workflow(fields(&workflow(&s, far))).await.unwrap().workflow;
        let job = job_id(&workflow.id, 0);
        let cancelled = Box::pin(s.engine.cancel(&job)).await;
        s.calm();
        if let Err(error) = cancelled {
            failed_well(&error);
            match s.stack.engine.cancel(&job).await {
                Ok(_) => {}
                Err(error) => assert_eq!(error.code, ErrorCode::Conflict, "{error}"),
            }
        }
        ends(&s, &workflow.id, WorkflowState::Failed, made).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_far_off_is_cancelled() {
    cancelled_far_off(|s, far| json!({"type": "chain", "steps": [far, step(s, "never")]}), 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_job_of_a_batch_is_cancelled_far_off() {
    let batch = |s: &Scenario<'_>, far: Value| json!({"type": "batch", "jobs": [far], "callbacks": {"on_failure": step(s, "last")}});
    cancelled_far_off(batch, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling() {
    for kind in KINDS {
        enumerate(async |s| {
            let id = s.stack.engine.create_workflow(workflow(&s, kind)).await.unwrap().workflow.id;
            let cancelled = Box::pin(s.engine.cancel_workflow(&id)).await;
            s.calm();
            if let Err(error) = cancelled {
                failed_well(&error);
                match s.stack.engine.cancel_workflow(&id).await {
                    Ok(_) => {}
                    Err(error) => assert_eq!(error.code, ErrorCode::Conflict, "{error}"),
                }
            }
            // A worker may have been faster than what a tick had to finish.
            s.drain().await;
            let end = s.stack.engine.get_workflow(&id).await.unwrap();
            assert_eq!(end.workflow.state, WorkflowState::Cancelled);
            let jobs = jobs(&s).await;
            let made = match kind {
                "chain" => 1..=1,
                // What is inside may go on until a tick has called it off too.
                "awaited" => 1..=2,
                _ => 2..=2,
            };
            assert!(made.contains(&jobs.len()), "{kind}: {} jobs", jobs.len());
            assert!(jobs.iter().all(|job| job.state.is_terminal()), "{jobs:?}");
        })
        .await;
    }
}
