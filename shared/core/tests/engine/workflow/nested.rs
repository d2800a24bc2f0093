//! Workflows inside workflows (OJS workflows section 10).
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ojs_core::engine::{Ack, Nack, TickBudget};
use ojs_model::job::{Failure, Holder, Job, State};
use ojs_model::json::raw;
use ojs_model::workflow::{WorkflowState, job_id};
use ojs_model::{ErrorCode, JobId};
use ojs_testkit::{TestStack, fields};
use proptest::prelude::*;
use serde_json::{Value, json};

async fn create(stack: &TestStack, workflow: &Value) -> JobId {
    stack.engine.create_workflow(fields(workflow)).await.unwrap().workflow.id
}

async fn shown(stack: &TestStack, id: &JobId) -> Value {
    serde_json::to_value(stack.engine.get_workflow(id).await.unwrap()).unwrap()
}

fn job(kind: &str) -> Value {
    json!({"type": kind, "args": []})
}

/// The jobs that can be fetched, by type.
async fn fetched(stack: &TestStack) -> Vec<Job> {
    let mut jobs = stack.fetch("w", 50).await;
    jobs.sort_by(|a, b| a.job_type.cmp(&b.job_type));
    jobs
}

fn types(jobs: &[Job]) -> Vec<&str> {
    jobs.iter().map(|job| job.job_type.as_str()).collect()
}

fn passed_on(job: &Job) -> Value {
    job.parent_results.as_ref().map_or(Value::Null, |results| serde_json::from_str(results.get()).unwrap())
}

