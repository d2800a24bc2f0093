use super::attributes as queue;
use super::state::state_of;
use crate::store::dynamo::update_item::UpdateItem;
use crate::store::dynamo::written::{Written, answered};
use crate::store::{Store, keys};
use ojs_model::error::{Error, Result};
use ojs_model::queue::{QueueConfig, QueueState};

impl Store {
    /// Configures a queue: one update of its state, whole.
    ///
    /// # Errors
    /// The AWS error; it may be configured. A repetition does no harm.
    pub async fn configure_queue(&self, name: &str, config: &QueueConfig) -> Result<QueueState> {
        let config = serde_json::to_string(config).map_err(Error::internal)?;
        let update = UpdateItem::of(keys::queue_state(name)).set(queue::CONFIG, config);
        let item = match update.returning_new(self).await? {
            Written::Done(item) | Written::Refused(item) => answered(item)?,
        };
        Ok(state_of(&item))
    }
}
