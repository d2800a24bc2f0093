use futures::FutureExt;
use futures::future::BoxFuture;
use tracing::Instrument;

use super::start::jobs_of;
use crate::engine::{Engine, MAX_RACES};
use crate::observe::trace::SPANS;
use crate::store::WorkflowWritten;
use ojs_model::error::{Error, ErrorCode, Result};
use ojs_model::ids::JobId;
use ojs_model::job::{Job, State};
use ojs_model::job::{MemberOf, MemberRole};
use ojs_model::workflow::{Kind, StepState, Workflow, WorkflowState, advance};

/// Steps that end at once meet at their workflow's item: so often is one tried.
const MAX_TRIES: u32 = 4 * MAX_RACES;

impl Engine {
    /// The job of a step has ended, and that is durable: its workflow moves on. Doing it twice does nothing, so the message that
    /// brings the job is deleted after it. Does nothing for other jobs.
    ///
    /// # Errors
    /// The AWS error; some of it may be done.
    pub(in crate::engine) async fn advance_workflow(&self, ended: &Job) -> Result<()> {
        match &ended.member_of {
            Some(member) => {
                let span = tracing::info_span!(target: SPANS, "ojs.workflow advance", workflow_id = %member.workflow);
                self.advance(member, ended.state == State::Completed).instrument(span).await
            }
            None => Ok(()),
        }
    }

    /// The same for any member, a workflow inside another one too.
    pub(in crate::engine) fn advance<'a>(&'a self, member: &'a MemberOf, completed: bool) -> BoxFuture<'a, Result<()>> {
        // What follows an end may end more: the type must not contain itself.
        async move {
            match member.role {
                MemberRole::Callback => Ok(()),
                MemberRole::AwaitedCallback => {
                    if !completed {
                        // The job may be deleted before the other callback has ended.
                        self.store.note_callback_failed(&member.workflow).await?;
                    }
                    match self.store.get_workflow(&member.workflow).await? {
                        Some(batch) => self.follow_workflow(&batch).await,
                        None => Ok(()),
                    }
                }
                MemberRole::Step { shards: 0 } => self.advance_graph(&member.workflow, member.index, completed).await,
                MemberRole::Step { shards } => {
                    let shard = member.index % shards;
                    let left = self.store.close_step(&member.workflow, shard, member.index, !completed).await?;
                    if !left.open.is_empty() || !self.store.close_shard(&member.workflow, shard).await? {
                        return Ok(());
                    }
                    self.end_flat(&member.workflow).await
                }
            }
        }
        .boxed()
    }

    /// A workflow has ended: the one that it is inside of moves on. Before that a batch waits for its callbacks (workflows section
    /// 10.1); whoever ends the last of them comes here. Doing it twice does nothing.
    ///
    /// # Errors
    /// The AWS error; some of it may be done.
    pub(in crate::engine) async fn follow_workflow(&self, ended: &Workflow) -> Result<()> {
        let Some(parent) = &ended.parent else { return Ok(()) };
        let mut completed = match ended.state {
            WorkflowState::Running => return Ok(()),
            WorkflowState::Completed => true,
            WorkflowState::Failed | WorkflowState::Cancelled => false,
        };
        if ended.kind == Kind::Batch && ended.state != WorkflowState::Cancelled {
            let Some(definition) = self.store.get_definition(&ended.id).await? else { return Ok(()) };
            let callbacks = definition.callbacks_after(!completed);
            if !callbacks.is_empty() {
                if !ended.called_back {
                    return Ok(());
                }
                let jobs = self.store.get_jobs(&jobs_of(ended, &callbacks)).await?;
                if jobs.iter().any(|job| !job.state.is_terminal()) {
                    return Ok(());
                }
                completed &= !ended.callback_failed && jobs.iter().all(|job| job.state == State::Completed);
            }
        }
        self.advance(parent, completed).await
    }

