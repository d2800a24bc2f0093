use std::time::Duration;

use super::Enqueued;
use crate::engine::Engine;
use crate::engine::job::effects::Redelivery;
use crate::observe::metrics;
use crate::store::{JobWrite, Locked, Take};
use ojs_model::batch::BatchCommit;
use ojs_model::error::{Error, ErrorCode, Result};
use ojs_model::job::unique::{Conflict, Lock, OnConflict, UniqueKey, UniquePolicy, conflict};
use ojs_model::job::{Event, Job, State, step};
use ojs_model::message::JobRef;

/// How often a lock is tried for that others are trying for.
pub(in crate::engine) const MAX_TRIES: u32 = 10;
/// Longest wait between two tries, ms.
const MAX_WAIT_MS: u64 = 100;

/// Who holds a lock.
pub(in crate::engine) enum Holding {
    /// This job.
    Job(Box<Job>),
    /// A job of a batch that is being written.
    Undecided,
    /// A job that is not there.
    Nothing,
}

/// Why a lock could not be had.
pub(in crate::engine) enum Kept {
    /// By this job, which stays.
    By(Box<Job>),
    /// Others were at it all the time.
    Raced,
}

impl Engine {
    /// Stores a unique job and its lock in one transaction (OJS unique jobs section 6), then sends its message. A
    /// replacement's message goes first: what it replaces was accepted, so nothing may be lost in between.
    pub(in crate::engine) async fn enqueue_unique(
        &self,
        asked: Job,
        key: UniqueKey,
        policy: &UniquePolicy,
        now: i64,
    ) -> Result<Enqueued> {
        let mut take = Take::Free;
        let mut job = asked.clone();
        // The delay of the message that has gone ahead, s.
        let mut sent: Option<i64> = None;
        for tries in 1..=MAX_TRIES {
            let lock = Lock::of(&job, key, policy, self.ids.nonce());
            match self.store.lock_job(&lock, &take, JobWrite::New(&job), now).await? {
                Locked::Done => return self.locked_new(job, &lock, take, sent.is_some(), now).await,
                Locked::Taken(existing) => return Err(self.duplicate(&existing).await),
                Locked::Raced => {
                    rest(tries).await;
                    take = Take::Free;
                    job = asked.clone();
                }
                Locked::Held(held) => {
                    // What another holder's schedule has made of it is over.
                    job = asked.clone();
                    let stored = match self.holder(&held).await? {
                        Holding::Job(stored) => Some(*stored),
                        Holding::Nothing => None,
                        Holding::Undecided => return Err(busy()),
                    };
                    let holder = stored.as_ref().map(|job| job.as_of(now));
                    match (conflict(policy, &held, holder.as_deref(), now), stored.as_ref()) {
                        (Conflict::None, _) => take = Take::Over(held),
                        (Conflict::Replace { keep_schedule }, Some(stored)) => {
                            let Ok(change) = step(stored, Event::Cancel, now) else { continue };
                            if keep_schedule {
                                keep_the_schedule(&mut job, stored);
                            }
                            if let Some(Redelivery::Delayed(delay_s)) = self.prepare(&mut job, now)
                                && sent.is_none_or(|before| delay_s < before)
                            {
                                self.send(&JobRef::to(&job), delay_s).await?;
                                sent = Some(delay_s);
                            }
                            take = replacing(held, stored.clone(), change.job);
                        }
                        (kind, Some(stored)) => {
                            if !self.send_again(stored, &held, now).await? {
                                take = Take::Free;
                                continue;
                            }
                            let current = stored.as_of(now).into_owned();
                            if kind == Conflict::Ignore {
                                tracing::info!(job_id = %current.id, queue = current.queue, "duplicate ignored");
                                return Ok(Enqueued { job: current, deduplicated: true });
                            }
                            return Err(duplicate(&current, &key));
                        }
                        (_, None) => return Err(Error::internal("a conflict with a job that is not there")),
                    }
                }
            }
        }
        Err(busy())
    }

    /// Lock and job are written.
    async fn locked_new(&self, job: Job, lock: &Lock, take: Take, sent: bool, now: i64) -> Result<Enqueued> {
        if let Take::Replacing(_, holder) = take {
            let (stored, cancelled) = *holder;
            let receipt = stored.lease.as_ref().and_then(|lease| lease.receipt.as_ref());
            tracing::info!(job_id = %cancelled.id, by = %job.id, "job replaced by a duplicate");
            self.after_terminal(&cancelled, receipt).await;
        }
        let waits = matches!(job.state, State::Available | State::Scheduled);
        if !sent && let Err(error) = self.deliver(&job, waits.then(|| self.redelivery(job.due_at, now))).await {
            match self.store.unlock_new_job(&job, lock, self.ids.nonce()).await {
                Ok(true) => return Err(error),
                // A worker has it already.
                Ok(false) => {}
                Err(undo) => {
                    tracing::warn!(job_id = %job.id, %undo, "unique job's put not undone; the client was told to try again");
                    return Err(error);
                }
            }
        }
        if job.state.is_terminal() {
            self.after_terminal(&job, None).await;
        }
        metrics::job_enqueued(&job);
        tracing::info!(job_id = %job.id, queue = job.queue, state = job.state.as_str(), "unique job enqueued");
        Ok(Enqueued { job, deduplicated: false })
    }

