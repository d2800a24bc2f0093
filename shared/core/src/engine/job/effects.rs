//! What follows from a change once it is durable. What fails here is finished by the message's return, or else by the
//! client, which is told to repeat its request.

use futures::future::join;

use crate::engine::Engine;
use crate::observe::{metrics, trace};
use crate::store::Outcome;
use crate::transport::SqsQueue;
use ojs_model::error::Result;
use ojs_model::job::{Job, Receipt};
use ojs_model::message::JobRef;
use ojs_model::message::MAX_DELAY_S;

/// Longest wait that a message's delay covers, ms.
pub(in crate::engine) const MAX_DELAY_MS: i64 = MAX_DELAY_S * 1_000;

/// Who brings a waiting job back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Redelivery {
    /// A message with this delay, s.
    Delayed(i64),
    /// The due index: SQS cannot delay for that long.
    DueIndex,
}

/// How a job that is due at `due_at` (now, where `None`) is brought back, if messages can be delayed by `max_delay_ms`.
/// Delays are cut to whole seconds: the fetch waits out the rest.
fn redelivery(due_at: Option<i64>, now_ms: i64, max_delay_ms: i64) -> Redelivery {
    let wait_ms = due_at.map_or(0, |due| due - now_ms).max(0);
    if wait_ms > max_delay_ms { Redelivery::DueIndex } else { Redelivery::Delayed(wait_ms / 1_000) }
}

impl Engine {
    /// How a job that is due at `due_at` (now, where `None`) is brought back: on a FIFO queue, whose messages cannot be delayed
    /// and would block their group, by the due index.
    pub(in crate::engine) fn redelivery(&self, due_at: Option<i64>, now_ms: i64) -> Redelivery {
        redelivery(due_at, now_ms, if self.transport.is_fifo() { 0 } else { MAX_DELAY_MS })
    }

    /// What follows the end of a job, where no client waits for the outcome: what fails is logged, and the job's message
    /// brings the worker that finishes it.
    pub(in crate::engine) async fn after_terminal(&self, ended: &Job, receipt: Option<&Receipt>) {
        if let Err(error) = self.conclude(ended, receipt).await {
            tracing::warn!(job_id = %ended.id, %error, "job's end is unfinished; its message will be redelivered when the lease would have ended");
        }
    }

