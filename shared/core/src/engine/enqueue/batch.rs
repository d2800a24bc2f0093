use std::collections::BTreeSet;

use futures::stream::{self, StreamExt, TryStreamExt};

use super::Enqueued;
use super::unique::{Holding, MAX_TRIES, busy, duplicate, keep_the_schedule, replacing, rest};
use crate::engine::{Engine, MAX_ANSWER_BYTES};
use crate::observe::metrics;
use crate::store::{Committed, JobWrite, Locked, NewPut, Put, Replacement, Take, Ticket};
use ojs_model::batch::{ABORTED_MS, Batch, BatchState, OPEN_MS, check_queues, parse_batch, place};
use ojs_model::bulk::{Answer, Item, Operation, made_answer};
use ojs_model::error::{Error, Result};
use ojs_model::ids::JobId;
use ojs_model::job::unique::{Conflict, Lock, UniqueKey, UniquePolicy, conflict};
use ojs_model::job::{Event, Job, NewJob, step};
use ojs_model::json::Fields;
use ojs_model::message::JobRef;

/// Jobs with an id of their client's or a unique key are written one by one, this many at a time.
const CONCURRENCY: usize = 8;
/// How often a batch is opened whose first writes AWS does not answer.
const MAX_OPENINGS: u32 = 2;
/// Most jobs of one batch that may take the place of others: each takes two of a transaction's 100 actions.
pub const MAX_REPLACEMENTS: usize = 49;

/// What became of one job of a batch before the batch is committed.
enum Written {
    /// It is written, not to be seen yet.
    New(Box<Job>),
    /// The same, and it takes the place of another job when the batch is committed.
    Replaces(Box<(Job, Replacement)>),
    /// It is a duplicate to be ignored of this job.
    There(Box<Job>),
    /// It cannot be.
    Refused(Error),
}

impl Written {
    fn item(&self) -> Item<'_> {
        match self {
            Self::New(job) => Item::Created(job),
            Self::Replaces(both) => Item::Created(&both.0),
            Self::There(job) => Item::Duplicate(job),
            Self::Refused(error) => Item::Failed(error),
        }
    }
}

/// A request with an idempotency key: its answer is written by the very transaction that commits its jobs.
pub(in crate::engine) struct Keyed<'a> {
    /// The run that has the key's record.
    pub(in crate::engine) ticket: &'a Ticket,
    /// The batch that the record names.
    pub(in crate::engine) batch: JobId,
    /// Jobs that cannot be, by their index in the request.
    pub(in crate::engine) refused: &'a [(usize, Error)],
}

impl Keyed<'_> {
    fn answer(&self, written: &[(usize, Written)]) -> Result<Answer> {
        let refused = self.refused.iter().map(|(index, error)| (*index, Item::Failed(error)));
        let mut items: Vec<_> =
            written.iter().map(|(index, written)| (*index, written.item())).chain(refused).collect();
        items.sort_by_key(|(index, _)| *index);
        let items: Vec<_> = items.into_iter().map(|(_, item)| item).collect();
        made_answer(self.ticket.operation, &items, MAX_ANSWER_BYTES)
    }
}

/// A batch while it is written.
struct Writing<'a> {
    engine: &'a Engine,
    batch: Batch,
    keyed: Option<&'a Keyed<'a>>,
    now: i64,
}

impl Engine {
    /// Enqueues many jobs, all or none (JSON format section 10, HTTP binding section 9.5): 25 a write, ten a message call.
    /// Answers them in their order.
    ///
    /// # Errors
    /// As for each job, with the job's index; the AWS error. Then there is none of them.
    pub async fn enqueue_batch(&self, request: Fields) -> Result<Vec<Enqueued>> {
        let now = self.now_ms();
        let jobs = parse_batch(request, now, &self.ids)?;
        let answers = self.enqueue_all(jobs.into_iter().enumerate().collect(), true, None, now).await?;
        answers.into_iter().collect()
    }

