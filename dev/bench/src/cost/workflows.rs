//! Workflows, counted.

use ojs_core::engine::Ack;
use ojs_model::bulk::IdempotencyKey;
use ojs_model::json::{Fields, raw};
use serde_json::{Value, json};

use super::meter::Meter;
use super::operations::{Operation, expect};
use super::tally::Tally;
use crate::Outcome;
use crate::lab::{ack, fetch};

/// Jobs of a group or batch.
const HUNDRED: usize = 100;

fn fields(body: &Value) -> Outcome<Fields> {
    Ok(Fields::from_body(body.to_string().as_bytes())?)
}

impl Operation {
    fn jobs(self, meter: &Meter, count: usize) -> Vec<Value> {
        (0..count).map(|_| meter.lab.body(&self.queue(), &json!({}))).collect()
    }

    fn callback(self, meter: &Meter) -> Value {
        meter.lab.body(&format!("{}-callbacks", self.queue()), &json!({}))
    }

    /// A chain of one job under an idempotency key.
    pub(super) async fn workflow_create_keyed(self, meter: &Meter) -> Outcome<Tally> {
        let engine = &meter.lab.engine;
        let key = IdempotencyKey::parse("key", engine.ids().job_id(engine.now_ms()).to_string())?;
        let body = json!({"type": "chain", "steps": self.jobs(meter, 1)});
        let ((_, replayed), tally) = meter.count(engine.create_workflow_keyed(fields(&body)?, &key)).await?;
        expect(!replayed, "the key is new")?;
        Ok(tally)
    }

    /// A hundred jobs (fewer large ones) in one workflow, per job.
    pub(super) async fn workflow_create(self, meter: &Meter) -> Outcome<Tally> {
        // A definition holds 300 KiB.
        let count = HUNDRED.min(250_000 / meter.args_bytes.max(1));
        let jobs = self.jobs(meter, count);
        let body = match self {
            Self::WorkflowCreateBatch => {
                json!({"type": "batch", "jobs": jobs, "callbacks": {"on_complete": self.callback(meter)}})
            }
            Self::WorkflowCreateChain => json!({"type": "chain", "steps": jobs}),
            _ => json!({"type": "group", "jobs": jobs}),
        };
        let (made, tally) = meter.count(meter.lab.engine.create_workflow(fields(&body)?)).await?;
        expect(made.steps.len() == count, "all jobs are in it")?;
        // What a chain has not started is out of the way.
        meter.lab.engine.cancel_workflow(&made.workflow.id).await?;
        Ok(tally.per(count))
    }

    /// An ack that ends a step and starts the next.
    pub(super) async fn workflow_chain_step(self, meter: &Meter) -> Outcome<Tally> {
        let queue = self.queue();
        let body = json!({"type": "chain", "steps": self.jobs(meter, 3)});
        let id = meter.lab.engine.create_workflow(fields(&body)?).await?.workflow.id;
        meter.lab.work_off(&queue).await?;
        let job = meter.lab.fetch_one(&queue).await?;
        let tally = meter.count(meter.lab.engine.ack(ack(&job))).await?.1;
        meter.lab.work_off(&queue).await?;
        let end = meter.lab.engine.get_workflow(&id).await?;
        expect(end.workflow.ended_at.is_some(), "the chain has ended")?;
        Ok(tally)
    }

    /// A whole chain, per step: made, and each step fetched and acked with a result.
    pub(super) async fn chain(self, meter: &Meter) -> Outcome<Tally> {
        let (steps, result_bytes) = self.growth().ok_or("a chain has a length")?;
        let (engine, queue) = (&meter.lab.engine, self.queue());
        let body = json!({"type": "chain", "steps": self.jobs(meter, steps)});
        let request = fields(&body)?;
        let result = raw(json!("r".repeat(result_bytes - 2)).to_string())?;
        let whole = async {
            let id = engine.create_workflow(request).await?.workflow.id;
            for _ in 0..steps {
                let job = engine.fetch(fetch(&queue, 1)).await?.pop();
                let job = job.ok_or_else(|| ojs_model::Error::internal("a step is to be fetched"))?;
                engine.ack(Ack { result: Some(result.clone()), ..ack(&job) }).await?;
            }
            Ok(id)
        };
        let (id, mut tally) = meter.count(whole).await?;
        tally.actions.clear();
        let end = engine.get_workflow(&id).await?;
        expect(end.workflow.ended_at.is_some(), "the chain has ended")?;
        Ok(tally.per(steps))
    }

    /// An ack of a job of a group that is not the last, or (of a batch) of the last, which makes the callback.
    pub(super) async fn workflow_member(self, meter: &Meter) -> Outcome<Tally> {
        let queue = self.queue();
        let last = self == Self::WorkflowBatchLast;
        let body = if last {
            let callbacks = json!({"on_complete": self.callback(meter)});
            json!({"type": "batch", "jobs": self.jobs(meter, 2), "callbacks": callbacks})
        } else {
            json!({"type": "group", "jobs": self.jobs(meter, 2)})
        };
        meter.lab.engine.create_workflow(fields(&body)?).await?;
        let jobs = meter.lab.engine.fetch(fetch(&queue, 2)).await?;
        expect(jobs.len() == 2, "both jobs are there")?;
        let first = meter.count(meter.lab.engine.ack(ack(&jobs[0]))).await?.1;
        let second = meter.count(meter.lab.engine.ack(ack(&jobs[1]))).await?.1;
        Ok(if last { second } else { first })
    }
}
