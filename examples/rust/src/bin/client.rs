//! Enqueues a job and waits for its result.
//!
//! ```sh
//! OJS_URL=http://127.0.0.1:8080 cargo run --bin ojs-example-client bob@example.com
//! ```
#![allow(clippy::print_stdout)] // the program's output

use std::time::Duration;

use ojs_example::{Api, Job, Outcome};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Outcome<()> {
    let api = Api::from_env()?;
    let to = std::env::args().nth(1).unwrap_or_else(|| "bob@example.com".to_owned());
    let request = json!({
        "type": "email.send", "args": [to],
        "options": {"queue": "mail", "retry": {"max_attempts": 5}}
    });
    let mut job = job_from(&api, Method::POST, "jobs", Some(&request)).await?;
    println!("enqueued {}", job.id);
    while !["completed", "discarded", "cancelled"].contains(&job.state.as_str()) {
        tokio::time::sleep(Duration::from_millis(200)).await;
        job = job_from(&api, Method::GET, &format!("jobs/{}", job.id), None).await?;
    }
    println!("{} {}", job.state, job.result);
    if job.state == "completed" { Ok(()) } else { Err("the job did not complete".into()) }
}

/// The job that a request answers.
async fn job_from(api: &Api, method: Method, path: &str, body: Option<&Value>) -> Outcome<Job> {
    let mut answer = api.call(method, path, body).await?.ok_or("409: this job exists already")?;
    Ok(serde_json::from_value(answer["job"].take())?)
}
