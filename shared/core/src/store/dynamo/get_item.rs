use futures::FutureExt;

use super::attributes::Item;
use crate::aws::{Service, service_error};
use crate::store::{Store, keys};
use ojs_model::error::Result;

impl Store {
    /// Reads one item, strongly consistent; `None` when there is none.
    ///
    /// # Errors
    /// The AWS error.
    pub(in crate::store) async fn get_item(&self, key: keys::Key) -> Result<Option<Item>> {
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
