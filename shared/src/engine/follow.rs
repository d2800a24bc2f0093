//! What follows from a change once it is durable. Failures here are logged, not answered: the state is right, and the
//! message's return finishes the rest.

use futures::future::join3;

use super::Engine;
use crate::error::Result;
use crate::job::{Job, Receipt};
use crate::observe::{metrics, trace};
use crate::store::Outcome;
use crate::transport::{JobRef, Line, MAX_DELAY_S};

/// Longest wait that a message's delay covers, ms.
pub(super) const MAX_DELAY_MS: i64 = MAX_DELAY_S * 1_000;

/// Who brings a waiting job back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wake {
    /// A message with this delay, s.
    Message(i64),
    /// The due index: SQS cannot delay for that long.
    DueIndex,
}

/// How a job that is due at `due_at` (now, where `None`) is brought back, if messages can be delayed by `max_delay_ms`.
/// Delays are cut to whole seconds: the fetch waits out the rest.
fn wake(due_at: Option<i64>, now_ms: i64, max_delay_ms: i64) -> Wake {
    let wait_ms = due_at.map_or(0, |due| due - now_ms).max(0);
    if wait_ms > max_delay_ms { Wake::DueIndex } else { Wake::Message(wait_ms / 1_000) }
}

impl Engine {
    /// How a job that is due at `due_at` (now, where `None`) is brought back: on a FIFO queue, whose messages cannot be delayed
    /// and would block their group, by the due index.
    pub(super) fn wake(&self, due_at: Option<i64>, now_ms: i64) -> Wake {
        wake(due_at, now_ms, if self.transport.is_fifo() { 0 } else { MAX_DELAY_MS })
    }

    /// A job of this queue has ended: its lock and its message go, it is counted, and the job that waits for it gets a message.
    pub(super) async fn ended(&self, ended: &Job, receipt: Option<&Receipt>) {
        metrics::job_ended(ended);
        trace::meet(ended);
        let delete = async {
            self.release_slots(ended).await;
            // So does its workflow, and the message brings somebody who sees to it until it has.
            if let Err(error) = self.advance_workflow(ended).await {
                tracing::warn!(job_id = %ended.id, %error, "workflow not moved on; the message is kept for it");
                self.hide(ended, receipt, 1).await;
                return;
            }
            // The lock goes first: while it is there, the message is what brings somebody who releases it.
            if let Err(error) = self.release(ended).await {
                tracing::warn!(job_id = %ended.id, %error, "unique lock not released; the message is kept for it");
                self.hide(ended, receipt, 1).await;
                return;
            }
            let Some(receipt) = receipt else { return };
            if let Err(error) = self.transport.delete(&line(ended, receipt), &receipt.handle).await {
                tracing::warn!(job_id = %ended.id, %error, "message not deleted; it comes back and is dropped then");
            }
        };
        let count = async {
            let Some(outcome) = Outcome::of(ended.state) else { return };
            if let Err(error) = self.store.count(&ended.queue, outcome, self.ids.nonce()).await {
                tracing::warn!(job_id = %ended.id, queue = ended.queue, %error, "terminal job not counted");
            }
        };
        let wake = async {
            let Some(successor) = ended.successor.as_deref().and_then(JobRef::from_body) else { return };
            if let Err(error) = self.send(&successor, 0).await {
                tracing::warn!(job_id = %successor.id, %error, "the job that waits for an ended one not woken; its own message comes back");
            }
        };
        join3(delete, count, wake).await;
    }

    /// Finishes what the end of a job entails, for a request that repeats the one which ended it: the process that served the
    /// first may have died in between, and the job's message returns only when the lease would have ended. All of it does
    /// nothing where it is done. The end is not counted again.
    ///
    /// # Errors
    /// The AWS error; the client may repeat its request once more.
    pub(super) async fn finish_end(&self, ended: &Job) -> Result<()> {
        self.release_slots(ended).await;
        self.advance_workflow(ended).await?;
        self.release(ended).await?;
        match ended.successor.as_deref().and_then(JobRef::from_body) {
            Some(successor) => self.send(&successor, 0).await,
            None => Ok(()),
        }
    }

    /// A job waits for its next attempt: a message of its own, or the due index, brings it back; then the old message
    /// goes. If the new one cannot be sent, the old one is kept and hidden for as long instead; on a FIFO queue always, for
    /// the job keeps its place, and its group waits for it.
    pub(super) async fn waits(&self, job: &Job, receipt: Option<&Receipt>, now_ms: i64) {
        self.release_slots(job).await;
        if self.transport.is_fifo() && !job.in_due_index {
            let delay_s = job.due_at.map_or(0, |due| (due - now_ms).max(0) / 1_000);
            self.hide(job, receipt, delay_s).await;
            return;
        }
        if !job.in_due_index
            && let Wake::Message(delay_s) = self.wake(job.due_at, now_ms)
            && let Err(error) = self.send(&JobRef::to(job), delay_s).await
        {
            tracing::warn!(job_id = %job.id, %error, "retry not sent; its old message is kept");
            self.hide(job, receipt, delay_s).await;
            return;
        }
        if let Some(receipt) = receipt
            && let Err(error) = self.transport.delete(&line(job, receipt), &receipt.handle).await
        {
            tracing::warn!(job_id = %job.id, %error, "old message not deleted; the claim refuses it when it returns");
        }
    }

    /// Hides a job's message for `hidden_s`.
    pub(super) async fn hide(&self, job: &Job, receipt: Option<&Receipt>, hidden_s: i64) {
        if let Some(receipt) = receipt
            && let Err(error) = self.transport.hide(&line(job, receipt), &receipt.handle, hidden_s).await
        {
            tracing::warn!(job_id = %job.id, %error, "message visibility not changed; it returns at its own time");
        }
    }
}

/// Where a message about `job` came from.
fn line(job: &Job, receipt: &Receipt) -> Line {
    Line::tier(&job.queue, receipt.tier)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqs_delays_what_it_can_and_no_more() {
        let now = 1_000_000;
        for (wait_ms, wanted) in [
            (-5_000, Wake::Message(0)),
            (0, Wake::Message(0)),
            (999, Wake::Message(0)),
            (1_999, Wake::Message(1)),
            (900_000, Wake::Message(900)),
            (900_001, Wake::DueIndex),
        ] {
            assert_eq!(wake(Some(now + wait_ms), now, MAX_DELAY_MS), wanted, "{wait_ms}");
        }
        assert_eq!(wake(None, now, MAX_DELAY_MS), Wake::Message(0));
        assert_eq!(wake(Some(now), now, 0), Wake::Message(0));
        assert_eq!(wake(Some(now + 1), now, 0), Wake::DueIndex);
    }
}
