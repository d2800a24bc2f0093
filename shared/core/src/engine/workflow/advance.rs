use futures::FutureExt;
use futures::future::BoxFuture;
use tracing::Instrument;

use super::start::jobs_of;
use crate::engine::{Engine, MAX_RACES};
use crate::observe::trace::SPANS;
use crate::store::{Shard, WorkflowWritten};
use ojs_model::error::{Error, ErrorCode, Result};
use ojs_model::ids::JobId;
use ojs_model::job::{Job, Keep, MemberOf, MemberRole, State};
use ojs_model::workflow::{Definition, Kind, StepState, Workflow, WorkflowState, advance};

/// Steps that end at once meet at their workflow's item: so often is one tried.
const MAX_TRIES: u32 = 4 * MAX_RACES;

/// How a member of a workflow ended.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct End<'a> {
    completed: bool,
    /// The result that is kept for later steps, JSON.
    kept: Option<&'a str>,
}

impl<'a> End<'a> {
    fn of(job: &'a Job) -> Self {
        let completed = job.state == State::Completed;
        let result = job.result.as_ref().map(|result| result.get());
        let kept = match job.keeps_result {
            Keep::Never => None,
            Keep::IfAny => result,
            Keep::Always => Some(result.unwrap_or("null")),
        };
        Self { completed, kept: kept.filter(|_| completed) }
    }
}

/// Notes in a group or batch at hand what its shards say, for its callbacks.
fn note_shards(workflow: &mut Workflow, shards: &[Shard]) {
    workflow.steps.fill(StepState::Completed);
    for shard in shards {
        for failed in &shard.failed {
            if let Some(step) = workflow.steps.get_mut(*failed) {
                *step = StepState::Failed;
            }
        }
        workflow.results.extend(&shard.results);
    }
}

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
                self.advance(member, End::of(ended)).instrument(span).await
            }
            None => Ok(()),
        }
    }

    /// The same for any member, a workflow inside another one too.
    pub(in crate::engine) fn advance<'a>(&'a self, member: &'a MemberOf, end: End<'a>) -> BoxFuture<'a, Result<()>> {
        // What follows an end may end more: the type must not contain itself.
        async move {
            match member.role {
                MemberRole::Callback => Ok(()),
                MemberRole::AwaitedCallback => {
                    if !end.completed {
                        // The job may be deleted before the other callback has ended.
                        self.store.note_callback_failed(&member.workflow).await?;
                    }
                    match self.store.get_workflow(&member.workflow).await? {
                        Some(batch) => self.follow_workflow(&batch).await,
                        None => Ok(()),
                    }
                }
                MemberRole::Step { shards: 0 } => self.advance_graph(member, end).await,
                MemberRole::Step { shards } => self.advance_flat(member, shards, end).await,
            }
        }
        .boxed()
    }

    /// A workflow has ended: the one that it is inside of moves on. Before that a batch waits for its callbacks (workflows section
    /// 10.1); the end of the last of them calls this. Doing it twice does nothing.
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
        self.advance(parent, End { completed, kept: None }).await
    }

    /// A step of a group or batch.
    async fn advance_flat(&self, member: &MemberOf, shards: usize, end: End<'_>) -> Result<()> {
        let (workflow, shard) = (&member.workflow, member.index % shards);
        if let Some(result) = end.kept {
            self.store.put_result(member, result).await?;
        }
        let kept = end.kept.is_some();
        let left = self.store.close_step(workflow, shard, member.index, !end.completed, kept).await?;
        let ttl_s = left.as_ref().map(|left| left.ttl_s);
        if kept && ttl_s != Some(None) {
            // Its workflow was cancelled before it completed.
            self.store.expire_late_result(member, ttl_s.flatten(), self.now_ms()).await?;
        }
        if left.is_some_and(|left| !left.open.is_empty()) || !self.store.close_shard(workflow, shard).await? {
            return Ok(());
        }
        self.end_flat(workflow).await
    }

    /// A step that others may depend on: noted first, then they start.
    async fn advance_graph(&self, member: &MemberOf, end: End<'_>) -> Result<()> {
        let MemberOf { workflow: id, index, .. } = member;
        let Some(mut workflow) = self.store.get_workflow(id).await? else { return Ok(()) };
        let Some(definition) = self.store.get_definition_after(&workflow, *index).await? else { return Ok(()) };
        let mut is_kept = false;
        for _ in 0..MAX_TRIES {
            let now = self.now_ms();
            let is_late = workflow.state != WorkflowState::Running && !workflow.results.contains(index);
            if is_late && end.kept.is_some() {
                // It may have been kept, and the workflow cancelled before that was noted.
                self.store.expire_late_result(member, None, now).await?;
            }
            let Some((mut next, starts)) = advance(&workflow, &definition, *index, end.completed, now) else {
                return self.advance_again(&workflow, &definition, *index).await;
            };
            // Nothing follows from it in a workflow that has been cancelled.
            if let Some(result) = end.kept.filter(|_| workflow.state == WorkflowState::Running) {
                if !is_kept {
                    self.store.put_result(member, result).await?;
                    is_kept = true;
                }
                next.results.push(*index);
            }
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

    /// The end of a step that is noted: the process that noted it may have crashed before the rest.
    async fn advance_again(&self, workflow: &Workflow, definition: &Definition, index: usize) -> Result<()> {
        if workflow.state != WorkflowState::Running {
            self.store.expire_parts(workflow, self.now_ms()).await?;
            return self.follow_workflow(workflow).await;
        }
        let behind: Vec<usize> = (0..workflow.steps.len())
            .filter(|at| workflow.steps[*at] == StepState::Started)
            .filter(|at| definition.steps[*at].after.contains(&index))
            .collect();
        self.start_steps(workflow, definition, &behind).await
    }

    /// All jobs of a group or batch have ended: so does it, its callbacks are made, and the workflow that it is inside of moves on.
    pub(in crate::engine) async fn end_flat(&self, id: &JobId) -> Result<()> {
        let Some(mut workflow) = self.store.get_workflow(id).await? else { return Ok(()) };
        let Some(definition) = self.store.get_definition(id).await? else { return Ok(()) };
        // Once it has ended and its callbacks are made, neither a late message nor a deletion makes them again.
        let over =
            workflow.state != WorkflowState::Running && (workflow.called_back || definition.callbacks.is_empty());
        if workflow.state == WorkflowState::Cancelled || over {
            // The process that ended it may have crashed before this.
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
        note_shards(&mut workflow, &shards);
        if definition.kind == Kind::Batch {
            // It may have been cancelled in this moment.
            let ended = self.store.get_workflow(id).await?.is_some_and(|now| now.state == state);
            if ended {
                self.start_steps(&workflow, &definition, &definition.callbacks_after(failed)).await?;
                self.store.note_called_back(id).await?;
            }
        }
        tracing::info!(workflow_id = %id, state = state.as_str(), "workflow ended");
        self.store.expire_parts(&workflow, now).await?;
        match workflow.parent {
            // As it is now: it may have been cancelled instead, and its callbacks may have ended already.
            Some(_) => match self.store.get_workflow(id).await? {
                Some(ended) => self.follow_workflow(&ended).await,
                None => Ok(()),
            },
            None => Ok(()),
        }
    }
}