    /// Enqueues jobs, each with its index in the request, in one commit. Where one cannot be, none is if `atomic`, else the
    /// others are. With `keyed`, a job that others are at just now keeps all out, since the answer stays.
    pub(in crate::engine) async fn enqueue_all(
        &self,
        mut jobs: Vec<(usize, NewJob)>,
        atomic: bool,
        keyed: Option<&Keyed<'_>>,
        now: i64,
    ) -> Result<Vec<Result<Enqueued>>> {
        if jobs.len() < 2 && keyed.is_none() {
            let mut answers = Vec::new();
            for (index, new) in jobs {
                answers.push(self.enqueue_new(new, now).await.map_err(|error| place(error, index)));
            }
            return Ok(answers);
        }
        check_queues("jobs", jobs.iter().map(|(_, new)| (new.job.queue.as_str(), new.job.priority)))?;
        let queues: BTreeSet<String> = jobs.iter().map(|(_, new)| new.job.queue.clone()).collect();
        let each: Vec<_> = queues.iter().map(|queue| self.register_queue(queue)).collect();
        stream::iter(each).buffer_unordered(CONCURRENCY).try_collect::<()>().await?;
        for (_, new) in &mut jobs {
            self.prepare(&mut new.job, now);
        }
        let writing = self.open(&mut jobs, keyed, now).await?;
        let written = match writing.all(jobs, atomic).await {
            Ok(written) => written,
            Err(error) => {
                writing.call_off().await;
                return Err(error);
            }
        };
        Ok(writing.committed(written).await)
    }

    /// Opens a batch and writes its plain jobs. What AWS does not answer may arrive at any time, even when a worker has the
    /// job, and would reset it: such a batch is aborted for good, and the jobs are written once more, with other ids, in
    /// another one.
    async fn open<'a>(
        &'a self,
        jobs: &mut [(usize, NewJob)],
        keyed: Option<&'a Keyed<'a>>,
        now: i64,
    ) -> Result<Writing<'a>> {
        let mut tries = 1;
        loop {
            let id = keyed.map_or_else(|| self.ids.job_id(now), |keyed| keyed.batch.clone());
            for (_, new) in jobs.iter_mut() {
                new.job.batch = Some(id.clone());
            }
            let ids = jobs.iter().map(|(_, new)| new.job.id.clone()).collect();
            let batch = Batch { id, jobs: ids, state: BatchState::Open, due_at: now + OPEN_MS };
            let writing = Writing { engine: self, batch, keyed, now };
            let error = match writing.put(jobs).await {
                Ok(NewPut::Done) => return Ok(writing),
                // The record of an idempotency key names this batch.
                Ok(NewPut::Unsettled(error)) if tries < MAX_OPENINGS && keyed.is_none() => error,
                Ok(NewPut::Unsettled(error)) | Err(error) => {
                    writing.call_off().await;
                    return Err(error);
                }
            };
            tracing::warn!(batch_id = %writing.batch.id, %error, "batch aborted: a write of it may be late; written anew");
            writing.call_off().await;
            tries += 1;
            for (_, new) in jobs.iter_mut().filter(|(_, new)| !new.client_id) {
                new.job.id = self.ids.job_id(now);
            }
        }
    }
}

