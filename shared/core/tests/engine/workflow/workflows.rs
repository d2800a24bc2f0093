//! Workflows on the embedded stack (OJS workflows).
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::sync::Arc;

use ojs_core::engine::{Ack, Fetch, Heartbeat, Nack, TickBudget};
use ojs_model::job::{Failure, Holder, Job, State};
use ojs_model::json::raw;
use ojs_model::workflow::{Shown, WorkflowState, job_id};
use ojs_model::{ErrorCode, JobId};
use ojs_testkit::{TestStack, fields};
use serde_json::{Value, json};
use tokio::sync::Barrier;

async fn create(stack: &TestStack, workflow: &Value) -> Shown {
    stack.engine.create_workflow(fields(workflow)).await.unwrap()
}

async fn shown(stack: &TestStack, id: &JobId) -> Value {
    serde_json::to_value(stack.engine.get_workflow(id).await.unwrap()).unwrap()
}

fn step(kind: &str, options: Value) -> Value {
    json!({"type": kind, "args": [kind], "options": options})
}

async fn next(stack: &TestStack) -> Job {
    let mut jobs = stack.fetch("w", 1).await;
    assert_eq!(jobs.len(), 1, "a job is to be fetched");
    jobs.remove(0)
}

async fn done(stack: &TestStack, job: &Job, result: Value) {
    let result = Some(raw(result.to_string()).unwrap());
    stack.engine.ack(Ack { id: job.id.clone(), holder: Holder::default(), result }).await.unwrap();
}