    /// The first duplicate of a job that no worker has run may be its own request again, which crashed between transaction and
    /// send. Later ones send again where the job has waited for long: its message may be lost, and the lock would keep duplicates
    /// out for ever. One message too many does no harm (I5). `false` when the lock has changed since it was read, so that no client
    /// may be told of the job: its request may have undone it.
    pub(in crate::engine) async fn send_again(&self, stored: &Job, lock: &Lock, now: i64) -> Result<bool> {
        let current = stored.as_of(now);
        let waits = matches!(current.state, State::Available | State::Scheduled) && current.attempt == 0;
        if !waits || stored.in_due_index || lock.resent {
            self.resend_if_long(stored, now).await;
            return Ok(true);
        }
        if let Redelivery::Delayed(delay_s) = self.redelivery(current.due_at, now) {
            self.send(&JobRef::to(stored), delay_s).await?;
            return self.store.note_resent(lock).await;
        }
        Ok(true)
    }

    /// The job that holds a lock, as stored.
    pub(in crate::engine) async fn holder(&self, lock: &Lock) -> Result<Holding> {
        let Some(stored) = self.store.get_job(&lock.job).await? else { return Ok(Holding::Nothing) };
        Ok(match self.batch_commit(&stored).await? {
            BatchCommit::Committed => Holding::Job(Box::new(stored)),
            BatchCommit::Undecided => Holding::Undecided,
            BatchCommit::Aborted => Holding::Nothing,
        })
    }

    /// Takes the lock of a unique job that comes back to life, and writes what it is then (dead letter section 6).
    ///
    /// # Errors
    /// The AWS error.
    pub(in crate::engine) async fn lock_again(&self, stored: &Job, new: &Job, now: i64) -> Result<Option<Kept>> {
        let (Some(policy), Some(key)) = (stored.unique_policy()?, stored.unique_key) else {
            return Err(Error::internal("a job without a unique policy"));
        };
        let policy = UniquePolicy { on_conflict: OnConflict::Reject, ..policy };
        let mut take = Take::Free;
        for tries in 1..=MAX_TRIES {
            // Each try is a transaction of its own.
            // The write raises the revision.
            let lock = Lock { revision: stored.revision + 1, ..Lock::of(new, key, &policy, self.ids.nonce()) };
            match self.store.lock_job(&lock, &take, JobWrite::Changed(stored, new), now).await? {
                Locked::Done => return Ok(None),
                // The job has changed, or others are at the lock: the caller looks again.
                Locked::Taken(_) | Locked::Raced => {
                    rest(tries).await;
                    return Ok(Some(Kept::Raced));
                }
                Locked::Held(held) => {
                    let holder = match self.holder(&held).await? {
                        Holding::Job(stored) => Some(*stored),
                        Holding::Nothing => None,
                        Holding::Undecided => return Ok(Some(Kept::Raced)),
                    };
                    let holder = holder.as_ref().map(|job| job.as_of(now).into_owned());
                    match (conflict(&policy, &held, holder.as_ref(), now), holder) {
                        (Conflict::None, _) => take = Take::Over(held),
                        (_, Some(holder)) => return Ok(Some(Kept::By(Box::new(holder)))),
                        (_, None) => return Err(Error::internal("a conflict with a job that is not there")),
                    }
                }
            }
        }
        Ok(Some(Kept::Raced))
    }
}

/// Schedules `job` for when `replaced` was to run.
pub(in crate::engine) fn keep_the_schedule(job: &mut Job, replaced: &Job) {
    job.scheduled_at.clone_from(&replaced.scheduled_at);
    job.due_at = replaced.due_at;
    job.state = State::Scheduled;
}

/// Takes the lock of a job that is cancelled for it.
pub(in crate::engine) fn replacing(held: Lock, stored: Job, mut cancelled: Job) -> Take {
    // The lock is not its any more.
    cancelled.unique_key = None;
    Take::Replacing(held, Box::new((stored, cancelled)))
}

/// Others are at the same key: a short rest, of random length so that they do not meet again.
pub(in crate::engine) async fn rest(tries: u32) {
    let longest = (5_u64 << tries.min(8)).min(MAX_WAIT_MS);
    tokio::time::sleep(Duration::from_millis(fastrand::u64(1..=longest))).await;
}

/// There is such a job: 409, naming it (unique jobs section 5.1).
pub(in crate::engine) fn duplicate(holder: &Job, key: &UniqueKey) -> Error {
    Error::new(ErrorCode::Duplicate, format!("Job '{}' is there already, with the same unique key.", holder.id))
        .with("existing_job_id", holder.id.as_str())
        .with("existing_job_state", holder.state.as_str())
        .with("uniqueness_key", key.to_string())
}

pub(in crate::engine) fn busy() -> Error {
    Error::new(ErrorCode::BackendUnavailable, "Others are enqueueing the same job; try again shortly.")
}
