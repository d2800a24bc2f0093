//! Making the jobs of steps. Whoever does it makes the same jobs, so doing it twice does nothing but send messages that are
//! dropped.

use futures::stream::{self, StreamExt};

use super::Engine;
use crate::error::Result;
use crate::ids::JobId;
use crate::job::{Job, MAX_ENVELOPE_BYTES, State};
use crate::json::{Json, raw};
use crate::observe::metrics;
use crate::store::Put;
use crate::transport::JobRef;
use crate::workflow::{Definition, Kind, MemberOf, Source, StepState, Workflow, WorkflowState, job_id};

/// Puts under way at a time.
const CONCURRENCY: usize = 16;
/// Most bytes of results that are passed on with a job.
const MAX_RESULTS_BYTES: usize = 100 * 1_024;
/// Bytes of a result that is not passed on, and its comma.
const NULL_BYTES: usize = 5;
/// Jobs whose results are read at a time.
const PARENTS_PER_READ: usize = 50;

impl Engine {
    /// Makes a workflow's shards and its first jobs.
    ///
    /// # Errors
    /// The AWS error; some may be made, and a tick makes the rest.
    pub(super) async fn start_workflow(&self, workflow: &Workflow, definition: &Definition) -> Result<()> {
        self.put_shards(workflow).await?;
        let first: Vec<usize> = (0..workflow.steps.len()).filter(|at| definition.steps[*at].after.is_empty()).collect();
        self.start_steps(workflow, definition, &first).await
    }

    /// Makes a workflow's shards.
    pub(super) async fn put_shards(&self, workflow: &Workflow) -> Result<()> {
        for shard in 0..workflow.shards {
            let steps: Vec<usize> = (shard..workflow.steps.len()).step_by(workflow.shards).collect();
            self.store.put_shard(&workflow.id, shard, &steps).await?;
        }
        Ok(())
    }

    /// Makes the jobs of steps (and, from the number of steps on, of callbacks), then sends their messages; makes and starts the
    /// workflows that are steps.
    ///
    /// # Errors
    /// The AWS error; some may be made.
    pub(super) async fn start_steps(
        &self,
        workflow: &Workflow,
        definition: &Definition,
        steps: &[usize],
    ) -> Result<()> {
        if steps.is_empty() {
            return Ok(());
        }
        let now = self.now_ms();
        // Steps at the start of a workflow inside another one find there what it finds in its own place.
        let inherited = if workflow.parent.is_some() && steps.iter().any(|at| is_first(definition, *at)) {
            self.inherited_results(workflow).await?
        } else {
            None
        };
        let nested: Vec<usize> = steps.iter().copied().filter(|at| definition.nested(*at).is_some()).collect();
        self.start_nested(workflow, definition, &nested).await?;
        let mut jobs = Vec::with_capacity(steps.len() - nested.len());
        for index in steps.iter().filter(|at| !nested.contains(at)) {
            let mut job = definition.job(workflow, *index, now, &self.ids)?;
            job.parent_results = if is_first(definition, *index) {
                inherited.clone()
            } else {
                self.parent_results(&workflow.id, definition, *index, job.envelope_bytes()).await?
            };
            // Tells the job that this call makes from one that was there.
            job.nonce = Some(self.ids.nonce());
            self.prepare(&mut job, now);
            self.register_queue(&job.queue).await?;
            jobs.push(job);
        }
        let puts = jobs.iter().map(|job| self.store.put_job(job));
        let puts: Vec<Put> = stream::iter(puts.collect::<Vec<_>>()).buffered(CONCURRENCY).collect().await;
        let (mut there, mut over) = (Vec::new(), Vec::new());
        for (made, put) in jobs.into_iter().zip(puts) {
            match put {
                // Over before anybody could run it.
                Put::Done if made.state.is_terminal() => over.push((made, true)),
                Put::Done => {
                    metrics::job_enqueued(&made);
                    there.push(made);
                }
                // The stored job is the truth.
                Put::Taken(stored) if stored.state.is_terminal() => over.push((*stored, false)),
                Put::Taken(stored) => there.push(*stored),
                Put::Failed { error, .. } => return Err(error),
            }
        }
        let read = self.store.get_workflow(&workflow.id).await?;
        let is_step = |job: &&Job| job.member_of.as_ref().is_some_and(MemberOf::is_step);
        if read.is_some_and(|read| read.state == WorkflowState::Cancelled) {
            // It was called off since, perhaps before these were there to be cancelled.
            let steps: Vec<&Job> = there.iter().filter(is_step).collect();
            self.stop_jobs(&steps, now).await?;
            self.stop_nested(&jobs_of(workflow, &nested)).await?;
            there.retain(|job| !is_step(&job));
        }
        self.send_waiting(&there.iter().collect::<Vec<_>>()).await?;
        for (job, made) in &over {
            self.advance_workflow(job).await?;
            if *made {
                self.ended(job, None).await;
            }
        }
        Ok(())
    }

