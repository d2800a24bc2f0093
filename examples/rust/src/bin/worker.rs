//! A worker: fetches jobs of the queue `mail`, one at a time, keeps their leases while it works, and reports how they ended.
//!
//! ```sh
//! OJS_URL=http://127.0.0.1:8080 cargo run --bin ojs-example-worker
//! ```
//!
//! With `OJS_MAX_JOBS=N` it ends after N jobs; SIGINT and SIGTERM end it after the job at hand.
#![allow(clippy::print_stdout)] // the program's output

use std::time::Duration;

use ojs_example::{Api, Job, Outcome};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

const HEARTBEAT: Duration = Duration::from_secs(60);
/// How long to wait after a fetch without jobs, or for a server that cannot be reached.
const PAUSE: Duration = Duration::from_millis(500);

struct Worker {
    api: Api,
    id: String,
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let worker = Worker { api: Api::from_env()?, id: format!("rust-{}", std::process::id()) };
    let mut left: u64 = std::env::var("OJS_MAX_JOBS").map_or(Ok(u64::MAX), |text| text.parse())?;
    let mut stopping = stopping()?;
    while left > 0 && !*stopping.borrow() {
        let jobs = worker.fetch().await?;
        if jobs.is_empty() {
            // Ends early when the worker is told to stop.
            let _ = timeout(PAUSE, stopping.changed()).await;
        }
        for job in jobs {
            worker.work(&job).await?;
            left -= 1;
        }
    }
    Ok(())
}

impl Worker {
    async fn fetch(&self) -> Outcome<Vec<Job>> {
        let mut answer =
            self.post("workers/fetch", json!({"queues": ["mail"], "count": 1, "worker_id": self.id})).await?;
        Ok(serde_json::from_value(answer["jobs"].take())?)
    }

    /// Runs a job and reports its end. The lease token makes a repeated report harmless, and a late one ineffective.
    async fn work(&self, job: &Job) -> Outcome<()> {
        let ended = tokio::select! {
            ended = handle(job) => ended,
            lost = self.keep_lease(job) => return lost,
        };
        let (path, mut report) = match ended {
            Ok(result) => ("workers/ack", json!({"result": result})),
            Err(error) => ("workers/nack", json!({"error": {"code": "handler_error", "message": error.to_string()}})),
        };
        report["job_id"] = json!(job.id);
        report["lease_token"] = json!(job.lease_token);
        self.post(path, report).await?;
        Ok(())
    }

    /// Extends the lease for as long as it is polled.
    async fn keep_lease(&self, job: &Job) -> Outcome<()> {
        let held = json!({
            "worker_id": self.id, "active_jobs": [job.id], "lease_tokens": {job.id.as_str(): job.lease_token}
        });
        loop {
            sleep(HEARTBEAT).await;
            self.post("workers/heartbeat", held.clone()).await?;
        }
    }

    /// A POST, repeated while the server cannot be reached. Null where another worker has the job.
    async fn post(&self, path: &str, body: Value) -> Outcome<Value> {
        loop {
            match self.api.call(Method::POST, path, Some(&body)).await {
                Err(error) if is_connection(error.as_ref()) => sleep(PAUSE).await,
                answered => return Ok(answered?.unwrap_or_default()),
            }
        }
    }
}

/// The work: what it returns is the job's result, or the attempt's error.
async fn handle(job: &Job) -> Outcome<Value> {
    match (job.job_type.as_str(), job.args.as_slice()) {
        ("email.send", [Value::String(to)]) => {
            println!("email to {to}");
            Ok(json!({"sent": true}))
        }
        (other, _) => Err(format!("no handler for {other} with these arguments").into()),
    }
}

fn is_connection(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    error.downcast_ref::<reqwest::Error>().is_some_and(|error| error.is_connect() || error.is_timeout())
}

/// Becomes true at SIGINT or SIGTERM.
fn stopping() -> Outcome<watch::Receiver<bool>> {
    let (stop, stopping) = watch::channel(false);
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        let _ = stop.send(true);
    });
    Ok(stopping)
}
