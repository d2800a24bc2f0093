//! Workflows inside workflows (workflows section 10): each is a workflow of its own whose id follows from its place, so that whoever
//! starts the step makes the same one.

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};

use super::Engine;
use super::workflow_create::WATCH_MS;
use super::workflow_start::jobs_of;
use crate::error::{ErrorCode, Result};
use crate::ids::JobId;
use crate::json::Json;
use crate::workflow::{Definition, Workflow, WorkflowState, job_id};

/// Workflows started or called off at a time.
const CONCURRENCY: usize = 8;

impl Engine {
    /// Makes and starts the workflows that `steps` are.
    ///
    /// # Errors
    /// The AWS error; some may be made, and what is made goes on by itself.
    pub(super) async fn start_nested(
        &self,
        workflow: &Workflow,
        definition: &Definition,
        steps: &[usize],
    ) -> Result<()> {
        let each: Vec<_> = steps
            .iter()
            .filter_map(|at| Some(self.start_one_nested(workflow, definition.nested(*at)?, definition, *at)))
            .collect();
        let started: Vec<Result<()>> = stream::iter(each).buffer_unordered(CONCURRENCY).collect().await;
        started.into_iter().collect()
    }

    fn start_one_nested<'a>(
        &'a self,
        outer: &'a Workflow,
        nested: &'a Definition,
        definition: &'a Definition,
        index: usize,
    ) -> BoxFuture<'a, Result<()>> {
        // It may start more of its kind: the type must not contain itself.
        async move {
            let now = self.now_ms();
            let (id, due) = (job_id(&outer.id, index), now + WATCH_MS);
            let workflow = Workflow::new(id.clone(), nested, Some(definition.member(outer, index)), now, due);
            if self.store.put_workflow(&workflow, nested, self.ids.nonce()).await? {
                tracing::info!(workflow_id = %id, parent_workflow_id = %outer.id, kind = nested.kind.as_str(), "workflow created");
                self.start_workflow(&workflow, nested).await?;
                return self.store.leave_workflow(&id, due).await;
            }
            // Made before, by somebody who may have died then.
            match self.store.get_workflow(&id).await? {
                Some(there) if there.state == WorkflowState::Running && there.creating => {
                    self.look_after_workflow(&id).await
                }
                Some(there) => self.follow_workflow(&there).await,
                None => Ok(()),
            }
        }
        .boxed()
    }

    /// Calls off workflows inside one that is cancelled. `false` when one is not there yet.
    ///
    /// # Errors
    /// The AWS error; some may be called off.
    pub(super) fn stop_nested<'a>(&'a self, ids: &'a [JobId]) -> BoxFuture<'a, Result<bool>> {
        async move {
            let each: Vec<_> = ids.iter().map(|id| self.call_off(id).boxed()).collect();
            let stopped: Vec<Result<()>> = stream::iter(each).buffer_unordered(CONCURRENCY).collect().await;
            let mut all_there = true;
            for one in stopped {
                match one {
                    Ok(()) => {}
                    // It has ended meanwhile.
                    Err(error) if error.code == ErrorCode::Conflict => {}
                    Err(error) if error.code == ErrorCode::NotFound => all_there = false,
                    Err(error) => return Err(error),
                }
            }
            Ok(all_there)
        }
        .boxed()
    }

    /// What the first steps of a workflow inside another one find: what a job in its place would.
    pub(super) fn inherited_results<'a>(&'a self, workflow: &'a Workflow) -> BoxFuture<'a, Result<Option<Json>>> {
        async move {
            let Some(place) = &workflow.parent else { return Ok(None) };
            let Some(outer) = self.store.get_workflow(&place.workflow).await? else { return Ok(None) };
            let Some(definition) = self.store.get_definition(&outer.id).await? else { return Ok(None) };
            let first = definition.steps.get(place.index).is_some_and(|step| step.after.is_empty());
            if first {
                return self.inherited_results(&outer).await;
            }
            // All its first jobs get the same: what there is room for beside the largest of them.
            let largest = definition.nested(place.index).map_or(0, largest_job);
            self.parent_results(&outer.id, &definition, place.index, largest).await
        }
        .boxed()
    }

    /// Ids of the open steps that are workflows, once `found` of all `open` ones were found to be jobs.
    ///
    /// # Errors
    /// The AWS error.
    pub(super) async fn nested_among(&self, workflow: &Workflow, open: &[usize], found: usize) -> Result<Vec<JobId>> {
        if found == open.len() {
            return Ok(Vec::new());
        }
        let Some(definition) = self.store.get_definition(&workflow.id).await? else { return Ok(Vec::new()) };
        let nested: Vec<usize> = open.iter().copied().filter(|at| definition.nested(*at).is_some()).collect();
        Ok(jobs_of(workflow, &nested))
    }
}

/// Bytes of the largest request of a workflow's jobs.
fn largest_job(definition: &Definition) -> usize {
    use crate::workflow::Work;
    let sizes = definition.steps.iter().map(|step| match &step.work {
        Work::Job(request) => request.get().len(),
        Work::Workflow(nested) => largest_job(nested),
    });
    sizes.max().unwrap_or(0)
}