    /// Sends the messages of jobs that nobody has run. One too many does no harm (I5).
    pub(super) async fn send_waiting(&self, jobs: &[&Job]) -> Result<()> {
        let now = self.now_ms();
        let messages: Vec<_> =
            jobs.iter().filter_map(|job| Some((JobRef::to(job), self.delay_of(job, now)?))).collect();
        self.send_all(&messages).await.into_iter().collect()
    }

    /// Results of the steps before, in order: of a chain all of them, of a graph those that the step depends on, of a batch all,
    /// for its callbacks (workflows section 7). `null` for a job that had none, failed, is forgotten, or whose result there is no
    /// room for beside an envelope of `envelope_bytes`.
    pub(super) async fn parent_results(
        &self,
        workflow: &JobId,
        definition: &Definition,
        index: usize,
        envelope_bytes: usize,
    ) -> Result<Option<Json>> {
        let before: Vec<usize> = match (definition.kind, definition.steps.get(index)) {
            (Kind::Chain, _) => (0..index).collect(),
            (_, Some(step)) => step.after.clone(),
            (_, None) => (0..definition.steps.len()).collect(),
        };
        if before.is_empty() {
            return Ok(None);
        }
        let sources = Source::List(before.iter().map(|at| Source::of(workflow, definition, *at)).collect());
        let mut ids = Vec::new();
        sources.jobs(&mut ids);
        // The envelope's limit leaves room for history and a result; what is passed on must not take it.
        let room = MAX_RESULTS_BYTES.min(MAX_ENVELOPE_BYTES.saturating_sub(envelope_bytes));
        let mut room = room.saturating_sub(ids.len() * NULL_BYTES);
        let mut results: Vec<String> = Vec::with_capacity(ids.len());
        for part in ids.chunks(PARENTS_PER_READ) {
            let jobs = if room > 0 { self.store.get_jobs(part).await? } else { Vec::new() };
            for id in part {
                let job = jobs.iter().find(|job| job.id == *id && job.state == State::Completed);
                let result = job.and_then(|job| job.result.as_ref()).map_or("null", |result| result.get());
                let fits = result.len() <= room;
                if fits {
                    room -= result.len();
                } else {
                    tracing::warn!(job_id = %id, workflow_id = %workflow, "a result is too large to be passed on");
                }
                results.push(if fits { result } else { "null" }.to_owned());
            }
        }
        raw(sources.render(&mut results.into_iter())).map(Some)
    }
}

/// Whether nothing comes before a step in its own workflow.
fn is_first(definition: &Definition, index: usize) -> bool {
    definition.steps.get(index).is_some_and(|step| step.after.is_empty())
}

/// Steps whose jobs have been made.
pub(super) fn started(workflow: &Workflow) -> Vec<usize> {
    (0..workflow.steps.len()).filter(|at| workflow.steps[*at] == StepState::Started).collect()
}

/// The jobs of steps, or the workflows that they are.
pub(super) fn jobs_of(workflow: &Workflow, steps: &[usize]) -> Vec<JobId> {
    steps.iter().map(|at| job_id(&workflow.id, *at)).collect()
}
