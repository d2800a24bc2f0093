//! The API of the local stack, called over HTTP.

use ojs_local::Stack;
use reqwest::{Client, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::subject::Subject;
use crate::Outcome;
use crate::lab::{WORKER, body};

pub(crate) struct Http {
    client: Client,
    url: String,
    args: Value,
}

#[derive(Deserialize)]
struct Fetched {
    jobs: Vec<HttpJob>,
}

#[derive(Deserialize)]
pub(crate) struct HttpJob {
    id: String,
    lease_token: String,
}

impl Http {
    pub(crate) fn new(stack: &Stack, args: Value) -> Self {
        Self { client: Client::new(), url: format!("{}/ojs/v1", stack.url()), args }
    }

    async fn post(&self, path: &str, body: &Value) -> Outcome<Response> {
        Ok(self.client.post(format!("{}{path}", self.url)).json(body).send().await?.error_for_status()?)
    }
}

impl Subject for Http {
    type Held = HttpJob;

    async fn prepare(&self, queue: &str) -> Outcome<()> {
        self.enqueue(queue).await?;
        if let Some(job) = self.fetch(queue).await? {
            self.ack(job).await?;
        }
        Ok(())
    }

    async fn enqueue(&self, queue: &str) -> Outcome<()> {
        self.post("/jobs", &body(&self.args, queue, &json!({}))).await?.bytes().await?;
        Ok(())
    }

    async fn fetch(&self, queue: &str) -> Outcome<Option<HttpJob>> {
        let request = json!({"queues": [queue], "count": 1, "worker_id": WORKER});
        let fetched: Fetched = self.post("/workers/fetch", &request).await?.json().await?;
        Ok(fetched.jobs.into_iter().next())
    }

    async fn ack(&self, job: HttpJob) -> Outcome<()> {
        let request = json!({"job_id": job.id, "worker_id": WORKER, "lease_token": job.lease_token});
        self.post("/workers/ack", &request).await?.bytes().await?;
        Ok(())
    }
}
