use super::attributes as job;
use super::condition::lease_held_by;
use crate::store::dynamo::update_item::UpdateItem;
use crate::store::{Store, Updated, keys};
use ojs_model::error::Result;
use ojs_model::ids::JobId;
use ojs_model::job::{Holder, State};
use ojs_model::json::Json;

impl Store {
    /// Completes a job whose lease runs and is `holder`'s: one conditional update, which answers the job as it was.
    ///
    /// `nonce` marks this call, so that an SDK retry of it knows its own effect.
    ///
    /// # Errors
    /// The AWS error; the update may have taken effect.
    pub async fn complete_job(
        &self,
        id: &JobId,
        holder: &Holder,
        result: Option<&Json>,
        nonce: u64,
        now_ms: i64,
    ) -> Result<Updated> {
        let mut update = UpdateItem::of(keys::job(id))
            .when(lease_held_by(holder, now_ms))
            .set(job::STATE, State::Completed)
            .set(job::REVISION, job::REVISION.plus(1))
            .set(job::COMPLETED_AT, now_ms)
            .set(job::TTL, job::KEPT_COMPLETED.or(self.kept_s(State::Completed)).plus(now_ms / 1_000))
            .set(job::NONCE, nonce)
            .set_some(job::RESULT, result.map(|result| result.get()))
            .remove([job::LEASE_WORKER, job::LEASE_UNTIL, job::LEASE_LENGTH, job::DEADLINE])
            .remove(self.receipt_removal().iter().copied());
        // The token of the ack that ended the job stays, to recognise that ack when it comes again. An ack without a token may
        // be an earlier worker's: the lease's token did not end the job then.
        if holder.token.is_none() {
            update = update.remove([job::LEASE_TOKEN]);
        }
        Updated::of(update.returning_old(self).await)
    }
}
