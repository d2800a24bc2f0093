//! Workflows inside workflows (workflows section 10): each is a workflow of its own whose id follows from its place, so that every process that
//! starts the step makes the same one.

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};

use super::create::WATCH_MS;
use super::start::{Inherited, jobs_of};
use crate::engine::Engine;
use ojs_model::error::{Error, ErrorCode, Result};
use ojs_model::ids::JobId;
use ojs_model::job::{Job, MemberOf, Parents};
use ojs_model::workflow::{Definition, Kind, Workflow, WorkflowState, job_id, parents_of};

/// Workflows started or cancelled at a time.
const CONCURRENCY: usize = 8;

impl Engine {
    /// Makes and starts the workflows that steps are: index, definition, and what their first steps find.
    ///
    /// # Errors
    /// The AWS error; some may be made, and what is made goes on by itself.
    pub(in crate::engine) async fn start_nested(
        &self,
        outer: &Workflow,
        definition: &Definition,
        steps: Vec<(usize, &Definition, Option<Parents>)>,
    ) -> Result<()> {
        let each: Vec<_> = steps
            .into_iter()
            .map(|(index, nested, inherited)| {
                self.start_one_nested(outer, definition.member(outer, index), nested, inherited)
            })
            .collect();
        let started: Vec<Result<()>> = stream::iter(each).buffer_unordered(at_once(outer)).collect().await;
        started.into_iter().collect()
    }

    fn start_one_nested<'a>(
        &'a self,
        outer: &'a Workflow,
        place: MemberOf,
        nested: &'a Definition,
        inherited: Option<Parents>,
    ) -> BoxFuture<'a, Result<()>> {
        // It may start more of its kind: the type must not contain itself.
        async move {
            let now = self.now_ms();
            let (id, due) = (job_id(&outer.id, place.index), now + WATCH_MS);
            let mut workflow = Workflow::new(id.clone(), nested, Some(place), now, due);
            workflow.trace.clone_from(&outer.trace);
            if self.store.put_workflow(&workflow, nested, self.ids.nonce()).await? {
                tracing::info!(workflow_id = %id, parent_workflow_id = %outer.id, kind = nested.kind.as_str(), "workflow created");
                self.start_workflow(&workflow, nested, Inherited::Known(inherited)).await?;
                return self.store.leave_workflow(&id, due).await;
            }
            // Made before, by a process that may have crashed then.
            match self.store.get_workflow(&id).await? {
                Some(there) if there.state == WorkflowState::Running && there.creating => {
                    self.resume_workflow(&id).await.map(|_| ())
                }
                Some(there) => self.follow_workflow(&there).await,
                None => Err(Error::new(ErrorCode::BackendUnavailable, "A workflow is gone while it starts; try again.")),
            }
        }
        .boxed()
    }

    /// Cancels workflows inside one that is cancelled. `false` when one is not there yet.
    ///
    /// # Errors
    /// The AWS error; some may be cancelled.
    pub(in crate::engine) fn stop_nested<'a>(
        &'a self,
        outer: &'a Workflow,
        ids: &'a [JobId],
    ) -> BoxFuture<'a, Result<bool>> {
        async move {
            let each: Vec<_> = ids.iter().map(|id| self.stop_one_nested(id).boxed()).collect();
            let stopped: Vec<Result<bool>> = stream::iter(each).buffer_unordered(at_once(outer)).collect().await;
            stopped.into_iter().try_fold(true, |all, one| Ok(one? && all))
        }
        .boxed()
    }

    async fn stop_one_nested(&self, id: &JobId) -> Result<bool> {
        match self.call_off(id).await {
            // Where jobs of it are left, the step that it is stays open, for a repetition to find them.
            Ok((_, stopped)) => stopped.map(|()| true),
            Err(error) if error.code == ErrorCode::NotFound => Ok(false),
            // It has ended meanwhile. Of a batch the callbacks may be left.
            Err(error) if error.code == ErrorCode::Conflict => {
                let Some(ended) = self.store.get_workflow(id).await? else { return Ok(true) };
                if ended.kind != Kind::Batch || ended.state == WorkflowState::Cancelled {
                    return Ok(true);
                }
                let Some(definition) = self.store.get_definition(id).await? else { return Ok(true) };
                let callbacks = definition.callbacks_after(ended.state == WorkflowState::Failed);
                let now = self.now_ms();
                let jobs = self.store.get_jobs(&jobs_of(&ended, &callbacks)).await?;
                let live: Vec<&Job> = jobs.iter().filter(|job| !job.as_of(now).state.is_terminal()).collect();
                self.stop_jobs(&live, now).await?;
                // They may be about to be made.
                Ok(ended.called_back || jobs.len() == callbacks.len())
            }
            Err(error) => Err(error),
        }
    }

    /// What the first steps of a workflow inside another one find: what a job in its place would.
    pub(in crate::engine) fn inherited_results<'a>(
        &'a self,
        workflow: &'a Workflow,
    ) -> BoxFuture<'a, Result<Option<Parents>>> {
        async move {
            let Some(place) = &workflow.parent else { return Ok(None) };
            let Some(outer) = self.store.get_workflow(&place.workflow).await? else { return Ok(None) };
            let Some(definition) = self.store.get_definition(&outer.id).await? else { return Ok(None) };
            let first = definition.steps.get(place.index).is_some_and(|step| step.after.is_empty());
            if first {
                return self.inherited_results(&outer).await;
            }
            Ok(parents_of(&outer, &definition, place.index).map(|parents| parents.of_workflow(&outer.id)))
        }
        .boxed()
    }

    /// Ids of the open steps that are workflows, once `found` of all `open` ones were found to be jobs.
    ///
    /// # Errors
    /// The AWS error.
    pub(in crate::engine) async fn nested_among(
        &self,
        workflow: &Workflow,
        open: &[usize],
        found: usize,
    ) -> Result<Vec<JobId>> {
        if found == open.len() {
            return Ok(Vec::new());
        }
        let Some(definition) = self.store.get_definition(&workflow.id).await? else { return Ok(Vec::new()) };
        let nested: Vec<usize> = open.iter().copied().filter(|at| definition.nested(*at).is_some()).collect();
        Ok(jobs_of(workflow, &nested))
    }
}

/// How many are worked on at a time: inside each other one by one, or the levels would multiply.
fn at_once(outer: &Workflow) -> usize {
    if outer.parent.is_none() { CONCURRENCY } else { 1 }
}
