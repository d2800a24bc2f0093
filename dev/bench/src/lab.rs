//! One engine on a table of its own, with what the operations need done beforehand.

use std::sync::Arc;

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use ojs_core::engine::{Ack, Fetch, Nack};
use ojs_core::{Engine, Settings, SystemClock};
use ojs_model::job::{Failure as JobFailure, Holder, Job};
use ojs_model::json::{Fields, raw};
use serde_json::{Value, json};

use crate::Outcome;
use crate::stage::Stage;

/// The worker of all benchmarks.
pub(crate) const WORKER: &str = "worker-1";

/// An engine, and jobs whose args have one size.
pub(crate) struct Lab {
    pub(crate) engine: Arc<Engine>,
    args: Value,
}

impl Lab {
    /// An engine told `settings`, whose AWS calls `http` carries.
    pub(crate) async fn start(
        stage: &Stage,
        settings: &Settings,
        http: SharedHttpClient,
        args_bytes: usize,
    ) -> Outcome<Self> {
        let engine = stage.engine(settings, Some(http), Arc::new(SystemClock)).await?;
        Ok(Self { engine: Arc::new(engine), args: args_of(args_bytes) })
    }

    /// The body of an enqueue into `queue`; `more` are further options.
    pub(crate) fn request(&self, queue: &str, more: &Value) -> Outcome<Fields> {
        request(&self.args, queue, more)
    }

    /// The same as JSON.
    pub(crate) fn body(&self, queue: &str, more: &Value) -> Value {
        body(&self.args, queue, more)
    }

    pub(crate) async fn enqueue(&self, queue: &str, more: &Value) -> Outcome<Job> {
        Ok(self.engine.enqueue(self.request(queue, more)?).await?.job)
    }

    /// Enqueues a job and fetches it.
    pub(crate) async fn active(&self, queue: &str, more: &Value) -> Outcome<Job> {
        self.enqueue(queue, more).await?;
        self.fetch_one(queue).await
    }

    pub(crate) async fn fetch_one(&self, queue: &str) -> Outcome<Job> {
        let jobs = self.engine.fetch(fetch(queue, 1)).await?;
        jobs.into_iter().next().ok_or_else(|| format!("queue {queue} answered no job").into())
    }

    /// Fetches a job and acks it, so that it is out of the way.
    pub(crate) async fn work_off(&self, queue: &str) -> Outcome<()> {
        let job = self.fetch_one(queue).await?;
        self.engine.ack(ack(&job)).await?;
        Ok(())
    }

    /// A job that has become a dead letter.
    pub(crate) async fn dead_letter(&self, queue: &str) -> Outcome<Job> {
        let retry = json!({"retry": {"max_attempts": 1, "on_exhaustion": "dead_letter"}});
        let job = self.active(queue, &retry).await?;
        Ok(self.engine.nack(nack(&job)?).await?)
    }
}

/// A JSON array of exactly this many bytes (at least 4).
pub(crate) fn args_of(bytes: usize) -> Value {
    json!(["x".repeat(bytes.saturating_sub(r#"[""]"#.len()))])
}

/// The body of an enqueue.
pub(crate) fn request(args: &Value, queue: &str, more: &Value) -> Outcome<Fields> {
    Ok(Fields::from_body(body(args, queue, more).to_string().as_bytes())?)
}

/// The same as JSON.
pub(crate) fn body(args: &Value, queue: &str, more: &Value) -> Value {
    let mut options = json!({"queue": queue});
    if let (Some(options), Some(more)) = (options.as_object_mut(), more.as_object()) {
        options.extend(more.clone());
    }
    json!({"type": "bench.job", "args": args, "options": options})
}

pub(crate) fn fetch(queue: &str, count: usize) -> Fetch {
    Fetch { queues: vec![queue.to_owned()], count, worker_id: Some(WORKER.to_owned()), visibility_ms: None }
}

/// With nothing but the id, as the OJS body has it.
pub(crate) fn ack(job: &Job) -> Ack {
    Ack { id: job.id.clone(), holder: Holder::default(), result: None }
}

pub(crate) fn holder(job: &Job) -> Holder {
    Holder { worker: Some(WORKER.to_owned()), token: token(job) }
}

pub(crate) fn token(job: &Job) -> Option<String> {
    job.lease.as_ref().map(|lease| lease.token.clone())
}

pub(crate) fn nack(job: &Job) -> Outcome<Nack> {
    let error = json!({"code": "handler_error", "message": "the upstream service answered 503", "retryable": true});
    let failure = JobFailure::parse(&raw(error.to_string())?)?;
    Ok(Nack { id: job.id.clone(), holder: Holder::default(), failure: Some(failure), requeue: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn args_have_the_size_asked_for() {
        for bytes in [200, 1_024, 10_240] {
            assert_eq!(args_of(bytes).to_string().len(), bytes);
        }
    }
}
