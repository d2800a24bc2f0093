use super::attributes as job;
use super::condition::still_in;
use crate::store::dynamo::update_item::UpdateItem;
use crate::store::{Store, Updated, keys};
use ojs_model::error::Result;
use ojs_model::ids::JobId;
use ojs_model::job::State;

impl Store {
    /// Cancels a job that is in one of these states, that the clock has not moved, and that is no step of a workflow: one
    /// conditional update, which answers the job as it was.
    ///
    /// `nonce` marks this call, so that an SDK retry of it knows its own effect.
    ///
    /// # Errors
    /// The AWS error; the update may have taken effect.
    pub async fn cancel_job(&self, id: &JobId, states: &[State], nonce: u64, now_ms: i64) -> Result<Updated> {
        let update = UpdateItem::of(keys::job(id))
            .when(job::MEMBER_OF.is_absent().and(still_in(states, now_ms)))
            .set(job::PREVIOUS_STATE, job::STATE)
            .set(job::STATE, State::Cancelled)
            .set(job::REVISION, job::REVISION.plus(1))
            .set(job::CANCELLED_AT, now_ms)
            .set(job::TTL, job::KEPT_CANCELLED.or(self.kept_s(State::Cancelled)).plus(now_ms / 1_000))
            .set(job::NONCE, nonce)
            .remove([job::DUE_AT, job::DUE_PARTITION, job::DUE_SORT, job::PARKED_GAP])
            .remove([job::LEASE_TOKEN, job::LEASE_WORKER, job::LEASE_UNTIL, job::LEASE_LENGTH, job::DEADLINE])
            .remove(self.receipt_removal().iter().copied());
        Updated::of(update.returning_old(self).await)
    }
}
