use futures::FutureExt;
use futures::stream::{self, StreamExt};

use super::create::WATCH_MS;
use super::start::jobs_of;
use crate::engine::job::cancel::LIVE;
use crate::engine::{Engine, MAX_RACES};
use crate::store::WorkflowWritten;
use ojs_model::error::{Error, ErrorCode, Result};
use ojs_model::ids::JobId;
use ojs_model::job::{Job, State};
use ojs_model::workflow::{Shown, Workflow, WorkflowState, cancel};

/// Jobs cancelled at a time.
const CONCURRENCY: usize = 8;

/// Which request cancelled a workflow that is cancelled.
pub(in crate::engine) enum Cancelled {
    Now,
    /// An earlier one, whose work this one finishes.
    Before(Box<Workflow>),
}

impl Engine {
    /// Cancels a workflow (workflows section 11; HTTP binding section 14.3): no step starts any more, jobs that wait are
    /// cancelled, those that run may end, and workflows inside it are cancelled, too. One that it is inside of takes it for
    /// failed. What this request does not get done, a repetition or a tick does.
    ///
    /// # Errors
    /// `not_found`; `conflict` when it has ended; the AWS error, after which a repetition answers `conflict` if it took effect.
    pub async fn cancel_workflow(&self, id: &JobId) -> Result<Shown> {
        match self.call_off(id).await? {
            (Cancelled::Now, stopped) => {
                if let Err(error) = stopped {
                    tracing::warn!(workflow_id = %id, %error, "jobs of a cancelled workflow are left; a tick goes on");
                }
                self.get_workflow(id).await
            }
            (Cancelled::Before(workflow), stopped) => Err(stopped.err().unwrap_or_else(|| ended(&workflow))),
        }
    }

    /// The same, without an answer: which request cancelled it, and whether what it entails is done.
    pub(in crate::engine) async fn call_off(&self, id: &JobId) -> Result<(Cancelled, Result<()>)> {
        let due = self.now_ms() + WATCH_MS;
        let (workflow, before) = self.mark_cancelled(id, due).await?;
        let stopped = async {
            let all_there = self.stop_steps(&workflow).await?;
            self.store.expire_parts(&workflow, self.now_ms()).await?;
            self.follow_workflow(&workflow).await?;
            if all_there { self.store.leave_workflow(id, due).await } else { Ok(()) }
        };
        let stopped = stopped.await;
        if before {
            return Ok((Cancelled::Before(Box::new(workflow)), stopped));
        }
        tracing::info!(workflow_id = %id, "workflow cancelled");
        Ok((Cancelled::Now, stopped))
    }

    /// The workflow, and whether an earlier request had cancelled it.
    async fn mark_cancelled(&self, id: &JobId, due: i64) -> Result<(Workflow, bool)> {
        for _ in 0..MAX_RACES {
            let now = self.now_ms();
            let workflow = self.store.get_workflow(id).await?.ok_or_else(|| missing(id))?;
            let Some(mut next) = cancel(&workflow, now) else {
                // The process that cancelled it may have crashed before it stopped the jobs.
                let cancelled = workflow.state == WorkflowState::Cancelled;
                return if cancelled { Ok((workflow, true)) } else { Err(ended(&workflow)) };
            };
            if workflow.kind.is_flat() {
                self.store.watch_workflow(id, due, now).await?;
                self.store.end_workflow(&workflow, WorkflowState::Cancelled.as_str(), now).await?;
                let read = self.store.get_workflow(id).await?.ok_or_else(|| missing(id))?;
                let cancelled = read.state == WorkflowState::Cancelled;
                return if cancelled { Ok((read, false)) } else { Err(ended(&read)) };
            }
            next.due_at = Some(due);
            match self.store.replace_workflow(&workflow, &next, self.ids.nonce()).await? {
                WorkflowWritten::Done => return Ok((next, false)),
                WorkflowWritten::Refused(_) => {}
                WorkflowWritten::Missing => return Err(missing(id)),
            }
        }
        Err(Error::new(ErrorCode::BackendUnavailable, "The workflow keeps changing; try again shortly."))
    }

    /// Has a tick resume the workflow of a job that is about to end without a message that would be redelivered, should
    /// this process die. Does nothing for other jobs.
    ///
    /// # Errors
    /// The AWS error; it may be noted.
    pub(in crate::engine) async fn watch_workflow_of(&self, job: &Job) -> Result<()> {
        match job.member_of.as_ref().filter(|_| job.state != State::Active) {
            Some(member) => {
                let now = self.now_ms();
                self.store.watch_workflow(&member.workflow, now + WATCH_MS, now).await
            }
            None => Ok(()),
        }
    }

    /// Cancels the jobs of a cancelled workflow that no worker runs, and tells the workers of the others, with their next
    /// heartbeat. `false` when a step has started whose job is not there yet: its maker may have crashed.
    ///
    /// # Errors
    /// The AWS error; some may be cancelled.
    pub(in crate::engine) async fn stop_steps(&self, workflow: &Workflow) -> Result<bool> {
        let now = self.now_ms();
        let open = self.open_steps(workflow).await?;
        let jobs = self.store.get_jobs(&jobs_of(workflow, &open)).await?;
        let nested = self.nested_among(workflow, &open, jobs.len()).await?;
        let all_there = jobs.len() + nested.len() == open.len();
        let live: Vec<&Job> = jobs.iter().filter(|job| !job.as_of(now).state.is_terminal()).collect();
        self.stop_jobs(&live, now).await?;
        Ok(self.stop_nested(workflow, &nested).await? && all_there)
    }

    /// The same for jobs at hand.
    pub(in crate::engine) async fn stop_jobs(&self, jobs: &[&Job], now: i64) -> Result<()> {
        let each: Vec<_> = jobs
            .iter()
            .map(|job| async move {
                if job.as_of(now).state == State::Active && self.store.ask_to_cancel(&job.id, now).await? {
                    return Ok(());
                }
                // The update that needs no read is refused for steps of workflows.
                match self.cancel_as_read((*job).clone(), LIVE).boxed().await {
                    Ok(_) => Ok(()),
                    // It has ended meanwhile, or been deleted.
                    Err(error) if matches!(error.code, ErrorCode::Conflict | ErrorCode::NotFound) => Ok(()),
                    Err(error) => Err(error),
                }
            })
            .collect();
        let ended: Vec<Result<()>> = stream::iter(each).buffer_unordered(CONCURRENCY).collect().await;
        ended.into_iter().collect()
    }
}

pub(in crate::engine) fn missing(id: &JobId) -> Error {
    Error::not_found("workflow", id.as_str())
}

fn ended(workflow: &Workflow) -> Error {
    let state = workflow.state.as_str();
    Error::new(ErrorCode::Conflict, format!("Cannot cancel workflow '{}': it has ended, it is '{state}'.", workflow.id))
        .with("workflow_id", workflow.id.as_str())
        .with("current_state", state)
}
