//! Results reach later steps whole, whatever their size, and leave with their workflow (OJS workflows section 7).
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use ojs_core::aws;
use ojs_core::engine::{Ack, MAX_ANSWER_BYTES};
use ojs_core::store::keys;
use ojs_model::JobId;
use ojs_model::job::{Holder, Job};
use ojs_model::json::raw;
use ojs_model::workflow::job_id;
use ojs_testkit::{TestStack, fields};
use serde_json::{Value, json};

fn job(kind: &str) -> Value {
    json!({"type": kind, "args": []})
}

async fn create(stack: &TestStack, workflow: &Value) -> JobId {
    stack.engine.create_workflow(fields(workflow)).await.unwrap().workflow.id
}

async fn next(stack: &TestStack) -> Job {
    let mut jobs = stack.fetch("w", 1).await;
    assert_eq!(jobs.len(), 1, "a job is to be fetched");
    jobs.remove(0)
}

async fn done(stack: &TestStack, job: &Job, result: Option<&Value>) {
    let result = result.map(|result| raw(result.to_string()).unwrap());
    stack.engine.ack(Ack { id: job.id.clone(), holder: Holder::default(), result }).await.unwrap();
}

fn passed_on(job: &Job) -> Value {
    job.parent_results.as_ref().map_or(Value::Null, |results| serde_json::from_str(results.get()).unwrap())
}

async fn dynamodb(stack: &TestStack) -> aws_sdk_dynamodb::Client {
    let connect = aws::ConnectOptions {
        dynamodb_url: Some(stack.aws.dynamodb.url().to_owned()),
        sqs_url: Some(stack.aws.sqs.url().to_owned()),
        http_client: None,
    };
    aws::Clients::connect(&stack.settings, connect).await.dynamodb
}

/// The items of a workflow and those inside it: partition and sort key, and whether they have a time to live.
async fn items(stack: &TestStack) -> Vec<(String, bool)> {
    let scan = dynamodb(stack).await.scan().table_name(&stack.settings.table).send().await.unwrap();
    let of = |item: &HashMap<String, AttributeValue>, name: &str| item.get(name).unwrap().as_s().unwrap().clone();
    let items = scan.items.unwrap_or_default();
    let items = items.iter().filter(|item| of(item, "pk").starts_with("WORKFLOW#"));
    items.map(|item| (format!("{} {}", of(item, "pk"), of(item, "sk")), item.contains_key("ttl"))).collect()
}

#[tokio::test]
async fn large_results_of_a_chain_arrive_though_its_jobs_are_gone() {
    let stack = TestStack::start().await;
    for bytes in [60_000, 110_000, 380_000] {
        let steps = ["a", "b", "c", "d"].map(job);
        create(&stack, &json!({"type": "chain", "steps": steps})).await;
        let mut results = Vec::new();
        for letter in ["a", "b", "c"] {
            let step = next(&stack).await;
            assert_eq!(passed_on(&step).as_array().map_or(0, Vec::len), results.len());
            results.push(json!(letter.repeat(bytes)));
            done(&stack, &step, results.last()).await;
            // As the table does once they have been kept for long enough.
            stack.engine.delete_job(&step.id).await.unwrap();
        }
        let last = next(&stack).await;
        assert_eq!(passed_on(&last), json!(results), "{bytes} bytes each");
        assert_eq!(passed_on(&stack.get(&last.id).await), json!(results), "{bytes} bytes each");
        done(&stack, &last, None).await;
    }
    stack.stop().await;
}

#[tokio::test]
async fn large_results_of_a_batch_reach_its_callback() {
    let stack = TestStack::start().await;
    let callbacks = json!({"on_complete": job("callback")});
    create(&stack, &json!({"type": "batch", "jobs": vec![job("a"); 130], "callbacks": callbacks})).await;
    let mut wanted = vec![Value::Null; 130];
    for step in stack.fetch("w", 100).await.into_iter().chain(stack.fetch("w", 100).await) {
        let index = step.member_of.as_ref().unwrap().index;
        if index != 77 {
            wanted[index] = json!(format!("{index:04}").repeat(5_000));
        }
        done(&stack, &step, Some(&wanted[index]).filter(|_| index != 77)).await;
    }
    let callback = next(&stack).await;
    assert_eq!(passed_on(&callback), json!(wanted));
    stack.stop().await;
}

#[tokio::test]
async fn what_an_answer_has_no_room_for_is_marked_and_the_last_results_come_first() {
    let stack = TestStack::start().await;
    let steps = 19;
    let id = create(&stack, &json!({"type": "chain", "steps": vec![job("a"); steps]})).await;
    let result = json!("\"".repeat(90_000));
    for _ in 1..steps {
        done(&stack, &next(&stack).await, Some(&result)).await;
    }
    let last = next(&stack).await;
    assert!(last.answer_bytes() <= MAX_ANSWER_BYTES);
    let results = passed_on(&last);
    let results = results.as_array().unwrap();
    let marks = results.iter().take_while(|result| **result != json!("\"".repeat(90_000))).count();
    // A quotation mark is escaped in the result, and both of that in the answer's body.
    assert_eq!((results.len(), marks), (18, 18 - MAX_ANSWER_BYTES / 360_000));
    let mark = |step| json!({"$missing": {"step": step, "job_id": job_id(&id, step).as_str(), "reason": "no_room"}});
    assert_eq!(results[..marks], (0..marks).map(mark).collect::<Vec<_>>());
    assert!(results[marks..].iter().all(|shown| *shown == result));
    // There it says so, too.
    let shown = serde_json::to_value(stack.engine.get_workflow(&id).await.unwrap()).unwrap();
    assert_eq!(shown["steps"][0]["result"], result);
    assert_eq!(shown["steps"][17]["result"], mark(17));
    stack.stop().await;
}

