use std::sync::Arc;

use super::refuse;
use super::transition::{Decided, Transition, must_fit};
use crate::engine::Engine;
use crate::store::Updated;
use ojs_model::error::{Error, Result};
use ojs_model::ids::JobId;
use ojs_model::job::{Event, Job, Refusal, State, step};

/// The states that a job can be cancelled in.
pub(in crate::engine) const LIVE: &[State] =
    &[State::Active, State::Available, State::Pending, State::Scheduled, State::Retryable];

impl Engine {
    /// Cancels a job (OJS core section 7.6): one conditional update, then its message and the counter at once.
    ///
    /// The message of a job that no worker runs cannot be reached; it is dropped when it comes.
    ///
    /// # Errors
    /// `not_found`; `conflict` when the job has ended; the AWS error, after which a repetition finishes what the end entails.
    pub async fn cancel(&self, id: &JobId) -> Result<Job> {
        self.cancel_in(id, LIVE).await
    }

    /// The same for a job that is in one of these states, of those that have not ended.
    ///
    /// # Errors
    /// `not_found`; `conflict` when the job is in another state; the AWS error.
    pub(in crate::engine) async fn cancel_in(&self, id: &JobId, states: &[State]) -> Result<Job> {
        let now = self.now_ms();
        let nonce = self.ids.nonce();
        let stored = match self.store.cancel_job(id, states, nonce, now).await? {
            Updated::Done(before) => {
                let change = step(&before, Event::Cancel, now)
                    .map_err(|refusal| Error::internal(format_args!("job {id}: cancelled though {refusal:?}")))?;
                self.conclude(&change.job, change.job.ended_receipt.as_ref()).await?;
                tracing::info!(job_id = %id, from = change.from.as_str(), "job cancelled");
                return Ok(change.job);
            }
            // Our own first try.
            Updated::Refused(job) if job.nonce == Some(nonce) => {
                self.conclude(&job, job.ended_receipt.as_ref()).await?;
                return Ok(*job);
            }
            Updated::Refused(job) => *job,
            Updated::Missing => return Err(refuse::missing(id)),
            Updated::TooLarge => return Err(Error::internal("a cancellation does not fit its job")),
        };
        // The clock has moved the job since it was written, or it is a step of a workflow.
        self.cancel_as_read(stored, states).await
    }

    /// The same for a job that was read, computed from what is stored: one conditional update, and one more of the workflow
    /// of a step.
    ///
    /// # Errors
    /// As [`Self::cancel_in`].
    pub(in crate::engine) async fn cancel_as_read(&self, stored: Job, states: &[State]) -> Result<Job> {
        let now = self.now_ms();
        let cancelled = self.transition(stored, must_fit("a cancellation"), async |stored: Arc<Job>| {
            let change = match step(&stored, Event::Cancel, now) {
                Ok(change) => change,
                Err(refusal) => {
                    // The process that ended the job may have crashed before the rest.
                    self.finish_again(&stored).await?;
                    return Err(refuse::conflict(&stored, &refusal, "cancel", "not terminal", now));
                }
            };
            if !states.contains(&change.from) {
                let refusal = Refusal::State(change.from);
                return Err(refuse::conflict(&stored, &refusal, "cancel", "waiting", now));
            }
            self.watch_workflow_of(&stored).await?;
            Ok(Decided::Write(Box::new(change.job)))
        });
        match cancelled.await? {
            Transition::Written { before, after: job } => {
                let of_lease = before.lease.as_ref().and_then(|lease| lease.receipt.as_ref());
                self.conclude(&job, of_lease.or(job.ended_receipt.as_ref())).await?;
                Ok(*job)
            }
            Transition::Answered(job) => Ok(*job),
        }
    }
}