    /// A job has ended just now: counts it, and does what its end entails.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub(in crate::engine) async fn conclude(&self, ended: &Job, receipt: Option<&Receipt>) -> Result<()> {
        metrics::job_ended(ended);
        trace::meet(ended);
        let count = async {
            let Some(outcome) = Outcome::of(ended.state) else { return };
            if let Err(error) = self.store.count(&ended.queue, outcome, self.ids.nonce()).await {
                tracing::warn!(job_id = %ended.id, queue = ended.queue, %error, "job's end not counted");
            }
        };
        join(self.finish(ended, receipt), count).await.0
    }

    /// Does what the durable end of a job entails: frees its slots, advances its workflow, releases its lock, sends a message for
    /// the job that waits for it, and then deletes its own message. A second time it does nothing.
    ///
    /// # Errors
    /// The AWS error, when something is left to do and no message comes back soon to have it done: the client is to repeat its
    /// request.
    async fn finish(&self, ended: &Job, receipt: Option<&Receipt>) -> Result<()> {
        if let Err(error) = self.entail(ended).await {
            tracing::warn!(job_id = %ended.id, %error, "job's end is unfinished; its message is kept and will be redelivered");
            return self.return_soon(ended, receipt).await.map_err(|_| error);
        }
        self.delete_message(ended, receipt).await
    }

    /// Deletes the message of a job that has ended.
    async fn delete_message(&self, ended: &Job, receipt: Option<&Receipt>) -> Result<()> {
        let Some(receipt) = receipt else { return Ok(()) };
        match self.transport.delete(&sqs_queue(ended, receipt), &receipt.handle).await {
            // Its group waits until it is deleted.
            Err(error) if self.transport.is_fifo() => Err(error),
            Err(error) => {
                tracing::warn!(job_id = %ended.id, %error, "message not deleted; it will be redelivered and dropped");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// What the end of a job entails before its message may be deleted.
    async fn entail(&self, ended: &Job) -> Result<()> {
        let entailed = async {
            self.release_slots(ended).await;
            self.advance_workflow(ended).await?;
            // While the lock is there, the message is what brings the worker that releases it.
            self.release_lock(ended).await
        };
        let successor = async {
            let Some(successor) = ended.successor.as_deref().and_then(JobRef::from_body) else { return };
            if let Err(error) = self.send(&successor, 0).await {
                tracing::warn!(job_id = %successor.id, %error, "failed to notify the waiting job; its own message will be redelivered");
            }
        };
        join(entailed, successor).await.0
    }

    /// Finishes what the end of a job entails before the job itself is deleted: without its item, its message finishes nothing.
    ///
    /// # Errors
    /// The AWS error; the job is to be kept.
    pub(super) async fn finish_before_deletion(&self, ended: &Job) -> Result<()> {
        self.entail(ended).await?;
        self.delete_message(ended, ended.ended_receipt.as_ref()).await
    }

    /// Finishes what the end of a job entails, for a request that finds the job ended: the process that ended it may have
    /// crashed in between, and the job's message returns only when the lease would have ended. The end is not counted again.
    /// Does nothing for a job that is stored as live.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub(in crate::engine) async fn finish_again(&self, stored: &Job) -> Result<()> {
        if stored.state.is_terminal() { self.finish(stored, stored.ended_receipt.as_ref()).await } else { Ok(()) }
    }

    /// Brings the message of a job whose end is unfinished back within a second; a new one where its receipt is not known.
    async fn return_soon(&self, ended: &Job, receipt: Option<&Receipt>) -> Result<()> {
        match receipt {
            Some(receipt) => self.transport.hide(&sqs_queue(ended, receipt), &receipt.handle, 1).await,
            None => self.send(&JobRef::to(ended), 0).await,
        }
    }

    /// A job waits for its next attempt: a message of its own, or the due index, brings it back; then the old message is
    /// deleted. If the new one cannot be sent, the old one is kept and hidden for as long instead; on a FIFO queue always, for
    /// the job keeps its place, and its group waits for it.
    ///
    /// # Errors
    /// The AWS error on a FIFO queue: the group waits until the lease would have ended, unless the client repeats its request.
    pub(in crate::engine) async fn after_retry(&self, job: &Job, receipt: Option<&Receipt>, now_ms: i64) -> Result<()> {
        self.release_slots(job).await;
        if self.transport.is_fifo() && !job.in_due_index {
            return match receipt {
                Some(receipt) => {
                    let delay_s = job.due_at.map_or(0, |due| (due - now_ms).max(0) / 1_000);
                    self.transport.hide(&sqs_queue(job, receipt), &receipt.handle, delay_s).await
                }
                None => Ok(()),
            };
        }
        if !job.in_due_index
            && let Redelivery::Delayed(delay_s) = self.redelivery(job.due_at, now_ms)
            && let Err(error) = self.send(&JobRef::to(job), delay_s).await
        {
            tracing::warn!(job_id = %job.id, %error, "retry message not sent; the old message is kept");
            self.hide(job, receipt, delay_s).await;
            return Ok(());
        }
        if let Some(receipt) = receipt
            && let Err(error) = self.transport.delete(&sqs_queue(job, receipt), &receipt.handle).await
        {
            tracing::warn!(job_id = %job.id, %error, "old message not deleted; the claim will refuse it at redelivery");
        }
        Ok(())
    }

    /// Hides a job's message for `hidden_s`.
    pub(in crate::engine) async fn hide(&self, job: &Job, receipt: Option<&Receipt>, hidden_s: i64) {
        if let Some(receipt) = receipt
            && let Err(error) = self.transport.hide(&sqs_queue(job, receipt), &receipt.handle, hidden_s).await
        {
            tracing::warn!(job_id = %job.id, %error, "message visibility not changed; it will be redelivered at its old time");
        }
    }
}

/// Where a message about `job` came from.
fn sqs_queue(job: &Job, receipt: &Receipt) -> SqsQueue {
    SqsQueue::tier(&job.queue, receipt.tier)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqs_delays_what_it_can_and_no_more() {
        let now = 1_000_000;
        for (wait_ms, wanted) in [
            (-5_000, Redelivery::Delayed(0)),
            (0, Redelivery::Delayed(0)),
            (999, Redelivery::Delayed(0)),
            (1_999, Redelivery::Delayed(1)),
            (900_000, Redelivery::Delayed(900)),
            (900_001, Redelivery::DueIndex),
        ] {
            assert_eq!(redelivery(Some(now + wait_ms), now, MAX_DELAY_MS), wanted, "{wait_ms}");
        }
        assert_eq!(redelivery(None, now, MAX_DELAY_MS), Redelivery::Delayed(0));
        assert_eq!(redelivery(Some(now), now, 0), Redelivery::Delayed(0));
        assert_eq!(redelivery(Some(now + 1), now, 0), Redelivery::DueIndex);
    }
}
