use aws_sdk_dynamodb::types::ReturnValue;
use futures::FutureExt;

use super::state::state_of;
use crate::aws::{Service, service_error};
use crate::store::dynamo::attributes::s;
use crate::store::{Store, keys};
use ojs_model::error::{Error, Result};
use ojs_model::queue::{QueueConfig, QueueState};

impl Store {
    /// Configures a queue: one update of its state, whole.
    ///
    /// # Errors
    /// The AWS error; it may be configured. A repetition does no harm.
    pub async fn configure_queue(&self, name: &str, config: &QueueConfig) -> Result<QueueState> {
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::queue_state(name)))
            .update_expression("SET cf = :config")
            .expression_attribute_values(":config", s(serde_json::to_string(config).map_err(Error::internal)?))
            .return_values(ReturnValue::AllNew)
            .send()
            .boxed()
            .await
            .map_err(|e| service_error(Service::DynamoDb, "UpdateItem", &e))?;
        let item = answer.attributes.ok_or_else(|| Error::internal("an update came back without its item"))?;
        Ok(state_of(&item))
    }
}
