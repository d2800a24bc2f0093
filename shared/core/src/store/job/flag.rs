use super::attributes as job;
use crate::store::dynamo::update_item::UpdateItem;
use crate::store::{Store, keys};
use ojs_model::error::Result;
use ojs_model::ids::JobId;
use ojs_model::job::State;

impl Store {
    /// Tells the worker of an active job that its result is not wanted any more: one conditional update, which the next heartbeat
    /// shows. `false` when it is not active.
    ///
    /// # Errors
    /// The AWS error; it may be told.
    pub async fn ask_to_cancel(&self, id: &JobId, now_ms: i64) -> Result<bool> {
        let ask = UpdateItem::of(keys::job(id))
            .when(job::STATE.is(State::Active))
            .set(job::CANCEL_REQUESTED_AT, job::CANCEL_REQUESTED_AT.or(now_ms));
        Ok(ask.update(self).await?.is_done())
    }
}
