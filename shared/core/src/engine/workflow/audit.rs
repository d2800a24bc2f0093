use super::start::{jobs_of, started};
use crate::engine::Engine;
use crate::engine::tick::Tick;
use crate::store::Shard;
use ojs_model::error::Result;
use ojs_model::ids::JobId;
use ojs_model::job::Job;
use ojs_model::workflow::{Workflow, WorkflowState};

impl Engine {
    /// Goes on with workflows whose request has died, one after the other; those that fail stay for the next tick.
    pub(in crate::engine) async fn resume_workflows(&self, workflows: &[(JobId, i64)], tick: &Tick<'_>) {
        let now = self.now_ms();
        for (id, due_at) in workflows.iter().filter(|(_, due_at)| *due_at <= now) {
            if !tick.has_time() {
                return;
            }
            let looked = async {
                self.resume_workflow(id).await?;
                self.store.leave_workflow(id, *due_at).await
            };
            if let Err(error) = looked.await {
                tracing::warn!(workflow_id = %id, %error, "workflow not looked after; the next tick tries again");
            }
        }
    }

    /// Goes on with one workflow: starts steps that have no job, and does what follows from ends that are not noted. Doing it
    /// twice does nothing. Answers the jobs of the steps that are open in a running one.
    ///
    /// # Errors
    /// The AWS error; some of it may be done.
    pub(in crate::engine) async fn resume_workflow(&self, id: &JobId) -> Result<Vec<Job>> {
        let Some(workflow) = self.store.get_workflow(id).await? else { return Ok(Vec::new()) };
        let Some(definition) = self.store.get_definition(id).await? else { return Ok(Vec::new()) };
        tracing::info!(workflow_id = %id, state = workflow.state.as_str(), "workflow resumed by the tick");
        match workflow.state {
            WorkflowState::Cancelled => {
                self.stop_steps(&workflow).await.map(|_| ())?;
                self.store.expire_parts(&workflow, self.now_ms()).await?;
                return self.follow_workflow(&workflow).await.map(|()| Vec::new());
            }
            // Its callbacks may not all have been made.
            WorkflowState::Completed | WorkflowState::Failed if workflow.shards > 0 => {
                return self.end_flat(id).await.map(|()| Vec::new());
            }
            WorkflowState::Completed | WorkflowState::Failed => {
                self.store.expire_parts(&workflow, workflow.ended_at.unwrap_or_default()).await?;
                return self.follow_workflow(&workflow).await.map(|()| Vec::new());
            }
            WorkflowState::Running => {}
        }
        if workflow.creating {
            self.put_shards(&workflow).await?;
        }
        let open = self.open_steps(&workflow).await?;
        let jobs = self.store.get_jobs(&jobs_of(&workflow, &open)).await?;
        let nested: Vec<usize> = open.iter().copied().filter(|at| definition.nested(*at).is_some()).collect();
        let nested = self.store.get_workflows(&jobs_of(&workflow, &nested)).await?;
        let members = jobs.iter().map(|job| &job.member_of).chain(nested.iter().map(|nested| &nested.parent));
        let made: Vec<usize> = members.filter_map(|member| Some(member.as_ref()?.index)).collect();
        let mut lost: Vec<usize> = open.iter().filter(|step| !made.contains(step)).copied().collect();
        if !lost.is_empty() {
            // One that has ended and been deleted since is not to be run again.
            let Some(newer) = self.store.get_workflow(id).await? else { return Ok(jobs) };
            let still = self.open_steps(&newer).await?;
            lost.retain(|step| still.contains(step));
        }
        self.start_steps(&workflow, &definition, &lost).await?;
        if workflow.creating {
            // The message may not have been sent.
            let waiting: Vec<_> = jobs.iter().filter(|job| job.attempt == 0).collect();
            self.send_all_due(&waiting).await?;
        }
        for job in jobs.iter().filter(|job| job.state.is_terminal()) {
            self.advance_workflow(job).await?;
        }
        for ended in nested.iter().filter(|nested| nested.state != WorkflowState::Running) {
            self.follow_workflow(ended).await?;
        }
        // The last end may be noted, and what follows from it not.
        if workflow.shards > 0 {
            self.end_flat(id).await?;
        }
        Ok(jobs)
    }

    /// Steps whose jobs have been made and not ended, as far as is noted.
    pub(in crate::engine) async fn open_steps(&self, workflow: &Workflow) -> Result<Vec<usize>> {
        if workflow.shards == 0 {
            return Ok(started(workflow));
        }
        let shards: Vec<Option<Shard>> = self.store.find_shards(&workflow.id, workflow.shards).await?;
        let steps = |at: usize| (at..workflow.steps.len()).step_by(workflow.shards).collect::<Vec<_>>();
        // Of one that is not made yet, all are open.
        let open = shards.into_iter().enumerate().flat_map(|(at, shard)| shard.map_or_else(|| steps(at), |s| s.open));
        Ok(open.collect())
    }
}
