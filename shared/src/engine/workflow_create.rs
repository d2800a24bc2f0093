use super::Engine;
use super::workflow_start::Inherited;
use crate::error::{Error, Result};
use crate::json::Fields;
use crate::observe::trace;
use crate::workflow::{Shown, StepView, Workflow, parse_workflow};

/// How long a tick leaves a workflow to the request that works on it, ms: longer than any request runs.
pub(super) const WATCH_MS: i64 = 60_000;

impl Engine {
    /// Creates a workflow and starts its first steps (workflows section 8; HTTP binding section 14.1).
    ///
    /// From the first write on it is there and goes on whatever happens: what this request does not get done, a tick does.
    ///
    /// # Errors
    /// As [`parse_workflow`]; the AWS error, and then there is no workflow, or its request died and nobody was told of it.
    pub async fn create_workflow(&self, request: Fields) -> Result<Shown> {
        let now = self.now_ms();
        let definition = parse_workflow(request, now, &self.ids)?;
        let due = now + WATCH_MS;
        let mut workflow = Workflow::new(self.ids.job_id(now), &definition, None, now, due);
        workflow.trace = trace::current();
        if !self.store.put_workflow(&workflow, &definition, self.ids.nonce()).await? {
            return Err(Error::internal("a new workflow's id is taken"));
        }
        let started = async {
            self.start_workflow(&workflow, &definition, Inherited::Known(None)).await?;
            self.store.leave_workflow(&workflow.id, due).await
        };
        if let Err(error) = started.await {
            tracing::warn!(workflow_id = %workflow.id, %error, "workflow not started in full; a tick goes on");
        }
        tracing::info!(workflow_id = %workflow.id, kind = definition.kind.as_str(), steps = workflow.steps.len(), "workflow created");
        let steps = workflow.steps.iter().copied().map(StepView::noted).collect();
        Ok(Shown { definition, workflow, steps })
    }
}
