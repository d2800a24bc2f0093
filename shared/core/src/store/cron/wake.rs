use super::attributes as cron;
use crate::store::dynamo::update_item::UpdateItem;
use crate::store::{Store, keys};
use ojs_model::error::Result;

impl Store {
    /// Notes that a message has been sent ahead for the occurrence of `at_ms`, unless the cron job has moved on.
    ///
    /// # Errors
    /// The AWS error; the note may have been made. Without it a second message is sent, which does no harm.
    pub async fn note_cron_woken(&self, name: &str, at_ms: i64) -> Result<()> {
        UpdateItem::of(keys::cron(name))
            .when(cron::NEXT_RUN_AT.is(at_ms))
            .set(cron::WOKEN_FOR, at_ms)
            .set(cron::REVISION, cron::REVISION.plus(1))
            .update(self)
            .await?;
        Ok(())
    }
}
