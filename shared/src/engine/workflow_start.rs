//! Making the jobs of steps. Whoever does it makes the same jobs, so doing it twice does nothing but send messages that are
//! dropped.

use futures::stream::{self, StreamExt};

use super::Engine;
use crate::error::Result;
use crate::job::{Job, State};
use crate::json::{Json, raw};
use crate::store::Put;
use crate::transport::JobRef;
use crate::workflow::{Definition, StepState, Workflow, job_id};

/// Puts under way at a time.
const CONCURRENCY: usize = 16;
/// Most bytes of results that are passed on with a job.
const MAX_RESULTS_BYTES: usize = 100 * 1_024;

impl Engine {
    /// Makes a workflow's shards and its first jobs.
    ///
    /// # Errors
    /// The AWS error; some may be made, and a tick makes the rest.
    pub(super) async fn start_workflow(&self, workflow: &Workflow, definition: &Definition) -> Result<()> {
        for shard in 0..workflow.shards {
            let steps: Vec<usize> = (shard..workflow.steps.len()).step_by(workflow.shards).collect();
            self.store.put_shard(&workflow.id, shard, &steps).await?;
        }
        let first: Vec<usize> = (0..workflow.steps.len()).filter(|at| definition.steps[*at].after.is_empty()).collect();
        self.start_steps(workflow, definition, &first).await
    }

    /// Makes the jobs of steps (and, from the number of steps on, of callbacks), then sends their messages.
    ///
    /// # Errors
    /// The AWS error; some may be made.
    pub(super) async fn start_steps(
        &self,
        workflow: &Workflow,
        definition: &Definition,
        steps: &[usize],
    ) -> Result<()> {
        let now = self.now_ms();
        let mut jobs = Vec::with_capacity(steps.len());
        for index in steps {
            let parents = self.parent_results(workflow, definition, *index).await?;
            let mut job = definition.job(workflow, *index, parents, now, &self.ids)?;
            self.prepare(&mut job, now);
            self.register_queue(&job.queue).await?;
            jobs.push(job);
        }
        let puts = jobs.iter().map(|job| self.store.put_job(job));
        let puts: Vec<Put> = stream::iter(puts.collect::<Vec<_>>()).buffered(CONCURRENCY).collect().await;
        for put in puts {
            if let Put::Failed { error, .. } = put {
                return Err(error);
            }
        }
        let messages: Vec<_> =
            jobs.iter().filter_map(|job| Some((JobRef::to(job), self.delay_of(job, now)?))).collect();
        self.send_all(&messages).await.into_iter().collect::<Result<()>>()?;
        for job in jobs.iter().filter(|job| job.state.is_terminal()) {
            // Over before anybody could run it: what follows from that does so now.
            self.advance_workflow(job).await?;
            self.ended(job, None).await;
        }
        Ok(())
    }

    /// Results of the steps before, in order: of a chain all of them, of a graph those that the step depends on, of a batch all,
    /// for its callbacks (workflows section 7). `null` for a job that had none, failed, is forgotten, or whose result there is no
    /// room for.
    async fn parent_results(&self, workflow: &Workflow, definition: &Definition, index: usize) -> Result<Option<Json>> {
        use crate::workflow::Kind;
        let before: Vec<usize> = match (definition.kind, definition.steps.get(index)) {
            (Kind::Chain, _) => (0..index).collect(),
            (_, Some(step)) => step.after.clone(),
            (_, None) => (0..definition.steps.len()).collect(),
        };
        if before.is_empty() {
            return Ok(None);
        }
        let ids: Vec<_> = before.iter().map(|at| job_id(&workflow.id, workflow.created_at, *at)).collect();
        let jobs = self.store.get_jobs(&ids).await?;
        let mut room = MAX_RESULTS_BYTES;
        let mut results = Vec::with_capacity(ids.len());
        for id in &ids {
            let job = jobs.iter().find(|job| job.id == *id && job.state == State::Completed);
            let result = job.and_then(|job| job.result.as_ref()).map_or("null", |result| result.get());
            if result.len() > room {
                tracing::warn!(job_id = %id, workflow_id = %workflow.id, "a result is too large to be passed on");
                results.push("null");
                continue;
            }
            room -= result.len();
            results.push(result);
        }
        raw(format!("[{}]", results.join(","))).map(Some)
    }
}

/// Steps whose jobs have been made.
pub(super) fn started(workflow: &Workflow) -> Vec<usize> {
    (0..workflow.steps.len()).filter(|at| workflow.steps[*at] == StepState::Started).collect()
}

/// The jobs of steps.
pub(super) fn jobs_of(workflow: &Workflow, steps: &[usize]) -> Vec<crate::ids::JobId> {
    steps.iter().map(|at| job_id(&workflow.id, workflow.created_at, *at)).collect()
}

/// The step that a job is.
pub(super) fn step_of(job: &Job) -> Option<usize> {
    job.member_of.as_ref().map(|member| member.index)
}
