//! The engine, called in this process.

use ojs_core::Engine;
use ojs_model::job::Job;
use serde_json::{Value, json};

use super::subject::Subject;
use crate::Outcome;
use crate::lab::{ack, fetch, request};

pub(crate) struct InProcess {
    pub(crate) engine: Engine,
    pub(crate) args: Value,
}

impl Subject for InProcess {
    type Held = Job;

    async fn prepare(&self, queue: &str) -> Outcome<()> {
        self.enqueue(queue).await?;
        if let Some(job) = self.fetch(queue).await? {
            self.ack(job).await?;
        }
        Ok(())
    }

    async fn enqueue(&self, queue: &str) -> Outcome<()> {
        self.engine.enqueue(request(&self.args, queue, &json!({}))?).await?;
        Ok(())
    }

    async fn fetch(&self, queue: &str) -> Outcome<Option<Job>> {
        Ok(self.engine.fetch(fetch(queue, 1)).await?.into_iter().next())
    }

    async fn ack(&self, job: Job) -> Outcome<()> {
        self.engine.ack(ack(&job)).await?;
        Ok(())
    }
}
