use crate::engine::job::effects::Wake;
use crate::engine::job::refuse;
use crate::engine::{Engine, MAX_RACES};
use crate::observe::{metrics, trace};
use crate::store::Updated;
use ojs_model::error::{Error, Result};
use ojs_model::ids::JobId;
use ojs_model::job::{Event, Failure, Holder, Job, Receipt, Refusal, State, settle, step};

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
        let mut stored = self.store.get_job(&id).await?.ok_or_else(|| refuse::missing(&id))?;
        for _ in 0..MAX_RACES {
            let stepped = step(&self.fenced(&stored), event.clone(), now);
            let mut change = match stepped {
                Ok(change) => change,
                Err(Refusal::Repeated) => return self.nack_again(&stored, now).await,
                Err(refusal) => {
                    // A repetition that no token proves is refused, but finished as well.
                    if matches!(refusal, Refusal::State(_)) && stored.attempt > 0 {
                        self.nack_again(&stored, now).await?;
                    }
                    return Err(refuse::conflict(&stored, &refusal, "nack", "active", now));
                }
            };
            // On a FIFO queue the message waits, and its group with it.
            change.job.in_due_index = change.job.due_at.is_some()
                && !self.transport.is_fifo()
                && self.wake(change.job.due_at, now) == Wake::DueIndex;
            match self.replace(&stored, &change.job).await? {
                Updated::Done(job) => {
                    let receipt = stored.lease.as_ref().and_then(|lease| lease.receipt.as_ref());
                    if let (Some(limit), Some(until)) = (&job.limit, blocked_until)
                        && let Err(error) = self.block_limit(limit.key.as_str(), until, now).await
                    {
                        tracing::warn!(job_id = %id, key = %limit.key, %error, "rate limit not blocked as the worker asked");
                    }
                    self.after_nack(&job, receipt, now).await?;
                    return Ok(*job);
                }
                Updated::Refused(newer) => stored = *newer,
                Updated::Missing => return Err(refuse::missing(&id)),
                Updated::TooLarge => return Err(Error::internal("a failure report does not fit its job")),
            }
        }
        Err(refuse::raced(&id))
    }

    /// The first try took effect and its answer was lost, perhaps with the rest of its process: its message may still be
    /// hidden for the old lease. One message too many does no harm.
    async fn nack_again(&self, stored: &Job, now: i64) -> Result<Job> {
        self.finish_again(stored).await?;
        let job = settle(stored, now).into_owned();
        let waits = |state| matches!(state, State::Retryable | State::Available);
        if waits(stored.state) && waits(job.state) && !stored.in_due_index {
            if self.transport.is_fifo() {
                // There is only the old message, and its group waits for it.
                self.waits(&job, stored.ended_receipt.as_ref(), now).await?;
            } else {
                self.release_slots(&job).await;
                self.announce(&job, now).await?;
            }
        }
        Ok(job)
    }

    async fn after_nack(&self, job: &Job, receipt: Option<&Receipt>, now: i64) -> Result<()> {
        match job.state {
            // Given back, too, a job gets a new message: SQS takes one that is received too often for poison.
            State::Retryable | State::Available => {
                if job.state == State::Retryable {
                    metrics::job_retried(job);
                }
                trace::meet(job);
                self.waits(job, receipt, now).await?;
            }
            _ => self.conclude(job, receipt).await?,
        }
        tracing::info!(job_id = %job.id, attempt = job.attempt, state = job.state.as_str(), "attempt failed");
        Ok(())
    }
}
