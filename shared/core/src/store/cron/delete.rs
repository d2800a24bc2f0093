use super::item::cron_of;
use crate::store::dynamo::delete_item::DeleteItem;
use crate::store::dynamo::expression::item_exists;
use crate::store::dynamo::written::Written;
use crate::store::{Store, keys};
use ojs_model::cron::Cron;
use ojs_model::error::Result;

impl Store {
    /// Deletes a cron job, and answers it as it was; `None` when there is none.
    ///
    /// The SDK does not retry this: a second try could not tell its own success from there being none.
    ///
    /// # Errors
    /// The AWS error; it may be gone.
    pub async fn delete_cron(&self, name: &str) -> Result<Option<Cron>> {
        let delete = DeleteItem::of(keys::cron(name)).when(item_exists()).once();
        match delete.delete_returning_old(self).await? {
            Written::Done(item) => item.map(cron_of).transpose(),
            Written::Refused(_) => Ok(None),
        }
    }
}