#[tokio::test]
async fn a_result_that_is_gone_is_marked_and_one_that_never_was_is_null() {
    let stack = TestStack::start().await;
    let id = create(&stack, &json!({"type": "chain", "steps": vec![job("a"); 4]})).await;
    done(&stack, &next(&stack).await, Some(&json!(1))).await;
    done(&stack, &next(&stack).await, None).await;
    done(&stack, &next(&stack).await, Some(&json!(3))).await;
    let gone = dynamodb(&stack).await.delete_item().table_name(&stack.settings.table);
    gone.set_key(Some(keys::workflow_result(&id, 0, 0))).send().await.unwrap();
    let mark = json!({"$missing": {"step": 0, "job_id": job_id(&id, 0).as_str(), "reason": "gone"}});
    assert_eq!(passed_on(&next(&stack).await), json!([mark, null, 3]));
    // The workflow says so of a job that is gone.
    stack.engine.delete_job(&job_id(&id, 0)).await.unwrap();
    let shown = serde_json::to_value(stack.engine.get_workflow(&id).await.unwrap()).unwrap();
    assert_eq!((&shown["steps"][0]["result"], &shown["steps"][2]["result"]), (&mark, &json!(3)));
    stack.stop().await;
}

#[tokio::test]
async fn what_is_kept_for_a_workflow_is_kept_until_it_ends_and_no_longer() {
    let stack = TestStack::start().await;
    let long = json!({"type": "chain", "steps": vec![json!({"type": "a", "args": ["x".repeat(900)]}); 9]});
    let inner = json!({"type": "chain", "steps": [job("a"), job("b")]});
    let group = json!({"type": "group", "jobs": [inner, job("c")]});
    let callbacks = json!({"on_complete": job("callback")});
    for workflow in [
        long.clone(),
        json!({"type": "chain", "steps": [group, job("last")]}),
        json!({"type": "batch", "jobs": [job("a"), job("b")], "callbacks": callbacks}),
    ] {
        create(&stack, &workflow).await;
        let mut last = None;
        while let Some(step) = stack.fetch("w", 1).await.pop() {
            last = Some(step.id.clone());
            done(&stack, &step, Some(&json!(1))).await;
        }
        let kept = items(&stack).await;
        assert!(kept.iter().any(|(key, _)| key.contains("R#")));
        assert!(kept.iter().all(|(_, expires)| *expires), "{kept:?}");
        assert!(passed_on(&stack.get(&last.unwrap()).await)[0] != Value::Null);
    }
    // A job of a cancelled workflow may complete after it.
    for workflow in [json!({"type": "batch", "jobs": [job("a"), job("b")], "callbacks": callbacks}), long] {
        let id = create(&stack, &workflow).await;
        let running = next(&stack).await;
        assert!(items(&stack).await.iter().any(|(key, expires)| key.contains(id.as_str()) && !expires));
        stack.engine.cancel_workflow(&id).await.unwrap();
        done(&stack, &running, Some(&json!(1))).await;
        let kept = items(&stack).await;
        assert!(kept.iter().all(|(_, expires)| *expires), "{kept:?}");
    }
    stack.stop().await;
}

/// Each step reads its part of the definition, and its part of what is before it.
#[tokio::test]
async fn a_long_chain_reads_no_more_at_its_end_than_at_its_start() {
    let stack = TestStack::start().await;
    let step = json!({"type": "a", "args": ["x".repeat(200)]});
    let id = create(&stack, &json!({"type": "chain", "name": "long", "steps": vec![step.clone(); 60]})).await;
    assert!(items(&stack).await.iter().filter(|(key, _)| key.contains(" D")).count() > 3);
    let (engine, wire) = stack.instance(1).await;
    wire.meter();
    let mut units = Vec::new();
    for at in 0..60 {
        let step = next(&stack).await;
        assert_eq!(passed_on(&step).as_array().map_or(0, Vec::len), at);
        drop(wire.take_calls());
        let result = Some(raw("1").unwrap());
        engine.ack(Ack { id: step.id.clone(), holder: Holder::default(), result }).await.unwrap();
        units.push(wire.take_calls().iter().map(|call| call.read_units).sum::<f64>());
    }
    // With the first one, the process learns of the queue, too.
    assert!(units[1..59].iter().all(|units| *units <= 3.0), "{units:?}");
    let shown = stack.engine.get_workflow(&id).await.unwrap();
    assert_eq!((shown.definition.steps.len(), shown.definition.name.as_deref()), (60, Some("long")));
    let shown = serde_json::to_value(shown).unwrap();
    assert_eq!((&shown["state"], &shown["steps"][59]["type"]), (&json!("completed"), &json!("a")));
    stack.stop().await;
}
