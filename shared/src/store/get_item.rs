use futures::FutureExt;

use super::attr::Item;
use super::{Store, keys};
use crate::aws::{Service, service_error};
use crate::error::Result;

impl Store {
    /// Reads one item, strongly consistent; `None` when there is none.
    ///
    /// # Errors
    /// The AWS error.
    pub(super) async fn get_item(&self, key: keys::Key) -> Result<Option<Item>> {
        let sent = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key))
            .consistent_read(true)
            .send()
            .boxed()
            .await;
        sent.map(|answer| answer.item).map_err(|e| service_error(Service::DynamoDb, "GetItem", &e))
    }
}
