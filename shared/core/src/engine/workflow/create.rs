use super::start::Inherited;
use crate::engine::Engine;
use crate::engine::bulk::idempotency::other_request;
use crate::observe::trace;
use crate::store::{Record, Ticket, WorkflowPut};
use ojs_model::bulk::{IdempotencyKey, Operation};
use ojs_model::error::{Error, Result};
use ojs_model::ids::JobId;
use ojs_model::json::Fields;
use ojs_model::workflow::{Definition, Shown, StepView, Workflow, parse_workflow};

/// How long a tick leaves a workflow to the request that works on it, ms: longer than any request runs.
pub(in crate::engine) const WATCH_MS: i64 = 60_000;

impl Engine {
    /// Creates a workflow and starts its first steps (workflows section 8; HTTP binding section 14.1).
    ///
    /// From the first write on it is there and goes on whatever happens: what this request does not get done, a tick does.
    ///
    /// # Errors
    /// As [`parse_workflow`]; the AWS error, and then there is no workflow, or its request crashed and no client was told of it.
    pub async fn create_workflow(&self, request: Fields) -> Result<Shown> {
        let now = self.now_ms();
        let definition = parse_workflow(request, now, &self.ids)?;
        Ok(self.put_and_start(definition, None, now).await?.0)
    }

    /// The same under an idempotency key (ADR 0039): one transaction makes the workflow and the key's record, so a repetition gets the
    /// answer of the first request, whether or not that one was answered; `true` says that it is a repetition.
    ///
    /// # Errors
    /// As [`Self::create_workflow`]; `conflict` when the key was another request's.
    pub async fn create_workflow_keyed(&self, request: Fields, key: &IdempotencyKey) -> Result<(Shown, bool)> {
        let now = self.now_ms();
        let fingerprint = request.fingerprint();
        let definition = parse_workflow(request, now, &self.ids)?;
        let ticket = Ticket::new(Operation::Workflow, key, self.ids.nonce());
        self.put_and_start(definition, Some((&ticket, fingerprint)), now).await
    }

    async fn put_and_start(
        &self,
        definition: Definition,
        key: Option<(&Ticket, [u8; 32])>,
        now: i64,
    ) -> Result<(Shown, bool)> {
        let due = now + WATCH_MS;
        let mut workflow = Workflow::new(self.ids.job_id(now), &definition, None, now, due);
        workflow.trace = trace::current();
        match (self.store.put_workflow_keyed(&workflow, &definition, self.ids.nonce(), key).await?, key) {
            (WorkflowPut::Done, _) => {}
            (WorkflowPut::Keyed(record), Some((_, fingerprint))) => {
                return Ok((replayed(&record, definition, fingerprint)?, true));
            }
            (WorkflowPut::Taken | WorkflowPut::Keyed(_), _) => {
                return Err(Error::internal("a new workflow's id is taken"));
            }
        }
        let started = async {
            self.start_workflow(&workflow, &definition, Inherited::Known(None)).await?;
            self.store.leave_workflow(&workflow.id, due).await
        };
        if let Err(error) = started.await {
            tracing::warn!(workflow_id = %workflow.id, %error, "workflow not started in full; a tick goes on");
        }
        tracing::info!(workflow_id = %workflow.id, kind = definition.kind.as_str(), steps = workflow.steps.len(), "workflow created");
        Ok((as_made(workflow, definition), false))
    }
}

/// The answer that the first request with a key got, or would have got: it follows from the request and the record.
fn replayed(record: &Record, definition: Definition, fingerprint: [u8; 32]) -> Result<Shown> {
    if record.fingerprint != fingerprint {
        return Err(other_request());
    }
    let id = record.plan.as_deref().and_then(JobId::parse);
    let id = id.ok_or_else(|| Error::internal("a record of an idempotency key names no workflow"))?;
    let workflow = Workflow::new(id, &definition, None, record.first_at, record.first_at + WATCH_MS);
    Ok(as_made(workflow, definition))
}

fn as_made(workflow: Workflow, definition: Definition) -> Shown {
    let steps = workflow.steps.iter().copied().map(StepView::noted).collect();
    Shown { definition, workflow, steps, callbacks: Vec::new() }
}
