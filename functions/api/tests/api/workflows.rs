//! Workflows over HTTP.
#![allow(clippy::unwrap_used)]

use crate::support;

use serde_json::{Value, json};
use support::*;

const WORKFLOWS: &str = "/ojs/v1/workflows";

fn step(kind: &str) -> Value {
    json!({"type": kind, "args": []})
}

#[tokio::test]
async fn a_workflow_is_created_shown_listed_and_cancelled() {
    let app = App::start().await;
    let made = app.post(WORKFLOWS, json!({"type": "chain", "name": "c", "steps": [step("a"), step("b")]})).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let workflow = &made.body["workflow"];
    let id = workflow["id"].as_str().unwrap();
    assert_eq!(made.headers["location"], format!("{WORKFLOWS}/{id}"));
    assert_eq!(
        (&workflow["state"], &workflow["steps_total"], &workflow["steps_completed"]),
        (&json!("running"), &json!(2), &json!(0))
    );
    assert_eq!((&workflow["steps"][0]["state"], &workflow["steps"][1]["job_id"]), (&json!("available"), &Value::Null));
    let job = app.take("w", workflow["steps"][0]["job_id"].as_str().unwrap(), 1).await;
    assert_eq!(job["workflow_id"], id);
    let shown = app.get(&format!("{WORKFLOWS}/{id}")).await.body;
    assert_eq!(shown["workflow"]["steps"][0]["state"], "active");

    let list = app.get(WORKFLOWS).await.body;
    assert_eq!((&list["workflows"][0]["id"], &list["workflows"][0]["name"]), (&json!(id), &json!("c")));
    assert_eq!(list["pagination"]["has_more"], json!(false));

    let cancelled = app.delete(&format!("{WORKFLOWS}/{id}")).await;
    assert_eq!((cancelled.status.as_u16(), &cancelled.body["workflow"]["state"]), (200, &json!("cancelled")));
    assert_eq!(cancelled.body["workflow"]["steps_cancelled"], 2);
    let again = app.delete(&format!("{WORKFLOWS}/{id}")).await;
    assert_eq!((again.status.as_u16(), again.code()), (409, "conflict"));
    let beat = app.done(HEARTBEAT, json!({"worker_id": "w", "active_jobs": [job["id"]]})).await;
    assert_eq!(beat["jobs_to_cancel"], json!([job["id"]]));
    app.stop().await;
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_leaves_nothing() {
    let app = App::start().await;
    for (body, status, code, field) in [
        (json!({}), 400, "invalid_request", "steps"),
        (json!({"type": "chain", "steps": []}), 400, "invalid_request", "steps"),
        (json!({"type": "chain", "steps": [{"args": []}]}), 400, "invalid_request", "steps[0].type"),
        (json!({"type": "batch", "jobs": [step("a")]}), 400, "invalid_request", "callbacks"),
        (json!({"type": "group", "jobs": vec![step("a"); 1_001]}), 400, "invalid_request", "jobs"),
        (
            json!({"steps": [{"id": "a", "type": "a", "args": [], "depends_on": ["a"]}]}),
            400,
            "invalid_request",
            "steps[0].depends_on",
        ),
        (
            json!({"type": "group", "jobs": [{"type": "chain", "steps": [{"args": []}]}]}),
            400,
            "invalid_request",
            "jobs[0].steps[0].type",
        ),
        (
            (0..6).fold(step("a"), |inner, _| json!({"type": "chain", "steps": [inner]})),
            400,
            "invalid_request",
            "steps[0].steps[0].steps[0].steps[0].steps[0]",
        ),
        (
            json!({"type": "chain", "steps": [{"type": "a", "args": [], "options": {"retry": {"max_attempts": -1}}}]}),
            422,
            "validation_error",
            "steps[0].options.retry.max_attempts",
        ),
    ] {
        let details = app.refused(WORKFLOWS, body.clone(), status, code).await;
        assert_eq!(details["field"], field, "{body}");
    }
    assert_eq!(app.get(WORKFLOWS).await.body["workflows"], json!([]));
    assert_eq!(app.get(QUEUES).await.body["queues"], json!([]));
    for path in ["x", "019461a8-1a2b-7c3d-8e4f-5a6b7c8d9e0f"] {
        assert_eq!(app.get(&format!("{WORKFLOWS}/{path}")).await.status, 404);
        assert_eq!(app.delete(&format!("{WORKFLOWS}/{path}")).await.status, 404);
    }
    app.stop().await;
}