/// Ends a job; its result is its type.
async fn end(stack: &TestStack, job: &Job, completed: bool) {
    if completed {
        let result = Some(raw(json!(job.job_type).to_string()).unwrap());
        stack.engine.ack(Ack { id: job.id.clone(), holder: Holder::default(), result }).await.unwrap();
    } else {
        let failure = Failure::parse(&raw(r#"{"code":"x","retryable":false}"#).unwrap()).unwrap();
        let nack = Nack { id: job.id.clone(), holder: Holder::default(), failure: Some(failure), requeue: false };
        stack.engine.nack(nack).await.unwrap();
    }
}

#[tokio::test]
async fn a_chain_fans_out_and_in_again() {
    let stack = TestStack::start().await;
    let inner = json!({"type": "chain", "steps": [job("b1"), job("b2")]});
    let group = json!({"type": "group", "name": "fan", "jobs": [job("a"), inner, job("c")]});
    let id = create(&stack, &json!({"type": "chain", "steps": [job("first"), group, job("last")]})).await;
    let before = shown(&stack, &id).await;
    assert_eq!((&before["steps"][1]["type"], &before["steps"][1]["state"]), (&json!("group"), &json!("pending")));
    assert_eq!((&before["steps"][1]["workflow_id"], &before["steps"][1]["name"]), (&Value::Null, &json!("fan")));

    end(&stack, &fetched(&stack).await[0], true).await;
    let parallel = fetched(&stack).await;
    assert_eq!(types(&parallel), ["a", "b1", "c"]);
    // The first of each find what a job in their workflow's place would.
    assert!(parallel.iter().all(|job| passed_on(job) == json!(["first"])));
    let group_id = job_id(&id, 1);
    let seen = shown(&stack, &id).await;
    assert_eq!(seen["steps"][1]["state"], "running");
    assert_eq!(seen["steps"][1]["workflow_id"], group_id.as_str());
    let inside = shown(&stack, &group_id).await;
    assert_eq!((&inside["parent_workflow_id"], &inside["jobs"][1]["type"]), (&json!(id.as_str()), &json!("chain")));
    for job in &parallel {
        end(&stack, job, true).await;
    }
    let second = fetched(&stack).await;
    assert_eq!((types(&second), passed_on(&second[0])), (vec!["b2"], json!(["b1"])));
    end(&stack, &second[0], true).await;
    let last = fetched(&stack).await;
    assert_eq!((types(&last), passed_on(&last[0])), (vec!["last"], json!(["first", ["a", "b2", "c"]])));
    end(&stack, &last[0], true).await;
    for workflow in [&id, &group_id, &job_id(&group_id, 1)] {
        assert_eq!(shown(&stack, workflow).await["state"], "completed");
    }
    let seen = shown(&stack, &id).await;
    assert!(seen["steps"][1]["completed_at"].is_string() && seen["steps"][1]["state"] == "completed");
    // Only the outermost is listed.
    let listed: Vec<_> = stack.engine.list_workflows(None, 10).await.unwrap().workflows.into_iter().collect();
    assert_eq!((listed.len(), &listed[0].id), (1, &id));
    stack.stop().await;
}

#[tokio::test]
async fn a_failure_inside_is_a_failure_of_the_step() {
    let stack = TestStack::start().await;
    let group = json!({"type": "group", "jobs": [job("a"), job("b")]});
    let graph = json!({"steps": [
        {"id": "g", "type": "group", "jobs": group["jobs"]}, {"id": "x", "type": "x", "args": []},
        {"id": "after", "type": "after", "args": [], "depends_on": ["g"]},
    ]});
    for workflow in [json!({"type": "chain", "steps": [group, job("never")]}), graph] {
        let id = create(&stack, &workflow).await;
        let jobs = fetched(&stack).await;
        for job in &jobs {
            end(&stack, job, job.job_type != "b").await;
        }
        assert!(fetched(&stack).await.is_empty());
        let seen = shown(&stack, &id).await;
        assert_eq!((&seen["state"], &seen["steps"][0]["state"]), (&json!("failed"), &json!("failed")));
        assert_eq!(seen["steps"].as_array().unwrap().last().unwrap()["state"], "cancelled");
    }
    stack.stop().await;
}

/// Workflows section 10.1: "the chain advances when the batch (including callbacks) completes".
#[tokio::test]
async fn a_chain_waits_for_the_callbacks_of_a_batch() {
    let stack = TestStack::start().await;
    let callbacks = json!({"on_complete": job("all"), "on_success": job("good"), "on_failure": job("bad")});
    let batch = json!({"type": "batch", "jobs": [job("a"), job("b")], "callbacks": callbacks});
    let chain = json!({"type": "chain", "steps": [batch, job("last")]});
    for (failing, called, ends_well) in
        [(None, ["all", "good"], true), (Some("good"), ["all", "good"], false), (Some("a"), ["all", "bad"], false)]
    {
        let id = create(&stack, &chain).await;
        for job in fetched(&stack).await {
            end(&stack, &job, failing != Some(&job.job_type)).await;
        }
        let callbacks = fetched(&stack).await;
        assert_eq!(types(&callbacks), called);
        end(&stack, &callbacks[1], failing != Some(&callbacks[1].job_type)).await;
        assert!(fetched(&stack).await.is_empty());
        let seen = shown(&stack, &id).await;
        assert_eq!((&seen["state"], &seen["steps"][0]["state"]), (&json!("running"), &json!("running")), "{failing:?}");
        end(&stack, &callbacks[0], true).await;
        let last = fetched(&stack).await;
        assert_eq!(types(&last), if ends_well { vec!["last"] } else { vec![] }, "{failing:?}");
        for job in &last {
            assert_eq!(passed_on(job), json!([["a", "b"]]));
            end(&stack, job, true).await;
        }
        let seen = shown(&stack, &id).await;
        let state = if ends_well { "completed" } else { "failed" };
        assert_eq!((&seen["state"], &seen["steps"][0]["state"]), (&json!(state), &json!(state)), "{failing:?}");
    }
    stack.stop().await;
}

#[tokio::test]
async fn a_callback_that_failed_and_is_deleted_has_failed_all_the_same() {
    let stack = TestStack::start().await;
    let callbacks = json!({"on_complete": job("all"), "on_success": job("good")});
    let batch = json!({"type": "batch", "jobs": [job("a")], "callbacks": callbacks});
    let id = create(&stack, &json!({"type": "chain", "steps": [batch, job("never")]})).await;
    end(&stack, &fetched(&stack).await[0], true).await;
    let callbacks = fetched(&stack).await;
    end(&stack, &callbacks[0], false).await;
    stack.engine.delete_job(&callbacks[0].id).await.unwrap();
    end(&stack, &callbacks[1], true).await;
    assert!(fetched(&stack).await.is_empty());
    assert_eq!(shown(&stack, &id).await["state"], "failed");
    stack.stop().await;
}

#[tokio::test]
async fn cancelling_reaches_the_callbacks_of_a_batch_inside() {
    let stack = TestStack::start().await;
    let mut later = job("later");
    later["options"] = json!({"scheduled_at": "+P1D"});
    let callbacks = json!({"on_complete": later, "on_success": job("now")});
    let batch = json!({"type": "batch", "jobs": [job("a")], "callbacks": callbacks});
    let id = create(&stack, &json!({"type": "chain", "steps": [batch, job("never")]})).await;
    end(&stack, &fetched(&stack).await[0], true).await;
    stack.engine.cancel_workflow(&id).await.unwrap();
    assert!(fetched(&stack).await.is_empty());
    for index in [1, 2] {
        assert_eq!(stack.get(&job_id(&job_id(&id, 0), index)).await.state, State::Cancelled);
    }
    stack.stop().await;
}

/// The results of a group are read once, however many steps want them.
#[tokio::test]
async fn many_steps_behind_a_large_group_start_together() {
    let stack = TestStack::start().await;
    let group: Vec<Value> = (0..120).map(|_| job("g")).collect();
    let mut steps = vec![json!({"id": "g", "type": "group", "jobs": group})];
    steps.extend((0..60).map(|at| json!({"id": format!("s{at}"), "type": "s", "args": [], "depends_on": ["g"]})));
    create(&stack, &json!({"steps": steps})).await;
    let mut jobs = stack.fetch("w", 100).await;
    jobs.extend(stack.fetch("w", 100).await);
    assert_eq!(jobs.len(), 120);
    let last = jobs.pop().unwrap();
    for job in &jobs {
        end(&stack, job, true).await;
    }
    let (engine, wire) = stack.instance(1).await;
    wire.meter();
    drop(wire.take_calls());
    let result = Some(raw(r#""g""#.to_owned()).unwrap());
    engine.ack(Ack { id: last.id.clone(), holder: Holder::default(), result }).await.unwrap();
    let reads = wire.take_calls().iter().filter(|call| call.action == "BatchGetItem").count();
    assert!(reads <= 10, "{reads} reads for 60 steps");
    let behind = stack.fetch("w", 100).await;
    assert_eq!(behind.len(), 60);
    assert!(behind.iter().all(|job| passed_on(job)[0].as_array().unwrap().len() == 120));
    stack.stop().await;
}

#[tokio::test]
async fn cancelling_reaches_what_is_inside_and_what_is_around() {
    let stack = TestStack::start().await;
    let inner = json!({"type": "chain", "steps": [job("a"), job("never")]});
    let group = json!({"type": "group", "jobs": [inner, job("b")]});
    let chain = json!({"type": "chain", "steps": [group, job("last")]});
    let states = async |id: &JobId| {
        let group = job_id(id, 0);
        let mut states = Vec::new();
        for workflow in [id, &group, &job_id(&group, 0)] {
            states.push(stack.engine.get_workflow(workflow).await.unwrap().workflow.state.as_str());
        }
        states
    };
    // From the outside.
    let id = create(&stack, &chain).await;
    assert_eq!(stack.engine.cancel_workflow(&id).await.unwrap().workflow.state, WorkflowState::Cancelled);
    assert_eq!(states(&id).await, ["cancelled"; 3]);
    assert!(fetched(&stack).await.is_empty());
    assert_eq!(shown(&stack, &id).await["steps"][0]["state"], "cancelled");
    // From the inside: a failure to those around it.
    let id = create(&stack, &chain).await;
    stack.engine.cancel_workflow(&job_id(&job_id(&id, 0), 0)).await.unwrap();
    let left = fetched(&stack).await;
    assert_eq!(types(&left), ["b"]);
    end(&stack, &left[0], true).await;
    assert_eq!(states(&id).await, ["failed", "failed", "cancelled"]);
    let again = stack.engine.cancel_workflow(&job_id(&id, 0)).await.unwrap_err();
    assert_eq!(again.code, ErrorCode::Conflict);
    stack.stop().await;
}

/// A random workflow, `levels` deep at most.
fn tree(levels: u32) -> impl Strategy<Value = Value> {
    let leaf = Just(json!("job")).boxed();
    leaf.prop_recursive(levels, 14, 3, |inner| {
        (0..4_u8, proptest::collection::vec(inner, 1..4)).prop_map(|(kind, members)| {
            match kind {
                0 => json!({"type": "chain", "steps": members}),
                1 => json!({"type": "group", "jobs": members}),
                2 => {
                    json!({"type": "batch", "jobs": members, "callbacks": {"on_complete": "job", "on_failure": "job"}})
                }
                // Each but the first depends on the first.
                _ => json!({"steps": members}),
            }
        })
    })
}

/// Puts jobs in the place of leaves, each with a type of its own, `j` and a number.
fn planted(tree: &Value, count: &mut usize) -> Value {
    let mut all =
        |list: &Value| -> Vec<Value> { list.as_array().unwrap().iter().map(|member| planted(member, count)).collect() };
    match tree {
        Value::String(_) => {
            *count += 1;
            job(&format!("j{count}"))
        }
        Value::Object(map) if map.contains_key("jobs") => {
            let mut made = json!({"type": map["type"], "jobs": all(&map["jobs"])});
            if let Some(Value::Object(callbacks)) = map.get("callbacks") {
                made["callbacks"] = callbacks
                    .keys()
                    .map(|when| {
                        *count += 1;
                        (when.clone(), job(&format!("j{count}")))
                    })
                    .collect::<serde_json::Map<_, _>>()
                    .into();
            }
            made
        }
        Value::Object(map) if map.contains_key("type") => json!({"type": "chain", "steps": all(&map["steps"])}),
        Value::Object(map) => {
            let mut steps = all(&map["steps"]);
            for (at, step) in steps.iter_mut().enumerate() {
                step["id"] = json!(format!("s{at}"));
                step["depends_on"] = if at == 0 { json!([]) } else { json!(["s0"]) };
            }
            json!({"steps": steps})
        }
        _ => unreachable!(),
    }
}

/// What the specification says must run, and whether it ends well.
fn model(work: &Value, fails: &dyn Fn(&str) -> bool, ran: &mut Vec<String>) -> bool {
    let run = |job: &Value, ran: &mut Vec<String>| {
        let kind = job["type"].as_str().unwrap().to_owned();
        let completed = !fails(&kind);
        ran.push(kind);
        completed
    };
    if let Some(jobs) = work.get("jobs") {
        let mut completed = true;
        for member in jobs.as_array().unwrap() {
            completed &= model(member, fails, ran);
        }
        let failed = !completed;
        if let Some(callbacks) = work.get("callbacks") {
            completed &= run(&callbacks["on_complete"], ran);
            if failed {
                run(&callbacks["on_failure"], ran);
            }
        }
        completed
    } else if let Some(steps) = work.get("steps") {
        let steps = steps.as_array().unwrap();
        if work["type"] == "chain" {
            return steps.iter().all(|step| model(step, fails, ran));
        }
        if !model(&steps[0], fails, ran) {
            return false;
        }
        // All of them run, whatever becomes of the others.
        let others: Vec<bool> = steps[1..].iter().map(|step| model(step, fails, ran)).collect();
        others.iter().all(|completed| *completed)
    } else {
        run(work, ran)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 200, ..ProptestConfig::default() })]
    /// Whatever is inside what, and whatever fails: what must run runs once, nothing else does, and it ends as it must.
    #[test]
    fn every_tree_runs_as_the_specification_has_it(
        tree in tree(3).prop_filter("a workflow", Value::is_object),
        failing in proptest::collection::hash_set(1_usize..30, 0..4),
        order in any::<u64>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let workflow = planted(&tree, &mut 0);
            let fails = |kind: &str| failing.contains(&kind[1..].parse::<usize>().unwrap());
            let mut wanted = Vec::new();
            let ends_well = model(&workflow, &fails, &mut wanted);
            let stack = TestStack::start().await;
            let id = create(&stack, &workflow).await;
            let mut ran = Vec::new();
            let mut pick = fastrand::Rng::with_seed(order);
            let mut waiting = Vec::new();
            loop {
                waiting.extend(fetched(&stack).await);
                if waiting.is_empty() {
                    break;
                }
                let job = waiting.swap_remove(pick.usize(..waiting.len()));
                end(&stack, &job, !fails(&job.job_type)).await;
                ran.push(job.job_type);
            }
            ran.sort();
            wanted.sort();
            assert_eq!(ran, wanted, "{workflow}");
            let seen = shown(&stack, &id).await;
            // Of the outermost batch nobody waits for the callbacks.
            if workflow.get("callbacks").is_none() {
                assert_eq!(seen["state"], if ends_well { "completed" } else { "failed" }, "{workflow}");
            }
            stack.engine.send_due(TickBudget::UNLIMITED).await.unwrap();
            assert!(fetched(&stack).await.is_empty());
            stack.stop().await;
        });
    }
}