async fn fails(stack: &TestStack, job: &Job) {
    let failure = Failure::parse(&raw(r#"{"code":"x","retryable":false}"#).unwrap()).unwrap();
    let nack = Nack { id: job.id.clone(), holder: Holder::default(), failure: Some(failure), requeue: false };
    stack.engine.nack(nack).await.unwrap();
}

fn types(jobs: &[Job]) -> BTreeSet<&str> {
    jobs.iter().map(|job| job.job_type.as_str()).collect()
}

#[tokio::test]
async fn a_chain_passes_all_results_on() {
    let stack = TestStack::start().await;
    let chain = json!({"type": "chain", "name": "n", "steps": [step("a", json!({})), step("b", json!({})), step("c", json!({}))]});
    let workflow = create(&stack, &chain).await;
    let id = workflow.workflow.id.clone();
    for (at, kind) in ["a", "b", "c"].iter().enumerate() {
        let job = next(&stack).await;
        assert_eq!(job.job_type, *kind);
        let seen = serde_json::to_value(job.shown(true)).unwrap();
        assert_eq!(seen["workflow_id"], id.as_str());
        let before: Vec<Value> = (0..at).map(|at| json!({"of": at})).collect();
        assert_eq!(seen["parent_results"], if at == 0 { Value::Null } else { json!(before) });
        assert_eq!(shown(&stack, &id).await["steps"][at]["state"], "active");
        assert_eq!(stack.fetch("w", 1).await.len(), 0);
        done(&stack, &job, json!({"of": at})).await;
    }
    let end = shown(&stack, &id).await;
    assert_eq!((&end["state"], &end["steps_completed"], &end["name"]), (&json!("completed"), &json!(3), &json!("n")));
    assert_eq!(end["steps"][1]["result"], json!({"of": 1}));
    assert!(end["completed_at"].is_string());
    stack.stop().await;
}

#[tokio::test]
async fn however_a_step_fails_its_chain_ends() {
    let stack = TestStack::start().await;
    for end in
        ["nack", "exhausted", "cancelled", "cancelled far off", "expired", "timed out", "lapsed", "expired at once"]
    {
        let options = match end {
            "cancelled far off" => json!({"scheduled_at": "+P2D"}),
            "expired" => json!({"expires_at": "+PT5S"}),
            "expired at once" => json!({"expires_at": "2020-01-01T00:00:00Z"}),
            "timed out" => json!({"timeout_ms": 1_000, "retry": {"max_attempts": 1}}),
            _ => json!({"retry": {"max_attempts": 1}}),
        };
        let chain = json!({"type": "chain", "steps": [step("a", options), step("never", json!({}))]});
        let workflow = create(&stack, &chain).await.workflow;
        let first = job_id(&workflow.id, 0);
        match end {
            "nack" => fails(&stack, &next(&stack).await).await,
            "exhausted" => {
                let job = next(&stack).await;
                let failure = Failure::parse(&raw(r#"{"code":"x"}"#).unwrap()).unwrap();
                let nack = Nack { id: job.id, holder: Holder::default(), failure: Some(failure), requeue: false };
                stack.engine.nack(nack).await.unwrap();
            }
            "cancelled" | "cancelled far off" => drop(stack.engine.cancel(&first).await.unwrap()),
            "timed out" | "lapsed" => drop(next(&stack).await),
            _ => {}
        }
        // The clock's ends are found out when the message comes back.
        for _ in 0..8 {
            stack.clock.advance_ms(10_000);
            assert_eq!(stack.fetch("w", 10).await.len(), 0, "{end}");
        }
        let seen = shown(&stack, &workflow.id).await;
        assert_eq!((&seen["state"], &seen["steps_completed"]), (&json!("failed"), &json!(0)), "{end}: {seen}");
        assert_eq!(seen["steps"][1]["job_id"], Value::Null, "{end}");
    }
    stack.stop().await;
}

#[tokio::test]
async fn a_retry_is_no_failure() {
    let stack = TestStack::start().await;
    let chain =
        json!({"type": "chain", "steps": [step("a", json!({"retry": {"jitter": false}})), step("b", json!({}))]});
    let id = create(&stack, &chain).await.workflow.id;
    let job = next(&stack).await;
    let failure = Failure::parse(&raw(r#"{"code":"x"}"#).unwrap()).unwrap();
    let nack = Nack { id: job.id, holder: Holder::default(), failure: Some(failure), requeue: false };
    stack.engine.nack(nack).await.unwrap();
    assert_eq!(shown(&stack, &id).await["state"], "running");
    stack.clock.advance_ms(1_000);
    let job = next(&stack).await;
    assert_eq!(job.attempt, 2);
    done(&stack, &job, json!(1)).await;
    assert_eq!(next(&stack).await.job_type, "b");
    stack.stop().await;
}

#[tokio::test]
async fn a_graph_runs_what_it_can_and_passes_on_what_was_asked_for() {
    let stack = TestStack::start().await;
    let graph = json!({"name": "g", "options": {"priority": 3}, "steps": [
        {"id": "a", "type": "a", "args": [], "depends_on": []},
        {"id": "b", "type": "b", "args": [], "depends_on": []},
        {"id": "ab", "type": "ab", "args": [], "depends_on": ["b", "a"]},
        {"id": "end", "type": "end", "args": [], "depends_on": ["ab"]},
    ]});
    let id = create(&stack, &graph).await.workflow.id;
    let first = stack.fetch("w", 10).await;
    assert_eq!(types(&first), BTreeSet::from(["a", "b"]));
    assert!(first.iter().all(|job| job.priority == 3));
    for job in &first {
        assert_eq!(stack.fetch("w", 10).await.len(), 0);
        done(&stack, job, json!(job.job_type)).await;
    }
    let both = next(&stack).await;
    assert_eq!(both.parent_results.as_ref().unwrap().get(), r#"["b","a"]"#);
    let seen = shown(&stack, &id).await;
    assert_eq!((&seen["steps"][2]["id"], &seen["steps"][2]["depends_on"]), (&json!("ab"), &json!(["b", "a"])));
    assert_eq!(seen["steps"][3]["state"], "pending");
    done(&stack, &both, json!("both")).await;
    done(&stack, &next(&stack).await, Value::Null).await;
    assert_eq!(shown(&stack, &id).await["state"], "completed");
    // A branch that fails takes along what depends on it, and nothing else.
    let id = create(&stack, &graph).await.workflow.id;
    let first = stack.fetch("w", 10).await;
    fails(&stack, &first[0]).await;
    assert_eq!(shown(&stack, &id).await["state"], "running");
    done(&stack, &first[1], Value::Null).await;
    let seen = shown(&stack, &id).await;
    assert_eq!((&seen["state"], &seen["steps"][2]["state"]), (&json!("failed"), &json!("cancelled")));
    stack.stop().await;
}

#[tokio::test]
async fn callbacks_of_a_batch_fire_once_with_the_results() {
    let stack = TestStack::start().await;
    let callbacks = json!({
        "on_complete": step("complete", json!({})), "on_success": step("success", json!({})),
        "on_failure": step("failure", json!({})),
    });
    for failing in [false, true] {
        let batch =
            json!({"type": "batch", "jobs": [step("a", json!({})), step("b", json!({}))], "callbacks": callbacks});
        let id = create(&stack, &batch).await.workflow.id;
        let jobs = stack.fetch("w", 10).await;
        done(&stack, &jobs[0], json!({"n": 1})).await;
        assert_eq!(stack.fetch("w", 10).await.len(), 0);
        if failing {
            fails(&stack, &jobs[1]).await;
        } else {
            done(&stack, &jobs[1], json!({"n": 2})).await;
        }
        let fired = stack.fetch("w", 10).await;
        let wanted = if failing { ["complete", "failure"] } else { ["complete", "success"] };
        assert_eq!(types(&fired), BTreeSet::from(wanted));
        let results = if failing { r#"[{"n":1},null]"# } else { r#"[{"n":1},{"n":2}]"# };
        for job in &fired {
            assert_eq!(job.parent_results.as_ref().unwrap().get(), results);
            done(&stack, job, Value::Null).await;
        }
        let seen = shown(&stack, &id).await;
        assert_eq!(seen["state"], if failing { "failed" } else { "completed" });
        assert!(seen["callbacks"]["on_complete"]["job_id"].is_string());
        assert_eq!(seen["callbacks"]["on_success"]["job_id"].is_string(), !failing);
        stack.clock.advance_ms(120_000);
        assert_eq!(stack.fetch("w", 10).await.len(), 0);
    }
    stack.stop().await;
}

/// `on_complete` and `on_failure` of a batch as they are shown.
async fn callback_states(stack: &TestStack, id: &JobId) -> [Value; 2] {
    let seen = shown(stack, id).await;
    ["on_complete", "on_failure"].map(|when| seen["callbacks"][when]["state"].clone())
}

#[tokio::test]
async fn a_batch_says_what_its_callbacks_did_beside_its_state() {
    let stack = TestStack::start().await;
    let callbacks = json!({"on_complete": step("complete", json!({})), "on_failure": step("failure", json!({}))});
    let batch = json!({"type": "batch", "jobs": [step("a", json!({}))], "callbacks": callbacks});
    let id = create(&stack, &batch).await.workflow.id;
    assert_eq!(callback_states(&stack, &id).await, ["pending", "pending"]);
    done(&stack, &next(&stack).await, Value::Null).await;
    assert_eq!(shown(&stack, &id).await["state"], "completed");
    assert_eq!(callback_states(&stack, &id).await, ["available", "skipped"]);
    let callback = next(&stack).await;
    assert_eq!(callback_states(&stack, &id).await, ["active", "skipped"]);
    let seen = shown(&stack, &id).await;
    let ids = ["on_complete", "on_failure"].map(|when| &seen["callbacks"][when]["job_id"]);
    assert_eq!(ids, [&json!(callback.id.as_str()), &Value::Null]);
    fails(&stack, &callback).await;
    assert_eq!(callback_states(&stack, &id).await, ["discarded", "skipped"]);
    assert_eq!(shown(&stack, &id).await["state"], "completed", "the members completed");
    stack.engine.delete_job(&callback.id).await.unwrap();
    assert_eq!(callback_states(&stack, &id).await, ["deleted", "skipped"]);

    let cancelled = create(&stack, &batch).await.workflow.id;
    stack.engine.cancel_workflow(&cancelled).await.unwrap();
    assert_eq!(callback_states(&stack, &cancelled).await, ["skipped", "skipped"]);
    stack.stop().await;
}

#[tokio::test]
async fn a_cancelled_workflow_starts_nothing_and_lets_run_what_runs() {
    let stack = TestStack::start().await;
    let callbacks = json!({"on_complete": step("callback", json!({}))});
    let jobs = vec![step("a", json!({})), step("b", json!({})), step("c", json!({"scheduled_at": "+P1D"}))];
    for workflow in [
        json!({"type": "chain", "steps": jobs}),
        json!({"type": "group", "jobs": jobs}),
        json!({"type": "batch", "jobs": jobs, "callbacks": callbacks}),
    ] {
        let id = create(&stack, &workflow).await.workflow.id;
        let running = next(&stack).await;
        let cancelled = stack.engine.cancel_workflow(&id).await.unwrap();
        assert_eq!(cancelled.workflow.state, WorkflowState::Cancelled);
        assert_eq!(stack.get(&running.id).await.state, State::Active);
        assert_eq!(stack.engine.cancel_workflow(&id).await.unwrap_err().code, ErrorCode::Conflict);
        let jobs = vec![(running.id.clone(), None)];
        let beat = Heartbeat { worker_id: "w".into(), jobs, visibility_ms: None };
        assert_eq!(stack.engine.heartbeat(beat).await.unwrap().unwanted, std::slice::from_ref(&running.id));
        done(&stack, &running, Value::Null).await;
        for _ in 0..4 {
            stack.clock.advance_ms(70_000);
            assert_eq!(stack.fetch("w", 10).await.len(), 0, "{workflow}");
            stack.engine.send_due(TickBudget::UNLIMITED).await.unwrap();
        }
        let seen = shown(&stack, &id).await;
        assert_eq!(seen["state"], "cancelled");
        let noun = if workflow["type"] == "chain" { "steps" } else { "jobs" };
        assert_eq!((&seen[noun][0]["state"], &seen[noun][1]["state"]), (&json!("completed"), &json!("cancelled")));
    }
    let nobody = stack.engine.ids().job_id(1);
    assert_eq!(stack.engine.cancel_workflow(&nobody).await.unwrap_err().code, ErrorCode::NotFound);
    assert_eq!(stack.engine.get_workflow(&nobody).await.unwrap_err().code, ErrorCode::NotFound);
    stack.stop().await;
}

#[tokio::test]
async fn what_runs_in_a_cancelled_workflow_does_not_run_again() {
    let stack = TestStack::start().await;
    for end in ["retry", "requeue", "lapse"] {
        let group = json!({"type": "group", "jobs": [step("a", json!({"retry": {"jitter": false}}))]});
        let id = create(&stack, &group).await.workflow.id;
        let running = next(&stack).await;
        stack.engine.cancel_workflow(&id).await.unwrap();
        let failure = Failure::parse(&raw(r#"{"code":"x"}"#).unwrap()).unwrap();
        let nack = Nack { id: running.id.clone(), holder: Holder::default(), failure: Some(failure), requeue: false };
        match end {
            "retry" => drop(stack.engine.nack(nack).await.unwrap()),
            "requeue" => drop(stack.engine.nack(Nack { failure: None, requeue: true, ..nack }).await.unwrap()),
            _ => {}
        }
        for _ in 0..5 {
            stack.clock.advance_ms(31_000);
            assert_eq!(stack.fetch("w", 10).await.len(), 0, "{end}");
        }
        assert_eq!(stack.get(&running.id).await.state, State::Cancelled, "{end}");
    }
    stack.stop().await;
}

#[tokio::test]
async fn what_is_deleted_afterwards_is_not_run_again() {
    let stack = TestStack::start().await;
    let callbacks = json!({"on_complete": step("cb", json!({}))});
    let batch = json!({"type": "batch", "jobs": [step("a", json!({})), step("b", json!({}))], "callbacks": callbacks});
    let workflow = create(&stack, &batch).await.workflow;
    for _ in 0..3 {
        done(&stack, &next(&stack).await, Value::Null).await;
    }
    for index in [2, 0, 1] {
        stack.engine.delete_job(&job_id(&workflow.id, index)).await.unwrap();
    }
    for _ in 0..3 {
        stack.clock.advance_ms(61_000);
        stack.engine.send_due(TickBudget::UNLIMITED).await.unwrap();
        assert_eq!(stack.fetch("w", 10).await.len(), 0);
    }
    assert_eq!(shown(&stack, &workflow.id).await["state"], "completed");
    stack.stop().await;
}

#[tokio::test]
async fn a_step_that_runs_beyond_its_expiry_is_not_taken_for_expired() {
    let stack = TestStack::start().await;
    let at = ojs_model::time::format_ms(stack.engine.now_ms() + 20_000);
    let chain = json!({"type": "chain", "steps": [step("a", json!({})), step("b", json!({"expires_at": at}))]});
    let id = create(&stack, &chain).await.workflow.id;
    let first = next(&stack).await;
    let message = ojs_model::message::JobRef::to(&first);
    done(&stack, &first, Value::Null).await;
    let second = next(&stack).await;
    stack.clock.advance_ms(25_000);
    // The first one's message once more.
    stack.engine.send(&message, 0).await.unwrap();
    assert_eq!(stack.fetch("w", 10).await.len(), 0);
    assert_eq!(shown(&stack, &id).await["state"], "running");
    done(&stack, &second, Value::Null).await;
    assert_eq!(shown(&stack, &id).await["state"], "completed");
    stack.stop().await;
}

#[tokio::test]
async fn workflows_are_listed_newest_first() {
    let stack = TestStack::start().await;
    let mut wanted = Vec::new();
    for at in 0..7 {
        let group = json!({"type": "group", "name": format!("g{at}"), "jobs": [step("a", json!({}))]});
        wanted.insert(0, create(&stack, &group).await.workflow.id);
    }
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = stack.engine.list_workflows(after.as_ref(), 3).await.unwrap();
        found.extend(page.workflows.into_iter().map(|workflow| workflow.id));
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(found, wanted);
    // The feed and the stats of queues do not take them for jobs.
    assert_eq!(stack.engine.store().newest_jobs("default", 100).await.unwrap().len(), 7);
    stack.stop().await;
}

/// 1,000 jobs, acked by 16 workers on 4 instances at once: none is lost, and the callback fires once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_jobs_end_at_once_and_no_end_is_lost() {
    let stack = Arc::new(TestStack::start().await);
    let jobs: Vec<_> = (0..1_000).map(|_| json!({"type": "m", "args": []})).collect();
    let batch = json!({"type": "batch", "jobs": jobs, "callbacks": {"on_success": {"type": "cb", "args": []}}});
    let id = create(&stack, &batch).await.workflow.id;
    let barrier = Arc::new(Barrier::new(16));
    let mut workers = Vec::new();
    for _ in 0..4 {
        let (engine, _) = stack.instance(3).await;
        for worker in 0..4 {
            let (engine, barrier) = (Arc::clone(&engine), Arc::clone(&barrier));
            let fetch = Fetch { visibility_ms: Some(600_000), ..stack.fetch_request(&format!("w{worker}"), 10) };
            workers.push(tokio::spawn(async move {
                barrier.wait().await;
                let mut acked = Vec::new();
                loop {
                    let jobs = engine.fetch(fetch.clone()).await.unwrap();
                    if jobs.is_empty() {
                        return acked;
                    }
                    for job in jobs {
                        let ack = Ack { id: job.id.clone(), holder: Holder::default(), result: None };
                        engine.ack(ack).await.unwrap();
                        acked.push(job.job_type);
                    }
                }
            }));
        }
    }
    let mut acked = Vec::new();
    for worker in workers {
        acked.extend(worker.await.unwrap());
    }
    while let mut more = stack.fetch("late", 10).await
        && let Some(job) = more.pop()
    {
        done(&stack, &job, Value::Null).await;
        acked.push(job.job_type);
    }
    assert_eq!(acked.iter().filter(|kind| *kind == "m").count(), 1_000);
    assert_eq!(acked.iter().filter(|kind| *kind == "cb").count(), 1);
    let seen = shown(&stack, &id).await;
    assert_eq!((&seen["state"], &seen["jobs_completed"]), (&json!("completed"), &json!(1_000)));
}

/// The last two jobs of a batch end at the very same time, again and again: it ends once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_last_two_jobs_end_at_once() {
    let stack = Arc::new(TestStack::start().await);
    for round in 0..30 {
        let graph = round % 2 == 0;
        let workflow = if graph {
            json!({"steps": [
                {"id": "a", "type": "a", "args": []}, {"id": "b", "type": "b", "args": []},
                {"id": "cb", "type": "cb", "args": [], "depends_on": ["a", "b"]},
            ]})
        } else {
            let jobs = [step("a", json!({})), step("b", json!({}))];
            json!({"type": "batch", "jobs": jobs, "callbacks": {"on_complete": step("cb", json!({}))}})
        };
        let id = create(&stack, &workflow).await.workflow.id;
        let jobs = stack.fetch("w", 10).await;
        assert_eq!(jobs.len(), 2, "round {round}");
        let barrier = Arc::new(Barrier::new(2));
        let mut racers = Vec::new();
        for job in jobs {
            let (engine, _) = stack.instance(3).await;
            let barrier = Arc::clone(&barrier);
            racers.push(tokio::spawn(async move {
                barrier.wait().await;
                let ack = Ack { id: job.id, holder: Holder::default(), result: None };
                engine.ack(ack).await.unwrap();
            }));
        }
        for racer in racers {
            racer.await.unwrap();
        }
        let callback = next(&stack).await;
        assert_eq!(callback.job_type, "cb", "round {round}");
        done(&stack, &callback, Value::Null).await;
        assert_eq!(stack.fetch("w", 10).await.len(), 0, "round {round}");
        assert_eq!(shown(&stack, &id).await["state"], "completed");
    }
}
