use super::attributes as job;
use super::condition::lease_held_by;
use crate::store::dynamo::expression::Operand;
use crate::store::dynamo::update_item::UpdateItem;
use crate::store::{Store, Updated, keys};
use ojs_model::error::Result;
use ojs_model::ids::JobId;
use ojs_model::job::Holder;

impl Store {
    /// Extends the lease of `holder` by `duration_ms`, or by its own length, from now: one conditional update, which
    /// answers the job as it is then.
    ///
    /// # Errors
    /// The AWS error; the update may have taken effect.
    pub async fn extend_job(
        &self,
        id: &JobId,
        holder: &Holder,
        duration_ms: Option<i64>,
        now_ms: i64,
    ) -> Result<Updated> {
        let length = duration_ms.map_or_else(|| Operand::from(job::LEASE_LENGTH), Operand::from);
        let update = UpdateItem::of(keys::job(id))
            .when(lease_held_by(holder, now_ms))
            .set(job::LEASE_UNTIL, length.plus(now_ms))
            .set(job::REVISION, job::REVISION.plus(1));
        Updated::of(update.returning_new(self).await)
    }
}
