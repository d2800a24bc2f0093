use super::cancel::missing;
use super::start::jobs_of;
use crate::engine::{Engine, MAX_ANSWER_BYTES};
use ojs_model::error::Result;
use ojs_model::ids::JobId;
use ojs_model::job::Job;
use ojs_model::json::escaped_bytes;
use ojs_model::workflow::{Definition, Missing, Shown, StepState, StepView, Workflow, WorkflowState};

/// Up to so many steps, each one's job is shown: one read.
const MAX_JOBS: usize = 100;

/// A page of workflows, newest first.
#[derive(Debug, Clone)]
pub struct WorkflowPage {
    /// The workflows.
    pub workflows: Vec<Workflow>,
    /// The one after which the next page starts; `None` on the last.
    pub next: Option<JobId>,
}

impl Engine {
    /// A workflow and its steps (HTTP binding section 14.2). One that has been running for long is moved on first, as a tick would;
    /// otherwise: two reads, one more for the steps of a group or batch, one more for the jobs where there are at most 100, one for
    /// the workflows inside it, and one for the callbacks of a batch that has ended.
    ///
    /// # Errors
    /// `not_found`; the AWS error.
    pub async fn get_workflow(&self, id: &JobId) -> Result<Shown> {
        let mut workflow = self.store.get_workflow(id).await?.ok_or_else(|| missing(id))?;
        if workflow.state == WorkflowState::Running
            && self.move_on_if_long(id, workflow.created_at, self.now_ms()).await
        {
            workflow = self.store.get_workflow(id).await?.ok_or_else(|| missing(id))?;
        }
        let definition = self.store.get_definition(id).await?.ok_or_else(|| missing(id))?;
        let mut states = workflow.steps.clone();
        let mut kept = workflow.results.clone();
        if workflow.shards > 0 {
            for (at, shard) in self.store.find_shards(id, workflow.shards).await?.into_iter().enumerate() {
                // One that is not made yet, or is forgotten, tells nothing.
                let Some(shard) = shard else { continue };
                kept.extend(&shard.results);
                for step in (at..states.len()).step_by(workflow.shards) {
                    states[step] = match (shard.failed.contains(&step), shard.open.contains(&step)) {
                        (true, _) => StepState::Failed,
                        (false, true) => StepState::Started,
                        (false, false) => StepState::Completed,
                    };
                }
            }
        }
        let now = self.now_ms();
        let mut steps: Vec<StepView> = states.into_iter().map(StepView::noted).collect();
        if steps.len() <= MAX_JOBS {
            let jobs = self.store.get_jobs(&definition.ids(id, false)).await?;
            show_jobs(&mut steps, jobs, now);
            for at in kept {
                if let Some(step) = steps.get_mut(at).filter(|step| step.job.is_none()) {
                    step.missing = Some(Missing::Gone);
                }
            }
            for nested in self.store.get_workflows(&definition.ids(id, true)).await? {
                let step = nested.parent.as_ref().and_then(|parent| steps.get_mut(parent.index));
                if let Some(step) = step {
                    step.nested = Some(nested);
                }
            }
        }
        let callbacks = self.callback_jobs(&workflow, &definition, now).await?;
        Ok(Shown { definition, workflow, steps, callbacks })
    }

    /// The jobs of a workflow's callbacks, as of `now_ms`: one read once it has ended, none before.
    async fn callback_jobs(
        &self,
        workflow: &Workflow,
        definition: &Definition,
        now_ms: i64,
    ) -> Result<Vec<Option<Job>>> {
        let failed = match workflow.state {
            WorkflowState::Completed => false,
            WorkflowState::Failed => true,
            WorkflowState::Running | WorkflowState::Cancelled => return Ok(Vec::new()),
        };
        let mut callbacks = vec![None; definition.callbacks.len()];
        let made = jobs_of(workflow, &definition.callbacks_after(failed));
        if made.is_empty() {
            return Ok(callbacks);
        }
        for job in self.store.get_jobs(&made).await? {
            let place = job.member_of.as_ref().and_then(|member| member.index.checked_sub(definition.steps.len()));
            if let Some(callback) = place.and_then(|place| callbacks.get_mut(place)) {
                *callback = Some(job.as_of(now_ms).into_owned());
            }
        }
        Ok(callbacks)
    }

    /// Workflows, newest first: one query per shard of the listing index, one read per 100 workflows.
    ///
    /// # Errors
    /// `unsupported` when the listing index is off; the AWS error.
    pub async fn list_workflows(&self, after: Option<&JobId>, limit: usize) -> Result<WorkflowPage> {
        if !self.store.has_listing() {
            return Err(ojs_model::error::Error::unsupported(
                "Workflows are listed by the listing index, which OJS_LISTING_INDEX turns off.",
            ));
        }
        let mut ids = self.store.list_workflows(after, limit + 1).await?;
        let more = ids.len() > limit;
        ids.truncate(limit);
        let next = if more { ids.last().cloned() } else { None };
        Ok(WorkflowPage { workflows: self.store.get_workflows(&ids).await?, next })
    }
}

/// Shows the jobs of steps, with as many of their results as an answer has room for; the others are to be had from the jobs.
fn show_jobs(steps: &mut [StepView], jobs: Vec<Job>, now_ms: i64) {
    let mut room = MAX_ANSWER_BYTES / 2;
    for job in jobs {
        let Some(step) = job.member_of.as_ref().and_then(|member| steps.get_mut(member.index)) else { continue };
        let mut job = job.as_of(now_ms).into_owned();
        let size = job.result.as_ref().map_or(0, |result| escaped_bytes(result.get().as_bytes()));
        if size > room {
            job.result = None;
            step.missing = Some(Missing::NoRoom);
        }
        room = room.saturating_sub(size);
        step.job = Some(job);
    }
}
