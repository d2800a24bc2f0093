use aws_sdk_dynamodb::types::ReturnValue;
use futures::FutureExt;

use super::item::cron_of;
use crate::aws::{Service, service_error};
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
        let no_retry = aws_sdk_dynamodb::config::Builder::new()
            .retry_config(aws_sdk_dynamodb::config::retry::RetryConfig::disabled());
        let sent = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(keys::cron(name)))
            .condition_expression("attribute_exists(pk)")
            .return_values(ReturnValue::AllOld)
            .customize()
            .config_override(no_retry)
            .send()
            .boxed()
            .await;
        match sent {
            Ok(answer) => answer.attributes.map(cron_of).transpose(),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => Ok(None),
            Err(e) => Err(service_error(Service::DynamoDb, "DeleteItem", &e)),
        }
    }
}
