//! What the official SDKs send, as read from their sources (docs/sdks.md): all of it works, in their order and with their headers.
#![allow(clippy::unwrap_used)]

use crate::support;

use axum::body::Body;
use http::Request;
use ojs_testkit::{Answer, Http};
use serde_json::{Value, json};
use support::*;

/// An SDK, and how what it sends differs from the others.
struct Sdk {
    name: &'static str,
    accept: &'static str,
    version: &'static str,
    /// A unique policy, with the queue among its keys.
    unique: Value,
    retry: Value,
    /// How a fetch says how many jobs it wants.
    count: (&'static str, u64),
    /// The heartbeat of a worker that runs these jobs.
    beat: fn(&[&str]) -> Value,
    nack: Value,
}

fn listed(ids: &[&str]) -> Value {
    json!({"worker_id": "w", "active_jobs": ids})
}

fn counted(ids: &[&str]) -> Value {
    json!({
        "worker_id": "w", "state": "running", "active_jobs": ids.len(), "active_job_ids": ids,
        "hostname": "host", "pid": 7, "queues": ["default"], "concurrency": 10, "labels": []
    })
}

/// A slice that Go has not made is `null`.
fn counted_or_null(ids: &[&str]) -> Value {
    let listed = if ids.is_empty() { Value::Null } else { json!(ids) };
    json!({"worker_id": "w", "state": "running", "active_jobs": ids.len(), "active_job_ids": listed})
}

fn sdks() -> Vec<Sdk> {
    let retry = json!({"max_attempts": 3, "initial_interval": "PT1S", "backoff_coefficient": 2.0, "jitter": false});
    let retry_ms = json!({
        "max_attempts": 3, "initial_interval_ms": 1_000, "backoff_coefficient": 2.0, "max_interval_ms": 300_000, "jitter": false
    });
    let error = json!({"code": "handler_error", "message": "m", "retryable": true, "details": {"error_class": "E"}});
    let base = |name| Sdk {
        name,
        accept: MEDIA_TYPE,
        version: "1.0",
        unique: json!({"key": ["queue"], "period_ms": 60_000, "on_conflict": "reject"}),
        retry: retry_ms.clone(),
        count: ("count", 5),
        beat: listed,
        nack: error.clone(),
    };
    let js = json!({"key": ["queue"], "period": "PT1M", "on_conflict": "reject", "states": ["available", "active"]});
    let python = json!({"key": ["queue"], "period": "PT1M", "on_conflict": "reject", "states": ["available", "active", "scheduled"]});
    vec![
        Sdk { unique: js, retry: retry.clone(), beat: counted, ..base("js") },
        Sdk { unique: python, retry: retry.clone(), accept: "application/json", ..base("python") },
        Sdk { version: "1.0.0-rc.1", beat: counted_or_null, ..base("go") },
        base("java"),
        base("rust"),
        Sdk { unique: json!({"keys": ["queue"], "period": "PT1M"}), retry, count: ("batch_size", 5), ..base("ruby") },
    ]
}

async fn send(http: &Http, sdk: &Sdk, method: &str, path: &str, body: Value) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", MEDIA_TYPE)
        .header("accept", sdk.accept)
        .header("ojs-version", sdk.version);
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    let answer = http.send(request.body(body).unwrap()).await;
    let wanted = if sdk.accept == "application/json" { "application/json" } else { MEDIA_TYPE };
    assert_eq!(answer.headers["content-type"], wanted, "{}", sdk.name);
    answer
}

#[tokio::test]
async fn what_they_send_works() {
    for sdk in sdks() {
        let app = App::start().await;
        let http = app.stack.http();
        let post = async |path: &str, body: Value, status: u16| {
            let answer = send(&http, &sdk, "POST", path, body.clone()).await;
            assert_eq!(answer.status.as_u16(), status, "{}: {path} {body}: {}", sdk.name, answer.body);
            answer.body
        };
        let options = json!({
            "queue": "default", "priority": 1, "timeout_ms": 30_000, "tags": ["a"], "visibility_timeout_ms": 30_000, "retry": sdk.retry
        });
        let job = |options: &Value| json!({"type": "email.send", "args": [{"to": "a"}], "meta": {"m": 1}, "options": options});
        let mut unique = options.clone();
        unique["unique"] = sdk.unique.clone();
        post(JOBS, job(&unique), 201).await;
        // The policy was understood, not passed over.
        post(JOBS, job(&unique), 409).await;
        post("/ojs/v1/jobs/batch", json!({"jobs": [job(&options), job(&options)]}), 201).await;
        post(HEARTBEAT, (sdk.beat)(&[]), 200).await;
        let mut fetch = json!({"queues": ["default"], "worker_id": "w", "visibility_timeout_ms": 30_000});
        fetch[sdk.count.0] = json!(sdk.count.1);
        let fetched = post(FETCH, fetch, 200).await;
        let ids: Vec<String> = fetched["jobs"].as_array().unwrap().iter().map(|job| text(&job["id"])).collect();
        assert_eq!(ids.len(), 3, "{}: {fetched}", sdk.name);
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let beat = post(HEARTBEAT, (sdk.beat)(&ids), 200).await;
        assert_eq!((&beat["state"], beat["jobs_extended"].as_array().unwrap().len()), (&json!("running"), 3));
        post(ACK, json!({"job_id": ids[0], "result": {"sent": true}}), 200).await;
        post(ACK, json!({"job_id": ids[1]}), 200).await;
        let nacked = post(NACK, json!({"job_id": ids[2], "error": sdk.nack}), 200).await;
        assert_eq!(nacked["state"], "retryable", "{}", sdk.name);
        let shown = send(&http, &sdk, "GET", &job_path(ids[0]), Value::Null).await;
        assert_eq!((shown.status.as_u16(), &shown.body["job"]["state"]), (200, &json!("completed")));
        let cancelled = send(&http, &sdk, "DELETE", &job_path(ids[2]), Value::Null).await;
        assert_eq!(cancelled.status, 200, "{}", sdk.name);
        app.stop().await;
    }
}

#[tokio::test]
async fn their_workflows_work() {
    let step = |id: &str, on: &[&str]| json!({"id": id, "type": "a", "args": [], "depends_on": on});
    let job = json!({"type": "a", "args": []});
    let sdks = sdks();
    for (name, workflow, jobs) in [
        ("js", json!({"type": "chain", "steps": [job, job]}), 1),
        ("js", json!({"type": "batch", "jobs": [job, job], "callbacks": {"on_complete": job}}), 2),
        ("python", json!({"name": "w", "steps": [step("step-0", &[]), step("step-1", &["step-0"])]}), 1),
        ("go", json!({"steps": [step("job-0", &[]), step("job-1", &[])]}), 2),
        ("ruby", json!({"type": "group", "jobs": [job, job]}), 2),
    ] {
        let app = App::start().await;
        let sdk = sdks.iter().find(|sdk| sdk.name == name).unwrap();
        let made = send(&app.stack.http(), sdk, "POST", "/ojs/v1/workflows", workflow).await;
        assert_eq!(made.status, 201, "{name}: {}", made.body);
        let fetched = app.post(FETCH, json!({"queues": ["default"], "count": 10})).await;
        assert_eq!(fetched.body["jobs"].as_array().unwrap().len(), jobs, "{name}");
        app.stop().await;
    }
}
