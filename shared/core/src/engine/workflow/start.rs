//! Making the jobs of steps. Every process makes the same jobs, so doing it twice does nothing but send messages that are
//! dropped.

use futures::stream::{self, StreamExt};

use crate::engine::Engine;
use crate::observe::{metrics, trace};
use crate::store::Put;
use ojs_model::error::Result;
use ojs_model::ids::JobId;
use ojs_model::job::{Job, MemberOf, Parents};
use ojs_model::message::JobRef;
use ojs_model::workflow::{Definition, StepState, Workflow, WorkflowState, job_id, parents_of};

/// Steps whose jobs are built before they are put.
const STEPS_AT_ONCE: usize = 32;
/// Puts under way at a time.
const CONCURRENCY: usize = 16;

impl Engine {
    /// Makes a workflow's shards and its first jobs; `inherited`: what they find where it is inside another one, if that is known.
    ///
    /// # Errors
    /// The AWS error; some may be made, and a tick makes the rest.
    pub(in crate::engine) async fn start_workflow(
        &self,
        workflow: &Workflow,
        definition: &Definition,
        inherited: Inherited,
    ) -> Result<()> {
        self.put_shards(workflow).await?;
        let first: Vec<usize> = (0..workflow.steps.len()).filter(|at| definition.steps[*at].after.is_empty()).collect();
        self.start_inheriting(workflow, definition, &first, inherited).await
    }

    /// Makes a workflow's shards.
    pub(in crate::engine) async fn put_shards(&self, workflow: &Workflow) -> Result<()> {
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
    pub(in crate::engine) async fn start_steps(
        &self,
        workflow: &Workflow,
        definition: &Definition,
        steps: &[usize],
    ) -> Result<()> {
        self.start_inheriting(workflow, definition, steps, Inherited::Unknown).await
    }

    async fn start_inheriting(
        &self,
        workflow: &Workflow,
        definition: &Definition,
        steps: &[usize],
        inherited: Inherited,
    ) -> Result<()> {
        if steps.is_empty() {
            return Ok(());
        }
        let now = self.now_ms();
        // Steps at the start of a workflow inside another one find there what it finds in its own place.
        let wanted = workflow.parent.is_some() && steps.iter().any(|at| is_first(definition, *at));
        let inherited = match inherited {
            Inherited::Known(results) => results,
            Inherited::Unknown if wanted => self.inherited_results(workflow).await?,
            Inherited::Unknown => None,
        };
        let (mut there, mut over, mut nested) = (Vec::new(), Vec::new(), Vec::new());
        // Part by part: what is made stays made, however long the rest takes.
        for part in steps.chunks(STEPS_AT_ONCE) {
            let mut jobs = Vec::with_capacity(part.len());
            for index in part {
                let before = if is_first(definition, *index) {
                    inherited.clone()
                } else {
                    parents_of(workflow, definition, *index)
                };
                if let Some(inside) = definition.nested(*index) {
                    nested.push((*index, inside, before.map(|parents| parents.of_workflow(&workflow.id))));
                    continue;
                }
                let mut job = definition.job(workflow, *index, now, &self.ids)?;
                job.parents = before;
                // Tells the job that this call makes from one that was there.
                job.nonce = Some(self.ids.nonce());
                self.prepare(&mut job, now);
                if let Some(origin) = &workflow.trace {
                    trace::mark_origin(&mut job, origin);
                }
                self.register_queue(&job.queue).await?;
                jobs.push(job);
            }
            let puts = jobs.iter().map(|job| self.store.put_job(job));
            let puts: Vec<Put> = stream::iter(puts.collect::<Vec<_>>()).buffered(CONCURRENCY).collect().await;
            for (made, put) in jobs.into_iter().zip(puts) {
                match put {
                    // Over before a worker could run it.
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
        }
        let insides: Vec<usize> = nested.iter().map(|(index, ..)| *index).collect();
        self.start_nested(workflow, definition, nested).await?;
        let read = self.store.get_workflow(&workflow.id).await?;
        let is_step = |job: &&Job| job.member_of.as_ref().is_some_and(MemberOf::is_step);
        if read.is_some_and(|read| read.state == WorkflowState::Cancelled) {
            // It was cancelled since, perhaps before these were there to be cancelled.
            let steps: Vec<&Job> = there.iter().filter(is_step).collect();
            self.stop_jobs(&steps, now).await?;
            self.stop_nested(workflow, &jobs_of(workflow, &insides)).await?;
            there.retain(|job| !is_step(&job));
        }
        self.send_all_due(&there.iter().collect::<Vec<_>>()).await?;
        for (job, made) in &over {
            self.advance_workflow(job).await?;
            if *made {
                self.after_terminal(job, None).await;
            }
        }
        Ok(())
    }

    /// Sends the messages of jobs that no worker has run. One too many does no harm (I5).
    pub(in crate::engine) async fn send_all_due(&self, jobs: &[&Job]) -> Result<()> {
        let now = self.now_ms();
        let messages: Vec<_> =
            jobs.iter().filter_map(|job| Some((JobRef::to(job), self.delay_of(job, now)?))).collect();
        self.send_all(&messages).await.into_iter().collect()
    }
}

/// What the first steps of a workflow inside another one find in `parent_results`.
pub(in crate::engine) enum Inherited {
    /// This.
    Known(Option<Parents>),
    /// To be read, if it is inside another one.
    Unknown,
}

/// Whether nothing comes before a step in its own workflow.
fn is_first(definition: &Definition, index: usize) -> bool {
    definition.steps.get(index).is_some_and(|step| step.after.is_empty())
}

/// Steps whose jobs have been made.
pub(in crate::engine) fn started(workflow: &Workflow) -> Vec<usize> {
    (0..workflow.steps.len()).filter(|at| workflow.steps[*at] == StepState::Started).collect()
}

/// The jobs of steps, or the workflows that they are.
pub(in crate::engine) fn jobs_of(workflow: &Workflow, steps: &[usize]) -> Vec<JobId> {
    steps.iter().map(|at| job_id(&workflow.id, *at)).collect()
}
