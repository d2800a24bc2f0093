use std::sync::Arc;

use crate::engine::Engine;
use crate::engine::job::effects::Redelivery;
use crate::engine::job::refuse;
use crate::engine::job::transition::{Decided, Transition, must_fit};
use crate::observe::{metrics, trace};
use ojs_model::error::{Error, Result};
use ojs_model::ids::JobId;
use ojs_model::job::{Event, Failure, Holder, Job, Receipt, Refusal, State, step};

/// A worker says that its attempt failed, or gives the job back.
#[derive(Debug, Clone)]
pub struct Nack {
    /// The job.
    pub id: JobId,
    /// Who says so.
    pub holder: Holder,
    /// Why; required unless `requeue`.
    pub failure: Option<Failure>,
    /// Give the job back as available, whatever the policy says.
    pub requeue: bool,
}

impl Engine {
    /// Fails an attempt (OJS core section 7.4): a strong read, one conditional update, then the queue.
    ///
    /// The read is there because the next state depends on policy, attempt and history; the update is conditional on
    /// the revision that was read.
    ///
    /// # Errors
    /// `not_found`; `conflict` when the job is not active or the lease is another's; `invalid_request` without an
    /// error; the AWS error.
    pub async fn nack(&self, nack: Nack) -> Result<Job> {
        let Nack { id, holder, failure, requeue } = nack;
        let blocked_until = failure.as_ref().and_then(|failure| failure.rate_limit_until);
        let event = match (requeue, failure) {
            (true, failure) => Event::Requeue { holder, failure },
            (false, Some(failure)) => Event::Nack { holder, failure },
            (false, None) => return Err(Error::field("error", "is required")),
        };
        let now = self.now_ms();
        let stored = self.store.get_job(&id).await?.ok_or_else(|| refuse::missing(&id))?;
        let nacked = self.transition(stored, must_fit("a failure report"), async |stored: Arc<Job>| {
            match step(&self.fenced(&stored), event.clone(), now) {
                Ok(mut change) => {
                    // On a FIFO queue the message waits, and its group with it.
                    change.job.in_due_index = change.job.due_at.is_some()
                        && !self.transport.is_fifo()
                        && self.redelivery(change.job.due_at, now) == Redelivery::DueIndex;
                    Ok(Decided::Write(Box::new(change.job)))
                }
                Err(Refusal::Repeated) => Ok(Decided::Answer(Box::new(self.nack_again(&stored, now).await?))),
                Err(refusal) => {
                    // A repetition that no token proves is refused, but finished as well.
                    if matches!(refusal, Refusal::State(_)) && stored.attempt > 0 {
                        self.nack_again(&stored, now).await?;
                    }
                    Err(refuse::conflict(&stored, &refusal, "nack", "active", now))
                }
            }
        });
        let (before, job) = match nacked.await? {
            Transition::Written { before, after } => (before, after),
            Transition::Answered(job) => return Ok(*job),
        };
        if let (Some(limit), Some(until)) = (&job.limit, blocked_until)
            && let Err(error) = self.block_limit(limit.key.as_str(), until, now).await
        {
            tracing::warn!(job_id = %id, key = %limit.key, %error, "rate limit not blocked as the worker asked");
        }
        let receipt = before.lease.as_ref().and_then(|lease| lease.receipt.as_ref());
        self.after_nack(&job, receipt, now).await?;
        Ok(*job)
    }

    /// The first try took effect and its answer was lost, perhaps with the rest of its process: its message may still be
    /// hidden for the old lease. One message too many does no harm.
    async fn nack_again(&self, stored: &Job, now: i64) -> Result<Job> {
        self.finish_again(stored).await?;
        let job = stored.as_of(now).into_owned();
        let waits = |state| matches!(state, State::Retryable | State::Available);
        if waits(stored.state) && waits(job.state) && !stored.in_due_index {
            if self.transport.is_fifo() {
                // There is only the old message, and its group waits for it.
                self.after_retry(&job, stored.ended_receipt.as_ref(), now).await?;
            } else {
                self.release_slots(&job).await;
                self.send_before_change(&job, now).await?;
            }
        }
        Ok(job)
    }

    async fn after_nack(&self, job: &Job, receipt: Option<&Receipt>, now: i64) -> Result<()> {
        match job.state {
            // A requeued job gets a new message, too: SQS takes one that is received too often for poison.
            State::Retryable | State::Available => {
                if job.state == State::Retryable {
                    metrics::job_retried(job);
                }
                trace::meet(job);
                self.after_retry(job, receipt, now).await?;
            }
            _ => self.conclude(job, receipt).await?,
        }
        tracing::info!(job_id = %job.id, attempt = job.attempt, state = job.state.as_str(), "attempt failed");
        Ok(())
    }
}