    /// A step that others may depend on: noted first, then they start.
    async fn advance_graph(&self, id: &JobId, index: usize, completed: bool) -> Result<()> {
        let Some(definition) = self.store.get_definition(id).await? else { return Ok(()) };
        let Some(mut workflow) = self.store.get_workflow(id).await? else { return Ok(()) };
        for _ in 0..MAX_TRIES {
            let now = self.now_ms();
            let Some((next, starts)) = advance(&workflow, &definition, index, completed, now) else {
                // Noted before, by somebody who may have died then.
                let behind: Vec<usize> = (0..workflow.steps.len())
                    .filter(|at| workflow.steps[*at] == StepState::Started)
                    .filter(|at| definition.steps[*at].after.contains(&index))
                    .collect();
                if workflow.state != WorkflowState::Running {
                    self.store.expire_parts(&workflow, now).await?;
                    return self.follow_workflow(&workflow).await;
                }
                return self.start_steps(&workflow, &definition, &behind).await;
            };
            match self.store.replace_workflow(&workflow, &next, self.ids.nonce()).await? {
                WorkflowWritten::Done => {
                    self.start_steps(&next, &definition, &starts).await?;
                    if next.state != WorkflowState::Running && workflow.state == WorkflowState::Running {
                        tracing::info!(workflow_id = %id, state = next.state.as_str(), "workflow ended");
                        self.store.expire_parts(&next, now).await?;
                        self.follow_workflow(&next).await?;
                    }
                    return Ok(());
                }
                WorkflowWritten::Refused(newer) => workflow = *newer,
                WorkflowWritten::Missing => return Ok(()),
            }
            tokio::time::sleep(std::time::Duration::from_millis(fastrand::u64(1..20))).await;
        }
        Err(Error::new(ErrorCode::BackendUnavailable, "The workflow keeps changing; try again shortly."))
    }

    /// All jobs of a group or batch have ended: so does it, its callbacks are made, and the workflow that it is inside of moves on.
    pub(in crate::engine) async fn end_flat(&self, id: &JobId) -> Result<()> {
        let Some(workflow) = self.store.get_workflow(id).await? else { return Ok(()) };
        let Some(definition) = self.store.get_definition(id).await? else { return Ok(()) };
        // Once it has ended and its callbacks are made, neither a late message nor a deletion makes them again.
        let over =
            workflow.state != WorkflowState::Running && (workflow.called_back || definition.callbacks.is_empty());
        if workflow.state == WorkflowState::Cancelled || over {
            // Whoever ended it may have died before this.
            self.store.expire_parts(&workflow, workflow.ended_at.unwrap_or_default()).await?;
            return self.follow_workflow(&workflow).await;
        }
        let now = self.now_ms();
        let shards = self.store.get_shards(id, workflow.shards).await?;
        if shards.iter().any(|shard| !shard.open.is_empty()) {
            return Ok(());
        }
        let failed = shards.iter().any(|shard| !shard.failed.is_empty());
        let state = if failed { WorkflowState::Failed } else { WorkflowState::Completed };
        self.store.end_workflow(&workflow, state.as_str(), now).await?;
        if definition.kind == Kind::Batch {
            // It may have been called off in this moment.
            let ended = self.store.get_workflow(id).await?.is_some_and(|now| now.state == state);
            if ended {
                self.start_steps(&workflow, &definition, &definition.callbacks_after(failed)).await?;
                self.store.note_called_back(id).await?;
            }
        }
        tracing::info!(workflow_id = %id, state = state.as_str(), "workflow ended");
        self.store.expire_parts(&workflow, now).await?;
        match workflow.parent {
            // As it is now: it may have been called off instead, and its callbacks may have ended already.
            Some(_) => match self.store.get_workflow(id).await? {
                Some(ended) => self.follow_workflow(&ended).await,
                None => Ok(()),
            },
            None => Ok(()),
        }
    }
}
