use super::Engine;
use super::tick::Tick;
use super::workflow_start::{jobs_of, started};
use crate::error::Result;
use crate::ids::JobId;
use crate::store::Shard;
use crate::workflow::{Workflow, WorkflowState};

impl Engine {
    /// Goes on with workflows whose request has died, one after the other; those that fail stay for the next tick.
    pub(super) async fn look_after_workflows(&self, workflows: &[(JobId, i64)], tick: &Tick<'_>) {
        let now = self.now_ms();
        for (id, due_at) in workflows.iter().filter(|(_, due_at)| *due_at <= now) {
            if !tick.has_time() {
                return;
            }
            let looked = async {
                self.look_after_workflow(id).await?;
                self.store.leave_workflow(id, *due_at).await
            };
            if let Err(error) = looked.await {
                tracing::warn!(workflow_id = %id, %error, "workflow not looked after; the next tick tries again");
            }
        }
    }

    async fn look_after_workflow(&self, id: &JobId) -> Result<()> {
        let Some(workflow) = self.store.get_workflow(id).await? else { return Ok(()) };
        let Some(definition) = self.store.get_definition(id).await? else { return Ok(()) };
        tracing::info!(workflow_id = %id, state = workflow.state.as_str(), "workflow looked after");
        match workflow.state {
            WorkflowState::Cancelled => {
                self.stop_steps(&workflow).await?;
                return self.store.expire_parts(&workflow, self.now_ms()).await;
            }
            // Its callbacks may not all have been made.
            WorkflowState::Completed | WorkflowState::Failed if workflow.shards > 0 => return self.end_flat(id).await,
            WorkflowState::Completed | WorkflowState::Failed => return Ok(()),
            WorkflowState::Running => {}
        }
        if workflow.creating {
            self.start_workflow(&workflow, &definition).await?;
        }
        let open = self.open_steps(&workflow).await?;
        let jobs = self.store.get_jobs(&jobs_of(&workflow, &open)).await?;
        let made = |step: &usize| jobs.iter().any(|job| job.member_of.as_ref().is_some_and(|m| m.index == *step));
        let lost: Vec<usize> = open.iter().filter(|step| !made(step)).copied().collect();
        self.start_steps(&workflow, &definition, &lost).await?;
        for job in jobs.iter().filter(|job| job.state.is_terminal()) {
            self.advance_workflow(job).await?;
        }
        // The last end may be noted, and what follows from it not.
        if workflow.shards > 0 { self.end_flat(id).await } else { Ok(()) }
    }

    /// Steps whose jobs have been made and not ended, as far as is noted.
    async fn open_steps(&self, workflow: &Workflow) -> Result<Vec<usize>> {
        if workflow.shards == 0 {
            return Ok(started(workflow));
        }
        let shards: Vec<Shard> = self.store.get_shards(&workflow.id, workflow.shards).await?;
        Ok(shards.into_iter().flat_map(|shard| shard.open).collect())
    }
}
