//! Making the jobs of steps. Whoever does it makes the same jobs, so doing it twice does nothing but send messages that are
//! dropped.

use std::collections::HashMap;

use futures::stream::{self, StreamExt};

use crate::engine::Engine;
use crate::observe::{metrics, trace};
use crate::store::Put;
use ojs_model::error::Result;
use ojs_model::ids::JobId;
use ojs_model::job::MemberOf;
use ojs_model::job::{Job, MAX_ENVELOPE_BYTES, State};
use ojs_model::json::{Json, raw};
use ojs_model::message::JobRef;
use ojs_model::workflow::{Definition, Kind, Source, StepState, Work, Workflow, WorkflowState, job_id};

/// Steps whose jobs are built before they are put.
const STEPS_AT_ONCE: usize = 32;
/// Puts under way at a time.
const CONCURRENCY: usize = 16;
/// Most bytes of results that are passed on with a job.
const MAX_RESULTS_BYTES: usize = 100 * 1_024;
/// Bytes of a result that is not passed on, and its comma.
const NULL_BYTES: usize = 5;
/// Jobs whose results are read at a time.
const PARENTS_PER_READ: usize = 50;

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
        let mut results = Results::default();
        let (mut there, mut over, mut nested) = (Vec::new(), Vec::new(), Vec::new());
        // Part by part: what is made stays made, however long the rest takes.
        for part in steps.chunks(STEPS_AT_ONCE) {
            let mut jobs = Vec::with_capacity(part.len());
            for index in part {
                let inside = definition.nested(*index);
                let mut job =
                    if inside.is_none() { Some(definition.job(workflow, *index, now, &self.ids)?) } else { None };
                let size = job.as_ref().map_or_else(|| inside.map_or(0, largest_job), Job::envelope_bytes);
                let before = if is_first(definition, *index) {
                    inherited.clone()
                } else {
                    self.parent_results(&workflow.id, definition, *index, size, &mut results).await?
                };
                match (job.as_mut(), inside) {
                    (Some(job), _) => {
                        job.parent_results = before;
                        // Tells the job that this call makes from one that was there.
                        job.nonce = Some(self.ids.nonce());
                        self.prepare(job, now);
                        if let Some(origin) = &workflow.trace {
                            trace::mark_origin(job, origin);
                        }
                        self.register_queue(&job.queue).await?;
                    }
                    (None, Some(inside)) => nested.push((*index, inside, before)),
                    (None, None) => {}
                }
                jobs.extend(job);
            }
            let puts = jobs.iter().map(|job| self.store.put_job(job));
            let puts: Vec<Put> = stream::iter(puts.collect::<Vec<_>>()).buffered(CONCURRENCY).collect().await;
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
        }
        let insides: Vec<usize> = nested.iter().map(|(index, ..)| *index).collect();
        self.start_nested(workflow, definition, nested).await?;
        let read = self.store.get_workflow(&workflow.id).await?;
        let is_step = |job: &&Job| job.member_of.as_ref().is_some_and(MemberOf::is_step);
        if read.is_some_and(|read| read.state == WorkflowState::Cancelled) {
            // It was called off since, perhaps before these were there to be cancelled.
            let steps: Vec<&Job> = there.iter().filter(is_step).collect();
            self.stop_jobs(&steps, now).await?;
            self.stop_nested(workflow, &jobs_of(workflow, &insides)).await?;
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
    pub(in crate::engine) async fn send_waiting(&self, jobs: &[&Job]) -> Result<()> {
        let now = self.now_ms();
        let messages: Vec<_> =
            jobs.iter().filter_map(|job| Some((JobRef::to(job), self.delay_of(job, now)?))).collect();
        self.send_all(&messages).await.into_iter().collect()
    }

    /// Results of the steps before, in order: of a chain all of them, of a graph those that the step depends on, of a batch all,
    /// for its callbacks (workflows section 7). `null` for a job that had none, failed, is forgotten, or whose result there is no
    /// room for beside an envelope of `envelope_bytes`.
    pub(in crate::engine) async fn parent_results(
        &self,
        workflow: &JobId,
        definition: &Definition,
        index: usize,
        envelope_bytes: usize,
        known: &mut Results,
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
            if room > 0 {
                self.read_results(part, known).await?;
            }
            for id in part {
                let result = known.0.get(id).and_then(Option::as_deref).unwrap_or("null");
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

    /// Reads the results of jobs that have not been read.
    async fn read_results(&self, ids: &[JobId], known: &mut Results) -> Result<()> {
        let unread: Vec<JobId> = ids.iter().filter(|id| !known.0.contains_key(*id)).cloned().collect();
        if unread.is_empty() {
            return Ok(());
        }
        for job in self.store.get_jobs(&unread).await? {
            let result = job.result.filter(|_| job.state == State::Completed).map(|result| result.get().to_owned());
            known.0.insert(job.id, result);
        }
        for id in unread {
            known.0.entry(id).or_insert(None);
        }
        Ok(())
    }
}

/// What the first steps of a workflow inside another one find in `parent_results`.
pub(in crate::engine) enum Inherited {
    /// This.
    Known(Option<Json>),
    /// To be read, if it is inside another one.
    Unknown,
}

/// Results of jobs as they have been read, for the steps that one call starts.
#[derive(Default)]
pub(in crate::engine) struct Results(HashMap<JobId, Option<String>>);

/// Bytes of the largest request of a workflow's jobs.
pub(in crate::engine) fn largest_job(definition: &Definition) -> usize {
    let sizes = definition.steps.iter().map(|step| match &step.work {
        Work::Job(request) => request.get().len(),
        Work::Workflow(nested) => largest_job(nested),
    });
    sizes.max().unwrap_or(0)
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
