use super::attributes as job;
use super::condition::not_expired;
use super::item::{NO_DEADLINE_MS, receipt};
use crate::store::dynamo::attributes::Attribute;
use crate::store::dynamo::expression::{Condition, Operand, all};
use crate::store::dynamo::update_item::UpdateItem;
use crate::store::{Store, Updated, keys};
use ojs_model::error::Result;
use ojs_model::ids::JobId;
use ojs_model::job::{QueueRetention, Receipt, State};

/// What a worker asks for.
#[derive(Debug, Clone)]
pub struct ClaimRequest {
    /// The worker's id, if it says.
    pub worker: Option<String>,
    /// The lease token to be.
    pub token: String,
    /// The lease's length that the fetch asks for, ms.
    pub visibility_ms: Option<i64>,
    /// The lease's length where neither fetch nor job says, ms.
    pub default_visibility_ms: i64,
    /// Execution timeout of a job without one, ms; none when `None`.
    pub default_timeout_ms: Option<i64>,
    /// How long the queue keeps jobs that have ended.
    pub retention: QueueRetention,
    /// The SQS message that named the job.
    pub receipt: Receipt,
}

impl Store {
    /// Claims a job that its item shows as available, or as scheduled or retryable and due: one conditional update,
    /// which answers the job as it is then.
    ///
    /// Jobs that only the clock made available (a lapsed lease) are refused here, and so are those with a rate limit or of a
    /// cancelled workflow; the
    /// caller settles them.
    ///
    /// # Errors
    /// The AWS error; the claim may have taken effect, and its lease then lapses.
    pub async fn claim_job(&self, id: &JobId, queue: &str, claim: &ClaimRequest, now_ms: i64) -> Result<Updated> {
        let length = match claim.visibility_ms {
            Some(ms) => Operand::from(ms),
            None => job::VISIBILITY_TIMEOUT.or(claim.default_visibility_ms),
        };
        let deadline = job::TIMEOUT.or(claim.default_timeout_ms.unwrap_or(NO_DEADLINE_MS)).plus(now_ms);
        let tier = Some(claim.receipt.tier).filter(|tier| *tier != 0);
        let QueueRetention { completed_s, cancelled_s, discarded_s } = claim.retention;
        let update = UpdateItem::of(keys::job(id))
            .when(self.is_claimable(queue, now_ms))
            .set(job::STATE, State::Active)
            .set(job::ATTEMPT, job::ATTEMPT.plus(1))
            .set(job::REVISION, job::REVISION.plus(1))
            .set(job::STARTED_AT, now_ms)
            .set(job::ENQUEUED_AT, job::DUE_AT.or(job::ENQUEUED_AT))
            .set(job::LEASE_TOKEN, &claim.token)
            .set(job::LEASE_LENGTH, length.clone())
            .set(job::LEASE_UNTIL, length.plus(now_ms))
            .set(job::DEADLINE, deadline)
            .set(job::RECEIPT, receipt(&claim.receipt.handle))
            .set_or_remove(job::RECEIPT_TIER, tier)
            .set_or_remove(job::LEASE_WORKER, claim.worker.as_ref())
            .set_or_remove(job::KEPT_COMPLETED, completed_s)
            .set_or_remove(job::KEPT_CANCELLED, cancelled_s)
            .set_or_remove(job::KEPT_DISCARDED, discarded_s)
            .remove([job::DUE_AT, job::DUE_PARTITION, job::DUE_SORT, job::NONCE, job::BATCH, job::HELD_LIMITS]);
        Ok(match Updated::of(update.returning_new(self).await)? {
            // An SDK retry of a claim that took effect finds its own lease.
            Updated::Refused(job) if job.lease.as_ref().is_some_and(|lease| lease.token == claim.token) => {
                Updated::Done(job)
            }
            other => other,
        })
    }

    /// The job is in this queue, available or due, and nothing else has to be asked first.
    fn is_claimable(&self, queue: &str, now_ms: i64) -> Condition {
        let due = job::STATE.is_one_of([State::Scheduled, State::Retryable]).and(job::DUE_AT.at_most(now_ms));
        // On FIFO queues a message can come before its batch is committed.
        let batch = self.fifo.then(|| job::BATCH.is_absent());
        let nothing_to_ask = [job::WAITS_FOR, job::RATE_LIMIT, job::CANCEL_REQUESTED_AT].map(Attribute::is_absent);
        all([job::QUEUE.is(queue), job::STATE.is(State::Available).or(due), not_expired(now_ms)])
            .and(all(nothing_to_ask))
            .and_some(batch)
    }
}
