//! The local stack over real HTTP: it serves, resets, and keeps jobs in a file from one run to the next.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::PathBuf;

use ojs_local::{Stack, StackOptions};
use serde_json::{Value, json};

fn client() -> reqwest::Client {
    // reqwest asks for TLS even where all URLs are http.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

async fn post(stack: &Stack, path: &str, body: Value) -> Value {
    let url = format!("{}/ojs/v1/{path}", stack.url());
    client().post(url).json(&body).send().await.unwrap().json().await.unwrap()
}

async fn fetch(stack: &Stack) -> Vec<Value> {
    let jobs = post(stack, "workers/fetch", json!({"queues": ["default"], "count": 10})).await;
    jobs["jobs"].as_array().unwrap().clone()
}

async fn start(db: Option<PathBuf>) -> Stack {
    Stack::start(StackOptions { db, ..StackOptions::default() }).await.unwrap()
}

#[tokio::test]
async fn a_reset_empties_everything() {
    let stack = start(None).await;
    let job = post(&stack, "jobs", json!({"type": "a", "args": []})).await;
    assert_eq!(post(&stack, "admin/reset", json!({})).await, json!({"reset": true}));
    assert!(fetch(&stack).await.is_empty());
    let url = format!("{}/ojs/v1/jobs/{}", stack.url(), job["job"]["id"].as_str().unwrap());
    assert_eq!(client().get(url).send().await.unwrap().status(), 404);
    // The queue can be used again at once.
    post(&stack, "jobs", json!({"type": "b", "args": []})).await;
    assert_eq!(fetch(&stack).await[0]["type"], "b");
    stack.shutdown().await;
}

#[tokio::test]
async fn jobs_in_a_file_outlive_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("jobs.db");
    let stack = start(Some(db.clone())).await;
    let done = post(&stack, "jobs", json!({"type": "done", "args": []})).await;
    let id = done["job"]["id"].clone();
    assert_eq!(fetch(&stack).await.len(), 1);
    post(&stack, "workers/ack", json!({"job_id": id})).await;
    post(&stack, "jobs", json!({"type": "waits", "args": []})).await;
    post(&stack, "jobs", json!({"type": "later", "args": [], "options": {"scheduled_at": "+PT1H"}})).await;
    stack.shutdown().await;

    let stack = start(Some(db)).await;
    let jobs = fetch(&stack).await;
    assert_eq!(jobs.iter().map(|job| &job["type"]).collect::<Vec<_>>(), ["waits"]);
    let url = format!("{}/ojs/v1/jobs/{}", stack.url(), id.as_str().unwrap());
    let kept: Value = client().get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(kept["job"]["state"], "completed");
    stack.shutdown().await;
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let stack = start(None).await;
    let addr = stack.url().strip_prefix("http://").unwrap().parse().unwrap();
    let error = Stack::start(StackOptions { api_addr: addr, ..StackOptions::default() }).await.unwrap_err();
    assert!(error.to_string().contains(&addr.to_string()), "{error}");
    stack.shutdown().await;
}