impl Writing<'_> {
    /// Writes the batch, open, and its plain jobs.
    async fn put(&self, jobs: &[(usize, NewJob)]) -> Result<NewPut> {
        let store = &self.engine.store;
        if let unsettled @ NewPut::Unsettled(_) = store.open_batch(&self.batch).await? {
            return Ok(unsettled);
        }
        let plain = jobs.iter().filter(|(_, new)| !new.client_id && new.unique.is_none());
        store.put_new_jobs(&plain.map(|(_, new)| &new.job).collect::<Vec<_>>()).await
    }

    /// Writes the other jobs and commits the batch.
    async fn all(&self, jobs: Vec<(usize, NewJob)>, atomic: bool) -> Result<Vec<(usize, Written)>> {
        let each: Vec<_> = jobs
            .into_iter()
            .map(|(index, new)| async move {
                self.one(new).await.map_err(|error| self.place(error, index)).map(|w| (index, w))
            })
            .collect();
        let written: Vec<Result<(usize, Written)>> = stream::iter(each).buffered(CONCURRENCY).collect().await;
        let mut all = Vec::with_capacity(written.len());
        for written in written {
            match written? {
                (index, Written::Refused(error)) => {
                    let error = self.place(error, index);
                    if atomic || (self.keyed.is_some() && error.code.is_retryable()) {
                        return Err(error);
                    }
                    all.push((index, Written::Refused(error)));
                }
                other => all.push(other),
            }
        }
        self.commit(&all).await?;
        Ok(all)
    }

    /// Says which job of the request an error is about, unless there can be only one.
    fn place(&self, error: Error, index: usize) -> Error {
        match self.keyed {
            Some(keyed) if keyed.ticket.operation == Operation::Job => error,
            _ => place(error, index),
        }
    }

    async fn one(&self, new: NewJob) -> Result<Written> {
        match (new.unique, new.job.unique_key) {
            (Some(policy), Some(key)) => self.unique(new.job, key, &policy).await,
            _ if new.client_id => match self.engine.store.put_job(&new.job).await {
                Put::Done => Ok(Written::New(Box::new(new.job))),
                Put::Taken(existing) => Ok(Written::Refused(self.engine.duplicate(&existing).await)),
                Put::Failed { error, .. } => Err(error),
            },
            _ => Ok(Written::New(Box::new(new.job))),
        }
    }

    /// Writes a unique job and its lock, unless it replaces another one: that happens when the batch is committed.
    async fn unique(&self, mut job: Job, key: UniqueKey, policy: &UniquePolicy) -> Result<Written> {
        let (engine, now) = (self.engine, self.now);
        let mut take = Take::Free;
        for tries in 1..=MAX_TRIES {
            let lock = Lock::of(&job, key, policy, engine.ids.nonce());
            let held = match engine.store.lock_job(&lock, &take, JobWrite::New(&job), now).await? {
                Locked::Done => return Ok(Written::New(Box::new(job))),
                Locked::Taken(existing) => return Ok(Written::Refused(engine.duplicate(&existing).await)),
                Locked::Raced => {
                    rest(tries).await;
                    take = Take::Free;
                    continue;
                }
                Locked::Held(held) => held,
            };
            let stored = match engine.holder(&held).await? {
                Holding::Job(stored) => Some(*stored),
                Holding::Nothing => None,
                Holding::Undecided => return Err(busy()),
            };
            let holder = stored.as_ref().map(|job| job.as_of(now));
            match (conflict(policy, &held, holder.as_deref(), now), stored) {
                (Conflict::None, _) => take = Take::Over(held),
                (Conflict::Replace { keep_schedule }, Some(stored)) => {
                    let Ok(change) = step(&stored, Event::Cancel, now) else { continue };
                    if keep_schedule {
                        keep_the_schedule(&mut job, &stored);
                        engine.prepare(&mut job, now);
                    }
                    match engine.store.put_job(&job).await {
                        Put::Done => {}
                        Put::Taken(existing) => return Ok(Written::Refused(engine.duplicate(&existing).await)),
                        Put::Failed { error, .. } => return Err(error),
                    }
                    let take = replacing(held, stored, change.job);
                    let lock = Lock::of(&job, key, policy, engine.ids.nonce());
                    return Ok(Written::Replaces(Box::new((job, Replacement { lock, take }))));
                }
                (kind, Some(stored)) => {
                    if !engine.send_again(&stored, &held, now).await? {
                        take = Take::Free;
                        continue;
                    }
                    let current = stored.as_of(now).into_owned();
                    return Ok(match kind {
                        Conflict::Ignore => Written::There(Box::new(current)),
                        _ => Written::Refused(duplicate(&current, &key)),
                    });
                }
                (_, None) => return Err(Error::internal("a conflict with a job that is not there")),
            }
        }
        Err(busy())
    }

    /// From here on the jobs are there, all at once.
    async fn commit(&self, written: &[(usize, Written)]) -> Result<()> {
        let store = &self.engine.store;
        let replaced: Vec<_> = written
            .iter()
            .filter_map(|(_, written)| match written {
                Written::Replaces(both) => Some((&both.1, &both.0)),
                _ => None,
            })
            .collect();
        if replaced.len() > MAX_REPLACEMENTS {
            return Err(Error::field(
                "jobs",
                format_args!("has {} jobs that replace others; at most {MAX_REPLACEMENTS} are allowed", replaced.len()),
            )
            .with("max", MAX_REPLACEMENTS));
        }
        let answer = self.keyed.map(|keyed| keyed.answer(written).map(|answer| (keyed.ticket, answer))).transpose()?;
        let answered = answer.as_ref().map(|(ticket, answer)| (*ticket, answer));
        match store.commit_batch(&self.batch, &replaced, answered, self.now, self.engine.ids.nonce()).await? {
            Committed::Done => Ok(()),
            Committed::Refused => Err(busy()),
            Committed::Unknown(error) => match store.get_batch(&self.batch.id).await? {
                Some(Batch { state: BatchState::Committed, .. }) => Ok(()),
                _ => Err(error),
            },
        }
    }

    /// Sends the messages; what cannot be sent is for a tick.
    async fn committed(self, written: Vec<(usize, Written)>) -> Vec<Result<Enqueued>> {
        let (engine, now) = (self.engine, self.now);
        let mut answers = Vec::with_capacity(written.len());
        let mut messages = Vec::with_capacity(written.len());
        let mut over = Vec::new();
        for (_, written) in written {
            let (job, replacement) = match written {
                Written::New(job) => (*job, None),
                Written::Replaces(both) => (both.0, Some(both.1)),
                Written::There(job) => {
                    answers.push(Ok(Enqueued { job: *job, deduplicated: true }));
                    continue;
                }
                Written::Refused(error) => {
                    answers.push(Err(error));
                    continue;
                }
            };
            messages.extend(engine.delay_of(&job, now).map(|delay_s| (JobRef::to(&job), delay_s)));
            if let Some(Replacement { take: Take::Replacing(_, holder), .. }) = replacement {
                over.push(*holder);
            }
            if job.state.is_terminal() {
                over.push((job.clone(), job.clone()));
            }
            metrics::job_enqueued(&job);
            answers.push(Ok(Enqueued { job, deduplicated: false }));
        }
        let failed = engine.send_all(&messages).await.into_iter().find_map(Result::err);
        for (stored, ended) in &over {
            let receipt = stored.lease.as_ref().and_then(|lease| lease.receipt.as_ref());
            engine.after_terminal(ended, receipt).await;
        }
        let done = match failed {
            None => engine.store.delete_batch(&self.batch.id).await,
            Some(error) => Err(error),
        };
        if let Err(error) = done {
            tracing::warn!(batch_id = %self.batch.id, %error, "batch not finished; a tick sends what is left");
        }
        tracing::info!(batch_id = %self.batch.id, jobs = answers.len(), "batch enqueued");
        answers
    }

    /// Undoes what is written. A batch whose commit may have taken effect is left to the tick, which looks.
    async fn call_off(&self) {
        let dropped = async {
            if self.engine.store.abort_batch(&self.batch.id, self.engine.now_ms() + ABORTED_MS).await? {
                self.engine.drop_jobs(&self.batch).await?;
            }
            Ok::<(), Error>(())
        };
        if let Err(error) = dropped.await {
            tracing::warn!(batch_id = %self.batch.id, %error, "batch not aborted; a tick will do it");
        }
    }
}
