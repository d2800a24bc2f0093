//! Enqueues a job: the plain way here, batches, unique jobs and keyed requests in files of their own.

pub(super) mod batch;
pub(super) mod batch_finish;
pub(super) mod keyed;
pub(super) mod unique;
pub(super) mod unlock;

use std::borrow::Cow;

use futures::future::{join, try_join};

use super::Engine;
use super::job::effects::Redelivery;
use crate::observe::{metrics, trace};
use crate::store::Put;
use ojs_model::batch::BatchCommit;
use ojs_model::bulk::Item;
use ojs_model::error::{Error, ErrorCode, Result};
use ojs_model::job::{Job, NewJob, State, parse_enqueue};
use ojs_model::json::Fields;
use ojs_model::message::JobRef;
use unique::busy;

/// The answer to an enqueue.
#[derive(Debug, Clone)]
pub struct Enqueued {
    /// The job; where the new one was a duplicate to be ignored, the one that is there.
    pub job: Job,
    /// Whether it is the one that was there.
    pub deduplicated: bool,
}

impl Enqueued {
    /// What an answer says of it.
    #[must_use]
    pub fn item(&self) -> Item<'_> {
        if self.deduplicated { Item::Duplicate(&self.job) } else { Item::Created(&self.job) }
    }
}

impl Engine {
    /// Stores a job and sends its message (OJS core section 7.1, HTTP binding section 9.1).
    ///
    /// Put and send run at once where the put cannot be refused (server-made id); a client's id is put first. When one
    /// of the two fails the put is undone, and a message without a job is dropped by the fetch that receives it.
    ///
    /// Of the two at once the send begins first, and only when nothing else has to be looked up for it: a process that is killed
    /// in between leaves a message without a job, not a job without a message.
    ///
    /// # Errors
    /// As [`parse_enqueue`]; `duplicate` when the id is taken, or the job is a duplicate by its unique policy; the AWS
    /// error, and then nothing is left.
    pub async fn enqueue(&self, request: Fields) -> Result<Enqueued> {
        let now = self.now_ms();
        self.enqueue_new(parse_enqueue(request, now, &self.ids)?, now).await
    }

    /// The same for a request that has been read.
    pub(super) async fn enqueue_new(&self, new: NewJob, now: i64) -> Result<Enqueued> {
        let NewJob { mut job, client_id, unique } = new;
        let redelivery = self.prepare(&mut job, now);
        self.register_queue(&job.queue).await?;
        if let (Some(policy), Some(key)) = (unique, job.unique_key) {
            return self.enqueue_unique(job, key, &policy, now).await;
        }
        // On a FIFO queue a message without a job would block its group.
        let put_first = client_id || self.transport.is_fifo();
        let (put, sent) = if put_first {
            match self.store.put_job(&job).await {
                Put::Done => (Put::Done, self.deliver(&job, redelivery).await),
                other => (other, Ok(())),
            }
        } else {
            if matches!(redelivery, Some(Redelivery::Delayed(_))) {
                self.find_sqs_queue(&job.queue, job.priority).await?;
            }
            let (sent, put) = join(self.deliver(&job, redelivery), self.store.put_job(&job)).await;
            (put, sent)
        };
        match (put, sent) {
            (Put::Done, Ok(())) => {}
            (Put::Done, Err(error)) => self.undo_put(&job, error).await?,
            (Put::Failed { error, maybe_stored: true }, _) if put_first => {
                // No message has gone out yet, so what cannot be undone is another request's job.
                self.undo_put(&job, error.clone()).await?;
                return Err(error);
            }
            (Put::Failed { error, maybe_stored: true }, _) => self.undo_put(&job, error).await?,
            (Put::Failed { error, maybe_stored: false }, _) => return Err(error),
            (Put::Taken(existing), _) => return Err(self.duplicate(&existing).await),
        }
        if job.state.is_terminal() {
            self.after_terminal(&job, None).await;
        }
        metrics::job_enqueued(&job);
        tracing::info!(job_id = %job.id, queue = job.queue, state = job.state.as_str(), "job enqueued");
        Ok(Enqueued { job, deduplicated: false })
    }

    pub(super) async fn deliver(&self, job: &Job, redelivery: Option<Redelivery>) -> Result<()> {
        match redelivery {
            Some(Redelivery::Delayed(delay_s)) => self.send(&JobRef::to(job), delay_s).await,
            Some(Redelivery::DueIndex) | None => Ok(()),
        }
    }

    /// Undoes a put, and answers `error`; unless a worker has the job already, for then it is enqueued.
    async fn undo_put(&self, job: &Job, error: Error) -> Result<()> {
        match self.store.undo_put(job).await {
            Ok(true) => Err(error),
            Ok(false) => Ok(()),
            Err(undo) => {
                tracing::warn!(job_id = %job.id, %undo, "put not undone; the client was told to try again");
                Err(error)
            }
        }
    }

    /// The id is taken. The client may be repeating a request that crashed between put and send, so a job that no worker has
    /// run yet gets its message (again): one too many does no harm (I1, I5).
    pub(super) async fn duplicate(&self, existing: &Job) -> Error {
        // A job of a batch is not there yet, or will never have been.
        match self.batch_commit(existing).await {
            Ok(BatchCommit::Committed) => {}
            Ok(_) => return busy(),
            Err(error) => return error,
        }
        let now = self.now_ms();
        let current = existing.as_of(now);
        let waits = matches!(current.state, State::Available | State::Scheduled) && current.attempt == 0;
        if waits
            && !existing.in_due_index
            && let Redelivery::Delayed(delay_s) = self.redelivery(current.due_at, now)
            && let Err(error) = self.send(&JobRef::to(existing), delay_s).await
        {
            return error;
        }
        if current.attempt > 0 {
            self.resend_if_long(existing, now).await;
        }
        Error::new(ErrorCode::Duplicate, format!("Job '{}' exists already.", existing.id))
            .with("existing_job_id", existing.id.as_str())
            .with("existing_job_state", current.state.as_str())
    }

    /// Sends a message for a job that is about to become available: before the state changes, because a message whose
    /// job cannot run yet is put back, while a job without a message would wait for the audit.
    pub(super) async fn send_before_change(&self, job: &Job, now_ms: i64) -> Result<()> {
        match self.redelivery(job.due_at, now_ms) {
            Redelivery::Delayed(delay_s) => self.send_before_write(&JobRef::to(job), delay_s).await,
            Redelivery::DueIndex => Ok(()),
        }
    }

    /// Sends a message before what it announces is durable.
    pub(super) async fn send_before_write(&self, job: &JobRef, delay_s: i64) -> Result<()> {
        try_join(self.register_queue(&job.queue), self.send(job, delay_s)).await.map(|_| ())
    }

    /// Makes a new job what it is as of `now_ms`; who is to bring it to the workers.
    pub(super) fn prepare(&self, job: &mut Job, now_ms: i64) -> Option<Redelivery> {
        trace::mark(job);
        // One whose expiry has passed is over before a worker could run it.
        if let Cow::Owned(settled) = job.as_of(now_ms) {
            *job = settled;
        }
        let waits = matches!(job.state, State::Available | State::Scheduled);
        let redelivery = waits.then(|| self.redelivery(job.due_at, now_ms));
        // A pending job has no message; the index brings one when it expires, so that its end is written down.
        let expires = job.state == State::Pending && job.expires_at.is_some();
        job.in_due_index = redelivery == Some(Redelivery::DueIndex) || expires;
        redelivery
    }
}
